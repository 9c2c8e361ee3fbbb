"""VESC over CAN: frames counted by hand from its document, and the behaviour of the twin."""

import math
import struct
from typing import Any

import pytest
from horus_drivers.motor._vesc import VescSimConfig
from horus_drivers.motor.vesc import Vesc

from horus.hal import CommandRefused, DeviceFault, FaultKind
from horus.msgs import ControlMode, MotorCommand
from tests.drivers.canbench import TwinBench, Wire, frame

TURN = 2 * math.pi
STATUS = frame(0x90A, "00001388 0064 01F4", extended=True)  # 5000 ERPM, 10 A, 50 %


def wire_of(clock: Any, **options: Any) -> Wire:
    return Wire(clock, Vesc, **{"node": 10, **options})


@pytest.fixture
def wire(clock: Any) -> Wire:
    return wire_of(clock)


def sent(wire: Wire, **command: Any) -> Any:
    wire.driver.check(MotorCommand(**command))
    wire.driver.write(MotorCommand(**command))
    (found,) = wire.sent()
    assert found.extended
    return found


def test_the_manufacturers_example_of_51_a_for_id_23(clock: Any) -> None:
    wire = wire_of(clock, node=23, torque_constant=0.1, max_current=60.0)
    found = sent(wire, mode=ControlMode.TORQUE, torque=5.1)
    assert found == frame(0x117, "0000C738", extended=True)


def test_a_velocity_is_sent_in_electrical_revolutions_per_minute(clock: Any) -> None:
    wire = wire_of(clock, pole_pairs=7, gear_ratio=2.0)
    found = sent(wire, velocity=TURN)  # 60 rpm, 120 at the motor, 840 electrical
    assert found == frame(0x30A, "00000348", extended=True)
    reverse = wire_of(clock, pole_pairs=7, gear_ratio=2.0, reverse=True)
    assert sent(reverse, velocity=TURN) == frame(0x30A, "FFFFFCB8", extended=True)


def test_a_duty_is_sent_in_hundred_thousandths(wire: Wire) -> None:
    found = sent(wire, mode=ControlMode.DUTY, duty=0.2)
    assert found == frame(0x00A, "00004E20", extended=True)
    found = sent(wire, mode=ControlMode.DUTY, duty=-1.0)
    assert found == frame(0x00A, "FFFE7960", extended=True)


def test_an_angle_is_sent_in_millionths_of_a_degree_of_the_motors_turn(clock: Any) -> None:
    found = sent(wire_of(clock), mode=ControlMode.POSITION, position=math.pi)
    assert found == frame(0x40A, "0ABA9500", extended=True)  # 180 000 000
    reverse = wire_of(clock, reverse=True)
    found = sent(reverse, mode=ControlMode.POSITION, position=TURN / 4)
    assert found == frame(0x40A, "1017DF80", extended=True)  # 270 000 000


def test_safe_and_arming_let_no_current_flow(wire: Wire) -> None:
    wire.driver.arm()
    wire.driver.safe()
    assert wire.sent() == [frame(0x10A, "00000000", extended=True)] * 2


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ({"velocity": 20.1}, "velocity must be from -20 to 20 rad/s (max_velocity)"),
        ({"mode": ControlMode.DUTY, "duty": 1.01}, "duty must be from -1 to 1"),
        ({"mode": ControlMode.TORQUE, "torque": 0.1}, "needs the option torque_constant"),
        ({"mode": ControlMode.POSITION, "position": 7.0}, "position must be from 0 to 6.28"),
        ({"mode": ControlMode.IMPEDANCE}, "VELOCITY, POSITION, TORQUE and DUTY"),
        ({"velocity": 1.0, "torque": 0.1}, "torque is given: in mode VELOCITY"),
        ({"mode": ControlMode.DUTY, "duty": 0.1, "velocity": 1.0}, "velocity is given"),
        ({"mode": ControlMode.IDLE}, "VELOCITY, POSITION, TORQUE and DUTY"),
    ],
)
def test_what_it_cannot_do_is_refused(wire: Wire, command: Any, text: str) -> None:
    with pytest.raises(CommandRefused) as info:
        wire.driver.check(MotorCommand(**command))
    assert text in str(info.value)


def test_a_torque_over_the_current_limit_is_refused(clock: Any) -> None:
    wire = wire_of(clock, torque_constant=0.05, gear_ratio=4.0, max_current=10.0)
    wire.driver.check(MotorCommand(mode=ControlMode.TORQUE, torque=2.0))
    with pytest.raises(CommandRefused, match=r"from -2 to 2 N·m \(max_current\), not 2.1"):
        wire.driver.check(MotorCommand(mode=ControlMode.TORQUE, torque=2.1))


def test_the_state_in_si_units(clock: Any) -> None:
    wire = wire_of(clock, pole_pairs=5, gear_ratio=2.0, torque_constant=0.1, reverse=True)
    wire.give(
        frame(0x100A, "00C8 0190 0032 0000", extended=True),  # 20 °C, 40 °C, 5 A in
        frame(0x1B0A, "0000003C 00F3", extended=True),  # 60 steps: 2 turns; 24.3 V
        STATUS,
    )
    state = wire.driver.read()
    assert state.velocity == pytest.approx(-5000 / 5 / 60 * TURN / 2)
    assert state.position == pytest.approx(-2 * TURN / 2)
    assert state.current == pytest.approx(-10.0)
    assert state.torque == pytest.approx(-2.0)
    assert state.voltage == pytest.approx(24.3)
    assert state.temperature == pytest.approx(40.0)
    assert wire.driver.read() is None


def test_what_is_not_sent_is_nan_and_a_missing_sensor_is_left_out(wire: Wire) -> None:
    wire.give(STATUS)
    state = wire.driver.read()
    assert math.isnan(state.position)
    assert math.isnan(state.voltage)
    assert math.isnan(state.torque)
    wire.give(frame(0x100A, "00FA F830 0000 0000", extended=True), STATUS)  # 25 °C, -200 °C
    assert wire.driver.read().temperature == pytest.approx(25.0)


def test_a_standard_frame_with_its_id_is_not_its(wire: Wire) -> None:
    wire.give(frame(0x10A, "00001388 0064 01F4"))
    assert not wire.driver.probe()


def test_silence_is_stale(wire: Wire) -> None:
    wire.give(STATUS)
    wire.driver.read()
    wire.clock.advance(0.6)
    with pytest.raises(DeviceFault, match="no status for 0.60 s") as info:
        wire.driver.read()
    assert info.value.kind is FaultKind.STALE


def test_a_short_status_is_corrupt(wire: Wire) -> None:
    wire.give(frame(0x90A, "00001388", extended=True))
    with pytest.raises(DeviceFault, match="status frame has 4 bytes where 8") as info:
        wire.driver.read()
    assert info.value.kind is FaultKind.CORRUPT


# the twin, with ids and bytes only ----------------------------------------------------------------


@pytest.fixture
def bench(clock: Any) -> TwinBench:
    return TwinBench(clock, Vesc, node=10)


def erpm(bench: TwinBench) -> int:
    found = [f for f in bench.run(0.1) if f.id == 0x90A]
    value: int = struct.unpack(">ihh", found[-1].data)[0]
    return value


def hold(bench: TwinBench, id: int, data: str, seconds: float) -> None:
    for _ in range(round(seconds / 0.1)):
        bench.send(id, data)
        bench.run(0.1)


def test_the_twin_sends_all_status_messages(bench: TwinBench) -> None:
    found = bench.run(1.0)
    rates = {id: sum(f.id == id << 8 | 10 for f in found) for id in (9, 14, 15, 16, 27, 28)}
    assert rates[9] == pytest.approx(50, abs=1)
    assert all(rates[id] >= 9 for id in rates)
    assert all(f.extended for f in found)


def test_the_twin_holds_a_speed_and_its_own_timeout_releases_it(bench: TwinBench) -> None:
    hold(bench, 0x30A, "000007D0", 1.5)  # 2000 ERPM
    assert erpm(bench) == pytest.approx(2000, abs=20)
    bench.run(0.5)
    assert bench.twin.truth()["setting"] == "current"
    bench.run(2.0)
    assert bench.twin.truth()["at_rest"]


def test_the_twin_turns_by_duty_and_by_current_and_brakes(bench: TwinBench) -> None:
    hold(bench, 0x00A, "00002710", 1.0)  # 10 %
    fast = erpm(bench)
    assert fast == pytest.approx(2.4 / (8.27 / 270) * 60 / TURN * 7, rel=0.2)
    hold(bench, 0x20A, "00002710", 0.3)  # 10 A
    assert abs(erpm(bench)) < fast / 2
    hold(bench, 0x10A, "FFFFEC78", 0.5)  # -5 A
    assert erpm(bench) < -100


def test_the_twin_goes_to_an_angle_the_shorter_way(bench: TwinBench) -> None:
    hold(bench, 0x40A, "1017DF80", 1.5)  # 270°
    assert bench.twin.truth()["position"] == pytest.approx(-TURN / 4, abs=0.05)


def test_below_its_least_erpm_the_twin_coasts(clock: Any) -> None:
    bench = TwinBench(clock, Vesc, VescSimConfig(min_erpm=900.0), node=10)
    hold(bench, 0x30A, "00000320", 1.0)  # 800
    assert erpm(bench) == pytest.approx(0, abs=5)


def test_commands_for_another_vesc_are_not_obeyed(bench: TwinBench) -> None:
    hold(bench, 0x30B, "000007D0", 0.5)
    assert erpm(bench) == pytest.approx(0, abs=5)

"""Damiao over CAN: frames of its own packages, bytes by hand, and the behaviour of the twin."""

import struct
from typing import Any

import pytest
from horus_drivers.motor.damiao import Damiao, DamiaoSimConfig

from horus.hal import CommandRefused, DeviceFault, FaultKind
from horus.msgs import ControlMode, MotorCommand
from tests.drivers.canbench import TwinBench, Wire, frame

IMPEDANCE = {
    "mode": ControlMode.IMPEDANCE,
    "position": 1.0,
    "velocity": -2.0,
    "stiffness": 50.0,
    "damping": 1.0,
    "torque": 3.0,
}
# enabled, node 3; p 0x8A3C = 1 rad, v 0x777 = -2 rad/s, t 0xA65 = 3 N·m; 40 °C, 35 °C
FEEDBACK = frame(0x013, "13 8A3C 777A65 28 23")


def wire_of(clock: Any, **options: Any) -> Wire:
    return Wire(clock, Damiao, **{"node": 3, "master": 0x13, **options})


@pytest.fixture
def wire(clock: Any) -> Wire:
    return wire_of(clock)


def test_a_control_frame_is_the_one_of_the_published_packages(wire: Wire) -> None:
    wire.driver.check(MotorCommand(**IMPEDANCE))
    wire.driver.write(MotorCommand(**IMPEDANCE))
    assert wire.sent() == [frame(0x003, "8A3C777199333A65")]


def test_enable_disable_and_clear(wire: Wire) -> None:
    wire.driver.arm()
    wire.driver.safe()
    assert wire.sent() == [
        frame(0x003, "FFFFFFFFFFFFFFFC"),
        frame(0x003, "7FFF7FF0000007FF"),  # no stiffness, no damping, no torque
        frame(0x003, "FFFFFFFFFFFFFFFD"),
    ]


def test_in_velocity_mode_a_velocity_is_a_float(clock: Any) -> None:
    wire = wire_of(clock, mode="velocity", reverse=True)
    wire.driver.write(MotorCommand(velocity=2.5))
    assert wire.sent() == [frame(0x203, "000020C0 00000000")]
    with pytest.raises(CommandRefused, match=r"VELOCITY only \(mode\)"):
        wire.driver.check(MotorCommand(mode=ControlMode.TORQUE))
    with pytest.raises(CommandRefused, match=r"torque is given: .* velocity only \(mode\)"):
        wire.driver.check(MotorCommand(velocity=2.5, torque=0.1))


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ({"velocity": 1.0, "torque": 0.5}, ""),
        ({"mode": ControlMode.POSITION, "position": 1.0, "velocity": 1.0, "torque": 0.5}, ""),
        ({"velocity": 1.0, "position": 0.5}, "position"),
        ({"mode": ControlMode.POSITION, "stiffness": 5.0}, "stiffness"),
        ({"mode": ControlMode.TORQUE, "torque": 1.0, "velocity": 1.0}, "velocity"),
        ({"mode": ControlMode.IMPEDANCE, "duty": 0.5}, "duty"),
    ],
)
def test_a_value_that_the_mode_does_not_follow_is_refused(
    wire: Wire, command: Any, name: str
) -> None:
    if not name:
        wire.driver.check(MotorCommand(**command))
        return
    with pytest.raises(CommandRefused, match=f"^{name} is given: in mode"):
        wire.driver.check(MotorCommand(**command))


def test_the_state_in_si_units(wire: Wire) -> None:
    wire.give(FEEDBACK)
    state = wire.driver.read()
    assert state.position == pytest.approx(1.0, abs=4e-4)
    assert state.velocity == pytest.approx(-2.0, abs=0.015)
    assert state.torque == pytest.approx(3.0, abs=0.005)
    assert state.temperature == 40.0
    assert not state.armed  # it was not this driver that enabled it


def test_motors_with_one_master_are_told_apart_by_their_first_byte(wire: Wire) -> None:
    wire.give(frame(0x013, "14 8A3C 777A65 28 23"))
    assert not wire.driver.probe()
    wire.give(FEEDBACK)
    assert wire.driver.probe()


def test_a_position_at_the_end_of_its_range_is_not_delivered(wire: Wire) -> None:
    wire.give(frame(0x013, "13 FFFF 7FF7FF 28 23"))
    state = wire.driver.read()
    assert state.position != state.position
    assert state.velocity == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize(
    ("state", "text"),
    [("83", "error 8 OVER_VOLTAGE"), ("D3", "error 13 COMMUNICATION_LOST"), ("F3", "error 15")],
)
def test_an_error_is_named(wire: Wire, state: str, text: str) -> None:
    wire.give(frame(0x013, state + "8A3C 777A65 28 23"))
    with pytest.raises(DeviceFault, match=text) as info:
        wire.driver.read()
    assert info.value.kind is FaultKind.REJECTED


def test_silence_is_stale(wire: Wire) -> None:
    wire.give(FEEDBACK)
    wire.driver.read()
    wire.clock.advance(0.6)
    with pytest.raises(DeviceFault, match="no feedback for 0.60 s"):
        wire.driver.read()


def test_it_is_asked_without_being_commanded_while_it_is_not_armed(wire: Wire) -> None:
    wire.give(FEEDBACK)
    wire.driver.read()
    assert wire.sent() == [frame(0x7FF, "0300CC00 00000000")]


def play(wire: Wire, answers: dict[str, str]) -> list[str]:
    """Let the driver configure itself; answer its questions; return all that it sent, in hex."""
    seen = []
    steps = wire.driver.configure()
    for wait in steps:
        for sent in wire.sent():
            text = sent.data.hex().upper()
            seen.append(f"{sent.id:03X} {text}")
            if sent.id == 0x7FF:
                reply = answers.get(text[4:8])
                if reply is not None:
                    wire.give(frame(0x013, reply))
        wire.clock.advance(wait)
    return seen


ANSWERS = {
    "3315": "03003315 00004841",  # PMAX 12.5
    "3316": "03003316 00000041",  # VMAX 8
    "3317": "03003317 00002041",  # TMAX 10
    "5509": "03005509 10270000",
    "550A": "0300550A 01000000",
    "CC00": "03 7FFF 7FF7FF 28 23",
}


def test_it_learns_the_ranges_of_the_motor_and_arms_its_timeout(wire: Wire) -> None:
    seen = play(wire, ANSWERS)
    assert seen[0] == "003 FFFFFFFFFFFFFFFB"
    assert "7FF 0300550910270000" in seen  # 10 000 x 50 us = 0.5 s, twice the command_timeout
    assert "7FF 0300550A01000000" in seen  # MIT mode
    assert wire.driver.ranges.velocity == 8.0
    with pytest.raises(CommandRefused, match=r"velocity must be from -8 to 8 rad/s"):
        wire.driver.check(MotorCommand(velocity=9.0))
    wire.driver.check(MotorCommand(velocity=7.9))


def test_a_register_that_is_not_answered_is_a_timeout(wire: Wire) -> None:
    with pytest.raises(DeviceFault, match="register 22 is not answered") as info:
        play(wire, {"3315": ANSWERS["3315"]})
    assert info.value.kind is FaultKind.TIMEOUT


def test_ranges_that_cannot_be_are_refused(wire: Wire) -> None:
    with pytest.raises(DeviceFault, match="no Damiao motor has: correct use: or node:") as info:
        play(wire, {**ANSWERS, "3316": "03003316 00000000"})
    assert info.value.kind is FaultKind.REJECTED


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ({"velocity": 20.1}, "velocity must be from -20 to 20"),
        ({"torque": 5.1}, "torque must be from -5 to 5 N·m (max_torque)"),
        ({"mode": ControlMode.POSITION, "position": 12.6}, "position must be from -12.5"),
        ({"mode": ControlMode.IMPEDANCE, "stiffness": 501.0}, "stiffness must be from 0 to 500"),
        ({"mode": ControlMode.IMPEDANCE, "damping": -0.1}, "damping must be from 0 to 5"),
        ({"mode": ControlMode.DUTY}, "VELOCITY, POSITION, TORQUE and IMPEDANCE"),
    ],
)
def test_what_it_cannot_do_is_refused(wire: Wire, command: Any, text: str) -> None:
    with pytest.raises(CommandRefused) as info:
        wire.driver.check(MotorCommand(**command))
    assert text in str(info.value)


# the twin, with ids and bytes only ----------------------------------------------------------------


@pytest.fixture
def bench(clock: Any) -> TwinBench:
    return TwinBench(clock, Damiao, node=3, master=0x13)


def told(bench: TwinBench) -> tuple[int, int, int]:
    """State, position and velocity counts in the answer to a refresh."""
    (answer,) = bench.send(0x7FF, "0300CC0000000000")
    assert answer.id == 0x013
    data = answer.data
    return data[0] >> 4, int.from_bytes(data[1:3], "big"), data[3] << 4 | data[4] >> 4


def test_the_twin_is_silent_until_it_is_spoken_to(bench: TwinBench) -> None:
    assert bench.run(1.0) == []
    assert told(bench)[0] == 0


def test_the_twin_answers_registers_little_endian(bench: TwinBench) -> None:
    (answer,) = bench.send(0x7FF, "0300331500000000")
    assert answer == frame(0x013, "03003315 00004841")
    (answer,) = bench.send(0x7FF, "0300330700000000")
    assert answer == frame(0x013, "03003307 13000000")
    assert bench.send(0x7FF, "0400331500000000") == []  # another motor's


def test_disabled_the_twin_does_not_follow(bench: TwinBench) -> None:
    bench.send(0x003, "8A3C777199333A65")
    bench.run(1.0)
    assert told(bench)[1] == pytest.approx(0x7FFF, abs=1)


def test_enabled_the_twin_follows_spring_and_damper(bench: TwinBench) -> None:
    bench.send(0x003, "FFFFFFFFFFFFFFFC")
    bench.send(0x003, "8A3C7FF1993337FF")  # 1 rad, kp 50, kd 1
    bench.run(2.0)
    state, position, velocity = told(bench)
    assert state == 1
    assert position == pytest.approx(0x8A3C, abs=20)
    assert velocity == pytest.approx(0x7FF, abs=2)
    bench.send(0x003, "FFFFFFFFFFFFFFFD")
    assert told(bench)[0] == 0


def test_the_twins_timeout_disables_it_with_an_error_until_it_is_cleared(
    bench: TwinBench,
) -> None:
    bench.send(0x7FF, "03005509" + struct.pack("<I", 2000).hex())  # 0.1 s
    bench.send(0x003, "FFFFFFFFFFFFFFFC")
    bench.run(0.05)
    assert told(bench)[0] == 1
    bench.run(0.2)
    assert told(bench)[0] == 13
    bench.send(0x003, "FFFFFFFFFFFFFFFC")
    assert told(bench)[0] == 13
    bench.send(0x003, "FFFFFFFFFFFFFFFB")
    bench.send(0x003, "FFFFFFFFFFFFFFFC")
    assert told(bench)[0] == 1


def test_the_twin_in_velocity_mode(bench: TwinBench) -> None:
    bench.send(0x7FF, "0300550A03000000")
    bench.send(0x003, "FFFFFFFFFFFFFFFC")
    bench.send(0x203, "000080BF 00000000")  # -1 rad/s
    bench.run(1.0)
    assert bench.twin.truth()["velocity"] == pytest.approx(-1.0, abs=0.02)


def test_a_power_cut_forgets_what_was_not_saved(bench: TwinBench) -> None:
    bench.send(0x7FF, "0300550A03000000")
    bench.twin.unplug()
    assert bench.send(0x7FF, "0300CC0000000000") == []
    bench.twin.plug()
    (answer,) = bench.send(0x7FF, "0300330A00000000")
    assert answer == frame(0x013, "0300330A 01000000")


def test_other_ranges_change_what_counts_mean(clock: Any) -> None:
    bench = TwinBench(clock, Damiao, DamiaoSimConfig(position_range=25.0), node=3, master=0x13)
    bench.send(0x003, "FFFFFFFFFFFFFFFC")
    bench.send(0x003, "8A3C7FF1993337FF")
    bench.run(2.0)
    assert bench.twin.truth()["position"] == pytest.approx(2.0, abs=0.02)

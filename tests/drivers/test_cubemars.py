"""CubeMars in MIT mode: frames of published packages, bytes by hand, and the twin."""

import math
from typing import Any

import pytest
from horus_drivers.motor.cubemars import CubeMars, CubeMarsSimConfig

from horus.hal import CommandRefused, DeviceFault
from horus.msgs import ControlMode, MotorCommand
from tests.drivers.canbench import TwinBench, Wire, frame

# node 5: p 0x8A3C = 1 rad, v 0x7AD = -2 rad/s, t 0x954 = 3 N·m; 30 °C, no error
REPLY = frame(0x000, "05 8A3C 7AD954 1E 00")


def wire_of(clock: Any, **options: Any) -> Wire:
    return Wire(clock, CubeMars, **{"node": 5, **options})


@pytest.fixture
def wire(clock: Any) -> Wire:
    return wire_of(clock)


def test_a_control_frame_is_the_one_of_a_published_package(wire: Wire) -> None:
    wire.driver.write(
        MotorCommand(
            mode=ControlMode.IMPEDANCE,
            position=1.0,
            velocity=-2.0,
            stiffness=50.0,
            damping=1.0,
            torque=3.0,
        )
    )
    assert wire.sent() == [frame(0x005, "8A3C7AD199333954")]


def test_a_velocity_is_a_damper_towards_it(clock: Any) -> None:
    wire = wire_of(clock, velocity_gain=5.0, reverse=True)
    wire.driver.write(MotorCommand(velocity=50.0))
    assert wire.sent() == [frame(0x005, "7FFF000000FFF7FF")]


def test_enter_and_leave_motor_mode(wire: Wire) -> None:
    wire.driver.arm()
    wire.driver.safe()
    assert wire.sent() == [
        frame(0x005, "FFFFFFFFFFFFFFFC"),
        frame(0x005, "7FFF7FF0000007FF"),
        frame(0x005, "FFFFFFFFFFFFFFFD"),
    ]


def test_the_state_in_si_units(wire: Wire) -> None:
    wire.give(REPLY)
    state = wire.driver.read()
    assert state.position == pytest.approx(1.0, abs=4e-4)
    assert state.velocity == pytest.approx(-2.0, abs=0.025)
    assert state.torque == pytest.approx(3.0, abs=0.01)
    assert state.temperature == 30.0


def test_old_firmware_tells_no_temperature(wire: Wire) -> None:
    wire.give(frame(0x000, "05 8A3C 7AD954"))
    state = wire.driver.read()
    assert state.position == pytest.approx(1.0, abs=4e-4)
    assert math.isnan(state.temperature)


def test_a_negative_temperature(wire: Wire) -> None:
    wire.give(frame(0x000, "05 8A3C 7AD954 F6 00"))
    assert wire.driver.read().temperature == -10.0


def test_the_ranges_depend_on_the_model_and_can_be_given(clock: Any) -> None:
    reply = frame(0x000, "05 8A3C FFE954 1E 00")
    for options, fastest in (
        ({"model": "AK80-64"}, 8.0),
        ({"model": "AK80-9", "velocity_range": 25.64}, 25.64),
        ({"model": "AK80-6"}, 76.0),
    ):
        wire = wire_of(clock, **options)
        wire.give(reply)
        assert wire.driver.read().velocity == pytest.approx(fastest, rel=1e-3)


def test_another_motors_answer_is_not_taken(wire: Wire) -> None:
    wire.give(frame(0x000, "06 8A3C 7AD954 1E 00"))
    assert not wire.driver.probe()
    wire.give(REPLY)
    assert wire.driver.probe()


def test_answers_may_come_on_another_id(clock: Any) -> None:
    wire = wire_of(clock, master=0x7A)
    wire.give(frame(0x07A, "05 8A3C 7AD954 1E 00"))
    assert wire.driver.probe()


def test_an_error_is_named(wire: Wire) -> None:
    wire.give(frame(0x000, "05 8A3C 7AD954 1E 05"))
    with pytest.raises(DeviceFault, match="error 5 ENCODER"):
        wire.driver.read()


def test_what_is_too_fast_for_the_model_is_refused(clock: Any) -> None:
    wire = wire_of(clock, model="AK80-64", max_velocity=20.0)
    with pytest.raises(CommandRefused, match="from -8 to 8 rad/s"):
        wire.driver.check(MotorCommand(velocity=9.0))


def test_nothing_new_is_said_again_while_it_is_armed(wire: Wire) -> None:
    wire.driver.arm()
    wire.driver.armed_ns = wire.clock.monotonic_ns()
    wire.driver.write(MotorCommand(mode=ControlMode.TORQUE, torque=1.0))
    wire.give(REPLY)
    wire.driver.read()
    assert wire.sent() == []
    wire.clock.advance(0.01)
    wire.driver.read()
    assert wire.sent() == [frame(0x005, "7FFF7FF000000871")]


# the twin, with ids and bytes only ----------------------------------------------------------------


@pytest.fixture
def bench(clock: Any) -> TwinBench:
    return TwinBench(clock, CubeMars, node=5)


def test_the_twin_answers_every_frame_with_its_id_first(bench: TwinBench) -> None:
    assert bench.run(0.5) == []
    (answer,) = bench.send(0x005, "FFFFFFFFFFFFFFFD")
    assert answer.id == 0
    assert answer.data[0] == 5
    assert len(answer.data) == 8


def test_the_twin_follows_in_motor_mode_only(bench: TwinBench) -> None:
    go = "7FFF8420003337FF"  # 1.6 rad/s by damper 1
    bench.send(0x005, go)
    bench.run(1.0)
    assert bench.twin.truth()["velocity"] == 0.0
    bench.send(0x005, "FFFFFFFFFFFFFFFC")
    bench.send(0x005, go)
    bench.run(1.0)
    assert bench.twin.truth()["velocity"] == pytest.approx(1.6, abs=0.2)
    bench.send(0x005, "FFFFFFFFFFFFFFFD")
    bench.run(2.0)
    assert bench.twin.truth()["at_rest"]


def test_an_error_takes_the_twin_out_of_motor_mode(bench: TwinBench) -> None:
    bench.send(0x005, "FFFFFFFFFFFFFFFC")
    bench.twin.trip(2)
    (answer,) = bench.send(0x005, "FFFFFFFFFFFFFFFC")
    assert answer.data[7] == 2
    assert not bench.twin.truth()["enabled"]


def test_zeroing_makes_this_position_zero(bench: TwinBench) -> None:
    bench.twin.core.motor.position = 1.0
    (answer,) = bench.send(0x005, "FFFFFFFFFFFFFFFE")
    assert int.from_bytes(answer.data[1:3], "big") == pytest.approx(0x7FFF, abs=1)


def test_an_old_twin_answers_with_six_bytes(clock: Any) -> None:
    bench = TwinBench(clock, CubeMars, CubeMarsSimConfig(old=True), node=5)
    (answer,) = bench.send(0x005, "FFFFFFFFFFFFFFFD")
    assert len(answer.data) == 6

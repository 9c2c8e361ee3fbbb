"""ODrive over CAN: frames counted by hand, and the behaviour of the twin."""

import math
import struct
from typing import Any

import pytest
from horus_drivers.motor.odrive import Odrive, OdriveConfig, OdriveSim, OdriveSimConfig

from horus.hal import CanFrame, CanHub, CanLink, CanSimHost, CommandRefused, DeviceFault, FaultKind
from horus.hal.localcan import CanWire
from horus.msgs import ControlMode, MotorCommand, MotorState

TURN = 2 * math.pi


def frame(id: int, data: str) -> CanFrame:
    return CanFrame(id, bytes.fromhex(data))


class Wire:
    """The driver's end of a bus on which the test plays the ODrive, with bytes."""

    def __init__(self, clock: Any, **options: Any) -> None:
        wire = CanWire("can0", clock.monotonic_ns)
        self.clock = clock
        self.end = wire.open()
        self.hub = CanHub(wire.open())
        link = CanLink(self.hub, options.get("node", 1), "wheel", clock.monotonic_ns)
        self.driver = Odrive(OdriveConfig(**{"node": 1, **options}), link)

    def sent(self) -> list[CanFrame]:
        """What the driver sent since the last look."""
        return list(iter(self.end.receive, None))

    def give(self, *frames: CanFrame) -> None:
        for each in frames:
            self.end.send(each)
        self.sent()
        self.hub.poll()


@pytest.fixture
def wire(clock: Any) -> Wire:
    return Wire(clock)


HEARTBEAT_IDLE = frame(0x021, "00000000 01 000000")
HEARTBEAT_CLOSED = frame(0x021, "00000000 08 000000")
ESTIMATES = frame(0x029, "0000C03F 000000C0")  # 1.5 rev, -2 rev/s


def test_safe_is_zero_velocity_then_idle(wire: Wire) -> None:
    wire.driver.safe()
    assert wire.sent() == [frame(0x02D, "00000000 00000000"), frame(0x027, "01000000")]


def test_arming_sends_these_frames(clock: Any) -> None:
    wire = Wire(clock, max_velocity=10 * TURN, max_current=20.0)
    wire.driver.arm()
    assert wire.sent() == [
        frame(0x02B, "02000000 01000000"),  # velocity control, passthrough
        frame(0x02F, "00002041 0000A041"),  # Set_Limits(10, 20): the published vector
        frame(0x02D, "00000000 00000000"),
        frame(0x027, "08000000"),  # closed loop
    ]


def test_a_velocity_is_sent_in_revolutions_of_the_motor(clock: Any) -> None:
    """The published vector Set_Input_Vel(-2.5, ...) for node 1, here without torque."""
    wire = Wire(clock, gear_ratio=5.0, max_velocity=100.0)
    wire.driver.write(MotorCommand(velocity=-0.5 * TURN))
    assert wire.sent() == [frame(0x02D, "000020C0 00000000")]


def test_a_reversed_motor_turns_the_other_way(clock: Any) -> None:
    wire = Wire(clock, reverse=True, node=3)
    wire.driver.write(MotorCommand(velocity=TURN))
    assert wire.sent() == [frame(0x06D, "000080BF 00000000")]


@pytest.mark.parametrize("velocity", [50.0, -50.0, 5.000001])
def test_a_velocity_over_the_limit_is_refused_with_its_limit(clock: Any, velocity: float) -> None:
    wire = Wire(clock, max_velocity=5)
    with pytest.raises(CommandRefused) as info:
        wire.driver.check(MotorCommand(velocity=velocity))
    text = "velocity must be from -5 to 5 rad/s (max_velocity), not "
    assert str(info.value) == f"{text}{velocity:.12g}"
    assert info.value.reason == "velocity must be from # to # rad/s (max_velocity), not #"


@pytest.mark.parametrize("velocity", [5.0, -5.0])
def test_a_velocity_at_the_limit_is_sent(clock: Any, velocity: float) -> None:
    wire = Wire(clock, max_velocity=5)
    wire.driver.check(MotorCommand(velocity=velocity))
    wire.driver.write(MotorCommand(velocity=velocity))
    ((sent, _),) = [struct.unpack("<ff", f.data) for f in wire.sent()]
    assert sent * TURN == pytest.approx(velocity)


@pytest.mark.parametrize(("reverse", "expected"), [(False, 0.5), (True, -0.5)])
def test_a_torque_is_fed_forward_through_the_gears(
    clock: Any, reverse: bool, expected: float
) -> None:
    wire = Wire(clock, gear_ratio=4.0, max_torque=3.0, reverse=reverse)
    command = MotorCommand(velocity=0.0, torque=2.0)
    wire.driver.check(command)
    wire.driver.write(command)
    ((_, sent),) = [struct.unpack("<ff", f.data) for f in wire.sent()]
    assert sent == expected


@pytest.mark.parametrize(
    ("options", "torque", "text"),
    [
        ({}, 0.1, "torque must be from 0 to 0 N·m (max_torque), not 0.1"),
        ({"max_torque": 2.0}, -2.1, "torque must be from -2 to 2 N·m (max_torque), not -2.1"),
    ],
)
def test_a_torque_that_is_not_allowed_is_refused(
    clock: Any, options: Any, torque: float, text: str
) -> None:
    wire = Wire(clock, **options)
    with pytest.raises(CommandRefused) as info:
        wire.driver.check(MotorCommand(velocity=1.0, torque=torque))
    assert str(info.value) == text


def test_a_value_that_is_not_followed_is_refused(wire: Wire) -> None:
    with pytest.raises(CommandRefused) as info:
        wire.driver.check(MotorCommand(position=1.0))
    text = "position is given: in mode VELOCITY this driver follows velocity and torque only"
    assert str(info.value) == text


def test_other_control_modes_are_refused(wire: Wire) -> None:
    with pytest.raises(CommandRefused, match="VELOCITY only"):
        wire.driver.check(MotorCommand(mode=ControlMode.TORQUE, torque=1.0))
    wire.driver.check(MotorCommand(velocity=1.0))


def test_it_is_there_while_its_heartbeat_is(wire: Wire) -> None:
    assert not wire.driver.probe()
    wire.give(HEARTBEAT_IDLE)
    assert wire.driver.probe()
    wire.clock.advance(0.6)
    assert not wire.driver.probe()


def test_the_state_in_si_units(clock: Any) -> None:
    wire = Wire(clock, gear_ratio=2.0)
    wire.give(
        HEARTBEAT_CLOSED,
        ESTIMATES,
        frame(0x037, "0000C041 00000040"),  # 24 V, 2 A
        frame(0x034, "0000803F 00000041"),  # Iq 1 A wanted, 8 A measured
        frame(0x035, "0000F041 00002042"),  # 30 °C, 40 °C
    )
    state = wire.driver.read()
    assert isinstance(state, MotorState)
    assert state.position == pytest.approx(1.5 * TURN / 2)
    assert state.velocity == pytest.approx(-2 * TURN / 2)
    assert (state.voltage, state.current, state.temperature) == (24.0, 8.0, 30.0)
    assert state.armed
    assert wire.driver.read() is None  # once


def test_what_does_not_come_by_itself_is_asked_for(wire: Wire) -> None:
    wire.give(HEARTBEAT_IDLE)
    state = wire.driver.read()
    assert state is None
    asked = [f.id for f in wire.sent() if f.remote]
    assert asked == [0x029, 0x037, 0x035, 0x034]


def test_a_lost_heartbeat_is_stale(wire: Wire) -> None:
    wire.give(HEARTBEAT_IDLE, ESTIMATES)
    wire.driver.read()
    wire.clock.advance(0.6)
    with pytest.raises(DeviceFault, match="wheel|no heartbeat for 0.60 s") as info:
        wire.driver.read()
    assert info.value.kind is FaultKind.STALE


def test_an_axis_error_is_named(wire: Wire) -> None:
    wire.give(frame(0x021, "00000001 01 000000"))
    with pytest.raises(DeviceFault, match="0x01000000 WATCHDOG_TIMER_EXPIRED") as info:
        wire.driver.read()
    assert info.value.kind is FaultKind.REJECTED


def test_an_armed_axis_that_is_not_in_closed_loop_is_a_fault(wire: Wire) -> None:
    wire.driver.armed_ns = wire.clock.monotonic_ns()
    wire.give(HEARTBEAT_IDLE, ESTIMATES)
    assert wire.driver.read() is not None  # it may take a moment
    wire.clock.advance(0.6)
    wire.give(HEARTBEAT_IDLE)
    with pytest.raises(DeviceFault, match="state 1, not in closed loop: is it calibrated") as info:
        wire.driver.read()
    assert "Or was it restarted" in str(info.value)


def test_at_rest_is_idle_and_not_turning(wire: Wire) -> None:
    assert wire.driver.at_rest() == ""
    wire.give(HEARTBEAT_CLOSED, frame(0x029, "00000000 00000000"))
    assert wire.driver.at_rest() == ""
    wire.give(HEARTBEAT_IDLE, ESTIMATES)
    assert wire.driver.at_rest() == ""
    wire.give(frame(0x029, "00000000 00000000"))
    assert wire.driver.at_rest() == "stopped (0.0 rad/s, idle)"


# the twin, seen from the bus with ids and bytes only ----------------------------------------------


class Bench:
    def __init__(self, clock: Any, **options: Any) -> None:
        self.clock = clock
        wire = CanWire("can0", clock.monotonic_ns)
        self.twin = OdriveSim(OdriveConfig(node=1), OdriveSimConfig(**options))
        self.host = CanSimHost(wire.open(), [self.twin], clock.monotonic_ns)
        self.end = wire.open()

    def run(self, seconds: float) -> list[CanFrame]:
        """Let time pass; return what the twin sent."""
        for _ in range(round(seconds * 200)):
            self.clock.advance(0.005)
            self.host.step()
        return list(iter(self.end.receive, None))

    def send(self, id: int, data: str) -> None:
        self.end.send(frame(id, data))
        self.host.step()

    def closed_loop(self) -> None:
        self.send(0x02B, "02000000 01000000")
        self.send(0x02F, "00002041 0000A041")  # 10 rev/s, 20 A
        self.send(0x027, "08000000")

    def ask(self, id: int) -> tuple[float, ...]:
        self.run(0.0)
        self.end.send(CanFrame(id, remote=True))
        self.host.step()
        answers = [f for f in iter(self.end.receive, None) if f.id == id and not f.remote]
        return struct.unpack("<ff", answers[0].data)

    def state(self) -> int:
        beats = [f for f in self.run(0.2) if f.id == 0x021]
        return beats[-1].data[4]


@pytest.fixture
def bench(clock: Any) -> Bench:
    return Bench(clock)


def test_the_twin_beats_ten_times_a_second_and_estimates_a_hundred_times(bench: Bench) -> None:
    frames = bench.run(2.0)
    assert sum(f.id == 0x021 for f in frames) == pytest.approx(20, abs=1)
    assert sum(f.id == 0x029 for f in frames) == pytest.approx(200, abs=2)
    assert all(len(f.data) == 8 for f in frames)


def test_it_follows_a_velocity_within_what_inertia_and_current_allow(bench: Bench) -> None:
    bench.closed_loop()
    bench.send(0x02D, "00000040 00000000")  # 2 rev/s
    bench.run(0.01)
    assert 0 < bench.ask(0x029)[1] < 1.5
    bench.run(1.0)
    assert bench.ask(0x029)[1] == pytest.approx(2.0, abs=0.05)


def test_it_keeps_to_its_velocity_limit(bench: Bench) -> None:
    bench.closed_loop()
    bench.send(0x02D, "0000C842 00000000")  # 100 rev/s
    bench.run(3.0)
    assert bench.ask(0x029)[1] == pytest.approx(10.0, abs=0.2)


def test_it_keeps_to_its_current_limit(bench: Bench) -> None:
    bench.closed_loop()
    bench.send(0x02F, "00002041 0000803F")  # 1 A
    bench.send(0x02D, "00002041 00000000")
    bench.run(0.02)
    assert bench.ask(0x034)[1] == pytest.approx(1.0, abs=1e-3)


def test_a_torque_fed_forward_is_added_to_that_of_the_velocity_loop(bench: Bench) -> None:
    bench.closed_loop()
    bench.send(0x02D, "00000000 CDCC4C3D")  # 0 rev/s, 0.05 N·m
    bench.run(0.01)
    assert bench.twin.truth()["current"] > 1.0
    bench.send(0x02F, "00002041 0000003F")  # 0.5 A
    bench.run(0.01)
    assert bench.twin.truth()["current"] == pytest.approx(0.5)


def test_idle_it_does_not_follow_and_comes_to_rest_by_friction(bench: Bench) -> None:
    bench.closed_loop()
    bench.send(0x02D, "00000040 00000000")
    bench.run(1.0)
    bench.send(0x027, "01000000")
    assert bench.state() == 1
    bench.run(2.0)
    assert bench.ask(0x029)[1] == 0.0
    assert bench.twin.truth()["at_rest"]


def test_without_velocity_mode_it_does_not_turn(bench: Bench) -> None:
    bench.send(0x027, "08000000")
    bench.send(0x02D, "00000040 00000000")
    bench.run(1.0)
    assert bench.ask(0x029)[1] == 0.0


def test_padded_commands_are_read_by_offset(bench: Bench) -> None:
    bench.send(0x027, "08000000 00000000")
    assert bench.state() == 8


def test_emergency_stop_trips_and_stays_until_errors_are_cleared(bench: Bench) -> None:
    bench.closed_loop()
    bench.send(0x022, "")
    assert bench.state() == 1
    bench.send(0x027, "08000000")
    assert bench.state() == 1
    beat = next(f for f in bench.run(0.2) if f.id == 0x021)
    assert beat.data[:4] == bytes.fromhex("00000002")
    bench.send(0x038, "")
    bench.send(0x027, "08000000")
    assert bench.state() == 8


def test_the_watchdog_trips_when_it_is_on_and_not_fed(clock: Any) -> None:
    bench = Bench(clock, watchdog=0.3)
    bench.closed_loop()
    for _ in range(5):
        bench.run(0.2)
        bench.send(0x02D, "00000000 00000000")
    assert bench.state() == 8
    bench.run(0.5)
    assert bench.state() == 1
    assert bench.twin.error == 0x01000000


def test_nan_trips_it(bench: Bench) -> None:
    bench.closed_loop()
    bench.send(0x02D, "0000C07F 00000000")
    assert bench.state() == 1
    assert bench.twin.error


def test_power_and_temperature_answer_when_asked(bench: Bench) -> None:
    assert bench.ask(0x037)[0] == 24.0
    assert bench.ask(0x035) == (25.0, 25.0)
    bench.closed_loop()
    bench.send(0x02D, "00002041 00000000")
    bench.run(5.0)
    assert bench.ask(0x037)[1] > 0
    assert bench.ask(0x035)[0] > 25.0


def test_a_power_cut_leaves_it_idle_and_unconfigured(bench: Bench) -> None:
    bench.closed_loop()
    bench.run(0.0)
    bench.twin.unplug()
    assert bench.run(0.5) == []
    bench.twin.plug()
    assert bench.state() == 1
    assert not bench.twin.velocity_mode

"""Dynamixel X series: packets counted by hand, and the behaviour of the twin."""

import math
from typing import Any

import pytest
from horus_drivers.servo.dynamixel import Dynamixel, DynamixelConfig, DynamixelSim

from horus.hal import CommandRefused, DeviceFault, FaultKind, LocalSerial, SerialLink
from horus.hal.checksums import crc16_umts
from horus.msgs import ControlMode, JointCommand
from horus.testing.serial import ScriptedSerial

PING_1 = "FFFFFD00 01 0300 01 194E"  # published
XL430_1 = "FFFFFD00 01 0700 55 00 2404 2D F4DF"
TORQUE_OFF = "FFFFFD00 FE 0D00 83 4000 0100 01 00 02 00 03 00 FE51"
ASK_STATES = "FFFFFD00 FE 0900 82 7E00 0A00 01 02 3892"
STATE_1 = "FFFFFD00 01 0E00 55 00 1000 F6FFFFFF 000C0000 0563"  # -10 units, 3072 counts
STATE_2 = "FFFFFD00 02 0E00 55 00 F0FF 64000000 00080000 5A1C"  # 100 units, 2048 counts
STATE_2_ALERT = "FFFFFD00 02 0E00 55 80 F0FF 64000000 00080000 653C"


class Wire:
    def __init__(self, clock: Any, *ids: int, **options: Any) -> None:
        self.bus = ScriptedSerial(clock, 57_600)
        link = SerialLink(self.bus, ids[0], "arm", clock.monotonic_ns)
        self.driver = Dynamixel(DynamixelConfig(ids=ids, **options), link)


def plain(*texts: str) -> list[str]:
    return [text.replace(" ", "") for text in texts]


def with_crc(text: str) -> str:
    data = bytes.fromhex(text)
    crc = crc16_umts(data)
    return (data + bytes((crc & 0xFF, crc >> 8))).hex()


# frames -------------------------------------------------------------------------------------------


def test_the_published_crc() -> None:
    assert crc16_umts(b"123456789") == 0xFEE8


def test_a_ping_is_the_published_one_and_the_model_is_in_its_answer(clock: Any) -> None:
    wire = Wire(clock, 1)
    wire.bus.give(XL430_1)
    assert wire.driver.model(1) == ("XL430-W250, firmware 45", True)
    assert wire.bus.sent() == plain(PING_1)


def test_a_read_is_the_published_one(clock: Any) -> None:
    wire = Wire(clock, 1)
    wire.bus.give(with_crc("FFFFFD00 01 0800 55 00 00080000"))
    assert wire.driver.map.servo(1).present_position == 2048
    assert wire.bus.sent() == plain("FFFFFD00 01 0700 02 8400 0400 1D15")


@pytest.mark.parametrize(
    ("goal", "bytes_sent"),
    [
        (512, "FFFFFD00 01 0900 03 7400 00020000 CA89"),
        (1000, "FFFFFD00 01 0900 03 7400 E8030000 F0A9"),
    ],
)
def test_a_write_is_the_published_one(clock: Any, goal: int, bytes_sent: str) -> None:
    wire = Wire(clock, 1)
    wire.bus.give("FFFFFD00 01 0400 55 00 A10C")
    wire.driver.map.servo(1).goal_position = goal
    assert wire.bus.sent() == plain(bytes_sent)


def test_what_looks_like_a_header_is_stuffed_and_the_stuffing_is_taken_out(clock: Any) -> None:
    wire = Wire(clock, 1)
    frame = wire.driver.map.encode(1, 3, bytes.fromhex("7400 FFFFFD00"))
    assert frame[:-2] == bytes.fromhex("FFFFFD00 01 0A00 03 7400 FFFFFDFD 00")
    wire.bus.give(with_crc("FFFFFD00 01 0900 55 00 FFFFFDFD 00"))
    assert wire.driver.map.servo(1).present_position == 0x00FDFFFF


def test_safe_is_one_frame_for_all_and_waits_for_nothing(clock: Any) -> None:
    wire = Wire(clock, 1, 2, 3)
    before = clock.now_ns
    wire.driver.safe()
    assert wire.bus.sent() == plain(TORQUE_OFF)
    assert clock.now_ns == before


def test_goals_go_out_in_one_frame(clock: Any) -> None:
    wire = Wire(clock, 1, 2)
    wire.driver.write(JointCommand(position=[-math.pi / 2, math.pi / 2]))
    assert wire.bus.sent() == plain("FFFFFD00 FE 1100 83 7400 0400 01 00040000 02 000C0000 130C")


def test_a_command_for_some_joints_leaves_the_others_alone(clock: Any) -> None:
    wire = Wire(clock, 1, 2, names=("shoulder", "elbow"))
    wire.driver.write(JointCommand("elbow", position=[math.pi / 2]))
    (frame,) = wire.bus.sent()
    assert frame.startswith("FFFFFD00FE0C008374000400" + "02" + "000C0000")


def test_states_in_si_units(clock: Any) -> None:
    wire = Wire(clock, 1, 2)
    wire.bus.give(STATE_1 + STATE_2)
    before = clock.now_ns
    state = wire.driver.read()
    assert wire.bus.sent() == plain(ASK_STATES)
    assert state.joints == ("joint_1", "joint_2")
    assert list(state.position) == pytest.approx([math.pi / 2, 0.0])
    assert list(state.velocity) == pytest.approx([-0.2397, 2.397], abs=1e-3)
    assert wire.driver.link.stamp_ns == before


def test_zero_and_reverse_turn_servo_angles_into_those_of_joints(clock: Any) -> None:
    wire = Wire(clock, 1, 2, zero=[0.5, -0.25], reverse=[1])
    wire.bus.give(STATE_1 + STATE_2)
    state = wire.driver.read()
    assert list(state.position) == pytest.approx([0.5 - math.pi / 2, 0.25])
    assert list(state.velocity) == pytest.approx([0.2397, 2.397], abs=1e-3)
    for joint, angle in zip(wire.driver.joints, state.position, strict=True):
        assert joint.angle(joint.counts(angle)) == pytest.approx(angle, abs=1e-9)


# errors -------------------------------------------------------------------------------------------


def test_garbage_and_an_echo_before_the_answer_do_no_harm(clock: Any) -> None:
    wire = Wire(clock, 1, 2)
    wire.bus.give(ASK_STATES + "00FFFFFD" + STATE_1 + "FF" + STATE_2)
    assert wire.driver.read().position[0] == pytest.approx(math.pi / 2)


def test_a_lost_answer_is_asked_for_again_and_only_that(clock: Any) -> None:
    wire = Wire(clock, 1, 2)
    wire.bus.give(STATE_1, STATE_2)
    begun = clock.now_ns
    assert list(wire.driver.read().position) == pytest.approx([math.pi / 2, 0.0])
    first, second = wire.bus.sent()
    assert first == plain(ASK_STATES)[0]
    assert second.startswith("FFFFFD00FE080082" + "7E000A00" + "02")
    assert wire.driver.link.stamp_ns == begun  # as old as the oldest of it


def test_where_anything_came_damaged_all_are_asked_again(clock: Any) -> None:
    wire = Wire(clock, 1, 2)
    damaged = STATE_1.replace("000C0000", "000D0000")
    wire.bus.give(damaged + STATE_2, STATE_1 + STATE_2)
    assert wire.driver.read().position[0] == pytest.approx(math.pi / 2)
    assert wire.bus.sent() == plain(ASK_STATES, ASK_STATES)


def test_an_answer_of_another_servo_or_length_is_not_taken(clock: Any) -> None:
    wire = Wire(clock, 1)
    wire.bus.give(STATE_2, with_crc("FFFFFD00 01 0400 55 00"), "", "")
    with pytest.raises(DeviceFault) as info:
        _ = wire.driver.map.servo(1).present
    assert info.value.kind is FaultKind.TIMEOUT
    assert "servo 1 (joint_1): no answer within" in str(info.value)


def test_one_dead_servo_is_named(clock: Any) -> None:
    wire = Wire(clock, 1, 2, names=("shoulder", "elbow"))
    wire.bus.give(STATE_1)
    with pytest.raises(DeviceFault) as info:
        wire.driver.read()
    text = "no answer from servo 2 (elbow); 1 of the same chain answer: check its cable, "
    assert str(info.value) == text + "its power and its id"


@pytest.mark.parametrize(
    ("error", "words"),
    [(4, "out of range"), (6, "over a limit"), (7, "read-only, or locked"), (9, "error 9")],
)
def test_a_refusal_is_told_in_words(clock: Any, error: int, words: str) -> None:
    wire = Wire(clock, 1)
    wire.bus.give(with_crc(f"FFFFFD00 01 0400 55 {error:02X}"))
    with pytest.raises(DeviceFault, match=words) as info:
        wire.driver.map.servo(1).operating_mode = 3
    assert info.value.kind is FaultKind.REJECTED


def test_a_request_that_came_damaged_is_repeated(clock: Any) -> None:
    wire = Wire(clock, 1)
    wire.bus.give(with_crc("FFFFFD00 01 0400 55 03"), "FFFFFD00 01 0400 55 00 A10C")
    wire.driver.map.servo(1).torque = 1
    assert len(wire.bus.sent()) == 2


def test_an_alert_is_looked_into_and_named(clock: Any) -> None:
    wire = Wire(clock, 1, 2)
    health = bytearray(35)
    health[6] = 0x20
    wire.bus.give(STATE_1 + STATE_2_ALERT, with_crc("FFFFFD00 02 2700 55 80" + health.hex()))
    with pytest.raises(DeviceFault, match=r"servo 2 \(joint_2\): hardware error: overload"):
        wire.driver.read()


def test_a_position_that_cannot_be_is_no_sample(clock: Any) -> None:
    wire = Wire(clock, 1)
    wire.bus.give(with_crc("FFFFFD00 01 0E00 55 00 0000 00000000 FFFFFF7F"))
    with pytest.raises(DeviceFault) as info:
        wire.driver.read()
    assert info.value.kind is FaultKind.CORRUPT


def test_another_model_is_refused_naming_both(clock: Any) -> None:
    wire = Wire(clock, 1)
    mx_106 = with_crc("FFFFFD00 01 0700 55 00 4101 2D")
    wire.bus.give(mx_106, mx_106)
    with pytest.raises(DeviceFault) as info:
        wire.driver.probe()
    assert info.value.kind is FaultKind.REJECTED
    text = "servo 1 (joint_1) is a device of model number 321, not a Dynamixel of the X series"
    assert text in str(info.value)


def test_nobody_there_is_absent_and_some_missing_is_a_fault(clock: Any) -> None:
    assert Wire(clock, 1, 2).driver.probe() is False
    wire = Wire(clock, 1, 2)
    wire.bus.give(XL430_1)
    with pytest.raises(DeviceFault, match=r"no answer from servo 2 \(joint_2\); the other 1"):
        wire.driver.probe()


# commands -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"position": [0.0]}, "position has 1 values for 2 joints"),
        ({"names": "wrist", "position": [0.0]}, "no joint wrist"),
        ({"names": "joint_1,joint_1", "position": [0.0, 0.0]}, "named twice"),
        ({"position": [0.0, 1.6]}, "position of joint_2 must be from -1.5 to 1.5 rad, not 1.6"),
        ({"position": [0.0, 0.0], "velocity": [1.0, 1.0]}, "velocity is given"),
        ({"velocity": [1.0, 1.0]}, "velocity is given"),
        ({"mode": ControlMode.VELOCITY, "velocity": [1.0, 1.0]}, r"POSITION only \(mode\)"),
        ({"mode": ControlMode.TORQUE, "effort": [1.0, 1.0]}, "control mode 3"),
        ({}, "position has 0 values"),
    ],
)
def test_commands_that_cannot_be_followed_are_refused(
    clock: Any, given: dict[str, Any], text: str
) -> None:
    driver = Wire(clock, 1, 2, min_angle=[-1.5], max_angle=[2.0, 1.5]).driver
    with pytest.raises(CommandRefused, match=text):
        driver.check(JointCommand(**given))
    driver.check(JointCommand(position=[1.9, 1.5]))


def test_velocities_within_their_limit(clock: Any) -> None:
    wire = Wire(clock, 1, mode="velocity", max_velocity=2.0, reverse=[1])
    go = JointCommand(velocity=[2.0], mode=ControlMode.VELOCITY)
    wire.driver.check(go)
    wire.driver.write(go)
    assert wire.bus.sent()[0].startswith("FFFFFD00FE0C008368000400" + "01" + "ADFFFFFF")  # -83
    with pytest.raises(CommandRefused, match="max_velocity"):
        wire.driver.check(JointCommand(velocity=[2.1], mode=ControlMode.VELOCITY))


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"ids": (1, 1)}, "twice"),
        ({"ids": ()}, "must be a list"),
        ({"ids": (253,)}, "item 1 must be from 0 to 252"),
        ({"ids": tuple(range(33))}, "room for 32"),
        ({"names": ("a",)}, "1 names for 2 ids"),
        ({"names": ("a", "a")}, "a name twice"),
        ({"names": ("a", "b,c")}, "without commas"),
        ({"min_angle": (0.0, 0.0, 0.0)}, "3 angles for 2 ids"),
        ({"min_angle": (1.0,), "max_angle": (0.5, 2.0)}, "below max_angle"),
        ({"reverse": (3,)}, "3, which is not among the ids"),
        ({"watchdog": 2.6}, "from 0 to 2.54 s"),
    ],
)
def test_options_that_do_not_fit_are_refused(given: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        DynamixelConfig(**{"ids": (1, 2), **given})


# the twin -----------------------------------------------------------------------------------------


class Bench:
    """A chain of twins, its driver, and the line between them."""

    def __init__(self, clock: Any, *ids: int, **options: Any) -> None:
        self.clock = clock
        config = DynamixelConfig(ids=ids, **options)
        self.twin = DynamixelSim(config)
        self.bus = LocalSerial([self.twin], "servos", clock.monotonic_ns, clock.sleep)
        self.driver = Dynamixel(config, SerialLink(self.bus, 1, "arm", clock.monotonic_ns))

    def configured(self) -> "Bench":
        assert self.driver.probe()
        self.driver.safe()
        for wait in self.driver.configure():
            self.clock.advance(wait)
        return self

    def armed(self) -> "Bench":
        self.configured()
        self.driver.arm()
        self.driver.armed_ns = self.clock.monotonic_ns()
        return self

    def run(self, seconds: float, command: JointCommand | None = None) -> Any:
        state = None
        for _ in range(round(seconds * 50)):
            self.clock.advance(0.02)
            if command is not None:
                self.driver.write(command)
            state = self.driver.read()
        return state

    def say(self, text: str) -> str:
        """Send bytes and return what comes back, both without the driver."""
        self.bus.read()
        self.bus.write(bytes.fromhex(text))
        return self.bus.read().hex().upper()


def test_the_twin_answers_the_published_ping(clock: Any) -> None:
    assert Bench(clock, 1).say(PING_1) == plain(XL430_1)[0]


def test_all_answer_a_ping_to_all(clock: Any) -> None:
    said = Bench(clock, 1, 2).say(with_crc("FFFFFD00 FE 0300 01"))
    assert said.startswith(plain(XL430_1)[0])
    assert len(said) == 2 * 14 * 2


def test_configuring_changes_lasting_memory_only_where_it_differs(clock: Any) -> None:
    bench = Bench(clock, 1, 2, mode="velocity")
    written: list[int] = []
    original = bench.twin.write

    def write(servo: Any, address: int, data: bytes) -> int:
        written.append(address)
        return original(servo, address, data)

    bench.twin.write = write  # type: ignore[method-assign]
    bench.configured()
    assert written.count(11) == 2
    written.clear()
    bench.configured()
    assert min(written) >= 64


def test_arming_holds_where_it_is(clock: Any) -> None:
    bench = Bench(clock, 1, 2).configured()
    bench.twin.servos[1].motor.position = 0.7
    bench.driver.arm()
    bench.driver.armed_ns = clock.monotonic_ns()
    state = bench.run(1.0)
    assert list(state.position) == pytest.approx([0.7, 0.0], abs=0.01)
    assert not bench.twin.truth()["at_rest"]


def test_a_joint_outside_of_its_limits_is_not_armed(clock: Any) -> None:
    bench = Bench(clock, 1, max_angle=[1.0]).configured()
    bench.twin.servos[1].motor.position = 1.2
    bench.run(0.1)
    with pytest.raises(DeviceFault, match=r"joint_1 is at 1\.20 rad, outside of -3\.14 to 1\.00"):
        bench.driver.arm()


def test_limits_in_the_servo_are_observed(clock: Any) -> None:
    bench = Bench(clock, 1)
    bench.twin.servos[1].table.highest = 3072
    bench.configured()
    with pytest.raises(CommandRefused, match=r"to 1\.57079632679 rad"):
        bench.driver.check(JointCommand(position=[1.6]))


def test_a_goal_is_reached_no_faster_than_allowed(clock: Any) -> None:
    bench = Bench(clock, 1, 2, max_velocity=1.0).armed()
    go = JointCommand(position=[1.0, -1.0])
    fastest = 0.0
    for _ in range(75):
        state = bench.run(0.02, go)
        fastest = max(fastest, *map(abs, state.velocity))
    assert 0.9 < fastest < 1.1
    assert list(state.position) == pytest.approx([1.0, -1.0], abs=0.03)


@pytest.mark.parametrize(("seconds", "units"), [(0.0, 0), (0.01, 2), (0.05, 3), (2.54, 127)])
def test_a_watchdog_of_0_is_off_and_others_are_rounded_up(
    clock: Any, seconds: float, units: int
) -> None:
    bench = Bench(clock, 1, mode="velocity", watchdog=seconds).armed()
    assert bench.twin.servos[1].table.watchdog == units


def test_its_watchdog_stops_it_when_the_line_goes_dead(clock: Any) -> None:
    bench = Bench(clock, 1, mode="velocity", watchdog=0.2).armed()
    bench.run(0.5, JointCommand(velocity=[2.0], mode=ControlMode.VELOCITY))
    assert bench.twin.truth()["velocity"] == pytest.approx(2.0, abs=0.2)
    for _ in range(100):
        clock.advance(0.01)
        bench.twin.advance(clock.monotonic_ns())
    assert bench.twin.truth()["velocity"] < 0.05
    assert bench.twin.servos[1].table.watchdog == 0xFF
    with pytest.raises(DeviceFault, match="its watchdog tripped"):
        bench.run(0.5)
    bench.driver.safe()
    bench.driver.armed_ns = 0
    bench.armed()
    state = bench.run(0.5, JointCommand(velocity=[2.0], mode=ControlMode.VELOCITY))
    assert state.velocity[0] == pytest.approx(2.0, abs=0.2)


def test_a_power_cut_of_one_servo_is_noticed(clock: Any) -> None:
    bench = Bench(clock, 1, 2).armed()
    bench.twin.start(bench.twin.servos[2])
    with pytest.raises(DeviceFault, match=r"servo 2 \(joint_2\) lost its torque"):
        bench.run(1.0)


def test_a_dead_servo_is_named_though_those_behind_it_keep_silent(clock: Any) -> None:
    bench = Bench(clock, 1, 2, 3, names=("base", "elbow", "wrist")).configured()
    bench.twin.dead = 2.0
    with pytest.raises(DeviceFault, match=r"no answer from servo 2 \(elbow\); 1, 3 of the same"):
        bench.driver.read()


def test_too_little_voltage_shuts_it_down_and_is_forgotten_once_over(clock: Any) -> None:
    bench = Bench(clock, 1).armed()
    bench.twin.supply = 5.0
    with pytest.raises(DeviceFault, match="hardware error: input voltage"):
        bench.run(0.5)
    bench.driver.armed_ns = 0
    bench.driver.safe()
    bench.twin.supply = 12.0
    bench.armed()
    assert bench.run(0.5) is not None


def test_settings_are_locked_while_torque_is_on(clock: Any) -> None:
    bench = Bench(clock, 1).armed()
    with pytest.raises(DeviceFault, match="locked while torque is on"):
        bench.driver.map.servo(1).operating_mode = 1


def test_the_commands_by_name(clock: Any) -> None:
    bench = Bench(clock, 1, 2).configured()

    def result(steps: Any) -> str:
        while True:
            try:
                clock.advance(next(steps))
            except StopIteration as end:
                return str(end.value)

    assert (
        result(bench.driver.scan(0, 5))
        == "1 (XL430-W250, firmware 45), 2 (XL430-W250, firmware 45)"
    )
    assert "firmware 45" in result(bench.driver.reboot(1))
    with pytest.raises(CommandRefused, match="id 2 is already"):
        bench.driver.set_id(1, 2)
    assert bench.driver.set_id(1, 9).startswith("servo 1 is now 9")
    assert result(bench.driver.scan(0, 10)).startswith("2 (XL430-W250, firmware 45), 9")
    bench.driver.armed_ns = 1
    with pytest.raises(CommandRefused, match="in use"):
        bench.driver.set_id(9, 1)


@pytest.mark.parametrize("share", [0.001, 0.01, 0.2])
@pytest.mark.parametrize("fault", ["nak", "corrupt", "drop"])
def test_no_wrong_value_is_ever_delivered(clock: Any, fault: str, share: float) -> None:
    bench = Bench(clock, 1, 2, 3).configured()
    for servo, angle in zip(bench.twin.servos.values(), (0.5, -1.25, 2.5), strict=True):
        servo.motor.position = angle
    bench.run(0.1)
    getattr(bench.twin, fault)(share)
    delivered = 0
    for _ in range(250):
        clock.advance(0.02)
        begun = clock.monotonic_ns()
        try:
            state = bench.driver.read()
        except DeviceFault:
            continue
        finally:
            assert clock.monotonic_ns() - begun < 1.0e9
        delivered += 1
        assert list(state.position) == pytest.approx([0.5, -1.25, 2.5], abs=2e-3)
        assert list(state.velocity) == [0.0, 0.0, 0.0]
    assert delivered > 175

"""Feetech STS: packets counted by hand, and the behaviour of the twin."""

import math
from typing import Any

import pytest
from horus_drivers.servo.feetech import Feetech, FeetechConfig, FeetechMap, FeetechSim

from horus.hal import CommandRefused, Deframer, DeviceFault, FaultKind, LocalSerial, SerialLink
from horus.msgs import ControlMode, JointCommand
from horus.testing.serial import ScriptedSerial

PING_1 = "FFFF 01 02 01 FB"  # published
STS3215 = "FFFF 01 04 00 0903 EE"
TORQUE_OFF = "FFFF FE 08 83 28 01 01 00 02 00 4A"
ASK_STATES = "FFFF FE 06 82 38 0F 01 02 2F"
# 3072 counts, -100 counts/s, load -16, 12.0 V, 40 °C, moving, 10 units of current
STATE_1 = "FFFF 01 11 00 000C 6480 1004 78 28 00 00 01 0000 0A00 3E"
STATE_2 = "FFFF 02 11 00 0008 6400 0000 78 28 00 00 00 0000 0000 E0"


class Wire:
    def __init__(self, clock: Any, *ids: int, **options: Any) -> None:
        self.bus = ScriptedSerial(clock, 1_000_000)
        link = SerialLink(self.bus, ids[0], "arm", clock.monotonic_ns)
        self.driver = Feetech(FeetechConfig(ids=ids, **options), link)


def plain(*texts: str) -> list[str]:
    return [text.replace(" ", "") for text in texts]


def with_sum(text: str) -> str:
    data = bytes.fromhex(text)
    return (data + bytes((~sum(data[2:]) & 0xFF,))).hex()


def test_a_ping_is_the_published_one(clock: Any) -> None:
    wire = Wire(clock, 1)
    wire.bus.give("FFFF 01 02 00 FC")
    assert wire.driver.map.answers(1)
    assert wire.bus.sent() == plain(PING_1)


def test_a_goal_is_the_published_one() -> None:
    """WritePosEx(1, 1000, 2400, 50) of Feetech's SDK."""
    data = bytes.fromhex("29 32 E803 0000 6009")
    frame = FeetechMap.encode(1, 3, data)
    assert frame == bytes.fromhex("FFFF010A032932E8030000600942")


def test_the_model_by_its_number(clock: Any) -> None:
    wire = Wire(clock, 1)
    wire.bus.give(STS3215)
    assert wire.driver.model(1) == ("STS3215", True)
    assert wire.bus.sent() == plain("FFFF 01 04 02 03 02 F3")


def test_a_servo_of_the_scs_series_is_refused_naming_both(clock: Any) -> None:
    wire = Wire(clock, 1)
    wire.bus.give("FFFF 01 02 00 FC", with_sum("FFFF 01 04 00 0504"))
    with pytest.raises(
        DeviceFault, match="1029, not a Feetech servo .*: correct use: or ids:"
    ) as info:
        wire.driver.probe()
    assert info.value.kind is FaultKind.REJECTED


def test_safe_is_one_frame_for_all_and_waits_for_nothing(clock: Any) -> None:
    wire = Wire(clock, 1, 2)
    before = clock.now_ns
    wire.driver.safe()
    assert wire.bus.sent() == plain(TORQUE_OFF)
    assert clock.now_ns == before


def test_states_in_si_units_with_their_signs(clock: Any) -> None:
    wire = Wire(clock, 1, 2)
    wire.bus.give(STATE_1 + STATE_2)
    state = wire.driver.read()
    assert wire.bus.sent() == plain(ASK_STATES)
    assert list(state.position) == pytest.approx([math.pi / 2, 0.0])
    assert list(state.velocity) == pytest.approx([-0.1534, 0.1534], abs=1e-4)


def test_goals_go_out_in_one_frame_with_acceleration_and_speed(clock: Any) -> None:
    wire = Wire(clock, 1, 2, max_velocity=3.0, max_acceleration=20.0)
    wire.driver.write(JointCommand(position=[-math.pi / 2, math.pi / 2]))
    first, second = "01 82 0004 0000 A407", "02 82 000C 0000 A407"  # 130, 1024 and 3072, 1956
    assert wire.bus.sent() == plain(with_sum(f"FFFF FE 14 83 29 07 {first} {second}").upper())


def test_a_negative_velocity_has_a_sign_bit(clock: Any) -> None:
    wire = Wire(clock, 1, mode="velocity")
    wire.driver.write(JointCommand(velocity=[-1.0], mode=ControlMode.VELOCITY))
    assert wire.bus.sent() == plain(with_sum("FFFF FE 07 83 2E 02 01 8C82").upper())  # -652


def test_noise_of_ff_before_an_answer_does_no_harm(clock: Any) -> None:
    wire = Wire(clock, 1, 2)
    wire.bus.give("FF" + STATE_1 + "FFFF" + STATE_2)
    assert wire.driver.read().position[0] == pytest.approx(math.pi / 2)


def test_an_echo_of_what_was_asked_is_no_answer(clock: Any) -> None:
    wire = Wire(clock, 1)
    wire.bus.give("FFFF 01 04 02 03 02 F3" + STS3215)
    assert wire.driver.map.servo(1).model_number == 777


def test_where_anything_came_damaged_nothing_of_it_is_used(clock: Any) -> None:
    """A lost FF makes the next header's FF a checksum that fits: that frame must not count."""
    wire = Wire(clock, 1, 2)
    lost = bytearray.fromhex(with_sum("FFFF 01 11 00 FF07 FF00 0000 78 28 00 00 00 0000 0000"))
    del lost[5]
    frames = Deframer(FeetechMap.framing).feed(bytes(lost) + bytes.fromhex(STATE_2))
    assert len(frames) == 1 and frames[0][2] == 1  # it does fit
    wire.bus.give(lost.hex() + STATE_2, STATE_1 + STATE_2)
    assert wire.driver.read().position[0] == pytest.approx(math.pi / 2)
    assert wire.bus.sent() == plain(ASK_STATES, ASK_STATES)


def test_an_error_bit_is_a_fault_that_names_servo_and_error(clock: Any) -> None:
    wire = Wire(clock, 1, 2)
    overloaded = with_sum("FFFF 02 11 20 0008 6400 0000 78 28 00 00 00 0000 0000")
    wire.bus.give(STATE_1 + overloaded, with_sum("FFFF 02 12 20" + "00" * 16))
    with pytest.raises(DeviceFault, match=r"servo 2 \(joint_2\) reports: overload"):
        wire.driver.read()


# the twin -----------------------------------------------------------------------------------------


class Bench:
    def __init__(self, clock: Any, *ids: int, **options: Any) -> None:
        self.clock = clock
        config = FeetechConfig(ids=ids, **options)
        self.twin: Any = FeetechSim(config)
        self.bus = LocalSerial([self.twin], "servos", clock.monotonic_ns, clock.sleep)
        self.driver = Feetech(config, SerialLink(self.bus, 1, "arm", clock.monotonic_ns))

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


def test_a_goal_is_reached(clock: Any) -> None:
    bench = Bench(clock, 1, 2, max_velocity=1.0, reverse=[2], zero=[0.0, 0.2]).armed()
    state = bench.run(2.0, JointCommand(position=[1.0, -1.0]))
    assert list(state.position) == pytest.approx([1.0, -1.0], abs=0.03)
    assert bench.twin.truth()["position"] == pytest.approx([1.0, -1.0], abs=0.03)


def test_in_velocity_mode_it_turns_on_and_on(clock: Any) -> None:
    bench = Bench(clock, 1, mode="velocity").armed()
    state = bench.run(3.0, JointCommand(velocity=[-2.0], mode=ControlMode.VELOCITY))
    assert state.velocity[0] == pytest.approx(-2.0, abs=0.1)
    assert state.position[0] < -5.0


def test_the_mode_is_written_once_and_kept(clock: Any) -> None:
    bench = Bench(clock, 1, mode="velocity").configured()
    bench.twin.unplug()
    bench.twin.plug()
    assert bench.twin.servos[1].table.mode == 1
    assert bench.twin.servos[1].table.lock == 1


def test_what_is_written_while_locked_is_lost_with_power(clock: Any) -> None:
    bench = Bench(clock, 1).configured()
    bench.driver.map.write_all(33, {1: b"\x01"})
    assert bench.driver.map.servo(1).mode == 1
    bench.twin.unplug()
    bench.twin.plug()
    assert bench.driver.map.servo(1).mode == 0


def test_arming_holds_where_it_is(clock: Any) -> None:
    bench = Bench(clock, 1).configured()
    bench.twin.servos[1].motor.position = 0.7
    bench.run(0.02)
    bench.driver.arm()
    assert bench.run(1.0).position[0] == pytest.approx(0.7, abs=0.01)
    assert not bench.twin.truth()["at_rest"]


def test_a_servo_that_lost_its_torque_is_named(clock: Any) -> None:
    bench = Bench(clock, 1, 2).armed()
    bench.twin.start(bench.twin.servos[2])
    with pytest.raises(DeviceFault, match=r"servo 2 \(joint_2\) lost its torque"):
        bench.run(1.0)


def test_another_id_is_kept_too(clock: Any) -> None:
    bench = Bench(clock, 1).configured()
    assert bench.driver.set_id(1, 7) == "servo 1 is now 7: STS3215"
    bench.twin.unplug()
    bench.twin.plug()
    assert bench.driver.map.answers(7)
    assert not bench.driver.map.answers(1, attempts=1)
    bench.driver.armed_ns = 1
    with pytest.raises(CommandRefused, match="in use"):
        bench.driver.set_id(7, 1)


@pytest.mark.parametrize("share", [0.001, 0.01, 0.2])
@pytest.mark.parametrize("fault", ["nak", "corrupt", "drop"])
def test_no_wrong_value_is_ever_delivered(clock: Any, fault: str, share: float) -> None:
    bench = Bench(clock, 1, 2, 3).configured()
    # counts with FF among their bytes: the worst for a checksum of eight bits
    for servo, counts in zip(bench.twin.servos.values(), (0x07FF, 0x05FF, 0x0FFF), strict=True):
        servo.motor.position = (counts - 2048) * math.tau / 4096
    true = list(bench.run(0.1).position)
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
        assert list(state.position) == true
        assert list(state.velocity) == [0.0, 0.0, 0.0]
    assert delivered > 175

"""RoboClaw: packets counted by hand, and the behaviour of the twin."""

import math
from typing import Any

import pytest
from horus_drivers.motor.roboclaw import Roboclaw, RoboclawConfig, RoboclawSim

from horus.hal import CommandRefused, DeviceFault, FaultKind, LocalSerial, SerialLink
from horus.msgs import ControlMode, MotorCommand
from horus.testing.serial import ScriptedSerial

VERSION = "55534220526F626F636C61772032783135612076342E322E340A00 C403"  # USB Roboclaw 2x15a v4.2.4
QUIET = {"motor": 1, "counts_per_turn": 1000.0}


def link(bus: Any, clock: Any, config: RoboclawConfig) -> SerialLink:
    (station,) = Roboclaw.map_type.stations(config)
    return SerialLink(bus, station, "wheel", clock.monotonic_ns)


class Wire:
    def __init__(self, clock: Any, **options: Any) -> None:
        config = RoboclawConfig(**{**QUIET, **options})
        self.bus = ScriptedSerial(clock, 38_400)
        self.driver = Roboclaw(config, link(self.bus, clock, config))

    def sent(self) -> list[str]:
        return self.bus.sent()


def test_safe_is_a_duty_of_zero_and_waits_for_nothing(clock: Any) -> None:
    before = clock.now_ns
    one, two = Wire(clock), Wire(clock, motor=2)
    one.driver.safe()
    two.driver.safe()
    assert one.sent() == ["802000005BFE"]
    assert two.sent() == ["802100006CCE"]
    assert clock.now_ns == before


def test_a_velocity_is_counts_a_second_with_an_acceleration(clock: Any) -> None:
    wire = Wire(clock, max_acceleration=math.tau * 22.914)
    wire.bus.give("FF")
    wire.driver.write(MotorCommand(velocity=-math.tau))
    assert wire.sent() == ["80260000 5982 FFFFFC18 0630".replace(" ", "")]


def test_reversed_it_turns_the_other_way(clock: Any) -> None:
    wire = Wire(clock, reverse=True)
    wire.bus.give("FF", "FF")
    wire.driver.write(MotorCommand(velocity=math.tau))
    wire.driver.write(MotorCommand(mode=ControlMode.DUTY, duty=0.5))
    speed, duty = wire.sent()
    assert speed[12:20] == "FFFFFC18"
    assert duty[4:8] == "C000"


def test_the_speed_of_the_published_vector() -> None:
    """Command 35 with 1000 counts a second, as the board finds it in a stream after garbage."""
    frame = bytes.fromhex("8023000003E81B33")
    measure = Roboclaw.map_type.framing.measure
    assert [measure(b"\x00" + frame), measure(frame), measure(frame[:2])] == [-1, 8, 8]
    assert Roboclaw.map_type.framing.valid(frame)
    assert not Roboclaw.map_type.framing.valid(frame[:-1] + b"\x00")


def test_what_is_not_confirmed_is_sent_again(clock: Any) -> None:
    wire = Wire(clock)
    wire.bus.give("", "00", "FF")
    wire.driver.write(MotorCommand(velocity=1.0))
    assert len(wire.sent()) == 3
    with pytest.raises(DeviceFault) as info:
        wire.driver.write(MotorCommand(velocity=1.0))
    assert info.value.kind is FaultKind.TIMEOUT


def test_the_state_in_si_units(clock: Any) -> None:
    wire = Wire(clock)
    wire.bus.give("00000000 87BC", "FFFFFFF0 00 7CD3", "000005A0 01 DC92")
    state = wire.driver.read()
    assert wire.sent() == ["805A", "8010", "8012"]
    assert state.position == pytest.approx(-16 / 1000 * math.tau)
    assert state.velocity == pytest.approx(-1.44 * math.tau)  # the status says backward
    assert math.isnan(state.voltage)


def test_the_voltage_has_its_turn(clock: Any) -> None:
    wire = Wire(clock)
    wire.bus.give("0078 C865")
    wire.driver.examine_supply()
    assert wire.sent() == ["8018"]
    assert wire.driver._volts == 12.0


def test_a_status_of_two_bytes_is_understood_too(clock: Any) -> None:
    wire = Wire(clock)
    wire.bus.give("0004 04B3")
    with pytest.raises(DeviceFault, match=r"emergency stop \(0x4\)"):
        wire.driver.examine_errors()


def test_a_fault_of_the_other_motor_is_not_that_of_this_one(clock: Any) -> None:
    for motor in (1, 2):
        wire = Wire(clock, motor=motor)
        wire.bus.give("0200 2255")  # old firmware: driver fault of motor 2
        if motor == 1:
            wire.driver.examine_errors()
        else:
            with pytest.raises(DeviceFault, match="driver fault of motor 2"):
                wire.driver.examine_errors()


def test_an_answer_to_another_question_is_not_taken(clock: Any) -> None:
    """The checksum covers the question: a late answer to 16 does not answer 17."""
    wire = Wire(clock, motor=2)
    wire.bus.give("FFFFFFF0 00 7CD3", "FFFFFFF0 00 7CD3", "FFFFFFF0 00 7CD3")
    with pytest.raises(DeviceFault) as info:
        wire.driver.map.ask(wire.driver.map.encoders[1])
    assert info.value.kind is FaultKind.CORRUPT


def test_an_answer_behind_garbage_is_asked_for_again(clock: Any) -> None:
    wire = Wire(clock)
    wire.bus.give("AA 0078 C865", "0078 C865")
    wire.driver.examine_supply()
    assert wire.sent() == ["8018", "8018"]


def test_its_version_names_it_and_another_board_is_refused(clock: Any) -> None:
    wire = Wire(clock)
    assert wire.driver.probe() is False
    wire.bus.give(VERSION)
    assert wire.driver.probe() is True
    wire.bus.give("5361626572746F6F746820327832350A00 F4A7")
    with pytest.raises(DeviceFault, match="'Sabertooth 2x25' and not a RoboClaw") as info:
        wire.driver.probe()
    assert str(info.value).endswith("correct use: or address: in horus.yaml")


def test_the_time_out_of_the_board_is_set(clock: Any) -> None:
    wire = Wire(clock, watchdog=0.5)
    wire.bus.give("FF")
    next(iter(wire.driver.configure() or ()))
    assert wire.sent() == ["800E0548F0"]


@pytest.mark.parametrize(("seconds", "units"), [(0.0, 0), (0.01, 1), (0.11, 2), (25.5, 255)])
def test_a_watchdog_of_0_is_off_and_others_are_rounded_up(
    clock: Any, seconds: float, units: int
) -> None:
    assert Wire(clock, watchdog=seconds).driver.watchdog == units


def test_other_modes_and_values_over_the_limit_are_refused(clock: Any) -> None:
    driver = Wire(clock, max_velocity=5.0).driver
    driver.check(MotorCommand(velocity=-5.0))
    driver.check(MotorCommand(mode=ControlMode.DUTY, duty=-1.0))
    for wrong in (
        MotorCommand(velocity=5.1),
        MotorCommand(mode=ControlMode.DUTY, duty=1.1),
        MotorCommand(mode=ControlMode.POSITION),
        MotorCommand(velocity=1.0, torque=0.1),
        MotorCommand(mode=ControlMode.DUTY, duty=0.5, velocity=1.0),
    ):
        with pytest.raises(CommandRefused):
            driver.check(wrong)


@pytest.mark.parametrize(
    "wrong", [{"address": 0x88}, {"motor": 3}, {"counts_per_turn": 0.0}, {"watchdog": 26.0}]
)
def test_options_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RoboclawConfig(**{**QUIET, **wrong})


# the twin -----------------------------------------------------------------------------------------


class Bench:
    """Both motors of a board, each a device."""

    def __init__(self, clock: Any, **options: Any) -> None:
        self.clock = clock
        configs = [RoboclawConfig(**{**QUIET, **options, "motor": motor}) for motor in (1, 2)]
        self.twins = [RoboclawSim(config) for config in configs]
        self.bus = LocalSerial(self.twins, "uart", clock.monotonic_ns, clock.sleep)
        self.drivers = [Roboclaw(config, link(self.bus, clock, config)) for config in configs]

    def configured(self) -> "Bench":
        for driver in self.drivers:
            assert driver.probe()
            driver.safe()
            list(driver.configure())
        return self

    def run(self, seconds: float, *velocities: float) -> list[Any]:
        states: list[Any] = []
        for _ in range(round(seconds * 50)):
            self.clock.advance(0.02)
            for driver, velocity in zip(self.drivers, velocities, strict=False):
                driver.write(MotorCommand(velocity=velocity))
            states = [driver.read() for driver in self.drivers]
        return states

    def say(self, text: str) -> str:
        self.bus.read()
        self.bus.write(bytes.fromhex(text))
        return self.bus.read().hex().upper()


def test_two_motors_of_a_board_have_one_voice(clock: Any) -> None:
    bench = Bench(clock)
    assert bench.say("8015") == VERSION.replace(" ", "")
    assert bench.say("8115") == ""
    assert bench.say("8023000003E81B33") == "FF"
    assert bench.say("8023000003E81B34") == ""  # a wrong checksum


def test_each_motor_follows_its_own_commands(clock: Any) -> None:
    bench = Bench(clock).configured()
    one, two = bench.run(1.0, 5.0, -3.0)
    assert one.velocity == pytest.approx(5.0, abs=0.2)
    assert two.velocity == pytest.approx(-3.0, abs=0.2)
    assert bench.twins[0].truth()["velocity"] == pytest.approx(5.0, abs=0.2)
    assert bench.twins[1].truth()["velocity"] == pytest.approx(-3.0, abs=0.2)
    bench.drivers[0].safe()
    one, two = bench.run(0.5)
    assert bench.twins[0].truth()["at_rest"]
    assert two.velocity == pytest.approx(-3.0, abs=0.2)


def test_it_keeps_to_its_acceleration(clock: Any) -> None:
    bench = Bench(clock, max_acceleration=10.0).configured()
    one, _ = bench.run(0.3, 10.0, 0.0)
    assert one.velocity == pytest.approx(3.0, abs=0.5)


def test_its_time_out_stops_both_when_the_line_goes_dead(clock: Any) -> None:
    bench = Bench(clock, watchdog=0.3).configured()
    bench.run(0.5, 5.0, 5.0)
    for _ in range(50):
        clock.advance(0.02)
        for twin in bench.twins:
            twin.advance(clock.monotonic_ns())
    assert all(twin.truth()["at_rest"] for twin in bench.twins)


def test_a_restarted_board_is_noticed(clock: Any) -> None:
    bench = Bench(clock).configured()
    for twin in bench.twins:
        twin.power_on()
    with pytest.raises(DeviceFault, match=r"is 0\.0 s, not 0\.5 s: was it restarted, or"):
        bench.run(1.0)


def test_the_count_can_be_set(clock: Any) -> None:
    bench = Bench(clock, reverse=True).configured()
    bench.drivers[1].set_position(2.5)
    one, two = bench.run(0.1)
    assert (one.position, two.position) == (0.0, pytest.approx(2.5, abs=0.01))


@pytest.mark.parametrize("share", [0.001, 0.01, 0.2])
@pytest.mark.parametrize("fault", ["nak", "corrupt", "drop"])
def test_no_wrong_value_is_ever_delivered(clock: Any, fault: str, share: float) -> None:
    bench = Bench(clock).configured()
    driver, twin = bench.drivers[0], bench.twins[0]
    twin.channels[0].motor.position = -3.0
    true = bench.run(0.2)[0]
    getattr(twin, fault)(share)
    delivered = 0
    for _ in range(400):
        clock.advance(0.02)
        begun = clock.monotonic_ns()
        try:
            state = driver.read()
        except DeviceFault:
            continue
        finally:
            assert clock.monotonic_ns() - begun < 1.0e9
        delivered += 1
        assert (state.position, state.velocity) == (true.position, 0.0)
        assert state.voltage == 12.0
        assert state.temperature == pytest.approx(25.0, abs=0.2)
    assert delivered > 300

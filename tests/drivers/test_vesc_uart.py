"""VESC on a serial port: packets counted by hand, and the behaviour of the twin."""

import math
from typing import Any

import pytest
from horus_drivers.motor.vesc_uart import VescFraming, VescUart, VescUartConfig, VescUartSim, framed

from horus.hal import (
    CommandRefused,
    Deframer,
    DeviceFault,
    FaultKind,
    LocalSerial,
    SerialLink,
)
from horus.msgs import ControlMode, MotorCommand
from horus.testing.serial import ScriptedSerial

VERSION_5_2 = "0213 000502363000 00000000000000000000000000 576903"
VERSION_3_32 = "0204 00032000 5FB603"
# 25 °C, 40 °C, 10 A, 5 A, Iq 10 A, duty 0.2, 5000 ERPM, 24 V, 42 steps, id 7
VALUES = (
    "023B 04 00FA 0190 000003E8 000001F4 00000000 000003E8 00C8 00001388 00F0"
    "00000001 00000002 00000003 00000004 0000002A 0000002A 00 00000000 07 6C0C03"
)
VALUES_DRV = VALUES.replace("00 00000000 07 6C0C03", "03 00000000 07")


def link(bus: Any, clock: Any, config: VescUartConfig) -> SerialLink:
    (station,) = VescUart.map_type.stations(config)
    return SerialLink(bus, station, "wheel", clock.monotonic_ns)


class Wire:
    def __init__(self, clock: Any, **options: Any) -> None:
        config = VescUartConfig(**options)
        self.bus = ScriptedSerial(clock)
        self.driver = VescUart(config, link(self.bus, clock, config))


def test_an_erpm_is_the_published_one(clock: Any) -> None:
    wire = Wire(clock, pole_pairs=7)
    wire.driver.write(MotorCommand(velocity=5000 / 7 * math.tau / 60))
    assert wire.bus.sent() == ["02050800001388448D03"]


def test_a_duty_is_the_published_one(clock: Any) -> None:
    wire = Wire(clock)
    wire.driver.write(MotorCommand(mode=ControlMode.DUTY, duty=0.2))
    assert wire.bus.sent() == ["02050500004E2029F603"]


def test_safe_is_no_current_and_waits_for_nothing(clock: Any) -> None:
    wire = Wire(clock)
    before = clock.now_ns
    wire.driver.safe()
    assert wire.bus.sent() == ["02050600000000CD8503"]
    assert clock.now_ns == before


def test_the_state_in_si_units(clock: Any) -> None:
    wire = Wire(clock, pole_pairs=7, gear_ratio=2.0, torque_constant=0.05)
    wire.bus.give(VALUES)
    state = wire.driver.read()
    assert wire.bus.sent() == ["020104408403"]  # published
    assert state.position == pytest.approx(math.tau / 2)  # 42 steps are one turn of the motor
    assert state.velocity == pytest.approx(5000 / 7 * math.tau / 60 / 2)
    assert (state.current, state.voltage, state.temperature) == (10.0, 24.0, 40.0)
    assert state.torque == pytest.approx(10.0 * 0.05 * 2.0)
    assert state.mode == ControlMode.IDLE


def test_one_behind_the_port_is_reached_by_forwarding(clock: Any) -> None:
    wire = Wire(clock, node=5)
    wire.bus.give(VALUES)
    with pytest.raises(DeviceFault, match="VESC 7 answered instead of 5") as info:
        wire.driver.read()
    assert info.value.kind is FaultKind.CORRUPT
    assert wire.bus.sent() == ["0203220504 57D703".replace(" ", "")]
    wire = Wire(clock, node=7)
    wire.bus.give(VALUES)
    assert wire.driver.read().voltage == 24.0


def test_a_fault_is_named(clock: Any) -> None:
    wire = Wire(clock)
    data = bytes.fromhex(VALUES_DRV)[2:]
    wire.bus.give(framed(data).hex())
    with pytest.raises(DeviceFault, match="fault 3: gate driver") as info:
        wire.driver.read()
    assert info.value.kind is FaultKind.REJECTED


def test_firmware_that_is_too_old_is_refused_naming_both(clock: Any) -> None:
    wire = Wire(clock)
    assert wire.driver.probe() is False
    wire.bus.give(VERSION_5_2)
    assert wire.driver.probe() is True
    wire.bus.give(VERSION_3_32)
    with pytest.raises(DeviceFault, match=r"firmware 3\.32, not 3\.33 or later"):
        wire.driver.probe()


def test_a_short_answer_is_no_answer(clock: Any) -> None:
    wire = Wire(clock)
    short = framed(bytes.fromhex(VALUES)[2:20]).hex()
    wire.bus.give(short, VALUES)
    assert wire.driver.read().voltage == 24.0
    assert len(wire.bus.sent()) == 2


def test_commands_over_a_limit_are_refused(clock: Any) -> None:
    driver = Wire(clock, max_velocity=5.0).driver
    driver.check(MotorCommand(velocity=5.0))
    for wrong in (
        MotorCommand(velocity=-5.1),
        MotorCommand(mode=ControlMode.DUTY, duty=1.01),
        MotorCommand(mode=ControlMode.TORQUE, torque=1.0),
    ):
        with pytest.raises(CommandRefused):
            driver.check(wrong)


@pytest.mark.parametrize("size", [1, 59, 255, 256, 512])
def test_short_and_long_frames_are_found_again_after_garbage(size: int) -> None:
    data = bytes(n * 7 % 256 for n in range(size))
    frame = framed(data)
    assert frame[0] == (2 if size < 256 else 3)
    for garbage in (b"", b"\x02", b"\x03\x00", b"\x02\x05\x08\x00", b"\x03\x03\x03"):
        deframer = Deframer(VescFraming())
        found = []
        for byte in garbage + frame + frame + bytes(600):
            found += deframer.feed(bytes((byte,)))
        assert found == [frame, frame], garbage


def test_a_wrong_end_or_checksum_is_no_frame() -> None:
    frame = bytes.fromhex("02050800001388448D03")
    for place in range(2, len(frame)):
        damaged = bytearray(frame)
        damaged[place] ^= 0x10
        assert Deframer(VescFraming()).feed(bytes(damaged)) == []


# the twin -----------------------------------------------------------------------------------------


class Bench:
    def __init__(self, clock: Any, *nodes: int | None, **options: Any) -> None:
        self.clock = clock
        configs = [VescUartConfig(node=node, **options) for node in nodes]
        self.twins = [VescUartSim(config) for config in configs]
        self.bus = LocalSerial(self.twins, "uart", clock.monotonic_ns, clock.sleep)
        self.drivers = [VescUart(config, link(self.bus, clock, config)) for config in configs]

    def run(self, seconds: float, *velocities: float) -> list[Any]:
        states: list[Any] = []
        for _ in range(round(seconds * 50)):
            self.clock.advance(0.02)
            for driver, velocity in zip(self.drivers, velocities, strict=False):
                driver.write(MotorCommand(velocity=velocity))
            states = [driver.read() for driver in self.drivers]
        return states


def test_two_behind_one_port_follow_their_own_commands(clock: Any) -> None:
    bench = Bench(clock, None, 7)
    assert all(driver.probe() for driver in bench.drivers)
    one, two = bench.run(1.0, 5.0, -8.0)
    assert one.velocity == pytest.approx(5.0, abs=0.3)
    assert two.velocity == pytest.approx(-8.0, abs=0.3)


def test_its_own_time_out_releases_it(clock: Any) -> None:
    bench = Bench(clock, None)
    bench.run(1.0, 5.0)
    assert not bench.twins[0].truth()["at_rest"]
    bench.run(2.0)  # asked, but not commanded
    assert bench.twins[0].truth()["at_rest"]


def test_too_little_voltage_is_a_fault(clock: Any) -> None:
    bench = Bench(clock, None)
    bench.twins[0].voltage = 6.0
    with pytest.raises(DeviceFault, match="fault 2: under voltage"):
        bench.run(0.1)


@pytest.mark.parametrize("share", [0.001, 0.01, 0.2])
@pytest.mark.parametrize("fault", ["nak", "corrupt", "drop"])
def test_no_wrong_value_is_ever_delivered(clock: Any, fault: str, share: float) -> None:
    bench = Bench(clock, None)
    driver, twin = bench.drivers[0], bench.twins[0]
    twin.core.motor.position = 1234.5
    true = bench.run(0.1)[0].position
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
        assert state.position == true
        assert abs(state.velocity) < 0.1
        assert (state.current, state.voltage) == (0.0, 24.0)
    assert delivered > 300

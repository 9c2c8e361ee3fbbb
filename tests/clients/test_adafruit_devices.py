"""Adafruit's drivers of power, analogue, climate, servo, distance and multiplexer, on our twins."""

from collections.abc import Callable
from typing import Any

import pytest
from horus_drivers.adc.ads1115 import Ads1115Config, Ads1115Sim, Ads1115SimConfig
from horus_drivers.env.bme280 import Bme280Config, Bme280Sim, Bme280SimConfig
from horus_drivers.env.bmp280 import Bmp280Config, Bmp280Sim, Bmp280SimConfig
from horus_drivers.imu.mpu6050 import Mpu6050Config, Mpu6050Sim
from horus_drivers.mux.tca9548a import Tca9548a
from horus_drivers.power.ina219 import Ina219Config, Ina219Sim, Ina219SimConfig
from horus_drivers.range.vl53l0x import Vl53l0x, Vl53l0xConfig, Vl53l0xSim, Vl53l0xSimConfig
from horus_drivers.servo.pca9685 import Pca9685Config, Pca9685Sim

from horus.hal import I2cLink, SimI2cBus
from horus.hal.mux import MuxConfig


def test_ina219(client: Any, put_on_bus: Callable[..., Any], clock: Any) -> None:
    module = client("adafruit_ina219")
    twin = Ina219Sim(Ina219Config(), Ina219SimConfig(voltage_noise=0, shunt_noise=0))
    device = module.INA219(put_on_bus(twin))
    assert (twin.map.config, twin.map.calibration) == (0x399F, 4096)
    for volts, amperes in ((12.0, -1.0), (7.2, 0.3), (25.0, -1.9)):
        twin.voltage, twin.current = volts, amperes
        clock.advance(0.01)
        assert device.bus_voltage == pytest.approx(volts, abs=0.004)
        assert device.current == pytest.approx(-1000 * amperes, abs=0.2)  # mA, from Vin+ to Vin-
        assert device.shunt_voltage == pytest.approx(-0.1 * amperes, abs=1e-5)
        assert device.power == pytest.approx(abs(volts * amperes), abs=0.005)
    assert not device.overflow
    twin.current = -3.5
    clock.advance(0.01)
    assert device.shunt_voltage == pytest.approx(0.32)
    device.set_calibration_16V_400mA()
    twin.voltage, twin.current = 15.0, 0.35
    clock.advance(0.01)
    assert device.current == pytest.approx(-350, abs=0.1)
    twin.current = -10.0
    clock.advance(0.01)
    assert device.shunt_voltage == pytest.approx(0.04)


def test_ads1115(client: Any, put_on_bus: Callable[..., Any], clock: Any) -> None:
    base = client("adafruit_ads1x15.ads1x15")
    module = client("adafruit_ads1x15.ads1115")
    analog = client("adafruit_ads1x15.analog_in")
    twin = Ads1115Sim(Ads1115Config(), Ads1115SimConfig(noise=0))
    twin.voltages = (0.25, 1.5, -0.2, 3.0)
    bus = put_on_bus(twin)
    pass_time(bus.bus, clock)
    device = module.ADS1115(bus, gain=1)
    pins = [analog.AnalogIn(device, pin) for pin in range(4)]
    assert [pin.voltage for pin in pins] == pytest.approx([0.25, 1.5, -0.2, 3.0], abs=2e-4)
    assert analog.AnalogIn(device, 0, 1).voltage == pytest.approx(-1.25, abs=2e-4)
    assert analog.AnalogIn(device, 2, 3).voltage == pytest.approx(-3.2, abs=2e-4)
    device.gain = 4
    assert pins[0].voltage == pytest.approx(0.25, abs=5e-5)
    assert pins[1].voltage == pytest.approx(1.024, abs=5e-5)  # saturated
    device.gain = 1
    device.mode = base.Mode.CONTINUOUS  # of the input read last: it never selects another one
    clock.advance(0.05)
    device.get_last_result()  # from here on it does not write the pointer
    assert pins[1].voltage == pytest.approx(1.5, abs=2e-4)
    twin.voltages = (0.0, 2.5, 0.0, 0.0)
    clock.advance(0.05)
    assert pins[1].voltage == pytest.approx(2.5, abs=2e-4)


def test_bme280(client: Any, put_on_bus: Callable[..., Any], clock: Any) -> None:
    module = client("adafruit_bme280.advanced")
    quiet = Bme280SimConfig(temperature_noise=0, pressure_noise=0, humidity_noise=0, lag=0)
    twin = Bme280Sim(Bme280Config(address=0x77), quiet)
    device = module.Adafruit_BME280_I2C(put_on_bus(twin))
    for warm, force, damp in ((25.0, 101_325.0, 0.45), (-20.0, 60_000.0, 0.9), (70.0, 1.08e5, 0.1)):
        twin.temperature, twin.pressure, twin.humidity = warm, force, damp
        clock.advance(0.1)
        assert device.temperature == pytest.approx(warm, abs=0.006)
        assert device.pressure == pytest.approx(force / 100, abs=0.02)
        assert device.relative_humidity == pytest.approx(damp * 100, abs=0.05)
    device.overscan_pressure = module.OVERSCAN_X16
    device.iir_filter = module.IIR_FILTER_X4
    device.mode = module.MODE_NORMAL
    for _ in range(100):
        clock.advance(0.1)
        assert device.pressure is not None
    assert device.pressure == pytest.approx(1080, abs=0.02)


def test_bmp280(client: Any, put_on_bus: Callable[..., Any], clock: Any) -> None:
    module = client("adafruit_bmp280")
    quiet = Bmp280SimConfig(temperature_noise=0, pressure_noise=0, lag=0)
    twin = Bmp280Sim(Bmp280Config(address=0x77), quiet)
    device = module.Adafruit_BMP280_I2C(put_on_bus(twin))
    for warm, force in ((25.0, 101_325.0), (-20.0, 60_000.0), (70.0, 108_000.0)):
        twin.temperature, twin.pressure = warm, force
        clock.advance(0.1)
        assert device.temperature == pytest.approx(warm, abs=0.006)
        assert device.pressure == pytest.approx(force / 100, abs=0.02)


def test_pca9685(client: Any, put_on_bus: Callable[..., Any], clock: Any) -> None:
    module = client("adafruit_pca9685")
    servo = client("adafruit_motor.servo")
    wide = {"min_pulse": 750.0, "max_pulse": 2250.0, "travel": 3.14159265}
    twin = Pca9685Sim(Pca9685Config(channels=(0, 3, 15), **wide))
    bus = put_on_bus(twin)
    device = module.PCA9685(bus)
    device.frequency = 50
    assert twin.map.prescale == 121
    assert device.frequency == pytest.approx(50, abs=0.1)
    device.channels[15].duty_cycle = 0x1333
    assert bus.bus.transfer(0x40, b"\x42", 4).hex() == "00003301"
    assert device.channels[15].duty_cycle == pytest.approx(0x1333, abs=16)
    device.channels[15].duty_cycle = 0xFFFF
    assert twin.pulse(15) == float("inf")
    device.channels[15].duty_cycle = 0
    arm = servo.Servo(device.channels[3])
    arm.angle = 90
    assert twin.pulse(3) == pytest.approx(1500e-6, abs=5e-6)
    arm.angle = 180
    for _ in range(100):
        clock.advance(0.01)
        twin.advance(clock.monotonic_ns())
    assert twin.truth()["position"] == pytest.approx([0.0, 1.57, 0.0], abs=0.01)
    assert not twin.truth()["at_rest"]
    arm.angle = None
    assert twin.truth()["pulses"] == [0.0] * 16


def test_vl53l0x(client: Any, put_on_bus: Callable[..., Any], clock: Any) -> None:
    module = client("adafruit_vl53l0x")
    twin = Vl53l0xSim(Vl53l0xConfig(), Vl53l0xSimConfig(noise=0))
    bus = put_on_bus(twin)
    pass_time(bus.bus, clock)
    device = module.VL53L0X(bus, io_timeout_s=1)
    for distance in (0.05, 0.5, 1.2):
        twin.distance = distance
        assert device.range == pytest.approx(distance * 1000, abs=1)
    twin.distance = 5.0
    assert device.range >= 8190
    twin.distance = 0.7
    device.measurement_timing_budget = 100_000
    assert device.measurement_timing_budget == pytest.approx(100_000, rel=0.01)
    with device.continuous_mode():
        before = clock.monotonic_ns()
        found = [device.range for _ in range(10)]
        assert found == pytest.approx([700] * 10, abs=1)
        assert (clock.monotonic_ns() - before) / 1e10 == pytest.approx(0.1, rel=0.03)
    assert device.range == pytest.approx(700, abs=1)


def test_vl53l0x_is_started_by_both_with_the_same_registers(
    client: Any, put_on_bus: Callable[..., Any], clock: Any
) -> None:
    """The order of some hundred undocumented values: theirs and ours end in the same chip."""
    module = client("adafruit_vl53l0x")
    theirs, ours = Vl53l0xSim(Vl53l0xConfig()), Vl53l0xSim(Vl53l0xConfig())
    bus = put_on_bus(theirs)
    pass_time(bus.bus, clock)
    module.VL53L0X(bus, io_timeout_s=1).start_continuous()
    second = put_on_bus(ours)
    config = Vl53l0xConfig(rate=27.0, io_2v8=False)  # 33 ms
    driver = Vl53l0x(config, I2cLink(second.bus, 0x29, "range", clock.monotonic_ns))
    assert driver.probe()
    for pause in driver.configure():
        clock.advance(pause + 0.0005)
    found = {
        f"{address // 256}:{address % 256:02X}": (one, other)
        for address, (one, other) in enumerate(
            zip(theirs._cells.bytes, ours._cells.bytes, strict=True)
        )
        if one != other
    }
    measured = {"0:13", *(f"0:{register:02X}" for register in range(0x14, 0x20))}
    assert set(found) - measured <= {"0:71", "0:72"}, found
    assert ours.cycle() == pytest.approx(theirs.cycle(), rel=0.02)


def pass_time(bus: SimI2cBus, clock: Any) -> None:
    """Let a transaction take a while, for a client that waits without sleeping."""
    transfer = bus.transfer

    def slow(address: int, write: bytes, read: int = 0) -> bytes:
        clock.advance(0.0002)
        return transfer(address, write, read)

    bus.transfer = slow  # type: ignore[method-assign]


def test_tca9548a(client: Any, put_on_bus: Callable[..., Any], clock: Any) -> None:
    module = client("adafruit_tca9548a")
    bus = put_on_bus()
    for channel in (0, 7):
        child = SimI2cBus(f"bus{channel}")
        Tca9548a.simulate(bus.bus, MuxConfig(parent="i2c1", channel=channel), child)
        twin = Mpu6050Sim(Mpu6050Config())
        twin.map.divider = channel + 1
        child.attach(twin)
    device = module.TCA9548A(bus)
    for channel in (7, 0, 7):
        behind = device[channel]
        assert behind.try_lock()
        found = bytearray(1)
        behind.writeto_then_readfrom(0x68, b"\x19", found)
        assert found[0] == channel + 1
        behind.unlock()
        assert bus.bus.transfer(0x70, b"", 1) == b"\x00"

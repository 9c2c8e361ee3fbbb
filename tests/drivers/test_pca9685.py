"""PCA9685: bytes of the data sheet, counted by hand, and the behaviour of the twin."""

import math
from typing import Any

import pytest
from horus_drivers.servo.pca9685 import Pca9685, Pca9685Config, Pca9685Sim

from horus.hal import CommandRefused, DeviceFault, FaultKind, I2cBus, I2cLink, SimI2cBus
from horus.msgs import ControlMode, JointCommand, JointState

WIDE = {"min_pulse": 750.0, "max_pulse": 2250.0, "travel": math.pi}


class Chip(I2cBus):
    """A bus of plain bytes, which knows nothing of the driver's map."""

    name = "i2c1"

    def __init__(self) -> None:
        self.bytes = bytearray(256)
        self.bytes[0x00], self.bytes[0x01], self.bytes[0xFE] = 0x11, 0x04, 0x1E
        self.writes: list[str] = []

    def transfer(self, address: int, write: bytes, read: int = 0) -> bytes:
        assert address == 0x40
        if len(write) > 1:
            self.writes.append(write.hex(" ", 1))
            self.bytes[write[0] : write[0] + len(write) - 1] = write[1:]
        return bytes(self.bytes[write[0] : write[0] + read])

    def close(self) -> None:
        pass


def made(bus: I2cBus, clock: Any, **options: Any) -> Pca9685:
    return Pca9685(Pca9685Config(**options), I2cLink(bus, 0x40, "arm", clock.monotonic_ns))


def configured(bus: I2cBus, clock: Any, **options: Any) -> Pca9685:
    driver = made(bus, clock, **options)
    assert driver.probe()
    for pause in driver.configure():
        clock.advance(pause)
    if isinstance(bus, Chip):
        bus.writes.clear()
    return driver


def send(driver: Pca9685, *position: float, names: str = "", **more: Any) -> None:
    command = JointCommand(names, position=list(position), **more)
    driver.check(command)
    driver.write(command)


def test_the_set_up_writes_these_bytes(clock: Any) -> None:
    bus = Chip()
    driver = made(bus, clock)
    for _ in driver.configure():
        pass
    assert bus.writes == [
        "fd 10",  # all outputs off
        "00 30",  # asleep, auto-increment; no all call, which is a multiplexer's address
        "fe 79",  # 50 Hz: 25 MHz / (4096 × 50) - 1 = 121
        "01 04",  # totem pole
        "00 20",  # awake
    ]


@pytest.mark.parametrize(
    ("options", "prescale"),
    [
        ({"frequency": 50.0}, 121),
        ({"frequency": 24.0}, 253),
        ({"frequency": 1526.0, "max_pulse": 600.0, "min_pulse": 100.0}, 3),
        ({"frequency": 60.0, "oscillator": 27e6}, 109),
    ],
)
def test_the_prescaler(clock: Any, options: dict[str, Any], prescale: int) -> None:
    bus = Chip()
    configured(bus, clock, **options)
    assert bus.bytes[0xFE] == prescale


def test_the_external_clock_is_chosen_while_it_sleeps(clock: Any) -> None:
    bus = Chip()
    driver = made(bus, clock, external_clock=True)
    for _ in driver.configure():
        pass
    assert bus.writes[1:3] == ["00 30", "00 70"]
    assert bus.writes[-1] == "00 60"
    assert driver.read()


def test_the_middle_of_a_servo_from_750_to_2250_microseconds(clock: Any) -> None:
    """1500 µs at 122 × 40 ns a step are 307 steps, 0x133: the published vector."""
    bus = Chip()
    driver = configured(bus, clock, channels=(0,), **WIDE)
    send(driver, 0.0)
    assert bus.writes == ["06 00 00 33 01"]


@pytest.mark.parametrize(
    ("angle", "reverse", "steps"),
    [(0.785398, False, 410), (-0.785398, False, 205), (0.5, True, 242)],
)
def test_pulses_of_a_usual_servo(clock: Any, angle: float, reverse: bool, steps: int) -> None:
    bus = Chip()
    driver = configured(bus, clock, channels=(3,), reverse=(3,) if reverse else None)
    send(driver, angle)
    assert bus.writes == [f"12 00 00 {steps & 0xFF:02x} {steps >> 8:02x}"]


def test_neighbours_move_in_one_burst_and_only_changes_are_sent(clock: Any) -> None:
    bus = Chip()
    driver = configured(bus, clock, channels=(15, 1, 0, 4))
    send(driver, 0.0, 0.1, 0.2, 0.3)
    assert [word[:2] for word in bus.writes] == ["06", "16", "42"]
    assert len(bus.writes[0].split()) == 9
    bus.writes.clear()
    send(driver, 0.0, 0.1, 0.2, 0.4)
    assert [word[:2] for word in bus.writes] == ["16"]


def test_joints_are_commanded_by_name_and_the_others_keep_their_pulses(clock: Any) -> None:
    bus = Chip()
    driver = configured(bus, clock, channels=(2, 7), names=("pan", "tilt"))
    send(driver, 0.2, names="tilt")
    assert [word[:2] for word in bus.writes] == ["22"]
    send(driver, 0.1, -0.1, names="tilt,pan")
    assert bus.bytes[0x24:0x26] == b"\x40\x01"  # 1563.7 µs / 4.88 µs = 320
    assert bus.bytes[0x10:0x12] == b"\x26\x01"  # 1436.3 µs / 4.88 µs = 294
    assert driver.read() == JointState("pan,tilt")


@pytest.mark.parametrize(
    ("duty", "data"),
    [(0.0, "00 00 00 10"), (0.3, "00 00 cd 04"), (0.5, "00 00 00 08"), (1.0, "00 10 00 00")],
)
def test_a_channel_without_a_servo_takes_a_duty(clock: Any, duty: float, data: str) -> None:
    bus = Chip()
    driver = configured(bus, clock, channels=(0,), pwm=(0,))
    send(driver, duty)
    assert bus.writes == [f"06 {data}"]


def test_safe_is_one_write_that_switches_all_off_in_any_state(clock: Any) -> None:
    bus = Chip()
    made(bus, clock).safe()
    assert bus.writes == ["fd 10"]


def test_after_safe_the_same_position_is_sent_again(clock: Any) -> None:
    bus = Chip()
    driver = configured(bus, clock, channels=(0,))
    send(driver, 0.1)
    driver.safe()
    bus.writes.clear()
    send(driver, 0.1)
    assert len(bus.writes) == 1


def test_arming_writes_nothing(clock: Any) -> None:
    bus = Chip()
    configured(bus, clock).arm()
    assert bus.writes == []


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (JointCommand(position=[0.8, 0.0]), "position of pan must be from -0.785.* rad, not 0.8"),
        (JointCommand(position=[0.0, 1.1]), "position of lamp must be from 0 to 1, not 1.1"),
        (JointCommand(position=[0.0]), "position has 1 values for 2 joints"),
        (JointCommand(), "position has 0 values for 2 joints"),
        (JointCommand("pam", position=[0.0]), "no joint pam.*pan"),
        (JointCommand("pan,pan", position=[0.0, 0.0]), "a joint is named twice"),
        (JointCommand(position=[0, 0], velocity=[1, 1]), "velocity is given: in mode POS"),
        (JointCommand(position=[0, 0], mode=ControlMode.VELOCITY), "control mode 1: .* POSITION"),
    ],
)
def test_commands_that_are_refused(clock: Any, command: JointCommand, text: str) -> None:
    driver = made(Chip(), clock, channels=(0, 1), names=("pan", "lamp"), pwm=(1,))
    with pytest.raises(CommandRefused, match=text):
        driver.check(command)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"channels": (0, 1), "names": ("a",)}, "names has 1 names for 2 channels"),
        ({"channels": (0, 1), "names": ("a", "a")}, "names has a name twice"),
        ({"channels": (0, 1), "names": ("a", "b,c")}, "without commas"),
        ({"channels": (0,), "pwm": (1,)}, "pwm has 1, which is not among the channels"),
        ({"channels": (0,), "reverse": (2,)}, "reverse has 2, which is not among the channels"),
        ({"min_pulse": 2000.0}, "min_pulse must be below max_pulse .2000 µs."),
        ({"frequency": 500.0}, "max_pulse is too long for 500 pulses a second"),
        ({"oscillator": 5e6, "frequency": 400.0}, "frequency must be from 4.8 to 348.8 Hz"),
        ({"channels": (16,)}, "channels item 1 must be from 0 to 15"),
        ({"address": 0x80}, "address must be from 64 to 127|address"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Pca9685Config(**options)


@pytest.mark.parametrize(
    ("register", "value"), [(0x01, 0x9F), (0x01, 0xFF), (0xFE, 0x00)], ids=["INA219", "ones", "0"]
)
def test_other_chips_at_this_address_are_rejected(clock: Any, register: int, value: int) -> None:
    bus = Chip()
    bus.bytes[register] = value
    with pytest.raises(DeviceFault, match="arm on i2c1: .* no PCA9685: MODE1 reads 0x11") as info:
        made(bus, clock).probe()
    assert info.value.kind is FaultKind.REJECTED
    assert bus.writes == []


def test_a_restart_is_noticed(clock: Any) -> None:
    bus = Chip()
    driver = configured(bus, clock)
    bus.bytes[0] = 0x11
    with pytest.raises(DeviceFault, match="0x11 0x04 and not 0x20 0x04: was it restarted"):
        driver.read()


# the twin, seen from the bus with addresses and bytes only ---------------------------------------


class Bench:
    def __init__(self, clock: Any, **options: Any) -> None:
        self.clock = clock
        self.twin = Pca9685Sim(Pca9685Config(**options))
        self.bus = SimI2cBus("i2c1", clock.monotonic_ns, clock.sleep)
        self.bus.attach(self.twin)

    def get(self, register: int, count: int = 1) -> bytes:
        return self.bus.transfer(0x40, bytes((register,)), count)

    def put(self, *values: int) -> None:
        self.bus.transfer(0x40, bytes(values))

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds * 100)):
            self.clock.advance(0.01)
            self.get(0)


@pytest.fixture
def bench(clock: Any) -> Bench:
    return Bench(clock)


def test_the_twin_comes_up_asleep_and_off(bench: Bench) -> None:
    assert (bench.get(0), bench.get(1), bench.get(0xFE)) == (b"\x11", b"\x04", b"\x1e")
    assert bench.twin.truth()["at_rest"]


def test_the_prescaler_is_writable_only_while_it_sleeps(bench: Bench) -> None:
    bench.put(0xFE, 121)
    assert bench.get(0xFE) == b"\x79"
    bench.put(0x00, 0x20)
    bench.put(0xFE, 10)
    assert bench.get(0xFE) == b"\x79"
    bench.put(0x00, 0x30)
    bench.put(0xFE, 1)
    assert bench.get(0xFE) == b"\x03"


def test_without_auto_increment_the_pointer_stays(bench: Bench) -> None:
    bench.put(0x00, 0x01)
    bench.put(0x06, 1, 2, 3, 4)
    assert bench.get(0x06) == b"\x04"
    assert bench.get(0x07) == b"\x00"
    bench.put(0x00, 0x20)
    bench.put(0x06, 1, 2, 3, 4)
    assert bench.get(0x06, 4) == bytes((1, 2, 3, 4))


def test_the_registers_of_all_outputs_load_every_output(bench: Bench) -> None:
    bench.put(0x00, 0x20)
    bench.put(0xFA, 0, 0, 0x33, 0x01)
    assert bench.get(0x06, 64) == bytes((0, 0, 0x33, 0x01)) * 16
    bench.put(0xFD, 0x10)
    assert bench.get(0x06, 64) == bytes((0, 0, 0x33, 0x10)) * 16


def test_put_to_sleep_at_work_it_can_be_restarted(bench: Bench) -> None:
    bench.put(0x00, 0x20)
    bench.put(0x06, 0, 0, 0x33, 0x01)
    bench.put(0x00, 0x30)
    assert bench.get(0x00) == b"\xb0"
    assert bench.twin.truth()["at_rest"]
    bench.put(0x00, 0x20)
    assert bench.get(0x00) == b"\xa0"
    bench.put(0x00, 0xA0)
    assert bench.get(0x00) == b"\x20"


def test_the_external_clock_stays_until_the_power_goes(bench: Bench) -> None:
    bench.put(0x00, 0x30)
    bench.put(0x00, 0x70)
    bench.put(0x00, 0x20)
    assert bench.get(0x00) == b"\x60"
    bench.twin.unplug()
    bench.twin.plug()
    assert bench.get(0x00) == b"\x11"


def test_a_servo_runs_at_its_own_speed_and_is_limp_without_pulses(clock: Any) -> None:
    bench = Bench(clock, channels=(5,), **WIDE)
    bench.put(0xFE, 0x79)
    bench.put(0x00, 0x20)
    bench.put(0x1A, 0, 0, 0xCD, 0x01)  # 461 steps of 4.88 µs: 2250 µs, a quarter turn
    bench.wait(0.1)
    truth = bench.twin.truth()
    assert truth["velocity"] == pytest.approx(6.0)
    assert truth["position"] == pytest.approx([0.6], abs=0.01)
    assert not truth["at_rest"]
    bench.wait(0.5)
    truth = bench.twin.truth()
    assert truth["position"] == pytest.approx([math.pi / 2], abs=0.01)
    assert truth["velocity"] == 0.0
    assert not truth["at_rest"]  # it holds
    bench.put(0xFD, 0x10)
    bench.wait(0.1)
    truth = bench.twin.truth()
    assert truth["at_rest"]
    assert truth["position"] == pytest.approx([math.pi / 2], abs=0.01)


def test_driver_and_twin_agree(clock: Any) -> None:
    options = {"channels": (0, 9, 4), "reverse": (9,), **WIDE}
    bench = Bench(clock, **options)
    driver = configured(bench.bus, clock, **options)
    driver.arm()
    assert driver.at_rest() == "outputs off"
    send(driver, 0.5, -1.0, 1.5)
    bench.wait(1.0)
    assert bench.twin.truth()["position"] == pytest.approx([0.5, -1.0, 1.5], abs=0.006)
    assert driver.at_rest() == ""
    driver.safe()
    assert driver.at_rest() == "outputs off"

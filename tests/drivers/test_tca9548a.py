"""TCA9548A: control bytes by hand, and devices of one address behind different channels."""

import threading
from pathlib import Path
from typing import Any

import pytest
from horus_drivers.env.bmp280 import Bmp280Config, Bmp280Sim
from horus_drivers.imu.mpu6050 import Mpu6050Config, Mpu6050Sim
from horus_drivers.mux.tca9548a import Tca9548a

from horus.errors import ConfigError
from horus.hal import DeviceFault, FaultKind, I2cBus, I2cLink, SimI2cBus
from horus.hal.mux import MuxConfig, MuxSim
from horus.hardware.config import load

IDENTITY = b"\x75"  # register of an MPU-6050, whose identity is 0x68


class Wire(I2cBus):
    """A bus on which everything acknowledges and control bytes are kept."""

    name = "i2c1"

    def __init__(self) -> None:
        self.log: list[str] = []
        self.control: dict[int, int] = {}
        self.absent: set[int] = set()

    def transfer(self, address: int, write: bytes, read: int = 0) -> bytes:
        if address in self.absent:
            self.log.append(f"{address:02x} nack")
            raise DeviceFault(FaultKind.NO_ACK, f"nothing answers at address 0x{address:02X}")
        self.log.append(f"{address:02x} {write.hex()}")
        if 0x70 <= address <= 0x77:
            self.control[address] = write[-1] if write else self.control.get(address, 0)
            return bytes((self.control[address],)) * read
        return b"\x00" * read

    def close(self) -> None:
        raise AssertionError("the parent stays open")


def channel(parent: I2cBus, channel: int, name: str = "left", address: int = 0x70) -> Tca9548a:
    made = Tca9548a.branch(
        parent, name, MuxConfig(parent=parent.name, address=address, channel=channel)
    )
    assert isinstance(made, Tca9548a)
    return made


def test_a_channel_is_one_bit_and_is_selected_only_when_it_is_not(clock: Any) -> None:
    wire = Wire()
    left, right = channel(wire, 2), channel(wire, 7, "right")
    assert wire.log == []  # opening touches nothing
    for bus in (left, left, right, left):
        bus.transfer(0x68, IDENTITY, 1)
    assert wire.log == ["70 04", "68 75", "68 75", "70 80", "68 75", "70 04", "68 75"]


def test_another_multiplexer_on_the_bus_is_disconnected_first() -> None:
    wire = Wire()
    left, right = channel(wire, 0), channel(wire, 0, "right", 0x71)
    left.transfer(0x68, IDENTITY, 1)
    assert wire.log == ["71 00", "70 01", "68 75"]
    wire.log.clear()
    right.transfer(0x68, IDENTITY, 1)
    right.transfer(0x68, IDENTITY, 1)
    assert wire.log == ["70 00", "71 01", "68 75", "68 75"]


def test_after_an_error_nothing_is_taken_for_selected() -> None:
    wire = Wire()
    left = channel(wire, 0)
    left.transfer(0x68, IDENTITY, 1)
    wire.absent.add(0x68)
    with pytest.raises(DeviceFault):
        left.transfer(0x68, IDENTITY, 1)
    wire.log.clear()
    wire.absent.clear()
    left.transfer(0x68, IDENTITY, 1)
    assert wire.log == ["70 01", "68 75"]


def test_an_absent_multiplexer_is_named_and_not_the_device() -> None:
    wire = Wire()
    wire.absent.add(0x70)
    link = I2cLink(channel(wire, 2), 0x68, "imu")
    with pytest.raises(DeviceFault) as info:
        link.read(0x75, 1)
    assert str(info.value) == (
        "tca9548a 0x70 on i2c1: nothing answers at address 0x70, "
        "so left (channel 2) cannot be reached"
    )
    assert info.value.kind is FaultKind.NO_ACK


def test_an_absent_device_is_on_the_channel_and_not_on_its_parent() -> None:
    bus = SimI2cBus("i2c1")
    Tca9548a.simulate(bus, MuxConfig(parent="i2c1", channel=2), SimI2cBus("left"))
    with pytest.raises(DeviceFault, match="^imu on left: nothing answers at address 0x68: check"):
        I2cLink(channel(bus, 2), 0x68, "imu").read(0x75, 1)


def test_a_control_byte_that_is_not_kept_is_a_fault_of_the_multiplexer() -> None:
    class Broken(Wire):
        def transfer(self, address: int, write: bytes, read: int = 0) -> bytes:
            return super().transfer(address, b"\x05" if address == 0x70 else write, read)

    with pytest.raises(DeviceFault, match="tca9548a 0x70 on i2c1: .*reads 0x05 after 0x04") as info:
        channel(Broken(), 2).transfer(0x68, IDENTITY, 1)
    assert info.value.kind is FaultKind.CORRUPT


def test_an_absent_neighbour_does_not_stop_a_multiplexer() -> None:
    wire = Wire()
    left = channel(wire, 0)
    channel(wire, 0, "right", 0x71)
    wire.absent.add(0x71)
    assert left.transfer(0x68, IDENTITY, 1) == b"\x00"
    wire.absent.clear()  # it is plugged in, nobody knows with which channel connected
    wire.log.clear()
    left.transfer(0x68, IDENTITY, 1)
    assert wire.log == ["71 00", "68 75"]


def test_a_lost_parent_is_said_of_the_parent() -> None:
    class Closed(Wire):
        def transfer(self, address: int, write: bytes, read: int = 0) -> bytes:
            raise DeviceFault(FaultKind.ABSENT, "the bus is closed", bus="i2c1")

    with pytest.raises(DeviceFault, match="i2c1: the bus is closed") as info:
        channel(Closed(), 2).transfer(0x68, IDENTITY, 1)
    assert info.value.kind is FaultKind.ABSENT


def test_closing_disconnects_the_channel_and_leaves_the_parent_open() -> None:
    wire = Wire()
    left, right = channel(wire, 0), channel(wire, 1, "right")
    left.transfer(0x68, IDENTITY, 1)
    right.close()
    assert wire.log == ["70 01", "68 75"]
    left.close()
    left.close()
    assert wire.log == ["70 01", "68 75", "70 00"]


# with the twins -----------------------------------------------------------------------------------


def chip(bus: SimI2cBus, bias: float, address: Any = 0x68) -> Mpu6050Sim:
    """Put an MPU-6050 on a bus that is told from others by a register."""
    twin = Mpu6050Sim(Mpu6050Config(address=address))
    bus.attach(twin)
    twin.map.divider = int(bias)
    return twin


def behind(parent: SimI2cBus, number: int, name: str, address: int = 0x70) -> SimI2cBus:
    child = SimI2cBus(name)
    config = MuxConfig(parent=parent.name, address=address, channel=number)
    Tca9548a.simulate(parent, config, child)
    return child


def mark(bus: I2cBus, address: int = 0x68) -> int:
    return bus.transfer(address, b"\x19", 1)[0]


def test_the_twin_keeps_its_control_byte_and_connects_nothing_at_first() -> None:
    bus = SimI2cBus("i2c1")
    chip(behind(bus, 2, "left"), 1)
    chip(behind(bus, 5, "right"), 2)
    assert bus.transfer(0x70, b"", 1) == b"\x00"
    with pytest.raises(DeviceFault):
        mark(bus)
    bus.transfer(0x70, b"\x04")
    assert mark(bus) == 1
    old = bus.transfer(0x70, b"", 1)[0]
    bus.transfer(0x70, bytes((old | 0x20,)))  # as SparkFun's library adds a channel
    assert bus.transfer(0x70, b"", 1) == b"\x24"


def test_two_devices_that_answer_at_once_disturb_each_other() -> None:
    bus = SimI2cBus("i2c1")
    chip(behind(bus, 0, "left"), 0b1100)
    chip(behind(bus, 1, "right"), 0b1010)
    bus.transfer(0x70, b"\x03")
    assert mark(bus) == 0b1000


def test_devices_of_one_address_behind_two_multiplexers_are_never_mixed_up() -> None:
    bus = SimI2cBus("i2c1")
    places = [(0x70, 0), (0x70, 7), (0x71, 0), (0x71, 3)]
    for number, (address, at) in enumerate(places, 1):
        chip(behind(bus, at, f"bus{number}", address), number)
    buses = [channel(bus, at, f"bus{n}", address) for n, (address, at) in enumerate(places, 1)]
    for order in ((0, 1, 2, 3), (3, 1, 0, 2), (2, 2, 1, 3, 0)):
        assert [mark(buses[at]) for at in order] == [at + 1 for at in order]


def test_a_multiplexer_behind_a_multiplexer() -> None:
    root = SimI2cBus("i2c1")
    outer, other = behind(root, 0, "outer"), behind(root, 1, "other")
    inner = behind(outer, 4, "inner", 0x71)
    chip(other, 1)
    chip(inner, 2)
    outer_bus, other_bus = channel(root, 0, "outer"), channel(root, 1, "other")
    inner_bus = channel(outer_bus, 4, "inner", 0x71)
    assert [mark(inner_bus), mark(other_bus), mark(inner_bus), mark(other_bus)] == [2, 1, 2, 1]
    root.twins[0x70].unplug()
    with pytest.raises(DeviceFault, match="tca9548a 0x70 on i2c1: .*so outer .channel 0. cannot"):
        mark(inner_bus)


def test_a_power_cut_of_the_multiplexer_is_survived() -> None:
    bus = SimI2cBus("i2c1")
    chip(behind(bus, 3, "left"), 7)
    link = I2cLink(channel(bus, 3), 0x68, "imu")
    assert link.read(0x19, 1) == b"\x07"
    bus.twins[0x70].unplug()
    with pytest.raises(DeviceFault):
        link.read(0x19, 1)
    bus.twins[0x70].plug()
    assert link.read(0x19, 1) == b"\x07"
    bus.twins[0x70].power_on()  # too short to be noticed otherwise
    assert link.read(0x19, 1) == b"\x07"


def test_twins_behind_it_move_on_with_the_clock(clock: Any) -> None:
    root = SimI2cBus("i2c1", clock.monotonic_ns, clock.sleep)
    child = behind(root, 0, "left")
    twin = Bmp280Sim(Bmp280Config())
    child.attach(twin)
    mux = root.twins[0x70]
    assert isinstance(mux, MuxSim)
    mux.advance(clock.monotonic_ns())
    clock.advance(2.0)
    mux.advance(clock.monotonic_ns())
    assert twin.time == pytest.approx(2.0)


def test_a_channel_with_two_buses_is_refused() -> None:
    bus = SimI2cBus("i2c1")
    behind(bus, 3, "left")
    with pytest.raises(ValueError, match="right: channel 3 of 0x70 on i2c1 is already left"):
        behind(bus, 3, "right")


def test_an_address_that_is_a_device_already_is_refused() -> None:
    bus = SimI2cBus("i2c1")
    bus.attach(Mpu6050Sim(Mpu6050Config()))
    with pytest.raises(ValueError, match="two devices at address 0x68"):
        Tca9548a.simulate(bus, _at_68(), SimI2cBus("left"))


def _at_68() -> MuxConfig:
    config = MuxConfig(parent="i2c1", channel=0)
    object.__setattr__(config, "address", 0x68)
    return config


def test_threads_on_different_channels_never_meet() -> None:
    root = SimI2cBus("i2c1")
    marks = (1, 2, 3)
    for number in marks:
        chip(behind(root, number, f"bus{number}"), number)
    buses = {number: channel(root, number, f"bus{number}") for number in marks}
    wrong: list[int] = []

    def work(number: int) -> None:
        wrong.extend(found for _ in range(300) if (found := mark(buses[number])) != number)

    threads = [threading.Thread(target=work, args=(number,)) for number in marks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# in horus.yaml ------------------------------------------------------------------------------------


def robot(folder: Path, left: str) -> Path:
    file = folder / "horus.yaml"
    file.write_text(
        "buses:\n"
        "  i2c1: {use: i2c, device: /dev/i2c-1}\n"
        f"  left: {left}\n"
        "hardware:\n"
        "  imu: {use: mpu6050, bus: left}\n"
    )
    return file


def test_horus_yaml_describes_a_channel_as_a_bus(tmp_path: Path) -> None:
    found = load(robot(tmp_path, "{use: tca9548a, parent: i2c1, address: 0x72, channel: 2}"))
    assert [bus.name for bus in found.tree("i2c1")] == ["i2c1", "left"]
    assert found.buses["left"].config == MuxConfig(parent="i2c1", address=0x72, channel=2)


@pytest.mark.parametrize(
    ("left", "text"),
    [
        ("{use: tca9548a, parent: i2c1}", "channel is missing .from 0 to 7."),
        ("{use: tca9548a, parent: i2c1, channel: 8}", "channel: must be from 0 to 7, not 8"),
        ("{use: tca9548a, parent: i2c1, channel: 0, address: 0x68}", "address: must be from"),
        ("{use: tca9548a, parent: i2c2, channel: 0}", "parent: unknown bus i2c2"),
        ("{use: tca9548a, channel: 0}", "parent is missing"),
    ],
)
def test_faults_in_horus_yaml_are_named(tmp_path: Path, left: str, text: str) -> None:
    with pytest.raises(ConfigError, match=rf"horus.yaml:3: buses.left.*{text}"):
        load(robot(tmp_path, left))

"""Modbus: the map, twins made of registers, and RTU through pymodbus over a real pty."""

import math
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest

from horus.hal import DeviceFault, Driver, DriverConfig, FaultKind, SimConfig, Stimulus, option
from horus.hal.backends import backend
from horus.hal.backends.modbus_rtu import ModbusRtu, ModbusRtuConfig
from horus.hal.checksums import crc16_modbus
from horus.hal.modbus import ILLEGAL_VALUE, ModbusBus, ModbusLink, Table
from horus.hal.modbusmap import Holding, HoldingBlock, Input, InputBlock, ModbusMap
from horus.hal.ptyserial import PtyPort
from horus.hal.simmodbus import ModbusSim, ModbusSimHost, Refused, SimModbusBus
from horus.hardware import simbuses
from horus.hardware.buses import BusHandle
from horus.hardware.config import BusEntry, DeviceEntry
from horus.hardware.simhosts import OpenSimulation
from horus.msgs import Temperature

# an example: a thermostat with a heater --------------------------------------------------------


class ThermostatRegisters(ModbusMap):
    measured = InputBlock(0, "hH")  # 0.1 °C, status
    uptime = Input(2, "I")  # s
    target = Holding(10, "h", reset=200)  # 0.1 °C
    gain = Holding(11, "f", reset=1.5, low_first=True)
    serial_number = Holding(20, "I", reset=0x12345678)
    identity = Holding(30, reset=0x4D42)
    all = HoldingBlock(10, "h2H")


@dataclass(frozen=True, kw_only=True)
class ThermostatConfig(DriverConfig):
    unit: int = option(1, low=1, high=247)
    target: float = option(20.0, unit="°C", low=-50, high=150)


class Thermostat(Driver[ThermostatConfig, ThermostatRegisters]):
    """The temperature at its probe."""

    def probe(self) -> bool:
        found = self.map.identity
        if found != 0x4D42:
            text = f"the unit that answers is 0x{found:04X}; a thermostat is 0x4D42"
            raise self.fault(FaultKind.REJECTED, text, "correct use: or unit: in horus.yaml")
        return True

    def identity(self) -> str:
        return f"{self.map.serial_number:08x}"

    def configure(self) -> None:
        self.map.target = round(self.config.target * 10)

    def read(self) -> Temperature | None:
        tenths, status = self.map.measured
        return Temperature(temperature=tenths / 10) if status & 1 else None


class ThermostatSim(ModbusSim[ThermostatConfig, ThermostatRegisters], twin_of=Thermostat):
    """A probe in a pot."""

    options: SimConfig
    temperature = Stimulus(21.5, unit="°C", low=-100.0, high=500.0)

    def on_write(self, address: int, values: tuple[int, ...]) -> None:
        if address == 10 and values[0] > 1500 and values[0] < 0x8000:
            raise Refused(ILLEGAL_VALUE)
        super().on_write(address, values)

    def update(self) -> None:
        self.map.measured = (round(self.temperature * 10), 1)
        self.map.uptime = int(self.time)


class Bench:
    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.twin = ThermostatSim(ThermostatConfig())
        self.bus = SimModbusBus("modbus0", clock.monotonic_ns, clock.sleep)
        self.bus.attach(self.twin)
        self.link = ModbusLink(self.bus, 1, "oven", clock.monotonic_ns)
        self.driver = Thermostat(ThermostatConfig(target=-5.0), self.link)


@pytest.fixture
def bench(clock: Any) -> Bench:
    return Bench(clock)


# the map -----------------------------------------------------------------------------------------


class Words(ModbusBus):
    """A line of plain registers, which knows nothing of any map."""

    name = "modbus0"

    def __init__(self) -> None:
        self.words = dict.fromkeys(range(100), 0)
        self.requests: list[tuple[Any, ...]] = []

    def read(self, unit: int, table: Table, address: int, count: int) -> tuple[int, ...]:
        self.requests.append(("read", unit, table, address, count))
        return tuple(self.words[at] for at in range(address, address + count))

    def write(self, unit: int, address: int, values: Any, *, single: bool = False) -> None:
        self.requests.append(("write", unit, address, tuple(values), single))
        self.words.update(enumerate(values, address))

    def close(self) -> None:
        pass


def test_every_attribute_is_one_request() -> None:
    bus = Words()
    map = ThermostatRegisters(ModbusLink(bus, 7))
    bus.words.update({0: 0xFF9C, 1: 3, 20: 0x1234, 21: 0x5678, 11: 0x0000, 12: 0x3FC0})
    assert map.measured == (-100, 3)
    assert map.serial_number == 0x12345678  # high word first
    assert map.gain == 1.5  # low word first: 3FC00000
    map.target = -50
    map.gain = -2.0
    map.all = (1, 2, 3)
    assert bus.requests == [
        ("read", 7, "input", 0, 2),
        ("read", 7, "holding", 20, 2),
        ("read", 7, "holding", 11, 2),
        ("write", 7, 10, (0xFFCE,), True),
        ("write", 7, 11, (0x0000, 0xC000), False),
        ("write", 7, 10, (1, 2, 3), False),
    ]


@pytest.mark.parametrize("value", [40_000, -32_769, 1.5, math.nan])
def test_a_value_that_does_not_fit_is_never_sent(value: float) -> None:
    bus = Words()
    map = ThermostatRegisters(ModbusLink(bus, 1))
    with pytest.raises(ValueError, match="register target"):
        map.target = value
    assert bus.requests == []


def test_an_input_register_cannot_be_written() -> None:
    bus = Words()
    map = ThermostatRegisters(ModbusLink(bus, 1))
    with pytest.raises(AttributeError, match="input register 2 can only be read"):
        map.uptime = 5
    assert bus.requests == []


@pytest.mark.parametrize(
    "declare",
    [
        lambda: Holding(65_535, "I"),
        lambda: Holding(-1),
        lambda: Holding(0, "B"),
        lambda: Holding(0, "<H"),
        lambda: Holding(0, "hh"),
        lambda: Holding(0, "H", low_first=True),
        lambda: HoldingBlock(0, "126H"),
    ],
)
def test_declarations_that_cannot_be(declare: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="register "):
        declare()


# driver and twin ---------------------------------------------------------------------------------


def test_the_example_driver_works_on_its_twin(bench: Bench) -> None:
    assert bench.driver.probe()
    assert bench.driver.identity() == "12345678"
    bench.driver.configure()
    assert bench.twin.map.target == -50
    bench.twin.stimulate("temperature", [-12.3])
    found = bench.driver.read()
    assert found is not None
    assert found.temperature == pytest.approx(-12.3)
    assert bench.link.stamp_ns == bench.clock.monotonic_ns()


def test_another_unit_in_its_place_is_rejected_naming_both(bench: Bench) -> None:
    bench.twin.map.identity = 7
    with pytest.raises(DeviceFault, match="oven on modbus0: .* 0x0007; a thermostat is") as info:
        bench.driver.probe()
    assert info.value.kind is FaultKind.REJECTED


def test_a_power_cut_resets_the_registers(bench: Bench) -> None:
    bench.driver.configure()
    bench.twin.unplug()
    bench.twin.plug()
    assert bench.twin.map.target == 200


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (lambda twin: twin.unplug(), FaultKind.TIMEOUT),
        (lambda twin: twin.silence(), FaultKind.TIMEOUT),
        (lambda twin: twin.nak(1.0), FaultKind.TIMEOUT),
        (lambda twin: twin.drop(1.0), FaultKind.TIMEOUT),
        (lambda twin: twin.slow(0.2), FaultKind.TIMEOUT),
        (lambda twin: twin.corrupt(1.0), FaultKind.CORRUPT),
    ],
)
def test_faults_of_a_twin(bench: Bench, fault: Callable[[Any], None], kind: FaultKind) -> None:
    fault(bench.twin)
    with pytest.raises(DeviceFault, match="oven on modbus0: .*unit 1") as info:
        bench.driver.read()
    assert info.value.kind is kind
    assert bench.link.errors == 3  # attempts


def test_lost_answers_are_asked_for_again(bench: Bench) -> None:
    bench.twin.drop(0.3)
    assert all(bench.driver.read() is not None for _ in range(20))
    assert bench.link.errors > 0


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (lambda bus: bus.read(1, "input", 1, 5), "no such register"),
        (lambda bus: bus.read(1, "holding", 0, 1), "no such register"),
        (lambda bus: bus.write(1, 13, [1, 2]), "no such register"),
        (lambda bus: bus.write(1, 10, [2000], single=True), "does not take this value"),
    ],
)
def test_refusals_of_a_twin(bench: Bench, request_: Callable[[Any], Any], words: str) -> None:
    with pytest.raises(DeviceFault, match=words) as info:
        request_(bench.bus)
    assert info.value.kind is FaultKind.REJECTED


def test_an_unknown_function_is_refused(bench: Bench) -> None:
    assert bench.twin.request(bytes.fromhex("2B0E0100")) == bytes.fromhex("AB01")
    assert bench.twin.request(bytes.fromhex("03000A0000")) == bytes.fromhex("8303")
    assert bench.twin.request(bytes.fromhex("03")) == bytes.fromhex("8303")


# RTU, byte by byte -------------------------------------------------------------------------------


def crc(data: bytes) -> bytes:
    """Return the CRC as the serial line guide computes it, bit by bit."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ 0xA001 if value & 1 else value >> 1
    return struct.pack("<H", value)


@pytest.fixture
def pty() -> Iterator[PtyPort]:
    made = PtyPort()
    yield made
    made.close()


@pytest.fixture
def line(pty: PtyPort) -> Iterator[ModbusRtu]:
    made = ModbusRtu("modbus0", ModbusRtuConfig(device=pty.path, timeout=5.0))
    yield made
    made.close()


def test_the_published_checksum() -> None:
    assert crc16_modbus(bytes.fromhex("010300050001")) == 0x0B94
    assert crc16_modbus(b"123456789") == 0x4B37


@contextmanager
def peer(pty: PtyPort, *exchanges: tuple[str, str]) -> Iterator[list[str]]:
    """Answer requests, byte for byte as given in hex, from a thread; yield what was heard."""
    heard: list[str] = []

    def serve() -> None:
        for request, answer in exchanges:
            data = b""
            while len(data) < len(bytes.fromhex(request)):
                more = pty.read(10.0)
                if not more:
                    return
                data += more
            heard.append(data.hex(" ").upper())
            pty.write(bytes.fromhex(answer))

    thread = threading.Thread(target=serve)
    thread.start()
    yield heard
    thread.join()


def test_registers_are_read_with_these_bytes(pty: PtyPort, line: ModbusRtu) -> None:
    request = "01 03 00 05 00 01 94 0B"  # published
    answer = bytes.fromhex("01 03 02 12 34")
    with peer(pty, (request, (answer + crc(answer)).hex())) as heard:
        assert line.read(1, "holding", 5, 1) == (0x1234,)
    assert heard == [request]


@pytest.mark.parametrize(
    ("use", "request_", "answer"),
    [
        (lambda line: line.read(17, "input", 8, 1), "11 04 00 08 00 01", "11 04 02 00 0A"),
        (
            lambda line: line.write(17, 1, [3], single=True),
            "11 06 00 01 00 03",
            "11 06 00 01 00 03",
        ),
        (
            lambda line: line.write(17, 1, [10, 258]),
            "11 10 00 01 00 02 04 00 0A 01 02",
            "11 10 00 01 00 02",
        ),
    ],
)
def test_each_function_has_the_bytes_of_the_specification(
    pty: PtyPort, line: ModbusRtu, use: Callable[[Any], Any], request_: str, answer: str
) -> None:
    wanted, back = bytes.fromhex(request_), bytes.fromhex(answer)
    wanted, back = wanted + crc(wanted), back + crc(back)
    with peer(pty, (wanted.hex(), back.hex())) as heard:
        assert use(line) in (None, (10,))
    assert heard == [wanted.hex(" ").upper()]


def test_an_exception_response_is_a_refusal(pty: PtyPort, line: ModbusRtu) -> None:
    answer = bytes.fromhex("01 83 02")
    words = "unit 1, holding registers from 5: it has no such register"
    with (
        peer(pty, ("010300050001940B", (answer + crc(answer)).hex())),
        pytest.raises(DeviceFault, match=words) as info,
    ):
        line.read(1, "holding", 5, 1)
    assert info.value.kind is FaultKind.REJECTED


def test_silence_is_a_timeout_and_the_late_answer_is_not_taken_for_another(
    pty: PtyPort,
) -> None:
    line = ModbusRtu("modbus0", ModbusRtuConfig(device=pty.path, timeout=0.05))
    with pytest.raises(DeviceFault, match="modbus0: no answer from unit 1: check") as info:
        line.read(1, "holding", 5, 1)
    assert info.value.kind is FaultKind.TIMEOUT
    pty.read(1.0)
    late = bytes.fromhex("01 03 02 66 66")
    pty.write(late + crc(late))
    with pytest.raises(DeviceFault) as info:
        line.read(1, "holding", 6, 1)
    assert info.value.kind is FaultKind.TIMEOUT
    line.close()


@pytest.mark.parametrize("answer", ["01 03 02 12 34 00 00", "FF FF FF", "01 03 02 12"])
def test_damaged_answers_are_corrupt(pty: PtyPort, answer: str) -> None:
    line = ModbusRtu("modbus0", ModbusRtuConfig(device=pty.path, timeout=0.3))
    with (
        peer(pty, ("010300050001940B", answer)),
        pytest.raises(DeviceFault, match="only damaged bytes from unit 1") as info,
    ):
        line.read(1, "holding", 5, 1)
    assert info.value.kind is FaultKind.CORRUPT
    line.close()


def test_the_wrong_number_of_registers_is_corrupt(pty: PtyPort, line: ModbusRtu) -> None:
    answer = bytes.fromhex("01 03 04 12 34 56 78")
    with (
        peer(pty, ("010300050001940B", (answer + crc(answer)).hex())),
        pytest.raises(DeviceFault) as info,
    ):
        line.read(1, "holding", 5, 1)
    assert info.value.kind is FaultKind.CORRUPT


def test_a_line_that_is_pulled_out_is_absent(pty: PtyPort, line: ModbusRtu) -> None:
    pty.close()
    with pytest.raises(DeviceFault, match="was pulled out") as info:
        line.read(1, "holding", 5, 1)
    assert info.value.kind is FaultKind.ABSENT
    with pytest.raises(DeviceFault, match="line is closed"):
        line.read(1, "holding", 5, 1)


def test_opening_says_what_is_wrong(pty: PtyPort, line: ModbusRtu, monkeypatch: Any) -> None:
    assert backend("modbus") is ModbusRtu
    gone = ModbusRtuConfig(device="/dev/ttyUSB99")
    with pytest.raises(DeviceFault, match="/dev/ttyUSB99 does not exist") as info:
        ModbusRtu("modbus0", gone)
    assert info.value.kind is FaultKind.ABSENT
    assert "does not exist" in ModbusRtu.preflight("modbus0", gone)
    with pytest.raises(DeviceFault, match=f"held by this very program .pid {os.getpid()}") as info:
        ModbusRtu("modbus0", ModbusRtuConfig(device=pty.path))
    assert info.value.kind is FaultKind.BUSY
    monkeypatch.setitem(sys.modules, "pymodbus", None)
    with pytest.raises(DeviceFault, match="package pymodbus is not installed"):
        ModbusRtu("modbus0", ModbusRtuConfig(device=pty.path))


def test_the_back_end_is_cheap_to_name() -> None:
    code = "import sys, horus.hal.backends.modbus_rtu as m; print('pymodbus' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@contextmanager
def simulated(pty: PtyPort, *twins: Any) -> Iterator[None]:
    host = ModbusSimHost(pty, twins)
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            host.step(0.01)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_the_twin_on_a_real_line_through_pymodbus(pty: PtyPort, line: ModbusRtu) -> None:
    one, two = ThermostatSim(ThermostatConfig()), ThermostatSim(ThermostatConfig(unit=2))
    two.stimulate("temperature", [99.9])
    with simulated(pty, one, two):
        drivers = [
            Thermostat(
                ThermostatConfig(unit=unit, target=50.0), ModbusLink(line, unit, f"oven{unit}")
            )
            for unit in (1, 2)
        ]
        for driver in drivers:
            assert driver.probe()
            driver.configure()
        for _ in range(20):
            found = [driver.read() for driver in drivers]
            assert [m.temperature for m in found if m] == pytest.approx([21.5, 99.9])
        drivers[0].map.gain = -0.25
        with pytest.raises(DeviceFault, match="oven1 on modbus0: unit 1, .*exception 3"):
            drivers[0].map.target = 1501
    assert one.map.target == two.map.target == 500
    assert one.map.gain == -0.25


def test_damaged_answers_of_the_twin_are_never_delivered(pty: PtyPort) -> None:
    line = ModbusRtu("modbus0", ModbusRtuConfig(device=pty.path, timeout=0.2))
    twin = ThermostatSim(ThermostatConfig())
    twin.corrupt(0.3)
    driver = Thermostat(ThermostatConfig(), ModbusLink(line, 1, "oven"))
    found = []
    with simulated(pty, twin):
        for _ in range(25):
            with suppress(DeviceFault):
                found.append(driver.read())
    assert {message.temperature for message in found if message} == {21.5}
    assert driver.link.errors > 0
    line.close()


def test_requests_are_found_after_garbage_and_others_are_left_alone(clock: Any) -> None:
    class Wire:
        def __init__(self) -> None:
            self.heard, self.said = b"", b""

        def read(self, timeout: float = 0.0) -> bytes:
            data, self.heard = self.heard, b""
            return data

        def write(self, data: bytes) -> None:
            self.said += data

    wire = Wire()
    host = ModbusSimHost(wire, [ThermostatSim(ThermostatConfig())], clock.monotonic_ns)
    good = bytes.fromhex("01 03 00 1E 00 01")
    other = bytes.fromhex("05 03 00 1E 00 01")
    wire.heard = b"\x01\x03\x00" + good + crc(good) + other + crc(other)
    for _ in range(3):
        host.step()
    answer = bytes.fromhex("01 03 02 4D 42")
    assert wire.said == answer + crc(answer)
    everyone = bytes.fromhex("00 06 00 0A 00 64")
    wire.heard = everyone + crc(everyone)
    host.step()
    assert wire.said == answer + crc(answer)  # nobody answers what is for all
    assert host.twins[0].map.target == 100


# in a robot --------------------------------------------------------------------------------------


def test_a_mock_run_puts_its_twins_behind_a_pty_and_opens_it_through_pymodbus() -> None:
    line = BusEntry("modbus0", "modbus", ModbusRtu, ModbusRtuConfig(device="/dev/ttyUSB9"), 1)
    config = ThermostatConfig(target=33.0)
    device = DeviceEntry("oven", "thermostat", Thermostat, "modbus0", config, None, 1)
    simulation = OpenSimulation([line], [device])
    twin: Any = simulation.twins["oven"]
    simulated = simbuses.bus_config("modbus", "modbus0", 9600)
    handle = BusHandle("modbus0", lambda: simbuses.open_bus("modbus0", simulated))
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            simulation.host.step(0.01)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        driver = Thermostat(config, handle.link("oven", device.station))
        assert isinstance(handle.bus(), ModbusRtu)
        assert driver.probe()
        driver.configure()
        found = driver.read()
    finally:
        over.set()
        thread.join()
        handle.close()
        simulation.close()
    assert found is not None
    assert found.temperature == pytest.approx(21.5)
    assert twin.map.target == 330

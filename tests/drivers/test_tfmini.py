"""TFmini: bytes counted by hand, and the twin before its wall."""

import math
import struct
from typing import Any

import pytest
from horus_drivers.range.tfmini import Tfmini, TfminiConfig, TfminiSim

from horus.hal import DeviceFault, FaultKind, LocalSerial, SerialBus, SerialLink
from horus.msgs import RangeKind, RangeSensor

FORMAT = bytes.fromhex("5A05050165")
RATE_100 = bytes.fromhex("5A0603640 0C7".replace(" ", ""))
OUTPUT = bytes.fromhex("5A05070167")


def sample(centimetres: int, strength: int = 1000, chip: int = 2328) -> bytes:
    """Return a sample; a chip of 2328 is 35 °C."""
    body = b"\x59\x59" + struct.pack("<HHH", centimetres, strength, chip)
    return body + bytes((sum(body) & 0xFF,))


class Wire(SerialBus):
    """A sensor that echoes commands between its samples."""

    name = "s0"

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.incoming = b""
        self.written: list[bytes] = []
        self.deaf = False

    def write(self, data: bytes) -> None:
        self.written.append(data)
        if not self.deaf:
            self.incoming += sample(200) + b"\x5a" + data + sample(200)

    def read(self, timeout: float = 0.0) -> bytes:
        data, self.incoming = self.incoming, b""
        if not data:
            self.clock.advance(timeout)
        return data

    def close(self) -> None:
        pass


class Bench:
    def __init__(self, clock: Any, **options: Any) -> None:
        self.wire = Wire(clock)
        link = SerialLink(self.wire, 0, "front", clock.monotonic_ns)
        self.driver = Tfmini(TfminiConfig(**options), link)

    def hear(self, data: bytes) -> RangeSensor | None:
        self.wire.incoming += data
        return self.driver.read()


@pytest.fixture
def bench(clock: Any) -> Bench:
    return Bench(clock, frame="front")


def test_it_is_found_by_what_it_sends_and_told_nothing_before(bench: Bench) -> None:
    assert not bench.driver.probe()
    bench.wire.incoming = sample(200)
    assert bench.driver.probe()
    assert bench.wire.written == []


def test_the_set_up_sends_these_bytes(clock: Any) -> None:
    bench = Bench(clock)
    for _ in bench.driver.configure():
        pass
    assert bench.wire.written == [FORMAT, RATE_100, OUTPUT]
    bench = Bench(clock, rate=250.0)
    for _ in bench.driver.configure():
        pass
    assert bench.wire.written[1] == bytes.fromhex("5A0603FA005D")


def test_a_plain_tfmini_has_nothing_to_be_set(clock: Any) -> None:
    bench = Bench(clock, model="tfmini")
    assert list(bench.driver.configure()) == []
    assert bench.wire.written == []


def test_a_command_that_is_not_echoed_is_a_timeout(clock: Any) -> None:
    bench = Bench(clock)
    bench.wire.deaf = True
    with pytest.raises(DeviceFault, match="front on s0: no answer within 100 ms") as info:
        list(bench.driver.configure())
    assert info.value.kind is FaultKind.TIMEOUT


def test_a_sample_in_si_units(bench: Bench) -> None:
    found = bench.hear(bytes.fromhex("59597B00E803180939"))  # 123 cm, strength 1000, 35 °C
    assert isinstance(found, RangeSensor)
    assert found.range == pytest.approx(1.23)
    assert (found.min_range, found.max_range) == (0.1, 12.0)
    assert found.field_of_view == pytest.approx(math.radians(3.6))
    assert found.kind == RangeKind.LASER
    assert found.frame == "front"
    assert bench.driver.read() is None


@pytest.mark.parametrize(
    ("centimetres", "strength", "metres"),
    [
        (10, 1000, 0.1),
        (1200, 150, 12.0),
        (65535, 40, math.inf),  # no echo
        (300, 99, math.inf),  # too weak to be trusted
        (1201, 150, math.inf),
        (9, 1000, -math.inf),
        (65534, 1000, math.nan),  # saturated
        (65532, 1000, math.nan),  # dazzled
        (0, 1000, math.nan),
        (300, 65535, math.nan),
    ],
)
def test_what_is_no_distance(bench: Bench, centimetres: int, strength: int, metres: float) -> None:
    found = bench.hear(sample(centimetres, strength))
    assert found is not None
    assert found.range == pytest.approx(metres, nan_ok=True)


def test_only_the_newest_of_several_is_returned(bench: Bench) -> None:
    found = bench.hear(sample(100) + sample(200) + sample(300)[:5])
    assert found is not None
    assert found.range == pytest.approx(2.0)
    found = bench.hear(sample(300)[5:])
    assert found is not None
    assert found.range == pytest.approx(3.0)


def test_no_flipped_bit_is_believed(bench: Bench) -> None:
    for place in range(9):
        for bit in range(8):
            damaged = bytearray(sample(200))
            damaged[place] ^= 1 << bit
            found = bench.hear(bytes(damaged))
            assert found is None
            found = bench.hear(sample(300))
            assert found is None or found.range == pytest.approx(3.0)
            bench.hear(sample(300))


def test_garbage_costs_nothing(bench: Bench) -> None:
    found = bench.hear(b"\x59\x59\x59garbage\x59" + sample(150))
    assert found is not None
    assert found.range == pytest.approx(1.5)


# the twin -----------------------------------------------------------------------------------------


class TwinBench:
    def __init__(self, clock: Any, **options: Any) -> None:
        self.clock = clock
        self.twin = TfminiSim(TfminiConfig(**options))
        self.port = LocalSerial([self.twin], "s0", clock.monotonic_ns, clock.sleep)

    def after(self, seconds: float) -> list[bytes]:
        data = b""
        for _ in range(round(seconds * 200)):
            self.clock.advance(0.005)
            data += self.port.read()
        assert len(data) % 9 == 0
        return [data[at : at + 9] for at in range(0, len(data), 9)]


def test_the_twin_sends_a_hundred_samples_a_second_by_itself(clock: Any) -> None:
    samples = TwinBench(clock).after(1.0)
    assert len(samples) == pytest.approx(100, abs=1)
    assert all(s[:2] == b"\x59\x59" and sum(s[:8]) & 0xFF == s[8] for s in samples)
    values = [int.from_bytes(s[2:4], "little") for s in samples]
    assert sum(values) / len(values) == pytest.approx(200, abs=1)
    assert int.from_bytes(samples[0][6:8], "little") / 8 - 256 == pytest.approx(35.0)


@pytest.mark.parametrize(("hertz", "order"), [(10, "5A06030A006D"), (1000, "5A0603E8034E")])
def test_the_twin_changes_its_rate_and_echoes_the_command(
    clock: Any, hertz: int, order: str
) -> None:
    bench = TwinBench(clock)
    bench.port.read()
    bench.port.write(bytes.fromhex(order))
    assert bytes.fromhex(order) in bench.port.read()
    assert len(bench.after(1.0)) == pytest.approx(hertz, abs=1)


def test_the_twin_can_be_told_to_be_silent(clock: Any) -> None:
    bench = TwinBench(clock)
    bench.port.write(bytes.fromhex("5A05070066"))
    bench.port.read()
    assert bench.after(0.5) == []
    bench.twin.unplug()
    bench.twin.plug()
    assert bench.after(0.5)


def test_a_plain_tfmini_does_not_understand_these_commands(clock: Any) -> None:
    bench = TwinBench(clock, model="tfmini")
    bench.port.read()
    bench.port.write(OUTPUT)
    assert b"\x5a" not in bench.port.read()


@pytest.mark.parametrize(
    ("stimulus", "value", "metres"),
    [
        ("distance", 3.25, 3.25),
        ("distance", 30.0, math.inf),
        ("reflectivity", 0.01, math.inf),
        ("ambient", 90_000, math.nan),
    ],
)
def test_the_driver_measures_what_the_twin_looks_at(
    clock: Any, stimulus: str, value: float, metres: float
) -> None:
    bench = TwinBench(clock)
    bench.twin.stimulate(stimulus, [value])
    driver = Tfmini(TfminiConfig(), SerialLink(bench.port, 0, "front", clock.monotonic_ns))
    clock.advance(0.01)
    found = driver.read()
    assert found is not None
    assert found.range == pytest.approx(metres, abs=0.03, nan_ok=True)

"""u-blox receivers: bytes counted by hand, recorded NAV-PVT, and the twin."""

import math
import struct
from pathlib import Path
from typing import Any

import pytest
from horus_drivers.gnss.ublox import Ublox, UbloxConfig, UbloxSim, UbloxSimConfig

from horus.hal import DeviceFault, FaultKind, LocalSerial, SerialBus, SerialLink
from horus.msgs import NavSatFix
from horus.msgs.gnss import CovarianceKind, NavSatStatus

DATA = Path(__file__).parents[1] / "data"
POLL_VERSION = bytes.fromhex("B5620A0400000E34")
GGA = b"$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n"


def message(header: str, payload: bytes) -> bytes:
    """Return a message with its checksum, from the class and id in hex."""
    body = bytes.fromhex(header) + struct.pack("<H", len(payload)) + payload
    a = b = 0
    for byte in body:
        a = (a + byte) % 256
        b = (b + a) % 256
    return b"\xb5\x62" + body + bytes((a, b))


def version(protocol: bytes) -> bytes:
    texts = [b"EXT CORE 4.04 (aaaaaa)", b"FWVER=SPG 4.04", protocol]
    head = texts[0].ljust(30, b"\0") + b"00190000".ljust(10, b"\0")
    return message("0A04", head + b"".join(text.ljust(30, b"\0") for text in texts[1:]))


def pvt(**given: int) -> bytes:
    """Return NAV-PVT: 92 bytes, each value at its offset in the description."""
    payload = bytearray(92)
    values = {
        "fix_type": (20, "<B", 3),
        "flags": (21, "<B", 1),
        "satellites": (23, "<B", 12),
        "longitude": (24, "<i", 115_166_667),
        "latitude": (28, "<i", 481_173_000),
        "height": (32, "<i", 592_300),
        "accuracy": (40, "<I", 1500),
        "height_accuracy": (44, "<I", 2500),
        "north": (48, "<i", 1000),
        "east": (52, "<i", -2000),
        "down": (56, "<i", 300),
        "flags3": (78, "<B", 0),
    }
    for name, (offset, format, value) in values.items():
        struct.pack_into(format, payload, offset, given.get(name, value))
    return message("0107", bytes(payload))


ACKS = {True: "0501", False: "0500"}


class Receiver(SerialBus):
    """A receiver of plain bytes, which knows nothing of the driver's map."""

    name = "gps0"

    def __init__(self, protocol: bytes = b"PROTVER=32.01") -> None:
        self.incoming = b""
        self.written: list[bytes] = []
        self.version = version(protocol)
        self.refused: set[bytes] = set()

    def write(self, data: bytes) -> None:
        self.written.append(data)
        if data == POLL_VERSION:
            self.incoming += GGA + self.version
        elif data[2] == 6:
            good = not any(part in data for part in self.refused)
            self.incoming += GGA + message(ACKS[good], data[2:4])

    def read(self, timeout: float = 0.0) -> bytes:
        data, self.incoming = self.incoming, b""
        if not data:
            self.clock.advance(timeout or 0.001)
        return data

    def close(self) -> None:
        pass


def made(clock: Any, receiver: Receiver, **options: Any) -> Ublox:
    receiver.clock = clock  # type: ignore[attr-defined]
    link = SerialLink(receiver, 0, "gps", clock.monotonic_ns)
    return Ublox(UbloxConfig(**options), link)


def configured(clock: Any, receiver: Receiver, **options: Any) -> Ublox:
    driver = made(clock, receiver, **options)
    assert not driver.probe()
    assert driver.probe()
    receiver.written.clear()
    for _ in driver.configure() or ():
        pass
    return driver


def test_the_probe_asks_for_the_version_and_does_not_wait(clock: Any) -> None:
    receiver = Receiver()
    driver = made(clock, receiver)
    before = clock.monotonic_ns()
    assert not driver.probe()
    assert receiver.written == [POLL_VERSION]
    assert driver.probe()
    assert clock.monotonic_ns() - before < 10_000_000
    assert driver.protocol == 32.01


def test_nmea_alone_is_not_an_answer(clock: Any) -> None:
    receiver = Receiver()
    receiver.version = b""
    driver = made(clock, receiver)
    assert [driver.probe() for _ in range(5)] == [False] * 5


def test_a_later_receiver_is_set_up_with_these_bytes(clock: Any) -> None:
    receiver = Receiver()
    configured(clock, receiver, rate=5.0)
    assert receiver.written == [
        message("068A", bytes.fromhex("00010000 01002130 C800 02002130 0100")),  # 200 ms
        message("068A", bytes.fromhex("00010000 07009120 01 02007410 00")),  # UART1
        message("068A", bytes.fromhex("00010000 08009120 01 02007610 00")),  # UART2
        message("068A", bytes.fromhex("00010000 09009120 01 02007810 00")),  # USB
    ]


@pytest.mark.parametrize("protocol", [b"PROTVER=18.00", b"PROTVER 15.00", b""])
def test_an_earlier_receiver_is_set_up_with_these_bytes(clock: Any, protocol: bytes) -> None:
    receiver = Receiver(protocol)
    configured(clock, receiver, rate=4.0)
    assert receiver.written == [
        message("0608", bytes.fromhex("FA00 0100 0100")),  # 250 ms
        *(message("0601", bytes((0xF0, kind, 0))) for kind in range(6)),
        message("0601", bytes.fromhex("01 07 01")),
    ]


def test_the_acknowledged_vector_of_the_description(clock: Any) -> None:
    """CFG-MSG that turns NAV-PVT on, with the checksum as u-center shows it."""
    receiver = Receiver(b"PROTVER=18.00")
    configured(clock, receiver)
    assert receiver.written[-1] == bytes.fromhex("B5620601030001070113 51".replace(" ", ""))


def test_nmea_can_be_left_on(clock: Any) -> None:
    receiver = Receiver(b"PROTVER=18.00")
    configured(clock, receiver, nmea=True)
    assert not any(data[6] == 0xF0 for data in receiver.written)
    receiver = Receiver()
    configured(clock, receiver, nmea=True)
    assert receiver.written[1][6:-2].hex() == "00010000" + "0700912001" + "0200741001"


def test_a_port_that_this_receiver_lacks_is_no_fault(clock: Any) -> None:
    receiver = Receiver()
    receiver.refused = {bytes.fromhex("09009120"), bytes.fromhex("08009120")}
    configured(clock, receiver)


def test_no_port_at_all_is_a_fault(clock: Any) -> None:
    receiver = Receiver()
    receiver.refused = {bytes.fromhex("009120")}
    with pytest.raises(DeviceFault, match="gps on gps0: it refuses to send NAV-PVT") as info:
        configured(clock, receiver)
    assert info.value.kind is FaultKind.REJECTED


def test_a_refused_rate_is_a_fault_that_names_it(clock: Any) -> None:
    receiver = Receiver()
    receiver.refused = {bytes.fromhex("01002130")}
    with pytest.raises(DeviceFault, match="is rate: 25 too much") as info:
        configured(clock, receiver, rate=25.0)
    assert info.value.kind is FaultKind.REJECTED


def test_silence_instead_of_an_acknowledge_is_a_timeout(clock: Any) -> None:
    class Deaf(Receiver):
        def write(self, data: bytes) -> None:
            if data == POLL_VERSION:
                super().write(data)

    with pytest.raises(DeviceFault, match="no answer") as info:
        configured(clock, Deaf())
    assert info.value.kind is FaultKind.TIMEOUT


def test_its_identity_is_the_chips_number(clock: Any) -> None:
    class Numbered(Receiver):
        def write(self, data: bytes) -> None:
            super().write(data)
            if data[2:4] == b"\x27\x03":
                self.incoming += message("2703", bytes.fromhex("01000000 A1B2C3D4E5"))

    assert made(clock, Numbered()).identity() == "a1b2c3d4e5"
    assert made(clock, Receiver()).identity() == ""


def test_a_position_in_si_units(clock: Any) -> None:
    receiver = Receiver()
    driver = configured(clock, receiver, frame="antenna")
    receiver.incoming = pvt()
    fix = driver.read()
    assert isinstance(fix, NavSatFix)
    assert (fix.latitude, fix.longitude) == pytest.approx((48.1173, 11.5166667))
    assert fix.altitude == pytest.approx(592.3)
    assert fix.velocity == pytest.approx((-2.0, 1.0, -0.3))
    assert fix.satellites == 12
    assert fix.status == NavSatStatus.FIX
    assert fix.position_covariance == pytest.approx((2.25, 0, 0, 0, 2.25, 0, 0, 0, 6.25))
    assert fix.covariance_kind == CovarianceKind.APPROXIMATED
    assert fix.frame == "antenna"
    assert driver.read() is None


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"flags": 0x01}, NavSatStatus.FIX),
        ({"flags": 0x03}, NavSatStatus.SBAS_FIX),
        ({"flags": 0x43}, NavSatStatus.GBAS_FIX),
        ({"flags": 0x83}, NavSatStatus.GBAS_FIX),
        ({"flags": 0x00}, NavSatStatus.NO_FIX),  # position, but not to be trusted
        ({"fix_type": 0}, NavSatStatus.NO_FIX),
        ({"fix_type": 1}, NavSatStatus.NO_FIX),  # dead reckoning alone
        ({"fix_type": 5}, NavSatStatus.NO_FIX),  # time only
        ({"flags3": 1}, NavSatStatus.NO_FIX),  # invalid llh
    ],
)
def test_kinds_of_fix(clock: Any, given: dict[str, int], status: NavSatStatus) -> None:
    receiver = Receiver()
    driver = configured(clock, receiver)
    receiver.incoming = pvt(**given)
    fix = driver.read()
    assert fix is not None
    assert fix.status == status
    assert math.isnan(fix.latitude) is (status == NavSatStatus.NO_FIX)
    assert math.isnan(fix.altitude) is (status == NavSatStatus.NO_FIX)


def test_in_two_dimensions_the_height_is_unknown(clock: Any) -> None:
    receiver = Receiver()
    driver = configured(clock, receiver)
    receiver.incoming = pvt(fix_type=2)
    fix = driver.read()
    assert fix is not None
    assert math.isnan(fix.altitude)
    assert fix.latitude == pytest.approx(48.1173)


def test_no_flipped_bit_is_believed(clock: Any) -> None:
    receiver = Receiver()
    driver = configured(clock, receiver)
    for place in range(2, 100):
        damaged = bytearray(pvt())
        damaged[place] ^= 1 << place % 8
        receiver.incoming = bytes(damaged)
        assert driver.read() is None
        receiver.incoming = bytes(2000)  # what it may still wait for
        assert driver.read() is None
    receiver.incoming = b"\xb5\x62\x01" + pvt() + bytes(1000)  # the length of the stump is 354
    assert driver.read() is not None


@pytest.mark.parametrize("size", [1, 50, 10_000])
def test_recorded_positions_of_a_real_receiver(clock: Any, size: int) -> None:
    receiver = Receiver()
    driver = configured(clock, receiver)
    recorded = (DATA / "gnss_mixed.log").read_bytes()
    found = []
    for at in range(0, len(recorded), size):
        receiver.incoming = recorded[at : at + size]
        fix = driver.read()
        if fix is not None:
            found.append(fix)
    assert len(found) == (2 if size < 10_000 else 1)  # only the newest of one read
    assert (found[-1].latitude, found[-1].longitude) == pytest.approx((53.4505927, -2.240361))
    assert found[-1].altitude == pytest.approx(113.717)
    assert found[-1].velocity == pytest.approx((0.017, -0.008, -0.001))
    assert found[-1].position_covariance[0] == pytest.approx(42.021**2)


# the twin, seen from the port ---------------------------------------------------------------------


class Bench:
    def __init__(self, clock: Any, **options: Any) -> None:
        self.clock = clock
        self.twin = UbloxSim(UbloxConfig(), UbloxSimConfig(**options))
        self.port = LocalSerial([self.twin], "gps0", clock.monotonic_ns, clock.sleep)

    def ask(self, request: bytes) -> bytes:
        self.port.read()
        self.port.write(request)
        return self.port.read()

    def after(self, seconds: float) -> bytes:
        data = b""
        for _ in range(round(seconds * 100)):
            self.clock.advance(0.01)
            data += self.port.read()
        return data


def test_the_twin_comes_up_with_nmea_once_a_second(clock: Any) -> None:
    bench = Bench(clock)
    data = bench.after(3.0)
    assert 3 <= data.count(b"$GNGGA") <= 4
    assert b"\xb5\x62" not in data


def test_the_twin_answers_the_poll_of_its_version(clock: Any) -> None:
    answer = Bench(clock).ask(POLL_VERSION)
    assert answer[:4] == b"\xb5\x62\x0a\x04"
    assert b"PROTVER=32.01" in answer
    assert len(answer) == 8 + 40 + 3 * 30


def test_the_twin_sends_nav_pvt_once_it_is_told_and_forgets_it_with_its_power(clock: Any) -> None:
    bench = Bench(clock)
    rate = message("068A", bytes.fromhex("00010000 01002130 6400"))
    on = message("068A", bytes.fromhex("00010000 07009120 01 02007410 00"))
    ack = message("0501", bytes.fromhex("068A"))
    assert bench.ask(rate) == ack
    assert bench.ask(on) == ack
    bench.port.read()
    data = bench.after(2.0)
    assert 19 <= data.count(b"\xb5\x62\x01\x07\x5c\x00") <= 21
    assert b"$GN" not in data
    bench.twin.unplug()
    bench.twin.plug()
    assert b"\xb5\x62" not in bench.after(2.0)


@pytest.mark.parametrize(
    ("generation", "request_", "good"),
    [
        (9, ("068A", "00010000 09009120 01"), False),  # a port it does not have
        (9, ("068A", "00010000 01002130 0100"), False),  # 1000 Hz
        (9, ("068A", "00010000 01002130"), False),  # cut off
        (8, ("068A", "00010000 07009120 01"), False),
        (8, ("0601", "010701"), True),
        (9, ("0601", "010701"), True),
        (8, ("0608", "640001000100"), True),
        (8, ("0608", "010001000100"), False),
        (8, ("06FF", ""), False),
    ],
)
def test_what_the_twin_acknowledges(
    clock: Any, generation: Any, request_: tuple[str, str], good: bool
) -> None:
    header, payload = request_
    answer = Bench(clock, generation=generation).ask(message(header, bytes.fromhex(payload)))
    assert answer == message(ACKS[good], bytes.fromhex(header))


@pytest.mark.parametrize("generation", [8, 9])
def test_driver_and_twin_of_both_generations(clock: Any, generation: Any) -> None:
    bench = Bench(clock, generation=generation, first_fix=0.0)
    driver = Ublox(UbloxConfig(rate=10.0), SerialLink(bench.port, 0, "gps", clock.monotonic_ns))
    assert not driver.probe()
    clock.advance(0.1)
    assert driver.probe()
    assert driver.identity() == "c0ffee0001"
    for _ in driver.configure() or ():
        clock.advance(0.01)
    found = []
    for _ in range(400):
        clock.advance(0.005)
        fix = driver.read()
        if fix is not None:
            found.append(fix)
    assert 19 <= len(found) <= 21
    latitude, longitude, height = bench.twin.place()[0]
    assert found[-1].latitude == pytest.approx(latitude, abs=5e-5)
    assert found[-1].longitude == pytest.approx(longitude, abs=8e-5)
    assert found[-1].altitude == pytest.approx(height, abs=10.0)


def test_the_twin_plays_what_a_real_receiver_sent(clock: Any) -> None:
    bench = Bench(clock, play=DATA / "gnss_mixed.log")
    bench.ask(message("0601", bytes.fromhex("010701")))
    recorded = (DATA / "gnss_mixed.log").read_bytes()
    assert recorded[: recorded.index(b"\xb5\x62\x01\x07", 4)] in bench.after(4.0)

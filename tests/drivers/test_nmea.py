"""NMEA receivers: published sentences, recordings of real receivers, and the twin."""

import math
from pathlib import Path
from typing import Any

import pytest
from horus_drivers.gnss.nmea import Nmea, NmeaConfig, NmeaSim
from horus_drivers.gnss.receiver import NMEA_EPOCH, ReceiverSimConfig, epochs

from horus.hal import LocalSerial, SerialBus, SerialLink
from horus.msgs import NavSatFix
from horus.msgs.gnss import CovarianceKind, NavSatStatus

DATA = Path(__file__).parents[1] / "data"

GGA = b"$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n"
RMC = b"$GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W*6A\r\n"
LATER = b"$GPRMC,123520,A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W*60\r\n"
BEFORE = b"$GPRMC,123518,A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W*6B\r\n"


class Wire(SerialBus):
    """A port at which bytes arrive as the test says."""

    name = "gps0"

    def __init__(self) -> None:
        self.incoming = b""

    def write(self, data: bytes) -> None:
        raise AssertionError("an NMEA receiver is told nothing")

    def read(self, timeout: float = 0.0) -> bytes:
        data, self.incoming = self.incoming, b""
        return data

    def close(self) -> None:
        pass


class Bench:
    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.wire = Wire()
        self.link = SerialLink(self.wire, 0, "gps", clock.monotonic_ns)
        self.driver = Nmea(NmeaConfig(frame="antenna"), self.link)

    def hear(self, data: bytes) -> NavSatFix | None:
        self.clock.advance(0.01)
        self.wire.incoming += data
        return self.driver.read()

    def used_to(self, *kinds: str) -> None:
        """Hear some epochs with these sentences, so that it knows what to wait for."""
        bodies = {
            "GGA": "GPGGA,{},4807.0,N,01131.0,E,1,08,0.9,545.4,M,46.9,M,,",
            "RMC": "GPRMC,{},A,4807.0,N,01131.0,E,022.4,084.4,230394,003.1,W",
            "GSA": "GPGSA,A,3,04,05,,09,12,,,24,,,,,2.5,1.3,2.1",
        }
        for time in (123515, 123516, 123517):
            self.hear(b"".join(checked(bodies[kind].format(time)) for kind in kinds))

    def all(self, data: bytes, size: int) -> list[NavSatFix]:
        found = [self.hear(data[at : at + size]) for at in range(0, len(data), size)]
        return [fix for fix in found if fix is not None]


@pytest.fixture
def bench(clock: Any) -> Bench:
    return Bench(clock)


def checked(body: str) -> bytes:
    value = 0
    for byte in body.encode():
        value ^= byte
    return f"${body}*{value:02X}\r\n".encode()


def test_the_published_sentences_in_si_units(bench: Bench) -> None:
    """48° 07.038' N, 11° 31.000' E; 545.4 m above the sea, which is 46.9 m above the ellipsoid."""
    bench.hear(BEFORE)
    fix = bench.hear(RMC + GGA)
    assert fix is None  # it could be more
    fix = bench.hear(LATER)
    assert fix is not None
    assert fix.latitude == pytest.approx(48.1173, abs=1e-9)
    assert fix.longitude == pytest.approx(11.516666667, abs=1e-9)
    assert fix.altitude == pytest.approx(592.3)
    assert fix.status == NavSatStatus.FIX
    assert fix.satellites == 8
    speed = 22.4 * 1852 / 3600
    east, north, up = fix.velocity
    assert (east, north) == pytest.approx(
        (speed * math.sin(math.radians(84.4)), speed * math.cos(math.radians(84.4)))
    )
    assert math.isnan(up)
    assert fix.covariance_kind == CovarianceKind.APPROXIMATED
    assert fix.position_covariance[0] == pytest.approx((0.9 * 4.0) ** 2)
    assert fix.frame == "antenna"


def test_once_it_knows_which_sentences_come_it_waits_for_no_more(bench: Bench) -> None:
    bench.used_to("RMC", "GGA")
    assert bench.hear(RMC) is None
    began = bench.link.stamp_ns
    bench.clock.advance(0.2)
    fix = bench.hear(GGA)
    assert fix is not None
    assert bench.link.stamp_ns == began  # its first sentence


def test_epochs_that_waited_together_have_each_a_stamp_of_its_own(bench: Bench) -> None:
    bench.used_to("RMC", "GGA")
    stalled = bench.clock.monotonic_ns()
    bench.clock.advance(1.2)  # nobody looked meanwhile
    assert bench.hear(RMC + GGA + LATER) is not None
    first = bench.link.stamp_ns
    fix = bench.hear(GGA.replace(b"123519", b"123520").replace(b"*47", b"*4D"))
    assert fix is not None
    second, now = bench.link.stamp_ns, bench.clock.monotonic_ns()
    behind = len(GGA + LATER) * 10 / bench.wire.baudrate
    assert second - first == pytest.approx(behind * 1e9, abs=1)
    assert stalled < first < second == now - 10_000_000


def test_sentences_in_pieces_of_one_byte(bench: Bench) -> None:
    stream = BEFORE + RMC + GGA + LATER
    assert [fix.altitude for fix in bench.all(stream, 1)] == [pytest.approx(592.3)]


def test_a_sentence_without_a_checksum_is_not_believed(bench: Bench) -> None:
    bench.used_to("RMC", "GGA")
    bare = GGA.replace(b"*47", b"")
    assert bench.hear(RMC + bare) is None
    assert bench.hear(RMC.replace(b"123519", b"123529") + GGA.replace(b"545", b"546")) is None
    assert bench.link.errors == 3


@pytest.mark.parametrize("place", range(1, len(GGA) - 2))
def test_no_flipped_bit_is_believed(bench: Bench, place: int) -> None:
    bench.used_to("GGA")
    for bit in range(8):
        damaged = bytearray(GGA)
        damaged[place] ^= 1 << bit
        fix = bench.hear(bytes(damaged))
        same_digits = damaged.upper() == GGA.upper()  # "*4a" is "*4A"
        assert fix is None or same_digits


def test_garbage_and_binary_between_sentences_cost_nothing(bench: Bench) -> None:
    bench.used_to("GGA")
    fix = bench.hear(b"\xb5\x62\x01\x07$\x00\xff$GPG" + GGA)
    assert fix is not None
    assert fix.satellites == 8


def test_a_line_that_never_ends_is_left_behind(bench: Bench) -> None:
    bench.used_to("GGA")
    assert bench.hear(b"$" + b"A" * 2000 + GGA) is not None


@pytest.mark.parametrize(
    ("quality", "status"),
    [
        (0, NavSatStatus.NO_FIX),
        (1, NavSatStatus.FIX),
        (2, NavSatStatus.SBAS_FIX),
        (4, NavSatStatus.GBAS_FIX),
        (5, NavSatStatus.GBAS_FIX),
        (6, NavSatStatus.NO_FIX),  # dead reckoning
        (7, NavSatStatus.NO_FIX),  # typed in by hand
        (8, NavSatStatus.NO_FIX),  # a simulator
    ],
)
def test_qualities_of_a_fix(bench: Bench, quality: int, status: NavSatStatus) -> None:
    body = "GPGGA,{},4807.038,N,01131.000,E,{},08,0.9,545.4,M,46.9,M,,"
    bench.used_to("GGA")
    fix = bench.hear(checked(body.format(123519, quality)))
    assert fix is not None
    assert fix.status == status
    assert math.isnan(fix.latitude) is (status == NavSatStatus.NO_FIX)


@pytest.mark.parametrize(
    "sentences",
    [
        checked("GPRMC,123519,V,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W") + GGA,
        checked("GPRMC,123519,V,,,,,,,230394,,") + checked("GPGGA,123519,,,,,0,00,99.9,,,,,,"),
        RMC + GGA + checked("GPGSA,A,1,,,,,,,,,,,,,99.9,99.9,99.9"),
    ],
    ids=["RMC void", "all empty", "GSA without a fix"],
)
def test_a_warning_of_any_sentence_is_no_fix(bench: Bench, sentences: bytes) -> None:
    bench.hear(BEFORE)
    found = bench.all(sentences + LATER, 10_000)
    assert found
    assert found[-1].status == NavSatStatus.NO_FIX
    assert math.isnan(found[-1].latitude)


def test_without_a_clock_it_says_that_it_has_no_fix(bench: Bench) -> None:
    cold = checked("GPRMC,,V,,,,,,,,,,N") + checked("GPGGA,,,,,,0,00,99.99,,,,,,")
    for _ in range(3):
        fix = bench.hear(cold)
    assert fix is not None
    assert fix.status == NavSatStatus.NO_FIX


def test_a_receiver_that_says_the_same_time_again_has_nothing_new(bench: Bench) -> None:
    bench.used_to("GGA")
    assert bench.hear(GGA) is not None
    assert [bench.hear(GGA) for _ in range(5)] == [None] * 5


def test_height_is_unknown_without_the_geoid_and_in_two_dimensions(bench: Bench) -> None:
    body = "GPGGA,{},4807.038,N,01131.000,E,1,08,0.9,545.4,M,{},M,,"
    bench.used_to("GGA")
    fix = bench.hear(checked(body.format(123519, "")))
    assert fix is not None
    assert math.isnan(fix.altitude)
    flat = checked("GPGSA,A,2,04,05,,09,12,,,24,,,,,2.5,1.3,2.1")
    bench.hear(checked(body.format(123520, "46.9")) + flat)
    bench.hear(checked(body.format(123521, "46.9")) + flat)
    fix = bench.hear(checked(body.format(123522, "46.9")) + flat)
    assert fix is not None
    assert math.isnan(fix.altitude)


def test_standing_still_the_direction_is_unknown_or_the_speed_is_zero(bench: Bench) -> None:
    body = "GPRMC,{},A,4807.038,N,01131.000,E,{},,230394,,,A"
    bench.used_to("RMC")
    fix = bench.hear(checked(body.format(123519, "0.046")))
    assert fix is not None
    assert all(math.isnan(v) for v in fix.velocity)
    fix = bench.hear(checked(body.format(123520, "0.000")))
    assert fix is not None
    assert fix.velocity[:2] == (0.0, 0.0)


# recordings ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
def test_a_real_receivers_sentences(bench: Bench, size: int) -> None:
    recorded = (DATA / "gnss_nmea.log").read_bytes()
    found = bench.all(BEFORE + recorded + LATER, size)
    fix = next(fix for fix in found if fix.satellites == 6)
    assert fix.latitude == pytest.approx(53.450657, abs=1e-6)
    assert fix.longitude == pytest.approx(-2.2404103, abs=1e-6)  # GGA; its RMC was altered
    assert fix.altitude == pytest.approx(56.0 + 48.5)
    assert fix.status == NavSatStatus.FIX


def test_the_error_that_a_real_receiver_estimates_itself(bench: Bench) -> None:
    """$GNGST,103607.00,38,60,38,89,15,24,31: 15 m to the north, 24 m to the east, 31 m up."""
    gst = b"$GNGST,103607.00,38,60,38,89,15,24,31*63\r\n"
    gga = b"$GNGGA,103607.00,5327.03942,N,00214.42462,W,1,06,5.88,56.0,M,48.5,M,,*64\r\n"
    bench.hear(BEFORE)
    fix = bench.all(gga + gst + LATER, 10_000)[-1]
    assert fix.covariance_kind == CovarianceKind.DIAGONAL_KNOWN
    assert [fix.position_covariance[i] for i in (0, 4, 8)] == [24.0**2, 15.0**2, 31.0**2]


@pytest.mark.parametrize("size", [1, 33, 100_000])
def test_real_sentences_with_ubx_mixed_in(bench: Bench, size: int) -> None:
    recorded = (DATA / "gnss_mixed.log").read_bytes()
    (fix,) = bench.all(BEFORE + recorded + LATER, size)[-1:]
    assert (fix.latitude, fix.longitude) == pytest.approx((53.4505927, -2.240361), abs=1e-6)
    assert fix.satellites == 5
    assert fix.altitude == pytest.approx(65.2 + 48.5)


def test_a_real_receiver_without_a_view_of_the_sky_never_gives_a_position(bench: Bench) -> None:
    found = bench.all((DATA / "gnss_drive.ubx").read_bytes(), 50)
    assert len(found) > 5
    assert {fix.status for fix in found} == {NavSatStatus.NO_FIX}
    assert all(math.isnan(fix.latitude) and math.isnan(fix.longitude) for fix in found)


# the twin -----------------------------------------------------------------------------------------


def played(clock: Any, seconds: float, **options: Any) -> tuple[NmeaSim, list[NavSatFix]]:
    twin = NmeaSim(NmeaConfig(rate=10.0), ReceiverSimConfig(**options))
    bus = LocalSerial([twin], "gps0", clock.monotonic_ns, clock.sleep)
    driver = Nmea(NmeaConfig(), SerialLink(bus, 0, "gps", clock.monotonic_ns))
    found = []
    for _ in range(round(seconds * 200)):
        clock.advance(0.005)
        fix = driver.read()
        if fix is not None:
            found.append(fix)
    return twin, found


def test_the_twin_has_a_fix_after_a_while_and_then_knows_where_it_is(clock: Any) -> None:
    twin, found = played(clock, 5.0, first_fix=2.0)
    assert [fix.status for fix in found[:15]] == [NavSatStatus.NO_FIX] * 15
    assert found[-1].status == NavSatStatus.FIX
    latitude, longitude, height = twin.place()[0]
    assert found[-1].latitude == pytest.approx(latitude, abs=5e-5)  # about 5 m
    assert found[-1].longitude == pytest.approx(longitude, abs=8e-5)
    assert found[-1].altitude == pytest.approx(height, abs=10.0)


def test_the_twin_moves_as_fast_as_it_says(clock: Any) -> None:
    _, found = played(clock, 3.0, error=0.0)
    east, north, _ = found[-1].velocity
    assert math.hypot(east, north) == pytest.approx(1.5, abs=0.2)
    metres = math.radians(found[-1].latitude - found[20].latitude) * 6_378_137
    seconds = (len(found) - 21) / 10
    assert metres == pytest.approx(1.5 * seconds, abs=0.2)  # it starts to the north


def test_the_twin_loses_its_fix_without_satellites(clock: Any) -> None:
    twin, _ = played(clock, 2.0)
    twin.stimulate("satellites", [3])
    twin.advance(clock.monotonic_ns() + 10**9)
    (sentence,) = [s for s in twin.emit() if b"GGA" in s]
    assert b",0,03,99.99," in sentence


def test_the_twin_is_where_it_is_put(clock: Any) -> None:
    twin = NmeaSim(NmeaConfig(), ReceiverSimConfig(first_fix=0.0, error=0.0))
    for name, value in (("latitude", -33.9), ("longitude", 151.2), ("radius", 0), ("height", 20)):
        twin.stimulate(name, [value])
    twin.advance(0)
    gga = next(s for s in twin.emit() if b"GGA" in s)
    assert gga.startswith(b"$GNGGA,000000.00,3354.00000,S,15112.00000,E,1,11,")
    with pytest.raises(ValueError, match="latitude must be finite and from -89 to 89"):
        twin.stimulate("latitude", [90.5])


def test_the_twin_plays_what_a_real_receiver_sent(clock: Any) -> None:
    _, found = played(clock, 3.0, play=DATA / "gnss_mixed.log")
    assert {round(fix.latitude, 6) for fix in found} == {53.450593}
    assert {fix.satellites for fix in found} == {5}


def test_a_recording_without_a_receiver_in_it_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "notes.log"
    file.write_text("nothing")
    with pytest.raises(ValueError, match=r"notes\.log: a receiver's recording needs two moments"):
        epochs(file, NMEA_EPOCH)

"""Any receiver of satellite positions that speaks NMEA 0183, on a serial port.

Sources: NMEA 0183 version 4.11 as u-blox describes it (M9 interface description UBX-19035940);
the sentences are taken apart by the package pynmeagps. Most receivers send once a second at 9600
or 38400 baud: give that as ``baudrate`` of the port, and the receiver's own rate as ``rate``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import time
from typing import Any

from horus_drivers.gnss.receiver import KNOT, NmeaFraming, ReceiverSim, ReceiverSimConfig

from horus.hal import Driver, DriverConfig, FaultKind, PacketMap, option
from horus.msgs import NavSatFix
from horus.msgs.gnss import CovarianceKind, NavSatStatus

TIMED = ("GGA", "RMC", "GST")  # sentences that say which epoch they belong to
USED = (*TIMED, "GSA")
QUIET = 20  # calls of `read` without a byte: the sentences of an epoch are all there
#: What the quality of a GGA sentence means; the others are no position from satellites.
STATUS = {
    1: NavSatStatus.FIX,
    2: NavSatStatus.SBAS_FIX,
    3: NavSatStatus.FIX,
    4: NavSatStatus.GBAS_FIX,
    5: NavSatStatus.GBAS_FIX,
}
#: Usual error (m) of a range by quality; times the dilution of precision it is that of a position.
RANGE_ERROR = {1: 4.0, 2: 2.0, 3: 4.0, 4: 0.02, 5: 0.5}


class NmeaSentences(PacketMap):
    """Lines of text, with a checksum each."""

    framing = NmeaFraming()


@dataclass(frozen=True, kw_only=True)
class NmeaConfig(DriverConfig):
    """Options of an NMEA receiver."""

    rate: float = option(
        1.0, unit="Hz", low=0.1, high=25, doc="positions a second, as set in the receiver"
    )


@dataclass
class Epoch:
    """What the sentences of one moment say."""

    time: time | str
    stamp_ns: int
    sent: bool = False  # or not to be sent
    whole: bool = False  # whether its beginning was heard
    parts: dict[str, Any] = field(default_factory=dict)
    addresses: set[bytes] = field(default_factory=set)


class Nmea(Driver[NmeaConfig, NmeaSentences]):
    """Position, its error, and velocity: GGA, RMC, GSA and GST of one moment in one message."""

    poll_rate = 200.0
    exempt = {"C1.wrong": "every receiver that sends NMEA 0183 is the right one"}  # noqa: RUF012
    _epoch: Epoch | None = None
    _heard = 0  # bytes by the last call
    _quiet = 0  # calls since then that brought none
    _early: Any = None  # a GSA that came after its epoch was sent: it belongs to the next
    #: The sentences of the last two epochs; one that is missing once may just be damaged.
    _expected: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())

    def probe(self) -> bool:
        """Return whether whole sentences arrive."""
        return bool(self.map.frames())

    def read(self) -> NavSatFix | None:
        """Return the newest position: once all sentences of its epoch are there."""
        fix = None
        for frame, stamp in zip(self.map.frames(), self.map.link.frame_stamps, strict=True):
            kind = frame[3:6].decode("ascii", "replace")
            if kind in USED and frame[1:2] != b"P":
                fix = self._take(kind, frame[1:6], self._parse(frame), stamp) or fix
        self._quiet = self._quiet + 1 if self.link.bytes == self._heard else 0
        self._heard = self.link.bytes
        if self._quiet == QUIET and self._epoch is not None and not self._epoch.sent:
            return self._message(self._epoch)
        return fix

    def _parse(self, frame: bytes) -> Any:
        try:
            from pynmeagps import NMEAReader, exceptions  # type: ignore[import-untyped]
        except ImportError:
            text = "the Python package pynmeagps is not installed"
            cure = 'pip install "horus[drivers]"'
            raise self.fault(FaultKind.ABSENT, text, cure) from None
        errors = (exceptions.NMEAParseError, exceptions.NMEAMessageError, exceptions.NMEATypeError)
        try:
            return NMEAReader.parse(frame)
        except (*errors, ValueError):
            self.link.errors += 1
            return None

    def _take(self, kind: str, address: bytes, parsed: Any, stamp: int) -> NavSatFix | None:
        """Add a sentence to its epoch; return what is complete by it."""
        if parsed is None:
            return None
        epoch, finished = self._epoch, None
        repeated = epoch is not None and address in epoch.addresses
        if kind in TIMED and (epoch is None or parsed.time != epoch.time or repeated):
            finished = self._close(epoch) if epoch is not None else None
            # A receiver that says the same time again has nothing new.
            old = epoch is not None and parsed.time == epoch.time and parsed.time != ""
            whole = epoch is not None or self._quiet >= QUIET
            epoch = Epoch(parsed.time, stamp, sent=old or not whole, whole=whole)
            self._epoch = epoch
            if self._early is not None:
                epoch.parts["GSA"] = self._early
        if epoch is None:
            return finished
        if kind == "GSA" and epoch.sent and "GSA" in epoch.parts:
            self._early = parsed
            return finished
        self._early = None if kind == "GSA" else self._early
        epoch.parts[kind] = parsed
        epoch.addresses.add(address)
        expected = self._expected[0] | self._expected[1]
        if expected and not epoch.sent and expected <= epoch.parts.keys():
            return self._message(epoch) or finished
        return finished

    def _close(self, epoch: Epoch) -> NavSatFix | None:
        """End an epoch: the next one is complete when it has the same sentences."""
        if epoch.whole:
            self._expected = (self._expected[1], frozenset(epoch.parts))
        return None if epoch.sent else self._message(epoch)

    def _message(self, epoch: Epoch) -> NavSatFix | None:
        """Return an epoch as a message; None for one without a position sentence."""
        epoch.sent = True
        place = epoch.parts.get("GGA") or epoch.parts.get("RMC")
        if place is None:
            return None
        self.link.stamp_ns = epoch.stamp_ns
        gga, rmc, gsa = (epoch.parts.get(kind) for kind in ("GGA", "RMC", "GSA"))
        quality = gga.quality if gga else 1
        good = (
            quality in STATUS
            and (rmc is None or rmc.status == "A")
            and (gsa is None or gsa.navMode in (2, 3))
            and _number(place.lat) is not None
            and _number(place.lon) is not None
        )
        if not good:
            return NavSatFix(latitude=math.nan, longitude=math.nan, frame=self.config.frame)
        fix = NavSatFix(
            latitude=place.lat,
            longitude=place.lon,
            status=STATUS[quality],
            frame=self.config.frame,
        )
        if gga:
            fix.satellites = min(_number(gga.numSV) or 0, 255)
            height, sea = _number(gga.alt), _number(gga.sep)
            two_dimensional = gsa is not None and gsa.navMode == 2
            if height is not None and sea is not None and not two_dimensional:
                fix.altitude = height + sea
        if rmc:
            fix.velocity = _velocity(_number(rmc.spd), _number(rmc.cog))
        _estimate_error(fix, epoch.parts, quality)
        return fix


def _number(value: Any) -> Any:
    """Return a number of a sentence; None where the sentence leaves it out."""
    return value if isinstance(value, (int, float)) else None


def _velocity(knots: float | None, course: float | None) -> tuple[float, float, float]:
    """Return speed and course as east, north and up; NaN where the receiver does not say."""
    if knots == 0:
        return (0.0, 0.0, math.nan)
    if knots is None or course is None:  # receivers leave the course out when they stand
        return (math.nan, math.nan, math.nan)
    angle = math.radians(course)
    return (knots * KNOT * math.sin(angle), knots * KNOT * math.cos(angle), math.nan)


def _estimate_error(fix: NavSatFix, parts: dict[str, Any], quality: int) -> None:
    """Fill the covariance from GST, else from the dilution of precision."""
    gst, gga, gsa = parts.get("GST"), parts.get("GGA"), parts.get("GSA")
    if gst is not None:
        spread = [_number(value) for value in (gst.stdLong, gst.stdLat, gst.stdAlt)]
        kind = CovarianceKind.DIAGONAL_KNOWN
    else:
        flat = _number(gga.HDOP) if gga else _number(gsa.HDOP) if gsa else None
        steep = _number(gsa.VDOP) if gsa else None
        if flat is None:
            return
        error = RANGE_ERROR[quality]
        spread = [flat * error, flat * error, (steep or 2 * flat) * error]
        kind = CovarianceKind.APPROXIMATED
    if any(value is None for value in spread):
        return
    east, north, up = (value * value for value in spread)
    fix.position_covariance = (east, 0.0, 0.0, 0.0, north, 0.0, 0.0, 0.0, up)
    fix.covariance_kind = kind


class NmeaSim(ReceiverSim[NmeaConfig, NmeaSentences], twin_of=Nmea):
    """A receiver that sends RMC, GGA and GSA, or what a real one once sent."""

    options: ReceiverSimConfig

    def emit(self) -> list[bytes]:
        """Return the sentences of an epoch when it is due."""
        frames: list[bytes] = []
        for fix in self.due_epochs():
            if self.recording:
                frames.append(self.recording[self.number % len(self.recording)])
            else:
                frames += self.sentences(fix)
        return frames

"""u-blox receivers of satellite positions (M8, M9, M10, F9 and later) by UBX, on a serial port.

Sources: u-blox M8 protocol specification UBX-13003221 (protocol 18) and M9 interface description
UBX-19035940 (protocol 32). NAV-PVT is taken apart by the package pyubx2. The port's ``baudrate``
must be the receiver's own: 9600 after power-on for an M8, 38400 for later ones; USB takes any.
Settings go to the receiver's RAM: a power cut loses them, and they are made anew.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from horus_drivers.gnss.receiver import GEOID, Fix, ReceiverSim, ReceiverSimConfig

from horus.hal import (
    Checksum,
    DeviceFault,
    Driver,
    DriverConfig,
    FaultKind,
    HeaderFraming,
    Packet,
    PacketMap,
    Steps,
    option,
)
from horus.hal.checksums import fletcher8
from horus.msgs import NavSatFix
from horus.msgs.gnss import CovarianceKind, NavSatStatus

ANSWER_WITHIN = 0.4  # s: at 9600 baud an answer may stand behind that many sentences
VALSET_SINCE = 27.0  # protocol version from which on CFG-VALSET is the way to configure
RAM = 1  # layer of CFG-VALSET
NMEA_CLASS, NMEA_KINDS = 0xF0, (0, 1, 2, 3, 4, 5)  # GGA, GLL, GSA, GSV, RMC, VTG
RATE_MEASURED, RATE_NAVIGATION = 0x30210001, 0x30210002  # ms a measurement; measurements a fix
#: By port: the key that sends NAV-PVT on it, and the one that keeps NMEA off it.
PORTS = {
    "UART1": (0x20910007, 0x10740002),
    "UART2": (0x20910008, 0x10760002),
    "USB": (0x20910009, 0x10780002),
}
FIXES = (2, 3, 4)  # 2D, 3D, 3D with dead reckoning
T = TypeVar("T")
PROTOCOL = re.compile(rb"PROTVER[= ]*(\d+\.\d+)")


class UbxPackets(PacketMap):
    """The messages used here, by class and id; all little-endian."""

    framing = HeaderFraming(
        b"\xb5\x62", length=(4, "<H", 8), checksum=Checksum(fletcher8, "<H", start=2), largest=1032
    )
    nav_pvt = Packet(0x0107, "<I H5B B I i 4B 4i 2I 4i i 2I H H 4x i h H")
    nak = Packet(0x0500, "<BB")  # class and id of what was refused
    ack = Packet(0x0501, "<BB")
    cfg_msg = Packet(0x0601, "<BBB")  # class, id, how often on this port
    cfg_rate = Packet(0x0608, "<HHH")  # ms a measurement, measurements a fix, time reference
    cfg_valset = Packet(0x068A, "<BBxx")  # version, layers; then keys with their values
    mon_ver = Packet(0x0A04, "<30s10s")  # software, hardware; then texts of 30 bytes
    sec_uniqid = Packet(0x2703, "<Bxxx5s")


def ubx(packet: Packet, payload: bytes = b"") -> bytes:
    """Return a message as it is sent."""
    body = b"\xb5\x62" + struct.pack(">H", packet.number)
    body += struct.pack("<H", len(payload)) + payload
    checksum = UbxPackets.framing.checksum
    assert checksum is not None
    return body + checksum.of(body)


def number_of(frame: bytes) -> int:
    """Return class and id of a message."""
    return frame[2] << 8 | frame[3]


@dataclass(frozen=True, kw_only=True)
class UbloxConfig(DriverConfig):
    """Options of a u-blox receiver."""

    rate: float = option(5.0, unit="Hz", low=0.1, high=25, doc="positions a second")
    nmea: bool = option(False, doc="let the receiver go on sending NMEA sentences as well")


class Ublox(Driver[UbloxConfig, UbxPackets]):
    """Position, its error, and velocity, from NAV-PVT."""

    poll_rate = 200.0
    version = b""

    def probe(self) -> bool:
        """Return whether the answer to the question before this one is there, and ask anew."""
        for frame in self.map.frames():
            if number_of(frame) == UbxPackets.mon_ver.number:
                self.version = frame[6:-2]
                return True
        self.map.link.write(ubx(UbxPackets.mon_ver))
        return False

    @property
    def protocol(self) -> float:
        """The receiver's version of the protocol; 0.0 for one too old to tell."""
        found = PROTOCOL.search(self.version)
        return float(found[1]) if found else 0.0

    def identity(self) -> str:
        """Return the chip's number in hex; "" for a receiver too old to have one."""

        def accept(frame: bytes) -> str | None:
            return frame[10:-2].hex() if number_of(frame) == UbxPackets.sec_uniqid.number else None

        try:
            return self._ask(ubx(UbxPackets.sec_uniqid), accept, attempts=2)
        except DeviceFault as fault:
            if fault.kind not in (FaultKind.TIMEOUT, FaultKind.CORRUPT):
                raise
            return ""

    def configure(self) -> Steps | None:
        """Set the rate, turn NAV-PVT on and NMEA off; each step must be acknowledged."""
        period = round(1000 / self.config.rate)
        if self.protocol >= VALSET_SINCE:
            return self._by_keys(period)
        return self._by_messages(period)

    def _by_keys(self, period: int) -> Steps:
        keys = struct.pack("<IHIH", RATE_MEASURED, period, RATE_NAVIGATION, 1)
        self._must(UbxPackets.cfg_valset, self.map.cfg_valset.pack(0, RAM) + keys)
        taken = []
        for port, (pvt, sentences) in PORTS.items():  # no receiver has all of them
            keys = struct.pack("<IBIB", pvt, 1, sentences, self.config.nmea)
            if self._acknowledged(UbxPackets.cfg_valset, self.map.cfg_valset.pack(0, RAM) + keys):
                taken.append(port)
            yield 0.0
        if not taken:
            text = "it refuses to send NAV-PVT on any port"
            raise self.fault(FaultKind.REJECTED, text, cure="update its firmware with u-center")

    def _by_messages(self, period: int) -> Steps:
        self._must(UbxPackets.cfg_rate, self.map.cfg_rate.pack(period, 1, 1))
        if not self.config.nmea:
            for kind in NMEA_KINDS:
                self._must(UbxPackets.cfg_msg, self.map.cfg_msg.pack(NMEA_CLASS, kind, 0))
                yield 0.0
        self._must(UbxPackets.cfg_msg, self.map.cfg_msg.pack(0x01, 0x07, 1))

    def _must(self, packet: Packet, payload: bytes) -> None:
        if not self._acknowledged(packet, payload):
            text = f"the receiver refuses {packet.name} {payload.hex()}"
            raise self.fault(FaultKind.REJECTED, text, f"is rate: {self.config.rate:g} too much?")

    def _acknowledged(self, packet: Packet, payload: bytes) -> bool:
        """Send a setting; return whether the receiver took it."""

        def accept(frame: bytes) -> bool | None:
            number = number_of(frame)
            answers = {UbxPackets.ack.number: True, UbxPackets.nak.number: False}
            mine = frame[6:8] == struct.pack(">H", packet.number)
            return answers.get(number) if mine else None

        return self._ask(ubx(packet, payload), accept)

    def _ask(self, request: bytes, accept: Callable[[bytes], T | None], attempts: int = 3) -> T:
        return self.map.link.ask(request, self.map.framing, accept, ANSWER_WITHIN, attempts)

    def read(self) -> NavSatFix | None:
        """Return the newest position, or None while there is none."""
        found = None
        for frame in self.map.frames():
            if number_of(frame) == UbxPackets.nav_pvt.number:
                found = frame
        return self._message(found) if found is not None else None

    def _message(self, frame: bytes) -> NavSatFix | None:
        try:
            from pyubx2 import UBXReader, exceptions  # type: ignore[import-untyped]
        except ImportError:
            text = "the Python package pyubx2 is not installed"
            cure = 'pip install "horus[drivers]"'
            raise self.fault(FaultKind.ABSENT, text, cure) from None
        try:
            pvt: Any = UBXReader.parse(frame)
            good = bool(pvt.gnssFixOk) and pvt.fixType in FIXES and not pvt.invalidLlh
        except (exceptions.UBXParseError, exceptions.UBXMessageError, AttributeError):
            self.link.errors += 1
            return None
        if not good:
            nowhere = math.nan
            return NavSatFix(latitude=nowhere, longitude=nowhere, frame=self.config.frame)
        status = NavSatStatus.SBAS_FIX if pvt.diffSoln else NavSatStatus.FIX
        flat, steep = pvt.hAcc / 1e3, pvt.vAcc / 1e3  # mm
        return NavSatFix(
            latitude=pvt.lat,
            longitude=pvt.lon,
            altitude=math.nan if pvt.fixType == 2 else pvt.height / 1e3,
            status=NavSatStatus.GBAS_FIX if pvt.carrSoln else status,
            satellites=pvt.numSV,
            velocity=(pvt.velE / 1e3, pvt.velN / 1e3, -pvt.velD / 1e3),
            position_covariance=(flat**2, 0.0, 0.0, 0.0, flat**2, 0.0, 0.0, 0.0, steep**2),
            covariance_kind=CovarianceKind.APPROXIMATED,
            frame=self.config.frame,
        )


@dataclass(frozen=True, kw_only=True)
class UbloxSimConfig(ReceiverSimConfig):
    """Options of a simulated u-blox receiver."""

    generation: Literal[8, 9] = option(9, doc="8 knows no CFG-VALSET, 9 does")


class UbloxSim(ReceiverSim[UbloxConfig, UbxPackets], twin_of=Ublox):
    """A receiver that sends NMEA once a second until it is told otherwise."""

    options: UbloxSimConfig
    mark = re.compile(rb"\xb5\x62\x01\x07\x5c\x00(.{4})", re.DOTALL)

    def power_on(self) -> None:
        """Come up with the settings of the factory."""
        super().power_on()
        self.period = 1.0
        self.pvt = False
        self.nmea = set(NMEA_KINDS)

    def epoch_rate(self) -> float:
        """Return how many positions a second it works out."""
        return 1.0 / self.period

    def answer(self, frame: bytes) -> list[bytes]:
        """Act on a message: answer a poll, take or refuse a setting."""
        number, payload = number_of(frame), frame[6:-2]
        if number == UbxPackets.mon_ver.number and not payload:
            return [ubx(UbxPackets.mon_ver, self.about())]
        if number == UbxPackets.sec_uniqid.number and not payload:
            unique = struct.pack(">Q", 0xC0FFEE0000 + self.options.seed)[-5:]
            return [ubx(UbxPackets.sec_uniqid, UbxPackets.sec_uniqid.struct.pack(1, unique))]
        if number == UbxPackets.nav_pvt.number and not payload:
            return [ubx(UbxPackets.nav_pvt, self.solution(self.fix(self.time)))]
        if number >> 8 != 0x06:
            return []
        taken = self.take(number, payload)
        return [ubx(UbxPackets.ack if taken else UbxPackets.nak, frame[2:4])]

    def about(self) -> bytes:
        """Return the versions."""
        protocol = b"PROTVER=32.01" if self.options.generation == 9 else b"PROTVER=18.00"
        texts = (b"FWVER=SPG 4.04", protocol, b"GPS;GLO;GAL;BDS")
        head = UbxPackets.mon_ver.struct.pack(b"EXT CORE 1.00 (twin)", b"00190000")
        return head + b"".join(text.ljust(30, b"\0") for text in texts)

    def take(self, number: int, payload: bytes) -> bool:
        """Take a setting; return False for one that is not known."""
        if number == UbxPackets.cfg_valset.number and self.options.generation >= 9:
            return self.take_keys(payload)
        if number == UbxPackets.cfg_rate.number and len(payload) == 6:
            return self.set_period(UbxPackets.cfg_rate.unpack(payload)[0])
        if number == UbxPackets.cfg_msg.number and len(payload) == 3:
            kind, id, often = UbxPackets.cfg_msg.unpack(payload)
            if (kind, id) == (0x01, 0x07):
                self.pvt = bool(often)
            elif kind == NMEA_CLASS:
                (self.nmea.add if often else self.nmea.discard)(id)
            return kind in (0x01, NMEA_CLASS)
        return False

    def take_keys(self, payload: bytes) -> bool:
        """Take keys with their values, all or none; this receiver has one port, UART1."""
        found = {}
        at = 4
        while at < len(payload):
            key = int.from_bytes(payload[at : at + 4], "little")
            size = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8}.get(key >> 28 & 7, 0)
            value = payload[at + 4 : at + 4 + size]
            if not size or len(value) != size:
                return False
            found[key] = int.from_bytes(value, "little")
            at += 4 + size
        pvt, sentences = PORTS["UART1"]
        if not found or not set(found) <= {RATE_MEASURED, RATE_NAVIGATION, pvt, sentences}:
            return False
        if RATE_MEASURED in found and not self.set_period(found[RATE_MEASURED]):
            return False
        self.pvt = bool(found.get(pvt, self.pvt))
        if sentences in found:
            self.nmea = set(NMEA_KINDS) if found[sentences] else set()
        return True

    def set_period(self, milliseconds: int) -> bool:
        """Measure this often; faster than 25 Hz it cannot."""
        if milliseconds < 40:
            return False
        self.period = milliseconds / 1e3
        self.counted_from, self.number = self.time, 0
        return True

    def emit(self) -> list[bytes]:
        """Return what is due: sentences, NAV-PVT, or a piece of the recording."""
        frames: list[bytes] = []
        for fix in self.due_epochs():
            kinds = (4, 0, 2)  # RMC, GGA, GSA
            told = zip(kinds, self.sentences(fix), strict=True)
            frames += [sentence for kind, sentence in told if kind in self.nmea]
            if self.pvt and self.recording:
                frames.append(self.recording[self.number % len(self.recording)])
            elif self.pvt:
                frames.append(ubx(UbxPackets.nav_pvt, self.solution(fix)))
        return frames

    def solution(self, fix: Fix) -> bytes:
        """Return the payload of NAV-PVT."""
        hours, rest = divmod(int(fix.time), 3600)
        east, north, up = (round(1e3 * v) for v in fix.velocity)
        flat, steep = (round(1e3 * self.options.error * factor) + 300 for factor in (1.0, 2.0))
        place = (0, 0, 0, 0)
        if fix.good:
            mm = (round(fix.height * 1e3), round((fix.height - GEOID) * 1e3))
            place = (round(fix.longitude * 1e7), round(fix.latitude * 1e7), *mm)
        return UbxPackets.nav_pvt.pack(
            round(fix.time * 1e3) % 604_800_000,  # iTOW, ms
            *(2026, 1, 1, hours, rest // 60, rest % 60, 0x07),  # UTC, and that it is valid
            *(50, 0),  # ns: accuracy, fraction
            *(3 if fix.good else 0, int(fix.good), 0, fix.satellites),
            *place,
            *(flat, steep) if fix.good else (0xFFFFFFFF, 0xFFFFFFFF),
            *(north, east, -up, round(1e3 * fix.speed)),
            round(fix.course * 1e5),
            *(200, 1_800_000),  # accuracy of speed in mm/s and of heading in 1e-5 deg
            round(fix.hdop * 190) if fix.good else 9999,
            0,
            *(0, 0, 0),
        )

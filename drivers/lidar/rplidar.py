"""Slamtec RPLidar A1, A2, A3 and S1: a planar scanner on a serial port.

Sources: Slamtec "RPLIDAR interface protocol and application notes" LR001 revision 2.2; of the
express scan the older kind that all of them know. 115200 baud (A3, S1: 256000). The motor of an A1
hangs on the port's DTR line: give the port ``dtr: false``; that of the others follows `rate`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from horus_drivers.lidar.planar import Ray, ScannerConfig, ScannerSim, Sweep
from horus_drivers.lidar.slamtec import ANSWER, CABINS, NODE, RplidarPackets

from horus.hal import (
    DeviceFault,
    Driver,
    FaultKind,
    Link,
    Steps,
    Stimulus,
    option,
)
from horus.hal.checksums import xor8
from horus.msgs import LaserScan

RANGE_MIN = 0.15  # m
PWM_PER_TURN = 66.0  # of 1023, for one turn a second: 660 is 10 Hz
ANSWER_WITHIN = 0.2  # s
SPIN_UP = 1.0  # s
KNOWN_SPANS, LEAST_SPANS = 16, 4  # packets from which the usual span of one is known
HEALTH = {0: "good", 1: "warning", 2: "error"}


@dataclass(frozen=True, kw_only=True)
class RplidarConfig(ScannerConfig):
    """Options of an RPLidar."""

    rate: float = option(
        10.0, unit="Hz", low=0.5, high=15, doc="turns a second; an A1 makes about 5.5 whatever"
    )
    scan: Literal["express", "standard"] = option(
        "express", doc="standard is for old firmware: it has no checksum"
    )


class Rplidar(Driver[RplidarConfig, RplidarPackets]):
    """One scan a turn, in the order the rays are measured."""

    poll_rate = 200.0

    def __init__(self, config: RplidarConfig, link: Link) -> None:
        super().__init__(config, link)
        self.sweep = Sweep(config, RANGE_MIN)
        self._before: tuple[int, ...] = ()  # the express packet whose end is not known yet
        self._spans: deque[float] = deque(maxlen=KNOWN_SPANS)  # deg, from packet to packet
        self._stopped = False
        self._serial_number = ""

    def probe(self) -> bool:
        """Return whether the scanner has told about itself; ask it in turns with stopping it.

        A program that died may have left it scanning, and then it does not listen to questions.
        """
        for frame in self.map.frames():
            info = self.map.payload(frame, RplidarPackets.info)
            if info is not None:
                *_, serial = self.map.info.unpack(info)
                self._serial_number = serial.hex()
                return True
        self._stopped = not self._stopped
        self.map.link.write(self.map.stop if self._stopped else self.map.get_info)
        return False

    def identity(self) -> str:
        """Return the serial number."""
        return self._serial_number

    def configure(self) -> Steps:
        """Check its health, start the motor, and let it scan."""
        self.map.link.write(self.map.stop)
        yield 0.01
        status, code = self._health()
        if status == 2:  # as the manufacturer advises: an error may be gone after a reset
            self.map.link.write(self.map.reset)
            yield 1.0
            status, code = self._health()
        if status not in (0, 1):
            text = f"it reports {HEALTH.get(status, 'an unknown state')} (code 0x{code:04X})"
            cure = "let its motor turn freely, power-cycle it"
            raise self.fault(FaultKind.REJECTED, text, cure)
        pwm = min(round(self.config.rate * PWM_PER_TURN), 1023)
        self.map.link.write(self.map.set_motor(pwm))
        yield SPIN_UP
        self._start()

    def _start(self) -> None:
        """Let it scan; it must answer that it does."""
        express = self.config.scan == "express"
        request = self.map.express_scan if express else self.map.scan
        kind = RplidarPackets.express if express else RplidarPackets.nodes

        def accept(frame: bytes) -> bool | None:
            return True if self.map.payload(frame, kind) is not None else None

        try:
            self.map.link.ask(request, self.map.framing, accept, ANSWER_WITHIN)
        except DeviceFault as fault:
            if express and fault.kind is FaultKind.TIMEOUT:
                fault.cure = "its firmware may be too old: scan: standard"
            raise

    def _health(self) -> tuple[int, int]:
        def accept(frame: bytes) -> tuple[int, int] | None:
            payload = self.map.payload(frame, RplidarPackets.health)
            if payload is None:
                return None
            status, code = self.map.health.unpack(payload)
            return status, code

        return self.map.link.ask(self.map.get_health, self.map.framing, accept, ANSWER_WITHIN)

    def read(self) -> LaserScan | None:
        """Return a turn once the next one has begun."""
        express = self.config.scan == "express"
        framing = self.map.express_framing if express else self.map.framing
        scan = None
        before = self.sweep.astray
        for frame in self.map.link.frames(framing):
            for degrees, metres, strength in self._express(frame) if express else _nodes(frame):
                stamp_ns = self.link.stamp_ns
                scan = self.sweep.add(degrees % 360.0, metres, strength, stamp_ns) or scan
        self.link.errors += self.sweep.astray - before
        if scan is not None:
            self.link.stamp_ns = self.sweep.stamp_ns
        return scan

    def _express(self, frame: bytes) -> Iterator[tuple[float, float, float]]:
        """Return the rays of the packet before this one: where it ended is known only now.

        After a packet that was lost the two are too far apart, and the rays are left out.
        """
        start, *cabins = self.map.express.unpack(frame)
        before, self._before = self._before, (start & 0x7FFF, *cabins)
        if not before or start & 0x8000:  # the first one since the scan began
            return
        first = before[0] / 64.0
        span = ((start & 0x7FFF) / 64.0 - first) % 360.0
        self._spans.append(span)
        usual = sorted(self._spans)[len(self._spans) // 4]  # a lost packet makes one wider
        if len(self._spans) < LEAST_SPANS or abs(span - usual) > usual / 4:
            return
        for number in range(CABINS):
            one, two, offsets = before[1 + 3 * number : 4 + 3 * number]
            for place, (ray, fine) in enumerate(((one, offsets & 0xF), (two, offsets >> 4))):
                back = (fine | (ray & 0x3) << 4) / 8.0
                degrees = first + span * (2 * number + place) / (2 * CABINS) - back
                yield degrees, (ray >> 2) / 1e3, 0.0


def _nodes(frame: bytes) -> Iterator[tuple[float, float, float]]:
    """Return the rays of a run of nodes."""
    if frame[:2] != ANSWER:
        for head, angle, distance in NODE.iter_unpack(frame):
            yield (angle >> 1) / 64.0, distance / 4e3, head >> 2


class RplidarSim(ScannerSim[RplidarConfig, RplidarPackets], twin_of=Rplidar):
    """A scanner of the A2 kind: its motor follows the PWM, its range is 12 m."""

    health = Stimulus(0.0, low=0.0, high=2.0, doc="0 good, 1 warning, 2 error")

    def power_on(self) -> None:
        """Come up with the motor off, listening."""
        self.pwm = 0
        self.scanning = ""
        self.begun: list[Ray] = []
        self.fresh = True

    def wanted_speed(self) -> float:
        """Return the turns a second that the PWM gives; below a sixteenth it stands."""
        return self.pwm / PWM_PER_TURN if self.pwm >= 64 else 0.0

    def measuring(self) -> bool:
        """Return whether it was told to scan."""
        return bool(self.scanning)

    def answer(self, frame: bytes) -> bytes:
        """Act on a request."""
        if frame[1] == 0xF0 and len(frame) == 6:
            self.pwm = min(int.from_bytes(frame[3:5], "little"), 1023)
        elif frame in (RplidarPackets.stop, RplidarPackets.reset):
            self.scanning = ""
        elif frame in (RplidarPackets.scan, RplidarPackets.force_scan) and self.health < 2:
            self.scanning = "standard"
            return bytes.fromhex("A55A0500004081")
        elif frame == RplidarPackets.express_scan and self.health < 2:
            self.scanning, self.begun, self.fresh = "express", [], True
            return bytes.fromhex("A55A5400004082")
        elif self.scanning:
            return b""  # it listens to nothing else then
        elif frame == RplidarPackets.get_info:
            serial = self.options.seed.to_bytes(16, "big", signed=False)
            about = RplidarPackets.info.struct.pack(0x28, 0x18, 0x01, 0x04, serial)
            return bytes.fromhex("A55A1400000004") + about
        elif frame == RplidarPackets.get_health:
            code = 0x8001 if self.health >= 1 else 0
            state = RplidarPackets.health.struct.pack(int(self.health), code)
            return bytes.fromhex("A55A0300000006") + state
        return b""

    def emit(self) -> list[bytes]:
        """Return what was measured since the last call: nodes in one piece, or whole packets."""
        if self.scanning != "express":
            return [b"".join(self.node(ray) for ray in self.rays())]
        self.begun += self.rays()
        packets = []
        while len(self.begun) >= 2 * CABINS:
            packets.append(self.packet(self.begun[: 2 * CABINS]))
            del self.begun[: 2 * CABINS]
        return packets

    def packet(self, rays: list[Ray]) -> bytes:
        """Return 32 rays as an express scan sends them; their spacing is even."""
        start = int(rays[0].angle * 64.0) | (0x8000 if self.fresh else 0)
        self.fresh = False
        words = [round(ray.metres * 1e3) << 2 for ray in rays]
        cabins = [part for at in range(0, 2 * CABINS, 2) for part in (*words[at : at + 2], 0)]
        body = RplidarPackets.express.struct.pack(start, *cabins)[2:]
        check = xor8(body)
        return bytes((0xA0 | check & 0xF, 0x50 | check >> 4)) + body

    @staticmethod
    def node(ray: Ray) -> bytes:
        """Return one measurement as it is sent."""
        quality = 47 if ray.metres else 0
        angle = int(ray.angle * 64.0) << 1 | 1
        return NODE.pack(quality << 2 | (1 if ray.first else 2), angle, round(ray.metres * 4e3))

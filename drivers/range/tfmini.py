"""Benewake TFmini, TFmini-S and TFmini Plus: a laser range finder on a serial port.

Sources: Benewake "TFmini-S product manual" SJ-PM-TFmini-S A05 and "TFmini Plus product manual"
SJ-PM-TFmini Plus A04. It sends by itself at 115200 baud. Settings are not saved in the device's
flash: a power cut loses them, and they are made anew.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from functools import partial
from typing import Literal

from horus.hal import (
    Checksum,
    Driver,
    DriverConfig,
    Framing,
    HeaderFraming,
    Packet,
    PacketMap,
    SerialSim,
    SimConfig,
    Steps,
    Stimulus,
    option,
)
from horus.hal.checksums import sum8
from horus.msgs import RangeKind, RangeSensor

NEAREST, FARTHEST = 0.1, 12.0  # m
WEAKEST, SATURATED = 100, 65535  # strengths between which a distance is to be trusted
NO_ECHO = 65535  # cm: the echo is too weak
INVALID = (65534, 65532, 0)  # cm: saturated, too much light around, no measurement
FIELD = {"tfmini": 2.3, "tfmini_s": 2.0, "tfmini_plus": 3.6}  # deg
COMMANDS = HeaderFraming(b"\x5a", length=(1, "B", 0), checksum=Checksum(sum8), largest=8)
PLAIN = b"\x42\x57"  # begins a command of the plain TFmini
ANSWER_WITHIN = 0.1  # s


class OrderFraming(Framing):
    """Commands of the S and Plus, and those of eight bytes of the plain TFmini."""

    def measure(self, data: bytes) -> int:
        """Return the size of the command at the start of the data."""
        if PLAIN.startswith(data[:2]):
            return 8 if len(data) >= len(PLAIN) else 0
        return COMMANDS.measure(data)

    def valid(self, frame: bytes) -> bool:
        """Return whether the checksum is right, where there is one."""
        return frame[:2] == PLAIN or COMMANDS.valid(frame)


class TfminiPackets(PacketMap):
    """The samples it sends, and the commands of the S and Plus, which are echoed."""

    framing = HeaderFraming(b"\x59\x59", size=9, checksum=Checksum(sum8))
    request_framing = OrderFraming()
    sample = Packet(0x59, "<2x HHH x")  # cm, strength, 1/8 °C above -256 °C
    rate = Packet(0x03, "<H")  # Hz
    format = Packet(0x05, "<B")  # 1: nine bytes, in cm
    output = Packet(0x07, "<B")


def command(packet: Packet, value: int) -> bytes:
    """Return a command, which is also its answer."""
    payload = packet.pack(value)
    body = bytes((0x5A, len(payload) + 4, packet.number)) + payload
    return body + bytes((sum8(body),))


@dataclass(frozen=True, kw_only=True)
class TfminiConfig(DriverConfig):
    """Options of a TFmini."""

    model: Literal["tfmini", "tfmini_s", "tfmini_plus"] = option("tfmini_plus")
    rate: float = option(
        100.0, unit="Hz", low=1, high=1000, doc="samples a second; a plain tfmini knows only 100"
    )


class Tfmini(Driver[TfminiConfig, TfminiPackets]):
    """The distance along its beam."""

    poll_rate = 200.0

    def probe(self) -> bool:
        """Return whether whole samples arrive."""
        return bool(self.map.frames())

    def configure(self) -> Steps:
        """Set format and rate; a plain TFmini has nothing to be set."""
        if self.config.model == "tfmini":
            return
        for packet, value in (
            (TfminiPackets.format, 1),
            (TfminiPackets.rate, round(self.config.rate)),
            (TfminiPackets.output, 1),
        ):
            order = command(packet, value)
            self.map.link.ask(order, COMMANDS, partial(_echoed, order), ANSWER_WITHIN)
            yield 0.0

    def read(self) -> RangeSensor | None:
        """Return the newest sample; inf without an echo, NaN when it is dazzled."""
        frames = self.map.frames()
        if not frames:
            return None
        distance, strength, _ = self.map.sample.unpack(frames[-1])
        return RangeSensor(
            range=_metres(distance, strength),
            min_range=NEAREST,
            max_range=FARTHEST,
            field_of_view=math.radians(FIELD[self.config.model]),
            kind=RangeKind.LASER,
            frame=self.config.frame,
        )


def _echoed(order: bytes, answer: bytes) -> bool | None:
    return True if answer == order else None


def _metres(centimetres: int, strength: int) -> float:
    if centimetres in INVALID or strength == SATURATED:
        return math.nan
    if centimetres == NO_ECHO or strength < WEAKEST or centimetres > FARTHEST * 100:
        return math.inf
    return centimetres / 100.0 if centimetres >= NEAREST * 100 else -math.inf


class TfminiSim(SerialSim[TfminiConfig, TfminiPackets], twin_of=Tfmini):
    """A range finder before a flat wall; its echo fades with the square of the distance."""

    options: SimConfig
    distance = Stimulus(2.0, unit="m", low=0.0, high=100.0)
    reflectivity = Stimulus(0.8, low=0.0, high=1.0, doc="of what it looks at")
    ambient = Stimulus(0.0, unit="lx", low=0.0, high=200_000.0, doc="light; it bears 70000")
    temperature = Stimulus(35.0, unit="°C", low=-40.0, high=85.0, doc="of the chip")

    def power_on(self) -> None:
        """Send 100 samples a second, as it comes from the factory."""
        self.period = 0.01
        self.sending = True
        self.due_at = self.time

    def answer(self, frame: bytes) -> bytes:
        """Act on a command and echo it; a plain TFmini has others, and only its standard format."""
        plain = frame[:2] == PLAIN
        if plain != (self.config.model == "tfmini") or len(frame) < 5:
            return b""
        if plain:
            done = frame[6:] in (b"\x01\x02", b"\x00\x02", b"\x01\x06")  # begin, end, format
            return frame[:3] + (b"\x01" if done else b"\xff") + frame[4:]
        number, value = frame[2], int.from_bytes(frame[3:-1], "little")
        if number == TfminiPackets.rate.number and len(frame) == 6 and value <= 1000:
            self.sending = value > 0  # 0 asks for samples on demand, which nobody does here
            self.period = round(1000 / max(value, 1)) / 1e3
            self.due_at = self.time + self.period
        elif number == TfminiPackets.output.number:
            self.sending = bool(value)
        elif (number, value) != (TfminiPackets.format.number, 1):
            return b""
        return frame

    def emit(self) -> list[bytes]:
        """Return the samples that are due."""
        frames = []
        while self.sending and self.due_at <= self.time + 1e-9:
            late = self.time - self.due_at
            self.due_at = self.time if late > 1.0 else self.due_at  # nobody listened for long
            self.due_at += self.period
            frames.append(self.sample())
        return frames

    def sample(self) -> bytes:
        """Return one sample as it is sent."""
        strength = min(round(20_000 * self.reflectivity / max(self.distance, 0.5) ** 2), 65_000)
        centimetres = round((self.distance + self.random.gauss(0.0, 0.005)) * 100)
        if self.ambient > 70_000:
            centimetres = 65_532
        elif strength < WEAKEST:
            centimetres = NO_ECHO
        chip = round((self.temperature + 256.0) * 8)
        body = b"\x59\x59" + struct.pack("<HHH", max(centimetres, 0), strength, chip)
        return body + bytes((sum8(body),))

    def truth(self) -> dict[str, object]:
        """Return the true distance."""
        return {"distance": self.distance, "sending": self.sending}

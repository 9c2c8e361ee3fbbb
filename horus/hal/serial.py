"""The serial contract: a port that carries bytes, and a device's end of it."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar

from horus.hal.faults import DeviceFault, FaultKind
from horus.hal.framing import Deframer, Framing
from horus.hal.link import Clock, Link

T = TypeVar("T")

#: Most bytes taken from a port in one go.
CHUNK = 4096


class SerialBus(ABC):
    """One serial port, open: eight data bits, no parity, one stop bit.

    For bus authors: map every error of the library to a `DeviceFault`; never block for longer than
    asked. For driver authors: use a `PacketMap` rather than this.
    """

    kind = "serial"
    name = "serial"
    #: Bits a second.
    baudrate = 115_200
    #: Seconds that an answer may come later than on a port of this computer.
    latency = 0.0

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Send bytes; it returns when they are on their way."""

    @abstractmethod
    def read(self, timeout: float = 0.0) -> bytes:
        """Return what has arrived; wait up to ``timeout`` seconds for a first byte, else b""."""

    @abstractmethod
    def close(self) -> None:
        """Release the port; closing twice is harmless."""


class SerialLink(Link):
    """A device at a serial port: sends bytes, finds the frames in what comes back."""

    #: Attempts for one question.
    ATTEMPTS = 3

    def __init__(
        self,
        bus: SerialBus,
        station: int = 0,
        device: str = "",
        clock: Clock = time.monotonic_ns,
    ) -> None:
        super().__init__(device, bus.name, station, clock)
        self.bus = bus
        self._stream: Deframer | None = None
        #: When each of the frames that `frames` returned last was there, as the bit rate has it.
        self.frame_stamps: list[int] = []
        self._looked_ns = self.clock()

    def time_for(self, count: int) -> float:
        """Return how long (s) a number of bytes takes on its way: ten bits each."""
        return self.bus.latency + count * 10 / self.bus.baudrate

    def write(self, data: bytes) -> None:
        """Send bytes."""
        try:
            self.bus.write(data)
        except DeviceFault as fault:
            self.errors += 1
            raise fault.at(self.device, self.bus_name) from None
        self.bytes += len(data)

    def frames(self, framing: Framing) -> list[bytes]:
        """Return the frames that have come by themselves since the last call; never wait.

        `stamp_ns` becomes the time of this look. Frames that waited together did not come together:
        `frame_stamps` has an estimate for each, since what is behind it took its time on the wire.
        None is before the last look; where a bit rate is none (USB), they may be that much early.
        """
        if self._stream is None or self._stream.framing is not framing:
            self._stream = Deframer(framing)
        frames = self._feed(self._stream, self._read(0.0))
        now, looked = self.clock(), self._looked_ns
        self._looked_ns = now
        self.frame_stamps.clear()
        if frames:
            self.stamp_ns = now
            byte_ns = 10e9 / self.bus.baudrate
            behind = len(self._stream.pending)
            for frame in reversed(frames):
                self.frame_stamps.append(max(looked, now - round(behind * byte_ns)))
                behind += len(frame)
            self.frame_stamps.reverse()
        return frames

    def ask(
        self,
        request: bytes,
        framing: Framing,
        accept: Callable[[bytes], T | None],
        timeout: float,
        attempts: int = ATTEMPTS,
        strict: bool = False,
    ) -> T:
        """Send a question and return what ``accept`` makes of the answer.

        ``accept`` returns None for a frame that is not the answer. None within ``timeout`` seconds
        is a `DeviceFault` (timeout, or corrupt when only damaged frames came), after ``attempts``.
        ``strict`` takes no answer behind garbage: for frames that nothing but their checksum marks.
        """
        for attempt in range(1, attempts + 1):
            self._read(0.0)  # what is left of earlier answers
            deframer = Deframer(framing)
            stamp = self.clock()
            self.write(request)
            deadline = stamp + int(timeout * 1e9)
            left = 1
            while left > 0:  # one look after the deadline too: we may be late, and not the device
                left = deadline - self.clock()
                for frame in self._feed(deframer, self._read(max(0, left) / 1e9)):
                    answer = accept(frame)
                    if answer is not None and not (strict and deframer.skipped):
                        self.stamp_ns = stamp
                        return answer
            damaged = deframer.damaged or deframer.skipped
            if not damaged:
                self.errors += 1
            if attempt == attempts:
                kind = FaultKind.CORRUPT if damaged else FaultKind.TIMEOUT
                what = "only damaged answers" if damaged else "no answer"
                raise DeviceFault(
                    kind,
                    f"{what} within {timeout * 1e3:g} ms",
                    device=self.device,
                    bus=self.bus_name,
                    cure="check its power, its id, the baud rate and the wiring",
                )
        raise AssertionError("unreachable")

    def _read(self, timeout: float) -> bytes:
        try:
            data = self.bus.read(timeout)
        except DeviceFault as fault:
            self.errors += 1
            raise fault.at(self.device, self.bus_name) from None
        self.bytes += len(data)
        return data

    def _feed(self, deframer: Deframer, data: bytes) -> list[bytes]:
        before = deframer.damaged
        frames = deframer.feed(data) if data else []
        self.errors += deframer.damaged - before
        return frames

"""Simulated serial devices: twins that speak bytes, and the host that moves them on."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Protocol, TypeVar

from horus.hal.config import DriverConfig, SimConfig
from horus.hal.framing import Deframer
from horus.hal.link import Clock
from horus.hal.packets import PacketMap
from horus.hal.serial import SerialBus
from horus.hal.sim import Sim

ConfigT = TypeVar("ConfigT", bound=DriverConfig)
PacketsT = TypeVar("PacketsT", bound=PacketMap)

#: Step (s) in which a reader that waits lets simulated time pass.
WAIT_STEP = 0.0005


class SerialSim(Sim[ConfigT, PacketsT]):
    """A device at a serial port, with the driver's own map.

    `answer` acts on one whole frame and returns what the device sends back; `emit` returns the
    frames that it sends by itself since it was asked last.
    """

    map_type: ClassVar[type[PacketMap]]

    def __init__(self, config: ConfigT, options: SimConfig | None = None) -> None:
        self._heard = Deframer(self.map_type.request_framing or self.map_type.framing)
        super().__init__(config, options)

    def answer(self, frame: bytes) -> bytes | list[bytes]:
        """Act on a frame from the host and return the answer, or several; b"" for none."""
        return b""

    def emit(self) -> list[bytes]:
        """Return the frames that are due, oldest first."""
        return []

    def meet(self, other: SerialSim[Any, Any]) -> None:
        """Take note of an earlier twin at the same port, such as one on the same board."""

    def unplug(self) -> None:
        """Take the device's power and bus away."""
        super().unplug()
        self._heard.clear()

    def receive(self, data: bytes) -> list[bytes]:
        """Act on bytes from the host and return what goes out on the wire."""
        if self.faults.unplugged:
            return []
        sent: list[bytes] = []
        for frame in self._heard.feed(data):
            if self.chance(self.faults.nak):
                continue
            answer = self.answer(frame)
            sent += [answer] if isinstance(answer, bytes) else answer
        return self._on_wire(sent)

    def due(self) -> list[bytes]:
        """Return what the device sends by itself, as it goes out on the wire."""
        return [] if self.faults.unplugged else self._on_wire(self.emit())

    def _on_wire(self, frames: list[bytes]) -> list[bytes]:
        if self.faults.silent:
            return []
        sent = []
        for frame in frames:
            if not frame or self.chance(self.faults.drop):
                continue
            if self.chance(self.faults.corrupt):
                frame = self._damaged(frame)
            sent.append(frame)
        return sent

    def _damaged(self, frame: bytes) -> bytes:
        """Return a frame with a flipped bit, a lost byte or garbage before it."""
        data = bytearray(frame)
        place = self.random.randrange(len(data))
        how = self.random.randrange(3)
        if how == 0:
            data[place] ^= 1 << self.random.randrange(8)
        elif how == 1:
            del data[place]
        else:
            data[:0] = self.random.randbytes(self.random.randrange(1, 8))
        return bytes(data)


class SerialPort(Protocol):
    """The device's side of a simulated port."""

    def read(self, timeout: float = 0.0) -> bytes:
        """Return what the host has written, waiting up to ``timeout`` seconds for it."""

    def write(self, data: bytes) -> None:
        """Send bytes to the host."""


class SerialSimHost:
    """Moves the twins at one port on and carries their bytes."""

    def __init__(
        self,
        port: SerialPort,
        twins: Iterable[SerialSim[Any, Any]],
        clock: Clock = time.monotonic_ns,
    ) -> None:
        self.port = port
        self.twins = list(twins)
        for earlier, later in itertools.combinations(self.twins, 2):
            later.meet(earlier)
        #: Monotonic time at which the host last wrote anything.
        self.commanded_ns = 0
        self._clock = clock
        self._late: list[tuple[int, int, bytes]] = []
        self._order = itertools.count()

    def step(self, timeout: float = 0.0) -> None:
        """Wait up to ``timeout`` seconds for bytes, act on all that came, send what is due."""
        data = self.port.read(timeout)
        now = self._clock()
        if data:
            self.commanded_ns = now
        for twin in self.twins:
            twin.advance(now)
            frames = twin.due()
            if data:
                frames += twin.receive(data)
            for frame in frames:
                self._send(twin, frame, now)
        while self._late and self._late[0][0] <= now:
            self.port.write(heapq.heappop(self._late)[2])

    def _send(self, twin: SerialSim[Any, Any], frame: bytes, now: int) -> None:
        if twin.faults.slow:
            at = now + int(twin.faults.slow * 1e9)
            heapq.heappush(self._late, (at, next(self._order), frame))
        else:
            self.port.write(frame)


class _DeviceEnd:
    """The device's side of a `LocalSerial`."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.said = bytearray()

    def read(self, timeout: float = 0.0) -> bytes:
        data = bytes(self.heard)
        self.heard.clear()
        return data

    def write(self, data: bytes) -> None:
        self.said += data


class LocalSerial(SerialBus):
    """A serial port inside one process, on a clock of its own, with twins at its other end."""

    def __init__(
        self,
        twins: Iterable[SerialSim[Any, Any]],
        name: str = "serial",
        clock: Clock = time.monotonic_ns,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.name = name
        self._end = _DeviceEnd()
        self._sleep = sleep
        self._clock = clock
        self.host = SerialSimHost(self._end, twins, clock)

    def write(self, data: bytes) -> None:
        """Send bytes to the twins."""
        self._end.heard += data
        self.host.step()

    def read(self, timeout: float = 0.0) -> bytes:
        """Return what the twins have sent; while it waits, simulated time passes."""
        deadline = self._clock() + int(timeout * 1e9)
        self.host.step()
        while not self._end.said and self._clock() < deadline:
            self._sleep(WAIT_STEP)
            self.host.step()
        data = bytes(self._end.said)
        self._end.said.clear()
        return data

    def close(self) -> None:
        """Leave the twins as they are."""

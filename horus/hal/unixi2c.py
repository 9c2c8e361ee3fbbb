"""A simulated I2C bus between processes: one socket, a message a transaction.

The twins live in one process behind an `I2cSimHost`; whoever opens an `UnixI2c` in the same folder
is a master of the bus. A twin that is slow or silent is so for the master too.
"""

from __future__ import annotations

import os
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

from horus.hal.faults import DeviceFault, FaultKind
from horus.hal.i2c import I2cBus
from horus.hal.link import Clock
from horus.hal.simi2c import SimI2cBus

#: Number of the request, address and number of bytes to read; the bytes to write follow.
REQUEST = struct.Struct("<IHH")
#: An answer begins with the number of its request and whether it went well, or the kind of fault.
ANSWER = struct.Struct("<IB")
ANSWERS = (None, FaultKind.NO_ACK, FaultKind.TIMEOUT, FaultKind.OTHER, FaultKind.REJECTED)
SOCKET = "i2c"
#: Longest transaction in bytes, and longest wait (s) for one.
LARGEST, PATIENCE = 8192, 1.0


class UnixI2c(I2cBus):
    """A master of the simulated bus in a folder."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(PATIENCE)
        self._lock = threading.RLock()
        self._number = 0
        try:
            _in_folder(folder, self._socket.connect)
        except OSError as error:
            self._socket.close()
            raise self._gone(error) from None

    def transfer(self, address: int, write: bytes, read: int = 0) -> bytes:
        """Do one transaction with the twin at an address."""
        try:
            with self._lock:
                kind, answer = self._ask(address, write, read)
        except TimeoutError:
            self._socket.close()
            raise self._fault(FaultKind.TIMEOUT, "the simulated bus does not answer") from None
        except OSError as error:
            raise self._gone(error) from None
        if kind is not None:
            raise self._fault(kind, answer.decode())
        return answer

    def _ask(self, address: int, write: bytes, read: int) -> tuple[FaultKind | None, bytes]:
        """Send a request and wait for its answer; one that Ctrl-C left behind is skipped."""
        self._number = wanted = (self._number + 1) % (1 << 32)
        self._socket.send(REQUEST.pack(wanted, address, read) + write)
        while True:
            answer = self._socket.recv(LARGEST)
            if not answer:
                raise ConnectionResetError("it was closed")
            number, kind = ANSWER.unpack_from(answer)
            if number == wanted:
                return ANSWERS[kind], answer[ANSWER.size :]

    def close(self) -> None:
        """Leave the bus."""
        self._socket.close()

    def _fault(self, kind: FaultKind, text: str) -> DeviceFault:
        return DeviceFault(kind, text, bus=self.name)

    def _gone(self, error: OSError) -> DeviceFault:
        return self._fault(FaultKind.ABSENT, f"the simulated bus is not there: {error}")


class I2cSimHost:
    """Serves a bus of twins to the masters in other processes."""

    def __init__(self, bus: SimI2cBus, folder: Path, clock: Clock = time.monotonic_ns) -> None:
        self.bus = bus
        #: Monotonic time of the last transaction that wrote more than a register pointer.
        self.commanded_ns = 0
        self._clock = clock
        self._folder = folder
        self._selector = selectors.DefaultSelector()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        (folder / SOCKET).unlink(missing_ok=True)  # of a killed process
        _in_folder(folder, self._listener.bind)
        self._listener.listen(8)
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)

    def step(self, timeout: float = 0.0) -> None:
        """Wait up to ``timeout`` seconds for transactions, do those that came, move twins on."""
        for key, _ in self._selector.select(timeout):
            if key.fileobj is self._listener:
                self._accept()
            else:
                self._serve(key.fileobj)  # type: ignore[arg-type]
        now = self._clock()
        for twin in list(self.bus.twins.values()):
            twin.advance(now)

    def close(self) -> None:
        """Leave the folder as it was."""
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()
        (self._folder / SOCKET).unlink(missing_ok=True)

    def _accept(self) -> None:
        try:
            master, _ = self._listener.accept()
        except OSError:  # it has thought better of it
            return
        master.setblocking(False)
        self._selector.register(master, selectors.EVENT_READ)

    def _serve(self, master: socket.socket) -> None:
        try:
            request = master.recv(LARGEST)
            if len(request) >= REQUEST.size:
                master.send(self._answer(request))
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._selector.unregister(master)
        master.close()

    def _answer(self, request: bytes) -> bytes:
        number, address, read = REQUEST.unpack_from(request)
        write = request[REQUEST.size :]
        if len(write) > 1:
            self.commanded_ns = self._clock()
        try:
            data = self.bus.transfer(address, write, min(read, LARGEST - ANSWER.size))
            return ANSWER.pack(number, 0) + data
        except DeviceFault as fault:
            kind = fault.kind if fault.kind in ANSWERS else FaultKind.OTHER
            text = str(fault.at()).partition(": ")[2].encode()
            return ANSWER.pack(number, ANSWERS.index(kind)) + text


def _in_folder(folder: Path, use: Callable[[str], object]) -> None:
    """Bind or connect the socket of a folder, whose own path may be too long for an address."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        use(f"/proc/self/fd/{fd}/{SOCKET}")
    finally:
        os.close(fd)

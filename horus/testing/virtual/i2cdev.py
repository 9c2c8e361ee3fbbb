"""A simulated I2C bus as a /dev/i2c-N, with all that linux/i2c-dev.h knows."""

from __future__ import annotations

import errno
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass

from horus.hal.faults import DeviceFault, FaultKind
from horus.hal.link import Clock
from horus.hal.simi2c import SimI2cBus
from horus.testing.virtual.cuse import Again, CuseServer, Ioctl

RETRIES, TIMEOUT, SLAVE, TENBIT, FUNCS, SLAVE_FORCE, RDWR, PEC, SMBUS = (
    *(0x0701, 0x0702, 0x0703, 0x0704, 0x0705, 0x0706, 0x0707, 0x0708, 0x0720),
)
#: Plain I2C, and all forms of SMBus but for its checksum (linux/i2c.h, I2C_FUNC_*).
FUNCTIONS = 0x00000001 | 0x00008000 | 0x0EFF0000
#: What I2C_RDWR points at: messages, and how many.
_RDWR = struct.Struct("<QI4x")
#: Address, flags, length, where its bytes are.
_MESSAGE = struct.Struct("<HHH2xQ")
_M_READ, _M_TEN, _M_RECV_LEN = 0x0001, 0x0010, 0x0400
_MOST_MESSAGES, _LARGEST = 42, 8192
#: What I2C_SMBUS points at: direction (1: read), command, form, where its bytes are.
_SMBUS = struct.Struct("<BBxxIQ")
QUICK, BYTE, BYTE_DATA, WORD_DATA, PROC_CALL, BLOCK, BLOCK_PROC_CALL, I2C_BLOCK = (
    *(0, 1, 2, 3, 4, 5, 7, 8),
)
_BLOCK_MAX = 32
_SIZES = {BYTE: 1, BYTE_DATA: 1, WORD_DATA: 2, PROC_CALL: 2}
_BROUGHT_TO_READ = frozenset({PROC_CALL, I2C_BLOCK, BLOCK_PROC_CALL})
_CALLS = frozenset({PROC_CALL, BLOCK_PROC_CALL})
_ERRNO = {FaultKind.TIMEOUT: errno.ETIMEDOUT}


@dataclass
class _Opened:
    """What is remembered of one opening: the address that was set last."""

    address: int = 0


class I2cDevice:
    """What /dev/i2c-N does, on a simulated bus.

    ``absent`` is the error for an address at which nobody answers, which depends on the adapter:
    ENXIO, EREMOTEIO or ENODEV.
    """

    def __init__(
        self, bus: SimI2cBus, absent: int = errno.ENXIO, clock: Clock = time.monotonic_ns
    ) -> None:
        self.bus = bus
        self.absent = absent
        #: Monotonic time of the last transaction that wrote more than a register pointer.
        self.commanded_ns = 0
        self._clock = clock

    def open(self) -> _Opened:
        """Return a new opening, with no address set."""
        return _Opened()

    def read(self, opened: _Opened, count: int) -> bytes:
        """Read from the address that was set."""
        return self._transfer(opened.address, b"", min(count, _LARGEST))

    def write(self, opened: _Opened, data: bytes) -> None:
        """Write to the address that was set."""
        self._transfer(opened.address, data)

    def ioctl(self, opened: _Opened, ioctl: Ioctl) -> Again | tuple[int, bytes]:
        """Do what an ioctl asks for."""
        command, argument = ioctl.command, ioctl.argument
        if command in (SLAVE, SLAVE_FORCE):
            if argument > 0x7F:
                raise OSError(errno.EINVAL, "no such address")
            opened.address = argument
        elif command == FUNCS:
            answer = struct.pack("<Q", FUNCTIONS)
            return (0, answer) if ioctl.room else Again(fill=[(argument, len(answer))])
        elif command == RDWR:
            return self._rdwr(ioctl)
        elif command == SMBUS:
            return self._smbus(opened.address, ioctl)
        elif command in (PEC, TENBIT):
            if argument:
                raise OSError(errno.EINVAL, "not of this adapter")
        elif command not in (RETRIES, TIMEOUT):
            raise OSError(errno.ENOTTY, "no such ioctl")
        return 0, b""

    def _rdwr(self, ioctl: Ioctl) -> Again | tuple[int, bytes]:
        """Do a transaction of several messages; their places are learnt one after the other."""
        bring = [(ioctl.argument, _RDWR.size)]
        if len(ioctl.data) < _RDWR.size:
            return Again(bring)
        where, count = _RDWR.unpack_from(ioctl.data)
        if not 0 < count <= _MOST_MESSAGES:
            raise OSError(errno.EINVAL, "too many messages")
        bring.append((where, count * _MESSAGE.size))
        data = ioctl.data[_RDWR.size :]
        if len(data) < count * _MESSAGE.size:
            return Again(bring)
        messages = [_MESSAGE.unpack_from(data, n * _MESSAGE.size) for n in range(count)]
        if any(flags & (_M_TEN | _M_RECV_LEN) or size > _LARGEST for _, flags, size, _ in messages):
            raise OSError(errno.EINVAL, "not of this adapter")
        writes = [(at, size) for _, flags, size, at in messages if size and not flags & _M_READ]
        reads = [(at, size) for _, flags, size, at in messages if size and flags & _M_READ]
        data = data[count * _MESSAGE.size :]
        if (len(data), ioctl.room) != (_sum(writes), _sum(reads)):
            return Again([*bring, *writes], reads)
        return count, self._messages([message[:3] for message in messages], data)

    def _messages(self, messages: Sequence[tuple[int, int, int]], data: bytes) -> bytes:
        """Do messages in order; a write and a read of one device are one transaction."""
        answers = b""
        pending: tuple[int, bytes] | None = None
        for address, flags, size in messages:
            if flags & _M_READ:
                written = b""
                if pending is not None and pending[0] == address:
                    written, pending = pending[1], None
                elif pending is not None:
                    self._transfer(*pending)
                    pending = None
                answers += self._transfer(address, written, size)
                continue
            if pending is not None:
                self._transfer(*pending)
            pending, data = (address, data[:size]), data[size:]
        if pending is not None:
            self._transfer(*pending)
        return answers

    def _smbus(self, address: int, ioctl: Ioctl) -> Again | tuple[int, bytes]:
        bring = [(ioctl.argument, _SMBUS.size)]
        if len(ioctl.data) < _SMBUS.size:
            return Again(bring)
        reads, command, form, where = _SMBUS.unpack_from(ioctl.data)
        if form not in (QUICK, BYTE, *_SIZES, BLOCK, BLOCK_PROC_CALL, I2C_BLOCK):
            raise OSError(errno.EINVAL, "no such form")
        size = _SIZES.get(form, _BLOCK_MAX + 2)
        has_data = form != QUICK and (form != BYTE or bool(reads))
        brings = has_data and (not reads or form in _BROUGHT_TO_READ)
        fills = has_data and (bool(reads) or form in _CALLS)
        data = ioctl.data[_SMBUS.size :]
        if (len(data), ioctl.room) != (size * brings, size * fills):
            piece = [(where, size)]
            return Again([*bring, *piece * brings], piece * fills)
        answer = self._form(address, bool(reads), command, form, data)
        return 0, answer.ljust(size * fills, b"\0")

    def _form(self, address: int, reads: bool, command: int, form: int, data: bytes) -> bytes:
        """Do one form of SMBus; return what the caller's memory is filled with."""
        at = bytes((command,))
        if form == QUICK:
            return self._transfer(address, b"")
        if form == BYTE:
            return self._transfer(address, b"" if reads else at, int(reads))
        if form == PROC_CALL:
            return self._transfer(address, at + data, 2)
        if form == BLOCK_PROC_CALL:
            return self._block(address, at + _counted(data))
        if form == I2C_BLOCK:
            block = _counted(data)
            if not reads:
                return self._transfer(address, at + block[1:])
            return block[:1] + self._transfer(address, at, block[0])
        if form == BLOCK:
            return (
                self._block(address, at) if reads else self._transfer(address, at + _counted(data))
            )
        if reads:
            return self._transfer(address, at, _SIZES[form])
        return self._transfer(address, at + data)

    def _block(self, address: int, write: bytes) -> bytes:
        """Read a block whose length its first byte tells.

        The simulated bus wants to know lengths beforehand, so the rest is read on its own.
        """
        length = self._transfer(address, write, 1)
        if not 0 < length[0] <= _BLOCK_MAX:
            raise OSError(errno.EPROTO, "no length of a block")
        return length + self._transfer(address, b"", length[0])

    def _transfer(self, address: int, write: bytes, read: int = 0) -> bytes:
        if len(write) > 1:
            self.commanded_ns = self._clock()
        try:
            return self.bus.transfer(address, write, read)
        except DeviceFault as fault:
            if fault.kind is FaultKind.NO_ACK:
                raise OSError(self.absent, fault.text) from None
            raise OSError(_ERRNO.get(fault.kind, errno.EIO), fault.text) from None


class CuseI2cHost:
    """Serves a simulated bus as /dev/i2c-N and moves its twins on."""

    def __init__(
        self,
        fd: int,
        bus: SimI2cBus,
        name: str,
        absent: int = errno.ENXIO,
        clock: Clock = time.monotonic_ns,
    ) -> None:
        self.bus = bus
        self._clock = clock
        self._device = I2cDevice(bus, absent, clock)
        self._server = CuseServer(fd, name, self._device)

    @property
    def commanded_ns(self) -> int:
        """Return the time of the last transaction that wrote more than a register pointer."""
        return self._device.commanded_ns

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._server.fileno()

    def step(self, timeout: float = 0.0) -> None:
        """Wait up to ``timeout`` seconds for a request, answer all there are, move twins on."""
        self._server.step(timeout)
        now = self._clock()
        for twin in list(self.bus.twins.values()):
            twin.advance(now)


def _sum(pieces: Sequence[tuple[int, int]]) -> int:
    return sum(size for _, size in pieces)


def _counted(data: bytes) -> bytes:
    """Return a block with its length in front, as the caller gave both."""
    if not 0 < data[0] <= _BLOCK_MAX:
        raise OSError(errno.EINVAL, "no length of a block")
    return data[: data[0] + 1]

"""Serial ports through pyserial: USB adapters, UARTs on board, ptys of simulated devices."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import select
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from horus.hal.backends.access import denied, package_missing
from horus.hal.backends.holders import locker, openers
from horus.hal.config import BusConfig, option
from horus.hal.faults import DeviceFault, FaultKind
from horus.hal.serial import CHUNK, SerialBus

#: Errors of the kernel when an adapter is pulled out, or the other end of a pty is closed.
_LOST = frozenset(
    {errno.EIO, errno.ENODEV, errno.ENXIO, errno.EPIPE, errno.ENOENT, errno.EBADF, errno.ENOTCONN}
)
#: Where the kernel keeps the latency timer of FTDI adapters, in ms.
_LATENCY = "/sys/bus/usb-serial/devices/{}/latency_timer"
_ERRNO = re.compile(r"\[Errno (\d+)\]|^Could not configure port: \((\d+)")


@dataclass(frozen=True, kw_only=True)
class SerialPortConfig(BusConfig):
    """Options of a serial port."""

    device: str = option(doc="device node, such as /dev/ttyUSB0 or one in /dev/serial/by-id")
    baudrate: int = option(115_200, unit="bit/s", low=300, high=12_000_000)
    dtr: bool = option(True, doc="the DTR line once open; false starts the motor of an RPLidar A1")
    rts: bool = option(True, doc="the RTS line once open")
    write_timeout: float = option(0.2, unit="s", low=0.01, high=10, doc="longest write")
    latency: float = option(
        0.0, unit="s", low=0, high=10, doc="so much later may answers come, as over a network"
    )


class SerialPort(SerialBus):
    """A serial port of the kernel, held exclusively."""

    config_type: ClassVar[type[BusConfig]] = SerialPortConfig

    def __init__(self, name: str, config: SerialPortConfig) -> None:
        self.name = name
        self.path = Path(config.device)
        self.baudrate = config.baudrate
        self.latency = config.latency
        self._port: Any = open_serial(
            name,
            config.device,
            baudrate=config.baudrate,
            timeout=0,
            write_timeout=config.write_timeout,
            dtr=config.dtr,
            rts=config.rts,
        )
        from serial import SerialTimeoutException

        self._timeout_error = SerialTimeoutException

    @classmethod
    def preflight(cls, name: str, config: SerialPortConfig) -> str:
        """Return why the port cannot be opened now and what to do."""
        try:
            refuse_url(config.device, name)
        except DeviceFault as fault:
            return str(fault)
        path = Path(config.device)
        if not path.exists():
            return str(opening_fault(OSError(errno.ENOENT, ""), path, name))
        if not os.access(path, os.R_OK | os.W_OK):
            return str(denied(path, name))
        if not find_spec("serial"):
            return str(package_missing("pyserial", name))
        return str(opening_fault(OSError(errno.EBUSY, ""), path, name)) if locker(path) else ""

    def write(self, data: bytes) -> None:
        """Hand bytes to the kernel."""
        port = self._open()
        try:
            port.write(data)
        except self._timeout_error:
            text = f"{len(data)} bytes not taken within {port.write_timeout:g} s"
            cure = "is the port stopped by flow control, or the baud rate too low?"
            raise DeviceFault(FaultKind.TIMEOUT, text, bus=self.name, cure=cure) from None
        except (OSError, TypeError) as error:  # TypeError: closed by another thread meanwhile
            raise lost(error, self.path, self.name) from None

    def read(self, timeout: float = 0.0) -> bytes:
        """Return what has arrived; wait up to ``timeout`` seconds for a first byte."""
        port = self._open()
        try:
            if timeout > 0 and not select.select([port.fd], [], [], timeout)[0]:
                return b""
            data: bytes = port.read(CHUNK)  # does not wait
        except (OSError, TypeError, ValueError) as error:
            raise lost(error, self.path, self.name) from None
        return data

    def close(self) -> None:
        """Release the port."""
        port, self._port = self._port, None
        if port is not None:
            with contextlib.suppress(OSError):
                port.close()

    def _open(self) -> Any:
        if self._port is None:
            raise DeviceFault(FaultKind.ABSENT, "the port is closed", bus=self.name)
        return self._port


def open_serial(
    name: str, device: str, *, dtr: bool = True, rts: bool = True, **settings: Any
) -> Any:
    """Open a port of pyserial exclusively; whatever goes wrong is a fault."""
    refuse_url(device, name)
    try:
        import serial
    except ImportError:
        raise package_missing("pyserial", name) from None
    port = serial.Serial(exclusive=True, **settings)
    port.port = device
    port.dtr, port.rts = dtr, rts  # set as it opens; a pty has no such lines
    try:
        port.open()
    except (OSError, ValueError) as error:
        raise opening_fault(error, Path(device), name) from None
    # Ask the kernel to hand bytes on at once; not every port can, and none has to.
    with contextlib.suppress(OSError, ValueError):
        port.set_low_latency_mode(True)
    with contextlib.suppress(OSError):
        Path(_LATENCY.format(Path(device).resolve().name)).write_text("1")
    return port


def lost(error: Exception, path: Path, name: str, *, gone: bool = False) -> DeviceFault:
    """Return the fault of an open port that fails; ``gone`` says that it is known to be gone."""
    silent = "returned no data" in str(error)  # pyserial's words for a port that is gone
    if gone or silent or _code(error) in _LOST or not path.exists():
        text = f"{path} was pulled out, or its other end is closed"
        cure = "plug it in again; it is opened anew by itself"
        return DeviceFault(FaultKind.ABSENT, text, bus=name, cure=cure)
    return DeviceFault(FaultKind.OTHER, f"{path}: {error}", bus=name)


def refuse_url(device: str, name: str) -> None:
    """Refuse pyserial's URLs: such a port cannot be held exclusively, nor read without waiting."""
    if "://" in device:
        raise DeviceFault(
            FaultKind.OTHER,
            f"{device} is not a device node",
            bus=name,
            cure="give a path such as /dev/ttyUSB0; a port on another host can be brought here "
            "as one (`socat pty,raw,link=... tcp:...`)",
        )


def opening_fault(error: Exception, path: Path, name: str) -> DeviceFault:
    """Return the fault of a port that cannot be opened."""
    code = _code(error)
    if code in (errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.EIO):
        missing = "does not exist" if code == errno.ENOENT else "has no device behind it"
        return DeviceFault(
            FaultKind.ABSENT,
            f"{path} {missing} (serial ports here: {', '.join(ports_here()) or 'none'})",
            bus=name,
            cure="plug it in, or correct device: in horus.yaml",
        )
    if code in (errno.EACCES, errno.EPERM):
        return denied(path, name)
    if code in (errno.EBUSY, errno.EAGAIN):
        who = locker(path) or openers(path) or "another program"
        text, cure = f"{path} is held by {who}", "end that program, or give each a port of its own"
        return DeviceFault(FaultKind.BUSY, text, bus=name, cure=cure)
    if code in (errno.ENOTTY, errno.EINVAL):
        return DeviceFault(
            FaultKind.OTHER, f"{path} is not a serial port", bus=name, cure="correct device:"
        )
    if isinstance(error, ValueError):
        cure = "correct baudrate: in horus.yaml"
        return DeviceFault(FaultKind.OTHER, f"{path}: {error}", bus=name, cure=cure)
    return DeviceFault(FaultKind.OTHER, f"{path}: {error}", bus=name)


def ports_here() -> list[str]:
    """Return the serial ports of this machine, with what is known about each."""
    try:
        from serial.tools.list_ports import comports
    except ImportError:
        return sorted(str(path) for path in Path("/dev").glob("tty[UA][SC][BM]*"))
    return [
        port.device if port.description in ("n/a", None) else f"{port.device} ({port.description})"
        for port in sorted(comports())
    ]


def _code(error: BaseException) -> int:
    """Return the number of a kernel's error, also out of pyserial's text; 0 when it has none."""
    found = getattr(error, "errno", None)
    if found:
        return int(found)
    if isinstance(error.__context__, OSError) and error.__context__.errno:
        return error.__context__.errno
    match = _ERRNO.search(str(error))
    return int(match[1] or match[2]) if match else 0

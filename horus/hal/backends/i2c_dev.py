"""I2C through the kernel's /dev/i2c-N, by smbus2's ``i2c_rdwr`` alone."""

from __future__ import annotations

import errno
import fcntl
import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from horus.hal.backends.access import denied, package_missing
from horus.hal.config import BusConfig, option
from horus.hal.faults import DeviceFault, FaultKind
from horus.hal.i2c import I2cBus
from horus.hal.simi2c import no_acknowledge

#: ioctl that sets an adapter's time-out in units of 10 ms (linux/i2c-dev.h).
I2C_TIMEOUT = 0x0702

#: Which errors of the kernel mean that nobody acknowledged: it depends on the adapter.
_NO_ACK = frozenset({errno.ENXIO, errno.EREMOTEIO, errno.ENODEV})
_KINDS = {
    errno.ETIMEDOUT: FaultKind.TIMEOUT,
    errno.EBUSY: FaultKind.BUSY,
    errno.EAGAIN: FaultKind.BUSY,  # arbitration lost
    errno.EBADMSG: FaultKind.CORRUPT,
}


@dataclass(frozen=True, kw_only=True)
class I2cDevConfig(BusConfig):
    """Options of an I2C bus."""

    device: str = option(doc="device node, such as /dev/i2c-1")
    timeout: float = option(0.05, unit="s", low=0.01, high=10, doc="longest transaction")


class I2cDev(I2cBus):
    """A bus of the kernel."""

    config_type: ClassVar[type[BusConfig]] = I2cDevConfig

    def __init__(self, name: str, config: I2cDevConfig) -> None:
        self.name = name
        self.path = Path(config.device)
        try:
            import smbus2
        except ImportError:
            raise package_missing("smbus2", name) from None
        self._message = smbus2.i2c_msg
        self._bus: Any = None
        try:
            self._bus = smbus2.SMBus()
            self._bus.open(str(self.path))  # on its own: one that fails later can be closed
            fcntl.ioctl(self._bus.fd, I2C_TIMEOUT, max(1, round(config.timeout * 100)))
        except OSError as error:
            self.close()
            raise _opening(error, self.path, name) from None

    @classmethod
    def preflight(cls, name: str, config: I2cDevConfig) -> str:
        """Return why the bus cannot be opened now and what to do."""
        path = Path(config.device)
        if not path.exists():
            return str(_opening(OSError(errno.ENOENT, ""), path, name))
        if not os.access(path, os.R_OK | os.W_OK):
            return str(denied(path, name))
        return "" if find_spec("smbus2") else str(package_missing("smbus2", name))

    def transfer(self, address: int, write: bytes, read: int = 0) -> bytes:
        """Do one transaction through I2C_RDWR."""
        if self._bus is None:
            raise DeviceFault(FaultKind.ABSENT, "the bus is closed", bus=self.name)
        messages = []
        if write or not read:
            messages.append(self._message.write(address, write))
        if read:
            messages.append(self._message.read(address, read))
        try:
            self._bus.i2c_rdwr(*messages)
        except OSError as error:
            raise self._failed(error, address) from None
        return bytes(messages[-1]) if read else b""

    def _failed(self, error: OSError, address: int) -> DeviceFault:
        code = error.errno or 0
        if not self.path.exists():
            return _opening(OSError(errno.ENOENT, ""), self.path, self.name)
        if code in _NO_ACK:
            return no_acknowledge(address, self.name)
        cure = ""
        if code in (errno.EOPNOTSUPP, errno.ENOTTY):
            cure = "this adapter does SMBus only: use one that does plain I2C"
        kind = _KINDS.get(code, FaultKind.OTHER)
        return DeviceFault(kind, f"address 0x{address:02X}: {error}", bus=self.name, cure=cure)

    def close(self) -> None:
        """Close the device node."""
        if self._bus is not None:
            self._bus.close()
            self._bus = None


def _opening(error: OSError, path: Path, name: str) -> DeviceFault:
    if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        buses = ", ".join(sorted(str(p) for p in Path("/dev").glob("i2c-*"))) or "none"
        return DeviceFault(
            FaultKind.ABSENT,
            f"{path} does not exist (I2C buses here: {buses})",
            bus=name,
            cure="enable I2C (`sudo modprobe i2c-dev`; on a Raspberry Pi `raspi-config`) "
            "or correct device: in horus.yaml",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return denied(path, name)
    kind = FaultKind.BUSY if error.errno == errno.EBUSY else FaultKind.OTHER
    return DeviceFault(kind, f"{path}: {error}", bus=name)

"""CAN through a serial adapter that speaks the LAWICEL text protocol (CANable, USBtin, ...)."""

from __future__ import annotations

import errno
import os
import select
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Literal

from horus.hal.backends.access import denied, package_missing
from horus.hal.backends.holders import locker
from horus.hal.backends.python_can import PythonCan
from horus.hal.backends.serial_port import opening_fault, refuse_url
from horus.hal.can import CanFrame
from horus.hal.config import BusConfig, option
from horus.hal.faults import DeviceFault, FaultKind

#: Most lines read in a row that are no frame: the adapter acknowledges each frame sent.
ACKNOWLEDGEMENTS = 100
_LOST = frozenset({errno.EIO, errno.ENODEV, errno.ENXIO, errno.EPIPE, errno.EBADF, errno.ENOENT})


@dataclass(frozen=True, kw_only=True)
class SlCanConfig(BusConfig):
    """Options of a serial CAN adapter."""

    device: str = option(doc="device node, such as /dev/ttyACM0")
    bitrate: Literal[
        10_000, 20_000, 50_000, 83_300, 100_000, 125_000, 250_000, 500_000, 750_000, 1_000_000
    ] = option(500_000, unit="bit/s")
    baudrate: int = option(
        115_200, unit="bit/s", low=9600, high=12_000_000, doc="of the serial port, not of the bus"
    )
    fd: bool = option(False, doc="CAN-FD, with the firmware of a CANable 2.0")
    data_bitrate: Literal[2_000_000, 5_000_000] = option(2_000_000, unit="bit/s")
    settle: float = option(
        0.05, unit="s", low=0, high=5, doc="wait after opening; an Arduino restarts, and needs 2 s"
    )


class SlCan(PythonCan):
    """A serial adapter, held exclusively."""

    config_type: ClassVar[type[BusConfig]] = SlCanConfig
    cure = "plug it in again; it is opened anew by itself"
    send_timeout = 0.2

    def __init__(self, name: str, config: SlCanConfig) -> None:
        self.path = Path(config.device)
        why = self._missing(name, config)
        if why is not None:
            raise why
        speed: dict[str, Any] = {"bitrate": config.bitrate}
        if config.fd:
            import can

            timing = can.BitTimingFd.from_sample_point(
                80_000_000, config.bitrate, 80.0, config.data_bitrate, 80.0
            )
            speed = {"timing": timing}
        super().__init__(
            name,
            interface="slcan",
            channel=config.device,
            tty_baudrate=config.baudrate,
            sleep_after_open=config.settle,
            timeout=0,
            **speed,
        )
        self._port = self._bus.serialPortOrig
        try:
            self._port.exclusive = True
        except OSError:
            self.close()
            raise opening_fault(OSError(errno.EBUSY, ""), self.path, name) from None

    @classmethod
    def preflight(cls, name: str, config: SlCanConfig) -> str:
        """Return why the adapter cannot be opened now and what to do."""
        return str(cls._missing(name, config) or "")

    @staticmethod
    def _missing(name: str, config: SlCanConfig) -> DeviceFault | None:
        path = Path(config.device)
        try:
            refuse_url(config.device, name)
        except DeviceFault as fault:
            return fault
        for module, package in (("can", "python-can"), ("serial", "pyserial")):
            if not find_spec(module):
                return package_missing(package, name)
        if not path.exists():
            return opening_fault(OSError(errno.ENOENT, ""), path, name)
        if not os.access(path, os.R_OK | os.W_OK):
            return denied(path, name)
        return opening_fault(OSError(errno.EBUSY, ""), path, name) if locker(path) else None

    def receive(self, timeout: float = 0.0) -> CanFrame | None:
        """Return the next frame, past the adapter's acknowledgements."""
        for _ in range(ACKNOWLEDGEMENTS):
            frame = super().receive(0.0)
            if frame is not None:
                if frame.error:
                    self._bus.flush()  # python-can keeps bytes that are no text, and fails again
                return frame
            try:
                if not select.select([self._port.fd], [], [], timeout)[0]:
                    return None
            except (OSError, TypeError, ValueError) as error:
                raise self._fault(error) from None
        return None

    def _fault(self, error: Exception) -> DeviceFault:
        fault = super()._fault(error)
        cause = error.__cause__ or error
        if type(cause).__name__ == "SerialTimeoutException":  # of pyserial, imported when opened
            text = f"{self.path} did not take a frame within {self.send_timeout:g} s"
            return DeviceFault(FaultKind.TIMEOUT, text, bus=self.name, cure="is it overloaded?")
        silent = "returned no data" in str(error)  # pyserial's words for a port that is gone
        lost = getattr(cause, "errno", None) in _LOST or not self.path.exists()
        if self._bus is not None and (silent or lost):
            text = f"{self.path} was pulled out, or its other end is closed"
            return DeviceFault(FaultKind.ABSENT, text, bus=self.name, cure=self.cure)
        return fault

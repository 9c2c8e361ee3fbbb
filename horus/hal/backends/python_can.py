"""CAN through python-can, whatever its interface; errors of all of them become fault kinds."""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Iterable
from typing import Any

from horus.hal.backends.access import package_missing
from horus.hal.can import CanBus, CanFrame
from horus.hal.faults import DeviceFault, FaultKind
from horus.hal.simcan import ERROR_PROTOCOL

_KINDS = {
    errno.ENODEV: FaultKind.ABSENT,
    errno.ENXIO: FaultKind.ABSENT,
    errno.ENOENT: FaultKind.ABSENT,
    errno.EAFNOSUPPORT: FaultKind.ABSENT,
    errno.ENETDOWN: FaultKind.ABSENT,
    errno.ENETUNREACH: FaultKind.ABSENT,
    errno.ESHUTDOWN: FaultKind.ABSENT,
    errno.EACCES: FaultKind.DENIED,
    errno.EPERM: FaultKind.DENIED,
    errno.EBUSY: FaultKind.BUSY,
    errno.ENOBUFS: FaultKind.TIMEOUT,
    errno.ETIMEDOUT: FaultKind.TIMEOUT,
}


class PythonCan(CanBus):
    """A CAN bus of python-can."""

    #: What to do when the bus is absent or down.
    cure = ""
    #: Longest time (s) that a frame may take to be sent.
    send_timeout = 0.02
    _bus: Any = None

    def __init__(self, name: str, **arguments: Any) -> None:
        self.name = name
        try:
            import can
        except ImportError:
            raise package_missing("python-can", name) from None
        self._can = can
        try:
            self._bus = can.Bus(**arguments)
        except (can.CanError, OSError, ValueError, ImportError) as error:
            raise self._fault(error) from None

    def send(self, frame: CanFrame) -> None:
        """Put one frame on the bus."""
        message = self._can.Message(
            arbitration_id=frame.id,
            data=None if frame.remote else frame.data,
            is_extended_id=frame.extended,
            is_remote_frame=frame.remote,
            is_error_frame=frame.error,
            is_fd=frame.fd,
            bitrate_switch=frame.fd,
        )
        bus = self._open()
        try:
            bus.send(message, timeout=self.send_timeout)
        except (self._can.CanError, OSError) as error:
            raise self._fault(error) from None

    def receive(self, timeout: float = 0.0) -> CanFrame | None:
        """Return the next frame; one that cannot be read comes as an error frame."""
        bus = self._open()
        try:
            message = bus.recv(timeout)
            if message is None:
                return None
            data = bytes(message.data)
            if len(data) != message.dlc and not (message.is_remote_frame or message.is_error_frame):
                raise ValueError("cut short")
            return CanFrame(
                message.arbitration_id,
                data,
                extended=message.is_extended_id and not message.is_error_frame,
                remote=message.is_remote_frame,
                fd=message.is_fd,
                error=message.is_error_frame,
                stamp_ns=_monotonic(message.timestamp),
            )
        except self._can.CanOperationError as error:
            if isinstance(error.__cause__, OSError):
                raise self._fault(error) from None
        except (self._can.CanError, OSError) as error:
            raise self._fault(error) from None
        except (ValueError, LookupError):  # python-can's readers of text trip over damaged lines
            pass
        return CanFrame(ERROR_PROTOCOL, error=True, stamp_ns=time.monotonic_ns())

    def fileno(self) -> int:
        """Return the descriptor to wait on; -1 where the adapter has none."""
        return int(self._open().fileno())

    def set_filters(self, frames: Iterable[tuple[int, bool]]) -> None:
        """Let all through: python-can's own filters would hold back error frames."""

    def close(self) -> None:
        """Shut the interface down."""
        bus, self._bus = self._bus, None
        if bus is not None:
            with contextlib.suppress(OSError, self._can.CanError):  # it may be unplugged by now
                bus.shutdown()

    def _open(self) -> Any:
        if self._bus is None:
            raise DeviceFault(FaultKind.ABSENT, "the bus is closed", bus=self.name, cure=self.cure)
        return self._bus

    def _fault(self, error: Exception) -> DeviceFault:
        cause = error
        while not isinstance(cause, OSError) and isinstance(cause.__cause__, Exception):
            cause = cause.__cause__
        code = getattr(cause, "errno", None) or getattr(cause, "error_code", None) or 0
        kind = _KINDS.get(code, FaultKind.OTHER)
        if isinstance(error, self._can.CanTimeoutError):
            kind = FaultKind.TIMEOUT
        elif isinstance(error, (self._can.CanInterfaceNotImplementedError, ImportError)):
            kind = FaultKind.ABSENT
        text = str(error) or type(error).__name__
        if code == errno.ENOBUFS:
            text, cure = "nobody acknowledges the frames sent", "check wiring, power and bit rate"
        else:
            cure = self.cure if kind is FaultKind.ABSENT else ""
        return DeviceFault(kind, text, bus=self.name, cure=cure)


def preload() -> None:
    """Import python-can and its usual interfaces, so that opening a bus takes no time later."""
    with contextlib.suppress(ImportError):
        import can.interfaces.slcan
        import can.interfaces.socketcan
        import can.interfaces.udp_multicast  # noqa: F401


def _monotonic(wall: float) -> int:
    """Return a wall-clock reception time of the last second as monotonic ns; else the present."""
    now = time.monotonic_ns()
    age = time.time() - wall
    return now - int(age * 1e9) if 0.0 <= age < 1.0 else now

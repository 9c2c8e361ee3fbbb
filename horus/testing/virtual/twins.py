"""Twins at the far end of real interfaces: ``python -m horus.testing.virtual.twins``.

Each is where a device would be: behind the other CAN adapter, at the other end of the serial line,
or on a /dev/i2c-N that this process serves. Drivers go through the kernel to them.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import signal
import struct
import sys
import termios
import time
import tty
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from horus.errors import HorusError
from horus.hal.backends.socketcan import INTERFACES, SocketCan, SocketCanConfig
from horus.hal.can import CanBus, CanFrame
from horus.hal.faults import DeviceFault
from horus.hal.ptyserial import DeviceEnd
from horus.hal.simcan import CanSim, CanSimHost
from horus.hal.simi2c import SimI2cBus
from horus.hal.simserial import SerialSim, SerialSimHost
from horus.hardware.config import BusEntry, DeviceEntry
from horus.hardware.processes import parser, say_ready, show_log, tree_and_devices
from horus.hardware.simhosts import SimHost, Twins, all_of, i2c_tree, make_twins
from horus.hardware.twins import TwinProcess
from horus.testing.virtual import hardware
from horus.testing.virtual.cuse import connect
from horus.testing.virtual.errors import VirtualError
from horus.testing.virtual.i2cdev import CuseI2cHost

#: Longest wait (s) for a device node to appear.
PATIENCE = 60.0
#: Longest time (s) between two steps of twins that nobody speaks to, and between what they show of
#: themselves unasked: in an emulated machine both cost a lot.
STEP, TRUTH_EVERY = 0.05, 0.5
#: Within what time (s) bytes are taken from a line, if anybody takes them.
TAKEN = 0.1
_WAITING = struct.Struct("i")


class PortEnd(DeviceEnd):
    """The far end of one of the machine's lines.

    What still waits there when more is to be sent later is taken by nobody: it is lost, as on a
    line with nobody at its end.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY))
        self._is_uart = os.isatty(self._fd)
        self._wrote = 0.0
        if self._is_uart:
            tty.setraw(self._fd)
            about = termios.tcgetattr(self._fd)
            about[4] = about[5] = termios.B115200  # the emulated line has no bit rate: quickly
            termios.tcsetattr(self._fd, termios.TCSANOW, about)

    def write(self, data: bytes) -> None:
        """Send bytes, having thrown away what nobody took."""
        now = time.monotonic()
        if self._is_uart and now - self._wrote > TAKEN:
            waits = _WAITING.unpack(fcntl.ioctl(self._fd, termios.TIOCOUTQ, bytes(_WAITING.size)))
            if waits[0]:
                termios.tcflush(self._fd, termios.TCOFLUSH)
                self.lost += waits[0]
        self._wrote = now
        super().write(data)


class SteadyCan(CanBus):
    """A CAN bus on which a frame that cannot be sent is lost: twins are no drivers."""

    def __init__(self, bus: CanBus) -> None:
        self.name = bus.name
        self._bus = bus

    def send(self, frame: CanFrame) -> None:
        """Put one frame on the bus, if it can be; a damaged one gets to nobody."""
        if frame.error:  # an adapter would send it as a frame like any other
            return
        with contextlib.suppress(DeviceFault):
            self._bus.send(frame)

    def receive(self, timeout: float = 0.0) -> CanFrame | None:
        """Return the next frame of data."""
        try:
            frame = self._bus.receive(timeout)
        except DeviceFault:
            time.sleep(timeout)
            return None
        return None if frame is None or frame.error else frame

    def set_filters(self, frames: Iterable[tuple[int, bool]]) -> None:
        """Let only these through, and error frames."""
        self._bus.set_filters(frames)

    def close(self) -> None:
        """Release the bus."""
        self._bus.close()


class WiredTwins:
    """The twins of one bus at its far end; see `horus.hardware.simhosts.OpenSimulation`."""

    def __init__(
        self,
        tree: Sequence[BusEntry],
        devices: Sequence[DeviceEntry],
        absent: int = errno.ENXIO,
    ) -> None:
        root = tree[0]
        self.twins: Twins = make_twins(tree, devices)
        self.step = STEP
        #: What is waited on: its ``fileno`` is readable when a host has something to do.
        self.end: Any = None
        self._close: list[Any] = []
        self.host: SimHost
        if root.backend.kind == "can":
            channel = other_adapter(getattr(root.config, "channel", ""))
            self.end = SocketCan(root.name, SocketCanConfig(channel=channel))
            bus = SteadyCan(self.end)
            self._close.append(bus.close)
            self.host = CanSimHost(bus, all_of(self.twins, CanSim))
        elif root.backend.kind == "serial":
            port = self.end = PortEnd(line_of(getattr(root.config, "device", "")))
            self._close.append(port.close)
            self.host = SerialSimHost(port, all_of(self.twins, SerialSim))
        elif root.backend.kind == "i2c":
            node = getattr(root.config, "device", "")
            self.host = self.end = i2c_host(
                i2c_tree(tree, devices, self.twins)[root.name], node, absent
            )
        else:
            raise VirtualError(f"{root.name}: twins cannot be put behind a bus of {root.use}")

    def close(self) -> None:
        """Leave the bus."""
        for close in self._close:
            close()


class AllTwins:
    """The twins of several buses in one process, which costs far less than one for each."""

    def __init__(self, parts: Sequence[WiredTwins]) -> None:
        self.parts = list(parts)
        self.twins: Twins = {name: twin for part in parts for name, twin in part.twins.items()}
        self.host: SimHost = _Hosts(parts)
        self.step = STEP


class _Hosts:
    """Moves twins on: those of a bus when something is said there, and all of them now and then."""

    def __init__(self, parts: Sequence[WiredTwins]) -> None:
        self._hosts = {part.end: part.host for part in parts}
        self._all_at = 0.0

    @property
    def commanded_ns(self) -> int:
        return max(host.commanded_ns for host in self._hosts.values())

    def step(self, timeout: float = 0.0) -> None:
        until_all = max(0.0, self._all_at - time.monotonic())
        asked = select.select(list(self._hosts), [], [], min(timeout, until_all))[0]
        now = time.monotonic()
        if now >= self._all_at:
            self._all_at = now + STEP
            asked = list(self._hosts)
        for end in asked:
            self._hosts[end].step()


def i2c_host(bus: SimI2cBus, node: str, absent: int = errno.ENXIO) -> CuseI2cHost:
    """Serve a simulated bus as a device node, such as /dev/i2c-20, which appears."""
    path = Path(node)
    if path.parent != Path("/dev") or not path.name.startswith("i2c-"):
        raise VirtualError(f"{node}: an I2C bus is called /dev/i2c-N")
    if path.exists():
        raise VirtualError(f"{node} is there already", "choose another number")
    host = CuseI2cHost(connect(), bus, path.name, absent)
    deadline = time.monotonic() + PATIENCE
    while not path.exists():
        host.step(0.05)
        if time.monotonic() > deadline:
            raise VirtualError(f"{node} does not appear", "is /dev that of this kernel?")
    owner = os.environ.get("SUDO_UID", "")
    if owner.isdigit():  # who asked for it is to use it
        os.chown(path, int(owner), -1)
    return host


def other_adapter(channel: str, interfaces: Path = INTERFACES) -> str:
    """Return the CAN interface at the other end of the bus that one is on."""
    here = {(path / "device").resolve().name: path.name for path in interfaces.glob("*")}
    for name, other in hardware.PAIRS.items():
        if here.get(hardware.slot(name)) == channel:
            found = here.get(hardware.slot(other))
            if found is None:
                raise VirtualError(f"{channel}: {other}, its other end, is not plugged in")
            return found
    raise VirtualError(
        f"{channel} is none of the machine's CAN adapters {', '.join(hardware.PAIRS)}"
    )


def line_of(device: str) -> Path:
    """Return where the other end of a serial port of the machine is."""
    name = hardware.line_of(device)
    found = hardware.far_end(name) if name else None
    if found is None:
        raise VirtualError(f"{device} is none of the machine's serial lines")
    return found


def serve(simulation: WiredTwins | AllTwins, said: str) -> None:
    """Hold twins until told to stop, as `horus.hardware.twins` does."""
    process = TwinProcess(simulation, truth_every=TRUTH_EVERY)
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, process.stop)
    print(said, flush=True)
    say_ready()
    process.run()


def main(arguments: Sequence[str] | None = None) -> int:
    """Hold the twins of some buses until told to stop."""
    args = parser("Hold the twins of a bus at its far end; of several with commas.").parse_args(
        arguments
    )
    show_log()
    parts: list[WiredTwins] = []
    try:
        try:
            buses = args.bus.split(",")
            parts.extend(WiredTwins(*tree_and_devices(args.config, bus)) for bus in buses)
            simulation = AllTwins(parts)
            serve(simulation, f"behind {args.bus}: {', '.join(simulation.twins)}")
        finally:
            for part in parts:
                part.close()
    except (HorusError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

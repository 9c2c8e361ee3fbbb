"""The simulated buses of a run: where they are, agreed on by all its processes.

A simulated CAN bus crosses processes by multicast on this host (python-can's ``udp_multicast``), so
that other CAN programs can take part, or where there is no multicast by sockets in a folder.
``HORUS_SIM_CAN=udp`` or ``unix`` forces one of them. A simulated I2C bus is a socket in a folder; a
simulated serial port is a pty, which is opened as a real port is.
"""

from __future__ import annotations

import fcntl
import os
import socket
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom

from horus.bus import session
from horus.errors import HorusError
from horus.hal.backends import Bus
from horus.hal.backends.sim_can import SimCan, SimCanConfig
from horus.hal.config import BusConfig, option
from horus.hal.faults import DeviceFault, FaultKind
from horus.hal.unixcan import UnixCan
from horus.hal.unixi2c import UnixI2c

#: Ports for simulated buses: below the kernel's own choice of ports (ip_local_port_range).
PORTS = range(20_000, 32_000)
FORCE = "HORUS_SIM_CAN"
FOLDER = "sim_buses"


@dataclass(frozen=True, kw_only=True)
class UnixCanConfig(BusConfig):
    """Where a simulated bus of sockets is: its folder's name below that of the run."""

    bus: str = option()


@dataclass(frozen=True, kw_only=True)
class UnixI2cConfig(BusConfig):
    """Where a simulated I2C bus is: its folder's name below that of the run."""

    bus: str = option()


@dataclass(frozen=True, kw_only=True)
class PtyConfig(BusConfig):
    """Where a simulated serial port is: its folder's name below that of the run."""

    bus: str = option()
    baudrate: int = option(115_200, unit="bit/s", low=50, high=12_000_000)


@dataclass(frozen=True, kw_only=True)
class ModbusPtyConfig(PtyConfig):
    """Where a simulated Modbus line is: as a serial port."""


#: Kinds of simulated bus by name.
KINDS: Mapping[str, type[BusConfig]] = {
    "udp": SimCanConfig,
    "unix": UnixCanConfig,
    "i2c_socket": UnixI2cConfig,
    "pty": PtyConfig,
    "modbus_pty": ModbusPtyConfig,
}
#: What each of them is, in the words of `horus.hal.maps.DeviceMap.bus_kind`.
KIND_OF = {
    "udp": "can",
    "unix": "can",
    "i2c_socket": "i2c",
    "pty": "serial",
    "modbus_pty": "modbus",
}
#: In a bus's folder: the file that names its pty.
PTY_FILE = "pty"


def session_path() -> Path | None:
    """Return the folder of the run this process is part of; None outside of a run."""
    session_id = os.environ.get("HORUS_SESSION_ID")
    return session.session_dir(session_id) if session_id else None


def folder_of(bus: str, run: Path | None = None) -> Path:
    """Return the folder of a simulated bus, by default of this process's run."""
    return session.make_dir((run or session_path() or session.root()) / FOLDER / Path(bus).name)


def open_bus(name: str, config: BusConfig, run: Path | None = None) -> Bus:
    """Open a simulated bus, by default of this process's run."""
    if isinstance(config, SimCanConfig):
        return SimCan(name, config)
    if isinstance(config, UnixCanConfig):
        return UnixCan(name, folder_of(config.bus, run))
    if isinstance(config, UnixI2cConfig):
        return UnixI2c(name, folder_of(config.bus, run))
    assert isinstance(config, PtyConfig)
    return _open_pty(name, config, folder_of(config.bus, run))


def _open_pty(name: str, config: PtyConfig, folder: Path) -> Bus:
    from horus.hal.backends.serial_port import SerialPort, SerialPortConfig

    try:
        path = (folder / PTY_FILE).read_text()
    except OSError as error:
        text = f"the simulated port is not there: {error}"
        raise DeviceFault(FaultKind.ABSENT, text, bus=name) from None
    if isinstance(config, ModbusPtyConfig):
        from horus.hal.backends.modbus_rtu import ModbusRtu, ModbusRtuConfig

        return ModbusRtu(name, ModbusRtuConfig(device=path, baudrate=config.baudrate))
    return SerialPort(name, SerialPortConfig(device=path, baudrate=config.baudrate))


def offer_pty(bus: str, path: str) -> None:
    """Tell the other processes of the run which pty is a bus."""
    file = folder_of(bus) / PTY_FILE
    draft = file.with_suffix(".new")
    try:
        draft.write_text(path)
        draft.replace(file)
    except OSError as error:
        raise session.explain(error, file) from None


def bus_config(kind: str, bus: str, baudrate: int = 115_200) -> BusConfig:
    """Return where this run's simulated bus of a kind is."""
    if kind == "can":
        return can_config(bus)
    if kind == "serial":
        return PtyConfig(bus=bus, baudrate=baudrate)
    if kind == "modbus":
        return ModbusPtyConfig(bus=bus, baudrate=baudrate)
    return UnixI2cConfig(bus=bus)


def can_config(bus: str) -> BusConfig:
    """Return where this run's simulated CAN bus is; the first process that asks decides.

    In a run every bus has a port of its own that nobody else uses, written into the session's
    folder. Outside, it follows from the folder of the topics and the bus's name.
    """
    run = session_path()
    if run is None:
        digest = zlib.crc32(f"{session.root()}\0{bus}".encode())
        return _choose(bus, PORTS.start + digest % len(PORTS))
    path = session.make_dir(run / FOLDER) / f"{bus}.port"
    try:
        return _agree(bus, path)
    except HorusError:
        raise
    except OSError as error:
        raise session.explain(error, path) from None


def _agree(bus: str, path: Path) -> BusConfig:
    """Return what the file says, or choose and write it there."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        text = file.read()
        if text.isdigit():
            return SimCanConfig(port=int(text))
        if text:
            return UnixCanConfig(bus=bus)
        config = _choose(bus, _free_port(bus))
        file.write(str(config.port) if isinstance(config, SimCanConfig) else "unix")
        return config


def _choose(bus: str, port: int) -> BusConfig:
    forced = os.environ.get(FORCE, "")
    config = SimCanConfig(port=port)
    if forced == "unix":
        return UnixCanConfig(bus=bus)
    if forced != "udp":
        try:
            SimCan(bus, config).close()
        except DeviceFault:
            return UnixCanConfig(bus=bus)
    return config


def _free_port(bus: str) -> int:
    random = SystemRandom()
    for _ in range(100):
        port = random.choice(PORTS)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
        return port
    text = f"no free UDP port found in {PORTS.start}..{PORTS.stop}"
    raise DeviceFault(FaultKind.BUSY, text, bus=bus, cure=f"set {FORCE}=unix")

"""The simulated buses of a run: where they are, agreed on by all its processes.

A simulated CAN bus crosses processes by multicast on this host (python-can's ``udp_multicast``), so
that other CAN programs can take part, or where there is no multicast by sockets in a folder.
``HORUS_SIM_CAN=udp`` or ``unix`` forces one of them.
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
from horus.hal.backends.sim_can import SimCan, SimCanConfig
from horus.hal.can import CanBus
from horus.hal.config import BusConfig, option
from horus.hal.faults import DeviceFault, FaultKind
from horus.hal.simi2c import RegisterSim, SimI2cBus
from horus.hal.unixcan import UnixCan
from horus.hardware.config import DeviceEntry

#: Ports for simulated buses: below the kernel's own choice of ports (ip_local_port_range).
PORTS = range(20_000, 32_000)
FORCE = "HORUS_SIM_CAN"
FOLDER = "sim_buses"


@dataclass(frozen=True, kw_only=True)
class UnixCanConfig(BusConfig):
    """Where a simulated bus of sockets is: its folder's name below that of the run."""

    bus: str = option()


#: Kinds of simulated CAN bus by name.
KINDS: Mapping[str, type[BusConfig]] = {"udp": SimCanConfig, "unix": UnixCanConfig}


def session_path() -> Path | None:
    """Return the folder of the run this process is part of; None outside of a run."""
    session_id = os.environ.get("HORUS_SESSION_ID")
    return session.session_dir(session_id) if session_id else None


def open_can(name: str, config: BusConfig, run: Path | None = None) -> CanBus:
    """Open a simulated CAN bus, by default of this process's run."""
    if isinstance(config, SimCanConfig):
        return SimCan(name, config)
    assert isinstance(config, UnixCanConfig)
    folder = (run or session_path() or session.root()) / FOLDER / Path(config.bus).name
    return UnixCan(name, session.make_dir(folder))


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


def twin_of(device: DeviceEntry) -> object:
    """Make the simulated twin of a device."""
    if device.driver.twin is None:
        raise TypeError(f"{device.name}: the driver {device.use} has no simulated twin")
    return device.driver.twin(device.config, device.sim)


def make_i2c(name: str, devices: list[DeviceEntry]) -> tuple[SimI2cBus, Mapping[str, object]]:
    """Make an I2C bus of twins in this process; return it with the twins by device name."""
    bus = SimI2cBus(name)
    twins = {}
    for device in devices:
        twin = twin_of(device)
        assert isinstance(twin, RegisterSim)
        bus.attach(twin)
        twins[device.name] = twin
    return bus, twins

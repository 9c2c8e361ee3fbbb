"""Which processes a robot's hardware needs, and whether its buses are there."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Literal

from horus.errors import ConfigError
from horus.hardware.config import RobotConfig
from horus.launch import AS_IT_IS, Launch


@dataclass(frozen=True)
class ProcessPlan:
    """One process: its name, its command line and what it is for.

    Start ``twin`` before ``driver``; stop it after, for a driver makes its devices safe at the end.
    """

    name: str
    argv: tuple[str, ...]
    kind: Literal["driver", "twin"]
    launch: Launch = AS_IT_IS

    @property
    def module(self) -> str:
        """Return the module to run, as after ``python -m``."""
        return self.argv[2]

    @property
    def arguments(self) -> tuple[str, ...]:
        """Return the module's arguments."""
        return self.argv[3:]


def processes(config: RobotConfig, mock: bool = False) -> list[ProcessPlan]:
    """Return the processes for a robot's hardware: one a bus, and with ``mock`` the twins' own.

    Buses that hang from another, such as those of a multiplexer, are looked after by its process.
    A driver without a twin is a `ConfigError` with ``mock``.
    """
    missing = [d for d in config.hardware.values() if mock and d.driver.twin is None]
    if missing:
        raise ConfigError(
            f"{config.path}:{d.line}: hardware.{d.name}: the driver {d.use} has no simulated twin, "
            "so it cannot run with --mock"
            for d in missing
        )
    twins = []
    workers = []
    for bus in config.roots():
        about = ("--config", str(config.path), "--bus", bus.name)
        if mock:
            argv = (sys.executable, "-m", "horus.hardware.twins", *about)
            twins.append(ProcessPlan(f"{bus.name}.sim", argv, "twin"))
        argv = (sys.executable, "-m", "horus.hardware.worker", *about)
        workers.append(ProcessPlan(bus.name, argv + ("--mock",) * mock, "driver", bus.launch))
    return twins + workers


def preflight(config: RobotConfig) -> list[str]:
    """Return why real buses cannot be opened, one line each with its cure; open nothing."""
    texts = [bus.backend.preflight(bus.name, bus.config) for bus in config.roots()]
    return [text for text in texts if text]

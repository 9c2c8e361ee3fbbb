"""What the hardware processes share: arguments, lines for people, the sign that they are ready."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from horus.bus.session import explain
from horus.hardware.config import BusEntry, DeviceEntry, load

READY_FILE = "HORUS_READY_FILE"


class _Lines(logging.Formatter):
    """``left_wheel: text``, with the level where it is one to look at."""

    def format(self, record: logging.LogRecord) -> str:
        source = record.name.removeprefix("horus.node.").removeprefix("horus.")
        level = "" if record.levelno <= logging.INFO else f"{record.levelname}: "
        text = f"{source}: {level}{record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def show_log() -> None:
    """Print what is logged, a line each; the supervisor puts the process's name in front."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_Lines())
    logger = logging.getLogger("horus")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False


def parser(what: str) -> argparse.ArgumentParser:
    """Return a parser with the arguments that all hardware processes take."""
    made = argparse.ArgumentParser(description=what)
    made.add_argument("--config", required=True, help="the robot's horus.yaml")
    made.add_argument("--bus", required=True, help="the name of the bus to look after")
    return made


def tree_and_devices(config_path: str, bus: str) -> tuple[list[BusEntry], list[DeviceEntry]]:
    """Return a bus of a robot with those that hang from it, and the devices on all of them."""
    config = load(config_path)
    devices = config.devices_below(bus) if bus in config.buses else []
    if not devices:
        known = ", ".join(config.buses) or "none"
        raise SystemExit(f"{config_path}: no devices on a bus called {bus}; buses: {known}")
    return config.tree(bus), devices


def say_ready() -> None:
    """Tell the supervisor that others can rely on this process."""
    path = os.environ.get(READY_FILE)
    if path:
        try:
            Path(path).touch()
        except OSError as error:
            raise explain(error, Path(path)) from None

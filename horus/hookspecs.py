"""The hooks a plugin may implement; each is a plain function with the hook's name.

A package becomes a plugin by an entry point in the group ``horus``::

    [project.entry-points.horus]
    my_robot = "my_robot_horus"

and marks its functions in that module with `hookimpl`. A function may leave out arguments that it
does not need. What a hook raises is reported in ``horus plugins`` and disturbs nobody else. No
hook is called in a node's tick.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from horus.hardware.config import RobotConfig

hookspec = pluggy.HookspecMarker("horus")
hookimpl = pluggy.HookimplMarker("horus")


@dataclass(frozen=True)
class Found:
    """A bus that is plugged into this machine: what ``horus scan`` shows and horus.yaml takes."""

    #: The name proposed for it in horus.yaml, such as ``i2c1``.
    name: str
    #: The kind of bus, as after ``use:``.
    use: str
    #: What else horus.yaml needs, such as ``{"device": "/dev/i2c-1"}``.
    options: Mapping[str, object] = field(default_factory=dict)
    #: What it is, for people: maker, model, serial number.
    about: str = ""
    #: Why it cannot be used now and what to do; "" when nothing is known.
    problem: str = ""


@hookspec
def horus_drivers() -> dict[str, str]:  # type: ignore[empty-body]
    """Return drivers by the name used in horus.yaml: ``{"mpu6050": "package.module:Class"}``.

    The module is imported when a robot uses the driver, not before.
    """


@hookspec
def horus_buses() -> dict[str, str]:  # type: ignore[empty-body]
    """Return kinds of bus by the name used in horus.yaml: ``{"my_can": "package.module:Class"}``.

    The class is a back-end as `horus.hal.backends.Backend` describes it: a bus of an existing kind
    (``i2c``, ``can``, ``serial``) with ``config_type``, ``preflight`` and a constructor that opens.
    """


@hookspec
def horus_commands() -> dict[str, str]:  # type: ignore[empty-body]
    """Return subcommands of ``horus`` by name: ``{"survey": "package.module"}``.

    The module, or the object in it that ``package.module:object`` names, has ``configure(parser)``,
    which adds arguments to an `argparse.ArgumentParser`, and ``main(args)``, which returns the exit
    status. A command of HORUS itself cannot be replaced.
    """


@hookspec
def horus_scan() -> Iterable[Found]:  # type: ignore[empty-body]
    """Return the buses of this plugin's kinds that are plugged in; open nothing, move nothing."""


@hookspec
def horus_check(config: RobotConfig) -> Iterable[str]:  # type: ignore[empty-body]
    """Return what is wrong with a robot's configuration beyond what HORUS finds, a line each.

    Called after the file has been read without a fault. ``config.path`` and the ``line`` of each
    bus and device say where: ``f"{config.path}:{device.line}: hardware.{device.name}: ..."``.
    """


@hookspec
def horus_device_state(device: str, state: str, text: str) -> None:
    """Take note that a device has become ``absent``, ``ready``, ``active`` or ``fault``.

    Called in the process of the device's bus, in a thread of its own, in the order of the changes;
    when a plugin is too slow for them, the newest are left out.
    """


@hookspec
def horus_stop(status: int) -> None:
    """Take note that a run of ``horus run`` has ended with this exit status.

    Every process of the run has ended by then. It may take a few seconds, then nobody waits for it.
    """

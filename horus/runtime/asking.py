"""Asking a run to stop or restart one of its processes: `horus node stop`, `horus node restart`.

The run answers under ``horus/run`` (`horus.runtime.orders`), by request and reply over topics.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from horus.errors import HorusError, did_you_mean
from horus.runtime.sessions import RunProcess, noted_devices, noted_processes

#: The name to which a run answers.
SERVER = "horus/run"
#: How long (s) a run may take beside the graces that a process has.
MARGIN = 40.0


class NoSuchProcess(HorusError, LookupError):
    """A name that stands for no process of the run, or for more than one."""


@dataclass(frozen=True)
class Target:
    """The process that a name stands for."""

    process: RunProcess
    #: The devices it looks after; none for a node's process.
    devices: tuple[str, ...]
    #: What else is in it: devices or nodes beside those that were named.
    others: tuple[str, ...]


def find(session_id: str, name: str) -> Target:
    """Return the process with a name, or with the device, the bus or the node of that name."""
    processes = [p for p in noted_processes(session_id) if p.kind != "twin"]
    by_name = {process.name: process for process in processes}
    devices = noted_devices()
    buses = {device.bus: device.process for device in devices}
    holder = {device.name: device.process for device in devices}
    process = by_name.get(name) or by_name.get(holder.get(name, buses.get(name, "")))
    if process is not None:
        held = tuple(d.name for d in devices if d.process == process.name)
        meant = {d.name for d in devices if name in (d.name, d.bus, d.process)}
        return Target(process, held, tuple(d for d in held if d not in meant))
    nodes = _nodes()
    inside = [p for p in processes if name in nodes.get(p.pid, ())]
    if len(inside) == 1:
        others = tuple(node for node in nodes[inside[0].pid] if node != name)
        return Target(inside[0], (), others)
    if inside:
        listed = ", ".join(p.name for p in inside)
        raise NoSuchProcess(f"{len(inside)} processes have a node {name!r}: name one of {listed}")
    known = [*by_name, *buses, *holder, *(node for found in nodes.values() for node in found)]
    raise NoSuchProcess(f"this run has no node or device {name!r}{_near(name, known)}")


def _near(name: str, known: Collection[str]) -> str:
    listed = ", ".join(dict.fromkeys(known)) or "none"
    return did_you_mean(name, known) or f"; there are {listed}"


def _nodes() -> dict[int, list[str]]:
    """Return the names of the nodes in each process that tells of them."""
    from horus.scheduler.status import heard

    found: dict[int, list[str]] = {}
    for status in heard():
        found.setdefault(status.process, []).append(status.node)
    return found


def ask(
    process: str,
    what: Literal["stop", "restart"],
    grace: float | None = None,
    timeout: float | None = None,
) -> dict[str, Any]:
    """Have a process stopped or restarted; return what became of it.

    ``name``, ``kind``, ``end``, ``was_running``, ``lost`` (not even SIGKILL has ended it), ``said``
    (a driver's last lines), ``last_words`` (what the supervisor did for its devices); of a restart
    ``pid``, ``ready`` and ``failed`` as well. Times are seconds. A `horus.node.caller.CallError`
    says why there is no answer.
    """
    from horus.node.caller import CallAbsentError, Caller, CallError

    began = time.monotonic()
    with Caller(SERVER) as caller:
        wait = timeout or 3 * (grace or 3.0) + MARGIN
        try:
            answer: dict[str, Any] = caller.call(what, process, grace, timeout=wait)
        except CallAbsentError:
            raise CallAbsentError("this run cannot be asked: it is starting, or ending") from None
        except CallError as error:
            raise type(error)(str(error).removeprefix(f"{SERVER}.{what}: ")) from None
    return {**answer, "seconds": round(time.monotonic() - began, 3)}

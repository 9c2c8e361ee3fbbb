"""The nodes of a node file, without running them: for whoever runs them in another way."""

from __future__ import annotations

import os
import sys
import time
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from horus.errors import HorusError
from horus.node import Node
from horus.scheduler import scheduler
from horus.scheduler.clock import SimClock

__all__ = ["ProgramError", "nodes_of"]


class ProgramError(HorusError):
    """A node file that cannot be used here."""


class _SimTime(types.ModuleType):
    """What a node file finds under the name ``time``: that module, on a simulated clock."""

    def __init__(self, clock: SimClock) -> None:
        super().__init__("time")
        self.sleep = clock.sleep
        self.monotonic_ns = self.perf_counter_ns = clock.monotonic_ns
        self.monotonic = self.perf_counter = lambda: clock.monotonic_ns() / 1e9
        self.time = lambda: clock.epoch + clock.monotonic_ns() / 1e9
        self.time_ns = lambda: round(clock.epoch * 1e9) + clock.monotonic_ns()

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


def nodes_of(
    path: str | Path,
    clock: SimClock | None = None,
    *,
    args: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
) -> list[tuple[Node, int]]:
    """Return the nodes that a Python file would run, each with its order.

    The file is executed as a program; a scheduler's `run` in it returns at once. With a clock, the
    file's own uses of Python's `time` are on that clock; those of modules it imports are not.
    """
    path = Path(path)
    if path.suffix != ".py":
        raise ProgramError(f"{path}: only Python nodes can run in this process")
    module = types.ModuleType("__main__")
    module.__file__ = str(path)
    before, folder = sys.modules["__main__"], str(path.resolve().parent)
    code = compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
    argv, variables = sys.argv, {name: os.environ.get(name) for name in env or {}}
    sys.modules["__main__"] = module
    sys.path.insert(0, folder)
    sys.argv = [str(path), *args]
    os.environ.update(env or {})
    try:
        with scheduler.collecting() as found:
            exec(code, module.__dict__)
    except SystemExit as end:
        if end.code not in (None, 0):
            raise ProgramError(f"{path}: ends with {end.code!r} before its nodes run") from None
    finally:
        sys.modules["__main__"] = before
        sys.argv = argv
        for name, value in variables.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if folder in sys.path:
            sys.path.remove(folder)
    if not found:
        raise ProgramError(
            f"{path}: runs no node (horus.run, Scheduler.run): it cannot be run in another way"
        )
    if clock is not None:
        _put_on_clock(module.__dict__, _SimTime(clock))
    return found


def _put_on_clock(names: dict[str, Any], sim_time: _SimTime) -> None:
    """Replace the module `time`, and functions of it, in the names of a file."""
    replaced = {id(getattr(time, n)): f for n, f in vars(sim_time).items() if hasattr(time, n)}
    replaced = {key: f for key, f in replaced.items() if callable(f)}
    replaced[id(time)] = sim_time
    for name, value in names.items():
        if id(value) in replaced:
            names[name] = replaced[id(value)]

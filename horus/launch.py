"""How a process of a run is started, and whether it is started again: what horus.yaml may say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

__all__ = ["AS_IT_IS", "RESTARTS", "Launch", "NodeEntry", "Restart"]

Restart = Literal["never", "on-failure", "always"]
#: ``never`` starts it once; ``on-failure`` again when it fails; ``always`` also when it ends well.
RESTARTS: tuple[Restart, ...] = get_args(Restart)
#: A pause before a restart is not longer than this (s).
LONGEST_DELAY = 30.0
#: What has run for so long (s) has recovered: its restarts are counted anew.
RECOVERED = 10.0


@dataclass(frozen=True)
class Launch:
    """How one process is started.

    Args:
        args: its arguments, as ``sys.argv[1:]``.
        env: environment variables beside those of the run.
        remap: topics by the program's own names: ``{"image": "left/image"}``.
        restart: whether it is started again when it has ended by itself.
        max_restarts: how often in a row, at most.
        restart_delay: seconds before the first restart; twice as long before each further one.
        after: processes that are to be ready before this one starts.
        params: values that parameters of its nodes start with, each with its place in horus.yaml.

    """

    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    remap: Mapping[str, str] = field(default_factory=dict)
    restart: Restart = "never"
    max_restarts: int = 5
    restart_delay: float = 0.5
    after: tuple[str, ...] = ()
    params: Mapping[str, tuple[object, str]] = field(default_factory=dict)

    def wants_restart(self, *, ended_well: bool, restarts: int) -> bool:
        """Return whether a process that has ended by itself is to be started again."""
        if self.restart == "never" or restarts >= self.max_restarts:
            return False
        return self.restart == "always" or not ended_well

    def delay(self, restarts: int) -> float:
        """Return the seconds to wait before restart number ``restarts``, counted from 0."""
        return min(self.restart_delay * 2.0 ** min(restarts, 20), LONGEST_DELAY)


#: Once, with nothing said.
AS_IT_IS = Launch()


@dataclass(frozen=True)
class NodeEntry:
    """One node file of a run."""

    path: Path
    #: Where horus.yaml names it; 0 if it does not.
    line: int
    #: The name of its process; "" for that of the file.
    name: str = ""
    launch: Launch = AS_IT_IS

"""The end of a run: actuators first, everything tried, no other thread waited for without limit.

What blocks the thread of the run itself cannot be left by the program, only by a signal.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING

from horus.scheduler.task import Task
from horus.scheduler.worker import Job

if TYPE_CHECKING:
    from horus.scheduler.asyncnode import AsyncNode

__all__ = ["make_safe"]

#: How long all actuators together have for their `safe`.
SAFE_TIME = 1.0  # s
#: Of that, how long a tick that is just running on the node's own thread is waited for.
TICK_TIME = 0.2  # s


def make_safe(tasks: Sequence[Task], ticking: Mapping[str, Job | AsyncNode]) -> list[Task]:
    """Call ``safe`` of every actuator at once, each in a thread; go on after a second.

    Return those that were still ticking on a thread of their own: they need it once more.
    """
    late: list[Task] = []
    threads = []
    alone = []
    for task in tasks:
        if task.node.is_actuator:
            job = ticking.get(task.node.name)
            thread = threading.Thread(target=_make_one_safe, args=(task, job, late), daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no more threads: one after the other, then
                alone.append((task, job))
            else:
                threads.append((task, thread))
    for task, job in alone:
        _make_one_safe(task, job, late)
    deadline = monotonic() + SAFE_TIME
    for task, thread in threads:
        thread.join(max(0.0, deadline - monotonic()))
        if thread.is_alive():
            task.node.log_error(f"safe() has not ended within {SAFE_TIME:g} s; the stop goes on")
    return late


def _make_one_safe(task: Task, ticking: Job | AsyncNode | None, late: list[Task]) -> None:
    if ticking is not None and not ticking.done.wait(TICK_TIME):
        late.append(task)  # the tick's last command may come after ours
    task.make_safe()

"""Real time: the kernel's real-time class, locked memory, chosen cores, a short spin.

What is not permitted is left out, said with its cure, and the run goes on with the rest. All is
undone at the end of the run. The kernel's own throttle of real-time threads stays as it is: a tick
that never ends leaves 5 % of its core to the rest of the machine.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from horus.node.options import checked_seconds
from horus.scheduler import resident
from horus.scheduler.loop import WAKING_NS
from horus.scheduler.permits import permits, throttled

__all__ = ["VARIABLE", "Manners", "RealTime", "asked"]

#: Says for all schedulers of a process that they run in real time: ``priority=40,cpus=1+2``.
VARIABLE = "HORUS_RT"
#: At most this share of the shortest period is spent awake, so that the throttle stays away.
SPIN_SHARE = 4


@dataclass(frozen=True, kw_only=True)
class RealTime:
    """How a scheduler runs in real time; ``rt=True`` is one with the defaults.

    Args:
        priority: of SCHED_FIFO, 1 to 99. The default is below the 50 of the kernel's own interrupt
            threads, on which a driver waits.
        cpus: numbers of the cores that ticks run on; None: any.
        spin: seconds before a tick that are waited out awake, at most a quarter of the shortest
            period; None: 100 µs.
        lock_memory: keep all memory of the process from being swapped or dropped.

    """

    priority: int = 40
    cpus: Collection[int] | None = None
    spin: float | None = None
    lock_memory: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.priority, int) or not 1 <= self.priority <= 99:
            raise ValueError(f"RealTime: priority is {self.priority!r}; it is a number, 1 to 99")
        if self.spin is not None:
            checked_seconds(self.spin, "RealTime: spin", below=1)
        if self.cpus is not None and not self.cpus:
            raise ValueError("RealTime: cpus is empty; it is the numbers of cores, or None")
        there = set(range(os.cpu_count() or 1))
        absent = sorted(set(self.cpus or ()) - there)
        if absent:
            raise ValueError(
                f"RealTime: cpus has {', '.join(map(str, absent))}; "
                f"this machine has the cores 0 to {max(there)}"
            )

    def __str__(self) -> str:
        cores = "" if self.cpus is None else f",cpus={'+'.join(map(str, sorted(self.cpus)))}"
        return f"priority={self.priority}{cores}"

    def spin_ns(self, highest_rate: float) -> int:
        """Return the spin before a tick where the fastest node has this rate (Hz; 0: none)."""
        wanted = WAKING_NS if self.spin is None else round(self.spin * 1e9)
        return min(wanted, round(1e9 / highest_rate / SPIN_SHARE)) if highest_rate else wanted


def asked(rt: RealTime | bool | None) -> RealTime | None:
    """Return what ``rt=`` asks for; where it is None, the environment does."""
    if rt is None:
        text = os.environ.get(VARIABLE, "")
        return _from_text(text) if text else None
    if isinstance(rt, RealTime):
        return rt
    if not isinstance(rt, bool):
        raise TypeError(f"rt is {rt!r}; it is True, False or a RealTime(...)")
    return RealTime() if rt else None


def _from_text(text: str) -> RealTime:
    try:
        given = dict(item.split("=", 1) for item in text.split(","))
        cores = given.pop("cpus", None)
        return RealTime(
            priority=int(given.pop("priority", RealTime.priority)),
            cpus=None if cores is None else [int(core) for core in cores.split("+")],
        )
    except ValueError as error:
        raise ValueError(f"{VARIABLE}={text!r}: such as priority=40,cpus=1+2 ({error})") from None


class Manners:
    """What one run does to its process and to its threads, and undoes."""

    def __init__(self, options: RealTime, spin_ns: int) -> None:
        self.options = options
        self._spin_ns = spin_ns
        self._permits = permits()
        self._told = self._locked = False

    @contextlib.contextmanager
    def process(self) -> Iterator[None]:
        """Within ``with``: locked memory, and what exists out of the garbage collector's way."""
        with resident.frozen(), contextlib.ExitStack() as using:
            locked = self.options.lock_memory and not self._permits.no_lock
            self._locked = locked and using.enter_context(resident.locked())
            yield

    @contextlib.contextmanager
    def thread(self) -> Iterator[None]:
        """Within ``with``, on a thread that ticks: its class and its cores."""
        if not sys.platform.startswith("linux"):
            yield
            return
        cores = os.sched_getaffinity(0)
        policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
        given, problem = self._take_class()
        try:
            pinned = self._take_cores()
            self._tell(given, problem, pinned)
            yield
        finally:
            if given:
                _restore_class(policy, parameters)
            with contextlib.suppress(OSError):
                os.sched_setaffinity(0, cores)

    def _take_class(self) -> tuple[int, str]:
        """Take the real-time class; return the priority, 0 with the reason if there is none."""
        priority = min(self.options.priority, self._permits.priority)
        if not priority:
            return 0, self._permits.no_fifo
        try:
            soft, hard = resource.getrlimit(resource.RLIMIT_RTPRIO)
            if 0 <= soft < priority <= hard:
                resource.setrlimit(resource.RLIMIT_RTPRIO, (priority, hard))
            # What a tick starts does not inherit the class.
            kind = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
            os.sched_setscheduler(0, kind, os.sched_param(priority))
        except (OSError, ValueError) as error:
            return 0, f"refused ({error}): a control group without a real-time share does that"
        return priority, ""

    def _take_cores(self) -> str:
        if self.options.cpus is None:
            return ""
        cores = ", ".join(map(str, sorted(self.options.cpus)))
        try:
            os.sched_setaffinity(0, self.options.cpus)
        except OSError as error:
            return f"not on the cores {cores} ({error.strerror}: a cpuset keeps them away?)"
        return f"on the cores {cores}"

    def _tell(self, priority: int, problem: str, cores: str) -> None:
        """Say once a run what it has got, in one line."""
        if self._told:
            return
        self._told = True
        from horus.logs import logger

        wanted = self.options.priority
        fifo = f"SCHED_FIFO {priority}" if priority else f"no SCHED_FIFO ({problem})"
        if 0 < priority < wanted:
            fifo += f" instead of {wanted}, as the limit rtprio has it"
        parts = [fifo, cores]
        if self.options.lock_memory:
            no_lock = self._permits.no_lock or "the kernel refused"
            parts.append("memory locked" if self._locked else f"memory not locked ({no_lock})")
        parts.append(f"{gc.get_freeze_count()} objects kept from the garbage collector")
        parts.append(f"awake {self._spin_ns / 1000:g} µs before a tick")
        if priority and not throttled():
            parts.append(
                "the kernel's throttle is off (sched_rt_runtime_us is -1): "
                "a tick that never ends takes its core for good"
            )
        complete = priority == wanted and "not" not in cores
        complete = complete and (self._locked or not self.options.lock_memory)
        log = logger("scheduler")
        (log.info if complete else log.warning)("real time: %s", "; ".join(filter(None, parts)))


def _restore_class(policy: int, parameters: os.sched_param) -> None:
    try:
        os.sched_setscheduler(0, policy, parameters)
    except OSError:  # without privileges, the flag that keeps children out stays
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, policy | os.SCHED_RESET_ON_FORK, parameters)

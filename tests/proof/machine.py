"""A machine with weak memory, and a search through everything that can happen on it.

Memory is what C11 promises and no more (without its promise of load buffering): a location keeps
every value that was ever written to it; a load may return any of them that is not older than what
its process must know; only release, acquire and fences make one process know what another knew.
So a store may stay unseen, and two stores or two loads may change places, unless that is forbidden.

A process is a generator that yields operations and gets their results. It ends with
``return None``, or with ``return again, its, arguments`` to go on as a fresh process: that forgets
its history, so that the search notices that it has been there before.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

RELAXED, ACQUIRE, RELEASE, FULL = "relaxed", "acquire", "release", "full"

View = tuple[int, ...]  # for each location, the oldest write that may still be read
Body = Generator["Op", Any, "tuple[Any, ...] | None"]
Start = tuple[Any, ...]  # a generator function and its arguments


class Wrong(Exception):
    """What must not happen has happened."""


class Op(NamedTuple):
    """One step of a process: load, store, fence, lock, unlock, post, sleep."""

    what: str
    place: str = ""
    order: str = RELAXED
    value: Any = None


def load(place: str, order: str = RELAXED) -> Op:
    return Op("load", place, order)


def store(place: str, value: Any, order: str = RELAXED) -> Op:
    return Op("store", place, order, value)


def fence(order: str = FULL) -> Op:
    return Op("fence", "", order)


def post(semaphore: str) -> Op:
    return Op("post", semaphore)


def sleep(semaphore: str) -> Op:
    """Go on when the semaphore was posted."""
    return Op("sleep", semaphore)


def lock(name: str) -> Op:
    """Take a lock; the one called "lock" is freed at its holder's death, as flock is."""
    return Op("lock", name)


def unlock(name: str) -> Op:
    return Op("unlock", name)


class Process(NamedTuple):
    """One process in one state."""

    start: Start | None  # None: it has ended
    log: tuple[Any, ...]  # the results since its start
    view: View
    pending: View  # what an acquire fence would make it know
    fenced: View  # what a release fence lets its relaxed stores tell
    dead: bool = False


class State(NamedTuple):
    """Everything at one moment."""

    processes: tuple[Process, ...]
    memory: tuple[tuple[tuple[Any, View | None], ...], ...]  # for each location, its writes
    full: View  # what full fences have told each other
    signals: tuple[tuple[int, View], ...]  # of semaphores: count; of locks: who has it


def _join(a: View, b: View | None) -> View:
    return a if b is None or a == b else tuple(map(max, a, b))


@dataclass
class World:
    """Processes, what memory holds at first, and what must be true when nothing can go on."""

    starts: Sequence[Start]
    memory: dict[str, Any]
    signals: Sequence[str] = ()
    mortal: frozenset[int] = frozenset()  # processes that may be killed at any moment
    tells_death: str = ""  # a semaphore that is posted when a process is killed
    at_end: Callable[[End], None] = lambda end: None
    states: int = 0
    _next: dict[Any, Op | tuple[Any, ...] | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._index = {name: i for i, name in enumerate(self.memory)}
        self._signal = {name: i for i, name in enumerate(self.signals)}

    def search(self) -> int:
        """Go through every state; `Wrong` if one is. Returns how many there are."""
        zero = (0,) * len(self.memory)
        first = State(
            tuple(Process(start, (), zero, zero, zero) for start in self.starts),
            tuple(((value, zero),) for value in self.memory.values()),
            zero,
            tuple((0, zero) for _ in self.signals),
        )
        first = State(tuple(map(self._settle, first.processes)), *first[1:])
        seen, todo = {first}, [first]
        while todo:
            state = todo.pop()
            stuck = True
            for following, by_itself in self._steps(state):
                stuck = stuck and not by_itself
                if following not in seen:
                    seen.add(following)
                    todo.append(following)
            if stuck:
                self.at_end(End(self, state))
        self.states = len(seen)
        return self.states

    def next_of(self, process: Process) -> Op | tuple[Any, ...] | None:
        """Return what a process does next: an operation, or how it goes on, or None: it ends."""
        key = (process.start, process.log)
        if key not in self._next:
            assert process.start is not None
            function, *arguments = process.start
            body: Body = function(*arguments)
            step: Op | tuple[Any, ...] | None
            try:
                step = next(body)
                for result in process.log:
                    step = body.send(result)
            except StopIteration as end:
                step = end.value
            self._next[key] = step
        return self._next[key]

    def _runs(self, process: Process) -> bool:
        return process.start is not None and not process.dead

    def _settle(self, process: Process) -> Process:
        """Let a process that has returned go on as what it said."""
        while process.start is not None and not isinstance(step := self.next_of(process), Op):
            process = process._replace(start=step, log=())
        return process

    def _steps(self, state: State) -> Iterator[tuple[State, bool]]:
        """Yield what may come next, and whether a process does it or is killed."""
        for i, process in enumerate(state.processes):
            if not self._runs(process):
                continue
            if i in self.mortal:
                yield self._killed(state, i), False
            op = self.next_of(process)
            assert isinstance(op, Op)
            for result, changed, memory, full, signals in self._do(state, i, process, op):
                settled = self._settle(changed._replace(log=(*changed.log, result)))
                processes = (*state.processes[:i], settled, *state.processes[i + 1 :])
                yield State(processes, memory, full, signals), True

    def _killed(self, state: State, i: int) -> State:
        process = state.processes[i]
        dead = process._replace(dead=True, log=(), start=None)
        signals = list(state.signals)
        for at, name in enumerate(self.signals):
            held, told = signals[at]
            if name == "lock" and held == i + 1:
                signals[at] = (0, _join(told, process.view))
            elif name == self.tells_death:
                signals[at] = (held + 1, _join(told, process.view))
        processes = (*state.processes[:i], dead, *state.processes[i + 1 :])
        return state._replace(processes=processes, signals=tuple(signals))

    def _do(self, state: State, i: int, process: Process, op: Op) -> Iterator[Any]:
        """Yield every (result, process, memory, full, signals) that an operation may lead to."""
        memory, full, signals = state.memory, state.full, state.signals
        view, pending, fenced = process.view, process.pending, process.fenced
        if op.what == "load":
            at = self._index[op.place]
            for number in range(view[at], len(memory[at])):
                value, told = memory[at][number]
                known = (*view[:at], number, *view[at + 1 :])
                later = _join(pending, told)
                if op.order in (ACQUIRE, FULL):
                    known = _join(known, told)
                yield value, process._replace(view=known, pending=later), memory, full, signals
        elif op.what == "store":
            at = self._index[op.place]
            number = len(memory[at])
            known = (*view[:at], number, *view[at + 1 :])
            own = tuple(number if n == at else 0 for n in range(len(view)))
            told = known if op.order in (RELEASE, FULL) else _join(fenced, own)
            grown = (*memory[at], (op.value, told))
            memory = (*memory[:at], grown, *memory[at + 1 :])
            yield None, process._replace(view=known), memory, full, signals
        elif op.what == "fence":
            if op.order in (ACQUIRE, FULL):
                view = _join(view, pending)
            if op.order == FULL:
                full = view = _join(view, full)
            if op.order in (RELEASE, FULL):
                fenced = view
            yield None, process._replace(view=view, fenced=fenced), memory, full, signals
        else:
            at = self._signal[op.place]
            count, told = signals[at]
            if op.what == "post":
                now = (count + 1, _join(told, view))
            elif op.what == "sleep" and count:
                now, view = (count - 1, told), _join(view, told)
            elif op.what == "lock" and not count:
                now, view = (i + 1, told), _join(view, told)
            elif op.what == "unlock":
                now = (0, view)
            else:
                return  # it has to wait
            signals = (*signals[:at], now, *signals[at + 1 :])
            yield None, process._replace(view=view), memory, full, signals


class End(NamedTuple):
    """A state in which nothing goes on: who waits for what, who was killed, what memory holds."""

    world: World
    state: State

    def waits(self, i: int) -> Op | None:
        """Return what a process waits for, None when it has ended."""
        process = self.state.processes[i]
        step = None if process.start is None else self.world.next_of(process)
        return step if isinstance(step, Op) else None

    def was_killed(self, i: int) -> bool:
        return self.state.processes[i].dead

    def final(self, place: str) -> Any:
        """Return what was written last."""
        return self.state.memory[self.world._index[place]][-1][0]

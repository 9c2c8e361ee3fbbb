"""The options of a node, checked when they are given: every error names the node and the cure."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

from horus.errors import UndeclaredTopicError, did_you_mean
from horus.node.callbacks import Callbacks
from horus.node.pubsub import Sub

__all__ = ["Compute", "FailurePolicy", "Limits", "On", "OnMiss"]

FailurePolicy = Literal["fatal", "restart", "skip", "ignore"]
Compute = Literal["thread", "process"]
OnMiss = Literal["warn", "skip", "safe", "stop"]
On = str | Sub | Iterable[str | Sub] | None

#: Hz, of a node that is given none; told from a 30.0 that was given by being this very object.
DEFAULT_RATE = float("30")
_POLICIES = ("fatal", "restart", "skip", "ignore")
_COMPUTE = ("thread", "process")
_ON_MISS = ("warn", "skip", "safe", "stop")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-/]{0,63}")
_RATES = (1e-6, 1e6)  # Hz: once in 11 days, and more than Python can do


def checked_name(name: object) -> str:
    """Return a node's name, made up if there is none."""
    if name is None:
        return f"node_{os.urandom(4).hex()}"
    if not isinstance(name, str):
        raise TypeError(f"a node's name is a string, not {name!r}")
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"node name {name!r} cannot be used: it must be 1 to 64 letters, digits, '_', '-', '.' "
            f"or '/', the first of them a letter, a digit or '_'"
        )
    return name


def checked_rate(rate: object, what: str) -> float:
    """Return a rate in Hz, or raise the error that says what is wrong with it."""
    if isinstance(rate, (str, bytes, bool)) or not hasattr(rate, "__float__"):
        raise TypeError(f"{what} is {rate!r}; it must be a number of Hz")
    hertz = float(rate)
    if hertz <= 0 or hertz != hertz:
        raise ValueError(f"{what} is {rate!r}; it must be greater than 0 Hz")
    if not _RATES[0] <= hertz <= _RATES[1]:
        raise ValueError(f"{what} is {rate!r}; it must be from {_RATES[0]} to {_RATES[1]} Hz")
    return hertz


def checked_seconds(seconds: object, what: str, below: float = float("inf")) -> float:
    """Return a number of seconds from 0 on, or raise the error that says what is wrong with it."""
    if isinstance(seconds, (str, bytes, bool)) or not hasattr(seconds, "__float__"):
        raise TypeError(f"{what} is {seconds!r}; it must be a number of seconds")
    found = float(seconds)
    if not 0 <= found < below:
        limit = "0 or more" if below == float("inf") else f"from 0 to less than {below:g}"
        raise ValueError(f"{what} is {seconds!r}; it is seconds, {limit}")
    return found


def node_rate(name: str, rate: object, on: tuple[str, ...]) -> float:
    """Return a node's rate in Hz; 0.0 for one that only messages call."""
    if on and rate is DEFAULT_RATE:
        return 0.0
    return checked_rate(rate, f"node {name!r}: rate")


def checked_on(name: str, on: object, subs: dict[str, Sub]) -> tuple[str, ...]:
    """Return the topics whose messages call a node; a `Sub` among them is declared by that."""
    if on is None:
        return ()
    given = [on] if isinstance(on, (str, Sub)) else on
    if not isinstance(given, Iterable) or isinstance(given, (bytes, dict)):
        raise TypeError(
            f"node {name!r}: on is {on!r}; give a topic's name, a Sub, or a list of them"
        )
    topics: list[str] = []
    for item in given:
        if isinstance(item, Sub):
            if subs.setdefault(item.topic, item) != item:
                raise ValueError(
                    f"node {name!r}: topic {item.topic!r} is {item!r} in on and "
                    f"{subs[item.topic]!r} in subs; name it in one of them"
                )
            item = item.topic
        elif not isinstance(item, str):
            raise TypeError(
                f"node {name!r}: on holds {item!r}; each item must be a topic's name or a Sub"
            )
        if item not in subs:
            listed = ", ".join(map(repr, subs)) or "none"
            raise UndeclaredTopicError(
                f"node {name!r}: on={item!r} is not in its subs{did_you_mean(item, subs)}; "
                f"declared subs: {listed}"
            )
        if item not in topics:
            topics.append(item)
    if not topics:
        raise ValueError(f"node {name!r}: on is empty; name the topic whose messages call tick")
    return tuple(topics)


def checked_kind(
    name: str, compute: object, thread: bool, on: tuple[str, ...], calls: Callbacks
) -> Compute | None:
    """Return where a node computes; what makes no sense together is refused."""
    if on and calls.tick is None:
        raise ValueError(
            f"node {name!r}: on={on[0]!r} calls tick, and there is none; give tick=..."
        )
    if thread and calls.is_async:
        raise ValueError(
            f"node {name!r}: thread=True with an async tick: async nodes share an event loop, on a "
            "thread of its own; leave thread away"
        )
    if compute is None:
        return None
    if compute not in _COMPUTE:
        raise ValueError(
            f"node {name!r}: compute {compute!r} is none of "
            f"{', '.join(_COMPUTE)}{did_you_mean(str(compute), _COMPUTE)}"
        )
    if thread:
        raise ValueError(
            f"node {name!r}: thread=True and compute={compute!r} are two kinds of thread; leave "
            "thread away"
        )
    if calls.tick is None:
        raise ValueError(f"node {name!r}: compute={compute!r} without a tick; give tick=...")
    if calls.is_async:
        raise ValueError(
            f"node {name!r}: compute={compute!r} with an async tick; make it a plain function, or "
            "leave compute away and await asyncio.to_thread(...) in it"
        )
    return compute  # type: ignore[return-value]


def checked_policy(name: str, policy: object, restarts: object, delay: object) -> FailurePolicy:
    """Return a failure policy that exists, with a limit and a pause that make sense."""
    if policy not in _POLICIES:
        raise ValueError(
            f"node {name!r}: failure_policy {policy!r} is none of "
            f"{', '.join(_POLICIES)}{did_you_mean(str(policy), _POLICIES)}"
        )
    if not isinstance(restarts, int) or isinstance(restarts, bool):
        raise TypeError(f"node {name!r}: max_restarts is {restarts!r}; it must be a whole number")
    if not isinstance(delay, (int, float)) or isinstance(delay, bool):
        raise TypeError(f"node {name!r}: restart_delay is {delay!r}; it is seconds")
    if restarts < 0 or not 0 <= delay < float("inf"):
        raise ValueError(f"node {name!r}: max_restarts and restart_delay must not be negative")
    return policy  # type: ignore[return-value]


class Limits(NamedTuple):
    """How long a tick may take (ns, 0: no limit), and what happens when it takes longer."""

    budget_ns: int
    deadline_ns: int
    watchdog_ns: int
    on_miss: OnMiss


def checked_limits(
    name: str, budget: object, deadline: object, watchdog: object, on_miss: object
) -> Limits | None:
    """Return a node's limits of time; None if it has none."""
    if on_miss is not None and on_miss not in _ON_MISS:
        raise ValueError(
            f"node {name!r}: on_miss {on_miss!r} is none of "
            f"{', '.join(_ON_MISS)}{did_you_mean(str(on_miss), _ON_MISS)}"
        )
    if on_miss is not None and deadline is None and watchdog is None:
        raise ValueError(
            f"node {name!r}: on_miss={on_miss!r} says what a missed deadline or a tick that hangs "
            "does; give deadline=... or watchdog=... as well (seconds)"
        )
    given = {"budget": budget, "deadline": deadline, "watchdog": watchdog}
    found = {what: 0 if value is None else _ns(name, what, value) for what, value in given.items()}
    if not any(found.values()):
        return None
    chosen: OnMiss = on_miss or "warn"  # type: ignore[assignment]
    return Limits(found["budget"], found["deadline"], found["watchdog"], chosen)


def _ns(name: str, what: str, seconds: object) -> int:
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"node {name!r}: {what} is {seconds!r}; it must be a number of seconds")
    if not 1e-6 <= seconds <= 1e6:
        raise ValueError(f"node {name!r}: {what} is {seconds!r}; it is seconds, 1e-6 to 1e6")
    return round(seconds * 1e9)

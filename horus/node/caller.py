"""The calling side of `horus.node.calls`: ask by name, and wait for the answer or not."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any

from horus.bus import Publisher, Subscriber, rings, session
from horus.clock import now_ns
from horus.errors import HorusError, TopicError, did_you_mean

__all__ = [
    "CallAbsentError",
    "CallError",
    "CallFailedError",
    "CallRefusedError",
    "CallTimeoutError",
    "Caller",
    "Pending",
    "call",
    "describe",
    "servers",
]

#: The method that every server has: what it can do.
HELP = "help"
#: Seconds after which a request without an answer is sent again.
AGAIN = 0.1
#: Seconds for which a caller looks for a server before it says that there is none.
PATIENCE = 1.0
#: Longest time (s) for which an answer is waited for, whatever was asked for.
LONGEST = 1e9
#: Unread requests or replies that are kept.
DEPTH = 256


class CallError(HorusError):
    """A call was not answered as hoped."""


class CallAbsentError(CallError, LookupError):
    """Nobody has the name that was called."""


class CallRefusedError(CallError, ValueError):
    """The server does not do this: an unknown method, a wrong argument, a bad moment."""


class CallFailedError(CallError, RuntimeError):
    """The server tried, and it went wrong."""


class CallTimeoutError(CallError, TimeoutError):
    """The answer did not come in time."""


_ERRORS = {"refused": CallRefusedError, "failed": CallFailedError}


def request_topic(name: str) -> str:
    """Return the topic on which a server is asked."""
    return f"{name}.request"


def reply_topic(name: str) -> str:
    """Return the topic on which a server answers."""
    return f"{name}.reply"


def call(name: str, method: str, /, *args: Any, timeout: float = 5.0, **kwargs: Any) -> Any:
    """Let the server of a name do something, wait for its answer and return it.

    It blocks for up to ``timeout`` seconds, of real time on a `SimClock` as well: a node that must
    not uses `Caller.start`.

    Raises:
        CallAbsentError: nobody has this name, in this session.
        CallRefusedError: the server does not do this; the text says why.
        CallFailedError: it tried, and it went wrong.
        CallTimeoutError: no answer in time.

    """
    with Caller(name) as caller:
        return caller.call(method, *args, timeout=timeout, **kwargs)


def describe(name: str, timeout: float = 5.0) -> dict[str, Any]:
    """Return what a server can do: ``name``, ``doc`` and ``methods`` with their arguments."""
    found: dict[str, Any] = call(name, HELP, timeout=timeout)
    return found


def servers() -> list[str]:
    """Return the names that are answered to in this session, sorted."""
    try:
        folders = [f for f in session.topics_dir().iterdir() if f.name.endswith(".reply")]
    except OSError:
        return []
    return sorted(
        folder.name.replace("~", "/").removesuffix(".reply") for folder in folders if _alive(folder)
    )


def _alive(folder: Path) -> bool:
    """Return whether a living process sends on the topic of a folder."""
    return any(
        rings.closed_at(ring.path) == 0 and rings.ring_owner_alive(ring.path)
        for ring in rings.ring_files(folder)
    )


def lacks_commands(name: str) -> bool:
    """Return whether a name is that of a device that is looked after but answers no calls."""
    folder = session.topics_dir() / f"{name.replace('/', '~')}.status"
    return folder.is_dir() and _alive(folder) and name not in servers()


class Pending:
    """A call that was made and is not answered yet; see `Caller.start`."""

    def __init__(self, caller: Caller, request: dict[str, Any], timeout: float) -> None:
        self._caller = caller
        self._request = request
        self._timeout = timeout
        self._began_ns = now_ns()
        self._waited = 0.0  # real seconds, by who does nothing else
        self._sent_ns = 0
        self._heard = ""
        self._acknowledged = False
        self._answer: dict[str, Any] | None = None
        self._error: CallError | None = None

    @property
    def place(self) -> str:
        """Return what was called, as ``imu.calibrate``."""
        return f"{self._caller.name}.{self._request['method']}"

    def poll(self) -> bool:
        """Look for the answer, ask again if it is time to; return whether the call is over."""
        if self._answer is None and self._error is None:
            self._caller._read()
            now = now_ns()
            if self._answer is None and now - self._sent_ns >= AGAIN * 1e9:
                self._sent_ns = now
                self._caller._requests.send(self._request)
            self._give_up(now)
        return self._answer is not None or self._error is not None

    def result(self) -> Any:
        """Return the answer; a `CallError` says why there is none."""
        if not self.poll():
            raise CallTimeoutError(f"{self.place} is not answered yet")
        if self._error is not None:
            raise self._error
        assert self._answer is not None
        state = str(self._answer.get("state"))
        if state in _ERRORS:
            raise _ERRORS[state](str(self._answer.get("text")))
        return self._answer.get("value")

    def _take(self, reply: dict[str, Any]) -> None:
        self._acknowledged = True
        if reply.get("state") == "waiting":
            self._heard = str(reply.get("text", ""))
        else:
            self._answer = reply

    def _give_up(self, now: int) -> None:
        """Raise no hopes after the deadline, nor when there is nobody to wait for."""
        if self._answer is not None:
            return
        passed = max((now - self._began_ns) / 1e9, self._waited)
        name = self._caller.name
        if not self._acknowledged and passed > min(PATIENCE, self._timeout):
            known = servers()
            if name not in known:
                near = did_you_mean(name, known)
                listed = f"; what can be called: {', '.join(known)}" if known else ""
                text = f"nobody answers to {name!r}{near or listed}: is its process running?"
                if lacks_commands(name):
                    text = f"{name} has no commands{listed}"
                self._error = CallAbsentError(text)
        if self._error is None and passed > self._timeout:
            method = self._request["method"]
            why = "is busy and has not taken it up"
            if self._acknowledged:
                at_it = not self._heard or self._heard == method
                why = "is still at it" if at_it else f"is busy with {self._heard}"
            text = f"{self.place} was not answered within {self._timeout:g} s: {name} {why}"
            self._error = CallTimeoutError(text)


class Caller:
    """One end from which a server is called, for those who call often or cannot wait."""

    _numbers = itertools.count(1)

    def __init__(self, name: str) -> None:
        self.name = name
        self._id = f"{os.getpid()}-{os.urandom(4).hex()}"
        self._pending: dict[str, Pending] = {}
        self._replies = Subscriber(reply_topic(name), depth=DEPTH)
        self._requests = Publisher(request_topic(name))

    def start(self, method: str, /, *args: Any, timeout: float = 5.0, **kwargs: Any) -> Pending:
        """Ask and return at once; look for the answer with `Pending.poll`."""
        return self.ask(method, args, kwargs, timeout)

    def ask(
        self, method: str, args: Sequence[Any], kwargs: Mapping[str, Any], timeout: float = 5.0
    ) -> Pending:
        """As `start`, with the method's arguments apart: one may be called ``timeout`` as well."""
        if not timeout > 0:
            raise CallRefusedError(f"{self.name}.{method}: timeout is {timeout}, not above 0 s")
        timeout = min(timeout, LONGEST)
        id = f"{self._id}-{next(self._numbers)}"
        request = {
            "id": id,
            "method": method,
            "args": list(args),
            "kwargs": dict(kwargs),
            "expires_ns": now_ns() + int(timeout * 1e9),
        }
        pending = self._pending[id] = Pending(self, request, timeout)
        pending.poll()
        return pending

    def call(self, method: str, /, *args: Any, timeout: float = 5.0, **kwargs: Any) -> Any:
        """Ask, wait for the answer and return it; a `CallError` says why there is none."""
        return self.wait(self.start(method, *args, timeout=timeout, **kwargs))

    def wait(self, pending: Pending) -> Any:
        """Wait for the answer to a call and return it; a `CallError` says why there is none."""
        began = monotonic()
        while not pending.poll():
            self._replies.wait(AGAIN / 2)
            pending._waited = monotonic() - began  # simulated time may stand still meanwhile
        return pending.result()

    def _read(self) -> None:
        """Hand the replies that have come to those who wait for them."""
        while self._replies.unread():
            try:
                reply = self._replies.recv()
            except TopicError:
                continue
            pending = self._pending.get(str(reply.get("id"))) if isinstance(reply, dict) else None
            if pending is not None:
                pending._take(reply)

    def close(self) -> None:
        """Leave; nobody waits for what was started any more."""
        self._pending.clear()
        self._replies.close()
        self._requests.close()

    def __enter__(self) -> Caller:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

"""Requests and replies over topics: to call by name what another process can do.

A server answers on ``<name>.reply`` what is asked on ``<name>.request``::

    calls = Calls("imu", {"calibrate": calibrate})     # in one process, in every tick:
    calls.serve()
    answer = call("imu", "calibrate", samples=200)     # in another one

A request is sent again until it is answered, and carried out once however often it comes: it
makes no difference which side was there first. It dies with its deadline, so that nothing
happens long after its caller has gone. Both sides are dicts on ordinary topics:

| request | | reply | |
|---|---|---|---|
| ``id`` | text, of this request alone | ``id`` | that of the request |
| ``method`` | what to do | ``state`` | ``waiting``, ``done``, ``refused`` or ``failed`` |
| ``args``, ``kwargs`` | the arguments | ``value`` | the answer, when done |
| ``expires_ns`` | deadline, monotonic | ``text`` | what was wrong, or what it waits for |
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from horus.bus import Publisher, Subscriber
from horus.clock import now_ns
from horus.errors import HorusError, TopicError, did_you_mean
from horus.node.caller import DEPTH, HELP, reply_topic, request_topic
from horus.node.signature import ArgumentError, Signature

__all__ = ["Calls"]

#: Answers that a server keeps for requests that come again.
KEPT = 256

Handler = Callable[..., Any]


@dataclass
class _Request:
    id: str
    method: str
    arguments: dict[str, Any]
    expires_ns: int


class Calls:
    """The server: carries out requests, one after the other, when `serve` is called.

    Args:
        name: what callers call; letters, digits and ``_ - .``.
        handlers: functions by the name of their method. Annotations (``float``, ``int``, ``bool``,
            ``str``, ``Literal``, tuples of them, ``| None``) are checked before a call,
            ``Annotated[float, "rad/s"]`` tells the unit. A handler may be a generator that yields
            the seconds to wait; what it returns is the answer. `HorusError` and `ValueError` are
            refusals, all else is a failure.
        invoke: how to call a handler: ``invoke(function, arguments)``. With it, handlers may be
            the functions of a class that has no instance yet: their ``self`` is left out.
        doc: a line about the server, for people.
    """

    def __init__(
        self,
        name: str,
        handlers: Mapping[str, Handler],
        *,
        invoke: Callable[[Handler, dict[str, Any]], Any] | None = None,
        doc: str = "",
    ) -> None:
        if HELP in handlers:
            raise ValueError(f"{name}: {HELP} is what every server answers by itself")
        self.name = name
        self.doc = doc
        self._handlers = dict(handlers)
        self._signatures = {
            n: Signature(f, unbound=invoke is not None) for n, f in handlers.items()
        }
        self._invoke = invoke or (lambda function, arguments: function(**arguments))
        self._queue: deque[_Request] = deque()
        self._current: _Request | None = None
        self._steps: Generator[float, None, Any] | None = None
        self._due_ns = 0
        self._open: set[str] = set()  # ids of requests that wait or are under way
        self._answers: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._requests = Subscriber(request_topic(name), depth=DEPTH)
        self._replies = Publisher(reply_topic(name))

    @property
    def busy(self) -> str:
        """Return the method that is under way, or ""."""
        return self._current.method if self._current else ""

    def help(self) -> dict[str, Any]:
        """Return what ``help`` answers: the methods with their arguments, in plain dicts."""
        methods = {name: signature.describe() for name, signature in self._signatures.items()}
        return {"name": self.name, "doc": self.doc, "methods": methods}

    def serve(self) -> int:
        """Do what is due and return at once; return how many requests were answered."""
        answered = 0
        while self._requests.unread():
            try:
                answered += self._take(self._requests.recv())
            except TopicError:
                continue  # no request of ours, and nobody to answer to
        if self._current is not None or self._queue:
            answered += self._work()
        return answered

    def abort(self, text: str) -> None:
        """Answer all that is under way or waits as failed, such as when the device is lost."""
        steps, self._steps = self._steps, None
        current, self._current = self._current, None
        if current is not None:
            self._queue.appendleft(current)
        while self._queue:
            request = self._queue.popleft()
            self._answer(request.id, "failed", text=f"{self.name}.{request.method}: {text}")
        if steps is not None:
            steps.close()

    def close(self) -> None:
        """End: what is under way is answered as failed."""
        try:
            self.abort("its process ends")
        finally:
            self._requests.close()
            self._replies.close()

    def __enter__(self) -> Calls:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # requests ---------------------------------------------------------------------------------

    def _take(self, message: Any) -> int:
        """Take up one request; return 1 if it is answered by that."""
        if not isinstance(message, dict) or not isinstance(message.get("id"), str):
            return 0  # whom should the answer go to?
        id, method = message["id"], str(message.get("method"))
        if id in self._answers:
            self._reply(self._answers[id])  # the first one was lost, or crossed this repetition
            return 0
        if id in self._open:
            self._reply({"id": id, "state": "waiting", "text": self.busy})
            return 0
        expires_ns = message.get("expires_ns")
        if not isinstance(expires_ns, int) or expires_ns < now_ns():
            return 0  # its caller has given up
        if method == HELP:
            return self._answer(id, "done", value=self.help())
        signature = self._signatures.get(method)
        if signature is None:
            known = [*self._handlers, HELP]
            near = did_you_mean(method, known) or f"; it has {', '.join(known)}"
            return self._answer(id, "refused", text=f"{self.name} has no method {method!r}{near}")
        try:
            arguments = signature.bind(message.get("args") or [], message.get("kwargs") or {})
        except ArgumentError as error:
            return self._answer(id, "refused", text=f"{self.name}.{method}: {error}")
        self._open.add(id)
        self._queue.append(_Request(id, method, arguments, expires_ns))
        if self._current is not None:
            self._reply({"id": id, "state": "waiting", "text": self.busy})
        return 0

    def _work(self) -> int:
        """Go on with what is under way, then begin what waits."""
        answered = 0
        if self._current is not None:
            if self._due_ns > now_ns():
                return 0
            answered += self._guarded(self._go_on)
        while self._queue and self._current is None:
            self._current = request = self._queue.popleft()
            if request.expires_ns < now_ns():
                text = f"{self.name}.{request.method}: its turn came too late"
                answered += self._finish("failed", text=text)
            else:
                answered += self._guarded(self._begin)
        return answered

    def _begin(self) -> int:
        assert self._current is not None
        handler = self._handlers[self._current.method]
        result = self._invoke(handler, self._current.arguments)
        if not isinstance(result, Generator):
            return self._finish("done", value=result)
        self._steps = result
        self._reply({"id": self._current.id, "state": "waiting", "text": self._current.method})
        return self._go_on()

    def _go_on(self) -> int:
        assert self._steps is not None
        try:
            seconds = float(next(self._steps))
        except StopIteration as end:
            return self._finish("done", value=end.value)
        self._due_ns = now_ns() + int(max(seconds, 0.0) * 1e9)
        return 0

    def _guarded(self, step: Callable[[], int]) -> int:
        """Do a step of a handler; what it raises is the answer."""
        assert self._current is not None
        place = f"{self.name}.{self._current.method}"
        try:
            return step()
        except (HorusError, ValueError) as error:
            text = str(error)
            named = text.startswith(self.name)
            return self._finish("refused", text=text if named else f"{place}: {text}")
        except Exception as error:
            return self._finish("failed", text=f"{place}: {type(error).__name__}: {error}")

    # answers ----------------------------------------------------------------------------------

    def _finish(self, state: str, **more: Any) -> int:
        assert self._current is not None
        request, self._current, self._steps = self._current, None, None
        return self._answer(request.id, state, **more)

    def _answer(self, id: str, state: str, **more: Any) -> int:
        answer = {"id": id, "state": state, **more}
        try:
            self._replies.send(answer)
        except (TopicError, ValueError, OverflowError) as error:
            text = f"{self.name}: its answer cannot be sent: {error}"
            answer = {"id": id, "state": "failed", "text": text}
            self._reply(answer)
        self._open.discard(id)
        self._answers[id] = answer
        while len(self._answers) > KEPT:
            self._answers.popitem(last=False)
        return 1

    def _reply(self, answer: dict[str, Any]) -> None:
        try:
            self._replies.send(answer)
        except TopicError:
            pass  # full or broken shared memory: the caller's own deadline tells

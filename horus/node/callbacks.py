"""A node's functions, checked when given.

With an ``async def tick`` they run on an event loop that all such nodes of a run share (see
`horus.scheduler.coroutines`). Without, those that are ``async def`` run to their end at each call.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

__all__ = ["Callbacks"]

_CO_VARARGS = 0x04
_CO_COROUTINE = 0x80
_CALLS = {
    "tick": "the node: def tick(node)",
    "init": "the node: def init(node)",
    "shutdown": "the node: def shutdown(node)",
    "on_error": "the node and the exception: def on_error(node, error)",
}


class Callbacks:
    """The four functions of a node, ready to be called; None stays None."""

    __slots__ = ("_loop", "init", "is_async", "on_error", "shutdown", "tick")

    def __init__(self, node: str, tick: Any, init: Any, shutdown: Any, on_error: Any) -> None:
        self._loop: AbstractEventLoop | None = None
        #: Whether tick is ``async def``.
        self.is_async = tick is not None and _is_async(tick)
        self.tick: Callable[[Any], object] | None = self._ready(node, "tick", tick, 1)
        self.init: Callable[[Any], object] | None = self._ready(node, "init", init, 1)
        self.shutdown: Callable[[Any], object] | None = self._ready(node, "shutdown", shutdown, 1)
        self.on_error: Callable[[Any, Exception], object] | None = self._ready(
            node, "on_error", on_error, 2
        )

    def _ready(self, node: str, option: str, function: Any, count: int) -> Any:
        if function is None:
            return None
        if not callable(function):
            raise TypeError(
                f"node {node!r}: {option} is {function!r}, which is not callable; "
                f"give a function that takes {_CALLS[option]}"
            )
        if not _takes(function, count):
            raise TypeError(
                f"node {node!r}: {option} function {_name(function)} must take {_CALLS[option]}"
            )
        if self.is_async or not _is_async(function):  # with an async tick all run on its event loop
            return function

        def run(*arguments: Any) -> object:
            return self._run(function(*arguments))

        return run

    def _run(self, coroutine: Coroutine[Any, Any, object]) -> object:
        """Run a coroutine to its end on the node's own event loop."""
        import asyncio

        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.new_event_loop()
        task = loop.create_task(coroutine)
        try:
            return loop.run_until_complete(task)
        except BaseException:
            if not task.done():  # interrupted from outside: let its `finally` clauses run
                _cancel(loop, {task})
            raise

    def close(self) -> None:
        """End what `async def` functions left running and close their event loop."""
        loop, self._loop = self._loop, None
        if loop is not None:
            import asyncio

            try:
                _cancel(loop, asyncio.all_tasks(loop))
                loop.run_until_complete(loop.shutdown_asyncgens())
            finally:
                loop.close()


def _cancel(loop: AbstractEventLoop, tasks: set[Any]) -> None:
    import asyncio

    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))


def _name(function: object) -> str:
    return repr(getattr(function, "__qualname__", function))


def _unwrapped(function: Any) -> Any:
    """Return the function behind partials and callable objects."""
    while hasattr(function, "func") and hasattr(function, "keywords"):  # functools.partial
        function = function.func
    if not hasattr(function, "__code__") and not hasattr(function, "__func__"):
        function = getattr(type(function), "__call__", function)  # noqa: B004
    return getattr(function, "__func__", function)


def _is_async(function: Any) -> bool:
    code = getattr(_unwrapped(function), "__code__", None)
    return code is not None and bool(code.co_flags & _CO_COROUTINE)


def _takes(function: Any, count: int) -> bool:
    """Return whether a plain function or method can be called with so many arguments.

    Read from the code object: the inspect module would cost more than all of ``import horus``.
    Whatever is not a plain function or a bound method is trusted.
    """
    plain = getattr(function, "__func__", function)
    code = getattr(plain, "__code__", None)
    if code is None or hasattr(plain, "__wrapped__"):
        return True
    if plain is not function and getattr(function, "__self__", None) is not None:
        count += 1  # self
    least = code.co_argcount - len(plain.__defaults__ or ())
    return least <= count and (count <= code.co_argcount or bool(code.co_flags & _CO_VARARGS))

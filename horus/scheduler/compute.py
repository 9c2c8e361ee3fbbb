"""Where heavy functions run: ``compute="thread"`` and ``compute="process"``.

Both kinds of node tick on threads of their own, as many at once as `Slots` allows. What
``node.compute`` is given runs there, or in a process of the node's own: that process knows the
program's own code, which pickle names, and hears nobody but its parent.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from horus.errors import ComputeError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

__all__ = ["Child", "importing_main"]

#: How long a stop waits for a process to end by itself.
END_TIME = 0.5  # s


class RemoteTraceback(Exception):
    """Where in the other process an exception was raised."""

    def __str__(self) -> str:
        return f"in the process that computes:\n{self.args[0]}"


class Child:
    """A process that runs one function after the other for one node; a dead one is replaced."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._lock = threading.Lock()  # for one call at a time
        self._process: Any = None
        self._end: Connection[Any, Any] | None = None
        self._closed = False

    def start(self) -> None:
        """Start the process; it gets ready while others do."""
        import multiprocessing

        context = multiprocessing.get_context("spawn")  # a fork would inherit buses and locks
        ours, theirs = context.Pipe()
        self._process = context.Process(
            target=serve, args=(theirs,), name=f"horus-{self._node}", daemon=True
        )
        self._process.start()
        theirs.close()  # so that its death is the end of what we read
        self._end = ours

    def wait_until_ready(self) -> None:
        """Wait until the process answers: its start is no tick that takes too long."""
        self.call(bool, (), {})

    def call(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Run a function there, wait for its result and return it; what it raises is raised."""
        name = getattr(function, "__qualname__", repr(function))
        with self._lock:
            if self._end is None and not self._closed:
                self.start()
            end = self._end
            if end is None:
                raise ComputeError(f"node {self._node!r}: {name} is not run: the run has ended")
            try:
                end.send((function, args, kwargs))
            except OSError:
                raise self._died(name) from None
            except Exception as error:
                raise ComputeError(
                    f"node {self._node!r}: {name} cannot be sent to another process ({error}): "
                    "give a function of a module's top level, and data that pickle takes"
                ) from None
            try:
                well, answer, trace = end.recv()
            except (EOFError, OSError):
                raise self._died(name) from None
            except Exception as error:
                raise ComputeError(
                    f"node {self._node!r}: what {name} returned cannot be read here ({error})"
                ) from None
        if not well:
            answer.__cause__ = RemoteTraceback(trace) if trace else None
            raise answer
        return answer

    def _died(self, name: str) -> ComputeError:
        """Bury the process and say of what it died."""
        process, self._process = self._process, None
        if self._end is not None:
            self._end.close()
            self._end = None
        process.join(END_TIME)
        code = process.exitcode
        how = f"ended with {code}"
        if code is not None and code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
        return ComputeError(
            f"node {self._node!r}: the process that computed {name} {how}"
            + ("" if self._closed else "; the next call gets a new one")
        )

    def close(self) -> None:
        """End the process: at once if it computes, since nobody waits for it any more."""
        self._closed = True
        process, end = self._process, self._end
        if process is None or end is None:
            return
        if self._lock.acquire(blocking=False):
            self._end = None
            end.close()  # idle: it sees the end and leaves
            self._lock.release()
            process.join(END_TIME)
        if process.is_alive():
            process.kill()
            process.join(END_TIME)


def serve(end: Connection[Any, Any]) -> None:
    """Run what comes, one after the other, until the parent has gone; in the child."""
    import multiprocessing
    import pickle
    import traceback

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the parent
    parent = multiprocessing.parent_process()
    assert parent is not None

    def leave_with_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=leave_with_parent, daemon=True).start()
    while True:
        answer: tuple[bool, Any, str]
        try:
            function, args, kwargs = end.recv()
        except (EOFError, OSError):
            return
        except Exception as error:
            text = f"the function cannot be found in the process that computes: {error}"
            answer = (False, ComputeError(text), "")
        else:
            try:
                answer = (True, function(*args, **kwargs), "")
            except Exception as error:
                trace = traceback.format_exc()
                try:
                    pickle.loads(pickle.dumps(error))
                    answer = (False, error, trace)
                except Exception:
                    answer = (False, ComputeError(f"{type(error).__name__}: {error}"), trace)
        try:
            end.send(answer)
        except OSError:
            return
        except Exception as error:
            text = f"the result cannot be sent back ({error}): return data that pickle takes"
            end.send((False, ComputeError(text), ""))


def importing_main() -> bool:
    """Return whether a new process is importing the program's file only to know its functions.

    What the file runs at its top level is not meant then.
    """
    module = sys.modules.get("multiprocessing.process")
    return module is not None and getattr(module.current_process(), "_inheriting", False)

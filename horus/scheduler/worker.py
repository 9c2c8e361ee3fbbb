"""A thread of its own for a node that blocks; init, ticks and shutdown all run on it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

__all__ = ["Job", "Worker"]

#: How long a signal may go unseen by a thread that waits for another.
SLICE = 0.05  # s


class Job:
    """A call handed to another thread."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call
        self.done = threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        """Make the call and keep what it raises."""
        try:
            self._call()
        except BaseException as error:
            self.error = error
        finally:
            self.done.set()

    def result(self) -> None:
        """Wait for the end of the call and raise what it raised."""
        # In slices: a signal that comes just before a wait begins is seen after it.
        while not self.done.wait(SLICE):
            continue
        if self.error is not None:
            raise self.error


class Worker:
    """Runs calls one after the other on its thread, which does not keep the process alive."""

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        for job in iter(self._jobs.get, None):
            job.run()

    def submit(self, call: Callable[[], object]) -> Job:
        """Queue a call."""
        job = Job(call)
        self._jobs.put(job)
        return job

    def close(self) -> None:
        """End the thread after what is queued."""
        self._jobs.put(None)

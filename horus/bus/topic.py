"""`Topic`: both ends of a topic in one object, and the clocks of its stamps."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, TypeVar, overload

from horus.bus import remap
from horus.bus.publisher import Publisher
from horus.bus.subscriber import Subscriber
from horus.clock import now_ns as monotonic_ns
from horus.clock import wall_time

if TYPE_CHECKING:
    from types import TracebackType

    from numpy.typing import DTypeLike

    from horus.bus.lending import MessageLoan
    from horus.bus.loans import Loan
    from horus.bus.publisher import Shape


M = TypeVar("M")

__all__ = ["Publisher", "Subscriber", "Topic", "monotonic_ns", "wall_time"]


class Topic:
    """A named topic in shared memory: send to it and receive from it, here and in other processes.

    Args:
        name: letters, digits, ``_ - .``, in parts separated by ``/``.
        type: a class declared with `horus.message`, or None for dicts, lists, numbers, text, bytes
            and numpy arrays.
        depth: how many unread messages are kept; of more, the oldest are dropped and counted.
        latch: start with the last message that was sent before this topic was opened.

    A topic receives what it sends itself. Reading starts with what is sent after opening.

    Example:
        >>> with Topic("greeting") as topic:
        ...     topic.send({"hello": "robot"})
        ...     topic.recv()
        True
        {'hello': 'robot'}
    """

    def __init__(
        self, name: str, type: type | None = None, *, depth: int = 16, latch: bool = False
    ) -> None:
        if names := remap.current():
            name = names.get(name, name)
        self._subscriber = Subscriber(name, type, depth=depth, latch=latch)
        self._publisher: Publisher | None = None
        # One publisher, whichever thread sends first.
        self._opening, self._process = threading.RLock(), os.getpid()
        self.name = self._subscriber.name
        self.type = type
        # Bound to the core itself, so that a call costs no detour. The methods below document them.
        for method in ("recv", "recv_all", "latest"):
            self.__dict__[method] = getattr(self._subscriber, method)

    def send(self, message: object, stamp_ns: int | None = None) -> bool:
        """Put a message on the topic; True once it is there.

        ``stamp_ns`` is the moment of sampling on the monotonic clock; without it, now.

        Raises:
            MessageTypeError: the object, or a field of it, cannot be sent; says which and what can.
            MessageTooLargeError: it has more than 256 MiB.
            SharedMemoryError: shared memory is full or read-only.
        """
        return self._publishing().send(message, stamp_ns)

    @overload
    def loan(
        self, /, shape: Shape, dtype: DTypeLike = ..., *, stamp_ns: int | None = ...
    ) -> Loan: ...
    @overload
    def loan(
        self,
        cls: type[M],
        shape: Shape,
        dtype: DTypeLike = ...,
        /,
        *,
        stamp_ns: int | None = ...,
        **fields: Any,
    ) -> MessageLoan[M]: ...
    def loan(self, /, *args: Any, **more: Any) -> Any:
        """Return a place in shared memory for an array; the end of ``with`` sends it.

        Nothing is copied: readers look at the same memory, and it is not used again while they
        do. It holds what was there before: write all of it. An exception sends nothing.

        Example:
            >>> with Topic("image") as topic:
            ...     with topic.loan((480, 640), "uint8") as pixels:
            ...         pixels[:] = 255
            ...     int(topic.recv().max())
            255

        A message class that has an array is lent with it, and with the other fields given:
        ``with topic.loan(Image, (480, 640, 3), encoding="rgb8") as image: image.data[:] = 0``.

        """
        publisher = self._publishing()
        lent = publisher.loan(*args, **more)
        if quick := publisher.__dict__.get("loan"):  # bound to the core itself, as `send` is
            self.__dict__["loan"] = quick
        return lent

    def _publishing(self) -> Publisher:
        if self._process != os.getpid():  # a thread of the parent may hold the lock
            self._opening, self._process = threading.RLock(), os.getpid()
        with self._opening:
            if self._publisher is None:
                if self._subscriber._closed:
                    self._subscriber._dead()
                # In the folder of its reader, even if the session was changed meanwhile.
                self._publisher = Publisher(self.name, self.type, _topics=self._subscriber._topics)
                self.__dict__["send"] = self._publisher.send
        return self._publisher

    def recv(self) -> Any:
        """Return the next unread message, in order for each publisher, or None."""
        return self._subscriber.recv()

    def recv_all(self) -> list[Any]:
        """Return every unread message, in order."""
        return self._subscriber.recv_all()

    def latest(self) -> Any:
        """Return the newest unread message and skip the older ones, or None."""
        return self._subscriber.latest()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until something is unread; False when ``timeout`` seconds went by.

        Real ones: on a `SimClock` time stands still meanwhile, so look at each tick there.
        """
        return self._subscriber.wait(timeout)

    @property
    def dropped(self) -> int:
        """Return how many messages were lost because they were not read in time."""
        return self._subscriber.dropped

    def close(self) -> None:
        """Leave the topic; its files go when nobody uses them."""
        self._subscriber.close()
        if self._publisher is not None:
            self._publisher.close()
        for method in ("send", "loan", "recv", "recv_all", "latest"):
            self.__dict__[method] = self._subscriber._dead

    def __enter__(self) -> Topic:
        """Return the topic itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        kind = f", {self.type.__name__}" if self.type else ""
        return f"Topic({self.name!r}{kind}{', closed' if self._subscriber._closed else ''})"

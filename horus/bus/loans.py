"""The frames of one publisher: pools are added as they are needed, slots claimed, filled, sent."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from operator import index
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from horus.bus import codec, core, frames, session
from horus.bus import layout as L
from horus.errors import MessageTooLargeError, MessageTypeError, SharedMemoryError, TopicError

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

    from horus.bus.control import Control

__all__ = ["Frames", "Loan", "Reference"]


class Reference:
    """A frame that is ready to be sent: what the publisher puts into its ring."""

    __slots__ = ("hash", "payload")

    def __init__(self, payload: bytes, hash: int = 0) -> None:
        self.payload = payload
        self.hash = hash


def _sizes(shape: int | Sequence[int]) -> tuple[int, ...]:
    """Return a shape as a tuple; of one dimension it may be a number of any kind."""
    try:
        return (index(shape),)  # type: ignore[arg-type]
    except TypeError:
        return tuple(map(index, shape))  # type: ignore[arg-type]


class Frames:
    """The pools of one publisher.

    Args:
        topic: its name, for errors.
        folder: the topic's folder.
        publisher: its id.
        control: the topic's control file.
        lost: told once when frames are lost because readers hold all slots.

    """

    def __init__(
        self,
        topic: str,
        folder: Path,
        publisher: int,
        control: Control,
        lost: Callable[[str], object],
    ) -> None:
        self._topic = topic
        self._folder = folder
        self._publisher = publisher
        self._control = control
        self._lost = lost
        #: What they are made of; the core may take from them for itself.
        self.slots = core.Slots(control.memory, publisher)
        self._capacity = 0  # of the newest pool
        self._growing = threading.RLock()
        #: The thread that makes a pool just now, or 0.
        self._adding = 0
        self._left = False
        #: Frames that could not be sent because readers hold every slot.
        self.dropped = 0

    # what is asked for ------------------------------------------------------------------------

    def form(
        self, shape: int | Sequence[int], dtype: DTypeLike
    ) -> tuple[tuple[int, ...], Any, bytes]:
        """Return the shape and the dtype of what is to be lent, and how an array's head has them.

        A `MessageTypeError` if it cannot be.
        """
        import numpy

        try:
            kind = codec.plain_dtype(numpy.dtype(dtype))
            sizes = _sizes(shape)
            if min(sizes, default=0) < 0:
                raise ValueError(f"shape {sizes} has a negative size")
            if len(sizes) > codec.MOST_DIMENSIONS or max(sizes, default=0) > 2**48:
                raise ValueError("a shape has at most 32 sizes, none of them beyond 2**48")
        except (TypeError, ValueError, OverflowError, MessageTypeError) as error:
            raise MessageTypeError(
                f"topic {self._topic!r}: loan({shape!r}, {dtype!r}): {error}"
            ) from None
        return sizes, kind, codec.array_head(sizes, kind)

    def refuse_again(self) -> NoReturn:
        """Say that a loan was entered for the second time."""
        raise TopicError(f"topic {self._topic!r}: a loan is used once: ask for another")

    def refuse_left(self) -> NoReturn:
        """Say that what was lent cannot be sent any more."""
        raise TopicError(
            f"topic {self._topic!r} was closed while a loan was open, or the loan is of the parent "
            "of this process: ask for another"
        )

    def leave(self) -> None:
        """Write into no slot any more: the topic was closed, or they are the parent's."""
        self._left = True
        self.slots.leave()

    # slots ------------------------------------------------------------------------------------

    def claim(self, size: int) -> int:
        """Return the number of a slot for so many bytes that is ours; -1 when readers hold all."""
        if self._left:
            self.refuse_left()
        if self._adding_here() or self.slots.busy():
            return -1  # a signal handler sends while its thread is in the middle of that
        if size > L.MAX_MESSAGE:
            raise MessageTooLargeError(
                f"topic {self._topic!r}: a frame of {size} bytes is too large, at most "
                f"{L.MAX_MESSAGE} are taken: send it in pieces"
            )
        size = max(size, 1)  # an empty array has a place too
        if self._capacity < size:
            with self._growing:
                if self._capacity < size:
                    self._new_pool(size)
        number = self.slots.claim(size)
        if number < 0 and self._grow(size):
            number = self.slots.claim(size)
        if number < 0:
            number = self.slots.claim(size, True)
        if number < 0 and self._let_go_of_the_dead():
            number = self.slots.claim(size, True)
        return number

    def _adding_here(self) -> bool:
        return self._adding == threading.get_ident()

    def _pools(self) -> list[frames.PoolState]:
        return [frames.PoolState(*pool) for pool in self.slots.pools()]

    def _grow(self, size: int) -> bool:
        """Add a pool within the budget; never wait for the lock."""
        with self._growing:
            pools = self._pools()
            if sum(pool.slots * pool.capacity for pool in pools) + size > L.FRAME_BUDGET:
                return False
            try:
                self._new_pool(size, patience=0.0)
            except SharedMemoryError:
                return False  # busy or full: older frames give way
            return True

    def _new_pool(self, size: int, patience: float = session.GROW_TIMEOUT) -> None:
        self._adding = threading.get_ident()
        try:
            self._add_pool(size, patience)
        finally:
            self._adding = 0

    def _add_pool(self, size: int, patience: float) -> None:
        pools = self._pools()
        capacity = max(size, max((pool.capacity for pool in pools), default=0))
        capacity = -(-capacity // L.FRAMES_ALIGN) * L.FRAMES_ALIGN
        have = sum(pool.slots for pool in pools if pool.capacity >= size)
        room = max((L.FRAME_BUDGET - have * capacity) // capacity, 0)
        slots = min(max(have, L.MIN_FRAMES), max(room, 1 if have else L.MIN_FRAMES), L.MAX_FRAMES)
        part = pools[-1].part + 1 if pools else 0
        with session.structure_lock(self._folder.parent, patience):
            if not (self._folder / "control").exists():
                raise SharedMemoryError(
                    f"the files of topic {self._topic!r} in {self._folder} were removed while it "
                    "was open (`horus clean --force`?): start its publisher anew"
                )
            for pool in pools:  # too small for what is sent now, and holding nothing unread
                if pool.capacity < size and not pool.needed:
                    self.slots.remove(pool.part)
                    path = frames.pool_path(self._folder, self._publisher, pool.part)
                    path.unlink(missing_ok=True)
            memory = frames.create_pool(self._folder, self._publisher, part, slots, capacity)
        self.slots.add(memory, part, slots, capacity, frames.first_frame(slots))
        self._capacity = capacity

    def _let_go_of_the_dead(self) -> bool:
        """Clear the pins of readers that have died; False when that cannot be told now."""
        try:
            # With the lock held no entry gets a new owner: what is cleared is nobody's.
            with session.structure_lock(self._folder.parent, 0.0):
                dead = bytearray(b"\1" * L.MAX_READERS)
                for index, pid, _, start in self._control.entries():
                    dead[index] = not session.is_alive(pid, start)
                self.slots.clear(bytes(dead))
        except SharedMemoryError:
            return False
        return True

    # frames -----------------------------------------------------------------------------------

    def put(self, head: bytes, array: NDArray[Any], hash: int = 0, rest: bytes = b"") -> Any:
        """Copy an array into a slot and return what is to be sent of it; None if there is none."""
        import numpy

        slot = self.claim(array.nbytes)
        if slot < 0:
            self._drop()
            return None
        try:
            numpy.copyto(self.place(slot, array.shape, array.dtype), array, casting="no")
        except BaseException:  # Ctrl-C in the middle of a large one, too
            self.give_back(slot)
            raise
        return Reference(self.slots.finish(slot, head, array.nbytes, rest), hash)

    def place(self, slot: int, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Return the array that lies in a slot."""
        import numpy

        memory, at = self.slots.place(slot)
        array: NDArray[Any] = numpy.ndarray(shape, dtype, memory, at)
        return array

    def finish(self, slot: int, head: bytes, size: int) -> Reference:
        """Publish a slot that was filled and return what is to be sent of it."""
        if self._left:
            self.refuse_left()
        return Reference(self.slots.finish(slot, head, size))

    def give_back(self, slot: int) -> None:
        """Take back a slot that was claimed and not published; never waits."""
        self.slots.give_back(slot)

    def _drop(self) -> None:
        self.dropped += 1
        if self.dropped == 1 and (self._adding_here() or self.slots.busy()):
            self._lost(
                f"topic {self._topic!r}: a signal handler or a finalizer sent an array while its "
                "thread was sending one, so this one is lost: set a flag there, and send in the "
                "program's course. Said once; publisher.frames_dropped counts"
            )
        elif self.dropped == 1:
            pools = self._pools()
            self._lost(
                f"topic {self._topic!r}: readers hold all {sum(p.slots for p in pools)} "
                "frames, so this one is lost: they keep arrays that they received; "
                "let them go (del), or keep a .copy(). Said once; publisher.frames_dropped counts"
            )


class Loan:
    """A place in shared memory to write an array into; the end of ``with`` sends it.

    An exception within ``with`` sends nothing. After it the array cannot be written any more, and
    its memory is used again for later frames: keep a ``.copy()`` of what is needed longer. Slices
    of it that were made before stay writable, which numpy cannot change: let them go too.
    """

    _slot = -1

    def __init__(
        self,
        frames: Frames,
        send: Callable[[Reference, int | None], bool],
        shape: int | Sequence[int],
        dtype: DTypeLike,
        stamp_ns: int | None,
    ) -> None:
        self._shape, self._dtype, self._head = frames.form(shape, dtype)
        self._frames = frames
        self._send = send
        self._stamp = stamp_ns
        self._array: NDArray[Any] | None = None
        #: Whether it was sent; known after ``with``.
        self.sent = False

    @property
    def _size(self) -> int:
        return math.prod(self._shape) * int(self._dtype.itemsize)

    def __enter__(self) -> NDArray[Any]:
        """Return the array to be written."""
        import numpy

        if self._array is not None:
            self._frames.refuse_again()
        slot = self._frames.claim(self._size)
        try:
            if slot < 0:  # readers hold all: what is written here goes nowhere
                self._array = numpy.empty(self._shape, self._dtype)
            else:
                self._array = self._frames.place(slot, self._shape, self._dtype)
        except BaseException:
            if slot >= 0:
                self._frames.give_back(slot)
            raise
        self._slot = slot
        return self._array

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        slot, array = self._slot, self._array
        assert array is not None
        array.flags.writeable = False
        if slot < 0:
            if kind is None:
                self._frames._drop()
            return
        reference = None
        try:
            if kind is None:
                reference = self._frames.finish(slot, self._head, array.nbytes)
        finally:
            self._slot = -1
            if reference is None:
                self._frames.give_back(slot)
        if reference is not None:
            self.sent = self._send(reference, self._stamp)

    def __del__(self) -> None:
        if self._slot >= 0:  # entered and never left, as by a generator that was dropped
            assert self._array is not None
            self._array.flags.writeable = False
            self._frames.give_back(self._slot)

"""The frames of one publisher: slots that are claimed, filled and published, in its pools.

A slot is claimed when nobody has pinned it: its word becomes odd, then the pins are looked at once
more. A reader does it the other way round, so one of the two sees the other. Nothing here waits.
"""

from __future__ import annotations

import math
import mmap
import threading
from collections import deque
from collections.abc import Callable, Sequence
from operator import index
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from horus.bus import codec, core, frames, session
from horus.bus import layout as L
from horus.bus.frames import FrameRef
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


class _Slot:
    """One place for a frame."""

    __slots__ = ("index", "pins", "place", "pool")

    def __init__(self, pool: _Pool, index: int) -> None:
        self.pool = pool
        self.index = index
        block = L.FRAMES_BLOCKS + index * L.FRAMES_BLOCK
        self.place = block // 8
        self.pins = slice(block + L.BLOCK_PINS, block + L.BLOCK_PINS + L.MAX_READERS)


class _Pool:
    """One pool of this publisher, mapped."""

    def __init__(self, memory: mmap.mmap, part: int, slots: int, capacity: int) -> None:
        self.memory = memory
        self.words = memoryview(memory).cast("Q")
        self.part = part
        self.capacity = capacity
        self.first = frames.first_frame(slots)
        self.slots = [_Slot(self, index) for index in range(slots)]
        self.claimed = 0  # slots that are being written


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
        self._pools: list[_Pool] = []
        self._free: list[_Slot] = []
        self._sent: deque[_Slot] = deque()  # the oldest first
        # Claimed and not sent. The collector may put them here at any moment: without the lock.
        self._returned: deque[_Slot] = deque()
        self._serial = 0
        self._lock = threading.Lock()
        #: Frames that could not be sent because readers hold every slot.
        self.dropped = 0

    # slots ------------------------------------------------------------------------------------

    def claim(self, size: int) -> _Slot | None:
        """Return a slot for so many bytes that is ours to write; None when readers hold all."""
        if size > L.MAX_MESSAGE:
            raise MessageTooLargeError(
                f"topic {self._topic!r}: a frame of {size} bytes is too large, at most "
                f"{L.MAX_MESSAGE} are taken: send it in pieces"
            )
        size = max(size, 1)  # an empty array has a place too
        with self._lock:
            while self._returned:
                back = self._returned.popleft()
                back.pool.claimed -= 1
                self._free.append(back)
            if not self._pools or self._pools[-1].capacity < size:
                self._new_pool(size)
            depth = max(self._control.half(L.CONTROL_DEPTH), 1)
            slot = self._take(self._free, size) or self._take_sent(size, depth)
            if slot is None and self._grow(size):
                slot = self._take(self._free, size)
            slot = slot or self._take_sent(size, 0)
            if slot is None and self._let_go_of_the_dead():
                slot = self._take_sent(size, 0)
            if slot is not None:
                slot.pool.claimed += 1
            return slot

    def _take(self, slots: list[_Slot], size: int) -> _Slot | None:
        for place in range(len(slots) - 1, -1, -1):
            if slots[place].pool.capacity >= size and self._claimed(slots[place]):
                return slots.pop(place)
        return None

    def _take_sent(self, size: int, keep: int) -> _Slot | None:
        """Take the oldest frame that nobody looks at, but none of the newest ``keep``."""
        for place in range(len(self._sent) - keep):
            slot = self._sent[place]
            if slot.pool.capacity >= size and self._claimed(slot):
                del self._sent[place]
                return slot
        return None

    def _claimed(self, slot: _Slot) -> bool:
        """Make a slot ours, unless a reader has pinned it."""
        memory, words = slot.pool.memory, slot.pool.words
        if memory[slot.pins] != frames.NO_PINS:
            return False
        before = words[slot.place]
        words[slot.place] = 2 * self._serial + 1
        core.fence()
        if memory[slot.pins] != frames.NO_PINS:  # it came between the two lines above
            words[slot.place] = before
            return False
        core.fence()  # nothing is written before the pins were seen to be gone
        return True

    def _grow(self, size: int) -> bool:
        """Add a pool within the budget; never wait for the lock."""
        have = sum(len(pool.slots) * pool.capacity for pool in self._pools)
        if have + size > L.FRAME_BUDGET:
            return False
        try:
            self._new_pool(size, patience=0.0)
        except SharedMemoryError:
            return False  # busy or full: older frames give way
        return True

    def _new_pool(self, size: int, patience: float = session.LOCK_TIMEOUT) -> None:
        capacity = max(size, max((pool.capacity for pool in self._pools), default=0))
        capacity = -(-capacity // L.FRAMES_ALIGN) * L.FRAMES_ALIGN
        have = sum(len(pool.slots) for pool in self._pools if pool.capacity >= size)
        room = max((L.FRAME_BUDGET - have * capacity) // capacity, 0)
        slots = min(max(have, L.MIN_FRAMES), max(room, 1 if have else L.MIN_FRAMES), L.MAX_FRAMES)
        part = self._pools[-1].part + 1 if self._pools else 0
        with session.structure_lock(self._folder.parent, patience):
            if not (self._folder / "control").exists():
                raise SharedMemoryError(
                    f"the files of topic {self._topic!r} in {self._folder} were removed while it "
                    "was open (`horus clean --force`?): start its publisher anew"
                )
            self._retire(size)
            memory = frames.create_pool(self._folder, self._publisher, part, slots, capacity)
        pool = _Pool(memory, part, slots, capacity)
        self._pools.append(pool)
        self._free += pool.slots

    def _retire(self, size: int) -> None:
        """Give up pools that are too small for what is sent now and hold nothing unread."""
        depth = max(self._control.half(L.CONTROL_DEPTH), 1)
        needed = {slot.pool for slot in list(self._sent)[-depth:]}
        for pool in [pool for pool in self._pools if pool.capacity < size]:
            if pool not in needed and not pool.claimed:
                self._pools.remove(pool)
                self._free = [slot for slot in self._free if slot.pool is not pool]
                self._sent = deque(slot for slot in self._sent if slot.pool is not pool)
                path = frames.pool_path(self._folder, self._publisher, pool.part)
                path.unlink(missing_ok=True)

    def _let_go_of_the_dead(self) -> bool:
        """Clear the pins of readers that have died; False when that cannot be told now."""
        try:
            # With the lock held no entry gets a new owner: what is cleared is nobody's.
            with session.structure_lock(self._folder.parent, 0.0):
                alive = {
                    index
                    for index, pid, _, start in self._control.entries()
                    if session.is_alive(pid, start)
                }
                for pool in self._pools:
                    for slot in pool.slots:
                        if pool.memory[slot.pins] == frames.NO_PINS:
                            continue
                        for reader in range(L.MAX_READERS):
                            at = slot.pins.start + reader
                            if pool.memory[at] and reader not in alive:
                                pool.memory[at] = 0
        except SharedMemoryError:
            return False
        return True

    # frames -----------------------------------------------------------------------------------

    def put(self, head: bytes, array: NDArray[Any], hash: int = 0, rest: bytes = b"") -> Any:
        """Copy an array into a slot and return what is to be sent of it; None if there is none."""
        import numpy

        slot = self.claim(array.nbytes)
        if slot is None:
            self._drop()
            return None
        try:
            numpy.copyto(self.place(slot, array.shape, array.dtype), array, casting="no")
        except BaseException:  # Ctrl-C in the middle of a large one, too
            self.give_back(slot)
            raise
        return self.finish(slot, head, array.nbytes, hash, rest)

    def place(self, slot: _Slot, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Return the array that lies in a slot."""
        import numpy

        at = slot.pool.first + slot.index * slot.pool.capacity
        array: NDArray[Any] = numpy.ndarray(shape, dtype, slot.pool.memory, at)
        return array

    def finish(
        self, slot: _Slot, head: bytes, size: int, hash: int = 0, rest: bytes = b""
    ) -> Reference:
        """Publish a slot that was filled and return what is to be sent of it."""
        with self._lock:
            serial = self._serial
            self._serial += 1
            core.fence()
            slot.pool.words[slot.place] = 2 * serial + 2
            slot.pool.claimed -= 1
            self._sent.append(slot)
        ref = FrameRef(self._publisher, serial, slot.pool.part, slot.index, size, head, rest)
        return Reference(ref.pack(), hash)

    def give_back(self, slot: _Slot) -> None:
        """Take back a slot that was claimed and not published; never waits."""
        self._returned.append(slot)

    def _drop(self) -> None:
        self.dropped += 1
        if self.dropped == 1:
            self._lost(
                f"topic {self._topic!r}: readers hold all {sum(len(p.slots) for p in self._pools)} "
                "frames, so this one is lost: they keep arrays that they received; "
                "let them go (del), or keep a .copy(). Said once; publisher.frames_dropped counts"
            )


class Loan:
    """A place in shared memory to write an array into; the end of ``with`` sends it.

    An exception within ``with`` sends nothing. After it the array cannot be written any more, and
    its memory is used again for later frames: keep a ``.copy()`` of what is needed longer. Slices
    of it that were made before stay writable, which numpy cannot change: let them go too.
    """

    _slot: _Slot | None = None

    def __init__(
        self,
        frames: Frames,
        send: Callable[[Reference, int | None], bool],
        shape: int | Sequence[int],
        dtype: DTypeLike,
        stamp_ns: int | None,
        topic: str,
    ) -> None:
        import numpy

        try:
            self._dtype = codec.plain_dtype(numpy.dtype(dtype))
            sizes = (shape,) if isinstance(shape, int) else tuple(shape)
            self._shape = tuple(map(index, sizes))
            if min(self._shape, default=0) < 0:
                raise ValueError(f"shape {self._shape} has a negative size")
            if len(self._shape) > codec.MOST_DIMENSIONS or max(self._shape, default=0) > 2**48:
                raise ValueError("a shape has at most 32 sizes, none of them beyond 2**48")
        except (TypeError, ValueError, OverflowError, MessageTypeError) as error:
            raise MessageTypeError(
                f"topic {topic!r}: loan({shape!r}, {dtype!r}): {error}"
            ) from None
        self._frames = frames
        self._send = send
        self._stamp = stamp_ns
        self._topic = topic
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
            raise TopicError(f"topic {self._topic!r}: a loan is used once: ask for another")
        slot = self._frames.claim(self._size)
        try:
            if slot is None:  # readers hold all: what is written here goes nowhere
                self._array = numpy.empty(self._shape, self._dtype)
            else:
                self._array = self._frames.place(slot, self._shape, self._dtype)
        except BaseException:
            if slot is not None:
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
        if slot is None:
            if kind is None:
                self._frames._drop()
            return
        reference = None
        try:
            if kind is None:
                head = codec.array_head(self._shape, self._dtype)
                reference = self._frames.finish(slot, head, array.nbytes)
        finally:
            self._slot = None
            if reference is None:
                self._frames.give_back(slot)
        if reference is not None:
            self.sent = self._send(reference, self._stamp)

    def __del__(self) -> None:
        if self._slot is not None:  # entered and never left, as by a generator that was dropped
            self._frames.give_back(self._slot)

"""Arrays on a publisher's memory, pinned while they live: the twin of `_native/looks.c`."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from horus.bus import codec
from horus.bus import layout as L
from horus.bus.pure.fences import fence

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Looks"]


class _Pool:
    """One pool, mapped: its frames for reading only, its blocks for the pins."""

    def __init__(self, frames: Any, blocks: Any, slots: int, capacity: int, first: int) -> None:
        self.frames = frames
        self.blocks = memoryview(blocks)
        self.words = self.blocks.cast("Q")
        self.slots = slots
        self.capacity = capacity
        self.first = first
        self.held: set[int] = set()  # slots that are looked at

    def word(self, slot: int) -> int:
        return self.words[(L.FRAMES_BLOCKS + slot * L.FRAMES_BLOCK) // 8]

    def pin(self, slot: int, reader: int, value: int) -> None:
        self.blocks[L.FRAMES_BLOCKS + slot * L.FRAMES_BLOCK + L.BLOCK_PINS + reader] = value


class Looks:
    """What one reader has pinned, in the pools that it has mapped.

    ``reader`` is its entry, -1 if it has none: it then gets copies.
    """

    def __init__(self) -> None:
        self.reader = -1
        self._pools: dict[tuple[int, int], _Pool] = {}
        self._views: dict[int, weakref.ref[Any]] = {}
        self._lock = threading.RLock()
        self._freed: Callable[[], object] | None = None

    def add(
        self,
        publisher: int,
        part: int,
        frames: Any,
        blocks: Any,
        slots: int,
        capacity: int,
        first: int,
    ) -> None:
        """Look at frames of this pool, too."""
        self._pools[publisher, part] = _Pool(frames, blocks, slots, capacity, first)

    def pools(self) -> list[tuple[int, int]]:
        """Return publisher and part of each pool of which nothing is looked at, oldest first."""
        return [key for key, pool in self._pools.items() if not pool.held]

    def remove(self, publisher: int, part: int) -> None:
        """Let go of a pool, unless something of it is looked at."""
        if (publisher, part) in self.pools():
            del self._pools[publisher, part]

    def view(
        self, publisher: int, serial: int, part: int, slot: int, length: int, head: bytes
    ) -> NDArray[Any] | None:
        """Return a frame as an array; None when it was overwritten meanwhile.

        A KeyError: the pool is not known yet. A ValueError: it cannot be one.
        """
        pool = self._pools[publisher, part]
        if slot >= pool.slots or length > pool.capacity:
            raise ValueError("the reference to a frame does not fit its pool")
        at = pool.first + slot * pool.capacity
        reader = self.reader
        if reader < 0:
            return self._copied(pool, slot, serial, head, length, at)
        with self._lock:  # threads that read here share one pin for each slot
            if slot in pool.held:
                return None  # another thread looks at what is there now
            pool.pin(slot, reader, 1)
            fence()
            array = None
            try:
                if pool.word(slot) == 2 * serial + 2:
                    array = codec.frame(head, length, pool.frames, at)
                    self._keep(array, pool, slot, reader)
                    pool.words[L.FRAMES_TAKEN // 8 + reader] = serial + 1
            finally:
                if slot not in pool.held:
                    pool.pin(slot, reader, 0)
        return array

    def _keep(self, array: NDArray[Any], pool: _Pool, slot: int, reader: int) -> None:
        """Clear the pin when the array has gone, wherever and whenever that is."""
        views, pid = self._views, os.getpid()

        def gone(_: object, key: int = id(array)) -> None:
            if os.getpid() != pid:
                return  # in a child, which has only a copy of what its parent has pinned
            fence()  # the last look is over before the slot may be written
            pool.pin(slot, reader, 0)
            pool.held.discard(slot)
            views.pop(key, None)
            if self._freed is not None and not views:
                self._freed()

        views[id(array)] = weakref.ref(array, gone)
        pool.held.add(slot)

    @staticmethod
    def _copied(
        pool: _Pool, slot: int, serial: int, head: bytes, length: int, at: int
    ) -> NDArray[Any] | None:
        whole = 2 * serial + 2
        fence()
        if pool.word(slot) != whole:
            return None
        copy = codec.copied_frame(head, length, pool.frames, at)
        fence()
        return copy if pool.word(slot) == whole else None

    def forked(self) -> None:
        """Begin anew in a child: a thread that is not here may hold the lock."""
        self._lock = threading.RLock()

    @property
    def alive(self) -> bool:
        """Whether an array that was received still lives."""
        return bool(self._views)

    def close(self, freed: Callable[[], object]) -> None:
        """Let go of the pools; ``freed`` is called when the last array has gone."""
        self._pools.clear()
        self._freed = freed
        if not self._views:  # it went just now
            freed()

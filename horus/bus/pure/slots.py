"""The slots of a publisher's pools, and which one is taken: the twin of `_native/slots.c`.

A slot is claimed when nobody has pinned it: its word becomes odd, then the pins are looked at once
more. A reader does it the other way round, so one of the two sees the other. Nothing here waits.
"""

from __future__ import annotations

import contextlib
import mmap
import threading
from collections import deque
from collections.abc import Iterator

from horus.bus import layout as L
from horus.bus.frames import NO_PINS, FrameRef, PoolState
from horus.bus.pure.fences import fence

__all__ = ["Slots"]

#: Frames that are looked at, from the newest on, for one that all have taken: it is still warm.
MOST_WARM = 16


class _Slot:
    """One place for a frame."""

    __slots__ = ("index", "pins", "place", "pool", "serial")

    def __init__(self, pool: _Pool, index: int) -> None:
        self.pool = pool
        self.index = index
        self.serial = 0
        block = L.FRAMES_BLOCKS + index * L.FRAMES_BLOCK
        self.place = block // 8
        self.pins = slice(block + L.BLOCK_PINS, block + L.BLOCK_PINS + L.MAX_READERS)


class _Pool:
    """One pool of this publisher, mapped."""

    def __init__(self, memory: mmap.mmap, part: int, slots: int, capacity: int, first: int) -> None:
        self.memory = memory
        self.words = memoryview(memory).cast("Q")
        self.part = part
        self.capacity = capacity
        self.first = first
        self.slots = [_Slot(self, index) for index in range(slots)]
        self.claimed = 0  # slots that are being written


class Slots:
    """The slots of one publisher. A claimed one is known by a number.

    Args:
        control: the topic's control file.
        publisher: its id.

    """

    def __init__(self, control: mmap.mmap, publisher: int) -> None:
        self._control = memoryview(control).cast("I")
        self._publisher = publisher
        self._pools: dict[int, _Pool] = {}
        self._free: list[_Slot] = []
        self._sent: list[_Slot] = []  # the oldest first
        self._claims: dict[int, _Slot] = {}
        # Claimed and not sent. The collector may put them here at any moment: without the lock.
        self._returned: deque[int] = deque()
        self._serial = 0
        self._dead = False
        self._lock = threading.RLock()
        self._inside = False

    def busy(self) -> bool:
        """Return whether this thread is in the middle of a change here: in a signal handler."""
        with self._lock:
            return self._inside

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        with self._lock:
            inside, self._inside = self._inside, True
            try:
                yield
            finally:
                self._inside = inside

    def add(self, memory: mmap.mmap, part: int, slots: int, capacity: int, first: int) -> None:
        """Take the slots of a new pool, too."""
        with self._alone():
            self._pools[part] = pool = _Pool(memory, part, slots, capacity, first)
            self._free += pool.slots

    def remove(self, part: int) -> None:
        """Take no slot of a pool any more."""
        with self._alone():
            pool = self._pools.pop(part)
            self._free = [slot for slot in self._free if slot.pool is not pool]
            self._sent = [slot for slot in self._sent if slot.pool is not pool]

    def pools(self) -> list[PoolState]:
        """Return the pools, the oldest first."""
        with self._alone():
            self._take_back()
            newest = {slot.pool for slot in self._sent[-self._depth() :]}
            return [
                PoolState(p.part, len(p.slots), p.capacity, bool(p.claimed or p in newest))
                for p in self._pools.values()
            ]

    def claim(self, size: int, anything: bool = False) -> int:
        """Return the number of a slot for so many bytes that is ours to write; -1: there is none.

        What may still be read is given up only if ``anything`` may: frames among the newest, as
        many as the depth that readers ask for, that somebody has not taken.
        """
        with self._alone():
            if self._dead:
                return -1
            self._take_back()
            slot = None
            if not anything:
                slot = self._take_warm(size) or self._take_free(size)
            slot = slot or self._take_old(size, 0 if anything else self._depth())
            if slot is None:
                return -1
            slot.pool.claimed += 1
            number = slot.pool.part * L.MAX_FRAMES + slot.index
            self._claims[number] = slot
            return number

    def _depth(self) -> int:
        return max(self._control[L.CONTROL_DEPTH // 4], 1)

    def _take_back(self) -> None:
        while self._returned:
            slot = self._claims.pop(self._returned.popleft())
            slot.pool.claimed -= 1
            self._free.append(slot)

    def _taken(self, pool: _Pool) -> int:
        """Return the number of the first frame of a pool that some reader may not have taken."""
        control = self._control
        if control[L.CONTROL_UNLISTED // 4]:
            return 0
        taken = self._serial
        for reader in range(min(control[L.CONTROL_READERS // 4], L.MAX_READERS)):
            if control[(L.CONTROL_ENTRIES + reader * L.ENTRY_SIZE) // 4]:
                taken = min(taken, pool.words[L.FRAMES_TAKEN // 8 + reader])
        return taken

    def _take_warm(self, size: int) -> _Slot | None:
        """Take the newest frame but one that everybody has taken and nobody looks at."""
        pool, taken = None, 0
        for place in range(len(self._sent) - 2, max(len(self._sent) - 2 - MOST_WARM, -1), -1):
            slot = self._sent[place]
            if slot.pool is not pool:
                pool = slot.pool
                taken = self._taken(pool)
            if slot.serial < taken and pool.capacity >= size and self._claimed(slot):
                return self._sent.pop(place)
        return None

    def _take_free(self, size: int) -> _Slot | None:
        for place in range(len(self._free) - 1, -1, -1):
            slot = self._free[place]
            if slot.pool.capacity >= size and self._claimed(slot):
                return self._free.pop(place)
        return None

    def _take_old(self, size: int, keep: int) -> _Slot | None:
        """Take the oldest frame that nobody looks at, but none of the newest ``keep``."""
        for place in range(len(self._sent) - keep):
            slot = self._sent[place]
            if slot.pool.capacity >= size and self._claimed(slot):
                return self._sent.pop(place)
        return None

    def _claimed(self, slot: _Slot) -> bool:
        """Make a slot ours, unless a reader has pinned it."""
        memory, words = slot.pool.memory, slot.pool.words
        if memory[slot.pins] != NO_PINS:
            return False
        before = words[slot.place]
        words[slot.place] = 2 * self._serial + 1
        fence()
        if memory[slot.pins] != NO_PINS:  # it came between the two lines above
            words[slot.place] = before
            return False
        fence()  # nothing is written before the pins were seen to be gone
        return True

    def place(self, number: int) -> tuple[mmap.mmap, int]:
        """Return the memory of a claimed slot, and where in it the slot begins."""
        slot = self._claims[number]
        return slot.pool.memory, slot.pool.first + slot.index * slot.pool.capacity

    def finish(self, number: int, head: bytes, size: int, rest: bytes = b"") -> bytes:
        """Publish a slot that was filled; return the payload of the message that says so."""
        with self._alone():
            slot = self._claims.pop(number)
            serial = slot.serial = self._serial
            self._serial += 1
            fence()
            slot.pool.words[slot.place] = 2 * serial + 2
            slot.pool.claimed -= 1
            self._sent.append(slot)
        where = (self._publisher, serial, slot.pool.part, slot.index)
        return FrameRef(*where, size, head, rest).pack()

    def give_back(self, number: int) -> None:
        """Take back a slot that was claimed and not published; never waits."""
        self._returned.append(number)

    def leave(self) -> None:
        """Write into no slot any more."""
        self._dead = True

    def clear(self, dead: bytes) -> None:
        """Clear the pins of readers: of each whose byte is not 0. Call it with the topics' lock."""
        for pool in self._pools.values():
            for slot in pool.slots:
                if pool.memory[slot.pins] == NO_PINS:
                    continue
                for reader, is_dead in enumerate(dead):
                    if is_dead:
                        pool.memory[slot.pins.start + reader] = 0

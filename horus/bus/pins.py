"""The frames that one reader looks at: arrays on the publisher's memory, pinned while they live."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from horus.bus import codec, core, frames, session
from horus.bus.frames import FrameRef, OpenPool

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Pins"]

#: Pools that are kept mapped beside those of living views.
MOST_POOLS = 16


class Pins:
    """What one reader has pinned.

    A view is read-only. While it, or an array made of it, lives, its slot is not written again,
    also after the reader was closed; `close` is told what to call when the last view goes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pools: dict[tuple[int, int], OpenPool] = {}
        self._views: dict[int, weakref.ref[Any]] = {}
        self._held: set[tuple[int, int, int]] = set()  # publisher, pool and slot of each view
        self._lock = threading.RLock()
        self._freed: Callable[[], object] | None = None

    def view(self, ref: FrameRef, reader: int | None) -> NDArray[Any] | None:
        """Return a frame as an array; None when it was overwritten meanwhile.

        Without an entry (``reader`` is None) it is a copy.
        """
        pool = self._pool(ref, pins=reader is not None)
        if pool is None:
            return None
        if ref.slot >= pool.slots or ref.length > pool.capacity:
            raise ValueError("the reference to a frame does not fit its pool")
        if reader is None:
            return self._copied(pool, ref)
        place = (ref.publisher, ref.part, ref.slot)
        with self._lock:  # threads that read here share one pin for each slot
            if place in self._held:
                return None  # another thread looks at what is there now
            pool.pin(ref.slot, reader, 1)
            core.fence()
            array = None
            try:
                if pool.word(ref.slot) == 2 * ref.serial + 2:
                    at = pool.first + ref.slot * pool.capacity
                    array = codec.frame(ref.head, ref.length, pool.frames, at)
                    self._keep(array, pool, place, reader)
            finally:
                if place not in self._held:
                    pool.pin(ref.slot, reader, 0)
        return array

    def _keep(
        self, array: NDArray[Any], pool: OpenPool, place: tuple[int, int, int], reader: int
    ) -> None:
        """Clear the pin when the array has gone, wherever and whenever that is."""
        views, held, pid = self._views, self._held, os.getpid()

        def gone(_: object, key: int = id(array)) -> None:
            if os.getpid() != pid:
                return  # in a child, which has only a copy of what its parent has pinned
            core.fence()  # the last look is over before the slot may be written
            pool.pin(place[2], reader, 0)
            held.discard(place)
            views.pop(key, None)
            if self._freed is not None and not views:
                self._freed()

        views[id(array)] = weakref.ref(array, gone)
        held.add(place)

    def _copied(self, pool: OpenPool, ref: FrameRef) -> NDArray[Any] | None:
        whole = 2 * ref.serial + 2
        core.fence()
        if pool.word(ref.slot) != whole:
            return None
        at = pool.first + ref.slot * pool.capacity
        copy: NDArray[Any] = codec.frame(ref.head, ref.length, pool.frames, at).copy()
        core.fence()
        if pool.word(ref.slot) != whole:
            return None
        copy.flags.writeable = False
        return copy

    def _pool(self, ref: FrameRef, *, pins: bool) -> OpenPool | None:
        key = (ref.publisher, ref.part)
        pool = self._pools.get(key)
        if pool is None:
            path = frames.pool_path(self._folder, *key)
            try:
                pool = OpenPool(path, ref.publisher, pins=pins)
            except FileNotFoundError:
                return None  # given up by its publisher, with what was in it
            except OSError as error:
                raise session.explain(error, path) from None
            while len(self._pools) >= MOST_POOLS:  # of frames that have outgrown them
                self._pools.pop(next(iter(self._pools)), None)
            self._pools[key] = pool
        return pool

    def forget(self, publishers: set[int]) -> None:
        """Let go of the pools of publishers that are not there any more; views keep theirs."""
        for key in [key for key in self._pools if key[0] not in publishers]:
            del self._pools[key]

    @property
    def alive(self) -> bool:
        """Return whether an array that was received still lives."""
        return bool(self._views)

    def close(self, freed: Callable[[], object]) -> None:
        """Let go of the pools; ``freed`` is called when the last array has gone."""
        self._pools.clear()
        self._freed = freed
        if not self._views:  # it went just now
            freed()

"""The pools whose frames one reader looks at: mapped when a frame comes, kept for a while."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from horus.bus import core, frames, session
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
        #: The views; the core may look here for itself.
        self.looks = core.Looks()

    @property
    def reader(self) -> int | None:
        """The reader's entry; without one (None), what it gets are copies."""
        return None if self.looks.reader < 0 else self.looks.reader

    @reader.setter
    def reader(self, entry: int | None) -> None:
        for pool in self.looks.pools() if entry is not None else ():
            self.looks.remove(*pool)  # mapped for reading only, without the pins
        self.looks.reader = -1 if entry is None else entry

    def view(self, ref: FrameRef) -> NDArray[Any] | None:
        """Return a frame as an array; None when it was overwritten meanwhile."""
        where = (ref.publisher, ref.serial, ref.part, ref.slot, ref.length, ref.head)
        try:
            return self.looks.view(*where)
        except KeyError:
            if not self._open(ref.publisher, ref.part):
                return None  # given up by its publisher, with what was in it
            return self.looks.view(*where)

    def _open(self, publisher: int, part: int) -> bool:
        """Map a pool; False if it is not there any more."""
        path = frames.pool_path(self._folder, publisher, part)
        try:
            pool = OpenPool(path, publisher, pins=self.reader is not None)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise session.explain(error, path) from None
        for old in self.looks.pools()[: 1 - MOST_POOLS]:  # of frames that have outgrown them
            self.looks.remove(*old)
        shape = (pool.slots, pool.capacity, pool.first)
        self.looks.add(publisher, part, pool.frames, pool.blocks, *shape)
        return True

    def forget(self, publishers: set[int]) -> None:
        """Let go of the pools of publishers that are not there any more; views keep theirs."""
        for publisher, part in self.looks.pools():
            if publisher not in publishers:
                self.looks.remove(publisher, part)

    @property
    def alive(self) -> bool:
        """Return whether an array that was received still lives."""
        return self.looks.alive

    def close(self, freed: Callable[[], object]) -> None:
        """Let go of the pools; ``freed`` is called when the last array has gone."""
        self.looks.close(freed)

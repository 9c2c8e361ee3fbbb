"""C14: opened and closed a hundred times, it leaves no thread, no descriptor and no memory.

In an emulated machine, where all of it takes long, ten times.
"""

from __future__ import annotations

import gc
import os
import threading
from operator import itemgetter
from pathlib import Path

from horus_hil.checks.common import FOUND, found

from horus.testing import hil
from horus.testing.rig.figures import Recorder
from horus.testing.rig.under_test import DeviceUnderTest

LIVES, FEW = 100, 10
#: Lives before it is counted: what is opened or loaded once for all.
WARM = 5
#: Most memory (bytes) that a life may leave behind, in the mean.
MEMORY = 20_000


@hil.check("C14")
def test_many_lives_leave_nothing_behind(device: DeviceUnderTest, figure: Recorder) -> None:
    found(device)
    for _ in range(WARM):
        live(device)
    left = lives(device)
    if left[2] > MEMORY:  # a table of this process may have been laid out anew: a leak comes again
        left = min(left, lives(device), key=itemgetter(2))
    figure("descriptors_left", left[0], "", high=0)
    figure("threads_left", left[1], "", high=0)
    figure("memory_left_bytes", left[2], "bytes a life", high=MEMORY)


def lives(device: DeviceUnderTest) -> tuple[int, int, float]:
    """Return descriptors and threads that many lives leave behind, and bytes that each leaves."""
    before = counted()
    count = FEW if device.kind == "virtual" else LIVES
    for _ in range(count):
        live(device)
    after = counted()
    return after[0] - before[0], after[1] - before[1], (after[2] - before[2]) / count


def live(device: DeviceUnderTest) -> None:
    """Close the device, open it and wait for a sample."""
    device.close()
    device.reopen()
    device.until(lambda: device.node.samples, FOUND)


def counted() -> tuple[int, int, int]:
    """Return descriptors, threads, and bytes of memory that are not shared."""
    gc.collect()
    words = Path("/proc/self/statm").read_text().split()
    memory = (int(words[1]) - int(words[2])) * os.sysconf("SC_PAGE_SIZE")
    return len(os.listdir("/proc/self/fd")), threading.active_count(), memory

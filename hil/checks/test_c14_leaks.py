"""C14: opened and closed a hundred times, it leaves no thread, no descriptor and no memory."""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path

from horus_hil.checks.common import FOUND, found

from horus.testing import hil
from horus.testing.rig.figures import Recorder
from horus.testing.rig.under_test import DeviceUnderTest

LIVES = 100
#: Lives before it is counted: what is opened or loaded once for all.
WARM = 5
#: Most memory (bytes) that a life may leave behind, in the mean.
MEMORY = 20_000


@hil.check("C14")
def test_a_hundred_lives_leave_nothing_behind(device: DeviceUnderTest, figure: Recorder) -> None:
    found(device)
    for _ in range(WARM):
        live(device)
    before = counted()
    for _ in range(LIVES):
        live(device)
    after = counted()
    figure("descriptors_left", after[0] - before[0], "", high=0)
    figure("threads_left", after[1] - before[1], "", high=0)
    figure("memory_left_bytes", (after[2] - before[2]) / LIVES, "bytes a life", high=MEMORY)


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

"""How every driver gets through a bad wire: ``python -m tests.contract.recovery``.

For each driver and each share of lost questions, lost answers and damaged answers: the share of
samples that still came in 20 simulated seconds, and how long after the end of the fault, and after
a power cut, the next sample came. That no wrong value comes is tested by the contract.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from typing import Any

from horus.plugins import drivers
from horus.testing import Bench, HandClock

SHARES = (0.001, 0.01, 0.2)
SECONDS = 20.0


def main(names: list[str]) -> int:
    """Print a line for each driver."""
    print(f"{'driver':<11} {'fault':<8} {'samples at 0.1 %, 1 %, 20 %':<30} {'back after (s)':<16}")
    for use in names or list(drivers()):
        for fault in ("nak", "drop", "corrupt", "unplug"):
            kind = drivers()[use].load().map_type.bus_kind
            if fault == "corrupt" and kind == "i2c":
                continue  # no checksum: see the contract
            kept, back = zip(*(measure(use, fault, share) for share in SHARES), strict=True)
            shown = "" if fault == "unplug" else "  ".join(f"{100 * k:6.1f} %" for k in kept)
            print(f"{use:<11} {fault:<8} {shown:<30} {max(back):.2f}", flush=True)
    return 0


def measure(use: str, fault: str, share: float) -> tuple[float, float]:
    """Return the share of samples that came, and the seconds until the next after the fault."""
    clock = HandClock()
    with clock:
        bench = Bench(use, clock)
        try:
            bench.until(lambda: bench.node.samples)
            before = bench.node.samples
            set_fault(bench.twin, fault, share)
            bench.run(SECONDS if fault != "unplug" else 3.0)
            kept = (bench.node.samples - before) / (SECONDS * bench.device.config.rate)
            set_fault(bench.twin, "plug" if fault == "unplug" else fault, 0.0)
            last = bench.node.samples
            return kept, bench.until(lambda: bench.node.samples > last, seconds=30.0)
        finally:
            bench.close()
            for end in (bench.data, bench.status, *bench.senders.values()):
                end.close()


def set_fault(twin: Any, fault: str, share: float) -> None:
    """Switch a fault of a twin on or off."""
    method = getattr(twin, fault)
    method() if fault in ("plug", "unplug") else method(share)


if __name__ == "__main__":
    import logging

    logging.getLogger("horus").setLevel(logging.CRITICAL)
    folder = tempfile.mkdtemp(prefix="horus-test-recovery-", dir="/dev/shm")
    os.environ["HORUS_SHM_DIR"] = folder
    try:
        raise SystemExit(main(sys.argv[1:]))
    finally:
        shutil.rmtree(folder, ignore_errors=True)

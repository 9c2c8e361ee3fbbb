"""What a process pays before it does anything: the import, and the memory of one node."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

from .measure import Adapter, NotOffered, Result

_NO_BYTE_CODE = "PYTHONDONTWRITEBYTECODE"
_IMPORT = """\
import time
start = time.perf_counter_ns()
import {module}
print("figure", time.perf_counter_ns() - start)
"""

_MEMORY = """\
{node}
with open("/proc/self/status") as status:
    print("figure", next(line.split()[1] for line in status if line.startswith("VmRSS")))
"""


def import_time(adapter: Adapter, times: int) -> Result:
    """Return ns of the import in a fresh interpreter, without the interpreter's own start.

    Byte code is written beforehand, as it is at the first use of what was installed.
    """
    _figure(_IMPORT.format(module=adapter.module))
    values = [_figure(_IMPORT.format(module=adapter.module)) for _ in range(times)]
    return {"median": statistics.median(values), "p99": max(values), "count": times}


def bare_memory(adapter: Adapter) -> Result:
    """Return the resident memory (bytes) of a process after it ran one node that does nothing."""
    if not adapter.bare_node:
        raise NotOffered
    return {
        "median": _figure(_MEMORY.format(node=adapter.bare_node)) * 1024,
        "p99": None,
        "count": 1,
    }


def _figure(source: str) -> float:
    """Run the source in a fresh interpreter and return the figure that it printed."""
    alike = ["-I"] if sys.flags.isolated else []  # sees the packages that this process sees
    done = subprocess.run(
        [sys.executable, *alike, "-c", source],
        capture_output=True,
        text=True,
        timeout=30,
        env={name: value for name, value in os.environ.items() if name != _NO_BYTE_CODE},
    )
    for line in reversed(done.stdout.splitlines()):
        if line.startswith("figure "):
            return float(line.split()[1])
    raise RuntimeError(done.stderr.strip()[-500:] or "no figure was printed")

"""Start measurements, each in a process and a folder of its own, and read their figures."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from .measure import Result

OWN_COMMAND = (sys.executable, "-m", "horus.bench")
PATIENCE = 25.0  # s beyond the time of measuring, until a process is taken to hang


class Place:
    """Where one measurement keeps its files: gone, with all it holds, when it is over."""

    def __init__(self) -> None:
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.shm = tempfile.mkdtemp(prefix="horus_bench_", dir=memory)
        self.folder = tempfile.mkdtemp(prefix="horus_bench_")
        self.token = Path(self.shm).name

    def environment(self) -> dict[str, str]:
        """Return the variables for a process that works here."""
        kept = {k: v for k, v in os.environ.items() if k != "HORUS_SESSION_ID"}
        return {**kept, "HORUS_SHM_DIR": self.shm}

    def remove(self) -> None:
        """Remove what the measurement left."""
        shutil.rmtree(self.shm, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def place() -> Iterator[Place]:
    """Make a place for one measurement."""
    made = Place()
    try:
        yield made
    finally:
        made.remove()


def measure(
    command: Sequence[str], job: str, seconds: float, where: Place, environment: dict[str, str]
) -> Result:
    """Run one job and return what it printed, or ``{"error": why}``."""
    arguments = [job, "--seconds", str(seconds), "--token", where.token, "--folder", where.folder]
    process = subprocess.Popen(
        [*command, *arguments],
        env=environment,
        cwd=where.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output, complaints = process.communicate(timeout=seconds + PATIENCE)
    except subprocess.TimeoutExpired:
        return {"error": f"did not end within {seconds + PATIENCE:.0f} s"}
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # it, if it hangs, and its second process
        process.wait()
    for line in reversed(output.splitlines()):
        with contextlib.suppress(ValueError):
            figures = json.loads(line)
            if isinstance(figures, dict) and "rows" in figures:
                return figures
    last = complaints.strip().splitlines()[-1:] or ["it printed nothing"]
    return {"error": f"{last[0]} (status {process.returncode})"}


def machine() -> dict[str, object]:
    """Return what the figures depend on: processor, system, interpreter, and how busy it is."""
    model = ""
    with contextlib.suppress(OSError), Path("/proc/cpuinfo").open() as cpus:
        model = next((line.split(":")[1].strip() for line in cpus if "model name" in line), "")
    return {
        "processor": model or platform.machine(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load": round(os.getloadavg()[0], 2),
    }


def machine_line(about: dict[str, object]) -> str:
    """Return the machine in one line."""
    busy = " (busy: the figures will be too high)" if float(str(about["load"])) > 0.5 else ""
    return (
        f"{about['cores']} x {about['processor']}, {about['system']}, {about['python']}, "
        f"load {about['load']}{busy}"
    )

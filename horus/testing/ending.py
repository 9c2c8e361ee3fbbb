"""The end of a `horus run` that a test has started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess

from horus.runtime.linux import descendants


def end(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Ask a run to end; after ``seconds``, kill it and all that it has started."""
    if process.poll() is not None:
        return
    started = descendants(process.pid)
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        for pid in started:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

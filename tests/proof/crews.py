"""Processes of `crew` with a core each, and what they answer."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
#: Longer than anything takes on a busy machine; whoever says nothing for so long is stuck.
PATIENCE = 60.0

try:
    import horus.bus._core  # noqa: F401

    CORES = ("native", "pure")
except ImportError:
    CORES = ("pure",)


class Stuck(AssertionError):
    """A process that should have answered did not."""


class Crew:
    """One process of `crew`."""

    def __init__(self, core: str, *role: object) -> None:
        self.role = f"{core} {' '.join(map(str, role))}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.proof.crew", *map(str, role)],
            cwd=ROOT,
            env=os.environ | {"HORUS_CORE": core},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def ask(self, line: str) -> Any:
        self.tell(line)
        return self.hear()

    def tell(self, line: str = "") -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")

    def hear(self) -> Any:
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], PATIENCE)[0]:
            raise Stuck(f"{self.role} (pid {self.process.pid}) says nothing for {PATIENCE} s")
        line = self.process.stdout.readline()
        if not line:
            raise Stuck(f"{self.role} ended with {self.process.wait(10)}")
        return json.loads(line)

    def end(self) -> None:
        if self.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Stuck(f"{self.role} does not end") from None
        finally:
            if self.process.stdout is not None:
                self.process.stdout.close()


@contextlib.contextmanager
def crews() -> Iterator[list[Crew]]:
    """Give a list in which to note crews; all of them are ended, the first ones last."""
    started: list[Crew] = []
    try:
        yield started
    except BaseException:
        for crew in started:
            crew.process.kill()
        raise
    finally:
        for crew in reversed(started):
            crew.end()

"""Topics between processes: whole, in order, losses counted exactly, whoever dies."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from horus.bus import leftovers

WORKER = str(Path(__file__).with_name("bus_worker.py"))
MESSAGES = 200_000
KILLS = 200

try:
    import horus.bus._core  # noqa: F401

    CORES = ["native", "pure"]
except ImportError:
    CORES = ["pure"]
PAIRS = [(p, r) for p in CORES for r in CORES]


class Worker:
    """One process of bus_worker.py."""

    def __init__(self, core: str, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, WORKER, *map(str, arguments)],
            env=os.environ | {"HORUS_CORE": core},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.hear() == {"ready": core}

    def hear(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the worker ended with {self.process.wait(10)}"
        return json.loads(line)

    def tell(self, what: object = "go") -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()


@pytest.fixture
def workers() -> Iterator[list[Worker]]:
    started: list[Worker] = []
    yield started
    for worker in started:
        worker.end()


@pytest.mark.parametrize(("publisher_core", "reader_core"), PAIRS, ids=lambda c: c)
def test_four_publishers_and_four_readers(
    publisher_core: str, reader_core: str, workers: list[Worker], shm: Path
) -> None:
    readers = [Worker(reader_core, "read") for _ in range(4)]
    workers += readers
    publishers = [Worker(publisher_core, "publish", index, MESSAGES) for index in range(4)]
    workers += publishers
    for publisher in publishers:
        publisher.tell()
    for publisher in publishers:
        assert publisher.hear() == {"sent": MESSAGES}
        assert publisher.process.wait(30) == 0
    for reader in readers:
        reader.tell()
    for reader in readers:
        seen = reader.hear()
        assert seen["torn"] == 0
        assert seen["disordered"] == 0
        assert seen["received"] + seen["dropped"] == 4 * MESSAGES
        # The reader keeps the newest of all four together, so the very last message is among them.
        assert set(seen["newest"]) <= {"0", "1", "2", "3"}
        assert MESSAGES - 1 in seen["newest"].values()
        assert reader.process.wait(30) == 0
    assert not list(shm.glob("*")), "the last reader removes everything"


@pytest.mark.parametrize("core", CORES)
def test_publishers_killed_at_random_leave_readers_running_and_nothing_torn(
    core: str, workers: list[Worker], shm: Path
) -> None:
    reader = Worker(core, "read")
    workers.append(reader)
    dice = random.Random(20261123)
    herd = Worker(core, "herd")
    workers.append(herd)
    for index in range(KILLS):
        herd.tell(index)
        pid = herd.hear()["pid"]
        for _ in range(dice.randrange(40)):  # a random moment, in steps rather than in seconds
            os.sched_yield()
        os.kill(pid, signal.SIGKILL)
        assert herd.hear() == {"gone": pid}
        assert reader.process.poll() is None
    last = Worker(core, "publish", 10**6, 10)
    workers.append(last)
    last.tell()
    assert last.hear() == {"sent": 10}
    reader.tell()
    seen = reader.hear()
    assert seen["torn"] == 0
    assert seen["disordered"] == 0
    assert seen["newest"][str(10**6)] == 9
    assert reader.process.wait(30) == 0
    leftovers.clean()
    assert not list(shm.glob("*"))


def test_a_killed_process_is_cleaned_up_with_its_semaphore(
    workers: list[Worker], shm: Path
) -> None:
    reader = Worker(CORES[0], "read")
    workers.append(reader)
    mine = f"sem.horus.{reader.process.pid}."

    def semaphores() -> list[str]:
        return [name for name in os.listdir("/dev/shm") if name.startswith(mine)]

    # The reader sleeps, so it has made its semaphore, at some moment soon.
    deadline = 2000
    while not semaphores():
        deadline -= 1
        assert deadline, "the reader never slept"
        Path("/dev/shm").stat()
        os.sched_yield()
        subprocess.run(["true"], check=True)
    os.kill(reader.process.pid, signal.SIGKILL)
    reader.process.wait(10)
    report = leftovers.clean()
    assert report.topics == ["whole"]
    assert len([name for name in report.semaphores if name.startswith(mine)]) == 1
    assert not semaphores()
    assert not list(shm.glob("*"))

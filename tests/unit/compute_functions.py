"""Heavy functions, in a module that a process of its own can import."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any


class OddError(Exception):
    """An exception that pickle cannot make again."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


def square(number: int) -> int:
    return number * number


def pid() -> int:
    return os.getpid()


def fail(text: str) -> None:
    raise ValueError(text)


def fail_oddly() -> None:
    raise OddError("odd", "one")


def die(signum: int = signal.SIGKILL) -> None:
    os.kill(os.getpid(), signum)


def hang(note: str) -> None:
    Path(note).write_text(str(os.getpid()))
    time.sleep(3600)


def unpicklable() -> Any:
    return lambda: None

"""Every exception HORUS raises on purpose.

Each class derives from `HorusError` and from the builtin a Python programmer would expect, so both
``except horus.HorusError`` and ``except KeyError`` work. Every message names the thing, the place,
what was wrong and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = [
    "ComputeError",
    "ConfigError",
    "CoreError",
    "CorruptTopicError",
    "DeadlineError",
    "HorusError",
    "MessageTooLargeError",
    "MessageTypeError",
    "SharedMemoryError",
    "TopicError",
    "TopicNameError",
    "TypeMismatchError",
    "UndeclaredTopicError",
]


class HorusError(Exception):
    """Base of every error raised by HORUS."""


class TopicError(HorusError):
    """Something is wrong with a topic."""


class TopicNameError(TopicError, ValueError):
    """A topic's name cannot be used."""


class UndeclaredTopicError(TopicError, KeyError):
    """A node used a topic that it did not declare in ``pubs`` or ``subs``."""

    def __str__(self) -> str:  # KeyError would show the repr of the text
        return str(self.args[0]) if self.args else ""


class MessageTypeError(TopicError, TypeError):
    """An object cannot be sent: its type, or the type of one of its fields, does not fit."""


class TypeMismatchError(TopicError, TypeError):
    """Two ends of a topic disagree about its message type."""


class MessageTooLargeError(TopicError, ValueError):
    """A message is larger than a topic takes."""


class CorruptTopicError(TopicError):
    """A topic's file in shared memory is damaged; what it says is not used."""


class SharedMemoryError(TopicError, OSError):
    """Shared memory cannot be used: full, read-only, or somebody else's."""

    def __str__(self) -> str:  # OSError would put its number before the text
        return str(self.args[-1]) if self.args else ""


class ComputeError(HorusError, RuntimeError):
    """A function given to ``node.compute`` could not be run, or its process died."""


class DeadlineError(HorusError, TimeoutError):
    """A node with ``on_miss="stop"`` missed its deadline or hung, and the run ended for it."""


class CoreError(HorusError, ImportError):
    """The core of the bus that ``HORUS_CORE`` asks for cannot be used."""


class ConfigError(HorusError, ValueError):
    """One or more faults in a configuration file, all of them, one a line (``file:line: text``)."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults: tuple[str, ...] = tuple(faults)
        super().__init__("\n".join(self.faults))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the nearest of the known words, or nothing."""
    from difflib import get_close_matches  # only who mistyped something pays for it

    near = get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""

"""What both ends of a topic share, and the end of them all when a process ends or forks."""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from horus.bus import files, leftovers, session
from horus.bus.control import Control
from horus.errors import MessageTypeError, TopicError

if TYPE_CHECKING:
    from horus.message import MessageSpec


open_ends: weakref.WeakSet[End] = weakref.WeakSet()


_swept: set[Path] = set()


#: Topics left without being tidied, with their folder and the reader entry to give back.
_untidy: list[tuple[Path, Control, int | None]] = []
#: Closed readers whose arrays still live, likewise.
_held: list[tuple[Path, Control, int]] = []


def close_all() -> None:
    """Close every topic of this process; also done when it ends."""
    for end in list(open_ends):
        end.close()
    _tidy_forgotten(patient=True)


def _after_fork() -> None:
    # What was opened before belongs to the parent: its writer must stay the only one of its ring.
    for end in list(open_ends):
        end._forked()
    _swept.clear()
    _held.clear()
    _untidy.clear()


atexit.register(lambda: _at_exit())
os.register_at_fork(after_in_child=_after_fork)


def _sweep(base: Path) -> None:
    """Once for each process and root, remove what dead processes left."""
    if base not in _swept:
        _swept.add(base)
        if not os.environ.get("HORUS_SESSION_ID"):  # under `horus run` the supervisor has done it
            leftovers.clean()


def spec_of_type(message_type: type | None) -> MessageSpec | None:
    """Return what is known of a declared message class; a `MessageTypeError` if it is none."""
    if message_type is None:
        return None
    spec: MessageSpec | None = getattr(message_type, "__horus_spec__", None)
    if spec is None or spec.cls is not message_type:
        name = getattr(message_type, "__name__", repr(message_type))
        raise MessageTypeError(
            f"{name} is not a message type: declare the class with @horus.message, "
            "or leave the type away and send dicts"
        )
    return spec


class End(ABC):
    """What both ends share: a name, a folder, the mapped control file."""

    def __init__(self, name: str, message_type: type | None, topics: Path | None = None) -> None:
        self.name = files.check_name(name)
        self.type = message_type
        self._declared = spec_of_type(message_type)
        if self._declared is not None and self._declared.needs_numpy:
            importlib.import_module("numpy")  # now, or a node's first tick takes that long
        self._closed = False
        _sweep(session.root())
        _tidy_forgotten(patient=False)
        self._topics = topics or session.topics_dir()
        self._folder = self._topics / name.replace("/", "~")

    def _open_control(self) -> Control:
        """Map the control file, tidied and agreeing on the type; call it with the lock held."""
        control = Control.open(self._folder)
        if leftovers.tidy(control):  # only dead processes used it: begin anew
            control = Control.open(self._folder)
        if self._declared is not None:
            control.declare(self.name, self._declared.name, self._declared.hash)
        return control

    def __del__(self) -> None:
        # The collector comes at any moment, also while this thread holds the lock: never wait.
        with contextlib.suppress(Exception):
            self._close(patient=False)

    def close(self) -> None:
        """Leave the topic."""
        self._close(patient=True)

    @abstractmethod
    def _close(self, *, patient: bool) -> None:
        """Leave the topic; without patience, wait for no lock."""

    @abstractmethod
    def _forked(self) -> None:
        """Let what belongs to the parent alone, in a child of it."""

    def _dead(self, *_: object, **__: object) -> Any:
        raise TopicError(f"topic {self.name!r} is closed: open it again to use it")

    def __repr__(self) -> str:
        kind = f", {self.type.__name__}" if self.type else ""
        return f"{type(self).__name__}({self.name!r}{kind}{', closed' if self._closed else ''})"


def leave(topics: Path, control: Control, *, patient: bool, entry: int | None = None) -> None:
    """Tidy a topic that this process has left, and its folders when they are empty.

    ``entry`` is the reader entry that is given back. When the lock stays taken, or is just now
    without patience, or no file can be opened, what is left to do is done at a later moment.
    """
    if not topics.is_dir():
        control.close()
        return
    try:
        with session.structure_lock(topics, session.GROW_TIMEOUT if patient else 0.0):
            if entry is not None:
                control.leave(entry)
                entry = None  # from now on it may be another reader's
            if (control.folder / "control").exists():
                leftovers.tidy(control)
            session.remove_if_empty(topics)
    except OSError:
        _untidy.append((topics, control, entry))
        return
    control.close()


def hold(topics: Path, control: Control, entry: int) -> Callable[[], None]:
    """Keep the entry of a closed reader, since arrays that it received still live.

    Return what is to be called when the last of them has gone: the topic is left some time later.
    """
    held = (topics, control, entry)
    _held.append(held)

    def forget() -> None:
        with contextlib.suppress(ValueError):
            _held.remove(held)
            _untidy.append(held)

    return forget


def _at_exit() -> None:
    """Leave everything: what looks at shared memory ends with this process."""
    close_all()
    while _held:
        topics, control, entry = _held.pop()
        leave(topics, control, patient=True, entry=entry)


def _tidy_forgotten(*, patient: bool) -> None:
    """Tidy the topics that were closed while the lock was taken."""
    for _ in range(len(_untidy)):  # what cannot be tidied now is put there again
        with contextlib.suppress(IndexError):  # another thread was quicker
            topics, control, entry = _untidy.pop(0)
            leave(topics, control, patient=patient, entry=entry)

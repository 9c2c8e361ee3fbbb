"""What nobody needs any more is found by its owner and removed: rings, topics, sessions."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from horus.bus import files, frames, rings, session, waiting
from horus.bus import layout as L
from horus.bus.control import Control
from horus.errors import CorruptTopicError

_ELSEWHERE = "of another PID namespace"
#: Below the root: lock files of places on buses (`horus.hardware.claims`).
CLAIMS = "claims"


def tidy(control: Control, *, at_once: bool = False) -> bool:
    """Remove rings that nobody needs, and the topic if nobody uses it; call it with the lock held.

    A closed ring stays for a while where somebody reads, for readers that have not seen it yet.
    Returns whether the topic's folder was removed.
    """
    if control.foreign:
        return False  # all would seem dead
    readers = control.live_readers()
    left = 0
    now = time.monotonic_ns()
    for ring in rings.ring_files(control.folder):
        closed = rings.closed_at(ring.path)
        if not closed:
            if rings.ring_owner_alive(ring.path):
                left += 1
                continue
            closed = now
            rings.mark_closed(ring.path)
        if at_once or not readers or now - closed > L.LINGER_NS or closed > now:
            with contextlib.suppress(OSError):
                ring.path.unlink()
        else:
            left += 1
    frames.remove_orphans(
        control.folder, {ring.publisher for ring in rings.ring_files(control.folder)}
    )
    if readers or left:
        return False
    shutil.rmtree(control.folder, ignore_errors=True)
    return True


class TopicEnds(NamedTuple):
    """The living processes at a topic, by their ids: one for each publisher, for each reader."""

    publishers: tuple[int, ...]
    readers: tuple[int, ...]


def topic_ends(topics: Path) -> dict[str, TopicEnds]:
    """Return who publishes and who reads each topic of a folder, without changing anything.

    A topic whose control file is damaged, or not there yet, has no readers.
    """
    return {folder.name.replace("~", "/"): ends_of(folder) for folder in _folders(topics)}


def ends_of(folder: Path) -> TopicEnds:
    """Return who publishes and who reads the topic of a folder, without changing anything."""
    paths = [ring.path for ring in rings.ring_files(folder) if not rings.closed_at(ring.path)]
    publishers = tuple(pid for pid in map(rings.ring_owner, paths) if pid is not None)
    return TopicEnds(publishers, _living_readers(folder))


def has_readers(topic: str) -> bool:
    """Return whether a living process reads a topic of this session; changes nothing."""
    return bool(_living_readers(session.topics_dir() / topic.replace("/", "~")))


def _living_readers(folder: Path) -> tuple[int, ...]:
    with contextlib.suppress(CorruptTopicError, OSError):
        control = Control(folder, files.map_file(folder / "control", writable=False))
        if len(control.memory) == L.CONTROL_SIZE:
            entries = list(control.entries())
            return tuple(pid for _, pid, _, start in entries if session.is_alive(pid, start))
    return ()


def _foreign(folder: Path) -> bool:
    """Return whether a topic belongs to another PID namespace; not if it is damaged."""
    try:
        control = Control.look(folder)
    except (CorruptTopicError, OSError):
        return False
    foreign = control.foreign
    control.close()
    return foreign


def topics_in_use(topics: Path) -> bool:
    """Return whether a process that lives, or cannot be seen, is at a topic of a folder."""
    return any(
        _foreign(folder)
        or any(rings.ring_owner_alive(ring.path) for ring in rings.ring_files(folder))
        or _living_readers(folder)
        for folder in _folders(topics)
    )


def _folders(topics: Path) -> list[Path]:
    try:
        return sorted(path for path in topics.iterdir() if path.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []


@dataclass
class CleanReport:
    """What `clean` removed, and what it left because somebody uses it."""

    sessions: list[str] = field(default_factory=list)
    topics: list[str] = field(default_factory=list)
    rings: list[str] = field(default_factory=list)
    semaphores: list[str] = field(default_factory=list)
    in_use: list[str] = field(default_factory=list)

    @property
    def removed(self) -> int:
        """Return how many things were removed."""
        return len(self.sessions) + len(self.topics) + len(self.rings) + len(self.semaphores)


def clean_topics(
    topics: Path, report: CleanReport, *, force: bool = False, at_once: bool = False
) -> None:
    """Remove the topics and rings of dead processes from one topics folder."""
    if not topics.is_dir():
        return
    with session.structure_lock(topics):
        for folder in _folders(topics):
            name = folder.name.replace("~", "/")
            if not force and _foreign(folder):
                report.in_use.append(f"topic {name} ({_ELSEWHERE})")
                continue
            before = {ring.path for ring in rings.ring_files(folder)}
            try:
                gone = not force and tidy(Control.open(folder), at_once=at_once)
            except CorruptTopicError:
                gone = not any(rings.ring_owner_alive(path) for path in before)
            if force or gone:
                shutil.rmtree(folder, ignore_errors=True)
                report.topics.append(name)
                continue
            report.in_use.append(f"topic {name}")
            for path in sorted(before - {ring.path for ring in rings.ring_files(folder)}):
                report.rings.append(f"{name}: {path.name}")
        session.remove_if_empty(topics)


def _session_owner_alive(path: Path) -> bool:
    try:
        owner = json.loads((path / session.OWNER_FILE).read_text())
        return session.is_alive(int(owner["pid"]), int(owner["start"] or 0))
    except (OSError, ValueError, KeyError, TypeError):
        # Being made right now, or damaged: leave it while it is young.
        with contextlib.suppress(OSError):
            return time.time() - path.stat().st_mtime < 10.0
        return False


def _clean_locks(folder: Path) -> None:
    """Remove lock files that nobody holds."""
    for path in folder.iterdir() if folder.is_dir() else []:
        with contextlib.suppress(OSError):
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(fd)


def clean(*, force: bool = False, at_once: bool = False) -> CleanReport:
    """Remove what dead processes left: sessions, topics, rings, semaphores.

    What a living process uses stays, unless ``force`` is set: it removes all under the root.
    Unless ``at_once``, a ring stays for a while where somebody reads: who has not looked yet still
    gets its messages, as after each close.
    """
    report = CleanReport()
    base = session.root()
    if not base.is_dir():
        waiting.clean_semaphores(report.semaphores)
        return report
    session.check_ours(base)
    sessions = session.sessions_dir()
    for path in sorted(sessions.iterdir()) if sessions.is_dir() else []:
        topics = path / "topics"
        if not force and session.of_another_namespace(path):
            report.in_use.append(f"session {path.name} ({_ELSEWHERE})")
            continue
        # Children outlive a killed supervisor for a moment; their topics are theirs.
        busy = not force and (_session_owner_alive(path) or topics_in_use(topics))
        if busy:
            report.in_use.append(f"session {path.name}")
        else:
            shutil.rmtree(path, ignore_errors=True)
            report.sessions.append(path.name)
    clean_topics(base / "topics", report, force=force, at_once=at_once)
    waiting.clean_semaphores(report.semaphores)
    _clean_locks(base / CLAIMS)
    with contextlib.suppress(OSError):
        (base / CLAIMS).rmdir()
    session.remove_empty_folders()
    return report

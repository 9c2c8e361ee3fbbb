"""Where topics live, whose they are, and the lock under which files come and go."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from horus.errors import SharedMemoryError

DEFAULT_ROOT = "/dev/shm/horus"
OWNER_FILE = "session.json"
LOCK_FILE = ".lock"
#: Which thread of which process (a child has a copy) holds the lock of a topics folder.
_holders: dict[Path, tuple[int, int]] = {}
#: How long to wait for another process that is adding or removing a file.
LOCK_TIMEOUT = 10.0
#: The same for who sends or closes: there may be a motor to mind.
GROW_TIMEOUT = 1.0


def root() -> Path:
    """Return the folder of all topics: ``$HORUS_SHM_DIR``, else ``/dev/shm/horus``."""
    return Path(os.environ.get("HORUS_SHM_DIR") or DEFAULT_ROOT)


def sessions_dir() -> Path:
    """Return the folder that holds a folder for each run."""
    return root() / "sessions"


def session_dir(session_id: str) -> Path:
    """Return the folder of one run; an id that is not a plain name is a `SharedMemoryError`."""
    if not session_id or not all(c.isalnum() or c in "-_" for c in session_id):
        raise SharedMemoryError(
            f"session id {session_id!r} (HORUS_SESSION_ID) is not a plain name: "
            "use letters, digits, '-' and '_'"
        )
    return sessions_dir() / session_id


def topics_dir(session_id: str | None = None) -> Path:
    """Return the topics folder of a session: this one, ``$HORUS_SESSION_ID``, or plain scripts."""
    session_id = session_id or os.environ.get("HORUS_SESSION_ID") or None
    return (session_dir(session_id) if session_id else root()) / "topics"


def process_start_time(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; 0 if unknown, None if gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        if Path("/proc/self/stat").exists():
            return None
        return 0 if _exists(pid) else None
    except OSError:
        return 0
    # The name in field 2 may hold spaces and brackets: count from its end.
    fields = stat[stat.rindex(b")") + 2 :].split()
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def pid_namespace() -> int:
    """Return a number for the PID namespace of this process; 0 where there is none."""
    try:
        return Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return 0


def is_foreign(namespace: int) -> bool:
    """Return whether that is a PID namespace in which we cannot see who lives."""
    own = pid_namespace()
    return bool(namespace and own and namespace != own)


#: When this process started: stamped on all that it makes.
_own_start: tuple[int, int] | None = None


def own_stamp() -> tuple[int, int]:
    """Return this process's pid and start time, read once for each process."""
    global _own_start
    pid = os.getpid()
    if _own_start is None or _own_start[0] != pid:
        _own_start = (pid, process_start_time(pid) or 0)
    return _own_start


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def is_alive(pid: int, start: int) -> bool:
    """Return whether the process that had this pid and start time still runs."""
    if pid <= 0:
        return False
    # Of itself a process asks only once: an emulator may tell each of its threads another time.
    now = own_stamp()[1] if pid == os.getpid() else process_start_time(pid)
    return now is not None and (now == start or not start or not now)


def check_ours(folder: Path) -> None:
    """Refuse a folder in which somebody else could put files that we would believe."""
    about = folder.stat() if folder == root() else folder.lstat()
    if about.st_uid != os.geteuid() or about.st_mode & 0o022 or stat.S_ISLNK(about.st_mode):
        raise SharedMemoryError(
            errno.EPERM,
            f"shared memory at {folder} is not safe to use: it belongs to {_owner(folder)}, mode "
            f"{about.st_mode & 0o7777:o}. It must be yours, and nobody else may write there: "
            "remove it, or set HORUS_SHM_DIR to a folder of your own",
        )


def make_dir(path: Path) -> Path:
    """Create a private folder and its parents up to the root; explain what stands in the way."""
    base = root()
    folders = [*(p for p in reversed(path.parents) if p.is_relative_to(base)), path]
    deadline = time.monotonic() + GROW_TIMEOUT
    while True:
        try:
            for folder in folders:
                # What is below the root is made step by step: each is private, and checked.
                folder.mkdir(mode=0o700, exist_ok=True, parents=folder == base)
                check_ours(folder)
            return path
        except SharedMemoryError:
            raise
        except OSError as error:
            # Gone in between: another process removed what it left empty.
            gone = isinstance(error, FileNotFoundError) or (
                isinstance(error, FileExistsError) and not os.path.lexists(folder)
            )
            if not gone or time.monotonic() > deadline:
                raise explain(error, path) from None
            time.sleep(0.0001)


def explain(error: OSError, path: Path) -> SharedMemoryError:
    """Return a `SharedMemoryError` that says what is wrong with shared memory and what to do."""
    cure = {
        errno.ENOSPC: "it is full: run `horus clean`, or give it more space "
        "(`mount -o remount,size=1G /dev/shm`; in Docker `--shm-size=1g`)",
        errno.EROFS: "it is read-only: set HORUS_SHM_DIR to a folder that can be written",
        errno.EACCES: f"it belongs to {_owner(path)}: run as that user, "
        "or set HORUS_SHM_DIR to a folder of your own",
        errno.ENOTDIR: "a file stands where a folder is needed: remove it, or set HORUS_SHM_DIR",
        errno.EEXIST: "a file stands where a folder is needed: remove it, or set HORUS_SHM_DIR",
        errno.EMFILE: "too many files are open: close topics, or raise `ulimit -n`",
    }
    cure[errno.EPERM] = cure[errno.EACCES]
    text = cure.get(
        error.errno or 0, f"{error.strerror or error}: set HORUS_SHM_DIR to another folder"
    )
    return SharedMemoryError(error.errno, f"shared memory at {path} cannot be used: {text}")


def _owner(path: Path) -> str:
    for place in (path, *path.parents):
        try:
            return f"the user {place.owner()!r} ({place})"
        except (OSError, KeyError):
            continue
    return "another user"


@contextlib.contextmanager
def structure_lock(topics: Path, timeout: float = LOCK_TIMEOUT) -> Iterator[None]:
    """Hold the lock for adding and removing files of a topics folder; it is freed at death."""
    deadline = time.monotonic() + timeout
    me = (os.getpid(), threading.get_ident())
    if _holders.get(topics) == me:
        raise SharedMemoryError(
            errno.EDEADLK,
            f"{topics}: a topic was opened, closed or outgrown in the middle of just that, by a "
            "signal handler or a finalizer: set a flag there, and do it in the program's course",
        )
    while (fd := _locked(topics, deadline)) is None:
        continue
    try:
        _holders[topics] = me
        yield
    finally:
        _holders.pop(topics, None)
        # Not by closing alone: a child forked meanwhile has the same lock open.
        fcntl.flock(fd, fcntl.LOCK_UN)
        os.close(fd)


def _locked(topics: Path, deadline: float) -> int | None:
    """Return a locked descriptor, or None when the lock file was removed meanwhile."""
    path = topics / LOCK_FILE
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        try:
            fd = os.open(path, flags, 0o600)
        except FileNotFoundError:
            make_dir(topics)
            fd = os.open(path, flags, 0o600)
    except FileNotFoundError:
        return None  # removed again by a cleaner in between
    except SharedMemoryError:
        raise  # it says what is wrong already
    except OSError as error:
        raise explain(error, topics) from None
    try:
        pause = 0.0001
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise SharedMemoryError(
                        errno.EBUSY,
                        f"{path} stays locked by another process: is one that uses these topics "
                        "stopped (state T in `ps`)? Continue or end it",
                    ) from None
                time.sleep(pause)
                pause = min(pause * 2, 0.01)
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(fd).st_ino:
                return fd
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None


def remove_if_empty(topics: Path) -> None:
    """Remove a topics folder that holds nothing but its lock; call it with the lock held."""
    with contextlib.suppress(OSError):
        if [entry.name for entry in os.scandir(topics)] == [LOCK_FILE]:
            (topics / LOCK_FILE).unlink()
            topics.rmdir()
    remove_empty_folders()


def remove_empty_folders() -> None:
    """Remove the folders of sessions and of all topics where nothing is in them."""
    for folder in (sessions_dir(), root()):
        with contextlib.suppress(OSError):
            folder.rmdir()


@dataclass(frozen=True)
class Session:
    """One run and the folder that holds its topics."""

    id: str
    path: Path


def new_session() -> Session:
    """Create the folder of a new run, owned by this process."""
    while True:
        text = os.urandom(5).hex()[:9]
        session_id = f"{text[:3]}-{text[3:6]}-{text[6:9]}"
        path = session_dir(session_id)
        make_dir(path.parent)
        try:
            path.mkdir(mode=0o700)
        except (FileExistsError, FileNotFoundError):
            continue  # taken, or the parent was just cleaned away
        except OSError as error:
            raise explain(error, path) from None
        owner = {
            "pid": os.getpid(),
            "start": own_stamp()[1],
            "pid_namespace": pid_namespace(),
            "made": time.time(),
        }
        try:
            (path / OWNER_FILE).write_text(json.dumps(owner))
            make_dir(path / "topics")
        except OSError as error:
            shutil.rmtree(path, ignore_errors=True)
            raise explain(error, path) from None
        return Session(session_id, path)


def of_another_namespace(path: Path) -> bool:
    """Return whether a session was made in another PID namespace: its processes are not seen."""
    try:
        return is_foreign(int(json.loads((path / OWNER_FILE).read_text())["pid_namespace"]))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def end_session(session_id: str) -> None:
    """Remove the folder of a run and all that is in it; the last one leaves nothing behind."""
    shutil.rmtree(session_dir(session_id), ignore_errors=True)
    remove_empty_folders()

"""Topics as a program uses them: `Publisher`, `Subscriber`, and `Topic`, which is both."""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from horus.bus import codec, core, files, session, waiting
from horus.bus import layout as L
from horus.errors import (
    CorruptTopicError,
    MessageTooLargeError,
    MessageTypeError,
    SharedMemoryError,
    TopicError,
    TypeMismatchError,
)

if TYPE_CHECKING:
    from types import TracebackType

    from horus.message import MessageSpec

__all__ = ["Publisher", "Subscriber", "Topic", "monotonic_ns", "wall_time"]

#: Room for one message that a publisher without a declared type starts with, in bytes.
FIRST_CAPACITY = 224
#: How long (s) a send waits for the lock when its message needs a larger ring.
GROW_TIMEOUT = 1.0
MAX_DEPTH = L.MAX_SLOTS // 2

_open_ends: weakref.WeakSet[Publisher | Subscriber] = weakref.WeakSet()
_swept: set[Path] = set()
#: Topics left without being tidied, with their folder.
_untidy: list[tuple[Path, files.Control]] = []


def wall_time(mono_ns: int) -> float:
    """Return the unix time in seconds of a moment on the monotonic clock."""
    return (time.time_ns() - (monotonic_ns() - mono_ns)) / 1e9


def close_all() -> None:
    """Close every topic of this process; also done when it ends."""
    for end in list(_open_ends):
        end.close()
    _tidy_forgotten()


def _after_fork() -> None:
    # What was opened before belongs to the parent: its writer must stay the only one of its ring.
    for end in list(_open_ends):
        end._forked()
    _swept.clear()


atexit.register(close_all)
os.register_at_fork(after_in_child=_after_fork)


def _sweep(base: Path) -> None:
    """Once for each process and root, remove what dead processes left."""
    if base not in _swept:
        _swept.add(base)
        if not os.environ.get("HORUS_SESSION_ID"):  # under `horus run` the supervisor has done it
            session.clean()


def _spec(message_type: type | None) -> MessageSpec | None:
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


class _End(ABC):
    """What both ends share: a name, a folder, the mapped control file."""

    def __init__(self, name: str, message_type: type | None, topics: Path | None = None) -> None:
        self.name = files.check_name(name)
        self.type = message_type
        self._declared = _spec(message_type)
        self._closed = False
        _sweep(session.root())
        _tidy_forgotten()
        self._topics = topics or session.topics_dir()
        self._folder = self._topics / name.replace("/", "~")

    def _open_control(self) -> files.Control:
        """Map the control file, tidied and agreeing on the type; call it with the lock held."""
        control = files.Control.open(self._folder)
        if files.tidy(control):  # only dead processes used it: begin anew
            control = files.Control.open(self._folder)
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

    def _dead(self, *_: object, **__: object) -> Any:
        raise TopicError(f"topic {self.name!r} is closed: open it again to use it")

    def __repr__(self) -> str:
        kind = f", {self.type.__name__}" if self.type else ""
        return f"{type(self).__name__}({self.name!r}{kind}{', closed' if self._closed else ''})"


class Publisher(_End):
    """One writer of one topic.

    ``send`` is an attribute of each instance: bind it once where it is called often.
    """

    #: Put a message on the topic: ``send(message, stamp_ns=None) -> True``.
    send: Callable[..., bool]

    def __init__(self, name: str, type: type | None = None, *, _topics: Path | None = None) -> None:
        super().__init__(name, type, _topics)
        self._open()
        _open_ends.add(self)

    def _open(self) -> None:
        self._new_identity()
        with session.structure_lock(self._topics):
            self._control = self._open_control()
            self._ringer = waiting.Ringer(self._control)
            self._writer = core.Writer(
                self._control.memory,
                self._declared,
                self._encode,
                self._refuse,
                self._pack_slowly,
                self._grow,
                self._ringer.wake,
            )
            self._make_ring(FIRST_CAPACITY if self._declared is None else self._declared.size)
        self.send = self._writer.send

    def _new_identity(self) -> None:
        self._id = secrets.randbits(64) | 1
        self._part = -1
        self._ring: Any = None
        self._shape = (0, 0)
        self._base = 0

    def _grow(self, size: int) -> None:
        """Replace the ring by one for longer messages, or if size is 0, for deeper readers.

        The core calls this. More depth is only tried for, a message that does not fit may wait.
        """
        if self._closed:
            self._dead()
        if size > L.MAX_MESSAGE:
            raise MessageTooLargeError(
                f"topic {self.name!r}: a message of {size} bytes is too large, "
                f"at most {L.MAX_MESSAGE} are taken: send it in pieces, or put it into a file "
                "and send its name"
            )
        try:
            self._replace_ring(size)
        except SharedMemoryError:
            if size:  # it does not fit; more depth can wait
                raise

    def _replace_ring(self, size: int) -> None:
        with session.structure_lock(self._topics, GROW_TIMEOUT if size else 0.0):
            if not (self._folder / "control").exists():
                raise SharedMemoryError(
                    f"the files of topic {self.name!r} in {self._folder} were removed while it was "
                    "open (`horus clean --force`?): start its publisher anew"
                )
            capacity = max(self._shape[1] - L.SLOT_HEADER, 0)
            if size > capacity:
                capacity = max(size + size // 4, FIRST_CAPACITY)
            self._make_ring(capacity)

    def _make_ring(self, capacity: int) -> None:
        depth = max(self._control.half(L.CONTROL_DEPTH), 16)
        slots, stride = files.ring_shape(min(capacity, L.MAX_MESSAGE), min(depth, MAX_DEPTH))
        number = self._writer.next
        kept = min(number - self._base, self._shape[0] - 1, slots - 1) if self._ring else 0
        base = number - max(kept, 0)
        ring = files.create_ring(self._folder, self._id, self._part + 1, slots, stride, base, depth)
        if self._ring is not None:
            _copy(self._ring, self._shape, ring, (slots, stride), range(base, number))
            with memoryview(ring) as view, view.cast("Q") as words:
                words[L.RING_NEXT // 8] = number
            files.ring_path(self._folder, self._id, self._part).unlink(missing_ok=True)
        self._writer.attach(ring, slots, stride, number, depth)
        self._ring, self._shape, self._base = ring, (slots, stride), base
        self._part += 1
        self._control.raise_generation()
        self._ringer.wake()

    def _encode(self, message: object) -> tuple[int, tuple[Any, ...]]:
        """Encode what is no declared message; the core calls this."""
        try:
            return codec.encode(message)
        except MessageTypeError as error:
            raise MessageTypeError(f"topic {self.name!r}: {error}") from None

    def _pack_slowly(self, spec: MessageSpec, message: object) -> bytearray:
        """Pack what the C core cannot, or raise the error that says what is wrong with it."""
        payload = bytearray(spec.size)
        try:
            spec.pack_into(payload, 0, message)
        except MessageTypeError as error:
            raise MessageTypeError(f"topic {self.name!r}: {error}") from None
        return payload

    def _refuse(self, message: object) -> None:
        """Say why a message is not of the declared type; the core calls this."""
        declared = self._declared
        assert declared is not None
        if message is None:
            self._encode(message)
        raise MessageTypeError(
            f"topic {self.name!r} carries {declared.name}, got {type(message).__name__} "
            f"({_short(message)}): send a {declared.name}"
        )

    def close(self) -> None:
        """Leave the topic. Readers that have not noticed it yet still get its last messages."""
        self._close(patient=True)

    def _close(self, *, patient: bool) -> None:
        if self._closed:
            return
        self._closed = True
        _open_ends.discard(self)
        self.send = self._dead
        self._writer.close()
        if self._ring is not None:
            with memoryview(self._ring) as view, view.cast("Q") as words:
                words[L.RING_CLOSED // 8] = monotonic_ns()
        self._ringer.close()
        _leave(self._topics, self._control, patient=patient)

    def _forked(self) -> None:
        """Leave the ring to the parent; the child's first send makes one of its own."""
        shape = self._shape
        self._new_identity()
        self._shape = (0, shape[1])
        self._writer.detach()


def _copy(
    old: Any, old_shape: tuple[int, int], new: Any, new_shape: tuple[int, int], numbers: range
) -> None:
    """Copy messages, with their slot headers, from one part of a ring to the next."""
    for number in numbers:
        source = L.RING_HEADER + number % old_shape[0] * old_shape[1]
        target = L.RING_HEADER + number % new_shape[0] * new_shape[1]
        size = min(old_shape[1], new_shape[1])
        new[target : target + size] = old[source : source + size]


def _leave(topics: Path, control: files.Control, *, patient: bool) -> None:
    """Tidy a topic that this process has left, and its folders when they are empty.

    Without patience, when the lock is taken, it is done at a later moment.
    """
    if not topics.is_dir():
        return
    try:
        with session.structure_lock(topics, GROW_TIMEOUT if patient else 0.0):
            if (control.folder / "control").exists():
                files.tidy(control)
            session.remove_if_empty(topics)
    except SharedMemoryError:
        if not patient:
            _untidy.append((topics, control))
        # Leaving must not fail: `horus clean` finds what is left.


def _tidy_forgotten() -> None:
    """Tidy the topics that the collector closed while the lock was taken."""
    while _untidy:
        _leave(*_untidy.pop(), patient=True)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


class Subscriber(_End):
    """One reader of one topic, with its own cursor: it keeps the last ``depth`` unread messages."""

    #: Return the next unread message, or None.
    recv: Callable[[], Any]
    #: Return the next unread message with its stamp (monotonic ns), or None.
    recv_stamped: Callable[[], tuple[Any, int] | None]
    #: Return every unread message, in order.
    recv_all: Callable[[], list[Any]]
    #: Return the newest unread message and skip the older ones, or None.
    latest: Callable[[], Any]
    #: Return how many messages are unread.
    unread: Callable[[], int]
    #: Return the stamp of the message that ``recv`` would return, or None.
    peek_stamp: Callable[[], int | None]
    #: Skip unread messages older than a stamp; return how many.
    discard_before: Callable[[int], int]

    def __init__(
        self,
        name: str,
        type: type | None = None,
        *,
        depth: int = 16,
        latch: bool = False,
        on_drop: Callable[[], object] | None = None,
    ) -> None:
        super().__init__(name, type)
        if not isinstance(depth, int) or isinstance(depth, bool) or not 1 <= depth <= MAX_DEPTH:
            raise ValueError(
                f"topic {name!r}: depth must be a number from 1 to {MAX_DEPTH}, got {depth!r}"
            )
        self._serial = waiting.next_serial()
        self._bell = waiting.Bell(self._serial)
        self._pid = os.getpid()
        self._parts: dict[int, int] = {}
        self._refused: set[str] = set()
        self._entry: int | None = None
        with session.structure_lock(self._topics):
            self._control = self._open_control()
            self._control.ask_depth(depth)
            self._entry = self._control.register(self._serial)
            self._reader = core.Reader(
                self._control.memory,
                depth,
                self._declared,
                self._scan,
                self._decode,
                self._mismatch,
                self._corrupt,
                on_drop,
            )
            _open_ends.add(self)
            self._first_scan(latch)
        for method in (
            "recv",
            "recv_stamped",
            "recv_all",
            "latest",
            "unread",
            "peek_stamp",
            "discard_before",
        ):
            setattr(self, method, getattr(self._reader, method))

    @property
    def dropped(self) -> int:
        """Return how many messages were lost because they were not read in time."""
        return self._reader.dropped

    @property
    def last_stamp(self) -> int:
        """Return the newest stamp (monotonic ns) received or skipped as old; 0 before the first."""
        return self._reader.last_stamp

    def _first_scan(self, latch: bool) -> None:
        """Take up the rings that are there; with ``latch``, their newest message is unread."""
        found = []
        for ring in files.ring_files(self._folder):
            if opened := self._try_open(ring):
                memory, info = opened
                with memoryview(memory) as view, view.cast("Q") as words:
                    number = words[L.RING_NEXT // 8]
                found.append((memory, info, number))
                self._parts[info.publisher] = ring.part
        for memory, info, number in found:
            cursor = number - 1 if latch and number > info.base else number
            self._reader.attach(info.publisher, memory, info.slots, info.stride, info.base, cursor)
        while latch and self._reader.unread() > 1:
            stamp = self._reader.peek_stamp()
            if stamp is None or not self._reader.discard_before(stamp + 1):
                break

    def _try_open(self, ring: files.RingFile) -> tuple[Any, files.RingInfo] | None:
        try:
            memory, info = files.open_ring(ring.path)
        except FileNotFoundError:
            return None  # replaced or removed since the folder was listed
        except OSError as error:
            raise session.explain(error, ring.path) from None
        if info.publisher != ring.publisher:
            raise CorruptTopicError(
                f"ring {ring.path} is damaged (its publisher id is not that of its name): remove it"
            )
        return memory, info

    def _scan(self) -> None:
        """Take up new rings and parts, let go of finished ones; called on a new generation."""
        trouble: CorruptTopicError | None = None
        present = files.ring_files(self._folder)
        for ring in present:
            part = self._parts.get(ring.publisher)
            if ring.path.name in self._refused or (part is not None and part >= ring.part):
                continue
            try:
                opened = self._try_open(ring)
            except CorruptTopicError as error:
                self._refused.add(ring.path.name)
                trouble = trouble or error
                continue
            if opened:
                memory, info = opened
                shape = (info.slots, info.stride, info.base)
                if part is None:
                    self._reader.attach(info.publisher, memory, *shape, info.base)
                else:
                    self._reader.replace(info.publisher, memory, *shape)
                self._parts[ring.publisher] = ring.part
        publishers = {ring.publisher for ring in present}
        for publisher, cursor, number, closed in self._reader.rings():
            if cursor >= number and (closed or publisher not in publishers):
                self._reader.detach(publisher)
        if trouble:
            raise trouble

    def _decode(self, kind: int, type_hash: int, payload: bytearray) -> Any:
        """Decode what the C core cannot, or say what is wrong with it; the core calls this."""
        try:
            return codec.decode(kind, type_hash, payload)
        except CorruptTopicError as error:
            raise CorruptTopicError(f"topic {self.name!r}: {error}") from None
        except MessageTypeError as error:
            name = self._control.type_name
            if not name:
                raise MessageTypeError(f"topic {self.name!r}: {error}") from None
            raise MessageTypeError(
                f"topic {self.name!r} carries {name}, which this process has not imported: import "
                f"the module that declares it, and subscribe with Sub({self.name!r}, {name})"
            ) from None

    def _mismatch(self, kind: int, type_hash: int, payload: bytearray) -> None:
        """Say that a message of another type came in; the core calls this."""
        assert self._declared is not None
        got = f"an unknown declared type (hash {type_hash:016x})"
        if kind != L.KIND_STRUCT:
            got = type(codec.decode(kind, type_hash, payload)).__name__
        else:
            from horus.message import spec_for_hash

            if spec := spec_for_hash(type_hash):
                got = spec.name + (" of another layout" if spec.name == self._declared.name else "")
        raise TypeMismatchError(
            f"topic {self.name!r}: this subscriber expects {self._declared.name}, its publisher "
            f"sends {got}: use one message type at both ends"
        )

    def _corrupt(self, publisher: int, why: str) -> None:
        """Say that a ring is damaged; the core has let go of it and calls this."""
        path = files.ring_path(self._folder, publisher, self._parts.get(publisher, 0))
        raise CorruptTopicError(
            f"ring {path} of topic {self.name!r} is damaged ({why}) and is left alone: "
            "restart its publisher"
        )

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until something is unread; False when ``timeout`` seconds went by."""
        if self.unread():
            return True
        deadline = None if timeout is None else time.monotonic() + timeout
        if deadline is not None and timeout is not None and timeout <= 0:
            return False
        self._bell.hang()
        waiting_byte = None if self._entry is None else L.CONTROL_WAITING + self._entry
        while True:
            if waiting_byte is not None:
                self._control.memory[waiting_byte] = 1
            if self.unread():
                break
            left = waiting.SLICE if deadline is None else deadline - time.monotonic()
            if left <= 0:
                break
            # Without an entry nobody can post: look every millisecond.
            self._bell.sleep(left if waiting_byte is not None else min(left, 0.001))
        if waiting_byte is not None:
            self._control.memory[waiting_byte] = 0
        return self.unread() > 0

    def _close(self, *, patient: bool) -> None:
        if self._closed:
            return
        self._closed = True
        _open_ends.discard(self)
        for method in (
            "recv",
            "recv_stamped",
            "recv_all",
            "latest",
            "unread",
            "peek_stamp",
            "discard_before",
        ):
            setattr(self, method, self._dead)
        self._reader.close()
        if os.getpid() == self._pid:
            self._bell.close()
            if self._entry is not None:
                self._control.unregister(self._entry)
        _leave(self._topics, self._control, patient=patient)

    def _forked(self) -> None:
        """Read on in the child without the parent's entry: it polls where the parent sleeps."""
        self._entry = None
        self._serial = waiting.next_serial()
        self._bell = waiting.Bell(self._serial)


class Topic:
    """A named topic in shared memory: send to it and receive from it, here and in other processes.

    Args:
        name: letters, digits, ``_ - .``, in parts separated by ``/``.
        type: a class declared with `horus.message`, or None for dicts, lists, numbers, text, bytes
            and numpy arrays.
        depth: how many unread messages are kept; of more, the oldest are dropped and counted.
        latch: start with the last message that was sent before this topic was opened.

    A topic receives what it sends itself. Reading starts with what is sent after opening.

    Example:
        >>> with Topic("greeting") as topic:
        ...     topic.send({"hello": "robot"})
        ...     topic.recv()
        True
        {'hello': 'robot'}
    """

    def __init__(
        self, name: str, type: type | None = None, *, depth: int = 16, latch: bool = False
    ) -> None:
        self._subscriber = Subscriber(name, type, depth=depth, latch=latch)
        self._publisher: Publisher | None = None
        self.name = self._subscriber.name
        self.type = type
        # Bound to the core itself, so that a call costs no detour. The methods below document them.
        for method in ("recv", "recv_all", "latest"):
            self.__dict__[method] = getattr(self._subscriber, method)

    def send(self, message: object, stamp_ns: int | None = None) -> bool:
        """Put a message on the topic; True once it is there.

        ``stamp_ns`` is the moment of sampling on the monotonic clock; without it, now.

        Raises:
            MessageTypeError: the object, or a field of it, cannot be sent; says which and what can.
            MessageTooLargeError: it has more than 256 MiB.
            SharedMemoryError: shared memory is full or read-only.
        """
        if self._publisher is None:
            if self._subscriber._closed:
                self._subscriber._dead()
            # In the folder of its reader, even if the session was changed meanwhile.
            self._publisher = Publisher(self.name, self.type, _topics=self._subscriber._topics)
            self.__dict__["send"] = self._publisher.send
        return self._publisher.send(message, stamp_ns)

    def recv(self) -> Any:
        """Return the next unread message, in order for each publisher, or None."""
        return self._subscriber.recv()

    def recv_all(self) -> list[Any]:
        """Return every unread message, in order."""
        return self._subscriber.recv_all()

    def latest(self) -> Any:
        """Return the newest unread message and skip the older ones, or None."""
        return self._subscriber.latest()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until something is unread; False when ``timeout`` seconds went by."""
        return self._subscriber.wait(timeout)

    @property
    def dropped(self) -> int:
        """Return how many messages were lost because they were not read in time."""
        return self._subscriber.dropped

    def close(self) -> None:
        """Leave the topic; its files go when nobody uses them."""
        self._subscriber.close()
        if self._publisher is not None:
            self._publisher.close()
        for method in ("send", "recv", "recv_all", "latest"):
            self.__dict__[method] = self._subscriber._dead

    def __enter__(self) -> Topic:
        """Return the topic itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        kind = f", {self.type.__name__}" if self.type else ""
        return f"Topic({self.name!r}{kind}{', closed' if self._subscriber._closed else ''})"

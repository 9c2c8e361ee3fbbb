"""`Subscriber`: the reading end of a topic."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar

from horus.bus import codec, core, ends, frames, pins, rings, schemas, session, waiting
from horus.bus import layout as L
from horus.bus.ends import End, leave, open_ends
from horus.bus.publisher import MAX_DEPTH
from horus.errors import CorruptTopicError, MessageTypeError, TypeMismatchError

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: What a subscriber has from its reader in the core, bound to it without a call in between.
_OF_THE_CORE = (
    "recv",
    "recv_stamped",
    "recv_all",
    "latest",
    "unread",
    "peek_stamp",
    "discard_before",
)


def _damaged(error: Exception) -> CorruptTopicError:
    return CorruptTopicError(f"a damaged message came in and was skipped ({error})")


class Subscriber(End):
    """One reader of one topic, with its own cursor: it keeps the last ``depth`` unread messages."""

    #: What reads the rings.
    _core: ClassVar[type[core.Reader]] = core.Reader
    #: Return the next unread message, or None.
    recv: Callable[[], Any]
    #: Return the next unread message with its stamp (monotonic ns), or None.
    recv_stamped: Callable[[], tuple[Any, int] | None]
    #: Return every unread message, in order; an error after some is raised by the next call.
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
        self._bell = waiting.Bell(waiting.next_serial())
        self._shared = False  # the bell belongs to somebody who reads several topics
        self._pid = os.getpid()
        self._parts: dict[int, int] = {}
        self._refused: set[str] = set()
        self._pins = pins.Pins(self._folder)
        self._scanning = threading.RLock()
        with session.structure_lock(self._topics):
            self._control = self._open_control()
            self._control.ask_depth(depth)
            self._entry = self._control.register(self._bell.serial)
            if self._entry is not None:
                frames.clear_pins(self._folder, self._entry)
            core.fence()  # who sends something after the look at `next` sees the entry
            self._begin(depth, on_drop)
            open_ends.add(self)
            self._first_scan(latch)
        if self._declared is not None:
            schemas.write_schema(self._folder, self._declared)

    @property
    def _entry(self) -> int | None:
        """The entry in the control file; None: it has none."""
        return self._pins.reader

    @_entry.setter
    def _entry(self, entry: int | None) -> None:
        self._pins.reader = entry

    def _begin(self, depth: int, on_drop: Callable[[], object] | None = None) -> None:
        """Make the reader in the core, on the control file that is open."""
        self._reader = self._core(
            self._control.memory,
            depth,
            self._declared,
            self._scan,
            self._decode,
            self._mismatch,
            self._corrupt,
            on_drop,
        )
        look_with = getattr(self._reader, "look_with", None)
        if core.Lender is not None and look_with is not None:  # the C core looks by itself
            look_with(self._pins.looks)
        for method in _OF_THE_CORE:
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
        for memory, info, number in self._open_rings():
            cursor = number - 1 if latch and number > info.base else number
            self._reader.attach(info.publisher, memory, info.slots, info.stride, info.base, cursor)
        while latch and self._reader.unread() > 1:
            stamp = self._reader.peek_stamp()
            if stamp is None or not self._reader.discard_before(stamp + 1):
                break

    def _open_rings(self) -> list[tuple[Any, rings.RingInfo, int]]:
        """Map the rings that are there, with the number of the next message of each.

        A damaged one keeps nobody out: the first look at the others finds it again and says so.
        """
        found = []
        for ring in rings.ring_files(self._folder):
            try:
                opened = self._try_open(ring)
            except CorruptTopicError:
                self._reader.look_again()
                continue
            if opened:
                memory, info = opened
                with memoryview(memory) as view, view.cast("Q") as words:
                    found.append((memory, info, words[L.RING_NEXT // 8]))
                self._parts[info.publisher] = ring.part
        return found

    def _try_open(self, ring: rings.RingFile) -> tuple[Any, rings.RingInfo] | None:
        try:
            memory, info = rings.open_ring(ring.path)
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
        if self._closed:  # a method of the core that was bound before
            self._dead()
        with self._scanning:  # two threads at once would take up a ring twice
            self._look_again()

    def _look_again(self) -> None:
        trouble: CorruptTopicError | None = None
        present = rings.ring_files(self._folder)
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
                    # From its first message: what its parts hold no more is counted as lost.
                    self._reader.attach(info.publisher, memory, *shape, 0)
                else:
                    self._reader.replace(info.publisher, memory, *shape)
                self._parts[ring.publisher] = ring.part
        publishers = {ring.publisher for ring in present}
        for publisher, cursor, number, closed in self._reader.rings():
            if cursor >= number and (closed or publisher not in publishers):
                self._reader.detach(publisher)
        self._pins.forget(publishers)
        for publisher in self._parts.keys() - publishers - {r[0] for r in self._reader.rings()}:
            del self._parts[publisher]
        self._refused &= {ring.path.name for ring in present}
        if trouble:
            try:
                raise trouble
            finally:
                trouble = None  # else it holds itself, and the frames of all callers

    def _decode(self, kind: int, type_hash: int, payload: bytearray) -> Any:
        """Decode what the C core cannot, or say what is wrong with it; the core calls this.

        NotImplemented stands for a frame that was overwritten meanwhile: it is counted as lost.
        """
        try:
            if kind == L.KIND_FRAME:
                return self._frame(type_hash, payload)
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

    def _frame(self, type_hash: int, payload: bytes | bytearray) -> Any:
        """Return the array that a message refers to, or the declared message that it belongs to."""
        spec = codec.spec_with_frame(type_hash) if type_hash else None
        ref, view = self._look_at(payload)
        if view is None:
            return NotImplemented
        try:
            return view if spec is None else codec.framed(spec, ref.rest, view)
        except ValueError as error:
            raise _damaged(error) from None

    def _look_at(self, payload: bytes | bytearray) -> tuple[frames.FrameRef, NDArray[Any] | None]:
        """Return a reference and its frame, None when that was overwritten meanwhile."""
        try:
            ref = frames.FrameRef.unpack(payload)
            if self._entry is None:
                self._say_unlisted()
            return ref, self._pins.view(ref)
        except ValueError as error:
            raise _damaged(error) from None

    def _say_unlisted(self) -> None:
        """Have publishers keep frames as long as they can: they cannot know what is taken here."""
        if not self._control.half(L.CONTROL_UNLISTED):
            self._control.set_half(L.CONTROL_UNLISTED, 1)

    def _mismatch(self, kind: int, type_hash: int, payload: bytearray) -> None:
        """Say that a message of another type came in; the core calls this."""
        assert self._declared is not None
        got = f"an unknown declared type (hash {type_hash:016x})"
        if kind == L.KIND_FRAME and not type_hash:
            got = "an array"
        elif kind not in (L.KIND_STRUCT, L.KIND_FRAME):
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
        path = rings.ring_path(self._folder, publisher, self._parts.get(publisher, 0))
        raise CorruptTopicError(
            f"ring {path} of topic {self.name!r} is damaged ({why}) and is left alone: "
            "restart its publisher"
        )

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until something is unread; False when ``timeout`` seconds went by.

        Real ones: on a `SimClock` time stands still meanwhile, so look at each tick there.
        A negative timeout is one of 0; what is no number is a ValueError.
        """
        if timeout is not None and (not isinstance(timeout, Real) or timeout != timeout):
            raise ValueError(
                f"topic {self.name!r}: wait({timeout!r}): give a number of seconds, or None to "
                "wait until a message comes"
            )
        if self.unread():
            return True
        deadline = None if timeout is None else time.monotonic() + timeout
        if deadline is not None and timeout is not None and timeout <= 0:
            return False
        self._bell.hang()
        waiting_byte = None if self._entry is None else L.CONTROL_WAITING + self._entry
        while True:
            if waiting_byte is not None:
                self._say_waiting(waiting_byte, 1)
                # Either a publisher sees the byte, or the look that follows sees its message.
                core.fence()
            if self.unread():
                break
            left = waiting.SLICE if deadline is None else deadline - time.monotonic()
            if left <= 0:
                break
            # Without an entry nobody can post.
            self._bell.sleep(left if waiting_byte is not None else min(left, waiting.POLL))
        if waiting_byte is not None:
            self._say_waiting(waiting_byte, 0)
        return self.unread() > 0

    def share(self, bell: waiting.Bell) -> None:
        """Be announced from now on by a bell that several subscribers share.

        Whoever made the bell hangs it up, sleeps on it and closes it; `arm` is called before.
        """
        if self._closed:
            self._dead()
        with session.structure_lock(self._topics):
            if not self._shared:
                self._bell.close()
            self._bell, self._shared = bell, True
            if self._entry is None:
                self._entry = self._control.register(bell.serial)
            else:  # the same entry: frames are pinned by its number
                self._control.enter(self._entry, bell.serial)

    def arm(self) -> bool:
        """Have the bell rung once for what comes next; False: nobody can, look for yourself.

        Look at `unread` after it: what came before is not announced.
        """
        if self._entry is None:
            return False
        self._say_waiting(L.CONTROL_WAITING + self._entry, 1)
        core.fence()  # as in `wait`
        return True

    def _say_waiting(self, byte: int, value: int) -> None:
        """Let publishers know whether to post."""
        try:
            self._control.memory[byte] = value
        except ValueError:  # another thread has closed this end meanwhile
            self._dead()

    def _close(self, *, patient: bool) -> None:
        if self._closed:
            return
        self._closed = True
        open_ends.discard(self)
        for method in _OF_THE_CORE:
            setattr(self, method, self._dead)
        self._reader.close()
        if os.getpid() == self._pid:
            if not self._shared:
                self._bell.close()
            if self._entry is not None and self._pins.alive:
                self._pins.close(ends.hold(self._topics, self._control, self._entry))
                return  # arrays that it received still live: its entry stays until they go
        leave(self._topics, self._control, patient=patient, entry=self._entry)

    def _forked(self) -> None:
        """Read on in the child without the parent's entry: it polls where the parent sleeps."""
        self._entry = None
        self._scanning = threading.RLock()  # a thread that is not here may hold the old one
        self._reader.forked()
        self._pins.looks.forked()
        self._bell, self._shared = waiting.Bell(waiting.next_serial()), False

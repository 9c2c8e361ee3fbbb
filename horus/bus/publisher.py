"""`Publisher`: the writing end of a topic."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, overload

from horus.bus import codec, core, lending, loans, rings, schemas, session, waiting
from horus.bus import layout as L
from horus.bus.ends import End, leave, open_ends
from horus.errors import MessageTooLargeError, MessageTypeError, SharedMemoryError

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from horus.message import MessageSpec


M = TypeVar("M")
#: The shape of an array; a number is that of one with one dimension.
Shape = int | Sequence[int]
#: Room for one message that a publisher without a declared type starts with, in bytes.
FIRST_CAPACITY = 224


MAX_DEPTH = L.MAX_SLOTS // 2
#: Numbers the publishers of this process.
_serials = itertools.count(1)


class Publisher(End):
    """One writer of one topic.

    ``send`` is an attribute of each instance: bind it once where it is called often.
    """

    #: What writes the ring.
    _core: ClassVar[type[core.Writer]] = core.Writer
    #: Put a message on the topic: ``send(message, stamp_ns=None) -> True``.
    send: Callable[..., bool]

    def __init__(self, name: str, type: type | None = None, *, _topics: Path | None = None) -> None:
        super().__init__(name, type, _topics)
        self._described: set[int] = set()
        self._open()
        open_ends.add(self)

    def _open(self) -> None:
        self._new_identity()
        with session.structure_lock(self._topics):
            self._control = self._open_control()
            self._ringer = waiting.Ringer(self._control)
            self._writer = self._core(
                self._control.memory,
                self._declared,
                self._encode,
                self._refuse,
                self._pack_slowly,
                self._grow,
                self._ringer.wake,
                self._describe,
            )
            self._make_ring(_first_capacity(self._declared))
        if self._declared is not None:
            self._describe(self._declared)
        self.send = self._writer.send

    def _describe(self, spec: MessageSpec) -> None:
        """Let tools know a declared type; where none is fixed the core calls this for each."""
        if spec.hash not in self._described:
            self._described.add(spec.hash)
            schemas.write_schema(self._folder, spec)

    def _new_identity(self) -> None:
        # In the order of opening: of messages with one stamp, as in simulated time, readers take
        # the one of the lower id first. By chance, besides, so that no two processes share one.
        self._id = (next(_serials) & 0x7FFFFF) << 40 | int.from_bytes(os.urandom(5), "little") | 1
        self._part = -1
        #: This publisher's frames, once there are some.
        self._made: dict[str, loans.Frames] = {}
        #: What is to be sent of messages whose arrays were lent and filled, by their ids.
        self._lent: dict[int, loans.Reference] = {}
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
        with session.structure_lock(self._topics, session.GROW_TIMEOUT if size else 0.0):
            if not (self._folder / "control").exists():
                raise SharedMemoryError(
                    f"the files of topic {self.name!r} in {self._folder} were removed while it was "
                    "open (`horus clean --force`?): start its publisher anew"
                )
            capacity = max(self._shape[1] - L.SLOT_HEADER, 0)
            if self._ring is not None and 0 < size <= capacity:
                return  # another thread has done it meanwhile
            if size > capacity:
                capacity = max(size + size // 4, FIRST_CAPACITY)
            self._make_ring(capacity)

    def _make_ring(self, capacity: int) -> None:
        depth = max(self._control.half(L.CONTROL_DEPTH), 16)
        slots, stride = rings.ring_shape(min(capacity, L.MAX_MESSAGE), min(depth, MAX_DEPTH))
        old, old_shape, old_base = self._ring, self._shape, self._base
        taken = False

        def take_over(ring: Any) -> None:
            nonlocal taken
            # Again when another thread has sent in between: its message is in the old part.
            while not taken:
                number = self._writer.next
                kept = min(number - old_base, old_shape[0] - 1, slots - 1) if old else 0
                base = number - max(kept, 0)
                if old is not None:
                    _copy(old, old_shape, ring, (slots, stride), range(base, number))
                with memoryview(ring) as view, view.cast("Q") as words:
                    words[L.RING_BASE // 8] = base
                    words[L.RING_NEXT // 8] = number
                taken = self._writer.attach(ring, slots, stride, number, depth)
            self._ring, self._shape, self._base = ring, (slots, stride), base

        try:
            rings.create_ring(
                self._folder, self._id, self._part + 1, slots, stride, depth, take_over
            )
        except BaseException:
            if taken:  # what is written now has no name: begin anew with the next message
                self._forked()
            raise
        if old is not None:
            rings.ring_path(self._folder, self._id, self._part).unlink(missing_ok=True)
        self._part += 1
        self._control.raise_generation()
        core.fence()
        self._ringer.wake()

    def _encode(self, message: object) -> tuple[int, tuple[Any, ...], int]:
        """Encode what is no declared message; the core calls this.

        What has no parts is lost: readers hold every frame.
        """
        if type(message) is loans.Reference:
            return L.KIND_FRAME, (message.payload,), message.hash
        try:
            spec = getattr(type(message), "__horus_spec__", None)
            if spec is not None and spec.cls is type(message) and spec.frame is not None:
                return self._encode_framed(spec, message)
            kind, parts = codec.encode(message, large=L.FRAME_LEAST)
            if kind != L.KIND_FRAME:
                return kind, parts, 0
            reference = self._pool().put(*parts)
            return L.KIND_FRAME, (reference.payload,) if reference else (), 0
        except MessageTypeError as error:
            raise MessageTypeError(f"topic {self.name!r}: {error}") from None

    def _encode_framed(
        self, spec: MessageSpec, message: object
    ) -> tuple[int, tuple[Any, ...], int]:
        """Encode a declared message with an array, which goes into a slot unless it is in one."""
        reference = self._lent.get(id(message))
        if reference is None:
            from horus.message.values import frame_of

            array = frame_of(spec, message)
            head = codec.array_head(array.shape, array.dtype)
            packed = bytes(self._pack(spec, message))
            reference = self._pool().put(head, array, spec.hash, packed)
        return L.KIND_FRAME, (reference.payload,) if reference else (), spec.hash

    def _pool(self) -> loans.Frames:
        """Return this publisher's frames."""
        if self._closed:
            self._dead()
        frames = self._frames
        if frames is None:
            import logging

            warn = logging.getLogger("horus.bus").warning
            made = loans.Frames(self.name, self._folder, self._id, self._control, warn)
            # Threads, and a signal handler, may be here at once. Two of them would number their
            # pools and frames alike; this one call cannot be interrupted.
            frames = self._made.setdefault("frames", made)
            put_into = getattr(self._writer, "put_into", None)
            if core.Lender is not None and put_into is not None:
                put_into(frames.slots)
                self._let_the_core_lend(frames)
            if self._closed:  # by another thread meanwhile
                frames.leave()
                self._dead()
        return frames

    @property
    def _frames(self) -> loans.Frames | None:
        return self._made.get("frames")

    def _let_the_core_lend(self, frames: loans.Frames) -> None:
        """Let the C core lend what needs no Python: it asks ``frames`` for the rest."""
        if self._declared is None:
            self.__dict__["loan"] = core.Lender(
                frames.slots, self._writer, frames, self._lend_slowly
            )

    @overload
    def loan(
        self, /, shape: Shape, dtype: DTypeLike = ..., *, stamp_ns: int | None = ...
    ) -> loans.Loan: ...
    @overload
    def loan(
        self,
        cls: type[M],
        shape: Shape,
        dtype: DTypeLike = ...,
        /,
        *,
        stamp_ns: int | None = ...,
        **fields: Any,
    ) -> lending.MessageLoan[M]: ...
    def loan(self, /, *args: Any, **more: Any) -> Any:
        """Return a place in shared memory for an array; the end of ``with`` sends it.

        ``with publisher.loan((480, 640, 3)) as pixels: camera.read_into(pixels)``. It holds what
        was there before: write all of it.

        With a message class that has an array, a message whose array lies there, of the other
        fields given: ``publisher.loan(Image, (480, 640, 3), encoding="rgb8")``. Without a
        dtype it is what the class's ``element_of(fields)`` says, or uint8.

        Raises:
            MessageTypeError: a shape that cannot be, or a dtype whose arrays cannot be sent; or
                the topic carries something else, or a field does not fit.
            MessageTooLargeError: it has more than 256 MiB.

        """
        # Who bound this method before the first loan is served by the core as well.
        return self.__dict__.get("loan", self._lend_slowly)(*args, **more)

    def _lend_slowly(self, /, *args: Any, **more: Any) -> Any:
        if args and isinstance(args[0], type):
            return self._lend_message(*args, **more)
        return self._lend_array(*args, **more)

    def _lend_array(
        self, shape: Shape, dtype: DTypeLike = "uint8", *, stamp_ns: int | None = None
    ) -> loans.Loan:
        if self._declared is not None:
            name = self._declared.name
            cure = f"send one, a loan is an array (or loan({name}, shape), if it has an array)"
            raise MessageTypeError(f"topic {self.name!r} carries {name}: {cure}")
        return loans.Loan(self._pool(), self.send, shape, dtype, stamp_ns)

    def _lend_message(
        self,
        cls: type,
        shape: Shape | None = None,
        dtype: DTypeLike | None = None,
        /,
        *,
        stamp_ns: int | None = None,
        **fields: Any,
    ) -> lending.MessageLoan[Any]:
        spec = getattr(cls, "__horus_spec__", None)
        if spec is None or spec.cls is not cls or spec.frame is None:
            raise MessageTypeError(
                f"topic {self.name!r}: loan({cls.__name__}): lent are arrays, and messages with "
                "an array, such as horus.msgs.Image"
            )
        if self._declared is not None and self._declared is not spec:
            raise MessageTypeError(
                f"topic {self.name!r} carries {self._declared.name}: loan({cls.__name__}) is "
                "another type"
            )
        if shape is None:
            raise MessageTypeError(
                f"topic {self.name!r}: loan({cls.__name__}): say the shape of its array, such as "
                f"loan({cls.__name__}, (480, 640, 3), ...)"
            )
        if dtype is None:
            of = getattr(cls, "element_of", None)
            dtype = "uint8" if of is None else of(fields)

        def lend(send: Callable[[loans.Reference, int | None], bool]) -> loans.Loan:
            return loans.Loan(self._pool(), send, shape, dtype, stamp_ns)

        return lending.MessageLoan(spec, fields, lend, self._send_lent)

    def _send_lent(
        self, message: Any, reference: loans.Reference | None, stamp_ns: int | None
    ) -> bool:
        """Send a message whose array lies in a slot already."""
        if reference is None:
            return self.send(message, stamp_ns)
        self._lent[id(message)] = reference
        try:
            return self.send(message, stamp_ns)
        finally:
            del self._lent[id(message)]

    @property
    def frames_dropped(self) -> int:
        """Return how many frames were lost because readers hold all of them."""
        return self._frames.dropped if self._frames is not None else 0

    def _pack_slowly(self, spec: MessageSpec, message: object) -> bytearray:
        """Pack what the C core cannot, or raise the error that says what is wrong with it."""
        try:
            return self._pack(spec, message)
        except MessageTypeError as error:
            raise MessageTypeError(f"topic {self.name!r}: {error}") from None

    @staticmethod
    def _pack(spec: MessageSpec, message: object) -> bytearray:
        payload = bytearray(spec.size)
        spec.pack_into(payload, 0, message)
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
        open_ends.discard(self)
        self.send = self._dead
        self._writer.close()
        if self._frames is not None:
            self._frames.leave()
        if self._ring is not None:
            with memoryview(self._ring) as view, view.cast("Q") as words:
                words[L.RING_CLOSED // 8] = monotonic_ns()
            with contextlib.suppress(BufferError):
                self._ring.close()
        self._ringer.close()
        leave(self._topics, self._control, patient=patient)

    def _forked(self) -> None:
        """Leave the ring to the parent; the child's first send makes one of its own."""
        shape = self._shape
        if self._frames is not None:
            self._frames.leave()
        self.__dict__.pop("loan", None)
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


def _first_capacity(declared: MessageSpec | None) -> int:
    """Return the room for one message; of one with an array, for its struct and a reference."""
    if declared is None:
        return FIRST_CAPACITY
    return declared.size if declared.frame is None else declared.size + FIRST_CAPACITY


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."

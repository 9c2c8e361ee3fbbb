"""Damage the files of a live topic, and use it: messages, None, or errors with a name come out.

A case is a number: the seed of all that happens in it. The same live topic serves for many cases,
in a forked child, so that a crash or a hang of one is seen, and its number told. Both cores read
the same memory and must agree on what it says.
"""

from __future__ import annotations

import gc
import os
import random
import resource
import select
import signal
import struct
from collections.abc import Callable
from mmap import mmap
from reprlib import repr as short
from typing import Any

import numpy as np

from horus.bus import (
    Publisher,
    Subscriber,
    core,
    files,
    frames,
    pure,
    rings,
    session,
    waiting,
)
from horus.bus import layout as L
from horus.errors import HorusError
from horus.msgs import Image
from tests.e2e.bus_worker import Whole, make

try:
    from horus.bus import _core as native
except ImportError:  # only the twin is fuzzed then
    native = pure  # type: ignore[assignment]

TOPIC = "fuzz"
BATCH = 1000  # cases for each child
PATIENCE = 60  # s without another case begun: a hang
MEMORY = 400 << 20  # bytes that a child may come to need above what it began with
INTERESTING = (
    0,
    1,
    2,
    3,
    4,
    63,
    64,
    255,
    2**15,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**62,
    2**63,
    2**64 - 1,
)

#: offset and size of what a header holds, and random places in it
RING_FIELDS = (
    (0, 8), (8, 4), (12, 4), (L.RING_SLOTS, 4), (L.RING_STRIDE, 4), (L.RING_PUBLISHER, 8),
    (L.RING_PID, 8), (L.RING_START, 8), (L.RING_BASE, 8), (L.RING_DEPTH, 8), (L.RING_NEXT, 8),
    (L.RING_NEXT, 8), (L.RING_NEXT, 8), (L.RING_CLOSED, 8),
)  # fmt: skip
SLOT_FIELDS = (
    (L.SLOT_SEQUENCE, 8), (L.SLOT_SEQUENCE, 8), (L.SLOT_LENGTH, 4), (L.SLOT_LENGTH, 4),
)  # fmt: skip
#: Of these no layout can tell that another value is wrong.
MEANING_FIELDS = ((L.SLOT_STAMP, 8), (L.SLOT_HASH, 8), (L.SLOT_KIND, 4))
CONTROL_FIELDS = (
    (0, 8), (8, 4), (12, 4), (L.CONTROL_TYPE_HASH, 8), (L.CONTROL_GENERATION, 8),
    (L.CONTROL_DEPTH, 4), (L.CONTROL_READERS, 4), (L.CONTROL_TYPE_NAME, 8), (L.CONTROL_WAITING, 1),
    (L.CONTROL_ENTRIES, 4), (L.CONTROL_ENTRIES + 4, 4), (L.CONTROL_ENTRIES + 8, 8),
)  # fmt: skip
FRAMES_FIELDS = (
    (0, 8), (8, 4), (12, 4), (L.FRAMES_SLOTS, 4), (20, 4), (L.FRAMES_PUBLISHER, 8),
    (L.FRAMES_CAPACITY, 8), (L.FRAMES_TAKEN, 8), (L.FRAMES_TAKEN + 8, 8),
)  # fmt: skip
#: The word of a slot, the pins of the two readers, and of some that are not there.
BLOCK_FIELDS = (
    (0, 8), (0, 8), (0, 8), (L.BLOCK_PINS, 1), (L.BLOCK_PINS + 1, 1), (L.BLOCK_PINS + 2, 1),
    (L.BLOCK_PINS + 200, 8), (8, 8),
)  # fmt: skip
READS = ("recv", "recv_stamped", "recv_all", "latest", "unread", "peek_stamp", "discard_before")


class Fault(AssertionError):
    """Something came out that must not."""


def use_core(name: str) -> None:
    """Let what is opened from now on be of a core."""
    one = pure if name == "pure" else native
    Publisher._core, Subscriber._core = one.Writer, one.Reader
    core.Slots, core.Looks, core.Lender = one.Slots, one.Looks, one.Lender


def message(number: int, dice: random.Random) -> Any:
    """Return one of every kind of message, with its number in it."""
    match dice.randrange(9):
        case 6:
            return np.full((number % 7 + 1, 700), number, "<f8")
        case 7:
            return np.full((1200, 2), number, "u2").T
        case 8:
            return Image(np.full((50, 40, 3), number % 256, "u1"), "rgb8", frame=f"{number}")
        case 0 | 1:
            return make(1, number)
        case 2:
            return {"n": number, "list": [1, 2.5, None, True], "text": "é" * dice.randrange(20)}
        case 3:
            return np.arange(number, number + 6, dtype=dice.choice(("<f4", ">i8", "u2"))).reshape(
                2, 3
            )
        case 4:
            return {"n": number, "array": np.full(4, number), "big": 2**70 + number}
        case _:
            return [number, b"bytes", {"deep": [[[number]]]}]


def same(a: Any, b: Any) -> bool:
    """Return whether two messages are equal, arrays in them too."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        alike = type(a) is type(b) and a.dtype == b.dtype and a.shape == b.shape
        return alike and a.tobytes() == b.tobytes()
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and (a == b or (a != a and b != b) or repr(a) == repr(b))


class Live:
    """A topic in use: a publisher, and a reader of each core."""

    def __init__(self, writing_core: str) -> None:
        self.writing_core = writing_core
        self.number = self.generation = 0
        self.sent: list[Any] = []
        self._open()

    def _open(self) -> None:
        self.readers = []
        for reader in ("native", "pure"):
            use_core(reader)
            self.readers.append(Subscriber(TOPIC, depth=3))
        use_core(self.writing_core)
        self.publisher = Publisher(TOPIC)
        self.pools: dict[int, tuple[mmap, bytes]] = {}
        self._map()

    def _map(self) -> None:
        """Map the files once more, as whoever damages them does."""
        publisher = self.publisher
        path = rings.ring_path(publisher._folder, publisher._id, publisher._part)
        self.ring = files.map_file(path, writable=True)
        self.control = files.map_file(publisher._folder / "control", writable=True)
        self.part = (publisher._id, publisher._part)
        self.heads = bytes(self.ring[: L.RING_HEADER]), bytes(self.control)

    def _map_pools(self) -> None:
        """Map pools that are new, let go of those that are not there any more, make all whole."""
        found = {p.part: p for p in frames.pool_files(self.publisher._folder)}
        found = {k: p for k, p in found.items() if p.publisher == self.publisher._id}
        for part in self.pools.keys() - found.keys():
            self.pools.pop(part)[0].close()
        for part in found.keys() - self.pools.keys():
            memory = files.map_file(found[part].path, writable=True)
            self.pools[part] = memory, bytes(memory[: L.FRAMES_TAKEN])
        for memory, head in self.pools.values():
            memory[: L.FRAMES_TAKEN] = head
            for block in blocks_of(memory, head):
                memory[block + L.BLOCK_PINS : block + L.FRAMES_BLOCK] = bytes(L.MAX_READERS)

    def send(self, dice: random.Random) -> None:
        body = message(self.number, dice)
        self.sent = [*self.sent[-11:], body]
        self.number += 1
        if type(body) is np.ndarray and body.ndim == 2 and dice.random() < 0.5:
            with self.publisher.loan(body.shape, body.dtype) as array:
                array[:] = body
        else:
            self.publisher.send(body)

    def heal(self, dice: random.Random) -> None:
        """Make everything as if nothing had happened, with fresh messages in every slot."""
        self.control[:] = self.heads[1]
        for reader in self.readers:
            use(reader, "unread")  # raises what recv_all has left to the next call
        if any(reader._pins.alive for reader in self.readers):
            gc.collect()  # arrays that errors hold: their pins are cleared below
        if self.part != (self.publisher._id, self.publisher._part):
            self.ring.close()
            self.control.close()
            self._map()
        if not rings.ring_path(self.publisher._folder, *self.part).exists():
            # Somebody took its owner for dead, as its damaged head said: it was tidied away.
            self.close()
            self._open()
        self._map_pools()
        self.ring[: L.RING_NEXT] = self.heads[0][: L.RING_NEXT]
        self.ring[L.RING_CLOSED : L.RING_CLOSED + 8] = bytes(8)
        slots = self.publisher._shape[0]
        for _ in range(slots):
            self.send(dice)
        for reader in self.readers:
            reader._refused.clear()
            reader._parts.clear()
            for pool in reader._pins.looks.pools():
                reader._pins.looks.remove(*pool)
            for ring in reader._reader.rings():
                reader._reader.detach(ring[0])
        # Far from any that a reader has noted while it was damaged.
        self.generation += (1 << 32) + 7919
        self.publisher._control.set_word(L.CONTROL_GENERATION, self.generation)
        for reader in self.readers:
            reader.latest()
        self.send(dice)
        for reader in self.readers:
            if not same(got := reader.recv(), self.sent[-1]):
                why = f"{reader._reader} got {short(got)}, not {short(self.sent[-1])}"
                raise Fault(f"a case would prove nothing: the topic does not work: {why}")

    def close(self) -> None:
        """Leave nothing."""
        for end in (*self.readers, self.publisher):
            end.close()


def blocks_of(memory: mmap, head: bytes) -> range:
    """Return where the blocks of a pool begin."""
    (count,) = struct.unpack_from("<I", head, L.FRAMES_SLOTS)
    end = L.FRAMES_BLOCKS + count * L.FRAMES_BLOCK
    return range(L.FRAMES_BLOCKS, end, L.FRAMES_BLOCK)


def _another(dice: random.Random, old: int, size: int) -> int:
    value = dice.choice(
        (
            lambda: dice.choice(INTERESTING),
            lambda: old + dice.choice((-2, -1, 1, 2, 3, 4, 8, 64)),
            lambda: old ^ 1 << dice.randrange(8 * size),
            lambda: dice.getrandbits(8 * size),
            lambda: old + (1 << dice.randrange(8 * size)),
        )
    )()
    return value % (1 << 8 * size)


def _change(memory: mmap, at: int, size: int, dice: random.Random) -> str:
    old = int.from_bytes(memory[at : at + size], "little")
    new = _another(dice, old, size)
    memory[at : at + size] = new.to_bytes(size, "little")
    return f"{at}: {old:#x} -> {new:#x}"


def damage(live: Live, dice: random.Random) -> tuple[bool, list[str]]:
    """Change something; return whether every message must still be one that was sent, and what."""
    told, certain = [], True
    slots, stride = live.publisher._shape
    kinds = ("ring", "ring", "slot", "slot", "slot", "meaning", "body", "control")
    if live.pools:
        kinds = (*kinds, "frames", "block", "block", "pixel")
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        what = dice.choice(kinds)
        slot = L.RING_HEADER + dice.randrange(slots) * stride
        if what == "ring":
            at, size = dice.choice((*RING_FIELDS, (dice.randrange(L.RING_HEADER - 8), 1)))
            told.append("ring " + _change(live.ring, at, size, dice))
        elif what == "slot":
            at, size = dice.choice(SLOT_FIELDS)
            told.append("ring " + _change(live.ring, slot + at, size, dice))
        elif what == "meaning":
            at, size = dice.choice(MEANING_FIELDS)
            told.append("ring " + _change(live.ring, slot + at, size, dice))
            certain = False
        elif what == "body":
            for _ in range(dice.randrange(1, 6)):
                at = slot + L.SLOT_HEADER + min(dice.randrange(200), int(dice.expovariate(0.1)))
                told.append("ring " + _change(live.ring, at, dice.choice((1, 1, 2, 4, 8)), dice))
            certain = False
        elif what in ("frames", "block", "pixel"):
            memory, head = live.pools[dice.choice(sorted(live.pools))]
            blocks = blocks_of(memory, head)
            if what == "frames":
                at, size = dice.choice((*FRAMES_FIELDS, (dice.randrange(blocks.stop - 8), 1)))
            elif what == "block":
                at, size = dice.choice(BLOCK_FIELDS)
                at += dice.choice(blocks)
            else:
                at, size = dice.randrange(blocks.stop, len(memory) - 8), 8
                certain = False
            told.append("frames " + _change(memory, at, size, dice))
        else:
            at, size = dice.choice((*CONTROL_FIELDS, (dice.randrange(L.CONTROL_SIZE - 8), 1)))
            told.append("control " + _change(live.control, at, size, dice))
    return certain, told


def use(end: Any, how: str, *arguments: Any) -> tuple[str, Any]:
    """Call it; return ("value", what it gave) or ("error", its class), or raise a `Fault`."""
    try:
        return "value", getattr(end, how)(*arguments)
    except HorusError as error:
        if "MemoryError" in str(error):
            raise Fault(f"{how}: asked for too much memory: {error}") from error
        return "error", type(error).__name__
    except Exception as error:
        raise Fault(f"{how}: {type(error).__name__}: {error}") from error


def reopen(dice: random.Random) -> None:
    """Open and close ends on the damaged files."""
    before = "pure" if Publisher._core is pure.Writer else "native"
    use_core(dice.choice(("native", "pure")))
    try:
        end: Any = dice.choice((Publisher, Subscriber))(TOPIC, dice.choice((None, Whole)))
    except HorusError:
        return
    except Exception as error:
        raise Fault(f"opening: {type(error).__name__}: {error}") from error
    finally:
        use_core(before)
    use(end, "close")


def plant(live: Live, dice: random.Random) -> None:
    """Put a file beside the ring that looks like one and is none."""
    folder, name = live.publisher._folder, dice.randrange(1, 2**64)
    data = bytearray(live.ring[:])
    struct.pack_into("<Q", data, L.RING_PUBLISHER, name)
    at, size = dice.choice(RING_FIELDS)
    value = _another(dice, int.from_bytes(data[at : at + size], "little"), size)
    data[at : at + size] = value.to_bytes(size, "little")
    keep = dice.choice((len(data), len(data), dice.randrange(len(data)), len(data) + 64))
    rings.ring_path(folder, name, 0).write_bytes((data + bytes(64))[:keep])
    for memory, _ in live.pools.values():
        pool = bytearray(memory[:])
        struct.pack_into("<Q", pool, L.FRAMES_PUBLISHER, name)
        at, size = dice.choice(FRAMES_FIELDS)
        value = _another(dice, int.from_bytes(pool[at : at + size], "little"), size)
        pool[at : at + size] = value.to_bytes(size, "little")
        frames.pool_path(folder, name, 0).write_bytes(pool[: dice.choice((len(pool), 5000, 10))])
    live.publisher._control.raise_generation()


def case(live: Live, number: int) -> int:
    """Try one: damage again and again what is still read; return how often, or raise a `Fault`."""
    dice = random.Random(number)
    told: list[str] = []
    damages, certain = 0, True
    live.heal(dice)
    planted = dice.random() < 0.03
    try:
        if planted:
            plant(live, dice)
            told.append("a planted file")
        for _ in range(dice.choice((1, 3, 6))):
            for _ in range(dice.randrange(1, 4)):
                live.send(dice)
            sound, what = damage(live, dice)
            certain, damages, told = certain and sound, damages + len(what), told + what
            for _ in range(dice.randrange(1, 4)):
                told.append(_read(live, dice, certain and not planted))
            if not all(reader._reader.rings() for reader in live.readers):
                break  # they have let go of it
        if dice.random() < 0.05:
            told.append("reopen")
            reopen(dice)
            gc.collect()  # what could not be opened is let go of now, not in some other case
        live.send(dice)
        use(live.readers[0], "wait", 0.0)
    except Fault as fault:
        where = f"case {number} ({live.writing_core} writer)"
        raise Fault(f"{where}: {fault}\n" + "\n".join(told)) from None
    finally:
        if planted:
            for ring in rings.ring_files(live.publisher._folder):
                if ring.publisher != live.publisher._id:
                    ring.path.unlink(missing_ok=True)
            for pool in frames.pool_files(live.publisher._folder):
                if pool.publisher != live.publisher._id:
                    pool.path.unlink(missing_ok=True)
    return damages


def _read(live: Live, dice: random.Random, certain: bool) -> str:
    how = dice.choice(READS)
    arguments = [dice.choice((0, 2**62, 2**70, -1))] if how == "discard_before" else []
    outcomes = [use(reader, how, *arguments) for reader in live.readers]
    _judge(live, how, outcomes, certain)
    if dice.random() < 0.3:
        live.send(dice)
    return f"{how}: {short(outcomes)}"


def _judge(live: Live, how: str, outcomes: list[tuple[str, Any]], certain: bool) -> None:
    (kind, value), (other_kind, other) = outcomes
    if kind != other_kind or not same(value, other):
        raise Fault(f"{how}: the cores disagree: native {value!r}, pure {other!r}")
    if kind == "error" or value is None or not certain:
        return
    got = {"recv": [value], "latest": [value], "recv_all": value}.get(how, [])
    if how == "recv_stamped":
        got = [value[0]]
    for one in got:
        if not any(same(one, sent) for sent in live.sent):
            raise Fault(f"{how}: {one!r} was never sent")


def batch(writing_core: str, numbers: range, note: Callable[[int, int], object]) -> None:
    """Try so many one after the other, in a process of their own."""
    rings.ring_shape = lambda capacity, depth: (4, max(512, -(-(capacity + 32) // 64) * 64))  # type: ignore[assignment]
    L.FRAME_BUDGET = 1 << 20
    live = Live(writing_core)
    gc.disable()
    gc.freeze()
    damages = 0
    for number in numbers:
        note(number, damages)
        damages += case(live, number)
    note(numbers.stop, damages)
    live.close()


def run(
    cases: int, first: int, writing_core: str, told: Callable[[str], object], limit: bool = True
) -> int:
    """Try so many cases from a first one on; return how many damages, or raise what went wrong.

    ``limit`` bounds a child's memory: not under AddressSanitizer, which reserves terabytes.
    """
    damages = 0
    for start in range(first, first + cases, BATCH):
        numbers = range(start, min(start + BATCH, first + cases))
        here, there = os.pipe()
        place = mmap(-1, 4096)
        pid = os.fork()
        if not pid:
            _child(writing_core, numbers, place, there, limit)
        os.close(there)
        fault, hung = _heard(here, place)
        if hung:
            os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        os.close(here)
        at, more_damages = struct.unpack_from("<QQ", place)
        damages += more_damages
        place.close()
        if hung or os.WIFSIGNALED(status) or status:
            end = "hangs" if hung else f"ends with status {os.waitstatus_to_exitcode(status)}"
            raise Fault(f"case {at} ({writing_core} writer) {end}\n{fault.decode()}")
        done = numbers.stop - first
        if done % 20_000 == 0:
            told(f"{writing_core} writer: {done} cases, {damages} damages")
    return damages


def _heard(pipe: int, place: mmap) -> tuple[bytes, bool]:
    """Return what a batch has said until its end, and whether it hangs instead of ending."""
    said, case = b"", place[:8]
    while True:
        if select.select([pipe], [], [], PATIENCE)[0]:
            if not (more := os.read(pipe, 65536)):
                return said, False
            said += more
        elif place[:8] == case:
            return said, True
        case = place[:8]


def _child(writing_core: str, numbers: range, place: mmap, there: int, limit: bool) -> None:
    status = 1
    try:
        if limit:
            with open("/proc/self/statm") as file:  # noqa: PTH123
                size = int(file.read().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
        batch(writing_core, numbers, lambda *now: struct.pack_into("<QQ", place, 0, *now))
        status = 0
    except BaseException as error:
        text = str(error) if isinstance(error, Fault) else repr(error)
        if not isinstance(error, Fault):
            import traceback

            text = traceback.format_exc()
        os.write(there, text.encode()[:60000])
    finally:
        os._exit(status)


def clean() -> None:
    """Remove what the children left."""
    from horus.bus import leftovers

    leftovers.clean(force=True)
    waiting.clean_semaphores([])
    assert not session.root().exists() or not list(session.root().iterdir())

"""Last words: what makes a device safe, left behind for when its process is dead.

A driver's process writes them into the session's folder when it arms a device, and takes them back
once the device is safe. The supervisor sends those of a process that died, over a bus that it opens
for that: the kernel has freed what the dead process held. What the file says is checked before it
is used: sizes, ranges, kinds of bus.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from horus.bus.session import explain, make_dir
from horus.hal import config as hal_config
from horus.hal.backends import Bus, python_can
from horus.hal.config import BusConfig
from horus.hardware import simbuses, words
from horus.hardware.buses import make_link
from horus.hardware.config import BusEntry, DeviceEntry
from horus.hardware.simbuses import session_path
from horus.hardware.words import UnspeakableError, Word
from horus.plugins import buses

FOLDER = "last_words"
LIMIT = 65_536  # bytes of a file
MOST_WORDS = 64


@dataclass(frozen=True)
class BusAddress:
    """Where a bus is, so that another process can open it.

    ``branches`` are the buses that hang from it, such as those of multiplexers, parents first.
    """

    name: str
    use: str
    config: BusConfig
    branches: tuple[BusEntry, ...] = ()

    def open(self, run: Path | None = None) -> Bus:
        """Open the bus; a simulated one that of a run, by default this process's."""
        if isinstance(self.config, tuple(simbuses.KINDS.values())):
            return simbuses.open_bus(self.name, self.config, run)
        return buses()[self.use].load()(self.name, self.config)

    @property
    def word(self) -> str:
        """Return how a file of last words calls the bus's kind."""
        kinds = {made: name for name, made in simbuses.KINDS.items()}
        return kinds.get(type(self.config), self.use)


@dataclass(frozen=True)
class SpokenWord:
    """What became of one device: whether its frames went out, and a text for people."""

    device: str
    ok: bool
    text: str


def words_of(device: DeviceEntry, branches: Sequence[BusEntry] = ()) -> list[Word]:
    """Return what an actuator's `safe` sends on the bus that its process opens: its last words.

    For a device on one of the ``branches`` that includes the choice of the branch. None at all on a
    kind of bus that nobody can listen to.
    """
    kind = device.driver.map_type.bus_kind
    if kind not in words.KINDS:
        return []
    ear = words.ear(kind, {getattr(entry.config, "address", None) for entry in branches})
    known: dict[str, Bus] = {}
    for entry in branches:
        parent = known.get(entry.parent, ear)
        known[entry.name] = entry.backend.branch(parent, entry.name, entry.config)
    bus = known.get(device.bus, ear)
    driver: Any = device.driver(device.config, make_link(bus, None, device.name, device.station))
    try:
        driver.safe()
    except UnspeakableError as error:
        raise UnspeakableError(f"{device.name}: safe() of {device.use} {error}") from None
    heard: list[Word] = ear.heard
    return heard


def record(device: str, bus: BusAddress, said: Sequence[Word]) -> None:
    """Leave words behind for a device; outside of a run nobody would send them."""
    path = _file(device)
    if path is None or not said:
        return
    make_dir(path.parent)
    text = {
        "device": device,
        "pid": os.getpid(),
        "bus": {"name": bus.name, "use": bus.word, "config": asdict(bus.config)},
        "words": [words.packed(word) for word in said],
    }
    draft = path.with_suffix(".new")
    try:
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w") as file:
            json.dump(text, file, default=str)
        draft.replace(path)
    except OSError as error:
        raise explain(error, path) from None


def withdraw(device: str) -> None:
    """Take back what was left behind for a device: it is safe."""
    path = _file(device)
    if path is not None:
        path.unlink(missing_ok=True)


def prepare() -> None:
    """Import what `speak` needs to open a bus, so that it takes no time when it matters.

    What cannot be imported is told when it is needed.
    """
    with contextlib.suppress(Exception):
        python_can.preload()
    with contextlib.suppress(Exception):
        for use in buses().values():
            with contextlib.suppress(Exception):
                use.load()
    with contextlib.suppress(Exception):
        import serial  # noqa: F401


def pending() -> list[str]:
    """Return the devices of this process whose last words were not taken back."""
    run = session_path()
    found = sorted((run / FOLDER).glob(f"{os.getpid()}-*.json")) if run else []
    return [path.stem.partition("-")[2] for path in found]


def armed(session_path: Path, pid: int) -> list[str]:
    """Return the devices for which a process has left words behind."""
    found = sorted((Path(session_path) / FOLDER).glob(f"{int(pid)}-*.json"))
    return [path.stem.partition("-")[2] for path in found]


def speak(session_path: Path, pid: int) -> list[SpokenWord]:
    """Send the last words of a dead process, each device in turn, whatever became of the others."""
    spoken = []
    with contextlib.ExitStack() as stack:
        opened: dict[BusAddress, Bus] = {}
        for device in armed(session_path, pid):
            path = Path(session_path) / FOLDER / f"{int(pid)}-{device}.json"
            spoken.append(_speak(path, pid, opened, stack))
            with contextlib.suppress(OSError):
                path.unlink()
    return spoken


def _file(device: str) -> Path | None:
    run = session_path()
    return run / FOLDER / f"{os.getpid()}-{device}.json" if run else None


def _speak(
    path: Path, pid: int, opened: dict[BusAddress, Bus], stack: contextlib.ExitStack
) -> SpokenWord:
    device = path.stem.partition("-")[2]
    try:
        address, said = _read(path, pid, device)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        return SpokenWord(device, False, f"its last words in {path} cannot be used: {error}")
    try:
        bus = opened.get(address)
        if bus is None:
            bus = opened[address] = address.open(path.parent.parent)
            stack.callback(_close, bus)
    except OSError as error:  # a DeviceFault too
        return SpokenWord(device, False, str(error))
    lost: dict[Word, OSError] = {}
    for word in said * 2:  # one may be lost, and to be safe twice does no harm
        try:
            words.say(bus, word)
            lost.pop(word, None)
        except OSError as error:
            lost[word] = error
    # A second multiplexer that is to be switched off may be gone itself.
    own = [word for word in lost if words.station(word) == words.station(said[-1])]
    if own:
        return SpokenWord(device, False, str(lost[own[0]]))
    return SpokenWord(device, True, f"told to stop on {address.name}")


def _close(bus: Bus) -> None:
    with contextlib.suppress(OSError):
        bus.close()


def _read(path: Path, pid: int, device: str) -> tuple[BusAddress, list[Word]]:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        about = os.fstat(file.fileno())
        if about.st_uid != os.geteuid() or not stat.S_ISREG(about.st_mode):
            raise ValueError("the file belongs to somebody else")
        text = file.read(LIMIT + 1)
    if len(text) > LIMIT:
        raise ValueError("the file is too large")
    found = json.loads(text)
    if found["device"] != device or found["pid"] != pid:
        raise ValueError("the file is about another device or process")
    if not 0 < len(found["words"]) <= MOST_WORDS:
        raise ValueError(f"{len(found['words'])} words")
    bus = found["bus"]
    use = bus["use"]
    if use in simbuses.KINDS:
        options, kind = simbuses.KINDS[use], simbuses.KIND_OF[use]
    elif use in buses():
        backend = buses()[use].load()
        options, kind = backend.config_type, backend.kind
    else:
        raise ValueError(f"{use!r} is no kind of bus")
    if kind not in words.KINDS:
        raise ValueError(f"{use!r} is a kind of bus on which nobody can speak for a device")
    wrong = hal_config.faults(options, bus["config"])
    if wrong:
        raise ValueError("; ".join(f"{option} {text}" for option, text in wrong))
    said = [words.unpacked(kind, word) for word in found["words"]]
    return BusAddress(str(bus["name"]), use, options(**bus["config"])), said

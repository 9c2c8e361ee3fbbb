"""Last words: the frames that make a device safe, left behind for when its process is dead.

A driver's process writes them into the session's folder when it arms a device, and takes them back
once the device is safe. The supervisor sends those of a process that died, over a bus that it opens
for that. What the file says is checked before it is used: sizes, ranges, kinds of bus.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from horus.bus.session import explain, make_dir
from horus.hal import config as hal_config
from horus.hal.backends import BACKENDS, backend, python_can
from horus.hal.can import CanBus, CanFrame
from horus.hal.canlink import CanHub, CanLink
from horus.hal.config import BusConfig
from horus.hardware import simbuses
from horus.hardware.config import DeviceEntry
from horus.hardware.simbuses import session_path

FOLDER = "last_words"
LIMIT = 16_384  # bytes of a file
MOST_FRAMES = 64


@dataclass(frozen=True)
class BusAddress:
    """Where a bus is, so that another process can open it."""

    name: str
    use: str
    config: BusConfig

    def open(self, run: Path | None = None) -> CanBus:
        """Open the bus; a simulated one that of a run, by default this process's."""
        if isinstance(self.config, tuple(simbuses.KINDS.values())):
            return simbuses.open_can(self.name, self.config, run)
        return cast(CanBus, backend(self.use)(self.name, self.config))

    @property
    def kind(self) -> str:
        """Return the word for the bus's kind in a file of last words."""
        kinds = {made: name for name, made in simbuses.KINDS.items()}
        return kinds.get(type(self.config), self.use)


@dataclass(frozen=True)
class SpokenWord:
    """What became of one device: whether its frames went out, and a text for people."""

    device: str
    ok: bool
    text: str


class _Listener(CanBus):
    """A bus that only remembers what was sent."""

    def __init__(self) -> None:
        self.sent: list[CanFrame] = []

    def send(self, frame: CanFrame) -> None:
        self.sent.append(frame)

    def receive(self, timeout: float = 0.0) -> CanFrame | None:
        return None

    def set_filters(self, frames: object) -> None:
        pass

    def close(self) -> None:
        pass


def words_of(device: DeviceEntry) -> list[CanFrame]:
    """Return what an actuator's `safe` sends: its last words. Nothing on a bus that is not CAN."""
    if device.driver.map_type.bus_kind != "can":
        return []
    bus = _Listener()
    driver: Any = device.driver(device.config, CanLink(CanHub(bus), device.station, device.name))
    driver.safe()
    return bus.sent


def record(device: str, bus: BusAddress, frames: list[CanFrame]) -> None:
    """Leave frames behind for a device; outside of a run nobody would send them."""
    path = _file(device)
    if path is None or not frames:
        return
    make_dir(path.parent)
    words = {
        "device": device,
        "pid": os.getpid(),
        "bus": {"name": bus.name, "use": bus.kind, "config": asdict(bus.config)},
        "frames": [{"id": f.id, "data": f.data.hex(), "extended": f.extended} for f in frames],
    }
    draft = path.with_suffix(".new")
    try:
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w") as file:
            json.dump(words, file)
        draft.replace(path)
    except OSError as error:
        raise explain(error, path) from None


def withdraw(device: str) -> None:
    """Take back what was left behind for a device: it is safe."""
    path = _file(device)
    if path is not None:
        path.unlink(missing_ok=True)


def prepare() -> None:
    """Import what `speak` needs to open a bus, so that it takes no time when it matters."""
    python_can.preload()


def pending() -> list[str]:
    """Return the devices of this process whose last words were not taken back."""
    run = session_path()
    found = sorted((run / FOLDER).glob(f"{os.getpid()}-*.json")) if run else []
    return [path.stem.partition("-")[2] for path in found]


def speak(session_path: Path, pid: int) -> list[SpokenWord]:
    """Send the last words of a dead process, each device in turn, whatever became of the others."""
    spoken = []
    for path in sorted((Path(session_path) / FOLDER).glob(f"{int(pid)}-*.json")):
        spoken.append(_speak(path, pid))
        with contextlib.suppress(OSError):
            path.unlink()
    return spoken


def _file(device: str) -> Path | None:
    run = session_path()
    return run / FOLDER / f"{os.getpid()}-{device}.json" if run else None


def _speak(path: Path, pid: int) -> SpokenWord:
    device = path.stem.partition("-")[2]
    try:
        bus, frames = _read(path, pid, device)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        return SpokenWord(device, False, f"its last words in {path} cannot be used: {error}")
    try:
        handle = bus.open(path.parent.parent)
        try:
            for frame in frames * 2:  # a frame may be lost, and to be safe twice does no harm
                handle.send(frame)
        finally:
            handle.close()
    except OSError as error:  # a DeviceFault too
        return SpokenWord(device, False, str(error))
    return SpokenWord(device, True, f"told to stop on {bus.name}")


def _read(path: Path, pid: int, device: str) -> tuple[BusAddress, list[CanFrame]]:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        about = os.fstat(file.fileno())
        if about.st_uid != os.geteuid() or not stat.S_ISREG(about.st_mode):
            raise ValueError("the file belongs to somebody else")
        text = file.read(LIMIT + 1)
    if len(text) > LIMIT:
        raise ValueError("the file is too large")
    words = json.loads(text)
    if words["device"] != device or words["pid"] != pid:
        raise ValueError("the file is about another device or process")
    if not 0 < len(words["frames"]) <= MOST_FRAMES:
        raise ValueError(f"{len(words['frames'])} frames")
    frames = [
        CanFrame(int(f["id"]), bytes.fromhex(f["data"]), extended=bool(f["extended"]))
        for f in words["frames"]
    ]
    about_bus = words["bus"]
    use = about_bus["use"]
    kind = simbuses.KINDS.get(use)
    if kind is None and use in BACKENDS and backend(use).kind == "can":
        kind = backend(use).config_type
    if kind is None:
        raise ValueError(f"{use!r} is no kind of CAN bus")
    wrong = hal_config.faults(kind, about_bus["config"])
    if wrong:
        raise ValueError("; ".join(f"{option} {text}" for option, text in wrong))
    return BusAddress(str(about_bus["name"]), use, kind(**about_bus["config"])), frames

"""What is plugged into this machine: I2C adapters, CAN interfaces, serial ports.

All of it is read from the kernel's files under /sys and /dev; nothing is opened.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from horus.hal.backends.access import denied
from horus.hal.backends.holders import locker, openers
from horus.hal.backends.socketcan import ARPHRD_CAN, IFF_UP
from horus.hookspecs import Found

ROOT = Path("/")
#: Longest wait (s) for the ``ip`` command.
IP_TIMEOUT = 2.0


@dataclass(frozen=True)
class UsbDevice:
    """What a USB device tells about itself."""

    vendor: str
    product: str
    serial: str
    names: str

    def __str__(self) -> str:
        serial = f", serial {self.serial}" if self.serial else ""
        return f"{self.names} ({self.vendor}:{self.product}{serial})".strip()


def everything(root: Path = ROOT) -> list[Found]:
    """Return all buses that are plugged in, as far as HORUS itself knows their kinds."""
    return [*i2c(root), *can(root), *serial(root)]


def i2c(root: Path = ROOT) -> Iterator[Found]:
    """Yield the I2C adapters, with the speed where the kernel tells it."""
    for path in sorted((root / "dev").glob("i2c-*"), key=_by_number):
        number = path.name.removeprefix("i2c-")
        name = text_of(root / f"sys/class/i2c-dev/{path.name}/name")
        speed = i2c_speed(path.name, root)
        about = ", ".join(filter(None, (name, f"{speed / 1000:g} kHz" if speed else "")))
        options = {"device": f"/dev/{path.name}"}
        yield Found(f"i2c{number}", "i2c", options, about, _access(path))


def i2c_speed(adapter: str, root: Path = ROOT) -> int:
    """Return the clock (Hz) of an adapter as the device tree gives it; 0 when it does not."""
    for name in ("of_node/clock-frequency", "device/of_node/clock-frequency"):
        with contextlib.suppress(OSError):
            return int.from_bytes(
                (root / f"sys/class/i2c-adapter/{adapter}" / name).read_bytes(), "big"
            )
    return 0


def can(root: Path = ROOT) -> Iterator[Found]:
    """Yield the CAN interfaces, with the bit rate of those that are up."""
    for place in sorted((root / "sys/class/net").glob("*")):
        if _number(place / "type") != ARPHRD_CAN:
            continue
        up = bool(_number(place / "flags") & IFF_UP)
        bitrate = can_bitrate(place.name) if up else 0
        options: dict[str, object] = {"channel": place.name, "bitrate": bitrate or 500_000}
        usb = usb_device(place / "device")
        about = ", ".join(filter(None, (str(usb or ""), "up" if up else "down")))
        cure = f"`sudo ip link set {place.name} up type can bitrate 500000`"
        problem = "" if up else f"{place.name} is down: {cure}, with the bit rate of your bus"
        yield Found(place.name, "socketcan", options, about, problem)


def can_bitrate(interface: str) -> int:
    """Return the bit rate of a CAN interface as ``ip`` tells it; 0 when it cannot."""
    command = shutil.which("ip")
    if command is None:
        return 0
    try:
        done = subprocess.run(
            [command, "-details", "-json", "link", "show", interface],
            capture_output=True,
            text=True,
            timeout=IP_TIMEOUT,
        )
        (about,) = json.loads(done.stdout)
        return int(about["linkinfo"]["info_data"]["bittiming"]["bitrate"])
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError):
        return 0


def serial(root: Path = ROOT) -> Iterator[Found]:
    """Yield the serial ports that have hardware behind them, by their lasting names."""
    lasting = _lasting_names(root)
    consoles = text_of(root / "sys/class/tty/console/active").split()
    for place in sorted((root / "sys/class/tty").glob("*"), key=_by_number):
        if not (place / "device").exists() or text_of(place / "type") == "0":  # no chip behind it
            continue
        path = root / "dev" / place.name
        if not path.exists() or path.name.startswith(("ttyprintk", "pty", "hvc")):
            continue
        device = lasting.get(path.name, f"/dev/{path.name}")
        usb = usb_device(place / "device")
        about = path.name + (f": {usb}" if usb else "")
        name = path.name.removeprefix("tty").lower()
        console = f"{device} is the system's console: take it away from that first"
        problem = console if place.name in consoles else _access(path)
        yield Found(f"serial_{name}", "serial", {"device": device}, about, problem)


def usb_device(place: Path) -> UsbDevice | None:
    """Return the USB device that an interface of the kernel belongs to, if it is one."""
    try:
        here = place.resolve(strict=True)
    except OSError:
        return None
    for folder in (here, *here.parents):
        vendor = text_of(folder / "idVendor")
        if vendor:
            names = (text_of(folder / "manufacturer"), text_of(folder / "product"))
            return UsbDevice(
                vendor,
                text_of(folder / "idProduct"),
                text_of(folder / "serial"),
                " ".join(filter(None, names)),
            )
    return None


def text_of(path: Path) -> str:
    """Return the one line that a file of the kernel holds; "" when it cannot be read."""
    try:
        text = path.read_text(errors="replace").strip()
    except OSError:
        return ""
    return text if text.isprintable() else repr(text)[1:-1]


def _access(path: Path) -> str:
    """Return why a device node cannot be used now, and what to do."""
    if not os.access(path, os.R_OK | os.W_OK):
        return str(denied(path, "")).removeprefix(": ")
    holder = locker(path) or openers(path)
    return f"{path} is in use by {holder}" if holder else ""


def _lasting_names(root: Path) -> dict[str, str]:
    """Return the names under /dev/serial/by-id by those that may change, such as ttyUSB0."""
    found = {}
    for link in sorted((root / "dev/serial/by-id").glob("*")):
        with contextlib.suppress(OSError):
            found[link.readlink().name] = f"/dev/serial/by-id/{link.name}"
    return found


def _by_number(path: Path) -> tuple[int, str]:
    return len(path.name), path.name


def _number(path: Path) -> int:
    try:
        return int(path.read_text(), 0)
    except (OSError, ValueError):
        return 0

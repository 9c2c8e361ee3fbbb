"""Finds the bus that a rig's file means among those that are plugged in.

What is known of each is read from the kernel's files below /sys; nothing is opened. A name such as
``can0`` or ``ttyUSB0`` is no key: the kernel gives them in the order in which things were plugged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from horus.hal.backends.socketcan import ARPHRD_CAN
from horus.hardware.plugged import ROOT, text_of, usb_device

#: What may stand under ``match:``, with what it is compared with.
KEYS = {
    "adapter": "the name of an I2C adapter",
    "path": "where it is plugged in: a PCI slot, a USB port, a device of the board",
    "driver": "the driver of the kernel",
    "usb": "vendor and product of the USB device",
    "serial": "the serial number of the USB device",
    "interface": "the number of the USB device's interface",
    "port": "the number of a CAN adapter's channel",
}
#: The keys of which the numbers are compared, not their digits.
HEX = {"usb", "interface", "port"}
#: What is found for each kind of bus, and which of its options that fills.
FAMILIES = {
    "i2c": ("i2c", "device"),
    "socketcan": ("can", "channel"),
    "serial": ("serial", "device"),
    "slcan": ("serial", "device"),
    "modbus": ("serial", "device"),
}
_FAMILY_KEYS = {
    "i2c": ("adapter", "path", "driver", "usb", "serial"),
    "can": ("path", "driver", "usb", "serial", "interface", "port"),
    "serial": ("path", "driver", "usb", "serial", "interface"),
}
#: What finds a bus again, the best first: what goes with the device before where it is plugged in.
_BEST: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "i2c": (("usb", "serial"), ("path",), ("adapter",), ("path", "adapter")),
    "can": (("usb", "serial"), ("usb", "serial", "port"), ("path",), ("path", "port")),
    "serial": (("usb", "serial"), ("usb", "serial", "interface"), ("path",)),
}
_WORDS = {"i2c": "I2C adapter", "can": "CAN interface", "serial": "serial port"}
#: So many candidates are shown.
_SHOWN = 4


class MatchError(Exception):
    """No bus is the one that is meant, or several are."""


@dataclass(frozen=True)
class Candidate:
    """A bus that is plugged in."""

    #: What a back-end opens: a device node, or the name of an interface.
    resource: str
    #: What is known of it, by the keys of `KEYS`; what is not known is left out.
    about: Mapping[str, str]
    #: The names of all that it hangs from; each is a good ``path``.
    above: tuple[str, ...] = ()

    def differs(self, wanted: Mapping[str, str]) -> list[str]:
        """Return in which keys it is another one than is wanted."""
        return [key for key, value in wanted.items() if not self._is(key, value)]

    def _is(self, key: str, wanted: str) -> bool:
        if key == "path":
            return wanted in self.above
        here = self.about.get(key)
        if here is None:
            return False
        return _numbers(here) == _numbers(wanted) if key in HEX else here == wanted

    def __str__(self) -> str:
        about = ", ".join(f"{key} {value}" for key, value in self.about.items())
        return f"{self.resource} ({about})" if about else self.resource


def keys_of(use: str) -> tuple[str, ...]:
    """Return the keys by which buses of a kind can be matched; none where it cannot be."""
    family = FAMILIES.get(use)
    return _FAMILY_KEYS[family[0]] if family else ()


def find(use: str, wanted: Mapping[str, str], root: Path = ROOT) -> Candidate:
    """Return the one bus of a kind that has all that is wanted; otherwise a `MatchError`."""
    family = FAMILIES[use][0]
    here = list(_LIST[family](root))
    good = [candidate for candidate in here if not candidate.differs(wanted)]
    shown = ", ".join(f"{key}: {value}" for key, value in wanted.items())
    if len(good) == 1:
        return good[0]
    if good:
        both = " and ".join(map(str, good))
        unlike = sorted({key for key in keys_of(use) if len({c.about.get(key) for c in good}) > 1})
        cure = f"add {' or '.join(unlike)} to match:" if unlike else "unplug one of them"
        raise MatchError(f"{len(good)} are {{{shown}}}: {both}; {cure}")
    near = sorted(here, key=lambda candidate: len(candidate.differs(wanted)))[:_SHOWN]
    text = f"no {_WORDS[family]} here is {{{shown}}}: plug it in"
    if not near:
        raise MatchError(f"{text}; there is no {_WORDS[family]} at all")
    tell = "; ".join(
        f"{candidate.resource}: {_difference(candidate, wanted)}" for candidate in near
    )
    raise MatchError(f"{text}, or correct match: (nearest: {tell})")


def marks(use: str, candidate: Candidate, root: Path = ROOT) -> dict[str, str] | None:
    """Return the fewest marks by which a bus that is plugged in is found; None if there are none.

    A serial number is better than a place, for it goes with the device.
    """
    family = FAMILIES[use][0]
    for keys in _BEST[family]:
        wanted = {key: candidate.about[key] for key in keys if key in candidate.about}
        if len(wanted) < len(keys):
            continue
        here = [one for one in _LIST[family](root) if not one.differs(wanted)]
        if [one.resource for one in here] == [candidate.resource]:
            return wanted
    return None


def _difference(candidate: Candidate, wanted: Mapping[str, str]) -> str:
    """Return how a candidate differs from what is wanted, key by key."""
    texts = []
    for key in candidate.differs(wanted):
        here = candidate.about.get(key)
        texts.append(f"{key} is {here}, not {wanted[key]}" if here else f"it has no {key}")
    return ", ".join(texts)


def _numbers(text: str) -> tuple[int | str, ...]:
    """Return the hexadecimal numbers of a text such as ``0403:6001``."""
    found: list[int | str] = []
    for part in text.split(":"):
        try:
            found.append(int(part, 16))
        except ValueError:
            found.append(part)
    return tuple(found)


def i2c(root: Path = ROOT) -> Iterator[Candidate]:
    """Yield the I2C adapters."""
    for place in _sorted(root / "sys/class/i2c-dev", "i2c-*"):
        device = place / "device"
        yield _candidate(root, f"dev/{place.name}", device, adapter=text_of(place / "name"))


def can(root: Path = ROOT) -> Iterator[Candidate]:
    """Yield the CAN interfaces, virtual ones too."""
    for place in _sorted(root / "sys/class/net", "*"):
        if text_of(place / "type") != str(ARPHRD_CAN):
            continue
        # Adapters with several channels count them in one of the two, depending on their driver.
        numbers = [text_of(place / name) for name in ("dev_port", "dev_id")]
        port = next((text for text in numbers if text and int(text, 0)), numbers[0])
        about = {"port": str(int(port, 0))} if port else {}
        yield _candidate(root, place.name, place / "device", **about)


def serial(root: Path = ROOT) -> Iterator[Candidate]:
    """Yield the serial ports that have hardware behind them."""
    for place in _sorted(root / "sys/class/tty", "*"):
        if (place / "device").exists() and text_of(place / "type") != "0":
            yield _candidate(root, f"dev/{place.name}", place / "device")


_LIST: Mapping[str, Callable[[Path], Iterator[Candidate]]] = {
    "i2c": i2c,
    "can": can,
    "serial": serial,
}


def everything(root: Path = ROOT) -> Iterator[tuple[str, Candidate]]:
    """Yield all that is plugged in, each with the kind of bus it may be used as."""
    for use, (family, _) in FAMILIES.items():
        if use in ("i2c", "socketcan", "serial"):
            for candidate in _LIST[family](root):
                yield use, candidate


def _sorted(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.glob(pattern), key=lambda path: (len(path.name), path.name))


def _candidate(root: Path, resource: str, device: Path, **about: str) -> Candidate:
    """Return what is known of a bus from the device that it belongs to."""
    found = dict(about)
    try:
        here = device.resolve(strict=True)
    except OSError:  # a virtual one
        here = None
    above: list[str] = []
    if here is not None:
        devices = (root / "sys/devices").resolve()
        for folder in (here, *here.parents):
            if folder == devices or folder == folder.parent:
                break
            above.append(folder.name)
            driver = folder / "driver"
            if "driver" not in found and driver.exists():
                found["driver"] = driver.resolve().name
            number = text_of(folder / "bInterfaceNumber")
            if number and "interface" not in found:
                found["interface"] = str(int(number, 16))
        own = Path(resource).name
        path = next((name for name in above if name != own and not name.startswith("tty")), "")
        if path:
            found["path"] = path
    usb = usb_device(device)
    if usb is not None:
        found["usb"] = f"{usb.vendor}:{usb.product}"
        if usb.serial:
            found["serial"] = usb.serial
    full = resource if "/" not in resource else str(root / resource)
    return Candidate(full, {key: found[key] for key in KEYS if found.get(key)}, tuple(above))

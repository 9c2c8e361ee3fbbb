"""What a run of the checks on a rig found, and its file ``report.json``.

The file says which rig, which devices with their identities, which versions, and for each check of
each device whether it passed and what it measured, with limits. Its first field is the number of
its format; readers skip fields that they do not know, so that only a change of meaning needs a new
number.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from horus.errors import HorusError

#: The number of the format that this version writes, and the only one that it reads.
FORMAT = 1
#: The name of the file in the folder of a report.
FILE_NAME = "report.json"

#: What the reason begins with when a test was skipped because it does not apply.
NOT_APPLICABLE = "does not apply: "

Kind = Literal["mock", "virtual", "real"]
Status = Literal["passed", "failed", "error", "quarantined", "skipped"]
Verdict = Literal["passed", "failed", "nothing ran", "not ready", "hazard refused"]

#: How a run ends: what is said of it.
VERDICTS: Mapping[int, tuple[Verdict, str]] = {
    0: ("passed", ""),
    1: ("failed", ""),
    130: ("failed", "the run was interrupted: what is not here was not run"),
    3: ("not ready", ""),
    4: ("hazard refused", ""),
    5: ("nothing ran", ""),
}


class ReportError(HorusError, ValueError):
    """A report cannot be read, or what it says makes no sense."""

    exit_code = 2


@dataclass
class Figure:
    """One number that a check measured, and what it has to be between."""

    name: str
    value: float
    unit: str = ""
    #: The limits; None where there is none.
    low: float | None = None
    high: float | None = None
    #: From where on it is worth a word although it passes; on the side of the limit that it has.
    warn: float | None = None

    @property
    def fits(self) -> bool:
        """Return whether the value is within its limits; what is not a number is not."""
        return not (
            math.isnan(self.value)
            or (self.low is not None and self.value < self.low)
            or (self.high is not None and self.value > self.high)
        )

    @property
    def warned(self) -> bool:
        """Return whether the value passes but is beyond ``warn``, towards its limit."""
        if self.warn is None or not self.fits:
            return False
        if self.high is None and self.low is not None:
            return self.value < self.warn
        return self.value > self.warn


@dataclass
class CheckResult:
    """What one test found about one device, or one wire."""

    #: What is checked, such as C4, and in words.
    check: str
    title: str
    #: The device or the wire; "" where it is about the rig.
    device: str
    #: pytest's name of the test.
    test: str
    status: Status
    #: Why it failed, was skipped or is in quarantine, in words.
    reason: str = ""
    seconds: float = 0.0
    figures: list[Figure] = field(default_factory=list)
    #: What pytest shows of a failure.
    detail: str = ""
    #: Whether it could be had on some rig; if not, that it was skipped is no lack.
    applies: bool = True


@dataclass
class Device:
    """A device of the rig."""

    name: str
    use: str
    bus: str = ""
    place: str = ""
    #: What it said that it is, such as its serial number; "" if it cannot say.
    identity: str = ""
    mock: bool = False


@dataclass
class Fault:
    """A fault that was injected, and whether it was undone."""

    device: str
    #: Such as unplug, nak or corrupt; and by what.
    kind: str
    how: str = ""
    #: When, in seconds after the start.
    at: float = 0.0
    undone: bool = True


@dataclass
class Rig:
    """The bench."""

    name: str
    kind: Kind
    file: str = ""
    #: The hazards that both the file and the command line allowed.
    allow: list[str] = field(default_factory=list)
    #: What else there is to know, such as the host and its adapters.
    facts: dict[str, str] = field(default_factory=dict)


@dataclass
class Versions:
    """What ran; `horus.testing.report.machine.versions` finds it out."""

    horus: str
    python: str = ""
    kernel: str = ""
    #: Which core of the bus: native or pure.
    core: str = ""
    packages: dict[str, str] = field(default_factory=dict)


@dataclass
class Report:
    """All that a run found."""

    rig: Rig
    #: When it began, ISO 8601 with its time zone; and how long it took.
    started: str
    seconds: float
    versions: Versions
    verdict: Verdict
    #: Why nothing ran, why the rig is not ready, which hazard was refused.
    reason: str = ""
    devices: list[Device] = field(default_factory=list)
    checks: list[CheckResult] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


def verdict(status: int) -> tuple[Verdict, str]:
    """Return what is said of a run with this exit status, and why."""
    return VERDICTS.get(status, ("failed", f"pytest ended with status {status}"))


def write(report: Report, folder: Path) -> Path:
    """Write ``report.json`` into a folder; whoever reads meanwhile sees the old or the new one."""
    text = json.dumps({"format": FORMAT, **_plain(asdict(report))}, indent=1, allow_nan=False)
    return write_whole(folder / FILE_NAME, text + "\n")


def write_whole(path: Path, text: str) -> Path:
    """Write a file so that an end at any moment leaves either the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return path


def read(path: Path) -> Report:
    """Return the report of a file, or of the folder that it is in.

    Raises:
        ReportError: It is not there, damaged, or of a format that this version does not read.

    """
    if path.is_dir():
        path = path / FILE_NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        advice = "horus hil run RIG --hil-report DIR writes one"
        raise ReportError(f"{path}: there is no such report; {advice}") from None
    except OSError as error:
        raise ReportError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ReportError(f"{path}: is not text, so it is no {FILE_NAME} or damaged") from None
    except RecursionError:
        raise ReportError(f"{path}: is no {FILE_NAME}: nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ReportError(
            f"{path}:{error.lineno}: is damaged, or no {FILE_NAME}: {error.msg}"
        ) from None
    except ValueError as error:  # such as a number of thousands of digits
        raise ReportError(f"{path}: is damaged, or no {FILE_NAME}: {error}") from None
    if not isinstance(content, dict) or "format" not in content:
        raise ReportError(f"{path}: is JSON, but not a report of a rig: it has no format")
    if content["format"] != FORMAT:
        raise ReportError(
            f"{path}: has format {content['format']!r}, and this version of HORUS reads {FORMAT}; "
            "run the checks again, or look at it with the version that wrote it"
        )
    faults: list[str] = []
    report: Report = _record(Report, content, "", faults)
    if faults:
        raise ReportError("\n".join(f"{path}: {fault}" for fault in faults))
    return report


def _plain(value: Any) -> Any:
    """Return a value as JSON has it; it has no numbers that are none, so these become words."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _record(kind: type[Any], content: Any, place: str, faults: list[str]) -> Any:
    """Return a dataclass filled from JSON; what is wrong is added to the faults."""
    if not isinstance(content, dict):
        faults.append(f"{place or 'the report'} is {_shown(content)}, not an object")
        return None
    before = len(faults)
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for about in fields(kind):
        inner = f"{place}.{about.name}" if place else about.name
        if about.name in content:
            values[about.name] = _value(hints[about.name], content[about.name], inner, faults)
        elif about.default is MISSING and about.default_factory is MISSING:
            faults.append(f"{inner} is missing")
    return kind(**values) if len(faults) == before else None


def _value(hint: Any, content: Any, place: str, faults: list[str]) -> Any:
    origin, inner = get_origin(hint), get_args(hint)
    if origin is None and is_dataclass(hint):
        return _record(hint, content, place, faults)  # type: ignore[arg-type]
    if type(None) in inner:
        if content is None:
            return None
        hint, origin = inner[0], get_origin(inner[0])
    what, convert = (
        (f"one of {', '.join(inner)}", _one_of(inner))
        if origin is Literal
        else _KINDS[origin or hint]
    )
    try:
        found = convert(content)
    except (TypeError, ValueError, OverflowError):
        faults.append(f"{place} is {_shown(content)}, not {what}")
        return None
    if origin is list:
        return [_value(inner[0], c, f"{place}[{i}]", faults) for i, c in enumerate(found)]
    if origin is dict:
        return {key: _value(inner[1], c, f"{place}.{key}", faults) for key, c in found.items()}
    return found


def _number(content: Any) -> float:
    words = ("nan", "inf", "-inf")
    if isinstance(content, bool) or (isinstance(content, str) and content not in words):
        raise TypeError
    return float(content)


def _exactly(kind: type) -> Callable[[Any], Any]:
    def convert(content: Any) -> Any:
        if not isinstance(content, kind):
            raise TypeError
        return content

    return convert


def _one_of(words: tuple[str, ...]) -> Callable[[Any], Any]:
    def convert(content: Any) -> Any:
        if content not in words:
            raise ValueError
        return content

    return convert


_KINDS: Mapping[Any, tuple[str, Callable[[Any], Any]]] = {
    str: ("a text", _exactly(str)),
    bool: ("true or false", _exactly(bool)),
    float: ("a number", _number),
    list: ("a list", _exactly(list)),
    dict: ("an object", _exactly(dict)),
}


def _shown(content: Any) -> str:
    text = json.dumps(content)
    return text if len(text) <= 40 else text[:37] + "..."

"""What is different from a report that one was content with, the baseline."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from horus.testing.report import words
from horus.testing.report.grid import STATES, state_of
from horus.testing.report.results import CheckResult, Device, Figure, Report

#: A figure is slower if it took more than this part of the room that it had before its limit,
ROOM = 0.25
#: and moved by more than this part of the limit itself (of the span, where there are two).
LEAST = 0.02

_BAD = frozenset({"failed", "error"})
_GOOD = frozenset({"passed", "warned"})

Key = tuple[str, str, str]


@dataclass(frozen=True)
class Change:
    """What changed about one check of one device."""

    device: str
    check: str
    title: str
    #: In words, such as "was passed: rate 87 Hz, allowed at least 95 Hz".
    text: str

    @property
    def lines(self) -> str:
        """Return the text for a terminal, its further lines indented."""
        return self.text.replace("\n", "\n    ")


@dataclass
class Comparison:
    """All that is different."""

    #: Fails now and did not before: it passed, was skipped, or was not there.
    broke: list[Change] = field(default_factory=list)
    fixed: list[Change] = field(default_factory=list)
    #: Figures that still pass but went towards their limit.
    slower: list[Change] = field(default_factory=list)
    #: Was proven and is no more: skipped, in quarantine, or not there.
    gone: list[Change] = field(default_factory=list)
    new: list[Change] = field(default_factory=list)
    #: How many failed before and do now.
    still: int = 0
    #: What else differs and may be why: versions, kernel, another specimen of a device.
    context: list[str] = field(default_factory=list)

    @property
    def parts(self) -> dict[str, list[Change]]:
        """Return the changes by kind, what matters most first; equal ones of a cell once."""
        kinds = ("broke", "slower", "gone", "fixed", "new")
        return {name: list(dict.fromkeys(getattr(self, name))) for name in kinds}


def compare(old: Report, new: Report) -> Comparison:
    """Return what is different in a new report."""
    found = Comparison(context=_context(old, new))
    before, after = _by_key(old.checks), _by_key(new.checks)
    absent = _whole_devices(old, new, found)
    for key, now in after.items():
        _judge(before.get(key), now, found)
    for key, then in before.items():
        if key not in after and state_of(then) in _GOOD and then.device not in absent:
            found.gone.append(_change(then, "passed before, is not in this run"))
    return found


def summary(found: Comparison) -> str:
    """Return how much is different, in one line."""
    counts = [f"{len(changes)} {name}" for name, changes in found.parts.items() if changes]
    if found.still:
        counts.append(f"{found.still} still failing")
    return ", ".join(counts) or "nothing is different"


def text(found: Comparison) -> str:
    """Return what is different for a terminal, a line each."""
    lines = []
    for name, changes in found.parts.items():
        lines += [f"{name}:"] if changes else []
        lines += [f"  {' '.join(filter(None, (c.device, c.check)))}: {c.lines}" for c in changes]
    lines += ["also different:"] if found.context else []
    lines += [f"  {line}" for line in found.context]
    return "\n".join([f"against the baseline: {summary(found)}", *lines])


def _judge(then: CheckResult | None, now: CheckResult, found: Comparison) -> None:
    state, was = state_of(now), "missing" if then is None else state_of(then)
    if state in _BAD:
        if was in _BAD:
            found.still += 1
        else:
            said = "was not in the baseline" if then is None else f"{then.status} before"
            found.broke.append(_change(now, f"{said}; now {'; '.join(words.wrong(now))}"))
    elif was in _BAD:
        if state in _GOOD:
            found.fixed.append(_change(now, f"passes now, {STATES[was].words} before"))
        else:
            found.gone.append(_change(now, f"failed before, is {_not_proven(now)} now"))
    elif then is None:
        found.new.append(_change(now, STATES[state].words))
    elif state in _GOOD:
        if was not in _GOOD:
            found.new.append(_change(now, f"passes now, {then.status} before"))
        found.slower += [_change(now, line) for line in _slower(then.figures, now.figures)]
    elif was in _GOOD:
        found.gone.append(_change(now, f"passed before, is {_not_proven(now)} now"))


def _not_proven(now: CheckResult) -> str:
    status = "in quarantine" if now.status == "quarantined" else now.status
    return f"{status} ({now.reason})" if now.reason else status


def _slower(before: Iterable[Figure], after: Iterable[Figure]) -> list[str]:
    then = {figure.name: figure for figure in before}
    lines = []
    for now in after:
        was = then.get(now.name)
        if was is not None and was.unit == now.unit and nearer(was.value, now):
            lines.append(
                f"{words.name(now)} {words.quantity(now.value, now.unit)}, "
                f"was {words.quantity(was.value, was.unit)}, allowed {words.limits(now)}"
            )
    return lines


def nearer(was: float, now: Figure) -> bool:
    """Return whether a figure went towards one of its limits by more than is let pass."""
    span = now.high - now.low if now.low is not None and now.high is not None else None
    for limit, sign in ((now.high, 1.0), (now.low, -1.0)):
        if limit is None:
            continue
        room, moved = sign * (limit - was), sign * (now.value - was)
        if room >= 0 and moved > ROOM * room and moved > LEAST * abs(span or limit):
            return True
    return False


def _change(result: CheckResult, line: str) -> Change:
    return Change(result.device, result.check, result.title, line)


def _by_key(results: Iterable[CheckResult]) -> dict[Key, CheckResult]:
    """Return the results by what stays the same when a device moves to another place."""
    order = list(STATES)
    found: dict[Key, CheckResult] = {}
    for result in results:
        test = re.sub(re.escape(result.device) + r"\[[^\]]*\]", "", result.test.rpartition("::")[2])
        key = (result.device, result.check, test)
        if key not in found or order.index(state_of(result)) < order.index(state_of(found[key])):
            found[key] = result
    return found


def _whole_devices(old: Report, new: Report, found: Comparison) -> set[str]:
    """Tell of devices that are no more with one line each, and return their names."""
    now = {device.name for device in new.devices}
    absent = {device.name: device for device in old.devices if device.name not in now}
    for device in absent.values():
        found.gone.append(Change(device.name, "", "", f"the {device.use} is not in this run"))
    return set(absent)


def _context(old: Report, new: Report) -> list[str]:
    lines = _differ("rig", {"": old.rig.name}, {"": new.rig.name})
    lines += _differ("kind of rig", {"": old.rig.kind}, {"": new.rig.kind})
    versions = ("horus", "python", "kernel", "core")
    lines += _differ(
        "",
        {name: getattr(old.versions, name) for name in versions},
        {name: getattr(new.versions, name) for name in versions},
    )
    lines += _differ("", old.versions.packages, new.versions.packages)
    then = {device.name: device for device in old.devices}
    for device in new.devices:
        if device.name in then:
            lines += _differ(device.name, _specimen(then[device.name]), _specimen(device))
    return lines


def _specimen(device: Device) -> dict[str, str]:
    return {
        "driver": device.use,
        "place": f"{device.bus}:{device.place}",
        "identity": device.identity,
    }


def _differ(what: str, old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    lines = []
    for name in dict.fromkeys([*old, *new]):
        was, now = old.get(name, ""), new.get(name, "")
        if was != now:
            label = " ".join(filter(None, (what, name)))
            lines.append(f"{label}: {was or 'none'} → {now or 'none'}")
    return lines

"""What a report says, in sentences: the same on the page and at the terminal."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from horus.testing.report.grid import BAD, SILENT, STATES, Cell, Row, Table, tables
from horus.testing.report.results import CheckResult, Figure, Report

#: What a kind of rig is, what a pass on it proves, and what it cannot prove.
KINDS = {
    "mock": (
        "Simulation",
        "the driver's own logic against the simulated twin of its device: units, order, errors, "
        "stopping",
        "that the device is like its twin, that kernel, adapter and wires carry it, or how long "
        "anything takes",
    ),
    "virtual": (
        "Virtual machine",
        "driver and bus back-end through real kernel interfaces, unplugging included, against "
        "simulated devices",
        "that the device is like its twin, anything electrical, CAN bit timing, or latencies: "
        "the machine is emulated and many times slower",
    ),
    "real": (
        "Bench with real devices",
        "that these devices on this machine, with this wiring, did it in this run",
        "that other specimens, firmware or wiring do, nor anything that was skipped",
    ),
}
#: How units are written in names.
_UNITS = {"percent": "%", "us": "µs"}


def number(value: float) -> str:
    """Return a number with four digits that count."""
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "infinite" if value > 0 else "−infinite"
    if value == 0 or abs(value) >= 1e-6:
        digits = max(0, 3 - math.floor(math.log10(abs(value)))) if value else 0
        text = f"{value:,.{digits}f}"
        text = text.rstrip("0").rstrip(".") if digits else text
    else:
        text = f"{value:.3g}"
    return text.replace("-", "−")


def quantity(value: float, unit: str) -> str:
    """Return a number with its unit."""
    if math.isnan(value):
        return number(value)
    return f"{number(value)} {unit}".rstrip()


def name(figure: Figure) -> str:
    """Return a figure's name as people say it: without ``_``, and without the unit at its end."""
    unit = figure.unit.partition(" ")[0]
    endings = {re.sub(r"\W+", "_", unit.replace("²", "2").replace("³", "3")).casefold()}
    endings |= {written for written, shown in _UNITS.items() if shown == unit}
    said = next((e for e in endings if e and figure.name.casefold().endswith(f"_{e}")), "")
    bare = figure.name[: -len(said) - 1] if said else figure.name
    return " ".join(bare.split("_"))


def limits(figure: Figure) -> str:
    """Return what a figure has to be between, or ""."""
    if figure.low is not None and figure.high is not None:
        if figure.low == figure.high:
            return f"exactly {quantity(figure.low, figure.unit)}"
        return f"{number(figure.low)} to {quantity(figure.high, figure.unit)}"
    if figure.high is not None:
        return f"at most {quantity(figure.high, figure.unit)}"
    if figure.low is not None:
        return f"at least {quantity(figure.low, figure.unit)}"
    return ""


def beyond(figure: Figure) -> str:
    """Return by how much a figure is out of its limits, or ""."""
    if not math.isfinite(figure.value):
        return ""
    if figure.high is not None and figure.value > figure.high:
        return f"{quantity(figure.value - figure.high, figure.unit)} too much"
    if figure.low is not None and figure.value < figure.low:
        return f"{quantity(figure.low - figure.value, figure.unit)} too little"
    return ""


def figure(one: Figure) -> str:
    """Return a figure in one line: what it is, what it may be, and by how much it is not."""
    text = f"{name(one)} {quantity(one.value, one.unit)}"
    if limits(one):
        text += f", allowed {limits(one)}"
    return f"{text}: {beyond(one)}" if beyond(one) else text


def wrong(result: CheckResult) -> list[str]:
    """Return why a test failed: the figures out of their limits, and what it said itself."""
    texts = [figure(one) for one in result.figures if not one.fits]
    texts += filter(None, [reason(result)])
    return texts or ["it says no reason"]


def reason(result: CheckResult) -> str:
    """Return what a test said itself, unless it only says again which figure does not fit."""
    text = result.reason.strip()
    again = any(text.startswith(f"{one.name} is ") for one in result.figures if not one.fits)
    return "" if again and "\n" not in text else text


def skips(report: Report, *, applies: bool = True) -> list[tuple[str, list[CheckResult]]]:
    """Return the skipped tests by their reason, which most have first.

    With ``applies=False`` those that were skipped because they do not apply to the device.
    """
    groups: dict[str, list[CheckResult]] = {}
    for result in report.checks:
        if result.status == "skipped" and result.applies is applies:
            groups.setdefault(_common(result), []).append(result)
    return sorted(groups.items(), key=lambda item: -len(item[1]))


def _common(result: CheckResult) -> str:
    """Return why a test was skipped, without the name of the device at its beginning."""
    text = result.reason.strip() or "no reason given"
    name = re.escape(result.device)
    text = re.sub(f"^{name}: ", "", text) if name else text
    return re.sub(f"^{name} ", "it ", text) if name else text


def asked(result: CheckResult) -> str:
    """Return what a test asks, in the words of its name, with what it was given in brackets."""
    name, _, given = result.test.rpartition("::")[2].partition("[")
    given = re.sub(re.escape(result.device) + r"\[[^\]]*\]", "", given.removesuffix("]")).strip("-")
    text = name.removeprefix("test_").replace("_", " ")
    return f"{text} ({given})" if given and given != result.device else text


def failures(cell: Cell) -> list[tuple[str, list[CheckResult]]]:
    """Return the tests of a cell that failed, those together that failed in the same way.

    Each group begins with what was asked, and of how many more.
    """
    groups: dict[tuple[str, ...], list[CheckResult]] = {}
    for result in cell.results:
        if result.status in ("failed", "error"):
            groups.setdefault(tuple(wrong(result)), []).append(result)
    found = []
    for results in groups.values():
        more = f", and {plural(len(results) - 1, 'test')} more" if len(results) > 1 else ""
        found.append((asked(results[0]) + more, results))
    return found


def counted(counts: Counter[str]) -> str:
    """Return numbers of cells in words, the worst first."""
    short = {"error": "broken", "quarantined": "in quarantine", "warned": "close to a limit"}
    short |= {"exempt": "not applicable", "partly": "in part", "missing": "not run"}
    texts = [f"{counts[s]} {short.get(s, s)}" for s in STATES if counts[s]]
    return ", ".join(texts) or "none"


def plural(count: int, word: str) -> str:
    """Return ``1 check`` or ``2 checks``."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def moment(started: str) -> str:
    """Return an ISO 8601 time for people; what is none, as it is."""
    try:
        when = datetime.fromisoformat(started)
    except ValueError:
        return started
    return when.strftime("%Y-%m-%d %H:%M %Z").rstrip()


def verdict(report: Report) -> str:
    """Return in one sentence what came of a run."""
    if report.verdict == "not ready":
        return "The rig was not ready; nothing was checked"
    if report.verdict == "hazard refused":
        return "A hazard was not allowed; nothing was checked"
    found = tables(report)
    counts: Counter[str] = sum((table.counts for table in found), Counter())
    bad = sum(counts[state] for state in BAD)
    done = sum(counts.values()) - sum(counts[state] for state in (*SILENT, "quarantined"))
    if report.verdict == "nothing ran":
        skipped = f": {plural(counts['skipped'], 'check')} skipped" if counts["skipped"] else ""
        return f"Nothing ran{skipped}. That is not a pass"
    if bad:
        who = _who([row for table in found for row in table.rows if row.bad])
        return f"{bad} of {plural(done, 'check')} failed, on {who}"
    if report.verdict == "failed":
        return "The run failed, though no check did"
    part = f", {counts['partly']} of them in part" if counts["partly"] else ""
    rest = Counter({state: counts[state] for state in ("quarantined", "skipped")})
    return f"All {plural(done, 'check')} passed{part}" + (f"; {counted(rest)}" if +rest else "")


def notes(report: Report) -> list[str]:
    """Return faults that are still there, what failures have in common, what nearly failed."""
    found = [
        f"The fault {fault.kind} of {fault.device} was not undone ({fault.how or 'by hand'})"
        for fault in report.faults
        if not fault.undone
    ]
    close = []
    for table in tables(report):
        found += _in_columns(table) + _on_one_bus(table)
        close += [
            f"{row.name} {cell.check}"
            for row in table.rows
            for cell in row.cells
            if cell.state == "warned"
        ]
    if close:
        found.append(f"Passed close to a limit: {_and(close)}")
    return found


def _in_columns(table: Table) -> list[str]:
    texts = []
    for check, title in table.checks:
        states = [cell.state for row in table.rows for cell in row.cells if cell.check == check]
        bad = sum(state in BAD for state in states)
        ran = sum(state not in SILENT for state in states)
        if bad >= 3 and bad * 2 >= ran:
            texts.append(
                f"{check} ({title}) fails for {bad} of the {ran} it ran for: look at the check, "
                "or at what they share"
            )
    return texts


def _on_one_bus(table: Table) -> list[str]:
    bad = [row for row in table.rows if row.bad]
    buses = {row.bus for row in bad}
    if len(bad) < 2 or len(buses) != 1 or len({row.bus for row in table.rows}) == 1:
        return []
    return [f"All that fail are on bus {buses.pop()}: look at its adapter and wiring"]


def _who(rows: Sequence[Row]) -> str:
    names = [row.name or "the rig" for row in rows]
    return plural(len(names), "device") if len(names) > 5 else _and(names)


def _and(names: Sequence[str]) -> str:
    """Return names as a sentence has them; of many, the first."""
    if len(names) > 5:
        return f"{', '.join(names[:4])} and {len(names) - 4} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))

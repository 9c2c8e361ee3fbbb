"""A report as tables: a row for each device, wire or the rig, a column for each check."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from horus.testing.report.results import CheckResult, Device, Report


class State(NamedTuple):
    """How a cell is shown: by a symbol, and in words."""

    symbol: str
    words: str


#: All states of a cell, the worst first. The symbols tell them apart without colour.
STATES = {
    "failed": State("✗", "failed"),
    "error": State("!", "the check itself broke"),
    "quarantined": State("Q", "in quarantine: fails, and is known to"),
    "warned": State("≈", "passed, close to a limit"),
    "partly": State("½", "passed in part, the rest skipped"),
    "passed": State("✓", "passed"),
    "skipped": State("–", "skipped"),
    "exempt": State("○", "does not apply"),
    "missing": State("·", "not run"),
}
#: Those that show nothing about a device.
SILENT = frozenset({"skipped", "exempt", "missing"})
#: Those that make a run fail.
BAD = frozenset({"failed", "error"})


def state_of(result: CheckResult) -> str:
    """Return the state of one test."""
    if result.status == "skipped" and not result.applies:
        return "exempt"
    if result.status == "passed" and any(figure.warned for figure in result.figures):
        return "warned"
    return result.status


@dataclass(frozen=True)
class Cell:
    """What all tests of one check found about one device."""

    check: str
    title: str
    results: tuple[CheckResult, ...]

    @property
    def label(self) -> str:
        """Return the check's number and what it is; what has no number has its name alone."""
        return f"{self.check} {self.title}".strip()

    @property
    def state(self) -> str:
        """Return the worst that its tests found; passed only if none was skipped."""
        found = {state_of(result) for result in self.results}
        if "skipped" in found and found & {"passed", "warned"} and not found & BAD:
            return "partly"
        return next((state for state in STATES if state in found), "missing")


@dataclass(frozen=True)
class Row:
    """A device, a wire, or the rig itself."""

    name: str
    #: What it is and where, for people.
    about: str
    bus: str
    cells: tuple[Cell, ...]

    @property
    def bad(self) -> list[Cell]:
        """Return the cells that failed."""
        return [cell for cell in self.cells if cell.state in BAD]

    @property
    def counts(self) -> Counter[str]:
        """Return how many cells are in each state."""
        return Counter(cell.state for cell in self.cells)


@dataclass(frozen=True)
class Table:
    """Rows that have the same columns."""

    title: str
    #: Each check and what it is in words.
    checks: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]

    @property
    def has_columns(self) -> bool:
        """Return whether the checks have short names; those of wires are sentences instead."""
        return all(title for _, title in self.checks)

    @property
    def parts(self) -> list[Table]:
        """Return the table with columns, and the one of sentences, such as tests of one's own."""
        return [part for part in (self._part(True), self._part(False)) if part.checks]

    def _part(self, has_columns: bool) -> Table:
        rows = (
            replace(row, cells=tuple(cell for cell in row.cells if bool(cell.title) == has_columns))
            for row in self.rows
        )
        checks = tuple(one for one in self.checks if bool(one[1]) == has_columns)
        return Table(self.title, checks, tuple(row for row in rows if row.cells))

    @property
    def counts(self) -> Counter[str]:
        """Return how many cells are in each state."""
        return sum((row.counts for row in self.rows), Counter())


def tables(report: Report) -> list[Table]:
    """Return the devices, the wires and what is about the rig; none that would be empty."""
    devices = {device.name: device for device in report.devices}
    wires = dict.fromkeys(r.device for r in report.checks if r.device and r.device not in devices)
    found = [
        _table("Devices", [(d.name, about(d), d.bus) for d in report.devices], report.checks),
        _table("Wires", [(name, "wire", "") for name in wires], report.checks),
        _table("Rig", [("", "the rig itself", "")], report.checks),
    ]
    return [table for table in found if table.checks and table.rows]


def about(device: Device) -> str:
    """Return what a device is and where, such as ``mpu6050 at i2c0:0x68``."""
    where = ":".join(filter(None, (device.bus, device.place)))
    return f"{device.use} at {where}" if where else device.use


def _table(
    title: str, rows: Sequence[tuple[str, str, str]], results: Iterable[CheckResult]
) -> Table:
    names = {name for name, _, _ in rows}
    cells: dict[tuple[str, str], list[CheckResult]] = {}
    titles: dict[str, str] = {}
    for result in results:
        if result.device in names:
            cells.setdefault((result.device, result.check), []).append(result)
            titles.setdefault(result.check, result.title)
    checks = tuple(sorted(titles.items(), key=lambda item: natural(item[0])))
    return Table(
        title,
        checks,
        tuple(
            Row(
                name,
                text,
                bus,
                tuple(
                    Cell(check, words, tuple(cells.get((name, check), ())))
                    for check, words in checks
                    # Each kind of wire has sentences of its own: none is missing of another's.
                    if words or (name, check) in cells
                ),
            )
            for name, text, bus in rows
        ),
    )


def natural(check: str) -> tuple[str, int]:
    """Sort C2 before C10; what has no number by its name."""
    found = re.fullmatch(r"(\D*)(\d+)", check)
    return (found[1], int(found[2])) if found else (check, 0)

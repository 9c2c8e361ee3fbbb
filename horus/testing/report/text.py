"""A report at the terminal: the tables, what failed and why, and the verdict at the end."""

from __future__ import annotations

from collections import Counter

from horus.testing.report import diff, words
from horus.testing.report.diff import Comparison
from horus.testing.report.grid import STATES, Table, tables
from horus.testing.report.markup import clean
from horus.testing.report.results import Report


def text(report: Report, comparison: Comparison | None = None, *, brief: bool = False) -> str:
    """Return a report in lines of text; a brief one leaves out why tests failed and skipped."""
    parts = [_grid(part) for table in tables(report) for part in table.parts]
    if parts:
        parts.append(_legend(report))
    if not brief:
        parts += [_failed(report), _skipped(report)]
    if comparison is not None:
        parts.append(diff.text(comparison))
    kind, proves, cannot = words.KINDS[report.rig.kind]
    last = [f"rig {report.rig.name}: {words.verdict(report)}"]
    last += [f"  {line}" for line in report.reason.splitlines()]
    last += [f"  {note}" for note in words.notes(report)]
    last.append(f"  {kind}: a pass proves {proves}. It cannot prove {cannot}.")
    return clean("\n\n".join(filter(None, [*parts, "\n".join(last)]))) + "\n"


def _grid(table: Table) -> str:
    """Return a table; as a list where the checks have no short names to be columns."""
    if not table.has_columns:
        return "\n".join(
            [table.title]
            + [
                f"  {STATES[cell.state].symbol} {row.name or 'rig'}: {cell.label}"
                for row in table.rows
                for cell in row.cells
            ]
        )
    width = max(len(table.title), *(len(row.name or "rig") for row in table.rows))
    widths = [len(check) for check, _ in table.checks]
    head = [f"{table.title:<{width}}", *(check for check, _ in table.checks)]
    lines = ["  ".join(head)]
    for row in table.rows:
        cells = (
            f"{STATES[cell.state].symbol:^{w}}" for cell, w in zip(row.cells, widths, strict=True)
        )
        lines.append("  ".join([f"{row.name or 'rig':<{width}}", *cells]).rstrip())
    return "\n".join(lines)


def _legend(report: Report) -> str:
    counts = sum((table.counts for table in tables(report)), Counter[str]())
    return "  ".join(
        f"{about.symbol} {words.counted(Counter({state: counts[state]}))}"
        for state, about in STATES.items()
        if counts[state]
    )


def _failed(report: Report) -> str:
    lines = []
    for table in tables(report):
        for row in table.rows:
            for cell in row.bad:
                lines += [f"  {row.name or 'rig'} ({row.about}) {cell.label}:"]
                lines += [
                    f"    {asked}: {_indented('; '.join(words.wrong(results[0])))}"
                    for asked, results in words.failures(cell)
                ]
    return "\n".join(["failed:", *lines]) if lines else ""


def _skipped(report: Report) -> str:
    parts = []
    for title, applies in (("skipped", True), ("not applicable", False)):
        lines = [
            f"  {len(results)} × {', '.join(dict.fromkeys(r.check for r in results))}: "
            + _indented(reason)
            for reason, results in words.skips(report, applies=applies)
        ]
        parts += [f"{title}:", *lines] if lines else []
    return "\n".join(parts)


def _indented(lines: str) -> str:
    return lines.replace("\n", "\n      ")

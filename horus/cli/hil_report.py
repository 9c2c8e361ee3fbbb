"""Show what a run on a rig found, as a page and here; compare it with an earlier one."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from horus.testing.report.diff import Comparison
    from horus.testing.report.results import Report


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus hil report`."""
    parser.add_argument("report", metavar="DIR", type=Path, help="what --hil-report has written")
    parser.add_argument(
        "--baseline",
        metavar="FILE",
        type=Path,
        help="an earlier report.json, or its folder: say what broke, was fixed, became slower",
    )
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def main(args: argparse.Namespace) -> int:
    """Write the page; 1 when something broke since the baseline, 2 when it cannot be read."""
    from horus.testing.report import diff, html, results, text

    report = results.read(args.report)
    baseline = None if args.baseline is None else results.read(args.baseline)
    folder = args.report if args.report.is_dir() else args.report.parent
    try:
        page = html.write(report, folder, baseline)
    except OSError as error:
        raise results.ReportError(
            f"{folder}: {html.FILE_NAME} cannot be written: {error.strerror}"
        ) from None
    comparison = None if baseline is None else diff.compare(baseline, report)
    if args.json:
        print(json.dumps(_summary(report, comparison, page), indent=2))
    else:
        print(text.text(report, comparison), end="")
        print(f"page: {page}")
    return 1 if comparison is not None and comparison.broke else 0


def _summary(report: Report, comparison: Comparison | None, page: Path) -> dict[str, Any]:
    from horus.testing.report import grid, words

    rows = [(table, row) for table in grid.tables(report) for row in table.rows]
    found: dict[str, Any] = {
        "rig": report.rig.name,
        "kind": report.rig.kind,
        "verdict": report.verdict,
        "text": words.verdict(report),
        "counts": {s: sum(row.counts[s] for _, row in rows) for s in grid.STATES},
        "failed": [
            {"device": row.name, "check": cell.check, "title": cell.title, "why": words.wrong(r)}
            for _, row in rows
            for cell in row.bad
            for r in cell.results
            if r.status in ("failed", "error")
        ],
        "page": str(page),
    }
    if comparison is not None:
        found["diff"] = asdict(comparison)
    return found

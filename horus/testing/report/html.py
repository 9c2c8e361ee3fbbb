"""A report as one page: no script, nothing from the network, readable by eye, ear and keyboard."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from horus.testing.report import diff, grids, sections, words
from horus.testing.report.bar import bar
from horus.testing.report.diff import Change, Comparison
from horus.testing.report.grid import SILENT, Cell, Row, Table, tables
from horus.testing.report.markup import Markup, join, tag
from horus.testing.report.results import CheckResult, Report, write_whole

#: The name of the page in the folder of a report.
FILE_NAME = "report.html"

#: Nothing may be loaded or run, whatever a text in a report contains.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
#: How many failures of a device are shown before the others are folded.
_SHOWN = 6

_CHANGES = {
    "broke": "Broke: fails now and did not before",
    "slower": "Slower: still passes, but a figure went towards its limit",
    "gone": "No longer proven",
    "fixed": "Fixed",
    "new": "New",
}


def write(report: Report, folder: Path, baseline: Report | None = None) -> Path:
    """Write ``report.html`` into a folder, compared with a baseline if there is one."""
    comparison = None if baseline is None else diff.compare(baseline, report)
    return write_whole(folder / FILE_NAME, render(report, comparison))


def render(report: Report, comparison: Comparison | None = None) -> str:
    """Return the page."""
    found = tables(report)
    title = f"{report.rig.name}: {report.verdict}"
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"HORUS rig report: {title}"),
        tag("style", Markup(style)),
    )
    body = tag(
        "body",
        tag("a", "Skip the tables", href="#rows", class_="skip-link"),
        _top(report, comparison),
        tag(
            "main",
            _failing(report, found),
            grids.grids(found, comparison),
            _changes(comparison),
            sections.rows(found),
            sections.skips(report),
            sections.faults(report),
            sections.machine(report),
        ),
        tag("footer", f"Written by HORUS {report.versions.horus} from report.json beside it."),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _top(report: Report, comparison: Comparison | None) -> Markup:
    kind, proves, cannot = words.KINDS[report.rig.kind]
    colour = {"passed": "good", "failed": "bad"}.get(report.verdict, "hold")
    symbol = {"passed": "✓ ", "failed": "✗ "}.get(report.verdict, "")
    lines = [tag("strong", symbol + words.verdict(report))]
    if report.reason:
        lines.append(tag("p", report.reason, class_="why"))
    facts = [tag("li", text) for text in words.notes(report)]
    if comparison is not None:
        text = f"Against the baseline: {diff.summary(comparison)}. "
        facts.append(tag("li", text, tag("a", "What changed", href="#changes")))
    if facts:
        lines.append(tag("ul", *facts))
    return tag(
        "header",
        tag("h1", f"Rig {report.rig.name}"),
        tag(
            "p",
            f"{words.plural(len(report.devices), 'device')}, "
            f"{words.plural(len(report.checks), 'test')}, "
            f"{words.quantity(round(report.seconds, 1), 's')}, "
            f"begun {words.moment(report.started)}",
            class_="soft",
        ),
        tag("div", *lines, class_=f"verdict {colour}"),
        tag(
            "div",
            tag("span", kind, class_=f"badge {report.rig.kind}"),
            tag("strong", "A pass here proves "),
            f"{proves}. ",
            tag("strong", "It cannot prove "),
            f"{cannot}.",
            class_="kind",
        ),
        class_="top",
    )


def _failing(report: Report, found: list[Table]) -> Markup:
    rows = [(table, row) for table in found for row in table.rows if row.bad]
    if not rows:
        return Markup("")
    return tag(
        "section",
        tag("h2", "What failed"),
        tag("ul", *(_failing_row(table, row) for table, row in rows), class_="failing"),
        id="failing",
    )


def _failing_row(table: Table, row: Row) -> Markup:
    ran = sum(cell.state not in SILENT for cell in row.cells)
    items = [tag("li", _failing_cell(table, row, cell)) for cell in row.bad]
    rest = items[_SHOWN:]
    more = [tag("li", tag("details", tag("summary", f"and {len(rest)} more"), tag("ul", *rest)))]
    return tag(
        "li",
        tag(
            "h3",
            row.name or "The rig",
            tag("span", f" – {row.about}", class_="soft") if row.name else "",
            tag("span", f" – {len(row.bad)} of {words.plural(ran, 'check')} failed"),
        ),
        tag("ul", *items[:_SHOWN], *(more if rest else [])),
    )


def _failing_cell(table: Table, row: Row, cell: Cell) -> Markup:
    return join(
        [
            grids.symbol(cell.state),
            " ",
            tag("a", cell.label, href=f"#{grids.anchor(table, row.name, cell)}"),
            *(_why(asked, results[0]) for asked, results in words.failures(cell)),
        ]
    )


def _why(asked: str, result: CheckResult) -> Markup:
    figures = [
        tag("div", tag("strong", words.figure(figure)), bar(figure), class_="wrong-figure")
        for figure in result.figures
        if not figure.fits
    ]
    first = words.reason(result).split("\n\n")[0]
    said = [tag("p", first or "it says no reason", class_="why")] if first or not figures else []
    return tag("div", tag("p", f"{asked}:", class_="soft"), *figures, *said)


def _changes(comparison: Comparison | None) -> Markup:
    if comparison is None:
        return Markup("")
    parts = [
        tag("h3", f"{_CHANGES[name]} ({len(changes)})")
        + tag("ul", *(tag("li", *_change(change)) for change in changes), class_="reasons")
        for name, changes in comparison.parts.items()
        if changes
    ]
    if comparison.context:
        parts.append(
            tag("h3", "Also different, and may be why")
            + tag("ul", *(tag("li", line) for line in comparison.context), class_="reasons")
        )
    return tag(
        "section",
        tag("h2", "Against the baseline"),
        tag("p", f"{diff.summary(comparison)}.".capitalize()),
        *(Markup(part) for part in parts),
        class_="kinds-of-change",
        id="changes",
    )


def _change(change: Change) -> Iterable[str]:
    what = " ".join(filter(None, (change.device or "the rig", change.check, change.title)))
    return tag("strong", what), f": {change.text}"

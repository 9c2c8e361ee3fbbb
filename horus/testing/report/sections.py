"""The parts of a report's page below its tables: rows with figures, skips, the machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from horus.testing.report import words
from horus.testing.report.bar import bar
from horus.testing.report.grid import BAD, SILENT, STATES, Cell, Row, Table, natural, state_of
from horus.testing.report.grids import anchor, symbol
from horus.testing.report.markup import Markup, tag
from horus.testing.report.results import CheckResult, Figure, Report, Rig


def rows(found: list[Table]) -> Markup:
    """Return every row with its checks and their figures; those that failed are open."""
    parts = [_row(table, row) for table in found for row in table.rows]
    if not parts:
        return Markup("")
    return tag("section", tag("h2", "Checks and figures"), *parts, id="rows")


def _row(table: Table, row: Row) -> Markup:
    return tag(
        "details",
        tag(
            "summary",
            tag("strong", row.name or "rig"),
            tag("span", f" {row.about} – {words.counted(row.counts)}", class_="soft"),
        ),
        *(_check(table, row, cell) for cell in row.cells if cell.results),
        class_="row",
        id=anchor(table, row.name),
        open=bool(row.bad),
    )


def _check(table: Table, row: Row, cell: Cell) -> Markup:
    results = cell.results
    if cell.state in SILENT and len({words.reason(result) for result in results}) == 1:
        results = results[:1]  # they say the same
    return tag(
        "div",
        tag(
            "h4",
            symbol(cell.state),
            cell.label,
            tag("span", f"{STATES[cell.state].words}, {_took(cell)}", class_="soft small"),
        ),
        *(_test(result, named=len(results) > 1) for result in results),
        class_="check",
        id=anchor(table, row.name, cell),
    )


def _took(cell: Cell) -> str:
    return words.quantity(round(sum(result.seconds for result in cell.results), 2), "s")


def _test(result: CheckResult, named: bool) -> Markup:
    parts: list[str] = []
    if named:
        parts.append(tag("div", symbol(state_of(result)), " ", words.asked(result)))
    if words.reason(result):
        parts.append(tag("p", words.reason(result), class_="why"))
    if result.figures:
        parts.append(tag("div", *map(_figure, result.figures), class_="figures"))
    if result.status in BAD:
        parts.append(tag("p", "Test: ", tag("code", result.test), class_="soft small why"))
    if result.detail:
        parts.append(
            tag("details", tag("summary", "What pytest shows"), tag("pre", result.detail.strip()))
        )
    return tag("div", *parts, class_="test named" if named else "test")


def _figure(figure: Figure) -> Markup:
    state = "is-bad" if not figure.fits else "is-warned" if figure.warned else ""
    beyond = words.beyond(figure)
    allowed = words.limits(figure) + (f": {beyond}" if beyond else "")
    if figure.warned and figure.warn is not None:
        allowed += f", worth a look from {words.quantity(figure.warn, figure.unit)}"
    return tag(
        "div",
        tag("span", words.name(figure), class_=f"name {state}"),
        tag("span", words.quantity(figure.value, figure.unit), class_=f"value {state}"),
        tag("span", bar(figure)),
        tag("span", allowed, class_=f"allowed-words small {state or 'soft'}"),
        class_="row-of-figure",
    )


def skips(report: Report) -> Markup:
    """Return what was skipped, does not apply or is in quarantine, by its reason."""
    held = [(result.reason, [result]) for result in report.checks if result.status == "quarantined"]
    kinds = {
        "Skipped: {}, and why": words.skips(report),
        "In quarantine: {}, and why": held,
        "Does not apply: {}, and why": words.skips(report, applies=False),
    }
    parts = []
    for title, groups in kinds.items():
        if groups:
            count = sum(len(found) for _, found in groups)
            items = (
                tag("li", tag("span", reason, class_="why"), _whom(found))
                for reason, found in groups
            )
            parts.append(tag("h2", title.format(words.plural(count, "test"))))
            parts.append(tag("ul", *items, class_="reasons"))
    return tag("section", *parts, id="skips") if parts else Markup("")


def _whom(results: list[CheckResult]) -> Markup:
    """Return the checks and whom they were to look at; those with the same ones together."""
    names: dict[str, set[str]] = {}
    for result in results:
        names.setdefault(result.check, set()).add(result.device or "rig")
    checks: dict[str, list[str]] = {}
    for check in sorted(names, key=natural):
        checks.setdefault(", ".join(sorted(names[check])), []).append(check)
    lines = (tag("div", f"{', '.join(c)}: {whom}") for whom, c in checks.items())
    return tag("div", *lines, class_="soft small")


def faults(report: Report) -> Markup:
    """Return the faults that were injected; one that was not undone is told in words."""
    if not report.faults:
        return Markup("")
    head = tag("tr", *(tag("th", t, scope="col") for t in ("After", "Device", "Fault", "", "How")))
    body = (
        tag(
            "tr",
            tag("td", words.quantity(round(fault.at, 1), "s")),
            tag("td", fault.device),
            tag("td", fault.kind),
            tag("td", "undone" if fault.undone else tag("strong", "✗ NOT UNDONE")),
            tag("td", fault.how),
        )
        for fault in report.faults
    )
    bad = sum(not fault.undone for fault in report.faults)
    kinds = Counter(fault.kind.partition(" ")[0] for fault in report.faults)
    each = ", ".join(f"{count} × {kind}" for kind, count in kinds.most_common())
    summary = f"{each}; {f'{bad} NOT undone' if bad else 'all undone'}"
    table = _plain(head, body)
    return tag(
        "section",
        tag("h2", "Faults injected"),
        tag("details", tag("summary", summary), table, open=bool(bad)),
        id="faults",
    )


def _plain(head: Markup, body: Iterable[Markup]) -> Markup:
    table = tag("table", tag("thead", head), tag("tbody", *body), class_="plain")
    return tag("div", table, class_="wide")


def _allowed(rig: Rig) -> str:
    if rig.kind != "real":
        return "all: no device is real"
    return ", ".join(rig.allow) or "none: nothing that moves, heats or unplugs"


def machine(report: Report) -> Markup:
    """Return the rig, what ran on it, and who the devices say they are."""
    rig, versions = report.rig, report.versions
    packages = ", ".join(f"{name} {version}" for name, version in versions.packages.items())
    facts = {
        "Rig": f"{rig.name} ({words.KINDS[rig.kind][0].lower()})",
        "Rig file": rig.file,
        "Hazards allowed": _allowed(rig),
        **rig.facts,
        "HORUS": f"{versions.horus}, {versions.core} core" if versions.core else versions.horus,
        "Python": versions.python,
        "Kernel": versions.kernel,
        "Packages": packages,
        "Started": report.started,
    }
    items = [part for k, v in facts.items() if v for part in (tag("dt", k), tag("dd", v))]
    titles = ("Device", "Driver", "Bus", "Place", "Identity", "")
    head = tag("tr", *(tag("th", text, scope="col") for text in titles))
    body = (
        tag(
            "tr",
            *(tag("td", text) for text in (d.name, d.use, d.bus, d.place)),
            tag("td", d.identity or "says none"),
            tag("td", "simulated" if d.mock else "real"),
        )
        for d in report.devices
    )
    table = _plain(head, body)
    return tag(
        "section",
        tag("h2", "Rig and versions"),
        tag("dl", *items, class_="facts"),
        *([tag("h2", "Devices and identities"), table] if report.devices else []),
        id="machine",
    )

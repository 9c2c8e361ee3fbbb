"""The tables of a report's page: a cell for each device and check, and what the symbols mean."""

from __future__ import annotations

import re
from collections import Counter

from horus.testing.report.diff import Comparison
from horus.testing.report.grid import BAD, STATES, Cell, Row, Table
from horus.testing.report.markup import Markup, join, tag

#: Cells that one comes to with the Tab key; the others are reached by the name of their row.
_STOPS = BAD | {"warned", "quarantined"}
#: Up to this many columns their titles are not turned.
_FEW = 6
#: What a cell carries when it changed since the baseline.
_SINCE = {
    "broke": ("▼", "broke since the baseline"),
    "fixed": ("▲", "fixed since the baseline"),
    "slower": ("◂", "slower than in the baseline"),
    "new": ("+", "new since the baseline"),
    "gone": ("−", "no longer proven"),
}


def symbol(state: str) -> Markup:
    """Return the symbol of a state in its colour; what it means is said beside it."""
    return tag("span", STATES[state].symbol, class_=f"symbol {state}", aria_hidden="true")


def anchor(table: Table, row: str, cell: Cell | None = None) -> str:
    """Return the id of a row's or a cell's details."""
    texts = [table.title.lower(), row, *([cell.check] if cell is not None else [])]
    return ".".join(re.sub(r"[^A-Za-z0-9_-]", "_", text) for text in texts)


def grids(found: list[Table], comparison: Comparison | None) -> Markup:
    """Return the tables of rows and checks, with what their symbols mean."""
    since: dict[tuple[str, str], str] = {}
    if comparison is not None:
        for kind, changes in reversed(comparison.parts.items()):
            since |= {(change.device, change.check): kind for change in changes}
    parts = [
        join([tag("h2", table.title), *(_grid(part, since) for part in table.parts)])
        for table in found
    ]
    if parts:
        parts.insert(1, _legend(found, set(since.values())))
    return tag("section", *parts, id="grid")


def _legend(found: list[Table], since: set[str]) -> Markup:
    counts = sum((table.counts for table in found), Counter[str]())
    items = [
        tag("li", symbol(state), f"{about.words} ({counts[state]})")
        for state, about in STATES.items()
        if counts[state]
    ]
    items += [tag("li", tag("b", mark), text) for k, (mark, text) in _SINCE.items() if k in since]
    return tag("ul", *items, class_="legend", aria_label="What the symbols mean")


def _list(table: Table, since: dict[tuple[str, str], str]) -> Markup:
    """Return a table whose checks are sentences as a list for each row."""
    items = (
        tag(
            "div",
            tag("h3", tag("a", row.name or "The rig", href=f"#{anchor(table, row.name)}")),
            tag(
                "ul",
                *(
                    tag("li", _cell(table, row, cell, since), tag("span", cell.label))
                    for cell in row.cells
                ),
            ),
            class_="bad" if row.bad else "fine",
        )
        for row in table.rows
    )
    return tag("div", *items, class_="sentences")


def _grid(table: Table, since: dict[tuple[str, str], str]) -> Markup:
    if not table.has_columns:
        return _list(table, since)
    head = tag(
        "tr",
        tag("th", "", scope="col", class_="row"),
        *(
            tag(
                "th",
                tag("span", title or check, class_="title"),
                check if title else "",
                scope="col",
            )
            for check, title in table.checks
        ),
        tag("th", "", scope="col"),
    )
    body = (
        tag(
            "tr",
            tag(
                "th",
                tag("a", row.name or "rig", href=f"#{anchor(table, row.name)}"),
                tag("span", f" {row.about}", class_="about soft small"),
                scope="row",
                class_="row",
            ),
            *(tag("td", _cell(table, row, cell, since)) for cell in row.cells),
            tag("td", _sum(row), class_="sum"),
            class_="bad" if row.bad else "fine",
        )
        for row in table.rows
    )
    return tag(
        "div",
        tag(
            "table",
            tag("thead", head),
            tag("tbody", *body),
            class_=f"grid {'many' if len(table.checks) > _FEW else 'few'}",
        ),
        class_="scroll",
        role="region",
        tabindex="0",
        aria_label=f"{table.title} and their checks",
    )


def _sum(row: Row) -> str:
    return f"{len(row.bad)} failed" if row.bad else ""


def _cell(table: Table, row: Row, cell: Cell, since: dict[tuple[str, str], str]) -> Markup:
    state = STATES[cell.state]
    said = f"{row.name or 'rig'}, {cell.label}: {state.words}"
    mark, changed = _SINCE.get(since.get((row.name, cell.check), ""), ("", ""))
    said = f"{said}; {changed}" if changed else said
    inner = [
        tag("span", state.symbol, aria_hidden="true"),
        tag("span", mark, class_="since", aria_hidden="true") if mark else "",
    ]
    if cell.state == "missing":
        return tag("span", *inner, class_="cell missing", role="img", aria_label=said, title=said)
    return tag(
        "a",
        *inner,
        href=f"#{anchor(table, row.name, cell)}",
        class_=f"cell {cell.state}",
        aria_label=said,
        title=said,
        tabindex="0" if cell.state in _STOPS or mark else "-1",
    )

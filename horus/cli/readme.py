"""Tables in a README that are written from the code, between two lines that mark their place."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that print a table in Markdown, or renew or check it in a README."""
    parser.add_argument("--format", choices=("text", "md"), default="text", help="md: Markdown")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--write", metavar="FILE", type=Path, help="renew the table in a README")
    where.add_argument(
        "--check", metavar="FILE", type=Path, help="fail when a README's table is out of date"
    )


def marks(what: str) -> tuple[str, str]:
    """Return the lines between which the table of drivers, or of buses, stands."""
    return f"<!-- {what}: begin -->", f"<!-- {what}: end -->"


def renew(what: str, table: str, path: Path, *, write: bool) -> int:
    """Renew a README's table, or tell whether it is out of date; return the exit status."""
    begin, end = marks(what)
    between = re.compile(f"{re.escape(begin)}\n.*?{re.escape(end)}\n", re.S)
    text = path.read_text(encoding="utf-8")
    if not between.search(text):
        print(f"{path}: the lines {begin} and {end} are missing", file=sys.stderr)
        return 1
    renewed = between.sub(lambda _: f"{begin}\n{table}{end}\n", text, count=1)
    if renewed == text:
        return 0
    if not write:
        cure = f"run horus {what} --write {path}"
        print(f"{path}: the table of {what} is out of date: {cure}", file=sys.stderr)
        return 1
    path.write_text(renewed, encoding="utf-8")
    print(f"{path}: the table of {what} is renewed")
    return 0

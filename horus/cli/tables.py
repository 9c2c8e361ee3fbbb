"""Tables for people, on a terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def plain(header: Sequence[str], rows: Iterable[Sequence[str]], indent: str = "") -> str:
    """Return a table in columns; nothing is padded at the ends of lines."""
    lines = [header, *rows] if header else list(rows)
    if not lines:
        return ""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    texts = ("  ".join(f"{c:<{w}}" for c, w in zip(line, widths, strict=True)) for line in lines)
    return "".join(f"{indent}{text}".rstrip() + "\n" for text in texts)


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    cells = (" | ".join(cell.replace("|", "\\|") for cell in line) for line in lines)
    return (
        "".join(f"| {text} |\n" for text in cells).replace("| --- ", "|---").replace("---|", "---|")
    )

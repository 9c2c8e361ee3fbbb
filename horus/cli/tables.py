"""Tables for people, on a terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence


def plain(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    indent: str = "",
    room: int | None = None,
) -> str:
    """Return a table in columns; nothing is padded at the ends of lines.

    What is wider than ``room`` goes on in the next line, between columns; by default that is the
    width of the terminal, and elsewhere there is no limit.
    """
    lines = [header, *rows] if header else list(rows)
    if not lines:
        return ""
    room = _terminal() if room is None else room
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    texts = [f"{indent}{_joined(line, widths)}".rstrip() for line in lines]
    if room and max(map(len, texts)) > room:
        texts = [part for line in lines for part in _folded(line, widths, indent, room)]
    return "".join(f"{text}\n" for text in texts)


def _joined(line: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(f"{c:<{w}}" for c, w in zip(line, widths, strict=True))


def _folded(line: Sequence[str], widths: Sequence[int], indent: str, room: int) -> Iterator[str]:
    """Yield the lines of a row; all rows break at the same columns, the last one where it must."""
    more = f"{indent}    "
    start = 0
    at = len(indent)
    for number, width in enumerate(widths[:-1]):
        if number > start and at + width > room:
            part = _joined(line[start:number], widths[start:number])
            yield f"{more if start else indent}{part}".rstrip()
            start, at = number, len(more)
        at += width + 2
    begun = f"{more if start else indent}{_joined(line[start:-1], widths[start:-1])}"
    begun = f"{begun}  " if len(line) > 1 else begun
    if at + len(line[-1]) <= room:
        yield f"{begun}{line[-1]}".rstrip()
        return
    if len(line) > 1:
        yield begun.rstrip()
    from textwrap import wrap

    yield from wrap(line[-1], max(room, 20), initial_indent=more, subsequent_indent=more)


def _terminal() -> int:
    """Return how wide the terminal is; 0 when what is printed goes elsewhere."""
    import shutil
    import sys

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    cells = (" | ".join(cell.replace("|", "\\|") for cell in line) for line in lines)
    return (
        "".join(f"| {text} |\n" for text in cells).replace("| --- ", "|---").replace("---|", "---|")
    )

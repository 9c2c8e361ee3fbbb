"""What the beginnings that `horus new` writes are made from."""

from __future__ import annotations

from pathlib import Path


def read(file: str) -> str:
    """Return the text of a starter."""
    from importlib import resources

    return (resources.files("horus.cli") / "starters" / file).read_text(encoding="utf-8")


def write(texts: dict[Path, str]) -> None:
    """Write files, and the folders that they need."""
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

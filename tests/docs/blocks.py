"""The code blocks of a page, and how they are run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Block(NamedTuple):
    """A fenced block, and what the comment before it says of it."""

    mark: str
    name: str
    kind: str
    code: str


class Page:
    """A page in Markdown."""

    def __init__(self, path: str) -> None:
        self.folder = (ROOT / path).parent
        self.text = (ROOT / path).read_text()
        found = re.findall(r"(?:<!-- (\w+): (\w+) -->\n)?```(\w+)\n(.*?)```", self.text, re.S)
        self.blocks = [Block(*each) for each in found]

    def of(self, kind: str) -> list[str]:
        """Return the blocks in a language."""
        return [block.code for block in self.blocks if block.kind == kind]

    def marked(self, mark: str, name: str) -> str:
        """Return the one block that a comment names so."""
        (code,) = [b.code for b in self.blocks if (b.mark, b.name) == (mark, name)]
        return code

    def dead_links(self) -> list[str]:
        """Return the links to files that are not there."""
        links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", self.text)]
        near = [link for link in links if link and not link.startswith("http")]
        return [link for link in near if not (self.folder / link).exists()]


def run_python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program in a folder; it must succeed."""
    (folder / "program.py").write_text(code)
    return subprocess.run(
        [sys.executable, "program.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

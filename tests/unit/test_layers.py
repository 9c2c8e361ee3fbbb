"""Imports go down: each part of HORUS knows only the parts below it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

BASE = {"horus.errors"}
BUS = BASE | {"horus.clock", "horus.message", "horus.bus", "horus.msgs"}
NODES = BUS | {"horus.logs", "horus.node", "horus.scheduler"}
HAL = BASE | {"horus.hal"}
PLUGINS = HAL | {"horus.hookspecs", "horus.plugins", "horus.logs", "horus.notices"}
HARDWARE = NODES | PLUGINS | {"horus.launch", "horus.hardware"}
RUNTIME = HARDWARE | {"horus.runtime"}

#: What each part may import; it need not name itself.
ALLOWED: dict[str, set[str]] = {
    "horus.early": set(),
    "horus.errors": set(),
    "horus.clock": set(),
    "horus.logs": set(),
    "horus.launch": set(),
    "horus.message": BASE,
    "horus.msgs": BASE | {"horus.message"},
    "horus.bus": BUS - {"horus.msgs"},
    "horus.node": NODES - {"horus.scheduler"},
    "horus.scheduler": NODES,
    "horus.hal": HAL,
    "horus.hookspecs": HAL,
    "horus.plugins": PLUGINS - {"horus.notices"},
    "horus.notices": PLUGINS,
    "horus_drivers": {"horus.errors", "horus.hal", "horus.msgs", "horus.hookspecs"},
    "horus.hardware": HARDWARE,
    "horus.testing": RUNTIME | {"horus.testing"},
    "horus.bench": NODES | {"horus"},
    "horus.runtime": RUNTIME,
    "horus.cli": RUNTIME | {"horus.cli", "horus.bench", "horus.testing", "horus", "horus.early"},
    "horus_hil": RUNTIME | {"horus.testing"},
    "horus_plugins": RUNTIME | {"horus", "horus.cli"},
    "horus": NODES | {"horus.early"},
    "horus.__main__": {"horus.cli"},
}

#: Upward imports there must be, each done only when it is called for, or for type checkers alone.
UPWARD = {
    ("horus.message", "horus.msgs"): "the ready-made class that a dict has become",
    ("horus.node", "horus.scheduler"): "types of the scheduler that a node is in",
    ("horus.hookspecs", "horus.hardware"): "types in the hooks' signatures",
}

#: What is installed beside HORUS, and which part may need it.
OUTSIDE: dict[str, set[str]] = {
    "horus.message": {"numpy", "typing_extensions"},
    "horus.msgs": {"numpy"},
    "horus.bus": {"msgpack", "numpy", "posix_ipc"},
    "horus.node": {"numpy"},
    "horus.hal": {"can", "cantools", "pymodbus", "serial", "smbus2"},
    "horus.hookspecs": {"pluggy"},
    "horus.plugins": {"pluggy"},
    "horus.hardware": {"serial", "yaml"},
    "horus.testing": {"pytest", "yaml"},
    "horus.bench": {"numpy"},
    "horus.cli": {"yaml"},
    "horus_drivers": {"pynmeagps", "pyubx2"},
    "horus_hil": {"pytest"},
    "horus_plugins": {"lz4", "mcap", "msgpack", "rich", "textual", "zstandard"},
}
#: Those of them that may be imported with their module; the others when they are needed.
AT_ONCE = {"msgpack", "pluggy", "yaml", "pytest", "rich", "textual"}

FOLDERS = {
    "horus": ROOT / "horus",
    "horus_drivers": ROOT / "drivers",
    "horus_hil": ROOT / "hil",
    "horus_plugins": ROOT / "plugins",
}
MODULES = [
    (package, path)
    for package, folder in FOLDERS.items()
    for path in sorted(folder.rglob("*.py"))
    if "template" not in path.parts  # a package of its own
]


class Import:
    """One import: what, in which line, and whether it is done when its module is imported."""

    def __init__(self, name: str, line: int, at_once: bool) -> None:
        self.name = name
        self.line = line
        self.at_once = at_once


def part_of(name: str) -> str:
    """Return the part of HORUS that a module belongs to."""
    words = name.split(".")
    if words[0] != "horus" or len(words) == 1:
        return words[0]
    found = ".".join(words[:2])
    return found if found in ALLOWED else "horus"  # a name of the package, such as Node


def name_of(package: str, path: Path) -> str:
    """Return a module's name; that of a package for its ``__init__``."""
    words = [package, *path.relative_to(FOLDERS[package]).with_suffix("").parts]
    return ".".join(words[:-1] if words[-1] == "__init__" else words)


def imports(tree: ast.AST, package: str, at_once: bool = True) -> Iterator[Import]:
    """Yield all imports, those in functions and for type checkers not at once."""
    for node in ast.iter_child_nodes(tree):
        inner = at_once and not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            inner = False
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, at_once)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            source = ".".join(filter(None, (".".join(above) if node.level else "", node.module)))
            for alias in node.names:
                name = f"horus.{alias.name}" if source == "horus" else source
                yield Import(name, node.lineno, at_once)
        else:
            yield from imports(node, package, inner)


def wrong(name: str, source: str, package: str) -> list[str]:
    """Return what a module imports that it must not, with the line."""
    part = part_of(name)
    found = []
    for one in imports(ast.parse(source), package):
        top, other = one.name.partition(".")[0], part_of(one.name)
        if other == part or top in sys.stdlib_module_names or one.name == "horus.__version__":
            continue
        if top not in FOLDERS:
            fits = top in OUTSIDE.get(part, ()) and (top in AT_ONCE or not one.at_once)
        elif (part, other) in UPWARD:
            fits = not one.at_once
        else:
            fits = other in ALLOWED[part]
        if not fits:
            when = "at once" if one.at_once else "when called"
            found.append(f"line {one.line}: {name} ({part}) imports {one.name} {when}")
    return found


def test_modules_import_only_what_is_below_them() -> None:
    found = []
    for package, path in MODULES:
        name = name_of(package, path)
        inside = name if path.name == "__init__.py" else name.rpartition(".")[0]
        found += wrong(name, path.read_text(encoding="utf-8"), inside)
    assert found == []


def test_every_part_of_horus_is_in_the_table() -> None:
    parts = {f"horus.{path.stem}" for path in (ROOT / "horus").glob("[a-z]*.py")}
    parts |= {f"horus.{path.parent.name}" for path in (ROOT / "horus").glob("*/__init__.py")}
    assert parts <= set(ALLOWED)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("horus.hal.i2c", "from horus.hardware.config import load"),
        ("horus.hal.i2c", "def f():\n    import horus.node"),
        ("horus.hal.i2c", "import smbus2"),
        ("horus.bus.topic", "from horus import hal"),
        ("horus_drivers.imu.new", "from horus.bus import Publisher"),
        ("horus_drivers.imu.new", "from horus import Node"),
        ("horus_drivers.imu.new", "import numpy"),
        ("horus_drivers.gnss.new", "import pynmeagps"),
        ("horus.node.node", "import horus.scheduler"),
        ("horus.node.node", "from ..runtime import run"),
    ],
)
def test_an_upward_import_is_found(name: str, source: str) -> None:
    (text,) = wrong(name, source, name.rpartition(".")[0])
    assert name in text


def test_what_is_needed_later_may_be_imported_later() -> None:
    source = "if TYPE_CHECKING:\n    import horus.scheduler\ndef f():\n    import horus.scheduler"
    assert wrong("horus.node.node", source, "horus.node") == []

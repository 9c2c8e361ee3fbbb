"""What pyproject.toml says about the packages is what lies in the folders."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import horus

ROOT = Path(__file__).parents[2]
FOLDERS = {
    "horus": "horus",
    "drivers": "horus_drivers",
    "hil": "horus_hil",
    "plugins": "horus_plugins",
}


def test_every_package_is_listed() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    block = re.search(r"^packages = \[(.*?)^\]", text, re.M | re.S)
    assert block
    listed = set(re.findall(r'"([\w.]+)"', block[1]))
    found = set()
    for folder, name in FOLDERS.items():
        for init in (ROOT / folder).rglob("__init__.py"):
            parts = init.parent.relative_to(ROOT / folder).parts
            if "template" not in parts:
                found.add(".".join((name, *parts)))
    assert listed == found


def test_the_version_is_the_same_everywhere() -> None:
    assert f'version = "{horus.__version__}"' in (ROOT / "pyproject.toml").read_text()


def test_import_horus_is_cheap() -> None:
    code = (
        "import sys, horus; print(*sorted(set(sys.modules) & {'numpy', 'can', 'smbus2', 'serial', "
        "'yaml', 'posix_ipc', 'asyncio', 'pluggy'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_what_is_no_code_is_listed_too() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    block = re.search(r"^\[tool.setuptools.package-data\](.*?)^\[", text, re.M | re.S)
    assert block
    for folder, name in FOLDERS.items():
        listed = re.search(rf"^{name} = \[(.*)\]", block[1], re.M)
        assert listed, name
        patterns = re.findall(r'"([^"]+)"', listed[1])
        packed = {path for pattern in patterns for path in (ROOT / folder).glob(pattern)}
        kinds = ("*.yaml", "*.ini", "*.typed", "*.txt")
        found = {path for kind in kinds for path in (ROOT / folder).rglob(kind)}
        assert {path for path in found if "template" not in path.parts} <= packed, name

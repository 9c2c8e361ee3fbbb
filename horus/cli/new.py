"""Begin a driver of your own: writes a package that works at once, with a twin and tests.

It is about an invented thermometer; replace what is invented by what the data sheet says.
"""

from __future__ import annotations

import argparse
import keyword
import re
import sys
from importlib import resources
from pathlib import Path

_NAME = re.compile(r"[a-z][a-z0-9_]{1,21}")
_EXAMPLES = """\
examples:
  horus new driver my_sensor                          a package of its own, ./horus-my-sensor
  horus new driver my_motor --bus can                 for a device on CAN
  horus new driver my_sensor --into drivers/env       one file and its tests, in a clone of HORUS
"""
#: Files of a package by the starter they are made from.
_PACKAGE = {
    "pyproject.txt": "pyproject.toml",
    "readme.txt": "README.md",
    "plugin.txt": "horus_new_device/__init__.py",
    "{bus}_driver.txt": "horus_new_device/new_device.py",
    "conftest.txt": "tests/conftest.py",
    "{bus}_test.txt": "tests/test_new_device.py",
    "contract.txt": "tests/test_contract.py",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus new`."""
    parser.epilog = _EXAMPLES
    parser.add_argument("what", choices=("driver",), help="what to begin")
    parser.add_argument("name", metavar="NAME", help="as after use: in horus.yaml, e.g. my_sensor")
    parser.add_argument("--bus", choices=("i2c", "can", "serial"), default="i2c", help="its bus")
    parser.add_argument(
        "--into", metavar="FOLDER", type=Path, help="a folder of drivers in a clone of HORUS"
    )


def main(args: argparse.Namespace) -> int:
    """Write the files and say what to do next; 2 for a name that will not do."""
    problem = _problem(args.name)
    if problem:
        print(f"horus new: {problem}", file=sys.stderr)
        return 2
    if args.into is not None:
        return _into(args.name, args.bus, args.into)
    package = Path(f"horus-{args.name.replace('_', '-')}")
    texts = {
        package / fill(target, args.name): starter(source.format(bus=args.bus), args.name)
        for source, target in _PACKAGE.items()
    }
    texts[package / f"horus_{args.name}" / "py.typed"] = ""
    if package.exists():
        print(f"horus new: {package} is there already: nothing was written", file=sys.stderr)
        return 1
    _write(texts)
    print(
        f"wrote {package}: a driver, its simulated twin and tests that pass\n\nnext:\n"
        f"  cd {package}\n"
        '  pip install -e ".[dev]"       # the driver is known from now on\n'
        f"  horus drivers {args.name}\n"
        "  python -m pytest\n"
        f"  edit {fill(_PACKAGE['{bus}_driver.txt'], args.name)}: replace what is invented\n"
        f"  edit {fill(_PACKAGE['{bus}_test.txt'], args.name)}: bytes of the data sheet"
    )
    return 0


def _problem(name: str) -> str:
    """Return why a driver cannot have this name, or ""."""
    from horus.plugins import drivers

    why = _why_not(name)
    if why:
        return f"{name!r} cannot be the name of a driver: {why}"
    taken = drivers().get(name)
    return f"there is a driver {name} already, {taken.plugin}" if taken else ""


def _why_not(name: str) -> str:
    """Return what is wrong with the form of a name, or ""."""
    if not _NAME.fullmatch(name):
        if not re.fullmatch(r"[a-z0-9_]*", name):
            return "it may have a-z, 0-9 and _ only"
        if not re.match(r"[a-z]", name):
            return "it must begin with a letter"
        return f"it must have from 2 to 22 characters, not {len(name)}"
    return "it is a word of Python itself" if keyword.iskeyword(name) else ""


def _into(name: str, bus: str, folder: Path) -> int:
    """Write a driver into a clone of HORUS."""
    drivers = folder.parent
    if not (folder / "__init__.py").is_file() or not (drivers / "__init__.py").is_file():
        print(
            f"horus new: {folder} is no folder of drivers in a clone of HORUS, such as drivers/env",
            file=sys.stderr,
        )
        return 1
    module = f"horus_drivers.{folder.name}.{name}"
    test = starter(f"{bus}_test.txt", name).replace(f"horus_{name}.{name}", module)
    # The clone's order of imports is another one: horus is what is being developed there.
    found = re.search(rf"\nfrom {re.escape(module)} import \(.*?\)\n", test, re.S)
    assert found is not None  # every starter imports its driver
    test = test.replace(found[0], "", 1).replace("import pytest\n", f"import pytest{found[0]}\n", 1)
    texts = {
        folder / f"{name}.py": starter(f"{bus}_driver.txt", name),
        drivers.parent / "tests" / "drivers" / f"test_{name}.py": test,
    }
    there = [str(path) for path in texts if path.exists()]
    if there:
        print(f"horus new: {' and '.join(there)} is there already", file=sys.stderr)
        return 1
    _write(texts)
    print(
        f"wrote {' and '.join(map(str, texts))}\n\nnext:\n"
        f'  add to {drivers / "__init__.py"}:  "{name}": "{module}:{class_name(name)}",\n'
        f"  python -m pytest tests/drivers/test_{name}.py\n"
        f"  python -m pytest tests/contract -k {name}\n"
        f"  horus drivers --write {drivers / 'README.md'}"
    )
    return 0


def _write(texts: dict[Path, str]) -> None:
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def starter(file: str, name: str) -> str:
    """Return a starter with the driver's name in it."""
    source = resources.files("horus.cli") / "starters" / file
    return fill(source.read_text(encoding="utf-8"), name)


def fill(text: str, name: str) -> str:
    """Put a driver's name, and its class's, in the places of those of the starter."""
    text = text.replace("NewDevice", class_name(name)).replace("new_device", name)
    return text.replace("new-device", name.replace("_", "-"))


def class_name(name: str) -> str:
    """Return the name of the class of a driver: MySensor for my_sensor."""
    return "".join(word.capitalize() for word in name.split("_"))

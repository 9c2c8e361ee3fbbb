"""Begin a robot, or a driver of your own: writes what works at once, with tests.

A robot is a folder with horus.yaml, node files and tests in simulated time. A driver is a package
about an invented thermometer; replace what is invented by what the data sheet says.
"""

from __future__ import annotations

import argparse
import keyword
import re
import sys
from pathlib import Path

from horus.cli import robots
from horus.cli.starting import read, write

_NAME = re.compile(r"[a-z][a-z0-9_]{1,21}")
_EXAMPLES = """\
examples:
  horus new my_robot                                  a robot without hardware yet, ./my_robot
  horus new my_robot --template rover                 or arm, or sensor: with devices and nodes
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
    parser.usage = "horus new [driver] NAME [options]"
    parser.add_argument(
        "words",
        nargs="+",
        metavar="NAME",
        help="the robot's name, which is its folder's; or driver NAME, as after use: in horus.yaml",
    )
    parser.add_argument(
        "--template", choices=sorted(robots.TEMPLATES), help="of a robot (default: empty)"
    )
    parser.add_argument("--bus", choices=("i2c", "can", "serial"), help="of a driver (i2c)")
    parser.add_argument(
        "--into", metavar="FOLDER", type=Path, help="a folder of drivers in a clone of HORUS"
    )


def main(args: argparse.Namespace) -> int:
    """Write the files and say what to do next; 2 for a name that will not do."""
    first, *more = args.words
    driver = first == "driver" and bool(more)
    problem = ""
    if len(args.words) != 1 + driver:
        problem = f"one name, not {len(args.words) - driver}: {' '.join(args.words[driver:])}"
    elif driver and args.template:
        problem = "--template is for robots, not for a driver"
    elif not driver and (args.bus or args.into):
        problem = f"--bus and --into are for drivers: horus new driver {first}"
    elif first == "driver" and not driver:
        problem = "a driver needs a name: horus new driver my_sensor"
    if problem:
        print(f"horus new: {problem}", file=sys.stderr)
        return 2
    if not driver:
        return robots.begin(first, args.template or "empty")
    return _driver(more[0], args.bus or "i2c", args.into)


def _driver(name: str, bus: str, into: Path | None) -> int:
    """Write a package with a driver, or a driver into a clone."""
    problem = _problem(name)
    if problem:
        print(f"horus new: {problem}", file=sys.stderr)
        return 2
    if into is not None:
        return _into(name, bus, into)
    package = Path(f"horus-{name.replace('_', '-')}")
    texts = {
        package / fill(target, name): starter(source.format(bus=bus), name)
        for source, target in _PACKAGE.items()
    }
    texts[package / f"horus_{name}" / "py.typed"] = ""
    if package.exists():
        print(f"horus new: {package} is there already: nothing was written", file=sys.stderr)
        return 1
    write(texts)
    print(
        f"wrote {package}: a driver, its simulated twin and tests that pass\n\nnext:\n"
        f"  cd {package}\n"
        '  pip install -e ".[dev]"       # the driver is known from now on\n'
        f"  horus drivers {name}\n"
        "  python -m pytest\n"
        f"  edit {fill(_PACKAGE['{bus}_driver.txt'], name)}: replace what is invented\n"
        f"  edit {fill(_PACKAGE['{bus}_test.txt'], name)}: bytes of the data sheet"
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
    write(texts)
    print(
        f"wrote {' and '.join(map(str, texts))}\n\nnext:\n"
        f'  add to {drivers / "__init__.py"}:  "{name}": "{module}:{class_name(name)}",\n'
        f"  python -m pytest tests/drivers/test_{name}.py\n"
        f"  python -m pytest tests/contract -k {name}\n"
        f"  horus drivers --write {drivers / 'README.md'}"
    )
    return 0


def starter(file: str, name: str) -> str:
    """Return a starter with the driver's name in it."""
    return fill(read(file), name)


def fill(text: str, name: str) -> str:
    """Put a driver's name, and its class's, in the places of those of the starter."""
    text = text.replace("NewDevice", class_name(name)).replace("new_device", name)
    return text.replace("new-device", name.replace("_", "-"))


def class_name(name: str) -> str:
    """Return the name of the class of a driver: MySensor for my_sensor."""
    return "".join(word.capitalize() for word in name.split("_"))

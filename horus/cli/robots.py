"""Begin a robot: a folder with horus.yaml, node files, and tests in simulated time."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from horus.cli.starting import read, write

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
#: Files of every robot, and of each template, by the starter that they are made from.
_EVERY = {"robot_readme.txt": "README.md", "robot_gitignore.txt": ".gitignore"}
TEMPLATES = {
    "empty": {
        "empty_yaml.txt": "horus.yaml",
        "empty_hello.txt": "nodes/hello.py",
        "empty_test.txt": "tests/test_robot.py",
    },
    "sensor": {
        "sensor_yaml.txt": "horus.yaml",
        "sensor_watch.txt": "nodes/watch.py",
        "sensor_test.txt": "tests/test_robot.py",
    },
    "rover": {
        "rover_yaml.txt": "horus.yaml",
        "rover_base.txt": "nodes/base.py",
        "rover_plan.txt": "nodes/plan.py",
        "rover_test.txt": "tests/test_robot.py",
    },
    "arm": {
        "arm_yaml.txt": "horus.yaml",
        "arm_wave.txt": "nodes/wave.py",
        "arm_test.txt": "tests/test_robot.py",
    },
}


def begin(name: str, template: str) -> int:
    """Write a robot and say what to do next; 2 for a name that will not do, 1 if it is there."""
    if not _NAME.fullmatch(name):
        print(
            f"horus new: {name!r} cannot be the name of a robot: "
            "it must be 1 to 64 letters, digits, _ or -",
            file=sys.stderr,
        )
        return 2
    folder = Path(name)
    if folder.exists():
        print(f"horus new: {folder} is there already: nothing was written", file=sys.stderr)
        return 1
    files = {**_EVERY, **TEMPLATES[template]}
    write({folder / to: fill(read(source), name, template) for source, to in files.items()})
    mock = "" if template == "empty" else " --mock"
    print(
        f"wrote {folder}: a robot ({template}) that runs, with tests that pass\n\nnext:\n"
        f"  cd {folder}\n"
        f"  horus run{mock}\n"
        "  python -m pytest              # once before: pip install pytest\n"
        "  edit horus.yaml: horus scan lists what is plugged in, horus drivers what can be"
    )
    return 0


def fill(text: str, name: str, template: str) -> str:
    """Put the robot's name in the place of that of the starter."""
    return text.replace("my_robot", name).replace("TEMPLATE", template)

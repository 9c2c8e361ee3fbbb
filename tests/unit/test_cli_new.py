"""`horus new driver`: what it writes is right at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from horus.cli.main import main
from horus.cli.new import class_name

ROOT = Path(__file__).parents[2]
BUSES = ("i2c", "can", "serial")
#: The longest and the shortest name: lines of code must fit with both.
NAMES = ("a_very_long_name_of_22", "xy")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def python(*arguments: str, cwd: Path, path: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def made(here: Path, name: str, bus: str) -> Path:
    assert main(["new", "driver", name, "--bus", bus]) == 0
    return here / f"horus-{name.replace('_', '-')}"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bus", BUSES)
def test_what_it_writes_is_formatted_and_clean(here: Path, bus: str, name: str) -> None:
    pytest.importorskip("ruff")
    package = made(here, name, bus)
    for arguments in (("check",), ("format", "--check")):
        done = python("ruff", *arguments, "--no-cache", ".", cwd=package)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("bus", BUSES)
def test_its_own_tests_and_the_contract_pass(here: Path, bus: str) -> None:
    package = made(here, "my_device", bus)
    info = here / "site/horus_my_device-0.1.0.dist-info"  # as if it were installed
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: horus-my-device\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text("[horus]\nmy_device = horus_my_device\n")
    path = f"{info.parent}{os.pathsep}{package}"
    done = python("pytest", "-q", "-p", "no:cacheprovider", cwd=package, path=path)
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout
    known = python("horus.cli", "drivers", "my_device", cwd=package, path=path)
    assert known.stdout.startswith("my_device: MyDevice: thermometer")
    assert "of horus-my-device 0.1.0" in known.stdout


def test_it_says_what_to_do_next(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(here, "my_device", "i2c")
    text = capsys.readouterr().out
    assert text.startswith("wrote horus-my-device: ")
    for step in ("cd horus-my-device", "pip install -e", "python -m pytest", "my_device.py"):
        assert step in text
    for path in ("horus_my_device/my_device.py", "tests/test_my_device.py"):
        assert path in text
        assert (here / "horus-my-device" / path).is_file()


def test_its_readme_says_how_mypy_finds_a_clone(here: Path) -> None:
    text = (made(here, "my_device", "i2c") / "README.md").read_text()
    assert "-e PATH --config-settings editable_mode=strict" in text


def test_nothing_of_the_starter_is_left(here: Path) -> None:
    package = made(here, "my_device", "i2c")
    for path in package.rglob("*"):
        if path.is_file():
            text = f"{path.relative_to(package)} {path.read_text()}"
            assert "new_device" not in text
            assert "NewDevice" not in text
            assert "new-device" not in text


def test_what_is_there_already_is_not_touched(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "horus-my-device").mkdir()
    assert main(["new", "driver", "my_device"]) == 1
    assert "is there already" in capsys.readouterr().err
    assert list((here / "horus-my-device").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("MyDevice", "cannot be the name of a driver: it may have a-z, 0-9 and _ only"),
        ("2fast", "cannot be the name of a driver: it must begin with a letter"),
        ("class", "cannot be the name of a driver: it is a word of Python itself"),
        ("../up", "cannot be the name of a driver: it may have a-z, 0-9 and _ only"),
        ("x", "cannot be the name of a driver: it must have from 2 to 22 characters, not 1"),
        ("a" * 23, "cannot be the name of a driver: it must have from 2 to 22 characters, not 23"),
        ("mpu6050", "there is a driver mpu6050 already, plugin drivers of horus"),
    ],
)
def test_a_name_that_will_not_do_is_refused(
    here: Path, name: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new", "driver", name]) == 2
    assert text in capsys.readouterr().err
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("bus", BUSES)
def test_into_a_clone_it_writes_one_file_and_its_tests(
    here: Path, bus: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("drivers", "drivers/env"):
        (here / folder).mkdir()
        (here / folder / "__init__.py").touch()
    (here / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    assert main(["new", "driver", "my_device", "--bus", bus, "--into", "drivers/env"]) == 0
    line = '"my_device": "horus_drivers.env.my_device:MyDevice",'
    assert line in capsys.readouterr().out
    driver, test = here / "drivers/env/my_device.py", here / "tests/drivers/test_my_device.py"
    assert "from horus_drivers.env.my_device import (" in test.read_text()
    compile(driver.read_text(), driver, "exec")
    assert main(["new", "driver", "my_device", "--bus", bus, "--into", "drivers/env"]) == 1
    done = python("ruff", "format", "--check", "--no-cache", str(driver), str(test), cwd=here)
    assert done.returncode == 0, done.stdout


def test_a_folder_that_is_no_folder_of_drivers_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new", "driver", "my_device", "--into", "somewhere"]) == 1
    assert "somewhere is no folder of drivers" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "cls"), [("my_sensor", "MySensor"), ("bno055", "Bno055")])
def test_classes_are_named_after_the_driver(name: str, cls: str) -> None:
    assert class_name(name) == cls

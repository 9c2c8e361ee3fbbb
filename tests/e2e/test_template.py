"""The template of a third-party package: built, installed beside the wheel, and tested there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LEFT_OUT = shutil.ignore_patterns(
    ".*", "build", "dist", "*.egg-info", "__pycache__", "*.so", "tests", "examples"
)


def run(*arguments: str | Path, cwd: Path) -> str:
    """Run a command without the environment of this one; return what it prints."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "HORUS"))}
    done = subprocess.run(
        [str(argument) for argument in arguments],
        cwd=cwd,
        env={**environment, "CC": "false"},  # the pure core will do, and takes no compiler
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, f"{arguments}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def install(work: Path) -> tuple[Path, Path]:
    """Install HORUS and the template as wheels; return the Python and the template's folder."""
    shutil.copytree(ROOT, work / "horus", ignore=LEFT_OUT)
    template = work / "horus/plugins/template"
    shutil.copytree(ROOT / "plugins/template/tests", template / "tests")
    python = work / "venv/bin/python"
    run(sys.executable, "-m", "venv", work / "venv", cwd=work)
    wheels = work / "wheels"
    for source in (work / "horus", template):
        run(python, "-m", "pip", "wheel", "-q", "--no-deps", "-w", wheels, source, cwd=work)
    names = sorted(path.name.split("-")[0] for path in wheels.iterdir())
    assert names == ["horus", "horus_ltr303"]
    run(python, "-m", "pip", "install", "-q", "pytest", *wheels.iterdir(), cwd=work)
    shutil.rmtree(work / "horus/horus")  # what is tested is what was installed
    shutil.rmtree(template / "horus_ltr303")
    return python, template


def test_installed_beside_the_wheel_it_is_known_passes_its_tests_and_runs(tmp_path: Path) -> None:
    """One test, for the environment takes half a minute to make."""
    python, template = install(tmp_path)

    text = run(python, "-m", "horus.cli", "drivers", "ltr303", cwd=template)
    assert text.startswith("ltr303: Lite-On LTR-303ALS-01")
    assert "of horus-ltr303 0.1.0, on I2C" in text
    assert "ltr303   horus-ltr303" in run(python, "-m", "horus.cli", "plugins", cwd=template)

    assert " passed" in run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=template)

    robot = tmp_path / "robot"
    robot.mkdir()
    (robot / "horus.yaml").write_text(
        "buses: {i2c1: {use: i2c, device: /dev/i2c-1}}\n"
        "hardware: {light: {use: ltr303, bus: i2c1, gain: 4}}\n"
    )
    run(python, "-m", "horus.cli", "check", cwd=robot)
    text = run(python, "-m", "horus.cli", "run", "--mock", "--duration", "3", cwd=robot)
    assert "light: active: samples arrive" in text

    # A driver begun with `horus new` finds its starters in the wheel.
    run(python, "-m", "horus.cli", "new", "driver", "my_device", "--bus", "can", cwd=robot)
    assert (robot / "horus-my-device/horus_my_device/my_device.py").is_file()

    pytest.importorskip("mypy")
    cache = ("--cache-dir", tmp_path / "mypy")
    arguments = ("--strict", "--python-executable", python, *cache, "-p", "horus_ltr303")
    run(sys.executable, "-m", "mypy", *arguments, cwd=robot)


def test_it_is_formatted_and_clean() -> None:
    pytest.importorskip("ruff")
    for arguments in (("check",), ("format", "--check")):
        run(sys.executable, "-m", "ruff", *arguments, "--no-cache", "plugins/template", cwd=ROOT)

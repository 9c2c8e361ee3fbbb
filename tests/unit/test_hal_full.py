"""Shared memory that cannot be used: the hardware processes say so in one line."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from horus.bus import session
from horus.errors import SharedMemoryError
from horus.hal import CanFrame
from horus.hardware import lastwords, simbuses
from horus.hardware.lastwords import BusAddress
from horus.hardware.processes import READY_FILE

ROBOT = """\
buses: {can0: {use: socketcan, channel: can0}}
hardware: {wheel: {use: odrive, bus: can0, node: 3}}
"""


@pytest.fixture
def run_folder(monkeypatch: pytest.MonkeyPatch) -> Path:
    made = session.new_session()
    monkeypatch.setenv("HORUS_SESSION_ID", made.id)
    monkeypatch.setenv("HORUS_SIM_CAN", "unix")
    return made.path


def test_a_place_that_cannot_be_agreed_on_is_explained(run_folder: Path) -> None:
    port = run_folder / simbuses.FOLDER / "can0.port"
    port.mkdir(parents=True)
    with pytest.raises(SharedMemoryError, match=f"shared memory at {port} cannot be used"):
        simbuses.can_config("can0")


def test_last_words_that_find_no_space_are_explained(run_folder: Path) -> None:
    folder = run_folder / lastwords.FOLDER
    folder.mkdir()
    (folder / f"{os.getpid()}-wheel.new").symlink_to("/dev/full")
    address = BusAddress("can0", "simulated", simbuses.can_config("can0"))
    with pytest.raises(SharedMemoryError, match="it is full: run `horus clean`") as info:
        lastwords.record("wheel", address, [CanFrame(0x67, b"\x01")])
    assert info.value.errno == errno.ENOSPC


@pytest.mark.parametrize("module", ["twins", "worker"])
def test_a_process_that_cannot_say_it_is_ready_ends_with_one_line(
    run_folder: Path, tmp_path: Path, module: str
) -> None:
    (tmp_path / "horus.yaml").write_text(ROBOT)
    ready = run_folder / "nowhere" / "ready"
    arguments = ["--config", str(tmp_path), "--bus", "can0", *["--mock"] * (module == "worker")]
    done = subprocess.run(
        [sys.executable, "-m", f"horus.hardware.{module}", *arguments],
        env={**os.environ, READY_FILE: str(ready)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert f"shared memory at {ready} cannot be used: " in done.stdout.splitlines()[-1]
    assert "Traceback" not in done.stdout + done.stderr

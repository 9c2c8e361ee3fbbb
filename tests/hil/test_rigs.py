"""The rig files that HORUS brings."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from horus.errors import ConfigError
from horus.plugins import drivers
from horus.testing.rig import choice, every, file, hazards


def test_the_mock_rig_names_every_driver() -> None:
    path = choice.rigs_folder() / "mock.yaml"
    rig = file.load(path)
    ours = [e for e in drivers().values() if e.target.startswith("horus_drivers.")]
    assert {device.entry.use for device in rig.devices.values()} == {entry.name for entry in ours}
    written = "python -m horus.testing.rig.every > hil/rigs/mock.yaml writes it again"
    assert path.read_text() == every.text(ours), written


@pytest.mark.parametrize("name", [name for name in choice.known() if name != "virtual"])
def test_every_rig_that_horus_brings_can_be_read_and_simulated(name: str) -> None:
    assert choice.find(name).rig.devices
    assert choice.find(f"mock:{choice.rigs_folder() / name}.yaml").how == choice.STEPPED


def test_the_benches_accept_no_hazard_unless_it_is_asked_for() -> None:
    for name in ("pi", "usb"):
        assert hazards.allowed(choice.find(name).rig, []) == frozenset()


@pytest.mark.parametrize("name", ["pi", "usb"])
def test_the_facts_of_a_bench_hold_for_its_twins(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "horus.cli", "hil", "run", f"mock:{name}", "-q", "-k", "file_knows"],
        cwd=tmp_path,
        env={k: v for k, v in os.environ.items() if not k.startswith(("HORUS_RIG", "PYTEST_"))},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("named", "fault"),
    [
        ("twins", "twins: a rig's file is missing, such as twins:my-bench.yaml"),
        ("mock:", "mock:: a rig's file is missing, such as mock:my-bench.yaml"),
        ("", "'': no such rig; HORUS brings mock, pi, usb, virtual; or give the path"),
        (".", ".: is a folder: give the path of a rig's file"),
        ("twins:.", ".: is a folder: give the path of a rig's file"),
    ],
)
def test_what_names_no_rig_is_told_with_what_would(named: str, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        choice.find(named)
    assert str(caught.value).startswith(fault)


def test_a_folder_does_not_hide_the_rig_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pi").mkdir()
    monkeypatch.chdir(tmp_path)
    assert choice.find("pi").rig.path == choice.rigs_folder() / "pi.yaml"

"""The rig files that HORUS brings."""

from __future__ import annotations

import pytest

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

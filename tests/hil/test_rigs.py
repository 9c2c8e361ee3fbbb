"""The rig files that HORUS brings."""

from __future__ import annotations

from horus.plugins import drivers
from horus.testing.rig import choice, every, file


def test_the_mock_rig_names_every_driver() -> None:
    path = choice.rigs_folder() / "mock.yaml"
    rig = file.load(path)
    ours = [e for e in drivers().values() if e.target.startswith("horus_drivers.")]
    assert {device.entry.use for device in rig.devices.values()} == {entry.name for entry in ours}
    written = "python -m horus.testing.rig.every > hil/rigs/mock.yaml writes it again"
    assert path.read_text() == every.text(ours), written

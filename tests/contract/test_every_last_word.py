"""The last words of every registered driver of something that moves."""

import json
from pathlib import Path
from typing import Any

import pytest

from horus.bus import session
from horus.hal import Actuator
from horus.hal.backends.sim_can import SimCanConfig
from horus.hardware import lastwords, words
from horus.hardware.buses import make_link
from horus.hardware.lastwords import BusAddress
from horus.hardware.node import DeviceState
from horus.plugins import drivers

USES = [
    name
    for name, found in drivers().items()
    if found.plugin.package.startswith("horus ") and issubclass(found.load(), Actuator)
]
pytestmark = pytest.mark.parametrize("use", USES)


@pytest.fixture
def run_folder(monkeypatch: pytest.MonkeyPatch) -> Path:
    made = session.new_session()
    monkeypatch.setenv("HORUS_SESSION_ID", made.id)
    return made.path


@pytest.fixture
def worded(make_bench: Any, use: str, run_folder: Path) -> Any:
    address = BusAddress("bus0", "udp", SimCanConfig(port=20_001))
    made = make_bench(use, address=address)
    made.until(lambda: made.node.state is DeviceState.READY)
    return made


def test_last_words_are_left_when_it_is_armed_and_taken_back_when_it_is_safe(
    worded: Any, run_folder: Path
) -> None:
    assert lastwords.pending() == []
    worded.run(0.5, worded.good)
    assert lastwords.pending() == ["device"]
    (file,) = (run_folder / lastwords.FOLDER).iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    worded.run(0.5)
    assert lastwords.pending() == []


def test_last_words_are_what_safe_sends(worded: Any, run_folder: Path) -> None:
    worded.run(0.5, worded.good)
    (file,) = (run_folder / lastwords.FOLDER).iterdir()
    left = json.loads(file.read_text())["words"]
    ear = words.ear(worded.device.driver.map_type.bus_kind)
    link = make_link(ear, None, "device", worded.device.station)
    worded.device.driver(worded.device.config, link).safe()
    assert left == [words.packed(word) for word in ear.heard]
    assert left


def test_last_words_stay_when_it_cannot_be_made_safe(
    worded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    worded.run(0.5, worded.good)

    def broken(*_: Any) -> None:
        raise OSError("the wire is cut")

    monkeypatch.setattr(type(worded.node._driver), "safe", broken)
    worded.scheduler.stop()
    assert lastwords.pending() == ["device"]

"""Last words: what is in the file is checked, and the frames really cross to another process."""

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from horus.bus import session
from horus.hal import CanFrame, DeviceFault, FaultKind
from horus.hal.backends.sim_can import SimCan, SimCanConfig
from horus.hal.backends.socketcan import SocketCanConfig
from horus.hardware import lastwords, simbuses
from horus.hardware.lastwords import BusAddress

FRAMES = [CanFrame(0x06D, bytes(8)), CanFrame(0x067, b"\x01\0\0\0")]


@pytest.fixture
def run_folder(monkeypatch: pytest.MonkeyPatch) -> Path:
    made = session.new_session()
    monkeypatch.setenv("HORUS_SESSION_ID", made.id)
    return made.path


@pytest.fixture
def port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("", 0))
        number: int = probe.getsockname()[1]
        return number


@pytest.fixture
def file(run_folder: Path, port: int) -> Path:
    """Words of a device `wheel`, as this process leaves them."""
    address = BusAddress("can0", "udp", SimCanConfig(port=port))
    lastwords.record("wheel", address, FRAMES)
    (path,) = (run_folder / lastwords.FOLDER).iterdir()
    return path


def speak(run_folder: Path) -> list[tuple[str, bool]]:
    return [(word.device, word.ok) for word in lastwords.speak(run_folder, os.getpid())]


def test_the_frames_are_sent_and_the_file_is_gone(run_folder: Path, file: Path, port: int) -> None:
    ear = SimCan("can0", SimCanConfig(port=port))
    try:
        assert speak(run_folder) == [("wheel", True)]
        heard = [frame for frame in iter(lambda: ear.receive(0.2), None) if not frame.extended]
    finally:
        ear.close()
    assert heard == FRAMES * 2
    assert not file.exists()
    assert speak(run_folder) == []


def test_words_taken_back_are_not_spoken(run_folder: Path, file: Path) -> None:
    lastwords.withdraw("wheel")
    lastwords.withdraw("wheel")
    assert speak(run_folder) == []


def test_words_of_another_process_are_left_alone(run_folder: Path, file: Path) -> None:
    assert lastwords.speak(run_folder, os.getpid() + 1) == []
    assert file.exists()


def test_a_bus_that_cannot_be_opened_is_told_and_the_next_device_has_its_turn(
    run_folder: Path, file: Path
) -> None:
    real = BusAddress("can9", "socketcan", SocketCanConfig(channel="nocan9"))
    lastwords.record("arm", real, FRAMES)
    first, second = lastwords.speak(run_folder, os.getpid())
    assert (first.device, first.ok) == ("arm", False)
    assert "can9: " in first.text
    assert (second.device, second.ok) == ("wheel", True)


def test_outside_of_a_run_nothing_is_left_behind(shm: Path) -> None:
    lastwords.record("wheel", BusAddress("can0", "udp", SimCanConfig(port=20_001)), FRAMES)
    lastwords.withdraw("wheel")
    assert not list(shm.rglob("*wheel*"))


def change(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    "changes",
    [
        {"device": "other"},
        {"pid": 1},
        {"pid": None},
        {"frames": []},
        {"frames": [{"id": 1, "data": "", "extended": False}] * 1000},
        {"frames": [{"id": 99999, "data": "", "extended": False}]},
        {"frames": [{"id": 1, "data": "zz", "extended": False}]},
        {"frames": [{"id": 1, "data": "00" * 9, "extended": False}]},
        {"frames": 7},
        {"bus": {"name": "x", "use": "i2c", "config": {"device": "/dev/i2c-1"}}},
        {"bus": {"name": "x", "use": "os.system", "config": {}}},
        {"bus": {"name": "x", "use": "udp", "config": {"port": 80}}},
        {"bus": {"name": "x", "use": "udp", "config": {"prot": 2000}}},
        {"bus": {"name": "x", "use": ["a"], "config": {}}},
        {"bus": None},
    ],
)
def test_a_file_that_says_anything_else_is_refused(
    run_folder: Path, file: Path, changes: dict[str, Any]
) -> None:
    change(file, **changes)
    (word,) = lastwords.speak(run_folder, os.getpid())
    assert not word.ok
    assert word.text.startswith(f"its last words in {file} cannot be used: ")


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff", b" " * 100_000])
def test_a_file_that_is_no_record_is_refused(run_folder: Path, file: Path, text: bytes) -> None:
    file.write_bytes(text)
    assert speak(run_folder) == [("wheel", False)]


def test_a_link_to_elsewhere_is_refused(run_folder: Path, file: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "words"
    elsewhere.write_bytes(file.read_bytes())
    file.unlink()
    file.symlink_to(elsewhere)
    assert speak(run_folder) == [("wheel", False)]


def test_words_go_over_a_bus_of_sockets_too(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HORUS_SIM_CAN", "unix")
    address = BusAddress("can0", "simulated", simbuses.can_config("can0"))
    lastwords.record("wheel", address, FRAMES)
    ear = address.open()
    monkeypatch.delenv("HORUS_SESSION_ID")  # the supervisor is no part of the run
    try:
        assert speak(run_folder) == [("wheel", True)]
        assert [ear.receive(5.0) for _ in range(4)] == FRAMES * 2
    finally:
        ear.close()


def test_every_run_and_bus_has_a_port_of_its_own_that_its_processes_agree_on(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = simbuses.can_config("can0")
    assert simbuses.can_config("can0") == first
    assert simbuses.can_config("can1") != first
    monkeypatch.setenv("HORUS_SESSION_ID", session.new_session().id)
    assert simbuses.can_config("can0") != first
    monkeypatch.delenv("HORUS_SESSION_ID")
    assert simbuses.can_config("can0") == simbuses.can_config("can0") != first


def test_where_there_is_no_multicast_all_processes_agree_on_sockets(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(*_: object) -> None:
        raise DeviceFault(FaultKind.ABSENT, "no multicast")

    with monkeypatch.context() as patch:
        patch.setattr(simbuses, "SimCan", absent)
        first = simbuses.can_config("can0")
    assert first == simbuses.UnixCanConfig(bus="can0")
    assert simbuses.can_config("can0") == first

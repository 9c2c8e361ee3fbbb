"""Last words: what is in the file is checked, and the frames really cross to another process."""

import json
import os
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from horus.bus import session
from horus.hal import (
    Actuator,
    ActuatorConfig,
    CanFrame,
    DeviceFault,
    FaultKind,
    I2cBus,
    Register,
    RegisterMap,
    SimI2cBus,
)
from horus.hal.backends.sim_can import SimCan, SimCanConfig
from horus.hal.backends.socketcan import SocketCanConfig
from horus.hal.mux import MuxChannel, MuxConfig
from horus.hal.ptyserial import PtyPort
from horus.hal.unixi2c import I2cSimHost
from horus.hardware import lastwords, simbuses
from horus.hardware.config import BusEntry, DeviceEntry
from horus.hardware.lastwords import BusAddress
from horus.hardware.words import I2cWrite, UnspeakableError
from horus.msgs import MotorCommand

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
        {"words": []},
        {"words": [{"id": 1, "data": "", "extended": False}] * 1000},
        {"words": [{"id": 99999, "data": "", "extended": False}]},
        {"words": [{"id": 1, "data": "zz", "extended": False}]},
        {"words": [{"id": 1, "data": "00" * 9, "extended": False}]},
        {"words": 7},
        {"bus": {"name": "x", "use": "i2c", "config": {"device": "/dev/i2c-1"}}},
        {"bus": {"name": "x", "use": "pty", "config": {"bus": "x"}}, "words": [{"data": 5}]},
        {
            "bus": {"name": "x", "use": "pty", "config": {"bus": "x"}},
            "words": [{"data": "0" * 9000}],
        },
        {
            "bus": {"name": "x", "use": "i2c_socket", "config": {"bus": "x"}},
            "words": [{"address": 128, "data": ""}],
        },
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


def test_words_for_a_serial_port_are_written_to_it(run_folder: Path) -> None:
    port = PtyPort()
    simbuses.offer_pty("arm", port.path)
    address = BusAddress("arm", "simulated", simbuses.PtyConfig(bus="arm"))
    lastwords.record("gripper", address, [b"\xff\x01", b"stop"])
    try:
        assert speak(run_folder) == [("gripper", True)]
        heard = b""
        while len(heard) < 12:
            heard += port.read(5.0)
    finally:
        port.close()
    assert heard == b"\xff\x01stop" * 2


class Chip(RegisterMap):
    value = Register(0x05)


def test_words_for_an_i2c_device_are_written_to_its_address(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = SimI2cBus("i2c1")
    host = I2cSimHost(bus, simbuses.folder_of("i2c1"))
    sent: list[tuple[int, bytes]] = []
    monkeypatch.setattr(bus, "transfer", lambda a, w, r=0: (sent.append((a, w)), b"")[1])
    done = threading.Event()

    def serve() -> None:
        while not done.is_set():
            host.step(0.01)

    thread = threading.Thread(target=serve)
    thread.start()
    address = BusAddress("i2c1", "simulated", simbuses.UnixI2cConfig(bus="i2c1"))
    lastwords.record("servos", address, [I2cWrite(0x40, b"\xfd\x10")])
    try:
        assert speak(run_folder) == [("servos", True)]
    finally:
        done.set()
        thread.join()
        host.close()
    assert sent == [(0x40, b"\xfd\x10")] * 2


@dataclass(frozen=True, kw_only=True)
class PlacedConfig(ActuatorConfig):
    address: int = 0x40


class Reads(Actuator[PlacedConfig, Chip]):
    def probe(self) -> bool:
        return True

    def read(self) -> None:
        return None

    def arm(self) -> None:
        pass

    def write(self, command: MotorCommand) -> None:
        pass

    def safe(self) -> None:
        _ = self.map.value


class Writes(Reads):
    def safe(self) -> None:
        self.map.value = 7


def entry(driver: Any) -> DeviceEntry:
    return DeviceEntry("servos", "test", driver, "mux", PlacedConfig(), None, 1)


def branch(name: str, parent: str, address: int) -> BusEntry:
    config = MuxConfig(parent=parent, address=address, channel=2)
    return BusEntry(name, "mux", MuxChannel, config, 1)


def test_behind_a_multiplexer_its_branch_is_chosen_and_others_are_left() -> None:
    said = lastwords.words_of(
        entry(Writes), [branch("other", "i2c1", 0x71), branch("mux", "i2c1", 0x70)]
    )
    assert said == [
        I2cWrite(0x71, b"\x00"),
        I2cWrite(0x70, b"\x04"),
        I2cWrite(0x40, b"\x05\x07"),
    ]


@pytest.mark.parametrize(("gone", "ok"), [(0x71, True), (0x40, False)])
def test_only_a_multiplexer_that_is_not_needed_may_be_gone(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch, gone: int, ok: bool
) -> None:
    sent: list[int] = []

    class Bus(I2cBus):
        def transfer(self, address: int, write: bytes, read: int = 0) -> bytes:
            if address == gone:
                raise DeviceFault(FaultKind.NO_ACK, "nobody answers")
            sent.append(address)
            return b""

        def close(self) -> None:
            pass

    monkeypatch.setattr(simbuses, "open_bus", lambda *_: Bus())
    address = BusAddress("i2c1", "simulated", simbuses.UnixI2cConfig(bus="i2c1"))
    said = [I2cWrite(0x71, b"\x00"), I2cWrite(0x70, b"\x04"), I2cWrite(0x40, b"\x05")]
    lastwords.record("servos", address, said)
    assert speak(run_folder) == [("servos", ok)]
    assert sent == [a for a in (0x71, 0x70, 0x40) if a != gone] * 2


def test_a_driver_whose_safe_reads_is_refused() -> None:
    with pytest.raises(UnspeakableError, match=r"servos: safe\(\) of test reads"):
        lastwords.words_of(entry(Reads))


def test_what_cannot_be_imported_beforehand_raises_nothing_and_keeps_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded: list[str] = []

    class Use:
        def load(self) -> None:
            loaded.append("bus")
            raise OSError(24, "Too many open files")

    def none_left() -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(lastwords.python_can, "preload", none_left)
    monkeypatch.setattr(lastwords, "buses", lambda: {"one": Use(), "two": Use()})
    lastwords.prepare()
    assert loaded == ["bus", "bus"]

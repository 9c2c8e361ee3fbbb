"""Real back-ends: every error of every library becomes a fault kind with its cure."""

import contextlib
import errno
import grp
import os
import socket
import sys
import time
import types
from pathlib import Path
from typing import Any

import pytest

from horus.hal import CanBus, CanFrame, DeviceFault, FaultKind
from horus.hal.backends import i2c_dev, socketcan
from horus.hal.backends.i2c_dev import I2cDev, I2cDevConfig
from horus.hal.backends.python_can import PythonCan
from horus.hal.backends.sim_can import SimCan, SimCanConfig
from horus.hal.backends.socketcan import SocketCan, SocketCanConfig
from horus.hal.unixcan import UnixCan


@pytest.fixture
def port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("", 0))
        number: int = probe.getsockname()[1]
        return number


# I2C ------------------------------------------------------------------------------------------


class FakeSmbus:
    """Stands for smbus2: keeps the messages, answers, or raises."""

    def __init__(self) -> None:
        self.error: OSError | None = None
        self.opening: OSError | None = None
        self.messages: list[tuple[Any, ...]] = []
        self.fd = os.open("/dev/null", os.O_RDONLY)
        self.closed = 0

    def module(self) -> types.ModuleType:
        module = types.ModuleType("smbus2")
        fake = self

        class Message:
            def __init__(self, *about: Any) -> None:
                self.about = about

            def __bytes__(self) -> bytes:
                return bytes(range(self.about[2]))

            @staticmethod
            def write(address: int, data: bytes) -> "Message":
                return Message("write", address, data)

            @staticmethod
            def read(address: int, count: int) -> "Message":
                return Message("read", address, count)

        class SMBus:
            fd = fake.fd

            def open(self, path: str) -> None:
                if fake.opening:
                    raise fake.opening

            def i2c_rdwr(self, *messages: Message) -> None:
                if fake.error:
                    raise fake.error
                fake.messages = [message.about for message in messages]

            def close(self) -> None:
                fake.closed += 1

        module.__dict__.update(i2c_msg=Message, SMBus=SMBus)
        return module


@pytest.fixture
def smbus(monkeypatch: pytest.MonkeyPatch) -> FakeSmbus:
    fake = FakeSmbus()
    monkeypatch.setitem(sys.modules, "smbus2", fake.module())
    monkeypatch.setattr(i2c_dev.fcntl, "ioctl", lambda *arguments: None)
    return fake


@pytest.fixture
def node(tmp_path: Path) -> Path:
    path = tmp_path / "i2c-1"
    path.touch()
    return path


def test_a_transfer_is_one_i2c_rdwr_call(smbus: FakeSmbus, node: Path) -> None:
    bus = I2cDev("i2c1", I2cDevConfig(device=str(node)))
    assert bus.transfer(0x68, b"\x3b", 3) == b"\x00\x01\x02"
    assert smbus.messages == [("write", 0x68, b"\x3b"), ("read", 0x68, 3)]
    bus.transfer(0x68, b"")
    assert smbus.messages == [("write", 0x68, b"")]
    bus.transfer(0x68, b"", 2)
    assert smbus.messages == [("read", 0x68, 2)]
    bus.close()
    bus.close()
    assert smbus.closed == 1
    with pytest.raises(DeviceFault, match="the bus is closed"):
        bus.transfer(0x68, b"")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENXIO, FaultKind.NO_ACK),
        (errno.EREMOTEIO, FaultKind.NO_ACK),
        (errno.ENODEV, FaultKind.NO_ACK),
        (errno.ETIMEDOUT, FaultKind.TIMEOUT),
        (errno.EAGAIN, FaultKind.BUSY),
        (errno.EIO, FaultKind.OTHER),
        (errno.EOPNOTSUPP, FaultKind.OTHER),
    ],
)
def test_errors_of_a_transfer(smbus: FakeSmbus, node: Path, code: int, kind: FaultKind) -> None:
    bus = I2cDev("i2c1", I2cDevConfig(device=str(node)))
    smbus.error = OSError(code, os.strerror(code))
    with pytest.raises(DeviceFault, match="i2c1: .*0x68") as info:
        bus.transfer(0x68, b"\x00", 1)
    assert info.value.kind is kind


def test_an_adapter_that_was_pulled_out_is_absent(smbus: FakeSmbus, node: Path) -> None:
    bus = I2cDev("i2c1", I2cDevConfig(device=str(node)))
    node.unlink()
    smbus.error = OSError(errno.ENODEV, "No such device")
    with pytest.raises(DeviceFault) as info:
        bus.transfer(0x68, b"\x00", 1)
    assert info.value.kind is FaultKind.ABSENT


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (errno.ENOENT, FaultKind.ABSENT, "modprobe i2c-dev"),
        (errno.EACCES, FaultKind.DENIED, "may not be opened by"),
        (errno.EBUSY, FaultKind.BUSY, "busy"),
    ],
)
def test_errors_of_opening(
    smbus: FakeSmbus, node: Path, code: int, kind: FaultKind, words: str
) -> None:
    smbus.opening = OSError(code, "busy")
    with pytest.raises(DeviceFault, match=words) as info:
        I2cDev("i2c1", I2cDevConfig(device=str(node)))
    assert info.value.kind is kind


def test_a_node_that_is_no_bus_is_not_kept_open(tmp_path: Path) -> None:
    def open_files() -> list[str]:
        found = []
        for fd in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(OSError):
                found.append(str(fd.readlink()))
        return found

    node = tmp_path / "i2c-1"
    node.touch()
    with pytest.raises(DeviceFault) as kept:  # and with it the traceback
        I2cDev("i2c1", I2cDevConfig(device=str(node)))
    assert kept.traceback
    assert str(node) not in open_files()


def test_denied_names_the_real_owning_group(monkeypatch: pytest.MonkeyPatch, node: Path) -> None:
    group = next(g for g in grp.getgrall() if g.gr_name != "root")
    real = node.stat()
    fields = list(real)
    fields[5] = group.gr_gid
    monkeypatch.setattr(Path, "stat", lambda self, **_: os.stat_result(fields))
    monkeypatch.setattr(os, "access", lambda *_: False)
    text = I2cDev.preflight("i2c1", I2cDevConfig(device=str(node)))
    assert f"sudo usermod -aG {group.gr_name} " in text
    assert text.startswith(f"i2c1: {node} may not be opened by ")


def test_preflight_of_an_absent_bus_says_which_buses_there_are() -> None:
    text = I2cDev.preflight("i2c1", I2cDevConfig(device="/dev/i2c-77"))
    assert text.startswith("i2c1: /dev/i2c-77 does not exist (I2C buses here: ")
    assert "modprobe i2c-dev" in text


@pytest.mark.parametrize(
    ("package", "open"),
    [
        ("smbus2", lambda: I2cDev("i2c1", I2cDevConfig(device="/dev/i2c-1"))),
        ("can", lambda: SocketCan("can0", SocketCanConfig(channel="can0"))),
    ],
)
def test_a_missing_package_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, package: str, open: Any
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DeviceFault, match=r'pip install "horus\[drivers\]"') as info:
        open()
    assert info.value.kind is FaultKind.ABSENT


# CAN ------------------------------------------------------------------------------------------


def make_interface(folder: Path, kind: int, flags: int) -> None:
    (folder / "can0").mkdir()
    (folder / "can0" / "type").write_text(f"{kind}\n")
    (folder / "can0" / "flags").write_text(f"{flags:#x}\n")


@pytest.mark.parametrize(
    ("interface", "words"),
    [
        (None, "the CAN interface can0 does not exist (CAN interfaces here: none)"),
        ((1, 1), "can0 is not a CAN interface"),
        ((280, 0), "the CAN interface can0 is down"),
    ],
)
def test_preflight_of_socketcan_names_what_is_wrong_and_the_command_that_cures_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, interface: Any, words: str
) -> None:
    monkeypatch.setattr(socketcan, "INTERFACES", tmp_path)
    if interface:
        make_interface(tmp_path, *interface)
    text = SocketCan.preflight("can0", SocketCanConfig(channel="can0", bitrate=250_000))
    assert text.startswith(f"can0: {words}: ")
    assert "sudo ip link set can0 up type can bitrate 250000" in text


def test_opening_an_absent_interface_is_a_fault_with_its_cure() -> None:
    with pytest.raises(DeviceFault, match="ip link set nocan9 up") as info:
        SocketCan("can0", SocketCanConfig(channel="nocan9"))
    assert info.value.kind is FaultKind.ABSENT


class Raising:
    """A python-can bus on which everything fails."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def send(self, *_: Any, **__: Any) -> None:
        raise self.error

    def recv(self, _: float) -> None:
        raise self.error

    def shutdown(self) -> None:
        pass


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Any:
    can = pytest.importorskip("can")

    def make(error: Exception) -> PythonCan:
        monkeypatch.setattr(can, "Bus", lambda **_: Raising(error))
        return PythonCan("can0", interface="any")

    return make


def caused(cause: OSError) -> Exception:
    can = pytest.importorskip("can")
    error: Exception = can.CanOperationError("Failed to transmit")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENETDOWN, FaultKind.ABSENT),
        (errno.ENODEV, FaultKind.ABSENT),
        (errno.ENOBUFS, FaultKind.TIMEOUT),
        (errno.EPERM, FaultKind.DENIED),
        (errno.EIO, FaultKind.OTHER),
    ],
)
def test_errors_of_a_can_library_keep_the_kind_of_their_cause(
    broken: Any, code: int, kind: FaultKind
) -> None:
    for error in (OSError(code, "x"), caused(OSError(code, "x"))):
        bus = broken(error)
        for call in (lambda bus=bus: bus.send(CanFrame(1)), lambda bus=bus: bus.receive(0.0)):
            with pytest.raises(DeviceFault, match="can0: ") as info:
                call()
            assert info.value.kind is kind


def test_a_send_that_times_out_is_a_timeout(broken: Any) -> None:
    can = pytest.importorskip("can")
    with pytest.raises(DeviceFault) as info:
        broken(can.CanTimeoutError()).send(CanFrame(1))
    assert info.value.kind is FaultKind.TIMEOUT


def test_a_closed_bus_is_absent(broken: Any) -> None:
    bus = broken(OSError(errno.EIO, "x"))
    bus.close()
    with pytest.raises(DeviceFault, match="the bus is closed"):
        bus.send(CanFrame(1))


def udp(port: int, folder: Path) -> CanBus:
    return SimCan("can0", SimCanConfig(port=port))


def unix(port: int, folder: Path) -> CanBus:
    return UnixCan("can0", folder)


@pytest.mark.parametrize("make", [udp, unix])
@pytest.mark.parametrize(
    "frame",
    [
        CanFrame(0x123, b"\x01\x02"),
        CanFrame(0x12345678, bytes(8), extended=True),
        CanFrame(0x061, remote=True),
        CanFrame(0x123, bytes(range(64)), fd=True),
        CanFrame(0x40, bytes(8), error=True),
    ],
)
def test_every_kind_of_frame_crosses_a_simulated_bus_as_it_was(
    frame: CanFrame, make: Any, port: int, tmp_path: Path
) -> None:
    sender, *receivers = (make(port, tmp_path) for _ in range(3))
    try:
        while any(bus.receive(0.0) for bus in (sender, *receivers)):
            pass  # probes
        sender.send(frame)
        for receiver in receivers:
            found = receiver.receive(5.0)
            assert found == frame
            assert 0 <= time.monotonic_ns() - found.stamp_ns < 5e9
    finally:
        for bus in (sender, *receivers):
            bus.close()


def test_the_multicast_bus_hears_itself(port: int) -> None:
    bus = SimCan("can0", SimCanConfig(port=port))
    try:
        bus.send(CanFrame(0x061, b"\x01"))
        assert bus.receive(5.0) == CanFrame(0x061, b"\x01")
    finally:
        bus.close()


def test_the_socket_bus_does_without_ends_that_died_and_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "buses" / "can0"
    folder.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(folder / "1-0"))
    first, second = UnixCan("can0", folder), UnixCan("can0", folder)
    first.send(CanFrame(1))
    assert second.receive(5.0) == CanFrame(1)
    assert not (folder / "1-0").exists()
    first.close()
    second.close()
    assert not folder.parent.exists()
    with pytest.raises(DeviceFault, match="the bus is closed"):
        first.send(CanFrame(1))


def test_a_socket_bus_that_nobody_reads_does_not_block_the_sender(tmp_path: Path) -> None:
    sender, deaf = UnixCan("can0", tmp_path), UnixCan("can0", tmp_path)
    try:
        for _ in range(5000):
            sender.send(CanFrame(1, bytes(8)))
    finally:
        sender.close()
        deaf.close()


def test_garbage_on_the_socket_bus_is_left_out(tmp_path: Path) -> None:
    bus = UnixCan("can0", tmp_path)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
            (place,) = tmp_path.iterdir()
            for junk in (b"", b"x", b"\xff\xff\xff\xff\x00", bytes(100)):
                stranger.sendto(junk, str(place))
        assert [bus.receive(0.0) for _ in range(6)] == [None] * 6
    finally:
        bus.close()


def test_garbage_on_the_simulated_bus_comes_as_an_error_frame(port: int) -> None:
    bus = SimCan("can0", SimCanConfig(port=port))
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(b"hello", ("127.0.0.1", port))
        frame = bus.receive(5.0)
        assert frame is not None
        assert frame.error
    finally:
        bus.close()


def test_without_multicast_the_simulated_bus_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, port: int
) -> None:
    def unreachable(*_: Any) -> None:
        raise DeviceFault(FaultKind.OTHER, "network is unreachable")

    monkeypatch.setattr(SimCan, "send", unreachable)
    with pytest.raises(DeviceFault, match="ip route add 239.0.0.0/8 dev lo"):
        SimCan("can0", SimCanConfig(port=port))

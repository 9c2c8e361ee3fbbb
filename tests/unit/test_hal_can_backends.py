"""CAN back-ends by name: what each says is missing before anything is opened, and its errors."""

import errno
import shutil
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from horus.hal import CanFrame, DeviceFault, FaultKind
from horus.hal.backends import backend, gs_usb, socketcan
from horus.hal.backends.any_can import AnyCan, AnyCanConfig
from horus.hal.backends.gs_usb import GsUsb, GsUsbConfig
from horus.hal.backends.socketcan import SocketCan, SocketCanConfig

can = pytest.importorskip("can")


@pytest.mark.parametrize("use", ["can", "gs_usb", "slcan", "socketcan", "udp_multicast"])
def test_every_kind_of_can_bus_has_a_name_options_and_a_preflight(use: str) -> None:
    found = backend(use)
    assert found.kind == "can"
    assert found.config_type.__doc__
    assert callable(found.preflight)


def test_naming_a_kind_of_bus_imports_no_library() -> None:
    script = """
import sys
from horus.hal.backends import backend
for use in ("can", "gs_usb", "slcan", "socketcan", "udp_multicast"):
    backend(use)
print(sorted({"can", "serial", "usb", "gs_usb"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


# any interface of python-can ----------------------------------------------------------------------


def test_an_unknown_interface_is_named_with_the_nearest() -> None:
    text = AnyCan.preflight("can0", AnyCanConfig(interface="pcna", channel="PCAN_USBBUS1"))
    assert text.startswith("can0: python-can knows no interface pcna (did you mean pcan?): one of")


@pytest.mark.parametrize("interface", ["socketcan", "slcan", "gs_usb", "udp_multicast"])
def test_an_interface_that_has_a_kind_of_its_own_is_sent_there(interface: str) -> None:
    text = AnyCan.preflight("can0", AnyCanConfig(interface=interface))
    assert text.endswith(f"write use: {interface}")


def put_interface(monkeypatch: pytest.MonkeyPatch, kind: Any) -> None:
    """Let python-can know one more interface, of a module made here."""
    module = types.ModuleType("made_here")
    module.__dict__["Kind"] = kind
    monkeypatch.setitem(sys.modules, "made_here", module)
    monkeypatch.setitem(can.interfaces.BACKENDS, "made", ("made_here", "Kind"))
    monkeypatch.setitem(can.interfaces.BACKENDS, "missing", ("not_there_at_all", "Kind"))


def test_a_package_that_an_interface_needs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    put_interface(monkeypatch, object)
    config = AnyCanConfig(interface="missing")
    text = AnyCan.preflight("can0", config)
    assert "interface missing cannot be used here: No module named 'not_there_at_all'" in text
    assert "install what it needs (not_there_at_all" in text
    with pytest.raises(DeviceFault) as info:
        AnyCan("can0", config)
    assert info.value.kind is FaultKind.ABSENT


class Plain:
    def __init__(self, channel: Any, bitrate: int = 0, **more: Any) -> None:
        pass


class WithFd(Plain):
    def __init__(
        self, channel: Any, fd: bool = False, bitrate: int = 0, data_bitrate: int = 0
    ) -> None:
        pass


class WithTiming(Plain):
    def __init__(self, channel: Any, timing: Any = None, **more: Any) -> None:
        pass


def opened(monkeypatch: pytest.MonkeyPatch, kind: Any, **options: Any) -> dict[str, Any]:
    """What python-can is asked for."""
    asked: dict[str, Any] = {}
    put_interface(monkeypatch, kind)
    monkeypatch.setattr(can, "Bus", lambda **arguments: asked.update(arguments))
    config = AnyCanConfig(interface="made", **options)
    assert AnyCan.preflight("can0", config) == ""
    AnyCan("can0", config)
    return asked


def test_the_options_reach_the_interface(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = opened(monkeypatch, Plain, channel="PCAN_USBBUS1", bitrate=250_000)
    assert asked == {"interface": "made", "channel": "PCAN_USBBUS1", "bitrate": 250_000}
    assert opened(monkeypatch, Plain, channel="3")["channel"] == 3


def test_can_fd_is_asked_for_as_the_interface_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = opened(monkeypatch, WithFd, fd=True, data_bitrate=5_000_000)
    assert asked["fd"] is True
    assert asked["data_bitrate"] == 5_000_000
    timing = opened(monkeypatch, WithTiming, fd=True, data_bitrate=4_000_000)["timing"]
    assert (timing.nom_bitrate, timing.data_bitrate) == (500_000, 4_000_000)


def test_an_interface_without_can_fd_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    put_interface(monkeypatch, Plain)
    text = AnyCan.preflight("can0", AnyCanConfig(interface="made", fd=True))
    assert text == "can0: interface made does not do CAN-FD: set fd: false"


@pytest.mark.parametrize("error", [NameError("canOpen"), RuntimeError("no library")])
def test_whatever_a_makers_library_does_is_a_fault(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(**_: Any) -> None:
        raise error

    put_interface(monkeypatch, Plain)
    monkeypatch.setattr(can, "Bus", fail)
    with pytest.raises(DeviceFault, match="install its maker's driver") as info:
        AnyCan("can0", AnyCanConfig(interface="made"))
    assert info.value.kind is FaultKind.ABSENT


# gs_usb -------------------------------------------------------------------------------------------


@pytest.fixture
def usb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine's USB devices as the kernel shows them, one gs_usb adapter among them."""
    monkeypatch.setattr(gs_usb, "find_spec", lambda _: True)
    monkeypatch.setattr(gs_usb, "USB", tmp_path / "sys")
    monkeypatch.setattr(gs_usb, "NODES", tmp_path / "dev")
    for name, vendor, product, number in (
        ("1-1", "046d", "c52b", "2"),
        ("1-2", "1d50", "606f", "7"),
    ):
        place = tmp_path / "sys" / name
        place.mkdir(parents=True)
        (place / "idVendor").write_text(f"{vendor}\n")
        (place / "idProduct").write_text(f"{product}\n")
        (place / "busnum").write_text("1\n")
        (place / "devnum").write_text(f"{number}\n")
    (tmp_path / "dev" / "001").mkdir(parents=True)
    (tmp_path / "dev" / "001" / "007").touch()
    return tmp_path


def test_an_adapter_that_is_there_and_free_has_nothing_to_complain(usb: Path) -> None:
    assert GsUsb.preflight("can0", GsUsbConfig()) == ""


def test_an_adapter_that_is_not_there_is_absent(usb: Path) -> None:
    text = GsUsb.preflight("can0", GsUsbConfig(index=1))
    assert text.startswith("can0: no gs_usb adapter 1 (adapters here: 1): plug it in")
    with pytest.raises(DeviceFault) as info:
        GsUsb("can0", GsUsbConfig(index=1))
    assert info.value.kind is FaultKind.ABSENT


def test_an_adapter_that_the_kernel_drives_is_used_through_the_kernel(usb: Path) -> None:
    (usb / "sys" / "1-2" / "1-2:1.0" / "net" / "can3").mkdir(parents=True)
    text = GsUsb.preflight("can0", GsUsbConfig())
    assert text.endswith("driven by the kernel, as can3: use: socketcan with channel: can3")
    with pytest.raises(DeviceFault) as info:
        GsUsb("can0", GsUsbConfig())
    assert info.value.kind is FaultKind.BUSY


def test_an_adapter_that_may_not_be_opened_is_denied(
    usb: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gs_usb.os, "access", lambda *_: False)
    text = GsUsb.preflight("can0", GsUsbConfig())
    assert "001/007 may not be opened by " in text


def test_a_missing_package_is_named_with_its_own_extra(
    usb: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gs_usb, "find_spec", lambda module: module != "gs_usb")
    text = GsUsb.preflight("can0", GsUsbConfig())
    assert text == 'can0: the Python package gs-usb is not installed: pip install "horus[gs-usb]"'


class Quiet:
    """A bus of python-can on which nothing comes: so the library shows a lost adapter."""

    def recv(self, _: float) -> None:
        return None

    def shutdown(self) -> None:
        raise OSError(errno.ENODEV, "gone")


def test_an_adapter_that_is_pulled_out_is_absent(
    usb: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(can, "Bus", lambda **_: Quiet())
    bus = GsUsb("can0", GsUsbConfig())
    assert bus.receive() is None
    (usb / "dev" / "001" / "007").unlink()
    bus._looked = 0.0
    with pytest.raises(DeviceFault, match="was pulled out") as info:
        bus.receive()
    assert info.value.kind is FaultKind.ABSENT
    bus.close()  # though the library cannot


# SocketCAN ----------------------------------------------------------------------------------------


def interface(folder: Path, **files: str) -> None:
    (folder / "can0").mkdir()
    for name, text in {"type": "280", "flags": "0x1", "mtu": "16", **files}.items():
        (folder / "can0" / name).write_text(f"{text}\n")


def test_a_controller_that_is_bus_off_is_told_from_one_that_works(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(socketcan, "INTERFACES", tmp_path)
    monkeypatch.setattr(socketcan.socket, "socket", lambda *_: types.SimpleNamespace(close=int))
    interface(tmp_path, carrier="0")
    config = SocketCanConfig(channel="can0")
    assert "the CAN controller is bus-off: check bit rate" in SocketCan.preflight("can0", config)
    with pytest.raises(DeviceFault) as info:
        SocketCan("can0", config)
    assert info.value.kind is FaultKind.BUS_OFF
    (tmp_path / "can0" / "carrier").write_text("1\n")
    assert SocketCan.preflight("can0", config) == ""


class Silent:
    """A bus of python-can that takes all and brings nothing."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def send(self, message: Any, timeout: float) -> None:
        self.sent.append(message)

    def recv(self, timeout: float) -> None:
        pass

    def shutdown(self) -> None:
        pass


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[SocketCan, Silent, Path]:
    """An interface that works, with what the kernel says of it."""
    monkeypatch.setattr(socketcan, "INTERFACES", tmp_path)
    monkeypatch.setattr(socketcan, "LOOK_EVERY", 0.0)
    monkeypatch.setattr(socketcan.socket, "socket", lambda *_: types.SimpleNamespace(close=int))
    interface(tmp_path, carrier="1", ifindex="3", iflink="3")
    bus = Silent()
    monkeypatch.setattr(can, "Bus", lambda **_: bus)
    return SocketCan("can0", SocketCanConfig(channel="can0")), bus, tmp_path / "can0"


def test_a_send_that_would_vanish_in_bus_off_is_a_fault_until_it_is_over(
    silent: tuple[SocketCan, Silent, Path],
) -> None:
    bus, library, place = silent
    bus.send(CanFrame(1))
    (place / "carrier").write_text("0\n")
    for _ in range(2):
        with pytest.raises(DeviceFault, match="bus-off") as info:
            bus.send(CanFrame(1))
        assert info.value.kind is FaultKind.BUS_OFF
    (place / "carrier").write_text("1\n")
    bus.send(CanFrame(1))
    assert len(library.sent) == 2


def test_a_send_to_the_other_end_of_a_pair_that_is_down_is_a_fault(
    silent: tuple[SocketCan, Silent, Path],
) -> None:
    bus, library, place = silent
    (place / "iflink").write_text("4\n")
    (place / "carrier").write_text("0\n")
    with pytest.raises(DeviceFault, match="the other end of can0 is down") as info:
        bus.send(CanFrame(1))
    assert info.value.kind is FaultKind.ABSENT
    assert library.sent == []


def test_silence_of_an_interface_that_was_set_down_or_pulled_out_is_a_fault(
    silent: tuple[SocketCan, Silent, Path],
) -> None:
    bus, _, place = silent
    assert bus.receive() is None
    (place / "flags").write_text("0x0\n")
    with pytest.raises(DeviceFault, match="the CAN interface can0 is down") as info:
        bus.receive()
    assert info.value.kind is FaultKind.ABSENT
    shutil.rmtree(place)
    with pytest.raises(DeviceFault, match="can0 does not exist") as info:
        bus.receive()
    assert info.value.kind is FaultKind.ABSENT


def test_the_kernel_is_not_asked_for_every_frame(
    silent: tuple[SocketCan, Silent, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    bus, library, place = silent
    monkeypatch.setattr(socketcan, "LOOK_EVERY", 1000.0)
    bus.send(CanFrame(1))
    (place / "carrier").write_text("0\n")
    bus.send(CanFrame(1))
    assert len(library.sent) == 2


def test_an_interface_that_is_not_set_up_for_can_fd_says_how(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(socketcan, "INTERFACES", tmp_path)
    interface(tmp_path)
    config = SocketCanConfig(channel="can0", fd=True, data_bitrate=4_000_000)
    text = SocketCan.preflight("can0", config)
    assert "can0 is not set up for CAN-FD" in text
    assert "`sudo ip link set can0 up type can bitrate 500000 dbitrate 4000000 fd on`" in text


def test_the_kernel_is_asked_to_filter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Any] = []
    bus = types.SimpleNamespace(set_filters=asked.append, shutdown=lambda: None)
    monkeypatch.setattr(can, "Bus", lambda **_: bus)
    made = SocketCan("can0", SocketCanConfig(channel="can0"))
    made.set_filters([(0x123, False), (0x12345678, True)])
    assert asked == [
        [
            {"can_id": 0x123, "can_mask": 0x7FF, "extended": False},
            {"can_id": 0x12345678, "can_mask": 0x1FFFFFFF, "extended": True},
        ]
    ]
    made.close()
    with pytest.raises(DeviceFault, match="the bus is closed"):
        made.set_filters([(1, False)])


@pytest.mark.parametrize(
    "code", [errno.ENODEV, errno.ENXIO, errno.ENETDOWN, errno.ESHUTDOWN, errno.ENETUNREACH]
)
def test_an_adapter_pulled_out_is_absent_whatever_the_kernel_calls_it(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise can.CanOperationError("failed", code)

    bus = types.SimpleNamespace(send=fail, recv=fail, shutdown=lambda: None)
    monkeypatch.setattr(can, "Bus", lambda **_: bus)
    made = SocketCan("can0", SocketCanConfig(channel="can0"))
    with pytest.raises(DeviceFault, match="ip link set can0 up") as info:
        made.send(CanFrame(1))
    assert info.value.kind is FaultKind.ABSENT

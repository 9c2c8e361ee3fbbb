"""The parts of the virtual machine that need no machine."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from horus.testing.virtual import hardware
from horus.testing.virtual.errors import VirtualError
from horus.testing.virtual.orders import Order, Output
from horus.testing.virtual.qmp import Qmp


@pytest.mark.parametrize("step", [1, 2, 7, 100])
def test_output_passes_up_to_its_token_however_it_is_cut(step: int) -> None:
    said = bytearray()
    output = Output(said.extend, b"end-token\n")
    text = b"one\nend-to\nend-end-token\n"
    for start in range(0, len(text), step):
        output.take(text[start : start + step])
    assert bytes(said) == b"one\nend-to\nend-"
    assert output.over


def test_output_is_passed_on_as_soon_as_it_cannot_be_the_token() -> None:
    said = bytearray()
    output = Output(said.extend, b"end-token\n")
    output.take(b"a line\nen")
    assert bytes(said) == b"a line\n"
    output.take(b"tirely")
    assert bytes(said) == b"a line\nentirely"
    assert not output.over


def test_an_order_is_over_when_its_status_and_all_output_have_come() -> None:
    order = Order("host", "true", bytearray().extend, bytearray().extend)
    token = f"{order.token}\n".encode()
    assert order.line.startswith(f"{order.token} host ".encode())
    order.status = 0
    order.outputs["out"].take(token)
    assert not order.over
    order.outputs["err"].take(token)
    assert order.over


class Monitor:
    """QEMU's end of a connection: answers each command with the next of the given lists."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answers: list[list[dict[str, Any]]] = []

    def serve(self) -> None:
        self._say({"QMP": {"version": {}}})
        pending = b""
        while data := self.end.recv(4096):
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                order = json.loads(line)
                self.asked.append((order["execute"], order["arguments"]))
                answers = self.answers.pop(0) if self.answers else [{"return": {}}]
                for answer in answers:
                    self._say(answer if "event" in answer else {**answer, "id": order["id"]})

    def _say(self, message: dict[str, Any]) -> None:
        self.end.sendall(json.dumps(message).encode() + b"\r\n")


@pytest.fixture
def monitor() -> Iterator[tuple[Qmp, Monitor]]:
    mine, theirs = socket.socketpair()
    monitor = Monitor(theirs)
    thread = threading.Thread(target=monitor.serve)
    thread.start()
    qmp = Qmp(mine)
    try:
        qmp.begin()
        monitor.asked.clear()
        yield qmp, monitor
    finally:
        mine.close()
        thread.join()
        theirs.close()


DELETED = {"event": "DEVICE_DELETED", "data": {"device": "usb", "path": "/machine/usb"}}
OTHER = {"event": "DEVICE_DELETED", "data": {"path": "/machine/usb/virtio-backend"}}


@pytest.mark.parametrize("order", [[DELETED, {"return": {}}], [{"return": {}}, OTHER, DELETED]])
def test_unplugging_waits_until_the_device_is_gone(
    monitor: tuple[Qmp, Monitor], order: list[dict[str, Any]]
) -> None:
    qmp, qemu = monitor
    qemu.answers = [order]
    qmp.unplug("usb")
    assert qemu.asked == [("device_del", {"id": "usb"})]


def test_a_guest_that_did_not_hear_is_told_again(
    monitor: tuple[Qmp, Monitor], monkeypatch: pytest.MonkeyPatch
) -> None:
    qmp, qemu = monitor
    monkeypatch.setattr("horus.testing.virtual.qmp.AGAIN", 0.05)
    pending = {"error": {"desc": "Device usb is already in the process of unplug"}}
    qemu.answers = [[{"return": {}}], [pending], [{"return": {}}, DELETED]]
    qmp.unplug("usb")
    assert len(qemu.asked) == 3


def test_a_device_that_is_never_let_go_is_an_error(
    monitor: tuple[Qmp, Monitor], monkeypatch: pytest.MonkeyPatch
) -> None:
    qmp, _ = monitor
    monkeypatch.setattr("horus.testing.virtual.qmp.AGAIN", 0.02)
    monkeypatch.setattr("horus.testing.virtual.qmp.LETTING_GO", 0.1)
    with pytest.raises(VirtualError, match="does not let usb go"):
        qmp.unplug("usb")


def test_what_is_plugged_in_again_is_what_was_there(monitor: tuple[Qmp, Monitor]) -> None:
    qmp, qemu = monitor
    qmp.plug(hardware.properties("can_a"))
    assert qemu.asked == [
        ("device_add", {"id": "can_a", "driver": "kvaser_pci", "canbus": "can", "addr": "4"})
    ]


def test_a_refusal_of_the_machine_is_told(monitor: tuple[Qmp, Monitor]) -> None:
    qmp, qemu = monitor
    qemu.answers = [[{"error": {"class": "GenericError", "desc": "PCI: slot 4 in use"}}]]
    with pytest.raises(VirtualError, match="refuses device_add: PCI: slot 4 in use"):
        qmp.plug(hardware.properties("can_a"))


def test_ports_are_found_by_name(tmp_path: Path) -> None:
    for node, name in (("vport1p0", "orders"), ("vport1p4", "usb.twin")):
        (tmp_path / node).mkdir()
        (tmp_path / node / "name").write_text(f"{name}\n")
    (tmp_path / "vport1p9").mkdir()
    assert hardware.port("usb.twin", tmp_path) == Path("/dev/vport1p4")
    assert hardware.port("absent", tmp_path) is None

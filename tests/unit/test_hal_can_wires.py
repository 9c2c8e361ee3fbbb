"""CAN over real wires: a serial adapter behind a pty, and multicast between processes."""

import os
import pty
import select
import socket
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from horus.hal import CanFrame, DeviceFault, FaultKind
from horus.hal.backends.slcan import SlCan, SlCanConfig
from horus.hal.backends.udp_multicast import UdpMulticast, UdpMulticastConfig

pytest.importorskip("can")
pytest.importorskip("serial")

FRAMES = [
    CanFrame(0x123, b"\x01\x02"),
    CanFrame(0x7FF),
    CanFrame(0x12345678, bytes(range(8)), extended=True),
    CanFrame(0x061, remote=True),
    CanFrame(0x1FFFFFFF, extended=True, remote=True),
]
FD_FRAMES = [
    CanFrame(0x123, bytes(range(64)), fd=True),
    CanFrame(0x12345678, bytes(12), extended=True, fd=True),
]


class Adapter:
    """The other end of a pty: takes LAWICEL lines, acknowledges them, and echoes frames."""

    def __init__(self) -> None:
        self.end, self.port_end = pty.openpty()
        tty.setraw(self.end)
        tty.setraw(self.port_end)
        self.device = os.ttyname(self.port_end)
        self.lines: list[str] = []
        self.open = False
        self._wake, self._bell = os.pipe()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        buffer = b""
        while True:
            ready, _, _ = select.select([self.end, self._wake], [], [])
            if self._wake in ready:
                return
            buffer += os.read(self.end, 4096)
            *lines, buffer = buffer.split(b"\r")
            for line in lines:
                self._take(line.decode())

    def _take(self, line: str) -> None:
        self.lines.append(line)
        if line == "O":
            self.say("\a" if self.open else "\r")
            self.open = True
        elif line == "C":
            self.say("\r" if self.open else "\a")
            self.open = False
        elif line and line[0] in "tTrRdDbB":
            self.say("z\r" if line[0] in "trdb" else "Z\r")
            self.say(line + "\r")
        else:
            self.say("\r")

    def say(self, text: str) -> None:
        os.write(self.end, text.encode())

    def stop(self) -> None:
        """Read no more."""
        if self._thread.is_alive():
            os.write(self._bell, b"x")
            self._thread.join()

    def close(self) -> None:
        self.stop()
        if self.end >= 0:
            for end in (self.port_end, self.end, self._wake, self._bell):
                os.close(end)
            self.end = -1


@pytest.fixture
def adapter() -> Iterator[Adapter]:
    made = Adapter()
    yield made
    made.close()


@pytest.fixture
def slcan(adapter: Adapter) -> Iterator[SlCan]:
    bus = SlCan("can0", SlCanConfig(device=adapter.device, bitrate=250_000, settle=0.0, fd=True))
    yield bus
    bus.close()


@pytest.mark.parametrize("frame", FRAMES + FD_FRAMES, ids=str)
def test_every_kind_of_frame_crosses_a_serial_adapter_as_it_was(
    frame: CanFrame, slcan: SlCan
) -> None:
    slcan.send(frame)
    assert slcan.receive(5.0) == frame


def test_a_serial_adapter_is_opened_at_its_bit_rate(slcan: SlCan, adapter: Adapter) -> None:
    slcan.send(CanFrame(0x123, b"\xab"))
    assert slcan.receive(5.0)
    assert "S5" in adapter.lines
    assert "Y2" in adapter.lines
    assert adapter.open
    assert adapter.lines[-1] == "t1231AB"
    slcan.close()


def test_acknowledgements_do_not_hold_frames_up(slcan: SlCan) -> None:
    for number in range(50):
        slcan.send(CanFrame(number, b"\x01"))
    found = []
    deadline = time.monotonic() + 10
    while len(found) < 50 and time.monotonic() < deadline:
        frame = slcan.receive(1.0)
        if frame is not None:
            found.append(frame.id)
    assert found == list(range(50))
    assert slcan.receive(0.0) is None


@pytest.mark.parametrize("junk", [b"t12x4ABCD\r", b"\xff\xfe\r", b"T1\r", b"t1239\r", b"b123F\r"])
def test_damaged_lines_come_as_error_frames_and_the_next_frame_is_whole(
    slcan: SlCan, adapter: Adapter, junk: bytes
) -> None:
    slcan.send(CanFrame(1))
    assert slcan.receive(5.0) == CanFrame(1)
    os.write(adapter.end, junk)
    damaged = slcan.receive(5.0)
    assert damaged is not None
    assert damaged.error
    adapter.say("t1232ABCD\r")
    assert slcan.receive(5.0) == CanFrame(0x123, b"\xab\xcd")


def test_a_serial_adapter_that_is_pulled_out_is_absent(slcan: SlCan, adapter: Adapter) -> None:
    adapter.close()
    with pytest.raises(DeviceFault, match="was pulled out") as info:
        slcan.receive(5.0)
    assert info.value.kind is FaultKind.ABSENT
    with pytest.raises(DeviceFault) as info:
        slcan.send(CanFrame(1))
    assert info.value.kind is FaultKind.ABSENT
    slcan.close()
    slcan.close()


def test_an_adapter_that_takes_nothing_more_is_a_timeout(slcan: SlCan, adapter: Adapter) -> None:
    adapter.stop()
    with pytest.raises(DeviceFault, match="did not take a frame within") as info:
        for _ in range(10_000):
            slcan.send(CanFrame(1, bytes(8)))
    assert info.value.kind is FaultKind.TIMEOUT


def test_a_serial_adapter_belongs_to_one_program(slcan: SlCan, adapter: Adapter) -> None:
    config = SlCanConfig(device=adapter.device, settle=0.0)
    assert f"is held by this very program (pid {os.getpid()})" in SlCan.preflight("can1", config)
    with pytest.raises(DeviceFault, match="held by") as info:
        SlCan("can1", config)
    assert info.value.kind is FaultKind.BUSY
    slcan.send(CanFrame(1))  # and the first one did not notice
    assert slcan.receive(5.0) == CanFrame(1)


def test_preflight_of_a_serial_adapter_that_is_not_there() -> None:
    text = SlCan.preflight("can0", SlCanConfig(device="/dev/ttyACM77"))
    assert text.startswith("can0: /dev/ttyACM77 does not exist (serial ports here: ")


ECHO = """
import sys
from horus.hal import CanFrame
from horus.hal.backends.udp_multicast import UdpMulticast, UdpMulticastConfig
bus = UdpMulticast("can0", UdpMulticastConfig(port=int(sys.argv[1])))
print("ready", flush=True)
while True:
    frame = bus.receive(30.0)
    if frame is None or frame.id == 0x7E0:
        break
    if not frame.data.startswith(b"answer"):
        kind = dict(extended=frame.extended, remote=frame.remote, fd=frame.fd)
        data = b"" if frame.remote else b"answer" + frame.data[6:]
        bus.send(CanFrame(frame.id ^ 1, data, **kind))
bus.close()
"""


@pytest.fixture
def multicast() -> Iterator[UdpMulticast]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("", 0))
        port = probe.getsockname()[1]
    config = UdpMulticastConfig(port=port)
    why = UdpMulticast.preflight("can0", config)
    if why:
        pytest.skip(why)
    other = subprocess.Popen([sys.executable, "-c", ECHO, str(port)], stdout=subprocess.PIPE)
    bus = UdpMulticast("can0", config)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        yield bus
        bus.send(CanFrame(0x7E0))
        assert other.wait(30) == 0
    finally:
        other.kill()
        other.communicate()
        bus.close()


def answer(bus: UdpMulticast, condition: Callable[[CanFrame], Any]) -> CanFrame:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        frame = bus.receive(1.0)
        if frame is not None and condition(frame):
            return frame
    raise AssertionError("no answer came")


def test_every_kind_of_frame_crosses_between_processes_with_its_flags(
    multicast: UdpMulticast,
) -> None:
    for frame in [*FRAMES[:1], *FRAMES[2:], *FD_FRAMES]:
        data = b"" if frame.remote else b"answer"[: len(frame.data)].ljust(6, b"\0")
        kind = {"extended": frame.extended, "remote": frame.remote, "fd": frame.fd}
        multicast.send(frame)
        found = answer(multicast, lambda got, id=frame.id ^ 1: got.id == id)
        assert {key: getattr(found, key) for key in kind} == kind
        if len(data) == 6 and len(frame.data) >= 6:
            assert found.data == b"answer" + frame.data[6:]


@pytest.mark.parametrize("group", ["10.0.0.1", "somewhere"])
def test_what_is_no_multicast_address_is_refused(group: str) -> None:
    with pytest.raises(ValueError, match="group"):
        UdpMulticastConfig(group=group)


def test_a_missing_package_is_named_before_anything_is_opened(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from horus.hal.backends import any_can, gs_usb, slcan, udp_multicast

    for module in (any_can, gs_usb, slcan, udp_multicast):
        monkeypatch.setattr(module, "find_spec", lambda _: None)
    told = [
        any_can.AnyCan.preflight("can0", any_can.AnyCanConfig(interface="pcan")),
        gs_usb.GsUsb.preflight("can0", gs_usb.GsUsbConfig()),
        slcan.SlCan.preflight("can0", slcan.SlCanConfig(device=str(tmp_path))),
        udp_multicast.UdpMulticast.preflight("can0", UdpMulticastConfig()),
    ]
    for text in told:
        assert text.startswith("can0: the Python package python-can is not installed: pip install")

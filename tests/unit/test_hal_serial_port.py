"""The serial back-end: pyserial itself, over real pseudo-terminals."""

import errno
import grp
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from horus.hal import DeviceFault, FaultKind, HeaderFraming, SerialLink
from horus.hal.backends import BACKENDS, backend, holders, serial_port
from horus.hal.backends.serial_port import SerialPort, SerialPortConfig
from horus.hal.ptyserial import PtyPort

ALL_BYTES = bytes(range(256))
HOLD = """
import sys
import serial
port = serial.Serial(sys.argv[1], exclusive=True)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def pty() -> Iterator[PtyPort]:
    made = PtyPort()
    yield made
    made.close()


@pytest.fixture
def port(pty: PtyPort) -> Iterator[SerialPort]:
    made = opened(pty)
    yield made
    made.close()


def opened(pty: PtyPort, **options: Any) -> SerialPort:
    return SerialPort("s0", SerialPortConfig(device=pty.path, **options))


def fault_of(device: str) -> DeviceFault:
    with pytest.raises(DeviceFault) as info:
        SerialPort("s0", SerialPortConfig(device=device))
    return info.value


def take(read: Callable[[float], bytes], count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = read(10.0)
        assert more, f"only {len(data)} of {count} bytes came"
        data += more
    return data


def test_it_is_the_back_end_named_serial() -> None:
    assert "serial" in BACKENDS
    assert backend("serial") is SerialPort
    assert SerialPort.kind == "serial"


def test_every_byte_crosses_unchanged_both_ways(pty: PtyPort, port: SerialPort) -> None:
    pty.write(ALL_BYTES)
    assert take(port.read, 256) == ALL_BYTES
    port.write(ALL_BYTES)
    assert take(pty.read, 256) == ALL_BYTES


def test_four_kibibytes_cross_in_order(pty: PtyPort, port: SerialPort) -> None:
    data = ALL_BYTES * 15
    port.write(data)
    assert take(pty.read, len(data)) == data
    pty.write(data)
    assert take(port.read, len(data)) == data


def test_without_bytes_a_read_returns_nothing_at_once_or_after_its_time(port: SerialPort) -> None:
    assert port.read() == b""
    assert port.read(0.01) == b""


def test_a_waiting_read_returns_the_first_bytes_and_does_not_wait_for_more(
    pty: PtyPort, port: SerialPort
) -> None:
    pause = threading.Timer(0.05, pty.write, [b"ab"])
    pause.start()
    assert port.read(30.0) in (b"a", b"ab")
    pause.join()


def test_what_came_before_it_was_opened_is_forgotten(pty: PtyPort) -> None:
    pty.write(b"old")
    port = opened(pty)
    pty.write(b"new")
    assert take(port.read, 3) == b"new"
    port.close()


def test_the_port_can_be_opened_again_and_again(pty: PtyPort) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for number in range(20):
        port = opened(pty, baudrate=1_000_000)
        pty.write(bytes([number]))
        assert take(port.read, 1) == bytes([number])
        port.close()
        port.close()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("baudrate", [300, 9600, 115_200, 230_400, 250_000, 1_000_000, 4_000_000])
def test_usual_and_unusual_baud_rates(pty: PtyPort, baudrate: int) -> None:
    port = opened(pty, baudrate=baudrate)
    assert port.baudrate == baudrate
    port.close()


@pytest.mark.parametrize("baudrate", [0, 299, 12_000_001])
def test_a_baud_rate_out_of_range_is_refused(baudrate: int) -> None:
    with pytest.raises(ValueError, match="baudrate must be from 300 to 12000000 bit/s"):
        SerialPortConfig(device="/dev/ttyUSB0", baudrate=baudrate)


@pytest.mark.parametrize("level", [True, False])
def test_a_port_without_dtr_and_rts_is_no_error(pty: PtyPort, level: bool) -> None:
    opened(pty, dtr=level, rts=level).close()


def test_a_port_that_is_not_there_is_absent_and_those_that_are_there_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serial_port, "ports_here", lambda: ["/dev/ttyUSB3 (FT232R USB UART)"])
    fault = fault_of("/dev/ttyUSB99")
    assert fault.kind is FaultKind.ABSENT
    assert "s0: /dev/ttyUSB99 does not exist" in str(fault)
    assert "(serial ports here: /dev/ttyUSB3 (FT232R USB UART))" in str(fault)
    assert str(fault) == SerialPort.preflight("s0", SerialPortConfig(device="/dev/ttyUSB99"))


def test_a_port_that_is_held_is_busy_and_its_holder_is_named(pty: PtyPort) -> None:
    held = subprocess.Popen(
        [sys.executable, "-c", HOLD, pty.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert held.stdout is not None
        assert held.stdout.readline() == b"held\n"
        fault = fault_of(pty.path)
        assert fault.kind is FaultKind.BUSY
        assert f"(pid {held.pid})" in str(fault)
        assert "python" in str(fault)
        assert str(fault) == SerialPort.preflight("s0", SerialPortConfig(device=pty.path))
    finally:
        held.communicate(timeout=30)
    opened(pty).close()


def test_a_holder_without_a_lock_is_found_by_its_open_files(
    pty: PtyPort, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert f"this very program (pid {os.getpid()})" in holders.openers(Path(pty.path))
    monkeypatch.setattr(serial_port, "locker", lambda path: "")
    busy = OSError(errno.EBUSY, "busy")
    fault = serial_port.opening_fault(busy, Path(pty.path), "s0")
    assert fault.kind is FaultKind.BUSY
    assert "this very program" in str(fault)


def test_one_program_opens_a_port_once(pty: PtyPort, port: SerialPort) -> None:
    fault = fault_of(pty.path)
    assert fault.kind is FaultKind.BUSY
    assert "this very program" in str(fault)


def test_a_port_that_may_not_be_opened_names_the_group_that_may() -> None:
    fault = serial_port.opening_fault(OSError(errno.EACCES, ""), Path("/dev/null"), "s0")
    assert fault.kind is FaultKind.DENIED
    group = grp.getgrgid(Path("/dev/null").stat().st_gid).gr_name
    assert group in str(fault)


def test_preflight_says_denied_without_opening(
    pty: PtyPort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serial_port.os, "access", lambda *arguments: False)
    text = SerialPort.preflight("s0", SerialPortConfig(device=pty.path))
    assert f"{pty.path} may not be opened" in text


def test_preflight_of_a_good_port_says_nothing(pty: PtyPort) -> None:
    assert SerialPort.preflight("s0", SerialPortConfig(device=pty.path)) == ""


def test_without_pyserial_the_package_is_named(
    pty: PtyPort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "serial", None)
    fault = fault_of(pty.path)
    assert fault.kind is FaultKind.ABSENT
    assert "pyserial" in str(fault)
    assert "pip install" in str(fault)
    monkeypatch.setattr(serial_port, "find_spec", lambda name: None)
    assert "pyserial" in SerialPort.preflight("s0", SerialPortConfig(device=pty.path))


@pytest.mark.parametrize("device", ["socket://localhost:7000", "rfc2217://box:1", "loop://"])
def test_urls_are_refused(device: str) -> None:
    fault = fault_of(device)
    assert f"{device} is not a device node" in str(fault)
    assert SerialPort.preflight("s0", SerialPortConfig(device=device)) == str(fault)


def test_a_file_that_is_no_port_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("notes")
    assert "is not a serial port" in str(fault_of(str(file)))
    assert file.read_text() == "notes"


def test_a_port_that_hangs_up_is_absent(pty: PtyPort, port: SerialPort) -> None:
    pty.close()
    with pytest.raises(DeviceFault, match="was pulled out, or its other end is closed") as info:
        port.read(1.0)
    assert info.value.kind is FaultKind.ABSENT
    with pytest.raises(DeviceFault) as info:
        port.write(b"x")
    assert info.value.kind is FaultKind.ABSENT
    port.close()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.EIO, FaultKind.ABSENT),
        (errno.ENODEV, FaultKind.ABSENT),
        (errno.ENXIO, FaultKind.ABSENT),
        (errno.EPIPE, FaultKind.ABSENT),
        (errno.ENOMEM, FaultKind.OTHER),
    ],
)
def test_errors_of_the_kernel_while_it_is_open(
    port: SerialPort, monkeypatch: pytest.MonkeyPatch, code: int, kind: FaultKind
) -> None:
    def fail(*arguments: Any) -> Any:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fail)  # pyserial keeps only the words of such an error
        with pytest.raises(DeviceFault) as info:
            port.write(b"x")
    assert info.value.kind is kind


def test_pyserials_own_words_for_a_port_that_is_gone(
    pty: PtyPort, port: SerialPort, monkeypatch: pytest.MonkeyPatch
) -> None:
    pty.write(b"x")
    monkeypatch.setattr(os, "read", lambda *arguments: b"")
    with pytest.raises(DeviceFault) as info:
        port.read(5.0)
    assert info.value.kind is FaultKind.ABSENT


def test_bytes_that_nobody_takes_are_a_timeout_and_not_a_hang(pty: PtyPort) -> None:
    port = opened(pty, write_timeout=0.05)
    with pytest.raises(DeviceFault, match="not taken within 0.05 s") as info:
        for _ in range(100):
            port.write(bytes(4096))
    assert info.value.kind is FaultKind.TIMEOUT
    port.close()


def test_closed_it_says_so(pty: PtyPort) -> None:
    port = opened(pty)
    port.close()
    for use in (port.read, lambda: port.write(b"x")):
        with pytest.raises(DeviceFault, match="s0: the port is closed") as info:
            use()
        assert info.value.kind is FaultKind.ABSENT


def test_a_link_finds_frames_on_a_real_port(pty: PtyPort, port: SerialPort) -> None:
    link = SerialLink(port, device="lidar")
    framing = HeaderFraming(b"\x59\x59", size=4)
    pty.write(b"garbage\x59\x59\x01\x02\x59")
    frames: list[bytes] = []
    while not frames:
        frames = link.frames(framing)
    assert frames == [b"\x59\x59\x01\x02"]


# the device's side --------------------------------------------------------------------------------


def test_the_device_outlives_programs_that_come_and_go(pty: PtyPort) -> None:
    for _ in range(3):
        port = opened(pty)
        port.write(b"hello")
        port.close()
        assert take(pty.read, 5) == b"hello"
    assert pty.read() == b""
    assert pty.read(0.01) == b""


def test_a_device_that_nobody_listens_to_loses_bytes_and_does_not_wait(pty: PtyPort) -> None:
    for _ in range(100):
        pty.write(bytes(4096))
    assert pty.lost > 0


def test_a_closed_pty_is_silent(pty: PtyPort) -> None:
    pty.close()
    pty.close()
    assert pty.read() == b""
    pty.write(b"x")

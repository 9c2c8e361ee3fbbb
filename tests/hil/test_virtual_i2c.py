"""A simulated I2C bus as a /dev/i2c-N, spoken to by smbus2 through a kernel of the tests' own.

That kernel hands ioctls on as the real one does through /dev/cuse: it copies what it is told to
bring and to fill. `test_virtual_rig.py` does the same with the real one.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import smbus2

from horus.bus import Subscriber
from horus.cli.main import main as horus
from horus.hal.backends.i2c_dev import I2cDev, I2cDevConfig
from horus.hal.faults import DeviceFault, FaultKind
from horus.hal.simi2c import SimI2cBus, no_acknowledge
from horus.hardware import topics
from horus.hardware.buses import BusHandle
from horus.hardware.worker import driver_node
from horus.scheduler import Scheduler
from horus.testing.bench import HandClock, device_entry
from horus.testing.virtual import cuse
from horus.testing.virtual.cuse import CuseServer
from horus.testing.virtual.i2cdev import I2cDevice

_FLAG_RETRY = 4


class Kernel:
    """Does for /dev/i2c-20 what the kernel does, with a `CuseServer` at the other end."""

    def __init__(self, device: I2cDevice) -> None:
        self.server = CuseServer(-1, "i2c-20", device)
        self.opened = self._ask(cuse.OPEN, struct.pack("<II", os.O_RDWR, 0))[:8]

    def _ask(self, what: int, body: bytes) -> bytes:
        head = cuse.REQUEST.pack(cuse.REQUEST.size + len(body), what, 7, 0, 0, 0, 1, 0)
        answer = self.server.answer(head + body)
        length, wrong, number = cuse.ANSWER.unpack_from(answer)
        assert (length, number) == (len(answer), 7)
        if wrong:
            raise OSError(-wrong, os.strerror(-wrong))
        return answer[cuse.ANSWER.size :]

    def begin(self) -> bytes:
        return self._ask(cuse.INIT, struct.pack("<4I", 7, 37, 0, 1))

    def read(self, count: int) -> bytes:
        return self._ask(cuse.READ, self.opened + struct.pack("<QIIQII", 0, count, 0, 0, 0, 0))

    def write(self, data: bytes) -> int:
        about = struct.pack("<QIIQII", 0, len(data), 0, 0, 0, 0)
        return int(struct.unpack("<II", self._ask(cuse.WRITE, self.opened + about + data))[0])

    def ioctl(self, command: int, argument: int) -> int:
        """Do an ioctl, as often as it is told to bring more of the caller's memory."""
        data, fill = b"", []
        for _ in range(5):
            room = sum(size for _, size in fill)
            about = struct.pack("<IIQII", 2, command, argument, len(data), room)
            answer = self._ask(cuse.IOCTL, self.opened + about + data)
            result, flags, ins, outs = struct.unpack_from("<iIII", answer)
            rest = answer[16:]
            if not flags & _FLAG_RETRY:
                assert len(rest) == room
                for address, size in fill:
                    ctypes.memmove(address, rest[:size], size)
                    rest = rest[size:]
                return int(result)
            pieces = [struct.unpack_from("<QQ", rest, 16 * n) for n in range(ins + outs)]
            data = b"".join(ctypes.string_at(*piece) for piece in pieces[:ins])
            fill = pieces[ins:]
        raise AssertionError("it asks for more and more")


class Wire(SimI2cBus):
    """A bus that keeps what is done on it and answers with the bytes it was given."""

    def __init__(self, answer: bytes = b"") -> None:
        super().__init__()
        self.done: list[tuple[int, bytes, int]] = []
        self.coming = answer

    def transfer(self, address: int, write: bytes, read: int = 0) -> bytes:
        self.done.append((address, write, read))
        answer, self.coming = self.coming[:read], self.coming[read:]
        return answer


@pytest.fixture
def open_bus(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., tuple[smbus2.SMBus, Kernel]]:
    """Open a simulated bus with smbus2."""
    node = tmp_path / "i2c-20"
    node.touch()

    def make(bus: SimI2cBus, absent: int = errno.ENXIO) -> tuple[smbus2.SMBus, Kernel]:
        kernel = Kernel(I2cDevice(bus, absent))

        def ioctl(fd: int, command: int, argument: Any = 0, mutate: bool = True) -> int:
            if isinstance(argument, int):
                return kernel.ioctl(command, argument)
            memory = ctypes.create_string_buffer(bytes(argument), 1024)  # as fcntl itself does
            result = kernel.ioctl(command, ctypes.addressof(memory))
            ctypes.memmove(ctypes.addressof(argument), memory, ctypes.sizeof(argument))
            return result

        monkeypatch.setattr(fcntl, "ioctl", ioctl)
        monkeypatch.setattr("smbus2.smbus2.ioctl", ioctl)
        return smbus2.SMBus(str(node)), kernel

    return make


#: What is called, what the chip answers, what is done on the wire, and what comes back.
FORMS: dict[str, tuple[Callable[[Any], Any], bytes, list[tuple[bytes, int]], Any]] = {
    "quick": (lambda b: b.write_quick(0x50), b"", [(b"", 0)], None),
    "receive byte": (lambda b: b.read_byte(0x50), b"\x0b", [(b"", 1)], 0x0B),
    "send byte": (lambda b: b.write_byte(0x50, 7), b"", [(b"\x07", 0)], None),
    "read byte": (lambda b: b.read_byte_data(0x50, 9), b"\xfe", [(b"\x09", 1)], 0xFE),
    "write byte": (lambda b: b.write_byte_data(0x50, 9, 3), b"", [(b"\x09\x03", 0)], None),
    "read word": (lambda b: b.read_word_data(0x50, 9), b"\x34\x12", [(b"\x09", 2)], 0x1234),
    "write word": (
        lambda b: b.write_word_data(0x50, 9, 0x1234), b"", [(b"\x09\x34\x12", 0)], None,
    ),
    "process call": (
        lambda b: b.process_call(0x50, 9, 0x1234), b"\x78\x56", [(b"\x09\x34\x12", 2)], 0x5678,
    ),
    "read block": (
        lambda b: b.read_block_data(0x50, 9), b"\x03abc", [(b"\x09", 1), (b"", 3)], list(b"abc"),
    ),
    "write block": (
        lambda b: b.write_block_data(0x50, 9, list(b"abc")), b"", [(b"\x09\x03abc", 0)], None,
    ),
    "block process call": (
        lambda b: b.block_process_call(0x50, 9, list(b"ab")),
        b"\x02cd",
        [(b"\x09\x02ab", 1), (b"", 2)],
        list(b"cd"),
    ),
    "read I2C block": (
        lambda b: b.read_i2c_block_data(0x50, 9, 4), b"abcd", [(b"\x09", 4)], list(b"abcd"),
    ),
    "write I2C block": (
        lambda b: b.write_i2c_block_data(0x50, 9, list(b"abcd")), b"", [(b"\x09abcd", 0)], None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_smbus(open_bus: Callable[..., Any], form: str) -> None:
    call, answer, done, result = FORMS[form]
    wire = Wire(answer)
    bus, _ = open_bus(wire)
    assert call(bus) == result
    assert wire.done == [(0x50, *one) for one in done]


def test_messages_of_a_transaction_are_paired_as_on_the_wire(open_bus: Callable[..., Any]) -> None:
    wire = Wire(b"abcdef")
    bus, _ = open_bus(wire)
    message = smbus2.i2c_msg
    messages = [
        *(message.write(0x50, b"\x01"), message.read(0x50, 2)),  # with a repeated start
        *(message.write(0x51, b"\x02\x03"), message.write(0x52, b"")),
        message.read(0x53, 4),
    ]
    bus.i2c_rdwr(*messages)
    assert wire.done == [(0x50, b"\x01", 2), (0x51, b"\x02\x03", 0), (0x52, b"", 0), (0x53, b"", 4)]
    assert (bytes(messages[1]), bytes(messages[4])) == (b"ab", b"cdef")


def test_plain_reads_and_writes_go_to_the_address_set_last(open_bus: Callable[..., Any]) -> None:
    wire = Wire(b"xy")
    _, kernel = open_bus(wire)
    kernel.ioctl(0x0703, 0x21)
    assert kernel.write(b"\x05\x06") == 2
    assert kernel.read(2) == b"xy"
    assert wire.done == [(0x21, b"\x05\x06", 0), (0x21, b"", 2)]


@pytest.mark.parametrize("code", [errno.ENXIO, errno.EREMOTEIO, errno.ENODEV])
def test_an_absent_address_is_the_error_of_any_adapter_and_one_kind_of_fault(
    open_bus: Callable[..., Any], tmp_path: Path, code: int
) -> None:
    bus, _ = open_bus(SimI2cBus(), code)
    with pytest.raises(OSError) as raised:
        bus.read_byte_data(0x30, 0)
    assert raised.value.errno == code
    backend = I2cDev("i2c", I2cDevConfig(device=str(tmp_path / "i2c-20")))
    with pytest.raises(DeviceFault, match="nothing answers at address 0x30") as fault:
        backend.transfer(0x30, b"\x00", 1)
    assert fault.value.kind is FaultKind.NO_ACK
    assert str(fault.value) == str(no_acknowledge(0x30, "i2c"))
    backend.close()


@pytest.mark.parametrize(
    ("command", "argument", "code"),
    [
        (0x0703, 0x80, errno.EINVAL),  # an address of eight bits
        (0x0708, 1, errno.EINVAL),  # checksums
        (0x5401, 0, errno.ENOTTY),  # a terminal's
    ],
)
def test_what_an_adapter_does_not_do_is_refused(
    open_bus: Callable[..., Any], command: int, argument: int, code: int
) -> None:
    _, kernel = open_bus(Wire())
    with pytest.raises(OSError) as raised:
        kernel.ioctl(command, argument)
    assert raised.value.errno == code
    kernel.ioctl(0x0702, 5)  # time-outs and retries are taken


def test_a_block_without_a_length_is_an_error(open_bus: Callable[..., Any]) -> None:
    bus, _ = open_bus(Wire(b"\x00"))
    with pytest.raises(OSError) as raised:
        bus.read_block_data(0x50, 9)
    assert raised.value.errno == errno.EPROTO


def test_the_kernel_is_told_name_and_way_of_working(open_bus: Callable[..., Any]) -> None:
    _, kernel = open_bus(Wire())
    about = kernel.begin()
    assert struct.unpack_from("<4I", about) == (7, 31, 0, 1)  # unrestricted ioctls
    assert about[72:] == b"DEVNAME=i2c-20\0"


def test_real_drivers_work_through_it(open_bus: Callable[..., Any], tmp_path: Path) -> None:
    clock = HandClock()
    now = clock.monotonic_ns
    wire = SimI2cBus(clock=now)
    entries = [device_entry(use, use) for use in ("mpu6050", "ina219")]
    for entry in entries:
        assert entry.driver.twin is not None
        twin: Any = entry.driver.twin(entry.config)
        wire.attach(twin)
    wire.twins[0x40].stimulate("voltage", [7.5])
    open_bus(wire)
    config = I2cDevConfig(device=str(tmp_path / "i2c-20"))
    handle = BusHandle("bus0", lambda: I2cDev("bus0", config), now)
    scheduler = Scheduler(clock=clock)
    scheduler.add([driver_node(entry, handle, mock=False, clock=now) for entry in entries])
    imu, power = (Subscriber(topics.data_topic(entry.name, entry.driver)) for entry in entries)
    for _ in range(100):
        clock.advance(0.02)
        scheduler.tick_once()
    scheduler.stop()
    handle.close()
    assert imu.recv().accel_z == pytest.approx(9.81, abs=0.5)
    assert power.recv().voltage == pytest.approx(7.5, abs=0.05)


def test_without_cuse_the_cure_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cuse, "CUSE", tmp_path / "cuse")
    monkeypatch.chdir(tmp_path)
    assert horus(["mock", "serve", "i2c", "mpu6050", "--bus", "250"]) == 3
    said = capfd.readouterr().err
    assert "sudo modprobe cuse" in said
    assert "horus hil virtual" in said


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["i2c", "mpu6050"], "say what and where"),
        (["can", "odrive", "--bus", "20"], "say what and where"),
        (["i2c", "mpu605", "--bus", "20"], "did you mean 'mpu6050'?"),
        (["i2c", "odrive", "--bus", "20"], "odrive (odrive) is a can device"),
        (["i2c", "mpu6050", "mpu6050", "--bus", "20"], "at one address"),
        (["i2c", "imu", "--bus", "20"], "imu is no device"),
    ],
)
def test_what_cannot_be_served_is_refused(
    words: list[str],
    told: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert horus(["mock", "serve", *words]) == 2
    assert told in capfd.readouterr().err

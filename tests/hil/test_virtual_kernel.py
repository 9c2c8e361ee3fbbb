"""The back-ends on a real kernel: what it does when something is set down or pulled out.

``pytest -m virtual``, after ``horus hil virtual --fetch``. `tests/unit/test_hal_*backends.py` hold
them to the same without a machine.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from horus.testing.virtual.fetch import Cache
from horus.testing.virtual.machine import Machine

LACKS = Cache().lacks()
pytestmark = [pytest.mark.virtual, pytest.mark.skipif(bool(LACKS), reason=LACKS)]

COMMON = """
import os, socket, time
from horus.hal.can import CanFrame
from horus.hal.faults import DeviceFault
from horus.hal.backends.socketcan import SocketCan, SocketCanConfig
from horus.hal.backends.serial_port import SerialPort, SerialPortConfig
from horus.hal.backends.i2c_dev import I2cDev, I2cDevConfig
from horus.testing.virtual import canup, guest, hardware, twins

def until(condition):
    deadline = time.monotonic() + 900  # its clock runs ahead while it waits for files
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)
    return found

def can(name):
    place = f"/sys/bus/pci/devices/{hardware.slot(name)}/net"
    return until(lambda: os.path.isdir(place) and os.listdir(place))[0]

def opened(channel):
    def try_it():
        try:
            return SocketCan("bus", SocketCanConfig(channel=channel))
        except DeviceFault:
            return None
    return until(try_it)

def fault(call):
    def try_it():
        try:
            call()
        except DeviceFault as fault:
            return fault
    return until(try_it)
"""


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with Machine() as machine:
        yield machine


def inside(machine: Machine, code: str) -> list[str]:
    """Run a program on this Python in the machine; return its lines."""
    out, err = bytearray(), bytearray()
    command = [sys.executable, "-c", COMMON + code]
    status = machine.run(command, out=out.extend, err=err.extend, timeout=600)
    assert status == 0, err.decode()
    return out.decode().splitlines()


def test_frames_cross_between_the_adapters_in_order(machine: Machine) -> None:
    code = """
a, b = opened(can("can_a")), opened(can("can_b"))
sent = [CanFrame(n, bytes([n] * (n % 9))) for n in range(20)]
sent += [CanFrame(0x1ABCDEF, b"12345678", extended=True), CanFrame(5, remote=True)]
for frame in sent:
    a.send(frame)
got = [until(b.receive) for _ in sent]
print(got == sent)
"""
    assert inside(machine, code) == ["True"]


def test_an_interface_that_is_set_down_is_a_fault_both_ways(machine: Machine) -> None:
    code = """
name = can("can_a")
bus = opened(name)
index = socket.if_nametoindex(name)
canup.ask(canup.switch(index, False))
for call in (lambda: bus.send(CanFrame(1)), bus.receive):
    print(fault(call).kind.name, fault(call).text)
canup.ask(canup.switch(index, True))
bus.close()
opened(name).send(CanFrame(1))
"""
    down = "ABSENT the CAN interface can0 is down"
    assert inside(machine, code) == [down, down]


def test_a_can_adapter_that_is_pulled_out_is_absent_and_comes_back(machine: Machine) -> None:
    code = """
bus = opened(can("can_a"))
guest.unplug("can_a")
for call in (lambda: bus.send(CanFrame(1)), bus.receive):
    print(fault(call).kind.name)
bus.close()
guest.plug("can_a")
opened(can("can_a")).send(CanFrame(1))
print("sent")
"""
    assert inside(machine, code) == ["ABSENT", "ABSENT", "sent"]


def test_a_usb_port_that_is_pulled_out_is_absent_and_comes_back(machine: Machine) -> None:
    code = """
def port():
    try:
        return SerialPort("port", SerialPortConfig(device="/dev/ttyUSB0"))
    except DeviceFault:
        return None
far = twins.PortEnd(twins.line_of("/dev/ttyUSB0"))
def whole(read, count):
    found = bytearray()
    until(lambda: found.extend(read(0.1)) or len(found) >= count)
    return bytes(found)
for _ in range(2):
    near = until(port)
    near.write(b"question")
    print(whole(far.read, 8))
    far.write(b"answer")
    print(whole(near.read, 6))
    guest.unplug("usb")
    print(fault(lambda: near.read(0.1)).kind.name, fault(lambda: near.write(b"x")).kind.name)
    near.close()
    guest.plug("usb")
"""
    once = ["b'question'", "b'answer'", "ABSENT ABSENT"]
    assert inside(machine, code) == once * 2


def test_an_adapter_that_meets_errors_tells_them_and_in_bus_off_takes_no_frame(
    machine: Machine,
) -> None:
    """The kernel's slcan, on a pty: the adapter at its other end is this test."""
    code = """
import fcntl, struct, tty
TIOCSETD, N_SLCAN = 0x5423, 17
adapter, line = os.openpty()
tty.setraw(adapter), tty.setraw(line)
before = set(os.listdir("/sys/class/net"))
fcntl.ioctl(line, TIOCSETD, struct.pack("i", N_SLCAN))
(name,) = until(lambda: set(os.listdir("/sys/class/net")) - before)
canup.ask(canup.switch(socket.if_nametoindex(name), True))
bus = opened(name)

def heard(words):
    os.write(adapter, words)
    return until(lambda: bus.receive(0.1))

print(heard(b"t1232AABB\\r").data)
print(heard(b"e1a\\r").error)
passive = heard(b"sp130000\\r")
print(passive.error, passive.id & 4, passive.data[1])
bus.send(CanFrame(1, b"x"))
print(b"t00117" in until(lambda: os.read(adapter, 100)))
print(heard(b"sb256000\\r").id)
print(fault(lambda: bus.send(CanFrame(1))).kind.name)
"""
    assert inside(machine, code) == [
        r"b'\xaa\xbb'",
        "True",
        "True 4 16",  # CAN_ERR_CRTL, CAN_ERR_CRTL_RX_PASSIVE
        "True",
        "64",  # CAN_ERR_BUSOFF
        "BUS_OFF",
    ]


def test_a_check_that_is_killed_while_a_motor_turns_leaves_it_at_rest(machine: Machine) -> None:
    """``kill -9`` of pytest: the guardian stops it through the kernel's CAN, and its twin knows."""
    code = """
import subprocess, sys, tempfile
from horus.bus import Subscriber, session
folder = tempfile.mkdtemp()
with open(f"{folder}/test_it.py", "w") as file:
    file.write("def test_it(device):\\n    while True: device.run(0.1, device.order(5.0))\\n")
command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rig", "virtual"]
with open(f"{folder}/said", "w") as said:
    run = subprocess.Popen([*command, "--rig-device", "left", "test_it.py"], cwd=folder,
                           stdout=said, stderr=said)
place = session.sessions_dir()
os.environ["HORUS_SESSION_ID"] = until(
    lambda: (run.poll() or place.is_dir()) and os.listdir(place))[0]
truth = Subscriber("sim.left", depth=1, latch=True)
newest = {}

def rests():
    newest.update(truth.latest() or {})
    return newest.get("at_rest")

until(lambda: rests() is False and abs(newest["velocity"]) > 1)
print("turns")
run.kill()
until(rests)
print("rests", abs(newest["velocity"]) < 0.5)
until(lambda: not place.is_dir() or not os.listdir(place))
print("left: made safe by the supervisor" in open(f"{folder}/said").read())
"""
    assert inside(machine, code) == ["turns", "rests True", "True"]


@pytest.mark.parametrize("absent", ["ENXIO", "EREMOTEIO", "ENODEV"])
def test_chips_are_served_as_a_real_bus(machine: Machine, absent: str) -> None:
    code = f"""
import signal, subprocess, sys
from smbus2 import SMBus
serve = [sys.executable, "-m", "horus.cli", "mock", "serve", "i2c", "mpu6050", "ina219"]
chips = subprocess.Popen([*serve, "--bus", "20", "--absent", "{absent}"], cwd="/tmp")
until(lambda: os.path.exists("/dev/i2c-20"))
bus = I2cDev("i2c", I2cDevConfig(device="/dev/i2c-20"))
print(bus.transfer(0x68, b"\\x75", 1), bus.transfer(0x40, b"\\x00", 2))
print(fault(lambda: bus.transfer(0x30, b"", 1)).kind.name)
with SMBus(20) as other:
    print(other.read_byte_data(0x68, 0x75), other.read_i2c_block_data(0x68, 0x75, 1))
    try:
        other.read_byte(0x30)
    except OSError as error:
        print(os.strerror(error.errno))
bus.close()
chips.send_signal(signal.SIGTERM)
print(chips.wait(60), os.path.exists("/dev/i2c-20"))
"""
    import errno
    import os

    shown = [line for line in inside(machine, code) if not line.startswith("/dev/i2c-20:")]
    assert shown == [
        r"b'h' b'9\x9f'",
        "NO_ACK",
        "104 [104]",
        os.strerror(getattr(errno, absent)),
        "0 False",
    ]

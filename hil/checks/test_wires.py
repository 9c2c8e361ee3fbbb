"""What is wired on a rig, before any driver: CAN pairs, serial jumpers, known I2C chips."""

from __future__ import annotations

import random
import shutil
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest

from horus.hal.can import FD_LENGTHS, CanFrame
from horus.hal.faults import DeviceFault, FaultKind
from horus.testing import hil
from horus.testing.rig.figures import Recorder
from horus.testing.rig.wires import WireUnderTest

#: Longest wait (s) for one frame or byte.
WAIT = 1.0
FRAMES = 1000
#: Frames sent before they are looked for: kernels queue ten.
BATCH = 8
BAUDRATES = (9600, 57_600, 115_200, 230_400, 460_800, 921_600, 1_000_000)
BLOCK = 4096  # bytes


def high(values: list[float], share: float) -> float:
    """Return the value that this share of all is not above."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


# CAN ----------------------------------------------------------------------------------------------


def next_frame(bus: Any, wait: float) -> CanFrame | None:
    """Return the next frame that is no error, or None after so many seconds."""
    deadline = time.monotonic() + wait
    while time.monotonic() < deadline:
        frame: CanFrame | None = bus.receive(0.01)
        if frame is not None and not frame.error:
            return frame
    return None


def send(bus: Any, frame: CanFrame, wait: float) -> None:
    """Send a frame; where the queue of the kernel is full, a little later."""
    deadline = time.monotonic() + wait
    while True:
        try:
            bus.send(frame)
            return
        except DeviceFault:
            if time.monotonic() > deadline:
                raise


@hil.needs("can-loopback")
def test_every_kind_of_frame_comes_as_it_was_sent(wire: WireUnderTest, figure: Recorder) -> None:
    one, other = wire.bus(0), wire.bus(1)
    frames = [CanFrame(0x123, bytes(range(n))) for n in range(9)]
    frames += [CanFrame(0x12345678, bytes(range(n)), extended=True) for n in range(9)]
    frames += [CanFrame(0), CanFrame(0x7FF), CanFrame(0x1FFFFFFF, extended=True)]
    frames += [CanFrame(0x321, remote=True), CanFrame(0x1ABCDEF, extended=True, remote=True)]
    if all(getattr(wire.config(end), "fd", False) for end in (0, 1)):
        frames += [CanFrame(0x222, bytes(n), fd=True) for n in FD_LENGTHS]
    for sender, receiver in ((one, other), (other, one)):
        for frame in frames:
            send(sender, frame, WAIT * wire.scale)
            assert next_frame(receiver, WAIT * wire.scale) == frame
    figure("kinds_of_frame", len(frames))


@hil.needs("can-loopback")
@pytest.mark.parametrize("way", ["there", "back"])
def test_of_a_thousand_frames_none_is_lost_and_all_are_in_order(
    wire: WireUnderTest, figure: Recorder, way: str
) -> None:
    sender, receiver = (wire.bus(0), wire.bus(1)) if way == "there" else (wire.bus(1), wire.bus(0))
    came: list[int] = []
    began = time.monotonic()
    for first in range(0, FRAMES, BATCH):
        count = min(BATCH, FRAMES - first)
        for number in range(first, first + count):
            send(sender, CanFrame(0x100, number.to_bytes(8, "big")), WAIT * wire.scale)
        for _ in range(count):
            frame = next_frame(receiver, WAIT * wire.scale)
            if frame is None:
                break
            came.append(int.from_bytes(frame.data, "big"))
    seconds = time.monotonic() - began
    figure("lost_frames", FRAMES - len(set(came)), "", high=0)
    figure("frames_per_second", len(came) / seconds, "1/s")
    assert came == sorted(came), "frames come in another order than they were sent in"
    assert len(came) == len(set(came)), "frames come twice"


@hil.needs("can-loopback")
def test_a_frame_goes_there_and_back_soon(wire: WireUnderTest, figure: Recorder) -> None:
    one, other = wire.bus(0), wire.bus(1)
    took = []
    for number in range(100):
        began = time.perf_counter()
        send(one, CanFrame(0x101, bytes([number])), WAIT * wire.scale)
        there = next_frame(other, WAIT * wire.scale)
        assert there is not None, "a frame is lost"
        send(other, there, WAIT * wire.scale)
        assert next_frame(one, WAIT * wire.scale) == there
        took.append(1e3 * (time.perf_counter() - began))
    figure("round_trip_p50_ms", high(took, 0.5), "ms")
    figure("round_trip_p99_ms", high(took, 0.99), "ms", high=1e3 * WAIT * wire.scale)


@hil.needs("can-loopback")
def test_what_is_filtered_for_comes_through(wire: WireUnderTest, figure: Recorder) -> None:
    one, other = wire.bus(0), wire.bus(1)
    wanted = [CanFrame(0x123, b"a"), CanFrame(0x123, b"b", extended=True), CanFrame(0x124, b"c")]
    other.set_filters([(0x123, False), (0x123, True), (0x124, False)])
    strays = [CanFrame(0x125, b"x"), CanFrame(0x124, b"y", extended=True)]
    for frame in (*strays, *wanted):
        send(one, frame, WAIT * wire.scale)
    came: list[CanFrame] = []
    while not set(wanted) <= set(came):
        frame_or_none = next_frame(other, WAIT * wire.scale)
        assert frame_or_none is not None, f"filtered for {wanted}, and only {came} came"
        came.append(frame_or_none)
    figure("strays_let_through", len(set(came) & set(strays)), "")


@hil.needs("can-loopback")
def test_after_a_burst_nothing_that_was_taken_is_lost(
    wire: WireUnderTest, figure: Recorder
) -> None:
    """Sent as fast as can be: what the queue does not take is a fault, and no silent loss."""
    one, other = wire.bus(0), wire.bus(1)
    taken = []
    for number in range(200):
        frame = CanFrame(0x102, number.to_bytes(2, "big"))
        try:
            one.send(frame)
        except DeviceFault:
            continue
        taken.append(frame)
    came: list[CanFrame] = []
    while len(came) < len(taken) and (frame_or_none := next_frame(other, WAIT * wire.scale)):
        came.append(frame_or_none)
    figure("frames_taken", len(taken), "", low=1)
    figure("lost_in_burst", len(taken) - len(came), "", high=0)
    assert came == taken
    send(one, CanFrame(0x103), WAIT * wire.scale)
    assert next_frame(other, WAIT * wire.scale) == CanFrame(0x103), "it does not work after a burst"


@hil.needs("can-loopback")
@hil.hazard("unplug")
def test_an_interface_that_goes_down_is_a_fault_and_can_be_opened_again(
    wire: WireUnderTest,
) -> None:
    channel = getattr(wire.config(0), "channel", "")
    if wire.mock or not channel:
        hil.not_applicable("there is no interface of the kernel to be taken down")
    tool = shutil.which("ip")
    if tool is None:
        pytest.skip("ip is not installed: apt install iproute2")
    one = wire.bus(0)
    done = subprocess.run([tool, "link", "set", channel, "down"], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"{channel} cannot be taken down: run as root ({done.stderr.strip()})")
    try:
        with pytest.raises(DeviceFault) as info:
            for _ in range(100):
                one.send(CanFrame(0x104))
                one.receive(0.05)
        assert channel in str(info.value) or "down" in str(info.value)
    finally:
        subprocess.run([tool, "link", "set", channel, "up"], check=True)
    wire.close()
    one, other = wire.bus(0), wire.bus(1)
    send(one, CanFrame(0x105), WAIT * wire.scale)
    assert next_frame(other, WAIT * wire.scale) == CanFrame(0x105)


# serial -------------------------------------------------------------------------------------------


def read_back(bus: Any, count: int, wait: float) -> bytes:
    """Return so many bytes, or fewer when no more come for a while."""
    data = bytearray()
    deadline = time.monotonic() + wait
    while len(data) < count and time.monotonic() < deadline:
        more = bus.read(0.05)
        if more:
            data += more
            deadline = time.monotonic() + wait
    return bytes(data)


def exchange(bus: Any, data: bytes, wait: float) -> bytes:
    """Send bytes in pieces that every driver buffers; return what comes back."""
    came = bytearray()
    for start in range(0, len(data), 256):
        piece = data[start : start + 256]
        bus.write(piece)
        came += read_back(bus, len(piece), wait)
    return bytes(came)


@hil.needs("serial-loopback")
def test_every_byte_comes_back(wire: WireUnderTest) -> None:
    sent = bytes(range(256))
    assert exchange(wire.bus(0), sent, WAIT * wire.scale) == sent


@hil.needs("serial-loopback")
def test_four_kilobytes_come_back_at_each_baud_rate(wire: WireUnderTest, figure: Recorder) -> None:
    sent = random.Random(7).randbytes(BLOCK)
    refused = []
    for baudrate in BAUDRATES:
        wire.close()
        try:
            bus = wire.bus(0, baudrate=baudrate)
        except DeviceFault as fault:
            refused.append(f"{baudrate}: {fault}")
            continue
        began = time.monotonic()
        came = exchange(bus, sent, WAIT * wire.scale)
        seconds = time.monotonic() - began
        wrong = sum(a != b for a, b in zip(came, sent, strict=False)) + abs(len(came) - len(sent))
        figure(f"wrong_bytes_at_{baudrate}", wrong, "", high=0)
        figure(f"throughput_at_{baudrate}", len(came) / seconds, "bytes/s")
    assert len(refused) < len(BAUDRATES), "\n".join(refused)
    figure("baud_rates_refused", len(refused), "")


@hil.needs("serial-loopback")
def test_one_byte_is_back_soon(wire: WireUnderTest, figure: Recorder) -> None:
    bus = wire.bus(0)
    took = []
    for number in range(100):
        began = time.perf_counter()
        bus.write(bytes([number]))
        assert read_back(bus, 1, WAIT * wire.scale) == bytes([number])
        took.append(1e3 * (time.perf_counter() - began))
    figure("byte_back_p50_ms", high(took, 0.5), "ms")
    figure("byte_back_p99_ms", high(took, 0.99), "ms", high=1e3 * WAIT * wire.scale)


@hil.needs("serial-loopback")
def test_it_can_be_opened_again_and_again(wire: WireUnderTest) -> None:
    for number in range(20):
        bus = wire.bus(0)
        bus.read(0.0)  # what an earlier life left
        sent = bytes([number] * 8)
        assert exchange(bus, sent, WAIT * wire.scale) == sent
        wire.close()


# I2C ----------------------------------------------------------------------------------------------


@hil.needs("i2c-known")
def test_a_known_register_reads_the_same_a_thousand_times(
    wire: WireUnderTest, figure: Recorder
) -> None:
    bus, about = wire.bus(0), wire.wire
    wrong = 0
    took = []
    for _ in range(1000):
        began = time.perf_counter()
        wrong += bus.transfer(about.address, bytes([about.register]), 1)[0] != about.value
        took.append(1e6 * (time.perf_counter() - began))
    figure("wrong_reads", wrong, "", high=0)
    figure("transaction_p50_us", high(took, 0.5), "µs")
    figure("transaction_p99_us", high(took, 0.99), "µs")


@hil.needs("i2c-known")
def test_an_absent_address_does_not_acknowledge(wire: WireUnderTest, figure: Recorder) -> None:
    """ENXIO, ENODEV or EREMOTEIO by the adapter's driver: the same kind of fault."""
    bus = wire.bus(0)
    there = {wire.wire.address}
    for device in wire.rig.robot.hardware.values():
        there |= set(device.stations)
    tried: list[Callable[[], bytes]] = [
        lambda address=address: bus.transfer(address, b"\0", 1)  # type: ignore[misc]
        for address in range(0x08, 0x78)
        if address not in there
    ]
    faults = []
    for ask in tried[:8]:
        try:
            ask()
        except DeviceFault as fault:
            faults.append(fault)
    assert faults, "something answers at each of eight addresses at which nobody should be"
    kinds = {fault.kind for fault in faults}
    assert kinds == {FaultKind.NO_ACK}, [str(fault) for fault in faults]
    figure("absent_addresses", len(faults), "", low=1)
    assert bus.transfer(wire.wire.address, bytes([wire.wire.register]), 1)[0] == wire.wire.value

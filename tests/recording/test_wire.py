"""What goes over a bus is recorded, and played to a driver in the place of the device."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from horus_plugins.recording.bag import Bag
from horus_plugins.recording.errors import RecordingError
from horus_plugins.recording.wire import events, played_bus

from horus.bus import Publisher
from horus.hal.can import CanFrame
from horus.hal.canlink import CanHub
from horus.hal.faults import DeviceFault, FaultKind
from horus.hal.i2c import I2cLink
from horus.hal.localcan import CanWire
from horus.hal.simi2c import SimI2cBus
from horus.hal.simserial import LocalSerial
from horus.hal.wire import played, tapped
from horus.hardware.buses import make_link
from horus.hardware.config import load
from horus.msgs import Imu
from horus.plugins import drivers
from tests.recording.conftest import contents

ROVER = Path(__file__).parents[2] / "examples" / "rover"


class Hand:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.now = 10**9

    def __call__(self) -> int:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += int(seconds * 1e9)


def use(name: str, bus: Any, clock: Hand, count: int, **options: Any) -> list[Any]:
    """Set a device up on a bus and return its samples."""
    kind = drivers()[name].load()
    config = kind.config_type(**options)
    hub = CanHub(bus) if bus.kind == "can" else None
    stations = kind.map_type.stations(config)
    link = make_link(bus, hub, name, stations[0] if stations else 0, clock)
    driver = kind(config, link)

    def poll(seconds: float) -> None:
        clock.sleep(seconds)
        if hub is not None:
            hub.poll()

    poll(0.2)
    for _ in range(50):
        if driver.probe():
            break
        poll(0.02)
    else:
        pytest.fail(f"{name} is not found")
    for wait in driver.configure() or ():
        poll(wait)
    found = []
    for _ in range(200 * count):
        sample = driver.read()
        if sample is not None:
            found.append(sample)
            if len(found) == count:
                return found
        poll(0.005)
    return pytest.fail(f"{name}: {len(found)} samples")


def test_an_i2c_driver_gets_the_same_samples_from_its_recorded_traffic() -> None:
    kind = drivers()["mpu6050"].load()
    assert kind.twin is not None
    clock = Hand()
    bus = SimI2cBus("i2c1", clock, clock.sleep)
    twin: Any = kind.twin(kind.config_type())
    bus.attach(twin)
    told: list[dict[str, Any]] = []
    twin.rotation = (0.1, -0.2, 0.3)
    wanted = use("mpu6050", tapped(bus, told.append), clock, 20)
    assert use("mpu6050", played("i2c", told, "i2c1"), Hand(), 20) == wanted
    assert len({sample.gyro_x for sample in wanted}) > 5  # noise: no two alike by accident


def test_a_serial_driver_gets_the_same_samples_from_its_recorded_traffic() -> None:
    kind = drivers()["tfmini"].load()
    assert kind.twin is not None
    clock = Hand()
    port = LocalSerial([kind.twin(kind.config_type())], "uart1", clock, clock.sleep)  # type: ignore[list-item]
    told: list[dict[str, Any]] = []
    wanted = use("tfmini", tapped(port, told.append), clock, 10)
    assert use("tfmini", played("serial", told), Hand(), 10) == wanted


def test_frames_on_can_are_told_and_come_again_in_their_order() -> None:
    wire = CanWire("can0")
    ours, other = wire.open(), wire.open()
    told: list[dict[str, Any]] = []
    tap = tapped(ours, told.append)
    one, two, answer = CanFrame(0x60, b"\1"), CanFrame(0x61, b"\2"), CanFrame(0x1F0, b"\3", True)
    tap.send(one)
    other.send(answer)
    heard = [tap.receive(), tap.receive()]  # this bus delivers our own frames too
    assert heard == [one, answer]
    tap.send(two)
    again = played("can", told, "can0")
    assert again.receive() is None  # the answer comes after the question
    again.send(one)
    assert [again.receive(), again.receive(), again.receive()] == [*heard, None]
    again.send(two)
    with pytest.raises(DeviceFault, match="nothing more of the driver"):
        again.send(two)


def test_a_driver_that_says_something_else_is_told_what_was_recorded() -> None:
    told = [{"address": 0x68, "write": b"\x75", "read": b"\x68"}]
    bus = played("i2c", told, "i2c1")
    with pytest.raises(DeviceFault) as caught:
        I2cLink(bus, 0x68, "imu").write(0x6B, b"\x80")
    assert caught.value.kind is FaultKind.REJECTED
    text = "write [6b 80] read 0 at 0x68, the recording has write [75] read 1 at 0x68 next"
    assert text in str(caught.value)
    serial = played("serial", [{"sent": True, "data": b"ab"}])
    with pytest.raises(DeviceFault, match=r"\[61 63\], the recording has \[61 62\] next"):
        serial.write(b"ac")


def test_faults_of_a_bus_are_played_too() -> None:
    bus = SimI2cBus("i2c1")
    told: list[dict[str, Any]] = []
    with pytest.raises(DeviceFault):
        tapped(bus, told.append).transfer(0x20, b"\0", 1)
    with pytest.raises(DeviceFault, match="nothing answers at address 0x20"):
        played("i2c", told).transfer(0x20, b"\0", 1)


def test_a_recording_of_the_rover_replaces_its_imu(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "horus.cli"]
    log = tmp_path / "log"
    with log.open("w") as file:
        run = subprocess.Popen(
            [*words, "run", "--mock", "--wire", str(ROVER)], stdout=file, stderr=file
        )
    try:
        deadline = time.monotonic() + 60
        while "imu: active" not in log.read_text() and time.monotonic() < deadline:
            time.sleep(0.02)
        path = tmp_path / "run.mcap"
        record = [*words, "record", "--bus", "-o", str(path), "--duration", "1s"]
        subprocess.run(record, check=True, timeout=60, capture_output=True)
    finally:
        run.send_signal(signal.SIGINT)
        run.wait(60)
    bag = Bag(path)
    spec = Imu.__horus_spec__  # type: ignore[attr-defined]
    sampled = [spec.unpack_from(p, 0) for (_, _, p), _ in contents(bag)["imu"]]
    bus = played_bus(path, "i2c1")
    kind = drivers()["mpu6050"].load()
    config = load(ROVER).hardware["imu"].config
    driver = kind(config, make_link(bus, None, "imu", 0x68, Hand()))
    if bytes(events(path, "i2c1")[0]["write"]) == b"\x75":  # else a busy machine recorded it late
        assert driver.probe()
        for _ in driver.configure() or ():
            pass
    again = []
    with pytest.raises(DeviceFault, match="nothing more of the driver"):
        while len(again) < 10_000:
            if (sample := driver.read()) is not None:
                again.append((sample.accel_x, sample.accel_y, sample.gyro_z))
    wanted = [(s.accel_x, s.accel_y, s.gyro_z) for s in sampled]
    places = {sample: place for place, sample in enumerate(again)}
    found = [places[sample] for sample in wanted if sample in places]
    assert found == sorted(found)
    assert len(found) > 20
    # All of them up to the last, but for what a recorder on a busy machine was too slow for.
    until = max(place for place, sample in enumerate(wanted) if sample in places) + 1
    assert until - len(found) <= bag.summary().lost.get("wire.i2c1", 0)
    assert {"wire.can0", "wire.i2c1"} <= set(bag.summary().topics)
    with pytest.raises(RecordingError, match=r"no traffic of i2c2 \(did you mean 'i2c1'"):
        played_bus(path, "i2c2")


def test_without_wire_traffic_the_recorder_says_how_to_get_it(
    run: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from horus.cli.main import main

    topic = Publisher("imu", Imu)
    assert main(["record", "--bus", "-o", str(tmp_path / "a.mcap")]) == 2
    assert "horus run --wire" in capsys.readouterr().err
    assert not (tmp_path / "a.mcap").exists()
    topic.close()

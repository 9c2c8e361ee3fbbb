"""Recorded bus traffic in the place of a twin: a driver cannot tell, or it is said where."""

from __future__ import annotations

import itertools
import math
import re
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from horus_plugins.recording.bag import VERSION, Bag
from horus_plugins.recording.record_command import note_about

import horus.hardware.config as robot_config
from horus.bus.raw import RawSubscriber
from horus.cli.main import main
from horus.errors import ConfigError
from horus.hal.driver import Actuator
from horus.hardware.simrobot import SimRobot
from horus.hardware.topics import command_type
from horus.hardware.wire import ENV
from horus.msgs import JointCommand, MotorCommand, ServoCommand
from horus.plugins import drivers
from horus.testing.bench import required_options
from tests.recording.conftest import PATIENCE, Recording, Start, contents
from tests.unit.test_hal_modbus import Thermostat

BUSES = {
    "i2c": "{use: i2c, device: /dev/i2c-77}",
    "can": "{use: socketcan, channel: nocan9}",
    "serial": "{use: serial, device: /dev/ttyNO9}",
    "modbus": "{use: modbus, device: /dev/ttyNO9}",
}
STEP = 0.02  # s
Said = dict[str, list[tuple[int, int, bytes]]]


@pytest.fixture(autouse=True)
def thermostat(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no Modbus driver yet but the one that the tests of Modbus have."""
    known = {**drivers(), "thermostat": SimpleNamespace(load=lambda: Thermostat)}
    monkeypatch.setattr(robot_config, "drivers", lambda: known)


def described(use: str, mock: str = "{}", **more: object) -> str:
    """Return a horus.yaml with one device."""
    driver = robot_config.drivers()[use].load()
    given = {**required_options(driver), **more}
    words = "".join(
        f", {name}: {list(value) if isinstance(value, tuple) else value}"
        for name, value in given.items()
    )
    bus = BUSES[driver.map_type.bus_kind]
    if baudrate := getattr(driver.map_type, "baudrate", 0):
        bus = f"{bus[:-1]}, baudrate: {baudrate}}}"
    return (
        f"name: test\nbuses:\n  bus0: {bus}\n"
        f"hardware:\n  device: {{use: {use}, bus: bus0{words},\n    mock: {mock}}}\n"
    )


REPLAY = "{replay: run.mcap}"


@dataclass
class Life:
    """What a robot said, and what is true of its twin at the end."""

    said: Said
    truth: dict[str, Any]
    tape: Any


def lived(
    folder: Path,
    text: str,
    seconds: float,
    path: Path | None = None,
    live: Callable[[SimRobot, int], object] = lambda robot, step: None,
) -> Life:
    """Run a robot, and record its wire when there is a path."""
    (folder / "horus.yaml").write_text(text)
    with SimRobot(folder, seed=3, nodes=False) as robot:
        recording = None if path is None else Recording(path)
        if recording is not None:
            note_about(recording.file, recording.recorder, robot._session.id)
        topics = sorted(t for t in robot._sent if t.startswith("device") and "status" not in t)
        ends = {topic: RawSubscriber(topic, depth=4096, history=True) for topic in topics}
        said: Said = {topic: [] for topic in ends}
        for step in range(round(seconds / STEP)):
            live(robot, step)
            robot.run(STEP)
            if recording is not None:
                recording.recorder.look()
            for topic, end in ends.items():
                said[topic] += [(m.kind, m.stamp_ns, bytes(m.payload)) for m in end.take()]
        for end in ends.values():
            assert not end.dropped
            end.close()
        truth = robot.truth("device")
        tape = getattr(robot._sim("device"), "tape", None)
        if recording is not None:
            assert not recording.recorder.lost
            recording.finish()
    return Life(said, truth, tape)


def commanded(robot: SimRobot, step: int) -> None:
    """Command what moves, with other values all the time."""
    device = robot.config.hardware["device"]
    if not issubclass(device.driver, Actuator):
        return
    kind, value = command_type(device.driver), 0.3 * math.sin(step / 9)
    made: dict[type, Callable[[], object]] = {
        MotorCommand: lambda: MotorCommand(velocity=value),
        ServoCommand: lambda: ServoCommand(angle=value),
        JointCommand: lambda: JointCommand(position=[value] * len(device.stations)),
    }
    robot.send("device.command", made[kind]())


#: How long (s) devices are looked at that need more time for two samples.
SLOW = {"nmea": 3.5, "rplidar": 3.0}
ALL = [*(name for name, entry in drivers().items() if entry.load().twin is not None), "thermostat"]


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where the traffic of a run is recorded."""
    monkeypatch.setenv(ENV, "1")
    return tmp_path / "run.mcap"


@pytest.mark.parametrize("use", ALL)
def test_a_driver_gets_from_its_recorded_traffic_what_it_got_from_its_twin(
    use: str, tmp_path: Path, wire: Path
) -> None:
    seconds = SLOW.get(use, 1.5)
    first = lived(tmp_path, described(use), seconds, wire, commanded)
    again = lived(tmp_path, described(use, REPLAY), seconds, None, commanded)
    assert again.tape.differences == []
    assert again.truth["replays"] == "run.mcap"
    assert again.truth["at"] > 0.5 * seconds
    assert all(len(messages) > 1 for messages in first.said.values())
    assert again.said == first.said  # every byte, the moments of sampling included


# where they differ ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("use", "was", "now", "words"),
    [
        (
            "mpu6050",
            {"accel_range": 2},
            {"accel_range": 8},
            r"the driver says write \[1c 10\] read 0 at 0x68, "
            r"the recording has write \[1c 00\] read 0 at 0x68 next",
        ),
        (
            "thermostat",
            {"target": 20.0},
            {"target": 30.0},
            r"the driver says write \[300\] to registers from 10 of unit 1, "
            r"the recording has write \[200\] to registers from 10 of unit 1 next",
        ),
        (
            "feetech",
            {},
            {"ids": (1, 3)},
            r"the driver says \[ff ff 03 02 01 f9\], the recording has \[ff ff 02 02 01 fa\] next",
        ),
    ],
)
def test_where_the_driver_differs_it_is_said_when_and_with_which_bytes(
    use: str,
    was: dict[str, object],
    now: dict[str, object],
    words: str,
    tmp_path: Path,
    wire: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    lived(tmp_path, described(use, **was), 1.0, wire)
    with caplog.at_level("WARNING", "horus.replay"):
        again = lived(tmp_path, described(use, REPLAY, **now), 1.0)
    first = again.tape.differences[0]
    assert re.fullmatch(rf"run\.mcap at \d\.\d{{6}} s: {words}.*", first), first
    assert again.truth["differs"] == first
    assert f"device: {first}" in caplog.messages


def test_a_motor_that_is_commanded_otherwise_goes_on_as_it_did_and_says_so(
    tmp_path: Path, wire: Path
) -> None:
    def driven(velocity: float) -> Callable[[SimRobot, int], object]:
        return lambda robot, step: robot.send("device.command", MotorCommand(velocity=velocity))

    first = lived(tmp_path, described("odrive"), 2.0, wire, driven(1.0))
    again = lived(tmp_path, described("odrive", REPLAY), 3.5, None, driven(2.0))
    said, recorded = (
        struct.pack("<ff", 2 / math.tau, 0).hex(" "),
        struct.pack("<ff", 1 / math.tau, 0),
    )
    assert re.fullmatch(
        rf"run\.mcap at \d\.\d{{6}} s: the driver says 0x02D {said}, "
        rf"the recording has 0x02D {recorded.hex(' ')} next",
        again.tape.differences[0],
    )
    # It turns as it turned: the estimates come, and the driver does not take it for dead.
    assert len(again.said["device.state"]) >= len(first.said["device.state"])


# configuration ----------------------------------------------------------------------------------


def spoilt(path: Path, what: str) -> None:
    """Do to a recording what may have happened to it."""
    data = path.read_bytes()
    version = b"\x07\0\0\0version\x01\0\0\x00"
    if what == "gone":
        path.unlink()
    elif what == "text":
        path.write_text("this is no recording")
    elif what == "empty":
        path.write_bytes(b"")
    elif what == "cut off":
        (summary,) = struct.unpack_from("<Q", data, len(data) - 28)  # in the footer
        path.write_bytes(data[: summary - 20])  # in the last index
    elif what == "other version":
        path.write_bytes(data.replace(version + str(VERSION).encode(), version + b"9"))
    elif what == "no wire":
        assert main(["bag", "cut", str(path), "-o", f"{path}.new", "--topics", "device"]) == 0
        Path(f"{path}.new").replace(path)


@pytest.mark.parametrize(
    ("use", "more", "what", "text"),
    [
        ("mpu6050", {}, "gone", "no such file: "),
        ("mpu6050", {}, "text", "is no MCAP file"),
        ("mpu6050", {}, "empty", "is no MCAP file; it is empty"),
        ("mpu6050", {}, "cut off", "what comes before is whole; horus bag"),
        ("mpu6050", {}, "other version", "was recorded in version 9"),
        ("mpu6050", {}, "no wire", "has no bus traffic: let the robot show it with horus run"),
        ("mpu6050", {"bus": "bus1"}, "", "has no traffic of bus1 (did you mean 'bus0'?)"),
        ("mpu6050", {"address": "0x69"}, "", "on bus0 nothing went to mpu6050 0x69 or came"),
        ("odrive", {}, "", "its bus0 is an I2C bus, not a CAN bus"),
        ("mpu6050", {"play": "turn.csv"}, "", "cannot be played together with play"),
    ],
)
def test_what_is_wrong_with_a_recording_is_said_beforehand_by_file_and_line(
    use: str, more: dict[str, str], what: str, text: str, tmp_path: Path, wire: Path
) -> None:
    lived(tmp_path, described("mpu6050"), 0.5, wire)
    spoilt(wire, what)
    yaml = described(use, REPLAY, **{k: v for k, v in more.items() if k == "address"})
    yaml = yaml.replace("bus0", more.get("bus", "bus0"))
    if "play" in more:
        (tmp_path / "turn.csv").write_text("time,temperature\n0,20\n1,21\n")
        yaml = yaml.replace("{replay", f"{{play: {more['play']}, replay")
    (tmp_path / "horus.yaml").write_text(yaml)
    with pytest.raises(ConfigError) as caught:
        robot_config.load(tmp_path)
    (fault,) = caught.value.faults
    assert fault.startswith(f"{tmp_path}/horus.yaml:6: hardware.device.mock.replay: ")
    assert text in fault


def test_the_devices_at_one_serial_port_are_replayed_together(tmp_path: Path, wire: Path) -> None:
    more = "address: 0x81, motor: 1, counts_per_turn: 64, mock: {}"
    second = f"  other: {{use: roboclaw, bus: bus0, {more}}}\n"
    both = described("roboclaw", address="0x80") + second
    first = lived(tmp_path, both, 1.5, wire)
    half = described("roboclaw", REPLAY, address="0x80") + second
    (tmp_path / "horus.yaml").write_text(half)
    with pytest.raises(ConfigError, match="a serial port is replayed as a whole: give other on"):
        robot_config.load(tmp_path)
    again = lived(tmp_path, half.replace("{}", REPLAY), 1.5)
    assert again.tape.differences == []
    assert again.said == first.said


def test_a_device_behind_a_multiplexer_gets_what_went_through_its_channel(
    tmp_path: Path, wire: Path
) -> None:
    buses = "".join(
        f"  b{n}: {{use: tca9548a, parent: bus0, address: 0x70, channel: {n}}}\n" for n in (2, 5)
    )
    text = described("ina219").replace("hardware:\n", f"{buses}hardware:\n")
    other = "  other: {use: ina219, bus: b5, address: 0x40, max_current: 1.0}\n"
    text = text.replace("bus: bus0", "bus: b2") + other
    first = lived(tmp_path, text, 1.0, wire)
    again = lived(tmp_path, text.replace("mock: {}", f"mock: {REPLAY}"), 1.0)
    assert again.tape.differences == []
    assert again.said == first.said


# in processes of their own ----------------------------------------------------------------------

LIVE = """\
name: live
buses:
  i2c1: {{use: i2c, device: /dev/i2c-77}}
  can0: {{use: socketcan, channel: nocan9}}
  uart1: {{use: serial, device: /dev/ttyNO9}}
hardware:
  imu: {{use: mpu6050, bus: i2c1, rate: 50{mock}}}
  wheel: {{use: odrive, bus: can0, node: 3, rate: 50{mock}}}
  beam: {{use: tfmini, bus: uart1, rate: 50{mock}}}
"""


def test_a_whole_robot_runs_on_what_was_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: Start
) -> None:
    yaml = tmp_path / "horus.yaml"
    yaml.write_text(LIVE.format(mock=""))
    first = start("run", "--mock", "--wire", str(tmp_path))
    for name in ("imu", "wheel", "beam"):
        first.wait_for(f"] {name}: ")
    words = ["record", "--bus", "-o", "run.mcap", "--duration", "2s", "--session", first.session]
    assert start(*words).popen.wait(PATIENCE) == 0
    first.end()
    bag = Bag(tmp_path / "run.mcap")
    was = {t: [p[8:] for (_, _, p), _ in m] for t, m in contents(bag).items()}
    assert not any(name.startswith("wire.") for name in bag.summary().lost)

    yaml.write_text(LIVE.format(mock=", mock: {replay: run.mcap}"))
    again = start("run", "--mock", str(tmp_path))
    monkeypatch.setenv("HORUS_SESSION_ID", again.session)
    ends = {name: RawSubscriber(name, depth=256) for name in ("imu", "beam")}
    seen: dict[str, list[bytes]] = {name: [] for name in ends}
    # At its end the recording begins anew, so all that was recorded comes sooner or later.
    deadline = time.monotonic() + 60
    while len(set(seen["imu"]) & set(was["imu"])) < 30 and time.monotonic() < deadline:
        for name, end in ends.items():
            seen[name] += [bytes(m.payload)[8:] for m in end.take()]
        time.sleep(0.01)
    for end in ends.values():
        end.close()
    assert "imu (mpu6050, replayed from run.mcap)" in again.text
    again.end()
    for line in again.text.splitlines():  # a driver that asks by the age of what it has may differ
        assert "the driver says" not in line or "wheel" in line
    assert again.text.count("on can0, configured") or "wheel: ready" in again.text
    assert len(set(seen["beam"]) & set(was["beam"])) > 1
    places = {message: place for place, message in enumerate(was["imu"])}  # noise: each is another
    found = [places[message] for message in seen["imu"] if message in places]
    assert len(found) >= 30
    steps = [b - a for a, b in itertools.pairwise(found) if b > a]
    assert steps.count(1) > 0.8 * len(steps), found

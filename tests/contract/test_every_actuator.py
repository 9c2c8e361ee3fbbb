"""What every registered driver of something that moves must do, on its simulated twin."""

import json
import logging
import math
from pathlib import Path
from typing import Any

import pytest

from horus.bus import session
from horus.hal import Actuator
from horus.hal.backends.sim_can import SimCanConfig
from horus.hardware import lastwords
from horus.hardware.lastwords import BusAddress
from horus.hardware.node import DeviceState
from horus.msgs import MotorCommand
from horus.plugins import drivers

USES = [
    name
    for name, found in drivers().items()
    if found.plugin.package.startswith("horus ") and issubclass(found.load(), Actuator)
]
pytestmark = pytest.mark.parametrize("use", USES)
GO = MotorCommand(velocity=5.0)


@pytest.fixture
def bench(make_bench: Any, use: str) -> Any:
    made = make_bench(use)
    made.until(lambda: made.node.state is DeviceState.READY)
    return made


def resting(bench: Any) -> bool:
    return bool(bench.twin.truth()["at_rest"])


def moving(bench: Any) -> bool:
    return abs(bench.twin.truth()["velocity"]) > 1.0


def test_it_does_not_move_until_it_is_commanded(bench: Any) -> None:
    bench.run(2.0)
    assert resting(bench)
    assert bench.node.state is DeviceState.READY


def test_the_first_fresh_command_arms_it_and_it_follows(bench: Any) -> None:
    bench.run(2.0, GO)
    assert bench.node.state is DeviceState.ACTIVE
    assert bench.twin.truth()["velocity"] == pytest.approx(5.0, abs=0.3)
    assert bench.data.latest().velocity == pytest.approx(5.0, abs=0.3)


def test_a_command_that_is_not_refreshed_stops_it_and_is_said_once(
    bench: Any, caplog: pytest.LogCaptureFixture
) -> None:
    bench.run(1.0, GO)
    bench.run(0.2)
    assert bench.node.state is DeviceState.ACTIVE
    caplog.clear()
    bench.run(0.07)
    assert bench.node.state is DeviceState.READY
    bench.run(2.0)
    assert resting(bench)
    said = [r.getMessage() for r in caplog.records if "no command for 0.25 s" in r.getMessage()]
    assert len(said) == 1


def test_a_low_rate_does_not_delay_the_timeout(make_bench: Any, use: str) -> None:
    bench = make_bench(use, rate=1.0, command_timeout=0.1)
    assert bench.node.rate == 100.0


def test_a_new_command_arms_it_again(bench: Any) -> None:
    bench.run(1.0, GO)
    bench.run(1.0)
    bench.run(1.0, GO)
    assert moving(bench)


def test_a_command_older_than_the_timeout_is_never_used(bench: Any) -> None:
    for _ in range(100):
        bench.command(GO, age=0.3)
        bench.run(0.01)
    assert resting(bench)
    assert bench.node.state is DeviceState.READY
    assert bench.node.late == 100


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_nan_and_inf_never_reach_the_wire_and_do_not_keep_it_going(
    bench: Any, value: float, caplog: pytest.LogCaptureFixture
) -> None:
    wire = bench.wire.open()
    bench.run(1.0, GO)
    list(iter(wire.receive, None))
    bench.run(1.0, MotorCommand(velocity=value))
    sent = [f for f in iter(wire.receive, None) if not f.remote and not f.error]
    quiet = bytes.fromhex("0000C07F"), bytes.fromhex("0000807F"), bytes.fromhex("000080FF")
    assert sent
    assert not any(word in f.data for f in sent for word in quiet)
    assert bench.node.refused == 100
    assert resting(bench)
    said = [r for r in caplog.records if "command refused: velocity is" in r.getMessage()]
    assert len(said) == 1
    bench.run(1.0)
    assert "; 100 commands refused" in bench.status.latest().message


def test_nan_does_not_arm_it(bench: Any) -> None:
    bench.run(0.5, MotorCommand(torque=math.nan))
    assert bench.node.state is DeviceState.READY


def test_it_is_made_safe_when_it_is_found_though_it_was_moving(make_bench: Any, use: str) -> None:
    first = make_bench(use)
    first.until(lambda: first.node.state is DeviceState.READY)
    first.run(1.0, GO)
    first.node._ended = True  # its process dies without a word
    assert moving(first)
    first.node._ended = False
    first.node.state, first.node._generation = DeviceState.ABSENT, 0  # another one takes over
    first.until(lambda: first.node.state is DeviceState.READY)
    first.run(1.0)
    assert resting(first)


def test_commands_are_not_replayed_after_a_reconnect(bench: Any) -> None:
    bench.run(1.0, GO)
    bench.twin.unplug()
    bench.until(lambda: bench.node.state is DeviceState.FAULT)
    bench.command(GO)
    bench.twin.plug()
    bench.until(lambda: bench.node.state is DeviceState.READY, seconds=5.0)
    bench.run(1.0)
    assert resting(bench)
    assert bench.node.state is DeviceState.READY


def test_a_fault_makes_it_safe(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.run(1.0, GO)
    monkeypatch.setattr(bench.device.driver, "read", lambda self: 1 / 0)
    bench.run(2.0, GO)
    assert bench.node.state is not DeviceState.ACTIVE
    assert resting(bench)


def test_the_end_makes_it_safe_and_says_how_it_was_left(
    bench: Any, caplog: pytest.LogCaptureFixture
) -> None:
    bench.run(1.0, GO)
    assert moving(bench)
    with caplog.at_level(logging.INFO):
        bench.scheduler.stop()
    assert resting(bench)
    assert "stopped (0.00 rad/s, idle)" in caplog.text


def test_after_the_end_nothing_arms_it(bench: Any) -> None:
    bench.node.safe()
    bench.run(0.5, GO)
    assert resting(bench)


def test_an_end_at_which_it_does_not_answer_says_so(
    bench: Any, caplog: pytest.LogCaptureFixture
) -> None:
    bench.run(1.0, GO)
    bench.twin.silence()
    bench.scheduler.stop()
    assert "not seen at rest" in caplog.text


# last words -----------------------------------------------------------------------------------


@pytest.fixture
def run_folder(monkeypatch: pytest.MonkeyPatch) -> Path:
    made = session.new_session()
    monkeypatch.setenv("HORUS_SESSION_ID", made.id)
    return made.path


@pytest.fixture
def worded(make_bench: Any, use: str, run_folder: Path) -> Any:
    address = BusAddress("bus0", "udp", SimCanConfig(port=20_001))
    made = make_bench(use, address=address)
    made.until(lambda: made.node.state is DeviceState.READY)
    return made


def test_last_words_are_left_when_it_is_armed_and_taken_back_when_it_is_safe(
    worded: Any, run_folder: Path
) -> None:
    assert lastwords.pending() == []
    worded.run(0.5, GO)
    assert lastwords.pending() == ["device"]
    (file,) = (run_folder / lastwords.FOLDER).iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    worded.run(0.5)
    assert lastwords.pending() == []


def test_last_words_are_what_safe_sends(worded: Any, run_folder: Path) -> None:
    worded.run(0.5, GO)
    (file,) = (run_folder / lastwords.FOLDER).iterdir()
    frames = json.loads(file.read_text())["frames"]
    wire = worded.wire.open()
    worded.node._driver.safe()
    sent = [{"id": f.id, "data": f.data.hex(), "extended": f.extended} for f in wire._frames]
    assert frames == sent


def test_last_words_stay_when_it_cannot_be_made_safe(
    worded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    worded.run(0.5, GO)

    def broken(*_: Any) -> None:
        raise OSError("the wire is cut")

    monkeypatch.setattr(type(worded.node._driver.link), "send", broken)
    worded.scheduler.stop()
    assert lastwords.pending() == ["device"]

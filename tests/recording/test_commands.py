"""`horus record`, `replay` and `bag` as people and scripts use them."""

from __future__ import annotations

import csv
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from horus_plugins.recording.bag import VERSION, Bag

from horus.bus import Publisher, Subscriber
from horus.bus.leftovers import topic_ends
from horus.bus.session import topics_dir
from horus.cli.main import main
from horus.msgs import DeviceStatus, EmergencyStop, Imu, MotorCommand
from tests.recording.conftest import PATIENCE, Start, contents


def test_info_tells_topics_types_counts_and_losses(
    bag: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bag", "info", "--json", str(bag)]) == 0
    found = json.loads(capsys.readouterr().out)
    topics = {row["topic"]: row for row in found["topics"]}
    assert (topics["imu"]["type"], topics["imu"]["messages"], topics["imu"]["lost"]) == (
        "Imu",
        30,
        0,
    )
    # Of its own messages, whenever other topics began: 29 intervals of 10 ms.
    assert topics["imu"]["rate"] == pytest.approx(100)
    assert found["damage"] == ""
    assert main(["bag", "info", str(bag)]) == 0
    assert "wheel.command  MotorCommand" in capsys.readouterr().out


def test_export_writes_exact_numbers_with_units(bag: Path, tmp_path: Path) -> None:
    folder = tmp_path / "csv"
    assert main(["bag", "export", "csv", str(bag), "-o", str(folder), "--topics", "imu"]) == 0
    lines = (folder / "imu.csv").read_text().splitlines()
    assert lines[0].startswith("# Imu")
    assert "accel_z: m/s²" in lines[0]
    rows = list(csv.DictReader(lines[1:]))
    assert [float(row["accel_z"]) for row in rows] == [k + 0.25 for k in range(30)]
    assert rows[0]["frame"] == "imu_link"
    assert not (folder / "wheel.command.csv").exists()


def test_cut_keeps_a_span_and_topics_and_can_be_read_alone(bag: Path, tmp_path: Path) -> None:
    part = tmp_path / "part.mcap"
    words = ["--topics", "imu", "--start", "95ms", "--duration", "100ms"]
    assert main(["bag", "cut", str(bag), "-o", str(part), *words]) == 0
    found = Bag(part).summary()
    assert set(found.topics) == {"imu"}
    assert found.count == 10
    assert contents(Bag(part))["imu"] == contents(Bag(bag))["imu"][10:20]


def test_replay_into_a_session_with_new_names_keeps_the_order(
    bag: Path, run: str, imu: Publisher
) -> None:
    old = Subscriber("imu_old", Imu, depth=64)
    words = ["--topics", "imu", "--remap", "imu:=imu_old", "--speed", "4", "--wait", "0"]
    assert main(["replay", str(bag), "--session", run, *words]) == 0
    assert [m.accel_z for m in old.recv_all()] == [k + 0.25 for k in range(30)]


def test_replay_does_not_drive_a_live_robot_unless_told_to(
    bag: Path, run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    wheel = Subscriber("wheel.command", MotorCommand, depth=64)
    assert main(["replay", str(bag), "--session", run]) == 2
    assert "wheel.command would move it" in capsys.readouterr().err
    assert wheel.recv() is None
    sneaky = ["--topics", "imu", "--remap", "imu:=wheel.command"]
    assert main(["replay", str(bag), "--session", run, *sneaky]) == 2
    more = ["--allow-commands", "--wait", "0", "--speed", "10"]
    assert main(["replay", str(bag), "--session", run, *more]) == 0
    assert len(wheel.recv_all()) == 30


def test_replay_says_which_topics_have_a_publisher_in_the_run(
    bag: Path, run: str, imu: Publisher, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--topics", "imu", "--speed", "100", "--wait", "0"]
    assert main(["replay", str(bag), "--session", run, *words]) == 0
    assert "imu has a publisher in this run: its readers get both" in capsys.readouterr().err
    assert main(["replay", str(bag), "--session", run, *words, "--remap", "imu:=old"]) == 0
    assert "has a publisher" not in capsys.readouterr().err


def test_a_topic_that_is_not_there_is_named_and_recorded_when_it_comes(
    run: str, imu: Publisher, start: Start, tmp_path: Path
) -> None:
    recorder = start("record", "imo", "later", "*.stat", "-o", "run.mcap")
    recorder.wait_for("no topic '*.stat' here: it is recorded when it comes")
    assert "no topic 'imo' here (did you mean 'imu'?): it is recorded" in recorder.text
    later = Publisher("later", Imu)
    later.send(Imu(accel_z=1.0))
    deadline = time.monotonic() + PATIENCE
    while not topic_ends(topics_dir())["later"].readers and time.monotonic() < deadline:
        time.sleep(0.005)
    assert recorder.end() == 0
    assert "imo: no such topic came" in recorder.text
    assert "later: no such topic" not in recorder.text
    assert set(Bag(tmp_path / "run.mcap").summary().topics) == {"later"}


def test_where_nothing_came_the_status_says_so(run: str, imu: Publisher, start: Start) -> None:
    recorder = start("record", "imo", "-o", "none.mcap", "--duration", "0.1")
    assert recorder.popen.wait(PATIENCE) == 1
    assert "imo: no such topic came" in recorder.text


def test_replay_makes_a_session_of_its_own_and_loops(
    bag: Path, start: Start, shm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HORUS_SESSION_ID")
    replay = start("replay", "run.mcap", "--loop", "--speed", "20", "--wait", "0")
    replay.wait_for("in session ")
    session_id = replay.text.partition("in session ")[2][:11]
    monkeypatch.setenv("HORUS_SESSION_ID", session_id)
    end = Subscriber("wheel.command", MotorCommand, depth=100)
    seen: list[float] = []
    deadline = time.monotonic() + PATIENCE
    while seen.count(0.0) < 3 and time.monotonic() < deadline:
        seen += [m.velocity for m in end.recv_all()]
        time.sleep(0.001)
    assert seen.count(0.0) >= 3
    end.close()
    assert replay.end() == 0
    assert not (shm / "sessions" / session_id).exists()


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (["bag", "info", "rum.mcap"], 2, "there is no such file (did you mean 'run.mcap'?)"),
        (["bag", "info", "text.mcap"], 1, "is no MCAP file"),
        (["bag", "cut", "run.mcap"], 2, "-o part.mcap"),
        (["bag", "cut", "run.mcap", "-o", "run.mcap", "--force"], 2, "the recording itself"),
        (["bag", "cut", "run.mcap", "-o", "text.mcap"], 2, "exists"),
        (["bag", "export", "xml", "run.mcap"], 2, "export csv"),
        (["bag", "export", "csv", "run.mcap", "--topics", "imo"], 2, "did you mean 'imu'?"),
        (["replay", "run.mcap", "--topics", "imo"], 2, "did you mean 'imu'?"),
        (["replay", "run.mcap", "--remap", "imu=imu2"], 2, "OLD:=NEW"),
        (["replay", "run.mcap", "--speed", "0"], 2, "above 0"),
        (["record", "-o", "run.mcap"], 2, "run.mcap exists"),
        (["record", "-o", "no/such/folder.mcap"], 1, "cannot be written"),
        (["record", "--session", "nope"], 2, "no run 'nope'"),
        (["record", "--trigger"], 2, "no flight recorder runs"),
        (["record", "--duration", "soon"], 2, "is no time"),
        (["record", "--ring", "0"], 2, "'0': it must be above 0"),
        (["replay", "run.mcap", "--start", "1h"], 2, "s: nothing is after 3600 s"),
        (["bag", "cut", "run.mcap", "-o", "part.mcap", "--start", "1h"], 2, "nothing is after"),
    ],
)
def test_bad_input_is_one_line_and_a_status(
    bag: Path,
    words: list[str],
    status: int,
    text: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(bag.parent)
    (bag.parent / "text.mcap").write_text("this is no recording")
    before = bag.read_bytes()
    assert main(words) == status
    assert text in capsys.readouterr().err
    assert bag.read_bytes() == before


def test_another_version_of_the_format_is_named(
    bag: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = bag.read_bytes()
    old = b"\x07\0\0\0version\x01\0\0\x00" + str(VERSION).encode()
    assert data.count(old) == 1
    bag.write_bytes(data.replace(old, old[:-1] + b"9"))
    assert main(["bag", "info", str(bag)]) == 1
    assert "recorded in version 9" in capsys.readouterr().err


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_recorder_leaves_all_but_the_last_chunk(
    seed: int, imu: Publisher, start: Start, tmp_path: Path
) -> None:
    recorder = start("record", "-o", "run.mcap")
    recorder.wait_for("recording session")
    path = tmp_path / "run.mcap"
    until = time.monotonic() + 0.7 + random.Random(seed).random()
    while (now := time.monotonic()) < until or not Bag(path).summary().count:
        imu.send(Imu(accel_z=now))
        time.sleep(0.001)
    recorder.popen.kill()
    killed = time.monotonic()
    recorder.popen.wait()
    bag = Bag(path)
    payloads = contents(bag)["imu"]
    assert "it ends in the middle" in bag.damage
    last = np.frombuffer(payloads[-1][0][2], Imu.__horus_spec__.dtype)[0]  # type: ignore[attr-defined]
    # Half a second on a machine with time to spare; python -m tests.recording shows the figure.
    assert killed - float(last["accel_z"]) < 5.0


def test_a_full_disk_is_said_and_what_was_written_is_readable(
    run: str, start: Start, tmp_path: Path
) -> None:
    frames = Publisher("frames")
    recorder = start(
        "record",
        "-o",
        "run.mcap",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000)),
    )
    recorder.wait_for("recording session")
    source = np.random.default_rng(1)
    deadline = time.monotonic() + PATIENCE
    while recorder.popen.poll() is None and time.monotonic() < deadline:
        assert frames.send(source.integers(0, 255, 50_000, "u1"))
        time.sleep(0.02)
    assert recorder.popen.wait(PATIENCE) == 1
    assert "cannot be written any more: File too large" in recorder.text
    assert "Traceback" not in recorder.text
    bag = Bag(tmp_path / "run.mcap")
    assert bag.summary().count > 0


def test_the_flight_recorder_writes_the_last_moments_of_a_fault_and_an_emergency_stop(
    imu: Publisher, start: Start, tmp_path: Path
) -> None:
    status = Publisher("imu.status", DeviceStatus)
    estop = Publisher("estop", EmergencyStop)
    recorder = start("record", "--ring", "1s", "--after", "0.1s", "-o", "flight.mcap")
    recorder.wait_for("keeping the last 1 s")
    began = time.monotonic()
    while time.monotonic() - began < 2.5:
        imu.send(Imu(accel_z=time.monotonic() - began))
        time.sleep(0.002)
    status.send(DeviceStatus(name="imu", state="fault", message="FAULT: no answer"))
    recorder.wait_for("messages (fault of imu: FAULT: no answer)")
    estop.send(EmergencyStop(reason="arm too close"))
    recorder.wait_for("messages (emergency stop: arm too close)")
    os.kill(recorder.popen.pid, signal.SIGUSR1)
    recorder.wait_for("messages (asked for)")
    assert recorder.end() == 0
    found = contents(Bag(tmp_path / "flight.mcap"))
    assert len(found["imu.status"]) == 1
    spec = Imu.__horus_spec__  # type: ignore[attr-defined]
    first = np.frombuffer(found["imu"][0][0][2], spec.dtype)[0]["accel_z"]
    assert 0.5 < first < 2.4  # neither all of it nor only the end
    assert (tmp_path / "flight-2.mcap").exists()
    assert (tmp_path / "flight-3.mcap").exists()


def test_the_flight_recorder_notices_a_process_that_was_killed(
    imu: Publisher, start: Start, tmp_path: Path
) -> None:
    recorder = start("record", "--ring", "10s", "--after", "0.1s", "-o", "flight.mcap")
    recorder.wait_for("keeping the last")
    code = (
        "import time\nfrom horus.bus import Publisher\nend = Publisher('camera')\n"
        "while True:\n    end.send({'t': time.time()})\n    time.sleep(0.01)\n"
    )
    victim = subprocess.Popen([sys.executable, "-c", code])
    eye = Subscriber("camera")
    assert eye.wait(PATIENCE)
    time.sleep(0.3)
    victim.kill()
    victim.wait()
    recorder.wait_for("crash of the publisher of camera")
    recorder.wait_for("messages (crash")
    assert len(contents(Bag(tmp_path / "flight.mcap"))["camera"]) > 3

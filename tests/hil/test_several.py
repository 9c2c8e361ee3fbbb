"""The virtual rig in several machines: how it is divided, and that the whole is one run."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from horus.testing.report import merge, results
from horus.testing.rig import several
from horus.testing.rig.division import Part, divide
from horus.testing.rig.file import RigFile, load
from horus.testing.virtual import emulator
from horus.testing.virtual.errors import VirtualError
from horus.testing.virtual.fetch import Cache
from tests.hil.made_reports import full_report

RIG = """\
rig: {name: mine, kind: mock, allow: [motion]}
buses:
  i2c0: {use: i2c, device: /dev/i2c-0}
  i2c1: {use: i2c, device: /dev/i2c-1}
  behind: {use: tca9548a, parent: i2c1, address: 0x70, channel: 2}
  port: {use: serial, device: /dev/ttyUSB0}
  can_a: {use: socketcan, channel: vcan0}
  can_b: {use: socketcan, channel: vcan1}
hardware:
  power: {use: ina219, bus: i2c0}
  imu: {use: mpu6050, bus: i2c1}
  deep: {use: mpu6050, bus: behind, address: 0x69}
  arm: {use: feetech, bus: port, ids: [1], checks: [C1, C4]}
wires:
  pair: {kind: can-loopback, ends: [can_a, can_b]}
  known: {kind: i2c-known, bus: behind, address: 0x69, read: {reg: 0x75, value: 0x68}}
"""


@pytest.fixture
def rig(tmp_path: Path) -> RigFile:
    path = tmp_path / "rig.yaml"
    path.write_text(RIG)
    return load(path)


def rig_of_two_motors(folder: Path, wires: str = "") -> RigFile:
    """Return the rig with a motor at each end of its pair, and more wires."""
    motors = (
        "  one: {use: odrive, bus: can_a, node: 1}\n  two: {use: odrive, bus: can_b, node: 2}\n"
    )
    path = folder / "rig.yaml"
    path.write_text(RIG.replace("wires:", f"{motors}wires:{wires}"))
    return load(path)


def sets(parts: Sequence[Part]) -> list[set[str]]:
    return [set(part.names) for part in parts]


def test_what_shares_a_bus_is_in_one_machine_and_the_work_is_even(rig: RigFile) -> None:
    devices, wires = list(rig.devices), list(rig.wires)
    assert sets(divide(rig, devices, wires, 2)) == [
        {"imu", "deep", "known"},
        {"power", "arm", "pair"},
    ]
    assert sets(divide(rig, devices, wires, 1)) == [{*devices, *wires}]
    assert sets(divide(rig, devices, wires, 9)) == [
        {"imu", "deep", "known"},
        {"power"},
        {"arm", "pair"},
    ]
    assert sets(divide(rig, ["power"], [], 4)) == [{"power"}]


def test_a_wire_between_the_buses_of_devices_makes_them_one(tmp_path: Path) -> None:
    rig = rig_of_two_motors(tmp_path)
    parts = sets(divide(rig, list(rig.devices), list(rig.wires), 9))
    assert {"one", "two", "pair"} in parts
    assert sorted(name for part in parts for name in part) == sorted([*rig.devices, *rig.wires])


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        ((0, 0), 0),
        ((0, 5), 0),
        ((0, 1), 1),
        ((3, 1), 1),
        ((0, 3), 3),
        ((5, 5), 5),
        ((4, 5), 4),
        ((0, 2), 2),
        ((1, 130), 130),
        ((0, -9), -9),
    ],
)
def test_the_whole_ends_as_the_worst_of_its_parts(parts: tuple[int, ...], whole: int) -> None:
    assert merge.status(parts) == whole


CHECKS = """
from horus.testing import hil

@hil.check("C4")
def test_rate(device, figure):
    figure("rate", 99.5, "Hz", low=95.0, high=105.0)

@hil.check("C9")
def test_stale(device):
    assert device.name != WRONG, "it said that yesterday's value is new"

@hil.needs("can-loopback")
def test_a_frame_comes(wire):
    assert wire.ends == ("can_a", "can_b")

@hil.needs("serial-loopback")
def test_a_byte_comes(wire):
    assert wire
"""


class OnThisMachine:
    """Stands for a virtual machine: what it is told to run is run here."""

    def __init__(self, cache: object, shares: Sequence[Path]) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._killed = threading.Event()

    def __enter__(self) -> OnThisMachine:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def run(
        self, command: Sequence[str], out: Callable[[bytes], None], err: Callable[[bytes], None]
    ) -> int:
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
        )
        said, complained = self._process.communicate()
        for start in range(0, len(said), 7):  # as it comes: in pieces
            out(said[start : start + 7])
        err(complained)
        return self._process.returncode

    def kill(self) -> None:
        self._killed.set()
        if self._process is not None:
            self._process.kill()


class HasAll:
    """Stands for the cache of the virtual rig."""

    folder = Path("/nowhere")

    def lacks(self) -> str:
        return ""


@pytest.fixture
def run(
    rig: RigFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    monkeypatch.setattr(several, "Machine", OnThisMachine)
    monkeypatch.setattr(several, "Cache", HasAll)
    monkeypatch.setattr(several.bytecode, "prepare", lambda folder: folder)

    def pytest_command(named: str, words: Sequence[str]) -> list[str]:
        return [sys.executable, "-m", "pytest", "-q", "--rig", named, *words, "test_it.py"]

    monkeypatch.setattr(several.inside, "command", pytest_command)
    monkeypatch.chdir(tmp_path)

    def run(*words: str, wrong: str = "nobody") -> tuple[int, str]:
        (tmp_path / "test_it.py").write_text(CHECKS.replace("WRONG", repr(wrong)))
        status = several.run(rig, "rig.yaml", ["--hil-machines", "2", *words])
        said = capfd.readouterr()
        return status, said.out + said.err

    return run


def test_two_machines_are_one_run(run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    status, said = run("--hil-report", "out", "--junitxml=junit.xml", wrong="power")
    assert status == 1
    lines = said.splitlines()
    assert lines[:3] == [
        "2 machines at once:",
        "  [1] imu, deep, known",
        "  [2] power, arm, pair",
    ]
    assert sum(line.startswith("Devices ") for line in lines) == 1
    assert any(line.startswith("[2] ") and "yesterday" in line for line in lines)
    report = results.read(tmp_path / "out")
    assert [device.name for device in report.devices] == ["power", "imu", "deep", "arm"]
    assert report.verdict == "failed"
    found = {(result.check, result.device): result.status for result in report.checks}
    assert found == {
        **{("C4", name): "passed" for name in ("power", "imu", "deep", "arm")},
        **{("C9", name): "passed" for name in ("imu", "deep")},
        ("C9", "power"): "failed",
        ("C9", "arm"): "skipped",  # the file leaves it to another rig
        ("a frame comes", "pair"): "passed",
        ("a byte comes", "serial-loopback"): "skipped",  # there is no such wire
    }
    assert [figure.value for r in report.checks for figure in r.figures] == [99.5] * 4
    assert (tmp_path / "out" / "report.html").exists()
    suites = ElementTree.parse(tmp_path / "junit.xml").getroot().findall("testsuite")
    assert [suite.get("name") for suite in suites] == ["pytest 1", "pytest 2"]
    assert sum(int(suite.get("failures", "0")) for suite in suites) == 1


def test_a_part_whose_report_is_not_whole_is_no_pass(
    run: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Forgets(OnThisMachine):
        def __init__(self, cache: object, shares: Sequence[Path]) -> None:
            super().__init__(cache, shares)
            self.share = shares[0]

        def run(self, *words: Any, **more: Any) -> int:
            super().run(*words, **more)
            if self.share.name == "2":
                (self.share / results.FILE_NAME).write_text("{")
            return 0

    monkeypatch.setattr(several, "Machine", Forgets)
    status, said = run("--hil-report", "out")
    assert status == 1
    assert "what machine 2 found is not known" in said
    report = results.read(tmp_path / "out")
    assert report.verdict == "failed"
    assert {result.device for result in report.checks} >= {"imu", "deep"}


@pytest.fixture
def breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    class Breaks(OnThisMachine):
        def run(self, *words: Any, **more: Any) -> int:
            raise VirtualError("the virtual machine has ended")

    monkeypatch.setattr(several, "Machine", Breaks)


def test_of_a_run_that_breaks_no_older_report_is_left(
    run: Callable[..., tuple[int, str]], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    words = ("--hil-report", "out", "--junitxml", "junit.xml")
    assert run(*words)[0] == 0
    request.getfixturevalue("breaks")
    with pytest.raises(VirtualError):
        run(*words)
    report = results.read(tmp_path / "out")
    assert (report.verdict, report.checks) == ("failed", [])
    assert "has not ended" in report.reason
    assert not (tmp_path / "junit.xml").exists()


def test_a_junit_file_that_is_cut_off_is_an_error_in_the_whole(tmp_path: Path) -> None:
    good, cut = tmp_path / "good.xml", tmp_path / "cut.xml"
    good.write_text('<testsuites><testsuite name="pytest" tests="2" errors="0"/></testsuites>')
    cut.write_text('<testsuites><testsuite name="pyt')
    merge.junit({"1": good, "2": cut, "3": tmp_path / "none.xml"}, tmp_path / "all.xml")
    suites = ElementTree.parse(tmp_path / "all.xml").getroot().findall("testsuite")
    assert [suite.get("name") for suite in suites] == ["pytest 1", "pytest 2", "pytest 3"]
    assert [suite.get("errors") for suite in suites] == ["0", "1", "1"]
    assert suites[1].find("testcase/error") is not None


def test_of_a_test_that_ran_in_two_machines_the_worst_counts() -> None:
    def part(status: results.Status) -> results.Report:
        report = full_report("virtual")
        report.devices, report.faults = [], []
        report.checks = [results.CheckResult("own", "", "", "test_own.py::test_it", status)]
        return report

    for statuses in (("passed", "failed"), ("failed", "passed"), ("skipped", "failed")):
        whole = merge.merged([part(one) for one in statuses], [], 1, 0.0)
        assert [check.status for check in whole.checks] == ["failed"]


@pytest.mark.parametrize("word", ["-x", "-vx", "--maxfail=1", "test_it.py::test_rate"])
def test_what_is_for_one_machine_runs_in_one(
    run: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.setattr(several.inside, "run", lambda named, words: 42)
    assert run(word)[0] == 42


def test_an_emulator_that_is_killed_before_it_starts_does_not_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = emulator.Emulator(Cache(), [])
    monkeypatch.setattr(one, "_command", lambda: ["sleep", "60"])
    one.kill()
    one.start()
    assert one._process is not None
    assert one._process.wait(10) == -signal.SIGKILL
    one.close()


def test_two_wires_between_two_buses_are_in_one_part_once(tmp_path: Path) -> None:
    rig = rig_of_two_motors(tmp_path, "\n  again: {kind: can-loopback, ends: [can_b, can_a]}")
    names = [n for part in divide(rig, list(rig.devices), list(rig.wires), 9) for n in part.names]
    assert sorted(names) == sorted([*rig.devices, *rig.wires])


def test_it_is_compared_with_an_earlier_run(run: Callable[..., tuple[int, str]]) -> None:
    assert run("--hil-report", "before")[0] == 0
    status, said = run("--hil-baseline", "before", wrong="imu")
    assert status == 1
    assert "broke" in said


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--rig-device", "imy", "--rig-device", "legs"], "no such device (did you mean 'imu'?)"),
        (["--hil-machines", "0"], "must be a whole number above 0, not 0"),
        (["--rig-wire", "pear"], "no such wire (did you mean 'pair'?)"),
        (["--hil-report", "/proc/none"], "--hil-report /proc/none: cannot be written: "),
        (["--hil-baseline", "nowhere"], "--hil-baseline: nowhere: there is no such report"),
    ],
)
def test_wrong_words_are_told_before_a_machine_starts(
    run: Callable[..., tuple[int, str]], words: list[str], text: str
) -> None:
    status, said = run(*words)
    assert status == 2
    assert text in said
    assert "machines at once" not in said


def test_a_file_that_cannot_be_written_costs_nothing_but_itself(
    run: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    status, said = run("--junitxml", "file/junit.xml", "--hil-report", "out")
    assert status == 2
    assert "the report in file/junit.xml was not written: " in said
    assert results.read(tmp_path / "out").verdict == "passed"


def test_what_is_chosen_alone_is_divided(run: Callable[..., tuple[int, str]]) -> None:
    status, said = run("--rig-device", "imu", "--rig-device", "power", "--rig-wire", "known")
    assert status == 0
    assert said.splitlines()[1:3] == ["  [1] imu, known", "  [2] power"]


def test_a_machine_that_fails_ends_the_others(
    run: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str] = []

    class Breaks(OnThisMachine):
        def __init__(self, cache: object, shares: Sequence[Path]) -> None:
            super().__init__(cache, shares)
            self.name = shares[0].name

        def run(self, *words: object, **more: object) -> int:
            if self.name == "1":
                raise VirtualError("the virtual machine has ended")
            assert self._killed.wait(30)
            ended.append(self.name)
            raise VirtualError("it was killed")

    monkeypatch.setattr(several, "Machine", Breaks)
    with pytest.raises(VirtualError, match="the virtual machine has ended"):
        run()
    assert ended == ["2"]

"""How `horus hil run` ends: each refusal by itself, before anything moves, with what to do."""

from __future__ import annotations

import ctypes
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest
from horus_hil.checks.holding import taken_elsewhere

from horus.hal.checksums import crc16_xmodem
from horus.hal.ptyserial import PtyPort
from tests.hil.sysfs import Sysfs

ADDRESS, VERSION = 0x80, 21  # of the controller, and of its question that names the board
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2


class Controller:
    """A motor controller at the end of a pty that says its name and notes all that it is told."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.heard = b""
        self._end = PtyPort()
        self.port = self._end.path
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        question = bytes([ADDRESS, VERSION])
        answer = self.name.encode() + b"\n\0"
        answer += crc16_xmodem(question + answer).to_bytes(2, "big")
        while not self._stop.is_set():
            data = self._end.read(0.05)
            self.heard += data
            if data and self.heard.endswith(question):
                self._end.write(answer)

    @property
    def told(self) -> bytes:
        """Return what it heard beside questions for its name."""
        return self.heard.replace(bytes([ADDRESS, VERSION]), b"")

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._end.close()


class Ended(NamedTuple):
    """How a run ended."""

    status: int
    text: str
    verdict: str


@dataclass
class Bench:
    """A folder with a rig's file, and the files of a kernel."""

    folder: Path
    machine: Sysfs

    def rig(self, port: str, wheel: str = "use: roboclaw", allow: str = "motion") -> None:
        """Write the rig's file: one motor at a serial port."""
        (self.folder / "rig.yaml").write_text(
            f"rig: {{name: bench, kind: real, allow: [{allow}]}}\n"
            f"buses: {{line: {{use: serial, {port}}}}}\n"
            f"hardware: {{wheel: {{{wheel}, bus: line, motor: 1, counts_per_turn: 64}}}}\n"
        )

    def run(self, *arguments: str, before: Callable[[], None] | None = None) -> Ended:
        """Run `horus hil run` with these arguments."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HORUS_RIG", "PYTEST_"))}
        done = subprocess.run(
            [sys.executable, "-m", "horus.cli", "hil", "run", *arguments],
            cwd=self.folder,
            env={**kept, "HORUS_HIL_SYSTEM": str(self.machine.root)},
            preexec_fn=before,
            capture_output=True,
            text=True,
            timeout=600,
        )
        report = self.folder / "out/report.json"
        verdict = json.loads(report.read_text())["verdict"] if report.exists() else ""
        return Ended(done.returncode, done.stdout + done.stderr, verdict)

    def refused(self, *arguments: str, before: Callable[[], None] | None = None) -> str:
        """Run it on the rig, which must not be ready; return what is said."""
        ended = self.run("rig.yaml", "--allow", "motion", *arguments, before=before)
        assert ended.status == 3, ended.text
        assert "the rig is not ready; nothing was moved:" in ended.text
        assert not re.search(r"\d+ (passed|failed|skipped)", ended.text)
        assert "Traceback" not in ended.text
        return ended.text


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, Sysfs(tmp_path / "root"))


@pytest.fixture
def controller(request: pytest.FixtureRequest) -> Iterator[Controller]:
    made = Controller(getattr(request, "param", "USB Roboclaw 2x15a v4.1.34"))
    yield made
    made.close()


def without_privileges() -> None:
    """Let root's process, too, be asked for permission; others are asked anyway."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


def test_no_permission_is_3(bench: Bench) -> None:
    port = bench.folder / "ttyUSB0"
    port.touch(mode=0o000)
    asked = [sys.executable, "-c", f"import os; print(os.access({str(port)!r}, os.R_OK))"]
    seen = subprocess.run(asked, preexec_fn=without_privileges, stdout=subprocess.PIPE, text=True)
    if seen.stdout.strip() != "False":
        pytest.skip("this user is let in everywhere and cannot give that up")
    bench.rig(f"device: {port}")
    said = bench.refused("--hil-report", "out", before=without_privileges)
    assert f"line: {port} may not be opened by " in said
    assert "usermod" in said or "chmod" in said or "udev" in said
    assert json.loads((bench.folder / "out/report.json").read_text())["verdict"] == "not ready"


def test_a_missing_adapter_is_3(bench: Bench) -> None:
    bench.machine.serial("ttyUSB0", bench.machine.usb("1-1.4", "1a86:7523"))
    bench.rig('match: {usb: "0403:6001"}')
    said = bench.refused()
    assert "line: no serial port here is {usb: 0403:6001}: plug it in, or correct match:" in said
    assert "usb is 1a86:7523, not 0403:6001" in said


def test_two_adapters_that_both_match_are_3(bench: Bench) -> None:
    for number, serial in enumerate(("FT8WJPE3", "FT9XKQF4")):
        usb = bench.machine.usb(f"1-1.{3 + number}", "0403:6001", serial)
        bench.machine.serial(f"ttyUSB{number}", usb)
    bench.rig('match: {usb: "0403:6001"}')
    said = bench.refused()
    assert "line: 2 are {usb: 0403:6001}: " in said
    assert "ttyUSB0" in said
    assert "ttyUSB1" in said
    assert re.search(r"add (path or serial|serial or path|serial|path) to match:", said)


@pytest.mark.parametrize("controller", ["Sabertooth 2x32"], indirect=True)
def test_another_device_at_the_address_is_3(bench: Bench, controller: Controller) -> None:
    bench.rig(f"device: {controller.port}")
    said = bench.refused()
    assert "wheel on line: " in said
    assert "calls itself 'Sabertooth 2x32' and not a RoboClaw" in said
    assert controller.heard, "nobody was asked"
    assert controller.told == b"", "it was told something"


def test_nobody_at_the_address_is_3(bench: Bench, controller: Controller) -> None:
    bench.rig(f"device: {controller.port}", "use: roboclaw, address: 0x81")
    said = bench.refused()
    assert "wheel on line: no roboclaw answers at 0x81 motor 1" in said
    assert "is it powered, wired to this bus, and set to this address" in said


@pytest.mark.parametrize(
    ("place", "who"), [("rig serial:{}", "rig other"), ("serial:{}", "left_wheel")]
)
def test_a_held_lock_is_3(bench: Bench, controller: Controller, place: str, who: str) -> None:
    from horus.hal.backends.serial_port import SerialPortConfig
    from horus.hardware.claims import place_of

    bench.rig(f"device: {controller.port}")
    whole = place_of("serial", SerialPortConfig(device=controller.port))
    place = place.replace("serial:{}", whole)
    with taken_elsewhere(place, who, whole=True) as pid:
        said = bench.refused()
    assert f"is in use by {who} of " in said
    assert f"(pid {pid})" in said
    assert controller.heard == b""


def test_a_hazard_that_the_file_does_not_allow_is_4(bench: Bench, controller: Controller) -> None:
    bench.rig(f"device: {controller.port}", allow="")
    ended = bench.run("rig.yaml", "--allow", "motion", "--hil-report", "out")
    assert (ended.status, ended.verdict) == (4, "hazard refused"), ended.text
    assert "--allow motion: rig.yaml does not allow it: something moves." in ended.text
    assert "rig: {allow: [motion]}" in ended.text
    assert controller.heard == b""


def test_a_hazard_that_the_command_line_does_not_allow_is_4(
    bench: Bench, controller: Controller
) -> None:
    bench.rig(f"device: {controller.port}")
    ended = bench.run("rig.yaml", "-k", "c12 or c11", "-rs", "--hil-report", "out")
    assert (ended.status, ended.verdict) == (4, "hazard refused"), ended.text
    assert "something moves: only with --allow motion" in ended.text
    assert controller.told == b"", "it was told something"


MOCK = """\
rig: {kind: mock}
buses: {i2c0: {use: i2c, device: /dev/i2c-0}}
hardware: {imu: {use: mpu6050, bus: i2c0}}
"""


def test_a_run_in_which_everything_was_skipped_is_5(bench: Bench) -> None:
    (bench.folder / "mock.yaml").write_text(MOCK)
    ended = bench.run("mock.yaml", "-k", "c12", "--hil-report", "out")
    assert (ended.status, ended.verdict) == (5, "nothing ran"), ended.text
    assert "Nothing ran" in ended.text
    assert "That is not a pass" in ended.text
    assert bench.run("mock.yaml", "-k", "no_such_check").status == 5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "RIG comes first, such as: horus hil run mock"),
        (["--allow", "motion", "rig.yaml"], "usage: horus hil run RIG [options of pytest]"),
        (["no-such-file.yaml"], "no-such-file.yaml"),
        (["wrong.yaml"], "wrong.yaml:1: rig.kind: unknown: reel (did you mean real?)"),
        (["rig.yaml", "--no-such-option"], "--no-such-option"),
        (["rig.yaml", "--allow", "motoin"], "there is no such hazard (did you mean 'motion'?)"),
        (["rig.yaml", "--rig-device", "weel"], "has no such device (did you mean 'wheel'?)"),
        (["rig.yaml", "-n", "2"], "run without -n"),
        (["rig.yaml", "--hil-baseline", "none.json"], "--hil-baseline: "),
    ],
)
def test_a_wrong_command_line_or_file_is_2(
    bench: Bench, controller: Controller, arguments: list[str], said: str
) -> None:
    bench.rig(f"device: {controller.port}")
    (bench.folder / "wrong.yaml").write_text("rig: {kind: reel}\n")
    ended = bench.run(*arguments)
    assert ended.status == 2, ended.text
    assert said in ended.text
    assert "Traceback" not in ended.text
    assert controller.heard == b""

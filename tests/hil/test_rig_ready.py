"""Whether a rig is as its file says, before anything on it moves."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from horus.hal.simi2c import SimI2cBus
from horus.hardware import worker
from horus.hardware.claims import place_of
from horus.testing.bench import device_entry
from horus.testing.rig import ready
from horus.testing.rig.file import RigFile, load
from tests.hil.sysfs import Sysfs

RIG = """\
rig: {name: bench, kind: real, allow: [motion]}
buses:
  i2c0: {use: i2c, match: {path: fe804000.i2c}}
hardware:
  imu: {use: mpu6050, bus: i2c0}
"""


@pytest.fixture
def machine(tmp_path: Path) -> Sysfs:
    made = Sysfs(tmp_path / "root")
    made.i2c(1, "bcm2835", "fe804000.i2c")
    return made


@pytest.fixture
def rig(tmp_path: Path) -> RigFile:
    path = tmp_path / "rig.yaml"
    path.write_text(RIG)
    return load(path)


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Put twins on the I2C bus in the place of real chips; yield what adds one."""
    bus = SimI2cBus("i2c0", time.monotonic_ns)
    writes: list[bytes] = []

    def add(use: str, **options: Any) -> Any:
        entry = device_entry(use, **options)
        assert entry.driver.twin is not None
        twin: Any = entry.driver.twin(entry.config)
        bus.attach(twin)
        transfer = twin.transfer

        def watched(write: bytes, read: int) -> bytes:
            if not read:
                writes.append(write)
            found: bytes = transfer(write, read)
            return found

        twin.transfer = watched
        return twin

    monkeypatch.setattr(worker, "real_bus", lambda entry: bus)
    yield add
    assert writes == [], "something was written"


def look(rig: RigFile, machine: Sysfs) -> ready.Readiness:
    found = ready.look(rig, rig.devices, machine.root, patience=0.2)
    found.release()
    return found


def test_a_rig_on_which_all_is_as_it_should_be_is_ready(
    rig: RigFile, machine: Sysfs, plugged: Any
) -> None:
    plugged("mpu6050")
    found = look(rig, machine)
    assert found.problems == []
    assert list(found.identities) == ["imu"]
    assert found.rig.robot.buses["i2c0"].resource == str(machine.root / "dev/i2c-1")


def test_a_missing_adapter_is_told_with_what_is_there(rig: RigFile, machine: Sysfs) -> None:
    rig = replace(rig, matches={"i2c0": {"path": "1-1.2"}})
    (problem,) = look(rig, machine).problems
    assert problem.startswith("i2c0: no I2C adapter here is {path: 1-1.2}: plug it in")
    assert "path is fe804000.i2c, not 1-1.2" in problem


def test_two_adapters_that_both_match_are_told(rig: RigFile, machine: Sysfs) -> None:
    machine.i2c(2, "bcm2835", "fe805000.i2c")
    rig = replace(rig, matches={"i2c0": {"adapter": "bcm2835"}})
    (problem,) = look(rig, machine).problems
    assert problem.startswith("i2c0: 2 are {adapter: bcm2835}: ")
    assert problem.endswith("add path to match:")


def test_without_permission_the_cure_is_named(
    rig: RigFile, machine: Sysfs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    (problem,) = look(rig, machine).problems
    assert "dev/i2c-1 may not be opened by" in problem
    assert "udev rule" in problem or "usermod" in problem


def test_nobody_at_an_address_is_told(rig: RigFile, machine: Sysfs, plugged: Any) -> None:
    (problem,) = look(rig, machine).problems
    assert problem.startswith("imu on i2c0: nothing answers at address 0x68: check its power")


def test_another_device_at_an_address_is_told_and_nothing_is_written_to_it(
    rig: RigFile, machine: Sysfs, plugged: Any
) -> None:
    plugged("icm20948", address=0x68)
    (problem,) = look(rig, machine).problems
    assert problem.startswith("imu on i2c0: ")
    assert "the device that answers has identity 0x00; an MPU-6050 has 0x68" in problem


_HOLD = """\
import sys
from horus.hardware.claims import Claims
Claims(sys.argv[1], whole=sys.argv[2] == "whole").take(sys.argv[3], sys.argv[4:])
print("held", flush=True)
sys.stdin.read()
"""


def hold(*arguments: str) -> subprocess.Popen[str]:
    """Start a process that holds a place."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def place(rig: RigFile, machine: Sysfs) -> str:
    entry = rig.robot.buses["i2c0"]
    config: Any = entry.config
    return place_of(entry.use, replace(config, device=str(machine.root / "dev/i2c-1")))


def test_a_rig_that_another_run_has_locked_is_told_by_whom(
    rig: RigFile, machine: Sysfs, plugged: Any
) -> None:
    plugged("mpu6050")
    with hold(f"rig {place(rig, machine)}", "whole", "rig other") as process:
        (problem,) = look(rig, machine).problems
        assert "is in use by rig other of " in problem
        assert f"(pid {process.pid})" in problem
        process.communicate("")
    assert look(rig, machine).problems == []


def test_a_device_that_a_robot_uses_is_told_by_whom(
    rig: RigFile, machine: Sysfs, plugged: Any
) -> None:
    plugged("mpu6050")
    with hold(place(rig, machine), "no", "head_imu", "0x68") as process:
        (problem,) = look(rig, machine).problems
        assert "0x68 is in use by head_imu of " in problem
        assert f"(pid {process.pid})" in problem
        process.communicate("")


def test_an_adapter_that_was_given_back_may_take_a_while_to_appear(
    rig: RigFile, machine: Sysfs, plugged: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugged("mpu6050")
    looks: list[str] = []
    find = ready.matching.find

    def appears(use: str, match: Any, root: Path) -> Any:
        looks.append(use)
        if len(looks) < 3:
            raise ready.matching.MatchError("no I2C adapter here")
        return find(use, match, root)

    monkeypatch.setattr(ready.matching, "find", appears)
    back = {"i2c0": time.monotonic() + 60.0}
    found = ready.look(rig, rig.devices, machine.root, patience=0.2, back=back)
    found.release()
    assert found.problems == []
    assert len(looks) == 3
    looks.clear()
    assert len(look(rig, machine).problems) == 1, "nobody gave it back"


def test_what_is_missing_is_told_in_the_order_of_the_file(machine: Sysfs, tmp_path: Path) -> None:
    rig_file = tmp_path / "several.yaml"
    rig_file.write_text(
        RIG.replace("fe804000", "gone").replace(
            "hardware:\n",
            "  port: {use: serial, match: {usb: '0403:6001'}}\n"
            "  can_a: {use: socketcan, match: {path: gone}}\n"
            "hardware:\n"
            "  wheel: {use: odrive, bus: can_a, node: 1}\n  fix: {use: nmea, bus: port}\n",
        )
    )
    problems = look(load(rig_file), machine).problems
    assert [problem.split(":")[0] for problem in problems] == ["i2c0", "port", "can_a"]

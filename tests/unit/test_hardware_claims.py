"""Places on real buses are taken by one process at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from horus.bus import leftovers
from horus.hal import DeviceFault, FaultKind
from horus.hal.backends.i2c_dev import I2cDevConfig
from horus.hal.backends.socketcan import SocketCanConfig
from horus.hardware import claims
from horus.hardware.claims import Claims, place_of
from horus.hardware.node import DeviceState

HOLD = """\
import sys
from horus.hardware.claims import Claims
Claims(sys.argv[1], whole=len(sys.argv) == 2).take("left_wheel", sys.argv[2:])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds 0x40 and 0x41 of a bus."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, "/dev/i2c-7", "0x40", "0x41"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_place_that_another_process_holds_is_busy_and_the_holder_named(
    holder: subprocess.Popen[str],
) -> None:
    with pytest.raises(DeviceFault) as caught:
        Claims("/dev/i2c-7").take("arm", ["0x40"])
    assert caught.value.kind is FaultKind.BUSY
    assert str(caught.value).startswith("/dev/i2c-7@0x40 is in use by left_wheel of `-c /dev/i2c-7")
    assert f"(pid {holder.pid})" in str(caught.value)


def test_other_places_and_other_buses_are_free(holder: subprocess.Popen[str]) -> None:
    Claims("/dev/i2c-7").take("arm", ["0x42"])
    Claims("/dev/i2c-8").take("arm", ["0x40"])


def test_a_killed_holder_holds_nothing(holder: subprocess.Popen[str]) -> None:
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    Claims("/dev/i2c-7").take("arm", ["0x40", "0x41"])


def test_what_is_released_is_free_and_leaves_no_file(shm: Path) -> None:
    first, second = Claims("can0"), Claims("can0")
    first.take("wheel", ["3"])
    first.take("wheel", ["3"])  # found again after a fault
    with pytest.raises(DeviceFault, match="can0@3 is in use by wheel of"):
        second.take("other", ["3"])
    first.release()
    second.take("other", ["3"])
    second.release()
    assert not list((shm / leftovers.CLAIMS).iterdir())


def test_a_serial_port_is_one_place_for_all_devices_of_a_process() -> None:
    port = Claims("/dev/ttyUSB7", whole=True)
    port.take("arm", ["1"])
    port.take("gripper", ["2"])
    with pytest.raises(DeviceFault, match="/dev/ttyUSB7 is in use by arm of"):
        Claims("/dev/ttyUSB7", whole=True).take("other", ["3"])


def test_horus_clean_removes_files_that_nobody_holds(
    holder: subprocess.Popen[str], shm: Path
) -> None:
    leftovers.clean()
    assert len(list((shm / leftovers.CLAIMS).iterdir())) == 2
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    leftovers.clean()
    assert not (shm / leftovers.CLAIMS).exists()


def test_a_holder_that_did_not_say_who_it_is_is_still_named(
    holder: subprocess.Popen[str],
) -> None:
    for path in claims.folder().iterdir():
        os.truncate(path, 0)
    with pytest.raises(DeviceFault, match=rf"in use by .*\(pid {holder.pid}\)"):
        Claims("/dev/i2c-7").take("arm", ["0x41"])


def test_a_place_has_one_name(tmp_path: Path) -> None:
    node = tmp_path / "i2c-5"
    node.touch()
    link = tmp_path / "sensors"
    link.symlink_to(node)
    assert place_of("i2c", I2cDevConfig(device=str(link))) == os.path.realpath(node)
    assert place_of("socketcan", SocketCanConfig(channel="can0")) == "can0"


def test_a_device_that_another_program_uses_is_in_fault_until_it_is_given_back(
    make_bench: Any,
) -> None:
    other = Claims("/dev/i2c-7")
    other.take("imu", ["0x68"])
    bench = make_bench("mpu6050")
    bench.bus.claims = Claims("/dev/i2c-7")
    bench.run(0.5)
    assert bench.node.state is DeviceState.FAULT
    assert "/dev/i2c-7@0x68 is in use by imu of" in bench.status.latest().message
    other.release()
    bench.until(lambda: bench.node.state is DeviceState.ACTIVE)
    with pytest.raises(DeviceFault, match="in use by device of"):
        other.take("imu", ["0x68"])
    bench.bus.close()
    other.take("imu", ["0x68"])

"""The virtual machine itself: ``pytest -m virtual``, after ``horus hil virtual --fetch``."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from horus.testing.virtual.fetch import Cache
from horus.testing.virtual.machine import Machine

LACKS = Cache().lacks()
pytestmark = [pytest.mark.virtual, pytest.mark.skipif(bool(LACKS), reason=LACKS)]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def machine(shared: Path) -> Iterator[Machine]:
    with Machine(shares=[shared]) as machine:
        yield machine


def python(machine: Machine, code: str) -> list[str]:
    """Run a program on the host's own Python in the machine; return its lines."""
    out, err = bytearray(), bytearray()
    status = machine.run([sys.executable, "-c", code], out=out.extend, err=err.extend, timeout=300)
    assert status == 0, err.decode()
    return out.decode().splitlines()


def test_a_command_runs_on_this_python_and_returns_its_status(machine: Machine) -> None:
    assert python(machine, "import sys; print(sys.prefix)") == [sys.prefix]
    out, err = bytearray(), bytearray()
    command = ["sh", "-c", "echo said; echo complained >&2; pwd; exit 41"]
    status = machine.run(command, out=out.extend, err=err.extend, folder=Path("/usr"))
    assert (status, bytes(out), bytes(err)) == (41, b"said\n/usr\n", b"complained\n")


def test_only_what_is_shared_can_be_changed(machine: Machine, shared: Path, tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
for folder in ({str(shared)!r}, {str(tmp_path)!r}):
    Path(folder, "written").write_text("here")
    print(Path(folder, "written").read_text())
"""
    assert python(machine, code) == ["here", "here"]
    assert (shared / "written").read_text() == "here"
    assert not (tmp_path / "written").exists()


def test_its_hardware_is_there(machine: Machine) -> None:
    code = """
import glob, os
from serial.tools.list_ports import comports
print(*sorted(os.path.basename(os.path.realpath(f"/sys/class/net/{n}/device"))
              for n in os.listdir("/sys/class/net") if n.startswith("can")))
print(*[f"{p.device} {p.vid:04x}:{p.pid:04x} {p.serial_number}" for p in comports() if p.vid])
print(*[open(f).read().strip() for f in glob.glob("/sys/class/i2c-dev/*/name")])
print(*[os.path.exists(f) for f in ("/dev/ttyS1", "/dev/cuse")])
"""
    assert python(machine, code) == [
        "0000:00:04.0 0000:00:05.0 0000:00:08.0 0000:00:09.0",
        "/dev/ttyUSB0 0403:6001 HORUS001",
        "SMBus PIIX4 adapter at 0700",
        "True True",
    ]


def test_an_adapter_is_pulled_out_and_put_in_again_from_inside(machine: Machine) -> None:
    code = """
import os, time
from horus.testing.virtual.guest import plug, unplug
PLACES = "/sys/bus/pci/devices/0000:00:04.0", "/dev/ttyUSB0"
def wait(wanted):
    deadline = time.monotonic() + 120
    while [os.path.exists(place) for place in PLACES] != [wanted] * 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    print(wanted)
wait(True)
unplug("can_a"); unplug("usb")
wait(False)
plug("can_a"); plug("usb")
wait(True)
try:
    unplug("moon")
except OSError as error:
    print(error)
"""
    *seen, refusal = python(machine, code)
    assert seen == ["True", "False", "True"]
    assert refusal.startswith("the virtual machine has no moon")


def test_nothing_is_left_when_the_program_is_killed(
    tmp_path: Path, wait_for: Callable[..., None]
) -> None:
    code = """
from horus.testing.virtual.machine import Machine
machine = Machine()
machine.start()
print(machine._emulator._process.pid, flush=True)
machine.run(["sleep", "1000"])
"""
    before = {path.name for path in Path("/dev/shm").iterdir()}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        emulator = Path(f"/proc/{int(process.stdout.readline())}")
        process.send_signal(signal.SIGKILL)

    def gone() -> bool:
        try:
            return "\nState:\tZ" in (emulator / "status").read_text()
        except OSError:
            return True

    wait_for(gone)
    left = {path.name for path in Path("/dev/shm").iterdir()} - before
    assert not [name for name in left if not name.startswith(("horus-", "sem."))], json.dumps(
        [*left]
    )

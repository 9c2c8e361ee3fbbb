"""What makes a virtual machine a rig, as far as it needs no machine."""

from __future__ import annotations

import contextlib
import importlib.machinery
import importlib.util
import os
import py_compile
import select
import shutil
import struct
import subprocess
import sys
import tty
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from horus.hal.can import CanFrame
from horus.hal.faults import DeviceFault, FaultKind
from horus.hal.localcan import CanWire, LocalCan
from horus.testing.rig import choice
from horus.testing.rig.command import checks_folder
from horus.testing.rig.faults import MeansError, qmp
from horus.testing.rig.live_faults import WiredFaults
from horus.testing.rig.under_test import Journal
from horus.testing.virtual import bytecode, canup, forked, guest, hardware, inside, twins
from horus.testing.virtual.errors import VirtualError


def test_the_rig_names_only_what_is_in_the_machine() -> None:
    chosen = choice.find("virtual")
    rig = chosen.rig
    assert (chosen.how, rig.kind) == (choice.LIVE, "virtual")
    slots = {hardware.slot(name) for name in hardware.PLUGGABLE if name.startswith("can")}
    assert {match["path"] for match in rig.matches.values() if "path" in match} == slots - {
        hardware.slot("can_b")  # where the twins are
    }
    assert rig.matches["usb"]["serial"] == hardware.USB_SERIAL
    uses = {device.entry.use for device in rig.devices.values()}
    assert {"mpu6050", "ina219", "odrive", "feetech", "nmea"} <= uses
    for device in ("left", "right", "gnss"):
        means = rig.means_for(device, "unplug")
        assert means is not None
        assert means.by == "qmp"


def test_outside_the_machine_plain_pytest_says_how_it_is_run(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it(device): pass\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rig", "virtual"]
    done = subprocess.run([*command, str(tmp_path)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 3
    assert "horus hil run virtual" in done.stdout + done.stderr


def test_what_a_run_writes_is_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["-k", "imu", "--hil-report", "out", "--junitxml=xml/junit.xml", "-x"]
    assert inside.written(words) == [tmp_path / "out", tmp_path / "xml"]
    assert inside.written(["-x"]) == []


def test_a_run_where_nothing_was_fetched_is_not_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from horus.cli.main import main as horus

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert horus(["hil", "run", "virtual"]) == 3
    assert "virtual" in capfd.readouterr().err


class _Asked:
    """The one who runs the machine."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        self.refuses = False
        for what in ("plug", "unplug"):
            monkeypatch.setattr(guest, what, lambda name, what=what: self.ask(f"{what} {name}"))

    def ask(self, what: str) -> None:
        if self.refuses:
            raise VirtualError("the virtual machine has ended")
        self.done.append(what)


def test_hardware_is_put_back_once_and_only_if_it_was_pulled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = _Asked(monkeypatch)
    plug = qmp.QmpPlug("can_a", qmp.QmpOptions(name="can_a"))
    plug.restore()
    plug.cut()
    plug.restore()
    plug.restore()
    assert asked.done == ["unplug can_a", "plug can_a"]
    asked.refuses = True
    with pytest.raises(MeansError, match="can_a: the virtual machine has ended"):
        plug.cut()


def test_a_twin_is_unplugged_with_its_adapter_where_there_is_a_means(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = _Asked(monkeypatch)
    journal, told = Journal(), []
    breaker = qmp.QmpPlug("usb", qmp.QmpOptions(name="usb"))
    send: Any = lambda kind, value: told.append(kind)  # noqa: E731
    with_means = WiredFaults("gnss", journal, send, {"unplug": breaker})
    with_means.unplug()
    with_means.nak(0.1)
    with_means.clear()
    assert asked.done == ["unplug usb", "plug usb"]
    assert told == ["nak", "clear"]
    assert [(fault.kind, fault.undone) for fault in journal.faults] == [
        ("unplug", True),
        ("nak 0.1", True),
    ]
    without = WiredFaults("imu", journal, send, {})
    without.unplug()
    without.clear()
    assert told[2:4] == ["unplug", "plug"]


def interface(folder: Path, name: str, slot: str) -> None:
    device = folder / "devices" / slot
    device.mkdir(parents=True)
    (folder / "net" / name).mkdir(parents=True)
    (folder / "net" / name / "device").symlink_to(device)


def test_twins_are_on_the_adapter_at_the_other_end(tmp_path: Path) -> None:
    interface(tmp_path, "can1", hardware.slot("can_a"))  # plugged in again, it came second
    with pytest.raises(VirtualError, match="can_b, its other end, is not plugged in"):
        twins.other_adapter("can1", tmp_path / "net")
    interface(tmp_path, "can0", hardware.slot("can_b"))
    assert twins.other_adapter("can1", tmp_path / "net") == "can0"
    with pytest.raises(VirtualError, match="vcan0 is none of the machine's CAN adapters"):
        twins.other_adapter("vcan0", tmp_path / "net")


def test_outside_the_machine_there_are_no_lines() -> None:
    with pytest.raises(VirtualError, match="/dev/ttyUSB7 is none of the machine's serial lines"):
        twins.line_of("/dev/ttyUSB7")
    with pytest.raises(VirtualError, match="horus hil virtual"):
        guest.unplug("can_a")


def test_a_bit_rate_is_set_as_netlink_has_it() -> None:
    """Written out by hand, from linux/if_link.h and linux/can/netlink.h."""
    message = canup.bit_rate(3, bitrate=250_000, restart_ms=10)
    length, kind, flags, _, _ = struct.unpack_from("=IHHII", message)
    assert (length, kind, flags) == (len(message), 16, 5)
    assert message[16:32] == struct.pack("=BxHiII", 0, 0, 3, 0, 0)
    can = "3c00 1200" + "0800 0100 63616e00" + "3000 0200" + "2400 0100" + "90d00300" + "00" * 28
    assert message[32:] == bytes.fromhex(can + "0800 0600 0a000000")
    up, down = canup.switch(3, True), canup.switch(3, False)
    assert up[16:] == struct.pack("=BxHiII", 0, 0, 3, 1, 1)
    assert down[16:] == struct.pack("=BxHiII", 0, 0, 3, 0, 1)


def test_modules_are_compiled_beforehand_and_again_when_they_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "robotpack" / "it.py"
    source.parent.mkdir()
    (source.parent / "__init__.py").touch()
    source.write_text("answer = 41\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(bytecode, "PACKAGES", ("robotpack", "no_such_pack"))
    place = bytecode.prepare(tmp_path / "compiled")
    own = Path(importlib.util.cache_from_source(str(source)))
    made = place / own.relative_to("/")
    first = made.stat().st_mtime_ns
    bytecode.prepare(place)
    assert made.stat().st_mtime_ns == first
    source.write_text("answer = 42 + 0\n")
    bytecode.prepare(place)
    loader = importlib.util.spec_from_file_location("it", made)
    assert loader is not None
    code = made.read_bytes()
    assert code[12:16] == struct.pack("<I", source.stat().st_size)
    os.unlink(made)  # noqa: PTH108
    py_compile.compile(str(source), str(own), doraise=True)
    bytecode.prepare(place)
    assert not made.exists()  # Python's own is as good


def test_the_checks_are_compiled_as_pytest_needs_them_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = tmp_path / "suite"
    shutil.copytree(checks_folder(), suite, ignore=shutil.ignore_patterns("__pycache__"))
    spec = importlib.machinery.ModuleSpec("horus_hil.checks", None, is_package=True)
    spec.submodule_search_locations = [str(suite)]
    monkeypatch.setattr(bytecode, "PACKAGES", ())
    monkeypatch.setattr(bytecode, "find_spec", lambda _: spec)
    asked = []

    def compiled(folder: Path, end: str) -> None:
        asked.append(end)
        for source in suite.glob("test_*.py"):
            made = folder / suite.relative_to("/") / "__pycache__" / f"{source.stem}{end}"
            py_compile.compile(
                str(source),
                str(made),
                invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH,
            )

    monkeypatch.setattr(bytecode, "_have_pytest_compile", compiled)
    place = bytecode.prepare(tmp_path / "compiled")
    bytecode.prepare(place)
    assert asked == [f".{sys.implementation.cache_tag}-pytest-{pytest.__version__}.pyc"]
    with (suite / "test_c01_identity.py").open("a") as file:
        file.write("# changed\n")
    bytecode.prepare(place)
    assert len(asked) == 2


def test_pytest_compiles_the_checks_into_a_folder_beside_the_files(tmp_path: Path) -> None:
    end = f".{sys.implementation.cache_tag}-pytest-{pytest.__version__}.pyc"
    bytecode._have_pytest_compile(tmp_path, end)
    folder = tmp_path / checks_folder().resolve().relative_to("/") / "__pycache__"
    assert (folder / f"test_c01_identity{end}").exists()


def test_the_far_end_of_a_line_carries_bytes_and_loses_what_nobody_takes() -> None:
    near, far = os.openpty()
    tty.setraw(near)
    tty.setraw(far)
    end = twins.PortEnd(Path(os.ttyname(far)))
    try:
        assert end.read() == b""
        os.write(near, b"question")
        assert select.select([end], [], [], 10.0)[0] == [end]
        assert end.read(10.0) == b"question"
        end.write(b"answer")
        assert os.read(near, 100) == b"answer"
        end.write(bytes(1 << 20))
        assert end.lost > 0
    finally:
        end.close()
        os.close(near)
        os.close(far)


def test_twins_lose_frames_that_cannot_be_sent_and_hear_no_errors() -> None:
    wire = CanWire()
    bus = twins.SteadyCan(wire.open())
    wire.open().send(CanFrame(0x40, bytes(8), error=True))
    assert bus.receive() is None
    wire.open().send(CanFrame(0x40, b"data"))
    assert bus.receive() == CanFrame(0x40, b"data")
    bus.close()
    gone = twins.SteadyCan(_Gone())
    gone.send(CanFrame(1))
    assert gone.receive() is None


class _Gone(LocalCan):
    """An adapter that was pulled out."""

    def __init__(self) -> None:
        super().__init__(CanWire())

    def send(self, frame: CanFrame) -> None:
        raise DeviceFault(FaultKind.ABSENT, "gone")

    def receive(self, timeout: float = 0.0) -> CanFrame | None:
        raise DeviceFault(FaultKind.ABSENT, "gone")


def test_a_copy_of_this_process_works_alone_and_is_seen_off(
    tmp_path: Path, wait_for: Callable[..., None]
) -> None:
    held = os.open(tmp_path / "held", os.O_CREAT | os.O_RDWR)

    def work() -> int:
        with contextlib.suppress(OSError):
            os.fstat(held)
            return 1
        print("to nobody")
        (tmp_path / "pid").write_text(f"{os.getpid()} {os.getsid(0)}")
        while not (tmp_path / "go on").exists():
            os.sched_yield()
        return 41

    copy = forked.Forked(work)
    try:
        wait_for((tmp_path / "pid").exists)
        assert copy.poll() is None
        wait_for(lambda: (tmp_path / "pid").read_text() == f"{copy.pid} {copy.pid}")
        with pytest.raises(subprocess.TimeoutExpired):
            copy.wait(0.0)
        (tmp_path / "go on").touch()
        assert copy.wait() == 41
    finally:
        copy.kill()
        os.close(held)
    failing = forked.Forked(lambda: 1 // 0)
    assert failing.wait() == 1


def test_the_twins_of_several_buses_are_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a bus are moved on when something is said there, and all of them now and then."""
    moved: list[str] = []

    class Host:
        def __init__(self, name: str, commanded_ns: int) -> None:
            self.name, self.commanded_ns = name, commanded_ns

        def step(self, timeout: float = 0.0) -> None:
            moved.append(self.name)
            if self.name == "a":
                os.read(near, 100)

    near, far = os.pipe()
    quiet, other = os.pipe()
    parts: Any = [
        SimpleNamespace(end=near, host=Host("a", 3), twins={"left": 1}),
        SimpleNamespace(end=quiet, host=Host("b", 5), twins={"imu": 2}),
    ]
    both = twins.AllTwins(parts)
    try:
        assert list(both.twins) == ["left", "imu"]
        assert both.host.commanded_ns == 5
        os.write(far, b"x")
        both.host.step(10.0)
        assert moved == ["a", "b"]  # the first time all
        monkeypatch.setattr(twins, "STEP", 1000.0)
        os.write(far, b"x")
        both.host.step(10.0)
        os.write(far, b"x")
        both.host.step(10.0)
        assert moved[2:].count("a") == 2
    finally:
        for fd in (near, far, quiet, other):
            os.close(fd)

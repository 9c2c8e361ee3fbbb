"""The cache of the virtual rig, on an apt-get and a dpkg-deb of the tests' own: no network."""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import tarfile
from pathlib import Path

import pytest

from horus.cli.main import main as horus
from horus.testing.virtual import image, packages
from horus.testing.virtual.errors import VirtualError
from horus.testing.virtual.fetch import Cache, Progress, cache_folder

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="the virtual rig is for x86-64 alone"
)

APT_GET = r"""#!/usr/bin/env python3
import hashlib, os, pathlib, sys
store = pathlib.Path(os.environ["STORE"])
with (store / "log").open("a") as log:
    print(" ".join(sys.argv[1:]), file=log)
if (store / "complaint").exists():
    sys.exit((store / "complaint").read_text())
if "install" in sys.argv:
    print("Inst libslirp0 (4.7 Debian:12 [amd64])")
    print("Inst libc6 [2.35] (2.36 Debian:12 [amd64])")
    print("Inst qemu-system-x86 (1:7.2 Debian:12 [amd64])\nInst busybox-static (1.35 Debian:12)")
    sys.exit()
for word in sys.argv[2:]:
    if word.startswith("-"):
        continue
    path = next(store.glob(word.split("=")[0] + "_*"))
    data = path.read_bytes()
    if "--print-uris" in sys.argv:
        digest = hashlib.sha256(data).hexdigest()
        print(f"'http://debian.test/{path.name}' {path.name} {len(data)} SHA256:{digest}")
        continue
    begun = pathlib.Path(path.name)
    start = begun.stat().st_size if begun.exists() else 0
    with begun.open("ab") as file, (store / "log").open("a") as log:
        spoiled = store / "spoiled"
        file.write(spoiled.read_bytes() if spoiled.exists() else data[start:])
        print("sent", word.split("=")[0], len(data) - start, file=log)
"""
APT_CACHE = "#!/bin/sh\necho 'linux-image-amd64'; echo '  Depends: linux-image-6.1.0-9-amd64'\n"
#: A package here is a tar file.
DPKG_DEB = """#!/bin/sh
[ "$1" = --fsys-tarfile ] && exec cat "$2"
exec tar -xf "$2" -C "$3"
"""
FILES = ("usr/bin/qemu-system-x86_64", "bin/busybox", "usr/lib/libslirp.so.0")


def module(*needs: str, aliases: tuple[str, ...] = ()) -> bytes:
    words = [b"license=GPL", b"depends=" + ",".join(needs).encode()]
    words += [f"alias={alias}".encode() for alias in aliases]
    return b"\x7fELF...\0" + b"\0".join(words) + b"\0"


def archive(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, data in files.items():
            about = tarfile.TarInfo(f"./{name}")
            about.size = len(data)
            tar.addfile(about, io.BytesIO(data))
    return made.getvalue()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Debian with four packages, and a cache folder that is empty."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, text in (("apt-get", APT_GET), ("apt-cache", APT_CACHE), ("dpkg-deb", DPKG_DEB)):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    found = tmp_path / "store"
    found.mkdir()
    names = ("qemu-system-x86_1%3a7.2_amd64", "busybox-static_1.35_amd64", "libslirp0_4.7_amd64")
    for name, file in zip(names, FILES, strict=True):
        (found / f"{name}.deb").write_bytes(archive({file: name.encode() * 100}))
    drivers = "lib/modules/6.1.0-9-amd64/kernel/drivers"
    kernel = {
        "boot/vmlinuz-6.1.0-9-amd64": b"MZ a kernel that is packed in a way of its own",
        f"{drivers}/i2c/i2c-dev.ko": module(),
        f"{drivers}/net/can/sja1000/kvaser_pci.ko": module("sja1000", "can-dev"),
        f"{drivers}/net/can/sja1000/sja1000.ko": module("can-dev"),
        f"{drivers}/net/can/dev/can-dev.ko": module(),
        f"{drivers}/sound/soundcore.ko": module(),
    }
    (found / "linux-image-6.1.0-9-amd64_6.1.9_amd64.deb").write_bytes(archive(kernel))
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("STORE", str(found))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return found


def log(store: Path) -> list[str]:
    return (store / "log").read_text().splitlines()


def sent(store: Path) -> dict[str, int]:
    """Bytes that came of each package, and forget them."""
    lines = [line.split() for line in log(store) if line.startswith("sent")]
    (store / "log").write_text("")
    return {name: int(size) for _, name, size in lines}


def fetch() -> int:
    return Cache().fetch(Progress(io.StringIO()))


def test_everything_is_fetched_checked_and_unpacked(store: Path) -> None:
    cache = Cache()
    assert cache.folder == cache_folder()
    assert "horus hil virtual --fetch" in cache.lacks()
    sizes = {path.name.split("_")[0]: path.stat().st_size for path in store.glob("*.deb")}
    assert fetch() == sum(sizes.values())
    assert cache.lacks() == ""
    assert sent(store) == sizes
    for file in FILES:
        assert (cache.root / file).exists()
    assert (cache.machine / "vmlinuz").read_bytes().startswith(b"MZ")
    modules = {path.name for path in (cache.machine / "modules").iterdir()}
    assert modules == {"i2c_dev.ko", "kvaser_pci.ko", "sja1000.ko", "can_dev.ko"}
    manifest = json.loads((cache.folder / "manifest.json").read_text())
    busybox = manifest["files"]["root/bin/busybox"]["sha256"]
    assert busybox == hashlib.sha256((cache.root / "bin/busybox").read_bytes()).hexdigest()


def test_what_is_there_is_not_fetched_again(store: Path) -> None:
    fetch()
    sent(store)
    assert fetch() == 0
    assert log(store) == []


def test_a_download_that_was_broken_off_goes_on(store: Path) -> None:
    fetch()
    cache = Cache()
    package = next((cache.folder / "packages").glob("libslirp0*"))
    whole = package.stat().st_size
    with package.open("r+b") as file:
        file.truncate(1000)
    sent(store)
    assert fetch() == whole
    assert sent(store) == {"libslirp0": whole - 1000}
    assert cache.lacks() == ""


def test_a_package_and_a_file_that_are_damaged_are_repaired(store: Path) -> None:
    fetch()
    cache = Cache()
    package = next((cache.folder / "packages").glob("busybox*"))
    size = package.stat().st_size
    package.write_bytes(bytes(size))
    busybox = cache.root / "bin/busybox"
    good = busybox.read_bytes()
    busybox.write_bytes(bytes(len(good)))
    sent(store)
    assert fetch() == size
    assert sent(store) == {"busybox-static": size}
    assert busybox.read_bytes() == good


def test_a_file_that_was_cut_short_is_noticed_before_the_machine_starts(store: Path) -> None:
    fetch()
    cache = Cache()
    (cache.root / FILES[0]).write_bytes(b"")
    assert FILES[0] in cache.lacks()
    assert "repairs it" in cache.lacks()
    assert fetch() == 0
    assert cache.lacks() == ""


def test_what_does_not_arrive_whole_is_refused_and_thrown_away(store: Path) -> None:
    (store / "spoiled").write_bytes(b"a page of a hotel's network")
    with pytest.raises(VirtualError, match="its checksum is wrong: try again"):
        fetch()
    assert Cache().lacks() != ""
    (store / "spoiled").unlink()
    fetch()
    assert Cache().lacks() == ""


@pytest.mark.parametrize(
    ("complaint", "cure"),
    [
        ("E: Unable to locate package qemu-system-x86", "sudo apt-get update"),
        ("E: Failed to fetch http://x  404  Not Found", "sudo apt-get update"),
        ("E: Failed to fetch http://x  Could not resolve 'x'", "needs a network"),
    ],
)
def test_what_apt_complains_about_comes_with_its_cure(
    store: Path, capfd: pytest.CaptureFixture[str], complaint: str, cure: str
) -> None:
    (store / "complaint").write_text(complaint)
    assert horus(["hil", "virtual", "--fetch"]) == 3
    said = capfd.readouterr().err
    assert said.startswith(f"horus: apt-get: {complaint[3:]}: ")
    assert cure in said


def test_a_machine_without_apt_is_told_where_it_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert horus(["hil", "virtual", "--", "true"]) == 3
    assert "apt-get is missing: in a container of debian:bookworm" in capfd.readouterr().err
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert "needs Linux on x86-64 (this is Linux on aarch64)" in packages.unfit()


def test_the_command_says_whether_all_is_there(
    store: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert horus(["hil", "virtual"]) == 3
    assert horus(["hil", "virtual", "--fetch"]) == 0
    assert "MB came" in capfd.readouterr().out
    assert horus(["hil", "virtual", "--fetch"]) == 0
    assert "nothing was missing" in capfd.readouterr().out
    assert horus(["hil", "virtual"]) == 0
    assert "is ready" in capfd.readouterr().out


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_shows_how_far_it_is_on_a_terminal_alone() -> None:
    terminal, file = _Terminal(), io.StringIO()
    for stream in (terminal, file):
        progress = Progress(stream)
        progress.begin(80_000_000)
        progress.show(20_000_000, "linux-image")
        progress.end()
    shown = terminal.getvalue().split("\r")
    assert shown[1].startswith("██████" + "·" * 18 + "  20.0 of 80.0 MB")
    assert shown[1].rstrip().endswith("linux-image")
    assert shown[2].strip() == ""
    assert file.getvalue() == "fetching 80 MB\n"


def test_the_kernel_is_taken_out_of_what_it_is_packed_in() -> None:
    import lzma

    elf = b"\x7fELF" + bytes(1000)
    packed = lzma.compress(elf)
    assert image.vmlinux(b"MZ" + bytes(500) + packed + b"\x10\0\0\0") == elf
    assert image.vmlinux(b"MZ" + bytes(500)) == b""
    assert image.vmlinux(b"MZ" + packed[:-20]) == b""


def test_a_module_comes_after_what_it_needs() -> None:
    modules = {"a": module("b-x", "c"), "b_x": module("c"), "c": module(), "d": module()}
    assert image.closure(["a", "absent"], modules) == ["c", "b_x", "a"]

"""The cache folder of the virtual rig: fetched once, checked, repaired where it is damaged."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from horus.testing.virtual import image, packages
from horus.testing.virtual.errors import VirtualError
from horus.testing.virtual.packages import Package

#: Counts the ways in which the folder has been laid out.
LAYOUT = 1
CURE = "fetch it once: horus hil virtual --fetch"


def cache_folder() -> Path:
    """Return where the virtual rig is kept: ``$XDG_CACHE_HOME/horus/virtual``."""
    base = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(base) / "horus" / "virtual"


class Cache:
    """What has been fetched.

    ``packages/`` holds Debian's packages, ``root/`` the emulator and ``machine/`` the kernel with
    its modules; ``manifest.json`` the checksum of each file in them.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache_folder()
        self.root = self.folder / "root"
        self.machine = self.folder / "machine"
        self._packages = self.folder / "packages"
        self._file = self.folder / "manifest.json"

    def lacks(self) -> str:
        """Return why no machine can be started from here, with the cure; "" if one can.

        Only whether files are there and as long as they were is looked at; `fetch` reads them.
        """
        manifest = self._manifest()
        if not manifest:
            return packages.unfit() or f"the virtual rig is not in {self.folder}: {CURE}"
        for name, about in manifest["files"].items():
            path = self.folder / name
            if not path.is_symlink() and (
                not path.exists() or path.stat().st_size != about["size"]
            ):
                return f"the virtual rig is damaged ({path}): horus hil virtual --fetch repairs it"
        return ""

    def initramfs(self) -> Path:
        """Return what the machine starts with; made anew where it is that of another version."""
        place = self.folder / f"initramfs-{image.version()}.cpio"
        if not place.exists():
            for old in self.folder.glob("initramfs-*"):
                old.unlink(missing_ok=True)
            image.build(self.machine, self.root / "bin" / "busybox", place)
        return place

    def fetch(self, progress: Progress) -> int:
        """Get what is missing or damaged; return how many bytes were downloaded."""
        with self._locked():
            manifest = self._manifest()
            wanted = [Package(**about) for about in manifest["packages"]] if manifest else []
            if not wanted or not self._all_there(wanted):
                wanted = packages.needed()
            fresh = self._download(wanted, progress)
            if fresh or not manifest or self._damaged(manifest):
                self._unpack(wanted, progress)
            return fresh

    def _all_there(self, wanted: list[Package]) -> bool:
        return all(_fits(self._packages / package.file, package) for package in wanted)

    def _download(self, wanted: list[Package], progress: Progress) -> int:
        self._packages.mkdir(parents=True, exist_ok=True)
        for file in self._packages.iterdir():
            if file.name not in {package.file for package in wanted}:
                file.unlink()
        missing = [one for one in wanted if not _fits(self._packages / one.file, one)]
        if not missing:
            return 0
        for package in missing:
            path = self._packages / package.file
            if path.exists() and path.stat().st_size >= package.size:
                path.unlink()  # as long as it should be, but something else
        progress.begin(sum(package.size for package in missing))
        self._get(missing, progress)
        wrong = [one for one in missing if not _fits(self._packages / one.file, one)]
        for package in wrong:
            (self._packages / package.file).unlink(missing_ok=True)
        if wrong:
            raise VirtualError(
                f"{wrong[0].file} did not arrive as it should be: its checksum is wrong",
                "try again; if it stays so, sudo apt-get update",
            )
        return sum(package.size for package in missing)

    def _get(self, missing: list[Package], progress: Progress) -> None:
        """Have apt-get download; it goes on with files that it finds begun."""
        process = packages.download(missing, self._packages)
        try:
            while process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.2)
                sizes = {one.name: _size(self._packages / one.file) for one in missing}
                coming = [one.name for one in missing if 0 < sizes[one.name] < one.size]
                progress.show(sum(sizes.values()), coming[0] if coming else "")
            _, complaint = process.communicate()
        finally:
            progress.end()
            if process.poll() is None:
                process.terminate()
                process.wait()
        if process.returncode:
            raise packages.explain(complaint)

    def _unpack(self, wanted: list[Package], progress: Progress) -> None:
        """Make the folders from the packages, and the manifest when all is well."""
        self._file.unlink(missing_ok=True)
        for old in self.folder.glob("initramfs-*"):
            old.unlink()
        progress.say("unpacking")
        for folder in (self.root, self.machine):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        for package in wanted:
            archive = self._packages / package.file
            if package.name.startswith("linux-image"):
                image.unpack_kernel(archive, self.machine)
            else:
                subprocess.run(["dpkg-deb", "-x", archive, self.root], check=True)
        files = {
            str(path.relative_to(self.folder)): {
                "size": path.stat().st_size,
                "sha256": _digest(path),
            }
            for folder in (self.root, self.machine)
            for path in sorted(folder.rglob("*"))
            if path.is_file() and not path.is_symlink()
        }
        content = {
            "layout": LAYOUT,
            "modules": list(image.MODULES),
            "packages": [asdict(package) for package in wanted],
            "files": files,
        }
        draft = self._file.with_suffix(".new")
        draft.write_text(json.dumps(content, indent=1))
        draft.replace(self._file)

    def _manifest(self) -> dict[str, Any]:
        """Return what is in the folder; {} when nothing is, or what another version fetched."""
        try:
            found: dict[str, Any] = json.loads(self._file.read_text())
        except (OSError, ValueError):
            return {}
        same = found.get("layout") == LAYOUT and found.get("modules") == list(image.MODULES)
        return found if same else {}

    def _damaged(self, manifest: dict[str, Any]) -> bool:
        return any(
            not (self.folder / name).is_file() or _digest(self.folder / name) != about["sha256"]
            for name, about in manifest["files"].items()
        )

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one process at a time fetch."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


class Progress:
    """Shows on a terminal how far a download is; elsewhere only what begins and how it ended."""

    WIDTH = 24

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._total = 0
        self._began = time.monotonic()

    def begin(self, total: int) -> None:
        """Say how many bytes there are to come."""
        self._total, self._began = total, time.monotonic()
        if total and not self._live:
            self.say(f"fetching {total / 1e6:.0f} MB")

    def show(self, done: int, name: str) -> None:
        """Show how many bytes have come, and of which package some are coming."""
        if not self._live:
            return
        full = round(self.WIDTH * done / self._total)
        speed = done / 1e6 / max(0.1, time.monotonic() - self._began)
        bar = "█" * full + "·" * (self.WIDTH - full)
        text = f"{bar} {done / 1e6:5.1f} of {self._total / 1e6:.1f} MB, {speed:.1f} MB/s  {name}"
        self._stream.write(f"\r{text[:78]:<78}")
        self._stream.flush()

    def end(self) -> None:
        """Take the bar away."""
        if self._total and self._live:
            self._stream.write(f"\r{'':78}\r")
            self._stream.flush()

    def say(self, text: str) -> None:
        """Print a line."""
        print(text, file=self._stream, flush=True)


def _fits(path: Path, package: Package) -> bool:
    try:
        return path.stat().st_size == package.size and _digest(path) == package.sha256
    except OSError:
        return False


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _digest(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            found.update(chunk)
    return found.hexdigest()

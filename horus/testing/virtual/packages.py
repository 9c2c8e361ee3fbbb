"""What Debian has for the virtual rig: which packages, how large, with which checksums."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from horus.testing.virtual.errors import VirtualError

#: What is asked for, its dependencies aside; the kernel by the package that follows the newest one.
EMULATOR, SHELL, KERNEL = "qemu-system-x86", "busybox-static", "linux-image-amd64"
#: Packages that a running system has anyway, and that are no use from another folder.
_LEAVE = frozenset({"libc6", "libgcc-s1", "libstdc++6"})
_INST = re.compile(r"^Inst (?P<name>\S+) (?:\[\S+\] )?\((?P<version>\S+)", re.MULTILINE)
_DEPENDS = re.compile(r"Depends: (linux-image-\S+)")
_URI = re.compile(r"^'(?P<uri>[^']+)' (?P<file>\S+) (?P<size>\d+) SHA256:(?P<sha256>[0-9a-f]+)$")
_PLACE = "in a container of debian:bookworm it runs anywhere"


@dataclass(frozen=True)
class Package:
    """One package of Debian, and the file that holds it."""

    name: str
    version: str
    file: str
    size: int
    sha256: str


def unfit() -> str:
    """Return why this machine cannot fetch the virtual rig, with the cure; "" if it can."""
    if platform.system() != "Linux" or platform.machine() not in ("x86_64", "amd64"):
        return (
            "the virtual rig runs this machine's own Python, so it needs Linux on x86-64 "
            f"(this is {platform.system()} on {platform.machine()}): use --rig mock here"
        )
    missing = [word for word in ("apt-get", "apt-cache", "dpkg-deb") if not shutil.which(word)]
    if missing:
        return (
            f"the virtual rig is made of Debian's packages, but {missing[0]} is missing: {_PLACE}"
        )
    return ""


def needed() -> list[Package]:
    """Return the packages that are needed and not installed, the kernel's last."""
    text = unfit()
    if text:
        raise VirtualError(text)
    shown = apt("apt-get", "install", "--simulate", "--no-install-recommends", EMULATOR, SHELL)
    wanted = {
        found["name"]: found["version"]
        for found in _INST.finditer(shown)
        if found["name"].partition(":")[0] not in _LEAVE
    }
    for name in (EMULATOR, SHELL):  # one that is installed is not simulated, but its files are used
        wanted.setdefault(name, "")
    wanted[_kernel()] = ""
    words = [f"{name}={version}" if version else name for name, version in wanted.items()]
    found = [
        match
        for line in apt("apt-get", "download", "--print-uris", *words).splitlines()
        if (match := _URI.match(line))
    ]
    if len(found) < len(words):
        raise VirtualError("apt-get knows no checksums of some packages", "sudo apt-get update")
    made = [
        Package(
            *_name_and_version(match["file"]), match["file"], int(match["size"]), match["sha256"]
        )
        for match in found
    ]
    return sorted(made, key=lambda package: package.name.startswith("linux-image"))


def download(wanted: Sequence[Package], folder: Path) -> subprocess.Popen[str]:
    """Start to download packages into a folder; one that was broken off is gone on with."""
    return subprocess.Popen(
        ["apt-get", "download", "-qq", *(f"{one.name}={one.version}" for one in wanted)],
        cwd=folder,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def explain(text: str) -> VirtualError:
    """Return what apt-get complained about, with the cure."""
    lines = [line for line in text.splitlines() if line.startswith("E:")]
    first = lines[0][2:].strip() if lines else "it does not say why"
    lower = text.lower()
    if "unable to locate" in lower or "no candidate" in lower or "404 " in lower:
        return VirtualError(f"apt-get: {first}", "its lists are old: sudo apt-get update")
    if any(word in lower for word in ("resolv", "connect", "timed out", "unreachable", "proxy")):
        return VirtualError(
            f"apt-get: {first}",
            "the virtual rig is fetched once (about 90 MB) and needs a network for that; or copy "
            "the cache folder from a machine that has it",
        )
    return VirtualError(f"apt-get: {first}")


def apt(*words: str) -> str:
    """Return what one of apt's commands prints; a complaint is a `VirtualError`."""
    done = subprocess.run(
        words, env=_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode:
        raise explain(done.stderr)
    return done.stdout


def _kernel() -> str:
    found = _DEPENDS.search(apt("apt-cache", "depends", KERNEL))
    if not found:
        raise VirtualError(f"apt-cache depends {KERNEL} names no kernel", "sudo apt-get update")
    return found[1]


def _name_and_version(file: str) -> tuple[str, str]:
    name, version, _ = file.split("_")
    return name, version.replace("%3a", ":")


def _environment(base: Sequence[str] = ("LC_ALL", "LANGUAGE")) -> dict[str, str]:
    return {**os.environ, **dict.fromkeys(base, "C")}

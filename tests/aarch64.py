"""Build the native core for aarch64 and run its tests there, emulated: ``python -m tests.aarch64``.

It needs root on a Debian of another architecture, with ``gcc-aarch64-linux-gnu`` and ``qemu-user``
installed and ``arm64`` known to dpkg (``dpkg --add-architecture arm64 && apt-get update``).
Debian's Python for arm64 and wheels of what the bus needs are unpacked into a temporary folder;
nothing is installed. Tests that start processes are left out: the emulator runs one program.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMPILER, EMULATOR = "aarch64-linux-gnu-gcc", "qemu-aarch64"
LIBRARIES = ["libc6", "libgcc-s1", "libstdc++6", "zlib1g", "libexpat1", "libffi8", "libssl3"]
LIBRARIES += ["libbz2-1.0", "liblzma5", "libuuid1", "libcrypt1"]
WHEELS = ("msgpack", "numpy", "pluggy", "posix_ipc", "pytest", "pyyaml")
STARTS_A_PROCESS = (
    *("importing_costs_no_numpy", "another_process", "killed_reader", "the_end_of_a_process"),
    *("pools_of_the_dead", "tools_show"),
)
TESTS = (
    *("test_bus_topic.py", "test_bus_again.py", "test_bus_codec.py", "test_message.py"),
    *("test_bus_frames.py", "test_bus_images.py"),
)


def debian_python() -> str:
    """Return the version of Debian's own Python, such as ``3.11``."""
    shown = subprocess.run(
        ["apt-cache", "depends", "python3-minimal"], capture_output=True, text=True, check=True
    ).stdout
    found = re.search(r"python(3\.\d+)-minimal", shown)
    if not found:
        sys.exit("apt-cache does not say which python3 Debian has")
    return found[1]


def unpack(place: Path, version: str) -> Path:
    """Unpack an arm64 Python with its libraries; return the folder that is its root."""
    lib = f"libpython{version}"
    packages = [f"python{version}-minimal", *(f"{lib}-{p}" for p in ("minimal", "stdlib", "dev"))]
    names = [f"{name}:arm64" for name in (*packages, *LIBRARIES)]
    subprocess.run(["apt-get", "download", "-qq", *names], cwd=place, check=True)
    for package in place.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, place / "root"], check=True)
    return place / "root"


def build(place: Path, root: Path, version: str) -> None:
    """Put the package and its cross-compiled core into ``place/horus``."""
    shutil.copytree(ROOT / "horus", place / "horus", ignore=shutil.ignore_patterns("*.so"))
    headers = root / f"usr/include/python{version}"
    flags = ["-std=c11", "-O3", "-DNDEBUG", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror"]
    include = ["-isystem", headers, "-isystem", root / "usr/include"]
    target = place / "horus/bus/_core.so"
    source = place / "horus/bus/_native/module.c"
    subprocess.run(
        [COMPILER, *flags, *include, "-shared", "-fPIC", source, "-o", target], check=True
    )


def main() -> int:
    """Build, run the tests, return their status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("pytest", nargs="*", help="options for pytest, after --")
    options = parser.parse_args()
    for tool in (COMPILER, EMULATOR, "apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            sys.exit(f"{tool} is not installed: apt-get install gcc-aarch64-linux-gnu qemu-user")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        version = debian_python()
        root = unpack(place, version)
        build(place, root, version)
        platform = ["--platform", "manylinux2014_aarch64", "--platform", "manylinux_2_28_aarch64"]
        pip = [sys.executable, "-m", "pip", "install", "-q", "--target", place / "site"]
        python = ["--python-version", version, "--only-binary", ":all:"]
        subprocess.run([*pip, *platform, *python, *WHEELS], check=True)
        shutil.copytree(ROOT / "tests", place / "tests", ignore=shutil.ignore_patterns(".peers"))
        shutil.copy(ROOT / "pyproject.toml", place)
        environment = {
            **os.environ,
            "PYTHONPATH": f"{place}:{place / 'site'}",
            "HORUS_CORE": "native",
            "QEMU_LD_PREFIX": str(root),
        }
        python_there = [EMULATOR, root / f"usr/bin/python{version}"]
        tests = [f"tests/unit/{name}" for name in TESTS]
        command = [*python_there, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        command += ["-k", f"not ({' or '.join(STARTS_A_PROCESS)})"]
        return subprocess.run(
            [*command, *tests, *options.pytest], cwd=place, env=environment
        ).returncode


if __name__ == "__main__":
    sys.exit(main())

"""Build the core with a sanitizer into a temporary folder, and run it hard.

``address``: AddressSanitizer and UndefinedBehaviorSanitizer under the bus's tests and the fuzzer,
with a look for leaked memory at the end of a long use.
``thread``: ThreadSanitizer, and then full speed without it, under `race.c`: threads without the GIL
in the core's own ring functions. See README.md for what that can and cannot show.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[2]
NATIVE = ROOT / "horus" / "bus" / "_native"
WARNINGS = (
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-error=tsan",
    "-Wno-tsan",
    "-Wno-unknown-warning-option",
)
TESTS = (
    *("unit/test_bus_topic.py", "unit/test_bus_growth.py", "unit/test_bus_codec.py"),
    *("unit/test_bus_frames.py", "unit/test_bus_images.py"),
)
#: What the core must not leak: it is used long, then everything unreachable is reported.
LEAKS = """
import ctypes, gc, numpy
from horus.bus import Topic
from tests.e2e.bus_worker import Whole, make
for round in range(30):
    with Topic("leaks") as topic, Topic("typed", Whole) as typed:
        for number in range(200):
            topic.send({"n": number, "list": [1, 2.5, "text", b"bytes", None] * 5, "x" * 300: "y"})
            topic.send(make(1, number)), topic.send(numpy.zeros(number)), topic.send(2**70)
            typed.send(make(1, number))
            topic.recv_all() if number % 3 else topic.latest(), typed.recv()
            topic.send(numpy.zeros(600 + number)), topic.send(numpy.zeros((2, number)).T)
            with topic.loan((number, 90), "f4") as array:
                kept = topic.latest(), array
            topic.loan(5000 + number).__enter__()
        topic.send("z" * 10000)
        topic.recv_all()
gc.collect()
library = ctypes.CDLL(None)
print("leaked:", bool(library.__lsan_do_recoverable_leak_check()))
"""


class Unavailable(Exception):
    """This machine has no compiler with that sanitizer, and it cannot be had."""


def compiler(sanitizer: str) -> tuple[str, str]:
    """Return a C compiler and the library that a sanitized module needs loaded first."""
    library = {"address": "libasan.so", "thread": "libtsan.so"}[sanitizer]
    for name in (os.environ.get("CC", ""), "gcc", "gcc-14", "gcc-13", "gcc-12", "cc"):
        if name and (path := shutil.which(name)):
            found = subprocess.run(
                [path, f"-print-file-name={library}"], capture_output=True, text=True
            ).stdout.strip()
            if Path(found).is_absolute():
                return path, str(Path(found).resolve())
    raise Unavailable(
        f"no C compiler here has {library}: install gcc with its sanitizers (Debian: apt-get "
        "install gcc libc6-dev)"
    )


def build(cc: str, source: Path, target: Path, *flags: str) -> None:
    """Compile one extension module."""
    include = sysconfig.get_path("include")
    if not (Path(include) / "Python.h").exists():
        raise Unavailable(f"Python's headers are not in {include}: install python3-dev")
    command = [cc, "-shared", "-fPIC", "-std=c11", "-g", *WARNINGS, *flags]
    command += [f"-I{include}", f"-I{NATIVE}", str(source), "-o", str(target), "-lpthread"]
    print("  " + shlex.join(command), flush=True)
    subprocess.run(command, check=True)


def run(folder: Path, library: str, *arguments: str, **more: str) -> str:
    """Run Python with a sanitizer in a copy of the project; return what it printed."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")} | more
    environment |= {"LD_PRELOAD": library, "PYTHONMALLOC": "malloc", "HORUS_CORE": "native"}
    # Without the shuffling of addresses, which some kernels do more of than ThreadSanitizer bears.
    plain = ["setarch", platform.machine(), "-R"] if shutil.which("setarch") else []
    done = subprocess.run(
        [*plain, sys.executable, *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    print("".join(f"    {line}\n" for line in done.stdout.splitlines()[-8:]), flush=True)
    if done.returncode or "Sanitizer" in done.stdout or "runtime error:" in done.stdout:
        raise AssertionError(f"status {done.returncode}\n{done.stdout[-20000:]}")
    return done.stdout


def _copy(folder: Path) -> None:
    """Copy what the tests need, without what was built before."""
    unwanted = shutil.ignore_patterns("*.so", "__pycache__", "_native", "bench")
    for name in ("horus", "tests", "drivers"):
        shutil.copytree(ROOT / name, folder / name, ignore=unwanted)
    shutil.copy(ROOT / "pyproject.toml", folder)


def address(folder: Path, cases: int) -> None:
    """Run the bus's tests and the fuzzer under AddressSanitizer and UBSan."""
    cc, library = compiler("address")
    _copy(folder)
    target = folder / "horus" / "bus" / f"_core{sysconfig.get_config_var('EXT_SUFFIX')}"
    sanitize = ("-O1", "-fno-omit-frame-pointer", "-fsanitize=address,undefined")
    build(cc, NATIVE / "module.c", target, *sanitize, "-fno-sanitize-recover=undefined")
    options = {
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    where = run(folder, library, "-c", "import horus.bus._core as c; print(c.__file__)", **options)
    assert str(folder) in where, f"another core was loaded: {where}"
    tests = [str(folder / "tests" / name) for name in TESTS]
    print(f"  the bus's tests, then {cases} fuzzed cases, then a look for leaks:", flush=True)
    run(folder, library, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests, **options)
    fuzz = ["-m", "tests.proof", "fuzz", "--core", "native", "--unlimited", "1"]
    run(folder, library, *fuzz, "--cases", str(cases), "--seed", "7000000", **options)
    # CPython frees little of its own at the end, so it is asked while everything is still held.
    # What libraries have leaked at their import is named; the core is not among it.
    (folder / "suppressions").write_text(
        "leak:_multiarray_umath\nleak:libpython\nleak:bin/python\n"
    )
    options["ASAN_OPTIONS"] = "detect_leaks=1:leak_check_at_exit=0"
    options["LSAN_OPTIONS"] = f"suppressions={folder / 'suppressions'}:print_suppressions=0"
    assert "leaked: False" in run(folder, library, "-c", LEAKS, **options)


def thread(folder: Path, messages: int) -> None:
    """Race the core's ring functions under ThreadSanitizer, and at full speed."""
    cc, library = compiler("thread")
    for name, flags, count, preload in (
        ("sanitized", ("-O2", "-fsanitize=thread"), messages // 100, library),
        ("fast", ("-O3",), messages, ""),
    ):
        place = folder / name
        place.mkdir()
        build(cc, Path(__file__).with_name("race.c"), place / "_race.so", *flags)
        for publishers, slots in ((1, 4), (1, 64), (2, 8), (4, 16)):
            code = (
                f"import _race; found = _race.race({count}, {publishers}, {slots})\n"
                "print('received %d, lost %d, torn %d, wrongly ordered %d, miscounted %d, "
                "damaged %d' % found)\n"
                "assert found[0] > 0 and not any(found[2:])"
            )
            print(
                f"  {name}: {publishers} publishers x {count} messages, {slots} slots", flush=True
            )
            run(place, preload, "-c", code, TSAN_OPTIONS="halt_on_error=1")
        for readers, slots in ((1, 2), (2, 4), (4, 16)):
            code = (
                f"import _race; found = _race.frames({count}, {slots}, {readers}, True)\n"
                "print('looks %d, overwritten %d, torn %d, without a slot %d' % found)\n"
                "assert found[0] > 0 and not found[2]"
            )
            print(f"  {name}: {count} frames in {slots} slots, {readers} readers", flush=True)
            run(place, preload, "-c", code, TSAN_OPTIONS="halt_on_error=1")

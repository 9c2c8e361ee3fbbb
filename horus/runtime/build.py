"""Phase 1 of `horus run`: all faults of all files, as ``file:line: message``."""

from __future__ import annotations

import ast
import io
import os
import re
import shutil
import sys
import tokenize
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from horus.errors import did_you_mean
from horus.launch import AS_IT_IS, Launch
from horus.runtime.files import NodeFile
from horus.runtime.imports import (
    changes_import_path,
    find_module,
    forget_cached_folders,
    required_imports,
    script_folder,
)

#: ``nodes/a.rs:3:5: error[E0425]: cannot find value`` (rustc --error-format=short).
_RUST_ERROR = re.compile(r"^(?P<file>.+?):(?P<line>\d+):\d+: (?P<text>error.*)$")
_RUST_EDITION = "2021"


@dataclass(frozen=True)
class Program:
    """What one process of the run is to do."""

    name: str
    #: For `horus.runtime.child`: ``file PATH``, ``module NAME ...`` or ``program PATH ARGV...``.
    command: tuple[str, ...]
    #: ``node``, or what a hardware process is for: ``driver``, ``twin``.
    kind: str = "node"
    #: How it is started, and started again.
    launch: Launch = AS_IT_IS


@dataclass(frozen=True, order=True)
class Fault:
    """What keeps one file from running."""

    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


def build_all(files: Sequence[NodeFile], folder: Path) -> tuple[list[Program], list[Fault]]:
    """Check every file, compile into ``folder`` what needs it; return programs and all faults."""
    forget_cached_folders()
    checker = PythonChecker()
    programs: list[Program] = []
    faults: list[Fault] = []
    for number, file in enumerate(files, 1):
        path = str(file.path)
        if file.path.is_dir():
            faults.append(Fault(path, 1, "is a folder, not a file that can be run"))
        elif file.language == "python":
            faults += checker.check(file.path)
            command: tuple[str, ...] = ("file", path, *file.launch.args)
            programs.append(Program(file.name, command, launch=file.launch))
        elif file.language == "rust":
            target = folder / f"{number}-{file.path.stem}"
            faults += compile_rust(file.path, target)
            command = ("program", str(target), path, *file.launch.args)
            programs.append(Program(file.name, command, launch=file.launch))
        else:
            faults += check_executable(file.path)
            command = ("program", str(file.path.absolute()), path, *file.launch.args)
            programs.append(Program(file.name, command, launch=file.launch))
    return programs, faults


def check_all(files: Sequence[NodeFile]) -> list[Fault]:
    """Return the faults that can be found without compiling: of Python files and executables."""
    checker = PythonChecker()
    faults: list[Fault] = []
    for file in files:
        if file.language == "python":
            faults += checker.check(file.path)
        elif file.language != "rust":
            faults += check_executable(file.path)
    return list(dict.fromkeys(faults))


class PythonChecker:
    """Compiles Python files and resolves their imports, without running or writing anything."""

    def __init__(self) -> None:
        self._seen: set[tuple[Path, bool]] = set()

    def check(self, path: Path) -> list[Fault]:
        """Return the faults of a script and of the modules beside it that it needs."""
        return self._check(path, script_folder(path), is_script=True)

    def _check(self, path: Path, folder: str, *, is_script: bool) -> list[Fault]:
        key = (path.resolve(), is_script)
        if key in self._seen:
            return []
        self._seen.add(key)
        tree = parse_python(path)
        if isinstance(tree, Fault):
            return [tree]
        faults: list[Fault] = []
        tolerant = changes_import_path(tree)
        for line, module, level in required_imports(tree):
            if level:
                if is_script:
                    dots = "." * level + module
                    text = f"relative import ('from {dots} import ...') in a file that is run: "
                    faults.append(Fault(str(path), line, text + "leave out the leading dot"))
                continue
            name = module.partition(".")[0]
            spec = find_module(name, folder)
            if spec is None:
                if not tolerant:
                    faults.append(Fault(str(path), line, _missing(name, folder)))
            elif _is_beside(spec.origin, folder):
                beside = os.path.relpath(str(spec.origin))
                faults += self._check(Path(beside), folder, is_script=False)
        return faults


def parse_python(path: Path) -> ast.Module | Fault:
    """Return a file's syntax tree, or why it has none."""
    shown = str(path)
    try:
        source = path.read_bytes()
    except OSError as error:
        return Fault(shown, 1, f"cannot be read: {error.strerror or error}")
    if b"\0" in source:
        line = source[: source.index(b"\0")].count(b"\n") + 1
        return Fault(shown, line, "null byte: this is not Python source in UTF-8")
    try:
        source.decode(_encoding(source))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the process itself shows them
            tree = ast.parse(source, shown)
            compile(tree, shown, "exec", dont_inherit=True)
    except UnicodeDecodeError as error:
        line = source[: error.start].count(b"\n") + 1
        byte = f"byte 0x{source[error.start]:02x}"
        text = f"{byte} is not valid {error.encoding}: save the file as UTF-8"
        return Fault(shown, line, text)
    except SyntaxError as error:
        return Fault(shown, max(error.lineno or 1, 1), f"syntax error: {error.msg}")
    except (ValueError, OverflowError, RecursionError, MemoryError) as error:
        return Fault(shown, 1, f"cannot be compiled: {error or type(error).__name__}")
    return tree


def _encoding(source: bytes) -> str:
    try:
        return tokenize.detect_encoding(io.BytesIO(source).readline)[0]
    except SyntaxError as error:
        if error.msg.startswith("unknown encoding"):
            raise
        return "utf-8"  # the attempt to decode tells where it goes wrong


def _is_beside(origin: str | None, folder: str) -> bool:
    if not origin or not origin.endswith(".py"):
        return False
    path = Path(origin)
    package = path.parent if path.name == "__init__.py" else path
    return str(package.parent) == folder


def _missing(name: str, folder: str) -> str:
    beside = {entry.stem for entry in Path(folder).iterdir()}
    near = did_you_mean(name, {"horus", *beside, *sys.stdlib_module_names} - {name})
    cure = f"install it for {sys.executable}, or put it beside the file"
    return f"no module named {name!r}{near}: {cure}"


def compile_rust(path: Path, target: Path) -> list[Fault]:
    """Compile a Rust program of one file; its modules and crates beyond `std` are not resolved."""
    rustc = shutil.which("rustc")
    if rustc is None:
        text = "cannot be built: no rustc on PATH; install Rust from https://rustup.rs"
        return [Fault(str(path), 1, text)]
    command = [rustc, f"--edition={_RUST_EDITION}", "-O", "--error-format=short"]
    command += ["--crate-name", "node", "-o", str(target), str(path)]
    import subprocess

    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
    )
    if done.returncode == 0:
        return []
    matches = (_RUST_ERROR.match(line) for line in done.stderr.splitlines())
    faults = [Fault(m["file"], int(m["line"]), m["text"]) for m in matches if m]
    if faults:
        return faults
    lines = [line for line in done.stderr.splitlines() if line.startswith("error")]
    text = lines[0] if lines else f"rustc ended with {done.returncode}"
    return [Fault(str(path), 1, text)]


def check_executable(path: Path) -> list[Fault]:
    """Return why a file that is neither Python nor Rust cannot be started."""
    if not os.access(path, os.X_OK):
        kind = f"{path.suffix} files" if path.suffix else "this file"
        text = (
            f"cannot run {kind}: horus run takes Python (.py), single-file Rust (.rs) and "
            "executables; build it and name the program, or mark a script executable (chmod +x)"
        )
        return [Fault(str(path), 1, text)]
    try:
        with path.open("rb") as file:
            first = file.readline(256)
    except OSError:
        return []  # executable but not readable is allowed
    if first.startswith(b"#!"):
        words = first[2:].split()
        if not words or not os.access(words[0], os.X_OK):
            name = words[0].decode(errors="replace") if words else ""
            return [Fault(str(path), 1, f"its '#!' line names {name!r}, which cannot be run here")]
    elif not first.startswith(b"\x7fELF"):
        text = "is marked executable, but is neither a program nor a script with a '#!' line"
        return [Fault(str(path), 1, text)]
    return []

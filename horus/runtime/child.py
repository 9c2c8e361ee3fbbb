"""The first thing that runs in every process of `horus run`; it makes way for the user's program.

Started by its path, not with ``-m``, so that nothing in the current folder can shadow the standard
library here; it imports nothing of HORUS, so that a program in another language starts fast.
"""

# pathlib is not worth its import time in every process:
# ruff: noqa: PTH100, PTH119, PTH120
from __future__ import annotations

import sys

if __name__ == "__main__" and sys.path[0] == __file__.rpartition("/")[0]:
    del sys.path[0]  # this folder; the user's takes its place

import contextlib
import ctypes
import os
import signal
from collections.abc import Sequence
from types import CodeType, FrameType, ModuleType, TracebackType
from typing import NoReturn

_PR_SET_PDEATHSIG = 1
#: What the supervisor blocks while it starts a process, so that a Ctrl-C at that moment waits until
#: the process can answer it properly.
HELD_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def prctl(option: int, value: int) -> bool:
    """Set an attribute of this process; False where the kernel has no such thing."""
    try:
        return int(ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)) == 0
    except (OSError, AttributeError):  # not Linux
        return False


def die_with_parent(parent: int) -> None:
    """Have the kernel send SIGTERM to this process when its parent ends."""
    prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it ended before the call above: nobody would ever tell
        raise SystemExit(128 + signal.SIGTERM)


def _on_sigterm(signum: int, frame: FrameType | None) -> None:
    """End like `sys.exit`, so that ``finally`` blocks of a plain script run."""
    raise SystemExit(128 + signum)


def run_program(command: Sequence[str]) -> NoReturn:
    """Become an executable: ``command`` is its path, then its argv."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(signum, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_SIGNALS)
    path, *argv = command
    try:
        os.execv(path, argv or [path])
    except OSError as error:
        sys.exit(f"cannot run {path}: {error.strerror}")


def run_module(name: str, arguments: Sequence[str]) -> None:
    """Run a module as ``python -m`` does."""
    import runpy

    sys.argv = [name, *arguments]
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def run_file(path: str) -> None:
    """Run a Python file as ``python FILE`` does: same `__main__`, same ``sys.path[0]``."""
    import builtins
    import faulthandler
    import io
    from importlib.machinery import SourceFileLoader

    faulthandler.enable()  # a crash in C code shows where it came from
    sys.argv = [path]
    if not getattr(sys.flags, "safe_path", False):
        sys.path.insert(0, os.path.dirname(os.path.realpath(path)))
    module = ModuleType("__main__")
    module.__dict__.update(
        __file__=os.path.abspath(path),
        __builtins__=builtins,
        __loader__=SourceFileLoader("__main__", path),
        __cached__=None,
        __annotations__={},
    )
    sys.modules["__main__"] = module
    with io.open_code(os.path.abspath(path)) as file:
        code: CodeType = compile(file.read(), path, "exec", dont_inherit=True)
    exec(code, module.__dict__)
    hint = forgotten_run(module, os.path.basename(path))
    if hint:
        print(hint, file=sys.stderr)


def forgotten_run(module: ModuleType, file: str) -> str:
    """Return what to add to a file that made nodes, ran none of them and ended; or nothing."""
    horus_node = sys.modules.get("horus.node")
    if horus_node is None:
        return ""
    nodes = {
        name: value for name, value in vars(module).items() if isinstance(value, horus_node.Node)
    }
    if not nodes or any(str(node.info.state().value) != "uninitialized" for node in nodes.values()):
        return ""
    names = ", ".join(nodes)
    what = "the node" if len(nodes) == 1 else "the nodes"
    return (
        f"{file} defines {what} {names} but never runs it: end the file with\n"
        f'    if __name__ == "__main__":\n        horus.run({names})'
    )


def _users_part(traceback: TracebackType | None) -> TracebackType | None:
    """Leave out the frames of this file and of runpy: a traceback begins in the user's code."""
    runpy = getattr(sys.modules.get("runpy"), "__file__", "")
    ours = {__file__, runpy, "<frozen runpy>"}
    while traceback is not None and traceback.tb_frame.f_code.co_filename in ours:
        traceback = traceback.tb_next
    return traceback


def main(arguments: Sequence[str]) -> None:
    """Run ``PARENT file PATH``, ``PARENT module NAME ...`` or ``PARENT program PATH ARGV...``."""
    parent, kind, *command = arguments
    die_with_parent(int(parent))
    if kind == "program":
        run_program(command)
    signal.signal(signal.SIGTERM, _on_sigterm)
    # A shell that starts a run in the background has SIGINT ignored, and that is inherited.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_SIGNALS)
        if kind == "module":
            run_module(command[0], command[1:])
        else:
            run_file(command[0])
    except SystemExit:
        raise
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)  # asked to stop: no news, no traceback
    except BaseException as error:
        error.__traceback__ = _users_part(error.__traceback__)
        with contextlib.suppress(SystemExit):
            sys.excepthook(type(error), error, error.__traceback__)
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])

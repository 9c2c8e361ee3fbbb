"""The first thing that runs in every process of `horus run`; it makes way for the user's program.

Started by its path, not with ``-m``, so that nothing in the current folder can shadow the standard
library here; it imports nothing of HORUS, so that a program in another language starts fast.
"""

# pathlib is not worth its import time in every process:
# ruff: noqa: PTH100, PTH110, PTH112, PTH119, PTH120
from __future__ import annotations

import sys

if __name__ == "__main__" and sys.path[0] == __file__.rpartition("/")[0]:
    del sys.path[0]  # this folder; the user's takes its place

import _thread
import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Sequence
from types import CodeType, FrameType, ModuleType, TracebackType
from typing import NoReturn

_PR_SET_PDEATHSIG = 1
#: The folder of the horus package.
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + "/"
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


class StopHandler:
    """The handler of SIGINT and SIGTERM in a user's script; it remembers what it has raised.

    SIGINT raises KeyboardInterrupt, as Python's own handler does; SIGTERM ends like `sys.exit`, so
    that ``finally`` blocks run. Where that is swallowed, `horus.scheduler.signals` sees `received`.
    """

    def __init__(self) -> None:
        #: The last signal that has come; 0 = none.
        self.received = 0
        self._main_thread = _thread.get_ident()

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        self.received = signum
        raise KeyboardInterrupt if signum == signal.SIGINT else SystemExit(128 + signum)

    def install(self) -> None:
        """Handle both signals, also where a shell in the background left SIGINT ignored."""
        # asyncio cancels the main task in order only where it finds this very object.
        signal.default_int_handler = self  # type: ignore[assignment]
        signal.signal(signal.SIGINT, self)
        signal.signal(signal.SIGTERM, self)
        sys.unraisablehook = self._unraisable

    def _unraisable(self, unraisable: sys.UnraisableHookArgs) -> None:
        """Repeat a stop that came in a ``__del__`` or a weakref's callback, where it got lost."""
        if self.received and issubclass(unraisable.exc_type, (KeyboardInterrupt, SystemExit)):
            # Not `threading`: the callback may be one of an import that goes on.
            _thread.start_new_thread(self._repeat, (self.received,))
        else:
            sys.__unraisablehook__(unraisable)

    def _repeat(self, signum: int) -> None:
        time.sleep(0.005)  # until the main thread has left the callback; if it has not, once more
        signal.pthread_kill(self._main_thread, signum)

    def explains(self, error: BaseException) -> bool:
        """Return whether an exception is only what code in between made of the stop."""
        if isinstance(error, KeyboardInterrupt):
            return True
        if not self.received:
            return False
        return isinstance(error.__cause__, (KeyboardInterrupt, SystemExit)) or any(
            frame.tb_frame.f_code.co_name == "<module>"
            and frame.tb_frame.f_globals.get("__name__") != "__main__"
            for frame in _frames(error.__traceback__)  # that is, within an import
        )


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


def run_file(path: str, arguments: Sequence[str] = ()) -> None:
    """Run a Python file as ``python FILE`` does: same `__main__`, same ``sys.path[0]``."""
    import builtins
    import faulthandler
    import io
    from importlib.machinery import SourceFileLoader

    faulthandler.enable()  # a crash in C code shows where it came from
    sys.argv = [path, *arguments]
    if not getattr(sys.flags, "safe_path", False):
        folder = os.path.dirname(os.path.realpath(path))
        clone = f"{folder}/horus"
        if os.path.isdir(clone) and not os.path.exists(f"{clone}/__init__.py"):
            __import__("horus")  # else that folder would pass for an empty package

        sys.path.insert(0, folder)
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


def _file(frame: TracebackType) -> str:
    return frame.tb_frame.f_code.co_filename


def _frames(traceback: TracebackType | None) -> list[TracebackType]:
    frames = []
    while traceback is not None:
        frames.append(traceback)
        traceback = traceback.tb_next
    return frames


def _users_part(traceback: TracebackType | None) -> TracebackType | None:
    """Leave out the frames of HORUS; where all are, only those of this file and of runpy."""
    runpy = getattr(sys.modules.get("runpy"), "__file__", "")
    while traceback and _file(traceback) in (__file__, runpy, "<frozen runpy>"):
        traceback = traceback.tb_next
    theirs = [frame for frame in _frames(traceback) if not _file(frame).startswith(_PACKAGE)]
    libraries = (os.path.dirname(os.__file__) + "/", "<frozen ")
    if all(_file(frame).startswith(libraries) for frame in theirs):
        return traceback
    for frame, following in zip(theirs, [*theirs[1:], None]):  # noqa: B905 (as long)
        frame.tb_next = following
    return theirs[0]


def shorten_traceback(error: BaseException) -> None:
    """Leave the frames of HORUS out of an exception and those behind it; not if HORUS_DEBUG=1."""
    if os.environ.get("HORUS_DEBUG", "0") not in ("", "0"):
        return
    ahead: list[BaseException | None] = [error]
    seen: list[BaseException] = []
    while ahead:
        this = ahead.pop()
        if this is not None and this not in seen:
            seen.append(this)
            this.__traceback__ = _users_part(this.__traceback__)
            ahead += [this.__cause__, this.__context__]


def main(arguments: Sequence[str]) -> None:
    """Run ``PARENT file PATH ...``, ``... module NAME ...`` or ``... program PATH ARGV...``."""
    parent, kind, *command = arguments
    die_with_parent(int(parent))
    if kind == "program":
        run_program(command)
    handler = StopHandler()
    if kind == "module":
        # HORUS's own: nothing can be armed before it handles signals itself. Until then the kernel
        # ends it at once, which no import in between can swallow or wrap in an error.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    else:
        handler.install()
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_SIGNALS)
        if kind == "module":
            run_module(command[0], command[1:])
        else:
            run_file(command[0], command[1:])
    except SystemExit:
        raise
    except BaseException as error:
        if handler.explains(error):
            sys.exit(128 + (handler.received or signal.SIGINT))  # no news, no traceback
        if isinstance(error, getattr(sys.modules.get("horus.errors"), "ConfigError", ())):
            print(error, file=sys.stderr)  # names file and line itself
            sys.exit(1)
        shorten_traceback(error)
        with contextlib.suppress(SystemExit):
            sys.excepthook(type(error), error, error.__traceback__)
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])

"""Ctrl-C before a command has begun: the end at once, without a traceback of half an import.

`horus` itself begins with this. It imports nothing that Python has not loaded at its own start:
`_signal` is what `signal` makes enums of.
"""

import _signal  # type: ignore[import-not-found]
import os
import sys

#: What ``python -m`` and the installed script start the command by.
_MODULES, _ENTRY = ("horus", "horus.cli"), "horus.cli.__main__"


def status(arguments: list[str]) -> int:
    """Return the exit status of an interrupted command: of `horus run` 0, as at any time of it."""
    names = [word for word in arguments[:2] if not word.startswith("-")]
    return 0 if names[:1] == ["run"] else 128 + int(_signal.SIGINT)


def _end(signum: int, frame: object) -> None:
    # Not an exception, which an import would wrap or swallow; there is nothing to put away yet.
    words = sys.argv[1:]
    if sys.argv[0] == "-m":  # Python has not sorted them yet
        words = sys.orig_argv[sys.orig_argv.index("-m") + 2 :]
    os._exit(status(words))


def begin() -> None:
    """Let SIGINT end this process at once, unless it is handled or ignored already."""
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _end)


def over() -> None:
    """Let SIGINT raise KeyboardInterrupt again: from now on there is something to put away."""
    if _signal.getsignal(_signal.SIGINT) is _end:
        _signal.signal(_signal.SIGINT, _signal.default_int_handler)


def begin_if_command() -> None:
    """Do as `begin` where this process is the `horus` command; a program of a user is not."""
    argv = getattr(sys, "argv", None) or [""]
    if argv[0] == "-m":
        words = sys.orig_argv
        at = words.index("-m") + 1 if "-m" in words else len(words)
        if words[at : at + 1] and words[at] in _MODULES:
            begin()
    elif os.path.basename(argv[0]) == "horus":  # noqa: PTH119 - pathlib takes its time
        script = sys._getframe()
        while script.f_back is not None:
            script = script.f_back
        if _ENTRY in script.f_code.co_names:
            begin()

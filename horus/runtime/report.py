"""What a run tells while it runs: the lines of its processes and how each of them ended."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path

from horus.runtime.lastwords import speak
from horus.runtime.output import Output, as_utf8
from horus.runtime.process import Process, describe_end
from horus.runtime.runlog import RunLog

#: How the run's own words begin where something went wrong.
_GRAVE = ("Crashed", "Killed", "Lost", "Failed")
#: Of what a process says while it is stopped alone, so many lines and bytes of each are kept.
MOST_LINES, MOST_BYTES = 40, 500
_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)


class Reporter:
    """Prints the lines of processes, each with its name before it, and their ends."""

    def __init__(self, output: Output, session_path: Path, *, colour: bool) -> None:
        self._output = output
        self._session_path = session_path
        self._colour = colour
        self._prefixes: dict[Process, bytes] = {}
        self._log = RunLog(session_path)
        self._held: list[tuple[Process, list[bytes]]] | None = []

    def say(self, text: str) -> None:
        """Print the run's own words."""
        self._output.say(text + "\n")
        if text.strip():
            crash = text.lstrip().startswith(_GRAVE)
            self._log.add("", [text.strip().encode()], "crash" if crash else "node")

    def lines(self, process: Process, lines: list[bytes]) -> None:
        """Print lines of a process; before `release` they wait."""
        if not lines:
            return
        self._log.add(process.name, lines, process.program.kind)
        if process.ordered and len(process.last_lines) < MOST_LINES:
            process.last_lines += [line[:MOST_BYTES].decode("utf-8", "replace") for line in lines]
        if self._held is not None:
            self._held.append((process, lines))
            return
        self._show(process, lines)

    def _show(self, process: Process, lines: list[bytes]) -> None:
        prefix = self._prefix(process)
        text = b"".join(b"%s %s\n" % (prefix, as_utf8(line)) for line in lines)
        self._output.write(text, len(lines))

    def _prefix(self, process: Process) -> bytes:
        if process not in self._prefixes:
            prefix = f"[{process.name}]".encode("utf-8", "replace")
            if self._colour:
                colour = _COLOURS[len(self._prefixes) % len(_COLOURS)]
                prefix = b"\x1b[%dm%s\x1b[0m" % (colour, prefix)
            self._prefixes[process] = prefix
        return self._prefixes[process]

    def release(self) -> None:
        """Print what processes printed while the list of started processes was."""
        held, self._held = self._held or [], None
        for process, lines in held:
            self._show(process, lines)

    def ends(self, processes: Sequence[Process]) -> list[Process]:
        """Tell of each process that has ended since the last look, once; return those."""
        if self._held is not None:
            return []
        ended = [p for p in processes if not p.running and not p.told]
        for process in ended:
            process.told = True
            self.lines(process, process.read_rest())
            self.say(describe(process))
            # A driver that ended with 0 has withdrawn its last words; if not, it left them to us.
            if process.code != 0 or process.program.kind == "driver":
                self.speak_for(process)
        return ended

    def speak_for(self, process: Process) -> None:
        """Make safe what a process has left armed, and tell of it."""
        why = "hung" if process.hung else describe_end(process.code)
        for line in speak(self._session_path, process.pid, why):
            self.say(line)
            process.last_words.append(line.strip())


def describe(process: Process) -> str:
    """Return the line that tells how a process ended."""
    name = f"[{process.name}]"
    if process.lost:
        return f"   Lost {name}: not even SIGKILL ends it; it hangs in a device driver"
    if process.hung:
        return f"   Killed {name}: it {process.hung}"
    if process.asked is None:
        if process.code == 0:
            return f"   Ended {name}"
        return f"   Crashed {name}: {describe_end(process.code)}"
    if process.asked == signal.SIGKILL and process.code == -signal.SIGKILL:
        if process.hurried:
            return f"   Killed {name} ({process.hurried})"
        return f"   Killed {name}: it ended neither on SIGINT nor on SIGTERM"
    if not process.ended_well:
        return f"   Failed {name} while it stopped: {describe_end(process.code)}"
    if process.asked == signal.SIGTERM:
        if process.hurried:
            return f"   Stopped {name} by SIGTERM ({process.hurried})"
        return f"   Stopped {name} by SIGTERM: it did not end on SIGINT"
    return f"   Stopped {name}"

"""The flight recorder: keeps the last seconds in memory, and writes them when there is a reason."""

from __future__ import annotations

import argparse
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from horus_plugins.recording.errors import RecordingError
from horus_plugins.recording.record_command import End, ending_of, note_about, say_absent

if TYPE_CHECKING:
    from horus_plugins.recording.mcapfile import McapFile
    from horus_plugins.recording.sinks import Kept


def fly(args: argparse.Namespace, run: str, path: Path) -> int:
    """Keep the last seconds, and write them when there is a reason."""
    from horus_plugins.recording import flight
    from horus_plugins.recording.recorder import Recorder
    from horus_plugins.recording.sinks import MemorySink

    if path.exists() and not args.force:
        raise RecordingError(f"{path} exists: name another file, or replace it with --force", 2)
    over = End(run, args.duration)
    triggers = flight.Triggers()
    signal.signal(signal.SIGUSR1, lambda *_: triggers.ask())
    sink = MemorySink(args.ring, args.ring_size, args.compression)
    recorder = Recorder(sink, args.topics, args.exclude, watch=triggers.watch)
    writer = flight.Writer()
    note = flight.announce()
    print(f"keeping the last {args.ring:g} s of session {run} (process {os.getpid()})", flush=True)
    say_absent(recorder)
    due: list[Any] = []  # when to write, and why

    def write() -> None:
        name = path if not writer.begun else path.with_stem(f"{path.stem}-{writer.begun + 1}")
        reasons = due[1:]
        due.clear()
        if recorder.channels.chunk.count:
            sink.put(recorder.channels.take())
        ending = ending_of(recorder, "; ".join(reasons))

        def about(file: McapFile, words: dict[str, str]) -> None:
            note_about(file, recorder, run)
            file.add_metadata("horus.end", {**ending, **words})

        kept = sink.kept(recorder.channels)  # a moment; the writing is done beside the reading
        writer.begin(lambda: _write(kept, name, about, reasons, force=args.force))

    def look() -> bool:
        reasons = triggers.look(recorder)
        if reasons:
            print(f"{'; '.join(reasons)}: writing in {args.after:g} s", flush=True)
            due[:] = [due[0] if due else time.monotonic() + args.after, *due[1:], *reasons]
        ended = over()
        if due and not writer.busy and (ended or time.monotonic() >= due[0]):
            write()
        return ended

    try:
        recorder.run(look)
        writer.wait()
        if due:  # a reason that came while another one was being written
            write()
            writer.wait()
        recorder.close()
    finally:
        flight.withdraw(note)
    print(f"{over.why}; {_counted(writer.written, 'recording')} written")
    return 1 if writer.failed else 0


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _write(
    kept: Kept,
    path: Path,
    about: Callable[[McapFile, dict[str, str]], None],
    reasons: list[str],
    *,
    force: bool,
) -> None:
    """Write what was kept."""
    if force:
        path.unlink(missing_ok=True)
    count = kept.write(path, about)
    print(f"{path}: {count} messages ({'; '.join(reasons)})", flush=True)

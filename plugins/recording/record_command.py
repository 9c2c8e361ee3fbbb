"""Record the topics of a running robot into an MCAP file, which Foxglove and other tools open.

TOPIC is a name or a pattern such as "*.state"; without any, all are recorded. Ctrl-C ends it. What
the recorder was too slow for is counted and told; a topic that is not there yet is recorded when it
comes. With --ring it keeps the last seconds in memory
and writes them when a device faults, an emergency stop fires, a process crashes, or it is asked to
(horus record --trigger).
"""

from __future__ import annotations

import argparse
import re
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from horus_plugins.recording.errors import RecordingError, need_mcap
from horus_plugins.recording.progress import Progress

from horus.cli import live

if TYPE_CHECKING:
    from horus_plugins.recording.mcapfile import McapFile
    from horus_plugins.recording.recorder import Recorder

_EXAMPLES = """\
examples:
  horus record -o run.mcap                       everything, until Ctrl-C
  horus record imu "*.state" -o run.mcap --duration 60s
  horus record --bus -o run.mcap                 what goes over I2C, CAN and serial ports too
  horus record --ring 60s -o flight.mcap         the last minute, at the moment of a fault
  horus record --trigger                         let the flight recorder write now
"""
_UNITS = {"": 1.0, "s": 1.0, "ms": 1e-3, "m": 60.0, "min": 60.0, "h": 3600.0}
_SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def seconds(text: str) -> float:
    """Return a time such as ``60s``, ``2min`` or ``1.5`` in seconds."""
    match = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*([a-z]*)", text.strip().lower())
    if not match or match[2] not in _UNITS:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: write 60s, 2min or 1.5")
    return float(match[1]) * _UNITS[match[2]]


def length(text: str) -> float:
    """As `seconds`, but of something that lasts: above 0."""
    value = seconds(text)
    if not value:
        raise argparse.ArgumentTypeError(f"{text!r}: it must be above 0")
    return value


def size(text: str) -> int:
    """Return a size such as ``256M`` in bytes."""
    match = re.fullmatch(r"(\d+)\s*([kmg]?)b?", text.strip().lower())
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is no size: write 256M or 1G")
    return int(match[1]) * _SIZES[match[2]]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus record`."""
    parser.epilog = _EXAMPLES
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help="names or patterns")
    parser.add_argument("-o", "--output", metavar="FILE", help="default: horus-<date>-<time>.mcap")
    parser.add_argument("--exclude", action="append", default=[], metavar="TOPIC", help="not these")
    parser.add_argument(
        "--bus", action="store_true", help="what goes over the buses too (needs horus run --wire)"
    )
    parser.add_argument("--duration", type=length, metavar="TIME", help="end after this time")
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    parser.add_argument("--compression", choices=("zstd", "lz4", "none"), default="zstd")
    parser.add_argument("--ring", type=length, metavar="TIME", help="keep this much in memory")
    parser.add_argument(
        "--ring-size",
        type=size,
        default=256 << 20,
        metavar="SIZE",
        help="of it at most, compressed (default 256M; twice that while it is being written)",
    )
    parser.add_argument(
        "--after", type=seconds, default=2.0, metavar="TIME", help="ring: go on so long (2s)"
    )
    parser.add_argument("--trigger", action="store_true", help="let the flight recorder write now")
    live.add_session(parser)


def main(args: argparse.Namespace) -> int:
    """Record; 1 when what was named never came, or cannot be written; 2 when it cannot begin."""
    need_mcap()
    run = live.join(args)
    if args.trigger:
        from horus_plugins.recording.flight import ask_for

        print(f"asked process {ask_for()} to write")
        return 0
    _choose_buses(args)
    path = Path(args.output or time.strftime("horus-%Y%m%d-%H%M%S.mcap"))
    if args.ring:
        from horus_plugins.recording.flying import fly

        return fly(args, run, path)
    return _record(args, run, path)


def _choose_buses(args: argparse.Namespace) -> None:
    """Leave bus traffic out unless it is asked for, by --bus or by name."""
    from horus_plugins.recording.recorder import WIRE

    from horus.bus.observer import topic_names

    if args.bus:
        if not any(name.startswith(WIRE) for name in topic_names()):
            text = "this run does not show its bus traffic: start it with horus run --wire"
            raise RecordingError(text, 2)
        if args.topics:
            args.topics.append(f"{WIRE}*")
    elif not any(topic.startswith(WIRE) for topic in args.topics):
        args.exclude.append(f"{WIRE}*")


class End:
    """When to stop: at a signal, after a time, or when the run is over."""

    def __init__(self, run: str, duration: float | None) -> None:
        from horus.bus import session

        self._folder = session.session_dir(run)
        #: How long (s) is to be recorded; None until somebody ends it.
        self.length = duration
        self._until = None if duration is None else time.monotonic() + duration
        self._looked = time.monotonic()
        self.why = ""
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, self._stop)

    def _stop(self, *_: object) -> None:
        self.why = "stopped"

    def __call__(self) -> bool:
        """Return whether it is time; ``why`` says for what reason."""
        now = time.monotonic()
        if not self.why and self._until is not None and now >= self._until:
            self.why = "the time is over"
        if not self.why and now - self._looked > 0.2:
            self._looked = now
            if not self._folder.is_dir():
                self.why = "the run has ended"
        return bool(self.why)


def _record(args: argparse.Namespace, run: str, path: Path) -> int:
    from horus_plugins.recording.mcapfile import McapFile
    from horus_plugins.recording.recorder import Recorder
    from horus_plugins.recording.sinks import FileSink

    file = McapFile(path, force=args.force)
    over = End(run, args.duration)
    sink = FileSink(file, args.compression)
    recorder = Recorder(sink, args.topics, args.exclude)
    file.schemas, file.channels = recorder.channels.schemas, recorder.channels.channels
    began = time.monotonic()
    status = 0
    try:
        note_about(file, recorder, run)
        print(f"recording session {run} to {path}; Ctrl-C ends it", flush=True)
        say_absent(recorder)
        _watch(recorder, over, began)
    except RecordingError as error:
        print(f"horus record: {error}", file=sys.stderr)
        over.why, status = "the file cannot be written", 1
    try:
        recorder.close()
    except RecordingError as error:
        status = status or _told(error)
    sink.close()
    try:
        sink.check()
    except RecordingError as error:
        status = status or _told(error)
    try:  # after a full disk too: what did not fit was cut off again, and this may fit
        file.add_metadata("horus.end", ending_of(recorder, over.why))
        file.finish()
    except RecordingError as error:
        file.close()
        status = status or _told(error)
    took = time.monotonic() - began
    print(f"{path}: {file.count} messages in {took:.1f} s, {file.size / 1e6:.2f} MB ({over.why})")
    _tell(recorder, file.count)
    return status or int(bool(recorder.absent) and not file.count)


def say_absent(recorder: Recorder) -> None:
    """Tell people which of the topics that they named are not there, or not yet."""
    from horus.bus.observer import topic_names
    from horus.errors import did_you_mean

    for name in recorder.absent:
        near = did_you_mean(name, topic_names())
        text = f"no topic {name!r} here{near}: it is recorded when it comes"
        print(f"horus record: {text}", file=sys.stderr, flush=True)


def _told(error: RecordingError) -> int:
    print(f"horus record: {error}", file=sys.stderr)
    return 1


def _watch(recorder: Recorder, over: End, began: float) -> None:
    """Record; on a terminal, show how it goes."""
    progress = Progress()

    def ended() -> bool:
        if not progress.due:
            return over()
        took = time.monotonic() - began
        lost = sum(recorder.lost.values())
        words = f"{took:.0f} s, {len(recorder.ends)} topics, {recorder.count} messages, {lost} lost"
        if over.length is None:
            progress.say(words)
        else:
            progress.show(took / max(over.length, 1e-9), words)
        return over()

    try:
        recorder.run(ended)
    finally:
        progress.clear()


def note_about(file: McapFile, recorder: Recorder, run: str) -> None:
    """Write what the recording is of."""
    import platform

    from horus_plugins.recording.bag import VERSION

    from horus import __version__
    from horus.bus import session

    now_ns = time.time_ns()
    about = {
        "version": str(VERSION),
        "horus": __version__,
        "session": run,
        "host": platform.node(),
        "offset_ns": str(recorder.channels.offset_ns),
        "began": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    file.add_metadata("horus.recording", about)
    for config in _configs(run):
        file.add_attachment(config.name, "application/yaml", config.read_bytes(), now_ns)
    devices = session.session_dir(run) / "devices.json"
    if devices.is_file():
        file.add_attachment("devices.json", "application/json", devices.read_bytes(), now_ns)


def _configs(run: str) -> list[Path]:
    """Return the horus.yaml of a run, as the command lines of its processes name it."""
    from horus.runtime.sessions import noted_processes

    found: dict[Path, None] = {}
    for process in noted_processes(run):
        try:
            words = Path(f"/proc/{process.pid}/cmdline").read_bytes().decode().split("\0")
        except (OSError, UnicodeDecodeError):
            continue
        if "--config" in words[:-1]:
            folder = Path(f"/proc/{process.pid}/cwd")
            path = (folder / words[words.index("--config") + 1]).resolve()
            path = path / "horus.yaml" if path.is_dir() else path
            if path.is_file():
                found[path] = None
    return list(found)


def ending_of(recorder: Recorder, why: str) -> dict[str, str]:
    """Return what a file says at its end: why it ends, and what is not in it."""
    about = {"why": why, "messages": str(recorder.count)}
    about |= {f"lost {name}": str(number) for name, number in recorder.lost.items()}
    return about | {f"trouble {name}": text for name, text in recorder.troubles.items()}


def _tell(recorder: Recorder, written: int) -> None:
    """Print what is not in the file, and why."""
    if recorder.count > written:
        print(f"  {recorder.count - written} messages were read and could not be written")
    for name in recorder.absent:
        print(f"  {name}: no such topic came")
    for name, number in sorted(recorder.lost.items()):
        print(f"  {name}: {number} lost, the recorder was too slow for them")
    for name, text in sorted(recorder.troubles.items()):
        print(f"  {name}: not recorded: {text}")

"""Show the devices of a running robot: their state, bus, place, identity, rate and errors.

The exit status is 0 only if all devices are ready or active; 1 when one is not; 2 when no robot
runs. A device that has said nothing is starting, stopped (by horus node stop) or gone: its process
tells which, and the message says what to do.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from horus.cli import live, tables

if TYPE_CHECKING:
    from horus.bus.observer import Observer
    from horus.msgs import DeviceStatus
    from horus.runtime.sessions import RunProcess

_EXAMPLES = """\
examples:
  horus devices            how they are
  horus devices -f         every change, until Ctrl-C
  horus devices --json
"""
SUFFIX = ".status"
HEAD = ("DEVICE", "STATE", "DRIVER", "BUS", "IDENTITY", "RATE", "ASKED", "ERRORS", "", "MESSAGE")
#: Devices say how they are at every change and once a second: how long to wait for it (s), and
#: after what silence (s) one is gone.
PATIENCE, GONE = 1.5, 5.0
#: For so long (s) a process may take to begin its devices; on a busy computer it takes seconds.
STARTING = 30.0
GOOD = ("ready", "active")
#: What is told of those that say nothing themselves.
SILENT = ("starting", "stopped", "gone")
ABANDONED = "no process looks after it: see what horus run has printed"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus devices`."""
    parser.epilog = _EXAMPLES
    parser.add_argument("--json", action="store_true", help="print JSON, one line a look with -f")
    parser.add_argument("-f", "--follow", action="store_true", help="go on, until Ctrl-C")
    live.add_session(parser)


def main(args: argparse.Namespace) -> int:
    """Print the devices; see the exit status above."""
    live.join(args)
    watch = Watch()
    try:
        watch.wait()
        if not args.follow:
            _print(watch, args.json)
            return 0 if watch.good else 1
        before = None
        while True:
            now = [row[:5] for row in watch.rows()]
            if now != before or args.json:
                _print(watch, args.json)
                before = now
            time.sleep(0.5)
            watch.look()
    finally:
        watch.close()


class Watch:
    """The newest status of each device of the run; they do not notice that somebody looks."""

    def __init__(self) -> None:
        from horus.msgs import DeviceStatus
        from horus.runtime.sessions import noted_devices

        self._ends: dict[str, Observer] = {}
        self._process_of = {device.name: device.process for device in noted_devices()}
        self._processes: dict[str, RunProcess] = {}
        #: Whom there is to hear of, as if it had said nothing since long ago.
        self._listed = {
            d.name: DeviceStatus(name=d.name, driver=d.driver, bus=d.bus, place=d.place, stamp=0.0)
            for d in noted_devices()
        }
        self.newest: dict[str, DeviceStatus] = {}

    def look(self) -> None:
        """Take what has come, also from devices that are new."""
        from horus.bus.observer import Observer, topic_names
        from horus.errors import TopicError
        from horus.msgs import DeviceStatus

        self._processes = _processes()
        for name in [name for name, end in self._ends.items() if end.gone]:
            self._ends.pop(name).close()
        for name in topic_names():
            if name.endswith(SUFFIX) and name not in self._ends:
                try:
                    self._ends[name] = Observer(name, latch=True)
                except TopicError:
                    continue
        for end in self._ends.values():
            try:
                status = end.latest()
            except TopicError:
                continue  # a status of the user's own, of a type that is not known here
            if isinstance(status, DeviceStatus):
                self.newest[status.name] = status

    def wait(self) -> None:
        """Look until all devices have said how they are, for a limited time."""
        deadline = time.monotonic() + PATIENCE
        while True:
            self.look()
            known = len(self.newest)
            complete = known == len(self._ends) and self._listed.keys() <= self.newest.keys()
            if time.monotonic() > deadline or (known and complete):
                return
            time.sleep(0.02)

    @property
    def good(self) -> bool:
        """Whether there are devices and all of them are ready or active."""
        found = self.statuses()
        return bool(found) and all(self.state(status) in GOOD for status in found)

    def state(self, status: DeviceStatus) -> str:
        """Return the state of a device; one that has said nothing for too long has none itself."""
        return self._silence(status)[0] if _silent(status) else status.state

    def message(self, status: DeviceStatus) -> str:
        """Return what there is to say of a device, without its name and state."""
        if _silent(status):
            return self._silence(status)[1]
        return status.message.partition(": ")[2].partition("; ")[0] or status.message

    def _silence(self, status: DeviceStatus) -> tuple[str, str]:
        """Return the state of a silent device and why it is silent: what became of its process."""
        from horus.runtime.sessions import STOPPED
        from horus.runtime.usage import usage

        name = self._process_of.get(status.name, "")
        process = self._processes.get(name)
        if not name:
            return "gone", ABANDONED
        if process is None:
            return "starting", f"its process {name} is not there yet"
        if process.end == STOPPED:
            return "stopped", f"{STOPPED}: horus node restart {name} starts it again"
        alive = usage(process, memory=False)
        if alive is None:
            end = f" ({process.end})" if process.end else ""
            return "gone", f"its process {name} has ended{end}: see horus log --node {name}"
        if alive.age < STARTING and status.stamp < time.time() - alive.age:
            return "starting", f"its process {name} began {alive.age:.0f} s ago"
        return "gone", f"its process {name} runs and says nothing: see horus log --node {name}"

    def rows(self) -> list[tuple[str, ...]]:
        """Return a line of words for each device."""
        return [
            (
                status.name,
                self.state(status),
                status.driver,
                f"{status.bus}{status.place and f':{status.place}'}",
                status.identity,
                f"{status.rate:.1f}",
                f"{status.asked_rate:g} Hz",
                str(status.errors),
                "MOCK" if status.mock else "",
                self.message(status),
            )
            for status in self.statuses()
        ]

    def objects(self) -> list[Mapping[str, Any]]:
        """Return the fields of each device's status, for programs."""
        fields = [field.name for field in self._fields()]
        found: list[Mapping[str, Any]] = []
        for status in self.statuses():
            about = {name: getattr(status, name) for name in fields}
            about["state"] = self.state(status)
            if _silent(status):
                about["message"] = self.message(status)
            found.append({n: None if _is_nan(value) else value for n, value in about.items()})
        return found

    @staticmethod
    def _fields() -> Any:
        from horus.msgs import DeviceStatus

        return DeviceStatus.__horus_spec__.fields  # type: ignore[attr-defined]

    def statuses(self) -> list[DeviceStatus]:
        """Return the newest status of each device by name; that of a silent one has the stamp 0."""
        found = {**self._listed, **self.newest}
        return [found[name] for name in sorted(found)]

    def close(self) -> None:
        """Leave the topics."""
        for end in self._ends.values():
            end.close()


def _silent(status: DeviceStatus) -> bool:
    return time.time() - status.stamp > GONE


def _processes() -> dict[str, RunProcess]:
    """Return the processes of the run by name; of two of one name the one started last."""
    from horus.runtime.sessions import noted_processes

    joined = os.environ.get("HORUS_SESSION_ID")
    return {process.name: process for process in noted_processes(joined)} if joined else {}


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _print(watch: Watch, as_json: bool) -> None:
    if as_json:
        print(json.dumps(watch.objects()), flush=True)
    elif rows := watch.rows():
        print(tables.plain(HEAD, rows), end="", flush=True)
    else:
        print("this run has no devices", flush=True)

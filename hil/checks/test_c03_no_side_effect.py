"""C3: importing a driver and making it touches nothing: no bus, no file, no process, no thread."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from horus.hardware import words
from horus.hardware.buses import make_link
from horus.plugins import drivers
from horus.testing import hil
from horus.testing.rig.figures import Recorder
from horus.testing.rig.under_test import DeviceUnderTest

#: What a driver's module may not load: it is needed when a bus is opened, not before.
HEAVY = ("can", "canopen", "numpy", "pymodbus", "pynmeagps", "pyubx2", "serial", "smbus2")
_PROGRAM = """\
import json, sys, threading, time
import horus.hal, horus.msgs
heavy, module = json.loads(sys.argv[1])
done = []
def told(event, arguments):
    if event == "open":
        path, mode = str(arguments[0]), str(arguments[1])
        if path.startswith("/dev/") or (arguments[1] and set("wax+") & set(mode)):
            done.append(f"opens {path}")
    elif event in ("socket.__new__", "subprocess.Popen", "os.system", "os.fork", "os.mkdir"):
        done.append(event)
threads = threading.active_count()
sys.addaudithook(told)
began = time.perf_counter()
__import__(module)
seconds = time.perf_counter() - began
found = [*done, *[f"imports {name}" for name in heavy if name in sys.modules]]
if threading.active_count() != threads:
    found.append("starts a thread")
print(json.dumps([seconds, found]))
"""


@hil.check("C3")
def test_making_it_says_nothing_on_the_bus(device: DeviceUnderTest) -> None:
    entry = device.entry
    kind = entry.driver.map_type.bus_kind
    if kind not in words.KINDS:
        pytest.skip(f"nobody can listen to what is said on a bus of kind {kind}")
    ear = words.ear(kind)
    entry.driver(entry.config, make_link(ear, None, device.name, entry.station))
    assert ear.heard == [], f"making {entry.driver.__name__} says {ear.heard} on the bus"


@hil.check("C3")
def test_importing_it_does_nothing_and_loads_no_bus_library(
    device: DeviceUnderTest, figure: Recorder
) -> None:
    module = drivers()[device.use].target.partition(":")[0]
    command = [sys.executable, "-c", _PROGRAM, json.dumps([HEAVY, module])]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    printed, _, last = done.stdout.rstrip("\n").rpartition("\n")
    assert printed == "", f"importing {module} prints {printed!r}"
    seconds, found = json.loads(last)
    assert found == [], f"importing {module}: {', '.join(found)}"
    figure("import_ms", seconds * 1e3, "ms")

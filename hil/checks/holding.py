"""Another process that has a device's place on its bus."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from horus.hardware.claims import Claims
from horus.testing.rig.under_test import DeviceUnderTest

_PROGRAM = """\
import json, sys
from horus.hardware.claims import Claims
place, holder, whole, stations = json.loads(sys.argv[1])
Claims(place, whole=whole).take(holder, stations)
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held_by_another(device: DeviceUnderTest) -> Iterator[int]:
    """Close the device, let another process take its place, open it again; yield that one's pid.

    Simulated buses are not claimed in earnest: this one is, for as long as the test lasts.
    """
    bus, entry = device.node.bus, device.node.device
    whole = entry.driver.map_type.bus_kind == "serial"
    device.close()
    if bus.claims is None:
        bus.claims = Claims(f"simulated {entry.bus} of {device.name}", whole=whole)
    stations = [*filter(None, entry.place.split(","))]
    with taken_elsewhere(bus.claims.place, "holder", whole=whole, stations=stations) as pid:
        device.reopen()
        yield pid


@contextmanager
def taken_elsewhere(
    place: str, holder: str, *, whole: bool, stations: Sequence[str] = ()
) -> Iterator[int]:
    """Let another process hold a place, whole or stations of it; yield its pid."""
    about = json.dumps([place, holder, whole, [*stations]])
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, about],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process.pid
        process.communicate("")

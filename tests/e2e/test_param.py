"""`horus param` beside a run."""

from __future__ import annotations

import json

import pytest

DRIVE = """\
import horus
from horus import Param

def tick(node):
    if (gain := node.param("gain")) != getattr(tick, "said", 1.0):
        tick.said = gain
        print(f"gain {gain} {node.param('mode')}", flush=True)

horus.run(horus.Node("drive", tick=tick, rate=50, params={
    "gain": Param(1.0, low=-2, high=10, unit="1/s", doc="of the velocity loop"),
    "mode": Param("slow", choices=("slow", "fast")),
    "on": True,
}))
"""


@pytest.fixture
def command(horus_command):
    """Run a `horus` command to its end; return status, output and errors."""

    def to_the_end(*arguments: str) -> tuple[int, str, str]:
        run = horus_command(*arguments)
        return run.finish(), run.out, run.err

    return to_the_end


@pytest.fixture
def drive(horus_run, write):
    write("drive.py", DRIVE)
    run = horus_run("drive.py")
    run.wait_for("All processes running")
    return run


def test_parameters_are_listed_read_and_changed(drive, command, wait_for):
    wait_for(lambda: command("param", "list")[0] == 0)
    out = command("param", "list")[1]
    assert "drive.gain  1 1/s" in out and "of the velocity loop" in out
    assert command("param", "get", "drive.gain")[1] == "1 1/s\n"
    assert command("param", "set", "drive.mode", "fast")[1] == "drive.mode = 'fast'\n"
    assert command("param", "set", "drive.gain", "-1.5")[1] == "drive.gain = -1.5 1/s\n"
    drive.wait_for("gain -1.5 fast")
    assert command("param", "set", "drive.on", "off")[1] == "drive.on = false\n"
    found = {one["name"]: one for one in json.loads(command("param", "list", "--json")[1])}
    assert (found["gain"]["value"], found["gain"]["default"]) == (-1.5, 1.0)


def test_what_makes_no_sense(drive, command, wait_for):
    wait_for(lambda: command("param", "list")[0] == 0)
    for arguments, status, text in (
        (
            ["set", "drive.gain", "11"],
            1,
            "drive.gain must be at least -2 and at most 10 1/s, not 11",
        ),
        (["set", "drive.gain", "much"], 1, "drive.gain must be a number, not 'much'"),
        (["set", "drive.mode", "fsat"], 1, "must be one of slow, fast"),
        (["get", "drive.gian"], 1, "drive has no parameter 'gian' (did you mean 'gain'?)"),
        (["get", "drvie.gain"], 1, "no node 'drvie' with parameters (did you mean 'drive'?)"),
        (["get", "gain"], 1, "is not NODE.PARAMETER"),
        (["gte"], 2, "did you mean 'get'"),
    ):
        found = command("param", *arguments)
        assert (found[0], found[1]) == (status, ""), found
        assert text in found[2]

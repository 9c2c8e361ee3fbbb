"""Parameters that horus.yaml gives a node to start with."""

from __future__ import annotations

import pytest

import horus
from horus import Param
from horus.errors import ConfigError
from horus.hardware.config import RobotError, load
from horus.node import startvalues
from horus.testing import SimRobot

NODE = """\
import horus
from horus import Param

def tick(node):
    node.send("said", {"gain": node.param("gain")})

horus.run(horus.Node("drive", pubs="said", tick=tick, rate=50,
                     params={"gain": Param(1.0, low=0, high=10, unit="1/s"), "mode": "slow"}))
"""


def drive(**params):
    return horus.Node("drive", tick=print, params={"gain": Param(1.0, high=10), **params})


def test_they_are_taken_by_name_or_by_node_and_name():
    one, other = drive(mode="slow"), horus.Node("other", tick=print, params={"gain": 1.0})
    startvalues.apply([one, other], {"gain": (3, "f:1"), "drive.mode": ("fast", "f:2")})
    assert one.param("gain") == 3.0 and other.param("gain") == 3.0
    assert one.param("mode") == "fast"
    node = drive()
    startvalues.apply([node], {"gain": (3, "f:1"), "drive.gain": (4, "f:2")})
    assert node.param("gain") == 4.0, "the node's own"


def test_all_that_does_not_fit_is_told_at_once_with_its_place():
    given = {"gain": (11, "f:1"), "mod": ("fast", "f:2"), "drvie.gain": (1, "f:3")}
    with pytest.raises(ConfigError) as caught:
        startvalues.apply([drive(mode="slow")], given)
    assert caught.value.faults == (
        "f:1: drive.gain must be at most 10, not 11.0",
        "f:2: no node of this file has a parameter 'mod' (did you mean 'mode'?)",
        "f:3: no node of this file has a parameter 'drvie.gain' (did you mean 'drive.gain'?)",
    )


def test_what_a_person_has_set_is_kept_when_the_node_starts_again():
    node = drive()
    startvalues.apply([node], {"gain": (3, "f:1")})
    node._node_params._set("gain", 4)
    startvalues.apply([node], {"gain": (3, "f:1")})
    assert node.param("gain") == 4.0


def test_they_come_from_horus_yaml(tmp_path):
    (tmp_path / "drive.py").write_text(NODE)
    (tmp_path / "horus.yaml").write_text(
        "nodes:\n  - run: drive.py\n    params: {gain: 1e0, drive.mode: fast}\n"
    )
    (entry,) = load(tmp_path).entries
    place = f"{tmp_path / 'horus.yaml'}:3"
    assert entry.launch.params == {"gain": (1.0, place), "drive.mode": ("fast", place)}
    (tmp_path / "horus.yaml").write_text(
        "nodes:\n  - run: drive.py\n    params:\n      gain: [1]\n      a b: 1\n      x: .nan\n"
    )
    with pytest.raises(RobotError) as caught:
        load(tmp_path)
    text = str(caught.value)
    assert "horus.yaml:4: nodes: item 1.params.gain: must be a number, a text, true or" in text
    assert "'a b' is no PARAMETER or NODE.PARAMETER" in text
    assert "horus.yaml:6: nodes: item 1.params.x: must be finite" in text


def test_a_robot_in_simulated_time_has_them_too(tmp_path):
    (tmp_path / "drive.py").write_text(NODE)
    (tmp_path / "horus.yaml").write_text("nodes: [{run: drive.py, params: {gain: 7}}]\n")
    with SimRobot(tmp_path) as robot:
        robot.run(0.1)
        assert robot.latest("said") == {"gain": 7.0}
    (tmp_path / "horus.yaml").write_text("nodes: [{run: drive.py, params: {gain: 70}}]\n")
    with pytest.raises(ConfigError, match=r"horus.yaml:1: drive.gain must be .* at most 10"):
        SimRobot(tmp_path)

"""Single values changed in horus.yaml, every other character kept."""

from __future__ import annotations

import pytest
import yaml

from horus.hardware.yamledit import EditError, changed, scalar

ROBOT = """\
# the rover
name: rover   # as on the label
nodes:
  - "nodes/*.py"
  # tuned by hand
  - run: nodes/drive.py
    params: {gain: 1.0, mode: slow}   # 1/s
  - {run: nodes/arm.py, name: arm}

hardware:
  imu:
    use: mpu6050
    rate: 100     # Hz

  # both wheels
  left: {use: odrive, max_velocity: 12.0, }
  right: {use: odrive}
"""


@pytest.mark.parametrize(
    ("place", "value", "old", "new"),
    [
        (("nodes", 1, "params", "gain"), 2.5, "{gain: 1.0, mode", "{gain: 2.5, mode"),
        (("nodes", 1, "params", "on"), True, "mode: slow}", "mode: slow, on: true}"),
        (("nodes", 2, "params"), {"a.b": "x y"}, "name: arm}", 'name: arm, params: {a.b: "x y"}}'),
        (("hardware", "imu", "rate"), 50.0, "rate: 100 ", "rate: 50.0 "),
        (
            ("hardware", "imu", "gyro_range"),
            500,
            "rate: 100     # Hz\n",
            "rate: 100     # Hz\n    gyro_range: 500\n",
        ),
        (("hardware", "left", "rate"), 5, "12.0, }", "12.0, rate: 5 }"),
        (("hardware", "right", "rate"), 5, "right: {use: odrive}", "right: {use: odrive, rate: 5}"),
        (
            ("nodes", 3),
            {"run": "nodes/x.py", "params": {"gain": 1}},
            "name: arm}\n",
            "name: arm}\n  - {run: nodes/x.py, params: {gain: 1}}\n",
        ),
    ],
)
def test_one_place_changes_and_nothing_else(place, value, old, new):
    assert ROBOT.count(old) == 1
    assert changed(ROBOT, place, value) == ROBOT.replace(old, new)


def test_line_ends_and_a_missing_one_at_the_end_are_kept():
    text = ROBOT.replace("\n", "\r\n")
    wanted = text.replace("# Hz\r\n", "# Hz\r\n    mount: +y\r\n")
    assert changed(text, ("hardware", "imu", "mount"), "+y") == wanted.replace("+y", '"+y"')
    assert changed("a:\n  b: 1", ("a", "c"), 2) == "a:\n  b: 1\n  c: 2\n"
    assert changed("a: {}", ("a", "c"), 2) == "a: {c: 2}"
    assert changed("a:\nb: 1\n", ("a",), 2) == "a: 2\nb: 1\n"
    assert changed('a: ["x"]\n', ("a", 1), "y") == 'a: ["x", y]\n'


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: &one {x: 1}\nb: *one\n", ("b", "x")),
        ("a: &one 1\nb: *one\n", ("b",)),
        ("a: 1\n", ("a", "b")),
        ("a: {}\n", ("b", "c")),
    ],
)
def test_what_cannot_be_changed_alone_is_refused(text, place):
    with pytest.raises(EditError):
        changed(text, place, 2)


@pytest.mark.parametrize(
    "value",
    [True, 0, -7, 1.5, 1e-9, 1e300, -2e16, "", "slow", "yes", "null", "1e3", 'a "b"\n', "ä"],
)
def test_a_value_is_read_as_it_was_written(value):
    assert yaml.safe_load(scalar(value)) == value
    assert type(yaml.safe_load(scalar(value))) is type(value)

"""Stimuli played from a file: any twin, columns by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from horus.errors import ConfigError
from horus.hal.sim import Sim
from horus.hardware.config import load
from horus.hardware.simrobot import SimRobot
from horus.plugins import drivers


def twin(use: str, path: Path) -> Sim[Any, Any]:
    driver = drivers()[use].load()
    assert driver.twin is not None
    made: Sim[Any, Any] = driver.twin(driver.config_type(), driver.twin.options_type()(play=path))
    return made


@pytest.fixture
def csv(tmp_path):
    def write(text: str) -> Path:
        path = tmp_path / "day.csv"
        path.write_text(text)
        return path

    return write


def test_a_row_holds_until_the_next_and_the_end_is_the_beginning(csv):
    sim = twin("bme280", csv("time,temperature,humidity\n10,20,0.4\n11,25,0.5\n"))
    seen = []
    for tenths in range(0, 30, 5):
        sim.advance(tenths * 100_000_000)
        seen.append((sim.temperature, sim.humidity))
    assert seen == [(20, 0.4), (20, 0.4), (25, 0.5), (25, 0.5), (20, 0.4), (20, 0.4)]


def test_what_is_set_from_outside_is_played_no_more(csv):
    sim = twin("bme280", csv("time,temperature,humidity\n0,20,0.4\n1,25,0.5\n"))
    sim.stimulate("temperature", [-5])
    sim.advance(0)
    sim.advance(1_000_000_000)
    assert (sim.temperature, sim.humidity) == (-5, 0.5)


def test_a_stimulus_of_several_numbers_has_a_column_each(csv):
    head = "time,voltages.0,voltages.1,voltages.2,voltages.3"
    sim = twin("ads1115", csv(f"{head}\n0,0,1,2,3\n1,3,2,1,0\n"))
    assert sim.voltages == (0.0, 1.0, 2.0, 3.0)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("time,temprature\n0,1\n1,2\n", r"column 'temprature' .*\(did you mean 'temperature'\?\)"),
        ("time,temperature\n0,1\n1,200\n", "at 1 s: temperature must be finite and from -40 to 85"),
        ("time,temperature\n0,1\n", "needs two rows or more"),
        ("time,temperature\n1,1\n0,2\n", ":3: needs 2 numbers, times ascending"),
    ],
)
def test_a_file_that_cannot_be_played_is_told(csv, text, match):
    with pytest.raises(ConfigError, match=match):
        twin("bme280", csv(text))


def test_a_missing_number_of_several_is_told(csv):
    with pytest.raises(ConfigError, match=r"column 'voltages.1' is missing beside its others"):
        twin("ads1115", csv("time,voltages.0\n0,0\n1,3\n"))


def test_a_robot_plays_it(csv, tmp_path):
    csv("time,temperature\n0,-10\n5,30\n")
    (tmp_path / "horus.yaml").write_text(
        "buses:\n  i2c1: {use: i2c, device: /dev/i2c-77}\n"
        "hardware:\n  air: {use: bme280, bus: i2c1, mock: {play: day.csv, lag: 0}}\n"
    )
    with SimRobot(tmp_path, seed=1) as robot:
        robot.run(3)
        assert robot.latest("air").temperature == pytest.approx(-10, abs=0.2)
        robot.run(4)
        assert robot.latest("air").temperature == pytest.approx(30, abs=0.2)


def test_a_file_that_cannot_be_played_is_a_fault_of_the_configuration(csv, tmp_path):
    csv("time,temprature\n0,-10\n5,30\n")
    (tmp_path / "horus.yaml").write_text(
        "buses:\n  i2c1: {use: i2c, device: /dev/i2c-77}\n"
        "hardware:\n  air: {use: bme280, bus: i2c1, mock: {play: day.csv}}\n"
    )
    with pytest.raises(ConfigError, match=r"horus.yaml:4: hardware.air.mock.play: .*temprature"):
        load(tmp_path)

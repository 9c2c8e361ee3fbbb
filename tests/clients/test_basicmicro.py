"""Basicmicro's own package against the RoboClaw twin, over a pseudo-terminal."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from horus_drivers.motor.roboclaw import RoboclawConfig, RoboclawSim

from tests.clients.ptywire import served

basicmicro = pytest.importorskip("basicmicro")


@pytest.fixture
def board() -> Iterator[Any]:
    twins = [RoboclawSim(RoboclawConfig(motor=motor, counts_per_turn=1000)) for motor in (1, 2)]
    with served(*twins) as path:
        made = basicmicro.Basicmicro(path, 115_200, timeout=0.1)
        assert made.Open()
        yield made
        made.close()


def test_the_version(board: Any) -> None:
    assert board.ReadVersion(0x80) == (True, "USB Roboclaw 2x15a v4.2.4\n")


def test_voltages_temperature_and_errors(board: Any) -> None:
    assert board.ReadMainBatteryVoltage(0x80) == (True, 120)
    assert board.ReadTemp(0x80) == (True, 250)
    assert board.ReadError(0x80) == (True, 0)


def test_speeds_of_both_motors(board: Any) -> None:
    assert board.SpeedAccelM1(0x80, 5000, 1000)
    assert board.SpeedM2(0x80, -500)
    deadline = time.monotonic() + 20.0
    while True:
        one, two = board.ReadSpeedM1(0x80), board.ReadSpeedM2(0x80)
        assert one[0] and two[0]
        speeds = one[1], two[1] - (1 << 32) * (two[1] >> 31)
        if abs(speeds[0] - 1000) < 30 and abs(speeds[1] + 500) < 30:
            break
        assert time.monotonic() < deadline, speeds
    assert two[2] == 1  # backward
    counts = board.GetEncoders(0x80)
    assert counts[0] and counts[1] > 0
    assert board.DutyM1(0x80, 0)


def test_the_time_out_is_kept_in_tenths(board: Any) -> None:
    assert board.SetTimeout(0x80, 1.5)
    assert board.GetTimeout(0x80) == (True, 1.5)


def test_encoders_are_reset(board: Any) -> None:
    assert board.SetEncM1(0x80, 1234)
    assert board.ReadEncM1(0x80)[:2] == (True, 1234)
    assert board.ResetEncoders(0x80)
    assert board.ReadEncM1(0x80)[:2] == (True, 0)

"""C12: what is out of range or not a number is refused before the bus, and keeps nothing going."""

from __future__ import annotations

import math
from typing import Any

import pytest
from horus_hil.checks.common import command_timeout, following, ready, resting, value_name

from horus.hardware.node import DeviceState
from horus.testing import hil
from horus.testing.rig.figures import Recorder
from horus.testing.rig.under_test import DeviceUnderTest

#: Far beyond what any motor or joint does.
BEYOND = 1e6
WRONG = {"NaN": math.nan, "inf": math.inf, "-inf": -math.inf, "far": BEYOND, "far back": -BEYOND}
REST = 3.0  # s


def written(device: DeviceUnderTest, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return a list that fills with the commands that reach the driver, which works as before."""
    seen: list[Any] = []
    write = device.driver.write

    def record(command: Any) -> None:
        seen.append(command)
        write(command)

    monkeypatch.setattr(device.driver, "write", record)
    return seen


@hil.check("C12")
@hil.commanded
@hil.hazard("motion")  # it is told to move, though it must not
@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_command_does_not_arm_it(
    device: DeviceUnderTest, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    ready(device)
    sent = written(device, monkeypatch)
    before = device.node.refused
    device.run(0.3, device.order(WRONG[what]))
    assert sent == [], f"{value_name(device)} {WRONG[what]:g} reaches the bus"
    assert device.node.state is DeviceState.READY, "a command that is refused arms it"
    assert device.node.refused > before
    assert resting(device)


@hil.check("C12")
@hil.commanded
@hil.hazard("motion")
@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_command_is_refused_and_does_not_keep_it_going(
    device: DeviceUnderTest, monkeypatch: pytest.MonkeyPatch, figure: Recorder, what: str
) -> None:
    ready(device)
    device.run(1.0, device.good)
    assert following(device), "it does not follow commands"
    sent = written(device, monkeypatch)
    before = device.node.refused
    value = WRONG[what]
    wrong = device.order(value)
    device.run(command_timeout(device) + 0.2, wrong)
    assert sent == [], f"{value_name(device)} {value:g} reaches the bus"
    assert device.node.state is DeviceState.READY, "a command that is refused keeps it going"
    figure("refused", device.node.refused - before, "", low=1)
    device.run(1.1)
    told = device.status.latest().message
    assert "commands refused, the last: " in told
    assert value_name(device) in told, f"the refusal does not say what was wrong: {told}"
    device.until(lambda: resting(device), REST)


@hil.check("C12")
@hil.commanded
@hil.hazard("motion")
def test_a_command_that_is_too_old_is_never_used(device: DeviceUnderTest) -> None:
    ready(device)
    age = command_timeout(device) + 0.05
    for _ in range(20):
        device.command(device.good, age)
        device.run(1.0 / device.rate)
    assert device.node.state is DeviceState.READY, f"a command {age:g} s old arms it"
    assert device.node.late == 20
    assert resting(device)

"""Twins steered by calls from outside: stimuli, faults, true states."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from horus import SimClock
from horus.hal.sim import Sim, Stimulus
from horus.hardware.steering import FAULTS, FaultError, Steering, clear_faults, set_fault
from horus.node.caller import Caller, CallRefusedError, servers
from horus.plugins import drivers


@pytest.fixture
def twin() -> Sim[Any, Any]:
    driver = drivers()["mpu6050"].load()
    assert driver.twin is not None
    made: Sim[Any, Any] = driver.twin(driver.config_type())
    return made


@pytest.fixture
def ask(twin: Sim[Any, Any]) -> Iterator[Callable[..., Any]]:
    """Ask the steering of a twin called imu."""
    with SimClock() as clock, Steering({"imu": twin}) as steering, Caller("sim.imu") as caller:

        def asked(method: str, *arguments: Any) -> Any:
            pending = caller.start(method, *arguments)
            while not pending.poll():
                steering.serve()
                clock.advance(0.01)
            return pending.result()

        yield asked


def test_a_stimulus_is_set_and_shown_with_its_unit(ask, twin):
    assert ask("set", "rotation", [0, 0, 1]) == {"rotation": [0.0, 0.0, 1.0]}
    assert twin.rotation == (0.0, 0.0, 1.0)
    about = ask("state")["stimuli"]["rotation"]
    assert (about["value"], about["unit"]) == ([0.0, 0.0, 1.0], "rad/s")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("set", "rotaton", [1]), r"no stimulus rotaton \(did you mean 'rotation'\?\)"),
        (("set", "rotation", [1, 2]), "rotation takes 3 numbers"),
        (("set", "rotation", ["a", "b", "c"]), "rotation takes 3 numbers"),
        (("set", "rotation", [1e99, float("inf"), 0]), "must be finite"),
        (("set", "rotation", 1), "values must be list"),
        (("fault", "nak"), "nak needs a number"),
        (("fault", "nak", 1.5), "nak takes a number from 0 to 1, not 1.5"),
        (("fault", "unplug", 1), "unplug takes no number"),
        (("fault", "burn"), "no fault burn; known: unplug, plug"),
        (("fault", "unplugg"), r"no fault unplugg \(did you mean 'unplug'\?\)"),
        (("set", "temperature", [True]), "temperature takes a number"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_does(ask, arguments, text):
    with pytest.raises(CallRefusedError, match=text):
        ask(*arguments)


def test_faults_come_and_go(ask, twin):
    assert ask("fault", "unplug")["unplugged"] is True
    assert ask("fault", "plug")["unplugged"] is False
    for kind, value in (("nak", 0.1), ("corrupt", 0.2), ("drop", 0.3), ("slow", 0.05)):
        assert ask("fault", kind, value)[kind] == value
    assert ask("fault", "silence")["silent"] is True
    assert not any(ask("fault", "clear").values())


def test_an_unplugged_twin_loses_what_it_was_set_to(ask, twin):
    twin.map.sleep = 0
    ask("fault", "unplug")
    ask("fault", "clear")
    assert ask("truth")["asleep"] is True


def test_every_fault_says_what_it_does(twin):
    for kind, fault in FAULTS.items():
        assert fault.about
        set_fault(twin, kind, 0.5 if fault.unit else None)
    clear_faults(twin)
    with pytest.raises(FaultError, match="slow takes a number from 0 to 10"):
        set_fault(twin, "slow", 11.0)


def test_a_twin_is_found_by_its_name(ask):
    assert servers() == ["sim.imu"]


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (-math.inf, math.inf, "level must be finite, not inf"),
        (0.0, math.inf, "level must be finite and at least 0 (m), not inf"),
        (-math.inf, 5.0, "level must be finite and at most 5 (m), not inf"),
        (0.0, 5.0, "level must be finite and from 0 to 5 (m), not inf"),
    ],
)
def test_only_limits_that_there_are_are_told(low, high, text):
    level = Stimulus(0.0, unit="m", low=low, high=high)
    level.name = "level"
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        level.parse([math.inf])

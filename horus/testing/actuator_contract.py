"""What every driver of something that moves must do, on its twin.

The checks C1 to C15 that move something, as on every rig, and what no rig can ask: about what is
logged, clocks that are wrong, and a driver's own end.
"""

import logging
import math
import re
from importlib import import_module
from typing import Any

import pytest

from horus.hardware.node import DeviceState
from horus.testing.rig.mock import MockDevice
from horus.testing.suite import checks, device, figure  # noqa: F401

globals().update(checks(motion=True))
_common: Any = import_module("horus_hil.checks.common")
_commands: Any = import_module("horus_hil.checks.test_c12_commands")

AHEAD = -1000.0  # s: the age of a command from a sender whose clock is wrong


@pytest.fixture
def ready(device: MockDevice) -> MockDevice:  # noqa: F811
    """Return the device, set up, with a rate that all of them can keep."""
    device.retune(rate=100.0)
    device.until(lambda: device.node.state is DeviceState.READY)
    return device


def test_a_command_that_is_not_refreshed_stops_it_and_is_said_once(
    ready: MockDevice, caplog: pytest.LogCaptureFixture
) -> None:
    ready.run(1.0, ready.good)
    ready.run(0.2)
    assert ready.node.state is DeviceState.ACTIVE
    caplog.clear()
    ready.run(0.07)
    assert ready.node.state.value == "ready"
    ready.run(2.0)
    assert _common.resting(ready)
    said = [r.getMessage() for r in caplog.records if "no command for 0.25 s" in r.getMessage()]
    assert len(said) == 1


def test_a_low_rate_does_not_delay_the_timeout(device: MockDevice) -> None:  # noqa: F811
    device.retune(rate=1.0, command_timeout=0.1)
    assert device.node.rate == 100.0


def test_a_new_command_arms_it_again(ready: MockDevice) -> None:
    ready.run(1.0, ready.good)
    ready.run(1.0)
    ready.run(1.0, ready.good)
    assert _common.following(ready)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_nan_and_inf_never_reach_the_driver_and_do_not_keep_it_going(
    ready: MockDevice,
    value: float,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ready.run(1.0, ready.good)
    sent = _commands.written(ready, monkeypatch)
    ready.run(1.0, ready.order(value))
    assert sent == []
    assert ready.node.refused == round(ready.rate)
    ready.run(1.0)
    assert _common.resting(ready)
    refusal = f"command refused: {_common.value_name(ready)} is"
    said = [r for r in caplog.records if refusal in r.getMessage()]
    assert len(said) == 1
    assert f"; {round(ready.rate)} commands refused" in ready.status.latest().message


def test_out_of_range_it_is_refused_and_not_clamped_and_stops(
    ready: MockDevice, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ready.run(1.0, ready.good)
    assert _common.following(ready)
    sent = _commands.written(ready, monkeypatch)
    caplog.clear()
    count = round(ready.rate)
    for number in range(count):
        last = (-1) ** number * (1e6 + number)
        ready.run(1 / ready.rate, ready.order(last))
        if number == round(0.3 * ready.rate):
            assert ready.node.state is DeviceState.READY
    ready.run(1.5)
    assert sent == []
    assert _common.resting(ready)
    said = [r.getMessage() for r in caplog.records if "command refused: " in r.getMessage()]
    assert len(said) == 1
    assert f"not 1000000 (said once; counted in {ready.name}.status)" in said[0]
    told = ready.status.latest().message
    assert f"; {count} commands refused, the last: " in told
    assert _common.value_name(ready) in told
    assert told.endswith(f"not {last:.12g}")


def test_a_refused_command_does_not_hide_a_good_one_that_came_with_it(ready: MockDevice) -> None:
    for _ in range(100):
        ready.command(ready.good, sender="good")
        ready.run(1 / ready.rate, ready.order(math.nan))
    assert _common.following(ready)
    assert ready.node.refused == 100


@pytest.mark.parametrize("two", [False, True], ids=["one sender", "two senders"])
@pytest.mark.parametrize("ages", [(0.0, AHEAD), (AHEAD, 0.0)], ids=["ahead last", "ahead first"])
def test_a_stamp_far_in_the_future_does_not_keep_it_going(
    ready: MockDevice, two: bool, ages: tuple[float, float], caplog: pytest.LogCaptureFixture
) -> None:
    def send(age: float) -> None:
        ready.command(ready.good, age, sender="wrong" if two and age < 0 else "one")

    for _ in range(100):
        for age in ages:
            send(age)
        ready.run(0.01)
    assert _common.following(ready)
    assert ready.node.refused == 100
    for _ in range(26):
        send(AHEAD)
        ready.run(0.01)
    assert ready.node.state is DeviceState.READY
    for _ in range(150):
        send(AHEAD)
        ready.run(0.01)
    assert _common.resting(ready)
    said = [
        r for r in caplog.records if " s in the future: the clock of its sender" in r.getMessage()
    ]
    assert len(said) == 1


def test_after_a_stamp_in_the_future_late_commands_are_still_late(ready: MockDevice) -> None:
    ready.command(ready.good, age=AHEAD)
    for _ in range(50):
        ready.command(ready.good, age=0.3)
        ready.run(0.01)
    assert ready.node.state is DeviceState.READY
    assert (ready.node.refused, ready.node.late) == (1, 50)


def test_a_stamp_a_little_ahead_is_used_but_gains_no_time(ready: MockDevice) -> None:
    for _ in range(100):
        ready.command(ready.good, age=-0.2)
        ready.run(0.01)
    assert _common.following(ready)
    ready.run(0.26)
    assert ready.node.state is DeviceState.READY


def waits(ready: MockDevice, caplog: pytest.LogCaptureFixture) -> int:
    said = f"waiting for commands on {ready.name}.command"
    return [r.getMessage() for r in caplog.records].count(said)


def test_never_commanded_it_says_once_which_topic_it_waits_for(
    ready: MockDevice, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    ready.run(1.9)
    assert waits(ready, caplog) == 0
    ready.run(0.2)
    assert waits(ready, caplog) == 1
    ready.fault.unplug()
    ready.until(lambda: ready.node.state is DeviceState.FAULT)
    ready.fault.plug()
    ready.until(lambda: ready.node.state is DeviceState.READY)
    ready.run(3.0)
    assert waits(ready, caplog) == 1


@pytest.mark.parametrize("value", [0.5, math.nan])
def test_once_commanded_it_does_not_say_that_it_waits(
    ready: MockDevice, value: float, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    ready.run(0.01, ready.order(value))
    ready.run(4.0)
    assert waits(ready, caplog) == 0


def test_it_is_made_safe_when_it_is_found_though_it_was_moving(
    device: MockDevice,  # noqa: F811
) -> None:
    device.until(lambda: device.node.state is DeviceState.READY)
    device.run(1.0, device.good)
    device.node._ended = True  # its process dies without a word
    assert _common.following(device)
    device.node._ended = False
    device.node.state, device.node._generation = DeviceState.ABSENT, 0  # another one takes over
    device.until(lambda: device.node.state is DeviceState.READY)
    device.run(1.0)
    assert _common.resting(device)


def without_numbers(text: str) -> str:
    """Return a text in which a reading with noise is the same each time."""
    return re.sub(r"-?\d+(\.\d+)?", "#", text)


def test_the_end_makes_it_safe_and_says_how_it_was_left(
    ready: MockDevice, caplog: pytest.LogCaptureFixture
) -> None:
    ready.run(1.0, ready.good)
    assert _common.following(ready)
    with caplog.at_level(logging.INFO):
        ready.bench.scheduler.stop()
    assert _common.resting(ready)
    said = ready.node._driver.at_rest() or "told to stop; not seen at rest"
    assert without_numbers(said) in without_numbers(caplog.text)


def test_after_the_end_nothing_arms_it(ready: MockDevice) -> None:
    ready.node.safe()
    ready.run(0.5, ready.good)
    assert _common.resting(ready)


def test_an_end_at_which_it_does_not_answer_says_so(
    ready: MockDevice, caplog: pytest.LogCaptureFixture
) -> None:
    ready.run(1.0, ready.good)
    ready.fault.silence()
    ready.bench.scheduler.stop()
    assert "not seen at rest" in caplog.text or "told to stop, then lost" in caplog.text

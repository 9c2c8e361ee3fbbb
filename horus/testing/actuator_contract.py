"""What every driver of something that moves must do, on its twin: C8, C11 and C12."""

import logging
import math
import re
from typing import Any

import pytest

from horus.hardware import lastwords, words
from horus.hardware.node import DeviceState
from horus.msgs import MotorCommand, ServoCommand

AHEAD = -1000.0  # s: the age of a command from a sender whose clock is wrong


@pytest.fixture
def bench(make_bench: Any, use: str) -> Any:
    made = make_bench(use, rate=100.0)
    made.until(lambda: made.node.state is DeviceState.READY)
    return made


def resting(bench: Any) -> bool:
    """Return whether the device was made safe and does not move."""
    return bool(bench.twin.truth()["at_rest"])


def following(bench: Any) -> bool:
    """Return whether the device follows commands: a motor turns, a servo has power."""
    turns = abs(bench.twin.truth()["velocity"]) > 1.0
    return turns if isinstance(bench.good, MotorCommand) else not resting(bench)


def value_name(bench: Any) -> str:
    """Return the name of the value that commands of this device carry."""
    good = bench.good
    if isinstance(good, MotorCommand):
        return "velocity"
    return "angle" if isinstance(good, ServoCommand) else "position"


def test_it_does_not_move_until_it_is_commanded(bench: Any) -> None:
    bench.run(2.0)
    assert resting(bench)
    assert bench.node.state is DeviceState.READY


def test_the_first_fresh_command_arms_it_and_it_follows(bench: Any) -> None:
    bench.run(2.0, bench.good)
    assert bench.node.state is DeviceState.ACTIVE
    state = bench.data.latest()
    if isinstance(bench.good, MotorCommand):
        assert bench.twin.truth()["velocity"] == pytest.approx(5.0, abs=0.3)
        assert state.velocity == pytest.approx(5.0, abs=0.3)
    elif len(getattr(state, "position", ())):
        assert list(state.position) == pytest.approx([0.5] * bench.joints, abs=0.05)


def test_a_command_that_is_not_refreshed_stops_it_and_is_said_once(
    bench: Any, caplog: pytest.LogCaptureFixture
) -> None:
    bench.run(1.0, bench.good)
    bench.run(0.2)
    assert bench.node.state is DeviceState.ACTIVE
    caplog.clear()
    bench.run(0.07)
    assert bench.node.state.value == "ready"
    bench.run(2.0)
    assert resting(bench)
    said = [r.getMessage() for r in caplog.records if "no command for 0.25 s" in r.getMessage()]
    assert len(said) == 1


def test_a_low_rate_does_not_delay_the_timeout(make_bench: Any, use: str) -> None:
    bench = make_bench(use, rate=1.0, command_timeout=0.1)
    assert bench.node.rate == 100.0


def test_a_new_command_arms_it_again(bench: Any) -> None:
    bench.run(1.0, bench.good)
    bench.run(1.0)
    bench.run(1.0, bench.good)
    assert following(bench)


def test_a_command_older_than_the_timeout_is_never_used(bench: Any) -> None:
    for _ in range(100):
        bench.command(bench.good, age=0.3)
        bench.run(0.01)
    assert resting(bench)
    assert bench.node.state is DeviceState.READY
    assert bench.node.late == 100


def written(bench: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return a list that fills with the commands that reach the driver; the driver still works."""
    found: list[Any] = []
    write = bench.device.driver.write

    def record(self: Any, command: Any) -> None:
        found.append(command)
        write(self, command)

    monkeypatch.setattr(bench.device.driver, "write", record)
    return found


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_nan_and_inf_never_reach_the_driver_and_do_not_keep_it_going(
    bench: Any,
    value: float,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench.run(1.0, bench.good)
    sent = written(bench, monkeypatch)
    bench.run(1.0, bench.order(value))
    assert sent == []
    assert bench.node.refused == round(bench.rate)
    bench.run(1.0)
    assert resting(bench)
    refusal = f"command refused: {value_name(bench)} is"
    said = [r for r in caplog.records if refusal in r.getMessage()]
    assert len(said) == 1
    assert f"; {round(bench.rate)} commands refused" in bench.status.latest().message


def test_out_of_range_it_is_refused_and_not_clamped_and_stops(
    bench: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench.run(1.0, bench.good)
    assert following(bench)
    sent = written(bench, monkeypatch)
    caplog.clear()
    count = round(bench.rate)
    for number in range(count):
        last = (-1) ** number * (1e6 + number)
        bench.run(1 / bench.rate, bench.order(last))
        if number == round(0.3 * bench.rate):
            assert bench.node.state is DeviceState.READY
    bench.run(1.5)
    assert sent == []
    assert resting(bench)
    said = [r.getMessage() for r in caplog.records if "command refused: " in r.getMessage()]
    assert len(said) == 1
    assert "not 1000000 (said once; counted in device.status)" in said[0]
    told = bench.status.latest().message
    assert f"; {count} commands refused, the last: " in told
    assert value_name(bench) in told
    assert told.endswith(f"not {last:.12g}")


def test_a_refused_command_does_not_hide_a_good_one_that_came_with_it(bench: Any) -> None:
    for _ in range(100):
        bench.command(bench.good, sender="good")
        bench.run(1 / bench.rate, bench.order(math.nan))
    assert following(bench)
    assert bench.node.refused == 100


@pytest.mark.parametrize("two", [False, True], ids=["one sender", "two senders"])
@pytest.mark.parametrize("ages", [(0.0, AHEAD), (AHEAD, 0.0)], ids=["ahead last", "ahead first"])
def test_a_stamp_far_in_the_future_does_not_keep_it_going(
    bench: Any, two: bool, ages: tuple[float, float], caplog: pytest.LogCaptureFixture
) -> None:
    def send(age: float) -> None:
        bench.command(bench.good, age, sender="wrong" if two and age < 0 else "one")

    for _ in range(100):
        for age in ages:
            send(age)
        bench.run(0.01)
    assert following(bench)
    assert bench.node.refused == 100
    for _ in range(26):
        send(AHEAD)
        bench.run(0.01)
    assert bench.node.state is DeviceState.READY
    for _ in range(150):
        send(AHEAD)
        bench.run(0.01)
    assert resting(bench)
    said = [
        r for r in caplog.records if " s in the future: the clock of its sender" in r.getMessage()
    ]
    assert len(said) == 1


def test_after_a_stamp_in_the_future_late_commands_are_still_late(bench: Any) -> None:
    bench.command(bench.good, age=AHEAD)
    for _ in range(50):
        bench.command(bench.good, age=0.3)
        bench.run(0.01)
    assert bench.node.state is DeviceState.READY
    assert (bench.node.refused, bench.node.late) == (1, 50)


def test_a_stamp_a_little_ahead_is_used_but_gains_no_time(bench: Any) -> None:
    for _ in range(100):
        bench.command(bench.good, age=-0.2)
        bench.run(0.01)
    assert following(bench)
    bench.run(0.26)
    assert bench.node.state is DeviceState.READY


def waits(caplog: pytest.LogCaptureFixture) -> int:
    return [r.getMessage() for r in caplog.records].count("waiting for commands on device.command")


def test_never_commanded_it_says_once_which_topic_it_waits_for(
    bench: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    bench.run(1.9)
    assert waits(caplog) == 0
    bench.run(0.2)
    assert waits(caplog) == 1
    bench.twin.unplug()
    bench.until(lambda: bench.node.state is DeviceState.FAULT)
    bench.twin.plug()
    bench.until(lambda: bench.node.state is DeviceState.READY)
    bench.run(3.0)
    assert waits(caplog) == 1


@pytest.mark.parametrize("value", [0.5, math.nan])
def test_once_commanded_it_does_not_say_that_it_waits(
    bench: Any, value: float, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    bench.run(0.01, bench.order(value))
    bench.run(4.0)
    assert waits(caplog) == 0


def test_nan_does_not_arm_it(bench: Any) -> None:
    bench.run(0.5, bench.order(math.nan))
    assert bench.node.state is DeviceState.READY


def test_it_is_made_safe_when_it_is_found_though_it_was_moving(make_bench: Any, use: str) -> None:
    first = make_bench(use)
    first.until(lambda: first.node.state is DeviceState.READY)
    first.run(1.0, first.good)
    first.node._ended = True  # its process dies without a word
    assert following(first)
    first.node._ended = False
    first.node.state, first.node._generation = DeviceState.ABSENT, 0  # another one takes over
    first.until(lambda: first.node.state is DeviceState.READY)
    first.run(1.0)
    assert resting(first)


def test_commands_are_not_replayed_after_a_reconnect(bench: Any) -> None:
    bench.run(1.0, bench.good)
    bench.twin.unplug()
    bench.until(lambda: bench.node.state is DeviceState.FAULT)
    bench.command(bench.good)
    bench.twin.plug()
    bench.until(lambda: bench.node.state is DeviceState.READY, seconds=5.0)
    bench.run(1.0)
    assert resting(bench)
    assert bench.node.state is DeviceState.READY


def test_a_fault_makes_it_safe(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.run(1.0, bench.good)
    monkeypatch.setattr(bench.device.driver, "read", lambda self: 1 / 0)
    bench.run(2.0, bench.good)
    assert bench.node.state is not DeviceState.ACTIVE
    assert resting(bench)


def without_numbers(text: str) -> str:
    """Return a text in which a reading with noise is the same each time."""
    return re.sub(r"-?\d+(\.\d+)?", "#", text)


def test_the_end_makes_it_safe_and_says_how_it_was_left(
    bench: Any, caplog: pytest.LogCaptureFixture
) -> None:
    bench.run(1.0, bench.good)
    assert following(bench)
    with caplog.at_level(logging.INFO):
        bench.scheduler.stop()
    assert resting(bench)
    said = bench.node._driver.at_rest() or "told to stop; not seen at rest"
    assert without_numbers(said) in without_numbers(caplog.text)


def test_its_last_words_alone_stop_it(bench: Any) -> None:
    bench.run(1.0, bench.good)
    assert following(bench)
    said = lastwords.words_of(bench.device)
    assert said
    for word in said:  # its process is dead: nobody ticks, nobody commands
        words.say(bench.bus.bus(), word)
    for _ in range(200):
        bench.pause(0.01)
    assert resting(bench)


def test_after_the_end_nothing_arms_it(bench: Any) -> None:
    bench.node.safe()
    bench.run(0.5, bench.good)
    assert resting(bench)


def test_an_end_at_which_it_does_not_answer_says_so(
    bench: Any, caplog: pytest.LogCaptureFixture
) -> None:
    bench.run(1.0, bench.good)
    bench.twin.silence()
    bench.scheduler.stop()
    assert "not seen at rest" in caplog.text or "told to stop, then lost" in caplog.text

"""The emergency stop at every registered driver of something that moves."""

from __future__ import annotations

from typing import Any

import pytest

from horus.bus import Publisher
from horus.hal import Actuator
from horus.hardware import estop
from horus.hardware.node import DeviceState
from horus.msgs import EmergencyStop
from horus.plugins import drivers

USES = [
    name
    for name, found in drivers().items()
    if found.plugin.package.startswith("horus ") and issubclass(found.load(), Actuator)
]
pytestmark = pytest.mark.parametrize("use", USES)


class Button:
    """Somebody who stops and releases."""

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.publisher = Publisher(estop.TOPIC)

    def press(self, engaged: bool = True, age: float = 0.0) -> None:
        stamp_ns = self.clock.monotonic_ns() - int(age * 1e9)
        message = EmergencyStop(engaged=engaged, reason="test")
        self.publisher.send(message, stamp_ns=stamp_ns)


@pytest.fixture
def bench(make_bench: Any, use: str) -> Any:
    made = make_bench(use)
    made.until(lambda: made.node.state is DeviceState.READY)
    return made


@pytest.fixture
def button(clock: Any, bench: Any) -> Button:
    return Button(clock)


def resting(bench: Any) -> bool:
    return bool(bench.twin.truth()["at_rest"])


def test_it_stops_at_once_and_stays_stopped_while_commands_go_on(
    bench: Any, button: Button, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.run(1.0, bench.good)
    assert bench.node.state is DeviceState.ACTIVE
    button.press()
    bench.run(1.0 / bench.rate, bench.good)
    assert bench.node.state is DeviceState.READY
    written: list[Any] = []
    monkeypatch.setattr(bench.device.driver, "write", lambda self, command: written.append(command))
    before = bench.node.refused
    bench.run(3.0, bench.good)
    assert written == []
    assert resting(bench)
    assert bench.node.refused - before == pytest.approx(3.0 * bench.rate, abs=2)
    assert bench.status.latest().message.startswith("READY: e-stop engaged (test): told to stop")


def test_only_a_release_and_then_a_fresh_command_let_it_move(bench: Any, button: Button) -> None:
    bench.run(0.5, bench.good)
    button.press()
    bench.run(0.5, bench.good)
    bench.command(bench.good)
    button.press(engaged=False)
    bench.run(0.1)  # the command is fresh, but from before the release
    assert bench.node.state is DeviceState.READY
    bench.run(0.2, bench.good)
    assert bench.node.state is DeviceState.ACTIVE


def test_a_press_that_is_over_before_anybody_looked_stops_it_all_the_same(
    bench: Any, button: Button
) -> None:
    bench.run(0.5, bench.good)
    bench.command(bench.good)
    button.press()
    button.press(engaged=False)
    bench.run(1.0 / bench.rate)
    assert bench.node.state is DeviceState.READY


def test_a_release_from_before_the_stop_releases_nothing(bench: Any, button: Button) -> None:
    button.press()
    bench.run(0.1)
    button.press(engaged=False, age=5.0)
    bench.run(0.5, bench.good)
    assert bench.node.state is DeviceState.READY


def test_who_starts_while_it_is_engaged_starts_stopped(
    make_bench: Any, use: str, bench: Any, button: Button
) -> None:
    button.press()
    bench.run(0.1)
    button.publisher.close()
    bench.close()
    later = make_bench(use)
    later.until(lambda: later.node.state is DeviceState.READY)
    later.run(0.5, later.good)
    assert later.node.state is DeviceState.READY
    Button(later.clock).press(engaged=False)
    later.run(0.2)
    later.run(0.5, later.good)
    assert later.node.state is DeviceState.ACTIVE


def test_it_is_in_force_after_a_fault_too(bench: Any, button: Button) -> None:
    bench.run(0.5, bench.good)
    button.press()
    bench.run(0.1)
    bench.twin.unplug()
    bench.until(lambda: bench.node.state is not DeviceState.READY)
    bench.twin.plug()
    bench.until(lambda: bench.node.state is DeviceState.READY)
    bench.run(0.5, bench.good)
    assert bench.node.state is DeviceState.READY
    assert estop.OBEYED in bench.status.latest().message


def test_what_cannot_be_read_on_the_topic_is_a_stop(bench: Any, button: Button) -> None:
    bench.run(0.5, bench.good)
    button.publisher.send({"engaged": False})
    bench.run(0.2, bench.good)
    assert bench.node.state is DeviceState.READY
    assert "unreadable message" in bench.node.text


def test_messages_that_were_lost_may_have_been_stops(bench: Any, button: Button) -> None:
    bench.run(0.5, bench.good)
    assert bench.node.state is DeviceState.ACTIVE
    button.press()
    for _ in range(estop.DEPTH * 40):
        button.press(engaged=False)
    bench.run(1.0 / bench.rate)
    assert bench.node.state is DeviceState.READY


def test_a_low_rate_does_not_delay_it(make_bench: Any, use: str) -> None:
    assert make_bench(use, rate=1.0, command_timeout=10.0).node.rate >= estop.LOOKS

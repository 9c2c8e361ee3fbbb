"""C13: how long a sample, a tick and a command take."""

from __future__ import annotations

import time
from typing import Any

import pytest
from horus_hil.checks.common import following, found, period, ready, received, value_name

from horus.testing import hil
from horus.testing.rig.figures import Recorder
from horus.testing.rig.under_test import DeviceUnderTest


def high(values: list[float], share: float) -> float:
    """Return the value that this share of all is not above."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


@hil.check("C13")
def test_a_sample_and_a_tick_take_no_longer_than_a_period(
    device: DeviceUnderTest, figure: Recorder
) -> None:
    found(device)
    received(device)
    tick = 1.0 / device.rate
    waits, works, ages = [], [], []
    for _ in range(max(50, round(5 * period(device) * device.rate))):
        began, clock = time.thread_time(), device.clock()
        device.run(tick)
        works.append(time.thread_time() - began)
        # On a slow processor the work itself may take longer than a tick: that is no wait.
        waits.append(max(0.0, (device.clock() - clock) / 1e9 - max(tick, works[-1])))
        for message, stamp in received(device):
            swept = getattr(message, "scan_time", 0.0)
            ages.append((device.clock() - stamp) / 1e9 - swept)
    figure("age_p50_ms", 1e3 * high(ages, 0.5), "ms")
    figure("age_p99_ms", 1e3 * high(ages, 0.99), "ms")
    # A tick that waits longer than a tick for its bus keeps everybody there from his rate.
    figure("tick_waits_p99_ms", 1e3 * high(waits, 0.99), "ms", high=1e3 * tick * device.scale)
    figure("tick_works_p50_us", 1e6 * high(works, 0.5), "µs of CPU")


@hil.check("C13")
@hil.commanded
@hil.hazard("motion")
def test_a_command_is_on_the_bus_with_the_next_tick(
    device: DeviceUnderTest, figure: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready(device)
    device.run(0.5, device.good)
    taken: list[int] = []
    driver = device.driver
    write = driver.write

    def record(command: Any) -> None:
        before = driver.link.bytes
        write(command)
        if driver.link.bytes > before:
            taken.append(device.clock())

    monkeypatch.setattr(driver, "write", record)
    took = []
    for number in range(20):
        taken.clear()
        sent = device.clock()
        value = (2.0 if value_name(device) == "velocity" else 0.2) + 0.01 * number
        while not taken and device.clock() - sent < 1e9 * device.scale:
            device.run(1.0 / device.rate, device.order(value))
        assert taken, "a command does not reach the bus"
        took.append((taken[0] - sent) / 1e9)
        device.run(2.0 / device.rate)
    limit = 1e3 * (2.5 / device.rate + 0.01) * device.scale
    figure("command_to_bus_p50_ms", 1e3 * high(took, 0.5), "ms")
    figure("command_to_bus_max_ms", 1e3 * max(took), "ms", high=limit)


@hil.check("C13")
@hil.commanded
@hil.hazard("motion")
def test_it_follows_soon(device: DeviceUnderTest, figure: Recorder) -> None:
    ready(device)
    sent = device.clock()

    def follows() -> bool:
        device.command(device.good)
        return following(device)

    device.until(follows, 2.0)
    seconds = (device.clock() - sent) / 1e9
    figure("command_to_effect_s", seconds, "s", high=1.0 * device.scale)

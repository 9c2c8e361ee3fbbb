"""C10: what is lost or damaged on the wire is asked for again, counted, and never delivered."""

from __future__ import annotations

import math

import pytest
from horus_hil.checks.common import BACK, WORKING, applies, found, numbers, period, received

from horus.testing import hil
from horus.testing.rig.figures import Recorder
from horus.testing.rig.under_test import DeviceUnderTest

SHARES = (0.001, 0.01, 0.2)
#: How long (s) each share is tried, or for so many samples if that takes longer.
SECONDS, SAMPLES = 4.0, 15
#: Least share of samples that come while 1 % or less of all transactions fail.
KEPT = 0.5
#: Longest time (s) that one tick may take with its retries.
TICK = 0.5


@hil.check("C10")
@pytest.mark.parametrize("kind", ["nak", "drop"])
def test_lost_transactions_are_survived(
    device: DeviceUnderTest, figure: Recorder, kind: str
) -> None:
    found(device)
    asked = device.node.device.config.rate
    lose = getattr(device.fault, kind)
    longest = 0.0
    for share in SHARES:
        before, seconds = device.node.samples, max(SECONDS, 5 / asked)
        lose(share)
        began = device.clock()
        while device.clock() - began < seconds * 1e9:
            tick = device.clock()
            device.run(1.0 / device.rate)
            longest = max(longest, (device.clock() - tick) / 1e9 - 1.0 / device.rate)
        lose(0.0)
        kept = (device.node.samples - before) / (seconds * asked)
        least = 100 * KEPT if share < 0.1 else None
        figure(f"kept_at_{100 * share:g}_percent_{kind}", 100 * kept, "%", low=least)
        back = device.until(lambda: device.node.state in WORKING, BACK)
        figure(f"recovered_after_{100 * share:g}_percent_{kind}_s", back, "s")
        received(device)
        device.until(lambda: device.data.unread(), 5.0)
    figure("longest_tick_s", longest, "s", high=TICK * device.scale)


@hil.check("C10")
def test_damage_on_the_wire_is_never_delivered_and_is_counted(
    device: DeviceUnderTest, figure: Recorder
) -> None:
    """The twin stands still, so a wrong value is one far outside of what it sends whole."""
    applies(device, "C10.damage")
    if not device.entry.driver.map_type.checked:
        hil.not_applicable("without a checksum a flipped bit cannot be told from a measurement")
    if device.kind == "virtual" and device.entry.driver.map_type.bus_kind == "can":
        hil.not_applicable("on an emulated CAN bus nothing is damaged, only lost")
    found(device)
    stand_still(device)
    device.run(max(3.0, 20 * period(device)))
    low: dict[str, float] = {}
    high: dict[str, float] = {}
    for message, _ in received(device):
        for name, values in numbers(message).items():
            low[name] = min([low.get(name, math.inf), *values])
            high[name] = max([high.get(name, -math.inf), *values])
    before = errors(device)
    for share in SHARES:
        device.fault.corrupt(share)
        device.run(max(SECONDS, SAMPLES * period(device)))
        device.fault.corrupt(0.0)
        for message, _ in received(device):
            for name, values in numbers(message).items():
                if high[name] < low[name]:  # not measured while nothing was damaged
                    continue
                span = high[name] - low[name]
                margin = 3 * span + 0.02 * max(abs(low[name]), abs(high[name])) + 1e-6
                for value in values:
                    assert low[name] - margin <= value <= high[name] + margin, (
                        f"{name} is {value:g} in a sample, and from {low[name]:g} to "
                        f"{high[name]:g} while nothing is damaged on the wire"
                    )
        device.until(lambda: device.node.state in WORKING, BACK)
    figure("errors_counted", errors(device) - before, "", low=1)


def stand_still(device: DeviceUnderTest) -> None:
    """End what moves in the twin's world by itself, and let what moved before go by."""
    twin = device.entry.driver.twin
    if twin is not None and "speed" in twin.stimuli:
        device.stimulate("speed", 0.0)
        device.run(2 * period(device))
        received(device)


def errors(device: DeviceUnderTest) -> int:
    """Return how many errors of the bus are counted for a device."""
    device.run(1.1)  # there is a status every second
    status = device.status.latest()
    return int(status.errors + status.faults) if status is not None else 0

"""C6: stamps rise, are those of sampling, and samples are not old when they come."""

from __future__ import annotations

from typing import Any

from horus_hil.checks.common import found, period, received
from horus_hil.checks.measuring import movable, steps
from horus_hil.checks.quantities import SWEEPS, quantities

from horus.testing import hil
from horus.testing.rig.figures import Recorder
from horus.testing.rig.under_test import DeviceUnderTest

#: Longest time (s) that a device and its bus need for one sample, beside a period.
WAY = 0.05


@hil.check("C6")
def test_stamps_rise_and_samples_are_fresh(device: DeviceUnderTest, figure: Recorder) -> None:
    found(device)
    received(device)
    ages: list[float] = []
    oldest = 0.0
    stamps: list[int] = []
    walls: list[float] = []
    bound = WAY + period(device)
    for _ in range(50):
        began = device.clock()
        device.run(period(device))
        now = device.clock()
        # On a busy machine a look may come late: the sample has waited for it meanwhile.
        late = max(0.0, (now - began) / 1e9 - period(device))
        for message, stamp in received(device):
            swept = getattr(message, "scan_time", 0.0)  # a scan's stamp is that of its first ray
            ages.append((now - stamp) / 1e9 - swept)
            oldest = max(oldest, ages[-1] - late)
            stamps.append(stamp)
            walls.append(message.stamp - stamp / 1e9)
    assert len(stamps) > 10, f"only {len(stamps)} samples came"
    assert stamps == sorted(set(stamps)), "the stamps do not rise from sample to sample"
    assert max(walls) - min(walls) < 0.1, "the stamp in the message is not that of the sample"
    figure("age_max_ms", 1e3 * oldest, "ms", high=1e3 * bound * device.scale)
    figure("age_min_ms", 1e3 * min(ages), "ms", low=-1.0 if swept_devices(device) else 0.0)


def swept_devices(device: DeviceUnderTest) -> bool:
    """Return whether the samples are sweeps, whose ages are counted from their end."""
    return hasattr(device.data.latest(), "scan_time")


@hil.check("C6")
def test_no_sample_is_stamped_before_what_it_shows(device: DeviceUnderTest) -> None:
    """The world makes a step: whoever shows it was measured after it."""
    movable(device)
    found(device)
    for name, values in steps(device):
        if name not in SWEEPS:
            continue
        device.run(2 * period(device))
        before = last_of(device)
        received(device)
        at = device.clock()
        if sends_by_itself(device):
            device.run(0.0)  # what came has come since the last look: let that be after `at`
        device.stimulate(name, *values)
        truth = device.truth() or {}
        device.run(4 * period(device))
        for message, stamp in received(device):
            if stamp >= at:
                continue
            for one in quantities(message, truth):
                true, old = one.true(truth, message), one.measured(before)
                if true is None or one.error(old, true) <= 4.0 or len(old) != len(true):
                    continue  # not what was moved
                error = one.error(one.measured(message), true)
                assert error > 1.0, (
                    f"{name} was set to {values} at {at} ns, and a sample stamped "
                    f"{(at - stamp) / 1e6:.1f} ms earlier shows it already"
                )


def sends_by_itself(device: DeviceUnderTest) -> bool:
    """Return whether it is looked at often for what it sends, instead of being asked."""
    config = device.node.device.config
    return bool(device.driver.calls(config) > config.rate)


def last_of(device: DeviceUnderTest) -> Any:
    """Return the next sample."""
    received(device)
    device.until(device.data.unread, 2.0 + 2 * period(device))
    return device.data.latest()

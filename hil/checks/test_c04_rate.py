"""C4: the asked rate is held, and no sample comes twice or is skipped."""

from __future__ import annotations

from itertools import pairwise

from horus_hil.checks.common import found, numbers, period, received
from horus_hil.checks.measuring import measures, restless

from horus.testing import hil
from horus.testing.rig.figures import Recorder
from horus.testing.rig.under_test import DeviceUnderTest

#: Part of a period in which a change of the world gets into a sample.
MEASURED = 0.2


@hil.check("C4")
def test_it_keeps_the_rate_that_it_is_asked_for(device: DeviceUnderTest, figure: Recorder) -> None:
    found(device)
    asked = device.node.device.config.rate
    received(device)
    began = device.clock()
    device.run(max(2.0, 50 / asked))
    seconds = (device.clock() - began) / 1e9
    stamps = [stamp for _, stamp in received(device)]
    slack = 0.02 + 1.0 / (asked * seconds)
    figure("rate_hz", len(stamps) / seconds, "Hz", asked * (1 - slack), asked * (1 + slack))
    gaps = sorted((later - earlier) / 1e9 for earlier, later in pairwise(stamps))
    late = [abs(gap - 1 / asked) * 1e3 for gap in gaps]
    figure("jitter_p99_ms", sorted(late)[int(0.99 * (len(late) - 1))], "ms")
    # Of two samples one period apart none is missing; a gap of two periods is one that is.
    skipped = sum(1 for gap in gaps if gap * asked > 1.9 * device.scale)
    figure("skipped_samples", skipped, "", high=max(0, round(0.01 * len(gaps))))
    repeated = sum(1 for gap in gaps if gap <= 0)
    figure("repeated_stamps", repeated, "", high=0)


@hil.check("C4")
def test_no_measurement_is_sent_twice(device: DeviceUnderTest, figure: Recorder) -> None:
    """While the world changes all the time, two samples that are equal are one sent twice.

    The world changes when a sample has come, and a little later comes the next one; of one that
    came too soon for that nothing is asked.
    """
    step = restless(device)
    found(device)
    received(device)
    wanted = 40
    seen: list[tuple[dict[str, list[float]], int]] = []
    changes: list[int] = []
    deadline = device.clock() + (2 + 3 * wanted * period(device)) * 1e9 * device.scale
    while len(seen) < wanted and device.clock() < deadline:
        step()
        changes.append(device.clock())
        device.pause(MEASURED * period(device))
        device.until(device.data.unread, 2.0 + 2 * period(device))
        # A receiver without a fix says so again and again, and rightly.
        seen += [(numbers(one), stamp) for one, stamp in received(device) if measures(one)]
    assert len(seen) > wanted / 2, f"only {len(seen)} samples came that measure anything"
    needed = MEASURED * period(device) * 1e9
    pairs = [
        earlier == later
        for (earlier, before), (later, after) in pairwise(seen)
        if before == after or any(before <= at <= after - needed for at in changes)
    ]
    figure("changes_seen", len(pairs), "", low=wanted / 8)
    figure("repeated_samples_percent", 100 * sum(pairs) / len(pairs), "%", high=5)

"""C4: the asked rate is held, and no sample comes twice or is skipped."""

from __future__ import annotations

from itertools import pairwise

from horus.testing import hil
from horus.testing.rig.figures import Recorder
from horus.testing.rig.under_test import DeviceUnderTest


@hil.check("C4")
def test_it_keeps_the_rate_that_it_is_asked_for(device: DeviceUnderTest, figure: Recorder) -> None:
    asked = device.entry.config.rate
    device.until(lambda: device.node.samples)
    device.data.recv_all()
    began = device.clock()
    device.run(max(2.0, 50 / asked))
    seconds = (device.clock() - began) / 1e9
    stamps = []
    while (found := device.data.recv_stamped()) is not None:
        stamps.append(found[1])
    slack = 0.02 + 1.0 / (asked * seconds)
    figure("rate", len(stamps) / seconds, "Hz", asked * (1 - slack), asked * (1 + slack))
    repeated = sum(1 for a, b in pairwise(stamps) if b <= a)
    figure("repeated samples", repeated, "", high=0)

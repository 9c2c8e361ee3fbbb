"""C9: silence is told as a fault, and a last value never comes as a fresh one."""

from __future__ import annotations

from horus_hil.checks.common import BACK, FOUND, WORKING, found, patience, period, received

from horus.hardware.node import DeviceState
from horus.msgs import DiagnosticLevel
from horus.testing import hil
from horus.testing.rig.figures import Recorder
from horus.testing.rig.under_test import DeviceUnderTest


@hil.check("C9")
def test_a_device_that_falls_silent_is_a_fault_and_sends_no_old_value(
    device: DeviceUnderTest, figure: Recorder
) -> None:
    found(device)
    device.run(0.5)
    device.status.recv_all()
    device.fault.silence()
    silent = device.clock()
    received(device)
    seconds = device.until(lambda: device.node.state is DeviceState.FAULT, patience(device))
    figure("silence_noticed_s", seconds, "s", high=patience(device) * device.scale)
    status = {one.level: one for one in device.status.recv_all()}[DiagnosticLevel.ERROR]
    assert status.name == device.name
    assert status.message.startswith(f"FAULT: {device.name} on {device.node.bus.name}: ")
    way = (0.05 + period(device)) * 1e9  # what was under way may still come
    late = [stamp for _, stamp in received(device) if stamp > silent + way]
    assert not late, f"{len(late)} samples came that were stamped after it had fallen silent"
    device.fault.silence(False)
    back = device.until(lambda: device.node.state in WORKING, BACK)
    figure("heard_again_s", back, "s", high=BACK * device.scale)


@hil.check("C9")
def test_a_low_rate_is_not_taken_for_silence(device: DeviceUnderTest) -> None:
    device.retune(rate=1.0)
    device.until(lambda: device.node.samples, FOUND)
    before = device.node.faults
    device.run(6.0)
    assert device.node.faults == before, device.node.text
    assert device.node.state in WORKING

"""C2: the set-up is quick, works from any state and again; a bus that somebody holds is named."""

from __future__ import annotations

from horus_hil.checks.common import BACK, FOUND, WORKING, found, ready, received
from horus_hil.checks.holding import held_by_another

from horus.hal.faults import DeviceFault, FaultKind
from horus.hardware.node import DeviceState
from horus.testing import hil
from horus.testing.rig.figures import Recorder
from horus.testing.rig.under_test import DeviceUnderTest


@hil.check("C2")
def test_it_is_set_up_in_time(device: DeviceUnderTest, figure: Recorder) -> None:
    figure("set_up_s", ready(device), "s", high=5.0 * device.scale)


@hil.check("C2")
def test_closed_it_can_be_opened_again_in_the_state_in_which_it_was_left(
    device: DeviceUnderTest, figure: Recorder
) -> None:
    """No power cut lies between: what was set up before must not matter."""
    first = found(device)
    device.close()
    device.close()  # twice is harmless
    device.reopen()
    again = device.until(lambda: device.node.samples, FOUND)
    assert device.node.faults == 0, device.node.text
    figure("set_up_again_s", again, "s", high=(first + 2.0) * device.scale)


@hil.check("C2")
def test_two_at_once_in_one_process_do_not_disturb_each_other(device: DeviceUnderTest) -> None:
    """A second link to the same device, opened, looked at and left, as `horus scan` does it."""
    found(device)
    node, entry = device.node, device.node.device
    if entry.driver.map_type.bus_kind != "i2c":
        hil.not_applicable("what comes from a CAN node or a serial port goes to one link only")
    second = entry.driver(entry.config, node.bus.link(f"{device.name}_again", entry.station))
    try:
        assert second.probe(), "a second look does not find the device"
    except DeviceFault as fault:
        assert fault.kind is FaultKind.BUSY, f"a second look: {fault}"
    faults = node.faults
    received(device)
    device.until(lambda: device.data.unread(), 2.0 + 2.0 / entry.config.rate)
    assert node.state in WORKING
    assert node.faults == faults, node.text


@hil.check("C2")
def test_while_somebody_holds_the_bus_it_says_so_and_finds_it_afterwards(
    device: DeviceUnderTest,
) -> None:
    with held_by_another(device) as pid:
        device.until(lambda: device.node.state is DeviceState.FAULT)
        text = device.node.text
        assert f"pid {pid}" in text, f"it does not say who has the bus: {text}"
        assert device.data.recv() is None
    device.until(lambda: device.node.samples, FOUND + BACK)

"""C1: the right device is accepted, a wrong one in its place is refused naming both."""

from __future__ import annotations

import re

import pytest
from horus_hil.checks.common import WORKING, applies, found

from horus.hardware.node import DeviceState
from horus.testing import hil
from horus.testing.rig.figures import Recorder
from horus.testing.rig.under_test import DeviceUnderTest

#: How long (s) a wrong device is looked at.
LOOKED = 3.0
#: How a refusal by identity, and not by silence or damage, reads: see `Driver.stranger`.
BY_IDENTITY = ("the device that answers", "that is expected")


@hil.check("C1")
def test_the_right_device_is_accepted(device: DeviceUnderTest, figure: Recorder) -> None:
    figure("first_sample_s", found(device), "s")
    node, entry = device.node, device.node.device
    assert node.state in WORKING, node.text
    status = device.status.latest()
    assert (status.driver, status.name) == (device.use, device.name)
    assert status.place == entry.place
    assert device.data.latest().mock is node.mock
    wanted = device.facts.get("identity")
    if wanted is not None:
        assert node.identity == str(wanted), "the rig's file has the identity of another device"


@hil.check("C1")
def test_it_has_the_same_identity_when_it_is_opened_again(device: DeviceUnderTest) -> None:
    found(device)
    first = device.node.identity
    device.close()
    device.reopen()
    found(device)
    assert device.node.identity == first


@hil.check("C1")
def test_a_wrong_device_is_refused_naming_both(device: DeviceUnderTest, figure: Recorder) -> None:
    applies(device, "C1.wrong")
    strangers = device.strangers()
    if not strangers:
        pytest.skip(f"{device.name}: nothing else can be put in its place on this rig")
    refused = 0
    for stranger in strangers:
        device.put(stranger)
        states = set()
        end = device.clock() + LOOKED * 1e9
        while device.clock() < end:
            device.run(1.0 / device.rate)
            states.add(device.node.state)
        text = device.node.text
        assert not states & set(WORKING), f"{device.use} takes a {stranger} for its own: {text}"
        assert device.data.recv() is None
        if device.node.state is DeviceState.FAULT and any(one in text for one in BY_IDENTITY):
            refused += 1
            assert names_both(text, device.use), (
                f"{device.use} refuses a {stranger}, but does not say what it found and what it "
                f"expects: {text}"
            )
    figure("strangers", len(strangers))
    # On I2C whoever is there answers, so that at least one is not refused for its silence.
    on_i2c = device.entry.driver.map_type.bus_kind == "i2c"
    figure("refused_by_identity", refused, "", low=1 if on_i2c else None)


def names_both(text: str, use: str) -> bool:
    """Return whether a refusal has a value that was found, and one or a name that is expected."""
    values = re.findall(r"0x[0-9A-F]+|'[^']*'|\b\d+\b", text.partition(": ")[2])
    name = use.partition("_")[0].lower()
    named = name in re.sub(r"[-\s]", "", text.lower())
    return bool(values) and (named or len(set(values)) > 1)

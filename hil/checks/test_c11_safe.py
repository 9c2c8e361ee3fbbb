"""C11: whatever ends, a device that moves is made safe, and one that fails stops no other."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
from horus_hil.checks.common import (
    FOUND,
    WORKING,
    command_timeout,
    following,
    found,
    ready,
    resting,
)
from horus_hil.checks.running import Run, run_of

from horus.bus import Publisher
from horus.hal import Actuator
from horus.hardware import lastwords, words
from horus.hardware.node import DeviceState
from horus.plugins import drivers
from horus.testing import hil
from horus.testing.rig.figures import Recorder
from horus.testing.rig.session import RigSession
from horus.testing.rig.under_test import DeviceUnderTest

#: Longest time (s) in which what was told to stop comes to rest.
REST = 3.0


def rests(device: DeviceUnderTest, figure: Recorder, what: str) -> None:
    """Wait until the device is at rest while nobody ticks; record how long it took."""
    began = device.clock()
    while not resting(device):
        assert device.clock() - began < REST * 1e9 * device.scale, f"{what}: it is not at rest"
        device.pause(0.01)
    figure(f"rest_after_{what.replace(' ', '_')}_s", (device.clock() - began) / 1e9, "s", high=REST)


@hil.check("C11")
@hil.commanded
@hil.hazard("motion")
def test_it_does_not_move_until_it_is_commanded(device: DeviceUnderTest) -> None:
    ready(device)
    device.run(2.0)
    assert resting(device), "it moves though nobody commanded it"
    assert device.node.state is DeviceState.READY


@hil.check("C11")
@hil.commanded
@hil.hazard("motion")
def test_without_fresh_commands_it_stops(device: DeviceUnderTest, figure: Recorder) -> None:
    ready(device)
    device.run(1.0, device.good)
    assert following(device), "it does not follow commands"
    timeout = command_timeout(device)
    seconds = device.until(lambda: device.node.state is DeviceState.READY, timeout + 1.0)
    slack = 3.0 / device.rate + 0.02 * device.scale
    figure("told_to_stop_after_the_last_command_s", seconds, "s", high=timeout + slack)
    device.until(lambda: resting(device), REST)


@hil.check("C11")
@hil.commanded
@hil.hazard("motion")
def test_the_end_of_a_run_stops_it(device: DeviceUnderTest, figure: Recorder) -> None:
    ready(device)
    device.run(1.0, device.good)
    assert following(device), "it does not follow commands"
    if device.truth() is None:
        pytest.skip("nobody sees it when its driver has ended: the next test looks at it again")
    device.close()
    rests(device, figure, "the end")


@hil.check("C11")
@hil.commanded
@hil.hazard("motion")
def test_opened_again_it_is_at_rest(device: DeviceUnderTest) -> None:
    ready(device)
    device.run(1.0, device.good)
    device.close()
    device.reopen()
    found(device)
    device.until(lambda: resting(device), REST)
    assert device.node.state is DeviceState.READY


@hil.check("C11")
@hil.commanded
@hil.hazard("motion")
def test_an_exception_in_the_driver_stops_it(
    device: DeviceUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready(device)
    device.run(1.0, device.good)
    with monkeypatch.context() as patch:
        patch.setattr(device.entry.driver, "read", lambda self: 1 / 0)
        device.run(1.0, device.good)
        assert device.node.state is not DeviceState.ACTIVE, "it goes on though its driver failed"
    device.until(lambda: device.node.state in WORKING, FOUND)
    device.until(lambda: resting(device), REST)


@hil.check("C11")
@hil.commanded
@hil.hazard("motion")
def test_its_last_words_alone_stop_it(device: DeviceUnderTest, figure: Recorder) -> None:
    """As the supervisor says them for a process that was killed."""
    if device.truth() is None:
        pytest.skip("nobody sees it while its driver stands still: kill -9 is tried with horus run")
    ready(device)
    device.run(1.0, device.good)
    assert following(device), "it does not follow commands"
    said = lastwords.words_of(device.node.device)
    assert said, "its safe() says nothing: nobody can stop it when its process is dead"
    for word in said:  # nobody ticks, nobody commands
        words.say(device.node.bus.bus(), word)
    rests(device, figure, "last words")


@hil.check("C11")
@hil.commanded
@hil.hazard("motion")
def test_one_that_cannot_be_stopped_does_not_keep_the_others_moving(
    device: DeviceUnderTest,
) -> None:
    other = device.neighbour()
    if device.truth() is None:
        pytest.skip("nobody sees it when its driver has ended")
    device.until(lambda: device.node.samples and other.node.samples, FOUND)
    for _ in range(round(device.rate)):
        other.command(device.good)
        device.run(1.0 / device.rate, device.good)
    assert following(device), "it does not follow commands"
    assert other.node.state is DeviceState.ACTIVE, other.node.text

    def fails() -> None:
        raise OSError("as asked by the check")

    driver: Any = other.node._driver
    driver.safe = fails
    try:
        device.close()
    finally:
        del driver.safe
    for _ in range(round(100 * REST * device.scale)):
        if resting(device):
            break
        device.pause(0.01)
    assert resting(device), "it moves on because another one could not be told to stop"


def stands_for(device: DeviceUnderTest) -> None:
    """Skip the test where another driver of HORUS is tried in place of this one.

    What SIGINT, SIGTERM and an exception do is the same for all; how each driver is stopped is in
    the tests above, and its last words are tried with every one.
    """
    kind = device.entry.driver.map_type.bus_kind
    for name, offer in drivers().items():
        ours = offer.plugin.package.startswith("horus ")
        driver = offer.load() if ours else None
        if driver is not None and issubclass(driver, Actuator) and driver.map_type.bus_kind == kind:
            if name != device.use and drivers()[device.use].plugin == offer.plugin:
                hil.not_applicable(
                    f"on simulated {kind} buses {name} stands for all drivers of HORUS"
                )
            return


def stands_for_all(device: DeviceUnderTest, rig: RigSession) -> None:
    """Skip the test where each process costs seconds, but for the first of the run's devices."""
    first = next(
        name
        for name, one in rig.file.devices.items()
        if name in rig.whole and one.moves and (one.checks is None or "C11" in one.checks)
    )
    if device.name != first:
        hil.not_applicable(
            f"here {first} stands for all; the last words of each are tried with each"
        )


def _raise(run: Run) -> None:
    """Let the program that commands it end with an exception."""
    before = os.environ.get("HORUS_SESSION_ID")
    os.environ["HORUS_SESSION_ID"] = run.session
    try:
        event = Publisher("check.event")
        event.send("raise")
        run.wait(lambda: run.drives[-1].poll() is not None, "end of the program by itself")
        event.close()
    finally:
        if before is not None:
            os.environ["HORUS_SESSION_ID"] = before
        else:
            del os.environ["HORUS_SESSION_ID"]


@hil.check("C11")
@hil.commanded
@hil.hazard("motion")
@pytest.mark.parametrize("ending", ["exception and SIGINT", "SIGTERM", "SIGKILL"])
def test_however_its_process_ends_it_comes_to_rest(
    device: DeviceUnderTest, rig: RigSession, ending: str
) -> None:
    """``horus run``: an exception in what commands it, Ctrl-C, SIGTERM, kill -9 of its driver."""
    if device.kind == "mock" and ending != "SIGKILL":
        stands_for(device)
    if device.kind == "virtual" and ending != "SIGKILL":
        hil.not_applicable("its kernel ends processes as this one does: see the mock rig")
    if device.kind == "virtual":
        stands_for_all(device, rig)
    with run_of(device) as run:
        run.drive()
        if ending == "SIGKILL":
            os.kill(run.worker(), signal.SIGKILL)
        elif ending == "SIGTERM":
            run.process.send_signal(signal.SIGTERM)
        else:
            _raise(run)
            run.rests()
            run.wait(lambda: run.state == "ready", "device that is ready again")
            run.drive()
            run.process.send_signal(signal.SIGINT)
        run.rests()
    if not run.simulated:
        device.reopen()
        found(device)
        device.until(lambda: resting(device), REST)

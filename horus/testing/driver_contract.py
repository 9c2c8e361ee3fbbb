"""What every driver must do, on its twin.

The checks C1 to C15 that move nothing, as on every rig, and what no rig can ask: about options,
and about a driver's own errors.
"""

import math
from typing import Any, Literal, get_origin

import pytest

from horus.hal import Actuator, DeviceFault, FaultKind
from horus.hal.config import faults, options
from horus.hardware import topics
from horus.hardware.node import DeviceState
from horus.plugins import drivers
from horus.testing.bench import required_options
from horus.testing.suite import checks, device, figure  # noqa: F401

WORKING = (DeviceState.READY, DeviceState.ACTIVE)
globals().update(checks(motion=False))


def test_it_has_a_twin_a_docstring_and_typed_messages(use: str) -> None:
    driver = drivers()[use].load()
    assert driver.twin is not None
    assert driver.__doc__
    assert topics.data_type(driver).__name__
    if issubclass(driver, Actuator):
        assert topics.command_type(driver).__name__


def test_every_number_among_its_options_has_a_range(use: str) -> None:
    driver = drivers()[use].load()
    for about in options(driver.config_type).values():
        if about.type in (int, float):
            assert about.high is not None, about.name
            assert about.low is not None or about.above is not None, about.name
            assert about.check(math.nan)[1]


def test_it_is_found_and_delivers_samples_that_say_mock(make_bench: Any, use: str) -> None:
    bench = make_bench(use)
    bench.until(lambda: bench.node.samples)
    message = bench.data.latest()
    assert message.mock is True
    assert message.stamp > 0


def test_a_bug_in_the_driver_is_a_fault_and_not_the_end(
    make_bench: Any, use: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make_bench(use)
    bench.until(lambda: bench.node.samples)
    with monkeypatch.context() as patch:
        patch.setattr(bench.device.driver, "read", lambda self: 1 / 0)
        bench.run(0.1)
        assert bench.node.state is DeviceState.FAULT
        assert "ZeroDivisionError in the driver" in bench.node.text
    bench.until(lambda: bench.node.state in WORKING, seconds=5.0)


def test_a_lost_bus_is_opened_again(make_bench: Any, use: str) -> None:
    bench = make_bench(use)
    bench.until(lambda: bench.node.samples)
    before = bench.bus.generation
    fault = DeviceFault(FaultKind.ABSENT, "the adapter was pulled out")
    bench.node._failed(fault, bench.clock.monotonic_ns())
    assert bench.node.state is DeviceState.FAULT
    bench.until(lambda: bench.node.state in WORKING, seconds=5.0)
    assert bench.bus.generation == before + 1


def test_a_bus_that_another_device_opened_anew_is_taken_up(make_bench: Any, use: str) -> None:
    bench = make_bench(use)
    bench.until(lambda: bench.node.samples)
    bench.bus.close()
    bench.bus.bus()  # another device opens it
    before = bench.bus.generation
    bench.until(lambda: bench.node.state is DeviceState.FAULT, seconds=1.0)
    bench.until(lambda: bench.node.state in WORKING, seconds=5.0)
    assert bench.bus.generation == before  # and it was not closed under the other one


def test_every_option_out_of_range_is_refused_with_its_range(use: str) -> None:
    driver = drivers()[use].load()
    given = required_options(driver)
    for name, about in options(driver.config_type).items():
        for value in wrong_values(about):
            found = faults(driver.config_type, {**given, name: value})
            assert [fault for fault, _ in found] == [name], (name, value)
            assert "must be" in found[0][1]


def wrong_values(about: Any) -> list[Any]:
    """Return values that an option must refuse."""
    wrong: list[Any] = [{"a": 1}]
    if about.type in (int, float):
        wrong += ["many", math.nan, True]
        wrong += [about.high * 2 + 1] if about.high is not None else []
        wrong += [about.low - 1] if about.low is not None else []
        wrong += [about.above] if about.above is not None else []
    elif about.type is bool:
        wrong += ["yes please", 1]
    elif get_origin(about.type) is Literal:
        wrong += ["no such choice", -12345]
    return wrong


def test_every_option_misspelt_is_named_with_the_one_that_was_meant(use: str) -> None:
    driver = drivers()[use].load()
    given = required_options(driver)
    for name in options(driver.config_type):
        misspelt = name + name[-1]
        found = dict(faults(driver.config_type, {**given, misspelt: 1}))
        assert f"did you mean {name}?" in found[misspelt]

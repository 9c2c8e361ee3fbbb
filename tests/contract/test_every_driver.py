"""What every registered driver must do, on its twin; a new one is tested by being there."""

import math
from typing import Any

import pytest

from horus.hal import Actuator, DeviceFault, FaultKind
from horus.hal.config import options
from horus.hardware import topics
from horus.hardware.node import DeviceState
from horus.msgs import DiagnosticLevel
from horus.plugins import drivers

USES = [name for name, found in drivers().items() if found.plugin.package.startswith("horus ")]
pytestmark = pytest.mark.parametrize("use", USES)

WORKING = (DeviceState.READY, DeviceState.ACTIVE)


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


def test_its_stamps_are_those_of_sampling_and_rise(make_bench: Any, use: str, clock: Any) -> None:
    bench = make_bench(use)
    bench.until(lambda: bench.node.samples)
    bench.data.recv_all()
    stamps = []
    for _ in range(50):
        bench.run(0.001)
        while (found := bench.data.recv_stamped()) is not None:
            stamps.append(found[1])
            assert 0 <= clock.monotonic_ns() - found[1] < 0.05e9
    assert len(stamps) > 10
    assert stamps == sorted(set(stamps))


def test_it_keeps_its_rate(make_bench: Any, use: str) -> None:
    bench = make_bench(use, rate=50.0)
    bench.until(lambda: bench.node.samples)
    before = bench.node.samples
    bench.run(2.0)
    assert bench.node.samples - before == pytest.approx(100, abs=2)


def test_a_low_rate_is_not_taken_for_silence(make_bench: Any, use: str) -> None:
    bench = make_bench(use, rate=1.0)
    bench.until(lambda: bench.node.samples, seconds=20.0)
    before = bench.node.faults
    bench.run(10.0)
    assert bench.node.faults == before
    assert bench.node.state in WORKING


def test_absent_it_is_looked_for_and_found_once_it_is_there(make_bench: Any, use: str) -> None:
    bench = make_bench(use)
    bench.twin.unplug()
    bench.run(3.0)
    assert bench.node.state is DeviceState.ABSENT
    assert bench.data.recv() is None
    assert bench.status.latest().level == DiagnosticLevel.STALE
    bench.twin.plug()
    bench.until(lambda: bench.node.samples, seconds=4.0)


def test_unplugged_and_plugged_again_it_is_configured_anew(make_bench: Any, use: str) -> None:
    bench = make_bench(use)
    bench.until(lambda: bench.node.samples)
    bench.run(1.0)
    bench.twin.unplug()
    bench.until(lambda: bench.node.state not in WORKING, seconds=2.0)
    while bench.data.recv():
        pass
    bench.run(1.0)
    assert bench.data.recv() is None  # never a last value as fresh
    bench.twin.plug()
    bench.until(lambda: bench.node.state in WORKING, seconds=4.0)
    bench.until(lambda: bench.data.unread(), seconds=1.0)


def test_a_short_power_cut_is_noticed_and_mended(make_bench: Any, use: str) -> None:
    bench = make_bench(use)
    bench.until(lambda: bench.node.samples)
    bench.twin.unplug()
    bench.twin.plug()
    bench.run(5.0)
    assert bench.node.state in WORKING
    bench.data.recv_all()
    bench.run(0.5)
    assert bench.data.unread()


def test_a_device_that_falls_silent_is_a_fault_and_comes_back(make_bench: Any, use: str) -> None:
    bench = make_bench(use)
    bench.until(lambda: bench.node.samples)
    bench.twin.silence()
    bench.until(lambda: bench.node.state is DeviceState.FAULT, seconds=2.0)
    bench.twin.silence(False)
    bench.until(lambda: bench.node.state in WORKING, seconds=5.0)


def test_faults_are_in_the_status_topic_with_their_text(make_bench: Any, use: str) -> None:
    bench = make_bench(use)
    bench.until(lambda: bench.node.samples)
    bench.status.recv_all()
    bench.twin.silence()
    bench.until(lambda: bench.node.state is DeviceState.FAULT, seconds=2.0)
    levels = {status.level: status for status in bench.status.recv_all()}
    status = levels[DiagnosticLevel.ERROR]
    assert status.name == "device"
    assert status.message.startswith("FAULT: device on bus0: ")
    assert status.mock is True


@pytest.mark.parametrize("share", [0.01, 0.2])
def test_lost_transactions_are_survived(make_bench: Any, use: str, share: float) -> None:
    bench = make_bench(use)
    bench.until(lambda: bench.node.samples)
    before = bench.node.samples
    bench.twin.nak(share)
    bench.run(5.0)
    assert bench.node.samples - before > 5.0 * bench.device.config.rate * 0.5
    bench.twin.nak(0.0)
    bench.until(lambda: bench.node.state in WORKING, seconds=5.0)


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
    bench.bus.link("other", 0x7F)  # another device opens it
    before = bench.bus.generation
    bench.until(lambda: bench.node.state is DeviceState.FAULT, seconds=1.0)
    bench.until(lambda: bench.node.state in WORKING, seconds=5.0)
    assert bench.bus.generation == before  # and it was not closed under the other one

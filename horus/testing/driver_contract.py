"""What every driver must do, on its twin: C1, C4, C6 to C10 and C14 of the rig's conformance."""

import gc
import math
import os
import subprocess
import sys
import threading
from typing import Any, Literal, get_origin

import pytest

from horus.hal import Actuator, DeviceFault, FaultKind
from horus.hal.config import faults, options
from horus.hardware import topics, words
from horus.hardware.buses import make_link
from horus.hardware.node import DeviceState
from horus.msgs import DiagnosticLevel
from horus.plugins import drivers
from horus.testing.bench import device_entry, next_station, required_options

WORKING = (DeviceState.READY, DeviceState.ACTIVE)


def patience(bench: Any) -> float:
    """Return within how many seconds a device that is gone must be noticed."""
    config = bench.device.config
    return 1.5 + float(max(config.stale_after, 3 / config.rate))


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
        bench.run(1.0 / bench.device.config.rate)
        while (found := bench.data.recv_stamped()) is not None:
            stamps.append(found[1])
            swept = getattr(found[0], "scan_time", 0.0)  # a scan's stamp is that of its first ray
            bound = 0.05 + swept + 1.0 / bench.device.config.rate
            assert 0 <= clock.monotonic_ns() - found[1] < bound * 1e9
    assert len(stamps) > 10
    assert stamps == sorted(set(stamps))


def test_it_keeps_its_rate(make_bench: Any, use: str) -> None:
    bench = make_bench(use)
    bench.until(lambda: bench.node.samples)
    asked = bench.device.config.rate
    seconds = max(2.0, 50 / asked)
    before = bench.node.samples
    bench.run(seconds)
    expected = seconds * asked
    assert bench.node.samples - before == pytest.approx(expected, rel=0.02, abs=1)


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
    bench.until(lambda: bench.node.samples, seconds=6.0)


def test_unplugged_and_plugged_again_it_is_configured_anew(make_bench: Any, use: str) -> None:
    bench = make_bench(use)
    bench.until(lambda: bench.node.samples)
    bench.run(1.0)
    bench.twin.unplug()
    bench.until(lambda: bench.node.state not in WORKING, seconds=patience(bench))
    while bench.data.recv():
        pass
    bench.run(1.0)
    assert bench.data.recv() is None  # never a last value as fresh
    bench.twin.plug()
    bench.until(lambda: bench.node.state in WORKING, seconds=6.0)
    bench.until(lambda: bench.data.unread(), seconds=2.0 + 2 / bench.device.config.rate)


def test_a_short_power_cut_is_noticed_and_mended(make_bench: Any, use: str) -> None:
    bench = make_bench(use)
    bench.until(lambda: bench.node.samples)
    bench.twin.unplug()
    bench.twin.plug()
    bench.run(5.0)
    assert bench.node.state in WORKING
    bench.data.recv_all()
    bench.run(max(0.5, 2 / bench.device.config.rate))
    assert bench.data.unread()


def test_a_device_that_falls_silent_is_a_fault_and_comes_back(make_bench: Any, use: str) -> None:
    bench = make_bench(use)
    bench.until(lambda: bench.node.samples)
    bench.twin.silence()
    bench.until(lambda: bench.node.state is DeviceState.FAULT, seconds=patience(bench))
    bench.twin.silence(False)
    bench.until(lambda: bench.node.state in WORKING, seconds=5.0)


def test_faults_are_in_the_status_topic_with_their_text(make_bench: Any, use: str) -> None:
    bench = make_bench(use)
    bench.until(lambda: bench.node.samples)
    bench.status.recv_all()
    bench.twin.silence()
    bench.until(lambda: bench.node.state is DeviceState.FAULT, seconds=patience(bench))
    levels = {status.level: status for status in bench.status.recv_all()}
    status = levels[DiagnosticLevel.ERROR]
    assert status.name == "device"
    assert status.message.startswith("FAULT: device on bus0: ")
    assert status.mock is True


@pytest.mark.parametrize("share", [0.001, 0.01, 0.2])
@pytest.mark.parametrize("fault", ["nak", "drop"])
def test_lost_transactions_are_survived(
    make_bench: Any, use: str, fault: str, share: float
) -> None:
    bench = make_bench(use)
    bench.until(lambda: bench.node.samples)
    before = bench.node.samples
    getattr(bench.twin, fault)(share)
    bench.run(5.0)
    if share < 0.1:
        assert bench.node.samples - before > 5.0 * bench.device.config.rate * 0.5
    getattr(bench.twin, fault)(0.0)
    bench.until(lambda: bench.node.state in WORKING, seconds=10.0)
    bench.data.recv_all()
    bench.until(lambda: bench.data.unread(), seconds=5.0)


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


def test_two_on_one_bus_do_not_disturb_each_other(make_bench: Any, use: str) -> None:
    """C15 and C7. Each has its own samples, also while the other is unplugged and comes back."""
    beside = next_station(drivers()[use].load())
    if not beside:
        pytest.skip("a second one cannot be on the same bus")
    bench = make_bench(use, beside=beside)
    other, twin = bench.neighbour
    bench.until(lambda: bench.node.samples and other.samples)
    asked = bench.device.config.rate
    seconds = max(2.0, 20 / asked)
    before = bench.node.samples, other.samples
    bench.run(seconds)
    assert bench.node.samples - before[0] == pytest.approx(seconds * asked, rel=0.05, abs=2)
    assert other.samples - before[1] == pytest.approx(seconds * asked, rel=0.05, abs=2)
    twin.unplug()
    bench.until(lambda: other.state not in WORKING, seconds=patience(bench))
    before = bench.node.samples, bench.node.faults
    bench.run(seconds)
    assert bench.node.samples - before[0] == pytest.approx(seconds * asked, rel=0.1, abs=2)
    assert bench.node.faults == before[1]
    twin.plug()
    bench.until(lambda: other.state in WORKING, seconds=10.0)


def test_making_a_driver_sends_nothing_and_imports_no_bus_library(use: str) -> None:
    entry = device_entry(use)
    ear = words.ear(entry.driver.map_type.bus_kind)
    entry.driver(entry.config, make_link(ear, None, "device", entry.station))
    assert ear.heard == []
    target = drivers()[use].target.partition(":")[0]
    heavy = "{'can', 'canopen', 'numpy', 'pymodbus', 'pynmeagps', 'pyubx2', 'serial', 'smbus2'}"
    code = f"import sys, {target}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


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


def test_a_hundred_lives_leave_no_thread_and_no_open_file(make_bench: Any, use: str) -> None:
    def live() -> None:
        bench = make_bench(use)
        bench.until(lambda: bench.node.samples)
        bench.close()
        bench.data.close()
        bench.status.close()

    def open_now() -> tuple[int, int]:
        gc.collect()
        return len(os.listdir("/proc/self/fd")), threading.active_count()

    for _ in range(3):  # what is opened once for all
        live()
    before = open_now()
    for _ in range(100):
        live()
    assert open_now() == before


def figures(message: Any) -> dict[str, list[float]]:
    """Return the numbers of a message by field; what is not measured (NaN) is left out."""
    found = {}
    for field in type(message).__horus_spec__.fields:
        value = getattr(message, field.name)
        if field.code not in ("f4", "f8") or field.name == "stamp":
            continue
        numbers = [value] if field.kind == "scalar" else list(value)
        found[field.name] = [float(n) for n in numbers if math.isfinite(n)]
    return found


@pytest.mark.parametrize("share", [0.001, 0.01, 0.2])
def test_damage_on_the_wire_is_never_delivered(make_bench: Any, use: str, share: float) -> None:
    """C10. The twin stands still, so a wrong value is one far outside of what it sends whole."""
    bench = make_bench(use)
    if not bench.device.driver.map_type.checked:
        pytest.skip("without a checksum a flipped bit cannot be told from a measurement")
    bench.until(lambda: bench.node.samples)
    bench.run(max(3.0, 20 / bench.device.config.rate))
    low: dict[str, float] = {}
    high: dict[str, float] = {}
    for message in bench.data.recv_all():
        for name, numbers in figures(message).items():
            low[name] = min([low.get(name, math.inf), *numbers])
            high[name] = max([high.get(name, -math.inf), *numbers])
    bench.twin.corrupt(share)
    bench.run(max(5.0, 20 / bench.device.config.rate))
    bench.twin.corrupt(0.0)
    for message in bench.data.recv_all():
        for name, numbers in figures(message).items():
            span = high[name] - low[name]
            margin = 3 * span + 0.02 * max(abs(low[name]), abs(high[name])) + 1e-6
            for number in numbers:
                assert low[name] - margin <= number <= high[name] + margin, name
    bench.until(lambda: bench.node.state in WORKING, seconds=10.0)

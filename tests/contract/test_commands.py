"""Commands of a driver, called by name, and what they find out about the device."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from horus.hal import Config, command, option
from horus.hardware import calibration
from horus.hardware.node import DeviceState
from horus.node.caller import Caller, CallRefusedError
from horus.plugins import drivers


@dataclass(frozen=True, kw_only=True)
class Notes(Config):
    offset: float = option(0.0, low=-10, high=100)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The MPU-6050's driver with two commands more."""
    found: Any = drivers()["mpu6050"].load()

    @command
    def measure(self: Any, samples: int = 3) -> Iterator[float]:
        for _ in range(samples):
            yield 0.01
        self.calibration = replace(self.calibration, offset=float(samples))
        return samples

    @command
    def identify(self: Any) -> int:
        return int(self.map.identity)

    monkeypatch.setattr(found, "measure", measure, raising=False)
    monkeypatch.setattr(found, "identify", identify, raising=False)
    monkeypatch.setattr(found, "calibration_type", Notes)
    return found


@pytest.fixture
def bench(driver: Any, make_bench: Any) -> Any:
    made = make_bench("mpu6050")
    made.until(lambda: made.node.samples)
    return made


def ask(bench: Any, method: str, seconds: float = 5.0, **arguments: Any) -> Any:
    """Call a command while the bench's time passes."""
    with Caller("device") as caller:
        pending = caller.start(method, timeout=seconds, **arguments)
        bench.until(pending.poll, seconds)
        return pending.result()


def test_a_command_answers(bench: Any) -> None:
    assert ask(bench, "identify") == 0x68


def test_a_command_may_take_its_time_while_samples_go_on(bench: Any) -> None:
    before = bench.node.samples
    assert ask(bench, "measure", samples=20) == 20
    assert bench.node.samples - before >= 20


def test_what_it_found_out_is_saved_and_there_again_at_the_next_start(
    bench: Any, make_bench: Any
) -> None:
    ask(bench, "measure", samples=4)
    again = make_bench("mpu6050")
    again.until(lambda: again.node.samples)
    assert again.node._driver.calibration == Notes(offset=4.0)


def test_a_calibration_that_cannot_be_saved_is_said_and_the_device_works_on(
    bench: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "calibration").write_text("a file where the folder should be")
    assert ask(bench, "measure", samples=4) == 4
    bench.run(0.1)
    assert "it cannot be saved: " in caplog.text
    assert bench.node.state is DeviceState.ACTIVE


def test_a_calibration_that_is_broken_is_a_fault_that_names_file_and_line(
    driver: Any, make_bench: Any
) -> None:
    made = make_bench("mpu6050")
    path = calibration.path_of("mpu6050", "bus0-0x68", mock=True)
    path.parent.mkdir(parents=True)
    path.write_text("offset: 999\n")
    made.until(lambda: made.node.state is DeviceState.FAULT)
    assert f"{path}:1: offset: must be from -10 to 100" in made.node.text
    assert "correct the file or delete it" in made.node.text
    path.unlink()
    made.until(lambda: made.node.samples)


def test_a_device_that_is_not_there_refuses(bench: Any) -> None:
    bench.twin.unplug()
    bench.until(lambda: bench.node.state is not DeviceState.ACTIVE)
    with pytest.raises(CallRefusedError, match="nothing answers at address 0x68"):
        ask(bench, "identify")


def test_wrong_arguments_are_refused_with_what_is_allowed(bench: Any) -> None:
    with pytest.raises(CallRefusedError, match="samples"):
        ask(bench, "measure", samples="many")
    with pytest.raises(CallRefusedError, match="did you mean .measure"):
        ask(bench, "mesure")


def test_what_follows_commands_cannot_be_called(
    make_bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: Any = drivers()["odrive"].load()

    @command
    def identify(self: Any) -> int:
        return 1

    monkeypatch.setattr(found, "identify", identify, raising=False)
    bench = make_bench("odrive")
    bench.until(lambda: bench.node.state is DeviceState.READY)
    assert ask(bench, "identify") == 1
    bench.run(0.5, bench.good)
    with Caller("device") as caller:
        pending = caller.start("identify", timeout=5.0)
        bench.run(0.5, bench.good)
        with pytest.raises(CallRefusedError, match="first stop sending there"):
            pending.result()

"""Plugins: found, isolated when broken, refused when two claim one name."""

import logging
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from horus import notices, plugins


def test_the_drivers_of_the_project_are_found_and_not_imported() -> None:
    code = (
        "import sys; from horus.plugins import drivers\n"
        "assert {'mpu6050', 'odrive'} <= set(drivers())\n"
        "assert 'horus_drivers.imu.mpu6050' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_driver_is_loaded_by_its_name() -> None:
    assert plugins.drivers()["mpu6050"].load().__name__ == "Mpu6050"


def test_a_third_party_driver_stands_beside_ours(install: Any) -> None:
    install("mine", "my-package", horus_drivers={"mine": "horus_drivers.imu.mpu6050:Mpu6050"})
    assert plugins.drivers()["mine"].plugin.package == "my-package 1.0"
    assert plugins.drivers()["mine"].load().__name__ == "Mpu6050"


def test_a_plugin_that_cannot_be_imported_is_recorded_and_others_work(install: Any) -> None:
    install("broken", "broken-package", module="no_such_module_here")
    install("raises", "raising-package", horus_drivers=RuntimeError("on fire"))
    problems = {info.name: info.problem for info in plugins.plugins()}
    assert "No module named 'no_such_module_here'" in problems["broken"]
    assert problems["raises"] == "horus_drivers(): RuntimeError: on fire"
    assert problems["drivers"] == ""
    assert "mpu6050" in plugins.drivers()


def test_two_plugins_with_one_name_are_an_error_that_names_both(install: Any) -> None:
    install("same", "package-a", horus_drivers={"a": "x:Y"})
    install("same", "package-b", horus_drivers={"b": "x:Y"})
    (problem,) = [info.problem for info in plugins.plugins() if info.name == "same"]
    assert "package-a 1.0 and of package-b 1.0" in problem
    assert "a" not in plugins.drivers()


def test_two_plugins_that_offer_one_driver_are_an_error_when_it_is_used(install: Any) -> None:
    install("mine", "my-package", horus_drivers={"mpu6050": "x:Y"})
    with pytest.raises(plugins.PluginError, match="driver mpu6050 is offered by two") as info:
        plugins.drivers()["mpu6050"].load()
    assert "plugin drivers of horus" in str(info.value)
    assert "plugin mine of my-package 1.0" in str(info.value)


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("no_such_module:Driver", "cannot be imported: ModuleNotFoundError"),
        ("horus_drivers.imu.mpu6050:Nope", "cannot be imported: AttributeError"),
        ("horus_drivers.imu.mpu6050:GRAVITY", "is not a Driver"),
    ],
)
def test_a_driver_that_cannot_be_loaded_names_its_plugin(
    install: Any, target: str, text: str
) -> None:
    install("mine", "my-package", horus_drivers={"mine": target})
    with pytest.raises(plugins.PluginError, match=text) as info:
        plugins.drivers()["mine"].load()
    assert "plugin mine of my-package 1.0" in str(info.value)


def test_the_folder_cannot_be_imported_under_another_name() -> None:
    root = Path(plugins.__file__).parent.parent
    code = f"import sys; sys.path.insert(0, {str(root)!r}); import drivers"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode != 0
    assert "this folder is imported as horus_drivers" in done.stderr


def test_importing_a_driver_needs_no_bus_library() -> None:
    code = (
        "import sys\n"
        "import horus_drivers.imu.mpu6050, horus_drivers.motor.odrive\n"
        "loaded = {'can', 'smbus2', 'serial', 'yaml', 'numpy'} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


BUS = """\
from horus.hal.backends.i2c_dev import I2cDev
class Mine(I2cDev): pass
class Odd:
    config_type = I2cDev.config_type
    kind = "carrier pigeon"
"""


@pytest.fixture
def bus_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "my_bus.py").write_text(BUS)
    monkeypatch.syspath_prepend(tmp_path)
    yield "my_bus"
    sys.modules.pop("my_bus", None)


def test_a_third_party_kind_of_bus_stands_beside_ours(install: Any, bus_module: str) -> None:
    install("mine", "my-package", horus_buses={"mine": f"{bus_module}:Mine"})
    assert {"i2c", "socketcan", "mine"} <= set(plugins.buses())
    assert plugins.buses()["mine"].load().kind == "i2c"


def test_a_kind_of_bus_that_is_ours_too_is_an_error_that_names_both(install: Any) -> None:
    install("mine", "my-package", horus_buses={"i2c": "x:Y"})
    with pytest.raises(plugins.PluginError, match="bus i2c is offered by two plugins") as info:
        plugins.buses()["i2c"].load()
    assert "plugin horus of horus" in str(info.value)
    assert "plugin mine of my-package 1.0" in str(info.value)


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("my_bus:Odd", "its kind must be one of i2c, can, serial"),
        ("my_bus:I2cDevConfig", "AttributeError"),
        ("horus.hal.i2c:I2cBus", "its config_type must be a BusConfig"),
    ],
)
def test_what_is_no_bus_is_refused(install: Any, bus_module: str, target: str, text: str) -> None:
    install("mine", "my-package", horus_buses={"mine": target})
    with pytest.raises(plugins.PluginError, match=text):
        plugins.buses()["mine"].load()


def test_a_robot_uses_a_plugins_bus_and_is_told_when_it_cannot_be_loaded(
    install: Any, bus_module: str, tmp_path: Path
) -> None:
    from horus.errors import ConfigError
    from horus.hardware import config

    offered = {"mine": "my_bus:Mine", "odd": "my_bus:Odd"}
    install("mine", "my-package", horus_buses=offered)
    file = tmp_path / "horus.yaml"
    file.write_text("buses: {a: {use: mine, device: /dev/x}}\n")
    assert config.load(file).buses["a"].backend.__name__ == "Mine"  # type: ignore[attr-defined]
    file.write_text("buses: {a: {use: odd, device: /dev/x}}\n")
    with pytest.raises(ConfigError, match=r"horus.yaml:1: buses.a.use: bus odd .* my-package 1.0"):
        config.load(file)


@pytest.mark.parametrize("offered", [["mpu6050"], "mpu6050:X", 5, {"a": 5}, {5: "x:Y"}])
def test_an_offer_of_the_wrong_form_is_a_problem_of_its_plugin(install: Any, offered: Any) -> None:
    install("odd", "odd-package", horus_drivers=offered)
    (problem,) = [info.problem for info in plugins.plugins() if info.name == "odd"]
    assert problem.startswith("horus_drivers(): ")
    assert plugins.drivers()["mpu6050"].load()


def test_a_hook_that_does_not_exist_is_named_with_the_nearest(install: Any) -> None:
    install("odd", "odd-package", horus_driver={"a": "x:Y"})
    (problem,) = [info.problem for info in plugins.plugins() if info.name == "odd"]
    assert problem == "there is no hook horus_driver (did you mean 'horus_drivers'?)"


def test_a_plugin_that_ends_the_program_when_it_is_imported_is_recorded(
    install: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "leaves_at_once.py").write_text("raise SystemExit('bye')")
    monkeypatch.syspath_prepend(tmp_path)
    install("leaves", "leaving-package", module="leaves_at_once")
    (problem,) = [info.problem for info in plugins.plugins() if info.name == "leaves"]
    assert problem == f"SystemExit: bye ({tmp_path}/leaves_at_once.py:1)"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("import json\n\njson.loads('{')\n", "JSONDecodeError: .* \\({file}:3\\)"),
        ("import json\ndef f(:\n", "SyntaxError: .* \\({file}:2\\)"),
    ],
)
def test_a_plugin_that_fails_on_import_is_told_with_the_line_in_its_own_file(
    install: Any, text: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "fails_on_import.py"
    file.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    wanted = problem.format(file=re.escape(str(file)))
    install("brk", "broken-package", module="fails_on_import")
    (trouble,) = plugins.troubles()
    assert re.fullmatch(rf"plugin brk cannot be loaded: {wanted} \(horus plugins\)", trouble)
    install("mine", "my-package", horus_drivers={"mine": "fails_on_import:X"})
    with pytest.raises(plugins.PluginError, match=rf"cannot be imported: {wanted}"):
        plugins.drivers()["mine"].load()


def test_a_plugin_whose_functions_are_not_marked_is_told(install: Any) -> None:
    install("unmarked", "odd-package", module="json")
    (problem,) = [info.problem for info in plugins.plugins() if info.name == "unmarked"]
    assert problem == "has no hooks: mark its functions with @hookimpl"


def test_an_unknown_driver_or_bus_may_be_that_of_a_broken_plugin(
    install: Any, tmp_path: Path
) -> None:
    from horus.errors import ConfigError
    from horus.hardware import config

    install("brk", "broken-package", module="no_such_module_here")
    file = tmp_path / "horus.yaml"
    file.write_text("buses:\n  a: {use: qqq}\nhardware:\n  b: {use: ltr303, bus: a}\n")
    with pytest.raises(ConfigError) as info:
        config.load(file)
    bus, device = info.value.faults
    for fault in (bus, device):
        assert "; plugin brk cannot be loaded: ModuleNotFoundError" in fault
    assert "pip install" not in device


INCOMPLETE = """\
from horus.hal import Actuator, ActuatorConfig, Driver, DriverConfig, RegisterMap, output
from horus.msgs import Imu, MotorState
class Registers(RegisterMap):
    station_option = ""
class Addressed(RegisterMap): pass
class Abstract(Driver[DriverConfig, Registers]): pass
class Whole(Driver[DriverConfig, Registers]):
    def probe(self): return True
    def read(self) -> Imu | None: return None
class Untyped(Whole):
    def read(self): return None
class Strange(Whole):
    def read(self) -> "Nowhere | None": return None
class Second(Whole):
    @output
    def extra(self): return None
class Bare(Driver):
    def probe(self): return True
    def read(self) -> Imu | None: return None
class Placeless(Driver[DriverConfig, Addressed]):
    def probe(self): return True
    def read(self) -> Imu | None: return None
class Motor(Actuator[ActuatorConfig, Registers]):
    def probe(self): return True
    def read(self) -> MotorState | None: return None
    def arm(self): pass
    def safe(self): pass
    def write(self): pass
class Loose(Motor):
    def write(self, command): pass
"""


@pytest.mark.parametrize(
    ("name", "lacks"),
    [
        ("Abstract", ["probe() is missing", "read() is missing"]),
        ("Untyped", ["Untyped.read: annotate 'return' with one message type"]),
        ("Strange", ["Strange.read: its annotations cannot be read: ", "Nowhere"]),
        ("Second", ["Second.extra: annotate 'return' with one message type"]),
        ("Bare", ["name its options and its map: class Bare(Driver[BareConfig, BareRegisters])"]),
        ("Motor", ["Motor.write: it takes the command"]),
        ("Loose", ["Loose.write: annotate 'command' with one message type"]),
        ("Placeless", ["DriverConfig has no option 'address'"]),
        ("Whole", []),
    ],
)
def test_a_driver_that_is_not_complete_is_a_fault_of_the_robot(
    install: Any, name: str, lacks: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from horus.cli.describe import described
    from horus.errors import ConfigError
    from horus.hardware import config

    module = ModuleType("incomplete_drivers")
    exec(INCOMPLETE, module.__dict__)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    install("mine", "my-package", horus_drivers={"mine": f"incomplete_drivers:{name}"})
    file = tmp_path / "horus.yaml"
    file.write_text(
        "buses: {i2c1: {use: i2c, device: /dev/x}}\nhardware:\n  a: {use: mine, bus: i2c1}\n"
    )
    if not lacks:
        assert list(config.load(file).hardware) == ["a"]
        return
    with pytest.raises(ConfigError) as info:
        config.load(file)
    (fault,) = info.value.faults
    start = f"{file}:3: hardware.a.use: driver mine (incomplete_drivers:{name}, plugin mine of "
    assert fault.startswith(start)
    assert all(text in fault for text in ["is not complete: ", *lacks])
    assert "is not complete" in described(plugins.drivers()["mine"]).problem


def test_a_plugins_check_sees_the_robot_and_one_that_raises_disturbs_no_other(
    install: Any,
) -> None:
    install("a", "package-a", horus_check=lambda config: [f"{config.name} has no horn"])
    install("b", "package-b", horus_check=ZeroDivisionError("by zero"))
    install("c", "package-c", horus_check=lambda: ["told anyway"])
    found = plugins.call("horus_check", config=SimpleNamespace(name="rover"))
    assert [answer for _, answer in found] == [["rover has no horn"], ["told anyway"]]
    (problem,) = [info.problem for info in plugins.plugins() if info.name == "b"]
    assert problem == "horus_check(): ZeroDivisionError: by zero"


# what plugins are told while a robot runs --------------------------------------------------------


@pytest.fixture
def told() -> Iterator[None]:
    yield
    notices.end()


def test_changes_of_state_arrive_in_order_in_another_thread(install: Any, told: None) -> None:
    heard: list[tuple[Any, ...]] = []
    threads: set[int] = set()

    def note(device: str, state: str, text: str) -> None:
        threads.add(threading.get_ident())
        heard.append((device, state, text))

    install("mine", "my-package", horus_device_state=note)
    notices.device_state("imu", "ready", "before the beginning: nobody is told")
    notices.begin()
    changes = [("imu", state, f"number {n}") for n, state in enumerate(("ready", "active") * 50)]
    for change in changes:
        notices.device_state(*change)
    notices.end()
    assert heard == changes
    assert threads.isdisjoint({threading.get_ident()})


def test_a_plugin_that_hangs_or_raises_does_not_hold_up_a_tick(
    install: Any, told: None, caplog: pytest.LogCaptureFixture, wait_for: Callable[..., None]
) -> None:
    go_on = threading.Event()
    install("hangs", "hanging-package", horus_device_state=lambda state: go_on.wait(60))
    install("raises", "raising-package", horus_device_state=RuntimeError("on fire"))
    notices.begin()
    for _ in range(10 * notices.WAITING):  # none of these waits
        notices.device_state("imu", "fault", "gone")
    go_on.set()
    with caplog.at_level(logging.WARNING):
        wait_for(lambda: "on fire" in caplog.text)
        notices.end()
    said = [r for r in caplog.records if "on fire" in r.getMessage()]
    assert len(said) == 1
    assert "plugin raises of raising-package 1.0" in said[0].getMessage()


def test_without_a_plugin_that_wants_to_know_no_thread_is_started(install: Any) -> None:
    before = threading.active_count()
    notices.begin()
    assert threading.active_count() == before
    notices.device_state("imu", "ready", "")
    notices.end()


def test_the_end_of_a_run_is_told_and_what_fails_is_returned(install: Any) -> None:
    heard: list[int] = []
    install("mine", "my-package", horus_stop=lambda status: heard.append(status))
    install("raises", "raising-package", horus_stop=RuntimeError("on fire"))
    problems = notices.run_ended(3)
    assert heard == [3]
    assert problems == ["plugin raises of raising-package 1.0: horus_stop(): RuntimeError: on fire"]


def test_a_plugin_that_does_not_return_at_the_end_is_left_alone(
    install: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    monkeypatch.setattr(notices, "STOP_WAIT", 0.05)
    install("hangs", "hanging-package", horus_stop=lambda: go_on.wait(60))
    assert notices.run_ended(0) == [
        "a plugin's horus_stop() has not returned within 0.05 s: left alone"
    ]
    go_on.set()

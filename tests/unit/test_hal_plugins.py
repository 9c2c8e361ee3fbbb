"""Plugins: found, isolated when broken, refused when two claim one name."""

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from horus import plugins
from horus.hookspecs import hookimpl


class Dist:
    def __init__(self, name: str) -> None:
        self.name = name
        self.version = "1.0"


def entry(name: str, module: str, package: str) -> EntryPoint:
    made = EntryPoint(name, module, plugins.GROUP)
    object.__setattr__(made, "dist", Dist(package))
    return made


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Add plugins: (entry point's name, package, the drivers it offers)."""
    plugins.reset()
    found = list(entry_points(group=plugins.GROUP))

    def add(name: str, package: str, drivers: Any) -> None:
        module = ModuleType("plugin_" + package.replace("-", "_"))

        @hookimpl
        def horus_drivers() -> Any:
            if isinstance(drivers, Exception):
                raise drivers
            return drivers

        module.__dict__["horus_drivers"] = horus_drivers
        monkeypatch.setitem(sys.modules, module.__name__, module)
        found.append(entry(name, module.__name__, package))

    monkeypatch.setattr(plugins, "entry_points", lambda group: found)
    add.found = found  # type: ignore[attr-defined]
    yield add
    plugins.reset()


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
    install("mine", "my-package", {"mine": "horus_drivers.imu.mpu6050:Mpu6050"})
    assert plugins.drivers()["mine"].plugin.package == "my-package 1.0"
    assert plugins.drivers()["mine"].load().__name__ == "Mpu6050"


def test_a_plugin_that_cannot_be_imported_is_recorded_and_others_work(install: Any) -> None:
    install.found.append(entry("broken", "no_such_module_here", "broken-package"))
    install("raises", "raising-package", RuntimeError("on fire"))
    problems = {info.name: info.problem for info in plugins.plugins()}
    assert "No module named 'no_such_module_here'" in problems["broken"]
    assert problems["raises"] == "horus_drivers(): RuntimeError: on fire"
    assert problems["drivers"] == ""
    assert "mpu6050" in plugins.drivers()


def test_two_plugins_with_one_name_are_an_error_that_names_both(install: Any) -> None:
    install("same", "package-a", {"a": "x:Y"})
    install("same", "package-b", {"b": "x:Y"})
    (problem,) = [info.problem for info in plugins.plugins() if info.name == "same"]
    assert "package-a 1.0 and of package-b 1.0" in problem
    assert "a" not in plugins.drivers()


def test_two_plugins_that_offer_one_driver_are_an_error_when_it_is_used(install: Any) -> None:
    install("mine", "my-package", {"mpu6050": "x:Y"})
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
    install("mine", "my-package", {"mine": target})
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

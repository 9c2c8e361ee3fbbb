"""The package pyvesc-fix against the VESC twin, over a pseudo-terminal."""

import importlib
import importlib.util
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from horus_drivers.motor.vesc_uart import VescUartConfig, VescUartSim

from tests.clients.ptywire import served

serial = pytest.importorskip("serial")
if importlib.util.find_spec("pyvesc_fix") is None:
    pytest.skip("pyvesc-fix is not installed", allow_module_level=True)


class Names:
    """The names of several modules as attributes of one object."""

    def __init__(self, *modules: Any) -> None:
        for module in modules:
            vars(self).update(vars(module))


@pytest.fixture(scope="module")
def pyvesc() -> Iterator[Any]:
    """The package, which imports itself by the name of the one it was forked from."""
    found = importlib.util.find_spec("pyvesc_fix")
    assert found is not None and found.origin is not None
    spec = importlib.util.spec_from_file_location(
        "pyvesc", found.origin, submodule_search_locations=found.submodule_search_locations
    )
    assert spec is not None and spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules["pyvesc"] = package
    try:
        spec.loader.exec_module(package)
        yield Names(
            importlib.import_module("pyvesc.VESC.messages"),
            importlib.import_module("pyvesc.protocol.interface"),
        )
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "pyvesc"]:
            del sys.modules[name]


@pytest.fixture
def port() -> Iterator[Any]:
    with served(VescUartSim(VescUartConfig())) as path:
        made = serial.Serial(path, 115_200, timeout=0.02)
        yield made
        made.close()


def asked(pyvesc: Any, port: Any, message: Any) -> Any:
    port.write(pyvesc.encode_request(message))
    data = b""
    deadline = time.monotonic() + 10.0
    while time.monotonic() < deadline:
        data += port.read(200)
        answer, used = pyvesc.decode(data)
        if answer is not None:
            assert used == len(data)
            return answer
    pytest.fail(f"no answer in {data.hex()}")


def test_the_firmware(pyvesc: Any, port: Any) -> None:
    version = asked(pyvesc, port, pyvesc.GetVersion())
    assert (version.comm_fw_version, version.fw_version_major) == (5, 2)


def test_a_speed_is_followed_and_everything_is_measured(pyvesc: Any, port: Any) -> None:
    deadline = time.monotonic() + 20.0
    while True:
        port.write(pyvesc.encode(pyvesc.SetRPM(3000)))
        values = asked(pyvesc, port, pyvesc.GetValues())
        if abs(values.rpm - 3000) < 60:
            break
        assert time.monotonic() < deadline, values.rpm
    assert values.v_in == 24.0
    assert 20.0 < values.temp_motor < 40.0
    assert 0.0 < values.duty_cycle_now < 0.2
    assert values.tachometer > 0
    assert values.avg_motor_current == pytest.approx(values.avg_iq)

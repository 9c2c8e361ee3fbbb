"""The odrive-can package, with its DBC files, against the ODrive twin."""

import asyncio
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from horus_drivers.motor.odrive import Odrive, OdriveConfig

from tests.clients.canwire import alive

odrive = pytest.importorskip("odrive_can.odrive")
utils = pytest.importorskip("odrive_can.utils")
can = pytest.importorskip("can")

TURN = 2 * math.pi


@pytest.fixture
def twin() -> Any:
    assert Odrive.twin is not None
    return Odrive.twin(OdriveConfig(node=1))


@pytest.fixture
def bus(twin: Any) -> Iterator[Any]:
    with alive(twin) as options:
        made = can.Bus(**options)
        try:
            yield made
        finally:
            made.shutdown()


def driven(bus: Any, play: Callable[[Any], Any]) -> None:
    """Run a play with the package's driver, which lives in a loop of its own."""

    async def run() -> None:
        driver = odrive.ODriveCAN(axis_id=1, can_bus=bus)
        await asyncio.wait_for(driver.start(), 20)
        try:
            await asyncio.wait_for(play(driver), 20)
        finally:
            driver.stop()

    asyncio.run(run())


async def until(condition: Callable[[], Any]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


async def asked(question: Any, name: str) -> dict[str, float]:
    """Ask until the answer has a value of that name: the client takes the next frame for it."""
    for _ in range(10):
        found: dict[str, float] = await question()
        if name in found:
            return found
    raise AssertionError(f"no answer has {name}")


def test_its_heartbeat_is_understood(bus: Any) -> None:
    async def play(driver: Any) -> None:
        driver.check_alive()
        driver.check_errors()
        assert driver.axis_state == "IDLE"

    driven(bus, play)


def test_it_turns_the_motor_and_reads_what_it_does(bus: Any, twin: Any) -> None:
    async def play(driver: Any) -> None:
        driver.set_controller_mode("VELOCITY_CONTROL", "PASSTHROUGH")
        driver.set_limits(10.0, 20.0)
        await driver.set_axis_state("CLOSED_LOOP_CONTROL")
        driver.set_input_vel(2.0)
        await until(lambda: abs(twin.truth()["velocity"] - 2 * TURN) < 0.5)
        found = await asked(driver.get_encoder_estimates, "Vel_Estimate")
        assert found["Vel_Estimate"] == pytest.approx(2.0, abs=0.1)
        found = await asked(driver.get_bus_voltage_current, "Bus_Voltage")
        assert found["Bus_Voltage"] == pytest.approx(24.0)
        found = await asked(driver.get_iq, "Iq_Measured")
        assert 0.0 < found["Iq_Measured"] < 20.0
        await driver.set_axis_state("IDLE")
        await until(lambda: twin.truth()["at_rest"])

    driven(bus, play)


def test_an_emergency_stop_shows_in_its_errors(bus: Any, twin: Any) -> None:
    async def play(driver: Any) -> None:
        driver._send_message("Estop")
        await until(lambda: twin.truth()["error"])
        await driver.wait_for_heartbeat()
        await driver.wait_for_heartbeat()
        with pytest.raises(odrive.DriveError):
            driver.check_errors()
        driver.clear_errors()
        await until(lambda: not twin.truth()["error"])

    driven(bus, play)


def test_its_dbc_file_agrees_with_our_layouts() -> None:
    dbc = utils.get_dbc()
    frames = Odrive.map_type
    names = {
        "set_axis_state": "Set_Axis_State",
        "set_controller_mode": "Set_Controller_Mode",
        "set_input_velocity": "Set_Input_Vel",
        "set_limits": "Set_Limits",
        "clear_errors": "Clear_Errors",
        "estop": "Estop",
        "heartbeat": "Heartbeat",
        "estimates": "Get_Encoder_Estimates",
        "current": "Get_Iq",
        "temperature": "Get_Temperature",
        "power": "Get_Bus_Voltage_Current",
    }
    declared: dict[str, Any] = {**frames.commands, **frames.reports}
    assert set(names) == set(declared)
    for name, theirs in names.items():
        message = dbc.get_message_by_name(f"Axis1_{theirs}")
        assert message.frame_id == frames.can_id(1, declared[name].command), name
        assert declared[name].layout.size <= message.length, name

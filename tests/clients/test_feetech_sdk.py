"""Feetech's own SDK (package feetech-servo-sdk) against the STS twin, over a pseudo-terminal."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from horus_drivers.servo.feetech import FeetechConfig, FeetechSim

from tests.clients.ptywire import served

sdk = pytest.importorskip("scservo_sdk")
if not hasattr(sdk, "sms_sts"):
    pytest.skip("another package of this name", allow_module_level=True)


@pytest.fixture
def twin() -> Any:
    return FeetechSim(FeetechConfig(ids=(1, 2)))


@pytest.fixture
def servos(twin: Any) -> Iterator[Any]:
    with served(twin) as path:
        port = sdk.PortHandler(path)
        port.setBaudRate(1_000_000)
        yield sdk.sms_sts(port)
        port.closePort()


def settled(read: Any, wanted: int, near: int) -> None:
    """Wait until a servo's position or speed is where it shall be."""
    deadline = time.monotonic() + 20.0
    while abs((found := read())[0] - wanted) > near:
        assert found[-2] == sdk.COMM_SUCCESS
        assert time.monotonic() < deadline, found


def test_ping_gives_the_model(servos: Any) -> None:
    assert servos.ping(1) == (777, sdk.COMM_SUCCESS, 0)
    assert servos.ping(9)[1] == sdk.COMM_RX_TIMEOUT


def test_a_position_is_reached_and_read_back(servos: Any) -> None:
    assert servos.WritePosEx(1, 3000, 2400, 50) == (sdk.COMM_SUCCESS, 0)
    settled(lambda: servos.ReadPos(1), 3000, 8)
    assert servos.ReadPos(2)[0] == 2048


def test_positions_for_several_in_one_frame(servos: Any) -> None:
    servos.SyncWritePosEx(1, 1500, 2400, 50)
    servos.SyncWritePosEx(2, 2500, 2400, 50)
    assert servos.groupSyncWrite.txPacket() == sdk.COMM_SUCCESS
    settled(lambda: servos.ReadPos(1), 1500, 8)
    settled(lambda: servos.ReadPos(2), 2500, 8)
    read = sdk.GroupSyncRead(servos, 56, 4)
    assert read.addParam(1) and read.addParam(2)
    assert read.txRxPacket() == sdk.COMM_SUCCESS
    assert abs(read.getData(2, 56, 2) - 2500) <= 8


def test_a_wheel_turns_backward(servos: Any) -> None:
    servos.unLockEprom(1)
    assert servos.WheelMode(1) == (sdk.COMM_SUCCESS, 0)
    servos.LockEprom(1)
    assert servos.write1ByteTxRx(1, 40, 1) == (sdk.COMM_SUCCESS, 0)
    assert servos.WriteSpec(1, -1000, 50) == (sdk.COMM_SUCCESS, 0)
    settled(lambda: servos.ReadSpeed(1), -1000, 50)

"""The manufacturer's DynamixelSDK against the Dynamixel twin, over a pseudo-terminal."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from horus_drivers.servo.dynamixel import DynamixelConfig, DynamixelSim

from tests.clients.ptywire import served

sdk = pytest.importorskip("dynamixel_sdk")


@pytest.fixture
def twin() -> Any:
    return DynamixelSim(DynamixelConfig(ids=(1, 2, 7)))


@pytest.fixture
def port(twin: Any) -> Iterator[Any]:
    with served(twin) as path:
        made = sdk.PortHandler(path)
        assert made.openPort()
        made.setBaudRate(1_000_000)
        yield made
        made.closePort()


@pytest.fixture
def packets() -> Any:
    return sdk.PacketHandler(2.0)


def done(answer: tuple[Any, ...]) -> Any:
    """Return the value of an answer (value, result, error) or (result, error) that went well."""
    *value, result, error = answer
    assert result == sdk.COMM_SUCCESS
    assert error == 0
    return value[0] if value else None


def test_ping(port: Any, packets: Any) -> None:
    assert done(packets.ping(port, 1)) == 1060
    _, result, _ = packets.ping(port, 3)
    assert result == sdk.COMM_RX_TIMEOUT


def test_ping_all(port: Any, packets: Any) -> None:
    found, result = packets.broadcastPing(port)
    assert result == sdk.COMM_SUCCESS
    assert found == {id: [1060, 45] for id in (1, 2, 7)}


def test_read_and_write_every_width(port: Any, packets: Any) -> None:
    assert done(packets.read1ByteTxRx(port, 1, 11)) == 3
    assert done(packets.read2ByteTxRx(port, 1, 144)) == 120
    assert done(packets.read4ByteTxRx(port, 1, 132)) == 2048
    done(packets.write1ByteTxRx(port, 1, 65, 1))
    done(packets.write2ByteTxRx(port, 1, 84, 800))
    done(packets.write4ByteTxRx(port, 1, 112, 0x00FDFFFF & 0x7FFF))
    assert done(packets.read1ByteTxRx(port, 1, 65)) == 1
    assert done(packets.read2ByteTxRx(port, 1, 84)) == 800
    assert done(packets.read4ByteTxRx(port, 1, 112)) == 0x7FFF


def test_bytes_that_look_like_a_header_are_stuffed_by_the_twin(
    port: Any, packets: Any, twin: Any
) -> None:
    """The other way round would prove nothing: the SDK (4.1.0) sends them as they are."""
    twin.servos[2].write(224, bytes.fromhex("01 FF FF FD 00 02"))
    assert list(done(packets.readTxRx(port, 2, 224, 6))) == [0x01, 0xFF, 0xFF, 0xFD, 0x00, 0x02]


@pytest.mark.parametrize(("address", "value", "error"), [(11, 1, 7), (132, 0, 7), (116, 5000, 6)])
def test_what_is_not_allowed_is_refused(
    port: Any, packets: Any, address: int, value: int, error: int
) -> None:
    done(packets.write1ByteTxRx(port, 1, 64, 1))
    size = {11: packets.write1ByteTxRx}.get(address, packets.write4ByteTxRx)
    assert size(port, 1, address, value) == (sdk.COMM_SUCCESS, error)


def test_sync_write_moves_and_sync_read_tells(port: Any, packets: Any, twin: Any) -> None:
    write = sdk.GroupSyncWrite(port, packets, 116, 4)
    for id in (1, 2, 7):
        done(packets.write1ByteTxRx(port, id, 64, 1))
        assert write.addParam(id, list((2048 + 100 * id).to_bytes(4, "little")))
    assert write.txPacket() == sdk.COMM_SUCCESS
    read = sdk.GroupSyncRead(port, packets, 128, 8)
    for id in (1, 2, 7):
        assert read.addParam(id)
    deadline = time.monotonic() + 20.0
    positions: dict[int, int] = {}
    while time.monotonic() < deadline:
        if read.txRxPacket() == sdk.COMM_SUCCESS:
            assert all(read.isAvailable(id, 132, 4) for id in (1, 2, 7))
            positions = {id: read.getData(id, 132, 4) for id in (1, 2, 7)}
            if all(abs(positions[id] - 2048 - 100 * id) < 8 for id in positions):
                return
    pytest.fail(f"still at {positions}; {twin.truth()}")


def test_bulk_read_and_write(port: Any, packets: Any) -> None:
    write = sdk.GroupBulkWrite(port, packets)
    assert write.addParam(1, 65, 1, [1])
    assert write.addParam(2, 112, 4, [10, 0, 0, 0])
    assert write.txPacket() == sdk.COMM_SUCCESS
    read = sdk.GroupBulkRead(port, packets)
    assert read.addParam(1, 65, 1)
    assert read.addParam(2, 112, 4)
    assert read.txRxPacket() == sdk.COMM_SUCCESS
    assert (read.getData(1, 65, 1), read.getData(2, 112, 4)) == (1, 10)


def test_registered_writes_wait_for_the_action(port: Any, packets: Any) -> None:
    done(packets.regWriteTxRx(port, 1, 65, 1, [1]))
    assert done(packets.read1ByteTxRx(port, 1, 65)) == 0
    packets.action(port, sdk.BROADCAST_ID)
    assert done(packets.read1ByteTxRx(port, 1, 65)) == 1


def test_a_restart_forgets_what_is_not_kept(port: Any, packets: Any) -> None:
    done(packets.write1ByteTxRx(port, 1, 64, 1))
    done(packets.reboot(port, 1))
    assert done(packets.read1ByteTxRx(port, 1, 64)) == 0


def test_the_easy_sdk_turns_a_motor(port: Any) -> None:
    easy = pytest.importorskip("dynamixel_easy_sdk")
    port.closePort()
    connector = easy.Connector(port.getPortName(), 1_000_000)
    motor = connector.createMotor(1)
    motor.disableTorque()
    motor.setOperatingMode(easy.OperatingMode.VELOCITY)
    motor.enableTorque()
    motor.setGoalVelocity(50)
    deadline = time.monotonic() + 20.0
    while not 45 <= motor.getPresentVelocity() <= 55:
        assert time.monotonic() < deadline
    motor.disableTorque()
    assert not motor.isTorqueOn()

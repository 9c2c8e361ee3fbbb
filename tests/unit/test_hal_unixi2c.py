"""A simulated I2C bus that crosses processes."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from horus.hal import DeviceFault, FaultKind, SimI2cBus
from horus.hal.unixi2c import SOCKET, I2cSimHost, UnixI2c
from horus.plugins import drivers


@pytest.fixture
def twin() -> Any:
    driver: Any = drivers()["mpu6050"].load()
    return driver.twin(driver.config_type())


@pytest.fixture
def served(tmp_path: Path, twin: Any) -> Iterator[Path]:
    bus = SimI2cBus("bus0")
    bus.attach(twin)
    host = I2cSimHost(bus, tmp_path)
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            host.step(0.01)

    thread = threading.Thread(target=serve)
    thread.start()
    yield tmp_path
    over.set()
    thread.join()
    host.close()
    assert not (tmp_path / SOCKET).exists()


def test_a_master_reads_and_writes_the_chip(served: Path) -> None:
    bus = UnixI2c("bus0", served)
    assert bus.transfer(0x68, b"\x75", 1) == b"\x68"
    bus.transfer(0x68, b"\x1b\x18")
    assert bus.transfer(0x68, b"\x1b", 1) == b"\x18"
    bus.close()


def test_two_masters_see_one_chip(served: Path) -> None:
    one, two = UnixI2c("bus0", served), UnixI2c("bus0", served)
    one.transfer(0x68, b"\x1b\x18")
    assert two.transfer(0x68, b"\x1b", 1) == b"\x18"
    one.close()
    two.close()


def test_faults_cross_the_wire_with_kind_and_words(served: Path, twin: Any) -> None:
    bus = UnixI2c("bus0", served)
    with pytest.raises(
        DeviceFault, match=r"bus0: nothing answers at address 0x50: check"
    ) as caught:
        bus.transfer(0x50, b"")
    assert caught.value.kind is FaultKind.NO_ACK
    twin.silence()
    with pytest.raises(DeviceFault, match="holds the clock line low") as caught:
        bus.transfer(0x68, b"\x75", 1)
    assert caught.value.kind is FaultKind.TIMEOUT
    bus.close()


def test_a_bus_that_nobody_simulates_is_absent(tmp_path: Path) -> None:
    with pytest.raises(DeviceFault, match="bus0: the simulated bus is not there") as caught:
        UnixI2c("bus0", tmp_path)
    assert caught.value.kind is FaultKind.ABSENT


def test_when_the_simulation_ends_the_bus_is_absent(tmp_path: Path, twin: Any) -> None:
    host = I2cSimHost(SimI2cBus("bus0"), tmp_path)
    bus = UnixI2c("bus0", tmp_path)
    host.step(1.0)  # takes the master in
    host.close()
    with pytest.raises(DeviceFault) as caught:
        bus.transfer(0x68, b"\x75", 1)
    assert caught.value.kind is FaultKind.ABSENT
    bus.close()


def test_a_master_that_leaves_or_talks_nonsense_harms_nobody(served: Path) -> None:
    rude = UnixI2c("bus0", served)
    rude._socket.send(b"x")
    assert rude._socket.recv(100) == b""
    rude.close()
    bus = UnixI2c("bus0", served)
    assert bus.transfer(0x68, b"\x75", 1) == b"\x68"
    bus.close()


def test_the_socket_of_a_killed_process_is_replaced(tmp_path: Path, twin: Any) -> None:
    (tmp_path / SOCKET).touch()
    I2cSimHost(SimI2cBus("bus0"), tmp_path).close()
    assert not (tmp_path / SOCKET).exists()


def test_a_command_is_noted_and_a_mere_question_is_not(tmp_path: Path, twin: Any) -> None:
    bus = SimI2cBus("bus0")
    bus.attach(twin)
    host = I2cSimHost(bus, tmp_path)
    assert host._answer(b"\1\0\0\0\x68\x00\x01\x00\x75") == b"\1\0\0\0\0\x68"
    assert host.commanded_ns == 0
    host._answer(b"\2\0\0\0\x68\x00\x00\x00\x1b\x18")
    assert host.commanded_ns > 0
    host.close()


def test_an_answer_that_nobody_waited_for_is_not_that_to_the_next_question(served: Path) -> None:
    class Interrupted:
        """A socket in whose receiving Ctrl-C is pressed."""

        def __init__(self, socket: Any) -> None:
            self.socket = socket

        def send(self, data: bytes) -> None:
            self.socket.send(data)

        def recv(self, size: int) -> bytes:
            raise KeyboardInterrupt

    bus = UnixI2c("bus0", served)
    real: Any = bus._socket
    bus._socket = Interrupted(real)  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        bus.transfer(0x68, b"\x1b", 1)
    bus._socket = real
    assert bus.transfer(0x68, b"\x75", 1) == b"\x68"
    assert bus.transfer(0x68, b"\x1b\x18") == b""
    bus.close()

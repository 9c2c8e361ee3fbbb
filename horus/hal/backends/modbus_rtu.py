"""Modbus RTU through pymodbus, on a serial port (RS-485) that is held exclusively."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Literal

from horus.hal.backends.access import package_missing
from horus.hal.backends.serial_port import SerialPort, SerialPortConfig, lost, open_serial
from horus.hal.config import BusConfig, option
from horus.hal.faults import DeviceFault, FaultKind
from horus.hal.modbus import ModbusBus, Table, no_answer, refusal

#: Silence (s) after which nothing more of an answer that came too late is to be expected.
SETTLED = 0.05


@dataclass(frozen=True, kw_only=True)
class ModbusRtuConfig(BusConfig):
    """Options of a Modbus line; all units on it share them."""

    device: str = option(doc="device node, such as /dev/ttyUSB0 or one in /dev/serial/by-id")
    baudrate: int = option(9600, unit="bit/s", low=300, high=4_000_000)
    parity: Literal["N", "E", "O"] = option("N", doc="none, even or odd; the standard's is E")
    stop_bits: Literal[1, 2] = option(1)
    timeout: float = option(0.3, unit="s", low=0.01, high=10, doc="longest wait for an answer")
    echo: bool = option(False, doc="the adapter hears what it sends itself")


class ModbusRtu(ModbusBus):
    """A line of units that answer one after the other."""

    config_type: ClassVar[type[BusConfig]] = ModbusRtuConfig

    def __init__(self, name: str, config: ModbusRtuConfig) -> None:
        self.name = name
        self.path = Path(config.device)
        try:
            from pymodbus import exceptions
            from pymodbus.client import ModbusSerialClient
        except ImportError:
            raise package_missing("pymodbus", name) from None
        log = logging.getLogger("pymodbus")
        if log.level == logging.NOTSET:
            log.setLevel(logging.CRITICAL)  # what it reports comes as a fault
        self._errors = exceptions.ModbusException
        self._heard = False
        self._unsettled = False
        self._client: Any = ModbusSerialClient(
            config.device,
            baudrate=config.baudrate,
            parity=config.parity,
            stopbits=config.stop_bits,
            timeout=config.timeout,
            retries=0,  # the link's business
            handle_local_echo=config.echo,
            trace_packet=self._trace,
        )
        self._port = open_serial(
            name,
            config.device,
            baudrate=config.baudrate,
            parity=config.parity,
            stopbits=config.stop_bits,
            timeout=config.timeout,
            write_timeout=config.timeout,
        )
        self._client.socket = self._port

    @classmethod
    def preflight(cls, name: str, config: ModbusRtuConfig) -> str:
        """Return why the line cannot be opened now and what to do."""
        if not find_spec("pymodbus"):
            return str(package_missing("pymodbus", name))
        return SerialPort.preflight(name, SerialPortConfig(device=config.device))

    def read(self, unit: int, table: Table, address: int, count: int) -> tuple[int, ...]:
        """Return consecutive registers."""
        client = self._open()
        read = client.read_holding_registers
        if table == "input":
            read = client.read_input_registers
        what = f"{table} registers from {address}"
        answer = self._do(unit, what, lambda: read(address, count=count, device_id=unit))
        registers = tuple(answer.registers)
        if len(registers) != count:  # the late answer to another question
            self._unsettled = True
            raise no_answer(unit, self.name, damaged=True)
        return registers

    def write(
        self, unit: int, address: int, values: Sequence[int], *, single: bool = False
    ) -> None:
        """Write consecutive holding registers."""
        client = self._open()
        what = f"holding registers from {address}"
        if single:
            (value,) = values
            self._do(unit, what, lambda: client.write_register(address, value, device_id=unit))
        else:
            given = list(values)
            self._do(unit, what, lambda: client.write_registers(address, given, device_id=unit))

    def close(self) -> None:
        """Release the port."""
        client, self._client = self._client, None
        if client is not None:
            client.close()
            with contextlib.suppress(OSError):
                self._port.close()

    def _open(self) -> Any:
        if self._client is None or self._client.socket is None:
            raise DeviceFault(FaultKind.ABSENT, "the line is closed", bus=self.name)
        return self._client

    def _do(self, unit: int, what: str, request: Any) -> Any:
        """Do one request; whatever goes wrong is a fault."""
        self._heard = False
        try:
            if self._unsettled:
                self._settle()
            answer = request()
        except (self._errors, OSError) as error:
            self._unsettled = True
            if self._client is None or self._client.socket is None or not self.path.exists():
                raise lost(error, self.path, self.name, gone=True) from None
            if isinstance(error, OSError):
                raise lost(error, self.path, self.name) from None
            raise no_answer(unit, self.name, damaged=self._heard) from None
        if answer.isError():
            raise refusal(unit, what, answer.exception_code, self.name)
        return answer

    def _settle(self) -> None:
        """Let pass what still comes of an answer that was given up, and forget it."""
        old, self._port.timeout = self._port.timeout, SETTLED
        try:
            while self._port.read(256):
                pass
        finally:
            self._port.timeout = old
        self._unsettled = False

    def _trace(self, sending: bool, data: bytes) -> bytes:
        """Take note that something was heard, even when it is no answer."""
        self._heard = self._heard or not sending
        return data

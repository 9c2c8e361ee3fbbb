"""The hardware abstraction layer: what a driver file needs, from the standard library alone."""

from horus.hal.can import CanBus, CanFrame
from horus.hal.canlink import CanHub, CanLink
from horus.hal.checksums import crc8
from horus.hal.config import (
    ActuatorConfig,
    BusConfig,
    Config,
    DriverConfig,
    SimConfig,
    option,
)
from horus.hal.dbc import DbcLayout
from horus.hal.driver import Actuator, Driver, Steps, command, output
from horus.hal.faults import CommandRefused, DeviceFault, FaultKind
from horus.hal.frames import CanMap, Command, Report
from horus.hal.framing import Checksum, Deframer, Framing, HeaderFraming
from horus.hal.i2c import I2cBus, I2cLink
from horus.hal.layouts import BitFields, Constant, Scaled, Span
from horus.hal.link import Link
from horus.hal.modbus import ModbusBus, ModbusLink
from horus.hal.modbusmap import Holding, HoldingBlock, Input, InputBlock, ModbusMap
from horus.hal.packets import Packet, PacketMap
from horus.hal.ptyserial import PtyPort
from horus.hal.recording import Recording
from horus.hal.registers import (
    BankSelect,
    Bits,
    Burst,
    Register,
    RegisterMap,
    WordRegisterMap,
)
from horus.hal.serial import SerialBus, SerialLink
from horus.hal.sim import Sim, SimFaults, Stimulus
from horus.hal.simcan import CanSim, CanSimHost
from horus.hal.simi2c import RegisterSim, SimI2cBus, no_acknowledge
from horus.hal.simmodbus import ModbusSim, ModbusSimHost, SimModbusBus
from horus.hal.simserial import LocalSerial, SerialSim, SerialSimHost

__all__ = [
    "Actuator",
    "ActuatorConfig",
    "BankSelect",
    "BitFields",
    "Bits",
    "Burst",
    "BusConfig",
    "CanBus",
    "CanFrame",
    "CanHub",
    "CanLink",
    "CanMap",
    "CanSim",
    "CanSimHost",
    "Checksum",
    "Command",
    "CommandRefused",
    "Config",
    "Constant",
    "DbcLayout",
    "Deframer",
    "DeviceFault",
    "Driver",
    "DriverConfig",
    "FaultKind",
    "Framing",
    "HeaderFraming",
    "Holding",
    "HoldingBlock",
    "I2cBus",
    "I2cLink",
    "Input",
    "InputBlock",
    "Link",
    "LocalSerial",
    "ModbusBus",
    "ModbusLink",
    "ModbusMap",
    "ModbusSim",
    "ModbusSimHost",
    "Packet",
    "PacketMap",
    "PtyPort",
    "Recording",
    "Register",
    "RegisterMap",
    "RegisterSim",
    "Report",
    "Scaled",
    "SerialBus",
    "SerialLink",
    "SerialSim",
    "SerialSimHost",
    "Sim",
    "SimConfig",
    "SimFaults",
    "SimI2cBus",
    "SimModbusBus",
    "Span",
    "Steps",
    "Stimulus",
    "WordRegisterMap",
    "command",
    "crc8",
    "no_acknowledge",
    "option",
    "output",
]

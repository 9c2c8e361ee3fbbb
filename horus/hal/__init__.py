"""The hardware abstraction layer: what a driver file needs, from the standard library alone."""

from horus.hal.can import CanBus, CanFrame
from horus.hal.canlink import CanHub, CanLink
from horus.hal.config import (
    ActuatorConfig,
    BusConfig,
    Config,
    DriverConfig,
    SimConfig,
    option,
)
from horus.hal.driver import Actuator, Driver, Steps, command, output
from horus.hal.faults import CommandRefused, DeviceFault, FaultKind
from horus.hal.frames import CanMap, Command, Report
from horus.hal.framing import Checksum, Deframer, Framing, HeaderFraming
from horus.hal.i2c import I2cBus, I2cLink
from horus.hal.link import Link
from horus.hal.packets import Packet, PacketMap
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
from horus.hal.simi2c import RegisterSim, SimI2cBus
from horus.hal.simserial import LocalSerial, SerialSim, SerialSimHost

__all__ = [
    "Actuator",
    "ActuatorConfig",
    "BankSelect",
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
    "Deframer",
    "DeviceFault",
    "Driver",
    "DriverConfig",
    "FaultKind",
    "Framing",
    "HeaderFraming",
    "I2cBus",
    "I2cLink",
    "Link",
    "LocalSerial",
    "Packet",
    "PacketMap",
    "Recording",
    "Register",
    "RegisterMap",
    "RegisterSim",
    "Report",
    "SerialBus",
    "SerialLink",
    "SerialSim",
    "SerialSimHost",
    "Sim",
    "SimConfig",
    "SimFaults",
    "SimI2cBus",
    "Steps",
    "Stimulus",
    "WordRegisterMap",
    "command",
    "option",
    "output",
]

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
from horus.hal.driver import Actuator, Driver, Steps
from horus.hal.faults import CommandRefused, DeviceFault, FaultKind
from horus.hal.frames import CanMap, Command, Report
from horus.hal.i2c import I2cBus, I2cLink
from horus.hal.link import Link
from horus.hal.recording import Recording
from horus.hal.registers import Bits, Burst, Register, RegisterMap
from horus.hal.sim import Sim, SimFaults
from horus.hal.simcan import CanSim, CanSimHost
from horus.hal.simi2c import RegisterSim, SimI2cBus

__all__ = [
    "Actuator",
    "ActuatorConfig",
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
    "Command",
    "CommandRefused",
    "Config",
    "DeviceFault",
    "Driver",
    "DriverConfig",
    "FaultKind",
    "I2cBus",
    "I2cLink",
    "Link",
    "Recording",
    "Register",
    "RegisterMap",
    "RegisterSim",
    "Report",
    "Sim",
    "SimConfig",
    "SimFaults",
    "SimI2cBus",
    "Steps",
    "option",
]

"""Which sensors answer on an I2C bus; nothing that moves is asked, nothing is changed.

Only addresses are looked at that some driver of a sensor claims, by an empty write, or by reading
one byte where an empty write could disturb a memory chip. What answers is then asked by the
drivers' own `probe` on a bus that lets them read only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Literal, get_args, get_origin

from horus.hal.config import options
from horus.hal.driver import Actuator, Driver
from horus.hal.faults import DeviceFault, FaultKind
from horus.hal.i2c import I2cBus, I2cLink
from horus.plugins import DriverEntry, PluginError

#: Addresses of memory chips and clocks, where an empty write may do harm: a byte is read there.
READ_INSTEAD = frozenset([*range(0x30, 0x38), *range(0x50, 0x60)])
#: Bytes of a register's address, at most.
LONGEST_REGISTER = 2
#: Addresses that a device may have (the others are reserved by the I2C specification).
USABLE = range(0x08, 0x78)


@dataclass
class Answer:
    """What was found at one address."""

    address: int
    #: Drivers whose `probe` took it for theirs.
    uses: list[str] = field(default_factory=list)
    #: Drivers of things that move which may be there too; they were not asked.
    movers: list[str] = field(default_factory=list)


@dataclass
class Claims:
    """Which drivers may be at which addresses."""

    sensors: dict[int, list[tuple[str, type[Driver[Any, Any]]]]] = field(default_factory=dict)
    movers: dict[int, list[str]] = field(default_factory=dict)
    #: Drivers that could not be considered, and why.
    left_out: list[str] = field(default_factory=list)


class ReadOnly(I2cBus):
    """A bus on which nothing but the address of a register, to be read, can be written."""

    def __init__(self, bus: I2cBus) -> None:
        self.name = bus.name
        self.bus = bus

    def transfer(self, address: int, write: bytes, read: int = 0) -> bytes:
        """Do a transaction that changes nothing; any other is refused."""
        if write and (not read or len(write) > LONGEST_REGISTER):
            raise DeviceFault(FaultKind.REJECTED, "a scan writes nothing", bus=self.name)
        return self.bus.transfer(address, write, read)

    def close(self) -> None:
        """Leave the bus as it is."""


def claims(entries: Iterable[DriverEntry]) -> Claims:
    """Return which addresses the installed drivers claim."""
    found = Claims()
    for entry in entries:
        try:
            driver = entry.load()
        except PluginError as error:
            found.left_out.append(str(error))
            continue
        if driver.map_type.bus_kind != "i2c" or driver.map_type.station_option != "address":
            continue
        moves = issubclass(driver, Actuator)
        needed = [
            f.name
            for f in fields(driver.config_type)
            if f.default is MISSING and f.default_factory is MISSING and f.name != "address"
        ]
        if needed and not moves:
            found.left_out.append(f"{entry.name} needs {', '.join(needed)}: it was not asked")
            continue
        for address in addresses(driver):
            if moves:
                found.movers.setdefault(address, []).append(entry.name)
            else:
                found.sensors.setdefault(address, []).append((entry.name, driver))
    return found


def addresses(driver: type[Driver[Any, Any]]) -> list[int]:
    """Return the addresses at which a driver's device may be."""
    about = options(driver.config_type)["address"]
    if get_origin(about.type) is Literal:
        claimed = [int(choice) for choice in get_args(about.type)]
    elif about.low is not None and about.high is not None and about.high - about.low < 32:
        claimed = list(range(int(about.low), int(about.high) + 1))
    else:  # any address will do for it: the usual one alone
        claimed = [] if about.required else [int(about.default)]
    return [address for address in claimed if address in USABLE]


def look(bus: I2cBus, claimed: Claims, skip: Iterable[int] = ()) -> list[Answer]:
    """Return what answers on a bus at the addresses that sensors claim, but those to skip.

    A fault other than a missing acknowledge, such as a bus without pull-ups, is raised.
    """
    bus = ReadOnly(bus)
    found = []
    for address in sorted(set(claimed.sensors) - set(skip)):
        if not answers(bus, address):
            continue
        uses = [n for n, driver in claimed.sensors[address] if _is_it(bus, address, n, driver)]
        found.append(Answer(address, uses, claimed.movers.get(address, [])))
    return found


def answers(bus: I2cBus, address: int) -> bool:
    """Return whether anything acknowledges an address."""
    try:
        bus.transfer(address, b"", 1 if address in READ_INSTEAD else 0)
    except DeviceFault as fault:
        if fault.kind is FaultKind.NO_ACK:
            return False
        raise
    return True


def _is_it(bus: I2cBus, address: int, name: str, driver: type[Driver[Any, Any]]) -> bool:
    """Return whether a driver takes the device for its own; a bug in a driver is a no."""
    try:
        config: Any = driver.config_type(address=address)  # type: ignore[call-arg]
        return bool(driver(config, I2cLink(bus, address, name)).probe())
    except Exception:
        return False

"""I2C multiplexers: a bus whose parent is a bus.

A multiplexer connects some of its channels to the bus that it hangs on. Devices with one address
can be behind different channels, so at any time at most one channel of all the multiplexers on a
bus is connected, and what is written to select it is read back.
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from horus.hal.config import BusConfig, option
from horus.hal.faults import DeviceFault, FaultKind
from horus.hal.i2c import I2cBus
from horus.hal.registers import RegisterMap
from horus.hal.simi2c import RegisterSim, SimI2cBus

#: The control byte that disconnects all channels, of every multiplexer of this family.
OFF = 0x00
#: Attempts to disconnect another multiplexer before it is taken for absent.
ATTEMPTS = 2
#: Kinds of fault that tell of the whole bus and not of one channel.
_OF_THE_BUS = frozenset({FaultKind.ABSENT, FaultKind.DENIED, FaultKind.BUSY})


@dataclass(frozen=True, kw_only=True)
class MuxConfig(BusConfig):
    """Options of one channel of a multiplexer."""

    parent: str = option(doc="name of the bus that the multiplexer is on")
    address: int = option(0x70, low=0x70, high=0x77, doc="of the multiplexer")
    channel: int = option(low=0, high=7, doc="which of its channels this bus is")


class _Switches:
    """What is known of the multiplexers on one bus; all their channels share it."""

    _all: ClassVar[WeakKeyDictionary[I2cBus, _Switches]] = WeakKeyDictionary()
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self) -> None:
        self.lock = threading.RLock()
        #: The control byte of each multiplexer by address; None is not known.
        self.control: dict[int, int | None] = {}

    @classmethod
    def on(cls, bus: I2cBus) -> _Switches:
        """Return the one object for a bus."""
        with cls._lock:
            return cls._all.setdefault(bus, cls())


class MuxChannel(I2cBus):
    """One channel of a multiplexer: a bus that selects it before a transaction, where needed.

    A subclass names the chip, its options, and the control byte of each channel. Made by `branch`
    over an open parent, which it leaves open.
    """

    config_type: ClassVar[type[BusConfig]] = MuxConfig
    chip: ClassVar[str] = "multiplexer"

    def __init__(self, parent: I2cBus, name: str, config: MuxConfig) -> None:
        self.name = name
        self.parent = parent
        self.address = config.address
        self.channel = config.channel
        self._switches = _Switches.on(parent)
        self._switches.control.setdefault(self.address, None)

    @classmethod
    def preflight(cls, name: str, config: MuxConfig) -> str:
        """Return nothing: whether it can be opened depends on its parent alone."""
        return ""

    @classmethod
    def branch(cls, parent: I2cBus, name: str, config: MuxConfig) -> MuxChannel:
        """Return the channel as a bus; the multiplexer is asked when a device first is."""
        return cls(parent, name, config)

    @classmethod
    def simulate(cls, parent: SimI2cBus, config: MuxConfig, child: SimI2cBus) -> None:
        """Hang a simulated bus into its parent, behind the twin of the multiplexer."""
        twin = parent.twins.get(config.address)
        if twin is None:
            twin = MuxSim(config)
            parent.attach(twin)
            parent.branches.append(twin.through)
        if not isinstance(twin, MuxSim):
            raise ValueError(f"{parent.name}: two devices at address 0x{config.address:02X}")
        if config.channel in twin.children:
            other = twin.children[config.channel].name
            where = f"channel {config.channel} of 0x{config.address:02X} on {parent.name}"
            raise ValueError(f"{child.name}: {where} is already {other}")
        twin.children[config.channel] = child

    @classmethod
    def control(cls, channel: int) -> int:
        """Return the control byte that connects one channel: a bit each."""
        return 1 << channel

    def transfer(self, address: int, write: bytes, read: int = 0) -> bytes:
        """Do one transaction with a device behind this channel."""
        with self._switches.lock:
            self._select()
            try:
                return self.parent.transfer(address, write, read)
            except DeviceFault as fault:
                self._switches.control[self.address] = None  # it may have lost power too
                if not fault.device and fault.kind not in _OF_THE_BUS:
                    fault.bus = self.name
                raise

    def _select(self) -> None:
        """Disconnect all other channels of the parent, then connect this one."""
        control = self._switches.control
        for address, value in list(control.items()):
            if address != self.address and value != OFF:
                self._disconnect(address)
        wanted = self.control(self.channel)
        if control[self.address] != wanted:
            try:
                self._set(self.address, wanted)
            except DeviceFault as fault:
                raise self._unselected(fault) from None

    def _disconnect(self, address: int) -> None:
        """Disconnect another multiplexer; one that is not there has nothing connected."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._set(address, OFF)
                return
            except DeviceFault as fault:
                if fault.kind is not FaultKind.NO_ACK and attempt == ATTEMPTS:
                    raise self._unselected(fault, address) from None

    def _set(self, address: int, value: int) -> None:
        """Write a control byte and read it back."""
        self._switches.control[address] = None
        found = self.parent.transfer(address, bytes((value,)), 1)
        if found != bytes((value,)):
            text = f"its control byte reads 0x{found.hex().upper()} after 0x{value:02X} was written"
            raise DeviceFault(FaultKind.CORRUPT, text)
        self._switches.control[address] = value

    def _unselected(self, fault: DeviceFault, address: int | None = None) -> DeviceFault:
        """Return a fault of the multiplexer itself, not of a device behind it."""
        if fault.device or fault.kind in _OF_THE_BUS:
            return fault
        what = f"{self.chip} 0x{self.address if address is None else address:02X}"
        text = f"{fault.text}, so {self.name} (channel {self.channel}) cannot be reached"
        return DeviceFault(
            fault.kind, text, device=what, bus=fault.bus or self.parent.name, cure=fault.cure
        )

    def close(self) -> None:
        """Disconnect the channel if it is connected; the parent stays open."""
        with self._switches.lock, contextlib.suppress(DeviceFault):
            if self._switches.control[self.address] == self.control(self.channel):
                self._set(self.address, OFF)


class _NoRegisters(RegisterMap):
    """A multiplexer has one control byte and no register address."""


class MuxSim(RegisterSim[Any, _NoRegisters]):
    """A multiplexer with simulated buses behind it: every bit of the control byte is a channel."""

    def setup(self) -> None:
        """Have nothing behind it yet."""
        self.children: dict[int, SimI2cBus] = {}

    def power_on(self) -> None:
        """Connect nothing."""
        super().power_on()
        self.control = OFF

    def transfer(self, write: bytes, read: int) -> bytes:
        """Take the last byte as the control byte; return it as often as it is read."""
        if write:
            self.control = write[-1]
        return bytes((self.control,)) * read

    def through(self, address: int) -> list[RegisterSim[Any, Any]]:
        """Return the twins that hear an address through the connected channels."""
        if self.faults.unplugged:
            return []
        connected = [bus for n, bus in self.children.items() if self.control >> n & 1]
        return [twin for bus in connected for twin in bus.at(address)]

    def advance(self, now_ns: int) -> None:
        """Bring the twins behind it to the present too."""
        super().advance(now_ns)
        for child in self.children.values():
            for twin in child.twins.values():
                twin.advance(now_ns)

    def truth(self) -> dict[str, object]:
        """Return which channels are connected."""
        return {"channels": [n for n in range(8) if self.control >> n & 1]}

"""Packet maps: one description of a serial device's packets, for the driver and for the twin."""

from __future__ import annotations

import struct
from typing import Any, ClassVar

from horus.hal.faults import DeviceFault, FaultKind
from horus.hal.framing import Framing
from horus.hal.maps import DeviceMap
from horus.hal.serial import SerialLink


class Packet:
    """A packet in the map: its number and the layout of its payload, in `struct` notation."""

    name = "?"

    def __init__(self, number: int, format: str = "") -> None:
        self.number = number
        self.struct = struct.Struct(format or "<")

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def pack(self, *values: float) -> bytes:
        """Return the payload that carries these values."""
        try:
            return self.struct.pack(*values)
        except (struct.error, OverflowError) as error:
            raise ValueError(f"{self.name}{values}: {error}") from None

    def unpack(self, payload: bytes) -> tuple[Any, ...]:
        """Return the values at the start of a payload; too few bytes are a fault (corrupt)."""
        if len(payload) < self.struct.size:
            text = f"{self.name} has {len(payload)} bytes where {self.struct.size} are needed"
            raise DeviceFault(FaultKind.CORRUPT, text)
        return self.struct.unpack_from(payload)


class PacketMap(DeviceMap):
    """The packets of a device at a serial port, declared as class attributes."""

    bus_kind: ClassVar[str] = "serial"
    #: How the device's frames stand in the stream, and how those to it do (None: the same way).
    framing: ClassVar[Framing]
    request_framing: ClassVar[Framing | None] = None
    #: The only speed the device can speak at, in bit/s; 0 for one that can be set.
    baudrate: ClassVar[int] = 0
    packets: ClassVar[dict[int, Packet]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = {value.number: value for value in vars(cls).values() if isinstance(value, Packet)}
        cls.packets = {**cls.packets, **own}

    def __init__(self, link: SerialLink) -> None:
        self.link = link

    def frames(self) -> list[bytes]:
        """Return the frames that have come by themselves since the last call."""
        return self.link.frames(self.framing)

"""What all maps have in common: which kind of bus they are for, and where on it a device is."""

from __future__ import annotations

from typing import Any, ClassVar

from horus.hal.link import Link


class DeviceMap:
    """Base of `RegisterMap`, `CanMap` and `PacketMap`."""

    #: The kind of bus: ``i2c``, ``can`` or ``serial``.
    bus_kind: ClassVar[str] = ""
    #: The option that says where on the bus the device is (a number, or several); "" for a device
    #: that has the bus to itself.
    station_option: ClassVar[str] = ""
    #: Whether what the device sends has checksums, so that no damage on the wire goes unnoticed.
    checked: ClassVar[bool] = True

    @classmethod
    def of(cls, link: Link, config: Any) -> Any:
        """Return the map of one device, for its driver."""
        return cls(link)  # type: ignore[call-arg]

    @classmethod
    def stations(cls, config: Any) -> tuple[int, ...]:
        """Return the places on the bus that a device with these options takes."""
        place = getattr(config, cls.station_option) if cls.station_option else ()
        return place if isinstance(place, tuple) else (place,)

    @classmethod
    def place(cls, config: Any) -> str:
        """Return where on the bus the device is, for people; addresses in hex."""
        style = "0x{:02X}" if cls.station_option == "address" else "{}"
        return ",".join(style.format(station) for station in cls.stations(config))

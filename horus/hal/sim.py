"""Simulated twins: what every twin has, whatever the bus.

A twin stands behind the bus in the device's place: the driver cannot tell. It has physics in
`update`, a power switch, seeded noise and faults that can be switched on.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar, get_type_hints

from horus.hal.config import DriverConfig, SimConfig
from horus.hal.driver import Driver, type_arguments
from horus.hal.frames import CanMap
from horus.hal.registers import RegisterMap

ConfigT = TypeVar("ConfigT", bound=DriverConfig)
MapT = TypeVar("MapT", bound="RegisterMap | CanMap")


@dataclass
class SimFaults:
    """What is wrong with a simulated device right now."""

    unplugged: bool = False
    silent: bool = False
    #: Probability that a transaction is not acknowledged (I2C) or that a frame is not heard (CAN).
    nak: float = 0.0
    #: Probability that what the device sends is damaged on the wire.
    corrupt: float = 0.0
    #: Seconds by which the device answers late.
    slow: float = 0.0


class Sim(Generic[ConfigT, MapT]):
    """Base of all twins; ``twin_of=Driver`` in the class statement tells the driver of it.

    ``options`` may be annotated in a subclass with a `SimConfig` of its own.
    """

    map_type: ClassVar[type[RegisterMap] | type[CanMap]]
    options: SimConfig

    def __init_subclass__(
        cls, *, twin_of: type[Driver[Any, Any]] | None = None, **kwargs: Any
    ) -> None:
        super().__init_subclass__(**kwargs)
        arguments = type_arguments(cls, Sim)
        if arguments:
            cls.map_type = arguments[1]
        if twin_of is not None:
            twin_of.twin = cls

    @classmethod
    def options_type(cls) -> type[SimConfig]:
        """Return the class of this twin's options."""
        found: type[SimConfig] = get_type_hints(cls)["options"]
        return found

    def __init__(self, config: ConfigT, options: SimConfig | None = None) -> None:
        self.config = config
        self.options = options or self.options_type()()
        self.station: int = getattr(config, self.map_type.station_option)
        self.random = random.Random(self.options.seed * 1009 + self.station)
        self.faults = SimFaults()
        #: Seconds since the twin was made, and since the last update.
        self.time = 0.0
        self.dt = 0.0
        self._start_ns: int | None = None
        self.setup()
        self.power_on()

    def setup(self) -> None:
        """Prepare what outlives a power cut: the world around the device."""

    def power_on(self) -> None:
        """Put the device into the state in which it comes up."""

    def update(self) -> None:
        """Move physics on by ``self.dt`` seconds to ``self.time``."""

    def truth(self) -> dict[str, object]:
        """Return the device's true state, in SI units, for people and tests."""
        return {}

    def advance(self, now_ns: int) -> None:
        """Bring the twin to the present."""
        if self._start_ns is None:
            self._start_ns = now_ns
        time = (now_ns - self._start_ns) / 1e9
        self.dt, self.time = max(0.0, time - self.time), max(time, self.time)
        if not self.faults.unplugged:
            self.update()

    def unplug(self) -> None:
        """Take the device's power and bus away."""
        self.faults.unplugged = True

    def plug(self) -> None:
        """Give power back: the device starts anew, unconfigured."""
        if self.faults.unplugged:
            self.faults.unplugged = False
            self.power_on()

    def silence(self, on: bool = True) -> None:
        """Let the device stop answering, powered and moving as before."""
        self.faults.silent = on

    def nak(self, probability: float) -> None:
        """Lose this share of what is sent to the device."""
        self.faults.nak = probability

    def corrupt(self, probability: float) -> None:
        """Damage this share of what the device sends."""
        self.faults.corrupt = probability

    def slow(self, seconds: float) -> None:
        """Let the device answer this much later."""
        self.faults.slow = seconds

    def chance(self, probability: float) -> bool:
        """Return True with this probability, from the twin's own seeded source."""
        return probability > 0 and self.random.random() < probability

"""Simulated twins: what every twin has, whatever the bus.

A twin stands behind the bus in the device's place: the driver cannot tell. It has physics in
`update`, a power switch, seeded noise and faults that can be switched on.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from inspect import get_annotations
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast, overload

from horus.errors import did_you_mean
from horus.hal.config import DriverConfig, SimConfig, shown
from horus.hal.driver import Driver, type_arguments
from horus.hal.maps import DeviceMap

if TYPE_CHECKING:
    from horus.hal.playback import Playback

ConfigT = TypeVar("ConfigT", bound=DriverConfig)
MapT = TypeVar("MapT", bound=DeviceMap)
T = TypeVar("T", float, bool, tuple[float, ...])


def limits(low: float, high: float) -> str:
    """Return limits in words: ``from 0 to 5``, ``at least 0``, ``at most 5``, or "" for none."""
    if math.isfinite(low) and math.isfinite(high):
        return f"from {low:g} to {high:g}"
    if math.isfinite(low):
        return f"at least {low:g}"
    return f"at most {high:g}" if math.isfinite(high) else ""


class Stimulus(Generic[T]):
    """A quantity of the world around a twin that can be set from outside, in SI units.

    Declared as a class attribute: ``rotation = Stimulus((0.0, 0.0, 0.0), unit="rad/s")``; used as
    a plain attribute. ``low`` and ``high`` limit each number. It outlives a power cut.
    """

    name = "?"

    def __init__(
        self,
        default: T,
        *,
        unit: str = "",
        low: float = -math.inf,
        high: float = math.inf,
        doc: str = "",
    ) -> None:
        self.default: T = default
        self.unit = unit
        self.low = low
        self.high = high
        self.doc = doc

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, sim: None, owner: type) -> Stimulus[T]: ...
    @overload
    def __get__(self, sim: object, owner: type) -> T: ...
    def __get__(self, sim: object | None, owner: type) -> Stimulus[T] | T:
        if sim is None:
            return self
        found: T = sim.__dict__.get(self.name, self.default)
        return found

    def __set__(self, sim: object, value: T) -> None:
        sim.__dict__[self.name] = value

    def parse(self, values: Sequence[object]) -> T:
        """Return what was given from outside in its own type; a `ValueError` says what is wrong."""
        default = self.default
        if isinstance(default, bool):
            if len(values) == 1 and isinstance(values[0], (bool, int, float)):
                return bool(values[0])
            raise ValueError(f"{self.name} takes true or false")
        count = len(default) if isinstance(default, tuple) else 1
        unit = f" ({self.unit})" if self.unit else ""
        numbers = [
            float(v) for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)
        ]
        if len(values) != count or len(numbers) != count:
            what = "a number" if count == 1 else f"{count} numbers"
            raise ValueError(f"{self.name} takes {what}{unit}, not {shown(list(values))}")
        for number in numbers:
            if not math.isfinite(number) or not self.low <= number <= self.high:
                allowed = limits(self.low, self.high)
                words = f"finite and {allowed}{unit}" if allowed else "finite"
                raise ValueError(f"{self.name} must be {words}, not {number:g}")
        return tuple(numbers) if isinstance(default, tuple) else numbers[0]


@dataclass
class SimFaults:
    """What is wrong with a simulated device right now."""

    unplugged: bool = False
    silent: bool = False
    #: Probability that a transaction is not acknowledged (I2C) or that a frame is not heard (CAN).
    nak: float = 0.0
    #: Probability that what the device sends is damaged on the wire.
    corrupt: float = 0.0
    #: Probability that what the device sends is lost on the way.
    drop: float = 0.0
    #: Seconds by which the device answers late.
    slow: float = 0.0


class Sim(Generic[ConfigT, MapT]):
    """Base of all twins; ``twin_of=Driver`` in the class statement tells the driver of it.

    ``options`` may be annotated in a subclass with a `SimConfig` of its own.
    """

    map_type: ClassVar[type[DeviceMap]]
    #: What can be set from outside, by name.
    stimuli: ClassVar[dict[str, Stimulus[Any]]] = {}
    options: SimConfig

    def __init_subclass__(
        cls, *, twin_of: type[Driver[Any, Any]] | None = None, **kwargs: Any
    ) -> None:
        super().__init_subclass__(**kwargs)
        own = {n: value for n, value in vars(cls).items() if isinstance(value, Stimulus)}
        cls.stimuli = {**cls.stimuli, **own}
        arguments = type_arguments(cls, Sim)
        if arguments:
            cls.map_type = arguments[1]
        if twin_of is not None:
            twin_of.twin = cls

    @classmethod
    def options_type(cls) -> type[SimConfig]:
        """Return the class of this twin's options."""
        for base in cls.__mro__:
            found: Any = get_annotations(base).get("options")
            if isinstance(found, str):  # alone: Python 3.10 stumbles over other annotations
                found = eval(found, vars(sys.modules[base.__module__]))
            if found is not None:
                return cast("type[SimConfig]", found)
        raise TypeError(f"{cls.__name__} has no options")

    def __init__(self, config: ConfigT, options: SimConfig | None = None) -> None:
        self.config = config
        self.options = options or self.options_type()()
        self.stations = self.map_type.stations(config)
        #: The first or only place on the bus; 0 for a device that has the bus to itself.
        self.station = self.stations[0] if self.stations else 0
        self.random = random.Random(self.options.seed * 1009 + self.station)
        self.faults = SimFaults()
        #: Seconds since the twin was made, and since the last update.
        self.time = 0.0
        self.dt = 0.0
        self._start_ns: int | None = None
        self._playback = self.playback(self.options)
        self.setup()
        if self._playback is not None:
            self._playback.apply(self, 0.0)
        self.power_on()

    @classmethod
    def playback(cls, options: SimConfig) -> Playback | None:
        """Return what is played; a twin with a ``play`` option of its own does that itself.

        What is wrong with the file is a `ConfigError`.
        """
        owner = next(c for c in type(options).__mro__ if "play" in c.__annotations__)
        if options.play is None or owner is not SimConfig:
            return None
        from horus.hal.playback import Playback

        return Playback(options.play, cls.stimuli)

    def setup(self) -> None:
        """Prepare what outlives a power cut: the world around the device."""

    def power_on(self) -> None:
        """Put the device into the state in which it comes up."""

    def update(self) -> None:
        """Move physics on by ``self.dt`` seconds to ``self.time``."""

    def truth(self) -> dict[str, object]:
        """Return the device's true state, in SI units, for people and tests."""
        return {}

    def stimulated(self, name: str) -> None:
        """Take note that a stimulus was set from outside, such as to end a recording."""

    def stimulate(self, name: str, values: Sequence[object]) -> None:
        """Set a stimulus from outside; an unknown name or a wrong value is a `ValueError`."""
        if name not in self.stimuli:
            known = ", ".join(self.stimuli) or "none"
            raise ValueError(
                f"no stimulus {name}{did_you_mean(name, self.stimuli)}; known: {known}"
            )
        setattr(self, name, self.stimuli[name].parse(values))
        if self._playback is not None:
            self._playback.release(name)
        self.stimulated(name)

    def advance(self, now_ns: int) -> None:
        """Bring the twin to the present."""
        if self._start_ns is None:
            self._start_ns = now_ns
        time = (now_ns - self._start_ns) / 1e9
        self.dt, self.time = max(0.0, time - self.time), max(time, self.time)
        if self._playback is not None:
            self._playback.apply(self, self.time)
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

    def drop(self, probability: float) -> None:
        """Lose this share of what the device sends."""
        self.faults.drop = probability

    def slow(self, seconds: float) -> None:
        """Let the device answer this much later."""
        self.faults.slow = seconds

    def chance(self, probability: float) -> bool:
        """Return True with this probability, from the twin's own seeded source."""
        return probability > 0 and self.random.random() < probability

"""What a driver author writes: a `Driver` for what measures, an `Actuator` for what moves.

A driver never sleeps, retries, logs or reads a clock: it says what to send and what the answer
means, and `horus.hardware` calls it at the right times.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, get_args, get_origin

from horus.hal.config import ActuatorConfig, Config, DriverConfig
from horus.hal.faults import CommandRefused, DeviceFault, FaultKind
from horus.hal.link import Link
from horus.hal.maps import DeviceMap

if TYPE_CHECKING:
    from horus.hal.sim import Sim

ConfigT = TypeVar("ConfigT", bound=DriverConfig)
MapT = TypeVar("MapT", bound=DeviceMap)
ModeT = TypeVar("ModeT", bound=IntEnum)
FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

#: One value of a device, or several.
Values = int | tuple[int, ...]

#: What `Driver.configure` may be: a generator that yields the seconds to wait before it goes on.
Steps = Iterator[float]


def output(function: FunctionT) -> FunctionT:
    """Mark a method of a driver as a second source of messages, on a topic of its own.

    ``@output def magnetic(self) -> MagneticField | None`` is sent on ``<name>.magnetic``. It is
    called after each `Driver.read`, and returns None when there is nothing new.
    """
    function._horus_output = True  # type: ignore[attr-defined]
    return function


def command(function: FunctionT) -> FunctionT:
    """Mark a method of a driver as a command that people and nodes may call by its name.

    For what a device can do beside its messages: calibrate, save, read a register. Arguments are
    given by name and are numbers, texts or booleans, as annotated. Like `Driver.configure` it may
    be a generator that yields the seconds to wait; what it returns is the answer.
    """
    function._horus_command = True  # type: ignore[attr-defined]
    return function


def marked(driver: type[Driver[Any, Any]], mark: str) -> dict[str, Callable[..., Any]]:
    """Return the methods marked by `output` or `command` by name, those of bases included."""
    return {
        name: value
        for cls in reversed(driver.__mro__)
        for name, value in vars(cls).items()
        if hasattr(value, f"_horus_{mark}")
    }


def type_arguments(cls: type, base: type) -> tuple[Any, ...]:
    """Return the classes a generic base was given in a class statement; () when there were none."""
    for origin in getattr(cls, "__orig_bases__", ()):
        root = get_origin(origin)
        arguments = get_args(origin)
        bound = not any(isinstance(argument, TypeVar) for argument in arguments)
        if bound and isinstance(root, type) and issubclass(root, base):
            return arguments
    return ()


def in_hex(*values: Values) -> tuple[str, ...]:
    """Return values for people, each number with as many whole bytes as the longest needs."""
    several = [(value,) if isinstance(value, int) else value for value in values]
    longest = max((number for numbers in several for number in numbers), default=0)
    digits = 2 * max(1, (longest.bit_length() + 7) // 8)
    return tuple(" ".join(f"0x{number:0{digits}X}" for number in numbers) for numbers in several)


class Driver(ABC, Generic[ConfigT, MapT]):
    """A device that measures: ``class Mpu6050(Driver[Mpu6050Config, Mpu6050Registers])``.

    Construction touches nothing. `self.config` holds the options, `self.map` the device.
    The type that `read` is annotated with is the type of the device's topic.
    """

    config_type: ClassVar[type[DriverConfig]]
    map_type: ClassVar[type[DeviceMap]]
    #: Calls of `read` per second for a device that sends by itself, however low its rate; 0 when
    #: `read` asks the device.
    poll_rate: ClassVar[float] = 0.0
    #: Options that are saved per device by `horus.hardware.calibration`; None for a device without.
    calibration_type: ClassVar[type[Config] | None] = None
    #: Which checks of a rig do not apply to the device, and why: ``{"C1.wrong": "it has no ..."}``.
    exempt: ClassVar[Mapping[str, str]] = {}
    #: The simulated device, set by the twin's class statement.
    twin: ClassVar[type[Sim[Any, Any]] | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        arguments = type_arguments(cls, Driver)
        if arguments:
            cls.config_type, cls.map_type = arguments

    def __init__(self, config: ConfigT, link: Link) -> None:
        self.config = config
        self.link = link
        self.map: MapT = self.map_type.of(link, config)
        #: What was found out about this very device; the defaults until something was saved.
        self.calibration: Any = self.calibration_type() if self.calibration_type else None

    @classmethod
    def calls(cls, config: Any) -> float:
        """Return how often a second `read` is to be called at least: by default `poll_rate`.

        More than the rate for a device that gives a sample in several parts; see `due`.
        """
        return cls.poll_rate

    #: Monotonic time (ns) at which `due` holds next.
    _due_ns = 0.0

    def due(self) -> bool:
        """Return True once for each sample of ``rate``, for a `read` that is called more often."""
        now = self.link.clock()
        period = 1e9 / self.config.rate
        early = 0.5e9 / max(self.calls(self.config), self.config.rate)  # half a call
        if now + early < self._due_ns:
            return False
        self._due_ns = period + (self._due_ns if now < self._due_ns + period else now)
        return True

    def changed(self, option: str) -> None:
        """Pass on an option that a person has changed just now, where the device has to know it.

        ``self.config`` has it already. Called between two calls of `read`, for options that are
        declared ``live``; nothing to do for one that is read from there at every use.
        """

    @abstractmethod
    def probe(self) -> bool:
        """Return whether the right device answers; never wait for it, never change it.

        Another device in its place is a `DeviceFault` (rejected) that names both.
        """

    def identity(self) -> str:
        """Return what tells this device from others of its kind, such as its serial number.

        "" when it cannot tell. Called once, after `probe`; calibration is kept under it.
        """
        return ""

    def configure(self) -> Steps | None:
        """Bring the device from any state to the configured one.

        Where the device needs time, be a generator and yield the seconds to wait.
        """
        return None

    @abstractmethod
    def read(self) -> Any:
        """Return the newest sample in SI units, or None when there is none since the last call."""

    def until(self, condition: Callable[[], bool], timeout: float, what: str) -> Steps:
        """Wait in `configure`: ``yield from self.until(lambda: ..., 0.1, "reset")``."""
        deadline = self.link.clock() + timeout * 1e9
        while not condition():
            if self.link.clock() > deadline:
                raise self.fault(FaultKind.TIMEOUT, f"{what} not finished after {timeout:g} s")
            yield 0.001

    def expect(self, found: Values, wanted: Values, what: str, hint: str = "") -> bool:
        """Return True for the right identity; any other is a fault that names both.

        For `probe`: ``return self.expect(self.map.identity, IDENTITY, "an MPU-6050")``.
        """
        if found == wanted:
            return True
        has, has_not = in_hex(found, wanted)
        raise self.stranger(f"has identity {has}; {what} has {has_not}", hint)

    def stranger(self, text: str, hint: str = "") -> DeviceFault:
        """Return the fault of another device in the place of this one, to be raised by `probe`.

        ``text`` goes on after "the device that answers"; a ``hint`` asks what it may be.
        """
        cure = f"orrect use: or {self.map_type.station_option or 'bus'}: in horus.yaml"
        cure = f"{hint} C{cure}" if hint else f"c{cure}"
        return self.fault(FaultKind.REJECTED, f"the device that answers {text}", cure)

    def confirm(self, what: str, found: Values, wanted: Values) -> None:
        """Raise a fault when settings that are read back are not those that were made."""
        if found == wanted:
            return
        has, has_not = in_hex(found, wanted)
        verb = "reads" if isinstance(found, int) else "read"
        raise self.restarted(f"{what} {verb} {has} and not {has_not}", kind=FaultKind.CORRUPT)

    def restarted(
        self, text: str, hint: str = "", kind: FaultKind = FaultKind.REJECTED
    ) -> DeviceFault:
        """Return the fault of a device that is not as it was set up, to be raised.

        A ``hint`` asks what else it may be.
        """
        cure = "was it restarted, or does another program use it? It is set up again"
        return self.fault(kind, text, f"{hint} Or {cure}" if hint else cure)

    def fault(self, kind: FaultKind, text: str, cure: str = "") -> DeviceFault:
        """Return a fault of this device, to be raised; damage that a driver finds is counted."""
        if kind is FaultKind.CORRUPT:
            self.link.errors += 1
        return DeviceFault(kind, text, device=self.link.device, bus=self.link.bus_name, cure=cure)


#: What a command may tell a motor or joint to do; which of it is followed depends on the mode.
TARGETS = ("position", "velocity", "torque", "effort", "duty", "stiffness", "damping")
REST = 0.05  # rad/s: what turns more slowly is at rest

ActuatorConfigT = TypeVar("ActuatorConfigT", bound=ActuatorConfig)


class Actuator(Driver[ActuatorConfigT, MapT]):
    """A device that moves: ``class Odrive(Actuator[OdriveConfig, OdriveFrames])``.

    The type that `write`'s argument is annotated with is the type of the command topic.
    """

    #: Monotonic time of arming; 0 while it is not armed. Set by the base, read by nobody else.
    armed_ns = 0

    @property
    def armed_for(self) -> float:
        """Seconds since it was armed, 0.0 while it is not."""
        return (self.link.clock() - self.armed_ns) / 1e9 if self.armed_ns else 0.0

    @abstractmethod
    def arm(self) -> None:
        """Make the device follow commands from now on; it must not move by this alone."""

    def check(self, command: Any) -> None:
        """Raise `CommandRefused` for a command that this device cannot follow.

        What is out of range is refused, never clamped: see `limit`.
        """

    def limit(
        self, name: str, value: float, low: float, high: float, unit: str = "", option: str = ""
    ) -> None:
        """Refuse a command's value outside of ``low`` to ``high``; for use in `check`.

        ``option`` is the name of the option that sets the limit, if one does.
        """
        if not low <= value <= high:
            words = f"{low + 0.0:.12g} to {high:.12g} {unit}".rstrip()
            source = f" ({option})" if option else ""
            raise CommandRefused(f"{name} must be from {words}{source}, not {value:.12g}")

    def only(self, command: Any, modes: Mapping[ModeT, tuple[str, ...]], option: str = "") -> None:
        """Refuse other modes than these, and values that a mode does not follow; for `check`.

        ``modes`` has the fields of the command that are followed, by mode; ``option`` is the name
        of the option that chooses among modes, if one does.
        """
        source = f" ({option})" if option else ""
        if command.mode not in modes:
            known = _listed([mode.name for mode in modes])
            text = f"control mode {command.mode}: this driver does {known} only{source}"
            raise CommandRefused(text)
        mode = next(mode for mode in modes if mode == command.mode)
        for name in TARGETS:
            value = getattr(command, name, 0.0)
            if name not in modes[mode] and (len(value) if hasattr(value, "__len__") else value):
                text = f"in mode {mode.name} this driver follows {_listed(modes[mode])} only"
                raise CommandRefused(f"{name} is given: {text}{source}")

    @abstractmethod
    def write(self, command: Any) -> None:
        """Pass on one command: checked, finite, fresh, and the device is armed."""

    @abstractmethod
    def safe(self) -> None:
        """Stop the device, in any state, at once: write only, wait for nothing.

        What it sends is also what is sent on its behalf when this process is dead.
        """

    def at_rest(self) -> str | None:
        """Return in words that it is at rest; "" while it is not, None if it cannot tell."""
        return None

    def resting(self, velocity: float, how: str = "idle", resolution: float = 0.0) -> str:
        """Return for `at_rest` that it turns no more, at a velocity (rad/s) near 0; "" else.

        What is measured coarsely is at rest up to its ``resolution`` (rad/s).
        """
        slow = abs(velocity) < max(REST, resolution)
        return f"stopped ({abs(velocity):.1f} rad/s, {how})" if slow else ""


def _listed(words: Sequence[str]) -> str:
    """Return words as they are enumerated in a sentence."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:]))) or "nothing"

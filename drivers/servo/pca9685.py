"""NXP PCA9685: 16 outputs of PWM for hobby servos, speed controllers and lamps, on I2C.

Source: PCA9685 data sheet revision 4. A0 to A5 choose the address from 0x40 to 0x7F. Until it is
set up the chip listens at 0x70 too (all call), where multiplexers are. It has no watchdog: the
outputs go on when the computer is gone, unless the supervisor's last words reach it. Give power to
servos from a supply of their own, and cut that with the emergency stop.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import groupby

from horus_drivers.servo._joints import told, wrong_names

from horus.hal import (
    Actuator,
    ActuatorConfig,
    Burst,
    Link,
    Register,
    RegisterMap,
    RegisterSim,
    SimConfig,
    Steps,
    option,
)
from horus.msgs import ControlMode, JointCommand, JointState

OUTPUTS = 16
STEPS_PER_CYCLE = 4096
SLEEP, INCREMENT, EXTERNAL, RESTART = 0x10, 0x20, 0x40, 0x80  # MODE1; its lowest bit is all call
TOTEM_POLE = 0x04  # MODE2: outputs are driven both ways
FULL = 0x10  # in the high byte of ON or OFF: always on, always off; off wins
FIRST, ALL = 0x06, 0xFA  # registers of output 0, and of all outputs at once


class Pca9685Registers(RegisterMap):
    """The registers used here; each output has ON and OFF, 16 bits each, little-endian."""

    mode1 = Register(0x00, reset=0x11)
    mode2 = Register(0x01, reset=0x04)
    modes = Burst(0x00, "2B")
    subaddress_1 = Register(0x02, reset=0xE2)  # not used; they tell the chip from an INA219
    subaddress_2 = Register(0x03, reset=0xE4)
    subaddress_3 = Register(0x04, reset=0xE8)
    all_call = Register(0x05, reset=0xE0)
    outputs = Burst(FIRST, "<32H")
    all_off_high = Register(0xFD)
    prescale = Register(0xFE, reset=0x1E)


@dataclass(frozen=True)
class Output:
    """One output that is used: its number and name, and the ends of what may be commanded."""

    channel: int
    name: str
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Pca9685Config(ActuatorConfig):
    """Options of a PCA9685 and the servos on it."""

    address: int = option(0x40, low=0x40, high=0x7F, doc="by the wiring of A0 to A5")
    channels: tuple[int, ...] = option(
        tuple(range(OUTPUTS)), low=0, high=OUTPUTS - 1, doc="outputs that are used"
    )
    names: tuple[str, ...] | None = option(
        None, doc="of the joints, in the order of channels; by default joint_<channel>"
    )
    pwm: tuple[int, ...] | None = option(
        None, low=0, high=OUTPUTS - 1, doc="channels without a servo: position is the duty, 0 to 1"
    )
    reverse: tuple[int, ...] | None = option(
        None, low=0, high=OUTPUTS - 1, doc="channels of servos that turn against their joint"
    )
    frequency: float = option(50.0, unit="Hz", low=24, high=1526, doc="pulses a second")
    min_pulse: float = option(1000.0, unit="µs", low=100, high=5000, doc="at one end of travel")
    max_pulse: float = option(2000.0, unit="µs", low=100, high=5000, doc="at the other end")
    travel: float = option(
        math.pi / 2, unit="rad", low=0.1, high=20, doc="from min_pulse to max_pulse; middle is 0"
    )
    oscillator: float = option(
        25e6, unit="Hz", low=1e6, high=50e6, doc="as measured; chips differ by some per cent"
    )
    external_clock: bool = option(False, doc="the oscillator is at the EXTCLK pin")

    def contradictions(self) -> list[tuple[str, str]]:
        """Find lists that do not fit each other, and pulses that do not fit the frequency."""
        found = wrong_names(self.names, len(self.channels), "channels")
        for word in ("pwm", "reverse"):
            strange = [channel for channel in getattr(self, word) or () if not self.used(channel)]
            found += [(word, f"has {one}, which is not among the channels") for one in strange]
        if self.min_pulse >= self.max_pulse:
            found.append(("min_pulse", f"must be below max_pulse ({self.max_pulse:g} µs)"))
        if self.max_pulse * self.frequency > 0.95e6:
            found.append(("max_pulse", f"is too long for {self.frequency:g} pulses a second"))
        exact = self.oscillator / (STEPS_PER_CYCLE * self.frequency)
        if not 3.5 <= exact <= 256.5:
            slowest, fastest = (self.oscillator / (STEPS_PER_CYCLE * n) for n in (256.5, 3.5))
            text = f"must be from {slowest:.1f} to {fastest:.1f} Hz with this oscillator"
            found.append(("frequency", text))
        return found

    def used(self, channel: int) -> bool:
        """Return whether a channel is among those used."""
        return channel in self.channels

    @property
    def prescale(self) -> int:
        """The value of the prescaler."""
        return round(self.oscillator / (STEPS_PER_CYCLE * self.frequency)) - 1

    @property
    def step(self) -> float:
        """Length of a step of the counter (s)."""
        return (self.prescale + 1) / self.oscillator

    def outputs(self) -> list[Output]:
        """Return the outputs that are used, in the order of channels."""
        names = self.names or [f"joint_{channel}" for channel in self.channels]
        end = self.travel / 2
        return [
            Output(channel, name, *((0.0, 1.0) if channel in (self.pwm or ()) else (-end, end)))
            for channel, name in zip(self.channels, names, strict=True)
        ]


class Pca9685(Actuator[Pca9685Config, Pca9685Registers]):
    """Several servos by joint angle. Made safe there are no pulses: most servos go limp.

    Hobby servos do not tell where they are, so the state holds the joints' names alone.
    """

    def __init__(self, config: Pca9685Config, link: Link) -> None:
        super().__init__(config, link)
        self.outputs = config.outputs()
        self.sent: dict[int, bytes] = {}

    def probe(self) -> bool:
        """Check bits that are always 0 here; the chip has no identity register."""
        mode1, mode2 = self.map.modes
        if mode2 & 0xE0 or self.map.prescale < 3:
            raise self.stranger(
                f"is no PCA9685: MODE1 reads 0x{mode1:02X}, MODE2 0x{mode2:02X}, "
                f"PRE_SCALE 0x{self.map.prescale:02X}",
                hint="is it an INA219?",
            )
        return True

    def configure(self) -> Steps:
        """Set the frequency, which is possible only while it sleeps, and wake it, outputs off."""
        self.sent = {}
        self.map.all_off_high = FULL
        self.map.mode1 = SLEEP | INCREMENT
        if self.config.external_clock:
            self.map.mode1 = SLEEP | INCREMENT | EXTERNAL
        self.map.prescale = self.config.prescale
        self.map.mode2 = TOTEM_POLE
        self.wanted = INCREMENT | (EXTERNAL if self.config.external_clock else 0)
        self.map.mode1 = self.wanted
        yield 0.001  # the oscillator starts within 0.5 ms
        self.confirm("PRE_SCALE", self.map.prescale, self.config.prescale)

    def arm(self) -> None:
        """Do nothing: an output has no pulses before its first command."""

    def check(self, command: JointCommand) -> None:
        """Refuse all but positions of known joints within the travel."""
        self.only(command, {ControlMode.POSITION: ("position",)})
        for output, value in told(command, self.outputs, "position"):
            unit = "" if output.channel in (self.config.pwm or ()) else "rad"
            self.limit(f"position of {output.name}", value, output.low, output.high, unit)

    def write(self, command: JointCommand) -> None:
        """Set the pulses of the joints that are named, where they change; others keep theirs."""
        pairs = told(command, self.outputs, "position")
        wanted = {output.channel: self.registers(output, value) for output, value in pairs}
        changed = sorted(n for n, data in wanted.items() if self.sent.get(n) != data)
        for _, group in groupby(enumerate(changed), lambda pair: pair[1] - pair[0]):
            numbers = [number for _, number in group]
            data = b"".join(wanted[number] for number in numbers)
            self.map.memory.write(FIRST + 4 * numbers[0], data)  # in one burst: they move at once
        self.sent.update(wanted)

    def registers(self, output: Output, value: float) -> bytes:
        """Return the four registers of an output: on at step 0, off where its pulse ends."""
        config = self.config
        if output.channel in (config.pwm or ()):
            count = round(value * STEPS_PER_CYCLE)
        else:
            angle = -value if output.channel in (config.reverse or ()) else value
            pulse = config.min_pulse + (angle / config.travel + 0.5) * (
                config.max_pulse - config.min_pulse
            )
            count = round(pulse * 1e-6 / config.step)
        if count >= STEPS_PER_CYCLE:
            return bytes((0, FULL, 0, 0))
        if count <= 0:
            return bytes((0, 0, 0, FULL))
        return bytes((0, 0)) + count.to_bytes(2, "little")

    def safe(self) -> None:
        """Switch all outputs off."""
        self.sent = {}
        self.map.all_off_high = FULL

    def read(self) -> JointState:
        """See that the chip still does what it was told; return the joints' names."""
        self.confirm("MODE1 and MODE2", self.map.modes, (self.wanted, TOTEM_POLE))
        return JointState(",".join(output.name for output in self.outputs))

    def at_rest(self) -> str:
        """Tell of outputs that are all off."""
        off = self.map.outputs[1::2]
        return "outputs off" if all(word & FULL << 8 for word in off) else ""


@dataclass(frozen=True, kw_only=True)
class Pca9685SimConfig(SimConfig):
    """Options of the simulated chip and its servos."""

    speed: float = option(6.0, unit="rad/s", above=0, high=100, doc="of the servos")


class Pca9685Sim(RegisterSim[Pca9685Config, Pca9685Registers], twin_of=Pca9685):
    """The chip with 16 servos, which run to where their pulses tell them and are limp without."""

    options: Pca9685SimConfig

    def setup(self) -> None:
        """Have all servos in the middle."""
        self.joints = len(self.config.channels)
        self.angles = [0.0] * OUTPUTS  # rad, of the servos
        self.velocities = [0.0] * OUTPUTS

    def power_on(self) -> None:
        """Sleep with all outputs off."""
        super().power_on()
        self.map.outputs = (0, FULL << 8) * OUTPUTS

    def on_write(self, address: int, value: int) -> None:
        """Take a register, as the data sheet says of each."""
        if address == 0x00:
            self.set_mode(value)
        elif ALL <= address < ALL + 4:
            for number in range(OUTPUTS):
                super().on_write(FIRST + 4 * number + address - ALL, value)
        elif address == 0xFE:
            if self.map.mode1 & SLEEP:
                super().on_write(address, max(value, 3))
        elif address == 0x01:
            super().on_write(address, value & 0x1F)
        elif address < FIRST + 4 * OUTPUTS:
            super().on_write(address, value)

    def set_mode(self, value: int) -> None:
        """Sleep, wake, restart; an external clock stays until the power goes."""
        old = self.map.mode1
        restart = old & RESTART & ~value
        if value & SLEEP and not old & SLEEP and any(map(self.pulse, range(OUTPUTS))):
            restart = RESTART  # it was put to sleep while at work
        external = (old | value & EXTERNAL * bool(old & SLEEP)) & EXTERNAL
        self.map.mode1 = value & ~(RESTART | EXTERNAL) | external | restart

    def following(self, pointer: int) -> int:
        """Move the pointer on if MODE1 says so, and from the last output to the first register."""
        if not self.map.mode1 & INCREMENT:
            return pointer
        return 0 if pointer == FIRST + 4 * OUTPUTS - 1 else (pointer + 1) % 256

    def pulse(self, number: int) -> float:
        """Return the length (s) of an output's pulse; 0 without pulses, inf when always on."""
        on, off = self.map.outputs[2 * number : 2 * number + 2]
        if self.map.mode1 & SLEEP or off & FULL << 8:
            return 0.0
        if on & FULL << 8:
            return math.inf
        step = (self.map.prescale + 1) / self.config.oscillator
        return (off - on) % STEPS_PER_CYCLE * step

    def update(self) -> None:
        """Move the servos that have pulses."""
        config = self.config
        if self.dt <= 0:
            return
        most = self.options.speed * self.dt
        for number in range(OUTPUTS):
            pulse = self.pulse(number) * 1e6
            self.velocities[number] = 0.0
            if 0.0 < pulse < 3000.0:  # else it is no servo pulse
                share = (pulse - config.min_pulse) / (config.max_pulse - config.min_pulse)
                way = (share - 0.5) * config.travel - self.angles[number]
                moved = min(max(way, -most), most)
                self.angles[number] += moved
                self.velocities[number] = moved / self.dt

    def truth(self) -> dict[str, object]:
        """Return what outputs and servos really do."""
        turns = [-1.0 if n in (self.config.reverse or ()) else 1.0 for n in self.config.channels]
        servos = [number for number in range(OUTPUTS) if number not in (self.config.pwm or ())]
        velocity = max((abs(self.velocities[number]) for number in servos), default=0.0)
        off = not any(map(self.pulse, range(OUTPUTS)))
        return {
            "position": [
                turn * self.angles[n] for turn, n in zip(turns, self.config.channels, strict=True)
            ],
            "pulses": [self.pulse(number) for number in range(OUTPUTS)],
            "velocity": velocity,
            "at_rest": off and velocity < 0.05,
        }

"""Motors, servos and joints: what they are told and what they report.

Angles and speeds are those of the driven shaft, after the gearbox. A measurement that a device does
not make is NaN.
"""

from enum import IntEnum
from math import nan
from typing import Annotated

from horus.message import EMPTY, Float64Array, Str, UInt8, UInt64, VarArray, message
from horus.msgs._base import Stamped

__all__ = [
    "ControlMode",
    "JointCommand",
    "JointState",
    "MotorCommand",
    "MotorState",
    "ServoCommand",
]

_Names = Annotated[str, Str(1024)]
_Values = Annotated[Float64Array, VarArray("f8", 32)]


class ControlMode(IntEnum):
    """What a motor or joint is made to follow."""

    IDLE = 0
    """Nothing: the motor is driven by no current."""
    VELOCITY = 1
    """``velocity``, with ``torque`` added."""
    POSITION = 2
    """``position``, with ``velocity`` and ``torque`` fed forward."""
    TORQUE = 3
    """``torque``."""
    DUTY = 4
    """``duty``: a share of the supply voltage, for motors without feedback."""
    IMPEDANCE = 5
    """A spring and damper towards ``position`` and ``velocity``, with ``torque`` added."""


@message
class MotorCommand(Stamped):
    """What one motor shall do: ``MotorCommand(velocity=3.0)``.

    ``mode`` says which value is followed; a velocity unless another mode is given.
    """

    velocity: float = 0.0
    """rad/s: to be held in mode VELOCITY, fed forward in POSITION and IMPEDANCE."""

    position: float = 0.0
    """rad: to be reached in mode POSITION and IMPEDANCE."""

    torque: float = 0.0
    """N·m: to be held in mode TORQUE, fed forward in VELOCITY, POSITION and IMPEDANCE."""

    mode: UInt8 = ControlMode.VELOCITY
    """No unit: a `ControlMode`."""

    duty: float = 0.0
    """No unit: -1 to 1, in mode DUTY."""

    stiffness: float = 0.0
    """N·m/rad: of the spring in mode IMPEDANCE."""

    damping: float = 0.0
    """N·m·s/rad: of the damper in mode IMPEDANCE."""


@message
class MotorState(Stamped):
    """What one motor does."""

    position: float = 0.0
    """rad: angle, counted on over full turns."""

    velocity: float = 0.0
    """rad/s: speed."""

    torque: float = nan
    """N·m: measured or estimated; NaN is not measured."""

    current: float = nan
    """A: in the motor, of the sign of the torque; NaN is not measured."""

    voltage: float = nan
    """V: of the supply; NaN is not measured."""

    temperature: float = nan
    """°C: of the hottest part that is measured; NaN is not measured."""

    mode: UInt8 = ControlMode.IDLE
    """No unit: the `ControlMode` that the motor is in."""

    armed: bool = False
    """No unit: True when the motor would follow a command."""

    errors: UInt64 = 0
    """No unit: the error bits of the device; 0 is none."""


@message
class ServoCommand(Stamped):
    """The angle that a servo shall hold."""

    angle: float = 0.0
    """rad: from the middle; positive as configured, by REP-103 about the axis."""

    speed: float = 0.0
    """rad/s: not to be exceeded on the way; 0 is as fast as the servo can."""

    channel: UInt8 = 0
    """No unit: the output, counted from 0, of a board with several."""

    enabled: bool = True
    """No unit: False ends the pulses, which leaves the servo limp."""


class _Joints:
    """Gives the joined names of a message back as a tuple."""

    __slots__ = ()
    names: str

    @property
    def joints(self) -> tuple[str, ...]:
        """The names of the joints in the order of the values."""
        return tuple(self.names.split(",")) if self.names else ()


@message
class JointState(_Joints, Stamped):
    """What the joints of an arm, a leg or a whole robot do, up to 32 of them.

    ``JointState("shoulder,elbow", position=[0.1, 0.7])``
    """

    names: _Names = ""
    """No unit: the joints' names with commas between; empty is the order that both ends know."""

    position: _Values = EMPTY
    """rad (m for a joint that slides): of each joint; empty is not measured."""

    velocity: _Values = EMPTY
    """rad/s (m/s for a joint that slides): of each joint; empty is not measured."""

    effort: _Values = EMPTY
    """N·m (N for a joint that slides): of each joint; empty is not measured."""


@message
class JointCommand(_Joints, Stamped):
    """What several joints, up to 32, shall do together; ``mode`` says which values are followed."""

    names: _Names = ""
    """No unit: the joints' names with commas between; empty is the order that both ends know."""

    position: _Values = EMPTY
    """rad (m for a joint that slides): of each joint; empty is none."""

    velocity: _Values = EMPTY
    """rad/s (m/s for a joint that slides): of each joint; empty is none."""

    effort: _Values = EMPTY
    """N·m (N for a joint that slides): of each joint; empty is none."""

    stiffness: _Values = EMPTY
    """N·m/rad (N/m): of each joint's spring in mode IMPEDANCE; empty is as configured."""

    damping: _Values = EMPTY
    """N·m·s/rad (N·s/m): of each joint's damper in mode IMPEDANCE; empty is as configured."""

    mode: UInt8 = ControlMode.POSITION
    """No unit: a `ControlMode`, for all joints."""

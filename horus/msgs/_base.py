"""What all standard messages share."""

from dataclasses import field
from typing import Annotated

from horus.message import Str, message

Frame = Annotated[str, Str(32)]
"""The name of a coordinate frame, such as ``base_link``; its axes follow REP-103."""

Vector3 = tuple[float, float, float]
"""Three numbers along x, y and z."""

Quaternion = tuple[float, float, float, float]
"""A rotation as (x, y, z, w), of length 1."""


@message
class Stamped:
    """The base of every standard message: when its content was true, and where it came from.

    A class of your own that derives from it carries the same two fields.
    """

    stamp: float = field(default=0.0, kw_only=True)
    """s: unix time at which the values were sampled, or decided on; 0 is not set."""

    mock: bool = field(default=False, kw_only=True)
    """No unit: True when the values come from a simulated device."""

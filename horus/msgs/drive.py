"""What a moving base is told to do. Axes follow REP-103: x forward, y left, z up."""

from horus.message import message
from horus.msgs._base import Stamped

__all__ = ["CmdVel", "DifferentialDriveCommand"]


@message
class CmdVel(Stamped):
    """The velocity that a mobile base shall have, in its own frame."""

    linear: float = 0.0
    """m/s: along x; forward is positive."""

    angular: float = 0.0
    """rad/s: about z; a turn to the left is positive."""

    lateral: float = 0.0
    """m/s: along y, for bases that can; to the left is positive."""


@message
class DifferentialDriveCommand(Stamped):
    """The speeds that the two wheels of a base shall have; forward is positive for both."""

    left: float = 0.0
    """rad/s: of the left wheel."""

    right: float = 0.0
    """rad/s: of the right wheel."""

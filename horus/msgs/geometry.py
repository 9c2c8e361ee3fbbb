"""Where bodies are, how they move, and what pushes them.

Axes follow REP-103: x forward, y left, z up for a body; x east, y north, z up for a map. Rotations
are right-handed: a positive yaw turns to the left.
"""

from typing import Annotated

from horus.message import Array, message
from horus.msgs._base import Frame, Quaternion, Stamped, Vector3

__all__ = ["Odometry", "Pose2D", "Pose3D", "TransformStamped", "Twist", "WrenchStamped"]


@message
class Twist(Stamped):
    """A velocity in space."""

    linear: Vector3 = (0.0, 0.0, 0.0)
    """m/s: velocity along x, y and z."""

    angular: Vector3 = (0.0, 0.0, 0.0)
    """rad/s: rotation rate about x, y and z."""

    frame: Frame = ""
    """No unit: the frame that the velocities are given in."""


@message
class Pose2D(Stamped):
    """A place and a heading on a plane."""

    x: float = 0.0
    """m: along x of the frame."""

    y: float = 0.0
    """m: along y of the frame."""

    yaw: float = 0.0
    """rad: heading; 0 is along x, positive to the left."""

    frame: Frame = ""
    """No unit: the frame that the pose is given in, such as ``map``."""


@message
class Pose3D(Stamped):
    """A place and an attitude in space."""

    position: Vector3 = (0.0, 0.0, 0.0)
    """m: along x, y and z of the frame."""

    orientation: Quaternion = (0.0, 0.0, 0.0, 1.0)
    """No unit: rotation from the frame to the body as a quaternion (x, y, z, w)."""

    frame: Frame = ""
    """No unit: the frame that the pose is given in, such as ``map``."""


@message
class Odometry(Stamped):
    """An estimate of where a robot is and how it moves."""

    position: Vector3 = (0.0, 0.0, 0.0)
    """m: of ``child_frame``, along x, y and z of ``frame``."""

    orientation: Quaternion = (0.0, 0.0, 0.0, 1.0)
    """No unit: rotation from ``frame`` to ``child_frame`` as a quaternion (x, y, z, w)."""

    linear: Vector3 = (0.0, 0.0, 0.0)
    """m/s: velocity along x, y and z of ``child_frame``."""

    angular: Vector3 = (0.0, 0.0, 0.0)
    """rad/s: rotation rate about x, y and z of ``child_frame``."""

    pose_covariance: Annotated[tuple[float, ...], Array("f8", 36)] = (0.0,) * 36
    """m², m·rad and rad²: of x, y, z, roll, pitch, yaw; 6 by 6, row by row; all 0 is unknown."""

    twist_covariance: Annotated[tuple[float, ...], Array("f8", 36)] = (0.0,) * 36
    """m²/s², m·rad/s² and rad²/s²: of the velocities, laid out likewise; all 0 is unknown."""

    frame: Frame = "odom"
    """No unit: the frame that the pose is given in; it does not move."""

    child_frame: Frame = "base_link"
    """No unit: the frame of the robot, in which the velocities are given."""


@message
class WrenchStamped(Stamped):
    """A force and a torque at one point, from a force-torque sensor or for a controller."""

    force: Vector3 = (0.0, 0.0, 0.0)
    """N: along x, y and z."""

    torque: Vector3 = (0.0, 0.0, 0.0)
    """N·m: about x, y and z."""

    frame: Frame = ""
    """No unit: the frame whose origin is the point and whose axes are used."""


@message
class TransformStamped(Stamped):
    """Where one frame lies in another."""

    translation: Vector3 = (0.0, 0.0, 0.0)
    """m: the origin of ``child_frame``, along x, y and z of ``frame``."""

    rotation: Quaternion = (0.0, 0.0, 0.0, 1.0)
    """No unit: rotation from ``frame`` to ``child_frame`` as a quaternion (x, y, z, w)."""

    frame: Frame = ""
    """No unit: the parent frame."""

    child_frame: Frame = ""
    """No unit: the frame that is placed."""

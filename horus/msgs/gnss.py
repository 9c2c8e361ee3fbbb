"""Positions from satellites."""

from enum import IntEnum
from math import nan
from typing import Annotated

from horus.message import Array, Int8, UInt8, message
from horus.msgs._base import Frame, Stamped, Vector3

__all__ = ["CovarianceKind", "NavSatFix", "NavSatStatus"]


class NavSatStatus(IntEnum):
    """How good a satellite fix is; the numbers are those of ROS."""

    NO_FIX = -1
    FIX = 0
    SBAS_FIX = 1
    """Corrected by a satellite (WAAS, EGNOS)."""
    GBAS_FIX = 2
    """Corrected by a ground station (differential, RTK)."""


class CovarianceKind(IntEnum):
    """How a covariance was come by; the numbers are those of ROS."""

    UNKNOWN = 0
    APPROXIMATED = 1
    DIAGONAL_KNOWN = 2
    KNOWN = 3


@message
class NavSatFix(Stamped):
    """A position on the earth (WGS 84) and the velocity over ground.

    Latitude and longitude are in degrees, as every receiver and map gives them.
    """

    latitude: float = 0.0
    """deg: positive north of the equator."""

    longitude: float = 0.0
    """deg: positive east of Greenwich."""

    altitude: float = nan
    """m: above the WGS 84 ellipsoid (not above sea level); NaN is not measured."""

    status: Int8 = NavSatStatus.NO_FIX
    """No unit: a `NavSatStatus`; below 0 the position is not to be used."""

    satellites: UInt8 = 0
    """No unit: the number of satellites used for the fix."""

    velocity: Vector3 = (nan, nan, nan)
    """m/s: over ground, to the east, to the north, and up; NaN is not measured."""

    position_covariance: Annotated[tuple[float, ...], Array("f8", 9)] = (0.0,) * 9
    """m²: of the position to the east, to the north, and up; 3 by 3, row by row."""

    covariance_kind: UInt8 = CovarianceKind.UNKNOWN
    """No unit: a `CovarianceKind`; UNKNOWN says that the covariance means nothing."""

    frame: Frame = ""
    """No unit: the frame of the antenna."""

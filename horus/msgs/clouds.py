"""Points in space, as an array that lies in shared memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from horus.errors import MessageTypeError, did_you_mean
from horus.message import EMPTY, AnyArray, Str, message
from horus.msgs._arrays import AsArray, refuse, shown
from horus.msgs._base import Frame, Stamped

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["PointCloud"]

_USUAL = {3: "x,y,z", 4: "x,y,z,intensity"}


@message
class PointCloud(Stamped, AsArray):
    """Points of a lidar or a depth camera, a row each: ``PointCloud(points)``."""

    data: AnyArray = EMPTY
    """m: float32 of shape (points, 3) or (points, 4), or (height, width, 3 or 4) in the order of a
    camera's pixels; x, y and z along the axes of the frame, NaN is no point."""

    fields: Annotated[str, Str(128)] = ""
    """No unit: the names of the columns, with commas; without it ``x,y,z`` or
    ``x,y,z,intensity``. More columns have to be named, after x, y and z."""

    frame: Frame = ""
    """No unit: the frame that the points are in."""

    def __post_init__(self) -> None:
        data = self.data
        if not data.size:
            return
        if data.dtype != "float32" or data.ndim not in (2, 3):
            cure = ": use .astype('float32')" if data.dtype.kind == "f" else ""
            raise refuse(self, f"points are N×3 or N×4 float32 in m, got {shown(data)}{cure}")
        columns = data.shape[-1]
        if not self.fields:
            if columns not in _USUAL:
                text = "points are N×3 or N×4; of other columns give the names, such as"
                raise refuse(self, f"{text} fields='x,y,z,intensity,ring', got {shown(data)}")
            self.fields = _USUAL[columns]
        names = self.fields.split(",")
        if names[:3] != ["x", "y", "z"] or len(set(names)) < len(names) or "" in names:
            raise MessageTypeError(
                f"PointCloud.fields: {self.fields!r} must begin with x,y,z and name no column twice"
            )
        if columns != len(names):
            text = f"{len(names)} columns are named ({self.fields}), got {shown(data)}"
            raise refuse(self, text)

    @property
    def points(self) -> NDArray[Any]:
        """The coordinates alone, of shape (points, 3), in m; a view."""
        return (
            self.data.reshape(-1, self.data.shape[-1])[:, :3] if self.data.ndim > 1 else self.data
        )

    def column(self, name: str) -> NDArray[Any]:
        """Return one column by its name, such as ``intensity``; a view."""
        names = self.fields.split(",")
        if name not in names:
            near = did_you_mean(name, names) or f"; it has {self.fields or 'none'}"
            raise KeyError(f"the cloud has no column {name!r}{near}")
        return self.data[..., names.index(name)]

    def __len__(self) -> int:
        return self.data.size // self.data.shape[-1] if self.data.size else 0

    @staticmethod
    def element_of(fields: Mapping[str, Any]) -> str:
        """Return the dtype of a loan: float32."""
        return "float32"

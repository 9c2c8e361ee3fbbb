"""The ROS 2 types that viewers draw, and how our standard messages become them."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from horus_plugins.recording.errors import Unfit

_HEADER = "std_msgs/Header header"
#: The types that others are made of.
PARTS = {
    "builtin_interfaces/Time": "int32 sec\nuint32 nanosec",
    "std_msgs/Header": "builtin_interfaces/Time stamp\nstring frame_id",
    "sensor_msgs/PointField": "string name\nuint32 offset\nuint8 datatype\nuint32 count",
    "sensor_msgs/NavSatStatus": "int8 status\nuint16 service",
    "geometry_msgs/Point": "float64 x\nfloat64 y\nfloat64 z",
    "geometry_msgs/Vector3": "float64 x\nfloat64 y\nfloat64 z",
    "geometry_msgs/Quaternion": "float64 x\nfloat64 y\nfloat64 z\nfloat64 w",
    "geometry_msgs/Pose": "geometry_msgs/Point position\ngeometry_msgs/Quaternion orientation",
    "geometry_msgs/PoseWithCovariance": "geometry_msgs/Pose pose\nfloat64[36] covariance",
    "geometry_msgs/Twist": "geometry_msgs/Vector3 linear\ngeometry_msgs/Vector3 angular",
    "geometry_msgs/TwistWithCovariance": "geometry_msgs/Twist twist\nfloat64[36] covariance",
    "geometry_msgs/Transform": (
        "geometry_msgs/Vector3 translation\ngeometry_msgs/Quaternion rotation"
    ),
}
_IMAGE = (
    f"{_HEADER}\nuint32 height\nuint32 width\nstring encoding\nuint8 is_bigendian\nuint32 step\n"
    "uint8[] data"
)


class Writer:
    """Puts values behind each other as CDR aligns them; ``at`` is where the next one goes."""

    def __init__(self) -> None:
        self.parts: list[bytes | memoryview] = []
        self.at = 0
        #: Where the array's bytes begin.
        self.array_at = 0

    def put(self, kinds: str, *values: Any) -> None:
        """Write numbers, of these `struct` codes."""
        for kind, value in zip(kinds, values, strict=True):
            size = struct.calcsize(kind)
            self._add(bytes(-self.at % size) + struct.pack(f"<{kind}", value))

    def text(self, text: bytes) -> None:
        """Write a text."""
        self.put("I", len(text) + 1)
        self._add(text + b"\0")

    def numbers(self, kind: str, values: Any, *, fixed: bool = False) -> None:
        """Write an array of numbers, with its length unless that is ``fixed``."""
        if not fixed:
            self.put("I", len(values))
        if len(values):
            self._add(bytes(-self.at % struct.calcsize(kind)))
            self._add(struct.pack(f"<{len(values)}{kind}", *values))

    def array(self, data: memoryview) -> None:
        """Write the bytes of pixels or points, which are not copied."""
        self.put("I", len(data))
        self.array_at = self.at
        self._add(data)

    def align(self, size: int) -> None:
        """Go on at a multiple of so many bytes."""
        self._add(bytes(-self.at % size))

    def _add(self, data: bytes | memoryview) -> None:
        self.parts.append(data)
        self.at += len(data)


@dataclass(frozen=True)
class Array:
    """The array of a payload: its dtype as numpy writes it, its shape and its bytes."""

    dtype: str
    shape: tuple[int, ...]
    data: memoryview

    @property
    def size(self) -> int:
        """Bytes of an element."""
        return int(self.dtype[2:]) if self.dtype[2:].isdigit() else 0


Draw = Callable[[Writer, Mapping[str, Any], "Array | None"], None]


def _stamped(out: Writer, fields: Mapping[str, Any]) -> None:
    stamp = fields["stamp"]
    known = math.isfinite(stamp) and abs(stamp) < 1 << 31
    seconds = math.floor(stamp) if known else 0
    nanoseconds = round((stamp - seconds) * 1e9) if known else 0
    out.put("iI", seconds + nanoseconds // 10**9, nanoseconds % 10**9)
    out.text(fields["frame"])


def _image(out: Writer, fields: Mapping[str, Any], array: Array | None) -> None:
    _stamped(out, fields)
    if array is None or not len(array.data):
        height, width, data = 0, 0, memoryview(b"")
    elif array.size and len(array.shape) in (2, 3):
        (height, width), data = array.shape[:2], array.data
    else:
        raise Unfit
    out.put("II", height, width)
    out.text(fields["encoding"])
    big = array is not None and array.dtype.startswith(">")
    out.put("BI", big, len(data) // height if height else 0)
    out.array(data)


def _compressed(out: Writer, fields: Mapping[str, Any], array: Array | None) -> None:
    _stamped(out, fields)
    out.text(fields["format"])
    out.array(array.data if array is not None else memoryview(b""))


def _cloud(out: Writer, fields: Mapping[str, Any], array: Array | None) -> None:
    names = fields["fields"].split(b",") if fields["fields"] else []
    shape: tuple[int, ...] = (0, 0)
    data = memoryview(b"")
    if array is not None and len(array.data):
        if array.dtype != "<f4" or len(array.shape) not in (2, 3) or array.shape[-1] != len(names):
            raise Unfit
        shape, data = array.shape[:-1], array.data
    height, width = shape if len(shape) == 2 else (1, *shape)
    step = 4 * len(names)
    _stamped(out, fields)
    out.put("III", height, width, len(names))
    for place, name in enumerate(names):
        out.text(name)
        out.put("IBI", 4 * place, 7, 1)  # 7: FLOAT32
    out.put("?II", False, step, step * width)
    out.array(data)
    out.put("?", False)  # there may be NaN among them


def _scan(out: Writer, fields: Mapping[str, Any], array: Array | None) -> None:
    first, step, ranges = fields["angle_min"], fields["angle_increment"], fields["ranges"]
    _stamped(out, fields)
    out.put("ff", first, first + step * max(0, len(ranges) - 1))
    rest = ("angle_increment", "time_increment", "scan_time", "range_min", "range_max")
    out.put("fffff", *(fields[name] for name in rest))
    out.numbers("f", ranges)
    out.numbers("f", fields["intensities"])


def _position(out: Writer, fields: Mapping[str, Any], array: Array | None) -> None:
    _stamped(out, fields)
    out.put(
        "bHddd", fields["status"], 0, *(fields[n] for n in ("latitude", "longitude", "altitude"))
    )
    out.numbers("d", fields["position_covariance"], fixed=True)
    out.put("B", fields["covariance_kind"])


def _pose(out: Writer, fields: Mapping[str, Any], array: Array | None) -> None:
    _stamped(out, fields)
    out.put("ddd", *fields["position"])
    out.put("dddd", *fields["orientation"])


def _pose_on_plane(out: Writer, fields: Mapping[str, Any], array: Array | None) -> None:
    _stamped(out, fields)
    half = fields["yaw"] / 2
    turned = (math.sin(half), math.cos(half)) if math.isfinite(half) else (math.nan, math.nan)
    out.put("ddddddd", fields["x"], fields["y"], 0.0, 0.0, 0.0, *turned)


def _transform(out: Writer, fields: Mapping[str, Any], array: Array | None) -> None:
    _stamped(out, fields)
    out.text(fields["child_frame"])
    out.put("ddd", *fields["translation"])
    out.put("dddd", *fields["rotation"])


def _odometry(out: Writer, fields: Mapping[str, Any], array: Array | None) -> None:
    _stamped(out, fields)
    out.text(fields["child_frame"])
    out.put("ddd", *fields["position"])
    out.put("dddd", *fields["orientation"])
    out.numbers("d", fields["pose_covariance"], fixed=True)
    out.put("ddd", *fields["linear"])
    out.put("ddd", *fields["angular"])
    out.numbers("d", fields["twist_covariance"], fixed=True)


#: By the name in `horus.msgs`: the type in ROS, its definition, and what writes it.
DRAWN: Mapping[str, tuple[str, str, Draw]] = {
    "Image": ("sensor_msgs/msg/Image", _IMAGE, _image),
    "DepthImage": ("sensor_msgs/msg/Image", _IMAGE, _image),
    "CompressedImage": (
        "sensor_msgs/msg/CompressedImage",
        f"{_HEADER}\nstring format\nuint8[] data",
        _compressed,
    ),
    "PointCloud": (
        "sensor_msgs/msg/PointCloud2",
        f"{_HEADER}\nuint32 height\nuint32 width\nsensor_msgs/PointField[] fields\n"
        "bool is_bigendian\nuint32 point_step\nuint32 row_step\nuint8[] data\nbool is_dense",
        _cloud,
    ),
    "LaserScan": (
        "sensor_msgs/msg/LaserScan",
        f"{_HEADER}\nfloat32 angle_min\nfloat32 angle_max\nfloat32 angle_increment\n"
        "float32 time_increment\nfloat32 scan_time\nfloat32 range_min\nfloat32 range_max\n"
        "float32[] ranges\nfloat32[] intensities",
        _scan,
    ),
    "NavSatFix": (
        "sensor_msgs/msg/NavSatFix",
        f"{_HEADER}\nsensor_msgs/NavSatStatus status\nfloat64 latitude\nfloat64 longitude\n"
        "float64 altitude\nfloat64[9] position_covariance\nuint8 position_covariance_type",
        _position,
    ),
    "Pose3D": ("geometry_msgs/msg/PoseStamped", f"{_HEADER}\ngeometry_msgs/Pose pose", _pose),
    "Pose2D": (
        "geometry_msgs/msg/PoseStamped",
        f"{_HEADER}\ngeometry_msgs/Pose pose",
        _pose_on_plane,
    ),
    "TransformStamped": (
        "geometry_msgs/msg/TransformStamped",
        f"{_HEADER}\nstring child_frame_id\ngeometry_msgs/Transform transform",
        _transform,
    ),
    "Odometry": (
        "nav_msgs/msg/Odometry",
        f"{_HEADER}\nstring child_frame_id\ngeometry_msgs/PoseWithCovariance pose\n"
        "geometry_msgs/TwistWithCovariance twist",
        _odometry,
    ),
}

"""What cameras see, as arrays that lie in shared memory; the first row is at the top."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from horus.errors import MessageTypeError, did_you_mean
from horus.message import EMPTY, AnyArray, Str, message
from horus.msgs._arrays import AsArray, refuse, shown
from horus.msgs._base import Frame, Stamped

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CompressedImage", "DepthImage", "Image"]

_T = TypeVar("_T")

#: The element and the channels of a pixel of each encoding, by the names that ROS uses.
ENCODINGS: Mapping[str, tuple[str, int]] = {
    **{f"{name}8": ("uint8", count) for name, count in (("mono", 1), ("rgb", 3), ("bgr", 3))},
    **{f"{name}16": ("uint16", count) for name, count in (("mono", 1), ("rgb", 3), ("bgr", 3))},
    **{f"{name}8": ("uint8", 4) for name in ("rgba", "bgra")},
    **{f"{name}16": ("uint16", 4) for name in ("rgba", "bgra")},
    **{f"bayer_{order}8": ("uint8", 1) for order in ("rggb", "bggr", "gbrg", "grbg")},
    **{f"bayer_{order}16": ("uint16", 1) for order in ("rggb", "bggr", "gbrg", "grbg")},
    **dict.fromkeys(("uyvy", "yuyv"), ("uint8", 2)),
}
#: The element of a depth of each encoding: metres, and millimetres.
DEPTHS: Mapping[str, str] = {"32FC1": "float32", "16UC1": "uint16"}
#: How the files of each format begin.
FORMATS: Mapping[str, bytes] = {"jpeg": b"\xff\xd8\xff", "png": b"\x89PNG\r\n\x1a\n"}


def _known(cls: str, encoding: object, known: Mapping[str, _T]) -> _T:
    """Return what is known of an encoding; a `MessageTypeError` if it is not one."""
    found = known.get(encoding) if isinstance(encoding, str) else None
    if found is None:
        near = did_you_mean(str(encoding), known) or f": use {', '.join(known)}"
        raise MessageTypeError(f"{cls}.encoding: unknown encoding {encoding!r}{near}")
    return found


@message
class Image(Stamped, AsArray):
    """A picture: ``Image(pixels, "bgr8")``; ``numpy.asarray(image)`` is the array again.

    A received array is a read-only view of shared memory that stays as it is while it lives.
    """

    data: AnyArray = EMPTY
    """No unit: the pixels, of shape (height, width), or (height, width, channels)."""

    encoding: Annotated[str, Str(16)] = ""
    """No unit: what a pixel is, such as ``rgb8``, ``bgr8``, ``mono8``, ``mono16``, ``rgba8``,
    ``bayer_rggb8`` or ``yuyv``. Without it one channel is ``mono8`` or ``mono16``."""

    frame: Frame = ""
    """No unit: the frame of the camera's optics: x to the right, y down, z into the picture."""

    def __post_init__(self) -> None:
        data = self.data
        if not data.size:
            return
        if not self.encoding:
            plain = {"uint8": "mono8", "uint16": "mono16"} if data.ndim == 2 else {}
            self.encoding = plain.get(data.dtype.name, "")
            if not self.encoding:
                raise MessageTypeError(
                    f"Image.encoding: say what the pixels are, such as encoding='rgb8' or 'bgr8'; "
                    f"an array of {shown(data)} may be several"
                )
        element, channels = _known("Image", self.encoding, ENCODINGS)
        fits = (2, 3) if channels == 1 else (3,)
        if data.dtype != element or data.ndim not in fits or self.channels != channels:
            shape = "height×width" + (f"×{channels}" if channels > 1 else "")
            raise refuse(self, f"{self.encoding} is {shape} {element}, got {shown(data)}")

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return self.data.shape[0] if self.data.ndim > 1 else 0

    @property
    def width(self) -> int:
        """Pixels of a row."""
        return self.data.shape[1] if self.data.ndim > 1 else 0

    @property
    def channels(self) -> int:
        """Numbers of a pixel."""
        return self.data.shape[2] if self.data.ndim > 2 else 1

    @property
    def step(self) -> int:
        """Bytes of a row, once it is on the bus."""
        return self.width * self.channels * self.data.itemsize

    @staticmethod
    def element_of(fields: Mapping[str, Any]) -> str:
        """Return the dtype of a loan with these fields: that of the encoding."""
        encoding = fields.get("encoding")
        return _known("Image", encoding, ENCODINGS)[0] if encoding else "uint8"


@message
class DepthImage(Stamped, AsArray):
    """How far away each pixel is, along the camera's axis: ``DepthImage(depth)``."""

    data: AnyArray = EMPTY
    """m: of shape (height, width), float32, NaN is not measured; or uint16, which are millimetres
    as depth cameras send them, 0 is not measured. `metres` is either in m."""

    encoding: Annotated[str, Str(16)] = ""
    """No unit: ``32FC1`` (float32, m) or ``16UC1`` (uint16, mm); told by the array."""

    min_depth: float = 0.0
    """m: the nearest depth that the camera measures; 0 is unknown."""

    max_depth: float = 0.0
    """m: the farthest depth that the camera measures; 0 is unknown."""

    frame: Frame = ""
    """No unit: the frame of the camera's optics: x to the right, y down, z into the picture."""

    def __post_init__(self) -> None:
        data = self.data
        if not data.size:
            return
        if not self.encoding:
            names = {element: name for name, element in DEPTHS.items()}
            self.encoding = names.get(data.dtype.name, "32FC1")
        element = _known("DepthImage", self.encoding, DEPTHS)
        if data.dtype != element or data.ndim != 2:
            wanted = "depth is height×width float32 in m, or uint16 in mm (16UC1)"
            raise refuse(self, f"{wanted}, got {shown(data)} as {self.encoding}")

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return self.data.shape[0] if self.data.ndim == 2 else 0

    @property
    def width(self) -> int:
        """Pixels of a row."""
        return self.data.shape[1] if self.data.ndim == 2 else 0

    @property
    def step(self) -> int:
        """Bytes of a row, once it is on the bus."""
        return self.width * self.data.itemsize

    def metres(self) -> NDArray[Any]:
        """Return the depth in m as float32; NaN is not measured. Of millimetres it is a copy."""
        if self.data.dtype.kind == "f":
            return self.data
        depth: NDArray[Any] = self.data.astype("float32")
        depth[depth == 0] = float("nan")
        depth /= 1000.0
        return depth

    @staticmethod
    def element_of(fields: Mapping[str, Any]) -> str:
        """Return the dtype of a loan with these fields: that of the encoding, else float32."""
        encoding = fields.get("encoding")
        return _known("DepthImage", encoding, DEPTHS) if encoding else "float32"


@message
class CompressedImage(Stamped, AsArray):
    """A picture as a JPEG or PNG file has it: ``CompressedImage(path.read_bytes())``."""

    data: AnyArray = EMPTY
    """No unit: the bytes of the file, as uint8."""

    format: Annotated[str, Str(16)] = ""
    """No unit: ``jpeg`` or ``png``; told by how the bytes begin."""

    frame: Frame = ""
    """No unit: the frame of the camera's optics: x to the right, y down, z into the picture."""

    def __post_init__(self) -> None:
        if self.data.size and (self.data.dtype != "uint8" or self.data.ndim != 1):
            raise refuse(self, f"the bytes of a file are wanted, got {shown(self.data)}")
        if not self.format and self.data.size:
            begin = self.data[:8].tobytes()
            found = [name for name, magic in FORMATS.items() if begin.startswith(magic)]
            if not found:
                known = "', '".join(FORMATS)
                raise refuse(self, f"it begins as no known file does: say format='{known}'...")
            self.format = found[0]

"""What the messages with an array share: numpy and others take them for the array itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from horus.errors import MessageTypeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    class _Array:
        data: NDArray[Any]
else:

    class _Array:
        __slots__ = ()


class AsArray(_Array):
    """The base of a message whose ``data`` is an array: ``numpy.asarray(message)`` is that.

    Nothing is copied, and what was received stays pinned in shared memory while the array lives.
    """

    __slots__ = ()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the array, as numpy asks for it."""
        if dtype is not None and self.data.dtype != dtype:
            if copy is False:
                raise ValueError(
                    f"{type(self).__name__}.data is {self.data.dtype}: {dtype} needs a copy"
                )
            return self.data.astype(dtype)
        return self.data.copy() if copy else self.data

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[Any, Any] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """Return the array as a DLPack capsule, for torch, jax and others.

        A received array may not be written. One who cannot be told that (by DLPack before 1.0, or
        by numpy before 2.1) gets a copy, unless ``copy`` is False: then it is a ``BufferError``.
        """
        asked = {"max_version": max_version, "dl_device": dl_device, "copy": copy}
        given = {name: value for name, value in asked.items() if value is not None}
        try:
            return self.data.__dlpack__(stream=stream, **given)  # type: ignore[arg-type]
        except (BufferError, TypeError):  # read-only; a word that this numpy does not know
            if copy is False:
                raise
            return self.data.copy().__dlpack__(stream=stream)

    def __dlpack_device__(self) -> tuple[Any, Any]:
        """Return where the array lies, as DLPack has it: the memory of the CPU."""
        return self.data.__dlpack_device__()


def refuse(message: object, why: str) -> MessageTypeError:
    """Return the error for an array that a message cannot hold."""
    return MessageTypeError(f"{type(message).__name__}.data: {why}")


def shown(array: NDArray[Any]) -> str:
    """Return what an array is, in words: ``480×640×3 uint8``."""
    return f"{'×'.join(map(str, array.shape))} {array.dtype}"

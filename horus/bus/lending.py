"""A loan of a whole message: one whose array lies in shared memory before it is sent."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from horus.bus.frames import FrameRef
from horus.bus.loans import Loan, Reference

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from horus.message import MessageSpec

__all__ = ["MessageLoan"]

M = TypeVar("M")


class MessageLoan(Generic[M]):
    """A message whose array is to be written in place; the end of ``with`` sends it.

    An exception within ``with`` sends nothing. The other fields may be set there as well. An array
    that is put in the place of the lent one is sent, too, with a copy.

    Args:
        spec: the message's class.
        fields: its other fields.
        lend: makes the loan of the array, which is sent by what it is given.
        send: sends a message, of which the reference says where its array lies.

    """

    def __init__(
        self,
        spec: MessageSpec,
        fields: dict[str, Any],
        lend: Callable[[Callable[[Reference, int | None], bool]], Loan],
        send: Callable[[Any, Reference | None, int | None], bool],
    ) -> None:
        self._spec = spec
        self._fields = fields
        self._loan = lend(self._finish)
        self._send = send
        self._array: NDArray[Any] | None = None
        self._message: Any = None

    @property
    def sent(self) -> bool:
        """Whether it was sent; known after ``with``."""
        return self._loan.sent

    def __enter__(self) -> M:
        """Return the message to be filled."""
        assert self._spec.frame is not None
        self._array = self._loan.__enter__()
        try:
            self._message = self._spec.cls(**{self._spec.frame: self._array}, **self._fields)
        except BaseException:
            self._loan.__exit__(*sys.exc_info())
            raise
        return self._message  # type: ignore[no-any-return]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loan.__exit__(kind, error, trace)

    def _finish(self, reference: Reference, stamp_ns: int | None) -> bool:
        assert self._spec.frame is not None
        if getattr(self._message, self._spec.frame, None) is not self._array:
            return self._send(self._message, None, stamp_ns)
        rest = bytearray(self._spec.size)
        self._spec.pack_into(rest, 0, self._message)
        whole = FrameRef.unpack(reference.payload)._replace(rest=bytes(rest))
        return self._send(self._message, Reference(whole.pack(), self._spec.hash), stamp_ns)

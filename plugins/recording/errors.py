"""What can go wrong with a recording."""

from __future__ import annotations

from horus.errors import HorusError

__all__ = ["RecordingError", "Unfit", "need_mcap"]


class RecordingError(HorusError):
    """A recording cannot be made, read or replayed; says which and what to do."""

    def __init__(self, text: str, exit_code: int = 1) -> None:
        super().__init__(text)
        self.exit_code = exit_code


class Unfit(Exception):
    """A payload that a format would not give back to the last byte: it is stored as it is."""


def need_mcap() -> None:
    """Say how to get the mcap package where it is missing."""
    try:
        import mcap  # noqa: F401
    except ImportError:
        raise RecordingError(
            "recordings need the mcap package: pip install 'horus[tools]'", 2
        ) from None

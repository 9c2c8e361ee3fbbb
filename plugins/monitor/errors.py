"""What can go wrong with the monitor."""

from __future__ import annotations

from horus.errors import HorusError

__all__ = ["MonitorError", "need_textual"]


class MonitorError(HorusError):
    """The monitor cannot begin; says why and what to do."""

    exit_code = 2


def need_textual() -> None:
    """Say how to get the textual package where it is missing."""
    try:
        import textual  # noqa: F401
    except ImportError:
        raise MonitorError(
            "the dashboard needs the textual package: pip install 'horus[tools]' "
            "(horus monitor --web does without)"
        ) from None

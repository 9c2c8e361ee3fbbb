from __future__ import annotations

from horus.errors import HorusError


class VirtualError(HorusError, OSError):
    """The virtual rig cannot be had here, or has failed; the text ends with the cure.

    The `horus` command ends with 3 for it: the rig is not ready.
    """

    exit_code = 3

    def __init__(self, text: str, cure: str = "") -> None:
        super().__init__(f"{text}: {cure}" if cure else text)

    def __str__(self) -> str:  # OSError would show its arguments
        return str(self.args[0])

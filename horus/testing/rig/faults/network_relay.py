"""Unplugging by a relay in the network that is switched by an HTTP request, such as a Shelly."""

from __future__ import annotations

import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import ClassVar

from horus.hal.config import Config, option
from horus.testing.rig.faults import MeansError


def _is_http(url: str) -> None:
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"must begin with http:// or https://, not {url!r}")


@dataclass(frozen=True, kw_only=True)
class NetworkRelayOptions(Config):
    """The addresses that switch it; both are got with GET."""

    off: str = option(doc="address that takes the device's power away", also=_is_http)
    on: str = option(doc="address that gives it back", also=_is_http)
    timeout: float = option(5.0, unit="s", low=0.1, high=60, doc="longest wait for the answer")


class NetworkRelay:
    """A relay that answers HTTP."""

    options_type: ClassVar[type[Config]] = NetworkRelayOptions

    def __init__(self, place: str, options: NetworkRelayOptions) -> None:
        self.place = place
        self.options = options

    def cut(self) -> None:
        """Ask for the address that takes the power away."""
        self._get(self.options.off)

    def restore(self) -> None:
        """Ask for the address that gives it back."""
        self._get(self.options.on)

    def _get(self, url: str) -> None:
        try:
            with urllib.request.urlopen(url, timeout=self.options.timeout) as answer:
                answer.read(65_536)
        except (OSError, ValueError) as error:  # an HTTPError, too, is an OSError
            code = f"answers {error.code}" if isinstance(error, urllib.error.HTTPError) else ""
            text = code or f"does not answer: {getattr(error, 'reason', error)}"
            cure = "is it switched on, and in this network?"
            raise MeansError(f"{self.place}: the relay at {url} {text}; {cure}") from None

"""CAN through any interface that python-can knows by name, those of its plugins included."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, ClassVar

from horus.errors import did_you_mean
from horus.hal.backends.access import package_missing
from horus.hal.backends.python_can import PythonCan
from horus.hal.config import BusConfig, option
from horus.hal.faults import DeviceFault, FaultKind

#: Interfaces that have a kind of bus of their own here, which knows more about them.
BETTER = ("socketcan", "slcan", "gs_usb", "udp_multicast")
#: Clock (Hz) and sample point (%) of CAN-FD timing where an interface wants to be told.
CLOCK, SAMPLE_POINT = 80_000_000, 80.0


@dataclass(frozen=True, kw_only=True)
class AnyCanConfig(BusConfig):
    """Options of an interface of python-can; it may want more, from python-can's own settings."""

    interface: str = option(doc="python-can's name of it, such as pcan or kvaser")
    channel: str = option("0", doc="such as PCAN_USBBUS1")
    bitrate: int = option(500_000, unit="bit/s", low=10_000, high=1_000_000)
    fd: bool = option(False, doc="send and receive CAN-FD frames too")
    data_bitrate: int = option(
        2_000_000, unit="bit/s", low=100_000, high=8_000_000, doc="of the data of FD frames"
    )


class AnyCan(PythonCan):
    """An interface of python-can."""

    config_type: ClassVar[type[BusConfig]] = AnyCanConfig
    cure = "plug the adapter in and install its maker's driver, or correct channel: in horus.yaml"

    def __init__(self, name: str, config: AnyCanConfig) -> None:
        kind = _find(name, config)
        speed = _speed(name, config, kind)
        channel = int(config.channel) if config.channel.isdigit() else config.channel
        try:
            super().__init__(name, interface=config.interface, channel=channel, **speed)
        except DeviceFault as fault:
            if fault.kind is not FaultKind.OTHER:
                raise
            raise DeviceFault(FaultKind.ABSENT, fault.text, bus=name, cure=self.cure) from None
        except Exception as error:  # such as a NameError where a maker's library is missing
            text = f"interface {config.interface} cannot be opened: {error}"
            raise DeviceFault(FaultKind.ABSENT, text, bus=name, cure=self.cure) from None

    @classmethod
    def preflight(cls, name: str, config: AnyCanConfig) -> str:
        """Return why the bus cannot be opened now and what to do; the adapter is not looked for."""
        try:
            _speed(name, config, _find(name, config))
        except DeviceFault as fault:
            return str(fault)
        return ""


def _find(name: str, config: AnyCanConfig) -> type[Any]:
    """Return python-can's class of the interface."""
    if not find_spec("can"):
        raise package_missing("python-can", name)
    from can.interfaces import BACKENDS

    wanted = config.interface
    if wanted not in BACKENDS:
        near = did_you_mean(wanted, BACKENDS).replace("'", "")
        text = f"python-can knows no interface {wanted}{near}"
        cure = f"one of {', '.join(sorted(BACKENDS))}"
        raise DeviceFault(FaultKind.ABSENT, text, bus=name, cure=cure)
    if wanted in BETTER:
        text = f"interface {wanted} is a kind of bus of its own"
        raise DeviceFault(FaultKind.OTHER, text, bus=name, cure=f"write use: {wanted}")
    module, attribute = BACKENDS[wanted]
    try:
        found: type[Any] = getattr(import_module(module), attribute)
    except Exception as error:  # whatever a maker's library does where it is not at home
        package = getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None
        text = f"interface {wanted} cannot be used here: {error}"
        cure = f"install what it needs ({package or 'its maker’s driver'}; see python-can)"
        raise DeviceFault(FaultKind.ABSENT, text, bus=name, cure=cure) from None
    return found


def _speed(name: str, config: AnyCanConfig, kind: type[Any]) -> dict[str, Any]:
    """Return the bit rates as this interface wants them."""
    if not config.fd:
        return {"bitrate": config.bitrate}
    known = inspect.signature(kind.__init__).parameters
    if "timing" in known:
        from can import BitTimingFd

        timing = BitTimingFd.from_sample_point(
            CLOCK, config.bitrate, SAMPLE_POINT, config.data_bitrate, SAMPLE_POINT
        )
        return {"timing": timing}
    if "fd" in known:
        speed = {"bitrate": config.bitrate, "data_bitrate": config.data_bitrate}
        return {"fd": True, **{key: rate for key, rate in speed.items() if key in known}}
    text = f"interface {config.interface} does not do CAN-FD"
    raise DeviceFault(FaultKind.OTHER, text, bus=name, cure="set fd: false")

"""Steering twins from outside: stimuli and faults, called by name from any process.

The process of the twins serves ``sim.<device>`` for each of them::

    steering = Steering(twins)
    while ...:
        host.step(0.002)
        steering.serve()

and anybody calls it, such as `horus mock`: ``call("sim.imu", "set", "rotation", [0, 0, 1])``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from types import TracebackType
from typing import Annotated, Any, NamedTuple

from horus.errors import HorusError, did_you_mean
from horus.hal.sim import Sim
from horus.hardware import topics
from horus.node.calls import Calls

__all__ = ["FAULTS", "FaultError", "Steering", "clear_faults", "set_fault"]


class FaultError(HorusError, ValueError):
    """A fault that a twin cannot be given."""


class _Fault(NamedTuple):
    """A fault that can be switched on, and what its number means."""

    apply: Callable[[Sim[Any, Any], float], object]
    about: str
    #: "" for a fault without a number.
    unit: str = ""
    high: float = 1.0


def clear_faults(twin: Sim[Any, Any]) -> None:
    """End all faults; a twin that was unplugged starts anew."""
    twin.silence(False)
    for rate in (twin.nak, twin.corrupt, twin.drop, twin.slow):
        rate(0.0)
    twin.plug()


#: What can be wrong with a device, by name.
FAULTS: Mapping[str, _Fault] = {
    "unplug": _Fault(lambda twin, _: twin.unplug(), "take its power and bus away"),
    "plug": _Fault(lambda twin, _: twin.plug(), "give power back: it starts unconfigured"),
    "silence": _Fault(lambda twin, _: twin.silence(), "it stops answering, powered as before"),
    "nak": _Fault(lambda twin, x: twin.nak(x), "lose this share of what is sent to it", "0..1"),
    "corrupt": _Fault(lambda twin, x: twin.corrupt(x), "damage this share of its data", "0..1"),
    "drop": _Fault(lambda twin, x: twin.drop(x), "lose this share of what it sends", "0..1"),
    "slow": _Fault(lambda twin, x: twin.slow(x), "it answers this much later", "s", 10.0),
    "clear": _Fault(lambda twin, _: clear_faults(twin), "end all of these"),
}


def set_fault(twin: Sim[Any, Any], kind: str, value: float | None = None) -> None:
    """Switch a fault on; an unknown one, or a number that does not fit, is a `FaultError`."""
    fault = FAULTS.get(kind)
    if fault is None:
        raise FaultError(f"no fault {kind}{did_you_mean(kind, FAULTS)}; known: {', '.join(FAULTS)}")
    if not fault.unit:
        if value is not None:
            raise FaultError(f"{kind} takes no number")
    elif value is None:
        raise FaultError(f"{kind} needs a number ({fault.unit}): {fault.about}")
    elif not 0.0 <= value <= fault.high:
        raise FaultError(f"{kind} takes a number from 0 to {fault.high:g}, not {value:g}")
    fault.apply(twin, value or 0.0)


class Steering:
    """Answers for twins under ``sim.<device>``; call `serve` often, it never waits."""

    def __init__(self, twins: Mapping[str, Sim[Any, Any]]) -> None:
        self._calls = [
            Calls(topics.truth_topic(name), _handlers(name, twin), doc=f"the twin of {name}")
            for name, twin in twins.items()
        ]

    def serve(self) -> None:
        """Do what was asked for since the last call."""
        for calls in self._calls:
            calls.serve()

    def close(self) -> None:
        """Answer no more."""
        for calls in self._calls:
            calls.close()

    def __enter__(self) -> Steering:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _handlers(name: str, twin: Sim[Any, Any]) -> dict[str, Callable[..., Any]]:
    def set(stimulus: str, values: list[Any]) -> dict[str, Any]:
        """Set a stimulus of the world around the twin, in its own unit."""
        twin.stimulate(stimulus, values)
        return {stimulus: getattr(twin, stimulus)}

    def fault(kind: str, value: Annotated[float | None, "share or s"] = None) -> dict[str, Any]:
        """Switch a fault on or off; return those that are on."""
        set_fault(twin, kind, value)
        return asdict(twin.faults)

    return {
        "set": set,
        "fault": fault,
        "truth": partial(_truth, twin),
        "state": partial(_state, name, twin),
    }


def _truth(twin: Sim[Any, Any]) -> dict[str, object]:
    """Return the twin's true state, in SI units."""
    return twin.truth()


def _state(name: str, twin: Sim[Any, Any]) -> dict[str, Any]:
    """Return what the twin is, its stimuli with their values, and its faults."""
    return {
        "name": name,
        "twin": type(twin).__name__,
        "stimuli": {
            stimulus.name: {
                "value": getattr(twin, stimulus.name),
                "unit": stimulus.unit,
                "low": stimulus.low,
                "high": stimulus.high,
                "doc": stimulus.doc,
            }
            for stimulus in twin.stimuli.values()
        },
        "faults": asdict(twin.faults),
    }

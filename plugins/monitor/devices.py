"""How the devices of a run are, from what they say of themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from horus_plugins.monitor.rows import Device, Lately, Level, by_gravity

from horus.cli.devices import GOOD, SILENT, Watch

if TYPE_CHECKING:
    from horus.msgs import DeviceStatus

#: A device is waited for so long (s) before it is said to be gone.
PATIENCE = 3.0
#: For so long (s) errors on the bus are pointed out.
RECENT = 10.0
#: Below this share of the asked rate a device is slow.
SLOW = 0.5


class Devices:
    """The devices of the session that this process has joined; they do not notice."""

    def __init__(self, now: float) -> None:
        self._watch = Watch()
        self._since = now
        self._errors = Lately(RECENT)

    def look(self, now: float) -> tuple[Device, ...]:
        """Return how each is, what fails first."""
        self._watch.look()
        found = [self._device(status, now) for status in self._watch.statuses()]
        return tuple(sorted(found, key=by_gravity))

    def _device(self, status: DeviceStatus, now: float) -> Device:
        state, text = self._watch.state(status), self._watch.message(status)
        text = text.removeprefix(f"{status.name} on {status.bus}: ")  # both are beside it
        lately = self._errors.of(status.name, status.errors, now)
        level: Level = "ok"
        if state in ("starting", "stopped"):  # by a person's will, and not to be forgotten
            level = "off" if state == "starting" else "warn"
        elif not status.stamp and now - self._since < PATIENCE:
            state, text, level = "waiting", "nothing heard yet", "off"
        elif state not in GOOD:
            level = "bad"
        elif lately:
            level, text = "warn", f"bus errors: {lately} in {RECENT:.0f} s; {text}"
        elif state == "active" and status.rate < SLOW * status.asked_rate:
            level = "warn"
            text = f"slow: {status.rate:.3g} of {status.asked_rate:g} samples a second; {text}"
        return Device(
            name=status.name,
            level=level,
            state=state,
            driver=status.driver,
            bus=f"{status.bus}{status.place and f':{status.place}'}",
            mock=bool(status.mock),
            rate=0.0 if state in SILENT else status.rate,
            asked_rate=status.asked_rate,
            errors=status.errors,
            errors_lately=lately,
            faults=status.faults,
            text=text,
        )

    def close(self) -> None:
        """Look no more."""
        self._watch.close()

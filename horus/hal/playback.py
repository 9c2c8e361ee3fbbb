"""Stimuli over time from a file, for any twin: ``mock: {play: morning.csv}``.

The first column is the time in seconds, the others are named after the twin's stimuli, in their
units; those of several numbers by axis or place::

    time,rotation.x,rotation.y,rotation.z,temperature
    0.0,0,0,0.1,20.5
    0.5,0,0,0.2,20.6
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from horus.errors import ConfigError, did_you_mean
from horus.hal.config import options as known_options
from horus.hal.recording import Recording

if TYPE_CHECKING:
    from horus.hal.config import DriverConfig, SimConfig
    from horus.hal.driver import Driver
    from horus.hal.sim import Stimulus

AXES = "xyzw"


class Playback:
    """A recording whose columns are stimuli; a row holds until the next, and it begins anew.

    A column that is none, or a value that a stimulus does not take, is a `ConfigError`.
    """

    def __init__(self, path: Path, stimuli: Mapping[str, Stimulus[Any]]) -> None:
        self.path = path
        self.recording = recording(path)
        columns = [name.strip() for name in self.recording.columns[1:]]
        known = [column for s in stimuli.values() for column in column_names(s)]
        strange = [column for column in columns if column not in known]
        faults = [
            f"{path}: column {column!r} is no stimulus{did_you_mean(column, known)}; "
            f"known: {', '.join(known) or 'none'}"
            for column in strange
        ]
        #: Of each stimulus that is played: where its numbers are in a row.
        self._places: dict[str, list[int]] = {}
        for stimulus in stimuli.values():
            wanted = column_names(stimulus)
            missing = [column for column in wanted if column not in columns]
            if missing and len(missing) < len(wanted):
                faults.append(f"{path}: column {missing[0]!r} is missing beside its others")
            elif not missing:
                self._places[stimulus.name] = [columns.index(column) for column in wanted]
        if not faults:
            faults = self._check(stimuli)
        if faults:
            raise ConfigError(faults)

    def _check(self, stimuli: Mapping[str, Stimulus[Any]]) -> list[str]:
        """Return what is wrong with the values, once for each stimulus."""
        faults = []
        for name, places in self._places.items():
            for time, row in zip(self.recording.times, self.recording.rows, strict=True):
                try:
                    stimuli[name].parse([row[place] for place in places])
                except ValueError as error:
                    faults.append(f"{self.path}: at {time:g} s: {error}")
                    break
        return faults

    def apply(self, twin: Any, time: float) -> None:
        """Set what is played to its values at a time in seconds since the beginning."""
        row = self.recording.at(time)
        for name, places in self._places.items():
            setattr(twin, name, twin.stimuli[name].parse([row[place] for place in places]))

    def release(self, name: str) -> None:
        """Play a stimulus no more: it was set from outside."""
        self._places.pop(name, None)


def recording(path: Path, columns: int = 2) -> Recording:
    """Read a recording of this many columns or more; what is wrong with it is a `ConfigError`."""
    try:
        return Recording(path, columns)
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror or error}"]) from None
    except ValueError as error:
        raise ConfigError([str(error)]) from None


def play_faults(
    driver: type[Driver[Any, Any]], config: DriverConfig | None, options: SimConfig
) -> list[str]:
    """Return why a driver's twin cannot play the file of its options; one is made to find out.

    Where the device's ``config`` has faults of its own, one with the defaults will do.
    """
    twin = driver.twin
    if twin is None:
        return []
    required = any(about.required for about in known_options(driver.config_type).values())
    try:
        twin.playback(options)
        if config is not None or not required:
            twin(config or driver.config_type(), options)
    except ConfigError as error:
        return list(error.faults)
    except Exception as error:  # a twin with a format of its own may raise anything
        text = str(error)
        if isinstance(error, ValueError) and text.startswith(str(options.play)):
            return [text]
        return [f"{options.play}: cannot be played: {type(error).__name__}: {text}"]
    return []


def column_names(stimulus: Stimulus[Any]) -> list[str]:
    """Return the columns of a stimulus: its name, or one for each of its numbers."""
    if not isinstance(stimulus.default, tuple):
        return [stimulus.name]
    count = len(stimulus.default)
    ends = AXES[:count] if count <= 3 else map(str, range(count))
    return [f"{stimulus.name}.{end}" for end in ends]

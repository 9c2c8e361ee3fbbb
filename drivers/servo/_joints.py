"""The joints of one device by their names, for servos of any kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from horus.errors import did_you_mean
from horus.hal import CommandRefused
from horus.msgs import JointCommand


class Named(Protocol):
    """A joint, whatever else is known of it."""

    @property
    def name(self) -> str:
        """What people call it."""


NamedT = TypeVar("NamedT", bound=Named)


def wrong_names(names: Sequence[str] | None, count: int, places: str) -> list[tuple[str, str]]:
    """Return what is wrong with the option ``names`` of so many ``places``, such as ids."""
    if names is None:
        return []
    if len(names) != count:
        return [("names", f"has {len(names)} names for {count} {places}")]
    if len(set(names)) != count:
        return [("names", "has a name twice")]
    if any(not name or "," in name or len(name) > 31 for name in names):
        return [("names", "must be names of 1 to 31 characters, without commas")]
    return []


def chosen(command: JointCommand, joints: list[NamedT]) -> list[NamedT]:
    """Return the joints that a command names; all when it names none."""
    if not command.names:
        return joints
    known = {joint.name: joint for joint in joints}
    for name in command.joints:
        if name not in known:
            raise CommandRefused(f"no joint {name}{did_you_mean(name, known)}")
    if len(set(command.joints)) != len(command.joints):
        raise CommandRefused("a joint is named twice")
    return [known[name] for name in command.joints]


def told(command: JointCommand, joints: list[NamedT], field: str) -> list[tuple[NamedT, float]]:
    """Return the joints that a command is for, each with its value of a field."""
    found, values = chosen(command, joints), getattr(command, field)
    if len(values) != len(found):
        raise CommandRefused(f"{field} has {len(values)} values for {len(found)} joints")
    return list(zip(found, values, strict=True))

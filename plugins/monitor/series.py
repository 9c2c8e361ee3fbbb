"""The course of one field of a topic, for a plot."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

from horus.bus.observer import NoSuchTopic, Observer, folder_of
from horus.bus.schemas import as_dict
from horus.cli import fields
from horus.errors import TopicError

__all__ = ["Field", "Point", "Series", "fields_of"]

#: Elements of a list that can be chosen, and how deep fields are looked for.
ELEMENTS, DEEP = 16, 4
#: Points that are kept: at most, and of the last seconds.
MOST, SECONDS = 4000, 30.0
#: Points of one look: of more, the lowest and the highest of each part are kept.
AT_ONCE = 100


class Field(NamedTuple):
    """A numeric field: ``velocity``, ``pose.x``, ``ranges.3``."""

    path: str
    #: "" where it is not known.
    unit: str


class Point(NamedTuple):
    """A value; NaN where it is none."""

    #: Monotonic s.
    time: float
    value: float


def fields_of(topic: str) -> list[Field]:
    """Return the numeric fields of a topic's newest message; none if there is none yet.

    A topic that is not there is a `NoSuchTopic`.
    """
    observer = Observer(topic, latch=True)
    try:
        message = observer.latest()
        if message is None:
            return []
        units = fields.units(message, folder_of(topic))
        paths = _paths(message, "", DEEP)
        return [Field(path, units.get(path.partition(".")[0], "")) for path in paths]
    except TopicError:
        return []
    finally:
        observer.close()


def _paths(value: Any, path: str, deep: int) -> Iterator[str]:
    value = as_dict(value)
    if isinstance(value, (bool, int, float)) or getattr(value, "ndim", None) == 0:
        yield path
        return
    items: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif hasattr(value, "__getitem__") and not isinstance(value, (str, bytes, bytearray)):
        items = list(enumerate(value[:ELEMENTS]))
    for key, item in items if deep else ():
        yield from _paths(item, f"{path}.{key}" if path else str(key), deep - 1)


class Series:
    """Follows a field, unseen; what its ring has lost between two looks is left out."""

    def __init__(self, topic: str, path: str) -> None:
        self.topic, self.path = topic, path
        self.points: deque[Point] = deque(maxlen=MOST)
        #: Why nothing comes; "" while all is well.
        self.trouble = ""
        self.unit = ""
        self._observer: Observer | None = None

    def look(self, now: float) -> list[Point]:
        """Take note of what has come, and return it."""
        try:
            if self._observer is None or self._observer.gone:
                self._open()
            assert self._observer is not None
            new = thinned(list(self._values(self._observer)))
        except NoSuchTopic:
            self.trouble, new = "the topic is not there", []
        except TopicError as error:
            self.trouble, new = str(error), []
        self.points.extend(new)
        while self.points and self.points[0].time < now - SECONDS:
            self.points.popleft()
        return new

    def _open(self) -> None:
        self.close()
        self._observer = Observer(self.topic, latch=True)
        self.trouble = "nothing has come yet"
        units = {field.path: field.unit for field in fields_of(self.topic)}
        self.unit = units.get(self.path, "")

    def _values(self, observer: Observer) -> Iterator[Point]:
        while (found := observer.recv_stamped()) is not None:
            message, stamp_ns = found
            try:
                value = float(fields.at(message, self.path) if self.path else message)
                self.trouble = ""
            except (ValueError, TypeError) as error:
                value, self.trouble = math.nan, str(error)
            yield Point(stamp_ns * 1e-9, value)

    def close(self) -> None:
        """Look no more."""
        if self._observer is not None:
            self._observer.close()
            self._observer = None


def thinned(points: list[Point], most: int = AT_ONCE) -> list[Point]:
    """Return fewer points of the same course: lows and highs stay."""
    if len(points) <= most:
        return points
    size = -(-2 * len(points) // most)
    found: list[Point] = []
    for begin in range(0, len(points), size):
        part = points[begin : begin + size]
        numbers = [point for point in part if math.isfinite(point.value)] or part[:1]
        low = min(numbers, key=lambda point: point.value)
        high = max(numbers, key=lambda point: point.value)
        found += sorted({low, high})
    return found

"""Recorded data of real devices, for twins to play."""

from __future__ import annotations

import csv
from bisect import bisect_right
from pathlib import Path


class Recording:
    """Rows of numbers over time, from a CSV file whose first column is the time in seconds.

    Lines that begin with ``#`` are comments; the first other line names the columns. At the end
    it begins anew.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.times: list[float] = []
        self.rows: list[tuple[float, ...]] = []
        self.columns: list[str] = []
        with self.path.open(newline="", encoding="utf-8") as file:
            lines = ((n, line) for n, line in enumerate(file, 1) if not line.startswith("#"))
            for number, line in lines:
                row = next(csv.reader([line]))
                if not self.columns:
                    self.columns = row
                    continue
                self._add(row, number)
        if len(self.times) < 2:
            raise ValueError(f"{self.path}: a recording needs two rows or more")

    def _add(self, row: list[str], number: int) -> None:
        try:
            time, *values = map(float, row)
            if len(row) != len(self.columns) or (self.times and time <= self.times[-1]):
                raise ValueError
        except ValueError:
            raise ValueError(
                f"{self.path}:{number}: needs {len(self.columns)} numbers, times ascending"
            ) from None
        self.times.append(time)
        self.rows.append(tuple(values))

    @property
    def duration(self) -> float:
        """Seconds until it begins anew."""
        return self.times[-1] - self.times[0] + (self.times[-1] - self.times[-2])

    def at(self, time: float) -> tuple[float, ...]:
        """Return the values at a time in seconds since the beginning: the newest row by then."""
        wanted = self.times[0] + time % self.duration
        return self.rows[max(0, bisect_right(self.times, wanted + 1e-9) - 1)]

"""Recorded data of real devices, for twins to play."""

from __future__ import annotations

import csv
import math
from bisect import bisect_right
from pathlib import Path


class Recording:
    """Rows of numbers over time, from a CSV file whose first column is the time in seconds.

    Lines that begin with ``#`` are comments; the first other line names the columns. At the end
    it begins anew.
    """

    def __init__(self, path: str | Path, columns: int = 2) -> None:
        """Read a file; one with fewer columns, or that is no recording, is a `ValueError`."""
        self.path = Path(path)
        self.times: list[float] = []
        self.rows: list[tuple[float, ...]] = []
        self.columns: list[str] = []
        with self.path.open(newline="", encoding="utf-8") as file:
            lines = ((n, line) for n, line in enumerate(file, 1) if not line.startswith("#"))
            try:
                for number, line in lines:
                    row = next(csv.reader([line]))
                    if self.columns:
                        self._add(row, number)
                        continue
                    self.columns = row
                    if len(row) < columns:
                        raise ValueError(
                            f"{self.path}:{number}: is no recording for this: its first line must "
                            f"name {columns} columns or more, separated by commas, time first"
                        )
            except (UnicodeDecodeError, csv.Error) as error:
                raise ValueError(f"{self.path}: is no recording: {error}") from None
        if len(self.times) < 2:
            raise ValueError(f"{self.path}: a recording needs two rows or more")

    def _add(self, row: list[str], number: int) -> None:
        try:
            time, *values = map(float, row)
            finite = all(map(math.isfinite, (time, *values)))
            if (
                not finite
                or len(row) != len(self.columns)
                or (self.times and time <= self.times[-1])
            ):
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

"""Random numbers of one node, repeatable where a seed is given."""

from __future__ import annotations

import random
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy.random import Generator

__all__ = ["Chance", "checked_seed", "seed_everything"]


class Chance:
    """The random numbers of a node: they follow from a seed and its name, from nothing else.

    Args:
        name: None: its name is made up, in each process another one.

    """

    def __init__(self, name: str | None) -> None:
        self._name = name
        self._seed: int | None = None
        self._random: random.Random | None = None
        self._rng: Generator | None = None

    @property
    def named(self) -> bool:
        """Return whether the node was given a name."""
        return self._name is not None

    def begin(self, seed: int, place: int) -> None:
        """Begin anew from a seed, in place: who holds a generator holds the new numbers.

        In the stead of a name that is made up goes the node's place among those without one.
        """
        from hashlib import sha256

        name = f"#{place}" if self._name is None else self._name  # no name begins with that
        self._seed = int.from_bytes(sha256(f"{seed} {name}".encode()).digest()[:16], "big")
        if self._random is not None:
            self._random.seed(self._seed)
        if self._rng is not None:
            from numpy.random import PCG64

            self._rng.bit_generator.state = PCG64(self._seed).state

    @property
    def random(self) -> random.Random:
        """Return Python's kind of generator."""
        if self._random is None:
            self._random = random.Random(self._seed)
        return self._random

    @property
    def rng(self) -> Generator:
        """Return numpy's kind of generator."""
        if self._rng is None:
            from numpy.random import PCG64, Generator

            self._rng = Generator(PCG64(self._seed))
        return self._rng


def checked_seed(seed: object, what: str) -> int | None:
    """Return a seed, or raise the error that says what it must be."""
    if seed is None or (isinstance(seed, int) and not isinstance(seed, bool)):
        return seed
    raise TypeError(f"{what}: seed is {seed!r}; it must be a whole number, or None")


def seed_everything(seed: int) -> None:
    """Seed what a program may ask beside: Python's `random`, and numpy's where it is loaded."""
    random.seed(seed)
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed(seed % 2**32)

"""`Driver.due`: samples at their rate, however often and however irregularly `read` is called."""

from dataclasses import dataclass
from typing import Any

import pytest

from horus.hal import Driver, DriverConfig, I2cLink, RegisterMap, SimI2cBus, option
from horus.msgs import Temperature


class Nothing(RegisterMap):
    pass


@dataclass(frozen=True, kw_only=True)
class EagerConfig(DriverConfig):
    address: int = option(0x40, low=0, high=127)


class Eager(Driver[EagerConfig, Nothing]):
    @classmethod
    def calls(cls, config: Any) -> float:
        return 100.0

    def probe(self) -> bool:
        return True

    def read(self) -> Temperature | None:
        return Temperature() if self.due() else None


@pytest.fixture
def driver(clock: Any) -> Eager:
    return Eager(EagerConfig(rate=10.0), I2cLink(SimI2cBus(), 0x40, "t", clock.monotonic_ns))


def test_the_first_call_is_due_and_then_every_tenth(driver: Eager, clock: Any) -> None:
    found = []
    for _ in range(40):
        found.append(driver.read() is not None)
        clock.advance(0.01)
    assert found == ([True] + [False] * 9) * 4


def test_calls_that_come_late_do_not_lower_the_rate(driver: Eager, clock: Any) -> None:
    found = 0
    for number in range(1000):
        found += driver.read() is not None
        clock.advance(0.013 if number % 3 else 0.024)
    assert found == pytest.approx(1000 * (0.013 * 2 + 0.024) / 3 * 10, abs=2)


def test_after_a_long_pause_nothing_is_made_up_for(driver: Eager, clock: Any) -> None:
    driver.read()
    clock.advance(5.0)
    found = 0
    for _ in range(100):
        found += driver.read() is not None
        clock.advance(0.01)
    assert found == pytest.approx(10, abs=1)

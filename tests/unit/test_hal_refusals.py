"""Refusals: what is told apart, and what is the same for whoever counts them."""

from typing import Any

import pytest

from horus.hal import Actuator, CommandRefused


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("velocity is nan", "velocity is -inf"),
        ("torque must be from -5 to 5, not 1e+09", "torque must be from -5 to 5, not -7.25"),
        ("control mode 3: not this one", "control mode 0x10: not this one"),
    ],
)
def test_another_number_is_no_other_reason(one: str, other: str) -> None:
    assert CommandRefused(one).reason == CommandRefused(other).reason


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("velocity is nan", "torque is nan"),
        ("axis0 is off", "axis1 is off"),
        ("information", "in"),
    ],
)
def test_another_word_is_another_reason(one: str, other: str) -> None:
    assert CommandRefused(one).reason != CommandRefused(other).reason


@pytest.mark.parametrize("value", [-1.0, 0.5, 2.0])
def test_values_up_to_both_limits_pass(value: float) -> None:
    actuator: Any = Actuator
    actuator.limit(None, "duty", value, -1.0, 2.0)


@pytest.mark.parametrize("value", [-1.01, 2.01, float("nan"), float("inf")])
def test_others_are_refused_with_value_and_limits(value: float) -> None:
    actuator: Any = Actuator
    with pytest.raises(CommandRefused) as info:
        actuator.limit(None, "duty", value, -1.0, 2.0)
    assert str(info.value) == f"duty must be from -1 to 2, not {value:g}"

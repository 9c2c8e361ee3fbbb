"""The motor behind the twins of motor controllers."""

import pytest

from horus.hal.simmotor import MotorSimConfig, SimMotor


def motor(**options: float) -> SimMotor:
    made = SimMotor(MotorSimConfig(**options))  # type: ignore[arg-type]
    made.limit = 10.0
    return made


def test_it_coasts_to_a_stop_by_friction_and_stays() -> None:
    shaft = motor()
    shaft.velocity = 10.0
    shaft.move(0.1, None)
    assert 0 < shaft.velocity < 10.0
    shaft.move(1.0, None)
    assert shaft.velocity == 0.0
    assert shaft.amperes == 0.0


def test_a_load_within_friction_does_not_move_it_a_larger_one_does() -> None:
    shaft = motor(friction=0.1)
    shaft.move(1.0, None, load=0.09)
    assert shaft.position == 0.0
    shaft.move(0.5, None, load=-0.2)
    assert shaft.velocity < 0


@pytest.mark.parametrize("inertia", [0.0002, 0.002, 0.02])
def test_it_holds_a_velocity_against_a_load_whatever_its_inertia(inertia: float) -> None:
    shaft = motor(inertia=inertia)
    for _ in range(5):
        shaft.move(1.0, lambda step: shaft.hold_velocity(5.0, step), load=-0.1)
    assert shaft.velocity == pytest.approx(5.0, abs=0.05)


def test_it_goes_to_a_position_at_a_speed() -> None:
    shaft = motor()
    shaft.move(0.5, lambda step: shaft.hold_position(3.0, 2.0, step))
    assert shaft.velocity == pytest.approx(2.0, abs=0.1)
    for _ in range(3):
        shaft.move(1.0, lambda step: shaft.hold_position(3.0, 2.0, step))
    assert shaft.position == pytest.approx(3.0, abs=0.01)


def test_current_stays_within_the_limit_and_what_the_supply_drives() -> None:
    shaft = motor()
    assert shaft.possible(99.0) == 10.0
    assert shaft.hold_torque(-99.0) == -10.0
    shaft.velocity = 2 * shaft.options.supply / shaft.options.torque_constant
    assert shaft.possible(10.0) == -10.0  # it is driven faster than its voltage allows


def test_current_heats_it_and_rest_cools_it_to_its_surroundings() -> None:
    shaft = motor()
    for _ in range(20):
        shaft.move(1.0, lambda step: shaft.possible(10.0))
    hot = shaft.temperature
    assert hot > 26.0
    for _ in range(200):
        shaft.move(1.0, None, ambient=10.0)
    assert 10.0 < shaft.temperature < hot - 5
    assert shaft.supply_amperes == 0.0


def test_a_long_pause_moves_it_by_one_second_only() -> None:
    shaft = motor(friction=0.0, drag=0.0)
    shaft.velocity = 1.0
    shaft.move(100.0, None)
    assert shaft.position == pytest.approx(1.0)

"""How a sensor is mounted."""

import itertools
import math

import pytest

from horus.hal.config import options
from horus.hardware.mount import Mount, mountable
from horus.msgs import Imu, MagneticField
from horus.plugins import drivers

AXES = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}
ALL = [
    " ".join(sign + axis for sign, axis in zip(signs, axes, strict=True))
    for axes in itertools.permutations("xyz")
    for signs in itertools.product("+-", repeat=3)
]


def rotate(q, v):
    x, y, z, w = q
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    )
    return tuple(sum(a * b for a, b in zip(row, v, strict=True)) for row in rows)


def test_of_the_48_signed_axes_half_are_mounts_and_half_are_mirror_images():
    found = []
    for text in ALL:
        try:
            found.append(Mount.parse(text).turn((1.0, 2.0, 3.0)))
        except ValueError as error:
            assert "mirror image" in str(error)
    assert len(found) == len(set(found)) == 24


def test_each_word_is_the_axis_of_the_sensor_that_points_along_an_axis_of_the_frame():
    assert Mount.parse("+y -x +z").turn((1.0, 2.0, 3.0)) == (2.0, -1.0, 3.0)


def test_an_imu_on_its_side_feels_gravity_along_the_axis_that_is_up():
    message = Imu(accel_x=9.81, gyro_x=0.5)
    Mount.parse("+y +z +x").apply(message)
    assert (message.accel_x, message.accel_y, message.accel_z) == (0.0, 0.0, 9.81)
    assert (message.gyro_x, message.gyro_y, message.gyro_z) == (0.0, 0.0, 0.5)


def test_a_magnetic_field_is_turned_too():
    message = MagneticField(x=1.0, y=2.0, z=3.0)
    Mount.parse("-x -y +z").apply(message)
    assert (message.x, message.y, message.z) == (-1.0, -2.0, 3.0)


@pytest.mark.parametrize("text", ["+x +y +z", "+y -x +z", "-x -y +z", "+y +z +x", "+x -z +y"])
def test_the_orientation_is_that_of_the_frame(text):
    half = math.sin(math.radians(20)), math.cos(math.radians(20))
    turned = (0.0, 0.0, *half)  # the sensor, 40° to the left
    mount = Mount.parse(text)
    message = Imu(orientation=turned)
    mount.apply(message)
    vector = (0.3, -0.4, 0.5)  # in the sensor's axes
    in_the_world = rotate(turned, vector)
    assert rotate(message.orientation, mount.turn(vector)) == pytest.approx(in_the_world)


def test_an_orientation_that_is_not_known_stays_unknown():
    message = Imu()
    Mount.parse("+y -x +z").apply(message)
    assert message.orientation == (0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("+x +y", "three axes"),
        ("+x +y +w", "three axes"),
        ("+x +x +z", "names an axis twice"),
        ("+x +y -z", "mirror image"),
        ("upside down!", "three axes"),
    ],
)
def test_what_is_no_mount_is_a_fault_of_the_option(text, fault):
    about = options(drivers()["mpu6050"].load().config_type)["mount"]
    assert fault in about.check(text)[1]


def test_only_what_measures_vectors_can_be_mounted():
    assert mountable(drivers()["mpu6050"].load())
    assert not mountable(drivers()["odrive"].load())

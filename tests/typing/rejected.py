"""What a type checker must point out: each line marked with the code of mypy's error."""

from typing import Annotated

from horus import Node, Topic
from horus.message import EMPTY, Array, Float32Array, Str, UInt8, VarArray, message
from horus.msgs import CmdVel, Image, Imu, JointState, LaserScan, MotorCommand


@message
class Wheel:
    name: Annotated[str, Str(32)]
    velocity: float = 0.0
    gear: UInt8 = "first"  # mypy: assignment
    axis: tuple[float, float, float] = (0.0, 1.0)  # mypy: assignment
    ticks: Annotated[Float32Array, VarArray("f4", 64)] = EMPTY


Wheel()  # mypy: call-arg
Wheel("left", "fast")  # mypy: arg-type
Wheel("left", velocity=None)  # mypy: arg-type
Wheel("left", speed=1.0)  # mypy: call-arg
Wheel("left", gear=1.5)  # mypy: arg-type
Wheel("left", ticks="none")  # mypy: arg-type
Wheel("left", 1.0, 2, (0.0, 0.0, 0.0), [], 6)  # mypy: call-arg

wheel = Wheel("left")
wheel.velocity = "fast"  # mypy: assignment
wheel.ticks = ["a"]  # mypy: list-item
wheel.axis = (1.0, 2.0)  # mypy: assignment
wheel.speed = 3.0  # mypy: attr-defined
length: str = wheel.velocity  # mypy: assignment

CmdVel(0.5, 0.1, 0.0, 12.5)  # mypy: call-arg
CmdVel(stamp="now")  # mypy: arg-type
Imu(orientation=(0.0, 0.0, 1.0))  # mypy: arg-type
print(Imu().acel_x)  # mypy: attr-defined
MotorCommand(mode="velocity")  # mypy: arg-type
LaserScan(ranges=5.0)  # mypy: arg-type
joints: list[str] = JointState().joints  # mypy: assignment

Image(3, encoding=8)  # mypy: arg-type
Image().data = object()  # mypy: assignment
with Topic("image").loan(Image, (4, 5)) as image:
    image.pixels[:] = 0  # mypy: attr-defined
Topic("image").loan(Image)  # mypy: call-overload
Str("64")  # mypy: arg-type
Array("f9", 3)  # mypy: arg-type
VarArray("f4")  # mypy: call-arg


def heavy(pixels: list[int]) -> float:
    return float(sum(pixels))


Node(compute="gpu")  # mypy: arg-type
Node(deadline=1.0, on_miss="panic")  # mypy: arg-type
Node(watchdog="soon")  # mypy: arg-type
Node(compute="thread").compute(heavy, "pixels")  # mypy: arg-type
brightness: str = Node(compute="thread").compute(heavy, [1])  # mypy: assignment

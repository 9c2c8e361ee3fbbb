"""What a user writes, and every type checker must accept; it also runs."""

from __future__ import annotations

from dataclasses import field, replace
from typing import TYPE_CHECKING, Annotated

import numpy as np

import horus
from horus.message import (
    EMPTY,
    AnyArray,
    Array,
    Float32,
    Int32Array,
    MessageSpec,
    Str,
    UInt8,
    UInt16,
    VarArray,
    message,
    spec_for_hash,
    spec_of,
)
from horus.msgs import (
    CmdVel,
    ControlMode,
    EmergencyStop,
    Image,
    Imu,
    JointState,
    LaserScan,
    MotorCommand,
    Odometry,
    PointCloud,
    Stamped,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

Axis = tuple[float, float, float]


@message
class Wheel:
    """One wheel, as its encoder sees it."""

    name: Annotated[str, Str(32)]
    velocity: float = 0.0
    """rad/s: positive is forward."""
    gear: UInt8 = 1
    slip: Float32 = 0.0
    braked: bool = False
    axis: Axis = (0.0, 1.0, 0.0)
    inertia: Annotated[tuple[float, ...], Array("f8", 9)] = (0.0,) * 9
    ticks: Annotated[Int32Array, VarArray("i4", 64)] = EMPTY
    noise: Annotated[NDArray[np.float32], VarArray("f4", 64)] = EMPTY
    serial: UInt16 = field(default=0, compare=False)

    @property
    def forward(self) -> bool:
        return self.velocity > 0.0


@message(name="acme.Arm")
class Arm(Stamped):
    reach: float = 0.0


@message
class Spectrum:
    """Has an array of any shape."""

    gain: float = 1.0
    levels: AnyArray = EMPTY


wheel = Wheel("left", 3.0, braked=True, ticks=[1, 2, 3])
wheel.velocity += 1.5
wheel.axis = (1.0, 0.0, 0.0)
wheel.ticks = (4, 5)
wheel.ticks = np.array([6, 7])
x, y, z = wheel.axis
speed: float = wheel.velocity
gear: int = wheel.gear
name: str = wheel.name
inertia: tuple[float, ...] = wheel.inertia
forward: bool = wheel.forward
same: bool = wheel == replace(wheel, name="left")


@horus.message
class Leg(Arm):
    knee: float = 0.0


leg = Leg(0.4, knee=1.2, stamp=3.0)
reach: float = leg.reach
arm = Arm(0.7, stamp=12.5, mock=True)
stamped: Stamped = arm

scan = LaserScan(angle_min=-1.5, angle_increment=0.01, ranges=[1.0, 2.5])
ranges: NDArray[np.float32] = scan.ranges
nearest: float = float(scan.ranges.min())

joints = JointState("shoulder,elbow", position=[0.1, 0.2])
names: tuple[str, ...] = joints.joints
positions: NDArray[np.float64] = joints.position

spectrum = Spectrum(2.0, np.zeros((3, 4)))
spectrum.levels = [1, 2, 3]
levels: NDArray[np.float32] = spectrum.levels
image = Image(np.zeros((4, 6, 3), np.uint8), "bgr8", frame="eye", stamp=1.0)
pixels: NDArray[np.uint8] = np.asarray(image, np.uint8)
tensor = np.from_dlpack(Image(np.zeros((4, 6), np.uint8)))
step: int = image.step
cloud = PointCloud(np.zeros((5, 4), np.float32))
near: float = float(cloud.column("intensity").max()) + len(cloud)

command = MotorCommand(position=1.0, mode=ControlMode.POSITION)
idle: bool = command.mode == ControlMode.IDLE
stop = EmergencyStop(reason="bumper")
twist = CmdVel(0.5, angular=-0.2)
imu = Imu(accel_z=9.81, orientation=(0.0, 0.0, 0.0, 1.0))
odometry = Odometry(position=(1.0, 2.0, 0.0))

spec: MessageSpec | None = spec_of(Wheel)
assert spec is not None
buffer = bytearray(spec.size)
spec.pack_into(buffer, 0, wheel)
received: Wheel = spec.unpack_from(buffer, 0)
found: MessageSpec | None = spec_for_hash(spec.hash)
offsets: list[int] = [f.offset for f in spec.fields]
columns = np.frombuffer(buffer, spec.dtype)


def heavy(pixels: list[int], *, gain: float = 1.0) -> float:
    return gain * sum(pixels)


def look(node: horus.Node) -> None:
    if node._node_limits is None:  # not run here
        brightness: float = node.compute(heavy, [1, 2], gain=2.0)
        node.send("brightness", brightness)


def lend(node: horus.Node, topic: horus.Topic) -> bool:
    with node.loan("image", (480, 640), "uint16") as rows:
        rows[:] = 0
    with node.loan("image", Image, (480, 640, 3), encoding="rgb8") as picture:
        picture.data[:] = 0
        picture.frame = "eye"
    with topic.loan(Spectrum, 4, "float32", gain=1.0) as lent:
        lent.levels[:] = lent.gain
    loan = topic.loan(Image, (4, 5), stamp_ns=1)
    return loan.sent


async def report(node: horus.Node) -> None:
    node.log_info(node.get("brightness"))


class Limb(horus.Node):
    def safe(self) -> None:
        self.log_info("stands still")


def move(node: Limb) -> None:
    node.safe()


eye = horus.Node(
    "eye", subs=["image"], pubs="brightness", on="image", tick=look, compute="process", budget=0.5
)
speaker = horus.Node("speaker", on=[horus.Sub("brightness", depth=4)], tick=report, rate=1)
limb = Limb("arm", tick=move, deadline=0.01, on_miss="safe", watchdog=1, failure_policy="restart")
late: int = limb.info.deadline_misses() + limb.info.over_budget() + limb.info.hangs()

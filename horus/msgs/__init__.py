"""The standard messages.

Every message has ``stamp`` and ``mock``, both keyword-only, and a default for every field. Units
are SI, except °C, Ah, and degrees for latitude and longitude; axes follow REP-103. An optional
measurement that a device does not make is NaN. Fields that hold an enumeration are plain numbers
when received: ``state.mode == ControlMode.IDLE`` is how to ask.
"""

from horus.msgs._base import Frame, Quaternion, Stamped, Vector3
from horus.msgs.actuators import (
    ControlMode,
    JointCommand,
    JointState,
    MotorCommand,
    MotorState,
    ServoCommand,
)
from horus.msgs.clouds import PointCloud
from horus.msgs.drive import CmdVel, DifferentialDriveCommand
from horus.msgs.geometry import (
    Odometry,
    Pose2D,
    Pose3D,
    TransformStamped,
    Twist,
    WrenchStamped,
)
from horus.msgs.gnss import CovarianceKind, NavSatFix, NavSatStatus
from horus.msgs.images import CompressedImage, DepthImage, Image
from horus.msgs.io import AnalogIO, DigitalIO, RcChannels
from horus.msgs.power import BatteryState, BatteryStatus
from horus.msgs.sensors import (
    Encoder,
    Environment,
    FluidPressure,
    Illuminance,
    Imu,
    LaserScan,
    MagneticField,
    MagnetState,
    RangeKind,
    RangeSensor,
    Temperature,
)
from horus.msgs.system import (
    DeviceStatus,
    DiagnosticLevel,
    DiagnosticStatus,
    EmergencyStop,
    Heartbeat,
    NodeStatus,
    ReaderStatus,
)

__all__ = [
    "AnalogIO",
    "BatteryState",
    "BatteryStatus",
    "CmdVel",
    "CompressedImage",
    "ControlMode",
    "CovarianceKind",
    "DepthImage",
    "DeviceStatus",
    "DiagnosticLevel",
    "DiagnosticStatus",
    "DifferentialDriveCommand",
    "DigitalIO",
    "EmergencyStop",
    "Encoder",
    "Environment",
    "FluidPressure",
    "Frame",
    "Heartbeat",
    "Illuminance",
    "Image",
    "Imu",
    "JointCommand",
    "JointState",
    "LaserScan",
    "MagnetState",
    "MagneticField",
    "MotorCommand",
    "MotorState",
    "NavSatFix",
    "NavSatStatus",
    "NodeStatus",
    "Odometry",
    "PointCloud",
    "Pose2D",
    "Pose3D",
    "Quaternion",
    "RangeKind",
    "RangeSensor",
    "RcChannels",
    "ReaderStatus",
    "ServoCommand",
    "Stamped",
    "Temperature",
    "TransformStamped",
    "Twist",
    "Vector3",
    "WrenchStamped",
]

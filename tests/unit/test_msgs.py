from __future__ import annotations

import ast
import math
import random
import re
import subprocess
import sys
from dataclasses import fields
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import horus.msgs
from horus.errors import MessageTypeError
from horus.message import FieldSpec, spec_for_hash, spec_of
from horus.msgs import (
    AnalogIO,
    BatteryState,
    CmdVel,
    ControlMode,
    DiagnosticStatus,
    DigitalIO,
    EmergencyStop,
    Imu,
    JointCommand,
    JointState,
    LaserScan,
    MotorCommand,
    MotorState,
    NavSatFix,
    NavSatStatus,
    Odometry,
    Pose3D,
    RcChannels,
    Stamped,
)

PROMISED = [
    "Imu",
    "MagneticField",
    "Temperature",
    "FluidPressure",
    "Illuminance",
    "RangeSensor",
    "LaserScan",
    "Encoder",
    "Environment",
    "NavSatFix",
    "BatteryState",
    "JointState",
    "JointCommand",
    "MotorCommand",
    "MotorState",
    "ServoCommand",
    "DifferentialDriveCommand",
    "CmdVel",
    "Twist",
    "Pose2D",
    "Pose3D",
    "Odometry",
    "WrenchStamped",
    "TransformStamped",
    "DigitalIO",
    "AnalogIO",
    "RcChannels",
    "EmergencyStop",
    "DiagnosticStatus",
    "DeviceStatus",
    "Heartbeat",
    "NodeStatus",
    "ReaderStatus",
    "Image",
    "DepthImage",
    "CompressedImage",
    "PointCloud",
]

MESSAGES = [getattr(horus.msgs, name) for name in PROMISED]

UNITS = (
    "m/s²|m/s|m²/s²|m²|m|rad/s|rad|deg|s|°C²|°C|T|Pa²|Pa|lx²|lx|"
    "N·m/rad|N·m·s/rad|N·m|N|A|Ah|V|dBm|Hz|%|Count|No unit"
)
"""What the docstring of a field begins with, before a remark, a further unit or the colon."""

every_message = pytest.mark.parametrize("cls", MESSAGES, ids=PROMISED)


def packed(msg: Any) -> bytearray:
    spec = spec_of(type(msg))
    assert spec is not None
    buffer = bytearray(spec.size)
    spec.pack_into(buffer, 0, msg)
    return buffer


def round_trip(msg: Any) -> Any:
    return spec_of(type(msg)).unpack_from(packed(msg), 0)


def random_element(generator: random.Random, code: str) -> Any:
    if code == "?":
        return generator.random() < 0.5
    if code[0] == "f":
        value = generator.choice([generator.uniform(-1e6, 1e6), math.inf, math.nan])
        return float(np.float32(value)) if code == "f4" else value
    bits = 8 * int(code[1])
    low = -(1 << bits - 1) if code[0] == "i" else 0
    return generator.randrange(low, low + (1 << bits))


def random_value(generator: random.Random, f: FieldSpec) -> Any:
    if f.kind == "scalar":
        return random_element(generator, f.code)
    if f.kind == "str":
        text = "".join(generator.choice("abc xyz.,äß€🤖") for _ in range(f.count))
        return text.encode()[: generator.randrange(f.count + 1)].decode(errors="ignore")
    count = f.count if f.kind == "array" else generator.randrange(f.count + 1)
    return tuple(random_element(generator, f.code) for _ in range(count))


def random_message(cls: type, seed: int) -> Any:
    generator = random.Random(f"{cls.__name__} {seed}")
    return cls(**{f.name: random_value(generator, f) for f in spec_of(cls).fields})


def test_all_promised_messages_are_there_and_nothing_is_left_out_of_all():
    assert set(PROMISED) <= set(horus.msgs.__all__)
    public = {name for name, value in vars(horus.msgs).items() if spec_of_or_none(value)}
    assert public <= set(horus.msgs.__all__)
    assert public - {"Stamped"} == set(PROMISED)
    assert horus.msgs.__all__ == sorted(horus.msgs.__all__)


def spec_of_or_none(value: object) -> object:
    return spec_of(value) if isinstance(value, type) else None


@every_message
def test_stamp_and_mock_are_in_every_message_and_everything_has_a_default(cls):
    made = cls()
    assert isinstance(made, Stamped)
    assert (made.stamp, made.mock) == (0.0, False)
    assert cls(stamp=1.5, mock=True).mock is True
    assert [f.name for f in fields(cls)][:2] == ["stamp", "mock"]


@every_message
def test_the_defaults_make_the_round_trip(cls):
    assert round_trip(cls()) == cls()


@every_message
def test_random_values_make_the_round_trip(cls):
    for seed in range(20):
        sent = random_message(cls, seed)
        seen = round_trip(sent)
        assert type(seen) is cls
        assert seen == sent
        assert seen != random_message(cls, seed + 1000)


@every_message
def test_numpy_reads_what_was_packed(cls):
    spec = spec_of(cls)
    sent = random_message(cls, 3)
    record = np.frombuffer(packed(sent), spec.dtype)[0]
    for f in spec.fields:
        value = getattr(sent, f.name)
        if f.kind == "str":
            assert record[f.name].decode() == value
        else:
            found = record[f.name][: len(value)] if f.kind == "vararray" else record[f.name]
            np.testing.assert_array_equal(found, value, err_msg=f.name)


@every_message
def test_random_bytes_give_a_message_or_a_value_error(cls):
    spec = spec_of(cls)
    generator = random.Random(cls.__name__)
    counts = [f.offset for f in spec.fields if f.kind == "vararray"]
    for _ in range(30):
        data = bytearray(generator.randbytes(spec.size))
        for offset in counts:
            data[offset : offset + 4] = generator.randrange(9000).to_bytes(4, "little")
        try:
            seen = spec.unpack_from(data, 0)
        except ValueError as error:
            assert f"{cls.__name__}." in str(error)
        else:
            assert round_trip(seen) == seen


@every_message
def test_every_field_refuses_what_it_cannot_hold_by_name(cls):
    for f in spec_of(cls).fields:
        made = cls()
        setattr(made, f.name, object())
        with pytest.raises(MessageTypeError, match=rf"^{cls.__name__}\.{f.name}: expected "):
            packed(made)


@every_message
def test_every_message_is_known_by_its_hash(cls):
    assert spec_for_hash(spec_of(cls).hash) is spec_of(cls)


def test_standard_messages_are_found_by_a_reader_that_never_imported_them():
    code = (
        "import sys; from horus.message import spec_for_hash; "
        f"found = spec_for_hash({spec_of(Imu).hash}); assert found.name == 'Imu'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_all_messages_have_hashes_of_their_own():
    assert len({spec_of(cls).hash for cls in MESSAGES}) == len(MESSAGES)


def test_known_layouts_do_not_change_by_accident():
    # Recordings and robots of mixed versions depend on these numbers.
    assert (spec_of(Imu).size, spec_of(Imu).hash) == (136, 0xE5F32971E37FA38B)
    assert (spec_of(CmdVel).size, spec_of(CmdVel).hash) == (40, 0xB4EFBB64E9369862)


def sources() -> list[Path]:
    return sorted(Path(horus.msgs.__file__).parent.glob("*.py"))


def documented_fields() -> list[tuple[str, str, str]]:
    """Return class, field and docstring of every field of every message, from the source."""
    found = []
    for path in sources():
        for cls in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(cls, ast.ClassDef) or not cls.decorator_list:
                continue
            for here, after in zip(cls.body, [*cls.body[1:], None], strict=True):
                if isinstance(here, ast.AnnAssign) and isinstance(here.target, ast.Name):
                    text = ""
                    if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                        text = str(after.value.value)
                    found.append((cls.name, here.target.id, text))
    return found


def test_every_field_has_a_docstring_that_begins_with_its_unit():
    documented = documented_fields()
    own = [(c, f) for c, f, _ in documented]
    for cls in [Stamped, *MESSAGES]:
        for f in fields(cls):
            assert any((base.__name__, f.name) in own for base in cls.__mro__)
    without = [
        f"{cls}.{name}: {text!r}"
        for cls, name, text in documented
        if not re.match(rf"({UNITS})(, [^:]*| \([^:]*\)| and [^:]*)?: \S", text)
    ]
    assert without == []
    assert len(documented) > 120


def test_flags_and_texts_have_no_unit():
    texts = {(cls, name): text for cls, name, text in documented_fields()}
    for cls in MESSAGES:
        for f in spec_of(cls).fields:
            if f.kind == "str" or f.code == "?":
                owner = next(b.__name__ for b in cls.__mro__ if (b.__name__, f.name) in texts)
                assert texts[owner, f.name].startswith("No unit: "), f"{owner}.{f.name}"


def test_enumerations_fit_the_fields_that_hold_them():
    assert round_trip(MotorCommand(mode=ControlMode.IMPEDANCE)).mode == ControlMode.IMPEDANCE
    assert round_trip(NavSatFix(status=NavSatStatus.NO_FIX)).status == NavSatStatus.NO_FIX
    enums = [getattr(horus.msgs, n) for n in horus.msgs.__all__]
    for enum in (e for e in enums if isinstance(e, type) and issubclass(e, IntEnum)):
        assert all(-128 <= member < 128 for member in enum)


# ------------------------------------------------------------------- what the defaults promise


def test_an_imu_without_attitude_does_not_claim_to_be_level():
    assert Imu().orientation == (0.0, 0.0, 0.0, 0.0)
    assert math.isnan(Imu().temperature)
    assert Pose3D().orientation == Odometry().orientation == (0.0, 0.0, 0.0, 1.0)


def test_a_motor_command_without_values_stops_the_motor():
    assert (MotorCommand().mode, MotorCommand().velocity) == (ControlMode.VELOCITY, 0.0)
    assert MotorCommand(3.0) == MotorCommand(velocity=3.0)


def test_a_motor_is_not_armed_unless_it_says_so():
    assert MotorState().armed is False
    assert math.isnan(MotorState().current)


def test_an_emergency_stop_is_engaged_unless_it_says_so_and_always_goes_out():
    assert EmergencyStop().engaged is True
    cut = EmergencyStop(reason="ö" * 100 + "\0", source="node\0" * 50)
    assert round_trip(cut).reason == "ö" * 64
    assert round_trip(cut).source.startswith("node node ")


def test_a_long_diagnosis_is_cut_instead_of_lost():
    seen = round_trip(DiagnosticStatus(message="x" * 1000))
    assert seen.message == "x" * 256


def test_a_fix_is_not_usable_unless_it_says_so():
    assert NavSatFix().status < 0


def test_joint_names_come_back_as_a_tuple():
    state = JointState("shoulder,elbow", position=[0.1, 0.7])
    assert state.joints == ("shoulder", "elbow")
    assert JointCommand().joints == ()
    assert JointState(",".join(f"joint_{i:02}" for i in range(32))).joints[31] == "joint_31"
    with pytest.raises(MessageTypeError, match=r"JointState\.position: 33 values do not fit"):
        JointState(position=[0.0] * 33)


def test_a_scan_knows_the_direction_of_its_last_ray():
    scan = LaserScan(angle_min=-1.0, angle_increment=0.5, ranges=[1.0, 2.0, 3.0])
    assert scan.angle_max == pytest.approx(0.0)
    assert LaserScan(angle_min=0.3).angle_max == pytest.approx(0.3)


def test_a_pin_is_read_from_its_bit():
    pins = DigitalIO(levels=1 << 31 | 1 << 3)
    assert [n for n in range(32) if pins.is_high(n)] == [3, 31]


def test_numbers_of_channels():
    assert len(RcChannels().channels) == 16
    assert AnalogIO([0.5, 1.5]).voltages.tolist() == [0.5, 1.5]


def test_a_battery_says_what_it_does_not_measure():
    battery = round_trip(BatteryState(voltage=12.6))
    assert math.isnan(battery.current)
    assert math.isnan(battery.state_of_charge)
    assert battery.present is True

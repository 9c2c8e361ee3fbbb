"""Rig files: what is read, and that all faults are told at once with their lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from horus.errors import ConfigError
from horus.testing.rig.file import RigFile, load

GOOD = """\
rig: {name: bench-a, kind: real, allow: [motion, unplug]}
buses:
  i2c0: {use: i2c, match: {adapter: "SMBus PIIX4 adapter at 0700"}}
  can_a: {use: socketcan, match: {path: "0000:00:04.0"}, bitrate: 500000}
  can_b: {use: socketcan, match: {path: "0000:00:05.0"}, bitrate: 500000}
  servos: {use: serial, match: {usb: "0403:6001", serial: FT8WJPE3, interface: 0}}
  spare: {use: serial, device: /dev/serial0}
hardware:
  imu: {use: mpu6050, bus: i2c0, facts: {still: true, up: z}, limits: {jitter_p99_ms: 2.0}}
  arm: {use: feetech, bus: servos, ids: [1, 2, 3], hazard: [motion], checks: [C1, C11]}
wires:
  can_pair: {kind: can-loopback, ends: [can_a, can_b]}
  jumper: {kind: serial-loopback, ends: [spare]}
  known: {kind: i2c-known, bus: i2c0, address: 0x50, read: {reg: 0x00, value: 0x07}}
faults:
  servos: {unplug: {by: usb-hub, hub: 1-1, port: 3}}
  imu: {unplug: {by: network-relay, off: "http://relay/off", on: "http://relay/on"}}
"""


def read(folder: Path, text: str) -> RigFile:
    path = folder / "rig.yaml"
    path.write_text(text)
    return load(path)


def faults(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    return [fault.removeprefix(f"{folder}/rig.yaml:") for fault in caught.value.faults]


def test_all_that_a_file_says_is_read(tmp_path: Path) -> None:
    rig = read(tmp_path, GOOD)
    assert (rig.name, rig.kind, rig.allow) == ("bench-a", "real", {"motion", "unplug"})
    assert rig.matches["servos"] == {"usb": "0403:6001", "serial": "FT8WJPE3", "interface": "0"}
    imu, arm = rig.devices["imu"], rig.devices["arm"]
    assert imu.id == "imu[mpu6050@i2c0:0x68]"
    assert (imu.facts, imu.limits, imu.hazards) == (
        {"still": True, "up": "z"},
        {"jitter_p99_ms": 2.0},
        None,
    )
    assert arm.hazards == {"motion"}
    assert (imu.checks, arm.checks) == (None, {"C1", "C11"})
    assert rig.wires["can_pair"].ends == ("can_a", "can_b")
    known = rig.wires["known"]
    assert (known.ends, known.address, known.register, known.value) == (("i2c0",), 0x50, 0, 7)


def test_a_device_has_the_means_of_its_bus_or_its_own(tmp_path: Path) -> None:
    rig = read(tmp_path, GOOD)
    of_arm, of_imu = rig.means_for("arm", "unplug"), rig.means_for("imu", "unplug")
    assert of_arm is not None and of_arm.by == "usb-hub"
    assert of_imu is not None and of_imu.by == "network-relay"


def test_every_fault_is_told_at_once_with_its_line_and_what_was_meant(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        """\
rig: {name: x, kind: reel, allow: [motoin]}
busses: {}
buses:
  can_a: {use: socketcan, match: {pth: "0000:00:04.0", usb: 1234}}
  ser: {use: serial, device: /dev/ttyUSB0, match: {usb: "0403:6001"}}
  ml: {use: udp_multicast, match: {path: x}}
hardware:
  imu: {use: mpu6050, bus: i2c0, adres: 0x68, facts: 3, limits: {a: b}}
  arm: {use: feetech, bus: ser, ids: [1], hazard: [heat], checks: [C99]}
wires:
  p: {kind: can-lopback, ends: [can_a, can_b]}
  q: {kind: can-loopback, ends: [can_a]}
  s: {kind: serial-loopback, ends: [can_a]}
  k: {kind: i2c-known, bus: i2c9, address: 0x999, read: {reg: 1}}
faults:
  serr: {unplug: {by: usb-hub, hub: 1-1}}
  ser: {unplg: {}, unplug: {by: usbhub}}
""",
    )
    assert found == [
        "1: rig.kind: unknown: reel (did you mean real?)",
        "1: rig.allow: unknown hazard motoin (did you mean motion?)",
        "2: busses: unknown (did you mean buses?)",
        "4: buses.can_a.match.pth: unknown (did you mean path?)",
        "4: buses.can_a.match.usb: must be text in quotes: "
        "vendor and product of the USB device, not 1234",
        "5: buses.ser: give device or match, not both",
        "6: buses.ml.match: only i2c, socketcan, serial, slcan, modbus can be matched, "
        "not udp_multicast",
        "8: hardware.imu.facts: must be a mapping, not 3",
        "8: hardware.imu.limits.a: must be a number, not 'b'",
        "8: hardware.imu.bus: unknown bus i2c0; known: can_a, ser, ml",
        "8: hardware.imu.adres: unknown option (did you mean address?)",
        "9: hardware.arm.hazard: heat is not in rig.allow: add it there, or take it out",
        "9: hardware.arm.checks: unknown check C99 (did you mean C9?)",
        "11: wires.p.kind: unknown: can-lopback (did you mean can-loopback?)",
        "12: wires.q: a can-loopback is between 2 different buses, not ['can_a']",
        "13: wires.s: can_a is a CAN bus, a serial-loopback is on a serial port",
        "14: wires.k.address: must be from 8 to 119, not 0x999",
        "14: wires.k.read: option value is missing (from 0 to 255)",
        "16: faults.serr: unknown device or bus (did you mean ser?)",
        "16: faults.serr.unplug: option port is missing (from 1 to 32)",
        "17: faults.ser.unplg: unknown fault (did you mean unplug?)",
        "17: faults.ser.unplug.by: unknown: usbhub (did you mean usb-hub?)",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "the file is empty: a rig needs rig, buses, hardware, wires, faults"),
        ("- 1\n", "the file is not a mapping"),
        ("buses: {}\n", "rig: is missing: it needs kind: real, virtual or mock"),
        ("rig: {name: x}\n", "rig: kind is missing: one of real, virtual, mock"),
        ("rig: {kind: mock}\n", "a rig needs a device under hardware: or a wire"),
        ("rig: 3\n", "rig: must be a mapping, not 3"),
        ("rig: {kind: mock, name: [1]}\n", "rig.name: must be a short text, not [1]"),
        ("rig: {kind: mock}\nwires: [1]\n", "wires: must be a mapping of names, not [1]"),
        ("rig: {kind: mock}\nwires: {w: 1}\n", "wires.w: must be a mapping, not 1"),
        ("rig: {kind: mock}\nwires: {w: {}}\n", "wires.w: kind is missing: one of can-loopback"),
        ("rig: {kind: mock}\nnodes: []\n", "nodes: unknown; known: rig, buses"),
    ],
)
def test_what_cannot_be_a_rig_is_refused(tmp_path: Path, text: str, fault: str) -> None:
    assert any(fault in found for found in faults(tmp_path, text))


FACTS = """\
rig: {{kind: mock}}
buses: {{i2c0: {{use: i2c, device: /dev/i2c-0}}}}
hardware: {{it: {{use: {use}, bus: i2c0, facts: {{{facts}}}}}}}
"""


@pytest.mark.parametrize(
    ("use", "facts", "fault"),
    [
        ("mpu6050", "stil: true", "stil: unknown (did you mean still?)"),
        ("mpu6050", "still: 1", "still: must be true or false, not 1"),
        ("mpu6050", "still: true, up: w", "up: must be an axis such as z or -z, not 'w'"),
        ("mpu6050", "up: z", "up: is measured of what lies still: add still: true"),
        ("mpu6050", "accel_z: down", "accel_z: must be a number, not 'down'"),
        ("mpu6050", "good: 0.2", "good: unknown"),
        ("ina219", "still: true", "still: unknown; known: identity, "),
        ("ina219", "volts: 5", "volts: unknown"),
        ("pca9685", "good: .nan", "good: must be a number, not nan"),
    ],
)
def test_a_fact_that_no_check_would_look_at_is_refused(
    use: str, facts: str, fault: str, tmp_path: Path
) -> None:
    (found,) = faults(tmp_path, FACTS.format(use=use, facts=facts))
    assert found.startswith(f"3: hardware.it.facts.{fault}")


def test_facts_are_what_a_device_measures_and_what_is_known_of_it(tmp_path: Path) -> None:
    for use, facts, known in (
        ("mpu6050", "still: true, up: -z", {"still": True, "up": "-z"}),
        ("ina219", "voltage: 3.3", {"voltage": 3.3}),
        ("pca9685", "good: 0.2, identity: left", {"good": 0.2, "identity": "left"}),
    ):
        assert read(tmp_path, FACTS.format(use=use, facts=facts)).devices["it"].facts == known


def test_words_that_are_none_are_told_like_unknown_ones(tmp_path: Path) -> None:
    text = GOOD.replace(
        "allow: [motion, unplug]", "allow: [motion, {unplug: true}, [heat], 3, null]"
    )
    told = [fault for fault in faults(tmp_path, text) if fault.startswith("1: rig.allow")]
    assert len(told) == 4
    assert told[0].startswith("1: rig.allow: unknown hazard {'unplug': True}")


def test_a_character_that_yaml_does_not_allow_is_told_with_its_line(tmp_path: Path) -> None:
    assert faults(tmp_path, GOOD.replace("imu: {use", "im\x1bu: {use", 1)) == [
        "9: this is not YAML: no file may have the character U+001B"
    ]

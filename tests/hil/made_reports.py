"""Reports as a run on a rig of 26 devices would write them, for tests of the page."""

from __future__ import annotations

from horus.testing.report.results import (
    CheckResult,
    Device,
    Fault,
    Figure,
    Kind,
    Report,
    Rig,
    Versions,
)

TITLES = {
    "C1": "identity",
    "C2": "initialization",
    "C3": "nothing at import",
    "C4": "rate held",
    "C5": "units and ranges",
    "C6": "stamps",
    "C7": "unplug",
    "C8": "reconnect",
    "C9": "stale data",
    "C10": "bus errors",
    "C11": "safe state",
    "C12": "commands refused",
    "C13": "latency",
    "C14": "leaks",
    "C15": "two on one bus",
}
#: Drivers; those that move are between pca9685 and moteus.
USES = (
    *("mpu6050", "icm20948", "bno055", "lsm6ds", "bme280", "bmp280", "ads1115", "ina219"),
    *("ina226", "vl53l0x", "tfmini", "rplidar", "ld06", "ublox", "nmea_gnss", "as5600"),
    *("pca9685", "tca9548a", "feetech", "dynamixel", "cia402", "odrive", "vesc", "roboclaw"),
    *("moteus", "modbus_io"),
)
ACTUATORS = frozenset(USES[16:25])


def full_report(kind: Kind = "mock") -> Report:
    """Return a run of 26 devices and 15 checks in which nothing failed."""
    devices = [
        Device(
            f"{use}_1",
            use,
            ("i2c0", "can_a", "servos")[index % 3],
            f"0x{0x20 + index:02x}" if index % 3 == 0 else str(index),
            f"SN{4711 + index}" if index % 2 else "",
            mock=kind == "mock",
        )
        for index, use in enumerate(USES)
    ]
    checks = [_result(check, device) for device in devices for check in TITLES]
    return Report(
        Rig(kind, kind, f"hil/rigs/{kind}.yaml", ["motion", "unplug"], {"Host": "bench-pc"}),
        "2026-11-28T06:00:00+00:00",
        142.7,
        Versions(
            "0.1.0",
            "3.11.7 (cpython)",
            "Linux 6.1.0-18-amd64 x86_64",
            "native",
            {"pyserial": "3.5", "python-can": "4.4.2", "smbus2": "0.4.3"},
        ),
        "passed",
        devices=devices,
        checks=checks,
        faults=[Fault(d.name, "unplug", "the twin's bus", 3.0 + i) for i, d in enumerate(devices)],
    )


def _result(check: str, device: Device) -> CheckResult:
    test = f"hil/checks/test_{check.lower()}.py::test_it[{device.name}[{device.use}@{device.bus}]]"
    result = CheckResult(check, TITLES[check], device.name, test, "passed", seconds=0.31)
    if check == "C12" and device.use not in ACTUATORS:
        result.status, result.reason = "skipped", "it takes no commands"
    elif check == "C15" and device.bus == "can_a":
        result.status = "skipped"
        result.reason = (
            "the rig has no wire can-loopback: connect two adapters and add "
            "can_pair: {kind: can-loopback, ends: [can_a, can_b]} under wires"
        )
    elif check == "C4":
        result.figures = [
            Figure("rate", 99.7, "Hz", low=95.0, high=105.0),
            Figure("jitter_p99_ms", 0.8, "ms", high=2.0, warn=1.5),
            Figure("repeated", 0.0, "", high=0.0),
        ]
    elif check == "C13":
        result.figures = [
            Figure("read_p50", 0.412, "ms", high=5.0),
            Figure("read_p99", 1.93, "ms", high=10.0, warn=8.0),
            Figure("transactions", 12_000.0),
        ]
    elif check == "C7":
        result.figures = [Figure("noticed_after", 0.21, "s", high=1.0)]
    elif check == "C14":
        result.figures = [
            Figure("descriptors", 0.0, "", low=0.0, high=0.0),
            Figure("memory", 112.0, "KiB", high=1024.0),
        ]
    return result


def cell(report: Report, device: str, check: str) -> CheckResult:
    """Return one result of a report, to change it."""
    return next(r for r in report.checks if (r.device, r.check) == (device, check))


def failing_report(kind: Kind = "mock") -> Report:
    """Return a run in which some of all that can be wrong is wrong."""
    report = full_report(kind)
    report.verdict = "failed"
    jitter = cell(report, "mpu6050_1", "C4")
    jitter.status, jitter.figures[1].value = "failed", 3.21
    jitter.reason = "jitter_p99_ms is 3.21 ms, limit 2 ms (rig limits: jitter_p99_ms)"
    jitter.detail = (
        "    def test_it(device, figure):\n>       figure('jitter_p99_ms', ...)\nE  boom"
    )
    stale = cell(report, "vesc_1", "C9")
    stale.status = "failed"
    stale.reason = (
        "the last value was published as fresh 0.4 s after the bus fell silent:\n"
        "MotorState(position=1.23, velocity=0.0)"
    )
    broken = cell(report, "vesc_1", "C14")
    broken.status, broken.reason = "error", "teardown: OSError: [Errno 19] No such device: can_a"
    cell(report, "odrive_1", "C13").figures[1].value = 8.9
    known = cell(report, "rplidar_1", "C8")
    known.status, known.reason = "quarantined", "the twin's motor does not spin up again (#12)"
    report.checks.remove(cell(report, "nmea_gnss_1", "C6"))
    for end, lost in (("can_pair", 0.0), ("jumper", 2.0)):
        report.checks.append(
            CheckResult(
                "W1",
                "frames there and back",
                end,
                f"hil/checks/test_wires.py::test_frames[{end}]",
                "failed" if lost else "passed",
                figures=[
                    Figure("lost", lost, "", high=0.0),
                    Figure("round_trip_p99", 1.2, "ms", high=5.0),
                ],
                seconds=2.0,
            )
        )
    report.checks.append(
        CheckResult("R1", "lock is given back", "", "t.py::test_lock", "passed", seconds=0.1)
    )
    report.faults[3].undone = False
    return report

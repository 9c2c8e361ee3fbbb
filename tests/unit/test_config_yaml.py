"""horus.yaml: what it means, and every fault of it with its line."""

from pathlib import Path
from textwrap import dedent

import pytest

from horus.errors import ConfigError
from horus.hardware.config import RobotError, load
from horus.hardware.plan import preflight, processes

GOOD = """\
name: rover
nodes: ["nodes/*.py"]
buses:
  i2c1: {use: i2c, device: /dev/i2c-77}
  can0: {use: socketcan, channel: nocan9, bitrate: 250000}
hardware:
  imu: {use: mpu6050, bus: i2c1, accel_range: 4, mock: {play: turn.csv}}
  left: {use: odrive, bus: can0, node: 3}
  right: {use: odrive, bus: can0, node: 4, command_timeout: 0.1}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "nodes").mkdir()
    (tmp_path / "nodes" / "b.py").touch()
    (tmp_path / "nodes" / "a.py").touch()
    (tmp_path / "turn.csv").write_text("t,a,b,c,d,e,f\n0,1,0,0,0,0,1\n1,2,0,0,0,0,1\n")
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "horus.yaml"
    path.write_text(dedent(text))
    return path


def faults(folder: Path, text: str) -> list[str]:
    """Return the faults without the folder in front."""
    path = write(folder, text)
    with pytest.raises(ConfigError) as info:
        load(path)
    return [fault.replace(f"{path}", "horus.yaml") for fault in info.value.faults]


def test_a_good_file_is_read_with_types_and_defaults(folder: Path) -> None:
    robot = load(write(folder, GOOD))
    assert robot.name == "rover"
    assert [path.name for path in robot.nodes] == ["a.py", "b.py"]
    assert list(robot.buses) == ["i2c1", "can0"]
    imu = robot.hardware["imu"]
    assert (imu.use, imu.bus, imu.station, imu.line) == ("mpu6050", "i2c1", 0x68, 7)
    assert getattr(imu.config, "accel_range") == 4  # noqa: B009
    assert getattr(imu.sim, "play") == folder / "turn.csv"  # noqa: B009
    assert getattr(robot.hardware["right"].config, "command_timeout") == 0.1  # noqa: B009
    assert [device.name for device in robot.devices_on("can0")] == ["left", "right"]


def test_a_folder_stands_for_the_file_in_it(folder: Path) -> None:
    write(folder, GOOD)
    assert load(folder).path == folder / "horus.yaml"


def test_numbers_may_be_written_in_hex(folder: Path) -> None:
    text = GOOD.replace("accel_range: 4", "address: 0x69")
    assert load(write(folder, text)).hardware["imu"].station == 0x69


def test_five_faults_are_reported_at_once_each_with_its_line(folder: Path) -> None:
    assert faults(
        folder,
        """\
        name: rover
        nodes: ["nods/*.py"]
        buses:
          i2c1: {use: i2c, device: /dev/i2c-1}
        hardware:
          imu:
            use: mpu6050
            bus: i2c1
            acel_range: 4
          wheel: {use: odriv, bus: can0, node: 3}
          other: {bus: i2c1}
        """,
    ) == [
        f"horus.yaml:2: nodes: no file matches 'nods/*.py' in {folder}",
        "horus.yaml:9: hardware.imu.acel_range: unknown option (did you mean accel_range?)",
        "horus.yaml:10: hardware.wheel.use: unknown driver odriv (did you mean odrive?); "
        "`horus drivers` lists those that are installed; if a package brings it, install that "
        "(pip install <package>)",
        "horus.yaml:10: hardware.wheel.bus: unknown bus can0; known: i2c1",
        "horus.yaml:11: hardware.other: use is missing: the driver, such as mpu6050",
    ]


DEVICE = "buses: {i2c1: {use: i2c, device: /dev/i2c-1}}\nhardware:\n  imu: "
MOTOR = "buses: {can0: {use: socketcan, channel: can0}}\nhardware:\n  m: "


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "horus.yaml:1: the file is empty: it needs name, nodes, buses, hardware"),
        ("- a", "horus.yaml:1: the file is not a mapping: it needs name, nodes, buses, hardware"),
        ("nmae: x", "horus.yaml:1: nmae: unknown (did you mean name?)"),
        ("name: a b/../c", "horus.yaml:1: name: must be one word of letters, digits, _ and -, at"),
        (f"name: {'x' * 65}", "horus.yaml:1: name: must be one word of letters, digits, _ and -"),
        ("nodes: [5]", 'horus.yaml:1: nodes: item 1 must be a pattern, such as "nodes/*.py", not'),
        (
            'buses:\n  x: {use: i2c, device: ""}',
            "horus.yaml:2: buses.x.device: must not be empty",
        ),
        (
            "hardware:\n  imu: {use: mpu6050, bus: i2c1}",
            "horus.yaml:2: hardware.imu.bus: unknown bus i2c1; there are none: add it under buses:",
        ),
        ("name: [x]", "horus.yaml:1: name: must be text, not ['x']"),
        ("nodes: {a: b}", "horus.yaml:1: nodes: must be patterns of files"),
        ("hardware: 7", "horus.yaml:1: hardware: must be a mapping of names, not 7"),
        ("hardware:\n  a b: {}", "horus.yaml:2: hardware.a b: a name is a letter, then letters"),
        ("hardware:\n  imu: mpu6050", "horus.yaml:2: hardware.imu: must be a mapping with use:"),
        ("buses:\n  x: {}", "horus.yaml:2: buses.x: use is missing: one of "),
        ("buses:\n  x:\n", "horus.yaml:2: buses.x: is empty: it needs use:"),
        ("buses:\n  x: {use: i2x}", "horus.yaml:2: buses.x.use: unknown kind of bus i2x (did you"),
        ("buses:\n  x: {use: [i2c]}", "horus.yaml:2: buses.x.use: must be a word, not ['i2c']"),
        ("buses:\n  x: {use: i2c}", "horus.yaml:2: buses.x: option device is missing"),
        (
            "buses:\n  x: {use: socketcan, channel: can0, bitrate: 1}",
            "horus.yaml:2: buses.x.bitrate: must be from 10000 to 1000000 bit/s, not 1",
        ),
        (DEVICE + "{use: mpu6050}", "horus.yaml:3: hardware.imu: bus is missing: one of i2c1"),
        (
            DEVICE + "{use: mpu6050, bus: i2c1, rate: fast}",
            "horus.yaml:3: hardware.imu.rate: must be a number (Hz), not 'fast'",
        ),
        (
            DEVICE + "{use: mpu6050, bus: i2c1, accel_range: 5}",
            "horus.yaml:3: hardware.imu.accel_range: must be one of 2, 4, 8, 16, not 5",
        ),
        (
            DEVICE + "{use: mpu6050, bus: i2c1, address: 0x40}",
            "horus.yaml:3: hardware.imu.address: must be one of 0x68, 0x69, not 0x40",
        ),
        (
            DEVICE + "{use: mpu6050, bus: i2c1, mock: {plya: x}}",
            "horus.yaml:3: hardware.imu.mock.plya: unknown option (did you mean play?)",
        ),
        (
            DEVICE + "{use: mpu6050, bus: i2c1, mock: {play: nowhere.csv}}",
            "horus.yaml:3: hardware.imu.mock.play: no such file: ",
        ),
        (
            DEVICE + "{use: mpu6050, bus: i2c1, rate: 50, rate: 60}",
            "horus.yaml:3: hardware.imu.rate: given twice, first in line 3",
        ),
        (
            DEVICE + "{use: odrive, bus: i2c1, node: 1}",
            "horus.yaml:3: hardware.imu.bus: i2c1 is an I2C bus, but odrive is on a CAN bus",
        ),
        (
            MOTOR + "{use: odrive, bus: can0}",
            "horus.yaml:3: hardware.m: option node is missing (from 0 to 62)",
        ),
        (
            MOTOR + "{use: odrive, bus: can0, node: 1, command_timeout: 0}",
            "horus.yaml:3: hardware.m.command_timeout: must be greater than 0 and at most 10 s, "
            "not 0",
        ),
        ("name: a\n\tb: c", "horus.yaml:2: this is not YAML: "),
        ("hardware: {imu: {use: x}", "horus.yaml:1: this is not YAML: "),
        ("name: a\n---\nname: b", "horus.yaml:2: this is not YAML: "),
        ("a: &x\n  b: *x", "horus.yaml:1: this is not YAML: a value contains itself"),
        ("? [a, b]\n: c", "horus.yaml:1: the top level: a key must be a plain word"),
        ("name: \x00", "horus.yaml:1: this is not YAML: "),
    ],
)
def test_each_fault_has_its_line_and_its_words(folder: Path, text: str, fault: str) -> None:
    found = faults(folder, text)
    assert any(line.startswith(fault) for line in found), found


def test_a_wrong_kind_of_bus_is_told_though_the_bus_has_a_fault(folder: Path) -> None:
    text = "buses:\n  can0: {use: socketcan, chanel: x}\nhardware:\n  a: {use: mpu6050, bus: can0}"
    assert faults(folder, text) == [
        "horus.yaml:2: buses.can0.chanel: unknown option (did you mean channel?)",
        "horus.yaml:4: hardware.a.bus: can0 is a CAN bus, but mpu6050 is on an I2C bus",
    ]


def test_a_pattern_that_is_no_text_hides_no_other(folder: Path) -> None:
    first, second = faults(folder, 'nodes: [7, "nods/*.py"]')
    assert first.startswith("horus.yaml:1: nodes: item 1 must be a pattern")
    assert second.startswith("horus.yaml:1: nodes: no file matches 'nods/*.py'")


def test_node_files_are_known_though_the_rest_has_faults(folder: Path) -> None:
    with pytest.raises(RobotError) as info:
        load(write(folder, 'nodes: ["nodes/*.py", 5]\nhardware: 7'))
    assert [path.name for path in info.value.nodes] == ["a.py", "b.py"]


@pytest.mark.parametrize(
    ("text", "rate"),
    [("1e2", 100.0), ("1E+2", 100.0), ("5.e-1", 0.5), (".5e1", 5.0), ("1.0e1", 10)],
)
def test_a_number_with_an_exponent_is_a_number(folder: Path, text: str, rate: float) -> None:
    robot = load(write(folder, DEVICE + f"{{use: mpu6050, bus: i2c1, rate: {text}}}"))
    assert robot.hardware["imu"].config.rate == rate


def test_a_text_that_looks_like_a_number_stays_one_where_text_is_wanted(folder: Path) -> None:
    robot = load(write(folder, DEVICE + "{use: mpu6050, bus: i2c1, frame: 1e2}"))
    assert robot.hardware["imu"].config.frame == "1e2"


def test_a_text_that_is_no_number_is_none(folder: Path) -> None:
    for text in ("e2", "'50'", "1e", "1e2.5", "nan", "1e999"):
        (fault,) = faults(folder, DEVICE + f"{{use: mpu6050, bus: i2c1, rate: {text}}}")
        assert "hardware.imu.rate: must be a" in fault


@pytest.mark.parametrize(
    ("use", "content", "fault"),
    [
        ("mpu6050", b"name: rover\n", ":1: is no recording for this: its first line must name 7"),
        ("mpu6050", b"t,a\n0,1\n1,2\n", ":1: is no recording for this: its first line must name 7"),
        ("mpu6050", b"t,a,b,c,d,e,f\n0,1\n", ":2: needs 7 numbers, times ascending"),
        ("mpu6050", b"t,a,b,c,d,e,f\n0,1,1,1,1,1,nan\n", ":2: needs 7 numbers, times ascending"),
        ("mpu6050", b"\xff\xfe\n", ": is no recording: "),
        ("bme280", b"name: rover\n", ":1: is no recording for this: its first line must name 2"),
    ],
)
def test_every_file_to_be_played_is_looked_at(
    folder: Path, use: str, content: bytes, fault: str
) -> None:
    (folder / "turn.csv").write_bytes(content)
    for options in ("", ", rate: fast"):  # also beside a fault of the device's own
        device = f"{{use: {use}, bus: i2c1, mock: {{play: turn.csv}}{options}}}"
        found = faults(folder, DEVICE + device)
        place = f"horus.yaml:3: hardware.imu.mock.play: {folder}/turn.csv{fault}"
        assert len([line for line in found if line.startswith(place)]) == 1, found


def test_a_receivers_recording_is_looked_at_too(folder: Path) -> None:
    text = "buses: {u: {use: serial, device: /dev/x}}\nhardware:\n  g: {use: nmea, bus: u, mock: "
    (fault,) = faults(folder, text + "{play: turn.csv}}")
    assert fault == (
        f"horus.yaml:3: hardware.g.mock.play: {folder}/turn.csv: a receiver's recording needs two "
        "moments in time or more"
    )


def test_a_misspelt_option_is_not_called_missing_too(folder: Path) -> None:
    assert faults(folder, MOTOR + "{use: odrive, bus: can0, nod: 1}") == [
        "horus.yaml:3: hardware.m.nod: unknown option (did you mean node?)"
    ]


def test_a_missing_option_that_may_be_anything_is_named_alone(folder: Path) -> None:
    assert faults(folder, "buses:\n  can1: {use: socketcan}\n  can2:") == [
        "horus.yaml:2: buses.can1: option channel is missing",
        "horus.yaml:3: buses.can2: is empty: it needs use:",
    ]


def test_two_devices_at_one_address_are_both_named(folder: Path) -> None:
    assert faults(
        folder,
        """\
        buses:
          i2c1: {use: i2c, device: /dev/i2c-1}
          i2c2: {use: i2c, device: /dev/i2c-2}
          can0: {use: socketcan, channel: can0}
        hardware:
          a: {use: mpu6050, bus: i2c1}
          b: {use: mpu6050, bus: i2c1}
          c: {use: mpu6050, bus: i2c2}
          left: {use: odrive, bus: can0, node: 3}
          right: {use: odrive, bus: can0, node: 3}
        """,
    ) == [
        "horus.yaml:7: hardware.b: address 0x68 on i2c1 is already that of a (line 6)",
        "horus.yaml:10: hardware.right: node 3 on can0 is already that of left (line 9)",
    ]


def test_a_file_that_is_not_there_is_a_fault_too(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="horus.yaml: no such file"):
        load(tmp_path)


def test_a_merged_default_is_not_a_duplicate(folder: Path) -> None:
    robot = load(
        write(
            folder,
            """\
            buses: {can0: {use: socketcan, channel: can0}}
            hardware:
              left: &wheel {use: odrive, bus: can0, node: 3, max_velocity: 7.0}
              right: {<<: *wheel, node: 4}
            """,
        )
    )
    right = robot.hardware["right"]
    assert (right.station, getattr(right.config, "max_velocity")) == (4, 7.0)  # noqa: B009


def test_real_hardware_needs_one_process_a_bus(folder: Path) -> None:
    plans = processes(load(write(folder, GOOD)))
    assert [(plan.name, plan.kind) for plan in plans] == [("i2c1", "driver"), ("can0", "driver")]
    assert plans[0].module == "horus.hardware.worker"
    assert "--mock" not in plans[0].arguments


def test_simulated_devices_have_processes_of_their_own_that_come_first(folder: Path) -> None:
    plans = processes(load(write(folder, GOOD)), mock=True)
    assert [(plan.name, plan.kind) for plan in plans] == [
        ("i2c1.sim", "twin"),
        ("can0.sim", "twin"),
        ("i2c1", "driver"),
        ("can0", "driver"),
    ]
    assert all("--mock" in plan.arguments for plan in plans if plan.kind == "driver")


def test_a_bus_without_devices_needs_nothing(folder: Path) -> None:
    robot = load(write(folder, "buses: {i2c1: {use: i2c, device: /dev/i2c-77}}"))
    assert processes(robot, mock=True) == []
    assert preflight(robot) == []


def test_preflight_names_every_missing_bus_with_its_cure(folder: Path) -> None:
    first, second = preflight(load(write(folder, GOOD)))
    assert first.startswith("i2c1: /dev/i2c-77 does not exist")
    assert "modprobe i2c-dev" in first
    assert second.startswith("can0: the CAN interface nocan9 does not exist")
    assert "sudo ip link set nocan9 up type can bitrate 250000" in second


BUSES = """\
buses:
  i2c1: {use: i2c, device: /dev/i2c-1}
  left: {use: tca9548a, parent: i2c1, address: 0x70, channel: 2}
  right: {use: tca9548a, parent: i2c1, address: 0x70, channel: 3}
  uart: {use: serial, device: /dev/ttyUSB0}
"""


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "hardware:\n  a: {use: mpu6050, bus: left}\n  b: {use: mpu6050, bus: left}",
            "horus.yaml:8: hardware.b: address 0x68 on left is already that of a (line 7)",
        ),
        (
            "hardware:\n  a: {use: mpu6050, bus: i2c1}\n  b: {use: mpu6050, bus: left}",
            "horus.yaml:8: hardware.b: address 0x68 on left is already that of a (line 7)",
        ),
        (
            "hardware:\n  a: {use: pca9685, bus: right, address: 0x70}",
            "horus.yaml:7: hardware.a: address 0x70 on right is already that of the tca9548a of "
            "left (line 3)",
        ),
        (
            "  twice: {use: tca9548a, parent: i2c1, address: 0x70, channel: 3}",
            "horus.yaml:6: buses.twice: channel 3 of the tca9548a 0x70 on i2c1 is already the bus "
            "right (line 4)",
        ),
        (
            "  ring: {use: tca9548a, parent: ring, address: 0x71, channel: 0}",
            "horus.yaml:6: buses.ring.parent: ring hangs from itself",
        ),
        (
            "  deep: {use: tca9548a, parent: lefd, address: 0x71, channel: 0}",
            "horus.yaml:6: buses.deep.parent: unknown bus lefd (did you mean left?)",
        ),
        (
            "  odd: {use: tca9548a, parent: uart, address: 0x71, channel: 0}",
            "horus.yaml:6: buses.odd.parent: uart is a serial port, odd an I2C bus",
        ),
        (
            "  uart2: {use: serial, device: /dev/ttyUSB0, baudrate: 9600}",
            "horus.yaml:6: buses.uart2: /dev/ttyUSB0 is already the bus uart (line 5): put the "
            "devices of both on one of them",
        ),
        (
            "hardware:\n  scan: {use: ld06, bus: uart}",
            "horus.yaml:7: hardware.scan: ld06 speaks 230400 bit/s, but uart (line 5) is set to "
            "115200: write baudrate: 230400 there",
        ),
        (
            "hardware:\n  a: {use: nmea, bus: uart}\n  b: {use: tfmini, bus: uart}",
            "horus.yaml:8: hardware.b: uart already carries a (line 7), and nmea needs a port of "
            "its own",
        ),
        (
            "hardware:\n  a: {use: dynamixel, bus: uart, ids: [1, 2]}\n"
            "  b: {use: dynamixel, bus: uart, ids: [2, 3]}",
            "horus.yaml:8: hardware.b: ids 2 on uart is already that of a (line 7)",
        ),
        (
            "hardware:\n  a: {use: odrive, bus: uart, node: 1}",
            "horus.yaml:7: hardware.a.bus: uart is a serial port, but odrive is on a CAN bus",
        ),
        (
            'hardware:\n  a: {use: ina219, bus: i2c1, mount: "+x +y +z"}',
            "horus.yaml:7: hardware.a.mount: ina219 measures nothing that has a direction",
        ),
    ],
)
def test_what_contradicts_itself_is_a_fault(folder: Path, text: str, fault: str) -> None:
    assert fault in faults(folder, BUSES + text)


def test_one_address_may_be_behind_two_channels(folder: Path) -> None:
    text = BUSES + "hardware:\n  a: {use: mpu6050, bus: left}\n  b: {use: mpu6050, bus: right}"
    robot = load(write(folder, text))
    assert [bus.name for bus in robot.tree("i2c1")] == ["i2c1", "left", "right"]
    assert [plan.name for plan in processes(robot)] == ["i2c1"]


CAN = "buses:\n  can0: {use: socketcan, channel: can0, bitrate: 500000}\nhardware:\n"


@pytest.mark.parametrize(
    ("first", "second", "fault"),
    [
        (
            "{use: damiao, bus: can0, node: 5}",  # its master id is 0 unless set
            "{use: cia402, bus: can0, node: 7}",
            "horus.yaml:5: hardware.b: frame 0x000 on can0 is nmt of cia402 and answer of a "
            "(damiao, line 4): change the node (or master) id of one of them, or give it a bus",
        ),
        (
            "{use: cia402, bus: can0, node: 7}",
            "{use: odrive, bus: can0, node: 12}",  # 12 << 5 = 0x180, which are first PDOs
            "horus.yaml:5: hardware.b: frame 0x187 on can0 is set_axis_state of odrive and "
            "condition of a (cia402, line 4)",
        ),
    ],
)
def test_frames_of_two_kinds_of_device_with_one_id_are_a_fault(
    folder: Path, first: str, second: str, fault: str
) -> None:
    text = f"{CAN}  a: {first}\n  b: {second}"
    assert [found[: len(fault)] for found in faults(folder, text)] == [fault]


@pytest.mark.parametrize(
    "devices",
    [
        ["{use: damiao, bus: can0, node: 5, master: 17}", "{use: cia402, bus: can0, node: 7}"],
        ["{use: damiao, bus: can0, node: 5}", "{use: damiao, bus: can0, node: 6}"],
        ["{use: odrive, bus: can0, node: 3}", "{use: vesc, bus: can0, node: 4}"],
        ["{use: cia402, bus: can0, node: 3}", "{use: cia402, bus: can0, node: 4}"],
    ],
)
def test_frames_that_are_told_apart_are_no_fault(folder: Path, devices: list[str]) -> None:
    listed = "".join(f"  d{n}: {device}\n" for n, device in enumerate(devices))
    assert len(load(write(folder, CAN + listed)).hardware) == len(devices)

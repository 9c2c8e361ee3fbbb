"""`horus scan`: what the kernel's files say, and sensors looked for without touching what moves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from horus.cli import scan
from horus.cli.main import main
from horus.hal import DeviceFault, FaultKind, I2cBus
from horus.hardware import plugged, probing
from horus.hookspecs import Found
from horus.plugins import drivers


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing plugged in, as the kernel shows it."""
    for folder in ("dev/serial/by-id", "sys/class/net", "sys/class/tty", "sys/class/i2c-dev"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.setattr(plugged, "ROOT", tmp_path)
    monkeypatch.setattr(scan, "find", lambda *, probe: real_find(probe=probe, root=tmp_path))
    return tmp_path


real_find = scan.find


def put(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def plug_usb_serial(machine: Path) -> None:
    usb = machine / "sys/devices/usb1/1-2"
    put(usb / "idVendor", "0403\n")
    put(usb / "idProduct", "6001\n")
    put(usb / "serial", "FT8WJPE3\n")
    put(usb / "manufacturer", "FTDI\n")
    put(usb / "product", "FT232R USB UART\n")
    (usb / "1-2:1.0/ttyUSB0").mkdir(parents=True)
    (machine / "sys/class/tty/ttyUSB0").mkdir()
    (machine / "sys/class/tty/ttyUSB0/device").symlink_to(usb / "1-2:1.0/ttyUSB0")
    put(machine / "dev/ttyUSB0")
    (machine / "dev/serial/by-id/usb-FTDI_FT8WJPE3-if00-port0").symlink_to("../../ttyUSB0")


def plug_can(machine: Path, name: str, flags: int) -> None:
    put(machine / f"sys/class/net/{name}/type", "280\n")
    put(machine / f"sys/class/net/{name}/flags", f"{flags:#x}\n")


def plug_i2c(machine: Path, number: int) -> None:
    put(machine / f"dev/i2c-{number}")
    put(machine / f"sys/class/i2c-dev/i2c-{number}/name", "bcm2835 (i2c@7e804000)\n")
    speed = machine / f"sys/class/i2c-adapter/i2c-{number}/of_node/clock-frequency"
    speed.parent.mkdir(parents=True)
    speed.write_bytes((400_000).to_bytes(4, "big"))


def test_with_nothing_plugged_in_it_says_so_in_yaml(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scan"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == {"buses": {}}


def test_what_is_plugged_in_is_yaml_to_paste(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plug_usb_serial(machine)
    plug_i2c(machine, 1)
    plug_can(machine, "can0", 0x1)
    put(machine / "sys/class/net/eth0/type", "1\n")
    assert main(["scan"]) == 0
    text = capsys.readouterr().out
    lasting = "/dev/serial/by-id/usb-FTDI_FT8WJPE3-if00-port0"
    assert yaml.safe_load(text)["buses"] == {
        "i2c1": {"use": "i2c", "device": "/dev/i2c-1"},
        "can0": {"use": "socketcan", "channel": "can0", "bitrate": 500_000},
        "serial_usb0": {"use": "serial", "device": lasting},
    }
    assert "# bcm2835 (i2c@7e804000), 400 kHz" in text
    assert "# ttyUSB0: FTDI FT232R USB UART (0403:6001, serial FT8WJPE3)" in text


def test_the_yaml_is_what_horus_yaml_takes(
    machine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from horus.hardware import config

    plug_usb_serial(machine)
    plug_i2c(machine, 1)
    plug_can(machine, "can0", 0x1)
    assert main(["scan"]) == 0
    file = put(tmp_path / "robot/horus.yaml", capsys.readouterr().out)
    assert set(config.load(file).buses) == {"i2c1", "can0", "serial_usb0"}


def test_an_interface_that_is_down_is_told_with_its_cure(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plug_can(machine, "can1", 0x80)
    assert main(["scan"]) == 0
    text = capsys.readouterr().out
    assert "# can1 is down: `sudo ip link set can1 up type can bitrate 500000`" in text
    assert yaml.safe_load(text)["buses"]["can1"]["channel"] == "can1"


def test_ports_without_a_chip_are_not_shown_and_the_console_is_marked(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, kind in (("ttyS0", "4"), ("ttyS1", "0")):
        (machine / f"sys/class/tty/{name}/device").mkdir(parents=True)
        put(machine / f"sys/class/tty/{name}/type", kind)
        put(machine / f"dev/{name}")
    (machine / "sys/class/tty/tty1").mkdir()
    put(machine / "dev/tty1")
    put(machine / "sys/class/tty/console/active", "tty0 ttyS0\n")
    assert main(["scan"]) == 0
    text = capsys.readouterr().out
    assert set(yaml.safe_load(text)["buses"]) == {"serial_s0"}
    assert "# /dev/ttyS0 is the system's console" in text


def test_a_device_that_another_program_holds_is_told_with_its_name(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plug_i2c(machine, 1)
    monkeypatch.setattr(plugged, "openers", lambda path: "i2cget (pid 123)")
    assert main(["scan", "--probe"]) == 0
    text = capsys.readouterr().out
    assert "# i2c1: not probed: " in text
    assert "/dev/i2c-1 is in use by i2cget (pid 123)" in text


def test_what_hangs_on_can_and_serial_is_never_probed(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plug_usb_serial(machine)
    plug_can(machine, "can0", 0x1)
    assert main(["scan", "--probe"]) == 0
    text = capsys.readouterr().out
    assert "# serial_usb0: not probed: what is on it may move" in text
    assert "# can0: not probed: what is on it may move" in text


def test_a_plugin_may_add_what_it_finds_and_one_that_raises_is_a_remark(
    machine: Path, install: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    plug_can(machine, "can0", 0x1)
    install("mine", "my-package", horus_scan=[Found("can0", "my_can", {"url": "x: y"}, "mine")])
    install("broken", "broken-kit", horus_scan=RuntimeError("on fire"))
    assert main(["scan"]) == 0
    text = capsys.readouterr().out
    assert yaml.safe_load(text)["buses"]["can0_2"] == {"use": "my_can", "url": "x: y"}
    assert "# plugin broken of broken-kit 1.0: horus_scan(): RuntimeError: on fire" in text


def test_the_scan_as_json(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plug_i2c(machine, 1)
    assert main(["scan", "--json"]) == 0
    (bus,) = json.loads(capsys.readouterr().out)["buses"]
    assert bus["options"] == {"device": "/dev/i2c-1"}


# sensors on I2C --------------------------------------------------------------------------------


class Recorded(I2cBus):
    """A bus that remembers what was done to it; chips are registers by address."""

    name = "i2c1"

    def __init__(self, chips: dict[int, dict[int, int]]) -> None:
        self.chips = chips
        self.done: list[tuple[int, bytes, int]] = []

    def transfer(self, address: int, write: bytes, read: int = 0) -> bytes:
        self.done.append((address, write, read))
        if address not in self.chips:
            raise DeviceFault(FaultKind.NO_ACK, "nothing answers", bus=self.name)
        start = write[0] if write else 0
        return bytes(self.chips[address].get(start + n, 0) for n in range(read))

    def close(self) -> None:
        pass


def claims(*names: str) -> probing.Claims:
    return probing.claims([drivers()[name] for name in names])


def test_sensors_are_told_by_their_own_probe() -> None:
    bus = Recorded({0x68: {0x75: 0x68}, 0x69: {0x75: 0x70}})
    first, second = probing.look(bus, claims("mpu6050", "odrive"))
    assert (first.address, first.uses) == (0x68, ["mpu6050"])
    assert (second.address, second.uses) == (0x69, [])  # it answers, but it is another chip


def test_nothing_is_written_but_register_addresses() -> None:
    known = probing.claims(drivers().values())
    bus = Recorded({address: {} for address in range(0x80)})
    probing.look(bus, known)
    assert bus.done
    assert all(len(write) <= 2 for _, write, _ in bus.done)
    assert all(read for _, write, read in bus.done if write)
    assert {address for address, _, _ in bus.done} == set(known.sensors)


def test_where_memory_chips_may_be_a_byte_is_read_instead_of_an_empty_write() -> None:
    bus = Recorded({})
    assert not probing.answers(bus, 0x50)
    assert not probing.answers(bus, 0x68)
    assert bus.done == [(0x50, b"", 1), (0x68, b"", 0)]


def test_what_moves_is_not_asked() -> None:
    movers = {
        name for names in probing.claims(drivers().values()).movers.values() for name in names
    }
    sensors = {
        name for found in probing.claims(drivers().values()).sensors.values() for name, _ in found
    }
    assert "pca9685" in movers
    assert not movers & sensors


def test_addresses_that_the_kernel_holds_are_left_alone(machine: Path) -> None:
    (machine / "sys/bus/i2c/devices/1-0068/driver").mkdir(parents=True)
    (machine / "sys/bus/i2c/devices/i2c-1").mkdir(parents=True)
    held = scan.kernel_drivers("/dev/i2c-1", machine)
    assert set(held) == {0x68}
    bus = Recorded({0x68: {0x75: 0x68}})
    assert probing.look(bus, claims("mpu6050"), held) == []
    assert 0x68 not in {address for address, _, _ in bus.done}


@pytest.fixture
def probed(machine: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that puts chips on the machine's I2C bus."""

    def put_on(chips: dict[int, dict[int, int]]) -> None:
        plug_i2c(machine, 1)
        known = claims("mpu6050")
        known.movers[0x69] = ["some_servos"]
        known.movers[0x6F] = ["some_servos"]
        monkeypatch.setattr(probing, "claims", lambda entries: known)
        monkeypatch.setattr(
            "horus.hal.backends.i2c_dev.I2cDev", lambda name, config: Recorded(chips)
        )

    return put_on


def test_sensors_found_are_yaml_to_paste_and_the_rest_are_remarks(
    probed: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    probed({0x68: {0x75: 0x68}, 0x69: {0x75: 0x70}})
    assert main(["scan", "--probe"]) == 0
    text = capsys.readouterr().out
    found = yaml.safe_load(text)["hardware"]
    assert found == {"mpu6050": {"use": "mpu6050", "bus": "i2c1", "address": 0x68}}
    assert "# 0x69 on i2c1 answers; no driver of a sensor knows it; may be some_servos" in text
    assert "not touched" in text
    assert "0x6F" in text


def test_no_sensor_found_is_said(
    probed: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    probed({})
    assert main(["scan", "--probe"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["hardware"] == {}

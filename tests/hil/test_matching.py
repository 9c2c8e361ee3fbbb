"""How the bus that a rig's file means is found among those that are plugged in."""

from __future__ import annotations

from pathlib import Path

import pytest

from horus.testing.rig import matching
from tests.hil.sysfs import Sysfs


@pytest.fixture
def machine(tmp_path: Path) -> Sysfs:
    made = Sysfs(tmp_path / "root")
    made.i2c(1, "bcm2835 (i2c@7e804000)", "fe804000.i2c")
    made.i2c(20, "CP2112 SMBus Bridge on hidraw0", "hid")
    made.serial("ttyUSB0", made.usb("1-1.3", "0403:6001", "FT8WJPE3"))
    made.serial("ttyUSB1", made.usb("1-1.4", "0403:6001", "A50285BI"))
    made.serial("ttyACM0", made.usb("1-2", "1546:01a9", "", 2), "cdc_acm")
    made.can("can0", made.pci("0000:00:05.0"), "kvaser_pci")
    made.can("can1", made.pci("0000:00:04.0"), "kvaser_pci")
    return made


def found(machine: Sysfs, use: str, **wanted: str) -> str:
    resource = matching.find(use, wanted, machine.root).resource
    return resource.removeprefix(str(machine.root))


def refusal(machine: Sysfs, use: str, **wanted: str) -> str:
    with pytest.raises(matching.MatchError) as caught:
        matching.find(use, wanted, machine.root)
    return str(caught.value).replace(str(machine.root), "")


def test_an_i2c_adapter_is_found_by_its_name(machine: Sysfs) -> None:
    assert found(machine, "i2c", adapter="bcm2835 (i2c@7e804000)") == "/dev/i2c-1"


def test_an_i2c_adapter_is_found_by_its_controller(machine: Sysfs) -> None:
    assert found(machine, "i2c", path="fe804000.i2c") == "/dev/i2c-1"


def test_a_can_interface_is_found_by_its_slot_whatever_its_name(machine: Sysfs) -> None:
    assert found(machine, "socketcan", path="0000:00:04.0") == "can1"


def test_a_serial_port_is_found_by_its_serial_number(machine: Sysfs) -> None:
    assert found(machine, "serial", usb="0403:6001", serial="FT8WJPE3") == "/dev/ttyUSB0"


def test_a_serial_port_is_found_by_the_usb_port_that_it_is_in(machine: Sysfs) -> None:
    assert found(machine, "serial", path="1-1.4") == "/dev/ttyUSB1"
    assert found(machine, "serial", path="1-1.4:1.0") == "/dev/ttyUSB1"


def test_numbers_in_hex_are_compared_as_numbers(machine: Sysfs) -> None:
    assert found(machine, "serial", usb="1546:1A9", interface="02") == "/dev/ttyACM0"
    assert found(machine, "slcan", usb="0x1546:0x01a9") == "/dev/ttyACM0"


def test_without_a_match_the_nearest_are_shown_with_what_differs(machine: Sysfs) -> None:
    text = refusal(machine, "serial", usb="0403:6001", serial="FT8WJPE4")
    assert text.startswith("no serial port here is {usb: 0403:6001, serial: FT8WJPE4}: plug it in")
    first, second, third = text.partition("nearest: ")[2].rstrip(")").split("; ")
    assert first == "/dev/ttyUSB0: serial is FT8WJPE3, not FT8WJPE4"
    assert second == "/dev/ttyUSB1: serial is A50285BI, not FT8WJPE4"
    assert third == "/dev/ttyACM0: usb is 1546:01a9, not 0403:6001, it has no serial"


def test_two_matches_are_refused_with_what_would_tell_them_apart(machine: Sysfs) -> None:
    text = refusal(machine, "serial", usb="0403:6001")
    assert text.startswith("2 are {usb: 0403:6001}: /dev/ttyUSB0")
    assert "/dev/ttyUSB1" in text
    assert text.endswith("add path or serial to match:")


def test_where_nothing_of_the_kind_is_plugged_in_that_is_said(tmp_path: Path) -> None:
    text = refusal(Sysfs(tmp_path / "empty"), "socketcan", path="0000:00:04.0")
    assert text.endswith("there is no CAN interface at all")


def test_the_channels_of_one_adapter_are_told_apart_by_their_port(machine: Sysfs) -> None:
    card = machine.pci("0000:00:06.0")
    machine.can("can2", card, "peak_pci", 0)
    machine.can("can3", card, "peak_pci", 1)
    assert found(machine, "socketcan", path="0000:00:06.0", port="1") == "can3"


def test_a_virtual_interface_is_listed_though_nothing_is_known_of_it(machine: Sysfs) -> None:
    place = machine.root / "sys/class/net/vcan0"
    place.mkdir()
    (place / "type").write_text("280\n")
    names = {candidate.resource: candidate for candidate in matching.can(machine.root)}
    assert names["vcan0"].about == {}
    assert names["can0"].about == {"path": "0000:00:05.0", "driver": "kvaser_pci", "port": "0"}

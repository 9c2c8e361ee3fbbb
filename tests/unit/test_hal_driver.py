"""What drivers say when another device answers, or when settings were lost."""

from __future__ import annotations

from typing import Any

import pytest

from horus.hal import DeviceFault, Driver, DriverConfig, FaultKind, Link, PacketMap, RegisterMap


class Chip(Driver[DriverConfig, RegisterMap]):
    """A chip on I2C, of which nothing is asked."""

    def probe(self) -> bool:
        return True

    def read(self) -> None:
        return None


class Stream(Chip, Driver[DriverConfig, PacketMap]):
    """A device that has its serial port to itself."""

    config_type, map_type = DriverConfig, PacketMap


def made(kind: Any = Chip) -> Any:
    return kind(DriverConfig(), Link("imu", "i2c1", 0x68))


def said(function: Any, *arguments: Any) -> tuple[FaultKind, str]:
    with pytest.raises(DeviceFault) as info:
        function(*arguments)
    return info.value.kind, str(info.value)


def test_the_right_identity_is_the_answer_of_probe() -> None:
    assert made().expect(0x68, 0x68, "an MPU-6050") is True
    assert made().expect((0xEE, 0xAA), (0xEE, 0xAA), "a VL53L0X") is True


@pytest.mark.parametrize(
    ("found", "wanted", "words"),
    [
        (0x71, 0x68, "identity 0x71; a chip has 0x68"),
        (0x00, 0x1234, "identity 0x0000; a chip has 0x1234"),
        ((0xEE, 0x01), (0xEE, 0xAA), "identity 0xEE 0x01; a chip has 0xEE 0xAA"),
    ],
)
def test_another_identity_is_rejected_naming_both_and_the_cure(
    found: Any, wanted: Any, words: str
) -> None:
    assert said(made().expect, found, wanted, "a chip") == (
        FaultKind.REJECTED,
        f"imu on i2c1: the device that answers has {words}: correct use: or address: in horus.yaml",
    )


def test_a_hint_stands_before_the_cure() -> None:
    fault = made().stranger("is no INA219", hint="is it an INA226?")
    assert str(fault).endswith(
        "is no INA219: is it an INA226? Correct use: or address: in horus.yaml"
    )


def test_without_a_place_on_the_bus_the_bus_may_be_wrong() -> None:
    assert str(made(Stream).stranger("is silent")).endswith("correct use: or bus: in horus.yaml")


def test_settings_that_are_not_kept_are_a_fault_that_tells_both() -> None:
    made().confirm("CONFIG", 0x399F, 0x399F)
    kind, text = said(made().confirm, "CONFIG", 0x0001, 0x399F)
    assert kind is FaultKind.CORRUPT
    assert "imu on i2c1: CONFIG reads 0x0001 and not 0x399F: was it restarted" in text
    _, text = said(made().confirm, "MODE1 and MODE2", (0x11, 4), (0x20, 4))
    assert "MODE1 and MODE2 read 0x11 0x04 and not 0x20 0x04" in text

"""`horus drivers`: the table, all about one driver, and the table of the README."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from horus.cli import readme
from horus.cli.main import main
from horus.msgs import DeviceStatus
from horus.plugins import buses, drivers

ROOT = Path(__file__).parents[2]
BEGIN, END = readme.marks("drivers")


def test_the_table_names_every_driver_with_its_device_its_bus_and_its_topics(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["drivers"]) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["USE", "BUS", "DEVICE", "TOPICS"]
    assert [row.split()[0] for row in rows] == sorted(drivers())
    (odrive,) = [row for row in rows if row.startswith("odrive ")]
    assert odrive.split()[1] == "CAN"
    assert "ODrive motor controller" in odrive
    assert odrive.endswith("<name>.command MotorCommand, <name>.state MotorState")


@pytest.mark.parametrize("use", sorted(drivers()))
def test_all_about_one_driver_says_how_to_use_it(
    use: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["drivers", use]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"{use}: ")
    for part in ("topics:", "options:", "simulated twin, options under mock:", "example:"):
        assert f"\n{part}\n" in text
    assert f"{{use: {use}, bus: " in text
    assert re.search(rf"<name>.status +{DeviceStatus.__name__} ", text)
    assert "object at 0x" not in text


def test_options_have_their_units_ranges_and_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drivers", "odrive"]) == 0
    rows = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "node from 0 to 62 must be given CAN node id of the axis" in rows
    assert "max_velocity greater than 0 and at most 10000 rad/s 20 of the output" in rows
    assert "reverse true or false false the motor turns against the output" in rows


def test_addresses_are_shown_in_hex(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drivers", "mpu6050"]) == 0
    rows = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "address 0x68, 0x69 0x68 0x69 with AD0 high" in rows


def test_an_unknown_driver_is_answered_with_the_nearest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["drivers", "odrvie"]) == 2
    assert capsys.readouterr().err == (
        "horus drivers: no driver is called 'odrvie' (did you mean 'odrive'?)\n"
    )


def test_an_unknown_driver_may_be_that_of_a_broken_plugin(
    install: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    install("brk", "broken-package", module="no_such_module_here")
    assert main(["drivers", "ltr303"]) == 2
    text = "horus drivers: plugin brk cannot be loaded: ModuleNotFoundError: "
    assert text in capsys.readouterr().err


def test_a_driver_that_cannot_be_used_is_a_row_and_says_why(
    install: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    install("mine", "my-package", horus_drivers={"mine": "no_such_module_here:X"})
    assert main(["drivers"]) == 1
    found = capsys.readouterr()
    assert "cannot be used (my-package 1.0)" in found.out
    assert "driver mine (no_such_module_here:X, plugin mine of my-package 1.0)" in found.err
    assert main(["drivers", "mine"]) == 1


def test_drivers_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drivers", "mpu6050", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["topics"] == {"<name>": "Imu"}
    assert found["options"]["address"]["choices"] == [0x68, 0x69]
    assert found["options"]["rate"]["high"] == 1000
    assert found["mock"]["seed"]["default"] == 1
    assert main(["drivers", "--json"]) == 0
    assert {about["use"] for about in json.loads(capsys.readouterr().out)} == set(drivers())


def test_only_the_drivers_of_one_package(install: Any, capsys: pytest.CaptureFixture[str]) -> None:
    install("mine", "my-package", horus_drivers={"mine": "horus_drivers.imu.mpu6050:Mpu6050"})
    assert main(["drivers", "--package", "my-package"]) == 0
    _, row = capsys.readouterr().out.splitlines()
    assert row.startswith("mine ")
    assert "(my-package 1.0)" in row


def test_a_table_in_a_readme_is_checked_and_renewed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "README.md"
    file.write_text(f"# Mine\n\n{BEGIN}\nold\n{END}\n\nThe end.\n")
    assert main(["drivers", "--check", str(file)]) == 1
    assert f"run horus drivers --write {file}" in capsys.readouterr().err
    assert main(["drivers", "--write", str(file)]) == 0
    assert main(["drivers", "--check", str(file)]) == 0
    text = file.read_text()
    assert text.startswith(
        f"# Mine\n\n{BEGIN}\n| `use:` | device | bus | topics |\n|---|---|---|---|\n"
    )
    assert text.endswith(f"{END}\n\nThe end.\n")
    assert "| `mpu6050` | InvenSense MPU-6050" in text


def test_a_readme_without_a_place_for_the_table_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "README.md"
    file.write_text("# Mine\n")
    assert main(["drivers", "--write", str(file)]) == 1
    assert BEGIN in capsys.readouterr().err
    assert file.read_text() == "# Mine\n"


@pytest.mark.parametrize("what", ["drivers", "buses"])
def test_the_tables_in_our_own_readme_are_up_to_date(
    what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main([what, "--check", str(ROOT / "drivers/README.md")])
    assert status == 0, capsys.readouterr().err


def test_the_kinds_of_bus_are_listed_with_their_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["buses"]) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["USE", "BUS", "WHAT", "OPTIONS"]
    assert [row.split()[0] for row in rows] == sorted(buses())
    (can,) = [row for row in rows if row.startswith("socketcan ")]
    assert "channel, bitrate, fd" in can


@pytest.mark.parametrize("use", sorted(buses()))
def test_all_about_one_kind_of_bus_says_how_to_use_it(
    use: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["buses", use]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"{use}: ")
    assert "\noptions:\n" in text
    assert f"{{use: {use}" in text


def test_an_unknown_kind_of_bus_is_answered_with_the_nearest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["buses", "socketcn"]) == 2
    assert capsys.readouterr().err == (
        "horus buses: no kind of bus is called 'socketcn' (did you mean 'socketcan'?)\n"
    )


def test_a_kind_of_bus_that_cannot_be_used_is_a_row_and_says_why(
    install: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    install("mine", "my-package", horus_buses={"mine": "no_such_module_here:X"})
    assert main(["buses"]) == 1
    found = capsys.readouterr()
    assert "cannot be used" in found.out
    assert "bus mine (no_such_module_here:X, plugin mine of my-package 1.0)" in found.err
    assert main(["buses", "mine"]) == 1


def test_kinds_of_bus_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["buses", "i2c", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["bus"] == "I2C"
    assert found["options"]["device"]["required"] is True

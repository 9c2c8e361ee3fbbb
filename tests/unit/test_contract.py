"""What a package with a driver of its own gets by its contract: the checks of a rig, whole."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

from horus.testing import actuator_contract, driver_contract
from horus.testing.rig.kinds import CHECKS


def written_in(contract: object) -> dict[str, object]:
    return {name: test for name, test in vars(contract).items() if name.startswith("test_")}


def test_the_contracts_have_every_check() -> None:
    found = set()
    for contract in (driver_contract, actuator_contract):
        for test in written_in(contract).values():
            marks = getattr(test, "pytestmark", [])
            found |= {mark.args[0] for mark in marks if mark.name == "hil_check"}
    assert found == set(CHECKS)


def test_each_test_of_the_suite_is_in_one_contract_or_the_other() -> None:
    folder = Path(str(import_module("horus_hil.checks").__file__)).parent
    written = "".join(path.read_text() for path in folder.glob("test_c*.py"))
    names = set(re.findall(r"^def (test_\w+)", written, re.M))
    measures, moves = written_in(driver_contract).keys(), written_in(actuator_contract).keys()
    assert not names & measures & moves
    assert names - measures - moves == {"test_however_its_process_ends_it_comes_to_rest"}

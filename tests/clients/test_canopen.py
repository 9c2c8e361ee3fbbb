"""The canopen package against the CiA 402 twin: SDO, PDO, NMT, heartbeat and its state machine."""

import logging
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from horus_drivers.motor.cia402 import Cia402, Cia402Config

from tests.clients.canwire import alive

canopen = pytest.importorskip("canopen")
p402 = pytest.importorskip("canopen.profiles.p402")
types = pytest.importorskip("canopen.objectdictionary.datatypes")

TURN = 2 * math.pi
OBJECTS = {
    0x1000: ("Device type", types.UNSIGNED32),
    0x1008: ("Name", types.VISIBLE_STRING),
    0x1017: ("Heartbeat", types.UNSIGNED16),
    0x603F: ("Error code", types.UNSIGNED16),
    0x6040: ("Controlword", types.UNSIGNED16),
    0x6041: ("Statusword", types.UNSIGNED16),
    0x6060: ("Mode", types.INTEGER8),
    0x6061: ("Mode display", types.INTEGER8),
    0x6064: ("Position", types.INTEGER32),
    0x606C: ("Velocity", types.INTEGER32),
    0x607A: ("Target position", types.INTEGER32),
    0x607F: ("Most velocity", types.UNSIGNED32),
    0x6081: ("Profile velocity", types.UNSIGNED32),
    0x60FF: ("Target velocity", types.INTEGER32),
    0x6502: ("Supported modes", types.UNSIGNED32),
}


def dictionary() -> Any:
    """The object dictionary that an EDS file would give."""
    made = canopen.ObjectDictionary()
    variable = canopen.objectdictionary.ODVariable
    for index, (name, type) in OBJECTS.items():
        found = variable(name, index)
        found.data_type = type
        made.add_object(found)
    for number in range(4):
        for base, what in ((0x1400, "RPDO"), (0x1800, "TPDO")):
            about = canopen.objectdictionary.ODRecord(f"{what}{number}", base + number)
            subs = {1: types.UNSIGNED32, 2: types.UNSIGNED8, 3: types.UNSIGNED16}
            for sub, type in {**subs, 5: types.UNSIGNED16}.items():
                member = variable(f"{what}{number}.{sub}", base + number, sub)
                member.data_type = type
                about.add_member(member)
            made.add_object(about)
            place = base + 0x200 + number
            mapping = canopen.objectdictionary.ODRecord(f"{what}{number} map", place)
            for sub in range(9):
                member = variable(f"{what}{number} map {sub}", place, sub)
                member.data_type = types.UNSIGNED32 if sub else types.UNSIGNED8
                mapping.add_member(member)
            made.add_object(mapping)
    return made


@pytest.fixture
def twin() -> Any:
    assert Cia402.twin is not None
    return Cia402.twin(Cia402Config(node=5))


@pytest.fixture
def node(twin: Any) -> Iterator[Any]:
    logging.getLogger("canopen").setLevel(logging.ERROR)
    with alive(twin) as bus:
        network = canopen.Network()
        network.connect(**bus)
        try:
            found = p402.BaseNode402(5, dictionary())
            network.add_node(found)
            yield found
        finally:
            network.disconnect()


def set_up(node: Any) -> None:
    """Map a status PDO with an event timer, then let the profile find its words in the PDOs."""
    node.nmt.state = "PRE-OPERATIONAL"
    node.sdo[0x1017].raw = 50
    node.nmt.wait_for_heartbeat(10)
    node.pdo.read()
    node.tpdo[1].clear()
    for index in (0x6041, 0x6061):
        node.tpdo[1].add_variable(index)
    node.tpdo[1].event_timer = 20
    node.tpdo[1].enabled = True
    node.tpdo[2].clear()
    for index in (0x6064, 0x606C):
        node.tpdo[2].add_variable(index)
    node.tpdo[2].enabled = True
    node.tpdo.save()
    node.setup_402_state_machine()
    node.nmt.state = "OPERATIONAL"


def test_it_reads_the_dictionary_texts_included(node: Any) -> None:
    assert node.sdo[0x1000].raw == 0x00020192
    assert node.sdo[0x1008].raw == "Simulated CiA 402 drive"
    assert node.is_op_mode_supported("PROFILED VELOCITY")
    assert not node.is_op_mode_supported("HOMING")


def test_it_hears_the_abort_of_what_cannot_be_done(node: Any) -> None:
    with pytest.raises(canopen.SdoAbortedError) as info:
        node.sdo.upload(0x1234, 0)
    assert info.value.code == 0x06020000
    with pytest.raises(canopen.SdoAbortedError) as info:
        node.sdo[0x6041].raw = 1
    assert info.value.code == 0x06010002


def test_its_state_machine_enables_the_drive_and_it_turns(
    node: Any, twin: Any, wait_for: Callable[..., None]
) -> None:
    set_up(node)
    node.op_mode = "PROFILED VELOCITY"
    node.state = "OPERATION ENABLED"
    assert node.state == "OPERATION ENABLED"
    node.sdo[0x60FF].raw = 20_000  # two turns a second
    wait_for(lambda: abs(node.tpdo[2][0x606C].raw - 20_000) < 1000)
    assert twin.truth()["velocity"] == pytest.approx(2 * TURN, rel=0.1)
    before = node.tpdo[2][0x6064].raw
    wait_for(lambda: node.tpdo[2][0x6064].raw > before + 1000)
    node.state = "SWITCH ON DISABLED"
    wait_for(lambda: twin.truth()["at_rest"])


def test_a_quick_stop_ends_in_switch_on_disabled(
    node: Any, twin: Any, wait_for: Callable[..., None]
) -> None:
    set_up(node)
    node.op_mode = "PROFILED VELOCITY"
    node.state = "OPERATION ENABLED"
    node.sdo[0x60FF].raw = -20_000
    wait_for(lambda: twin.truth()["velocity"] < -TURN)
    node.controlword = p402.State402.CW_QUICK_STOP
    wait_for(lambda: node.state == "SWITCH ON DISABLED")
    wait_for(lambda: twin.truth()["at_rest"])


def test_a_profiled_position(node: Any, twin: Any, wait_for: Callable[..., None]) -> None:
    set_up(node)
    node.op_mode = "PROFILED POSITION"
    node.sdo[0x6081].raw = 50_000
    node.state = "OPERATION ENABLED"
    node.sdo[0x607A].raw = 5000
    node.controlword = p402.State402.CW_OPERATION_ENABLED | 0x10
    wait_for(lambda: abs(node.tpdo[2][0x6064].raw - 5000) < 20)
    assert twin.truth()["position"] == pytest.approx(TURN / 2, abs=0.05)


def test_it_resets_a_fault(node: Any, twin: Any) -> None:
    set_up(node)
    twin.trip(0x2310)
    node.check_statusword()
    node.check_statusword()
    assert node.is_faulted()
    assert node.sdo[0x603F].raw == 0x2310
    node.reset_from_fault()
    assert node.state == "OPERATION ENABLED"


def test_a_node_that_is_reset_boots_up_again(node: Any) -> None:
    node.nmt.state = "PRE-OPERATIONAL"
    node.nmt.send_command(0x81)
    node.nmt.wait_for_bootup(10)

"""CiA 402 over CANopen: SDO and PDO bytes by hand, the state machine, and the twin."""

import math
import struct
from typing import Any

import pytest
from horus_drivers.motor._cia402 import state_of
from horus_drivers.motor.cia402 import Cia402

from horus.hal import CanFrame, CommandRefused, DeviceFault, FaultKind
from horus.msgs import ControlMode, MotorCommand
from tests.drivers.canbench import TwinBench, Wire, frame

TURN = 2 * math.pi
BEAT = frame(0x705, "05")  # operational
MOTION = frame(0x285, "10270000 F0D8FFFF")  # 10 000 counts, -10 000 counts/s


def condition(status: int, mode: int = 3, error: int = 0) -> CanFrame:
    return CanFrame(0x185, struct.pack("<HbH", status, mode, error))


def wire_of(clock: Any, **options: Any) -> Wire:
    return Wire(clock, Cia402, **{"node": 5, **options})


@pytest.fixture
def wire(clock: Any) -> Wire:
    return wire_of(clock)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (0x0000, "not ready"),
        (0x0250, "switch on disabled"),
        (0x0231, "ready"),
        (0x0233, "switched on"),
        (0x0237, "enabled"),
        (0x1637, "enabled"),
        (0x0217, "quick stop"),
        (0x021F, "fault reaction"),
        (0x0218, "fault"),
    ],
)
def test_states_are_told_by_the_statusword(status: int, state: str) -> None:
    assert state_of(status) == state


def test_it_asks_for_the_device_type_and_takes_a_drive(wire: Wire) -> None:
    assert not wire.driver.probe()
    assert wire.sent() == [frame(0x605, "40 0010 00 00000000")]
    wire.give(frame(0x585, "43 0010 00 92010200"))
    assert wire.driver.probe()


def test_a_node_that_somebody_stopped_is_woken(wire: Wire) -> None:
    wire.give(frame(0x705, "7F"))
    wire.driver.probe()
    assert frame(0x000, "8005") not in wire.sent()  # pre-operational: it answers
    wire.give(frame(0x705, "04"))
    wire.driver.probe()
    assert frame(0x000, "8005") in wire.sent()


def test_another_profile_is_refused_naming_both(wire: Wire) -> None:
    wire.give(frame(0x585, "43 0010 00 91010F00"))
    with pytest.raises(DeviceFault, match="profile 401; a CiA 402 drive has 402") as info:
        wire.driver.probe()
    assert str(info.value).endswith("correct use: or node: in horus.yaml")
    assert info.value.kind is FaultKind.REJECTED


def test_safe_orders_a_quick_stop_by_pdo_and_by_sdo(wire: Wire) -> None:
    wire.driver.safe()
    assert wire.sent() == [
        frame(0x205, "0200 00000000"),
        frame(0x605, "2B 4060 00 02000000"),
    ]


def test_arming_begins_and_reading_goes_on_through_the_states(wire: Wire) -> None:
    wire.give(BEAT, MOTION, condition(0x0250))
    wire.driver.arm()
    wire.driver.armed_ns = wire.clock.monotonic_ns()
    assert wire.sent() == [frame(0x605, "2F 6060 00 03000000"), frame(0x205, "0600 00000000")]
    for status, word in ((0x0231, "0700"), (0x0233, "0F00")):
        wire.give(condition(status))
        wire.driver.read()
        assert frame(0x205, word + "00000000") in wire.sent()
    wire.give(condition(0x0237))
    wire.driver.read()
    wire.sent()
    wire.driver.write(MotorCommand(velocity=-TURN))
    assert wire.sent() == [frame(0x205, "0F00 F0D8FFFF")]  # -10 000 counts/s


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ({"torque": 0.5}, "torque is given: in mode VELOCITY this driver follows velocity only"),
        (
            {"mode": ControlMode.POSITION, "position": 1.0, "velocity": 2.0},
            "velocity is given: in mode POSITION this driver follows position only",
        ),
        ({"mode": ControlMode.TORQUE}, "control mode 3: this driver does VELOCITY and POSITION"),
    ],
)
def test_what_the_drive_does_not_follow_is_refused(wire: Wire, command: Any, text: str) -> None:
    with pytest.raises(CommandRefused) as info:
        wire.driver.check(MotorCommand(**command))
    assert str(info.value).startswith(text)


def test_not_enabled_in_time_is_a_fault(wire: Wire) -> None:
    wire.driver.armed_ns = wire.clock.monotonic_ns()
    wire.clock.advance(1.1)
    wire.give(BEAT, MOTION, condition(0x0231))
    with pytest.raises(DeviceFault, match="state 'ready', not enabled: has its power stage"):
        wire.driver.read()


def test_a_position_is_a_new_one_by_an_edge(wire: Wire) -> None:
    wire.give(condition(0x0237))
    wire.driver.write(MotorCommand(mode=ControlMode.POSITION, position=TURN / 4))
    assert wire.sent() == [
        frame(0x605, "2F 6060 00 01000000"),
        frame(0x305, "0F00 C4090000"),  # not yet: the drive is still in mode 3
    ]
    wire.give(condition(0x0237, mode=1))
    wire.driver.write(MotorCommand(mode=ControlMode.POSITION, position=TURN / 4))
    assert wire.sent() == [
        frame(0x305, "0F00 C4090000"),
        frame(0x305, "2F00 C4090000"),
        frame(0x305, "3F00 C4090000"),
    ]


def test_the_state_in_si_units(clock: Any) -> None:
    wire = wire_of(clock, gear_ratio=2.0, reverse=True)
    wire.give(BEAT, condition(0x0237), MOTION)
    state = wire.driver.read()
    assert state.position == pytest.approx(-TURN / 2)
    assert state.velocity == pytest.approx(TURN / 2)
    assert wire.driver.read() is None


def test_a_drive_that_counts_in_rpm(clock: Any) -> None:
    wire = wire_of(clock, velocity_unit="rpm", gear_ratio=10.0)
    wire.give(condition(0x0237))
    wire.driver.write(MotorCommand(velocity=TURN))  # 60 rpm, 600 at the motor
    assert wire.sent() == [frame(0x205, "0F00 58020000")]


@pytest.mark.parametrize(
    ("frames", "text"),
    [
        ([BEAT, condition(0x0218, error=0x8130)], "fault 0x8130 heartbeat lost"),
        ([BEAT, condition(0x021F, error=0x2310)], "fault reaction 0x2310 over-current"),
        ([frame(0x705, "7F"), condition(0x0250)], "state 0x7F, not operational"),
    ],
)
def test_a_drive_in_trouble_is_a_fault(wire: Wire, frames: list[CanFrame], text: str) -> None:
    wire.give(*frames)
    with pytest.raises(DeviceFault, match=text) as info:
        wire.driver.read()
    assert info.value.kind is FaultKind.REJECTED


def test_a_drive_that_falls_silent_is_stale(wire: Wire) -> None:
    wire.give(BEAT, condition(0x0237), MOTION)
    wire.driver.read()
    wire.clock.advance(0.6)
    with pytest.raises(DeviceFault, match="no heartbeat for 0.60 s"):
        wire.driver.read()


def test_our_heartbeat_is_sent_twenty_times_a_second(wire: Wire) -> None:
    beats = 0
    for _ in range(100):
        wire.clock.advance(0.01)
        wire.give(BEAT, condition(0x0250), MOTION)
        wire.driver.read()
        beats += wire.sent().count(frame(0x77F, "05"))
    assert beats == 20


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ({"velocity": -21.0}, "velocity must be from -20 to 20 rad/s (max_velocity)"),
        ({"mode": ControlMode.POSITION, "position": 1.4e6}, "position must be from"),
        ({"mode": ControlMode.TORQUE}, "VELOCITY and POSITION"),
    ],
)
def test_what_it_cannot_do_is_refused(wire: Wire, command: Any, text: str) -> None:
    with pytest.raises(CommandRefused) as info:
        wire.driver.check(MotorCommand(**command))
    assert text in str(info.value)


def abort(request: bytes, code: str) -> CanFrame:
    return frame(0x585, "80" + request[1:4].hex() + code)


def configure(wire: Wire, refuse: dict[bytes, str]) -> list[CanFrame]:
    """Answer the driver's SDO requests, some of them with an abort; return what it sent."""
    seen: list[CanFrame] = []
    for wait in wire.driver.configure():
        for sent in wire.sent():
            seen.append(sent)
            if sent.id == 0x605:
                code = refuse.get(sent.data[1:4])
                done = frame(0x585, "60" + sent.data[1:4].hex() + "00000000")
                wire.give(abort(sent.data, code) if code else done)
            elif sent == frame(0x000, "0105"):
                wire.give(BEAT, condition(0x0250))
        wire.clock.advance(wait)
    return seen


def test_configuring_arms_the_drives_watchdog_and_maps_the_pdos(wire: Wire) -> None:
    seen = configure(wire, {})
    expected = [
        frame(0x000, "8005"),  # pre-operational
        frame(0x605, "23 1610 01 FA007F00"),  # watch node 127 for 250 ms
        frame(0x605, "2B 1710 00 64000000"),  # beat every 100 ms
        frame(0x605, "2B 5A60 00 02000000"),  # quick stop: brake, then off
        frame(0x605, "23 0014 01 05020080"),  # first PDO to the drive: off
        frame(0x605, "23 0016 01 10004060"),  # controlword, 16 bits
        frame(0x605, "23 0016 02 2000FF60"),  # target velocity, 32 bits
        frame(0x605, "2F 0016 00 02000000"),
        frame(0x605, "23 0014 01 05020000"),  # on
        frame(0x605, "23 001A 01 10004160"),  # statusword
        frame(0x605, "2B 0118 05 0A000000"),  # motion every 10 ms
        frame(0x605, "2B 4060 00 80000000"),  # fault reset
        frame(0x000, "0105"),  # start
    ]
    places = [seen.index(each) for each in expected]
    assert places == sorted(places)


def test_objects_that_a_drive_may_lack_are_left_out(wire: Wire) -> None:
    configure(wire, {b"\x07\x60\x00": "00000206", b"\x7f\x60\x00": "00000206"})


def test_a_drive_without_a_watchdog_is_refused_unless_it_is_turned_off(clock: Any) -> None:
    refuse = {b"\x16\x10\x01": "00000206"}
    with pytest.raises(DeviceFault, match="object 0x1016:1 does not exist") as info:
        configure(wire_of(clock), refuse)
    assert info.value.kind is FaultKind.REJECTED
    configure(wire_of(clock, watchdog=0.0), refuse)


def test_a_drive_that_does_not_answer_is_a_timeout(wire: Wire) -> None:
    with pytest.raises(DeviceFault, match="object 0x1016:1 is not answered") as info:
        for wait in wire.driver.configure():
            wire.clock.advance(wait)
    assert info.value.kind is FaultKind.TIMEOUT


# the twin, with ids and bytes only ----------------------------------------------------------------


@pytest.fixture
def bench(clock: Any) -> TwinBench:
    return TwinBench(clock, Cia402, node=5)


def sdo(bench: TwinBench, data: str) -> str:
    (answer,) = (f for f in bench.send(0x605, data) if f.id == 0x585)
    return answer.data.hex().upper()


def test_the_twin_boots_into_pre_operational(bench: TwinBench) -> None:
    assert frame(0x705, "00") in bench.run(0.1)
    sdo(bench, "2B 1710 00 64000000")
    beats = [f for f in bench.run(1.0) if f.id == 0x705]
    assert len(beats) == pytest.approx(10, abs=1)
    assert beats[-1] == frame(0x705, "7F")


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("40 0010 00 00000000", "4300100092010200"),
        ("40 4160 00 00000000", "4B41600050020000"),
        ("40 6160 00 00000000", "4F61600000000000"),
        ("40 3412 00 00000000", "8034120000000206"),  # no such object
        ("40 1610 07 00000000", "8016100711000906"),  # no such sub-index
        ("2B 4160 00 00000000", "8041600002000106"),  # cannot be written
        ("2F 4060 00 06000000", "8040600010000706"),  # wrong length
        ("60 0000 00 00000000", "8000000000000305"),  # nothing to go on with
    ],
)
def test_the_twins_sdo_server(bench: TwinBench, question: str, answer: str) -> None:
    assert sdo(bench, question) == answer


def test_the_twin_gives_its_name_in_segments(bench: TwinBench) -> None:
    assert sdo(bench, "40 0810 00 00000000") == "4108100017000000"  # 23 bytes
    text = b""
    for toggle in ("60", "70", "60", "70"):
        answer = bytes.fromhex(sdo(bench, toggle + "00000000000000"))
        text += answer[1 : 8 - (answer[0] >> 1 & 7)]
    assert answer[0] & 1
    assert text == b"Simulated CiA 402 drive"


def enable(bench: TwinBench) -> None:
    bench.send(0x000, "0100")  # all nodes
    sdo(bench, "2F 6060 00 03000000")
    for word in ("0600", "0700", "0F00"):
        bench.send(0x205, word)  # the default mapping has the controlword alone


def test_the_twin_goes_through_the_states_and_tells_each_change(bench: TwinBench) -> None:
    bench.send(0x000, "0105")
    told = []
    for word in ("0600", "0700", "0F00"):
        found = bench.send(0x205, word)
        told += [state_of(struct.unpack("<H", f.data)[0]) for f in found if f.id == 0x185]
    assert told == ["ready", "switched on", "enabled"]
    bench.send(0x205, "0000")
    assert bench.twin.truth()["state"] == "switch on disabled"
    bench.send(0x205, "0F00")  # not at one go
    assert bench.twin.truth()["state"] == "switch on disabled"


def test_pdos_are_ignored_before_the_node_is_started(bench: TwinBench) -> None:
    bench.send(0x205, "0600")
    assert bench.twin.truth()["state"] == "switch on disabled"


def test_the_twin_follows_a_velocity_along_its_ramp(bench: TwinBench) -> None:
    enable(bench)
    sdo(bench, "23 8360 00 10270000")  # 10 000 counts/s² = 1 rev/s²
    sdo(bench, "23 FF60 00 10270000")  # 1 rev/s
    bench.run(0.5)
    assert bench.twin.truth()["velocity"] == pytest.approx(TURN / 2, rel=0.1)
    bench.run(1.5)
    assert bench.twin.truth()["velocity"] == pytest.approx(TURN, rel=0.02)
    bench.send(0x205, "0200")  # quick stop
    bench.run(1.5)
    assert bench.twin.truth()["at_rest"]


def test_the_twin_goes_to_a_position_at_an_edge_of_bit_4(bench: TwinBench) -> None:
    enable(bench)
    sdo(bench, "2F 6060 00 01000000")
    sdo(bench, "23 8160 00 A0860100")
    sdo(bench, "23 7A60 00 C4090000")
    bench.run(0.5)
    assert bench.twin.truth()["position"] == 0.0
    bench.send(0x205, "1F00")
    bench.run(2.0)
    assert bench.twin.truth()["position"] == pytest.approx(TURN / 4, abs=0.01)
    sdo(bench, "23 7A60 00 00000000")
    bench.send(0x205, "1F00")  # no edge
    bench.run(0.5)
    assert bench.twin.truth()["position"] == pytest.approx(TURN / 4, abs=0.01)


def test_the_twin_stops_when_the_masters_heartbeat_is_lost(bench: TwinBench) -> None:
    sdo(bench, "23 1610 01 FA007F00")
    enable(bench)
    sdo(bench, "23 FF60 00 10270000")
    for _ in range(20):
        bench.send(0x77F, "05")
        bench.run(0.05)
    assert bench.twin.truth()["state"] == "enabled"
    bench.run(0.3)
    assert bench.twin.truth()["state"] == "fault"
    assert sdo(bench, "40 3F60 00 00000000") == "4B3F600030810000"
    bench.run(2.0)
    assert bench.twin.truth()["at_rest"]
    bench.send(0x205, "0000")
    bench.send(0x205, "8000")
    assert bench.twin.truth()["state"] == "switch on disabled"


def test_the_twin_brakes_when_the_heartbeat_is_lost_if_told_so(bench: TwinBench) -> None:
    sdo(bench, "23 1610 01 FA007F00")
    sdo(bench, "2B 0760 00 03000000")
    enable(bench)
    sdo(bench, "23 FF60 00 10270000")
    for _ in range(20):
        bench.send(0x77F, "05")
        bench.run(0.05)
    bench.run(0.22)
    assert bench.twin.truth()["state"] == "quick stop"
    bench.run(1.0)
    assert bench.twin.truth()["state"] == "switch on disabled"
    assert bench.twin.truth()["at_rest"]


def test_a_reset_of_the_node_forgets_everything(bench: TwinBench) -> None:
    enable(bench)
    found = bench.send(0x000, "8105")
    assert frame(0x705, "00") in found
    assert bench.twin.truth()["state"] == "switch on disabled"
    assert sdo(bench, "40 6160 00 00000000") == "4F61600000000000"

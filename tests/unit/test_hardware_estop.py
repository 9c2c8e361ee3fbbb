"""What is kept of an emergency stop for those who start later."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from horus.bus import session
from horus.errors import ConfigError, SharedMemoryError
from horus.hardware import estop, stopping
from horus.hardware.config import load
from horus.hardware.estop import Stop
from horus.msgs import DeviceStatus


def test_a_stop_is_kept_until_it_is_forgotten(shm: Path) -> None:
    assert estop.kept() is None
    stop = Stop(50, "too close", "button")
    estop.keep(stop)
    assert estop.kept() == stop
    assert str(stop) == "e-stop engaged (too close, by button)"
    estop.forget(49)  # a release from before the stop
    assert estop.kept() == stop
    estop.forget(50)
    assert estop.kept() is None
    assert not list(shm.glob("estop*"))


def test_every_run_has_a_stop_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HORUS_SESSION_ID", session.new_session().id)
    estop.keep(Stop(1))
    monkeypatch.setenv("HORUS_SESSION_ID", session.new_session().id)
    assert estop.kept() is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"stamp_ns": "x"}', '{"stamp_ns": 1e999}', "\xff", "[" * 4096]
)
def test_what_cannot_be_read_is_a_stop(shm: Path, text: str) -> None:
    (shm / estop.FILE).write_text(text, "latin-1")
    found = estop.kept()
    assert found is not None
    assert "cannot be read" in found.reason
    estop.forget(time.monotonic_ns())
    assert estop.kept() is None


def test_where_nothing_moves_a_stop_is_kept_all_the_same() -> None:
    assert stopping.send("early", "test") == []
    found = estop.kept()
    assert found is not None
    assert (found.reason, found.source) == ("early", "test")
    assert stopping.send(release=True) == []
    assert estop.kept() is None


def test_a_stop_can_be_sent_when_all_memory_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    made = session.new_session()
    monkeypatch.setenv("HORUS_SESSION_ID", made.id)
    estop.StopWatch()  # an actuator's node
    reserve = session.session_dir(made.id) / estop.RESERVE
    keep = estop.keep

    def keep_if_there_is_room(stop: Stop) -> None:
        if reserve.exists():
            raise SharedMemoryError("it is full")
        keep(stop)

    monkeypatch.setattr(estop, "keep", keep_if_there_is_room)
    stopping.send("at last", "test")
    found = estop.kept()
    assert found is not None
    assert found.reason == "at last"
    assert reserve.stat().st_size == estop.RESERVED  # for the next one
    session.end_session(made.id)
    assert not reserve.parent.exists()


def test_no_device_may_take_the_name_of_the_topic(tmp_path: Path) -> None:
    path = tmp_path / "horus.yaml"
    path.write_text(
        "buses: {i2c1: {use: i2c, device: /dev/i2c-1}}\n"
        "hardware: {estop: {use: mpu6050, bus: i2c1}}\n"
    )
    with pytest.raises(ConfigError, match="the topic estop is that of the emergency stop"):
        load(path)


def test_an_answer_is_what_a_device_does_not_what_it_once_refused() -> None:
    refused = "; 40 commands refused, the last: e-stop engaged (stairs, ann)"

    def says(text: str) -> DeviceStatus:
        return DeviceStatus(state="ready", message=f"READY: {text}{refused}")

    released = says("e-stop released: follows what is sent on wheel.command from now on")
    assert stopping._obeys(released, release=True)
    assert not stopping._obeys(says("no command for 0.25 s: told to stop"), release=False)
    engaged = says("e-stop engaged (stairs, ann): told to stop")
    assert stopping._obeys(engaged, release=False)
    assert not stopping._obeys(engaged, release=True)

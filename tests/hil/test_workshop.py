"""What a run on a bench has beside its tests: means of faults that no other run may use."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from horus.runtime import guarding
from horus.testing.rig.file import load
from horus.testing.rig.twin_processes import TwinProcesses
from horus.testing.rig.workshop import Workshop

RIG = """\
rig: {{name: {name}, kind: real, allow: [unplug]}}
buses: {{port: {{use: serial, device: /dev/ttyUSB0}}}}
hardware: {{arm: {{use: feetech, bus: port, ids: [1]}}}}
faults: {{port: {{unplug: {{by: network-relay, off: "{url}/off", on: "{url}/on"}}}}}}
"""


@pytest.fixture
def relay() -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []

    class Relay(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Relay)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_one_run_has_cut_no_other_run_gives_back(
    tmp_path: Path, relay: tuple[str, list[str]]
) -> None:
    url, asked = relay
    for name in ("one", "two"):  # two files about one bench
        (tmp_path / f"{name}.yaml").write_text(RIG.format(name=name, url=url))
    rig = load(tmp_path / "one.yaml")
    first = Workshop(rig, rig.devices)
    try:
        assert first.restore(rig.devices) == []
        assert first.given_back == {"port"}
        first.breakers("arm")["unplug"].cut()
        assert asked == ["/on", "/off"]
        other = load(tmp_path / "two.yaml")
        second = Workshop(other, other.devices)
        try:
            (wrong,) = second.restore(other.devices)
        finally:
            second.close()
        assert wrong.startswith(f"port: rig network-relay off {url}/off on {url}/on")
        assert "is in use by rig one of " in wrong
        assert asked == ["/on", "/off"], "it was given back in the middle of the other's fault"
    finally:
        first.close()
    assert asked == ["/on", "/off", "/on"]
    third = Workshop(rig, rig.devices)
    try:
        assert third.restore(rig.devices) == []
    finally:
        third.close()


def test_a_guardian_that_is_killed_has_a_successor_before_the_next_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarding, "_WAIT", 60.0)
    rig = tmp_path / "rig.yaml"
    rig.write_text(RIG.format(name="one", url="http://127.0.0.1:9"))
    made = Workshop(load(rig), ())
    try:
        first = made._guardian.pid
        os.kill(first, signal.SIGKILL)
        os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
        made.keep_guarded()
        assert made._guardian.pid != first
        second = made._guardian.pid
        made.keep_guarded()
        assert made._guardian.pid == second, "one that is at work is left alone"
    finally:
        made.close()
    code = made._guardian._popen.returncode
    assert code == 0, "it knows this run, and was told that all is well"


def test_wires_alone_need_no_simulated_devices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[object] = []
    monkeypatch.setattr(TwinProcesses, "start", lambda *given: started.append(given))
    path = tmp_path / "rig.yaml"
    path.write_text(RIG.format(name="one", url="http://127.0.0.1:9").replace("real", "mock"))
    rig = load(path)
    Workshop(rig, (), twins=True).close()
    assert started == []
    Workshop(rig, rig.devices, twins=True).close()
    assert len(started) == 1

"""The monitor in a browser, as it is over HTTP: what is shown, to whom, and what is refused."""

from __future__ import annotations

import errno
import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from horus_plugins.monitor import hub
from horus_plugins.monitor.server import Server, _why

from horus.bus import Subscriber
from horus.bus.leftovers import has_readers
from horus.cli.main import main
from horus.hardware import estop
from horus.msgs import EmergencyStop, Imu


class Browser:
    """What a browser would ask, with its cookie."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.cookie = f"{server.cookie}={server.key}"
        self.origin = f"http://127.0.0.1:{server.port}"

    def ask(self, path: str, method: str = "GET", body: bytes | None = None, **headers: Any):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        sent = {"Cookie": self.cookie} | {k.replace("_", "-"): v for k, v in headers.items()}
        wanted = {name: value for name, value in sent.items() if value is not None}
        with closing(connection):
            connection.request(method, path, body, wanted)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read().decode()

    def estop(self, body: object, **more: Any):
        headers = {"Origin": self.origin, "X_Horus_Key": self.server.page_key} | more
        return self.ask("/estop", "POST", json.dumps(body).encode(), **headers)

    def events(self, path: str = "/events") -> Iterator[dict[str, Any]]:
        """Yield what comes, until the caller has enough."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        try:
            connection.request("GET", path, headers={"Cookie": self.cookie})
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            assert answer.headers["Content-Type"] == "text/event-stream"
            # The whole stream is JSON that also says no NaN.
            while line := answer.readline():
                if line.startswith(b"data: {"):
                    yield json.loads(line[6:], parse_constant=pytest.fail)
        finally:
            connection.close()


@pytest.fixture
def serve(robot) -> Iterator[Callable[..., Browser]]:
    """Start a server on a port of its own."""
    started: list[tuple[Server, threading.Thread]] = []

    def start(**more: Any) -> Browser:
        server = Server(robot.id, 0, **more)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        started.append((server, thread))
        return Browser(server)

    yield start
    for server, thread in started:
        server.shutdown()
        thread.join()
        server.close()


@pytest.fixture
def browser(serve) -> Browser:
    return serve(control=True)


def first(browser: Browser, condition: Callable[[dict[str, Any]], object], path: str = "/events"):
    """Return the first event of which a condition holds."""
    deadline = time.monotonic() + 30
    for event in browser.events(path):
        if condition(event):
            return event
        if time.monotonic() > deadline:
            pytest.fail(f"it did not come in time: {event}")
    return None


# what is shown


def test_who_opens_the_printed_address_gets_the_page(browser):
    path = browser.server.url.removeprefix(browser.origin)
    status, headers, _ = browser.ask(path, Cookie=None)
    assert (status, headers["Location"]) == (303, "/")
    cookie = headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    status, headers, page = browser.ask("/", Cookie=cookie.partition(";")[0])
    assert status == 200 and "<title>HORUS monitor</title>" in page
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"


def test_the_page_needs_nothing_from_outside(browser):
    texts = [browser.ask(path)[2] for path in ("/", "/page.css", "/page.js")]
    assert all(len(text) > 500 for text in texts)
    assert not re.search(r"https?://|//\w+\.|@import|innerHTML|eval\(", "".join(texts))
    assert set(re.findall(r'(?:src|href)="([^"]+)"', texts[0])) == {
        "data:,",
        "/page.css",
        "/page.js",
    }


def test_the_failing_device_comes_first_and_new_lines_come_once(robot, browser):
    robot.device("air")
    robot.device("imu", "absent", "nothing answers at address 0x68")
    robot.send("imu", Imu())
    robot.log.add("drive", [b"first"])
    seen: list[str] = []
    for event in browser.events():
        seen += [cells[-1] for _, _, cells in event["log"]]
        if event["panels"]["devices"][3] and "second" in seen:
            break
        if seen == ["first"]:
            robot.log.add("drive", [b"second"])
    assert seen == ["first", "second"]
    name, title, columns, lines, _ = event["panels"]["devices"]
    assert (name, title) == ("devices", "Devices 2, 1 failing")
    assert columns[0][0] == "DEVICE"
    assert lines[0][:2] == ["imu", "bad"]
    assert lines[0][2][:2] == ["✗ imu", "ABSENT"]
    text = "FAILING device imu ABSENT: nothing answers at address 0x68"
    assert ["bad", text] in event["verdict"]
    assert event["mock"] and not event["ended"] and event["stop"] is None


def test_each_browser_plots_its_own_fields(robot, browser, wait_for):
    robot.send("imu", Imu(gyro_z=1.5))
    robot.send("count", 7)
    status, _, text = browser.ask("/fields?topic=imu")
    assert status == 200 and {"path": "gyro_z", "unit": "rad/s"} in json.loads(text)
    one = first(browser, lambda e: e["plots"][0]["points"], "/events?plot=imu/f/gyro_z")
    (plot,) = one["plots"]
    assert (plot["topic"], plot["path"], plot["unit"]) == ("imu", "gyro_z", "rad/s")
    assert plot["points"][0][1] == 1.5
    assert abs(plot["points"][0][0] - one["clock"]) < 60
    two = first(browser, lambda e: e["plots"][0]["points"], "/events?plot=count/f/&plot=no/f/x")
    assert two["plots"][0]["points"][0][1] == 7
    assert two["plots"][1]["trouble"] == "the topic is not there"
    status, _, text = browser.ask("/fields?topic=imo")
    assert status == 404 and "did you mean 'imu'" in text


def test_only_who_asks_for_all_topics_sees_those_of_horus(robot, browser):
    robot.send("imu", Imu())
    robot.send("sim.imu", {"a": 1})

    def names(event: dict[str, Any]) -> set[str]:
        return {key for key, *_ in event["panels"]["topics"][3]}

    every = browser.events("/events?all=1")
    assert next(names(event) for event in every if "sim.imu" in names(event)) >= {"imu"}
    assert names(first(browser, lambda e: e["panels"]["topics"][3])) == {"imu"}
    every.close()


def test_while_nobody_looks_nothing_is_looked_at(robot, browser, wait_for, monkeypatch):
    assert not has_readers("horus/nodes")
    monkeypatch.setattr(hub, "LINGER", 0.0)
    events = browser.events()
    next(events)
    assert has_readers("horus/nodes")
    events.close()
    wait_for(lambda: not has_readers("horus/nodes"))
    wait_for(lambda: browser.server.hub.last is None)
    wait_for(lambda: browser.server.watchers == 0)
    next(browser.events())


def test_the_end_of_the_session_is_said_also_to_who_comes_later(robot, browser):
    robot.device("imu")
    for event in browser.events():
        if event["panels"]["devices"][3]:
            robot.ends()
            break
    for _ in range(2):
        event = first(browser, lambda e: e["ended"])
        assert "This session has ended" in event["verdict"][0][1]
    status, _, text = browser.estop({"engage": True})
    assert (status, text) == (409, "the session has ended\n")
    assert not robot.session.path.exists()


# who may look


@pytest.mark.parametrize(
    "headers",
    [{"Cookie": None}, {"Cookie": "horus_monitor_1=x"}, {"Cookie": "=;{}"}],
)
@pytest.mark.parametrize("path", ["/", "/events", "/fields?topic=imu", "/page.js", "/?key=wrong"])
def test_who_has_no_key_sees_nothing(browser, headers, path):
    status, _, text = browser.ask(path, **headers)
    assert status == 403
    assert "Open the address that horus monitor --web has printed" in text


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8420", "127.0.0.1.evil.example", ""]
)
def test_a_name_that_is_not_this_machines_is_refused(browser, host):
    assert browser.ask("/", Host=host)[0] == 421
    assert browser.estop({"engage": True}, Host=host, Origin=f"http://{host}")[0] == 421
    assert estop.kept() is None


def test_a_tunnel_may_have_another_port(browser):
    assert browser.ask("/", Host="localhost:9999")[0] == 200
    assert browser.ask("/", Host="127.0.0.1")[0] == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
def test_another_websites_page_is_refused(browser, origin):
    assert browser.ask("/events", Origin=origin)[0] == 403
    assert browser.estop({"engage": True}, Origin=origin)[0] == 403
    assert estop.kept() is None


def test_it_listens_on_this_machine_alone(browser):
    assert browser.server.server_address[0] == "127.0.0.1"


# steering


def test_the_page_stops_the_robot_and_releases_it(robot, browser):
    with closing(Subscriber(estop.TOPIC, EmergencyStop)) as heard:
        status, _, text = browser.estop({"engage": True})
        assert (status, json.loads(text)) == (200, [])
        message = heard.recv()
        assert message.engaged and message.source == "horus monitor --web"
        event = first(browser, lambda e: e["stop"])
        assert event["stop"]["source"] == "horus monitor --web"
        assert browser.estop({"engage": False})[0] == 200
        assert not heard.recv().engaged
    assert estop.kept() is None


@pytest.mark.parametrize(
    ("body", "more", "status"),
    [
        ({"engage": True}, {"X_Horus_Key": "wrong"}, 403),
        ({"engage": True}, {"X_Horus_Key": None}, 403),
        ({"engage": True}, {"Origin": None}, 403),
        ({"engage": True}, {"Cookie": None}, 403),
        ({"engage": 1}, {}, 400),
        ({}, {}, 400),
        ([], {}, 400),
        ("x" * 5000, {}, 400),
    ],
)
def test_what_is_not_the_pages_own_wish_is_refused(browser, body, more, status):
    assert browser.estop(body, **more)[0] == status
    assert estop.kept() is None
    assert browser.ask("/")[0] == 200, "it goes on"


def test_without_permission_nothing_is_steered(serve):
    browser = serve()
    _, _, page = browser.ask("/")
    assert 'name="control" content="no"' in page and 'name="key" content=""' in page
    status, _, text = browser.estop({"engage": True})
    assert status == 403 and "--allow-control" in text
    assert estop.kept() is None


# bad input


def test_nonsense_is_answered_and_survived(browser):
    assert browser.ask("/nothing")[0] == 404
    assert browser.ask("/fields?topic=" + "x" * 300)[0] == 404
    assert browser.ask("/fields?topic=../../etc")[0] == 404
    assert browser.ask("/", "PUT")[0] == 501
    with socket.create_connection(("127.0.0.1", browser.server.port), 30) as raw:
        raw.sendall(b"\x00\xff nonsense\r\n\r\n")
        assert raw.recv(4096)
    assert browser.ask("/")[0] == 200


def test_too_many_browsers_are_told_so(browser, monkeypatch):
    monkeypatch.setattr("horus_plugins.monitor.server.WATCHERS", 1)
    events = browser.events()
    next(events)
    status, _, text = browser.ask("/events")
    assert status == 503 and "close one" in text
    events.close()


def test_a_port_in_use_is_named_with_the_cure(robot, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["monitor", "--web", "--port", str(port)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(
        f"horus: port {port} of 127.0.0.1 is in use: choose another with --port"
    )


def test_a_port_that_is_roots_is_named():
    assert "only be taken by root" in _why(PermissionError(errno.EACCES, "no"), 80)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--port", "x"], "'x' is no port"),
        (["--web", "--port", "70000"], "'70000' is no port"),
        (["--port", "0"], "horus monitor --web --port"),
        (["--allow-control"], "horus monitor --web --allow-control"),
        (["--web", "--json"], "choose one of --web and --json"),
    ],
)
def test_words_that_make_no_sense_are_refused(robot, capsys, words, text):
    assert main(["monitor", *words]) == 2
    assert text in capsys.readouterr().err


def test_the_pages_files_are_in_the_package():
    folder = Path(__file__).parents[2]
    packed = re.search(
        r'^horus_plugins = \[.*"monitor/page/\*".*\]', (folder / "pyproject.toml").read_text(), re.M
    )
    assert packed
    assert {path.name for path in (folder / "plugins/monitor/page").iterdir()} == {
        "page.html",
        "page.css",
        "page.js",
    }

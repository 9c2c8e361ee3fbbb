"""The same dashboard in a browser on this machine: a page, and the events that fill it."""

from __future__ import annotations

import contextlib
import errno
import hmac
import json
import math
import secrets
import time
from collections.abc import Iterator
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from horus_plugins.monitor import views
from horus_plugins.monitor.errors import MonitorError
from horus_plugins.monitor.hub import Hub
from horus_plugins.monitor.series import Series, fields_of

from horus.cli import live
from horus.errors import HorusError
from horus.hardware import stopping

__all__ = ["PORT", "Server"]

HOST, PORT = "127.0.0.1", 8420
#: Names by which a browser on this machine may know it: another one is another website's.
NAMES = ("127.0.0.1", "localhost", "[::1]")
PAGE = Path(__file__).parent / "page"
FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
#: Carries the page's own key with what steers the robot.
KEY_HEADER = "X-Horus-Key"
#: Browsers that watch at once, fields that each plots, bytes of what it asks.
WATCHERS, PLOTS, BODY = 12, 3, 4096
#: A browser that takes nothing for so long (s) is left.
PATIENCE = 10.0
SOURCE = "horus monitor --web"


class Server(ThreadingHTTPServer):
    """Serves one session to browsers on this machine; who has not the key sees nothing."""

    daemon_threads = True

    def __init__(self, session_id: str, port: int = PORT, *, control: bool = False) -> None:
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            raise MonitorError(_why(error, port)) from None
        self.port = int(self.server_address[1])
        self.control = control
        self.hub = Hub(session_id)
        self.watchers = 0
        #: Who knows this may look; it is in the address that is printed.
        self.key = secrets.token_urlsafe(18)
        #: Only the page itself knows this one.
        self.page_key = secrets.token_urlsafe(18)

    @property
    def url(self) -> str:
        """Return the address to open."""
        return f"http://{HOST}:{self.port}/?key={self.key}"

    @property
    def cookie(self) -> str:
        """Return the name of the cookie that keeps the key: other ports have others."""
        return f"horus_monitor_{self.port}"

    def close(self) -> None:
        """Let go of the port and of the session."""
        self.server_close()
        self.hub.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Leave out browsers that went away."""


def _why(error: OSError, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} of {HOST} is in use: choose another with --port, "
            "or let it take any that is free with --port 0"
        )
    if error.errno == errno.EACCES:
        return f"port {port} may only be taken by root: choose one above 1023 with --port"
    return f"port {port} of {HOST} cannot be taken: {error.strerror or error}"


class _Handler(BaseHTTPRequestHandler):
    """One connection of a browser."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "horus", ""
    timeout = PATIENCE

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    # who asks ---------------------------------------------------------------------------------

    def _ours(self) -> bool:
        """Return whether it is our own page that asks, by a name of this machine."""
        host = self.headers.get("Host", "").lower()
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if name not in NAMES:
            self._refuse(HTTPStatus.MISDIRECTED_REQUEST, f"open http://{HOST}:{self.server.port}")
            return False
        origin = self.headers.get("Origin")
        if origin is not None and origin.lower() != f"http://{host}":
            self._refuse(HTTPStatus.FORBIDDEN, "another website asks")
            return False
        return True

    def _known(self) -> bool:
        with contextlib.suppress(CookieError):
            found = SimpleCookie(self.headers.get("Cookie", "")).get(self.server.cookie)
            return found is not None and _same(found.value, self.server.key)
        return False

    # what is asked ----------------------------------------------------------------------------

    def do_GET(self) -> None:
        """Answer with the page, its parts, or the events."""
        url = urlsplit(self.path)
        words = {name: values[-1] for name, values in parse_qs(url.query).items()}
        if not self._ours():
            return
        if url.path == "/" and _same(words.get("key", ""), self.server.key):
            cookie = f"{self.server.cookie}={self.server.key}; Path=/; HttpOnly; SameSite=Strict"
            self._answer(HTTPStatus.SEE_OTHER, b"", "text/plain", Location="/", Set_Cookie=cookie)
        elif not self._known():
            text = "Open the address that horus monitor --web has printed: it has a key in it."
            self._refuse(HTTPStatus.FORBIDDEN, text)
        elif url.path in FILES:
            name, kind = FILES[url.path]
            text = (PAGE / name).read_text(encoding="utf-8")
            if url.path == "/":
                text = text.replace("@control@", "yes" if self.server.control else "no")
                text = text.replace("@key@", self.server.page_key if self.server.control else "")
            self._answer(HTTPStatus.OK, text.encode(), kind)
        elif url.path == "/fields":
            self._fields(words.get("topic", ""))
        elif url.path == "/events":
            self._events(parse_qs(url.query).get("plot", []), words.get("all") == "1")
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")

    def do_POST(self) -> None:
        """Stop the robot or release it, where that is allowed."""
        self.close_connection = True  # what is not read of it must not be taken for a request
        if not self._ours():
            return
        size = self.headers.get("Content-Length", "")
        if not (self._known() and self.headers.get("Origin")):
            self._refuse(HTTPStatus.FORBIDDEN, "only the page itself may ask this")
        elif not self.server.control:
            text = "read-only: start it with horus monitor --web --allow-control"
            self._refuse(HTTPStatus.FORBIDDEN, text)
        elif not _same(self.headers.get(KEY_HEADER, ""), self.server.page_key):
            self._refuse(HTTPStatus.FORBIDDEN, "the page is of another start: load it again")
        elif urlsplit(self.path).path != "/estop":
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")
        elif not size.isdecimal() or int(size) > BODY:
            self._refuse(HTTPStatus.BAD_REQUEST, f"say what, in up to {BODY} bytes")
        else:
            self._estop(self.rfile.read(int(size)))

    def _estop(self, body: bytes) -> None:
        try:
            engage = json.loads(body)["engage"]
        except (ValueError, LookupError, TypeError):
            engage = None
        if not isinstance(engage, bool):
            self._refuse(HTTPStatus.BAD_REQUEST, 'say {"engage": true} or {"engage": false}')
            return
        if live.ended():
            self._refuse(HTTPStatus.CONFLICT, "the session has ended")
            return
        try:
            answers = stopping.send("", SOURCE, release=not engage)
        except (HorusError, OSError) as error:
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, f"NOT SENT: {error}")
            return
        found = [{"device": a.device, "ok": a.ok, "text": a.text} for a in answers]
        self._answer(HTTPStatus.OK, json.dumps(found).encode(), "application/json")

    def _fields(self, topic: str) -> None:
        try:
            found = [{"path": field.path, "unit": field.unit} for field in fields_of(topic)]
        except HorusError as error:
            self._refuse(HTTPStatus.NOT_FOUND, str(error))
            return
        self._answer(HTTPStatus.OK, json.dumps(found).encode(), "application/json")

    # events -----------------------------------------------------------------------------------

    def _events(self, plots: list[str], everything: bool) -> None:
        """Send what is found for as long as the browser listens."""
        if self.server.watchers >= WATCHERS:
            text = f"{WATCHERS} browsers watch already: close one"
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, text)
            return
        self.server.watchers += 1
        self.close_connection = True
        series = [Series(*plot.partition("/f/")[::2]) for plot in plots[:PLOTS]]
        try:
            self._head(HTTPStatus.OK, "text/event-stream", {})
            with self.server.hub.watching(everything):
                for event in self._each(series, everything):
                    self.wfile.write(event.encode())
                    self.wfile.flush()
        except OSError:
            pass  # it has gone away, or takes nothing any more
        finally:
            self.server.watchers -= 1
            for one in series:
                one.close()

    def _each(self, series: list[Series], everything: bool) -> Iterator[str]:
        hub, number, line = self.server.hub, 0, 0
        while not hub.closed:
            look = hub.wait(number, 1.0)
            if look is None:
                yield f"event: trouble\ndata: {json.dumps(hub.trouble)}\n\n"
                continue
            number = look.number
            new = [one for one in look.snapshot.log if one.number > line]
            line = new[-1].number if new else line
            lines = [list(views.log_line(one)) for one in new]
            now = time.monotonic()
            plots = [_plot(one, now) for one in series if not look.snapshot.ended]
            about = {"log": lines, "plots": plots, "clock": round(now, 3)}
            more = json.dumps(about, separators=(",", ":"))
            yield f"data: {look.text(everything)[:-1]},{more[1:]}\n\n"

    # answering --------------------------------------------------------------------------------

    def _refuse(self, status: HTTPStatus, text: str) -> None:
        self._answer(status, f"{text}\n".encode(), "text/plain; charset=utf-8")

    def _answer(self, status: HTTPStatus, body: bytes, kind: str, **more: str) -> None:
        length = {"Content-Length": str(len(body))}
        self._head(status, kind, length | {k.replace("_", "-"): v for k, v in more.items()})
        self.wfile.write(body)

    def _head(self, status: HTTPStatus, kind: str, more: dict[str, str]) -> None:
        self.send_response(status)
        if self.close_connection:
            more = more | {"Connection": "close"}
        for name, value in (HEADERS | {"Content-Type": kind} | more).items():
            self.send_header(name, value)
        self.end_headers()


def _same(found: str, wanted: str) -> bool:
    return hmac.compare_digest(found.encode(), wanted.encode())


def _plot(series: Series, now: float) -> dict[str, Any]:
    new = series.look(now)
    return {
        "topic": series.topic,
        "path": series.path,
        "unit": series.unit,
        "trouble": series.trouble,
        "points": [[round(p.time, 4), p.value if math.isfinite(p.value) else None] for p in new],
    }

"""`horus monitor --web` in a browser without a window, beside a robot that runs."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROVER = Path(__file__).parents[2] / "examples" / "rover"
NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 180_000  # ms: a browser is slow to start on a busy machine

playwright = pytest.importorskip(
    "playwright.sync_api", reason="needs the playwright package: pip install playwright"
)
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="needs a browser: apt-get install chromium")


@pytest.fixture
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        made = started.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        with contextlib.closing(made):
            yield made


class Page:
    """A page of the browser, with what it asked for and what went wrong in it."""

    def __init__(self, browser: Any, url: str, width: int, height: int, scheme: str) -> None:
        size = {"width": width, "height": height}
        context = browser.new_context(viewport=size, color_scheme=scheme)
        context.set_default_timeout(PATIENCE)
        self.page = context.new_page()
        self.asked: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on(
            "console",
            lambda said: self.errors.append(said.text) if said.type == "error" else None,
        )
        self.page.goto(url)

    def sees(self, selector: str, text: str) -> None:
        """Wait until something shows a text."""
        playwright.expect(self.page.locator(selector).first).to_contain_text(text, timeout=PATIENCE)


@pytest.fixture
def look(browser, horus_command):
    """Start the monitor of the only run; return a function that opens it."""

    def start(*words: str):
        monitor = horus_command("monitor", "--web", "--port", "0", *words)
        url = monitor.wait_for(r"open (http://\S+)").group(1)

        def opened(width: int = 1280, height: int = 900, scheme: str = "light") -> Page:
            return Page(browser, url, width, height, scheme)

        opened.monitor = monitor
        opened.url = url
        return opened

    return start


@pytest.fixture
def rover(horus_run):
    run = horus_run("--mock", str(ROVER))
    run.wait_for(r"Session: \S+")
    for device in ("imu", "left_wheel", "right_wheel"):
        run.wait_for(rf"{device}: (ready|active)")
    return run


def test_which_device_fails_is_seen_a_field_is_plotted_and_the_robot_stopped(
    rover, look, horus_command
):
    open_page = look("--allow-control")
    found = open_page()
    page = found.page
    found.sees("#title", f"session {rover.session_id}")
    found.sees("#counts", "3 devices")
    assert page.locator("#mock").is_visible()

    page.locator("#topic option[value='imu']").wait_for(state="attached")
    page.select_option("#topic", "imu")
    page.locator("#field option[value='accel_z']").wait_for(state="attached")
    page.select_option("#field", "accel_z")
    blank = "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.every(v => !v)"
    page.click("#choose button")
    found.sees("figcaption", "m/s²")
    assert not page.locator("canvas").evaluate(blank)

    assert horus_command("mock", "fault", "imu", "unplug").finish() == 0
    failing = "FAILING device imu ABSENT: nothing answers at address 0x68"
    playwright.expect(page.locator("#verdict .bad")).to_contain_text(failing, timeout=PATIENCE)
    found.sees("#failing", "✗ 1 FAILING")
    first = page.locator("#devices tbody tr").first
    assert first.get_attribute("class") == "bad"
    assert first.inner_text().split()[:3] == ["✗", "imu", "ABSENT"]
    found.sees("#lines", "imu")

    page.click("#stop")
    found.sees("#stopped", "E-STOP ENGAGED (by horus monitor --web)")
    rover.wait_for("left_wheel: WARNING: ready: e-stop engaged")
    page.click("#release")
    page.click("#confirm button[value=keep]")
    assert page.locator("#stopped").is_visible()
    page.click("#release")
    page.click("#confirm button[value=release]")
    rover.wait_for("left_wheel: ready: e-stop released")
    page.locator("#stopped").wait_for(state="hidden")

    own = re.match(r"http://[^/]+/", open_page.url).group()
    assert all(url.startswith((own, "data:")) for url in found.asked), found.asked
    assert not found.errors
    rover.signal(signal.SIGINT)
    assert rover.finish() == 0
    found.sees("#verdict", "This session has ended")
    open_page.monitor.signal(signal.SIGINT)
    assert open_page.monitor.finish() == 0
    found.sees("#silent", "No news for")


def test_on_a_phone_it_fits_and_without_permission_there_is_no_button(rover, look):
    open_page = look()
    found = open_page(360, 740, "dark")
    found.sees("#devices table", "left_wheel")
    found.sees("#mode", "read-only")
    assert not found.page.locator("#stop").is_visible()
    wide = "e => e.scrollWidth <= e.clientWidth"
    assert found.page.locator("html").evaluate(wide)
    for name in ("devices", "nodes", "topics"):
        assert found.page.locator(f"#{name} .scroll").evaluate(wide), name
    back = "e => getComputedStyle(e).backgroundColor"
    dark = found.page.locator("body").evaluate(back)
    found.page.emulate_media(color_scheme="light")
    assert found.page.locator("body").evaluate(back) != dark
    assert not found.errors

"""The page in a browser: wide, on a phone, in the dark, by keyboard; without script or network."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from horus.testing.report import html
from tests.hil.made_reports import cell, failing_report, full_report

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")

#: Far more (ms) than any step takes, even on a busy machine.
PATIENCE = 240_000
PHONE = {"width": 390, "height": 844}
#: The contrast of each text with what is behind it, by WCAG 2; the least of each kind.
CONTRASTS = """() => {
  const light = c => { c /= 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
  const rgb = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const bright = c => 0.2126 * light(c[0]) + 0.7152 * light(c[1]) + 0.0722 * light(c[2]);
  const found = {};
  for (const one of document.querySelectorAll('body *')) {
    if (![...one.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    let back = one;
    while (back && rgb(getComputedStyle(back).backgroundColor)[3] === 0) back = back.parentElement;
    const a = bright(rgb(getComputedStyle(one).color));
    const b = bright(rgb(getComputedStyle(back || document.body).backgroundColor));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const kind = one.tagName + '.' + (one.className.baseVal ?? one.className);
    found[kind] = Math.min(found[kind] ?? 99, ratio);
  }
  return found;
}"""

Show = Callable[..., Any]


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the page of a run in which everything is different from its baseline."""
    old = full_report()
    cell(old, "as5600_1", "C7").status = "failed"
    return html.write(failing_report(), tmp_path_factory.mktemp("page"), old)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        sync_api.expect.set_options(timeout=PATIENCE)
        started = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"], timeout=PATIENCE
        )
        yield started
        started.close()


@pytest.fixture
def show(browser: Any, page_file: Path) -> Iterator[Show]:
    """Open the page; options are those of a browser's context."""
    contexts = []

    def opened(**options: Any) -> Any:
        contexts.append(browser.new_context(**options))
        contexts[-1].set_default_timeout(PATIENCE)
        page = contexts[-1].new_page()
        page.goto(page_file.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()


def test_it_asks_for_nothing_but_itself(browser: Any, page_file: Path) -> None:
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(page_file.as_uri())
    page.wait_for_load_state("networkidle")
    assert asked == [page_file.as_uri()]
    assert said == []
    page.close()


def test_what_failed_is_on_the_first_screen(show: Show) -> None:
    page = show(viewport={"width": 1280, "height": 900}, java_script_enabled=False)
    sync_api.expect(page.get_by_text("4 of 365 checks failed").first).to_be_in_viewport()
    text = page.get_by_text("jitter p99 3.21 ms, allowed at most 2 ms").first
    sync_api.expect(text).to_be_in_viewport()


def test_a_phone_shows_it_without_scrolling_sideways(show: Show) -> None:
    page = show(viewport=PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    sync_api.expect(page.get_by_text("4 of 365 checks failed").first).to_be_in_viewport()


def test_a_cell_opens_its_figures_without_script(show: Show) -> None:
    page = show(java_script_enabled=False)
    figure = page.locator("[id='devices.odrive_1.C13']").get_by_text("8.9 ms")
    sync_api.expect(figure).not_to_be_visible()
    page.get_by_role("link", name="odrive_1, C13 latency").click()
    sync_api.expect(figure).to_be_in_viewport()


def test_the_keyboard_reaches_every_failure(show: Show) -> None:
    page = show()
    reached = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                "document.activeElement.getAttribute('aria-label')"
                " || document.activeElement.textContent"
            )
        )
    names = {str(name).split(":")[0] for name in reached}
    assert {
        "Skip the tables",
        "What changed",
        "mpu6050_1, C4 rate held",
        "vesc_1, C9 stale data",
        "vesc_1, C14 leaks",
        "jumper, W1 frames there and back",
        "modbus_io_1",
    } <= names


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(show: Show, scheme: str) -> None:
    page = show(color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    weak = {kind: ratio for kind, ratio in page.evaluate(CONTRASTS).items() if ratio < 4.5}
    assert weak == {}
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(13, 17, 23)"
    assert dark is (scheme == "dark")

"""Draw the pictures of the monitor anew: ``python -m tests.monitor.pictures [browser]``.

The workbench runs with simulated devices, and the IMU is unplugged. It needs Chromium.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "plugins" / "monitor"
#: Seconds that the plots take up.
PLOTTED = 15.0
FIELDS = (("left_wheel.state", "velocity"), ("imu", "accel_z"))


def horus(*words: str) -> list[str]:
    return [sys.executable, "-m", "horus.cli", *words]


@contextlib.contextmanager
def running(*words: str, until: str) -> Iterator[re.Match[str]]:
    """Run a command; what is yielded is the line that it was waited for."""
    process = subprocess.Popen(
        horus(*words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT
    )
    assert process.stdout
    said: list[str] = []
    try:
        found = next(filter(None, (re.search(until, line) for line in process.stdout)))
        threading.Thread(target=said.extend, args=(process.stdout,), daemon=True).start()
        yield found
    finally:
        if process.poll() is not None:
            print("".join(said))
        process.send_signal(signal.SIGINT)
        process.wait(30)


def unplugged(plug: str) -> None:
    subprocess.run(horus("mock", "fault", "imu", plug), check=True, stdout=subprocess.DEVNULL)


def status_of_devices() -> int:
    return subprocess.run(horus("devices"), stdout=subprocess.DEVNULL).returncode


async def terminal(path: Path) -> None:
    """Draw the dashboard of the terminal."""
    from horus_plugins.monitor.app import Monitor
    from horus_plugins.monitor.model import Model
    from horus_plugins.monitor.series import Series

    model = Model(os.environ["HORUS_SESSION_ID"])
    app = Monitor(model)
    async with app.run_test(size=(160, 42)) as pilot:
        for topic, field in FIELDS:
            app._plot.add(Series(topic, field))
        await pilot.pause(PLOTTED)
        unplugged("unplug")
        await pilot.pause(5)
        picture = app.export_screenshot(title="horus monitor")
    model.close()
    unplugged("plug")
    # Its own fonts would come from elsewhere; any of the reader's will do.
    picture = re.sub(r"@font-face \{.*?\}\n", "", picture, flags=re.S)
    path.write_text(picture.replace("Fira Code", "DejaVu Sans Mono"), encoding="utf-8")


def browser(url: str, path: Path) -> None:
    """Draw the page."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = chromium.new_page(viewport={"width": 1100, "height": 700}, color_scheme="dark")
        page.set_default_timeout(180_000)
        page.goto(url)
        for topic, field in FIELDS:
            page.locator(f"#topic option[value='{topic}']").wait_for(state="attached")
            page.select_option("#topic", topic)
            page.locator(f"#field option[value='{field}']").wait_for(state="attached")
            page.select_option("#field", field)
            page.click("#choose button")
        time.sleep(PLOTTED)
        unplugged("unplug")
        page.locator("#verdict .bad").wait_for()
        time.sleep(4)
        page.screenshot(path=path)
        unplugged("plug")
        chromium.close()


def main() -> None:
    """Draw both."""
    with tempfile.TemporaryDirectory(prefix="horus-picture-", dir="/dev/shm") as folder:
        os.environ["HORUS_SHM_DIR"] = folder
        with running("run", "--mock", "examples/workbench", until=r"Session: (\S+)") as found:
            os.environ["HORUS_SESSION_ID"] = found.group(1)
            while (
                status := subprocess.run(horus("devices"), stdout=subprocess.DEVNULL)
            ).returncode:
                if status.returncode > 1:
                    return  # it does not run any more
                time.sleep(1)
            if "browser" not in sys.argv:
                asyncio.run(terminal(FOLDER / "terminal.svg"))
            words = ("monitor", "--web", "--port", "0", "--allow-control")
            with running(*words, until=r"open (http://\S+)") as found:
                browser(found.group(1), FOLDER / "browser.png")


if __name__ == "__main__":
    main()

"""The dashboard in the terminal, driven by keys."""

from __future__ import annotations

import asyncio
import html
import re
import time
from collections.abc import Awaitable, Callable
from contextlib import closing

import pytest
from horus_plugins.monitor.app import Monitor
from horus_plugins.monitor.dialogs import Choice, Release
from horus_plugins.monitor.plots import resampled
from horus_plugins.monitor.series import Point
from textual.pilot import Pilot

from horus.bus import Subscriber, session
from horus.bus.leftovers import has_readers
from horus.hardware import estop
from horus.msgs import EmergencyStop, Imu

PATIENCE = 30.0
Scene = Callable[[Pilot[None]], Awaitable[None]]


def play(model, scene: Scene, size: tuple[int, int] = (160, 45)) -> Monitor:
    """Run the dashboard without a terminal while a scene plays."""
    app = Monitor(model)

    async def run() -> None:
        async with app.run_test(size=size, notifications=True) as pilot:
            await scene(pilot)

    asyncio.run(run())
    return app


def seen(app: Monitor) -> str:
    """Return the text of the screen."""
    lines = re.findall(r"<text[^>]*>(.*?)</text>", app.export_screenshot())
    return html.unescape("\n".join(lines)).replace("\xa0", " ")


async def until(pilot: Pilot[None], condition: Callable[[], object]) -> None:
    """Let the dashboard go on until a condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"the condition did not come true in time:\n{seen(pilot.app)}")
        await pilot.pause(0.02)


def test_what_fails_is_seen_first_in_words_and_signs(robot, model):
    robot.device("air")
    robot.device("imu", "absent", "nothing answers at address 0x68", errors=16, rate=0.0)

    async def scene(pilot):
        app = pilot.app
        await until(pilot, lambda: "✗ FAILING device imu ABSENT" in seen(app))
        text = seen(app)
        assert "FAILING device imu ABSENT: nothing answers at address 0x68" in text
        assert "MOCK" in text and robot.id in text
        first, second = app.query_one("#devices").panel.lines
        assert (first.key, first.cells[:2]) == ("imu", ("✗ imu", "ABSENT"))
        assert second.cells[:2] == ("● air", "active")
        assert "1 Devices 2, 1 failing" in text

    play(model, scene)


def test_many_that_fail_are_counted_and_the_lines_stay_few(robot, model):
    for number in range(12):
        robot.device(f"imu{number:02}", "fault", "the cable is lost " * 3)

    async def scene(pilot):
        await until(pilot, lambda: "FAILING device imu00 FAULT" in seen(pilot.app))
        assert pilot.app.query_one("#verdict").size.height <= 3
        assert re.search(r"and 1[01] more", seen(pilot.app))

    play(model, scene, size=(80, 24))


def test_in_80_by_24_one_panel_is_seen_and_keys_go_to_the_others(robot, model):
    robot.device("imu", "fault", "cable lost")
    for _ in range(3):
        robot.send("imu", Imu())
    robot.log.add("drive", [b"hello from the robot"])

    async def scene(pilot):
        app = pilot.app
        await until(pilot, lambda: "✗1" in seen(app))
        for key, name, text in (
            ("2", "nodes", "JITTER"),
            ("3", "topics", "BANDWIDTH"),
            ("4", "plot", "choose a topic and a field"),
            ("5", "log", "hello from the robot"),
            ("1", "devices", "WHAT IT SAYS"),
        ):
            await pilot.press(key)
            await until(pilot, lambda text=text: text in seen(app))
            shown = [p.id for p in app.query(".panel") if p.display and p.region.height]
            assert shown == [name]
            assert app.query_one(f"#{name}").region.height >= 17
        assert "Space E-STOP" in seen(app) and "q quit (the robot goes on)" in seen(app)

    play(model, scene, size=(80, 24))


def test_the_panels_of_an_empty_session_say_what_is_not_there(robot, model):
    async def scene(pilot):
        await until(pilot, lambda: "this run has no devices" in seen(pilot.app))
        text = seen(pilot.app)
        assert "there are no topics yet" in text
        assert "nothing was printed yet" in text
        await pilot.press("p")
        await until(pilot, lambda: isinstance(pilot.app.screen, Choice))
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, Choice))

    play(model, scene)


def test_space_stops_at_once_and_only_a_confirmed_release_ends_it(robot, model):
    with closing(Subscriber(estop.TOPIC, EmergencyStop)) as heard:

        async def scene(pilot):
            app = pilot.app
            await pilot.press("space")
            await until(pilot, lambda: "■ E-STOP ENGAGED (by horus monitor)" in seen(app))
            assert heard.recv().engaged
            await pilot.press("r")
            await until(pilot, lambda: isinstance(app.screen, Release))
            for key in ("enter", "escape"):
                await pilot.press(key)
            await until(pilot, lambda: not isinstance(app.screen, Release))
            assert estop.kept() and heard.recv() is None
            assert "■ E-STOP ENGAGED" in seen(app)
            await pilot.press("r")
            await until(pilot, lambda: isinstance(app.screen, Release))
            await pilot.press("y")
            await until(pilot, lambda: "E-STOP ENGAGED" not in seen(app))
            assert not heard.recv().engaged
            await pilot.press("r")
            await until(pilot, lambda: "is not engaged" in seen(app))

        play(model, scene)
    assert estop.kept() is None


def test_space_stops_whatever_is_asked_just_now(robot, model):
    robot.send("imu", Imu())

    async def scene(pilot):
        await until(pilot, lambda: model.last.topics)
        await pilot.press("p")
        await until(pilot, lambda: isinstance(pilot.app.screen, Choice))
        await pilot.press("space")
        await until(pilot, estop.kept)

    play(model, scene)


def test_who_does_not_confirm_a_stop_is_named(robot, model, monkeypatch):
    monkeypatch.setattr("horus.hardware.stopping.PATIENCE", 0.1)
    monkeypatch.setattr("horus.hardware.stopping.send.__defaults__", ("", ""))
    monkeypatch.setattr(
        "horus.hardware.stopping.send.__kwdefaults__", {"release": False, "patience": 0.1}
    )
    robot.device("wheel")
    with closing(Subscriber("wheel.command")):

        async def scene(pilot):
            await pilot.press("space")
            text = "stop NOT CONFIRMED by wheel (has not answered)"
            await until(pilot, lambda: text in seen(pilot.app))

        play(model, scene)


def test_a_field_is_chosen_by_keys_and_its_course_is_drawn(robot, model):
    robot.send("imu", Imu(gyro_z=1.0))

    async def scene(pilot):
        app = pilot.app
        await until(pilot, lambda: model.last.topics)
        await pilot.press("3", "down", "enter")
        await until(pilot, lambda: isinstance(app.screen, Choice))
        place = [o.prompt for o in app.screen.query_one("OptionList").options].index(
            "gyro_z  rad/s"
        )
        await pilot.press(*["down"] * place, "enter")
        await until(pilot, lambda: app._plot.series)
        robot.send("imu", Imu(gyro_z=-2.5))
        await until(pilot, lambda: "imu gyro_z: -2.5 rad/s" in seen(app))
        assert re.search("[\u2801-\u28ff]", seen(app))
        await pilot.press("x")
        await until(pilot, lambda: "choose a topic and a field" in seen(app))

    play(model, scene)


def test_the_end_of_the_session_is_said(robot, model):
    robot.device("imu")

    async def scene(pilot):
        await until(pilot, lambda: "● imu" in seen(pilot.app))
        robot.ends()
        await until(pilot, lambda: "This session has ended" in seen(pilot.app))
        assert "● imu" in seen(pilot.app), "what was known last"
        await pilot.press("space")
        await until(pilot, lambda: "nothing to stop" in seen(pilot.app))

    play(model, scene)
    assert not robot.session.path.exists()


def test_who_leaves_leaves_the_robot_running(robot, model):
    robot.send("imu", Imu())

    async def scene(pilot):
        await until(pilot, lambda: model.last.topics)
        assert has_readers("horus/nodes")
        await pilot.press("q")

    assert play(model, scene).return_code == 0
    model.close()
    assert robot.session.path.exists()
    assert [path.name for path in session.topics_dir().iterdir() if path.is_dir()] == ["imu"]
    assert estop.kept() is None


def test_all_topics_are_shown_when_asked_for(robot, model):
    robot.send("imu", Imu())
    robot.send("sim.imu", {"a": 1})

    async def scene(pilot):
        await until(pilot, lambda: "● imu" in seen(pilot.app) or "○ imu" in seen(pilot.app))
        assert "sim.imu" not in seen(pilot.app) and "3 hidden" in seen(pilot.app)
        await pilot.press("a")
        await until(pilot, lambda: "sim.imu" in seen(pilot.app))
        await pilot.press("a")
        await until(pilot, lambda: "sim.imu" not in seen(pilot.app))

    play(model, scene)


def test_without_colours_it_says_the_same(robot, model, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    robot.device("imu", "absent", "nothing answers")

    async def scene(pilot):
        await until(pilot, lambda: "✗ FAILING device imu ABSENT" in seen(pilot.app))
        styles = "".join(
            re.findall(r"\.terminal-\S+-r\d+ \{[^}]*\}", pilot.app.export_screenshot())
        )
        found = re.findall(r"fill: #(..)(..)(..)", styles)
        shades = [[int(part, 16) for part in colour] for colour in found]
        assert shades and all(max(shade) - min(shade) < 8 for shade in shades), "only greys"

    play(model, scene)


def test_a_place_of_a_plot_shows_lows_and_highs_and_holds_what_came_last():
    points = [Point(0.1, 1.0), Point(0.2, 5.0), Point(0.3, -5.0), Point(2.5, 2.0)]
    found = resampled(points, now=10.0, width=10, seconds=10.0)
    assert found[:8] == [5.0, -5.0, -5.0, -5.0, 2.0, 2.0, 2.0, 2.0]
    assert all(value != value for value in found[12:])

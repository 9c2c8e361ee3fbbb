"""The dashboard in the terminal."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
import time
from collections.abc import Sequence
from typing import ClassVar

from horus_plugins.monitor import views
from horus_plugins.monitor.dialogs import Choice, Release
from horus_plugins.monitor.model import Model
from horus_plugins.monitor.plots import Plot
from horus_plugins.monitor.rows import Snapshot
from horus_plugins.monitor.series import Series, fields_of
from horus_plugins.monitor.table import Table
from rich.cells import cell_len
from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.events import Resize
from textual.widgets import Static

from horus.cli import live
from horus.errors import HorusError
from horus.hardware import stopping

__all__ = ["Monitor"]

#: How often (s) the session is looked at; numbers are written anew at every so manieth look, what
#: fails at once.
LOOK, READABLE = 0.25, 2
#: From this size on all panels are seen at once.
WIDE, HIGH = 140, 36
#: Lines of what fails that are seen at once.
TROUBLES = 3
PANELS = ("devices", "nodes", "topics", "plot", "log")
LINES = ("title", "stop", "verdict", "tabs", "keys")
SOURCE = "horus monitor"
_RED = "bold #ffffff on #a8001c"
_COLOURS = {"bad": _RED, "warn": "bold yellow", "ok": "green", "off": "dim"}


class Monitor(App[None]):
    """Shows what a `Model` finds; Space stops the robot, leaving it does not."""

    ENABLE_COMMAND_PALETTE = False
    TITLE = "HORUS"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "stop", "E-STOP", priority=True),
        Binding("r", "release", "Release"),
        Binding("p", "plot", "Plot"),
        Binding("x", "unplot", "Remove plot"),
        Binding("a", "everything", "All topics"),
        Binding("q", "quit", "Quit"),
        Binding("ctrl+c", "quit", "Quit", show=False, priority=True),
        *(Binding(str(n), f"panel({name!r})", name) for n, name in enumerate(PANELS, 1)),
    ]
    CSS = """
    Screen { layout: vertical; }
    #title, #tabs, #keys { height: 1; padding: 0 1; }
    #title { background: $primary-background; color: $text; }
    #stop { display: none; height: auto; padding: 0 1; background: #a8001c; color: #ffffff;
            text-style: bold; }
    #stop.engaged { display: block; }
    #verdict { height: auto; max-height: 3; padding: 0 1; }
    #body { layout: grid; grid-size: 2 1; grid-columns: 1fr 1fr; height: 1fr; }
    .panel { border: round $foreground-muted; height: 1fr; padding: 0; }
    .panel:focus { border: round $accent; }
    #keys { background: $primary-background; color: $text-muted; }
    #tabs { display: none; }
    .narrow #tabs { display: block; }
    .narrow #body { layout: vertical; }
    .narrow .panel { display: none; }
    .narrow .panel.chosen { display: block; }
    .narrow .side { height: auto; }
    .narrow .side.chosen { height: 1fr; }
    #topics { height: 5fr; }
    #plot { height: 4fr; }
    #log { height: 4fr; }
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self._model = model
        self._tables = {name: Table(name, tail=name == "log") for name in PANELS if name != "plot"}
        self._plot = Plot()
        self._sides = (Vertical(classes="side"), Vertical(classes="side"))
        self._lines = {
            name: Static(id=name) for name in ("title", "stop", "verdict", "tabs", "keys")
        }
        self._chosen = ""
        self._looks = 0
        self._gravest: Sequence[tuple[str, str, str]] = ()
        #: What came of the last stop or release.
        self._answer = ""

    def compose(self) -> ComposeResult:
        """Make all panels, once; their arrangement follows from the size."""
        left, right = self._sides
        left.compose_add_child(self._tables["devices"])
        left.compose_add_child(self._tables["nodes"])
        right.compose_add_child(self._tables["topics"])
        right.compose_add_child(self._plot)
        right.compose_add_child(self._tables["log"])
        for name in LINES[:-1]:
            yield self._lines[name]
        with Container(id="body"):
            yield left
            yield right
        yield self._lines["keys"]

    def on_mount(self) -> None:
        """Begin to look."""
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGHUP):
            with contextlib.suppress(RuntimeError, ValueError):  # not in the main thread
                loop.add_signal_handler(signum, self.exit)
        self._look()
        self._show(self._model.last)
        self.action_panel("devices" if self._model.last.devices else "nodes")
        self.set_interval(LOOK, self._look)

    # looking ----------------------------------------------------------------------------------

    def _look(self) -> None:
        now = time.monotonic()
        snapshot = self._model.sample()
        if not snapshot.ended:
            self._plot.look(now)
        gravest = [(one.level, one.kind, one.name) for one in snapshot.troubles]
        self._looks += 1
        if gravest != self._gravest or self._looks % READABLE == 0:
            self._gravest = gravest
            self._show(snapshot)
        self._plot.draw(now)
        self._say(snapshot)

    def _show(self, snapshot: Snapshot) -> None:
        for name, panel in views.panels(snapshot).items():
            self._tables[name].show(panel, 1 + PANELS.index(name))

    def _say(self, snapshot: Snapshot) -> None:
        """Write the lines above and below the panels."""
        head = Text(no_wrap=True, overflow="ellipsis")
        head.append("HORUS monitor  ", style="bold")
        head.append(views.title(snapshot))
        if snapshot.mock:
            head.append("  ")
            head.append(" MOCK ", style="bold black on yellow")
        if snapshot.session and not snapshot.ended:
            head.append(f"  up {views.up(snapshot.uptime)}")
        if self.size.width >= 100:
            head.append(f"  {views.counts(snapshot)}", style="dim")
        self._lines["title"].update(head)
        self._say_stop(snapshot)
        self._lines["verdict"].update(self._verdict(snapshot))
        self._say_keys(snapshot)

    def _verdict(self, snapshot: Snapshot) -> Text:
        """Return as many sentences as there is room for, whole."""
        found = views.verdict(snapshot)
        text, room = Text(), TROUBLES
        for number, (level, sentence) in enumerate(found):
            line = f"{views.MARKS[level]} {sentence}"
            takes = -(-cell_len(line) // max(1, self.size.width - 2))
            rest = len(found) - number
            if number and takes + (rest > 1) > room:
                text.append(f"\n  and {rest} more, first in their tables")
                break
            room -= takes
            text.append("\n" * bool(number)).append(line, style=_COLOURS[level])
        return text

    def _say_stop(self, snapshot: Snapshot) -> None:
        line, stop = self._lines["stop"], snapshot.stop
        line.set_class(stop is not None or bool(self._answer), "engaged")
        text = Text(overflow="fold")
        if stop is not None:
            words = ", ".join(filter(None, (stop.reason, stop.source and f"by {stop.source}")))
            text.append("■ E-STOP ENGAGED" + (f" ({words})" if words else ""))
            text.append(": everything that moves stays stopped. r: release it")
        if self._answer:
            text.append("\n" * (stop is not None) + self._answer)
        line.update(text)

    def _say_keys(self, snapshot: Snapshot) -> None:
        tabs = Text(no_wrap=True, overflow="ellipsis")
        for number, name in enumerate(PANELS, 1):
            panel = self._tables[name].panel if name != "plot" else None
            lines = panel.lines if panel and name != "log" else ()
            bad = sum(line.level == "bad" for line in lines)
            style = "reverse bold" if name == self._chosen else ""
            tabs.append(f" {number} {name.capitalize()}", style=style)
            tabs.append(f" ✗{bad}" if bad else "", style="bold red")
            tabs.append("  ")
        self._lines["tabs"].update(tabs)
        keys = Text(no_wrap=True, overflow="ellipsis")
        keys.append(" Space E-STOP ", style=_RED)
        if snapshot.stop is not None:
            keys.append("  r release", style="bold")
        every = "fewer topics" if self._model.everything else "all topics"
        keys.append(f"  q quit (the robot goes on)  p plot  x unplot  a {every}")
        self._lines["keys"].update(keys)

    # arrangement ------------------------------------------------------------------------------

    def on_resize(self, event: Resize) -> None:
        """Show all panels where there is room for them, else one."""
        self.screen_stack[0].set_class(
            event.size.width < WIDE or event.size.height < HIGH, "narrow"
        )

    def action_panel(self, name: str) -> None:
        """Go to a panel."""
        self._chosen = name
        for other in (*self._tables.values(), self._plot):
            other.set_class(other.id == name, "chosen")
        for side in self._sides:
            side.set_class(any(child.id == name for child in side.children), "chosen")
        if name in self._tables:
            self._tables[name].focus()
        self._say_keys(self._model.last)

    # what a person does -----------------------------------------------------------------------

    def action_everything(self) -> None:
        """Show topics of HORUS itself too, or not."""
        self._model.everything = not self._model.everything
        self._look()
        self._show(self._model.last)

    def action_unplot(self) -> None:
        """Take the newest plot away."""
        self._plot.drop()
        self._look()

    def action_plot(self) -> None:
        """Ask what to plot."""
        self._choose("")

    def on_table_chosen(self, event: Table.Chosen) -> None:
        """Plot a field of the topic that was chosen."""
        if event.table.id == "topics":
            self._choose(event.key)

    @work
    async def _choose(self, topic: str) -> None:
        if not topic:
            topics = [row.name for row in self._model.last.topics]
            chosen = await self.push_screen_wait(Choice("Plot a field of which topic?", topics))
            if chosen is None:
                return
            topic = topics[chosen]
        try:
            fields = fields_of(topic)
        except HorusError as error:
            self.notify(str(error), severity="error", markup=False)
            return
        if not fields:
            self.notify(f"{topic}: nothing with numbers has come yet", markup=False)
            return
        names = [f"{field.path or 'value'}  {field.unit}".rstrip() for field in fields]
        chosen = await self.push_screen_wait(Choice(f"Plot which field of {topic}?", names))
        if chosen is not None:
            self._plot.add(Series(topic, fields[chosen].path))
            self.action_panel("plot")
            self._look()

    def action_stop(self) -> None:
        """Stop everything that moves, at once."""
        if live.ended():
            self.notify("The session has ended: there is nothing to stop.", severity="warning")
            return
        self._begin(release=False)

    @work
    async def action_release(self) -> None:
        """Ask, then release."""
        if self._model.last.stop is None:
            self.notify("The emergency stop is not engaged.")
        elif await self.push_screen_wait(Release()):
            self._begin(release=True)

    def _begin(self, *, release: bool) -> None:
        """Send it now; its own thread waits for the answers, and is waited for at the end."""
        threading.Thread(target=self._send, args=(release,), name="horus-estop").start()
        self._told("release sent" if release else "stop sent, waiting for answers")

    def _send(self, release: bool) -> None:
        what = "release" if release else "stop"
        try:
            answers = stopping.send("", SOURCE, release=release)
        except (HorusError, OSError) as error:
            self._tell(f"{what} NOT SENT: {error}")
            return
        failed = [f"{answer.device} ({answer.text})" for answer in answers if not answer.ok]
        text = f"{what} NOT CONFIRMED by {', '.join(failed)}" if failed else ""
        if answers and not failed and not release:
            text = f"confirmed by {', '.join(answer.device for answer in answers)}"
        self._tell(text)

    def _tell(self, text: str) -> None:
        with contextlib.suppress(RuntimeError):  # it was left meanwhile
            self.call_from_thread(self._told, text)

    def _told(self, text: str) -> None:
        self._answer = text
        self._look()

"""A table for the terminal that is drawn anew several times a second, and only where it is seen."""

from __future__ import annotations

from typing import ClassVar

from horus_plugins.monitor.views import Line, Panel
from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

__all__ = ["Table"]

GAP = 2
#: The last column keeps this width if it needs it; others go before it gets less.
LAST = 24


class Table(ScrollView, can_focus=True):
    """Shows a `Panel`: its head stays, a line can be chosen; ``tail`` shows the end of it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "Up", show=False),
        Binding("down", "move(1)", "Down", show=False),
        Binding("pageup", "move(-10)", "Page up", show=False),
        Binding("pagedown", "move(10)", "Page down", show=False),
        Binding("home", "move(-100000)", "First", show=False),
        Binding("end", "move(100000)", "Last", show=False),
        Binding("enter", "choose", "Choose", show=False),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "table--bad",
        "table--warn",
        "table--ok",
        "table--off",
        "table--head",
        "table--cursor",
    }
    DEFAULT_CSS = """
    Table {
        overflow-x: hidden;
        scrollbar-size-vertical: 1;
        .table--bad { color: #ffffff; background: #a8001c; text-style: bold; }
        .table--warn { color: $text-warning; text-style: bold; }
        .table--ok { color: $foreground; }
        .table--off { color: $foreground-muted; }
        .table--head { color: $foreground-muted; text-style: bold; }
        .table--cursor { text-style: reverse; }
    }
    """

    class Chosen(Message):
        """A line was chosen with Enter."""

        def __init__(self, table: Table, key: str) -> None:
            super().__init__()
            self.table, self.key = table, key

    def __init__(self, name: str, *, tail: bool = False) -> None:
        super().__init__(id=name, classes="panel")
        self._panel: Panel | None = None
        self._tail = tail
        self._cursor = ""
        self._widest: dict[str, int] = {}
        self._shown: list[tuple[int, int]] = []  # columns, with their widths

    @property
    def panel(self) -> Panel | None:
        """Return what it shows."""
        return self._panel

    def show(self, panel: Panel, key: int) -> None:
        """Show this; nothing is drawn when it is the same as before. ``key`` goes to it."""
        if panel == self._panel:
            return
        at_end = self._tail and self.scroll_offset.y >= self.max_scroll_y - 1
        before, shown = self._panel, self._shown
        self._panel = panel
        self.border_title = f"{key} {panel.title}"
        self._fit()
        if before is None or len(before.lines) != len(panel.lines) or shown != self._shown:
            self.virtual_size = Size(self.size.width, len(panel.lines) + 1)
            if at_end and not (self.has_focus and self._cursor):
                self.scroll_end(animate=False)
            self.refresh()
            return
        for number, (old, new) in enumerate(zip(before.lines, panel.lines, strict=True)):
            if old != new and 0 <= number - self.scroll_offset.y < self.size.height - 1:
                self.refresh_line(number + 1)

    def on_resize(self) -> None:
        """Find out which columns have room."""
        self._fit()
        self.refresh()
        if self._tail:
            self.scroll_end(animate=False)

    def _fit(self) -> None:
        panel = self._panel
        if panel is None:
            return
        columns = panel.columns
        for number, column in enumerate(columns[:-1]):
            wide = max([len(column.title), *(cell_len(line.cells[number]) for line in panel.lines)])
            wide = min(wide, column.most or wide)
            # Never narrower than it was: columns that jump cannot be read.
            self._widest[column.title] = max(wide, self._widest.get(column.title, 0))
        room = self.scrollable_content_region.width
        kept = list(range(len(columns) - 1))
        long = max((cell_len(line.cells[-1]) for line in panel.lines), default=0)
        last = min(columns[-1].most or LAST, max(len(columns[-1].title), long))
        while sum(self._widest[columns[n].title] + GAP for n in kept) + last > room:
            goes = max(kept, key=lambda n: columns[n].spare)
            if not columns[goes].spare:
                break
            kept.remove(goes)
        self._shown = [(number, self._widest[columns[number].title]) for number in kept]
        self._shown.append((len(columns) - 1, 0))

    def render_line(self, y: int) -> Strip:
        """Return a line of the screen."""
        panel, width = self._panel, self.scrollable_content_region.width
        if panel is None:
            return Strip.blank(width)
        if y == 0:
            titles = tuple(column.title for column in panel.columns)
            return self._strip(titles, self.get_component_rich_style("table--head"), width)
        number = y - 1 + self.scroll_offset.y
        if not panel.lines and y == 2:
            style = self.get_component_rich_style("table--off")
            return Strip([Segment(set_cell_size(f"  {panel.empty}", width), style)])
        if number >= len(panel.lines):
            return Strip.blank(width, self.rich_style)
        line = panel.lines[number]
        style = self.get_component_rich_style(f"table--{line.level}")
        if self.has_focus and line.key == self._cursor:
            style += Style(reverse=True)
        return self._strip(line.cells, style, width)

    def _strip(self, cells: tuple[str, ...], style: Style, width: int) -> Strip:
        assert self._panel is not None
        texts = []
        for number, wide in self._shown:
            cell = cells[number].replace("\n", " ").replace("\t", " ")
            if wide and self._panel.columns[number].right:
                cell = " " * (wide - cell_len(cell)) + cell
            texts.append(set_cell_size(cell, wide) if wide else cell)
        text = (" " * GAP).join(texts)
        if cell_len(text) > width > 0:
            text = set_cell_size(text, width - 1) + "…"
        return Strip([Segment(set_cell_size(text, width), style)])

    # choosing ---------------------------------------------------------------------------------

    @property
    def _lines(self) -> tuple[Line, ...]:
        return self._panel.lines if self._panel else ()

    def action_move(self, by: int) -> None:
        """Choose another line."""
        keys = [line.key for line in self._lines]
        if not keys:
            return
        if self._cursor in keys:
            place = min(max(keys.index(self._cursor) + by, 0), len(keys) - 1)
        else:
            place = len(keys) - 1 if self._tail else 0
        self._cursor = keys[place] if not self._tail or place < len(keys) - 1 else ""
        height = self.scrollable_content_region.height - 1
        top = self.scroll_offset.y
        if place < top or place >= top + height:
            self.scroll_to(y=place if place < top else place - height + 1, animate=False)
        self.refresh()

    def action_choose(self) -> None:
        """Tell which line is chosen."""
        if any(line.key == self._cursor for line in self._lines):
            self.post_message(self.Chosen(self, self._cursor))

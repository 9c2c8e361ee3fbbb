"""What the terminal asks a person: which topic and field, and whether a stop is to be released."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static

__all__ = ["Choice", "Release"]


class Choice(ModalScreen[int | None]):
    """Lets a person choose one of several; returns its number, None if none is chosen."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Back")]
    DEFAULT_CSS = """
    Choice { align: center middle; }
    Choice > Vertical {
        width: 60; max-width: 90%; height: auto; max-height: 80%;
        border: round $accent; background: $surface; padding: 0 1;
    }
    Choice OptionList { height: auto; max-height: 100%; border: none; }
    """

    def __init__(self, question: str, options: Sequence[str]) -> None:
        super().__init__()
        self._question, self._options = question, options

    def compose(self) -> ComposeResult:
        """Make it."""
        with Vertical() as box:
            box.border_title = self._question
            box.border_subtitle = "Enter: choose, Esc: back"
            yield OptionList(*self._options, markup=False)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """End with what was chosen."""
        self.dismiss(event.option_index)


class Release(ModalScreen[bool]):
    """Asks whether the emergency stop is to be released; only ``y`` does it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "dismiss(True)", "Release"),
        Binding("n,escape", "dismiss(False)", "Keep it stopped"),
    ]
    DEFAULT_CSS = """
    Release { align: center middle; }
    Release > Static {
        width: 64; max-width: 90%; height: auto; padding: 1 2;
        border: thick $error; background: $surface;
    }
    """

    def compose(self) -> ComposeResult:
        """Make it."""
        yield Static(
            "Release the emergency stop?\n\n"
            "What the robot's nodes command is followed again at once: it may move.\n\n"
            "y: release it        n or Esc: keep it stopped",
            markup=False,
        )

"""HTML from calls; every text is escaped unless it is markup already."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

#: Elements without an end.
_VOID = frozenset({"meta", "br"})
#: Colours and other orders to a terminal, and characters that no page and no terminal should get.
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class Markup(str):
    """Text that is HTML."""

    __slots__ = ()


def tag(name: str, /, *inner: str, **attributes: str | bool) -> Markup:
    """Return an element; ``class_`` is written class, ``aria_label`` aria-label, True has no value.

    Attributes that are False are left out.
    """
    texts = [name]
    for key, value in attributes.items():
        word = key.rstrip("_").replace("_", "-")
        if value is True:
            texts.append(word)
        elif value is not False:
            texts.append(f'{word}="{escape(clean(value))}"')
    head = f"<{' '.join(texts)}>"
    return Markup(head if name in _VOID else f"{head}{join(inner)}</{name}>")


def join(parts: Iterable[str]) -> Markup:
    """Return parts one after another, those that are not markup escaped."""
    texts = (p if isinstance(p, Markup) else escape(clean(p), quote=False) for p in parts)
    return Markup("".join(texts))


def clean(text: str) -> str:
    """Return a text without control characters; a report may come from anywhere."""
    return _CONTROL.sub("", text)

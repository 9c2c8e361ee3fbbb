"""Plugins that are not installed but found all the same."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

import pytest

from horus import plugins
from horus.hookspecs import hookimpl


class Dist:
    """The package that a plugin comes from."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.version = "1.0"


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Add a plugin: its name, its package, and its hooks by name.

    A hook is a function, or what it shall return, or an exception for it to raise. ``module`` names
    one to be imported instead.
    """
    plugins.reset()
    found = list(entry_points(group=plugins.GROUP))

    def add(name: str, package: str, module: str = "", **hooks: Any) -> None:
        target = module or f"plugin_{package.replace('-', '_')}"
        if not module:
            made = ModuleType(target)
            for hook, what in hooks.items():
                made.__dict__[hook] = hookimpl(what if callable(what) else answering(what))
            monkeypatch.setitem(sys.modules, target, made)
        entry = EntryPoint(name, target, plugins.GROUP)
        object.__setattr__(entry, "dist", Dist(package))
        found.append(entry)
        plugins.reset()

    monkeypatch.setattr(plugins, "entry_points", lambda group: found)
    yield add
    plugins.reset()


def answering(what: Any) -> Callable[[], Any]:
    """Return a function that returns something, or raises it."""

    def hook() -> Any:
        if isinstance(what, Exception):
            raise what
        return what

    return hook

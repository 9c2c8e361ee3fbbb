"""Plugins: what installed packages add to HORUS through entry points in the group ``horus``.

A plugin that cannot be loaded is recorded, never fatal. Names that two plugins claim are an error
that names both, at the moment somebody uses the name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, cast

import pluggy

from horus import hookspecs
from horus.errors import HorusError
from horus.hal.driver import Driver
from horus.hookspecs import hookimpl

__all__ = ["DriverEntry", "PluginError", "PluginInfo", "drivers", "hookimpl", "plugins"]

GROUP = "horus"


class PluginError(HorusError, ImportError):
    """A plugin, or what it offers, cannot be used."""


@dataclass(frozen=True)
class PluginInfo:
    """One plugin: what it is called, where it comes from, why it is not loaded ("" when it is)."""

    name: str
    module: str
    package: str
    problem: str = ""

    def __str__(self) -> str:
        return f"plugin {self.name} of {self.package or self.module}"


@dataclass(frozen=True)
class DriverEntry:
    """A driver by name; `load` imports it."""

    name: str
    target: str
    plugin: PluginInfo
    problem: str = ""

    def load(self) -> type[Driver[Any, Any]]:
        """Import the driver's class; what goes wrong is a `PluginError` that names the plugin."""
        if self.problem:
            raise PluginError(self.problem)
        module, _, attribute = self.target.partition(":")
        try:
            found = getattr(import_module(module), attribute)
        except Exception as error:
            raise PluginError(
                f"driver {self.name} ({self.target}, {self.plugin}) cannot be imported: "
                f"{type(error).__name__}: {error}"
            ) from error
        if not (isinstance(found, type) and issubclass(found, Driver)):
            raise PluginError(f"driver {self.name} ({self.target}, {self.plugin}) is not a Driver")
        return found


def plugins() -> tuple[PluginInfo, ...]:
    """Return every plugin found, those that failed included."""
    return _load()[0]


def drivers() -> Mapping[str, DriverEntry]:
    """Return every driver that plugins offer, by name; none of them is imported by this."""
    return _load()[1]


def reset() -> None:
    """Forget what was loaded, so that the next call looks again."""
    _load.cache_clear()


@lru_cache(maxsize=1)
def _load() -> tuple[tuple[PluginInfo, ...], Mapping[str, DriverEntry]]:
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    infos = {}
    for name, found in _by_name().items():
        infos[name] = info = _info(found)
        if info.problem:
            continue
        try:
            manager.register(found[0].load(), name)
        except (Exception, SystemExit) as error:
            infos[name] = replace(info, problem=f"{type(error).__name__}: {error}")
    entries: dict[str, DriverEntry] = {}
    for implementation in manager.hook.horus_drivers.get_hookimpls():
        info = infos[implementation.plugin_name]
        try:
            offered = dict(cast(Any, implementation.function)() or {})
        except (Exception, SystemExit) as error:
            problem = f"horus_drivers(): {type(error).__name__}: {error}"
            infos[info.name] = replace(info, problem=problem)
            continue
        for name, target in offered.items():
            entries[name] = _entry(name, str(target), info, entries.get(name))
    ordered = dict(sorted(entries.items()))
    return tuple(infos.values()), MappingProxyType(ordered)


def _by_name() -> dict[str, list[EntryPoint]]:
    found: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=GROUP):
        found.setdefault(entry.name, []).append(entry)
    return dict(sorted(found.items()))


def _package(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else ""


def _info(found: list[EntryPoint]) -> PluginInfo:
    packages = sorted({_package(entry) or entry.value for entry in found})
    problem = ""
    if len(packages) > 1:
        problem = (
            f"two plugins are called {found[0].name!r}, of {' and of '.join(packages)}: "
            "neither is loaded; uninstall one"
        )
    return PluginInfo(found[0].name, found[0].value, " and ".join(packages), problem)


def _entry(name: str, target: str, info: PluginInfo, other: DriverEntry | None) -> DriverEntry:
    problem = ""
    if other is not None:
        problem = (
            f"driver {name} is offered by two plugins, {other.plugin} and {info}: uninstall one"
        )
    return DriverEntry(name, target, info, problem)

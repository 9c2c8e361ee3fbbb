"""Plugins: what installed packages add to HORUS through entry points in the group ``horus``.

A plugin that cannot be loaded, or whose hook raises, is recorded, never fatal. Names that two
plugins claim are an error that names both, at the moment somebody uses the name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar, cast

import pluggy

from horus import __version__, hookspecs
from horus.errors import HorusError, did_you_mean
from horus.hal.backends import BACKENDS, Backend
from horus.hal.config import BusConfig
from horus.hal.driver import Driver
from horus.hookspecs import Found, hookimpl

__all__ = [
    "BackendEntry",
    "CommandEntry",
    "DriverEntry",
    "Found",
    "Offer",
    "PluginError",
    "PluginInfo",
    "buses",
    "call",
    "commands",
    "drivers",
    "hookimpl",
    "plugins",
    "troubles",
]

GROUP = "horus"
#: What a bus may be, in the words of `horus.hal.maps.DeviceMap.bus_kind`.
BUS_KINDS = ("i2c", "can", "serial", "modbus")


class PluginError(HorusError, ImportError):
    """A plugin, or what it offers, cannot be used."""


@dataclass
class PluginInfo:
    """One plugin: what it is called, where it comes from, what it brings and what is wrong."""

    name: str
    module: str
    package: str
    #: Why it is not loaded, or which of its hooks failed; "" when all is well.
    problem: str = ""
    #: Its hooks, and what it offers by name: ``horus_drivers``, ``driver mpu6050``.
    hooks: list[str] = field(default_factory=list)
    offers: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"plugin {self.name} of {self.package or self.module}"

    def failed(self, text: str) -> None:
        """Add something that went wrong; the same is said once."""
        if text not in self.problem:
            self.problem = f"{self.problem}; {text}" if self.problem else text


@dataclass(frozen=True)
class Offer:
    """Something that plugins offer by name; `load` imports it."""

    word: ClassVar[str] = ""

    name: str
    target: str
    plugin: PluginInfo
    problem: str = ""

    def load(self) -> Any:
        """Import it; what goes wrong is a `PluginError` that names the plugin."""
        if self.problem:
            raise PluginError(self.problem)
        module, _, attribute = self.target.partition(":")
        try:
            found = import_module(module)
            if attribute:
                found = getattr(found, attribute)
        except (Exception, SystemExit) as error:
            text = f"{self} cannot be imported: {_told(error, self.target)}"
            raise PluginError(text) from error
        missing = self.lacks(found)
        if missing:
            raise PluginError(f"{self} {missing}")
        return found

    def lacks(self, found: Any) -> str:
        """Return why what was imported cannot be used, or ""."""
        return ""

    def __str__(self) -> str:
        return f"{self.word} {self.name} ({self.target}, {self.plugin})"


class DriverEntry(Offer):
    """A driver by name."""

    word = "driver"

    def load(self) -> type[Driver[Any, Any]]:
        """Import the driver's class; what goes wrong is a `PluginError` that names the plugin."""
        return cast("type[Driver[Any, Any]]", super().load())

    def lacks(self, found: Any) -> str:
        """Return why this is no driver."""
        return "" if isinstance(found, type) and issubclass(found, Driver) else "is not a Driver"


class BackendEntry(Offer):
    """A kind of bus by name."""

    word = "bus"

    def load(self) -> Backend:
        """Import the back-end; what goes wrong is a `PluginError` that names the plugin."""
        return cast(Backend, super().load())

    def lacks(self, found: Any) -> str:
        """Return why this is no back-end."""
        config = getattr(found, "config_type", None)
        if not (isinstance(config, type) and issubclass(config, BusConfig)):
            return "is not a back-end: its config_type must be a BusConfig"
        if getattr(found, "kind", None) not in BUS_KINDS:
            return f"is not a back-end: its kind must be one of {', '.join(BUS_KINDS)}"
        return "" if hasattr(found, "preflight") else "is not a back-end: it needs preflight()"


class CommandEntry(Offer):
    """A subcommand of `horus` by name."""

    word = "command"

    def lacks(self, found: Any) -> str:
        """Return why this is no command."""
        good = all(callable(getattr(found, name, None)) for name in ("configure", "main"))
        return "" if good else "is not a command: it needs configure(parser) and main(args)"


OfferT = TypeVar("OfferT", bound=Offer)


@dataclass(frozen=True)
class _Hook:
    """One plugin's implementation of a hook."""

    plugin: PluginInfo
    name: str
    function: Callable[..., Any]
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class _Loaded:
    """All that was found."""

    plugins: tuple[PluginInfo, ...]
    hooks: tuple[_Hook, ...]

    def implementing(self, name: str) -> list[_Hook]:
        return [hook for hook in self.hooks if hook.name == name]


def plugins() -> tuple[PluginInfo, ...]:
    """Return every plugin found, those that failed included, with all that they offer."""
    drivers(), buses(), commands()
    return _load().plugins


@lru_cache(maxsize=1)
def drivers() -> Mapping[str, DriverEntry]:
    """Return every driver that plugins offer, by name; none of them is imported by this."""
    return _offers("horus_drivers", DriverEntry, {})


@lru_cache(maxsize=1)
def buses() -> Mapping[str, BackendEntry]:
    """Return every kind of bus by name, our own and those that plugins offer; none is imported."""
    horus = PluginInfo("horus", "horus.hal.backends", f"horus {__version__}")
    own = {name: BackendEntry(name, target, horus) for name, target in BACKENDS.items()}
    return _offers("horus_buses", BackendEntry, own)


@lru_cache(maxsize=1)
def commands() -> Mapping[str, CommandEntry]:
    """Return every subcommand that plugins offer, by name; none of them is imported by this."""
    return _offers("horus_commands", CommandEntry, {})


def implemented(hook: str) -> bool:
    """Return whether any plugin implements a hook."""
    return bool(_load().implementing(hook))


def call(name: str, **arguments: object) -> list[tuple[PluginInfo, Any]]:
    """Call a hook of every plugin that has it; return what each returned, with the plugin.

    One that raises is left out: its plugin's `PluginInfo.problem` says what happened.
    """
    answers = []
    for hook in _load().implementing(name):
        try:
            answer = hook.function(*(arguments[argument] for argument in hook.arguments))
            if isinstance(answer, Mapping):
                answer = dict(answer)
            elif answer is not None and not isinstance(answer, str):
                answer = list(answer)  # of a generator, here it runs
        except (Exception, SystemExit) as error:
            hook.plugin.failed(f"{name}(): {_told(error)}")
        else:
            answers.append((hook.plugin, answer))
    return answers


def objections(config: object) -> list[str]:
    """Return what plugins find wrong with a robot's description: the hook `horus_check`."""
    found: list[str] = []
    for _, answer in call("horus_check", config=config):
        found += [answer] if isinstance(answer, str) and answer else map(str, answer or ())
    return found


def troubles() -> list[str]:
    """Return which plugins have a problem, a line each; their offers may lack for it."""
    return [
        f"plugin {info.name} {'has a problem' if info.hooks else 'cannot be loaded'}: "
        f"{info.problem} (horus plugins)"
        for info in plugins()
        if info.problem
    ]


def reset() -> None:
    """Forget what was loaded, so that the next call looks again."""
    for cached in (_load, drivers, buses, commands):
        cached.cache_clear()


@lru_cache(maxsize=1)
def _load() -> _Loaded:
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    known = [name for name in vars(hookspecs) if name.startswith("horus_")]
    infos = []
    hooks = []
    for name, found in _by_name().items():
        info = _info(found)
        infos.append(info)
        if info.problem:
            continue
        try:
            module = found[0].load()
            manager.register(module, name)
            callers = manager.get_hookcallers(module) or []
        except (Exception, SystemExit) as error:
            info.failed(_told(error, info.module))
            continue
        if not callers:
            info.failed("has no hooks: mark its functions with @hookimpl")
        for caller in callers:
            if caller.name not in known:
                info.failed(f"there is no hook {caller.name}{did_you_mean(caller.name, known)}")
                continue
            info.hooks.append(caller.name)
            (one,) = [i for i in caller.get_hookimpls() if i.plugin_name == name]
            hooks.append(_Hook(info, caller.name, one.function, tuple(one.argnames)))
    return _Loaded(tuple(infos), tuple(hooks))


def _offers(hook: str, kind: type[OfferT], own: Mapping[str, OfferT]) -> Mapping[str, OfferT]:
    """Merge what plugins offer by name; a name offered twice is an error when it is used."""
    entries = dict(own)
    for info, offered in call(hook):
        if not isinstance(offered, dict):
            if offered is not None:
                info.failed(f"{hook}(): returned {type(offered).__name__}, not a dict")
            continue
        for name, target in offered.items():
            if not (isinstance(name, str) and isinstance(target, str)):
                text = f'{name!r}: {target!r} must be texts such as "name": "package.module:Class"'
                info.failed(f"{hook}(): {text}")
                continue
            other = entries.get(name)
            problem = ""
            if other is not None:
                both = f"{other.plugin} and {info}"
                problem = f"{kind.word} {name} is offered by two plugins, {both}: uninstall one"
            info.offers.append(f"{kind.word} {name}")
            entries[name] = kind(name, target, info, problem)
    return MappingProxyType(dict(sorted(entries.items())))


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


def _told(error: BaseException, target: str = "") -> str:
    """Return an error in words, with the place in the files of the target's package, if any."""
    place = _place(error, target.partition(":")[0].partition(".")[0]) if target else ""
    return f"{type(error).__name__}: {error}{place and f' ({place})'}"


def _place(error: BaseException, package: str) -> str:
    """Return path and line of the innermost frame in a package's own files, or ""."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    place = ""
    import traceback

    for frame, line in traceback.walk_tb(error.__traceback__):
        module = str(frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] == package:
            place = f"{frame.f_code.co_filename}:{line}"
    return place

"""From what was typed after `horus run` to the files to be run, each with a name of its own."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from horus.errors import HorusError
from horus.launch import AS_IT_IS, Launch

CONFIG_NAMES = ("horus.yaml", "horus.yml")
_LANGUAGES = {".py": "python", ".rs": "rust"}


NOTHING = "neither nodes nor hardware: there is nothing to run"


class UsageError(HorusError):
    """What was typed does not say what to run."""

    exit_code = 2


@dataclass(frozen=True)
class NodeFile:
    """One file that becomes a process."""

    path: Path
    #: What its lines are prefixed with; unlike the name of every other process of the run.
    name: str
    #: What the list of files shows: the base name, or more of the path where that is not enough.
    shown: str
    launch: Launch = AS_IT_IS

    @property
    def language(self) -> str:
        """Return how it is run: ``python``, ``rust``, ``executable``; else its ending."""
        if language := _LANGUAGES.get(self.path.suffix.lower()):
            return language
        if self.path.is_file() and os.access(self.path, os.X_OK):
            return "executable"
        return self.path.suffix.lstrip(".") or "unknown"


@dataclass(frozen=True)
class Found:
    """What the patterns matched."""

    paths: list[Path]
    #: Patterns of another language that matched nothing while others did: told, not an error.
    unmatched: list[str]


def is_pattern(text: str) -> bool:
    """Return whether a name holds a wildcard; a file of exactly this name is never a pattern."""
    return any(c in text for c in "*?[") and not Path(text).exists()


def find_config(folder: Path) -> Path | None:
    """Return the folder's `horus.yaml`, if it has one."""
    return next((folder / name for name in CONFIG_NAMES if (folder / name).is_file()), None)


def split_config(arguments: Sequence[str]) -> tuple[Path | None, list[str]]:
    """Tell the `horus.yaml` (or its folder) from the node files; without arguments, look here."""
    if not arguments:
        config = find_config(Path())
        if config is None:
            raise UsageError(
                "nothing to run: there is no horus.yaml in this folder\n"
                '  name the node files: horus run "nodes/*.py"\n'
                "  or a folder with a horus.yaml: horus run examples/rover"
            )
        return config, []
    configs: list[Path] = []
    patterns: list[str] = []
    for text in arguments:
        path = Path(text).expanduser()
        if path.is_dir() and path.suffix not in _LANGUAGES:
            config = find_config(path)
            if config is None:
                raise UsageError(
                    f"{text}: no horus.yaml in this folder; "
                    f'to run its Python files: horus run "{text.rstrip("/")}/*.py"'
                )
            configs.append(config)
        elif path.suffix in (".yaml", ".yml"):
            if not path.is_file():
                raise UsageError(_why_no_match(text))
            configs.append(path)
        else:
            patterns.append(text)
    if len(configs) > 1:
        named = ", ".join(str(path) for path in configs)
        raise UsageError(f"one run takes one horus.yaml, not {len(configs)}: {named}")
    return (configs[0] if configs else None), patterns


def find_files(patterns: Iterable[str]) -> Found:
    """Return the files that patterns and names stand for: each pattern sorted, no file twice.

    A name or pattern that matches nothing is a `UsageError` that names it. The one exception:
    beside patterns that match, a pattern of another language may match nothing, so that
    ``"nodes/*.py" "nodes/*.rs"`` serves while there is no Rust node yet.
    """
    found: dict[str, Path] = {}
    empty: list[str] = []
    matched_languages: set[str] = set()
    for text in patterns:
        matches = _matches(text)
        if not matches:
            empty.append(text)
            continue
        matched_languages.add(Path(text).suffix)
        for path in matches:
            found.setdefault(os.path.normpath(path.absolute()), path)
    missing = [
        text
        for text in empty
        if not found or not is_pattern(text) or Path(text).suffix in matched_languages
    ]
    if missing:
        raise UsageError("\n".join(_why_no_match(text) for text in missing))
    return Found(list(found.values()), empty)


def _matches(text: str) -> list[Path]:
    path = Path(text).expanduser()
    if os.path.lexists(path):
        return [path]
    return [Path(name) for name in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207


def _why_no_match(text: str) -> str:
    if is_pattern(text):
        return f"no file matches {text!r} (looked in {Path.cwd()})"
    near = ""
    parent = Path(text).expanduser().parent
    if parent.is_dir():
        from horus.errors import did_you_mean

        near = did_you_mean(Path(text).name, (entry.name for entry in parent.iterdir()))
        config = find_config(parent) if Path(text).suffix in (".yaml", ".yml") else None
        if config is not None:
            near = f" (did you mean '{Path(text).parent / config.name}'?)"
    return f"no such file: {text}{near}"


def name_files(
    paths: Sequence[Path],
    taken: Collection[str] = (),
    *,
    chosen: Mapping[int, str] | None = None,
    launches: Sequence[Launch] = (),
) -> list[NodeFile]:
    """Give each file a name of its own: its stem, or as much of its path as that takes.

    ``chosen`` holds the names that are given, by place; ``launches`` how each file is started.
    """
    chosen = chosen or {}
    labels = [[chosen[i]] if i in chosen else list(_labels(p)) for i, p in enumerate(paths)]
    level = [0] * len(paths)
    while True:
        names = [labels[i][level[i]] for i in range(len(paths))]
        count = Counter([*names, *taken])
        clashes = [i for i, name in enumerate(names) if count[name] > 1]
        clashes = [i for i in clashes if level[i] + 1 < len(labels[i])]
        if not clashes:
            break
        for i in clashes:
            level[i] += 1
    bases = Counter(path.name for path in paths)
    starts = launches or [AS_IT_IS] * len(paths)
    return [
        NodeFile(path, name, _base_or_more(path, name, bases), launch)
        for path, name, launch in zip(paths, names, starts, strict=True)
    ]


def _labels(path: Path) -> Iterator[str]:
    """Yield ever longer names of a file: ``a``, ``a.py``, ``nodes/a``, ``nodes/a.py``, ..."""
    parts = Path(os.path.normpath(path.absolute())).parts[1:-1]
    for depth in range(len(parts) + 1):
        folders = parts[len(parts) - depth :]
        yield _printable("/".join((*folders, path.stem)))
        yield _printable("/".join((*folders, path.name)))


def _base_or_more(path: Path, name: str, bases: Mapping[str, int]) -> str:
    return _printable(path.name) if bases[path.name] == 1 else _shown(path, name)


def _shown(path: Path, name: str) -> str:
    base = _printable(path.name)
    return name if name.endswith(base) else name + path.suffix


def _printable(text: str) -> str:
    """Keep a name on one line, whatever the file system lets it hold."""
    return "".join(c if c.isprintable() else "?" for c in text)

"""YAML with the line of everything, so that a fault can say where it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml


@dataclass
class Tree:
    """A value from a YAML file; a mapping's values are trees again."""

    value: object
    line: int
    #: Of a mapping: the trees by key, and the line of each key.
    items: dict[str, Tree] = field(default_factory=dict)
    key_lines: dict[str, int] = field(default_factory=dict)

    @property
    def is_mapping(self) -> bool:
        """Return whether this is a mapping."""
        return isinstance(self.value, dict)


@dataclass
class Faults:
    """Faults of one file, in the order of its lines."""

    path: str
    found: list[tuple[int, str]] = field(default_factory=list)

    def add(self, line: int, text: str) -> None:
        """Record a fault; line 0 stands for the whole file."""
        self.found.append((line, text))

    def __bool__(self) -> bool:
        return bool(self.found)

    def __iter__(self) -> Iterator[str]:
        for line, text in sorted(self.found, key=lambda fault: fault[0]):
            yield f"{self.path}:{line}: {text}" if line else f"{self.path}: {text}"


def read(path: Path, faults: Faults) -> Tree | None:
    """Read a file; what is wrong with its syntax, and duplicate keys, go to the faults."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        faults.add(0, "no such file")
        return None
    except (OSError, UnicodeDecodeError) as error:
        faults.add(0, f"cannot be read: {error}")
        return None
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            return Tree(None, 1) if node is None else _tree(loader, node, faults, "", ())
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        words = ": ".join(part for part in (error.context, error.problem) if part)
        faults.add(mark.line + 1 if mark else 0, f"this is not YAML: {words}")
    except (yaml.YAMLError, ValueError) as error:
        faults.add(0, f"this is not YAML: {' '.join(str(error).split())}")
    return None


def _tree(
    loader: yaml.SafeLoader,
    node: yaml.Node,
    faults: Faults,
    place: str,
    above: tuple[yaml.Node, ...],
) -> Tree:
    line = node.start_mark.line + 1
    if node in above:
        raise yaml.MarkedYAMLError(problem="a value contains itself", problem_mark=node.start_mark)
    if not isinstance(node, yaml.MappingNode):
        return Tree(loader.construct_object(node, deep=True), line)
    _check_duplicates(node, faults, place)
    loader.flatten_mapping(node)
    tree = Tree({}, line)
    for key_node, value_node in node.value:
        key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
        at = key_node.start_mark.line + 1
        if key is None:
            faults.add(at, f"{place or 'the top level'}: a key must be a plain word")
            continue
        inner = f"{place}.{key}" if place else key
        tree.items[key] = _tree(loader, value_node, faults, inner, (*above, node))
        tree.key_lines[key] = at
    tree.value = {key: item.value for key, item in tree.items.items()}
    return tree


def _check_duplicates(node: yaml.MappingNode, faults: Faults, place: str) -> None:
    first: dict[str, int] = {}
    for key_node, _ in node.value:
        if not isinstance(key_node, yaml.ScalarNode) or key_node.value == "<<":
            continue
        line = key_node.start_mark.line + 1
        inner = f"{place}.{key_node.value}" if place else key_node.value
        if key_node.value in first:
            faults.add(line, f"{inner}: given twice, first in line {first[key_node.value]}")
        first.setdefault(key_node.value, line)

"""YAML with the line of everything, so that a fault can say where it is.

However hostile the file, reading it takes a bounded time: see the limits below.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

#: Most bytes of a file, values in it, levels of nesting, characters of one value and of one fault.
MOST_BYTES = 1_000_000
MOST_VALUES = 10_000
MOST_LEVELS = 50
MOST_TEXT = 4_096
MOST_FAULT_TEXT = 1_000


_LIST = "tag:yaml.org,2002:seq"


class TooMuchError(Exception):
    """The file is beyond one of the limits."""

    def __init__(self, node: yaml.Node | yaml.Event, text: str) -> None:
        assert node.start_mark is not None  # of what is read from text
        self.line = node.start_mark.line + 1
        super().__init__(text)


@dataclass
class Tree:
    """A value from a YAML file; a mapping's values and a list's elements are trees again."""

    value: object
    line: int
    #: Of a mapping: the trees by key, and the line of each key.
    items: dict[str, Tree] = field(default_factory=dict)
    key_lines: dict[str, int] = field(default_factory=dict)
    #: Of a list: its elements.
    elements: list[Tree] = field(default_factory=list)

    @property
    def is_mapping(self) -> bool:
        """Return whether this is a mapping."""
        return isinstance(self.value, dict)


#: A number that YAML 1.1 takes for text, since it has no point or no sign: ``1e9``, ``1.5e9``.
_EXPONENT = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+")


def as_number(value: object) -> object:
    """Return a number such as ``1e9``, which PyYAML leaves a text, as a float; others as is."""
    if isinstance(value, str) and _EXPONENT.fullmatch(value):
        return float(value)
    return value


@dataclass
class Faults:
    """Faults of one file, in the order of its lines."""

    path: str
    found: list[tuple[int, str]] = field(default_factory=list)

    def add(self, line: int, text: str) -> None:
        """Record a fault; line 0 stands for the whole file."""
        if len(text) > MOST_FAULT_TEXT:
            text = f"{text[:MOST_FAULT_TEXT]}..."
        # What a terminal cannot show, or would obey, is written as in Python.
        shown = (c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)
        self.found.append((line, "".join(shown)))

    def __bool__(self) -> bool:
        return bool(self.found)

    def __iter__(self) -> Iterator[str]:
        for line, text in sorted(self.found, key=lambda fault: fault[0]):
            yield f"{self.path}:{line}: {text}" if line else f"{self.path}: {text}"


def read(path: Path, faults: Faults, text: str | None = None) -> Tree | None:
    """Read a file; what is wrong with its syntax, and duplicate keys, go to the faults.

    With ``text``, that is read as what the file holds.
    """
    if text is not None:
        return _read(text, faults)
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        text = data[:MOST_BYTES].decode("utf-8", "strict" if len(data) <= MOST_BYTES else "replace")
    except FileNotFoundError:
        faults.add(0, "no such file")
        return None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        wrong = error.object[error.start]
        faults.add(line, f"byte 0x{wrong:02x} is not valid UTF-8: save the file as UTF-8")
        return None
    except OSError as error:
        faults.add(0, f"cannot be read: {error.strerror or error}")
        return None
    if len(data) > MOST_BYTES:
        faults.add(0, f"too large: more than {MOST_BYTES:,} bytes")
        return None
    return _read(text, faults)


def _read(text: str, faults: Faults) -> Tree | None:
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return Tree(None, 1)
            _measure(node, {}, set())
            return _tree(loader, node, faults, "")
        finally:
            loader.dispose()
    except TooMuchError as error:
        faults.add(error.line, str(error))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        words = ": ".join(part for part in (error.context, error.problem) if part)
        faults.add(mark.line + 1 if mark else 0, f"this is not YAML: {words}")
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        faults.add(
            line, f"this is not YAML: no file may have the character U+{error.character:04X}"
        )
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        faults.add(0, f"this is not YAML: {' '.join(str(error).split())}")
    return None


class _Loader(yaml.SafeLoader):
    """Stops at what is too large or too deep while it reads, before it takes time or stack."""

    values = 0
    level = 0

    def fetch_flow_collection_start(self, TokenClass: Any) -> None:
        # Here too: before it asks for the next node it looks ahead over a thousand brackets, and
        # at each of them over all that are open.
        if self.flow_level > MOST_LEVELS:
            raise _too_deep(yaml.Event(self.get_mark(), None))
        super().fetch_flow_collection_start(TokenClass)

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        self.values += 1
        if self.values > MOST_VALUES:
            raise TooMuchError(event, f"too large: more than {MOST_VALUES} values")
        if self.level > MOST_LEVELS:
            raise _too_deep(event)
        self.level += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.level -= 1


def _too_deep(at: yaml.Node | yaml.Event) -> TooMuchError:
    return TooMuchError(at, f"nested too deeply: more than {MOST_LEVELS} levels")


def _measure(
    node: yaml.Node, known: dict[yaml.Node, tuple[int, int]], above: set[yaml.Node]
) -> tuple[int, int]:
    """Return how many values and levels a node has, each alias counted as what it stands for.

    Each node is looked at once. What is merged (``<<``) is below its mapping, hence counted too.
    """
    if node in above:
        raise yaml.MarkedYAMLError(problem="a value contains itself", problem_mark=node.start_mark)
    if node in known:
        return known[node]
    values, levels = 1, 0
    if isinstance(node, yaml.ScalarNode):
        if len(node.value) > MOST_TEXT:
            raise TooMuchError(node, f"too large: a value of more than {MOST_TEXT} characters")
    else:
        above.add(node)
        pairs = isinstance(node, yaml.MappingNode)
        for inner in itertools.chain.from_iterable(node.value) if pairs else node.value:
            more, below = _measure(inner, known, above)
            values, levels = values + more, max(levels, below + 1)
        above.remove(node)
    if values > MOST_VALUES:
        text = f"too large: more than {MOST_VALUES} values once aliases are expanded"
        raise TooMuchError(node, text)
    if levels > MOST_LEVELS:
        raise _too_deep(node)
    known[node] = values, levels
    return values, levels


def _value(loader: yaml.SafeLoader, node: yaml.Node) -> object:
    try:
        return loader.construct_object(node, deep=True)
    except (ValueError, LookupError, AttributeError, TypeError, ArithmeticError):
        text = f"a value that is no {node.tag.rpartition(':')[2]}"  # what PyYAML did not look for
        raise yaml.MarkedYAMLError(problem=text, problem_mark=node.start_mark) from None


def _tree(loader: yaml.SafeLoader, node: yaml.Node, faults: Faults, place: str) -> Tree:
    line = node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode) and node.tag == _LIST:
        elements = [_tree(loader, one, faults, place) for one in node.value]
        return Tree([one.value for one in elements], line, elements=elements)
    if not isinstance(node, yaml.MappingNode):
        return Tree(_value(loader, node), line)
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
        tree.items[key] = _tree(loader, value_node, faults, inner)
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

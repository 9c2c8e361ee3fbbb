"""Changes single values in a YAML text and leaves every other character as it is.

Places are found by PyYAML's marks; the changed text is read again, and where that is not exactly
what was meant the change is refused, so that no layout, however odd, is damaged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from horus.errors import HorusError

__all__ = ["EditError", "changed", "scalar"]

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./\-]*")
#: A place in the text: keys of mappings and numbers of list elements, from the top.
Place = Sequence[str | int]


class EditError(HorusError):
    """A text that cannot be changed safely."""


def scalar(value: bool | int | float | str) -> str:
    """Return a value as YAML, such that it is read as the same again."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        text = repr(value)
        return text.replace("e", ".0e") if "e" in text and "." not in text else text
    if isinstance(value, int):
        return str(value)
    plain = _PLAIN.fullmatch(value) and isinstance(yaml.safe_load(value), str)
    return value if plain else json.dumps(value, ensure_ascii=False)


def changed(text: str, place: Place, value: Any) -> str:
    """Return the text with a value at a place: changed, or added where its parent ends.

    The parent must be there. A list grows where the place ends with its length. Values are
    scalars, or mappings of scalars. An `EditError` says why it cannot be done.
    """
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    parent = wanted = _value(node)
    new = _value(yaml.compose(_flow(value), Loader=yaml.SafeLoader))
    for key in place[:-1]:
        try:
            parent = parent[key]
        except (LookupError, TypeError):
            parent = None
        if not isinstance(parent, (dict, list)):
            raise EditError(f"{'.'.join(map(str, place))}: there is nothing to add to at {key}")
    if isinstance(parent, list) and place[-1] == len(parent):
        parent.append(new)
    else:
        parent[place[-1]] = new
    result = _edited(text, node, place, value)
    try:
        found = _value(yaml.compose(result, Loader=yaml.SafeLoader))
    except yaml.YAMLError:
        found = None
    if found != wanted:
        where = ".".join(map(str, place))
        raise EditError(f"{where} cannot be changed without touching the rest: do it by hand")
    return result


def _value(node: Any) -> Any:
    """Return what a node holds, to be compared: keys as they are written, aliases as copies."""
    if isinstance(node, yaml.MappingNode):
        return {key.value: _value(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_value(value) for value in node.value]
    return None if node is None else (node.tag, node.value)


def _edited(text: str, node: Any, place: Place, value: Any) -> str:
    for key in place[:-1]:
        node = _child(node, key)
    found = _child(node, place[-1])
    if found is None:
        return _added(text, node, place[-1], value)
    if not isinstance(found, yaml.ScalarNode):
        return _put(text, found.start_mark.index, _end(found), _flow(value))
    start, end = found.start_mark.index, found.end_mark.index
    if start == end:  # "key:" with nothing behind it
        return _put(text, start, end, " " + _flow(value))
    return _put(text, start, end, _flow(value))


def _put(text: str, start: int, end: int, new: str) -> str:
    return text[:start] + new + text[end:]


def _child(node: Any, key: str | int) -> Any:
    if isinstance(node, yaml.MappingNode):
        return next((v for k, v in node.value if k.value == key), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        return node.value[key]
    return None


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k)}: {_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return scalar(value)


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.\-]*", key) else json.dumps(key)


def _added(text: str, node: Any, key: str | int, value: Any) -> str:
    """Return the text with one entry more at the end of a mapping or a list."""
    is_list = isinstance(node, yaml.SequenceNode)
    if not is_list and not isinstance(node, yaml.MappingNode):
        raise EditError(f"{key} cannot be added to {text[node.start_mark.index :][:20]!r}")
    new = _flow(value) if is_list else f"{_key(str(key))}: {_flow(value)}"
    if node.flow_style:
        end = node.end_mark.index - 1  # the bracket
        if not node.value:
            return _put(text, end, end, new)
        last = _end(_last(node))
        comma = text[last:end].lstrip().startswith(",")
        at = last + text[last:end].index(",") + 1 if comma else last
        return _put(text, at, at, f" {new}" if comma else f", {new}")
    first = node.value[0] if is_list else node.value[0][0]
    column = first.start_mark.column
    lead = text[: first.start_mark.index].rpartition("\n")[2]
    indent = lead[: len(lead) - len(lead.lstrip())] if is_list else " " * column
    if is_list:
        new = f"- {new}"
    newline = "\r\n" if "\r\n" in text else "\n"
    at = _end(_last(node))
    if at and text[at - 1] == "\n":  # a block of text ends at the beginning of the next line
        return _put(text, at, at, f"{indent}{new}{newline}")
    line_end = text.find("\n", at)
    if line_end < 0:
        return f"{text}{newline}{indent}{new}{newline}"
    return _put(text, line_end + 1, line_end + 1, f"{indent}{new}{newline}")


def _last(node: Any) -> Any:
    last = node.value[-1]
    return last[1] if isinstance(node, yaml.MappingNode) else last


def _end(node: Any) -> int:
    """Return where the text of a node ends; a block's mark is behind the comments after it."""
    if isinstance(node, yaml.ScalarNode) or node.flow_style or not node.value:
        return int(node.end_mark.index)
    return _end(_last(node))

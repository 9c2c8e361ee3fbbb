"""The descriptions of declared types beside a topic's rings, for tools that lack their classes.

Both ends of a topic write ``<hash, 16 hex>.schema`` once. A tool declares a class from it; a node
that is to get a class of its own still has to import it.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from horus.bus import files

if TYPE_CHECKING:
    from horus.message import MessageSpec
    from horus.message.schema import Schema

__all__ = ["as_dict", "learn", "schema_for", "schemas_in", "write_schema"]

_FILE = re.compile(r"([0-9a-f]{16})\.schema")


def schema_path(folder: Path, hash: int) -> Path:
    """Return where a type is described in a topic's folder."""
    return folder / f"{hash:016x}.schema"


def write_schema(folder: Path, spec: MessageSpec) -> None:
    """Describe a type in a topic's folder unless it is; a file that cannot be is left out.

    No lock is needed: the file appears whole, and all who write it write the same.
    """
    path = schema_path(folder, spec.hash)
    if path.exists():
        return
    from horus.message.schema import schema_of

    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    try:  # who sends may have a motor to mind: nothing about a description may stop that
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(schema_of(spec).to_json())
        temporary.rename(path)
    except Exception:
        with contextlib.suppress(OSError):
            temporary.unlink()


def schema_for(folder: Path, hash: int) -> Schema | None:
    """Return the description of a type in a topic's folder; None if there is none.

    One that is damaged is a `horus.message.schema.SchemaError`.
    """
    from horus.message.schema import MAX_TEXT, Schema, SchemaError

    path = schema_path(folder, hash)
    try:
        fd = files.open_regular(path, os.O_RDONLY)
        with os.fdopen(fd, "rb") as file:
            text = file.read(MAX_TEXT + 1)
    except OSError:
        return None
    found = Schema.from_json(text)
    if found.hash != hash:
        raise SchemaError(f"{path} describes another type than its name says")
    return found


def schemas_in(folder: Path) -> Iterator[int]:
    """Yield the hashes of the types that are described in a topic's folder."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if match := _FILE.fullmatch(entry.name):
                yield int(match[1], 16)


def learn(folder: Path, hash: int) -> MessageSpec | None:
    """Return the layout of a type, declared in this process from its description if need be.

    None when it is described nowhere, or in a way that is not to be believed.
    """
    from horus.errors import HorusError
    from horus.message import spec_for_hash, spec_of

    if spec := spec_for_hash(hash):
        return spec
    try:
        schema = schema_for(folder, hash)
        return None if schema is None else spec_of(schema.make_class())
    except HorusError:
        return None


def as_dict(message: Any) -> Any:
    """Return a declared message as a dict of its fields; what is none as it is."""
    spec = getattr(type(message), "__horus_spec__", None)
    if spec is None:
        return message
    return {name: getattr(message, name) for name in spec.names}

"""Which imports a Python file cannot do without, and whether they would succeed."""

from __future__ import annotations

import ast
import importlib
import os
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import NamedTuple

_IMPORT_ERRORS = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}
_SYS_PATH_NAMES = {"path", "meta_path", "path_hooks", "modules"}


class RequiredImport(NamedTuple):
    """One import that runs whenever the file does."""

    line: int
    #: Dotted name; empty for ``from . import x``.
    module: str
    #: Number of leading dots.
    level: int


def required_imports(tree: ast.Module) -> Iterator[RequiredImport]:
    """Yield the imports that must succeed for the file to run as a script.

    Left out is what may fail without harm: inside functions, ``try: ... except ImportError``,
    ``suppress(ImportError)``, ``if TYPE_CHECKING`` and under conditions that are not known here.
    """
    yield from _of_block(tree.body)


def _of_block(body: list[ast.stmt]) -> Iterator[RequiredImport]:
    for node in body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield RequiredImport(node.lineno, alias.name, 0)
        elif isinstance(node, ast.ImportFrom):
            yield RequiredImport(node.lineno, node.module or "", node.level)
        elif isinstance(node, ast.If):
            if _is_main_guard(node.test):
                yield from _of_block(node.body)
            elif _last_name(node.test) == "TYPE_CHECKING":
                yield from _of_block(node.orelse)
        elif isinstance(node, ast.Try) or type(node).__name__ == "TryStar":
            yield from _of_try(node)  # type: ignore[arg-type]
        elif isinstance(node, (ast.With, ast.AsyncWith)):
            calls = [item.context_expr for item in node.items]
            if not any(isinstance(c, ast.Call) and _last_name(c.func) == "suppress" for c in calls):
                yield from _of_block(node.body)
        elif isinstance(node, ast.ClassDef):
            yield from _of_block(node.body)


def _of_try(node: ast.Try) -> Iterator[RequiredImport]:
    if not any(_catches_import_error(handler) for handler in node.handlers):
        yield from _of_block(node.body)
        yield from _of_block(node.orelse)
    yield from _of_block(node.finalbody)


def _catches_import_error(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(_last_name(kind) in _IMPORT_ERRORS for kind in types)


def _is_main_guard(test: ast.expr) -> bool:
    return (
        isinstance(test, ast.Compare)
        and _last_name(test.left) == "__name__"
        and isinstance(test.ops[0], ast.Eq)
        and isinstance(test.comparators[0], ast.Constant)
        and test.comparators[0].value == "__main__"
    )


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def changes_import_path(tree: ast.Module) -> bool:
    """Return whether the file touches ``sys.path`` or the like: then only running it can tell."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (
            node.attr == "addsitedir"
            or (node.attr in _SYS_PATH_NAMES and _last_name(node.value) == "sys")
        ):
            return True
        if isinstance(node, ast.ImportFrom) and node.module == "sys":
            return True
    return False


def script_folder(path: str | os.PathLike[str]) -> str:
    """Return what Python puts first on ``sys.path`` for a script."""
    return str(Path(path).resolve().parent)


def find_module(name: str, folder: str) -> ModuleSpec | None:
    """Return where a script in this folder would find a top-level module; it is not imported."""
    saved = sys.path
    if not getattr(sys.flags, "safe_path", False):
        # The script's folder comes in the place of ours.
        own = {script_folder(sys.argv[0]), str(Path.cwd()), ""}
        sys.path = [folder, *(saved[1:] if saved and saved[0] in own else saved)]
    try:
        for finder in sys.meta_path:
            spec = finder.find_spec(name, None)
            if spec is not None:
                return spec
        return None
    finally:
        sys.path = saved


def forget_cached_folders() -> None:
    """Make `find_module` see files that were written since the last look."""
    importlib.invalidate_caches()

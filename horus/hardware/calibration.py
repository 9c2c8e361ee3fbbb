"""What was found out about one very device, kept in a file under the device's own identity.

The files are in ``$HORUS_CALIBRATION_DIR``, else in ``horus/calibration`` below the user's
configuration folder (``$XDG_CONFIG_HOME``, else ``~/.config``). A simulated device has files of its
own, so that nothing that was found out about a twin ever reaches a real device.
"""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from horus.errors import ConfigError
from horus.hal import config as hal_config
from horus.hal.config import Config
from horus.hardware.yamltree import Faults, read

ConfigT = TypeVar("ConfigT", bound=Config)

FOLDER = "HORUS_CALIBRATION_DIR"


def folder() -> Path:
    """Return the folder of all calibration files."""
    chosen = os.environ.get(FOLDER)
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "horus" / "calibration"


def path_of(use: str, identity: str, *, mock: bool) -> Path:
    """Return the file of one device."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", f"{use}-{identity}")
    return folder() / ("mock" if mock else "") / f"{name}.yaml"


def load(kind: type[ConfigT], path: Path) -> ConfigT:
    """Return what a file says, or the defaults when there is none.

    What is wrong with it is a `ConfigError`, all at once, with lines.
    """
    if not path.exists():
        return kind()
    faults = Faults(str(path))
    tree = read(path, faults)
    values = {} if tree is None else {name: item.value for name, item in tree.items.items()}
    if tree is not None and not tree.is_mapping:
        faults.add(tree.line, "is not a mapping of options: correct it, or delete it")
    for option, text in hal_config.faults(kind, values):
        line = tree.key_lines.get(option, 0) if tree is not None else 0
        faults.add(line, f"{option}: {text}" if option else text)
    if faults:
        raise ConfigError(faults)
    return kind(**values)


def save(values: Config, path: Path) -> None:
    """Write a file so that a power cut leaves either the old one or the new one."""
    import yaml

    path.parent.mkdir(parents=True, exist_ok=True)
    plain = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(values).items()}
    fd, draft = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            yaml.safe_dump(plain, file, sort_keys=False)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise

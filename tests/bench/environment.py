"""The peers' own environment: a virtual environment beside this file, made once."""

import os
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
FOLDER = HERE / ".peers"
PACKAGES = (
    "horus-robotics==0.4.1",
    "iceoryx2==0.10.0",
    "pyzmq==27.3.0",
    "eclipse-zenoh==1.10.2",
    "msgpack",
    "numpy",
    "matplotlib",  # draws results.svg
)


def ensure(folder=FOLDER):
    """Return the interpreter of the peers' environment; make it unless it is there, complete."""
    python = folder / "bin" / "python"
    complete = folder / "complete"
    wanted = "\n".join([sys.version, *PACKAGES])
    if complete.exists() and complete.read_text() == wanted and python.exists():
        return str(python)
    print(f"making the environment of the peers in {os.path.relpath(folder)} ...", file=sys.stderr)
    complete.unlink(missing_ok=True)
    venv.create(folder, clear=True, with_pip=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *PACKAGES], check=True)
    complete.write_text(wanted)
    return str(python)

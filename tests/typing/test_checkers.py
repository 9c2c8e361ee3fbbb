from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ACCEPTED = HERE / "accepted.py"
REJECTED = HERE / "rejected.py"


def errors_of_mypy(cache: Path, *files: Path) -> list[tuple[str, int, str]]:
    """Return file, line and code of every error in these files that strict mypy reports."""
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull]
    command += ["--cache-dir", str(cache), "--no-error-summary", "--hide-error-context"]
    environment = {**os.environ, "MYPYPATH": str(HERE.parents[1]), "COLUMNS": "200"}
    run = subprocess.run(
        [*command, *map(str, files)],
        env=environment,
        cwd=cache,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert run.returncode in (0, 1), run.stdout + run.stderr
    found = re.findall(r"^(.+?):(\d+): error: .*\[([a-z-]+)\]$", run.stdout, re.MULTILINE)
    assert len(found) == run.stdout.count(": error: "), run.stdout
    return [(Path(n).name, int(line), code) for n, line, code in found if Path(n) in files]


def test_mypy_accepts_what_users_write_and_points_out_their_mistakes(tmp_path):
    marks = [
        (REJECTED.name, number, code)
        for number, line in enumerate(REJECTED.read_text(encoding="utf-8").splitlines(), 1)
        for code in re.findall(r"# mypy: ([a-z-]+)$", line)
    ]
    assert len(marks) > 20
    assert errors_of_mypy(tmp_path, ACCEPTED, REJECTED) == marks


def test_the_accepted_sample_runs():
    names = runpy.run_path(str(ACCEPTED))
    assert names["received"] == names["wheel"]
    assert names["found"] is names["spec"]

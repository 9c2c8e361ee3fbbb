"""`horus run --stats`: one table of all nodes of all processes, when the run is over."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

NODE = "import horus\nhorus.run(horus.Node({name!r}, tick=lambda node: None, rate={rate}))\n"


def test_a_run_ends_with_one_table_of_all_its_nodes(tmp_path: Path) -> None:
    for name, rate in (("slow", 20), ("fast", 100)):
        (tmp_path / f"{name}.py").write_text(NODE.format(name=name, rate=rate))
    done = subprocess.run(
        [sys.executable, "-m", "horus", "run", "slow.py", "fast.py", "--stats", "--duration", "1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    after = done.stdout.split("All processes stopped.")[1].splitlines()
    head, *lines = [line for line in after if line.strip()][1:]
    assert head.split()[:4] == ["node", "Hz", "ticks", "runs"]
    assert [line.split()[0] for line in lines] == ["fast", "slow"]
    assert all(re.search(r" \d\S* (ns|µs|ms) .*\d% +\S+%$", line) for line in lines), lines

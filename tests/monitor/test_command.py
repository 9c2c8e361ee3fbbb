"""What `horus monitor` says before it begins."""

from __future__ import annotations

import subprocess
import sys

from horus.cli.main import main


def test_without_textual_it_says_how_to_get_it(robot, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "textual", None)
    assert main(["monitor"]) == 2
    error = capsys.readouterr().err
    assert "the dashboard needs the textual package: pip install 'horus[tools]'" in error


def test_plain_scripts_can_be_watched_too(monkeypatch, capsys):
    from horus.bus import Publisher

    publisher = Publisher("x")
    publisher.send(1)
    monkeypatch.setattr("horus_plugins.monitor.command.LOOK", 0.0)
    assert main(["monitor", "--json"]) == 0
    assert '"name": "x"' in capsys.readouterr().out


def test_its_help_imports_nothing_heavy():
    code = (
        "import sys; from horus.cli.main import main; main(['monitor', '--help']); "
        "print(sorted({'textual', 'rich', 'numpy', 'horus.bus', 'http.server'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "horus monitor --json" in done.stdout

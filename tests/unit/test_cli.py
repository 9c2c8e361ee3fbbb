from __future__ import annotations

import os
import subprocess
import sys
from collections import namedtuple

import pytest

import horus
from horus.bus import Topic, session
from horus.cli import doctor
from horus.cli.main import COMMANDS, main


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"horus {horus.__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_help_names_every_command_with_an_example(arguments, capsys):
    assert main(arguments) == 0
    text = capsys.readouterr().out
    for name, command in COMMANDS.items():
        assert f"\n  {name} " in text
        assert f"\n  {command.example}\n" in text


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_explains_itself_with_an_example(name, capsys):
    assert main([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: horus {name} ")
    assert "example" in text


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["rnu"], "horus: unknown command 'rnu' (did you mean 'run'?); see horus --help\n"),
        (["--verison"], "horus: unknown option '--verison'; see horus --help\n"),
    ],
)
def test_an_unknown_command_is_answered_with_the_nearest(arguments, text, capsys):
    assert main(arguments) == 2
    assert capsys.readouterr().err == text


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--grace", "soon"],
        ["run", "--grace", "0"],
        ["run", "--duration", "-1"],
        ["run", "--duration", "inf"],
        ["run", "--unknown"],
        ["clean", "extra"],
    ],
)
def test_wrong_use_is_status_2_with_one_message(arguments, capsys):
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert f"horus {arguments[0]}: error: " in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        (["--mok"], "--mok (did you mean '--mock'?)"),
        (["--duratoin=5"], "--duratoin=5 (did you mean '--duration'?)"),
        (["--zzz"], "--zzz"),
    ],
)
def test_an_unknown_option_is_answered_with_the_nearest(typed, text, capsys):
    assert main(["run", *typed, "a.py"]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"horus run: error: unrecognized arguments: {text}"


def test_options_may_stand_between_files(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "one.py", "--mock", "two.py"]) == 2
    assert capsys.readouterr().err == "horus: no such file: one.py\nno such file: two.py\n"


def test_a_horus_yaml_with_another_ending_is_suggested(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c").mkdir()
    (tmp_path / "c/horus.yaml").touch()
    assert main(["run", "c/horus.yml"]) == 2
    assert capsys.readouterr().err == (
        "horus: no such file: c/horus.yml (did you mean 'c/horus.yaml'?)\n"
    )


#: Ctrl-C at the moment a module is looked for.
INTERRUPTED = """\
import signal, sys
class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == {module!r}:
            signal.raise_signal(signal.SIGINT)
import horus.cli
sys.meta_path.insert(0, Finder)
from horus.cli.__main__ import main
sys.argv = ["horus", *{arguments!r}]
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("module", "arguments", "status"),
    [
        ("horus.cli.main", ["run", "a.py"], 0),
        ("horus.cli.run", ["run", "a.py"], 0),
        ("horus.runtime.run", ["--debug", "run", "a.py"], 0),
        ("horus.cli.doctor", ["doctor"], 130),
    ],
)
def test_ctrl_c_before_a_command_has_begun_ends_it_in_silence(module, arguments, status, tmp_path):
    (tmp_path / "a.py").write_text("print('must not run')")
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED.format(module=module, arguments=arguments)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (status, "", "")


@pytest.mark.parametrize("module", ["horus", "horus.cli"])
def test_it_runs_as_a_module(module):
    done = subprocess.run(
        [sys.executable, "-m", module, "--version"], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == f"horus {horus.__version__}\n"


def test_an_expected_error_is_its_text_and_with_debug_its_traceback(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "absent.py"]) == 2
    assert capsys.readouterr().err == "horus: no such file: absent.py\n"
    for arguments in (["run", "absent.py", "--debug"], ["--debug", "run", "absent.py"]):
        with pytest.raises(horus.HorusError, match=r"absent\.py"):
            main(arguments)


def test_clean_lists_what_it_removes(shm, capsys):
    left = session.new_session()
    owner = left.path / session.OWNER_FILE
    owner.write_text(owner.read_text().replace(str(os.getpid()), str(2**22 - 1)))
    assert main(["clean"]) == 0
    assert capsys.readouterr().out == f"removed session {left.id}\n"
    assert main(["clean"]) == 0
    assert capsys.readouterr().out == f"nothing to remove in {shm}\n"


def test_clean_leaves_what_is_in_use(shm, capsys):
    mine = session.new_session()
    with Topic("scan") as topic:
        topic.send(1)
        assert main(["clean"]) == 0
        assert topic.recv() == 1
    assert f"in use: session {mine.id}\n" in capsys.readouterr().out
    assert mine.path.exists()


def test_doctor_is_content_here_and_names_the_core(capsys):
    from horus.bus import CORE_NAME

    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert f"message core    {CORE_NAME}" in text
    assert os.environ["HORUS_SHM_DIR"] in text
    assert "FAIL" not in text


def test_doctor_fails_where_shared_memory_cannot_be_written(capsys, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("HORUS_SHM_DIR", str(tmp_path / "file"))
    assert main(["doctor"]) == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("FAIL")]
    assert "shared memory" in line
    assert "HORUS_SHM_DIR" in line


def test_doctor_warns_when_shared_memory_runs_out(monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage(1 << 30, 1 << 30, 1 << 20))
    (finding,) = [found for found in doctor.findings() if found.subject == "shared memory"]
    assert finding.mark == "FAIL"
    assert "1 MiB free" in finding.text


def test_doctor_tells_a_needed_package_from_one_that_may_lack(monkeypatch):
    def absent(name):
        raise doctor.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor.importlib.metadata, "version", absent)
    found = {finding.subject: finding for finding in doctor.findings()}
    assert found["numpy"].mark == "FAIL"
    assert found["python-can"] == ("--", "python-can", found["python-can"].text)
    assert "pip install python-can" in found["python-can"].text


def test_a_reader_that_has_had_enough_is_no_error():
    done = subprocess.run(
        f'"{sys.executable}" -m horus.cli doctor | head -n 1; '
        f'"{sys.executable}" -m horus.cli --help | true',
        shell=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1


def test_only_the_module_of_the_command_that_is_used_is_imported():
    code = (
        "import sys\nfrom horus.cli.main import main\nmain(['clean', '--help'])\n"
        "assert 'horus.cli.clean' in sys.modules\n"
        "heavy = {'horus.cli.run', 'horus.runtime.run', 'horus.hardware', 'numpy', 'yaml', 'can'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_closed_standard_output_is_no_error():
    done = subprocess.run(
        f'"{sys.executable}" -m horus.cli --version >&-',
        shell=True,
        stderr=subprocess.PIPE,
        timeout=60,
    )
    assert done.stderr == b""

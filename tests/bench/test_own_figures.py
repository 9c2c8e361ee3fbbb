"""That the measuring works on our own side; how fast anything is, is not tested."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from horus.bench import launch, rows
from horus.bench.measure import Adapter, Loop, NotOffered, time_loop
from horus.cli import bench

QUICK = ("typed", "typed_fields", "mapping", "node_typed", "node_mapping", "memcpy")
ROOT = Path(__file__).resolve().parents[2]


def measure(job, seconds=0.02, **environment):
    with launch.place() as where:
        variables = {**where.environment(), **environment}
        figures = launch.measure(launch.OWN_COMMAND, job, seconds, where, variables)
        kept = Path(where.shm)
    assert not kept.exists()
    return figures


@pytest.mark.parametrize("job", QUICK)
def test_a_job_gives_median_and_p99_of_its_row(job):
    figures = measure(job)
    assert figures.get("error") is None
    assert set(figures["rows"]) == {job}
    assert 0 < figures["rows"][job]["median"] <= figures["rows"][job]["p99"]


@pytest.mark.parametrize("job", ["one_way_typed", "one_way_mapping", "flood_typed"])
def test_a_job_of_two_processes_gives_figures(job):
    for seconds in (0.02, 0.2, 2.0):  # on a busy machine the other end may have no turn for a while
        figures = measure(job, seconds)
        assert figures.get("error") is None
        if figures["rows"][job]["median"] > 0:
            break
    assert figures["rows"][job]["median"] > 0


def test_the_job_of_many_nodes_fills_two_rows():
    figures = measure("many", 0.3)
    assert figures.get("error") is None
    assert set(figures["rows"]) == {"many_rate", "many_load"}


def test_a_row_that_is_not_offered_stays_empty_without_an_error(tmp_path):
    class Nothing(Adapter):
        pass

    with pytest.raises(NotOffered):
        rows.job("typed").measure(Nothing("token", str(tmp_path)), 0.01)


def test_the_forced_core_is_the_one_that_is_measured():
    assert measure("typed", HORUS_CORE="pure")["core"] == "pure"


def test_a_measurement_that_fails_says_why():
    assert "HORUS_CORE='quick'" in measure("typed", HORUS_CORE="quick")["error"]


def test_a_loop_whose_message_does_not_arrive_is_refused():
    with pytest.raises(AssertionError, match="got = None"):
        time_loop(Loop("got = None", {}), 0.01)


def test_the_command_prints_one_json_document(capsys):
    parser = argparse.ArgumentParser()
    bench.configure(parser)
    status = bench.main(parser.parse_args(["--json", "--only", "typed", "--core", "pure"]))
    report = json.loads(capsys.readouterr().out)
    assert status == 0
    assert report["core"] == "pure"
    assert report["machine"]["cores"] == os.cpu_count()
    assert set(report["rows"]) == {"typed"}
    assert {"title", "unit", "median", "p99"} <= set(report["rows"]["typed"])


def test_the_command_prints_a_table_with_the_core_and_the_machine(capsys):
    parser = argparse.ArgumentParser()
    bench.configure(parser)
    status = bench.main(parser.parse_args(["--only", "typed", "--core", "pure"]))
    printed = capsys.readouterr().out
    assert status == 0
    assert "pure core" in printed
    assert launch.machine()["processor"] in printed
    assert "typed message of 6 doubles" in printed


def test_the_comparison_without_peers_writes_its_report(tmp_path):
    path = tmp_path / "figures.json"
    command = [sys.executable, "-m", "tests.bench", "--peers", "--quick", "--json", str(path)]
    done = subprocess.run(
        [*command, "--only", "typed", "memcpy"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(path.read_text())
    assert set(report["rows"]) == {"typed", "memcpy"}
    row = report["rows"]["typed"]
    assert row["projects"]["horus"]["median"] > 0
    assert row["targets"] == [{"factor": 0.35, "of": "best", "ratio": None, "met": None}]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (61.4, "ns", "61 ns"),
        (2394.0, "ns", "2.39 µs"),
        (35_000_000.0, "ns", "35.0 ms"),
        (3_700_000.0, "/s", "3.70 M/s"),
        (18.6e9, "B/s", "18.6 GB/s"),
        (999_600.0, "Hz", "1000 kHz"),
        (9e6, "B", "9.00 MB"),
        (0.0, "%", "0.00 %"),
        (None, "ns", "-"),
    ],
)
def test_figures_are_readable(value, unit, text):
    assert rows.readable(value, unit) == text

"""What a kept run says and draws, from given figures."""

from __future__ import annotations

import json
import sys

import pytest

from tests.bench.saved import points, save, summary
from tests.bench.table import compared


def rows():
    figure = {
        "typed": {"horus": 200.0, "iceoryx2": 1000.0, "pyzmq": 4000.0},  # aim: 0.35 of the best
        "flood_typed": {"horus": 3e6, "iceoryx2": 2e6},  # more is better; aim: twice the best
    }
    return compared(
        {
            key: {name: {"median": m, "p99": None} for name, m in found.items()}
            for key, found in figure.items()
        }
    )


def test_left_is_better_in_every_row_of_the_plot():
    typed, flood = points(rows())
    assert (typed["cost"], typed["met"], typed["best_peer"]) == (0.2, True, "iceoryx2")
    assert typed["targets"] == [pytest.approx(0.35)]
    assert (flood["cost"], flood["met"]) == (pytest.approx(2 / 3), False)
    assert flood["targets"] == [pytest.approx(0.5)]


def test_the_summary_counts_targets_and_names_what_missed():
    found = rows()
    told = summary(found)
    assert (told["targets_met"], told["targets_missed"], told["targets_open"]) == (1, 1, 0)
    assert told["rows_missed"] == [found["flood_typed"]["title"]]


def test_a_kept_run_is_json_and_a_picture(tmp_path):
    pytest.importorskip("matplotlib")
    save({"rows": rows()}, sys.executable, tmp_path)
    assert len(json.loads((tmp_path / "results.json").read_text())["plot"]) == 2
    assert "<svg" in (tmp_path / "results.svg").read_text()

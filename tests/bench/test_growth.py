"""That growth is measured and judged; how fast anything is, is not tested."""

import json
import math

import pytest

from . import growth

QUICK = [series for series in growth.SERIES if series.key != "nodes"]  # which takes a second


@pytest.mark.parametrize("series", QUICK, ids=lambda s: s.key)
def test_each_series_measures_a_cost(series):
    # Some are differences of two measurements, which a busy machine may turn round.
    costs = [series.measure(size, 0.01) for size in series.sizes[:2]]
    assert all(math.isfinite(cost) and cost != 0 for cost in costs)


def test_what_grows_where_it_should_not_is_marked():
    series = growth.Series("s", "things", "things", (1, 10, 100), lambda size, seconds: 1.0)
    points = growth.judged(series, [100.0, 140.0, 151.0])
    assert [point.flat for point in points] == [True, True, False]
    assert [point.ratio for point in points] == [1.0, 1.4, 1.51]
    table = list(growth.lines(series, points))
    assert "NOT FLAT" in table[-1]
    assert "NOT FLAT" not in "".join(table[:-1])


def test_the_command_writes_what_it_prints(tmp_path, capsys, monkeypatch):
    path = tmp_path / "growth.json"
    monkeypatch.setenv("HORUS_SHM_DIR", str(tmp_path))
    assert growth.main(["--only", "readers_send", "--seconds", "0.01", "--json", str(path)]) == 0
    points = json.loads(path.read_text())["points"]
    assert [point["size"] for point in points] == [1, 2, 4, 8, 16]
    assert "readers: a send" in capsys.readouterr().out

"""The measurement of what tools do to a node, in its short form."""

from __future__ import annotations

from tests.bench.disturbance import TOOLS, measure, table


def test_every_tool_is_measured_beside_a_node_that_ticks():
    found = measure(rounds=1, seconds=0.3)
    assert found.keys() == TOOLS.keys()
    assert all(ticks > 0 and p50 > 0 for ((ticks, p50, *_),) in found.values())
    assert "×1.00" in table(found).splitlines()[1]

"""Parameters of nodes: declared, checked, changed between ticks."""

from __future__ import annotations

import math
import threading

import pytest

import horus
from horus import Param
from horus.node.caller import CallRefusedError, call
from horus.node.params import ParamError


def test_a_parameter_has_the_type_and_range_of_its_declaration():
    gain = Param(1.0, low=0, high=10, unit="1/s")
    assert gain.checked(3) == 3.0 and type(gain.checked(3)) is float
    for value, text in (
        (11, "must be at least 0 and at most 10 1/s, not 11"),
        (-0.1, "at least 0"),
        (math.nan, "finite"),
        (math.inf, "finite"),
        ("1", "must be a number, not '1'"),
        (True, "must be a number"),
        (10**400, "must be a number"),
        (None, "must be a number"),
    ):
        with pytest.raises(ParamError, match=text):
            gain.checked(value)
    with pytest.raises(ParamError, match="whole number"):
        Param(3).checked(3.5)
    with pytest.raises(ParamError, match="must be one of slow, fast"):
        Param("slow", choices=("slow", "fast")).checked("fsat")


def test_what_cannot_be_a_parameter_is_refused_at_once():
    with pytest.raises(ValueError, match="its own default must be at most 1"):
        Param(2.0, high=1)
    with pytest.raises(TypeError, match="bool, int, float or str"):
        Param([1])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="only a number"):
        Param("a", low=1)
    with pytest.raises(ValueError, match="cannot be called 'a b'"):
        horus.Node("x", tick=print, params={"a b": 1})
    with pytest.raises(ValueError, match="give it a tick"):
        horus.Node("x", params={"a": 1})
    with pytest.raises(ValueError, match="compute='process'"):
        horus.Node("x", tick=print, compute="process", params={"a": 1})


def test_an_unknown_parameter_is_named_with_the_nearest():
    node = horus.Node("drive", tick=print, params={"gain": 1.0})
    assert node.param("gain") == 1.0
    with pytest.raises(ParamError, match="drive has no parameter 'gian'.*did you mean 'gain'"):
        node.param("gian")
    with pytest.raises(ValueError, match="it has none"):
        horus.Node("other", tick=print).param("gain")


@pytest.mark.parametrize("kind", ["plain", "async", "thread"])
def test_a_value_changes_between_ticks_and_never_within(kind, wait_for):
    torn = []
    seen = []

    def tick(node: horus.Node) -> None:
        before = node.param("gain")
        torn.extend(before for _ in range(200) if node.param("gain") != before)
        seen.append(before)

    async def later(node: horus.Node) -> None:
        tick(node)

    node = horus.Node(
        "drive",
        tick=later if kind == "async" else tick,
        rate=500,
        thread=kind == "thread",
        params={"gain": Param(0, low=0, high=50)},
    )
    answers = []

    def change() -> None:
        answers.extend(call("drive.params", "set", "gain", value) for value in range(1, 30))
        try:
            call("drive.params", "set", "gain", 51)
        except CallRefusedError as error:
            answers.append(str(error))
        node.request_stop()

    thread = threading.Thread(target=change)
    thread.start()
    horus.run(node, duration=30)
    thread.join()
    assert answers[:-1] == list(range(1, 30))
    assert "drive.gain must be at least 0 and at most 50, not 51" in answers[-1]
    assert torn == []
    assert seen == sorted(seen) and seen[-1] == 29

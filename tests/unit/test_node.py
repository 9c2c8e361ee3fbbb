"""What a node does by itself: what it is given, what it refuses, what it says."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
from typing import Annotated

import pytest

import horus
from horus.message import Str


def nothing(node):
    pass


# construction -------------------------------------------------------------------------------------


def test_a_node_without_a_name_gets_one_of_its_own():
    first, second = horus.Node(), horus.Node()
    assert re.fullmatch(r"node_[0-9a-f]{8}", first.name)
    assert first.name != second.name


def test_arguments_go_in_the_order_of_the_contract():
    node = horus.Node("n", ["p"], ["s"], nothing, 50, nothing, nothing, lambda node, error: None)
    assert (node.name, node.rate) == ("n", 50.0)
    assert (node.get_publishers(), node.get_subscribers()) == (["p"], ["s"])


def test_the_rate_is_30_hz_unless_given():
    assert horus.Node().rate == 30.0


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("one", ["one"]),
        (horus.Pub("one"), ["one"]),
        (["one", horus.Pub("two")], ["one", "two"]),
        (("one", "two"), ["one", "two"]),
        (None, []),
        ([], []),
    ],
)
def test_topics_are_declared_by_name_or_pub_or_a_list_of_them(given, names):
    assert horus.Node(pubs=given).get_publishers() == names


def test_the_lists_of_topics_are_copies():
    node = horus.Node(pubs="p", subs="s")
    node.get_publishers().append("other")
    node.get_subscribers().clear()
    assert (node.get_publishers(), node.get_subscribers()) == (["p"], ["s"])


@pytest.mark.parametrize("rate", [0, -1, -0.5, float("nan"), float("-inf")])
def test_a_rate_that_is_not_above_zero_is_a_value_error_that_says_so(rate):
    with pytest.raises(ValueError, match=r"node 'slow': rate is .* must be greater than 0 Hz"):
        horus.Node("slow", rate=rate)


@pytest.mark.parametrize("rate", [float("inf"), 1e-9, 2e6])
def test_a_rate_beyond_all_measure_is_refused(rate):
    with pytest.raises(ValueError, match="must be from 1e-06 to 1000000.0 Hz"):
        horus.Node(rate=rate)


@pytest.mark.parametrize("rate", ["fast", None, True, [1]])
def test_a_rate_that_is_no_number_is_a_type_error(rate):
    with pytest.raises(TypeError, match="must be a number of Hz"):
        horus.Node(rate=rate)


@pytest.mark.parametrize("option", ["tick", "init", "shutdown", "on_error"])
def test_a_function_that_is_not_callable_is_refused(option):
    with pytest.raises(TypeError, match=f"node 'n': {option} is 5, which is not callable"):
        horus.Node("n", **{option: 5})


@pytest.mark.parametrize(
    ("option", "function"),
    [
        ("tick", lambda: None),
        ("tick", lambda node, other: None),
        ("on_error", lambda error: None),
        ("init", lambda: None),
    ],
)
def test_a_function_with_the_wrong_number_of_arguments_is_refused_at_once(option, function):
    with pytest.raises(TypeError, match=f"node 'n': {option} function .* must take the node"):
        horus.Node("n", **{option: function})


def test_functions_with_defaults_varargs_and_partials_are_taken():
    class Logic:
        def tick(self, node):
            pass

        def __call__(self, node):
            pass

        @classmethod
        def of_class(cls, node):
            pass

        @staticmethod
        def plain(node):
            pass

    for tick in (
        Logic().tick,
        Logic(),
        Logic.of_class,
        Logic.plain,
        lambda *arguments: None,
        lambda node, gain=2: None,
        functools.partial(lambda gain, node: None, 2),
        print,
    ):
        horus.Node(tick=tick)


@pytest.mark.parametrize("name", ["", "a b", "../up", "/abs", "x" * 65, "tab\t", "ä\n"])
def test_a_name_that_cannot_be_used_is_refused(name):
    with pytest.raises(ValueError, match=r"node name .* cannot be used"):
        horus.Node(name)


def test_a_function_in_the_place_of_the_name_is_refused():
    with pytest.raises(TypeError, match="a node's name is a string"):
        horus.Node(nothing)


def test_a_topic_declared_twice_is_refused():
    with pytest.raises(ValueError, match="node 'n': topic 'a' is twice in subs"):
        horus.Node("n", subs=["a", horus.Sub("a")])


def test_a_topic_may_be_in_pubs_and_in_subs():
    node = horus.Node(pubs="echo", subs="echo")
    node.open_topics()
    node.send("echo", 1)
    assert node.get("echo") == 1


@pytest.mark.parametrize("topics", [5, b"raw", {"a": 1}, [5], [horus.Sub("a")], [None]])
def test_topics_that_are_neither_names_nor_declarations_are_refused(topics):
    with pytest.raises(TypeError, match="node 'n': pubs"):
        horus.Node("n", pubs=topics)


def test_a_topic_name_that_leaves_the_folder_is_refused_when_it_is_declared():
    with pytest.raises(horus.TopicNameError, match=r"\.\./secret"):
        horus.Node(pubs="../secret")


@pytest.mark.parametrize("depth", [0, -1, 1.5, True])
def test_a_depth_that_is_no_positive_whole_number_is_refused(depth):
    with pytest.raises(ValueError, match=r"Sub\('a'\): depth is"):
        horus.Sub("a", depth=depth)


def test_a_message_type_that_is_no_class_is_refused():
    with pytest.raises(TypeError, match="the message type must be a class"):
        horus.Pub("a", "Imu")


def test_an_unknown_failure_policy_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match=r"failure_policy 'restrat' .*did you mean 'restart'"):
        horus.Node(failure_policy="restrat")


def test_declarations_compare_by_what_they_say():
    assert horus.Sub("a", depth=3) == horus.Sub("a", depth=3)
    assert horus.Sub("a", depth=3) != horus.Sub("a", depth=4)
    assert horus.Sub("a") != horus.Pub("a")
    assert repr(horus.Sub("a", depth=3)) == "Sub('a', type=None, depth=3, latch=False)"
    assert len({horus.Pub("a"), horus.Pub("a")}) == 1


# topics -------------------------------------------------------------------------------------------


def test_sending_to_an_undeclared_topic_is_a_key_error_naming_all_there_is():
    node = horus.Node("drive", pubs=["cmd_vel", "status"], subs="imu")
    with pytest.raises(KeyError) as caught:
        node.send("cmd_vle", 1)
    assert isinstance(caught.value, horus.UndeclaredTopicError)
    text = str(caught.value)
    assert "node 'drive' sends to topic 'cmd_vle', which is not in its pubs" in text
    assert "did you mean 'cmd_vel'?" in text
    assert "declared pubs: 'cmd_vel', 'status'" in text


@pytest.mark.parametrize(
    "read",
    [
        horus.Node.get,
        horus.Node.recv,
        horus.Node.has_msg,
        horus.Node.get_all,
        horus.Node.recv_all,
        horus.Node.get_latest,
        horus.Node.get_with_timestamp,
        horus.Node.get_timestamp,
        horus.Node.get_message_age,
        horus.Node.dropped,
        lambda node, topic: node.is_stale(topic, 1.0),
    ],
)
def test_reading_an_undeclared_topic_is_an_error_in_every_way_of_reading(read):
    node = horus.Node("drive", pubs="imu", subs="imu_raw")
    with pytest.raises(
        horus.UndeclaredTopicError,
        match=r"node 'drive' reads topic 'imu', which is not in its subs, only in pubs "
        r"\(did you mean 'imu_raw'\?\); declared subs: 'imu_raw'",
    ):
        read(node, "imu")


def test_a_node_sends_and_receives_outside_a_scheduler():
    source, sink = horus.Node(pubs="a"), horus.Node(subs="a")
    assert sink.has_msg("a") is False
    assert sink.get("a") is None
    assert source.send("a", {"x": 1}) is True
    assert sink.has_msg("a") is True
    assert sink.has_msg("a") is True, "asking consumes nothing"
    assert sink.get("a") == {"x": 1}
    assert sink.has_msg("a") is False


def test_messages_come_in_order_and_all_at_once_if_wanted():
    source, sink = horus.Node(pubs="a"), horus.Node(subs="a")
    sink.open_topics()
    for number in range(6):
        source.send("a", number)
    assert [sink.get("a"), sink.recv("a")] == [0, 1]
    assert sink.get_all("a") == [2, 3, 4, 5]
    assert sink.get_all("a") == sink.recv_all("a") == []


def test_get_latest_gives_the_newest_and_drops_the_older_without_counting_them():
    source, sink = horus.Node(pubs="a"), horus.Node(subs="a")
    sink.open_topics()
    for number in range(6):
        source.send("a", number)
    assert sink.get_latest("a") == 5
    assert sink.get_latest("a") is None
    assert sink.get("a") is None
    assert sink.dropped("a") == 0


@pytest.mark.parametrize("value", [0, {}, [], "", False, 0.0, b""])
def test_what_is_empty_or_zero_is_a_message(value):
    source, sink = horus.Node(pubs="a"), horus.Node(subs="a")
    sink.open_topics()
    source.send("a", value)
    assert sink.has_msg("a")
    got = sink.get("a")
    assert got == value
    assert got is not None


def test_none_is_refused():
    node = horus.Node(pubs="a")
    with pytest.raises(TypeError, match="None"):
        node.send("a", None)


@horus.message
class Reading:
    """A number with a name."""

    value: float = 0.0
    name: Annotated[str, Str(16)] = ""


def test_a_declared_type_comes_out_as_the_type_and_nothing_else_goes_in():
    source = horus.Node(pubs=horus.Pub("r", Reading))
    sink = horus.Node(subs=horus.Sub("r", Reading))
    sink.open_topics()
    source.send("r", Reading(value=2.5, name="volt"))
    assert sink.get("r") == Reading(value=2.5, name="volt")
    with pytest.raises(TypeError, match="Reading"):
        source.send("r", {"value": 2.5})


def test_latch_gives_the_last_value_to_who_comes_late():
    source = horus.Node(pubs="map")
    source.send("map", "old")
    source.send("map", "new")
    assert horus.Node(subs="map").get("map") is None
    assert horus.Node(subs=horus.Sub("map", latch=True)).get("map") == "new"


def test_closed_topics_open_again_at_the_next_use():
    source, sink = horus.Node(pubs="a"), horus.Node(subs="a")
    sink.open_topics()
    source.send("a", 1)
    source.close_topics()
    source.send("a", 2)
    assert sink.get_all("a") == [1, 2]


# ages ---------------------------------------------------------------------------------------------


def test_timestamp_and_age_are_those_of_the_message_that_comes_next():
    import time

    source, sink = horus.Node(pubs="a"), horus.Node(subs="a")
    sink.open_topics()
    assert sink.get_timestamp("a") is None
    assert sink.get_message_age("a") is None
    assert sink.get_with_timestamp("a") is None
    now, mono = time.time(), time.monotonic_ns()
    source.send("a", "old", stamp_ns=mono - 5_000_000_000)
    source.send("a", "new", stamp_ns=mono)
    assert sink.get_timestamp("a") == pytest.approx(now - 5.0, abs=0.5)
    age = sink.get_message_age("a")
    assert 5.0 <= age < 35.0
    message, stamp = sink.get_with_timestamp("a")
    assert (message, stamp) == ("old", pytest.approx(now - 5.0, abs=0.5))
    assert sink.get_timestamp("a") == pytest.approx(now, abs=0.5)
    assert sink.get("a") == "new"


def aged(source, topic, seconds, message="m"):
    """Send a message that is so many seconds old."""
    import time

    source.send(topic, message, stamp_ns=time.monotonic_ns() - int(seconds * 1e9))


def test_is_stale_discards_what_is_too_old_and_get_returns_the_young_one():
    source, sink = horus.Node(pubs="a"), horus.Node(subs="a")
    sink.open_topics()
    for number in range(5):
        aged(source, "a", 1000.0, number)
    aged(source, "a", 0.0, "young")
    assert sink.is_stale("a", 500.0) is False
    assert sink.get("a") == "young"
    assert sink.dropped("a") == 0, "discarded as old is not lost"


def test_is_stale_when_all_that_is_there_is_old():
    source, sink = horus.Node(pubs="a"), horus.Node(subs="a")
    sink.open_topics()
    aged(source, "a", 1000.0)
    assert sink.is_stale("a", 500.0) is True
    assert sink.get("a") is None
    assert sink.is_stale("a", 5000.0) is False, "the last one came 1000 s ago"


def test_is_stale_counts_from_the_last_message_received():
    source, sink = horus.Node(pubs="a"), horus.Node(subs="a")
    sink.open_topics()
    aged(source, "a", 1000.0)
    assert sink.get("a") == "m"
    assert sink.is_stale("a", 500.0) is True
    assert sink.is_stale("a", 2000.0) is False


def test_is_stale_counts_from_the_start_when_nothing_ever_came(wait_for):
    sink = horus.Node(subs="a")
    sink.open_topics()
    assert sink.is_stale("a", 1000.0) is False
    wait_for(lambda: sink.is_stale("a", 0.001))


def test_is_stale_for_ever_young_and_for_nonsense():
    sink = horus.Node(subs="a")
    assert sink.is_stale("a", float("inf")) is False
    for max_age in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="max_age"):
            sink.is_stale("a", max_age)


# loss ---------------------------------------------------------------------------------------------


def test_loss_is_counted_and_said_once_with_the_cure(caplog):
    source, sink = horus.Node(pubs="a"), horus.Node("slow", subs=horus.Sub("a", depth=4))
    sink.open_topics()
    for turn in range(3):
        for number in range(10):
            source.send("a", number)
        assert sink.get_all("a") == [6, 7, 8, 9]
        assert sink.dropped("a") == 6 * (turn + 1)
    warnings = [r for r in caplog.records if r.levelname == "WARNING"]
    assert len(warnings) == 1
    assert warnings[0].name == "horus.node.slow"
    assert "get_latest('a')" in warnings[0].message
    assert "Sub('a', depth=...)" in warnings[0].message


def test_the_count_of_losses_outlives_the_subscription():
    source, sink = horus.Node(pubs="a"), horus.Node(subs=horus.Sub("a", depth=4))
    sink.open_topics()
    for number in range(10):
        source.send("a", number)
    sink.get("a")
    sink.close_topics()
    assert sink.dropped("a") == 6


# logging ------------------------------------------------------------------------------------------


def test_log_lines_carry_the_nodes_name_and_the_place_in_the_users_code(caplog):
    node = horus.Node("talker")
    with caplog.at_level("DEBUG", logger="horus"):
        node.log_debug("d")
        node.log_info("100 %")
        node.log_warning("w")
        node.log_error("e")
    assert [(r.levelname, r.message) for r in caplog.records] == [
        ("DEBUG", "d"),
        ("INFO", "100 %"),
        ("WARNING", "w"),
        ("ERROR", "e"),
    ]
    assert {r.name for r in caplog.records} == {"horus.node.talker"}
    assert {r.filename for r in caplog.records} == {"test_node.py"}


def test_log_lines_are_no_errors():
    node = horus.Node()
    node.log_error("e")
    assert node.info.error_count() == 0


def python(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )


def test_info_lines_reach_standard_error_when_logging_is_not_configured():
    done = python("import horus; horus.Node('talker').log_info('hello')")
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} INFO    talker: hello\n", done.stderr)


def test_a_configured_root_logger_gets_the_lines_alone():
    done = python(
        "import logging, horus\n"
        "node = horus.Node('talker'); node.log_info('before')\n"
        "logging.basicConfig(format='ROOT %(message)s')\n"
        "node.log_info('after')"
    )
    assert re.fullmatch(r"\S+ INFO    talker: before\nROOT after\n", done.stderr)


def test_a_level_set_on_the_nodes_logger_counts():
    done = python(
        "import logging, horus\n"
        "logging.getLogger('horus.node.talker').setLevel('ERROR')\n"
        "node = horus.Node('talker'); node.log_info('no'); node.log_error('yes')\n"
        "node.logger.setLevel('DEBUG'); node.log_debug('now')"
    )
    assert [line.split(": ")[1] for line in done.stderr.splitlines()] == ["yes", "now"]


def test_importing_horus_loads_no_heavy_library():
    done = python(
        "import sys, horus\n"
        "heavy = {'numpy', 'yaml', 'can', 'smbus2', 'serial', 'posix_ipc', 'msgpack', 'asyncio',\n"
        "         'logging', 'horus.bus'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert done.stdout == "[]\n"


# forking ------------------------------------------------------------------------------------------


def test_a_forked_child_sends_by_a_ring_of_its_own():
    done = python(
        "import os, horus\n"
        "source, sink = horus.Node(pubs='a'), horus.Node(subs='a')\n"
        "sink.open_topics(); source.send('a', 'parent')\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    for _ in range(3): source.send('a', 'child')\n"
        "    os._exit(0)\n"
        "assert os.waitpid(pid, 0)[1] == 0\n"
        "source.send('a', 'parent')\n"
        "print(sorted(sink.get_all('a')))"
    )
    assert done.stdout == "['child', 'child', 'child', 'parent', 'parent']\n"

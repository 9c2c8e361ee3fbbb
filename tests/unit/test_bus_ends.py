from __future__ import annotations

import os
import subprocess
import sys

from horus.bus import Publisher, Subscriber, session
from horus.bus.leftovers import TopicEnds, topic_ends

ME = os.getpid()


def test_who_publishes_and_who_reads_is_told_for_each_topic():
    with_both = [Publisher("a/b"), Publisher("a/b"), Subscriber("a/b")]
    reader = Subscriber("c")
    assert topic_ends(session.topics_dir()) == {
        "a/b": TopicEnds((ME, ME), (ME,)),
        "c": TopicEnds((), (ME,)),
    }
    for end in (*with_both, reader):
        end.close()


def test_ends_that_were_closed_are_not_counted():
    reader, publisher = Subscriber("a"), Publisher("a")
    publisher.close()
    assert topic_ends(session.topics_dir()) == {"a": TopicEnds((), (ME,))}
    reader.close()


def test_ends_of_a_killed_process_are_not_counted():
    code = (
        "import os\nfrom horus.bus import Publisher, Subscriber\n"
        "ends = Publisher('a'), Subscriber('b')\nos.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code], timeout=60)
    assert topic_ends(session.topics_dir()) == {
        "a": TopicEnds((), ()),
        "b": TopicEnds((), ()),
    }


def test_messages_of_a_killed_publisher_are_read_although_another_process_has_started_meanwhile():
    reader = Subscriber("a")
    code = (
        "import os\nfrom horus.bus import Publisher\npublisher = Publisher('a')\n"
        "publisher.send('last words')\nos.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code], timeout=60)
    other = "from horus.bus import Publisher\nPublisher('b').close()\nPublisher('a').close()\n"
    subprocess.run([sys.executable, "-c", other], timeout=60, check=True)
    assert reader.recv() == "last words"
    reader.close()


def test_damaged_topics_are_passed_over_and_left_as_they_are():
    reader = Subscriber("fine")
    topics = session.topics_dir()
    for name, content in (("empty", b""), ("short", b"x"), ("noise", b"\xff" * 300)):
        (topics / name).mkdir()
        (topics / name / "control").write_bytes(content)
        (topics / name / f"{1:016x}.0000.ring").write_bytes(content)
    (topics / "bare").mkdir()
    before = sorted((path, path.stat().st_mtime_ns) for path in topics.rglob("*"))
    found = topic_ends(topics)
    assert found.pop("fine") == TopicEnds((), (ME,))
    assert found == dict.fromkeys(("bare", "empty", "noise", "short"), TopicEnds((), ()))
    assert before == sorted((path, path.stat().st_mtime_ns) for path in topics.rglob("*"))
    reader.close()


def test_where_no_topics_are_none_are_found(tmp_path):
    assert topic_ends(tmp_path / "absent") == {}

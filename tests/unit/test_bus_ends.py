from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import warnings

import pytest

from horus.bus import Publisher, Subscriber, leftovers, rings, session, waiting
from horus.bus import layout as L
from horus.bus.leftovers import TopicEnds, topic_ends
from horus.bus.observer import Observer
from horus.bus.raw import RawSubscriber
from horus.errors import CorruptTopicError, SharedMemoryError
from horus.runtime import lastwords
from horus.runtime.sessions import armed_devices

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


# ---- another PID namespace ----------------------------------------------------------------------

UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc"]


def unshared(code, **env):
    """Run Python code in a PID namespace of its own; skip where that is not permitted."""
    if not shutil.which("unshare"):
        pytest.skip("there is no unshare")
    if subprocess.run([*UNSHARE, "true"], capture_output=True, timeout=60).returncode:
        pytest.skip("a PID namespace of one's own is not permitted here")
    run = [*UNSHARE, sys.executable, "-c", code]
    return subprocess.run(run, env=os.environ | env, capture_output=True, text=True, timeout=60)


def test_who_comes_from_another_pid_namespace_is_refused_and_sweeps_nothing(shm, tmp_path):
    publisher, reader = Publisher("cmd"), Subscriber("cmd")
    run = session.new_session()
    assert not reader.wait(0.01)  # has made its semaphore
    bells = list(waiting.SEMAPHORES.glob(f"sem.horus.{ME}.*"))
    assert bells
    before = sorted(shm.rglob("*"))
    for code in ("Subscriber('cmd')", "Publisher('cmd')"):
        ended = unshared(f"from horus.bus import Publisher, Subscriber\n{code}")
        assert ended.returncode == 1
        last = ended.stderr.splitlines()[-1]
        assert "SharedMemoryError" in last and str(shm / "topics/cmd/control") in last
        assert "another PID namespace" in last and "--pid=host" in last
    clean = "from horus.bus import leftovers\nr = leftovers.clean(at_once=True)\n"
    assert unshared(f"{clean}print(r.sessions, r.topics, r.rings)").stdout == "[] [] []\n"
    assert sorted(shm.rglob("*")) == before
    own = "from horus.bus import Topic\nt = Topic('cmd')\nt.send(1)\nprint(t.recv())"
    assert unshared(own, HORUS_SHM_DIR=str(tmp_path)).stdout == "1\n"
    assert all(path.exists() for path in bells)
    publisher.send(1)
    assert reader.recv() == 1
    late = Subscriber("cmd")
    publisher.send(2)
    assert (reader.recv(), late.recv()) == (2, 2)
    session.end_session(run.id)


def test_what_is_of_another_pid_namespace_is_left_until_it_is_forced_away(shm):
    publisher, reader = Publisher("cmd"), Subscriber("cmd")
    control = publisher._control
    assert control.word(L.CONTROL_NAMESPACE) == session.pid_namespace()
    if not session.pid_namespace():
        pytest.skip("there are no PID namespaces")
    control.set_word(L.CONTROL_NAMESPACE, session.pid_namespace() + 1)
    run = session.new_session()
    owner = json.loads((run.path / session.OWNER_FILE).read_text())
    elsewhere = {"pid": 4194309, "start": 5, "pid_namespace": session.pid_namespace() + 1}
    (run.path / session.OWNER_FILE).write_text(json.dumps(owner | elsewhere))
    (run.path / lastwords.FOLDER).mkdir()
    (run.path / lastwords.FOLDER / "4194309-motor.json").touch()
    with pytest.raises(SharedMemoryError, match="another PID namespace"):
        Subscriber("cmd")
    report = leftovers.clean(at_once=True)
    assert not (report.sessions or report.topics or report.rings)
    assert report.in_use == [
        f"session {run.id} (of another PID namespace)",
        "topic cmd (of another PID namespace)",
    ]
    assert armed_devices() == {run.id: ["motor"]}
    control.set_word(L.CONTROL_NAMESPACE, 0)  # as where there is no /proc
    Subscriber("cmd").close()
    control.set_word(L.CONTROL_NAMESPACE, session.pid_namespace() + 1)
    reader.close()  # tidies nothing that it cannot see
    publisher.close()
    assert leftovers.topics_in_use(session.topics_dir())
    report = leftovers.clean(force=True)
    assert report.topics == ["cmd"] and report.sessions == [run.id]


# ---- what a process keeps of others --------------------------------------------------------------


def test_the_last_session_that_ends_leaves_no_folder(shm):
    first, second = session.new_session(), session.new_session()
    session.end_session(first.id)
    assert second.path.is_dir()
    session.end_session(second.id)
    assert not shm.exists()


def test_sessions_begin_while_others_end_and_clear_the_folders_away(shm):
    begin_and_end = (
        "from horus.bus import session, Topic\nimport os\n"
        "for _ in range(200):\n"
        "    made = session.new_session()\n"
        "    os.environ['HORUS_SESSION_ID'] = made.id\n"
        "    with Topic('cmd') as topic:\n"
        "        topic.send(1)\n"
        "        assert topic.recv() == 1\n"
        "    session.end_session(made.id)\n"
    )
    command = [sys.executable, "-c", begin_and_end]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    ended = [process.communicate(timeout=60)[1] for process in running]
    assert ended == ["", "", ""]
    assert not shm.exists()


def test_a_child_reads_although_a_thread_of_its_parent_was_reading(wait_for):
    reading, go_on = threading.Event(), threading.Event()

    def in_the_middle():
        if threading.current_thread() is not threading.main_thread():
            reading.set()
            go_on.wait(60)

    publisher = Publisher("t")
    reader = Subscriber("t", depth=1, on_drop=in_the_middle)
    publisher.send(1)
    publisher.send(2)
    thread = threading.Thread(target=reader.recv)
    thread.start()
    assert reading.wait(60)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of threads
        pid = os.fork()
    if not pid:
        signal.alarm(20)
        reader.recv()
        reader._pins.looks.forked()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    go_on.set()
    thread.join(60)


def test_readers_and_publishers_that_have_gone_are_forgotten():
    publisher, reader = Publisher("t"), Subscriber("t")
    for n in range(60):
        guest = Subscriber("t")
        guest._bell.hang()
        guest.arm()
        publisher.send(n)
        guest.close()
        other = Publisher("t")
        other.send(n)
        other.close()
        assert reader.recv_all() == [n, n]
    assert len(publisher._ringer._known) <= 2 * 2 + waiting.SPARE  # two are present
    for ring in rings.ring_files(publisher._folder):  # as when they have lingered
        if ring.publisher != publisher._id:
            ring.path.unlink()
    publisher._control.raise_generation()
    assert reader.recv() is None
    assert list(reader._parts) == [publisher._id]
    publisher.send("on")
    assert reader.recv() == "on"


@pytest.mark.parametrize("opening", [Subscriber, RawSubscriber, Observer])
def test_a_damaged_ring_keeps_no_new_reader_out(opening):
    good, bad = Publisher("t"), Publisher("t")
    path = rings.ring_path(bad._folder, bad._id, 0)
    with path.open("r+b") as file:
        file.write(b"XXXXXXXX")
    reader = opening("t")
    take = reader.take if opening is RawSubscriber else reader.recv_all
    with pytest.raises(CorruptTopicError, match=path.name):
        take()
    assert not take()
    good.send(1)
    assert len(take()) == 1
    reader.close()


# ---- in words ------------------------------------------------------------------------------------


def test_what_is_wrong_with_a_folder_is_said_once(shm, monkeypatch):
    monkeypatch.setenv("HORUS_SESSION_ID", "abc")
    shm.chmod(0o777)
    with pytest.raises(SharedMemoryError, match="mode 777") as caught:
        Subscriber("t")
    assert str(caught.value).startswith(f"shared memory at {shm} is not safe to use")
    shm.chmod(0o700)


def test_where_no_semaphore_can_be_made_readers_look_by_themselves(monkeypatch, caplog):
    import posix_ipc

    def refuse(*_, **__):
        raise posix_ipc.PermissionsError("Permission denied")

    monkeypatch.setattr(posix_ipc, "Semaphore", refuse)
    monkeypatch.setattr(waiting, "_said", False)
    monkeypatch.setattr(waiting, "SLICE", 60.0)
    publisher, reader, other = Publisher("t"), Subscriber("t"), Subscriber("t")
    assert not reader.wait(0.01)
    timer = threading.Timer(0.02, publisher.send, [7])
    timer.start()
    assert reader.wait(50)
    assert other.wait(50)
    assert reader.recv() == other.recv() == 7
    timer.join()
    assert caplog.text.count("Permission denied") == 1


@pytest.mark.parametrize("timeout", [float("nan"), "1", [1.0]])
def test_what_is_no_time_to_wait_is_refused(timeout):
    reader = Subscriber("t")
    with pytest.raises(ValueError, match="topic 't': wait\\(.*number of seconds"):
        reader.wait(timeout)
    assert not reader.wait(-1)

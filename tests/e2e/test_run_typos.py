"""A topic that is published under one name and read under another."""

from __future__ import annotations

import signal

SENSOR = """\
import horus

def tick(node):
    node.send("pos", 1)

horus.run(horus.Node("sensor", pubs="pos", tick=tick, rate=20))
"""
CTRL = """\
import horus
horus.run(horus.Node("ctrl", subs="poss", tick=lambda node: None, rate=20))
"""


def test_a_misspelt_topic_between_two_processes_is_told_once(write, horus_run):
    write("sensor.py", SENSOR)
    write("ctrl.py", CTRL)
    run = horus_run("sensor.py", "ctrl.py")
    line = " Note: nobody publishes 'poss', which [ctrl] reads (did you mean 'pos'?)"
    run.wait_for(r"^ Note: ")
    run.signal(signal.SIGINT)
    assert run.finish() == 0
    assert run.lines.count(line) == 1

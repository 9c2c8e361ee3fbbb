"""Look at the topics of a running robot, and send on them.

Looking disturbs nobody: files are mapped for reading only, no reader is registered, no ring grows
and no publisher has more to do. ("latency" alone is a reader like any other: it measures what
one would see.) Scripts that no horus run has started are meant by --session plain, and without
it when nothing else runs. Exit status: 0; 1 when nothing came or nobody is there; 2 when no robot
runs or the words make no sense.
"""

from __future__ import annotations

from horus.cli.main import Command

ACTIONS = {
    "list": Command("horus.cli.topic_list", "list the topics", "horus topic list"),
    "info": Command(
        "horus.cli.topic_info", "who is at a topic, and its fields", "horus topic info imu"
    ),
    "echo": Command("horus.cli.topic_echo", "print messages", "horus topic echo imu --once"),
    "hz": Command("horus.cli.topic_hz", "measure a topic's rate", "horus topic hz imu"),
    "bw": Command("horus.cli.topic_bw", "measure a topic's bandwidth", "horus topic bw imu"),
    "latency": Command(
        "horus.cli.topic_latency",
        "measure how old messages are on arrival",
        "horus topic latency imu",
    ),
    "plot": Command("horus.cli.topic_plot", "plot numeric fields", "horus topic plot imu gyro_z"),
    "pub": Command(
        "horus.cli.topic_pub", "send messages", "horus topic pub goal '{x: 1.0, y: 2.0}' --rate 10"
    ),
}

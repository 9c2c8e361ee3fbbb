"""Show, stop and restart the node processes of a running robot.

Under horus run each node file is a process, and so is each bus with its devices.
"""

from __future__ import annotations

from horus.cli.main import Command

ACTIONS = {
    "list": Command("horus.cli.node_list", "list the processes of a run", "horus node list"),
    "info": Command(
        "horus.cli.node_info", "what one publishes, reads and has printed", "horus node info drive"
    ),
    "stop": Command(
        "horus.cli.node_stop", "stop one while the others go on", "horus node stop drive"
    ),
    "restart": Command(
        "horus.cli.node_restart", "stop one and start it again", "horus node restart left_wheel"
    ),
}

"""Show the node processes of a running robot: state, processor, memory, topics, parameters.

Under horus run each node file is a process, and so is each bus with its devices.
"""

from __future__ import annotations

from horus.cli.main import Command

ACTIONS = {
    "list": Command("horus.cli.node_list", "list the processes of a run", "horus node list"),
    "info": Command(
        "horus.cli.node_info", "what one publishes, reads and has printed", "horus node info drive"
    ),
}

"""Show and change the parameters of running nodes, such as drive.gain.

A node checks a value itself and takes it between two of its ticks; a node of a low rate, or one
that only messages call, answers at its next tick. Exit status: 0; 1 when the node refuses or does
not answer; 2 when no robot runs.
"""

from __future__ import annotations

from horus.cli.main import Command

ACTIONS = {
    "list": Command("horus.cli.param_list", "list all parameters, or a node's", "horus param list"),
    "get": Command("horus.cli.param_get", "print a value", "horus param get drive.gain"),
    "set": Command("horus.cli.param_set", "change a value", "horus param set drive.gain 2.5"),
    "save": Command(
        "horus.cli.param_save",
        "write present values into horus.yaml",
        "horus param save --dry-run",
    ),
}

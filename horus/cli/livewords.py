"""What of a running robot may stand in a place of a command line: for completion.

Each function is given the words before that are no options, and the one that is being typed.
"""

from __future__ import annotations

import os
from collections.abc import Callable

Live = Callable[[list[str], str], list[str]]
#: How long (s) a person who is typing waits for an answer.
PATIENCE = 0.5


def sessions(words: list[str], current: str) -> list[str]:
    """Return the runs that are going on."""
    from horus.runtime.sessions import running_sessions

    return [run.id for run in running_sessions()]


def topics(words: list[str], current: str) -> list[str]:
    """Return the topics; those of questions and answers only when they are meant."""
    from horus.bus.observer import topic_names
    from horus.cli.looking import ASKED

    names = topic_names()
    plain = [name for name in names if not name.endswith(ASKED)]
    return plain if any(name.startswith(current) for name in plain) else names


def fields(words: list[str], current: str) -> list[str]:
    """Return the fields of the topic that was named."""
    from horus.bus.observer import folder_of
    from horus.bus.probe import state_of
    from horus.cli.topic_info import fields_of

    folder = folder_of(words[0])
    return [about["name"] for about in fields_of(folder, state_of(folder).hash)]


def devices(words: list[str], current: str) -> list[str]:
    """Return the devices."""
    from horus.runtime.sessions import noted_devices

    return [device.name for device in noted_devices()]


def processes(words: list[str], current: str) -> list[str]:
    """Return processes, twins too, and devices: all that can be looked for in the log."""
    from horus.runtime.sessions import noted_processes

    noted = noted_processes(os.environ.get("HORUS_SESSION_ID", ""))
    return [process.name for process in noted] + devices(words, current)


def nodes(words: list[str], current: str) -> list[str]:
    """Return what can be stopped: processes and devices, not the simulated devices."""
    from horus.runtime.sessions import noted_processes

    noted = noted_processes(os.environ.get("HORUS_SESSION_ID", ""))
    return [p.name for p in noted if p.kind != "twin"] + devices(words, current)


def param_nodes(words: list[str], current: str) -> list[str]:
    """Return who has parameters."""
    from horus.cli import params

    return params.nodes()


def parameters(words: list[str], current: str) -> list[str]:
    """Return the parameters; of one node where it is clear which is meant."""
    from horus.cli import params

    node, dot, _ = current.rpartition(".")
    names = [name for name in params.nodes() if (name == node if dot else name.startswith(node))]
    return [f"{name}.{about['name']}" for name in names for about in params.of(name, PATIENCE)]


def callable_devices(words: list[str], current: str) -> list[str]:
    """Return what has commands."""
    from horus.cli.call import with_commands

    return with_commands()


def commands(words: list[str], current: str) -> list[str]:
    """Return the commands of the device that was named."""
    from horus.node.caller import HELP, Caller

    with Caller(words[0]) as caller:
        return list(caller.wait(caller.ask(HELP, (), {}, PATIENCE))["methods"])


def of_a_twin(words: list[str], current: str) -> list[str]:
    """Return simulated devices; after ``set``, what can be set on them."""
    from horus.cli.mock import PREFIX, twins
    from horus.node.caller import call

    known = twins()
    if words[0] != "set":
        return known
    device, dot, _ = current.partition(".")
    meant = [twin for twin in known if (twin == device if dot else twin.startswith(device))]
    states = [call(PREFIX + twin, "state") for twin in meant]
    return [f"{state['name']}.{name}" for state in states for name in state["stimuli"]]


def faults(words: list[str], current: str) -> list[str]:
    """Return what can be wrong with a simulated device."""
    from horus.hardware.steering import FAULTS

    return list(FAULTS) if words[0] == "fault" else []


def drivers(words: list[str], current: str) -> list[str]:
    """Return the drivers."""
    from horus import plugins

    return list(plugins.drivers())


#: By the command and the place of the word; -1 is every place.
LIVE: dict[tuple[str, int], Live] = {
    **{(f"topic {a}", 0): topics for a in ("info", "echo", "hz", "bw", "latency", "plot", "pub")},
    **{("topic plot", place): fields for place in range(1, 6)},
    **{(f"node {action}", 0): nodes for action in ("info", "stop", "restart")},
    ("record", -1): topics,
    ("call", 0): callable_devices,
    ("call", 1): commands,
    ("mock", 1): of_a_twin,
    ("mock", 2): faults,
    ("param list", 0): param_nodes,
    ("param save", 0): param_nodes,
    ("param get", 0): parameters,
    ("param set", 0): parameters,
    ("drivers", 0): drivers,
}
#: Of the value of an option.
VALUES: dict[str, Live] = {
    "session": sessions,
    "node": processes,
    "exclude": topics,
    "field": fields,
}

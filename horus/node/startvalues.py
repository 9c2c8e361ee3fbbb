"""The values that horus.yaml gives the parameters of a node file to start with.

`horus run` passes them to the process of the file; its scheduler gives them to the nodes before
their ``init``, checked by what they declare.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from horus.errors import ConfigError, did_you_mean
from horus.node.params import ParamError

if TYPE_CHECKING:
    from horus.node.node import Node

__all__ = ["VARIABLE", "apply", "from_environment", "packed"]

#: Holds them for one process.
VARIABLE = "HORUS_PARAMS"
#: By ``parameter`` or ``node.parameter``: the value, and the place of the file that gives it.
Given = Mapping[str, tuple[object, str]]


def packed(given: Given) -> str:
    """Return what `VARIABLE` holds."""
    return json.dumps({name: list(one) for name, one in given.items()})


def from_environment() -> Given:
    """Return what was given to this process."""
    try:
        found = json.loads(os.environ.get(VARIABLE) or "{}")
        return {str(name): (value, str(place)) for name, (value, place) in found.items()}
    except (ValueError, TypeError, AttributeError):
        raise ConfigError([f"{VARIABLE} is set by horus run alone: unset it"]) from None


def apply(nodes: Iterable[Node], given: Given) -> None:
    """Set the parameters of nodes; all that does not fit is one `ConfigError`."""
    tuned = [node for node in nodes if node._node_params is not None]
    faults = []
    # A node's own value goes before one for all nodes of the file: the first one counts.
    for name, (value, place) in sorted(given.items(), key=lambda one: "." not in one[0]):
        fits = False
        for node in tuned:
            params = node._node_params
            assert params is not None
            own = name.removeprefix(f"{node.name}.")
            if own in params:
                fits = True
                try:
                    params.start_with(own, value)
                except ParamError as error:
                    faults.append(f"{place}: {error}")
        if not fits:
            known = [f"{node.name}.{param}" for node in tuned for param in node._node_params or ()]
            short = [one.rpartition(".")[2] for one in known]
            near = did_you_mean(name, known if "." in name else short)
            listed = near or f"; there are {', '.join(known) or 'none'}"
            faults.append(f"{place}: no node of this file has a parameter {name!r}{listed}")
    if faults:
        raise ConfigError(sorted(faults))

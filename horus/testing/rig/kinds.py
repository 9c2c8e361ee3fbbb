"""The words of the rig: its checks, hazards, wires and kinds."""

from __future__ import annotations

#: Kinds of rig: a bench, an emulated machine with a real kernel, simulation.
RIGS = ("real", "virtual", "mock")
#: What each conformance check asks.
CHECKS = {
    "C1": "identity",
    "C2": "init",
    "C3": "no side effect",
    "C4": "rate",
    "C5": "units and ranges",
    "C6": "stamps",
    "C7": "unplug",
    "C8": "reconnect",
    "C9": "stale",
    "C10": "bus errors",
    "C11": "safe state",
    "C12": "commands",
    "C13": "latency",
    "C14": "leaks",
    "C15": "two on one bus",
}
#: What a test may do to the world, in the words of ``rig.allow`` and ``--allow``.
HAZARDS = {
    "motion": "something moves",
    "heat": "something gets hot",
    "memory": "non-volatile memory is written",
    "unplug": "a device or an adapter loses its power or its bus",
}
#: Kinds of wire that a rig may have.
WIRES = ("can-loopback", "serial-loopback", "i2c-known")

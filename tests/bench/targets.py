"""What HORUS is to reach, as ratios to other projects in the same run."""

from dataclasses import dataclass

BEST = "best"
MEMCPY = "memcpy"


@dataclass(frozen=True)
class Target:
    """At most (or, where more is better, at least) ``factor`` times the figure of ``of``."""

    factor: float
    of: str | None = BEST  #: a project, BEST of them, MEMCPY, or None: the factor is absolute


ROBOTICS, ZEROMQ = "horus-robotics", "pyzmq"

TARGETS = {
    "typed": [Target(0.35)],
    "typed_fields": [Target(0.5)],
    "mapping": [Target(0.5, ZEROMQ), Target(0.2, ROBOTICS)],
    "node_typed": [Target(0.1, ROBOTICS)],
    "node_mapping": [Target(0.2, ROBOTICS)],
    "array_copied": [Target(1.1, MEMCPY)],
    "array_viewed": [Target(0.25)],
    "one_way_typed": [Target(0.75)],
    "one_way_mapping": [Target(0.2, ROBOTICS)],
    "one_way_view": [Target(0.3)],
    "flood_typed": [Target(2.0)],
    "flood_array": [Target(1.0)],
    "many_rate": [Target(99.0, None)],
    "many_load": [Target(0.3, ROBOTICS)],
    "fastest": [Target(2.0, ROBOTICS)],
    "tick_cost": [Target(1500.0, None)],
    "jitter": [Target(1.0, ROBOTICS)],
    "jitter_best": [Target(0.5, ROBOTICS)],
    "import": [Target(0.5, ROBOTICS)],
    "memory": [Target(0.5, ROBOTICS)],
}

"""The hooks a plugin may implement; each is a plain function with the hook's name.

A package becomes a plugin by an entry point in the group ``horus``::

    [project.entry-points.horus]
    my_robot = "my_robot_horus"

and marks its functions in that module with `hookimpl`.
"""

from __future__ import annotations

import pluggy

hookspec = pluggy.HookspecMarker("horus")
hookimpl = pluggy.HookimplMarker("horus")


@hookspec
def horus_drivers() -> dict[str, str]:  # type: ignore[empty-body]
    """Return drivers by the name used in horus.yaml: ``{"mpu6050": "package.module:Class"}``.

    The module is imported when a robot uses the driver, not before.
    """

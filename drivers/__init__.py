"""The drivers that come with HORUS, one short file a device, each with its simulated twin."""

from __future__ import annotations

if __name__ != "horus_drivers":
    raise ImportError(
        "this folder is imported as horus_drivers; as "
        f"{__name__!r} every driver class would exist twice. Install the project "
        "(`pip install -e .`) and import horus_drivers"
    )

from horus.hookspecs import hookimpl


@hookimpl
def horus_drivers() -> dict[str, str]:
    """Return the drivers of this package by name."""
    return {
        "mpu6050": "horus_drivers.imu.mpu6050:Mpu6050",
        "odrive": "horus_drivers.motor.odrive:Odrive",
    }

"""HORUS plugin: the Lite-On LTR-303ALS ambient light sensor."""

from horus.hookspecs import hookimpl


@hookimpl
def horus_drivers() -> dict[str, str]:
    """Return the drivers of this package by the name that horus.yaml uses."""
    return {"ltr303": "horus_ltr303.ltr303:Ltr303"}

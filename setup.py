"""The one thing pyproject.toml cannot say for every supported setuptools: the optional C core."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "horus.bus._core",
            [
                f"horus/bus/_native/{part}.c"
                for part in ("module", "declared", "plain", "writer", "reader")
            ],
            depends=["horus/bus/_native/shared.h"],
            extra_compile_args=["-std=c11", "-O3", "-Wall", "-Wextra"],
            optional=True,  # no compiler, no failure: the pure twin takes over
        )
    ]
)

"""The one thing pyproject.toml cannot say for every supported setuptools: the optional C core."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "horus.bus._core",
            ["horus/bus/_core.c"],
            extra_compile_args=["-std=c11", "-O3", "-Wall", "-Wextra"],
            optional=True,  # no compiler, no failure: the pure twin takes over
        )
    ]
)

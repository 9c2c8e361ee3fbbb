"""The one thing pyproject.toml cannot say for every supported setuptools: the optional C core."""

from setuptools import Extension, setup

NATIVE = "horus/bus/_native"
FLAGS = ["-std=c11", "-O3", "-fvisibility=hidden", "-Wall", "-Wextra"]

setup(
    ext_modules=[
        Extension(
            "horus.bus._core",
            [f"{NATIVE}/module.c"],  # it includes the other parts
            depends=[
                f"{NATIVE}/{part}"
                for part in (
                    "shared.h",
                    "arrays.c",
                    "declared.c",
                    "loans.c",
                    "looks.c",
                    "plain.c",
                    "reader.c",
                    "recycle.c",
                    "slots.c",
                    "writer.c",
                )
            ],
            extra_compile_args=FLAGS,
            optional=True,  # no compiler, no failure: the pure twin takes over
        ),
        Extension(
            "horus.node._times",
            ["horus/node/_native/times.c"],
            extra_compile_args=FLAGS,
            optional=True,
        ),
    ]
)

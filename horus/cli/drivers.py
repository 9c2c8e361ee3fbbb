"""List the device drivers that horus.yaml can name, and the package each comes from."""

from __future__ import annotations

import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus drivers`: none."""


def main(args: argparse.Namespace) -> int:
    """Print a table of the drivers; none of them is imported."""
    from horus.plugins import drivers

    rows = [("DRIVER", "CLASS", "PACKAGE")]
    for name, entry in drivers().items():
        rows.append((name, entry.target, entry.problem or entry.plugin.package))
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    for name, target, package in rows:
        print(f"{name:<{widths[0]}}  {target:<{widths[1]}}  {package}")
    return 0

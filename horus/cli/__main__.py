"""The `horus` command as it is installed, and ``python -m horus.cli``."""

import sys

from horus import early


def main() -> int:
    """Run the `horus` command; return its exit status."""
    early.begin()
    try:
        from horus.cli.main import main as command

        return command()
    except KeyboardInterrupt:
        return early.status(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())

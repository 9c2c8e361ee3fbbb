"""Serve ``python -m horus`` where the `horus` command is not on PATH."""

import sys

from horus.cli.__main__ import main

if __name__ == "__main__":
    sys.exit(main())

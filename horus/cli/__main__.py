"""Serve ``python -m horus.cli`` where the `horus` command is not on PATH."""

import sys

from horus.cli.main import main

sys.exit(main())

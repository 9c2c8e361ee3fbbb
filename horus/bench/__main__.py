"""``python -m horus.bench JOB``: measure one thing about HORUS in this process."""

import sys

from horus.bench import worker
from horus.bench.ours import Ours, about

if __name__ == "__main__":
    sys.exit(worker.main(Ours, about()))

"""The scheduler: runs nodes at their rates on an absolute grid of time, and stops them in order."""

from horus.scheduler.rate import Rate
from horus.scheduler.scheduler import Scheduler, run

__all__ = ["Rate", "Scheduler", "run"]

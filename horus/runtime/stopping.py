"""How processes are asked to stop: SIGINT, a grace period, SIGTERM, another, SIGKILL."""

from __future__ import annotations

import signal
from collections.abc import Sequence

from horus.runtime.linux import signal_group
from horus.runtime.process import Process

_LADDER = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
#: How long (s) the kernel may take to end a killed process; longer and a device driver has hung.
_KILL_WAIT = 5.0
#: The grace (s) that is left to each step once somebody is in a hurry.
_HURRIED_GRACE = 1.0


class StopSequence:
    """Ends groups of processes, one group after the other, each by the same steps.

    The groups: first all that move or command something, then the simulated devices, which must
    still be there when the drivers make them safe.
    """

    def __init__(self, groups: Sequence[Sequence[Process]], grace: float) -> None:
        self._groups = [list(group) for group in groups]
        self._grace = grace
        self._step = -1
        self._hurry = ""
        #: Monotonic time (s) of the next step.
        self.deadline = 0.0

    def advance(self, now: float) -> bool:
        """Take the steps that are due; True when nothing is left to stop."""
        while self._groups:
            left = [process for process in self._groups[0] if process.running]
            if not left:
                self._groups.pop(0)
                self._step = -1
                self.deadline = 0.0
            elif now < self.deadline:
                return False
            elif self._step == len(_LADDER) - 1:
                for process in left:
                    process.lost = True
            else:
                self._step += 1
                signum = _LADDER[self._step]
                self.deadline = now + (_KILL_WAIT if signum == signal.SIGKILL else self._grace)
                for process in left:
                    process.asked = signum
                    process.hurried = self._hurry if self._step else ""
                    signal_group(process.pid, signum)
        return True

    def hurry(self, now: float, why: str) -> None:
        """Take the next step at once, and the following ones sooner; never before a kill's end.

        ``why`` says, in the lines on processes that got a step early, who was in a hurry.
        """
        self._hurry = why
        self._grace = min(self._grace, _HURRIED_GRACE)
        if self._step < len(_LADDER) - 1:
            self.deadline = now

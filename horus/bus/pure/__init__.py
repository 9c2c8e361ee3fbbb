"""The twin of `_native` in Python: both ends of a ring, and frames, on the layout of `LAYOUT.md`.

It is chosen when the C core was not built, or by ``HORUS_CORE=pure``. A memoryview's 8-byte items
are loaded and stored by single machine accesses, as the protocol asks; fences are needed
only on CPUs that reorder.
"""

from horus.bus.pure.fences import fence
from horus.bus.pure.looks import Looks
from horus.bus.pure.reader import Reader
from horus.bus.pure.slots import Slots
from horus.bus.pure.writer import Writer

__all__ = ["Lender", "Looks", "Reader", "Slots", "Writer", "fence"]

Lender = None  #: only the native core has one

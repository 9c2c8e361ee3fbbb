"""An emulated machine with a real kernel, for drivers to be tested through real interfaces.

It runs Debian's kernel in QEMU, on the files of this machine, which it can read but not change: the
same Python, the same packages, the same robot. Nothing is installed; what it needs lies in a cache
folder (``horus hil virtual --fetch``).
"""

from horus.testing.virtual.errors import VirtualError

__all__ = ["VirtualError"]

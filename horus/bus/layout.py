"""The numbers of the shared-memory layout; `LAYOUT.md` beside this file says what they mean."""

from __future__ import annotations

VERSION = 2

CONTROL_MAGIC = b"HORUSTPC"
CONTROL_SIZE = 8192
CONTROL_TYPE_HASH = 16
CONTROL_GENERATION = 24
CONTROL_DEPTH = 32
CONTROL_READERS = 36
#: Not 0 once a reader without an entry has looked at frames.
CONTROL_UNLISTED = 40
CONTROL_NAMESPACE = 48
CONTROL_TYPE_NAME = 64
CONTROL_TYPE_NAME_SIZE = 128
CONTROL_WAITING = 256
CONTROL_ENTRIES = 512
ENTRY_SIZE = 16
MAX_READERS = 256

RING_MAGIC = b"HORUSRNG"
RING_SLOTS = 16
RING_STRIDE = 20
RING_PUBLISHER = 24
RING_PID = 32
RING_START = 40
RING_BASE = 48
RING_DEPTH = 56
RING_NEXT = 64
RING_CLOSED = 128
RING_HEADER = 192
MIN_SLOTS = 4
MAX_SLOTS = 65536

SLOT_SEQUENCE = 0
SLOT_STAMP = 8
SLOT_HASH = 16
SLOT_LENGTH = 24
SLOT_KIND = 28
SLOT_HEADER = 32
SLOT_ALIGN = 64

KIND_STRUCT = 1
KIND_MSGPACK = 2
KIND_ARRAY = 3
KIND_FRAME = 4

FRAMES_MAGIC = b"HORUSFRM"
FRAMES_SLOTS = 16
FRAMES_PUBLISHER = 24
FRAMES_CAPACITY = 32
#: A word for each reader entry: one more than the number of the last frame that it has taken here.
FRAMES_TAKEN = 2048
#: From here on a block for each slot: its sequence word, and one byte for each reader's pin.
FRAMES_BLOCKS = 4096
FRAMES_BLOCK = 512
BLOCK_PINS = 256
#: The slots of a pool begin at a multiple of this, and so does each of them.
FRAMES_ALIGN = 4096
#: Slots of the first pool of a publisher, and of one pool at most.
MIN_FRAMES = 4
MAX_FRAMES = 64

#: Largest payload of one message; what is bigger belongs in a file or in pieces.
MAX_MESSAGE = 256 * 1024 * 1024
#: A ring of large messages is kept to about this size by having fewer slots.
RING_BUDGET = 32 * 1024 * 1024
#: Arrays of so many bytes are frames: they lie in a pool, and readers look at them there.
FRAME_LEAST = 4096
#: The pools of a publisher are kept to about this size, by giving up frames that nobody has read.
FRAME_BUDGET = 64 * 1024 * 1024
#: How long a closed publisher's ring stays for readers that have not seen it yet.
LINGER_NS = 2_000_000_000

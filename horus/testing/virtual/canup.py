"""Sets up CAN adapters as they are plugged in, as a distribution's own services do.

Run by its path in the virtual machine, without anything that takes long to import. It comes back
when all that are there are set up, and goes on in the background. Messages and numbers: linux
rtnetlink.h, if_link.h and can/netlink.h.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys

INTERFACES = "/sys/class/net"
ARPHRD_CAN = "280"
BITRATE, RESTART_MS = 500_000, 100
_HEADER = struct.Struct("=IHHII")
_LINK = struct.Struct("=BxHiII")
_ATTRIBUTE = struct.Struct("=HH")
_ERROR = struct.Struct("=i")
_BIT_TIMING = struct.Struct("=8I")
RTM_NEWLINK, NLMSG_ERROR = 16, 2
_REQUEST_ACK = 1 | 4
_RTMGRP_LINK = 1
IFF_UP = 1
IFLA_LINKINFO, IFLA_INFO_KIND, IFLA_INFO_DATA = 18, 1, 2
IFLA_CAN_BITTIMING, IFLA_CAN_RESTART_MS = 1, 6


def attribute(kind: int, *parts: bytes) -> bytes:
    """Return an attribute of a message, or a nest of them."""
    data = b"".join(parts)
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(data), kind) + data + bytes(-len(data) % 4)


def change(index: int, *attributes: bytes, flags: int = 0, mask: int = 0) -> bytes:
    """Return the message that changes an interface, and those of its flags that the mask has."""
    body = _LINK.pack(socket.AF_UNSPEC, 0, index, flags, mask) + b"".join(attributes)
    return _HEADER.pack(_HEADER.size + len(body), RTM_NEWLINK, _REQUEST_ACK, 1, 0) + body


def bit_rate(index: int, bitrate: int = BITRATE, restart_ms: int = RESTART_MS) -> bytes:
    """Return the message that sets the bit rate, and how soon it comes back from bus-off."""
    about = attribute(
        IFLA_INFO_DATA,
        attribute(IFLA_CAN_BITTIMING, _BIT_TIMING.pack(bitrate, *[0] * 7)),
        attribute(IFLA_CAN_RESTART_MS, struct.pack("=I", restart_ms)),
    )
    return change(index, attribute(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, b"can\0"), about))


def switch(index: int, on: bool) -> bytes:
    """Return the message that sets an interface up or down."""
    return change(index, flags=IFF_UP * on, mask=IFF_UP)


def ask(message: bytes) -> None:
    """Have the kernel do it."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as link:
        link.send(message)
        answer = link.recv(65536)
    _, kind, *_ = _HEADER.unpack_from(answer)
    code = _ERROR.unpack_from(answer, _HEADER.size)[0] if kind == NLMSG_ERROR else -errno.EPROTO
    if code:
        raise OSError(-code, os.strerror(-code))


def set_up(name: str) -> None:
    """Set the bit rate of an adapter and switch it on."""
    index = socket.if_nametoindex(name)
    ask(bit_rate(index))
    ask(switch(index, True))


def fresh(known: set[int]) -> list[str]:
    """Return the adapters that have a bit rate to be set and were not seen before."""
    found = []
    for name in sorted(os.listdir(INTERFACES)):
        try:
            with open(f"{INTERFACES}/{name}/type") as file:  # noqa: PTH123
                is_can = file.read().strip() == ARPHRD_CAN
            index = socket.if_nametoindex(name)
        except OSError:
            continue
        if is_can and index not in known and os.path.exists(f"{INTERFACES}/{name}/device"):  # noqa: PTH110
            known.add(index)
            found.append(name)
    return found


def main() -> None:
    """Set up what is there, then in the background what comes."""
    known: set[int] = set()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as news:
        news.bind((0, _RTMGRP_LINK))
        first = True
        while True:
            for name in fresh(known):
                try:
                    set_up(name)
                except OSError as error:
                    print(f"{name} cannot be set up: {error.strerror}", file=sys.stderr)
            if first and os.fork():
                os._exit(0)
            first = False
            news.recv(65536)


if __name__ == "__main__":
    main()

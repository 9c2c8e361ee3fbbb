"""Packet serial of Basicmicro's RoboClaw: questions, commands, and their checksums.

A request has neither header nor length: the board knows from its command how long it is. An answer
has neither, too: it is known by what was asked, which its checksum covers.
"""

from __future__ import annotations

import struct
from typing import Any, ClassVar

from horus.hal import Framing, PacketMap
from horus.hal.checksums import crc16_xmodem

LATENCY = 0.03  # s: the board answers within 10 ms, an adapter adds some
ACK = 0xFF
VERSION_END = b"\n\x00"
MOST_VERSION = 50  # bytes


class Exchange:
    """A command of the board, and the layout of the data that goes with it."""

    def __init__(self, number: int, format: str) -> None:
        self.number = number
        self.struct = struct.Struct(format)


class Asked(Exchange):
    """Something that the board is asked for; the layout is that of its answer."""


class Told(Exchange):
    """Something that the board is told."""


class Requests(Framing):
    """Requests as the board finds them: address and command say how long they are."""

    def measure(self, data: bytes) -> int:
        """Return the size of the request."""
        if not 0x80 <= data[0] <= 0x87:
            return -1
        if len(data) < 2:
            return 0
        if data[1] in RoboclawPackets.asked:
            return 2
        told = RoboclawPackets.told.get(data[1])
        return told.struct.size + 4 if told else -1

    def valid(self, frame: bytes) -> bool:
        """Return whether the checksum is right; questions have none."""
        return len(frame) == 2 or crc16_xmodem(frame[:-2]) == int.from_bytes(frame[-2:], "big")


class Answer(Framing):
    """The answer to one question: nothing but its length, and a checksum that covers both."""

    def __init__(self, question: bytes, *sizes: int) -> None:
        self.question = question
        self.sizes = sizes

    def measure(self, data: bytes) -> int:
        """Return the shortest size whose checksum is right, or else the longest."""
        fitting = [n for n in self.sizes if len(data) >= n and self.valid(data[:n])]
        longest = max(self.sizes)
        return fitting[0] if fitting else longest if len(data) >= longest else 0

    def valid(self, frame: bytes) -> bool:
        """Return whether the checksum over question and answer is right."""
        return crc16_xmodem(self.question + frame[:-2]) == int.from_bytes(frame[-2:], "big")


class VersionAnswer(Answer):
    """A text that ends with a line feed and a zero, and the checksum."""

    def measure(self, data: bytes) -> int:
        """Return the size of the text and its checksum."""
        end = data.find(VERSION_END)
        if end < 0:
            return 0 if len(data) < MOST_VERSION else -1
        return end + 4


class Ack(Framing):
    """One byte that confirms."""

    def measure(self, data: bytes) -> int:
        """Return 1 for the byte that confirms."""
        return 1 if data[0] == ACK else -1


class RoboclawPackets(PacketMap):
    """Commands; of those that each motor has, that of motor 1. All numbers are big-endian."""

    station_option: ClassVar[str] = "address"
    framing = Requests()
    set_timeout = Told(14, ">B")  # 0.1 s
    timeout = Asked(15, ">B")
    encoders = (Asked(16, ">IB"), Asked(17, ">IB"))  # counts, status
    speeds = (Asked(18, ">iB"), Asked(19, ">iB"))  # counts/s, 1 for backward
    reset_encoders = Told(20, ">")
    version = Asked(21, ">")
    set_encoders = (Told(22, ">i"), Told(23, ">i"))
    main_voltage = Asked(24, ">H")  # 0.1 V
    logic_voltage = Asked(25, ">H")
    duties = (Told(32, ">h"), Told(33, ">h"))
    both_duties = Told(34, ">hh")
    run = (Told(35, ">i"), Told(36, ">i"))  # counts/s
    run_both = Told(37, ">ii")
    run_smoothly = (Told(38, ">Ii"), Told(39, ">Ii"))  # counts/s², counts/s
    currents = Asked(49, ">hh")  # 0.01 A
    both_encoders = Asked(78, ">ii")
    temperature = Asked(82, ">H")  # 0.1 °C
    status = Asked(90, ">I")
    asked: ClassVar[dict[int, Asked]] = {}
    told: ClassVar[dict[int, Told]] = {}
    #: Which motor a command is about; 0 is the whole board.
    motors: ClassVar[dict[int, int]] = {}

    @classmethod
    def stations(cls, config: Any) -> tuple[int, ...]:
        """Return address and motor in one number: the motors of a board share its address."""
        return (config.address << 2 | config.motor,)

    @classmethod
    def place(cls, config: Any) -> str:
        """Return address and motor, for people."""
        return f"0x{config.address:02X} motor {config.motor}"

    @property
    def address(self) -> int:
        """The board's address."""
        return self.link.station >> 2

    def tell(self, told: Told, *values: int, confirmed: bool = True) -> None:
        """Tell the board something; unless it shall not be waited for, it must confirm it."""
        head = bytes((self.address, told.number)) + told.struct.pack(*values)
        request = head + crc16_xmodem(head).to_bytes(2, "big")
        if not confirmed:
            self.link.write(request)
            return
        timeout = LATENCY + self.link.time_for(len(request) + 1)
        self.link.ask(request, Ack(), lambda frame: True, timeout)

    def ask(self, asked: Asked) -> tuple[int, ...]:
        """Return what the board answers to a question."""
        return asked.struct.unpack(self.answer(asked, asked.struct.size + 2))

    def answer(self, asked: Asked, *sizes: int) -> bytes:
        """Return the bytes of an answer that has one of these sizes, checksum included."""
        question = bytes((self.address, asked.number))
        text = asked is RoboclawPackets.version
        framing = VersionAnswer(question) if text else Answer(question, *sizes)
        timeout = LATENCY + self.link.time_for(2 + max(sizes))
        return self.link.ask(question, framing, lambda frame: frame[:-2], timeout, strict=True)


def _collect() -> None:
    """Find the commands by number."""
    for value in vars(RoboclawPackets).values():
        for motor, one in enumerate(value if isinstance(value, tuple) else (value,), 1):
            if isinstance(one, Asked):
                RoboclawPackets.asked[one.number] = one
            elif isinstance(one, Told):
                RoboclawPackets.told[one.number] = one
            else:
                continue
            RoboclawPackets.motors[one.number] = motor if isinstance(value, tuple) else 0


_collect()

"""Register maps: bits, words and bursts over a memory."""

import pytest

from horus.hal import Bits, Burst, Register, RegisterMap


class Chip(RegisterMap):
    identity = Register(0x75, "B", reset=0x68)
    word = Register(0x10, ">h", reset=-2)
    sample = Burst(0x20, "<2hB")
    low = Bits(0x30, low=0, width=3)
    middle = Bits(0x30, low=3, width=2, reset=2)
    flag = Bits(0x30, low=7)


class Memory:
    def __init__(self) -> None:
        self.bytes = Chip.image()
        self.log: list[tuple[str, int, bytes]] = []

    def read(self, address: int, count: int) -> bytes:
        data = bytes(self.bytes[address : address + count])
        self.log.append(("read", address, data))
        return data

    def write(self, address: int, data: bytes) -> None:
        self.log.append(("write", address, data))
        self.bytes[address : address + len(data)] = data


def test_reset_values_make_the_image_of_a_chip_just_switched_on() -> None:
    image = Chip.image()
    assert image[0x75] == 0x68
    assert image[0x10:0x12] == b"\xff\xfe"
    assert image[0x30] == 2 << 3


def test_a_register_reads_and_writes_its_bytes_in_its_own_order() -> None:
    memory = Memory()
    chip = Chip(memory)
    assert chip.word == -2
    chip.word = 0x1234
    assert memory.log[-1] == ("write", 0x10, b"\x12\x34")


def test_a_burst_is_one_transaction() -> None:
    memory = Memory()
    chip = Chip(memory)
    memory.bytes[0x20:0x25] = b"\x01\x00\xff\xff\x09"
    assert chip.sample == (1, -1, 9)
    assert len(memory.log) == 1
    chip.sample = (5, 6, 7)
    assert memory.log[1:] == [("write", 0x20, b"\x05\x00\x06\x00\x07")]


def test_writing_bits_leaves_the_other_bits_of_the_byte_alone() -> None:
    memory = Memory()
    chip = Chip(memory)
    chip.flag = 1
    chip.low = 5
    assert memory.bytes[0x30] == 0b1001_0101
    chip.middle = 0
    assert (chip.flag, chip.middle, chip.low) == (1, 0, 5)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("low", 8, "bits low: 8 is not in 0..7"),
        ("flag", -1, "bits flag: -1 is not in 0..1"),
        ("identity", 256, "register identity: 256 does not fit"),
        ("sample", (1, 2), "burst sample: (1, 2) does not fit"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_before_anything_is_written(
    name: str, value: object, text: str
) -> None:
    memory = Memory()
    with pytest.raises(ValueError, match=text.replace("(", r"\(").replace(")", r"\)")):
        setattr(Chip(memory), name, value)
    assert not [entry for entry in memory.log if entry[0] == "write"]


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Register(0xFF, ">H"), "0xFF does not fit in 256"),
        (lambda: Register(0x00, ">2h"), "use Burst"),
        (lambda: Bits(0x00, low=6, width=3), "a byte has 0..7"),
    ],
)
def test_a_field_that_cannot_exist_is_refused_at_import(make: object, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()  # type: ignore[operator]


def test_fields_are_inherited() -> None:
    class More(Chip):
        extra = Register(0x01, "B", reset=9)

    assert More.image()[0x75] == 0x68
    assert More.image()[0x01] == 9
    assert "extra" not in Chip.fields

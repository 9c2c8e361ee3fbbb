"""Register maps: bits, words and bursts over a memory."""

import pytest

from horus.hal import (
    BankSelect,
    Bits,
    Burst,
    DeviceFault,
    FaultKind,
    Register,
    RegisterMap,
    WordRegisterMap,
)


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
        (lambda: type("M", (RegisterMap,), {"x": Register(0xFF, ">H")}), "0xFF .x. does not fit"),
        (lambda: type("M", (WordRegisterMap,), {"x": Register(0, ">I")}), "does not fit in the 2"),
        (lambda: type("M", (RegisterMap,), {"x": Register(0, bank=1)}), "x is in bank 1"),
        (lambda: Register(0x100), "does not fit in 256"),
        (lambda: Bits(0x00, low=15, width=2, format=">H"), "'>H' has 0..15"),
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


class Words(WordRegisterMap):
    config = Register(0x00, ">H", reset=0x399F)
    gain = Bits(0x00, low=11, width=2, format=">H")
    last = Register(0xFF, ">h", reset=-2)


def test_in_a_map_of_words_every_address_is_a_word() -> None:
    image = Words.image()
    assert len(image) == 512
    assert image[:2] == b"\x39\x9f"  # bits without a reset value leave that of their register
    assert image[510:] == b"\xff\xfe"


def test_bits_of_a_word_are_changed_in_its_own_byte_order() -> None:
    memory = Memory()
    memory.bytes[0:2] = b"\x39\x9f"
    chip = Words(memory)
    assert chip.gain == 3
    chip.gain = 0
    assert memory.log[-1] == ("write", 0, b"\x21\x9f")


class Banked(RegisterMap):
    identity = Register(0x00, reset=0xEA)
    scale = Register(0x00, bank=2, reset=7)
    bank = BankSelect(0x7F, low=4, width=2)


class BankedChip:
    """Four banks of 128 registers, the selector in each; no knowledge of the map."""

    def __init__(self) -> None:
        self.banks = [bytearray(128) for _ in range(4)]
        self.selected = 0
        self.log: list[tuple[int, bytes]] = []
        self.broken = False

    def read(self, address: int, count: int) -> bytes:
        if self.broken:
            raise DeviceFault(FaultKind.NO_ACK, "gone")
        if address == 0x7F:
            return bytes((self.selected,))
        return bytes(self.banks[self.selected >> 4][address : address + count])

    def write(self, address: int, data: bytes) -> None:
        self.log.append((address, data))
        if address == 0x7F:
            self.selected = data[0]
        else:
            self.banks[self.selected >> 4][address : address + len(data)] = data


def test_the_bank_is_selected_once_for_many_accesses() -> None:
    chip = BankedChip()
    map = Banked(chip)
    assert map.identity == 0  # bank 0 was selected already: nothing is written
    assert chip.log == []
    map.scale = 5
    map.scale = 6
    assert map.scale == 6
    assert chip.log == [(0x7F, b"\x20"), (0x00, b"\x05"), (0x00, b"\x06")]
    assert map.identity == 0
    assert chip.log[3:] == [(0x7F, b"\x00")]


def test_after_an_error_the_selected_bank_is_asked_for() -> None:
    chip = BankedChip()
    map = Banked(chip)
    map.scale = 5
    chip.broken = True
    with pytest.raises(DeviceFault):
        _ = map.scale
    chip.broken = False
    chip.selected = 0  # a power cut
    assert map.scale == 5
    assert chip.log[-1] == (0x7F, b"\x20")


def test_writing_the_selector_oneself_is_noticed() -> None:
    chip = BankedChip()
    map = Banked(chip)
    map.scale = 5
    map.bank = 3
    assert map.bank == 3
    assert map.scale == 5


def test_a_chip_that_shows_no_possible_bank_is_not_written_to() -> None:
    chip = BankedChip()
    chip.selected = 0x8F
    with pytest.raises(DeviceFault, match="0x7F reads 0x8F, which is no bank") as caught:
        _ = Banked(chip).scale
    assert caught.value.kind is FaultKind.REJECTED
    assert chip.log == []


def test_the_image_of_a_chip_with_banks_holds_them_all() -> None:
    image = Banked.image()
    assert len(image) == 4 * 256
    assert (image[0x000], image[0x200]) == (0xEA, 7)
    assert Banked.scale.address == 0x200


def test_a_chip_without_registers_takes_commands_as_they_are() -> None:
    class Commands(RegisterMap):
        """A chip of 16-bit commands."""

        checked = True

    class Sht:
        def transfer(self, write: bytes, read: int = 0) -> bytes:
            assert write == bytes.fromhex("F32D")
            return bytes.fromhex("8010E1")[:read]

    assert Commands(Sht()).transfer(bytes.fromhex("F32D"), 3) == bytes.fromhex("8010E1")  # type: ignore[arg-type]

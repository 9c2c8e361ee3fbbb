"""How values lie in a frame: bit fields, scaled numbers, ranges, constants, DBC files."""

import struct
import sys
from pathlib import Path

import pytest

from horus.hal import DeviceFault, FaultKind
from horus.hal.dbc import DbcLayout
from horus.hal.layouts import BitFields, Constant, Scaled, Span, layout_of


def test_bit_fields_lie_from_the_highest_bit_down() -> None:
    fields = BitFields("u16 u12 u12 u12 u12")
    assert fields.pack(0x8A3C, 0x777, 0x199, 0x333, 0xA65) == bytes.fromhex("8A3C777199333A65")
    assert fields.unpack_from(bytes.fromhex("8A3C777199333A65FF")) == (
        0x8A3C,
        0x777,
        0x199,
        0x333,
        0xA65,
    )


def test_little_bit_fields_lie_from_the_lowest_bit_up() -> None:
    channels = BitFields("u11 u11", little=True)
    assert channels.pack(0x7FF, 0x001) == bytes.fromhex("FF0F00")
    assert channels.unpack_from(bytes.fromhex("FF0F00")) == (0x7FF, 0x001)


def test_signed_fields_and_spare_bits() -> None:
    fields = BitFields("s4 u3")
    assert fields.pack(-8, 5) == b"\x8a"
    assert fields.unpack_from(b"\x8b") == (-8, 5)


@pytest.mark.parametrize(
    ("values", "text"),
    [((16, 0), "16 does not fit in 4 bits"), ((-1, 0), "-1 does not"), ((1,), "takes 2 values")],
)
def test_what_does_not_fit_into_a_bit_field_is_refused(values: tuple[int, ...], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        BitFields("u4 u4").pack(*values)


def test_a_misspelt_bit_field_is_refused() -> None:
    with pytest.raises(ValueError, match="'i4' is no bit field"):
        BitFields("u4 i4")


def test_scaled_numbers_are_rounded_to_the_nearest_count() -> None:
    status = Scaled(">ihh", 1, 0.1, 0.001)
    assert status.pack(5000, 10.04, -0.5004) == bytes.fromhex("00001388 0064 FE0C")
    assert status.unpack_from(bytes.fromhex("00001388 0064 FE0C")) == pytest.approx(
        (5000, 10.0, -0.5)
    )
    with pytest.raises(struct.error):
        status.pack(0, 1e6, 0)
    with pytest.raises(ValueError, match="one unit for each"):
        Scaled(">ih", 1.0)


def test_a_span_truncates_and_reaches_both_ends() -> None:
    span = Span(-12.5, 12.5, 16)
    assert (span.count(-12.5), span.count(1.0), span.count(12.5)) == (0, 0x8A3C, 0xFFFF)
    assert span.value(0) == -12.5
    assert span.value(0xFFFF) == pytest.approx(12.5)
    with pytest.raises(ValueError, match="12.6 is not within -12.5 to 12.5"):
        span.count(12.6)
    with pytest.raises(ValueError, match="not within"):
        span.count(float("nan"))
    assert span.inside(99.0) == 12.5


def test_a_constant_carries_nothing() -> None:
    enable = Constant("FFFC")
    assert enable.pack() == b"\xff\xfc"
    assert enable.matches(b"\xff\xfc\x00")
    assert not enable.matches(b"\xff")
    with pytest.raises(ValueError, match="takes no values"):
        enable.pack(1)


def test_a_format_is_a_layout() -> None:
    assert layout_of("<If").size == 8
    assert layout_of("").size == 0


DBC = """VERSION ""
NS_ :
BS_:
BU_: Host Motor
BO_ 291 Motion: 8 Motor
 SG_ Speed : 0|16@1- (0.1,0) [-3276.8|3276.7] "rad/s" Host
 SG_ Heat : 16|8@1+ (1,-40) [-40|215] "degC" Host
 SG_ Ready : 24|1@1+ (1,0) [0|1] "" Host
BO_ 292 Short: 2 Host
 SG_ Level : 7|12@0+ (1,0) [0|4095] "" Motor
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "motor.dbc"
    path.write_text(DBC)
    return path


def test_a_dbc_file_describes_a_frame(file: Path) -> None:
    pytest.importorskip("cantools")
    motion = DbcLayout(file, "Motion", "Heat", "Speed")
    assert (motion.id, motion.size, motion.signals) == (0x123, 8, ("Heat", "Speed"))
    assert motion.unpack_from(bytes.fromhex("9CFF 3C 01 00000000")) == (20, -10.0)
    assert motion.pack(20, -10.0) == bytes.fromhex("9CFF 3C 00 00000000")
    assert DbcLayout(file, "Motion").signals == ("Speed", "Heat", "Ready")
    assert DbcLayout(file, "Short").pack(0xABC) == bytes.fromhex("ABC0")


def test_what_a_dbc_file_does_not_have_is_named_with_the_nearest(file: Path) -> None:
    pytest.importorskip("cantools")
    with pytest.raises(ValueError, match=r"motor.dbc: no message Motio \(did you mean"):
        DbcLayout(file, "Motio").size  # noqa: B018
    with pytest.raises(ValueError, match=r"no signal of Motion Sped \(did you mean"):
        DbcLayout(file, "Motion", "Sped").size  # noqa: B018
    with pytest.raises(ValueError, match="takes 1 values, not 2"):
        DbcLayout(file, "Short").pack(1, 2)
    with pytest.raises(ValueError, match="Level"):
        DbcLayout(file, "Short").pack(5000)


@pytest.mark.parametrize("text", [None, "BO_ nonsense", ""])
def test_a_dbc_file_that_cannot_be_used_is_named(tmp_path: Path, text: str | None) -> None:
    pytest.importorskip("cantools")
    path = tmp_path / "broken.dbc"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match="broken.dbc"):
        DbcLayout(path, "Motion").size  # noqa: B018


def test_without_cantools_a_dbc_file_says_what_to_install(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("horus.hal.dbc.find_spec", lambda _: None)
    layout = DbcLayout(file, "Motion")
    with pytest.raises(DeviceFault, match=r'cantools.*pip install "horus\[dbc\]"') as info:
        layout.unpack_from(bytes(8))
    assert info.value.kind is FaultKind.ABSENT


def test_naming_a_dbc_file_reads_nothing_and_imports_nothing() -> None:
    before = "cantools" in sys.modules
    DbcLayout("/nonexistent.dbc", "Motion")
    assert ("cantools" in sys.modules) == before

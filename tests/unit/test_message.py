from __future__ import annotations

import copy
import ctypes
import gc
import math
import mmap
import pickle
import random
import struct
import subprocess
import sys
from dataclasses import KW_ONLY, InitVar, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import pytest

from horus.errors import MessageTypeError
from horus.message import (
    EMPTY,
    Array,
    BoolArray,
    Float32,
    Float32Array,
    Float64,
    Int8,
    Int16,
    Int32,
    Int32Array,
    Int64,
    Str,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
    UInt64Array,
    VarArray,
    clip_text,
    message,
    spec_for_hash,
    spec_of,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


@message
class Sample:
    """Every kind of field, in an order that needs padding."""

    flag: bool = False
    tiny: Int8 = 0
    small: Int16 = 0
    medium: Int32 = 0
    large: Int64 = 0
    plain: int = 0
    u_tiny: UInt8 = 0
    u_medium: UInt32 = 0
    u_small: UInt16 = 0
    u_large: UInt64 = 0
    single: Float32 = 0.0
    double: Float64 = 0.0
    number: float = 0.0
    text: Annotated[str, Str(13)] = ""
    vector: tuple[float, float, float] = (0.0, 0.0, 0.0)
    grid: Annotated[tuple[int, ...], Array("i2", 5)] = (0,) * 5
    bits: Annotated[tuple[bool, ...], Array("?", 3)] = (False,) * 3
    rays: Annotated[Float32Array, VarArray("f4", 7)] = EMPTY
    ids: Annotated[UInt64Array, VarArray("u8", 3)] = EMPTY
    marks: Annotated[BoolArray, VarArray("?", 5)] = EMPTY


class CSample(ctypes.LittleEndianStructure):
    """The same fields as a C compiler lays them out."""

    _fields_ = (
        ("flag", ctypes.c_bool),
        ("tiny", ctypes.c_int8),
        ("small", ctypes.c_int16),
        ("medium", ctypes.c_int32),
        ("large", ctypes.c_int64),
        ("plain", ctypes.c_int64),
        ("u_tiny", ctypes.c_uint8),
        ("u_medium", ctypes.c_uint32),
        ("u_small", ctypes.c_uint16),
        ("u_large", ctypes.c_uint64),
        ("single", ctypes.c_float),
        ("double", ctypes.c_double),
        ("number", ctypes.c_double),
        ("text", ctypes.c_char * 13),
        ("vector", ctypes.c_double * 3),
        ("grid", ctypes.c_int16 * 5),
        ("bits", ctypes.c_bool * 3),
        ("rays_count", ctypes.c_uint32),
        ("rays", ctypes.c_float * 7),
        ("ids_count", ctypes.c_uint32),
        ("ids", ctypes.c_uint64 * 3),
        ("marks_count", ctypes.c_uint32),
        ("marks", ctypes.c_bool * 5),
    )


def full_sample() -> Sample:
    return Sample(
        flag=True,
        tiny=-128,
        small=-32768,
        medium=-(2**31),
        large=-(2**63),
        plain=2**63 - 1,
        u_tiny=255,
        u_medium=2**32 - 1,
        u_small=65535,
        u_large=2**64 - 1,
        single=0.5,
        double=math.pi,
        number=-math.inf,
        text="Grüße",
        vector=(1.0, -2.0, 3.5),
        grid=(1, -2, 3, -4, 5),
        bits=(True, False, True),
        rays=[0.25, math.inf, -1.5],
        ids=[1, 2**64 - 1],
        marks=[True, False, True, True],
    )


def packed(msg: Any) -> bytearray:
    spec = spec_of(type(msg))
    assert spec is not None
    buffer = bytearray(spec.size)
    spec.pack_into(buffer, 0, msg)
    return buffer


def round_trip(msg: Any) -> Any:
    spec = spec_of(type(msg))
    assert spec is not None
    return spec.unpack_from(packed(msg), 0)


def refusal(msg: Any) -> str:
    with pytest.raises(MessageTypeError) as caught:
        packed(msg)
    return str(caught.value)


def declare(annotation: Any, default: Any = None, name: str = "Odd") -> Any:
    namespace = {"__annotations__": {"x": annotation}, "__module__": __name__, "x": default}
    return message(type(name, (), namespace))


# ------------------------------------------------------------------------------------- the class


def test_a_message_is_a_dataclass_with_slots():
    @message
    class Point:
        x: float = 0.0
        y: float = 0.0

    assert [f.name for f in fields(Point)] == ["x", "y"]
    assert Point(1.0, y=2.0) == Point(x=1.0, y=2.0)
    assert repr(Point(1.0)).endswith("Point(x=1.0, y=0.0)")
    assert replace(Point(1.0, 2.0), y=3.0) == Point(1.0, 3.0)
    assert not hasattr(Point(), "__dict__")
    with pytest.raises(AttributeError):
        Point().z = 1.0


def test_a_field_without_default_is_required():
    @message
    class Needed:
        x: float
        y: float = 1.0

    with pytest.raises(TypeError, match="'x'"):
        Needed()
    assert round_trip(Needed(2.0)) == Needed(2.0, 1.0)


def test_the_name_on_the_topic_can_be_given():
    @message(name="acme.Wheel")
    class Wheel:
        speed: float = 0.0

    assert Wheel.__name__ == "Wheel"
    assert spec_of(Wheel).name == "acme.Wheel"


@pytest.mark.parametrize("name", ["", "two words", "a\nb", "x" * 65, "ü" * 33, "{x}", "a'b"])
def test_a_name_that_cannot_be_used_is_refused(name):
    with pytest.raises(MessageTypeError, match=r'@message\(name="\.\.\."\)'):

        @message(name=name)
        class Wheel:
            speed: float = 0.0


def test_a_message_without_fields_still_occupies_memory():
    @message
    class Ping:
        """Nothing but that it happened."""

    assert spec_of(Ping).size == 8
    assert round_trip(Ping()) == Ping()


def test_an_undecorated_subclass_is_no_message():
    class More(Sample):
        pass

    assert spec_of(More) is None
    assert spec_of(dict) is None
    assert spec_of(Sample) is Sample.__horus_spec__


def test_fields_are_inherited_from_a_message():
    @message
    class Base:
        stamp: float = field(default=0.0, kw_only=True)
        axis: tuple[float, float] = (0.0, 0.0)

    @message
    class Derived(Base):
        speed: Float32 = 0.0

    assert [f.name for f in spec_of(Derived).fields] == ["stamp", "axis", "speed"]
    sent = Derived([1.0, 2.0], 3.0, stamp=4.0)
    assert round_trip(sent) == Derived((1.0, 2.0), 3.0, stamp=4.0)


def test_fields_are_inherited_from_a_plain_dataclass():
    @dataclass
    class Base:
        stamp: float = 0.0

    @message
    class Derived(Base):
        speed: float = 0.0

    assert round_trip(Derived(1.0, 2.0)) == Derived(1.0, 2.0)


def test_what_a_dataclass_does_not_count_as_field_is_not_laid_out():
    @message
    class Counted:
        limit: ClassVar[int] = 3
        bare: ClassVar = "anything"
        x: float = 0.0
        start: InitVar[float] = 0.0
        _: KW_ONLY
        y: float = 0.0

        def __post_init__(self, start: float) -> None:
            self.x += start

    assert [f.name for f in spec_of(Counted).fields] == ["x", "y"]
    assert round_trip(Counted(1.0, 2.0, y=5.0)) == Counted(3.0, y=5.0)


def test_the_users_post_init_runs_after_conversion_and_not_when_receiving():
    @message
    class Polar:
        values: tuple[float, float] = (0.0, 0.0)
        made: UInt8 = 0

        def __post_init__(self) -> None:
            assert type(self.values) is tuple
            self.made += 1

    sent = Polar([1.0, 2.0])
    assert (sent.values, sent.made) == ((1.0, 2.0), 1)
    assert round_trip(sent).made == 1


def test_the_users_own_init_new_and_equality_are_kept_and_not_called_when_receiving():
    @message
    class Odd:
        x: float = 0.0

        def __new__(cls, *args: float) -> Odd:
            assert args
            return object.__new__(cls)

        def __init__(self, half: float) -> None:
            self.x = 2 * half

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 7

        def __repr__(self) -> str:
            return "odd"

    assert Odd(2.0).x == 4.0
    assert round_trip(Odd(2.0)).x == 4.0
    assert (Odd(1.0) == 5, hash(Odd(1.0)), repr(Odd(1.0))) == (True, 7, "odd")


def test_message_on_something_else_than_a_class_says_how_it_is_used():
    with pytest.raises(MessageTypeError, match=r"before a class, got 'Wheel'.*name=\.\.\."):
        message("Wheel")


def test_messages_can_be_copied_and_pickled_by_who_wants_to():
    assert copy.copy(full_sample()) == full_sample()
    assert copy.deepcopy(full_sample()) == full_sample()
    assert pickle.loads(pickle.dumps(full_sample())) == full_sample()


# -------------------------------------------------------------------------------------- equality


def test_equality_compares_arrays_element_by_element():
    assert full_sample() == full_sample()
    other = full_sample()
    other.rays = np.array([0.25, 7.0, -1.5], "f4")
    assert full_sample() != other
    other.rays = np.zeros(2, "f4")
    assert full_sample() != other


def test_equality_takes_nan_as_equal_to_nan():
    sent = Sample(number=math.nan, vector=(math.nan, 0.0, 0.0), rays=[math.nan])
    assert round_trip(sent) == sent
    assert Sample(number=math.nan) != Sample(number=0.0)
    assert Sample(vector=(math.nan, 0.0, 0.0)) != Sample(vector=(0.0, math.nan, 0.0))


def test_equality_is_between_messages_of_one_class():
    @message
    class Left:
        x: float = 0.0

    @message
    class Right:
        x: float = 0.0

    assert Left() != Right()
    assert Left() != (0.0,)
    assert (Left() == Left(1.0)) is False


def test_equality_leaves_out_what_the_field_says():
    @message
    class Tagged:
        x: float = 0.0
        tag: int = field(default=0, compare=False)

    assert Tagged(1.0, 1) == Tagged(1.0, 2)


def test_messages_are_mutable_and_so_not_hashable():
    with pytest.raises(TypeError, match="unhashable"):
        hash(Sample())


# ---------------------------------------------------------------------------------------- layout


def test_the_layout_is_that_of_the_c_struct():
    spec = spec_of(Sample)
    assert spec.size == ctypes.sizeof(CSample)
    for f in spec.fields:
        assert f.data_offset == getattr(CSample, f.name).offset, f.name
        count = getattr(CSample, f"{f.name}_count") if f.kind == "vararray" else None
        assert f.offset == (count.offset if count else f.data_offset), f.name


def test_a_count_is_aligned_by_itself_and_elements_by_their_size():
    @message
    class Lists:
        flag: bool = False
        small: Annotated[Any, VarArray("u1", 3)] = EMPTY
        mark: Int32 = 0
        large: Annotated[Any, VarArray("f8", 1)] = EMPTY
        end: bool = False

    places = {f.name: (f.offset, f.data_offset) for f in spec_of(Lists).fields}
    assert places["small"] == (4, 8)
    assert places["mark"] == (12, 12)
    assert places["large"] == (16, 24)
    assert places["end"] == (32, 32)
    assert spec_of(Lists).size == 40
    sent = Lists(True, [1, 2, 255], -1, [0.5], True)
    assert round_trip(sent) == sent


def test_a_c_program_reads_what_was_packed():
    seen = CSample.from_buffer_copy(packed(full_sample()))
    assert (seen.flag, seen.tiny, seen.small, seen.medium) == (True, -128, -32768, -(2**31))
    assert (seen.large, seen.plain) == (-(2**63), 2**63 - 1)
    assert (seen.u_tiny, seen.u_small, seen.u_medium) == (255, 65535, 2**32 - 1)
    assert (seen.u_large, seen.single, seen.double) == (2**64 - 1, 0.5, math.pi)
    assert (seen.number, seen.text.decode()) == (-math.inf, "Grüße")
    assert (tuple(seen.vector), tuple(seen.grid)) == ((1.0, -2.0, 3.5), (1, -2, 3, -4, 5))
    assert (tuple(seen.bits), seen.rays_count) == ((True, False, True), 3)
    assert tuple(seen.rays) == (0.25, math.inf, -1.5, 0, 0, 0, 0)
    assert (seen.ids_count, tuple(seen.ids)) == (2, (1, 2**64 - 1, 0))
    assert (seen.marks_count, tuple(seen.marks)) == (4, (True, False, True, True, False))


def test_what_a_c_program_wrote_is_unpacked():
    raw = CSample(tiny=-5, number=2.5, text=b"abc", rays_count=2, marks_count=1)
    raw.vector[2] = 7.0
    raw.rays[1] = 0.5
    raw.marks[0] = True
    seen = spec_of(Sample).unpack_from(bytes(raw), 0)
    expected = Sample(tiny=-5, number=2.5, text="abc", vector=(0.0, 0.0, 7.0))
    expected.rays, expected.marks = np.array([0.0, 0.5], "f4"), np.array([True])
    assert seen == expected


def test_numpy_sees_the_same_layout():
    spec = spec_of(Sample)
    record = np.frombuffer(packed(full_sample()), spec.dtype)[0]
    assert spec.dtype.itemsize == spec.size
    assert record["u_small"] == 65535
    assert record["text"].decode() == "Grüße"
    assert record["vector"].tolist() == [1.0, -2.0, 3.5]
    assert record["rays_count"] == 3
    assert record["rays"].tolist()[:3] == [0.25, math.inf, -1.5]
    assert record["bits"].tolist() == [True, False, True]
    offsets = {name: spec.dtype.fields[name][1] for name in spec.dtype.names}
    for f in spec.fields:
        assert offsets[f.name] == f.data_offset
        if f.kind == "vararray":
            assert offsets[f"{f.name}_count"] == f.offset


def test_the_field_table_says_what_a_native_core_needs():
    table = {f.name: f for f in spec_of(Sample).fields}
    shown = {n: (f.kind, f.code, f.offset, f.count, f.data_offset) for n, f in table.items()}
    assert shown["flag"] == ("scalar", "?", 0, 1, 0)
    assert shown["tiny"] == ("scalar", "i1", 1, 1, 1)
    assert shown["small"] == ("scalar", "i2", 2, 1, 2)
    assert shown["plain"] == ("scalar", "i8", 16, 1, 16)
    assert shown["text"] == ("str", "S", 72, 13, 72)
    assert shown["vector"] == ("array", "f8", 88, 3, 88)
    assert shown["rays"] == ("vararray", "f4", 128, 7, 132)
    assert shown["ids"] == ("vararray", "u8", 160, 3, 168)
    with pytest.raises(AttributeError):
        table["flag"].offset = 3


def test_packing_leaves_the_bytes_around_the_message_alone():
    spec = spec_of(Sample)
    buffer = bytearray(b"\xaa" * (spec.size + 32))
    spec.pack_into(buffer, 16, full_sample())
    assert buffer[:16] == buffer[-16:] == b"\xaa" * 16
    assert buffer[16:-16] == packed(full_sample())  # padding is zeros whatever was there
    assert spec.unpack_from(buffer, 16) == full_sample()


@pytest.mark.parametrize("kind", ["bytearray", "memoryview", "mmap"])
def test_any_writable_buffer_serves(kind):
    spec = spec_of(Sample)
    mapped = mmap.mmap(-1, 4096)
    buffer = {"bytearray": bytearray(4096), "mmap": mapped}.get(kind, memoryview(bytearray(4096)))
    spec.pack_into(buffer, 8, full_sample())
    assert spec.unpack_from(buffer, 8) == full_sample()
    assert spec.used_size(full_sample()) == spec.size
    mapped.close()


def test_a_received_message_does_not_refer_to_the_buffer():
    buffer = packed(full_sample())
    seen = spec_of(Sample).unpack_from(buffer, 0)
    buffer[:] = b"\xff" * len(buffer)
    buffer.clear()  # raises BufferError while anything points into it
    assert seen == full_sample()
    seen.rays[0] = 9.0  # an array of its own, free to be changed


def test_the_hash_is_of_the_name_and_the_layout():
    def hash_of(annotation: Any, name: str = "Odd") -> int:
        value = spec_of(declare(annotation, 0, name)).hash
        assert 0 < value < 2**64
        return value

    hashes = [
        hash_of("float"),
        hash_of("int"),
        hash_of("Float32"),
        hash_of("float", "Even"),
        hash_of("tuple[float, float]"),
        hash_of("tuple[float, float, float]"),
        hash_of('Annotated[Float32Array, VarArray("f4", 3)]'),
        hash_of("Annotated[str, Str(8)]"),
    ]
    assert len(set(hashes)) == len(hashes)
    assert hash_of("Float64") == hash_of("float")


def test_the_hash_does_not_change_between_versions():
    assert spec_of(Sample).hash == 0x486E773DDD014089
    assert spec_of(declare("float", 0.0)).hash == 0x906B9A176D080104


# --------------------------------------------------------------------------------------- packing


def test_every_kind_of_field_makes_the_round_trip():
    seen = round_trip(full_sample())
    assert seen == full_sample()
    assert type(seen.flag) is bool
    assert type(seen.vector) is tuple
    assert (seen.rays.dtype, seen.ids.dtype, seen.marks.dtype) == ("f4", "u8", "?")
    assert round_trip(Sample()) == Sample()


def test_numpy_numbers_are_numbers():
    sent = Sample(
        flag=np.True_,
        tiny=np.int64(-3),
        u_tiny=np.uint8(200),
        number=np.float32(0.5),
        vector=np.array([1, 2, 3]),
        grid=np.arange(5, dtype="i8"),
        bits=np.array([True, False, True]),
    )
    seen = round_trip(sent)
    assert (seen.flag, seen.tiny, seen.u_tiny, seen.number) == (True, -3, 200, 0.5)
    assert (seen.vector, seen.grid) == ((1.0, 2.0, 3.0), (0, 1, 2, 3, 4))
    assert type(seen.flag) is bool


def test_a_float_field_takes_an_int_and_an_int_field_takes_a_bool():
    seen = round_trip(Sample(number=3, plain=True))
    assert (seen.number, type(seen.number), seen.plain) == (3.0, float, 1)


def test_any_sequence_becomes_a_tuple():
    for values in ([1, 2, 3], range(1, 4), np.array([1.0, 2.0, 3.0]), np.array([[1, 2, 3]])):
        made = Sample(vector=values)
        assert made.vector == (1.0, 2.0, 3.0)
        assert type(made.vector) is tuple


def test_a_matrix_fills_an_array_row_by_row():
    @message
    class Inertia:
        matrix: Annotated[tuple[float, ...], Array("f8", 4)] = (0.0,) * 4

    assert Inertia(np.array([[1, 2], [3, 4]])).matrix == (1, 2, 3, 4)


def test_any_sequence_of_numbers_becomes_a_numpy_array():
    for values in ([1, 2], (1.0, 2.0), range(1, 3), np.array([1, 2]), np.array([1, 9, 2])[::2]):
        made = Sample(rays=values)
        assert made.rays.dtype == np.float32
        assert made.rays.tolist() == [1.0, 2.0]
        assert round_trip(made) == made


def test_sequences_assigned_later_are_packed_all_the_same():
    sent = Sample()
    sent.vector = [1, 2, 3]
    sent.rays = [0.5]
    sent.bits = np.array([True, True, False])
    assert round_trip(sent) == Sample(vector=(1.0, 2.0, 3.0), rays=[0.5], bits=(True, True, False))


def test_numpy_arrays_of_other_layouts_are_converted():
    sent = Sample()
    sent.rays = np.array([1.0, 2.0, 3.0], ">f4")
    sent.ids = np.array([5, 6, 7, 8, 9], "u8")[::2]
    seen = round_trip(sent)
    assert seen.rays.tolist() == [1.0, 2.0, 3.0]
    assert seen.ids.tolist() == [5, 7, 9]


def test_whole_numbers_beyond_a_doubles_precision_stay_exact():
    assert round_trip(Sample(ids=[1, 2**64 - 1, 2**53 + 1])).ids.tolist() == [
        1,
        2**64 - 1,
        2**53 + 1,
    ]


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("number", "abc", "Sample.number: expected float, got str ('abc')"),
        ("number", None, "Sample.number: expected float, got NoneType (None)"),
        ("number", 10**400, "is out of range for Float64 (±1.7976931348623157e+308)"),
        ("single", 1e39, "Sample.single: 1e+39 is out of range for Float32 (±3.4028235e+38)"),
        ("plain", 1.0, "Sample.plain: expected int, got float (1.0)"),
        ("plain", 2**63, "is out of range for Int64 (-9223372036854775808 to 9223372036854775807)"),
        ("u_tiny", 256, "Sample.u_tiny: 256 is out of range for UInt8 (0 to 255)"),
        ("u_tiny", -1, "Sample.u_tiny: -1 is out of range for UInt8 (0 to 255)"),
        ("tiny", 128, "Sample.tiny: 128 is out of range for Int8 (-128 to 127)"),
        ("flag", 1, "Sample.flag: expected bool, got int (1)"),
        ("flag", "no", "Sample.flag: expected bool, got str ('no')"),
        ("text", b"abc", "Sample.text: expected str, got bytes (b'abc')"),
        ("text", "ä" * 7, "Sample.text: a text of 14 bytes (UTF-8) does not fit into 13"),
        ("text", "a\0b", "Sample.text: the text contains NUL"),
        ("text", "\ud800", "Sample.text: the text cannot be UTF-8: surrogates not allowed at 0"),
        ("vector", (1.0, 2.0), "Sample.vector: expected 3 values, got 2"),
        ("vector", "abc", "Sample.vector: expected 3 values, got str ('abc')"),
        ("vector", None, "Sample.vector: expected 3 values, got NoneType (None)"),
        ("vector", {1, 2, 3}, "Sample.vector: expected 3 values, got set ({1, 2, 3})"),
        ("vector", (0.0, 0.0, "x"), "Sample.vector[2]: expected float, got str ('x')"),
        ("grid", (0, 0, 0, 40000, 0), "Sample.grid[3]: 40000 is out of range for Int16"),
        ("bits", (True, 0, True), "Sample.bits[1]: expected bool, got int (0)"),
        ("rays", [0.0] * 8, "Sample.rays: 8 values do not fit into 7"),
        ("rays", np.zeros(8, "f4"), "Sample.rays: 8 values do not fit into 7"),
        ("rays", np.zeros((2, 3), "f4"), "Sample.rays: expected one dimension, got an array of"),
        ("rays", ["a"], "Sample.rays: expected float values, got <U1 values"),
        ("rays", [1j], "Sample.rays: expected float values, got complex128 values"),
        ("rays", "abc", "Sample.rays: expected float values, got str ('abc')"),
        ("rays", 1.0, "Sample.rays: expected float values, got float (1.0)"),
        ("rays", None, "Sample.rays: expected float values, got NoneType (None)"),
        ("rays", [[1.0]], "Sample.rays: expected one dimension, got an array of shape (1, 1)"),
        ("rays", [[1.0], []], "Sample.rays: expected float values, got "),
        ("rays", [1e39], "Sample.rays: has values out of range for Float32"),
        ("ids", [-1], "Sample.ids: has values out of range for UInt64"),
        ("ids", [2**64], "Sample.ids: has values out of range for UInt64"),
        ("ids", [0.5], "Sample.ids: expected int values"),
        ("ids", np.array([0.5]), "Sample.ids: expected int values, got float64 values"),
        ("marks", [1], "Sample.marks: expected bool values, got int64 values"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_name(name, value, text):
    sent = full_sample()
    setattr(sent, name, value)
    assert text in refusal(sent)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"vector": (1.0, 2.0)}, "Sample.vector: expected 3 values, got 2"),
        ({"grid": np.zeros(6)}, "Sample.grid: expected 5 values, got 6"),
        ({"rays": [0.0] * 8}, "Sample.rays: 8 values do not fit into 7"),
        ({"rays": ["x"]}, "Sample.rays: expected float values, got <U1 values"),
    ],
)
def test_a_sequence_of_the_wrong_size_is_refused_when_the_message_is_made(arguments, text):
    with pytest.raises(MessageTypeError) as caught:
        Sample(**arguments)
    assert text in str(caught.value)


def test_lengths_that_cancel_out_are_noticed():
    @message
    class Pair:
        a: tuple[float, float] = (0.0, 0.0)
        b: tuple[float, float] = (0.0, 0.0)

    sent = Pair()
    sent.a, sent.b = (1.0,), (2.0, 3.0, 4.0)
    assert refusal(sent) == "Pair.a: expected 2 values, got 1"


def test_infinity_and_nan_fit_every_float():
    seen = round_trip(Sample(single=math.inf, number=math.nan, rays=[-math.inf, math.nan]))
    assert seen.single == math.inf
    assert math.isnan(seen.number)
    assert seen.rays[0] == -math.inf


def test_a_field_that_was_deleted_is_named():
    sent = Sample()
    del sent.medium
    assert refusal(sent) == "Sample.medium: has no value"


def test_an_object_of_another_type_is_named():
    with pytest.raises(MessageTypeError, match="expected Sample, got dict"):
        spec_of(Sample).pack_into(bytearray(1000), 0, {"flag": True})


def test_a_faulty_buffer_is_not_blamed_on_the_message():
    spec = spec_of(Sample)
    with pytest.raises(struct.error, match="buffer"):
        spec.pack_into(bytearray(spec.size - 1), 0, Sample())
    with pytest.raises(TypeError, match=r"read-write|writable|bytes-like"):
        spec.pack_into(bytes(spec.size), 0, Sample())


# ------------------------------------------------------------------------------------- unpacking


def test_a_count_larger_than_the_room_is_refused():
    buffer = packed(Sample())
    rays = next(f for f in spec_of(Sample).fields if f.name == "rays")
    struct.pack_into("<I", buffer, rays.offset, 8)
    with pytest.raises(ValueError, match=r"Sample\.rays: 8 elements, but there is room for 7"):
        spec_of(Sample).unpack_from(buffer, 0)


def test_text_that_is_not_utf8_is_refused():
    buffer = packed(Sample())
    text = next(f for f in spec_of(Sample).fields if f.name == "text")
    buffer[text.offset : text.offset + 3] = b"ab\xff"
    with pytest.raises(ValueError, match=r"Sample\.text: not UTF-8: invalid start byte at byte 2"):
        spec_of(Sample).unpack_from(buffer, 0)


def test_text_ends_at_the_first_nul_and_may_fill_its_room():
    buffer = packed(Sample(text="x" * 13))
    assert spec_of(Sample).unpack_from(buffer, 0).text == "x" * 13
    text = next(f for f in spec_of(Sample).fields if f.name == "text")
    buffer[text.offset + 2] = 0
    assert spec_of(Sample).unpack_from(buffer, 0).text == "xx"


def test_any_byte_but_zero_is_true():
    buffer = packed(Sample(bits=(False,) * 3, marks=[False]))
    for f in spec_of(Sample).fields:
        if f.code == "?":
            buffer[f.data_offset] = 0x82
    seen = spec_of(Sample).unpack_from(buffer, 0)
    assert seen.flag is True
    assert seen.bits[0] is True
    assert seen.marks.view("u1").tolist() == [1]


def test_random_bytes_give_a_message_or_a_value_error():
    spec = spec_of(Sample)
    generator = random.Random(7)
    rays = next(f for f in spec.fields if f.name == "rays")
    outcomes = {"message": 0, "error": 0}
    for _ in range(2000):
        buffer = packed(full_sample())
        for _ in range(generator.randrange(1, 6)):
            place = generator.choice([generator.randrange(spec.size), rays.offset])
            buffer[place] = generator.randrange(256)
        try:
            seen = spec.unpack_from(buffer, 0)
        except ValueError as error:
            assert "Sample." in str(error)
            outcomes["error"] += 1
        else:
            assert len(seen.rays) <= 7
            assert round_trip(seen) == seen
            outcomes["message"] += 1
    assert min(outcomes.values()) > 100


def test_a_buffer_that_is_too_short_is_a_value_error():
    with pytest.raises(ValueError, match="Sample: .*buffer"):
        spec_of(Sample).unpack_from(bytes(spec_of(Sample).size - 1), 0)


def test_received_messages_do_not_leak():
    spec, buffer = spec_of(Sample), packed(full_sample())
    spec.unpack_from(buffer, 0)
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(100):
        spec.unpack_from(buffer, 0)
    assert len(gc.get_objects()) - before < 50


# ----------------------------------------------------------------------------------- annotations


@pytest.mark.parametrize(
    ("annotation", "shape"),
    [
        ("float", ("scalar", "f8", 1)),
        ("'float'", ("scalar", "f8", 1)),
        ("int", ("scalar", "i8", 1)),
        ("bool", ("scalar", "?", 1)),
        ("UInt16", ("scalar", "u2", 1)),
        ("Annotated[int, UInt16]", ("scalar", "u2", 1)),
        ("Annotated[float, 'rad/s']", ("scalar", "f8", 1)),
        ("Annotated[Float32, 'rad/s']", ("scalar", "f4", 1)),
        ("Annotated[str, Str(5)]", ("str", "S", 5)),
        ("tuple[float, float]", ("array", "f8", 2)),
        ("tuple[bool, bool, bool]", ("array", "?", 3)),
        ("tuple[Float32, Float32]", ("array", "f4", 2)),
        ("Annotated[tuple[float, ...], Array('f4', 6)]", ("array", "f4", 6)),
        ("Annotated[tuple[float, float], Array('f4', 2)]", ("array", "f4", 2)),
        ("Annotated[Float32Array, VarArray('f4', 9)]", ("vararray", "f4", 9)),
        ("Annotated[np.ndarray, VarArray('i2', 9)]", ("vararray", "i2", 9)),
        ("Annotated[NDArray[np.int16], VarArray('i2', 9)]", ("vararray", "i2", 9)),
        ("Annotated[missing.Type[nothing] | None, VarArray('f8', 1)]", ("vararray", "f8", 1)),
    ],
)
def test_what_a_field_may_be(annotation, shape):
    (found,) = spec_of(declare(annotation, 0)).fields
    assert (found.kind, found.code, found.count) == shape


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        ("list[float]", "Odd.x: list[float] cannot be a field; use float, int, bool, Float32"),
        ("dict", "Odd.x: dict cannot be a field; use"),
        ("Sample", "Odd.x: Sample cannot be a field; use"),
        ("float | None", "Odd.x: float | None cannot be a field; use"),
        ("None", "Odd.x: None cannot be a field; use"),
        ("str", "Odd.x: str has no bound: write Annotated[str, Str(64)]"),
        ("tuple[float, ...]", "Odd.x: tuple[float, ...] has no length: write Annotated["),
        ("tuple[()]", "Odd.x: tuple[()] has no length"),
        ("tuple[float, int]", "mixes types: the elements of a tuple must all be of one type"),
        ("tuple[str, str]", "Odd.x: tuple[str, str] has no bound"),
        ("tuple[list, list]", "Odd.x: tuple[list, list] cannot be a field"),
        ("tuple[Annotated[str, Str(3)]]", "has elements that are not plain numbers"),
        ("Flaot32", "has the name 'Flaot32', which does not exist at run time: is it misspelt"),
        ("np2.float32", "has the name 'np2', which does not exist at run time"),
        ("Annotated[str, Strr(3)]", "has the name 'Strr', which does not exist at run time"),
        ("Annotated[float, Str(4)]", "puts Str(4) on something else than str"),
        ("Annotated[str, Scalar('u1')]", "has the name 'Scalar', which does not exist"),
        ("Annotated[float, UInt8]", "puts UInt8 on something else than int"),
        ("Annotated[tuple[int, ...], Array('f8', 3)]", "does not agree with Array('f8', 3)"),
        ("Annotated[tuple[float, float], Array('f8', 3)]", "does not agree with Array('f8', 3)"),
        ("Annotated[list[float], Array('f8', 3)]", "must be a tuple, for that is what comes out"),
        ("Annotated[Float32Array, VarArray('f8', 3)]", "says Float32 elements, but VarArray('f8',"),
        ("Annotated[UInt8, UInt16]", "has more than one of Scalar('u1'), Scalar('u2')"),
        ("Annotated[str, Str(0)]", "Str(0): the size must be an int from 1 to 2**31 - 1"),
        ("Annotated[str, Str('9')]", "Str('9'): the size must be an int"),
        ("Annotated[tuple[int, ...], Array('f9', 3)]", "Array('f9', 3): unknown element 'f9'; use"),
        ("1 +", "Odd.x: 1 +: invalid syntax"),
    ],
)
def test_an_annotation_that_cannot_be_a_field_is_refused(annotation, text):
    with pytest.raises(MessageTypeError) as caught:
        declare(annotation, 0)
    assert "Odd.x: " in str(caught.value)
    assert text in str(caught.value)


def test_markers_of_other_libraries_are_left_alone():
    (found,) = spec_of(declare(Annotated[float, object(), "m/s"], 0.0)).fields
    assert found.code == "f8"


def test_annotations_written_out_and_postponed_mean_the_same():
    eager = declare(Annotated[tuple[float, ...], Array("f4", 2)], (0.0, 0.0))
    late = declare('Annotated[tuple[float, ...], Array("f4", 2)]', (0.0, 0.0))
    assert spec_of(eager).fields == spec_of(late).fields


def test_a_type_imported_for_checkers_only_is_tolerated_beside_a_marker():
    @message
    class Cloud:
        heights: Annotated[NDArray[np.float32], VarArray("f4", 9)] = EMPTY

    assert "NDArray" not in globals()
    made = Cloud(np.array([1.0, 2.0], "f4"))
    assert round_trip(made) == made


def test_names_of_the_function_around_a_class_are_found():
    Name = Annotated[str, Str(6)]

    @message
    class Local:
        name: Name = ""

    @message(name="Other")
    class Named:
        name: Name = ""

    assert spec_of(Local).fields[0].count == spec_of(Named).fields[0].count == 6


def test_a_name_for_the_count_that_is_taken_is_refused():
    with pytest.raises(MessageTypeError, match=r"Odd\.x_count: the name is taken"):

        @message
        class Odd:
            x: Annotated[Int32Array, VarArray("i4", 3)] = EMPTY
            x_count: int = 0


# -------------------------------------------------------------------------------------- registry


def test_a_type_is_found_by_its_hash():
    assert spec_for_hash(spec_of(Sample).hash) is spec_of(Sample)
    assert spec_for_hash(1) is None


def test_declaring_a_type_again_replaces_it():
    first = declare("float", 0.0, "Twice")
    second = declare("float", 0.0, "Twice")
    assert spec_of(first).hash == spec_of(second).hash
    assert spec_for_hash(spec_of(second).hash) is spec_of(second)
    assert isinstance(spec_of(first).unpack_from(bytes(8), 0), first)


def test_importing_costs_no_numpy_until_a_message_needs_it():
    code = """
import sys
from horus.message import spec_of
import horus.msgs as msgs
imu = msgs.Imu(1.0, orientation=[0, 0, 0, 1])
spec = spec_of(msgs.Imu)
buffer = bytearray(spec.size)
spec.pack_into(buffer, 0, imu)
assert spec.unpack_from(buffer, 0) == imu
assert "numpy" not in sys.modules
msgs.LaserScan()
assert "numpy" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_clipped_text_fits_whatever_it_was():
    for text in ("short", "ä" * 40, "a\0b", "\ud800", "x" * 63 + "€"):
        sent = Sample(text=clip_text(text, 13))
        assert round_trip(sent).text == sent.text
    assert clip_text("ä" * 10, 13) == "ä" * 6
    assert clip_text(ValueError("no bus"), 64) == "no bus"

"""Values into bytes and back; who wrote each byte."""

from __future__ import annotations

import dataclasses
import math
import mmap
import random
import struct as pystruct
from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmviz import Array, Image, KvmvizError, Member, Struct, parse
from kvmviz.ctype import SCALARS
from kvmviz.kvm.kernel import MERGED, MMIO, OLD, WIDENED
from tests import strategies
from tests.compilers import ABI_NAMES
from tests.strategies import ORDER, steady

ESR, FAR = 0x123456789A, 0x1122334455667788
LOW, HIGH = 0x3456789A, 0x12


def naming_their_offset(size: int, start: int = 0) -> bytes:
    """Bytes that say where they lie."""
    return bytes((start + at) % 256 for at in range(size))


# --- the facts -------------------------------------------------------------------------------

FACTS: list[tuple[Struct, dict[str, int], str, str]] = [
    # struct, values, little-endian, big-endian
    (OLD, {"hsr": LOW, "far": FAR},
     "9a785634 00000000 8877665544332211", "3456789a 00000000 1122334455667788"),
    (WIDENED, {"hsr": ESR, "far": FAR},
     "9a785634 12000000 8877665544332211", "00000012 3456789a 1122334455667788"),
    (MERGED, {"hsr": LOW, "hsr_high": HIGH, "far": FAR},
     "9a785634 12000000 8877665544332211", "3456789a 00000012 1122334455667788"),
]  # fmt: skip


@pytest.mark.parametrize("abi", ABI_NAMES)
@pytest.mark.parametrize(("struct", "values", "little", "big"), FACTS)
def test_bytes_of_the_facts(
    struct: Struct, values: dict[str, int], little: str, big: str, abi: str
) -> None:
    expected = little if ORDER[abi] == "little" else big
    if struct is OLD and abi in ("i386", "m68k"):  # no hole there
        expected = expected.replace(" 00000000", "")
    layout = struct.layout(abi)
    assert bytes(layout.pack(values)) == bytes.fromhex(expected)
    assert layout.unpack(bytes.fromhex(expected)) == values


@pytest.mark.parametrize(("row", "big"), [(0, LOW), (1, 0x12), (2, LOW)])
def test_a_u32_reader_of_the_facts(row: int, big: int) -> None:
    writer, values, _, _ = FACTS[row]
    for abi, hsr in (("aarch64", LOW), ("aarch64_be", big)):
        held = writer.layout(abi).pack(values)
        assert OLD.layout(abi).unpack(held) == {"hsr": hsr, "far": FAR}


# --- Python's struct module, pads written out ------------------------------------------------

NESTED = Struct("n", [("a", "u8"), ("in", Struct("", {"b": "s16", "c": "u32[3]"})), ("d", "s64")])
PAIRS = Struct("p", [("pair", Struct("", {"x": "u16", "y": "u8"})), ("z", "s8[2][3]")])
FORMATS = [
    # struct, ABIs, format, values in the format's order, as a mapping
    (OLD, ("aarch64_be", "s390x", "ppc64", "armeb"), ">I4xQ", (1, 2), {"hsr": 1, "far": 2}),
    (OLD, ("aarch64", "x86_64", "arm"), "<I4xQ", (1, 2), {"hsr": 1, "far": 2}),
    (OLD, ("i386",), "<IQ", (1, 2), {"hsr": 1, "far": 2}),
    (OLD, ("m68k",), ">IQ", (1, 2), {"hsr": 1, "far": 2}),
    (MERGED, ("mips",), ">IIQ", (1, 2, 3), {"hsr": 1, "hsr_high": 2, "far": 3}),
    (WIDENED, ("ppc32",), ">QQ", (2**64 - 1, 2), {"hsr": 2**64 - 1, "far": 2}),
    (MMIO, ("aarch64_be",), ">Q8sIB3x", (0x09000000, b"\x5a\x5a\0\0abcd", 4, 1),
     {"phys_addr": 0x09000000, "data": b"\x5a\x5a\0\0abcd", "len": 4, "is_write": 1}),
    (NESTED, ("aarch64", "riscv64"), "<B3xh2xIII4xq", (1, -2, 3, 4, 5, -6),
     {"a": 1, "in": {"b": -2, "c": [3, 4, 5]}, "d": -6}),
    (NESTED, ("i386",), "<B3xh2xIIIq", (1, -2, 3, 4, 5, -6),
     {"a": 1, "in": {"b": -2, "c": [3, 4, 5]}, "d": -6}),
    (NESTED, ("m68k",), ">BxhIIIq", (1, -2, 3, 4, 5, -6),
     {"a": 1, "in": {"b": -2, "c": [3, 4, 5]}, "d": -6}),
    (PAIRS, ("armeb",), ">HBx6b", (1, 2, 3, -4, 5, -6, 7, -8),
     {"pair": {"x": 1, "y": 2}, "z": [[3, -4, 5], [-6, 7, -8]]}),
]  # fmt: skip


@pytest.mark.parametrize(("struct", "abis", "form", "numbers", "values"), FORMATS)
def test_same_as_the_struct_module(
    struct: Struct, abis: tuple[str, ...], form: str, numbers: tuple[Any, ...], values: Any
) -> None:
    expected = pystruct.pack(form, *numbers)
    for abi in abis:
        layout = struct.layout(abi)
        assert bytes(layout.pack(values)) == expected
        plain = {k: list(v) if isinstance(v, bytes) else v for k, v in values.items()}
        assert layout.unpack(expected) == plain


def pad_format(struct: Struct, abi: str) -> str:
    """The struct as a format of the struct module, one code an integer, pads written out."""
    form, at = "<" if ORDER[abi] == "little" else ">", 0
    for leaf in strategies.leaves(struct, abi):
        code = "_BH_I___Q"[leaf.size]
        form += f"{leaf.offset - at}x{code.lower() if leaf.signed else code}"
        at = leaf.offset + leaf.size
    return f"{form}{strategies.extent(struct, abi)[0] - at}x"


@steady
@given(strategies.filled(unions=False), strategies.abis)
def test_every_struct_same_as_the_struct_module(
    drawn: tuple[Struct, dict[str, Any]], abi: str
) -> None:
    struct, values = drawn
    layout = struct.layout(abi)
    expected = pystruct.pack(pad_format(struct, abi), *strategies.flat(values).values())
    assert bytes(layout.pack(values)) == expected
    assert layout.unpack(expected) == values


# --- what nobody writes keeps its bytes ------------------------------------------------------


@steady
@given(strategies.filled(partial=True), strategies.abis, st.integers(0, 255))
def test_a_fill_byte_stays_where_nobody_writes(
    drawn: tuple[Struct, dict[str, Any]], abi: str, fill: int
) -> None:
    struct, values = drawn
    layout = struct.layout(abi)
    held = bytes([fill]) * layout.size
    assert bytes(layout.pack(values, fill)) == strategies.stored(struct, abi, values, held)


@steady
@given(strategies.filled(partial=True), strategies.abis)
def test_a_fill_buffer_stays_where_nobody_writes(
    drawn: tuple[Struct, dict[str, Any]], abi: str
) -> None:
    struct, values = drawn
    layout = struct.layout(abi)
    held = naming_their_offset(layout.size, start=0xA0)
    assert bytes(layout.pack(values, held)) == strategies.stored(struct, abi, values, held)


FILLS = [
    # values, fill, bytes
    ({}, 0xAA, "aaaaaaaa aaaaaaaa aaaaaaaaaaaaaaaa"),
    ({"hsr": 1}, 0xAA, "00000001 aaaaaaaa aaaaaaaaaaaaaaaa"),
    ({"hsr": 1, "far": 2}, 0xFF, "00000001 ffffffff 0000000000000002"),
    ({"far": 2}, naming_their_offset(16), "00010203 04050607 0000000000000002"),
    ({"hsr": 1}, naming_their_offset(16), "00000001 04050607 08090a0b0c0d0e0f"),
    ({}, 0, "00000000 00000000 0000000000000000"),
    ({"hsr": 1}, np.int64(0xAA), "00000001 aaaaaaaa aaaaaaaaaaaaaaaa"),
    ({"hsr": 1}, np.uint8(0xAA), "00000001 aaaaaaaa aaaaaaaaaaaaaaaa"),
]


@pytest.mark.parametrize(("values", "fill", "expected"), FILLS)
def test_fill(values: dict[str, int], fill: Any, expected: str) -> None:
    assert bytes(OLD.layout("aarch64_be").pack(values, fill)) == bytes.fromhex(expected)


PARTS = [
    # values, bytes of a struct of u16 d[3] and u8 t[2][2], big-endian, where 0xee was before
    ({"d": {1: 0x0102}}, "eeee0102eeee eeeeeeee"),
    ({"d": {2: 3, 0: 1}}, "0001eeee0003 eeeeeeee"),
    ({"t": {1: {0: 7}}}, "eeeeeeeeeeee eeee07ee"),
    ({"t": {0: [1, 2]}}, "eeeeeeeeeeee 0102eeee"),
    ({"t": [{1: 9}, {}], "d": {}}, "eeeeeeeeeeee ee09eeee"),
]


@pytest.mark.parametrize(("values", "expected"), PARTS)
def test_some_elements_of_an_array(values: Any, expected: str) -> None:
    layout = Struct("s", {"d": "u16[3]", "t": "u8[2][2]"}).layout("aarch64_be")
    image = layout.pack(values, 0xEE)
    assert bytes(image) == bytes.fromhex(expected)
    assert [source is None for source in image.sources] == [at == 0xEE for at in bytes(image)]


def test_an_image_can_be_the_fill_and_stays_as_it_was() -> None:
    layout = OLD.layout("aarch64_be")
    first = layout.pack({"hsr": 1, "far": 2}, 0xAA)
    second = layout.pack({"hsr": 3}, first)
    assert bytes(second).hex(" ", 4) == "00000003 aaaaaaaa 00000000 00000002"
    assert bytes(first).hex(" ", 4) == "00000001 aaaaaaaa 00000000 00000002"


def test_a_buffer_that_was_the_fill_is_not_written_to() -> None:
    held = bytearray(naming_their_offset(16))
    image = OLD.layout("aarch64").pack({"hsr": 1}, held)
    assert bytes(held) == naming_their_offset(16)
    held[15] = 0xFF
    assert bytes(image)[15] == 15


def test_of_a_unions_members_the_last_written_wins() -> None:
    layout = Struct("u", {"a": "u32", "b": "u16"}, union=True).layout("aarch64_be")
    assert bytes(layout.pack({"a": 0x11223344, "b": 0x5566})).hex() == "55663344"
    assert bytes(layout.pack({"b": 0x5566, "a": 0x11223344})).hex() == "11223344"
    assert layout.unpack(bytes.fromhex("55663344")) == {"a": 0x55663344, "b": 0x5566}


# --- buffers ---------------------------------------------------------------------------------


def mapped(data: bytes) -> mmap.mmap:
    page = mmap.mmap(-1, len(data))
    page[:] = data
    return page


BUFFERS: dict[str, Callable[[bytes], Any]] = {
    "bytes": bytes,
    "bytearray": bytearray,
    "memoryview": memoryview,
    "memoryview of words": lambda data: memoryview(data).cast("I"),
    "mmap": mapped,
    "numpy bytes": lambda data: np.frombuffer(data, np.uint8),
    "numpy words": lambda data: np.frombuffer(data, ">u8").reshape(2, -1),
    "numpy records": lambda data: np.frombuffer(data, OLD.layout("aarch64_be").dtype),
    "slice of numpy bytes": lambda data: np.frombuffer(b"??" + data, np.uint8)[2:],
}


@pytest.mark.parametrize("make", BUFFERS.values(), ids=BUFFERS)
def test_a_buffer_of_each_kind(make: Callable[[bytes], Any]) -> None:
    layout = OLD.layout("aarch64_be")
    buffer = make(naming_their_offset(32))
    assert layout.unpack(buffer) == {"hsr": 0x00010203, "far": 0x08090A0B0C0D0E0F}
    assert layout.unpack(buffer, 5) == {"hsr": 0x05060708, "far": 0x0D0E0F1011121314}
    assert layout.unpack(buffer, 16) == {"hsr": 0x10111213, "far": 0x18191A1B1C1D1E1F}
    image = layout.pack({"hsr": 0}, make(naming_their_offset(16)))
    assert bytes(image) == bytes(4) + naming_their_offset(16)[4:]


def test_one_byte_is_no_bytes() -> None:
    layout = Struct("s", {"a": "__u8"}).layout("aarch64")
    assert repr(layout.pack({})).startswith("struct s on aarch64 (little-endian), 1 byte\n")
    with pytest.raises(KvmvizError, match=r"struct s: fill has 2 bytes; .* buffer of 1 byte$"):
        layout.pack({}, b"ab")
    with pytest.raises(KvmvizError, match=r"struct s takes 1 byte; a buffer of 0 bytes has"):
        layout.unpack(b"")


def test_an_image_is_a_buffer_too() -> None:
    image = OLD.layout("aarch64_be").pack({"hsr": 0xF2001234, "far": FAR})
    assert WIDENED.layout("aarch64_be").unpack(image) == {"hsr": 0xF200123400000000, "far": FAR}


def test_unpacked_values_are_plain_python() -> None:
    found = NESTED.layout("aarch64").unpack(naming_their_offset(32))
    assert type(found["a"]) is int
    assert type(found["in"]) is dict
    assert type(found["in"]["c"]) is list
    assert type(found["in"]["c"][0]) is int


def test_arrays_of_structs_of_arrays() -> None:
    inner = Struct("", {"x": "u8", "y": "u16[2]"})
    struct = Struct("s", [("t", "u8[2][2]"), ("in", Struct("", [("p", inner)])), ("q", "u8")])
    layout = struct.layout("aarch64_be")
    assert layout.unpack(naming_their_offset(layout.size)) == {
        "t": [[0, 1], [2, 3]], "in": {"p": {"x": 4, "y": [0x0607, 0x0809]}}, "q": 10,
    }  # fmt: skip


def test_anonymous_members_are_packed_by_their_own_names() -> None:
    halves = Struct("", {"low": "u32", "high": "u32"})
    either = Struct("", [("whole", "u64"), (None, halves)], union=True)
    layout = Struct("s", [("kind", "u8"), (None, either)]).layout("aarch64_be")
    image = layout.pack({"kind": 1, "low": 0x22222222, "high": 0x33333333}, 0xAA)
    assert bytes(image).hex(" ", 8) == "01aaaaaaaaaaaaaa 2222222233333333"
    assert layout.unpack(image) == {
        "kind": 1, "whole": 0x2222222233333333, "low": 0x22222222, "high": 0x33333333,
    }  # fmt: skip


# --- in bulk ---------------------------------------------------------------------------------


@pytest.mark.parametrize("abi", ABI_NAMES)
@pytest.mark.parametrize("struct", [OLD, MERGED, NESTED, PAIRS], ids=["old", "high", "n", "p"])
def test_a_thousand_records_at_once(struct: Struct, abi: str) -> None:
    layout = struct.layout(abi)
    buffer = random.Random(14).randbytes(1000 * layout.size)
    expected = list(pystruct.iter_unpack(pad_format(struct, abi), buffer))
    one_by_one = [layout.unpack(buffer, at) for at in range(0, len(buffer), layout.size)]
    assert [tuple(strategies.flat(values).values()) for values in one_by_one] == expected
    records = np.frombuffer(buffer, layout.dtype)
    assert list(zip(*columns(records), strict=True)) == expected


def columns(records: Any) -> list[list[int]]:
    """One list of a thousand for every integer in a record."""
    if records.dtype.names:
        return [column for name in records.dtype.names for column in columns(records[name])]
    rows: list[list[int]] = records.reshape(1000, -1).T.tolist()
    return rows


# --- numpy's integers ------------------------------------------------------------------------

INTEGERS = [np.uint8(7), np.int64(7), np.uint64(7), np.array(7), 7]


@pytest.mark.parametrize("value", INTEGERS, ids=repr)
def test_integers_of_any_kind(value: Any) -> None:
    layout = Struct("s", {"a": "u32", "b": "u8[2]"}).layout("aarch64_be")
    assert bytes(layout.pack({"a": value, "b": [value, 1]})).hex() == "0000000707010000"


@pytest.mark.parametrize(
    "value",
    [b"\1\2\3", bytearray(b"\1\2\3"), (1, 2, 3), [1, 2, 3], range(1, 4), np.array([1, 2, 3]),
     memoryview(b"\1\2\3")],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_lists_of_any_kind(value: Any) -> None:
    assert bytes(Struct("s", {"a": "u8[3]"}).layout("arm").pack({"a": value})) == b"\1\2\3"


# --- bad input -------------------------------------------------------------------------------

WIDTHS = [
    # type, smallest, largest, as the message says them
    ("u8", 0, 0xFF, "8 bits", "0x0 .. 0xff"),
    ("__u16", 0, 0xFFFF, "16 bits", "0x0 .. 0xffff"),
    ("uint32_t", 0, 0xFFFFFFFF, "32 bits", "0x0 .. 0xffffffff"),
    ("unsigned long long", 0, 2**64 - 1, "64 bits", "0x0 .. 0xffffffffffffffff"),
    ("s8", -0x80, 0x7F, "8 bits", "-0x80 .. 0x7f"),
    ("short", -0x8000, 0x7FFF, "16 bits", "-0x8000 .. 0x7fff"),
    ("int", -0x80000000, 0x7FFFFFFF, "32 bits", "-0x80000000 .. 0x7fffffff"),
    ("s64", -(2**63), 2**63 - 1, "64 bits", "-0x8000000000000000 .. 0x7fffffffffffffff"),
]


@pytest.mark.parametrize("abi", ["aarch64", "aarch64_be"])
@pytest.mark.parametrize(("kind", "least", "most", "width", "legal"), WIDTHS)
def test_range(kind: str, least: int, most: int, width: str, legal: str, abi: str) -> None:
    layout = Struct("s", {"pad": "u8", "a": kind}).layout(abi)
    at = layout.offsets["a"]
    for value in (least, most):
        assert layout.unpack(layout.pack({"a": value}))["a"] == value
    for value in (least - 1, most + 1, 2**70, -(2**70)):
        with pytest.raises(KvmvizError) as caught:
            layout.pack({"a": value})
        for word in ("struct s", "member a", f"offset {at}", kind, width, f"{value:#x}", legal):
            assert word in str(caught.value)


class Wrong:
    pass


ARRAYS = Struct("s", [("head", "u32"), ("d", "u16[3]"), ("t", "u8[2][2]"),
                      ("in", Struct("", {"a": "u8", "b": "u32"}))])  # fmt: skip
PACK_ERRORS: list[Any] = [
    # values, words that the message needs
    ({"esr": 1}, ("struct s", "'esr'", "head, d, t, in")),
    ({"in": {"c": 1}}, ("'c'", "a, b")),
    ({"in": 5}, ("struct s, in", "5")),
    ({"in": None}, ("struct s, in", "None")),
    ({"head": 1 << 32}, ("struct s", "head", "offset 0", "32 bits", "0x100000000")),
    ({"head": np.uint64(1 << 40)}, ("struct s", "head", "offset 0", "32 bits", "0x10000000000")),
    ({"head": np.int64(-1)}, ("struct s", "head", "offset 0", "32 bits", "-0x1")),
    ({"d": [0, 0x10000, 0]}, ("struct s", "d[1]", "offset 6", "16 bits", "0x0 .. 0xffff")),
    ({"d": [0, 1, np.uint32(0x10000)]}, ("struct s", "d[2]", "offset 8", "16 bits")),
    ({"d": np.array([0, 1, 70000])}, ("struct s", "d[2]", "offset 8", "16 bits")),
    ({"t": [[0, 0], [256, 0]]}, ("struct s", "t[1][0]", "offset 12", "8 bits", "0x100")),
    ({"in": {"b": -1}}, ("struct s", "in.b", "offset 20", "32 bits", "-0x1")),
    ({"head": "1"}, ("struct s", "head", "offset 0", "'1'", "integer")),
    ({"head": 1.0}, ("struct s", "head", "offset 0", "1.0", "integer")),
    ({"head": None}, ("struct s", "head", "offset 0", "None", "integer")),
    ({"head": [1]}, ("struct s", "head", "[1]", "integer")),
    ({"head": b"1"}, ("struct s", "head", "integer")),
    ({"head": Wrong()}, ("struct s", "head", "type Wrong", "integer")),
    ({"head": True}, ("struct s", "head", "True", "integer")),
    ({"head": np.True_}, ("struct s", "head", "True", "integer")),
    ({"d": [1, 2]}, ("struct s", "d", "2 elements", "3")),
    ({"d": [1, 2, 3, 4]}, ("struct s", "d", "4 elements", "3")),
    ({"d": []}, ("struct s", "d", "0 elements", "3")),
    ({"d": 5}, ("struct s", "d", "5", "list of 3")),
    ({"d": None}, ("struct s", "d", "None", "list of 3")),
    ({"d": "abc"}, ("struct s", "d", "'abc'", "list of 3")),
    ({"d": np.array(5)}, ("struct s", "d", "array(5)", "list of 3")),
    ({"d": {1, 2, 3}}, ("struct s", "d", "{1, 2, 3}", "list of 3")),
    ({"d": {1.0: 5}}, ("struct s", "d", "element 1.0", "0 .. 2")),
    ({"d": {3: 1}}, ("struct s", "d", "element 3", "0 .. 2")),
    ({"d": {-1: 1}}, ("struct s", "d", "element -1", "0 .. 2")),
    ({"d": {"0": 1}}, ("struct s", "d", "element '0'", "0 .. 2")),
    ({"d": {1: 0x10000}}, ("struct s", "d[1]", "offset 6", "16 bits")),
    ({"t": {1: {2: 0}}}, ("struct s", "t[1]", "element 2", "0 .. 1")),
    ({"t": {1: [0]}}, ("struct s", "t[1]", "1 element;", "2")),
    ({"t": [[1, 2], [3]]}, ("struct s", "t[1]", "1 element;", "2")),
    ({"t": [1, 2]}, ("struct s", "t[0]", "list of 2")),
    ([("head", 1)], ("struct s", "mapping")),
    (None, ("struct s", "mapping", "None")),
    (5, ("struct s, values", "mapping", "5")),
]


ODD = Struct("o", [("f", "float"), ("d", "double[2]"), ("b", "_Bool"), ("bs", "_Bool[2]")])
FLT_MAX, DBL_MAX = "3.4028234663852886e+38", "1.7976931348623157e+308"
ODD_ERRORS: list[Any] = [
    ({"f": 1e300}, ("struct o", "f", "offset 0", "1e+300", "float", FLT_MAX)),
    ({"f": -3.5e38}, ("struct o", "f", "-3.5e+38", f"-{FLT_MAX} .. {FLT_MAX}, inf, nan")),
    ({"f": np.float64(1e39)}, ("struct o", "f", "1e+39", FLT_MAX)),
    ({"f": 10**400}, ("struct o", "f", "an integer of 1329 bits", FLT_MAX)),
    ({"d": [0, 10**400]}, ("struct o", "d[1]", "offset 16", "double", DBL_MAX)),
    ({"d": {0: -(10**5000)}}, ("struct o", "d[0]", "offset 8", "16610 bits", DBL_MAX)),
    ({"f": np.longdouble("1e400")}, ("struct o", "f", "1e+400 does not fit float", FLT_MAX)),
    ({"d": [0, np.longdouble("-1e400")]}, ("struct o", "d[1]", "-1e+400 does not fit", DBL_MAX)),
    ({"f": True}, ("struct o", "f", "offset 0", "True is not a number")),
    ({"f": np.True_}, ("struct o", "f", "True", "not a number")),
    ({"f": 1j}, ("struct o", "f", "1j is not a number")),
    ({"f": [1.0]}, ("struct o", "f", "[1.0] is not a number")),
    ({"f": 2**200}, ("struct o", "f", "0x10000000", FLT_MAX)),
    ({"b": 10**5000}, ("struct o", "b", "16610 bits", "_Bool", "0x0 .. 0x1")),
    ({"b": 1.0}, ("struct o", "b", "offset 24", "1.0 is not an integer")),
    ({"b": 2}, ("struct o", "b", "offset 24", "0x2", "_Bool", "0x0 .. 0x1")),
    ({"b": "1"}, ("struct o", "b", "offset 24", "'1'")),
    ({"b": np.array([0, 1])}, ("struct o", "b", "offset 24", "array([0, 1])")),
    ({"bs": [True, [True]]}, ("struct o", "bs[1]", "offset 26", "[True]")),
    ({"bs": {True: 1}}, ("struct o", "bs", "element True", "0 .. 1")),
    ({"bs": {np.True_: 1}}, ("struct o", "bs", "element np.True_", "0 .. 1")),
    ({"bs": {np.float32(1): 1}}, ("struct o", "bs", "1.0", "0 .. 1")),
]


@pytest.mark.parametrize(("values", "words"), ODD_ERRORS)
def test_bad_numbers_and_truths_are_named(values: Any, words: tuple[str, ...]) -> None:
    with pytest.raises(KvmvizError) as caught:
        ODD.layout("aarch64").pack(values)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "value", [0.5, -1, 2**24, np.float32(1.5), np.int8(-3), 3.4028235e38, math.inf, -math.inf]
)
def test_a_float_is_the_nearest_that_there_is(value: Any) -> None:
    held = bytes(Struct("s", {"f": "float"}).layout("armeb").pack({"f": value}))
    assert held == pystruct.pack(">f", value)


@pytest.mark.parametrize("value", [False, True, 0, 1, np.False_, np.True_, np.int8(1)])
def test_what_is_true(value: Any) -> None:
    assert bytes(ODD.layout("arm").pack({"b": value}))[24:25] == bytes([int(value)])


def test_structs_without_members_are_read_as_many_as_there_are() -> None:
    empty = Struct("e", [], empty=True)
    layout = Struct("s", [("a", Array(Array(empty, 3), 2)), ("b", "u8")]).layout("arm")
    assert layout.unpack(layout.pack({"b": 7})) == {"a": [[{}] * 3] * 2, "b": 7}


@pytest.mark.parametrize(("values", "words"), PACK_ERRORS)
def test_bad_values_are_named(values: Any, words: tuple[str, ...]) -> None:
    with pytest.raises(KvmvizError) as caught:
        ARRAYS.layout("aarch64").pack(values)
    for word in words:
        assert word in str(caught.value)


FILL_ERRORS: list[Any] = [
    (-1, ("struct s", "fill", "-0x1", "0 .. 0xff")),
    (256, ("struct s", "fill", "0x100", "0 .. 0xff")),
    (np.int64(256), ("struct s", "fill", "0x100", "0 .. 0xff")),
    (True, ("struct s", "fill", "True", "integer")),
    (np.float32(1), ("struct s", "fill", "float32", "buffer")),
    (b"", ("struct s", "fill", "0 bytes", "24 bytes")),
    (bytes(23), ("struct s", "fill", "23 bytes", "24 bytes")),
    (bytes(25), ("struct s", "fill", "25 bytes", "24 bytes")),
    (None, ("struct s", "fill", "NoneType", "buffer")),
    ("aa", ("struct s", "fill", "str", "buffer")),
    (1.0, ("struct s", "fill", "float", "buffer")),
    ([0] * 24, ("struct s", "fill", "list", "buffer")),
]


@pytest.mark.parametrize(("fill", "words"), FILL_ERRORS)
def test_bad_fill_is_named(fill: Any, words: tuple[str, ...]) -> None:
    with pytest.raises(KvmvizError) as caught:
        ARRAYS.layout("aarch64").pack({"head": 1}, fill)
    for word in words:
        assert word in str(caught.value)


BUFFER_ERRORS: list[Any] = [
    # buffer, offset, words that the message needs
    (b"", 0, ("struct s", "24 bytes", "0 bytes", "no offset is legal")),
    (bytes(23), 0, ("struct s", "24 bytes", "23 bytes", "no offset is legal")),
    (bytes(24), 1, ("struct s", "24 bytes", "offset 1", "0 .. 0")),
    (bytes(30), 7, ("struct s", "24 bytes", "30 bytes", "offset 7", "0 .. 6")),
    (bytes(30), -1, ("struct s", "24 bytes", "30 bytes", "offset -1", "0 .. 6")),
    (bytes(30), -24, ("struct s", "offset -24", "0 .. 6")),
    (bytes(30), "0", ("struct s", "offset", "'0'", "integer")),
    (bytes(30), 0.0, ("struct s", "offset", "0.0", "integer")),
    (bytes(30), None, ("struct s", "offset", "None", "integer")),
    (bytes(30), True, ("struct s", "offset", "True", "integer")),
    (None, 0, ("struct s", "NoneType", "bytes, bytearray, memoryview, mmap")),
    ("0" * 24, 0, ("struct s", "str", "bytes, bytearray, memoryview, mmap")),
    ([0] * 24, 0, ("struct s", "list", "buffer")),
    (24, 0, ("struct s", "int", "buffer")),
    (memoryview(bytes(96))[::2], 0, ("struct s", "memoryview", "contiguous")),
    (np.zeros(96, np.uint8)[::2], 0, ("struct s", "ndarray", "contiguous")),
]


@pytest.mark.parametrize(("buffer", "offset", "words"), BUFFER_ERRORS)
def test_a_bad_buffer_is_named(buffer: Any, offset: Any, words: tuple[str, ...]) -> None:
    with pytest.raises(KvmvizError) as caught:
        ARRAYS.layout("aarch64").unpack(buffer, offset)
    for word in words:
        assert word in str(caught.value)


def test_the_last_legal_offset() -> None:
    buffer = naming_their_offset(30)
    assert OLD.layout("aarch64_be").unpack(buffer, 14)["far"] == 0x161718191A1B1C1D
    assert OLD.layout("aarch64_be").unpack(buffer[:16], 0)["hsr"] == 0x00010203


def test_padding_is_not_looked_at() -> None:
    values: dict[str, Any] = {"a": 1, "in": {"b": -2, "c": [3, 4, 5]}, "d": -6}
    for abi in ABI_NAMES:
        layout = NESTED.layout(abi)
        assert [layout.unpack(layout.pack(values, fill)) for fill in (0, 0xAA)] == [values] * 2


# --- who wrote each byte -----------------------------------------------------------------------

LOW_HALF = {"hsr": 0x3456789A, "far": FAR}
ALL = {"hsr": ESR, "far": FAR}
BOTH = {"hsr": 0x3456789A, "hsr_high": 0x12, "far": FAR}

FAR_LE = "far[7:0] far[15:8] far[23:16] far[31:24] far[39:32] far[47:40] far[55:48] far[63:56]"
FAR_BE = "far[63:56] far[55:48] far[47:40] far[39:32] far[31:24] far[23:16] far[15:8] far[7:0]"
HSR_LE = "hsr[7:0] hsr[15:8] hsr[23:16] hsr[31:24]"
HSR_BE = "hsr[31:24] hsr[23:16] hsr[15:8] hsr[7:0]"
HIGH_LE = "hsr_high[7:0] hsr_high[15:8] hsr_high[23:16] hsr_high[31:24]"
HIGH_BE = "hsr_high[31:24] hsr_high[23:16] hsr_high[15:8] hsr_high[7:0]"
TOP_LE = "hsr[39:32] hsr[47:40] hsr[55:48] hsr[63:56]"
TOP_BE = "hsr[63:56] hsr[55:48] hsr[47:40] hsr[39:32]"
HOLE = "- - - -"

SOURCES: list[tuple[Struct, dict[str, int], list[str], list[str]]] = [
    # struct, values, who wrote each byte on LE, on BE
    (OLD, LOW_HALF, [HSR_LE, HOLE, FAR_LE], [HSR_BE, HOLE, FAR_BE]),
    (WIDENED, ALL, [HSR_LE, TOP_LE, FAR_LE], [TOP_BE, HSR_BE, FAR_BE]),
    (MERGED, BOTH, [HSR_LE, HIGH_LE, FAR_LE], [HSR_BE, HIGH_BE, FAR_BE]),
]


@pytest.mark.parametrize("abi", ABI_NAMES)
@pytest.mark.parametrize(("struct", "values", "little", "big"), SOURCES)
def test_sources_of_the_facts(
    struct: Struct, values: dict[str, int], little: list[str], big: list[str], abi: str
) -> None:
    parts = little if ORDER[abi] == "little" else big
    if struct is OLD and abi in ("i386", "m68k"):
        parts = [part for part in parts if part != HOLE]
    assert labels(struct.layout(abi).pack(values)) == " ".join(parts)


def labels(image: Image) -> str:
    return " ".join(source.label if source else "-" for source in image.sources)


LABELS: list[tuple[Struct, dict[str, Any], str]] = [
    # struct, values, who wrote each byte on BE
    (OLD, {"hsr": 1}, f"{HSR_BE} {HOLE} - - - - - - - -"),
    (OLD, {"far": 1}, f"- - - - {HOLE} {FAR_BE}"),
    (MERGED, {"hsr_high": 1}, f"- - - - {HIGH_BE} - - - - - - - -"),
    (OLD, {}, " ".join("-" * 16)),
    (Struct("s", {"a": "u8", "d": "u8[2]"}), {"a": 1, "d": [1, 2]}, "a d[0] d[1]"),
    (Struct("s", {"d": "u16[2]"}), {"d": [1, 2]}, "d[0][15:8] d[0][7:0] d[1][15:8] d[1][7:0]"),
    (Struct("s", {"d": "u8[2][2]"}), {"d": [[1, 2], [3, 4]]}, "d[0][0] d[0][1] d[1][0] d[1][1]"),
    (Struct("s", {"d": "u16[2]"}), {"d": {1: 5}}, "- - d[1][15:8] d[1][7:0]"),
    (Struct("s", [("in", OLD)]), {"in": {"hsr": 1}},
     "in.hsr[31:24] in.hsr[23:16] in.hsr[15:8] in.hsr[7:0] - - - - - - - - - - - -"),
    (Struct("u", {"a": "u32", "b": "u8"}, union=True), {"a": 1, "b": 2},
     "b a[23:16] a[15:8] a[7:0]"),
    (Struct("u", {"a": "u32", "b": "u8"}, union=True), {"b": 2, "a": 1},
     "a[31:24] a[23:16] a[15:8] a[7:0]"),
    (Struct("u", {"a": "u32", "b": "u8"}, union=True), {"b": 2}, "b - - -"),
    (Struct("s", [(None, Struct("", {"x": "s8"})), ("y", "s8")]), {"x": -1, "y": 2}, "x y"),
]  # fmt: skip


@pytest.mark.parametrize(("struct", "values", "expected"), LABELS)
def test_sources(struct: Struct, values: dict[str, Any], expected: str) -> None:
    image = struct.layout("aarch64_be").pack(values)
    assert labels(image) == expected
    assert image.unwritten == tuple(at for at, who in enumerate(expected.split()) if who == "-")


def test_the_fill_is_nobodys() -> None:
    for fill in (0, 0xAA, bytes(range(16))):
        image = OLD.layout("aarch64").pack({"hsr": 1, "far": 2}, fill)
        assert image.unwritten == (4, 5, 6, 7)
        assert bytes(image)[4:8] == (bytes([fill]) * 4 if isinstance(fill, int) else fill[4:8])


def test_what_was_written_before_is_the_fill_of_the_next() -> None:
    first = OLD.layout("aarch64").pack({"hsr": 1, "far": 2})
    assert OLD.layout("aarch64").pack({"hsr": 3}, first).unwritten == tuple(range(4, 16))


@steady
@given(strategies.filled(partial=True), strategies.abis)
def test_a_byte_holds_the_bits_that_its_source_says(
    drawn: tuple[Struct, dict[str, Any]], abi: str
) -> None:
    struct, values = drawn
    image = struct.layout(abi).pack(values, 0x5A)
    numbers = strategies.flat(values)
    leaves = [v for v in strategies.leaves(struct, abi) if v.designator in numbers]
    written = {at: v for v in leaves for at in range(v.offset, v.offset + v.size)}
    for offset, (byte, source) in enumerate(zip(bytes(image), image.sources, strict=True)):
        if offset not in written:
            assert source is None
            assert byte == 0x5A
            continue
        assert source is not None
        assert source.high == source.low + 7
        assert source.path == written[offset].designator
        assert source.slot.member == written[offset].direct
        assert source.slot.offset <= offset < source.slot.offset + source.slot.size
        assert byte == numbers[source.path] >> source.low & 0xFF
    assert image.unwritten == tuple(at for at in range(len(image)) if at not in written)


def test_an_image_does_not_change() -> None:
    image = OLD.layout("aarch64").pack(LOW_HALF)
    with pytest.raises(dataclasses.FrozenInstanceError):
        image.data = bytes(16)  # type: ignore[misc]
    assert isinstance(bytes(image), bytes)
    assert isinstance(image.sources, tuple)
    with pytest.raises(AttributeError):
        image.sources[0].high = 3  # type: ignore[union-attr, misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        image.sources[0].slot.offset = 3  # type: ignore[union-attr, misc]


def test_its_values_do_not_reach_into_it() -> None:
    data = [1, 2]
    values: dict[str, Any] = {"d": data}
    image = Struct("s", {"d": "u8[2]"}).layout("arm").pack(values)
    data[0] = values["d"][1] = 9
    assert bytes(image) == b"\1\2"


def test_length_and_equality() -> None:
    layout = OLD.layout("aarch64")
    assert len(layout.pack(LOW_HALF)) == 16
    assert layout.pack(LOW_HALF) == layout.pack(LOW_HALF)
    assert layout.pack(LOW_HALF) != layout.pack(LOW_HALF, 1)
    assert layout.pack({"hsr": 0}) != layout.pack({"far": 0}), "same bytes, other writers"
    assert layout.pack(LOW_HALF) != OLD.layout("x86_64").pack(LOW_HALF)


@pytest.mark.parametrize(
    ("data", "sources", "words"),
    [(15, 16, ("15 bytes", "16 sources")), (16, 15, ("16 bytes", "15 sources")),
     (17, 17, ("17 bytes", "17 sources")), (0, 0, ("0 bytes", "0 sources"))],
)  # fmt: skip
def test_an_image_is_as_long_as_its_layout(data: int, sources: int, words: tuple[str, ...]) -> None:
    with pytest.raises(KvmvizError) as caught:
        Image(OLD.layout("aarch64"), bytes(data), (None,) * sources)
    for word in (*words, "struct kvm_debug_exit_arch", "16"):
        assert word in str(caught.value)


def test_an_images_sources_are_its_own_members() -> None:
    other = Struct("o", {"p": "u64"}).layout("arm").pack({"p": 1})
    bits_ = Struct("o", [Member("a", SCALARS["u8"], 3), Member("p", SCALARS["u8"], 5)])
    beside = bits_.layout("arm").pack({"a": 1, "p": 1})
    for image in (other, beside):
        layout = Struct("s", {"a": f"u8[{len(image)}]"}).layout("arm")
        with pytest.raises(KvmvizError, match="struct s, sources has no member 'p'"):
            Image(layout, bytes(image), image.sources)


@pytest.mark.parametrize(("abi", "down"), [("aarch64", "cba"), ("aarch64_be", "abc")])
def test_who_shares_a_byte_is_told_from_its_highest_bit_down(abi: str, down: str) -> None:
    layout = parse("struct s { u8 a:3, b:3, c:2; };")["s"].layout(abi)
    for names in permutations("abc"):
        source = layout.pack(dict.fromkeys(names, 1)).sources[0]
        assert source
        assert "".join(one.path for one in source.shares) == down


def test_an_image_of_no_bytes_has_no_line_of_them() -> None:
    empty = Struct("e", [], empty=True).layout("arm")
    assert repr(empty.pack({})) == "struct e on arm (little-endian), 0 bytes"


WIDE = 0x0123456789ABCDEF_1122334455667788


@pytest.mark.parametrize(("abi", "order"), [("aarch64", "little"), ("aarch64_be", "big")])
@pytest.mark.parametrize(
    ("kind", "value"),
    [("__uint128_t", WIDE), ("__int128_t", -WIDE), ("__int128_t", -1), ("unsigned __int128", 1)],
)
def test_128_bits(abi: str, order: Any, kind: str, value: int) -> None:
    layout = Struct("s", {"a": "u8", "w": kind}).layout(abi)
    image = layout.pack({"a": 1, "w": value})
    assert bytes(image)[16:] == value.to_bytes(16, order, signed=value < 0)
    assert layout.unpack(image) == {"a": 1, "w": value}
    assert SCALARS[kind].signed is (kind == "__int128_t")


@pytest.mark.parametrize(("abi", "size"), [("x86_64", 16), ("i386", 12), ("m68k", 12)])
def test_a_wide_long_double_is_its_bytes(abi: str, size: int) -> None:
    layout = Struct("s", {"a": "u8", "d": "long double[2]"}).layout(abi)
    held = [bytes(range(1, size + 1)), bytes(size)]
    image = layout.pack({"a": 1, "d": held})
    assert bytes(image)[layout.offsets["d"] :] == b"".join(held)
    assert layout.unpack(image) == {"a": 1, "d": held}
    for wrong in (1.5, 1, bytes(size - 1)):
        with pytest.raises(KvmvizError, match=rf"member d\[1\].*legal are its {size} bytes"):
            layout.pack({"d": {1: wrong}})


def test_a_long_double_of_64_bits_is_a_number() -> None:
    layout = Struct("s", {"d": "long double"}).layout("armeb")
    values: dict[str, Any] = {"d": 1.5}
    assert bytes(layout.pack(values)).hex() == "3ff8000000000000"
    assert layout.unpack(layout.pack(values)) == values


@pytest.mark.parametrize("value", [False, True, 0, 1])
def test_a_bool_is_0_or_1(value: Any) -> None:
    layout = Struct("s", {"b": "_Bool"}).layout("arm")
    assert bytes(layout.pack({"b": value}, fill=0xAA)) == bytes([value])


@pytest.mark.parametrize(("abi", "signed"), [("x86_64", True), ("mips", True), ("arm", False)])
def test_a_plain_char_has_the_sign_of_its_abi(abi: str, signed: bool) -> None:
    layout = Struct("s", {"c": "char"}).layout(abi)
    assert layout.unpack(b"\xff") == {"c": -1 if signed else 255}
    with pytest.raises(KvmvizError, match="does not fit 8 bits"):
        layout.pack({"c": 255 if signed else -1})

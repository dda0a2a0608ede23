"""Bit-fields and 128 bits, each case worked out by hand or taken from a compiler."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest

from kvmviz import Array, KvmvizError, Member, Struct, compare
from kvmviz.ctype import SCALARS
from tests import compilers, strategies

U8, U32, U64 = (SCALARS[name] for name in ("u8", "u32", "u64"))


def bits(*widths: int, kind: str = "u32", **attributes: Any) -> Struct:
    members = [
        Member(name, SCALARS[kind], width, **attributes)
        for name, width in zip("abcdef", widths, strict=False)
    ]
    return Struct("s", members)


def unaligned(first: int, second: int, align: int) -> Struct:
    s32 = SCALARS["s32"]
    return Struct("s", [Member("a", s32, first), Member("b", s32, second, align), ("c", "u8")])


@pytest.mark.parametrize(
    ("struct", "abi", "size", "align"),
    [
        (bits(16, kind="s32"), "m68k", 2, 2),  # as wide as an integer: a member like others
        (bits(15, kind="s32"), "m68k", 2, 1),
        (bits(32), "m68k", 4, 2),
        (bits(16, align=4), "m68k", 4, 4),
        (bits(16, packed=True), "m68k", 2, 1),
        (bits(16), "aarch64", 4, 4),
        (bits(20, 20), "aarch64", 8, 4),  # the second would straddle a unit
        (bits(20, 20), "m68k", 5, 1),
        # Whether it is in the right place is decided before its own `aligned` moves it.
        (unaligned(9, 16, 1), "m68k", 5, 1),
        (unaligned(9, 16, 2), "m68k", 6, 2),
        (unaligned(16, 16, 1), "m68k", 6, 2),
    ],
)
def test_size_and_alignment(struct: Struct, abi: str, size: int, align: int) -> None:
    layout = struct.layout(abi)
    assert (layout.size, layout.align) == (size, align or 1)


def m68k_cases() -> Iterator[Struct]:
    """A bit-field of every kind behind every beginning of a unit, with what follows it."""
    heads = [(), (Member("a", U8),), *((Member("a", SCALARS["s32"], n),) for n in (3, 9, 16, 24))]
    kinds = [
        ("s8", 8),
        ("s16", 16),
        ("s32", 15),
        ("s32", 16),
        ("s32", 32),
        ("s64", 32),
        ("s64", 64),
    ]
    tails = [(), (Member("c", U8),), (Member("c", U32, 5),)]
    for head, (kind, width), tail in product(heads, kinds, tails):
        for align, packed, pack in product((0, 1, 2, 4), (False, True), (0, 2)):
            if not pack or align <= pack:
                packed = packed and width > 8
                member = Member("b", SCALARS[kind], width, align, packed)
                yield Struct("", [*head, member, *tail], pack=pack)


@pytest.mark.skipif("m68k" not in compilers.targets(), reason="needs m68k-linux-gnu-gcc")
def test_bit_fields_of_m68k_are_those_of_gcc() -> None:
    cases = list(m68k_cases())
    prelude = "\n".join(
        f"#pragma pack({case.pack or ''})\n{strategies.c_text(case, f's{n}')};"
        for n, case in enumerate(cases)
    )
    questions = [(f"struct s{n}", ()) for n in range(len(cases))]
    told = compilers.measure("m68k", f"{prelude}\n#pragma pack()", questions)
    for case, measured in zip(cases, told.values(), strict=True):
        layout = case.layout("m68k")
        assert (layout.size, layout.align) == (measured.size, measured.align), case


def test_the_dtype_of_a_bit_field_is_the_bytes_that_hold_it() -> None:
    held = {n: bits(n).layout("aarch64").dtype["a"] for n in (8, 9, 17, 32)}
    assert held[8] == np.dtype("u1")
    assert held[9] == np.dtype("<u2")
    assert held[17].subdtype == (np.dtype("u1"), (3,))
    assert held[32] == np.dtype("<u4")
    assert bits(40, kind="u64").layout("s390x").dtype["a"].subdtype == (np.dtype("u1"), (5,))
    assert bits(64, kind="u64").layout("s390x").dtype["a"] == np.dtype(">u8")


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


@pytest.mark.parametrize("value", [False, True, 0, 1])
def test_a_bool_is_0_or_1(value: Any) -> None:
    layout = Struct("s", {"b": "_Bool"}).layout("arm")
    assert bytes(layout.pack({"b": value}, fill=0xAA)) == bytes([value])


@pytest.mark.parametrize(
    ("member", "words"),
    [
        (Member("a", SCALARS["float"], 3), "only an integer can be a bit-field"),
        (Member("a", SCALARS["__be32"], 3), "only an integer can be a bit-field"),
        (Member("a", Struct("n", {"x": "u8"}), 3), "only an integer can be a bit-field"),
        (Member("a", U8, 9), "a bit-field of 9 bits; legal are 1 .. 8"),
        (Member("a", U8, 0), "a bit-field of 0 bits; legal are 1 .. 8"),
        (Member("a", U8, "3"), "a bit-field of '3' bits"),  # type: ignore[arg-type]
        (Member("a", U8, 2.0), "a bit-field of 2.0 bits"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_bit_field(member: Member, words: str) -> None:
    with pytest.raises(KvmvizError, match=words):
        Struct("s", [member])


def test_a_verdict_goes_down_to_the_bit() -> None:
    old, new = bits(4, 4, kind="u8"), bits(5, 3, kind="u8")
    assert compare(old.layout("aarch64"), old.layout("aarch64")).fields == dict.fromkeys(
        "ab", "intact"
    )
    assert compare(old.layout("aarch64"), new.layout("aarch64")).fields == {
        "a": "foreign",  # its bit 4 is b's
        "b": "moved",
    }
    wide = bits(3, kind="u8")
    assert compare(wide.layout("arm"), old.layout("arm")).fields == {
        "a": "unwritten",
        "b": "unwritten",
    }
    assert compare(old.layout("arm"), wide.layout("arm")).fields == {"a": "intact"}
    assert compare(old.layout("armeb"), wide.layout("armeb")).fields == {"a": "moved"}


@pytest.mark.parametrize("abi", ["i386", "arm", "armeb", "ppc32", "m68k", "mips", "mipsel"])
def test_no_128_bits_on_a_32_bit_abi(abi: str) -> None:
    # gcc and clang: "__int128 is not supported on this target".
    with pytest.raises(KvmvizError, match=rf"struct s, member w: .*__uint128_t on {abi}"):
        Struct("s", {"a": "u8", "w": "__uint128_t[2]"}).layout(abi)


def test_a_flexible_array_is_no_bit_field() -> None:
    layout = Struct("s", [("n", "u8"), ("rows", Array(Array(SCALARS["u64"], 2), 0))]).layout("arm")
    assert "8     0  R  rows  u64[0][2]" in repr(layout)
    assert not layout.slots[-1].is_bit_field


def test_an_empty_struct_is_aligned_to_1() -> None:
    # gcc: sizeof (struct {}) is 0, its alignment 1.
    layout = Struct("e", [], empty=True).layout("aarch64")
    assert (layout.size, layout.align) == (0, 1)
    assert "aligned to 1: no member asks for more" in repr(layout.rules)


@pytest.mark.parametrize(("abi", "signed"), [("x86_64", True), ("mips", True), ("arm", False)])
def test_a_plain_char_has_the_sign_of_its_abi(abi: str, signed: bool) -> None:
    layout = Struct("s", {"c": "char"}).layout(abi)
    assert layout.unpack(b"\xff") == {"c": -1 if signed else 255}
    with pytest.raises(KvmvizError, match="does not fit 8 bits"):
        layout.pack({"c": 255 if signed else -1})


def test_an_array_of_another_shape_is_judged_element_by_element() -> None:
    writer, reader = (
        Struct("s", {"d": f"u8[{a}][{b}]"}).layout("arm") for a, b in ((2, 3), (3, 2))
    )
    found = [witness.status for witness in compare(writer, reader).witnesses]
    assert found == ["intact"] * 2 + ["moved"] * 4  # d[0][0] and d[0][1] stay, d[1][0] was third


def test_the_rule_says_where_aligned_moves_a_bit_field() -> None:
    members = [Member("a", SCALARS["u8"]), Member("b", SCALARS["u32"], 6, 4)]
    told = repr(Struct("s", members).layout("x86_64").rules)
    assert "b: 6 bits. At bit 0 of byte 4: aligned(4) moves it to a multiple of 32 bits." in told

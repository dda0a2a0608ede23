"""A change to a struct, judged in both directions on every ABI; held against compilers' bytes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmviz import ABIS, Array, KvmvizError, Member, Struct, compare, parse
from kvmviz.abi import Abi
from kvmviz.ctype import Type, scalar
from kvmviz.kvm.kernel import OLD, WIDENED, WITH_HIGH
from kvmviz.review import Review, review, review_all
from kvmviz.review.report import MOST, WIDTH, ground
from tests import compilers, strategies
from tests.compilers import ABI_NAMES
from tests.strategies import ORDER, c_init, c_text, steady
from tests.test_compat import judged, taint

NO_HOLE = ("i386", "m68k")
BIG = tuple(abi for abi in ABI_NAMES if ORDER[abi] == "big")
ARM64 = ("aarch64", "aarch64_be")


def change(old: str, new: str, abis: Any = ARM64) -> Review:
    """A review of the only struct of two C texts, given as members."""
    before, after = (parse(f"struct s {{ {text} }};")["s"] for text in (old, new))
    return review(before, after, abis)


# --- the patch -------------------------------------------------------------------------------


def test_widening_breaks_everywhere_and_big_endian_for_old_readers() -> None:
    found = review(OLD, WIDENED)
    assert found.breaks
    hsr = [row for row in found.findings if row.member == "hsr"]
    assert {row.kind for row in hsr} == {"widened"}
    assert sorted(abi for row in hsr for abi in row.abis) == sorted(ABIS)
    for row in hsr:
        assert ("an old reader of a new writer finds hsr[63:32] in bytes 0..3" in row.effect) == (
            set(row.abis) <= set(BIG)
        )
        assert "add a new member for bits 63:32 instead of widening hsr" in row.remedy
        assert ("the hole after hsr (bytes 4..7)" in row.remedy) != bool({*row.abis} & {*NO_HOLE})
    unseen = next(row for row in found.findings if row.kind == "size-unseen")
    assert unseen.change == "a size check sees nothing: sizeof 16 before and after"
    assert set(unseen.abis) == set(ABIS) - set(NO_HOLE)


def test_hsr_high_is_a_warning_where_there_is_a_hole_and_breaks_where_there_is_none() -> None:
    with_hole = review(OLD, WITH_HIGH, [abi for abi in ABIS if abi not in NO_HOLE])
    assert not with_hole.breaks
    (warning,) = with_hole.findings
    assert with_hole.warnings == (warning,)
    assert (warning.kind, warning.member, warning.severity) == (
        "added-in-hole", "hsr_high", "warning",
    )  # fmt: skip
    assert warning.change == "added in the hole after hsr, bytes 4..7"
    assert warning.remedy.startswith(
        "needs a validity flag: an old writer never writes bytes 4..7; the flag must read 0"
    )
    for abi in NO_HOLE:
        without = review(OLD, WITH_HIGH, [abi])
        assert without.breaks
        assert {row.kind for row in without.findings} == {"inserted", "moved", "size"}
        told = next(row for row in without.findings if row.member == "hsr_high")
        assert told.change == (
            "there is no hole at bytes 4..7: it moves far from offset 4 to offset 8"
        )


def test_directions() -> None:
    (row,) = review(OLD, WITH_HIGH, "aarch64_be").rows
    assert row.abi is ABIS["aarch64_be"]
    assert row.forward.writer.struct == WITH_HIGH
    assert row.forward.fields == {"hsr": "intact", "far": "intact"}
    assert row.backward.fields == {"hsr": "intact", "hsr_high": "unwritten", "far": "intact"}


# --- one change a row ------------------------------------------------------------------------

CHANGES: list[tuple[str, str, dict[tuple[str, str], str]]] = [
    # old members, new members, {(kind, member): severity}, on both ABIs of arm64
    ("__u32 a;", "__u32 a;", {}),
    ("__u8 a; __u32 b;", "__u8 a; __u8 n; __u32 b;", {("added-in-hole", "n"): "warning"}),
    ("__u32 a; __u64 b; __u32 c;", "__u32 a; __u64 b; __u32 c; __u32 n;",
     {("added-in-hole", "n"): "warning"}),  # tail padding is a hole
    ("__u32 a;", "__u32 a; __u32 n;", {("appended", "n"): "warning", ("size", ""): "breaks"}),
    ("__u32 a; __u8 b;", "__u32 a; __u8 b; __u64 n;",
     {("appended", "n"): "warning", ("size", ""): "breaks", ("align", ""): "breaks"}),
    ("__u32 a; __u32 b;", "__u32 a; __u32 n; __u32 b;",
     {("inserted", "n"): "breaks", ("moved", "b"): "breaks", ("size", ""): "breaks"}),
    ("__u32 a; __u32 b;", "__u32 b; __u32 a;",
     {("reordered", "a"): "breaks", ("reordered", "b"): "breaks", ("size-unseen", ""): "note"}),
    ("__u32 a; __u32 b;", "__u32 a; __u32 n;",
     {("replaced", "n"): "warning", ("removed", "b"): "warning"}),
    ("__u32 a; __u32 b;", "__u32 a;", {("removed", "b"): "warning", ("size", ""): "breaks"}),
    ("__u64 a;", "__s64 a;", {("retyped", "a"): "note"}),
    ("__u64 a;", "double a;", {("retyped", "a"): "breaks", ("size-unseen", ""): "note"}),
    ("__u8 a;", "_Bool a;", {("retyped", "a"): "warning"}),
    ("__u32 a; __u8 b[4];", "__u32 a; __u8 b[2];",
     {("array-length", "b"): "breaks", ("size-unseen", ""): "note"}),
    ("__u32 a; __u8 b[2];", "__u32 a; __u8 b[4];",
     {("array-length", "b"): "breaks", ("size-unseen", ""): "note"}),
    ("__u8 b[2][3];", "__u8 b[3][2];",
     {("retyped", "b"): "breaks", ("size-unseen", ""): "note"}),
    ("__u8 a:3;", "__u8 a:4;", {("bit-field", "a"): "breaks", ("size-unseen", ""): "note"}),
    ("__u8 a:3;", "__u8 a:3; __u8 n:2;", {("added-in-hole", "n"): "warning"}),
    ("union { __u32 a; __u8 b[4]; };", "union { __u32 a; __u8 b[4]; __u16 n; };",
     {("added-in-union", "n"): "warning"}),
    ("struct { __u8 a; __u32 b; } in;", "struct { __u8 a; __u8 n; __u32 b; } in;",
     {("added-in-hole", "in.n"): "warning"}),
    ("__u64 p; struct { __u8 a; __u32 b; } in;", "struct { __u8 a; __u32 b; } in; __u64 p;",
     {("reordered", "in"): "breaks", ("reordered", "p"): "breaks", ("size-unseen", ""): "note"}),
    ("struct { __u8 a; __u32 b; } in[2];", "struct { __u8 a; __u32 b; } in[3];",
     {("array-length", "in"): "breaks", ("size", ""): "breaks"}),
    ("__u32 n; __u8 d[];", "__u32 n; __u8 k; __u8 d[];",
     {("moved", "d"): "breaks", ("inserted", "k"): "breaks", ("size", ""): "breaks"}),
    ("__u32 n; __u8 k; __u8 d[];", "__u32 n; __u8 k; __u8 l; __u8 d[];",
     {("moved", "d"): "breaks", ("added-in-hole", "l"): "warning", ("size-unseen", ""): "note"}),
    ("__u32 n;", "__u32 n; __u32 d[];", {("appended", "d"): "warning"}),
    ("__u8 a; __u32 b;", "__u8 a; __u32 b; __u8 n;",
     {("appended", "n"): "warning", ("size", ""): "breaks", ("new-hole", ""): "note"}),
    # Flexible on one side: the fixed element lies past what the other's sizeof counts.
    ("__u64 x; __u32 n; __u32 d[];", "__u64 x; __u32 n; __u32 d[1];",
     {("flexible", "d"): "breaks", ("size-unseen", ""): "note"}),
    ("__u64 x; __u32 n; __u32 d[1];", "__u64 x; __u32 n; __u32 d[];",
     {("flexible", "d"): "breaks", ("size-unseen", ""): "note"}),
    ("__u64 x; __u32 n; __u32 d[];", "__u64 x; __u32 n; __u32 d;",
     {("flexible", "d"): "breaks", ("size-unseen", ""): "note"}),
    ("__u32 n; __u32 d;", "__u32 n; __u32 d[];",
     {("flexible", "d"): "breaks", ("size", ""): "breaks"}),
    ("__u32 n; struct { __u8 a; __u32 b; } d[1];", "__u32 n; struct { __u8 a; __u32 b; } d[];",
     {("flexible", "d"): "breaks", ("size", ""): "breaks"}),
    # Their elements are judged as those of an array are.
    ("__u32 n; __u32 d[];", "__u32 n; __s32 d[];", {("retyped", "d"): "note"}),
    ("__u32 n; __u32 d[];", "__u32 n; float d[];",
     {("retyped", "d"): "breaks", ("size-unseen", ""): "note"}),
    ("__u32 n; __u32 d[];", "__u32 n; __u16 d[];",
     {("retyped", "d"): "breaks", ("size-unseen", ""): "note"}),
    ("__u32 n; struct { __u8 a; __u32 b; } d[];",
     "__u32 n; struct { __u8 a; __u8 z; __u32 b; } d[];",
     {("added-in-hole", "d.z"): "warning"}),
    ("struct { __u32 n; struct { __u8 a; __u32 b; } d[]; } in;",
     "struct { __u32 n; struct { __u8 a; __u32 c; } d[]; } in;",
     {("replaced", "in.d.c"): "warning", ("removed", "in.d.b"): "warning"}),
    ("__u32 n; __u32 d[];", "__u32 n; __u32 e[];",
     {("replaced", "e"): "warning", ("removed", "d"): "warning"}),
    # What only one side has does not break, nested or not.
    ("struct { __u32 a; __u32 b; } in;", "struct { __u32 a; __u32 c; } in;",
     {("replaced", "in.c"): "warning", ("removed", "in.b"): "warning"}),
    ("struct { struct { __u32 a; __u32 b; } k[2]; } in;",
     "struct { struct { __u32 a; __u32 c; } k[2]; } in;",
     {("replaced", "in.k.c"): "warning", ("removed", "in.k.b"): "warning"}),
    # One name for a number and for a struct is one member.
    ("__u64 a; __u64 b;", "__u64 a; struct { __u32 lo, hi; } b;",
     {("retyped", "b"): "breaks", ("size-unseen", ""): "note"}),
    ("__u64 a; __u32 b[2];", "__u64 a; struct { __u32 lo, hi; } b;",
     {("retyped", "b"): "breaks", ("size-unseen", ""): "note"}),
    ("struct { __u64 b; } in;", "struct { struct { __u32 lo, hi; } b; } in;",
     {("retyped", "in.b"): "breaks", ("align", ""): "breaks", ("size-unseen", ""): "note"}),
    # The bits of a number are not those of one of another kind.
    ("double a;", "float a; __u32 b;",
     {("retyped", "a"): "breaks", ("taken", "b"): "breaks", ("align", ""): "breaks",
      ("size-unseen", ""): "note"}),
    ("__u32 a[2];", "float a[2];", {("retyped", "a"): "breaks", ("size-unseen", ""): "note"}),
    ("__u32 a;", "__u32 a[1];", {("retyped", "a"): "breaks", ("size-unseen", ""): "note"}),
    # Members of a struct in a union; of a struct that is put into one.
    ("union { struct { __u32 a; __u64 b; } p; __u64 raw[8]; };",
     "union { struct { __u32 a; __u32 n; __u64 b; } p; __u64 raw[8]; };",
     {("added-in-hole", "p.n"): "warning"}),
    ("union { struct { __u32 a, b; } p; __u64 raw[8]; };",
     "union { struct { __u32 a, b, c; } p; __u64 raw[8]; };", {("appended", "p.c"): "warning"}),
    ("union { struct { __u8 a; __u32 b; }; __u64 raw; };",
     "union { struct { __u8 a; __u8 n; __u32 b; }; __u64 raw; };",
     {("added-in-hole", "n"): "warning"}),
    ("__u32 a; __u32 b; __u32 c;",
     "__u32 a; union { struct { __u32 b, c; }; struct { __u32 b, c; } g; };",
     {("alias", "g"): "note"}),
    ("__u32 a; __u32 b;", "__u32 a; union { __u32 b; __u8 raw[4]; };",
     {("added-in-union", "raw"): "warning"}),
    # A reserved member, put to use.
    ("__u32 a; __u8 pad[3]; __u8 z;", "__u32 a; __u8 pad[2]; __u8 flags; __u8 z;",
     {("array-length", "pad"): "breaks", ("taken", "flags"): "breaks",
      ("size-unseen", ""): "note"}),
    ("__u8 x:8;", "__u8 x:4; __u8 y:4;",
     {("bit-field", "x"): "breaks", ("taken", "y"): "breaks", ("size-unseen", ""): "note"}),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), CHANGES)
def test_kinds_and_severities(old: str, new: str, expected: dict[tuple[str, str], str]) -> None:
    found = change(old, new)
    told = {(row.kind, row.member): row.severity for row in found.findings}
    if ("new-hole", "") not in expected:
        told.pop(("new-hole", ""), None)
    assert told == expected
    assert found.breaks == ("breaks" in expected.values())
    assert [row.severity for row in found.warnings] == ["warning"] * len(found.warnings)


WORDS = [
    # old, new, member, and a part of change, effect or remedy
    ("__u32 a; __u64 b;", "__u64 a; __u64 b;", "a", "widened from 32 to 64 bits"),
    ("__u64 a;", "__u32 a; __u32 p;", "a", "narrowed from 64 to 32 bits"),
    ("__u8 a; __u8 b; __u32 c;", "__u8 a; __u32 b; __u32 c;", "b", "it moves c from offset 4 to"),
    ("__u32 a; __u32 b;", "__u32 b; __u32 a;", "a", "moves from offset 0 to offset 4, behind b"),
    ("__u8 a:3;", "__u8 a:3; __u8 n:2;", "n", "in the unused bits after a"),
    ("__u64 a;", "__s64 a;", "a", "a value with bit 63 set changes its sign"),
    ("__u8 b[2];", "__u8 b[3];", "b", "lengthened from 2 to 3 elements"),
    ("__u8 b[1];", "__u8 b[3];", "b", "keep b at 1 element;"),
    ("__u32 a;", "__be32 a;", "a", "type __u32 becomes __be32 (big-endian)"),
    ("__u32 a;", "__u32 a; __u32 n;", "n", "hand over the size"),
    ("__u32 a; __u64 b; __u32 c;", "__u32 a; __u64 b; __u32 c; __u64 n;", "n", "past the end"),
    ("__u32 a; __u32 pad;", "__u32 a; __u32 n;", "n", "takes the place of pad, bytes 4..7"),
    ("struct { __u8 a; __u32 b; } i[2];", "struct { __u8 a; __u8 n; __u32 b; } i[2];", "i.n",
     "added in the hole after i.a, byte 1, byte 9"),
    ("struct { __u8 a; __u32 b; } i[2];", "struct { __u8 a; __u8 n; __u32 b; } i[2];", "i.n",
     "an old writer never writes byte 1, byte 9"),
    ("struct { __u16 x; __u32 y; } n; __u64 q;", "struct { __u32 x; __u32 y; } n; __u64 q;", "n.x",
     "add a new member for bits 31:16 instead of widening n.x, in a hole of its own struct"),
    ("__u32 a;", "__be32 a;", "a",
     "an old reader of a new writer finds the bytes of a in opposite order in bytes 0..3"),
    ("__u32 a;", "__u32 a[1];", "a", "type __u32 becomes __u32[1] | an old reader of a new writer "
     "finds a[0][31:0] in bytes 0..3; a new reader of an old writer finds a[31:0] in bytes 0..3"),
    ("__u8 a[8];", "__u8 a[2][4];", "a", "type __u8[8] becomes __u8[2][4] | "),
    ("__u8 a[4];", "__u32 a;", "a", "type __u8[4] becomes __u32 | "),
    ("__u32 a[2];", "__u64 a;", "a", "type __u32[2] becomes __u64 | "),
    ("__u32 a[2];", "__u64 a;", "a", " | keep the type of a"),
    ("__u64 a;", "double a;", "a", "each side takes the bits for another value"),
    ("double a;", "float a; __u32 b;", "a", "the bits of a floating point number of 32 bits are "
     "not those of a floating point number of 64 bits"),
    ("__u64 a; __u64 b;", "__u64 a; struct { __u32 lo, hi; } b;", "b",
     "type __u64 becomes a struct of lo, hi"),
    ("__u32 a; __u32 b;", "__u32 a; __u32 n; union { __u32 a1; __u32 b; };", "n",
     "there is no hole at bytes 4..7: it moves b from offset 4 to offset 8"),
    ("__u32 n; __u32 d[];", "__u32 n; __u32 k; __u32 d[];", "k",
     "added in front of others, bytes 4..7; it moves d from offset 4 to offset 8"),
    ("__u32 n; __u32 d[];", "__u32 n; __u32 e[];", "e", "an old writer writes these elements as d"),
    ("__u32 n; __u32 d[];", "__u32 n; __u32 d[2];", "d",
     "type __u32[] becomes __u32[2] | a new reader of an old writer finds what was there before in "
     "bytes 4..11"),
    ("__u32 n; __u32 d[];", "__u32 n; __u16 d[];", "d",
     "4 bytes each, becomes one of __u16[], 2 bytes"),
    ("__u8 x:8;", "__u8 x:4; __u8 y:4;", "y", "takes bits "),
    ("__u32 a; __u8 pad[3];", "__u32 a; __u8 pad[2]; __u8 flags;", "pad",
     "keep pad at 3 elements, unless the others were reserved: written as 0 by every old writer"),
    ("__u32 a; __u8 pad[3];", "__u32 a; __u8 pad[2]; __u8 flags;", "flags",
     "safe if that was reserved: written as 0 by every old writer"),
    ("__u32 a; __u32 b; __u32 c;",
     "__u32 a; union { struct { __u32 b, c; }; struct { __u32 b, c; } g; };", "g",
     "another name for b, c, bytes 4..11"),
    # A hole that the change fills is no remedy; what it leaves of one is.
    ("__u8 a; __u64 b;", "__u16 a; __u8 z; __u64 b;", "a", "the hole after a (byte 1) takes it"),
    ("__u16 a; __u64 b;", "__u32 a; __u32 z; __u64 b;", "a",
     "the hole after a (bytes 2..3) takes it"),
    ("__u32 a; __u64 b;", "__u64 a; __u64 b; __u8 c;", "a",
     "the hole after a (bytes 4..7) takes it"),
    ("__u32 a; __u64 b; __u32 c; __u64 d;", "__u64 a; __u64 b; __u64 c; __u64 d;", "c",
     "the hole after c (bytes 20..23) takes it"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "member", "part"), WORDS)
def test_words(old: str, new: str, member: str, part: str) -> None:
    rows = [row for row in change(old, new).findings if row.member == member]
    assert any(part in f"{row.change} | {row.effect} | {row.remedy}" for row in rows), rows


def test_a_wider_member_is_sent_behind_the_last_where_no_hole_takes_it() -> None:
    (row,) = (r for r in change("__u16 a; __u8 b; __u8 c;", "__u32 a; __u8 b; __u8 c;").findings
              if r.member == "a" and r.abis == ("aarch64",))  # fmt: skip
    assert row.remedy.endswith("no hole takes it, so it goes behind the last member")


RUN = """
struct arch {{ __u32 hsr; {} __u64 far; }};
struct s {{
    __u8 head[32];
    union {{
        __u64 hw;
        struct {{ struct arch arch; }} debug;
        struct {{ __u64 phys_addr; __u8 data[8]; __u32 len; __u8 is_write; }} mmio;
        char padding[256];
    }};
    __u64 valid;
}};"""
"""The kvm_run page in small: the debug exit lies in a union, beside members without its hole."""


def test_a_hole_in_a_union_is_one_for_the_struct_that_has_it() -> None:
    """Bytes 36..39 are no padding of the page: mmio and others hold them."""
    old, high = (parse(RUN.format(more))["s"] for more in ("", "__u32 hsr_high;"))
    wide = parse(RUN.format("").replace("__u32 hsr", "__u64 hsr"))["s"]
    found = review(old, high, ARM64)
    assert not found.breaks
    (row,) = found.findings
    assert (row.kind, row.member) == ("added-in-hole", "debug.arch.hsr_high")
    assert row.change == "added in the hole after debug.arch.hsr, bytes 36..39"
    assert row.remedy.startswith("needs a validity flag: an old writer never writes bytes 36..39")
    for row in review(old, wide, ARM64).findings:
        if row.member == "debug.arch.hsr":
            assert row.remedy.endswith(
                "instead of widening debug.arch.hsr, in a hole of its own struct, with a flag that "
                "says when it is valid"
            )


def test_no_two_members_are_sent_into_one_hole() -> None:
    """Of the tail padding, 7 bytes, each takes what fits; the holes inside are too small."""
    old, new = "__u32 a; __u32 b; __u64 c; __u8 d;", "__u64 a; __u64 b; __u64 c; __u8 d;"
    remedies = [row.remedy for row in change(old, new, "arm").findings
                if row.kind == "widened"]  # fmt: skip
    assert len(remedies) == 2
    assert sum("(bytes 17..23) takes it" in remedy for remedy in remedies) == 1
    assert sum("no hole takes it" in remedy for remedy in remedies) == 1


VERDICTS = [
    # written, read, and what the reader's verdict says of the flexible array d
    ("__u32 n; __u32 d[];", "__u64 n; __u32 d[];", "moved",
     "the elements are written from offset 4 on, not 8"),
    ("__u32 n; __u16 d[];", "__u32 n; __u32 d[];", "moved",
     "the elements are written with 2 bytes each, not 4"),
    ("__u32 n; __u32 d;", "__u32 n; __u32 d[];", "moved", "d is written as __u32, not as an array"),
    ("__u32 n;", "__u32 n; __u32 d[];", "unwritten", "no d is written"),
    ("__u32 n; float d[];", "__u32 n; __u32 d[];", "moved",
     "of each element, bytes 0..3 hold element[31:0]"),
    ("__u32 n; __u32 d[];", "__u32 n; __u32 d[1];", "unwritten", "bytes 4..7: never written"),
]  # fmt: skip


@pytest.mark.parametrize(("written", "read", "status", "words"), VERDICTS)
def test_a_verdict_says_what_became_of_a_flexible_array(
    written: str, read: str, status: str, words: str
) -> None:
    writer, reader = (parse(f"struct s {{ {text} }};")["s"] for text in (written, read))
    verdict = compare(writer.layout("s390x"), reader.layout("s390x"))
    assert verdict.fields["d"] == status
    assert verdict.breaks
    (line,) = re.findall(rf"^  d +{status} +(.*)$", repr(verdict), re.MULTILINE)
    assert line == words


def test_a_verdict_across_byte_orders_says_so() -> None:
    struct = parse("struct s { __u32 a; __u16 b[2]; __u8 c; };")["s"]
    verdict = compare(struct.layout("aarch64"), struct.layout("aarch64_be"))
    assert verdict.fields == {"a": "moved", "b": "moved", "c": "intact"}
    assert "  a  moved   bytes 0..3 hold the bytes of a in opposite order\n" in repr(verdict)
    assert "  b  moved   bytes 4..7 hold the bytes of b in opposite order\n" in repr(verdict)


# --- where there is nothing to compare -------------------------------------------------------


class Nowhere(Struct):
    """A struct that one ABI does not have, as a conditional in a header makes it."""

    def layout(self, abi: str | Abi) -> Any:
        if ABIS.get(str(getattr(abi, "name", abi))) is ABIS["i386"]:
            raise KvmvizError("struct s does not exist on i386")
        return super().layout(abi)


HERE, THERE = Struct("s", {"a": "u32"}), Nowhere("s", {"a": "u32"})


@pytest.mark.parametrize(
    ("old", "new", "severity", "words"),
    [
        (HERE, THERE, "breaks", "gone: not there after"),
        (THERE, HERE, "note", "new: not there before"),
        (THERE, THERE, "note", "not there before or after"),
    ],
)
def test_a_struct_that_an_abi_does_not_have(
    old: Struct, new: Struct, severity: str, words: str
) -> None:
    found = review(old, new)
    (row,) = found.findings
    assert (row.kind, row.severity, row.change, row.abis) == (
        "absent", severity, words, ("i386",),
    )  # fmt: skip
    assert row.effect == "struct s does not exist on i386"
    assert found.breaks == (severity == "breaks")
    assert len(found.rows) == len(ABIS) - 1
    assert "i386" in repr(found)
    assert review(old, new, ["i386"]).rows == ()
    assert "struct s does not exist on i386" in repr(review(old, new, ["i386"]))


def test_headers() -> None:
    old = parse("struct a { int x; }; struct b { int x; }; struct c { int x; };")
    new = parse("struct b { int x; }; struct c { long long x; }; struct d { int x; };")
    found = review_all(old, new)
    assert [row.new.tag for row in found.reviews] == ["b", "c"]
    assert (found.added, found.removed) == (("d",), ("a",))
    assert found.breaks
    assert found.warns
    told = repr(found)
    assert told.startswith("struct c: BREAKS on all 14 ABIs")
    assert told.endswith(
        "\n\nunchanged: struct b\n\nonly in the new header: d"
        "\n\nBREAKS: gone, only in the old header: a"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((OLD, "x"), "two structs, not a str"),
        ((OLD, OLD, ["vax"]), "unknown ABI 'vax'"),
        ((OLD, OLD, []), "at least one ABI"),
    ],
)
def test_errors(arguments: Any, words: str) -> None:
    with pytest.raises(KvmvizError, match=words):
        review(*arguments)


# --- the report ------------------------------------------------------------------------------


@pytest.mark.parametrize("new", [WIDENED, WITH_HIGH, OLD])
def test_the_report_fits_a_mail(new: Struct) -> None:
    told = repr(review(OLD, new))
    assert all(len(line) <= WIDTH and line == line.rstrip() for line in told.split("\n"))
    assert told.isascii()


def test_the_report_says_each_verdict_of_each_abi() -> None:
    found = review(OLD, WIDENED)
    told = repr(found)
    assert told.startswith("struct kvm_debug_exit_arch: BREAKS on all 14 ABIs\n")
    legend = dict(re.findall(r"^  \((\d)\) \S+-endian: (.*)$", told, re.MULTILINE))
    assert {name for names in legend.values() for name in names.split(", ")} == set(ABIS)
    rows = re.findall(r"^  (\w*) +(old < new|new < old)  (.*)$", told, re.MULTILINE)
    member = ""
    for name, direction, cells in rows:
        member = name or member
        for number, cell in enumerate(cells.split(), 1):
            for abi in legend[str(number)].split(", "):
                (row,) = (r for r in found.rows if r.abi.name == abi)
                verdict = row.forward if direction == "old < new" else row.backward
                assert verdict.fields.get(member, "-") == cell
    assert len(rows) == 4


def test_a_change_of_every_member_stays_short() -> None:
    old = Struct("s", {f"m{n}": "u32" for n in range(200)})
    new = Struct("s", {"n": "u32"} | {f"m{n}": "u32" for n in range(200)})
    found = review(old, new)
    assert len({row.member for row in found.findings}) == 202
    lines = repr(found).split("\n")
    assert len(lines) < 4 * MOST + 60
    assert any("177 more members" in line for line in lines)
    assert any(re.search(r"m24,? and 175 more\.$", line) for line in lines)


def test_a_report_lists_so_many_findings_and_counts_the_rest() -> None:
    old = Struct("s", {f"m{n}": "u32" for n in range(200)})
    new = Struct("s", {f"m{n}": "__be32" for n in range(200)})
    told = repr(review(old, new, "x86_64"))
    # 200 members and the size check that sees nothing.
    assert f"There is more: {201 - MOST} more findings; --json has them all" in told
    assert len(re.findall(r"^  \d+\. ", told, re.MULTILINE)) == MOST


def test_a_long_list_of_bytes_stays_short() -> None:
    old, new = (Struct("s", [("n", Array(Struct("", body), 2000))]) for body in (
        {"a": "u8", "b": "u32"}, {"a": "u8", "z": "u8", "b": "u32"}))  # fmt: skip
    (row,) = review(old, new, "s390x").findings
    assert row.change == "added in the hole after n.a, byte 1, byte 9, byte 17 and 1997 more"
    assert len(row.effect) < 300


def test_the_headline_counts_the_warnings_that_are_listed() -> None:
    """One new member, in byte 5 or in byte 9: two findings, told as one."""
    found = change("long a; __u8 b; __u64 c;", "long a; __u8 b; __u8 n; __u64 c;",
                   ["arm", "aarch64"])  # fmt: skip
    assert len(found.warnings) == 2
    assert repr(found).startswith("struct s: nothing breaks; 1 warning\n")
    assert "  1. warning: n: added in a hole\n" in repr(found)
    assert "  2. " not in repr(found)


def test_lines_below_a_finding_are_in_one_column() -> None:
    """Two holes that are new on every ABI have no label."""
    told = repr(change("__u8 a; __u64 b;", "__u8 a; __u64 b; __u8 c; __u64 d; __u8 e;", "s390x"))
    assert "note: new padding\n     new hole after c, bytes 17..23\n     new tail padding" in told


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (list(ABIS), "all 14 ABIs"),
        ([n for n in ABIS if n in BIG], "big-endian"),
        ([n for n in ABIS if n in BIG and n != "m68k"], "big-endian except m68k"),
        (["m68k", "i386"], "i386, m68k"),
        ([n for n in ABIS if n not in NO_HOLE], "all except i386, m68k"),
        (["arm"], "arm"),
    ],
)
def test_abis_in_words(names: list[str], words: str) -> None:
    assert ground(review(OLD, OLD), names) == words


# --- properties ------------------------------------------------------------------------------


@st.composite
def edits(draw: st.DrawFn) -> tuple[Struct, Struct, str]:
    """A struct, what an edit made of it, and an ABI."""
    old = draw(strategies.structs(depth=1))
    new = draw(strategies.changed(old))
    where = draw(st.sampled_from(("alone", "nested", "array", "union")))
    if where != "alone":
        old, new = (
            Struct(
                "s",
                [("p", "u8"), ("n", Array(side, 2) if where == "array" else side), ("q", "u8[40]")],
                union=where == "union",
            )
            for side in (old, new)
        )
    return old, new, draw(strategies.abis)


@steady
@given(strategies.structs())
def test_no_change_has_no_findings(struct: Struct) -> None:
    again = Struct("s", struct.members, union=struct.union)
    found = review(struct, again)
    assert found.findings == ()
    assert not found.breaks
    assert [row.abi.name for row in found.rows] == list(ABIS)


def expected_breaks(old: Struct, new: Struct, abi: str) -> bool:
    """The rule by an independent model: where taint arrives, and the model's sizes."""
    if strategies.extent(old, abi) != strategies.extent(new, abi):
        return True
    paths = [{leaf.member for leaf in strategies.leaves(side, abi)} for side in (old, new)]
    for writer, reader in ((new, old), (old, new)):
        for (want, i), came in taint(writer, abi, reader, abi).items():
            if want.member in paths[0] & paths[1] and (want.designator, i) not in {
                (sent.designator, j) for sent, j in came
            }:
                return True
    return False


@steady
@given(edits())
def test_breaks_is_what_an_independent_model_says(drawn: tuple[Struct, Struct, str]) -> None:
    old, new, abi = drawn
    found = review(old, new, abi)
    assert found.breaks == expected_breaks(old, new, abi)
    for verdict, sides in (
        (found.rows[0].forward, (new, old)), (found.rows[0].backward, (old, new)),
    ):  # fmt: skip
        assert verdict.fields == judged(sides[0], abi, sides[1], abi)


@steady
@given(edits())
def test_there_and_back(drawn: tuple[Struct, Struct, str]) -> None:
    """Undoing a change breaks as doing it does; each direction is the other's mirror."""
    old, new, abi = drawn
    there, back = review(old, new, abi), review(new, old, abi)
    assert there.breaks == back.breaks
    assert there.rows[0].forward.fields == back.rows[0].backward.fields
    assert bool(there.findings) == bool(back.findings)


@steady
@given(edits())
def test_every_member_that_is_not_intact_has_a_finding(drawn: tuple[Struct, Struct, str]) -> None:
    old, new, abi = drawn
    found = review(old, new, abi)
    named = {re.split(r"[.\[]", row.member)[0] for row in found.findings}
    for verdict in (found.rows[0].forward, found.rows[0].backward):
        assert {name for name, status in verdict.fields.items() if status != "intact"} <= named
    assert all(row.change and (row.remedy or row.severity == "note") for row in found.findings)
    assert all(len(line) <= WIDTH for line in repr(found).split("\n"))


@steady
@given(edits())
def test_findings_of_all_abis_are_those_of_each(drawn: tuple[Struct, Struct, str]) -> None:
    old, new, _ = drawn
    merged = {(abi, row.kind, row.member, row.change)
              for row in review(old, new).findings for abi in row.abis}  # fmt: skip
    single = {(abi, row.kind, row.member, row.change)
              for abi in ABIS for row in review(old, new, abi).findings}  # fmt: skip
    assert merged == single


# --- compilers -------------------------------------------------------------------------------

FIELDS = ("__u8", "__u16", "__u32", "__u64")
STEPS = [
    (old, new)
    for old in ("__u32 a; __u64 b;", "__u8 a; __u16 b; __u8 c;", "__u64 a; __u8 b; __u32 c;")
    for new in (
        old.replace("__u32", "__u64"), old.replace("__u16", "__u32"), old.replace("__u8", "__u16"),
        old.replace("; ", "; __u8 n; ", 1), f"{old} __u32 n;", f"__u16 n; {old}",
        old.replace("__u64", "__u32"),
    )
    if old != new
]  # fmt: skip


@pytest.mark.parametrize("abi", compilers.every_abi())
def test_breaks_is_what_programs_built_by_compilers_find(abi: str) -> None:
    """Bytes that a compiler emits for one version, read with the layout of the other."""
    sides = [[parse(f"struct s {{ {text} }};")["s"] for text in step] for step in STEPS]
    values: list[dict[str, int]] = []
    for old, new in sides:
        # Every byte of every value differs from 0 and from all others.
        numbers, count = {}, 0
        for name in dict.fromkeys((*old.names(), *new.names())):
            width = max(_bits(side, name) for side in (old, new)) // 8
            data = bytes(range(count + 1, count + 1 + width))
            numbers[name], count = int.from_bytes(data, "big"), count + width
        values.append(numbers)
    objects = []
    lines = []
    for number, (pair, numbers) in enumerate(zip(sides, values, strict=True)):
        for side, struct in zip("on", pair, strict=True):
            lines.append(f"{c_text(struct, f's{side}{number}')};")
            held = {n: numbers[n] & (1 << _bits(struct, n)) - 1 for n in struct.names()}
            objects.append((f"struct s{side}{number}", c_init(held)))
    images = compilers.images(abi, "\n".join(lines), objects)
    names = [(name, ()) for name, _ in objects]
    sizes = compilers.measure(abi, "\n".join(lines), names)
    for number, ((old, new), numbers) in enumerate(zip(sides, values, strict=True)):
        measured = [sizes[f"struct s{side}{number}"] for side in "on"]
        wrong = (measured[0].size, measured[0].align) != (measured[1].size, measured[1].align)
        for image, reader in ((images[2 * number + 1], old), (images[2 * number], new)):
            layout = reader.layout(abi)
            read = layout.unpack(image + bytes(layout.size))
            common = [n for n in reader.names() if n in {*old.names()} & {*new.names()}]
            wrong |= any(read[n] != numbers[n] & (1 << _bits(reader, n)) - 1 for n in common)
        assert review(old, new, abi).breaks == wrong, STEPS[number]


def _bits(struct: Struct, name: str) -> int:
    kinds: dict[str, Type] = {m.name: m.type for m in struct.members if m.name}
    kind = kinds.get(name)
    return kind.bits if kind is not None and hasattr(kind, "bits") else 0


def test_the_steps_have_both_outcomes_on_every_abi() -> None:
    for abi in ABI_NAMES:
        found = {change(old, new, abi).breaks for old, new in STEPS}
        assert found == {True, False}


def test_types_of_members_are_left_alone() -> None:
    """A review keeps what it was given."""
    old = Struct("s", [Member("a", Array(scalar("__u8"), 3))])
    assert review(old, OLD).old is old

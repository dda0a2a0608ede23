"""Findings of a change: kind, severity, effect and remedy, one change a row."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kvmviz import ABIS, Array, KvmvizError, Struct, parse
from kvmviz.abi import Abi
from kvmviz.kvm.kernel import MERGED, OLD, WIDENED
from kvmviz.review import Policy, Review, review
from kvmviz.review.finding import RULES
from tests.compilers import ABI_NAMES
from tests.strategies import ORDER

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
    with_hole = review(OLD, MERGED, [abi for abi in ABIS if abi not in NO_HOLE])
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
        without = review(OLD, MERGED, [abi])
        assert without.breaks
        assert {row.kind for row in without.findings} == {"inserted", "moved", "size"}
        told = next(row for row in without.findings if row.member == "hsr_high")
        assert told.change == (
            "there is no hole at bytes 4..7: it moves far from offset 4 to offset 8"
        )


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
     {("renamed", "n"): "note"}),
    ("__u32 a; __u32 b;", "__u32 a; __u16 n, m;",
     {("replaced", "n"): "warning", ("replaced", "m"): "warning", ("removed", "b"): "warning"}),
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
     {("renamed", "in.d.c"): "note"}),
    ("__u32 n; __u32 d[];", "__u32 n; __u32 e[];",
     {("renamed", "e"): "note"}),
    ("__u32 n; __u32 d[];", "__u32 n; __s32 e[];",
     {("appended", "e"): "warning", ("removed", "d"): "warning"}),
    # What only one side has does not break, nested or not.
    ("struct { __u32 a; __u32 b; } in;", "struct { __u32 a; __u32 c; } in;",
     {("renamed", "in.c"): "note"}),
    ("struct { struct { __u32 a; __u32 b; } k[2]; } in;",
     "struct { struct { __u32 a; __u32 c; } k[2]; } in;",
     {("renamed", "in.k.c"): "note"}),
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
    # A new union beside a hole or tail padding of the same bits: padding is no member.
    ("__u32 hsr; __u64 far;", "__u32 hsr; union { struct { __u32 high; }; __u32 raw; }; __u64 far;",
     {("added-in-hole", "high"): "warning", ("added-in-hole", "raw"): "warning"}),
    ("__u64 a; __u32 b;", "__u64 a; __u32 b; union { struct { __u32 c; }; __u32 d; };",
     {("added-in-hole", "c"): "warning", ("added-in-hole", "d"): "warning"}),
    ("__u64 a; __u8 b;", "__u64 a; __u8 b; union { struct { __u8 c[7]; } n; __u8 d[7]; };",
     {("added-in-hole", "n"): "warning", ("added-in-hole", "d"): "warning"}),
    ("__u64 a; struct { __u8 x:3; __u32 y; } n;",
     "__u64 a; struct { __u8 x:3; union { struct { __u8 z:5; }; __u8 w[3]; }; __u32 y; } n;",
     {("added-in-hole", "n.z"): "warning", ("added-in-hole", "n.w"): "warning"}),
    # Members that end up in one place have not passed each other.
    ("__u32 a; __u32 b;", "__u64 x; union { __u32 a; __u32 b; };",
     {("inserted", "x"): "breaks", ("moved", "a"): "breaks", ("moved", "b"): "breaks",
      ("size", ""): "breaks", ("align", ""): "breaks"}),
    # How many elements there are is told apart from what happened in each.
    ("struct { __u8 a; __u32 b; } in[2];", "struct { __u8 a; __u8 n; __u32 b; } in[3];",
     {("array-length", "in"): "breaks", ("added-in-hole", "in.n"): "warning",
      ("size", ""): "breaks"}),
    # What is gone is not named once more.
    ("__u32 a; __u32 b;", "__u32 a; union { struct { __u32 c; } g; __u32 d; };",
     {("renamed", "g"): "note"}),
    ("__u8 x:8;", "__u8 x:4; __u8 y:4;",
     {("bit-field", "x"): "breaks", ("taken", "y"): "breaks", ("size-unseen", ""): "note"}),
]  # fmt: skip


PRACTICE: list[tuple[str, str, dict[tuple[str, str], str]]] = [
    # Reserved members are space: taken whole, from the front, from the back, by a wider member.
    ("__u32 a; __u32 pad;", "__u32 a; __u32 n;", {("reserved", "n"): "warning"}),
    ("__u32 a; __u8 pad[3]; __u8 z;", "__u32 a; __u8 pad[2]; __u8 flags; __u8 z;",
     {("reserved", "flags"): "warning"}),
    ("__u32 a; __u32 reserved[8];", "__u32 a; __u32 n; __u32 reserved[7];",
     {("reserved", "n"): "warning"}),
    ("__u32 a; __u32 reserved[8];", "__u32 a; __u64 n; __u32 reserved[6];",
     {("reserved", "n"): "warning", ("removed", "reserved"): "warning", ("align", ""): "breaks",
      ("size", ""): "breaks"}),
    ("__u64 a; __u16 b; __u16 __pad_1; __u32 rsvd2;", "__u64 a; __u16 b; __u16 n; __u32 m;",
     {("reserved", "n"): "warning", ("reserved", "m"): "warning"}),
    ("__u8 b[4]; __u8 spare[4];", "__u8 b[6]; __u8 spare[2];", {("reserved", "b"): "warning"}),
    ("__u64 a:1, __reserved_1:63;", "__u64 a:1, n:1, __reserved_1:62;",
     {("reserved", "n"): "warning"}),
    ("__u64 a:1, :63;", "__u64 a:1, n:1, :62;", {("reserved", "n"): "warning"}),
    ("struct { __u32 a; __u32 resv; } in[2];", "struct { __u32 a; __u32 n; } in[2];",
     {("reserved", "in.n"): "warning"}),
    ("union { struct { __u32 a; __u32 unused[3]; } p; __u64 q[2]; };",
     "union { struct { __u32 a; __u32 n; __u32 unused[2]; } p; __u64 q[2]; };",
     {("reserved", "p.n"): "warning"}),
    ("__u32 a; __u64 b;", "__u32 a; __u32 reserved; __u64 b;", {("reserve", "reserved"): "note"}),
    ("__u64 a; __u32 pad[2];", "__u64 a; __u64 pad;", {("reserve", "pad"): "note"}),
    ("__u32 a; __u32 pad1;", "__u32 a; __u32 pad2;", {("renamed", "pad2"): "note"}),
    ("__u32 a; __u8 pad[4];", "__u32 a; __u8 pad[2];", {("removed", "pad"): "warning"}),
    ("__u32 a; __u32 pad[2];", "__u32 a; __u32 pad;",
     {("removed", "pad"): "warning", ("size", ""): "breaks"}),
    ("__u32 a; __u8 b;", "__u32 a; __u8 pad;",
     {("reserve", "pad"): "note", ("removed", "b"): "warning"}),
    # But not where something else moves, is not ignored, or is there to give a union its size.
    ("__u32 a; __u32 pad; __u32 b;", "__u32 a; __u32 b; __u32 pad;",
     {("reordered", "b"): "breaks", ("size-unseen", ""): "note"}),
    ("__u32 a; __u32 reserve_count;", "__u32 a; __u16 n; __u16 reserve_count;",
     {("inserted", "n"): "breaks", ("narrowed", "reserve_count"): "breaks",
      ("size-unseen", ""): "note"}),
    ("__u8 b[4]; __u8 spare[4];", "__u8 b[2]; __u8 spare[6];",
     {("array-length", "b"): "breaks", ("reserve", "spare"): "note", ("size-unseen", ""): "note"}),
    ("union { __u32 a; __u8 padding[16]; };", "union { __u32 a; __u64 n; __u8 padding[16]; };",
     {("added-in-union", "n"): "warning", ("align", ""): "breaks"}),
    # No byte changes.
    ("__u32 a; __u16 b[4]; __s64 c;", "__be32 a; __le16 b[4]; __be64 c;",
     {("annotated", "a"): "note"}),
    ("__be32 a; struct { __u16 x; } in;", "__u32 a; struct { __le16 x; } in;",
     {("annotated", "a"): "note"}),
    ("__u32 n; __u32 d[];", "__u32 n; __be32 d[];", {("annotated", "d"): "note"}),
    ("struct { __u8 b[16]; } a;", "__u8 a[16];", {("wrapped", "a"): "note"}),
    ("__u8 a[2][4];", "struct { __u8 b[4]; } a[2];", {("wrapped", "a"): "note"}),
    ("struct { struct { __u32 v; } w; } a;", "__u32 a;", {("wrapped", "a"): "note"}),
    ("__u8 a[8];", "struct { __u8 b[4]; } a[2];",
     {("retyped", "a"): "breaks", ("size-unseen", ""): "note"}),
    ("__u32 a; __u32 b;", "struct { __u32 a; __u32 b; };", {("grouped", ""): "note"}),
    ("__u32 : 32; __u32 a;", "struct { __u32 : 32; } in; __u32 a;", {}),
    ("__u32 a; __u32 b;", "__u32 a; union { __u32 b; __u32 c; };", {("alias", "c"): "note"}),
    ("__u32 a; __u32 b;", "__struct_group(, g, , __u32 a; __u32 b;);", {("alias", "g"): "note"}),
    ("union { __u32 a; __u64 b; };", "union { __u32 a; __u32 n; __u64 b; };",
     {("added-in-union", "n"): "warning"}),
    ("__u16 n; __le16 d[1];",
     "__u16 n; union { __le16 one; struct { struct { } no; __le16 d[]; }; };",
     {("beside", "d"): "note"}),
    ("__u32 n; struct { __u8 a; __u32 b; } d[1];",
     "__u32 n; union { struct { __u8 a; __u32 b; } one; "
     "struct { struct { } no; struct { __u8 a; __u32 b; } d[]; }; };",
     {("beside", "d"): "note"}),
    ("__u16 n; __u32 d[1];",
     "__u16 n; union { __u16 one[2]; struct { struct { } no; __u32 d[]; }; };",
     {("replaced", "one"): "warning", ("flexible", "d"): "breaks", ("size-unseen", ""): "note"}),
    ("__u32 a; __u32 b;", "struct { __u32 a; __u32 b; } in;", {("renamed", "in"): "note"}),
    ("__u32 a; __u32 b;", "__u32 b; __u32 c;",
     {("moved", "b"): "breaks", ("removed", "a"): "warning", ("taken", "c"): "breaks",
      ("size-unseen", ""): "note"}),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), CHANGES + PRACTICE)
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
    ("__u32 a; __u32 b;", "__u32 b; __u32 a;", "a", "moves from offset 0 to offset 4"),
    ("__u8 a:3;", "__u8 a:3; __u8 n:2;", "n", "in the unused bits after a"),
    ("__u64 a;", "__s64 a;", "a", "a value with bit 63 set changes its sign"),
    ("__u8 b[2];", "__u8 b[3];", "b", "lengthened from 2 to 3 elements"),
    ("__u8 b[1];", "__u8 b[3];", "b", "keep b at 1 element,"),
    ("__u32 a;", "__be32 a;", "a", "type __u32 becomes __be32 (big-endian)"),
    ("__u32 a;", "__u32 a; __u32 n;", "n", "hand over the size"),
    ("__u32 a; __u64 b; __u32 c;", "__u32 a; __u64 b; __u32 c; __u64 n;", "n", "past the end"),
    ("__u32 a; __u32 b;", "__u32 a; __u16 n;", "n", "takes the place of b, bytes 4..5"),
    ("__u32 a; __u32 pad;", "__u32 a; __u32 n;", "n", "takes bytes 4..7 from pad"),
    ("__u8 a, pad; __u64 b;", "__u8 a; __u8 n[3]; __u64 b;", "n",
     "ignored by every old reader; an old writer never writes bytes 2..3"),
    ("struct { __u8 a; __u32 b; } i[2];", "struct { __u8 a; __u8 n; __u32 b; } i[2];", "i.n",
     "added in the hole after a in i, byte 1, byte 9"),
    ("struct { __u8 a; __u32 b; } i[2];", "struct { __u8 a; __u8 n; __u32 b; } i[2];", "i.n",
     "an old writer never writes byte 1, byte 9"),
    ("struct { __u16 x; __u32 y; } n; __u64 q;", "struct { __u32 x; __u32 y; } n; __u64 q;", "n.x",
     "add a new member for bits 31:16 instead of widening n.x, in a hole or behind"),
    ("__u32 a;", "__be32 a;", "a", "pack and unpack go by the type's name"),
    ("__u32 a;", "__u32 a[1];", "a", "type __u32 becomes __u32[1] | an old reader of a new writer "
     "finds a[0][31:0] in bytes 0..3; a new reader of an old writer finds a[31:0] in bytes 0..3"),
    ("__u8 a[8];", "__u8 a[2][4];", "a", "type __u8[8] becomes __u8[2][4] | "),
    ("__u8 a[4];", "__u32 a;", "a", "type __u8[4] becomes __u32 | "),
    ("__u32 a[2];", "__u64 a;", "a", "type __u32[2] becomes __u64 | "),
    ("__u32 a[2];", "__u64 a;", "a", " | keep the type of a"),
    ("__u64 a;", "double a;", "a", "each side takes the bits for another value"),
    ("double a;", "float a; __u32 b;", "a", "each side takes the bits for another value"),
    ("__u64 a; __u64 b;", "__u64 a; struct { __u32 lo, hi; } b;", "b",
     "type __u64 becomes a struct of lo, hi"),
    ("__u32 a; __u32 b;", "__u32 a; __u32 n; union { __u32 a1; __u32 b; };", "n",
     "there is no hole at bytes 4..7: it moves b from offset 4 to offset 8"),
    ("__u32 n; __u32 d[];", "__u32 n; __u32 k; __u32 d[];", "k",
     "added in front of others, bytes 4..7; it moves d from offset 4 to offset 8"),
    ("__u32 n; __u32 d[];", "__u32 n; __s32 e[];", "e", "an old writer writes no e"),
    ("__u32 n; __u32 d[];", "__u32 n; __u32 e[];", "e", "a new name of d"),
    ("__u32 a; __u32 b;", "struct { __u32 a; __u32 b; } in;", "in", "a new name of a, b |"),
    ("__u32 n; __u32 d[];", "__u32 n; __u32 d[2];", "d",
     "type __u32[] becomes __u32[2] | a new reader of an old writer finds what was there before in "
     "bytes 4..11"),
    ("__u32 n; __u32 d[];", "__u32 n; __u16 d[];", "d",
     "an old reader of a new writer goes wrong: the elements are written with 2 bytes each, not 4"),
    ("__u8 x:8;", "__u8 x:4; __u8 y:4;", "y", "takes bits "),
    ("__u32 a; __u8 b[3];", "__u32 a; __u8 b[2]; __u8 flags;", "b",
     "keep b at 3 elements, unless the rest was reserved"),
    ("__u32 a; __u8 b[3];", "__u32 a; __u8 b[2]; __u8 flags;", "flags",
     "safe if that was reserved: written as 0 by every old writer"),
    ("__u32 a; __u8 pad[3];", "__u32 a; __u8 pad[2]; __u8 flags;", "flags",
     "safe if they were written as 0 by every old writer"),
    ("__u32 a; __u32 b; __u32 c;",
     "__u32 a; union { struct { __u32 b, c; }; struct { __u32 b, c; } g; };", "g",
     "another name for b, c, bytes 4..11"),
    # A union that is new has no other member that an old writer could have filled it with.
    ("__u32 a; __u64 b;", "__u32 a; union { struct { __u32 c; }; __u32 d; }; __u64 b;", "c",
     "finds what was there before in bytes 4..7; nothing changes"),
    ("__u32 a; __u64 b;", "__u64 a; __u64 b; __u8 c;", "a",
     "the hole after a (bytes 4..7) takes it"),
    ("__u32 a; __u64 b; __u32 c; __u64 d;", "__u64 a; __u64 b; __u64 c; __u64 d;", "c",
     "the hole after c (bytes 20..23) takes it"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "member", "part"), WORDS)
def test_words(old: str, new: str, member: str, part: str) -> None:
    rows = [row for row in change(old, new).findings if row.member == member]
    assert any(part in f"{row.change} | {row.effect} | {row.remedy}" for row in rows), rows


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
    assert row.change == "added in the hole after hsr in debug.arch, bytes 36..39"
    assert row.remedy.startswith("needs a validity flag: an old writer never writes bytes 36..39")
    for row in review(old, wide, ARM64).findings:
        if row.member == "debug.arch.hsr":
            assert row.remedy.endswith(
                "instead of widening debug.arch.hsr, in a hole or behind the last member, with a "
                "flag that says when it is valid"
            )


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


def test_a_long_list_of_bytes_stays_short() -> None:
    old, new = (Struct("s", [("n", Array(Struct("", body), 2000))]) for body in (
        {"a": "u8", "b": "u32"}, {"a": "u8", "z": "u8", "b": "u32"}))  # fmt: skip
    (row,) = review(old, new, "s390x").findings
    assert row.change == "added in the hole after a in n, byte 1, byte 9, byte 17 and 1997 more"
    assert len(row.effect) < 300


# --- the rules -------------------------------------------------------------------------------


def test_every_kind_has_a_rule_with_title_and_source() -> None:
    rows = [change(old, new, list(ABIS)).findings for old, new, _ in CHANGES + PRACTICE]
    kinds = {row.kind for found in rows for row in found}
    structs = {kind for kind in RULES if not kind.startswith("constant-")}
    assert kinds | {"absent", "narrowed", "widened"} == structs
    assert all(rule.title and rule.source for rule in RULES.values())
    with pytest.raises(KvmvizError, match="severity 'bad'; legal are 'breaks', 'warning', 'note'"):
        replace(RULES["size"], severity="bad")  # type: ignore[arg-type]


def test_what_a_header_says_is_quoted_as_plain_characters() -> None:
    text = "#ifdef __i386__\n#error \x1b[31m::error::no \u202e|`x`\n#endif\nstruct s { int a; };"
    old, new = parse("struct s { int a; };")["s"], parse(text)["s"]
    (row,) = review(old, new).findings
    assert row.severity == "breaks"
    assert "\\x1b[31m:\\x3aerror:\\x3ano \\u202e|`x`" in row.effect
    assert row.effect.isprintable()


def test_a_long_error_is_cut() -> None:
    text = f"#ifdef __i386__\n#error {'word ' * 700}\n#endif\nstruct s {{ int a; }};"
    (row,) = review(parse("struct s { int a; };")["s"], parse(text)["s"]).findings
    assert len(row.effect) < 500


# --- the policy ------------------------------------------------------------------------------

POLICIES = [
    # old, new, the policy, ABIs, and the worst there is
    ("__u32 a; __u64 b;", "__u64 a; __u64 b;", {}, "aarch64", "breaks"),
    ("__u32 a; __u64 b;", "__u64 a; __u64 b;", {"written_by": "kernel"}, "aarch64", "warning"),
    ("__u32 a; __u64 b;", "__u64 a; __u64 b;", {"written_by": "userspace"}, "aarch64", "warning"),
    ("__u32 a; __u64 b;", "__u64 a; __u64 b;", {"written_by": "kernel"}, "aarch64_be", "breaks"),
    ("__u8 a[2]; __u32 b;", "__u8 a[4]; __u32 b;", {"written_by": "kernel"}, ARM64, "warning"),
    ("__u8 a[4]; __u32 b;", "__u8 a[2]; __u32 b;", {"written_by": "kernel"}, ARM64, "breaks"),
    ("__u32 a;", "__u32 a; __u32 b;", {"written_by": "kernel"}, ARM64, "breaks"),
    ("__u64 x; __u32 n; __u32 d[];", "__u64 x; __u32 n; __u32 d[1];", {"written_by": "kernel"},
     ARM64, "warning"),
    ("__u32 a; __u32 mbz[2];", "__u32 a; __u32 b; __u32 mbz;", {}, ARM64, "breaks"),
    ("__u32 a; __u32 mbz[2];", "__u32 a; __u32 b; __u32 mbz;", {"reserved": "mbz|x"}, ARM64,
     "warning"),
    ("__u32 a;", "__be32 a;", {"strict": True}, ARM64, "warning"),
    ("__u32 a;", "__u32 b;", {"strict": True}, ARM64, "warning"),
    ("__u32 a; __u64 b;", "__u32 a; __u32 pad; __u64 b;", {"strict": True}, ARM64, "note"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "policy", "abis", "worst"), POLICIES)
def test_a_policy(old: str, new: str, policy: dict[str, Any], abis: Any, worst: str) -> None:
    sides = [parse(f"struct s {{ {text} }};")["s"] for text in (old, new)]
    found = review(sides[0], sides[1], abis, Policy(**policy)).findings
    assert found[0].severity == worst
    if policy.get("written_by") and worst == "warning":
        assert any("needs a handshake: " in row.remedy for row in found)


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ({"written_by": "both"}, "written by 'both'; legal are 'kernel', 'userspace'"),
        ({"reserved": "("}, "reserved '\\(' is no regular expression: missing \\)"),
        ({"reserved": 3}, "reserved 3 is no regular expression"),
        ({"strict": "no"}, "strict 'no'; legal are False, True"),
        ({"reserved": b"x"}, "reserved b'x' is no regular expression"),
    ],
)
def test_a_policy_that_is_none(policy: dict[str, Any], words: str) -> None:
    with pytest.raises(KvmvizError, match=words):
        Policy(**policy)

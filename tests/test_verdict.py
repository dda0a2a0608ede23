"""What a reader gets from a writer, member by member, held against taint that is followed apart."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmviz import ABIS, Array, KvmvizError, Layout, Struct, compare, parse
from kvmviz.ctype import Type, scalar
from kvmviz.kvm.kernel import MERGED, OLD, WIDENED
from tests import strategies
from tests.compilers import ABI_NAMES
from tests.strategies import ORDER, Leaf, bits, steady

LITTLE = [abi for abi in ABI_NAMES if ORDER[abi] == "little"]
BIG = [abi for abi in ABI_NAMES if ORDER[abi] == "big"]
NO_HOLE = ("i386", "m68k")

# --- kvm_debug_exit_arch, all pairs ----------------------------------------------------------

STRUCTS = {"old": OLD, "widened": WIDENED, "high": MERGED}
PAIRS = [
    # writer, reader, fields on LE, fields on BE where they differ
    ("old", "old", {"hsr": "intact", "far": "intact"}, None),
    ("old", "widened", {"hsr": "unwritten", "far": "intact"}, None),
    ("old", "high", {"hsr": "intact", "hsr_high": "unwritten", "far": "intact"}, None),
    ("widened", "old", {"hsr": "intact", "far": "intact"}, {"hsr": "moved", "far": "intact"}),
    ("widened", "widened", {"hsr": "intact", "far": "intact"}, None),
    ("widened", "high", {"hsr": "intact", "hsr_high": "foreign", "far": "intact"},
     {"hsr": "moved", "hsr_high": "foreign", "far": "intact"}),
    ("high", "old", {"hsr": "intact", "far": "intact"}, None),
    ("high", "widened", {"hsr": "foreign", "far": "intact"}, None),
    ("high", "high", {"hsr": "intact", "hsr_high": "intact", "far": "intact"}, None),
]  # fmt: skip


@pytest.mark.parametrize(("writer", "reader", "little", "big"), PAIRS)
def test_every_pair_in_both_orders(
    writer: str, reader: str, little: dict[str, str], big: dict[str, str] | None
) -> None:
    for abi in ABI_NAMES:
        if abi in NO_HOLE:
            continue
        expected = little if ORDER[abi] == "little" else big or little
        verdict = compare(STRUCTS[writer].layout(abi), STRUCTS[reader].layout(abi))
        assert verdict.fields == expected
        assert verdict.breaks is (set(expected.values()) != {"intact"})
        assert not verdict.size_differs


@pytest.mark.parametrize(
    ("abi", "writer", "reader", "fields"),
    [
        ("i386", "old", "high", {"hsr": "intact", "hsr_high": "foreign", "far": "unwritten"}),
        ("m68k", "old", "high", {"hsr": "intact", "hsr_high": "foreign", "far": "unwritten"}),
        ("i386", "high", "old", {"hsr": "intact", "far": "foreign"}),
        ("m68k", "high", "old", {"hsr": "intact", "far": "foreign"}),
        ("i386", "widened", "old", {"hsr": "intact", "far": "foreign"}),
        ("m68k", "widened", "old", {"hsr": "moved", "far": "foreign"}),
    ],
)
def test_where_there_is_no_hole_hsr_high_is_not_free(
    abi: str, writer: str, reader: str, fields: dict[str, str]
) -> None:
    """The size differs there, so a size check sees it."""
    verdict = compare(STRUCTS[writer].layout(abi), STRUCTS[reader].layout(abi))
    assert verdict.fields == fields
    assert verdict.breaks
    assert verdict.size_differs


def test_the_witnesses_of_the_widening() -> None:
    verdict = compare(WIDENED.layout("aarch64_be"), OLD.layout("aarch64_be"))
    told = [
        (w.offset, w.status, w.wanted.label, w.found.label if w.found else None)
        for w in verdict.witnesses
        if w.wanted.slot.member == "hsr"
    ]
    assert told == [
        (0, "moved", "hsr[31:24]", "hsr[63:56]"),
        (1, "moved", "hsr[23:16]", "hsr[55:48]"),
        (2, "moved", "hsr[15:8]", "hsr[47:40]"),
        (3, "moved", "hsr[7:0]", "hsr[39:32]"),
    ]
    assert [w.offset for w in verdict.witnesses] == [0, 1, 2, 3, *range(8, 16)]
    assert {w.status for w in verdict.witnesses[4:]} == {"intact"}
    assert all(w.found == w.wanted for w in verdict.witnesses[4:])


def test_the_witnesses_of_a_hole_and_of_the_end() -> None:
    hole = compare(OLD.layout("aarch64"), MERGED.layout("aarch64"))
    told = [(w.offset, w.status, w.found) for w in hole.witnesses[4:8]]
    assert told == [(at, "unwritten", None) for at in (4, 5, 6, 7)]
    end = compare(OLD.layout("i386"), MERGED.layout("i386"))
    assert [w.offset for w in end.witnesses if w.found is None] == [12, 13, 14, 15]


def test_a_verdict_does_not_change() -> None:
    verdict = compare(OLD.layout("arm"), MERGED.layout("arm"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        verdict.writer = verdict.reader  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        verdict.witnesses[0].status = "intact"  # type: ignore[misc]


# --- one rule a row --------------------------------------------------------------------------

IN, OUT = Struct("", {"a": "u8", "b": "u32"}), Struct("", {"a": "u8", "c": "u32"})
RULES: list[Any] = [
    # writer, reader, fields for the same ABI, whatever its order
    ({"x": "u32"}, {"y": "u32"}, {"y": "foreign"}),  # renamed
    ({"x": "u32", "y": "u32"}, {"y": "u32", "x": "u32"}, {"y": "foreign", "x": "foreign"}),
    ({"x": "u32"}, {"x": "s32"}, {"x": "intact"}),  # signedness is not looked at
    ({"x": "u32"}, {"x": "unsigned int"}, {"x": "intact"}),  # nor is the type's name
    ({"x": "s8", "y": "u8"}, {"x": "u8", "y": "s8"}, {"x": "intact", "y": "intact"}),
    ({"x": "u32"}, {"x": "u32", "y": "u8"}, {"x": "intact", "y": "unwritten"}),  # longer reader
    ({"x": "u32", "y": "u8"}, {"x": "u32"}, {"x": "intact"}),  # longer writer
    ({"x": "u8", "y": "u16"}, {"x": "u8", "z": "u8", "y": "u16"},
     {"x": "intact", "z": "unwritten", "y": "intact"}),  # a hole, filled
    ({"d": "u8[4]"}, {"d": "u8[2]"}, {"d": "intact"}),
    ({"d": "u8[2]"}, {"d": "u8[4]"}, {"d": "unwritten"}),
    ({"d": "u16[2]", "e": "u16"}, {"d": "u16[3]"}, {"d": "foreign"}),
    ({"d": "u16[3]"}, {"d": "u16[2]", "e": "u16"}, {"d": "intact", "e": "foreign"}),
    ({"d": "u8[2][3]"}, {"d": "u8[3][3]"}, {"d": "unwritten"}),
    ({"d": "u8[3][3]"}, {"d": "u8[2][3]"}, {"d": "intact"}),
    ([("n", IN)], [("n", IN)], {"n": "intact"}),
    ([("n", IN)], [("n", OUT)], {"n": "foreign"}),  # n.b is not n.c
    ([("n", IN)], [("m", IN)], {"m": "foreign"}),
    ([("n", IN)], {"n": "u64"}, {"n": "unwritten"}),  # the hole in n counts for a u64
    ({"n": "u64"}, [("n", IN)], {"n": "foreign"}),
    ([("n", IN), ("z", "u8")], [("n", Struct("", {"a": "u8", "p": "u8[3]", "b": "u32"}))],
     {"n": "unwritten"}),
    ([("n", Struct("", {"a": "u8", "p": "u8[3]", "b": "u32"}))], [("n", IN)],
     {"n": "intact"}),  # the nested struct's own padding is not looked at
    ({"a": "u8", "b": "u32"}, [(None, IN)], {"a": "intact", "b": "intact"}),  # same names for C
    ([(None, IN)], {"a": "u8", "b": "u32"}, {"a": "intact", "b": "intact"}),
    ([(None, IN)], [("n", IN)], {"n": "foreign"}),
    ({"p": "u16", "d": "u16[4]"}, {"d": "u16[4]"}, {"d": "foreign"}),  # d[0] gets p
    # The same array, another element: other bits of the same member.
    ({"d": "u8[2][3]"}, {"d": "u8[3][2]"}, {"d": "moved"}),
    ({"d": "u8[4]"}, {"d": "u16[2]"}, {"d": "moved"}),
    ([("n", Array(IN, 2))], [("p", IN), ("n", IN)], {"p": "foreign", "n": "moved"}),
    # Worst first: unwritten, then foreign, then moved.
    ({"x": "u16", "y": "u8"}, {"y": "u32"}, {"y": "unwritten"}),  # foreign and unwritten
    ({"x": "u16", "y": "u16"}, {"x": "u32"}, {"x": "foreign"}),
    ({"x": "u8"}, {"x": "u16"}, {"x": "unwritten"}),
]  # fmt: skip


@pytest.mark.parametrize(("writer", "reader", "fields"), RULES)
def test_rules(writer: Any, reader: Any, fields: dict[str, str]) -> None:
    for abi in ("aarch64", "aarch64_be", "ppc64", "arm"):
        verdict = compare(Struct("s", writer).layout(abi), Struct("s", reader).layout(abi))
        assert verdict.fields == fields
        assert list(verdict.fields) == list(fields)


NUMBERS: list[Any] = [
    # writer, reader, fields on LE, on BE where they differ
    ({"a": "u8[2][4]"}, {"a": "u8[8]"}, {"a": "moved"}, None),
    ({"a": "u8[8]"}, {"a": "u8[2][4]"}, {"a": "moved"}, None),
    ({"a": "double"}, {"a": "float"}, {"a": "moved"}, None),
    ({"a": "float", "b": "u32"}, {"a": "double"}, {"a": "foreign"}, None),
    ({"a": "u64"}, {"a": "double"}, {"a": "moved"}, None),
    ({"a": "double"}, {"a": "s64"}, {"a": "moved"}, None),
    ({"a": "double"}, {"a": "double"}, {"a": "intact"}, None),
    ({"a": "float[3]"}, {"a": "float[2]"}, {"a": "intact"}, None),
    ({"a": "u64"}, {"a": "u32"}, {"a": "intact"}, {"a": "moved"}),
    ({"a": "u8"}, {"a": "bool"}, {"a": "intact"}, None),
]


@pytest.mark.parametrize(("writer", "reader", "little", "big"), NUMBERS)
def test_the_bits_of_a_number_are_those_of_an_integer_only(
    writer: Any, reader: Any, little: dict[str, str], big: dict[str, str] | None
) -> None:
    for abi, fields in (("riscv64", little), ("s390x", big or little)):
        verdict = compare(Struct("s", writer).layout(abi), Struct("s", reader).layout(abi))
        assert verdict.fields == fields


ELEMENT = Struct("", {"a": "u8", "b": "u32"})
FLEXIBLE: list[Any] = [
    # what the writer has behind a u64 and a u32, what the reader has, the reader's status of d
    (Array(scalar("u32"), 0), Array(scalar("u32"), 0), "intact"),
    (Array(scalar("u32"), 0), Array(scalar("s32"), 0), "intact"),
    (Array(scalar("u32"), 0), Array(scalar("float"), 0), "moved"),
    (Array(scalar("u32"), 0), Array(scalar("u16"), 0), "moved"),
    (Array(scalar("u32"), 0), Array(Array(scalar("u32"), 2), 0), "moved"),
    # An array of fixed length has the elements of a flexible one; the reverse is past sizeof.
    (Array(scalar("u32"), 3), Array(scalar("u32"), 0), "intact"),
    (Array(scalar("u32"), 0), Array(scalar("u32"), 3), "unwritten"),
    (scalar("u32"), Array(scalar("u32"), 0), "moved"),
    (Array(ELEMENT, 0), Array(Struct("", {"a": "u8", "z": "u8", "b": "u32"}), 0), "unwritten"),
    (Array(Struct("", {"a": "u8", "z": "u8", "b": "u32"}), 0), Array(ELEMENT, 0), "intact"),
    (Array(ELEMENT, 0), Array(Struct("", {"a": "u8", "c": "u32"}), 0), "foreign"),
]


@pytest.mark.parametrize(("writer", "reader", "status"), FLEXIBLE)
def test_flexible_arrays(writer: Any, reader: Any, status: str) -> None:
    sides = [Struct("s", [("x", "u64"), ("n", "u32"), ("d", kind)]) for kind in (writer, reader)]
    for abi in ("aarch64", "aarch64_be", "i386"):
        verdict = compare(*(side.layout(abi) for side in sides))
        assert verdict.fields == {"x": "intact", "n": "intact", "d": status}


def test_a_flexible_array_in_front_of_others_is_at_another_place() -> None:
    moved, gone = Struct("s", [("d", Array(scalar("u32"), 0))]), Struct("s", {"n": "u32"})
    reader = Struct("s", [("n", "u32"), ("d", Array(scalar("u32"), 0))]).layout("arm")
    assert compare(moved.layout("arm"), reader).fields["d"] == "moved"
    assert compare(gone.layout("arm"), reader).fields["d"] == "unwritten"


UNION = Struct("u", {"a": "u32", "b": "u8[4]"}, union=True)
UNIONS: list[Any] = [
    # writer, reader, fields on LE, on BE
    (UNION, UNION, {"a": "intact", "b": "intact"}, None),
    (UNION, Struct("u", {"b": "u8[4]"}), {"b": "intact"}, None),
    (UNION, Struct("u", {"c": "u32"}), {"c": "foreign"}, None),
    (Struct("u", {"a": "u32"}), UNION, {"a": "intact", "b": "foreign"}, None),
    (UNION, Struct("u", {"a": "u16"}), {"a": "intact"}, {"a": "moved"}),
    (Struct("u", {"a": "u16"}), UNION, {"a": "unwritten", "b": "unwritten"}, None),
    (Struct("u", {"a": "u8", "b": "u64"}, union=True), Struct("u", {"a": "u64"}),
     {"a": "foreign"}, {"a": "foreign"}),
]  # fmt: skip


@pytest.mark.parametrize(("writer", "reader", "little", "big"), UNIONS)
def test_unions(
    writer: Struct, reader: Struct, little: dict[str, str], big: dict[str, str] | None
) -> None:
    for abi, fields in (("aarch64", little), ("aarch64_be", big or little)):
        assert compare(writer.layout(abi), reader.layout(abi)).fields == fields


ACROSS: list[Any] = [
    # struct, writer's ABI, reader's ABI, fields
    (OLD, "aarch64", "x86_64", {"hsr": "intact", "far": "intact"}),
    (OLD, "aarch64", "aarch64_be", {"hsr": "moved", "far": "moved"}),
    (Struct("s", {"a": "u8", "b": "u16"}), "arm", "armeb", {"a": "intact", "b": "moved"}),
    (OLD, "i386", "x86_64", {"hsr": "intact", "far": "unwritten"}),
    (OLD, "x86_64", "i386", {"hsr": "intact", "far": "unwritten"}),
    (OLD, "s390x", "m68k", {"hsr": "intact", "far": "unwritten"}),
    (WIDENED, "i386", "x86_64", {"hsr": "intact", "far": "intact"}),
]


@pytest.mark.parametrize(("struct", "written", "read", "fields"), ACROSS)
def test_across_abis(struct: Struct, written: str, read: str, fields: dict[str, str]) -> None:
    assert compare(struct.layout(written), struct.layout(read)).fields == fields


# --- properties ------------------------------------------------------------------------------


@steady
@given(strategies.structs(), strategies.abis)
def test_nothing_breaks_against_itself(struct: Struct, abi: str) -> None:
    verdict = compare(struct.layout(abi), struct.layout(abi))
    assert not verdict.breaks
    assert set(verdict.fields) == set(struct.names())


Bit = tuple[Leaf, int]
"""A byte of a leaf by significance, 0 the least: what is to arrive where it was sent."""


def taint(writer: Struct, written: str, reader: Struct, read: str) -> dict[Bit, set[Bit]]:
    """For each byte of each leaf of the reader, what arrives there when the writer writes.

    Each leaf of the writer is written alone into memory of zeros, as a number whose bytes say
    how significant they are; the reader's numbers then say where they have got to.
    """
    size = max(strategies.extent(writer, written)[0], strategies.extent(reader, read)[0])
    wanted = list(strategies.leaves(reader, read))
    arrived: dict[Bit, set[Bit]] = {(v, i): set() for v in wanted for i in range(v.size)}
    for sent in strategies.leaves(writer, written):
        memory = bytearray(size)
        number = sum((i + 1) << 8 * i for i in range(sent.size))
        memory[sent.offset : sent.offset + sent.size] = number.to_bytes(sent.size, ORDER[written])
        for got in wanted:
            number = int.from_bytes(memory[got.offset : got.offset + got.size], ORDER[read])
            for i in range(got.size):
                if mark := number >> 8 * i & 0xFF:
                    arrived[got, i].add((sent, mark - 1))
    return arrived


def judged(writer: Struct, written: str, reader: Struct, read: str) -> dict[str, str]:
    """The verdict, worst byte first, out of what arrives."""
    found: dict[str, list[str]] = {}
    for (want, i), came in taint(writer, written, reader, read).items():
        if not came:
            status = "0 unwritten"
        elif (want.designator, i) in {(sent.designator, j) for sent, j in came}:
            status = "3 intact"
        else:
            same = want.member in {sent.member for sent, _ in came}
            status = "2 moved" if same else "1 foreign"
        found.setdefault(want.direct, []).append(status)
    return {member: min(seen)[2:] for member, seen in found.items()}


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Struct, str, Struct, str]:
    """A writer and a reader, akin or not, mostly on the same ABI."""
    writer = draw(strategies.structs(depth=1))
    reader = draw(st.one_of(strategies.changed(writer), strategies.structs(depth=1)))
    written = draw(strategies.abis)
    return writer, written, reader, draw(st.one_of(st.just(written), strategies.abis))


@steady
@given(pairs())
def test_the_verdict_is_where_taint_arrives(drawn: tuple[Struct, str, Struct, str]) -> None:
    writer, written, reader, read = drawn
    verdict = compare(writer.layout(written), reader.layout(read))
    expected = judged(writer, written, reader, read)
    assert verdict.fields == expected
    assert verdict.breaks == (set(expected.values()) != {"intact"})


def test_the_pairs_drawn_have_every_verdict_among_them() -> None:
    seen = {s for drawn in strategies.examples(pairs(), 200) for s in judged(*drawn).values()}
    assert seen == {"intact", "moved", "foreign", "unwritten"}


@steady
@given(pairs())
def test_wrong_is_what_is_not_intact_of_all_witnesses(
    drawn: tuple[Struct, str, Struct, str],
) -> None:
    """Found without a look at the bytes that both hold likewise."""
    writer, written, reader, read = drawn
    verdict = compare(writer.layout(written), reader.layout(read))
    assert verdict.wrong == tuple(w for w in verdict.witnesses if w.status != "intact")


def test_a_flexible_array_in_an_array_of_structs_has_a_place() -> None:
    one, other = (
        parse(f"struct s {{ struct {{ {text} }} x[2]; }};")["s"].layout("arm")
        for text in ("int a; short b[0];", "short b[0]; int a;")
    )
    assert compare(other, one).fields == {"x": "moved"}
    assert compare(one, one).fields == {"x": "intact"}


# --- limits ----------------------------------------------------------------------------------


def test_what_both_hold_likewise_costs_nothing() -> None:
    long, longer = (
        Struct("s", [("a", f"u8[{size}]")]).layout("arm") for size in (10**6, 10**6 + 1)
    )
    assert compare(longer, long).fields == {"a": "intact"}
    verdict = compare(long, longer)
    assert verdict.fields == {"a": "unwritten"}
    assert [w.offset for w in verdict.wrong] == [10**6]
    huge = Struct("s", [("e", Array(Struct("", {"a": "u8", "b": "u8"}), 1 << 17))]).layout("arm")
    assert compare(huge, huge).fields == {"e": "intact"}


def doubled(depth: int, members: Any) -> Struct:
    """Two in each, so that the innermost is there on twice as many paths at each depth."""
    made = Struct("s", members)
    for _ in range(depth):
        made = Struct("s", {"a": made, "b": made}, union=True)
    return made


@pytest.mark.parametrize("members", [{"x": "u8"}, {"x": "u8", "y": "u16"}])
def test_what_lies_on_many_paths_is_looked_at_once(members: Any) -> None:
    one, same = (doubled(60, members) for _ in range(2))
    assert one == same
    assert one != doubled(60, {"x": "s8"})
    verdict = compare(one.layout("arm"), same.layout("arm"))
    assert verdict.fields == {"a": "intact", "b": "intact"}
    assert "every member is intact" in repr(verdict)
    beside = Struct("s", [("deep", one), ("d", Array(scalar("u8"), 0))]).layout("arm")
    assert compare(beside, beside).fields == {"deep": "intact", "d": "intact"}
    with pytest.raises(KvmvizError, match="more than 8192 leaves"):
        compare(one.layout("arm"), one.layout("armeb"))


DATA: Mapping[str, Type | str] = {"n": "u8", "d": Array(scalar("u8"), 0)}
PAIR = Struct("", {"a": "u8", "b": "u8"})
SWAPPED = Struct("", {"b": "u8", "a": "u8"})
MANY = [f"m{n}" for n in range(2000)]
TOO_MUCH: list[Any] = [
    (Struct("s", {"a": "u8[1000000]"}), Struct("s", {"a": "u16[500000]"}),
     "struct s has 1000000 bytes to be judged one by one; compare judges up to 65536"),
    (Struct("s", [("e", Array(PAIR, 1 << 13))]), Struct("s", [("e", Array(SWAPPED, 1 << 13))]),
     "struct s has more than 8192 leaves"),
    (Struct("s", dict.fromkeys(MANY, "u32"), union=True),
     Struct("s", dict.fromkeys((f"{name}_" for name in MANY), "u32"), union=True),
     "union s holds 16000000 members' bytes where union s has others"),
    (doubled(14, DATA), doubled(14, DATA), "union s has more than 8192 flexible array members"),
]  # fmt: skip


@pytest.mark.parametrize(("writer", "reader", "words"), TOO_MUCH)
def test_what_is_too_much_is_said(writer: Struct, reader: Struct, words: str) -> None:
    with pytest.raises(KvmvizError, match=re.escape(words)):
        _ = compare(writer.layout("s390x"), reader.layout("s390x")).fields


# --- errors ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong", [OLD, "old", None, OLD.layout("arm").dtype, ABIS["arm"]], ids=type
)
def test_compare_takes_layouts(wrong: Any) -> None:
    layout: Layout = OLD.layout("arm")
    for pair in ((wrong, layout), (layout, wrong)):
        with pytest.raises(KvmvizError, match=r"(?s)two layouts.*layout\(abi\)"):
            compare(*pair)


# --- in words ---------------------------------------------------------------------------------

VERDICTS = [
    # written, read, and what the reader's verdict says of d
    ("__u32 n; __u32 d[];", "__u64 n; __u32 d[];", "moved",
     "the elements are written from offset 4 on, not 8"),
    ("__u32 n; __u16 d[];", "__u32 n; __u32 d[];", "moved",
     "the elements are written with 2 bytes each, not 4"),
    ("__u32 n; __u32 d;", "__u32 n; __u32 d[];", "moved", "d is written as __u32, not as an array"),
    ("__u32 n;", "__u32 n; __u32 d[];", "unwritten", "no d is written"),
    ("__u32 n; float d[];", "__u32 n; __u32 d[];", "moved",
     "of each element, bytes 0..3 hold element[31:0]"),
    ("__u32 n; __u32 d[];", "__u32 n; __u32 d[1];", "unwritten", "bytes 4..7: never written"),
    ("__u8 d : 4;", "__u8 d;", "unwritten", "byte 0: not every bit written"),
    ("__u8 n; __u8 d : 4;", "__u8 n; __u16 d;", "unwritten", "bytes 2..3: never written"),
]  # fmt: skip


@pytest.mark.parametrize(("written", "read", "status", "words"), VERDICTS)
def test_a_verdict_says_what_became_of_a_member(
    written: str, read: str, status: str, words: str
) -> None:
    writer, reader = (parse(f"struct s {{ {text} }};")["s"] for text in (written, read))
    verdict = compare(writer.layout("s390x"), reader.layout("s390x"))
    assert verdict.fields["d"] == status
    assert verdict.breaks
    (line,) = re.findall(rf"^  d +{status} +(.*)$", repr(verdict), re.MULTILINE)
    assert line == words


def test_a_verdict_on_no_member_has_no_line_of_them() -> None:
    empty = Struct("e", [], empty=True).layout("arm")
    head = "struct e, written and read on arm (little-endian): every member is intact"
    assert repr(compare(empty, empty)) == f"{head}\n  sizeof 0 written, 0 read"


def test_a_verdict_across_byte_orders_says_so() -> None:
    struct = parse("struct s { __u32 a; __u16 b[2]; __u8 c; };")["s"]
    verdict = compare(struct.layout("aarch64"), struct.layout("aarch64_be"))
    assert verdict.fields == {"a": "moved", "b": "moved", "c": "intact"}
    assert "  a  moved   bytes 0..3 hold the bytes of a in opposite order\n" in repr(verdict)
    assert "  b  moved   bytes 4..7 hold the bytes of b in opposite order\n" in repr(verdict)


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


def test_an_array_of_another_shape_is_judged_element_by_element() -> None:
    writer, reader = (
        Struct("s", {"d": f"u8[{a}][{b}]"}).layout("arm") for a, b in ((2, 3), (3, 2))
    )
    found = [witness.status for witness in compare(writer, reader).witnesses]
    assert found == ["intact"] * 2 + ["moved"] * 4  # d[0][0] and d[0][1] stay, d[1][0] was third


@pytest.mark.parametrize(
    ("written", "read", "status"),
    [("x86_64", "aarch64", "moved"), ("riscv64", "aarch64", "intact"), ("arm", "mipsel", "intact")],
)
def test_a_long_double_is_the_same_in_one_format_only(written: str, read: str, status: str) -> None:
    # 80 bits of x87 in 16 bytes are no IEEE number of 128 bits.
    struct = Struct("s", {"d": "long double"})
    assert compare(struct.layout(written), struct.layout(read)).fields == {"d": status}

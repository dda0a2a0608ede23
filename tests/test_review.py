"""A change to a struct, judged in both directions on every ABI; held against compilers' bytes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmviz import ABIS, Array, KvmvizError, Member, Struct, compare, parse
from kvmviz.abi import Abi
from kvmviz.ctype import Type
from kvmviz.kvm import OLD, WIDENED, WITH_HIGH
from kvmviz.review import Review, review, review_all
from kvmviz.review.report import MOST, WIDTH, ground
from kvmviz.scalar import scalar
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
    ("__u64 a;", "double a;", {("retyped", "a"): "warning"}),
    ("__u32 a; __u8 b[4];", "__u32 a; __u8 b[2];",
     {("array-length", "b"): "breaks", ("size-unseen", ""): "note"}),
    ("__u32 a; __u8 b[2];", "__u32 a; __u8 b[4];",
     {("array-length", "b"): "breaks", ("size-unseen", ""): "note"}),
    ("__u8 b[2][3];", "__u8 b[3][2];",
     {("moved", "b"): "breaks", ("size-unseen", ""): "note"}),
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
     {("moved", "d"): "breaks", ("appended", "k"): "warning", ("size", ""): "breaks"}),
    ("__u32 n; __u8 k; __u8 d[];", "__u32 n; __u8 k; __u8 l; __u8 d[];",
     {("moved", "d"): "breaks", ("added-in-hole", "l"): "warning", ("size-unseen", ""): "note"}),
    ("__u32 n;", "__u32 n; __u32 d[];", {("appended", "d"): "warning"}),
    ("__u8 a; __u32 b;", "__u8 a; __u32 b; __u8 n;",
     {("appended", "n"): "warning", ("size", ""): "breaks", ("new-hole", ""): "note"}),
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
     "added in the hole after a in i[0], byte 1"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "member", "part"), WORDS)
def test_words(old: str, new: str, member: str, part: str) -> None:
    rows = [row for row in change(old, new).findings if row.member == member]
    assert any(part in f"{row.change} | {row.effect} | {row.remedy}" for row in rows), rows


def test_a_wider_member_is_sent_behind_the_last_where_no_hole_takes_it() -> None:
    (row,) = (r for r in change("__u16 a; __u8 b; __u8 c;", "__u32 a; __u8 b; __u8 c;").findings
              if r.member == "a" and r.abis == ("aarch64",))  # fmt: skip
    assert row.remedy.endswith("no hole takes it, so it goes behind the last member")


def test_verdict_has_findings_of_its_own_direction() -> None:
    verdict = compare(WIDENED.layout("aarch64_be"), OLD.layout("aarch64_be"))
    (row,) = verdict.findings
    assert (row.member, row.severity) == ("hsr", "breaks")
    assert row.change == "from writer to reader: narrowed from 64 to 32 bits"
    assert row.effect == "hsr[63:32] in bytes 0..3"
    (flag,) = compare(OLD.layout("arm"), WITH_HIGH.layout("arm")).findings
    assert (flag.member, flag.severity) == ("hsr_high", "warning")
    assert flag.remedy == "needs a validity flag: this writer never writes bytes 4..7"
    assert compare(WITH_HIGH.layout("arm"), OLD.layout("arm")).findings == ()


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
        (HERE, THERE, "warning", "gone: not there after"),
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
    assert not found.breaks
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
        "unchanged: struct b\n\nonly in the new header: d\n\nonly in the old header: a"
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
    return old, draw(strategies.changed(old)), draw(strategies.abis)


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

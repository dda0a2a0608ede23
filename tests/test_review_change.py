"""What differs between two layouts of one struct, held against a model and compilers."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmviz import ABIS, Array, Member, Struct, parse
from kvmviz.ctype import Type, scalar
from kvmviz.kvm.kernel import MERGED, OLD
from kvmviz.review import review
from kvmviz.review.change import Pair, enclosing
from tests import compilers, strategies
from tests.compilers import ABI_NAMES
from tests.strategies import c_init, c_text, steady
from tests.test_review_finding import change
from tests.test_verdict import judged, taint


def test_directions() -> None:
    (row,) = review(OLD, MERGED, "aarch64_be").rows
    assert row.abi is ABIS["aarch64_be"]
    assert row.forward.writer.struct == MERGED
    assert row.forward.fields == {"hsr": "intact", "far": "intact"}
    assert row.backward.fields == {"hsr": "intact", "hsr_high": "unwritten", "far": "intact"}


def pair(old: str, new: str, abi: str = "aarch64") -> Pair:
    """Both layouts of the only struct of two C texts, given as members."""
    before, after = (parse(f"struct s {{ {text} }};")["s"].layout(abi) for text in (old, new))
    return Pair(before, after)


CHANGES = [
    # old, new, and each change: its name, then w for wider, m for moved, + for new, - for gone
    ("__u32 a; __u64 b;", "__u64 a; __u64 b;", "a w"),
    ("__u32 a; __u32 b;", "__u32 b; __u32 a;", "b m, a m"),
    ("__u8 a; __u32 b;", "__u8 a; __u8 n; __u32 b;", "n +"),
    ("__u32 a; __u32 b;", "__u32 a;", "b -"),
    ("struct { __u8 a; __u32 b; } in;", "struct { __u8 a; __u32 b; } other;", "other +, in -"),
    ("__u64 p; struct { __u8 a; __u32 b; } in;", "struct { __u8 a; __u32 b; } in; __u64 p;",
     "in m, p m"),
    ("struct { __u32 a; } in;", "struct { __u64 a; } in;", "in.a w"),
    # Padding, here and there, is no member.
    ("__u32 a; __u64 b;", "__u32 a; union { struct { __u32 c; }; __u32 d; }; __u64 b;", "c +, d +"),
    ("__u64 a; __u32 b;", "__u64 a; __u32 b; union { struct { __u32 c; }; __u32 d; };",
     "c +, d +"),
    ("__u8 a:3; __u32 b;", "__u8 a:3; union { __u8 c:5; }; __u32 b;", "c +"),
    ("__u32 a; __u64 b;", "__u32 a; int :5; __u64 b;", ""),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "told"), CHANGES)
def test_what_changed(old: str, new: str, told: str) -> None:
    rows = [
        f"{c.name} {'+' if not c.old else '-' if not c.new else 'm' if c.moves else 'w'}"
        for c in pair(old, new).changes
    ]
    assert ", ".join(rows) == told


HOLES = [
    # old, new, and where the further bits of what is wider go
    ("__u32 a; __u64 b;", "__u64 a; __u64 b;", "the hole after a (bytes 4..7) takes it"),
    ("__u32 a; __u64 b; __u32 c; __u64 d;", "__u32 a; __u64 b; __u64 c; __u64 d;",
     "the hole after c (bytes 20..23) takes it"),
    ("__u32 a; __u32 b;", "__u64 a; __u32 b;", ", in a hole or behind the last member"),
    # The same change fills it.
    ("__u8 a; __u64 b;", "__u16 a; __u8 z; __u64 b;", ", in a hole or behind the last member"),
    ("struct { __u8 a; __u32 b; } in;", "struct { __u16 a; __u32 b; } in;",
     ", in a hole or behind the last member"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "words"), HOLES)
def test_where_the_further_bits_go(old: str, new: str, words: str) -> None:
    row = next(row for row in change(old, new).findings if row.kind == "widened")
    assert words in row.remedy


@pytest.mark.parametrize(
    ("old", "new", "offsets"),
    [
        ("__u8 a; __u32 b;", "__u8 a; __u32 b; __u8 c;", [9]),
        ("__u8 a; __u32 b;", "__u8 a; __u64 b;", []),  # there was one after a before
        ("__u8 a; __u8 b;", "__u8 a:3; __u8 b;", []),  # not in whole bytes
        ("__u32 a;", "__u32 a:3;", [1]),
        # What lies behind the start of a flexible array is its elements'.
        ("__u64 x; __u32 n; __u32 k; __u8 d[];", "__u64 x; __u32 n; __u8 d[];", []),
        ("__u64 x; __u32 n; __u32 k;", "__u64 x; __u32 n;", [12]),
    ],
)
def test_new_holes(old: str, new: str, offsets: list[int]) -> None:
    rows = (row for row in change(old, new, "aarch64").findings if row.kind == "new-hole")
    told = "; ".join(row.change for row in rows)
    assert [int(number) for number in re.findall(r"bytes? (\d+)", told)] == offsets


HOMES = [
    # members, a path, and the structs around it: depth, path, u for a union
    ("__u32 a;", "a", "0 "),
    ("struct { __u8 a; } in;", "in.a", "0 , 1 in"),
    ("struct { __u8 a; } in;", "in", "0 "),
    ("union { __u8 a; struct { __u8 b; }; };", "b", "0 , 1 u, 2 "),
    ("struct { union { __u8 a; } x[2]; } in;", "in.x.a", "0 , 1 in, 2 in.xu"),
]


@pytest.mark.parametrize(("members", "path", "told"), HOMES)
def test_the_structs_around_a_member(members: str, path: str, told: str) -> None:
    found = enclosing(parse(f"struct s {{ {members} }};")["s"].layout("arm"))[path]
    assert ", ".join(f"{h.depth} {h.path}{'u' * h.is_union}" for h in found) == told


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

"""Random C types and values, and a plain model of what a compiler makes of them.

The model is arithmetic of its own: it takes offsets from the rule that the ABIs state and bytes
from ``int.to_bytes``. tests/test_layout.py holds it, and kvmviz, against real compilers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from random import Random
from typing import Any, Literal, TypeVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from kvmviz import KvmvizError
from kvmviz.c.conditional import Conditional
from kvmviz.ctype import SCALARS, Array, Member, Scalar, Struct, Type, scalar
from tests.compilers import ABI_NAMES

T = TypeVar("T")

BIG = {"aarch64_be", "armeb", "ppc64", "ppc32", "s390x", "m68k", "mips"}
ORDER: Mapping[str, Literal["little", "big"]] = {
    abi: "big" if abi in BIG else "little" for abi in ABI_NAMES
}
WIDEST = {"i386": 4, "m68k": 2}
"""To how many bytes an ABI aligns a u64, where that is not 8."""

steady = settings(derandomize=True, deadline=None, database=None)
"""The same examples in every run: what fails was broken by a change."""

abis = st.sampled_from(ABI_NAMES)

SHAPES: tuple[tuple[int, ...], ...] = ((1,), (2,), (3,), (5,), (2, 3), (3, 1, 2))
SCALAR: tuple[tuple[int, ...], ...] = ((),)
SMALL_SHAPES: tuple[tuple[int, ...], ...] = ((), (1,), (2,), (2, 2))
FIXED = {
    name: kind
    for name, kind in SCALARS.items()
    if kind.kind == "integer" and kind.bits in (8, 16, 32, 64) and kind.signed is not None
    if not (kind.order or kind.align)
}
"""The integers that are the same on every ABI, but for the order of their bytes."""

WORDS = st.sampled_from(
    ["u8", "u16", "u32", "u64", "s8", "s32", "s64", *(name for name in FIXED if len(name) > 3)]
)


def scalars() -> st.SearchStrategy[Scalar]:
    """Integer types of fixed width, under every name that C has for them."""
    return WORDS.map(SCALARS.__getitem__)


@st.composite
def structs(draw: st.DrawFn, *, unions: bool = True, depth: int = 2, tag: str = "s") -> Struct:
    """Structs of scalars, arrays, nested and anonymous structs; unless told not to, unions too.

    Members are called m0, m1, ... in order of declaration, anew in every named struct; nested
    ones have no tag.
    """
    union = unions and draw(st.sampled_from((False, False, False, True)))
    return _struct(draw, tag, union, unions, depth, (f"m{n}" for n in count()))


def _struct(
    draw: st.DrawFn, tag: str, union: bool, unions: bool, depth: int, names: Iterator[str]
) -> Struct:
    members: list[Member] = []
    for _ in range(draw(st.integers(1, 4))):
        form = draw(st.sampled_from(("scalar", "scalar", "array", "nested", "anonymous")))
        if not depth or form in ("scalar", "array"):
            kind: Type = draw(scalars())
            shapes = SHAPES if form == "array" else SCALAR
        else:
            inside = names if form == "anonymous" else (f"m{n}" for n in count())
            either = unions and draw(st.booleans())
            kind = _struct(draw, "", either, unions, depth - 1, inside)
            shapes = SMALL_SHAPES if form == "nested" else SCALAR
        for size in reversed(draw(st.sampled_from(shapes))):
            kind = Array(kind, size)
        nameless = form == "anonymous" and isinstance(kind, Struct)
        members.append(Member(None if nameless else next(names), kind))
    return Struct(tag, members, union=union)


@st.composite
def values(draw: st.DrawFn, struct: Struct, *, partial: bool = False) -> dict[str, Any]:
    """Values for all members of a struct; for some, and some elements, if ``partial``.

    Of a union's members one has a value.
    """
    found: dict[str, Any] = {}
    for member in [draw(st.sampled_from(struct.members))] if struct.union else struct.members:
        if partial and draw(st.booleans()):
            continue
        if member.name is None:
            assert isinstance(member.type, Struct)
            found |= draw(values(member.type, partial=partial))
        else:
            found[member.name] = _value(draw, member.type, partial)
    return found


def _value(draw: st.DrawFn, kind: Type, partial: bool) -> Any:
    if isinstance(kind, Array):
        items = [_value(draw, kind.element, partial) for _ in range(kind.count)]
        if partial and draw(st.booleans()):
            return {i: item for i, item in enumerate(items) if draw(st.booleans())}
        return items
    if isinstance(kind, Struct):
        return draw(values(kind, partial=partial))
    half = 1 << kind.bits - 1
    return draw(st.integers(-half, half - 1) if kind.signed else st.integers(0, 2 * half - 1))


@st.composite
def filled(
    draw: st.DrawFn, *, unions: bool = True, partial: bool = False
) -> tuple[Struct, dict[str, Any]]:
    """A struct and values for it."""
    struct = draw(structs(unions=unions))
    return struct, draw(values(struct, partial=partial))


@st.composite
def changed(draw: st.DrawFn, struct: Struct) -> Struct:
    """The struct after some edits of its direct members: the other side of a comparison."""
    members = list(struct.members)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(members) - 1))
        edit = draw(st.sampled_from(("retype", "insert", "drop", "swap", "rename", "lengthen")))
        name, kind = members[at].name, members[at].type
        if edit == "retype" and name and isinstance(kind, Scalar):
            members[at] = Member(name, draw(scalars()))
        elif edit == "insert":
            members.insert(at, Member(f"new{len(members)}", draw(scalars())))
        elif edit == "drop" and len(members) > 1:
            del members[at]
        elif edit == "swap":
            members[at], members[0] = members[0], members[at]
        elif edit == "rename" and name:
            members[at] = Member(f"other_{name}", kind)
        elif edit == "lengthen" and isinstance(kind, Array):
            members[at] = Member(name, Array(kind.element, draw(st.integers(1, 4))))
    return Struct(struct.tag, members, union=struct.union)


ODD = (
    "__u8", "__u16", "__u32", "__u64", "__s32", "__be32", "__le64", "long", "void *", "float",
    "double", "_Bool", "char", "int",
)  # fmt: skip


def odd_struct(random: Random, depth: int, names: Iterator[str], *, top: bool = False) -> Struct:
    """Any struct that the package can hold: bit-fields, attributes, flexible arrays, all of it."""
    members: list[Member] = []
    union = random.random() < 0.3
    for _ in range(random.randint(1, 5)):
        form = random.choice(("scalar", "scalar", "bits", "unnamed", *("nested",) * 2 * depth))
        if form == "unnamed":
            kind = SCALARS[random.choice(("__u8", "__u32"))]
            members.append(Member(None, kind, bits=random.choice((0, 1, 3, 7))))
        elif form == "bits":
            kind = SCALARS[random.choice(("__u8", "__u32", "int", "__u64"))]
            members.append(Member(next(names), kind, bits=random.randint(1, 8)))
        elif form == "nested" and random.random() < 0.4:
            members.append(Member(None, odd_struct(random, depth - 1, names)))
        else:
            inside = (f"i{n}" for n in count())
            made: Type = scalar(random.choice(ODD))
            made = odd_struct(random, depth - 1, inside) if form == "nested" else made
            for _ in range(random.choice((0, 0, 0, 1, 2))):
                made = Array(made, random.randint(1, 3))
            members.append(Member(next(names), made, align=random.choice((0, 0, 0, 0, 8, 16))))
    if top and not union and random.random() < 0.3:
        inside = (f"i{n}" for n in count())
        members.append(Member(next(names), Array(odd_struct(random, 0, inside), 0)))
    packed, align = random.random() < 0.15, random.choice((0, 0, 0, 8))
    return Struct("s" if top else "", members, union=union, packed=packed, align=align)


def odd_pair(random: Random) -> tuple[Struct, Struct]:
    """Such a struct, and another: of the same names, or what an edit makes of it."""
    while True:
        try:
            old = odd_struct(random, random.choice((0, 1, 2)), (f"m{n}" for n in count()), top=True)
            edit = random.choice((_odd_edit, _odd_edit, _fill_hole, None))
            if edit is None:
                names = [f"m{n}" for n in range(200)]
                names[:8] = random.sample(names[:8], 8)
                return old, odd_struct(random, random.choice((0, 1, 2)), iter(names), top=True)
            return old, edit(random, old)
        except KvmvizError:
            continue


def _odd_edit(random: Random, struct: Struct) -> Struct:
    members = list(struct.members)
    for number in range(random.randint(1, 3)):
        at = random.randrange(len(members))
        row, new = members[at], f"n{number}_{random.randint(0, 999)}"
        edit = random.choice(("insert", "drop", "swap", "rename", "retype", "inside", "wrap"))
        if edit == "insert":
            inside = (f"{new}_{n}" for n in count())
            nested = random.random() < 0.5
            kind: Type = odd_struct(random, 1, inside) if nested else scalar(random.choice(ODD))
            members.insert(at, Member(None if nested and random.random() < 0.5 else new, kind))
        elif edit == "drop" and len(members) > 1:
            del members[at]
        elif edit == "swap":
            members[at], members[0] = members[0], members[at]
        elif edit == "rename" and row.name:
            members[at] = Member(new, row.type, bits=row.bits)
        elif edit == "retype" and row.name:
            members[at] = Member(row.name, scalar(random.choice(ODD)))
        elif edit == "inside" and isinstance(row.type, Struct):
            members[at] = Member(row.name, _odd_edit(random, row.type))
        elif edit == "wrap" and row.name:
            beside = Member(new, scalar(random.choice(ODD)))
            wrapped = Struct("", [row, beside], union=random.random() < 0.7)
            members[at] = Member(None, wrapped)
    return replace(struct, members=tuple(members))


def by_abi(random: Random, struct: Struct) -> Conditional:
    """The struct on some ABIs; on others a member has an anonymous struct or union around it."""
    rows = list(struct.members)
    at = random.randrange(len(rows))
    # Reserved now and then: of such a member it matters what it lies in.
    name = rows[at].name and random.choice((rows[at].name, "rsvd"))
    rows[at] = replace(rows[at], name=name)
    plain = replace(struct, members=tuple(rows))
    if rows[at].bits != 0 and 0 not in rows[at].type.shape:
        rows[at] = Member(None, Struct("", rows[at : at + 1], union=random.random() < 0.6))
    around = replace(struct, members=tuple(rows))
    return Conditional("s", {abi: random.choice((plain, around)) for abi in ABI_NAMES})


def _fill_hole(random: Random, struct: Struct) -> Struct:
    """A union of just the bytes of a hole, or of the tail padding, put where that is."""
    holes = [s for s in struct.layout(random.choice(ABI_NAMES)).holes if s.extent % 8 == 0]
    if not holes:
        return _odd_edit(random, struct)
    hole = random.choice(holes)
    number = {1: "__u8", 2: "__u16", 4: "__u32", 8: "__u64"}.get(hole.size)
    kind: Type = scalar(number) if number else Array(SCALARS["__u8"], hole.size)
    union = Struct("", [(None, Struct("", {"f0": kind})), ("f1", kind)], union=True)
    members = list(struct.members)
    before = hole.path.rpartition(" after ")[2].partition(".")[0]
    at = next((n for n, row in enumerate(members, 1) if row.name == before), len(members))
    members.insert(at, Member(random.choice((None, "filled")), union))
    return replace(struct, members=tuple(members))


def examples(strategy: st.SearchStrategy[T], number: int) -> list[T]:
    """That many draws, the same in every run: for an oracle that answers many questions at once."""
    found: list[T] = []

    @settings(
        steady,
        max_examples=number,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(drawn: T) -> None:
        found.append(drawn)

    run: Callable[[], None] = collect
    run()
    return found


# --- as C ------------------------------------------------------------------------------------


def c_text(struct: Struct, tag: str | None = None) -> str:
    """The definition as C writes it, with no semicolon after it."""
    word = "union" if struct.union else "struct"
    body = " ".join(_c_member(member) for member in struct.members)
    asked = _c_attributes(struct.packed, struct.align)
    return f"{word} {struct.tag if tag is None else tag} {{ {body} }}{asked}"


def _c_member(member: Member) -> str:
    kind, counts = member.type, ""
    while isinstance(kind, Array):
        counts += f"[{kind.count}]"
        kind = kind.element
    base = c_text(kind) if isinstance(kind, Struct) else kind.name
    bits = "" if member.bits is None else f" : {member.bits}"
    asked = _c_attributes(member.packed, member.align)
    return f"{base} {member.name or ''}{counts}{bits}{asked};"


def _c_attributes(packed: bool, align: int) -> str:
    words = [*(["packed"] if packed else []), *([f"aligned({align})"] if align else [])]
    return f" __attribute__(({', '.join(words)}))" if words else ""


def c_init(value: Any) -> str:
    """An initialiser with designators."""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'.{name} = {c_init(item)}' for name, item in value.items())} }}"
    if isinstance(value, list):
        return f"{{ {', '.join(map(c_init, value))} }}"
    if isinstance(value, float):
        return repr(value)
    return f"{value}ull" if value >= 0 else f"({value + 1}ll - 1)"


# --- the model -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Leaf:
    """One integer in a struct, array elements each on their own, as C designates it."""

    designator: str
    offset: int
    size: int
    signed: bool

    @property
    def direct(self) -> str:
        """The struct's own member that it belongs to."""
        return re.split(r"[.\[]", self.designator, maxsplit=1)[0]

    @property
    def member(self) -> str:
        """Its member, whichever element it is of an array."""
        return re.sub(r"\[\d+\]", "", self.designator)


def extent(kind: Type, abi: str) -> tuple[int, int]:
    """Size and alignment of a type, in bytes."""
    if isinstance(kind, Scalar):
        return kind.bits // 8, min(kind.bits // 8, WIDEST.get(abi, 8))
    if isinstance(kind, Array):
        size, align = extent(kind.element, abi)
        return size * kind.count, align
    extents = [extent(member.type, abi) for member in kind.members]
    align = max(align for _, align in extents)
    end = max(at + size for (_, at), (size, _) in zip(placed(kind, abi), extents, strict=True))
    return end + -end % align, align


def placed(struct: Struct, abi: str) -> Iterator[tuple[Member, int]]:
    """Direct members with their offsets."""
    end = 0
    for member in struct.members:
        size, align = extent(member.type, abi)
        at = 0 if struct.union else end + -end % align
        yield member, at
        end = at + size


def leaves(kind: Type, abi: str, designator: str = "", offset: int = 0) -> Iterator[Leaf]:
    """Every integer in a type, in order of declaration."""
    if isinstance(kind, Struct):
        for member, at in placed(kind, abi):
            dot = "." if designator and member.name else ""
            yield from leaves(
                member.type, abi, f"{designator}{dot}{member.name or ''}", offset + at
            )
    elif isinstance(kind, Array):
        step, _ = extent(kind.element, abi)
        for i in range(kind.count):
            yield from leaves(kind.element, abi, f"{designator}[{i}]", offset + i * step)
    else:
        yield Leaf(designator, offset, kind.bits // 8, bool(kind.signed))


def flat(value: Any, designator: str = "") -> dict[str, int]:
    """Values by designator: ``{"a": {"b": [1, 2]}}`` is ``a.b[0]`` and ``a.b[1]``."""
    if isinstance(value, Mapping):
        parts = [flat(item, _inside(designator, key)) for key, item in value.items()]
    elif isinstance(value, list):
        parts = [flat(item, _inside(designator, i)) for i, item in enumerate(value)]
    else:
        return {designator: value}
    return {key: item for part in parts for key, item in part.items()}


def _inside(designator: str, key: str | int) -> str:
    if isinstance(key, int):
        return f"{designator}[{key}]"
    return f"{designator}.{key}" if designator else key


def stored(struct: Struct, abi: str, assigned: Mapping[str, Any], held: bytes) -> bytes:
    """The struct's bytes once ``assigned`` is written where the memory held ``held``."""
    memory, numbers = bytearray(held), flat(assigned)
    for leaf in leaves(struct, abi):
        if leaf.designator in numbers:
            value = numbers[leaf.designator].to_bytes(leaf.size, ORDER[abi], signed=leaf.signed)
            memory[leaf.offset : leaf.offset + leaf.size] = value
    return bytes(memory)


def bits(*widths: int, kind: str = "u32", **attributes: Any) -> Struct:
    members = [
        Member(name, SCALARS[kind], width, **attributes)
        for name, width in zip("abcdef", widths, strict=False)
    ]
    return Struct("s", members)


def nested(members: Mapping[str, str]) -> Struct:
    return Struct("", members)


ANONYMOUS = Struct(
    "s",
    [
        ("kind", "u8"),
        (None, Struct("", [("whole", "u64"), (None, nested({"low": "u32", "high": "u32"}))],
                      union=True)),
        ("last", "u16"),
    ],
)  # fmt: skip

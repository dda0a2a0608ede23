"""Layouts and bytes of random structs of every kind, against real compilers.

Bit-fields, ``packed``, ``aligned``, ``#pragma pack``, unions, nesting, arrays, ``long``, pointers
and floating point; on every ABI that a compiler is there for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count as counting
from random import Random
from typing import Any

from hypothesis import strategies as st

from kvmviz.ctype import POINTER, SCALARS, Array, Member, Struct, Type
from tests import compilers, strategies, uapi

INTEGERS = ("u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64")
OTHERS = ("unsigned long", "long", "char", "float", "double", "_Bool")
ALIGNMENTS = (*[0] * 12, 1, 2, 4, 8, 16)
BATCH = 400


@dataclass(frozen=True)
class Wild:
    """A struct, and values for its members as C initialises them."""

    struct: Struct
    values: dict[str, Any]


def wild(random: Random) -> Wild:
    """A struct of every kind, and values for it."""
    pack = random.choice((1, 2, 4, 8)) if random.random() < 0.12 else 0
    struct = _struct(random, 2, (f"m{n}" for n in counting()), pack)
    return Wild(struct, _values(random, struct))


wilds = st.randoms(use_true_random=False).map(wild)
"""The same as a strategy."""


def _struct(random: Random, depth: int, names: Iterator[str], pack: int) -> Struct:
    members = [_member(random, depth, names, pack) for _ in range(random.randint(1, 5))]
    if not any(member.name or isinstance(member.type, Struct) for member in members):
        members.append(Member(next(names), SCALARS["u8"]))
    return Struct(
        "",
        members,
        union=random.random() < 0.15,
        packed=random.random() < 0.12,
        align=random.choice((*[0] * 9, 2, 4, 8, 16)),
        pack=pack,
    )


def _member(random: Random, depth: int, names: Iterator[str], pack: int) -> Member:
    form, packed = random.random(), random.random() < 0.08
    align = random.choice(ALIGNMENTS)
    if form < 0.4:
        kind = SCALARS[random.choice(INTEGERS)]
        bits = 0 if random.random() < 0.15 else random.randint(1, kind.bits)
        if not bits or random.random() < 0.1:
            return Member(None, kind, bits)
        # gcc and clang differ on these, and Layout says so.
        align = 0 if (pack and align > pack) or 8 * align < kind.bits else align
        return Member(next(names), kind, bits, align, packed and kind.bits > 8)
    if form < 0.8 or not depth:
        one: Type = SCALARS[random.choice((*INTEGERS, *INTEGERS, *OTHERS))]
        one = POINTER if random.random() < 0.08 else one
        many = Array(one, random.randint(1, 3)) if random.random() < 0.2 else one
        return Member(next(names), many, None, align, packed)
    if random.random() < 0.4:
        return Member(None, _struct(random, depth - 1, names, pack))
    inner = _struct(random, depth - 1, (f"n{n}" for n in counting()), pack)
    return Member(next(names), inner, None, align, packed)


def _values(random: Random, struct: Struct) -> dict[str, Any]:
    found: dict[str, Any] = {}
    named = [m for m in struct.members if m.name or isinstance(m.type, Struct)]
    for member in [random.choice(named)] if struct.union else named:
        if member.name:
            found[member.name] = _value(random, member.type, member.bits)
        elif isinstance(member.type, Struct):
            found |= _values(random, member.type)
    return found


def _value(random: Random, kind: Type, bits: int | None = None) -> Any:
    if isinstance(kind, Array):
        return [_value(random, kind.element) for _ in range(kind.count)]
    if isinstance(kind, Struct):
        return _values(random, kind)
    if kind.kind == "float":
        return random.randint(-1000, 1000) / 8
    if kind.kind == "pointer" or kind.signed is None:
        # A pointer is initialised with nothing else; plain char has a sign on some ABIs.
        return 0 if kind.kind == "pointer" else random.randint(0, 127)
    low, high = kind.limits(bits or kind.bits or 32)
    return random.randint(low, high)


def mismatches(cases: Sequence[Wild]) -> list[str]:
    """Every way in which kvmviz and a compiler differ, by ABI."""
    words = ["union" if case.struct.union else "struct" for case in cases]
    names = [f"{word} w{n}" for n, word in enumerate(words)]
    prelude = "\n".join(
        f"#pragma pack({case.struct.pack or ''})\n{strategies.c_text(case.struct, f'w{n}')};"
        for n, case in enumerate(cases)
    )
    fields = [list(uapi.designators(case.struct)) for case in cases]
    objects = [
        (name, strategies.c_init(case.values)) for name, case in zip(names, cases, strict=True)
    ]
    probes = compilers.everywhere(
        f"{prelude}\n#pragma pack()", list(zip(names, fields, strict=True)), objects
    )
    return [
        f"{abi}: {strategies.c_text(case.struct)} pack({case.struct.pack}): {said}"
        for abi, probe in probes.items()
        for name, case, image in zip(names, cases, probe.images, strict=True)
        if (said := _mismatch(case, abi, probe.measured[name], image))
    ]


def _mismatch(case: Wild, abi: str, measured: compilers.Measured, image: bytes) -> str:
    layout = case.struct.layout(abi)
    ours = (layout.size, layout.align, {name: layout.offsets[name] for name in measured.offsets})
    theirs = (measured.size, measured.align, dict(measured.offsets))
    if ours != theirs:
        return f"layout {ours}, the compiler's {theirs}"
    packed = layout.pack(case.values)
    if bytes(packed) != image:
        return f"bytes {bytes(packed).hex(' ')}, the compiler's {image.hex(' ')}"
    read = layout.unpack(image)
    lost = [name for name, value in case.values.items() if read[name] != value]
    plain = [name for name in lost if not isinstance(case.values[name], dict | list)]
    return f"{plain} are not read back" if plain else ""


def walk(count: int) -> list[str]:
    """Hold that many structs against compilers; print the counts, return what differs."""
    bad: list[str] = []
    for start in range(0, count, BATCH):
        size = min(BATCH, count - start)
        found = mismatches([wild(Random(start + n)) for n in range(size)])
        bad += found
        print(*found, sep="\n", end="\n" if found else "", flush=True)
    print(f"{count:,} structs on {len(compilers.targets())} ABIs: {len(bad)} wrong", flush=True)
    return bad

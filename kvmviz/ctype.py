"""C types as data: what a header says, before any ABI has spoken."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from kvmviz import abi as abis
from kvmviz._base import KvmvizError, Twin
from kvmviz.abi import Abi

if TYPE_CHECKING:
    from kvmviz.abi import ByteOrder
    from kvmviz.layout import Layout

WIDTHS = (8, 16, 32, 64)
"""Widths, in bits, that a scalar member can have."""


@dataclass(frozen=True)
class Scalar:
    """An integer type: its name as C spells it, its width in bits, its signedness."""

    name: str
    bits: int
    signed: bool = False

    def __post_init__(self) -> None:
        if self.bits not in WIDTHS:
            legal = ", ".join(map(str, WIDTHS))
            raise KvmvizError(f"type {self.name}: {self.bits!r} bits; legal are {legal}")

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self.bits // 8

    @property
    def leaf(self) -> Scalar:
        """Itself: a scalar is its own innermost element."""
        return self

    def dtype(self, order: ByteOrder) -> np.dtype[np.integer[Any]]:
        """The numpy type of this scalar in memory of one byte order, whatever the host's is."""
        return np.dtype(
            f"{'<' if order == 'little' else '>'}{'i' if self.signed else 'u'}{self.size}"
        )

    @property
    def limits(self) -> tuple[int, int]:
        """The smallest and the largest value that fit."""
        if self.signed:
            return -(1 << self.bits - 1), (1 << self.bits - 1) - 1
        return 0, (1 << self.bits) - 1


@dataclass(frozen=True)
class Array:
    """``count`` elements of one type, with nothing between them."""

    element: Type
    count: int

    def __post_init__(self) -> None:
        if not isinstance(self.element, Scalar | Array | Struct):
            raise KvmvizError(f"array of {self.element!r}: not a Scalar, Array or Struct")
        if not isinstance(self.count, int) or self.count < 1:
            raise KvmvizError(f"array of {self.count} elements; legal counts are 1 and up")

    @property
    def leaf(self) -> Scalar | Struct:
        """The type of the innermost element."""
        return self.element.leaf

    @property
    def shape(self) -> tuple[int, ...]:
        """The counts, outermost first, as C writes them."""
        inner = self.element.shape if isinstance(self.element, Array) else ()
        return (self.count, *inner)


@dataclass(frozen=True)
class Member:
    """A member of a struct or union; ``name`` is None for an anonymous struct or union."""

    name: str | None
    type: Type


def _scalars() -> Mapping[str, Scalar]:
    table: dict[str, Scalar] = {}
    for bits in WIDTHS:
        for sign, signed in (("u", False), ("s", True)):
            table |= {n: Scalar(n, bits, signed) for n in (f"{sign}{bits}", f"__{sign}{bits}")}
        table[f"int{bits}_t"] = Scalar(f"int{bits}_t", bits, signed=True)
        table[f"uint{bits}_t"] = Scalar(f"uint{bits}_t", bits)
    # Widths that every ABI of kvmviz.abi agrees on; what the ABI decides is not a fixed width.
    for base, bits in (("char", 8), ("short", 16), ("int", 32), ("long long", 64)):
        table[f"unsigned {base}"] = Scalar(f"unsigned {base}", bits)
        table[f"signed {base}"] = Scalar(f"signed {base}", bits, signed=True)
        if base != "char":
            table[base] = Scalar(base, bits, signed=True)
    return table


SCALARS: Mapping[str, Scalar] = _scalars()
"""The fixed-width integer types, by the name that C code uses."""


def scalar(name: str, where: str = "type") -> Scalar:
    """The fixed-width type of that C name; :class:`KvmvizError` if there is none."""
    try:
        return SCALARS[name]
    except (KeyError, TypeError):
        raise KvmvizError(
            f"{where}: unknown type {name!r}; fixed-width types are "
            "__u8..__u64, __s8..__s64, uint8_t..uint64_t, int8_t..int64_t, "
            "[un]signed char, short, int, long long"
        ) from None


_ARRAY = re.compile(r"\s*(?P<name>[^\[\]]*[^\[\]\s])\s*(?P<counts>(?:\[\s*\d+\s*\]\s*)*)")


def as_type(spec: Type | str, where: str = "type") -> Type:
    """A type from ``"__u32"`` or ``"__u8[6]"``; a type object comes back as it is."""
    if isinstance(spec, Scalar | Array | Struct):
        return spec
    match = _ARRAY.fullmatch(spec) if isinstance(spec, str) else None
    if match is None:
        raise KvmvizError(f"{where}: {spec!r} is not a type such as '__u32' or '__u8[6]'")
    made: Type = scalar(match["name"], where)
    for count in reversed(re.findall(r"\d+", match["counts"])):
        try:
            made = Array(made, int(count))
        except KvmvizError as error:
            raise KvmvizError(f"{where}: {error}") from None
    return made


@dataclass(frozen=True, init=False, repr=False)
class Struct(Twin):
    """A C struct or union: a tag and members, in order, with no offsets yet.

    ``members`` are :class:`Member` objects, ``(name, type)`` pairs, or a mapping; a type is an
    object of this module or a string such as ``"__u32"`` or ``"__u8[6]"``.

    Raises :class:`KvmvizError` for an empty struct, a name twice, or an unknown type.
    """

    tag: str
    members: tuple[Member, ...]
    union: bool

    def __init__(
        self,
        tag: str,
        members: Mapping[str, Type | str] | Iterable[Member | tuple[str | None, Type | str]],
        *,
        union: bool = False,
    ) -> None:
        object.__setattr__(self, "tag", tag)
        object.__setattr__(self, "union", union)
        rows = members.items() if isinstance(members, Mapping) else members
        if not isinstance(rows, Iterable):
            raise KvmvizError(f"{self}: {members!r} are no members; give (name, type) pairs")
        object.__setattr__(self, "members", tuple(self._member(row) for row in rows))
        if not self.members:
            raise KvmvizError(f"{self} has no members; it needs at least one")
        seen: set[str] = set()
        for name in self.names():
            if name in seen:
                raise KvmvizError(f"{self}: member {name!r} stands twice; names must differ")
            seen.add(name)

    def _member(self, row: Member | tuple[str | None, Type | str]) -> Member:
        try:
            name, spec = (row.name, row.type) if isinstance(row, Member) else row
        except (TypeError, ValueError):
            raise KvmvizError(f"{self}: {row!r} is not a (name, type) pair") from None
        if name is None:
            kind = as_type(spec, f"{self}, anonymous member")
            if not isinstance(kind, Struct):
                raise KvmvizError(f"{self}: only a struct or union can be anonymous, not {spec!r}")
            return Member(None, kind)
        if not (isinstance(name, str) and name.isidentifier()):
            raise KvmvizError(f"{self}: {name!r} is not a C identifier")
        return Member(name, as_type(spec, f"{self}, member {name}"))

    @property
    def leaf(self) -> Struct:
        """Itself: the innermost element where a struct is one."""
        return self

    def names(self) -> Iterator[str]:
        """Names that C code can use on this struct, those of anonymous members included."""
        for member in self.members:
            if member.name is not None:
                yield member.name
            elif isinstance(member.type, Struct):
                yield from member.type.names()

    def layout(self, abi: str | Abi) -> Layout:
        """Offsets, size, alignment and holes under an ABI: a name out of ``ABIS`` or an Abi."""
        return _layout(self, abis.find(abi))

    def widen(self, member: str, bits: int) -> Struct:
        """A copy in which one direct scalar member is ``bits`` wide, signed as it was.

        Raises :class:`KvmvizError` for an unknown member, one that is not a scalar, or a width
        that is none of 8, 16, 32, 64.
        """
        if bits not in WIDTHS:
            legal = ", ".join(map(str, WIDTHS))
            raise KvmvizError(f"{self}, member {member}: width {bits!r}; legal are {legal} bits")
        names = [row.name for row in self.members]
        if member not in names:
            legal = ", ".join(name for name in names if name)
            raise KvmvizError(f"{self} has no member {member!r}; its members are {legal}")
        at = names.index(member)
        row = self.members[at]
        if not isinstance(row.type, Scalar):
            raise KvmvizError(f"{self}, member {member} is no scalar; only scalars have a width")
        wide = scalar(f"__{'s' if row.type.signed else 'u'}{bits}")
        changed = (*self.members[:at], replace(row, type=wide), *self.members[at + 1 :])
        return Struct(self.tag, changed, union=self.union)

    def __str__(self) -> str:
        return f"{'union' if self.union else 'struct'} {self.tag or '(anonymous)'}"


Type: TypeAlias = Scalar | Array | Struct


@lru_cache(maxsize=1024)
def _layout(struct: Struct, abi: Abi) -> Layout:
    from kvmviz.layout import Layout

    return Layout(struct, abi)

"""C types as data: what a header says, before any ABI has spoken."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from kvmviz import abi as abis
from kvmviz._base import KvmvizError, Twin
from kvmviz.abi import Abi
from kvmviz.scalar import WIDTHS, Scalar, scalar

if TYPE_CHECKING:
    from kvmviz.layout import Layout

ALIGNMENTS = tuple(1 << n for n in range(16))
"""Alignments, in bytes, that an attribute may ask for."""
PACKS = ALIGNMENTS[:5]
"""The same for ``#pragma pack``: gcc and clang know it up to 16."""


@dataclass(frozen=True)
class Array:
    """``count`` elements of one type, with nothing between them.

    A count of 0 is a flexible array member, ``data[]``: it has a place and an alignment, no size.
    """

    element: Type
    count: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "element", as_type(self.element, "array"))
        if not isinstance(self.count, int) or isinstance(self.count, bool) or self.count < 0:
            raise KvmvizError(f"array of {self.count!r} elements; legal counts are 0 and up")

    def __str__(self) -> str:
        return f"{self.leaf}{''.join(f'[{n}]' for n in self.shape)}"

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
    """A member of a struct or union.

    ``name`` is None for an anonymous struct or union, and for an unnamed bit-field. ``bits`` is a
    bit-field's width, 0 for one that only ends a unit, None for what is no bit-field. ``align``
    is what its ``aligned`` attribute asks for in bytes, 0 without; ``packed`` is that attribute.
    ``type`` may be given as a string, as in :class:`Struct`.
    """

    name: str | None
    type: Type
    bits: int | None = None
    align: int = 0
    packed: bool = False

    def __post_init__(self) -> None:
        kind, align = _declared(self.type, f"{self}")
        object.__setattr__(self, "type", kind)
        object.__setattr__(self, "align", self.align or align)

    def __str__(self) -> str:
        return _title(self.name)


def _title(name: object) -> str:
    return "anonymous member" if name is None else f"member {name}"


# Of linux/types.h: macros for a type with an attribute, which is the member's.
_ALIGNED = re.compile(r"\s*__aligned_(?=[us]64\b|[lb]e64\b)")
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
        if not int(count):
            raise KvmvizError(f"{where}: array of 0 elements; legal counts are 1 and up")
        made = Array(made, int(count))
    return made


def _declared(spec: Type | str, where: str) -> tuple[Type, int]:
    """A type, and the alignment in bytes that comes with it, 0 without."""
    aligned = _ALIGNED.match(spec) if isinstance(spec, str) else None
    if isinstance(spec, str) and aligned:
        return as_type(f"__{spec[aligned.end() :]}", where), 8
    return as_type(spec, where), 0


@dataclass(frozen=True, init=False, repr=False)
class Struct(Twin):
    """A C struct or union: a tag and members, in order, with no offsets yet.

    ``members`` are :class:`Member` objects, ``(name, type)`` pairs, or a mapping; a type is an
    object of this module or a string such as ``"__u32"`` or ``"__u8[6]"``. ``packed`` and
    ``align`` (bytes, 0 without) are its attributes, ``pack`` (bytes, 0 without) is what
    ``#pragma pack`` said where it was defined. GNU C has structs without members, of size 0;
    ``empty`` says that this is meant to be one.

    Raises :class:`KvmvizError` for an empty struct, a name twice, or an unknown type.
    """

    tag: str
    members: tuple[Member, ...]
    union: bool
    packed: bool
    align: int
    pack: int

    def __init__(
        self,
        tag: str,
        members: Mapping[str, Type | str] | Iterable[Member | tuple[str | None, Type | str]],
        *,
        union: bool = False,
        packed: bool = False,
        align: int = 0,
        pack: int = 0,
        empty: bool = False,
    ) -> None:
        given = {"tag": tag, "union": union, "packed": packed, "align": align, "pack": pack}
        for name, value in given.items():
            object.__setattr__(self, name, value)
        if tag and not _is_name(tag):
            raise KvmvizError(f"struct tag {tag!r} is not a C identifier")
        _check_align(align, f"{self}")
        _check_align(pack, f"{self}, #pragma pack", PACKS)
        rows = members.items() if isinstance(members, Mapping) else members
        if not isinstance(rows, Iterable):
            raise KvmvizError(f"{self}: {members!r} are no members; give (name, type) pairs")
        object.__setattr__(self, "members", tuple(self._member(row) for row in rows))
        if not self.members and not empty:
            raise KvmvizError(f"{self} has no members; it needs at least one")
        seen: set[str] = set()
        for name in self.names():
            if name in seen:
                raise KvmvizError(f"{self}: member {name!r} stands twice; names must differ")
            seen.add(name)

    def _member(self, row: Member | tuple[str | None, Type | str]) -> Member:
        if isinstance(row, Member):
            made = row
        else:
            try:
                name, spec = row
            except (TypeError, ValueError):
                raise KvmvizError(f"{self}: {row!r} is not a (name, type) pair") from None
            kind, align = _declared(spec, f"{self}, {_title(name)}")
            made = Member(name, kind, align=align)
        name, kind = made.name, made.type
        if name is None and made.bits is None:
            if not isinstance(kind, Struct):
                raise KvmvizError(f"{self}: only a struct or union can be anonymous, not {kind}")
            if made.align or made.packed:
                raise KvmvizError(
                    f"{self}: an anonymous member has no attributes but those of its {kind}"
                )
        elif name is not None and not _is_name(name):
            raise KvmvizError(f"{self}: {name!r} is not a C identifier")
        _check_align(made.align, f"{self}, {made}")
        if made.bits is not None:
            self._check_bits(made)
        return made

    def _check_bits(self, member: Member) -> None:
        kind = member.type
        if not isinstance(kind, Scalar) or kind.kind not in ("integer", "bool") or kind.order:
            raise KvmvizError(f"{self}, {member}: only an integer can be a bit-field")
        # How wide a long is, the ABI says; Layout looks at it again.
        least, most = (1 if member.name else 0), (1 if kind.kind == "bool" else kind.bits or 64)
        if not isinstance(member.bits, int) or not least <= member.bits <= most:
            raise KvmvizError(
                f"{self}, {member}: a bit-field of {member.bits!r} bits; "
                f"legal are {least} .. {most}"
            )

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
        asked = abis.find(abi)
        made = self._layouts.get(asked)
        if made is None:
            from kvmviz.layout import Layout

            made = self._layouts[asked] = Layout(self.on(asked), asked)
        return made

    @cached_property
    def _layouts(self) -> dict[Abi, Layout]:
        # With the struct: to find a layout elsewhere, all its members would be compared.
        return {}

    @cached_property
    def _hash(self) -> int:
        return hash((self.tag, self.members, self.union, self.packed, self.align, self.pack))

    def __hash__(self) -> int:
        return self._hash

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name[0] != "_"}

    def on(self, abi: str | Abi) -> Struct:
        """The struct as that ABI has it: itself, unless its text depends on the ABI."""
        abis.find(abi)
        return self

    @property
    def is_empty(self) -> bool:
        """It has no members."""
        return not self.members

    def changed(self, **given: Any) -> Struct:
        """A copy with some of its attributes, or its members, changed."""
        kept = {name: getattr(self, name) for name in ("union", "packed", "align", "pack")}
        members = given.pop("members", self.members)
        return Struct(self.tag, members, **(kept | given), empty=not self.members)

    def widen(self, member: str, bits: int) -> Struct:
        """A copy in which one direct integer member is ``bits`` wide, its sign and order kept.

        Plain ``char`` stays what it is at 8 bits. A wider type has a sign whatever the ABI, and is
        signed: it holds all values that a ``char`` has on some ABI, -128 .. 255.

        Raises :class:`KvmvizError` for an unknown member, one that is not an integer, or a width
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
        if not isinstance(row.type, Scalar) or row.type.kind != "integer" or row.bits is not None:
            raise KvmvizError(f"{self}, member {member} is no integer; only integers are widened")
        wide = f"__{'u' if row.type.signed is False else 's'}{bits}"
        if row.type.order and bits > 8:
            wide = f"__{row.type.order[0]}e{bits}"
        elif row.type.signed is None and bits == 8:
            wide = "char"
        changed = (*self.members[:at], replace(row, type=scalar(wide)), *self.members[at + 1 :])
        return self.changed(members=changed)

    def __str__(self) -> str:
        return f"{'union' if self.union else 'struct'} {self.tag or '(anonymous)'}"


def _is_name(name: object) -> bool:
    return isinstance(name, str) and name.isidentifier()


def _check_align(align: int, where: str, legal: Sequence[int] = ALIGNMENTS) -> None:
    if align and align not in legal:
        raise KvmvizError(f"{where}: alignment {align!r}; legal are powers of 2 up to {legal[-1]}")


Type: TypeAlias = Scalar | Array | Struct

"""C types as data: what a header says, before any ABI has spoken."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from itertools import islice
from numbers import Integral
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeAlias
from weakref import WeakValueDictionary

import numpy as np

from kvmviz._base import KvmvizError, check_texts, chosen, listed, settled, shown
from kvmviz.abi import ABIS, BYTE_ORDERS, Abi, ByteOrder

if TYPE_CHECKING:
    from kvmviz.layout import Layout


WIDTHS = (8, 16, 32, 64)
"""Widths, in bits, that a scalar member can be turned to."""


_WIDTHS_OF = {
    "integer": (0, *WIDTHS, 128), "float": (0, 32, 64, 128), "x87": (96, 128),
    "bool": (8,), "pointer": (0, 32, 64),
}  # fmt: skip
ALIGNMENTS = tuple(1 << n for n in range(16))
"""Alignments, in bytes, that an attribute may ask for."""
_FLAG, _ALIGN = (False, True), (0, *ALIGNMENTS)
# gcc and clang know #pragma pack up to 16.
_ATTRIBUTES: Mapping[str, Sequence[Any]] = {
    "union": _FLAG, "packed": _FLAG, "align": _ALIGN, "pack": _ALIGN[:6], "typedef_align": _ALIGN
}  # fmt: skip

MAX_MEMBERS, MAX_COUNT, MAX_DEPTH = 1 << 16, (1 << 31) - 1, 64
"""The largest struct: members that its definition spells out, elements of one array, types that lie
in each other."""
MAX_NAME = 4096
"""Characters of a name, as of a word of C text."""
_LEGAL_NAME = f"a C identifier of up to {MAX_NAME} characters"


class _Single:
    """A type that is no array: the innermost element of itself."""

    shape: ClassVar[tuple[int, ...]] = ()

    @property
    def leaf(self) -> Self:
        """Itself."""
        return self


def settle(frozen: object, **values: object) -> None:
    """What a frozen object holds, once it has been checked."""
    for name, value in values.items():
        object.__setattr__(frozen, name, value)


@dataclass(frozen=True)
class Scalar(_Single):
    """A scalar type: its name as C spells it, its width in bits, its signedness.

    ``bits`` 0 is the width of the ABI's ``long`` and pointers, of a float that of its ``long
    double``, ``signed`` None what the ABI says of plain ``char``. ``x87`` is the 80-bit format of
    the coprocessors of x86 and m68k, in more bytes than it needs. ``order`` is the byte order that
    the type fixes (``__be32``), if it does. ``align`` is the alignment in bytes that a typedef
    gives it, else 0.
    """

    name: str
    bits: int
    signed: bool | None = False
    kind: Literal["integer", "float", "x87", "bool", "pointer"] = "integer"
    order: ByteOrder | None = None
    align: int = 0
    depth: ClassVar[int] = 0

    def __post_init__(self) -> None:
        where = check_texts("type", self.name)
        orders, kinds = (None, *BYTE_ORDERS), tuple(_WIDTHS_OF)
        settled(self, where, kind=kinds, signed=(*_FLAG, None), order=orders, align=_ALIGN)
        settled(self, where, bits=_WIDTHS_OF[self.kind])

    def __str__(self) -> str:
        return self.name

    def on(self, abi: Abi) -> Scalar:
        """The type as the ABI has it, its width and sign settled.

        Raises :class:`KvmvizError` where the ABI has none, or it is not known how wide it is.
        """
        if self.bits == 128 and self.kind == "integer" and abi.word_bits < 64:
            told = "gcc and clang have integers of 128 bits on 64-bit ABIs only"
            raise KvmvizError(f"there is no {self.name} here; {told}")
        if self.bits and self.signed is not None:
            return self
        kind, bits = self.kind, self.bits or abi.word_bits
        if kind == "float":
            bits = abi.long_double
            kind = "x87" if abi.family in ("x86-64", "i386", "m68k") else kind
        if not bits:
            told = "64 bits, IEEE's 128 or two doubles, by C library and compiler options"
            raise KvmvizError(f"{self.name} has no one size here: {told}")
        signed = abi.char_signed if self.signed is None else self.signed
        return replace(self, bits=bits, signed=signed, kind=kind)

    @property
    def is_float(self) -> bool:
        """Whether it is a floating point number."""
        return self.kind in ("float", "x87")

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self.bits // 8

    def dtype(self, order: ByteOrder) -> np.dtype[Any]:
        """The numpy type of this scalar in memory of one byte order, whatever the host's is.

        numpy has nothing wider than 64 bits that is the same on all hosts: those are raw bytes.
        """
        if self.bits > 64:
            return np.dtype(f"V{self.size}")
        kind = "f" if self.kind == "float" else "i" if self.signed else "u"
        return np.dtype(f"{'<' if order == 'little' else '>'}{kind}{self.size}")

    def limits(self, bits: int) -> tuple[int, int]:
        """The smallest and the largest integer that ``bits`` bits of this type hold."""
        if self.signed:
            return -(1 << bits - 1), (1 << bits - 1) - 1
        return 0, 1 if self.kind == "bool" else (1 << bits) - 1


def _scalars() -> Iterator[Scalar]:
    for bits in (*WIDTHS, 128):
        for sign, signed in (("u", False), ("s", True)):
            yield Scalar(f"{sign}{bits}", bits, signed)
            yield Scalar(f"__{sign}{bits}", bits, signed)
    for bits in WIDTHS:
        yield from (Scalar(f"int{bits}_t", bits, signed=True), Scalar(f"uint{bits}_t", bits))
    for bits in WIDTHS[1:]:
        yield from (Scalar(f"__{order[0]}e{bits}", bits, order=order) for order in BYTE_ORDERS)
    # Widths on which every ABI of kvmviz.abi agrees, but that of long.
    bases = (("char", 8), ("short", 16), ("int", 32), ("long", 0), ("long long", 64))
    for base, bits in (*bases, ("__int128", 128)):
        yield Scalar(f"unsigned {base}", bits)
        yield Scalar(f"signed {base}", bits, signed=True)
        yield Scalar(base, bits, signed=None if base == "char" else True)
    yield from (Scalar("__int128_t", 128, signed=True), Scalar("__uint128_t", 128))
    yield from (Scalar(name, 8, kind="bool") for name in ("_Bool", "bool"))
    yield from (Scalar("float", 32, kind="float"), Scalar("double", 64, kind="float"))
    yield Scalar("long double", 0, kind="float")
    yield from (Scalar("size_t", 0), Scalar("ssize_t", 0, signed=True), Scalar("uintptr_t", 0))


SCALARS: Mapping[str, Scalar] = {kind.name: kind for kind in _scalars()}
"""The scalar types, by name."""

POINTER = Scalar("void *", 0, kind="pointer")
"""Any pointer to data."""


def scalar(name: str, where: str = "type") -> Scalar:
    """The scalar type of that C name; :class:`KvmvizError` if there is none."""
    if isinstance(name, str) and name in SCALARS:
        return SCALARS[name]
    raise KvmvizError(
        f"{where}: unknown type {shown(name)}; known are __u8..__u64, __s8..__s64, "
        "uint8_t..uint64_t, int8_t..int64_t, __le16..__be64, [un]signed char, short, int, "
        "long, long long, __uint128_t, float, double, long double, bool"
    )


@dataclass(frozen=True)
class Array:
    """``count`` elements of one type, with nothing between them.

    A count of 0 is a flexible array member, ``data[]``: it has a place and an alignment, no size.
    """

    element: Type
    count: int

    def __post_init__(self) -> None:
        element = as_type(self.element, "array")
        settle(self, element=element, count=_count(self.count, "array of", 0))
        _check_depth(self, "array")

    def __str__(self) -> str:
        return f"{self.leaf}{brackets(self.shape)}"

    @cached_property
    def depth(self) -> int:
        """The types that lie in each other, a scalar not counted."""
        return 1 + self.element.depth

    @property
    def leaf(self) -> Scalar | Struct:
        """The type of the innermost element."""
        return self.element.leaf

    @property
    def shape(self) -> tuple[int, ...]:
        """The counts, outermost first, as C writes them."""
        return (self.count, *self.element.shape)


def _count(value: object, what: str, least: int) -> int:
    count = int(value) if isinstance(value, Integral) and not isinstance(value, bool) else -1
    if not least <= count <= MAX_COUNT:
        legal = f"{least} and up" if count < least else f"{least} .. {MAX_COUNT}"
        raise KvmvizError(f"{what} {shown(value)} elements; legal counts are {legal}")
    return count


def _check_depth(kind: Array | Struct, where: str) -> None:
    if kind.depth > MAX_DEPTH:
        raise KvmvizError(f"{where}: more than {MAX_DEPTH} types inside each other")


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
        if self.name is not None and not _is_name(self.name):
            raise KvmvizError(f"{self}: {shown(self.name)} is not {_LEGAL_NAME}")
        settled(self, f"{self}", align=_ALIGN, packed=_FLAG)
        kind: Type | str = self.type
        if isinstance(kind, str) and (aligned := _ALIGNED.match(kind)):
            kind = f"__{kind[aligned.end() :]}"
            settle(self, align=self.align or 8)
        settle(self, type=as_type(kind, f"{self}"))
        if self.bits is not None:
            self._check_bits()
        elif self.name is None:
            if not isinstance(self.type, Struct):
                told = f"only a struct or union can be anonymous, not {self.type}"
                raise KvmvizError(f"{self}: {told}")
            if self.align or self.packed:
                raise KvmvizError(f"{self}: no attributes but those of its {self.type} are legal")

    def _check_bits(self) -> None:
        kind = self.type
        if not isinstance(kind, Scalar) or kind.kind not in ("integer", "bool") or kind.order:
            raise KvmvizError(f"{self}: only an integer of the ABI's byte order can be a bit-field")
        # How wide a long is, the ABI says; Layout looks at it again.
        least, most = (1 if self.name else 0), (1 if kind.kind == "bool" else kind.bits or 64)
        legal = range(least, most + 1)
        chosen(self.bits, legal, f"{self}: a bit-field of", f"{least} .. {most}", "bits")

    def __str__(self) -> str:
        if self.name is None:
            return "anonymous member" if self.bits is None else "unnamed bit-field"
        return _title(self.name)


def _inner(member: Member) -> Struct | None:
    """The struct that is defined where the member is declared."""
    leaf = member.type.leaf
    return leaf if isinstance(leaf, Struct) and not (member.name and leaf.tag) else None


def _title(name: object) -> str:
    return f"member {name if _is_name(name) else shown(name)}"


# Of linux/types.h: macros for a type with an attribute, which is the member's.
_ALIGNED = re.compile(r"\s*__aligned_(?=[us]64\b|[lb]e64\b)")
_ARRAY = re.compile(r"\s*(?P<name>[^\[\]]*[^\[\]\s])\s*(?P<counts>(?:\[\s*\d+\s*\]\s*)*)")


def as_type(spec: Type | str, where: str = "type") -> Type:
    """A type from ``"__u32"`` or ``"__u8[6]"``; a type object comes back as it is."""
    if isinstance(spec, Scalar | Array | Struct):
        return spec
    match = _ARRAY.fullmatch(spec) if isinstance(spec, str) else None
    if match is None:
        raise KvmvizError(f"{where}: {shown(spec)} is not a type such as '__u32' or '__u8[6]'")
    made: Type = scalar(match["name"], where)
    for digits in reversed(re.findall(r"\d+", match["counts"])):
        # Python reads no number of thousands of digits.
        count = int(digits) if len(digits) < 20 else 1 << 64
        made = Array(made, _count(count, f"{where}: array of", 1))
    return made


@dataclass(frozen=True, init=False)
class Struct(_Single):
    """A C struct or union: a tag and members, in order, with no offsets yet.

    ``members`` are :class:`Member` objects, ``(name, type)`` pairs, or a mapping; a type is an
    object of this module or a string such as ``"__u32"`` or ``"__u8[6]"``. ``packed`` and
    ``align`` (bytes, 0 without) are its attributes, ``pack`` (bytes, 0 without) is what
    ``#pragma pack`` said where it was defined. ``typedef_align`` (bytes, 0 without) is the
    alignment that a typedef gives it: less or more than its own, with no effect on its size. GNU C
    has structs without members, of size 0; ``empty`` says that this is meant to be one.
    ``untagged`` says that ``tag`` is a typedef's name, so that C does not call it ``struct tag``.

    Raises :class:`KvmvizError` for an empty struct, a name twice, or an unknown type.
    """

    differs: ClassVar[bool] = False
    """Whether it is not the same on every ABI: members and attributes are known with the ABI."""
    is_known: ClassVar[bool] = True
    """Whether it is a struct on some ABI, not only a name that a text could not be read about."""

    tag: str
    members: tuple[Member, ...]
    union: bool
    packed: bool
    align: int
    pack: int
    typedef_align: int
    empty: bool
    untagged: bool = field(compare=False)

    def __init__(
        self,
        tag: str,
        members: Mapping[str, Type | str] | Iterable[Member | tuple[str | None, Type | str]],
        *,
        union: bool = False,
        packed: bool = False,
        align: int = 0,
        pack: int = 0,
        typedef_align: int = 0,
        empty: bool = False,
        untagged: bool = False,
    ) -> None:
        if not isinstance(tag, str) or (tag and not _is_name(tag)):
            raise KvmvizError(f"struct tag {shown(tag)} is not {_LEGAL_NAME}")
        settle(self, tag=tag, union=union, packed=packed, align=align, pack=pack)
        settle(self, typedef_align=typedef_align, untagged=untagged is True)
        settled(self, f"{self}", **_ATTRIBUTES)
        rows = members.items() if isinstance(members, Mapping) else members
        try:
            pairs = tuple(islice(rows, MAX_MEMBERS + 1))
        except Exception as error:  # of the object's own making, or Python's for what has no items
            told = f"{shown(members)} are no members; give (name, type) pairs"
            raise KvmvizError(f"{self}: {told}") from error
        made = tuple(map(self._member, pairs))
        settle(self, members=made, empty=not made)
        if self._spelled > MAX_MEMBERS:
            inside = "those of structs without a tag or a name in it counted"
            raise KvmvizError(f"{self} has more than {MAX_MEMBERS} members, {inside}")
        _check_depth(self, f"{self}")
        if not made and empty is not True:
            raise KvmvizError(f"{self} has no members; it needs at least one")
        seen: set[str] = set()
        for name in self.names():
            if name in seen:
                raise KvmvizError(f"{self}: member {shown(name)} stands twice; names must differ")
            seen.add(name)

    def _member(self, row: Member | tuple[str | None, Type | str]) -> Member:
        if isinstance(row, Member):
            return row
        try:
            name, kind = row
            return Member(name, kind)  # type: ignore[arg-type]
        except KvmvizError as error:
            raise KvmvizError(f"{self}, {error}") from None
        except Exception:
            raise KvmvizError(f"{self}: {shown(row)} is not a (name, type) pair") from None

    @cached_property
    def depth(self) -> int:
        """The types that lie in each other, itself counted."""
        return 1 + max((member.type.depth for member in self.members), default=0)

    @cached_property
    def _spelled(self) -> int:
        """Members that its definition spells out, as :func:`defined` does."""
        inner = () if self.differs else [_inner(row) for row in self.members]
        return len(inner) + sum(one._spelled for one in inner if one)

    @property
    def word(self) -> str:
        """What C calls it: ``struct`` or ``union``."""
        return "union" if self.union is True else "struct"

    def names(self) -> Iterator[str]:
        """Names that C code can use on this struct, those of anonymous members included."""
        for member in self.members:
            if member.name is not None:
                yield member.name
            elif isinstance(member.type, Struct):
                yield from member.type.names()

    def layout(self, abi: str | Abi) -> Layout:
        """Offsets, size, alignment and holes under an ABI: a name out of ``ABIS`` or an Abi."""
        asked = ABIS.find(abi)
        made = self._layouts.get(asked)
        if made is None:
            from kvmviz.layout import Layout

            made = self._layouts[asked] = Layout(self.on(asked), asked)
        return made

    @cached_property
    def _layouts(self) -> dict[Abi, Layout]:
        # With the struct: to find a layout elsewhere, all its members would be compared.
        return {}

    @property
    def _compared(self) -> tuple[object, ...]:
        return tuple(getattr(self, one.name) for one in fields(self) if one.compare)

    @cached_property
    def _equal(self) -> WeakValueDictionary[int, Struct]:
        # What was found equal, by identity: it may lie in both sides of a comparison many times.
        return WeakValueDictionary()

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Struct) or type(self) is not type(other):
            return NotImplemented
        if hash(self) != hash(other):
            return False
        if id(other) not in self._equal and self._compared == other._compared:
            self._equal[id(other)] = other
        return id(other) in self._equal

    @cached_property
    def _hash(self) -> int:
        return hash(self._compared)

    def __hash__(self) -> int:
        return self._hash

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name[0] != "_"}

    def on(self, abi: str | Abi) -> Struct:
        """The struct as that ABI has it: itself, unless its text depends on the ABI."""
        ABIS.find(abi)
        return self

    def widen(self, member: str, bits: int) -> Struct:
        """A copy in which one direct integer member is ``bits`` wide, its sign and order kept.

        Plain ``char`` stays what it is at 8 bits. A wider type has a sign whatever the ABI, and is
        signed: it holds all values that a ``char`` has on some ABI, -128 .. 255.

        Raises :class:`KvmvizError` for an unknown member, one that is not an integer, or a width
        that is none of 8, 16, 32, 64.
        """
        legal = f"{listed(WIDTHS)} bits"
        bits = chosen(bits, WIDTHS, f"{self}, {_title(member)}: width", legal)
        rows = {row.name: row for row in self.members if row.name is not None}
        if not isinstance(member, str) or member not in rows:
            raise no_member(f"{self}", member, rows)
        row = rows[member]
        if not isinstance(row.type, Scalar) or row.type.kind != "integer" or row.bits is not None:
            raise KvmvizError(f"{self}, member {member} is no integer; only integers are widened")
        wide = f"__{'u' if row.type.signed is False else 's'}{bits}"
        if row.type.order and bits > 8:
            wide = f"__{row.type.order[0]}e{bits}"
        elif row.type.signed is None and bits == 8:
            wide = "char"
        widened = replace(row, type=scalar(wide))
        return replace(self, members=tuple(widened if m is row else m for m in self.members))

    def __str__(self) -> str:
        return (
            self.tag if self.untagged and self.tag else f"{self.word} {self.tag or '(anonymous)'}"
        )

    def __repr__(self) -> str:
        return defined(self)


def no_member(struct: str, name: object, legal: Iterable[str]) -> KvmvizError:
    """The error about a name that no member of a struct has."""
    return KvmvizError(f"{struct} has no member {shown(name)}; its members are {listed(legal)}")


def _is_name(name: object) -> bool:
    return isinstance(name, str) and name.isidentifier() and len(name) <= MAX_NAME


Type: TypeAlias = Scalar | Array | Struct


def brackets(shape: Iterable[int]) -> str:
    """The counts of an array, or the indices of an element, as C writes them: ``[2][3]``."""
    return "".join(f"[{number}]" for number in shape)


def name_of(kind: Type, name: str = "") -> str:
    """A declaration as C writes it: ``__u8 data[8]``."""
    return f"{kind.leaf} {name}{brackets(kind.shape)}".strip()


def defined(struct: Struct) -> str:
    """The definition as C, with all that bears on layout.

    :func:`kvmviz.parse` reads it back behind those of the types that its members only name: structs
    with a tag or a typedef's name.
    """
    typedefs: dict[str, None] = {}
    lines = [*_declare(struct, typedefs)]
    if struct.typedef_align:
        lines[0] = f"typedef {lines[0].replace(f' {struct.tag}', '', 1)}"
        lines[-1] += f" {struct.tag}{_attributes(False, struct.typedef_align)}"
    lines = [*typedefs, *lines]
    lines[-1] += ";"
    if struct.pack:
        lines = [f"#pragma pack(push, {struct.pack})", *lines, "#pragma pack(pop)"]
    return "\n".join(lines)


def _declare(
    struct: Struct, typedefs: dict[str, None], depth: int = 0, pack: int | None = None
) -> Iterator[str]:
    """The lines of a definition; the typedefs that it needs join those that are there."""
    pad = "    " * depth
    if struct.differs:
        yield from (f"{pad}{struct} {{", f"{pad}    /* differs by ABI */", f"{pad}}}")
        return
    head = f"{pad}{struct.word} {struct.tag}".rstrip() + " {"
    # C has no place for the pragma here; only a struct made in Python can have another one.
    yield head if pack in (None, struct.pack) else f"{head} /* #pragma pack({struct.pack or ''}) */"
    for member in struct.members:
        asked = _attributes(member.packed, member.align)
        name = f" {member.name or ''}{brackets(member.type.shape)}".rstrip()
        bits = "" if member.bits is None else f" : {member.bits}"
        if inner := _inner(member):
            *body, last = _declare(inner, typedefs, depth + 1, struct.pack)
            yield from body
        else:
            last = f"{pad}    {_alias(member.type.leaf, typedefs)}"
        yield f"{last}{name}{bits}{asked};"
    yield f"{pad}}}{_attributes(struct.packed, struct.align)}"


def _alias(kind: Scalar | Struct, typedefs: dict[str, None]) -> str:
    """The type's name; a typedef's, where its alignment is: a member's attribute only raises it."""
    name, align = (kind.name, kind.align) if isinstance(kind, Scalar) else (kind.tag, 0)
    if isinstance(kind, Struct) and not kind.differs:
        align = kind.typedef_align
    if not align:
        return f"{kind}"
    alias = "_".join((*name.replace("*", "p").split(), str(align)))
    typedefs[f"typedef {kind} {alias}{_attributes(False, align)};"] = None
    return alias


def _attributes(packed: bool, align: int) -> str:
    words = [*(["packed"] if packed else []), *([f"aligned({align})"] if align else [])]
    return f" __attribute__(({', '.join(words)}))" if words else ""

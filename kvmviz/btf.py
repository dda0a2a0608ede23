"""BTF into structs: the types that a Linux kernel carries, each held against the rule.

The format is that of the kernel's Documentation/bpf/btf.rst; only what is asked for is decoded.
BTF records where members are, but no alignment, no unnamed bit-field, and of ``a[2][3]`` mostly
no more than 6 elements. What a header must have said beside its members is inferred.
"""

from __future__ import annotations

import struct as binary
import sys
from array import array
from collections.abc import Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING

from kvmviz import ctype, rules
from kvmviz._base import KvmvizError, counted, listed, shown
from kvmviz.abi import ABIS, BYTE_ORDERS, Abi, ByteOrder
from kvmviz.ctype import MAX_DEPTH, SCALARS, Array, Member, Scalar, Struct, Type
from kvmviz.image import as_bytes
from kvmviz.rules import up
from kvmviz.text import where

if TYPE_CHECKING:
    from typing_extensions import Buffer

MAGICS: dict[bytes, ByteOrder] = {b"\x9f\xeb": "little", b"\xeb\x9f": "big"}
"""How BTF begins: with 0xEB9F."""
ELF = b"\x7fELF"
MOST_MEMBERS = 1 << 14
"""Members of a struct and of all in it, as often as it is there; Linux 6.18 has up to 2695."""

_INT, _PTR, _ARRAY, _STRUCT, _UNION, _ENUM, _TYPEDEF, _FLOAT, _ENUM64 = *range(1, 7), 8, 16, 19
_NAMES = (_TYPEDEF, 9, 10, 11, 18)
"""What only names another type: typedef, volatile, const, restrict, type tag."""
_TAILS = {
    **dict.fromkeys(range(1, 20), (0, 0)), **dict.fromkeys((4, 5, 15, 19), (0, 3)),
    **dict.fromkeys((1, 14, 17), (1, 0)), 3: (3, 0), 6: (0, 2), 13: (0, 2),
}  # fmt: skip
"""Words of 32 bits behind the first three of a type, by its kind: once, and for each element."""
_LONGS = ("long unsigned int", "long int", "unsigned long", "long")
"""What gcc and clang call the integers that are as wide as a pointer."""
_FAMILIES = {3: "i386", 4: "m68k", 8: "mips", 20: "ppc32", 21: "ppc64", 22: "s390x", 40: "arm",
             62: "x86-64", 183: "arm64", 243: "riscv64"}  # fmt: skip
"""Families of ABIs by the ``e_machine`` of ELF files."""


@dataclass(frozen=True)
class Record:
    """A struct that ``abi`` lays out just as BTF records it.

    ``inferred`` says what the rule needs for that beside the members, in this struct and in the
    ``inside`` structs within it: attributes, unnamed bit-fields. Where it is empty, the rule
    predicts every place from the members alone.
    """

    struct: Struct
    abi: Abi
    inferred: tuple[str, ...]
    inside: int

    def __repr__(self) -> str:
        layout = self.struct.layout(self.abi)
        told = " only with what is inferred," if self.inferred else ": 0 differences in"
        size = f"{counted(layout.size, 'byte')}, {counted(len(layout.named), 'member')}"
        return "\n  ".join((
            f"{self.struct} on {where(layout)}, as BTF has it",
            f"the rule predicts this{told} {size}, {counted(self.inside, 'struct')} inside",
            *(f"inferred: {words}" for words in self.inferred),
            "not recorded, so not compared: alignment, unnamed bit-fields, a[2][3] beside a[6]",
        ))  # fmt: skip


class Btf:
    """The types that ``data`` records: raw BTF, or an ELF file with a section ``.BTF``.

    ``abi`` is a name out of ``ABIS`` or an Abi; without it, the ELF file's machine says it. The
    BTF of a kernel module goes on where ``base``, that of its kernel, ends. Raises
    :class:`KvmvizError` for damaged data, and for an ABI that they cannot be of.
    """

    def __init__(self, data: Buffer, abi: str | Abi | None = None, base: Buffer = b"") -> None:
        view, kernel = (as_bytes(given, "BTF").data for given in (data, base))
        machine = None
        if view[:4] == ELF:
            view, machine = _section(view)
        order, self._words, self._strings = _parts(kernel or view)
        if kernel:
            _, words, strings = _parts(view, order)
            self._words, self._strings = self._words + words, self._strings + strings
        if self._strings[:1] != b"\0":
            raise KvmvizError("BTF of a kernel module: it goes on from its kernel's, not given")
        self._starts = _starts(self._words)
        self._inferred: dict[int, str] = {}
        self._left = 0
        self.abi = self._checked(abi or machine, order)

    def _checked(self, asked: str | Abi | None, order: ByteOrder) -> Abi:
        """The ABI: BTF knows its byte order and, mostly, how wide a ``long`` is."""
        width = next((8 * self._type(n)[3] for n in self._called(_LONGS, (_INT,))), 0)

        def fits(abi: Abi) -> bool:
            return abi.byte_order == order and width in (0, abi.word_bits)

        if asked and fits(found := ABIS.find(asked)):
            return found
        told = f"is not of {found.name}" if asked else "does not say its machine"
        wide = f" with a long of {width} bits" if width else ""
        legal = f"legal ABIs are {listed(a.name for a in ABIS.values() if fits(a)) or 'none'}"
        raise KvmvizError(f"this BTF {told}: it is {order}-endian{wide}; {legal}")

    @property
    def names(self) -> list[str]:
        """The tags of all structs and unions, in order."""
        types = (self._type(number) for number in range(1, len(self._starts)))
        return [name for kind, name, *_ in types if name and kind in (_STRUCT, _UNION)]

    def record(self, name: str) -> Record:
        """The struct or union of that tag, or of that typedef where it has no tag.

        Where several have one name, ``name#7`` is that of number 7. Raises :class:`KvmvizError`
        where it is not clear which, for a name that is not there, and for damaged types.
        """
        tag, _, wanted = name.partition("#") if isinstance(name, str) else ("", "", "")
        numbers = self._called((tag,), (_STRUCT, _UNION))
        if not numbers:
            found = [self._resolved(n)[0] for n in self._called((tag,), (_TYPEDEF,))]
            numbers = [n for n in found if n and self._type(n)[0] in (_STRUCT, _UNION)]
        picked = [n for n in numbers if wanted in ("", f"{n}")]
        if len(picked) != 1:
            there = f"; there are {listed(f'{tag}#{n}' for n in numbers)}" if numbers else ""
            some = len(picked) or "no"
            raise KvmvizError(f"BTF has {some} structs or unions {shown(name)}{there}")
        call = copy(self)  # what it infers and counts is of this call alone
        call._inferred, call._left = {}, MOST_MEMBERS
        struct = call._struct(picked[0], 1)
        told = tuple(filter(None, call._inferred.values()))
        named = struct if struct.tag else replace(struct, tag=tag)
        return Record(named, self.abi, told, len(call._inferred) - 1)

    def _called(self, names: Sequence[str], kinds: Sequence[int]) -> list[int]:
        """The types of these names and kinds. A string may be the end of another."""
        ends, at = set[int](), -1
        for text in (name.encode(errors="replace") + b"\0" for name in names if name):
            while (at := self._strings.find(text, at + 1)) >= 0:
                ends.add(at)
        named = [n for n, at in enumerate(self._starts) if self._words[at] in ends]
        return [n for n in named if n and self._type(n)[0] in kinds]

    def _type(self, number: int) -> tuple[int, str, int, int, int]:
        """Kind, name, flag, size (or the type that it names), and where its tail begins."""
        if not 0 < number < len(self._starts):
            legal = f"legal are 1 .. {len(self._starts) - 1}"
            raise KvmvizError(f"damaged BTF: a member of type {number}; {legal}")
        at = self._starts[number]
        name, info, size = self._words[at : at + 3]
        return info >> 24 & 0x1F, self._string(name), info >> 31, size, at + 3

    def _string(self, at: int) -> str:
        end = self._strings.find(b"\0", at)
        if end < 0:
            raise KvmvizError(f"damaged BTF: no string at {at} of {len(self._strings)} bytes")
        return self._strings[at:end].decode("ascii", "replace")

    def _resolved(self, number: int) -> tuple[int, Scalar | None]:
        """The type behind names and qualifiers, 0 for void; the scalar that a name stands for."""
        known = None
        for _ in range(MAX_DEPTH):
            kind, name, _, of, _ = self._type(number) if number else (0, "", 0, 0, 0)
            if kind not in _NAMES:
                return number, known
            known = known or (SCALARS.get(name) if kind == _TYPEDEF else None)
            number = of
        raise KvmvizError(f"damaged BTF: type {number} is behind {MAX_DEPTH} names")

    def _decoded(self, number: int, depth: int) -> Type:
        """A member's type; ``depth`` counts those that it lies in."""
        if depth > MAX_DEPTH:
            raise KvmvizError(f"BTF, type {number}: more than {MAX_DEPTH} types inside each other")
        number, known = self._resolved(number)
        kind, name, flag, size, tail = self._type(number)
        if kind in (_STRUCT, _UNION):
            return self._struct(number, depth)
        if kind == _ARRAY:
            return Array(self._decoded(self._words[tail], depth + 1), self._words[tail + 2])
        if kind == _PTR:
            return ctype.POINTER
        bits = 8 * size or 1  # 0 would stand for the width of the ABI's long
        if kind in (_INT, _FLOAT):
            # gcc says long unsigned int; pahole may write an integer that is called float.
            title = " ".join(sorted(name.split(), key=lambda word: word != "unsigned"))
            name = title.removesuffix(" int") if title.removesuffix(" int") in SCALARS else title
            known = known or SCALARS.get(name)
        flags = self._words[tail] >> 24 if kind == _INT else flag
        if known and known.on(self.abi).bits == bits:
            return known if known.signed is not None else replace(known, signed=bool(flags & 1))
        if kind in (_ENUM, _ENUM64):
            return Scalar(f"enum {name}".strip(), bits, bool(flags))
        if kind == _FLOAT:
            return Scalar(name, bits, kind="float")
        if kind != _INT:
            raise KvmvizError(f"damaged BTF: a member of type {number}, whose kind is {kind}")
        return Scalar(name, bits, bool(flags & 1), kind="bool" if flags & 4 else "integer")

    def _struct(self, number: int, depth: int) -> Struct:
        kind, tag, flag, size, tail = self._type(number)
        count = self._words[tail - 2] & 0xFFFF
        self._spend(count)
        rows = []
        for at in range(tail, tail + 3 * count, 3):
            name, of, place = self._words[at : at + 3]
            # With the flag, the upper bits of a place are how many bits a bit-field has.
            bits, start = divmod(place, 1 << 24) if flag else (0, place)
            member = Member(self._string(name) or None, self._decoded(of, depth + 1), bits or None)
            rows.append((start, member))
        rows.sort(key=lambda row: row[0])
        starts = [start for start, _ in rows]
        plain = Struct(tag, [row for _, row in rows], union=kind == _UNION, empty=True)
        wrong = self._difference(plain, starts, size)
        self._inferred[number] = ""
        if not wrong:
            return plain
        for packed in (False, True):
            with suppress(KvmvizError):
                found, told = self._attributed(replace(plain, packed=packed), starts, size)
                if not self._difference(found, starts, size):
                    self._inferred[number] = f"{plain}: {', '.join(told)}; without, {wrong}"
                    return found
        raise KvmvizError(f"damaged BTF: no C makes {plain} lie as recorded: {wrong}")

    def _spend(self, members: int) -> None:
        self._left -= members
        if self._left < 0:
            raise KvmvizError(f"BTF: a struct holds more than {MOST_MEMBERS} members in all")

    def _difference(self, struct: Struct, starts: Sequence[int], size: int) -> str:
        """The first place where the rule has something else than BTF, in words."""
        try:
            layout = struct.layout(self.abi)
        except KvmvizError as error:
            return f"{error}"
        fields = [f for f in layout.fields if f.name or f.bits is None]
        for field, start in zip(fields, starts, strict=False):
            if field.start != start:
                return f"{field.title} at bit {field.start}, recorded at {start}"
        return "" if layout.size == size else f"size {layout.size}, recorded {size}"

    def _attributed(
        self, struct: Struct, starts: Sequence[int], size: int
    ) -> tuple[Struct, list[str]]:
        """With ``aligned``, or unnamed bit-fields where that moves nothing to its place."""
        members, end, told = list[Member](), 0, ["packed"] * struct.packed
        for member, start in zip(struct.members, starts, strict=True):
            width, align = rules.extent(member.type, self.abi)
            step = 8 * align if not struct.packed else 1 if member.bits else 8
            fits = member.bits and end % step + member.bits <= 8 * width
            if (end if fits else up(end, step)) < start:
                wanted = 0 if member.bits else _aligned(end, start)
                told.append(
                    f"{member} aligned({wanted})" if wanted else f"unnamed bits before {member}"
                )
                if not wanted:
                    members += self._unnamed(end, start)
                elif member.name is None and isinstance(member.type, Struct):
                    member = replace(member, type=replace(member.type, align=wanted))
                else:
                    member = replace(member, align=wanted)
            members.append(member)
            end = 0 if struct.union else start + (member.bits or 8 * width)
        found = replace(struct, members=tuple(members))
        layout = found.layout(self.abi)
        if layout.size >= size:
            return found, told
        if wanted := _aligned(8 * layout.end, 8 * size):
            return replace(found, align=wanted), [*told, f"aligned({wanted})"]
        rest = self._unnamed(end, 8 * size)
        rest = [Member(None, Struct("", rest))] if struct.union else rest
        return replace(found, members=(*members, *rest)), [*told, "unnamed bits at the end"]

    def _unnamed(self, first: int, stop: int) -> list[Member]:
        """Unnamed bit-fields from one bit to another."""
        self._spend((stop - first) // 8)
        ends = (first, *range(up(first + 1, 8), stop, 8), stop)
        return [Member(None, SCALARS["__u8"], b - a) for a, b in pairwise(ends)]


def _aligned(end: int, start: int) -> int:
    """The alignment in bytes that moves what could begin at bit ``end`` to ``start``, or 0."""
    return next((align for align in ctype.ALIGNMENTS if up(end, 8 * align) == start), 0)


def comparable(old: Struct, new: Struct, abi: Abi) -> tuple[Struct, Struct]:
    """Both without what BTF does not record, so that it makes no difference between them.

    Arrays of arrays are flat, and the greater alignment is that of both, if their sizes allow it.
    """
    one, other = (replace(_flat(struct, abi, {}), typedef_align=0) for struct in (old, new))
    layouts = one.layout(abi), other.layout(abi)
    align = max(layout.align for layout in layouts)
    if any(layout.size % align for layout in layouts):
        return one, other
    return replace(one, align=align), replace(other, align=align)


def _flat(struct: Struct, abi: Abi, known: dict[Struct, Struct]) -> Struct:
    if struct not in known:
        there, members = struct.on(abi), list[Member]()
        for member in there.members:
            kind: Type = member.type.leaf
            kind = _flat(kind, abi, known) if isinstance(kind, Struct) else kind
            count = prod(member.type.shape)
            kind = Array(kind, count) if isinstance(member.type, Array) else kind
            members.append(replace(member, type=kind))
        known[struct] = replace(there, members=tuple(members))
    return known[struct]


def _parts(data: memoryview, base: ByteOrder | None = None) -> tuple[ByteOrder, array[int], bytes]:
    """Byte order, types as words of 32 bits, strings; ``base`` is the order that they must have."""
    order = MAGICS.get(bytes(data[:2]))
    if order is None or base not in (None, order):
        legal = f"in {base}-endian order" if base else "in the byte order of its machine"
        raise KvmvizError(f"no BTF: that begins with 0xeb9f {legal}")
    try:
        head, *places = binary.unpack_from("<5I" if order == "little" else ">5I", data, 4)
    except binary.error:
        raise KvmvizError("damaged BTF: its header of 24 bytes is cut off") from None
    types, size, strings, length = places
    if head < 24 or size % 4 or head + max(types + size, strings + length) > len(data):
        told = f"types {types} + {size}, strings {strings} + {length}, behind a header of {head}"
        raise KvmvizError(f"damaged BTF: {told}, in {counted(len(data), 'byte')}")
    words = array("I", bytes(data[head + types : head + types + size]))
    if order != sys.byteorder:
        words.byteswap()
    return order, words, bytes(data[head + strings : head + strings + length])


def _starts(words: Sequence[int]) -> list[int]:
    """Where each type begins, by its number; there is none of number 0."""
    starts, at, end = [0], 0, len(words)
    while at < end:
        starts.append(at)
        info = words[at + 1] if at + 3 <= end else 0
        tail = _TAILS.get(info >> 24 & 0x1F)
        if tail is None:
            told = f"type {len(starts) - 1} has kind {info >> 24 & 0x1F}"
            raise KvmvizError(f"damaged BTF: {told}; legal are 1 .. {max(_TAILS)}")
        at += 3 + tail[0] + tail[1] * (info & 0xFFFF)
    if at > end:
        raise KvmvizError(f"damaged BTF: type {len(starts) - 1}, the last, is cut off")
    return starts


def _section(data: memoryview) -> tuple[memoryview, Abi | None]:
    """The section ``.BTF`` of an ELF file, and the ABI of its machine."""
    try:
        wide, order = data[4] == 2, BYTE_ORDERS[data[5] == 2]
        mark = "<" if order == "little" else ">"
        (machine,) = binary.unpack_from(f"{mark}H", data, 18)
        (table,) = binary.unpack_from(f"{mark}{'Q' if wide else 'I'}", data, 40 if wide else 32)
        step, count, names = binary.unpack_from(f"{mark}3H", data, 58 if wide else 46)
        form = f"{mark}{'I20xQQ' if wide else 'I12xII'}"
        rows = [binary.unpack_from(form, data, table + step * n) for n in range(count)]
        _, start, size = rows[names]
    except (binary.error, IndexError, OverflowError):
        raise KvmvizError("damaged ELF file: its headers are cut off") from None
    titles = bytes(data[start : start + size])
    named = ((titles[at:].partition(b"\0")[0], first, size) for at, first, size in rows)
    found = {title: data[first : first + size] for title, first, size in named}
    if b".BTF" not in found:
        told = "; its DWARF is for pahole and drgn: `pahole -J FILE` makes BTF of it"
        raise KvmvizError(f"an ELF file without a section .BTF{told * (b'.debug_info' in found)}")
    like = (_FAMILIES.get(machine), order, 64 if wide else 32)
    abis_ = (abi for abi in ABIS.values() if (abi.family, abi.byte_order, abi.word_bits) == like)
    return found[b".BTF"], next(abis_, None)

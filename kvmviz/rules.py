"""Where members go: the rules of layout, each with the sentence that explains it.

A member goes to the next offset that its alignment divides; a struct is aligned as its most
aligned member; its size is rounded up to that alignment (AAPCS64, Composite Types; the other
ABIs word it alike). Attributes bend this: ``packed`` takes alignment away, ``aligned`` adds it,
``#pragma pack`` limits both (gcc manual, Common Type Attributes and Structure-Layout Pragmas).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kvmviz._base import KvmvizError, counted
from kvmviz.abi import Abi
from kvmviz.ctype import WIDTHS, Array, Member, Scalar, Struct, Type
from kvmviz.text import span_is


@dataclass(frozen=True)
class Field:
    """A direct member in its place.

    ``start`` and ``extent`` are in bits, in the order in which the ABI allocates them; ``align``
    is in bytes, 0 where it asks nothing of the struct; ``why`` is the rule, in a sentence.
    """

    name: str | None
    type: Type
    start: int
    extent: int
    align: int
    why: str
    bits: int | None = None

    @property
    def title(self) -> str:
        """Its name, or what it is that has none."""
        return self.name or ("anonymous member" if self.bits is None else "unnamed bit-field")

    @property
    def offset(self) -> int:
        """Offset in bytes; of a bit-field, that of the byte where it begins."""
        return self.start // 8

    @property
    def stop(self) -> int:
        """The first bit behind it."""
        return self.start + self.extent


def up(offset: int, align: int) -> int:
    """The next multiple of ``align`` at or after ``offset``."""
    return -(-offset // align) * align


def extent(kind: Type, abi: Abi) -> tuple[int, int]:
    """Size and alignment, in bytes, of a type: an array is aligned as its element."""
    if isinstance(kind, Scalar):
        size = kind.on(abi).size
        return size, kind.align or abi.align(size)
    if isinstance(kind, Array):
        size, align = extent(kind.element, abi)
        return size * kind.count, align
    inner = kind.layout(abi)
    return inner.size, inner.align


def fields(struct: Struct, abi: Abi) -> Iterator[Field]:
    """The members in their places, in order."""
    end = 0
    for member in struct.members:
        at = 0 if struct.union else end
        place = _bit_field if member.bits is not None else _aligned
        try:
            field = place(struct, member, abi, at)
        except KvmvizError as error:
            if isinstance(member.type.leaf, Struct):  # which says itself what is wrong in it
                raise
            raise KvmvizError(f"{struct} on {abi.name}, {member}: {error}") from None
        yield field
        end = field.stop


def _aligned(struct: Struct, member: Member, abi: Abi, end: int) -> Field:
    """A member of whole bytes: to the next byte that its alignment divides."""
    size, natural = extent(member.type, abi)
    packed = struct.packed or member.packed
    asked = max(1 if packed else natural, member.align)
    align = min(asked, struct.pack or asked)
    first = up(end, 8) // 8
    offset = up(first, align)
    if struct.union:
        why = "every member of a union starts at offset 0"
    elif not end:
        why = "the first member starts the struct"
    elif offset == first:
        why = f"right behind the member before it: {align} divides {offset}"
    else:
        hole = span_is(first, offset - 1)
        why = f"the next multiple of {align} after {first}; {hole} a hole, where no member lies"
    why += _bent(member, abi, natural, asked, align)
    return Field(member.name, member.type, 8 * offset, 8 * size, align, why)


def _bent(member: Member, abi: Abi, natural: int, asked: int, align: int) -> str:
    """What made the alignment another than the type's own, or the type's than its size."""
    if align < asked:
        return f"; #pragma pack({align}) lowers the alignment from {asked} to {align}"
    if align > natural:
        return f"; aligned({member.align}) raises the alignment from {natural} to {align}"
    if align < natural:
        return f"; packed lowers the alignment from {natural} to {align}"
    kind = member.type
    if isinstance(kind, Scalar) and not kind.align and align < kind.on(abi).size:
        return f"; {abi.name} aligns no scalar to more than {abi.max_align}"
    return ""


def _is_disputed(kind: Scalar, bits: int, align: int, abi: Abi, end: int) -> bool:
    """Whether gcc and clang give an ``aligned(align)`` bit-field another place, if not packed.

    gcc looks whether it straddles its unit after ``aligned`` has moved it, clang before; and to
    gcc, what is as wide as an integer and in the right place is a member like others. Found by
    laying out the same thousands of structs with both on x86_64 and i386.
    """
    unit = kind.on(abi).bits
    natural = 8 * abi.align(unit // 8)
    if align:
        asked, start = 8 * align, up(end, 8 * align)
        if end % natural + bits > unit:
            return False
        whole = bits == unit > max(natural, asked) and start % unit == 0
        return whole or start % max(natural, asked) + bits > unit
    asked = 8 * kind.align or natural
    start = end if asked > unit else up(end, asked)
    crosses = end % asked + bits > unit
    plain = bits in WIDTHS and start % bits == 0
    if asked <= unit:
        return plain and asked < min(natural, bits)
    return end % asked > 0 and crosses == plain


def _bit_field(struct: Struct, member: Member, abi: Abi, end: int) -> Field:
    """A bit-field: behind the bits before it, unless it would straddle a unit of its type."""
    kind, bits = member.type, member.bits
    assert isinstance(kind, Scalar)
    assert bits is not None
    unit = kind.on(abi).bits
    if bits > unit:
        raise KvmvizError(f"a bit-field of {counted(bits, 'bit')}; {kind.name} has {unit}")
    natural = 8 * (kind.align or abi.align(unit // 8))
    in_units, packed = abi.bit_fields != "packed", struct.packed or member.packed
    if bits == 0:
        # gcc's EMPTY_FIELD_BOUNDARY: where there are no units, it ends one of 16 bits.
        align = max(natural if in_units else 16, 8 * member.align)
        why = f"no bits: ends the unit, up to a multiple of {align} bits"
        asked = 0 if abi.bit_fields == "units" else align // 8
        return Field(member.name, kind, up(end, align), 0, asked, why, 0)
    told, is_plain = "", in_units and not (struct.pack or packed)
    if struct.pack and member.align > struct.pack:
        told = f"aligned({member.align}) on a bit-field under #pragma pack({struct.pack})"
    elif is_plain and _is_disputed(kind, bits, member.align, abi, end):
        told = f"a bit-field of {counted(bits, 'bit')}, aligned({member.align or kind.align})"
    if told:
        raise KvmvizError(f"{told}; gcc and clang place it differently")
    # Where #pragma pack rules, packed no longer takes a bit-field's alignment away.
    align = natural if in_units and (struct.pack or not packed) else 1
    straddles = end % align + bits > unit
    align = max(align, 8 * member.align)
    align = min(align, 8 * struct.pack or align)
    start, why = (
        end,
        "right behind the bits before it" if end else f"the first bits of the {struct.word}",
    )
    if not struct.pack and end % align + bits > unit:
        start = up(end, align)
        why = f"it would straddle a unit of {unit} bits: up to the next multiple of {align} bits"
    elif member.align:
        start = up(end, 8 * member.align)
    if member.align and (struct.pack or not straddles):
        why = f"aligned({member.align}) moves it to a multiple of {8 * member.align} bits"
    counts = bool(member.name) or abi.bit_fields == "unnamed"
    if not in_units:
        # gcc makes it a member like others where it is as wide as an integer, and in the right
        # place before its own `aligned` moves it.
        whole = bits in (16, 32, 64) and end % 16 == 0 and not packed
        align = max(8 * member.align, min(16, 8 * struct.pack or 16)) if whole else align
        counts = whole or bool(member.align)
    return Field(member.name, kind, start, bits, up(align, 8) // 8 if counts else 0, why, bits)

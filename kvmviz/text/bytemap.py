"""A layout with the bits that each byte holds: byte order in words, before any value is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kvmviz._base import Twin, twin
from kvmviz.layout import Layout
from kvmviz.slot import Slot
from kvmviz.style import styles
from kvmviz.text import table, where

WIDEST = 8
"""Bytes whose bits are listed one by one."""


@dataclass(frozen=True, repr=False)
class ByteMap(Twin):
    """Where every member lies, which bits of it each byte holds, and what is padding."""

    layout: Layout


def bits_of_bytes(slot: Slot, first: int, size: int) -> str:
    """The bits of a value that each byte holds, first byte first: ``31:24 23:16 15:8 7:0``."""
    sources = (slot.source(at) for at in range(first, first + size))
    return " ".join(source.bits for source in sources if source)


def _bits(slot: Slot) -> str:
    """The same for a slot: of an array those of each element, of a bit-field with its place."""
    assert slot.type is not None
    if not slot.extent:
        return "flexible: elements lie behind what sizeof counts"
    if slot.is_bit_field:
        sources = ((at, slot.source(at)) for at in range(slot.offset, slot.offset + slot.size))
        return ", ".join(f"{s.bits} in bits {s.top}:{s.bottom} of +{at}" for at, s in sources if s)
    told = bits_of_bytes(slot, slot.offset, min(slot.type.size, WIDEST))
    more = " ..." if slot.type.size > WIDEST else ""
    return f"{'each: ' if slot.shape else ''}{told}{more}"


@twin.register
def _(shown: ByteMap) -> str:
    layout = shown.layout
    letters = styles(layout.named)
    rows: list[Sequence[object]] = [("offset", "size", "", "type", "member", "bits of its bytes")]
    for slot in layout.slots:
        part = (slot.is_bit_field and slot.extent) or (slot.type is None and slot.extent % 8)
        size = f"{slot.extent} bits" if part else slot.size
        if slot.type is None:
            rows.append((slot.offset, size, "-", "", slot.path, "no member"))
            continue
        name = slot.path + "".join(f"[{n or ''}]" for n in slot.shape)
        letter = letters[slot.member].letter
        rows.append((slot.offset, size, letter, slot.type.name, name, _bits(slot)))
    lost = sum(slot.size for slot in layout.holes if slot.extent % 8 == 0)
    head = f"{layout.struct} on {where(layout)}: size {layout.size}, align {layout.align}"
    return f"{head}\n{table(rows, right=(0, 1))}\n  padding: {lost} bytes"

"""Layout = Struct x Abi: offsets, size, alignment, holes, and the numpy dtype that packs them.

Where each member goes, and why, is in :mod:`kvmviz.rules`.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice, pairwise
from math import prod
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kvmviz import image as images
from kvmviz import rules
from kvmviz._base import KvmvizError, counted, integer, shown
from kvmviz.abi import ABIS, Abi
from kvmviz.ctype import Array, Scalar, Struct, Type, brackets
from kvmviz.rules import Field, up
from kvmviz.slot import Slot, Source, element_path
from kvmviz.style import styles
from kvmviz.text import span_is, table, where

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from kvmviz.image import Image

_PLACE = attrgetter("start")
MAX_SIZE = (1 << 31) - 1
"""Bytes of a layout: what the size of an object can be on all ABIs, and in numpy."""
MAX_SLOTS = 1 << 18
"""Leaves of a layout, each element of an array of structs counted for itself."""


class Layout:
    """A struct under an ABI. ``size`` and ``align`` are in bytes.

    ``fields`` are the direct members in their place, ``slots`` the leaves, padding included.
    """

    def __init__(self, struct: Struct, abi: str | Abi) -> None:
        if not isinstance(struct, Struct):
            raise KvmvizError(f"a layout is that of a struct, not of {shown(struct)}")
        self.struct = struct
        self.abi = ABIS.find(abi)
        self.fields = tuple(rules.fields(struct, self.abi))
        self.align = max(1, struct.align, *(field.align for field in self.fields))
        self.end = up(max((field.stop for field in self.fields), default=0), 8) // 8
        self.size = up(self.end, self.align)
        if self.size > MAX_SIZE:
            raise KvmvizError(f"{struct} on {self.abi.name} has more than {MAX_SIZE} bytes")
        self.align = struct.typedef_align or self.align

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Layout):
            return NotImplemented
        return (self.struct, self.abi) == (other.struct, other.abi)

    def __hash__(self) -> int:
        return hash((self.struct, self.abi))

    @cached_property
    def offsets(self) -> dict[str, int]:
        """Byte offset of every direct member, those of anonymous members included.

        Of a bit-field it is that of the byte where it begins.
        """
        return {name: field.offset for name, field in self.named.items()}

    @cached_property
    def named(self) -> dict[str, Field]:
        """Members in their place by the name that C code uses, anonymous members opened up."""
        rows: dict[str, Field] = {}
        for field in self.fields:
            if field.name is not None:
                rows[field.name] = field
            elif isinstance(field.type, Struct):
                inner = field.type.layout(self.abi).named
                rows |= {n: replace(f, start=field.start + f.start) for n, f in inner.items()}
        return rows

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        """The leaves, members and padding alike, in order of place.

        Outside unions they tile [0, size) with no gap and no overlap, bit by bit where there are
        bit-fields. In a union they overlap, and only what no member covers is padding.
        """
        opened = (leaf for field in self.named.values() for leaf in self._open(field))
        leaves = list(islice(opened, MAX_SLOTS + 1)) if self.leaves <= MAX_SLOTS else []
        if len(leaves) > MAX_SLOTS or self.leaves > MAX_SLOTS:
            raise KvmvizError(f"{self.struct} has more than {MAX_SLOTS} leaves")
        leaves.sort(key=_PLACE)
        held = [slot for slot in leaves if slot.type]
        free, tiles = [*self._free(held)], [*held]
        for hole in leaves:
            # A nested struct's padding is none where another member of a union lies.
            at = bisect(free, hole.start, key=itemgetter(0)) - 1
            if not hole.type and at >= 0 and hole.stop <= free[at][1]:
                tiles.append(hole)
                free[at] = hole.stop, free[at][1]
        tiles.sort(key=_PLACE)
        for start, stop in [*self._free(tiles)]:
            before = bisect(held, start, key=_PLACE)
            tiles += self._gaps(start, stop, f"after {held[before - 1].path}" if before else "")
        return tuple(sorted(tiles, key=_PLACE))

    def _free(self, tiles: list[Slot]) -> Iterator[tuple[int, int]]:
        """Bits of the struct, from and to, that none of these slots covers; they are in order."""
        end = 0
        for slot in tiles:
            if slot.extent:  # a flexible array covers nothing
                if slot.start > end:
                    yield end, slot.start
                end = max(end, slot.stop)
        if 8 * self.size > end:
            yield end, 8 * self.size

    def _gaps(self, start: int, stop: int, after: str) -> Iterator[Slot]:
        """What no member covers, cut where a byte that holds bit-fields ends."""
        cuts = sorted({start, min(up(start, 8), stop), max(stop // 8 * 8, start), stop})
        for first, last in pairwise(cuts):
            name = "hole" if (last - first) % 8 == 0 else "unused bits"
            name = "tail padding" if first >= 8 * self.end else f"{name} {after or 'at the start'}"
            yield Slot(name, "", first, last - first, None, self.abi.byte_order)

    def _open(self, field: Field, path: str = "") -> Iterator[Slot]:
        """The leaves of a member; ``path`` is the array element that it is, if it is one."""
        name = field.name or ""
        path, leaf, shape = path or name, field.type.leaf, field.type.shape
        if isinstance(leaf, Scalar):
            order = leaf.order or self.abi.byte_order
            yield Slot(path, name, field.start, field.extent, leaf.on(self.abi), order, shape)
            return
        inner = leaf.layout(self.abi)
        if not inner.slots:
            return
        for number in range(prod(shape)):
            element = element_path(path, shape, number)
            for slot in inner.slots:
                where = f"{element}: {slot.path}" if slot.is_padding else f"{element}.{slot.path}"
                start = field.start + 8 * inner.size * number + slot.start
                size, held, order = slot.extent, slot.type, slot.order
                yield Slot(where, name, start, size, held, order, slot.shape)

    @cached_property
    def paths(self) -> dict[str, Slot]:
        """Its slots by path, padding left out."""
        return {slot.path: slot for slot in self.slots if slot.type}

    def slot_at(self, offset: int) -> Slot:
        """The first slot that covers a byte."""
        found = integer(offset, f"{self.struct}, offset")
        if not 0 <= found < self.size:
            legal = f"legal are 0 .. {self.size - 1}"
            raise KvmvizError(f"{self.struct} has no byte {shown(found)}; {legal}")
        return self.slots[int(self._first[found])]

    @cached_property
    def _first(self) -> npt.NDArray[np.int32]:
        """The number of that slot, byte by byte."""
        found = np.zeros(self.size, np.int32)
        for number in reversed(range(len(self.slots))):
            slot = self.slots[number]
            found[slot.offset : slot.offset + slot.size] = number
        return found

    @cached_property
    def leaves(self) -> int:
        """Slots of its members, one each at least; of arrays of structs, those of every element."""

        def count(kind: Type) -> int:
            if not isinstance(kind.leaf, Struct):
                return 1
            return max(1, max(1, kind.leaf.layout(self.abi).leaves) * prod(kind.shape))

        return sum(count(field.type) for field in self.fields)

    @property
    def holes(self) -> tuple[Slot, ...]:
        """The padding among :attr:`slots`: inner holes and tail padding."""
        return tuple(slot for slot in self.slots if slot.is_padding)

    @cached_property
    def holders(self) -> tuple[tuple[Source, ...], ...]:
        """For each byte, every slot that holds it: none in padding, several in a union."""
        rows: list[list[Source]] = [[] for _ in range(self.size)]
        for slot in self.slots:
            for offset, source in slot.placed:
                rows[offset].append(source)
        return tuple(map(tuple, rows))

    @cached_property
    def rules(self) -> Rules:
        """The layout, explained rule by rule."""
        return Rules(self)

    @cached_property
    def dtype(self) -> np.dtype[np.void]:
        """A numpy structured dtype with explicit offsets and itemsize: padding stays padding.

        numpy knows no bit-fields: one stands for the bytes that hold it, as an unsigned integer
        of the ABI's byte order where they are 1, 2, 4 or 8, else as an array of bytes. Which of
        their bits it is, its slot says.
        """
        return np.dtype(
            {
                "names": list(self.named),
                "formats": [self._format(field.type, field) for field in self.named.values()],
                "offsets": list(self.offsets.values()),
                "itemsize": self.size,
            }
        )

    def _format(self, kind: Type, field: Field | None = None) -> Any:
        if isinstance(kind, Array):
            return (self._format(kind.leaf), kind.shape)
        if isinstance(kind, Struct):
            return kind.layout(self.abi).dtype
        order = kind.order or self.abi.byte_order
        if field is None or field.bits is None:
            return kind.on(self.abi).dtype(order)
        size = up(field.stop, 8) // 8 - field.offset
        mark = "<" if order == "little" else ">"
        return np.dtype(f"{mark}u{size}") if size in (1, 2, 4, 8) else ("u1", (size,))

    def pack(self, values: Mapping[str, images.Value], fill: int | Buffer | Image = 0) -> Image:
        """Write members into memory: an image of ``size`` bytes that knows who wrote each.

        ``values`` maps members to an int, a list (arrays; a mapping of index to value for some of
        the elements) or a mapping (nested structs); what is left out is not written. ``fill`` is
        what the memory held before: a byte's value, or a buffer of ``size`` bytes. A value out of
        range, an unknown member and a list of another length raise :class:`KvmvizError`. Of a
        ``long double`` wider than a double, which no type of Python holds, the value is its bytes.
        """
        return images.pack(self, values, fill)

    def unpack(self, buffer: Buffer | Image, offset: int = 0) -> dict[str, Any]:
        """The members' values in a buffer, from byte ``offset`` on; padding is not looked at.

        Raises :class:`KvmvizError` for what is no buffer, or a buffer too short.
        """
        return images.unpack(self, buffer, offset)

    def __repr__(self) -> str:
        letters = styles(self.named)
        head = f"{self.struct} on {where(self)}: size {self.size}, align {self.align}"
        rows: list[Sequence[object]] = [
            ("offset", "size", "", "type", "member", "bits of its bytes")
        ]
        for slot in self.slots:
            cells = ["-", "", slot.path, "no member"]
            if slot.type is not None:
                name = slot.path + brackets(slot.shape).replace("[0]", "[]")
                cells = [letters[slot.member].letter, slot.type.name, name, _bits(slot)]
            parts = slot.is_bit_field or slot.extent % 8
            rows.append((slot.offset, counted(slot.extent, "bit") if parts else slot.size, *cells))
        inner = [slot.extent for slot in self.holes if slot.start < 8 * self.end]
        holes = [extent // 8 for extent in inner if extent % 8 == 0]
        unused = sum(extent for extent in inner if extent % 8)
        last = f"  holes: {len(holes)}, {counted(sum(holes), 'byte')} in all; "
        last += f"tail padding: {counted(self.size - self.end, 'byte')}"
        last += f"; unused bits beside bit-fields: {unused}" if unused else ""
        return f"{head}\n{table(rows, right=(0, 1))}\n{last}"


WIDEST = 8
"""Bytes whose bits are listed one by one."""


def _bits(slot: Slot) -> str:
    """The bits that each byte holds: of an array's elements, of a bit-field with its place."""
    assert slot.type is not None
    if not slot.extent:
        return "flexible: elements lie behind what sizeof counts"
    if slot.is_bit_field:
        return ", ".join(f"{s.bits} in +{at}[{s.top}:{s.bottom}]" for at, s in slot.placed)
    told = slot.bits_of_bytes(slot.offset, min(slot.type.size, WIDEST))
    more = " ..." if slot.type.size > WIDEST else ""
    return f"{'each: ' if slot.shape else ''}{told}{more}"


@dataclass(frozen=True)
class Rules:
    """How a layout comes about, one step of the rule a line."""

    layout: Layout

    def __post_init__(self) -> None:
        if not isinstance(self.layout, Layout):
            raise KvmvizError(f"{shown(self.layout)} is no layout; see Struct.layout(abi)")

    @cached_property
    def steps(self) -> tuple[str, ...]:
        """The sentences: one a member, then alignment and size of the whole."""
        steps = []
        for field in self.layout.fields:
            if field.bits is None:
                size = counted(field.extent // 8, "byte")
                size += f", aligned to {field.align}. Offset {field.offset}"
            else:
                size = counted(field.bits, "bit")
                # Bits are numbered from the least significant, wherever the ABI begins.
                first = field.start % 8
                first = first if self.layout.abi.byte_order == "little" else 7 - first
                size += f". At bit {first} of byte {field.offset}"
            steps.append(f"{field.title}: {size}: {field.why}.")
        return (*steps, *self._round_up())

    def _round_up(self) -> Iterator[str]:
        layout, struct, word = self.layout, self.layout.struct, self.layout.struct.word
        asked = max((field.align for field in layout.fields), default=1)
        own = max(1, asked, struct.align)
        if struct.align > asked:
            yield f"the {word} is aligned to {own}, as its aligned attribute says."
        elif asked <= 1:
            yield f"the {word} is aligned to 1: no member asks for more."
        else:
            widest = next(f for f in layout.fields if f.align == asked)
            title = widest.name or f"an {widest.title}"
            yield f"the {word} is aligned to {own}, as its most aligned member, {title}."
        tail = f"{span_is(layout.end, layout.size - 1)} tail padding"
        tail = tail if layout.size > layout.end else "no tail padding"
        yield f"size {layout.size}: {layout.end} rounded up to a multiple of {own}; {tail}."
        if struct.typedef_align:
            effect = "which does not change its size"
            yield f"under its typedef it is aligned to {layout.align}, {effect}."

    def __repr__(self) -> str:
        layout = self.layout
        steps = (f"  {number}. {step}" for number, step in enumerate(self.steps, 1))
        head = f"{layout.struct} on {where(layout)}, rule by rule"
        return "\n".join((head, *steps, f"  Source: {layout.abi.source}"))

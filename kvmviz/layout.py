"""Layout = Struct x Abi: offsets, size, alignment, holes, and the numpy dtype that packs them.

The rule is the same on every ABI (AAPCS64, Composite Types; the other ABIs word it alike): a
member goes to the next offset that its alignment divides; a struct is aligned as its most
aligned member; its size is rounded up to that alignment. Only the alignment of a scalar is the
ABI's, see :mod:`kvmviz.abi`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from kvmviz import abi as abis
from kvmviz import codec
from kvmviz._base import Twin
from kvmviz.abi import Abi
from kvmviz.ctype import Array, Scalar, Struct, Type
from kvmviz.slot import Slot, Source

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from kvmviz.image import Image


@dataclass(frozen=True)
class Field:
    """A direct member in its place: ``offset``, ``size``, ``align`` in bytes, ``why`` the rule."""

    name: str | None
    type: Type
    offset: int
    size: int
    align: int
    why: str


@dataclass(frozen=True, repr=False)
class Rules(Twin):
    """How a layout comes about, one step of the rule a line."""

    layout: Layout
    steps: tuple[str, ...]


class Layout(Twin):
    """A struct under an ABI. ``size`` and ``align`` are in bytes.

    ``fields`` are the direct members in their place, ``slots`` the leaves, padding included.
    """

    def __init__(self, struct: Struct, abi: str | Abi) -> None:
        self.struct = struct
        self.abi = abis.find(abi)
        self.fields = tuple(self._place())
        self.align = max(field.align for field in self.fields)
        self.end = max(field.offset + field.size for field in self.fields)
        self.size = _up(self.end, self.align)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Layout):
            return NotImplemented
        return (self.struct, self.abi) == (other.struct, other.abi)

    def __hash__(self) -> int:
        return hash((self.struct, self.abi))

    def _place(self) -> Iterator[Field]:
        end = 0
        for member in self.struct.members:
            size, align = self._extent(member.type)
            offset = 0 if self.struct.union else _up(end, align)
            if self.struct.union:
                why = "every member of a union starts at offset 0"
            elif end == 0:
                why = "the first member starts the struct"
            elif offset == end:
                why = f"right behind the member before it: {align} divides {end}"
            else:
                why = (
                    f"the next multiple of {align} after {end}; "
                    f"bytes {end}..{offset - 1} are a hole that nobody writes"
                )
            yield Field(member.name, member.type, offset, size, align, why)
            end = offset + size

    def _extent(self, kind: Type) -> tuple[int, int]:
        """Size and alignment, in bytes, of a type: an array is aligned as its element."""
        if isinstance(kind, Scalar):
            return kind.size, self.abi.align(kind.size)
        if isinstance(kind, Array):
            size, align = self._extent(kind.element)
            return size * kind.count, align
        inner = kind.layout(self.abi)
        return inner.size, inner.align

    @cached_property
    def offsets(self) -> dict[str, int]:
        """Byte offset of every direct member, those of anonymous members included."""
        return {name: offset for name, (offset, _) in self.named.items()}

    @cached_property
    def named(self) -> dict[str, tuple[int, Type]]:
        """Offset and type by the name that C code uses, anonymous members opened up."""
        rows: dict[str, tuple[int, Type]] = {}
        for field in self.fields:
            if field.name is not None:
                rows[field.name] = (field.offset, field.type)
            else:
                inner = cast(Struct, field.type).layout(self.abi)
                rows |= {n: (field.offset + at, kind) for n, (at, kind) in inner.named.items()}
        return rows

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        """The leaves, members and padding alike, in order of offset.

        Outside unions they tile [0, size) with no gap and no overlap. In a union they overlap,
        and only bytes that no member covers are padding.
        """
        found = sorted(self._leaves(), key=lambda slot: slot.offset)
        covered = np.zeros(self.size, dtype=bool)
        inner = [slot for slot in found if slot.is_padding]
        found = [slot for slot in found if not slot.is_padding]
        for slot in found:
            covered[slot.offset : slot.offset + slot.size] = True
        holes: list[Slot] = []
        for slot in inner:
            # A nested struct's padding is none where another member of a union lies.
            place = slice(slot.offset, slot.offset + slot.size)
            if not covered[place].any():
                covered[place] = True
                holes.append(slot)
        edges = np.flatnonzero(np.diff(covered, prepend=True, append=True))
        for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            before = [slot.path for slot in found if slot.offset + slot.size <= start]
            name = "tail padding" if start >= self.end else f"hole after {before[-1]}"
            holes.append(Slot(name, "", start, stop - start, None, self.abi.byte_order))
        return tuple(sorted(found + holes, key=lambda slot: slot.offset))

    def _leaves(self) -> Iterator[Slot]:
        for name, (offset, kind) in self.named.items():
            yield from self._open(kind, name, name, offset)

    def _open(self, kind: Type, path: str, member: str, offset: int) -> Iterator[Slot]:
        if isinstance(kind, Struct):
            for inner in kind.layout(self.abi).slots:
                where = f"{path}: {inner.path}" if inner.is_padding else f"{path}.{inner.path}"
                at = offset + inner.offset
                yield Slot(where, member, at, inner.size, inner.type, inner.order, inner.shape)
            return
        leaf = kind.leaf
        shape = kind.shape if isinstance(kind, Array) else ()
        size, _ = self._extent(kind)
        if isinstance(leaf, Scalar):
            yield Slot(path, member, offset, size, leaf, self.abi.byte_order, shape)
            return
        step = leaf.layout(self.abi).size
        for number, place in enumerate(product(*map(range, shape))):
            element = path + "".join(f"[{i}]" for i in place)
            yield from self._open(leaf, element, member, offset + number * step)

    @property
    def holes(self) -> tuple[Slot, ...]:
        """The padding among :attr:`slots`: inner holes and tail padding."""
        return tuple(slot for slot in self.slots if slot.is_padding)

    @cached_property
    def holders(self) -> tuple[tuple[Source, ...], ...]:
        """For each byte, every slot that holds it: none in padding, several in a union."""
        rows: list[list[Source]] = [[] for _ in range(self.size)]
        for slot in self.slots:
            for offset in range(slot.offset, slot.offset + slot.size):
                if source := slot.source(offset):
                    rows[offset].append(source)
        return tuple(map(tuple, rows))

    @cached_property
    def rules(self) -> Rules:
        """The layout, explained rule by rule."""
        steps = []
        for field in self.fields:
            name = field.name or "anonymous member"
            limit = ""
            if isinstance(field.type, Scalar) and field.align < field.size:
                limit = f" ({self.abi.name} aligns nothing to more than {self.abi.max_align})"
            steps.append(
                f"{name}: {field.size} bytes, aligned to {field.align}{limit}. "
                f"Offset {field.offset}: {field.why}."
            )
        widest = next(f.name or "an anonymous member" for f in self.fields if f.align == self.align)
        steps.append(
            f"the struct is aligned to {self.align}, as its most aligned member, {widest}."
        )
        tail = f"bytes {self.end}..{self.size - 1} are tail padding"
        steps.append(
            f"size {self.size}: {self.end} rounded up to a multiple of {self.align}; "
            f"{tail if self.size > self.end else 'no tail padding'}."
        )
        return Rules(self, tuple(steps))

    @cached_property
    def dtype(self) -> np.dtype[np.void]:
        """A numpy structured dtype with explicit offsets and itemsize: padding stays padding."""
        return np.dtype(
            {
                "names": list(self.named),
                "formats": [self._format(kind) for _, kind in self.named.values()],
                "offsets": list(self.offsets.values()),
                "itemsize": self.size,
            }
        )

    def _format(self, kind: Type) -> Any:
        if isinstance(kind, Array):
            return (self._format(kind.leaf), kind.shape)
        if isinstance(kind, Struct):
            return kind.layout(self.abi).dtype
        return kind.dtype(self.abi.byte_order)

    def pack(self, values: Mapping[str, codec.Value], fill: int | Buffer | Image = 0) -> Image:
        """Write members into memory: an image of ``size`` bytes that knows who wrote each.

        ``values`` maps members to an int, a list (arrays; a mapping of index to value for some of
        the elements) or a mapping (nested structs); what is left out is not written. ``fill`` is
        what the memory held before: a byte's value, or a buffer of ``size`` bytes. A value out of
        range, an unknown member and a list of another length raise :class:`KvmvizError`.
        """
        return codec.pack(self, values, fill)

    def unpack(self, buffer: Buffer | Image, offset: int = 0) -> dict[str, Any]:
        """The members' values in a buffer, from byte ``offset`` on; padding is not looked at.

        Raises :class:`KvmvizError` for what is no buffer, or a buffer too short.
        """
        return codec.unpack(self, buffer, offset)


def _up(offset: int, align: int) -> int:
    """The next multiple of ``align`` at or after ``offset``."""
    return -(-offset // align) * align

"""What changed between two layouts of one struct on one ABI, member by member.

A member is what C code can name: a scalar or an array of them, also inside a nested struct, where
it goes by its path (``arch.hsr``). A nested struct that only moved, came or went is one change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from kvmviz.ctype import Array, Struct, Type
from kvmviz.layout import Layout
from kvmviz.slot import Slot
from kvmviz.verdict import Witness, member_of, numbers_alike

Members = Mapping[str, tuple[Slot, ...]]
"""Leaves by path, those of an array's elements under one path."""


@dataclass(frozen=True)
class Change:
    """One member on both sides; no slots on the side that does not have it.

    ``lost`` are the bytes that an old reader of a new writer does not get right, ``gained`` those
    that a new reader of an old writer does not. ``kinds`` are the types, None on a side without.
    """

    name: str
    old: tuple[Slot, ...]
    new: tuple[Slot, ...]
    lost: tuple[Witness, ...]
    gained: tuple[Witness, ...]
    kinds: tuple[Type | None, Type | None]

    @property
    def start(self) -> tuple[int, int]:
        """The first bit that it holds, before and after."""
        return self.old[0].start, self.new[0].start

    @property
    def moves(self) -> bool:
        """Both sides have it, in different places."""
        return bool(self.old and self.new) and self.start[0] != self.start[1]

    @property
    def width(self) -> tuple[int, int]:
        """Bits of one value, before and after."""
        return self.old[0].width, self.new[0].width

    @property
    def count(self) -> tuple[int, int]:
        """How many elements, before and after; 1 for what is no array."""
        return _count(self.kinds[0], self.old), _count(self.kinds[1], self.new)

    @property
    def grows(self) -> bool:
        """Both sides have it, and the new one is larger."""
        if not (self.old and self.new):
            return False
        return stop(self.new) - self.start[1] > stop(self.old) - self.start[0]

    @property
    def widens(self) -> bool:
        """One integer on both sides, of more bits now; no bit-field."""
        if not (self.old and self.new) or self.is_struct or self.is_another or self.is_bit_field:
            return False
        return self.count == (1, 1) and self.width[0] < self.width[1]

    @property
    def is_struct(self) -> bool:
        """A struct, or an array of them, as a whole."""
        return any(kind is not None and isinstance(kind.leaf, Struct) for kind in self.kinds)

    @property
    def is_another(self) -> bool:
        """Its type is another, not merely wider or longer: what it holds is told by its type."""
        one, two = self.kinds
        if one is None or two is None:
            return False
        if isinstance(one.leaf, Struct) or isinstance(two.leaf, Struct):
            return not (isinstance(one.leaf, Struct) and isinstance(two.leaf, Struct))
        (before, *_), (after, *_) = self.old, self.new
        shapes = [kind.shape if isinstance(kind, Array) else () for kind in self.kinds]
        return (
            not numbers_alike(before, after)
            or (before.order != after.order and not self.is_bit_field and before.width > 8)
            or len(shapes[0]) != len(shapes[1])
            or shapes[0][1:] != shapes[1][1:]
            or (before.width != after.width and shapes[0] != shapes[1])
        )

    @property
    def is_bit_field(self) -> bool:
        """It is one before or after."""
        return any(slot.is_bit_field for slot in (*self.old, *self.new))


def members(layout: Layout) -> Mapping[str, Members]:
    """The leaves that hold bits: by direct member, then by path, in order of place."""
    found: dict[str, dict[str, list[Slot]]] = {}
    for slot in layout.slots:
        if not slot.is_padding and slot.extent:
            paths = found.setdefault(slot.member, {})
            paths.setdefault(member_of(slot.path), []).append(slot)
    return {
        name: {path: tuple(slots) for path, slots in paths.items()} for name, paths in found.items()
    }


def stop(slots: Sequence[Slot]) -> int:
    """The first bit of memory behind all of them."""
    return max(slot.start + slot.extent for slot in slots)


def _count(kind: Type | None, slots: tuple[Slot, ...]) -> int:
    if kind is not None and isinstance(kind.leaf, Struct):
        return prod(kind.shape) if isinstance(kind, Array) else 1
    return prod(slots[0].shape) * len(slots)

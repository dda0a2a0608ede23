"""What changed between two layouts of one struct on one ABI, member by member.

A member is what C code can name: a scalar or an array of them, also inside a nested struct, where
it goes by its path (``arch.hsr``). A nested struct that only moved, came or went is one change.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from kvmviz.compat import Verdict, Witness, flexible
from kvmviz.ctype import Array, Type
from kvmviz.layout import Layout
from kvmviz.slot import Slot

_INDEX = re.compile(r"\[\d+\]")

Members = Mapping[str, tuple[Slot, ...]]
"""The leaves of a layout by path, those of an array's elements under one path."""


@dataclass(frozen=True)
class Change:
    """One member on both sides; no slots on the side that does not have it.

    ``lost`` are the bytes that an old reader of a new writer does not get right, ``gained`` those
    that a new reader of an old writer does not. ``kinds`` are its types, where it has one.
    """

    name: str
    old: tuple[Slot, ...]
    new: tuple[Slot, ...]
    lost: tuple[Witness, ...]
    gained: tuple[Witness, ...]
    kinds: tuple[Type | None, Type | None] = (None, None)

    @property
    def start(self) -> tuple[int, int]:
        """The first bit that it holds, before and after."""
        return min(s.start for s in self.old), min(s.start for s in self.new)

    @property
    def width(self) -> tuple[int, int]:
        """Bits of one value, before and after."""
        return self.old[0].width, self.new[0].width

    @property
    def count(self) -> tuple[int, int]:
        """How many elements, before and after; 1 for what is no array."""
        return _count(self.kinds[0], self.old), _count(self.kinds[1], self.new)

    @property
    def is_bit_field(self) -> bool:
        """It is one before or after."""
        return any(slot.is_bit_field for slot in (*self.old, *self.new))

    @property
    def bits(self) -> frozenset[int]:
        """The bits of memory that it holds in the new layout, or if it went, held in the old."""
        slots = self.new or self.old
        return frozenset(bit for s in slots for bit in range(s.start, s.start + s.extent))


@dataclass(frozen=True)
class Pair:
    """A layout before and after a change, on one ABI."""

    old: Layout
    new: Layout

    @cached_property
    def forward(self) -> Verdict:
        """What a reader built before the change gets from a writer built after it."""
        return Verdict(self.new, self.old)

    @cached_property
    def backward(self) -> Verdict:
        """What a reader built after the change gets from a writer built before it."""
        return Verdict(self.old, self.new)

    @property
    def is_same(self) -> bool:
        """Every leaf has the same name, type and place, and so has the whole."""
        before, after = self.old, self.new
        return (before.size, before.align, before.slots, flexible(before)) == (
            after.size,
            after.align,
            after.slots,
            flexible(after),
        )

    @cached_property
    def changes(self) -> tuple[Change, ...]:
        """Every member that differs, in the order of the new struct; then those that are gone."""
        return tuple(self._changes())

    def _changes(self) -> Iterator[Change]:
        old, new = members(self.old), members(self.new)
        for name in dict.fromkeys((*self.new.named, *self.old.named)):
            before = {path: slots for path, slots in old.items() if slots[0].member == name}
            after = {path: slots for path, slots in new.items() if slots[0].member == name}
            if not (before and after) or _as_one(before, after):
                kinds = [side.named[name].type if name in side.named else None
                         for side in (self.old, self.new)]  # fmt: skip
                yield from self._one(name, before, after, (kinds[0], kinds[1]))
                continue
            for path in dict.fromkeys((*after, *before)):
                sides = ({path: m[path]} if path in m else {} for m in (before, after))
                yield from self._one(path, *sides)

    def _one(
        self,
        name: str,
        before: Members,
        after: Members,
        kinds: tuple[Type | None, Type | None] = (None, None),
    ) -> Iterator[Change]:
        old, new = (tuple(s for slots in m.values() for s in slots) for m in (before, after))
        if old != new:
            lost = _wrong(self.forward, before)
            gained = _wrong(self.backward, after)
            yield Change(name, old, new, lost, gained, kinds)

    @cached_property
    def covered(self) -> frozenset[int]:
        """The bits of memory that members of the old layout hold."""
        held = (s for s in self.old.slots if not s.is_padding)
        return frozenset(bit for s in held for bit in range(s.start, s.start + s.extent))


def members(layout: Layout) -> dict[str, tuple[Slot, ...]]:
    """The leaves by path, in order of declaration."""
    found: dict[str, list[Slot]] = {}
    for slot in layout.slots:
        if not slot.is_padding and slot.extent:
            found.setdefault(_INDEX.sub("", slot.path), []).append(slot)
    order = list(layout.named)
    rows = sorted(found.items(), key=lambda row: order.index(row[1][0].member))
    return {path: tuple(slots) for path, slots in rows}


def _wrong(verdict: Verdict, paths: Iterable[str]) -> tuple[Witness, ...]:
    names = set(paths)
    return tuple(w for w in verdict.witnesses if w.wanted.member in names and w.status != "intact")


def _as_one(before: Members, after: Members) -> bool:
    """A nested struct or array of them that is the same inside: only place or count differ."""
    if before.keys() != after.keys() or len(before) == 1:
        return False
    return _inside(before) == _inside(after)


def _inside(side: Members) -> list[tuple[object, ...]]:
    first = min(slots[0].start for slots in side.values())
    return [
        (path, s.start - first, s.extent, s.type, s.order, s.shape)
        for path, (s, *_) in side.items()
    ]


def _count(kind: Type | None, slots: tuple[Slot, ...]) -> int:
    shape = kind.shape if isinstance(kind, Array) else slots[0].shape if kind is None else ()
    number = 1
    for size in shape:
        number *= size
    return number * (len(slots) if kind is None else 1)

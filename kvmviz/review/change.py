"""What changed between two layouts of one struct on one ABI, member by member.

A member is what C code can name: a scalar or an array of them, also inside a nested struct, where
it goes by its path (``arch.hsr``). A nested struct that only moved, came or went is one change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

from kvmviz.compat import Verdict, Witness, flexible, member_of
from kvmviz.ctype import Array, Struct, Type
from kvmviz.layout import Layout
from kvmviz.slot import Slot

Members = Mapping[str, tuple[Slot, ...]]
"""Leaves by path, those of an array's elements under one path."""


@dataclass(frozen=True)
class Change:
    """One member on both sides; no slots on the side that does not have it.

    ``lost`` are the bytes that an old reader of a new writer does not get right, ``gained`` those
    that a new reader of an old writer does not. ``kinds`` are the types of a direct member.
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
    def is_struct(self) -> bool:
        """A direct member that is a struct, or an array of them, as a whole."""
        return any(kind is not None and isinstance(kind.leaf, Struct) for kind in self.kinds)

    @property
    def is_bit_field(self) -> bool:
        """It is one before or after."""
        return any(slot.is_bit_field for slot in (*self.old, *self.new))


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

    @cached_property
    def key(self) -> object:
        """Equal where the change is the same in every byte, on whatever ABI."""
        sides = ((s.size, s.align, s.slots, (*s.named,)) for s in (self.old, self.new))
        return self.old.abi.byte_order, *sides

    @property
    def is_same(self) -> bool:
        """Every leaf has the same name, type and place, and so has the whole."""
        before, after = (
            (side.size, side.align, side.slots, flexible(side)) for side in (self.old, self.new)
        )
        return before == after

    @cached_property
    def changes(self) -> tuple[Change, ...]:
        """Every member that differs, in the order of the new struct; then those that are gone."""
        return tuple(self._changes())

    def _changes(self) -> Iterator[Change]:
        old, new = members(self.old), members(self.new)
        for name in dict.fromkeys((*self.new.named, *self.old.named)):
            before, after = old.get(name, {}), new.get(name, {})
            if not (before and after) or _as_one(before, after):
                yield from self._one(name, before, after)
                continue
            length = list(self._one(name, before, after))
            resized = bool(length) and length[0].is_struct and len(set(length[0].count)) > 1
            if resized:
                # What happened inside an element is told apart from how many there are.
                yield from length
            for path in dict.fromkeys((*after, *before)):
                sides = [{path: side[path]} if path in side else {} for side in (before, after)]
                if not (resized and all(sides) and _inside(sides[0]) == _inside(sides[1])):
                    yield from self._one(path, *sides)

    def _one(self, name: str, before: Members, after: Members) -> Iterator[Change]:
        old, new = (tuple(s for slots in m.values() for s in slots) for m in (before, after))
        if old == new:
            return
        lost = tuple(w for path in before for w in self._wrong[0].get(path, ()))
        gained = tuple(w for path in after for w in self._wrong[1].get(path, ()))
        old_kind, new_kind = (
            side.named[name].type if name in side.named else None for side in (self.old, self.new)
        )
        yield Change(name, old, new, lost, gained, (old_kind, new_kind))

    def pushed(self, change: Change) -> tuple[Slot, Slot] | None:
        """The member right behind one that is new or grew, if that moved it: before and after."""
        places = sorted(self._shared[1].items(), key=lambda row: row[1][0].start)
        first, last = change.new[0].start, stop(change.new)
        here = [row for row in places if row[1][0].start < first and row[0] in self._shared[0]]
        behind = [row for row in places if row[1][0].start >= last]
        if not behind or behind[0][0] not in self._shared[0]:
            return None
        if change.old:
            shift = change.start[1] - change.start[0]
        else:
            shift = self._shift(here[-1][0]) if here else 0
        name = behind[0][0]
        return (self._shared[0][name][0], behind[0][1][0]) if self._shift(name) > shift else None

    def _shift(self, path: str) -> int:
        return self._shared[1][path][0].start - self._shared[0][path][0].start

    @cached_property
    def _shared(self) -> tuple[Members, Members]:
        """Both sides' leaves by path."""
        old, new = (
            {path: slots for paths in members(side).values() for path, slots in paths.items()}
            for side in (self.old, self.new)
        )
        return old, new

    @cached_property
    def _wrong(self) -> tuple[Mapping[str, list[Witness]], Mapping[str, list[Witness]]]:
        return _by_path(self.forward), _by_path(self.backward)


def _by_path(verdict: Verdict) -> Mapping[str, list[Witness]]:
    found: dict[str, list[Witness]] = {}
    for witness in verdict.witnesses:
        if witness.status != "intact":
            found.setdefault(member_of(witness.wanted.slot.path), []).append(witness)
    return found


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


def overlaps(slot: Slot, others: Iterable[Slot]) -> bool:
    """It shares bits of memory with one of them."""
    return any(
        slot.start < other.start + other.extent and other.start < slot.start + slot.extent
        for other in others
    )


def stop(slots: Sequence[Slot]) -> int:
    """The first bit of memory behind all of them."""
    return max(slot.start + slot.extent for slot in slots)


def _as_one(before: Members, after: Members) -> bool:
    """A nested struct, or an array of them, that is the same inside: place or count differ."""
    return len(before) > 1 and _inside(before) == _inside(after)


def _inside(side: Members) -> set[tuple[object, ...]]:
    first = min(slots[0].start for slots in side.values())
    return {
        (path, s.start - first, s.extent, s.type, s.order, s.shape)
        for path, (s, *_) in side.items()
    }


def _count(kind: Type | None, slots: tuple[Slot, ...]) -> int:
    if kind is None:
        return prod(slots[0].shape) * len(slots)
    return prod(kind.shape) if isinstance(kind, Array) else 1

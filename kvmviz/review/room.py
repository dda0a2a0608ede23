"""Holes that a change leaves free, for members that a remedy may put there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

from kvmviz.review.change import Change
from kvmviz.review.home import Home, counterpart, homes, own_holes, told_hole
from kvmviz.review.index import Index
from kvmviz.review.pair import Pair
from kvmviz.rules import up
from kvmviz.slot import Slot
from kvmviz.text import span


class Room(NamedTuple):
    """A hole, or what is free of it: its name, and its bytes in the whole struct."""

    name: str
    first: int
    size: int

    def __str__(self) -> str:
        return f"{self.name} ({span(self.first, self.first + self.size - 1)})"


@lru_cache(maxsize=64)
def rooms(pair: Pair) -> Mapping[str, Room]:
    """A hole for the further bits of each member that is wider now, by path.

    It lies in the struct that declares the member, whatever a union has beside that, or in one
    around it. No hole is given twice, nor what the same change fills of one.
    """
    fresh = Index(slot for change in pair.changes if not change.old for slot in change.new)
    found: dict[str, Room] = {}
    taken: set[int] = set()
    for change in pair.changes:
        if change.widens:
            fitting = (room for room in _fitting(pair, change, fresh) if room.first not in taken)
            if room := next(fitting, None):
                found[change.name] = room
                taken.add(room.first)
    return found


def _fitting(pair: Pair, change: Change, fresh: Index) -> Iterator[Room]:
    """The holes that could take it, the nearest struct's first, there the one right behind it."""
    # In the smallest integer that takes them.
    need = 1 << ((change.width[1] - change.width[0]) // 8 - 1).bit_length()
    end = change.old[0].start + change.old[0].extent
    for home in reversed(homes(pair.old, change.name)):
        after = counterpart(home, pair.new)
        if home.is_union or after is None:
            continue
        holes = own_holes(home.layout)
        behind = holes.get(end - 8 * home.base)
        for slot in chain((behind,) if behind else (), holes.values()):
            for first, stop in _free(slot, after, fresh):
                align = home.layout.abi.align(need)
                if up(first, align) + need <= stop:
                    name = told_hole(slot.path, home.path)
                    yield Room(name, home.base + first, stop - first)


def _free(slot: Slot, after: Home, fresh: Index) -> Iterator[tuple[int, int]]:
    """First and last byte, plus one, of what no new member takes of a hole."""
    begin, end = slot.offset, slot.offset + slot.size
    for other in fresh.over(8 * (after.base + begin), 8 * (after.base + end)):
        if begin < other.offset - after.base:
            yield begin, other.offset - after.base
        begin = max(begin, other.offset + other.size - after.base)
    if begin < end:
        yield begin, end

"""A layout before and after a change on one ABI, and the members that differ."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from kvmviz.layout import Layout
from kvmviz.review.change import Change, Members, members, stop
from kvmviz.slot import Slot
from kvmviz.verdict import Place, Verdict, Witness, flexible, place


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
        sides = (
            (s.size, s.align, s.slots, (*s.named,), tuple(_elements(flexible(s))))
            for s in (self.old, self.new)
        )
        return self.old.abi.byte_order, *sides

    @property
    def is_same(self) -> bool:
        """Every leaf has the same name, type and place, and so has the whole."""
        if self.old == self.new:
            return True
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
                if name not in self.flexible:
                    yield from self._one(name, before, after)
                continue
            length = list(self._one(name, before, after))
            resized = (
                bool(length)
                and not length[0].is_another
                and length[0].is_struct
                and len(set(length[0].count)) > 1
            )
            if resized:
                # What happened inside an element is told apart from how many there are.
                yield from length
            for path, sides in _by_member(before, after):
                same = all(sides) and _inside(sides[0]) == _inside(sides[1])
                if path not in self.flexible and not (resized and same):
                    yield from self._one(path, *sides)

    def _one(self, name: str, before: Members, after: Members) -> Iterator[Change]:
        old, new = (tuple(s for slots in m.values() for s in slots) for m in (before, after))
        if old == new:
            return
        lost = tuple(w for path in before for w in self.wrong[0].get(path, ()))
        gained = tuple(w for path in after for w in self.wrong[1].get(path, ()))
        found = (place(side, name) for side in (self.old, self.new))
        old_kind, new_kind = (there.type if there else None for there in found)
        yield Change(name, old, new, lost, gained, (old_kind, new_kind))

    @cached_property
    def flexible(self) -> Mapping[str, tuple[Place | None, Place | None]]:
        """The members that are flexible arrays on one side at least, and what each side has."""
        names = dict.fromkeys((*flexible(self.new), *flexible(self.old)))
        return {name: (place(self.old, name), place(self.new, name)) for name in names}

    def pushed(self, change: Change) -> tuple[str, Slot, Slot] | None:
        """The member right behind one that is new or grew, if that moved it: before and after."""
        starts, names = self._order
        first, last = change.new[0].start, stop(change.new)
        at = bisect_left(starts, last)
        if at == len(starts) or names[at] not in self.paths[0]:
            return None
        if change.old:
            shift = change.start[1] - change.start[0]
        else:
            here = bisect_left(starts, first) - 1
            while here >= 0 and names[here] not in self.paths[0]:
                here -= 1
            shift = self._shift(names[here]) if here >= 0 else 0
        name = names[at]
        if self._shift(name) <= shift:
            return None
        return name, self.paths[0][name][0], self.paths[1][name][0]

    @cached_property
    def _order(self) -> tuple[Sequence[int], Sequence[str]]:
        """Where the new layout's members start, and their paths."""
        old, new = self.paths
        # In a union, what was there before is what can have moved.
        names = sorted(new, key=lambda path: (new[path][0].start, path not in old))
        return [new[path][0].start for path in names], names

    def _shift(self, path: str) -> int:
        return self.paths[1][path][0].start - self.paths[0][path][0].start

    @cached_property
    def passed(self) -> Mapping[str, tuple[str, bool]]:
        """For a member that moved past another that did, that other; True if it is now behind."""
        moved = sorted((change.start, change.name) for change in self.changes if change.moves)
        found: dict[str, tuple[str, bool]] = {}
        for rows, sign in ((moved, 1), (moved[::-1], -1)):
            farthest: tuple[int, str] | None = None
            waiting: list[tuple[int, str]] = []
            begin = None
            for (before, after), name in rows:
                if before != begin:
                    # Those that begin at one place have not passed each other.
                    farthest = max(filter(None, (farthest, *waiting)), default=None)
                    waiting, begin = [], before
                if farthest and farthest[0] > sign * after:
                    found[name] = farthest[1], sign < 0
                waiting.append((sign * after, name))
        return found

    @cached_property
    def paths(self) -> tuple[Members, Members]:
        """Both sides' leaves by path."""
        old, new = (
            {path: slots for paths in members(side).values() for path, slots in paths.items()}
            for side in (self.old, self.new)
        )
        return old, new

    @cached_property
    def wrong(self) -> tuple[Mapping[str, list[Witness]], Mapping[str, list[Witness]]]:
        """What is not intact by path: for an old reader, for a new reader."""
        return _by_path(self.forward), _by_path(self.backward)


def _elements(found: Mapping[str, Place]) -> Iterator[object]:
    for path, there in found.items():
        element = there.element
        yield path, there.offset, element and (element.size, element.slots)


def _by_member(before: Members, after: Members) -> Iterator[tuple[str, tuple[Members, Members]]]:
    """Both sides' leaves by what the sides can be compared as.

    What is a scalar on one side and a struct on the other is one member.
    """
    found: dict[str, tuple[dict[str, tuple[Slot, ...]], dict[str, tuple[Slot, ...]]]] = {}
    for path in dict.fromkeys((*after, *before)):
        above = accumulate(path.split("."), lambda outer, name: f"{outer}.{name}")
        name = next(outer for outer in above if outer in before or outer in after)
        for side, leaves in zip(found.setdefault(name, ({}, {})), (before, after), strict=True):
            if path in leaves:
                side[path] = leaves[path]
    yield from found.items()


def _by_path(verdict: Verdict) -> Mapping[str, list[Witness]]:
    found: dict[str, list[Witness]] = {}
    for witness in verdict.wrong:
        found.setdefault(witness.wanted.member, []).append(witness)
    return found


def _as_one(before: Members, after: Members) -> bool:
    """A nested struct, or an array of them, that is the same inside: place or count differ."""
    return len(before) > 1 and _inside(before) == _inside(after)


def _inside(side: Members) -> set[tuple[object, ...]]:
    first = min(slots[0].start for slots in side.values())
    return {
        (path, s.start - first, s.extent, s.type, s.order, s.shape)
        for path, (s, *_) in side.items()
    }

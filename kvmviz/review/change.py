"""What differs between two layouts of one struct on one ABI, member by member.

A member is what C code can name: a scalar or an array of them, also inside a nested struct, where
it goes by its path (``arch.hsr``). A nested struct that only moved, came or went is one change.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate, groupby
from math import inf, prod

from kvmviz._base import grouped
from kvmviz.abi import Abi
from kvmviz.ctype import Struct, Type
from kvmviz.layout import Layout
from kvmviz.review.policy import BOTH, Policy
from kvmviz.rules import Field, up
from kvmviz.slot import Slot, member_of
from kvmviz.text import span
from kvmviz.verdict import Place, Verdict, Witness, flexible, numbers_alike, place

Members = Mapping[str, tuple[Slot, ...]]
"""Leaves by path, those of an array's elements under one path; padding is never among them."""


@dataclass(frozen=True)
class Change:
    """One member on both sides; no slots on the side that does not have it.

    ``lost`` are the bytes that an old reader of a new writer does not get right, ``gained`` those
    that a new reader of an old writer does not; of the latter, ``zeros`` are where the old writer
    has reserved bytes alone. What the reader reserves is in none of them. ``kinds`` are the types,
    None on a side without.
    """

    name: str
    old: tuple[Slot, ...]
    new: tuple[Slot, ...]
    lost: tuple[Witness, ...]
    gained: tuple[Witness, ...]
    zeros: tuple[Witness, ...]
    kinds: tuple[Type | None, Type | None]

    @property
    def start(self) -> tuple[int, int]:
        """The first bit that it holds, before and after."""
        return self.old[0].start, self.new[0].start

    @property
    def is_kept(self) -> bool:
        """Both sides have it."""
        return bool(self.old and self.new)

    @property
    def moves(self) -> bool:
        """Both sides have it, in different places."""
        return self.is_kept and self.start[0] != self.start[1]

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
        return self.is_kept and stop(self.new) - stop(self.old) > self.start[1] - self.start[0]

    @property
    def widens(self) -> bool:
        """One integer on both sides, of more bits now; no bit-field."""
        if not self.is_kept or self.is_struct or self.is_another or self.is_bit_field:
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
        if self.is_struct:
            return not (isinstance(one.leaf, Struct) and isinstance(two.leaf, Struct))
        before, after = self.old[0], self.new[0]
        shape, other = one.shape, two.shape
        return (
            not self.is_alike
            or (before.order != after.order and not self.is_bit_field and before.width > 8)
            or (len(shape), shape[1:]) != (len(other), other[1:])
            or (before.width != after.width and shape != other)
        )

    @property
    def is_alike(self) -> bool:
        """Bits of the one are bits of the same significance of the other."""
        return numbers_alike(self.old[0], self.new[0])

    @property
    def is_bit_field(self) -> bool:
        """It is one before or after."""
        return any(slot.is_bit_field for slot in (*self.old, *self.new))


def _count(kind: Type | None, slots: tuple[Slot, ...]) -> int:
    if kind is not None and isinstance(kind.leaf, Struct):
        return prod(kind.shape)
    return prod(slots[0].shape) * len(slots)


def stop(slots: Sequence[Slot]) -> int:
    """The first bit of memory behind all of them."""
    return max(slot.stop for slot in slots)


def members(layout: Layout) -> Mapping[str, Members]:
    """The leaves that hold bits: by direct member, then by path, in order of place."""
    leaves = [slot for slot in layout.slots if not slot.is_padding and slot.extent]
    found: dict[str, dict[str, tuple[Slot, ...]]] = {slot.member: {} for slot in leaves}
    for path, slots in grouped(leaves, lambda slot: member_of(slot.path)).items():
        found[slots[0].member][path] = tuple(slots)
    return found


class Index:
    """Slots by place, to find those that share bits of memory with a range."""

    def __init__(self, slots: Iterable[Slot]) -> None:
        held = (slot for slot in slots if slot.extent)
        self._slots = sorted(held, key=lambda slot: slot.start)
        self._starts = [slot.start for slot in self._slots]
        self._reach = list(accumulate((slot.stop for slot in self._slots), max))

    def over(self, start: int, end: int) -> list[Slot]:
        """Those with bits from ``start`` on and before ``end``, counted in memory, in order."""
        last = bisect_left(self._starts, end)
        first = bisect_right(self._reach, start, 0, last)
        return [slot for slot in self._slots[first:last] if slot.stop > start]


# --- the structs that a member stands in -----------------------------------------------------


@dataclass(frozen=True)
class Home:
    """A struct or union around a member: its layout, its first byte in the whole, its path.

    An anonymous one has the path of what it stands in; of an array it is the first element.
    ``depth`` counts from the whole struct, which has 0.
    """

    layout: Layout
    base: int
    path: str
    depth: int

    @property
    def is_union(self) -> bool:
        """Its members lie over each other."""
        return self.layout.struct.union

    def path_of(self, name: str) -> str:
        """The path, from the whole struct, of what it calls ``name``."""
        return f"{self.path}.{name}" if self.path else name

    def over(self, start: int, end: int) -> list[str]:
        """The paths of the members with bits from ``start`` on and before ``end``, in its own."""
        return [self.path_of(slot.path) for slot in _index(self.layout).over(start, end)]


def homes(layout: Layout, path: str) -> tuple[Home, ...]:
    """The structs around the member of that path, the whole one first."""
    found = [Home(layout, 0, "", 0)]
    while True:
        home = found[-1]
        name, _, rest = path[len(home.path) :].removeprefix(".").partition(".")
        field = _holders(home.layout).get(name)
        leaf = field.type.leaf if field else None
        if field is None or not isinstance(leaf, Struct) or not (rest or field.name is None):
            return tuple(found)
        inner = home.path if field.name is None else home.path_of(name)
        base = home.base + field.offset
        found.append(Home(leaf.layout(layout.abi), base, inner, home.depth + 1))


@lru_cache(maxsize=32)
def _holders(layout: Layout) -> Mapping[str, Field]:
    """The field that a name is found in: its own, or that of an anonymous struct around it."""
    found: dict[str, Field] = {}
    for field in layout.fields:
        if field.name is not None:
            found[field.name] = field
        elif isinstance(field.type, Struct):
            found |= dict.fromkeys(field.type.layout(layout.abi).named, field)
    return found


@lru_cache(maxsize=32)
def counterpart(home: Home, other: Layout) -> Home | None:
    """The same struct in another layout of the whole; None where it is not there.

    An anonymous one is known by a member of the same path, as deep inside.
    """
    if not home.depth:
        return homes(other, "")[0]
    paths = map(home.path_of, home.layout.named)
    if (path := next((path for path in paths if place(other, path)), None)) is None:
        return None
    found = homes(other, path)[-1]
    return found if (found.depth, found.is_union) == (home.depth, home.is_union) else None


@lru_cache(maxsize=32)
def _index(layout: Layout) -> Index:
    return Index(slot for slot in layout.slots if slot.type)


# --- both sides ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pair:
    """A layout before and after a change, on one ABI, judged by a policy."""

    old: Layout
    new: Layout
    policy: Policy = BOTH

    @property
    def abi(self) -> Abi:
        """The ABI of both."""
        return self.old.abi

    @cached_property
    def forward(self) -> Verdict:
        """New writer, old reader: a program that is not built again."""
        return Verdict(self.new, self.old)

    @cached_property
    def backward(self) -> Verdict:
        """Old writer, new reader: a program that is ahead of its kernel."""
        return Verdict(self.old, self.new)

    @cached_property
    def key(self) -> object:
        """Equal where the change is the same in every byte, on whatever ABI."""
        return self.abi.byte_order, _every_byte(self.old), _every_byte(self.new)

    @cached_property
    def changes(self) -> tuple[Change, ...]:
        """Every member that differs, in the order of the new struct; then those that are gone."""
        return tuple(self._changes())

    def _changes(self) -> Iterator[Change]:
        old, new = self._members
        for name in dict.fromkeys((*self.new.named, *self.old.named)):
            before, after = old.get(name, {}), new.get(name, {})
            # A nested struct, or an array of them, of which only place or count differ, is one.
            if not (before and after) or (len(before) > 1 and _inside(before) == _inside(after)):
                if name not in self.flexible:
                    yield from self._one(name, before, after)
                continue
            kinds = [side.named[name].type for side in (self.old, self.new)]
            counts = {_count(kind, ()) for kind in kinds if isinstance(kind.leaf, Struct)}
            if resized := len(counts) > 1:
                # What happened inside an element is told apart from how many there are.
                yield from self._one(name, before, after)
            for path, sides in _by_member(before, after):
                same = all(sides) and _inside(sides[0]) == _inside(sides[1])
                if path not in self.flexible and not (resized and same):
                    yield from self._one(path, *sides)

    def _one(self, name: str, before: Members, after: Members) -> Iterator[Change]:
        old, new = (tuple(s for slots in m.values() for s in slots) for m in (before, after))
        if old == new:
            return
        lost = tuple(w for path in before for w in self.wrong[0].get(path, ()))
        wrong = [w for path in after for w in self.wrong[1].get(path, ())]
        zeros = tuple(w for w in wrong if before and self._is_zero(w))
        gained = tuple(w for w in wrong if w not in set(zeros)) if zeros else tuple(wrong)
        before_it, after_it = place(self.old, name), place(self.new, name)
        kinds = before_it and before_it.type, after_it and after_it.type
        yield Change(name, old, new, lost, gained, zeros, kinds)

    def is_reserved(self, path: str) -> bool:
        """The member is reserved, by its name or by that of a struct that it lies in."""
        return self.policy.is_reserved(path)

    def _is_zero(self, witness: Witness) -> bool:
        """The old writer has nothing but reserved members of the same struct in these bits."""
        outer = witness.wanted.slot.path.rpartition(".")[0]
        sources = [s for held in self.old.holders[witness.offset :][:1] for s in held]
        there = {
            member_of(source.slot.path)
            for source in sources
            if source.mask & witness.wanted.mask
            if source.slot.path.rpartition(".")[0] == outer
        }
        reserved = bool(there) and all(map(self.is_reserved, there))
        return reserved and not any(homes(self.old, path)[-1].is_union for path in there)

    @cached_property
    def flexible(self) -> dict[str, tuple[Place | None, Place | None]]:
        """The members that are flexible arrays on one side at least, and what each side has."""
        names = dict.fromkeys((*flexible(self.new), *flexible(self.old)))
        return {name: (place(self.old, name), place(self.new, name)) for name in names}

    @cached_property
    def _members(self) -> tuple[Mapping[str, Members], Mapping[str, Members]]:
        return members(self.old), members(self.new)

    @cached_property
    def paths(self) -> tuple[Members, Members]:
        """Both sides' leaves by path."""
        old, new = ({p: s for m in side.values() for p, s in m.items()} for side in self._members)
        return old, new

    @cached_property
    def leaves(self) -> tuple[Index, Index]:
        """The same by place."""
        old, new = (Index(s for slots in side.values() for s in slots) for side in self.paths)
        return old, new

    @cached_property
    def _same(self) -> Mapping[object, str]:
        old, new = self.paths
        same = [
            (slot, path) for path, slots in old.items() if new.get(path) == slots for slot in slots
        ]
        # Of several that hold the same bits, the first.
        return {_bits(slot): path for slot, path in reversed(same)}

    def again(self, change: Change) -> list[str]:
        """The members, left as they are, whose bits a new one names once more; all of its bits."""
        paths = [self._same.get(_bits(slot)) for slot in change.new]
        return [] if None in paths else [path for path in dict.fromkeys(paths) if path]

    @cached_property
    def wrong(self) -> tuple[Mapping[str, list[Witness]], Mapping[str, list[Witness]]]:
        """What is not intact by path: for an old reader, for a new reader.

        But for what the reader reserves, which nobody reads.
        """
        old, new = (
            {
                path: rows
                for path, rows in grouped(verdict.wrong, lambda row: row.wanted.member).items()
                if not self.is_reserved(path)
            }
            for verdict in (self.forward, self.backward)
        )
        return old, new

    def pushed(self, change: Change) -> tuple[str, Slot, Slot] | None:
        """The member right behind one that is new or grew, if that moved it: before and after.

        What is reserved may be moved.
        """
        starts, names, shifts = self._order
        at = bisect_left(starts, stop(change.new))
        if at == len(starts) or names[at] not in self.paths[0]:
            return None
        if change.old:
            shift = change.start[1] - change.start[0]
        else:
            before = bisect_left(starts, change.new[0].start) - 1
            shift = shifts[before] if before >= 0 else 0
        if shifts[at] <= shift:
            return None
        return names[at], self.paths[0][names[at]][0], self.paths[1][names[at]][0]

    @cached_property
    def _order(self) -> tuple[Sequence[int], Sequence[str], Sequence[int]]:
        """Where the new layout's members start, their paths, and by how much each moved.

        What is new has the shift of what it lies behind.
        """
        old, new = self.paths
        # In a union, what was there before is what can have moved.
        named = (path for path in new if not self.is_reserved(path))
        names = sorted(named, key=lambda path: (new[path][0].start, path not in old))
        shifts: list[int] = []
        for path in names:
            last = shifts[-1] if shifts else 0
            shifts.append(new[path][0].start - old[path][0].start if path in old else last)
        return [new[path][0].start for path in names], names, shifts

    @cached_property
    def passed(self) -> Mapping[str, tuple[str, bool]]:
        """For a member that moved past another that did, that other; True if it is now behind."""
        moved = sorted((change.start, change.name) for change in self.changes if change.moves)
        found: dict[str, tuple[str, bool]] = {}
        for rows, sign in ((moved, 1), (moved[::-1], -1)):
            farthest: tuple[float, str] = -inf, ""
            # Those that begin at one place have not passed each other.
            for _, group in groupby(rows, lambda row: row[0][0]):
                here = [(sign * after, name) for (_, after), name in group]
                other = farthest[1], sign < 0
                found |= {name: other for after, name in here if after < farthest[0]}
                farthest = max(farthest, *here)
        return found

    @property
    def new_holes(self) -> list[Slot]:
        """Padding in whole bytes where the old layout had none."""
        before = Index(self.old.holes)
        # Behind the start of a flexible array lie its elements.
        loose = min((there.offset for there in flexible(self.new).values()), default=self.new.size)
        return [
            slot
            for slot in self.new.holes
            if slot.extent % 8 == 0 and slot.offset < loose
            if not before.over(slot.start, slot.stop)
        ]

    @cached_property
    def spare(self) -> Mapping[str, str]:
        """A hole for the further bits of each member that is wider now, in words.

        For the struct's own members, outside unions. No hole is given twice, nor what the same
        change fills of one.
        """
        fresh = Index(slot for change in self.changes if not change.old for slot in change.new)
        holes = [slot for slot in self.old.holes if not slot.member and slot.extent % 8 == 0]
        free = {part[1]: part for slot in holes for part in untaken(slot, fresh)}
        behind = {slot.start: first for first, (slot, *_) in reversed(free.items())}
        fitting: dict[int, dict[int, _Free]] = {}
        found: dict[str, str] = {}
        for change in self.changes:
            if not change.widens or not self.is_own(change.name):
                continue
            # In the smallest integer that takes them.
            need = 1 << ((change.width[1] - change.width[0]) // 8 - 1).bit_length()
            if need not in fitting:
                align = self.abi.align(need)
                fitting[need] = {n: p for n, p in free.items() if up(n, align) + need <= p[2]}
            if left := fitting[need]:
                slot, first, last = left.get(behind.get(stop(change.old), -1)) or next(
                    iter(left.values())
                )
                found[change.name] = f"{slot.path} ({span(first, last - 1)})"
                for rows in (free, *fitting.values()):
                    rows.pop(first, None)
        return found

    def is_own(self, path: str) -> bool:
        """A member of the old struct itself, outside unions."""
        return path in self.old.named and not any(h.is_union for h in homes(self.old, path))


_Free = tuple[Slot, int, int]


def untaken(slot: Slot, others: Index) -> Iterator[_Free]:
    """What no other takes of a slot: the slot, its first byte there, and the first behind it."""
    begin, end = slot.offset, slot.offset + slot.size
    for other in others.over(8 * begin, 8 * end):
        if begin < other.offset:
            yield slot, begin, other.offset
        begin = max(begin, other.offset + other.size)
    if begin < end:
        yield slot, begin, end


def _bits(slot: Slot) -> object:
    """Equal for slots that hold the same bits of the same kind of number."""
    is_float = slot.type is not None and slot.type.is_float
    return slot.start, slot.extent, slot.shape, slot.order, is_float


def _every_byte(layout: Layout) -> object:
    """Equal for layouts with the same members in the same places, on whatever ABI."""
    elements = [(path, there.offset, there.element and (there.element.size, there.element.slots))
                for path, there in flexible(layout).items()]  # fmt: skip
    return layout.size, layout.align, layout.slots, (*layout.named,), tuple(elements)


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


def _inside(side: Members) -> set[tuple[object, ...]]:
    first = min(slots[0].start for slots in side.values())
    return {
        (path, s.start - first, s.extent, s.type, s.order, s.shape)
        for path, (s, *_) in side.items()
    }

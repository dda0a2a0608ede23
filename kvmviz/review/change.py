"""What differs between two layouts of one struct on one ABI, member by member.

A member is what C code can name: a scalar or an array of them, also inside a nested struct, where
it goes by its path (``arch.hsr``). A nested struct that only moved, came or went is one change.
What bytes alone do not decide, which members nobody reads and who writes, is a policy's to say.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from math import inf, prod

from kvmviz._base import KvmvizError, chosen, grouped, shown
from kvmviz.abi import Abi
from kvmviz.ctype import Struct, Type
from kvmviz.layout import Layout
from kvmviz.slot import Slot, member_of
from kvmviz.verdict import Place, Verdict, Witness, flexible, numbers_alike, place

RESERVED = re.compile(r"[_\d]*(reserved|rsvd|resv|padding|pad|unused|spare)[_\d]*", re.IGNORECASE)
"""Names of members that are there to be put to use; ``reserve_count`` is none."""

WRITERS = {
    "kernel": "a program asks the kernel first (for a capability or a version), or finds out by a "
    "flag that an old kernel leaves 0",
    "userspace": "the kernel finds out by a size or by a flag that an old program leaves 0, or the "
    "program asks it first",
}
"""Who writes the memory, and how a new reader finds out that an old one of them did."""


@dataclass(frozen=True)
class Policy:
    """The rules by which a change is judged where bytes alone do not decide.

    ``reserved`` is a regular expression for further names of reserved members. ``written_by`` is
    one of :data:`WRITERS`: then old readers of new writers decide, and what a new reader does not
    get of an old writer is a warning that asks for a handshake; None where both sides write.
    ``strict`` makes a warning of each change that changes no byte. Raises :class:`KvmvizError`
    for another writer, and for what is no regular expression.
    """

    reserved: str = ""
    written_by: str | None = None
    strict: bool = False

    def __post_init__(self) -> None:
        if self.written_by is not None:
            chosen(self.written_by, WRITERS, "written by")
        chosen(self.strict, (False, True), "strict")
        _ = self._reserved

    @cached_property
    def _reserved(self) -> tuple[re.Pattern[str], ...]:
        try:
            more = re.compile(self.reserved or RESERVED)
            more.fullmatch("")  # bytes make a pattern, but one that reads no names
            return RESERVED, more
        except (re.error, TypeError, OverflowError, RecursionError) as error:
            words = f"reserved {shown(self.reserved)} is no regular expression"
            raise KvmvizError(f"{words}: {error}") from None

    def is_reserved(self, path: str) -> bool:
        """A member of that path, or a struct that it lies in, is reserved by its name."""
        names = member_of(path).split(".")
        return any(pattern.fullmatch(name) for pattern in self._reserved for name in names)


BOTH = Policy()
"""Both sides write, and no name is reserved but those that are so everywhere."""

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
    def is_kept(self) -> bool:
        """Both sides have it."""
        return bool(self.old and self.new)

    @property
    def start(self) -> tuple[int, int]:
        """The first bit that it holds, before and after."""
        return self.old[0].start, self.new[0].start

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
    def is_struct(self) -> bool:
        """A struct, or an array of them, as a whole."""
        return any(kind is not None and isinstance(kind.leaf, Struct) for kind in self.kinds)

    @property
    def is_bit_field(self) -> bool:
        """It is one before or after."""
        return any(slot.is_bit_field for slot in (*self.old, *self.new))

    @property
    def is_alike(self) -> bool:
        """Bits of the one are bits of the same significance of the other."""
        return numbers_alike(self.old[0], self.new[0])

    @property
    def is_another(self) -> bool:
        """Its type is another, not merely wider or longer: what it holds is told by its type."""
        one, two = self.kinds
        if one is None or two is None:
            return False
        if self.is_struct:
            return not (isinstance(one.leaf, Struct) and isinstance(two.leaf, Struct))
        before, after = self.old[0], self.new[0]
        return (
            not self.is_alike
            or (before.order != after.order and not self.is_bit_field and before.width > 8)
            or (len(one.shape), one.shape[1:]) != (len(two.shape), two.shape[1:])
            or (before.width != after.width and one.shape != two.shape)
        )


def _count(kind: Type | None, slots: tuple[Slot, ...]) -> int:
    if kind is not None and isinstance(kind.leaf, Struct):
        return prod(kind.shape)
    return prod(slots[0].shape) * len(slots)


def stop(slots: Sequence[Slot]) -> int:
    """The first bit of memory behind all of them."""
    return max(slot.stop for slot in slots)


# --- the structs that a member stands in -----------------------------------------------------


@dataclass(frozen=True)
class Enclosing:
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


@lru_cache(maxsize=32)
def enclosing(layout: Layout) -> Mapping[str, tuple[Enclosing, ...]]:
    """The structs around each member by its path, the whole one first; of ``""`` that alone."""
    found: dict[str, tuple[Enclosing, ...]] = {}

    def walk(*around: Enclosing) -> None:
        struct = around[-1]
        for field in struct.layout.fields:
            path = struct.path if field.name is None else struct.path_of(field.name)
            found.setdefault(path, around)
            if isinstance(leaf := field.type.leaf, Struct):
                base = struct.base + field.offset
                walk(*around, Enclosing(leaf.layout(layout.abi), base, path, struct.depth + 1))

    found[""] = (Enclosing(layout, 0, "", 0),)
    walk(*found[""])
    return found


@lru_cache(maxsize=32)
def counterpart(struct: Enclosing, other: Layout) -> Enclosing | None:
    """The same struct in another layout of the whole; None where it is not there.

    An anonymous one is known by a member of the same path, as deep inside.
    """
    there = enclosing(other)
    if not struct.depth:
        return there[""][0]
    paths = map(struct.path_of, struct.layout.named)
    found = next((there[path][-1] for path in paths if path in there), None)
    same = found and (found.depth, found.is_union) == (struct.depth, struct.is_union)
    return found if same else None


@lru_cache(maxsize=64)
def _by_place(layout: Layout) -> tuple[list[Slot], list[int], list[int]]:
    """The slots that hold bits, where each starts, and how far it and those before it reach."""
    slots = [slot for slot in layout.slots if slot.extent]
    return slots, [s.start for s in slots], list(accumulate((s.stop for s in slots), max))


def over(layout: Layout, start: int, end: int, padding: bool = False) -> list[Slot]:
    """The members with bits from ``start`` on and before ``end``, in memory, in order.

    Or the padding that has some.
    """
    slots, starts, reach = _by_place(layout)
    last = bisect_left(starts, end)
    found = slots[bisect_right(reach, start, 0, last) : last]
    return [slot for slot in found if slot.stop > start and slot.is_padding is padding]


def left(layout: Layout, slots: Sequence[Slot]) -> list[int]:
    """The offsets of the bytes of some slots that no member takes in this layout."""
    found = []
    for slot in slots:
        taken = {at for other in over(layout, slot.start, slot.stop) for at in other.offsets}
        found += [at for at in slot.offsets if at not in taken]
    return found


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
        """Equal where the same members lie in the same places and structs, on whatever ABI."""
        # A verdict refuses what is too large before any path is followed.
        both = self.forward.reader, self.forward.writer
        sides = [(side.align, side.slots, _opened(side)) for side in both]
        return self.abi.byte_order, *sides

    @cached_property
    def paths(self) -> tuple[Members, Members]:
        """Both sides' leaves by path."""
        old, new = (
            {path: tuple(held) for path, held in grouped(
                (slot for slot in side.slots if slot.type and slot.extent),
                lambda slot: member_of(slot.path),
            ).items()}
            for side in (self.old, self.new)
        )  # fmt: skip
        return old, new

    @cached_property
    def flexible(self) -> dict[str, tuple[Place | None, Place | None]]:
        """The members that are flexible arrays on one side at least, and what each side has."""
        names = dict.fromkeys((*flexible(self.new), *flexible(self.old)))
        return {name: (place(self.old, name), place(self.new, name)) for name in names}

    @cached_property
    def wrong(self) -> tuple[Mapping[str, list[Witness]], Mapping[str, list[Witness]]]:
        """What is not intact by path: for an old reader, for a new reader.

        But for what the reader reserves, which nobody reads.
        """
        old, new = (
            {
                path: rows
                for path, rows in grouped(verdict.wrong, lambda row: row.wanted.member).items()
                if not self.policy.is_reserved(path)
            }
            for verdict in (self.forward, self.backward)
        )
        return old, new

    @cached_property
    def changes(self) -> tuple[Change, ...]:
        """Every member that differs, in the order of the new struct; then those that are gone."""
        return tuple(self._changes())

    def _changes(self) -> Iterator[Change]:
        old, new = map(_by_member, self.paths)
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
            for path, (one, two) in _by_path(before, after).items():
                same = bool(one and two) and _inside(one) == _inside(two)
                if path not in self.flexible and not (resized and same):
                    yield from self._one(path, one, two)

    def _one(self, name: str, before: Members, after: Members) -> Iterator[Change]:
        old, new = (tuple(s for slots in m.values() for s in slots) for m in (before, after))
        if old == new:
            return
        lost = [w for path in before for w in self.wrong[0].get(path, ())]
        gained = [w for path in after for w in self.wrong[1].get(path, ())]
        zeros = [w for w in gained if before and self._is_zero(w)]
        if zeros:
            gained = [w for w in gained if w not in set(zeros)]
        one, two = place(self.old, name), place(self.new, name)
        kinds = one and one.type, two and two.type
        yield Change(name, old, new, tuple(lost), tuple(gained), tuple(zeros), kinds)

    def _is_zero(self, witness: Witness) -> bool:
        """The old writer has nothing but reserved members of the same struct in these bits."""
        outer = witness.wanted.slot.path.rpartition(".")[0]
        there = {
            source.member
            for held in self.old.holders[witness.offset :][:1] for source in held
            if source.mask & witness.wanted.mask and source.slot.path.rpartition(".")[0] == outer
        }  # fmt: skip
        return bool(there) and all(
            self.policy.is_reserved(path) and not enclosing(self.old)[path][-1].is_union
            for path in there
        )

    @cached_property
    def reordered(self) -> set[str]:
        """The members that moved past another that did."""
        moved = sorted((change.start, change.name) for change in self.changes if change.moves)
        found = set()
        for rows, sign in ((moved, 1), (moved[::-1], -1)):
            farthest = -inf
            # Of those that began at one place the later one now comes later: none passed another.
            for (_, after), name in rows:
                if sign * after < farthest:
                    found.add(name)
                farthest = max(farthest, sign * after)
        return found

    def pushed(self, change: Change) -> tuple[str, Slot, Slot] | None:
        """The member right behind one that is new or grew, if that moved it: before and after.

        What is reserved may be moved.
        """
        rows = self._order
        at = bisect_left(rows, (stop(change.new),))
        if at == len(rows) or rows[at][1] not in self.paths[0]:
            return None
        before = bisect_left(rows, (change.new[0].start,)) - 1
        shift = rows[before][2] if before >= 0 else 0
        if change.old:
            shift = change.start[1] - change.start[0]
        _, name, moved = rows[at]
        return (name, self.paths[0][name][0], self.paths[1][name][0]) if moved > shift else None

    @cached_property
    def _order(self) -> list[tuple[int, str, int]]:
        """Where the new layout's members start, their paths, and by how much each moved.

        What is new has the shift of what it lies behind.
        """
        old, new = self.paths
        named = [path for path in new if not self.policy.is_reserved(path)]
        # In a union, what was there before is what can have moved.
        named.sort(key=lambda path: (new[path][0].start, path not in old))
        rows: list[tuple[int, str, int]] = []
        for path in named:
            start, last = new[path][0].start, rows[-1][2] if rows else 0
            rows.append((start, path, start - old[path][0].start if path in old else last))
        return rows


def _opened(layout: Layout) -> object:
    """Equal for layouts of one size with the same members in their places, in inner structs too."""
    rows, abi = [], layout.abi
    for field in layout.fields:
        kind, leaf = field.type, field.type.leaf
        inner = _opened(leaf.layout(abi)) if isinstance(leaf, Struct) else leaf.on(abi)
        rows.append((field.name, f"{kind}", kind, field.start, field.extent, field.bits, inner))
    return layout.struct.union, layout.size, tuple(rows)


def _by_member(paths: Members) -> dict[str, dict[str, tuple[Slot, ...]]]:
    """Leaves by direct member, then by path."""
    found: dict[str, dict[str, tuple[Slot, ...]]] = {}
    for path, slots in paths.items():
        found.setdefault(slots[0].member, {})[path] = slots
    return found


def _by_path(before: Members, after: Members) -> dict[str, tuple[Members, Members]]:
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
    return {**found}


def _inside(side: Members) -> set[tuple[object, ...]]:
    first = min(slots[0].start for slots in side.values())
    return {
        (path, s.start - first, s.extent, s.type, s.order, s.shape)
        for path, (s, *_) in side.items()
    }

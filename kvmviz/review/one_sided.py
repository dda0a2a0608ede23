"""Findings about members that only one side has: new ones, and those that went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from kvmviz.ctype import Struct
from kvmviz.layout import Layout
from kvmviz.review.change import Change, stop
from kvmviz.review.finding import (
    NEW_READER,
    OLD_READER,
    RESERVED,
    Finding,
    effect,
    kept,
    places,
    pushes,
)
from kvmviz.review.home import Home, counterpart, homes, told_hole
from kvmviz.review.index import Index
from kvmviz.review.pair import Pair
from kvmviz.slot import Slot
from kvmviz.text import some
from kvmviz.verdict import is_in, member_of


def judged(pair: Pair, change: Change) -> Finding:
    """What there is to say of one member."""
    if not change.old:
        return _added(pair, change)
    return kept(pair, change) if change.new else _removed(change)


def _added(pair: Pair, change: Change) -> Finding:
    """A new member by the struct that declares it, then by those around that."""
    name, around = change.name, homes(pair.new, change.name)
    # A member of an array's elements is judged in the first of them.
    slots = change.new if name in pair.new.named else change.new[:1]
    if again := _grouped(pair, change, around):
        words = f"another name for {some(again)}, {places(change.new)}"
        return Finding("alias", name, "note", words, "the same values in the same bytes")
    for home in reversed(around):
        before, inmost = counterpart(home, pair.old), home is around[-1]
        start, end = slots[0].start - 8 * home.base, stop(slots) - 8 * home.base
        if home.is_union and inmost and _is_shared(pair, home, name, start, end):
            return _in_union(pair, change)
        if before is None:
            continue
        size = 8 * before.layout.size
        if home.is_union and not inmost:
            if end <= size:
                words = f"at the end of {_title(around[-1])}"
                return _in_room(pair, change, around, "appended", words)
            continue
        if there := _index(before.layout).over(start, end):
            return _over(pair, change, [before.path_of(slot.path) for slot in there])
        if end <= size:
            hole = next(s for s in before.layout.holes if _meets(s, start, end))
            words = f"in the {told_hole(hole.path, before.path)}"
            return _in_room(pair, change, around, "added-in-hole", words)
    return _behind(pair, change)


def _is_shared(pair: Pair, union: Home, name: str, start: int, end: int) -> bool:
    """Other members of a union, which it had before, lie where a new one does."""
    rows = (member_of(union.path_of(slot.path)) for slot in _index(union.layout).over(start, end))
    return any(path in pair.paths[0] and not is_in(path, name) for path in rows)


@lru_cache(maxsize=64)
def _index(layout: Layout) -> Index:
    return Index(slot for slot in layout.slots if slot.type)


def _meets(slot: Slot, start: int, end: int) -> bool:
    return slot.start < end and start < slot.start + slot.extent


def _title(home: Home) -> str:
    return home.path or "that member"


def _grouped(pair: Pair, change: Change, around: Sequence[Home]) -> list[str]:
    """The members that a new struct in a new union names once more, as ``__struct_group`` does."""
    fresh = [n for n, h in enumerate(around) if h.is_union and counterpart(h, pair.old) is None]
    kind = change.kinds[1]
    if not fresh or (fresh[-1] == len(around) - 1 and not isinstance(kind and kind.leaf, Struct)):
        return []
    old, new = pair.paths
    again = [
        next((p for p in _by_bits(pair.old).get(_bits(s), ()) if new.get(p) == old[p]), None)
        for s in change.new
    ]
    return [] if None in again else [path for path in dict.fromkeys(again) if path]


def _bits(slot: Slot) -> object:
    """Equal for slots that hold the same bits of the same kind of number."""
    is_float = slot.type is not None and slot.type.kind == "float"
    return slot.start, slot.extent, slot.shape, slot.order, is_float


@lru_cache(maxsize=64)
def _by_bits(layout: Layout) -> Mapping[object, list[str]]:
    found: dict[object, list[str]] = {}
    for slot in layout.slots:
        found.setdefault(_bits(slot), []).append(member_of(slot.path))
    return found


def _in_union(pair: Pair, change: Change) -> Finding:
    where, more = places(change.new), pushes(pair, change)
    return Finding(
        "added-in-union", change.name, "breaks" if more else "warning",
        f"added to a union, {where}{more}", effect(change),
        "needs a discriminator that says which member of the union is valid, with a value "
        "that an old writer never gives",
    )  # fmt: skip


def _in_room(pair: Pair, change: Change, around: Sequence[Home], kind: str, words: str) -> Finding:
    """A new member where the old struct has padding, or a union is longer than the old struct."""
    where, more = places(change.new), pushes(pair, change)
    before = f"what was there before in {where}"
    never = f"an old writer never writes {where}"
    if any(home.is_union for home in around[:-1]):
        before += ", bytes of another member of the union too"
        never += f" when it fills {_title(around[-1])}"
    return Finding(
        kind, change.name, "warning", f"added {words}, {where}{more}",
        f"{NEW_READER} finds {before}; nothing changes for {OLD_READER}",
        f"needs a validity flag: {never}; the flag must read 0 from an old writer, and a new one "
        "must clear it when the member is not valid",
    )  # fmt: skip


def _behind(pair: Pair, change: Change) -> Finding:
    """A new member past the end of the old struct."""
    name, where, more = change.name, places(change.new), pushes(pair, change)
    if more:
        return Finding(
            "inserted", name, "breaks", f"added in front of others, {where}{more}",
            effect(change), f"put {name} into a hole, or behind the last member",
        )  # fmt: skip
    inside = ", from the old tail padding on" if change.new[0].start < 8 * pair.old.size else ""
    return Finding(
        "appended", name, "warning", f"added at the end, {where}{inside}",
        f"an old writer never writes {where}; a new writer that is not told the size writes "
        "past the end of an old reader's memory",
        "hand over the size (in the ioctl number, in a member or as an argument), and let "
        "both sides take only what both have",
    )  # fmt: skip


def _over(pair: Pair, change: Change, paths: Sequence[str]) -> Finding:
    """A new member where the old layout has others: it pushed, shrank or replaced them."""
    name, where, more = change.name, places(change.new), pushes(pair, change)
    there = some(paths)
    kept_ = [path for path in map(member_of, paths) if path in pair.paths[1]]
    if kept_ and more:
        return Finding(
            "inserted", name, "breaks", f"there is no hole at {where}:{more.removeprefix(';')}",
            effect(change), f"put {name} into a hole, or behind the last member",
        )  # fmt: skip
    if kept_:
        wrong = any(path in side for path in kept_ for side in pair.wrong)
        return Finding(
            "taken", name, "breaks" if wrong else "warning", f"takes {where} from {there}",
            effect(change),
            f"safe if that was reserved: {RESERVED}; else put {name} into a hole, or behind the "
            "last member",
        )  # fmt: skip
    return Finding(
        "replaced", name, "warning", f"takes the place of {there}, {where}", effect(change),
        f"safe if only the name is new; or if old writers are known to write 0 to {there} and old "
        "readers to ignore it",
    )  # fmt: skip


def _removed(change: Change) -> Finding:
    name = change.name
    return Finding(
        "removed", name, "warning", f"removed, {places(change.old)}", effect(change),
        f"keep {name}, or write the bytes that old readers expect into a reserved member there",
    )  # fmt: skip

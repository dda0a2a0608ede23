"""Findings about what only one side has: new members, members that went, new holes, size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kvmviz.compat import flexible
from kvmviz.review.change import Change, Pair, overlaps, stop
from kvmviz.review.finding import (
    NEW_READER,
    OLD_READER,
    SEVERITIES,
    Finding,
    effect,
    kept,
    places,
    pushes,
    spans_of,
)
from kvmviz.slot import Slot


def between(pair: Pair) -> tuple[Finding, ...]:
    """All findings of a change on one ABI, the worst first."""
    if pair.is_same:
        return ()
    found = [_judged(pair, change) for change in pair.changes]
    found += [*_flexible(pair), *_holes(pair)]
    found += _whole(pair, any(row.severity == "breaks" for row in found))
    return tuple(sorted(found, key=lambda row: SEVERITIES.index(row.severity)))


def _judged(pair: Pair, change: Change) -> Finding:
    if not change.old:
        return _added(pair, change)
    return kept(pair, change) if change.new else _removed(change)


def _added(pair: Pair, change: Change) -> Finding:
    name, end = change.name, 8 * pair.old.size
    # A member of an array's elements is judged in the first of them.
    slots = change.new if name in pair.new.named else change.new[:1]
    where, more = places(slots), pushes(pair, change) if slots == change.new else ""
    beside = [s for s in pair.new.slots if not s.is_padding and s not in change.new]
    there = [s for s in pair.old.slots if not s.is_padding and overlaps(s, slots)]
    if any(overlaps(s, slots) for s in beside):
        return Finding(
            "added-in-union", name, "breaks" if more else "warning",
            f"added to a union, {where}{more}", effect(change),
            "needs a discriminator that says which member of the union is valid, with a value "
            "that an old writer never gives",
        )  # fmt: skip
    if there:
        return _over(pair, change, there, where)
    if stop(slots) > end:
        inside = ", from the old tail padding on" if slots[0].start < end else ""
        return Finding(
            "appended", name, "warning", f"added at the end, {where}{inside}",
            f"an old writer never writes {where}; a new writer that is not told the size writes "
            "past the end of an old reader's memory",
            "hand over the size (in the ioctl number, in a member or as an argument), and let "
            "both sides take only what both have",
        )  # fmt: skip
    hole = next(s for s in pair.old.holes if overlaps(s, slots)).path
    outer, inside, inner = hole.rpartition(": ")
    hole = f"{inner} in {outer}" if inside else hole
    return Finding(
        "added-in-hole", name, "warning", f"added in the {hole}, {where}{more}",
        f"{NEW_READER} finds what was there before in {where}; nothing changes for {OLD_READER}",
        f"needs a validity flag: an old writer never writes {where}; the flag must read 0 from "
        "an old writer, and a new one must clear it when the member is not valid",
    )  # fmt: skip


def _over(pair: Pair, change: Change, slots: Sequence[Slot], where: str) -> Finding:
    """A new member where the old layout has others: it pushed or replaced them."""
    name, paths = change.name, [s.path for s in slots]
    there = ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
    if any(s.member in pair.new.named for s in slots):
        moved = pushes(pair, change).removeprefix(";")
        return Finding(
            "inserted", name, "breaks",
            f"there is no hole at {where}:{moved}" if moved else f"takes {where} from {there}",
            effect(change), f"put {name} into a hole, or behind the last member",
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


def _flexible(pair: Pair) -> Iterator[Finding]:
    before, after = flexible(pair.old), flexible(pair.new)
    for name in dict.fromkeys((*after, *before)):
        if name not in before:
            yield Finding(
                "appended", name, "warning", f"flexible array added at offset {after[name][0]}",
                "an old writer writes no elements",
                "needs a count of elements that reads 0 from an old writer",
            )  # fmt: skip
        elif name not in after:
            yield Finding(
                "removed", name, "warning", "flexible array removed",
                "a new writer writes no elements", f"keep {name}, with a count of 0",
            )  # fmt: skip
        elif before[name] != after[name]:
            (at, _), (then, _) = before[name], after[name]
            moves = f"moves from offset {at} to offset {then}"
            yield Finding(
                "moved", name, "breaks",
                f"flexible array {moves if at != then else 'has other elements'}",
                "each side takes other bytes for the elements",
                f"keep {name} where it was, and its elements as they are",
            )  # fmt: skip


def _holes(pair: Pair) -> Iterator[Finding]:
    """Padding that was not there before: the documents ask for explicit members instead."""
    for slot in pair.new.holes:
        if slot.extent % 8 == 0 and not overlaps(slot, pair.old.holes):
            yield Finding(
                "new-hole", "", "note", f"new {slot.path}, {spans_of([slot])}",
                "no member holds it, so it keeps what was there before",
                "make it a reserved member that is written as 0 and checked to be 0",
            )  # fmt: skip


def _whole(pair: Pair, breaks: bool) -> Iterator[Finding]:
    old, new = pair.old, pair.new
    if old.size != new.size:
        yield Finding(
            "size", "", "breaks", f"sizeof {old.size} before, {new.size} after",
            "an ioctl number that encodes sizeof changes with it; elements of an array lie "
            "elsewhere, and so do members behind it where another struct holds it",
            "keep sizeof as it was (use holes or reserved members), or give the new struct a "
            "name and an ioctl number of its own and go on serving the old one",
        )  # fmt: skip
    elif breaks:
        yield Finding(
            "size-unseen", "", "note",
            f"a size check sees nothing: sizeof {new.size} before and after",
        )  # fmt: skip
    if old.align != new.align:
        yield Finding(
            "align", "", "breaks", f"alignment {old.align} before, {new.align} after",
            "where another struct holds it, it may lie at another offset",
            "keep the alignment as it was: no member and no attribute that asks for another",
        )  # fmt: skip

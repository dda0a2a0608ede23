"""Findings: what a change to a struct is, what its effect is, and what would make it safe.

Whether a change breaks is decided by the sources of bytes; these are the words for it. The
remedies follow the kernel's own documents: ``driver-api/ioctl``, ``process/botching-up-ioctls``
and ``process/adding-syscalls``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from kvmviz.change import Change, Pair
from kvmviz.compat import Verdict, Witness, flexible
from kvmviz.ctype import Array, Scalar
from kvmviz.layout import Layout
from kvmviz.slot import Slot
from kvmviz.text import found_in, span, spans

Severity = Literal["breaks", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("breaks", "warning", "note")
"""Worst first."""


@dataclass(frozen=True)
class Finding:
    """One thing that a reviewer should know, in words.

    ``kind`` is a fixed word for programs, ``member`` the member's path, empty for the struct as
    a whole. ``change`` is what was done, ``effect`` what comes of it, ``remedy`` what would make
    it safe (empty where nothing has to be done). ``abis`` are the ABIs on which it holds.
    """

    kind: str
    member: str
    severity: Severity
    change: str
    effect: str = ""
    remedy: str = ""
    abis: tuple[str, ...] = ()


def between(pair: Pair) -> tuple[Finding, ...]:
    """All findings of one ABI, the worst first."""
    if pair.is_same:
        return ()
    found = [*map(lambda c: _member(pair, c), pair.changes), *_flexible(pair), *_holes(pair)]
    found += _whole(pair, any(row.severity == "breaks" for row in found))
    return tuple(sorted(found, key=lambda row: SEVERITIES.index(row.severity)))


def _member(pair: Pair, change: Change) -> Finding:
    if not change.old:
        return _added(pair, change)
    if not change.new:
        return _removed(pair, change)
    wrong = change.lost or change.gained
    (before, after), (first, last) = change.width, change.count
    told: list[tuple[str, str, str]] = []
    if before != after:
        word = "widened" if after > before else "narrowed"
        kind = "bit-field" if change.is_bit_field else word
        told.append((kind, f"{word} from {before} to {after} bits", _of_width(pair, change)))
    if first != last:
        word = "lengthened" if last > first else "shortened"
        told.append((
            "array-length", f"{word} from {first} to {last} elements",
            f"keep {first} elements; put others into a new member",
        ))  # fmt: skip
    if change.start[0] != change.start[1]:
        told.append(_moved(pair, change))
    if not told and wrong:
        told.append(("retyped", _types(change), f"keep the type of {change.name}"))
    if not told:
        return _retyped(change)
    kind, _, remedy = told[0]
    return Finding(
        kind, change.name, "breaks" if wrong else "note",
        "; ".join(words for _, words, _ in told), _effect(change), remedy if wrong else "",
    )  # fmt: skip


def _effect(change: Change) -> str:
    """What each side gets of the other, where that is not what it takes it for."""
    told = []
    if change.lost:
        told.append(f"an old reader of a new writer: {found_in(change.lost)}")
    if change.gained:
        told.append(f"a new reader of an old writer: {found_in(change.gained)}")
    return "; ".join(told)


def _of_width(pair: Pair, change: Change) -> str:
    """What to do instead of changing a width."""
    before, after = change.width
    if after < before:
        return f"keep {change.name} at {before} bits; a narrower value fits it as it is"
    if change.is_bit_field:
        return f"keep {change.name} at {before} bits; put bits {after - 1}:{before} elsewhere"
    advice = f"add a new member for bits {after - 1}:{before} instead of widening {change.name}"
    need = (after - before) // 8
    fits = [s for s in pair.old.holes if not s.extent % 8 and s.size >= need]
    if change.count[0] == 1 and fits:
        slot = fits[0]
        return f"{advice}: {_place_of(slot)} takes it, with a flag that says when it is valid"
    return advice


def _place_of(slot: Slot) -> str:
    where = span(slot.offset, slot.offset + slot.size - 1)
    return f"the {slot.path} ({where})"


def _moved(pair: Pair, change: Change) -> tuple[str, str, str]:
    name, (before, after) = change.name, change.start
    passed = [
        other
        for other, at in pair.old.offsets.items()
        if other in pair.new.offsets and other != change.old[0].member
        and (at - pair.old.offsets[change.old[0].member])
        * (pair.new.offsets[other] - pair.new.offsets[change.new[0].member]) < 0
    ]  # fmt: skip
    places = [place(slots) for slots in (change.old, change.new)]
    words = f"moves from {places[0]} to {places[1]}"
    keep = f"keep {name} at {places[0]}: new members go into holes, or behind the last one"
    if passed:
        side = "behind" if after > before else "in front of"
        words += f", now {side} {passed[0]}"
        return "reordered", words, f"keep the order of members: {name} at {places[0]}"
    return "moved", words, keep


def place(slots: Sequence[Slot]) -> str:
    """Where a member begins: a byte offset, and of a bit-field the bits there."""
    slot = min(slots, key=lambda s: s.start)
    source = slot.source(slot.offset) if slot.is_bit_field else None
    if source is None:
        return f"offset {slot.offset}"
    many = f"bits {source.top}:{source.bottom}" if source.top > source.bottom else (
        f"bit {source.top}"
    )  # fmt: skip
    return f"{many} of byte {slot.offset}"


def _types(change: Change) -> str:
    one, two = (slots[0].type for slots in (change.old, change.new))
    assert one is not None
    assert two is not None
    orders = {slots[0].order for slots in (change.old, change.new)}
    more = f" ({change.old[0].order}-endian to {change.new[0].order}-endian)"
    return f"type {one.name} becomes {two.name}{more if len(orders) > 1 else ''}"


def _retyped(change: Change) -> Finding:
    """Same bits in the same place: what is left is how they are taken."""
    one, two = change.old[0].type, change.new[0].type
    assert one is not None
    assert two is not None
    words = _types(change)
    if {one.kind, two.kind} & {"float", "bool"} and one.kind != two.kind:
        effect = "the same bits are taken for another kind of value"
        remedy = f"keep the type of {change.name}, and give the new kind a member of its own"
        return Finding("retyped", change.name, "warning", words, effect, remedy)
    effect = "the same bits in the same bytes"
    if one.signed != two.signed:
        effect += f"; with bit {change.width[0] - 1} set they are taken for another number"
    return Finding("retyped", change.name, "note", words, effect)


def _added(pair: Pair, change: Change) -> Finding:
    name, bits = change.name, change.bits
    where = places(change)
    need = f"needs a validity flag: an old writer never writes {where}"
    over = bits & pair.covered
    past = {bit for bit in bits if bit >= 8 * pair.old.size}
    if over:
        return _over(pair, change, over)
    if past:
        return Finding(
            "appended", name, "warning",
            f"added past the old end, {where}" if past == bits else
            f"added at the end, {where}: begins in the old tail padding",
            f"an old writer never writes {where}; a new writer that knows no size writes past the "
            "end of an old reader's memory",
            "hand over the size (in the ioctl's number, a member or an argument), and take only "
            "what both sides have",
        )  # fmt: skip
    holes = [s for s in pair.old.holes if bits & set(range(s.start, s.start + s.extent))]
    into = f"the {holes[0].path}" if holes else "no bytes"
    return Finding(
        "added-in-hole", name, "warning" if bits else "note",
        f"added in {into}, {where}; nothing else moves" if not _pushed(pair, change) else
        f"added in {into}, {where}",
        f"a new reader of an old writer finds what the memory held before: {where} never written",
        f"{need}; the flag must read as 0 from an old writer, and be cleared when it does not hold",
    )  # fmt: skip


def _over(pair: Pair, change: Change, over: frozenset[int]) -> Finding:
    """A new member where the old layout has others: it pushed, replaced or overlays them."""
    name, where = change.name, places(change)
    there = [s for s in pair.old.slots if not s.is_padding and over & _bits(s)]
    owners = list(dict.fromkeys(s.path for s in there))
    gone = [s for s in there if s.member not in pair.new.named]
    found = found_in(change.gained)
    if pushed := _pushed(pair, change):
        return Finding(
            "inserted", name, "breaks",
            f"no hole takes it, {where}: it moves {pushed}",
            f"a new reader of an old writer: {found}",
            f"put {name} into a hole or behind the last member, or add reserved members first",
        )  # fmt: skip
    if gone and len(gone) == len(there):
        taken = ", ".join(dict.fromkeys(s.path for s in gone))
        return Finding(
            "replaced", name, "warning", f"takes the place of {taken}, {where}",
            f"an old reader takes {name} for {taken}; a new reader of an old writer: {found}",
            f"safe if it is only a new name, or if old writers put 0 into {taken} and old readers "
            "look at nothing there",
        )  # fmt: skip
    return Finding(
        "overlaid", name, "warning",
        f"added over {', '.join(owners[:3])}{' and others' if len(owners) > 3 else ''}, {where}",
        f"a new reader of an old writer: {found}",
        "needs a discriminator that says which member of the union is valid, with a value that "
        "an old writer never gives",
    )  # fmt: skip


def _bits(slot: Slot) -> set[int]:
    return set(range(slot.start, slot.start + slot.extent))


def _pushed(pair: Pair, change: Change) -> str:
    """The members behind a new one that lie elsewhere since: ``far from 4 to 8``."""
    old, new = pair.old.offsets, pair.new.offsets
    start = min(slot.offset for slot in change.new)
    moved = [n for n in new if n in old and old[n] != new[n] and new[n] >= start]
    if not moved:
        return ""
    more = f" and {len(moved) - 1} more" if len(moved) > 1 else ""
    return f"{moved[0]} from {old[moved[0]]} to {new[moved[0]]}{more}"


def places(change: Change) -> str:
    """The bytes that a member holds, or the bits of them: ``bytes 4..7``, ``bits 7:5 of byte 0``."""
    slots = change.new or change.old
    if not any(slot.is_bit_field for slot in slots):
        return spans(sorted({at for s in slots for at in range(s.offset, s.offset + s.size)}))
    told = []
    for slot in slots:
        for at in range(slot.offset, slot.offset + slot.size):
            if source := slot.source(at):
                bits = f"{source.top}:{source.bottom}" if source.top > source.bottom else source.top
                told.append(f"bit{'s' if source.top > source.bottom else ''} {bits} of byte {at}")
    return ", ".join(told)


def _removed(pair: Pair, change: Change) -> Finding:
    name = change.name
    return Finding(
        "removed", name, "warning", f"removed, {places(change)}",
        f"an old reader of a new writer: {found_in(change.lost)}" if change.lost else "",
        f"keep {name}, or a reserved member of its size that is written as old readers expect it",
    )  # fmt: skip


def _flexible(pair: Pair) -> Iterator[Finding]:
    before, after = flexible(pair.old), flexible(pair.new)
    for name in dict.fromkeys((*after, *before)):
        if name not in before:
            yield Finding(
                "appended", name, "warning", f"flexible array added at offset {after[name][0]}",
                "an old writer writes no elements", "needs a count that is 0 from an old writer",
            )  # fmt: skip
        elif name not in after:
            yield Finding(
                "removed", name, "warning", "flexible array removed",
                "an old reader finds no elements of it", f"keep {name}, with a count of 0",
            )  # fmt: skip
        elif before[name] != after[name]:
            (at, _), (then, _) = before[name], after[name]
            change = f"moves from offset {at} to {then}" if at != then else "other elements"
            yield Finding(
                "moved", name, "breaks", f"flexible array: {change}",
                "each side takes other bytes for its elements",
                f"keep {name} at offset {at}, and its elements as they are",
            )  # fmt: skip


def _holes(pair: Pair) -> Iterator[Finding]:
    """Padding that was not there before: the documents ask for explicit members instead."""
    free = {bit for slot in pair.old.holes for bit in _bits(slot)}
    for slot in pair.new.holes:
        if slot.extent % 8 == 0 and not _bits(slot) & free:
            where = span(slot.offset, slot.offset + slot.size - 1)
            yield Finding(
                "new-hole", "", "note", f"new {slot.path}, {where}",
                "nobody writes it: it holds what the memory held before",
                "fill it with a reserved member, written as 0 and checked to be 0",
            )  # fmt: skip


def _whole(pair: Pair, breaks: bool) -> Iterator[Finding]:
    old, new = pair.old, pair.new
    if old.size != new.size:
        yield Finding(
            "size", "", "breaks", f"sizeof {old.size} before, {new.size} after",
            "an ioctl number that encodes the size changes; arrays have another stride; what "
            "embeds the struct moves its own members",
            f"keep sizeof at {old.size} (use holes or reserved members), or make it a new struct "
            "with an ioctl number of its own and go on serving the old one",
        )  # fmt: skip
    elif breaks:
        yield Finding(
            "size-unseen", "", "note",
            f"a size check sees nothing: sizeof {new.size} before and after",
        )  # fmt: skip
    if old.align != new.align:
        yield Finding(
            "align", "", "breaks", f"alignment {old.align} before, {new.align} after",
            "where another struct holds this one it may lie at another offset",
            f"keep the alignment at {old.align}: no wider member, the same attributes",
        )  # fmt: skip

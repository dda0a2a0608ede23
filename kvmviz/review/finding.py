"""Findings: what a change to a struct is, what its effect is, and what would make it safe.

Whether a change breaks is decided by the sources of bytes; these are the words for it. The
remedies follow the kernel's own documents: ``driver-api/ioctl``, ``process/botching-up-ioctls``
and ``process/adding-syscalls``. Here are members that both sides have; those that only one side
has are in :mod:`kvmviz.review.one_sided`, flexible arrays in :mod:`kvmviz.review.elements`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from kvmviz._base import counted
from kvmviz.ctype import Array, Struct, Type
from kvmviz.review.change import Change, stop
from kvmviz.review.pair import Pair
from kvmviz.review.room import rooms
from kvmviz.slot import Slot
from kvmviz.text import bits, few_spans, some
from kvmviz.verdict import Witness, lies, numbers_alike

Severity = Literal["breaks", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("breaks", "warning", "note")
"""Worst first."""

OLD_READER, NEW_READER = "an old reader of a new writer", "a new reader of an old writer"


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


def kept(pair: Pair, change: Change) -> Finding:
    """What became of a member that both sides have."""
    name, wrong = change.name, bool(change.lost or change.gained)
    told = list(_told(pair, change))
    if not told and not wrong:
        return _retyped(change)
    if not told:
        words = "its elements lie elsewhere, as each has another size"
        told = [("moved", words, f"keep the elements of {name} as they are")]
    words = "; ".join(row[1] for row in told) + (pushes(pair, change) if change.grows else "")
    remedy = "; ".join(dict.fromkeys(row[2] for row in told))
    return Finding(told[0][0], name, "breaks" if wrong else "note", words, effect(change), remedy)


def _told(pair: Pair, change: Change) -> Iterator[tuple[str, str, str]]:
    """Kind, words and remedy of each way in which it changed, what decides most first."""
    (before, after), (first, last) = change.width, change.count
    if change.is_another and (change.lost or change.gained):
        yield "retyped", types(change), f"keep the type of {change.name}"
    elif not change.is_another:
        if before != after and not change.is_struct:
            word = "widened" if after > before else "narrowed"
            kind = "bit-field" if change.is_bit_field else word
            yield kind, f"{word} from {before} to {after} bits", _of_width(pair, change)
        if first != last:
            word = "lengthened" if last > first else "shortened"
            words = f"{word} from {first} to {counted(last, 'element')}"
            yield "array-length", words, _of_length(change)
    if change.moves:
        yield _moved(pair, change)


def _of_length(change: Change) -> str:
    """What to do instead of changing a count."""
    first, last = change.count
    keep = f"keep {change.name} at {counted(first, 'element')}"
    if last > first:
        return f"{keep}; put the others into a new member"
    return f"{keep}, unless the others were reserved: {RESERVED}"


RESERVED = "written as 0 by every old writer and ignored by every old reader"
"""What makes a reserved member one that may be put to use."""


def effect(change: Change) -> str:
    """What each side gets of the other, where that is not what it takes it for."""
    sides = ((OLD_READER, change.lost), (NEW_READER, change.gained))
    told = [f"{who} finds {found(wrong)}" for who, wrong in sides if wrong]
    if change.is_another and not change.is_struct and not _alike(change):
        told.insert(0, "each side takes the bits for another value")
    return "; ".join(told)


def _alike(change: Change) -> bool:
    return numbers_alike(change.old[0], change.new[0])


def found(wrong: Sequence[Witness]) -> str:
    """What lies in bytes that are not intact: ``hsr[63:32] in bytes 0..3``."""
    told = [f"{what or 'what was there before'} in {place}" for place, what in lies(wrong)]
    return " and ".join(told)


def _of_width(pair: Pair, change: Change) -> str:
    """What to do instead of changing a width."""
    name, (before, after) = change.name, change.width
    if after < before:
        return f"keep {name} at {before} bits: a narrower value fits it as it is"
    if change.is_bit_field or change.count != (1, 1):
        each = "" if change.count == (1, 1) else "the elements of "
        return f"keep {each}{name} at {before} bits; put the further bits into a new member"
    advice = f"add a new member for bits {after - 1}:{before} instead of widening {name}"
    room = rooms(pair).get(name)
    if room is None:
        return f"{advice}; no hole takes it, so it goes behind the last member"
    return f"{advice}: the {room} takes it, with a flag that says when it is valid"


def _moved(pair: Pair, change: Change) -> tuple[str, str, str]:
    name = change.name
    places = [place(slots[0]) for slots in (change.old, change.new)]
    words = f"moves from {places[0]} to {places[1]}"
    if name in pair.passed:
        other, behind = pair.passed[name]
        words += f", {'behind' if behind else 'in front of'} {other}"
        return "reordered", words, "keep the order of members"
    keep = f"keep {name} where it was: a new member goes into a hole or behind the last one"
    return "moved", words, keep


def pushes(pair: Pair, change: Change) -> str:
    """What a new or a wider member moves: ``; it moves far from offset 4 to offset 8``."""
    found = pair.pushed(change)
    if found is not None:
        name, before, after = found
        return f"; it moves {name} from {place(before)} to {place(after)}"
    end = stop(change.new)
    for name, (old, new) in pair.flexible.items():
        if old and new and old.offset != new.offset and 8 * new.offset >= end:
            return f"; it moves {name} from offset {old.offset} to offset {new.offset}"
    return ""


def place(slot: Slot) -> str:
    """Where a member begins: a byte offset; of a bit-field, the bits there."""
    source = slot.source(slot.offset) if slot.is_bit_field else None
    if source is None:
        return f"offset {slot.offset}"
    return f"{bits(source.top, source.bottom)} of byte {slot.offset}"


def places(slots: Sequence[Slot]) -> str:
    """What members hold: ``bytes 4..7``, or of bit-fields ``bits 7:5 of byte 0``."""
    held = [(at, slot) for slot in slots for at in range(slot.offset, slot.offset + slot.size)]
    if not any(slot.is_bit_field for slot in slots):
        return few_spans(at for at, _ in held)
    sources = ((at, slot.source(at)) for at, slot in held)
    return some([f"{bits(s.top, s.bottom)} of byte {at}" for at, s in sources if s])


def types(change: Change) -> str:
    """The type before and after, in words."""
    (one, *_), (two, *_) = change.old, change.new
    before, after = (type_words(kind) for kind in change.kinds)
    if before == after:
        swapped = one.order != two.order
        return f"the same type, {'its bytes in opposite order' if swapped else 'declared anew'}"
    marks = [f" ({s.order}-endian)" if s.type and s.type.order else "" for s in (one, two)]
    words = f"type {before}{marks[0]} becomes {after}{marks[1]}"
    if not change.is_struct and not _alike(change):
        kinds = [kind_words(slot) for slot in (one, two)]
        words += f"; the bits of {kinds[1]} are not those of {kinds[0]}"
    return words


def type_words(kind: Type | None) -> str:
    """A type as a sentence has it: ``__u8[2][4]``, ``struct arch``, ``a struct of lo, hi``."""
    assert kind is not None
    counts = "".join(f"[{n or ''}]" for n in kind.shape) if isinstance(kind, Array) else ""
    if not isinstance(kind.leaf, Struct):
        return f"{kind.leaf.name}{counts}"
    if kind.leaf.tag:
        return f"{kind.leaf}{counts}"
    what = "union" if kind.leaf.union else "struct"
    return f"{'an array of structs' if counts else f'a {what}'} of {some(list(kind.leaf.names()))}"


def kind_words(slot: Slot) -> str:
    """What a number is: ``an integer``, ``a floating point number of 32 bits``."""
    is_float = slot.type is not None and slot.type.kind == "float"
    return f"a floating point number of {slot.width} bits" if is_float else "an integer"


def _retyped(change: Change) -> Finding:
    """Same bits in the same place: what is left is how they are taken."""
    name, one, two = change.name, change.old[0].type, change.new[0].type
    assert one is not None
    assert two is not None
    if one.kind != two.kind and "bool" in (one.kind, two.kind):
        words = "the same bits are taken for another kind of value"
        remedy = f"keep the type of {name}, and give the new kind a member of its own"
        return Finding("retyped", name, "warning", types(change), words, remedy)
    words = "the same bits in the same bytes"
    if one.signed != two.signed:
        words += f"; a value with bit {change.width[0] - 1} set changes its sign"
    return Finding("retyped", name, "note", types(change), words)

"""Findings: what a change to a struct is, what its effect is, and what would make it safe.

Whether a change breaks is decided by the sources of bytes; these are the words for it. The
remedies follow the kernel's own documents: ``driver-api/ioctl``, ``process/botching-up-ioctls``
and ``process/adding-syscalls``. Members that only one side has are in :mod:`kvmviz.review.comings`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from kvmviz.compat import Verdict, Witness
from kvmviz.review.change import Change, Pair, stop
from kvmviz.slot import Slot
from kvmviz.text import lies, span, spans

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
    if not told and change.old[0].type == change.new[0].type:
        told = [("moved", "its elements lie elsewhere", f"keep the elements of {name} as they are")]
    elif not told:
        told = [("retyped", types(change), f"keep the type of {name}")]
    grew = stop(change.new) - change.start[1] > stop(change.old) - change.start[0]
    words = "; ".join(row[1] for row in told) + (pushes(pair, change) if grew else "")
    remedy = "; ".join(dict.fromkeys(row[2] for row in told))
    return Finding(told[0][0], name, "breaks" if wrong else "note", words, effect(change), remedy)


def _told(pair: Pair, change: Change) -> Iterator[tuple[str, str, str]]:
    """Kind, words and remedy of each way in which it changed, what decides most first."""
    (before, after), (first, last) = change.width, change.count
    if before != after and not change.is_struct:
        word = "widened" if after > before else "narrowed"
        kind = "bit-field" if change.is_bit_field else word
        yield kind, f"{word} from {before} to {after} bits", _of_width(pair, change)
    if first != last:
        word = "lengthened" if last > first else "shortened"
        instead = "; put the others into a new member" if last > first else ""
        remedy = f"keep {change.name} at {elements(first)}{instead}"
        yield "array-length", f"{word} from {first} to {elements(last)}", remedy
    if change.moves:
        yield _moved(pair, change)


def elements(number: int) -> str:
    """``1 element``, ``2 elements``."""
    return f"{number} element{'s' if number != 1 else ''}"


def effect(change: Change) -> str:
    """What each side gets of the other, where that is not what it takes it for."""
    sides = ((OLD_READER, change.lost), (NEW_READER, change.gained))
    return "; ".join(f"{who} finds {found(wrong)}" for who, wrong in sides if wrong)


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
    need = (after - before) // 8
    fits = [s for s in pair.old.holes if s.extent % 8 == 0 and _room(s, pair) >= need]
    if not fits:
        return f"{advice}; no hole takes it, so it goes behind the last member"
    slot = fits[0]
    where = span(slot.offset, slot.offset + slot.size - 1)
    return f"{advice}: the {slot.path} ({where}) takes it, with a flag that says when it is valid"


def _room(slot: Slot, pair: Pair) -> int:
    """Bytes of the widest naturally aligned scalar that fits into a hole."""
    sizes = (size for size in (8, 4, 2, 1) if size <= slot.size)
    for size in sizes:
        align = pair.old.abi.align(size)
        if -(-slot.offset // align) * align + size <= slot.offset + slot.size:
            return size
    return 0


def _moved(pair: Pair, change: Change) -> tuple[str, str, str]:
    name, (before, after) = change.name, change.start
    places = [place(slots[0]) for slots in (change.old, change.new)]
    words = f"moves from {places[0]} to {places[1]}"
    passed = [
        other.name
        for other in pair.changes
        if other.moves and (other.start[0] - before) * (other.start[1] - after) < 0
    ]
    if passed:
        words += f", {'behind' if after > before else 'in front of'} {passed[0]}"
        return "reordered", words, "keep the order of members"
    keep = f"keep {name} where it was: a new member goes into a hole or behind the last one"
    return "moved", words, keep


def pushes(pair: Pair, change: Change) -> str:
    """What a new or a wider member moves: ``; it moves far from offset 4 to offset 8``."""
    found = pair.pushed(change)
    if found is None:
        return ""
    before, after = found
    return f"; it moves {after.path} from {place(before)} to {place(after)}"


def place(slot: Slot) -> str:
    """Where a member begins: a byte offset; of a bit-field, the bits there."""
    source = slot.source(slot.offset) if slot.is_bit_field else None
    if source is None:
        return f"offset {slot.offset}"
    return f"{bits(source.top, source.bottom)} of byte {slot.offset}"


def bits(top: int, bottom: int) -> str:
    """``bit 3``, ``bits 7:5``."""
    return f"bits {top}:{bottom}" if top > bottom else f"bit {top}"


def places(slots: Sequence[Slot]) -> str:
    """What members hold: ``bytes 4..7``, or of bit-fields ``bits 7:5 of byte 0``."""
    if not any(slot.is_bit_field for slot in slots):
        return spans_of(slots)
    sources = ((at, s.source(at)) for s in slots for at in range(s.offset, s.offset + s.size))
    return ", ".join(f"{bits(s.top, s.bottom)} of byte {at}" for at, s in sources if s)


def spans_of(slots: Iterable[Slot]) -> str:
    """The bytes of slots, neighbours joined."""
    rows: list[tuple[int, int]] = []
    for slot in sorted(slots, key=lambda s: s.offset):
        last = slot.offset + slot.size - 1
        if rows and slot.offset <= rows[-1][1] + 1:
            rows[-1] = rows[-1][0], max(rows[-1][1], last)
        else:
            rows.append((slot.offset, last))
    return ", ".join(span(*row) for row in rows)


def types(change: Change) -> str:
    """The type before and after, in words."""
    one, two = (_type(slots[0], slots[0].order) for slots in (change.old, change.new))
    if one == two:
        return "the same type, its elements in other places"
    return f"type {one} becomes {two}"


def _type(slot: Slot, order: str) -> str:
    assert slot.type is not None
    fixed = f" ({order}-endian)" if slot.type.order else ""
    return f"{slot.type.name}{''.join(f'[{n}]' for n in slot.shape)}{fixed}"


def _retyped(change: Change) -> Finding:
    """Same bits in the same place: what is left is how they are taken."""
    name, one, two = change.name, change.old[0].type, change.new[0].type
    assert one is not None
    assert two is not None
    if one.kind != two.kind and {one.kind, two.kind} & {"float", "bool"}:
        words = "the same bits are taken for another kind of value"
        remedy = f"keep the type of {name}, and give the new kind a member of its own"
        return Finding("retyped", name, "warning", types(change), words, remedy)
    words = "the same bits in the same bytes"
    if one.signed != two.signed:
        words += f"; a value with bit {change.width[0] - 1} set changes its sign"
    return Finding("retyped", name, "note", types(change), words)


def one_way(verdict: Verdict) -> tuple[Finding, ...]:
    """What is not intact for the reader of one verdict; neither side is the older one."""
    pair = Pair(verdict.writer, verdict.reader)
    rows = []
    for change in pair.changes:
        if not change.gained:
            continue
        where = spans(sorted({w.offset for w in change.gained}))
        if change.old:
            finding = kept(pair, change)
            words = f"from writer to reader: {finding.change}"
            remedy = f"lay {change.name} out alike on both sides"
            rows.append(
                Finding(finding.kind, change.name, "breaks", words, found(change.gained), remedy)
            )
        else:
            never = all(w.status == "unwritten" for w in change.gained)
            what = "never writes" if never else "writes something else into"
            rows.append(
                Finding(
                    "added", change.name, "warning", "the writer has no such member",
                    found(change.gained), f"needs a validity flag: this writer {what} {where}",
                )
            )  # fmt: skip
    return tuple(rows)

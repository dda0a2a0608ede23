"""Grades: an answer judged by layout, verdict and review, with words that name what is wrong.

No change is on file: whatever is safe is right, and does what the task asks for. The words say
where an answer fails, on which ABI and in which bytes, and leave the way out to the hints.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from kvmviz._base import KvmvizError, counted, find, listed, shown, span
from kvmviz.abi import ABIS, siblings
from kvmviz.c.parse import laid_out, structs
from kvmviz.ctype import Struct
from kvmviz.layout import Layout
from kvmviz.review import Review, review
from kvmviz.review.change import Pair
from kvmviz.review.finding import Finding, found
from kvmviz.review.report import ground
from kvmviz.review.versions import PROGRAMS, Versions
from kvmviz.slot import Slot
from kvmviz.text import spans
from kvmviz.verdict import STATUSES, compare, found_there


@dataclass(frozen=True, repr=False)
class Grade:
    """Whether an answer is right, and why; ``shown`` is what there is to look at."""

    right: bool
    feedback: str
    shown: tuple[Versions, ...] = ()

    def __repr__(self) -> str:
        return f"{'✓ right' if self.right else '✗ not yet'}: {self.feedback}"


def first_struct(text: str) -> Struct:
    """The struct of an exercise."""
    return next(iter(structs(text).values()))


def struct_of(text: str, like: Struct) -> Struct:
    """The struct of an answer: that of the same name, or the only one there."""
    defined = structs(text)
    if like.tag in defined:
        return defined[like.tag]
    if len(defined) == 1:
        return next(iter(defined.values()))
    raise KvmvizError(f"the answer defines no {like}; it defines {listed(defined)}")


# Offsets, numbers, names.

_RANGE = re.compile(r"(?<=\d)\s*(?:\.{2,3}|[-–])\s*(?=\d)")
_NUMBER = re.compile(r"([-+]?(?:0[xX][0-9a-fA-F]{1,16}|\d{1,16}))(?:\s*bytes?)?\.?")


def offsets(answer: str, layout: Layout) -> set[int]:
    """Offsets and ranges of them: ``4..7, 12``, ``bytes 4-7 and byte 12``."""
    words = re.sub(r"\b(?:bytes?|and)\b", " ", answer.lower())
    named: set[int] = set()
    for word in re.split(r"[,;\s]+", _RANGE.sub("..", words).strip(" ,;.\n")):
        match = re.fullmatch(r"(\d{1,6})(?:\.\.(\d{1,6}))?", word)
        if match is None:
            raise KvmvizError(f"{shown(word)} is no offset; write offsets as in 4..7, 12.")
        first, last = int(match[1]), int(match[2] or match[1])
        if first > last:
            raise KvmvizError(f"{word} runs backwards; write {last}..{first}.")
        if last >= layout.size:
            legal = f"{layout.struct} has bytes 0..{layout.size - 1} on {layout.abi.name}"
            raise KvmvizError(f"{word}: {legal}.")
        named.update(range(first, last + 1))
    return named


def holes(answer: str, given: str, abi: str) -> Grade:
    """The answer names every byte that holds no member: ``4..7, 12``."""
    layout = first_struct(given).layout(abi)
    free = {at for at in range(layout.size) if not layout.holders[at]}
    named = offsets(answer, layout)
    if taken := sorted(named - free):
        slot = layout.slot_at(taken[0])
        place = span(slot.offset, slot.offset + slot.size - 1)
        return Grade(False, f"on {abi}, byte {taken[0]} belongs to {slot.path} ({place}).")
    if left := len(free - named):
        return Grade(False, f"on {abi}, what you name is free, and {left} more bytes are.")
    words = f"on {abi}, {spans(sorted(free))} hold no member."
    return Grade(True, words, (Versions(layout),))


def read(part: str, like: int | str) -> int | str:
    """The number or the status of an answer that may have a label before a colon.

    ``like`` says which of the two is asked for.
    """
    words = part.rpartition(":")[2].strip()
    if not words:
        raise KvmvizError("no answer yet")
    if isinstance(like, str):
        status = words.lower().rstrip(".")
        if status in STATUSES:
            return status
        legal = ", ".join(STATUSES[::-1][:-1])
        raise KvmvizError(f"{shown(words)} is no status; write {legal} or {STATUSES[0]}")
    match = _NUMBER.fullmatch(words)
    if match is None:
        raise KvmvizError(f"{shown(words)} is no number; write a number of bytes, as in 4")
    return int(match[1], 16) if "x" in match[1].lower() else int(match[1])


def form(answer: str, abi: str, questions: Mapping[str, int | str]) -> Grade:
    """A number or a status for each question in their order: one a line, or all in one line."""
    said = [line for line in answer.splitlines() if line.strip()]
    if len(said) == 1 < len(questions):
        said = [word for word in re.split(r"[,;\s]+", said[0]) if word]
    if len(said) > len(questions):
        return Grade(False, f"{len(said)} answers to {len(questions)} questions.")
    said += [""] * (len(questions) - len(said))
    wrong = []
    for (label, right), part in zip(questions.items(), said, strict=True):
        try:
            if (answered := read(part, right)) != right:
                wrong.append(f"{label}: on {abi} it is not {answered}")
        except KvmvizError as error:
            wrong.append(f"{label}: {error}")
    return Grade(not wrong, "; ".join(wrong or [f"so it is on {abi}"]) + ".")


def breaking(answer: str, old: str, new: str, member: str) -> Grade:
    """The answer names the ABIs on which an old program loses a member."""
    before, after = first_struct(old), first_struct(new)
    rows = {row.abi.name: row.forward for row in review(before, after).rows}
    lost = [name for name, verdict in rows.items() if verdict.fields[member] != "intact"]
    words = re.sub(r"\band\b", " ", answer.lower())
    named = [find(ABIS, word, "ABI").name for word in re.split(r"[,;.\s]+", words) if word]
    for name in named:
        if name not in lost:
            place = rows[name].reader.offsets[member]
            told = f"on {name}, {member} is at offset {place} before and after: intact."
            return Grade(False, told, _seen(before, after, name))
    if left := len(set(lost) - set(named)):
        more = "one ABI more loses" if left == 1 else f"{left} ABIs more lose"
        return Grade(False, f"{more} {member}." if named else "name at least one ABI.")
    told = f"on {lost[0]}, {found_there(rows[lost[0]], member)}."
    return Grade(True, told, _seen(before, after, *lost[:2]))


def _seen(old: Struct, new: Struct, *abis: str) -> tuple[Versions, ...]:
    return tuple(Versions(old.layout(abi), new.layout(abi)) for abi in abis)


# C that is held against another ABI's layout.


def shared(
    answer: str, writer: str, kernel: str, given: str, program: str, members: Sequence[str]
) -> Grade:
    """The answer, read on ``program``, has members where ``writer`` puts them on ``kernel``.

    Sizes must agree too: else the next element of an array is elsewhere.
    """
    old = first_struct(given)
    new = struct_of(answer, old)
    mine = laid_out(new, program, answer)
    verdict = compare(first_struct(writer).layout(kernel), mine)
    if missing := [name for name in members if name not in mine.named]:
        return Grade(False, f"{', '.join(missing)}: gone; programs use it.")
    if told := retyped(old, new, program):
        return Grade(False, told)
    seen = (Versions(verdict.writer), Versions(mine))
    lost = [
        f"{name}, written on {kernel}, is {verdict.fields[name]} when read on {program}: "
        f"{found_there(verdict, name)}."
        for name in members
        if verdict.fields[name] != "intact"
    ]
    if verdict.size_differs:
        sizes = f"{verdict.writer.size} bytes on {kernel}, {mine.size} on {program}"
        lost.append(f"It has {sizes}.")
    if lost:
        return Grade(False, " ".join(lost), seen)
    where = f"{' and '.join(members)} lie where {kernel} has them, in {mine.size} bytes."
    return Grade(True, where, seen)


def bits_alike(answer: str, given: str, value: str) -> Grade:
    """On aarch64_be the answer's bit-fields hold the bits of ``value`` that they do on aarch64."""
    old = first_struct(given)
    new, little = struct_of(answer, old), old.layout("aarch64")
    big = laid_out(new, "aarch64_be", answer)
    seen = (Versions(little), Versions(big))
    if gone := [name for name in little.named if name not in big.named]:
        return Grade(False, f"{', '.join(gone)}: gone; programs read it.")
    if told := retyped(old, new, "aarch64_be"):
        return Grade(False, told, seen)
    for name in little.named:
        here, there = _bits(little, name), _bits(big, name)
        if name != value and here != there:
            words = f"{name} holds bits {there} of {value} on aarch64_be, {here} on aarch64."
            return Grade(False, words, seen)
    if big.size != little.size:
        words = f"{big.struct} has {big.size} bytes on aarch64_be; it must keep {little.size}."
        return Grade(False, words, seen)
    verdict = compare(big, old.layout("aarch64_be"))
    if (status := verdict.fields[value]) != "intact":
        told = found_there(verdict, value)
        return Grade(False, f"{value} is {status} on aarch64_be: {told}.", seen)
    return Grade(True, f"every field holds the same bits of {value} in both byte orders.", seen)


def _bits(layout: Layout, name: str) -> str:
    """The bits of the struct's bytes, taken for one number, that a bit-field holds."""
    rows = [(slot.path, slot.shape, slot.type.kind, slot.width)
            for slot in layout.slots if slot.member == name and slot.type]  # fmt: skip
    if [row[:3] for row in rows] != [(name, (), "integer")]:
        raise KvmvizError(f"{name} is no single integer on {layout.abi.name}; programs read it so.")
    image = layout.pack({name: (1 << rows[0][3]) - 1})
    number = int.from_bytes(bytes(image), layout.abi.byte_order)
    low = (number & -number).bit_length() - 1
    return f"{number.bit_length() - 1}:{low}"


# C that is a new version.

Wish = Callable[[Sequence[Slot]], str]
"""What the new integers of an answer must be on an ABI: words for what is missing, or nothing."""

TAKES = ("removed", "renamed", "replaced", "taken", "added-in-union")
"""Kinds of findings by which a member that programs read loses its bytes, or shares them."""


def safe(answer: str, given: str, abis: Sequence[str], wish: Wish) -> Grade:
    """The answer is a new version of the given struct that breaks nothing on these ABIs."""
    old = first_struct(given)
    new = struct_of(answer, old)
    layouts = [laid_out(new, abi, answer) for abi in abis]
    made = review(old, new, abis)
    taken = [row for row in made.findings if row.kind in TAKES or _is_retyped(row)]
    if taken:
        first = min(taken, key=lambda row: row.kind != "removed")
        effect = "" if _is_retyped(first) else first.effect
        told = "; ".join(filter(None, (first.named, effect)))
        where = ground(made, first.abis)
        return Grade(False, f"on {where}, {told}.", _worth_seeing(made))
    if made.breaks:
        return Grade(False, f"it breaks.\n{_broken(made)}", _worth_seeing(made))
    for layout in layouts:
        if missing := wish(integers(old, layout)):
            return Grade(False, f"on {layout.abi.name}, {missing}.")
    names = [abi.name for abi in made.abis]
    lines = [f"nothing breaks on {ground(made, names)}.", *_still(made, layouts[0])]
    return Grade(True, "\n".join(lines), _worth_seeing(made))


def _is_retyped(row: Finding) -> bool:
    """A member is another kind of value than it was, not only spelled in another way."""
    return row.kind == "retyped" and row.severity != "note"


def retyped(old: Struct, new: Struct, abi: str) -> str:
    """What makes a member another kind of value than it was, in words, or nothing."""
    rows = review(old, new, [abi]).findings
    return next((f"{row.named}." for row in rows if _is_retyped(row)), "")


def _still(made: Review, layout: Layout) -> list[str]:
    """What is left to see to, of the widest new members first."""
    width = {slot.path: slot.width for slot in layout.slots}
    rows = sorted(made.warnings, key=lambda row: -width.get(row.member, 0))
    told = [f"Still: {row.member}: {row.remedy.partition(';')[0]}." for row in rows]
    return told if len(told) < 3 else [*told[:2], f"And {len(told) - 2} more like it."]


def _broken(made: Review) -> str:
    """What breaks first: one member, one direction, one ABI, and how much more there is."""
    wrong = [row for row in made.findings if row.severity == "breaks"]
    # What programs already read comes first.
    wrong.sort(key=lambda row: row.member not in set(made.old.names()))
    rows = {row.abi.name: row for row in made.rows}
    hits = [
        (reader, finding, abi, told)
        for reader in PROGRAMS
        for finding in wrong
        for abi in finding.abis
        if (told := _finds(reader, finding, rows[abi]))
    ]
    reader, first, abi, told = hits[0] if hits else ("", wrong[0], wrong[0].abis[0], "")
    kind = (first.kind, first.member)
    alike = {a for who, f, a, _ in hits if (who, f.kind, f.member) == (reader, *kind)}
    likewise = [other for other in rows if other in (alike or set(first.abis)) - {abi}]
    others = {(row.kind, row.member) for row in wrong} - {kind}
    words = "; ".join(filter(None, (first.named.partition("; ")[0], told)))
    more = [f"Likewise on {', '.join(likewise)}"] if likewise else []
    more += [counted(len(others), "more finding")] if others else []
    return f"On {abi}, {words}." + (f" {'; '.join(more)}." if more else "")


def _finds(reader: str, finding: Finding, row: Pair) -> str:
    """What a program finds where it looks for a member, if that is something else."""
    change = next((one for one in row.changes if one.name == finding.member), None)
    wrong = (change.lost if reader == PROGRAMS[0] else change.gained) if change else ()
    # Bytes that hold something else tell more than those that hold nothing new.
    shown = [witness for witness in wrong if witness.found] or wrong
    return f"{reader} finds {found(shown).partition(' and ')[0]}" if shown else ""


def _worth_seeing(made: Review) -> tuple[Versions, ...]:
    """Two ABIs: the first that breaks and its other byte order, else the first two."""
    broken = [abi for row in made.findings if row.severity == "breaks" for abi in row.abis]
    names = [abi.name for abi in made.abis]
    first = broken[0] if broken else names[0]
    others = [abi.name for abi in siblings(first).values() if abi.name != first] + names
    second = next((name for name in others if name != first), first)
    return _seen(made.old, made.new, *sorted({first, second}, key=list(ABIS).index))


def integers(old: Struct, layout: Layout) -> list[Slot]:
    """The integers of a new version, bit-fields and elements of arrays too, that are new."""
    known = set(old.names())
    return [
        slot
        for slot in layout.slots
        if slot.type and slot.type.kind == "integer" and slot.member not in known and slot.width
    ]


def with_one(bits: int) -> Wish:
    """The answer has a new integer of so many bits."""

    def wish(fresh: Sequence[Slot]) -> str:
        if any(slot.width == bits for slot in fresh):
            return ""
        there = ", ".join(f"{slot.path} has {slot.width}" for slot in fresh)
        return f"no new integer has {bits} bits{f': {there}' if there else ''}"

    return wish


def with_room(bits: int) -> Wish:
    """The answer has new integers wider than a byte that hold so many bits together.

    A number cut into bytes has no byte order that an ABI knows of; what a union lays over each
    other counts once.
    """

    def wish(fresh: Sequence[Slot]) -> str:
        wide = [range(slot.start, slot.stop) for slot in fresh if slot.width > 8]
        held = len(set(chain.from_iterable(wide)))
        words = f"new integers wider than a byte hold {held} bits; {bits} are needed"
        return words if held < bits else ""

    return wish

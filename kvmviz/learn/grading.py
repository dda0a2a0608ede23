"""Grades: an answer judged by layout, verdict and review, with words that name what is wrong.

No change is on file: whatever is safe is right, and does what the task asks for. The words say
where an answer fails, on which ABI and in which bytes, and leave the way out to the hints.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from kvmviz._base import KvmvizError, counted, listed, shown, span
from kvmviz.abi import ABIS, siblings
from kvmviz.c.parse import laid_out, structs
from kvmviz.ctype import Struct
from kvmviz.layout import Layout
from kvmviz.review import Review, review
from kvmviz.review.finding import OLD_READER, Finding
from kvmviz.review.report import ground
from kvmviz.review.versions import Versions
from kvmviz.slot import Slot
from kvmviz.text import spans
from kvmviz.verdict import STATUSES, compare, found_there


@dataclass(frozen=True)
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
        return Grade(False, f"on {abi}, what you name is free, and {counted(left, 'more byte')}.")
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
    named = [ABIS.find(word).name for word in re.split(r"[,;.\s]+", words) if word]
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


def _lost(old: Struct, mine: Layout, names: Iterable[str], *kinds: str) -> str:
    """What programs use and the answer has not, or as another kind of value; or nothing.

    Findings of ``kinds`` count too.
    """
    if gone := [name for name in names if name not in mine.named]:
        return f"{', '.join(gone)}: gone; programs use it."
    rows = review(old, mine.struct, [mine.abi.name]).findings
    return next((f"{row.named}." for row in rows if row.kind in kinds or _is_retyped(row)), "")


def _is_retyped(row: Finding) -> bool:
    """A member is another kind of value than it was, not only spelled in another way."""
    return row.kind == "retyped" and row.severity != "note"


def shared(answer: str, writer: tuple[str, str], reader: tuple[str, str]) -> Grade:
    """The answer, a new ``reader``, has its members where ``writer`` puts them.

    Both are C and an ABI. What the two have in common counts, and sizes must agree too: else the
    next element of an array is elsewhere.
    """
    old, (_, kernel), (_, program) = first_struct(reader[0]), writer, reader
    mine = laid_out(struct_of(answer, old), program)
    theirs = first_struct(writer[0]).layout(kernel)
    members, wrong = list(theirs.named), []
    if told := _lost(old, mine, members):
        return Grade(False, told)
    verdict = compare(theirs, mine)
    for name in members:
        if (status := verdict.fields[name]) != "intact":
            told = f"{name}, written on {kernel}, is {status} when read on {program}"
            wrong.append(f"{told}: {found_there(verdict, name)}.")
    if verdict.size_differs:
        wrong.append(f"It has {theirs.size} bytes on {kernel}, {mine.size} on {program}.")
    where = f"{' and '.join(members)} lie where {kernel} has them, in {mine.size} bytes."
    told = " ".join(wrong) or _lost(old, mine, members, "narrowed", "bit-field")
    return Grade(not told, told or where, (Versions(theirs), Versions(mine)))


def bits_alike(answer: str, given: str, value: str) -> Grade:
    """On aarch64_be the answer's bit-fields hold the bits of ``value`` that they do on aarch64."""
    old = first_struct(given)
    little, big = old.layout("aarch64"), laid_out(struct_of(answer, old), "aarch64_be")
    seen = (Versions(little), Versions(big))
    if told := _lost(old, big, little.named):
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
    layouts = [laid_out(new, abi) for abi in abis]
    made = review(old, new, abis)
    taken = [row for row in made.findings if row.kind in TAKES or _is_retyped(row)]
    if wrong := taken or [row for row in made.findings if row.severity == "breaks"]:
        return Grade(False, _broken(made, wrong), _worth_seeing(made))
    for layout in layouts:
        if missing := wish(integers(old, layout)):
            return Grade(False, f"on {layout.abi.name}, {missing}.")
    # What is left to see to, of the widest new members first.
    width = {slot.path: slot.width for slot in layouts[0].slots}
    rows = sorted(made.warnings, key=lambda row: -width.get(row.member, 0))
    still = (f"Still: {row.member}: {row.remedy.partition(';')[0]}." for row in rows)
    told = "\n".join((f"nothing breaks on {ground(made, abis)}.", *still))
    return Grade(True, told, _worth_seeing(made))


def _broken(made: Review, wrong: Sequence[Finding]) -> str:
    """What breaks first, and how much more there is."""
    # What programs already read comes first, and of that what old ones do not find.
    known = set(made.old.names())
    first = min(wrong, key=lambda row: (row.member not in known, OLD_READER not in row.effect))
    more = f" {counted(len(wrong) - 1, 'more finding')}." if len(wrong) > 1 else ""
    told = "; ".join(filter(None, (first.named, first.effect)))
    return f"it breaks: on {ground(made, first.abis)}, {told}.{more}"


def _worth_seeing(made: Review) -> tuple[Versions, ...]:
    """Two ABIs: the first that breaks and its other byte order, else the first two."""
    broken = [abi for row in made.findings if row.severity == "breaks" for abi in row.abis]
    names = [abi.name for abi in made.abis]
    first = [*broken, *names][0]
    orders = [abi.name for abi in siblings(first).values()]
    two = [*dict.fromkeys([first, *orders, *names])][:2]
    return _seen(made.old, made.new, *sorted(two, key=list(ABIS).index))


def integers(old: Struct, layout: Layout) -> list[Slot]:
    """The integers of a new version, bit-fields and elements of arrays too, that are new."""
    known = set(old.names())
    whole = (slot for slot in layout.slots if slot.type and slot.type.kind == "integer")
    return [slot for slot in whole if slot.member not in known and slot.width]


def one_of(bits: int, fresh: Sequence[Slot]) -> str:
    """The answer has a new integer of so many bits; else what there is."""
    if any(slot.width == bits for slot in fresh):
        return ""
    there = ", ".join(f"{slot.path} has {slot.width}" for slot in fresh)
    return f"no new integer has {bits} bits{f': {there}' if there else ''}"


def room_for(bits: int, fresh: Sequence[Slot]) -> str:
    """The answer has new integers wider than a byte that hold so many bits; else how many.

    A number cut into bytes has no byte order that an ABI knows of; what a union lays over each
    other counts once.
    """
    wide = [range(slot.start, slot.stop) for slot in fresh if slot.width > 8]
    held = len(set(chain.from_iterable(wide)))
    words = f"new integers wider than a byte hold {held} bits; {bits} are needed"
    return words if held < bits else ""

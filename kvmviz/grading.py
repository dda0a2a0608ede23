"""Grades: an answer judged by layout, verdict and review, with words that name what is wrong.

No answer is on file: whatever is safe is right. The words say where an answer fails, on which ABI
and in which bytes, and leave the way out to the hints.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kvmviz._base import KvmvizError, Twin, twin
from kvmviz.abi import ABIS, siblings
from kvmviz.compat import compare
from kvmviz.ctype import Member, Struct
from kvmviz.layout import Layout
from kvmviz.pasted import laid_out, pointed, structs
from kvmviz.report import ground
from kvmviz.review import Review, review
from kvmviz.scalar import Scalar
from kvmviz.text import found_there, slot_at, span, spans
from kvmviz.versions import Versions

Judge = Callable[[str], "Grade"]


@dataclass(frozen=True, repr=False)
class Grade(Twin):
    """Whether an answer is right, and why; ``shown`` is what there is to look at."""

    right: bool
    feedback: str
    shown: tuple[Versions, ...] = ()


@twin.register
def _(grade: Grade) -> str:
    return f"{'✓ right' if grade.right else '✗ not yet'}: {grade.feedback}"


def struct_of(text: str, like: Struct) -> Struct:
    """The struct of an answer: that of the same name, or the only one there."""
    found = structs(text)
    if like.tag in found:
        return found[like.tag]
    if len(found) == 1:
        return next(iter(found.values()))
    raise KvmvizError(f"the answer defines no {like}; it defines {', '.join(found)}")


def written(judge: Judge) -> Judge:
    """A judge of C text that also takes what is no C: the message points at the line."""

    def judged(answer: str) -> Grade:
        try:
            return judge(answer)
        except KvmvizError as error:
            return Grade(False, pointed(answer, str(error)))

    return judged


Wish = Callable[[Struct, Struct, Sequence[str]], str]
"""What an answer must have beside breaking nothing: words for what is missing, or nothing."""


def safe(given: str, abis: Sequence[str], wish: Wish) -> Judge:
    """The answer is a new version of the given struct that breaks nothing on these ABIs."""

    @written
    def judge(answer: str) -> Grade:
        old = next(iter(structs(given).values()))
        new = struct_of(answer, old)
        for abi in abis:
            laid_out(new, abi)
        if missing := keeps(old, new, abis):
            return Grade(False, missing)
        found = review(old, new, abis)
        where = ground(found, [abi.name for abi in found.abis])
        if found.breaks:
            return Grade(False, _broken(found), _worth_seeing(found))
        if missing := wish(old, new, abis):
            return Grade(False, missing)
        warned = [f"{row.member}: {row.effect}; {row.remedy}" for row in found.warnings]
        words = f"nothing breaks on {where}."
        return Grade(
            True, "\n".join([words, *(f"Still: {w}." for w in warned[:1])]), _worth_seeing(found)
        )

    return judge


def _broken(found: Review) -> str:
    """What breaks, on which ABI, in which bytes; not what to do."""
    rows = [row for row in found.findings if row.severity == "breaks"]
    # What programs already read comes first.
    rows.sort(key=lambda row: row.member not in set(found.old.names()))
    lines = ["it breaks."]
    for row in rows[:2]:
        name = f"{row.member}: " if row.member else ""
        effect = f"; {row.effect}" if row.effect else ""
        lines.append(f"On {ground(found, row.abis)}, {name}{row.change}{effect}.")
    if len(rows) > 2:
        lines.append(f"There is more: {len(rows) - 2} findings.")
    return "\n".join(lines)


def _worth_seeing(found: Review) -> tuple[Versions, ...]:
    """Two ABIs: the first that breaks and its other byte order, else the first two."""
    broken = [abi for row in found.findings if row.severity == "breaks" for abi in row.abis]
    names = [abi.name for abi in found.abis]
    first = broken[0] if broken else names[0]
    others = [abi.name for abi in siblings(first).values() if abi.name != first] + names
    second = next((name for name in others if name != first), first)
    pair = sorted({first, second}, key=list(ABIS).index)
    return tuple(Versions(found.old.layout(abi), found.new.layout(abi)) for abi in pair)


def added(old: Struct, new: Struct, abi: str) -> list[Member]:
    """The direct members of the new version on an ABI that the old one does not have."""
    known = set(old.names())
    return [row for row in new.on(abi).members if row.name is not None and row.name not in known]


def keeps(old: Struct, new: Struct, abis: Sequence[str]) -> str:
    """Every member is still there, and no new one lies over another."""
    for abi in abis:
        layout = new.layout(abi)
        if gone := [name for name in old.on(abi).names() if name not in layout.named]:
            return f"{', '.join(gone)}: gone on {abi}; programs read it."
        for slot in layout.slots:
            if slot.is_padding or slot.member in set(old.names()):
                continue
            for at in range(slot.offset, slot.offset + slot.size):
                shared = {s.slot.member for s in layout.holders[at]} - {slot.member}
                if shared and not slot.is_bit_field:
                    return (
                        f"on {abi}, {slot.path} shares byte {at} with {', '.join(sorted(shared))}: "
                        "who writes one destroys the other."
                    )
    return ""


def with_new(bits: int, exactly: bool) -> Wish:
    """The answer adds a member of so many bits or, not ``exactly``, some of that many in all."""

    def wish(old: Struct, new: Struct, abis: Sequence[str]) -> str:
        for abi in abis:
            layout, fresh = new.layout(abi), added(old, new, abi)
            names = {row.name for row in fresh}
            slots = [s for s in layout.slots if s.member in names and not s.is_padding]
            if exactly and not any(
                isinstance(row.type, Scalar)
                and row.bits is None
                and row.type.on(layout.abi).bits == bits
                for row in fresh
            ):
                return f"no new member of {bits} bits is there on {abi}."
            if sum(slot.extent for slot in slots) < bits:
                found = sum(slot.extent for slot in slots)
                return f"on {abi}, new members hold {found} bits; {bits} are needed."
        return ""

    return wish


def holes(given: str, abi: str) -> Judge:
    """The answer names every byte that nobody writes: ``4..7, 12``."""

    def judge(answer: str) -> Grade:
        layout = next(iter(structs(given).values())).layout(abi)
        free = {at for at in range(layout.size) if not layout.holders[at]}
        try:
            named = _offsets(answer, layout)
        except KvmvizError as error:
            return Grade(False, str(error))
        if taken := sorted(named - free):
            slot = slot_at(layout, taken[0])
            place = span(slot.offset, slot.offset + slot.size - 1)
            return Grade(False, f"on {abi}, byte {taken[0]} belongs to {slot.path} ({place}).")
        if left := len(free - named):
            return Grade(False, f"on {abi}, what you name is free, and {left} more bytes are.")
        return Grade(True, f"on {abi}, nobody writes {spans(sorted(free))}.", (Versions(layout),))

    return judge


def _offsets(answer: str, layout: Layout) -> set[int]:
    named: set[int] = set()
    for word in re.split(r"[,;\s]+", answer.strip().replace(" .. ", "..")):
        match = re.fullmatch(r"\+?(\d{1,6})(?:(?:\.\.|-)\+?(\d{1,6}))?", word)
        if match is None:
            raise KvmvizError(f"{word!r} is no offset; write offsets as in 4..7, 12")
        first, last = int(match[1]), int(match[2] or match[1])
        if not first <= last < layout.size:
            legal = f"{layout.struct} has bytes 0..{layout.size - 1} on {layout.abi.name}"
            raise KvmvizError(f"{word}: {legal}")
        named |= set(range(first, last + 1))
    return named


def form(abi: str, *questions: tuple[str, Callable[[], object]]) -> Judge:
    """The answer has one line for each question, ``label: answer``, or the answers in order."""

    def judge(answer: str) -> Grade:
        lines = [line for line in answer.splitlines() if line.strip()]
        words = [line.rpartition(":")[2].strip() for line in lines]
        words = answer.split() if len(lines) == 1 < len(questions) else words
        if len(words) > len(questions):
            return Grade(False, f"{len(words)} answers to {len(questions)} questions.")
        padded = words + [""] * len(questions)
        wrong = [
            f"{label}: on {abi} it is not {word}" if word else f"{label}: no answer yet"
            for (label, right), word in zip(questions, padded, strict=False)
            if not _same(word, right())
        ]
        return Grade(not wrong, "; ".join(wrong or [f"so it is on {abi}"]) + ".")

    return judge


def _same(word: str, right: object) -> bool:
    if isinstance(right, int):
        try:
            return int(word, 0) == right
        except ValueError:
            return False
    return word.lower() == right


def breaking(old: str, new: str, member: str) -> Judge:
    """The answer names the ABIs on which an old program loses a member."""

    def judge(answer: str) -> Grade:
        before, after = (next(iter(structs(text).values())) for text in (old, new))
        rows = {row.abi.name: row.forward for row in review(before, after).rows}
        lost = [name for name, verdict in rows.items() if verdict.fields[member] != "intact"]
        named = re.findall(r"[\w-]+", answer)
        if unknown := [name for name in named if name not in rows]:
            return Grade(False, f"{unknown[0]!r} is no ABI; legal are {', '.join(rows)}.")
        for name in named:
            if name not in lost:
                place = rows[name].reader.offsets[member]
                words = f"on {name}, {member} is at offset {place} before and after: intact."
                return Grade(False, words, _seen(before, after, name))
        if left := len(set(lost) - set(named)):
            more = "one ABI more loses" if left == 1 else f"{left} ABIs more lose"
            return Grade(False, f"{more} {member}." if named else "name at least one ABI.")
        found = found_there(rows[lost[0]], member)
        return Grade(True, f"on {lost[0]}, {found}.", _seen(before, after, *lost[:2]))

    return judge


def _seen(old: Struct, new: Struct, *abis: str) -> tuple[Versions, ...]:
    return tuple(Versions(old.layout(abi), new.layout(abi)) for abi in abis)


def shared(writer: str, kernel: str, given: str, program: str, members: Sequence[str]) -> Judge:
    """The answer, read on ``program``, has members where ``writer`` puts them on ``kernel``.

    Sizes must agree too: else the next element of an array is elsewhere.
    """

    @written
    def judge(answer: str) -> Grade:
        like, theirs = (next(iter(structs(text).values())) for text in (given, writer))
        mine = laid_out(struct_of(answer, like), program)
        verdict = compare(theirs.layout(kernel), mine)
        if missing := [name for name in members if name not in mine.named]:
            return Grade(False, f"{', '.join(missing)}: gone; programs use it.")
        seen = (Versions(verdict.writer), Versions(mine))
        told = [
            f"{name}, written on {kernel}, is {verdict.fields[name]} when read on {program}: "
            f"{found_there(verdict, name)}."
            for name in members
            if verdict.fields[name] != "intact"
        ]
        if verdict.size_differs:
            sizes = f"{verdict.writer.size} bytes on {kernel}, {mine.size} on {program}"
            told.append(f"It has {sizes}.")
        if told:
            return Grade(False, " ".join(told), seen)
        where = f"{' and '.join(members)} lie where {kernel} has them, in {mine.size} bytes."
        return Grade(True, where, seen)

    return judge


def bits_alike(given: str, value: str) -> Judge:
    """The answer's bit-fields hold on aarch64_be the bits of ``value`` that the given's hold on
    aarch64.
    """  # noqa: D205

    @written
    def judge(answer: str) -> Grade:
        old = next(iter(structs(given).values()))
        little, big = old.layout("aarch64"), laid_out(struct_of(answer, old), "aarch64_be")
        seen = (Versions(little), Versions(big))
        for name in little.named:
            if name == value:
                continue
            if name not in big.named:
                return Grade(False, f"{name} is gone.")
            here, there = (_bits(layout, name) for layout in (little, big))
            if here != there:
                words = f"{name} holds bits {there} of {value} on aarch64_be, {here} on aarch64."
                return Grade(False, words, seen)
        if value not in big.named or big.size != little.size:
            return Grade(
                False, f"{big.struct} has {big.size} bytes; {value} must stay, in {little.size}."
            )
        return Grade(True, f"every field holds the same bits of {value} in both byte orders.", seen)

    return judge


def _bits(layout: Layout, name: str) -> str:
    """The bits of the struct's bytes, taken for one number, that a bit-field holds."""
    width = next(slot.width for slot in layout.slots if slot.path == name)
    image = layout.pack({name: (1 << width) - 1})
    number = int.from_bytes(bytes(image), layout.abi.byte_order)
    low = (number & -number).bit_length() - 1
    return f"{number.bit_length() - 1}:{low}"

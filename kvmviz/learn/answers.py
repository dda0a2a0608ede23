"""Judges of answers that are offsets, numbers, names, or C held against another ABI's layout."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from kvmviz._base import KvmvizError
from kvmviz.c.pasted import laid_out, structs
from kvmviz.compat import compare
from kvmviz.ctype import Struct
from kvmviz.layout import Layout
from kvmviz.learn.grading import Grade, Judge, struct_of, written
from kvmviz.review import review
from kvmviz.review.versions import Versions
from kvmviz.text import found_there, slot_at, span, spans


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

"""Judges of answers that are offsets, numbers, names, or C held against another ABI's layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kvmviz._base import KvmvizError
from kvmviz.c.pasted import laid_out, structs
from kvmviz.ctype import Struct
from kvmviz.layout import Layout
from kvmviz.learn.grading import Grade, Judge, other_kind, struct_of, written
from kvmviz.learn.reading import abi_names, meant, offsets, parts
from kvmviz.review import review
from kvmviz.review.versions import Versions
from kvmviz.text import span, spans
from kvmviz.verdict import compare, found_there


def holes(given: str, abi: str) -> Judge:
    """The answer names every byte that holds no member: ``4..7, 12``."""

    def judge(answer: str) -> Grade:
        layout = next(iter(structs(given).values())).layout(abi)
        free = {at for at in range(layout.size) if not layout.holders[at]}
        try:
            named = offsets(answer, layout)
        except KvmvizError as error:
            return Grade(False, f"{error}.")
        if taken := sorted(named - free):
            slot = layout.slot_at(taken[0])
            place = span(slot.offset, slot.offset + slot.size - 1)
            return Grade(False, f"on {abi}, byte {taken[0]} belongs to {slot.path} ({place}).")
        if left := len(free - named):
            return Grade(False, f"on {abi}, what you name is free, and {left} more bytes are.")
        words = f"on {abi}, {spans(sorted(free))} hold no member."
        return Grade(True, words, (Versions(layout),))

    return judge


def form(abi: str, *questions: tuple[str, Callable[[], int | str]]) -> Judge:
    """The answer has a number or a status for each question, in their order."""

    def judge(answer: str) -> Grade:
        said = parts(answer, len(questions))
        if len(said) > len(questions):
            return Grade(False, f"{len(said)} answers to {len(questions)} questions.")
        said += [""] * (len(questions) - len(said))
        wrong = []
        for (label, right), part in zip(questions, said, strict=True):
            try:
                found = meant(part, right())
            except KvmvizError as error:
                wrong.append(f"{label}: {error}")
                continue
            if found is None:
                wrong.append(f"{label}: no answer yet")
            elif found != right():
                wrong.append(f"{label}: on {abi} it is not {found}")
        return Grade(not wrong, "; ".join(wrong or [f"so it is on {abi}"]) + ".")

    return judge


def breaking(old: str, new: str, member: str) -> Judge:
    """The answer names the ABIs on which an old program loses a member."""

    def judge(answer: str) -> Grade:
        before, after = (next(iter(structs(text).values())) for text in (old, new))
        rows = {row.abi.name: row.forward for row in review(before, after).rows}
        lost = [name for name, verdict in rows.items() if verdict.fields[member] != "intact"]
        try:
            named = abi_names(answer)
        except KvmvizError as error:
            return Grade(False, f"{error}.")
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
        mine = laid_out(struct_of(answer, like), program, answer)
        verdict = compare(theirs.layout(kernel), mine)
        if missing := [name for name in members if name not in mine.named]:
            return Grade(False, f"{', '.join(missing)}: gone; programs use it.")
        if changed := other_kind(verdict.writer, mine):
            return Grade(False, f"{changed}.")
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
        little = old.layout("aarch64")
        big = laid_out(struct_of(answer, old), "aarch64_be", answer)
        seen = (Versions(little), Versions(big))
        if value not in big.named:
            return Grade(False, f"{value} is gone; programs read it.")
        if changed := other_kind(little, big):
            return Grade(False, f"{changed}.")
        for name in little.named:
            if name == value:
                continue
            if name not in big.named:
                return Grade(False, f"{name} is gone; programs read it.")
            here, there = (_bits(layout, name) for layout in (little, big))
            if here != there:
                words = f"{name} holds bits {there} of {value} on aarch64_be, {here} on aarch64."
                return Grade(False, words, seen)
        if big.size != little.size:
            words = f"{big.struct} has {big.size} bytes on aarch64_be; it must keep {little.size}."
            return Grade(False, words, seen)
        return Grade(True, f"every field holds the same bits of {value} in both byte orders.", seen)

    return judge


def _bits(layout: Layout, name: str) -> str:
    """The bits of the struct's bytes, taken for one number, that a bit-field holds."""
    width = next(slot.width for slot in layout.slots if slot.path == name)
    image = layout.pack({name: (1 << width) - 1})
    number = int.from_bytes(bytes(image), layout.abi.byte_order)
    low = (number & -number).bit_length() - 1
    return f"{number.bit_length() - 1}:{low}"

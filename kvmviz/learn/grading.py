"""Grades: an answer judged by layout, verdict and review, with words that name what is wrong.

No change is on file: whatever is safe is right, and does what the task asks for. The words say
where an answer fails, on which ABI and in which bytes, and leave the way out to the hints.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kvmviz._base import KvmvizError, Twin, counted, twin
from kvmviz.abi import ABIS, siblings
from kvmviz.c.pasted import laid_out, pointed, structs
from kvmviz.ctype import Struct
from kvmviz.layout import Layout
from kvmviz.review import Review, review
from kvmviz.review.change import Pair
from kvmviz.review.finding import Finding, found
from kvmviz.review.report import ground
from kvmviz.review.versions import PROGRAMS, Versions
from kvmviz.slot import Slot

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
            laid_out(new, abi, answer)
        if missing := keeps(old, new, abis):
            return Grade(False, missing)
        judged = review(old, new, abis)
        where = ground(judged, [abi.name for abi in judged.abis])
        if judged.breaks:
            return Grade(False, f"it breaks.\n{_broken(judged)}", _worth_seeing(judged))
        if missing := wish(old, new, abis):
            return Grade(False, missing)
        lines = [f"nothing breaks on {where}.", *_still(judged, new.layout(abis[0]))]
        return Grade(True, "\n".join(lines), _worth_seeing(judged))

    return judge


def _still(judged: Review, layout: Layout) -> list[str]:
    """What is left to see to, of the widest new members first."""
    width = {slot.path: slot.width for slot in layout.slots}
    rows = sorted(judged.warnings, key=lambda row: -width.get(row.member, 0))
    told = [f"Still: {row.member}: {row.remedy.partition(';')[0]}." for row in rows]
    return told if len(told) < 3 else [*told[:2], f"And {len(told) - 2} more like it."]


def _broken(judged: Review) -> str:
    """What breaks first: one member, one direction, one ABI, and how much more there is."""
    wrong = [row for row in judged.findings if row.severity == "breaks"]
    # What programs already read comes first.
    wrong.sort(key=lambda row: row.member not in set(judged.old.names()))
    rows = {row.abi.name: row for row in judged.rows}
    hits = [
        (reader, finding, abi, told)
        for reader in PROGRAMS
        for finding in wrong
        for abi in finding.abis
        if (told := _finds(reader, finding, rows[abi]))
    ]
    reader, first, abi, told = hits[0] if hits else ("", wrong[0], wrong[0].abis[0], "")
    name = f"{first.member}: " if first.member else ""
    words = "; ".join(filter(None, (f"{name}{first.change.partition('; ')[0]}", told)))
    kind = (first.kind, first.member)
    alike = {a for who, f, a, _ in hits if (who, f.kind, f.member) == (reader, *kind)}
    likewise = [other for other in rows if other in (alike or set(first.abis)) - {abi}]
    others = {(row.kind, row.member) for row in wrong} - {kind}
    more = [f"likewise on {', '.join(likewise)}"] if likewise else []
    more += [counted(len(others), "more finding")] if others else []
    rest = "; ".join(more)
    return f"On {abi}, {words}." + (f" {rest[0].upper()}{rest[1:]}." if rest else "")


def _finds(reader: str, finding: Finding, row: Pair) -> str:
    """What a program finds where it looks for a member, if that is something else."""
    wrong = [
        witness
        for change in row.changes
        if change.name == finding.member
        for witness in (change.lost if reader == PROGRAMS[0] else change.gained)
    ]
    # Bytes that hold something else tell more than those that hold nothing new.
    shown = [witness for witness in wrong if witness.found] or wrong
    return f"{reader} finds {found(shown).partition(' and ')[0]}" if shown else ""


def _worth_seeing(judged: Review) -> tuple[Versions, ...]:
    """Two ABIs: the first that breaks and its other byte order, else the first two."""
    broken = [abi for row in judged.findings if row.severity == "breaks" for abi in row.abis]
    names = [abi.name for abi in judged.abis]
    first = broken[0] if broken else names[0]
    others = [abi.name for abi in siblings(first).values() if abi.name != first] + names
    second = next((name for name in others if name != first), first)
    pair = sorted({first, second}, key=list(ABIS).index)
    return tuple(Versions(judged.old.layout(abi), judged.new.layout(abi)) for abi in pair)


_KINDS = {"integer": "an integer", "float": "floating point", "bool": "a bool",
          "pointer": "a pointer"}  # fmt: skip


def other_kind(before: Layout, after: Layout) -> str:
    """A member that is another kind of value than it was: words for the first, or nothing."""
    kinds = {slot.path: slot.type.kind for slot in before.slots if slot.type}
    for slot in after.slots:
        if slot.type and slot.type.kind != kinds.get(slot.path, slot.type.kind):
            was = kinds[slot.path]
            return (
                f"{slot.path} was {_KINDS[was]} and is {_KINDS[slot.type.kind]} on "
                f"{after.abi.name}: programs take its bits for another value"
            )
    return ""


def keeps(old: Struct, new: Struct, abis: Sequence[str]) -> str:
    """Every member is still there, of the same kind, and no new one lies over another."""
    for abi in abis:
        layout = new.layout(abi)
        if changed := other_kind(old.layout(abi), layout):
            return f"{changed}."
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

    def wish(old: Struct, new: Struct, abis: Sequence[str]) -> str:
        for abi in abis:
            fresh = integers(old, new.layout(abi))
            if not any(slot.width == bits for slot in fresh):
                there = ", ".join(f"{slot.path} has {slot.width}" for slot in fresh)
                more = f": {there}" if there else ""
                return f"on {abi}, no new integer has {bits} bits{more}."
        return ""

    return wish


def with_room(bits: int) -> Wish:
    """The answer has new integers wider than a byte that hold so many bits together.

    A number cut into bytes has no byte order that an ABI knows of; what a union lays over each
    other counts once.
    """

    def wish(old: Struct, new: Struct, abis: Sequence[str]) -> str:
        for abi in abis:
            fresh = integers(old, new.layout(abi))
            held = {
                bit
                for slot in fresh
                if slot.width > 8
                for bit in range(slot.start, slot.start + slot.extent)
            }
            if len(held) < bits:
                words = f"new integers wider than a byte hold {len(held)} bits"
                return f"on {abi}, {words}; {bits} are needed."
        return ""

    return wish

"""Grades: an answer judged by layout, verdict and review, with words that name what is wrong.

No answer is on file: whatever is safe is right. The words say where an answer fails, on which ABI
and in which bytes, and leave the way out to the hints.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kvmviz._base import KvmvizError, Twin, twin
from kvmviz.abi import ABIS, siblings
from kvmviz.c.pasted import laid_out, pointed, structs
from kvmviz.ctype import Member, Struct
from kvmviz.review import Review, review
from kvmviz.review.report import ground
from kvmviz.review.versions import Versions
from kvmviz.scalar import Scalar

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

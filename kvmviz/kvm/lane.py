"""The page after a step as bytes with names: whose they are, and what a program took them for.

Names come in several lengths, the fullest first: whoever shows them takes the first that fits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from kvmviz.kvm.conclusion import Conclusion
from kvmviz.kvm.kernel import reason_name
from kvmviz.kvm.page import Step
from kvmviz.slot import Source
from kvmviz.style import ON_THE_PAGE, USERSPACE, Style, styles
from kvmviz.text import runs

HEAD, UNION = range(8, 16), range(32, 48)
"""The bytes of struct kvm_run that tell a step: exit_reason and flags; the exit union as far as a
debug exit can fill it."""


@lru_cache(maxsize=1024)
def style(name: str) -> Style:
    """Colour and letter of a member; those that no exit here writes have letters of their own."""
    return styles(dict.fromkeys((*ON_THE_PAGE, name)))[name]


def called(source: Source) -> str:
    """The member's own name; ``userspace`` where it wrote into the exit union."""
    return USERSPACE if source.slot.path == "padding" else source.slot.path.rpartition(".")[2]


def pieces(step: Step, offsets: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last offset of neighbours that hold one value, put there by one write."""
    sources = step.page.sources

    def key(at: int) -> object:
        source = sources[at]
        if source is None:
            return None
        whole = source.slot.width == 8 or called(source) == USERSPACE
        return source.slot, source.write, None if whole else source.element

    return runs(offsets, key)


def names(step: Step, first: int, last: int) -> tuple[str, ...]:
    """What to call a piece; of one that this step did not write, with the step that it is from."""
    source, end = step.page.sources[first], step.page.sources[last]
    if source is None or end is None:
        return "never written", "never"
    name, letter = called(source), style(called(source)).letter
    named = name in ("exit_reason", "flags")
    if named and last - first + 1 == source.slot.size:
        reason = reason_name(step.reason).removeprefix("KVM_EXIT_")
        bits = f" {step.flags:#x}" if name == "flags" else f" {step.reason} {reason}"
    elif name == USERSPACE:
        bits = ""
    elif source.slot.width == 8:
        several = first != last and source.slot.shape
        bits = f"[{source.element}..{end.element}]" if several else ""
    else:
        name += f"[{source.element}]" if source.slot.shape else ""
        down = source.high > end.high
        ends = f"{source.high}→{end.low}" if down else f"{source.low}→{end.high}"
        bits = f" {source.bits}" if first == last else f" {ends}"
    found = (f"{letter} {name}{bits}", f"{letter} {name}", f"{letter}{bits}", letter)
    if step.state(first) != "fresh":
        since = f"step {source.write.step}" if source.write else ""
        return (*(f"{words}, {since}" for words in found), since, letter)
    if named:
        number, _, reason = bits.strip().partition(" ")
        return found[0], found[2], f"{letter} {reason or number}", f"{letter} {number}", letter
    return found


def marks(seen: Conclusion, offsets: Sequence[int]) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """Bytes that a program took for what they are not: first, last, and what to say of them.

    A byte has one mark; neighbours taken for the same share it.
    """
    fooled = {row.offset: row for row in reversed(seen.fooled)}
    marked = filter(fooled.__contains__, offsets)
    for first, last in runs(marked, lambda at: (fooled[at].taken_for, fooled[at].stale)):
        rows = [fooled[at] for at in range(first, last + 1)]
        taken, why, written = rows[0].taken_for, "", {row.source is not None for row in rows}
        if rows[0].stale:
            mixed = len(written) > 1
            why = "not fresh" if mixed else "stale" if True in written else "never written"
        full = [f"✗ taken for {taken} ({why})", f"✗ {taken} ({why})"] * bool(why)
        short = [f"✗ {why}", why] * bool(why)
        yield first, last, (*full, f"✗ taken for {taken}", f"✗ {taken}", *short, "✗")

"""One version of a struct on one ABI: what lies in each byte, what its reader gets, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import or_

from kvmviz.image import Image
from kvmviz.layout import Layout
from kvmviz.slot import Slot, Source
from kvmviz.verdict import STATUSES, Status, Verdict


@dataclass(frozen=True)
class Side:
    """One version: its ``layout``, what a program built with it gets, and its bytes, if any.

    ``verdict`` is that of this version's reader on the other version's bytes; None alone.
    """

    title: str
    layout: Layout
    verdict: Verdict | None = None
    image: Image | None = None

    @cached_property
    def judged(self) -> tuple[Mapping[Slot, Status], ...]:
        """What this version's reader gets at each byte, by the slot that it takes it for."""
        if self.verdict is None:
            return ({},) * self.layout.size
        found: list[dict[Slot, Status]] = [
            {source.slot: "intact" for source in held} for held in self.layout.holders
        ]
        for witness in self.verdict.wrong:
            found[witness.offset][witness.wanted.slot] = witness.status
        return tuple(found)

    def status(self, at: int) -> Status | None:
        """The worst of what this version's reader gets at a byte; None where it looks at none."""
        found = self.judged[at].values() if at < self.layout.size else ()
        return min(found, key=STATUSES.index, default=None)

    def is_stored(self, at: int) -> bool:
        """A number was stored in this byte, at least in some of its bits."""
        return self.image is not None and self.image.sources[at] is not None

    def held(self, at: int) -> tuple[object, object, tuple[Status, ...]]:
        """What makes neighbouring bytes one piece: what they hold, and whether that is intact."""
        if at >= self.layout.size:
            return ((), None, ())
        sources = self.layout.holders[at]
        slots = tuple(source.slot for source in sources) or (self.layout.slot_at(at),)
        part = at if any(source.is_part for source in sources) else None
        return (slots, part, tuple(self.judged[at].values()))


def told_source(source: Source | None, more: Source | None, letters: Mapping[str, str]) -> str:
    """What lies from one byte to another in words: ``A hsr[63:32]``, ``data[0..7]``."""
    if source is None or more is None:
        return ""
    letter, slot = letters[source.slot.member], source.slot
    if source.element is not None and more.element is not None:
        last = slot.path_of(more.element)
        until = f"..{last[len(slot.path) :]}" if last != source.path else ""
        return f"{letter} {source.path}{until}"
    high, low = max(source.high, more.high), min(source.low, more.low)
    if not slot.is_bit_field and high - low + 1 == slot.width:
        return f"{letter} {slot.path}"
    return f"{letter} {slot.path}[{high}:{low}]" if high > low else f"{letter} {slot.path}[{low}]"


def told_piece(side: Side, first: int, last: int, letters: Mapping[str, str]) -> str:
    """What a version has from byte ``first`` to byte ``last``: members, a hole, or nothing."""
    layout = side.layout
    if first >= layout.size:
        return "(past the end)"
    if not layout.holders[first]:
        return f"({layout.slot_at(first).path.split(' after')[0]})"
    ends = {source.slot: source for source in layout.holders[last]}
    shown = sorted(layout.holders[first], key=lambda s: -s.bottom)
    words = [told_source(s, ends.get(s.slot), letters) for s in shown[:6]]
    free = 0xFF & ~reduce(or_, (s.mask for s in shown))
    return " | ".join(words + [f"{len(shown) - 6} more"] * (len(shown) > 6)) + (
        f" | unused bits: mask {free:#04x}" if free and any(s.is_part for s in shown) else ""
    )


def told_status(side: Side, at: int) -> str:
    """What a version's reader gets at a byte: a word, or one for each member where they differ."""
    judged = side.judged[at] if at < side.layout.size else {}
    if len(set(judged.values())) < 2:
        return side.status(at) or "-"
    return ", ".join(f"{slot.path} {status}" for slot, status in list(judged.items())[:6])

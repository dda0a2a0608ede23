"""The verdict: what a reader built with one layout gets from a writer built with another.

It is reached from the source of every byte, never from sample values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Literal

from kvmviz._base import KvmvizError, Twin
from kvmviz.ctype import Array, Struct
from kvmviz.layout import Layout
from kvmviz.scalar import Scalar
from kvmviz.slot import Source

if TYPE_CHECKING:
    from kvmviz.review.finding import Finding

Status = Literal["intact", "moved", "foreign", "unwritten"]
STATUSES: tuple[Status, ...] = ("unwritten", "foreign", "moved", "intact")
"""Worst first: where several apply to one member, the first of them is its status."""


@dataclass(frozen=True)
class Witness:
    """One byte of evidence: what the reader takes it for, and what the writer put there."""

    offset: int
    status: Status
    wanted: Source
    found: Source | None


def judge(wanted: Source, written: tuple[Source, ...]) -> tuple[Status, Source | None]:
    """The status of one byte, and the source that decides it.

    ``written`` is everything the writer may have put there: nothing in padding or past its end,
    several sources where its union members overlap.
    """
    for source in written:
        if _same(source, wanted) and _carries(source, wanted, wanted.mask):
            return "intact", source
    if wanted.mask == 0xFF and all(source.mask == 0xFF for source in written):
        # Whatever holds one bit of the byte holds all of them.
        return _judge_bit(wanted, written, 1)
    judged = [_judge_bit(wanted, written, 1 << bit) for bit in range(8) if wanted.mask >> bit & 1]
    return min(judged, key=lambda row: STATUSES.index(row[0]))


def _judge_bit(
    wanted: Source, written: tuple[Source, ...], bit: int
) -> tuple[Status, Source | None]:
    there = [source for source in written if source.mask & bit]
    same = [s for s in there if member_of(s.slot.path) == member_of(wanted.slot.path)]
    exact = [s for s in same if _same(s, wanted) and _carries(s, wanted, bit)]
    if exact:
        return "intact", exact[0]
    return ("moved", same[0]) if same else ("foreign", there[0]) if there else ("unwritten", None)


@lru_cache(maxsize=4096)
def member_of(path: str) -> str:
    """A leaf's path without the indices of array elements: ``n.a`` for ``n[1].a``."""
    return re.sub(r"\[\d+\]", "", path)


def _same(one: Source, other: Source) -> bool:
    """They have the same path, elements of arrays included."""
    if one.slot.path != other.slot.path:
        return False
    if one.slot.shape[1:] == other.slot.shape[1:] and bool(one.slot.shape) == bool(
        other.slot.shape
    ):
        # Elements are counted flat, and each takes as much of the count on both sides.
        return one.element == other.element
    return one.path == other.path


def _carries(source: Source, wanted: Source, bits: int) -> bool:
    """In these bits of the byte lie just the bits of the value that the reader takes them for."""
    covers = not bits & ~source.mask
    return covers and source.low - source.bottom == wanted.low - wanted.bottom


Place = tuple[int, object]
"""Where a flexible array member starts, in bytes, and what its elements are made of."""


def flexible(layout: Layout) -> dict[str, Place]:
    """The flexible array members by path: no byte of sizeof is theirs, yet moving one breaks."""
    found: dict[str, Place] = {}
    for name, field in layout.named.items():
        kind = field.type
        if isinstance(kind, Struct):
            inner = flexible(kind.layout(layout.abi))
            found |= {f"{name}.{path}": (field.offset + at, of) for path, (at, of) in inner.items()}
        elif isinstance(kind, Array) and 0 in kind.shape:
            found[name] = field.offset, _made_of(kind.leaf, layout)
    return found


def _made_of(leaf: Scalar | Struct, layout: Layout) -> object:
    if isinstance(leaf, Struct):
        inner = leaf.layout(layout.abi)
        return inner.size, [(s.path, s.start, s.extent, s.order) for s in inner.slots if s.type]
    held = leaf.on(layout.abi)
    return held.bits, held.order or layout.abi.byte_order


def _judge_place(wanted: Place, written: Place | None) -> Status:
    if written is None:
        return "unwritten"
    return "intact" if written == wanted else "moved"


@dataclass(frozen=True, repr=False)
class Verdict(Twin):
    """What ``reader`` gets of each of its members when ``writer`` wrote the memory."""

    writer: Layout
    reader: Layout

    @cached_property
    def witnesses(self) -> tuple[Witness, ...]:
        """Every byte that the reader takes for a value, in order of offset, with its status."""
        rows = []
        for offset, wanted in enumerate(self.reader.holders):
            written = self.writer.holders[offset] if offset < self.writer.size else ()
            for source in wanted:
                status, found = judge(source, written)
                rows.append(Witness(offset, status, source, found))
        return tuple(rows)

    @cached_property
    def fields(self) -> dict[str, Status]:
        """Status of each direct member of the reader."""
        found: dict[str, set[Status]] = {name: {"intact"} for name in self.reader.named}
        for witness in self.witnesses:
            found[witness.wanted.slot.member].add(witness.status)
        for path, status in self.flexible.items():
            found[path.split(".")[0]].add(status)
        return {name: min(seen, key=STATUSES.index) for name, seen in found.items()}

    @cached_property
    def flexible(self) -> dict[str, Status]:
        """Status of the reader's flexible array members, which have a place but no bytes yet."""
        written, wanted = flexible(self.writer), flexible(self.reader)
        return {path: _judge_place(place, written.get(path)) for path, place in wanted.items()}

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What is not intact for this reader: what differs, its effect, what makes it safe."""
        from kvmviz.review.finding import one_way

        return one_way(self)

    @property
    def breaks(self) -> bool:
        """Some member of this reader is not intact."""
        return any(status != "intact" for status in self.fields.values())

    @property
    def size_differs(self) -> bool:
        """A check of sizeof would see the change."""
        return self.writer.size != self.reader.size


def compare(writer: Layout, reader: Layout) -> Verdict:
    """Judge every member of ``reader`` against what ``writer`` writes into the same memory.

    Raises :class:`KvmvizError` for what is not a layout.
    """
    for layout in (writer, reader):
        if not isinstance(layout, Layout):
            kind = type(layout).__name__
            raise KvmvizError(f"compare takes two layouts, not a {kind}; see Struct.layout(abi)")
    return Verdict(writer, reader)

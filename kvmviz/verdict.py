"""The verdict: what a reader built with one layout gets from a writer built with another.

It is reached from the source of every byte, never from sample values.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import groupby
from typing import Literal, NamedTuple

from kvmviz._base import KvmvizError, counted, grouped
from kvmviz.abi import Abi
from kvmviz.ctype import Array, Struct, Type, name_of
from kvmviz.layout import Layout
from kvmviz.slot import Slot, Source
from kvmviz.text import few_spans, some, table, where


def is_in(path: str, name: str) -> bool:
    """A leaf's path is that of a member, or lies in it."""
    return f"{path}.".startswith(f"{name}.")


class Place(NamedTuple):
    """Where a member starts, in bytes, and its type on an ABI."""

    offset: int
    type: Type
    abi: Abi

    @property
    def element(self) -> Layout | None:
        """One element of an array, as a struct with no other member; None for what is no array."""
        if not isinstance(self.type, Array):
            return None
        return Struct("", [("element", self.type.element)]).layout(self.abi)


def place(layout: Layout, path: str) -> Place | None:
    """Where the member of that path is, if there is one; of an array, in its first element."""
    name, _, rest = path.partition(".")
    field = layout.named.get(name)
    if field is None:
        return None
    if not rest:
        return Place(field.offset, field.type, layout.abi)
    leaf = field.type.leaf
    there = place(leaf.layout(layout.abi), rest) if isinstance(leaf, Struct) else None
    return there and there._replace(offset=field.offset + there.offset)


@lru_cache(maxsize=64)
def flexible(layout: Layout) -> Mapping[str, Place]:
    """The flexible array members by path: no byte of sizeof is theirs, yet moving one breaks."""
    found: dict[str, Place] = {}
    for name, field in layout.named.items():
        if 0 in field.type.shape:
            found[name] = Place(field.offset, field.type, layout.abi)
        if isinstance(leaf := field.type.leaf, Struct):
            for path, there in flexible(leaf.layout(layout.abi)).items():
                found[f"{name}.{path}"] = there._replace(offset=field.offset + there.offset)
        if len(found) > MOST_LEAVES:
            raise KvmvizError(f"{layout.struct} has more than {MOST_LEAVES} flexible array members")
    return found


Status = Literal["intact", "moved", "foreign", "unwritten"]
STATUSES: tuple[Status, ...] = ("unwritten", "foreign", "moved", "intact")
"""Worst first: where several apply to one member, the first of them is its status."""

MOST_LEAVES, MOST_BYTES, MOST_SOURCES = 1 << 13, 1 << 16, 1 << 20
"""The largest verdict: leaves of a layout, every element of an array of structs counted; bytes of
the reader that the writer does not hold likewise; and all that the writer holds there, its unions'
members side by side. Linux's own structs have up to 1028 leaves and 32768 bytes."""


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
    # Whatever holds one bit of a whole byte holds all of them.
    whole = wanted.mask == 0xFF and all(source.mask == 0xFF for source in written)
    masks = [0xFF] if whole else [1 << bit for bit in range(8) if wanted.mask >> bit & 1]
    judged = (_judge_bits(wanted, written, mask) for mask in masks)
    return min(judged, key=lambda row: STATUSES.index(row[0]))


def _judge_bits(
    wanted: Source, written: tuple[Source, ...], mask: int
) -> tuple[Status, Source | None]:
    there = [source for source in written if source.mask & mask]
    same = [source for source in there if source.member == wanted.member]
    if source := next((source for source in same if _is_same(source, wanted)), None):
        return "intact", source
    return ("moved", same[0]) if same else ("foreign", there[0]) if there else ("unwritten", None)


def _is_same(one: Source, other: Source) -> bool:
    """They are of one scalar, elements of arrays told apart, and the same bits of its value."""
    if one.slot.path != other.slot.path or one.low - one.bottom != other.low - other.bottom:
        return False
    # Elements are counted flat: in arrays of one shape, the count tells them apart.
    flat = one.slot.shape == other.slot.shape
    alike = one.element == other.element if flat else one.path == other.path
    return alike and numbers_alike(one.slot, other.slot)


def numbers_alike(one: Slot, other: Slot) -> bool:
    """Bits of one are bits of the same significance of the other.

    So they are for integers of any width; a floating point number shares its bits with none of
    another width or format, nor with an integer.
    """
    types = [slot.type for slot in (one, other) if slot.type]
    is_alike = len({kind.kind for kind in types}) == 1 and one.width == other.width
    return is_alike or not any(kind.is_float for kind in types)


@dataclass(frozen=True)
class Verdict:
    """What ``reader`` gets of each of its members when ``writer`` wrote the memory."""

    writer: Layout
    reader: Layout

    def __post_init__(self) -> None:
        for layout in (self.writer, self.reader):
            if not isinstance(layout, Layout):
                told = f"not a {type(layout).__name__[:40]}; see Struct.layout(abi)"
                raise KvmvizError(f"compare takes two layouts, {told}")
            if layout.leaves > MOST_LEAVES and self.writer != self.reader:
                told = f"{layout.struct} has more than {MOST_LEAVES} leaves"
                told += ", every element of an array of structs counted; compare judges no more"
                raise KvmvizError(told)

    @cached_property
    def witnesses(self) -> tuple[Witness, ...]:
        """Every byte that the reader takes for a value, in order of offset, with its status."""
        return self._judged([(slot, slot.offsets) for slot in self.reader.slots if slot.type])

    @cached_property
    def wrong(self) -> tuple[Witness, ...]:
        """Those of them that are not intact."""
        if self.writer == self.reader:
            return ()
        # What a slot of the writer holds likewise is. A longer array begins like a shorter one.
        extents = {_alike(slot): slot.extent for slot in self.writer.slots if slot.type}
        asked = []
        for slot in self.reader.slots:
            held = extents.get(_alike(slot), 0)
            if slot.type and held < slot.extent:
                asked.append((slot, slot.offsets[(slot.start + held) // 8 - slot.offset :]))
        return tuple(row for row in self._judged(asked) if row.status != "intact")

    @cached_property
    def wrong_in(self) -> dict[str, list[Witness]]:
        """The same by the reader's direct member, of those that have some."""
        return grouped(self.wrong, lambda witness: witness.wanted.slot.member)

    @cached_property
    def statuses(self) -> dict[tuple[int, Slot], Status]:
        """What they are, by the byte and by the slot that the reader takes it for."""
        return {(row.offset, row.wanted.slot): row.status for row in self.wrong}

    def _judged(self, asked: list[tuple[Slot, range]]) -> tuple[Witness, ...]:
        """A witness for each of these bytes of the reader, in order of offset."""
        count = sum(len(offsets) for _, offsets in asked)
        if count > MOST_BYTES:
            raise KvmvizError(
                f"{self.reader.struct} has {count} bytes to be judged one by one; "
                f"compare judges up to {MOST_BYTES}"
            )
        written = _sources(self.writer, sorted({at for _, offsets in asked for at in offsets}))
        count = sum(len(written.get(at, ())) for _, offsets in asked for at in offsets)
        if count > MOST_SOURCES:
            raise KvmvizError(
                f"{self.writer.struct} holds {count} members' bytes where {self.reader.struct} "
                f"has others; compare judges up to {MOST_SOURCES}"
            )
        rows = []
        for slot, offsets in asked:
            for at, wanted in zip(offsets, slot.sources(offsets), strict=True):
                status, found = judge(wanted, tuple(written.get(at, ())))
                rows.append(Witness(at, status, wanted, found))
        return tuple(sorted(rows, key=lambda row: row.offset))

    @cached_property
    def fields(self) -> dict[str, Status]:
        """Status of each direct member of the reader."""
        found: dict[str, set[Status]] = {name: {"intact"} for name in self.reader.named}
        for witness in self.wrong:
            found[witness.wanted.slot.member].add(witness.status)
        for path, (status, _) in self.flexible.items():
            found[path.split(".")[0]].add(status)
        return {name: min(seen, key=STATUSES.index) for name, seen in found.items()}

    @cached_property
    def flexible(self) -> dict[str, tuple[Status, str]]:
        """Status of the reader's flexible array members, each with what makes it.

        They have a place but no bytes yet: one is judged by where it starts and what each of its
        elements is. How many are there, no layout says: an array of fixed length is as good a
        writer.
        """
        wanted = flexible(self.reader).items()
        return {path: _elements(path, there, place(self.writer, path)) for path, there in wanted}

    @property
    def breaks(self) -> bool:
        """Some member of this reader is not intact."""
        return any(status != "intact" for status in self.fields.values())

    @property
    def size_differs(self) -> bool:
        """A check of sizeof would see the change."""
        return self.writer.size != self.reader.size

    def __repr__(self) -> str:
        writer, reader = self.writer, self.reader
        if (str(writer.struct), writer.abi) == (str(reader.struct), reader.abi):
            head = f"{writer.struct}, written and read on {where(writer)}"
        else:
            head = f"{writer.struct} written on {where(writer)}"
            head = f"{head}, {reader.struct} read on {where(reader)}"
        rows = [(name, status, found_there(self, name)) for name, status in self.fields.items()]
        sizes = f"sizeof {writer.size} written, {reader.size} read"
        unseen = "" if self.size_differs or not self.breaks else ": a size check sees nothing"
        result = "BREAKS" if self.breaks else "every member is intact"
        return "\n".join(filter(None, (f"{head}: {result}", table(rows), f"  {sizes}{unseen}")))


def _alike(slot: Slot) -> object:
    """Equal where two slots hold the same bits of the same values, as far as both reach."""
    number = slot.type.kind if slot.type and slot.type.is_float else ""
    # An array's length is not compared.
    rows = bool(slot.shape), slot.shape[1:]
    return slot.path, slot.start, slot.width, slot.order, rows, number


def _sources(layout: Layout, offsets: Sequence[int]) -> Mapping[int, list[Source]]:
    """What holds these bytes, which are in order: :attr:`Layout.holders` for some of them."""
    found: dict[int, list[Source]] = {}
    for slot in layout.slots:
        if slot.type:
            first = bisect_left(offsets, slot.offset)
            for at in offsets[first : bisect_left(offsets, slot.offset + slot.size, first)]:
                if source := slot.source(at):
                    found.setdefault(at, []).append(source)
    return found


def compare(writer: Layout, reader: Layout) -> Verdict:
    """Judge every member of ``reader`` against what ``writer`` writes into the same memory.

    Raises :class:`KvmvizError` for what is not a layout, and for what is too large to be judged:
    more than :data:`MOST_LEAVES`, or, once asked, :data:`MOST_BYTES` or :data:`MOST_SOURCES`.
    """
    return Verdict(writer, reader)


def found_there(verdict: Verdict, member: str) -> str:
    """Which bytes make a member's status, and what lies there instead."""
    told, wrong = [], verdict.wrong_in.get(member, ())
    free = [witness.offset for witness in wrong if witness.status == "unwritten"]
    # Where the reader has a bit-field, the writer may have written some bits of a byte.
    never = "not every bit written" if free and _sources(verdict.writer, free) else "never written"
    for place, found in lies(wrong):
        verb = "hold" if place.startswith("bytes") or "," in place else "holds"
        told.append(f"{place} {verb} {found}" if found else f"{place}: {never}")
    for path, (status, why) in verdict.flexible.items():
        if status != "intact" and path.split(".")[0] == member:
            told.append(why)
    return "; ".join(told)


def _elements(path: str, wanted: Place, written: Place | None) -> tuple[Status, str]:
    if written is None:
        return "unwritten", f"no {path} is written"
    mine, other = wanted.element, written.element
    if mine is None or other is None:
        return "moved", f"{path} is written as {name_of(written.type)}, not as an array"
    if wanted.offset != written.offset:
        there = f"from offset {written.offset} on, not {wanted.offset}"
        return "moved", f"the elements are written {there}"
    if mine.size != other.size:
        there = f"with {counted(other.size, 'byte')} each, not {mine.size}"
        return "moved", f"the elements are written {there}"
    inner = Verdict(other, mine)
    return inner.fields["element"], f"of each element, {found_there(inner, 'element')}"


def lies(witnesses: Sequence[Witness]) -> Iterator[tuple[str, str]]:
    """Bytes that are not intact, and what they hold; nothing for those that nobody writes."""
    for status in STATUSES[:-1]:
        rows = [w for w in witnesses if w.status == status]
        if swapped := [w for w in rows if _is_swapped(w)]:
            whose = some(list(dict.fromkeys(w.wanted.member for w in swapped)))
            yield few_spans(w.offset for w in swapped), f"the bytes of {whose} in opposite order"
        if others := [w for w in rows if not _is_swapped(w)]:
            sources = [w.found for w in others if w.found]
            held = [list(run) for _, run in groupby(sources, lambda source: source.path)]
            yield few_spans(w.offset for w in others), some([s[0].until(s[-1]) for s in held])


def _is_swapped(witness: Witness) -> bool:
    """The reader takes the very bytes of its value, the last of them first."""
    wanted, found = witness.wanted, witness.found
    if found is None or found.slot.is_bit_field or wanted.slot.is_bit_field:
        return False
    same = (found.path, found.slot.width) == (wanted.path, wanted.slot.width)
    return same and found.slot.order != wanted.slot.order

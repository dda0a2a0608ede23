"""Two versions of a struct on one ABI, byte beside byte: what each reader gets of each byte."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import groupby
from operator import or_

from kvmviz._base import KvmvizError, Twin, twin
from kvmviz.compat import STATUSES, Status, Verdict, compare
from kvmviz.ctype import Struct
from kvmviz.image import Image
from kvmviz.layout import Layout
from kvmviz.review import Review, review
from kvmviz.review.report import ground
from kvmviz.slot import Slot, Source, merged
from kvmviz.style import styles
from kvmviz.text import slot_at, span, table, where
from kvmviz.variants import Conditional

FILL = 0xAA
"""What memory holds before a program writes, where values are shown: easy to tell from zero."""

MOST_LINES = 32
"""Lines of a text twin that show bytes; what is left out is told."""


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
    def sources(self) -> tuple[Source | None, ...]:
        """One entry for each byte: what was stored there, else what the layout holds there."""
        stored = self.image.sources if self.image else [None] * self.layout.size
        rows = zip(stored, self.layout.holders, strict=True)
        return tuple(source or merged(holders) for source, holders in rows)

    @cached_property
    def judged(self) -> tuple[Mapping[Slot, Status], ...]:
        """What this version's reader gets at each byte, by the slot that it takes it for."""
        found: list[dict[Slot, Status]] = [{} for _ in range(self.layout.size)]
        for witness in self.verdict.witnesses if self.verdict else ():
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
        slots = tuple(source.slot for source in sources) or (slot_at(self.layout, at),)
        part = at if any(source.is_part for source in sources) else None
        return (slots, part, tuple(self.judged[at].values()))


@dataclass(frozen=True, repr=False)
class Versions(Twin):
    """An old and a new layout of one struct, or one layout alone where ``new`` is None.

    ``values`` are numbers that both versions store in the members of those names, cut to the
    member's width as an assignment in C does.
    """

    old: Layout
    new: Layout | None = None
    values: tuple[tuple[str, int], ...] = ()

    @cached_property
    def sides(self) -> tuple[Side, ...]:
        """The versions, the old one first."""
        if self.new is None:
            return (Side("", self.old, None, self._image(self.old)),)
        forward, backward = compare(self.new, self.old), compare(self.old, self.new)
        return (
            Side("old", self.old, forward, self._image(self.old)),
            Side("new", self.new, backward, self._image(self.new)),
        )

    def _image(self, layout: Layout) -> Image | None:
        mine = {name: number for name, number in self.values if name in layout.named}
        if not mine:
            return None
        for name, number in mine.items():
            slot = next(s for s in layout.slots if s.member == name and not s.is_padding)
            if slot.path != name or slot.shape or (slot.type and slot.type.kind == "float"):
                raise KvmvizError(f"{layout.struct}, member {name}: only an integer takes a number")
            cut = number & (1 << slot.width) - 1
            negative = slot.type and slot.type.signed and cut >> slot.width - 1
            mine[name] = cut - (1 << slot.width if negative else 0)
        return layout.pack(mine, FILL)

    @property
    def names(self) -> tuple[str, ...]:
        """The members of both, in order: those that letters and colours stand for."""
        return tuple(dict.fromkeys(name for side in self.sides for name in side.layout.named))

    @property
    def size(self) -> int:
        """Bytes of the longer version."""
        return max(side.layout.size for side in self.sides)

    def pieces(self, first: int = 0, stop: int | None = None) -> Iterator[tuple[int, int]]:
        """First and last offset of neighbours about which there is one thing to say."""
        offsets = range(first, self.size if stop is None else stop)
        for _, group in groupby(offsets, lambda at: [side.held(at) for side in self.sides]):
            piece = list(group)
            yield piece[0], piece[-1]

    def telling(self, first: int, stop: int) -> bool:
        """These bytes tell more than that every member is where it was: worth to be shown."""
        sides = [[side.held(at) for at in range(first, stop)] for side in self.sides]
        if self.new is not None:
            return sides[0] != sides[1] or any(set(row[-1]) - {"intact"} for row in sides[0])
        return any(source is None for source in self.old.holders[first:stop])

    def values_read(self, number: int) -> Mapping[str, tuple[object, object]]:
        """What the reader of a side finds and what it would find in its own version's bytes."""
        mine, other = self.sides[number], self.sides[1 - number]
        if mine.image is None or other.image is None:
            return {}
        raw = bytes(other.image)
        found = mine.layout.unpack(raw + bytes([FILL]) * (mine.layout.size - len(raw)))
        meant = mine.layout.unpack(bytes(mine.image))
        return {name: (found[name], meant[name]) for name, _ in self.values if name in found}


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
        return f"({slot_at(layout, first).path.split(' after')[0]})"
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


def told_values(shown: Versions, number: int) -> Iterator[str]:
    """The numbers that a side's reader finds where another was meant."""
    for name, (found, meant) in shown.values_read(number).items():
        if found != meant and isinstance(found, int) and isinstance(meant, int):
            yield f"{name} reads {found:#x}, not {meant:#x}"


READERS = ("an old program on new bytes", "a new program on old bytes")
"""Who reads, by side: each version's reader is shown the other version's bytes."""


@twin.register
def _(shown: Versions) -> str:
    letters = {name: style.letter for name, style in styles(shown.names).items()}
    sizes = [f"size {side.layout.size}, align {side.layout.align}" for side in shown.sides]
    head = (
        where(shown.old)
        + ": "
        + "; ".join(
            f"{side.title} {size}".strip() for side, size in zip(shown.sides, sizes, strict=True)
        )
    )
    titles = [side.title or "member" for side in shown.sides]
    shows = [side.image is not None for side in shown.sides]
    rows: list[Sequence[str]] = [
        (
            "bytes",
            *_cells(titles, ["bytes"] * 2, shows),
            *(["old gets", "new gets"] if shown.new else []),
        )
    ]
    pieces = list(shown.pieces())
    for first, last in pieces[:MOST_LINES]:
        place = f"+{first}" if first == last else f"+{first}..+{last}"
        words = [told_piece(side, first, last, letters) for side in shown.sides]
        data = [_hex(side, first, last) for side in shown.sides]
        gets = [told_status(side, first) for side in shown.sides]
        rows.append((place, *_cells(words, data, shows), *(gets if shown.new else [])))
    lines = [head, table(rows)]
    if left := pieces[MOST_LINES:]:
        lines.append(f"  left out: {len(left)} more lines, {span(left[0][0], left[-1][1])}")
    for number, reader in enumerate(READERS if shown.new else ()):
        found = "; ".join(told_values(shown, number))
        lines += [f"  {reader}: {found}"] if found else []
    return "\n".join(lines)


def _cells(words: Sequence[str], data: Sequence[str], shows: Sequence[bool]) -> list[str]:
    """Each side's words, and behind them its bytes where it has some."""
    rows = zip(words, data, shows, strict=False)
    return [cell for word, held, shown in rows for cell in ((word, held) if shown else (word,))]


def _hex(side: Side, first: int, last: int) -> str:
    if side.image is None or first >= side.layout.size:
        return ""
    stop = min(last + 1, side.layout.size, first + 8)
    bare = not side.layout.holders[first]
    told = [
        f"{bytes(side.image)[at]:02x}" if bare or side.is_stored(at) else ".."
        for at in range(first, stop)
    ]
    return " ".join(told) + (" .." if stop <= last else "")


def verdict_of(shown: Sequence[Versions]) -> Review | None:
    """The review of a change on the ABIs that are shown; None where there is one version only."""
    olds, news = [one.old for one in shown], [one.new for one in shown if one.new]
    if not news:
        return None
    return review(_whole(olds), _whole(news), [layout.abi for layout in olds])


def _whole(layouts: Sequence[Layout]) -> Struct:
    """The struct of all these layouts, which may be another one on each ABI."""
    structs = [layout.struct for layout in layouts]
    if all(struct == structs[0] for struct in structs):
        return structs[0]
    rows = (((layout.abi.name,), layout.struct) for layout in layouts)
    return Conditional(structs[0].tag, rows)


def headline(shown: Sequence[Versions]) -> str:
    """The verdict in a line: who breaks first, an old program, a new one, or a check of size."""
    found = verdict_of(shown)
    if found is None:
        return str(shown[0].old.struct)
    if not found.breaks:
        fresh = ", ".join(name for name in found.new.names() if name not in found.old.names())
        return "✓ nothing breaks" + (f", but old bytes never hold {fresh}" if fresh else "")
    both = set(found.old.names()) & set(found.new.names())
    for who, rows in (
        ("an old program", [row.forward for row in found.rows]),
        ("a new program on old bytes", [row.backward for row in found.rows]),
    ):
        told = [
            f"{', '.join(f'{name} {status}' for name, status in bad.items())} on {abi.abi.name}"
            for abi, verdict in zip(found.rows, rows, strict=True)
            if (bad := {n: s for n, s in verdict.fields.items() if s != "intact" and n in both})
        ]
        if told:
            return f"✗ {who} breaks: {'; '.join(told)}"
    worst = found.findings[0]
    name = f"{worst.member}: " if worst.member else ""
    return f"✗ {name}{worst.change} on {ground(found, worst.abis)}"

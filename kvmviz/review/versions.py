"""Two versions of a struct on one ABI, byte beside byte: what each reader gets of each byte."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import or_

from kvmviz._base import KvmvizError, grouped, integer
from kvmviz._base import shown as quoted
from kvmviz.ctype import Conditional, Struct
from kvmviz.image import Image, assigned
from kvmviz.layout import Layout
from kvmviz.review.report import Review, ground, review
from kvmviz.slot import Slot, Source, member_of
from kvmviz.style import styles
from kvmviz.text import runs, span, table, where
from kvmviz.verdict import STATUSES, Status, Verdict, flexible

FILL = 0xAA
"""What memory holds before a program writes, where values are shown: easy to tell from zero."""

MOST_LINES = 32
"""Lines of a text twin that show bytes; what is left out is told."""

MOST_NAMES = 3
"""Members that a headline names; of more it says how many."""

PROGRAMS = ("an old program", "a new program on old bytes")
"""Who breaks, by side, the one that nobody builds again first."""

READERS = (f"{PROGRAMS[0]} on new bytes", PROGRAMS[1])
"""Who reads, by side: each version's reader is shown the other version's bytes."""


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

    def piece(self, first: int, last: int, letters: Mapping[str, str]) -> str:
        """What is there from byte ``first`` to byte ``last``: members, a hole, or nothing."""
        if first >= self.layout.size:
            return "(past the end)"
        held = sorted(self.layout.holders[first], key=lambda source: -source.bottom)
        if not held:
            return f"({self.layout.slot_at(first).path.split(' after')[0]})"
        ends = {source.slot: source for source in self.layout.holders[last]}
        words = [_told(source, ends.get(source.slot), letters) for source in held[:6]]
        words += [f"{len(held) - 6} more"] * (len(held) > 6)
        free = 0xFF & ~reduce(or_, (source.mask for source in held))
        if free and any(source.is_part for source in held):
            words.append(f"unused bits: mask {free:#04x}")
        return " | ".join(words)

    def gets(self, at: int) -> str:
        """What its reader gets at a byte: a word, or one for each member where they differ."""
        judged = self.judged[at] if at < self.layout.size else {}
        statuses = set(judged.values())
        if len(statuses) < 2:
            return next(iter(statuses), "-")
        return ", ".join(f"{slot.path} {status}" for slot, status in list(judged.items())[:6])

    def hex(self, first: int, last: int) -> str:
        """The bytes, eight at most; two points for one that nobody wrote."""
        if self.image is None or first >= self.layout.size:
            return ""
        end = min(last + 1, self.layout.size, first + 8)
        bare = not self.layout.holders[first]
        told = [
            f"{bytes(self.image)[at]:02x}" if bare or self.is_stored(at) else ".."
            for at in range(first, end)
        ]
        return " ".join(told) + (" .." if end <= last else "")


def _told(source: Source, more: Source | None, letters: Mapping[str, str]) -> str:
    """What lies from one byte to another in words: ``A hsr[63:32]``, ``data[0..7]``."""
    if more is None:
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


@dataclass(frozen=True, repr=False)
class Versions:
    """An old and a new layout of one struct, or one layout alone where ``new`` is None.

    ``values`` are numbers that both versions store in the members of those names, cut to the
    member's width as an assignment in C does. Raises :class:`KvmvizError` for what is no layout,
    for layouts of two ABIs, and for values that are no pairs of a name and an integer.
    """

    old: Layout
    new: Layout | None = None
    values: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        for layout in (self.old,) if self.new is None else (self.old, self.new):
            if not isinstance(layout, Layout):
                raise KvmvizError(
                    f"versions of a struct are two layouts, not {quoted(layout)}; see "
                    "Struct.layout(abi)"
                )
            if layout.abi != self.old.abi:
                raise KvmvizError(
                    f"versions of a struct are on one ABI, not on {self.old.abi.name} and "
                    f"{layout.abi.name}"
                )
        names: list[object] = [None]
        if isinstance(self.values, Sequence):
            with suppress(TypeError, ValueError):
                names = [name for name, _ in self.values]
        if not all(isinstance(name, str) for name in names):
            told = f"{quoted(self.values)} are no values; give (member, number) pairs"
            raise KvmvizError(f"{self.old.struct}: {told}")
        numbers = tuple((n, integer(v, f"{self.old.struct}, member {n}")) for n, v in self.values)
        object.__setattr__(self, "values", numbers)

    @cached_property
    def sides(self) -> tuple[Side, ...]:
        """The versions, the old one first."""
        if self.new is None:
            return (Side("", self.old, None, self._image(self.old)),)
        return (
            Side("old", self.old, Verdict(self.new, self.old), self._image(self.old)),
            Side("new", self.new, Verdict(self.old, self.new), self._image(self.new)),
        )

    def _image(self, layout: Layout) -> Image | None:
        mine = {name: number for name, number in self.values if name in layout.named}
        if not mine:
            return None
        slots = {slot.path: slot for slot in layout.slots if slot.type}
        for name, number in mine.items():
            slot = slots.get(name)
            if slot is None or slot.shape or (slot.type and slot.type.is_float):
                raise KvmvizError(f"{layout.struct}, member {name}: only an integer takes a number")
            mine[name] = assigned(number, slot)
        return layout.pack(mine, FILL)

    @property
    def names(self) -> tuple[str, ...]:
        """The members of both, in order: those that letters and colours stand for."""
        return tuple(dict.fromkeys(name for side in self.sides for name in side.layout.named))

    @property
    def size(self) -> int:
        """Bytes of the longer version."""
        return max(side.layout.size for side in self.sides)

    def pieces(self) -> Iterator[tuple[int, int]]:
        """First and last offset of neighbours about which there is one thing to say."""
        return runs(range(self.size), lambda at: [side.held(at) for side in self.sides])

    def telling(self, first: int, stop: int) -> bool:
        """These bytes tell more than that every member is where it was: worth to be shown."""
        sides = [[side.held(at) for at in range(first, stop)] for side in self.sides]
        if self.new is not None:
            return sides[0] != sides[1] or any(set(row[-1]) - {"intact"} for row in sides[0])
        return not all(self.old.holders[first:stop])

    def __repr__(self) -> str:
        return _words(self, self.names)


def names_of(shown: Sequence[Versions]) -> tuple[str, ...]:
    """The members of several, in order: one name has one letter and one colour in all of them."""
    return tuple(dict.fromkeys(name for one in shown for name in one.names))


def told(shown: Sequence[Versions], title: str) -> str:
    """The text twin of some, under a title; a letter is one member in all of them."""
    names = names_of(shown)
    return "\n".join((title, *(_words(one, names) for one in shown)))


def _words(shown: Versions, names: Sequence[str]) -> str:
    letters = {name: style.letter for name, style in styles(names).items()}
    sides, gets = shown.sides, ("old gets", "new gets") if shown.new else ()
    sizes = [f"{s.title} size {s.layout.size}, align {s.layout.align}".strip() for s in sides]
    titles = [
        cell for s in sides for cell in (s.title or "member", "bytes")[: 1 + (s.image is not None)]
    ]
    rows: list[Sequence[str]] = [("bytes", *titles, *gets)]
    pieces = list(shown.pieces())
    for first, last in pieces[:MOST_LINES]:
        cells = [f"+{first}" if first == last else f"+{first}..+{last}"]
        for side in sides:
            cells += [side.piece(first, last, letters)]
            cells += [side.hex(first, last)] if side.image is not None else []
        rows.append((*cells, *(side.gets(first) for side in sides if shown.new)))
    lines = [f"{where(shown.old)}: {'; '.join(sizes)}", table(rows)]
    if left := pieces[MOST_LINES:]:
        lines.append(f"  left out: {len(left)} more lines, {span(left[0][0], left[-1][1])}")
    for number, reader in enumerate(READERS if shown.new else ()):
        found = "; ".join(_told_values(shown, number))
        lines += [f"  {reader}: {found}"] if found else []
    return "\n".join(lines)


def _told_values(shown: Versions, number: int) -> Iterator[str]:
    """The numbers that a side's reader finds where another was meant."""
    mine, other = shown.sides[number], shown.sides[1 - number]
    if mine.image is None or other.image is None:
        return
    raw = bytes(other.image)
    found = mine.layout.unpack(raw + bytes([FILL]) * (mine.layout.size - len(raw)))
    meant = mine.layout.unpack(mine.image)
    for name in dict(shown.values):
        if name in found and found[name] != meant[name]:
            yield f"{name} reads {found[name]:#x}, not {meant[name]:#x}"


# --- the verdict in a line -------------------------------------------------------------------


def verdict_of(shown: Sequence[Versions]) -> Review | None:
    """The review of a change on the ABIs that are shown; None where there is one version only.

    Raises :class:`KvmvizError` where there is nothing to show, or some have one version and some
    two, or an ABI has two different pairs.
    """
    given = shown if isinstance(shown, Sequence) else ()
    if not given or not all(isinstance(one, Versions) for one in given):
        raise KvmvizError("one Versions at least is shown; see kvmviz.review.versions")
    olds, news = [one.old for one in shown], [one.new for one in shown if one.new]
    if not news:
        return None
    if len(news) != len(olds):
        raise KvmvizError(f"{olds[0].struct}: every ABI has an old and a new version, or none has")
    return review(_struct_of(olds), _struct_of(news), [layout.abi for layout in olds])


def _struct_of(layouts: Sequence[Layout]) -> Struct:
    """The struct of all these layouts, which may be another one on each ABI."""
    structs = [layout.struct for layout in layouts]
    if all(struct == structs[0] for struct in structs):
        return structs[0]
    rows: dict[str, Struct | str] = {layout.abi.name: layout.struct for layout in layouts}
    if len(rows) != len(set(layouts)):
        raise KvmvizError(f"{structs[0]}: another struct on the same ABI; one ABI has one change")
    return Conditional(structs[0].tag, rows)


def headline(shown: Sequence[Versions]) -> str:
    """The verdict of :attr:`Review.breaks` in a line: who breaks, or which member has no writer.

    First an old program, then a new one, then a check of size. As in the review, what only one
    version has breaks nobody, members of nested structs included.
    """
    found = verdict_of(shown)
    if found is None:
        return str(shown[0].old.struct)
    if not found.breaks:
        words = _unheld(found)
        return f"✓ nothing breaks, but {words}" if words else "✓ nothing breaks"
    for who in PROGRAMS:
        verdicts = [pair.forward if who == PROGRAMS[0] else pair.backward for pair in found.rows]
        lost = grouped(verdicts, lambda verdict: _listed(_lost(verdict, found)))
        told = [
            f"{words} on {', '.join(verdict.reader.abi.name for verdict in rows)}"
            for words, rows in lost.items() if words
        ]  # fmt: skip
        if told:
            return f"✗ {who} breaks: {'; '.join(told)}"
    worst = found.findings[0]
    return f"✗ {worst.named} on {ground(found, worst.abis)}"


def _paths(layout: Layout) -> dict[str, None]:
    """What C code can name, in order: leaves by path, without the indices of elements."""
    leaves = (member_of(slot.path) for slot in layout.slots if not slot.is_padding)
    return dict.fromkeys((*leaves, *flexible(layout)))


def _lost(verdict: Verdict, found: Review) -> list[str]:
    """Members of both sides that the reader does not get, a nested struct as one if it all goes.

    But for what nobody reads, and for what is only spelled in another way.
    """
    theirs = {path for path in _paths(verdict.writer) if not found.is_settled(path)}
    rows: list[tuple[str, Status]] = [(path, "intact") for path in _paths(verdict.reader)]
    rows += [(witness.wanted.member, witness.status) for witness in verdict.wrong]
    rows += verdict.flexible.items()
    held = grouped((row for row in rows if row[0] in theirs), lambda row: row[0])
    worst = {path: min((s for _, s in row), key=STATUSES.index) for path, row in held.items()}
    told = []
    for name, paths in grouped(worst, lambda path: path.partition(".")[0]).items():
        alike = len({worst[path] for path in paths}) == 1
        each = {name: worst[paths[0]]} if alike else {path: worst[path] for path in paths}
        told += [f"{path} {status}" for path, status in each.items() if status != "intact"]
    return told


def _unheld(found: Review) -> str:
    """Of a change that breaks nothing: what only one version has, or takes for another kind."""
    told = []
    for who in ("old", "new"):
        verdicts = [pair.backward if who == "old" else pair.forward for pair in found.rows]
        only = dict.fromkeys(name for one in verdicts for name in _only(one))
        if names := [name for name in only if not found.is_settled(name)]:
            told.append(f"{who} bytes never hold {_listed(names)}")
    retyped = [row.named for row in found.warnings if row.kind == "retyped"]
    return "; ".join(told + retyped[:1])


def _only(verdict: Verdict) -> Iterator[str]:
    """Members of the reader that the writer does not have; a new struct as a whole."""
    theirs = _paths(verdict.writer)
    for path in (path for path in _paths(verdict.reader) if path not in theirs):
        direct = path.partition(".")[0]
        yield path if direct in verdict.writer.named else direct


def _listed(names: Sequence[str]) -> str:
    if len(names) <= MOST_NAMES:
        return ", ".join(names)
    return ", ".join([*names[: MOST_NAMES - 1], f"{len(names) - MOST_NAMES + 1} more"])

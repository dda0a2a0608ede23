"""Two versions of a struct on one ABI, byte beside byte: what each reader gets of each byte.

The twin says it in words. Pictures and boards have rows of cells; arms of unions, members that
share bytes, have rows of their own, one below the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from operator import or_

from kvmviz._base import KvmvizError, integer, span
from kvmviz._base import shown as quoted
from kvmviz.abi import Abi
from kvmviz.ctype import Struct
from kvmviz.image import Image, assigned
from kvmviz.layout import Layout
from kvmviz.review.change import Pair
from kvmviz.review.finding import hole_words
from kvmviz.review.report import Review, ground
from kvmviz.slot import Slot, Source, merged
from kvmviz.style import styles
from kvmviz.text import runs, spans, table, where
from kvmviz.verdict import STATUSES, Status, Verdict

FILL = 0xAA
"""What memory holds before a program writes, where values are shown: easy to tell from zero."""

MOST_LINES = 32
"""Lines of a text twin that show bytes; what is left out is told."""

MOST_NAMES = 3
"""Members that a headline names; of more it says how many."""

CELLS = 8
"""Bytes in a row of a panel."""

MOST_ROWS = {1: 9, 2: 10}
"""Rows of cells by versions; where a struct has more, those that tell something come first."""

MOST_ARMS = 3
"""Arms of a union that are drawn one below the other; of more it says how many."""

MOST = 1 << 14
"""Bytes of a version that is drawn: each of them is judged, however few are drawn."""

PROGRAMS = ("an old program", "a new program on old bytes")
"""Who breaks, by side, the one that nobody builds again first."""

READERS = (f"{PROGRAMS[0]} on new bytes", PROGRAMS[1])
"""Who reads, by side: each version's reader is shown the other version's bytes."""


@dataclass(frozen=True)
class Version:
    """One version: its ``layout``, what a program built with it gets, and its bytes, if any.

    ``verdict`` is that of this version's reader on the other version's bytes; None alone. A row
    of cells is a version that has only its ``slots``, leaves that share no byte with one another;
    ``leads``: it is the first row of those bytes, where their holes are drawn.
    """

    title: str
    layout: Layout
    verdict: Verdict | None = None
    image: Image | None = None
    slots: frozenset[Slot] | None = None
    leads: bool = True

    def held(self, at: int) -> list[Source]:
        """All that it holds in a byte; nothing in a hole and past its end."""
        here = self.layout.holders[at] if at < self.layout.size else ()
        return [source for source in here if self.slots is None or source.slot in self.slots]

    def judged(self, at: int) -> dict[Slot, Status]:
        """What this version's reader gets at a byte, by the slot that it takes it for."""
        if self.verdict is None:
            return {}
        wrong = self.verdict.statuses
        return {s.slot: wrong.get((at, s.slot), "intact") for s in self.held(at)}

    def breaks(self, at: int) -> bool:
        """Some reader does not get what lies at a byte."""
        return any(status != "intact" for status in self.judged(at).values())

    def is_stored(self, at: int) -> bool:
        """A number was stored in this byte, at least in some of its bits."""
        return self.image is not None and self.image.sources[at] is not None

    def kind(self, at: int) -> object:
        """What makes neighbouring bytes one piece: what they hold, and whether that is intact."""
        if at >= self.layout.size:
            return None
        sources, judged = self.held(at), self.judged(at)
        if not sources:
            return self.layout.slot_at(at)
        part = at if any(source.is_part for source in sources) else None
        return part, [(source.slot, judged.get(source.slot)) for source in sources]

    def hole(self, at: int) -> str:
        """What a byte that no member holds lies in: ``hole``, ``tail padding in n[0]``."""
        return hole_words(self.layout.slot_at(at).path.partition(" after")[0])

    # Rows of cells.

    def arms(self, first: int, stop: int) -> Sequence[Version]:
        """The rows of some bytes: those that hold something there, and at least one."""
        rows: dict[int, set[Slot]] = {}
        for held in self.layout.holders[first:stop]:
            for source in held:
                rows.setdefault(self._rows[source.member], set()).add(source.slot)
        arms = [frozenset(rows[number]) for number in sorted(rows)] or [frozenset()]
        return [replace(self, slots=held, leads=held is arms[0]) for held in arms]

    @cached_property
    def _rows(self) -> dict[str, int]:
        return rows_of(self.layout.struct, self.layout.abi)

    def source(self, at: int) -> Source | None:
        """What the row holds in a byte; of that what a number was stored to, if any was."""
        held, stored = self.held(at), self.image.sources[at] if self.image else None
        mine = {source.slot for source in held}
        return merged([s for s in (stored.shares if stored else ()) if s.slot in mine] or held)

    def is_there(self, at: int) -> bool:
        """There is something to draw: a member of the row, or a hole in all of them."""
        return bool(self.held(at)) or (self.leads and not self.layout.holders[at])

    def pieces(self, first: int, stop: int) -> Iterator[tuple[int, int]]:
        """First and last offset of neighbours of which the picture says one thing."""
        return runs(filter(self.is_there, range(first, min(stop, self.layout.size))), self.kind)

    def names(self, at: int, letters: Mapping[str, str]) -> tuple[str, ...]:
        """What to call the piece that starts at a byte, and what its reader gets of it.

        In several lengths, the fullest first; ``letters`` are those of the members.
        """
        source = self.source(at)
        if source is None:
            inside = self.hole(at)
            kind = inside.partition(" in ")[0]
            return f"{inside}: no member", inside, f"{kind}: no member", kind, kind[:4], ""
        judged = self.judged(at)
        shares = [
            (letters[s.slot.member], s.label if s.is_part else s.slot.path, judged.get(s.slot))
            for s in source.shares
        ]
        full = ", ".join(f"{letter} {path}{_sign(status)}" for letter, path, status in shares)
        signs = [f"{letter}{_sign(status)}" for letter, _, status in shares]
        marks = [f"{letter}{_sign(status)[1:2]}" for letter, _, status in shares]
        only = "".join(letter for letter, *_ in shares)
        mark = marks[0][1:] if len({status for *_, status in shares}) == 1 else ""
        return full, ", ".join(signs), " ".join(marks), "".join(marks), only + mark, only, only[0]

    # Words of the text twin.

    def piece(self, first: int, last: int, letters: Mapping[str, str]) -> str:
        """What is there from byte ``first`` to byte ``last``: members, a hole, or nothing."""
        if first >= self.layout.size:
            return "(past the end)"
        held = sorted(self.held(first), key=lambda source: -source.bottom)
        if not held:
            return f"({self.hole(first)})"
        ends = {source.slot: source for source in self.held(last)}
        words = [_called(source, ends[source.slot], letters) for source in held[:6]]
        words += [f"{len(held) - 6} more"] * (len(held) > 6)
        free = 0xFF & ~reduce(or_, (source.mask for source in held))
        if free and any(source.is_part for source in held):
            words.append(f"unused bits: mask {free:#04x}")
        return " | ".join(words)

    def gets(self, at: int) -> str:
        """What its reader gets at a byte: a word, or one for each member where they differ."""
        judged = self.judged(at)
        statuses = set(judged.values())
        if len(statuses) < 2:
            return next(iter(statuses), "-")
        return ", ".join(f"{slot.path} {status}" for slot, status in list(judged.items())[:6])

    def hex(self, first: int, last: int) -> str:
        """The bytes, eight at most; two points for one that nobody wrote."""
        if self.image is None or first >= self.layout.size:
            return ""
        end = min(last + 1, self.layout.size, first + 8)
        bare = not self.held(first)
        told = [
            f"{self.image.data[at]:02x}" if bare or self.is_stored(at) else ".."
            for at in range(first, end)
        ]
        return " ".join(told) + (" .." if end <= last else "")


def _called(source: Source, last: Source, letters: Mapping[str, str]) -> str:
    """What lies from one byte to another in words: ``A hsr[63:32]``, ``D data[0..7]``."""
    told, slot = source.until(last), source.slot
    if not slot.is_bit_field:
        told = told.removesuffix(f"[{slot.width - 1}:0]")
    return f"{letters[slot.member]} {told}"


@dataclass(frozen=True)
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
                told = f"two layouts, not {quoted(layout)}; see Struct.layout(abi)"
                raise KvmvizError(f"versions of a struct are {told}")
            if layout.abi != self.old.abi:
                told = f"{self.old.abi.name} and {layout.abi.name}"
                raise KvmvizError(f"versions of a struct are on one ABI, not on {told}")
        numbers = []
        for row in self.values if isinstance(self.values, tuple | list) else (self.values,):
            if not isinstance(row, tuple) or len(row) != 2 or not isinstance(row[0], str):
                told = f"{quoted(self.values)} are no values; give (member, number) pairs"
                raise KvmvizError(f"{self.old.struct}: {told}")
            numbers.append((row[0], integer(row[1], f"{self.old.struct}, member {row[0]}")))
        object.__setattr__(self, "values", tuple(numbers))

    @cached_property
    def pair(self) -> Pair | None:
        """Both, to be judged; None where there is one."""
        return Pair(self.old, self.new) if self.new else None

    @cached_property
    def each(self) -> tuple[Version, ...]:
        """The versions, the old one first."""
        if self.pair is None:
            return (Version("", self.old, None, self._image(self.old)),)
        pair = self.pair
        return (
            Version("old", pair.old, pair.forward, self._image(pair.old)),
            Version("new", pair.new, pair.backward, self._image(pair.new)),
        )

    def _image(self, layout: Layout) -> Image | None:
        mine = {name: number for name, number in self.values if name in layout.named}
        if not mine:
            return None
        for name, number in mine.items():
            slot = layout.paths.get(name)
            if slot is None or slot.shape or (slot.type and slot.type.is_float):
                raise KvmvizError(f"{layout.struct}, member {name}: only an integer takes a number")
            mine[name] = assigned(number, slot)
        return layout.pack(mine, FILL)

    @property
    def size(self) -> int:
        """Bytes of the longer version."""
        return max(version.layout.size for version in self.each)

    def pieces(self) -> Iterator[tuple[int, int]]:
        """First and last offset of neighbours about which there is one thing to say."""
        return runs(range(self.size), lambda at: [version.kind(at) for version in self.each])

    def telling(self, first: int, stop: int) -> bool:
        """These bytes tell more than that every member is where it was: worth to be shown."""
        if self.new is None:
            return not all(self.old.holders[first:stop])
        old, new = self.each
        return any(
            old.kind(at) != new.kind(at) or old.gets(at) not in ("intact", "-")
            for at in range(first, stop)
        )

    def __repr__(self) -> str:
        return _words(self, names_of([self]))


def names_of(shown: Sequence[Versions]) -> tuple[str, ...]:
    """All members, in order: one name has one letter and one colour in all versions."""
    versions = (version for one in shown for version in one.each)
    return tuple(dict.fromkeys(name for version in versions for name in version.layout.named))


def twin(shown: Sequence[Versions], title: str) -> str:
    """The text twin of some, under a title; a letter is one member in all of them."""
    names = names_of(shown)
    return "\n".join((title, *(_words(one, names) for one in shown)))


def _words(shown: Versions, names: Sequence[str]) -> str:
    letters = {name: style.letter for name, style in styles(names).items()}
    versions, gets = shown.each, ("old gets", "new gets") if shown.new else ()
    sizes = [f"{s.title} size {s.layout.size}, align {s.layout.align}".strip() for s in versions]
    titles = [
        cell for s in versions for cell in (s.title or "member", *["bytes"] * (s.image is not None))
    ]
    rows: list[Sequence[str]] = [("bytes", *titles, *gets)]
    pieces = list(shown.pieces())
    for first, last in pieces[:MOST_LINES]:
        cells = [f"+{first}" if first == last else f"+{first}..+{last}"]
        for version in versions:
            cells += [version.piece(first, last, letters)]
            cells += [version.hex(first, last)] if version.image is not None else []
        rows.append((*cells, *(version.gets(first) for version in versions if shown.new)))
    lines = [f"{where(shown.old)}: {'; '.join(sizes)}", table(rows)]
    if left := pieces[MOST_LINES:]:
        lines.append(f"  left out: {len(left)} more lines, {span(left[0][0], left[-1][1])}")
    for number, reader in enumerate(READERS if shown.new else ()):
        found = "; ".join(_misread(shown, number))
        lines += [f"  {reader}: {found}"] if found else []
    return "\n".join(lines)


def _misread(shown: Versions, number: int) -> Iterator[str]:
    """The numbers that a version's reader finds where another was meant."""
    mine, other = shown.each[number], shown.each[1 - number]
    if mine.image is None or other.image is None:
        return
    raw = bytes(other.image)
    found = mine.layout.unpack(raw + bytes([FILL]) * (mine.layout.size - len(raw)))
    meant = mine.layout.unpack(mine.image)
    for name in dict(shown.values):
        if name in found and found[name] != meant[name]:
            yield f"{name} reads {found[name]:#x}, not {meant[name]:#x}"


# --- rows of cells ---------------------------------------------------------------------------


def _sign(status: Status | None) -> str:
    """Behind a member's name: intact needs no word, all else is named."""
    return "" if status is None else " ✓" if status == "intact" else f" ✗ {status}"


def rows_of(kind: Struct, abi: Abi) -> dict[str, int]:
    """The row of each leaf, by its path without indices: a union's members have one each."""
    found: dict[str, int] = {}

    def place(kind: Struct, at: int, path: str) -> int:
        stop = at + 1
        for member in kind.on(abi).members:
            name = f"{path}{member.name}" if member.name else path
            end = at + 1
            if isinstance(leaf := member.type.leaf, Struct):
                end = place(leaf, at, f"{name}." if member.name else path)
            elif member.name:
                found[name] = at
            else:  # a bit-field without a name only takes room
                continue
            stop = max(stop, end)
            at = end if kind.union else at
        return stop

    place(kind, 0, "")
    return found


def heights(shown: Sequence[Versions], first: int) -> list[int]:
    """How many rows of cells each version takes, for all ABIs to stand side by side."""
    return [
        min(max(len(version.arms(first, first + CELLS)) for version in versions), MOST_ARMS)
        for versions in zip(*(one.each for one in shown), strict=True)
    ]


def chosen(shown: Sequence[Versions]) -> tuple[list[int], list[int]]:
    """The first offsets of the rows to show, and the offsets of all bytes that are left out.

    Raises :class:`KvmvizError` for none, and for more than :data:`MOST` bytes.
    """
    if not shown:
        raise KvmvizError("a picture of versions takes at least one")
    for one in shown:
        if one.size > MOST:
            told = f"a picture of versions takes at most {MOST} bytes, not {one.size}"
            raise KvmvizError(f"{one.old.struct} on {one.old.abi.name}: {told}")
    size = max(one.size for one in shown)
    starts = list(range(0, size, CELLS))
    most = MOST_ROWS[max(len(one.each) for one in shown)]
    if sum(sum(heights(shown, at)) for at in starts[: most + 1]) > most:
        telling = [at for at in starts if any(one.telling(at, at + CELLS) for one in shown)]
        starts = [*telling, *(at for at in starts if at not in set(telling))]
    rows: list[int] = []
    for at in starts:
        most -= sum(heights(shown, at))
        if rows and most < 0:
            break
        rows.append(at)
    return sorted(rows), [at for at in range(size) if at // CELLS * CELLS not in rows]


def remarks(shown: Sequence[Versions], left: Sequence[int]) -> list[str]:
    """What there is to say of all rows: the bytes that are left out, and how to read a verdict."""
    said = [f"Left out: {spans(left)}."] if left else []
    both = "Below old: what an old program gets of new bytes. Below new: the reverse."
    return [*said, *[both] * any(one.new for one in shown)]


# --- the verdict in a line -------------------------------------------------------------------


def headline(shown: Sequence[Versions]) -> str:
    """The verdict of :attr:`Review.breaks` in a line: who breaks, or which member has no writer.

    First an old program, then a new one, then a check of size. As in the review, what only one
    version has breaks nobody, members of nested structs included. Raises :class:`KvmvizError`
    where there is nothing to show, or some have one version and some two.
    """
    given = shown if isinstance(shown, Sequence) else ()
    if not given or not all(isinstance(one, Versions) for one in given):
        raise KvmvizError("one Versions at least is shown; see kvmviz.review.versions")
    pairs = tuple(one.pair for one in shown if one.pair)
    struct = shown[0].old.struct
    if not pairs:
        return str(struct)
    if len(pairs) != len(shown):
        raise KvmvizError(f"{struct}: every ABI has an old and a new version, or none has")
    found = Review(struct, pairs[0].new.struct, tuple(pair.abi for pair in pairs), pairs)
    if not found.breaks:
        words = _unheld(found)
        return f"✓ nothing breaks, but {words}" if words else "✓ nothing breaks"
    for number, who in enumerate(PROGRAMS):
        where: dict[str, list[str]] = {}
        for pair in pairs:
            if words := _listed(_lost(pair, number, found)):
                where.setdefault(words, []).append(pair.abi.name)
        if where:
            told = [f"{words} on {', '.join(names)}" for words, names in where.items()]
            return f"✗ {who} breaks: {'; '.join(told)}"
    worst = found.findings[0]
    return f"✗ {worst.named} on {ground(found, worst.abis)}"


def _lost(pair: Pair, number: int, found: Review) -> list[str]:
    """Members of both versions that a version's reader does not get, but for what nobody reads."""
    verdict = (pair.forward, pair.backward)[number]
    told: dict[str, Status] = {}
    kept = (change for change in pair.changes if change.is_kept)
    for change in sorted(kept, key=lambda change: change.start[number]):
        if wrong := (change.lost, change.gained)[number]:
            told[change.name] = min((w.status for w in wrong), key=STATUSES.index)
    both = (name for name, sides in pair.flexible.items() if all(sides))
    told |= {name: verdict.flexible[name][0] for name in both if name in verdict.flexible}
    return [
        f"{name} {status}" for name, status in told.items()
        if status != "intact" and not found.is_settled(name, pair)
    ]  # fmt: skip


def _unheld(found: Review) -> str:
    """Of a change that breaks nothing: what only one version has, or takes for another kind."""
    told = []
    for number, who in enumerate(("old", "new")):
        only: dict[str, None] = {}
        for pair in found.rows:
            names = [c.name for c in pair.changes if not (c.old, c.new)[number]]
            names += [name for name, held in pair.flexible.items() if not held[number]]
            only |= {name: None for name in names if not found.is_settled(name, pair)}
        told += [f"{who} bytes never hold {_listed([*only])}"] if only else []
    retyped = [row.named for row in found.warnings if row.kind == "retyped"]
    return "; ".join(told + retyped[:1])


def _listed(names: Sequence[str]) -> str:
    if len(names) <= MOST_NAMES:
        return ", ".join(names)
    return ", ".join([*names[: MOST_NAMES - 1], f"{len(names) - MOST_NAMES + 1} more"])

"""Two versions of a struct on one ABI, byte beside byte: what each reader gets of each byte."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from kvmviz._base import KvmvizError, Twin, twin
from kvmviz.ctype import Conditional, Struct
from kvmviz.image import Image, assigned
from kvmviz.layout import Layout
from kvmviz.review import Review, review
from kvmviz.review.report import ground
from kvmviz.review.side import Side, told_piece, told_status
from kvmviz.style import styles
from kvmviz.text import span, table, where
from kvmviz.verdict import STATUSES, Status, Verdict, compare, flexible, member_of

FILL = 0xAA
"""What memory holds before a program writes, where values are shown: easy to tell from zero."""

MOST_LINES = 32
"""Lines of a text twin that show bytes; what is left out is told."""

MOST_NAMES = 3
"""Members that a headline names; of more it says how many."""


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
            slot = next((s for s in layout.slots if s.path == name and s.type), None)
            if slot is None or slot.shape or (slot.type and slot.type.kind == "float"):
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


def told_values(shown: Versions, number: int) -> Iterator[str]:
    """The numbers that a side's reader finds where another was meant."""
    for name, (found, meant) in shown.values_read(number).items():
        if found != meant and isinstance(found, int) and isinstance(meant, int):
            yield f"{name} reads {found:#x}, not {meant:#x}"


PROGRAMS = ("an old program", "a new program on old bytes")
"""Who breaks, by side, the one that nobody builds again first."""

READERS = (f"{PROGRAMS[0]} on new bytes", PROGRAMS[1])
"""Who reads, by side: each version's reader is shown the other version's bytes."""


def names_of(shown: Sequence[Versions]) -> tuple[str, ...]:
    """The members of several, in order: one name has one letter and one colour in all of them."""
    return tuple(dict.fromkeys(name for one in shown for name in one.names))


@twin.register
def _(shown: Versions) -> str:
    return words_of(shown, shown.names)


def words_of(shown: Versions, names: Sequence[str]) -> str:
    """The text twin, where letters are shared out among more ``names`` than its own."""
    letters = {name: style.letter for name, style in styles(names).items()}
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
        lost: dict[str, list[str]] = {}
        for row in found.rows:
            verdict = row.forward if who == PROGRAMS[0] else row.backward
            if words := _listed(_lost(verdict)):
                lost.setdefault(words, []).append(row.abi.name)
        if lost:
            told = (f"{words} on {', '.join(abis)}" for words, abis in lost.items())
            return f"✗ {who} breaks: {'; '.join(told)}"
    worst = found.findings[0]
    name = f"{worst.member}: " if worst.member else ""
    return f"✗ {name}{worst.change} on {ground(found, worst.abis)}"


def _paths(layout: Layout) -> dict[str, None]:
    """What C code can name, in order: leaves by path, without the indices of elements."""
    leaves = (member_of(slot.path) for slot in layout.slots if not slot.is_padding)
    return dict.fromkeys((*leaves, *flexible(layout)))


def _lost(verdict: Verdict) -> list[str]:
    """Members of both sides that the reader does not get, a nested struct as one if it all goes."""
    both = _paths(verdict.reader).keys() & _paths(verdict.writer).keys()
    worst: dict[str, dict[str, Status]] = {}
    rows: list[tuple[str, Status]] = [(path, "intact") for path in _paths(verdict.reader)]
    rows += [(member_of(w.wanted.slot.path), w.status) for w in verdict.wrong]
    for path, status in (*rows, *verdict.flexible.items()):
        if path in both:
            inside = worst.setdefault(path.partition(".")[0], {})
            inside[path] = min(inside.get(path, status), status, key=STATUSES.index)
    told = []
    for name, inside in worst.items():
        first, *others = dict.fromkeys(inside.values())
        each = inside if others else {name: first}
        told += [f"{path} {status}" for path, status in each.items() if status != "intact"]
    return told


def _unheld(found: Review) -> str:
    """Of a change that breaks nothing: what only one version has, or takes for another kind."""
    pairs = [row.pair for row in found.rows]
    told = [
        f"{who} bytes never hold {_listed(names)}"
        for who, sides in (
            ("old", [(pair.new, pair.old) for pair in pairs]),
            ("new", [(pair.old, pair.new) for pair in pairs]),
        )
        if (names := list(dict.fromkeys(name for pair in sides for name in _only(*pair))))
    ]
    retyped = [row for row in found.warnings if row.kind == "retyped"]
    return "; ".join(told + [f"{row.member}: {row.change}" for row in retyped[:1]])


def _only(one: Layout, other: Layout) -> Iterator[str]:
    """Members of one version that the other does not have; a new struct as a whole."""
    theirs = _paths(other)
    for path in (path for path in _paths(one) if path not in theirs):
        direct = path.partition(".")[0]
        yield path if direct in other.named else direct


def _listed(names: Sequence[str]) -> str:
    if len(names) <= MOST_NAMES:
        return ", ".join(names)
    return ", ".join([*names[: MOST_NAMES - 1], f"{len(names) - MOST_NAMES + 1} more"])

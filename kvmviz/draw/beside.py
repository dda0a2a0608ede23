"""The picture of versions: ABIs side by side, the old struct above the new, byte under byte."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import groupby
from operator import or_

from kvmviz._base import twin
from kvmviz.compat import Status
from kvmviz.draw.canvas import Canvas, Picture
from kvmviz.draw.strip import Strip, bits_of, width_of
from kvmviz.place import up
from kvmviz.review.versions import Side, Versions
from kvmviz.style import INK, NOBODY, QUIET, WRONG, styles
from kvmviz.text import slot_at, spans, where

CELLS = 8
"""Bytes in a row of a panel."""

MOST_ROWS = {1: 9, 2: 5}
"""Rows of a picture by versions; where a struct has more, those that tell something come first."""

CELL, HIGH, EDGE, GAP = 42.0, 42.0, 4.0, 14.0
MARGIN = 36.0
"""Left of the first panel, where the versions are named."""


def picture(shown: Sequence[Versions], title: str, colour: str) -> Picture:
    """Both versions on each ABI, side by side under a title."""
    columns = [
        _Column(one, EDGE + MARGIN + at * (CELLS * CELL + GAP)) for at, one in enumerate(shown)
    ]
    rows, left = chosen(shown)
    versions = max(len(one.sides) for one in shown)
    each = 20.0 + versions * (HIGH + 28)
    notes = [note for column in columns for note in column.notes(rows)]
    if left:
        notes.append(f"Left out: {spans(left)}.")
    if versions > 1:
        notes.append("Below old: what an old program gets of new bytes. Below new: the reverse.")
    width = 2 * EDGE + MARGIN + len(shown) * (CELLS * CELL + GAP) - GAP
    heads = wrapped(title, int(width / 11), 2)
    lines = [line for note in notes for line in wrapped(note, int(width / 7.6), 2)]
    canvas = Canvas(width, 62 + 24 * len(heads) + each * len(rows) + 22 * len(lines))
    for number, line in enumerate(heads, 1):
        canvas.text(EDGE, 4 + 24 * number, line, 19, bold=True, colour=colour)
    y = 42.0 + 24 * len(heads)
    for column in columns:
        column.head(canvas, y - 8)
    for row in rows:
        for column in columns:
            column.row(canvas, y, row)
        for at, side in enumerate(columns[0].held.sides):
            canvas.text(EDGE, y + 45 + at * (HIGH + 28), side.title, 15, bold=True)
        y += each
    for line in lines:
        y += 22
        canvas.text(EDGE, y, line, 14, colour=QUIET)
    return canvas.picture("\n".join((title, *map(twin, shown))))


def chosen(shown: Sequence[Versions]) -> tuple[list[int], list[int]]:
    """The first offsets of the rows to draw, and the offsets of all bytes that are left out."""
    size = max(one.size for one in shown)
    starts = list(range(0, size, CELLS))
    most = MOST_ROWS[max(len(one.sides) for one in shown)]
    if len(starts) <= most:
        return starts, []
    # One row past a version's end stands for all of them.
    end = min(max(sides) for sides in zip(*_sizes(shown), strict=True))
    full = [at for at in starts if at <= up(end, CELLS)]
    telling = [at for at in full if any(one.telling(at, at + CELLS) for one in shown)]
    first = [*telling, *(at for at in full if at not in set(telling))][:most]
    return sorted(first), [at for at in range(size) if at // CELLS * CELLS not in first]


def _sizes(shown: Sequence[Versions]) -> list[list[int]]:
    return [[side.layout.size for side in one.sides] for one in shown]


def wrapped(words: str, width: int, most: int) -> list[str]:
    """Words in lines of so many characters, at most so many lines."""
    return textwrap.wrap(words, width, max_lines=most, placeholder=" ...")


def _sign(status: Status | None) -> str:
    """Behind a member's name: intact needs no word, all else is named."""
    return "" if status is None else " ✓" if status == "intact" else f" ✗ {status}"


@dataclass(frozen=True)
class _Column:
    """One ABI: its panel starts at ``x``."""

    held: Versions
    x: float

    def head(self, canvas: Canvas, y: float) -> None:
        sizes = " → ".join(dict.fromkeys(str(side.layout.size) for side in self.held.sides))
        canvas.text(self.x, y, where(self.held.old), 15, bold=True)
        canvas.text(self.x + CELLS * CELL - 2, y, f"{sizes} bytes", 14, ha="right")

    def strip(self, side: Side) -> Strip:
        data = None if side.image is None else bytes(side.image)
        return Strip(side.layout, data, side.sources, CELL, HIGH, self.held.names)

    def row(self, canvas: Canvas, y: float, first: int) -> None:
        """Offsets, and below them each version's bytes with what its reader gets."""
        for at in range(first, min(first + CELLS, self.held.size)):
            canvas.text(
                self._left(at) + CELL / 2,
                y + 14,
                f"+{at}",
                13,
                mono=True,
                ha="center",
                colour=QUIET,
            )
        for number, side in enumerate(self.held.sides):
            top = y + 20 + number * (HIGH + 28)
            if first >= side.layout.size:
                canvas.text(self.x + 4, top + 25, "past its end", 14, italic=True, colour=QUIET)
            for at in range(first, min(first + CELLS, side.layout.size)):
                self._cell(canvas, side, top, at)
            for begin, end in _pieces(side, first):
                self._label(canvas, side, top + HIGH, begin, end)

    def _left(self, at: int) -> float:
        return self.x + at % CELLS * CELL

    def _cell(self, canvas: Canvas, side: Side, y: float, at: int) -> None:
        strip, source, left = self.strip(side), side.sources[at], self._left(at)
        strip.ground(canvas, left + 1, y, source)
        middle = left + CELL / 2
        words = "".join(strip.letter(share) for share in source.shares)[:4] if source else ""
        if strip.data is not None and (source is None or side.is_stored(at)):
            words = f"{strip.data[at]:02x}"
        colour = INK if source else QUIET
        if source is None and words:
            canvas.box(middle - 13, y + 4, 26, 20, NOBODY, edge=NOBODY)
        if source and reduce(or_, (share.mask for share in source.shares)) != 0xFF:
            # The words stay readable on the hatching.
            canvas.box(middle - 14, y + 4, 28, 36, NOBODY, edge=NOBODY)
        canvas.text(middle, y + 20, words, 17, mono=True, ha="center", colour=colour)
        bits = bits_of(source) if source else ""
        size = 12.4 if len(bits) < 6 else 9.6
        canvas.text(middle, y + 37, bits, size, mono=True, ha="center")

    def _label(self, canvas: Canvas, side: Side, y: float, begin: int, end: int) -> None:
        left, right = self._left(begin) + 3, self._left(end) + CELL - 3
        canvas.line([left, left, right, right], [y + 3, y + 6, y + 6, y + 3], QUIET)
        words, size = self._fitting(side, begin, end)
        colour = WRONG if side.status(begin) not in (None, "intact") else INK
        hole = side.sources[begin] is None
        canvas.text(
            (left + right) / 2, y + 21, words, size, ha="center", colour=colour, italic=hole
        )

    def _names(self, side: Side, begin: int) -> tuple[str, ...]:
        """What to call a piece, the fullest name first, the last of them always fits."""
        source = side.sources[begin]
        if source is None:
            kind = slot_at(side.layout, begin).path.split(" after")[0]
            return f"{kind}: not written", kind, kind.split(" ")[0], ""
        letters, judged = styles(self.held.names), side.judged[begin]
        # Those in front, then those that a union lays over them.
        slots = dict.fromkeys(s.slot for s in (*source.shares, *side.layout.holders[begin]))
        full = [
            f"{letters[slot.member].letter} {slot.path}{_sign(judged.get(slot))}" for slot in slots
        ]
        short = "".join(dict.fromkeys(letters[share.slot.member].letter for share in source.shares))
        worst = _sign(side.status(begin))
        return ", ".join(full), f"{short}{worst}", f"{short}{worst[:2]}", short[:3]

    def _fitting(self, side: Side, begin: int, end: int) -> tuple[str, float]:
        """The fullest name that has room below a piece, and the size of its letters."""
        room = (end - begin + 1) * CELL - 2
        full, *short = self._names(side, begin)
        tries = [(full, size) for size in (14.0, 13.0, 12.0)] + [(name, 14.0) for name in short]
        return next(((n, size) for n, size in tries if width_of(n, size - 1) <= room), ("", 14.0))

    def notes(self, rows: Sequence[int]) -> list[str]:
        """The full names of pieces too narrow for theirs, one line for each version."""
        lines = []
        for side in self.held.sides:
            names = [
                full
                for first in rows
                for begin, end in _pieces(side, first)
                if side.sources[begin] is not None
                and (full := self._names(side, begin)[0]) != self._fitting(side, begin, end)[0]
            ]
            if names:
                # A letter and its name stay in one line.
                words = "  ·  ".join(name.replace(" ", "\xa0") for name in dict.fromkeys(names))
                head = " ".join(filter(None, (self.held.old.abi.name, side.title)))
                lines.append(f"{head}: {words}")
        return lines


def _pieces(side: Side, first: int) -> list[tuple[int, int]]:
    """Neighbours in a row of which the picture says one thing."""
    offsets = range(first, min(first + CELLS, side.layout.size))
    groups = [list(group) for _, group in groupby(offsets, side.held)]
    return [(group[0], group[-1]) for group in groups]

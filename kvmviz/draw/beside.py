"""Versions of a struct: ABIs side by side, the old one above the new, byte under byte.

Arms of unions, members that share bytes, are drawn in rows of their own, one below the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from kvmviz.draw.canvas import Canvas, Picture, checked, wide, wrapped
from kvmviz.draw.cells import ground, paragraph
from kvmviz.review import versions as beside
from kvmviz.review.versions import CELLS, MOST_ARMS, Arm, Versions
from kvmviz.slot import Source, bits_of
from kvmviz.style import INK, QUIET, RIGHT, WRONG, Style, styles
from kvmviz.text import where

CELL, HIGH, EDGE, GAP = 42.0, 42.0, 4.0, 14.0
LOW = HIGH + 28
"""Height of a row of cells with the names below it."""

MARGIN = 36.0
"""Left of the first panel, where the versions are named."""


def versions(*shown: Versions, title: str = "") -> Picture:
    """Two versions of a struct, the old above the new, ABIs side by side; or one version alone.

    ``title`` is by default the verdict of :func:`kvmviz.review.review` on these ABIs. Of a large
    struct the rows that tell something come first, and what is left out is told. Raises
    :class:`KvmvizError` for none, and for more than :data:`kvmviz.review.versions.MOST` bytes.
    """
    checked(shown, Versions, "a picture of versions")
    rows, left = beside.chosen(shown)
    title, names = title or beside.headline(shown), beside.names_of(shown)
    colour = {"✗": WRONG, "✓": RIGHT}.get(title[0], INK)
    columns = [
        _Column(one, EDGE + MARGIN + at * (CELLS * CELL + GAP), names)
        for at, one in enumerate(shown)
    ]
    notes = [note for column in columns for note in column.notes(rows)]
    width = 2 * EDGE + MARGIN + len(shown) * (CELLS * CELL + GAP) - GAP
    heads = _lines(title, width, 19, bold=True)
    canvas = Canvas(width, 0)
    y = paragraph(canvas, EDGE, 4, heads, 19, 24, bold=True, colour=colour) + 38
    for column in columns:
        column.head(canvas, y - 8)
    for row in rows:
        for column in columns:
            column.offsets(canvas, y, row)
        y += 20
        for number, high in enumerate(beside.heights(shown, row)):
            canvas.text(EDGE, y + 25, columns[0].held.sides[number].title, 15, bold=True)
            for column in columns:
                column.row(canvas, y, row, number)
            y += LOW * high
    for note in (*notes, *beside.remarks(shown, left)):
        lines = _lines(note, width, 14)
        y = paragraph(canvas, EDGE, y, lines, 14, 22, colour=QUIET)
    canvas.height = y + 20
    return canvas.picture(beside.told(shown, title))


def _lines(words: str, width: float, size: float, *, bold: bool = False) -> list[str]:
    """Words in lines as wide as a sheet, three of them at most."""
    lines = wrapped(words, size, width - 2 * EDGE, bold=bold)
    return lines if len(lines) <= 3 else [*lines[:2], f"{lines[2].rpartition(' ')[0]} ..."]


@dataclass(frozen=True)
class _Column:
    """One ABI: its panel starts at ``x``; ``names`` are all members of the picture."""

    held: Versions
    x: float
    names: tuple[str, ...]

    @cached_property
    def styles(self) -> dict[str, Style]:
        """Colour and letter of each member."""
        return styles(self.names)

    @cached_property
    def letters(self) -> dict[str, str]:
        """The letter of each member."""
        return {name: style.letter for name, style in self.styles.items()}

    def head(self, canvas: Canvas, y: float) -> None:
        sizes = " → ".join(dict.fromkeys(str(side.layout.size) for side in self.held.sides))
        canvas.text(self.x, y, where(self.held.old), 15, bold=True)
        canvas.text(self.x + CELLS * CELL - 2, y, f"{sizes} bytes", 14, ha="right")

    def offsets(self, canvas: Canvas, y: float, first: int) -> None:
        for at in range(first, min(first + CELLS, self.held.size)):
            middle = self._left(at) + CELL / 2
            canvas.text(middle, y + 14, f"+{at}", 13, mono=True, ha="center", colour=QUIET)

    def row(self, canvas: Canvas, y: float, first: int, number: int) -> None:
        """The bytes of a version with what its reader gets, arms of unions below each other."""
        side = self.held.sides[number]
        if first >= side.layout.size:
            canvas.text(self.x + 4, y + 25, "past its end", 14, italic=True, colour=QUIET)
        for arm in self._drawn(number, first):
            for begin, end in arm.pieces(first, first + CELLS):
                for at in range(begin, end + 1):
                    self._cell(canvas, arm, y, at)
                self._label(canvas, arm, y + HIGH, begin, end)
            y += LOW

    def _drawn(self, number: int, first: int) -> Sequence[Arm]:
        return self.held.sides[number].arms(first, first + CELLS)[:MOST_ARMS]

    def _left(self, at: int) -> float:
        return self.x + at % CELLS * CELL

    def _cell(self, canvas: Canvas, arm: Arm, y: float, at: int) -> None:
        side, source, left = arm.side, arm.source(at), self._left(at)
        ground(canvas, left + 1, y, CELL - 2, HIGH, source, self.styles)
        middle, words = left + CELL / 2, ""
        if side.image is not None and (source is None or side.is_stored(at)):
            words = f"{bytes(side.image)[at]:02x}"
        if source is None or source.beside:
            up = 1 if source else 0
            if words:
                canvas.clear(middle - 13, y + 4 - up, 26, 20 - up)
            colour = INK if source else QUIET
            canvas.text(middle, y + 20 - up, words, 17, mono=True, ha="center", colour=colour)
            # Each share is told by its letter, in its own part of the cell.
            for share in source.shares if source else ():
                self._share(canvas, share, left, y + (36 if words else 27))
            return
        if source.mask != 0xFF:
            canvas.clear(middle - 14, y + 4, 28, 36)
        letter = words or self.letters[source.slot.member]
        canvas.text(middle, y + 20, letter, 17, mono=True, ha="center")
        bits = bits_of(source)
        size = 12.4 if len(bits) < 6 else 9.6
        canvas.text(middle, y + 37, bits, size, mono=True, ha="center")

    def _share(self, canvas: Canvas, share: Source, left: float, y: float) -> None:
        bit = (CELL - 2) / 8
        room = bit * (share.top - share.bottom + 1)
        if room > bit:
            middle = left + 1 + bit * (7 - share.top) + room / 2
            letter = self.letters[share.slot.member]
            canvas.text(middle, y, letter, min(15, 1.6 * room), mono=True, ha="center")

    def _label(self, canvas: Canvas, arm: Arm, y: float, begin: int, end: int) -> None:
        left, right = self._left(begin) + 3, self._left(end) + CELL - 3
        canvas.brace(left, right, y + 3, 3, QUIET)
        words, size = self._fitting(arm, begin, end)
        canvas.text(
            (left + right) / 2, y + 21, words, size, ha="center",
            colour=WRONG if arm.breaks(begin) else INK, italic=arm.source(begin) is None,
        )  # fmt: skip

    def _fitting(self, arm: Arm, begin: int, end: int) -> tuple[str, float]:
        """The fullest name that has room below a piece, and the size of its letters."""
        room = (end - begin + 1) * CELL - 4
        names = arm.names(begin, self.letters)
        tries = [(name, size) for name in names for size in (14.0, 13.0, 12.0)]
        return next(((n, size) for n, size in tries if wide(n, size) <= room), ("", 14.0))

    def notes(self, rows: Sequence[int]) -> Iterator[str]:
        """The full names of pieces too narrow for theirs, one line for each version."""
        for number, side in enumerate(self.held.sides):
            names = dict.fromkeys(name for row in rows for name in self._full(number, row))
            if names:
                # A letter and its name stay in one line.
                words = "  ·  ".join(name.replace(" ", "\xa0") for name in names)
                head = " ".join(filter(None, (self.held.old.abi.name, side.title)))
                yield f"{head}: {words}"

    def _full(self, number: int, first: int) -> Iterator[str]:
        for arm in self._drawn(number, first):
            for begin, end in arm.pieces(first, first + CELLS):
                full, source = arm.names(begin, self.letters)[0], arm.source(begin)
                if source and full != self._fitting(arm, begin, end)[0]:
                    yield f"+{begin} {full}" if source.is_part else full
        if hidden := self.held.sides[number].arms(first, first + CELLS)[MOST_ARMS:]:
            slots = sorted((s for arm in hidden for s in arm.slots), key=lambda s: s.path)
            paths = [f"{self.styles[s.member].letter} {s.path}" for s in slots]
            more = [f"{len(paths) - MOST_ARMS} more"] * (len(paths) > MOST_ARMS)
            yield f"not drawn: {', '.join([*paths[:MOST_ARMS], *more])}"

"""Bytes of a struct as cells that say who holds them. Sizes in pixels."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import Literal

from kvmviz.draw.canvas import Canvas, wide, wrapped
from kvmviz.image import named, pieces
from kvmviz.layout import Layout
from kvmviz.slot import Source, bits_of
from kvmviz.style import INK, NOBODY, QUIET, Style, styles

ROW, CELL = 16, 58
"""Cells in a row before a byte map goes on in the next, and how wide a cell is there."""

HEIGHT, BELOW = 46, 120
"""Height of a cell, and of a row with all that stands under its cells."""

LABEL = 16
"""Size of the words under the cells of a struct, where they have the room."""


@dataclass(frozen=True)
class Strip:
    """Bytes of a struct, each ``cell`` wide: value, bits, offset, and below them the member.

    ``data`` None draws the layout alone, cells without values.
    """

    layout: Layout
    data: Sequence[int] | None
    sources: Sequence[Source | None]
    cell: float = CELL

    @cached_property
    def styles(self) -> dict[str, Style]:
        """Colour and letter of each member."""
        return styles(self.layout.named)

    @cached_property
    def _pieces(self) -> tuple[tuple[int, int], ...]:
        """First and last offset of neighbours with one name below them."""
        return tuple(pieces(self.sources, self.layout, ROW))

    def rows(self, canvas: Canvas, x: float, y: float) -> float:
        """Draw all bytes, 16 in a row, from (x, y) down; the y where they end."""
        for first in range(0, len(self.sources), ROW):
            self.row(canvas, x, y, first, min(first + ROW, len(self.sources)))
            y += BELOW
        return paragraph(canvas, x, y - 8, self.legend, LABEL, 22) + 8

    def row(self, canvas: Canvas, x: float, y: float, first: int, stop: int) -> None:
        """Draw bytes ``first`` up to ``stop``; (x, y) is the first one's upper left corner."""
        under = y + HEIGHT
        for at in range(first, stop):
            source, left = self.sources[at], x + (at - first) * self.cell
            ground(canvas, left + 1, y, self.cell - 2, HEIGHT, source, self.styles)
            middle, centre = left + self.cell / 2, y + HEIGHT / 2
            if self.data is not None:
                if source is None or source.is_part:
                    canvas.clear(middle - 17, centre - 14, 34, 28)
                canvas.text(
                    middle, centre, f"{self.data[at]:02x}", 24, mono=True, ha="center",
                    va="center", colour=INK if source else QUIET,
                )  # fmt: skip
            bits = bits_of(source)
            size = max(11, min(LABEL, (self.cell - 8) / (0.6 * len(bits))))
            canvas.text(middle, under + 17, bits, size, mono=True, ha="center")
            canvas.text(middle, under + 35, f"+{at}", LABEL, mono=True, ha="center", colour=QUIET)
        start = bisect_left(self._pieces, first, key=itemgetter(1))
        for begin, end in self._pieces[start:]:
            if begin >= stop:
                break
            left = x + (max(begin, first) - first) * self.cell + 3
            right = x + (min(end + 1, stop) - first) * self.cell - 3
            self._brace(canvas, left, right, under + 42, begin)

    def block(self, canvas: Canvas, x: float, y: float, at: int, width: float) -> None:
        """The whole piece that starts at byte ``at`` as one cell, where its bytes tell nothing."""
        source, middle = self.sources[at], x + width / 2
        end = dict(self._pieces)[at]
        ground(canvas, x + 1, y, width - 2, HEIGHT, source, self.styles)
        words = f"{end + 1 - at} bytes" if source else "not written"
        if source is None:
            canvas.clear(x + 9, y + 10, width - 18, HEIGHT - 20)
        canvas.text(middle, y + 29, words, LABEL, ha="center", colour=INK if source else QUIET)
        under, place = y + HEIGHT, f"+{at}..+{end}"
        canvas.text(middle, under + 35, place, LABEL, mono=True, ha="center", colour=QUIET)
        self._brace(canvas, x + 3, x + width - 3, under + 42, at)

    def letter(self, source: Source) -> str:
        """The letter of a cell's member."""
        return self.styles[source.slot.member].letter

    def _brace(self, canvas: Canvas, left: float, right: float, y: float, at: int) -> None:
        canvas.brace(left, right, y, 5, QUIET)
        name = next(n for n in self._names(at) if width_of(n, LABEL) <= right - left + 6)
        written = self.sources[at] is not None
        canvas.text((left + right) / 2, y + 22, name, LABEL, ha="center", italic=not written)

    def _names(self, at: int) -> tuple[str, ...]:
        return named(self.sources, self.layout, at, self._hatched)

    @property
    def _hatched(self) -> str:
        """What hatching means."""
        return "no member" if self.data is None else "not written"

    @cached_property
    def legend(self) -> list[str]:
        """Lines with the names of members too narrow for their name."""
        words: dict[str, None] = {}
        silent = False
        for begin, end in self._pieces:
            source, full = self.sources[begin], self._names(begin)[0]
            fits = width_of(full, LABEL) <= (end + 1 - begin) * self.cell
            if source and (source.beside or not fits):
                words |= {f"{self.letter(s)} {s.slot.path}": None for s in source.shares}
            silent |= source is None and not fits
        told = [*words, *([f"hatched: {self._hatched}"] if silent else [])]
        return wrapped("  ·  ".join(told), LABEL, CELL * ROW, most=84)


def ground(
    canvas: Canvas, x: float, y: float, width: float, height: float,
    source: Source | None, styles: Mapping[str, Style],
) -> None:  # fmt: skip
    """The colours of a cell, each as wide as its bits, the most significant on the left."""
    if source and source.mask == 0xFF:
        canvas.box(x, y, width, height, styles[source.slot.member].colour, edge=QUIET)
        return
    canvas.box(x, y, width, height, NOBODY, edge=QUIET, hatch="////")
    for share in source.shares if source else ():
        left, bits = x + width * (7 - share.top) / 8, share.top - share.bottom + 1
        fill = styles[share.slot.member].colour
        canvas.box(left, y, width * bits / 8, height, fill, edge=QUIET)


def paragraph(
    canvas: Canvas, x: float, y: float, lines: Iterable[str], size: float, leading: float, *,
    colour: str = INK, bold: bool = False, mono: bool = False,
    ha: Literal["left", "center"] = "left",
) -> float:  # fmt: skip
    """Lines of words, the first of them ``leading`` below ``y``; where the last one stands."""
    for line in lines:
        y += leading
        canvas.text(x, y, line, size, colour=colour, bold=bold, mono=mono, ha=ha)
    return y


def width_of(words: str, size: float) -> float:
    """How wide words are, and at least what letters take on average: enough to keep them apart."""
    return max(0.6 * size * len(words), wide(words, size))

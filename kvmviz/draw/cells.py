"""Strips of bytes on a canvas: cells, who takes them above, whose they are below. In pixels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kvmviz.board import Cell, Span, Strip
from kvmviz.draw.canvas import Canvas, fitting, wide, wrapped
from kvmviz.style import INK, NOBODY, QUIET, RIGHT, WRONG

ROW = 16
"""Cells in a row before a struct goes on in the next."""

LOW = 0.72
"""How high the cell of a byte is that this step did not write, of one that it wrote."""


@dataclass(frozen=True)
class Look:
    """How large cells are, and their digits and labels; bits and offsets stand below, or not."""

    cell: float = 58
    height: float = 46
    digits: float = 24
    label: float = 16
    bits: bool = True
    offsets: bool = True

    @property
    def foot(self) -> float:
        """Height of the bits and offsets."""
        return (self.bits + self.offsets) * (self.label + 2)

    @property
    def high(self) -> float:
        """Height of a row with all that stands under its cells."""
        return self.height + self.foot + self.label + 12

    @property
    def above(self) -> float:
        """Height of what stands over the cells of a row that has hands."""
        return self.label + 12


def row(canvas: Canvas, strip: Strip, places: Mapping[int, float], y: float, look: Look) -> None:
    """Draw the bytes that have a place: the left edge of their cells; ``y`` is the upper edge."""
    for cell in strip.cells:
        if cell.offset in places:
            _cell(canvas, cell, places[cell.offset], y, look)
    low, size = y + look.height + look.foot + 4, look.label
    for span, left, right in _parts(strip.braces, places, look):
        canvas.brace(left, right, low, 5, QUIET)
        colour = WRONG if span.right is False else QUIET if span.quiet else INK
        name = fitting(span.names, right - left + 4, size)
        middle = (left + right) / 2
        canvas.text(
            middle, low + size + 4, name, size, ha="center", colour=colour, italic=span.quiet
        )
    hands = sorted(_parts(strip.hands, places, look), key=lambda part: part[1])
    for number, (span, left, right) in enumerate(hands):
        colour = RIGHT if span.right else WRONG
        canvas.brace(left, right, y - 3, -8, colour, 3)
        # A name may be wider than its hand, as far as there is room beside it.
        gaps = [other - right for _, other, _ in hands[number + 1 :]]
        gaps += [left - other for *_, other in hands[:number]]
        name = fitting(span.names, right - left + min([30, *gaps]), size - 1)
        canvas.text((left + right) / 2, y - 16, name, size - 1, ha="center", colour=colour)


def _parts(
    spans: Iterable[Span], places: Mapping[int, float], look: Look
) -> Iterator[tuple[Span, float, float]]:
    """Spans as far as their bytes have a place, with the edges of that part."""
    first, last = min(places), max(places)
    for span in spans:
        offsets = range(max(first, span.first), min(last, span.last) + 1)
        if held := [places[at] for at in offsets if at in places]:
            yield span, held[0] + 3, held[-1] + look.cell - 3


def _cell(canvas: Canvas, cell: Cell, x: float, y: float, look: Look) -> None:
    fresh, whole = cell.state == "fresh", len(cell.fills) == 1 and cell.fills[0][1:] == (7, 0)
    height = look.height * (LOW if cell.state in ("stale", "untouched") else 1)
    y += look.height - height
    edge, line, hatch = (INK, 1.8, None) if fresh else (QUIET, 1, None if whole else "////")
    width, middle, centre = look.cell - 2, x + look.cell / 2, y + height / 2
    ground = cell.fills[0].colour if whole else NOBODY
    canvas.box(x + 1, y, width, height, ground, edge=edge, line=line, hatch=hatch)
    for fill in () if whole else cell.fills:
        left, part = x + 1 + width * (7 - fill.top) / 8, width * (fill.top - fill.bottom + 1) / 8
        canvas.box(left, y, part, height, fill.colour, edge=QUIET)
    if cell.value:
        if sum(fill.top - fill.bottom + 1 for fill in cell.fills) < 8:
            room = min(0.62 * look.digits * len(cell.value) + 3, width - 5)
            canvas.clear(middle - room / 2, y + 3, room, height - 6)
        colour = INK if cell.fills else QUIET
        canvas.text(
            middle, centre, cell.value, look.digits, mono=True, ha="center", va="center",
            colour=colour, bold=fresh,
        )  # fmt: skip
    under = y + height
    for words, shown, quiet in (
        (cell.bits, look.bits, False),
        (f"+{cell.offset}", look.offsets, True),
    ):
        if shown:
            under += look.label + 2
            size = max(9, min(look.label, (look.cell - 6) / (0.6 * max(len(words), 1))))
            colour = QUIET if quiet else INK
            canvas.text(middle, under - 1, words, size, mono=True, ha="center", colour=colour)
    if cell.differs:
        low = under + look.label + 24
        canvas.text(middle, low, "≠", 17, bold=True, ha="center", colour=WRONG)


def rows(canvas: Canvas, strip: Strip, x: float, y: float, look: Look) -> float:
    """Draw all bytes, 16 in a row, from (x, y) down, and their legend; the y where they end."""
    hands = [at for span in strip.hands for at in (span.first, span.last)]
    for first in range(0, len(strip.cells), ROW):
        taken = any(first <= at < first + ROW for at in hands)
        y += look.above if taken else 0
        offsets = range(first, min(first + ROW, len(strip.cells)))
        row(canvas, strip, spread(offsets, x, look), y, look)
        y += look.high + 6
    return paragraph(canvas, x, y - 10, legend([strip], look), look.label, 22) + 8


def spread(offsets: Sequence[int], x: float, look: Look) -> dict[int, float]:
    """Neighbours side by side from x on: the left edge of each one's cell."""
    return {at: x + number * look.cell for number, at in enumerate(offsets)}


def legend(strips: Iterable[Strip], look: Look, width: float = 0) -> list[str]:
    """Lines with the full names of what is too narrow for its name."""
    told: dict[str, None] = {}
    hatched = ""
    for strip in strips:
        for span in strip.braces:
            full, room = span.names[0], (span.last - span.first + 1) * look.cell - 2
            if wide(full, look.label) > room:
                if span.quiet:
                    hatched = f"hatched: {full.rpartition(': ')[2]}" if ": " in full else hatched
                else:
                    # A letter and its name stay in one line.
                    told[full.replace(" ", "\xa0")] = None
    words = "  ·  ".join([*told, *filter(None, [hatched])])
    return wrapped(words, look.label, width or look.cell * ROW)


def paragraph(
    canvas: Canvas, x: float, y: float, lines: Iterable[str], size: float, leading: float, *,
    colour: str = INK, bold: bool = False, mono: bool = False,
) -> float:  # fmt: skip
    """Lines of words, the first of them ``leading`` below ``y``; where the last one stands."""
    for line in lines:
        y += leading
        canvas.text(x, y, line, size, colour=colour, bold=bold, mono=mono)
    return y

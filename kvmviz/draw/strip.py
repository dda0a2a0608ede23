"""Bytes as cells: the one drawing that every picture of memory is made of. Sizes in pixels."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from kvmviz.draw.canvas import Canvas
from kvmviz.image import pieces
from kvmviz.layout import Layout
from kvmviz.slot import Source
from kvmviz.style import INK, NOBODY, QUIET, Style, styles

ROW = 16
"""Cells in a row before a byte map goes on in the next."""

_SAID = (": no member", ": not written", ": left as it was")
"""How the full name of a piece ends that nobody wrote."""

LABEL = 16
"""Size of the words under the cells, where they have the room."""


@dataclass(frozen=True)
class Strip:
    """Bytes as cells, each ``cell`` wide: value, bits, offset, and below them the member.

    ``data`` None draws the layout alone, cells without values. ``names`` are the members that
    share out the letters, where those are not the layout's own.
    """

    layout: Layout
    data: Sequence[int] | None
    sources: Sequence[Source | None]
    cell: float = 58
    height: float = 46
    names: tuple[str, ...] = ()

    @property
    def below(self) -> float:
        """Height of a row: cells and all that stands under them."""
        return self.height + 74

    @property
    def total(self) -> float:
        """Height of all rows, with the names that did not fit below them."""
        return self.below * -(-len(self.sources) // ROW) + 22 * len(self._legend())

    def rows(self, canvas: Canvas, x: float, y: float) -> float:
        """Draw all bytes, 16 in a row, from (x, y) down; the y where they end."""
        for first in range(0, len(self.sources), ROW):
            self.row(canvas, x, y, first, min(first + ROW, len(self.sources)))
            y += self.below
        for line in self._legend():
            canvas.text(x, y + 14, line, LABEL)
            y += 22
        return y

    def row(self, canvas: Canvas, x: float, y: float, first: int, stop: int) -> None:
        """Draw bytes ``first`` up to ``stop``; (x, y) is the first one's upper left corner."""
        for at in range(first, stop):
            source, left = self.sources[at], x + (at - first) * self.cell
            self.ground(canvas, left + 1, y, source)
            middle = left + self.cell / 2
            if self.data is not None:
                self._value(canvas, middle, y + self.height / 2, self.data[at], source)
            under = y + self.height
            bits = bits_of(source)
            size = max(11, min(LABEL, (self.cell - 8) / (0.6 * len(bits))))
            canvas.text(middle, under + 17, bits, size, mono=True, ha="center")
            canvas.text(middle, under + 35, f"+{at}", LABEL, mono=True, ha="center", colour=QUIET)
        for begin, end in pieces(self.sources, self.layout, ROW):
            if begin < stop and end >= first:
                left = x + (max(begin, first) - first) * self.cell + 3
                right = x + (min(end + 1, stop) - first) * self.cell - 3
                self._brace(canvas, left, right, y + self.height + 42, begin)

    def ground(self, canvas: Canvas, left: float, y: float, source: Source | None) -> None:
        """The colours of a cell, each as wide as its bits, the most significant on the left."""
        width, hatch = self.cell - 2, None if source and source.mask == 0xFF else "////"
        fill = self.fill(source) if hatch is None else NOBODY
        canvas.box(left, y, width, self.height, fill, edge=QUIET, hatch=hatch)
        for share in source.shares if source and hatch else ():
            x, bits = left + width * (7 - share.top) / 8, share.top - share.bottom + 1
            canvas.box(x, y, width * bits / 8, self.height, self.fill(share), edge=QUIET)

    def block(self, canvas: Canvas, x: float, y: float, at: int, width: float) -> None:
        """The whole piece that starts at byte ``at`` as one cell, where its bytes tell nothing."""
        source, middle = self.sources[at], x + width / 2
        end = next(end for begin, end in pieces(self.sources, self.layout) if begin == at)
        hatch = None if source else "////"
        canvas.box(x + 1, y, width - 2, self.height, self.fill(source), edge=QUIET, hatch=hatch)
        words = f"{end + 1 - at} bytes" if source else "not written"
        if source is None:
            canvas.box(x + 9, y + 10, width - 18, self.height - 20, NOBODY, edge=NOBODY)
        canvas.text(middle, y + 29, words, LABEL, ha="center", colour=INK if source else QUIET)
        under, place = y + self.height, f"+{at}..+{end}"
        canvas.text(middle, under + 35, place, LABEL, mono=True, ha="center", colour=QUIET)
        self._brace(canvas, x + 3, x + width - 3, under + 42, at)

    def fill(self, source: Source | None) -> str:
        """The colour of a cell."""
        return self._style(source).colour if source else NOBODY

    def letter(self, source: Source) -> str:
        """The letter of a cell's member."""
        return self._style(source).letter

    def _style(self, source: Source) -> Style:
        return styles(self.names or self.layout.named)[source.slot.member]

    def _value(self, canvas: Canvas, x: float, y: float, value: int, source: Source | None) -> None:
        if source is None or source.is_part:
            # The number stays readable on hatching and on the borders of bit-fields.
            canvas.box(x - 17, y - 14, 34, 28, NOBODY, edge=NOBODY)
        colour = INK if source else QUIET
        canvas.text(x, y, f"{value:02x}", 24, mono=True, ha="center", va="center", colour=colour)

    def _brace(self, canvas: Canvas, left: float, right: float, y: float, at: int) -> None:
        canvas.line([left, left, right, right], [y, y + 5, y + 5, y], QUIET)
        name = next(n for n in self._names(at) if width_of(n, LABEL) <= right - left + 6)
        written = self.sources[at] is not None
        canvas.text((left + right) / 2, y + 22, name, LABEL, ha="center", italic=not written)

    def _names(self, at: int) -> tuple[str, ...]:
        """What to call a piece, the fullest name first, the last of them always fits."""
        source = self.sources[at]
        if source and source.beside:
            letters = [self.letter(share) for share in source.shares]
            return " ".join(letters), "".join(letters)[:5], ""
        if source:
            letter = self._style(source).letter
            return f"{letter} {source.slot.path}", letter
        slot = self.layout.slot_at(at)
        if slot.is_padding:
            kind = slot.path.split(" after")[0]
            return f"{kind}: {self._nobody}", kind, "hole", ""
        letter = styles(self.names or self.layout.named)[slot.member].letter
        return f"{letter} {slot.path}: left as it was", f"{letter} {slot.path}", letter

    @property
    def _nobody(self) -> str:
        """What hatching means: without values, no member; with them, nobody wrote."""
        return "no member" if self.data is None else "not written"

    def _fits(self, begin: int, end: int) -> bool:
        """Whether the full name of a piece has room below it."""
        return width_of(self._names(begin)[0], LABEL) <= (end + 1 - begin) * self.cell

    def _legend(self) -> list[str]:
        """Lines with the names of members too narrow for their name."""
        short = [
            f"{self.letter(share)} {share.slot.path}"
            for begin, end in pieces(self.sources, self.layout, ROW)
            if (source := self.sources[begin])
            and (
                source.beside
                or width_of(self._names(begin)[0], LABEL) > (end + 1 - begin) * self.cell
            )
            for share in source.shares
        ]
        silent = any(
            self.sources[begin] is None
            and not (self._fits(begin, end) and self._names(begin)[0].endswith(_SAID))
            for begin, end in pieces(self.sources, self.layout, ROW)
        )
        words = [*dict.fromkeys(short), *([f"hatched: {self._nobody}"] if silent else [])]
        return textwrap.wrap("  ·  ".join(words), 84)


def bits_of(source: Source | None) -> str:
    """The bits that a cell holds, as the text below it says: ``31:24``, ``[2]``, a dash."""
    if source is None:
        return "–"
    if source.beside:
        shares = "|".join(share.bits for share in source.shares)
        return shares if len(shares) < 9 else f"{len(source.shares)} parts"
    whole = (
        source.element is not None
        and source.high == 7
        and source.slot.size == math.prod(source.slot.shape)
    )
    return f"[{source.element}]" if whole else f"{source.high}:{source.low}"


def width_of(words: str, size: float) -> float:
    """About how wide words are: enough to keep them apart."""
    return 0.6 * size * len(words)

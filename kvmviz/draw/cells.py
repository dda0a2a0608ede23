"""Bytes as cells: those of a struct, and those of the page after a step. Sizes in pixels.

A cell of a struct says who holds the byte. One of the page says also when it was written: a fresh
byte is tall, bold and framed; a stale one low and thin, and its label names the step that it is
from; one that nobody wrote is hatched.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from operator import itemgetter
from typing import Literal

from kvmviz.draw.canvas import Canvas, fitting, wide, wrapped
from kvmviz.image import pieces
from kvmviz.kvm.conclusion import Conclusion, Fooled
from kvmviz.kvm.page import State, Step
from kvmviz.kvm.words import reason_name
from kvmviz.layout import Layout
from kvmviz.slot import Source, bits_of
from kvmviz.style import INK, NOBODY, ON_THE_PAGE, QUIET, USERSPACE, WRONG, Style, styles
from kvmviz.text import runs

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
        """What to call a piece, the fullest name first, the last of them always fits."""
        source = self.sources[at]
        if source and source.beside:
            letters = [self.letter(share) for share in source.shares]
            return " ".join(letters), "".join(letters)[:5], ""
        if source:
            return f"{self.letter(source)} {source.slot.path}", self.letter(source)
        slot = self.layout.slot_at(at)
        if slot.is_padding:
            kind = slot.path.split(" after")[0]
            return f"{kind}: {self._hatched}", kind, "hole", ""
        letter = self.styles[slot.member].letter
        return f"{letter} {slot.path}: left as it was", f"{letter} {slot.path}", letter

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


WIDTH, EDGE = 1074, 20
"""Of the sheet that shows a page over time, and its margin."""

LINE = 32
"""Bytes in a line of cells: the head of the page, or the first ones of the exit union."""

TALL, LOW = 29, 21
"""Height of the cell of a fresh byte, and of one that this step did not write."""

SMALL = 13
"""Size of the words under the cells of a page."""

HEAD = (
    ("immediate_exit", 1, 1, 20.0, 66),
    ("exit_reason", 8, 4, 86.0, 104),
    ("flags", 14, 2, 190.0, 58),
)
"""Members of the head that are called out: name, offset, size; left edge and width on the sheet."""


@lru_cache(maxsize=1024)
def style(name: str) -> Style:
    """Colour and letter of a member; those that no exit here writes have letters of their own."""
    return styles(dict.fromkeys((*ON_THE_PAGE, name)))[name]


def called(source: Source) -> str:
    """The member's own name; ``userspace`` where it wrote into the exit union."""
    if source.write and source.write.by == "userspace" and source.slot.path == "padding":
        return USERSPACE
    return source.slot.path.rpartition(".")[2]


def legible(step: Step) -> bool:
    """The called-out members say all of the page's head: no other byte of it was written."""
    written = {at for at in range(LINE) if step.page.sources[at]}
    shown = {at for _, start, size, *_ in HEAD for at in range(start, start + size)}
    whole = all(
        len({source and source.write for source in step.page.sources[start : start + size]}) == 1
        for _, start, size, *_ in HEAD
    )
    return written <= shown and whole


def cell_of(full: bool) -> float:
    """Width of a cell, where the head of the page is drawn in full or called out."""
    *_, x, width = HEAD[-1]
    left = EDGE if full else x + width + 4
    return (WIDTH - EDGE - left) // LINE


def left_of(at: int, full: bool) -> float:
    """The left edge of a byte's cell."""
    return WIDTH - EDGE - cell_of(full) * (LINE - at % LINE)


def starts(full: bool) -> tuple[int, ...]:
    """The offset at which each line of cells starts."""
    return (0, LINE) if full else (LINE,)


@dataclass(frozen=True)
class Lane:
    """The page after a step, as one program sees it.

    ``full`` draws all of the first 64 bytes as cells, 32 to a line; else the members of the head
    that matter are called out, before bytes 32 to 63. ``differing`` are offsets to be marked.
    """

    seen: Conclusion
    full: bool
    differing: tuple[int, ...] = ()

    def draw(self, canvas: Canvas, y: float) -> float:
        """Draw from ``y`` down; the y where it ends."""
        for start in starts(self.full):
            # Called-out members stand in the line, too.
            held = range(start if self.full else 0, start + LINE)
            y += 24 if any(row.offset in held for row in self.seen.fooled) else 4
            if not self.full:
                self._head(canvas, y)
            self._line(canvas, y, start)
            y += TALL + 24 + (16 if any(at in held for at in self.differing) else 0)
        return y

    def _head(self, canvas: Canvas, y: float) -> None:
        step = self.seen.step
        for name, start, size, x, width in HEAD:
            state, source = step.state(start), step.page.sources[start]
            value = step.page.data[start : start + size]
            number = int.from_bytes(value, step.page.layout.abi.byte_order)
            words = f"{number:#x}" if name == "flags" else f"{number}"
            _cell(canvas, x, y, width - 6, state, style(name).colour, words)
            if state == "fresh":
                _frame(canvas, x, y, x + width - 6)
            names = fitting(_head_names(name, number, state, source), width, SMALL)
            _name(canvas, x + width / 2 - 3, y + TALL + 17, names, state)
            if rows := [row for row in self.seen.fooled if start <= row.offset < start + size]:
                _hand(canvas, x + 1, x + width - 7, y, rows)
            if any(start <= at < start + size for at in self.differing):
                _unequal(canvas, x + width / 2 - 3, y)

    def _line(self, canvas: Canvas, y: float, start: int) -> None:
        step, stop, cell = self.seen.step, start + LINE, cell_of(self.full)
        for at in range(start, stop):
            source, left = step.page.sources[at], left_of(at, self.full)
            fill = style(called(source)).colour if source else NOBODY
            _cell(canvas, left, y, cell, step.state(at), fill, f"{step.page.data[at]:02x}")
            if at in self.differing:
                _unequal(canvas, left + cell / 2, y)
        for first, last in _pieces(step, start, stop):
            left, right = left_of(first, self.full), left_of(last, self.full) + cell
            state = step.state(first)
            if state == "fresh":
                _frame(canvas, left, y, right)
            canvas.brace(left + 2, right - 2, y + TALL + 3, 3, QUIET)
            name = fitting(_piece_names(step, first, last), right - left, SMALL)
            _name(canvas, (left + right) / 2, y + TALL + 19, name, state)
        # A byte has one mark; neighbours taken for the same share it.
        fooled = {row.offset: row for row in reversed(self.seen.fooled)}
        marked = filter(fooled.__contains__, range(start, stop))
        for first, last in runs(marked, lambda at: (fooled[at].taken_for, fooled[at].stale)):
            left, right = left_of(first, self.full), left_of(last, self.full) + cell
            rows = [fooled[at] for at in range(first, last + 1)]
            _hand(canvas, left + 3, right - 3, y, rows)


def _pieces(step: Step, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """First and last offset of neighbours that hold one value, put there by one write."""
    sources = step.page.sources

    def key(at: int) -> object:
        source = sources[at]
        if source is None:
            return None
        whole = source.slot.width == 8 or called(source) == USERSPACE
        return source.slot, source.write, None if whole else source.element

    return runs(range(start, stop), key)


def _name(canvas: Canvas, x: float, y: float, words: str, state: State) -> None:
    colour = INK if state == "fresh" else QUIET
    canvas.text(x, y, words, SMALL, ha="center", colour=colour, italic=state == "untouched")


def _cell(
    canvas: Canvas, x: float, y: float, width: float, state: State, fill: str, words: str
) -> None:
    """A cell whose foot stands at the same height, fresh or not."""
    fresh, hatch = state == "fresh", "////" if state == "untouched" else None
    high: float = TALL if fresh else LOW
    top = y + TALL - high
    canvas.box(x, top, width, high, NOBODY if hatch else fill, edge=QUIET, line=0.5, hatch=hatch)
    if hatch:
        half = 4.6 * len(words)
        canvas.clear(x + width / 2 - half, top + 3, 2 * half, high - 6)
    size = (16 if fresh else 15) - 3 * (len(words) > 5)
    canvas.text(
        x + width / 2, top + high / 2, words, size, mono=True, ha="center", va="center",
        bold=fresh, colour=QUIET if hatch else INK,
    )  # fmt: skip


def _frame(canvas: Canvas, left: float, y: float, right: float) -> None:
    """The frame around bytes that one write of this step put there."""
    left, right, low = left + 1, right - 1, y + TALL
    canvas.line([left, right, right, left, left], [y, y, low, low, y], INK, 1.8)


def _hand(canvas: Canvas, left: float, right: float, y: float, rows: Sequence[Fooled]) -> None:
    """The mark over bytes that a program took for what they are not."""
    canvas.brace(left, right, y - 2, -5, WRONG, 3)
    taken, why = rows[0].taken_for, _why(rows)
    full = [f"✗ taken for {taken} ({why})", f"✗ {taken} ({why})"] if why else []
    names = (*full, f"✗ taken for {taken}", f"✗ {taken}", *([f"✗ {why}"] if why else []), "✗")
    name = fitting(names, right - left + 4, SMALL)
    canvas.text((left + right) / 2, y - 12, name, SMALL, ha="center", colour=WRONG)


def _why(rows: Sequence[Fooled]) -> str:
    """What is wrong with bytes that this step did not write; nothing if it wrote some of them."""
    if not all(row.stale for row in rows):
        return ""
    written = {row.source is not None for row in rows}
    return "not fresh" if len(written) > 1 else "stale" if True in written else "never written"


def _unequal(canvas: Canvas, x: float, y: float) -> None:
    canvas.text(x, y + TALL + 36, "≠", 17, bold=True, ha="center", colour=WRONG)


def _reason(number: int) -> str:
    """An exit reason's short name."""
    name = reason_name(number)
    return name.removeprefix("KVM_EXIT_") if name.startswith("KVM_EXIT_") else "not named here"


def _head_names(name: str, number: int, state: State, source: Source | None) -> tuple[str, ...]:
    """What to say under a called-out member, the fullest words first."""
    if state == "untouched":
        return "never written", "never"
    since = f"step {source.write.step}" if state == "stale" and source and source.write else ""
    known = {"exit_reason": _reason(number), "flags": "set" if number else "clear"}.get(name)
    if known is None:
        return (since or "this step",)
    return f"{known}, {since}" if since else known, since, known


def _piece_names(step: Step, first: int, last: int) -> tuple[str, ...]:
    """What to call neighbours of one write under their cells, the fullest name first."""
    source, end = step.page.sources[first], step.page.sources[last]
    if source is None or end is None:
        return "never written", "never"
    name, letter = called(source), style(called(source)).letter
    held = step.page.data[first : last + 1]
    named = name in ("exit_reason", "flags")
    if named and len(held) == source.slot.size:
        number = int.from_bytes(held, step.page.layout.abi.byte_order)
        bits = f" {number:#x}" if name == "flags" else f" {number} {_reason(number)}"
    elif name == USERSPACE:
        bits = ""
    elif source.slot.width == 8:
        several = first != last and source.slot.shape
        bits = f"[{source.element}..{end.element}]" if several else ""
    else:
        name += f"[{source.element}]" if source.slot.shape else ""
        down = source.high > end.high
        ends = f"{source.high}→{end.low}" if down else f"{source.low}→{end.high}"
        bits = f" {source.bits}" if first == last else f" {ends}"
    names = (f"{letter} {name}{bits}", f"{letter} {name}", f"{letter}{bits}", letter)
    if step.state(first) != "fresh":
        since = f"step {source.write.step}" if source.write else ""
        return (*(f"{words}, {since}" for words in names), letter)
    if named:
        return names[0], names[2], f"{letter} {bits.rpartition(' ')[2]}", letter
    return names

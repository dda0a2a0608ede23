"""One page at one step, as a lane of cells: fresh, stale and untouched bytes told apart.

A fresh byte is tall, bold and framed; a stale one low and thin, and its label names the step that
it is from; an untouched one is hatched. Sizes are in pixels.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

from kvmviz.draw.canvas import SANS, Canvas
from kvmviz.draw.scene import SHOWN
from kvmviz.draw.svg import Font, natural_width
from kvmviz.kvm.page import State, Step
from kvmviz.kvm.program import Conclusion, Fooled
from kvmviz.kvm.words import reason_name
from kvmviz.slot import Source
from kvmviz.style import INK, NOBODY, QUIET, USERSPACE, WRONG, Style, styles

WIDTH, EDGE = 1074, 20
LINE = 32
"""Bytes in a line of cells: the head of the page, or the first ones of the exit union."""

TALL, LOW = 29, 21
"""Height of the cell of a fresh byte, and of one that this step did not write."""

LABEL = 13
"""Size of the words under the cells."""

HEAD = (("immediate_exit", 1, 1, 66), ("exit_reason", 8, 4, 104), ("flags", 14, 2, 58))
"""Members of the head that are called out: name, offset, size, and width on the sheet."""

_NAMES = (
    "hsr", "hsr_high", "far", "phys_addr", "data", "len", "is_write", "type", "ndata", "nr", "args",
    "esr_iss", "fault_ipa", "exit_reason", "flags", "immediate_exit", USERSPACE,
)  # fmt: skip


@lru_cache
def style(name: str) -> Style:
    """Colour and letter of a member; those that no exit here writes have letters of their own."""
    return styles(dict.fromkeys((*_NAMES, name)))[name]


def wide(words: str, size: float, bold: bool = False) -> float:
    """How wide words are."""
    return natural_width(words, Font(SANS, "bold" if bold else "normal", "normal")) * size


def fitting(names: Iterable[str], width: float, size: float = LABEL) -> str:
    """The first of some names that fits, none if none does."""
    return next((name for name in names if wide(name, size) <= width), "")


def called(source: Source) -> str:
    """The member's own name; ``userspace`` where it wrote into the exit union."""
    if source.write and source.write.by == "userspace" and source.slot.path == "padding":
        return USERSPACE
    return source.slot.path.rpartition(".")[2]


def wrapped(
    words: str, size: float, width: float = WIDTH - 2 * EDGE, bold: bool = False
) -> list[str]:
    """Words in lines that are no wider than a width; a word that is wider is cut."""
    count = max(10, int(width / size * 2.5))
    lines = textwrap.wrap(words, count)
    while count > 10 and any(wide(line, size, bold) > width for line in lines):
        count -= 2
        lines = textwrap.wrap(words, count)
    return lines


def pieces(step: Step, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """First and last offset of neighbours that hold one value, put there by one write."""
    sources = step.page.sources

    def key(at: int) -> object:
        source = sources[at]
        if source is None:
            return None
        whole = source.slot.width == 8 or called(source) == USERSPACE
        return source.slot, source.write, None if whole else source.element

    for _, group in groupby(range(start, stop), key):
        found = list(group)
        yield found[0], found[-1]


def legible(step: Step) -> bool:
    """The called-out members say all of the page's head: no other byte of it was written."""
    written = {at for at in range(LINE) if step.page.sources[at]}
    shown = {at for _, start, size, _ in HEAD for at in range(start, start + size)}
    whole = all(
        len({source and source.write for source in step.page.sources[start : start + size]}) == 1
        for _, start, size, _ in HEAD
    )
    return written <= shown and whole


@dataclass(frozen=True)
class Lane:
    """The page after a step, as one program sees it.

    ``full`` draws all of the first 64 bytes as cells, 32 to a line; else the members of the head
    that matter are called out, before bytes 32 to 63. ``differing`` are offsets to be marked.
    """

    seen: Conclusion
    full: bool
    differing: tuple[int, ...] = ()

    @property
    def starts(self) -> tuple[int, ...]:
        """The offset at which each line starts."""
        return tuple(range(0, SHOWN, LINE)) if self.full else (LINE,)

    @property
    def cell(self) -> float:
        """Width of a cell."""
        return cell_of(self.full)

    def height(self) -> float:
        """Height of all lines."""
        return sum(self._above(start) + TALL + 24 + self._below(start) for start in self.starts)

    def draw(self, canvas: Canvas, y: float) -> float:
        """Draw from ``y`` down; the y where it ends."""
        for start in self.starts:
            y += self._above(start)
            if not self.full:
                self._head(canvas, y)
            self._line(canvas, y, start)
            y += TALL + 24 + self._below(start)
        return y

    def _near(self, offsets: Iterable[int], start: int) -> list[int]:
        """Those of some offsets that a line shows, called-out members included."""
        return [at for at in offsets if (start if self.full else 0) <= at < start + LINE]

    def _above(self, start: int) -> float:
        return 24 if self._near((row.offset for row in self.seen.fooled), start) else 4

    def _below(self, start: int) -> float:
        return 16 if self._near(self.differing, start) else 0

    def _head(self, canvas: Canvas, y: float) -> None:
        step = self.seen.step
        for name, start, size, x, width in called_out():
            state, source = step.state(start), step.page.sources[start]
            value = step.page.data[start : start + size]
            number = int.from_bytes(value, step.page.layout.abi.byte_order)
            words = f"{number:#x}" if name == "flags" else f"{number}"
            _cell(canvas, x, y, width - 6, state, style(name).colour, words)
            if state == "fresh":
                _frame(canvas, x, y, x + width - 6)
            names = _head_names(name, number, state, source)
            canvas.text(
                x + width / 2 - 3, y + TALL + 17, fitting(names, width), LABEL, ha="center",
                colour=INK if state == "fresh" else QUIET, italic=state == "untouched",
            )  # fmt: skip
            fooled = [row for row in self.seen.fooled if start <= row.offset < start + size]
            if fooled:
                _hand(canvas, x + 1, x + width - 7, y, fooled)
            if any(start <= at < start + size for at in self.differing):
                _unequal(canvas, x + width / 2 - 3, y)

    def _line(self, canvas: Canvas, y: float, start: int) -> None:
        step, stop = self.seen.step, start + LINE
        for at in range(start, stop):
            source = step.page.sources[at]
            fill = style(called(source)).colour if source else NOBODY
            words = f"{step.page.data[at]:02x}"
            _cell(canvas, self.x(at), y, self.cell, step.state(at), fill, words)
            if at in self.differing:
                _unequal(canvas, self.x(at) + self.cell / 2, y)
        for first, last in pieces(step, start, stop):
            left, right = self.x(first), self.x(last) + self.cell
            if step.state(first) == "fresh":
                _frame(canvas, left, y, right)
            under = y + TALL + 3
            canvas.line(
                [left + 2, left + 2, right - 2, right - 2],
                [under, under + 3, under + 3, under],
                QUIET,
            )
            names, state = piece_names(step, first, last), step.state(first)
            canvas.text(
                (left + right) / 2, under + 16, fitting(names, right - left), LABEL, ha="center",
                colour=INK if state == "fresh" else QUIET, italic=state == "untouched",
            )  # fmt: skip
        for rows in hands(self.seen.fooled, start, stop):
            left, right = self.x(rows[0].offset), self.x(rows[-1].offset) + self.cell
            _hand(canvas, left + 3, right - 3, y, rows)

    def x(self, at: int) -> float:
        """The left edge of a byte's cell."""
        return left_of(at, self.full)


def cell_of(full: bool) -> float:
    """Width of a cell."""
    room = WIDTH - 2 * EDGE if full else WIDTH - 2 * EDGE - sum(row[3] for row in HEAD) - 4
    return room // LINE


def left_of(at: int, full: bool) -> float:
    """The left edge of a byte's cell."""
    return WIDTH - EDGE - cell_of(full) * (LINE - at % LINE)


def called_out() -> Iterator[tuple[str, int, int, float, float]]:
    """Members of the head: name, offset, size, left edge, width."""
    x = float(EDGE)
    for name, start, size, width in HEAD:
        yield name, start, size, x, width
        x += width


def _cell(
    canvas: Canvas, x: float, y: float, width: float, state: State, fill: str, words: str
) -> None:
    """A cell whose foot stands at the same height, fresh or not."""
    if state == "fresh":
        canvas.box(x, y, width, TALL, fill, edge=QUIET, line=0.5)
        top, high = y, TALL
    else:
        top, high = y + TALL - LOW, LOW
        hatch = "////" if state == "untouched" else None
        canvas.box(x, top, width, high, NOBODY if hatch else fill, edge=QUIET, line=0.5,
                   hatch=hatch)  # fmt: skip
    if state == "untouched":
        # The number stays readable on the hatching.
        half = 4.6 * len(words)
        canvas.box(x + width / 2 - half, top + 3, 2 * half, high - 6, NOBODY, edge=NOBODY)
    size = 16 if state == "fresh" else 15
    size -= 3 * (len(words) > 5)
    canvas.text(
        x + width / 2, top + high / 2, words, size, mono=True,
        ha="center", va="center", bold=state == "fresh",
        colour=QUIET if state == "untouched" else INK,
    )  # fmt: skip


def _frame(canvas: Canvas, left: float, y: float, right: float) -> None:
    """The frame around bytes that one write of this step put there."""
    left, right, low = left + 1, right - 1, y + TALL
    canvas.line([left, right, right, left, left], [y, y, low, low, y], INK, 1.8)


def _hand(canvas: Canvas, left: float, right: float, y: float, rows: Sequence[Fooled]) -> None:
    """The mark over bytes that a program took for what they are not."""
    canvas.line([left, left, right, right], [y - 2, y - 7, y - 7, y - 2], WRONG, 3)
    taken, why = rows[0].taken_for, _why(rows)
    full = [f"✗ taken for {taken} ({why})", f"✗ {taken} ({why})"] if why else []
    names = (*full, f"✗ taken for {taken}", f"✗ {taken}", *([f"✗ {why}"] if why else []), "✗")
    canvas.text(
        (left + right) / 2, y - 12, fitting(names, right - left + 4), LABEL, ha="center",
        colour=WRONG,
    )  # fmt: skip


def _why(rows: Sequence[Fooled]) -> str:
    """What is wrong with bytes that this step did not write; nothing if it wrote some of them."""
    if not all(row.stale for row in rows):
        return ""
    written = {row.source is not None for row in rows}
    return "not fresh" if len(written) > 1 else "stale" if True in written else "never written"


def _unequal(canvas: Canvas, x: float, y: float) -> None:
    canvas.text(x, y + TALL + 36, "≠", 17, bold=True, ha="center", colour=WRONG)


def hands(fooled: Sequence[Fooled], start: int, stop: int) -> Iterator[list[Fooled]]:
    """Neighbours taken for the same, of the bytes ``start`` up to ``stop``; one mark a byte."""
    first: dict[int, Fooled] = {}
    for row in fooled:
        if start <= row.offset < stop:
            first.setdefault(row.offset, row)
    rows: list[Fooled] = []
    for row in first.values():
        if rows and (row.taken_for, row.stale, row.offset) != (
            rows[-1].taken_for, rows[-1].stale, rows[-1].offset + 1,
        ):  # fmt: skip
            yield rows
            rows = []
        rows.append(row)
    if rows:
        yield rows


def _reason(number: int) -> str:
    """An exit reason's short name."""
    name = reason_name(number)
    return name.removeprefix("KVM_EXIT_") if name.startswith("KVM_EXIT_") else "not named here"


def _head_names(name: str, number: int, state: State, source: Source | None) -> tuple[str, ...]:
    since = f", step {source.write.step}" if state == "stale" and source and source.write else ""
    if state == "untouched":
        return "never written", "never"
    if name == "exit_reason":
        known = _reason(number)
        return f"{known}{since}", since.removeprefix(", "), known
    if name == "flags":
        known = "set" if number else "clear"
        return f"{known}{since}", since.removeprefix(", ")
    return (f"this step{since}" if not since else since.removeprefix(", "),)


def piece_names(step: Step, first: int, last: int) -> tuple[str, ...]:
    """What to call neighbours of one write under their cells, the fullest name first."""
    source, end = step.page.sources[first], step.page.sources[last]
    if source is None or end is None:
        return "never written", "never"
    name, state = called(source), step.state(first)
    letter = style(name).letter
    bits = f" {source.high}→{end.low}" if source.high > end.high else f" {source.low}→{end.high}"
    if first == last:
        bits = f" {source.bits}"
    if name == USERSPACE:
        bits = ""
    elif source.slot.width == 8:
        bits = f"[{source.element}..{end.element}]" if first != last else ""
        bits = bits if source.slot.shape else ""
    elif source.slot.shape:
        name = f"{name}[{source.element}]"
    if name in ("exit_reason", "flags") and last - first + 1 == source.slot.size:
        held = int.from_bytes(step.page.data[first : last + 1], step.page.layout.abi.byte_order)
        known = _reason(held)
        bits = f" {held:#x}" if name == "flags" else f" {held} {known}"
    if state == "fresh":
        if called(source) in ("exit_reason", "flags"):
            short = bits.rpartition(" ")[2]
            return f"{letter} {name}{bits}", f"{letter}{bits}", f"{letter} {short}", letter
        return f"{letter} {name}{bits}", f"{letter} {name}", f"{letter}{bits}", letter
    since = f"step {source.write.step}" if source.write else ""
    ends = (f"{letter} {name}{bits}", f"{letter} {name}", f"{letter}{bits}", letter)
    return (*(f"{words}, {since}" for words in ends), letter)

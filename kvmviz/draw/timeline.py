"""The page over time as a picture: one row a step, time downward. Sizes are in pixels.

A fresh byte is tall, bold and framed; a stale one low and thin, and its label names the step that
it is from; one that nobody wrote is hatched.
"""

from __future__ import annotations

from collections.abc import Sequence

from kvmviz.abi import Abi
from kvmviz.draw.canvas import Canvas, Picture, fitting, wide, wrapped
from kvmviz.draw.cells import paragraph
from kvmviz.kvm.conclusion import Conclusion
from kvmviz.kvm.kernel import Kernel
from kvmviz.kvm.lane import HEAD, UNION, called, marks, names, pieces, style
from kvmviz.kvm.page import SHOWN, State
from kvmviz.kvm.program import Vmm
from kvmviz.kvm.scenario import Scenario
from kvmviz.kvm.scene import Scene, difference, find, scene
from kvmviz.style import INK, NOBODY, QUIET, RIGHT, WRONG

WIDTH, EDGE = 1074, 20
"""Of the sheet, and its margin."""

TALL, LOW = 29, 21
"""Height of the cell of a fresh byte, and of one that this step did not write."""

SMALL = 13
"""Size of the words under the cells."""

LINES = {
    False: ((*HEAD, *range(UNION.start, SHOWN)),),
    True: (tuple(range(UNION.start)), tuple(range(UNION.start, SHOWN))),
}
"""The offsets in each line of cells: without those of the head that tell nothing, or in full."""

NOW = "#eef2fa"
"""The ground of the last row: where time stands."""


def timeline(
    scenario: str | Scenario = "stale_flag",
    kernel: str | Kernel = "v2",
    abi: str | Abi = "aarch64_be",
    reader: str | Vmm = "exit_reason forgotten",
    beside: str | Kernel | None = None,
    step: int | None = None,
    limit: int = 6,
    full: bool = False,
) -> Picture:
    """The steps of a scenario up to ``step`` (by default the last), at most ``limit`` of them.

    ``beside`` shows the same events on a second kernel, differing bytes marked. ``full`` draws all
    of the first 64 bytes; else of the head only exit_reason, flags and what lies between, unless
    another byte of it was written. Raises :class:`kvmviz.KvmvizError` for unknown names, and for a
    step that there is not.
    """
    return draw(scene(find(scenario), kernel, abi, reader, beside, step, limit), full)


def draw(shown: Scene, full: bool = False) -> Picture:
    """A scene as a picture."""
    hidden = {*range(SHOWN)} - {*LINES[False][0]}
    full |= any(s.step.page.sources[at] for row in shown.rows for s in row for at in hidden)
    canvas = Canvas(WIDTH, 0)
    heading = _lines(shown.scenario.title, 23, bold=True)
    y = paragraph(canvas, EDGE, 3, heading, 23, 27, bold=True)
    if wide(shown.subtitle, 15) > WIDTH - 2 * EDGE - wide(heading[-1], 23, True) - 30:
        y += 20
        canvas.text(EDGE, y, shown.subtitle, 15)
    else:
        canvas.text(WIDTH - EDGE, y, shown.subtitle, 15, ha="right")
    notes = [line for note in shown.notes for line in _lines(note, 15)]
    y = paragraph(canvas, EDGE, y + 2, notes, 15, 20, colour=QUIET) + 3
    _key(canvas, y)
    y += 76
    _axis(canvas, y, full)
    for at in range(len(shown.rows)):
        y = _row(canvas, y, shown, at, full)
    if not shown.rows:
        canvas.text(EDGE, y + 18, "before any step: every byte is 0, nobody has written any", 15)
        y += 20
    if shown.left_out:
        canvas.text(EDGE, y + 18, shown.left_out, 15, italic=True, colour=QUIET)
        y += 20
    y = paragraph(canvas, EDGE, y - 3, _legend(shown, full), 15, 21)
    canvas.height = y + 11
    return canvas.picture(repr(shown))


def _lines(words: str, size: float, bold: bool = False) -> list[str]:
    """Words in lines as wide as the sheet."""
    return wrapped(words, size, WIDTH - 2 * EDGE, bold=bold)


def _legend(shown: Scene, full: bool) -> list[str]:
    """The letters of all members that the cells hold."""
    found = {
        called(source): None
        for row in shown.rows
        for seen in row
        for line in LINES[full]
        for source in map(seen.step.page.sources.__getitem__, line)
        if source
    }
    words = "  ·  ".join(f"{style(name).letter} {name}" for name in found)
    order = shown.pages[0].page.layout.abi.byte_order
    bits = "0→31" if order == "little" else "31→0"
    return _lines(f"{words}  ·  {bits}: bits in order of offset", 15) if found else []


def _key(canvas: Canvas, y: float) -> None:
    """What fresh, stale and untouched bytes look like."""
    x = float(EDGE)
    colour = style("hsr").colour
    for words, height, fill in (
        ("fresh: written by this step", 22, colour),
        ("stale: by the step named below it", 15, colour),
        ("never written since the page was zeroed", 15, NOBODY),
    ):
        fresh, hatch = height > 20, None if fill == colour else "////"
        canvas.box(
            x, y + 24 - height, 20, height, fill, edge=INK if fresh else QUIET,
            line=1.6 if fresh else 0.5, hatch=hatch,
        )  # fmt: skip
        canvas.text(x + 27, y + 19, words, 15, bold=fresh)
        x += 27 + wide(words, 15, fresh) + 30


def _cell_of(full: bool) -> float:
    """Width of a cell."""
    return (WIDTH - 2 * EDGE) // max(map(len, LINES[full]))


def _left_of(at: int, full: bool) -> float:
    """The left edge of a byte's cell; the exit union ends at the right margin."""
    if at < UNION.start and not full:
        return EDGE + _cell_of(full) * (at - HEAD.start)
    return WIDTH - EDGE - _cell_of(full) * (UNION.start - at % UNION.start)


def _axis(canvas: Canvas, y: float, full: bool) -> None:
    """Offsets over the columns; ``y`` is where the rows begin."""
    for number, line in enumerate(reversed(LINES[full])):
        for at in line:
            middle = _left_of(at, full) + _cell_of(full) / 2
            words, size = (f"+{at}", 12) if full else (f"{at}", 14)
            canvas.text(
                middle, y - 5 - 16 * number, words, size, mono=True, ha="center", colour=QUIET
            )
    canvas.text(EDGE, y - 37 if full else y - 21, "byte offset in struct kvm_run", 13)
    if not full:
        canvas.text(_left_of(UNION.start, full), y - 21, "exit union", 13)


def _row(canvas: Canvas, y: float, shown: Scene, at: int, full: bool) -> float:
    """One step from ``y`` down: what happened, and a lane for each page; where it ends."""
    top, under = y, len(canvas.marks)
    pages, differing = shown.rows[at], shown.differing[at]
    several, step = len(pages) > 1, pages[0].step
    canvas.line([EDGE, WIDTH - EDGE], [y + 1, y + 1], QUIET, 0.6)
    small = filter(None, (step.completion, *{seen.step.beyond: 0 for seen in pages}))
    titles = _lines(step.title, 15)
    lines = [*((words, 15) for words in titles), *((w, 14) for w in _lines(" · ".join(small), 14))]
    # A single conclusion stands at the right of the first line with room, else below them.
    room = WIDTH - 2 * EDGE - wide(pages[0].headline, 16, True) - 24
    ends = [] if several else range(len(titles) - 1, len(lines))
    beside = next((number for number in ends if wide(*lines[number]) <= room), None)
    for number, (words, size) in enumerate(lines):
        y += size + 4
        canvas.text(EDGE, y, words, size, colour=INK if size == 15 else QUIET)
        if number == beside:
            _conclusion(canvas, pages[0], y)
    y += 4
    for number, seen in enumerate(pages):
        if several:
            other = f"   {difference(differing)}" if number else ""
            canvas.text(EDGE, y + 16, f"{seen.step.kernel.name} kernel{other}", 15)
        if several or (beside is None and seen.headline):
            _conclusion(canvas, seen, y + 16)
            y += 20
        y = _lane(canvas, seen, full, () if number else differing, y)
    y += 5
    if at and at == len(shown.rows) - 1:
        canvas.box(6, top + 2, WIDTH - 12, y - top - 2, NOW, edge=NOW)
        canvas.marks.insert(under, canvas.marks.pop())  # below all that stands on it
    return y


def _conclusion(canvas: Canvas, seen: Conclusion, y: float) -> None:
    colour = RIGHT if seen.right else WRONG
    canvas.text(WIDTH - EDGE, y, seen.headline, 16, bold=True, ha="right", colour=colour)


def _lane(
    canvas: Canvas, seen: Conclusion, full: bool, differing: Sequence[int], y: float
) -> float:
    """The page after a step, as one program sees it, from ``y`` down; the y where it ends."""
    step, cell = seen.step, _cell_of(full)
    for line in LINES[full]:
        taken = [*marks(seen, line)]
        y += 24 if taken else 4
        for at in line:
            source, left = step.page.sources[at], _left_of(at, full)
            fill = style(called(source)).colour if source else NOBODY
            _cell(canvas, left, y, cell, step.state(at), fill, f"{step.page.data[at]:02x}")
            if at in differing:
                words = (left + cell / 2, y + TALL + 36, "≠", 17)
                canvas.text(*words, bold=True, ha="center", colour=WRONG)
        for first, last in pieces(step, line):
            left, right = _left_of(first, full), _left_of(last, full) + cell
            state = step.state(first)
            if state == "fresh":
                _frame(canvas, left, y, right)
            canvas.brace(left + 2, right - 2, y + TALL + 3, 3, QUIET)
            name = fitting(names(step, first, last), right - left, SMALL)
            canvas.text(
                (left + right) / 2, y + TALL + 19, name, SMALL, ha="center",
                colour=INK if state == "fresh" else QUIET, italic=state == "untouched",
            )  # fmt: skip
        for first, last, said in taken:
            left, right = _left_of(first, full) + 3, _left_of(last, full) + cell - 3
            canvas.brace(left, right, y - 2, -5, WRONG, 3)
            # Beside the mark of the flag there is room.
            room = right - left + (30 if last < UNION.start and not full else 4)
            name = fitting(said, room, SMALL)
            canvas.text((left + right) / 2, y - 12, name, SMALL, ha="center", colour=WRONG)
        y += TALL + 24 + (16 if {*differing} & {*line} else 0)
    return y


def _cell(
    canvas: Canvas, x: float, y: float, width: float, state: State, fill: str, words: str
) -> None:
    """A cell whose foot stands at the same height, fresh or not."""
    fresh, hatch = state == "fresh", "////" if state == "untouched" else None
    high: float = TALL if fresh else LOW
    top = y + TALL - high
    canvas.box(x, top, width, high, NOBODY if hatch else fill, edge=QUIET, line=0.5, hatch=hatch)
    if hatch:
        canvas.clear(x + width / 2 - 9.2, top + 3, 18.4, high - 6)
    canvas.text(
        x + width / 2, top + high / 2, words, 16 if fresh else 15, mono=True, ha="center",
        va="center", bold=fresh, colour=QUIET if hatch else INK,
    )  # fmt: skip


def _frame(canvas: Canvas, left: float, y: float, right: float) -> None:
    """The frame around bytes that one write of this step put there."""
    left, right, low = left + 1, right - 1, y + TALL
    canvas.line([left, right, right, left, left], [y, y, low, low, y], INK, 1.8)

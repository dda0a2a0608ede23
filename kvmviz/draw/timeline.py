"""The page over time as a picture: one row a step, time downward. Sizes are in pixels.

A fresh byte is tall, bold and framed; a stale one low and thin, and its label names the step that
it is from; one that nobody wrote is hatched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kvmviz import board
from kvmviz.board import HEAD, UNION, Cell, Fill, State, Strip, called, offsets, page_style
from kvmviz.draw.canvas import Canvas, Look, Picture, checked, wide, wrapped
from kvmviz.kvm.conclusion import Conclusion
from kvmviz.kvm.scenario import Scene, difference
from kvmviz.style import QUIET, RIGHT, WRONG

WIDTH, EDGE = 1074, 20
"""Of the sheet, and its margin."""

ROOM = WIDTH - 2 * EDGE

Lines = Sequence[Sequence[int]]
"""The offsets in each line of cells: one line, or two where more of the head is shown."""

ONE, TWO = (
    Look(ROOM // cells, 29, 16, 13, False, two)
    for cells, two in ((len(HEAD) + len(UNION), False), (len(UNION), True))
)
"""Cells of a single line, and of one of two."""

NOW = "#eef2fa"
"""The ground of the last row: where time stands."""

KEY: tuple[tuple[State, str], ...] = (
    ("fresh", "fresh: written by this step"),
    ("stale", "stale: by the step named below it"),
    ("untouched", "never written since the page was zeroed"),
)


def timeline(shown: Scene, full: bool = False) -> Picture:
    """The steps of a scene, on two pages with differing bytes marked.

    ``full`` draws all of the first 64 bytes, else those of :func:`kvmviz.board.offsets`.
    """
    checked([shown], Scene, "a timeline")
    where = offsets(shown, full)
    head = [at for at in where if at not in UNION]
    lines: Lines = [where] if len(head) == len(HEAD) else [head, UNION]
    canvas = Canvas(WIDTH, 0)
    heading = wrapped(shown.scenario.title, 23, ROOM, bold=True)
    y = canvas.paragraph(EDGE, 3, heading, 23, 27, bold=True)
    if wide(shown.subtitle, 15) > ROOM - wide(heading[-1], 23, True) - 30:
        y += 20
    canvas.text(WIDTH - EDGE, y, shown.subtitle, 15, ha="right")
    y = canvas.paragraph(EDGE, y + 2, shown.notes, 15, 20, room=ROOM, colour=QUIET) + 5
    _key(canvas, y)
    y += 74 if len(lines) == 1 else 34
    if len(lines) == 1:
        for at, left in _places(where, ONE).items():
            canvas.text(left + 12.5, y - 5, f"{at}", 14, mono=True, ha="center", colour=QUIET)
        canvas.text(EDGE, y - 21, "byte offset in struct kvm_run", 13)
        canvas.text(_places(UNION, ONE)[UNION.start], y - 21, "exit union", 13)
    for number in range(len(shown.rows)):
        y = _row(canvas, y, shown, number, lines)
    rest = [shown.left_out] if shown.left_out else []
    if not shown.rows:
        rest.insert(0, "before any step: every byte is 0, nobody has written any")
    rest += _legend(shown, where)
    canvas.height = canvas.paragraph(EDGE, y, rest, 15, 20, room=ROOM) + 11
    return canvas.picture(repr(shown))


def _legend(shown: Scene, where: Sequence[int]) -> list[str]:
    """The letters of all members that the cells hold."""
    found = {
        called(source): None
        for row in shown.rows
        for seen in row
        for source in map(seen.step.page.sources.__getitem__, where)
        if source
    }
    words = "  ·  ".join(f"{page_style(name).letter}\xa0{name}" for name in found)
    order = shown.pages[0].page.layout.abi.byte_order
    bits = "0→31" if order == "little" else "31→0"
    return [f"{words}  ·  {bits}: bits in order of offset"] if found else []


def _key(canvas: Canvas, y: float) -> None:
    """What fresh, stale and untouched bytes look like."""
    x = float(EDGE)
    for state, words in KEY:
        fills = () if state == "untouched" else (Fill(page_style("hsr").colour, 7, 0),)
        cell = Cell("", 0, "", "", state, "", fills)
        canvas.row(Strip((cell,), (), ()), {0: x}, y, Look(22, 22, bits=False, offsets=False))
        bold = state == "fresh"
        canvas.text(x + 27, y + 18, words, 15, bold=bold)
        x += 27 + wide(words, 15, bold) + 30


def _places(line: Sequence[int], look: Look) -> dict[int, float]:
    """The left edges of cells: the head begins at the left margin, the union ends at the right."""
    union = WIDTH - EDGE - look.cell * len(UNION)
    head = [at for at in line if at not in UNION]
    found = look.places(head, EDGE if look is ONE else union)
    return found | look.places([at for at in line if at in UNION], union)


def _row(canvas: Canvas, y: float, shown: Scene, number: int, lines: Lines) -> float:
    """One step from ``y`` down: what happened, and a lane for each page; where it ends."""
    top, under = y, len(canvas.marks)
    pages, differing = shown.rows[number], shown.differing[number]
    several, step = len(pages) > 1, pages[0].step
    canvas.line([EDGE, WIDTH - EDGE], [y + 1, y + 1], QUIET, 0.6)
    small = " · ".join(filter(None, (step.completion, *{seen.step.beyond: 0 for seen in pages})))
    titles = wrapped(step.title, 15, ROOM)
    y = canvas.paragraph(EDGE, y, titles, 15, 19)
    # A single conclusion stands at the right of the last line of the title, or below it.
    if not several:
        taken = wide(titles[-1], 15) + wide(pages[0].headline, 16, True)
        y += 20 if taken > ROOM - 24 else 0
        _conclusion(canvas, pages[0], y)
    y = canvas.paragraph(EDGE, y, [small], 14, 18, room=ROOM, colour=QUIET) + 4
    for at, seen in enumerate(pages):
        if several:
            other = f"   {difference(differing)}" if at else ""
            canvas.text(EDGE, y + 16, f"{seen.step.kernel.name} kernel{other}", 15)
            _conclusion(canvas, seen, y + 16)
            y += 20
        y = _page(canvas, seen, lines, () if at else differing, y)
    y += 5
    if number and number == len(shown.rows) - 1:
        canvas.box(6, top + 2, WIDTH - 12, y - top - 2, NOW, edge=NOW)
        canvas.marks.insert(under, canvas.marks.pop())  # below all that stands on it
    return y


def _conclusion(canvas: Canvas, seen: Conclusion, y: float) -> None:
    colour = RIGHT if seen.right else WRONG
    canvas.text(WIDTH - EDGE, y, seen.headline, 16, bold=True, ha="right", colour=colour)


def _page(
    canvas: Canvas, seen: Conclusion, lines: Lines, differing: Sequence[int], y: float
) -> float:
    """The page after a step, as one program sees it, from ``y`` down; the y where it ends."""
    look = ONE if len(lines) == 1 else TWO
    for line in lines:
        strip = board.page_strip(seen, line, differing)
        # What is right needs no mark: the conclusion says so.
        strip = replace(strip, hands=tuple(hand for hand in strip.hands if not hand.right))
        y += look.above if strip.hands else 4
        canvas.row(strip, _places(line, look), y, look)
        y += look.high + (16 if {*differing} & {*line} else 0)
    return y

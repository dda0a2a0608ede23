"""Kernels with programs, as tiles: the matrix of one exit, and the handshake. Sizes in pixels.

Kernels stand downward, programs to the right, a panel for each ABI.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from kvmviz._base import KvmvizError
from kvmviz.board import called, page_style
from kvmviz.draw.canvas import Canvas, Picture, checked, fitting, shrunk, wide, wrapped
from kvmviz.draw.cells import Look, paragraph, row, spread
from kvmviz.draw.pictures import EDGE, first_bytes
from kvmviz.kvm.conclusion import Cell, Handshake
from kvmviz.kvm.kernel import Kernel
from kvmviz.kvm.program import Matrix, Reading, caveats, held
from kvmviz.layout import Layout
from kvmviz.style import INK, NOBODY, QUIET, RIGHT, RIGHT_GROUND, WRONG, WRONG_GROUND, styles
from kvmviz.text import where

TILE, GAP = 140, 10
"""Width of a tile with the room beside it, and of what stands between two panels."""

MINI = Look(15.5, 18, 14, 0, bits=False, offsets=False)
"""Cells of a tile, a letter in each."""

PAGE, PITCH = 104, 81
"""Of the handshake: width of what a page holds, height of a row."""

NOTE = (
    "Left: bytes 36..39 of kvm_run, where hsr_high is or would be, at the debug exit, as a u32. "
    "flag: as the debug exit leaves it, then as the MMIO exit after it does (✗: stale). "
    "not ESR[63:32]: the VMM took stale or foreign bytes for these bits."
)


def _sheet(
    title: str, subtitle: str, kernels: Sequence[Kernel], panels: Sequence[Layout],
    programs: Sequence[str], beside: float = 0,
) -> tuple[Canvas, list[float]]:  # fmt: skip
    """A sheet with its heads, and where each panel begins; ``beside`` is room left of its tiles."""
    names = max(max(wide(k.name, 18, True), wide(k.when, 14)) for k in kernels)
    start = EDGE + max(102, names + 2)
    span = beside + TILE * len(programs) + GAP
    canvas = Canvas(max(1280, start + span * len(panels) + EDGE - GAP), 0)
    canvas.text(EDGE, 40, title, 29, bold=True)
    canvas.text(EDGE, 68, subtitle, 18)
    places = [start + span * number for number in range(len(panels))]
    for x, layout in zip(places, panels, strict=True):
        canvas.text(x, 96, where(layout), 20, bold=True)
        for column, name in enumerate(programs):
            left = x + beside + TILE * column
            lines = wrapped(name, 15, TILE - 8)
            paragraph(canvas, left + 2, 98, lines, 15, 17, colour=QUIET)
    return canvas, places


def _kernel(canvas: Canvas, kernel: Kernel, y: float) -> None:
    canvas.text(EDGE, y + 34, kernel.name, 18, bold=True)
    canvas.text(EDGE, y + 54, kernel.when, 14, colour=QUIET)


def _tile(canvas: Canvas, x: float, y: float, height: float, right: bool, digits: str) -> str:
    """A tile with its sign and what the program reads; its colour."""
    colour, ground = (RIGHT, RIGHT_GROUND) if right else (WRONG, WRONG_GROUND)
    canvas.box(x, y, TILE - 5, height, ground, edge=colour, line=1.2)
    canvas.text(x + 7, y + 31, "✓" if right else "✗", 26, bold=True, colour=colour)
    lines = textwrap.wrap(digits, 8)
    paragraph(canvas, x + 36, y + 3, lines, 19, 20, mono=True, colour=colour)
    return colour


def matrix(shown: Matrix) -> Picture:
    """Every kernel with every program in both byte orders, as small multiples on 1280 by 720.

    More kernels or programs make the sheet larger. Raises :class:`KvmvizError` for more than two
    ABIs, and if a program takes ESR from behind byte 7.
    """
    checked([shown], Matrix, "a picture of a matrix")
    panels = [
        [list(cells) for _, cells in groupby(readings, lambda r: r.kernel.name)]
        for _, readings in groupby(shown.readings, lambda r: r.image.layout.abi)
    ]
    if len(panels) > 2:
        raise KvmvizError(f"a matrix is drawn for one ABI or two, not for {len(panels)}")
    kernels = [cells[0].kernel for cells in panels[0]]
    names = [reading.vmm.name for reading in panels[0][0]]
    layouts = [rows[0][0].image.layout for rows in panels]
    canvas, places = _sheet(
        "Who reads the ESR that the kernel wrote?", shown.head, kernels, layouts, names
    )
    top = 110 + 17 * max(2, *(len(wrapped(name, 15, TILE - 8)) for name in names))
    for line, kernel in enumerate(kernels):
        y = top + 132.0 * line
        _kernel(canvas, kernel, y + 16)
        for x, rows in zip(places, panels, strict=True):
            for column, reading in enumerate(rows[line]):
                _bytes(canvas, reading, x + TILE * column, y)
    foot = top + 132 * len(kernels) + 2
    canvas.height = paragraph(canvas, EDGE, foot - 4, shown.notes, 16, 18) + 14
    return canvas.picture(repr(shown))


def _bytes(canvas: Canvas, shown: Reading, x: float, y: float) -> None:
    """A tile of the matrix: what is read, and the first eight bytes with those that are taken."""
    strip, looks = first_bytes(shown, "a matrix"), styles(shown.image.layout.named)
    colour = _tile(canvas, x, y, 124, shown.sound, shown.digits[2:])
    canvas.text(x + 6, y + 69, shown.cause, 15, colour=colour)
    sources = shown.image.sources[:8]
    letters = [looks[source.slot.member].letter if source else "" for source in sources]
    cells = (replace(c, value=letter) for c, letter in zip(strip.cells, letters, strict=False))
    hands = (replace(hand, names=()) for hand in strip.hands)
    small = replace(strip, cells=tuple(cells), hands=tuple(hands), braces=())
    row(canvas, small, spread(range(8), x + 6, MINI), y + 92, MINI)


def handshake(shown: Handshake) -> Picture:
    """Kernels downward, on a fresh page and after MMIO; programs and byte orders to the right."""
    checked([shown], Handshake, "a picture of the handshake")
    if not shown.cells:
        raise KvmvizError("a picture of the handshake takes at least one cell")
    panels = [
        [list(cells) for _, cells in groupby(panel, lambda c: (c.before, c.kernel.name))]
        for _, panel in groupby(shown.cells, lambda c: c.layout.abi.name)
    ]
    kernels = [cell.kernel for cell in shown.cells]
    layouts = [rows[0][0].layout for rows in panels]
    head = f"{held(shown.esr)}; computed, not dumped"
    names = [cell.vmm.name for cell in panels[0][0]]
    title = "Old and new kernels, old and new userspace"
    canvas, places = _sheet(title, head, kernels, layouts, names, PAGE)
    y, before = 126.0, ""
    for line, first in enumerate(panels[0]):
        if first[0].before != before:
            before = first[0].before
            y += 24
            name = "fresh page" if before == "fresh" else before
            canvas.text(EDGE, y - 8, name, 16, bold=True)
            canvas.line([EDGE, canvas.width - EDGE], [y - 3, y - 3], QUIET, 0.8)
        _kernel(canvas, first[0].kernel, y)
        for x, rows in zip(places, panels, strict=True):
            _page(canvas, rows[line][0], x, y)
            for column, cell in enumerate(rows[line]):
                left, reading = x + PAGE + TILE * column, cell.debug.reading
                digits = reading.digits[2:] if reading else "misses"
                colour = _tile(canvas, left, y, PITCH - 6, cell.right, digits)
                words = fitting(words_of(cell), TILE - 16, 14)
                canvas.text(left + 7, y + 68, words, 14, colour=colour)
        y += PITCH
    old = "".join(f" {note}." for note in caveats(shown.esr, kernels))
    notes = wrapped(f"{NOTE}{old}", 15, canvas.width - 2 * EDGE)
    canvas.height = paragraph(canvas, EDGE, y - 6, notes, 15, 20) + 16
    return canvas.picture(repr(shown))


def _page(canvas: Canvas, cell: Cell, x: float, y: float) -> None:
    """What the page holds, whoever reads it: the hole's bytes, and the flag at both exits."""
    step, at, room = cell.debug.step, cell.hole_at, PAGE - 8
    source, state = step.page.sources[at], step.state(at)
    fill, hatch = (page_style(called(source)).colour, None) if source else (NOBODY, "////")
    line, edge = (1.6, INK) if state == "fresh" else (0.5, QUIET)
    canvas.box(x, y, room, 30, fill, edge=edge, line=line, hatch=hatch)
    if hatch:
        canvas.clear(x + 4, y + 5, room - 8, 20)
    canvas.text(x + room / 2, y + 21, f"{cell.hole:08x}", 17, mono=True, ha="center")
    name = f"{page_style(called(source)).letter} {called(source)}" if source else "never written"
    name += ", stale" if state == "stale" else ""
    canvas.text(x, y + 46, name, shrunk(name, 12, room))
    flag = f"flag {int(cell.debug.flag)}, then {int(cell.stale_flag)}"
    mark = "✗ " if cell.stale_flag else ""
    canvas.text(x, y + 64, mark + flag, 12, colour=WRONG if cell.stale_flag else INK)


def words_of(cell: Cell) -> Sequence[str]:
    """What is right or wrong about a conclusion, the fullest words first."""
    if cell.right:
        return (f"{cell.knows} bits of ESR",)
    if cell.debug.right:
        return ("wrong at MMIO exit", "wrong after")
    taken = list(dict.fromkeys(row.taken_for for row in cell.debug.fooled))
    words = ", ".join(taken)
    return f"wrong: {words}", f"not {words}", f"wrong: {len(taken)} values", "wrong"

"""The handshake as a figure: which programs are right on which kernels. Sizes are in pixels."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import groupby

from kvmviz._base import KvmvizError
from kvmviz.draw.canvas import Canvas, Picture, checked, fitting, wide, wrapped
from kvmviz.draw.cells import paragraph
from kvmviz.kvm.conclusion import Cell, Handshake
from kvmviz.kvm.lane import called, style
from kvmviz.kvm.program import caveats, held
from kvmviz.style import INK, NOBODY, QUIET, RIGHT, RIGHT_GROUND, WRONG, WRONG_GROUND
from kvmviz.text import where

EDGE, PAGE, TILE, ROW, GAP = 24, 104, 146, 81, 17
"""Margin; widths of what a page holds and of a tile; height of a row; width of a gap."""

TITLE = "Old and new kernels, old and new userspace"
NOTE = (
    "Left: bytes 36..39 of kvm_run, where hsr_high is or would be, at the debug exit, as a u32. "
    "flag: as the debug exit leaves it, then as the MMIO exit after it does (✗: stale). "
    "not ESR[63:32]: the VMM took stale or foreign bytes for these bits."
)


def handshake(shown: Handshake) -> Picture:
    """Kernels downward, on a fresh page and after MMIO; programs and byte orders to the right."""
    checked([shown], Handshake, "a picture of the handshake")
    if not shown.cells:
        raise KvmvizError("a picture of the handshake takes at least one cell")
    panels = [
        [list(cells) for _, cells in groupby(panel, lambda c: (c.before, c.kernel.name))]
        for _, panel in groupby(shown.cells, lambda c: c.layout.abi.name)
    ]
    vmms = {cell.vmm.name for cell in shown.cells}
    kernels = [cell.kernel for cell in shown.cells]
    span = PAGE + TILE * len(vmms) + GAP
    names = 16 + max(96, *(max(wide(k.name, 18, True), wide(k.when, 13)) for k in kernels))
    width = max(2 * EDGE + names + span * len(panels), 900)
    canvas = Canvas(width, 0)
    canvas.text(EDGE, 38, TITLE, 27, bold=True)
    canvas.text(EDGE, 64, f"{held(shown.esr)}; computed, not dumped", 17)
    for number, rows in enumerate(panels):
        x, y, before = EDGE + names + span * number, 104.0, ""
        canvas.text(x, 92, where(rows[0][0].layout), 18, bold=True)
        for column, cell in enumerate(rows[0]):
            name, left = cell.vmm.name, x + PAGE + TILE * column
            size = next((size for size in (14, 13, 12) if wide(name, size) <= TILE - 4), 12)
            canvas.text(left, 114, name, size, colour=QUIET)
        for cells in rows:
            if cells[0].before != before:
                before = cells[0].before
                y += 26
                if not number:
                    page = "fresh page" if before == "fresh" else before
                    canvas.text(EDGE, y - 8, page, 16, bold=True)
                canvas.line([x, x + span - GAP], [y - 3, y - 3], QUIET, 0.8)
            if not number:
                canvas.text(EDGE, y + 34, cells[0].kernel.name, 18, bold=True)
                canvas.text(EDGE, y + 54, cells[0].kernel.when, 13, colour=QUIET)
            _page(canvas, cells[0], x, y)
            for column, cell in enumerate(cells):
                _tile(canvas, cell, x + PAGE + TILE * column, y)
            y += ROW
    old = "".join(f" {note}." for note in caveats(shown.esr, kernels))
    notes = wrapped(f"{NOTE}{old}", 15, width - 2 * EDGE)
    canvas.height = paragraph(canvas, EDGE, y + 2, notes, 15, 20) + 36
    return canvas.picture(repr(shown))


def _page(canvas: Canvas, cell: Cell, x: float, y: float) -> None:
    """What the page holds, whoever reads it: the hole's bytes, and the flag at both exits."""
    step, at = cell.debug.step, cell.hole_at
    source, state = step.page.sources[at], step.state(at)
    fill = style(called(source)).colour if source else NOBODY
    hatch = None if source else "////"
    line = 1.6 if state == "fresh" else 0.5
    edge = INK if state == "fresh" else QUIET
    canvas.box(x, y, PAGE - 8, 30, fill, edge=edge, line=line, hatch=hatch)
    if hatch:
        canvas.clear(x + 4, y + 5, PAGE - 16, 20)
    canvas.text(x + (PAGE - 8) / 2, y + 21, f"{cell.hole:08x}", 17, mono=True, ha="center")
    name = f"{style(called(source)).letter} {called(source)}" if source else "never written"
    plain = called(source) if source else name
    names = (f"{name}, stale", f"{plain}, stale", name) if state == "stale" else (name,)
    canvas.text(x, y + 46, fitting(names, PAGE - 8, 11.4), 11.4)
    flag = f"flag {int(cell.debug.flag)}, then {int(cell.stale_flag)}"
    mark = "✗ " if cell.stale_flag else ""
    canvas.text(x, y + 64, mark + flag, 12, colour=WRONG if cell.stale_flag else INK)


def _tile(canvas: Canvas, cell: Cell, x: float, y: float) -> None:
    """What one program makes of both exits."""
    colour, fill = (RIGHT, RIGHT_GROUND) if cell.right else (WRONG, WRONG_GROUND)
    canvas.box(x, y, TILE - 6, ROW - 6, fill, edge=colour, line=1.2)
    canvas.text(x + 7, y + 31, "✓" if cell.right else "✗", 26, bold=True, colour=colour)
    digits = cell.debug.reading.digits[2:] if cell.debug.reading else "misses"
    lines = textwrap.wrap(digits, 8)
    paragraph(canvas, x + 36, y + 2, lines, 18, 20, mono=True, colour=colour)
    # The words stand on one line, in a place of their own.
    canvas.text(x + 7, y + 68, fitting(words_of(cell), TILE - 16, 14), 14, colour=colour)


def words_of(cell: Cell) -> Sequence[str]:
    """What is right or wrong about a conclusion, the fullest words first."""
    if cell.right:
        return (f"{cell.knows} bits of ESR",)
    if cell.debug.right:
        return ("wrong at MMIO exit", "wrong after")
    taken = list(dict.fromkeys(row.taken_for for row in cell.debug.fooled))
    words = ", ".join(taken)
    return f"wrong: {words}", f"not {words}", f"wrong: {len(taken)} values", "wrong"

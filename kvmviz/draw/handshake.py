"""The handshake as a figure: which programs are right on which kernels. Sizes are in pixels."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import groupby

from kvmviz._base import KvmvizError
from kvmviz.draw.canvas import Canvas, Picture, checked, fitting, wide, wrapped
from kvmviz.draw.cells import called, style
from kvmviz.kvm.exits import DebugExit
from kvmviz.kvm.kernel import WITH_HIGH
from kvmviz.kvm.program import Cell, Handshake
from kvmviz.kvm.words import held, hexa, old_held
from kvmviz.style import INK, NOBODY, QUIET, RIGHT, RIGHT_GROUND, WRONG, WRONG_GROUND
from kvmviz.text import where

EDGE, PAGE, TILE, ROW, GAP = 24, 104, 146, 81, 17
"""Margin; widths of what a page holds and of a tile; height of a row; width of a gap."""

HIGH = WITH_HIGH.layout("aarch64").offsets["hsr_high"]
"""Where hsr_high lies in the exit union, on every ABI of arm64."""

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
    panels = [list(cells) for _, cells in groupby(shown.cells, _abi)]
    vmms = list(dict.fromkeys(cell.vmm.name for cell in shown.cells))
    rows = [list(cells) for _, cells in groupby(panels[0], _row)]
    span = PAGE + TILE * len(vmms) + GAP
    names = 16 + max(
        max(wide(kernel.name, 18, True), wide(kernel.when, 13), 96)
        for kernel in (cells[0].kernel for cells in rows)
    )
    width = max(2 * EDGE + names + span * len(panels), 900)
    event = shown.cells[0].debug.step.event
    esr = event.esr if isinstance(event, DebugExit) else 0
    old = "".join(f" {note}." for note in old_held(esr, [cell.kernel for cell in shown.cells]))
    notes = wrapped(f"{NOTE}{old}", 15, width - 2 * EDGE)
    bands = len({cells[0].before for cells in rows})
    canvas = Canvas(width, 128 + ROW * len(rows) + 26 * bands + 20 * len(notes) + 14)
    canvas.text(EDGE, 38, TITLE, 27, bold=True)
    canvas.text(EDGE, 64, f"{held(esr)}; computed, not dumped", 17)
    for number, panel in enumerate(panels):
        x, y = EDGE + names + span * number, 104.0
        canvas.text(x, 92, where(panel[0].vcpu.page.layout), 18, bold=True)
        before = ""
        for at, cells in enumerate(list(row) for _, row in groupby(panel, _row)):
            if at == 0:
                for column, cell in enumerate(cells):
                    left = x + PAGE + TILE * column
                    title, room = cell.vmm.title, TILE - 4
                    size = next((size for size in (14, 13, 12) if wide(title, size) <= room), 0)
                    name = title if size else cell.vmm.name
                    canvas.text(left, 114, name, size or 14, colour=QUIET)
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
    for line, words in enumerate(notes):
        canvas.text(EDGE, y + 22 + 20 * line, words, 15)
    return canvas.picture(repr(shown))


def _abi(cell: Cell) -> Hashable:
    return cell.vcpu.page.layout.abi.name


def _row(cell: Cell) -> Hashable:
    return cell.before, cell.kernel.name


def _page(canvas: Canvas, cell: Cell, x: float, y: float) -> None:
    """What the page holds, whoever reads it: the hole's bytes, and the flag at both exits."""
    step = cell.debug.step
    at = HIGH + step.page.layout.offsets["debug"]
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
    colour = RIGHT if cell.right else WRONG
    fill = RIGHT_GROUND if cell.right else WRONG_GROUND
    canvas.box(x, y, TILE - 6, ROW - 6, fill, edge=colour, line=1.2)
    canvas.text(x + 7, y + 31, "✓" if cell.right else "✗", 26, bold=True, colour=colour)
    digits = hexa(cell.debug.reading)[2:] if cell.debug.reading else "misses"
    for line in range(0, len(digits), 8):
        part = digits[line : line + 8]
        canvas.text(x + 36, y + 22 + 20 * line / 8, part, 18, mono=True, colour=colour)
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

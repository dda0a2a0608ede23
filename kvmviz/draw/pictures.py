"""One function a picture: a layout, an image, a reading, versions, the story, dumps, ESR, tiles.

Each takes a result and draws it on a sheet that is as large as it needs. Sizes are in pixels.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TypeVar

from kvmviz import board
from kvmviz._base import KvmvizError, check_texts, counted
from kvmviz.board import Cell, Fill, Span, Strip, called, page_style
from kvmviz.ctype import name_of
from kvmviz.draw.canvas import ROW, Canvas, Look, Picture, checked, fitting, legend, wide, wrapped
from kvmviz.esr import GAP, HALVES, Esr
from kvmviz.image import Image
from kvmviz.kvm import patch, program
from kvmviz.kvm.captures import Evidence, Overlay
from kvmviz.kvm.conclusion import HOLE, Handshake
from kvmviz.kvm.conclusion import Cell as Met
from kvmviz.kvm.kernel import Kernel
from kvmviz.kvm.page import differ
from kvmviz.kvm.program import Matrix, Reading, caveats, held
from kvmviz.layout import Layout, Rules
from kvmviz.review.versions import CELLS, Versions
from kvmviz.slot import merged
from kvmviz.style import INK, NOBODY, QUIET, RIGHT, RIGHT_GROUND, WRONG, WRONG_GROUND, styles
from kvmviz.text import where

_T = TypeVar("_T")

EDGE = 24
"""Margin of a sheet."""

WIDE, STORY = Look(), Look(54)
NARROW = Look(42, 32, 17, 14)
"""Cells of a struct alone, of one of the many in a story, of one of several versions."""

REAL = Look(height=36, bits=False, offsets=False)
"""Cells of a dump, over those of what was predicted."""

ROOM = WIDE.cell * ROW
FULL = 2 * EDGE + ROOM
"""Width of a full row of cells, and of its sheet."""

MOST = 4096
"""Bytes of a picture that shows every one of them; :func:`versions` shows a part of more."""


def _check_size(layouts: Sequence[Layout]) -> None:
    size = sum(layout.size for layout in layouts)
    if size > MOST:
        raise KvmvizError(
            f"{layouts[0].struct}: a picture of every byte shows at most {MOST}, not {size}; "
            "draw.versions shows a part of a large struct"
        )


def _strip(image: Image) -> Strip:
    return board.strip(image.layout, image.sources, image.data)


def byte_map(*images: Image, title: str = "") -> Picture:
    """Images one below the other, offset under offset: what a change of byte order moves.

    Raises :class:`KvmvizError` for no image, and for more than :data:`MOST` bytes.
    """
    images = checked(images, Image, "a byte map")
    if not images:
        raise KvmvizError("a byte map takes at least one image")
    check_texts("title", title)
    _check_size([image.layout for image in images])
    canvas, y = Canvas(FULL, 0), 60.0
    canvas.text(EDGE, 40, title or str(images[0].layout.struct), 26, room=ROOM, bold=True)
    for image in images:
        canvas.text(EDGE, y + 26, where(image.layout), 18, bold=True)
        y = canvas.rows(_strip(image), EDGE, y + 40, WIDE) + 22
    canvas.height = y
    return canvas.picture("\n".join(map(repr, images)))


def rules(shown: Rules) -> Picture:
    """A layout before any value is in it: offsets, holes, and the rule that made each.

    Raises :class:`KvmvizError` for more than :data:`MOST` bytes.
    """
    checked([shown], Rules, "a picture of rules")
    layout, canvas = shown.layout, Canvas(FULL, 0)
    _check_size([layout])
    head = f"{layout.struct} on {where(layout)}: {counted(layout.size, 'byte')}"
    canvas.text(EDGE, 40, head, 24, room=ROOM, bold=True)
    strip = board.strip(layout, [merged(holders) for holders in layout.holders])
    y = canvas.rows(strip, EDGE, 66, WIDE) + 14
    steps = [f"{number}. {step}" for number, step in enumerate(shown.steps, 1)]
    canvas.height = canvas.paragraph(EDGE, y, steps, 17, 26, room=ROOM, indent="    ") + 30
    return canvas.picture(f"{layout!r}\n{shown!r}")


def reading(shown: Reading) -> Picture:
    """One kernel's bytes, the bytes that one program takes of them, and what comes of it.

    Raises :class:`KvmvizError` for more than :data:`MOST` bytes.
    """
    checked([shown], Reading, "a picture of a reading")
    _check_size([shown.image.layout])
    made, canvas = board.reading(shown), Canvas(FULL, 0)
    colour, (place, who, told) = RIGHT if shown.sound else WRONG, made.about
    room = ROOM - wide(place, 20, bold=True) - 20
    canvas.text(EDGE, 42, made.headline, 28, room=room, bold=True, colour=colour)
    canvas.text(EDGE, 72, told, 17)
    canvas.text(FULL - EDGE, 42, place, 20, bold=True, ha="right")
    canvas.text(FULL - EDGE, 72, who, 17, room=ROOM - wide(told, 17) - 20, ha="right")
    y = canvas.rows(made.strips[0], EDGE, 104, WIDE) + 10
    y = canvas.paragraph(EDGE, y, [made.effect], 19, 26, room=ROOM, colour=colour)
    y = canvas.paragraph(EDGE, y, made.notes, 17, 26)
    canvas.text(EDGE, y + 28, shown.statuses, 17, room=ROOM)
    canvas.height = y + 54
    return canvas.picture(repr(shown))


def versions(*shown: Versions, title: str = "") -> Picture:
    """Two versions of a struct, the old above the new, ABIs side by side; or one version alone.

    ``title`` is by default the verdict of :func:`kvmviz.review.review` on these ABIs. Of a large
    struct the rows that tell something come first, and what is left out is told. Raises
    :class:`KvmvizError` for none, and for more than :data:`kvmviz.review.versions.MOST` bytes.
    """
    checked(shown, Versions, "a picture of versions")
    check_texts("title", title)
    made, panel, edge, margin = board.versions(shown, title), CELLS * NARROW.cell, 4, 40
    places = [margin + (panel + 14) * number for number in range(len(made.heads))]
    canvas = Canvas(places[-1] + panel + edge, 0)
    room = canvas.width - 2 * edge
    colour = INK if made.sound is None else RIGHT if made.sound else WRONG
    y = canvas.paragraph(edge, 4, [made.headline], 19, 24, room=room, bold=True, colour=colour) + 34
    for x, head in zip(places, made.heads, strict=True):
        canvas.text(x, y - 10, head, 15, room=panel, bold=True)
    columns = [[s for s in made.strips if s.column == at] for at in range(len(made.heads))]
    for side_by_side in zip(*columns, strict=True):
        name, _, past = side_by_side[0].title.partition(": ")
        canvas.text(edge, y + 22, name, 15, bold=True)
        for x, strip in zip(places, side_by_side, strict=True):
            if strip.cells:
                offsets = {cell.offset: x + cell.offset % CELLS * NARROW.cell
                           for cell in strip.cells}  # fmt: skip
                canvas.row(strip, offsets, y, NARROW)
            elif past:
                canvas.text(x + 4, y + 22, past, 14, italic=True, colour=QUIET)
        y += NARROW.high + 6
    y = canvas.paragraph(edge, y, legend(made.strips, NARROW, room), 14, 22)
    canvas.height = canvas.paragraph(edge, y, made.notes, 14, 22, room=room, colour=QUIET) + 14
    return canvas.picture(made.twin)


def _first_bytes(shown: Reading, what: str) -> Strip:
    """A reading's bytes, of which ``what`` draws the first eight.

    Raises :class:`KvmvizError` if the program takes ESR from behind them.
    """
    for run in shown.runs:
        if run.last >= CELLS:
            raise KvmvizError(
                f"{what} draws what is taken for ESR from bytes 0..{CELLS - 1}; VMM "
                f"{shown.vmm.name} takes it from byte {run.first} of {shown.vmm.debug} on"
            )
    return board.reading(shown).strips[0]


def story(readings: Sequence[Reading]) -> Picture:
    """Kernels downward, byte orders side by side: the whole patch on one sheet of 1280 by 720.

    ``readings`` come row by row, little-endian first, as :func:`kvmviz.captures.readings` gives
    them; more than three rows make the sheet longer. far is drawn as one block; where it does not
    lie at byte 8 of 16, as on i386, :class:`KvmvizError` is raised.
    """
    readings = checked(readings, Reading, "a story")
    title, subtitle, note = program.story(readings)
    canvas = Canvas(1280, 138 + 194 * -(-len(readings) // 2))
    canvas.text(EDGE, 40, title, 29, bold=True)
    canvas.text(EDGE, 70, subtitle, 18)
    for number, shown in enumerate(readings):
        line, column = divmod(number, 2)
        x, y = 132.0 + 574 * column, 100.0 + 194 * line
        if not line:
            order = shown.image.layout.abi.byte_order
            canvas.text(x, y + 6, f"{order}-endian", 20, bold=True)
        if not column:
            name, when, room = shown.kernel.name, shown.kernel.when, x - EDGE - 4
            canvas.text(EDGE, y + 66, name, 20, room=room, bold=True)
            canvas.text(EDGE, y + 86, when, 14, room=room, colour=QUIET)
            kinds = [name_of(m.type, m.name or "") for m in shown.kernel.debug.members[:-1]]
            for at, kind in enumerate(kinds):
                words = kind.replace("__", "")
                size = min(14, room / (0.6 * len(words)))
                canvas.text(EDGE, y + 112 + 18 * at, words, size, mono=True)
        _panel(canvas, shown, x, y)
    lines = wrapped(note, 16, canvas.width - 2 * EDGE)
    canvas.paragraph(EDGE, canvas.height - 14 - 22 * len(lines), lines, 16, 22)
    twin = (f"{title}\n{subtitle}", *map(repr, readings), note)
    return canvas.picture("\n\n".join(twin))


def _panel(canvas: Canvas, shown: Reading, x: float, y: float) -> None:
    strip, colour = _first_bytes(shown, "a story"), RIGHT if shown.sound else WRONG
    head, gist = shown.headline, shown.gist
    canvas.text(x, y + 34, head, 19, bold=True, colour=colour)
    left = x + max(230, wide(head, 19, bold=True) + 12)
    canvas.text(left, y + 34, gist, 17, room=x + 548 - left, colour=colour)
    canvas.row(strip, STORY.places(range(8), x), y + 70, STORY)
    far = strip.cells[8]
    value = "8 bytes" if far.fills else "not written"
    block = replace(strip, cells=(replace(far, value=value, bits="", high=False),), hands=())
    canvas.row(block, {8: x + 8 * STORY.cell}, y + 70, replace(STORY, cell=116, digits=15))


def overlay(shown: Overlay) -> Picture:
    """The bytes of a real dump over those predicted from the event alone."""
    checked([shown], Overlay, "a picture of an overlay")
    canvas, count = Canvas(FULL, 0), len(shown.differing)
    canvas.text(EDGE, 38, differ(count), 28, bold=True, colour=WRONG if count else RIGHT)
    canvas.text(EDGE, 66, shown.dump.title, 17)
    white = (Fill(NOBODY, 7, 0),)
    real = [
        Cell("", at, f"{byte:02x}", "", "written", "", white, differs=at in shown.differing)
        for at, byte in enumerate(shown.real)
    ]
    predicted, y = _strip(shown.predicted), 84.0
    for first in range(0, len(real), ROW):
        places = WIDE.places(range(first, min(first + ROW, len(real))), EDGE)
        canvas.text(EDGE, y + 18, "real dump, over what was predicted", 16, bold=True)
        canvas.row(Strip(tuple(real), (), ()), places, y + 28, REAL)
        y += 28 + (REAL.high + 6 if count else 44)
        canvas.row(predicted, places, y, WIDE)
        y += WIDE.high + 10
    canvas.height = y
    return canvas.picture(repr(shown))


def evidence(overlays: Sequence[Overlay]) -> Picture:
    """Every real dump as one square: how many of its bytes differ from prediction.

    Raises :class:`KvmvizError` where there is none.
    """
    overlays = checked(overlays, Overlay, "a picture of evidence")
    if not overlays:
        raise KvmvizError("a picture of evidence takes at least one overlay")
    held, groups = Evidence(overlays), Evidence(overlays).groups
    start = EDGE + max(200, *(wide(name, 17) + 8 for name in groups))
    most = max(map(len, groups.values()))
    canvas = Canvas(max(1280, start + 20.6 * most + EDGE), 150 + 44 * len(groups))
    canvas.text(EDGE, 42, held.head, 24, bold=True)
    note = "One square a dump: how many of the bytes compared differ."
    canvas.text(EDGE, 70, f"{note} {held.note}", 16)
    for number, (name, group) in enumerate(groups.items()):
        y = 96.0 + 44 * number
        canvas.text(EDGE, y + 20, name, 17)
        for column, shown in enumerate(group):
            words = f"{len(shown.differing)}"
            x, colour = start + 20.6 * column, WRONG if shown.differing else RIGHT
            # A debug exit is filled, another is not.
            fill, ink = (colour, NOBODY) if shown.dump.is_debug else (NOBODY, colour)
            canvas.box(x, y, 17, 26, fill, edge=colour, line=1.5)
            canvas.text(x + 8.5, y + 18, words, 14, room=17, ha="center", colour=ink)
    y = 120.0 + 44 * len(groups)
    canvas.text(EDGE, y, "filled: a debug exit · outlined: another exit", 16)
    return canvas.picture(repr(held))


def esr(shown: Esr) -> Picture:
    """ESR_EL2 by field: the half that hsr_high holds above the half that hsr holds."""
    checked([shown], Esr, "a picture of ESR_EL2")
    fields = [field for depth, field in shown.rows if depth or field.name == "IL"]
    canvas, look = Canvas(1280, 0), Look(38.5, 40, 20, offsets=False)
    canvas.text(EDGE, 40, f"ESR_EL2 = {shown.value:#018x}", 28, bold=True)
    canvas.text(EDGE, 72, f"EC {shown.ec:#04x}: {shown.name}", 20)
    for name, low, y in (("hsr_high", 32, 128.0), ("hsr", 0, 276.0)):
        style, bits = styles([name])[name], f"{shown.value >> low & 0xFFFF_FFFF:032b}"
        canvas.text(EDGE, y - 20, f"{style.letter} {name}", 19, bold=True)
        canvas.text(EDGE + 130, y - 20, f"ESR_EL2[{low + 31}:{low}]", 18)
        fill = (Fill(style.colour, 7, 0),)
        cells = [
            Cell("", at, bit, f"{low + 31 - at}", "fresh" if bit == "1" else "written", "", fill)
            for at, bit in enumerate(bits)
        ]
        braces = [
            Span(31 - f.high % 32, 31 - f.low % 32, (f"{f.name} {f.value:#x}", f.name))
            for f in shown.fields
            if f.half == name
        ]
        canvas.row(Strip(tuple(cells), (), tuple(braces)), look.places(range(32), EDGE), y, look)
    y = 406.0
    for field in (field for field in fields if field.name != GAP or field.value):
        words = f"{field.place_in_esr:8}{field.name:13}{field.value:#x}"
        canvas.text(EDGE, y, words, 17, mono=True)
        canvas.text(EDGE + 310, y, field.meaning, 17)
        y += 26
    note, room = f"{HALVES} {shown.high_note}", canvas.width - 2 * EDGE
    canvas.height = canvas.paragraph(EDGE, y, [note], 17, 24, room=room, colour=QUIET) + 24
    return canvas.picture(repr(shown))


def commit_table(old: Overlay, widened: Overlay, with_high: Overlay) -> Picture:
    """The commit message's own tables, each of their lines over the bytes that it speaks of.

    The bytes are those of real debug exits on big-endian kernels, as the message has them; other
    dumps raise :class:`KvmvizError`.
    """
    overlays = (old, widened, with_high)
    checked(overlays, Overlay, "a commit table")
    for shown in overlays:
        if not shown.dump.is_debug or shown.dump.byte_order != "big":
            raise KvmvizError(f"{shown.dump.title}: the table is of big-endian debug exits")
    canvas, look = Canvas(1280, 666), Look(49)
    canvas.text(EDGE, 40, "The commit message's tables, over big-endian bytes", 28, bold=True)
    for column, (title, shown) in enumerate(zip(patch.TITLES, overlays, strict=True)):
        x = EDGE + 418.0 * column
        canvas.text(x, 80, title, 18, bold=True)
        for line, (offset, *words) in enumerate(patch.TABLES):
            y, offsets = 102.0 + 146 * line, range(offset, offset + 4 if line < 2 else 16)
            canvas.text(x, y + 16, f"offset {offset}: {words[column]}", 16, mono=True)
            canvas.row(_strip(shown.image), look.places(offsets, x), y + 26, look)
    canvas.paragraph(EDGE, 534, patch.NOTES, 17, 26)
    return canvas.picture(patch.tables(overlays))


# --- kernels with programs: downward and to the right, a panel for each ABI ------------------

TILE, BETWEEN = 140, 10
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
    title: str, subtitle: str, kernels: Iterable[Kernel], panels: Sequence[Layout],
    programs: Sequence[str], beside: float = 0,
) -> tuple[Canvas, list[float], float]:  # fmt: skip
    """A sheet with its heads, where each panel begins, and where the heads end.

    ``beside`` is the room that a panel has left of its tiles.
    """
    names = max(max(wide(k.name, 18, True), wide(k.when, 14)) for k in kernels)
    start, span = EDGE + max(102, names + 2), beside + TILE * len(programs) + BETWEEN
    canvas = Canvas(max(1280, start + span * len(panels) + EDGE - BETWEEN), 0)
    canvas.text(EDGE, 40, title, 29, bold=True)
    canvas.text(EDGE, 68, subtitle, 18)
    places, low = [start + span * number for number in range(len(panels))], 132.0
    for x, layout in zip(places, panels, strict=True):
        canvas.text(x, 96, where(layout), 20, bold=True)
        for column, name in enumerate(programs):
            left = x + beside + TILE * column + 2
            end = canvas.paragraph(left, 98, [name], 15, 17, room=TILE - 8, colour=QUIET)
            low = max(low, end)
    return canvas, places, low


def _panels(
    cells: Iterable[_T], layout: Callable[[_T], Layout], line: Callable[[_T], object]
) -> list[list[list[_T]]]:
    """Cells in the lines of each panel."""
    panels = (held for _, held in groupby(cells, lambda cell: layout(cell).abi.name))
    return [[[*held] for _, held in groupby(panel, line)] for panel in panels]


def _kernel(canvas: Canvas, kernel: Kernel, y: float) -> None:
    canvas.text(EDGE, y + 34, kernel.name, 18, bold=True)
    canvas.text(EDGE, y + 54, kernel.when, 14, colour=QUIET)


def _tile(canvas: Canvas, x: float, y: float, height: float, right: bool, digits: str) -> str:
    """A tile with its sign and what the program reads; its colour."""
    colour, ground = (RIGHT, RIGHT_GROUND) if right else (WRONG, WRONG_GROUND)
    canvas.box(x, y, TILE - 5, height, ground, edge=colour, line=1.2)
    canvas.text(x + 7, y + 31, "✓" if right else "✗", 26, bold=True, colour=colour)
    lines = textwrap.wrap(digits, 8)
    canvas.paragraph(x + 36, y + 3, lines, 19, 20, mono=True, colour=colour)
    return colour


def matrix(shown: Matrix) -> Picture:
    """Every kernel with every program in both byte orders, as small multiples on 1280 by 720.

    More kernels, programs or ABIs make the sheet larger. Raises :class:`KvmvizError` if a program
    takes ESR from behind byte 7.
    """
    checked([shown], Matrix, "a picture of a matrix")
    panels = _panels(shown.readings, lambda r: r.image.layout, lambda r: r.kernel.name)
    title = "Who reads the ESR that the kernel wrote?"
    layouts = [lines[0][0].image.layout for lines in panels]
    kernels, names = [line[0].kernel for line in panels[0]], [r.vmm.name for r in panels[0][0]]
    canvas, places, y = _sheet(title, shown.head, kernels, layouts, names)
    y += 12
    for number, kernel in enumerate(kernels):
        _kernel(canvas, kernel, y + 16)
        for x, lines in zip(places, panels, strict=True):
            for column, reading in enumerate(lines[number]):
                _bytes(canvas, reading, x + TILE * column, y)
        y += 132
    canvas.height = canvas.paragraph(EDGE, y - 2, shown.notes, 16, 18) + 14
    return canvas.picture(repr(shown))


def _bytes(canvas: Canvas, shown: Reading, x: float, y: float) -> None:
    """A tile of the matrix: what is read, and the first eight bytes with those that are taken."""
    strip, looks = _first_bytes(shown, "a matrix"), styles(shown.image.layout.named)
    colour = _tile(canvas, x, y, 124, shown.sound, shown.digits[2:])
    canvas.text(x + 6, y + 69, shown.cause, 15, colour=colour)
    sources = shown.image.sources[:8]
    letters = [looks[source.slot.member].letter if source else "" for source in sources]
    cells = (replace(c, value=letter) for c, letter in zip(strip.cells, letters, strict=False))
    hands = (replace(hand, names=()) for hand in strip.hands)
    small = replace(strip, cells=tuple(cells), hands=tuple(hands), braces=())
    canvas.row(small, MINI.places(range(8), x + 6), y + 92, MINI)


def handshake(shown: Handshake) -> Picture:
    """Kernels downward, on a fresh page and after MMIO; programs and byte orders to the right."""
    checked([shown], Handshake, "a picture of the handshake")
    panels = _panels(shown.cells, lambda c: c.layout, lambda c: (c.before, c.kernel.name))
    title = "Old and new kernels, old and new userspace"
    head = f"{held(shown.esr)}; computed, not dumped"
    layouts, kernels = [lines[0][0].layout for lines in panels], [c.kernel for c in shown.cells]
    names = [cell.vmm.name for cell in panels[0][0]]
    canvas, places, _ = _sheet(title, head, kernels, layouts, names, PAGE)
    y, before = 126.0, ""
    for number, (first, *_) in enumerate(panels[0]):
        if first.before != before:
            before = first.before
            y += 24
            canvas.text(EDGE, y - 8, "fresh page" if before == "fresh" else before, 16, bold=True)
            canvas.line([EDGE, canvas.width - EDGE], [y - 3, y - 3], QUIET, 0.8)
        _kernel(canvas, first.kernel, y)
        for x, lines in zip(places, panels, strict=True):
            _page(canvas, lines[number][0], x, y)
            for column, cell in enumerate(lines[number]):
                left, reading = x + PAGE + TILE * column, cell.debug.reading
                digits = reading.digits[2:] if reading else "misses"
                colour = _tile(canvas, left, y, PITCH - 6, cell.right, digits)
                words = fitting(_said(cell), TILE - 16, 14)
                canvas.text(left + 7, y + 68, words, 14, colour=colour)
        y += PITCH
    old = "".join(f" {note}." for note in caveats(shown.esr, kernels))
    room = canvas.width - 2 * EDGE
    canvas.height = canvas.paragraph(EDGE, y - 6, [f"{NOTE}{old}"], 15, 20, room=room) + 16
    return canvas.picture(repr(shown))


def _page(canvas: Canvas, cell: Met, x: float, y: float) -> None:
    """What the page holds, whoever reads it: the hole's bytes, and the flag at both exits."""
    step, at, room = cell.debug.step, HOLE, PAGE - 8
    source, state = step.page.sources[at], step.state(at)
    fill, hatch, name = NOBODY, "////", "never written"
    if source:
        look, hatch = page_style(called(source)), ""
        fill, name = look.colour, f"{look.letter} {called(source)}{', stale' * (state == 'stale')}"
    line, edge = (1.6, INK) if state == "fresh" else (0.5, QUIET)
    canvas.box(x, y, room, 30, fill, edge=edge, line=line, hatch=hatch)
    if hatch:
        canvas.clear(x + 4, y + 5, room - 8, 20)
    canvas.text(x + room / 2, y + 21, f"{cell.hole:08x}", 17, mono=True, ha="center")
    canvas.text(x, y + 46, name, 12, room=room)
    flag = f"flag {int(cell.debug.flag)}, then {int(cell.later.flag)}"
    mark, colour = ("✗ ", WRONG) if cell.later.flag else ("", INK)
    canvas.text(x, y + 64, mark + flag, 12, colour=colour)


def _said(cell: Met) -> Sequence[str]:
    """What is right or wrong about a conclusion, the fullest words first."""
    if cell.right:
        return (f"{cell.knows} bits of ESR",)
    if cell.debug.right:
        return ("wrong at MMIO exit", "wrong after")
    taken = list(dict.fromkeys(what for _, what in cell.debug.fooled))
    words = ", ".join(taken)
    return f"wrong: {words}", f"not {words}", f"wrong: {len(taken)} values", "wrong"

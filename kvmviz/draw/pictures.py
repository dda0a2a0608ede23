"""One function a picture: a layout, an image, a reading, the story, the matrix, dumps, ESR.

Each takes a result and draws it on a sheet that is as large as it needs. Sizes are in pixels.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import groupby

from kvmviz._base import KvmvizError, counted
from kvmviz.ctype import name_of
from kvmviz.draw.canvas import Canvas, Picture, checked, shrunk, wide, wrapped
from kvmviz.draw.cells import BELOW, CELL, ROW, Strip, paragraph, width_of
from kvmviz.esr import GAP, HALVES, Esr
from kvmviz.image import Image
from kvmviz.kvm import patch, program
from kvmviz.kvm.captures import Evidence, Overlay
from kvmviz.kvm.program import Matrix, Reading
from kvmviz.layout import Layout, Rules
from kvmviz.slot import merged
from kvmviz.style import INK, NOBODY, QUIET, RIGHT, RIGHT_GROUND, WRONG, WRONG_GROUND, styles
from kvmviz.text import where

EDGE = 24
"""Margin of a sheet."""

FULL = 2 * EDGE + CELL * ROW
"""Width of a sheet with a full row of cells."""

MOST = 4096
"""Bytes of a picture that shows every one of them; :func:`versions` shows a part of more."""


def strip_of(image: Image, cell: float = CELL) -> Strip:
    """The bytes of an image."""
    return Strip(image.layout, bytes(image), image.sources, cell)


def _check_size(layouts: Sequence[Layout]) -> None:
    size = sum(layout.size for layout in layouts)
    if size > MOST:
        raise KvmvizError(
            f"{layouts[0].struct}: a picture of every byte shows at most {MOST}, not {size}; "
            "draw.versions shows a part of a large struct"
        )


def byte_map(*images: Image, title: str = "") -> Picture:
    """Images one below the other, offset under offset: what a change of byte order moves.

    Raises :class:`KvmvizError` for no image, and for more than :data:`MOST` bytes.
    """
    images = checked(images, Image, "a byte map")
    if not images:
        raise KvmvizError("a byte map takes at least one image")
    _check_size([image.layout for image in images])
    strips = [strip_of(image) for image in images]
    cells = CELL * min(ROW, max(len(image) for image in images))
    legend = max(width_of(line, 16) for strip in strips for line in (*strip.legend, ""))
    canvas = Canvas(max(2 * EDGE + max(cells, legend), 700), 0)
    head = title or str(images[0].layout.struct)
    size = shrunk(head, 26, canvas.width - 2 * EDGE, bold=True)
    canvas.text(EDGE, 40, head, size, bold=True)
    y = 60.0
    for strip in strips:
        canvas.text(EDGE, y + 26, where(strip.layout), 18, bold=True)
        y = strip.rows(canvas, EDGE, y + 40) + 22
    canvas.height = y + 30
    return canvas.picture("\n".join(map(repr, images)))


def rules(shown: Rules) -> Picture:
    """A layout before any value is in it: offsets, holes, and the rule that made each.

    Raises :class:`KvmvizError` for more than :data:`MOST` bytes.
    """
    checked([shown], Rules, "a picture of rules")
    layout = shown.layout
    _check_size([layout])
    strip = Strip(layout, None, [merged(holders) for holders in layout.holders])
    room = FULL - 2 * EDGE
    canvas = Canvas(FULL, 0)
    head = f"{layout.struct} on {where(layout)}: {counted(layout.size, 'byte')}"
    canvas.text(EDGE, 40, head, shrunk(head, 24, room, bold=True), bold=True)
    y = strip.rows(canvas, EDGE, 66) + 14
    for number, step in enumerate(shown.steps, 1):
        lines = wrapped(f"{number}. {step}", 17, room, most=104, indent="    ")
        y = paragraph(canvas, EDGE, y, lines, 17, 26)
    canvas.height = y + 30
    return canvas.picture(f"{layout!r}\n{shown!r}")


def bracket(
    canvas: Canvas, strip: Strip, reading: Reading, x: float, y: float, stop: int, what: str
) -> None:
    """The reader's hand over the bytes that it takes; ``y`` is the upper edge of the cells.

    Raises :class:`KvmvizError` from byte ``stop`` on, where ``what`` has no room for it.
    """
    for run in reading.runs:
        if run.last >= stop:
            raise KvmvizError(
                f"{what} draws what is taken for ESR from bytes 0..{stop - 1}; VMM "
                f"{reading.vmm.name} takes it from byte {run.first} of {reading.vmm.debug} on"
            )
        bits = f"{run.wanted[0]}:{run.wanted[1]}"
        names: tuple[str, ...] = (f"taken for ESR[{bits}]", f"ESR[{bits}]", bits)
        if not run.right and run.found:
            names = (f"{names[0]}, hold ESR[{run.found[0]}:{run.found[1]}]", *names)
        colour = RIGHT if run.right else WRONG
        hand(canvas, strip, run.first, run.last, x, y, names if strip.cell > 56 else (), colour)


def hand(
    canvas: Canvas, strip: Strip, first: int, last: int, x: float, y: float,
    names: tuple[str, ...], colour: str,
) -> None:  # fmt: skip
    """A bracket over bytes, with the first of some names that has room above it."""
    left, right = x + first * strip.cell + 2, x + (last + 1) * strip.cell - 2
    canvas.brace(left, right, y - 4, -10, colour, 3)
    if name := next((n for n in names if width_of(n, 15) <= right - left), ""):
        canvas.text((left + right) / 2, y - 20, name, 15, ha="center", colour=colour)


def reading(shown: Reading) -> Picture:
    """One kernel's bytes, the bytes that one program takes of them, and what comes of it.

    Raises :class:`KvmvizError` if the program takes ESR from behind byte 15, and for more than
    :data:`MOST` bytes.
    """
    checked([shown], Reading, "a picture of a reading")
    _check_size([shown.image.layout])
    strip, room = strip_of(shown.image), FULL - 2 * EDGE
    canvas = Canvas(FULL, 0)
    colour = RIGHT if shown.sound else WRONG
    place = where(shown.image.layout)
    title, left = shown.headline, room - width_of(place, 20) - 20
    size = min(28, 28 * left / (1.1 * width_of(title, 28)))
    canvas.text(EDGE, 42, title, size, bold=True, colour=colour)
    esr = program.held(shown.esr)
    canvas.text(EDGE, 72, esr, 17)
    right = FULL - EDGE
    head = f"{shown.kernel.name} kernel → VMM: {shown.vmm.name}"
    canvas.text(right, 42, place, 20, bold=True, ha="right")
    canvas.text(right, 72, head, shrunk(head, 17, room - wide(esr, 17) - 20), ha="right")
    bracket(canvas, strip, shown, EDGE, 130, ROW, "a picture of a reading")
    if lost := [at for at in shown.lost_far if at < ROW]:
        hand(canvas, strip, lost[0], lost[-1], EDGE, 130, ("taken for far", "far"), WRONG)
    y = strip.rows(canvas, EDGE, 130) + 10
    lines = [*wrapped(shown.effect, 19, room, most=84), *shown.caveats]
    y = paragraph(canvas, EDGE, y, lines, 19, 26, colour=colour)
    canvas.text(EDGE, y + 28, shown.statuses, shrunk(shown.statuses, 17, room))
    canvas.height = y + 64
    return canvas.picture(repr(shown))


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
        row, column = divmod(number, 2)
        x, y = 132.0 + 574 * column, 100.0 + 194 * row
        if not row:
            order = shown.image.layout.abi.byte_order
            canvas.text(x, y + 6, f"{order}-endian", 20, bold=True)
        if not column:
            name, when, room = shown.kernel.name, shown.kernel.when, x - EDGE - 4
            canvas.text(EDGE, y + 66, name, shrunk(name, 20, room, bold=True), bold=True)
            canvas.text(EDGE, y + 86, when, shrunk(when, 14, room), colour=QUIET)
            for line, member in enumerate(shown.kernel.debug.members[:-1]):
                kind = name_of(member.type, member.name or "").replace("__", "")
                size = min(14, room / (0.6 * len(kind)))
                canvas.text(EDGE, y + 112 + 18 * line, kind, size, mono=True)
        _panel(canvas, shown, x, y)
    lines = textwrap.wrap(note, 128)
    paragraph(canvas, EDGE, canvas.height - 14 - 22 * len(lines), lines, 16, 22)
    twin = (f"{title}\n{subtitle}", *map(repr, readings), note)
    return canvas.picture("\n\n".join(twin))


def _panel(canvas: Canvas, shown: Reading, x: float, y: float) -> None:
    strip = strip_of(shown.image, 54)
    colour = RIGHT if shown.sound else WRONG
    head, gist = shown.headline, shown.gist
    canvas.text(x, y + 34, head, 19, bold=True, colour=colour)
    left = x + max(230, width_of(head, 19), wide(head, 19, bold=True) + 6)
    room = x + 8 * strip.cell + 116 - left
    size = min(17, 17 * room / width_of(gist, 17))
    canvas.text(left, y + 34, gist, size, colour=colour)
    bracket(canvas, strip, shown, x, y + 58, 8, "a story")
    strip.row(canvas, x, y + 58, 0, 8)
    strip.block(canvas, x + 8 * strip.cell, y + 58, 8, 116)


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
    kernels = [one.kernel for one in shown.readings]
    titles = [textwrap.wrap(one.vmm.name, 15) for one in shown.readings]
    names = max(max(wide(k.name, 18, True), wide(k.when, 14)) + 2 for k in kernels)
    start = EDGE + max(102, names)
    span = 143 * max(len(cells) for rows in panels for cells in rows) + 10
    top = 124 + 18 * max(2, *map(len, titles))
    foot = top + 132 * max(map(len, panels)) + 18
    canvas = Canvas(max(1280, start + span * len(panels) - 10), 0)
    canvas.text(EDGE, 40, "Who reads the ESR that the kernel wrote?", 29, bold=True)
    canvas.text(EDGE, 70, shown.head, 18)
    for panel, rows in enumerate(panels):
        x = start + span * panel
        canvas.text(x, 104, where(rows[0][0].image.layout), 20, bold=True)
        for row, cells in enumerate(rows):
            y = top + 132 * row
            if not panel:
                canvas.text(EDGE, y + 50, cells[0].kernel.name, 18, bold=True)
                canvas.text(EDGE, y + 70, cells[0].kernel.when, 14, colour=QUIET)
            for column, cell in enumerate(cells):
                left = x + 143 * column
                if not row:
                    head = textwrap.wrap(cell.vmm.name, 15)
                    paragraph(canvas, left + 4, 110, head, 16, 18, colour=QUIET)
                _tile(canvas, cell, left, y)
    canvas.height = paragraph(canvas, EDGE, foot - 18, shown.notes, 16, 18) + 14
    return canvas.picture(repr(shown))


def _tile(canvas: Canvas, shown: Reading, x: float, y: float) -> None:
    """A cell of the matrix: sign, value, the first eight bytes and a hand over those taken."""
    colour, ground = (RIGHT, RIGHT_GROUND) if shown.sound else (WRONG, WRONG_GROUND)
    canvas.box(x, y, 138, 124, ground, edge=colour, line=1.2)
    canvas.text(x + 6, y + 30, shown.headline[0], 26, bold=True, colour=colour)
    digits = textwrap.wrap(shown.digits[2:], 8)
    paragraph(canvas, x + 34, y + 3, digits, 20, 22, mono=True, colour=colour)
    canvas.text(x + 6, y + 69, shown.cause, 15, colour=colour)
    strip = strip_of(shown.image, 15.5)
    bracket(canvas, strip, shown, x + 6, y + 90, 8, "a matrix")
    for at, source in enumerate(shown.image.sources[:8]):
        left, hatch = x + 6 + at * strip.cell, None if source else "/////"
        fill = strip.styles[source.slot.member].colour if source else NOBODY
        canvas.box(left, y + 90, 14.5, 18, fill, edge=QUIET, hatch=hatch)
        if source:
            canvas.text(left + 7, y + 104, strip.letter(source), 14, ha="center")


def overlay(shown: Overlay) -> Picture:
    """The bytes of a real dump over those predicted from the event alone."""
    checked([shown], Overlay, "a picture of an overlay")
    strip = strip_of(shown.predicted)
    canvas = Canvas(FULL, 0)
    count = len(shown.differing)
    canvas.text(EDGE, 38, f"{count} bytes differ", 28, bold=True, colour=WRONG if count else RIGHT)
    canvas.text(EDGE, 66, shown.dump.title, 17)
    y = 84.0
    for first in range(0, len(shown.real), ROW):
        stop = min(first + ROW, len(shown.real))
        canvas.text(EDGE, y + 18, "real dump, over what was predicted", 16, bold=True)
        for at in range(first, stop):
            left = EDGE + (at - first) * strip.cell
            sign, colour = ("≠", WRONG) if at in shown.differing else ("=", RIGHT)
            canvas.box(left + 1, y + 26, 56, 36, NOBODY, edge=QUIET)
            canvas.text(left + 29, y + 52, f"{shown.real[at]:02x}", 24, mono=True, ha="center")
            canvas.text(left + 29, y + 82, sign, 20, ha="center", colour=colour)
        strip.row(canvas, EDGE, y + 92, first, stop)
        y += BELOW + 118
    canvas.height = y + 8
    return canvas.picture(repr(shown))


def evidence(overlays: Sequence[Overlay]) -> Picture:
    """Every real dump as one square: how many of its bytes differ from prediction.

    Raises :class:`KvmvizError` where there is none.
    """
    overlays = checked(overlays, Overlay, "a picture of evidence")
    if not overlays:
        raise KvmvizError("a picture of evidence takes at least one overlay")
    held = Evidence(overlays)
    groups = held.groups
    start = EDGE + max(200, *(wide(name, 17) + 8 for name in groups))
    most = max(map(len, groups.values()))
    canvas = Canvas(max(1280, start + 20.6 * most + EDGE), 150 + 44 * len(groups))
    canvas.text(EDGE, 42, held.head, 24, bold=True)
    note = "One square a dump: how many of the bytes compared differ."
    canvas.text(EDGE, 70, f"{note} {held.note}", 16)
    for row, (name, group) in enumerate(groups.items()):
        y = 96.0 + 44 * row
        canvas.text(EDGE, y + 20, name, 17)
        for column, shown in enumerate(group):
            words = f"{len(shown.differing)}"
            x, colour = start + 20.6 * column, WRONG if shown.differing else RIGHT
            # A debug exit is filled, another is not.
            fill, ink = (colour, NOBODY) if shown.dump.is_debug else (NOBODY, colour)
            canvas.box(x, y, 17, 26, fill, edge=colour, line=1.5)
            canvas.text(x + 8.5, y + 18, words, shrunk(words, 14, 17), ha="center", colour=ink)
    y = 120.0 + 44 * len(groups)
    canvas.text(EDGE, y, "filled: a debug exit · outlined: another exit", 16)
    return canvas.picture(repr(held))


def esr(shown: Esr) -> Picture:
    """ESR_EL2 by field: the half that hsr_high holds above the half that hsr holds."""
    checked([shown], Esr, "a picture of ESR_EL2")
    rows = [field for depth, field in shown.rows if depth or field.name == "IL"]
    details = [f for f in rows if f.name != GAP or f.value]
    notes = textwrap.wrap(f"{HALVES} {shown.high_note}", 118)
    canvas = Canvas(1280, 436 + 26 * len(details) + 24 * len(notes))
    canvas.text(EDGE, 40, f"ESR_EL2 = {shown.value:#018x}", 28, bold=True)
    canvas.text(EDGE, 72, f"EC {shown.ec:#04x}: {shown.name}", 20)
    for name, low, y in (("hsr_high", 32, 128.0), ("hsr", 0, 282.0)):
        style = styles([name])[name]
        canvas.text(EDGE, y - 20, f"{style.letter} {name}", 19, bold=True)
        canvas.text(EDGE + 130, y - 20, f"ESR_EL2[{low + 31}:{low}]", 18)
        for bit in range(32):
            x = EDGE + (31 - bit) * 38.5
            canvas.box(x, y, 38.5, 40, style.colour, edge=QUIET, line=0.6)
            value = shown.value >> low + bit & 1
            canvas.text(x + 19, y + 28, str(value), 20, mono=True, ha="center", bold=bool(value))
            canvas.text(x + 19, y + 58, f"{low + bit}", 16, mono=True, ha="center", colour=QUIET)
        for field in shown.fields:
            if field.half == name:
                left = EDGE + (31 - field.high % 32) * 38.5 + 2
                right = EDGE + (32 - field.low % 32) * 38.5 - 2
                canvas.brace(left, right, y + 66, 5, INK)
                words = f"{field.name} {field.value:#x}"
                if width_of(words, 15) > right - left:
                    words = field.name
                canvas.text((left + right) / 2, y + 88, words, 16, ha="center")
    y = 406.0
    for field in details:
        words = f"{field.place_in_esr:8}{field.name:13}{field.value:#x}"
        canvas.text(EDGE, y, words, 17, mono=True)
        canvas.text(EDGE + 310, y, field.meaning, 17)
        y += 26
    paragraph(canvas, EDGE, y, notes, 17, 24, colour=QUIET)
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
    canvas = Canvas(1280, 666)
    canvas.text(EDGE, 40, "The commit message's tables, over big-endian bytes", 28, bold=True)
    for column, (title, shown) in enumerate(zip(patch.TITLES, overlays, strict=True)):
        x, strip = EDGE + 418.0 * column, strip_of(shown.image, 49)
        canvas.text(x, 80, title, 18, bold=True)
        for row, (offset, *words) in enumerate(patch.TABLES):
            y = 102.0 + 146 * row
            canvas.text(x, y + 16, f"offset {offset}: {words[column]}", 16, mono=True)
            strip.row(canvas, x, y + 26, offset, offset + 4 if row < 2 else 16)
    paragraph(canvas, EDGE, 534, patch.NOTES, 17, 26)
    return canvas.picture(patch.tables(overlays))

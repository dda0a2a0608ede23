"""Every result as a matplotlib figure, each with its text twin. Sizes are in pixels."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from kvmviz import text
from kvmviz._base import KvmvizError, counted, twin
from kvmviz.ctype import name_of
from kvmviz.draw import beside
from kvmviz.draw.canvas import Canvas, Picture
from kvmviz.draw.strip import ROW, Strip, width_of
from kvmviz.esr import GAPS, HALVES, Esr
from kvmviz.image import Image
from kvmviz.kvm import words as told
from kvmviz.kvm.captures import Compared, Overlay
from kvmviz.kvm.program import Matrix, Reading
from kvmviz.layout import Rules
from kvmviz.review.versions import Versions, headline, verdict_of
from kvmviz.slot import merged
from kvmviz.style import INK, QUIET, RIGHT, WRONG, styles

EDGE = 24


def strip_of(image: Image, cell: float = 58) -> Strip:
    """The bytes of an image."""
    return Strip(image.layout, bytes(image), image.sources, cell)


def byte_map(*images: Image, title: str = "") -> Picture:
    """Images one below the other, offset under offset: what a change of byte order moves."""
    if not images:
        raise KvmvizError("a byte map takes at least one image")
    strips = [strip_of(image) for image in images]
    width = 2 * EDGE + 58 * min(ROW, max(len(image) for image in images))
    height = 90 + sum(62 + strip.total for strip in strips)
    canvas = Canvas(max(width, 700), height)
    canvas.text(EDGE, 40, title or str(images[0].layout.struct), 26, bold=True)
    y = 60.0
    for strip in strips:
        y += 26
        canvas.text(EDGE, y, text.where(strip.layout), 18, bold=True)
        y = strip.rows(canvas, EDGE, y + 14) + 22
    return canvas.picture("\n".join(map(twin, images)))


def rules(shown: Rules) -> Picture:
    """A layout before any value is in it: offsets, holes, and the rule that made each."""
    layout = shown.layout
    sources = [merged(holders) for holders in layout.holders]
    strip = Strip(layout, None, sources)
    lines = [
        line
        for number, step in enumerate(shown.steps, 1)
        for line in textwrap.wrap(f"{number}. {step}", 104, subsequent_indent="    ")
    ]
    canvas = Canvas(2 * EDGE + 58 * ROW, 110 + strip.total + 26 * len(lines))
    head = f"{layout.struct} on {text.where(layout)}: {counted(layout.size, 'byte')}"
    canvas.text(EDGE, 40, head, 24, bold=True)
    y = strip.rows(canvas, EDGE, 66) + 14
    for line in lines:
        y += 26
        canvas.text(EDGE, y, line, 17)
    return canvas.picture(f"{layout!r}\n{shown!r}")


def bracket(canvas: Canvas, strip: Strip, reading: Reading, x: float, y: float) -> None:
    """The reader's hand over the bytes that it takes; ``y`` is the upper edge of the cells."""
    for run in reading.runs:
        bits = f"{run.wanted[0]}:{run.wanted[1]}"
        names: tuple[str, ...] = (f"taken for ESR[{bits}]", f"ESR[{bits}]", bits)
        if not run.right and run.found:
            names = (f"{names[0]}, hold ESR[{run.found[0]}:{run.found[1]}]", *names)
        colour = RIGHT if run.right else WRONG
        hand(canvas, strip, run.first, run.last, x, y, names if strip.cell > 56 else (), colour)


def hand(
    canvas: Canvas,
    strip: Strip,
    first: int,
    last: int,
    x: float,
    y: float,
    names: tuple[str, ...],
    colour: str,
) -> None:
    """A bracket over bytes, with the first of some names that has room above it."""
    left, right = x + first * strip.cell + 2, x + (last + 1) * strip.cell - 2
    canvas.line([left, left, right, right], [y - 4, y - 14, y - 14, y - 4], colour, 3)
    if name := next((n for n in names if width_of(n, 15) <= right - left), ""):
        canvas.text((left + right) / 2, y - 20, name, 15, ha="center", colour=colour)


def verdict_colour(reading: Reading) -> str:
    """Green where the program gets what it takes the bytes for, red where it does not."""
    return RIGHT if reading.sound else WRONG


def reading(shown: Reading) -> Picture:
    """One kernel's bytes, the bytes that one program takes of them, and what comes of it."""
    strip = strip_of(shown.image)
    lines = [*textwrap.wrap(shown.effect, 84), *told.remarks(shown)]
    canvas = Canvas(2 * EDGE + 58 * ROW, 204 + strip.total + 26 * len(lines))
    colour = verdict_colour(shown)
    place = text.where(shown.image.layout)
    room = canvas.width - 2 * EDGE - width_of(place, 20) - 20
    title = told.headline(shown)
    size = min(28, 28 * room / (1.1 * width_of(title, 28)))
    canvas.text(EDGE, 42, title, size, bold=True, colour=colour)
    canvas.text(EDGE, 72, told.held(shown.esr), 17)
    right = canvas.width - EDGE
    head = f"{shown.kernel.name} kernel → VMM: {shown.vmm.title}"
    canvas.text(right, 42, place, 20, bold=True, ha="right")
    canvas.text(right, 72, head, 17, ha="right")
    bracket(canvas, strip, shown, EDGE, 130)
    if lost := [at for at in shown.lost_far if at < ROW]:
        hand(canvas, strip, lost[0], lost[-1], EDGE, 130, ("taken for far", "far"), WRONG)
    y = strip.rows(canvas, EDGE, 130) + 10
    for line in lines:
        y += 26
        canvas.text(EDGE, y, line, 19, colour=colour)
    canvas.text(EDGE, y + 28, told.statuses(shown), 17)
    return canvas.picture(repr(shown))


def story(readings: Sequence[Reading]) -> Picture:
    """Kernels downward, byte orders side by side: the whole patch on one sheet of 1280 by 720.

    ``readings`` come row by row, little-endian first, as :func:`kvmviz.captures.readings` gives
    them. far is drawn as one block; where it does not lie at byte 8 of 16, as on i386,
    :class:`KvmvizError` is raised.
    """
    title, subtitle, note = told.story_words(readings)
    canvas = Canvas(1280, 720)
    canvas.text(EDGE, 40, title, 29, bold=True)
    canvas.text(EDGE, 70, subtitle, 18)
    for number, shown in enumerate(readings):
        row, column = divmod(number, 2)
        x, y = 132.0 + 574 * column, 100.0 + 194 * row
        if not row:
            order = shown.image.layout.abi.byte_order
            canvas.text(x, y + 6, f"{order}-endian", 20, bold=True)
        if not column:
            canvas.text(EDGE, y + 66, shown.kernel.name, 20, bold=True)
            canvas.text(EDGE, y + 86, shown.kernel.when, 14, colour=QUIET)
            for line, member in enumerate(shown.kernel.debug.members[:-1]):
                kind = name_of(member.type, member.name or "").replace("__", "")
                canvas.text(EDGE, y + 112 + 18 * line, kind, 14, mono=True)
        _panel(canvas, shown, x, y)
    lines = textwrap.wrap(note, 128)
    for line, words in enumerate(lines):
        canvas.text(EDGE, 706 - 22 * (len(lines) - 1 - line), words, 16)
    return canvas.picture(told.story(readings))


def _panel(canvas: Canvas, shown: Reading, x: float, y: float) -> None:
    strip = strip_of(shown.image, 54)
    colour = verdict_colour(shown)
    canvas.text(x, y + 34, told.headline(shown), 19, bold=True, colour=colour)
    left = x + max(230, width_of(told.headline(shown), 19))
    room = x + 8 * strip.cell + 116 - left
    gist = told.gist(shown)
    size = min(17, 17 * room / width_of(gist, 17))
    canvas.text(left, y + 34, gist, size, colour=colour)
    bracket(canvas, strip, shown, x, y + 58)
    strip.row(canvas, x, y + 58, 0, 8)
    strip.block(canvas, x + 8 * strip.cell, y + 58, 8, 116)


def matrix(shown: Matrix) -> Picture:
    """Every kernel with every program in both byte orders, as small multiples on 1280 by 720."""
    canvas = Canvas(1280, 720)
    canvas.text(EDGE, 40, "Who reads the ESR that the kernel wrote?", 29, bold=True)
    canvas.text(EDGE, 70, told.matrix_head(shown), 18)
    canvas.text(canvas.width - EDGE, 40, told.matrix_remark(shown), 15, ha="right")
    panels = [list(rows) for _, rows in groupby(shown.readings, lambda r: r.image.layout.abi)]
    if len(panels) > 2:
        raise KvmvizError(f"a matrix is drawn for one ABI or two, not for {len(panels)}")
    for panel, readings in enumerate(panels):
        x = 126.0 + 582 * panel
        canvas.text(x, 104, text.where(readings[0].image.layout), 20, bold=True)
        kernels = [list(rows) for _, rows in groupby(readings, lambda r: r.kernel.name)]
        for row, cells in enumerate(kernels):
            y = 160.0 + 132 * row
            if not panel:
                canvas.text(EDGE, y + 50, cells[0].kernel.name, 18, bold=True)
                canvas.text(EDGE, y + 70, cells[0].kernel.when, 14, colour=QUIET)
            for column, cell in enumerate(cells):
                left = x + 143 * column
                if not row:
                    for line, words in enumerate(textwrap.wrap(cell.vmm.title, 15)):
                        canvas.text(left + 4, 128 + 18 * line, words, 16, colour=QUIET)
                _tile(canvas, cell, left, y)
    canvas.text(EDGE, 706, told.V2_NOTE, 16)
    return canvas.picture(repr(shown))


def _tile(canvas: Canvas, shown: Reading, x: float, y: float) -> None:
    """A cell of the matrix: sign, value, the first eight bytes and a hand over those taken."""
    sign, colour = told.headline(shown)[0], verdict_colour(shown)
    canvas.box(x, y, 138, 124, "#f3f8f3" if shown.sound else "#fdf1f2", edge=colour, line=1.2)
    canvas.text(x + 6, y + 30, sign, 26, bold=True, colour=colour)
    digits = told.hexa(shown)[2:]
    for line, part in enumerate(textwrap.wrap(digits, 8)):
        canvas.text(x + 34, y + 25 + 22 * line, part, 20, mono=True, colour=colour)
    canvas.text(x + 6, y + 69, told.cause(shown), 15, colour=colour)
    strip = replace(strip_of(shown.image, 15.5), height=18)
    bracket(canvas, strip, shown, x + 6, y + 90)
    for at, source in enumerate(shown.image.sources[:8]):
        left = x + 6 + at * strip.cell
        canvas.box(
            left,
            y + 90,
            14.5,
            18,
            strip.fill(source),
            edge=QUIET,
            hatch=None if source else "/////",
        )
        if source:
            canvas.text(left + 7, y + 104, strip.letter(source), 14, ha="center")


def overlay(shown: Overlay) -> Picture:
    """The bytes of a real dump over those predicted from the event alone."""
    strip = strip_of(shown.predicted)
    rows = -(-len(shown.real) // ROW)
    canvas = Canvas(2 * EDGE + 58 * ROW, 92 + rows * (strip.below + 118))
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
            canvas.box(left + 1, y + 26, 56, 36, "#ffffff", edge=QUIET)
            canvas.text(left + 29, y + 52, f"{shown.real[at]:02x}", 24, mono=True, ha="center")
            canvas.text(left + 29, y + 82, sign, 20, ha="center", colour=colour)
        strip.row(canvas, EDGE, y + 92, first, stop)
        y += strip.below + 118
    return canvas.picture(repr(shown))


def evidence(overlays: Sequence[Overlay | Compared]) -> Picture:
    """Every real dump as one square: how many of its bytes differ from prediction."""
    groups = [
        list(rows)
        for _, rows in groupby(overlays, lambda o: (o.dump.kernel.name, o.dump.byte_order))
    ]
    canvas = Canvas(1280, 150 + 44 * len(groups))
    canvas.text(EDGE, 42, told.evidence_head(overlays), 24, bold=True)
    canvas.text(EDGE, 70, told.EVIDENCE_NOTE, 16)
    for row, group in enumerate(groups):
        y = 96.0 + 44 * row
        dump = group[0].dump
        canvas.text(EDGE, y + 20, f"{dump.kernel.name}, {dump.byte_order}-endian", 17)
        for column, shown in enumerate(group):
            count = len(shown.differing)
            x, colour = 224.0 + 20.6 * column, WRONG if count else RIGHT
            # A debug exit is filled, an MMIO exit is not.
            fill = colour if shown.dump.is_debug else "#ffffff"
            canvas.box(x, y, 17, 26, fill, edge=colour, line=1.5)
            canvas.text(
                x + 8.5, y + 18, f"{count}", 14, ha="center",
                colour="#ffffff" if shown.dump.is_debug else colour,
            )  # fmt: skip
    y = 120.0 + 44 * len(groups)
    canvas.text(EDGE, y, "filled: a debug exit · outlined: an MMIO exit", 16)
    return canvas.picture(told.evidence(overlays))


def esr(shown: Esr) -> Picture:
    """ESR_EL2 by field: the half that hsr_high holds above the half that hsr holds."""
    rows = [field for depth, field in shown.rows if depth or field.name == "IL"]
    details = [f for f in rows if f.name not in GAPS or f.value]
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
                canvas.line([left, left, right, right], [y + 66, y + 71, y + 71, y + 66], INK)
                words = f"{field.name} {field.value:#x}"
                if width_of(words, 15) > right - left:
                    words = field.name
                canvas.text((left + right) / 2, y + 88, words, 16, ha="center")
    y = 406.0
    for field in details:
        canvas.text(
            EDGE, y, f"{field.place_in_esr:8}{field.name:10}{field.value:#x}", 17, mono=True
        )
        canvas.text(EDGE + 300, y, field.meaning, 17)
        y += 26
    for line in notes:
        y += 24
        canvas.text(EDGE, y, line, 17, colour=QUIET)
    return canvas.picture(repr(shown))


def commit_table(old: Overlay, widened: Overlay, with_high: Overlay) -> Picture:
    """The commit message's own tables, each of their lines over the bytes that it speaks of.

    The bytes are those of real debug exits on big-endian kernels, as the message has them; other
    dumps raise :class:`KvmvizError`.
    """
    overlays = (old, widened, with_high)
    for shown in overlays:
        if not shown.dump.is_debug or shown.dump.byte_order != "big":
            raise KvmvizError(f"{shown.dump.title}: the table is of big-endian debug exits")
    canvas = Canvas(1280, 666)
    canvas.text(EDGE, 40, "The commit message's tables, over big-endian bytes", 28, bold=True)
    for column, (title, shown) in enumerate(zip(told.COMMIT_TITLES, overlays, strict=True)):
        x, strip = EDGE + 418.0 * column, strip_of(shown.image, 49)
        canvas.text(x, 80, title, 18, bold=True)
        for row, (offset, *words) in enumerate(told.COMMIT_TABLE):
            y = 102.0 + 146 * row
            canvas.text(x, y + 16, f"offset {offset}: {words[column]}", 16, mono=True)
            strip.row(canvas, x, y + 26, offset, offset + 4 if row < 2 else 16)
    for line, note in enumerate(told.commit_notes(overlays)):
        canvas.text(EDGE, 560 + 26 * line, note, 17)
    return canvas.picture(told.commit_table(overlays))


def versions(*shown: Versions) -> Picture:
    """Two versions of a struct, the old above the new, ABIs side by side; or one version alone.

    The title is the verdict of :func:`kvmviz.review.review` on these ABIs.
    """
    found = verdict_of(shown)
    colour = INK if found is None else WRONG if found.breaks else RIGHT
    return beside.picture(shown, headline(shown), colour)

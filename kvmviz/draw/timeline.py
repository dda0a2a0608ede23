"""The page over time as a picture.

One row a step, time downward. Sizes are in pixels.
"""

from __future__ import annotations

from kvmviz.abi import Abi
from kvmviz.draw.canvas import Canvas, Picture, wide, wrapped
from kvmviz.draw.cells import (
    EDGE,
    HEAD,
    LINE,
    WIDTH,
    Lane,
    called,
    cell_of,
    left_of,
    legible,
    paragraph,
    starts,
    style,
)
from kvmviz.kvm.conclusion import Conclusion
from kvmviz.kvm.kernel import Kernel
from kvmviz.kvm.program import Vmm
from kvmviz.kvm.scenario import Scenario
from kvmviz.kvm.scene import Scene, difference, find, headline, scene
from kvmviz.kvm.words import SHOWN, beyond, completion, title
from kvmviz.style import INK, NOBODY, QUIET, RIGHT, WRONG

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
    of the first 64 bytes as cells; else the head's three members that matter are called out,
    unless another byte of the head was written. Raises :class:`kvmviz.KvmvizError` for unknown
    names, and for a step that there is not.
    """
    return draw(scene(find(scenario), kernel, abi, reader, beside, step, limit), full)


def draw(shown: Scene, full: bool = False) -> Picture:
    """A scene as a picture."""
    cells = full or not all(legible(seen.step) for row in shown.rows for seen in row)
    canvas = Canvas(WIDTH, 0)
    heading = _lines(shown.scenario.title, 23, bold=True)
    y = paragraph(canvas, EDGE, 3, heading, 23, 27, bold=True)
    if wide(shown.subtitle, 15) > WIDTH - 2 * EDGE - wide(heading[-1], 23, True) - 30:
        y += 20
        canvas.text(EDGE, y, shown.subtitle, 15)
    else:
        canvas.text(WIDTH - EDGE, y, shown.subtitle, 15, ha="right")
    notes = _lines(shown.scenario.note, 15)
    if shown.scenario.synthetic:
        notes.append("bits 63:32 of ESR are synthetic")
    y = paragraph(canvas, EDGE, y + 2, notes, 15, 20, colour=QUIET) + 3
    _key(canvas, y)
    y += 76
    _axis(canvas, y, cells)
    for at in range(len(shown.rows)):
        y = _row(canvas, y, shown, at, cells)
    if not shown.rows:
        canvas.text(EDGE, y + 18, "before any step: every byte is 0, nobody has written any", 15)
        y += 20
    if shown.left_out:
        canvas.text(EDGE, y + 18, shown.left_out, 15, italic=True, colour=QUIET)
        y += 20
    y = paragraph(canvas, EDGE, y - 3, _legend(shown, cells), 15, 21)
    canvas.height = y + 11
    return canvas.picture(repr(shown))


def _lines(words: str, size: float, bold: bool = False) -> list[str]:
    """Words in lines as wide as the sheet."""
    return wrapped(words, size, WIDTH - 2 * EDGE, bold=bold)


def _legend(shown: Scene, full: bool) -> list[str]:
    """The letters of all members that the cells hold."""
    names = {
        called(source): None
        for row in shown.rows
        for seen in row
        for source in seen.step.page.sources[0 if full else LINE : SHOWN]
        if source
    }
    words = "  ·  ".join(f"{style(name).letter} {name}" for name in names)
    order = shown.pages[0].page.layout.abi.byte_order
    bits = "0→31" if order == "little" else "31→0"
    return _lines(f"{words}  ·  {bits}: bits in order of offset", 15) if names else []


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


def _axis(canvas: Canvas, y: float, full: bool) -> None:
    """Offsets over the columns; ``y`` is where the rows begin."""
    for line, start in enumerate(reversed(starts(full))):
        for at in range(start, start + LINE):
            middle = left_of(at, full) + cell_of(full) / 2
            words, size = (f"+{at}", 12) if full else (f"{at}", 14)
            canvas.text(
                middle, y - 5 - 16 * line, words, size, mono=True, ha="center", colour=QUIET
            )
    if full:
        canvas.text(EDGE, y - 37, "byte offset in struct kvm_run", 13)
        return
    canvas.text(left_of(LINE, full), y - 21, "exit union: byte offset in struct kvm_run", 13)
    for name, start, size, left, width in HEAD:
        place = f"+{start}" if size == 1 else f"+{start}..{start + size - 1}"
        middle = left + width / 2 - 3
        lines = [name[:9], name[9:]] if len(name) > 12 else [name]
        paragraph(canvas, middle, y - 20 - 14 * len(lines), lines, 13, 14, ha="center")
        canvas.text(middle, y - 5, place, 12, mono=True, ha="center", colour=QUIET)


def _row(canvas: Canvas, y: float, shown: Scene, at: int, full: bool) -> float:
    """One step from ``y`` down: what happened, and a lane for each page; where it ends."""
    top, under = y, len(canvas.marks)
    pages, differing = shown.rows[at], shown.differing[at]
    several, step = len(pages) > 1, pages[0].step
    canvas.line([EDGE, WIDTH - EDGE], [y + 1, y + 1], QUIET, 0.6)
    small = filter(None, (completion(step), *{beyond(seen.step): 0 for seen in pages}))
    titles = _lines(title(step), 15)
    lines = [*((words, 15) for words in titles), *((w, 14) for w in _lines(" · ".join(small), 14))]
    # A single conclusion stands at the right of the first line with room, else below them.
    room = WIDTH - 2 * EDGE - wide(headline(pages[0]), 16, True) - 24
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
        if several or (beside is None and headline(seen)):
            _conclusion(canvas, seen, y + 16)
            y += 20
        y = Lane(seen, full, () if number else differing).draw(canvas, y)
    y += 5
    if at and at == len(shown.rows) - 1:
        canvas.box(6, top + 2, WIDTH - 12, y - top - 2, NOW, edge=NOW)
        canvas.marks.insert(under, canvas.marks.pop())  # below all that stands on it
    return y


def _conclusion(canvas: Canvas, seen: Conclusion, y: float) -> None:
    colour = RIGHT if seen.right else WRONG
    canvas.text(WIDTH - EDGE, y, headline(seen), 16, bold=True, ha="right", colour=colour)

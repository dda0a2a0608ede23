"""The page over time: which steps are shown of whose history, in words and as a picture.

One row a step, time downward. Sizes are in pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

from kvmviz import abi as abis
from kvmviz._base import KvmvizError, counted
from kvmviz._base import shown as quoted
from kvmviz.abi import Abi
from kvmviz.draw.canvas import Canvas, Picture, wide, wrapped
from kvmviz.draw.cells import (
    EDGE,
    HEAD,
    LINE,
    SHOWN,
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
from kvmviz.kvm import scenario as scenarios
from kvmviz.kvm.captures import scenarios as real
from kvmviz.kvm.kernel import Kernel
from kvmviz.kvm.kernel import find as find_kernel
from kvmviz.kvm.page import Step, Vcpu
from kvmviz.kvm.program import READERS, Conclusion, Vmm, conclude
from kvmviz.kvm.program import find as find_vmm
from kvmviz.kvm.scenario import Scenario, SideBySide
from kvmviz.kvm.words import byte_lines, completion, hexa, sentence, status, title, written_words
from kvmviz.style import INK, NOBODY, QUIET, RIGHT, WRONG
from kvmviz.text import spans, where

MOST = 256
"""Steps that one picture shows."""

NOW = "#eef2fa"
"""The ground of the last row: where time stands."""


@dataclass(frozen=True, repr=False)
class Scene:
    """The steps ``first`` to ``step`` of a scenario, on one page or the same events on two.

    ``pages`` are the one or two vCPUs on which all of the scenario has happened. ``step`` is the
    last step that is shown, and ``limit`` how many are at most; -1 is the page before any step.
    """

    scenario: Scenario
    pages: tuple[Vcpu, ...]
    vmm: Vmm
    step: int
    limit: int

    @property
    def first(self) -> int:
        """The first step that is shown."""
        return max(0, self.step + 1 - self.limit)

    @property
    def count(self) -> int:
        """How many steps the scenario has."""
        return len(self.scenario.events)

    @cached_property
    def rows(self) -> tuple[tuple[Conclusion, ...], ...]:
        """What the program concludes, for each step that is shown, on each page."""
        return tuple(
            tuple(conclude(page.history[number], self.vmm) for page in self.pages)
            for number in range(self.first, self.step + 1)
        )

    @cached_property
    def differing(self) -> tuple[tuple[int, ...], ...]:
        """For each step that is shown, the offsets at which the two pages differ."""
        if len(self.pages) < 2:
            return ((),) * len(self.rows)
        return SideBySide(*self.pages).differing[self.first : self.step + 1]

    @property
    def left_out(self) -> str:
        """Which steps are not shown, in words; empty if all are."""
        told = []
        if self.first:
            told.append(f"{_steps(0, self.first - 1)} before")
        if self.step + 1 < self.count:
            told.append(f"{_steps(self.step + 1, self.count - 1)} after")
        return f"not shown: {' and '.join(told)}" if told else ""

    @property
    def subtitle(self) -> str:
        """Kernels, byte order and program."""
        names = " and ".join(page.kernel.name for page in self.pages)
        kernels = "kernels" if len(self.pages) > 1 else "kernel"
        return (
            f"{names} {kernels} · {where(self.pages[0].page.layout)} · "
            f"VMM: {self.vmm.name}, {self.vmm.title}"
        )

    def __repr__(self) -> str:
        """Every step that is shown, every byte of it, and every conclusion."""
        synthetic = ["bits 63:32 of ESR are synthetic"] if self.scenario.synthetic else []
        note = filter(None, [self.scenario.note, *synthetic])
        lines = [self.scenario.title, *note, self.subtitle]
        if not self.rows:
            lines.append("before any step: every byte is 0, and nobody has written any")
        for seen, differing in zip(self.rows, self.differing, strict=True):
            lines.append(title(seen[0].step))
            for lane in seen:
                lines += [f"  {lane.step.kernel.name} kernel"] if len(seen) > 1 else []
                lines += [f"  {line}" for line in _lane_words(lane)]
            if len(seen) > 1:
                lines.append(f"  {_difference(differing)}")
        return "\n".join(filter(None, (*lines, self.left_out)))


def _steps(first: int, last: int) -> str:
    return f"step {first}" if first == last else f"steps {first}..{last}"


def _beyond(step: Step) -> str:
    """What a step wrote behind the bytes that are shown, in words; empty if it wrote nothing."""
    behind = [at for at in step.written if at >= SHOWN]
    return f"also writes {spans(behind)}, not shown" if behind else ""


def _headline(seen: Conclusion) -> str:
    """What a program concludes, in a few words with a sign; empty after a write by userspace."""
    if not seen.looks:
        return ""
    sign = "✓" if seen.right else "✗"
    if seen.reading is None:
        return f"{sign} misses the debug exit" if seen.happened else f"{sign} no debug exit"
    far = f", far {seen.far:#x}" if seen.far is not None else ""
    sees = "" if seen.happened else "sees a debug exit, "
    return f"{sign} {sees}ESR {hexa(seen.reading)}{far}"


def _lane_words(seen: Conclusion) -> Iterator[str]:
    """One step on one page: what was written, every byte, and what the program makes of it."""
    step = seen.step
    yield from filter(None, (completion(step), written_words(step), _beyond(step)))
    yield status(step)
    yield from byte_lines(step, SHOWN).splitlines()
    yield f"{'✓' if seen.right else '✗'} {sentence(seen)}" if seen.looks else sentence(seen)


def _difference(offsets: tuple[int, ...]) -> str:
    """At which bytes two pages differ, in words."""
    if not offsets:
        return "the two pages are the same"
    return f"≠ {counted(len(offsets), 'byte')} differ: {spans(offsets)}".replace(
        "1 byte differ", "1 byte differs"
    )


def check_step(scenario: Scenario, step: object) -> int:
    """A step that the scenario has, -1 if it has none; else :class:`KvmvizError`."""
    last = len(scenario.events) - 1
    if isinstance(step, int) and not isinstance(step, bool) and min(0, last) <= step <= last:
        return step
    legal = f"; legal are 0 .. {last}" if last >= 0 else ""
    count = counted(last + 1, "step")
    raise KvmvizError(f"step {quoted(step)} of scenario {scenario.name}: it has {count}{legal}")


_played = lru_cache(maxsize=8)(Scenario.play)
"""Pages on which a scenario has happened: each step of a widget looks at the same ones."""


def scene(
    scenario: Scenario,
    kernel: str | Kernel,
    abi: str | Abi,
    reader: str | Vmm,
    beside: str | Kernel | None = None,
    step: int | None = None,
    limit: int = 6,
) -> Scene:
    """A scenario on one kernel, or ``beside`` it on a second one, as one program reads it.

    Raises :class:`KvmvizError` for unknown names, for a step that the scenario does not have, and
    for more than :data:`MOST` steps to be shown.
    """
    kernels = [find_kernel(kernel), *([find_kernel(beside)] if beside is not None else [])]
    at = len(scenario.events) - 1 if step is None else check_step(scenario, step)
    if not isinstance(limit, int) or not 1 <= limit <= MOST:
        raise KvmvizError(
            f"limit {quoted(limit)}: a timeline shows one step at least; legal are 1 .. {MOST}"
        )
    found = abis.find(abi)
    pages = tuple(_played(scenario, one, found) for one in kernels)
    return Scene(scenario, pages, find_vmm(reader, READERS), at, limit)


def find(scenario: str | Scenario) -> Scenario:
    """The scenario itself, or one by name: made by hand, or of the real dumps."""
    if isinstance(scenario, str) and scenario in real():
        return real()[scenario]
    return scenarios.find(scenario)


def timeline(
    scenario: str | Scenario = "stale_flag",
    kernel: str | Kernel = "v2",
    abi: str | Abi = "aarch64_be",
    reader: str | Vmm = "no_reason",
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
    small = filter(None, (completion(step), *{_beyond(seen.step): 0 for seen in pages}))
    titles = _lines(title(step), 15)
    lines = [*((words, 15) for words in titles), *((w, 14) for w in _lines(" · ".join(small), 14))]
    # A single conclusion stands at the right of the first line with room, else below them.
    room = WIDTH - 2 * EDGE - wide(_headline(pages[0]), 16, True) - 24
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
            other = f"   {_difference(differing)}" if number else ""
            canvas.text(EDGE, y + 16, f"{seen.step.kernel.name} kernel{other}", 15)
        if several or (beside is None and _headline(seen)):
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
    canvas.text(WIDTH - EDGE, y, _headline(seen), 16, bold=True, ha="right", colour=colour)

"""The board: bytes as HTML cells, with what they hold, who takes them for what, and the verdict.

Python writes all that is seen, and all of it is text that a screen reader reads. A cell's ``key``
is the identity of its byte (byte 7 of ESR, byte 0 of far, the memory at offset 4): where a state
changes, ``board.js`` lets cells of equal keys travel, and draws nothing. Neither matplotlib nor
ipywidgets is needed.
"""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from itertools import groupby
from typing import Literal

from kvmviz import text
from kvmviz.image import named, pieces, unwritten
from kvmviz.kvm import lane
from kvmviz.kvm.conclusion import Conclusion, conclude
from kvmviz.kvm.kernel import ESR_BIT
from kvmviz.kvm.page import SHOWN, Step, who
from kvmviz.kvm.program import Reading, held
from kvmviz.kvm.scene import Scene, difference
from kvmviz.layout import Layout
from kvmviz.review import versions as review
from kvmviz.review.versions import CELLS, MOST_ARMS, Arm, Versions, chosen, names_of, remarks
from kvmviz.slot import Source, bits_of
from kvmviz.style import FILLS, USERSPACE, styles

OCTET = 8
"""Bytes that stay side by side: two octets make a row, one where the page is narrow."""

LETTERS_A_CELL = 5
"""Letters of a label that have room under one cell of the narrowest board."""

State = Literal["written", "unwritten", "past", "fresh", "stale", "untouched"]
"""Of a cell. ``past``: behind the struct that the kernel wrote."""


@dataclass(frozen=True)
class Cell:
    """One byte: its value, the ``bits`` that it holds, whose they are, and its identity ``key``.

    ``colour`` is that of the member, None where nobody wrote; ``high``: it belongs to the upper
    half of a member of 64 bits. ``words`` say all of it, for whoever points at the cell. Without
    a value, letters of the members stand for it. ``differs``: the page beside it holds another.
    """

    key: str
    offset: int
    value: int | str
    bits: str
    state: State
    words: str
    colour: str | None = None
    high: bool = False
    differs: bool = False


@dataclass(frozen=True)
class Span:
    """Something that holds for bytes ``first`` to ``last``: a reader's hand, a member's brace.

    ``names`` are the same in several lengths, the fullest first, of which the first is shown that
    fits. ``right`` is None where nothing is judged; ``quiet``: what lies there was not written.
    """

    first: int
    last: int
    names: tuple[str, ...]
    right: bool | None = None
    quiet: bool = False


@dataclass(frozen=True)
class Strip:
    """Bytes in a row: above them who takes them for what, below them whose they are.

    ``sound`` is the verdict that stands in its ``title``, if there is one.
    """

    cells: tuple[Cell, ...]
    hands: tuple[Span, ...]
    braces: tuple[Span, ...]
    title: str = ""
    sound: bool | None = None
    column: int = 0


@dataclass(frozen=True, repr=False)
class Board:
    """One state: ``headline`` verdict, what it is of, strips of bytes, the effect in a sentence.

    ``sound`` is the verdict: right, wrong, or None where there is none. ``twin`` is the text twin
    of what it shows, the same that the Python object has. ``steps`` are those around the one that
    is shown, the number ``now`` of them; ``kind`` says how the strips lie, and ``heads`` stand
    over its columns, where it has some.
    """

    headline: str
    sound: bool | None
    about: tuple[str, ...]
    strips: tuple[Strip, ...]
    effect: str
    notes: tuple[str, ...]
    twin: str
    steps: tuple[str, ...] = ()
    now: int = 0
    kind: Literal["", "page", "beside"] = ""
    heads: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return self.twin

    def html(self, classes: str = "", name: str = "") -> str:
        """The state as one element, the same bytes each time; ``name`` is its link's."""
        verdict = {True: "right", False: "wrong", None: ""}[self.sound]
        head = "".join(f"<span>{_escaped(line)}</span>" for line in self.about)
        notes = "".join(f"<p>{_escaped(line)}</p>" for line in self.notes)
        if self.kind == "page":  # as high from step to step
            notes = f"<div class=notes>{notes}</div>"
        steps = "".join(
            f"<li{' aria-current=step' * (number == self.now)}>{_escaped(line)}</li>"
            for number, line in enumerate(self.steps)
        )
        kinds = " ".join(filter(None, ("kv-board", self.kind, verdict, classes)))
        return (
            f"<article{_attribute('id', name)}{_attribute('class', kinds)}>"
            f"<header><strong>{_escaped(self.headline)}</strong>{head}</header>"
            f"{self._strips()}"
            f"{f'<p class=effect>{_escaped(self.effect)}</p>' if self.effect else ''}{notes}"
            f"{f'<ol class=steps>{steps}</ol>' if steps else ''}"
            f"<details><summary>in words</summary>"
            f"<pre tabindex=0>{_escaped(self.twin)}</pre></details></article>"
        )

    def _strips(self) -> str:
        if not self.heads:
            return "".join(map(_strip, self.strips))
        columns = (
            f"<div><p class=head>{_escaped(head)}</p>"
            f"{''.join(_strip(strip) for strip in self.strips if strip.column == number)}</div>"
            for number, head in enumerate(self.heads)
        )
        return f"<div class=columns>{''.join(columns)}</div>"


def reading(shown: Reading) -> Board:
    """One kernel's bytes, the bytes that one program takes of them, and what comes of it."""
    layout = shown.image.layout
    return Board(
        shown.headline,
        shown.sound,
        (
            text.where(layout),
            f"{shown.kernel.name} kernel → VMM: {shown.vmm.name}",
            held(shown.esr),
        ),
        (Strip(_cells(shown), _hands(shown), _braces(shown.image.sources, layout)),),
        shown.effect,
        tuple(shown.caveats),
        repr(shown),
    )


def step(seen: Conclusion) -> Board:
    """The page at one step of its history, and what one program concludes from it."""
    now = seen.step
    verdict, effect = _concluded(seen)
    return Board(
        verdict,
        seen.right if seen.looks else None,
        (f"{now.kernel.name} kernel, {text.where(now.page.layout)}", f"VMM: {seen.vmm.name}"),
        tuple(_page_strip(seen, offsets) for offsets in (lane.HEAD, lane.UNION)),
        effect,
        (now.title, *map(_sentence, seen.causes[1:])),
        f"{seen!r}\n{now!r}",
    )


STEPS = {1: 5, 2: 3}
"""How many steps are listed around the one that is shown, on one page and on two."""


def history(shown: Scene, full: bool = False) -> Board:
    """Where time stands in a scene, on one page or the same on two, and the steps around it.

    ``full``: all of the first 64 bytes, else those by which a step is told.
    """
    about = [shown.subtitle]
    if shown.scenario.note and len(shown.pages) < 2:
        about.append(shown.scenario.note)
    if shown.scenario.synthetic:
        about.append("bits 63:32 of ESR synthetic")
    if not shown.rows:
        told = ("before any step", None, tuple(about), (), "every byte is 0, and nobody wrote any")
        return Board(*told, (), repr(shown), kind="page")
    seen, differing = shown.rows[-1], shown.differing[-1]
    offsets = range(SHOWN) if full else (*lane.HEAD, *lane.UNION)
    strips = []
    for one in seen:
        title, name = "", f"{one.step.kernel.name} kernel"
        if len(seen) > 1:
            title = f"{name}: {one.headline}" if one.looks else name
        strip = _page_strip(one, offsets, differing)
        strips.append(replace(strip, title=title, sound=one.right if one.looks else None))
    first = seen[0]
    causes = [cause for one in seen for cause in one.causes]
    verdict, effect = _concluded(first)
    if len(seen) > 1:
        verdict, effect = first.step.title, ""
        about.append(_sentence(difference(differing)))
    sounds = {one.right for one in seen if one.looks}
    more = list(dict.fromkeys(causes if len(seen) > 1 else causes[1:]))
    notes = [first.step.completion, first.step.beyond, *more]
    listed, now = _around(shown)
    return Board(
        verdict,
        all(sounds) if sounds else None,
        tuple(about),
        tuple(strips),
        effect,
        tuple(map(_sentence, filter(None, notes))),
        repr(shown),
        listed,
        now,
        "page",
    )


def _around(shown: Scene) -> tuple[tuple[str, ...], int]:
    """Steps around the one that is shown, of those not yet reached the titles alone."""
    most = STEPS[len(shown.pages)]
    first = max(0, min(shown.step - most // 2, shown.count - most))
    history = shown.pages[0].history[first : first + most]
    listed = []
    for step in history:
        reached = step.number <= shown.step
        marks = [
            "✓" if seen.right else "✗"
            for page in shown.pages
            if (seen := conclude(page.history[step.number], shown.vmm)).looks and reached
        ]
        listed.append(f"{''.join(marks) or '·'} {step.title}")
    return tuple(listed), shown.step - first


def _concluded(seen: Conclusion) -> tuple[str, str]:
    """What a program concludes, in a line, and what comes of it in a sentence."""
    verdict, _, true = seen.verdict.removeprefix("WRONG: ").partition(", the kernel held ")
    effect = [f"The kernel held {true}."] if true else []
    effect.append(_sentence(seen.causes[0] if seen.causes else seen.step.writes))
    return seen.mark + verdict, " ".join(effect)


def _page_strip(seen: Conclusion, offsets: Sequence[int], differing: Sequence[int] = ()) -> Strip:
    """Some bytes of the page, with what the program takes them for."""
    now = seen.step
    union = now.page.layout.offsets["debug"]
    hands = [
        replace(hand, first=hand.first + union, last=hand.last + union)
        for hand in (_hands(seen.reading) if seen.reading else ())
        if hand.right
    ]
    hands += [Span(first, last, said, False) for first, last, said in lane.marks(seen, offsets)]
    braces = [
        Span(first, last, lane.names(now, first, last), quiet=now.state(first) != "fresh")
        for first, last in lane.pieces(now, offsets)
    ]
    return Strip(
        _page_cells(now, offsets, differing),
        tuple(hand for hand in hands if hand.first in offsets),
        tuple(braces),
    )


def _sentence(said: str) -> str:
    return f"{said[:1].upper()}{said[1:]}." if said else ""


def _page_cells(now: Step, offsets: Sequence[int], differing: Sequence[int]) -> tuple[Cell, ...]:
    made = []
    for at in offsets:
        source, state = now.page.sources[at], now.state(at)
        said = who(source, now.number)
        if source is not None:
            name = USERSPACE if lane.called(source) == USERSPACE else source.member
            said = f"{name}[{source.bits}], {state}: {said}"
        said += "; the other page holds another value" * (at in differing)
        made.append(
            Cell(
                f"page{at}",
                at,
                now.page.data[at],
                source.bits if source else "–",
                state,
                said,
                lane.style(lane.called(source)).colour if source else None,
                _high(source),
                at in differing,
            )
        )
    return tuple(made)


def _hands(shown: Reading) -> tuple[Span, ...]:
    hands = [
        Span(run.first, run.last, (f"ESR[{run.wanted[0]}:{run.wanted[1]}]",), run.right)
        for run in shown.runs
    ]
    if lost := shown.lost_far:
        hands.append(Span(lost[0], lost[-1], ("far",), False))
    return tuple(hands)


def _cells(shown: Reading) -> tuple[Cell, ...]:
    """The bytes of the struct, and those behind it that the program takes."""
    image, fills = shown.image, styles(shown.image.layout.named)
    count = max((len(image), *(run.last + 1 for run in shown.runs)))
    count = max((count, *(at + 1 for at in shown.lost_far)))
    made, seen = [], Counter[str]()
    for at in range(count):
        if at >= len(image):
            said = "past the struct: whatever the memory holds there"
            made.append(Cell(f"at{at}", at, shown.beyond, "–", "past", said))
            continue
        source, value = image.sources[at], image.data[at]
        if source is None:
            said = unwritten(image.layout, at)[1:-1]
            made.append(Cell(f"at{at}", at, value, "–", "unwritten", said))
            continue
        key = identity(source)
        seen[key] += 1
        made.append(
            Cell(
                key if seen[key] == 1 else f"{key}again",
                at,
                value,
                source.bits,
                "written",
                f"{source.path}[{source.bits}]",
                fills[source.slot.member].colour,
                _high(source),
            )
        )
    return tuple(made)


def _high(source: Source | None) -> bool:
    return source is not None and source.slot.width == 64 and source.low >= 32


def identity(source: Source) -> str:
    """What a byte is, wherever a layout puts it: ``ESR7``, ``far0``; counted from bit 0 up."""
    if source.slot.path in ESR_BIT:
        return f"ESR{(source.low + ESR_BIT[source.slot.path]) // 8}"
    return f"{source.path}{source.low // 8}"


def _braces(sources: Sequence[Source | None], layout: Layout) -> tuple[Span, ...]:
    """Members, holes and what was left as it was, below the bytes."""
    return tuple(
        Span(first, last, named(sources, layout, first), quiet=sources[first] is None)
        for first, last in pieces(sources, layout, 16)
    )


def versions(shown: Sequence[Versions], title: str = "", twin: str = "") -> Board:
    """Two versions of a struct, the old above the new, on one ABI or on several; or one alone.

    ``title`` is by default the verdict on these ABIs, ``twin`` the words of that. Of a large
    struct the rows that tell something come first. Raises :class:`KvmvizError` for none.
    """
    rows, left = chosen(shown)
    names = names_of(shown)
    title = title or review.headline(shown)
    notes, heads, strips = [], [], list[Strip]()
    for column, one in enumerate(shown):
        sizes = " → ".join(dict.fromkeys(str(side.layout.size) for side in one.sides))
        heads.append(f"{text.where(one.old)}: {sizes} bytes")
        hidden: dict[str, None] = {}
        for first in rows:
            for number, side in enumerate(one.sides):
                shown_arms = side.arms(first, first + CELLS)
                for arm in shown_arms[:MOST_ARMS]:
                    strips.append(_version(arm, first, column, number, names))
                for arm in shown_arms[MOST_ARMS:]:
                    hidden |= dict.fromkeys(sorted(slot.path for slot in arm.slots))
        if hidden:
            notes.append(f"{one.old.abi.name}: not drawn: {text.some([*hidden])}.")
    return Board(
        title,
        {"✓": True, "✗": False}.get(title[0]),
        (),
        tuple(strips),
        "",
        (*notes, *remarks(shown, left)),
        twin or review.told(shown, title),
        kind="beside",
        heads=tuple(heads),
    )


def _version(arm: Arm, first: int, column: int, number: int, names: Sequence[str]) -> Strip:
    """A row of a version, or of one arm of its unions."""
    side, looks = arm.side, styles(names)
    letters = {name: look.letter for name, look in looks.items()}
    stop = min(first + CELLS, side.layout.size)
    cells = []
    for at in filter(arm.is_there, range(first, stop)):
        source, judged = arm.source(at), arm.judged(at)
        place = f"{column}.{number}."
        if source is None:
            value: int | str = bytes(side.image)[at] if side.image else ""
            said = side.layout.slot_at(at).path
            cells.append(Cell(f"{place}hole{at}", at, value, "–", "unwritten", said))
            continue
        shares = source.shares
        stored = side.image is not None and side.is_stored(at)
        short = "".join(letters[share.slot.member] for share in shares)[:3]
        told = [
            share.label + (f" {judged[share.slot]}" if share.slot in judged else "")
            for share in shares
        ]
        cells.append(
            Cell(
                f"{place}{source.path}.{source.low}",
                at,
                bytes(side.image)[at] if side.image and stored else short,
                bits_of(source),
                "written",
                ", ".join(told),
                _fill(source, [looks[share.slot.member].colour for share in shares]),
                _high(source),
            )
        )
    braces = [
        Span(a, b, arm.names(a, letters), False if arm.breaks(a) else None, arm.source(a) is None)
        for a, b in arm.pieces(first, first + CELLS)
    ]
    title = side.title if arm.leads else ""
    if first >= side.layout.size:
        title += ": past its end"
    return Strip(tuple(cells), (), tuple(braces), title, column=column)


def _fill(source: Source, colours: Sequence[str]) -> str:
    """The colour of a byte; of one that members share, each as wide as its bits."""
    if not source.is_part:
        return colours[0]
    stops = ["transparent 0"]
    for share, colour in zip(source.shares, colours, strict=True):
        left, right = (7 - share.top) * 12.5, (8 - share.bottom) * 12.5
        stops.append(f"transparent {left:g}%,{colour} {left:g}% {right:g}%,transparent {right:g}%")
    return f"linear-gradient(90deg,{','.join(stops)})"


def _strip(strip: Strip) -> str:
    # No headings: what level they would have depends on the page around the board.
    verdict = {True: "title right", False: "title wrong", None: "title"}[strip.sound]
    kind = _attribute("class", verdict)
    title = f"<p{kind}>{_escaped(strip.title)}</p>" if strip.title else ""
    octets = (tuple(cells) for _, cells in groupby(strip.cells, lambda cell: cell.offset // OCTET))
    said = _attribute("aria-label", f"{len(strip.cells)} bytes")
    rows = "".join(_octet(strip, cells) for cells in octets)
    return f"{title}<div class=strip role=group{said}>{rows}</div>"


def _octet(strip: Strip, cells: Sequence[Cell]) -> str:
    """Eight bytes with the parts of hands and braces that lie over and under them."""
    first, last = cells[0].offset // OCTET * OCTET, cells[-1].offset
    # Cells stand where they fall, but behind a gap.
    gaps = [cell.offset - first != number for number, cell in enumerate(cells)]
    places = [f"--at:{c.offset - first + 1}" * gap for c, gap in zip(cells, gaps, strict=True)]
    parts = [
        *(_span("hand", span, first, last) for span in strip.hands),
        *map(_cell, cells, places),
        *(_span("brace", span, first, last) for span in strip.braces),
    ]
    bare = "" if strip.hands else " bare"
    return f"<div{_attribute('class', f'octet{bare}')}>{''.join(parts)}</div>"


def _cell(cell: Cell, place: str) -> str:
    classes: list[str] = [] if cell.state == "written" else [cell.state]
    if cell.colour in FILLS:
        classes.append(f"c{FILLS.index(cell.colour)}")
    elif cell.colour:
        place += f";--fill:{cell.colour}"
    classes += ["high"] * cell.high + ["differs"] * cell.differs
    value = cell.value if isinstance(cell.value, str) else f"{cell.value:02x}"
    return (
        f"<button{_attribute('class', ' '.join(classes))}{_attribute('name', cell.key)}"
        f"{_attribute('style', place.lstrip(';'))}>"
        f"<b>{value}</b>{_escaped(cell.bits)}<s>+{cell.offset}</s>"
        f"<span>{_escaped(cell.words)}</span></button>"
    )


def _attribute(name: str, value: str) -> str:
    """An attribute in as few letters as HTML allows; nothing for no value."""
    if not value:
        return ""
    plain = not set(value) & set(" \t\n\"'=<>`")
    return f" {name}={_escaped(value)}" if plain else f' {name}="{_escaped(value)}"'


def _span(kind: str, span: Span, first: int, last: int) -> str:
    """The part of a hand or a brace that lies in an octet; its name stands in the larger part."""
    begin, end = max(span.first, first), min(span.last, last)
    if begin > end:
        return ""
    verdict = {True: " right", False: " wrong", None: ""}[span.right]
    open_ends = " from" * (begin > span.first) + " on" * (end < span.last)
    parts = [
        min(span.last, start + OCTET - 1) - max(span.first, start) + 1
        for start in range(span.first // OCTET * OCTET, span.last + 1, OCTET)
    ]
    largest = parts.index(max(parts)) == begin // OCTET - span.first // OCTET
    room = LETTERS_A_CELL * (end - begin + 1) * largest
    name = next((name for name in span.names if len(name) <= room), "")
    quiet, place = " quiet" * span.quiet, f"--at:{begin - first + 1};" * (begin > first)
    return (
        f"<span{_attribute('class', f'{kind}{verdict}{quiet}{open_ends}')}"
        f" style={place}--n:{end - begin + 1}>{_escaped(name)}</span>"
    )


def _escaped(said: str) -> str:
    return html.escape(said, quote=True)


def asset(name: str, package: str = "kvmviz.web") -> str:
    """A style sheet or script that lies beside a module, without indentation and comments."""
    held = resources.files(package).joinpath(name).read_text("utf-8")
    lines = map(str.strip, held.splitlines())
    return "".join(f"{line}\n" for line in lines if line and not line.startswith("//"))


@cache
def css() -> str:
    """The style sheet of the board, with the colours of members."""
    fills = "".join(f".kv-board .c{n}{{--fill:{fill}}}" for n, fill in enumerate(FILLS))
    return f"{asset('board.css')}{fills}\n"


@cache
def script() -> str:
    """The script of the board: ``kvmviz.settle(figure)`` after a state was chosen."""
    return asset("board.js")

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
from kvmviz.image import pieces, unwritten
from kvmviz.kvm import words
from kvmviz.kvm.kernel import ESR_BIT
from kvmviz.kvm.page import Step
from kvmviz.kvm.program import Conclusion, Reading
from kvmviz.layout import Layout
from kvmviz.slot import Source
from kvmviz.style import FILLS, ON_THE_PAGE, USERSPACE, styles

OCTET = 8
"""Bytes that stay side by side: two octets make a row, one where the page is narrow."""

LETTERS_A_CELL = 5
"""Letters of a label that have room under one cell of the narrowest board."""

PAGE = styles(ON_THE_PAGE)
"""Letters and colours of all that can stand on the page, the same at every step."""

State = Literal["written", "unwritten", "past", "fresh", "stale", "untouched"]
"""Of a cell. ``past``: behind the struct that the kernel wrote."""


@dataclass(frozen=True)
class Cell:
    """One byte: its value, the ``bits`` that it holds, whose they are, and its identity ``key``.

    ``colour`` is that of the member, None where nobody wrote; ``high``: it belongs to the upper
    half of a member of 64 bits. ``words`` say all of it, for whoever points at the cell.
    """

    key: str
    offset: int
    value: int
    bits: str
    state: State
    words: str
    colour: str | None = None
    high: bool = False


@dataclass(frozen=True)
class Span:
    """Something that holds for bytes ``first`` to ``last``: a reader's hand, a member's brace.

    ``right`` is None where nothing is judged; ``quiet``: what lies there was not written.
    """

    first: int
    last: int
    name: str
    right: bool | None = None
    quiet: bool = False


@dataclass(frozen=True)
class Strip:
    """Bytes in a row: above them who takes them for what, below them whose they are."""

    cells: tuple[Cell, ...]
    hands: tuple[Span, ...]
    braces: tuple[Span, ...]
    title: str = ""


@dataclass(frozen=True, repr=False)
class Board:
    """One state: ``headline`` verdict, what it is of, strips of bytes, the effect in a sentence.

    ``sound`` is the verdict: right, wrong, or None where there is none. ``twin`` is the text twin
    of what it shows, the same that the Python object has.
    """

    headline: str
    sound: bool | None
    about: tuple[str, ...]
    strips: tuple[Strip, ...]
    effect: str
    notes: tuple[str, ...]
    twin: str

    def __repr__(self) -> str:
        return self.twin

    def html(self, classes: str = "") -> str:
        """The state as one element, the same bytes each time."""
        verdict = {True: "right", False: "wrong", None: ""}[self.sound]
        head = "".join(f"<span>{_escaped(line)}</span>" for line in self.about)
        notes = "".join(f"<p>{_escaped(line)}</p>" for line in self.notes)
        return (
            f'<article class="{" ".join(filter(None, ("kv-board", verdict, classes)))}">'
            f"<header><strong>{_escaped(self.headline)}</strong>{head}</header>"
            f"{''.join(map(_strip, self.strips))}"
            f"<p class=effect>{_escaped(self.effect)}</p>{notes}"
            f"<details><summary>in words</summary>"
            f"<pre tabindex=0>{_escaped(self.twin)}</pre></details></article>"
        )


def reading(shown: Reading) -> Board:
    """One kernel's bytes, the bytes that one program takes of them, and what comes of it."""
    layout = shown.image.layout
    return Board(
        words.headline(shown),
        shown.sound,
        (
            text.where(layout),
            f"{shown.kernel.name} kernel → VMM: {shown.vmm.title}",
            words.held(shown.esr),
        ),
        (Strip(_cells(shown), _hands(shown), _braces(shown.image.sources, layout)),),
        shown.effect,
        tuple(words.remarks(shown)),
        repr(shown),
    )


HEAD, UNION = range(8, 16), range(32, 48)
"""The bytes of struct kvm_run that a step is shown by: exit_reason and flags; the exit union as
far as a debug exit can fill it. The text twin has all of the first 64."""


def step(seen: Conclusion) -> Board:
    """The page at one step of its history, and what one program concludes from it."""
    now = seen.step
    causes = words.causes(seen)
    union = now.page.layout.offsets["debug"]
    hands = [
        replace(hand, first=hand.first + union, last=hand.last + union)
        for hand in (_hands(seen.reading) if seen.reading else ())
    ]
    for stale, rows in groupby(seen.fooled, lambda row: row.stale):
        offsets = [row.offset for row in rows if row.offset in HEAD]
        if offsets:
            hands.append(Span(offsets[0], offsets[-1], "stale" if stale else "✗", False))
    mark = "" if not seen.looks else "✓ " if seen.right else "✗ "
    verdict = words.sentence(seen).removesuffix("".join(f"; {cause}" for cause in causes))
    verdict, _, held = verdict.removeprefix("WRONG: ").partition(", the kernel held ")
    effect = [f"The kernel held {held}."] if held else []
    effect.append(_sentence(causes[0] if causes else words.written_words(now)))
    return Board(
        mark + verdict,
        seen.right if seen.looks else None,
        (f"{now.kernel.name} kernel, {text.where(now.page.layout)}", f"VMM: {seen.vmm.title}"),
        tuple(
            Strip(
                _page_cells(now, offsets),
                tuple(hand for hand in hands if hand.first in offsets),
                _page_braces(now, offsets),
            )
            for offsets in (HEAD, UNION)
        ),
        " ".join(effect),
        (words.title(now), *map(_sentence, causes[1:])),
        f"{seen!r}\n{now!r}",
    )


def _sentence(said: str) -> str:
    return f"{said[:1].upper()}{said[1:]}." if said else ""


def _page_cells(now: Step, offsets: range) -> tuple[Cell, ...]:
    made = []
    for at in offsets:
        source, state = now.page.sources[at], now.state(at)
        who = words.who(source, now.number)
        if source is None:
            said = f"byte {at}: {who}"
        else:
            said = f"byte {at}: {_whose(source)}[{source.bits}], {state}: {who}"
        made.append(
            Cell(
                f"page{at}",
                at,
                now.page.data[at],
                source.bits if source else "–",
                state,
                said,
                PAGE[_whose(source).rpartition(".")[2]].colour if source else None,
                source is not None and source.slot.width == 64 and source.low >= 32,
            )
        )
    return tuple(made)


def _whose(source: Source) -> str:
    """The member that a byte of the page belongs to: of no member what userspace put there."""
    return USERSPACE if source.slot.path == "padding" else source.member


def _page_braces(now: Step, offsets: range) -> tuple[Span, ...]:
    def writer(at: int) -> object:
        source = now.page.sources[at]
        return source and (source.slot, source.write)

    found = []
    for first, last in text.runs(offsets, writer):
        source = now.page.sources[first]
        name = _whose(source).rpartition(".")[2] if source else "never written"
        name = f"{PAGE[name].letter} {name}" if source else name
        found.append(Span(first, last, name, quiet=now.state(first) != "fresh"))
    return tuple(found)


def _hands(shown: Reading) -> tuple[Span, ...]:
    hands = [_hand(run.first, run.last, run.wanted, run.found) for run in shown.runs]
    if lost := shown.lost_far:
        hands.append(Span(lost[0], lost[-1], "far", False))
    return tuple(hands)


def _hand(first: int, last: int, wanted: tuple[int, int], found: tuple[int, int] | None) -> Span:
    return Span(first, last, f"ESR[{wanted[0]}:{wanted[1]}]", found == wanted)


def _cells(shown: Reading) -> tuple[Cell, ...]:
    """The bytes of the struct, and those behind it that the program takes."""
    image, fills = shown.image, styles(shown.image.layout.named)
    count = max((len(image), *(run.last + 1 for run in shown.runs)))
    count = max((count, *(at + 1 for at in shown.lost_far)))
    made, seen = [], Counter[str]()
    for at in range(count):
        if at >= len(image):
            said = f"byte {at}, past the struct: whatever the memory holds there"
            made.append(Cell(f"memory{at}", at, shown.beyond, "–", "past", said))
            continue
        source, value = image.sources[at], image.data[at]
        if source is None:
            said = f"byte {at}: {unwritten(image.layout, at)[1:-1]}, not written by this exit"
            made.append(Cell(f"memory{at}", at, value, "–", "unwritten", said))
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
                f"byte {at}: {source.path}[{source.bits}]",
                fills[source.slot.member].colour,
                source.slot.width == 64 and source.low >= 32,
            )
        )
    return tuple(made)


def identity(source: Source) -> str:
    """What a byte is, wherever a layout puts it: ``ESR7``, ``far0``; counted from bit 0 up."""
    if source.slot.path in ESR_BIT:
        return f"ESR{(source.low + ESR_BIT[source.slot.path]) // 8}"
    return f"{source.path}{source.low // 8}"


def _braces(sources: Sequence[Source | None], layout: Layout) -> tuple[Span, ...]:
    """Members, holes and what was left as it was, below the bytes."""
    letters = styles(layout.named)
    found = []
    for first, last in pieces(sources, layout, 16):
        source = sources[first]
        if source is not None:
            name = f"{letters[source.slot.member].letter} {source.slot.path}"
        else:
            slot = layout.slot_at(first)
            name = (
                f"{slot.path.split(' after')[0]}: not written"
                if slot.is_padding
                else f"{letters[slot.member].letter} {slot.path}: left as it was"
            )
        found.append(Span(first, last, name, quiet=source is None))
    return tuple(found)


def _strip(strip: Strip) -> str:
    title = f"<h4>{_escaped(strip.title)}</h4>" if strip.title else ""
    octets = (strip.cells[start : start + OCTET] for start in range(0, len(strip.cells), OCTET))
    said = f"{len(strip.cells)} bytes"
    rows = "".join(_octet(strip, cells) for cells in octets)
    return f'{title}<div class=strip role=group aria-label="{said}">{rows}</div>'


def _octet(strip: Strip, cells: Sequence[Cell]) -> str:
    """Eight bytes with the parts of hands and braces that lie over and under them."""
    first, last = cells[0].offset, cells[-1].offset
    parts = [
        *(_span("hand", span, first, last) for span in strip.hands),
        *map(_cell, cells),
        *(f"<s>+{cell.offset}</s>" for cell in cells),
        *(_span("brace", span, first, last) for span in strip.braces),
    ]
    bare = "" if strip.hands else " bare"
    return f"<div{_attribute('class', f'octet{bare}')}>{''.join(parts)}</div>"


def _cell(cell: Cell) -> str:
    classes = [] if cell.state == "written" else [cell.state]
    if cell.colour:
        classes.append(f"c{FILLS.index(cell.colour)}")
    if cell.high:
        classes.append("high")
    return (
        f"<button{_attribute('class', ' '.join(classes))}{_attribute('data-key', cell.key)}>"
        f"<b>{cell.value:02x}</b><i>{_escaped(cell.bits)}</i>"
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
    named = parts.index(max(parts)) == begin // OCTET - span.first // OCTET
    name = _fitting(span.name, end - begin + 1) if named else ""
    quiet = " quiet" if span.quiet else ""
    return (
        f"<span{_attribute('class', f'{kind}{verdict}{quiet}{open_ends}')}"
        f" style=--at:{begin - first + 1};--n:{end - begin + 1}>{_escaped(name)}</span>"
    )


def _fitting(name: str, cells: int) -> str:
    """As much of a name as has room: all of it, without its last words, or its letter."""
    for tried in (name, name.partition(":")[0], name.partition(" ")[0]):
        if len(tried) <= LETTERS_A_CELL * cells:
            return tried
    return ""


def _escaped(said: str) -> str:
    return html.escape(said, quote=True)


def _asset(name: str) -> str:
    return resources.files("kvmviz.web").joinpath(name).read_text("utf-8")


@cache
def css() -> str:
    """The style sheet of the board, with the colours of members."""
    fills = "".join(f".kv-board .c{n}{{--fill:{fill}}}" for n, fill in enumerate(FILLS))
    return _asset("board.css") + fills + "\n"


@cache
def script() -> str:
    """The script of the board: ``kvmviz.settle(figure)`` after a state was chosen."""
    return _asset("board.js")

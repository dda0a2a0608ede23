"""The board: bytes as HTML cells, with what they hold, who takes them for what, and the verdict.

Python writes all that is seen, and all of it is text that a screen reader reads. A cell's ``key``
is the identity of its byte (byte 7 of ESR, byte 0 of far, the memory at offset 4): where a state
changes, ``board.js`` lets cells of equal keys travel, and draws nothing. Neither matplotlib nor
ipywidgets is needed.
"""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from importlib import resources
from itertools import groupby
from typing import Literal

from kvmviz import text
from kvmviz.image import pieces, unwritten
from kvmviz.kvm import words
from kvmviz.kvm.conclusion import Conclusion, conclude
from kvmviz.kvm.kernel import ESR_BIT
from kvmviz.kvm.page import Step
from kvmviz.kvm.program import Reading
from kvmviz.kvm.scene import Scene, difference, headline
from kvmviz.layout import Layout
from kvmviz.review import versions as review
from kvmviz.review.rows import CELLS, MOST_ARMS, Arm, arms, chosen
from kvmviz.review.versions import Versions, names_of
from kvmviz.slot import Source, bits_of
from kvmviz.style import FILLS, ON_THE_PAGE, USERSPACE, Style, styles

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

    ``right`` is None where nothing is judged; ``quiet``: what lies there was not written.
    """

    first: int
    last: int
    name: str
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

    def html(self, classes: str = "") -> str:
        """The state as one element, the same bytes each time."""
        verdict = {True: "right", False: "wrong", None: ""}[self.sound]
        head = "".join(f"<span>{_escaped(line)}</span>" for line in self.about)
        notes = "".join(f"<p>{_escaped(line)}</p>" for line in self.notes)
        if self.kind == "page":  # as high from step to step
            notes = f"<div class=notes>{notes}</div>"
        steps = "".join(
            f"<li{' aria-current=step' * (number == self.now)}>{_escaped(line)}</li>"
            for number, line in enumerate(self.steps)
        )
        kinds = filter(None, ("kv-board", self.kind, verdict, classes))
        return (
            f'<article class="{" ".join(kinds)}">'
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
            f"<div><h3>{_escaped(head)}</h3>"
            f"{''.join(_strip(strip) for strip in self.strips if strip.column == number)}</div>"
            for number, head in enumerate(self.heads)
        )
        return f"<div class=columns>{''.join(columns)}</div>"


def reading(shown: Reading) -> Board:
    """One kernel's bytes, the bytes that one program takes of them, and what comes of it."""
    layout = shown.image.layout
    return Board(
        words.headline(shown),
        shown.sound,
        (
            text.where(layout),
            f"{shown.kernel.name} kernel → VMM: {shown.vmm.name}",
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
    verdict, effect = _concluded(seen)
    return Board(
        verdict,
        seen.right if seen.looks else None,
        (f"{now.kernel.name} kernel, {text.where(now.page.layout)}", f"VMM: {seen.vmm.name}"),
        tuple(_page_strip(seen, offsets) for offsets in (HEAD, UNION)),
        effect,
        (words.title(now), *map(_sentence, causes[1:])),
        f"{seen!r}\n{now!r}",
    )


STEPS = 5
"""Steps that are listed around the one that is shown."""


def history(shown: Scene, full: bool = False) -> Board:
    """Where time stands in a scene, on one page or the same on two, and the steps around it.

    ``full``: all of the first 64 bytes, else those by which a step is told.
    """
    about = [shown.subtitle]
    about += filter(None, (shown.scenario.note, "bits 63:32 of ESR synthetic" * _synthetic(shown)))
    if not shown.rows:
        nothing = "every byte is 0, and nobody has written any"
        return Board(
            "before any step", None, tuple(about), (), nothing, (), repr(shown), kind="page"
        )
    seen, differing = shown.rows[-1], shown.differing[-1]
    offsets = range(words.SHOWN) if full else (*HEAD, *UNION)
    strips = []
    for one in seen:
        title, name = "", f"{one.step.kernel.name} kernel"
        if len(seen) > 1:
            title = f"{name}: {headline(one)}" if one.looks else name
        strip = _page_strip(one, offsets, differing)
        strips.append(replace(strip, title=title, sound=one.right if one.looks else None))
    first = seen[0]
    causes = [cause for one in seen for cause in words.causes(one)]
    verdict, effect = _concluded(first)
    if len(seen) > 1:
        verdict = words.title(first.step)
        effect = _sentence(difference(differing))
    sounds = {one.right for one in seen if one.looks}
    more = list(dict.fromkeys(causes if len(seen) > 1 else causes[1:]))
    held = [words.completion(first.step) or "", words.beyond(first.step), *more]
    listed, now = _around(shown)
    return Board(
        verdict,
        all(sounds) if sounds else None,
        tuple(about),
        tuple(strips),
        effect,
        tuple(map(_sentence, filter(None, held))),
        repr(shown),
        listed,
        now,
        "page",
    )


def _synthetic(shown: Scene) -> bool:
    return bool(shown.scenario.synthetic)


def _around(shown: Scene) -> tuple[tuple[str, ...], int]:
    """Steps around the one that is shown, of those not yet reached the titles alone."""
    first = max(0, min(shown.step - STEPS // 2, shown.count - STEPS))
    history = shown.pages[0].history[first : first + STEPS]
    listed = []
    for step in history:
        reached = step.number <= shown.step
        marks = [
            "✓" if seen.right else "✗"
            for page in shown.pages
            if (seen := conclude(page.history[step.number], shown.vmm)).looks and reached
        ]
        listed.append(f"{''.join(marks) or '·'} {words.title(step)}")
    return tuple(listed), shown.step - first


def _concluded(seen: Conclusion) -> tuple[str, str]:
    """What a program concludes, in a line, and what comes of it in a sentence."""
    causes = words.causes(seen)
    mark = "" if not seen.looks else "✓ " if seen.right else "✗ "
    verdict = words.sentence(seen).removesuffix("".join(f"; {cause}" for cause in causes))
    verdict, _, held = verdict.removeprefix("WRONG: ").partition(", the kernel held ")
    effect = [f"The kernel held {held}."] if held else []
    effect.append(_sentence(causes[0] if causes else words.written_words(seen.step)))
    return mark + verdict, " ".join(effect)


def _page_strip(seen: Conclusion, offsets: Sequence[int], differing: Sequence[int] = ()) -> Strip:
    """Some bytes of the page, with what the program takes them for."""
    now = seen.step
    union = now.page.layout.offsets["debug"]
    hands = [
        replace(hand, first=hand.first + union, last=hand.last + union)
        for hand in (_hands(seen.reading) if seen.reading else ())
    ]
    for stale, rows in groupby(seen.fooled, lambda row: row.stale):
        fooled = [row.offset for row in rows if row.offset in HEAD]
        if fooled:
            hands.append(Span(fooled[0], fooled[-1], "stale" if stale else "✗", False))
    return Strip(
        _page_cells(now, offsets, differing),
        tuple(hand for hand in hands if hand.first in offsets),
        _page_braces(now, offsets),
    )


def _sentence(said: str) -> str:
    return f"{said[:1].upper()}{said[1:]}." if said else ""


def _page_cells(now: Step, offsets: Sequence[int], differing: Sequence[int]) -> tuple[Cell, ...]:
    made = []
    for at in offsets:
        source, state = now.page.sources[at], now.state(at)
        who = words.who(source, now.number)
        if source is None:
            said = f"byte {at}: {who}"
        else:
            said = f"byte {at}: {_whose(source)}[{source.bits}], {state}: {who}"
        said += "; the other page holds another value" * (at in differing)
        made.append(
            Cell(
                f"page{at}",
                at,
                now.page.data[at],
                source.bits if source else "–",
                state,
                said,
                _on_the_page(_whose(source).rpartition(".")[2]).colour if source else None,
                source is not None and source.slot.width == 64 and source.low >= 32,
                at in differing,
            )
        )
    return tuple(made)


@lru_cache(maxsize=64)
def _on_the_page(name: str) -> Style:
    """Letter and colour of what can stand on the page, the same at every step."""
    return styles(dict.fromkeys((*ON_THE_PAGE, name)))[name]


def _whose(source: Source) -> str:
    """The member that a byte of the page belongs to: of no member what userspace put there."""
    return USERSPACE if source.slot.path == "padding" else source.member


def _page_braces(now: Step, offsets: Sequence[int]) -> tuple[Span, ...]:
    def writer(at: int) -> object:
        source = now.page.sources[at]
        return source and (source.slot, source.write)

    found = []
    for first, last in text.runs(offsets, writer):
        source = now.page.sources[first]
        name = _whose(source).rpartition(".")[2] if source else "never written"
        name = f"{_on_the_page(name).letter} {name}" if source else name
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


def versions(shown: Sequence[Versions], title: str = "", twin: str = "") -> Board:
    """Two versions of a struct, the old above the new, on one ABI or on several; or one alone.

    ``title`` is by default the verdict on these ABIs, ``twin`` the words of that. Of a large
    struct the rows that tell something come first. Raises :class:`KvmvizError` for none.
    """
    rows, left = chosen(shown)
    names = names_of(shown)
    title = title or review.headline(shown)
    notes = [f"Left out: {text.spans(left)}."] if left else []
    heads, strips = [], list[Strip]()
    for column, one in enumerate(shown):
        sizes = " → ".join(dict.fromkeys(str(side.layout.size) for side in one.sides))
        heads.append(f"{text.where(one.old)}: {sizes} bytes")
        sides = arms(one)
        hidden: dict[str, None] = {}
        for first in rows:
            for number, side in enumerate(sides):
                shown_arms = side.between(first, first + CELLS)
                for arm in shown_arms[:MOST_ARMS]:
                    strips.append(_version(arm, first, column, number, names))
                for arm in shown_arms[MOST_ARMS:]:
                    hidden |= dict.fromkeys(sorted(slot.path for slot in arm.slots))
        if hidden:
            notes.append(f"{one.old.abi.name}: not drawn: {text.some([*hidden])}.")
    if len(shown[0].sides) > 1:
        notes.append("Below old: what an old program gets of new bytes. Below new: the reverse.")
    words_ = "\n".join((title, *(review.words_of(one, names) for one in shown)))
    return Board(
        title,
        {"✓": True, "✗": False}.get(title[0]),
        (),
        tuple(strips),
        "",
        tuple(notes),
        twin or words_,
        kind="beside",
        heads=tuple(heads),
    )


def _version(arm: Arm, first: int, column: int, number: int, names: Sequence[str]) -> Strip:
    """A row of a version, or of one arm of its unions."""
    side, looks = arm.side, styles(names)
    stop = min(first + CELLS, side.layout.size)
    cells = []
    for at in filter(arm.is_there, range(first, stop)):
        source, judged = arm.source(at), arm.judged(at)
        place = f"{column}.{number}."
        if source is None:
            hole = side.layout.slot_at(at).path
            value: int | str = bytes(side.image)[at] if side.image else ""
            said = f"byte {at}: {hole}"
            cells.append(Cell(f"{place}hole{at}", at, value, "–", "unwritten", said))
            continue
        shares = source.shares
        stored = side.image is not None and side.is_stored(at)
        letters = "".join(looks[share.slot.member].letter for share in shares)
        told = [
            share.label + (f" {judged[share.slot]}" if share.slot in judged else "")
            for share in shares
        ]
        cells.append(
            Cell(
                f"{place}{source.path}.{source.low}",
                at,
                bytes(side.image)[at] if side.image and stored else letters[:3],
                bits_of(source),
                "written",
                f"byte {at}: {', '.join(told)}",
                _fill(source, [looks[share.slot.member].colour for share in shares]),
                source.slot.width == 64 and source.low >= 32,
            )
        )
    braces = [_judged(arm, a, b, looks) for a, b in arm.pieces(first, first + CELLS)]
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


def _judged(arm: Arm, first: int, last: int, looks: Mapping[str, Style]) -> Span:
    """What lies in neighbouring bytes of a version, and what its reader gets of it."""
    source, judged = arm.source(first), arm.judged(first)
    if source is None:
        outer, _, inner = arm.side.layout.slot_at(first).path.rpartition(": ")
        kind = inner.partition(" after")[0]
        return Span(first, last, f"{kind} in {outer}" if outer else kind, quiet=True)
    told = []
    for share in source.shares:
        status = judged.get(share.slot)
        sign = "" if status is None else " ✓" if status == "intact" else f" ✗ {status}"
        path = share.label if share.is_part else share.slot.path
        told.append(f"{looks[share.slot.member].letter} {path}{sign}")
    wrong = any(status != "intact" for status in judged.values())
    return Span(first, last, ", ".join(told), False if wrong else None)


def _strip(strip: Strip) -> str:
    verdict = {True: " class=right", False: " class=wrong", None: ""}[strip.sound]
    title = f"<h4{verdict}>{_escaped(strip.title)}</h4>" if strip.title else ""
    octets = (tuple(cells) for _, cells in groupby(strip.cells, lambda cell: cell.offset // OCTET))
    said = f"{len(strip.cells)} bytes"
    rows = "".join(_octet(strip, cells) for cells in octets)
    return f'{title}<div class=strip role=group aria-label="{said}">{rows}</div>'


def _octet(strip: Strip, cells: Sequence[Cell]) -> str:
    """Eight bytes with the parts of hands and braces that lie over and under them."""
    first, last = cells[0].offset // OCTET * OCTET, cells[-1].offset
    # Cells stand where they fall, but behind a gap.
    gaps = [cell.offset - first != number for number, cell in enumerate(cells)]
    places = [f"--at:{c.offset - first + 1}" * gap for c, gap in zip(cells, gaps, strict=True)]
    parts = [
        *(_span("hand", span, first, last) for span in strip.hands),
        *map(_cell, cells, places),
        *(
            f"<s{_attribute('style', place)}>+{cell.offset}</s>"
            for cell, place in zip(cells, places, strict=True)
        ),
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
        f"<b>{value}</b><i>{_escaped(cell.bits)}</i>"
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
    letter, mark = name.partition(" ")[0], "✗" * ("✗" in name)
    for tried in (name, name.partition(":")[0], letter + mark, letter):
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

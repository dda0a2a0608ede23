"""Boards in HTML: text that a screen reader reads, laid out by a style sheet.

Python writes all that is seen. Where a state changes, ``board.js`` lets cells of equal keys travel
from where they were to where they are, and draws nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from html import escape
from importlib import resources
from itertools import groupby

from kvmviz._base import counted
from kvmviz.board import Board, Cell, Fill, Span, Strip
from kvmviz.style import FILLS

OCTET = 8
"""Bytes that stay side by side: two octets make a row, one where the page is narrow."""

LETTERS_A_CELL = 5
"""Letters of a label that have room under one cell of the narrowest board."""

VERDICTS = {True: "right", False: "wrong", None: ""}


def article(shown: Board, classes: str = "", name: str = "") -> str:
    """A state as one element, the same bytes each time; ``name`` is its link's."""
    head = "".join(f"<span>{escape(line)}</span>" for line in shown.about)
    notes = "".join(f"<p>{escape(line)}</p>" for line in shown.notes)
    if shown.kind == "page":  # as high from step to step
        notes = f"<div class=notes>{notes}</div>"
    steps = "".join(
        f"<li{' aria-current=step' * (number == shown.now)}>{escape(line)}</li>"
        for number, line in enumerate(shown.steps)
    )
    kinds = " ".join(filter(None, ("kv-board", shown.kind, VERDICTS[shown.sound], classes)))
    return (
        f"<article{_attribute('id', name)}{_attribute('class', kinds)}>"
        f"<header><strong>{escape(shown.headline)}</strong>{head}</header>"
        f"{_strips(shown)}"
        f"{f'<p class=effect>{escape(shown.effect)}</p>' if shown.effect else ''}{notes}"
        f"{f'<ol class=steps>{steps}</ol>' if steps else ''}"
        f"<details><summary>in words</summary>"
        f"<pre tabindex=0>{escape(shown.twin)}</pre></details></article>"
    )


def _strips(shown: Board) -> str:
    if not shown.heads:
        return "".join(map(_strip, shown.strips))
    columns = (
        f"<div><p class=head>{escape(head)}</p>"
        f"{''.join(_strip(strip) for strip in shown.strips if strip.column == number)}</div>"
        for number, head in enumerate(shown.heads)
    )
    return f"<div class=columns>{''.join(columns)}</div>"


def _strip(strip: Strip) -> str:
    # No headings: what level they would have depends on the page around the board.
    kind = _attribute("class", f"title {VERDICTS[strip.sound]}".strip())
    title = f"<p{kind}>{escape(strip.title)}</p>" if strip.title else ""
    if not strip.cells:
        return title
    octets = groupby(strip.cells, lambda cell: cell.offset // OCTET)
    rows = "".join(_octet(strip, tuple(cells)) for _, cells in octets)
    said = _attribute("aria-label", counted(len(strip.cells), "byte"))
    return f"{title}<div class=strip role=group{said}>{rows}</div>"


def _octet(strip: Strip, cells: Sequence[Cell]) -> str:
    """Eight bytes with the parts of hands and braces that lie over and under them."""
    first, last = cells[0].offset // OCTET * OCTET, cells[-1].offset
    parts = [_span("hand", span, first, last) for span in strip.hands]
    for number, cell in enumerate(cells):
        # Cells stand where they fall, but behind a gap.
        at = cell.offset - first
        parts.append(_cell(cell, f"--at:{at + 1}" if at != number else ""))
    parts += (_span("brace", span, first, last) for span in strip.braces)
    kind = "class=octet" if any(parts[: len(strip.hands)]) else 'class="octet bare"'
    return f"<div {kind}>{''.join(parts)}</div>"


def _cell(cell: Cell, place: str) -> str:
    classes: list[str] = [] if cell.state == "written" else [cell.state]
    if cell.is_whole:
        classes.append(f"c{FILLS.index(cell.fills[0].colour)}")
    elif cell.fills:
        place += f";--fill:{_gradient(cell.fills)}"
    classes += ["high"] * cell.high + ["differs"] * cell.differs
    return (
        f"<button{_attribute('class', ' '.join(classes))}{_attribute('name', cell.key)}"
        f"{_attribute('style', place.lstrip(';'))}>"
        f"<b>{cell.value}</b>{escape(cell.bits)}<s>+{cell.offset}</s>"
        f"<span>{escape(cell.words)}</span></button>"
    )


def _gradient(fills: Sequence[Fill]) -> str:
    """The colours of members that share a byte, each as wide as its bits."""
    stops = ["transparent 0"]
    for colour, top, bottom in fills:
        left, right = (7 - top) * 12.5, (8 - bottom) * 12.5
        stops.append(f"transparent {left:g}%,{colour} {left:g}% {right:g}%,transparent {right:g}%")
    return f"linear-gradient(90deg,{','.join(stops)})"


def _span(kind: str, span: Span, first: int, last: int) -> str:
    """The part of a hand or a brace that lies in an octet; its name stands in the larger part."""
    begin, end = max(span.first, first), min(span.last, last)
    if begin > end:
        return ""
    ends = (" from" * (begin > span.first), " on" * (end < span.last), " quiet" * span.quiet)
    kinds = f"{kind} {VERDICTS[span.right]}".strip() + "".join(ends)
    parts = [
        min(span.last, start + OCTET - 1) - max(span.first, start) + 1
        for start in range(span.first // OCTET * OCTET, span.last + 1, OCTET)
    ]
    largest = parts.index(max(parts)) == begin // OCTET - span.first // OCTET
    room = LETTERS_A_CELL * (end - begin + 1) * largest
    name = next((name for name in span.names if len(name) <= room), "")
    place = f"--at:{begin - first + 1};" * (begin > first)
    return (
        f"<span{_attribute('class', kinds)} style={place}--n:{end - begin + 1}>"
        f"{escape(name)}</span>"
    )


def _attribute(name: str, value: str) -> str:
    """An attribute in as few letters as HTML allows; nothing for no value."""
    if not value:
        return ""
    plain = not set(value) & set(" \t\n\"'=<>`")
    return f" {name}={escape(value)}" if plain else f' {name}="{escape(value)}"'


def asset(name: str, package: str = "kvmviz.web") -> str:
    """A style sheet or script that lies beside a module, without indentation and comments."""
    held = resources.files(package).joinpath(name).read_text("utf-8")
    lines = map(str.strip, held.splitlines())
    return "".join(f"{line}\n" for line in lines if line and not line.startswith("//"))


@cache
def css() -> str:
    """The style sheet of boards, with the colours of members."""
    fills = "".join(f".kv-board .c{n}{{--fill:{fill}}}" for n, fill in enumerate(FILLS))
    return f"{asset('board.css')}{fills}\n"


@cache
def script() -> str:
    """The script of boards: ``kvmviz.settle(figure)`` after a state was chosen."""
    return asset("board.js")

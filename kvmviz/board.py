"""The board: bytes as cells, with what they hold, who takes them for what, and the verdict.

What pictures and pages show alike is decided here, once: :mod:`kvmviz.draw` and
:mod:`kvmviz.web.html` only give it sizes and places. Needs neither matplotlib nor ipywidgets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, NamedTuple

from kvmviz import text
from kvmviz._base import chosen
from kvmviz.image import pieces, unwritten
from kvmviz.kvm.conclusion import Conclusion, conclude
from kvmviz.kvm.kernel import ESR_BIT, reason_name
from kvmviz.kvm.page import SHOWN, Step, who
from kvmviz.kvm.program import Reading, held
from kvmviz.kvm.scenario import Scene, difference
from kvmviz.layout import Layout
from kvmviz.review import versions as review
from kvmviz.review.versions import CELLS, MOST_ARMS, Version, Versions
from kvmviz.slot import Source, bits_of
from kvmviz.style import ON_THE_PAGE, USERSPACE, Style, styles

State = Literal["written", "unwritten", "past", "fresh", "stale", "untouched"]
"""Of a cell. ``past``: behind the struct that the kernel wrote."""


class Fill(NamedTuple):
    """The colour of a member in a cell, over the bits ``top`` to ``bottom`` that it holds."""

    colour: str
    top: int
    bottom: int

    @property
    def bits(self) -> int:
        """How many bits those are."""
        return self.top - self.bottom + 1


@dataclass(frozen=True)
class Cell:
    """One byte: its value, the ``bits`` that it holds, whose they are, and its identity ``key``.

    ``fills`` are the colours of its members, none where nobody wrote; ``high``: it belongs to the
    upper half of a member of 64 bits. ``words`` say all of it, for whoever points at the cell.
    Without a value, letters of the members stand for it. ``differs``: the page beside it holds
    another.
    """

    key: str
    offset: int
    value: str
    bits: str
    state: State
    words: str
    fills: tuple[Fill, ...] = ()
    high: bool = False
    differs: bool = False

    @property
    def is_whole(self) -> bool:
        """One member has all of the byte."""
        return len(self.fills) == 1 and self.fills[0].bits == 8


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

    ``sound`` is the verdict that stands in its ``title``, if there is one. Where a board has
    columns, strips of equal rank in all of them stand side by side; one may be empty.
    """

    cells: tuple[Cell, ...]
    hands: tuple[Span, ...]
    braces: tuple[Span, ...]
    title: str = ""
    sound: bool | None = None
    column: int = 0


@dataclass(frozen=True)
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

    @property
    def spoken(self) -> str:
        """What a screen reader says of it: the verdicts, their marks in words, and the effect."""
        judged = (strip.title for strip in self.strips if strip.sound is not None)
        said = ". ".join(filter(None, (self.headline, *judged, self.effect)))
        return said.replace("✗", "wrong:").replace("✓", "right:")

    def __repr__(self) -> str:
        return self.twin


def _cell(
    key: str, at: int, value: str, source: Source | None, said: str, looks: Iterable[Style] = (),
    state: State | None = None,
) -> Cell:  # fmt: skip
    """A byte with all that follows from its source; ``looks`` are those of its members."""
    shares = source.shares if source else ()
    fills = [Fill(a.colour, b.top, b.bottom) for a, b in zip(looks, shares, strict=True)]
    high = source is not None and source.slot.width == 64 and source.low >= 32
    state = state or ("written" if source else "unwritten")
    return Cell(key, at, value, bits_of(source), state, said, tuple(fills), high)


# --- a struct --------------------------------------------------------------------------------


def strip(
    layout: Layout,
    sources: Sequence[Source | None],
    data: bytes | None = None,
    hands: Sequence[Span] = (),
) -> Strip:
    """The bytes of a struct with members and holes; without ``data`` the layout alone."""
    looks, seen, cells = styles(layout.named), Counter[str](), []
    for at, source in enumerate(sources):
        value = "" if data is None else f"{data[at]:02x}"
        if source is None:
            cells.append(_cell(f"at{at}", at, value, None, unwritten(layout, at)[1:-1]))
            continue
        key = identity(source)
        seen[key] += 1
        key += "again" * (seen[key] > 1)
        said = ", ".join(f"{share.path}[{share.bits}]" for share in source.shares)
        shares = (looks[share.slot.member] for share in source.shares)
        cells.append(_cell(key, at, value, source, said, shares))
    hatched = "no member" if data is None else "not written"
    braces = [
        Span(
            first,
            last,
            _names(looks, layout, sources[first], first, hatched),
            quiet=sources[first] is None,
        )
        for first, last in pieces(sources, layout, None)
    ]
    return Strip(tuple(cells), tuple(hands), tuple(braces))


def identity(source: Source) -> str:
    """What a byte is, wherever a layout puts it: ``ESR7``, ``far0``; counted from bit 0 up."""
    if source.slot.path in ESR_BIT:
        return f"ESR{(source.low + ESR_BIT[source.slot.path]) // 8}"
    return f"{source.path}{source.low // 8}"


def _names(
    looks: Mapping[str, Style], layout: Layout, source: Source | None, at: int, hatched: str
) -> tuple[str, ...]:
    """What to call the piece that starts at a byte; ``hatched`` is what a hole is."""
    if source and source.beside:
        letters = [looks[share.slot.member].letter for share in source.shares]
        full = [f"{a} {b.label}" for a, b in zip(letters, source.shares, strict=True)]
        return ", ".join(full), " ".join(letters), "".join(letters)[:5]
    if source:
        letter = looks[source.slot.member].letter
        return f"{letter} {source.slot.path}", letter
    slot = layout.slot_at(at)
    if slot.is_padding:
        kind = slot.path.split(" after")[0]
        return f"{kind}: {hatched}", kind, "hole"
    letter = looks[slot.member].letter
    return f"{letter} {slot.path}: left as it was", f"{letter} {slot.path}", letter


def reading(shown: Reading) -> Board:
    """One kernel's bytes, the bytes that one program takes of them, and what comes of it."""
    image, layout = shown.image, shown.image.layout
    made = strip(layout, image.sources, image.data, _hands(shown))
    past = [
        Cell(f"at{at}", at, f"{byte:02x}", "–", "past", "past the struct: what lies there")
        for at, byte in enumerate(shown.memory[: max(hand.last for hand in made.hands) + 1])
        if at >= len(image)
    ]
    return Board(
        shown.headline,
        shown.sound,
        (
            text.where(layout),
            f"{shown.kernel.name} kernel → VMM: {shown.vmm.name}",
            held(shown.esr),
        ),
        (replace(made, cells=(*made.cells, *past)),),
        shown.effect,
        tuple(shown.caveats),
        repr(shown),
    )


def _hands(shown: Reading) -> list[Span]:
    hands = []
    for run in shown.runs:
        bits = f"ESR[{run.wanted[0]}:{run.wanted[1]}]"
        names = [f"taken for {bits}", bits]
        if not run.right and run.found:
            names.insert(0, f"{names[0]}, hold ESR[{run.found[0]}:{run.found[1]}]")
        hands.append(Span(run.first, run.last, tuple(names), run.right))
    if lost := shown.lost_far:
        hands.append(Span(lost[0], lost[-1], ("taken for far", "far"), False))
    return hands


# --- the page over time ----------------------------------------------------------------------

HEAD, UNION = range(8, 16), range(32, SHOWN)
"""The bytes of struct kvm_run that tell a step: exit_reason and flags; the exit union."""

STEPS = {1: 3, 2: 1}
"""How many steps are listed around the one that is shown, on one page and on two."""


def offsets(shown: Scene, full: bool) -> tuple[int, ...]:
    """The bytes that a scene shows: ``full`` all of the first 64, else those that tell a step.

    Eight of the head more where a step that is shown has one of them that somebody wrote.
    """
    full = chosen(full, (True, False), "full", "True and False")
    pages = [seen.step.page for row in shown.rows for seen in row]
    told = {at // 8 for at in range(UNION.start) if any(page.sources[at] for page in pages)}
    return tuple(at for at in range(SHOWN) if full or at in (*HEAD, *UNION) or at // 8 in told)


def history(shown: Scene, full: bool = False) -> Board:
    """Where time stands in a scene, on one page or the same on two, and the steps around it.

    Its bytes are :func:`offsets`.
    """
    where = offsets(shown, full)
    # Of two pages there is room for what is no dump's, not for the story.
    notes = shown.notes[-1:] * shown.scenario.synthetic if len(shown.pages) > 1 else shown.notes
    about = [shown.subtitle, *notes]
    if not shown.rows:
        told = ("before any step", None, tuple(about), (), "every byte is 0, and nobody wrote any")
        return Board(*told, (), repr(shown), kind="page")
    seen, differing = shown.rows[-1], shown.differing[-1]
    first, several = seen[0], len(seen) > 1
    causes = list(dict.fromkeys(cause for one in seen for cause in one.causes))
    cause = _sentence(first.causes[0] if first.causes else first.step.writes)
    verdict = first.mark + first.concluded
    effect = f"The kernel held {first.held}. {cause}" if first.held else cause
    if several:
        verdict, effect = first.step.title, ""
        about.append(_sentence(difference(differing)))
    sounds = {one.right for one in seen if one.step.is_run}
    said = [first.step.completion, first.step.beyond, *causes[not several :]]
    listed, now = _around(shown)
    return Board(
        verdict,
        all(sounds) if sounds else None,
        tuple(about),
        tuple(page_strip(one, where, differing, several) for one in seen),
        effect,
        tuple(map(_sentence, filter(None, said))),
        repr(shown),
        listed,
        now,
        "page",
    )


def _around(shown: Scene) -> tuple[tuple[str, ...], int]:
    """Steps around the one that is shown, of those not yet reached the titles alone."""
    most = STEPS[len(shown.pages)]
    first = max(0, min(shown.step - most // 2, shown.count - most))
    listed = []
    for step in shown.pages[0].history[first : first + most]:
        reached = step.number <= shown.step
        marks = [
            "✓" if conclude(page.history[step.number], shown.vmm).right else "✗"
            for page in shown.pages
            if reached and page.history[step.number].is_run
        ]
        listed.append(f"{''.join(marks) or '·'} {step.title}")
    return tuple(listed), shown.step - first


def _sentence(said: str) -> str:
    return f"{said[:1].upper()}{said[1:]}."


def page_strip(
    seen: Conclusion, offsets: Sequence[int], differing: Sequence[int] = (), named: bool = False
) -> Strip:
    """Some bytes of the page after a step, with what the program takes them for.

    ``named``: the kernel and what is concluded stand over it.
    """
    now, cells = seen.step, []
    union = now.page.layout.offsets["debug"]
    for at in offsets:
        source, state = now.page.sources[at], now.state(at)
        said, looks = who(source, now.number), []
        if source is not None:
            looks = [page_style(called(share)) for share in source.shares]
            name = USERSPACE if called(source) == USERSPACE else source.member
            said = f"{name}[{source.bits}], {state}: {said}"
        said += "; the other page holds another value" * (at in differing)
        cell = _cell(f"page{at}", at, f"{now.page.data[at]:02x}", source, said, looks, state)
        cells.append(replace(cell, differs=at in differing))
    hands = [
        replace(hand, first=hand.first + union, last=hand.last + union)
        for hand in (_hands(seen.reading) if seen.reading else ())
        if hand.right and hand.first + union in offsets
    ]
    title, sound = "", None
    if named:
        title, sound = f"{now.kernel.name} kernel", seen.right if now.is_run else None
        title += f": {seen.headline}" if now.is_run else ""
    hands += _marks(seen, offsets)
    return Strip(tuple(cells), tuple(hands), tuple(_pieces(now, offsets)), title, sound)


@lru_cache(maxsize=1024)
def page_style(name: str) -> Style:
    """Colour and letter of a member; those that no exit here writes have letters of their own."""
    return styles(dict.fromkeys((*ON_THE_PAGE, name)))[name]


def called(source: Source) -> str:
    """The member's own name; ``userspace`` where it wrote into the exit union."""
    return USERSPACE if source.slot.path == "padding" else source.slot.path.rpartition(".")[2]


def _pieces(step: Step, offsets: Sequence[int]) -> Iterator[Span]:
    """Neighbours that hold one value, put there by one write, and what to call them."""
    sources = step.page.sources

    def key(at: int) -> object:
        source = sources[at]
        if source is None:
            return None
        whole = source.slot.width == 8 or called(source) == USERSPACE
        return source.slot, source.write, None if whole else source.element

    for first, last in text.runs(offsets, key):
        quiet = step.state(first) != "fresh"
        yield Span(first, last, _piece_names(step, first, last), quiet=quiet)


def _piece_names(step: Step, first: int, last: int) -> tuple[str, ...]:
    """What to call a piece; of one that this step did not write, with the step that it is from."""
    source, end = step.page.sources[first], step.page.sources[last]
    if source is None or end is None:
        return "never written", "never"
    name, letter, held = called(source), page_style(called(source)).letter, ""
    reason = reason_name(step.reason).removeprefix("KVM_EXIT_")
    value = {"exit_reason": f"{step.reason} {reason}", "flags": f"{step.flags:#x}"}
    if name in value and last - first + 1 == source.slot.size:
        held = f" {value[name]}"
    elif source.slot.width == 8 and name != USERSPACE:
        several = first != last and source.slot.shape
        held = f"[{source.element}..{end.element}]" if several else ""
    elif name != USERSPACE:
        name += f"[{source.element}]" if source.slot.shape else ""
        down = source.high > end.high
        ends = f"{source.high}→{end.low}" if down else f"{source.low}→{end.high}"
        held = f" {source.bits}" if first == last else f" {ends}"
    names = [f"{letter} {name}{held}", f"{letter} {name}", f"{letter}{held}"]
    if name in value:  # its name says less than what it holds
        names[1:] = [f"{letter}{held}", *(f"{letter} {word}" for word in reversed(held.split()))]
    if step.state(first) != "fresh" and source.write:
        since = f"step {source.write.step}"
        names = [*(f"{words}, {since}" for words in (*names, letter)), since]
    return (*names, letter)


def _marks(seen: Conclusion, offsets: Sequence[int]) -> Iterator[Span]:
    """Bytes that a program took for what they are not; neighbours taken for the same share one."""
    fooled, state = dict(reversed(seen.fooled)), seen.step.state
    marked = filter(fooled.__contains__, offsets)
    for first, last in text.runs(marked, lambda at: (fooled[at], state(at) == "fresh")):
        names = [f"✗ taken for {fooled[first]}", f"✗ {fooled[first]}"]
        if state(first) != "fresh":
            several = len({state(at) for at in range(first, last + 1)}) > 1
            why = "stale" if state(first) == "stale" else "never written"
            why = "not fresh" if several else why
            names = [*(f"{name} ({why})" for name in names), *names, f"✗ {why}", why]
        yield Span(first, last, (*names, "✗"), False)


# --- versions of a struct --------------------------------------------------------------------


def versions(shown: Sequence[Versions], title: str = "", twin: str = "") -> Board:
    """Two versions of a struct, the old above the new, on one ABI or on several; or one alone.

    ``title`` is by default the verdict on these ABIs, ``twin`` the words of that. Of a large
    struct the rows that tell something come first. Raises :class:`KvmvizError` for none, and for
    more than :data:`kvmviz.review.versions.MOST` bytes.
    """
    rows, left = review.chosen(shown)
    title, looks = title or review.headline(shown), styles(review.names_of(shown))
    notes, heads, strips = [], [], list[Strip]()
    high = {first: review.heights(shown, first) for first in rows}
    for column, one in enumerate(shown):
        sizes = " → ".join(dict.fromkeys(str(version.layout.size) for version in one.each))
        heads.append(f"{text.where(one.old)}: {sizes} byte{'s' * (sizes != '1')}")
        hidden: dict[str, None] = {}
        for first in rows:
            for number, version in enumerate(one.each):
                held = version.arms(first, first + CELLS)
                made = [_version(arm, first, f"{column}.{number}.", looks) for arm in held]
                strips += (replace(one, column=column) for one in made[:MOST_ARMS])
                empty = Strip((), (), (), column=column)
                strips += [empty] * (high[first][number] - len(held))
                for arm in held[MOST_ARMS:]:
                    hidden |= dict.fromkeys(sorted(slot.path for slot in arm.slots or ()))
        if hidden:
            notes.append(f"{one.old.abi.name}: not drawn: {text.some([*hidden])}.")
    return Board(
        title,
        {"✓": True, "✗": False}.get(title[0]),
        (),
        tuple(strips),
        "",
        (*notes, *review.remarks(shown, left)),
        twin or review.twin(shown, title),
        kind="beside",
        heads=tuple(heads),
    )


def _version(row: Version, first: int, place: str, looks: dict[str, Style]) -> Strip:
    """A row of a version, or of one arm of its unions; ``place`` begins the keys of its cells."""
    cells, letters = [], {name: look.letter for name, look in looks.items()}
    for at in filter(row.is_there, range(first, min(first + CELLS, row.layout.size))):
        source, judged = row.source(at), row.judged(at)
        value = f"{row.image.data[at]:02x}" if row.image else ""
        if source is None:
            said = row.layout.slot_at(at).path
            cells.append(_cell(f"{place}hole{at}", at, value, None, said))
            continue
        members = [share.slot.member for share in source.shares]
        if not value or not row.is_stored(at):
            value = "".join(letters[member] for member in members)[:3]
        said = ", ".join(
            share.label + (f" {judged[share.slot]}" if share.slot in judged else "")
            for share in source.shares
        )
        key = f"{place}{source.path}.{source.low}"
        cells.append(_cell(key, at, value, source, said, (looks[name] for name in members)))
    braces = [
        Span(a, b, row.names(a, letters), False if row.breaks(a) else None, row.source(a) is None)
        for a, b in row.pieces(first, first + CELLS)
    ]
    title = row.title if row.leads else ""
    if first >= row.layout.size:
        title += ": past its end"
    return Strip(tuple(cells), (), tuple(braces), title)

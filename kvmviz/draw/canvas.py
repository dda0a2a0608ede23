"""A sheet measured in pixels, the strips of bytes on it, and the picture that comes of it."""

from __future__ import annotations

import base64
import html
import io
import math
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache, partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import matplotlib as mpl
from matplotlib.ft2font import FT2Font, LoadFlags

from kvmviz._base import KvmvizError
from kvmviz._base import shown as quoted
from kvmviz.board import Cell, Span, Strip
from kvmviz.style import INK, NOBODY, QUIET, RIGHT, WRONG

# Of matplotlib only what measures words is loaded here: who reads the words alone draws nothing.
if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties

DPI = 100
POINT = 72 / DPI
"""A pixel in points: matplotlib counts sizes of letters and widths of lines in points."""

# zlib packs sheets of flat colour so 5 % smaller than by Pillow's default, and sooner.
_PACKED = {"pil_kwargs": {"compress_level": 4, "compress_type": 0}}
FORMATS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "png": ("Software", "Description", _PACKED),
    "svg": ("Date", "Description", {}),
    "pdf": ("CreationDate", "Subject", {}),
}
"""By name: what of their metadata is left out, what says the picture's words, and options."""

MOST_PIXELS, MOST_ACROSS = 1 << 25, (1 << 16) - 1
"""Of a PNG, in all (four bytes each while it is drawn) and in a row or column."""

Face = Literal["Sans", "Sans-Bold", "Sans-Oblique", "SansMono", "SansMono-Bold"]
"""A font out of the DejaVu family."""

Mark = Callable[[], "Artist"]
"""Makes what is drawn."""

_T = TypeVar("_T")


def checked(shown: Iterable[_T], kind: type, what: str) -> tuple[_T, ...]:
    """What a picture is to draw; :class:`KvmvizError` if some of it is of another kind."""
    if not isinstance(shown, Iterable):
        raise KvmvizError(f"{what} draws some of {kind.__name__}, not {quoted(shown)}")
    held = tuple(shown)
    for one in held:
        if not isinstance(one, kind):
            raise KvmvizError(f"{what} draws {kind.__name__}, not {quoted(one)}")
    return held


@contextmanager
def _as_shipped() -> Iterator[None]:
    """The settings that matplotlib ships, whatever its user has set: pictures look the same."""
    settings: dict[Any, Any] = dict(mpl.rcParamsDefault)
    del settings["backend"]
    with mpl.rc_context(settings | {"svg.hashsalt": "kvmviz", "svg.fonttype": "path"}):
        yield


def _file(face: Face) -> Path:
    """Where a font lies: those come with matplotlib, others of the same name are not asked for."""
    return Path(mpl.get_data_path()) / f"fonts/ttf/DejaVu{face}.ttf"


@cache
def _measure(face: Face) -> FT2Font:
    """A font to measure with: its own object, since matplotlib's go by what its user has set."""
    return FT2Font(str(_file(face)))


@lru_cache(maxsize=4096)
def legible(words: str, face: Face) -> str:
    """Words as a font can write them: what it has no sign for is escaped."""
    known = _measure(face).get_char_index
    signs = (s if known(ord(s)) else s.encode("unicode_escape").decode() for s in words)
    return words if words.isascii() else "".join(signs)


MEASURING = Lock()
"""A font measures one line at a time."""


@lru_cache(maxsize=4096)
def _natural(words: str, bold: bool) -> float:
    """How wide words are at a size of one."""
    with MEASURING:
        face: Face = "Sans-Bold" if bold else "Sans"
        font = _measure(face)
        font.set_size(100, 72)
        font.set_text(legible(words, face), 0.0, flags=LoadFlags.NO_HINTING)
        return float(font.get_width_height()[0] / 64 / 100)


def wide(words: str, size: float, bold: bool = False) -> float:
    """How wide words are, in pixels of a canvas."""
    return _natural(words, bold) * size


def fitting(names: Iterable[str], width: float, size: float) -> str:
    """The first of some names that fits, none if none does."""
    return next((name for name in names if wide(name, size) <= width), "")


def shrunk(words: str, size: float, room: float, bold: bool = False) -> float:
    """The size at which words fit a width: the one asked for, as far as they do."""
    # Drawn in whole pixels, letters are up to a few percent wider than they are by nature.
    taken = wide(words, size, bold)
    return size if taken <= room else 0.96 * size * room / taken


def wrapped(
    words: str, size: float, width: float, *, bold: bool = False, indent: str = ""
) -> list[str]:
    """Words in lines no wider than a width; a long word is cut.

    Lines after the first begin with ``indent``.
    """
    count, lines = max(10, int(width / size * 2.5)), [words] if words else []
    while count >= 10 and any(wide(line, size, bold) > width for line in lines):
        lines = textwrap.wrap(words, count, subsequent_indent=indent)
        count -= 2
    return lines


@cache
def _font(face: Face) -> FontProperties:
    from matplotlib.font_manager import FontProperties

    return FontProperties(fname=_file(face))


def _text(face: Face, *place: Any, **look: Any) -> Artist:
    from matplotlib.text import Text

    # No ligatures: one would make a single sign of the digits ff. Older matplotlib has none.
    if hasattr(Text, "set_fontfeatures"):
        look["fontfeatures"] = ("-liga",)
    return Text(*place, fontproperties=_font(face), parse_math=False, **look)


def _rectangle(*place: Any, **look: Any) -> Artist:
    from matplotlib.patches import Rectangle

    return Rectangle(*place, **look)


def _line(*place: Any, **look: Any) -> Artist:
    from matplotlib.lines import Line2D

    return Line2D(*place, solid_joinstyle="miter", **look)


class Picture:
    """A finished drawing on a sheet of ``width`` by ``height`` pixels.

    ``marks`` make its artists when its figure is made, under the settings that it has. ``text`` are
    the words that say the same. In a notebook it shows as PNG, with the words as its alt text.
    """

    def __init__(self, marks: Sequence[Mark], width: float, height: float, text: str) -> None:
        self.marks = tuple(marks)
        self.text = text
        self._size = width, height
        # As many pixels as matplotlib makes of it.
        self.width, self.height = round(width), round(height)

    def __repr__(self) -> str:
        return self.text

    @cached_property
    def figure(self) -> Figure:
        """The picture as matplotlib's figure, without axes: a sheet has no ticks to lay out."""
        # Half of matplotlib, for whoever draws only.
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.transforms import Affine2D

        width, height = self._size
        with _as_shipped():
            figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")
            FigureCanvasAgg(figure)
            flip = Affine2D().scale(1 / width, -1 / height).translate(0, 1)
            pixels = flip + figure.transFigure
            for mark in self.marks:
                artist = mark()
                artist.set_transform(pixels)
                figure.add_artist(artist)
        return figure

    def render(self, form: str) -> bytes:
        """The picture as a file's bytes: ``png``, ``svg`` or ``pdf``.

        The same picture gives the same bytes: no date, no random ids, nobody's settings. The file
        carries the picture's words as its description. A PNG has twice as many pixels a side, or
        what :data:`MOST_PIXELS` allow. Raises :class:`KvmvizError` for another format.
        """
        if not isinstance(form, str) or form not in FORMATS:
            raise KvmvizError(f"no format {quoted(form)}; legal are {', '.join(FORMATS)}")
        most = math.sqrt(MOST_PIXELS / (self.width * self.height))
        scale = min(2, most, MOST_ACROSS / max(self.width, self.height))
        dated, told, options = FORMATS[form]
        metadata, out, figure = {dated: None, told: self.text}, io.BytesIO(), self.figure
        with _as_shipped():
            figure.savefig(out, format=form, dpi=DPI * scale, metadata=metadata, **options)
        return out.getvalue()

    def save(self, path: str | Path) -> Path:
        """Write the picture to a file; its suffix (.png, .svg, .pdf) says the format.

        Raises :class:`KvmvizError` for another suffix, and where no file can be written.
        """
        if not isinstance(path, str | Path):
            raise KvmvizError(f"save: {quoted(path)} is no path; legal are str and Path")
        target = Path(path)
        held = self.render(target.suffix.lstrip(".").lower())
        try:
            target.write_bytes(held)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise KvmvizError(f"save: {quoted(str(path))}: {why}") from None
        return target

    @property
    def html(self) -> str:
        """The picture as an HTML element: a PNG, and the words as its alt text.

        Viewers of notebooks drop the alt text of an ``image/png`` output; they keep this one's.
        """
        png = base64.b64encode(self.render("png")).decode()
        words = html.escape(self.text, quote=True)
        look = f'width="{self.width}" style="max-width:100%"'
        return f'<img alt="{words}" {look} src="data:image/png;base64,{png}">'

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": self.text}


ROW = 16
"""Cells in a row before a struct goes on in the next."""

LOW = 0.72
"""How high the cell of a byte is that this step did not write, of one that it wrote."""


@dataclass(frozen=True)
class Look:
    """How large cells are, and their digits and labels; bits and offsets stand below, or not."""

    cell: float = 58
    height: float = 46
    digits: float = 24
    label: float = 16
    bits: bool = True
    offsets: bool = True

    @property
    def foot(self) -> float:
        """Height of the bits and offsets."""
        return (self.bits + self.offsets) * (self.label + 2)

    @property
    def high(self) -> float:
        """Height of a row with all that stands under its cells."""
        return self.height + self.foot + self.label + 12

    @property
    def above(self) -> float:
        """Height of what stands over the cells of a row that has hands."""
        return self.label + 12

    def places(self, offsets: Sequence[int], x: float) -> dict[int, float]:
        """Neighbours side by side from x on: the left edge of each one's cell."""
        return {at: x + number * self.cell for number, at in enumerate(offsets)}


class Canvas:
    """Draws on a sheet of ``width`` by ``height`` pixels; (0, 0) is the upper left corner."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.marks: list[Mark] = []

    def text(
        self, x: float, y: float, words: str, size: float, *, room: float = MOST_ACROSS,
        colour: str = INK, bold: bool = False, mono: bool = False, italic: bool = False,
        ha: Literal["left", "center", "right"] = "left",
        va: Literal["baseline", "center"] = "baseline",
    ) -> None:  # fmt: skip
        """Write words at a point; ``size`` is the height of the letters' box in pixels.

        Words that are wider than their ``room`` are written smaller.
        """
        if room < MOST_ACROSS:
            size = shrunk(words, size, room, bold)
        face: Face = "Sans-Oblique" if italic else "Sans-Bold" if bold else "Sans"
        if mono:
            face = "SansMono-Bold" if bold else "SansMono"
        made = partial(
            _text, face, x, y, legible(words, face), color=colour, fontsize=size * POINT,
            horizontalalignment=ha, verticalalignment=va,
        )  # fmt: skip
        self.marks.append(made)

    def box(
        self, x: float, y: float, width: float, height: float, fill: str, *, edge: str = INK,
        line: float = 1, hatch: str = "",
    ) -> None:  # fmt: skip
        """A filled rectangle whose upper left corner is (x, y)."""
        made = partial(
            _rectangle, (x, y), width, height, facecolor=fill, edgecolor=edge, linewidth=line
        )
        self.marks.append(partial(made, hatch=hatch, hatch_linewidth=0.8) if hatch else made)

    def clear(self, x: float, y: float, width: float, height: float) -> None:
        """A white spot, for words to stay readable on hatching."""
        self.box(x, y, width, height, NOBODY, edge=NOBODY)

    def line(self, xs: list[float], ys: list[float], colour: str, width: float = 1) -> None:
        """A line through points."""
        self.marks.append(partial(_line, xs, ys, color=colour, linewidth=width))

    def brace(
        self, left: float, right: float, y: float, deep: float, colour: str, width: float = 1
    ) -> None:
        """A bracket that opens toward the cells: upward for ``deep`` > 0, downward below 0."""
        self.line([left, left, right, right], [y, y + deep, y + deep, y], colour, width)

    def paragraph(
        self, x: float, y: float, words: Iterable[str], size: float, leading: float, *,
        room: float = MOST_ACROSS, indent: str = "", colour: str = INK, bold: bool = False,
        mono: bool = False,
    ) -> float:  # fmt: skip
        """Lines of words, the first of them ``leading`` below ``y``; where the last one stands.

        What is wider than its ``room`` goes on in the next line, behind an ``indent``.
        """
        for whole in words:
            for line in wrapped(whole, size, room, bold=bold, indent=indent):
                y += leading
                self.text(x, y, line, size, colour=colour, bold=bold, mono=mono)
        return y

    def row(self, strip: Strip, places: Mapping[int, float], y: float, look: Look) -> None:
        """Draw the bytes that have a place, the left edge of their cells, from ``y`` down."""
        for cell in strip.cells:
            if cell.offset in places:
                self._cell(cell, places[cell.offset], y, look)
        low, size = y + look.height + look.foot + 4, look.label
        for span, left, right in _parts(strip.braces, places, look):
            self.brace(left, right, low, 5, QUIET)
            colour = WRONG if span.right is False else QUIET if span.quiet else INK
            name = fitting(span.names, right - left + 4, size)
            middle = (left + right) / 2
            self.text(
                middle, low + size + 4, name, size, ha="center", colour=colour, italic=span.quiet
            )
        hands = sorted(_parts(strip.hands, places, look), key=lambda part: part[1])
        for number, (span, left, right) in enumerate(hands):
            colour = RIGHT if span.right else WRONG
            self.brace(left, right, y - 3, -8, colour, 3)
            # A name may be wider than its hand, as far as there is room beside it.
            gaps = [other - right for _, other, _ in hands[number + 1 :]]
            gaps += [left - other for *_, other in hands[:number]]
            name = fitting(span.names, right - left + min([30, *gaps]), size - 1)
            self.text((left + right) / 2, y - 16, name, size - 1, ha="center", colour=colour)

    def _cell(self, cell: Cell, x: float, y: float, look: Look) -> None:
        fresh, whole = cell.state == "fresh", cell.is_whole
        height = look.height * (LOW if cell.state in ("stale", "untouched") else 1)
        y += look.height - height
        edge, line, hatch = (INK, 1.8, "") if fresh else (QUIET, 1, "" if whole else "////")
        width, middle, centre = look.cell - 2, x + look.cell / 2, y + height / 2
        ground = cell.fills[0].colour if whole else NOBODY
        self.box(x + 1, y, width, height, ground, edge=edge, line=line, hatch=hatch)
        for fill in () if whole else cell.fills:
            left, part = (
                x + 1 + width * (7 - fill.top) / 8,
                width * (fill.top - fill.bottom + 1) / 8,
            )
            self.box(left, y, part, height, fill.colour, edge=QUIET)
        if cell.value:
            if sum(fill.bits for fill in cell.fills) < 8:
                room = min(0.62 * look.digits * len(cell.value) + 3, width - 5)
                self.clear(middle - room / 2, y + 3, room, height - 6)
            colour = INK if cell.fills else QUIET
            self.text(
                middle, centre, cell.value, look.digits, mono=True, ha="center", va="center",
                colour=colour, bold=fresh,
            )  # fmt: skip
        under = y + height
        offset = f"+{cell.offset}"
        for words, shown, colour in ((cell.bits, look.bits, INK), (offset, look.offsets, QUIET)):
            if shown:
                under += look.label + 2
                size = max(9, min(look.label, (look.cell - 6) / (0.6 * max(len(words), 1))))
                self.text(middle, under - 1, words, size, mono=True, ha="center", colour=colour)
        if cell.differs:
            low = under + look.label + 24
            self.text(middle, low, "≠", 17, bold=True, ha="center", colour=WRONG)

    def rows(self, strip: Strip, x: float, y: float, look: Look) -> float:
        """Draw all bytes, 16 in a row, from (x, y) down, and their legend; the y where they end."""
        hands = [at for span in strip.hands for at in (span.first, span.last)]
        for first in range(0, len(strip.cells), ROW):
            taken = any(first <= at < first + ROW for at in hands)
            y += look.above if taken else 0
            offsets = range(first, min(first + ROW, len(strip.cells)))
            self.row(strip, look.places(offsets, x), y, look)
            y += look.high + 6
        return self.paragraph(x, y - 10, legend([strip], look), look.label, 22) + 8

    def picture(self, text: str) -> Picture:
        """The finished picture, with the words that say the same."""
        return Picture(self.marks, self.width, self.height, text)


def _parts(
    spans: Iterable[Span], places: Mapping[int, float], look: Look
) -> Iterator[tuple[Span, float, float]]:
    """Spans as far as their bytes have a place, with the edges of that part."""
    first, last = min(places), max(places)
    for span in spans:
        offsets = range(max(first, span.first), min(last, span.last) + 1)
        if held := [places[at] for at in offsets if at in places]:
            yield span, held[0] + 3, held[-1] + look.cell - 3


def legend(strips: Iterable[Strip], look: Look, width: float = 0) -> list[str]:
    """Lines with the full names of what is too narrow for its name."""
    told: dict[str, None] = {}
    hatched = ""
    for strip in strips:
        for span in strip.braces:
            full, room = span.names[0], (span.last - span.first + 1) * look.cell - 2
            if wide(full, look.label) > room:
                if span.quiet:
                    hatched = f"hatched: {full.rpartition(': ')[2]}" if ": " in full else hatched
                else:
                    # A letter and its name stay in one line.
                    told[full.replace(" ", "\xa0")] = None
    words = "  ·  ".join([*told, *filter(None, [hatched])])
    return wrapped(words, look.label, width or look.cell * ROW)

"""A picture as SVG in a few milliseconds: what the explorer sends at every click.

matplotlib's own writer knows every kind of artist, takes ten times as long and writes three times
as much. This one knows the three kinds that a :class:`kvmviz.draw.canvas.Canvas` draws. Letters
are the same outlines in both, so a picture needs no font and looks the same wherever it is shown.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal, NamedTuple

from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.textpath import text_to_path

from kvmviz.draw.canvas import DPI, FEATURES, Picture

POINT = DPI / 72
"""A point in pixels: widths of lines and sizes of letters are in points."""

TILE = 100
"""Width of a tile of hatching in pixels, as matplotlib draws it."""

UNIT = 10
"""Outlines come at a size of 100; whole numbers ten times as fine are fine enough."""


COMMANDS: dict[int, str] = {
    int(Path.MOVETO): "M",
    int(Path.LINETO): "L",
    int(Path.CURVE3): "Q",
    int(Path.CURVE4): "C",
}


class Font(NamedTuple):
    """What of a font decides the shape of letters."""

    family: str
    weight: str | int
    style: Literal["normal", "italic", "oblique"]


class Outline(NamedTuple):
    """A path: its points, y upward, and for each of them the command that it belongs to."""

    points: tuple[tuple[float, float], ...]
    codes: tuple[int, ...]

    def told(self, scale: int) -> str:
        """SVG's words for it, y downward, in whole numbers."""
        words, last = [], 0
        for (x, y), code in zip(self.points, self.codes, strict=True):
            if code == Path.CLOSEPOLY:
                words.append("Z")
            else:
                # A command holds on for the points that follow.
                words.append(f"{COMMANDS[code] if code != last else ' '}{scale * x:.0f}")
                words.append(f" {-scale * y:.0f}")
            last = code
        return "".join(words)


def svg(picture: Picture) -> str:
    """The picture as an SVG document, one user unit to the pixel."""
    sheet = _Sheet()
    # As matplotlib does: what lies higher is drawn later, else in the order of drawing.
    for artist in sorted(picture.figure.artists, key=lambda artist: artist.get_zorder()):
        sheet.draw(artist)
    size = f"width='{picture.width}' height='{picture.height}'"
    view = f"viewBox='0 0 {picture.width} {picture.height}'"
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' {size} {view}><defs>{''.join(sheet.defs)}</defs>"
        f"<rect {size} fill='#ffffff'/>{''.join(sheet.shapes)}</svg>"
    )


class _Sheet:
    def __init__(self) -> None:
        self.defs: list[str] = []
        self.shapes: list[str] = []
        self._ids: dict[object, str] = {}

    def draw(self, artist: Artist) -> None:
        if isinstance(artist, Text):
            self._text(artist)
        elif isinstance(artist, Rectangle):
            self._box(artist)
        elif isinstance(artist, Line2D):
            self._line(artist)
        else:
            raise TypeError(f"a canvas draws no {type(artist).__name__}")

    def _define(self, key: object, made: str) -> str:
        """The id under which ``made``, which starts a tag, stands in the definitions."""
        if key not in self._ids:
            self._ids[key] = f"d{len(self._ids)}"
            name, rest = made.split(" ", 1)
            self.defs.append(f"{name} id='{self._ids[key]}' {rest}")
        return self._ids[key]

    def _box(self, patch: Rectangle) -> None:
        (x, y), width, height = patch.get_xy(), patch.get_width(), patch.get_height()
        fill, edge = to_hex(patch.get_facecolor()), to_hex(patch.get_edgecolor())
        if hatch := patch.get_hatch():
            made = _tile(hatch, fill, edge, patch.get_hatch_linewidth() * POINT)
            fill = f"url(#{self._define((hatch, fill, edge), made)})"
        self.shapes.append(
            f"<rect x='{x:.6g}' y='{y:.6g}' width='{width:.6g}' height='{height:.6g}' "
            f"fill='{fill}' stroke='{edge}' stroke-width='{patch.get_linewidth() * POINT:.4g}'/>"
        )

    def _line(self, line: Line2D) -> None:
        xs: Any
        ys: Any
        xs, ys = line.get_data()
        points = " ".join(f"{x:.6g},{y:.6g}" for x, y in zip(xs, ys, strict=True))
        self.shapes.append(
            f"<polyline points='{points}' fill='none' stroke='{to_hex(line.get_color())}' "
            f"stroke-width='{line.get_linewidth() * POINT:.4g}' stroke-linecap='square'/>"
        )

    def _text(self, text: Text) -> None:
        words, size = text.get_text(), float(text.get_fontsize())
        font = Font(text.get_fontfamily()[0], text.get_fontweight(), text.get_fontstyle())
        x, y = text.get_position()
        share = {"left": 0.0, "center": 0.5, "right": 1.0}[text.get_horizontalalignment()]
        x -= share * natural_width(words, font) * size * POINT
        if text.get_verticalalignment() == "center":
            y += _middle(font, size)
        uses = "".join(
            f"<use href='#{self._define((font, shape), made)}' x='{left}'/>"
            for left, shape, made in _letters(words, font)
        )
        self.shapes.append(
            f"<g transform='translate({x:.6g} {y:.6g}) scale({size * POINT / 100 / UNIT:.5g})' "
            f"fill='{to_hex(text.get_color())}'>{uses}</g>"
        )


@lru_cache
def _tile(hatch: str, fill: str, edge: str, width: float) -> str:
    path = Path.hatch(hatch, 6)
    assert path is not None
    return (
        f"<pattern patternUnits='userSpaceOnUse' width='{TILE}' height='{TILE}'>"
        f"<rect width='{TILE}' height='{TILE}' fill='{fill}'/>"
        f"<path d='{_outline(path.vertices, path.codes).told(UNIT * TILE)}' "
        f"transform='translate(0 {TILE}) scale({1 / UNIT})' fill='none' stroke='{edge}' "
        f"stroke-width='{UNIT * width:.4g}'/></pattern>"
    )


@lru_cache(maxsize=4096)
def _letters(words: str, font: Font) -> tuple[tuple[int, str, str], ...]:
    """Each letter: how far right it stands, what its shape is called, and its outline.

    Where letters do not follow one by one (a ligature), the words are one shape.
    """
    whole = _shape(words, font)
    found, at = [], 0
    for letter in words:
        alone = _shape(letter, font)
        stop = at + len(alone.codes)
        if whole.codes[at:stop] != alone.codes:
            break
        if alone.codes:
            left = whole.points[at][0] - alone.points[0][0]
            found.append((round(UNIT * left), letter, f"<path d='{alone.told(UNIT)}'/>"))
        at = stop
    if at != len(whole.codes):
        return ((0, words, f"<path d='{whole.told(UNIT)}'/>"),)
    return tuple(found)


@lru_cache(maxsize=4096)
def _shape(words: str, font: Font) -> Outline:
    how: dict[str, Any] = {"features": FEATURES} if FEATURES else {}
    return _outline(*text_to_path.get_text_path(_properties(font), words, **how))


@lru_cache(maxsize=4096)
def natural_width(words: str, font: Font) -> float:
    """How wide words are at a size of one point, in points (or of one pixel, in pixels)."""
    return float(text_to_path.get_text_width_height_descent(words, _properties(font, 1), False)[0])


@lru_cache
def _middle(font: Font, size: float) -> float:
    """How far the foot of a letter lies below the middle of its line, in pixels."""
    figure = Figure(dpi=DPI)
    FigureCanvasAgg(figure)
    made = figure.text(0, 0, "0", fontproperties=_properties(font, size), va="center")
    middle = made.get_window_extent().y0
    made.set_verticalalignment("baseline")
    return float(made.get_window_extent().y0 - middle)


def _properties(font: Font, size: float = 100) -> FontProperties:
    return FontProperties(family=font.family, weight=font.weight, style=font.style, size=size)


def _outline(vertices: Any, codes: Any) -> Outline:
    points = tuple((float(x), float(y)) for x, y in vertices)
    return Outline(points, tuple(int(code) for code in codes))

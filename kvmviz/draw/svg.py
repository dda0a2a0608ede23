"""A picture as SVG in a few milliseconds: what a widget sends at every click.

matplotlib's own writer knows every kind of artist, takes ten times as long and writes three times
as much. This one knows the three marks of a :class:`kvmviz.draw.canvas.Canvas`. Letters are the
same outlines in both, so a picture needs no font and looks the same wherever it is shown.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

from matplotlib.ft2font import LoadFlags
from matplotlib.path import Path
from matplotlib.textpath import text_to_path

from kvmviz.draw.canvas import (
    FEATURES,
    HATCH,
    MEASURING,
    POINT,
    Box,
    Face,
    Picture,
    Stroke,
    Words,
    font,
    natural_width,
)

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


def svg(picture: Picture) -> str:
    """The picture as an SVG document, one user unit to the pixel."""
    sheet = _Sheet()
    for mark in picture.marks:
        sheet.draw(mark)
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

    def draw(self, mark: Words | Box | Stroke) -> None:
        if isinstance(mark, Words):
            self._text(mark)
        elif isinstance(mark, Box):
            self._box(mark)
        else:
            points = " ".join(f"{x:.6g},{y:.6g}" for x, y in mark.points)
            self.shapes.append(
                f"<polyline points='{points}' fill='none' stroke='{mark.colour}' "
                f"stroke-width='{mark.width / POINT:.4g}' stroke-linecap='square'/>"
            )

    def _define(self, key: object, made: str) -> str:
        """The id under which ``made``, which starts a tag, stands in the definitions."""
        if key not in self._ids:
            self._ids[key] = f"d{len(self._ids)}"
            name, rest = made.split(" ", 1)
            self.defs.append(f"{name} id='{self._ids[key]}' {rest}")
        return self._ids[key]

    def _box(self, box: Box) -> None:
        fill = box.fill
        if box.hatch:
            made = _tile(box.hatch, fill, box.edge)
            fill = f"url(#{self._define((box.hatch, fill, box.edge), made)})"
        self.shapes.append(
            f"<rect x='{box.x:.6g}' y='{box.y:.6g}' width='{box.width:.6g}' "
            f"height='{box.height:.6g}' fill='{fill}' stroke='{box.edge}' "
            f"stroke-width='{box.line / POINT:.4g}'/>"
        )

    def _text(self, words: Words) -> None:
        share = {"left": 0.0, "center": 0.5, "right": 1.0}[words.ha]
        x = words.x - share * natural_width(words.text, words.face) * words.size
        y = words.y + (_middle(words.face) * words.size if words.va == "center" else 0)
        letters = (
            (left, self._define((words.face, glyph), _shape(words.face, glyph)))
            for left, glyph in _letters(words.text, words.face)
        )
        uses = "".join(f"<use href='#{name}' x='{left}'/>" for left, name in letters)
        self.shapes.append(
            f"<g transform='translate({x:.6g} {y:.6g}) scale({words.size / 100 / UNIT:.5g})' "
            f"fill='{words.colour}'>{uses}</g>"
        )


@lru_cache(maxsize=64)
def _tile(hatch: str, fill: str, edge: str) -> str:
    path = Path.hatch(hatch, 6)
    assert path is not None
    return (
        f"<pattern patternUnits='userSpaceOnUse' width='{TILE}' height='{TILE}'>"
        f"<rect width='{TILE}' height='{TILE}' fill='{fill}'/>"
        f"<path d='{_outline(path.vertices, path.codes, UNIT * TILE)}' "
        f"transform='translate(0 {TILE}) scale({1 / UNIT})' fill='none' stroke='{edge}' "
        f"stroke-width='{UNIT * HATCH / POINT:.4g}'/></pattern>"
    )


@cache
def _glyphs(face: Face) -> dict[Any, Any]:
    """The outlines of the letters of a font that were asked for: no more than the font has."""
    return {}


@lru_cache(maxsize=2048)
def _letters(words: str, face: Face) -> tuple[tuple[int, Any], ...]:
    """Each letter that has ink: how far right it stands, and what its shape is called."""
    how: dict[str, Any] = {"features": FEATURES} if FEATURES else {}
    glyphs, one = _glyphs(face), font(face)
    with MEASURING:
        one.set_size(text_to_path.FONT_SCALE, text_to_path.DPI)
        placed, _, _ = text_to_path.get_glyphs_with_font(one, words, glyphs, **how)
    return tuple((round(UNIT * x), glyph) for glyph, x, _, _ in placed if len(glyphs[glyph][1]))


@lru_cache(maxsize=1024)
def _shape(face: Face, glyph: Any) -> str:
    points, codes = _glyphs(face)[glyph]
    return f"<path d='{_outline(points, codes, UNIT)}'/>"


@cache
def _middle(face: Face) -> float:
    """How far the foot of a letter of size 1 lies below the middle of its line."""
    one = font(face)
    with MEASURING:
        one.set_size(100, 72)
        one.set_text("lp", 0.0, flags=LoadFlags.NO_HINTING)
        return float((one.get_width_height()[1] / 2 - one.get_descent()) / 64 / 100)


def _outline(points: Any, codes: Any, scale: int) -> str:
    """SVG's words for a path, y downward, in whole numbers."""
    words, last = [], 0
    for (x, y), code in zip(points, codes, strict=True):
        if code == Path.CLOSEPOLY:
            words.append("Z")
        else:
            # A command holds on for the points that follow.
            words.append(f"{COMMANDS[code] if code != last else ' '}{scale * x:.0f}")
            words.append(f" {-scale * y:.0f}")
        last = code
    return "".join(words)

"""The explorer's SVG against matplotlib's own of the same picture."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest
from matplotlib.patches import Circle

from kvmviz import draw
from kvmviz.draw.canvas import DPI, Canvas, Picture
from kvmviz.draw.svg import Font, _letters, svg
from kvmviz.kvm.program import matrix
from kvmviz.widgets.explorer import State

SVG = "{http://www.w3.org/2000/svg}"
HREF = "{http://www.w3.org/1999/xlink}href"
NUMBER = r"(-?[\d.]+)"

HOME = State()
PICTURES = {
    "widened": draw.reading(HOME.reading),
    "hole": draw.reading(replace(HOME, layout="old").reading),
    "narrow": draw.reading(replace(HOME, widths=(("hsr", 8), ("far", 8))).reading),
    "m68k": draw.reading(replace(HOME, abi="m68k", layout="hsr_high", reader="blind").reading),
    "matrix": draw.matrix(matrix(0x123456789A, 0x4000)),
}

# A line of text: where its first letter stands, and each letter's distance from it, in pixels.
Line = tuple[float, float, list[float]]


@pytest.fixture(params=PICTURES)
def picture(request: pytest.FixtureRequest) -> Picture:
    return PICTURES[request.param]


def numbers(words: str, kind: str) -> list[float]:
    found = re.search(rf"{kind}\({NUMBER}(?: {NUMBER})?\)", words)
    if not found:  # as matplotlib writes a move by nothing
        return [0.0]
    return [float(number) for number in found.groups() if number]


def lines(root: ElementTree.Element, link: str, unit: float) -> list[Line]:
    made = []
    for group in root.iter(f"{SVG}g"):
        uses = [use for use in group if use.tag == f"{SVG}use" and use.get(link)]
        if uses:
            words = group.get("transform", "")
            (x, y), scale = numbers(words, "translate"), numbers(words, "scale")[0]
            lefts = [
                float(use.get("x") or numbers(use.get("transform", ""), "translate")[0])
                for use in uses
            ]
            made.append((x * unit, y * unit, [left * scale * unit for left in lefts]))
    return made


def test_every_letter_stands_where_matplotlib_puts_it(picture: Picture) -> None:
    ours = lines(ElementTree.fromstring(svg(picture)), "href", 1)
    theirs = lines(ElementTree.fromstring(picture.render("svg")), HREF, DPI / 72)
    assert len(ours) == len(theirs) >= 20
    for (x, y, lefts), (their_x, their_y, their_lefts) in zip(ours, theirs, strict=True):
        # Where a line starts depends on how its width is rounded.
        assert (x, y) == pytest.approx((their_x, their_y), abs=1)
        inked = [left for left in their_lefts if any(abs(left - mine) < 0.3 for mine in lefts)]
        assert len(inked) == len(lefts)


def test_every_box_and_line_is_there(picture: Picture) -> None:
    root = ElementTree.fromstring(svg(picture))
    sheet, *boxes = root.findall(f"{SVG}rect")
    artists = picture.figure.artists
    assert (sheet.get("width"), sheet.get("fill")) == (str(picture.width), "#ffffff")
    assert len(boxes) == sum(type(artist).__name__ == "Rectangle" for artist in artists)
    drawn = root.findall(f"{SVG}polyline")
    assert len(drawn) == sum(type(artist).__name__ == "Line2D" for artist in artists)
    hatched = [box for box in boxes if box.get("fill", "").startswith("url(")]
    assert len(hatched) == sum(bool(getattr(a, "get_hatch", lambda: None)()) for a in artists)


def test_what_is_referred_to_is_defined_once(picture: Picture) -> None:
    root = ElementTree.fromstring(svg(picture))
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    used = {use.get("href", "")[1:] for use in root.iter(f"{SVG}use")}
    fills = {str(element.get("fill")) for element in root.iter()}
    used |= {fill[5:-1] for fill in fills if fill.startswith("url(")}
    assert sorted(str(name) for name in ids) == sorted(used)


def test_the_same_picture_gives_the_same_words(picture: Picture) -> None:
    assert svg(picture) == svg(picture)
    assert svg(picture).startswith("<svg xmlns='http://www.w3.org/2000/svg' ")
    assert "script" not in svg(picture)


def test_pictures_differ() -> None:
    assert all(svg(a) != svg(b) for a, b in itertools.combinations(PICTURES.values(), 2))


def test_letters_that_join_are_one_shape() -> None:
    font = Font("DejaVu Sans", "normal", "normal")
    names = [[shape for _, shape, _ in _letters(words, font)] for words in ("office", "ESR")]
    # Whether "ffi" is a ligature depends on matplotlib's version.
    assert names[0] in (["office"], [*"office"])
    assert names[1] == [*"ESR"]


def test_an_artist_that_no_canvas_draws_is_refused() -> None:
    canvas = Canvas(200, 100)
    canvas.figure.add_artist(Circle((0, 0), 1))
    with pytest.raises(TypeError, match="a canvas draws no Circle"):
        svg(canvas.picture(""))

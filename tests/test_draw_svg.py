"""The widgets' SVG against matplotlib's own of the same picture."""

from __future__ import annotations

import itertools
import re
import tracemalloc
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

from kvmviz import draw
from kvmviz.draw.canvas import DPI, Canvas, Picture
from kvmviz.draw.svg import svg
from kvmviz.kvm.program import matrix, read

SVG = "{http://www.w3.org/2000/svg}"
HREF = "{http://www.w3.org/1999/xlink}href"
NUMBER = r"(-?[\d.]+)"

WIDENED = read("widened", "old", "aarch64_be", 0x123456789A, 0x4000, 0xAA)
NARROW = replace(WIDENED.kernel, debug=WIDENED.kernel.debug.widen("hsr", 8).widen("far", 8))
PICTURES = {
    "widened": draw.reading(WIDENED),
    "hole": draw.reading(read("old", "blind", "aarch64_be", 0x123456789A, 0x4000, 0xAA)),
    "narrow": draw.reading(read(NARROW, "old", "aarch64_be", 0x123456789A, 0x4000, 0xAA)),
    "m68k": draw.reading(read("merged", "blind", "m68k", 0x123456789A, 0x4000, 0xAA)),
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


def test_letters_are_never_joined() -> None:
    canvas = Canvas(400, 40)
    canvas.text(10, 30, "office", 20)
    uses = re.findall(r"<use href='#(\w+)'", svg(canvas.picture("")))
    # In matplotlib before 3.11 no letters join; later they would.
    assert len(uses) == 6
    assert uses[1] == uses[2]


def test_words_that_are_always_new_take_no_more_memory_each_time() -> None:
    def draw_lines(first: int, count: int) -> None:
        for number in range(first, first + count):
            canvas = Canvas(900, 40)
            canvas.text(10, 30, f"{number:#018x}, and words as long as in a line of effects", 20)
            svg(canvas.picture(""))

    draw_lines(0, 2500)  # more than any cache holds
    tracemalloc.start()
    draw_lines(2500, 100)
    before = tracemalloc.get_traced_memory()[0]
    draw_lines(2600, 2500)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 25_000_000

"""Colours and letters: words read well on every fill, and one name looks the same everywhere."""

import itertools

import pytest

from kvmviz.style import INK, NOBODY, QUIET, RIGHT, RIGHT_GROUND, WRONG, WRONG_GROUND, styles

FILLS = sorted({row.colour for row in styles(f"m{n}" for n in range(100)).values()} | {
    row.colour for row in styles(("hsr", "hsr_high", "far", "phys_addr", "data", "len")).values()
})  # fmt: skip


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    lit = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * lit[0] + 0.7152 * lit[1] + 0.0722 * lit[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("fill", FILLS)
def test_words_read_well_on_every_fill(fill: str) -> None:
    assert contrast(INK, fill) >= 4.5


@pytest.mark.parametrize("colour", [INK, QUIET, RIGHT, WRONG])
@pytest.mark.parametrize("ground", [NOBODY, RIGHT_GROUND, WRONG_GROUND])
def test_words_read_well_on_paper(colour: str, ground: str) -> None:
    assert contrast(colour, ground) >= 4.5


def test_members_of_the_patch_differ_in_grey() -> None:
    fills = [style.colour for style in styles(["hsr", "hsr_high", "far"]).values()]
    assert all(contrast(a, b) > 1.3 for a, b in itertools.pairwise(fills))


def test_one_name_has_one_colour_everywhere() -> None:
    alone, among = styles(["data"]), styles(["hsr", "len", "data", "far"])
    assert alone["data"].colour == among["data"].colour
    assert styles(["far"])["far"] == among["far"]
    assert len({style.letter for style in among.values()}) == 4


def test_members_of_one_struct_have_colours_of_their_own_as_far_as_there_are_any() -> None:
    names = ["ihl", "version", "flags", "offset", "len", "kind", "count"]
    assert len({style.colour for style in styles(names).values()}) == len(names)
    assert len(styles([f"m{n}" for n in range(100)])) == 100

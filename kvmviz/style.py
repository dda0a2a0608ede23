"""What a member looks like everywhere: one colour and one letter for one member name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from string import ascii_uppercase
from types import MappingProxyType
from typing import NamedTuple
from zlib import crc32


class Style(NamedTuple):
    """A fill colour that dark text reads well on, and the letter that stands for the member."""

    colour: str
    letter: str


# Light fills of hues that stay apart under colour blindness and, by lightness, in grey; the
# letter says the same again for whoever sees neither.
_FILLS = (
    "#8fc3ea", "#f3b562", "#cfeac0", "#f2d6ec", "#e4d96f", "#a9e0dc",
    "#d8c0a8", "#c9c6f2", "#f6c1b2", "#b9d3a0",
)  # fmt: skip
_KNOWN: Mapping[str, Style] = MappingProxyType(
    {
        "hsr": Style(_FILLS[0], "A"),
        "hsr_high": Style(_FILLS[1], "B"),
        "far": Style(_FILLS[2], "C"),
    }
)
INK = "#1a1a1a"
QUIET = "#595959"
RIGHT = "#146c2e"
WRONG = "#b3122b"
NOBODY = "#ffffff"


def styles(names: Iterable[str]) -> dict[str, Style]:
    """A style for each member of a struct, in order: the same colour for a name everywhere.

    A letter is the first of the name's own that no member before it has, as far as there is one.
    """
    found: dict[str, Style] = {}
    taken = {style.letter for style in _KNOWN.values()}
    for name in names:
        own = (letter for letter in f"{name.upper()}{ascii_uppercase}" if letter.isalpha())
        letter = next((letter for letter in own if letter not in taken), "*")
        fill = _FILLS[3 + crc32(name.encode()) % (len(_FILLS) - 3)]
        found[name] = _KNOWN.get(name) or Style(fill, letter)
        taken.add(found[name].letter)
    return found

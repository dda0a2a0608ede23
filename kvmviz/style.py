"""What a member looks like: one letter and one colour for one member name, as far as colours go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from string import ascii_lowercase, ascii_uppercase
from types import MappingProxyType
from typing import NamedTuple
from zlib import crc32


class Style(NamedTuple):
    """A fill colour that dark text reads well on, and the letter that stands for the member."""

    colour: str
    letter: str


# Light fills of hues that stay apart under colour blindness and, by lightness, in grey; the
# letter says the same again for whoever sees neither.
FILLS = (
    "#74aee0", "#f6bd60", "#d9f2cc", "#f2d6ec", "#e4d96f", "#a9e0dc",
    "#d8c0a8", "#c9c6f2", "#f6c1b2", "#b9d3a0", "#dddddd", "#fff3b0", "#cfe3f5",
)  # fmt: skip
USERSPACE = "userspace"
"""What stands for bytes of the exit union that userspace wrote: of no exit's member."""

_LETTERS: Mapping[str, str] = MappingProxyType({"hsr": "A", "hsr_high": "B", "far": "C"})
ON_THE_PAGE = (
    *_LETTERS, "phys_addr", "data", "len", "is_write", USERSPACE, "type", "ndata",
    "exit_reason", "flags", "immediate_exit",
)  # fmt: skip
_COLOURS: Mapping[str, str] = MappingProxyType(dict(zip(ON_THE_PAGE, FILLS, strict=True)))
"""Of the members that stand in one picture of the kvm_run page, so that no two look alike."""

INK = "#1a1a1a"
QUIET = "#595959"
RIGHT = "#146c2e"
WRONG = "#b3122b"
RIGHT_GROUND, WRONG_GROUND = "#f3f8f3", "#fdf1f2"
"""What words in these two colours stand on, where a whole tile is right or wrong."""

NOBODY = "#ffffff"


def styles(names: Iterable[str]) -> dict[str, Style]:
    """A style for each member of a struct, in order.

    A name has the same colour in every struct, unless one before it has that colour already: then
    it gets the next one that is free. A letter is the first of the name's own that no member
    before it has, as far as there is one.
    """
    known, others = tuple(names), FILLS[len(_LETTERS) :]
    found: dict[str, Style] = {}
    letters = {_LETTERS[name] for name in known if name in _LETTERS}
    fills = {_COLOURS[name] for name in known if name in _COLOURS}
    for name in known:
        tried = f"{name.upper()}{ascii_uppercase}{ascii_lowercase}"
        own = (letter for letter in tried if letter.isalpha())
        letter = next((letter for letter in own if letter not in letters), "*")
        first = crc32(name.encode()) % len(others)
        tries = (*others[first:], *others[:first])
        fill = next((fill for fill in tries if fill not in fills), tries[0])
        found[name] = Style(_COLOURS.get(name, fill), _LETTERS.get(name, letter))
        letters.add(found[name].letter)
        fills.add(found[name].colour)
    return found

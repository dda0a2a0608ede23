"""What a text asks for beside its members: ``packed``, ``aligned``, ``#pragma pack``."""

from __future__ import annotations

import re
from bisect import bisect, bisect_left
from dataclasses import dataclass

from kvmviz.c.constants import Constants
from kvmviz.c.flat import Attribute
from kvmviz.c.syntax import Syntax
from kvmviz.ctype import ALIGNMENTS

_PACK = re.compile(
    r"\((?:(?P<only>\d+)|(?P<how>push|pop)(?:,(?P<name>[A-Za-z_]\w*))?(?:,(?P<number>\d+))?)?\)"
)
_PACKS = ("0", "1", "2", "4", "8", "16")


@dataclass(frozen=True)
class Wish:
    """What attributes ask for: ``align`` in bytes, 0 for none; ``at`` is their place, if any."""

    packed: bool = False
    align: int = 0
    at: int | None = None

    def __or__(self, other: Wish) -> Wish:
        at = self.at if other.at is None else other.at
        return Wish(self.packed or other.packed, max(self.align, other.align), at)


NOTHING = Wish()


class Wishes:
    """The attributes of a text by offset, each to be read once, and its ``#pragma pack``."""

    def __init__(self, syntax: Syntax, constants: Constants, pragmas: dict[int, list[str]]) -> None:
        self.syntax, self.constants = syntax, constants
        self.left: list[Attribute | None] = [*syntax.attributes]
        self.places = [one.at for one in syntax.attributes]
        self.packs: list[tuple[int, int]] = [(-1, 0)]
        stack: list[tuple[str | None, int]] = []
        for offset, place, inside in syntax.marks:
            words = "".join(pragmas[place])
            self.packs.append((offset, self._pack(words, place, inside, stack)))

    def take(self, start: int, end: int) -> Wish:
        """What the attributes between two offsets ask for, those that nobody has read yet."""
        first, last = bisect_left(self.places, start), bisect_left(self.places, end)
        found = [one for one in self.left[first:last] if one]
        self.left[first:last] = [None] * (last - first)
        made = Wish()
        for one in found:
            made |= Wish(one.name == "packed", self._align(one), one.at)
        return made

    def drop(self, start: int, end: int) -> None:
        """Pass over the attributes of what is no struct."""
        first, last = bisect_left(self.places, start), bisect_left(self.places, end)
        self.left[first:last] = [None] * (last - first)

    def finish(self) -> None:
        """Refuse what nobody has read."""
        for one in self.left:
            if one:
                self.syntax.fail(one.at, f"attribute {one.name!r} is not supported here")

    def _align(self, one: Attribute) -> int:
        if one.name == "packed":
            if one.argument is not None:
                self.syntax.fail(one.at, "attribute 'packed' takes no argument")
            return 0
        words = one.argument or []
        if one.name == "_Alignas" and self.constants.find(words):
            words = ["_Alignof", "(", *words, ")"]
        align = (
            self.constants.value(one.at, words) if one.argument else self.constants.biggest(one.at)
        )
        if one.name == "_Alignas" and not align:
            return 0
        if align not in ALIGNMENTS:
            most = ALIGNMENTS[-1]
            self.syntax.fail(one.at, f"aligned({align}); legal are powers of 2 to {most}")
        return align

    def pack_at(self, offset: int) -> int:
        """What ``#pragma pack`` says at an offset, 0 for nothing."""
        return self.packs[bisect(self.packs, (offset, 16)) - 1][1]

    def _pack(
        self, words: str, place: int, inside: bool, stack: list[tuple[str | None, int]]
    ) -> int:
        """What ``#pragma pack`` says from there on, 0 for nothing."""
        source = self.syntax.source
        match = _PACK.fullmatch(words)
        number = match and (match["only"] or match["number"])
        pops = match is not None and match["how"] == "pop"
        if match is None or (number and (pops or number not in _PACKS)):
            source.fail(place, f"this directive is not supported: {source.snippet(place)!r}")
        if inside:
            source.fail(place, "'#pragma pack' inside a declaration")
        now = self.packs[-1][1]
        if pops:
            names = [name for name, _ in stack]
            if not stack or (match["name"] and match["name"] not in names):
                source.fail(place, "'#pragma pack(pop)' without a push")
            while match["name"] and stack[-1][0] != match["name"]:
                stack.pop()
            return stack.pop()[1]
        if match["how"]:
            stack.append((match["name"], now))
        return int(number) if number else now if match["how"] else 0

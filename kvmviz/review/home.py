"""The structs that a member stands in, from the whole down to the one that declares it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from kvmviz.ctype import Struct
from kvmviz.layout import Layout
from kvmviz.rules import Field
from kvmviz.slot import Slot
from kvmviz.verdict import place


@dataclass(frozen=True)
class Home:
    """A struct or union around a member: its layout, its first byte in the whole, its path.

    An anonymous one has the path of what it stands in; of an array it is the first element.
    ``depth`` counts from the whole struct, which has 0.
    """

    layout: Layout
    base: int
    path: str
    depth: int

    @property
    def is_union(self) -> bool:
        """Its members lie over each other."""
        return self.layout.struct.union

    def path_of(self, name: str) -> str:
        """The path, from the whole struct, of what it calls ``name``."""
        return f"{self.path}.{name}" if self.path else name


@lru_cache(maxsize=256)
def own_holes(layout: Layout) -> Mapping[int, Slot]:
    """A struct's own padding in whole bytes by its first bit, in order; not that of its members."""
    return {s.start: s for s in layout.holes if not s.member and s.extent % 8 == 0}


def homes(layout: Layout, path: str) -> tuple[Home, ...]:
    """The structs around the member of that path, the whole one first."""
    found = [Home(layout, 0, "", 0)]
    while True:
        home = found[-1]
        name, _, rest = path[len(home.path) :].removeprefix(".").partition(".")
        field = _holders(home.layout).get(name)
        leaf = field.type.leaf if field else None
        if field is None or not isinstance(leaf, Struct) or not (rest or field.name is None):
            return tuple(found)
        inner = home.path if field.name is None else home.path_of(name)
        there = leaf.layout(layout.abi), home.base + field.offset
        found.append(Home(*there, inner, home.depth + 1))


@lru_cache(maxsize=256)
def _holders(layout: Layout) -> Mapping[str, Field]:
    """The field that a name is found in: its own, or that of an anonymous struct around it."""
    found: dict[str, Field] = {}
    for field in layout.fields:
        if field.name is not None:
            found[field.name] = field
        elif isinstance(field.type, Struct):
            found |= dict.fromkeys(field.type.layout(layout.abi).named, field)
    return found


@lru_cache(maxsize=256)
def counterpart(home: Home, other: Layout) -> Home | None:
    """The same struct in another layout of the whole; None where it is not there.

    An anonymous one is known by a member of the same path, as deep inside.
    """
    if not home.depth:
        return homes(other, "")[0]
    for name in home.layout.named:
        if place(other, home.path_of(name)) is not None:
            found = homes(other, home.path_of(name))[-1]
            same = found.depth == home.depth and found.is_union == home.is_union
            return found if same else None
    return None


def told_hole(path: str, home: str = "") -> str:
    """What a slot of padding is called, in a struct of that path: ``hole after n[0].a``."""
    *outer, words = path.split(": ")
    home = ".".join(filter(None, (home, *outer)))
    what, after, name = words.partition(" after ")
    if after:
        return f"{what} after {home}.{name}" if home else words
    return f"{words} of {home}" if home else words

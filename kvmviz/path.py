"""Members by the path that C code writes: ``arch.hsr``, ``n.a`` for every ``n[i].a``."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from kvmviz.abi import Abi
from kvmviz.ctype import Array, Struct, Type
from kvmviz.layout import Layout


@lru_cache(maxsize=4096)
def member_of(path: str) -> str:
    """A leaf's path without the indices of array elements: ``n.a`` for ``n[1].a``."""
    return re.sub(r"\[\d+\]", "", path)


def is_in(path: str, name: str) -> bool:
    """A leaf's path is that of a member, or lies in it."""
    return f"{path}.".startswith(f"{name}.")


class Place(NamedTuple):
    """Where a member starts, in bytes, and its type on an ABI."""

    offset: int
    type: Type
    abi: Abi

    @property
    def element(self) -> Layout | None:
        """One element of an array, as a struct with no other member; None for what is no array."""
        if not isinstance(self.type, Array):
            return None
        return Struct("", [("element", self.type.element)]).layout(self.abi)


def place(layout: Layout, path: str) -> Place | None:
    """The member of that path; in an array of structs, that of the first element."""
    name, _, rest = path.partition(".")
    field = layout.named.get(name)
    if field is None:
        return None
    if not rest:
        return Place(field.offset, field.type, layout.abi)
    leaf = field.type.leaf
    found = place(leaf.layout(layout.abi), rest) if isinstance(leaf, Struct) else None
    return found and found._replace(offset=found.offset + field.offset)


def flexible(layout: Layout) -> dict[str, Place]:
    """The flexible array members by path: no byte of sizeof is theirs, yet moving one breaks."""
    found: dict[str, Place] = {}
    for name, field in layout.named.items():
        kind = field.type
        if isinstance(kind, Array) and 0 in kind.shape:
            found[name] = Place(field.offset, kind, layout.abi)
        elif isinstance(kind.leaf, Struct):  # in an array, that of the first element stands for all
            inner = flexible(kind.leaf.layout(layout.abi))
            found |= {
                f"{name}.{path}": there._replace(offset=there.offset + field.offset)
                for path, there in inner.items()
            }
    return found

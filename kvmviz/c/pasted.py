"""C text as people paste it: which struct is meant, how much of it can be shown, what is wrong."""

from __future__ import annotations

import re
from functools import lru_cache

from kvmviz import abi as abis
from kvmviz._base import KvmvizError
from kvmviz.abi import Abi
from kvmviz.c.reading import parse
from kvmviz.c.source import LINE_END
from kvmviz.ctype import Array, Struct, Type
from kvmviz.layout import Layout

MOST = 4096
"""Bytes of a struct, all members of its unions counted, that are judged byte by byte at a click."""

_PLACE = re.compile(r"line (\d+), column (\d+): ")


@lru_cache(maxsize=64)
def structs(text: str) -> dict[str, Struct]:
    """Every struct of the text by name, as :func:`kvmviz.parse` gives them."""
    return parse(text)


def laid_out(struct: Struct, abi: str | Abi) -> Layout:
    """The layout; :class:`KvmvizError` for a struct of more than :data:`MOST` bytes."""
    found = abis.find(abi)
    if _weight(struct, found, MOST) > MOST:
        raise KvmvizError(
            f"{struct} holds more than {MOST} bytes; shown here are structs of up to {MOST}"
        )
    layout = struct.layout(found)
    if not 0 < layout.size <= MOST:
        raise KvmvizError(
            f"{struct} has {layout.size} bytes on {found.name}; legal are 1 .. {MOST}"
        )
    return layout


def _weight(kind: Type, abi: Abi, budget: int) -> int:
    """Bytes of all members, unions' side by side; counting ends where it goes over the budget."""
    if isinstance(kind, Array):
        return kind.count * max(1, _weight(kind.element, abi, budget))
    if isinstance(kind, Struct):
        total = 0
        for member in kind.on(abi).members:
            total += max(1, _weight(member.type, abi, budget - total))
            if total > budget:
                break
        return total
    return kind.on(abi).size


def place(message: str) -> tuple[int, int] | None:
    """The line and column, from 1 on, that a message about C text begins with."""
    found = _PLACE.match(message)
    return (int(found[1]), int(found[2])) if found else None


def pointed(text: str, message: str, width: int = 60) -> str:
    """The message, and below it the line that it speaks of with a mark under the column."""
    at = place(message)
    lines = LINE_END.split(text)
    if at is None or not 0 < at[0] <= len(lines):
        return message
    line, column = at
    start = max(0, column - 1 - width // 2) if len(lines[line - 1]) > width else 0
    shown = lines[line - 1][start : start + width].expandtabs(1)
    head = f"  {line} | "
    return f"{message}\n{head}{shown}\n{' ' * (len(head) - 2)}| {' ' * (column - 1 - start)}^"

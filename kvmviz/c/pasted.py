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


def laid_out(struct: Struct, abi: str | Abi, text: str = "") -> Layout:
    """The layout; :class:`KvmvizError` for a struct of more than :data:`MOST` bytes.

    The message begins with the line and column of the struct in the ``text``, if it is there.
    """
    found = abis.find(abi)
    if _weight(struct, found, MOST) > MOST:
        raise KvmvizError(
            f"{_where(struct, text)}{struct} holds more than {MOST} bytes; shown here are structs "
            f"of up to {MOST}"
        )
    layout = struct.layout(found)
    if not 0 < layout.size <= MOST:
        raise KvmvizError(
            f"{_where(struct, text)}{struct} has {layout.size} bytes on {found.name}; "
            f"legal are 1 .. {MOST}"
        )
    return layout


def _where(struct: Struct, text: str) -> str:
    """``line 3, column 1: `` of a definition, or of the typedef's name where it has no tag."""
    tag = re.escape(struct.tag)
    for pattern in (
        rf"\b(?:struct|union)\b[^;{{}}*/]{{0,200}}\b{tag}\s*\{{",
        rf"\}}[^;{{}}*/]{{0,200}}\b({tag})\b",
    ):
        if found := re.search(pattern, text):
            at = found.start(found.lastindex or 0)
            line = text.count("\n", 0, at) + 1
            return f"line {line}, column {at - text.rfind(chr(10), 0, at)}: "
    return ""


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


TAB = 4
"""Columns of a tab where a line is quoted, as in the fields that people type in."""


def pointed(text: str, message: str, width: int = 48) -> str:
    """The message, and below it the line that it speaks of with a mark under the column."""
    return "\n".join(filter(None, (message, quoted(text, message, width))))


def quoted(text: str, message: str, width: int = 48) -> str:
    """The line that a message speaks of, cut to a width, above a mark under the column.

    Empty for a message without a place in the text. Tabs are spaces: the mark stays in its place.
    """
    at = place(message)
    lines = LINE_END.split(text)
    if at is None or not 0 < at[0] <= len(lines):
        return ""
    line = lines[at[0] - 1]
    before, shown = (part.expandtabs(TAB) for part in (line[: at[1] - 1], line))
    start = max(0, min(len(before) - width // 2, len(shown) + 1 - width))
    head = f"  {at[0]} | "
    mark = f"{' ' * (len(head) - 2)}| {' ' * (len(before) - start)}^"
    return f"{head}{shown[start : start + width]}\n{mark}"

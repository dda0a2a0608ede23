"""What text twins are made of: columns, bytes and bits in words, runs of neighbours."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from kvmviz._base import span

if TYPE_CHECKING:
    from kvmviz.layout import Layout


def table(rows: Iterable[Sequence[object]], right: Sequence[int] = (), indent: int = 2) -> str:
    """Rows of cells in aligned columns; those numbered in ``right`` are flush right."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = (
        "  ".join(
            cell.rjust(width) if at in right else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in cells
    )
    return "\n".join(" " * indent + line.rstrip() for line in lines)


def runs(
    offsets: Iterable[int], key: Callable[[int], object] | None = None, width: int | None = None
) -> Iterator[tuple[int, int]]:
    """First and last of neighbouring offsets with one key, at most ``width`` of them a run.

    ``offsets`` are in order; where one is left out, a run ends.
    """
    numbered = enumerate(offsets)
    for _, group in groupby(numbered, lambda row: (row[1] - row[0], key and key(row[1]))):
        found = [at for _, at in group]
        step = width or len(found)
        for first in range(0, len(found), step):
            yield found[first], found[min(first + step, len(found)) - 1]


_COMMAND = re.compile(r"::|##\[")


def plain(words: str) -> str:
    r"""Words with nothing in them that a terminal or a CI log obeys: ``\x1b`` for an escape.

    What is not printable becomes the escape that Python writes for it, the end of a line too; of
    a workflow command, ``::error::`` or ``##[error]``, the second character becomes one.
    """
    told = "".join(c if c.isprintable() else repr(c)[1:-1] for c in words)
    return _COMMAND.sub(lambda m: f"{m[0][0]}\\x{ord(m[0][1]):02x}{m[0][2:]}", told)


def span_is(first: int, last: int) -> str:
    """Bytes as the subject of a sentence: ``byte 3 is`` or ``bytes 4..7 are``."""
    return f"{span(first, last)} {'is' if first == last else 'are'}"


def spans(offsets: Iterable[int]) -> str:
    """Offsets in order in words, neighbours joined: ``bytes 1..3, byte 7``."""
    return ", ".join(span(first, last) for first, last in runs(offsets))


def bits(high: int, low: int) -> str:
    """Bits in words: ``bit 3`` or ``bits 7:4``."""
    return f"bit {low}" if high == low else f"bits {high}:{low}"


def some(words: Sequence[str]) -> str:
    """A list that stays short: three of it, where there are more than four."""
    if len(words) < 5:
        return ", ".join(words)
    return f"{', '.join(words[:3])} and {len(words) - 3} more"


def few_spans(offsets: Iterable[int]) -> str:
    """Some offsets in words, in a list that stays short: ``bytes 1..3, byte 7``."""
    return some(spans(sorted(set(offsets))).split(", "))


def where(layout: Layout) -> str:
    """A layout's ABI with its byte order, the half that the name alone may not say."""
    return f"{layout.abi.name} ({layout.abi.byte_order}-endian)"

"""A dump: bytes out of hex digits, and what each member of a struct has in them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any, NamedTuple

from kvmviz._base import KvmvizError, counted
from kvmviz.layout import Layout
from kvmviz.slot import Slot
from kvmviz.style import styles
from kvmviz.text import table, where

MAX_BYTES = 1 << 24
"""The longest dump that is read: 16 MiB."""

ROW = 16
"""Bytes in a row of text, where a member has more."""

_BYTES = re.compile(r"(?:[0-9a-fA-F]{2})+")
_OFFSET = re.compile(r"\s*(?P<at>[0-9a-fA-F]{6,16})(?P<colon>:?)\s+(?P<next>[0-9a-fA-F]+)")
"""How xxd, od and hexdump begin a line."""


def is_text(data: bytes) -> bool:
    """It is printable throughout, and may be hex digits."""
    return bool(data) and not data.translate(None, b"\t\n\r" + bytes(range(0x20, 0x7F)))


def read(text: str) -> bytes:
    """The bytes of plain hex digits, two a byte, in memory order, with blanks between bytes.

    Raises :class:`KvmvizError` with the line for what is no hex, or may be an offset.
    """
    found = bytearray()
    for number, line in enumerate(text.splitlines(), 1):
        start = _OFFSET.match(line)
        if start and (start["colon"] or len(start["at"]) != len(start["next"])):
            raise KvmvizError(
                f"line {number}, column {start.start('at') + 1}: {start['at']!r} may be an offset, "
                "as xxd, od and hexdump print it; give bytes only (xxd -r makes them of xxd's)"
            )
        for word in re.finditer(r"\S+", line):
            if not _BYTES.fullmatch(word[0]):
                told = f"{word[0][:20]!r} is not hex: two digits for each byte, as memory has them"
                raise KvmvizError(f"line {number}, column {word.start() + 1}: {told}")
            found += bytes.fromhex(word[0])
    if not found:
        raise KvmvizError("line 1, column 1: no bytes; give hex digits, two for each byte")
    return bytes(found)


class Cell(NamedTuple):
    """One value, or the bytes of one hole; ``value`` is None there. ``offset`` is in bytes.

    ``path`` is the scalar's, as ``a.b[1]``, ``bits`` are those that each byte holds.
    """

    slot: Slot
    path: str
    offset: int
    data: bytes
    bits: str
    value: int | float | None

    @property
    def digits(self) -> str:
        """The value as C would print it: hex of its full width, and in decimal."""
        if self.value is None:
            return ""
        if isinstance(self.value, float):
            return repr(self.value)
        raw = self.value & (1 << self.slot.width) - 1
        shown = f"{raw:#0{-(-self.slot.width // 4) + 2}x}"
        return f"{shown} = {self.value}" if self.value < 0 or self.value > 9 else shown


@dataclass(frozen=True)
class Decoded:
    """``data[offset:]`` as a struct has it. Raises :class:`KvmvizError` if it is too short."""

    layout: Layout
    data: bytes
    offset: int = 0

    def __post_init__(self) -> None:
        _ = self.cells

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Every scalar, array element and hole, in order of place."""
        values, found = dict(_scalars(self.layout.unpack(self.data, self.offset))), []
        for slot in self.layout.slots:
            count = math.prod(slot.shape)
            for number in range(count if slot.extent else 0):
                size = slot.size // count
                at, path = slot.offset + number * size, slot.path_of(number if slot.shape else None)
                data = self.data[self.offset + at : self.offset + at + size]
                bits = slot.bits_of_bytes(at, size)
                found.append(Cell(slot, path, at, data, bits, values.get(path)))
        return tuple(found)

    @property
    def record(self) -> dict[str, Any]:
        """As plain data; offsets count from the start of the struct, ``offset`` from the dump's.

        A ``value`` that JSON has no number for, infinite or not a number, is null.
        """
        layout = self.layout
        return {
            "struct": str(layout.struct),
            "abi": layout.abi.name,
            "byte_order": layout.abi.byte_order,
            "offset": self.offset,
            "size": layout.size,
            "members": [
                _held("name", cell)
                | {"bits": cell.bits, "value": cell.value if math.isfinite(cell.value) else None}
                for cell in self.cells
                if cell.value is not None
            ],
            "holes": [_held("what", cell) for cell in self.cells if cell.value is None],
        }

    def __repr__(self) -> str:
        letters = styles(self.layout.named)
        rows: list[Sequence[str]] = [("", "bytes", "", "member", "bits", "value")]
        for cells in _rows(self.cells):
            first, last = cells[0], cells[-1]
            data = b"".join(cell.data for cell in cells)
            letter = letters[first.slot.member].letter if first.value is not None else "-"
            head = letter, first.path, first.bits, first.digits
            if first is not last:
                head = letter, f"{first.path}..{last.path[len(first.slot.path) :]}", "", ""
            for at in range(0, len(data), ROW):
                more = head if not at else ("", "", "", "")
                rows.append((f"+{first.offset + at}", data[at : at + ROW].hex(" "), *more))
        end = f", from byte {self.offset} on" if self.offset else ""
        layout = self.layout
        lines = [f"{layout.struct} on {where(layout)}, {counted(layout.size, 'byte')}{end}"]
        lines.append(table(rows, right=(0,)))
        if rest := len(self.data) - self.offset - layout.size:
            lines.append(f"  bytes behind it, not looked at: {rest}")
        return "\n".join(lines)


def _held(key: str, cell: Cell) -> dict[str, Any]:
    return {key: cell.path, "offset": cell.offset, "bytes": cell.data.hex()}


def _scalars(value: Any, path: str = "") -> Iterator[tuple[str, int | float]]:
    """The numbers in what :meth:`Layout.unpack` gives, by path: ``a.b[1]``."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _scalars(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _scalars(inner, f"{path}[{number}]")
    else:
        yield path, value


def _rows(cells: Iterable[Cell]) -> Iterator[list[Cell]]:
    """Cells that share a row: the elements of an array of bytes, up to 16."""
    for slot, held in groupby(cells, lambda cell: cell.slot):
        row, step = list(held), ROW if slot.shape and slot.width == 8 else 1
        for at in range(0, len(row), step):
            yield row[at : at + step]

"""A dump by member: each member's bytes, the bits that they hold, and its value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kvmviz._base import Twin, twin
from kvmviz.layout import Layout
from kvmviz.slot import Slot
from kvmviz.style import styles
from kvmviz.text import table, where

ROW = 16
"""Bytes in a row of text, where a member has more."""


@dataclass(frozen=True)
class Cell:
    """One value, or the bytes of one hole; ``value`` is None there. ``offset`` is in bytes."""

    path: str
    offset: int
    data: bytes
    bits: str
    value: int | float | None
    slot: Slot

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


@dataclass(frozen=True, repr=False)
class Decoded(Twin):
    """``data[offset:]`` as a struct has it. Raises :class:`KvmvizError` if it is too short."""

    layout: Layout
    data: bytes
    offset: int = 0

    def __post_init__(self) -> None:
        _ = self.values

    @cached_property
    def values(self) -> dict[str, Any]:
        """The members' values, by name."""
        return self.layout.unpack(self.data, self.offset)

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Every scalar, array element and hole, in order of place."""
        return tuple(cell for slot in self.layout.slots for cell in self._cells(slot))

    def _cells(self, slot: Slot) -> Iterator[Cell]:
        raw = self.data[self.offset : self.offset + self.layout.size]
        if not slot.extent:
            return
        whole = slot.type is None or slot.is_bit_field
        step = slot.size if whole or slot.type is None else slot.type.size
        for number in range(slot.size // step):
            at = slot.offset + number * step
            path = slot.path_of(number if slot.shape else None)
            value = None if slot.type is None else self._value(path)
            yield Cell(path, at, raw[at : at + step], slot.bits_of_bytes(at, step), value, slot)

    def _value(self, path: str) -> int | float:
        """The value of a scalar: ``a.b[1]`` is ``values["a"]["b"][1]``."""
        found: Any = self.values
        for part in re.findall(r"\w+", path):
            found = found[int(part) if part.isdigit() else part]
        number: int | float = found
        return number

    @property
    def rest(self) -> int:
        """How many bytes lie behind the struct."""
        return len(self.data) - self.offset - self.layout.size


@twin.register
def _(decoded: Decoded) -> str:
    layout = decoded.layout
    letters = styles(layout.named)
    rows: list[Sequence[str]] = [("", "bytes", "", "member", "bits", "value")]
    for cells in _rows(decoded.cells):
        first, last = cells[0], cells[-1]
        data = b"".join(cell.data for cell in cells)
        path = first.path if first is last else f"{first.path}..{last.path[len(first.slot.path) :]}"
        letter = letters[first.slot.member].letter if first.value is not None else "-"
        digits = first.digits if first is last else ""
        for at in range(0, len(data), ROW):
            head = (letter, path, first.bits if len(cells) == 1 else "", digits)
            more = head if not at else ("", "", "", "")
            rows.append((f"+{first.offset + at}", data[at : at + ROW].hex(" "), *more))
    end = f", from byte {decoded.offset} on" if decoded.offset else ""
    lines = [f"{layout.struct} on {where(layout)}, {layout.size} bytes{end}"]
    lines.append(table(rows, right=(0,)))
    if decoded.rest:
        lines.append(f"  bytes behind it, not looked at: {decoded.rest}")
    return "\n".join(lines)


def _rows(cells: Sequence[Cell]) -> Iterator[list[Cell]]:
    """Cells that share a row: the elements of an array of bytes, up to 16."""
    row: list[Cell] = []
    for cell in cells:
        is_byte = bool(cell.slot.shape) and len(cell.data) == 1 and not cell.slot.is_bit_field
        if row and not (is_byte and row[0].slot is cell.slot and len(row) < ROW):
            yield row
            row = []
        row.append(cell)
    if row:
        yield row

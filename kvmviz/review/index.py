"""Slots by place, for what a new member lies over."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import accumulate

from kvmviz.slot import Slot


class Index:
    """Slots by place, to find those that share bits of memory with a range."""

    def __init__(self, slots: Iterable[Slot]) -> None:
        held = (slot for slot in slots if slot.extent)
        self._slots = sorted(held, key=lambda slot: slot.start)
        self._starts = [slot.start for slot in self._slots]
        self._reach = list(accumulate((s.start + s.extent for s in self._slots), max))

    def over(self, start: int, end: int) -> list[Slot]:
        """Those with bits from ``start`` on and before ``end``, counted in memory, in order."""
        last = bisect_left(self._starts, end)
        first = bisect_right(self._reach, start, 0, last)
        return [slot for slot in self._slots[first:last] if slot.start + slot.extent > start]

"""The leaves of a layout: which bytes a member holds, and which of its bits lie in each byte."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kvmviz.abi import ByteOrder
from kvmviz.ctype import Scalar

_INDEX = re.compile(r"\[\d+\]")


class Source(NamedTuple):
    """Where a byte comes from: bits ``high:low`` of a slot, of one element if it is an array."""

    slot: Slot
    high: int
    low: int
    element: int | None = None

    @property
    def label(self) -> str:
        """The bits as C would name them: ``hsr[31:24]``, ``data[2]`` for a whole byte."""
        if self.slot.type is not None and self.slot.type.bits == 8:
            return self.path
        return f"{self.path}[{self.high}:{self.low}]"

    @property
    def member(self) -> str:
        """The member that the bits belong to, whichever element of an array holds it."""
        return _INDEX.sub("", self.slot.path)

    @property
    def path(self) -> str:
        """The scalar that the bits belong to: ``hsr``, ``arch.far``, ``data[2]``."""
        return self.slot.path_of(self.element)


@dataclass(frozen=True)
class Slot:
    """A leaf of a layout: a scalar, an array of scalars, or padding (``type`` is None).

    ``path`` names it from the struct's top (``arch.hsr``; for padding: where it lies), ``member``
    is the struct's direct member that it belongs to (empty for the struct's own padding),
    ``offset`` and ``size`` are in bytes, ``shape`` is the array's, () for a single value.
    """

    path: str
    member: str
    offset: int
    size: int
    type: Scalar | None
    order: ByteOrder
    shape: tuple[int, ...] = ()

    @property
    def is_padding(self) -> bool:
        """No member holds these bytes."""
        return self.type is None

    def path_of(self, element: int | None) -> str:
        """The path of one array element, counted flat; of the slot itself if it is no array."""
        if not self.shape or element is None:
            return self.path
        place = np.unravel_index(element, self.shape)
        return self.path + "".join(f"[{int(i)}]" for i in place)

    def source(self, offset: int) -> Source | None:
        """What the byte at this offset of the struct holds; None in padding.

        On little-endian the byte of least significance comes first, on big-endian it comes last.
        """
        if self.type is None:
            return None
        index, byte = divmod(offset - self.offset, self.type.size)
        low = 8 * (byte if self.order == "little" else self.type.size - 1 - byte)
        return Source(self, low + 7, low, index if self.shape else None)

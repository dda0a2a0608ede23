"""The leaves of a layout: which bytes a member holds, and which of its bits lie in each byte."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal, NamedTuple

from kvmviz.abi import ByteOrder
from kvmviz.ctype import Scalar, brackets


@lru_cache(maxsize=4096)
def member_of(path: str) -> str:
    """A leaf's path without the indices of array elements: ``n.a`` for ``n[1].a``."""
    return re.sub(r"\[\d+\]", "", path)


class Write(NamedTuple):
    """Who put a byte there in a page with a history: ``by`` whom, in which ``step``, ``what`` for.

    ``step`` counts from 0, as :attr:`kvmviz.kvm.page.Vcpu.history` does; ``what`` is the part of
    the step: ``KVM_RUN entry``, an exit's name such as ``KVM_EXIT_MMIO``, ``access that KVM
    served``, ``KVM_RUN return``, or ``write``.
    """

    step: int
    by: Literal["kernel", "userspace"]
    what: str


class Source(NamedTuple):
    """Where bits of a byte come from: bits ``high:low`` of a slot, of one element of an array.

    ``bottom`` is the bit of the byte, counted from the least significant, that holds ``low``: 0
    for whole bytes, more for a bit-field that shares its byte with others. Those others, most
    significant first, are ``beside`` it where a byte has one entry only.
    """

    slot: Slot
    high: int
    low: int
    element: int | None = None
    bottom: int = 0
    beside: tuple[Source, ...] = ()
    write: Write | None = None

    @property
    def shares(self) -> tuple[Source, ...]:
        """All that holds bits of this byte, the most significant first."""
        return self._replace(beside=()), *self.beside

    def merged(self, other: Source | None) -> Source:
        """One entry for the byte of both, the most significant of them in front."""
        held = [source for source in (other.shares if other else ()) if not source.mask & self.mask]
        first, *rest = sorted((self, *held), key=lambda source: -source.bottom)
        return first._replace(beside=tuple(rest))

    @property
    def mask(self) -> int:
        """The bits of the byte that it holds."""
        return (1 << self.high - self.low + 1) - 1 << self.bottom

    @property
    def top(self) -> int:
        """The bit of the byte that holds ``high``."""
        return self.bottom + self.high - self.low

    @property
    def is_part(self) -> bool:
        """It does not hold the byte alone and whole."""
        return self.mask != 0xFF or bool(self.beside)

    @property
    def label(self) -> str:
        """The bits as C would name them: ``hsr[31:24]``, ``data[2]`` for a whole byte."""
        return self.path if self.slot.width == 8 else f"{self.path}[{self.bits}]"

    @property
    def bits(self) -> str:
        """The range of bits: ``31:24``, or ``3`` for one alone."""
        return f"{self.high}:{self.low}" if self.high > self.low else f"{self.high}"

    @property
    def member(self) -> str:
        """The member that the bits belong to, whichever element of an array holds it."""
        return member_of(self.slot.path)

    @property
    def path(self) -> str:
        """The scalar that the bits belong to: ``hsr``, ``arch.far``, ``data[2]``."""
        return self.slot.path_of(self.element)

    @property
    def indices(self) -> str:
        """Which element of an array they belong to: ``[2]``, ``[1][0]``; empty for no array."""
        return self.path.removeprefix(self.slot.path)

    def until(self, last: Source) -> str:
        """The bits from here to a byte of the same slot: ``hsr[63:32]``, ``data[0..7]``."""
        if self.element != last.element:
            if len(self.slot.shape) > 1:
                return f"{self.path}..{last.indices}"
            return f"{self.slot.path}[{self.element}..{last.element}]"
        high, low = max(self.high, last.high), min(self.low, last.low)
        return self._replace(high=high, low=low).label


def element_path(path: str, shape: Sequence[int], element: int) -> str:
    """The path of one element of an array, counted flat: ``grid[1][2]``."""
    indices = []
    for count in reversed(shape):
        element, index = divmod(element, count)
        indices.append(index)
    return path + brackets(reversed(indices))


@dataclass(frozen=True)
class Slot:
    """A leaf of a layout: a scalar, an array of scalars, a bit-field, or padding.

    ``path`` names it from the struct's top (``arch.hsr``; for padding: where it lies), ``member``
    is the struct's direct member that it belongs to (empty for the struct's own padding),
    ``type`` its scalar type, None for padding, and ``shape`` the array's, () for a single value.
    ``start`` and ``extent`` are its place and size in bits, counted from the struct's start in
    the order in which the ABI allocates them: from the least significant bit of each byte on
    little-endian, from the most significant on big-endian. ``order`` is the byte order of its
    value: the ABI's, unless the type fixes it (``__be32``).
    """

    path: str
    member: str
    start: int
    extent: int
    type: Scalar | None
    order: ByteOrder
    shape: tuple[int, ...] = ()

    @property
    def is_padding(self) -> bool:
        """No member holds these bits."""
        return self.type is None

    @cached_property
    def is_bit_field(self) -> bool:
        """It does not hold whole bytes, or not all bits of its type."""
        if self.type is None or not self.extent:  # a flexible array has no bits of its own
            return False
        return bool(self.start % 8 or self.extent % 8) or self.width != self.type.bits

    @property
    def offset(self) -> int:
        """Byte offset of the first byte that holds a bit of it."""
        return self.start // 8

    @property
    def size(self) -> int:
        """How many bytes hold bits of it."""
        return -(-self.stop // 8) - self.offset

    @property
    def stop(self) -> int:
        """The first bit behind it."""
        return self.start + self.extent

    @property
    def offsets(self) -> range:
        """Offsets of the bytes that hold bits of it."""
        return range(self.offset, self.offset + self.size)

    @property
    def placed(self) -> Iterator[tuple[int, Source]]:
        """Those offsets, each with what its byte holds; none in padding."""
        return zip(self.offsets, self.sources(self.offsets), strict=False)

    @cached_property
    def width(self) -> int:
        """Bits of one value."""
        return self.extent // (math.prod(self.shape) or 1)

    def path_of(self, element: int | None) -> str:
        """The path of one array element, counted flat; of the slot itself if it is no array."""
        return self.path if element is None else element_path(self.path, self.shape, element)

    def source(self, offset: int) -> Source | None:
        """What the byte at this offset of the struct holds of it; None in padding.

        On little-endian the byte of least significance comes first, on big-endian it comes last.
        """
        return next(self.sources(range(offset, offset + 1)), None)

    def sources(self, offsets: range, write: Write | None = None) -> Iterator[Source]:
        """The same for the bytes of a range that hold some of it, in order; none in padding.

        ``write`` is who put them there, in a page with a history.
        """
        if self.type is not None:
            parts, first, is_array = self._parts, self.offset, bool(self.shape)
            for offset in offsets:
                element, at = divmod(offset - first, len(parts))
                high, low, bottom = parts[at]
                yield Source(self, high, low, element if is_array else None, bottom, (), write)

    @cached_property
    def _parts(self) -> list[tuple[int, int, int]]:
        """For each byte of one value its bits there, highest and lowest, and where that one is."""
        skip, rows = self.start % 8, []
        for at in range(0, skip + self.width, 8):
            first, last = max(at, skip), min(at + 7, skip + self.width - 1)
            little = self.order == "little"
            low = first - skip if little else self.width - 1 - (last - skip)
            rows.append((low + last - first, low, first - at if little else at + 7 - last))
        return rows

    def bits_of_bytes(self, first: int, size: int) -> str:
        """The bits of a value that each byte holds, first byte first: ``31:24 23:16 15:8 7:0``."""
        return " ".join(source.bits for source in self.sources(range(first, first + size)))


def merged(sources: Sequence[Source]) -> Source | None:
    """One entry for a byte; where sources overlap, as in a union, those in front are seen."""
    entry: Source | None = None
    for source in reversed(sources):
        entry = source.merged(entry)
    return entry


def bits_of(source: Source | None) -> str:
    """The bits that a cell holds, as the text below it says: ``31:24``, ``[2]``, a dash."""
    if source is None:
        return "–"
    if source.beside:
        shares = "|".join(share.bits for share in source.shares)
        return shares if len(shares) < 9 else f"{len(source.shares)} parts"
    if source.element is None or source.slot.width != 8:
        return f"{source.high}:{source.low}"
    return source.indices if len(source.indices) < 10 else f"..[{source.indices.rpartition('[')[2]}"

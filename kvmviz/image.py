"""An image: bytes with provenance, which write put each byte there, or nobody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kvmviz._base import KvmvizError, Twin
from kvmviz.slot import Source

if TYPE_CHECKING:
    from kvmviz.layout import Layout


@dataclass(frozen=True, repr=False)
class Image(Twin):
    """The memory of one struct.

    ``data`` are its bytes in order of offset, ``sources`` one entry a byte: the slot and the bit
    range that wrote it, or None where nobody did and the byte is what the memory held before.
    """

    layout: Layout
    data: bytes
    sources: tuple[Source | None, ...]

    def __post_init__(self) -> None:
        if not len(self.data) == len(self.sources) == self.layout.size:
            raise KvmvizError(
                f"{self.layout.struct}: {len(self.data)} bytes with {len(self.sources)} sources; "
                f"its size is {self.layout.size}"
            )

    def __bytes__(self) -> bytes:
        return self.data

    def __len__(self) -> int:
        return len(self.data)

    @property
    def unwritten(self) -> tuple[int, ...]:
        """Offsets of the bytes that nobody wrote."""
        return tuple(at for at, source in enumerate(self.sources) if source is None)

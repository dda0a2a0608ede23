"""Traces: many kvm_run pages in a file or an array, decoded in bulk, odd ones found and counted.

A chunk of pages at a time goes through numpy, in memory that does not grow with the trace. Pages
are read as userspace of today reads them: with hsr_high where the merged kernel has it.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from kvmviz._base import KvmvizError, Twin
from kvmviz.abi import Abi
from kvmviz.image import as_bytes, integer
from kvmviz.kvm.kernel import EXIT_REASONS, FLAG_VALUE, KERNELS, SIZE, WATCHPOINT_LOW
from kvmviz.layout import Layout

if TYPE_CHECKING:
    from typing_extensions import Buffer

ANOMALIES: Mapping[str, str] = MappingProxyType(
    {
        "flag": "flag set on what is no debug exit",
        "hole": "debug exit, hsr_high not zero, flag not set",
        "far": "debug exit, no watchpoint, far not zero",
    }
)
"""What is counted, by name. ``flag``: nobody cleared it. ``hole``: leftovers where the kernel wrote
no hsr_high. ``far``: an earlier exit's; the kernel writes it for watchpoints alone. Each is legal
for some kernel, and each fools some program. A widened big-endian kernel has EC elsewhere: its
watchpoints are counted under ``far``."""

CHUNK = 1 << 20
"""Bytes that are decoded at a time: few enough to stay in a cache, enough to pay for each call."""

EXAMPLES = 3
"""How many pages of each anomaly are named."""

_OTHER = 64
"""Exit reasons from here on, which no kernel has, are counted together."""

Counts = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Source: TypeAlias = "str | os.PathLike[str] | Buffer | Bytes"
"""A file's name, or memory."""


@dataclass(frozen=True)
class Row:
    """The pages of one exit reason, None for what is no exit reason, and the odd ones of them."""

    reason: int | None
    pages: int
    odd: Mapping[str, int]


@dataclass(frozen=True, repr=False)
class Trace(Twin):
    """What lies in a trace: ``rows`` by exit reason, ``first`` some pages of each anomaly.

    ``pages`` is how many pages there are, ``stride`` how many bytes from one to the next. Pages
    are numbered from 0.
    """

    abi: Abi
    stride: int
    pages: int
    rows: tuple[Row, ...]
    first: Mapping[str, tuple[int, ...]]

    @property
    def odd(self) -> dict[str, int]:
        """How many pages have each anomaly."""
        return {name: sum(row.odd[name] for row in self.rows) for name in ANOMALIES}


def scan(
    source: Source,
    abi: str | Abi,
    stride: int = SIZE,
    *,
    progress: bool = True,
) -> Trace:
    """Decode a trace and count its anomalies by exit reason.

    ``source`` is a file, or memory with pages in it (an array, a memory map); ``stride`` are the
    bytes from one page to the next: 2352 for whole pages, 4096 for pages as they are mapped, 288
    for heads with the exit union, and no fewer than the 48 up to the end of far. A bar on stderr
    shows progress when it takes over a second, unless ``progress`` is false.

    Raises :class:`KvmvizError` for a file that cannot be read, for no page at all, for a size that
    is no multiple of the stride, and for a stride too short.
    """
    from tqdm import tqdm

    layout = KERNELS["merged"].page(abi)
    least = layout.offsets["debug"] + KERNELS["merged"].debug.layout(abi).size
    stride = integer(stride, "trace, stride")
    if not least <= stride <= CHUNK:
        raise KvmvizError(f"trace, stride {stride}; legal are {least} .. {CHUNK} bytes")
    tally = _Tally(layout, stride)
    name, size, chunks = _opened(source, stride)
    if size == 0 or size % stride:
        over = f"the last {size % stride} are no whole page" if size else "there is no page"
        raise KvmvizError(f"trace {name}: {size} bytes at a stride of {stride}: {over}")
    give_back = _behind(source)
    bar = tqdm(total=size, unit="B", unit_scale=True, delay=1, leave=False, disable=not progress)
    with bar:
        for chunk in chunks:
            tally.add(chunk)
            give_back(tally.pages * stride)
            bar.update(len(chunk))
    if tally.pages * stride != size:
        raise KvmvizError(f"trace {name}: it ended after {tally.pages * stride} of {size} bytes")
    return tally.trace()


def _opened(source: Source, stride: int) -> tuple[str, int, Iterator[Bytes]]:
    """A name to call it by, its size in bytes, and its bytes by chunks of whole pages."""
    step = max(1, CHUNK // stride) * stride
    if not isinstance(source, str | os.PathLike):
        raw = as_bytes(source, "trace")  # type: ignore[arg-type]
        parts = (raw[at : at + step] for at in range(0, len(raw), step))
        return "in memory", len(raw), parts
    path = Path(source)
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise KvmvizError(f"trace {path}: no regular file")
        return str(path), size, _read(path, step)
    except (OSError, ValueError) as error:
        if isinstance(error, KvmvizError):
            raise
        why = error.strerror if isinstance(error, OSError) else error
        raise KvmvizError(f"trace {str(path)!r}: {why}") from None


def _behind(source: Source) -> Callable[[int], None]:
    """Gives back what was read of a file that is mapped read-only, up to some byte.

    Else all of it would count as memory in use. What may have been written to is left alone.
    """
    held = getattr(source, "_mmap", source)  # numpy's own name for it, in a memmap
    if isinstance(held, mmap.mmap) and hasattr(held, "madvise"):
        with memoryview(held) as view:
            if view.readonly:
                whole = mmap.PAGESIZE
                return lambda stop: held.madvise(mmap.MADV_DONTNEED, 0, stop // whole * whole)
    return lambda stop: None


def _read(path: Path, step: int) -> Iterator[Bytes]:
    """A file into one buffer again and again: mapped, all of it would count as memory in use."""
    buffer = np.empty(step, np.uint8)
    try:
        with path.open("rb") as file:
            while count := file.readinto(buffer.data):
                yield buffer[:count]
    except OSError as error:
        raise KvmvizError(f"trace {path}: {error.strerror or error}") from None


class _Tally:
    """Counts of the pages seen so far, by a code that holds all that matters about a page.

    A page's code is its exit reason in 7 bits, and a bit each for the flag, hsr_high not zero, far
    not zero, and a watchpoint's class. One count by code is all that is done to every page; bytes
    are compared as they lie in memory, so nothing is swapped.
    """

    def __init__(self, layout: Layout, stride: int) -> None:
        self.abi, self.stride = layout.abi, stride
        self.pages = 0
        self.counts: Counts = np.zeros(len(_CODES), np.int64)
        self.first: dict[str, list[int]] = {name: [] for name in ANOMALIES}
        high, far = "debug.arch.hsr_high", "debug.arch.far"
        start = {slot.path: slot.offset for slot in layout.slots}
        self.dtype = np.dtype(
            {
                "names": ["reason", "reason_low", "flag", "class", "high", "far"],
                # Of high and far only whether they are zero is asked, which has no byte order.
                "formats": ["u4", "u1", "u1", "u1", "u4", "u8"],
                "offsets": [
                    layout.offsets["exit_reason"],
                    _byte(layout, "exit_reason", 0),
                    _byte(layout, "flags", 0),
                    _byte(layout, "debug.arch.hsr", 31),
                    start[high],
                    start[far],
                ],
                "itemsize": stride,
            }
        )
        kind = layout.dtype["exit_reason"]
        beyond = np.array(0xFFFFFFFF & -_OTHER, kind)
        self.beyond = beyond.view(kind.newbyteorder("="))[()]

    def add(self, chunk: Bytes) -> None:
        """Count the pages of one chunk."""
        pages = np.frombuffer(chunk[: len(chunk) // self.stride * self.stride], self.dtype)
        code = pages["reason_low"].astype(np.uint16)
        beyond = (pages["reason"] & self.beyond) != 0
        if beyond.any():
            code[beyond] = _OTHER
        code |= (pages["flag"] & FLAG_VALUE).astype(np.uint16) << 7
        code |= (pages["high"] != 0).astype(np.uint16) << 8
        code |= (pages["far"] != 0).astype(np.uint16) << 9
        code |= ((pages["class"] & 0xFC) == WATCHPOINT_LOW << 2).astype(np.uint16) << 10
        counts = np.bincount(code, minlength=len(_CODES))
        self.counts += counts
        for name, found in self.first.items():
            if len(found) < EXAMPLES and counts[_ODD[name]].any():
                odd = np.flatnonzero(_ODD[name][code])[: EXAMPLES - len(found)]
                found += (odd + self.pages).tolist()
        self.pages += len(pages)

    def trace(self) -> Trace:
        """What was counted."""
        reasons = _CODES & 0x7F
        rows = tuple(
            Row(
                reason if reason < _OTHER else None,
                int(self.counts[reasons == reason].sum()),
                {
                    name: int(self.counts[(reasons == reason) & odd].sum())
                    for name, odd in _ODD.items()
                },
            )
            for reason in sorted(set(reasons[self.counts > 0].tolist()))
        )
        first = {name: tuple(found) for name, found in self.first.items()}
        return Trace(self.abi, self.stride, self.pages, rows, first)


_CODES = np.arange(1 << 11)


def _odd() -> Mapping[str, npt.NDArray[np.bool_]]:
    """For each anomaly, the codes that have it."""
    debug = EXIT_REASONS["DEBUG"] == (_CODES & 0x7F)
    flag, high, far, watchpoint = ((_CODES >> bit & 1) == 1 for bit in (7, 8, 9, 10))
    return {"flag": flag & ~debug, "hole": debug & high & ~flag, "far": debug & far & ~watchpoint}


_ODD = _odd()


def _byte(layout: Layout, path: str, bit: int) -> int:
    """The offset of the byte that holds one bit of a member."""
    return next(
        at
        for at, held in enumerate(layout.holders)
        for source in held
        if source.path == path and source.low <= bit <= source.high
    )

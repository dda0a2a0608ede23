"""An image: bytes with provenance, which write put each byte there, or nobody."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kvmviz._base import KvmvizError, counted, hexed, integer, shown, unsigned
from kvmviz.ctype import Array, Scalar, Struct, Type, no_member
from kvmviz.rules import Field, extent
from kvmviz.slot import Slot, Source, Write, element_path
from kvmviz.style import styles
from kvmviz.text import bits, runs, table, where

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from kvmviz.layout import Layout


@dataclass(frozen=True)
class Image:
    """The memory of one struct.

    ``data`` are its bytes in order of offset, ``sources`` one entry a byte: the slot and the bit
    range that wrote it, or None where nobody did and the byte is what the memory held before.
    """

    layout: Layout
    data: bytes
    sources: tuple[Source | None, ...]

    def __post_init__(self) -> None:
        layout, data, sources = self.layout, self.data, self.sources
        whole = isinstance(data, bytes) and isinstance(sources, tuple)
        written = [source for source in sources if source is not None] if whole else []
        if not whole or not {*map(type, written)} <= {Source}:
            told = f"not {shown(data)}, {shown(sources)}"
            raise KvmvizError(f"an image is bytes and a tuple of sources of an image, {told}")
        size = getattr(layout, "size", "none")
        if not size == len(data) == len(sources):
            title = getattr(layout, "struct", shown(layout))
            told = f"{len(data)} bytes with {len(sources)} sources; its size is {size}"
            raise KvmvizError(f"{title}: {told}")
        beside = [share for source in written if source.beside for share in source.beside]
        for name in dict.fromkeys([source.slot.member for source in (*written, *beside)]):
            if name not in layout.named:
                raise no_member(f"{layout.struct}, sources", name, layout.named)

    def __bytes__(self) -> bytes:
        return self.data

    def __len__(self) -> int:
        return len(self.data)

    @property
    def unwritten(self) -> tuple[int, ...]:
        """Offsets of the bytes that nobody wrote."""
        return tuple(at for at, source in enumerate(self.sources) if source is None)

    def __repr__(self) -> str:
        head = f"{self.layout.struct} on {where(self.layout)}, {counted(len(self), 'byte')}"
        return f"{head}\n{byte_rows(self.data, self.sources, self.layout)}".rstrip("\n")


def byte_rows(data: bytes, sources: Sequence[Source | None], layout: Layout) -> str:
    """Bytes in aligned hex, a row for each member, hole or 8 bytes: offset, bytes, bits, who."""
    letters = styles(layout.named)
    rows = []
    for first, last in pieces(sources, layout):
        source = sources[first]
        letter = "".join(letters[s.slot.member].letter for s in source.shares) if source else "-"
        if source is None:
            told = f"not written {unwritten(layout, first)}"
        elif source.is_part:
            parts = [
                f"{s.path}  {bits(s.high, s.low)} in {bits(s.top, s.bottom)}" for s in source.shares
            ]
            if free := 0xFF & ~sum(s.mask for s in source.shares):
                parts.append(f"bits not written: mask {free:#04x}")
            told = " · ".join(parts)
        else:
            end = sources[last] or source
            told = source.path if source.element == end.element else source.until(end)
            if not source.slot.shape or source.slot.width != 8:
                taken = " ".join(f"{s.high}:{s.low}" for s in sources[first : last + 1] if s)
                told += f"  bits {taken}"
        rows.append((f"+{first}", data[first : last + 1].hex(" "), letter, told))
    return table(rows, right=(0,))


def pieces(
    sources: Sequence[Source | None], layout: Layout, width: int | None = 8
) -> Iterator[tuple[int, int]]:
    """First and last offset of neighbours that one write put there, at most ``width`` a piece.

    Neighbours that nobody wrote are told apart by the slot that lies there; a byte that slots
    share is a piece by itself.
    """

    def holder(at: int) -> tuple[bool, object]:
        source = sources[at]
        if source is None:
            return False, layout.slot_at(at)
        return True, at if source.is_part else source.slot

    return runs(range(len(sources)), holder, width)


def unwritten(layout: Layout, offset: int) -> str:
    """What a byte that nobody wrote is: a hole, or members left as they were."""
    slot = layout.slot_at(offset)
    fields = [s.path for s in layout.holders[offset] if s.slot.is_bit_field]
    if len(fields) > 1:
        return f"({', '.join(fields)}, left as they were)"
    return f"({slot.path})" if slot.is_padding else f"({slot.path}, left as it was)"


MAX_BYTES, MAX_LEAVES = 1 << 21, 1 << 18
"""The largest struct that values are packed into and unpacked from, one by one."""
Value = int | np.integer[Any] | npt.NDArray[Any] | Sequence[Any] | Mapping[Any, Any]


def pack(layout: Layout, values: Mapping[str, Value], fill: int | Buffer | Image) -> Image:
    """See :meth:`kvmviz.layout.Layout.pack`."""
    check_size(layout)
    title = f"{layout.struct}, fill"
    if isinstance(fill, int | np.integer):
        memory = bytearray([unsigned(fill, title, 8)]) * layout.size
    elif len(memory := bytearray(as_bytes(fill, title))) != layout.size:
        legal = f"legal is one byte's value or a buffer of {counted(layout.size, 'byte')}"
        raise KvmvizError(f"{layout.struct}: fill has {counted(len(memory), 'byte')}; {legal}")
    sources: list[Source | None] = [None] * layout.size
    store(layout, values, memory, sources)
    return Image(layout, bytes(memory), tuple(sources))


def store(
    layout: Layout, values: Mapping[str, Value], memory: bytearray, sources: list[Source | None],
    write: Write | None = None,
) -> None:  # fmt: skip
    """Write members into a struct's memory, and who wrote each byte into its sources."""
    for path, items in _leaves(layout, values, f"{layout.struct}, "):
        slot = layout.paths[path]
        numbers = {element: _number(value, slot, element, layout) for element, value in items}
        if slot.is_bit_field:
            for at, source in zip(slot.offsets, slot.sources(slot.offsets, write), strict=True):
                bits = numbers[0] >> source.low << source.bottom & source.mask
                memory[at] = memory[at] & ~source.mask | bits
                sources[at] = source.merged(sources[at])
            continue
        start, size = slot.offset, slot.width // 8
        for element, number in numbers.items():
            at = start + size * element
            memory[at : at + size] = number.to_bytes(size, slot.order, signed=number < 0)
        for first, last in runs(numbers):
            offsets = range(start + size * first, start + size * (last + 1))
            sources[offsets.start : offsets.stop] = slot.sources(offsets, write)


def unpack(layout: Layout, buffer: Buffer | Image, offset: int = 0) -> dict[str, Any]:
    """See :meth:`kvmviz.layout.Layout.unpack`."""
    check_size(layout)
    raw = as_bytes(buffer, str(layout.struct))
    last = len(raw) - layout.size
    offset = integer(offset, f"{layout.struct}, offset")
    if not 0 <= offset <= last:
        legal = f"legal offsets are 0 .. {last}" if last >= 0 else "no offset is legal"
        told = f"a buffer of {counted(len(raw), 'byte')} has too few from offset {shown(offset)} on"
        taken = f"{layout.struct} takes {counted(layout.size, 'byte')}"
        raise KvmvizError(f"{taken}; {told}; {legal}")
    return _read(layout, raw, offset)


def check_size(layout: Layout) -> None:
    """Raises :class:`KvmvizError` for what is too large to be looked at value by value."""
    if layout.size > MAX_BYTES or layout.leaves > MAX_LEAVES:
        raise KvmvizError(
            f"{layout.struct} has {layout.size} bytes; values go into structs of up to {MAX_BYTES} "
            f"bytes with up to {MAX_LEAVES} members, those of every array element counted, and "
            "out of them; for more there is Layout.dtype"
        )


def assigned(value: int, slot: Slot) -> int:
    """A value as C assigns it to an integer member: cut to its bits; to a bool, whether not 0."""
    if slot.type is not None and slot.type.kind == "bool":
        return int(value != 0)
    low = value & (1 << slot.width) - 1
    signed = slot.type is not None and slot.type.signed
    return low - (1 << slot.width) if signed and low >> slot.width - 1 else low


def as_bytes(buffer: Buffer | Image, where: str) -> npt.NDArray[np.uint8]:
    """The bytes of anything that has the buffer protocol, in memory order; not a copy.

    Not of one number out of numpy, whose bytes would be the host's, nor of Python objects.
    """
    try:
        if isinstance(buffer, np.ndarray):
            # memoryview knows neither members that overlap nor dates.
            if buffer.dtype.hasobject or not buffer.flags.c_contiguous:
                raise TypeError
            return np.asarray(buffer).ravel().view(np.uint8)
        if isinstance(buffer, np.generic):
            raise TypeError
        view = memoryview(bytes(buffer) if isinstance(buffer, Image) else buffer)
        return np.frombuffer(view, np.uint8) if view.nbytes else np.empty(0, np.uint8)
    except Exception:  # what an object's own buffer raises is no better
        raise KvmvizError(
            f"{where}: {type(buffer).__name__[:40]} is no contiguous buffer of bytes; legal are "
            "bytes, bytearray, memoryview, mmap and numpy arrays without objects"
        ) from None


def _leaves(
    layout: Layout, values: Any, top: str, prefix: str = ""
) -> Iterator[tuple[str, list[tuple[int, Any]]]]:
    """What values say of a leaf: its slot's path; elements, counted flat, with their values."""
    if not isinstance(values, Mapping):
        where = f"{top}{prefix.rstrip('.') or 'values'}"
        raise KvmvizError(f"{where}: {shown(values)} is no mapping of members to values")
    for name, value in values.items():
        if not isinstance(name, str) or name not in layout.named:
            raise no_member(f"{layout.struct}", name, layout.named)
        kind, path = layout.named[name].type, prefix + name
        items = [*_elements(kind.shape, value, top + path)]
        if not isinstance(kind.leaf, Struct):
            yield path, items
            continue
        for number, item in items:
            element = element_path(path, kind.shape, number)
            yield from _leaves(kind.leaf.layout(layout.abi), item, top, f"{element}.")


def _elements(
    shape: Sequence[int], value: Any, where: str, number: int = 0
) -> Iterator[tuple[int, Any]]:
    """Every element of an array, counted flat; what is no array is its own, number 0."""
    if not shape:
        yield number, value
        return
    count, *inner = shape
    for index, item in _items(value, count, where):
        yield from _elements(inner, item, f"{where}[{index}]", count * number + index)


def _items(value: Any, count: int, where: str) -> Iterable[tuple[int, Any]]:
    """Index and value of the elements to write: all of a list, some of a mapping."""
    if isinstance(value, Mapping):
        for index in value:
            whole = isinstance(index, int | np.integer) and not isinstance(index, bool)
            if not whole or index not in range(count):
                legal = f"legal are 0 .. {count - 1}"
                raise KvmvizError(f"{where}: no element {shown(index)}; {legal}")
        return value.items()
    try:
        if isinstance(value, str) or not hasattr(value, "__getitem__"):
            raise TypeError
        size = len(value)
        plain = isinstance(value, np.ndarray) and value.dtype.kind in "iu"
        items = list(islice(value.tolist() if plain else value, count + 1)) if size == count else []
    except Exception:  # of the object's own making, or Python's for what has no length
        legal = f"legal is a list of {count}"
        raise KvmvizError(f"{where}: {shown(value)} is no list; {legal}") from None
    if size != count or len(items) != count:
        legal = f"exactly {count}, or a mapping of index to value for some of them"
        raise KvmvizError(f"{where}: {counted(size, 'element')}; legal is {legal}")
    return enumerate(items)


def _number(value: Any, slot: Slot, element: int, layout: Layout) -> int:
    """The bits of a value that fits a member; numpy itself would cut a numpy integer short."""
    kind = slot.type
    assert kind is not None
    low, high = kind.limits(slot.width)
    if type(value) is int and low <= value <= high and not kind.is_float:
        return value
    at = f"offset {slot.offset + element * kind.size}, {kind.name}"
    path = slot.path_of(element if slot.shape else None)
    where = f"{layout.struct}, member {path} ({at})"
    if kind.is_float and kind.bits > 64:
        if not isinstance(value, bytes) or len(value) != kind.size:
            legal = f"legal are its {kind.size} bytes, in the order of memory"
            raise KvmvizError(f"{where}: {shown(value)} is no value of it here; {legal}")
        return int.from_bytes(value, slot.order)
    if kind.kind == "float":
        return int.from_bytes(_floating(value, kind, where), "little")
    truth = kind.kind == "bool" and isinstance(value, bool | np.bool_)
    held = int(value) if truth else integer(value, where)
    if not low <= held <= high:
        room = kind.name if kind.kind == "bool" else counted(slot.width, "bit")
        legal = f"legal are {low:#x} .. {high:#x}"
        raise KvmvizError(f"{where}: {hexed(held)} does not fit {room}; {legal}")
    return held


def _floating(value: Any, scalar: Scalar, where: str) -> bytes:
    """The value in the type's format; ``inf`` only where it is given as such."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise KvmvizError(f"{where}: {shown(value)} is not a number")
    try:
        number = float(value)
        if math.isinf(number) and not np.isinf(value):  # wider than a double
            raise OverflowError
        return struct.pack("<f" if scalar.bits == 32 else "<d", number)
    except OverflowError:
        most = float(np.finfo(scalar.dtype("little")).max)
        legal = f"-{most!r} .. {most!r}, inf, nan"
        told = hexed(int(value)) if isinstance(value, int | np.integer) else f"{value!s}"
        raise KvmvizError(
            f"{where}: {told} does not fit {scalar.name}; legal are {legal}"
        ) from None


def _read(layout: Layout, raw: npt.NDArray[np.uint8], base: int) -> dict[str, Any]:
    return {
        name: _value(layout, field, field.type, raw, base + field.offset)
        for name, field in layout.named.items()
    }


def _value(layout: Layout, field: Field, kind: Type, raw: npt.NDArray[np.uint8], at: int) -> Any:
    if isinstance(kind, Struct):
        return _read(kind.layout(layout.abi), raw, at)
    if isinstance(kind.leaf, Scalar):
        scalar, order = kind.leaf.on(layout.abi), kind.leaf.order or layout.abi.byte_order
        if field.bits is None and (scalar.bits <= 64 or scalar.is_float):
            return np.ndarray(kind.shape, scalar.dtype(order), raw, at).tolist()
    if isinstance(kind, Array):
        step, _ = extent(kind.element, layout.abi)
        rows = (at + step * number for number in range(kind.count))
        return [_value(layout, field, kind.element, raw, row) for row in rows]
    # What numpy has no type for: a bit-field, or an integer of 128 bits.
    width = scalar.bits if field.bits is None else field.bits
    slot = Slot("", "", field.start % 8, width, scalar, order)
    placed = ((int(raw[at + offset]), source) for offset, source in slot.placed)
    return assigned(sum((b & s.mask) >> s.bottom << s.low for b, s in placed), slot)

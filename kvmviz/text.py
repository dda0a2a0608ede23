"""The text twin: every result as plain text that says all that its picture says.

Here are structs, layouts, images, verdicts and ESR; kernels, programs and dumps are in
:mod:`kvmviz.kvm.words`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from kvmviz._base import Twin, counted, twin
from kvmviz._base import span as span
from kvmviz.abi import ABIS
from kvmviz.ctype import Array, Conditional, Scalar, Struct, Type
from kvmviz.esr import HALVES, Esr
from kvmviz.image import Image
from kvmviz.layout import Layout, Rules
from kvmviz.slot import Slot, Source
from kvmviz.style import Style, styles
from kvmviz.verdict import STATUSES, Verdict, Witness, flexible, place


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


def name_of(kind: Type, name: str = "") -> str:
    """A declaration as C writes it: ``__u8 data[8]``."""
    return f"{kind.leaf} {name}{_counts(kind)}".strip()


def _counts(kind: Type) -> str:
    return "".join(f"[{n}]" for n in kind.shape) if isinstance(kind, Array) else ""


def spans(offsets: Sequence[int]) -> str:
    """Offsets in words, neighbours joined: ``bytes 1..3, byte 7``."""
    known = frozenset(offsets)
    ends = [at for at in offsets if at + 1 not in known]
    starts = [at for at in offsets if at - 1 not in known]
    return ", ".join(span(first, last) for first, last in zip(starts, ends, strict=True))


def where(layout: Layout) -> str:
    """A layout's ABI with its byte order, the half that the name alone may not say."""
    return f"{layout.abi.name} ({layout.abi.byte_order}-endian)"


@twin.register
def _(struct: Struct) -> str:
    return _defined(struct)


@twin.register
def _(struct: Conditional) -> str:
    rows = [(", ".join(names), _defined(one)) for names, one in struct.variants]
    there = {name for names, _ in struct.variants for name in names}
    absent = ", ".join(name for name in ABIS if name not in there)
    rows += [(absent, "not defined")] if absent else []
    return f"{struct} differs by ABI:\n" + "\n".join(f"on {abis}:\n{said}" for abis, said in rows)


def _defined(struct: Struct) -> str:
    """The definition as C that :func:`kvmviz.parse` reads back, with all that bears on layout."""
    lines = [*dict.fromkeys(_typedefs(struct)), *_declare(struct)]
    lines[-1] += ";"
    if struct.pack:
        lines = [f"#pragma pack(push, {struct.pack})", *lines, "#pragma pack(pop)"]
    return "\n".join(lines)


def _typedefs(struct: Struct) -> Iterator[str]:
    """Types whose alignment is their own: an attribute of a member can only raise it."""
    if isinstance(struct, Conditional):
        return
    for member in struct.members:
        leaf = member.type.leaf
        if isinstance(leaf, Scalar) and leaf.align:
            yield f"typedef {leaf} {_alias(leaf)}{_attributes(False, leaf.align)};"
        elif isinstance(leaf, Struct) and _is_inside(leaf, member.name):
            yield from _typedefs(leaf)


def _is_inside(kind: Struct, name: str | None) -> bool:
    """Whether a member's struct is defined where the member is declared."""
    return not (name and kind.tag)


def _alias(kind: Scalar) -> Scalar:
    """The type under a name that C can give it."""
    words = kind.name.replace("*", "p").split()
    return replace(kind, name="_".join((*words, str(kind.align)))) if kind.align else kind


def _declare(struct: Struct, depth: int = 0, pack: int | None = None) -> Iterator[str]:
    pad = "    " * depth
    if isinstance(struct, Conditional):
        yield from (f"{pad}{struct} {{", f"{pad}    /* differs by ABI */", f"{pad}}}")
        return
    head = f"{pad}{'union' if struct.union else 'struct'} {struct.tag}".rstrip() + " {"
    # C has no place for the pragma here; only a struct made in Python can have another one.
    yield head if pack in (None, struct.pack) else f"{head} /* #pragma pack({struct.pack or ''}) */"
    for member in struct.members:
        leaf = member.type.leaf
        asked = _attributes(member.packed, member.align)
        name = f" {member.name or ''}{_counts(member.type)}".rstrip()
        bits = "" if member.bits is None else f" : {member.bits}"
        if isinstance(leaf, Struct) and _is_inside(leaf, member.name):
            *body, last = _declare(leaf, depth + 1, struct.pack)
            yield from body
        else:
            last = f"{pad}    {_alias(leaf) if isinstance(leaf, Scalar) else leaf}"
        yield f"{last}{name}{bits}{asked};"
    yield f"{pad}}}{_attributes(struct.packed, struct.align)}"


def _attributes(packed: bool, align: int) -> str:
    words = [*(["packed"] if packed else []), *([f"aligned({align})"] if align else [])]
    return f" __attribute__(({', '.join(words)}))" if words else ""


@twin.register
def _(layout: Layout) -> str:
    holes = [slot for slot in layout.holes if slot.start < 8 * layout.end]
    lost = sum(slot.extent for slot in holes if slot.extent % 8 == 0) // 8
    unused = sum(slot.extent for slot in holes if slot.extent % 8)
    whole = sum(slot.extent % 8 == 0 for slot in holes)
    tail = layout.size - layout.end
    letters = styles(layout.named)
    rows: list[Sequence[object]] = [("offset", "size", "", "member")]
    for slot in layout.slots:
        if slot.type is None:
            size = counted(slot.extent, "bit") if slot.extent % 8 else slot.size
            rows.append((slot.offset, size, "", f"-- {slot.path}: no member --"))
        elif slot.is_bit_field:
            kind = f"{slot.path}  {slot.type.name} : {slot.width}, {_bits_of_bytes(slot)}"
            rows.append(
                (slot.offset, counted(slot.width, "bit"), letters[slot.member].letter, kind)
            )
        else:
            kind = slot.type.name + "".join(f"[{n}]" for n in slot.shape)
            rows.append(
                (slot.offset, slot.size, letters[slot.member].letter, f"{slot.path}  {kind}")
            )
    return "\n".join(
        (
            f"{layout.struct} on {where(layout)}: size {layout.size}, align {layout.align}",
            table(rows, right=(0, 1)),
            f"  holes: {whole}, {counted(lost, 'byte')} in all; "
            f"tail padding: {counted(tail, 'byte')}"
            + (f"; unused bits beside bit-fields: {unused}" if unused else ""),
        )
    )


def _bits_of_bytes(slot: Slot) -> str:
    """Where a bit-field lies: ``bits 7:5 of +4, bits 1:0 of +5``, 7 the most significant."""
    sources = ((at, slot.source(at)) for at in range(slot.offset, slot.offset + slot.size))
    return ", ".join(f"{bits(s.top, s.bottom)} of +{at}" for at, s in sources if s)


def bits(high: int, low: int) -> str:
    """Bits in words: ``bit 3`` or ``bits 7:4``."""
    return f"bit {low}" if high == low else f"bits {high}:{low}"


@twin.register
def _(rules: Rules) -> str:
    layout = rules.layout
    steps = (f"  {number}. {step}" for number, step in enumerate(rules.steps, 1))
    head = f"{layout.struct} on {where(layout)}, rule by rule"
    return "\n".join((head, *steps, f"  Source: {layout.abi.source}"))


@twin.register
def _(image: Image) -> str:
    head = f"{image.layout.struct} on {where(image.layout)}, {len(image)} bytes"
    return f"{head}\n{byte_rows(bytes(image), image.sources, image.layout)}"


def byte_rows(data: bytes, sources: Sequence[Source | None], layout: Layout) -> str:
    """Bytes in aligned hex, a row for each member, hole or 8 bytes: offset, bytes, bits, who."""
    letters = styles(layout.named)
    rows = []
    for first, last in pieces(sources, layout):
        source = sources[first]
        held = data[first : last + 1].hex(" ")
        if source is not None and source.is_part:
            rows.append((f"+{first}", held, *_shares(source, letters)))
            continue
        if source is None:
            rows.append((f"+{first}", held, "-", f"not written {unwritten(layout, first)}"))
            continue
        letter = letters[source.slot.member].letter
        if source.slot.shape and source.slot.type and source.slot.type.bits == 8:
            rows.append((f"+{first}", held, letter, _elements(source, last - first)))
            continue
        taken = " ".join(f"{s.high}:{s.low}" for s in sources[first : last + 1] if s)
        rows.append((f"+{first}", held, letter, f"{source.path}  bits {taken}"))
    return table(rows, right=(0,))


def _shares(source: Source, letters: Mapping[str, Style]) -> tuple[str, str]:
    """Letters and bits of all that holds bits of one byte, the most significant first."""
    shares = source.shares
    told = [f"{s.path}  {bits(s.high, s.low)} in {bits(s.top, s.bottom)}" for s in shares]
    free = 0xFF & ~sum(s.mask for s in shares)
    rest = [f"bits not written: mask {free:#04x}"] if free else []
    return "".join(letters[s.slot.member].letter for s in shares), " · ".join(told + rest)


def _elements(source: Source, more: int) -> str:
    """The elements of an array of bytes, from one on: ``data[0..7]``."""
    path, _, start = source.path.rstrip("]").rpartition("[")
    return f"{path}[{start}..{int(start) + more}]" if more else source.path


def pieces(
    sources: Sequence[Source | None], layout: Layout, width: int = 8
) -> Iterator[tuple[int, int]]:
    """First and last offset of neighbours that one write put there, at most ``width`` a piece.

    Neighbours that nobody wrote are told apart by the slot that lies there.
    """
    keyed = ((_holder(s, layout, at), at) for at, s in enumerate(sources))
    for _, group in groupby(keyed, key=lambda pair: pair[0]):
        offsets = [at for _, at in group]
        for start in range(0, len(offsets), width):
            part = offsets[start : start + width]
            yield part[0], part[-1]


def _holder(source: Source | None, layout: Layout, offset: int) -> tuple[object, bool]:
    """What makes neighbours one piece: the slot; a byte that slots share is one by itself."""
    if source is None:
        return slot_at(layout, offset), False
    return (offset if source.is_part else source.slot), True


def unwritten(layout: Layout, offset: int) -> str:
    """What a byte that nobody wrote is: a hole, or members left as they were."""
    slot = slot_at(layout, offset)
    fields = [
        s.path for s in layout.slots if s.is_bit_field and s.offset <= offset < s.offset + s.size
    ]
    if len(fields) > 1:
        return f"({', '.join(fields)}, left as they were)"
    return f"({slot.path})" if slot.is_padding else f"({slot.path}, left as it was)"


def slot_at(layout: Layout, offset: int) -> Slot:
    """The first slot that covers a byte."""
    return next(s for s in layout.slots if s.offset <= offset < s.offset + s.size)


@twin.register
def _(verdict: Verdict) -> str:
    writer, reader = verdict.writer, verdict.reader
    if (str(writer.struct), writer.abi) == (str(reader.struct), reader.abi):
        head = f"{writer.struct}, written and read on {where(writer)}"
    else:
        head = (
            f"{writer.struct} written on {where(writer)}, {reader.struct} read on {where(reader)}"
        )
    rows = [(name, status, found_there(verdict, name)) for name, status in verdict.fields.items()]
    sizes = f"sizeof {writer.size} written, {reader.size} read"
    unseen = "" if verdict.size_differs or not verdict.breaks else ": a size check sees nothing"
    result = "BREAKS" if verdict.breaks else "every member is intact"
    return f"{head}: {result}\n{table(rows)}\n  {sizes}{unseen}"


def found_there(verdict: Verdict, member: str) -> str:
    """Which bytes make a member's status, and what lies there instead."""
    rows = [w for w in verdict.wrong if w.wanted.slot.member == member]
    told = [f"{place} {_hold(place)} {found}" if found else f"{place}: never written"
            for place, found in lies(rows)]  # fmt: skip
    told += [elements_there(verdict, path) for path, status in verdict.flexible.items()
             if status != "intact" and path.split(".")[0] == member]  # fmt: skip
    return "; ".join(told)


def elements_there(verdict: Verdict, path: str) -> str:
    """Why the elements of a flexible array of the reader are not those that the writer has."""
    wanted, written = flexible(verdict.reader)[path], place(verdict.writer, path)
    if written is None:
        return f"no {path} is written"
    mine, other = wanted.element, written.element
    if mine is None or other is None:
        return f"{path} is written as {name_of(written.type)}, not as an array"
    if wanted.offset != written.offset:
        return f"the elements are written from offset {written.offset} on, not {wanted.offset}"
    if mine.size != other.size:
        return f"the elements are written with {counted(other.size, 'byte')} each, not {mine.size}"
    return f"of each element, {found_there(Verdict(other, mine), 'element')}"


def _hold(place: str) -> str:
    return "hold" if place.startswith("bytes") or "," in place else "holds"


def lies(witnesses: Sequence[Witness]) -> Iterator[tuple[str, str]]:
    """Bytes that are not intact, and what they hold; nothing for those that nobody writes."""
    for status in STATUSES[:-1]:
        rows = [w for w in witnesses if w.status == status]
        swapped = [w for w in rows if _is_swapped(w)]
        if swapped:
            whose = some(list(dict.fromkeys(w.wanted.member for w in swapped)))
            yield few_spans(w.offset for w in swapped), f"the bytes of {whose} in opposite order"
        if others := [w for w in rows if not _is_swapped(w)]:
            held = some([_span_of(run) for run in _runs(w.found for w in others if w.found)])
            yield few_spans(w.offset for w in others), held


def _is_swapped(witness: Witness) -> bool:
    """The reader takes the very bytes of its value, the last of them first."""
    wanted, found = witness.wanted, witness.found
    if found is None or found.slot.is_bit_field or wanted.slot.is_bit_field:
        return False
    same = (found.path, found.slot.width) == (wanted.path, wanted.slot.width)
    return same and found.slot.order != wanted.slot.order


def some(words: Sequence[str]) -> str:
    """A list that stays short: three of it, where there are more than four."""
    if len(words) < 5:
        return ", ".join(words)
    return f"{', '.join(words[:3])} and {len(words) - 3} more"


def few_spans(offsets: Iterable[int]) -> str:
    """Some offsets in words, in a list that stays short: ``bytes 1..3, byte 7``."""
    return some(spans(sorted(set(offsets))).split(", "))


def _runs(sources: Iterable[Source]) -> list[list[Source]]:
    """Neighbours that hold bits of one scalar."""
    return [list(run) for _, run in groupby(sources, key=lambda s: (s.slot.path, s.element))]


def _span_of(run: Sequence[Source]) -> str:
    """The bits that some bytes hold, joined: ``hsr[63:32]``."""
    return f"{run[0].path}[{max(s.high for s in run)}:{min(s.low for s in run)}]"


@twin.register
def _(esr: Esr) -> str:
    rows = [
        (f.place_in_esr, "  " * depth + f.name, f"{f.value:#x}", f.place, f.meaning)
        for depth, f in esr.rows
    ]
    head = f"ESR_EL2 {esr.value:#018x}: {esr.name}"
    return f"{head}\n{table(rows)}\n  {HALVES}\n  {esr.high_note}"


WIDEST = 8
"""Bytes whose bits are listed one by one."""


@dataclass(frozen=True, repr=False)
class ByteMap(Twin):
    """Where every member lies, which bits of it each byte holds, and what is padding."""

    layout: Layout


def bits_of_bytes(slot: Slot, first: int, size: int) -> str:
    """The bits of a value that each byte holds, first byte first: ``31:24 23:16 15:8 7:0``."""
    sources = (slot.source(at) for at in range(first, first + size))
    return " ".join(source.bits for source in sources if source)


def _bits(slot: Slot) -> str:
    """The same for a slot: of an array those of each element, of a bit-field with its place."""
    assert slot.type is not None
    if not slot.extent:
        return "flexible: elements lie behind what sizeof counts"
    if slot.is_bit_field:
        sources = ((at, slot.source(at)) for at in range(slot.offset, slot.offset + slot.size))
        return ", ".join(f"{s.bits} in bits {s.top}:{s.bottom} of +{at}" for at, s in sources if s)
    told = bits_of_bytes(slot, slot.offset, min(slot.type.size, WIDEST))
    more = " ..." if slot.type.size > WIDEST else ""
    return f"{'each: ' if slot.shape else ''}{told}{more}"


@twin.register
def _(shown: ByteMap) -> str:
    layout = shown.layout
    letters = styles(layout.named)
    rows: list[Sequence[object]] = [("offset", "size", "", "type", "member", "bits of its bytes")]
    for slot in layout.slots:
        part = (slot.is_bit_field and slot.extent) or (slot.type is None and slot.extent % 8)
        size = f"{slot.extent} bits" if part else slot.size
        if slot.type is None:
            rows.append((slot.offset, size, "-", "", slot.path, "no member"))
            continue
        name = slot.path + "".join(f"[{n or ''}]" for n in slot.shape)
        letter = letters[slot.member].letter
        rows.append((slot.offset, size, letter, slot.type.name, name, _bits(slot)))
    lost = sum(slot.size for slot in layout.holes if slot.extent % 8 == 0)
    head = f"{layout.struct} on {where(layout)}: size {layout.size}, align {layout.align}"
    return f"{head}\n{table(rows, right=(0, 1))}\n  padding: {lost} bytes"

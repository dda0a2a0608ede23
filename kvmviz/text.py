"""The text twin: every result as plain text that says all that its picture says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import singledispatch
from itertools import groupby

from kvmviz.captures import Dump, Overlay
from kvmviz.compat import STATUSES, Verdict
from kvmviz.ctype import Array, Struct, Type
from kvmviz.esr import HALVES, Esr
from kvmviz.image import Image
from kvmviz.layout import Layout, Rules
from kvmviz.slot import Slot, Source
from kvmviz.style import styles
from kvmviz.vmm import Matrix, Reading


@singledispatch
def twin(shown: object) -> str:
    """The text twin of a result."""
    raise TypeError(f"{type(shown).__name__} has no text twin")


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
    counts = "".join(f"[{n}]" for n in kind.shape) if isinstance(kind, Array) else ""
    base = kind.leaf.name if not isinstance(kind.leaf, Struct) else str(kind.leaf)
    return f"{base} {name}{counts}".strip()


def span(first: int, last: int) -> str:
    """Bytes in words: ``byte 3`` or ``bytes 4..7``."""
    return f"byte {first}" if first == last else f"bytes {first}..{last}"


def where(layout: Layout) -> str:
    """A layout's ABI with its byte order, the half that the name alone may not say."""
    return f"{layout.abi.name} ({layout.abi.byte_order}-endian)"


@twin.register
def _(struct: Struct) -> str:
    return "\n".join(_declare(struct, 0)) + ";"


def _declare(struct: Struct, depth: int, name: str = "") -> Iterator[str]:
    pad = "    " * depth
    yield f"{pad}{'union' if struct.union else 'struct'} {struct.tag}".rstrip() + " {"
    for member in struct.members:
        if member.name is None and isinstance(member.type, Struct):
            *body, last = _declare(member.type, depth + 1)
            yield from body
            yield f"{last};"
        else:
            yield f"{pad}    {name_of(member.type, member.name or '')};"
    yield f"{pad}}}"


@twin.register
def _(layout: Layout) -> str:
    holes = [slot for slot in layout.holes if slot.path != "tail padding"]
    lost = sum(slot.size for slot in holes)
    tail = sum(slot.size for slot in layout.holes) - lost
    letters = styles(layout.named)
    rows: list[Sequence[object]] = [("offset", "size", "", "member")]
    for slot in layout.slots:
        if slot.type is None:
            rows.append((slot.offset, slot.size, "", f"-- {slot.path}: nobody writes it --"))
        else:
            kind = slot.type.name + "".join(f"[{n}]" for n in slot.shape)
            rows.append(
                (slot.offset, slot.size, letters[slot.member].letter, f"{slot.path}  {kind}")
            )
    return "\n".join(
        (
            f"{layout.struct} on {where(layout)}: size {layout.size}, align {layout.align}",
            table(rows, right=(0, 1)),
            f"  holes: {len(holes)}, {lost} bytes in all; tail padding: {tail} bytes",
        )
    )


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
        if source is None:
            rows.append((f"+{first}", held, "-", f"nobody wrote {unwritten(layout, first)}"))
            continue
        letter = letters[source.slot.member].letter
        if source.slot.shape and source.slot.size > 1 and source.high == 7:
            bits = "one byte an element"
        else:
            bits = " ".join(f"{s.high}:{s.low}" for s in sources[first : last + 1] if s)
        rows.append((f"+{first}", held, letter, f"{source.path}  bits {bits}"))
    return table(rows, right=(0,))


def pieces(
    sources: Sequence[Source | None], layout: Layout, width: int = 8
) -> Iterator[tuple[int, int]]:
    """First and last offset of neighbours that one write put there, at most ``width`` a piece.

    Neighbours that nobody wrote are told apart by the slot that lies there.
    """
    keyed = (
        ((s.slot, True) if s else (slot_at(layout, at), False), at) for at, s in enumerate(sources)
    )
    for _, group in groupby(keyed, key=lambda pair: pair[0]):
        offsets = [at for _, at in group]
        for start in range(0, len(offsets), width):
            part = offsets[start : start + width]
            yield part[0], part[-1]


def unwritten(layout: Layout, offset: int) -> str:
    """What a byte that nobody wrote is: a hole, or a member left as it was."""
    slot = slot_at(layout, offset)
    return f"({slot.path})" if slot.is_padding else f"({slot.path}, left as it was)"


def slot_at(layout: Layout, offset: int) -> Slot:
    """The first slot that covers a byte."""
    return next(s for s in layout.slots if s.offset <= offset < s.offset + s.size)


@twin.register
def _(verdict: Verdict) -> str:
    writer, reader = verdict.writer, verdict.reader
    head = f"{writer.struct} written on {where(writer)}, {reader.struct} read on {where(reader)}"
    rows = [(name, status, found_there(verdict, name)) for name, status in verdict.fields.items()]
    sizes = f"sizeof {writer.size} written, {reader.size} read"
    unseen = "" if verdict.size_differs or not verdict.breaks else ": a size check sees nothing"
    result = "BREAKS" if verdict.breaks else "every member is intact"
    return f"{head}: {result}\n{table(rows)}\n  {sizes}{unseen}"


def found_there(verdict: Verdict, member: str) -> str:
    """Which bytes make a member's status, and what lies there instead."""
    told = []
    witnesses = [w for w in verdict.witnesses if w.wanted.slot.member == member]
    for status in STATUSES[:-1]:
        rows = [w for w in witnesses if w.status == status]
        if rows:
            place = span(rows[0].offset, rows[-1].offset)
            found = ", ".join(_spans(w.found for w in rows if w.found))
            told.append(f"{place} hold {found}" if found else f"{place}: nobody writes them")
    return "; ".join(told)


def _spans(sources: Iterable[Source]) -> Iterator[str]:
    """The bits that some bytes hold, joined for each scalar: ``hsr[63:32]``."""
    for path, group in groupby(sources, key=lambda source: source.path):
        rows = list(group)
        yield f"{path}[{max(s.high for s in rows)}:{min(s.low for s in rows)}]"


@twin.register
def _(esr: Esr) -> str:
    rows = [
        (f"[{f.high}:{f.low}]", "  " * depth + f.name, f"{f.value:#x}", f.place, f.meaning)
        for depth, f in esr.rows
    ]
    head = f"ESR_EL2 {esr.value:#018x}: {esr.name}"
    return f"{head}\n{table(rows)}\n  {HALVES}\n  {esr.high_note}"


V2_NOTE = (
    "v2 and merged differ only later: v2 leaves the flag set, so every exit after a debug exit "
    "still claims a valid hsr_high."
)


def hexa(reading: Reading) -> str:
    """The value that a program reads, with all the digits that it claims to know."""
    return f"{reading.value:#0{reading.bits // 4 + 2}x}"


def gist(reading: Reading) -> str:
    """What comes of a reading, in a few words."""
    seen, true = Esr(reading.value), Esr(reading.esr)
    if reading.right:
        return f"EC {true.ec:#04x}: {true.name.split(',')[0]}"
    if seen.ec == true.ec:
        return "EC is right, bits 63:32 are not ESR's"
    if seen.is_debug:
        return f"EC {seen.ec:#04x}: taken for {seen.name.split(',')[0]}"
    return f"EC {seen.ec:#04x}: unhandled, re-injected"


def cause(reading: Reading) -> str:
    """What a program took for ESR, in a few words."""
    if reading.right:
        return f"ESR[{reading.bits - 1}:0]"
    wrong = [run for run in reading.runs if not run.right]
    if any(run.found is None for run in wrong):
        return "half unwritten"
    return "halves swapped" if len(wrong) > 1 else "the other half"


@twin.register
def _(reading: Reading) -> str:
    kernel, vmm, image = reading.kernel, reading.vmm, reading.image
    flag = "flag set" if kernel.sets_flag else "flag not set"
    lines = [
        f"{where(image.layout)} · kernel: {kernel.name}, {flag} · VMM: {vmm.name}, {vmm.title}",
        byte_rows(bytes(image), image.sources, image.layout),
    ]
    for run in reading.runs:
        found = f"ESR[{run.found[0]}:{run.found[1]}]" if run.found else "no ESR bits"
        wanted = f"ESR[{run.wanted[0]}:{run.wanted[1]}]"
        mark = "right" if run.right else "WRONG"
        lines.append(f"  {span(run.first, run.last)}: taken for {wanted}, hold {found}: {mark}")
    return "\n".join(
        (
            *lines,
            f"  {headline(reading)}; the kernel held ESR_EL2 = {reading.esr:#018x}",
            f"  {statuses(reading)}",
            f"  {reading.effect}",
        )
    )


def statuses(reading: Reading) -> str:
    """What the program's own members are, by name."""
    fields = reading.verdict.fields.items()
    return "its members: " + ", ".join(f"{name} {status}" for name, status in fields)


def headline(reading: Reading) -> str:
    """The verdict in a line: what the program reads, and what is wrong if that is not."""
    mark = "✓" if reading.sound else "✗"
    far = reading.verdict.fields["far"]
    but = f", but far is {far}" if reading.right and not reading.sound else ""
    return f"{mark} reads {hexa(reading)}{but}"


def story_words(readings: Sequence[Reading]) -> tuple[str, str, str]:
    """Title, subtitle and closing note of the story that some readings of one exit tell."""
    esr = Esr(readings[0].esr)
    sizes = {len(reading.image) for reading in readings}
    far = {reading.image.layout.offsets["far"] for reading in readings}
    same = "Same size, same offset of far" if len(sizes) == len(far) == 1 else "Three layouts"
    broken = {r.image.layout.abi.byte_order for r in readings if not r.sound}
    result = f"{' and '.join(sorted(broken))}-endian breaks" if broken else "nothing breaks"
    kind = esr.name.split(",")[0]
    made_up = ", upper half synthetic" if esr.high else ""
    note = (
        "Bits 63:32 were put there by a debugger. On debug exits today they are zero, and the "
        "big-endian VMM reads a plain 0x00000000."
        if esr.high
        else "Bits 63:32 are zero on debug exits today: the big-endian VMM reads a plain "
        "0x00000000, and no size check warned anybody."
    )
    return (
        f"{same}, and {result}",
        f"Real kernels, ESR_EL2 = {esr.value:#018x} ({kind}{made_up}). What a VMM "
        f"{readings[0].vmm.phrase} reads:",
        note,
    )


def story(readings: Sequence[Reading]) -> str:
    """Every reading of a story, with the words around it."""
    title, subtitle, note = story_words(readings)
    return "\n\n".join((f"{title}\n{subtitle}", *map(twin, readings), note))


@twin.register
def _(matrix: Matrix) -> str:
    lines = []
    for reading in matrix.readings:
        mark = "✓" if reading.right else "✗"
        name = reading.image.layout.abi.name
        row = (name, reading.kernel.name, reading.vmm.title, mark, hexa(reading))
        lines.append((*row, cause(reading), reading.effect))
    head = ("ABI", "kernel", "VMM reads", "", "as ESR", "takes", "effect")
    return f"{matrix_head(matrix)}\n{table([head, *lines])}\n  {V2_NOTE}"


def matrix_head(matrix: Matrix) -> str:
    """What was written, and what is made up in it."""
    esr = Esr(matrix.readings[0].esr)
    made_up = " (upper half made up: it is zero on debug exits today)" if esr.high else ""
    return f"ESR_EL2 = {esr.value:#018x}{made_up}. What each VMM makes of bytes 0..7:"


@twin.register
def _(dump: Dump) -> str:
    rows = [
        (f"+{at}", dump.data[at : at + 16].hex(" "))
        for at in range(0, len(dump.data), 16)
        if any(dump.data[at : at + 16])
    ]
    event = ", ".join(f"{key} {_shown(value)}" for key, value in dump.event.items())
    return f"real dump: {dump.title}\n  exit: {event}\n{table(rows, right=(0,))}\n  other bytes: 00"


def _shown(value: object) -> str:
    return (
        value.hex(" ")
        if isinstance(value, bytes)
        else f"{value:#x}"
        if isinstance(value, int)
        else str(value)
    )


@twin.register
def _(overlay: Overlay) -> str:
    image = overlay.predicted
    rows = []
    for first, last in pieces(image.sources, image.layout):
        ours, real = bytes(image)[first : last + 1], overlay.real[first : last + 1]
        source = image.sources[first]
        who = source.path if source else f"nobody wrote {unwritten(image.layout, first)}"
        rows.append((f"+{first}", ours.hex(" "), real.hex(" "), "=" if ours == real else "≠", who))
    head = ("", "predicted", "real dump", "", "")
    return (
        f"{overlay.dump.title}: {len(overlay.differing)} bytes differ\n"
        f"{table([head, *rows], right=(0,))}"
    )


EVIDENCE_NOTE = (
    "One square a dump: bytes that differ between the exit's struct as predicted and as dumped."
)


def evidence_head(overlays: Sequence[Overlay]) -> str:
    """How many dumps and bytes were compared, and how many differ."""
    size = sum(len(overlay.real) for overlay in overlays)
    count = sum(len(overlay.differing) for overlay in overlays)
    return f"{len(overlays)} real dumps, {size} bytes compared: {count} differ"


def evidence(overlays: Sequence[Overlay]) -> str:
    """The dumps by kernel and byte order, with the number of differing bytes of each."""
    rows = [("kernel", "byte order", "debug exits", "MMIO exits", "bytes", "differ", "synthetic")]
    for (kernel, order), group in groupby(
        overlays, lambda o: (o.dump.kernel.name, o.dump.byte_order)
    ):
        some = list(group)
        debug = sum(o.dump.is_debug for o in some)
        size, count = sum(len(o.real) for o in some), sum(len(o.differing) for o in some)
        made_up = sum(o.dump.synthetic for o in some)
        cells = (debug, len(some) - debug, size, count, made_up)
        rows.append((kernel, order, *map(str, cells)))
    note = "synthetic: dumps of scenarios in which a debugger put ESR bits 63:32 into the vCPU"
    return f"{evidence_head(overlays)}\n{table(rows, right=(2, 3, 4, 5, 6))}\n  {note}"


COMMIT_TABLE = (
    (0, "ESR_EL2[31:0] (hsr)", "ESR_EL2[61:32] (hsr[61:32])"),
    (4, "padding", "ESR_EL2[31:0] (hsr[31:0])"),
    (8, "FAR_EL2[61:0] (far)", "FAR_EL2[61:0] (far)"),
)
"""The table of the patch's message: offset, current layout, layout with hsr widened."""

COMMIT_NOTES = (
    "[61:32] and [61:0] are slips: the code stores upper_32_bits(esr), bits 63:32, and all 64 "
    "bits of FAR_EL2.",
    "The message calls far the instruction's address; the code stores the data address, and for "
    "watchpoints only.",
    "The table is big-endian's: on little-endian, hsr[31:0] stays at offset 0 in both layouts.",
)


def commit_table(old: Image, widened: Image) -> str:
    """The commit message's table, each line with the bytes that lie there."""
    rows = [("", "current layout", "bytes", "hsr extended to 64 bits", "bytes")]
    for offset, now, then in COMMIT_TABLE:
        stop = offset + 4 if offset < 8 else 16
        cells = [bytes(image)[offset:stop].hex(" ") for image in (old, widened)]
        rows.append((f"offset {offset}", now, cells[0], then, cells[1]))
    notes = "\n".join(f"  {note}" for note in COMMIT_NOTES)
    return f"{twin(old)}\n{twin(widened)}\n{table(rows)}\n{notes}"

"""The text twin of what kernels write and programs read: exits, dumps, the story, the matrix."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from kvmviz._base import KvmvizError, twin
from kvmviz.captures import Compared, Dump, Overlay
from kvmviz.esr import Esr
from kvmviz.kvm.vmm import HANDLED, Matrix, Reading
from kvmviz.text import byte_rows, pieces, span, table, unwritten, where

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
        return "EC right, bits 63:32 not ESR's" if reading.low_right else "EC right by chance"
    if seen.ec in HANDLED:
        return f"EC {seen.ec:#04x}: taken for {seen.name.split(',')[0]}"
    return f"EC {seen.ec:#04x}: unhandled exit"


def cause(reading: Reading) -> str:
    """What a program took for ESR, in a few words."""
    if reading.lost_far:
        return "far is elsewhere" if reading.right else "ESR, far wrong"
    if reading.right:
        return f"ESR[{reading.bits - 1}:0]"
    wrong = [run for run in reading.runs if not run.right]
    if any(run.source is None for run in wrong):
        return "half unwritten"
    if any(run.found is None for run in wrong):
        return "another member"
    return "halves swapped" if len(wrong) > 1 else "the other half"


@twin.register
def _(reading: Reading) -> str:
    kernel, vmm, image = reading.kernel, reading.vmm, reading.image
    flag = f", flag {'set' if reading.flag else 'not set'}" if vmm.needs_flag else ""
    lines = [
        f"{where(image.layout)} · kernel: {kernel.name}, {kernel.when}{flag} · VMM: {vmm.title}",
        *map("  {}".format, remarks(reading)),
        byte_rows(bytes(image), image.sources, image.layout),
    ]
    for run in reading.runs:
        found = f"ESR[{run.found[0]}:{run.found[1]}]" if run.found else "no ESR bits"
        wanted = f"ESR[{run.wanted[0]}:{run.wanted[1]}]"
        mark = "right" if run.right else "WRONG"
        past = f" (past the struct: {reading.beyond:#04x})" if run.last >= len(image) else ""
        place = f"{span(run.first, run.last)}{past}"
        lines.append(f"  {place}: taken for {wanted}, hold {found}: {mark}")
    if far := reading.lost_far:
        lines.append(f"  {span(far[0], far[-1])}: taken for far, hold something else: WRONG")
    return "\n".join(
        (
            *lines,
            f"  {headline(reading)} ({gist(reading)}); the kernel held {held(reading.esr)}",
            f"  {statuses(reading)}",
            f"  {reading.effect}",
        )
    )


def statuses(reading: Reading) -> str:
    """What the program's own members are, by name."""
    told = []
    for name, status in reading.verdict.fields.items():
        silent = name == "far" and status == "intact" and not reading.writes_far
        told.append(f"{name} not written by this exit" if silent else f"{name} {status}")
    return f"its members: {', '.join(told)}"


def held(esr: int) -> str:
    """The ESR that the kernel held, with what is made up in it."""
    made_up = ", bits 63:32 synthetic" if Esr(esr).high else ""
    return f"ESR_EL2 = {esr:#018x}{made_up}"


def remarks(reading: Reading) -> list[str]:
    """What is not as it is in the world."""
    abi = reading.image.layout.abi
    if abi.family == "arm64":
        return []
    return [f"hypothetical: arm64's struct, laid out by the rules of {abi.name}"]


def headline(reading: Reading) -> str:
    """The verdict in a line: what the program reads, and what is wrong if that is not."""
    mark = "✓" if reading.sound else "✗"
    far = reading.verdict.fields.get("far", "intact")
    but = f", but far is {far}" if reading.right and not reading.sound else ""
    return f"{mark} reads {hexa(reading)}{but}"


def story_words(readings: Sequence[Reading]) -> tuple[str, str, str]:
    """Title, subtitle and closing note of the story that some readings of one exit tell."""
    if {(len(row.image), row.image.layout.offsets.get("far")) for row in readings} != {(16, 8)}:
        raise KvmvizError("a story takes readings of structs of 16 bytes, far at byte 8")
    esr = Esr(readings[0].esr)
    broken = [reading for reading in readings if not reading.sound]
    orders = sorted({reading.image.layout.abi.byte_order for reading in broken})
    verb = "breaks" if len(orders) == 1 else "break"
    result = f"{' and '.join(orders)}-endian {verb}" if broken else "nothing breaks"
    made_up = "; bits 63:32 synthetic" if esr.high else ""
    dumped = all(reading.is_dumped for reading in readings)
    made = "Linux 6.1, edited for old and widened." if dumped else "Computed, not dumped."
    zero = "Bits 63:32 are normally zero on debug exits today" + (
        f": {' and '.join(orders)}-endian VMMs that are wrong here would then read zero."
        if esr.high and broken
        else "."
    )
    return (
        f"Same size, same offset of far, and {result}",
        f"ESR_EL2 = {esr.value:#018x} ({esr.name.split(',')[0]}{made_up}). What a VMM "
        f"{readings[0].vmm.phrase} reads:",
        f"{zero} No size check would warn. {made}",
    )


def story(readings: Sequence[Reading]) -> str:
    """Every reading of a story, with the words around it."""
    title, subtitle, note = story_words(readings)
    return "\n\n".join((f"{title}\n{subtitle}", *map(twin, readings), note))


@twin.register
def _(matrix: Matrix) -> str:
    lines = []
    for reading in matrix.readings:
        mark = headline(reading)[0]
        name = reading.image.layout.abi.name
        row = (name, reading.kernel.name, reading.vmm.title, mark, hexa(reading))
        lines.append((*row, cause(reading), reading.effect))
    head = ("ABI", "kernel", "VMM reads", "", "as ESR", "takes", "effect")
    top = "\n".join(filter(None, (matrix_head(matrix), matrix_remark(matrix))))
    return f"{top}\n{table([head, *lines])}\n  {V2_NOTE}"


def matrix_head(matrix: Matrix) -> str:
    """What was written, on what, and what is made up in it."""
    first = matrix.readings[0]
    before = {first.image.data[at] for at in first.image.unwritten}
    fill = f" The memory held {before.pop():#04x} before." if len(before) == 1 else ""
    return f"{held(first.esr)}; computed, not dumped.{fill}"


def matrix_remark(matrix: Matrix) -> str:
    """What is not as it is in the world; empty if all is."""
    abis = dict.fromkeys(reading.image.layout.abi for reading in matrix.readings)
    names = [abi.name for abi in abis if abi.family != "arm64"]
    return f"hypothetical: arm64's struct by the rules of {', '.join(names)}" if names else ""


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
    "One square a dump: how many of the bytes compared differ. In half of the runs a debugger set "
    "ESR[63:32]."
)


def evidence_head(overlays: Sequence[Overlay | Compared]) -> str:
    """How many dumps and bytes were compared, and how many differ."""
    size = sum(len(overlay.real) for overlay in overlays)
    count = sum(len(overlay.differing) for overlay in overlays)
    return f"{len(overlays)} real dumps, {size} bytes compared: {count} differ"


def evidence(overlays: Sequence[Overlay | Compared]) -> str:
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


COMMIT_TITLES = (
    "Current layout",
    '"hsr" extended to 64 bits',
    'New field "hsr_high"',
)
COMMIT_TABLE = (
    (0, "ESR_EL2[31:0] (hsr)", "ESR_EL2[61:32] (hsr[61:32])", "ESR_EL2[31:0] (hsr)"),
    (4, "padding", "ESR_EL2[31:0] (hsr[31:0])", "ESR_EL2[61:32] (hsr_high)"),
    (8, "FAR_EL2[61:0] (far)", "FAR_EL2[61:0] (far)", "FAR_EL2[61:0] (far)"),
)
"""The tables of patch v2's message: offset, current layout, hsr widened, hsr_high added."""

COMMIT_NOTES = (
    "[61:32] and [61:0] are slips for [63:32] and [63:0]: the patch stores upper_32_bits(esr), "
    "and far takes all of FAR_EL2.",
    "The message calls far the instruction's address; the code stores the data address, and for "
    "watchpoints only.",
    "The second layout is big-endian's: little-endian has hsr[31:0] at offset 0 in all three.",
)


def commit_notes(overlays: Sequence[Overlay]) -> tuple[str, ...]:
    """What is wrong in the message, and what its tables are shown over."""
    made_up = any(overlay.dump.synthetic for overlay in overlays)
    more = "; bits 63:32 of ESR synthetic, put there by a debugger" if made_up else ""
    return (*COMMIT_NOTES, f"Real dumps, big-endian{more}")


def commit_table(overlays: Sequence[Overlay]) -> str:
    """The commit message's tables, each line with the bytes that lie there."""
    images = [overlay.image for overlay in overlays]
    rows = [("", *(cell for title in COMMIT_TITLES for cell in (title, "bytes")))]
    for offset, *words in COMMIT_TABLE:
        stop = offset + 4 if offset < 8 else 16
        cells = (bytes(image)[offset:stop].hex(" ") for image in images)
        pairs = zip(words, cells, strict=True)
        rows.append((f"offset {offset}", *(cell for pair in pairs for cell in pair)))
    held = [f"{title}: {twin(image)}" for title, image in zip(COMMIT_TITLES, images, strict=True)]
    notes = [f"  {note}" for note in commit_notes(overlays)]
    return "\n".join((*held, table(rows), *notes))

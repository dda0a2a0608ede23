"""What more than one text twin, or a picture too, says of readings, steps and dumps.

Words of one class alone stand in its ``__repr__``, those of an exit in its ``words``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from kvmviz._base import KvmvizError, span
from kvmviz.esr import Esr
from kvmviz.kvm.exits import EINTR, ENOSYS, Served
from kvmviz.kvm.kernel import EXIT_REASONS, OLD, WATCHPOINT_LOW, Kernel
from kvmviz.text import runs, spans, table

if TYPE_CHECKING:
    from kvmviz.kvm.captures import Overlay
    from kvmviz.kvm.conclusion import Conclusion, Fooled
    from kvmviz.kvm.page import Page, Step
    from kvmviz.kvm.program import Matrix, Reading, Taken
    from kvmviz.slot import Source

HANDLED = (0x30, 0x32, 0x34, 0x3C)
"""The exception classes that QEMU handles on a debug exit: breakpoint, step, watchpoint, BRK."""

V2_NOTE = (
    "v2 and merged differ only later: v2 leaves the flag set, so every exit after a debug exit "
    "still claims a valid hsr_high."
)

# --- a reading -------------------------------------------------------------------------------


def hexa(reading: Reading) -> str:
    """The value that a program reads, with all the digits that it claims to know."""
    return f"{reading.value:#0{reading.bits // 4 + 2}x}"


OLD_HELD = "old is 6.1 without the patch: as released, up to v5.18, a vCPU held 32 bits of ESR"
"""What is to be said where an old kernel is shown with an upper half of ESR that is not zero."""


def held(esr: int) -> str:
    """The ESR that the kernel held, and what its upper half is, if that is not zero."""
    upper = Esr(esr).upper
    how = ", as the architecture defines it" if upper and "synthetic" not in upper else ""
    return f"ESR_EL2 = {esr:#018x}{f', {upper}{how}' if upper else ''}"


def old_held(esr: int, kernels: Iterable[Kernel]) -> list[str]:
    """:data:`OLD_HELD`, where it is to be said."""
    return [OLD_HELD] if esr >> 32 and any(kernel.debug == OLD for kernel in kernels) else []


def headline(reading: Reading) -> str:
    """The verdict in a line: what the program reads, and what is wrong if that is not."""
    mark = "✓" if reading.sound else "✗"
    far = reading.verdict.fields.get("far", "intact")
    but = f", but far is {far}" if reading.right and not reading.sound else ""
    return f"{mark} reads {hexa(reading)}{but}"


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


def effect(reading: Reading) -> str:
    """What comes of a reading, in a sentence or two."""
    told, far = _esr_effect(reading), reading.lost_far
    if far:  # as a VMM does: it looks at far on a watchpoint
        takes = "takes" if Esr(reading.value).ec == WATCHPOINT_LOW else "would take"
        told += f" It {takes} {span(far[0], far[-1])} for far, which is not what lies there."
    return told


def _esr_effect(reading: Reading) -> str:
    vmm, seen, true = reading.vmm, Esr(reading.value), Esr(reading.esr)
    who = f"A {reading.image.layout.abi.byte_order}-endian VMM {vmm.phrase}"
    if reading.right:
        if reading.bits == 64:
            return f"{who} reads all 64 bits of ESR_EL2: {true.name}."
        unknown = vmm.needs_flag and not reading.flag
        more = "; with no flag it knows bits 63:32 to be unknown" if unknown else ""
        if true.upper and "synthetic" not in true.upper and not unknown:
            more = f"; it misses {true.upper.removesuffix(' set')}, in bits 63:32"
        return f"{who} reads ESR bits {reading.bits - 1}:0: {true.name}{more}."
    takes = f"{who} takes {' and '.join(_taken(run) for run in reading.runs if not run.right)}"
    if seen.ec == true.ec:
        ec = "EC is right, bits 63:32 are not ESR's" if reading.low_right else "EC fits by chance"
        return f"{takes}; {ec}."
    if seen.ec in HANDLED:
        return f"{takes}, and takes this exit ({true.name}) for another: {seen.name}."
    again = "; QEMU would re-inject it into the guest" if vmm.name == "u32 hsr" else ""
    return f"{takes}, and EC {seen.ec:#04x} for an unhandled exit{again}."


def _taken(run: Taken) -> str:
    wanted = f"for bits {run.wanted[0]}:{run.wanted[1]}"
    if run.found:
        return f"ESR bits {run.found[0]}:{run.found[1]} {wanted}"
    if run.source:
        return f"bytes of {run.source.slot.path} {wanted}"
    return f"{span(run.first, run.last)}, which this exit does not write, {wanted}"


def statuses(reading: Reading) -> str:
    """What the program's own members are, by name."""
    parts = [f"{name} {status}" for name, status in reading.verdict.fields.items()]
    if "far intact" in parts:
        written = any(source and source.slot.path == "far" for source in reading.image.sources)
        more = FAR_WORDS.get(reading.far_valid, "")
        at = parts.index("far intact")
        parts[at] = f"far intact{more}" if written else "far not written by this exit"
    return f"its members: {', '.join(parts)}"


FAR_WORDS: Mapping[str | None, str] = {
    "not valid": " but not valid (FnV is 1)",
    "granule": " but only names the granule (FnP is 1)",
}
"""What is to be said behind a far that is not the access's own address, by what it is worth."""


def remarks(reading: Reading) -> list[str]:
    """What is not as it is in the world."""
    abi, said = reading.image.layout.abi, old_held(reading.esr, [reading.kernel])
    if abi.family == "arm64":
        return said
    return [f"hypothetical: arm64's struct, laid out by the rules of {abi.name}", *said]


# --- many readings ---------------------------------------------------------------------------


def story_words(readings: Sequence[Reading]) -> tuple[str, str, str]:
    """Title, subtitle and closing note of the story that some readings of one exit tell."""
    if {(len(row.image), row.image.layout.offsets.get("far")) for row in readings} != {(16, 8)}:
        raise KvmvizError("a story takes readings of structs of 16 bytes, far at byte 8")
    esr, kernels = Esr(readings[0].esr), {reading.kernel.name for reading in readings}
    orders = sorted({row.image.layout.abi.byte_order for row in readings if not row.sound})
    who, verb = f"{' and '.join(orders)}-endian", "break" if len(orders) > 1 else "breaks"
    title = f"{who} {verb}" if orders else "nothing breaks"
    told = f": {who} VMMs that are wrong here would then read zero" if esr.high and orders else ""
    note = f"Bits 63:32 are normally zero on debug exits today{told}."
    if len(kernels) == 1:
        title = f"The {readings[0].kernel.name} kernel: {title}"
    else:
        title = f"Same size, same offset of far, and {title}"
        note += " No size check would warn."
    dumped = all(reading.is_dumped for reading in readings)
    edits = " and ".join(name for name in ("old", "widened") if name in kernels)
    source = f"Linux 6.1, edited for {edits}" if edits else "Linux 6.1"
    note += f" {source}." if dumped else " Computed, not dumped."
    if old_held(esr.value, [reading.kernel for reading in readings]):
        note += " As released, up to v5.18, an old kernel held 32 bits of ESR."
    made_up = f"; {esr.upper}" if esr.upper else ""
    held = f"ESR_EL2 = {esr.value:#018x} ({esr.name.split(',')[0]}{made_up})"
    return title, f"{held}. What a VMM {readings[0].vmm.phrase} reads:", note


def story(readings: Sequence[Reading]) -> str:
    """Every reading of a story, with the words around it."""
    title, subtitle, note = story_words(readings)
    return "\n\n".join((f"{title}\n{subtitle}", *map(repr, readings), note))


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


# --- dumps beside predictions ----------------------------------------------------------------


def evidence_groups(overlays: Sequence[Overlay]) -> Iterator[tuple[str, str, list[Overlay]]]:
    """Kernel, byte order, and the dumps that follow each other of these."""
    for key, group in groupby(overlays, lambda o: (o.dump.origin, o.dump.byte_order)):
        yield key[0].replace(" kernel", ""), key[1], list(group)


def evidence_note(overlays: Sequence[Overlay]) -> str:
    """What a square is, and of how many the ESR is not the CPU's."""
    made_up = sum(overlay.dump.synthetic for overlay in overlays)
    runs = "half of the runs" if 2 * made_up == len(overlays) else f"the runs of {made_up}"
    return (
        f"One square a dump: how many of the bytes compared differ. In {runs} a debugger set "
        "ESR[63:32]."
    )


def evidence_others(overlays: Sequence[Overlay]) -> str:
    """What the exits that are no debug exits have in common."""
    rest = {overlay.dump.exit.reason for overlay in overlays} - {"DEBUG"}
    return "MMIO" if rest <= {"MMIO"} else "other"


def evidence_head(overlays: Sequence[Overlay]) -> str:
    """How many dumps and bytes were compared, and how many differ."""
    size = sum(len(overlay.real) for overlay in overlays)
    count = sum(len(overlay.differing) for overlay in overlays)
    return f"{len(overlays)} real dumps, {size} bytes compared: {count} differ"


def evidence(overlays: Sequence[Overlay]) -> str:
    """The dumps by kernel and byte order, with the number of differing bytes of each."""
    rows: list[tuple[object, ...]] = [
        (
            "kernel",
            "byte order",
            "debug exits",
            f"{evidence_others(overlays)} exits",
            "bytes",
            "differ",
            "synthetic",
        )
    ]
    for kernel, order, some in evidence_groups(overlays):
        debug, made_up = sum(o.dump.is_debug for o in some), sum(o.dump.synthetic for o in some)
        size, count = sum(len(o.real) for o in some), sum(len(o.differing) for o in some)
        rows.append((kernel, order, debug, len(some) - debug, size, count, made_up))
    note = "synthetic: dumps of scenarios in which a debugger put ESR bits 63:32 into the vCPU"
    return f"{evidence_head(overlays)}\n{table(rows, right=(2, 3, 4, 5, 6))}\n  {note}"


COMMIT_TITLES = ("Current layout", '"hsr" extended to 64 bits', 'New field "hsr_high"')
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
    rows = [["", *(cell for title in COMMIT_TITLES for cell in (title, "bytes"))]]
    for offset, *words in COMMIT_TABLE:
        held = slice(offset, offset + 4 if offset < 8 else 16)
        pairs = zip(words, (image.data[held].hex(" ") for image in images), strict=True)
        rows.append([f"offset {offset}", *(cell for pair in pairs for cell in pair)])
    parts = [f"{title}: {image!r}" for title, image in zip(COMMIT_TITLES, images, strict=True)]
    notes = [f"  {note}" for note in commit_notes(overlays)]
    return "\n".join((*parts, table(rows), *notes))


# --- a step of a page ------------------------------------------------------------------------

_NAMES = {value: name for name, value in EXIT_REASONS.items()}


def reason_name(value: int) -> str:
    """An exit reason as C names it: ``KVM_EXIT_DEBUG``; a number that is none as it is."""
    return f"KVM_EXIT_{_NAMES[value]}" if value in _NAMES else f"{value:#x}, not named here"


def outcome(step: Step) -> str:
    """What the ioctl returned, and what the page then says."""
    names: dict[int | None, str] = {-EINTR: "-EINTR", -ENOSYS: "-ENOSYS"}
    early = " at once, immediate_exit is set" if step.immediate else ""
    return f"returns {names.get(step.returned, f'{step.returned}')}{early}"


def title(step: Step) -> str:
    """A step in a line: its number, what happened, what came of it."""
    head, what = f"step {step.number}", step.event.words
    if step.immediate:
        return f"{head}: KVM_RUN {outcome(step)}; not reached: {what}"
    return f"{head}: KVM_RUN, {what}; {outcome(step)}" if step.is_run else f"{head}: {what}"


def written_words(step: Step) -> str:
    """Which bytes a step wrote, and which of them have another value now."""
    if not step.written:
        return "writes nothing"
    if step.changed == step.written:
        return f"writes {spans(step.written)}"
    changed = f"in {spans(step.changed)}" if step.changed else "nowhere"
    return f"writes {spans(step.written)}; another value {changed}"


def status(step: Step) -> str:
    """exit_reason and flags after a step, and who they are from."""
    layout = step.page.layout
    parts = []
    for name, value in (("exit_reason", reason_name(step.reason)), ("flags", f"{step.flags:#x}")):
        start, writers = layout.offsets[name], dict[str, list[int]]()
        for at in range(start, start + layout.named[name].extent // 8):
            writers.setdefault(who(step.page.sources[at], step.number), []).append(at)
        if name == "exit_reason" and [*writers] == ["never written"]:
            value = "0"
        words = [f"{spans(offsets)}: {writer}" for writer, offsets in writers.items()]
        parts.append(f"{name} {value} ({'; '.join(words if len(writers) > 1 else writers)})")
    return ", ".join(parts)


def who(source: Source | None, now: int) -> str:
    """Who wrote a byte last, seen from a step: ``step 1, KVM_EXIT_MMIO``."""
    if source is None or source.write is None:
        return "never written"
    write = source.write
    when = "this step" if write.step == now else f"step {write.step}"
    return f"{when}, {'userspace' if write.by == 'userspace' else write.what}"


def completion(step: Step) -> str | None:
    """What became of an MMIO access that was pending."""
    if (access := step.completed) is None:
        return None
    place = f"{access.length} bytes at {access.phys_addr:#x}"
    if step.got is None:
        return f"first completes the guest's write of {place}"
    return f"first completes the guest's read of {place}: it gets {step.got.hex(' ')}"


SHOWN = 64
"""How many bytes of the page are shown one by one, from offset 0 on."""


def page_lines(page: Page, step: Step | None = None) -> str:
    """A page's first bytes, neighbours of one write and member a row, each with its writer.

    Seen from a step they are fresh, stale or untouched; without one it is after the last.
    """

    def writer(at: int) -> object:
        source = page.sources[at]
        return source and (source.slot, source.write)

    rows: list[Sequence[object]] = []
    for first, last in runs(range(SHOWN), writer, 8):
        source = page.sources[first]
        state = [step.state(first)] if step else []
        digits = page.data[first : last + 1].hex(" ")
        rows.append((f"+{first}", digits, *state, _member(source), _writer(source, step)))
    return table(rows, right=(0,))


def rest(page: Page, step: Step | None = None) -> str:
    """Who wrote what lies behind the bytes that are shown one by one, in a line."""

    def writer(at: int) -> str:
        return _writer(page.sources[at], step)

    found = runs(range(SHOWN, len(page)), writer)
    return "; ".join(f"{span(first, last)}: {writer(first)}" for first, last in found)


def beyond(step: Step) -> str:
    """Where among those a step wrote, in words; empty if it wrote nothing there."""
    behind = [at for at in step.written if at >= SHOWN]
    return f"also writes {spans(behind)}, not shown" if behind else ""


def _writer(source: Source | None, step: Step | None) -> str:
    untouched = "zero since the page was made"
    return untouched if source is None else who(source, step.number if step else -1)


def _member(source: Source | None) -> str:
    if source is None:
        return "-"
    return "exit union" if source.slot.path == "padding" else source.member


# --- a conclusion ----------------------------------------------------------------------------


def sentence(seen: Conclusion) -> str:
    """What a program concludes at a step, whether that is right, and what fooled it."""
    if not seen.looks:
        which = (
            "KVM_RUN has not returned"
            if isinstance(seen.step.event, Served)
            else "no KVM_RUN in this step"
        )
        return f"{which}: nothing new to conclude"
    if not seen.takes and not seen.happened:
        if "return" in seen.vmm.checks and seen.step.returned:
            return f"KVM_RUN {outcome(seen.step)}: it reads no exit"
        if "reason" in seen.vmm.checks:
            return f"no debug exit: exit_reason is {reason_name(seen.step.reason)}"
        return "no debug exit: the flag is not set"
    because = "".join(f"; {cause}" for cause in causes(seen))
    if seen.reading is None:
        return f"WRONG: misses this debug exit{because}"
    far = f", far {seen.far:#x}{FAR_WORDS.get(seen.far_valid, '')}" if seen.far is not None else ""
    if seen.far is None and seen.far_valid == "not valid":
        far = ", far not valid (FnV is 1)"
    esr = f"ESR {hexa(seen.reading)} ({Esr(seen.reading.value).name.split(',')[0]})"
    if not seen.happened:
        return f"WRONG: takes this for a debug exit, {esr}{far}{because}"
    unknown = "; with no flag it knows bits 63:32 to be unknown"
    more = unknown if seen.vmm.needs_flag and not seen.flag else ""
    if seen.right:
        return f"debug exit, {esr}{far}{more}"
    if seen.reading.right:
        return f"WRONG: debug exit, {esr} right{far}{more}{because}"
    old = " (6.1 without the patch)" if old_held(seen.reading.esr, [seen.step.kernel]) else ""
    true = f"{seen.reading.esr:#018x}{old}"
    return f"WRONG: debug exit, {esr}{far}, the kernel held {true}{because}"


def causes(seen: Conclusion) -> list[str]:
    """What fooled a program, neighbouring bytes of one writer joined."""

    def same(row: Fooled) -> tuple[str, Source | None]:
        return row.taken_for, row.source and row.source._replace(high=0, low=0, element=None)

    found = []
    for (taken_for, source), rows in groupby(seen.fooled, same):
        joined = list(rows)
        whose = "nobody wrote since the page was zeroed"
        if source is not None:
            verb = "hold" if len(joined) > 1 else "holds"
            held, name = [row.source for row in joined if row.source], _member(source)
            if source.slot.width != 8:  # as in mmio.phys_addr[63:32]
                name += f"[{max(one.high for one in held)}:{min(one.low for one in held)}]"
            whose = f"{verb} {name} of {who(source, seen.step.number)}"
        place = span(joined[0].offset, joined[-1].offset)
        found.append(f"{place}, taken for {taken_for}, {whose}")
    return found

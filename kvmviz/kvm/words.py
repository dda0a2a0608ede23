"""The text twin of what kernels write and programs read: exits, dumps, the story, the matrix."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from kvmviz._base import KvmvizError, twin
from kvmviz.ctype import name_of
from kvmviz.esr import Esr
from kvmviz.image import byte_rows, pieces, unwritten
from kvmviz.kvm.captures import PAGE, Compared, Dump, Overlay, Rerun
from kvmviz.kvm.exits import (
    EINTR,
    ENOSYS,
    DebugExit,
    Event,
    MmioExit,
    SystemEvent,
    Unhandled,
    UserWrite,
)
from kvmviz.kvm.kernel import ENTRY, EXIT_REASONS, FLAG_VALUE, Kernel
from kvmviz.kvm.page import Page, Step, Vcpu
from kvmviz.kvm.program import HANDLED, Cell, Conclusion, Fooled, Handshake, Matrix, Reading
from kvmviz.kvm.scenario import Scenario, SideBySide
from kvmviz.slot import Source
from kvmviz.text import span, spans, table, where

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


_NAMES = {value: name for name, value in EXIT_REASONS.items()}


@twin.register
def _(kernel: Kernel) -> str:
    members = ", ".join(name_of(m.type, m.name or "") for m in kernel.debug.members)
    flag = f"flags {kernel.flag} {FLAG_VALUE}" if kernel.flag else "flags untouched"
    return (
        f"{kernel.name} kernel ({kernel.when}): debug exit writes {members}; {flag}; "
        f"flags cleared: {_cleared(kernel)}"
    )


def _cleared(kernel: Kernel) -> str:
    """Where a kernel clears flags, by what it leaves out if that is shorter."""
    exits = [name for name in EXIT_REASONS if name in kernel.clears]
    kept = [name for name in EXIT_REASONS if name not in kernel.clears]
    told = ["on KVM_RUN entry"] if ENTRY in kernel.clears else []
    if exits:
        but = f" but {', '.join(kept)}" if kept else ""
        told.append(f"on {', '.join(exits)}" if len(exits) < len(kept) else f"on every exit{but}")
    return " and ".join(told) or "never"


def reason_name(value: int) -> str:
    """An exit reason as C names it: ``KVM_EXIT_DEBUG``; a number that is none as it is."""
    return f"KVM_EXIT_{_NAMES[value]}" if value in _NAMES else f"{value:#x}, not named here"


def event_words(event: Event) -> str:
    """What happens in a step, in a line."""
    match event:
        case UserWrite():
            data = bytes(event)
            stop = event.offset + len(data) - 1
            place = span(event.offset, stop) if data else f"nothing at {event.offset}"
            return f"userspace writes {place}: {_short(data)}".rstrip(": ")
        case DebugExit():
            esr = Esr(event.esr)
            far = f", far {event.far:#x}" if event.far is not None else ""
            made_up = ", bits 63:32 synthetic" if esr.high else ""
            return f"debug exit, {esr.name.split(',')[0]}, ESR {esr.value:#018x}{made_up}{far}"
        case MmioExit():
            verb = (
                f"writes {bytes(event.data).hex(' ')}"
                if event.data is not None
                else f"reads {event.length} bytes"
            )
            return f"MMIO exit, guest {verb} at {event.phys_addr:#x}"
        case SystemEvent():
            return f"system event, type {event.type}, data {event.data:#x}"
        case Unhandled():
            return "run fails after entry"
    return "signal pending"


def _short(data: bytes) -> str:
    if len(data) > 8 and len(set(data)) == 1:
        return f"{len(data)} times {data[0]:02x}"
    return f"{data[:8].hex(' ')} ... ({len(data)} bytes)" if len(data) > 8 else data.hex(" ")


def outcome(step: Step) -> str:
    """What the ioctl returned, and what the page then says."""
    if step.returned is None:
        return ""
    names = {-EINTR: "-EINTR", -ENOSYS: "-ENOSYS"}
    early = " at once, immediate_exit is set" if step.immediate else ""
    return f"returns {names.get(step.returned, step.returned)}{early}"


def title(step: Step) -> str:
    """A step in a line: its number, what happened, what came of it."""
    if step.immediate:
        return (
            f"step {step.number}: KVM_RUN {outcome(step)}; not reached: {event_words(step.event)}"
        )
    if not step.is_run:
        return f"step {step.number}: {event_words(step.event)}"
    return f"step {step.number}: KVM_RUN, {event_words(step.event)}; {outcome(step)}"


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
    told = []
    for name, shown in (("exit_reason", reason_name(step.reason)), ("flags", f"{step.flags:#x}")):
        start, writers = layout.offsets[name], dict[str, list[int]]()
        for at in range(start, start + layout.named[name].extent // 8):
            writers.setdefault(who(step.page.sources[at], step.number), []).append(at)
        if name == "exit_reason" and [*writers] == ["never written"]:
            shown = "0"
        words = [f"{spans(held)}: {writer}" for writer, held in writers.items()]
        told.append(f"{name} {shown} ({'; '.join(words if len(writers) > 1 else writers)})")
    return ", ".join(told)


def who(source: Source | None, now: int) -> str:
    """Who wrote a byte last, seen from a step: ``step 1, KVM_EXIT_MMIO``."""
    if source is None or source.write is None:
        return "never written"
    write = source.write
    when = "this step" if write.step == now else f"step {write.step}"
    return f"{when}, {'userspace' if write.by == 'userspace' else write.what}"


def completion(step: Step) -> str | None:
    """What became of an MMIO access that was pending."""
    access = step.completed
    if access is None:
        return None
    place = f"{access.length} bytes at {access.phys_addr:#x}"
    if step.got is None:
        return f"first completes the guest's write of {place}"
    return f"first completes the guest's read of {place}: it gets {step.got.hex(' ')}"


def byte_lines(step: Step, stop: int = 64, start: int = 0) -> str:
    """The page's bytes after a step, neighbours of one write and member a row.

    Each row says whether its bytes are fresh, stale or untouched, and who wrote them.
    """
    return table(_rows(step.page, range(start, stop), step), right=(0,))


def _rows(page: Page, offsets: range, step: Step | None = None) -> list[Sequence[object]]:
    """The rows of some bytes, seen from a step or, without one, from after the last."""
    rows: list[Sequence[object]] = []
    for first, last in _runs(page, offsets):
        source = page.sources[first]
        held = page.data[first : last + 1].hex(" ")
        state = [step.state(first)] if step else []
        rows.append((f"+{first}", held, *state, _member(source), _by(source, step)))
    return rows


def _by(source: Source | None, step: Step | None) -> str:
    untouched = "zero since the page was made"
    return untouched if source is None else who(source, step.number if step else -1)


def rest(page: Page, step: Step | None = None, start: int = 64) -> str:
    """Who wrote what lies behind the bytes that are shown one by one, in a line."""
    told = []
    for by, group in groupby(range(start, len(page)), lambda at: _by(page.sources[at], step)):
        offsets = list(group)
        told.append(f"{span(offsets[0], offsets[-1])}: {by}")
    return "; ".join(told)


def _member(source: Source | None) -> str:
    if source is None:
        return "-"
    return "exit union" if source.slot.path == "padding" else source.member


def _runs(page: Page, offsets: Iterable[int], width: int = 8) -> Iterable[tuple[int, int]]:
    """First and last offset of neighbours that one write put there, at most ``width``."""
    sources = page.sources

    def key(at: int) -> object:
        source = sources[at]
        return source and (source.slot, source.write)

    for _, group in groupby(offsets, key):
        found = list(group)
        for first in range(0, len(found), width):
            yield found[first], found[min(first + width, len(found)) - 1]


def sentence(seen: Conclusion) -> str:
    """What a program concludes at a step, whether that is right, and what fooled it."""
    if not seen.looks:
        return "no KVM_RUN in this step: nothing new to conclude"
    if not seen.takes and not seen.happened:
        if "return" in seen.vmm.checks and seen.step.returned:
            return f"KVM_RUN {outcome(seen.step)}: it reads no exit"
        if "reason" in seen.vmm.checks:
            return f"no debug exit: exit_reason is {reason_name(seen.step.reason)}"
        return "no debug exit: the flag is not set"
    because = "".join(f"; {cause}" for cause in causes(seen))
    if seen.reading is None:
        return f"WRONG: misses this debug exit{because}"
    read = hexa(seen.reading)
    name = Esr(seen.reading.value).name.split(",")[0]
    far = f", far {seen.far:#x}" if seen.far is not None else ""
    if not seen.happened:
        return f"WRONG: takes this for a debug exit, ESR {read} ({name}){far}{because}"
    known = "; with no flag it knows bits 63:32 to be unknown"
    more = known if seen.vmm.needs_flag and not seen.flag else ""
    if seen.right:
        return f"debug exit, ESR {read} ({name}){far}{more}"
    if seen.reading.right:
        return f"WRONG: debug exit, ESR {read} ({name}) right{far}{more}{because}"
    true = f"the kernel held {seen.reading.esr:#018x}"
    return f"WRONG: debug exit, ESR {read} ({name}){far}, {true}{because}"


def causes(seen: Conclusion) -> list[str]:
    """What fooled a program, neighbouring bytes of one writer joined."""
    found = []
    for (taken_for, source), rows in groupby(seen.fooled, _cause):
        joined = list(rows)
        place = span(joined[0].offset, joined[-1].offset)
        if source is None:
            whose = "nobody wrote since the page was zeroed"
        else:
            verb = "hold" if len(joined) > 1 else "holds"
            bits = _bits([row.source for row in joined if row.source])
            whose = f"{verb} {bits} of {who(source, seen.step.number)}"
        found.append(f"{place}, taken for {taken_for}, {whose}")
    return found


def _bits(sources: Sequence[Source]) -> str:
    """The bits of one member that neighbouring bytes hold: ``mmio.phys_addr[63:32]``."""
    name = _member(sources[0])
    if sources[0].slot.width == 8:
        return name
    return f"{name}[{max(s.high for s in sources)}:{min(s.low for s in sources)}]"


def _cause(row: Fooled) -> tuple[str, Source | None]:
    """What neighbours that fool in the same way have in common."""
    source = row.source and row.source._replace(high=0, low=0, element=None)
    return row.taken_for, source


@twin.register
def _(seen: Conclusion) -> str:
    vmm = seen.vmm
    head = (
        f"step {seen.step.number} · kernel: {seen.step.kernel.name} · VMM: {vmm.name}, {vmm.title}"
    )
    return f"{head}\n  {'✓' if seen.right else '✗'} {sentence(seen)}"


@twin.register
def _(step: Step) -> str:
    head = f"{step.kernel.name} kernel, {where(step.page.layout)}, {title(step)}"
    done = completion(step)
    lines = [
        head,
        *([f"  {done}"] if done else []),
        f"  {written_words(step)}",
        f"  {status(step)}",
    ]
    return "\n".join((*lines, byte_lines(step), f"  {rest(step.page, step)}"))


@twin.register
def _(page: Page) -> str:
    head = f"kvm_run page on {where(page.layout)}, {len(page)} bytes"
    return f"{head}\n{table(_rows(page, range(64)), right=(0,))}\n  {rest(page)}"


@twin.register
def _(vcpu: Vcpu) -> str:
    head = f"kvm_run of a vCPU: {vcpu.kernel.name} kernel, {where(vcpu.page.layout)}"
    rows: list[Sequence[object]] = [
        ("step", "what happens", "returns", "exit_reason", "flags", "bytes written")
    ]
    for step in vcpu.history:
        rows.append(
            (
                step.number,
                "immediate exit" if step.immediate else event_words(step.event),
                "" if step.returned is None else step.returned,
                step.reason,
                f"{step.flags:#x}",
                spans(step.written) or "none",
            )
        )
    return f"{head}, {len(vcpu.history)} steps\n{table(rows, right=(0, 2, 3))}"


@twin.register
def _(rerun: Rerun) -> str:
    first = rerun.dumps[0]
    mark = ", upper half of ESR synthetic" if first.synthetic else ""
    head = f"{first.kernel.name} kernel, {first.byte_order}-endian, {first.scenario}{mark}"
    rows: list[Sequence[object]] = [("dump", "what happens", "bytes", "differ", "")]
    for dump, step, wrong in zip(rerun.dumps, rerun.steps, rerun.differing, strict=True):
        words = event_words(step.event)
        rows.append((dump.step, words, PAGE, len(wrong), f"at {spans(wrong)}" if wrong else ""))
    return f"{head}: {rerun.count} bytes differ\n{table(rows, right=(0, 2, 3))}"


@twin.register
def _(scenario: Scenario) -> str:
    mark = " (bits 63:32 of ESR synthetic)" if scenario.synthetic else ""
    steps = [(f"step {at}", event_words(event)) for at, event in enumerate(scenario.events)]
    lines = [f"{scenario.title}{mark}", *([f"  {scenario.note}"] if scenario.note else [])]
    return "\n".join((*lines, *([table(steps)] if steps else [])))


@twin.register
def _(pair: SideBySide) -> str:
    names = [f"{vcpu.kernel.name} on {where(vcpu.page.layout)}" for vcpu in (pair.one, pair.other)]
    rows: list[Sequence[object]] = [("step", "what happens", "differ", "", *names)]
    for one, other, wrong in zip(pair.one.history, pair.other.history, pair.differing, strict=True):
        shown = [_at(step, wrong) for step in (one, other)]
        rows.append((one.number, event_words(one.event), len(wrong), spans(wrong), *shown))
    return f"the same events on two pages\n{table(rows, right=(0, 2))}"


def _at(step: Step, offsets: Sequence[int]) -> str:
    return bytes(step.page.data[at] for at in offsets[:16]).hex(" ") + (
        " ..." if len(offsets) > 16 else ""
    )


@twin.register
def _(matrix: Handshake) -> str:
    rows: list[Sequence[object]] = [
        (
            "ABI",
            "page",
            "kernel",
            "hole",
            "from",
            "flag",
            "VMM",
            "",
            "as ESR",
            "knows",
            "at the MMIO exit after",
        )
    ]
    for cell in matrix.cells:
        reading = cell.debug.reading
        rows.append(
            (
                cell.vcpu.page.layout.abi.name,
                cell.before,
                cell.kernel.name,
                f"{cell.hole:#010x}",
                who(cell.hole_source, cell.debug.step.number),
                int(cell.debug.flag),
                cell.vmm.title,
                "✓" if cell.right else "✗",
                hexa(reading) if reading else "not seen",
                knows(cell),
                later(cell),
            )
        )
    event = matrix.cells[0].debug.step.event
    esr = event.esr if isinstance(event, DebugExit) else 0
    note = (
        "hole: the four bytes after hsr at the debug exit, as a u32, and who wrote them; knows: "
        "how many bits of ESR_EL2 it gets right, of those that it takes for valid"
    )
    return f"{held(esr)}; computed, not dumped\n{table(rows)}\n  {note}"


def knows(cell: Cell) -> str:
    """How many bits of ESR a program gets right, and of how many if those are not all."""
    if cell.debug.right or cell.debug.reading is None:
        return f"{cell.knows} bits"
    return f"{32 * cell.debug.reading.low_right} of {cell.debug.bits} bits"


def later(cell: Cell) -> str:
    """What the flag says at the exit after the debug exit, and what the program makes of it."""
    flag = "flag still set" if cell.stale_flag else "flag not set"
    if not cell.stale_flag or cell.later.right:
        seen = "sees no debug exit" if cell.later.right else "takes it for a debug exit"
    else:
        seen = "fooled by it" if cell.later.takes else "misses it"
    return f"{flag}, {seen}"

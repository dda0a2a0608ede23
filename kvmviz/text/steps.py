"""The text twin of the page over time: exits, steps, a vCPU's history, real sequences rerun."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from kvmviz._base import twin
from kvmviz.captures import PAGE, Rerun
from kvmviz.esr import Esr
from kvmviz.kvm import ENTRY, EXIT_REASONS, FLAG_VALUE, Kernel
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
from kvmviz.kvm.handshake import Cell, Handshake
from kvmviz.kvm.readers import Conclusion, Fooled
from kvmviz.kvm.scenario import Scenario, SideBySide
from kvmviz.kvm.trace import ANOMALIES, Trace
from kvmviz.kvm.vcpu import Page, Step, Vcpu
from kvmviz.slot import Source
from kvmviz.text import name_of, span, spans, table, told, where

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
    read = told.hexa(seen.reading)
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
                told.hexa(reading) if reading else "not seen",
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
    return f"{told.held(esr)}; computed, not dumped\n{table(rows)}\n  {note}"


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


@twin.register
def _(found: Trace) -> str:
    order = f"{found.abi.name} ({found.abi.byte_order}-endian)"
    head = f"{found.pages:,} kvm_run pages on {order}, {found.stride} bytes apart"
    rows: list[Sequence[object]] = [("exit", "pages", *ANOMALIES)]
    for row in found.rows:
        name = "no exit reason" if row.reason is None else reason_name(row.reason)
        rows.append((name, f"{row.pages:,}", *(f"{count:,}" for count in row.odd.values())))
    rows.append(("all", f"{found.pages:,}", *(f"{count:,}" for count in found.odd.values())))
    lines = []
    for name, words in ANOMALIES.items():
        pages = ", ".join(f"{at:,}" for at in found.first[name])
        more = ", ..." if found.odd[name] > len(found.first[name]) else ""
        lines.append((f"{name}:", words, f"pages {pages}{more}" if pages else "none"))
    return f"{head}\n{table(rows, right=range(1, len(rows[0])))}\n{table(lines)}"

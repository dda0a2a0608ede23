"""The text twin of the page over time: exits, steps, a vCPU's history, real sequences rerun."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from kvmviz._base import twin
from kvmviz.captures import PAGE, Rerun
from kvmviz.esr import Esr
from kvmviz.exits import DebugExit, Event, MmioExit, SystemEvent, Unhandled, UserWrite
from kvmviz.kvm import EXIT_REASONS
from kvmviz.slot import Source
from kvmviz.text import span, spans, table, where
from kvmviz.vcpu import Step, Vcpu

_NAMES = {value: name for name, value in EXIT_REASONS.items()}


def reason_name(value: int) -> str:
    """An exit reason as C names it: ``KVM_EXIT_DEBUG``; a number that is none as it is."""
    return f"KVM_EXIT_{_NAMES[value]}" if value in _NAMES else f"{value:#x}, no exit reason"


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
            return f"debug exit, {esr.name.split(',')[0]}, ESR {esr.value:#018x}{far}"
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
    names = {0: "0", -4: "-EINTR", -38: "-ENOSYS"}
    early = " at once, immediate_exit is set" if step.immediate else ""
    return f"returns {names[step.returned]}{early}"


def title(step: Step) -> str:
    """A step in a line: its number, what happened, what came of it."""
    if step.immediate:
        return f"step {step.number}: KVM_RUN {outcome(step)}"
    if not step.is_run:
        return f"step {step.number}: {event_words(step.event)}"
    return f"step {step.number}: KVM_RUN, {event_words(step.event)}; {outcome(step)}"


def written_words(step: Step) -> str:
    """Which bytes a step wrote, and which of them have another value now."""
    if not step.written:
        return "writes nothing"
    same = sorted(set(step.written) - set(step.changed))
    kept = f"; same value as before: {spans(same)}" if same else ""
    return f"writes {spans(step.written)}{kept}"


def status(step: Step) -> str:
    """exit_reason and flags after a step, and who they are from."""
    layout = step.page.layout
    told = []
    for name, shown in (("exit_reason", reason_name(step.reason)), ("flags", f"{step.flags:#x}")):
        at = layout.offsets[name]
        told.append(f"{name} {shown} ({who(step.page.sources[at], step.number)})")
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
    """The page's bytes after a step, neighbours of one write and member a row; zeros at the end.

    Each row says whether its bytes are fresh, stale or untouched, and who wrote them.
    """
    rows = []
    for first, last in _runs(step, range(start, stop)):
        source = step.page.sources[first]
        state = step.state(first)
        what = "zero since the page was made" if source is None else who(source, step.number)
        rows.append(
            (f"+{first}", step.page.data[first : last + 1].hex(" "), state, _member(source), what)
        )
    return table(rows, right=(0,))


def _member(source: Source | None) -> str:
    if source is None:
        return "-"
    if source.write and source.write.by == "userspace" and source.slot.path == "padding":
        return "exit union"
    return source.member


def _runs(step: Step, offsets: Iterable[int], width: int = 8) -> Iterable[tuple[int, int]]:
    """First and last offset of neighbours that one write put there, at most ``width``."""
    sources = step.page.sources

    def key(at: int) -> object:
        source = sources[at]
        return source and (source.slot, source.write)

    for _, group in groupby(offsets, key):
        found = list(group)
        for first in range(0, len(found), width):
            yield found[first], found[min(first + width, len(found)) - 1]


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
    return "\n".join((*lines, byte_lines(step)))


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

"""The kvm_run page of one vCPU over time: what each KVM_RUN and each write by userspace leaves.

The rules follow Linux's ``arch/arm64/kvm``: ``handle_exit.c``, ``mmio.c``, ``psci.c``,
``arch_timer.c``, ``pmu-emul.c`` and ``kvm_arch_vcpu_ioctl_run()`` in ``arm.c``. The dumps
(``data/README.md``), of Linux 6.1 and 6.12, show them all but the PMU's and the physical timer's
line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Literal

from kvmviz._base import KvmvizError, chosen, counted, find, shown, span
from kvmviz.abi import Abi
from kvmviz.image import Image, store
from kvmviz.kvm.exits import (
    EINTR,
    ENOSYS,
    Access,
    Event,
    Exit,
    Interrupted,
    MmioExit,
    Served,
    UserWrite,
    check_exit,
)  # fmt: skip
from kvmviz.kvm.kernel import (
    ALL_KERNELS,
    ENTRY,
    EXIT_REASONS,
    EXITS,
    IRQ_LEVELS,
    MMIO,
    Kernel,
    reason_name,
)  # fmt: skip
from kvmviz.layout import Layout
from kvmviz.slot import Source, Write
from kvmviz.text import runs, spans, table, where

if TYPE_CHECKING:
    from typing_extensions import Buffer

SHOWN = 64
"""How many bytes of the page are shown one by one, from offset 0 on."""

State = Literal["fresh", "stale", "untouched"]
"""Of a byte at a step: written by this step, by an earlier one, never since the page was zeroed."""


SERVED, RETURN = "served", "return"
WHAT: Mapping[str, str] = {
    ENTRY: "KVM_RUN entry", SERVED: "access that KVM served", RETURN: "KVM_RUN return",
}  # fmt: skip
"""What the kernel writes for, where it is for no exit."""


def who(source: Source | None, now: int) -> str:
    """Who wrote a byte last, seen from a step: ``step 1, KVM_EXIT_MMIO``."""
    if source is None or source.write is None:
        return "never written"
    write = source.write
    when = "this step" if write.step == now else f"step {write.step}"
    return f"{when}, {'userspace' if write.by == 'userspace' else write.what}"


def holder(source: Source) -> str:
    """The member that a byte is of: ``exit union`` where userspace wrote into that."""
    return "exit union" if source.slot.path == "padding" else source.member


class Page(Image):
    """The image of a kvm_run page with a history.

    An entry of ``sources`` says which bits of which member a byte holds and, in its ``write``, who
    put them there in which step; it is None where nobody has since the page was zeroed.
    """

    def __repr__(self) -> str:
        head = f"kvm_run page on {where(self.layout)}, {len(self)} bytes"
        return f"{head}\n{self.rows()}\n  {self.rest()}"

    def rows(self, now: int = -1) -> str:
        """The first bytes, neighbours of one write and member a row, as step ``now`` sees them."""

        def write(at: int) -> object:
            source = self.sources[at]
            return source and (source.slot, source.write)

        rows = []
        for first, last in runs(range(SHOWN), write, 8):
            source = self.sources[first]
            name, digits = holder(source) if source else "-", self.data[first : last + 1].hex(" ")
            rows.append((f"+{first}", digits, name, who(source, now)))
        return table(rows, right=(0,))

    def rest(self, now: int = -1) -> str:
        """Who wrote what lies behind the bytes that are shown one by one, in a line."""

        def writer(at: int) -> str:
            return who(self.sources[at], now)

        found = runs(range(SHOWN, len(self)), writer)
        return "; ".join(f"{span(first, last)}: {writer(first)}" for first, last in found)


@dataclass(frozen=True)
class Step:
    """One step of a page's history: a write by userspace, or one KVM_RUN.

    ``number`` is its place in :attr:`Vcpu.history`, from 0. ``event`` is what was asked for.
    ``before`` and ``page`` are the page as the step found it and left it. ``returned`` is what the
    ioctl returned, None where it has not. ``immediate``: immediate_exit was set, so KVM_RUN
    returned -EINTR before what was asked for could happen, and wrote nothing. ``completed`` is the
    MMIO access that this KVM_RUN completed first, if one was pending, and ``got`` what the guest
    got from it, if it was a read: mmio.data as it stood then.
    """

    number: int
    kernel: Kernel
    event: Event
    before: Page
    page: Page
    returned: int | None = None
    immediate: bool = False
    completed: MmioExit | None = None
    got: bytes | None = None

    @property
    def is_run(self) -> bool:
        """KVM_RUN has returned: it is no write by userspace, no access that KVM served."""
        return self.returned is not None

    @property
    def exit(self) -> Exit | None:
        """The exit that happened: None where none did, an immediate exit included."""
        return self.event if isinstance(self.event, Exit) and not self.immediate else None

    @cached_property
    def written(self) -> tuple[int, ...]:
        """Offsets of the bytes that this step wrote, also where the value stayed the same."""
        held = enumerate(self.page.sources)
        return tuple(at for at, s in held if s and s.write and s.write.step == self.number)

    @property
    def changed(self) -> tuple[int, ...]:
        """Of :attr:`written`, the offsets where another value stands now."""
        old, new = self.before.data, self.page.data
        return tuple(at for at in self.written if old[at] != new[at])

    @property
    def outcome(self) -> str:
        """What the ioctl returned."""
        told = {-EINTR: "-EINTR", -ENOSYS: "-ENOSYS"}.get(self.returned or 0, f"{self.returned}")
        return f"returns {told}{' at once, immediate_exit is set' if self.immediate else ''}"

    @property
    def title(self) -> str:
        """The step in a line: its number, what happened, what came of it."""
        head, what = f"step {self.number}", self.event.words
        if self.immediate:
            rest = "" if isinstance(self.event, Interrupted) else f"; not reached: {what}"
            return f"{head}: KVM_RUN {self.outcome}{rest}"
        return f"{head}: KVM_RUN, {what}; {self.outcome}" if self.is_run else f"{head}: {what}"

    @property
    def completion(self) -> str:
        """What became of an MMIO access that was pending; empty if none was."""
        if self.completed is None:
            return ""
        if self.got is None:
            return f"first completes the guest's write of {self.completed.place}"
        got = self.got.hex(" ")
        return f"first completes the guest's read of {self.completed.place}: it gets {got}"

    @property
    def writes(self) -> str:
        """Which bytes it wrote, and which of them have another value now."""
        if self.changed == self.written:
            return f"writes {spans(self.written) or 'nothing'}"
        changed = f"in {spans(self.changed)}" if self.changed else "nowhere"
        return f"writes {spans(self.written)}; another value {changed}"

    @property
    def beyond(self) -> str:
        """Which bytes it wrote that are not shown one by one; empty if none."""
        behind = [at for at in self.written if at >= SHOWN]
        return f"also writes {spans(behind)}, not shown" if behind else ""

    @property
    def lines(self) -> list[str]:
        """What it did, exit_reason and flags after it, and the page's first bytes, in words."""
        status = f"exit_reason {reason_name(self.reason)}, flags {self.flags:#x}"
        told = filter(None, (self.completion, self.writes, status))
        return [*told, *self.page.rows(self.number).splitlines()]

    def __repr__(self) -> str:
        head = f"{self.kernel.name} kernel, {where(self.page.layout)}, {self.title}"
        return "\n  ".join((head, *self.lines, self.page.rest(self.number)))

    def image(self, path: str) -> Image:
        """The exit union's struct at a path (``mmio``, ``debug.arch``), as an image of its own.

        Its bytes are the page's; its sources are those that this step wrote as that member.
        Another path raises :class:`KvmvizError`.
        """
        structs, start = (
            {"debug.arch": self.kernel.debug, **EXITS},
            self.page.layout.offsets["debug"],
        )
        layout = structs[chosen(path, structs, "image: struct")].layout(self.page.layout.abi)
        exit, held = self.exit, self.page.data[start : start + layout.size]
        is_own = exit is not None and exit.member == path
        return layout.pack(exit.values(self.kernel, layout.abi) if exit and is_own else {}, held)

    def state(self, offset: int) -> State:
        """What a byte is after this step; :class:`KvmvizError` for one that is not in the page."""
        last = len(self.page) - 1
        offset = chosen(offset, range(last + 1), "state: byte", f"0..{last}")
        if self.page.sources[offset] is None:
            return "untouched"
        return "fresh" if offset in self.written else "stale"

    @property
    def reason(self) -> int:
        """exit_reason as it stands after the step, this step's or an older one's."""
        return member(self.page, "exit_reason")

    @property
    def flags(self) -> int:
        """Flags as they stand after the step."""
        return member(self.page, "flags")


class Vcpu:
    """A vCPU's kvm_run page, as one kernel and its userspace write it. It starts all zero.

    ``kernel`` is ``old``, ``widened``, ``v2`` or ``merged``, another name of
    :data:`~kvmviz.kvm.kernel.POLICIES`, or a :class:`~kvmviz.kvm.kernel.Kernel` of one's own;
    ``abi`` as in :meth:`kvmviz.Struct.layout`. Bad input raises :class:`KvmvizError` and changes
    nothing.

    ``history`` are all steps so far, in order, and ``page`` is a :class:`Page` whose every byte
    knows its last writer. Bytes that userspace wrote into the exit union are bits of its
    ``padding``: which exit it meant them for is not said.

    ``irq_level`` is for a VM that has no interrupt controller in the kernel: what its timers and
    its PMU signal, bits of :data:`~kvmviz.kvm.kernel.IRQ_LEVELS`, which the kernel writes into
    ``s.regs.device_irq_level`` whenever KVM_RUN returns, but for immediate_exit.
    """

    def __init__(self, kernel: str | Kernel, abi: str | Abi, irq_level: int | None = None) -> None:
        self.kernel = ALL_KERNELS.find(kernel)
        if irq_level is not None:
            irq_level = chosen(irq_level, range(IRQ_LEVELS + 1), "irq_level", f"0 .. {IRQ_LEVELS}")
        self.irq_level = irq_level
        layout = self.kernel.page(abi)
        self.page = Page(layout, bytes(layout.size), (None,) * layout.size)
        self.history: tuple[Step, ...] = ()
        self._pending: MmioExit | None = None
        self._in_guest = False

    def __repr__(self) -> str:
        head = f"kvm_run of a vCPU: {self.kernel.name} kernel, {where(self.page.layout)}"
        rows: list[tuple[object, ...]] = [
            ("step", "what happens", "returns", "exit_reason", "flags", "bytes written")
        ]
        for step in self.history:
            what = "immediate exit" if step.immediate else step.event.words
            returned = "" if step.returned is None else step.returned
            written = spans(step.written) or "none"
            rows.append((step.number, what, returned, step.reason, f"{step.flags:#x}", written))
        return f"{head}, {counted(len(self.history), 'step')}\n{table(rows, right=(0, 2, 3))}"

    @property
    def reads(self) -> tuple[bytes, ...]:
        """What the guest got from each MMIO read that was completed, in order."""
        return tuple(step.got for step in self.history if step.got is not None)

    def user_write(self, offset: int, data: Buffer) -> None:
        """Userspace writes into the page, anywhere: a reply, poison, immediate_exit (byte 1)."""
        self.apply(UserWrite(offset, data))

    def run(self, exit: Exit) -> int:
        """One KVM_RUN that ends with ``exit``; returns what the ioctl returns.

        That is 0, or -4 for -EINTR (a signal, or immediate_exit), or -38 for -ENOSYS. So the kernel
        returns; a program of libc's gets -1, and 4 or 38 in errno.
        """
        return self.apply(check_exit(exit)).returned or 0

    def apply(self, event: Event) -> Step:
        """One step, whichever it is: what :meth:`user_write` and :meth:`run` do.

        An access that KVM serves is part of the KVM_RUN that the next exit ends.
        """
        if not isinstance(event, Event):
            raise KvmvizError(f"{shown(event)} is no step; legal are UserWrite, Served and exits")
        step = self._user(event) if isinstance(event, UserWrite) else self._run(event)
        self.history, self.page = (*self.history, step), step.page
        return step

    def _user(self, event: UserWrite) -> Step:
        number, page, data = len(self.history), self.page, bytes(event)
        start, stop = event.offset, event.offset + len(data)
        write = Write(number, "userspace", "write")
        own = tuple(Source(*held[:-1], write) for held in _raw(page.layout)[start:stop])
        memory = page.data[:start] + data + page.data[stop:]
        after = Page(page.layout, memory, page.sources[:start] + own + page.sources[stop:])
        return Step(number, self.kernel, event, page, after)

    def _run(self, event: Exit | Served) -> Step:
        event = event if isinstance(event, Served) else check_exit(event)
        number, before = len(self.history), self.page
        page, done, got = before, None, None
        if not self._in_guest:
            done, got = self._complete()
            if member(before, "immediate_exit"):
                self._pending = None if done else self._pending
                return Step(number, self.kernel, event, before, before, -EINTR, True, done, got)
            page = self._write(before, ENTRY, {"exit_reason": EXIT_REASONS["UNKNOWN"]})
        values = _nested(event, self.kernel, page.layout.abi)
        if isinstance(event, Served):
            page, returned = self._write(page, SERVED, values), None
        else:
            if event.reason != "UNKNOWN":  # which no handler sets: entry did
                values["exit_reason"] = EXIT_REASONS[event.reason]
            page, returned = self._write(page, event.reason, values), event.returned
            if self.irq_level is not None:
                level = member(page, "s.regs.device_irq_level") & ~IRQ_LEVELS | self.irq_level
                page = self._write(page, RETURN, {"s": {"regs": {"device_irq_level": level}}})
        self._in_guest = returned is None
        if isinstance(event, Access):  # KVM has one access in work at a time
            self._pending = event if isinstance(event, MmioExit) else None
        elif done:
            self._pending = None
        return Step(number, self.kernel, event, before, page, returned, False, done, got)

    def _complete(self) -> tuple[MmioExit | None, bytes | None]:
        """The pending access that KVM_RUN completes first, and what the guest got if it read.

        An exit_reason that userspace overwrote leaves it pending: the guest runs into it again.
        """
        access = self._pending
        if access is None or member(self.page, "exit_reason") != EXIT_REASONS["MMIO"]:
            return None, None
        layout = self.page.layout
        start = layout.offsets["mmio"] + MMIO.layout(layout.abi).offsets["data"]
        got = self.page.data[start : start + access.length]
        return access, None if access.data is not None else got

    def _write(self, page: Page, place: str, values: Mapping[str, Any]) -> Page:
        """The kernel writes members, at a place of :data:`WHAT` or on the exit of that reason."""
        flags = self.kernel.flags_at(place, member(page, "flags"))
        given = dict(values) if flags is None else {**values, "flags": flags}
        write = Write(len(self.history), "kernel", WHAT.get(place, f"KVM_EXIT_{place}"))
        memory, sources = bytearray(page.data), [*page.sources]
        store(page.layout, given, memory, sources, write)
        return Page(page.layout, bytes(memory), tuple(sources))


def member(page: Image, path: str) -> int:
    """The value of one of struct kvm_run's integers, in the page's own byte order."""
    slot = find(page.layout.paths, path, "member")
    return int.from_bytes(page.data[slot.offset : slot.offset + slot.size], slot.order)


def differing(one: bytes, other: bytes) -> tuple[int, ...]:
    """Offsets at which two pieces of memory of one size differ."""
    pairs = enumerate(zip(one, other, strict=True)) if one != other else ()
    return tuple(at for at, (a, b) in pairs if a != b)


def differ(count: int) -> str:
    """How many bytes differ, in words."""
    return f"{counted(count, 'byte')} differ{'s' * (count == 1)}"


def _nested(event: Exit | Served, kernel: Kernel, abi: Abi) -> dict[str, Any]:
    """What an exit writes, as values of struct kvm_run."""
    values = event.values(kernel, abi)
    if not isinstance(values, Mapping):
        who = f"exit {type(event).__name__}"
        raise KvmvizError(f"{who}, values: {shown(values)} is no mapping of members")
    for name in reversed(event.member.split(".") if values else []):
        values = {name: values}
    return dict(values)


@cache
def _raw(layout: Layout) -> tuple[Source, ...]:
    """Each byte of the page as userspace writes it: in a union, bits of its ``padding``."""
    return tuple(max(held, key=lambda source: source.slot.extent) for held in layout.holders)


def play(kernel: str | Kernel, abi: str | Abi, events: Iterable[Event]) -> Vcpu:
    """A new vCPU on which the events have happened, in order."""
    vcpu = Vcpu(kernel, abi)
    if not isinstance(events, Iterable):
        raise KvmvizError(f"{shown(events)} is no list of events")
    for event in events:
        vcpu.apply(event)
    return vcpu

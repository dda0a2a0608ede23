"""What a program makes of a page over time: step by step, and what fooled it where it is wrong.

The handshake is the same as a table: kernels and programs, at a debug exit and at the exit after.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, product
from typing import Literal

from kvmviz._base import KvmvizError, grouped, shown, span
from kvmviz.abi import Abi
from kvmviz.esr import Esr
from kvmviz.kvm.exits import DebugExit, Event, MmioExit, Served
from kvmviz.kvm.kernel import EXIT_REASONS, FLAG_VALUE, Kernel, reason_name
from kvmviz.kvm.page import Step, Vcpu, holder, play, who
from kvmviz.kvm.program import (
    ARM64,
    FAR_WORDS,
    READERS,
    UNKNOWN,
    Far,
    Reading,
    Vmm,
    caveats,
    every,
    far_by,
    held,
)  # fmt: skip
from kvmviz.layout import Layout
from kvmviz.slot import Source
from kvmviz.text import runs, table
from kvmviz.verdict import judge


@dataclass(frozen=True)
class Conclusion:
    """What one program makes of the page at one step: nothing, unless KVM_RUN has returned."""

    step: Step
    vmm: Vmm

    @property
    def happened(self) -> bool:
        """The step ended with a debug exit."""
        return isinstance(self.step.exit, DebugExit)

    @property
    def flag(self) -> bool:
        """What the program finds in bit 0 of run->flags."""
        return bool(self.step.flags & FLAG_VALUE)

    @property
    def takes(self) -> bool:
        """All that the program looks at says that this is a debug exit."""
        found = {
            "return": self.step.returned == 0,
            "reason": self.step.reason == EXIT_REASONS["DEBUG"],
            "flag": self.flag,
        }
        return self.step.is_run and all(found[check] for check in self.vmm.checks)

    @property
    def esr(self) -> int:
        """What the kernel held at a debug exit; 0 at any other step."""
        return self.step.exit.esr if isinstance(self.step.exit, DebugExit) else 0

    @cached_property
    def reading(self) -> Reading | None:
        """The debug struct as the program reads it; None if it takes this for no debug exit."""
        if not self.takes:
            return None
        page, image = self.step.page, self.step.image(DebugExit.member)
        beyond = page.data[page.layout.offsets["debug"] + len(image) :]
        return Reading(self.step.kernel, self.vmm, image, self.esr, self.flag, beyond)

    @property
    def value(self) -> int | None:
        """What it reads for ESR_EL2; None if it reads none."""
        return self.reading.value if self.reading else None

    @property
    def far(self) -> int | None:
        """What it takes for the address of a watchpoint; see :attr:`far_valid`."""
        reading = self.reading
        if reading is None or not reading.far_at:
            return None
        if not (self.vmm.trusts_far or self.far_valid in ("address", "granule")):
            return None
        found: int = reading.struct.unpack(reading.memory)["far"]
        return found & (1 << 64) - 1  # also where a program's far is signed

    @property
    def far_valid(self) -> Far | None:
        """What the ESR that it read says that far is worth; None if it read none."""
        return None if self.value is None else far_by(self.value)

    @cached_property
    def fooled(self) -> tuple[tuple[int, str], ...]:
        """Offsets in the page of the bytes that misled it, in order, and what it took each for.

        That is ``ESR[31:0]``, ``a valid far``, ``this exit's flag``. Of some the value may fit by
        chance: the step did not write them, or they hold other bits.
        """
        return tuple(sorted(set(self._wrong())))

    @property
    def right(self) -> bool:
        """It sees a debug exit where there is one alone, and the bytes are what it thinks."""
        return not self.fooled

    @property
    def mark(self) -> str:
        """Whether it is right, as a sign; empty where there is nothing to conclude."""
        return "" if not self.step.is_run else "✓ " if self.right else "✗ "

    @property
    def headline(self) -> str:
        """What it concludes, in a few words with a sign; empty after a write by userspace."""
        if not self.step.is_run:
            return ""
        if self.reading is None:
            return f"{self.mark}{'misses the' if self.happened else 'no'} debug exit"
        far = f", far {self.far:#x}" if self.far is not None else ""
        sees = "" if self.happened else "sees a debug exit, "
        return f"{self.mark}{sees}ESR {self.reading.digits}{far}"

    @property
    def verdict(self) -> str:
        """What it concludes, and whether that is right, without what fooled it."""
        held = f", the kernel held {self.held}" if self.held else ""
        return f"{'WRONG: ' * (self.step.is_run and not self.right)}{self.concluded}{held}"

    @property
    def held(self) -> str:
        """What the kernel held at a debug exit, where other bits are taken for it; else empty."""
        if not self.happened or self.reading is None or self.right or self.reading.right:
            return ""
        old = " (6.1 without the patch)" if caveats(self.esr, [self.step.kernel]) else ""
        return f"{self.esr:#018x}{old}"

    @property
    def concluded(self) -> str:
        """What it concludes, in words."""
        step, reading = self.step, self.reading
        if not step.is_run:
            run = "KVM_RUN has not returned" if isinstance(step.event, Served) else "no KVM_RUN"
            return f"{run} in this step: nothing new to conclude"
        if reading is None:
            if self.happened:
                return "misses this debug exit"
            if "return" in self.vmm.checks and step.returned:
                return f"KVM_RUN {step.outcome}: it reads no exit"
            if "reason" in self.vmm.checks:
                return f"no debug exit: exit_reason is {reason_name(step.reason)}"
            return "no debug exit: the flag is not set"
        far = ", far not valid (FnV is 1)" if self.far_valid == "not valid" else ""
        if self.far is not None:
            far = f", far {self.far:#x}{FAR_WORDS.get(self.far_valid, '')}"
        esr = f"ESR {reading.digits} ({Esr(reading.value).kind})"
        if not self.happened:
            return f"takes this for a debug exit, {esr}{far}"
        if self.vmm.needs_flag and not self.flag:
            far += UNKNOWN
        return f"debug exit, {esr}{' right' * (reading.right and not self.right)}{far}"

    @property
    def causes(self) -> list[str]:
        """What fooled it, neighbouring bytes of one writer joined."""
        sources, found = self.step.page.sources, []

        def joined(source: Source) -> Source:
            # Bytes of an array of bytes are told as one; wider elements each for itself.
            return source._replace(element=None) if source.slot.width == 8 else source

        def writer(at: int) -> Source | None:
            source = sources[at]
            return source and joined(source)._replace(high=0, low=0)

        for taken_for, rows in grouped(self.fooled, lambda row: row[1]).items():
            for first, last in runs((at for at, _ in rows), writer):
                whose = "nobody wrote since the page was zeroed"
                if ends := [joined(s) for s in (sources[first], sources[last]) if s]:
                    one, end = ends
                    bits = one.until(end).removeprefix(one.slot.path)  # as in phys_addr[63:32]
                    what = f"{holder(one)}{bits} of {who(one, self.step.number)}"
                    whose = f"{'holds' if first == last else 'hold'} {what}"
                found.append(f"{span(first, last)}, taken for {taken_for}, {whose}")
        return found

    @property
    def sentence(self) -> str:
        """The verdict and its causes."""
        return "; ".join((self.verdict, *self.causes))

    def __repr__(self) -> str:
        step = self.step
        head = f"step {step.number} · kernel: {step.kernel.name} · VMM: {self.vmm.name}"
        return f"{head}\n  {self.mark}{self.sentence}"

    def _wrong(self) -> Iterator[tuple[int, str]]:
        """Offsets of those bytes, each with what the program took it for."""
        if not self.step.is_run or not (self.takes or self.happened):
            return
        layout, reading, vmm = self.step.page.layout, self.reading, self.vmm
        # The flag is in the least significant byte of flags.
        flag_at = layout.offsets["flags"] + (layout.abi.byte_order == "big")
        if reading is None:  # missed: of a program's checks the flag alone can fail here
            yield flag_at, "the sign of a debug exit"
            return
        if not self.happened and "reason" in vmm.checks:
            start = layout.offsets["exit_reason"]
            yield from ((at, "this run's exit_reason") for at in range(start, start + 4))
        union = layout.offsets["debug"]
        for run in reading.runs:
            if not run.right or not self.happened:
                half = "ESR[31:0]" if run.wanted[0] < 32 else "ESR[63:32]"
                yield from ((union + at, half) for at in range(run.first, run.last + 1))
        own = self.step.state(flag_at) == "fresh"
        if "flag" in vmm.checks:
            if not (self.happened and own):
                yield flag_at, "the sign of a debug exit"
        elif self.flag and vmm.needs_flag and not own:
            yield flag_at, "this exit's flag"
        for at in reading.far_at if self.far is not None else ():
            written = tuple(filter(None, reading.image.sources[at : at + 1]))
            if all(judge(one, written)[0] != "intact" for one in reading.struct.holders[at]):
                yield union + at, "far"
            elif far_by(reading.esr) == "not valid":
                yield union + at, "a valid far"


def conclude(step: Step, vmm: str | Vmm) -> Conclusion:
    """What a program (a name of :data:`READERS`, or one's own) makes of one step."""
    if not isinstance(step, Step):
        raise KvmvizError(f"{shown(step)} is no step; legal are those of a Vcpu's history")
    return Conclusion(step, READERS.find(vmm))


def conclusions(vcpu: Vcpu, vmm: str | Vmm) -> tuple[Conclusion, ...]:
    """What a program makes of every step of a history, in order."""
    if not isinstance(vcpu, Vcpu):
        raise KvmvizError(f"{shown(vcpu)} is no Vcpu: it has no history")
    return tuple(conclude(step, vmm) for step in vcpu.history)


Before = Literal["fresh", "after MMIO"]
"""What the page held before the debug exit: zeros, or the address of an MMIO exit."""

ADDRESS = 0x80_0000_1000
"""Where that MMIO exit was: an address both halves of which are not zero."""

HOLE = 36
"""The offset in struct kvm_run of the four bytes where hsr_high is, or would be, on any ABI."""


@dataclass(frozen=True)
class Cell:
    """One kernel with one program: a debug exit, then an MMIO exit, on the same page.

    ``debug`` is what the program concludes at the debug exit, ``later`` at the MMIO exit after it.
    """

    before: Before
    kernel: Kernel
    vmm: Vmm
    debug: Conclusion
    later: Conclusion

    @property
    def hole(self) -> int:
        """What lies there at the debug exit, as a u32."""
        data = self.debug.step.page.data[HOLE : HOLE + 4]
        return int.from_bytes(data, self.layout.abi.byte_order)

    @property
    def layout(self) -> Layout:
        """The page's layout."""
        return self.debug.step.page.layout

    @property
    def knows(self) -> int:
        """How many bits of ESR_EL2 the program gets, and rightly takes for valid: 0, 32 or 64."""
        reading = self.debug.reading
        return reading.bits if reading and self.debug.right else 0

    @property
    def right(self) -> bool:
        """The program is right at both exits."""
        return self.debug.right and self.later.right

    def _row(self) -> tuple[object, ...]:
        """Itself in words: a row of the matrix."""
        step, reading = self.debug.step, self.debug.reading
        knows = f"{self.knows} bits"
        if reading and not self.debug.right:
            knows = f"{32 * reading.low_right} of {reading.bits} bits"
        writer = who(step.page.sources[HOLE], step.number)
        later = f"flag {'still' if self.later.flag else 'not'} set: {self.later.headline}"
        page = (self.layout.abi.name, self.before, self.kernel.name, f"{self.hole:#010x}", writer)
        seen = ("✓" if self.right else "✗", reading.digits if reading else "not seen", knows)
        return *page, int(self.debug.flag), self.vmm.name, *seen, later


@dataclass(frozen=True)
class Handshake:
    """Every kernel with every program, on a fresh page and after MMIO, on each ABI."""

    cells: tuple[Cell, ...]

    def __post_init__(self) -> None:
        if not self.cells:
            raise KvmvizError("a handshake takes at least one cell")

    @property
    def esr(self) -> int:
        """ESR_EL2 at the debug exits."""
        return self.cells[0].debug.esr

    def __repr__(self) -> str:
        head = (
            "ABI", "page", "kernel", "hole", "from", "flag", "VMM", "", "as ESR", "knows",
            "at the MMIO exit after",
        )  # fmt: skip
        note = (
            "hole: the four bytes after hsr at the debug exit, as a u32, and who wrote them; "
            "knows: how many bits of ESR_EL2 it gets right, of those that it takes for valid"
        )
        rows = table([head, *(cell._row() for cell in self.cells)])
        notes = [note, *caveats(self.esr, [cell.kernel for cell in self.cells])]
        told = map("  {}".format, notes)
        return "\n".join((f"{held(self.esr)}; computed, not dumped", rows, *told))


def handshake(
    esr: int = 0x0000_0100_D200_0062,
    kernels: Iterable[str | Kernel] = ("old", "v2", "merged"),
    vmms: Iterable[str | Vmm] = ("u32 hsr", "hsr_high if flag set", "hsr_high, flag ignored"),
    abis: Iterable[str | Abi] = ARM64,
    far: int = 0x4000_0800,
) -> Handshake:
    """The matrix: by default three kernels, three programs, both byte orders of arm64.

    The programs are old userspace, and new userspace that keeps to the handshake and that does not.
    The default ``esr`` is a watchpoint that a guarded-control-stack access has hit, the first debug
    exit whose upper half is not zero. Raises :class:`KvmvizError` for unknown names, for two of one
    name, for nothing to show, and as :class:`~kvmviz.kvm.exits.DebugExit` does.
    """
    mmio = MmioExit(ADDRESS, 4, b"\x5a\x5a\x00\x00")
    events: dict[Before, list[Event]] = {"fresh": [], "after MMIO": [mmio]}
    cells = []
    for abi, rows in groupby(every(abis, kernels, vmms), lambda row: row[0]):
        for (before, first), (_, kernel, vmm) in product(events.items(), rows):
            debug, later = play(kernel, abi, [*first, DebugExit(esr, far), mmio]).history[-2:]
            seen = (conclude(step, vmm) for step in (debug, later))
            cells.append(Cell(before, kernel, vmm, *seen))
    return Handshake(tuple(cells))

"""Userspace's side: the programs that read the struct, and what each of them gets.

Whether a program is right is decided by which bits of ESR_EL2 lie in the bytes that it takes,
never by the value: a byte that nobody wrote is wrong also on the day when it happens to fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, get_args

from kvmviz._base import KvmvizError, Twin, span
from kvmviz.abi import Abi
from kvmviz.ctype import Struct
from kvmviz.esr import Esr
from kvmviz.image import Image
from kvmviz.kvm.exits import DebugExit, Event, MmioExit
from kvmviz.kvm.kernel import (
    ESR_BIT,
    EXIT_REASONS,
    FLAG_VALUE,
    KERNELS,
    OLD,
    WATCHPOINT_LOW,
    WIDENED,
    WITH_HIGH,
    Kernel,
    check_integers,
)
from kvmviz.kvm.kernel import find as find_kernel
from kvmviz.kvm.page import Step, Vcpu, play
from kvmviz.layout import Layout
from kvmviz.rules import up
from kvmviz.slot import Slot, Source
from kvmviz.verdict import Verdict, compare, judge

if TYPE_CHECKING:
    from typing_extensions import Buffer


HANDLED = (0x30, 0x32, 0x34, 0x3C)
"""The exception classes that QEMU handles on a debug exit: breakpoint, step, watchpoint, BRK."""

ARM64 = ("aarch64", "aarch64_be")


Check = Literal["return", "reason", "flag"]
"""What a program may look at before it takes a return of KVM_RUN for a debug exit: that the ioctl
returned 0, that exit_reason is KVM_EXIT_DEBUG, that the flag is set."""


@dataclass(frozen=True)
class Vmm:
    """A userspace program: the struct it was built with, and when it takes hsr_high.

    ``title`` says in a few words what it reads, ``phrase`` what kind of VMM it is. ``checks`` must
    all hold for it to take a return of KVM_RUN for a debug exit. It takes far where the ESR that
    it read is a watchpoint's, or, if ``trusts_far``, on every debug exit.

    Raises :class:`KvmvizError` for a struct without hsr, and for unknown checks.
    """

    name: str
    title: str
    phrase: str
    debug: Struct
    needs_flag: bool = False
    checks: tuple[Check, ...] = ("return", "reason")
    trusts_far: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.debug, Struct) or "hsr" not in self.debug.names():
            raise KvmvizError(f"VMM {self.name}: it needs a struct with a member hsr")
        checks, legal = self.checks, get_args(Check)
        if not isinstance(checks, tuple) or not set(checks) <= set(legal):
            raise KvmvizError(f"VMM {self.name}: checks {checks!r}; legal is a tuple of {legal}")

    def takes(self, flag: bool) -> tuple[str, ...]:
        """The members that it combines into an ESR, ``flag`` being what it finds in run->flags."""
        names = tuple(name for name in self.debug.names() if name in ESR_BIT)
        return names if flag or not self.needs_flag else ("hsr",)


VMMS: Mapping[str, Vmm] = MappingProxyType(
    {
        row.name: row
        for row in (
            Vmm("old", "u32 hsr", "built before the change", OLD),
            Vmm("u64", "u64 hsr", "built with a widened hsr", WIDENED),
            Vmm("flag", "hsr_high if flag set", "that checks the flag", WITH_HIGH, needs_flag=True),
            Vmm("blind", "hsr_high, flag ignored", "that ignores the flag", WITH_HIGH),
        )
    }
)  # fmt: skip
"""The four programs, by name. All four look at what KVM_RUN returned and at exit_reason first."""

READERS: Mapping[str, Vmm] = MappingProxyType(
    {
        **VMMS,
        **{
            row.name: row
            for row in (
                Vmm(
                    "flag_only", "debug exit if flag set", "that looks at the flag alone",
                    WITH_HIGH, True, ("flag",),
                ),
                Vmm(
                    "no_reason", "exit_reason forgotten", "that forgets to look at exit_reason",
                    WITH_HIGH, True, ("return",),
                ),
                Vmm(
                    "no_return", "-EINTR forgotten", "that forgets what KVM_RUN returned",
                    WITH_HIGH, True, ("reason",),
                ),
                Vmm(
                    "no_ec", "far without EC", "that takes far on every debug exit",
                    WITH_HIGH, True, trusts_far=True,
                ),
            )
        },
    }
)  # fmt: skip
"""The programs that a page's history is read by, by name: :data:`VMMS`, of which ``flag`` does all
as it should, and four that leave out a check. See :mod:`kvmviz.kvm.program`."""


Bits = tuple[int, int]
"""A range of bits of ESR_EL2: the highest and the lowest."""


@dataclass(frozen=True)
class Taken:
    """Bytes ``first`` to ``last``, which a program takes for bits ``wanted`` of ESR_EL2.

    ``found`` are the bits that lie there, None where the kernel put no bits of ESR; ``source``
    is what it did put there (in a run of bytes: in the first), None where it wrote nothing.
    """

    first: int
    last: int
    wanted: Bits
    found: Bits | None
    source: Source | None

    @property
    def right(self) -> bool:
        """These bytes hold what the program takes them for."""
        return self.found == self.wanted


@dataclass(frozen=True, repr=False)
class Reading(Twin):
    """What one program makes of the struct as one kernel wrote it.

    ``flag`` is what it finds in bit 0 of run->flags, ``beyond`` the byte that the memory behind the
    struct holds. ``is_dumped``: the bytes are a real kernel's.
    """

    kernel: Kernel
    vmm: Vmm
    image: Image
    esr: int
    flag: bool
    beyond: int = 0
    is_dumped: bool = False

    @cached_property
    def taken(self) -> tuple[Taken, ...]:
        """Every byte that the program reads for ESR, in order of offset."""
        layout = self.vmm.debug.layout(self.image.layout.abi)
        names = self.vmm.takes(self.flag)
        rows = []
        for offset, holders in enumerate(layout.holders):
            source = self.image.sources[offset] if offset < len(self.image) else None
            rows += [
                Taken(offset, offset, bits, _esr_bits(source), source)
                for wanted in holders
                if wanted.slot.path in names and (bits := _esr_bits(wanted))
            ]
        return tuple(rows)

    @cached_property
    def runs(self) -> tuple[Taken, ...]:
        """The same with neighbours joined where one member's bytes are taken for another's."""
        joined: list[Taken] = []
        for row in self.taken:
            last = joined[-1] if joined else None
            if last and _slot(last) == _slot(row) and last.wanted[1] // 32 == row.wanted[1] // 32:
                found = last.found and row.found and _span(last.found, row.found)
                wanted = _span(last.wanted, row.wanted)
                joined[-1] = Taken(last.first, row.last, wanted, found, last.source)
            else:
                joined.append(row)
        return tuple(joined)

    @property
    def value(self) -> int:
        """The ESR that the program puts together."""
        data = bytes(self.image)
        held = ((data[row.first : row.last + 1] or [self.beyond])[0] for row in self.taken)
        return sum(byte << row.wanted[1] for byte, row in zip(held, self.taken, strict=True))

    @property
    def bits(self) -> int:
        """How many bits of ESR_EL2 the program claims to know."""
        return 8 * len(self.taken)

    @property
    def right(self) -> bool:
        """Every byte that it takes holds the bits of ESR that it takes it for."""
        return all(row.right for row in self.taken)

    @property
    def writes_far(self) -> bool:
        """This exit wrote far: a debug exit does for watchpoints only."""
        return any(source and source.slot.path == "far" for source in self.image.sources)

    @property
    def low_right(self) -> bool:
        """What it takes for bits 31:0, EC among them, are bits 31:0."""
        return all(row.right for row in self.taken if row.wanted[1] < 32)

    @property
    def verdict(self) -> Verdict:
        """What the program gets of each member of the struct that it was built with."""
        return compare(self.image.layout, self.vmm.debug.layout(self.image.layout.abi))

    @property
    def lost_far(self) -> tuple[int, ...]:
        """The bytes that the program takes for far, if they are not what the kernel has there."""
        if self.verdict.fields.get("far", "intact") == "intact":
            return ()
        far = next(slot for slot in self.verdict.reader.slots if slot.path == "far")
        return tuple(range(far.offset, far.offset + far.size))

    @property
    def sound(self) -> bool:
        """The program gets ESR and far right."""
        return self.right and not self.lost_far

    @property
    def effect(self) -> str:
        """What comes of it, in a sentence or two."""
        if not self.lost_far:
            return self._of_esr()
        place = span(self.lost_far[0], self.lost_far[-1])
        # As a VMM does: it looks at far on a watchpoint.
        takes = "takes" if Esr(self.value).ec == WATCHPOINT_LOW else "would take"
        return f"{self._of_esr()} It {takes} {place} for far, which is not what lies there."

    def _of_esr(self) -> str:
        order = self.image.layout.abi.byte_order
        who = f"A {order}-endian VMM {self.vmm.phrase}"
        seen, true = Esr(self.value), Esr(self.esr)
        if self.right:
            if self.bits == 64:
                return f"{who} reads all 64 bits of ESR_EL2: {true.name}."
            more = "; with no flag it knows bits 63:32 to be unknown" if self.vmm.needs_flag else ""
            return f"{who} reads ESR bits 31:0: {true.name}{more}."
        takes = " and ".join(_told(run) for run in self.runs if not run.right)
        if seen.ec == true.ec:
            ec = "EC is right, bits 63:32 are not ESR's" if self.low_right else "EC fits by chance"
            return f"{who} takes {takes}; {ec}."
        if seen.ec in HANDLED:
            return (
                f"{who} takes {takes}, and takes this exit ({true.name}) for another: {seen.name}."
            )
        return (
            f"{who} takes {takes}, and EC {seen.ec:#04x} for an unhandled exit"
            f"{'; QEMU would re-inject it into the guest' if self.vmm.name == 'old' else ''}."
        )


def _slot(row: Taken) -> Slot | None:
    return row.source and row.source.slot


def _span(one: Bits, other: Bits) -> Bits:
    return max(one[0], other[0]), min(one[1], other[1])


def _esr_bits(source: Source | None) -> Bits | None:
    """The bits of ESR_EL2 that a byte of hsr or hsr_high holds."""
    if source is None or source.slot.path not in ESR_BIT:
        return None
    start = ESR_BIT[source.slot.path]
    # A member that is wider than its half of the register holds zeros there.
    return (source.high + start, source.low + start) if source.low + start < 64 else None


def _told(run: Taken) -> str:
    wanted = f"for bits {run.wanted[0]}:{run.wanted[1]}"
    if run.found:
        return f"ESR bits {run.found[0]}:{run.found[1]} {wanted}"
    if run.source:
        return f"bytes of {run.source.slot.path} {wanted}"
    return f"{span(run.first, run.last)}, which this exit does not write, {wanted}"


@dataclass(frozen=True, repr=False)
class Matrix(Twin):
    """Every kernel with every program, in both byte orders of one family of ABIs."""

    readings: tuple[Reading, ...]


def read(
    kernel: str | Kernel,
    vmm: str | Vmm,
    abi: str | Abi,
    esr: int,
    far: int | None = None,
    fill: int | Buffer = 0,
) -> Reading:
    """One debug exit, written by a kernel and read by a program; see :meth:`Kernel.debug_exit`."""
    writer, reader = find_kernel(kernel), find(vmm)
    image = writer.debug_exit(abi, esr, far, fill)
    beyond = fill if isinstance(fill, int) else 0
    return Reading(writer, reader, image, esr, writer.sets_flag, beyond)


def matrix(
    esr: int, far: int | None = None, fill: int = 0, abis: Sequence[str | Abi] = ARM64
) -> Matrix:
    """Four kernels by four programs, under each of ``abis``: by default arm64 in both orders.

    Raises :class:`KvmvizError` for no ABI at all, and as :func:`read` does.
    """
    if not abis:
        raise KvmvizError("a matrix needs at least one ABI")
    return Matrix(
        tuple(
            read(kernel, vmm, abi, esr, far, fill)
            for abi in abis
            for kernel in KERNELS.values()
            for vmm in VMMS.values()
        )
    )


def find(vmm: str | Vmm, among: Mapping[str, Vmm] = VMMS) -> Vmm:
    """The program itself, or the one of that name; :class:`KvmvizError` if there is none."""
    if isinstance(vmm, Vmm):
        return vmm
    try:
        return among[vmm]
    except (KeyError, TypeError):
        raise KvmvizError(f"unknown VMM {vmm!r}; known are {', '.join(among)}") from None


@dataclass(frozen=True)
class Fooled:
    """A byte of the page that a program took for what it is not.

    ``taken_for`` is that, in words: ``ESR[31:0]``, ``ESR[63:32]``, ``far``, ``this run's
    exit_reason``, ``this exit's flag``, ``the sign of a debug exit``. ``source`` is who wrote the
    byte last and what it holds, None where nobody has since the page was zeroed. ``stale``: the
    step that the program looks at did not write it. A byte that is not stale holds other bits than
    those that it was taken for.
    """

    offset: int
    taken_for: str
    source: Source | None
    stale: bool


@dataclass(frozen=True, repr=False)
class Conclusion(Twin):
    """What one program makes of the page at one step.

    ``looks``: KVM_RUN has returned; after a write by userspace there is nothing to conclude.
    ``happened``: this step did end with a debug exit. ``takes``: the program takes it for one,
    and reads ``value`` for ESR_EL2 (``bits`` of it, 32 or 64) and ``far``, each None if not read.
    ``fooled`` are the bytes that misled it, in order of offset; ``right`` that there are none.
    """

    step: Step
    vmm: Vmm

    @property
    def looks(self) -> bool:
        """The step is a KVM_RUN."""
        return self.step.is_run

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
        return self.looks and all(found[check] for check in self.vmm.checks)

    @cached_property
    def reading(self) -> Reading | None:
        """The debug struct as the program reads it; None if it takes this for no debug exit."""
        if not self.takes:
            return None
        kernel, page = self.step.kernel, self.step.page
        layout = kernel.debug.layout(page.layout.abi)
        data = page.data[self._union : self._union + layout.size]
        image = Image(layout, data, (None,) * layout.size)
        esr = 0
        if isinstance(self.step.exit, DebugExit):
            esr = self.step.exit.esr
            image = kernel.debug_exit(layout.abi, esr, self.step.exit.far, data)
        return Reading(kernel, self.vmm, image, esr, self.flag)

    @property
    def value(self) -> int | None:
        """What it reads for ESR_EL2."""
        return self.reading.value if self.reading else None

    @property
    def bits(self) -> int | None:
        """How many bits of ESR_EL2 it claims to know."""
        return self.reading.bits if self.reading else None

    @property
    def far(self) -> int | None:
        """What it takes for the address of a watchpoint."""
        if self.value is None or not self._far:
            return None
        if not (self.vmm.trusts_far or Esr(self.value).ec == WATCHPOINT_LOW):
            return None
        data = self.step.page.data[self._union : self._union + self._debug.size]
        found: int = self._debug.unpack(data)["far"]
        return found & (1 << 64) - 1  # also where a program's far is signed

    @cached_property
    def fooled(self) -> tuple[Fooled, ...]:
        """The bytes that misled it, in order of offset; of some the value may fit by chance."""
        return tuple(sorted(set(self._fooled()), key=lambda row: (row.offset, row.taken_for)))

    @property
    def right(self) -> bool:
        """It sees a debug exit where there is one alone, and reads bytes that are what it thinks.

        A program that takes bits 31:0 alone, or knows without the flag that it has no others, is
        right.
        """
        return not self.fooled

    def _fooled(self) -> Iterator[Fooled]:
        if not self.looks or not (self.takes or self.happened):
            return
        layout = self.step.page.layout
        if self.reading is None:  # missed: of a program's checks the flag alone can fail here
            yield self._byte(self._flag_at, "the sign of a debug exit")
            return
        if not self.happened and "reason" in self.vmm.checks:
            start = layout.offsets["exit_reason"]
            for at in range(start, start + 4):
                yield self._byte(at, "this run's exit_reason")
        for row in self.reading.taken:
            if not row.right or not self.happened:
                half = "ESR[31:0]" if row.wanted[0] < 32 else "ESR[63:32]"
                yield self._byte(self._union + row.first, half)
        own = self.step.state(self._flag_at) == "fresh"
        if "flag" in self.vmm.checks:
            if not (self.happened and own):
                yield self._byte(self._flag_at, "the sign of a debug exit")
        elif self.flag and self.vmm.needs_flag and not own:
            yield self._byte(self._flag_at, "this exit's flag")
        if self.far is not None:
            yield from self._far_fooled()

    def _far_fooled(self) -> Iterator[Fooled]:
        assert self.reading is not None
        wanted = self._debug.holders
        found = self.reading.image.sources
        for at in self._far:
            offset = at - self._union
            source = found[offset] if offset < len(found) else None
            written = (source,) if source else ()
            if all(judge(one, written)[0] != "intact" for one in wanted[offset]):
                yield self._byte(at, "far")

    @property
    def _far(self) -> range:
        """The page's bytes that the program knows as far."""
        if "far" not in self._debug.named:
            return range(0)
        field, start = self._debug.named["far"], self._union
        return range(start + field.offset, start + up(field.stop, 8) // 8)

    @cached_property
    def _debug(self) -> Layout:
        """The struct that the program was built with."""
        layout = self.vmm.debug.layout(self.step.page.layout.abi)
        check_integers(f"VMM {self.vmm.name}", layout)
        return layout

    @property
    def _union(self) -> int:
        return self.step.page.layout.offsets["debug"]

    @property
    def _flag_at(self) -> int:
        """The byte of flags that holds the flag: the least significant."""
        start = self.step.page.layout.offsets["flags"]
        return start if self.step.page.layout.abi.byte_order == "little" else start + 1

    def _byte(self, at: int, taken_for: str) -> Fooled:
        stale = self.step.state(at) != "fresh"
        return Fooled(at, taken_for, self.step.page.sources[at], stale)


def conclude(step: Step, vmm: str | Vmm) -> Conclusion:
    """What a program (a name of :data:`READERS`, or one's own) makes of one step."""
    return Conclusion(step, find(vmm, READERS))


def conclusions(vcpu: Vcpu, vmm: str | Vmm) -> tuple[Conclusion, ...]:
    """What a program makes of every step of a history, in order."""
    return tuple(conclude(step, vmm) for step in vcpu.history)


Before = Literal["fresh", "after MMIO"]
BEFORE: tuple[Before, ...] = ("fresh", "after MMIO")
"""What the page held before the debug exit: zeros, or the address of an MMIO exit."""

ADDRESS = 0x80_0000_1000
"""Where that MMIO exit was: an address both halves of which are not zero."""


@dataclass(frozen=True)
class Cell:
    """One kernel with one program: a debug exit, then an MMIO exit, on the same page.

    ``debug`` is what the program concludes at the debug exit, ``later`` at the MMIO exit after it.
    """

    before: Before
    vcpu: Vcpu
    debug: Conclusion
    later: Conclusion

    @property
    def kernel(self) -> Kernel:
        """The kernel that wrote the page."""
        return self.vcpu.kernel

    @property
    def vmm(self) -> Vmm:
        """The program that reads it."""
        return self.debug.vmm

    @property
    def hole(self) -> int:
        """What lies where hsr_high is, or would be, at the debug exit: four bytes as a u32."""
        page, start = self.debug.step.page, self._hole_at
        return int.from_bytes(page.data[start : start + 4], page.layout.abi.byte_order)

    @property
    def hole_source(self) -> Source | None:
        """Who wrote the first of these bytes; None where nobody has."""
        return self.debug.step.page.sources[self._hole_at]

    @property
    def _hole_at(self) -> int:
        layout = self.debug.step.page.layout
        return layout.offsets["debug"] + WITH_HIGH.layout(layout.abi).offsets["hsr_high"]

    @property
    def knows(self) -> int:
        """How many bits of ESR_EL2 the program gets, and rightly takes for valid: 0, 32 or 64."""
        return self.debug.bits or 0 if self.debug.right else 0

    @property
    def stale_flag(self) -> bool:
        """The flag is still set at the exit after, which is no debug exit."""
        return self.later.flag

    @property
    def right(self) -> bool:
        """The program is right at both exits."""
        return self.debug.right and self.later.right


@dataclass(frozen=True, repr=False)
class Handshake(Twin):
    """Every kernel with every program, on a fresh page and after MMIO, on each ABI."""

    cells: tuple[Cell, ...]


def handshake(
    esr: int = 0x00A5C3E1_F2001234,
    kernels: Sequence[str | Kernel] = ("old", "v2", "merged"),
    vmms: Sequence[str | Vmm] = ("old", "flag", "blind"),
    abis: Sequence[str | Abi] = ARM64,
) -> Handshake:
    """The matrix: by default three kernels, three programs, both byte orders of arm64.

    The programs are old userspace, new userspace that keeps to the handshake, and new userspace
    that does not.
    The default ``esr`` is a BRK whose bits 63:32 are made up, since they are zero today. Raises
    :class:`KvmvizError` for unknown names, and for nothing to show.
    """
    if not (kernels and vmms and abis):
        raise KvmvizError("a handshake needs a kernel, a program and an ABI at least")
    return Handshake(
        tuple(
            _cell(before, kernel, vmm, abi, esr)
            for abi in abis
            for before in BEFORE
            for kernel in kernels
            for vmm in vmms
        )
    )


def _cell(before: Before, kernel: str | Kernel, vmm: str | Vmm, abi: str | Abi, esr: int) -> Cell:
    mmio = MmioExit(ADDRESS, 4, b"\x5a\x5a\x00\x00")
    events: list[Event] = [DebugExit(esr), mmio]
    vcpu = play(kernel, abi, events if before == "fresh" else [mmio, *events])
    debug, later = vcpu.history[-2:]
    return Cell(before, vcpu, conclude(debug, vmm), conclude(later, vmm))

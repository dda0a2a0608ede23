"""Userspace's side: the programs that read the struct, and what each of them gets.

Whether a program is right is decided by which bits of ESR_EL2 lie in the bytes that it takes,
never by the value: a byte that nobody wrote is wrong also on the day when it happens to fit.
What far is worth, ESR says: the kernel writes it for watchpoints alone, and there FnV (bit 10) says
that it is not valid, FnP (bit 15) that it only names the granule (Arm ARM, ISS encoding for an
exception from a Watchpoint exception).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from numbers import Integral
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeVar, get_args

from kvmviz import _base
from kvmviz import abi as abis_
from kvmviz._base import KvmvizError, shown, span
from kvmviz.abi import Abi
from kvmviz.ctype import Struct
from kvmviz.esr import Esr
from kvmviz.image import Image, byte_rows
from kvmviz.kvm import words
from kvmviz.kvm.exits import DebugExit, Event, MmioExit
from kvmviz.kvm.kernel import (
    ESR_BIT,
    EXIT_REASONS,
    FLAG_VALUE,
    KERNELS,
    MERGED,
    OLD,
    WATCHPOINT_LOW,
    WIDENED,
    Kernel,
    check_integers,
)
from kvmviz.kvm.kernel import find as find_kernel
from kvmviz.kvm.page import Step, Vcpu, play
from kvmviz.layout import Layout
from kvmviz.rules import up
from kvmviz.slot import Slot, Source
from kvmviz.text import table, where
from kvmviz.verdict import Verdict, compare, judge

if TYPE_CHECKING:
    from typing_extensions import Buffer


ARM64 = ("aarch64", "aarch64_be")
Check = Literal["return", "reason", "flag"]
"""What a program may look at before it takes a return of KVM_RUN for a debug exit: that the ioctl
returned 0, that exit_reason is KVM_EXIT_DEBUG, that the flag is set."""


@dataclass(frozen=True)
class Vmm:
    """A userspace program: the struct it was built with, and when it takes hsr_high.

    ``name`` says what it reads, ``phrase`` what kind of VMM it is. ``checks`` must
    all hold for it to take a return of KVM_RUN for a debug exit. It takes far where the ESR that
    it read is a watchpoint's with FnV 0, or, if ``trusts_far``, on every debug exit.

    Raises :class:`KvmvizError` for a struct without hsr, and for unknown checks.
    """

    name: str
    phrase: str
    debug: Struct
    needs_flag: bool = False
    checks: tuple[Check, ...] = ("return", "reason")
    trusts_far: bool = False

    def __post_init__(self) -> None:
        for text in (self.name, self.phrase):
            if not isinstance(text, str):
                raise KvmvizError(f"VMM {shown(self.name)}: {shown(text)} is no text")
        who = f"VMM {shown(self.name)[1:-1]}"
        if not isinstance(self.debug, Struct) or "hsr" not in self.debug.names():
            raise KvmvizError(f"{who}: it needs a struct with a member hsr")
        checks, legal = self.checks, get_args(Check)
        if not isinstance(checks, tuple) or not all(check in legal for check in checks):
            raise KvmvizError(f"{who}: checks {shown(checks)}; legal is a tuple of {legal}")

    def takes(self, flag: bool) -> tuple[str, ...]:
        """The members that it combines into an ESR, ``flag`` being what it finds in run->flags."""
        names = tuple(name for name in self.debug.names() if name in ESR_BIT)
        return names if flag or not self.needs_flag else ("hsr",)

    def layout(self, abi: str | Abi) -> Layout:
        """The struct as this program has it.

        Raises :class:`KvmvizError` if ESR or FAR would be read out of what is no integer or a
        bit-field, and if hsr does not reach up to EC.
        """
        layout = self.debug.layout(abi)
        check_integers(f"VMM {self.name}", layout)
        for name in (*ESR_BIT, "far"):
            if name in layout.named and layout.named[name].bits is not None:
                raise KvmvizError(f"VMM {self.name}: {self.debug}, {name} is a bit-field")
        if (bits := layout.named["hsr"].extent) < 32:
            raise KvmvizError(
                f"VMM {self.name}: {self.debug}, hsr has {bits} bits; EC is ESR[31:26]: legal are "
                "32 and more"
            )
        return layout


def _by_name(*rows: Vmm) -> Mapping[str, Vmm]:
    return MappingProxyType({row.name: row for row in rows})


VMMS = _by_name(
    Vmm("u32 hsr", "built before the change", OLD),
    Vmm("u64 hsr", "built with a widened hsr", WIDENED),
    Vmm("hsr_high if flag set", "that checks the flag", MERGED, True),
    Vmm("hsr_high, flag ignored", "that ignores the flag", MERGED),
)
"""The four programs, by name. All four look at what KVM_RUN returned and at exit_reason first."""

READERS = _by_name(
    *VMMS.values(),
    Vmm("debug exit if flag set", "that looks at the flag alone", MERGED, True, ("flag",)),
    Vmm("exit_reason forgotten", "that forgets to look at exit_reason", MERGED, True, ("return",)),
    Vmm("-EINTR forgotten", "that forgets what KVM_RUN returned", MERGED, True, ("reason",)),
    Vmm("far without EC", "that takes far on every debug exit", MERGED, True, trusts_far=True),
)
"""The programs that a page's history is read by, by name: :data:`VMMS`, of which
``hsr_high if flag set`` does all as it should, and four that leave out a check."""


Bits = tuple[int, int]
"""A range of bits of ESR_EL2: the highest and the lowest."""

Far = Literal["address", "granule", "not valid", "not written"]
"""What far is worth on a debug exit: the data address, or just some address in its granule; not
valid though it was written; or left as it was, on all but watchpoints."""


def far_by(esr: int) -> Far:
    """What far is worth on a debug exit with that ESR_EL2, of which bits 31:0 are enough."""
    if Esr(esr).ec != WATCHPOINT_LOW:
        return "not written"
    if esr >> FNV & 1:
        return "not valid"
    return "granule" if esr >> FNP & 1 else "address"


FNV, FNP = 10, 15
"""Bits of a watchpoint's ESR_EL2: FAR not valid; FAR not precise."""


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


@dataclass(frozen=True)
class Reading:
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
        layout = self.vmm.layout(self.image.layout.abi)
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
        groups = groupby(self.taken, lambda row: (_slot(row), row.wanted[1] // 32))
        return tuple(_joined(list(rows)) for _, rows in groups)

    @property
    def value(self) -> int:
        """The ESR that the program puts together."""
        data = bytes(self.image)
        value = 0
        for row in self.taken:  # as C combines them, also where two members have the same bits
            byte = data[row.first] if row.first < len(data) else self.beyond
            value |= byte << row.wanted[1]
        return value

    @property
    def bits(self) -> int:
        """How many bits of ESR_EL2 the program claims to know."""
        return 1 + max(row.wanted[0] for row in self.taken)

    @property
    def right(self) -> bool:
        """Every byte that it takes holds the bits of ESR that it takes it for."""
        return all(row.right for row in self.taken)

    @property
    def writes_far(self) -> bool:
        """This exit wrote far: a debug exit does for watchpoints only."""
        return any(source and source.slot.path == "far" for source in self.image.sources)

    @property
    def far_valid(self) -> Far:
        """What far is worth on this exit, whatever the program makes of it."""
        return far_by(self.esr)

    @property
    def low_right(self) -> bool:
        """What it takes for bits 31:0, EC among them, are bits 31:0."""
        return all(row.right for row in self.taken if row.wanted[1] < 32)

    @property
    def verdict(self) -> Verdict:
        """What the program gets of each member of the struct that it was built with."""
        return compare(self.image.layout, self.vmm.layout(self.image.layout.abi))

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
        return words.effect(self)

    def __repr__(self) -> str:
        flag = f", flag {'set' if self.flag else 'not set'}" if self.vmm.needs_flag else ""
        kernel, layout = self.kernel, self.image.layout
        lines = [
            f"{where(layout)} · kernel: {kernel.name}, {kernel.when}{flag} · VMM: {self.vmm.name}",
            *map("  {}".format, words.remarks(self)),
            byte_rows(bytes(self.image), self.image.sources, layout),
        ]
        for run in self.runs:
            found = f"ESR[{run.found[0]}:{run.found[1]}]" if run.found else "no ESR bits"
            wanted = f"ESR[{run.wanted[0]}:{run.wanted[1]}]"
            mark = "right" if run.right else "WRONG"
            past = f" (past the struct: {self.beyond:#04x})" if run.last >= len(self.image) else ""
            place = f"{span(run.first, run.last)}{past}"
            lines.append(f"  {place}: taken for {wanted}, hold {found}: {mark}")
        if far := self.lost_far:
            lines.append(f"  {span(far[0], far[-1])}: taken for far, hold something else: WRONG")
        kernel_held = words.held(self.esr)
        return "\n".join(
            (
                *lines,
                f"  {words.headline(self)} ({words.gist(self)}); the kernel held {kernel_held}",
                f"  {words.statuses(self)}",
                f"  {self.effect}",
            )
        )


def _slot(row: Taken) -> Slot | None:
    return row.source and row.source.slot


def _joined(rows: list[Taken]) -> Taken:
    """Neighbours as one run of bytes."""
    found = [row.found for row in rows if row.found]
    return Taken(
        rows[0].first,
        rows[-1].last,
        _hull([row.wanted for row in rows]),
        _hull(found) if len(found) == len(rows) else None,
        rows[0].source,
    )


def _hull(parts: list[Bits]) -> Bits:
    """All bits from the lowest to the highest."""
    return max(high for high, _ in parts), min(low for _, low in parts)


def _esr_bits(source: Source | None) -> Bits | None:
    """The bits of ESR_EL2 that a byte of hsr or hsr_high holds."""
    if source is None or source.slot.path not in ESR_BIT:
        return None
    start = ESR_BIT[source.slot.path]
    # A member that is wider than its half of the register holds zeros there.
    return (source.high + start, source.low + start) if source.low + start < 64 else None


@dataclass(frozen=True)
class Matrix:
    """Some kernels with some programs, on some ABIs: one debug exit each."""

    readings: tuple[Reading, ...]

    def __repr__(self) -> str:
        rows: list[tuple[str, ...]] = [
            ("ABI", "kernel", "VMM reads", "", "as ESR", "takes", "effect")
        ]
        for reading in self.readings:
            names = (reading.image.layout.abi.name, reading.kernel.name, reading.vmm.name)
            seen = (words.headline(reading)[0], words.hexa(reading), words.cause(reading))
            rows.append((*names, *seen, reading.effect))
        head = "\n".join(filter(None, (words.matrix_head(self), words.matrix_remark(self))))
        first = self.readings[0]
        old = words.old_held(first.esr, [reading.kernel for reading in self.readings])
        notes = map("  {}".format, [words.V2_NOTE, *old])
        return "\n".join((head, table(rows), *notes))


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
    reader.layout(abi)
    image = writer.debug_exit(abi, esr, far, fill)
    beyond = int(fill) if isinstance(fill, Integral) else 0
    return Reading(writer, reader, image, esr, writer.sets_flag, beyond)


def matrix(
    esr: int,
    far: int | None = None,
    fill: int = 0,
    abis: Iterable[str | Abi] = ARM64,
    kernels: Iterable[str | Kernel] = tuple(KERNELS),
    vmms: Iterable[str | Vmm] = tuple(VMMS),
) -> Matrix:
    """Four kernels by four programs, or others, under each of ``abis``: arm64 in both orders.

    Raises :class:`KvmvizError` for none at all, for two of one name, and as :func:`read` does.
    """
    rows = _several(kernels, find_kernel, "kernels"), _several(vmms, find, "VMMs")
    return Matrix(
        tuple(
            read(kernel, vmm, abi, esr, far, fill)
            for abi in _several(abis, abis_.find, "ABIs")
            for kernel in rows[0]
            for vmm in rows[1]
        )
    )


def find(vmm: str | Vmm, among: Mapping[str, Vmm] = VMMS) -> Vmm:
    """The program itself, or the one of that name; :class:`KvmvizError` if there is none."""
    return _base.find(among, vmm, "VMM")


Named = TypeVar("Named", Kernel, Vmm, Abi)


def _several(
    given: Iterable[str | Named], find: Callable[[str | Named], Named], what: str
) -> tuple[Named, ...]:
    """Some kernels, programs or ABIs, each found by name; each of them once, and one at least."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise KvmvizError(f"{what}: {shown(given)} is no list of them")
    rows: dict[str, Named] = {}
    for row in map(find, given):
        if row.name in rows:
            raise KvmvizError(
                f"{what}: {shown(row.name)} stands there twice; names tell them apart"
            )
        rows[row.name] = row
    if not rows:
        raise KvmvizError(f"{what}: none given; a table needs one at least")
    return tuple(rows.values())


@dataclass(frozen=True)
class Fooled:
    """A byte of the page that a program took for what it is not.

    ``taken_for`` is that, in words: ``ESR[31:0]``, ``ESR[63:32]``, ``far``, ``a valid far``,
    ``this run's exit_reason``, ``this exit's flag``, ``the sign of a debug exit``. ``source`` is
    who wrote the byte last and what it holds, None where nobody has since the page was zeroed.
    ``stale``: the step that the program looks at did not write it. A byte that is not stale holds
    other bits than those that it was taken for, or a far of which FnV says that it is not valid.
    """

    offset: int
    taken_for: str
    source: Source | None
    stale: bool


@dataclass(frozen=True)
class Conclusion:
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
        image = self.step.page.part(DebugExit.member, self.step.number)
        esr = self.step.exit.esr if isinstance(self.step.exit, DebugExit) else 0
        return Reading(self.step.kernel, self.vmm, image, esr, self.flag)

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
        """What it takes for the address of a watchpoint; see :attr:`far_valid`."""
        if self.value is None or not self._far:
            return None
        if not (self.vmm.trusts_far or self.far_valid in ("address", "granule")):
            return None
        data = self.step.page.data[self._union : self._union + self._debug.size]
        found: int = self._debug.unpack(data)["far"]
        return found & (1 << 64) - 1  # also where a program's far is signed

    @property
    def far_valid(self) -> Far | None:
        """What the ESR that it read says that far is worth; None if it read none."""
        return None if self.value is None else far_by(self.value)

    @cached_property
    def fooled(self) -> tuple[Fooled, ...]:
        """The bytes that misled it, in order of offset; of some the value may fit by chance."""
        return tuple(sorted(set(self._fooled()), key=lambda row: (row.offset, row.taken_for)))

    def __repr__(self) -> str:
        step, vmm = self.step, self.vmm
        mark = "✓" if self.right else "✗"
        return (
            f"step {step.number} · kernel: {step.kernel.name} · VMM: {vmm.name}\n"
            f"  {mark} {words.sentence(self)}"
        )

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
            elif self.reading.far_valid == "not valid":
                yield self._byte(at, "a valid far")

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
        return self.vmm.layout(self.step.page.layout.abi)

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
    if not isinstance(step, Step):
        raise KvmvizError(f"{shown(step)} is no step; legal are those of a Vcpu's history")
    reader = find(vmm, READERS)
    reader.layout(step.page.layout.abi)
    return Conclusion(step, reader)


def conclusions(vcpu: Vcpu, vmm: str | Vmm) -> tuple[Conclusion, ...]:
    """What a program makes of every step of a history, in order."""
    if not isinstance(vcpu, Vcpu):
        raise KvmvizError(f"{shown(vcpu)} is no Vcpu: it has no history")
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
        return layout.offsets["debug"] + MERGED.layout(layout.abi).offsets["hsr_high"]

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

    def _row(self) -> tuple[object, ...]:
        """Itself in words: a row of the matrix."""
        reading, flag = self.debug.reading, "flag still set" if self.stale_flag else "flag not set"
        of = f" of {self.debug.bits}" if reading and not self.debug.right else ""
        knows = 32 * reading.low_right if reading and of else self.knows
        if not self.stale_flag or self.later.right:
            seen = "sees no debug exit" if self.later.right else "takes it for a debug exit"
        else:
            seen = "fooled by it" if self.later.takes else "misses it"
        return (
            self.vcpu.page.layout.abi.name,
            self.before,
            self.kernel.name,
            f"{self.hole:#010x}",
            words.who(self.hole_source, self.debug.step.number),
            int(self.debug.flag),
            self.vmm.name,
            "✓" if self.right else "✗",
            words.hexa(reading) if reading else "not seen",
            f"{knows}{of} bits",
            f"{flag}, {seen}",
        )


@dataclass(frozen=True)
class Handshake:
    """Every kernel with every program, on a fresh page and after MMIO, on each ABI."""

    cells: tuple[Cell, ...]

    def __repr__(self) -> str:
        head = (
            "ABI", "page", "kernel", "hole", "from", "flag", "VMM", "", "as ESR", "knows",
            "at the MMIO exit after",
        )  # fmt: skip
        event = self.cells[0].debug.step.event
        esr = event.esr if isinstance(event, DebugExit) else 0
        note = (
            "hole: the four bytes after hsr at the debug exit, as a u32, and who wrote them; "
            "knows: how many bits of ESR_EL2 it gets right, of those that it takes for valid"
        )
        rows = table([head, *(cell._row() for cell in self.cells)])
        old = words.old_held(esr, [cell.kernel for cell in self.cells])
        lines = [
            f"{words.held(esr)}; computed, not dumped",
            rows,
            *map("  {}".format, [note, *old]),
        ]
        return "\n".join(lines)


def handshake(
    esr: int = 0x0000_0100_D200_0062,
    kernels: Iterable[str | Kernel] = ("old", "v2", "merged"),
    vmms: Iterable[str | Vmm] = (
        "u32 hsr",
        "hsr_high if flag set",
        "hsr_high, flag ignored",
    ),
    abis: Iterable[str | Abi] = ARM64,
    far: int = 0x4000_0800,
) -> Handshake:
    """The matrix: by default three kernels, three programs, both byte orders of arm64.

    The programs are old userspace, new userspace that keeps to the handshake, and new userspace
    that does not.
    The default ``esr`` is a watchpoint that a guarded-control-stack access has hit, the first debug
    exit whose upper half is not zero: the architecture's value, no dump's. ``far`` is written if
    ``esr`` is a watchpoint's. Raises :class:`KvmvizError` for unknown names, for two of one name,
    for nothing to show, and as :class:`~kvmviz.kvm.exits.DebugExit` does.
    """
    writers = _several(kernels, find_kernel, "kernels")
    readers = _several(vmms, lambda vmm: find(vmm, READERS), "VMMs")
    return Handshake(
        tuple(
            _cell(before, kernel, vmm, abi, DebugExit(esr, far))
            for abi in _several(abis, abis_.find, "ABIs")
            for before in BEFORE
            for kernel in writers
            for vmm in readers
        )
    )


def _cell(
    before: Before, kernel: str | Kernel, vmm: str | Vmm, abi: str | Abi, exit: DebugExit
) -> Cell:
    mmio = MmioExit(ADDRESS, 4, b"\x5a\x5a\x00\x00")
    events: list[Event] = [exit, mmio]
    vcpu = play(kernel, abi, events if before == "fresh" else [mmio, *events])
    debug, later = vcpu.history[-2:]
    return Cell(before, vcpu, conclude(debug, vmm), conclude(later, vmm))

"""Userspace's side: the programs that read the struct, and what each gets of one debug exit.

Whether a program is right is decided by which bits of ESR_EL2 lie in the bytes that it takes,
never by the value: a byte that nobody wrote is wrong also on the day when it happens to fit.
What far is worth, ESR says: the kernel writes it for watchpoints alone, and there FnV (bit 10) says
that it is not valid, FnP (bit 15) that it only names the granule (Arm ARM, ISS encoding for an
exception from a Watchpoint exception).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby, product
from numbers import Integral
from typing import TYPE_CHECKING, Literal, TypeVar, get_args

from kvmviz import _base
from kvmviz import abi as abis_
from kvmviz._base import KvmvizError, by_name, check_texts, listed, shown, span
from kvmviz.abi import Abi
from kvmviz.ctype import Struct
from kvmviz.esr import Esr
from kvmviz.image import Image, byte_rows
from kvmviz.kvm import words
from kvmviz.kvm.kernel import (
    ESR_BIT,
    KERNELS,
    MERGED,
    OLD,
    WATCHPOINT_LOW,
    WIDENED,
    Kernel,
    registers,
)
from kvmviz.kvm.kernel import find as find_kernel
from kvmviz.layout import Layout
from kvmviz.slot import Slot, Source
from kvmviz.text import table, where
from kvmviz.verdict import Verdict, compare

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

    Raises :class:`KvmvizError` for unknown checks, for a struct without hsr or whose hsr does not
    reach up to EC, and if ESR or FAR would be read out of what is no integer or a bit-field.
    """

    name: str
    phrase: str
    debug: Struct
    needs_flag: bool = False
    checks: tuple[Check, ...] = ("return", "reason")
    trusts_far: bool = False

    def __post_init__(self) -> None:
        who = check_texts("VMM", self.name, self.phrase)
        found = registers(who, self.debug)
        if "hsr" not in found:
            raise KvmvizError(f"{who}: it needs a struct with a member hsr")
        for name, field in found.items():
            if field.bits is not None:
                raise KvmvizError(f"{who}: {self.debug}, {name} is a bit-field")
        if (bits := found["hsr"].extent) < 32:
            raise KvmvizError(
                f"{who}: {self.debug}, hsr has {bits} bits; EC is ESR[31:26]: legal are 32 and more"
            )
        checks, legal = self.checks, get_args(Check)
        if not isinstance(checks, tuple) or not all(check in legal for check in checks):
            raise KvmvizError(f"{who}: checks {shown(checks)}; legal is a tuple of {legal}")

    def takes(self, flag: bool) -> tuple[str, ...]:
        """The members that it combines into an ESR, ``flag`` being what it finds in run->flags."""
        names = tuple(name for name in self.debug.names() if name in ESR_BIT)
        return names if flag or not self.needs_flag else ("hsr",)


VMMS = by_name(
    Vmm("u32 hsr", "built before the change", OLD),
    Vmm("u64 hsr", "built with a widened hsr", WIDENED),
    Vmm("hsr_high if flag set", "that checks the flag", MERGED, True),
    Vmm("hsr_high, flag ignored", "that ignores the flag", MERGED),
)
"""The four programs, by name. All four look at what KVM_RUN returned and at exit_reason first."""

READERS = by_name(
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
    fnv, fnp = esr >> 10 & 1, esr >> 15 & 1
    if Esr(esr).ec != WATCHPOINT_LOW:
        return "not written"
    return "not valid" if fnv else "granule" if fnp else "address"


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
        layout = self.struct
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

        def member(row: Taken) -> tuple[Slot | None, int]:
            return row.source and row.source.slot, row.wanted[1] // 32

        return tuple(_joined(list(rows)) for _, rows in groupby(self.taken, member))

    @property
    def struct(self) -> Layout:
        """The struct as the program has it."""
        return self.vmm.debug.layout(self.image.layout.abi)

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
        return compare(self.image.layout, self.struct)

    @property
    def far_at(self) -> range:
        """The bytes that the program takes for far."""
        found = [slot.offsets for slot in self.struct.slots if slot.path == "far"]
        return found[0] if found else range(0)

    @property
    def lost_far(self) -> tuple[int, ...]:
        """The same, if they are not what the kernel has there."""
        if self.verdict.fields.get("far", "intact") == "intact":
            return ()
        return tuple(self.far_at)

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
        held = words.held(self.esr)
        lines.append(f"  {words.headline(self)} ({words.gist(self)}); the kernel held {held}")
        return "\n".join((*lines, f"  {words.statuses(self)}", f"  {self.effect}"))


def _joined(rows: list[Taken]) -> Taken:
    """Neighbours as one run of bytes."""

    def hull(parts: list[Bits]) -> Bits:
        return max(high for high, _ in parts), min(low for _, low in parts)

    found = [row.found for row in rows if row.found]
    wanted = hull([row.wanted for row in rows])
    whole = hull(found) if len(found) == len(rows) else None
    return replace(rows[0], last=rows[-1].last, wanted=wanted, found=whole)


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
        rows = [("ABI", "kernel", "VMM reads", "", "as ESR", "takes", "effect")]
        for row in self.readings:
            names = (row.image.layout.abi.name, row.kernel.name, row.vmm.name)
            seen = (words.headline(row)[0], words.hexa(row), words.cause(row), row.effect)
            rows.append((*names, *seen))
        old = words.old_held(self.readings[0].esr, [row.kernel for row in self.readings])
        notes = map("  {}".format, [words.V2_NOTE, *old])
        heads = filter(None, (words.matrix_head(self), words.matrix_remark(self)))
        return "\n".join((*heads, table(rows), *notes))


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
    beyond = int(fill) if isinstance(fill, Integral) else 0
    return Reading(writer, reader, image, esr, bool(writer.flag), beyond)


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
    rows = product(
        several(abis, abis_.find, "ABIs"),
        several(kernels, find_kernel, "kernels"),
        several(vmms, find, "VMMs"),
    )
    return Matrix(tuple(read(kernel, vmm, abi, esr, far, fill) for abi, kernel, vmm in rows))


def find(vmm: str | Vmm, among: Mapping[str, Vmm] = VMMS) -> Vmm:
    """The program itself, or the one of that name; :class:`KvmvizError` if there is none."""
    return _base.find(among, vmm, "VMM")


Named = TypeVar("Named", Kernel, Vmm, Abi)


def several(
    given: Iterable[str | Named], find: Callable[[str | Named], Named], what: str
) -> tuple[Named, ...]:
    """Some kernels, programs or ABIs, each found by name; each of them once, and one at least."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise KvmvizError(f"{what}: {shown(given)} is no list of them")
    rows = tuple(map(find, given))
    names: list[str] = [row.name for row in rows]
    if not names or len({*names}) < len(names):
        told = listed(map(shown, names)) or "none given"
        raise KvmvizError(f"{what}: {told}; legal are one at least, and no name twice")
    return rows

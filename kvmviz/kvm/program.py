"""Userspace's side: the programs that read the struct, and what each gets of one debug exit.

Whether a program is right is decided by which bits of ESR_EL2 lie in the bytes that it takes,
never by the value: a byte that nobody wrote is wrong also on the day when it happens to fit.
What far is worth, ESR says: the kernel writes it for watchpoints alone, and there FnV (bit 10) says
that it is not valid, FnP (bit 15) that it only names the granule (Arm ARM, ISS encoding for an
exception from a Watchpoint exception).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, product
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal, get_args

from kvmviz._base import KvmvizError, Table, check_texts, listed, shown, span
from kvmviz.abi import ABIS, Abi
from kvmviz.ctype import Struct
from kvmviz.esr import Esr
from kvmviz.image import Image, byte_rows
from kvmviz.kvm.kernel import (
    ALL_KERNELS,
    ESR_BIT,
    MERGED,
    OLD,
    WATCHPOINT_LOW,
    WIDENED,
    Kernel,
    fit,
    registers,
)  # fmt: skip
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
            told = f"{self.debug}, hsr has {bits} bits; EC is ESR[31:26]"
            raise KvmvizError(f"{who}: {told}: legal are 32 and more")
        checks, legal = self.checks, get_args(Check)
        if not isinstance(checks, tuple) or not all(check in legal for check in checks):
            raise KvmvizError(f"{who}: checks {shown(checks)}; legal is a tuple of {legal}")

    def takes(self, flag: bool) -> tuple[str, ...]:
        """The members that it combines into an ESR, ``flag`` being what it finds in run->flags."""
        names = tuple(name for name in self.debug.names() if name in ESR_BIT)
        return names if flag or not self.needs_flag else ("hsr",)


VMMS = Table(
    "VMM",
    Vmm("u32 hsr", "built before the change", OLD),
    Vmm("u64 hsr", "built with a widened hsr", WIDENED),
    Vmm("hsr_high if flag set", "that checks the flag", MERGED, True),
    Vmm("hsr_high, flag ignored", "that ignores the flag", MERGED),
)
"""The four programs, by name. All four look at what KVM_RUN returned and at exit_reason first."""

READERS = Table(
    "VMM",
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

FAR_WORDS: Mapping[Far | None, str] = {
    "not valid": " but not valid (FnV is 1)",
    "granule": " but only names the granule (FnP is 1)",
}
"""What is to be said behind a far that is not the access's own address."""

HANDLED = (0x30, 0x32, 0x34, 0x3C)
"""The exception classes that QEMU handles on a debug exit: breakpoint, step, watchpoint, BRK."""


def far_by(esr: int) -> Far:
    """What far is worth on a debug exit with that ESR_EL2, of which bits 31:0 are enough."""
    fnv, fnp = esr >> 10 & 1, esr >> 15 & 1
    if Esr(esr).ec != WATCHPOINT_LOW:
        return "not written"
    return "not valid" if fnv else "granule" if fnp else "address"


def held(esr: int) -> str:
    """The ESR that the kernel held, and what its upper half is, if that is not zero."""
    upper = Esr(esr).upper
    how = ", as the architecture defines it" if upper and "synthetic" not in upper else ""
    return f"ESR_EL2 = {esr:#018x}{f', {upper}{how}' if upper else ''}"


UNKNOWN = "; with no flag it knows bits 63:32 to be unknown"
"""What is to be said of a program that looks at the flag and does not find it."""

OLD_HELD = "old is 6.1 without the patch: as released, up to v5.18, a vCPU held 32 bits of ESR"
"""What is to be said where an old kernel is shown with an upper half of ESR that is not zero."""


def caveats(esr: int, kernels: Iterable[Kernel], abis: Iterable[Abi] = ()) -> list[str]:
    """What is not as it is in the world: old kernels with an upper half, ABIs that are no arm64."""
    names = ", ".join(abi.name for abi in dict.fromkeys(abis) if abi.family != "arm64")
    told = [f"hypothetical: arm64's struct by the rules of {names}"] if names else []
    old = esr >> 32 and any(kernel.debug == OLD for kernel in kernels)
    return [*told, OLD_HELD] if old else told


@dataclass(frozen=True)
class Taken:
    """Bytes ``first`` to ``last``, which a ``member`` of a program takes for bits of ESR_EL2.

    ``wanted`` are those bits, ``found`` the bits that lie there, None where the kernel put none of
    ESR; ``source`` is what it did put into the first byte, None where it wrote nothing. ``right``:
    every byte holds what the program takes it for.
    """

    first: int
    last: int
    member: Slot
    wanted: Bits
    found: Bits | None
    source: Source | None
    right: bool

    @property
    def words(self) -> str:
        """What is taken for what."""
        wanted = f"for bits {self.wanted[0]}:{self.wanted[1]}"
        if self.found:
            order = ", in the other byte order," if self.found == self.wanted else ""
            return f"ESR bits {self.found[0]}:{self.found[1]}{order} {wanted}"
        if self.source:
            return f"bytes of {self.source.slot.path} {wanted}"
        return f"{span(self.first, self.last)}, which this exit does not write, {wanted}"


@dataclass(frozen=True)
class Reading:
    """What one program makes of the struct as one kernel wrote it.

    ``flag`` is what it finds in bit 0 of run->flags, ``beyond`` the memory behind the kernel's
    struct, zeros from its end on. ``is_dumped``: the bytes are a real kernel's. What does not fit
    the exit union raises :class:`KvmvizError`.
    """

    kernel: Kernel
    vmm: Vmm
    image: Image
    esr: int
    flag: bool
    beyond: bytes = b""
    is_dumped: bool = False

    @cached_property
    def runs(self) -> tuple[Taken, ...]:
        """What the program reads for ESR, in order: of one of its members, from one of another's.

        The halves of ESR are apart, also where one member holds both.
        """
        names, rows = self.vmm.takes(self.flag), []
        for at, holders in enumerate(self.struct.holders):
            source = self.image.sources[at] if at < len(self.image) else None
            for wanted in holders:
                if wanted.slot.path in names and (bits := _esr_bits(wanted)):
                    rows.append((at, wanted.slot, bits, source))
        runs = groupby(rows, lambda row: (row[1], row[2][1] // 32, row[3] and row[3].slot))
        return tuple(_taken(list(run)) for _, run in runs)

    @property
    def struct(self) -> Layout:
        """The struct as the program has it."""
        return fit(f"VMM {self.vmm.name}", self.vmm.debug, self.image.layout.abi)

    @property
    def memory(self) -> bytes:
        """What lies there, up to the end of the struct as the program has it."""
        size = self.struct.size
        return (self.image.data + self.beyond)[:size].ljust(size, b"\0")

    @cached_property
    def value(self) -> int:
        """The ESR that the program puts together."""
        value = 0
        for run in self.runs:  # as C combines them, also where two members have the same bits
            held = self.memory[run.first : run.last + 1]
            value |= int.from_bytes(held, run.member.order) << run.wanted[1]
        return value

    @property
    def bits(self) -> int:
        """How many bits of ESR_EL2 the program claims to know."""
        return 1 + max(run.wanted[0] for run in self.runs)

    @property
    def right(self) -> bool:
        """Every byte that it takes holds the bits of ESR that it takes it for."""
        return all(run.right for run in self.runs)

    @property
    def low_right(self) -> bool:
        """What it takes for bits 31:0, EC among them, are bits 31:0."""
        return all(run.right for run in self.runs if run.wanted[1] < 32)

    @cached_property
    def verdict(self) -> Verdict:
        """What the program gets of each member of the struct that it was built with."""
        return compare(self.image.layout, self.struct)

    @property
    def far_at(self) -> range:
        """The bytes that the program takes for far."""
        found = (slot.offsets for slot in self.struct.slots if slot.path == "far")
        return next(found, range(0))

    @cached_property
    def lost_far(self) -> range:
        """The same, if they are not what the kernel has there."""
        is_lost = self.verdict.fields.get("far", "intact") != "intact"
        return self.far_at if is_lost else range(0)

    @property
    def sound(self) -> bool:
        """The program gets ESR and far right."""
        return self.right and not self.lost_far

    @property
    def digits(self) -> str:
        """The value, with all the digits that the program claims to know."""
        return f"{self.value:#0{self.bits // 4 + 2}x}"

    @property
    def headline(self) -> str:
        """The verdict in a line: what the program reads, and what is wrong if that is not."""
        but = f", but far is {self.verdict.fields['far']}" if self.right and self.lost_far else ""
        return f"{'✓' if self.sound else '✗'} reads {self.digits}{but}"

    @property
    def gist(self) -> str:
        """What comes of it, in a few words."""
        seen, true = Esr(self.value), Esr(self.esr)
        if self.right:
            return f"EC {true.ec:#04x}: {true.kind}"
        if seen.ec == true.ec and self.low_right:
            return "EC is right, bits 63:32 are not ESR's"
        if seen.ec == true.ec:
            return "EC fits by chance"
        if seen.ec in HANDLED:
            return f"EC {seen.ec:#04x}: {true.kind} taken for {seen.kind}"
        return f"EC {seen.ec:#04x}: an unhandled exit"

    @property
    def cause(self) -> str:
        """What the program took for ESR, in a few words."""
        if self.lost_far:
            return "far is elsewhere" if self.right else "ESR, far wrong"
        if self.right:
            return f"ESR[{self.bits - 1}:0]"
        wrong = [run for run in self.runs if not run.right]
        if any(run.source is None for run in wrong):
            return "half unwritten"
        if any(run.found is None for run in wrong):
            return "another member"
        if all(run.found == run.wanted for run in wrong):
            return "bytes reversed"
        return "halves swapped" if len(wrong) > 1 else "the other half"

    @cached_property
    def effect(self) -> str:
        """What comes of it, in a sentence or two."""
        vmm, true = self.vmm, Esr(self.esr)
        told = f"A {self.image.layout.abi.byte_order}-endian VMM {vmm.phrase}"
        if not self.right:
            taken = " and ".join(run.words for run in self.runs if not run.right)
            told += f" takes {taken}; {self.gist}"
            if vmm.name == "u32 hsr" and "unhandled" in self.gist:
                told += "; QEMU would re-inject it into the guest"
            told += "."
        elif self.bits == 64:
            told += f" reads all 64 bits of ESR_EL2: {true.name}."
        else:
            told += f" reads ESR bits {self.bits - 1}:0: {true.name}"
            if vmm.needs_flag and not self.flag:
                told += UNKNOWN
            elif true.upper and "synthetic" not in true.upper:
                told += f"; it misses {true.upper.removesuffix(' set')}, in bits 63:32"
            told += "."
        if far := self.lost_far:  # as a VMM does: it looks at far on a watchpoint
            takes = "takes" if Esr(self.value).ec == WATCHPOINT_LOW else "would take"
            told += f" It {takes} {span(far[0], far[-1])} for far, which is not what lies there."
        return told

    @property
    def statuses(self) -> str:
        """What the program's own members are, by name."""
        fields: dict[str, str] = dict(self.verdict.fields)
        if fields.get("far") == "intact":
            written = any(one and one.slot.path == "far" for one in self.image.sources)
            more = FAR_WORDS.get(far_by(self.esr), "")
            fields["far"] = f"intact{more}" if written else "not written by this exit"
        return f"its members: {', '.join(f'{name} {told}' for name, told in fields.items())}"

    @property
    def caveats(self) -> list[str]:
        """What is not as it is in the world."""
        return caveats(self.esr, [self.kernel], [self.image.layout.abi])

    def __repr__(self) -> str:
        flag = f", flag {'set' if self.flag else 'not set'}" if self.vmm.needs_flag else ""
        kernel, image = self.kernel, self.image
        head = f"{where(image.layout)} · kernel: {kernel.name}, {kernel.when}{flag}"
        lines = [f"{head} · VMM: {self.vmm.name}", *map("  {}".format, self.caveats)]
        lines.append(byte_rows(image.data, image.sources, image.layout))
        for run in self.runs:
            found = f"ESR[{run.found[0]}:{run.found[1]}]" if run.found else "no ESR bits"
            beyond = self.memory[max(run.first, len(image)) : run.last + 1].hex(" ")
            past = f" (past the struct: {beyond})" if beyond else ""
            wanted = f"taken for ESR[{run.wanted[0]}:{run.wanted[1]}], hold {found}"
            mark = "right" if run.right else "WRONG"
            lines.append(f"  {span(run.first, run.last)}{past}: {wanted}: {mark}")
        if far := self.lost_far:
            lines.append(f"  {span(far[0], far[-1])}: taken for far, hold something else: WRONG")
        lines.append(f"  {self.headline} ({self.gist}); the kernel held {held(self.esr)}")
        return "\n".join((*lines, f"  {self.statuses}", f"  {self.effect}"))


def _taken(rows: Sequence[tuple[int, Slot, Bits, Source | None]]) -> Taken:
    """Neighbouring bytes as one run of them."""
    wanted, found = [row[2] for row in rows], [_esr_bits(row[3]) for row in rows]
    there = [bits for bits in found if bits]
    whole = _hull(there) if len(there) == len(rows) else None
    (first, member, _, source), (last, *_) = rows[0], rows[-1]
    return Taken(first, last, member, _hull(wanted), whole, source, found == wanted)


def _hull(parts: list[Bits]) -> Bits:
    return max(high for high, _ in parts), min(low for _, low in parts)


def _esr_bits(source: Source | None) -> Bits | None:
    """The bits of ESR_EL2 that a byte of hsr or hsr_high holds."""
    if source is None or source.slot.path not in ESR_BIT:
        return None
    start = ESR_BIT[source.slot.path]
    # A member that is wider than its half of the register holds zeros there.
    return (source.high + start, source.low + start) if source.low + start < 64 else None


V2_NOTE = (
    "v2 and merged differ only later: v2 leaves the flag set, so every exit after a debug exit "
    "still claims a valid hsr_high."
)


@dataclass(frozen=True)
class Matrix:
    """Some kernels with some programs, on some ABIs: one debug exit each."""

    readings: tuple[Reading, ...]

    def __post_init__(self) -> None:
        if not self.readings:
            raise KvmvizError("a matrix takes at least one reading")

    @property
    def head(self) -> str:
        """What was written, and on what."""
        first = self.readings[0]
        before = {first.image.data[at] for at in first.image.unwritten}
        fill = f" The memory held {before.pop():#04x} before." if len(before) == 1 else ""
        return f"{held(first.esr)}; computed, not dumped.{fill}"

    @property
    def notes(self) -> list[str]:
        """What is to be said of all of it."""
        rows = self.readings
        abis = (row.image.layout.abi for row in rows)
        return [V2_NOTE, *caveats(rows[0].esr, (row.kernel for row in rows), abis)]

    def __repr__(self) -> str:
        rows = [("ABI", "kernel", "VMM reads", "", "as ESR", "takes", "effect")]
        for row in self.readings:
            names = (row.image.layout.abi.name, row.kernel.name, row.vmm.name)
            rows.append((*names, row.headline[0], row.digits, row.cause, row.effect))
        return "\n".join((self.head, table(rows), *map("  {}".format, self.notes)))


def story(readings: Sequence[Reading]) -> tuple[str, str, str]:
    """Title, subtitle and closing note of the story that some readings of one exit tell."""
    if {(len(row.image), row.image.layout.offsets.get("far")) for row in readings} != {(16, 8)}:
        raise KvmvizError("a story takes readings of structs of 16 bytes, far at byte 8")
    esr, kernels = Esr(readings[0].esr), {reading.kernel.name for reading in readings}
    orders = sorted({row.image.layout.abi.byte_order for row in readings if not row.sound})
    who, verb = f"{' and '.join(orders)}-endian", "break" if len(orders) > 1 else "breaks"
    title = f"{who} {verb}" if orders else "nothing breaks"
    told = f": {who} VMMs that are wrong here would then read zero" if esr.high and orders else ""
    notes = [f"Bits 63:32 are normally zero on debug exits today{told}."]
    if len(kernels) == 1:
        title = f"The {readings[0].kernel.name} kernel: {title}"
    else:
        title = f"Same size, same offset of far, and {title}"
        notes.append("No size check would warn.")
    if all(reading.is_dumped for reading in readings):
        edits = " and ".join(name for name in ("old", "widened") if name in kernels)
        notes.append(f"Linux 6.1{f', edited for {edits}' if edits else ''}.")
    else:
        notes.append("Computed, not dumped.")
    if caveats(esr.value, [reading.kernel for reading in readings]):
        notes.append("As released, up to v5.18, an old kernel held 32 bits of ESR.")
    made_up = f"; {esr.upper}" if esr.upper else ""
    subtitle = f"ESR_EL2 = {esr.value:#018x} ({esr.kind}{made_up})"
    return title, f"{subtitle}. What a VMM {readings[0].vmm.phrase} reads:", " ".join(notes)


def read(
    kernel: str | Kernel,
    vmm: str | Vmm,
    abi: str | Abi,
    esr: int,
    far: int | None = None,
    fill: int | Buffer = 0,
) -> Reading:
    """One debug exit, written by a kernel and read by a program; see :meth:`Kernel.debug_exit`."""
    writer, reader = ALL_KERNELS.find(kernel), READERS.find(vmm)
    image = writer.debug_exit(abi, esr, far, fill)
    size = fit(f"VMM {reader.name}", reader.debug, abi).size
    beyond = bytes([int(fill)]) * size if isinstance(fill, Integral) else b""
    return Reading(writer, reader, image, esr, bool(writer.flag), beyond)


def matrix(
    esr: int,
    far: int | None = None,
    fill: int = 0,
    abis: Iterable[str | Abi] = ARM64,
    kernels: Iterable[str | Kernel] = ("old", "widened", "v2", "merged"),
    vmms: Iterable[str | Vmm] = tuple(VMMS),
) -> Matrix:
    """Four kernels by four programs, or others, under each of ``abis``: arm64 in both orders.

    Raises :class:`KvmvizError` for none at all, for two of one name, and as :func:`read` does.
    """
    rows = every(abis, kernels, vmms)
    return Matrix(tuple(read(kernel, vmm, abi, esr, far, fill) for abi, kernel, vmm in rows))


def every(
    abis: Iterable[str | Abi], kernels: Iterable[str | Kernel], vmms: Iterable[str | Vmm]
) -> Iterator[tuple[Abi, Kernel, Vmm]]:
    """Every ABI with every kernel and program; :class:`KvmvizError` for none, or one twice."""
    asked = (ABIS, abis), (ALL_KERNELS, kernels), (READERS, vmms)
    return product(*(_several(table, given) for table, given in asked))


def _several(table: Table[Any], given: Iterable[Any]) -> tuple[Any, ...]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise KvmvizError(f"{table.what}s: {shown(given)} is no list of them")
    rows = tuple(map(table.find, given))
    names = [row.name for row in rows]
    if not names or len({*names}) < len(names):
        told = listed(map(shown, names)) or "none given"
        raise KvmvizError(f"{table.what}s: {told}; legal are one at least, and no name twice")
    return rows

"""The kernel's side: struct kvm_run on arm64, and the kernels that write it.

old, v2 and merged are states of the patch (v1 had no flag and is left out); widened is the change
that its message argues against. Kernels differ in data alone: the struct of a debug exit, how the
flag is set, and where flags are cleared. Sources: Linux, ``include/uapi/linux/kvm.h``,
``arch/arm64/include/uapi/asm/kvm.h``, ``kvm_handle_guest_debug()`` in
``arch/arm64/kvm/handle_exit.c`` and ``kvm_arch_vcpu_ioctl_run()`` in ``arch/arm64/kvm/arm.c``;
patch v2 5/5 of the series "arm64: Treat ESR_ELx as a 64-bit register" and its review.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from kvmviz._base import KvmvizError, Table, check_texts, chosen, counted, shown, unsigned
from kvmviz.abi import Abi
from kvmviz.ctype import Scalar, Struct, Type, name_of
from kvmviz.esr import Esr
from kvmviz.image import Image, assigned
from kvmviz.layout import Layout
from kvmviz.rules import Field

if TYPE_CHECKING:
    from typing_extensions import Buffer


OLD = Struct("kvm_debug_exit_arch", {"hsr": "__u32", "far": "__u64"})
WIDENED = OLD.widen("hsr", 64)
MERGED = Struct("kvm_debug_exit_arch", {"hsr": "__u32", "hsr_high": "__u32", "far": "__u64"})
MMIO = Struct("mmio", {"phys_addr": "__u64", "data": "__u8[8]", "len": "__u32", "is_write": "__u8"})
SYSTEM_EVENT = Struct("system_event", {"type": "__u32", "ndata": "__u32", "data": "__u64[16]"})
ARM_NISV = Struct("arm_nisv", {"esr_iss": "__u64", "fault_ipa": "__u64"})

EXITS: Mapping[str, Struct] = {kind.tag: kind for kind in (MMIO, SYSTEM_EVENT, ARM_NISV)}
"""What other exits than the debug exit fill in of the exit union, by name."""

REGS: Mapping[str, Type | str] = {
    "regs": Struct("kvm_sync_regs", {"device_irq_level": "__u64"}),
    "padding": "char[2048]",
}
"""What lies behind the exit union: of the registers, arm64 has none there but these levels."""

IRQ_LEVELS = 0b111
"""Bits of device_irq_level: the virtual timer, the physical timer, the PMU (KVM_ARM_DEV_)."""

EXIT_REASONS: Mapping[str, int] = MappingProxyType(
    {
        "UNKNOWN": 0, "IO": 2, "HYPERCALL": 3, "DEBUG": 4, "MMIO": 6, "FAIL_ENTRY": 9, "INTR": 10,
        "INTERNAL_ERROR": 17, "SYSTEM_EVENT": 24, "ARM_NISV": 28, "DIRTY_RING_FULL": 31,
        "MEMORY_FAULT": 39,
    }
)  # fmt: skip
"""Exit reasons by name, without ``KVM_EXIT_``."""


def reason_name(value: int) -> str:
    """An exit reason as C names it: ``KVM_EXIT_DEBUG``; a number that is none as it is."""
    named = (f"KVM_EXIT_{name}" for name, known in EXIT_REASONS.items() if known == value)
    return next(named, f"{value:#x}, not named here")


ARM64_EXITS = (
    "UNKNOWN", "DEBUG", "MMIO", "FAIL_ENTRY", "INTR", "INTERNAL_ERROR", "SYSTEM_EVENT", "ARM_NISV",
)  # fmt: skip
"""Those that ``arch/arm64/kvm`` itself sets, in Linux 6.1: the paths on which it could clear."""

UNION = 256
"""Bytes of the union that holds the exit's own data, whatever its members are."""


@cache
def kvm_run(debug: Struct) -> Struct:
    """Struct kvm_run of a kernel whose debug exit hands over ``debug``.

    Of the exit union it has those members that kernels with a hole fill in; ``padding`` gives the
    union its size, as in the header.
    """
    arch, padding = Struct("", {"arch": debug}), f"char[{UNION}]"
    exits: dict[str, Type | str] = {"debug": arch, **EXITS, "padding": padding}
    head = {
        "request_interrupt_window": "__u8", "immediate_exit": "__u8", "padding1": "__u8[6]",
        "exit_reason": "__u32", "ready_for_interrupt_injection": "__u8", "if_flag": "__u8",
        "flags": "__u16", "cr8": "__u64", "apic_base": "__u64",
    }  # fmt: skip
    union, regs = Struct("", exits, union=True), Struct("", REGS, union=True)
    tail = [("kvm_valid_regs", "__u64"), ("kvm_dirty_regs", "__u64")]
    return Struct("kvm_run", [*head.items(), (None, union), *tail, ("s", regs)])


SIZE = kvm_run(OLD).layout("aarch64").size
"""Bytes of struct kvm_run: the same for every kernel and ABI, since all of it is padded."""

ESR_BIT: Mapping[str, int] = MappingProxyType({"hsr": 0, "hsr_high": 32})
"""The bit of ESR_EL2 that bit 0 of a member holds."""

FLAG_VALUE = 1 << 0
"""KVM_DEBUG_ARCH_HSR_HIGH_VALID, the bit of run->flags that says, on arm64 and on a debug exit,
that hsr_high is valid."""

WATCHPOINT_LOW = 0x34
"""The one exception class for which the kernel writes far (ESR_ELx_EC_WATCHPT_LOW)."""

DEBUG_CLASSES = (0x30, 0x32, WATCHPOINT_LOW, 0x38, 0x3C)
"""The exception classes that reach ``kvm_handle_guest_debug()``: breakpoint, software step and
watchpoint from a lower exception level, BKPT, BRK (``arm_exit_handlers`` in ``handle_exit.c``)."""

ENTRY = "entry"
"""In :attr:`Kernel.clears`: where KVM_RUN has not yet entered the guest."""


def check_debug(esr: int, far: int | None) -> Esr:
    """The ESR of a debug exit; :class:`KvmvizError` for a watchpoint without ``far``."""
    syndrome = Esr(unsigned(esr, "ESR", 64))
    if far is None and syndrome.ec == WATCHPOINT_LOW:
        raise KvmvizError(f"ESR {esr:#x} is a watchpoint: the kernel writes far; give far")
    unsigned(0 if far is None else far, "far", 64)
    return syndrome


def fit(who: str, debug: Struct, abi: str | Abi) -> Layout:
    """The layout of a debug struct; :class:`KvmvizError` if it does not fit the exit union."""
    layout = debug.layout(abi)
    if layout.size > UNION or layout.align > 8:
        takes = f"{debug} takes {counted(layout.size, 'byte')}, aligned to {layout.align}"
        legal = f"the exit union of struct kvm_run holds {UNION}, aligned to 8"
        raise KvmvizError(f"{who}: {takes}; {legal}")
    return layout


def registers(who: str, debug: object) -> Mapping[str, Field]:
    """The members of a struct that hold ESR and FAR, by name; else :class:`KvmvizError`."""
    if not isinstance(debug, Struct):
        raise KvmvizError(f"{who}: debug {shown(debug)} is no Struct")
    named = debug.layout("aarch64").named
    found = {name: named[name] for name in (*ESR_BIT, "far") if name in named}
    for name, field in found.items():
        kind = field.type
        if not (isinstance(kind, Scalar) and kind.kind in ("integer", "bool")):
            raise KvmvizError(f"{who}: {debug}, {name} is no integer")
    return found


@dataclass(frozen=True)
class Kernel:
    """One kernel, as far as it matters to the page: all that tells it from another.

    ``debug`` is the struct that it writes on a debug exit. ``flag`` is how that exit then sets
    :data:`FLAG_VALUE` in run->flags: not at all (``""``), ``"|="`` or ``"="``. ``clears`` says
    where it does ``run->flags = 0``: on :data:`ENTRY`, and on exits, by the name of their reason in
    :data:`ARM64_EXITS`: code of arm64's can only clear on those. Raises :class:`KvmvizError` for
    what is none of these, and if what is to hold ESR and FAR is no integer.
    """

    name: str
    when: str
    debug: Struct
    flag: Literal["", "|=", "="] = ""
    clears: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        who = check_texts("kernel", self.name, self.when)
        chosen(self.flag, ("", "|=", "="), f"{who}: flag")
        places = (ENTRY, *ARM64_EXITS)
        if not isinstance(self.clears, Set) or not self.clears <= set(places):
            legal = ", ".join(places)
            raise KvmvizError(f"{who}: clears {shown(self.clears)}; legal is a set of {legal}")
        object.__setattr__(self, "clears", frozenset(self.clears))
        registers(who, self.debug)

    def __repr__(self) -> str:
        members = ", ".join(name_of(m.type, m.name or "") for m in self.debug.members)
        flag = f"flags {self.flag} {FLAG_VALUE}" if self.flag else "flags untouched"
        places = ", ".join(filter(self.clears.__contains__, (ENTRY, *ARM64_EXITS))) or "never"
        writes = f"debug exit writes {members}; {flag}; flags cleared: {places}"
        return f"{self.name} kernel ({self.when}): {writes}"

    def flags_at(self, place: str, flags: int) -> int | None:
        """What it leaves in run->flags, which hold ``flags``, on entry or on the exit of a reason.

        None where it does not write them.
        """
        held = 0 if place in self.clears else flags
        if place == "DEBUG" and self.flag:
            return FLAG_VALUE | (held if self.flag == "|=" else 0)
        return 0 if place in self.clears else None

    def page(self, abi: str | Abi) -> Layout:
        """Struct kvm_run as this kernel has it; raises as :func:`fit` does."""
        fit(f"kernel {self.name}", self.debug, abi)
        return kvm_run(self.debug).layout(abi)

    def debug_values(self, abi: str | Abi, esr: int, far: int | None = None) -> dict[str, int]:
        """What a debug exit writes into the members of :attr:`debug`; see :meth:`debug_exit`."""
        syndrome = check_debug(esr, far)
        held = {name: syndrome.value >> bit for name, bit in ESR_BIT.items()}
        if syndrome.ec == WATCHPOINT_LOW and far is not None:
            held["far"] = far
        slots = self.debug.layout(abi).paths
        return {name: assigned(value, slots[name]) for name, value in held.items() if name in slots}

    def debug_exit(
        self, abi: str | Abi, esr: int, far: int | None = None, fill: int | Buffer = 0
    ) -> Image:
        """The struct as this kernel leaves it; ``fill`` is what the memory held before.

        Each member takes the bits of ``esr`` from its :data:`ESR_BIT` on, and ``far`` is written
        for watchpoints only; both are cut to the member's width, as a C assignment does. Raises
        :class:`KvmvizError` as :func:`check_debug` does.
        """
        return self.debug.layout(abi).pack(self.debug_values(abi, esr, far), fill)


KERNELS = Table(
    "kernel",
    Kernel("old", "up to v5.18", OLD),
    Kernel("widened", "never merged", WIDENED),
    Kernel("v2", "patch v2", MERGED, "|="),
    Kernel("merged", "since v5.19", MERGED, "=", frozenset({ENTRY})),
)
"""The four kernels, by name."""

_ALL = frozenset(ARM64_EXITS)
POLICIES = Table(
    "kernel",
    Kernel("v2_other_exits", "v2, each other exit path clears", MERGED, "|=", _ALL - {"DEBUG"}),
    Kernel("v2_not_unknown", "v2, cleared on exits but UNKNOWN", MERGED, "|=", _ALL - {"UNKNOWN"}),
    Kernel("v2_entry", "v2, KVM_RUN clears on entry", MERGED, "|=", frozenset({ENTRY})),
)
"""Patch v2 with each of the three ways to clear its flag that the review weighed, by name."""

ALL_KERNELS = Table("kernel", *KERNELS.values(), *POLICIES.values())
"""All of these, by name."""

"""ESR_EL2 as 64 bits, by field: which half holds a field, and what the field says.

Sources: Arm Architecture Reference Manual, "ESR_EL2"; Linux, arch/arm64/include/asm/esr.h (list of
classes, ISS2 of data aborts) and uapi/asm/kvm.h (struct kvm_debug_exit_arch: the halves).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from kvmviz._base import KvmvizError, hexed, integer, shown
from kvmviz.text import table

# fmt: off
_CLASSES = {
    0x00: "unknown reason", 0x01: "trapped WFI or WFE",
    0x03: "trapped MCR or MRC, coprocessor 15", 0x04: "trapped MCRR or MRRC, coprocessor 15",
    0x05: "trapped MCR or MRC, coprocessor 14", 0x06: "trapped LDC or STC, coprocessor 14",
    0x07: "trapped SIMD or floating-point access", 0x08: "trapped VMRS of an ID register",
    0x09: "trapped pointer authentication", 0x0A: "trapped LD64B, ST64B or other instruction",
    0x0C: "trapped MRRC, coprocessor 14", 0x0D: "branch target exception",
    0x0E: "illegal execution state", 0x11: "SVC, AArch32", 0x12: "HVC, AArch32",
    0x13: "SMC, AArch32", 0x14: "trapped MSRR, MRRS or 128-bit system instruction",
    0x15: "SVC, AArch64", 0x16: "HVC, AArch64", 0x17: "SMC, AArch64",
    0x18: "trapped MSR, MRS or system instruction", 0x19: "trapped SVE access",
    0x1A: "trapped ERET", 0x1C: "pointer authentication failure", 0x1D: "trapped SME access",
    0x1F: "implementation defined, EL3 only", 0x22: "PC alignment fault",
    0x26: "SP alignment fault", 0x27: "memory copy or memory set exception",
    0x28: "floating-point exception, AArch32", 0x2C: "floating-point exception, AArch64",
    0x2D: "guarded control stack exception", 0x2F: "SError", 0x38: "BKPT, AArch32",
    0x3A: "vector catch, AArch32", 0x3C: "BRK, AArch64", 0x3D: "profiling exception",
}
_BY_LEVEL = {0x20: "instruction abort", 0x24: "data abort", 0x30: "breakpoint",
             0x32: "software step", 0x34: "watchpoint"}
# fmt: on
EXCEPTION_CLASSES: Mapping[int, str] = MappingProxyType(
    _CLASSES
    | {ec: f"{kind}, from a lower exception level" for ec, kind in _BY_LEVEL.items()}
    | {ec + 1: f"{kind}, from the same exception level" for ec, kind in _BY_LEVEL.items()}
)
"""Name by EC, of the classes known here. 0x14 and 0x3D are in the manual but not yet in the
kernel's list. The "same level" classes 0x25 and 0x35 also report EL1's use of VNCR_EL2."""

HALVES = (
    "As the merged kernel lays it out, EC, IL and ISS are in hsr, where an older VMM finds them; "
    "ISS2 is in hsr_high, which no older VMM sees."
)
DEBUG_HIGH = (
    "Bits 63:32 are normally zero on debug exits today: no ISS2 field is known to the kernel for "
    "debug exceptions. hsr_high was added early, so that userspace could pick it up before "
    "hardware needs it."
)

GAPS = ("reserved", "unnamed")
"""What bits of no field are called: reserved by the architecture in an ISS, and in ISS2 just not
named in the kernel's header."""

# Name, high bit, low bit, and words for the value: always the same, or for zero and for not zero.
_Part = tuple[str, int, int, tuple[str, ...]]
_ZERO = ("zero", "not zero")
_OTHER = "{:#x}, which is no debug exception's"
_FSC = (*[_OTHER] * 0x22, "debug exception", _OTHER)
_COMMENT: tuple[_Part, ...] = (("Comment", 15, 0, ("immediate {:#x}",)),)
_BREAKPOINT: tuple[_Part, ...] = (("IFSC", 5, 0, _FSC),)
_STEP: tuple[_Part, ...] = (
    ("ISV", 24, 24, ("EX is not valid", "EX is valid")),
    ("EX", 6, 6, ("no load-exclusive was stepped, if ISV is 1", "a load-exclusive was stepped")),
    ("IFSC", 5, 0, _FSC),
)
_WATCHPOINT: tuple[_Part, ...] = (
    ("WPT", 23, 18, ("watchpoint {}, if WPTV is 1",)),
    ("WPTV", 17, 17, ("WPT is not valid", "WPT is valid")),
    ("WPF", 16, 16, ("not a false positive", "might be a false positive")),
    ("FnP", 15, 15, ("FAR_EL2 is precise", "FAR_EL2 is not precise")),
    ("VNCR", 13, 13, ("not through VNCR_EL2", "EL1's access through VNCR_EL2")),
    ("FnV", 10, 10, ("FAR_EL2 is valid", "FAR_EL2 is not valid")),
    ("CM", 8, 8, ("not cache maintenance", "cache maintenance")),
    ("WnR", 6, 6, ("read", "write")),
    ("DFSC", 5, 0, _FSC),
)
_DATA_ABORT_ISS2: tuple[_Part, ...] = (
    ("TnD", 42, 42, ("not an allocation tag access", "allocation tag access")),
    ("TagAccess", 41, 41, ("not due to NoTagAccess", "due to NoTagAccess")),
    ("GCS", 40, 40, ("not a guarded control stack access", "guarded control stack access")),
    ("Overlay", 38, 38, ("not due to overlay permissions", "due to overlay permissions")),
    ("DirtyBit", 37, 37, ("not due to dirty state", "due to dirty state")),
    ("Xs", 36, 32, ("register {}, if ST64BV or ST64BV0 faulted",)),
)
_DETAIL = dict.fromkeys((0x24, 0x25), _DATA_ABORT_ISS2) | dict.fromkeys((0x32, 0x33), _STEP)
_DETAIL |= dict.fromkeys((0x34, 0x35), _WATCHPOINT) | dict.fromkeys((0x38, 0x3C), _COMMENT)
_DETAIL |= dict.fromkeys((0x30, 0x31, 0x3A), _BREAKPOINT)


@dataclass(frozen=True)
class EsrField:
    """One field or sub-field: bits ``high`` down to ``low`` of the 64, their value and meaning."""

    name: str
    high: int
    low: int
    value: int
    meaning: str

    @property
    def half(self) -> Literal["hsr", "hsr_high"]:
        """The member of struct kvm_debug_exit_arch that holds it; no field lies in both."""
        return "hsr" if self.high < 32 else "hsr_high"

    @property
    def place_in_esr(self) -> str:
        """Its bits inside ESR_EL2: ``[31:26]``, ``[25]``."""
        return f"[{self.high}]" if self.high == self.low else f"[{self.high}:{self.low}]"

    @property
    def place(self) -> str:
        """Its bits inside its half: ``hsr[31:26]``; in hsr_high these are ISS2's own numbers."""
        high, low = self.high % 32, self.low % 32
        return f"{self.half}[{high}]" if high == low else f"{self.half}[{high}:{low}]"


def _carve(esr: int, high: int, low: int, *parts: _Part) -> Iterator[EsrField]:
    """``parts`` and the gaps between them: together all of ``[high:low]``, downward."""
    tiles: list[_Part] = []
    gap = GAPS[high // 32]
    for part in parts:
        tiles += [(gap, high, part[1] + 1, _ZERO), part]
        high = part[2] - 1
    for name, top, bottom, words in (*tiles, (gap, high, low, _ZERO)):
        if top >= bottom:  # else there is no gap
            value = esr >> bottom & (1 << top - bottom + 1) - 1
            meaning = words[min(value, len(words) - 1)].format(value)
            yield EsrField(name, top, bottom, value, meaning)


class _Bits:
    """Attribute of an Esr: bits ``high`` down to ``low`` of its value."""

    def __init__(self, high: int, low: int) -> None:
        self.low, self.mask = low, (1 << high - low + 1) - 1

    def __get__(self, esr: Esr, owner: type[Esr]) -> int:
        return esr.value >> self.low & self.mask


@dataclass(frozen=True, repr=False)
class Esr:
    """A value of ESR_EL2, 0 to 2**64 - 1, all of which decode; by halves and by fields."""

    value: int
    low, high = _Bits(31, 0), _Bits(63, 32)  # what hsr and hsr_high hold
    iss2, ec, il, iss = _Bits(55, 32), _Bits(31, 26), _Bits(25, 25), _Bits(24, 0)

    def __post_init__(self) -> None:
        legal = "legal are integers of 64 bits, 0 to 0xffffffffffffffff"
        try:
            value = integer(self.value, "ESR_EL2")
        except KvmvizError:
            raise KvmvizError(f"ESR_EL2: {shown(self.value)} is no integer; {legal}") from None
        if not 0 <= value < 1 << 64:
            raise KvmvizError(f"ESR_EL2: {hexed(value)} does not fit in 64 bits; {legal}")
        object.__setattr__(self, "value", value)

    @property
    def name(self) -> str:
        """The exception class in plain words."""
        return EXCEPTION_CLASSES.get(self.ec, "no class known here")

    @property
    def is_debug(self) -> bool:
        """Whether the class is one of the architecture's debug exceptions."""
        return self.ec >= 0x30 and self.ec in _DETAIL

    @property
    def detail(self) -> tuple[EsrField, ...]:
        """Sub-fields that tile the ISS of a debug exception or the ISS2 of a data abort."""
        bits = (24, 0) if self.is_debug else (55, 32)
        return tuple(_carve(self.value, *bits, *_DETAIL[self.ec])) if self.ec in _DETAIL else ()

    @property
    def fields(self) -> tuple[EsrField, ...]:
        """RES0, ISS2, EC, IL and ISS: they tile bits 63 to 0."""
        unknown = "not decoded for this class"
        told = "; ".join(f"{part.name}: {part.meaning}" for part in self.detail if part.value)
        iss, iss2 = (told, "") if self.is_debug else ("", told)
        parts: tuple[_Part, ...] = (
            ("RES0", 63, 56, _ZERO),
            ("ISS2", 55, 32, ("zero", iss2 or unknown)),
            ("EC", 31, 26, (self.name,)),
            ("IL", 25, 25, ("16-bit instruction", "32-bit instruction, or none trapped")),
            ("ISS", 24, 0, ("zero", iss or unknown)),
        )
        return tuple(_carve(self.value, 63, 0, *parts))

    @property
    def rows(self) -> tuple[tuple[int, EsrField], ...]:
        """Depth and field, most significant first: 0 a field, 1 a sub-field below its field."""
        rows = [(0, field) for field in self.fields] + [(1, part) for part in self.detail]
        return tuple(sorted(rows, key=lambda row: (-row[1].high, row[0])))

    @property
    def high_note(self) -> str:
        """What is to be said of bits 63:32 of this value."""
        if not self.is_debug:
            return "Bits 55:32 hold ISS2; the kernel's header names fields of it for data aborts."
        said = "which today's architecture, as the kernel knows it, does not define"
        return f"{DEBUG_HIGH} Here they are {self.high:#010x}, {said}." if self.high else DEBUG_HIGH

    def __repr__(self) -> str:
        rows = [
            (f.place_in_esr, "  " * depth + f.name, f"{f.value:#x}", f.place, f.meaning)
            for depth, f in self.rows
        ]
        head = f"ESR_EL2 {self.value:#018x}: {self.name}"
        return f"{head}\n{table(rows)}\n  {HALVES}\n  {self.high_note}"

"""ESR_EL2 as 64 bits, by field: which half holds a field, and what the field says.

Every row names its source. Arm ARM is the Arm Architecture Reference Manual for A-profile, register
ESR_EL2: its table of EC, and its ISS and ISS2 encodings by title; where its shared pseudocode says
more (AArch64.FaultSyndrome()), that. The halves: Linux, uapi/asm/kvm.h, struct kvm_debug_exit_arch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from kvmviz._base import KvmvizError, hexed, integer, shown
from kvmviz.text import table

_ARM = "Arm ARM"
_EC, _EL3 = f"{_ARM}, ESR_EL2.EC", f"{_ARM}, ESR_EL3.EC"
_TME = f"{_EC}, until FEAT_TME was withdrawn"
_LOWER, _SAME = "from a lower exception level", "from the same exception level"

# fmt: off
_CLASSES = (
    (0x00, "unknown reason", _EC),
    (0x01, "trapped WFI or WFE", _EC),
    (0x03, "trapped MCR or MRC, coprocessor 15", _EC),
    (0x04, "trapped MCRR or MRRC, coprocessor 15", _EC),
    (0x05, "trapped MCR or MRC, coprocessor 14", _EC),
    (0x06, "trapped LDC or STC, coprocessor 14", _EC),
    (0x07, "trapped SIMD or floating-point access", _EC),
    (0x08, "trapped VMRS of an ID register", _EC),
    (0x09, "trapped pointer authentication", _EC),
    (0x0A, "trapped LD64B, ST64B or other instruction", _EC),
    (0x0C, "trapped MRRC, coprocessor 14", _EC),
    (0x0D, "branch target exception", _EC),
    (0x0E, "illegal execution state", _EC),
    (0x11, "SVC, AArch32", _EC),
    (0x12, "HVC, AArch32", _EC),
    (0x13, "SMC, AArch32", _EC),
    (0x14, "trapped MSRR, MRRS or 128-bit system instruction", _EC),
    (0x15, "SVC, AArch64", _EC),
    (0x16, "HVC, AArch64", _EC),
    (0x17, "SMC, AArch64", _EC),
    (0x18, "trapped MSR, MRS or system instruction", _EC),
    (0x19, "trapped SVE access", _EC),
    (0x1A, "trapped ERET", _EC),
    (0x1B, "trapped TSTART", _TME),
    (0x1C, "pointer authentication failure", _EC),
    (0x1D, "trapped SME access", _EC),
    (0x1E, "granule protection check, EL3 only", _EL3),
    (0x1F, "implementation defined, EL3 only", _EL3),
    (0x20, f"instruction abort, {_LOWER}", _EC),
    (0x21, f"instruction abort, {_SAME}", _EC),
    (0x22, "PC alignment fault", _EC),
    (0x24, f"data abort, {_LOWER}", _EC),
    (0x25, f"data abort, {_SAME}", _EC),
    (0x26, "SP alignment fault", _EC),
    (0x27, "memory copy or memory set exception", _EC),
    (0x28, "floating-point exception, AArch32", _EC),
    (0x2C, "floating-point exception, AArch64", _EC),
    (0x2D, "guarded control stack exception", _EC),
    (0x2F, "SError", _EC),
    (0x30, f"breakpoint, {_LOWER}", _EC),
    (0x31, f"breakpoint, {_SAME}", _EC),
    (0x32, f"software step, {_LOWER}", _EC),
    (0x33, f"software step, {_SAME}", _EC),
    (0x34, f"watchpoint, {_LOWER}", _EC),
    (0x35, f"watchpoint, {_SAME}", _EC),
    (0x38, "BKPT, AArch32", _EC),
    (0x3A, "vector catch, AArch32", _EC),
    (0x3C, "BRK, AArch64", _EC),
    (0x3D, "profiling exception", _EC),
)
# fmt: on
EXCEPTION_CLASSES: Mapping[int, str] = MappingProxyType({ec: name for ec, name, _ in _CLASSES})
"""Name by EC, of all classes that the manual allocates. 0x14, 0x1B, 0x1E and 0x3D are not in the
kernel's list. The "same level" classes 0x25 and 0x35 also report EL1's use of VNCR_EL2."""

HALVES = (
    "As the merged kernel lays it out, EC, IL and ISS are in hsr, where an older VMM finds them; "
    "ISS2 is in hsr_high, which no older VMM sees."
)
DEBUG_HIGH = (
    "Bits 63:32 are normally zero on debug exits today. The architecture defines one of them for a "
    "debug exception: GCS, ESR[40], of a watchpoint that a guarded-control-stack access has hit; "
    "KVM hides GCS from guests in the kernels looked at. hsr_high was added early, so that "
    "userspace could pick it up before hardware needs it."
)

GAP = "reserved"
"""What bits of no field are called."""

_FETCH, _DATA, _WATCH = (0x20, 0x21), (0x24, 0x25), (0x34, 0x35)
_BREAK, _STEP, _INSTRUCTION = (0x30, 0x31, 0x3A), (0x32, 0x33), (0x38, 0x3C)
_ABORT = _DATA + _FETCH

_ZERO = ("zero", "not zero")
_OTHER = "{:#x}, which is no debug exception's"
_FSC = (*[_OTHER] * 0x22, "debug exception", _OTHER)

# Name, high bit, low bit, words for the value (always the same, or for zero and for not zero), and
# the classes that have it.
_Part = tuple[str, int, int, tuple[str, ...], tuple[int, ...]]
# fmt: off
_PARTS: tuple[_Part, ...] = (
    ("HDBSSF", 43, 43, ("not due to the HDBSS", "fault of the HDBSS, which tracks dirty state"),
     _ABORT),
    ("TnD", 42, 42, ("not an allocation tag access", "allocation tag access"), _DATA),
    ("TagAccess", 41, 41, ("not due to NoTagAccess", "due to NoTagAccess"), _DATA),
    ("GCS", 40, 40, ("not a guarded control stack access", "guarded control stack access"),
     _DATA + _WATCH),
    ("AssuredOnly", 39, 39, ("not due to AssuredOnly", "due to AssuredOnly"), _ABORT),
    ("Overlay", 38, 38, ("not due to overlay permissions", "due to overlay permissions"), _ABORT),
    ("DirtyBit", 37, 37, ("not due to dirty state", "due to dirty state"), _ABORT),
    ("Xs", 36, 32, ("register {}, if ST64BV or ST64BV0 faulted",), _DATA),
    ("ISV", 24, 24, ("EX is not valid", "EX is valid"), _STEP),
    ("WPT", 23, 18, ("watchpoint {}, if WPTV is 1",), _WATCH),
    ("WPTV", 17, 17, ("WPT is not valid", "WPT is valid"), _WATCH),
    ("WPF", 16, 16, ("not a false positive", "might be a false positive"), _WATCH),
    ("FnP", 15, 15, ("FAR_EL2 is precise", "FAR_EL2 only names the granule"), _WATCH),
    ("Comment", 15, 0, ("immediate {:#x}",), _INSTRUCTION),
    ("VNCR", 13, 13, ("not through VNCR_EL2", "EL1's access through VNCR_EL2"), _WATCH),
    ("FnV", 10, 10, ("FAR_EL2 is valid", "FAR_EL2 is not valid"), _WATCH),
    ("CM", 8, 8, ("not cache maintenance", "cache maintenance"), _WATCH),
    ("WnR", 6, 6, ("read", "write"), _WATCH),
    ("EX", 6, 6, ("no load-exclusive was stepped, if ISV is 1", "a load-exclusive was stepped"),
     _STEP),
    ("DFSC", 5, 0, _FSC, _WATCH),
    ("IFSC", 5, 0, _FSC, _BREAK + _STEP),
)
# fmt: on
_ENCODINGS = (
    ("ISS2", "a Data Abort", _DATA),
    ("ISS2", "an Instruction Abort, and AArch64.FaultSyndrome()", _FETCH),
    ("ISS2", "a Watchpoint exception", _WATCH),
    ("ISS", "a Watchpoint exception", _WATCH),
    ("ISS", "a Breakpoint or Vector Catch debug exception", _BREAK),
    ("ISS", "a Software Step exception", _STEP),
    ("ISS", "execution of a Breakpoint instruction", _INSTRUCTION),
)
"""What is decoded of ISS and ISS2, ISS2 first. ISS2 of every other class is reserved (Arm ARM,
ISS2 encoding for all other exceptions); ISS of other classes is not decoded here."""

_BITS = {"ISS2": (55, 32), "ISS": (24, 0)}
_DEBUG = frozenset(_WATCH + _BREAK + _STEP + _INSTRUCTION)


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


def _carve(esr: int, high: int, low: int, parts: Iterable[_Part]) -> Iterator[EsrField]:
    """``parts`` and the gaps between them: together all of ``[high:low]``, downward."""
    for name, top, bottom, words, _ in (*parts, (GAP, low - 1, low, _ZERO, ())):
        for row in ((GAP, high, top + 1, _ZERO), (name, top, bottom, words)):
            if row[1] >= row[2]:  # else there is no gap
                value = esr >> row[2] & (1 << row[1] - row[2] + 1) - 1
                meaning = row[3][min(value, len(row[3]) - 1)].format(value)
                yield EsrField(*row[:3], value, meaning)
        high = bottom - 1


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
    def kind(self) -> str:
        """The same without the exception level that it is from: ``watchpoint``."""
        return self.name.partition(",")[0]

    @property
    def is_debug(self) -> bool:
        """Whether the class is one of the architecture's debug exceptions."""
        return self.ec in _DEBUG

    @property
    def detail(self) -> tuple[EsrField, ...]:
        """Sub-fields, downward: they tile what is decoded of ISS2, then of ISS."""
        found: list[EsrField] = []
        for kind, _ in self._encodings:
            high, low = _BITS[kind]
            parts = (part for part in _PARTS if self.ec in part[4] and low <= part[2] <= high)
            found += _carve(self.value, high, low, parts)
        return tuple(found)

    @property
    def _encodings(self) -> list[tuple[str, str]]:
        return [(kind, of) for kind, of, classes in _ENCODINGS if self.ec in classes]

    @property
    def fields(self) -> tuple[EsrField, ...]:
        """RES0, ISS2, EC, IL and ISS: they tile bits 63 to 0."""
        unknown = "not decoded for this class"
        told = {"hsr_high": list[str](), "hsr": list[str]()}
        for part in self.detail:
            if part.value:
                told[part.half].append(f"{part.name}: {part.meaning}")
        iss2 = "; ".join(told["hsr_high"]) or (
            "reserved for this class, not zero" if self.ec in EXCEPTION_CLASSES else unknown
        )
        short = "16-bit instruction" if self.ec else "no CPU reports EC 0x00 with IL 0"
        parts: tuple[_Part, ...] = (
            ("RES0", 63, 56, _ZERO, ()),
            ("ISS2", 55, 32, ("zero", iss2), ()),
            ("EC", 31, 26, (self.name,), ()),
            ("IL", 25, 25, (short, "32-bit instruction, or none trapped"), ()),
            ("ISS", 24, 0, ("zero", "; ".join(told["hsr"]) or unknown), ()),
        )
        return tuple(_carve(self.value, 63, 0, parts))

    @property
    def rows(self) -> tuple[tuple[int, EsrField], ...]:
        """Depth and field, most significant first: 0 a field, 1 a sub-field below its field."""
        rows = [(0, field) for field in self.fields] + [(1, part) for part in self.detail]
        return tuple(sorted(rows, key=lambda row: (-row[1].high, row[0])))

    @property
    def upper(self) -> str:
        """What is to be said of bits 63:32 in a few words; empty if they are zero.

        They are synthetic if one is set that the architecture reserves for the class: then no CPU
        reports such a value.
        """
        named = [f for f in self.detail if f.half == "hsr_high" and f.name != GAP and f.value]
        if sum(field.value << field.low for field in named) != self.high << 32:
            return "bits 63:32 synthetic"
        return f"{', '.join(field.name for field in named)} set" if named else ""

    @property
    def high_note(self) -> str:
        """What is to be said of bits 63:32 of this value."""
        if not self.is_debug:
            return (
                "Bits 55:32 hold ISS2; the architecture defines fields of it for data aborts, "
                "instruction aborts and watchpoints."
            )
        if not self.high:
            return DEBUG_HIGH
        if "synthetic" in self.upper:
            said = f"they are {self.high:#010x}, synthetic: the architecture reserves some of them"
        else:
            said = f"{self.upper.replace(' set', ' is set')}: a VMM that reads hsr alone misses it"
        return f"{DEBUG_HIGH} Here {said}."

    @property
    def sources(self) -> tuple[str, ...]:
        """Where the class and the sub-fields are from."""
        return (
            *(source for ec, _, source in _CLASSES if ec == self.ec),
            *(f"{_ARM}, {iss} encoding for an exception from {of}" for iss, of in self._encodings),
        )

    def __repr__(self) -> str:
        rows = [
            (f.place_in_esr, "  " * depth + f.name, f"{f.value:#x}", f.place, f.meaning)
            for depth, f in self.rows
        ]
        head = f"ESR_EL2 {self.value:#018x}: {self.name}"
        lines = [head, table(rows), f"  {HALVES}", f"  {self.high_note}"]
        return "\n".join((*lines, *(f"  source: {source}" for source in self.sources)))

"""ESR_EL2 as 64 bits, by field: which half holds a field, and what the field says.

``data/esr.toml`` has classes and fields, each with its source: the Arm Architecture Reference
Manual for A-profile. The halves: Linux, uapi/asm/kvm.h, struct kvm_debug_exit_arch.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from types import MappingProxyType
from typing import Any, Literal

from kvmviz._base import unsigned
from kvmviz.text import table

_ARM: dict[str, Any] = tomllib.loads(
    resources.files("kvmviz").joinpath("data", "esr.toml").read_text("utf-8")
)
EXCEPTION_CLASSES: Mapping[int, str] = MappingProxyType(
    {int(ec, 16): name for ec, name in _ARM["classes"].items()}
)
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

_ZERO = ("zero", "not zero")
_DEBUG_FAULT = 0x22
"""The fault status code of a debug exception (DFSC, IFSC)."""
_BITS = {"ISS2": (55, 32), "ISS": (24, 0)}

_Part = tuple[str, int, int, Sequence[str]]
"""Name, high bit, low bit, words for the value: always the same, or for zero and for not zero."""


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
        inside = replace(self, high=self.high % 32, low=self.low % 32)
        return f"{self.half}{inside.place_in_esr}"


def _carve(esr: int, high: int, low: int, parts: Iterable[_Part]) -> Iterator[EsrField]:
    """``parts`` and the gaps between them: together all of ``[high:low]``, downward."""
    for name, top, bottom, words in (*parts, (GAP, low - 1, low, _ZERO)):
        for row in ((GAP, high, top + 1, _ZERO), (name, top, bottom, words)):
            if row[1] >= row[2]:  # else there is no gap
                value = esr >> row[2] & (1 << row[1] - row[2] + 1) - 1
                meaning = row[3][min(value, len(row[3]) - 1)].format(value)
                if name in ("DFSC", "IFSC") and value == _DEBUG_FAULT:
                    meaning = "debug exception"
                yield EsrField(*row[:3], value, meaning)
        high = bottom - 1


class _Bits:
    """Attribute of an Esr: bits ``high`` down to ``low`` of its value."""

    def __init__(self, high: int, low: int) -> None:
        self.low, self.mask = low, (1 << high - low + 1) - 1

    def __get__(self, esr: Esr, owner: type[Esr]) -> int:
        return esr.value >> self.low & self.mask


@dataclass(frozen=True)
class Esr:
    """A value of ESR_EL2, 0 to 2**64 - 1, all of which decode; by halves and by fields."""

    value: int
    low, high = _Bits(31, 0), _Bits(63, 32)  # what hsr and hsr_high hold
    iss2, ec, il, iss = _Bits(55, 32), _Bits(31, 26), _Bits(25, 25), _Bits(24, 0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", unsigned(self.value, "ESR_EL2", 64))

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
        return any(of["of"].startswith("ISS ") for of in self._encodings)

    @property
    def detail(self) -> tuple[EsrField, ...]:
        """Sub-fields, downward: they tile what is decoded of ISS2, then of ISS."""
        found: list[EsrField] = []
        for encoding in self._encodings:
            high, low = _BITS[encoding["of"].split()[0]]
            found += _carve(self.value, high, low, map(tuple, encoding["fields"]))
        return tuple(found)

    @property
    def _encodings(self) -> list[dict[str, Any]]:
        return [row for row in _ARM["encodings"] if self.ec in row["classes"]]

    @property
    def fields(self) -> tuple[EsrField, ...]:
        """RES0, ISS2, EC, IL and ISS: they tile bits 63 to 0."""

        def told(half: str) -> str:
            found = (f for f in self.detail if f.half == half and f.value)
            return "; ".join(f"{field.name}: {field.meaning}" for field in found)

        unknown = "not decoded for this class"
        reserved = "reserved for this class, not zero" if self.ec in EXCEPTION_CLASSES else unknown
        short = "16-bit instruction" if self.ec else "no CPU reports EC 0x00 with IL 0"
        parts: tuple[_Part, ...] = (
            ("RES0", 63, 56, _ZERO),
            ("ISS2", 55, 32, ("zero", told("hsr_high") or reserved)),
            ("EC", 31, 26, (self.name,)),
            ("IL", 25, 25, (short, "32-bit instruction, or none trapped")),
            ("ISS", 24, 0, ("zero", told("hsr") or unknown)),
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
        said = f"{self.upper.replace(' set', ' is set')}: a VMM that reads hsr alone misses it"
        if "synthetic" in self.upper:
            said = f"they are {self.high:#010x}, synthetic: the architecture reserves some of them"
        return f"{DEBUG_HIGH} Here {said}."

    @property
    def sources(self) -> tuple[str, ...]:
        """Where the class and the sub-fields are from."""
        register = _ARM["sources"].get(f"{self.ec:#04x}", "ESR_EL2.EC")
        known = [register] if self.ec in EXCEPTION_CLASSES else []
        return tuple(f"Arm ARM, {of}" for of in [*known, *(row["of"] for row in self._encodings)])

    def __repr__(self) -> str:
        rows = [
            (f.place_in_esr, "  " * depth + f.name, f"{f.value:#x}", f.place, f.meaning)
            for depth, f in self.rows
        ]
        head = f"ESR_EL2 {self.value:#018x}: {self.name}"
        notes = [HALVES, self.high_note, *(f"source: {source}" for source in self.sources)]
        return "\n  ".join((f"{head}\n{table(rows)}", *notes))

"""Byte order and alignment rule of a target.

Every ABI here aligns a scalar to its own size (natural alignment), up to a limit that is the
ABI's. That limit is all that tells their layouts of fixed-width members apart; byte order then
says which end of a value comes first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from kvmviz._base import KvmvizError, Table, check_texts, settled

ByteOrder = Literal["little", "big"]
BYTE_ORDERS: tuple[ByteOrder, ByteOrder] = ("little", "big")
BitFields = Literal["units", "unnamed", "packed"]

_LEGAL: Mapping[str, Sequence[Any]] = {
    "byte_order": BYTE_ORDERS,
    "max_align": (1, 2, 4, 8, 16),
    "word_bits": (32, 64),
    "char_signed": (False, True),
    "bit_fields": get_args(BitFields),
}


@dataclass(frozen=True)
class Abi:
    """How one target lays out memory.

    ``max_align`` is the largest alignment, in bytes, that a scalar member has inside a struct;
    ``word_bits`` the width of ``long`` and of pointers; ``family`` the name that two ABIs share
    when only byte order tells them apart; ``source`` the document that sets the rule.

    ``char_signed``: plain ``char`` is signed. ``bit_fields`` says how they are placed: in
    ``units`` of their declared type, which they do not straddle and whose alignment they give the
    struct; in units of which ``unnamed`` ones too raise the struct's alignment (AAPCS64 and
    AAPCS32, Bit-field subdivision); or ``packed`` one behind the other, as gcc does on m68k.
    """

    name: str
    byte_order: ByteOrder
    max_align: int
    word_bits: int
    family: str
    source: str
    char_signed: bool = True
    bit_fields: BitFields = "units"

    def __post_init__(self) -> None:
        title = check_texts("ABI", self.name, self.family, self.source)
        if not (self.name and self.family and self.source):
            raise KvmvizError(f"{title}: name, family and source are texts that say something")
        settled(self, title, **_LEGAL)

    @property
    def long_double(self) -> int:
        """The width of ``long double`` in bits; 0 where C libraries differ, or nobody knows.

        On Power it is 64 bits with musl, IEEE's 128 or two doubles with glibc.
        """
        return _LONG_DOUBLE.get(self.family, 0)

    def align(self, size: int) -> int:
        """Alignment, in bytes, of a scalar of ``size`` bytes: its size, up to the ABI's limit."""
        return min(size, self.max_align)


_LONG_DOUBLE = {
    "x86-64": 128, "i386": 96, "m68k": 96, "arm": 64, "mips": 64,
    "arm64": 128, "s390x": 128, "riscv64": 128,
}  # fmt: skip
"""By family, as gcc and clang have it."""
_AAPCS64 = "AAPCS64, Fundamental Data Types and Composite Types"
_AAPCS32 = "AAPCS32, Fundamental Data Types and Composite Types"
_POWER = "Power ELF ABI, Fundamental Types"
_M68K = "System V ABI, Motorola 68000, as gcc has it"
_MIPS = "System V ABI, MIPS supplement"
_RISCV = "RISC-V psABI, C/C++ Type Sizes and Alignments, and Bit-Fields"

ABIS = Table(
    "ABI",
    Abi("aarch64", "little", 16, 64, "arm64", _AAPCS64, False, "unnamed"),
    Abi("aarch64_be", "big", 16, 64, "arm64", _AAPCS64, False, "unnamed"),
    Abi("x86_64", "little", 16, 64, "x86-64", "System V ABI, AMD64 supplement, 3.1.2"),
    Abi("i386", "little", 4, 32, "i386", "System V ABI, Intel386 supplement, Data Representation"),
    Abi("arm", "little", 8, 32, "arm", _AAPCS32, False, "unnamed"),
    Abi("armeb", "big", 8, 32, "arm", _AAPCS32, False, "unnamed"),
    Abi("ppc64", "big", 16, 64, "ppc64", _POWER, False),
    Abi("ppc64le", "little", 16, 64, "ppc64", _POWER, False),
    Abi("ppc32", "big", 8, 32, "ppc32", _POWER, False),
    Abi("s390x", "big", 8, 64, "s390x", "ELF ABI, s390x supplement, Fundamental Types", False),
    Abi("m68k", "big", 2, 32, "m68k", _M68K, True, "packed"),
    Abi("mips", "big", 8, 32, "mips", _MIPS),
    Abi("mipsel", "little", 8, 32, "mips", _MIPS),
    Abi("riscv64", "little", 16, 64, "riscv64", _RISCV, False),
)
"""The named ABIs, by name."""


def siblings(abi: str | Abi) -> dict[ByteOrder, Abi]:
    """The ABI and its family's by byte order; one entry where only one order exists."""
    asked = ABIS.find(abi)
    family = {row.byte_order: row for row in ABIS.values() if row.family == asked.family}
    return {**family, asked.byte_order: asked}

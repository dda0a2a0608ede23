"""Macros that tell a text how wide types are: what gcc and clang have defined of <limits.h>.

The names are those that both have (``-dM -E``), as ``__LONG_MAX__`` and ``__SIZE_WIDTH__``; those
in which they differ, as of ``int_fast16_t``, are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kvmviz.abi import Abi

_FIXED: Mapping[str, int] = {"SCHAR": 8, "SHRT": 16, "INT": 32, "LONG_LONG": 64, "SIG_ATOMIC": 32}
_LONGS = ("LONG", "INTPTR", "PTRDIFF")
_PLAIN = ("SCHAR", "LONG_LONG")
"""Types whose width has another name in clang than in gcc."""
_BYTES: Mapping[str, int] = {
    "SHORT": 2,
    "INT": 4,
    "LONG_LONG": 8,
    "FLOAT": 4,
    "DOUBLE": 8,
    "WCHAR_T": 4,
    "WINT_T": 4,
}
_BIGGEST: Mapping[str, int] = {"m68k": 2, "arm": 8, "s390x": 8, "mips": 8}


def macros(abi: Abi) -> dict[str, str]:
    """The macros of one ABI and what they stand for."""
    long = abi.word_bits
    made = {f"__SIZEOF_{name}__": f"{size}" for name, size in _BYTES.items()}
    for name in ("LONG", "POINTER", "SIZE_T", "PTRDIFF_T"):
        made[f"__SIZEOF_{name}__"] = f"{long // 8}"
    for name, bits, signed in _integers(abi):
        largest = (1 << bits - signed) - 1
        suffix = "" if signed or bits < 32 else "u"
        # An int64_t is a long where that has 64 bits; C computes alike with both.
        suffix += "LL" if bits > long or name == "LONG_LONG" else "L" if bits == 64 else ""
        suffix += "L" if name == "LONG" and bits == 32 else ""
        made[f"__{name}_MAX__"] = f"{largest}{suffix}"
        if name not in _PLAIN and (signed or name in ("SIZE", "WINT", "WCHAR")):
            made[f"__{name}_WIDTH__"] = f"{bits}"
    for bits in (8, 16, 32, 64):
        # Only those of least width have one in both.
        del made[f"__INT{bits}_WIDTH__"]
    made["__BIGGEST_ALIGNMENT__"] = f"{_BIGGEST.get(abi.family, 16)}"
    return made


def _integers(abi: Abi) -> Iterator[tuple[str, int, bool]]:
    """Integer types: what macros call them, width in bits, sign."""
    for name, bits in _FIXED.items():
        yield name, bits, True
    for bits in (8, 16, 32, 64):
        for name in (f"INT{bits}", f"INT_LEAST{bits}"):
            yield name, bits, True
            yield f"U{name}", bits, False
    for name in _LONGS:
        yield name, abi.word_bits, True
    yield from (("INTMAX", 64, True), ("UINTMAX", 64, False), ("WINT", 32, False))
    yield from (("UINTPTR", abi.word_bits, False), ("SIZE", abi.word_bits, False))
    yield "WCHAR", 32, abi.family not in ("arm", "arm64")

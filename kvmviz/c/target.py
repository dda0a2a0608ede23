"""What an ABI answers to a text: macros by which C knows its target, kernel types, sizes.

The macros are those of gcc and clang for Linux (``-dM -E``), and those of the kernel's
asm/byteorder.h and asm/bitsperlong.h, which differ by architecture. ``__KERNEL__`` and
``__cplusplus`` are not defined: a text is read as a program in C reads it. Macros in which gcc and
clang differ, as of ``int_fast16_t``, are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache

from kvmviz._base import KvmvizError
from kvmviz.abi import ABIS, Abi
from kvmviz.c.source import by_name
from kvmviz.ctype import Array, Scalar, Struct, Type
from kvmviz.rules import extent


@dataclass(frozen=True)
class _Family:
    """What is an architecture's own.

    Macros on both byte orders, on little-endian and on big-endian ones; the largest alignment, in
    bytes; those types of asm/posix_types.h that are not as in asm-generic/posix_types.h.
    """

    macros: str
    little: str = ""
    big: str = ""
    biggest: int = 16
    kernel: Mapping[str, str] = field(default_factory=dict)


_SHORT_IDS = by_name({"unsigned short": "__kernel_old_uid_t __kernel_old_gid_t"})
_SHORT = _SHORT_IDS | by_name({
    "unsigned short": "__kernel_mode_t __kernel_ipc_pid_t __kernel_uid_t __kernel_gid_t "
    "__kernel_old_dev_t",
})  # fmt: skip
_LONG_DEV = {"__kernel_old_dev_t": "unsigned long"}
_SHORT_DEV = {"__kernel_old_dev_t": "unsigned short", "__kernel_ino_t": "unsigned int"}
_POWER = ("_LITTLE_ENDIAN", "_BIG_ENDIAN")
_FAMILIES: Mapping[str, _Family] = {
    "arm64": _Family(
        "__aarch64__ __WCHAR_UNSIGNED__ __ARM_64BIT_STATE", "__AARCH64EL__", "__AARCH64EB__",
        kernel=_SHORT_IDS,
    ),
    "x86-64": _Family("__x86_64__ __x86_64 __amd64__ __amd64", kernel=_SHORT_IDS | _LONG_DEV),
    "i386": _Family("__i386__ __i386 i386", kernel=_SHORT),
    "arm": _Family(
        "__arm__ __WCHAR_UNSIGNED__ __arm __ARM_EABI__ __ARM_32BIT_STATE", "__ARMEL__",
        "__ARMEB__", biggest=8, kernel=_SHORT,
    ),
    "ppc64": _Family(
        "__powerpc__ __powerpc64__ __PPC__ __PPC64__ _ARCH_PPC _ARCH_PPC64", *_POWER,
        kernel=_LONG_DEV,
    ),
    "ppc32": _Family(
        "__powerpc__ __PPC__ _ARCH_PPC", *_POWER, kernel={"__kernel_ipc_pid_t": "short"}
    ),
    "s390x": _Family("__s390__ __s390x__ __zarch__", biggest=8, kernel=_SHORT_DEV),
    "m68k": _Family("__m68k__ __mc68000__", biggest=2, kernel=_SHORT),
    "mips": _Family(
        "__mips__ _mips mips _ABIO32 _MIPS_SIM __mips_o32",
        "__MIPSEL__ _MIPSEL __MIPSEL MIPSEL", "__MIPSEB__ _MIPSEB __MIPSEB MIPSEB", biggest=8,
    ),
    "riscv64": _Family("__riscv"),
}  # fmt: skip
"""All that tells architectures apart, beside what :class:`kvmviz.abi.Abi` says of them."""

_KERNEL = by_name({
    "unsigned int": "__kernel_mode_t __kernel_uid_t __kernel_gid_t __kernel_old_uid_t "
    "__kernel_old_gid_t __kernel_old_dev_t",
    "int": "__kernel_ipc_pid_t",
    "unsigned long": "__kernel_ino_t",
})  # fmt: skip
"""Types of Linux that differ by architecture, as asm-generic/posix_types.h has them."""


def _family(abi: Abi) -> _Family:
    try:
        return _FAMILIES[abi.family]
    except KeyError:
        raise KvmvizError(
            f"ABI {abi.name!r}: the macros of family {abi.family!r} are not known, so no C text "
            f"can be read for it; known are {', '.join(_FAMILIES)}"
        ) from None


@cache
def macros(abi: Abi) -> Mapping[str, str]:
    """The macros that tell this ABI from others, and what they stand for.

    Raises :class:`KvmvizError` for an ABI of a family that is not known.
    """
    family = _family(abi)
    little, long = abi.byte_order == "little", abi.word_bits // 8
    order, name = ("1234", "LITTLE") if little else ("4321", "BIG")
    made = _widths(abi) | {
        "__BIGGEST_ALIGNMENT__": f"{family.biggest}",
        "__BYTE_ORDER__": order,
        "__FLOAT_WORD_ORDER__": order,
        "__BYTE_ORDER": order,
        f"__{name}_ENDIAN": order,
        f"__{name}_ENDIAN_BITFIELD": "",
        "__BITS_PER_LONG": f"{8 * long}",
    }
    words = [*family.macros.split(), *(family.little if little else family.big).split()]
    if abi.family != "m68k":
        # For m68k there is gcc; clang, which is here for the others, says these of each.
        words += [f"__{name}_ENDIAN__"]
        words += ["__LP64__", "_LP64"] if long == 8 else ["__ILP32__", "_ILP32"]
    words += [] if abi.char_signed else ["__CHAR_UNSIGNED__"]
    made |= dict.fromkeys(words, "1")
    if long == 8:
        made["__SIZEOF_INT128__"] = "16"
    if abi.family == "mips":
        made |= dict.fromkeys(("__mips", "_MIPS_SZINT", "_MIPS_SZLONG", "_MIPS_SZPTR"), "32")
    if abi.family == "riscv64":
        made["__riscv_xlen"] = "64"
    return made


def _widths(abi: Abi) -> dict[str, str]:
    """Macros that tell a text how wide those types are that differ."""
    bits, unsigned = abi.word_bits, "__WCHAR_UNSIGNED__" in _family(abi).macros
    unknown = "sizeof(long double)"  # no number: a text that asks waits for what is not known
    made = {
        "__SIZEOF_LONG_DOUBLE__": f"{abi.long_double // 8}" if abi.long_double else unknown,
        "__WCHAR_MAX__": "4294967295U" if unsigned else "2147483647",
        "__WCHAR_TYPE__": "unsigned int" if unsigned else "int",
        "__SIZE_MAX__": f"{(1 << bits) - 1}UL",
        "__UINTPTR_MAX__": f"{(1 << bits) - 1}UL",
        "__SIZE_WIDTH__": f"{bits}",
    }
    for name in ("LONG", "POINTER", "SIZE_T", "PTRDIFF_T"):
        made[f"__SIZEOF_{name}__"] = f"{bits // 8}"
    for name in ("LONG", "INTPTR", "PTRDIFF"):
        made[f"__{name}_MAX__"] = f"{(1 << bits - 1) - 1}L"
        made[f"__{name}_WIDTH__"] = f"{bits}"
    return made


@cache
def names() -> frozenset[str]:
    """All macros that some ABI has and another has not, or has otherwise."""
    every = [macros(abi) for abi in ABIS.values()]
    found = {name for one in every for name in one}
    return frozenset(name for name in found if len({one.get(name) for one in every}) > 1) | {
        "__SIZEOF_LONG__"
    }


TOLD: Mapping[str, str] = {
    "long": "__SIZEOF_LONG__",
    "char": "__CHAR_UNSIGNED__",
    "wide": "__WCHAR_UNSIGNED__",
}
"""What an expression asks of its target, by the macro that tells C of it."""


def answers(abi: Abi) -> Mapping[str, int]:
    """What the ABI answers to an expression: see :data:`kvmviz.c.arithmetic.OTHERS`."""
    given = macros(abi)
    signs = {name: int(TOLD[name] not in given) for name in ("char", "wide")}
    return {"long": abi.word_bits, **signs, "enum": 0}


def kernel(name: str, abi: Abi) -> str:
    """What a type of Linux is that differs by architecture; empty for what is none."""
    return _family(abi).kernel.get(name) or _KERNEL.get(name, "")


What = str | tuple[str | int, ...]
"""What is asked of a type: the word for it, or the path to a member whose offset it is."""


class Facts:
    """What a text asked of its target while it was read: it reads alike where answers are alike.

    ``macros`` are those of :func:`names`, ``kernel`` the types of :func:`kernel`; ``sizes`` are
    types with what was said of them, None where that is an error.
    """

    def __init__(self) -> None:
        self.macros: dict[str, str | None] = {}
        self.kernel: dict[str, str] = {}
        self.sizes: list[tuple[Type, What, int | None]] = []

    def hold(self, abi: Abi) -> bool:
        """Whether this ABI gives the same answers."""
        given = macros(abi)
        return (
            all(given.get(name) == value for name, value in self.macros.items())
            and all(kernel(name, abi) == value for name, value in self.kernel.items())
            and all(_measured(kind, what, abi) == value for kind, what, value in self.sizes)
        )

    def tell(self, what: str, abi: Abi) -> None:
        """One of :data:`TOLD` has been asked."""
        self.macros[TOLD[what]] = macros(abi).get(TOLD[what])

    def typedef(self, name: str, abi: Abi) -> str:
        """What a type of Linux is that differs by architecture; from now on it is a fact."""
        found = kernel(name, abi)
        if found:
            self.kernel[name] = found
        return found

    def ask(self, kind: Type, what: What, abi: Abi) -> int:
        """Size, alignment or a member's offset of a type, in bytes; from now on it is a fact."""
        found = _measured(kind, what, abi)
        if found is None or not (isinstance(kind, Scalar) and kind.bits and what == "sizeof"):
            self.sizes.append((kind, what, found))
        return measure(kind, what, abi) if found is None else found


def _measured(kind: Type, what: What, abi: Abi) -> int | None:
    with suppress(KvmvizError):
        return measure(kind, what, abi)
    return None


def measure(kind: Type, what: What, abi: Abi) -> int:
    """What C says of a type: ``sizeof``, an alignment, or the offset of what a path leads to.

    ``__alignof__`` is what a variable has, ``_Alignof`` what a member has (gcc manual, Alignment):
    on i386, integers and floats of 64 bits have 8 and 4.
    """
    if isinstance(what, str):
        leaf = kind.leaf
        if what == "__alignof__" and abi.family == "i386" and isinstance(leaf, Scalar):
            wide = leaf.on(abi).size == 8 and not leaf.align
            return 8 if wide else extent(leaf, abi)[1]
        return extent(kind, abi)[what != "sizeof"]
    found = member(kind, what, abi)
    if found is None:
        raise KvmvizError(f"{kind} has no such member on {abi.name}")
    return found[1]


def member(kind: Type, path: Sequence[str | int], abi: Abi) -> tuple[Type, int] | None:
    """Type and byte offset of what a path leads to; None for what has none, as a bit-field."""
    offset = 0
    for step in path:
        if isinstance(step, int):
            if not isinstance(kind, Array):
                return None
            kind = kind.element
            offset += step * extent(kind, abi)[0]
        else:
            field = kind.layout(abi).named.get(step) if isinstance(kind, Struct) else None
            if field is None or field.bits is not None:
                return None
            kind, offset = field.type, offset + field.offset
    return kind, offset

"""What a compiler has defined before it reads a text: the macros by which C knows its target.

The names are those of gcc and clang for Linux (``-dM -E``), and those of the kernel's
asm/byteorder.h and asm/bitsperlong.h, which differ by architecture. ``__KERNEL__`` and
``__cplusplus`` are not defined: a text is read as a program in C reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from kvmviz._base import KvmvizError
from kvmviz.abi import ABIS, Abi
from kvmviz.c import widths
from kvmviz.c.sizes import member
from kvmviz.ctype import Scalar, Type
from kvmviz.rules import extent

_FAMILIES: Mapping[str, str] = {
    "arm64": "__aarch64__ __WCHAR_UNSIGNED__ __ARM_64BIT_STATE",
    "x86-64": "__x86_64__ __x86_64 __amd64__ __amd64",
    "i386": "__i386__ __i386 i386",
    "arm": "__arm__ __WCHAR_UNSIGNED__ __arm __ARM_EABI__ __ARM_32BIT_STATE",
    "ppc64": "__powerpc__ __powerpc64__ __PPC__ __PPC64__ _ARCH_PPC _ARCH_PPC64",
    "ppc32": "__powerpc__ __PPC__ _ARCH_PPC",
    "s390x": "__s390__ __s390x__ __zarch__",
    "m68k": "__m68k__ __mc68000__",
    "mips": "__mips__ _mips mips _ABIO32 _MIPS_SIM __mips_o32",
    "riscv64": "__riscv",
}
_BY_ORDER: Mapping[str, tuple[str, str]] = {
    "arm64": ("__AARCH64EL__", "__AARCH64EB__"),
    "arm": ("__ARMEL__", "__ARMEB__"),
    "ppc64": ("_LITTLE_ENDIAN", "_BIG_ENDIAN"),
    "ppc32": ("_LITTLE_ENDIAN", "_BIG_ENDIAN"),
    "mips": ("__MIPSEL__ _MIPSEL __MIPSEL MIPSEL", "__MIPSEB__ _MIPSEB __MIPSEB MIPSEB"),
}

COMMON: Mapping[str, str] = {
    "__STDC__": "1",
    "__STDC_VERSION__": "201112L",
    "__STDC_HOSTED__": "1",
    "__STDC_UTF_16__": "1",
    "__STDC_UTF_32__": "1",
    "__GNUC_STDC_INLINE__": "1",
    "__FINITE_MATH_ONLY__": "0",
    "__GNUC__": "12",
    "__GNUC_MINOR__": "2",
    "__GNUC_PATCHLEVEL__": "0",
    "__linux__": "1",
    "__linux": "1",
    "linux": "1",
    "unix": "1",
    "__unix": "1",
    "__gnu_linux__": "1",
    "__unix__": "1",
    "__ELF__": "1",
    "__CHAR_BIT__": "8",
    "__ORDER_LITTLE_ENDIAN__": "1234",
    "__ORDER_BIG_ENDIAN__": "4321",
    "__ORDER_PDP_ENDIAN__": "3412",
    "__SIZE_TYPE__": "unsigned long",
    "__PTRDIFF_TYPE__": "long",
    "__INTPTR_TYPE__": "long",
    "__UINTPTR_TYPE__": "unsigned long",
    "__INTMAX_TYPE__": "long long",
    "__UINTMAX_TYPE__": "unsigned long long",
    "__CHAR16_TYPE__": "unsigned short",
    "__CHAR32_TYPE__": "unsigned int",
    "__WINT_TYPE__": "unsigned int",
    **{
        name: f"{sign}{word}"
        for word, bits in (("char", 8), ("short", 16), ("int", 32), ("long long", 64))
        for name, sign in (
            (f"__INT{bits}_TYPE__", "signed "),
            (f"__UINT{bits}_TYPE__", "unsigned "),
            (f"__INT_LEAST{bits}_TYPE__", "signed "),
            (f"__UINT_LEAST{bits}_TYPE__", "unsigned "),
        )
    },
}
"""Macros that are the same on every ABI."""

ANNOTATIONS = """
#define __user
#define __kernel
#define __force
#define __iomem
#define __rcu
#define __bitwise
#define __bitwise__
#define __nonstring
#define __private
#define __counted_by(m)
#define __counted_by_le(m)
#define __counted_by_be(m)
#define __counted_by_ptr(m)
#define __packed __attribute__((__packed__))
#define __aligned(x) __attribute__((__aligned__(x)))
#define __aligned_u64 __u64 __attribute__((aligned(8)))
#define __aligned_s64 __s64 __attribute__((aligned(8)))
#define __aligned_be64 __be64 __attribute__((aligned(8)))
#define __aligned_le64 __le64 __attribute__((aligned(8)))
#define __struct_group_tag(TAG) TAG
#define __struct_group(TAG, NAME, ATTRS, MEMBERS...) \\
 union { struct { MEMBERS } ATTRS; struct TAG { MEMBERS } ATTRS NAME; } ATTRS
#define __DECLARE_FLEX_ARRAY(TYPE, NAME) \\
 struct { struct { } __empty_ ## NAME; TYPE NAME[]; }
#define DECLARE_FLEX_ARRAY(TYPE, NAME) __DECLARE_FLEX_ARRAY(TYPE, NAME)
"""
"""The kernel's own words, as its linux/compiler_types.h and linux/stddef.h have them.

They hold where a text says nothing else about them.
"""


@cache
def macros(abi: Abi) -> Mapping[str, str]:
    """The macros that tell this ABI from others, and what they stand for."""
    little, long = abi.byte_order == "little", abi.word_bits // 8
    order, name = ("1234", "LITTLE") if little else ("4321", "BIG")
    made = widths.macros(abi) | {
        "__BYTE_ORDER__": order,
        "__FLOAT_WORD_ORDER__": order,
        "__BYTE_ORDER": order,
        f"__{name}_ENDIAN": order,
        f"__{name}_ENDIAN_BITFIELD": "",
        "__BITS_PER_LONG": f"{8 * long}",
    }
    words = _FAMILIES.get(abi.family, "").split()
    words += _BY_ORDER.get(abi.family, ("", ""))[not little].split()
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
    made["__WCHAR_TYPE__"] = "unsigned int" if "__WCHAR_UNSIGNED__" in made else "int"
    if abi.family == "riscv64":
        made["__riscv_xlen"] = "64"
    return made


@cache
def names() -> frozenset[str]:
    """All macros that some ABI has and another has not, or has otherwise."""
    every = [macros(abi) for abi in ABIS.values()]
    found = {name for one in every for name in one}
    return frozenset(name for name in found if len({one.get(name) for one in every}) > 1) | {
        "__SIZEOF_LONG__"
    }


What = str | tuple[str | int, ...]
"""What is asked of a type: the word for it, or the path to a member whose offset it is."""


@cache
def common() -> Mapping[str, str]:
    """All macros that stand for the same on every ABI."""
    some = macros(next(iter(ABIS.values())))
    return {**COMMON, **{name: some[name] for name in some if name not in names()}}


class Facts:
    """What a text asked of its target while it was read: it reads alike where answers are alike.

    ``macros`` are those of :func:`names`; ``sizes`` are types with what was said of them.
    """

    def __init__(self) -> None:
        self.macros: dict[str, str | None] = {}
        self.sizes: list[tuple[Type, What, int]] = []

    def hold(self, abi: Abi) -> bool:
        """Whether this ABI gives the same answers."""
        given = macros(abi)
        return all(given.get(name) == value for name, value in self.macros.items()) and all(
            measure(kind, what, abi) == value for kind, what, value in self.sizes
        )

    def ask(self, kind: Type, what: What, abi: Abi) -> int:
        """Size, alignment or a member's offset of a type, in bytes; from now on it is a fact."""
        found = measure(kind, what, abi)
        if not (isinstance(kind, Scalar) and kind.bits and what == "sizeof"):
            self.sizes.append((kind, what, found))
        return found


def measure(kind: Type, what: What, abi: Abi) -> int:
    """What C says of a type: ``sizeof``, an alignment, or the offset of what a path leads to.

    ``__alignof__`` is what a variable has, ``_Alignof`` what a member has (gcc manual, Alignment):
    on i386, integers and floats of 64 bits have 8 and 4.
    """
    if isinstance(what, str):
        leaf = kind.leaf
        if what == "__alignof__" and abi.family == "i386" and isinstance(leaf, Scalar):
            return leaf.align or leaf.on(abi).size
        return extent(kind, abi)[what != "sizeof"]
    found = member(kind, what, abi)
    if found is None:
        raise KvmvizError(f"{kind} has no such member on {abi.name}")
    return found[1]

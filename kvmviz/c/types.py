"""Names of types that need no declaration, and what headers say of types that nobody gives.

A name is here if it has one layout on each ABI whatever the C library. ``struct timespec`` is
not: on 32 bits, its ``tv_sec`` has 32 bits or 64. Texts of headers are as glibc, the compilers and
Linux have them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from operator import attrgetter

from kvmviz.abi import Abi, ByteOrder
from kvmviz.c.source import by_name, word_set
from kvmviz.c.target import Facts
from kvmviz.ctype import POINTER, SCALARS, Member, Scalar, Struct, Type

_HERE = files("kvmviz.c")
KERNEL = (_HERE / "kernel.h").read_text("utf-8")
COMPILER = (_HERE / "compiler.h").read_text("utf-8")
"""What holds where a text says nothing else."""


def _given(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, str]]:
    for one in sorted(folder.iterdir(), key=lambda one: one.name):
        if one.is_dir():
            yield from _given(one, f"{prefix}{one.name}/")
        else:
            yield f"{prefix}{one.name}", one.read_text("utf-8")


GIVEN: Mapping[str, str] = dict(_given(_HERE / "include"))
"""Texts of headers by name: of each, what a layout needs."""
SETTLED = ("asm/bitsperlong.h", "asm/byteorder.h")
"""Headers of one architecture: kvmviz.c.target knows them all, so no other text of them is read."""
HEADERS = word_set("""
    linux/types.h linux/stddef.h linux/compiler.h linux/compiler_types.h linux/posix_types.h
    asm/posix_types.h asm/types.h asm-generic/int-ll64.h linux/byteorder/little_endian.h
    linux/byteorder/big_endian.h linux/limits.h stdint.h inttypes.h stddef.h stdbool.h endian.h
    limits.h stdalign.h linux/time.h linux/time_types.h pshpack1.h pshpack2.h pshpack4.h pshpack8.h
    poppack.h
""")
"""Headers of which all that a layout needs is known, so that nobody misses them."""

_SAME = by_name({
    "int": "pid_t key_t clockid_t __kernel_pid_t __kernel_key_t __kernel_mqd_t __kernel_timer_t "
    "__kernel_clockid_t __kernel_rwf_t __kernel_daddr_t",
    "unsigned int": "uint uid_t gid_t socklen_t id_t "
    "__kernel_uid32_t __kernel_gid32_t __kernel_dev_t __wsum __poll_t",
    "unsigned short": "u_short ushort sa_family_t "
    "__kernel_sa_family_t __kernel_uid16_t __kernel_gid16_t __sum16",
    "long": "ptrdiff_t intptr_t __kernel_long_t __kernel_off_t __kernel_old_time_t "
    "__kernel_clock_t __kernel_ssize_t __kernel_ptrdiff_t __kernel_time_t __kernel_suseconds_t",
    "unsigned long": "u_long ulong __kernel_ulong_t __kernel_size_t",
    "long long": "__kernel_loff_t __kernel_time64_t loff_t",
    "unsigned long long": "__kernel_uoff_t",
    "char *": "__kernel_caddr_t __kernel_sighandler_t",
    "unsigned char": "u_char u_int8_t",
    "__u16": "u_int16_t",
    "__u32": "u_int32_t u_int",
    "__u64": "u_int64_t",
    "__be32": "in_addr_t",
    "__be16": "in_port_t",
})  # fmt: skip
"""Names for scalars that headers give, and that no text needs to explain."""


_ALIKE = attrgetter("bits", "signed", "kind", "align")
"""By what C tells two scalars apart: neither a name nor a byte order."""


@dataclass
class Kind:
    """A type of the text; ``type`` is None until its definition is complete.

    ``weight`` counts the bytes of all its members. A member or an element without bytes weighs 1:
    it is work all the same.
    """

    name: str
    type: Type | None = None
    weight: int = 0

    def is_same(self, other: Kind) -> bool:
        """Whether both are one type: a name may be given to it twice."""
        first, second = self.type, other.type
        if isinstance(first, Scalar) and isinstance(second, Scalar):
            return _ALIKE(first) == _ALIKE(second)
        return self is other or (first is not None and first == second)


FLOATS = ("__float128", "_Float128")
"""Types of which only pointers are read."""
WORDS = word_set("""
    void char short int long signed unsigned float double _Bool _Complex _Imaginary __int128
    __float128 _Float128 _Float64 _Float32 _Decimal32 _Decimal64 _Decimal128
""")
"""Words of which types are made."""
_SPELLED = {"int long": "long", "int short": "short", "int long long": "long long",
            "double long": "long double"}  # fmt: skip
_ORDERED = re.compile(r"__([lb])e(?:16|32|64)")


def named(title: str, facts: Facts, abi: Abi) -> Kind | None:
    """The type that a name stands for where no text says what it is."""
    if title == "void" or title in FLOATS:
        return Kind(title)
    if title == "__kernel_fsid_t":
        return Kind(title, Struct(title, {"val": "int[2]"}), 8)
    found = _typedefs().get(title) or SCALARS.get(title)
    found = found or SCALARS.get(facts.typedef(title, abi) or ordered(title.split()))
    return Kind(title, found, found.size or 8) if found else None


def annotated(name: str, kind: Kind, facts: Facts, abi: Abi) -> Kind | None:
    """An integer that a typedef calls by a name with a byte order, ``__be32``; else None.

    The name decides, however the integer is spelled: to a compiler both orders are one type.
    """
    match, found = _ORDERED.fullmatch(name), kind.type
    if match is None or not isinstance(found, Scalar) or found.kind != "integer":
        return None
    if not found.bits:
        facts.tell("long", abi)
    own = found.on(abi)
    order: ByteOrder = "little" if match[1] == "l" else "big"
    known = SCALARS[name]
    same = (own.bits, own.signed) == (known.bits, known.signed)
    made = replace(known, align=own.align) if same else replace(own, name=name, order=order)
    return replace(kind, name=name, type=made)


def ordered(words: Sequence[str]) -> str:
    """The words of a type, which C takes in any order, in one order."""
    sign = [word for word in words if word in ("signed", "unsigned")]
    size = " ".join(sorted(word for word in words if word not in sign)) or "int"
    return " ".join([*sign, _SPELLED.get(size, size)]) if words else ""


@cache
def _typedefs() -> Mapping[str, Scalar]:
    found = {name: SCALARS.get(kind, POINTER) for name, kind in _SAME.items()}
    # linux/types.h: aligned(16), which tells on s390x.
    return found | {name: replace(SCALARS[name], align=16) for name in ("__s128", "__u128")}


@cache
def structs() -> Mapping[str, Struct]:
    """Structs of headers, by what C calls them."""
    family = Struct("", {"ss_family": "__u16", "__data": "char[126]"})
    storage = Member(None, Struct("", [Member(None, family), ("__align", POINTER)], union=True))
    in_addr = Struct("in_addr", {"s_addr": "__be32"})
    words = {"u6_addr8": "__u8[16]", "u6_addr16": "__be16[8]", "u6_addr32": "__be32[4]"}
    in6_addr = Struct("in6_addr", {"in6_u": Struct("", words, union=True)})
    port = [("sin_family", "__u16"), ("sin_port", "__be16")]
    port6 = [("sin6_family", "__u16"), ("sin6_port", "__be16"), ("sin6_flowinfo", "__be32")]
    made = (
        in_addr,
        in6_addr,
        Struct("sockaddr", {"sa_family": "__u16", "sa_data": "char[14]"}),
        Struct("__kernel_sockaddr_storage", [storage]),
        Struct("sockaddr_storage", [storage]),
        Struct("sockaddr_in", [*port, ("sin_addr", in_addr), ("sin_zero", "unsigned char[8]")]),
        Struct("sockaddr_in6", [*port6, ("sin6_addr", in6_addr), ("sin6_scope_id", "__u32")]),
        Struct("__kernel_timespec", {"tv_sec": "long long", "tv_nsec": "long long"}),
        Struct("__kernel_old_timeval", {"tv_sec": "long", "tv_usec": "long"}),
        Struct("__kernel_old_timespec", {"tv_sec": "long", "tv_nsec": "long"}),
        Struct("__kernel_sock_timeval", {"tv_sec": "__s64", "tv_usec": "__s64"}),
        Struct("__kernel_timex_timeval", {"tv_sec": "long long", "tv_usec": "long long"}),
        Struct("iovec", [("iov_base", POINTER), ("iov_len", "size_t")]),
    )
    return {f"struct {struct.tag}": struct for struct in made}

"""What kvmviz knows of headers without reading them: only what is the same for every program.

A type is here if it has one layout on each ABI whatever the C library. ``struct timespec`` is
not: on 32 bits, its ``tv_sec`` has 32 bits or 64.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from kvmviz.ctype import POINTER, SCALARS, Array, Member, Scalar, Struct

SETTLED: Mapping[str, str] = {
    "asm/bitsperlong.h": "",
    "asm/byteorder.h": """
#ifdef __LITTLE_ENDIAN_BITFIELD
#include <linux/byteorder/little_endian.h>
#else
#include <linux/byteorder/big_endian.h>
#endif
""",
}
"""What stands in headers of one architecture: kvmviz.c.target knows them all, so none is read."""
HEADERS = frozenset(
    re.findall(
        r"\S+",
        """
        linux/types.h linux/stddef.h linux/compiler.h linux/compiler_types.h linux/posix_types.h
        asm/posix_types.h asm/types.h asm-generic/int-ll64.h linux/byteorder/little_endian.h
        linux/byteorder/big_endian.h linux/limits.h stdint.h inttypes.h stddef.h stdbool.h endian.h
        limits.h stdalign.h
        """,
    )
)
"""Headers of which all that a layout needs is known, so that nobody misses them."""

_SAME: Mapping[str, str] = {
    "int": "pid_t key_t clockid_t __kernel_pid_t __kernel_key_t __kernel_mqd_t __kernel_timer_t "
    "__kernel_clockid_t __kernel_rwf_t",
    "unsigned int": "uint uid_t gid_t socklen_t id_t "
    "__kernel_uid32_t __kernel_gid32_t __wsum __poll_t",
    "unsigned short": "u_short ushort sa_family_t "
    "__kernel_sa_family_t __kernel_uid16_t __kernel_gid16_t __sum16",
    "long": "ptrdiff_t intptr_t __kernel_long_t __kernel_off_t __kernel_old_time_t "
    "__kernel_clock_t __kernel_ssize_t __kernel_ptrdiff_t __kernel_time_t",
    "unsigned long": "u_long ulong __kernel_ulong_t __kernel_size_t",
    "long long": "__kernel_loff_t __kernel_time64_t loff_t",
    "char *": "__kernel_caddr_t",
    "unsigned char": "u_char u_int8_t",
    "__u16": "u_int16_t",
    "__u32": "u_int32_t u_int",
    "__u64": "u_int64_t",
    "__be32": "in_addr_t",
    "__be16": "in_port_t",
}


@cache
def typedefs() -> Mapping[str, Scalar]:
    """Names for scalars that headers give, and that no text needs to explain."""
    found = {
        name: POINTER if kind == "char *" else SCALARS[kind]
        for kind, row in _SAME.items()
        for name in row.split()
    }
    # linux/types.h: aligned(16), which tells on s390x.
    return found | {name: replace(SCALARS[name], align=16) for name in ("__s128", "__u128")}


@cache
def structs() -> Mapping[str, Struct]:
    """Structs of headers, by what C calls them."""
    data = Struct(
        "",
        [
            Member(None, Struct("", {"ss_family": "__u16", "__data": "char[126]"})),
            Member("__align", POINTER),
        ],
        union=True,
    )
    in_addr = Struct("in_addr", {"s_addr": "__be32"})
    bytes6 = Struct(
        "",
        {"u6_addr8": "__u8[16]", "u6_addr16": "__be16[8]", "u6_addr32": "__be32[4]"},
        union=True,
    )
    in6_addr = Struct("in6_addr", [("in6_u", bytes6)])
    made = (
        Struct("sockaddr", {"sa_family": "__u16", "sa_data": "char[14]"}),
        Struct("__kernel_sockaddr_storage", [Member(None, data)]),
        Struct("sockaddr_storage", [Member(None, data)]),
        in_addr,
        in6_addr,
        Struct(
            "sockaddr_in",
            [
                ("sin_family", "__u16"),
                ("sin_port", "__be16"),
                ("sin_addr", in_addr),
                ("sin_zero", Array(SCALARS["unsigned char"], 8)),
            ],
        ),
        Struct(
            "sockaddr_in6",
            [
                ("sin6_family", "__u16"),
                ("sin6_port", "__be16"),
                ("sin6_flowinfo", "__be32"),
                ("sin6_addr", in6_addr),
                ("sin6_scope_id", "__u32"),
            ],
        ),
        Struct("__kernel_timespec", {"tv_sec": "long long", "tv_nsec": "long long"}),
        Struct("__kernel_old_timeval", {"tv_sec": "long", "tv_usec": "long"}),
        Struct("iovec", [("iov_base", POINTER), ("iov_len", "size_t")]),
    )
    return {f"struct {struct.tag}": struct for struct in made}

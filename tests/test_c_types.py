"""Names of types that no text needs to explain: byte orders, and the kernel's own types."""

from __future__ import annotations

import re

import pytest

from kvmviz import ABIS, parse
from kvmviz.c import unit
from kvmviz.ctype import Scalar
from tests import compilers, proof_orders, uapi

LONG = "typedef unsigned long __u64; "

ORDERED: list[tuple[str, str]] = [
    # declarations, and the order of member m of struct s
    ("struct s { __le64 m; };", "little"),
    (LONG + "typedef __u64 __bitwise __le64; struct s { __le64 m; };", "little"),
    (LONG + "typedef __u64 __be64; struct s { __be64 m; };", "big"),
    ("typedef unsigned long __be64; struct s { __be64 m; };", "big"),
    ("typedef long unsigned int __le64; struct s { __le64 m; };", "little"),
    ("typedef unsigned long long __le64; struct s { __le64 m; };", "little"),
    ("typedef __UINT64_TYPE__ __be64; struct s { __be64 m; };", "big"),
    ("typedef uint32_t __be32; struct s { __be32 m; };", "big"),
    ("typedef unsigned short __le16; struct s { __le16 m[3]; };", "little"),
    (LONG + "typedef __u64 a; typedef a __le64; typedef __le64 b; typedef b c; struct s { c m; };",
     "little"),
    (LONG + "typedef __u64 __be64; typedef __be64 a[2]; struct s { a m[3]; };", "big"),
    (LONG + "typedef __u64 __be64; struct t { struct { __be64 m; } n[2]; }; struct s { u8 a; "
     "struct t b; };", "big"),
    (LONG + "typedef __u64 __le64; struct s { union { __le64 m; u8 raw[8]; }; };", "little"),
    (LONG + "typedef __u64 __be64 __attribute__((aligned(4))); struct s { __be64 m; };", "big"),
    (LONG + "typedef __u64 __be64; struct s { __be64 m __attribute__((packed)); };", "big"),
    (LONG + "typedef __u64 __be64; struct s { u8 a; __aligned_be64 m; };", "big"),
    (LONG + "typedef __u64 __virtio64; struct s { __virtio64 m; };", ""),
    ("typedef __u16 __bitwise __virtio16; struct s { __virtio16 m; };", ""),
    ("typedef struct { u8 b[4]; } __be32; struct s { __be32 m; };", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "order"), ORDERED, ids=range(len(ORDERED)))
def test_an_annotated_type_keeps_its_order_on_every_abi(text: str, order: str) -> None:
    struct = parse(text)["s"]
    for abi in ABIS:
        slots = [slot for slot in struct.layout(abi).slots if ".m" in f".{slot.path}"]
        assert slots
        for slot in slots:
            kind = slot.type.leaf if slot.type else None
            assert isinstance(kind, Scalar)
            assert (kind.order or "") == order, abi


def test_headers_of_the_machine_keep_their_orders() -> None:
    if not uapi.bundle():
        pytest.skip("needs ziglang's headers")
    assert proof_orders.walk(60) == []


KERNEL = re.findall(
    r"\w+",
    """
    mode_t ipc_pid_t uid_t gid_t old_uid_t old_gid_t old_dev_t ino_t suseconds_t daddr_t pid_t
    key_t uid32_t gid32_t uid16_t gid16_t size_t ssize_t ptrdiff_t off_t loff_t old_time_t time_t
    time64_t clock_t timer_t clockid_t mqd_t long_t ulong_t
    """,
)


@pytest.mark.parametrize("abi", compilers.every_abi())
def test_kernel_types_are_those_of_each_architectures_headers(abi: str) -> None:
    folder = uapi.bundle()
    if folder is None:
        pytest.skip("needs ziglang's headers")
    found = parse("".join(f"struct s_{name} {{ __kernel_{name} m; }};\n" for name in KERNEL))
    asked = []
    for name in KERNEL:
        slot = found[f"s_{name}"].layout(abi).slots[0]
        assert isinstance(slot.type, Scalar)
        full = f"__kernel_{name}"
        sign = int(bool(slot.type.signed))
        asked.append(f"sizeof({full}) == {slot.size} && (({full})-1 < 0) == {sign}")
    # gcc for m68k brings no headers of Linux along.
    own = [f"{folder}/m68k-linux-any", f"{folder}/any-linux-any"] if abi == "m68k" else []
    flags = (*uapi.FLAGS, *(word for path in own for word in ("-isystem", path)))
    include = "#include <linux/posix_types.h>\n"
    rows = [("unsigned char", one) for one in asked]
    told = compilers.probe(abi, include, (), rows, flags=flags)
    wrong = [name for name, image in zip(KERNEL, told.images, strict=True) if image != b"\1"]
    assert wrong == []


@pytest.mark.parametrize("title", [name for name, one in unit.undeclared().items() if one.type])
def test_a_member_of_any_known_type_is_read_back(title: str) -> None:
    found = parse(f"struct s {{ {title} a; }};")
    assert parse(repr(found["s"])) == found


# As in asm-generic/ipcbuf.h, linux/ipc.h, asm-generic/msgbuf.h and linux/timex.h.
ALONE = """
#include <linux/time.h>
struct ipc_perm { __kernel_key_t key; __kernel_uid_t uid; __kernel_gid_t gid; __kernel_uid_t cuid;
 __kernel_gid_t cgid; __kernel_mode_t mode; unsigned short seq; };
struct ipc64_perm { __kernel_key_t key; __kernel_uid32_t uid; __kernel_gid32_t gid;
 __kernel_uid32_t cuid; __kernel_gid32_t cgid; __kernel_mode_t mode;
 unsigned char __pad1[4 - sizeof(__kernel_mode_t)]; unsigned short seq; unsigned short __pad2;
 __kernel_ulong_t __unused1; __kernel_ulong_t __unused2; };
struct msqid64_ds { struct ipc64_perm msg_perm;
#if __BITS_PER_LONG == 64
 long msg_stime, msg_rtime, msg_ctime;
#else
 unsigned long msg_stime, msg_stime_high, msg_rtime, msg_rtime_high, msg_ctime, msg_ctime_high;
#endif
 unsigned long msg_cbytes, msg_qnum, msg_qbytes; __kernel_pid_t msg_lspid, msg_lrpid;
 unsigned long __unused4, __unused5; };
struct timex { unsigned int modes; __kernel_long_t offset; struct timeval time;
 __kernel_long_t tick; int :32; };
"""
SIZES = {
    # ipc_perm, ipc64_perm, msqid64_ds, timex
    "x86_64": (28, 48, 120, 48),
    "i386": (16, 36, 88, 24),
    "m68k": (16, 36, 88, 24),
    "s390x": (28, 48, 120, 48),
    "ppc32": (28, 36, 88, 24),
}


@pytest.mark.parametrize("abi", SIZES)
def test_structs_of_kernel_types_need_no_header(abi: str) -> None:
    assert tuple(row.layout(abi).size for row in parse(ALONE).values()) == SIZES[abi]

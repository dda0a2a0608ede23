"""Exercises on structs that kernels and programs share, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from kvmviz.abi import ABIS
from kvmviz.layout import Layout
from kvmviz.learn.grading import (
    Judge,
    bits_alike,
    breaking,
    first_struct,
    form,
    holes,
    safe,
    shared,
    with_one,
    with_room,
)
from kvmviz.verdict import compare


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    ``given`` is C, with a caption where there is a version before and one after, and ``start``
    what stands in the answer field at first.

    ``hints`` come one at a time; ``solution`` is one answer of those that are right, and ``why``
    what there is to say once it is on the table.
    """

    name: str
    title: str
    task: str
    given: str
    start: str
    judge: Judge
    hints: tuple[str, ...]
    solution: str
    why: str


JOB = """\
struct job {
    __u8  kind;
    __u32 id;
    __u16 length;
    __u64 address;
    __u8  done;
};
"""

WATCH = """\
struct watch {
    __u32 id;
    __u64 address;
    __aligned_u64 length;
    __u32 flags;
};
"""

BUFFER = """\
struct buffer {
    __u64 address;
    __u32 length;
    __u32 flags;
    __u8  kind;
};
"""
BUFFER_BAD = BUFFER.replace("__u32 length", "__u64 length")

DEBUG = """\
struct kvm_debug_exit_arch {
    __u32 hsr;
    __u64 far;
};
"""
DEBUG_HIGH = DEBUG.replace("hsr;\n", "hsr;\n    __u32 hsr_high;\n")

EVENT = """\
struct system_event {
    __u32 type;
    __u64 flags;
};
"""
EVENT_NDATA = """\
struct system_event {
    __u32 type;
    __u32 ndata;
    union {
        __u64 flags;
        __u64 data[16];
    };
};
"""

EPOLL = """\
struct epoll_event {
    __u32 events;
    __u64 data;
};
"""

MEM = """\
union perf_mem_data_src {
    __u64 val;
    struct {
        __u64 mem_op:5,
              mem_lvl:14,
              mem_snoop:5,
              mem_lock:2,
              mem_dtlb:7,
              mem_rsvd:31;
    };
};
"""

CLOCK = """\
struct kvm_clock_data {
    __u64 clock;
    __u32 flags;
    __u32 pad[9];
};
"""

CONTROL = """\
struct __snd_pcm_mmap_control64 {
    char __pad1[4];
    unsigned long appl_ptr;
    char __pad2[4];
    char __pad3[4];
    unsigned long avail_min;
};
"""
CONTROL_64 = """\
struct __snd_pcm_mmap_control64 {
    unsigned long appl_ptr;
    unsigned long avail_min;
};
"""


def _versions(before: str, after: str = "") -> str:
    """Both versions under their captions; the answer field has the other where one is missing."""
    return f"before:\n{before}" + (f"\nafter:\n{after}" if after else "")


def _only(text: str, abi: str) -> Layout:
    return first_struct(text).layout(abi)


_ROWS = (
    Exercise(
        "hole",
        "Find the holes",
        "Which bytes of struct job hold no member on aarch64? Give their offsets, as in 4..7, 12.",
        JOB,
        "",
        holes(JOB, "aarch64"),
        (
            "An integer's offset is a multiple of its size.",
            "Two holes lie between members. The third is behind the last one.",
            "The size of the struct is a multiple of its largest alignment, 8.",
        ),
        "1..3, 10..15, 25..31",
        "Three bytes before id, six before address, and seven of tail padding.",
    ),
    Exercise(
        "i386",
        "What i386 does to hsr_high",
        "arm64's struct gets __u32 hsr_high between hsr and far. Were it laid out by the rules of "
        "i386: where does far lie before and after, what is the alignment of a __u64 inside a "
        "struct there (the reason), and what does an old program find in far: intact, moved, "
        "foreign or unwritten?",
        _versions(DEBUG, DEBUG_HIGH),
        "offset of far before:\noffset of far after:\nalignment of __u64:\n"
        "far for an old program:\n",
        form(
            "i386",
            ("offset of far before", lambda: _only(DEBUG, "i386").offsets["far"]),
            ("offset of far after", lambda: _only(DEBUG_HIGH, "i386").offsets["far"]),
            ("alignment of __u64", lambda: ABIS["i386"].align(8)),
            (
                "far for an old program",
                lambda: compare(_only(DEBUG_HIGH, "i386"), _only(DEBUG, "i386")).fields["far"],
            ),
        ),
        (
            "i386 aligns no integer inside a struct to more than the size of a pointer.",
            "If far may start at the first multiple of that behind hsr, is there a hole?",
            "Where several verdicts apply, the worst counts; worst first: unwritten, foreign, "
            "moved, intact.",
        ),
        "offset of far before: 4\noffset of far after: 8\nalignment of __u64: 4\n"
        "far for an old program: foreign\n",
        "No hole, so the new member pushes far from 4 to 8. An old program takes hsr_high and half "
        "of far for far. The patch is safe because arm64's rules leave a hole there.",
    ),
    Exercise(
        "sixteen",
        "Add 16 bits and break nobody",
        "Add an integer of 16 bits to struct watch, so that on all of kvmviz's ABIs, in both byte "
        "orders, no program that exists breaks.",
        WATCH,
        WATCH,
        safe(WATCH, tuple(ABIS), with_one(16)),
        (
            "Size, alignment and every offset must stay, on every ABI.",
            "There is a hole after id, but not everywhere: i386 and m68k align address to less.",
            "__aligned_u64 is aligned to 8 on every ABI, and so is a struct that has one.",
        ),
        WATCH.replace("flags;\n", "flags;\n    __u16 extra;\n"),
        "Tail padding is there on every ABI because __aligned_u64 makes the size a multiple of 8. "
        "The kernel's guides would rather have those four bytes as an explicit reserved member.",
    ),
    Exercise(
        "repair",
        "Repair a widening",
        "length had to grow to 64 bits, and somebody turned __u32 length into __u64, as it stands "
        "in the answer. Write it so that 32 bits more, in integers wider than a byte, reach new "
        "programs and no program that exists breaks, on aarch64, aarch64_be, x86_64 and s390x.",
        _versions(BUFFER),
        BUFFER_BAD,
        safe(BUFFER, ("aarch64", "aarch64_be", "x86_64", "s390x"), with_room(32)),
        (
            "length itself must stay as it is, in place and width.",
            "The other half is a member of its own. Where are four bytes of padding?",
            "Draw struct buffer on a workbench: seven bytes at the end are padding.",
        ),
        BUFFER.replace("kind;\n", "kind;\n    __u32 length_high;\n"),
        "The compiler puts length_high at 20, into what was tail padding. A program must still be "
        "told when it holds something: an old writer leaves those bytes as they were.",
    ),
    Exercise(
        "event",
        "Who loses flags?",
        "KVM_EXIT_SYSTEM_EVENT, too, had a __u32 followed by a __u64. In April 2022 ndata went "
        "into the hole between them, and flags became the first of sixteen data words. Look at the "
        "struct alone. On which ABIs would an old program lose flags? Name them all, out of "
        f"{', '.join(ABIS)}.",
        _versions(EVENT, EVENT_NDATA),
        "",
        breaking(EVENT, EVENT_NDATA, "flags"),
        (
            "Where there is no hole, ndata pushes flags away.",
            "flags is lost where it was not at offset 8 before.",
            "Two ABIs align a __u64 inside a struct to less than 8.",
        ),
        "i386 m68k",
        "A capability, KVM_CAP_SYSTEM_EVENT_DATA, says once, before any exit, that the kernel "
        "fills in ndata; hsr_high has a flag: cleared when KVM_RUN enters, set by each debug exit.",
    ),
    Exercise(
        "epoll",
        "One layout for two ABIs",
        "A 64-bit x86 kernel serves 32-bit programs. Write struct epoll_event so that x86_64 lays "
        "it out as i386 does the given one, and arrays of it too.",
        EPOLL,
        EPOLL,
        shared(EPOLL, "i386", EPOLL, "x86_64", ("events", "data")),
        (
            "i386 has data at offset 4 and 12 bytes in all.",
            "An attribute can take alignment away from a struct.",
        ),
        EPOLL.replace("};", "} __attribute__((packed));"),
        "The kernel's header does so on x86-64 and nowhere else: 12 bytes there, 16 on arm64.",
    ),
    Exercise(
        "mem",
        "Bit-fields, declared twice",
        "The struct is declared for little-endian: mem_op holds bits 4:0 of val there. Write it "
        "for big-endian, so that every field holds the same bits of val on aarch64_be.",
        MEM,
        MEM,
        bits_alike(MEM, "val"),
        (
            "On big-endian, bit-fields are allocated from the most significant bit down.",
            "What must stand first, to get bits 63:33?",
        ),
        "union perf_mem_data_src {\n    __u64 val;\n    struct {\n        __u64 mem_rsvd:31,\n"
        "              mem_dtlb:7,\n              mem_lock:2,\n              mem_snoop:5,\n"
        "              mem_lvl:14,\n              mem_op:5;\n    };\n};\n",
        "perf_event.h has both declarations, under __LITTLE_ENDIAN_BITFIELD and "
        "__BIG_ENDIAN_BITFIELD. The kernel's guide, driver-api/ioctl.rst, advises against "
        "bit-fields in such structs.",
    ),
    Exercise(
        "pad",
        "A pad on the wrong side",
        "ALSA shares this struct, here as a 32-bit big-endian program (armeb) has it, with a "
        "64-bit kernel (aarch64_be), where the pads are empty and unsigned long has 64 bits. The "
        "program must find the low half of each number. On big-endian a 32-bit program needs a pad "
        "before each number and none behind. One pad here should not be there on big-endian: write "
        "the struct as it should have been.",
        CONTROL,
        CONTROL,
        shared(CONTROL_64, "aarch64_be", CONTROL, "armeb", ("appl_ptr", "avail_min")),
        (
            "The kernel has appl_ptr in bytes 0..7 and avail_min in 8..15.",
            "On big-endian, the low half of a 64-bit number comes last: the pad goes before it.",
        ),
        CONTROL.replace("    char __pad2[4];\n", ""),
        "__pad2 was meant to follow appl_ptr, where big-endian needs none. It cannot be mended any "
        "more: programs are built with it.",
    ),
    Exercise(
        "leak",
        "A true leak",
        "CVE-2010-3881: KVM_GET_CLOCK filled a struct kvm_clock_data on the kernel's stack, member "
        "by member, then copied all of it to the program. It stored clock and flags. How many "
        "bytes of old stack went with them on x86_64?",
        CLOCK,
        "",
        form(
            "x86_64",
            (
                "bytes",
                lambda: len(_only(CLOCK, "x86_64").pack({"clock": 0, "flags": 0}).unwritten),
            ),
        ),
        (
            "A member that nobody stores to is as bad as a hole.",
            "The size, less what was stored.",
        ),
        "36",
        "The cure was to clear them before the copy. hsr_high is no such case: the kvm_run page is "
        "allocated zeroed, and its hole holds what an earlier exit, an access that KVM served "
        "itself, or the program left.",
    ),
)

EXERCISES: Mapping[str, Exercise] = MappingProxyType({row.name: row for row in _ROWS})
"""The exercises by name, in their order."""

"""Exercises on structs that kernels and programs share: their structs and rules."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType

from kvmviz._base import KvmvizError
from kvmviz.abi import ABIS
from kvmviz.c.parse import pointed
from kvmviz.layout import Layout
from kvmviz.learn.grading import (
    Grade,
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
    rule: Callable[[str], Grade]
    hints: tuple[str, ...]
    solution: str
    why: str

    def judge(self, answer: str) -> Grade:
        """The grade of an answer; what cannot be read is wrong, with the line that it stands in."""
        try:
            return self.rule(answer)
        except KvmvizError as error:
            return Grade(False, pointed(answer, str(error)))


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


def _pushed(old: Layout, new: Layout) -> dict[str, int | str]:
    return {
        "offset of far before": old.offsets["far"],
        "offset of far after": new.offsets["far"],
        "alignment of __u64": old.abi.align(8),
        "far for an old program": compare(new, old).fields["far"],
    }


def _leaked(layout: Layout) -> dict[str, int | str]:
    return {"bytes": len(layout.pack({"clock": 0, "flags": 0}).unwritten)}


# Name, what is given, what stands in the answer field at first, and the rule of what is right.
_ROWS: tuple[tuple[str, str, str, Callable[[str], Grade]], ...] = (
    ("hole", JOB, "", lambda answer: holes(answer, JOB, "aarch64")),
    (
        "i386",
        _versions(DEBUG, DEBUG_HIGH),
        "offset of far before:\noffset of far after:\nalignment of __u64:\n"
        "far for an old program:\n",
        lambda answer: form(
            answer, "i386", _pushed(_only(DEBUG, "i386"), _only(DEBUG_HIGH, "i386"))
        ),
    ),
    ("sixteen", WATCH, WATCH, lambda answer: safe(answer, WATCH, tuple(ABIS), with_one(16))),
    (
        "repair",
        _versions(BUFFER),
        BUFFER_BAD,
        lambda answer: safe(
            answer, BUFFER, ("aarch64", "aarch64_be", "x86_64", "s390x"), with_room(32)
        ),
    ),
    (
        "event",
        _versions(EVENT, EVENT_NDATA),
        "",
        lambda answer: breaking(answer, EVENT, EVENT_NDATA, "flags"),
    ),
    (
        "epoll",
        EPOLL,
        EPOLL,
        lambda answer: shared(answer, EPOLL, "i386", EPOLL, "x86_64", ("events", "data")),
    ),
    ("mem", MEM, MEM, lambda answer: bits_alike(answer, MEM, "val")),
    (
        "pad",
        CONTROL,
        CONTROL,
        lambda answer: shared(
            answer, CONTROL_64, "aarch64_be", CONTROL, "armeb", ("appl_ptr", "avail_min")
        ),
    ),
    ("leak", CLOCK, "", lambda answer: form(answer, "x86_64", _leaked(_only(CLOCK, "x86_64")))),
)


def _load() -> Iterator[Exercise]:
    words = tomllib.loads(files(__package__).joinpath("exercises.toml").read_text("utf-8"))
    for name, given, start, rule in _ROWS:
        row = words[name]
        task = row["task"].replace("{abis}", ", ".join(ABIS))
        hints, solution, why = tuple(row["hints"]), row["solution"], row["why"]
        yield Exercise(name, row["title"], task, given, start, rule, hints, solution, why)


EXERCISES: Mapping[str, Exercise] = MappingProxyType({row.name: row for row in _load()})
"""The exercises by name, in their order: their words are in ``exercises.toml``."""

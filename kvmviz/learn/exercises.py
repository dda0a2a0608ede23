"""Exercises on structs that kernels and programs share: their structs and rules."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
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
    one_of,
    room_for,
    safe,
    shared,
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


_WORDS = tomllib.loads(files(__package__).joinpath("exercises.toml").read_text("utf-8"))
_STRUCTS: Mapping[str, str] = _WORDS["structs"]
JOB = _STRUCTS["JOB"]
WATCH = _STRUCTS["WATCH"]
BUFFER = _STRUCTS["BUFFER"]
BUFFER_BAD = _STRUCTS["BUFFER_BAD"]
DEBUG = _STRUCTS["DEBUG"]
DEBUG_HIGH = _STRUCTS["DEBUG_HIGH"]
EVENT = _STRUCTS["EVENT"]
EVENT_NDATA = _STRUCTS["EVENT_NDATA"]
EPOLL = _STRUCTS["EPOLL"]
MEM = _STRUCTS["MEM"]
CLOCK = _STRUCTS["CLOCK"]
CONTROL = _STRUCTS["CONTROL"]
CONTROL_64 = _STRUCTS["CONTROL_64"]


_REPAIRED = ("aarch64", "aarch64_be", "x86_64", "s390x")


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
    ("hole", JOB, "", partial(holes, given=JOB, abi="aarch64")),
    (
        "i386",
        _versions(DEBUG, DEBUG_HIGH),
        "offset of far before:\noffset of far after:\nalignment of __u64:\n"
        "far for an old program:\n",
        lambda answer: form(
            answer, "i386", _pushed(_only(DEBUG, "i386"), _only(DEBUG_HIGH, "i386"))
        ),
    ),
    (
        "sixteen",
        WATCH,
        WATCH,
        partial(safe, given=WATCH, abis=tuple(ABIS), wish=partial(one_of, 16)),
    ),
    (
        "repair",
        _versions(BUFFER),
        BUFFER_BAD,
        partial(safe, given=BUFFER, abis=_REPAIRED, wish=partial(room_for, 32)),
    ),
    (
        "event",
        _versions(EVENT, EVENT_NDATA),
        "",
        partial(breaking, old=EVENT, new=EVENT_NDATA, member="flags"),
    ),
    ("epoll", EPOLL, EPOLL, partial(shared, writer=(EPOLL, "i386"), reader=(EPOLL, "x86_64"))),
    ("mem", MEM, MEM, partial(bits_alike, given=MEM, value="val")),
    (
        "pad",
        CONTROL,
        CONTROL,
        partial(shared, writer=(CONTROL_64, "aarch64_be"), reader=(CONTROL, "armeb")),
    ),
    ("leak", CLOCK, "", lambda answer: form(answer, "x86_64", _leaked(_only(CLOCK, "x86_64")))),
)


def _load() -> Iterator[Exercise]:
    for name, given, start, rule in _ROWS:
        row = _WORDS[name]
        task = row["task"].replace("{abis}", ", ".join(ABIS))
        hints, solution, why = tuple(row["hints"]), row["solution"], row["why"]
        yield Exercise(name, row["title"], task, given, start, rule, hints, solution, why)


EXERCISES: Mapping[str, Exercise] = MappingProxyType({row.name: row for row in _load()})
"""The exercises by name, in their order: their words are in ``exercises.toml``."""

"""Work grows as what it is done on: twice the members run little more than twice the lines."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from kvmviz import Array, Layout, Struct, compare
from kvmviz.board import strip

PAIR = Struct("pair", {"a": "__u8", "b": "__u32"})


def lines(task: Callable[[], object]) -> int:
    """Lines of Python that a task runs, each round of a loop or comprehension counted."""
    count = 0

    def seen(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += 1
        return seen

    before = sys.gettrace()
    sys.settrace(seen)
    try:
        task()
    finally:
        sys.settrace(before)
    return count


def ints(number: int, abi: str = "aarch64", first: str = "__u32") -> Layout:
    names = [f"m{at}" for at in range(number)]
    return Struct("s", [("first", first), *((name, "__u32") for name in names)]).layout(abi)


def structs(number: int) -> Layout:
    return Struct("s", [("n", "__u8"), ("rows", Array(PAIR, number))]).layout("arm")


def overlapping(number: int) -> Layout:
    whole = Struct("", [(f"m{at}", "__u32") for at in range(number)])
    return Struct("s", [("raw", f"__u8[{4 * number}]"), ("whole", whole)], union=True).layout("arm")


def octets(number: int) -> Layout:
    return Struct("s", {"data": f"__u8[{8 * number}]"}).layout("arm")


def repacked(layout: Layout) -> object:
    return layout.pack(layout.unpack(bytes(layout.size)))


def thirds(number: int) -> dict[int, int]:
    return dict.fromkeys(range(0, 8 * number, 3), 1)


TASKS: dict[str, Callable[[int], object]] = {
    "layout of ints": lambda n: ints(n).slots,
    "layout of structs": lambda n: structs(n).slots,
    "layout of a union": lambda n: overlapping(n).holders,
    "rules": lambda n: repr(ints(n).rules),
    "repr of a struct": lambda n: repr(ints(n).struct),
    "repr of a layout": lambda n: repr(structs(n)),
    "repr of a layout of structs": lambda n: repr(structs(n)),
    "image of ints that nobody wrote": lambda n: repr(ints(n).pack({})),
    "image of ints": lambda n: repr(ints(n).pack({f"m{at}": at for at in range(0, n, 2)})),
    "image of structs": lambda n: repr(structs(n).pack({"rows": [{"b": 1}] * n})),
    "image of a union that nobody wrote": lambda n: repr(overlapping(n).pack({})),
    "image of a union": lambda n: repr(repacked(overlapping(n))),
    "image of bytes": lambda n: repr(octets(n).pack({"data": [1] * 8 * n})),
    "image of every third byte": lambda n: repr(octets(n).pack({"data": thirds(n)})),
    "cells": lambda n: strip(octets(n), [None] * 8 * n),
    "cells of ints": lambda n: strip(ints(n), [row[0] for row in ints(n).holders]),
    "structs repacked": lambda n: repacked(structs(n)),
    "verdict of another byte order": lambda n: repr(compare(ints(n), ints(n, "aarch64_be"))),
    "verdict of members that moved": lambda n: repr(compare(ints(n), ints(n, "aarch64", "__u64"))),
    "verdict of structs": lambda n: repr(compare(structs(n), octets(n))),
    "verdict of a union": lambda n: repr(compare(ints(n, "arm"), overlapping(n))),
}  # fmt: skip


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_work_is_linear(task: Callable[[int], object]) -> None:
    task(8)  # what is done once
    few, many = (lines(lambda n=n: task(n)) for n in (128, 256))  # type: ignore[misc]
    assert many < 2.3 * few


def test_what_is_not_linear_is_seen() -> None:
    def squared(number: int) -> object:
        return [[row == column for row in range(number)] for column in range(number)]

    few, many = (lines(lambda n=n: squared(n)) for n in (128, 256))  # type: ignore[misc]
    assert many > 3.5 * few

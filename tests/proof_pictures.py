"""The page over time, every scenario of it, as matplotlib draws it: ``make proof`` reads them all.

No words may overlap or leave the sheet, and no number stands in a picture that its twin lacks.
``make test`` takes some of them.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from typing import Any

from kvmviz import DebugExit, MmioExit, draw
from kvmviz.draw import Picture
from kvmviz.kvm.exits import UserWrite
from kvmviz.kvm.program import READERS
from kvmviz.kvm.scenario import SCENARIOS, Scenario, real, scene
from tests.legible import check_words, words_of

_, _, _, BLIND, _, NO_REASON, NO_RETURN, _ = READERS
FAR = MmioExit(0xFFFF_FFFF_FFFF_FFFF, 8, bytes(range(0xF0, 0xF8)))
CROWDED = Scenario(
    "crowded",
    "A title as long as a line, and longer than that, to see whether it goes on in a second line",
    "A note " * 40,
    (
        UserWrite(0, bytes(range(64))),
        UserWrite(15, b"\x01"),
        UserWrite(33, b"\xaa\xbb"),
        DebugExit(0x00A5C3E1_D2000062, 0xFFFF_8000_1234_5678),
        FAR,
        UserWrite(9, b"\x09"),
        *(UserWrite(at, bytes([at])) for at in range(33, 64, 2)),
    ),
)
EMPTY = Scenario("empty", "Nothing yet", "", ())

Draw = Callable[[], Picture]


def timeline(*asked: Any, full: bool = False, **more: Any) -> Picture:
    """The picture of the scene that is asked for."""
    return draw.timeline(scene(*asked, **more), full)


def _drawn(name: str | Scenario, kernel: str, abi: str, **more: Any) -> Draw:
    return lambda: timeline(name, kernel, abi, **more)


ODD: Mapping[str, Draw] = {
    "crowded": _drawn(CROWDED, "old", "aarch64_be", reader=BLIND, step=10, limit=11),
    "crowded, two policies": _drawn(
        CROWDED,
        "v2_not_unknown",
        "aarch64",
        beside="v2_other_exits",
        reader=NO_RETURN,
        step=20,
        limit=3,
    ),
    "empty": _drawn(EMPTY, "merged", "aarch64"),
    "empty, two kernels": _drawn(EMPTY, "merged", "aarch64", beside="old", full=True),
}
"""The fullest and the emptiest sheets."""
PICTURES: Mapping[str, Draw] = {
    **{
        f"{name}, {kernel} {abi}": _drawn(name, kernel, abi, reader=reader, limit=30)
        for abi in ("aarch64", "aarch64_be")
        for kernel, reader, names in (
            ("old", BLIND, (*SCENARIOS, *real())),
            ("v2", NO_REASON, SCENARIOS),
            ("widened", "u64 hsr", ("stale_far", "watch_poison_synthetic")),
        )
        for name in names
    },
    **{
        f"{name}, two kernels": _drawn(name, "v2", "aarch64_be", beside="old", limit=30)
        for name in SCENARIOS
    },
    **{
        f"stale_flag, {reader}": _drawn("stale_flag", "v2", "aarch64_be", reader=reader, full=full)
        for reader, full in itertools.product(READERS, (False, True))
    },
    **ODD,
}


def untold(picture: Picture) -> list[str]:
    """Numbers that stand in the picture and not in its text twin."""
    values = re.findall(r"0x[0-9a-f]+", " ".join(words_of(picture)))
    return [value for value in values if value not in picture.text]


def walk(count: int) -> list[str]:
    """Draw ``count`` of them, all where it is 0."""
    bad: list[str] = []
    names = [*PICTURES][: count or None]
    for name in names:
        picture = PICTURES[name]()
        try:
            check_words(picture)
        except AssertionError as error:
            bad.append(f"{name}: {error}")
        bad += [f"{name}: {value} is not in the twin" for value in untold(picture)]
    print(*bad, sep="\n", end="\n" if bad else "")
    print(f"{len(names)} pictures of the page over time: {len(bad)} wrong")
    return bad

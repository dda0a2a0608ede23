"""How figures are measured fairly, and printed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median


def interleaved(
    tasks: Mapping[str, Callable[[], object]], rounds: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Median seconds of each task, by the clock, and of the processor in what it has started.

    A round runs each task once, so that all see the same machine.
    """
    clock: dict[str, list[float]] = {name: [] for name in tasks}
    used: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            begin, before = time.perf_counter(), os.times()
            task()
            after = os.times()
            clock[name].append(time.perf_counter() - begin)
            used[name].append(sum(after[2:4]) - sum(before[2:4]))  # of children, user and system
    return _medians(clock), _medians(used)


def _medians(times: Mapping[str, list[float]]) -> dict[str, float]:
    return {name: median(values) for name, values in times.items()}


def show(
    title: str,
    seconds: Mapping[str, float],
    base: str,
    aims: Mapping[str, float] | None = None,
    notes: Sequence[str] = (),
) -> None:
    """A table of times and of ratios to ``base``, with the aims beside them."""
    print(f"\n{title}")
    for name, value in seconds.items():
        ratio = value / seconds[base]
        aim = (aims or {}).get(name)
        beside = f"  (aim: at most {aim}x)" if aim else ""
        print(f"  {name:44} {1000 * value:10.1f} ms {ratio:8.2f}x{beside}")
    for note in notes:
        print(f"  {note}")

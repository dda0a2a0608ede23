"""How figures are measured fairly, and printed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median


def interleaved(tasks: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each task; a round runs each once, so that all see the same machine."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            begin = time.perf_counter()
            task()
            times[name].append(time.perf_counter() - begin)
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

"""Hostile input by the hundred thousand: ``make fuzz``. Nothing but one clear error comes out.

A kind makes an input from its number and runs it; each says itself what must hold.
"""

from __future__ import annotations

import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from tests.fuzz import calls, lines, settings, texts

SLOW = 2.0
"""Seconds of processor time after which an input is reported: most take milliseconds."""


class Kind(NamedTuple):
    """``made(number)`` is an input, ``run(input, number)`` says which end it took."""

    made: Callable[[int], Any]
    run: Callable[[Any, int], str]
    most: int
    """How many ``make fuzz`` runs."""


KINDS = {
    "texts": Kind(texts.made, texts.run, 100_000),
    "calls": Kind(calls.made, calls.run, 100_000),
    "lines": Kind(lines.made, lines.run, 5_000),
    "settings": Kind(settings.made, settings.run, 10_000),
}


def failures(kind: Kind, numbers: Iterable[int], ends: Counter[str]) -> Iterator[str]:
    """Every input that did not end as it should."""
    for number in numbers:
        made, begin = kind.made(number), time.process_time()
        try:
            ends[kind.run(made, number)] += 1
        except Exception:
            ends["failed"] += 1
            yield f"input {number}: {str(made)[:2000]}\n{traceback.format_exc()}"
        if (took := time.process_time() - begin) > SLOW:
            yield f"input {number}: {took:.1f} s: {str(made)[:2000]}"

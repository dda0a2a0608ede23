"""Constants of two headers: what becomes of enumerators, and of numbers that #define names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, groupby, pairwise

from kvmviz.review.finding import Finding, ranked, ruled
from kvmviz.text import some

COUNT = re.compile(
    r"_*(MAX|NUM)_\w+|\w*_(AFTER_LAST|CNT|COUNT|END|LAST|MAX|MAX_\w+|NBITS|NETDEV_NUMHOOKS"
    r"|NFT_META_IIFTYPE|NL80211_ATTR|NUM|NUM_\w+|TLSMAX)"
)
"""Names of constants that count others and grow with them: those that scripts/check-uapi.sh lets
grow, but for sizes and masks, and all with ``MAX_`` or ``NUM_`` in them as a word."""

Numbers = Mapping[str, int | None]
"""Constants by name, in the order of their header; None where the number is not known."""


def between(old: Numbers, new: Numbers) -> tuple[Finding, ...]:
    """All findings about constants, but for those that one side does not know; worst first."""
    unknown = {name for side in (old, new) for name in side if side[name] is None}
    one, two = (
        {name: value for name, value in side.items() if value is not None and name not in unknown}
        for side in (old, new)
    )
    return ranked(_found(one, two))


def _found(old: Mapping[str, int], new: Mapping[str, int]) -> Iterator[Finding]:
    if gone := [name for name in old if name not in new]:
        effect = "a program that names it is not built any more"
        yield ruled("constant-gone", gone, "gone", effect)
    before: list[str] = []
    told: set[str] = set()
    # In the order of the header: neighbours that are new, or that are shifted alike. Where
    # numbers do not go on upwards, another enum begins, or other numbers.
    drops = accumulate((two < one for one, two in pairwise(new.values())), initial=0)
    rises = dict(zip(new, drops, strict=False))
    shifts = {name: new[name] - old[name] if name in old else None for name in new}
    for (shift, rise), run in groupby(new, lambda name: (shifts[name], rises[name])):
        names = list(run)
        before = before if before and rises[before[0]] == rise else []
        counts = [name for name in names if shift and shift > 0 and COUNT.fullmatch(name)]
        moved = [name for name in names if shift and name not in counts]
        for name in counts:
            effect = "it counts others; an old program refuses, or has no room for, what is new"
            yield ruled("constant-count", name, f"{old[name]} before, {new[name]} after", effect)
        steps = some([f"{name} from {old[name]} to {new[name]}" for name in moved])
        if moved and before:
            words = f"new in front of others, shifts {steps}"
            effect = _taken(old, new, before)
            yield ruled("constant-shifted", [*before, *moved], words, effect)
            told.update(before)
        elif moved:
            words = f"{old[moved[0]]} before, {new[moved[0]]} after"
            effect = "an old program and a new one take one number for different things"
            yield ruled("constant-changed", moved, words if len(moved) == 1 else steps, effect)
        before = names if shift is None else []
    if fresh := [name for name in new if name not in old and name not in told]:
        yield ruled("constant-new", fresh, "new", "an old program does not know it")


def _taken(old: Mapping[str, int], new: Mapping[str, int], names: Sequence[str]) -> str:
    """What an old program takes new constants for."""
    meant: dict[int, str] = {}
    for name in filter(new.__contains__, old):
        meant.setdefault(old[name], name)
    told = [f"{name} for {meant[new[name]]}" for name in names if new[name] in meant]
    return f"an old program takes {some(told)}" if told else "old programs go by the old values"

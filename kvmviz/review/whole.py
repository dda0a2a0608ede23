"""All findings of a change on one ABI: single members first, then the struct as a whole."""

from __future__ import annotations

from collections.abc import Iterator

from kvmviz.review.elements import flexible_findings
from kvmviz.review.finding import SEVERITIES, Finding, places
from kvmviz.review.home import told_hole
from kvmviz.review.index import Index
from kvmviz.review.one_sided import judged
from kvmviz.review.pair import Pair
from kvmviz.verdict import flexible


def between(pair: Pair) -> tuple[Finding, ...]:
    """All findings of a change on one ABI, the worst first."""
    if pair.is_same:
        return ()
    rows = [judged(pair, change) for change in pair.changes]
    rows += [*flexible_findings(pair), *_holes(pair)]
    rows += _whole(pair, any(row.severity == "breaks" for row in rows))
    return tuple(sorted(rows, key=lambda row: SEVERITIES.index(row.severity)))


def _holes(pair: Pair) -> Iterator[Finding]:
    """Padding that was not there before: the documents ask for explicit members instead."""
    before = Index(pair.old.holes)
    # Behind the start of a flexible array lie its elements.
    loose = min((there.offset for there in flexible(pair.new).values()), default=pair.new.size)
    for slot in pair.new.holes:
        known = slot.offset >= loose or before.over(slot.start, slot.start + slot.extent)
        if slot.extent % 8 == 0 and not known:
            yield Finding(
                "new-hole", "", "note", f"new {told_hole(slot.path)}, {places([slot])}",
                "no member holds it, so it keeps what was there before",
                "make it a reserved member that is written as 0 and checked to be 0",
            )  # fmt: skip


def _whole(pair: Pair, breaks: bool) -> Iterator[Finding]:
    old, new = pair.old, pair.new
    if old.size != new.size:
        yield Finding(
            "size", "", "breaks", f"sizeof {old.size} before, {new.size} after",
            "an ioctl number that encodes sizeof changes with it; elements of an array lie "
            "elsewhere, and so do members behind it where another struct holds it",
            "keep sizeof as it was (use holes or reserved members), or give the new struct a "
            "name and an ioctl number of its own and go on serving the old one",
        )  # fmt: skip
    elif breaks:
        yield Finding(
            "size-unseen", "", "note",
            f"a size check sees nothing: sizeof {new.size} before and after",
        )  # fmt: skip
    if old.align != new.align:
        yield Finding(
            "align", "", "breaks", f"alignment {old.align} before, {new.align} after",
            "where another struct holds it, it may lie at another offset",
            "keep the alignment as it was: no member and no attribute that asks for another",
        )  # fmt: skip

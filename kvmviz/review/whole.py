"""All findings of a change on one ABI: single members first, then the struct as a whole."""

from __future__ import annotations

from collections.abc import Iterator

from kvmviz.review.elements import alone, flexible_findings, like_places, named
from kvmviz.review.finding import SEVERITIES, Finding, found, kept, places, type_words
from kvmviz.review.home import told_hole
from kvmviz.review.index import Index
from kvmviz.review.one_sided import judged
from kvmviz.review.pair import Pair
from kvmviz.text import elements_there, few_spans
from kvmviz.verdict import Verdict, flexible, is_in


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


def one_way(verdict: Verdict) -> tuple[Finding, ...]:
    """What is not intact for the reader of one verdict; neither side is the older one."""
    pair = Pair(verdict.writer, verdict.reader)
    rows = []
    for change in pair.changes:
        if not change.gained:
            continue
        if change.old:
            finding = kept(pair, change)
            words = f"from writer to reader: {finding.change}"
            remedy = f"lay {change.name} out alike on both sides"
            rows.append(
                Finding(finding.kind, change.name, "breaks", words, found(change.gained), remedy)
            )
        else:
            never = all(w.status == "unwritten" for w in change.gained)
            what = "never writes" if never else "writes something else into"
            where = few_spans(w.offset for w in change.gained)
            rows.append(
                Finding(
                    "added", change.name, "warning", "the writer has no such member",
                    found(change.gained), f"needs a validity flag: this writer {what} {where}",
                )
            )  # fmt: skip
    return (*rows, *_one_way_flexible(pair))


def _one_way_flexible(pair: Pair) -> Iterator[Finding]:
    for name, (written, wanted) in pair.flexible.items():
        if wanted is None:
            continue
        if written and like_places(written, wanted):
            yield from named(name, one_way(Verdict(alone(name, written), alone(name, wanted))))
            continue
        rows = [w for path, some in pair.wrong[1].items() if is_in(path, name) for w in some]
        if pair.backward.flexible.get(name, "intact") != "intact":
            words = elements_there(pair.backward, name)
        elif rows:
            words = found(rows)
        else:
            continue
        if written is None:
            yield Finding(
                "added", name, "warning", "the writer has no such member", words,
                "needs a count of elements that reads 0 from this writer",
            )  # fmt: skip
        else:
            moved = written.offset != wanted.offset
            kinds = f"{type_words(written.type)} to {type_words(wanted.type)}"
            change = f"offset {written.offset} to offset {wanted.offset}" if moved else kinds
            yield Finding(
                "moved" if moved else "flexible", name, "breaks",
                f"from writer to reader: from {change}", words,
                f"lay {name} out alike on both sides",
            )  # fmt: skip

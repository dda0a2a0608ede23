"""The text twin of a review: a report of at most 76 columns, to be pasted into a mail."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import replace

from kvmviz._base import counted, twin
from kvmviz.review import Review, Reviews, Row
from kvmviz.review.finding import Finding
from kvmviz.text import table

WIDTH = 76
"""Columns: what is left of 80 after two levels of quoting."""

MOST = 24
"""Members in a table, findings, and names in a list: more tell a reviewer nothing more."""

WORDS = {"breaks": "BREAKS", "warning": "warning", "note": "note"}

KINDS = {
    "absent": "not there on every ABI",
    "alias": "another name for others",
    "added-in-hole": "added in a hole",
    "added-in-union": "added to a union",
    "align": "alignment changes",
    "appended": "added at the end",
    "array-length": "another number of elements",
    "bit-field": "bit-field of another width",
    "flexible": "a flexible array on one side",
    "inserted": "added in front of others",
    "moved": "moves",
    "narrowed": "narrowed",
    "new-hole": "new padding",
    "removed": "removed",
    "reordered": "in another order",
    "replaced": "takes the place of another",
    "retyped": "another type",
    "size": "sizeof changes",
    "size-unseen": "a size check sees nothing",
    "taken": "takes bits of another",
    "widened": "widened",
}
"""What a finding is called where its words differ by ABI."""


@twin.register
def _(review: Review) -> str:
    lines = [headline(review)]
    groups = grouped(review) if review.findings else []
    if groups:
        lines += ["", *_legend(groups), "", *_tables(groups)]
    listed = items(review)
    for number, rows in enumerate(listed[:MOST], 1):
        lines += ["", *_item(review, number, rows)]
    if others := also_moved(review):
        lines += ["", *_wrap(f"Moved as well: {_list(others)}.", "  ", 3)]
    if len(listed) > MOST:
        more = counted(len(listed) - MOST, "more finding")
        lines += ["", *_wrap(f"There is more: {more}; --json has them all", "  ", 3)]
    return "\n".join(lines)


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return f"{', '.join(names[:MOST])}{more}"


def items(review: Review) -> list[list[Finding]]:
    """Findings of one kind about one member, told together; of those that moved, the first."""
    groups: dict[object, list[Finding]] = {}
    moved = also_moved(review)
    for row in review.findings:
        if row.kind != "moved" or row.member not in moved:
            groups.setdefault((row.severity, row.kind, row.member), []).append(row)
    return [_folded(rows) if rows[0].kind == "absent" else rows for rows in groups.values()]


def _folded(rows: Sequence[Finding]) -> list[Finding]:
    """One finding for ABIs whose words differ in nothing but their names; the first's are told."""
    return [replace(rows[0], abis=tuple(abi for row in rows for abi in row.abis))]


def also_moved(review: Review) -> list[str]:
    """The members behind the first that moved: what comes of them is in the table."""
    return list(dict.fromkeys(row.member for row in review.findings if row.kind == "moved"))[1:]


def _item(review: Review, number: int, rows: Sequence[Finding]) -> Iterator[str]:
    first, name = rows[0], f"{rows[0].member}: " if rows[0].member else ""
    heads = {row.change.partition("; ")[0] for row in rows}
    head = first.change if len(rows) == 1 else heads.pop() if len(heads) == 1 else ""
    label = _label(review, first.abis) if len(rows) == 1 else ""
    words = f"{WORDS[first.severity]}: {name}{head or KINDS[first.kind]}{label}"
    yield from _wrap(f"{number}. {words}", "  ", 3)
    same = len({row.effect for row in rows}) == 1
    for row in rows if len(rows) > 1 else ():
        told = [row.change.removeprefix(head).removeprefix("; "), "" if same else row.effect]
        words = "; ".join(filter(None, told))
        line = f"{_label(review, row.abis)} {words}".strip()
        yield from _wrap(line, "     ", 2) if words else ()
    if same and first.effect:
        yield from _wrap(first.effect, "     ")
    remedies: dict[str, list[str]] = {}
    for row in rows:
        remedies.setdefault(row.remedy, []).extend(row.abis)
    for remedy, abis in remedies.items():
        on = _label(review, abis) if len(remedies) > 1 else ""
        yield from _wrap(f"Remedy{on}: {remedy}", "     ", 2) if remedy else ()


def _label(review: Review, abis: Sequence[str]) -> str:
    """Where something holds; nothing where it holds on all ABIs."""
    return f" [{ground(review, abis)}]" if len(abis) < len(review.abis) else ""


@twin.register
def _(reviews: Reviews) -> str:
    told = [f"{review!r}" for review in reviews.reviews if review.findings]
    same = [f"{review.new}" for review in reviews.reviews if not review.findings]
    rows = (("unchanged", same), ("only in the new header", reviews.added),
            ("only in the old header", reviews.removed))  # fmt: skip
    for words, names in rows:
        if names:
            told.append("\n".join(_wrap(f"{words}: {', '.join(names)}", "", 2)))
    return "\n\n".join(told or ["no struct in either header"])


def headline(review: Review) -> str:
    """The verdict in a line."""
    name = f"{review.new}"
    broken = {abi for f in review.findings if f.severity == "breaks" for abi in f.abis}
    number = f"on {ground(review, [a.name for a in review.abis if a.name in broken])}"
    if broken:
        words = f"{name}: BREAKS {number}"
    elif review.warnings:
        count = sum(rows[0].severity == "warning" for rows in items(review))
        words = f"{name}: nothing breaks; {counted(count, 'warning')}"
    elif review.findings:
        words = f"{name}: nothing breaks"
    else:
        words = f"{name}: no change on {ground(review, [a.name for a in review.abis])}"
    return "\n".join(_wrap(words, "", 2))


def ground(review: Review, names: Sequence[str]) -> str:
    """Some of the ABIs in words: all, one byte order, or by name, whichever is short."""
    every = [abi.name for abi in review.abis]
    names = sorted(names, key=every.index)
    if len(names) == len(every):
        return {1: every[0], 2: "both ABIs"}.get(len(every), f"all {len(every)} ABIs")
    for order in ("little", "big"):
        side = [abi.name for abi in review.abis if abi.byte_order == order]
        if len(side) > 1 and list(names) == side:
            return f"{order}-endian"
        missing = [name for name in side if name not in names]
        if len(side) > 3 and set(names) < set(side) and len(missing) == 1:
            return f"{order}-endian except {missing[0]}"
    rest = [name for name in every if name not in names]
    if len(rest) < len(names) and len(rest) < 5:
        return f"all except {', '.join(rest)}"
    return ", ".join(names)


def grouped(review: Review) -> list[list[Row]]:
    """Rows whose ABIs agree about every byte and both verdicts."""
    groups: dict[object, list[Row]] = {}
    for row in review.rows:
        groups.setdefault(row.pair.key, []).append(row)
    return list(groups.values())


def _legend(groups: Sequence[Sequence[Row]]) -> Iterator[str]:
    for number, rows in enumerate(groups, 1):
        order = rows[0].abi.byte_order
        names = ", ".join(row.abi.name for row in rows)
        yield from _wrap(f"({number}) {order}-endian: {names}", "  ", 4)


def _tables(groups: Sequence[Sequence[Row]]) -> Iterator[str]:
    """The groups side by side, as many as fit, then the others below."""
    firsts = [rows[0] for rows in groups]
    sides = [side for row in firsts for side in (row.pair.new, row.pair.old)]
    names = list(dict.fromkeys(name for side in sides for name in side.named))
    differing = [name for name in names if any(_differs(row, name) for row in firsts)]
    shown = differing[:MOST]
    lines: list[tuple[str, str, list[str]]] = [
        ("sizeof", "", [_both(r.pair.old.size, r.pair.new.size) for r in firsts]),
        ("align", "", [_both(r.pair.old.align, r.pair.new.align) for r in firsts]),
    ]
    for name in shown:
        lines += [
            (name, "old < new", [r.forward.fields.get(name, "-") for r in firsts]),
            ("", "new < old", [r.backward.fields.get(name, "-") for r in firsts]),
        ]
    begin = 0
    fixed = 4 + max(len(line[0]) for line in lines) + 9
    while begin < len(firsts):
        stop = begin + 1
        while stop < len(firsts) and fixed + _wide(lines, begin, stop + 1) <= WIDTH:
            stop += 1
        head = ("", "", *(f"({n + 1})" for n in range(begin, stop)))
        yield from table([head, *((a, b, *cells[begin:stop]) for a, b, cells in lines)]).split("\n")
        begin = stop
    if len(differing) > MOST:
        yield f"  and {len(differing) - MOST} more members; --json has them all"
    told = set(differing)
    rest = [name for name in names if name not in told]
    if rest:
        yield from _wrap(f"intact in both directions: {_list(rest)}", "  ", 2)
    if shown:
        yield "  old < new: an old reader of a new writer; new < old: the reverse"


def _wide(lines: Sequence[tuple[str, str, list[str]]], begin: int, stop: int) -> int:
    return sum(2 + max(len(line[2][at]) for line in lines) for at in range(begin, stop))


def _differs(row: Row, name: str) -> bool:
    """Some side has the member and does not get it, or only one side has it."""
    return any(v.fields.get(name) != "intact" for v in (row.forward, row.backward))


def _both(before: int, after: int) -> str:
    return f"{before}" if before == after else f"{before} -> {after}"


def _wrap(words: str, pad: str, deeper: int = 0) -> list[str]:
    return textwrap.wrap(
        words, WIDTH, initial_indent=pad, subsequent_indent=pad + " " * deeper,
        break_on_hyphens=False,
    )  # fmt: skip

"""The text twin of a review: a report of at most 76 columns, to be pasted into a mail."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from kvmviz._base import twin
from kvmviz.review import Review, Reviews, Row
from kvmviz.text import table

WIDTH = 76
"""Columns: what is left of 80 after two levels of quoting."""

WORDS = {"breaks": "BREAKS", "warning": "warning", "note": "note"}


@twin.register
def _(review: Review) -> str:
    lines = [headline(review)]
    groups = grouped(review)
    if groups and review.findings:
        lines += ["", *_legend(groups), "", *_tables(groups)]
    for number, finding in enumerate(review.findings, 1):
        name = f"{finding.member}: " if finding.member else ""
        where = (
            "" if len(finding.abis) == len(review.abis) else f" [{ground(review, finding.abis)}]"
        )
        head = f"{number}. {WORDS[finding.severity]}: {name}{finding.change}{where}"
        lines += ["", *_wrap(head, "  ", 3)]
        lines += _wrap(finding.effect, "     ") if finding.effect else []
        lines += _wrap(f"Remedy: {finding.remedy}", "     ", 3) if finding.remedy else []
    return "\n".join(lines)


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
        count = len(review.warnings)
        words = f"{name}: nothing breaks; {count} warning{'s' if count > 1 else ''}"
    elif review.findings:
        words = f"{name}: nothing breaks"
    else:
        words = f"{name}: no change on {ground(review, [a.name for a in review.abis])}"
    return "\n".join(_wrap(words, "", 2))


def ground(review: Review, names: Sequence[str]) -> str:
    """Some of the ABIs in words: all, one byte order, or by name, whichever is short."""
    every = [abi.name for abi in review.abis]
    if len(names) == len(every):
        return every[0] if len(every) == 1 else f"all {len(every)} ABIs"
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
    shown = [name for name in names if any(_differs(row, name) for row in firsts)]
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
    rest = [name for name in names if name not in shown]
    if rest:
        yield from _wrap(f"intact in both directions: {', '.join(rest)}", "  ", 2)
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

"""A review: one struct before and after a change, in both directions, on many ABIs; in words.

The exit status of ``kvmviz compare`` and the grades of the exercises are :attr:`Review.breaks`.
The words are a report of at most 76 columns, to be pasted into a mail.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, islice
from typing import Any

from kvmviz._base import KvmvizError, counted, grouped, listed
from kvmviz.abi import ABIS, Abi
from kvmviz.ctype import Struct
from kvmviz.layout import Layout
from kvmviz.review import constants
from kvmviz.review.change import BOTH, Pair, Policy
from kvmviz.review.finding import RULES, SEVERITIES, UNCHANGED, Finding, ranked
from kvmviz.review.judgement import absent, between, dissolved
from kvmviz.text import plain, table
from kvmviz.verdict import Verdict

WIDTH = 76
"""Columns: what is left of 80 after two levels of quoting."""
NOTED = "noted"
"""What stands for a member's status where a finding of its own says what becomes of it."""

MOST = 24
"""Members in a table, findings, and names in a list: more tell a reviewer nothing more."""

MOST_ABIS = 256

WORDS = {"breaks": "BREAKS", "warning": "warning", "note": "note"}


@dataclass(frozen=True)
class Review:
    """The struct ``old`` and what it became, ``new``, on ``abis``.

    ``rows`` are both layouts on each ABI that has the struct before and after; ``absent`` says of
    the others why not.
    """

    old: Struct
    new: Struct
    abis: tuple[Abi, ...]
    rows: tuple[Pair, ...]
    absent: tuple[Finding, ...] = ()

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What there is to know, the worst first; ABIs that agree are one finding."""
        # The same members in the same places and structs give the same findings.
        known: dict[object, tuple[Finding, ...]] = {}
        where: dict[Finding, list[str]] = {}
        for pair in self.rows:
            if pair.old != pair.new:
                if pair.key not in known:
                    known[pair.key] = between(pair)
                for row in known[pair.key]:
                    where.setdefault(row, []).append(pair.abi.name)
        found = [replace(row, abis=tuple(abis)) for row, abis in where.items()]
        members = grouped([*found, *self.absent], lambda row: row.member)
        return ranked(row for rows in members.values() for row in rows)

    @property
    def breaks(self) -> bool:
        """On some ABI a member that both have is not intact, or size or alignment changes.

        So it does where the struct is gone from an ABI, whose programs can no longer be built.
        Not intact: for an old reader of a new writer, or for a new reader of an old writer. What
        only one side has does not count, members of nested structs included.
        """
        return any(finding.severity == "breaks" for finding in self.findings)

    def is_settled(self, path: str, pair: Pair) -> bool:
        """Of what becomes of that member there no program takes notice: reserved, or respelled."""
        outer = accumulate(path.split("."), lambda before, name: f"{before}.{name}")
        there = {(pair.abi.name, name) for name in outer}
        return pair.policy.is_reserved(path) or not self._respelled.isdisjoint(there)

    @cached_property
    def _respelled(self) -> frozenset[tuple[str, str]]:
        rows = [row for row in self.findings if row.kind in UNCHANGED]
        return frozenset(
            (abi, name) for row in rows for abi in row.abis for name in (row.member, *row.also)
        )

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What is safe only if something else says so, as a new member that needs a flag."""
        return tuple(row for row in self.findings if row.severity == "warning")

    @property
    def record(self) -> dict[str, Any]:
        """As plain data, for JSON; ``forward`` is an old reader of a new writer."""
        return {
            "struct": str(self.new),
            "breaks": self.breaks,
            "warnings": len(self.warnings),
            "abis": [
                {
                    "abi": pair.abi.name,
                    "byte_order": pair.abi.byte_order,
                    "old": {"size": pair.old.size, "align": pair.old.align},
                    "new": {"size": pair.new.size, "align": pair.new.align},
                    "forward": dict(pair.forward.fields),
                    "backward": dict(pair.backward.fields),
                }
                for pair in self.rows
            ],
            "findings": list(map(_record, self.findings)),
        }

    def __repr__(self) -> str:
        lines = [headline(self)]
        if self.rows and (self.breaks or self.warnings):
            # Pairs whose ABIs agree about every byte and both verdicts.
            groups = list(grouped(self.rows, lambda pair: pair.key).values())
            lines.append("")
            for number, pairs in enumerate(groups, 1):
                names = ", ".join(pair.abi.name for pair in pairs)
                words = f"({number}) {pairs[0].abi.byte_order}-endian: {names}"
                lines += _wrap(words, "  ", 4)
            lines += ["", *_tables(self, [pairs[0] for pairs in groups])]
        # What comes of members behind the first that moved is in the table.
        moved = dict.fromkeys(row.member for row in self.findings if row.kind == "moved")
        first, others = [*moved][:1], [*moved][1:]
        rows = [row for row in self.findings if row.kind != "moved" or row.member in first]
        told = grouped(rows, lambda row: (row.severity, row.kind, row.member))
        lines += _numbered(told.values(), self)
        if others:
            lines += ["", *_wrap(f"Moved as well: {listed(others)}.", "  ", 3)]
        return "\n".join(lines)


@dataclass(frozen=True)
class Reviews:
    """Two headers: the structs that both define, and the names that only one of them has.

    ``gone`` are those of ``removed`` that were there on some of the ABIs, but for a struct that
    wrapped what now stands in its place.
    """

    reviews: tuple[Review, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    gone: tuple[str, ...]
    constants: tuple[Finding, ...] = ()

    @property
    def breaks(self) -> bool:
        """Some struct that both have breaks, or one is gone: programs can no longer be built.

        Or a constant is gone or has another value.
        """
        return bool(self.gone) or "breaks" in self._severities

    @property
    def warns(self) -> bool:
        """Some struct or constant has a warning, or only the old header has the struct."""
        return bool(self.removed) or "warning" in self._severities

    @cached_property
    def _severities(self) -> set[str]:
        rows = (self.constants, *(review.findings for review in self.reviews))
        return {row.severity for held in rows for row in held}

    @property
    def record(self) -> dict[str, Any]:
        """As plain data: what ``--json`` prints. Keys are added, never renamed or taken away."""
        return {
            "breaks": self.breaks,
            "warns": self.warns,
            "structs": [review.record for review in self.reviews],
            "added": list(self.added),
            "removed": list(self.removed),
            "constants": list(map(_record, self.constants)),
        }

    @property
    def markdown(self) -> str:
        """The report for a page that is Markdown: in a fence that nothing in it can end."""
        words = repr(self)
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", words)), default=0))
        return f"{fence}text\n{words}\n{fence}"

    def __repr__(self) -> str:
        changed = [review for review in self.reviews if review.findings]
        same = [f"{review.new}" for review in self.reviews if not review.findings]
        rows = [(review.findings[0], headline(review), repr(review)) for review in changed]
        if self.constants:
            rows.append((ranked(self.constants)[0], *self._constants()))
        rows.sort(key=lambda row: SEVERITIES.index(row[0].severity))
        told = _named("BREAKS: gone, only in the old header", self.gone)
        told += ["\n".join(head for _, head, _ in rows)] if len(rows) > 1 else []
        told += [words for _, _, words in rows[:MOST]]
        if len(rows) > MOST:
            told.append(f"There is more: {len(rows) - MOST} more changed; --json has them all")
        gone = set(self.gone)
        told += _named("unchanged", same if len(same) < 4 else [counted(len(same), "struct")])
        told += _named("only in the new header", self.added)
        told += _named("only in the old header", [n for n in self.removed if n not in gone])
        return "\n\n".join(told or ["nothing to compare: no struct in either header"])

    def _constants(self) -> tuple[str, str]:
        """A line, and all that there is to say."""
        kinds = grouped(self.constants, lambda row: row.severity)
        counts = {name: sum(1 + len(row.also) for row in rows) for name, rows in kinds.items()}
        words = {"breaks": "BREAKS: {} changed or gone", "warning": "{} grown", "note": "{} new"}
        head = "; ".join(words[name].format(count) for name, count in counts.items())
        lines = [f"constants: {head}", *_numbered([[row] for row in ranked(self.constants)])]
        return lines[0], "\n".join(lines)


def _record(row: Finding) -> dict[str, Any]:
    return vars(row) | {"member": row.member or None, "abis": [*row.abis], "also": [*row.also]}


def _named(words: str, names: Sequence[str]) -> list[str]:
    return ["\n".join(_wrap(f"{words}: {', '.join(names)}", "", 2))] if names else []


Abis = str | Abi | Iterable[str | Abi]


def review(old: Struct, new: Struct, abis: Abis = tuple(ABIS), policy: Policy = BOTH) -> Review:
    """Judge a change to a struct in both directions on every ABI, by a policy.

    An ABI that has no such struct, before or after, is a finding, not an error. Raises
    :class:`KvmvizError` for what is not a struct, for one of which a text does not say what it
    is, and for what is no list of known ABIs.
    """
    for struct in (old, new):
        _check(struct, Struct, "two structs")
        if not struct.is_known:
            struct.on(next(iter(ABIS)))
    _check(policy, Policy, "a Policy")
    asked, rows, missing = _asked(abis), list[Pair](), list[Finding]()
    for abi in asked:
        before, after = _tried(old, abi), _tried(new, abi)
        if isinstance(before, Layout) and isinstance(after, Layout):
            rows.append(Pair(before, after, policy))
        else:
            missing.append(replace(absent(before, after), abis=(abi.name,)))
    return Review(old, new, asked, tuple(rows), tuple(missing))


def review_all(
    old: Mapping[str, Struct],
    new: Mapping[str, Struct],
    abis: Abis = tuple(ABIS),
    policy: Policy = BOTH,
    numbers: tuple[constants.Numbers, constants.Numbers] = ({}, {}),
) -> Reviews:
    """The same for every struct that two headers have in common, and for their constants.

    Those are ``numbers`` by name, before and after: :attr:`kvmviz.c.parse.Structs.constants`.
    """
    for side in (old, new):
        _check(side, Mapping, "two mappings of name to struct")
        for name, struct in side.items():
            _check(name, str, "structs by name")
            _check(struct, Struct, "two mappings of name to struct")
    asked = _asked(abis)
    found = tuple(review(old[name], new[name], asked, policy) for name in new if name in old)
    unwrapped = {tag for row in found for pair in row.rows for tag in dissolved(pair)}
    removed = tuple(name for name in old if name not in new)
    gone = tuple(
        name for name in removed if name not in unwrapped
        if any(isinstance(_tried(old[name], abi), Layout) for abi in asked)
    )  # fmt: skip
    added = tuple(name for name in new if name not in old)
    return Reviews(found, added, removed, gone, constants.between(*numbers))


def _asked(abis: Abis) -> tuple[Abi, ...]:
    if isinstance(abis, str | Abi):
        abis = (abis,)
    _check(abis, Iterable, f"a list of ABIs out of {listed(ABIS)}")
    names = tuple(islice(abis, MOST_ABIS + 1))
    if not 0 < len(names) <= MOST_ABIS:
        told = f"up to {MOST_ABIS} ABIs" if names else "at least one ABI"
        raise KvmvizError(f"a review takes {told}; known are {listed(ABIS)}")
    return tuple(dict.fromkeys(map(ABIS.find, names)))


def _check(given: object, kind: type, words: str) -> None:
    if not isinstance(given, kind):
        raise KvmvizError(f"a review takes {words}, not a {type(given).__name__[:40]}")


def _tried(struct: Struct, abi: Abi) -> Layout | KvmvizError:
    try:
        return struct.layout(abi)
    except KvmvizError as error:
        return error


# --- in words --------------------------------------------------------------------------------


def headline(review: Review) -> str:
    """The verdict in a line."""
    words = "nothing breaks" if review.findings else f"no change on {ground(review)}"
    if review.breaks:
        broken = _abis([row for row in review.findings if row.severity == "breaks"])
        words = f"BREAKS on {ground(review, broken)}"
    elif review.warnings:
        # Of one member, told together.
        count = len({(row.kind, row.member) for row in review.warnings})
        words = f"nothing breaks; {counted(count, 'warning')}"
    return "\n".join(_wrap(f"{review.new}: {words}", "", 2))


def ground(review: Review, names: Iterable[str] | None = None) -> str:
    """Some of the ABIs, or all, in words: by byte order or by name, whichever is short."""
    every = {abi.name: abi.byte_order for abi in review.abis}
    wanted = set(every if names is None else names)
    told = [", ".join(name for name in every if name in wanted)]
    for words, order in (("all", ""), ("little-endian", "little"), ("big-endian", "big")):
        side = [name for name in every if every[name].startswith(order)]
        left = [name for name in side if name not in wanted]
        if len(side) > 1 and wanted <= set(side):
            whole = words if order else "both ABIs" if len(side) == 2 else f"all {len(side)} ABIs"
            told.append(f"{words} except {', '.join(left)}" if left else whole)
    return min(told, key=len)


def _numbered(items: Iterable[Sequence[Finding]], review: Review | None = None) -> Iterator[str]:
    """Findings, with a number for those that are told together; of too many how many are left."""
    rows = list(items)
    for number, held in enumerate(rows[:MOST], 1):
        yield ""
        yield from _item(review, number, held)
    if left := rows[MOST:]:
        more = counted(len(left), "more finding")
        yield from ("", *_wrap(f"There is more: {more}; --json has them all", "  ", 3))


def _item(review: Review | None, number: int, rows: Sequence[Finding]) -> Iterator[str]:
    if rows[0].kind == "absent":  # the words of others differ in nothing but the ABI's name
        rows = [replace(rows[0], abis=_abis(rows))]
    first, *others = rows
    heads = {row.change.partition("; ")[0] for row in rows}
    head = heads.pop() if len(heads) == 1 else ""
    told = replace(first, change=head or RULES[first.kind].title) if others else first
    label = "" if others else _label(review, first.abis)
    yield from _wrap(f"{number}. {WORDS[first.severity]}: {told.named}{label}", "  ", 3)
    same = len({row.effect for row in rows}) == 1
    for row in rows if others else ():
        change = row.change.removeprefix(head).removeprefix("; ")
        if words := "; ".join(filter(None, (change, "" if same else row.effect))):
            yield from _wrap(f"{_label(review, row.abis)} {words}".strip(), "     ", 2)
    yield from _wrap(first.effect, "     ") if same else ()
    remedies = grouped(rows, lambda row: row.remedy)
    for remedy, held in remedies.items():
        on = _label(review, _abis(held)) if len(remedies) > 1 else ""
        yield from _wrap(f"Remedy{on}: {remedy}", "     ", 2) if remedy else ()


def _abis(rows: Iterable[Finding]) -> tuple[str, ...]:
    return tuple(abi for row in rows for abi in row.abis)


def _label(review: Review | None, abis: Sequence[str]) -> str:
    """Where something holds; nothing where it holds on all ABIs."""
    return f" [{ground(review, abis)}]" if review and len(abis) < len(review.abis) else ""


def _tables(review: Review, pairs: Sequence[Pair]) -> Iterator[str]:
    """One pair of each group, side by side, as many as fit, then the others below."""
    every = dict.fromkeys(n for pair in pairs for side in (pair.new, pair.old) for n in side.named)
    names = [n for n in every if not all(review.is_settled(n, pair) for pair in pairs)]
    verdicts = [[_fields(review, pair, v) for v in (pair.forward, pair.backward)] for pair in pairs]
    # Some side has the member and does not get it, or only one side has it.
    every_side = [fields for both in verdicts for fields in both]
    differing = [n for n in names if any(f.get(n) not in ("intact", NOTED) for f in every_side)]
    told = set(differing)
    shown, rest = differing[:MOST], [name for name in names if name not in told]
    heads = ["", "sizeof", "align", *(cell for name in shown for cell in (name, ""))]
    sides = ["", "", "", *["old < new", "new < old"] * len(shown)]
    columns = []
    for number, (pair, both) in enumerate(zip(pairs, verdicts, strict=True), 1):
        sizes = _both(pair.old.size, pair.new.size), _both(pair.old.align, pair.new.align)
        found = (fields.get(name, "-") for name in shown for fields in both)
        columns.append([f"({number})", *sizes, *found])
    room = WIDTH - 4 - max(map(len, heads)) - len("old < new")
    step = max(1, room // (2 + max(len(cell) for column in columns for cell in column)))
    for at in range(0, len(columns), step):
        yield table(zip(heads, sides, *columns[at : at + step], strict=True))
    if len(differing) > MOST:
        yield f"  and {len(differing) - MOST} more members; --json has them all"
    if rest:
        yield from _wrap(f"intact in both directions: {listed(rest)}", "  ", 2)
    if differing:
        yield "  old < new: an old reader of a new writer; new < old: the reverse"
    if any(fields.get(name) == NOTED for name in shown for fields in every_side):
        yield f"  {NOTED}: reserved, or spelled otherwise; what that does is said below"


def _fields(review: Review, pair: Pair, verdict: Verdict) -> dict[str, str]:
    """What a reader gets of each member; what a finding says more of is :data:`NOTED`."""
    return {
        name: NOTED if status != "intact" and review.is_settled(name, pair) else status
        for name, status in verdict.fields.items()
    }


def _both(before: int, after: int) -> str:
    return f"{before}" if before == after else f"{before} -> {after}"


def _wrap(words: str, pad: str, deeper: int = 0) -> list[str]:
    """Lines of the report; what a header said is in them as plain characters."""
    told = plain(" ".join(words.split()))
    return textwrap.wrap(
        told, WIDTH, initial_indent=pad, subsequent_indent=pad + " " * deeper,
        break_on_hyphens=False,
    )  # fmt: skip

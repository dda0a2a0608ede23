"""A review: one struct before and after a change, in both directions, on many ABIs.

The exit status of ``kvmviz compare`` and the grades of the exercises are :attr:`Review.breaks`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from kvmviz import abi as abis_
from kvmviz._base import KvmvizError, Twin
from kvmviz.abi import ABIS, Abi
from kvmviz.ctype import Struct
from kvmviz.layout import Layout
from kvmviz.review.finding import SEVERITIES, Finding
from kvmviz.review.pair import Pair
from kvmviz.review.whole import between
from kvmviz.verdict import Verdict


@dataclass(frozen=True)
class Row:
    """Both directions on one ABI."""

    abi: Abi
    pair: Pair

    @property
    def forward(self) -> Verdict:
        """New writer, old reader: a program that is not built again."""
        return self.pair.forward

    @property
    def backward(self) -> Verdict:
        """Old writer, new reader: a program that is ahead of its kernel."""
        return self.pair.backward


@dataclass(frozen=True, repr=False)
class Review(Twin):
    """The struct ``old`` and what it became, ``new``, on ``abis``."""

    old: Struct
    new: Struct
    abis: tuple[Abi, ...]

    @cached_property
    def layouts(self) -> tuple[tuple[Abi, Layout | KvmvizError, Layout | KvmvizError], ...]:
        """Both layouts of each ABI; the error where an ABI has no such struct."""
        return tuple((abi, _layout(self.old, abi), _layout(self.new, abi)) for abi in self.abis)

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """One row for each ABI that has the struct before and after."""
        return tuple(
            Row(abi, Pair(old, new))
            for abi, old, new in self.layouts
            if isinstance(old, Layout) and isinstance(new, Layout)
        )

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What there is to know, the worst first; ABIs that agree are one finding."""
        where: dict[Finding, list[str]] = {}
        # The same leaves in the same places give the same findings, on whatever ABI.
        known: dict[object, tuple[Finding, ...]] = {}
        for row in self.rows:
            if row.pair.old == row.pair.new:
                continue
            if row.pair.key not in known:
                known[row.pair.key] = between(row.pair)
            for finding in known[row.pair.key]:
                where.setdefault(finding, []).append(row.abi.name)
        for abi, old, new in self.layouts:
            if absent := _absent(old, new):
                where.setdefault(absent, []).append(abi.name)
        found = [replace(finding, abis=tuple(names)) for finding, names in where.items()]
        order = list(dict.fromkeys(row.member for row in found))
        return tuple(
            sorted(found, key=lambda f: (SEVERITIES.index(f.severity), order.index(f.member)))
        )

    @property
    def breaks(self) -> bool:
        """On some ABI a member that both have is not intact, or size or alignment changes.

        So it does where the struct is gone from an ABI, whose programs can no longer be built.
        Not intact: for an old reader of a new writer, or for a new reader of an old writer. What
        only one side has does not count, members of nested structs included.
        """
        return any(finding.severity == "breaks" for finding in self.findings)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What is safe only if something else says so, as a new member that needs a flag."""
        return tuple(row for row in self.findings if row.severity == "warning")


@dataclass(frozen=True, repr=False)
class Reviews(Twin):
    """Two headers: the structs that both define, and the names that only one of them has."""

    reviews: tuple[Review, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]

    @property
    def breaks(self) -> bool:
        """Some struct that both have breaks."""
        return any(review.breaks for review in self.reviews)

    @property
    def warns(self) -> bool:
        """Some struct has a warning, or one is gone."""
        return bool(self.removed) or any(review.warnings for review in self.reviews)


def review(old: Struct, new: Struct, abis: Iterable[str | Abi] = tuple(ABIS)) -> Review:
    """Judge a change to a struct in both directions on every ABI.

    An ABI that has no such struct, before or after, is a finding, not an error. Raises
    :class:`KvmvizError` for what is not a struct, and for an unknown ABI.
    """
    for struct in (old, new):
        if not isinstance(struct, Struct):
            raise KvmvizError(f"review takes two structs, not a {type(struct).__name__}")
    names = (abis,) if isinstance(abis, str | Abi) else tuple(abis)
    if not names:
        raise KvmvizError(f"review needs at least one ABI; known are {', '.join(ABIS)}")
    return Review(old, new, tuple(dict.fromkeys(map(abis_.find, names))))


def review_all(
    old: Mapping[str, Struct], new: Mapping[str, Struct], abis: Iterable[str | Abi] = tuple(ABIS)
) -> Reviews:
    """The same for every struct that two headers have in common."""
    names = tuple(abis)
    return Reviews(
        tuple(review(old[name], new[name], names) for name in new if name in old),
        tuple(name for name in new if name not in old),
        tuple(name for name in old if name not in new),
    )


def _layout(struct: Struct, abi: Abi) -> Layout | KvmvizError:
    try:
        return struct.layout(abi)
    except KvmvizError as error:
        return error


def _absent(old: Layout | KvmvizError, new: Layout | KvmvizError) -> Finding | None:
    if isinstance(old, KvmvizError) and isinstance(new, KvmvizError):
        return Finding("absent", "", "note", "not there before or after", f"{new}")
    if isinstance(old, KvmvizError):
        return Finding("absent", "", "note", "new: not there before", f"{old}")
    if isinstance(new, KvmvizError):
        remedy = "keep the struct there as it was"
        return Finding("absent", "", "breaks", "gone: not there after", f"{new}", remedy)
    return None

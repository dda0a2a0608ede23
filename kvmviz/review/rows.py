"""The rows in which versions of a struct are shown: arms of unions, and what is left out.

Arms of unions, members that share bytes, are shown in rows of their own, one below the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from kvmviz._base import KvmvizError
from kvmviz.abi import Abi
from kvmviz.ctype import Struct
from kvmviz.review.versions import Side, Versions
from kvmviz.rules import up
from kvmviz.slot import Slot, Source, member_of, merged
from kvmviz.text import runs, spans
from kvmviz.verdict import Status

CELLS = 8
"""Bytes in a row of a panel."""

MOST_ROWS = {1: 9, 2: 10}
"""Rows of cells by versions; where a struct has more, those that tell something come first."""

MOST_ARMS = 3
"""Arms of a union that are drawn one below the other; of more it says how many."""

MOST = 1 << 14
"""Bytes of a version: each of them is judged, however few are drawn."""


def rows_of(kind: Struct, abi: Abi) -> dict[str, int]:
    """The row of each leaf, by its path without indices: a union's members have one each."""
    return _rows(kind, abi, 0, "")[0]


def _rows(kind: Struct, abi: Abi, first: int, path: str) -> tuple[dict[str, int], int]:
    """The rows from ``first`` on, and the first that is free behind them."""
    found: dict[str, int] = {}
    at, stop = first, first + 1
    for member in kind.on(abi).members:
        name = f"{path}{member.name}" if member.name else path
        if isinstance(leaf := member.type.leaf, Struct):
            inner, end = _rows(leaf, abi, at, f"{name}." if member.name else path)
            found |= inner
        elif member.name:
            found[name], end = at, at + 1
        else:  # a bit-field without a name only takes room
            continue
        stop = max(stop, end)
        at = end if kind.union else at
    return found, stop


@dataclass(frozen=True)
class Arm:
    """What one row shows of a version: the leaves that share no byte with one another.

    ``leads``: it is the first row of those bytes, where their holes are drawn.
    """

    side: Side
    slots: frozenset[Slot]
    leads: bool

    def source(self, at: int) -> Source | None:
        """What the arm holds in a byte; of that what a number was stored to, if any was."""
        image = self.side.image
        stored = image.sources[at] if image else None
        written = [s for s in (stored.shares if stored else ()) if s.slot in self.slots]
        return merged(written or [s for s in self.side.layout.holders[at] if s.slot in self.slots])

    def is_there(self, at: int) -> bool:
        """There is something to draw: a member of the arm, or a hole in all of them."""
        held = self.side.layout.holders[at]
        return any(s.slot in self.slots for s in held) if held else self.leads

    def judged(self, at: int) -> dict[Slot, Status]:
        """What this version's reader gets of the arm's members at a byte."""
        found = self.side.judged[at].items()
        return {slot: status for slot, status in found if slot in self.slots}

    def pieces(self, first: int, stop: int) -> Iterator[tuple[int, int]]:
        """First and last offset of neighbours of which the picture says one thing."""
        offsets = range(first, min(stop, self.side.layout.size))
        return runs(filter(self.is_there, offsets), self._held)

    def _held(self, at: int) -> object:
        source = self.source(at)
        if source is None:
            return self.side.layout.slot_at(at)
        shares = source.shares
        part = at if source.is_part else None
        return tuple(s.slot for s in shares), part, tuple(self.judged(at).values())

    def breaks(self, at: int) -> bool:
        """Some reader does not get what lies at a byte."""
        return any(status != "intact" for status in self.judged(at).values())

    def names(self, at: int, letters: Mapping[str, str]) -> tuple[str, ...]:
        """What to call the piece that starts at a byte, and what its reader gets of it.

        In several lengths, the fullest first; ``letters`` are those of the members.
        """
        source = self.source(at)
        if source is None:
            outer, _, inner = self.side.layout.slot_at(at).path.rpartition(": ")
            kind = inner.partition(" after")[0]
            inside = f"{kind} in {outer}" if outer else kind
            return f"{inside}: no member", inside, f"{kind}: no member", kind, kind[:4], ""
        judged = self.judged(at)
        shares = [
            (letters[s.slot.member], s.label if s.is_part else s.slot.path, judged.get(s.slot))
            for s in source.shares
        ]
        full = ", ".join(f"{letter} {path}{_sign(status)}" for letter, path, status in shares)
        signs = [f"{letter}{_sign(status)}" for letter, _, status in shares]
        marks = [f"{letter}{_sign(status)[1:2]}" for letter, _, status in shares]
        only = "".join(letter for letter, *_ in shares)
        mark = marks[0][1:] if len({status for *_, status in shares}) == 1 else ""
        return full, ", ".join(signs), " ".join(marks), "".join(marks), only + mark, only, only[0]


def _sign(status: Status | None) -> str:
    """Behind a member's name: intact needs no word, all else is named."""
    return "" if status is None else " ✓" if status == "intact" else f" ✗ {status}"


@dataclass(frozen=True)
class Arms:
    """All rows of a version."""

    side: Side

    @cached_property
    def _rows(self) -> dict[str, int]:
        return rows_of(self.side.layout.struct, self.side.layout.abi)

    def between(self, first: int, stop: int) -> Sequence[Arm]:
        """The rows of some bytes: those that hold something there, and at least one."""
        held = self.side.layout.holders[first:stop]
        slots = {source.slot for sources in held for source in sources}
        rows: dict[int, set[Slot]] = {}
        for slot in slots:
            rows.setdefault(self._rows[member_of(slot.path)], set()).add(slot)
        arms = [frozenset(rows[number]) for number in sorted(rows)] or [frozenset()]
        return [Arm(self.side, slots, not number) for number, slots in enumerate(arms)]


def heights(columns: Sequence[tuple[Arms, ...]], first: int) -> list[int]:
    """How many rows of cells each version takes, for all ABIs to stand side by side."""
    each = zip(*columns, strict=True)
    return [
        min(max(len(arms.between(first, first + CELLS)) for arms in sides), MOST_ARMS)
        for sides in each
    ]


def chosen(shown: Sequence[Versions]) -> tuple[list[int], list[int]]:
    """The first offsets of the rows to show, and the offsets of all bytes that are left out.

    Raises :class:`KvmvizError` for none, and for more than :data:`MOST` bytes.
    """
    if not shown:
        raise KvmvizError("a picture of versions takes at least one")
    for one in shown:
        if one.size > MOST:
            raise KvmvizError(
                f"{one.old.struct} on {one.old.abi.name}: a picture of versions takes at most "
                f"{MOST} bytes, not {one.size}"
            )
    columns = [arms(one) for one in shown]
    size = max(one.size for one in shown)
    # One row past a version's end stands for all of them.
    end = min(max(sides) for sides in zip(*_sizes(shown), strict=True))
    starts = list(range(0, size, CELLS))
    most = MOST_ROWS[max(len(one.sides) for one in shown)]
    if sum(sum(heights(columns, at)) for at in starts[: most + 1]) > most:
        starts = [at for at in starts if at <= up(end, CELLS)]
        telling = [at for at in starts if any(one.telling(at, at + CELLS) for one in shown)]
        starts = [*telling, *(at for at in starts if at not in set(telling))]
    rows: list[int] = []
    for at in starts:
        most -= sum(heights(columns, at))
        if rows and most < 0:
            break
        rows.append(at)
    return sorted(rows), [at for at in range(size) if at // CELLS * CELLS not in rows]


def remarks(shown: Sequence[Versions], left: Sequence[int]) -> list[str]:
    """What there is to say of all rows: the bytes that are left out, and how to read a verdict."""
    said = [f"Left out: {spans(left)}."] if left else []
    both = "Below old: what an old program gets of new bytes. Below new: the reverse."
    return [*said, *[both] * any(one.new for one in shown)]


def arms(shown: Versions) -> tuple[Arms, ...]:
    """The rows of each version."""
    return tuple(map(Arms, shown.sides))


def _sizes(shown: Sequence[Versions]) -> list[list[int]]:
    return [[side.layout.size for side in one.sides] for one in shown]

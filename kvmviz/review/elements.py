"""Findings about flexible array members: where their elements start, and what each of them is.

No byte that sizeof counts is theirs, so that no byte shows what becomes of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from kvmviz._base import counted
from kvmviz.ctype import Array, Member, Struct, Type, scalar
from kvmviz.layout import Layout
from kvmviz.review.finding import NEW_READER, OLD_READER, Finding, found, type_words
from kvmviz.review.one_sided import judged
from kvmviz.review.pair import Pair
from kvmviz.verdict import Place, elements_there, is_in


def flexible_findings(pair: Pair) -> Iterator[Finding]:
    """What became of the flexible arrays of both sides."""
    for name, (before, after) in pair.flexible.items():
        if before is None and after is not None:
            yield _added(pair, name, after)
        elif after is None and before is not None:
            yield _removed(pair, name, before)
        elif before and after and before != after:
            if not (is_flexible(before.type) and is_flexible(after.type)):
                yield _fixed(pair, name, before, after)
            elif before.offset != after.offset:
                words = f"moves from offset {before.offset} to offset {after.offset}"
                if _key(before)[1] != _key(after)[1]:
                    words += f"; type {type_words(before.type)} becomes {type_words(after.type)}"
                yield Finding(
                    "moved", name, "breaks", f"flexible array {words}",
                    "each side takes other bytes for the elements",
                    f"keep {name} where it was, and its elements as they are",
                )  # fmt: skip
            else:
                yield from _elements(name, before, after)


def is_flexible(kind: Type) -> bool:
    """An array whose elements sizeof does not count."""
    return isinstance(kind, Array) and 0 in kind.shape


def _namesake(pair: Pair, side: int, there: Place) -> str | None:
    """The flexible array of one side alone that starts at the same place with such elements."""
    for name, sides in pair.flexible.items():
        other = sides[side]
        if other and sides[1 - side] is None and _key(other) == _key(there):
            return name
    return None


def _key(there: Place) -> tuple[int, int | None]:
    return there.offset, there.element.size if there.element else None


def _added(pair: Pair, name: str, there: Place) -> Finding:
    if other := _namesake(pair, 0, there):
        return Finding(
            "replaced", name, "warning",
            f"takes the place of the flexible array {other}, at offset {there.offset}",
            f"an old writer writes these elements as {other}", "safe if only the name is new",
        )  # fmt: skip
    return Finding(
        "appended", name, "warning", f"flexible array added at offset {there.offset}",
        "an old writer writes no elements", "needs a count of elements that reads 0 from an old "
        "writer",
    )  # fmt: skip


def _removed(pair: Pair, name: str, there: Place) -> Finding:
    other = _namesake(pair, 1, there)
    effect = f"these elements as {other}" if other else "no elements"
    return Finding(
        "removed", name, "warning", "flexible array removed", f"a new writer writes {effect}",
        f"keep {name}" if other else f"keep {name}, with a count of 0",
    )  # fmt: skip


def _fixed(pair: Pair, name: str, before: Place, after: Place) -> Finding:
    """A flexible array on one side; on the other an array of fixed length, or no array."""
    told = []
    for who, verdict, wrong in (
        (OLD_READER, pair.forward, pair.wrong[0]), (NEW_READER, pair.backward, pair.wrong[1]),
    ):  # fmt: skip
        if verdict.flexible.get(name, "intact") != "intact":
            told.append(f"for {who}, {elements_there(verdict, name)}")
        rows = [w for path, some in wrong.items() if is_in(path, name) for w in some]
        if rows:
            told.append(f"{who} finds {found(rows)}, as its writer's sizeof counts no element")
    words = f"type {type_words(before.type)} becomes {type_words(after.type)}"
    if before.offset != after.offset:
        words += f"; moves from offset {before.offset} to offset {after.offset}"
    remedy = f"keep {name} as {type_words(before.type)}"
    if is_flexible(after.type):
        remedy += "; a flexible array of another name can lie in a union with it"
    return Finding("flexible", name, "breaks" if told else "note", words, "; ".join(told), remedy)


def _elements(name: str, before: Place, after: Place) -> Iterator[Finding]:
    """Flexible arrays at the same place, of other elements."""
    if not like_places(before, after):
        one, two = (there.element.size for there in (before, after) if there.element)
        yield Finding(
            "retyped", name, "breaks",
            f"flexible array of {type_words(before.type)}, {counted(one, 'byte')} each, becomes "
            f"one of {type_words(after.type)}, {counted(two, 'byte')} each",
            "each side takes other bytes for the elements",
            f"keep the elements of {name} as they are",
        )  # fmt: skip
        return
    pair = Pair(alone(name, before), alone(name, after))
    yield from named(name, (judged(pair, change) for change in pair.changes))


def like_places(one: Place, other: Place) -> bool:
    """Flexible arrays that start at the same place, with elements of the same size."""
    both = is_flexible(one.type) and is_flexible(other.type)
    return both and _key(one) == _key(other)


def named(name: str, rows: Iterable[Finding]) -> Iterator[Finding]:
    """Findings about the first element of a flexible array of that path: they hold for all."""
    outer = name[: -len(name.rpartition(".")[2])]
    for row in rows:
        words = f"in every element, {row.change}"
        yield replace(row, member=f"{outer}{row.member}", change=words)


def alone(name: str, there: Place) -> Layout:
    """The first element as the only member of a struct, at the offset that it has."""
    assert isinstance(there.type, Array)
    own = name.rpartition(".")[2]
    rows = [Member(own, there.type.element)]
    if there.offset:
        rows.insert(0, Member(f"{own}_", Array(scalar("__u8"), there.offset)))
    return Struct("", rows, packed=True).layout(there.abi)

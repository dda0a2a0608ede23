"""Changes of spelling: another type, name or grouping for the same numbers in the same bytes.

A program that is built does not notice them; one that is built anew may have to be written anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

from kvmviz.abi import Abi
from kvmviz.ctype import Struct, Type
from kvmviz.review.change import Change, Pair, counterpart, homes
from kvmviz.review.finding import Finding, places, ruled, types
from kvmviz.slot import Slot
from kvmviz.text import some
from kvmviz.verdict import is_in, place

_REBUILD = "the same bytes for programs that are built; source that names it has to follow"


def between(pair: Pair) -> Iterator[Finding]:
    """What no program notices that is built: one finding for each way."""
    kept = [change for change in pair.changes if change.is_kept]
    effect = (
        "the same bytes, if the code that writes and reads them stays as it is, as for sparse "
        "alone; pack and unpack go by the type's name"
    )
    yield from _retyped("annotated", [c for c in kept if _is_annotated(c)], effect)
    yield from _retyped("wrapped", [c for c in kept if is_wrapped(pair, c)], _REBUILD)
    yield from _aliases(pair)
    yield from _renamed(pair)
    for name in pair.flexible:
        if other := _legacy(pair, name):
            words = f"a flexible array beside {other}, which stands there for sizeof"
            effect = "the same bytes and the same sizeof"
            yield ruled("beside", [name, other], words, effect)
    if not pair.changes and not pair.flexible and _is_grouped(pair):
        words = "members stand in other anonymous structs and unions, under the same names"
        effect = "the same bytes; an initializer that names no member may need other braces"
        yield ruled("grouped", "", words, effect)


def _retyped(kind: str, rows: Sequence[Change], effect: str) -> Iterator[Finding]:
    if rows:
        words = "; ".join(dict.fromkeys(map(types, rows)))
        yield ruled(kind, [change.name for change in rows], words, effect)


def _is_annotated(change: Change) -> bool:
    """Integers of which only the byte order that the type names is another: __u32 to __be32."""
    if len(change.old) != len(change.new) or change.is_bit_field:
        return False
    return all(
        (one.start, one.extent, one.shape) == (two.start, two.extent, two.shape)
        and one.type is not None and two.type is not None
        and (one.type.kind, one.type.bits) == (two.type.kind, two.type.bits)
        and one.type.order != two.type.order
        for one, two in zip(change.old, change.new, strict=True)
    )  # fmt: skip


def is_wrapped(pair: Pair, change: Change) -> bool:
    """A struct stands in place of the one array or number that it holds, or the reverse."""
    one, two = change.kinds
    if one is None or two is None or not change.is_struct or not change.is_another:
        return False
    shapes = _unwrapped(one, pair.abi), _unwrapped(two, pair.abi)
    return shapes[0] == shapes[1] and _run(change.old) == _run(change.new)


def dissolved(pair: Pair) -> set[str]:
    """The tags of structs that wrapped what now stands in their place."""
    leaves = [c.kinds[0].leaf for c in pair.changes if c.kinds[0] and is_wrapped(pair, c)]
    return {leaf.tag for leaf in leaves if isinstance(leaf, Struct)}


def _unwrapped(kind: Type, abi: Abi) -> tuple[tuple[int, ...], bool]:
    """How many there are, structs of one member looked into; whether one of more is left."""
    shape, leaf = tuple(kind.shape), kind.leaf
    while isinstance(leaf, Struct) and len(rows := leaf.on(abi).members) == 1 and not rows[0].bits:
        shape, leaf = shape + tuple(rows[0].type.shape), rows[0].type.leaf
    return shape, isinstance(leaf, Struct)


def _run(slots: Sequence[Slot]) -> list[list[object]]:
    """The numbers that lie there, neighbours of one kind joined."""
    found: list[list[object]] = []
    for slot in slots:
        kind = [slot.width, slot.order, slot.type and (slot.type.kind, slot.type.signed)]
        if found and found[-1][1:] == [slot.start, *kind]:
            found[-1][1] = slot.stop
        else:
            found.append([slot.start, slot.stop, *kind])
    return found


def _aliases(pair: Pair) -> Iterator[Finding]:
    """Members of a new union that name once more what is left as it is, as __struct_group does."""
    old, new = pair.paths
    same = {
        _bits(slot): path
        for path, slots in reversed([*old.items()]) if new.get(path) == slots for slot in slots
    }  # fmt: skip
    for change in pair.changes:
        keys = [] if change.old else [*map(_bits, change.new)]
        around = homes(pair.new, change.name) if keys and same.keys() >= {*keys} else ()
        if any(home.is_union and counterpart(home, pair.old) is None for home in around):
            again = list(dict.fromkeys(same[key] for key in keys))
            words = f"another name for {some(again)}, {places(change.new)}"
            yield ruled("alias", change.name, words, "the same values in the same bytes")


def _bits(slot: Slot) -> object:
    """Equal for slots that hold the same bits, as integers or as numbers of a like kind."""
    is_float = slot.type is not None and slot.type.is_float
    return slot.start, slot.extent, slot.shape, slot.order, is_float


def _renamed(pair: Pair) -> Iterator[Finding]:
    """Members that have another name, or stand in a struct now; flexible arrays each alone."""
    gone = {change.name: change for change in pair.changes if not change.new}
    origin = {key: name for name, change in gone.items() for key in _keys(pair, change.old)}
    fresh = {c.name: _keys(pair, c.new) for c in pair.changes if not c.old}
    fresh = {name: keys for name, keys in fresh.items() if origin.keys() >= {*keys}}
    used = {key for keys in fresh.values() for key in keys}
    whole = {name for name, change in gone.items() if used.issuperset(_keys(pair, change.old))}
    found = {
        name: list(dict.fromkeys(map(origin.__getitem__, keys))) for name, keys in fresh.items()
    }
    if rows := {name: names for name, names in found.items() if whole.issuperset(names)}:
        words = some([f"{name} of {some(names)}" for name, names in rows.items()])
        both = [*rows, *(name for names in rows.values() for name in names)]
        yield ruled("renamed", both, f"a new name{words.removeprefix(both[0])}", _REBUILD)
    old = {there: name for name, (there, after) in pair.flexible.items() if there and not after}
    for name, (before, there) in pair.flexible.items():
        if there in old and not before:
            yield ruled("renamed", [name, old[there]], f"a new name of {old[there]}", _REBUILD)


def _keys(pair: Pair, slots: Sequence[Slot]) -> list[object]:
    """What a member holds and where; the reserved are apart, as they hold nothing."""
    return [
        (slot.start, slot.extent, slot.shape, slot.order, slot.is_bit_field,
         slot.type and (slot.type.kind, slot.type.bits, slot.type.signed),
         pair.policy.is_reserved(slot.path))
        for slot in slots
    ]  # fmt: skip


def _legacy(pair: Pair, name: str) -> str:
    """The member that stands, for sizeof, beside an array that is flexible now; empty if none.

    The kernel puts a union in the place of an array of one element. It holds that element, under
    the old name or another, and a flexible array, under another or the old one.
    """
    before, after = pair.flexible[name]
    if after is None or after.element is None:
        return ""
    if before is not None:
        if before.offset != after.offset or 0 in before.type.shape:
            return ""
        held = (slots for path, slots in pair.paths[0].items() if is_in(path, name))
        run = _run(sorted((slot for slots in held for slot in slots), key=lambda slot: slot.start))
        fresh = (change for change in pair.changes if not change.old)
        found = next((change.name for change in fresh if _run(change.new) == run), "")
        return found if before.element == after.element else ""
    for path in pair.paths[1]:
        for outer in accumulate(path.split("."), lambda above, own: f"{above}.{own}"):
            there = place(pair.old, outer)
            is_kept = there is not None and there == place(pair.new, outer)
            if is_kept and there and (there.offset, there.element) == (after.offset, after.element):
                return outer
    return ""


def _is_grouped(pair: Pair) -> bool:
    return any(
        [home.is_union for home in homes(pair.old, name)]
        != [home.is_union for home in homes(pair.new, name)]
        for name in pair.new.named
    )

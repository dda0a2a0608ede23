"""Changes of spelling: another type, name or grouping for the same numbers in the same bytes.

A program that is built does not notice them; one that is built anew may have to be written anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from kvmviz.abi import Abi
from kvmviz.ctype import Struct, Type
from kvmviz.review.change import Change, Pair, homes
from kvmviz.slot import Slot
from kvmviz.verdict import is_in, place


def annotated(pair: Pair) -> list[Change]:
    """Integers of which only the byte order that the type names is another: __u32 to __be32."""
    return [change for change in pair.changes if change.is_kept and _is_annotated(change)]


def _is_annotated(change: Change) -> bool:
    """No bit moves, and a type like ``__be32`` is on one side at least."""
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


def renamed(pair: Pair) -> list[tuple[Change, list[Change]]]:
    """Members that have another name, or stand in a struct now, each with what it was before."""
    gone = {change.name: change for change in pair.changes if not change.new}
    fresh = {change.name: change for change in pair.changes if not change.old}
    origin = {key: name for name, change in gone.items() for key in _keys(pair, change.old)}
    found = {
        name: list(dict.fromkeys(map(origin.get, keys)))
        for name, change in fresh.items() if (keys := _keys(pair, change.new)) <= origin.keys()
    }  # fmt: skip
    used = {key for name in found for key in _keys(pair, fresh[name].new)}
    whole = {name for name, change in gone.items() if _keys(pair, change.old) <= used}
    return [
        (fresh[name], [gone[before] for before in names if before])
        for name, names in found.items() if whole.issuperset(names)
    ]  # fmt: skip


def _keys(pair: Pair, slots: Sequence[Slot]) -> set[object]:
    """What a member holds and where; the reserved are apart, as they hold nothing."""
    return {
        (slot.start, slot.extent, slot.shape, slot.order, slot.is_bit_field,
         slot.type and (slot.type.kind, slot.type.bits, slot.type.signed),
         pair.is_reserved(slot.path))
        for slot in slots
    }  # fmt: skip


def legacy(pair: Pair, name: str) -> str:
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


def is_grouped(pair: Pair) -> bool:
    """Members stand in other anonymous structs and unions than before, under the same names."""
    return any(
        [home.is_union for home in homes(pair.old, name)]
        != [home.is_union for home in homes(pair.new, name)]
        for name in pair.new.named
    )

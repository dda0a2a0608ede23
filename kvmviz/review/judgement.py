"""The judgement of a change on one ABI: which findings there are.

Whether a change breaks is decided by the sources of bytes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, chain
from textwrap import shorten

from kvmviz._base import KvmvizError, counted, span
from kvmviz.abi import Abi
from kvmviz.ctype import Array, Struct, Type
from kvmviz.layout import Layout
from kvmviz.review.change import WRITERS, Change, Pair, counterpart, enclosing, left, over, stop
from kvmviz.review.finding import (
    NEW_READER,
    OLD_READER,
    RULES,
    UNCHANGED,
    Finding,
    effect_of,
    found,
    hole_words,
    place_of,
    places,
    ranked,
    ruled,
    type_words,
    types,
)
from kvmviz.rules import up
from kvmviz.slot import Slot, member_of
from kvmviz.text import few_spans, plain, some
from kvmviz.verdict import Place, flexible, is_in, place

MOST_WORDS = 400
"""Characters of an error that a finding quotes."""


def between(pair: Pair) -> tuple[Finding, ...]:
    """All findings of a change on one ABI, the worst first; of one cause, one."""
    rows = list(_respelled(pair))
    told = {name for row in rows for name in (row.member, *row.also)}
    rows += [
        row for change in pair.changes if change.name not in told
        if (row := _judged(pair, change))
    ]  # fmt: skip
    rows += _flexible(pair, told)
    rows += _size(pair, rows)
    if pair.policy.strict:
        rows = [replace(r, severity="warning") if r.kind in UNCHANGED else r for r in rows]
    return ranked(rows)


def absent(before: Layout | KvmvizError, after: Layout | KvmvizError) -> Finding:
    """Of an ABI on which a side has no such struct, but for a reason."""
    # What a header says in an error, as plain characters and not too much of it.
    error = before if isinstance(after, Layout) else after
    words = plain(shorten(str(error), MOST_WORDS, placeholder=" ..."))
    if isinstance(before, Layout):
        return ruled("absent", "", "gone: not there after", words)
    change = "new: not there before" if error is before else "not there before or after"
    return ruled("absent", "", change, words, "note", "")


def _judged(pair: Pair, change: Change) -> Finding | None:
    """What there is to say of one member; None where another member's finding says it."""
    if pair.policy.is_reserved(change.name):
        return _reserve(pair, change)
    if not change.old:
        return _added(pair, change)
    if change.new:
        return _kept(pair, change)
    return ruled("removed", change.name, f"removed, {places(change.old)}", effect_of(change))


def _reserve(pair: Pair, change: Change) -> Finding | None:
    """A member that nobody reads: what becomes of its bytes is told by who takes them."""
    name = change.name
    if not change.old:
        row = _added(pair, change)
        if row.severity == "breaks":
            return row
        return ruled("reserve", name, row.change, "reserved from now on: nobody reads it")
    if free := left(pair.new, change.old):
        words = f"no member holds {few_spans(free)} any more"
        return ruled("removed", name, words, "a new writer leaves what was there")
    rows = (slot for old in change.old for slot in over(pair.new, old.start, old.stop))
    if not change.new or not all(pair.policy.is_reserved(slot.path) for slot in rows):
        return None
    return replace(_kept(pair, change), kind="reserve", remedy="")


# --- the struct as a whole -------------------------------------------------------------------


def _size(pair: Pair, rows: Sequence[Finding]) -> Iterator[Finding]:
    old, new = pair.old, pair.new
    # Behind the start of a flexible array lie its elements.
    loose = min((there.offset for there in flexible(new).values()), default=new.size)
    for slot in new.holes:
        was_hole = over(old, slot.start, slot.stop, padding=True)
        if slot.extent % 8 or slot.offset >= loose or was_hole:
            continue
        before = over(old, slot.start, slot.stop)
        if before and all(pair.policy.is_reserved(leaf.path) for leaf in before):
            continue  # told as what became of that
        words = f"new {hole_words(slot.path)}, {places([slot])}"
        yield ruled("new-hole", "", words, "no member holds it, so it keeps what was there before")
    if old.size != new.size:
        effect = (
            "an ioctl number that encodes sizeof changes with it; elements of an array lie "
            "elsewhere, and so do members behind it where another struct holds it"
        )
        yield ruled("size", "", f"sizeof {old.size} before, {new.size} after", effect)
    elif any(row.severity == "breaks" for row in rows):
        words = f"a size check sees nothing: sizeof {new.size} before and after"
        yield ruled("size-unseen", "", words)
    if old.align != new.align:
        words = f"alignment {old.align} before, {new.align} after"
        effect = "where another struct holds it, it may lie at another offset"
        yield ruled("align", "", words, effect)


# --- members that both sides have ------------------------------------------------------------


def _kept(pair: Pair, change: Change) -> Finding:
    name, ways = change.name, list(_ways(pair, change))
    wrong = bool(change.lost or change.gained)
    if not ways and not wrong:
        return _same_bits(change)
    if not ways:
        ways = [("moved", "its elements lie elsewhere, as each has another size")]
    kind = ways[0][0]
    words = "; ".join(words for _, words in ways)
    if stop(change.new) - stop(change.old) > change.start[1] - change.start[0]:  # it grows
        words += _pushes(pair, change)
    if change.zeros and not wrong:
        return ruled("reserved", name, words, effect_of(change))
    before, after = change.width
    parts = {
        "before": f"{before}", "more": f"{after - 1}:{before}",
        "hole": _hole(pair, change) if kind == "widened" else "",
        "count": counted(change.count[0], "element"),
    }  # fmt: skip
    remedies = dict.fromkeys(RULES[kind].remedy.format(name=name, **parts) for kind, _ in ways)
    row = ruled(
        kind, name, words, effect_of(change), "breaks" if wrong else "note", "; ".join(remedies)
    )
    return row if change.lost else _handshake(pair, row)


def _handshake(pair: Pair, row: Finding) -> Finding:
    """What breaks for new readers alone does so where both sides write; else they have to ask."""
    if row.severity != "breaks" or pair.policy.written_by is None:
        return row
    ask = f"needs a handshake: {WRITERS[pair.policy.written_by]}"
    return replace(row, severity="warning", remedy="; or ".join(filter(None, (row.remedy, ask))))


def _ways(pair: Pair, change: Change) -> Iterator[tuple[str, str]]:
    """Kind and words of each way in which it changed, what decides most first."""
    (before, after), (first, last) = change.width, change.count
    if change.is_another and (change.lost or change.gained):
        yield "retyped", types(change)
    elif not change.is_another:
        if before != after and not change.is_struct:
            word = "widened" if after > before else "narrowed"
            kind = "bit-field" if change.is_bit_field else word
            yield kind, f"{word} from {before} to {counted(after, 'bit')}"
        if first != last:
            word = "lengthened" if last > first else "shortened"
            yield "array-length", f"{word} from {first} to {counted(last, 'element')}"
    if change.moves:
        kind = "reordered" if change.name in pair.reordered else "moved"
        yield kind, f"moves from {place_of(change.old[0])} to {place_of(change.new[0])}"


def _hole(pair: Pair, change: Change) -> str:
    """Where the further bits of a wider member can go: the hole behind it, if it has room."""
    at = stop(change.old)
    hole = next(iter(over(pair.old, at, at + 1, padding=True)), None)
    if hole and not hole.member and hole.start == at and change.count == (1, 1):
        # In the smallest integer that takes them, naturally aligned.
        need = 1 << ((change.width[1] - change.width[0]) // 8 - 1).bit_length()
        end = up(hole.offset, need) + need
        fresh = (slot.path for slot in over(pair.new, hole.start, hole.stop))
        if end <= hole.offset + hole.size and all(path in pair.paths[0] for path in fresh):
            return f": the {hole.path} ({span(hole.offset, hole.offsets[-1])}) takes it"
    return ", in a hole or behind the last member"


def _same_bits(change: Change) -> Finding:
    """Same bits in the same place: what is left is how they are taken."""
    kinds = [slots[0].type for slots in (change.old, change.new)]
    if len({kind.kind == "bool" for kind in kinds if kind}) > 1:
        words = "the same bits are taken for another kind of value"
        return ruled("retyped", change.name, types(change), words, "warning")
    words = "the same bits in the same bytes"
    if len({kind.signed for kind in kinds if kind}) > 1:
        words += f"; a value with bit {change.width[0] - 1} set changes its sign"
    return ruled("retyped", change.name, types(change), words, remedy="")


# --- members that are new --------------------------------------------------------------------


def _added(pair: Pair, change: Change) -> Finding:
    """A new member by the struct that declares it, then by those around that."""
    name, around, where = change.name, enclosing(pair.new)[change.name], places(change.new)
    more, effect = _pushes(pair, change), effect_of(change)
    # A member of an array's elements is judged in the first of them.
    slots = change.new if name in pair.new.named else change.new[:1]
    for home in reversed(around):
        before, inmost = counterpart(home, pair.old), home is around[-1]
        start, end = slots[0].start - 8 * home.base, stop(slots) - 8 * home.base
        if home.is_union and inmost:
            beside = [home.path_of(member_of(s.path)) for s in over(home.layout, start, end)]
            if any(path in pair.paths[0] and not is_in(path, name) for path in beside):
                # Other members of the union, which it had before, lie there.
                words = f"added to a union, {where}{more}"
                return ruled("added-in-union", name, words, effect, "breaks" if more else None)
        if before is None:
            continue
        old, is_inside = before.layout, end <= 8 * before.layout.size
        if home.is_union and not inmost:
            if is_inside:
                words = f"at the end of {around[-1].path or 'that member'}"
                return _in_padding(pair, change, "appended", words)
        elif there := over(old, start, end):
            return _over(pair, change, [before.path_of(slot.path) for slot in there])
        elif is_inside:
            if any(f.start <= start and end <= f.stop
                   for f in old.fields if f.name is None and f.bits):  # fmt: skip
                words = f"takes {where} from an unnamed bit-field"
                return ruled("reserved", name, words, effect)
            hole = over(old, start, end, padding=True)[0].path
            words = f"in the {hole_words(f'{before.path}: {hole}' if before.path else hole)}"
            return _in_padding(pair, change, "added-in-hole", words)
    if more:
        return ruled("inserted", name, f"added in front of others, {where}{more}", effect)
    inside = ", from the old tail padding on" if change.new[0].start < 8 * pair.old.size else ""
    return ruled(
        "appended", name, f"added at the end, {where}{inside}",
        f"an old writer never writes {where}; a new writer that is not told the size writes "
        "past the end of an old reader's memory",
    )  # fmt: skip


def _in_padding(pair: Pair, change: Change, kind: str, words: str) -> Finding:
    """A new member where the old struct has padding, or a union is longer than the old struct."""
    where, (*outer, inmost) = places(change.new), enclosing(pair.new)[change.name]
    never = f"an old writer never writes {where}"
    if any(home.is_union and counterpart(home, pair.old) for home in outer):
        never += f" when it fills {inmost.path or 'that member'}"
    effect = f"{NEW_READER} finds what was there before in {where}; "
    effect += f"nothing changes for {OLD_READER}"
    remedy = RULES["added-in-hole"].remedy.format(never=never)
    words = f"added {words}, {where}{_pushes(pair, change)}"
    return ruled(kind, change.name, words, effect, remedy=remedy)


def _over(pair: Pair, change: Change, paths: Sequence[str]) -> Finding:
    """A new member where the old layout has others: it pushed, shrank or replaced them."""
    name, where, more = change.name, places(change.new), _pushes(pair, change)
    there, effect = some(paths), effect_of(change)
    if not more and all(map(pair.policy.is_reserved, paths)):
        row = ruled("reserved", name, f"takes {where} from {there}", effect)
        holes = left(pair.old, change.new)
        never = f"; an old writer never writes {few_spans(holes)}"
        return replace(row, remedy=row.remedy + never) if holes else row
    kept = [path for path in map(member_of, paths) if path in pair.paths[1]]
    if kept and more:
        words = f"there is no hole at {where}:{more.removeprefix(';')}"
        return ruled("inserted", name, words, effect)
    if kept:
        sides = pair.wrong if pair.policy.written_by is None else pair.wrong[:1]
        wrong = any(path in side for path in kept for side in sides)
        words = f"takes {where} from {there}"
        return ruled("taken", name, words, effect, "breaks" if wrong else "warning")
    return ruled("replaced", name, f"takes the place of {there}, {where}", effect, there=there)


def _pushes(pair: Pair, change: Change) -> str:
    """What a new or a wider member moves: ``; it moves far from offset 4 to offset 8``."""
    if pushed := pair.pushed(change):
        name, before, after = pushed
        return f"; it moves {name} from {place_of(before)} to {place_of(after)}"
    for name, (old, new) in pair.flexible.items():
        if old and new and old.offset != new.offset and 8 * new.offset >= stop(change.new):
            return f"; it moves {name} from offset {old.offset} to offset {new.offset}"
    return ""


# --- flexible array members ------------------------------------------------------------------
# No byte that sizeof counts is theirs, so that no byte shows what becomes of them.


def _flexible(pair: Pair, told: Collection[str]) -> Iterator[Finding]:
    """Where their elements start, and what each of them is; of those not ``told`` already."""
    for name, (before, after) in pair.flexible.items():
        if name in told or before == after:
            continue
        if before and after:
            yield from _both_flexible(pair, name, before, after)
        elif after:
            words, effect = f"flexible array added at offset {after.offset}", "an old writer"
            remedy = "needs a count of elements that reads 0 from an old writer"
            yield ruled("appended", name, words, f"{effect} writes no {name}", remedy=remedy)
        else:
            effect, remedy = f"a new writer writes no {name}", f"keep {name}, with a count of 0"
            yield ruled("removed", name, "flexible array removed", effect, remedy=remedy)


def _both_flexible(pair: Pair, name: str, before: Place, after: Place) -> Iterator[Finding]:
    """An array, or what became one, of which one side at least is flexible."""
    is_moved, same = before.offset != after.offset, 0 in before.type.shape and 0 in after.type.shape
    sizes = [there.element.size if there.element else 0 for there in (before, after)]
    if same and not is_moved and sizes[0] == sizes[1]:
        # What is said of the first element holds for all.
        inner = Pair(_alone(name, before), _alone(name, after), pair.policy)
        outer = name[: -len(name.rpartition(".")[2])]
        for row in between(inner):
            if row.kind not in ("size", "align", "size-unseen", "new-hole"):
                words = f"in every element, {row.change}"
                also = tuple(f"{outer}{other}" for other in row.also)
                yield replace(row, member=f"{outer}{row.member}", change=words, also=also)
        return
    kind = "moved" if same and is_moved else "retyped" if same else "flexible"
    one, two = type_words(before.type), type_words(after.type)
    ways = [f"moves from offset {before.offset} to offset {after.offset}"] * is_moved
    ways += [f"type {one} becomes {two}"] * (one != two)
    told = []
    for who, verdict, wrong in (
        (OLD_READER, pair.forward, pair.wrong[0]), (NEW_READER, pair.backward, pair.wrong[1]),
    ):  # fmt: skip
        status, why = verdict.flexible.get(name, ("intact", ""))
        if status != "intact":
            told.append(f"{who} goes wrong: {why}")
        if rows := [w for path, held in wrong.items() if is_in(path, name) for w in held]:
            told.append(f"{who} finds {found(rows)}, as its writer's sizeof counts no element")
    row = ruled(
        kind, name, "; ".join(ways) or "elements of another size", "; ".join(told),
        "breaks" if told else "note", before=one,
        remedy=f"keep {name} where it was, and its elements as they are" if same else None,
    )  # fmt: skip
    yield row if row.effect.startswith(OLD_READER) else _handshake(pair, row)


def _alone(name: str, there: Place) -> Layout:
    """The first element as the only member of a struct."""
    assert isinstance(there.type, Array)
    return Struct("", [(name.rpartition(".")[2], there.type.element)]).layout(there.abi)


# --- another type, name or grouping for the same numbers in the same bytes -------------------
# A program that is built does not notice; one that is built anew may have to be written anew.

_REBUILD = "the same bytes for programs that are built; source that names it has to follow"


def _respelled(pair: Pair) -> Iterator[Finding]:
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


def _number(slot: Slot) -> tuple[object, ...]:
    """Equal for slots in the same bits that hold numbers of one kind and width."""
    return slot.start, slot.extent, slot.shape, slot.type and (slot.type.kind, slot.type.bits)


def _is_annotated(change: Change) -> bool:
    """Integers of which only the byte order that the type names is another: __u32 to __be32."""
    if change.is_bit_field or [*map(_number, change.old)] != [*map(_number, change.new)]:
        return False
    orders = ([s.type and s.type.order for s in side] for side in (change.old, change.new))
    return all(one != two for one, two in zip(*orders, strict=True))


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
        around = enclosing(pair.new)[change.name] if keys and same.keys() >= {*keys} else ()
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
        (_number(slot), slot.order, slot.is_bit_field, slot.type and slot.type.signed,
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
    if before is None:
        paths = (accumulate(leaf.split("."), "{}.{}".format) for leaf in pair.paths[0])
        kept = ((path, place(pair.old, path)) for path in chain.from_iterable(paths))
        same = (path for path, there in kept if there and there.offset == after.offset
                and there == place(pair.new, path) and there.element == after.element)  # fmt: skip
        return next(same, "")
    if (before.offset, before.element) != (after.offset, after.element) or 0 in before.type.shape:
        return ""
    held = (slots for path, slots in pair.paths[0].items() if is_in(path, name))
    run = _run(sorted((slot for slots in held for slot in slots), key=lambda slot: slot.start))
    return next((c.name for c in pair.changes if not c.old and _run(c.new) == run), "")


def _is_grouped(pair: Pair) -> bool:
    return any(
        [one.is_union for one in enclosing(pair.old)[name]]
        != [one.is_union for one in enclosing(pair.new)[name]]
        for name in pair.new.named
        if name in enclosing(pair.old)  # a struct without leaves may come and change nothing
    )

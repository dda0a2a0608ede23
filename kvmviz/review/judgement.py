"""The judgement of a change on one ABI: which findings there are.

Whether a change breaks is decided by the sources of bytes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from kvmviz._base import KvmvizError, counted
from kvmviz.ctype import Array, Struct
from kvmviz.layout import Layout
from kvmviz.review import spelling
from kvmviz.review.change import Change, Home, Index, Pair, counterpart, homes, stop
from kvmviz.review.finding import (
    NEW_READER,
    OLD_READER,
    RULES,
    UNCHANGED,
    Finding,
    effect_of,
    found,
    place_of,
    places,
    ranked,
    ruled,
    type_words,
    types,
)
from kvmviz.review.policy import WRITERS
from kvmviz.rules import up
from kvmviz.slot import member_of
from kvmviz.text import few_spans, plain, some, span
from kvmviz.verdict import Place, flexible, is_in

MOST_WORDS = 400
"""Characters of an error that a finding quotes."""


def between(pair: Pair) -> tuple[Finding, ...]:
    """All findings of a change on one ABI, the worst first; of one cause, one."""
    rows = list(spelling.between(pair))
    told = {name for row in rows for name in (row.member, *row.also)}
    rows += [
        row for change in pair.changes if change.name not in told
        if (row := _judged(pair, change))
    ]  # fmt: skip
    rows += _flexible(pair, told)
    rows += _whole(pair, rows)
    if pair.policy.strict:
        rows = [replace(r, severity="warning") if r.kind in UNCHANGED else r for r in rows]
    return ranked(rows)


def absent(before: Layout | KvmvizError, after: Layout | KvmvizError) -> Finding:
    """Of an ABI on which a side has no such struct, but for a reason."""
    # What a header says in an error, as plain characters and not too much of it.
    error = before if isinstance(after, Layout) else after
    words = plain(" ".join(str(error).split()))
    words = words if len(words) <= MOST_WORDS else f"{words[:MOST_WORDS]} ..."
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
    held = pair.leaves[1]
    if left := [at for slot in change.old for at in held.left(slot)]:
        words = f"no member holds {few_spans(left)} any more"
        return ruled("removed", name, words, "a new writer leaves what was there")
    rows = (slot for old in change.old for slot in held.over(old.start, old.stop))
    if not change.new or not all(pair.policy.is_reserved(slot.path) for slot in rows):
        return None
    return replace(_kept(pair, change), kind="reserve", remedy="")


# --- the struct as a whole -------------------------------------------------------------------


def _whole(pair: Pair, rows: Sequence[Finding]) -> Iterator[Finding]:
    old, new = pair.old, pair.new
    holes = Index(old.holes)
    # Behind the start of a flexible array lie its elements.
    loose = min((there.offset for there in flexible(new).values()), default=new.size)
    for slot in new.holes:
        if slot.extent % 8 or slot.offset >= loose or holes.over(slot.start, slot.stop):
            continue
        before = pair.leaves[0].over(slot.start, slot.stop)
        if before and all(pair.policy.is_reserved(leaf.path) for leaf in before):
            continue  # told as what became of that
        words = f"new {_told_hole(slot.path)}, {places([slot])}"
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


def _told_hole(path: str) -> str:
    """What a slot of padding is called: ``hole after a in n[0]``."""
    outer, _, words = path.rpartition(": ")
    return f"{words} in {outer}" if outer else words


# --- members that both sides have ------------------------------------------------------------


def _kept(pair: Pair, change: Change) -> Finding:
    name, ways = change.name, list(_ways(pair, change))
    wrong = bool(change.lost or change.gained)
    if not ways and not wrong:
        return _same_bits(change)
    if not ways:
        ways = [("moved", "its elements lie elsewhere, as each has another size")]
    kind = ways[0][0]
    words = "; ".join(words for _, words in ways) + (_pushes(pair, change) if change.grows else "")
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
            yield kind, f"{word} from {before} to {after} bits"
        if first != last:
            word = "lengthened" if last > first else "shortened"
            yield "array-length", f"{word} from {first} to {counted(last, 'element')}"
    if change.moves:
        kind = "reordered" if change.name in pair.reordered else "moved"
        yield kind, f"moves from {place_of(change.old[0])} to {place_of(change.new[0])}"


def _hole(pair: Pair, change: Change) -> str:
    """Where the further bits of a wider member can go: the hole behind it, if it has room."""
    hole = pair.holes.get(stop(change.old))
    if hole and change.count == (1, 1):
        # In the smallest integer that takes them.
        need = 1 << ((change.width[1] - change.width[0]) // 8 - 1).bit_length()
        end = up(hole.offset, pair.abi.align(need)) + need
        fresh = (slot.path for slot in pair.leaves[1].over(hole.start, hole.stop))
        if end <= hole.offset + hole.size and all(path in pair.paths[0] for path in fresh):
            return f": the {hole.path} ({span(hole.offset, hole.offsets[-1])}) takes it"
    return ", in a hole or behind the last member"


def _same_bits(change: Change) -> Finding:
    """Same bits in the same place: what is left is how they are taken."""
    name, kinds = change.name, [slots[0].type for slots in (change.old, change.new)]
    if len({kind.kind == "bool" for kind in kinds if kind}) > 1:
        words = "the same bits are taken for another kind of value"
        return ruled("retyped", name, types(change), words, "warning")
    words = "the same bits in the same bytes"
    if len({kind.signed for kind in kinds if kind}) > 1:
        words += f"; a value with bit {change.width[0] - 1} set changes its sign"
    return ruled("retyped", name, types(change), words, remedy="")


# --- members that are new --------------------------------------------------------------------


def _added(pair: Pair, change: Change) -> Finding:
    """A new member by the struct that declares it, then by those around that."""
    name, around, where = change.name, homes(pair.new, change.name), places(change.new)
    more, effect = _pushes(pair, change), effect_of(change)
    # A member of an array's elements is judged in the first of them.
    slots = change.new if name in pair.new.named else change.new[:1]
    for home in reversed(around):
        before, inmost = counterpart(home, pair.old), home is around[-1]
        start, end = slots[0].start - 8 * home.base, stop(slots) - 8 * home.base
        rows = map(member_of, home.over(start, end)) if home.is_union and inmost else ()
        if any(path in pair.paths[0] and not is_in(path, name) for path in rows):
            # Other members of the union, which it had before, lie there.
            words = f"added to a union, {where}{more}"
            return ruled("added-in-union", name, words, effect, "breaks" if more else "warning")
        if before is None:
            continue
        is_inside = end <= 8 * before.layout.size
        if home.is_union and not inmost:
            if is_inside:
                words = f"at the end of {around[-1].path or 'that member'}"
                return _in_padding(pair, change, around, "appended", words)
        elif there := before.over(start, end):
            return _over(pair, change, there)
        elif is_inside:
            if any(f.start <= start and end <= f.start + f.extent
                   for f in before.layout.fields if f.name is None and f.bits):  # fmt: skip
                words = f"takes {where} from an unnamed bit-field"
                return ruled("reserved", name, words, effect)
            hole = next(s for s in before.layout.holes if s.start < end and start < s.stop)
            path = f"{before.path}: {hole.path}" if before.path else hole.path
            words = f"in the {_told_hole(path)}"
            return _in_padding(pair, change, around, "added-in-hole", words)
    if more:
        return ruled("inserted", name, f"added in front of others, {where}{more}", effect)
    inside = ", from the old tail padding on" if change.new[0].start < 8 * pair.old.size else ""
    return ruled(
        "appended", name, f"added at the end, {where}{inside}",
        f"an old writer never writes {where}; a new writer that is not told the size writes "
        "past the end of an old reader's memory",
    )  # fmt: skip


def _in_padding(
    pair: Pair, change: Change, around: Sequence[Home], kind: str, words: str
) -> Finding:
    """A new member where the old struct has padding, or a union is longer than the old struct."""
    where = places(change.new)
    never = f"an old writer never writes {where}"
    if any(home.is_union and counterpart(home, pair.old) for home in around[:-1]):
        never += f" when it fills {around[-1].path or 'that member'}"
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
        holes = [at for slot in change.new for at in pair.leaves[0].left(slot)]
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
        if verdict.flexible.get(name, "intact") != "intact":
            told.append(f"{who} goes wrong: {verdict.elements[name][1]}")
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

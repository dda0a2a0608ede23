"""Findings: what a change to a struct is, what its effect is, and what would make it safe.

Whether a change breaks is decided by the sources of bytes; these are the words for it. A rule is
an entry of :data:`RULES` and the function that finds it. The remedies follow the kernel's own
documents: ``driver-api/ioctl``, ``process/botching-up-ioctls`` and ``process/adding-syscalls``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, NamedTuple

from kvmviz._base import KvmvizError, counted
from kvmviz.ctype import Array, Member, Struct, Type, scalar
from kvmviz.layout import Layout
from kvmviz.review import spelling
from kvmviz.review.change import Change, Home, Pair, counterpart, homes, stop, untaken
from kvmviz.review.policy import WRITERS
from kvmviz.slot import Slot, member_of
from kvmviz.text import bits, few_spans, plain, some
from kvmviz.verdict import Place, Witness, is_in, lies

Severity = Literal["breaks", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("breaks", "warning", "note")
"""Worst first."""

OLD_READER, NEW_READER = "an old reader of a new writer", "a new reader of an old writer"

MOST_WORDS = 400
"""Characters of an error that a finding quotes."""

ZEROS = "written as 0 by every old writer and ignored by every old reader"
"""What makes a reserved member one that may be put to use."""

UNCHANGED = ("alias", "annotated", "beside", "grouped", "renamed", "wrapped")
"""Kinds by which no byte changes; a strict policy makes warnings of them."""


class Rule(NamedTuple):
    """What a kind of finding is called, what makes it safe, and where that is written.

    The remedy is that of most of its findings: ``{name}`` is the member, ``{where}`` its bytes. It
    is empty where nothing has to be done, or where each finding has a remedy of its own.
    """

    title: str
    remedy: str
    source: str


_BYTES = "the bytes themselves: kvmviz.verdict"
_BUILD = "a program that names it is not built any more"
_REBUILD = "the same bytes for programs that are built; source that names it has to follow"
_IOCTL, _BOTCHING = "driver-api/ioctl", "process/botching-up-ioctls"
_SYSCALLS = "process/adding-syscalls"
_GATE = "scripts/check-uapi.sh"
_ENUM = f"{_GATE}: abidiff tells of enumerators that change"
_STDDEF = "include/uapi/linux/stddef.h"
_C_FLEXIBLE = "C11 6.7.2.1 paragraph 18, flexible array members"

RULES: Mapping[str, Rule] = MappingProxyType({
    "absent": Rule("not there on every ABI", "keep the struct there as it was", _BUILD),
    "alias": Rule("another name for others", "", f"{_STDDEF}, __struct_group"),
    "added-in-hole": Rule("added in a hole", "needs a validity flag: {never}; the flag must read 0 "
        "from an old writer, and a new one must clear it when the member is not valid", _BOTCHING),
    "added-in-union": Rule("added to a union", "needs a discriminator that says which member of "
        "the union is valid, with a value that an old writer never gives", _BYTES),
    "align": Rule("alignment changes", "keep the alignment as it was: no member and no attribute "
        "that asks for another", _IOCTL),
    "annotated": Rule("another byte order in the type's name", "", "include/uapi/linux/types.h"),
    "appended": Rule("added at the end", "hand over the size (in the ioctl number, in a member or "
        "as an argument), and let both sides take only what both have", _SYSCALLS),
    "array-length": Rule("another number of elements", "", _BYTES),
    "beside": Rule("a flexible array beside what stood for its first element", "",
        f"{_STDDEF}, __DECLARE_FLEX_ARRAY"),
    "bit-field": Rule("bit-field of another width", "", _BYTES),
    "constant-changed": Rule("a constant of another value", "keep its value, and give the new "
        "meaning a name of its own", _ENUM),
    "constant-count": Rule("a constant that counts others grows", "an old program has to pass over "
        "what it does not know", f"{_GATE}, enum_regex"),
    "constant-gone": Rule("a constant is gone", "keep it, with its value", _ENUM),
    "constant-new": Rule("a new constant", "", _ENUM),
    "constant-shifted": Rule("a new constant in front of others", "put it behind the last one, or "
        "give it a value that none has", _ENUM),
    "flexible": Rule("a flexible array on one side", "", _C_FLEXIBLE),
    "grouped": Rule("other anonymous structs around the same members", "", f"{_STDDEF}, "
        "__struct_group"),
    "inserted": Rule("added in front of others", "put {name} into a hole, or behind the last "
        "member", _BYTES),
    "moved": Rule("moves", "keep {name} where it was: a new member goes into a hole or behind the "
        "last one", _BYTES),
    "narrowed": Rule("narrowed", "", _BYTES),
    "new-hole": Rule("new padding", "make it a reserved member that is written as 0 and checked "
        "to be 0", _BOTCHING),
    "removed": Rule("removed", "keep {name}, or write the bytes that old readers expect into a "
        "reserved member there", _BYTES),
    "renamed": Rule("another name for the same type in the same bytes", "", _BYTES),
    "reordered": Rule("in another order", "keep the order of members", _BYTES),
    "replaced": Rule("takes the place of another", "safe if only the name is new; or if old "
        "writers are known to write 0 to {there} and old readers to ignore it", _BOTCHING),
    "reserve": Rule("reserved bytes only", "", f"{_GATE}, padding_regex"),
    "reserved": Rule("takes reserved bytes", f"safe if they were {ZEROS}",
        f"{_GATE}, padding_regex; {_BOTCHING}"),
    "retyped": Rule("another type", "keep the type of {name}", _BYTES),
    "size": Rule("sizeof changes", "keep sizeof as it was (use holes or reserved members), or give "
        "the new struct a name and an ioctl number of its own and go on serving the old one",
        _IOCTL),
    "size-unseen": Rule("a size check sees nothing", "", _BYTES),
    "taken": Rule("takes bits of another", f"safe if that was reserved: {ZEROS}; else put "
        "{name} into a hole, or behind the last member", _BOTCHING),
    "widened": Rule("widened", "add a new member for bits {more} instead of widening {name}",
        "Linux commit 18f3976fdb5d, which did so; driver-api/ioctl"),
    "wrapped": Rule("a struct around one array, or none any more", "", _BYTES),
})  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One thing that a reviewer should know, in words.

    ``kind`` is a name out of :data:`RULES`, ``member`` the member's path, empty for the struct as
    a whole. ``change`` is what was done, ``effect`` what comes of it, ``remedy`` what would make
    it safe (empty where nothing has to be done). ``abis`` are the ABIs on which it holds, ``also``
    other members that the same was done to.
    """

    kind: str
    member: str
    severity: Severity
    change: str
    effect: str = ""
    remedy: str = ""
    abis: tuple[str, ...] = ()
    also: tuple[str, ...] = ()

    @property
    def named(self) -> str:
        """What was done, behind the members' names if it has one: ``b: removed, bytes 4..7``."""
        told = self.kind in ("beside", "renamed", "constant-shifted")  # in the words that follow
        others = () if told else self.also
        return ": ".join(filter(None, (some([self.member, *others]), self.change)))


def _ruled(
    kind: str, name: str, severity: Severity, change: str, effect: str, **parts: str
) -> Finding:
    """A finding with the remedy of its rule."""
    remedy = RULES[kind].remedy.format(name=name, **parts)
    return Finding(kind, name, severity, change, effect, remedy)


def between(pair: Pair) -> tuple[Finding, ...]:
    """All findings of a change on one ABI, the worst first; of one cause, one."""
    rows = list(_spelled(pair))
    told = {name for row in rows for name in (row.member, *row.also)}
    rows += [
        row for change in pair.changes if change.name not in told
        if (row := judged(pair, change))
    ]  # fmt: skip
    rows += _flexible(pair, told)
    rows += _whole(pair, rows)
    if pair.policy.strict:
        rows = [replace(r, severity="warning") if r.kind in UNCHANGED else r for r in rows]
    return tuple(sorted(rows, key=lambda row: SEVERITIES.index(row.severity)))


def absent(before: KvmvizError | None, after: KvmvizError | None) -> Finding | None:
    """Of an ABI on which a side has no such struct, for these reasons."""
    error = after or before
    if error is None:
        return None
    # What a header says in an error, as plain characters and not too much of it.
    words = plain(" ".join(str(error).split()))
    words = words if len(words) <= MOST_WORDS else f"{words[:MOST_WORDS]} ..."
    if before is None:
        return _ruled("absent", "", "breaks", "gone: not there after", words)
    change = "not there before or after" if after else "new: not there before"
    return Finding("absent", "", "note", change, words)


def judged(pair: Pair, change: Change) -> Finding | None:
    """What there is to say of one member; None where another member's finding says it."""
    if pair.is_reserved(change.name):
        return _reserve(pair, change)
    if not change.old:
        return _added(pair, change)
    if change.new:
        return _kept(pair, change)
    words = f"removed, {places(change.old)}"
    return _ruled("removed", change.name, "warning", words, _effect(change))


def _reserve(pair: Pair, change: Change) -> Finding | None:
    """A member that nobody reads: what becomes of its bytes is told by who takes them."""
    name = change.name
    if not change.old:
        row = _added(pair, change)
        if row.severity == "breaks":
            return row
        words = "reserved from now on: nobody reads it"
        return Finding("reserve", name, "note", row.change, words)
    held = pair.leaves[1]
    left = [at for slot in change.old for _, *part in untaken(slot, held) for at in range(*part)]
    if left:
        words = f"no member holds {few_spans(left)} any more"
        return _ruled("removed", name, "warning", words, "a new writer leaves what was there")
    rows = (slot for old in change.old for slot in held.over(old.start, old.stop))
    if not change.new or not all(pair.is_reserved(slot.path) for slot in rows):
        return None
    return replace(_kept(pair, change), kind="reserve", remedy="")


# --- the same bytes, spelled in another way ---------------------------------------------------


def _spelled(pair: Pair) -> Iterator[Finding]:
    """What no program notices that is built: one finding for each way."""
    if rows := spelling.annotated(pair):
        words = "; ".join(dict.fromkeys(_types(change) for change in rows))
        effect = (
            "the same bytes, if the code that writes and reads them stays as it is, as for sparse "
            "alone; pack and unpack go by the type's name"
        )
        yield _same("annotated", [change.name for change in rows], words, effect)
    if rows := [change for change in pair.changes if spelling.is_wrapped(pair, change)]:
        words = "; ".join(dict.fromkeys(_types(change) for change in rows))
        yield _same("wrapped", [change.name for change in rows], words, _REBUILD)
    if found := spelling.renamed(pair):
        told = [f"{new.name} of {some([row.name for row in old])}" for new, old in found]
        told[0] = f"a new name of {told[0].partition(' of ')[2]}"
        names = [new.name for new, _ in found]
        names += [row.name for _, old in found for row in old]
        yield _same("renamed", names, some(told), _REBUILD)
    for name in pair.flexible:
        if other := spelling.legacy(pair, name):
            words = f"a flexible array beside {other}, which stands there for sizeof"
            yield _same("beside", [name, other], words, "the same bytes and the same sizeof")
    if not pair.changes and not pair.flexible and spelling.is_grouped(pair):
        words = "members stand in other anonymous structs and unions, under the same names"
        effect = "the same bytes; an initializer that names no member may need other braces"
        yield _same("grouped", [""], words, effect)


def _same(kind: str, names: Sequence[str], words: str, effect: str) -> Finding:
    return Finding(kind, names[0], "note", words, effect, also=tuple(names[1:]))


# --- the struct as a whole -------------------------------------------------------------------


def told_hole(path: str, home: str = "") -> str:
    """What a slot of padding is called, in a struct of that path: ``hole after n[0].a``."""
    *outer, words = path.split(": ")
    home = ".".join(filter(None, (home, *outer)))
    what, after, name = words.partition(" after ")
    if after:
        return f"{what} after {home}.{name}" if home else words
    return f"{words} of {home}" if home else words


def _whole(pair: Pair, rows: Sequence[Finding]) -> Iterator[Finding]:
    old, new = pair.old, pair.new
    for slot in pair.new_holes:
        before = pair.leaves[0].over(slot.start, slot.stop)
        if before and all(pair.is_reserved(leaf.path) for leaf in before):
            continue  # told as what became of that
        # The documents ask for explicit members instead.
        words = f"new {told_hole(slot.path)}, {places([slot])}"
        effect = "no member holds it, so it keeps what was there before"
        yield _ruled("new-hole", "", "note", words, effect)
    if old.size != new.size:
        yield _ruled(
            "size", "", "breaks", f"sizeof {old.size} before, {new.size} after",
            "an ioctl number that encodes sizeof changes with it; elements of an array lie "
            "elsewhere, and so do members behind it where another struct holds it",
        )  # fmt: skip
    elif any(row.severity == "breaks" for row in rows):
        words = f"a size check sees nothing: sizeof {new.size} before and after"
        yield Finding("size-unseen", "", "note", words)
    if old.align != new.align:
        words = f"alignment {old.align} before, {new.align} after"
        effect = "where another struct holds it, it may lie at another offset"
        yield _ruled("align", "", "breaks", words, effect)


# --- members that both sides have ------------------------------------------------------------


def _kept(pair: Pair, change: Change) -> Finding:
    name, told = change.name, list(_ways(pair, change))
    wrong = bool(change.lost or change.gained)
    if not told and not wrong:
        return _retyped(change)
    if not told:
        words = "its elements lie elsewhere, as each has another size"
        told = [("moved", words, f"keep the elements of {name} as they are")]
    words = "; ".join(row[1] for row in told) + (_pushes(pair, change) if change.grows else "")
    if change.zeros and not wrong:
        return _ruled("reserved", name, "warning", words, _effect(change))
    remedy = "; ".join(dict.fromkeys(row[2] for row in told))
    severity: Severity = "breaks" if wrong else "note"
    row = Finding(told[0][0], name, severity, words, _effect(change), remedy)
    return row if change.lost else _handshake(pair, row)


def _handshake(pair: Pair, row: Finding) -> Finding:
    """What breaks for new readers alone does so where both sides write; else they have to ask."""
    if row.severity != "breaks" or pair.policy.written_by is None:
        return row
    ask = f"needs a handshake: {WRITERS[pair.policy.written_by]}"
    return replace(row, severity="warning", remedy="; or ".join(filter(None, (row.remedy, ask))))


def _ways(pair: Pair, change: Change) -> Iterator[tuple[str, str, str]]:
    """Kind, words and remedy of each way in which it changed, what decides most first."""
    name, (before, after), (first, last) = change.name, change.width, change.count
    if change.is_another and (change.lost or change.gained):
        yield "retyped", _types(change), RULES["retyped"].remedy.format(name=name)
    elif not change.is_another:
        if before != after and not change.is_struct:
            word = "widened" if after > before else "narrowed"
            kind = "bit-field" if change.is_bit_field else word
            yield kind, f"{word} from {before} to {after} bits", _of_width(pair, change)
        if first != last:
            word = "lengthened" if last > first else "shortened"
            words = f"{word} from {first} to {counted(last, 'element')}"
            more = "; put the others into a new member"
            more = more if last > first else f", unless the others were reserved: {ZEROS}"
            yield "array-length", words, f"keep {name} at {counted(first, 'element')}{more}"
    if change.moves:
        kind, words = "moved", f"moves from {_place(change.old[0])} to {_place(change.new[0])}"
        if name in pair.passed:
            other, behind = pair.passed[name]
            kind, words = "reordered", f"{words}, {'behind' if behind else 'in front of'} {other}"
        yield kind, words, RULES[kind].remedy.format(name=name)


def _of_width(pair: Pair, change: Change) -> str:
    """What to do instead of changing a width."""
    name, (before, after) = change.name, change.width
    if after < before:
        return f"keep {name} at {before} bits: a narrower value fits it as it is"
    if change.is_bit_field or change.count != (1, 1):
        each = "" if change.count == (1, 1) else "the elements of "
        return f"keep {each}{name} at {before} bits; put the further bits into a new member"
    advice = RULES["widened"].remedy.format(name=name, more=f"{after - 1}:{before}")
    if name in pair.spare:
        return f"{advice}: the {pair.spare[name]} takes it, with a flag that says when it is valid"
    if pair.is_own(name):
        return f"{advice}; no hole takes it, so it goes behind the last member"
    return f"{advice}, in a hole of its own struct, with a flag that says when it is valid"


def _retyped(change: Change) -> Finding:
    """Same bits in the same place: what is left is how they are taken."""
    name, kinds = change.name, [slots[0].type for slots in (change.old, change.new)]
    if len({kind.kind == "bool" for kind in kinds if kind}) > 1:
        words = "the same bits are taken for another kind of value"
        remedy = f"keep the type of {name}, and give the new kind a member of its own"
        return Finding("retyped", name, "warning", _types(change), words, remedy)
    words = "the same bits in the same bytes"
    if len({kind.signed for kind in kinds if kind}) > 1:
        words += f"; a value with bit {change.width[0] - 1} set changes its sign"
    return Finding("retyped", name, "note", _types(change), words)


# --- members that are new --------------------------------------------------------------------


def _added(pair: Pair, change: Change) -> Finding:
    """A new member by the struct that declares it, then by those around that."""
    name, around = change.name, homes(pair.new, change.name)
    # A member of an array's elements is judged in the first of them.
    slots = change.new if name in pair.new.named else change.new[:1]
    if again := _grouped(pair, change, around):
        words = f"another name for {some(again)}, {places(change.new)}"
        return Finding("alias", name, "note", words, "the same values in the same bytes")
    for home in reversed(around):
        before, inmost = counterpart(home, pair.old), home is around[-1]
        start, end = slots[0].start - 8 * home.base, stop(slots) - 8 * home.base
        rows = map(member_of, home.over(start, end)) if home.is_union and inmost else ()
        if any(path in pair.paths[0] and not is_in(path, name) for path in rows):
            # Other members of the union, which it had before, lie there.
            more = _pushes(pair, change)
            words = f"added to a union, {places(change.new)}{more}"
            severity: Severity = "breaks" if more else "warning"
            return _ruled("added-in-union", name, severity, words, _effect(change))
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
                words = f"takes {places(change.new)} from an unnamed bit-field"
                return _ruled("reserved", name, "warning", words, _effect(change))
            hole = next(s for s in before.layout.holes if s.start < end and start < s.stop)
            words = f"in the {told_hole(hole.path, before.path)}"
            return _in_padding(pair, change, around, "added-in-hole", words)
    return _behind(pair, change)


def _grouped(pair: Pair, change: Change, around: Sequence[Home]) -> list[str]:
    """The members that a new struct in a new union names once more, as ``__struct_group`` does."""
    fresh = any(home.is_union and counterpart(home, pair.old) is None for home in around)
    return pair.again(change) if fresh else []


def _in_padding(
    pair: Pair, change: Change, around: Sequence[Home], kind: str, words: str
) -> Finding:
    """A new member where the old struct has padding, or a union is longer than the old struct."""
    where, more = places(change.new), _pushes(pair, change)
    before = f"what was there before in {where}"
    never = f"an old writer never writes {where}"
    if any(home.is_union and counterpart(home, pair.old) for home in around[:-1]):
        before += ", bytes of another member of the union too"
        never += f" when it fills {around[-1].path or 'that member'}"
    effect = f"{NEW_READER} finds {before}; nothing changes for {OLD_READER}"
    remedy = RULES["added-in-hole"].remedy.format(never=never)
    return Finding(kind, change.name, "warning", f"added {words}, {where}{more}", effect, remedy)


def _behind(pair: Pair, change: Change) -> Finding:
    """A new member past the end of the old struct."""
    name, where, more = change.name, places(change.new), _pushes(pair, change)
    if more:
        words = f"added in front of others, {where}{more}"
        return _ruled("inserted", name, "breaks", words, _effect(change))
    inside = ", from the old tail padding on" if change.new[0].start < 8 * pair.old.size else ""
    return _ruled(
        "appended", name, "warning", f"added at the end, {where}{inside}",
        f"an old writer never writes {where}; a new writer that is not told the size writes "
        "past the end of an old reader's memory",
    )  # fmt: skip


def _over(pair: Pair, change: Change, paths: Sequence[str]) -> Finding:
    """A new member where the old layout has others: it pushed, shrank or replaced them."""
    name, where, more = change.name, places(change.new), _pushes(pair, change)
    there, effect = some(paths), _effect(change)
    if not more and all(map(pair.is_reserved, paths)):
        row = _ruled("reserved", name, "warning", f"takes {where} from {there}", effect)
        parts = (part for slot in change.new for _, *part in untaken(slot, pair.leaves[0]))
        holes = [at for part in parts for at in range(*part)]
        never = f"; an old writer never writes {few_spans(holes)}"
        return replace(row, remedy=row.remedy + never) if holes else row
    kept = [path for path in map(member_of, paths) if path in pair.paths[1]]
    if kept and more:
        words = f"there is no hole at {where}:{more.removeprefix(';')}"
        return _ruled("inserted", name, "breaks", words, effect)
    if kept:
        sides = pair.wrong if pair.policy.written_by is None else pair.wrong[:1]
        wrong = any(path in side for path in kept for side in sides)
        words = f"takes {where} from {there}"
        return _ruled("taken", name, "breaks" if wrong else "warning", words, effect)
    words = f"takes the place of {there}, {where}"
    return _ruled("replaced", name, "warning", words, effect, there=there)


# --- flexible array members ------------------------------------------------------------------
# No byte that sizeof counts is theirs, so that no byte shows what becomes of them.


def _flexible(pair: Pair, told: Collection[str]) -> Iterator[Finding]:
    """Where their elements start, and what each of them is; of those not ``told`` already."""
    removed, added = (
        {_key(there): name for name, sides in reversed(pair.flexible.items())
         if (there := sides[at]) and sides[1 - at] is None}
        for at in (0, 1)
    )  # fmt: skip
    for name, (before, after) in pair.flexible.items():
        if name in told:
            continue
        if before and after:
            yield from _flexible_kept(pair, name, before, after) if before != after else ()
        elif after and (other := removed.get(_key(after))):
            if pair.flexible[other][0] == after:
                yield _same("renamed", [name, other], f"a new name of {other}", _REBUILD)
                continue
            words = f"takes the place of the flexible array {other}, at offset {after.offset}"
            effect = f"an old writer writes these elements as {other}"
            remedy = "safe if only the name is new"
            yield Finding("replaced", name, "warning", words, effect, remedy)
        elif after:
            words = f"flexible array added at offset {after.offset}"
            remedy = "needs a count of elements that reads 0 from an old writer"
            effect = "an old writer writes no elements"
            yield Finding("appended", name, "warning", words, effect, remedy)
        elif before:
            other = added.get(_key(before))
            if other and pair.flexible[other][1] == before:
                continue
            effect = (
                f"a new writer writes {f'these elements as {other}' if other else 'no elements'}"
            )
            remedy = f"keep {name}" if other else f"keep {name}, with a count of 0"
            yield Finding("removed", name, "warning", "flexible array removed", effect, remedy)


def _key(there: Place) -> tuple[int, int]:
    """Where an array starts, and the size of its elements; 0 of what is no array."""
    return there.offset, there.element.size if there.element else 0


def _moves(before: Place, after: Place) -> str:
    return f"moves from offset {before.offset} to offset {after.offset}"


def _flexible_kept(pair: Pair, name: str, before: Place, after: Place) -> Iterator[Finding]:
    one, two = type_words(before.type), type_words(after.type)
    elsewhere = "each side takes other bytes for the elements"
    (_, size), (_, other) = _key(before), _key(after)
    if not (_is_flexible(before.type) and _is_flexible(after.type)):
        yield _fixed(pair, name, before, after)
    elif before.offset != after.offset:
        words = f"flexible array {_moves(before, after)}"
        words += f"; type {one} becomes {two}" if size != other else ""
        remedy = f"keep {name} where it was, and its elements as they are"
        yield Finding("moved", name, "breaks", words, elsewhere, remedy)
    elif size != other:
        words = f"flexible array of {one}, {counted(size, 'byte')} each, "
        words += f"becomes one of {two}, {counted(other, 'byte')} each"
        remedy = f"keep the elements of {name} as they are"
        yield Finding("retyped", name, "breaks", words, elsewhere, remedy)
    else:
        # What is said of the first element holds for all.
        inner = Pair(_alone(name, before), _alone(name, after), pair.policy)
        outer = name[: -len(name.rpartition(".")[2])]
        for row in between(inner):
            if row.kind not in ("size", "align", "size-unseen", "new-hole"):
                words = f"in every element, {row.change}"
                also = tuple(f"{outer}{other}" for other in row.also)
                yield replace(row, member=f"{outer}{row.member}", change=words, also=also)


def _is_flexible(kind: Type) -> bool:
    """An array whose elements sizeof does not count."""
    return 0 in kind.shape


def _fixed(pair: Pair, name: str, before: Place, after: Place) -> Finding:
    """A flexible array on one side; on the other an array of fixed length, or no array."""
    told = []
    for who, verdict, wrong in (
        (OLD_READER, pair.forward, pair.wrong[0]), (NEW_READER, pair.backward, pair.wrong[1]),
    ):  # fmt: skip
        if verdict.flexible.get(name, "intact") != "intact":
            told.append(f"for {who}, {verdict.elements[name][1]}")
        rows = [w for path, held in wrong.items() if is_in(path, name) for w in held]
        if rows:
            told.append(f"{who} finds {found(rows)}, as its writer's sizeof counts no element")
    words = f"type {type_words(before.type)} becomes {type_words(after.type)}"
    if before.offset != after.offset:
        words += f"; {_moves(before, after)}"
    remedy = f"keep {name} as {type_words(before.type)}"
    if _is_flexible(after.type):
        remedy += "; a flexible array of another name can lie in a union with it"
    severity: Severity = "breaks" if told else "note"
    row = Finding("flexible", name, severity, words, "; ".join(told), remedy)
    return (
        row
        if told and told[0].startswith((OLD_READER, f"for {OLD_READER}"))
        else _handshake(pair, row)
    )


def _alone(name: str, there: Place) -> Layout:
    """The first element as the only member of a struct, at the offset that it has."""
    assert isinstance(there.type, Array)
    own = name.rpartition(".")[2]
    rows = [Member(own, there.type.element)]
    if there.offset:
        rows.insert(0, Member(f"{own}_", Array(scalar("__u8"), there.offset)))
    return Struct("", rows, packed=True).layout(there.abi)


# --- words that several rules use ------------------------------------------------------------


def found(wrong: Sequence[Witness]) -> str:
    """What lies in bytes that are not intact: ``hsr[63:32] in bytes 0..3``."""
    told = [f"{what or 'what was there before'} in {place}" for place, what in lies(wrong)]
    return " and ".join(told)


def _effect(change: Change) -> str:
    """What each side gets of the other, where that is not what it takes it for."""
    sides = ((OLD_READER, change.lost), (NEW_READER, (*change.gained, *change.zeros)))
    told = [f"{who} finds {found(wrong)}" for who, wrong in sides if wrong]
    if change.is_another and not change.is_struct and not change.is_alike:
        told.insert(0, "each side takes the bits for another value")
    return "; ".join(told)


def _pushes(pair: Pair, change: Change) -> str:
    """What a new or a wider member moves: ``; it moves far from offset 4 to offset 8``."""
    if pushed := pair.pushed(change):
        name, before, after = pushed
        return f"; it moves {name} from {_place(before)} to {_place(after)}"
    for name, (old, new) in pair.flexible.items():
        if old and new and old.offset != new.offset and 8 * new.offset >= stop(change.new):
            return f"; it moves {name} from offset {old.offset} to offset {new.offset}"
    return ""


def _place(slot: Slot) -> str:
    """Where a member begins: a byte offset; of a bit-field, the bits there."""
    source = slot.source(slot.offset) if slot.is_bit_field else None
    if source is None:
        return f"offset {slot.offset}"
    return f"{bits(source.top, source.bottom)} of byte {slot.offset}"


def places(slots: Sequence[Slot]) -> str:
    """What members hold: ``bytes 4..7``, or of bit-fields ``bits 7:5 of byte 0``."""
    held = [(at, slot) for slot in slots for at in range(slot.offset, slot.offset + slot.size)]
    if not any(slot.is_bit_field for slot in slots):
        return few_spans(at for at, _ in held)
    sources = ((at, slot.source(at)) for at, slot in held)
    return some([f"{bits(s.top, s.bottom)} of byte {at}" for at, s in sources if s])


def _types(change: Change) -> str:
    """The type before and after, in words."""
    (one, *_), (two, *_) = change.old, change.new
    before, after = (type_words(kind) for kind in change.kinds)
    if before == after:
        swapped = one.order != two.order
        return f"the same type, {'its bytes in opposite order' if swapped else 'declared anew'}"
    marks = [f" ({s.order}-endian)" if s.type and s.type.order else "" for s in (one, two)]
    words = f"type {before}{marks[0]} becomes {after}{marks[1]}"
    if not change.is_struct and not change.is_alike:
        was, now = (
            f"a floating point number of {slot.width} bits"
            if slot.type and slot.type.is_float else "an integer"
            for slot in (one, two)
        )  # fmt: skip
        words += f"; the bits of {now} are not those of {was}"
    return words


def type_words(kind: Type | None) -> str:
    """A type as a sentence has it: ``__u8[2][4]``, ``struct arch``, ``a struct of lo, hi``."""
    assert kind is not None
    counts = "".join(f"[{n or ''}]" for n in kind.shape)
    if not isinstance(kind.leaf, Struct):
        return f"{kind.leaf.name}{counts}"
    if kind.leaf.tag:
        return f"{kind.leaf}{counts}"
    what = "union" if kind.leaf.union else "struct"
    return f"{'an array of structs' if counts else f'a {what}'} of {some(list(kind.leaf.names()))}"

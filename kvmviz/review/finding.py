"""Findings: what a change to a struct is, what its effect is, and what would make it safe.

A rule is an entry of :data:`RULES`; when it applies, :mod:`kvmviz.review.judgement` and
``constants`` say. The remedies follow the kernel's own documents: ``driver-api/ioctl``,
``process/botching-up-ioctls`` and ``process/adding-syscalls``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

from kvmviz.ctype import Struct, Type
from kvmviz.review.change import Change
from kvmviz.slot import Slot
from kvmviz.text import bits, few_spans, some
from kvmviz.verdict import Witness, lies

Severity = Literal["breaks", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("breaks", "warning", "note")
"""Worst first."""

OLD_READER, NEW_READER = "an old reader of a new writer", "a new reader of an old writer"

ZEROS = "written as 0 by every old writer and ignored by every old reader"
"""What makes a reserved member one that may be put to use."""

UNCHANGED = ("alias", "annotated", "beside", "grouped", "renamed", "wrapped")
"""Kinds by which no byte changes; a strict policy makes warnings of them."""


class Rule(NamedTuple):
    """A kind of finding: how bad it is, its name, what makes it safe, where that is written.

    Severity and remedy are those of most of its findings; ``{name}`` is the member. The remedy
    is empty where nothing has to be done.
    """

    severity: Severity
    title: str
    remedy: str
    source: str


_BYTES = "the bytes themselves: kvmviz.verdict"
_BUILD = "a program that names it is not built any more"
_IOCTL, _BOTCHING = "driver-api/ioctl", "process/botching-up-ioctls"
_SYSCALLS = "process/adding-syscalls"
_GATE = "scripts/check-uapi.sh"
_ENUM = f"{_GATE}: abidiff tells of enumerators that change"
_STDDEF = "include/uapi/linux/stddef.h"
_C_FLEXIBLE = "C11 6.7.2.1 paragraph 18, flexible array members"

RULES: Mapping[str, Rule] = MappingProxyType({
    "absent": Rule("breaks", "not there on every ABI", "keep the struct there as it was", _BUILD),
    "alias": Rule("note", "another name for others", "", f"{_STDDEF}, __struct_group"),
    "added-in-hole": Rule("warning", "added in a hole",
        "needs a validity flag: {never}; the flag must read 0 from an old writer, and a new one "
        "must clear it when the member is not valid", _BOTCHING),
    "added-in-union": Rule("warning", "added to a union",
        "needs a discriminator that says which member of the union is valid, with a value that an "
        "old writer never gives", _BYTES),
    "align": Rule("breaks", "alignment changes",
        "keep the alignment as it was: no member and no attribute that asks for another", _IOCTL),
    "annotated": Rule("note", "another byte order in the type's name",
        "", "include/uapi/linux/types.h"),
    "appended": Rule("warning", "added at the end",
        "hand over the size (in the ioctl number, in a member or as an argument), and let both "
        "sides take only what both have", _SYSCALLS),
    "array-length": Rule("breaks", "another number of elements",
        "keep {name} at {count}, unless the rest was reserved; further ones go into a new member",
        _BYTES),
    "beside": Rule("note", "a flexible array beside what stood for its first element",
        "", f"{_STDDEF}, __DECLARE_FLEX_ARRAY"),
    "bit-field": Rule("breaks", "bit-field of another width",
        "keep {name} at {before} bits: a narrower value fits it as it is, further bits go into a "
        "new member", _BYTES),
    "constant-changed": Rule("breaks", "a constant of another value",
        "keep its value, and give the new meaning a name of its own", _ENUM),
    "constant-count": Rule("warning", "a constant that counts others grows",
        "an old program has to pass over what it does not know", f"{_GATE}, enum_regex"),
    "constant-gone": Rule("breaks", "a constant is gone", "keep it, with its value", _ENUM),
    "constant-new": Rule("note", "a new constant", "", _ENUM),
    "constant-shifted": Rule("breaks", "a new constant in front of others",
        "put it behind the last one, or give it a value that none has", _ENUM),
    "flexible": Rule("breaks", "a flexible array on one side",
        "keep {name} as {before}; an array of the other kind can lie in a union with it, under "
        "another name", _C_FLEXIBLE),
    "grouped": Rule("note", "other anonymous structs around the same members",
        "", f"{_STDDEF}, __struct_group"),
    "inserted": Rule("breaks", "added in front of others",
        "put {name} into a hole, or behind the last member", _BYTES),
    "moved": Rule("breaks", "moves",
        "keep {name} where it was: a new member goes into a hole or behind the last one", _BYTES),
    "narrowed": Rule("breaks", "narrowed",
        "keep {name} at {before} bits: a narrower value fits it as it is, further bits go into a "
        "new member", _BYTES),
    "new-hole": Rule("note", "new padding",
        "make it a reserved member that is written as 0 and checked to be 0", _BOTCHING),
    "removed": Rule("warning", "removed",
        "keep {name}, or write the bytes that old readers expect into a reserved member there",
        _BYTES),
    "renamed": Rule("note", "another name for the same type in the same bytes", "", _BYTES),
    "reordered": Rule("breaks", "in another order", "keep the order of members", _BYTES),
    "replaced": Rule("warning", "takes the place of another",
        "safe if only the name is new; or if old writers are known to write 0 to {there} and old "
        "readers to ignore it", _BOTCHING),
    "reserve": Rule("note", "reserved bytes only", "", f"{_GATE}, padding_regex"),
    "reserved": Rule("warning", "takes reserved bytes",
        f"safe if they were {ZEROS}", f"{_GATE}, padding_regex; {_BOTCHING}"),
    "retyped": Rule("note", "another type", "keep the type of {name}", _BYTES),
    "size": Rule("breaks", "sizeof changes",
        "keep sizeof as it was (use holes or reserved members), or give the new struct a name and "
        "an ioctl number of its own and go on serving the old one", _IOCTL),
    "size-unseen": Rule("note", "a size check sees nothing", "", _BYTES),
    "taken": Rule("breaks", "takes bits of another",
        f"safe if that was reserved: {ZEROS}; else put {{name}} into a hole, or behind the last "
        "member", _BOTCHING),
    "widened": Rule("breaks", "widened",
        "add a new member for bits {more} instead of widening {name}{hole}, with a flag that says "
        "when it is valid", "Linux commit 18f3976fdb5d, which did so; driver-api/ioctl"),
    "wrapped": Rule("note", "a struct around one array, or none any more", "", _BYTES),
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


def ruled(
    kind: str,
    names: str | Sequence[str],
    change: str,
    effect: str = "",
    severity: Severity | None = None,
    remedy: str | None = None,
    **parts: str,
) -> Finding:
    """A finding as its rule has it, about one member or several alike.

    ``parts`` are what the rule's remedy names beside the member.
    """
    rule, (name, *also) = RULES[kind], [names] if isinstance(names, str) else names
    told = rule.remedy.format(name=name, **parts) if remedy is None else remedy
    return Finding(kind, name, severity or rule.severity, change, effect, told, (), tuple(also))


def ranked(rows: Iterable[Finding]) -> tuple[Finding, ...]:
    """The worst first."""
    return tuple(sorted(rows, key=lambda row: SEVERITIES.index(row.severity)))


# --- words that several rules use ------------------------------------------------------------


def found(wrong: Sequence[Witness]) -> str:
    """What lies in bytes that are not intact: ``hsr[63:32] in bytes 0..3``."""
    told = [f"{what or 'what was there before'} in {place}" for place, what in lies(wrong)]
    return " and ".join(told)


def effect_of(change: Change) -> str:
    """What each side gets of the other, where that is not what it takes it for."""
    sides = ((OLD_READER, change.lost), (NEW_READER, (*change.gained, *change.zeros)))
    told = [f"{who} finds {found(wrong)}" for who, wrong in sides if wrong]
    if change.is_another and not change.is_struct and not change.is_alike:
        told.insert(0, "each side takes the bits for another value")
    return "; ".join(told)


def place_of(slot: Slot) -> str:
    """Where a member begins: a byte offset; of a bit-field, the bits there."""
    source = slot.source(slot.offset) if slot.is_bit_field else None
    if source is None:
        return f"offset {slot.offset}"
    return f"{bits(source.top, source.bottom)} of byte {slot.offset}"


def places(slots: Sequence[Slot]) -> str:
    """What members hold: ``bytes 4..7``, or of bit-fields ``bits 7:5 of byte 0``."""
    held = [(at, slot) for slot in slots for at in slot.offsets]
    if not any(slot.is_bit_field for slot in slots):
        return few_spans(at for at, _ in held)
    sources = ((at, slot.source(at)) for at, slot in held)
    return some([f"{bits(s.top, s.bottom)} of byte {at}" for at, s in sources if s])


def hole_words(path: str) -> str:
    """What a slot of padding is called: ``hole after a in n[0]``."""
    outer, _, words = path.rpartition(": ")
    return f"{words} in {outer}" if outer else words


def types(change: Change) -> str:
    """The type before and after, in words."""
    before, after = map(type_words, change.kinds)
    if before == after:
        return "the same type, declared anew"
    marks = [
        f" ({slot.order}-endian)" if slot.type and slot.type.order else ""
        for slot in (change.old[0], change.new[0])
    ]
    return f"type {before}{marks[0]} becomes {after}{marks[1]}"


def type_words(kind: Type | None) -> str:
    """A type as a sentence has it: ``__u8[2][4]``, ``struct arch``, ``a struct of lo, hi``."""
    assert kind is not None
    counts = "".join(f"[{n or ''}]" for n in kind.shape)
    if isinstance(kind.leaf, Struct) and not kind.leaf.tag:
        what = "union" if kind.leaf.union else "struct"
        return f"a {what}{counts} of {some(list(kind.leaf.names()))}"
    return f"{kind.leaf if isinstance(kind.leaf, Struct) else kind.leaf.name}{counts}"

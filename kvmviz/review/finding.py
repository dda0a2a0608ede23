"""Findings: what a change to a struct is, what its effect is, and what would make it safe.

A rule is a table of ``rules.toml``; when it applies, :mod:`kvmviz.review.judgement` and
``constants`` say.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import Literal

from kvmviz._base import chosen
from kvmviz.ctype import Struct, Type
from kvmviz.review.change import Change
from kvmviz.slot import Slot
from kvmviz.text import bits, few_spans, some
from kvmviz.verdict import Witness, lies

Severity = Literal["breaks", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("breaks", "warning", "note")
"""Worst first."""

OLD_READER, NEW_READER = "an old reader of a new writer", "a new reader of an old writer"

UNCHANGED = ("alias", "annotated", "beside", "grouped", "renamed", "wrapped")
"""Kinds by which no byte changes; a strict policy makes warnings of them."""


@dataclass(frozen=True)
class Rule:
    """A kind of finding: how bad it is, its name, where that is written, what makes it safe.

    Severity and remedy are those of most of its findings; ``{name}`` is the member. The remedy
    is empty where nothing has to be done. Raises :class:`KvmvizError` for another severity.
    """

    severity: Severity
    title: str
    source: str
    remedy: str = ""

    def __post_init__(self) -> None:
        chosen(self.severity, SEVERITIES, "severity")


_ROWS = tomllib.loads(files(__package__).joinpath("rules.toml").read_text("utf-8"))
RULES: Mapping[str, Rule] = MappingProxyType({kind: Rule(**row) for kind, row in _ROWS.items()})
"""The rules by the kind of their findings: their words are in ``rules.toml``."""


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

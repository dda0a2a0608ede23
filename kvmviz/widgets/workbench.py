"""The workbench: paste C on the left, see its bytes on two ABIs on the right, at every key."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import ipywidgets as ipw

from kvmviz import board, draw
from kvmviz._base import KvmvizError, find, integer, listed, shown
from kvmviz.abi import ABIS
from kvmviz.board import Board
from kvmviz.c.parse import laid_out, quoted, structs
from kvmviz.ctype import Struct
from kvmviz.draw.canvas import Picture
from kvmviz.review import review, versions
from kvmviz.review.report import WORDS, Review, ground
from kvmviz.review.report import headline as told
from kvmviz.review.versions import Versions, headline, names_of
from kvmviz.widgets import panel

OLD = """\
struct kvm_debug_exit_arch {
    __u32 hsr;
    __u64 far;
};
"""
WIDENED = OLD.replace("__u32 hsr", "__u64 hsr")

EVERYWHERE = 256
"""Bytes of a struct up to which a change is judged on every ABI at each click."""

MOST_FINDINGS = 8

MOST_VALUES = 10_000
"""Letters that values may have."""

FIELDS = {"text": "old C", "changed": "new C, or empty", "values": "values stored"}
"""The fields that people type in, with their labels."""

BOTH = ("ABI", "beside")
"""The controls of the two ABIs."""

_VALUE = re.compile(r"([A-Za-z_]\w*)=(-?0[xX][0-9a-fA-F]{1,40}|-?[0-9]{1,40})")


_reviewed = lru_cache(maxsize=2)(review)  # a state asks twice; with it, all reviews would be kept


@dataclass(frozen=True)
class State:
    """All that a workbench shows follows from this.

    ``struct`` is the one that is chosen where the text defines several, "" for the first that
    differs between the versions. ``values`` are numbers to store, as text: ``hsr=0x12 far=3``.
    """

    text: str = OLD
    changed: str = WIDENED
    abis: tuple[str, str] = ("aarch64", "aarch64_be")
    struct: str = ""
    values: str = "hsr=0x123456789a far=0x1122334455667788"

    @property
    def name(self) -> str:
        """The struct that is shown."""
        if self.struct:
            return self.struct
        old, new = structs(self.text), structs(self.changed) if self.changed else {}
        both = [name for name in old if name in new]
        return next((n for n in both if old[n] != new[n]), (*both, *old)[0])

    @property
    def old(self) -> Struct:
        """The struct before the change."""
        return structs(self.text)[self.name]

    @property
    def new(self) -> Struct | None:
        """The struct of the same name in the changed text, if there is one."""
        return structs(self.changed).get(self.name) if self.changed else None

    @property
    def bare(self) -> tuple[Versions, ...]:
        """The struct on each ABI, without values."""
        old, new = self.old, self.new
        return tuple(
            Versions(laid_out(old, abi), laid_out(new, abi) if new else None) for abi in self.abis
        )

    @property
    def numbers(self) -> tuple[tuple[str, int], ...]:
        """The values that some member takes."""
        rows, known = parsed(self.values), names_of(self.bare)
        return tuple((name, number) for name, number in rows.items() if name in known)

    @property
    def versions(self) -> tuple[Versions, ...]:
        """The struct on each ABI, the values stored."""
        numbers = self.numbers
        return tuple(replace(one, values=numbers) for one in self.bare)

    @property
    def remarks(self) -> dict[str, str]:
        """What does not fit the text, by setting: the text is shown without it."""
        found = {}
        if self.changed and self.new is None:
            here = listed(structs(self.changed).values(), 8)
            found["changed"] = f"new C defines {here}, old C {self.old}: nothing to compare"
        known = names_of(self.bare)
        strange = [name for name in parsed(self.values) if name not in known]
        if strange:
            told = f"{self.old} has no member {shown(strange[0])}; its members are"
            found["values"] = f"{told} {listed(sorted(known))}"
        return found

    @property
    def picture(self) -> Picture:
        """The picture."""
        return draw.versions(*self.versions, title=self.title)

    @property
    def board(self) -> Board:
        """The same as a board; its words are all that there is to say."""
        shown, title = self.versions, self.title
        twin = "\n".join((versions.twin(shown, title), *self.judged, *self.remarks.values()))
        return board.versions(shown, title, twin)

    @property
    def review(self) -> Review | None:
        """The change on every ABI, of a big struct on the two; None where there is none."""
        old, new = self.old, self.new
        if new is None:
            return None
        size = max(laid_out(struct, abi).size for struct in (old, new) for abi in self.abis)
        return _reviewed(old, new, tuple(ABIS) if size <= EVERYWHERE else self.abis)

    @property
    def title(self) -> str:
        """One verdict for the ABIs that are shown and for those that are not."""
        title, found = headline(self.versions), self.review
        rows = found.findings if found else ()
        broken = dict.fromkeys(abi for row in rows if row.severity == "breaks" for abi in row.abis)
        if not found or not broken or title.startswith("✗"):
            return title
        shown = ", ".join(dict.fromkeys(self.abis))
        return f"✗ breaks on {ground(found, [*broken])}; on {shown}: {title.removeprefix('✓ ')}"

    @property
    def judged(self) -> Iterator[str]:
        """What ``kvmviz compare`` says of the change."""
        found = self.review
        if found is None:
            return
        yield f"kvmviz compare, {ground(found)}: {told(found)}"
        for row in found.findings[:MOST_FINDINGS]:
            yield f"  {WORDS[row.severity]}: {row.named} [{ground(found, row.abis)}]"
        if (left := len(found.findings) - MOST_FINDINGS) > 0:
            yield f"  and {left} more"


def parsed(values: str) -> dict[str, int]:
    """Numbers by member, out of ``hsr=0x12 far=3``; :class:`KvmvizError` for other words."""
    found = {}
    for word in re.findall(r"[^\s,;]+", re.sub(r"\s*=\s*", "=", values)):
        match = _VALUE.fullmatch(word)
        if match is None:
            told = f"values: {shown(word)} is no value; write member=number, as in hsr=0x12 far=3"
            raise KvmvizError(told)
        found[match[1]] = int(match[2], 16 if "x" in match[2].lower() else 10)
    return found


def _read(name: str, text: object) -> str:
    """C text that can be read; none at all says that nothing is changed."""
    words = panel.letters(f"{name} of a workbench", text)
    try:
        if words or name == "text":
            structs(words)
    except KvmvizError as error:
        raise KvmvizError(f"{name}: {error}") from None
    return words


def _numbers(values: object) -> str:
    """Values as text; numbers by member are written as one types them."""
    if isinstance(values, Mapping):
        rows = ((name, integer(held, f"value of {shown(name)}")) for name, held in values.items())
        values = " ".join(f"{name}={held:#x}" for name, held in rows)
    return panel.letters("values of a workbench", values, MOST_VALUES)


def _two(names: object) -> tuple[str, ...]:
    """Two names of ABIs."""
    if not isinstance(names, tuple | list) or len(names) != 2:
        raise KvmvizError(f"abis {shown(names)}: give two of {', '.join(ABIS)}")
    return tuple(ABIS.find(name).name for name in names)


def _abi(at: int) -> panel.Control:
    return replace(
        panel.choice(BOTH[at], ABIS),
        shows=lambda state: state.abis[at],
        means=lambda state, name: (*state.abis[:at], name, *state.abis[at + 1 :]),
    )


class Workbench(panel.Panel):
    """A struct on two ABIs side by side, and what a change to it does to those who read it.

    Typed into a field, what is wrong is told below it with line and column, and the last good
    picture stays.
    """

    text = panel.Setting[str, str](
        "The C text that is shown: the last that could be read.",
        partial(_read, "text"),
        by=panel.area(FIELDS["text"], 6),
    )
    changed = panel.Setting[str, str](
        "The changed version of the text, empty where there is none.",
        partial(_read, "changed"),
        by=panel.area(FIELDS["changed"], 6),
    )
    abis = panel.Setting[tuple[str, str], tuple[str, str]](
        "The names of the two ABIs.", _two, by={name: _abi(at) for at, name in enumerate(BOTH)}
    )
    struct = panel.Setting[str, str](
        "The name of the struct that is shown.",
        partial(panel.letters, "struct of a workbench"),
        reads=lambda state: state.name,
        by=panel.choice("struct"),
    )
    values = panel.Setting[str, "str | Mapping[str, int]"](
        "The numbers that are stored, `hsr=0x12 far=3`; empty to see the layout alone.",
        _numbers,
        by=panel.area(FIELDS["values"], 2, placeholder="hsr=0x12 far=3"),
    )

    _home = State()

    def __init__(self, text: str | None = None, changed: str | None = None, **start: Any) -> None:
        if text is not None:
            start = {"text": text, "changed": "", "values": "", **start}
        if changed is not None:
            start["changed"] = changed
        self._said = {name: ipw.HTML() for name in FIELDS}
        super().__init__(**start)
        self._box.add_class("kvmviz-bench")

    def _arrange(self) -> list[Any]:
        part = self._controls
        rows = [one for name in FIELDS for one in (part[name], self._said[name])]
        right = [self._row(*BOTH, "struct", "reset"), self._view]
        return [panel.columns(rows, right), self._error]

    def _settled(self, state: State, asked: Mapping[str, Any]) -> State:
        if {"text", "changed"} & {*asked} and "struct" not in asked:
            state = replace(state, struct="")
        if state.struct:
            find(structs(state.text), state.struct, "struct")
        remarks = state.remarks
        if "values" in remarks and "values" not in asked and state.name != self._state.name:
            state = replace(state, values=_numbers(dict(state.numbers)))
        for name in (name for name in remarks if name in asked):
            raise KvmvizError(f"{name}: {remarks[name]}")
        return state

    def _adapt(self) -> None:
        part, names = self._controls, structs(self._state.text)
        panel.choose(part["struct"], names, self._state.name)
        part["struct"].layout.display = None if len(names) > 1 else "none"
        for name in ("text", "changed"):
            # As many lines as the text has, within what leaves the picture in sight.
            part[name].rows = min(max(part[name].value.count("\n") + 1, 5), 9)

    def _tell(self) -> None:
        """Each message below its field, with the line that it speaks of."""
        self._say(self._wrong.get("", ""))
        told = self._state.remarks | self._wrong
        for name, control in self._said.items():
            message = told.get(name, "").removeprefix(f"{name}: ")
            quote = quoted(str(self._controls[name].value), message, 24)
            words = html.escape(message) + (f"<pre>{html.escape(quote)}</pre>" if quote else "")
            control.value = f"<div role='status'>{words}</div>" if message else ""

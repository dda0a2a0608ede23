"""What a workbench shows, as data: C text, its changed version, two ABIs, numbers to store."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from kvmviz import abi as abis
from kvmviz import draw
from kvmviz._base import KvmvizError
from kvmviz.c.pasted import laid_out, structs
from kvmviz.ctype import Struct
from kvmviz.draw.canvas import Picture
from kvmviz.review import review
from kvmviz.review.report import WORDS, ground, headline
from kvmviz.review.versions import Versions, names_of

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

_VALUE = re.compile(r"\s*([A-Za-z_]\w*)\s*=\s*(-?0[xX][0-9a-fA-F]+|-?\d+)\s*(?:[,;]|\s|$)")


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
    def names(self) -> tuple[str, ...]:
        """Every struct of the text."""
        return tuple(structs(self.text))

    @property
    def name(self) -> str:
        """The struct that is shown."""
        old = structs(self.text)
        if self.struct in old:
            return self.struct
        if not self.changed:
            return next(iter(old))
        new = structs(self.changed)
        both = [name for name in old if name in new]
        return next((n for n in both if old[n] != new[n]), both[0] if both else next(iter(old)))

    @property
    def old(self) -> Struct:
        """The struct before the change."""
        return structs(self.text)[self.name]

    @property
    def new(self) -> Struct | None:
        """The struct of the same name in the changed text."""
        if not self.changed:
            return None
        found = structs(self.changed)
        if self.name in found:
            return found[self.name]
        here = ", ".join(map(str, found.values()))
        raise KvmvizError(f"new C defines {here}, old C {self.old}: nothing to compare")

    @property
    def versions(self) -> tuple[Versions, ...]:
        """The struct on each ABI."""
        numbers = tuple(parsed(self.values).items())
        new = self.new
        return tuple(
            Versions(
                laid_out(self.old, abi, self.text),
                laid_out(new, abi, self.changed) if new else None,
                numbers,
            )
            for abi in self.abis
        )

    @property
    def picture(self) -> Picture:
        """The picture."""
        return draw.versions(*self.versions)

    def faults(self) -> dict[str, str]:
        """What is wrong, by setting; nothing else can go wrong when it is shown."""
        for abi in self.abis:
            abis.find(abi)
        found: dict[str, str] = {}
        for name in ("text", "changed"):
            try:
                if name == "text" or self.changed:
                    structs(getattr(self, name))
            except KvmvizError as error:
                found[name] = str(error)
        if found:
            return found
        for name, text in (("old", "text"), ("new", "changed")):
            try:
                struct = getattr(self, name)
                for abi in self.abis if struct else ():
                    laid_out(struct, abi, getattr(self, text))
            except KvmvizError as error:
                return {text: str(error)}
        try:
            self._check_values()
        except KvmvizError as error:
            found["values"] = str(error)
        return found

    def taken(self, values: str) -> str:
        """Of some values those that a member takes; all of them where they cannot be read."""
        try:
            numbers = parsed(values)
        except KvmvizError:
            return values
        known = names_of(self.versions)
        kept = [f"{name}={number:#x}" for name, number in numbers.items() if name in known]
        return values if len(kept) == len(numbers) else " ".join(kept)

    def _check_values(self) -> None:
        known = names_of(self.versions)
        for name in parsed(self.values):
            if name not in known:
                legal = ", ".join(sorted(known)[:20])
                raise KvmvizError(f"{self.old} has no member {name!r}; its members are {legal}")
        for pair in self.versions:
            assert pair.sides


def parsed(values: str) -> dict[str, int]:
    """Numbers by member, out of ``hsr=0x12 far=3``; :class:`KvmvizError` for other words."""
    found: dict[str, int] = {}
    at = 0
    text = values.strip()
    while at < len(text):
        match = _VALUE.match(text, at)
        if match is None or len(match[2]) > 40:
            word = text[at:].split()[0][:40]
            raise KvmvizError(f"{word!r} is no value; write member=number, as in hsr=0x12 far=3")
        found[match[1]] = int(match[2], 0) if "x" in match[2].lower() else int(match[2])
        at = match.end()
    return found


@lru_cache(maxsize=256)
def shown(state: State) -> tuple[Picture, str]:
    """The picture of a state, and in words all that the workbench says."""
    picture = state.picture
    return picture, "\n".join((picture.text, *_judged(state)))


def _judged(state: State) -> Iterator[str]:
    """What ``kvmviz compare`` says of the change: on every ABI, of a big struct on the two."""
    old, new = state.old, state.new
    if new is None:
        return
    size = max(laid_out(struct, abi).size for struct in (old, new) for abi in state.abis)
    found = review(old, new) if size <= EVERYWHERE else review(old, new, state.abis)
    yield f"kvmviz compare, {ground(found, [abi.name for abi in found.abis])}: {headline(found)}"
    for row in found.findings[:MOST_FINDINGS]:
        name = f"{row.member}: " if row.member else ""
        yield f"  {WORDS[row.severity]}: {name}{row.change} [{ground(found, row.abis)}]"
    if left := len(found.findings) - MOST_FINDINGS:
        yield from [f"  and {left} more"] * (left > 0)

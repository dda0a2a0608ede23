"""A struct that a text defines in more than one way: which, the ABI decides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NoReturn

from kvmviz import abi as abis
from kvmviz._base import KvmvizError
from kvmviz.abi import ABIS, Abi
from kvmviz.ctype import Struct


class Conditional(Struct):
    """A struct that is not the same on every ABI, or is not there on some.

    ``variants`` are the structs that it can be, each with the names of its ABIs. Members and
    attributes are known with the ABI only: see :meth:`on`. ``errors`` says, by the name of an
    ABI, why the text cannot be read there.
    """

    variants: tuple[tuple[tuple[str, ...], Struct], ...]
    errors: Mapping[str, str]

    def __init__(
        self,
        tag: str,
        variants: Iterable[tuple[Iterable[str], Struct]],
        errors: Mapping[str, str] | None = None,
    ) -> None:
        rows = tuple((tuple(names), struct) for names, struct in variants)
        if not rows:
            raise KvmvizError(f"struct {tag} has no variants; it needs at least one")
        given = {"tag": tag, "union": rows[0][1].union, "variants": rows, "errors": errors or {}}
        for name, value in given.items():
            object.__setattr__(self, name, value)

    def on(self, abi: str | Abi) -> Struct:
        """The struct as it is on that ABI; :class:`KvmvizError` where it is not there."""
        asked = abis.find(abi)
        found = {name: struct for names, struct in self.variants for name in names}
        for name in (asked.name, *ABIS):
            known = ABIS.get(name)
            # An ABI with another name may differ in nothing that a text can ask for.
            if known and replace(asked, name=name, source=known.source) == known:
                if name in found:
                    return found[name]
                if name in self.errors:
                    raise KvmvizError(f"{self.errors[name]} (on {name})")
        there = ", ".join(found)
        raise KvmvizError(f"{self} is not defined on {asked.name}, only on {there}")

    def names(self) -> Iterator[str]:
        """Names that C code can use on this struct, on some ABI at least."""
        yield from dict.fromkeys(name for _, struct in self.variants for name in struct.names())

    def widen(self, member: str, bits: int) -> Struct:
        """A copy in which one direct scalar member is ``bits`` wide in every variant."""
        rows = [(names, struct.widen(member, bits)) for names, struct in self.variants]
        return Conditional(self.tag, rows, self.errors)

    def __getattr__(self, name: str) -> Any:
        if name in ("members", "packed", "align", "pack"):
            self._differs(name)
        raise AttributeError(name)

    def _differs(self, name: str) -> NoReturn:
        raise KvmvizError(f"{self} differs by ABI; ask .on(abi) for its {name}")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Conditional):
            return NotImplemented
        return (self.tag, self.variants) == (other.tag, other.variants)

    def __hash__(self) -> int:
        return hash((self.tag, self.variants))

"""A struct of C text that is not the same on every ABI, or is not there on some."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

from kvmviz._base import KvmvizError, grouped, listed, shown
from kvmviz.abi import ABIS, Abi
from kvmviz.ctype import Struct, defined, settle


class Conditional(Struct):
    """A struct that is not the same on every ABI, or is not there on some.

    ``variants`` has by the name of an ABI the struct that it is there, or words that say why the
    text cannot be read there; if it has only words, the struct is not known at all. Members and
    attributes are known with the ABI only: see :meth:`on`.
    """

    differs: ClassVar[bool] = True
    variants: Mapping[str, Struct | str]

    def __init__(
        self, tag: str, variants: Mapping[str, Struct | str], *, union: bool = False
    ) -> None:
        try:
            rows = dict(variants)
        except Exception as error:
            raise KvmvizError(f"{shown(variants)} are no variants: structs by ABI") from error
        structs = [one for one in rows.values() if isinstance(one, Struct)]
        if not rows or not all(isinstance(one, Struct | str) for one in rows.values()):
            raise KvmvizError("a struct that differs by ABI has variants, at least one, as structs")
        for name in rows:
            ABIS.find(name)
        settle(self, tag=tag, union=structs[0].union if structs else union, variants=rows)
        settle(self, untagged=bool(structs) and structs[0].untagged, is_known=bool(structs))

    @cached_property
    def _there(self) -> dict[Struct, list[str]]:
        """The structs that it can be, each with its ABIs."""
        rows = [(abi, one) for abi, one in self.variants.items() if isinstance(one, Struct)]
        found = grouped(rows, lambda row: row[1])
        return {one: [abi for abi, _ in held] for one, held in found.items()}

    def on(self, abi: str | Abi) -> Struct:
        """The struct as it is on that ABI; :class:`KvmvizError` where it is not there."""
        asked = ABIS.find(abi)
        for name in (asked.name, *ABIS):
            known, found = ABIS.get(name), self.variants.get(name)
            # An ABI with another name may differ in nothing that a text can ask for.
            if found and known and replace(asked, name=name, source=known.source) == known:
                if isinstance(found, Struct):
                    return found
                raise KvmvizError(f"{found} (on {name})" if self.is_known else found)
        if asked.name not in ABIS:
            raise KvmvizError(
                f"{self} differs by ABI, and what its text says on {asked.name} is not known: no "
                f"ABI of kvmviz has its family, {asked.family}, and its properties"
            )
        legal = listed(name for names in self._there.values() for name in names)
        raise KvmvizError(f"{self} is not defined on {asked.name}, only on {legal}")

    @cached_property
    def depth(self) -> int:
        """The types that lie in each other, in the deepest of the variants."""
        return max((struct.depth for struct in self._there), default=0)

    def names(self) -> Iterator[str]:
        """Names that C code can use on this struct, on some ABI at least."""
        yield from dict.fromkeys(name for struct in self._there for name in struct.names())

    def widen(self, member: str, bits: int) -> Struct:
        """A copy in which one direct scalar member is ``bits`` wide in every variant."""
        wide = {abi: one.widen(member, bits) for one, names in self._there.items() for abi in names}
        return Conditional(self.tag, {**self.variants, **wide}, union=self.union)

    def __getattr__(self, name: str) -> Any:
        if name in ("members", "packed", "align", "pack", "typedef_align"):
            raise KvmvizError(f"{self} differs by ABI; ask .on(abi) for its {name}")
        raise AttributeError(name)

    @property
    def _compared(self) -> tuple[object, ...]:
        return self.tag, *((abi, self.variants.get(abi)) for abi in ABIS)

    def __repr__(self) -> str:
        if not self.is_known:
            return f"{self} is not known: {next(iter(self.variants.values()))}"
        rows = [(", ".join(names), defined(one)) for one, names in self._there.items()]
        there = {name for names in self._there.values() for name in names}
        absent = ", ".join(name for name in ABIS if name not in there)
        rows += [(absent, "not defined")] if absent else []
        told = "\n".join(f"on {abis}:\n{said}" for abis, said in rows)
        return f"{self} differs by ABI:\n{told}"

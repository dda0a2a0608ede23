"""A text for every ABI: read once for all that answer alike to what it asks of its target."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kvmviz._base import KvmvizError
from kvmviz.abi import ABIS, Abi
from kvmviz.c import target
from kvmviz.c.declarations import Reader
from kvmviz.c.directives import Preprocessor
from kvmviz.c.files import Files
from kvmviz.c.source import MAX_DIRECTIVES, MAX_TOKENS, MAX_WORK
from kvmviz.ctype import Conditional, Struct


def parse(text: str, headers: Mapping[str, str] | None = None) -> dict[str, Struct]:
    """Every struct and union defined in the C text, by tag, or typedef name where there is none.

    They stand in the order in which the text opens them. ``headers`` maps what an ``#include``
    names, without its signs, to that header's text; one that is not there is passed over, and
    what it defines is unknown. Nothing else is read, and nothing is run. Where the text depends
    on its target (``#ifdef __x86_64__``, ``__LITTLE_ENDIAN_BITFIELD``, ``sizeof(long)``), the
    struct waits for :meth:`Struct.layout` to learn the ABI; so does an error that not all have.

    Read are scalars, pointers, enums, arrays, flexible ones too, bit-fields, structs and unions,
    nested and anonymous too, typedefs, ``packed``, ``aligned``, ``#pragma pack``; functions and
    variables are passed over. All else raises :class:`KvmvizError`: ``line 3, column 5: ...``,
    counted in characters from 1 on. Limits: :data:`kvmviz.c.source.MAX_TEXT` and its neighbours.
    """
    files = Files(text, headers)
    runs: list[_Run] = []
    for abi in ABIS.values():
        run = next((run for run in runs if run.facts.hold(abi)), None)
        if run is None:
            # The next reading takes about as long as the last did.
            told = ""
            if _next(run.tokens for run in runs) > MAX_WORK:
                told = f"{MAX_WORK} words and signs"
            elif _next(run.directed for run in runs) > MAX_DIRECTIVES:
                told = f"{MAX_DIRECTIVES} words and signs in directives"
            if told:
                most = f"{told}, read anew for {len(runs) + 1} ABIs"
                raise KvmvizError(f"line 1, column 1: more than {most}")
            run = _Run(files, abi)
            runs.append(run)
        run.abis.append(abi.name)
    read = [run for run in runs if not run.error]
    if not read:
        raise runs[0].error or KvmvizError("no ABI")
    places = {name: place for run in read for name, place in run.places.items()}
    if not places:
        raise KvmvizError("line 1, column 1: the text defines no struct and no union")
    errors = {name: f"{run.error}" for run in runs if run.error for name in run.abis}
    return {name: _joined(name, read, errors) for name in sorted(places, key=places.__getitem__)}


class _Run:
    """The text as one ABI reads it, and all that answer like it."""

    def __init__(self, files: Files, abi: Abi) -> None:
        self.facts, self.abis = target.Facts(), list[str]()
        self.error: KvmvizError | None = None
        self.structs: dict[str, Struct] = {}
        self.places: dict[str, int] = {}
        preprocessor = Preprocessor(files, target.macros(abi), self.facts)
        try:
            reader = Reader(preprocessor, abi)
            reader.read()
        except KvmvizError as error:
            # With a text that others read, this one waits until somebody asks for its ABI.
            self.error = error
        else:
            self.structs = reader.structs
            self.places = {name: at for name, at in reader.places.items() if name in reader.own}
        self.tokens = MAX_TOKENS - preprocessor.expander.left
        self.directed = preprocessor.spent


def _next(spent: Iterable[int]) -> int:
    """What all readings will have spent after one more."""
    rows = [*spent]
    return sum(rows) + rows[-1] if rows else 0


def _joined(name: str, runs: list[_Run], errors: Mapping[str, str]) -> Struct:
    """One struct out of what every ABI says of it."""
    variants: dict[Struct, list[str]] = {}
    for run in runs:
        if name in run.places:
            variants.setdefault(run.structs[name], []).extend(run.abis)
    first, names = next(iter(variants.items()))
    if len(names) == len(ABIS):
        return first
    ranks = list(ABIS)
    rows = [(sorted(names, key=ranks.index), struct) for struct, names in variants.items()]
    return Conditional(name, rows, errors)

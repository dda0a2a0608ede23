"""C text into structs: read once for all ABIs that answer alike to what it asks of its target.

And text as people paste it: how much of a struct can be shown, which line a message speaks of.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from kvmviz._base import KvmvizError, grouped, listed
from kvmviz.abi import ABIS, Abi
from kvmviz.c import target
from kvmviz.c.conditional import Conditional
from kvmviz.c.preprocessor import Files, Preprocessor
from kvmviz.c.source import LINE_END, MAX_TOKENS, MAX_WORK
from kvmviz.c.unit import Unit
from kvmviz.ctype import Struct
from kvmviz.layout import Layout

MOST = 4096
"""Bytes of a struct, all members of its unions counted, that are judged byte by byte at a click."""

_PLACE = re.compile(r"line (\d+), column (\d+): ")


def parse(
    text: str,
    headers: Mapping[str, str] | None = None,
    defines: Mapping[str, str | None] | None = None,
) -> dict[str, Struct]:
    """Every struct and union defined in the C text, by tag, or typedef name where there is none.

    They stand in the order in which the text opens them. ``headers`` maps what an ``#include``
    names, without its signs, to that header's text; one that is not there is passed over, and
    what it defines is unknown. It may be any mapping, also one that reads a text when it is asked
    for. ``defines`` are macros that hold from the start, by name, as a compiler's ``-D NAME=VALUE``
    has them; None says that there is none of that name, ``-U NAME``. Nothing else is read, and
    nothing is run. Where the text depends
    on its target (``#ifdef __x86_64__``, ``__LITTLE_ENDIAN_BITFIELD``, ``sizeof(long)``), the
    struct waits for :meth:`Struct.layout` to learn the ABI; so does an error that not all have.

    Read are scalars, pointers, enums, arrays, flexible ones too, bit-fields, structs and unions,
    nested and anonymous too, typedefs, ``packed``, ``aligned``, ``#pragma pack``; functions and
    variables are passed over. Enums are as wide as on Linux: bare-metal ARM's ``-fshort-enums`` is
    an ABI of its own. All else raises :class:`KvmvizError`: ``line 3, column 5: ...``,
    counted in characters from 1 on. Limits: :data:`kvmviz.c.source.MAX_TEXT` and its neighbours.
    """
    return {**read(text, headers, defines)}  # nobody keeps what has been read


def read(
    text: str,
    headers: Mapping[str, str] | None = None,
    defines: Mapping[str, str | None] | None = None,
    may_be_empty: bool = False,
) -> Structs:
    """As :func:`parse`, with all that the text says beside; it may be one without structs."""
    files = Files(text, headers, defines)
    runs = _read(files)
    places = {name: place for run in runs for name, place in run.places.items()}
    strange = {name: place for run in runs for name, place in run.strange.items()}
    also = sorted(strange, key=strange.__getitem__)
    found = Structs()
    found.runs = runs
    for name in sorted(places, key=places.__getitem__):
        is_union = files.main.text.startswith("union", places[name])
        found[name] = _joined(name, is_union, runs, also)
    errors = {
        name: [f"{why}" for why in one.variants.values()]
        for name, one in found.items()
        if isinstance(one, Conditional) and not one.is_known
    }
    rest = [_together(why, also) for run in runs if not run.error for why in run.errors]
    if len(errors) == len(found):
        said = [why for rows in errors.values() for why in rows]
        said += [*(run.error for run in runs if run.error), *rest]
        if not may_be_empty:
            said.append("line 1, column 1: the text defines no struct and no union")
        if said:
            raise KvmvizError(said[0])
    reasons = grouped(errors, lambda name: errors[name][0])
    found.notes = tuple(
        _not_read(why, listed(found[name] for name in reasons.get(why, ())))
        for why in dict.fromkeys([*reasons, *rest])
    )
    return found


def _read(files: Files) -> list[_Run]:
    """The text as ABIs read it, once for all that answer alike."""
    runs: list[_Run] = []
    for abi in ABIS.values():
        run = next((run for run in runs if run.facts.hold(abi)), None)
        if run is None:
            spent = [run.tokens for run in runs]
            # The next reading takes about as long as the last did.
            if sum(spent) + sum(spent[-1:]) > MAX_WORK:
                told = f"{MAX_WORK} words and signs, read anew for {len(runs) + 1} ABIs"
                raise KvmvizError(f"line 1, column 1: more than {told}")
            run = _Run(files, abi)
            runs.append(run)
        run.abis.append(abi.name)
    return runs


def _not_read(why: str, what: str) -> str:
    """What has not been read and why, for a note."""
    where, _, words = why.partition(": ")
    return f"{where}: not read{what and f': {what}'}: {words}"


def _together(why: str, also: Iterable[str]) -> str:
    """A reason, and all that is unknown in the text beside it: one run tells all."""
    names = [name for name in also if f"'{name}'" not in why]
    return f"{why}; not known here either: {listed(names)}" if names else why


class Structs(dict[str, Struct]):
    """The structs of a text by name; ``notes`` are what could not be read of it, each with why.

    ``runs`` are the text as the ABIs read it.
    """

    notes: tuple[str, ...] = ()
    runs: Sequence[_Run] = ()

    @property
    def constants(self) -> dict[str, int | None]:
        """The text's own enumerators and macros without arguments, in its order.

        None for what is no integer, is in doubt, or is not the same on all ABIs.
        """
        found: dict[str, int | None] = {}
        rows = [run.reader.numbers() for run in self.runs]
        for name in (name for each in rows for name in each):
            found[name] = rows[0].get(name)
            if any(each.get(name) != found[name] for each in rows):
                found[name] = None
        return found

    @property
    def defined(self) -> Structs:
        """Those of which the text says, on some ABI at least, what they are."""
        return Structs((name, struct) for name, struct in self.items() if struct.is_known)


class _Run:
    """The text as one ABI reads it, and all that answer like it."""

    def __init__(self, files: Files, abi: Abi) -> None:
        self.facts, self.abis = target.Facts(), list[str]()
        preprocessor = Preprocessor(files, abi, self.facts)
        reader = self.reader = Unit(preprocessor)
        self.error = ""
        try:
            reader.read()
        except KvmvizError as error:
            # With a text that others read, this one waits until somebody asks for its ABI.
            self.error = f"{error}"
        self.structs, self.refused = reader.structs, reader.refused
        doubts = preprocessor.doubts
        self.errors = (
            [self.error] if self.error else reader.errors or ([] if reader.structs else [*doubts])
        )
        self.places = {name: at for name, at in reader.places.items() if name in reader.own}
        self.strange = dict(reader.strange)
        for why in reader.refused.values():
            self.strange |= doubts.get(why, {})
        self.tokens = MAX_TOKENS - preprocessor.expander.left


def _joined(name: str, is_union: bool, runs: list[_Run], also: list[str]) -> Struct:
    """One struct out of what every ABI says of it."""
    said: dict[str, Struct | str] = {}
    for run in runs:
        why = run.error or run.refused.get(name, "")
        one = _together(why, () if run.error else also) if why else run.structs.get(name)
        said |= dict.fromkeys(run.abis, one) if one is not None else {}
    if len({*said.values()}) == 1 and len(said) == len(ABIS):
        first = next(iter(said.values()))
        return first if isinstance(first, Struct) else Conditional(name, said, union=is_union)
    return Conditional(name, {abi: said[abi] for abi in ABIS if abi in said}, union=is_union)


@lru_cache(maxsize=64)
def structs(text: str) -> dict[str, Struct]:
    """Every struct of the text by name, as :func:`kvmviz.parse` gives them."""
    return parse(text)


def laid_out(struct: Struct, abi: str | Abi) -> Layout:
    """The layout; :class:`KvmvizError` for a struct of no bytes or of more than :data:`MOST`."""
    layout = struct.layout(abi)
    is_small = layout.size <= MOST and layout.leaves <= MOST
    if not is_small or sum(slot.size for slot in layout.slots) > MOST or not layout.size:
        told = f"{layout.size} bytes on {layout.abi.name}; shown are 1 .. {MOST}"
        raise KvmvizError(f"{struct} has {told}, those of a union's members side by side")
    return layout


def place(message: str) -> tuple[int, int] | None:
    """The line and column, from 1 on, that a message about C text begins with."""
    found = _PLACE.match(message)
    return (int(found[1]), int(found[2])) if found else None


TAB = 4
"""Columns of a tab where a line is quoted, as in the fields that people type in."""


def pointed(text: str, message: str, width: int = 48) -> str:
    """The message, and below it the line that it speaks of with a mark under the column."""
    return "\n".join(filter(None, (message, quoted(text, message, width))))


def quoted(text: str, message: str, width: int = 48) -> str:
    """The line that a message speaks of, cut to a width, above a mark under the column.

    Empty for a message without a place in the text. Tabs are spaces: the mark stays in its place.
    """
    at = place(message)
    lines = LINE_END.split(text)
    if at is None or not 0 < at[0] <= len(lines):
        return ""
    line = lines[at[0] - 1]
    before, shown = (part.expandtabs(TAB) for part in (line[: at[1] - 1], line))
    start = max(0, min(len(before) - width // 2, len(shown) + 1 - width))
    head = f"  {at[0]} | "
    mark = f"{' ' * (len(head) - 2)}| {' ' * (len(before) - start)}^"
    # A terminal obeys no sign of a text; each keeps its column.
    told = "".join(c if c.isprintable() else "�" for c in shown[start : start + width])
    return f"{head}{told}\n{mark}"

"""What each command does and prints, and its exit status."""

from __future__ import annotations

import json
import os
import re
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from itertools import chain
from pathlib import Path
from typing import Any

from kvmviz._base import KvmvizError
from kvmviz.abi import ABIS
from kvmviz.btf import comparable
from kvmviz.cli import inputs
from kvmviz.cli.dump import Decoded
from kvmviz.ctype import Struct
from kvmviz.layout import Layout
from kvmviz.review import Policy, Reviews, review, review_all
from kvmviz.review.constants import Numbers
from kvmviz.slot import Slot
from kvmviz.text import plain

FINE, BREAKS, UNUSABLE = 0, 1, 2
"""Exit statuses."""

BOTH_ORDERS = ("aarch64", "aarch64_be")
"""ABIs shown when none is asked for: alike in all but byte order, which is what they tell."""

_COLOURS = (
    (re.compile(r"\bBREAKS\b"), "1;31"),
    (re.compile(r"\b(moved|foreign|unwritten)\b(?=  |$)", re.MULTILINE), "31"),
    (re.compile(r"(?<=\d\. )warning(?=:)|\b\d+ warnings?$", re.MULTILINE), "1;33"),
)


def _read(
    args: Namespace, path: str, include: Sequence[str] = (), folders: Sequence[str] = ()
) -> inputs.Header:
    """What a file defines, with the headers of both sides and with those of its own.

    Of a kernel's own types it is the one that is asked for. It is on one ABI, which then is the
    only one that is asked for. What cannot be read is said once, where no struct is asked for.
    """
    args.read += [path]
    headers = inputs.Headers([*args.include, *include], [*folders, *args.folders])
    if record := inputs.recorded(path, args.struct, inputs.abis(args.abi, ())):
        args.abi = [record.abi.name]
        args.recorded += [record]
        return inputs.Header(path, {record.struct.tag: record.struct})
    # A header may be new, emptied, or without structs.
    found = inputs.header(path, headers, dict(args.defines), args.run is compare)
    args.read += headers.read
    if args.struct is None:
        for note in found.notes:
            print(f"kvmviz: {plain(note)}", file=sys.stderr)
        if args.run is not compare:
            return replace(found, structs=inputs.known(found.structs))
    return found


def layout(args: Namespace) -> int:
    """Offsets, holes and bits."""
    found = inputs.pick(_read(args, args.file).structs, args.struct, args.file)
    shown, missing = _laid_out(args, found, args.file)
    told = {"layouts": [_record(row) for row in shown], "missing": missing}
    return _told(args, told | _recorded(args), [*shown, *args.recorded])


def _laid_out(
    args: Namespace, found: Mapping[str, Struct], path: str
) -> tuple[list[Layout], list[dict[str, str]]]:
    """Layouts on all ABIs that are asked for, and where there is none and why.

    Raises :class:`KvmvizError` where there is none at all.
    """
    shown: list[Layout] = []
    missing: list[dict[str, str]] = []
    for struct in found.values():
        for abi in inputs.abis(args.abi, BOTH_ORDERS):
            try:
                shown.append(struct.layout(abi))
            except KvmvizError as error:
                missing.append({"struct": str(struct), "abi": abi.name, "why": str(error)})
    if not shown:
        raise inputs.located(path, KvmvizError(missing[0]["why"]))
    return shown, missing


def _told(args: Namespace, record: dict[str, Any], shown: Sequence[object]) -> int:
    if args.json:
        _show_json(record)
    else:
        words = [repr(row) for row in shown]
        words += [
            f"{row['struct']} on {row['abi']}: not there: {row['why']}"
            for row in record.get("missing", ())
        ]
        _show("\n\n".join(words))
    return FINE


def compare(args: Namespace) -> int:
    """A change, judged; :data:`BREAKS` where it breaks."""
    abis = inputs.abis(args.abi, tuple(ABIS))
    policy = Policy("|".join(f"(?:{row})" for row in args.reserved), args.written_by, args.strict)
    pairs, rows = inputs.pairs(args.old, args.new), []
    if pairs != [(args.old, args.new)]:
        if args.struct is not None:
            raise KvmvizError("--struct is for two files; two directories are compared whole")
        args.old_dir, args.new_dir = [*args.old_dir, args.old], [*args.new_dir, args.new]
    for args.old, args.new in pairs:
        old, new, constants = _sides(args)
        rows.append(review_all(old, new, abis, policy, constants))
    parts = ([getattr(row, part.name) for row in rows] for part in fields(Reviews))
    found = Reviews(*(tuple(chain.from_iterable(part)) for part in parts))
    if args.markdown and not args.json:
        print(_escaped(found.markdown))
    else:
        _told(args, found.record | _recorded(args), [found, *args.recorded])
    return BREAKS if found.breaks or (args.strict and found.warns) else FINE


Structs = Mapping[str, Struct]


def _sides(args: Namespace) -> tuple[Structs, Structs, tuple[Numbers, Numbers]]:
    """The structs to compare, and where none is asked for, all constants."""
    if args.old == args.new == "-":
        raise KvmvizError("OLD and NEW are both standard input; one of them must be a file")
    sides = (
        _read(args, args.old, args.old_include, args.old_dir),
        _read(args, args.new, args.new_include, args.new_dir),
    )
    if args.struct is None:
        return (*inputs.both_known(*sides), (sides[0].constants, sides[1].constants))
    found = [inputs.named(side.structs, args.struct) for side in sides]
    if not any(found):
        inputs.pick(sides[1].structs, args.struct, args.new)
    if args.recorded and all(found):
        (name,), (abi,) = found[0], inputs.abis(args.abi, ())
        found = [{name: s} for s in comparable(found[0][name], found[1][name], abi)]
    return found[0], found[1], ({}, {})


def decode(args: Namespace) -> int:
    """A dump by member."""
    if args.header == args.dump == "-":
        raise KvmvizError("the dump and the header are both standard input; give one as a file")
    if args.header is None:
        path, found = "structs known without --header", inputs.KNOWN
    else:
        path, found = args.header, _read(args, args.header).structs
    struct = inputs.only(inputs.pick(found, args.struct, path), path)
    data = inputs.dump(args.dump, args.raw)
    layouts, missing = _laid_out(args, {args.struct: struct}, path)
    rows = [Decoded(layout, data, args.offset) for layout in layouts]
    told = {"decoded": [row.record for row in rows], "missing": missing}
    return _told(args, told, rows)


def figure_layout(args: Namespace) -> int:
    """A picture of a struct."""
    found = inputs.pick(_read(args, args.file).structs, args.struct, args.file)
    return _save(args, inputs.only(found, args.file))


def figure_compare(args: Namespace) -> int:
    """A picture of the one struct that changed."""
    old, new, _ = _sides(args)
    abis = inputs.abis(args.abi, BOTH_ORDERS)
    both = {name: struct for name, struct in new.items() if name in old}
    if not both:
        raise KvmvizError(f"{args.old} and {args.new} have no struct in common")
    rows = {name: review(old[name], struct, abis) for name, struct in both.items()}
    changed = {name: row for name, row in rows.items() if row.findings}
    shown = inputs.only(changed or rows, args.new)
    return _save(args, shown.old, shown.new)


def dumps(args: Namespace) -> int:
    """Dumps beside what each kernel would have written."""
    from kvmviz.kvm import captures

    try:
        found = captures.match(inputs.text(args.file))
    except KvmvizError as error:
        raise inputs.located(args.file, error) from None
    _show(repr(found))
    return FINE


def page(args: Namespace) -> int:
    """The story as a file."""
    from kvmviz.web import page as story

    Path(args.output).write_text(story.page(), "utf-8", newline="\n")
    print(f"{args.output}: the page and, behind its key t, the talk")
    return FINE


def _save(args: Namespace, old: Struct, new: Struct | None = None) -> int:
    """The picture of a struct, or of what it was and what it became."""
    inputs.refuse_output(args.output, args.read)
    from kvmviz import draw
    from kvmviz.review.versions import Versions

    abis = inputs.abis(args.abi, BOTH_ORDERS)
    rows = (Versions(old.layout(abi), new.layout(abi) if new else None) for abi in abis)
    draw.versions(*rows).save(args.output)
    return FINE


# --- results as plain data: keys are added, never renamed or taken away -------------------------


def _record(shown: Layout) -> dict[str, Any]:
    """Offsets and sizes in bytes; ``bytes`` says which bits of the value each byte holds."""
    return {
        "struct": str(shown.struct),
        "abi": shown.abi.name,
        "byte_order": shown.abi.byte_order,
        "size": shown.size,
        "align": shown.align,
        "members": [_member(slot) for slot in shown.slots if slot.type],
        "holes": [
            {"what": slot.path, "offset": slot.offset, "size": slot.size}
            | ({"bits": slot.extent} if slot.extent % 8 else {})
            for slot in shown.holes
        ],
    }


def _member(slot: Slot) -> dict[str, Any]:
    assert slot.type is not None
    found = {
        "name": slot.path, "offset": slot.offset, "size": slot.size, "type": slot.type.name,
        "count": list(slot.shape), "byte_order": slot.order,
    }  # fmt: skip
    held = [
        {"offset": at, "bits": [s.high, s.low], "in": [s.top, s.bottom]} for at, s in slot.placed
    ]
    return found if slot.shape else found | {"bits": slot.width, "bytes": held}


def _recorded(args: Namespace) -> dict[str, Any]:
    """What BTF had of structs, and what had to be inferred; without any, no key at all."""
    told = [
        {"struct": str(row.struct), "abi": row.abi.name, "inferred": list(row.inferred)}
        for row in args.recorded
    ]
    return {"recorded": told} if told else {}


# --- what is printed ----------------------------------------------------------------------


def _escaped(words: str) -> str:
    """Lines that a terminal or a CI log has nothing to obey in."""
    return "\n".join(map(plain, words.split("\n")))


def _show(words: str) -> None:
    """Print; in colour on a terminal, unless NO_COLOR is set, or anyhow if FORCE_COLOR is."""
    words = _escaped(words)
    force = os.environ.get("FORCE_COLOR", "")
    wanted = bool(force) or (sys.stdout.isatty() and os.environ.get("TERM") != "dumb")
    if wanted and not os.environ.get("NO_COLOR"):
        for pattern, colour in _COLOURS:
            words = pattern.sub(lambda m, c=colour: f"\x1b[{c}m{m[0]}\x1b[0m", words)  # type: ignore[misc]
    print(words)


def _show_json(record: object) -> None:
    print(json.dumps(record, indent=2, allow_nan=False))

"""What each command does: inputs to a result, its words or its JSON, and the exit status."""

from __future__ import annotations

import json
import os
import re
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence

from kvmviz._base import KvmvizError
from kvmviz.abi import ABIS
from kvmviz.cli import inputs, records
from kvmviz.cli.decode import Decoded
from kvmviz.ctype import Struct
from kvmviz.layout import ByteMap, Layout
from kvmviz.review import Reviews, review, review_all

FINE, BREAKS, UNUSABLE = 0, 1, 2
"""Exit statuses."""

BOTH_ORDERS = ("aarch64", "aarch64_be")
"""ABIs shown when none is asked for: alike in all but byte order, which is what they tell."""

_COLOURS = (
    (re.compile(r"\bBREAKS\b"), "1;31"),
    (re.compile(r"\b(moved|foreign|unwritten)\b(?=  |$)", re.MULTILINE), "31"),
    (re.compile(r"(?<=\d\. )warning(?=:)|\b\d+ warnings?$", re.MULTILINE), "1;33"),
    (re.compile(r"(?<=     )Remedy:| Remedy(?= \[)"), "32"),
    (re.compile(r"\b(nothing breaks|no change)\b"), "1;32"),
)


def show(words: str) -> None:
    """Print; in colour on a terminal, unless NO_COLOR is set, or anyhow if FORCE_COLOR is."""
    force = os.environ.get("FORCE_COLOR", "")
    wanted = bool(force) or (sys.stdout.isatty() and os.environ.get("TERM") != "dumb")
    if wanted and not os.environ.get("NO_COLOR"):
        for pattern, colour in _COLOURS:
            words = pattern.sub(lambda m, c=colour: f"\x1b[{c}m{m[0]}\x1b[0m", words)  # type: ignore[misc]
    print(words)


def show_json(record: object) -> None:
    """Print as JSON."""
    print(json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False))


def layout(args: Namespace) -> int:
    """``kvmviz layout``."""
    found = inputs.pick(inputs.structs(args.file, args.include), args.struct, args.file)
    shown, missing = _laid_out(args, found, args.file)
    if args.json:
        show_json({"layouts": [records.layout(row) for row in shown], "missing": missing})
        return FINE
    _show_all([ByteMap(row) for row in shown], missing)
    return FINE


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


def _show_all(shown: Sequence[object], missing: Sequence[Mapping[str, str]]) -> None:
    told = [repr(row) for row in shown]
    told += [f"{row['struct']} on {row['abi']}: not there: {row['why']}" for row in missing]
    show("\n\n".join(told))


def compare(args: Namespace) -> int:
    """``kvmviz compare``."""
    found = _reviews(args, tuple(ABIS))
    if args.json:
        show_json(found.record)
    elif args.markdown:
        print(found.markdown)
    else:
        show(repr(found))
    return BREAKS if found.breaks or (args.strict and found.warns) else FINE


def _sides(args: Namespace) -> list[dict[str, Struct]]:
    if args.old == args.new == "-":
        raise KvmvizError("OLD and NEW are both standard input; one of them must be a file")
    sides = [inputs.structs(path, args.include) for path in (args.old, args.new)]
    if args.struct is None:
        return sides
    found = [inputs.named(side, args.struct) for side in sides]
    if not any(found):
        inputs.pick(sides[1], args.struct, args.new)
    return found


def _reviews(args: Namespace, default: tuple[str, ...]) -> Reviews:
    abis = inputs.abis(args.abi, default)
    old, new = _sides(args)
    return review_all(old, new, abis)


def decode(args: Namespace) -> int:
    """``kvmviz decode``."""
    if args.header is None:
        path, found = "structs known without --header", dict(inputs.KNOWN)
    else:
        path, found = args.header, inputs.structs(args.header, args.include)
    if args.header == args.dump == "-":
        raise KvmvizError("the dump and the header are both standard input; give one as a file")
    struct = inputs.only(inputs.pick(found, args.struct, path), path)
    data = inputs.dump(args.dump, args.raw)
    layouts, missing = _laid_out(args, {args.struct: struct}, path)
    rows = [Decoded(layout, data, args.offset) for layout in layouts]
    if args.json:
        show_json({"decoded": [records.decoded(row) for row in rows], "missing": missing})
    else:
        _show_all(rows, missing)
    return FINE


def figure_layout(args: Namespace) -> int:
    """``kvmviz figure layout``."""
    struct = inputs.only(
        inputs.pick(inputs.structs(args.file, args.include), args.struct, args.file), args.file
    )
    abis = inputs.abis(args.abi, BOTH_ORDERS)
    from kvmviz import draw
    from kvmviz.review.versions import Versions

    draw.versions(*(Versions(struct.layout(abi)) for abi in abis)).save(args.output)
    return FINE


def figure_compare(args: Namespace) -> int:
    """``kvmviz figure compare``."""
    abis = inputs.abis(args.abi, BOTH_ORDERS)
    old, new = _sides(args)
    both = {name: struct for name, struct in new.items() if name in old}
    if not both:
        raise KvmvizError(f"{args.old} and {args.new} have no struct in common")
    changed = {name: review(old[name], struct, abis) for name, struct in both.items()}
    changed = {name: row for name, row in changed.items() if row.findings} or changed
    shown = inputs.only(changed, args.new)
    from kvmviz import draw
    from kvmviz.review.versions import Versions

    pairs = (Versions(shown.old.layout(abi), shown.new.layout(abi)) for abi in abis)
    draw.versions(*pairs).save(args.output)
    return FINE

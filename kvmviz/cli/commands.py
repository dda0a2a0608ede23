"""What each command takes, does and prints, and its exit status.

A command's docstring is its help: what it does, and examples.
"""

from __future__ import annotations

import json
import os
import re
import sys
from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from itertools import chain
from pathlib import Path
from typing import Any

from kvmviz._base import KvmvizError
from kvmviz.abi import ABIS
from kvmviz.btf import comparable
from kvmviz.c.parse import Structs, read
from kvmviz.cli import inputs
from kvmviz.cli.dump import Decoded
from kvmviz.ctype import Struct
from kvmviz.layout import Layout
from kvmviz.review import Policy, Reviews, review, review_all
from kvmviz.review.change import WRITERS
from kvmviz.review.constants import Numbers
from kvmviz.slot import Slot
from kvmviz.text import plain

FINE, BREAKS, UNUSABLE = 0, 1, 2
"""Exit statuses."""

BOTH_ORDERS = ("aarch64", "aarch64_be")
"""ABIs shown when none is asked for: alike in all but byte order, which is what they tell."""

PICTURES = re.compile(rb"\x89PNG|%PDF|(<\?xml.*)?<svg", re.DOTALL)
"""How files begin that a picture may take the place of."""

_COLOURS = (
    (re.compile(r"\bBREAKS\b"), "1;31"),
    (re.compile(r"\b(moved|foreign|unwritten)\b(?=  |$)", re.MULTILINE), "31"),
    (re.compile(r"(?<=\d\. )warning(?=:)|\b\d+ warnings?$", re.MULTILINE), "1;33"),
)


# --- arguments ------------------------------------------------------------------------------------


def _number(words: str) -> int:
    """An offset: decimal, or hex with 0x. None has more digits than a file has bytes."""
    try:
        if len(words) > 20:
            raise ValueError
        return int(words, 0)
    except ValueError:
        raise ArgumentTypeError(f"{words[:20]!r} is no number of bytes") from None


def _defined(words: str) -> tuple[str, str]:
    """A macro and what it stands for."""
    name, equals, value = words.partition("=")
    return name, value if equals else "1"


C_TEXT = "C text, or BTF (raw or in an ELF file) with one --struct and the ABI of its machine"

Option = tuple[tuple[str, ...], dict[str, Any]]
"""An argument, as argparse takes it."""


def _option(*names: str, **more: Any) -> Option:
    return names, more


def _abi(default: str) -> Option:
    words = f"an ABI; give it again for more; default: {default}"
    return _option("--abi", metavar="A", action="append", help=words)


SHARED = (
    _option("--struct", metavar="NAME",
            help="the struct or union by its tag; by its typedef where it has no tag"),
    _option("--include", metavar="[NAME=]FILE", action="append", default=[],
            help="a header that the C text may include; nothing else is opened"),
    _option("-I", dest="folders", metavar="DIR", action="append", default=[],
            help="a directory whose files the C text may include; what a link in it or a .. leads "
            "out to is not read"),
    _option("-D", dest="defines", metavar="NAME[=VALUE]", action="append", default=[],
            type=_defined, help="a macro that holds from the start, 1 without a value"),
    _option("-U", dest="defines", metavar="NAME", action="append", type=lambda name: (name, None),
            help="a macro that is not defined, and known not to be"),
)  # fmt: skip
"""What every command takes that reads C text."""

BOTH = _abi("aarch64 and aarch64_be, which differ in nothing but byte order")
FILE = _option("file", metavar="FILE", help=C_TEXT)
JSON = _option("--json", action="store_true", help="print JSON; its keys stay as they are; a value "
               "that is infinite or not a number is null")  # fmt: skip
OUTPUT = _option("-o", "--output", metavar="FILE", required=True,
                 help="where to write it; .svg, .png or .pdf says the format")  # fmt: skip
SIDES = (
    _option("old", metavar="OLD", help=f"{C_TEXT}, before the change"),
    _option("new", metavar="NEW", help="the same, after it; compare takes two directories, too"),
    *(_option(f"--{side}-include", metavar="[NAME=]FILE", action="append", default=[],
              help=f"as --include, for {side.upper()} alone") for side in ("old", "new")),
    *(_option(f"--{side}-dir", metavar="DIR", action="append", default=[],
              help=f"as -I, for {side.upper()} alone, in front of it") for side in ("old", "new")),
)  # fmt: skip


Run = Callable[[Namespace], int]
COMMANDS: dict[str, tuple[Run, tuple[Option, ...]]] = {}
"""What runs a command, and what it takes, by the command's name."""


def _command(name: str, *options: Option) -> Callable[[Run], Run]:
    def add(run: Run) -> Run:
        COMMANDS[name] = run, options
        return run

    return add


# --- commands -------------------------------------------------------------------------------------


def _read(
    args: Namespace, path: str, include: Sequence[str] = (), folders: Sequence[str] = ()
) -> Structs:
    """What a file defines, with the headers of both sides and with those of its own.

    Of a kernel's own types it is the one that is asked for. It is on one ABI, which then is the
    only one that is asked for. What cannot be read is said once, where no struct is asked for.
    """
    headers = inputs.Headers([*args.include, *include], [*folders, *args.folders])
    if record := inputs.recorded(path, args.struct, inputs.abis(args.abi, ())):
        args.abi = [record.abi.name]
        args.recorded += [record]
        return Structs({record.struct.tag: record.struct})
    text = inputs.text(path)
    try:
        # A header may be new, emptied, or without structs.
        found = read(text, headers, dict(args.defines), args.run is compare)
    except KvmvizError as error:
        raise inputs.located(path, error) from None
    if args.struct is None:
        for note in found.notes:
            told = inputs.located(path, KvmvizError(note))
            print(f"kvmviz: {plain(str(told))}", file=sys.stderr)
        if args.run is not compare:
            return found.defined
    return found


@_command("layout", FILE, *SHARED, BOTH, JSON)
def layout(args: Namespace) -> int:
    """Offsets, holes and the bits that each byte holds.

    kvmviz layout kvm.h --struct kvm_debug_exit_arch
    kvmviz layout - --abi i386 --json < epoll.h
    kvmviz layout /sys/kernel/btf/vmlinux --struct kvm_run
    """
    found = inputs.pick(_read(args, args.file), args.struct, args.file)
    shown, missing = _laid_out(args, found, args.file)
    told = {"layouts": [_record(row) for row in shown], "missing": missing}
    return _answer(args, told | _recorded(args), [*shown, *args.recorded])


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


def _answer(args: Namespace, record: dict[str, Any], shown: Sequence[object]) -> int:
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


@_command(
    "compare", *SIDES, *SHARED, _abi("all of them"), JSON,
    _option("--markdown", action="store_true",
            help="the report for a page that is Markdown, fenced"),
    _option("--strict", action="store_true",
            help="exit with 1 for warnings too, and for changes of spelling by which no byte "
            "changes"),
    _option("--reserved", metavar="REGEX", action="append", default=[],
            help="further names of members that nobody reads, which a change may put to use, as it "
            "may reserved, rsvd, resv, padding, pad, unused and spare"),
    _option("--written-by", choices=tuple(WRITERS),
            help="who writes the structs: old readers of new writers decide, and what a new reader "
            "does not get of an old writer is a warning; default: both write"),
)  # fmt: skip
def compare(args: Namespace) -> int:
    """Judge a change to structs: old and new reader and writer, on every ABI.

    kvmviz compare old.h new.h
    kvmviz compare old.h new.h --struct kvm_debug_exit_arch --abi arm64 --strict
    git show main:uapi.h | kvmviz compare - uapi.h --json
    kvmviz compare /sys/kernel/btf/vmlinux new.h --struct kvm_run
    """
    abis = inputs.abis(args.abi, tuple(ABIS))
    policy = Policy("|".join(f"(?:{row})" for row in args.reserved), args.written_by, args.strict)
    pairs, rows = inputs.pairs(args.old, args.new), []
    if pairs != [(args.old, args.new)]:
        if args.struct is not None:
            raise KvmvizError("--struct is for two files; two directories are compared whole")
        args.old_dir, args.new_dir = [*args.old_dir, args.old], [*args.new_dir, args.new]
    for args.old, args.new in pairs:
        old, new, constants = _compared(args)
        rows.append(review_all(old, new, abis, policy, constants))
    parts = ([getattr(row, part.name) for row in rows] for part in fields(Reviews))
    found = Reviews(*(tuple(chain.from_iterable(part)) for part in parts))
    if args.markdown and not args.json:
        print(_escaped(found.markdown))
    else:
        _answer(args, found.record | _recorded(args), [found, *args.recorded])
    return BREAKS if found.breaks or (args.strict and found.warns) else FINE


Named = Mapping[str, Struct]


def _compared(args: Namespace) -> tuple[Named, Named, tuple[Numbers, Numbers]]:
    """The structs to compare, and where none is asked for, all constants."""
    if args.old == args.new == "-":
        raise KvmvizError("OLD and NEW are both standard input; one of them must be a file")
    old = _read(args, args.old, args.old_include, args.old_dir)
    new = _read(args, args.new, args.new_include, args.new_dir)
    if args.struct is None:
        inputs.check_defined(args.old, old, new)
        inputs.check_defined(args.new, new, old)
        return old.defined, new.defined, (old.constants, new.constants)
    found = [inputs.named(side, args.struct) for side in (old, new)]
    if not any(found):
        inputs.pick(new, args.struct, args.new)
    if args.recorded and all(found):
        (name,), (abi,) = found[0], inputs.abis(args.abi, ())
        found = [{name: s} for s in comparable(found[0][name], found[1][name], abi)]
    return found[0], found[1], ({}, {})


@_command(
    "decode",
    _option("dump", metavar="FILE|HEX",
            help="a binary file, or plain hex digits in a file or as they are; xxd -r makes what "
            "xxd printed binary"),
    *SHARED, BOTH, JSON,
    _option("--header", metavar="FILE",
            help=f"C text that defines the struct; without it: {', '.join(inputs.KNOWN)}"),
    _option("--offset", metavar="N", type=_number, default=0,
            help="where the struct starts in the dump, in bytes (0x20 is fine)"),
    _option("--raw", action="store_true",
            help="the file's bytes are the dump, even if they are printable"),
)  # fmt: skip
def decode(args: Namespace) -> int:
    """A dump by member: its bytes, the bits that they hold, the value.

    kvmviz decode 3456789a00000000 --struct s --header s.h --abi s390x
    xxd -r a.xxd | kvmviz decode - --offset 32 --struct kvm_debug_exit_arch
    """
    if args.header == args.dump == "-":
        raise KvmvizError("the dump and the header are both standard input; give one as a file")
    path, found = "structs known without --header", inputs.KNOWN
    if args.header is not None:
        path, found = args.header, _read(args, args.header)
    struct = inputs.only(inputs.pick(found, args.struct, path), path)
    data = inputs.dump(args.dump, args.raw)
    layouts, missing = _laid_out(args, {args.struct: struct}, path)
    rows = [Decoded(layout, data, args.offset) for layout in layouts]
    told = {"decoded": [row.record for row in rows], "missing": missing}
    return _answer(args, told, rows)


@_command("figure layout", FILE, *SHARED, BOTH, OUTPUT)
def figure_layout(args: Namespace) -> int:
    """The bytes of a struct on some ABIs, side by side.

    kvmviz figure layout kvm.h --struct kvm_debug_exit_arch -o layout.svg
    """
    found = inputs.pick(_read(args, args.file), args.struct, args.file)
    return _save(args, inputs.only(found, args.file))


@_command("figure compare", *SIDES, *SHARED, BOTH, OUTPUT)
def figure_compare(args: Namespace) -> int:
    """The one struct that changed, before and after, byte under byte.

    kvmviz figure compare old.h new.h --abi arm64 -o change.png
    """
    old, new, _ = _compared(args)
    abis = inputs.abis(args.abi, BOTH_ORDERS)
    both = {name: struct for name, struct in new.items() if name in old}
    if not both:
        raise KvmvizError(f"{args.old} and {args.new} have no struct in common")
    rows = {name: review(old[name], struct, abis) for name, struct in both.items()}
    changed = {name: row for name, row in rows.items() if row.findings}
    shown = inputs.only(changed or rows, args.new)
    return _save(args, shown.old, shown.new)


@_command("dumps", _option("file", metavar="FILE", help="JSON lines"))
def dumps(args: Namespace) -> int:
    """Dumps of struct kvm_run, beside what each kernel would have written.

    tests/evidence/dump.c prints them on an arm64 machine with KVM.

    ./dump > mine.jsonl && kvmviz dumps mine.jsonl
    """
    from kvmviz.kvm import captures

    text = inputs.text(args.file)
    try:
        found = captures.match(text)
    except KvmvizError as error:
        raise inputs.located(args.file, error) from None
    _show(repr(found))
    return FINE


@_command("page", _option("output", metavar="OUT.html", help="where to write it"))
def page(args: Namespace) -> int:
    """The story, an explorer and the talk as one HTML file that needs no network and no Python.

    kvmviz page story.html
    """
    from kvmviz.web import page as story

    Path(args.output).write_text(story.page(), "utf-8", newline="\n")
    print(f"{args.output}: the page and, behind its key t, the talk")
    return FINE


def _save(args: Namespace, old: Struct, new: Struct | None = None) -> int:
    """The picture of a struct, or of what it was and what it became.

    Raises :class:`KvmvizError` where a file that holds another thing, an input say, would be lost.
    """
    if os.path.isfile(args.output):  # noqa: PTH113
        with Path(args.output).open("rb") as there:
            head = there.read(1024)
        if head and not PICTURES.match(head):
            raise KvmvizError(f"{args.output} holds no picture; it is not overwritten")
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

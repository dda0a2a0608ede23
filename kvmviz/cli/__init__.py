"""The command line: what each command takes, does and prints, and the exit status."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import traceback
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, NoReturn

import kvmviz
from kvmviz._base import KvmvizError
from kvmviz.abi import ABIS
from kvmviz.btf import comparable
from kvmviz.cli import inputs, recorded, records
from kvmviz.cli.dump import Decoded
from kvmviz.ctype import Struct
from kvmviz.layout import ByteMap, Layout
from kvmviz.review import Policy, Reviews, review, review_all
from kvmviz.review.constants import Numbers
from kvmviz.review.policy import WRITERS
from kvmviz.text import plain

FINE, BREAKS, UNUSABLE = 0, 1, 2
"""Exit statuses."""

PIPE_CLOSED = 141
"""The exit status of a program that SIGPIPE ended: 128 + 13."""

LONGEST = 4000
"""Characters of an error that are shown: names and words in it may be of any length."""

BOTH_ORDERS = ("aarch64", "aarch64_be")
"""ABIs shown when none is asked for: alike in all but byte order, which is what they tell."""

STATUS = """\
exit status:
  0  fine
  1  compare: a member that both have is not intact for an old reader of a new
     writer or the reverse, size or alignment changes, or the struct is gone,
     on any of the ABIs; with --strict, also if there is a warning
  2  unusable input or usage, one line on standard error
"""

ABI_NAMES = f"""\
ABIs: {", ".join(list(ABIS)[:8])},
  {", ".join(list(ABIS)[8:])};
  arm64 for both byte orders of aarch64, all for all of them
"""

C_TEXT = "C text, or BTF (raw or in an ELF file) with one --struct and the ABI of its machine"

EXAMPLES = """\
examples:
  kvmviz layout kvm.h --struct kvm_debug_exit_arch
  kvmviz compare old.h new.h
  git show HEAD:kvm.h | kvmviz compare - kvm.h --abi arm64
  kvmviz decode run.bin --offset 32 --struct kvm_debug_exit_arch --abi arm64
  kvmviz figure compare old.h new.h -o change.svg
  kvmviz page story.html
"""

_COLOURS = (
    (re.compile(r"\bBREAKS\b"), "1;31"),
    (re.compile(r"\b(moved|foreign|unwritten)\b(?=  |$)", re.MULTILINE), "31"),
    (re.compile(r"(?<=\d\. )warning(?=:)|\b\d+ warnings?$", re.MULTILINE), "1;33"),
    (re.compile(r"(?<=     )Remedy:| Remedy(?= \[)"), "32"),
    (re.compile(r"\b(nothing breaks|no change)\b"), "1;32"),
)


# --- what every command line meets ----------------------------------------------------------------


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; its exit status."""
    # A file that is opened must not become one of the three streams that the caller closed.
    while (number := os.open(os.devnull, os.O_RDWR)) < 3:
        pass
    os.close(number)
    if sys.stdout is None:
        return _failed("standard output is closed")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A terminal of another encoding gets escapes, not an exception.
            stream.reconfigure(errors="backslashreplace")
    try:
        status = _run(arguments)
        sys.stdout.flush()
    except KvmvizError as error:
        return _failed(str(error))
    except BrokenPipeError:
        _settle(sys.stdout)
        return PIPE_CLOSED
    except OSError as error:
        _settle(sys.stdout)
        name = f"{error.filename}: " if error.filename else ""
        return _failed(f"{name}{error.strerror or error}")
    except Exception:
        # A fault of this program, to be reported; with status 1 it would be taken for a verdict.
        traceback.print_exc()
        return UNUSABLE
    return status


def _run(arguments: Sequence[str] | None) -> int:
    try:
        args = _parser().parse_args(arguments)
    except SystemExit:  # --help and --version are printed
        return FINE
    status: int = args.run(args)
    return status


def _failed(words: str) -> int:
    told = plain(" ".join(words.split()))
    told = told if len(told) <= LONGEST else f"{told[:LONGEST]} ..."
    if sys.stderr is not None:
        try:
            print(f"kvmviz: error: {told}", file=sys.stderr, flush=True)
        except OSError:
            _settle(sys.stderr)
    return UNUSABLE


def _settle(stream: IO[str]) -> None:
    """Flush; what cannot be written goes nowhere, as Python would try once more at exit."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


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


# --- the commands ---------------------------------------------------------------------------------


def _read(
    args: Namespace, path: str, include: Sequence[str] = (), folders: Sequence[str] = ()
) -> inputs.Header:
    """What a file defines, with the headers of both sides and with those of its own.

    Of a kernel's own types it is the one that is asked for. It is on one ABI, which then is the
    only one that is asked for. What cannot be read is said once, where no struct is asked for.
    """
    headers = inputs.Headers([*args.include, *include], [*folders, *args.folders])
    args.read, args.recorded = [*getattr(args, "read", []), path], getattr(args, "recorded", [])
    if record := recorded.record(path, args.struct, inputs.abis(args.abi, ())):
        args.abi = [record.abi.name]
        args.recorded.append(record)
        return inputs.Header(path, "", headers, {}, {record.struct.tag: record.struct})
    # A header may be new, emptied, or without structs.
    found = inputs.header(path, headers, dict(args.defines), args.run is _compare)
    args.read += headers.read
    if args.struct is None:
        for note in found.notes:
            print(f"kvmviz: {plain(note)}", file=sys.stderr)
        if args.run is not _compare:
            known = {name: one for name, one in found.structs.items() if inputs.is_known(one)}
            return replace(found, structs=known)
    return found


def _layout(args: Namespace) -> int:
    found = inputs.pick(_read(args, args.file).structs, args.struct, args.file)
    shown, missing = _laid_out(args, found, args.file)
    if args.json:
        told = {"layouts": [records.layout(row) for row in shown], "missing": missing}
        _show_json(told | records.recorded(args.recorded))
    else:
        _show_all([*map(ByteMap, shown), *args.recorded], missing)
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
    _show("\n\n".join(told))


def _compare(args: Namespace) -> int:
    found = _reviews(args)
    if args.json:
        _show_json(found.record | records.recorded(args.recorded))
    elif args.markdown:
        print(_escaped(found.markdown))
    else:
        _show("\n\n".join(map(repr, (found, *args.recorded))))
    return BREAKS if found.breaks or (args.strict and found.warns) else FINE


def _reviews(args: Namespace) -> Reviews:
    old, new, constants = _sides(args)
    abis = inputs.abis(args.abi, tuple(ABIS))
    policy = Policy("|".join(f"(?:{row})" for row in args.reserved), args.written_by, args.strict)
    return review_all(old, new, abis, policy, constants)


Constants = tuple[Numbers, Numbers]


def _sides(args: Namespace) -> tuple[dict[str, Struct], dict[str, Struct], Constants]:
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


def _decode(args: Namespace) -> int:
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
    if args.json:
        _show_json({"decoded": [records.decoded(row) for row in rows], "missing": missing})
    else:
        _show_all(rows, missing)
    return FINE


def _figure_layout(args: Namespace) -> int:
    found = inputs.pick(_read(args, args.file).structs, args.struct, args.file)
    struct = inputs.only(found, args.file)
    return _save(args, struct)


def _figure_compare(args: Namespace) -> int:
    old, new, _ = _sides(args)
    abis = inputs.abis(args.abi, BOTH_ORDERS)
    both = {name: struct for name, struct in new.items() if name in old}
    if not both:
        raise KvmvizError(f"{args.old} and {args.new} have no struct in common")
    changed = {name: review(old[name], struct, abis) for name, struct in both.items()}
    changed = {name: row for name, row in changed.items() if row.findings} or changed
    shown = inputs.only(changed, args.new)
    return _save(args, shown.old, shown.new)


def _dumps(args: Namespace) -> int:
    from kvmviz.kvm import captures

    try:
        found = captures.match(inputs.text(args.file))
    except KvmvizError as error:
        raise inputs.located(args.file, error) from None
    _show(repr(found))
    return FINE


def _page(args: Namespace) -> int:
    from kvmviz.web.page import page

    Path(args.output).write_text(page(), "utf-8", newline="\n")
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


# --- arguments ------------------------------------------------------------------------------------


class Parser(ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Raises :class:`KvmvizError`."""
        raise KvmvizError(f"{message}; see {self.prog} --help")

    def _print_message(self, message: str, file: Any = None) -> None:
        # argparse's own passes over a disk that is full.
        print(message, end="", file=file)


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


def _parser() -> Parser:
    """All commands and options."""
    top = Parser(
        prog="kvmviz",
        description="What C structs look like in memory on many ABIs, and what a change does.",
        epilog=f"{EXAMPLES}\n{STATUS}\n{ABI_NAMES}\nA FILE of - is standard input.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"kvmviz {kvmviz.__version__}")
    some = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    both = "aarch64 and aarch64_be, which differ in nothing but byte order"

    made = _command(some, "layout", _layout, both,
        "offsets, holes and the bits that each byte holds",
        "  kvmviz layout kvm.h --struct kvm_debug_exit_arch\n"
        "  kvmviz layout - --abi i386 --json < epoll.h\n"
        "  kvmviz layout /sys/kernel/btf/vmlinux --struct kvm_run\n")  # fmt: skip
    made.add_argument("file", metavar="FILE", help=C_TEXT)
    _json(made)

    made = _command(some, "compare", _compare, "all of them",
        "judge a change to structs: old and new reader and writer, on every ABI",
        "  kvmviz compare old.h new.h\n"
        "  kvmviz compare old.h new.h --struct kvm_debug_exit_arch --abi arm64 --strict\n"
        "  git show main:uapi.h | kvmviz compare - uapi.h --json\n"
        "  kvmviz compare /sys/kernel/btf/vmlinux new.h --struct kvm_run\n")  # fmt: skip
    _old_new(made)
    _json(made)
    made.add_argument(
        "--markdown", action="store_true", help="the report for a page that is Markdown, fenced"
    )
    made.add_argument(
        "--strict", action="store_true",
        help="exit with 1 for warnings too, and for changes of spelling by which no byte changes",
    )  # fmt: skip
    made.add_argument(
        "--reserved", metavar="REGEX", action="append", default=[],
        help="further names of members that nobody reads, which a change may put to use, as it "
        "may reserved, rsvd, resv, padding, pad, unused and spare",
    )  # fmt: skip
    made.add_argument(
        "--written-by", choices=tuple(WRITERS),
        help="who writes the structs: old readers of new writers decide, and what a new reader "
        "does not get of an old writer is a warning; default: both write",
    )  # fmt: skip

    made = _command(some, "decode", _decode, both,
        "a dump by member: its bytes, the bits that they hold, the value",
        "  kvmviz decode 3456789a00000000 --struct s --header s.h --abi s390x\n"
        "  xxd -r a.xxd | kvmviz decode - --offset 32 --struct kvm_debug_exit_arch\n")  # fmt: skip
    made.add_argument(
        "dump", metavar="FILE|HEX",
        help="a binary file, or plain hex digits in a file or as they are; xxd -r makes what xxd "
        "printed binary",
    )  # fmt: skip
    made.add_argument(
        "--header", metavar="FILE",
        help=f"C text that defines the struct; without it: {', '.join(inputs.KNOWN)}",
    )  # fmt: skip
    made.add_argument(
        "--offset", metavar="N", type=_number, default=0,
        help="where the struct starts in the dump, in bytes (0x20 is fine)",
    )  # fmt: skip
    made.add_argument(
        "--raw", action="store_true",
        help="the file's bytes are the dump, even if they are printable",
    )  # fmt: skip
    _json(made, "; a value that is infinite or not a number is null")

    figures = some.add_parser(
        "figure", help="byte map or comparison as SVG, PNG or PDF",
        description="A byte map, or a comparison, as SVG, PNG or PDF.",
    ).add_subparsers(dest="figure", metavar="KIND", required=True)  # fmt: skip
    made = _command(figures, "layout", _figure_layout, both,
        "the bytes of a struct on some ABIs, side by side",
        "  kvmviz figure layout kvm.h --struct kvm_debug_exit_arch -o layout.svg\n")  # fmt: skip
    made.add_argument("file", metavar="FILE", help="C text")
    _output(made)
    made = _command(figures, "compare", _figure_compare, both,
        "a struct before and after a change, byte under byte",
        "  kvmviz figure compare old.h new.h --abi arm64 -o change.png\n")  # fmt: skip
    _old_new(made)
    _output(made)

    made = some.add_parser(
        "dumps", help="dumps of struct kvm_run beside what each kernel would have written",
        description="Dumps of struct kvm_run, as tests/evidence/dump.c prints them on an arm64 "
        "machine with KVM, beside what each kernel of the table would have written.",
        epilog="examples:\n  ./dump > mine.jsonl && kvmviz dumps mine.jsonl",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    made.add_argument("file", metavar="FILE", help="JSON lines")
    made.set_defaults(run=_dumps)

    made = some.add_parser(
        "page", help="the story and the talk as one HTML file that needs nothing else",
        description="The story, an explorer and the talk as one HTML file that needs no network "
        "and no Python to be read.",
        epilog="examples:\n  kvmviz page story.html",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    made.add_argument("output", metavar="OUT.html", help="where to write it")
    made.set_defaults(run=_page)
    return top


def _command(
    rows: argparse._SubParsersAction[Parser],
    name: str,
    run: Callable[[Namespace], int],
    abis: str,
    words: str,
    examples: str,
) -> ArgumentParser:
    made = rows.add_parser(
        name,
        help=words,
        description=words[0].upper() + words[1:] + ".",
        epilog=f"examples:\n{examples}\n{STATUS}\n{ABI_NAMES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.set_defaults(run=run)
    made.add_argument(
        "--struct", metavar="NAME",
        help="the struct or union by its tag; by its typedef where it has no tag",
    )  # fmt: skip
    made.add_argument(
        "--include", metavar="[NAME=]FILE", action="append", default=[],
        help="a header that the C text may include; nothing else is opened",
    )  # fmt: skip
    made.add_argument(
        "-I", dest="folders", metavar="DIR", action="append", default=[],
        help="a directory whose files the C text may include; what a link in it or a .. leads out "
        "to is not read",
    )  # fmt: skip
    made.add_argument(
        "-D", dest="defines", metavar="NAME[=VALUE]", action="append", default=[], type=_defined,
        help="a macro that holds from the start, 1 without a value",
    )  # fmt: skip
    made.add_argument(
        "-U", dest="defines", metavar="NAME", action="append", type=lambda name: (name, None),
        help="a macro that is not defined, and known not to be",
    )  # fmt: skip
    made.add_argument(
        "--abi", metavar="A", action="append",
        help=f"an ABI; give it again for more; default: {abis}",
    )  # fmt: skip
    return made


def _old_new(made: ArgumentParser) -> None:
    made.add_argument("old", metavar="OLD", help=f"{C_TEXT}, before the change")
    made.add_argument("new", metavar="NEW", help="the same, after it")
    for side in ("old", "new"):
        made.add_argument(
            f"--{side}-include", metavar="[NAME=]FILE", action="append", default=[],
            help=f"as --include, for {side.upper()} alone",
        )  # fmt: skip
        made.add_argument(
            f"--{side}-dir", metavar="DIR", action="append", default=[],
            help=f"as -I, for {side.upper()} alone, in front of it",
        )  # fmt: skip


def _json(made: ArgumentParser, more: str = "") -> None:
    words = f"print JSON; its keys stay as they are{more}"
    made.add_argument("--json", action="store_true", help=words)


def _output(made: ArgumentParser) -> None:
    made.add_argument("-o", "--output", metavar="FILE", required=True,
                      help="where to write it; .svg, .png or .pdf says the format")  # fmt: skip

"""The command line: what each command takes, and how it ends, whatever happens."""

from __future__ import annotations

import os
import sys
import traceback
from argparse import ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from typing import IO, Any, NamedTuple, NoReturn

import kvmviz
from kvmviz._base import KvmvizError
from kvmviz.abi import ABIS
from kvmviz.cli import commands, inputs
from kvmviz.cli.commands import FINE, UNUSABLE
from kvmviz.review.change import WRITERS
from kvmviz.text import plain

PIPE_CLOSED = 141
"""The exit status of a program that SIGPIPE ended: 128 + 13."""

LONGEST = 4000
"""Characters of an error that are shown: names and words in it may be of any length."""

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
    # What was read, for -o not to overwrite it, and what of it was BTF.
    args.read, args.recorded = [], []
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


Option = tuple[tuple[str, ...], dict[str, Any]]


def _option(*names: str, **more: Any) -> Option:
    """An argument, as argparse takes it."""
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


class Command(NamedTuple):
    """What a command is called, does, is for, and takes."""

    name: str
    run: Callable[[Namespace], int]
    words: str
    examples: str
    options: tuple[Option, ...]


COMMANDS = (
    Command("layout", commands.layout, "offsets, holes and the bits that each byte holds",
        "  kvmviz layout kvm.h --struct kvm_debug_exit_arch\n"
        "  kvmviz layout - --abi i386 --json < epoll.h\n"
        "  kvmviz layout /sys/kernel/btf/vmlinux --struct kvm_run\n",
        (FILE, *SHARED, BOTH, JSON)),
    Command("compare", commands.compare,
        "judge a change to structs: old and new reader and writer, on every ABI",
        "  kvmviz compare old.h new.h\n"
        "  kvmviz compare old.h new.h --struct kvm_debug_exit_arch --abi arm64 --strict\n"
        "  git show main:uapi.h | kvmviz compare - uapi.h --json\n"
        "  kvmviz compare /sys/kernel/btf/vmlinux new.h --struct kvm_run\n",
        (
            *SIDES, *SHARED, _abi("all of them"), JSON,
            _option("--markdown", action="store_true",
                    help="the report for a page that is Markdown, fenced"),
            _option("--strict", action="store_true",
                    help="exit with 1 for warnings too, and for changes of spelling by which no "
                    "byte changes"),
            _option("--reserved", metavar="REGEX", action="append", default=[],
                    help="further names of members that nobody reads, which a change may put to "
                    "use, as it may reserved, rsvd, resv, padding, pad, unused and spare"),
            _option("--written-by", choices=tuple(WRITERS),
                    help="who writes the structs: old readers of new writers decide, and what a "
                    "new reader does not get of an old writer is a warning; default: both write"),
        )),
    Command("decode", commands.decode,
        "a dump by member: its bytes, the bits that they hold, the value",
        "  kvmviz decode 3456789a00000000 --struct s --header s.h --abi s390x\n"
        "  xxd -r a.xxd | kvmviz decode - --offset 32 --struct kvm_debug_exit_arch\n",
        (
            _option("dump", metavar="FILE|HEX",
                    help="a binary file, or plain hex digits in a file or as they are; xxd -r "
                    "makes what xxd printed binary"),
            *SHARED, BOTH, JSON,
            _option("--header", metavar="FILE",
                    help=f"C text that defines the struct; without it: {', '.join(inputs.KNOWN)}"),
            _option("--offset", metavar="N", type=_number, default=0,
                    help="where the struct starts in the dump, in bytes (0x20 is fine)"),
            _option("--raw", action="store_true",
                    help="the file's bytes are the dump, even if they are printable"),
        )),
    Command("figure layout", commands.figure_layout,
        "the bytes of a struct on some ABIs, side by side",
        "  kvmviz figure layout kvm.h --struct kvm_debug_exit_arch -o layout.svg\n",
        (FILE, *SHARED, BOTH, OUTPUT)),
    Command("figure compare", commands.figure_compare,
        "a struct before and after a change, byte under byte",
        "  kvmviz figure compare old.h new.h --abi arm64 -o change.png\n",
        (*SIDES, *SHARED, BOTH, OUTPUT)),
    Command("dumps", commands.dumps,
        "dumps of struct kvm_run, as tests/evidence/dump.c prints them on an arm64 machine with "
        "KVM, beside what each kernel would have written",
        "  ./dump > mine.jsonl && kvmviz dumps mine.jsonl\n",
        (_option("file", metavar="FILE", help="JSON lines"),)),
    Command("page", commands.page,
        "the story, an explorer and the talk as one HTML file that needs no network and no Python",
        "  kvmviz page story.html\n",
        (_option("output", metavar="OUT.html", help="where to write it"),)),
)  # fmt: skip


def _parser() -> Parser:
    """All commands and options."""
    examples = "".join(command.examples.partition("\n")[0] + "\n" for command in COMMANDS)
    top = Parser(
        prog="kvmviz",
        description="What C structs look like in memory on many ABIs, and what a change does.",
        epilog=f"examples:\n{examples}\n{STATUS}\n{ABI_NAMES}\nA FILE of - is standard input.",
        formatter_class=RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"kvmviz {kvmviz.__version__}")
    some = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    figure = some.add_parser("figure", help="byte map or comparison as SVG, PNG or PDF")
    kinds = figure.add_subparsers(dest="figure", metavar="KIND", required=True)
    for command in COMMANDS:
        *group, name = command.name.split()
        epilog = f"examples:\n{command.examples}"
        made = (kinds if group else some).add_parser(
            name,
            help=command.words,
            description=f"{command.words[0].upper()}{command.words[1:]}.",
            epilog=f"{epilog}\n{STATUS}\n{ABI_NAMES}" if SHARED[0] in command.options else epilog,
            formatter_class=RawDescriptionHelpFormatter,
        )
        made.set_defaults(run=command.run)
        for names, more in command.options:
            made.add_argument(*names, **more)
    return top

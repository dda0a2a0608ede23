"""The command line: ``kvmviz`` and ``python -m kvmviz``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

import kvmviz
from kvmviz._base import KvmvizError
from kvmviz.abi import ABIS
from kvmviz.cli import commands
from kvmviz.cli.inputs import KNOWN

INTERRUPTED, PIPE_CLOSED = 130, 141
"""Exit statuses of a program that a signal ended: 128 + SIGINT, 128 + SIGPIPE."""

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

EXAMPLES = """\
examples:
  kvmviz layout kvm.h --struct kvm_debug_exit_arch
  kvmviz compare old.h new.h
  git show HEAD:kvm.h | kvmviz compare - kvm.h --abi arm64
  kvmviz decode run.bin --offset 32 --struct kvm_debug_exit_arch --abi arm64
  kvmviz figure compare old.h new.h -o change.svg
"""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Exit with status 2."""
        self.exit(commands.UNUSABLE, f"kvmviz: error: {message}; see {self.prog} --help\n")


def number(words: str) -> int:
    """An offset: decimal, or hex with 0x."""
    try:
        return int(words, 0)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{words!r} is no number of bytes") from None


def parser() -> argparse.ArgumentParser:
    """All commands and options."""
    top = Parser(
        prog="kvmviz",
        description="What C structs look like in memory on many ABIs, and what a change does.",
        epilog=f"{EXAMPLES}\n{STATUS}\n{ABI_NAMES}\nA FILE of - is standard input.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"kvmviz {kvmviz.__version__}")
    some = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(
        rows: argparse._SubParsersAction[Parser],
        name: str,
        run: Callable[[argparse.Namespace], int],
        words: str,
        examples: str,
    ) -> argparse.ArgumentParser:
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
        return made

    both = "aarch64 and aarch64_be, which differ in nothing but byte order"
    made = command(some, "layout", commands.layout,
        "offsets, holes and the bits that each byte holds",
        "  kvmviz layout kvm.h --struct kvm_debug_exit_arch\n"
        "  kvmviz layout - --abi i386 --json < epoll.h\n")  # fmt: skip
    made.add_argument("file", metavar="FILE", help="C text")
    _abi(made, both)
    _json(made)

    made = command(some, "compare", commands.compare,
        "judge a change to structs: old and new reader and writer, on every ABI",
        "  kvmviz compare old.h new.h\n"
        "  kvmviz compare old.h new.h --struct kvm_debug_exit_arch --abi arm64 --strict\n"
        "  git show main:uapi.h | kvmviz compare - uapi.h --json\n")  # fmt: skip
    _old_new(made)
    _abi(made, "all of them")
    _json(made)
    made.add_argument(
        "--markdown", action="store_true", help="the report for a page that is Markdown, fenced"
    )
    made.add_argument("--strict", action="store_true", help="exit with 1 for warnings too")

    made = command(some, "decode", commands.decode,
        "a dump by member: its bytes, the bits that they hold, the value",
        "  kvmviz decode 3456789a00000000 --struct s --header s.h --abi s390x\n"
        "  xxd run.bin | kvmviz decode - --offset 32 --struct kvm_debug_exit_arch\n")  # fmt: skip
    made.add_argument(
        "dump", metavar="FILE|HEX",
        help="a binary file, or the text of xxd, hexdump -C or plain hex digits, or the digits",
    )  # fmt: skip
    made.add_argument(
        "--header", metavar="FILE",
        help=f"C text that defines the struct; without it: {', '.join(KNOWN)}",
    )  # fmt: skip
    made.add_argument(
        "--offset", metavar="N", type=number, default=0,
        help="where the struct starts in the dump, in bytes (0x20 is fine)",
    )  # fmt: skip
    made.add_argument(
        "--raw", action="store_true",
        help="the file's bytes are the dump, even if they are printable",
    )  # fmt: skip
    _abi(made, both)
    _json(made, "; a value that is infinite or not a number is null")

    figures = some.add_parser(
        "figure", help="byte map or comparison as SVG, PNG or PDF",
        description="A byte map, or a comparison, as SVG, PNG or PDF.",
    ).add_subparsers(dest="figure", metavar="KIND", required=True)  # fmt: skip
    made = command(figures, "layout", commands.figure_layout,
        "the bytes of a struct on some ABIs, side by side",
        "  kvmviz figure layout kvm.h --struct kvm_debug_exit_arch -o layout.svg\n")  # fmt: skip
    made.add_argument("file", metavar="FILE", help="C text")
    _picture(made, both)
    made = command(figures, "compare", commands.figure_compare,
        "a struct before and after a change, byte under byte",
        "  kvmviz figure compare old.h new.h --abi arm64 -o change.png\n")  # fmt: skip
    _old_new(made)
    _picture(made, both)
    return top


def _old_new(made: argparse.ArgumentParser) -> None:
    made.add_argument("old", metavar="OLD", help="C text before the change")
    made.add_argument("new", metavar="NEW", help="C text after it")


def _abi(made: argparse.ArgumentParser, default: str) -> None:
    made.add_argument("--abi", metavar="A", action="append",
                      help=f"an ABI; give it again for more; default: {default}")  # fmt: skip


def _json(made: argparse.ArgumentParser, more: str = "") -> None:
    words = f"print JSON; its keys stay as they are{more}"
    made.add_argument("--json", action="store_true", help=words)


def _picture(made: argparse.ArgumentParser, default: str) -> None:
    _abi(made, default)
    made.add_argument("-o", "--output", metavar="FILE", required=True,
                      help="where to write it; .svg, .png or .pdf says the format")  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A terminal of another encoding gets escapes, not an exception.
            stream.reconfigure(errors="backslashreplace")
    args = parser().parse_args(arguments)
    try:
        status: int = args.run(args)
        sys.stdout.flush()
    except KvmvizError as error:
        return _failed(str(error))
    except BrokenPipeError:
        # Python flushes once more at exit, and must not find the closed pipe then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        return _failed(f"{name}{error.strerror or error}")
    except KeyboardInterrupt:
        return INTERRUPTED
    return status


def _failed(words: str) -> int:
    print(f"kvmviz: error: {' '.join(words.split())}", file=sys.stderr)
    return commands.UNUSABLE


if __name__ == "__main__":
    sys.exit(main())

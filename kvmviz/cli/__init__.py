"""The command line, and how it ends, whatever happens."""

from __future__ import annotations

import os
import sys
import traceback
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from contextlib import suppress
from inspect import getdoc
from textwrap import fill, indent
from typing import IO, Any, NoReturn

import kvmviz
from kvmviz._base import KvmvizError
from kvmviz.abi import ABIS
from kvmviz.cli import commands
from kvmviz.cli.commands import FINE, UNUSABLE
from kvmviz.text import plain

PIPE_CLOSED = 141
"""The exit status of a program that SIGPIPE ended: 128 + 13."""

LONGEST = 4000
"""Characters of an error that are shown: names and words in it may be of any length."""

STATUS = """\
exit status:
  0  fine
  1  compare: a member that both have is not intact for an old reader of a new
     writer or the reverse, size or alignment changes, the struct is gone, on any
     of the ABIs, or a constant is gone or has another value; with --strict, also
     if there is a warning
  2  unusable input or usage, one line on standard error
"""

ABI_NAMES = fill(
    f"ABIs: {', '.join(ABIS)}; arm64 for both byte orders of aarch64, all for all of them",
    76, subsequent_indent="  ",
)  # fmt: skip

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
    status = FINE
    try:
        with suppress(SystemExit):  # --help and --version are printed
            args = _parser().parse_args(arguments)
            args.recorded = []  # what was read that is BTF
            status = args.run(args)
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


def _parser() -> Parser:
    """All commands and options."""
    top = Parser(
        prog="kvmviz",
        description="What C structs look like in memory on many ABIs, and what a change does.",
        formatter_class=RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"kvmviz {kvmviz.__version__}")
    some = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    figure = some.add_parser("figure", help="Byte map or comparison as SVG, PNG or PDF.")
    kinds = figure.add_subparsers(dest="figure", metavar="KIND", required=True)
    firsts = []
    for command, (runs, options) in commands.COMMANDS.items():
        words, _, examples = (getdoc(runs) or "").rpartition("\n\n")
        firsts.append(examples.partition("\n")[0])
        epilog = f"examples:\n{indent(examples, '  ')}\n"
        *group, name = command.split()
        made = (kinds if group else some).add_parser(
            name,
            help=words.partition("\n")[0],
            description=words,
            epilog=f"{epilog}\n{STATUS}\n{ABI_NAMES}" if commands.SHARED[0] in options else epilog,
            formatter_class=RawDescriptionHelpFormatter,
        )
        made.set_defaults(run=runs)
        for names, more in options:
            made.add_argument(*names, **more)
    shown = indent("\n".join(firsts), "  ")
    top.epilog = f"examples:\n{shown}\n\n{STATUS}\n{ABI_NAMES}\n\nA FILE of - is standard input."
    return top

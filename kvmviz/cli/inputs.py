"""What the command line is given: C text, headers, dumps. Every error names the file."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import kvmviz
from kvmviz._base import KvmvizError, find
from kvmviz.abi import ABIS, Abi, siblings
from kvmviz.c.parse import place
from kvmviz.cli import dump as dumps
from kvmviz.ctype import Conditional, Struct
from kvmviz.kvm import kernel as kvm

T = TypeVar("T")

MAX_TEXT = 1 << 24
"""The longest C text that is read: 16 MiB."""

KNOWN: Mapping[str, Struct] = MappingProxyType(
    {
        "kvm_debug_exit_arch": kvm.MERGED,
        "kvm_debug_exit_arch.old": kvm.OLD,
        "kvm_debug_exit_arch.widened": kvm.WIDENED,
        "mmio": kvm.MMIO,
    }
)
"""The structs of :mod:`kvmviz.kvm.kernel`, by the name that ``--struct`` takes without a header."""

_HEADERS = re.compile(r"it may be in (?P<names><[^>]+>(?:, <[^>]+>)*)(?P<more>[^;:]*)[;:] give .*")
"""Which headers may define a name; what follows is advice to a caller from Python."""


def located(path: str, error: KvmvizError) -> KvmvizError:
    """The same error with the file in front: ``FILE:LINE:COL: ...`` where it has a position."""
    name, words = title(path), advised(str(error))
    if at := place(words):
        return KvmvizError(f"{name}:{at[0]}:{at[1]}: {words.partition(': ')[2]}")
    return KvmvizError(f"{name}: {words}")


def title(path: str) -> str:
    """What a file is called in a message."""
    return "<stdin>" if path == "-" else path


def advised(message: str) -> str:
    """A message about a header that is not there, with the option that gives one."""
    match = _HEADERS.search(message)
    if match is None:
        return message
    names = match["names"][1:-1].split(">, <")
    options = " or ".join(f"--include {name}=FILE" for name in names)
    return f"{message[: match.end('more')]}; give {options}{message[match.end() :]}"


def data(path: str, limit: int) -> bytes:
    """All bytes of a file, or of standard input for ``-``; never more than ``limit``."""
    try:
        if path == "-" and sys.stdin is None:
            raise ValueError("standard input is closed")
        if path == "-":
            found = sys.stdin.buffer.read(limit + 1)
        else:
            with Path(path).open("rb") as stream:
                found = stream.read(limit + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise located(path, KvmvizError(f"{reason}")) from None
    if len(found) > limit:
        raise located(path, KvmvizError(f"more than {limit >> 20} MiB"))
    return found


def text(path: str) -> str:
    """A file's text, which must be UTF-8."""
    raw = data(path, MAX_TEXT)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        raise located(
            path,
            KvmvizError(
                f"line {line}, column {column}: byte {raw[error.start]:#04x} is not UTF-8; "
                "C text is wanted"
            ),
        ) from None


def structs(path: str, include: Sequence[str] = ()) -> dict[str, Struct]:
    """The structs that a file of C text defines; ``include`` are headers that it may name."""
    given = headers(include)
    source = text(path)
    try:
        found = kvmviz.parse(source, given or None)
    except KvmvizError as error:
        raise located(path, error) from None
    return {name: _advised(struct) for name, struct in found.items()}


def _advised(struct: Struct) -> Struct:
    """A struct whose errors, on ABIs where the text cannot be read, name the option too."""
    if not isinstance(struct, Conditional):
        return struct
    errors = {abi: advised(message) for abi, message in struct.errors.items()}
    return Conditional(struct.tag, struct.variants, errors)


def headers(include: Sequence[str]) -> Mapping[str, str]:
    """The text of headers by the names under which ``#include`` may ask for them.

    ``NAME=FILE`` gives one name; a FILE alone goes by its path as given, and by its last part.
    Raises :class:`KvmvizError` for a name or a file that is empty.
    """
    found: dict[str, str] = {}
    for row in include:
        name, equals, path = row.partition("=")
        if not name or (equals and not path):
            raise KvmvizError(f"--include {row!r}: give NAME=FILE or FILE")
        if equals:
            found[name] = text(path)
        else:
            found[row] = found[Path(row).name] = text(row)
    return found


def named(found: Mapping[str, Struct], name: str) -> dict[str, Struct]:
    """The struct of that name, nothing if there is none.

    Raises :class:`KvmvizError` where ``struct`` or ``union`` stands before it and it is the other.
    """
    word, plain = _parts(name)
    struct = found.get(plain)
    if struct is None:
        return {}
    kind = "union" if struct.union else "struct"
    if word not in ("", kind):
        raise KvmvizError(f"{plain!r} is a {kind}, not {word!r}")
    return {plain: struct}


def _parts(name: str) -> tuple[str, str]:
    """A name, and what stands before it: ``struct``, ``union`` or nothing."""
    *words, plain = name.split() or [""]
    return " ".join(words), plain


def pick(found: Mapping[str, Struct], name: str | None, path: str) -> dict[str, Struct]:
    """The struct of that name, or all; :class:`KvmvizError` with the names if there is none."""
    if name is None:
        return dict(found)
    if picked := named(found, name):
        return picked
    raise KvmvizError(
        f"{title(path)}: no struct {_parts(name)[1]!r}; there are "
        f"{', '.join(found)}; one with a tag goes by its tag, not by a typedef"
    )


def only(found: Mapping[str, T], path: str) -> T:
    """The one struct; :class:`KvmvizError` with the names where there are more."""
    if len(found) > 1:
        raise KvmvizError(
            f"{title(path)}: more than one struct, say which: --struct, out of {', '.join(found)}"
        )
    return next(iter(found.values()))


_ABIS: Mapping[str, tuple[Abi, ...]] = MappingProxyType(
    {row.family: tuple(siblings(row).values()) for row in ABIS.values()}
    # "arm" names one ABI and a family of two: the ABI it is.
    | {name: (row,) for name, row in ABIS.items()}
    | {"all": tuple(ABIS.values())}
)


def abis(names: Sequence[str] | None, default: Sequence[str]) -> tuple[Abi, ...]:
    """ABIs by name, by family (``arm64`` is both byte orders), or ``all``; in order, once each."""
    rows = (row for name in names or default for row in find(_ABIS, name, "ABI"))
    return tuple(dict.fromkeys(rows))


def dump(source: str, raw: bool = False) -> bytes:
    """Bytes of a file (binary, or hex digits), of ``-``, or of hex digits given as they are.

    Printable text is taken for hex, unless ``raw`` says that it is the bytes themselves.
    """
    # Path.exists raises for a name that is too long, as hex may be.
    if source != "-" and not os.path.exists(source):  # noqa: PTH110
        try:
            return dumps.read(source)
        except KvmvizError as error:
            raise KvmvizError(f"{source[:40]!r}: no such file, and as hex: {error}") from None
    held = data(source, dumps.MAX_BYTES)
    if raw or not dumps.is_text(held):
        return held
    try:
        return dumps.read(held.decode("ascii"))
    except KvmvizError as error:
        found = located(source, error)
        raise KvmvizError(f"{found} (for the file's bytes as they are: --raw)") from None


def refuse_output(output: str, read: Sequence[str]) -> None:
    """Raises :class:`KvmvizError` where the output is one of the files that were read.

    By whatever spelling or link; ``-`` is the file that standard input comes from, if any.
    """
    try:
        there = os.stat(output)  # noqa: PTH116
    except (OSError, ValueError):
        return
    for path in read:
        try:
            found = os.fstat(sys.stdin.fileno()) if path == "-" else os.stat(path)  # noqa: PTH116
        except (OSError, ValueError):
            continue
        if os.path.samestat(found, there):
            raise KvmvizError(f"{output} is the input {title(path)}; give another file for -o")

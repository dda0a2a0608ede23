"""What the command line is given: C text, headers, dumps. Every error names the file."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import kvmviz
from kvmviz import kvm
from kvmviz._base import KvmvizError
from kvmviz.abi import ABIS, Abi
from kvmviz.cli import hexdump
from kvmviz.ctype import Struct

MAX_TEXT = 1 << 24
"""The longest C text that is read: 16 MiB."""

KNOWN: Mapping[str, Struct] = MappingProxyType(
    {
        "kvm_debug_exit_arch": kvm.WITH_HIGH,
        "kvm_debug_exit_arch.old": kvm.OLD,
        "kvm_debug_exit_arch.widened": kvm.WIDENED,
        "mmio": kvm.MMIO,
    }
)
"""The structs of :mod:`kvmviz.kvm`, by the name that ``--struct`` takes without a header."""

_AT = re.compile(r"line (\d+), column (\d+): (.*)", re.DOTALL)


def located(path: str, error: KvmvizError) -> KvmvizError:
    """The same error with the file in front: ``FILE:LINE:COL: ...`` where it has a position."""
    name = "<stdin>" if path == "-" else path
    match = _AT.fullmatch(str(error))
    place = f"{name}:{match[1]}:{match[2]}: {match[3]}" if match else f"{name}: {error}"
    return KvmvizError(place)


def data(path: str, limit: int) -> bytes:
    """All bytes of a file, or of standard input for ``-``; never more than ``limit``."""
    try:
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
    given: dict[str, Any] = {"headers": headers(include)} if include else {}
    source = text(path)
    try:
        return kvmviz.parse(source, **given)
    except KvmvizError as error:
        raise located(path, error) from None


def headers(include: Sequence[str]) -> Mapping[str, str]:
    """The text of headers by the names under which ``#include`` may ask for them.

    ``NAME=FILE`` gives one name; a FILE alone goes by its path as given, and by its last part.
    """
    found: dict[str, str] = {}
    for row in include:
        name, equals, path = row.partition("=")
        if equals:
            found[name] = text(path)
        else:
            found[row] = found[Path(row).name] = text(row)
    return found


def pick(found: Mapping[str, Struct], name: str | None, path: str) -> dict[str, Struct]:
    """The struct of that name, or all; :class:`KvmvizError` with the names if there is none."""
    if name is None:
        return dict(found)
    plain = re.sub(r"^(struct|union)\s+", "", name)
    if plain not in found:
        where = "<stdin>" if path == "-" else path
        raise KvmvizError(f"{where}: no struct {plain!r}; there are {', '.join(found)}")
    return {plain: found[plain]}


def only(found: Mapping[str, Struct], path: str) -> Struct:
    """The one struct; :class:`KvmvizError` with the names where there are more."""
    if len(found) > 1:
        names = ", ".join(found)
        raise KvmvizError(f"{path}: more than one struct, say which: --struct, out of {names}")
    return next(iter(found.values()))


def abis(names: Sequence[str] | None, default: Sequence[str]) -> tuple[Abi, ...]:
    """ABIs by name, by family (``arm64`` is both byte orders), or ``all``; in order, once each."""
    found: dict[Abi, None] = {}
    for name in names or default:
        rows = [a for a in ABIS.values() if name in (a.name, a.family, "all")]
        # "arm" names one ABI and a family of two: the ABI it is.
        rows = [a for a in rows if a.name == name] or rows
        if not rows:
            raise KvmvizError(
                f"unknown ABI {name!r}; known are {', '.join(ABIS)}; arm64 for both byte orders "
                "of aarch64, all for all"
            )
        found |= dict.fromkeys(rows)
    return tuple(found)


def dump(source: str, raw: bool = False) -> bytes:
    """Bytes of a file (binary, or a hex dump), of ``-``, or of hex digits given as they are.

    Printable text is taken for hex, unless ``raw`` says that it is the bytes themselves.
    """
    # Path.exists raises for a name that is too long, as hex may be.
    if source != "-" and not os.path.exists(source):  # noqa: PTH110
        try:
            return hexdump.read(source)
        except KvmvizError as error:
            raise KvmvizError(f"{source[:40]!r}: no such file, and as hex: {error}") from None
    held = data(source, hexdump.MAX_BYTES)
    if raw or not hexdump.is_text(held):
        return held
    try:
        return hexdump.read(held.decode("ascii"))
    except KvmvizError as error:
        found = located(source, error)
        raise KvmvizError(f"{found} (for the file's bytes as they are: --raw)") from None

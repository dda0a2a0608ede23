"""What the command line is given: C text, headers, dumps. Every error names the file."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import kvmviz
from kvmviz._base import KvmvizError, find
from kvmviz.abi import ABIS, Abi, siblings
from kvmviz.c.parse import constants, place
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


def located(path: str, error: KvmvizError) -> KvmvizError:
    """The same error with the file in front: ``FILE:LINE:COL: ...`` where it has a position."""
    name, words = title(path), str(error)
    if at := place(words):
        return KvmvizError(f"{name}:{at[0]}:{at[1]}: {words.partition(': ')[2]}")
    return KvmvizError(f"{name}: {words}")


def title(path: str) -> str:
    """What a file is called in a message."""
    return "<stdin>" if path == "-" else path


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
    """A file's text. What is not UTF-8 may stand in comments, where nobody reads it."""
    return data(path, MAX_TEXT).removeprefix(codecs.BOM_UTF8).decode(errors="surrogateescape")


class Headers(Mapping[str, str]):
    """Texts by the names under which ``#include`` may ask for them.

    ``include`` names files: ``NAME=FILE``, or a FILE alone, which goes by its path as given and
    by its last part. Other names are looked for inside of ``folders`` when they are asked for, in
    the first first. ``read`` are the files that were opened. Raises :class:`KvmvizError` for a
    name or a file that is empty, and for one name given twice.
    """

    def __init__(self, include: Sequence[str], folders: Sequence[str] = ()) -> None:
        self.read: list[str] = []
        files: dict[str, str] = {}
        for row in include:
            name, equals, path = row.partition("=")
            if not name or (equals and not path):
                raise KvmvizError(f"--include {row!r}: give NAME=FILE or FILE")
            for key in (name,) if equals else dict.fromkeys((row, Path(row).name)):
                if key in files:
                    raise KvmvizError(
                        f"--include {key}: two files for one name, {files[key]} and {path or row}; "
                        "the sides of a comparison have --old-include and --new-include"
                    )
                files[key] = path or row
        self._texts = {name: self._text(path) for name, path in files.items()}
        self._folders = [(folder, os.path.realpath(folder)) for folder in folders]
        for folder, root in self._folders:
            if not os.path.isdir(root):  # noqa: PTH112
                raise KvmvizError(f"{folder}: no such directory")

    def _find(self, name: str) -> str | None:
        for folder, root in self._folders:
            path = os.path.normpath(os.path.join(root, name))  # noqa: PTH118
            if not path.startswith(os.path.join(root, "")):  # noqa: PTH118
                continue
            there = os.path.realpath(path)
            if not there.startswith(os.path.join(root, "")):  # noqa: PTH118
                raise KvmvizError(f"{folder}: {name} is a link that leads out of the directory")
            if os.path.isfile(there):  # noqa: PTH113
                return there
        return None

    def __contains__(self, name: object) -> bool:
        return name in self._texts or (isinstance(name, str) and self._find(name) is not None)

    def __getitem__(self, name: str) -> str:
        if name not in self._texts:
            path = self._find(name)
            if path is None:
                raise KeyError(name)
            self._texts[name] = self._text(path)
        return self._texts[name]

    def _text(self, path: str) -> str:
        self.read.append(path)
        return text(path)

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)


Defines = Mapping[str, str | None]


NOTHING = "line 1, column 1: the text defines no struct and no union"


@dataclass(frozen=True)
class Header:
    """A file of C text: what it defines, and what of it cannot be read."""

    path: str
    text: str
    headers: Headers
    defines: Defines
    structs: Mapping[str, Struct]
    notes: Sequence[str] = ()

    @cached_property
    def constants(self) -> dict[str, int | None]:
        """Its enumerators, and macros that stand for an integer."""
        return constants(self.text, self.headers, self.defines)


def header(path: str, headers: Headers, defines: Defines, may_be_empty: bool = False) -> Header:
    """A file of C text, read with the headers that it may include."""
    source, notes = text(path), list[str]()
    found: dict[str, Struct] = {}
    try:
        found = kvmviz.parse(source, headers, defines)
        notes = [str(located(path, KvmvizError(one))) for one in getattr(found, "notes", ())]
    except KvmvizError as error:
        if not may_be_empty or str(error) != NOTHING:
            raise located(path, error) from None
    return Header(path, source, headers, defines, found, notes)


def is_known(struct: Struct) -> bool:
    """Whether the text says what the struct is, on some ABI at least."""
    return not isinstance(struct, Conditional) or struct.is_known


def both_known(old: Header, new: Header) -> tuple[dict[str, Struct], dict[str, Struct]]:
    """The structs of both sides, but for those that neither can read.

    Raises :class:`KvmvizError` for one that one side can read, or lacks, and the other cannot.
    """
    sides = [{n: s for n, s in side.structs.items() if is_known(s)} for side in (old, new)]
    for side, known, other in ((old, sides[0], new), (new, sides[1], old)):
        for name in side.structs:
            if name not in known and (name not in other.structs or is_known(other.structs[name])):
                try:
                    side.structs[name].on(next(iter(ABIS)))
                except KvmvizError as error:
                    raise located(side.path, error) from None
    return sides[0], sides[1]


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
    """What stands before a name, ``struct``, ``union`` or nothing, and the name.

    Which of several of that name is meant, ``name#7``, concerns BTF alone.
    """
    *words, plain = name.partition("#")[0].split() or [""]
    return " ".join(words), plain


def pick(found: Mapping[str, Struct], name: str | None, path: str) -> dict[str, Struct]:
    """The struct of that name, or all; :class:`KvmvizError` with names like it if there is none."""
    if name is None:
        return dict(found)
    if picked := named(found, name):
        return picked
    plain = _parts(name)[1]
    near = get_close_matches(plain, found, 3, 0) if len(found) > 3 else list(found)
    words = "there are" if len(found) <= 3 else f"of {len(found)}, the nearest are"
    raise KvmvizError(
        f"{title(path)}: no struct {plain!r}; {words} {', '.join(near)}; one with a tag goes by "
        "its tag, not by a typedef"
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

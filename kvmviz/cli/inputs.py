"""What the command line is given: C text, headers, dumps. Every error names the file."""

from __future__ import annotations

import codecs
import mmap
import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

from kvmviz._base import KvmvizError, find
from kvmviz.abi import ABIS, Abi, siblings
from kvmviz.btf import ELF, MAGICS, Btf, Record
from kvmviz.c.parse import Structs, place
from kvmviz.cli import dump as dumps
from kvmviz.ctype import Struct
from kvmviz.kvm import kernel as kvm

T = TypeVar("T")

MAX_TEXT = 1 << 24
"""The longest C text that is read: 16 MiB."""

KERNEL = Path("/sys/kernel/btf")
"""Where Linux shows its types and those of its modules."""

MAX_BTF = 1 << 28
"""The longest raw BTF that is read: 256 MiB."""

_MACHINES = {
    **dict.fromkeys(("i486", "i586", "i686"), "i386"), "armv7l": "arm", "armv8l": "arm",
    "ppc": "ppc32",
}  # fmt: skip
"""What ABIs are called here, for the machines that Linux calls otherwise."""

KNOWN: Mapping[str, Struct] = {
    "kvm_debug_exit_arch": kvm.MERGED, "kvm_debug_exit_arch.old": kvm.OLD,
    "kvm_debug_exit_arch.widened": kvm.WIDENED, "mmio": kvm.MMIO,
}  # fmt: skip
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
    the first first. Raises :class:`KvmvizError` for a name or a file that is empty, and for one
    name given twice.
    """

    def __init__(self, include: Sequence[str], folders: Sequence[str] = ()) -> None:
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
        self._texts = {name: text(path) for name, path in files.items()}
        self._folders = [(folder, os.path.realpath(folder)) for folder in folders]
        for folder, root in self._folders:
            if not os.path.isdir(root):  # noqa: PTH112
                raise KvmvizError(f"{folder}: no such directory")

    def find(self, name: str) -> str | None:
        """The file of that name in the first folder that has one; no link leads out of it."""
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

    def __getitem__(self, name: str) -> str:
        if name not in self._texts:
            path = self.find(name)
            if path is None:
                raise KeyError(name)
            self._texts[name] = text(path)
        return self._texts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)


def pairs(old: str, new: str) -> list[tuple[str, str]]:
    """The files to compare; of two directories the headers in them, by their path there.

    One that a side lacks is as good as empty.
    """
    if not (os.path.isdir(old) and os.path.isdir(new)):  # noqa: PTH112
        return [(old, new)]
    folders = (Path(old), Path(new))
    paths = {path.relative_to(side).as_posix() for side in folders for path in side.rglob("*.h")}
    sides = Headers((), [old]), Headers((), [new])
    return [
        (sides[0].find(path) or os.devnull, sides[1].find(path) or os.devnull)
        for path in sorted(paths)
    ]


def check_defined(path: str, mine: Structs, other: Structs) -> None:
    """Raises :class:`KvmvizError` for a struct that cannot be read, unless neither side can."""
    for name, struct in mine.items():
        if not struct.is_known and (name not in other or other[name].is_known):
            try:
                struct.on(next(iter(ABIS)))
            except KvmvizError as error:
                raise located(path, error) from None


def named(found: Mapping[str, Struct], name: str) -> dict[str, Struct]:
    """The struct of that name, nothing if there is none.

    Raises :class:`KvmvizError` where ``struct`` or ``union`` stands before it and it is the other.
    """
    *words, plain = _words(name)
    if plain not in found:
        return {}
    kind = "union" if found[plain].union else "struct"
    if words not in ([], [kind]):
        raise KvmvizError(f"{plain!r} is a {kind}, not {' '.join(words)!r}")
    return {plain: found[plain]}


def _words(name: str) -> list[str]:
    """A name with ``struct`` or ``union`` before it; ``name#7``, one of several, is BTF's alone."""
    return name.partition("#")[0].split() or [""]


def pick(found: Mapping[str, Struct], name: str | None, path: str) -> Mapping[str, Struct]:
    """The struct of that name, or all; :class:`KvmvizError` with names like it if there is none."""
    picked = found if name is None else named(found, name)
    if picked or name is None:
        return picked
    plain, few = _words(name)[-1], len(found) < 4
    near = list(found) if few else get_close_matches(plain, found, 3, 0)
    words = "there are" if few else f"of {len(found)}, the nearest are"
    raise KvmvizError(
        f"{title(path)}: no struct {plain!r}; {words} {', '.join(near)}; one with a tag goes by "
        "its tag, not by a typedef"
    )


def only(found: Mapping[str, T], path: str) -> T:
    """The one struct; :class:`KvmvizError` with the names where there are more."""
    if len(found) > 1:
        told = f"say which: --struct, out of {', '.join(found)}"
        raise KvmvizError(f"{title(path)}: more than one struct, {told}")
    return next(iter(found.values()))


_ABIS: Mapping[str, tuple[Abi, ...]] = {
    **{row.family: tuple(siblings(row).values()) for row in ABIS.values()},
    # "arm" names one ABI and a family of two: the ABI it is.
    **{name: (row,) for name, row in ABIS.items()},
    "all": tuple(ABIS.values()),
}


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


# --- a kernel's own types ------------------------------------------------------------------------


def recorded(path: str, name: str | None, asked: Sequence[Abi]) -> Record | None:
    """The struct of that name, if the file is BTF or ELF; None of other files.

    It is that of the first ABI asked that the types can be of; without any, of the ABI that the
    file says, or of this machine for what its kernel shows. Raises :class:`KvmvizError` with the
    file's name.
    """
    if (held := _btf(path)) is None:
        return None
    try:
        types = _types(Path(path), held, asked)
        if name is None:
            count = len(set(types.names))
            raise KvmvizError(f"{count} structs of BTF have a name; say which: --struct")
        return types.record("".join(name.split()[-1:]))
    except KvmvizError as error:
        raise located(path, error) from None


def _btf(path: str) -> bytes | mmap.mmap | None:
    """What a file of BTF holds; None of another, and of what can be read only once."""
    try:
        if not os.path.isfile(path):  # noqa: PTH113
            return None
        with Path(path).open("rb") as stream:
            head = stream.read(4)
            if head == ELF:  # a kernel with its DWARF has hundreds of MiB
                return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError):
        return None  # whoever reads it as C text says why
    return data(path, MAX_BTF) if head[:2] in MAGICS else None


def _types(path: Path, held: bytes | mmap.mmap, asked: Sequence[Abi]) -> Btf:
    base, known = b"", list[Abi | None](asked)
    if path.parent == KERNEL:
        machine = platform.machine()
        known = known or [ABIS.find(_MACHINES.get(machine, machine))]
        if path.name != "vmlinux":
            base = data(f"{KERNEL / 'vmlinux'}", MAX_BTF)
    *others, last = known or [None]
    for abi in others:
        with suppress(KvmvizError):
            return Btf(held, abi, base)
    return Btf(held, last, base)

"""Linux's own headers: the machine's, and those of every architecture that ziglang brings along.

``asm/`` differs by architecture, and so do a C library's ``bits/``: each name there becomes a
header that chooses by the compiler's macros, as a reader of all ABIs has to.
"""

from __future__ import annotations

import functools
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from kvmviz import KvmvizError, Struct, parse
from kvmviz.layout import Layout
from tests import compilers

MACHINE = Path("/usr/include")
FLAGS = ("-std=gnu11", "-w", "-g0", "-fno-common", "-c")
"""For whole headers: with the compiler's own C library, and no word about style."""
FOLDERS = ("linux", "asm-generic")
BESIDE = ("drm", "rdma", "video", "mtd", "misc", "scsi", "sound", "xen")
ARCHITECTURES: Mapping[str, str] = {
    "x86": "defined(__x86_64__) || defined(__i386__)",
    "aarch64": "defined(__aarch64__)",
    "arm": "defined(__arm__)",
    "powerpc": "defined(__powerpc__)",
    "s390x": "defined(__s390x__)",
    "m68k": "defined(__m68k__)",
    "mips": "defined(__mips__)",
    "riscv": "defined(__riscv)",
}
LIBC: Mapping[str, str] = {
    "x86_64": "defined(__x86_64__)",
    "i386": "defined(__i386__)",
    "aarch64": "defined(__aarch64__)",
    "arm": "defined(__arm__)",
    "powerpc": "defined(__powerpc__) && !defined(__powerpc64__)",
    "powerpc64": "defined(__powerpc64__)",
    "s390x": "defined(__s390x__)",
    "m68k": "defined(__m68k__)",
    "mips": "defined(__mips__)",
    "riscv64": "defined(__riscv)",
}


def bundle() -> Path | None:
    """Where ziglang keeps the headers of every architecture."""
    found = find_spec("ziglang")
    folder = found and found.submodule_search_locations
    path = Path(folder[0], "lib/libc/include") if folder else None
    return path if path and path.is_dir() else None


def is_installed() -> bool:
    """Whether the machine has Linux's headers."""
    return (MACHINE / "linux/types.h").is_file()


def texts(root: Path, prefix: str = "") -> dict[str, str]:
    """Every header below a folder, by what an ``#include`` calls it."""
    return {
        prefix + path.relative_to(root).as_posix(): path.read_text("utf-8", "replace")
        for path in sorted(root.rglob("*.h"))
    }


@functools.cache
def headers(machine: bool) -> dict[str, str]:
    """What ``parse`` gets: Linux's headers (the machine's or ziglang's), asm/ and a C library."""
    found: dict[str, str] = {}
    zig = bundle()
    if zig:
        found |= texts(zig / "generic-musl")
        found |= _chosen(zig, "-linux-musl", LIBC, "bits/")
        found |= texts(zig / "any-linux-any")
        found |= _chosen(zig, "-linux-any", ARCHITECTURES, "asm/")
    if machine:
        found = {name: text for name, text in found.items() if not name.startswith(FOLDERS)}
        for folder in (*FOLDERS, *BESIDE):
            found |= texts(MACHINE / folder, f"{folder}/")
        # Debian keeps what is an architecture's in a folder of its own.
        found |= texts(MACHINE / "x86_64-linux-gnu/asm", "of-x86/asm/")
    return found


def _chosen(zig: Path, suffix: str, rows: Mapping[str, str], folder: str) -> dict[str, str]:
    """Headers of one folder, each of which includes that of the architecture."""
    found: dict[str, str] = {}
    lines: dict[str, list[str]] = {}
    for name, condition in rows.items():
        for path, text in texts(zig / f"{name}{suffix}").items():
            if path.startswith(folder):
                found[f"of-{name}/{path}"] = text
                lines.setdefault(path, []).append(f"if {condition}\n#include <of-{name}/{path}>\n")
    for path, choices in lines.items():
        plain = zig / ("generic-musl" if folder == "bits/" else "any-linux-any") / path
        last = ""
        if plain.is_file():
            found[f"of-any/{path}"] = plain.read_text("utf-8", "replace")
            last = f"#else\n#include <of-any/{path}>\n"
        found[path] = "#" + "#el".join(choices) + last + "#endif\n"
    return found


def names(machine: bool) -> list[str]:
    """The headers to be read: what the kernel gives to programs."""
    prefixes = tuple(f"{folder}/" for folder in FOLDERS)
    return sorted(name for name in headers(machine) if name.startswith(prefixes))


@dataclass(frozen=True)
class Told:
    """What came of one header: ``refused`` says why it was not parsed, ``wrong`` what differs.

    ``broken`` names the ABIs on which the compiler cannot read it either; ``exact`` counts the
    layouts, a struct on an ABI, that were found equal, ``left`` those that are refused.
    """

    name: str
    structs: int = 0
    exact: int = 0
    left: int = 0
    refused: str = ""
    wrong: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()


def told(
    name: str, machine: bool, abis: Sequence[str], folder: Path, *, is_alone: bool = False
) -> Told:
    """One header, as kvmviz lays it out and as compilers do; ``folder`` is the machine's tree.

    ``is_alone``: kvmviz gets none of the headers that this one includes, compilers get all.
    """
    given = headers(machine)
    try:
        found, refused = parse(given[name], None if is_alone else given), ""
    except KvmvizError as error:
        found, refused = {}, f"{error}"
    exact, left, wrong, broken = 0, 0, list[str](), list[str]()
    missed: dict[str, str] = {}
    for abi in abis:
        flags = (*FLAGS, *(("-I", str(folder / abi)) if machine else ()))
        layouts: dict[str, Layout] = {}
        for tag, struct in found.items():
            try:
                layouts[tag] = struct.layout(abi)
            except KvmvizError as error:
                left += 1
                missed[abi] = "" if "is not defined on" in f"{error}" else f"{error}"
        questions = [
            (_c_name(given[name], tag, row), list(designators(row.struct)))
            for tag, row in layouts.items()
        ]
        include = f"#include <{name}>\n"
        try:
            said = compilers.measure(abi, include, questions, flags)
        except compilers.CompileError as error:
            try:
                compilers.measure(abi, include, [], flags)
            except compilers.CompileError:
                broken.append(abi)
            else:
                lines = [line for line in f"{error}".splitlines() if "error:" in line]
                wrong.append(f"{abi}: {lines[:1]}")
            continue
        for (title, members), layout in zip(questions, layouts.values(), strict=True):
            offsets = {member: layout.offsets[member] for member in members}
            ours = compilers.Measured(layout.size, layout.align, offsets)
            exact += ours == said[title]
            if ours != said[title]:
                wrong.append(f"{abi}: {title}: {ours}, the compiler's {said[title]}")
    refused = refused or "".join(said for abi, said in missed.items() if said and abi not in broken)
    return Told(name, len(found), exact, left, refused, tuple(wrong), tuple(broken))


def _c_name(text: str, name: str, layout: Layout) -> str:
    """How C calls it: by tag, if the text has it with one."""
    word = "union" if layout.struct.union else "struct"
    tagged = rf"\b{word}\b[^;{{}}]*\b{name}\b[^;{{}}]*\{{|__struct_group\(\s*{name}\s*,"
    return f"{word} {name}" if re.search(tagged, text) else name


def designators(struct: Struct) -> Iterator[str]:
    """Members that offsetof takes: no bit-fields."""
    for member in struct.members:
        if member.name and member.bits is None:
            yield member.name
        elif member.name is None and isinstance(member.type, Struct):
            yield from designators(member.type)


def prove(
    machine: bool, abis: Sequence[str], every: int = 1, *, is_alone: bool = False
) -> tuple[list[Told], float]:
    """All headers, side by side with compilers; what came of each, and the seconds it took."""
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(os.cpu_count()) as pool:
        folder = Path(name)
        trees(folder, abis)
        chosen = names(machine)[::every]
        rows = pool.map(lambda one: told(one, machine, abis, folder, is_alone=is_alone), chosen)
        return list(rows), time.perf_counter() - begin


def trees(folder: Path, abis: Sequence[str]) -> None:
    """The machine's headers as a compiler for each ABI should see them."""
    for abi in abis:
        (folder / abi).mkdir()
        for one in (*FOLDERS, *BESIDE):
            if (MACHINE / one).is_dir():
                (folder / abi / one).symlink_to(MACHINE / one)
        if abi in ("x86_64", "i386"):
            (folder / abi / "asm").symlink_to(MACHINE / "x86_64-linux-gnu/asm")


def report_alone(machine: bool, abis: Sequence[str], every: int = 1) -> list[str]:
    """Each header with none of those that it includes: print the counts, and what differs."""
    rows, seconds = prove(machine, abis, every, is_alone=True)
    wrong = [f"{row.name}: {one}" for row in rows for one in row.wrong]
    exact, left = (sum(getattr(row, name) for row in rows) for name in ("exact", "left"))
    unread = sum(bool(row.refused) and not row.structs for row in rows)
    print(f"{len(rows)} headers alone, {len(abis)} ABIs ({', '.join(abis)}), {seconds:.0f} s:")
    print(f"  {exact} layouts exact, {left} refused, {len(wrong)} not the compiler's")
    print(f"  {unread} headers of which no struct is read, with a reason or because there is none")
    print(*wrong, sep="\n", end="\n" if wrong else "", flush=True)
    return wrong


def report(machine: bool, abis: Sequence[str], every: int = 1) -> list[str]:
    """Print the shares, and each header that is left out with its reason; what differs."""
    which = f"{MACHINE}/linux" if machine else "the headers that ziglang brings along"
    if machine and not is_installed():
        print(f"{which}: skipped, linux-libc-dev is not installed")
        return []
    rows, seconds = prove(machine, abis, every)
    empty = [row for row in rows if "defines no struct" in row.refused]
    alone = [row for row in rows if row not in empty and len(row.broken) == len(abis)]
    left = [row for row in rows if row not in empty and row not in alone]
    parsed = [row for row in left if not row.refused]
    wrong = [said for row in left for said in (f"{row.name}: {one}" for one in row.wrong)]
    exact = sum(row.exact for row in left)
    print(f"{which}, {len(abis)} ABIs ({', '.join(abis)}), {seconds:.0f} s:")
    print(f"  {len(rows)} headers; {len(empty)} define no struct")
    print(f"  {len(alone)} that no compiler reads alone:")
    for row in alone:
        print(f"    {row.name}{f': {row.refused}' if row.refused else ' (parsed)'}")
    print(f"  {len(parsed)} of {len(left)} parsed ({len(parsed) / max(1, len(left)):.1%})")
    for row in left:
        if row.refused:
            print(f"    {row.name}: {row.refused}")
    structs = sum(row.structs for row in parsed)
    share = exact / max(1, exact + len(wrong))
    print(f"  {structs} structs; {exact} layouts exact, {len(wrong)} not ({share:.2%})")
    print(*wrong, sep="\n", end="\n" if wrong else "", flush=True)
    return wrong

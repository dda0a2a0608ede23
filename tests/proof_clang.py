"""libclang as a second oracle: what its syntax tree says of records, in bits, with no compile.

It tells the place of bit-fields too, and of Linux's headers it is asked on every ABI but m68k,
which it lays out as something else without a word.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from clang import cindex

from kvmviz import KvmvizError, Struct, parse
from tests import proof_attributes, proof_texts, uapi
from tests.compilers import PRELUDE, ZIG_TARGETS, Question

FLAGS = ("-std=gnu11", "-ffreestanding", "-nostdinc", "-w", "-ferror-limit=0")
TRIPLES = {**ZIG_TARGETS, "i386": "i386-linux-musl"}
_FOLDERS: Mapping[str, tuple[str, str]] = {
    "aarch64": ("aarch64", "aarch64"),
    "aarch64_be": ("aarch64", "aarch64"),
    "x86_64": ("x86", "x86_64"),
    "i386": ("x86", "x86"),
    "arm": ("arm", "arm"),
    "armeb": ("arm", "arm"),
    "ppc64": ("powerpc", "powerpc64"),
    "ppc64le": ("powerpc", "powerpc64"),
    "ppc32": ("powerpc", "powerpc"),
    "s390x": ("s390x", "s390x"),
    "mips": ("mips", "mips"),
    "mipsel": ("mips", "mips"),
    "riscv64": ("riscv", "riscv64"),
}
"""What ziglang calls an ABI's folder of Linux's headers, and of a C library's."""


@dataclass(frozen=True)
class Record:
    """Size and alignment in bytes; members' places in bits, by name."""

    size: int
    align: int
    places: Mapping[str, int]


def records(
    abi: str, text: str, folders: Sequence[Path] = ()
) -> tuple[dict[str, Record], set[int]]:
    """Every record of a text by tag or typedef name, and the lines where errors are."""
    flags = [*FLAGS, "-target", TRIPLES[abi], *(f"-isystem{folder}" for folder in folders)]
    unit = cindex.Index.create().parse("oracle.c", flags, [("oracle.c", text)])
    errors = {
        said.location.line for said in unit.diagnostics if said.severity >= cindex.Diagnostic.Error
    }
    found: dict[str, Record] = {}
    records = (cindex.CursorKind.STRUCT_DECL, cindex.CursorKind.UNION_DECL)
    for cursor in unit.cursor.get_children():
        kind, name = cursor.type, cursor.spelling
        if cursor.kind == cindex.CursorKind.TYPEDEF_DECL:
            kind = kind.get_canonical()
            if kind.get_declaration().kind not in records or not _is_nameless(kind):
                continue
        elif cursor.kind not in records or not cursor.is_definition() or " " in name or not name:
            continue
        size = kind.get_size()
        if size >= 0:
            places = dict(_places(kind))
            found[name] = Record(size, cursor.type.get_align(), places)
    return found, errors


def _is_nameless(kind: cindex.Type) -> bool:
    declared = kind.get_declaration()
    return declared.is_anonymous() or not declared.spelling or "(" in declared.spelling


def _places(kind: cindex.Type) -> Iterator[tuple[str, int]]:
    for field in kind.get_fields():
        if field.spelling.startswith("__empty_"):
            # How __DECLARE_FLEX_ARRAY makes C accept an array: kvmviz leaves it out.
            continue
        if field.spelling and "(" not in field.spelling:
            yield field.spelling, field.get_field_offsetof()
        elif not field.is_bitfield():
            start = field.get_field_offsetof()
            for name, place in _places(field.type):
                yield name, start + place


def ours(struct: Struct, abi: str) -> Record:
    """The same as kvmviz says it."""
    layout = struct.layout(abi)
    return Record(layout.size, layout.align, {n: f.start for n, f in layout.named.items()})


def walk_texts(count: int) -> list[str]:
    """Texts of tests/proof_attributes.py, with the place of every bit-field."""
    bad: list[str] = []
    equal = 0
    with ProcessPoolExecutor(2) as pool:
        for start in range(0, count, proof_texts.BATCH):
            stop = min(start + proof_texts.BATCH, count)
            cases = [proof_attributes.case(n) for n in range(start, stop)]
            moot = proof_texts.disputed(proof_texts.answers_to(cases))
            cases = [case for n, case in enumerate(cases) if n not in moot]
            for same, wrong in pool.map(_texts, TRIPLES, [cases] * len(TRIPLES)):
                equal += same
                bad += wrong
    print(*bad[:8], sep="\n", end="\n" if bad else "")
    print(
        f"{count:,} attributes on {len(TRIPLES)} ABIs by libclang: {len(bad)} wrong; {equal:,} "
        "equal, the bits of all members among it",
        flush=True,
    )
    return bad


def _texts(abi: str, cases: Sequence[Question]) -> tuple[int, list[str]]:
    """How many are equal on an ABI, and what is not."""
    lines, owners = PRELUDE.splitlines(), [""] * PRELUDE.count("\n")
    for case in cases:
        rows = case.text.splitlines()
        lines += rows
        owners += [case.name] * len(rows)
    found, errors = records(abi, "\n".join([*lines, ""]))
    refused = {owners[line - 1] for line in errors}
    equal, bad = 0, list[str]()
    for case in cases:
        theirs = found.get(case.name.split()[-1])
        struct = proof_texts.parsed(case)
        if theirs is None or case.name in refused or isinstance(struct, str):
            continue
        try:
            mine = ours(struct, abi)
        except KvmvizError:
            continue
        equal += mine == theirs
        if mine != theirs:
            bad.append(f"{abi}: {case.text}\n    kvmviz {mine}; libclang {theirs}")
    return equal, bad


def walk_headers(every: int) -> list[str]:
    """Linux's headers on every ABI that libclang knows; each that many-th, or all."""
    machine = uapi.is_installed()
    names = uapi.names(machine)[:: max(1, every)]
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(2) as pool:
        uapi.trees(Path(folder), list(TRIPLES))
        jobs = [(name, machine, Path(folder)) for name in names]
        rows = list(pool.map(header, jobs, chunksize=4))
    bad = [said for _, _, wrong in rows for said in wrong]
    print(*bad[:40], sep="\n", end="\n" if bad else "")
    print(
        f"{len(names):,} headers on {len(TRIPLES)} ABIs by libclang: {len(bad)} layouts wrong, "
        f"{sum(row[0] for row in rows):,} equal; {sum(row[1] for row in rows):,} readings of a "
        "header end in an error of libclang's",
        flush=True,
    )
    return bad


def header(job: tuple[str, bool, Path]) -> tuple[int, int, list[str]]:
    """Of one header: equal layouts, ABIs on which libclang cannot read it, what differs."""
    name, machine, folder = job
    given = uapi.headers(machine)
    try:
        structs = parse(given[name], given)
    except KvmvizError:
        return 0, 0, []
    equal, broken, bad = 0, 0, list[str]()
    for abi in TRIPLES:
        found, errors = records(abi, f"#include <{name}>\n", [*_folders(abi, machine, folder)])
        if errors:
            broken += 1
            continue
        for tag, struct in structs.items():
            try:
                mine = ours(struct, abi)
            except KvmvizError:
                continue
            theirs = found.get(tag)
            equal += mine == theirs
            if theirs and mine != theirs:
                bad.append(f"{abi}: {name}: {tag}: kvmviz {mine}; libclang {theirs}")
    return equal, broken, bad


def _folders(abi: str, machine: bool, folder: Path) -> Iterator[Path]:
    if machine:
        yield folder / abi
    zig = uapi.bundle()
    if zig:
        linux, libc = _FOLDERS[abi]
        yield from (zig / f"{libc}-linux-musl", zig / "generic-musl")
        yield from (zig / f"{linux}-linux-any", zig / "any-linux-any", zig.parents[1] / "include")

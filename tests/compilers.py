"""Ground truth from outside: what real compilers say a struct's layout and bytes are on a target.

Nothing is linked, run or included: C text goes in, an ELF object comes out, and the numbers and
bytes are read out of its data sections. So a target needs no machine, no libc and no headers.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

FLAGS = (
    "-std=gnu11", "-ffreestanding", "-nostdinc", "-fno-common", "-g0", "-Werror", "-c",
    # Where packed changes nothing, gcc says so; that is no reason to refuse.
    "-Wno-attributes",
)  # fmt: skip
PLAIN = ("-std=gnu11", "-ffreestanding", "-nostdinc", "-fno-common", "-g0", "-w", "-c")
"""For texts that a generator wrote: what compilers only warn of is legal."""
M68K = "m68k-linux-gnu-gcc"
ZIG_TARGETS: Mapping[str, str] = {
    "aarch64": "aarch64-linux-musl",
    "aarch64_be": "aarch64_be-linux-musl",
    "x86_64": "x86_64-linux-musl",
    "i386": "x86-linux-musl",
    "arm": "arm-linux-musleabi",
    "armeb": "armeb-linux-musleabi",
    "ppc64": "powerpc64-linux-musl",
    "ppc64le": "powerpc64le-linux-musl",
    "ppc32": "powerpc-linux-musleabi",
    "s390x": "s390x-linux-musl",
    "mips": "mips-linux-musleabi",
    "mipsel": "mipsel-linux-musleabi",
    "riscv64": "riscv64-linux-musl",
}
ABI_NAMES = (*ZIG_TARGETS, "m68k")

PRELUDE = """\
typedef unsigned char u8, __u8; typedef signed char s8, __s8;
typedef unsigned short u16, __u16; typedef short s16, __s16;
typedef unsigned int u32, __u32; typedef int s32, __s32;
typedef unsigned long long u64, __u64; typedef long long s64, __s64;
typedef __UINT8_TYPE__ uint8_t; typedef __INT8_TYPE__ int8_t;
typedef __UINT16_TYPE__ uint16_t; typedef __INT16_TYPE__ int16_t;
typedef __UINT32_TYPE__ uint32_t; typedef __INT32_TYPE__ int32_t;
typedef __UINT64_TYPE__ uint64_t; typedef __INT64_TYPE__ int64_t;
"""
"""Names of fixed width, known in every question: there are no headers to say them."""


class CompileError(Exception):
    """The compiler refused; the message names the ABI and holds all that the compiler said."""


Compiler = tuple[str, ...]
"""How to compile C for one ABI: the command up to its flags and files."""


@dataclass(frozen=True)
class Measured:
    """One C type on one target: size, alignment and members' offsets, in bytes."""

    size: int
    align: int
    offsets: Mapping[str, int]


@dataclass(frozen=True)
class Probe:
    """What one compile tells: the byte order, types by name, objects' bytes in order."""

    byte_order: Literal["little", "big"]
    measured: Mapping[str, Measured]
    images: tuple[bytes, ...]


@functools.cache
def targets() -> Mapping[str, Compiler]:
    """Return how to compile for each ABI that can be compiled for here, by its name in ABIS."""
    found: dict[str, Compiler] = {}
    if importlib.util.find_spec("ziglang"):
        zig = (sys.executable, "-m", "ziglang", "cc", "-target")
        # All errors in one go: each names a question that is left out of the next compile.
        found = {abi: (*zig, triple, "-ferror-limit=0") for abi, triple in ZIG_TARGETS.items()}
    if gcc := shutil.which(M68K):
        found["m68k"] = (gcc,)
    return found


@functools.cache
def seconds() -> Mapping[str, Compiler]:
    """The machine's own gcc, where it compiles for an ABI too: clang alone is one opinion."""
    gcc = shutil.which("gcc")
    rows = {"x86_64": "-m64", "i386": "-m32"} if gcc else {}
    found: dict[str, Compiler] = {}
    for abi, width in rows.items():
        command = (f"{gcc}", width)
        try:
            _, symbols = _run(command, f"int oracle_{width[2:]} = sizeof(void *);\n", PLAIN)
        except CompileError:
            continue
        found |= {abi: command} if symbols else {}
    return found


def every_abi() -> list[object]:
    """All ABI names as pytest parameters; one with no compiler here is skipped and says so."""
    return [
        pytest.param(
            abi,
            marks=pytest.mark.skipif(
                abi not in targets(),
                reason=f"no compiler for {abi}: needs {M68K if abi == 'm68k' else 'ziglang'}",
            ),
        )
        for abi in ABI_NAMES
    ]


@functools.cache
def predefined(abi: str) -> Mapping[str, str]:
    """The macros that the compiler has defined before it reads a text, and what they stand for."""
    command = [*targets()[abi], "-std=gnu11", "-dM", "-E", "-x", "c", os.devnull]
    with tempfile.TemporaryDirectory() as folder:
        cache = {"ZIG_GLOBAL_CACHE_DIR": folder, "ZIG_LOCAL_CACHE_DIR": folder, "LC_ALL": "C"}
        done = subprocess.run(
            command, env={**os.environ, **cache}, capture_output=True, text=True, check=True
        )
    rows = (line.split(maxsplit=2)[1:] for line in done.stdout.splitlines())
    return {row[0]: row[1] if len(row) > 1 else "" for row in rows}


def measure(
    abi: str,
    prelude: str,
    structs: Sequence[tuple[str, Sequence[str]]],
    flags: Sequence[str] = FLAGS,
) -> dict[str, Measured]:
    """Layouts of C types: each is a type name and the member designators whose offset matters."""
    return dict(probe(abi, prelude, structs, flags=flags).measured)


def numbers(abi: str, prelude: str, values: str) -> list[int]:
    """Constant expressions, with commas between; the text may include the C library's headers."""
    text = f"{prelude}const unsigned long long oracle_n[] = {{ {values} }};\n"
    little, symbols = _compile(abi, text, ("-std=gnu11", "-w", "-g0", "-fno-common", "-c"))
    raw, order = symbols["oracle_n"], "little" if little else "big"
    return [int.from_bytes(raw[i : i + 8], order) for i in range(0, len(raw), 8)]  # type: ignore[arg-type]


def images(abi: str, prelude: str, objects: Sequence[tuple[str, str]]) -> list[bytes]:
    """Bytes of static objects, each a type name and its initialiser, padding as emitted."""
    return list(probe(abi, prelude, (), objects).images)


def everywhere(
    prelude: str,
    structs: Sequence[tuple[str, Sequence[str]]] = (),
    objects: Sequence[tuple[str, str]] = (),
) -> dict[str, Probe]:
    """Put the same questions to every target there is, side by side; answers by ABI."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        probes = pool.map(lambda abi: probe(abi, prelude, structs, objects), targets())
        return dict(zip(targets(), probes, strict=True))


def probe(
    abi: str,
    prelude: str,
    structs: Sequence[tuple[str, Sequence[str]]] = (),
    objects: Sequence[tuple[str, str]] = (),
    flags: Sequence[str] = FLAGS,
) -> Probe:
    """Layouts and bytes in one compile; the same question again is answered from memory."""
    questions = tuple((name, tuple(members)) for name, members in structs)
    return _probe(abi, prelude, questions, tuple(objects), tuple(flags))


@dataclass(frozen=True)
class Question:
    """A text on lines of its own that defines a type, and members whose offset matters."""

    text: str
    name: str
    members: tuple[str, ...] = ()

    @property
    def numbers(self) -> list[str]:
        """What to ask: size, alignment, offsets."""
        asked = [f"__builtin_offsetof({self.name}, {member})" for member in self.members]
        return [f"sizeof({self.name})", f"_Alignof({self.name})", *asked]


def judged(compiler: Compiler, questions: Sequence[Question]) -> list[Measured | None]:
    """What a compiler says of each; None of one that it refuses.

    All are compiled as one text, and again without those that the compiler's errors name.
    """
    found: list[Measured | None] = [None] * len(questions)
    left = list(range(len(questions)))
    while left:
        lines, owners = PRELUDE.splitlines(), [-1] * PRELUDE.count("\n")
        for n in left:
            rows = questions[n].text.splitlines()
            lines += rows
            owners += [n] * len(rows)
        lines.append("const unsigned int oracle_n[] = {")
        lines += [f"{', '.join(questions[n].numbers)}," for n in left]
        owners += [-1, *left]
        try:
            little, symbols = _run(compiler, "\n".join([*lines, "0};", ""]), PLAIN)
        except CompileError as error:
            lines_told = {int(line) for line in _ERROR.findall(f"{error}")}
            told = {owners[n - 1] for n in lines_told if n <= len(owners)}
            if told and -1 not in told:
                left = [n for n in left if n not in told]
                continue
            if len(left) == 1:
                break
            # One text has spoilt those behind it.
            half = len(left) // 2
            for part in (left[:half], left[half:]):
                answers = judged(compiler, [questions[n] for n in part])
                for n, answer in zip(part, answers, strict=True):
                    found[n] = answer
            break
        raw, order = symbols["oracle_n"], "little" if little else "big"
        values = (int.from_bytes(raw[i : i + 4], order) for i in range(0, len(raw), 4))  # type: ignore[arg-type]
        for n in left:
            offsets = questions[n].members
            found[n] = Measured(next(values), next(values), {m: next(values) for m in offsets})
        break
    return found


_ERROR = re.compile(r"oracle\.c:(\d+):(?:\d+:)? (?:fatal )?error: ")


@functools.cache
def _probe(
    abi: str,
    prelude: str,
    structs: tuple[tuple[str, tuple[str, ...]], ...],
    objects: tuple[tuple[str, str], ...],
    flags: tuple[str, ...],
) -> Probe:
    numbers = [
        number
        for name, members in structs
        for number in (
            f"sizeof({name})",
            f"_Alignof({name})",
            *(f"__builtin_offsetof({name}, {member})" for member in members),
        )
    ]
    lines = [PRELUDE, prelude, f"const unsigned int oracle_n[] = {{{', '.join([*numbers, '0'])}}};"]
    lines += [f"__typeof__({name}) oracle_{i} = {init};" for i, (name, init) in enumerate(objects)]
    little, symbols = _compile(abi, "\n".join(lines) + "\n", flags)
    byte_order: Literal["little", "big"] = "little" if little else "big"
    raw = symbols["oracle_n"]
    values = (int.from_bytes(raw[i : i + 4], byte_order) for i in range(0, len(raw), 4))
    measured = {
        name: Measured(next(values), next(values), {member: next(values) for member in members})
        for name, members in structs
    }
    return Probe(byte_order, measured, tuple(symbols[f"oracle_{i}"] for i in range(len(objects))))


def _compile(abi: str, text: str, flags: Sequence[str]) -> tuple[bool, dict[str, bytes]]:
    """Compile C text; whether the object is little-endian, and each ``oracle_`` symbol's bytes."""
    try:
        return _run(targets()[abi], text, flags)
    except CompileError as error:
        raise CompileError(f"{abi}: {error}\n{text}") from None


def _run(compiler: Compiler, text: str, flags: Sequence[str]) -> tuple[bool, dict[str, bytes]]:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "oracle.c"), Path(folder, "oracle.o")
        source.write_text(text, encoding="utf-8")
        cache = {"ZIG_GLOBAL_CACHE_DIR": folder, "ZIG_LOCAL_CACHE_DIR": folder, "LC_ALL": "C"}
        command = [*compiler, *flags, str(source), "-o", str(target)]
        done = subprocess.run(
            command, env={**os.environ, **cache}, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise CompileError(done.stderr)
        with target.open("rb") as stream:
            elf = ELFFile(stream)
            return elf.little_endian, dict(_symbols(elf))


def _symbols(elf: ELFFile) -> Iterator[tuple[str, bytes]]:
    """Yield each ``oracle_`` symbol's name and bytes."""
    sections = {section.name: section for section in elf.iter_sections()}
    table = sections[".symtab"]
    assert isinstance(table, SymbolTableSection)
    for symbol in table.iter_symbols():
        if symbol.name.startswith("oracle_"):
            section = elf.get_section(symbol["st_shndx"])
            if {f".rel{section.name}", f".rela{section.name}"} & sections.keys():
                raise CompileError(f"an address in {section.name} waits for a linker")
            start = symbol["st_value"]
            yield symbol.name, section.data()[start : start + symbol["st_size"]]

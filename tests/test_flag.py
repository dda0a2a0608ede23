"""The reference page: its C is compiled and its Python run, both on bytes of real dumps."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from importlib import resources
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from tests import compilers
from tests.proof_page import HIGH, RAW, Raw
from tests.strategies import ORDER

PAGE = resources.files("kvmviz").joinpath("data/flag.md").read_text("utf-8")

# As in the UAPI's headers; written here, so that kvmviz's own layout is not asked.
HEADER = """
struct kvm_debug_exit_arch { __u32 hsr; __u32 hsr_high; __u64 far; };
struct kvm_run {
	__u8 request_interrupt_window, immediate_exit, padding1[6];
	__u32 exit_reason;
	__u8 ready_for_interrupt_injection, if_flag;
	__u16 flags;
	__u64 cr8, apic_base;
	union {
		struct { struct kvm_debug_exit_arch arch; } debug;
		struct { __u64 phys_addr; __u8 data[8]; __u32 len; __u8 is_write; } mmio;
		char padding[256];
	};
};
#define KVM_EXIT_DEBUG 4
#define KVM_DEBUG_ARCH_HSR_HIGH_VALID (1 << 0)
"""
HELD = 288
"""Bytes of a dump, and of the struct above."""


def block(language: str) -> str:
    """The one block of code in that language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.M | re.S)
    return str(found)


def readable(order: str) -> list[Raw]:
    """One dump of each kind there is, of kernels whose struct the reader knows: all but widened."""
    found: dict[tuple[str, bytes], Raw] = {}
    for raw in RAW:
        if raw.order == order and raw.kernel != "widened":
            found.setdefault((raw.kernel, raw.page[8:56]), raw)
    return list(found.values())


def expected(raw: Raw) -> tuple[int, int]:
    """What a reader has to find: the ESR that the kernel held, as far as it handed it over."""
    if "esr" not in raw.event:
        return 0, 0
    esr = int(raw.event["esr"], 16)
    return (esr & 0xFFFFFFFF, 32) if raw.kernel == "old" else (esr, 64)


def test_the_readers_take_ten_lines() -> None:
    for language in ("c", "python"):
        assert len(block(language).splitlines()) <= 11, "ten, and a comment"


# --- Python ----------------------------------------------------------------------------------


def python_reader() -> Callable[[bytes, str], tuple[int, int]]:
    names: dict[str, Callable[[bytes, str], tuple[int, int]]] = {}
    exec(block("python"), names)
    return names["debug_esr"]


def test_the_python_reader_is_right_on_every_real_dump() -> None:
    read = python_reader()
    for raw in RAW:
        if raw.kernel != "widened":
            assert read(raw.page, raw.order) == expected(raw)


# --- C ---------------------------------------------------------------------------------------


HEAD = f"""{compilers.PRELUDE}{HEADER}
_Static_assert(sizeof(struct kvm_run) == {HELD}, "");
{block("c")}
"""


def c_program(pages: Sequence[bytes]) -> str:
    """The page's reader on some pages, its results in ``oracle_esr`` and ``oracle_bits``.

    A constructor whose effect is known is run by LLVM itself, when it compiles: the results are in
    the object's data. So code for a foreign machine is judged by that machine's own compiler. It
    takes no loops.
    """
    arrays = ",\n".join("{{" + ",".join(map(str, page)) + "}}" for page in pages)
    calls = "\n".join(
        f"oracle_bits[{at}] = debug_esr(&pages[{at}].run, &oracle_esr[{at}]);"
        for at in range(len(pages))
    )
    return f"""{HEAD}
static const union {{ __u8 bytes[{HELD}]; struct kvm_run run; }} pages[] = {{
{arrays}
}};
__u64 oracle_esr[{len(pages)}];
int oracle_bits[{len(pages)}] = {{ -1 }};
__attribute__((constructor)) static void at_compile_time(void)
{{
{calls}
}}
"""


@cache
def evaluated(abi: str) -> list[tuple[int, int]]:
    """What the C reader makes of each dump of the ABI's byte order, evaluated by the compiler."""
    text = c_program([raw.page for raw in readable(ORDER[abi])])
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "reader.c"), Path(folder, "reader.o")
        source.write_text(text)
        compile_to(abi, ["-c", "-O2", *compilers.FLAGS, str(source), "-o", str(target)], folder)
        with target.open("rb") as stream:
            elf = ELFFile(stream)
            sections = {section.name for section in elf.iter_sections()}
            assert not {".init_array", ".ctors"} & sections, "the constructor was left to run later"
            found = dict(compilers._symbols(elf))
    order = ORDER[abi]
    values = [found["oracle_esr"][at : at + 8] for at in range(0, len(found["oracle_esr"]), 8)]
    bits = [found["oracle_bits"][at : at + 4] for at in range(0, len(found["oracle_bits"]), 4)]
    return [
        (int.from_bytes(value, order), int.from_bytes(count, order))
        for value, count in zip(values, bits, strict=True)
    ]


def compile_to(abi: str, arguments: list[str], folder: str) -> None:
    cache_in = {"ZIG_GLOBAL_CACHE_DIR": folder, "ZIG_LOCAL_CACHE_DIR": folder, "LC_ALL": "C"}
    done = subprocess.run(
        [*compilers.targets()[abi], *arguments],
        env={**os.environ, **cache_in}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert not done.returncode, done.stderr


ZIG = [
    pytest.param(
        abi,
        marks=pytest.mark.skipif(abi not in compilers.targets(), reason="needs ziglang"),
    )
    for abi in compilers.ZIG_TARGETS
]


@pytest.mark.parametrize("abi", ZIG)
def test_the_c_reader_is_right_on_real_dumps(abi: str) -> None:
    raws = readable(ORDER[abi])
    assert {raw.kernel for raw in raws} == {"old", "v2", "merged"}
    assert {expected(raw)[1] for raw in raws} == {0, 32, 64}
    assert any(expected(raw)[0] >> 32 == HIGH for raw in raws)
    assert evaluated(abi) == [expected(raw) for raw in raws]


MACHINE = {"x86_64": "x86_64", "aarch64": "aarch64"}.get(platform.machine(), "")


@pytest.mark.skipif(
    MACHINE not in compilers.targets() or sys.platform != "linux",
    reason="needs ziglang and a Linux machine that runs what it compiles",
)
def test_the_c_reader_is_right_where_it_runs(tmp_path: Path) -> None:
    """The same code on the machine itself: what the compiler evaluated is what a program does."""
    source, target = tmp_path / "reader.c", tmp_path / "reader.so"
    source.write_text(HEAD.replace("static int debug_esr", "int debug_esr"))
    compile_to(
        MACHINE, ["-shared", "-nostdlib", "-O1", str(source), "-o", str(target)], str(tmp_path)
    )
    reader = ctypes.CDLL(str(target)).debug_esr
    for raw in RAW:
        if raw.order == sys.byteorder and raw.kernel != "widened":
            esr = ctypes.c_uint64(0)
            bits = reader(raw.page, ctypes.byref(esr))
            assert (esr.value, bits) == expected(raw)


# --- the page's tables -----------------------------------------------------------------------


def rows(heading: str) -> list[list[str]]:
    """The cells of the table that starts with a heading."""
    lines = PAGE[PAGE.index(heading) :].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


PLACES = ((8, 4), (14, 2), (32, 4), (36, 4))


def test_the_bytes_on_the_page_are_those_of_dumps() -> None:
    table = rows("| kernel | order |")
    assert len(table) == 6
    for kernel, order, reason, flags, hsr, high, esr, known in table:
        name, synthetic = kernel.rstrip(" *"), "*" in kernel
        parts = (reason, flags, hsr, high)
        raws = [
            raw
            for raw in RAW
            if (raw.kernel, raw.order, raw.synthetic) == (name, order, synthetic)
            and parts == tuple(raw.page[at : at + size].hex() for at, size in PLACES)
        ]
        assert raws, f"no dump has {parts}"
        value, bits = expected(raws[0])
        assert (int(esr, 16), known) == (value, f"{bits} bits")
        assert len(esr) == 2 + bits // 4


def test_the_offsets_on_the_page_are_a_compilers() -> None:
    table = [row for row in rows("| | field |") if row[2]]
    members = {row[1].strip("`"): tuple(re.findall(r"\d+", row[2])) for row in table}
    assert set(members) == {
        "exit_reason", "debug.arch.hsr", "flags", "debug.arch.hsr_high", "debug.arch.far",
    }  # fmt: skip
    for abi in ("aarch64", "aarch64_be"):
        if abi not in compilers.targets():
            pytest.skip("needs ziglang")
        found = compilers.measure(abi, HEADER, [("struct kvm_run", list(members))])
        for name, (offset, bits) in members.items():
            assert found["struct kvm_run"].offsets[name] == int(offset)
            kind = "__u" + bits
            assert f"{kind} " in HEADER

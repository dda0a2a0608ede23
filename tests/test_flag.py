"""The reference page: its C is compiled and its Python run, both on bytes of real dumps."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from tests import compilers
from tests.proof_page import HIGH, RAW, Raw
from tests.strategies import ORDER

PAGE = (Path(__file__).parent.parent / "notebooks" / "flag.md").read_text("utf-8")

# As in the UAPI's headers; written here, so that kvmviz's own layout is not asked.
STRUCTS = {
    "old": "{ __u32 hsr; __u64 far; }",
    "widened": "{ __u64 hsr; __u64 far; }",
    "merged": "{ __u32 hsr; __u32 hsr_high; __u64 far; }",
}
HEAD_WITH = """
struct kvm_debug_exit_arch DEBUG;
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
#define offsetof __builtin_offsetof
#define KVM_EXIT_DEBUG 4
#define KVM_DEBUG_ARCH_HSR_HIGH_VALID (1 << 0)
"""
HEADER = HEAD_WITH.replace("DEBUG;", STRUCTS["merged"] + ";")
HELD = 288
"""Bytes of a dump, and of the struct above."""

Seen = tuple[int, int, int, int]
"""What a reader returns: how many bits of ESR are known, what far is, ESR, far."""


def block(language: str, number: int = 0) -> str:
    """A block of code in that language, by its place on the page."""
    return str(re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.M | re.S)[number])


def readable(order: str) -> list[Raw]:
    """One dump of each kind there is, of kernels whose struct the reader knows: all but widened."""
    found: dict[tuple[str, bytes], Raw] = {}
    for raw in RAW:
        if raw.order == order and raw.kernel != "widened":
            found.setdefault((raw.kernel, raw.page[8:56]), raw)
    return list(found.values())


def expected(raw: Raw) -> Seen:
    """What a reader has to find: the ESR that the kernel held, as far as it handed it over."""
    if "esr" not in raw.event:
        return 0, 0, 0, 0
    esr = int(raw.event["esr"], 16)
    bits, seen = (32, esr & 0xFFFFFFFF) if raw.kernel == "old" else (64, esr)
    return (bits, 2, seen, int(raw.event["far"], 16)) if "far" in raw.event else (bits, 0, seen, 0)


# Bits of a watchpoint's ESR that no emulated CPU sets, put into real dumps of a plain one: FnV 10,
# FnP 15, GCS 40 (which is bit 8 of hsr_high); then what far is, and whether it is taken.
BITS = [
    ((10,), 0), ((15,), 1), ((10, 15), 0), ((40,), 2), ((40, 10), 0), ((40, 15), 1),
]  # fmt: skip


def made(order: str) -> list[tuple[bytes, Seen]]:
    """Pages of a merged kernel's watchpoint with these bits set."""
    raw = next(
        raw
        for raw in RAW
        if (raw.kernel, raw.order, raw.synthetic) == ("merged", order, False) and "far" in raw.event
    )
    rows = []
    for numbers, far_is in BITS:
        page = bytearray(raw.page)
        _, _, esr, far = expected(raw)
        for number in numbers:
            esr |= 1 << number
            at = 32 + 4 * (number // 32)
            page[at + (number % 32 // 8 if order == "little" else 3 - number % 32 // 8)] |= (
                1 << number % 8
            )
        rows.append((bytes(page), (64, far_is, esr, far if far_is else 0)))
    return rows


def cases(order: str) -> list[tuple[bytes, Seen]]:
    """Pages of one byte order, real ones and those with bits set, and what is to be read."""
    return [(raw.page, expected(raw)) for raw in readable(order)] + made(order)


def test_the_cases_are_of_every_kind() -> None:
    for order in ("little", "big"):
        assert {raw.kernel for raw in readable(order)} == {"old", "v2", "merged"}
        seen = [row for _, row in cases(order)]
        assert {bits for bits, _, _, _ in seen} == {0, 32, 64}
        assert {far_is for _, far_is, _, _ in seen} == {0, 1, 2}
        assert any(esr >> 32 == HIGH for _, _, esr, _ in seen)
        assert any(esr == 0x100D2000062 for _, _, esr, _ in seen)


# --- Python ----------------------------------------------------------------------------------


def python_reader() -> Callable[[bytes, str], Seen]:
    names: dict[str, Callable[[bytes, str], Seen]] = {}
    exec(block("python"), names)
    return names["debug_exit"]


def test_the_python_reader_is_right_on_every_real_dump() -> None:
    read = python_reader()
    for raw in RAW:
        if raw.kernel != "widened":
            assert read(raw.page, raw.order) == expected(raw)
    for order in ("little", "big"):
        for page, seen in cases(order):
            assert read(page, order) == seen


# --- C ---------------------------------------------------------------------------------------


HEAD = f"""{compilers.PRELUDE}{HEADER}
_Static_assert(sizeof(struct kvm_run) == {HELD}, "");
{block("c")}
"""


def data(pages: Sequence[bytes]) -> str:
    arrays = ",\n".join("{{" + ",".join(map(str, page)) + "}}" for page in pages)
    union = f"union {{ __u8 bytes[{HELD}]; struct kvm_run run; }}"
    return f"{HEAD}\nstatic const {union} pages[] = {{\n{arrays}\n}};\n"


def c_program(pages: Sequence[bytes]) -> str:
    """The page's reader on some pages, its results in ``oracle_esr`` and three more.

    A constructor whose effect is known is run by LLVM itself, when it compiles: the results are in
    the object's data. So code for a foreign machine is judged by that machine's own compiler. It
    takes no loops.
    """
    calls = "\n".join(
        f"{{ struct debug_exit seen = debug_exit(&pages[{at}].run); "
        f"oracle_bits[{at}] = seen.esr_bits; oracle_is[{at}] = seen.far_is; "
        f"oracle_esr[{at}] = seen.esr; oracle_far[{at}] = seen.far; }}"
        for at in range(len(pages))
    )
    return f"""{data(pages)}
__u64 oracle_esr[{len(pages)}], oracle_far[{len(pages)}];
int oracle_bits[{len(pages)}] = {{ -1 }}, oracle_is[{len(pages)}];
__attribute__((constructor)) static void at_compile_time(void)
{{
{calls}
}}
"""


@cache
def evaluated(abi: str) -> list[Seen]:
    """What the C reader makes of each page of the ABI's byte order, evaluated by the compiler."""
    text, order = c_program([page for page, _ in cases(ORDER[abi])]), ORDER[abi]
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "reader.c"), Path(folder, "reader.o")
        source.write_text(text)
        compile_to(abi, ["-c", "-O2", *compilers.FLAGS, str(source), "-o", str(target)], folder)
        with target.open("rb") as stream:
            elf = ELFFile(stream)
            sections = {section.name for section in elf.iter_sections()}
            assert not {".init_array", ".ctors"} & sections, "the constructor was left to run later"
            found = dict(compilers._symbols(elf))

    def numbers(name: str, size: int) -> list[int]:
        held = found[name]
        return [int.from_bytes(held[at : at + size], order) for at in range(0, len(held), size)]

    columns = [numbers("oracle_bits", 4), numbers("oracle_is", 4)]
    columns += [numbers("oracle_esr", 8), numbers("oracle_far", 8)]
    return list(zip(*columns, strict=True))


def zig(abi: str, arguments: list[str], folder: str) -> subprocess.CompletedProcess[str]:
    cache_in = {"ZIG_GLOBAL_CACHE_DIR": folder, "ZIG_LOCAL_CACHE_DIR": folder, "LC_ALL": "C"}
    return subprocess.run(
        [*compilers.targets()[abi], *arguments],
        env={**os.environ, **cache_in}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def compile_to(abi: str, arguments: list[str], folder: str) -> None:
    done = zig(abi, arguments, folder)
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
    assert evaluated(abi) == [seen for _, seen in cases(ORDER[abi])]


START = """
struct debug_exit results[COUNT];
static long call(long number, long first, long second, long third)
{
	register long x8 __asm__("x8") = number, x0 __asm__("x0") = first;
	register long x1 __asm__("x1") = second, x2 __asm__("x2") = third;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
	return x0;
}
void _start(void)
{
	for (int at = 0; at < COUNT; at++)
		results[at] = debug_exit(&pages[at].run);
	call(64, 1, (long)results, sizeof(results));	/* write to standard output */
	call(93, 0, 0, 0);	/* exit */
}
"""


@pytest.mark.parametrize("abi", ["aarch64", "aarch64_be"])
def test_the_c_reader_is_right_where_a_program_runs(abi: str, tmp_path: Path) -> None:
    """A whole program of either byte order, run by QEMU's user emulation where it is installed."""
    emulator = shutil.which(f"qemu-{abi}-static") or shutil.which(f"qemu-{abi}")
    if emulator is None or abi not in compilers.targets():
        pytest.skip(f"needs ziglang and qemu-{abi}")
    order, rows = ORDER[abi], cases(ORDER[abi])
    source, target = tmp_path / "reader.c", tmp_path / "reader"
    source.write_text(data([page for page, _ in rows]) + START.replace("COUNT", str(len(rows))))
    flags = ["-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector", "-O1"]
    compile_to(abi, [*flags, str(source), "-o", str(target)], str(tmp_path))
    done = subprocess.run([emulator, str(target)], capture_output=True, check=True)
    form = ("<" if order == "little" else ">") + "iiQQ"
    assert list(struct.iter_unpack(form, done.stdout)) == [seen for _, seen in rows]


MACHINE = {"x86_64": "x86_64", "aarch64": "aarch64"}.get(platform.machine(), "")


class CSeen(ctypes.Structure):
    _fields_ = (
        ("esr_bits", ctypes.c_int),
        ("far_is", ctypes.c_int),
        ("esr", ctypes.c_uint64),
        ("far", ctypes.c_uint64),
    )


@pytest.mark.skipif(
    MACHINE not in compilers.targets() or sys.platform != "linux",
    reason="needs ziglang and a Linux machine that runs what it compiles",
)
def test_the_c_reader_is_right_where_it_runs(tmp_path: Path) -> None:
    """The same code on the machine itself: what the compiler evaluated is what a program does."""
    source, target = tmp_path / "reader.c", tmp_path / "reader.so"
    source.write_text(
        HEAD.replace("static struct debug_exit debug_exit", "struct debug_exit debug_exit")
    )
    compile_to(
        MACHINE, ["-shared", "-nostdlib", "-O1", str(source), "-o", str(target)], str(tmp_path)
    )
    reader = ctypes.CDLL(str(target)).debug_exit
    reader.restype = CSeen
    every = [
        (raw.page, expected(raw))
        for raw in RAW
        if raw.order == sys.byteorder and raw.kernel != "widened"
    ]
    for page, seen in every + made(sys.byteorder):
        found = reader(page)
        assert (found.esr_bits, found.far_is, found.esr, found.far) == seen


# --- what a compiler can check ---------------------------------------------------------------

ASSERTS = block("c", 1)
OF_THE_STRUCT = """
_Static_assert(sizeof(struct kvm_debug_exit_arch) == 16, "size");
_Static_assert(_Alignof(struct kvm_debug_exit_arch) == 8, "alignment");
_Static_assert(offsetof(struct kvm_debug_exit_arch, hsr) == 0, "hsr");
_Static_assert(offsetof(struct kvm_debug_exit_arch, far) == 8, "far");
"""
OF_HSR = "\n".join(line for line in ASSERTS.splitlines() if "hsr_high" not in line)


@pytest.mark.parametrize("abi", ["aarch64", "aarch64_be"])
@pytest.mark.parametrize(
    ("kernel", "asserts", "fails"),
    [
        ("merged", ASSERTS, ""),
        ("merged", OF_THE_STRUCT, ""),
        ("old", OF_HSR, ""),
        ("old", OF_THE_STRUCT, ""),
        ("widened", OF_THE_STRUCT, ""),  # so a check of size, alignment and offsets misses it
        ("widened", OF_HSR, "which half comes first?"),
        ("widened", ASSERTS, "which half comes first?"),
    ],
)
def test_what_the_asserts_catch(
    abi: str, kernel: str, asserts: str, fails: str, tmp_path: Path
) -> None:
    if abi not in compilers.targets():
        pytest.skip("needs ziglang")
    source = tmp_path / "asserts.c"
    header = HEAD_WITH.replace("DEBUG;", STRUCTS[kernel] + ";")
    source.write_text(f"{compilers.PRELUDE}{header}{asserts}\n")
    done = zig(
        abi, [*compilers.FLAGS, str(source), "-o", str(tmp_path / "asserts.o")], str(tmp_path)
    )
    assert bool(done.returncode) is bool(fails), done.stderr
    assert fails in done.stderr


# --- Rust ------------------------------------------------------------------------------------

RUST = """
#![allow(dead_code, non_camel_case_types)]
#[derive(Clone, Copy)] pub struct kvm_debug_exit_arch { hsr: u32, hsr_high: u32, far: u64 }
pub struct kvm_run { flags: u16 }
const KVM_DEBUG_ARCH_HSR_HIGH_VALID: u32 = 1;
pub enum VcpuExit<'a> { MmioRead(u64, &'a mut [u8]), Debug(kvm_debug_exit_arch) }
pub struct VcpuFd { run: kvm_run, data: [u8; 8] }
impl VcpuFd {
    pub fn run(&mut self) -> Result<VcpuExit<'_>, i32> { Ok(VcpuExit::MmioRead(0, &mut self.data)) }
    pub fn get_kvm_run(&mut self) -> &mut kvm_run { &mut self.run }
}
fn on_exit(_: VcpuExit) -> Result<Option<u64>, i32> { Ok(None) }
pub fn once(vcpu: &mut VcpuFd) -> Result<Option<u64>, i32> {
BODY
    Ok(high)
}
"""
"""The names that the recipe uses, with the signatures of kvm-ioctls."""


def test_the_rust_recipe_passes_the_compiler(tmp_path: Path) -> None:
    """Above all its borrow checker: run() lends the vCPU out for as long as the exit lives."""
    rustc = shutil.which("rustc")
    if rustc is None:
        pytest.skip("needs rustc")
    source = tmp_path / "recipe.rs"
    source.write_text(RUST.replace("BODY", block("rust")))
    out = [
        "--crate-type",
        "lib",
        "--emit",
        "metadata",
        "--edition",
        "2021",
        "--out-dir",
        str(tmp_path),
    ]
    done = subprocess.run([rustc, *out, str(source)], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr


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
        bits, _, value, _ = expected(raws[0])
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

"""Four kernels, four programs, both byte orders: what is read, and whether it is right."""

from __future__ import annotations

import struct as pystruct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from kvmviz import KvmvizError, Struct
from kvmviz.kvm import program as vmm
from kvmviz.kvm.kernel import KERNELS, OLD, WIDENED, WITH_HIGH
from kvmviz.kvm.program import VMMS
from tests.test_captures import DEBUG

# A brk whose upper half a debugger put in, as in the dumps: EC 0x3c below, EC 0x00 above.
ESR = 0x00A5C3E1_F2001234
LOW, HIGH, WHOLE = 0xF2001234, 0x00A5C3E1, ESR
SWAPPED = 0xF2001234_00A5C3E1
RIGHT, WRONG, GUEST = "right", "wrong above, EC right", "wrong, EC 0x00, unhandled"

MATRIX = [
    # kernel, program, on LE: what it reads and what comes of it, on BE
    ("old", "old", (LOW, RIGHT), (LOW, RIGHT)),
    ("old", "u64", (LOW, WRONG), (LOW << 32, GUEST)),
    ("old", "flag", (LOW, RIGHT), (LOW, RIGHT)),
    ("old", "blind", (LOW, WRONG), (LOW, WRONG)),
    ("widened", "old", (LOW, RIGHT), (HIGH, GUEST)),
    ("widened", "u64", (WHOLE, RIGHT), (WHOLE, RIGHT)),
    ("widened", "flag", (LOW, RIGHT), (HIGH, GUEST)),
    ("widened", "blind", (WHOLE, RIGHT), (SWAPPED, GUEST)),
    ("v2", "old", (LOW, RIGHT), (LOW, RIGHT)),
    ("v2", "u64", (WHOLE, RIGHT), (SWAPPED, GUEST)),
    ("v2", "flag", (WHOLE, RIGHT), (WHOLE, RIGHT)),
    ("v2", "blind", (WHOLE, RIGHT), (WHOLE, RIGHT)),
    ("merged", "old", (LOW, RIGHT), (LOW, RIGHT)),
    ("merged", "u64", (WHOLE, RIGHT), (SWAPPED, GUEST)),
    ("merged", "flag", (WHOLE, RIGHT), (WHOLE, RIGHT)),
    ("merged", "blind", (WHOLE, RIGHT), (WHOLE, RIGHT)),
]
ROWS = [
    (kernel, program, order, value, outcome)
    for order, at in (("little", 2), ("big", 3))
    for kernel, program, *sides in MATRIX
    for value, outcome in [sides[at - 2]]
]
ABI = {"little": "aarch64", "big": "aarch64_be"}


@pytest.mark.parametrize(("kernel", "program", "order", "value", "outcome"), ROWS)
def test_what_each_program_makes_of_each_kernel(
    kernel: str, program: str, order: str, value: int, outcome: str
) -> None:
    reading = vmm.read(kernel, program, ABI[order], ESR)
    assert (reading.value, reading.right) == (value, outcome == RIGHT)
    assert reading.sound is reading.right, "far is where it was, on arm64"
    effect = reading.effect.lower()
    assert f"{order}-endian" in effect
    assert ("ec 0x00" in effect) is (outcome == GUEST)
    assert ("unhandled" in effect) is (outcome == GUEST)
    assert ("qemu would re-inject" in effect) is (outcome == GUEST and program == "old")
    assert ("ec is right" in effect) is (outcome == WRONG)
    if outcome == RIGHT:
        assert "brk" in effect
        assert ("64 bits" in effect) is (value == WHOLE)
        assert ("bits 31:0" in effect) is (value == LOW)
    for run in reading.runs:
        if not run.right:
            assert f"for bits {run.wanted[0]}:{run.wanted[1]}" in effect
            assert (f"bytes {run.first}..{run.last}" in effect) is (run.found is None)
            if run.found:
                assert f"esr bits {run.found[0]}:{run.found[1]}" in effect


def test_the_matrix_has_all_of_them_in_order() -> None:
    readings = vmm.matrix(ESR).readings
    order = [r.image.layout.abi.byte_order for r in readings]
    told = [(r.kernel.name, r.vmm.name, at, r.value) for r, at in zip(readings, order, strict=True)]
    assert told == [row[:4] for row in ROWS]
    assert len(readings) == 32
    assert all(r.esr == ESR for r in readings)


def test_with_a_zero_upper_half_a_big_endian_vmm_reads_zero() -> None:
    """What a real kernel with a widened hsr hands to a VMM of today."""
    reading = vmm.read("widened", "old", "aarch64_be", LOW)
    assert bytes(reading.image)[:8].hex(" ", 4) == "00000000 f2001234"
    assert (reading.value, reading.right) == (0, False)
    assert "EC 0x00" in reading.effect
    assert "re-inject" in reading.effect
    assert vmm.read("widened", "old", "aarch64", LOW).right


def test_a_value_that_happens_to_fit_is_not_right() -> None:
    """Zero lies in the hole, and bits 63:32 are zero: nobody wrote them all the same."""
    for program in ("u64", "blind"):
        reading = vmm.read("old", program, "aarch64", LOW)
        assert reading.value == LOW
        assert not reading.right


def test_the_value_is_what_the_fill_makes_of_it() -> None:
    for fill, above in ((0, 0), (0xAA, 0xAAAAAAAA), (bytes(range(16)), 0x07060504)):
        reading = vmm.read("old", "blind", "aarch64", LOW, fill=fill)
        assert reading.value == above << 32 | LOW
        assert vmm.read("old", "flag", "aarch64", LOW, fill=fill).value == LOW


FORMS: dict[str, tuple[str, Callable[..., int]]] = {
    # program: how it reads 16 bytes, and what it makes of them given the flag
    "old": ("I12x", lambda flag, hsr: hsr),
    "u64": ("Q8x", lambda flag, hsr: hsr),
    "flag": ("II8x", lambda flag, hsr, high: high << 32 | hsr if flag else hsr),
    "blind": ("II8x", lambda flag, hsr, high: high << 32 | hsr),
}


@pytest.mark.parametrize("program", FORMS)
def test_the_value_is_read_out_of_every_real_dump(program: str) -> None:
    form, combine = FORMS[program]
    for raw in DEBUG:
        mark = "<" if raw.order == "little" else ">"
        flag = raw.kernel in ("v2", "merged")
        expected = combine(flag, *pystruct.unpack(mark + form, raw.page[32:48]))
        esr, far = int(raw.event["esr"], 16), int(raw.event.get("far", "0"), 16)
        fill = raw.held[32:48]
        reading = vmm.read(raw.kernel, program, ABI[raw.order], esr, far, fill)
        assert reading.value == expected
        if reading.right:
            assert expected == esr % (1 << reading.bits)


# --- the evidence ----------------------------------------------------------------------------

RUNS: list[Any] = [
    # kernel, program, order, runs: first and last byte, bits wanted, bits found
    ("old", "old", "big", [(0, 3, (31, 0), (31, 0))]),
    ("widened", "old", "little", [(0, 3, (31, 0), (31, 0))]),
    ("widened", "old", "big", [(0, 3, (31, 0), (63, 32))]),
    ("widened", "blind", "big", [(0, 3, (31, 0), (63, 32)), (4, 7, (63, 32), (31, 0))]),
    ("merged", "u64", "big", [(0, 3, (63, 32), (31, 0)), (4, 7, (31, 0), (63, 32))]),
    ("merged", "u64", "little", [(0, 3, (31, 0), (31, 0)), (4, 7, (63, 32), (63, 32))]),
    ("old", "u64", "big", [(0, 3, (63, 32), (31, 0)), (4, 7, (31, 0), None)]),
    ("old", "blind", "little", [(0, 3, (31, 0), (31, 0)), (4, 7, (63, 32), None)]),
    ("old", "flag", "little", [(0, 3, (31, 0), (31, 0))]),
    ("merged", "flag", "little", [(0, 3, (31, 0), (31, 0)), (4, 7, (63, 32), (63, 32))]),
]


@pytest.mark.parametrize(("kernel", "program", "order", "runs"), RUNS)
def test_runs_of_bytes(kernel: str, program: str, order: str, runs: list[Any]) -> None:
    reading = vmm.read(kernel, program, ABI[order], ESR)
    assert [(run.first, run.last, run.wanted, run.found) for run in reading.runs] == runs
    assert [run.right for run in reading.runs] == [run[2] == run[3] for run in runs]
    assert [row.first for row in reading.taken] == [*range(runs[-1][1] + 1)]
    assert all(row.first == row.last for row in reading.taken)
    assert reading.bits == 8 * len(reading.taken)


def test_a_byte_that_is_taken() -> None:
    rows = vmm.read("widened", "old", "aarch64_be", ESR).taken
    assert [(row.wanted, row.found) for row in rows] == [
        ((31, 24), (63, 56)), ((23, 16), (55, 48)), ((15, 8), (47, 40)), ((7, 0), (39, 32)),
    ]  # fmt: skip
    assert [row.source and row.source.label for row in rows] == [
        "hsr[63:56]", "hsr[55:48]", "hsr[47:40]", "hsr[39:32]",
    ]  # fmt: skip


# --- where there is no hole ------------------------------------------------------------------

WATCH, FAR = 0xD2000062, 0x1122334455667788
NO_HOLE = [
    # kernel, program, ABI, value, ESR right, far right
    ("old", "blind", "i386", 0x55667788_D2000062, False, False),
    ("old", "blind", "m68k", 0x11223344_D2000062, False, False),
    ("old", "u64", "i386", 0x55667788_D2000062, False, False),
    ("old", "u64", "m68k", 0xD2000062_11223344, False, False),
    ("merged", "old", "i386", WATCH, True, False),
    ("merged", "old", "m68k", WATCH, True, False),
    ("merged", "blind", "i386", WATCH, True, True),
    ("widened", "old", "m68k", 0, False, False),
    ("old", "old", "i386", WATCH, True, True),
]


@pytest.mark.parametrize(("kernel", "program", "abi", "value", "esr", "far"), NO_HOLE)
def test_hsr_high_is_not_free_without_a_hole(
    kernel: str, program: str, abi: str, value: int, esr: bool, far: bool
) -> None:
    reading = vmm.read(kernel, program, abi, WATCH, FAR)
    assert (reading.value, reading.right) == (value, esr)
    assert reading.sound is (esr and far)
    assert (reading.verdict.fields["far"] == "intact") is far
    assert ("for far" in reading.effect) is not far
    if not far:
        start = reading.verdict.reader.offsets["far"]
        assert f"bytes {start}..{start + 7} for far" in reading.effect


def test_bytes_of_far_taken_for_esr() -> None:
    effect = vmm.read("old", "blind", "i386", WATCH, FAR).effect
    assert "bytes of far" in effect
    assert "63:32" in effect


def test_the_matrix_of_other_abis() -> None:
    readings = vmm.matrix(WATCH, FAR, 0xAA, ["i386"]).readings
    assert len(readings) == 16
    assert {r.image.layout.abi.name for r in readings} == {"i386"}
    assert {r.value for r in readings if r.vmm.name == "blind"} == {0x55667788_D2000062, WATCH}


# --- what comes of it ------------------------------------------------------------------------


def test_another_debug_exit_is_not_an_unhandled_one() -> None:
    effect = vmm.read("widened", "old", "aarch64_be", 0xC2000022_F2001234).effect.lower()
    assert "brk" in effect
    assert "breakpoint" in effect
    assert "re-inject" not in effect


def test_the_class_that_poison_makes() -> None:
    reading = vmm.read("old", "u64", "aarch64_be", LOW, fill=0xAA)
    assert reading.value == 0xF2001234_AAAAAAAA
    assert "EC 0x2a for an unhandled exit" in reading.effect


def test_a_class_that_is_right_by_chance_is_not_called_right() -> None:
    """0xf2 in the hole reads as EC 0x3c, a brk: the lower half is no more ESR's for that."""
    for kernel, esr, fill in (("old", LOW, 0xF2), ("merged", 0xF2001234_F2001234, 0)):
        reading = vmm.read(kernel, "u64", "aarch64_be", esr, fill=fill)
        assert not reading.right
        assert "bits 63:32 are not ESR's" not in reading.effect


def test_a_program_that_reads_past_the_end() -> None:
    far_off = Struct("s", {"pad": "u64[2]", "hsr": "u32", "far": "u64"})
    program = replace(VMMS["old"], debug=far_off)
    assert vmm.find(program) is program
    reading = vmm.read("merged", program, "aarch64", ESR, fill=0xAA)
    assert (reading.value, reading.right, reading.bits) == (0xAAAAAAAA, False, 32)
    assert [(run.first, run.last, run.found, run.source) for run in reading.runs] == [
        (16, 19, None, None)
    ]
    assert "16..19" in reading.effect


# --- names and bad input ---------------------------------------------------------------------


def test_names() -> None:
    assert list(VMMS) == ["old", "u64", "flag", "blind"]
    assert [program.debug for program in VMMS.values()] == [OLD, WIDENED, WITH_HIGH, WITH_HIGH]
    assert all(vmm.find(name) is program for name, program in VMMS.items())
    assert all(program.name == name and program.title for name, program in VMMS.items())
    taken = {name: (p.takes(flag=True), p.takes(flag=False)) for name, p in VMMS.items()}
    both = ("hsr", "hsr_high")
    assert taken == {
        "old": (("hsr",), ("hsr",)), "u64": (("hsr",), ("hsr",)), "flag": (both, ("hsr",)),
        "blind": (both, both),
    }  # fmt: skip


ERRORS: list[Any] = [
    (lambda: vmm.find("qemu"), ("'qemu'", "old, u64, flag, blind")),
    (lambda: vmm.find(["old"]), ("'old'", "known")),  # type: ignore[arg-type]
    (lambda: vmm.read("old", "qemu", "arm", ESR), ("'qemu'", "old, u64, flag, blind")),
    (lambda: vmm.read("new", "old", "arm", ESR), ("'new'", *KERNELS)),
    (lambda: vmm.read("old", "old", "vax", ESR), ("'vax'", "aarch64_be")),
    (lambda: vmm.read("old", "old", "arm", 1 << 64), ("ESR", "64 bits")),
    (lambda: vmm.read("old", "old", "arm", WATCH), ("watchpoint", "far")),
    (lambda: vmm.matrix(ESR, abis=["vax"]), ("'vax'", "aarch64_be")),
]


@pytest.mark.parametrize("row", ERRORS)
def test_bad_input_is_named(row: Any) -> None:
    act, words = row
    with pytest.raises(KvmvizError) as caught:
        act()
    for word in words:
        assert word in str(caught.value)

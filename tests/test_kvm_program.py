"""Programs: what each reads of one exit, and concludes over time, and whether it is right."""

from __future__ import annotations

import struct as pystruct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from kvmviz import DebugExit, KvmvizError, MmioExit, Struct, SystemEvent, Unhandled, parse
from kvmviz.kvm.conclusion import Conclusion, conclude, conclusions, handshake
from kvmviz.kvm.exits import Event, UserWrite
from kvmviz.kvm.kernel import KERNELS, MERGED, OLD, WIDENED
from kvmviz.kvm.page import play
from kvmviz.kvm.program import OLD_HELD, READERS, VMMS, Vmm, far_by, matrix, read, story
from tests.proof_page import BE, BRK, CLEAR, DEBUG, LE, PLAIN, SET, UART, WATCH

# A brk whose upper half a debugger put in, as in the dumps: EC 0x3c below, EC 0x00 above.
U32, U64, FLAG, BLIND, FLAG_ALONE, NO_REASON, NO_RETURN, NO_EC = READERS
ESR = 0x00A5C3E1_F2001234
LOW, HIGH, WHOLE = 0xF2001234, 0x00A5C3E1, ESR
FAR = 0x40000800
SWAPPED = 0xF2001234_00A5C3E1
RIGHT, WRONG, GUEST = "right", "wrong above, EC right", "wrong, EC 0x00, unhandled"

MATRIX = [
    # kernel, program, on LE: what it reads and what comes of it, on BE
    ("old", U32, (LOW, RIGHT), (LOW, RIGHT)),
    ("old", U64, (LOW, WRONG), (LOW << 32, GUEST)),
    ("old", FLAG, (LOW, RIGHT), (LOW, RIGHT)),
    ("old", BLIND, (LOW, WRONG), (LOW, WRONG)),
    ("widened", U32, (LOW, RIGHT), (HIGH, GUEST)),
    ("widened", U64, (WHOLE, RIGHT), (WHOLE, RIGHT)),
    ("widened", FLAG, (LOW, RIGHT), (HIGH, GUEST)),
    ("widened", BLIND, (WHOLE, RIGHT), (SWAPPED, GUEST)),
    ("v2", U32, (LOW, RIGHT), (LOW, RIGHT)),
    ("v2", U64, (WHOLE, RIGHT), (SWAPPED, GUEST)),
    ("v2", FLAG, (WHOLE, RIGHT), (WHOLE, RIGHT)),
    ("v2", BLIND, (WHOLE, RIGHT), (WHOLE, RIGHT)),
    ("merged", U32, (LOW, RIGHT), (LOW, RIGHT)),
    ("merged", U64, (WHOLE, RIGHT), (SWAPPED, GUEST)),
    ("merged", FLAG, (WHOLE, RIGHT), (WHOLE, RIGHT)),
    ("merged", BLIND, (WHOLE, RIGHT), (WHOLE, RIGHT)),
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
    reading = read(kernel, program, ABI[order], ESR)
    assert (reading.value, reading.right) == (value, outcome == RIGHT)
    assert reading.sound is reading.right, "far is where it was, on arm64"
    effect = reading.effect.lower()
    assert f"{order}-endian" in effect
    assert ("ec 0x00" in effect) is (outcome == GUEST)
    assert ("unhandled" in effect) is (outcome == GUEST)
    assert ("qemu would re-inject" in effect) is (outcome == GUEST and program == U32)
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


FEW_WORDS: list[Any] = [
    # kernel, program, ABI, fill, words for what was taken, words for what comes of it
    ("merged", FLAG, BE, 0, ("[63:0]",), ("EC 0x3c", "BRK")),
    ("old", U32, LE, 0, ("[31:0]",), ("EC 0x3c", "BRK")),
    ("widened", U32, BE, 0, ("other half",), ("EC 0x00", "unhandled exit")),
    ("merged", U64, BE, 0, ("swapped",), ("EC 0x00", "unhandled exit")),
    ("widened", BLIND, BE, 0, ("swapped",), ("EC 0x00", "unhandled exit")),
    ("old", BLIND, LE, 0, ("unwritten",), ("EC", "right", "63:32")),
    ("old", U64, BE, 0xF2, ("unwritten",), ("EC", "chance")),
    ("old", U64, BE, 0xAA, ("unwritten",), ("EC 0x2a", "unhandled exit")),
    ("old", U64, BE, 0xC0, ("unwritten",), ("EC 0x30", "breakpoint")),
    ("merged", Vmm("le", "", Struct("d", [("hsr", "__le64")])), BE, 0, ("reversed",), ("EC 0x0d",)),
]


@pytest.mark.parametrize(("kernel", "program", "abi", "fill", "taken", "comes"), FEW_WORDS)
def test_a_reading_in_few_words(
    kernel: str, program: str, abi: str, fill: int, taken: Any, comes: Any
) -> None:
    reading = read(kernel, program, abi, ESR, fill=fill)
    for word in taken:
        assert word in reading.cause
    for word in comes:
        assert word in reading.gist


@pytest.mark.parametrize(
    ("kernels", "abis", "words"),
    [(("old", "widened", "merged"), (LE, BE), ("big-endian breaks",)),
     (("old", "merged"), (LE, BE), ("nothing breaks",)),
     (("old", "widened", "merged"), (LE,), ("nothing breaks",))],
)  # fmt: skip
def test_a_storys_title(kernels: Any, abis: Any, words: Any) -> None:
    readings = [read(kernel, U32, abi, ESR) for kernel in kernels for abi in abis]
    title = story(readings)[0]
    for word in words:
        assert word in title


def test_the_matrix_has_all_of_them_in_order() -> None:
    readings = matrix(ESR).readings
    order = [r.image.layout.abi.byte_order for r in readings]
    told = [(r.kernel.name, r.vmm.name, at, r.value) for r, at in zip(readings, order, strict=True)]
    assert told == [row[:4] for row in ROWS]
    assert len(readings) == 32
    assert all(r.esr == ESR for r in readings)


def test_with_a_zero_upper_half_a_big_endian_vmm_reads_zero() -> None:
    """What a real kernel with a widened hsr hands to a VMM of today."""
    reading = read("widened", U32, "aarch64_be", LOW)
    assert bytes(reading.image)[:8].hex(" ", 4) == "00000000 f2001234"
    assert (reading.value, reading.right) == (0, False)
    assert "EC 0x00" in reading.effect
    assert "re-inject" in reading.effect
    assert read("widened", U32, "aarch64", LOW).right


def test_a_value_that_happens_to_fit_is_not_right() -> None:
    """Zero lies in the hole, and bits 63:32 are zero: nobody wrote them all the same."""
    for program in (U64, BLIND):
        reading = read("old", program, "aarch64", LOW)
        assert reading.value == LOW
        assert not reading.right


def test_the_value_is_what_the_fill_makes_of_it() -> None:
    for fill, above in ((0, 0), (0xAA, 0xAAAAAAAA), (bytes(range(16)), 0x07060504)):
        reading = read("old", BLIND, "aarch64", LOW, fill=fill)
        assert reading.value == above << 32 | LOW
        assert read("old", FLAG, "aarch64", LOW, fill=fill).value == LOW


FORMS: dict[str, tuple[str, Callable[..., int]]] = {
    # program: how it reads 16 bytes, and what it makes of them given the flag
    U32: ("I12x", lambda flag, hsr: hsr),
    U64: ("Q8x", lambda flag, hsr: hsr),
    FLAG: ("II8x", lambda flag, hsr, high: high << 32 | hsr if flag else hsr),
    BLIND: ("II8x", lambda flag, hsr, high: high << 32 | hsr),
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
        reading = read(raw.kernel, program, ABI[raw.order], esr, far, fill)
        assert reading.value == expected
        if reading.right:
            assert expected == esr % (1 << reading.bits)


RUNS: list[Any] = [
    # kernel, program, order, runs: first and last byte, bits wanted, bits found
    ("old", U32, "big", [(0, 3, (31, 0), (31, 0))]),
    ("widened", U32, "little", [(0, 3, (31, 0), (31, 0))]),
    ("widened", U32, "big", [(0, 3, (31, 0), (63, 32))]),
    (
        "widened",
        BLIND,
        "big",
        [(0, 3, (31, 0), (63, 32)), (4, 7, (63, 32), (31, 0))],
    ),
    ("merged", U64, "big", [(0, 3, (63, 32), (31, 0)), (4, 7, (31, 0), (63, 32))]),
    ("merged", U64, "little", [(0, 3, (31, 0), (31, 0)), (4, 7, (63, 32), (63, 32))]),
    ("old", U64, "big", [(0, 3, (63, 32), (31, 0)), (4, 7, (31, 0), None)]),
    ("old", BLIND, "little", [(0, 3, (31, 0), (31, 0)), (4, 7, (63, 32), None)]),
    ("old", FLAG, "little", [(0, 3, (31, 0), (31, 0))]),
    ("merged", FLAG, "little", [(0, 3, (31, 0), (31, 0)), (4, 7, (63, 32), (63, 32))]),
]


@pytest.mark.parametrize(("kernel", "program", "order", "runs"), RUNS)
def test_runs_of_bytes(kernel: str, program: str, order: str, runs: list[Any]) -> None:
    reading = read(kernel, program, ABI[order], ESR)
    assert [(run.first, run.last, run.wanted, run.found) for run in reading.runs] == runs
    assert [run.right for run in reading.runs] == [run[2] == run[3] for run in runs]
    assert reading.bits == 8 * sum(run.last + 1 - run.first for run in reading.runs)


WATCH_ESR, FAR = 0xD2000062, 0x1122334455667788
NO_HOLE = [
    # kernel, program, ABI, value, ESR right, far right
    ("old", BLIND, "i386", 0x55667788_D2000062, False, False),
    ("old", BLIND, "m68k", 0x11223344_D2000062, False, False),
    ("old", U64, "i386", 0x55667788_D2000062, False, False),
    ("old", U64, "m68k", 0xD2000062_11223344, False, False),
    ("merged", U32, "i386", WATCH_ESR, True, False),
    ("merged", U32, "m68k", WATCH_ESR, True, False),
    ("merged", BLIND, "i386", WATCH_ESR, True, True),
    ("widened", U32, "m68k", 0, False, False),
    ("old", U32, "i386", WATCH_ESR, True, True),
]


@pytest.mark.parametrize(("kernel", "program", "abi", "value", "esr", "far"), NO_HOLE)
def test_hsr_high_is_not_free_without_a_hole(
    kernel: str, program: str, abi: str, value: int, esr: bool, far: bool
) -> None:
    reading = read(kernel, program, abi, WATCH_ESR, FAR)
    assert (reading.value, reading.right) == (value, esr)
    assert reading.sound is (esr and far)
    assert (reading.verdict.fields["far"] == "intact") is far
    assert ("for far" in reading.effect) is not far
    if not far:
        start = reading.verdict.reader.offsets["far"]
        assert f"bytes {start}..{start + 7} for far" in reading.effect


def test_bytes_of_far_taken_for_esr() -> None:
    effect = read("old", BLIND, "i386", WATCH_ESR, FAR).effect
    assert "bytes of far" in effect
    assert "63:32" in effect


def test_the_matrix_of_other_abis() -> None:
    readings = matrix(WATCH_ESR, FAR, 0xAA, ["i386"]).readings
    assert len(readings) == 16
    assert {r.image.layout.abi.name for r in readings} == {"i386"}
    assert {r.value for r in readings if r.vmm.name == BLIND} == {
        0x55667788_D2000062,
        WATCH_ESR,
    }


def test_another_debug_exit_is_not_an_unhandled_one() -> None:
    effect = read("widened", U32, "aarch64_be", 0xC2000022_F2001234).effect.lower()
    assert "brk" in effect
    assert "breakpoint" in effect
    assert "re-inject" not in effect


def test_the_class_that_poison_makes() -> None:
    reading = read("old", U64, "aarch64_be", LOW, fill=0xAA)
    assert reading.value == 0xF2001234_AAAAAAAA
    assert "EC 0x2a: an unhandled exit" in reading.effect


def test_a_class_that_is_right_by_chance_is_not_called_right() -> None:
    """0xf2 in the hole reads as EC 0x3c, a brk: the lower half is no more ESR's for that."""
    for kernel, esr, fill in (("old", LOW, 0xF2), ("merged", 0xF2001234_F2001234, 0)):
        reading = read(kernel, U64, "aarch64_be", esr, fill=fill)
        assert not reading.right
        assert "bits 63:32 are not ESR's" not in reading.effect


def test_a_program_that_reads_past_the_end() -> None:
    far_off = Struct("s", {"pad": "u64[2]", "hsr": "u32", "far": "u64"})
    program = replace(VMMS[U32], debug=far_off)
    assert READERS.find(program) is program
    reading = read("merged", program, "aarch64", ESR, fill=0xAA)
    assert (reading.value, reading.right, reading.bits) == (0xAAAAAAAA, False, 32)
    assert [(run.first, run.last, run.found, run.source) for run in reading.runs] == [
        (16, 19, None, None)
    ]
    assert "16..19" in reading.effect


def test_names() -> None:
    assert list(VMMS) == [U32, U64, FLAG, BLIND]
    assert [program.debug for program in VMMS.values()] == [OLD, WIDENED, MERGED, MERGED]
    assert all(READERS.find(name) is program for name, program in VMMS.items())
    assert all(program.name == name and program.phrase for name, program in VMMS.items())
    taken = {name: (p.takes(flag=True), p.takes(flag=False)) for name, p in VMMS.items()}
    both = ("hsr", "hsr_high")
    assert taken == {
        U32: (("hsr",), ("hsr",)), U64: (("hsr",), ("hsr",)), FLAG: (both, ("hsr",)),
        BLIND: (both, both),
    }  # fmt: skip


def squeezed(shown: object) -> list[str]:
    """A text twin's lines with runs of spaces made one: what it says, not how it is aligned."""
    return [" ".join(line.split()) for line in repr(shown).splitlines()]


def line_with(shown: object, word: str) -> str:
    """The one line of a text twin that has a word in it."""
    (line,) = [line for line in squeezed(shown) if word in line]
    return line


def test_a_reading_that_is_wrong() -> None:
    shown = read("widened", U32, BE, ESR)
    said = repr(shown)
    assert "aarch64_be (big-endian)" in said
    assert "kernel: widened" in said
    assert "flag" not in said.splitlines()[0]  # this program does not look at it
    assert line_with(shown, "+0").startswith("+0 00 a5 c3 e1 f2 00 12 34 A hsr bits 63:56")
    taken = line_with(shown, "taken for")
    for word in ("bytes 0..3", "ESR[31:0]", "ESR[63:32]", "WRONG"):
        assert word in taken
    assert "✗" in said
    assert "✓" not in said
    assert "reads 0x00a5c3e1" in said
    assert "0x00a5c3e1f2001234" in said
    assert "hsr moved" in said
    assert shown.effect in said


def test_a_reading_that_is_right() -> None:
    shown = read("merged", FLAG, BE, ESR)
    said = repr(shown)
    assert "flag set" in said
    assert "✓" in said
    assert "✗" not in said
    assert "WRONG" not in said
    assert "reads 0x00a5c3e1f2001234" in said
    assert "hsr intact, hsr_high intact, far not written by this exit" in said


def test_a_reading_of_what_nobody_wrote() -> None:
    shown = read("old", BLIND, LE, ESR)
    assert "no ESR bits" in line_with(shown, "bytes 4..7: taken")
    assert "not written (hole after hsr)" in repr(shown)
    assert "hsr_high unwritten" in repr(shown)


def test_a_matrix() -> None:
    shown = matrix(ESR)
    said = repr(shown)
    rows = [line for line in squeezed(shown) if line.startswith("aarch64")]
    assert len(rows) == 32
    assert sum("✗" in row for row in rows) == 2 + 7
    assert sum("✓" in row for row in rows) == 23
    assert said.splitlines()[0].count("0x00a5c3e1f2001234") == 1
    assert [row.split()[:2] for row in rows[::4]] == [
        [abi, kernel] for abi in (LE, BE) for kernel in ("old", "widened", "v2", "merged")
    ]
    old_reader = [row for row in rows if row.startswith("aarch64_be widened u32")]
    assert len(old_reader) == 1
    assert "✗ 0x00a5c3e1 " in old_reader[0]
    assert "re-inject" in old_reader[0]


def test_a_matrix_marks_what_a_reading_marks() -> None:
    shown = matrix(0xD2000062, FAR, abis=["i386"])
    rows = [line for line in squeezed(shown) if line.startswith("i386")]
    for row, reading in zip(rows, shown.readings, strict=True):
        assert ("✓" in row) is ("✓" in repr(reading)), row


HIGH_MMIO = MmioExit(0x8000001000, 4)

OWN = Vmm(
    "own types", "of one's own",
    parse("struct d { uint32_t hsr; uint32_t hsr_high; int64_t far; };")["d"], True,
)  # fmt: skip


def test_a_stale_flag_fools_though_the_exit_is_a_debug_exit() -> None:
    for abi, at in ((LE, 14), (BE, 15)):
        vcpu = play("widened", abi, [UserWrite(at, b"\1"), BRK])
        assert (at, "the sign of a debug exit") in conclude(vcpu.history[-1], FLAG_ALONE).fooled
        assert vcpu.history[-1].state(at) == "stale"
        assert not conclude(vcpu.history[-1], FLAG_ALONE).right


@pytest.mark.parametrize("abi", [LE, BE])
def test_what_types_a_program_spells_does_not_matter(abi: str) -> None:
    seen = conclude(play("merged", abi, [WATCH]).history[-1], OWN)
    assert seen.right
    assert seen.far == WATCH.far


@pytest.mark.parametrize("change", [{"checks": ("x",)}, {"checks": "reason"}, {"debug": "u32"},
                                    {"debug": Struct("s", {"a": "u32"})}])  # fmt: skip
def test_a_program_that_cannot_be_is_refused(change: Any) -> None:
    with pytest.raises(KvmvizError, match="own types"):
        replace(OWN, **change)


def test_all_programs_are_held_against_a_plain_reading() -> None:
    assert list(READERS) == list(PLAIN)
    assert list(READERS)[:4] == list(VMMS)


CASES: list[Any] = [
    # kernel, events, program; of the last step: takes, right, stale bytes on LE and on BE
    ("old", [BRK], U32, True, True, "", ""),
    ("old", [BRK], FLAG, True, True, "", ""),
    ("old", [BRK], BLIND, True, False, "36-39", "36-39"),
    ("old", [BRK], NO_EC, True, False, "40-47", "40-47"),
    ("old", [WATCH], BLIND, True, False, "36-39", "36-39"),
    ("merged", [WATCH], BLIND, True, True, "", ""),
    ("merged", [WATCH, BRK], BLIND, True, True, "", ""),
    ("merged", [WATCH, BRK], NO_EC, True, False, "40-47", "40-47"),
    ("merged", [WATCH, BRK], FLAG, True, True, "", ""),
    ("old", [BRK], FLAG_ALONE, False, False, "14", "15"),
    ("merged", [BRK], FLAG_ALONE, True, True, "", ""),
    ("v2", [BRK, UART], FLAG_ALONE, True, False, "14", "15"),
    ("merged", [BRK, UART], FLAG_ALONE, False, True, "", ""),
    ("v2", [BRK, UART], FLAG, False, True, "", ""),
    ("v2", [BRK, UART], NO_REASON, True, False, "14", "15"),
    ("merged", [BRK, SET, UART], NO_RETURN, True, False, "8-11 14 32-39", "8-11 15 32-39"),
    ("merged", [BRK, SET, UART], FLAG_ALONE, True, False, "14 32-39", "15 32-39"),
    ("merged", [BRK, SET, UART], FLAG, False, True, "", ""),
    ("merged", [BRK, SET, UART, CLEAR, UART], NO_RETURN, False, True, "", ""),
    ("old", [UserWrite(14, b"\1\1"), BRK], FLAG, True, False, "14 36-39", "15 36-39"),
    ("old", [UserWrite(14, b"\1\1"), BRK], U32, True, True, "", ""),
    ("v2_not_unknown", [BRK, Unhandled()], FLAG_ALONE, True, False, "14 32-39",
     "15 32-39"),
    ("v2_other_exits", [BRK, Unhandled()], FLAG_ALONE, False, True, "", ""),
    ("v2_entry", [BRK, Unhandled()], FLAG_ALONE, False, True, "", ""),
]  # fmt: skip


def numbers(text: str) -> list[int]:
    ranges = (part.split("-") for part in text.split())
    return [at for ends in ranges for at in range(int(ends[0]), int(ends[-1]) + 1)]


@pytest.mark.parametrize(("kernel", "sequence", "reader", "takes", "right", "little", "big"), CASES)
def test_what_fooled_a_program(
    kernel: str, sequence: list[Event], reader: str, takes: bool, right: bool, little: str, big: str
) -> None:
    for abi, stale in ((LE, little), (BE, big)):
        seen = conclude(play(kernel, abi, sequence).history[-1], reader)
        assert (seen.takes, seen.right) == (takes, right)
        assert sorted({at for at, _ in seen.fooled if seen.step.state(at) != "fresh"}) == numbers(
            stale
        )


def test_a_widened_hsr_fools_by_bits_and_not_by_staleness() -> None:
    seen = conclude(play("widened", BE, [BRK]).history[-1], U32)
    assert seen.fooled == tuple((at, "ESR[31:0]") for at in range(32, 36))
    assert {seen.step.state(at) for at in range(32, 36)} == {"fresh"}
    assert (seen.value, seen.right) == (0, False)
    assert conclude(play("widened", LE, [BRK]).history[-1], U32).right


def test_a_conclusion_that_fits_by_chance_is_not_right() -> None:
    seen = conclude(play("old", LE, [BRK]).history[-1], BLIND)
    assert seen.value == BRK.esr
    assert not seen.right


def test_far_is_taken_by_those_who_read_a_watchpoint() -> None:
    vcpu = play("merged", BE, [WATCH, BRK])
    assert [seen.far for seen in conclusions(vcpu, FLAG)] == [WATCH.far, None]
    assert [seen.far for seen in conclusions(vcpu, NO_EC)] == [WATCH.far, WATCH.far]
    odd = Vmm("odd", "of one's own", VMMS[U32].debug)
    assert conclude(vcpu.history[0], odd).far == WATCH.far


def test_a_program_on_an_abi_without_a_hole() -> None:
    """hsr_high moved far on i386: a program built with it reads half of far for ESR."""
    seen = conclude(play("old", "i386", [WATCH]).history[-1], BLIND)
    assert {at for at, _ in seen.fooled} == {*range(36, 48)}
    assert conclude(play("merged", "i386", [WATCH]).history[-1], FLAG).right


# Between what it takes for bits 63:32 lies what it takes for nothing; bytes taken for two things.
APART = Vmm("apart", "", Struct("s", {"hsr": "__le64", "pad": "__u32", "hsr_high": "__u32"}))
SHARED = Vmm(
    "shared", "", parse("struct s { __u32 hsr; union { __u32 hsr_high; __u32 far; }; };")["s"],
    trusts_far=True,
)  # fmt: skip
ACROSS = Vmm(
    "across", "", Struct("s", {"hsr": "u32", "pad": "u8[10]", "hsr_high": "u32"}, packed=True)
)

SENTENCES = [
    # kernel, events, program, on BE: words of the last step
    ("old", [HIGH_MMIO, BRK], BLIND,
     ("WRONG", "0x00001000f2001234", "bytes 36..39", "mmio.phys_addr[31:0]", "step 0",
      "KVM_EXIT_MMIO", "0x00000000f2001234")),
    ("old", [BRK], FLAG, ("debug exit", "0xf2001234", "BRK", "bits 63:32 to be unknown")),
    ("merged", [WATCH], FLAG, ("0x00000000d2000062", "watchpoint", "far 0x40000800")),
    ("merged", [UART], U32, ("no debug exit", "KVM_EXIT_MMIO")),
    ("v2", [BRK, UART], FLAG_ALONE, ("WRONG", "takes this for a debug exit", "byte 15", "step 0")),
    ("old", [BRK], FLAG_ALONE, ("WRONG", "misses", "byte 15", "nobody wrote")),
    ("merged", [BRK, SET, UART], FLAG, ("-EINTR", "immediate_exit")),
    ("merged", [SET], FLAG, ("no KVM_RUN in this step",)),
    ("old", [UserWrite(14, b"\xff\xff"), BRK], FLAG, ("WRONG", "flags", "userspace", "byte 15")),
    ("merged", [UART], FLAG_ALONE, ("no debug exit", "the flag is not set")),
    ("old", [UserWrite(32, b"\xaa" * 16), BRK], APART,
     ("bytes 36..39, taken for ESR[63:32], hold exit union of step 0, userspace",
      "bytes 44..47, taken for ESR[63:32], hold exit union of step 0, userspace")),
    ("old", [BRK], APART, ("36..39, taken for ESR[63:32], nobody", "44..47, taken for ESR[63:32]")),
    ("old", [UserWrite(32, b"\xaa" * 16), BRK], SHARED,
     ("bytes 36..39, taken for ESR[63:32], hold", "bytes 36..39, taken for far, hold")),
    ("old", [SystemEvent(2, 0x1122334455667788), BRK], ACROSS,
     ("46..47, taken for ESR[63:32], hold system_event.data[0][15:0]",
      "48..49, taken for ESR[63:32], hold system_event.data[1][63:48]")),
]  # fmt: skip


@pytest.mark.parametrize(("kernel", "sequence", "reader", "words"), SENTENCES)
def test_a_conclusion_in_words(
    kernel: str, sequence: list[Event], reader: str, words: tuple[str, ...]
) -> None:
    seen = conclude(play(kernel, BE, sequence).history[-1], reader)
    for word in words:
        assert word in seen.sentence
        assert word in repr(seen)
    assert ("✓" in repr(seen)) is (seen.step.is_run and seen.right)


def test_the_handshake_has_every_cell() -> None:
    cells = handshake().cells
    assert len(cells) == 3 * 3 * 2 * 2
    told = {(c.kernel.name, c.vmm.name, c.before, c.layout.abi.name): c for c in cells}
    assert len(told) == len(cells)
    for (kernel, vmm, before, abi), cell in told.items():
        new = kernel != "old"
        assert cell.later.flag is (kernel == "v2")
        if vmm == U32:
            assert (cell.knows, cell.right) == (32, True)
        elif vmm == FLAG:
            assert (cell.knows, cell.right) == (64 if new else 32, True)
        else:  # right where somebody wrote hsr_high
            assert (cell.knows, cell.right) == (64 if new else 0, new)
        left = 0 if before == "fresh" else 0x80 if abi == LE else 0x1000
        assert cell.hole == (0x100 if new else left)  # GCS is bit 40 of ESR


FAR_BITS = [
    # the class and bits of ISS; what the page's far is then worth, and to which program it is wrong
    (0xD2000062, "address", ()),
    (0xD2000062 | 1 << 15, "granule", ()),
    (0xD2000062 | 1 << 10, "not valid", (NO_EC,)),
    (0xD2000062 | 1 << 10 | 1 << 15, "not valid", (NO_EC,)),
    (0xC2000022 | 1 << 10, "not written", (NO_EC,)),  # FnV is a watchpoint's
    (0xF2008400, "not written", (NO_EC,)),  # a BRK whose comment has both bits
]


@pytest.mark.parametrize("abi", [LE, BE])
@pytest.mark.parametrize(("esr", "worth", "wrong"), FAR_BITS)
def test_what_far_is_worth(esr: int, worth: str, wrong: tuple[str, ...], abi: str) -> None:
    """Arm ARM: with FnV 1 FAR is not valid, with FnP 1 it is any address in the granule."""
    step = play("merged", abi, [DebugExit(esr, FAR)]).history[0]
    said = {
        "address": f"far {FAR:#x}",
        "granule": f"far {FAR:#x} but only names the granule (FnP is 1)",
        "not valid": "far not valid (FnV is 1)",
        "not written": "",
    }[worth]
    for reader in (FLAG, BLIND, U32, NO_EC):
        seen = conclude(step, reader)
        assert seen.far_valid == worth
        assert seen.right is (reader not in wrong)
        assert seen.reading is not None
        assert far_by(seen.reading.esr) == worth
        if reader != NO_EC:
            assert seen.far == (FAR if worth in ("address", "granule") else None)
            assert (said or "ESR") in seen.sentence
            assert ("far" in seen.sentence) is bool(said)
    careless = conclude(step, NO_EC)
    fooled = {what for _, what in careless.fooled}
    assert fooled == {"not valid": {"a valid far"}, "not written": {"far"}}.get(worth, set())
    statuses = {
        "address": "far intact\n",
        "granule": "far intact but only names the granule (FnP is 1)\n",
        "not valid": "far intact but not valid (FnV is 1)\n",
        "not written": "far not written by this exit\n",
    }
    assert statuses[worth] in repr(read("merged", FLAG, abi, esr, FAR))


def test_far_is_worth_what_the_esr_says_that_the_program_read() -> None:
    """On big-endian a widened kernel's first bytes are bits 63:32, to a program of u32."""
    step = play("widened", BE, [DebugExit(0xD2000062 << 32 | 0xF2001234, 5)]).history[0]
    seen = conclude(step, U32)
    assert (seen.far_valid, seen.far) == ("address", 0)
    assert seen.reading is not None
    assert far_by(seen.reading.esr) == "not written"


def test_a_program_of_32_bits_misses_gcs() -> None:
    gcs = 0x100D2000062
    assert "it misses GCS, in bits 63:32." in read("merged", U32, LE, gcs, FAR).effect
    for kernel, vmm in (("merged", FLAG), ("old", FLAG)):
        assert "misses" not in read(kernel, vmm, LE, gcs, FAR).effect
    made_up = read("merged", U32, LE, 0x00A5C3E1_D2000062, FAR)
    assert "misses" not in made_up.effect
    assert "bits 63:32 synthetic" in repr(made_up)


@pytest.mark.parametrize("esr", [0x100D2000062, 0x00A5C3E1_D2000062])
def test_an_old_kernel_with_an_upper_half_is_said_to_be_61(esr: int) -> None:
    for abi in (LE, "i386"):
        assert OLD_HELD in repr(read("old", FLAG, abi, esr, FAR))
        assert OLD_HELD not in repr(read("merged", FLAG, abi, esr, FAR))
        assert OLD_HELD not in repr(read("old", FLAG, abi, esr & 0xFFFFFFFF, FAR))
    assert OLD_HELD in repr(matrix(esr, FAR))
    assert OLD_HELD not in repr(matrix(esr, FAR, kernels=["merged"]))
    step = play("old", BE, [UART, DebugExit(esr, FAR)]).history[1]
    assert "the kernel held" in conclude(step, BLIND).sentence
    assert "(6.1 without the patch)" in conclude(step, BLIND).sentence


def test_the_handshake_of_others() -> None:
    (cell, _) = handshake(0xF2000000, ["v2"], [FLAG_ALONE], [BE]).cells
    assert (cell.knows, cell.right, cell.later.takes) == (64, False, True)
    with pytest.raises(KvmvizError, match="at least"):
        handshake(kernels=[])


def test_text_of_the_handshake() -> None:
    lines = repr(handshake()).splitlines()
    assert lines[0].startswith("ESR_EL2 = 0x00000100d2000062, GCS set, as the architecture")
    assert lines[0].endswith("; computed, not dumped")
    assert "6.1 without the patch" in lines[-1]
    assert "6.1 without" not in repr(handshake(kernels=["merged"]))
    assert len([line for line in lines if "aarch64" in line]) == 36
    assert "0x00001000" in repr(handshake(kernels=["old"]))


def test_a_conclusion_is_a_value() -> None:
    step = play("old", LE, [BRK]).history[0]
    assert conclude(step, U32) == Conclusion(step, READERS[U32])


BAD: list[Any] = [
    (lambda: READERS.find("qemu"), ("'qemu'", "u32 hsr, u64 hsr")),
    (lambda: READERS.find(["old"]), ("'old'", "legal")),  # type: ignore[arg-type]
    (lambda: read("old", "qemu", "arm", ESR), ("'qemu'", "u32 hsr, u64 hsr")),
    (lambda: read("new", U32, "arm", ESR), ("'new'", *KERNELS)),
    (lambda: read("old", U32, "vax", ESR), ("'vax'", "aarch64_be")),
    (lambda: read("old", U32, "arm", 1 << 64), ("ESR", "64 bits")),
    (lambda: read("old", U32, "arm", WATCH_ESR), ("watchpoint", "far")),
    (lambda: matrix(ESR, abis=["vax"]), ("'vax'", "aarch64_be")),
    (lambda: handshake(kernels=[]), ("kernels", "one at least")),
    (lambda: matrix(ESR, vmms=[U32, U32]), ("VMMs", "'u32 hsr'", "twice")),
    (lambda: matrix(ESR, abis="aarch64"), ("ABIs", "'aarch64'", "no list")),
    (
        lambda: conclude(play("old", LE, [BRK]).history[0], "qemu"),
        ("'qemu'", NO_REASON),
    ),
    (lambda: conclude(None, U32), ("None", "no step")),  # type: ignore[arg-type]
    (lambda: conclusions(BRK, U32), ("no Vcpu",)),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("row", BAD)
def test_bad_input_is_named(row: Any) -> None:
    act, words = row
    with pytest.raises(KvmvizError) as caught:
        act()
    for word in words:
        assert word in str(caught.value)

"""What programs conclude at every step: against a plain reading of the bytes, and case by case."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmviz import (
    DebugExit,
    KvmvizError,
    MmioExit,
    Struct,
    SystemEvent,
    Unhandled,
    Vcpu,
    parse,
)
from kvmviz.kvm import program as handshake
from kvmviz.kvm import scenario
from kvmviz.kvm.exits import Event, UserWrite
from kvmviz.kvm.kernel import KERNELS, POLICIES
from kvmviz.kvm.page import play
from kvmviz.kvm.program import READERS, VMMS, Conclusion, Vmm, conclude, conclusions
from kvmviz.kvm.scenario import SCENARIOS, Scenario, SideBySide, side_by_side
from kvmviz.kvm.words import sentence
from tests.strategies import steady
from tests.test_vcpu import BE, BRK, CLEAR, LE, SET, WATCH, events

UART = MmioExit(0x09000000, 4, b"\x5a\x5a\0\0")
HIGH_MMIO = MmioExit(0x8000001000, 4)

OWN = Vmm(
    "mine", "own types", "of one's own",
    parse("struct d { uint32_t hsr; uint32_t hsr_high; int64_t far; };")["d"], True,
)  # fmt: skip


def test_a_stale_flag_fools_though_the_exit_is_a_debug_exit() -> None:
    for abi, at in ((LE, 14), (BE, 15)):
        vcpu = play("widened", abi, [UserWrite(at, b"\1"), BRK])
        (row,) = [row for row in conclude(vcpu.history[-1], "flag_only").fooled if row.offset == at]
        assert (row.taken_for, row.stale) == ("the sign of a debug exit", True)
        assert not conclude(vcpu.history[-1], "flag_only").right


@pytest.mark.parametrize("abi", [LE, BE])
def test_what_types_a_program_spells_does_not_matter(abi: str) -> None:
    seen = conclude(play("merged", abi, [WATCH]).history[-1], OWN)
    assert seen.right
    assert seen.far == WATCH.far


@pytest.mark.parametrize("change", [{"checks": ("x",)}, {"checks": "reason"}, {"debug": "u32"},
                                    {"debug": Struct("s", {"a": "u32"})}])  # fmt: skip
def test_a_program_that_cannot_be_is_refused(change: Any) -> None:
    with pytest.raises(KvmvizError, match="mine"):
        replace(OWN, **change)


# --- a plain reading of the bytes ------------------------------------------------------------

# program: looks at what KVM_RUN returned, at exit_reason, at the flag before all else; how it
# reads hsr: as u64, or with hsr_high never, if the flag is set, always
PLAIN = {
    "old": (True, True, False, "never"),
    "u64": (True, True, False, "u64"),
    "flag": (True, True, False, "flag"),
    "blind": (True, True, False, "always"),
    "flag_only": (False, False, True, "flag"),
    "no_reason": (True, False, False, "flag"),
    "no_return": (False, True, False, "flag"),
    "no_ec": (True, True, False, "flag"),
}


def plainly(page: bytes, returned: int, big: bool, reader: str) -> int | None:
    """What the program reads for ESR out of the page's bytes, None if it sees no debug exit."""

    def number(at: int, size: int) -> int:
        return int.from_bytes(page[at : at + size], "big" if big else "little")

    on_return, on_reason, on_flag, high = PLAIN[reader]
    flag = bool(number(14, 2) & 1)
    if (on_return and returned) or (on_reason and number(8, 4) != 4) or (on_flag and not flag):
        return None
    if high == "u64":
        return number(32, 8)
    if high == "always" or (high == "flag" and flag):
        return number(36, 4) << 32 | number(32, 4)
    return number(32, 4)


@steady
@given(
    st.sampled_from([*KERNELS, *POLICIES]),
    st.booleans(),
    st.lists(events, max_size=8),
    st.sampled_from(list(READERS)),
)
def test_what_a_program_reads_is_in_the_bytes(
    kernel: str, big: bool, sequence: list[Event], reader: str
) -> None:
    vcpu = play(kernel, BE if big else LE, sequence)
    for seen in conclusions(vcpu, reader):
        step = seen.step
        if step.returned is None:
            assert (seen.looks, seen.takes, seen.right, seen.value) == (False, False, True, None)
            continue
        value = plainly(step.page.data, step.returned, big, reader)
        assert seen.value == value
        assert seen.takes is (value is not None)
        assert seen.happened is (isinstance(step.event, DebugExit) and not step.immediate)
        if seen.right and seen.takes:
            assert isinstance(step.event, DebugExit)
            assert value == step.event.esr % (1 << (seen.bits or 0))
            assert seen.far in (None, step.event.far)
        if seen.takes is not seen.happened:
            assert not seen.right
        for row in seen.fooled:
            assert row.source == step.page.sources[row.offset]
            assert row.stale is (step.state(row.offset) != "fresh")
        assert ("WRONG" in sentence(seen)) is not seen.right


def test_all_programs_are_held_against_a_plain_reading() -> None:
    assert list(READERS) == list(PLAIN)
    assert list(READERS)[:4] == list(VMMS)


@steady
@given(st.booleans(), st.lists(events, max_size=8))
def test_a_program_that_keeps_to_the_handshake_is_right_on_a_merged_kernel(
    big: bool, sequence: list[Event]
) -> None:
    """Whatever userspace poisons: on a debug exit the kernel writes all that this program reads."""
    vcpu = play("merged", BE if big else LE, sequence)
    assert all(seen.right for seen in conclusions(vcpu, "flag"))
    vcpu = play("merged", BE if big else LE, sequence)
    assert all(seen.right for seen in conclusions(vcpu, "old"))


# --- case by case ----------------------------------------------------------------------------

CASES: list[Any] = [
    # kernel, events, program; of the last step: takes, right, stale bytes on LE and on BE
    ("old", [BRK], "old", True, True, "", ""),
    ("old", [BRK], "flag", True, True, "", ""),
    ("old", [BRK], "blind", True, False, "36-39", "36-39"),
    ("old", [BRK], "no_ec", True, False, "40-47", "40-47"),
    ("old", [WATCH], "blind", True, False, "36-39", "36-39"),
    ("merged", [WATCH], "blind", True, True, "", ""),
    ("merged", [WATCH, BRK], "blind", True, True, "", ""),
    ("merged", [WATCH, BRK], "no_ec", True, False, "40-47", "40-47"),
    ("merged", [WATCH, BRK], "flag", True, True, "", ""),
    ("old", [BRK], "flag_only", False, False, "14", "15"),
    ("merged", [BRK], "flag_only", True, True, "", ""),
    ("v2", [BRK, UART], "flag_only", True, False, "14", "15"),
    ("merged", [BRK, UART], "flag_only", False, True, "", ""),
    ("v2", [BRK, UART], "flag", False, True, "", ""),
    ("v2", [BRK, UART], "no_reason", True, False, "14", "15"),
    ("merged", [BRK, SET, UART], "no_return", True, False, "8-11 14 32-39", "8-11 15 32-39"),
    ("merged", [BRK, SET, UART], "flag_only", True, False, "14 32-39", "15 32-39"),
    ("merged", [BRK, SET, UART], "flag", False, True, "", ""),
    ("merged", [BRK, SET, UART, CLEAR, UART], "no_return", False, True, "", ""),
    ("old", [UserWrite(14, b"\1\1"), BRK], "flag", True, False, "14 36-39", "15 36-39"),
    ("old", [UserWrite(14, b"\1\1"), BRK], "old", True, True, "", ""),
    ("v2_not_unknown", [BRK, Unhandled()], "flag_only", True, False, "14 32-39",
     "15 32-39"),
    ("v2_other_exits", [BRK, Unhandled()], "flag_only", False, True, "", ""),
    ("v2_entry", [BRK, Unhandled()], "flag_only", False, True, "", ""),
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
        assert sorted({row.offset for row in seen.fooled if row.stale}) == numbers(stale)


def test_a_widened_hsr_fools_by_bits_and_not_by_staleness() -> None:
    seen = conclude(play("widened", BE, [BRK]).history[-1], "old")
    assert [(row.offset, row.stale, row.taken_for) for row in seen.fooled] == [
        (at, False, "ESR[31:0]") for at in range(32, 36)
    ]
    assert (seen.value, seen.right) == (0, False)
    assert conclude(play("widened", LE, [BRK]).history[-1], "old").right


def test_a_value_that_fits_by_chance_is_not_right() -> None:
    seen = conclude(play("old", LE, [BRK]).history[-1], "blind")
    assert seen.value == BRK.esr
    assert not seen.right


def test_far_is_taken_by_those_who_read_a_watchpoint() -> None:
    vcpu = play("merged", BE, [WATCH, BRK])
    assert [seen.far for seen in conclusions(vcpu, "flag")] == [WATCH.far, None]
    assert [seen.far for seen in conclusions(vcpu, "no_ec")] == [WATCH.far, WATCH.far]
    odd = Vmm("odd", "its own", "of one's own", VMMS["old"].debug)
    assert conclude(vcpu.history[0], odd).far == WATCH.far


def test_a_program_on_an_abi_without_a_hole() -> None:
    """hsr_high moved far on i386: a program built with it reads half of far for ESR."""
    seen = conclude(play("old", "i386", [WATCH]).history[-1], "blind")
    assert {row.offset for row in seen.fooled} == {*range(36, 48)}
    assert conclude(play("merged", "i386", [WATCH]).history[-1], "flag").right


SENTENCES = [
    # kernel, events, program, on BE: words of the last step
    ("old", [HIGH_MMIO, BRK], "blind",
     ("WRONG", "0x00001000f2001234", "bytes 36..39", "mmio.phys_addr[31:0]", "step 0",
      "KVM_EXIT_MMIO", "0x00000000f2001234")),
    ("old", [BRK], "flag", ("debug exit", "0xf2001234", "BRK", "bits 63:32 to be unknown")),
    ("merged", [WATCH], "flag", ("0x00000000d2000062", "watchpoint", "far 0x40000800")),
    ("merged", [UART], "old", ("no debug exit", "KVM_EXIT_MMIO")),
    ("v2", [BRK, UART], "flag_only", ("WRONG", "takes this for a debug exit", "byte 15", "step 0")),
    ("old", [BRK], "flag_only", ("WRONG", "misses", "byte 15", "nobody wrote")),
    ("merged", [BRK, SET, UART], "flag", ("-EINTR", "immediate_exit")),
    ("merged", [SET], "flag", ("no KVM_RUN in this step",)),
    ("old", [UserWrite(14, b"\xff\xff"), BRK], "flag", ("WRONG", "flags", "userspace", "byte 15")),
    ("merged", [UART], "flag_only", ("no debug exit", "the flag is not set")),
]  # fmt: skip


@pytest.mark.parametrize(("kernel", "sequence", "reader", "words"), SENTENCES)
def test_a_conclusion_in_words(
    kernel: str, sequence: list[Event], reader: str, words: tuple[str, ...]
) -> None:
    seen = conclude(play(kernel, BE, sequence).history[-1], reader)
    for word in words:
        assert word in sentence(seen)
        assert word in repr(seen)
    assert ("✓" in repr(seen)) is seen.right


# --- scenarios -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("kernel", [*KERNELS, *POLICIES])
def test_every_scenario_plays_on_every_kernel(name: str, kernel: str) -> None:
    shown = scenario.find(name)
    assert shown.name == name
    for abi in (LE, BE, "i386", "m68k"):
        vcpu = shown.play(kernel, abi)
        assert tuple(step.event for step in vcpu.history) == shown.events


def hole(vcpu: Vcpu) -> int:
    order: Any = vcpu.page.layout.abi.byte_order
    return int.from_bytes(vcpu.page.data[36:40], order)


HOLES = [
    # scenario, what the old kernel's hole shows at its end on LE, on BE
    ("mmio_low", 0, 0x09000000), ("mmio_high", 0x80, 0x1000), ("ndata", 1, 1),
    ("poison", 0xAAAAAAAA, 0xAAAAAAAA), ("stale_far", 0, 0),
]  # fmt: skip


@pytest.mark.parametrize(("name", "little", "big"), HOLES)
def test_what_a_scenario_leaves_in_the_hole(name: str, little: int, big: int) -> None:
    for abi, expected in ((LE, little), (BE, big)):
        assert hole(SCENARIOS[name].play("old", abi)) == expected
        assert hole(SCENARIOS[name].play("merged", abi)) == 0


FOOLED = [
    # scenario, kernel, program, number of steps at which it is wrong
    ("stale_flag", "v2", "flag_only", 4), ("stale_flag", "merged", "flag_only", 0),
    ("failed_run", "v2_not_unknown", "flag_only", 1),
    ("failed_run", "v2_other_exits", "flag_only", 0), ("stale_flag", "v2", "flag", 0),
    ("immediate_exit", "merged", "no_return", 1), ("immediate_exit", "merged", "flag", 0),
    ("stale_far", "merged", "no_ec", 1), ("mmio_high", "old", "blind", 1),
    ("poison_flags", "old", "flag", 1), ("poison_flags", "merged", "flag", 0),
]  # fmt: skip


@pytest.mark.parametrize(("name", "kernel", "reader", "wrong"), FOOLED)
@pytest.mark.parametrize("abi", [LE, BE])
def test_what_a_scenario_teaches(name: str, kernel: str, reader: str, wrong: int, abi: str) -> None:
    seen = conclusions(SCENARIOS[name].play(kernel, abi), reader)
    assert sum(not row.right for row in seen) == wrong


def test_two_pages_side_by_side() -> None:
    pair = side_by_side("stale_flag", ("v2", BE), ("merged", BE))
    assert pair.differing == ((), (15,), (15,), (15,), (15,), ())
    assert "byte 15" in repr(pair)
    orders = side_by_side(Scenario("own", "", "", (BRK,)), ("old", LE), ("old", BE))
    assert orders.differing == ((8, 11, 32, 33, 34, 35),)


def test_pages_with_other_events_are_not_compared() -> None:
    for one, other, at in (([BRK], [WATCH], 0), ([BRK], [BRK, UART], 1), ([], [BRK], 0)):
        with pytest.raises(KvmvizError, match=f"step {at}"):
            SideBySide(play("old", LE, one), play("v2", LE, other))


# --- the handshake ---------------------------------------------------------------------------


def test_the_handshake_has_every_cell() -> None:
    cells = handshake.handshake().cells
    assert len(cells) == 3 * 3 * 2 * 2
    told = {(c.kernel.name, c.vmm.name, c.before, c.vcpu.page.layout.abi.name): c for c in cells}
    assert len(told) == len(cells)
    for (kernel, vmm, before, abi), cell in told.items():
        new = kernel != "old"
        assert cell.stale_flag is (kernel == "v2")
        if vmm == "old":
            assert (cell.knows, cell.right) == (32, True)
        elif vmm == "flag":
            assert (cell.knows, cell.right) == (64 if new else 32, True)
        else:  # right where somebody wrote hsr_high
            assert (cell.knows, cell.right) == (64 if new else 0, new)
        left = 0 if before == "fresh" else 0x80 if abi == LE else 0x1000
        assert cell.hole == (0x00A5C3E1 if new else left)


def test_the_handshake_of_others() -> None:
    (cell, _) = handshake.handshake(0xF2000000, ["v2"], ["flag_only"], [BE]).cells
    assert (cell.knows, cell.right, cell.later.takes) == (64, False, True)
    with pytest.raises(KvmvizError, match="at least"):
        handshake.handshake(kernels=[])


def test_text_of_the_handshake() -> None:
    lines = repr(handshake.handshake()).splitlines()
    assert "synthetic" in lines[0]
    assert len([line for line in lines if "aarch64" in line]) == 36
    assert "0x00001000" in repr(handshake.handshake(kernels=["old"]))


# --- text ------------------------------------------------------------------------------------


KERNEL_WORDS = {
    "old": ("hsr, __u64 far", "flags untouched", "cleared: never"),
    "widened": ("__u64 hsr, __u64 far", "flags untouched", "cleared: never"),
    "v2": ("__u32 hsr_high", "flags |= 1", "cleared: never"),
    "merged": ("__u32 hsr_high", "flags = 1", "cleared: on KVM_RUN entry"),
    "v2_entry": ("flags |= 1", "cleared: on KVM_RUN entry"),
    "v2_other_exits": ("flags |= 1", "cleared: on every exit but DEBUG"),
    "v2_not_unknown": ("flags |= 1", "cleared: on every exit but UNKNOWN"),
}


def test_a_kernel_is_told_in_a_line() -> None:
    for name, kernel in {**KERNELS, **POLICIES}.items():
        assert repr(kernel).startswith(f"{name} kernel ({kernel.when})")
        assert "\n" not in repr(kernel)
        for word in KERNEL_WORDS[name]:
            assert word in repr(kernel)
    own = replace(KERNELS["old"], clears=frozenset({"entry", "MMIO", "INTR"}))
    assert "cleared: on KVM_RUN entry and on MMIO, INTR" in repr(own)


def test_text_of_a_history() -> None:
    vcpu = SCENARIOS["immediate_exit"].play("merged", BE)
    lines = repr(vcpu).splitlines()
    assert len(lines) == 2 + len(vcpu.history)
    assert "merged kernel, aarch64_be (big-endian)" in lines[0]
    assert "immediate exit" in lines[4]
    assert "-4" in lines[4]


def test_text_of_a_step() -> None:
    step = play("old", BE, [HIGH_MMIO, UserWrite(40, b"abcd"), BRK]).history[-1]
    shown = " ".join(repr(step).split())
    assert "gets 61 62 63 64" in shown
    assert "+36 00 00 10 00 stale mmio.phys_addr step 0, KVM_EXIT_MMIO" in shown
    assert "+32 f2 00 12 34 fresh debug.arch.hsr this step, KVM_EXIT_DEBUG" in shown
    assert "+40 61 62 63 64 stale exit union step 1, userspace" in shown
    assert "+0 00 00 00 00 00 00 00 00 untouched" in shown
    assert "flags 0x0 (never written)" in shown


def test_text_of_a_step_that_writes_far_down() -> None:
    vcpu = play("old", BE, [SystemEvent(1), UserWrite(2000, b"x")])
    for shown, last in ((vcpu.history[-1], "this step"), (vcpu.page, "step 1")):
        assert repr(shown).splitlines()[-1].split("; ") == [
            "  bytes 64..167: step 0, KVM_EXIT_SYSTEM_EVENT",
            "bytes 168..1999: zero since the page was made",
            f"byte 2000: {last}, userspace",
            "bytes 2001..2351: zero since the page was made",
        ]
        assert "+36  00 00 00 01" in repr(shown)


def test_a_made_up_esr_is_called_synthetic_wherever_it_is_shown() -> None:
    made_up = DebugExit(0x00A5C3E1_F2001234)
    vcpu = play("merged", BE, [made_up])
    own = Scenario("own", "own", "", (made_up,), True)
    for shown in (vcpu, vcpu.history[0], own, side_by_side(own, ("old", BE), ("v2", BE))):
        assert "synthetic" in repr(shown)
        assert "synthetic" not in repr(play("merged", BE, [BRK]))


@pytest.mark.parametrize("name", [*SCENARIOS])
def test_text_of_a_scenario(name: str) -> None:
    shown = repr(SCENARIOS[name])
    assert SCENARIOS[name].title in shown
    assert f"step {len(SCENARIOS[name].events) - 1}" in shown


BAD: list[Any] = [
    (lambda: scenario.find("x"), ("'x'", "stale_flag")),
    (lambda: scenario.find(["x"]), ("'x'", "stale_flag")),  # type: ignore[arg-type]
    (lambda: Scenario("own", "", "", (BRK, 5)), ("own", "step 1", "5")),  # type: ignore[arg-type]
    (lambda: conclude(play("old", LE, [BRK]).history[0], "qemu"), ("'qemu'", "no_reason")),
    (lambda: side_by_side("ndata", ("older", LE), ("old", LE)), ("'older'", "merged")),
]


@pytest.mark.parametrize("row", BAD)
def test_bad_input_is_named(row: Any) -> None:
    act, words = row
    with pytest.raises(KvmvizError) as caught:
        act()
    for word in words:
        assert word in str(caught.value)


def test_a_conclusion_is_a_value() -> None:
    step = play("old", LE, [BRK]).history[0]
    assert conclude(step, "old") == Conclusion(step, READERS["old"])

"""The page over time: against an oracle that pokes single bytes, and rule by rule."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kvmviz
from kvmviz import (
    ABIS,
    DebugExit,
    Image,
    Interrupted,
    KvmvizError,
    MmioExit,
    SystemEvent,
    Unhandled,
    Vcpu,
)
from kvmviz.kvm.conclusion import conclusions
from kvmviz.kvm.exits import ArmNisv, Event, Exit, Served, UserWrite
from kvmviz.kvm.kernel import KERNELS, MERGED, POLICIES, WIDENED, Kernel
from kvmviz.kvm.page import member, play
from kvmviz.kvm.scenario import SCENARIOS
from tests.compilers import ABI_NAMES
from tests.proof_page import BE, BRK, CLEAR, LE, SET, Case, case, differences
from tests.strategies import ORDER, steady


@steady
@given(st.randoms(use_true_random=False).map(case))
def test_page_and_programs_are_as_the_oracles_say(drawn: Case) -> None:
    assert differences(*drawn) == []


RETURNS: list[tuple[Exit, int, int]] = [
    # exit, what the ioctl returns, exit_reason
    (BRK, 0, 4), (MmioExit(0, 1), 0, 6), (SystemEvent(1), 0, 24), (Interrupted(), -4, 10),
    (Unhandled(), -38, 0), (ArmNisv(0x47, 0x8000001000), 0, 28),
]  # fmt: skip


@pytest.mark.parametrize(("exit", "returned", "reason"), RETURNS)
@pytest.mark.parametrize("abi", [LE, BE])
@pytest.mark.parametrize("kernel", [*KERNELS, *POLICIES])
def test_what_kvm_run_returns(
    kernel: str, abi: str, exit: Exit, returned: int, reason: int
) -> None:
    vcpu = play(kernel, abi, [BRK])
    assert vcpu.run(exit) == returned
    step = vcpu.history[-1]
    assert (step.returned, step.reason, step.immediate) == (returned, reason, False)
    assert step.exit is exit
    assert bytes(vcpu.page)[8:12] == reason.to_bytes(4, "little" if abi == LE else "big")


@pytest.mark.parametrize("exit", [row[0] for row in RETURNS])
@pytest.mark.parametrize("value", [1, 2, 0x80, 0xFF])
@pytest.mark.parametrize("kernel", [*KERNELS, *POLICIES])
def test_immediate_exit_writes_nothing(kernel: str, value: int, exit: Exit) -> None:
    for first in (BRK, MmioExit(4, 8), SystemEvent(2)):
        vcpu = play(kernel, BE, [first, UserWrite(1, bytes([value]))])
        before = vcpu.page
        assert vcpu.run(exit) == -4
        assert vcpu.page == before
        step = vcpu.history[-1]
        assert (step.written, step.changed, step.immediate, step.exit) == ((), (), True, None)
        assert vcpu.page.data[1] == value, "the kernel does not clear it"
        assert step.reason == {BRK: 4, SystemEvent(2): 24}.get(first, 6)


FLAGS = [
    # kernel, flags after a debug exit, and after each exit that follows
    ("old", 0, (0, 0, 0, 0)), ("widened", 0, (0, 0, 0, 0)), ("v2", 1, (1, 1, 1, 1)),
    ("merged", 1, (0, 0, 0, 0)), ("v2_entry", 1, (0, 0, 0, 0)),
    ("v2_other_exits", 1, (0, 0, 0, 0)), ("v2_not_unknown", 1, (0, 0, 0, 1)),
]  # fmt: skip


@pytest.mark.parametrize(("kernel", "debug", "after"), FLAGS)
@pytest.mark.parametrize("abi", [LE, BE])
def test_who_clears_the_flag(kernel: str, debug: int, after: tuple[int, ...], abi: str) -> None:
    exits: list[Exit] = [MmioExit(0, 1), SystemEvent(1), Interrupted(), Unhandled()]
    for exit, flags in zip(exits, after, strict=True):
        vcpu = play(kernel, abi, [BRK, exit])
        assert [step.flags for step in vcpu.history] == [debug, flags]


def test_flags_that_userspace_left_there() -> None:
    """Patch v2 adds its bit to them, the merged patch overwrites them, others leave them."""
    expected = {"old": 0xFFFE, "widened": 0xFFFE, "v2": 0xFFFF, "merged": 1, "v2_entry": 1}
    for kernel, flags in expected.items():
        for abi, poison in ((LE, b"\xfe\xff"), (BE, b"\xff\xfe")):
            vcpu = play(kernel, abi, [UserWrite(14, poison), BRK])
            assert vcpu.history[-1].flags == flags, (kernel, abi)


POISONED = [
    # policy or kernel, flags after a debug exit where userspace had set all of them
    ("v2", 0xFFFF), ("v2_other_exits", 0xFFFF), ("v2_not_unknown", 1), ("v2_entry", 1),
    ("merged", 1), ("old", 0xFFFF), ("widened", 0xFFFF),
]  # fmt: skip


@pytest.mark.parametrize(("kernel", "flags"), POISONED)
@pytest.mark.parametrize("abi", [LE, BE])
def test_a_debug_exit_clears_flags_where_the_policy_says_so(
    kernel: str, flags: int, abi: str
) -> None:
    assert play(kernel, abi, [UserWrite(14, b"\xff\xff"), BRK]).history[-1].flags == flags


def test_a_flag_cleared_on_debug_exits_is_set_all_the_same() -> None:
    for flag, expected in (("|=", 1), ("=", 1), ("", 0)):
        kernel = Kernel("own", "never", MERGED, flag, frozenset({"DEBUG"}))  # type: ignore[arg-type]
        vcpu = play(kernel, BE, [UserWrite(14, b"\xff\xff"), BRK])
        assert vcpu.history[-1].flags == expected


HANDLER = (0x30, 0x32, 0x34, 0x38, 0x3C)
"""EC that Linux 6.1's arm_exit_handlers hand to kvm_handle_guest_debug()."""

LEFT: list[tuple[Event, int, int]] = [
    # what happens before a debug exit; the old kernel's hole as a u32 on LE, on BE
    (Served(0x08000100, 4), 0, 0x08000100),
    (Served(0x8008000004, 4, b"abcd"), 0x80, 0x08000004),
    (ArmNisv(0x47, 0x8000001000), 0, 0x47),
    (MmioExit(0x09000000, 4), 0, 0x09000000),
    (MmioExit(0x8000001000, 4), 0x80, 0x1000),
    (SystemEvent(1), 1, 1),
    (SystemEvent(2, 0xFF), 1, 1),
    (SystemEvent(4), 0, 0),
    (SystemEvent(5), 0, 0),
    (Interrupted(), 0, 0),
    (Unhandled(), 0, 0),
]


@pytest.mark.parametrize(("exit", "little", "big"), LEFT)
def test_what_the_old_kernels_hole_shows(exit: Event, little: int, big: int) -> None:
    for abi, order, expected in ((LE, "little", little), (BE, "big", big)):
        for kernel, shown in (("old", expected), ("merged", 0), ("v2", 0)):
            page = bytes(play(kernel, abi, [exit, BRK]).page)
            assert int.from_bytes(page[36:40], order) == shown  # type: ignore[arg-type]


SERVED: list[tuple[Served, str]] = [
    # an access, and bytes 32..55 on BE where all were 0xaa
    (Served(0x08000004, 4, b"\3\0\x20\0"), "0000000008000004 03002000aaaaaaaa 0000000400aaaaaa"),
    (Served(0x1234, 1, b"z"), "0000000000001234 7aaaaaaaaaaaaaaa 0000000100aaaaaa"),
    (Served(0x08000100, 8), "0000000008000100 aaaaaaaaaaaaaaaa 0000000801aaaaaa"),
]


@pytest.mark.parametrize(("access", "held"), SERVED)
@pytest.mark.parametrize("kernel", [*KERNELS, *POLICIES])
def test_an_access_that_kvm_serves(kernel: str, access: Served, held: str) -> None:
    """Linux, io_mem_abort(): data of a read alone; no exit_reason, and the guest goes on."""
    vcpu = play(kernel, BE, [UserWrite(32, b"\xaa" * 24), BRK, access])
    step = vcpu.history[-1]
    assert vcpu.page.data[32:56].hex(" ", 8) == held
    assert (step.returned, step.is_run, step.exit) == (None, False, None)
    assert step.reason == 0, "of entry"
    source = vcpu.page.sources[36]
    assert source is not None
    assert source.write == (2, "kernel", "access that KVM served")
    assert vcpu.run(BRK) == 0
    entered = [at for at in vcpu.history[-1].written if at < 16]
    assert entered == ([8, 9, 10, 11] if kernel in ("old", "widened") else [*range(8, 12), 14, 15])


def test_a_program_is_fooled_by_an_access_that_it_never_heard_of() -> None:
    vcpu = play("old", BE, [Served(0x08000100, 4), BRK])
    first, seen = conclusions(vcpu, "hsr_high, flag ignored")
    assert (first.step.is_run, first.right) == (False, True)
    assert "KVM_RUN has not returned" in repr(first)
    assert seen.value == 0x08000100_F2001234
    assert "mmio.phys_addr[31:0] of step 0, access that KVM served" in repr(seen)


def test_a_served_access_is_part_of_one_kvm_run() -> None:
    """Entry, and what it completes, comes before it; the exit after it does not enter again."""
    read = MmioExit(0x09000000, 4)
    vcpu = play("merged", LE, [read, UserWrite(40, b"wxyz"), Served(0x08000004, 4, b"abcd")])
    assert (vcpu.history[-1].completed, vcpu.reads) == (read, (b"wxyz",))
    vcpu.user_write(1, b"\1")  # from another thread: too late for this run
    assert vcpu.run(BRK) == 0
    assert vcpu.history[-1].written == (*range(8, 12), 14, 15, *range(32, 40))
    assert vcpu.run(BRK) == -4


def test_an_access_that_is_not_reached() -> None:
    vcpu = play("old", BE, [BRK, SET, Served(0x08000100, 4)])
    step = vcpu.history[-1]
    assert (step.returned, step.immediate, step.written) == (-4, True, ())
    assert "not reached: no exit, KVM serves it" in repr(step)
    vcpu.run(Interrupted())
    assert "not reached" not in repr(vcpu.history[-1])


def test_a_served_access_takes_the_place_of_one_that_was_pending() -> None:
    """mmio_needed is 0 then, so KVM_RUN completes nothing, whatever exit_reason says."""
    six = UserWrite(8, (6).to_bytes(4, "little"))
    events: list[Event] = [MmioExit(0, 4), UserWrite(8, bytes(4)), Interrupted(), six]
    assert play("old", LE, [*events, BRK]).history[-1].completed == MmioExit(0, 4)
    events[2:2] = [Served(8, 4)]
    assert play("old", LE, [*events, BRK]).history[-1].completed is None


LEVELS = [
    # byte order, what lay in device_irq_level, the levels, what lies there then
    (LE, "0000000000000000", 1, "0100000000000000"),
    (BE, "0000000000000000", 1, "0000000000000001"),
    (LE, "ffffffffffffffff", 2, "faffffffffffffff"),
    (BE, "ffffffffffffffff", 4, "fffffffffffffffc"),
]


@pytest.mark.parametrize(("abi", "held", "level", "left"), LEVELS)
def test_levels_where_the_kernel_has_no_interrupt_controller(
    abi: str, held: str, level: int, left: str
) -> None:
    """Bits of s.regs.device_irq_level: the virtual timer, the physical timer, the PMU."""
    vcpu = Vcpu("merged", abi, level)
    vcpu.user_write(304, bytes.fromhex(held))
    assert vcpu.run(Unhandled()) == -38
    assert vcpu.page.data[304:312].hex() == left
    assert vcpu.history[-1].written[-8:] == tuple(range(304, 312))
    assert "KVM_RUN return" in repr(vcpu.page)
    for other in (play("merged", abi, [BRK]), play("merged", abi, [SET, BRK, CLEAR])):
        assert other.page.unwritten[-8 - 2040 :] == tuple(range(304, 2352))
    vcpu.user_write(1, b"\1")
    vcpu.run(BRK)
    assert vcpu.history[-1].written == (), "immediate_exit"


def test_far_is_written_for_one_class_alone() -> None:
    for ec in HANDLER:
        vcpu = play("merged", LE, [UserWrite(40, b"\xaa" * 8), DebugExit(ec << 26, 0x1234)])
        far = (0x1234).to_bytes(8, "little") if ec == 0x34 else b"\xaa" * 8
        assert bytes(vcpu.page)[40:48] == far, ec
        assert bytes(vcpu.page)[48:] == bytes(2352 - 48)


def test_the_other_abis_have_their_own_offsets() -> None:
    """On i386 and m68k there is no hole: far lies behind hsr."""
    for abi in ABI_NAMES:
        page = bytes(play("old", abi, [DebugExit(0xD2000062, 0x1122334455667788)]).page)
        start = 36 if abi in ("i386", "m68k") else 40
        assert page[start : start + 8] == (0x1122334455667788).to_bytes(8, ORDER[abi])
        assert page[32:36] == (0xD2000062).to_bytes(4, ORDER[abi])


REPLIES: list[Any] = [
    # length, what happens between exit and next run; what the guest gets
    (4, [UserWrite(40, b"abcdefgh")], b"abcd"),
    (8, [UserWrite(40, b"abcdefgh")], b"abcdefgh"),
    (1, [UserWrite(40, b"a"), UserWrite(40, b"b")], b"b"),
    (2, [], b"\0\0"),
    (4, [UserWrite(40, b"abcd"), SET], b"abcd"),
    (4, [UserWrite(48, b"\0\0\0\0")], b"\0\0\0\0"),  # the kernel knows the length by itself
    (4, [UserWrite(8, b"\0\0\0\0")], None),  # it does look for exit_reason
]


@pytest.mark.parametrize(("length", "between", "got"), REPLIES)
@pytest.mark.parametrize("abi", [LE, BE])
def test_what_the_guest_gets_from_a_read(
    length: int, between: list[Event], got: bytes | None, abi: str
) -> None:
    access = MmioExit(0x09000000, length)
    vcpu = play("merged", abi, [access, *between])
    assert vcpu.reads == ()
    vcpu.run(Interrupted())
    step = vcpu.history[-1]
    assert (step.completed, step.got) == (access if got is not None else None, got)
    assert vcpu.reads == (() if got is None else (got,))
    vcpu.run(Interrupted())
    assert vcpu.history[-1].completed is None, "once"


def test_a_read_leaves_what_lies_there() -> None:
    vcpu = play("old", LE, [UserWrite(40, b"12345678"), MmioExit(0, 8)])
    assert bytes(vcpu.page)[40:48] == b"12345678"
    vcpu.run(BRK)
    assert vcpu.reads == (b"12345678",)


def test_a_write_is_completed_and_gives_the_guest_nothing() -> None:
    access = MmioExit(0, 2, b"ab")
    vcpu = play("old", LE, [access, BRK])
    assert (vcpu.history[-1].completed, vcpu.history[-1].got) == (access, None)
    assert vcpu.reads == ()


def test_an_access_run_into_again_is_completed_once() -> None:
    access, other = MmioExit(0, 2), MmioExit(8, 4)
    vcpu = play("old", LE, [access, UserWrite(8, bytes(4)), other, UserWrite(40, b"wxyz"), BRK])
    assert [step.completed for step in vcpu.history if step.completed] == [other]
    assert vcpu.reads == (b"wxyz",)


def labels(page: Image, *offsets: int) -> list[str]:
    told = []
    for at in offsets:
        source = page.sources[at]
        if source is None or source.write is None:
            told.append("nobody")
        else:
            write = source.write
            told.append(f"{write.step} {write.by} {write.what}: {source.label}")
    return told


def test_every_byte_knows_its_last_writer() -> None:
    vcpu = play("old", BE, [MmioExit(0x8000001000, 4), UserWrite(40, b"abcd"), BRK, Unhandled()])
    assert labels(vcpu.page, 0, 8, 14, 32, 36, 39, 40, 44, 52) == [
        "nobody",
        "3 kernel KVM_RUN entry: exit_reason[31:24]",
        "nobody",
        "2 kernel KVM_EXIT_DEBUG: debug.arch.hsr[31:24]",
        "0 kernel KVM_EXIT_MMIO: mmio.phys_addr[31:24]",
        "0 kernel KVM_EXIT_MMIO: mmio.phys_addr[7:0]",
        "1 userspace write: padding[8]",
        "nobody",
        "0 kernel KVM_EXIT_MMIO: mmio.is_write",
    ]
    assert [vcpu.history[-1].state(at) for at in (0, 8, 36, 40)] == [
        "untouched", "fresh", "stale", "stale",
    ]  # fmt: skip
    assert vcpu.page.sources == vcpu.history[-1].page.sources


def test_zeros_of_a_system_event_have_a_writer() -> None:
    vcpu = play("merged", LE, [SystemEvent(1)])
    assert vcpu.page.unwritten == (*range(8), 12, 13, *range(16, 32), *range(168, 2352))
    assert labels(vcpu.page, 167) == [
        "0 kernel KVM_EXIT_SYSTEM_EVENT: system_event.data[15][63:56]"
    ]


def test_steps_of_a_history() -> None:
    vcpu = Vcpu("v2", LE)
    assert not vcpu.history
    assert vcpu.page.unwritten == tuple(range(2352))
    vcpu.user_write(14, b"\1\0")
    vcpu.run(BRK)
    one, two = vcpu.history
    assert (one.number, one.is_run, one.returned, one.written) == (0, False, None, (14, 15))
    assert one.changed == (14,)
    assert (two.number, two.is_run, two.event) == (1, True, BRK)
    assert two.written == (*range(8, 12), 14, 15, *range(32, 40))
    assert 14 not in two.changed, "the flag was set before"
    assert two.before is one.page
    assert (two.reason, two.flags) == (4, 1)
    assert isinstance(vcpu.page, Image)
    assert vcpu.page.layout.struct.tag == "kvm_run"


def test_an_empty_write_changes_nothing() -> None:
    for at in (0, 2352):
        vcpu = Vcpu("old", LE)
        vcpu.user_write(at, b"")
        assert (vcpu.history[0].written, vcpu.page.data) == ((), bytes(2352))


def test_buffers_that_can_be_written() -> None:
    for data in (b"\1\2", bytearray(b"\1\2"), memoryview(b"\1\2")):
        vcpu = Vcpu("old", LE)
        vcpu.user_write(2350, data)
        assert bytes(vcpu.page)[2350:] == b"\1\2"


def test_what_was_written_stays_though_the_buffer_changes() -> None:
    data = bytearray(b"\1")
    vcpu = Vcpu("old", LE)
    vcpu.user_write(0, data)
    data[0] = 9
    assert vcpu.page.data[0] == 1
    assert bytes(vcpu.history[0].event) == b"\1"  # type: ignore[arg-type]


def test_a_run_that_cannot_be_leaves_an_access_pending() -> None:
    vcpu = Vcpu("merged", LE)
    vcpu.run(MmioExit(0x1000, 4))
    vcpu.user_write(40, b"abcd")
    with pytest.raises(KvmvizError):
        vcpu.run(DebugExit(0xD2000062))
    with pytest.raises(KvmvizError):
        vcpu.run(Exit())
    vcpu.run(Interrupted())
    assert vcpu.reads == (b"abcd",)


def test_a_kernel_of_ones_own() -> None:
    """A fifth kernel: the widened struct, with the flag and the clearing of the merged one."""
    fifth = replace(KERNELS["merged"], name="fifth", debug=WIDENED)
    page = bytes(play(fifth, BE, [DebugExit(0x12_F2001234), MmioExit(0, 1)]).page)
    assert page[14:16] == b"\0\0"
    assert (
        bytes(play(fifth, BE, [DebugExit(0x12_F2001234)]).page)[32:40].hex() == "00000012f2001234"
    )


def test_a_member_is_read_in_the_pages_own_order() -> None:
    for abi in ABIS:
        assert member(play("merged", abi, [BRK]).page, "exit_reason") == 4


def test_text_of_a_history() -> None:
    vcpu = SCENARIOS["immediate_exit"].play("merged", BE)
    lines = repr(vcpu).splitlines()
    assert len(lines) == 2 + len(vcpu.history)
    assert "merged kernel, aarch64_be (big-endian)" in lines[0]
    assert "immediate exit" in lines[4]
    assert "-4" in lines[4]


def test_text_of_a_step() -> None:
    step = play("old", BE, [MmioExit(0x8000001000, 4), UserWrite(40, b"abcd"), BRK]).history[-1]
    shown = " ".join(repr(step).split())
    assert "gets 61 62 63 64" in shown
    assert "+36 00 00 10 00 mmio.phys_addr step 0, KVM_EXIT_MMIO" in shown
    assert "+32 f2 00 12 34 debug.arch.hsr this step, KVM_EXIT_DEBUG" in shown
    assert "+40 61 62 63 64 exit union step 1, userspace" in shown
    assert "+0 00 00 00 00 00 00 00 00 - never written" in shown
    assert "flags 0x0" in shown


def test_text_of_a_step_that_writes_far_down() -> None:
    vcpu = play("old", BE, [SystemEvent(1), UserWrite(2000, b"x")])
    for shown, last in ((vcpu.history[-1], "this step"), (vcpu.page, "step 1")):
        assert repr(shown).splitlines()[-1].split("; ") == [
            "  bytes 64..167: step 0, KVM_EXIT_SYSTEM_EVENT",
            "bytes 168..1999: never written",
            f"byte 2000: {last}, userspace",
            "bytes 2001..2351: never written",
        ]
        assert "+36  00 00 00 01" in repr(shown)


BAD: list[tuple[Callable[[Vcpu], object], tuple[str, ...]]] = [
    (lambda v: v.user_write(-1, b"a"), ("-1", "0..2351")),
    (lambda v: v.user_write(2352, b"a"), ("2352", "0..2351")),
    (lambda v: v.user_write(2353, b""), ("2353", "0..2351")),
    (lambda v: v.user_write(2350, b"abc"), ("3 bytes at 2350", "0..2351")),
    (lambda v: v.user_write(0, bytes(2353)), ("2353 bytes at 0", "0..2351")),
    (lambda v: v.user_write(1.5, b"a"), ("1.5", "offset")),  # type: ignore[arg-type]
    (lambda v: v.user_write(True, b"a"), ("True", "offset")),
    (lambda v: v.user_write(1, "a"), ("str", "bytes")),  # type: ignore[arg-type]
    (lambda v: v.user_write(1, 1), ("int", "bytes")),  # type: ignore[arg-type]
    (lambda v: v.user_write(1, np.int64(1)), ("int64", "bytes")),  # type: ignore[arg-type]
    (lambda v: v.user_write(0, np.array([None])), ("ndarray", "objects")),  # type: ignore[arg-type]
    (lambda v: v.history[0].state(-1), ("-1", "0..2351")),
    (lambda v: v.history[0].state(2352), ("2352", "0..2351")),
    (lambda v: v.history[0].image("nope"), ("'nope'", "debug.arch", "mmio")),
    (lambda v: v.history[0].image("hsr"), ("'hsr'", "debug.arch", "mmio")),
    (lambda v: v.run(Exit()), ("no exit", "DebugExit")),
    (lambda v: v.run(DebugExit(0xD2000062)), ("0xd2000062", "watchpoint", "far")),
    (lambda v: v.run(DebugExit(0xD2000062, 1 << 64)), ("far", "64 bits")),
    (lambda v: v.run("brk"), ("'brk'", "DebugExit", "Unhandled")),  # type: ignore[arg-type]
    (lambda v: v.run(SET), ("UserWrite", "DebugExit")),  # type: ignore[arg-type]
    (lambda v: v.apply(None), ("None", "UserWrite")),  # type: ignore[arg-type]
    (lambda v: Vcpu("newer", LE), ("'newer'", "old, widened, v2, merged")),
    (lambda v: Vcpu("old", "vax"), ("'vax'", *ABIS)),
    (lambda v: Vcpu("old", LE, 8), ("irq_level 8", "0 .. 7")),
    (lambda v: Vcpu("old", LE, True), ("irq_level True", "0 .. 7")),
    (lambda v: v.run(Served(0, 4)), ("Served", "DebugExit")),  # type: ignore[arg-type]
]  # fmt: skip


@pytest.mark.parametrize("row", BAD)
def test_bad_input_is_named_and_changes_nothing(row: Any) -> None:
    act, words = row
    vcpu = play("v2", BE, [BRK, SET, MmioExit(0, 4)])
    page, history = vcpu.page, vcpu.history
    with pytest.raises(KvmvizError) as caught:
        act(vcpu)
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (vcpu.page, vcpu.history) == (page, history)


def test_names_at_the_top() -> None:
    assert len(kvmviz.__all__) < 20
    assert kvmviz.Vcpu is Vcpu
    assert {"DebugExit", "MmioExit", "SystemEvent", "Interrupted", "Unhandled"} < set(
        kvmviz.__all__
    )


def test_a_page_says_all_it_knows_whatever_was_loaded_before() -> None:
    code = "import kvmviz.text, kvmviz; print(kvmviz.Vcpu('old', 'aarch64').page)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "never written" in done.stdout

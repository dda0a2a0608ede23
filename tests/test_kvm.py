"""The package against hostile calls, and what is new in it: a kind of exit, a kernel, a program."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest

from kvmviz import (
    DebugExit,
    KvmvizError,
    Member,
    MmioExit,
    Struct,
    SystemEvent,
    Vcpu,
    board,
    captures,
)
from kvmviz.abi import Abi
from kvmviz.ctype import SCALARS
from kvmviz.kvm import kernel, patch, program, scenario
from kvmviz.kvm.conclusion import conclude, conclusions, handshake
from kvmviz.kvm.exits import ENOSYS, Exit, UserWrite, Values
from kvmviz.kvm.kernel import KERNELS, OLD, POLICIES, WIDENED, Kernel
from kvmviz.kvm.page import member, play
from kvmviz.kvm.program import VMMS, Vmm, matrix, read
from kvmviz.kvm.scenario import Scenario
from tests.proof_page import BE, BRK, LE, UART

# --- hostile calls ---------------------------------------------------------------------------

HUGE = 10**5000
DEEP: list[Any] = []
for _ in range(5000):
    DEEP = [DEEP]
ODD: list[Any] = [
    None, HUGE, -HUGE, 1 << 64, -1, 1.5, float("nan"), "x" * 100_000, "\x1b[0m", "\ud800",
    b"x" * 100_000, DEEP, [DEEP], {}, {1: 2}, set(), object(), object, Exit, Exit(), np.zeros(3),
    np.array(["a"]), np.float64(2), True, (), [None], ("old", "old"), BRK,
]  # fmt: skip

STEP = play("old", LE, [BRK]).history[0]
CALLS: dict[str, Callable[[Any], object]] = {
    "Vcpu, kernel": lambda odd: Vcpu(odd, LE),
    "Vcpu, ABI": lambda odd: Vcpu("old", odd),
    "run": lambda odd: Vcpu("old", LE).run(odd),
    "apply": lambda odd: Vcpu("old", LE).apply(odd),
    "user_write, offset": lambda odd: Vcpu("old", LE).user_write(odd, b"a"),
    "user_write, data": lambda odd: Vcpu("old", LE).user_write(0, odd),
    "state": STEP.state,
    "image": STEP.image,
    "member": lambda odd: member(STEP.page, odd),
    "patch.edit": patch.edit,
    "DebugExit, esr": DebugExit,
    "DebugExit, far": lambda odd: DebugExit(0xF2001234, odd),
    "MmioExit, phys_addr": lambda odd: MmioExit(odd, 4),
    "MmioExit, length": lambda odd: MmioExit(0, odd),
    "MmioExit, data": lambda odd: MmioExit(0, 4, odd),
    "SystemEvent, type": SystemEvent,
    "SystemEvent, data": lambda odd: SystemEvent(1, odd),
    "play, kernel": lambda odd: play(odd, LE, []),
    "play, ABI": lambda odd: play("old", odd, []),
    "play, events": lambda odd: play("old", LE, odd),
    "play, event": lambda odd: play("old", LE, [odd]),
    "captures.event": captures.event,
    "captures.event, kind": lambda odd: captures.event({"kind": odd}),
    "captures.event, esr": lambda odd: captures.event({"kind": "brk", "esr": odd}),
    "captures.event, data": lambda odd: captures.event(
        {"kind": "user_write", "offset": 0, "data": odd}
    ),
    "captures.parse": lambda odd: list(captures.parse(odd)),
    "captures.find, kernel": lambda odd: captures.find(odd, "big", "brk"),
    "captures.find, byte order": lambda odd: captures.find("old", odd, "brk"),
    "captures.find, scenario": lambda odd: captures.find("old", "big", odd),
    "captures.find, step": lambda odd: captures.find("old", "big", "brk", odd),
    "captures.replay": captures.replay,
    "captures.readings, scenario": captures.readings,
    "captures.readings, VMM": lambda odd: captures.readings("brk", odd),
    "Dump.reading": lambda odd: captures.load()[0].reading(odd),
    "ALL_KERNELS.find": kernel.ALL_KERNELS.find,
    "READERS.find": program.READERS.find,
    "scenario.find": scenario.find,
    "conclude, step": lambda odd: conclude(odd, "u32 hsr"),
    "conclude, VMM": lambda odd: conclude(STEP, odd),
    "conclusions, Vcpu": lambda odd: conclusions(odd, "u32 hsr"),
    "handshake, ESR": handshake,
    "handshake, kernels": lambda odd: handshake(kernels=odd),
    "handshake, VMMs": lambda odd: handshake(vmms=odd),
    "handshake, ABIs": lambda odd: handshake(abis=odd),
    "matrix, ESR": matrix,
    "matrix, far": lambda odd: matrix(0xF2001234, odd),
    "matrix, fill": lambda odd: matrix(0xF2001234, None, odd),
    "matrix, ABIs": lambda odd: matrix(0xF2001234, abis=odd),
    "matrix, kernels": lambda odd: matrix(0xF2001234, kernels=odd),
    "matrix, VMMs": lambda odd: matrix(0xF2001234, vmms=odd),
    "read, kernel": lambda odd: read(odd, "u32 hsr", LE, 0xF2001234),
    "read, VMM": lambda odd: read("old", odd, LE, 0xF2001234),
    "read, ABI": lambda odd: read("old", "u32 hsr", odd, 0xF2001234),
    "read, ESR": lambda odd: read("old", "u32 hsr", LE, odd),
    "read, far": lambda odd: read("old", "u32 hsr", LE, 0xD2000062, odd),
    "read, fill": lambda odd: read("old", "u32 hsr", LE, 0xF2001234, None, odd),
    "Kernel, name": lambda odd: Kernel(odd, "", OLD),
    "Kernel, when": lambda odd: Kernel("own", odd, OLD),
    "Kernel, debug": lambda odd: Kernel("own", "", odd),
    "Kernel, flag": lambda odd: Kernel("own", "", OLD, odd),
    "Kernel, clears": lambda odd: Kernel("own", "", OLD, "", odd),
    "Vmm, name": lambda odd: Vmm(odd, "", OLD),
    "Vmm, phrase": lambda odd: Vmm("own", odd, OLD),
    "Vmm, debug": lambda odd: Vmm("own", "", odd),
    "Vmm, checks": lambda odd: Vmm("own", "", OLD, False, odd),
    "Scenario, name": lambda odd: Scenario(odd, "", "", ()),
    "Scenario, events": lambda odd: Scenario("own", "", "", odd),
    "Scenario, event": lambda odd: Scenario("own", "", "", (odd,)),
    "debug_exit": lambda odd: KERNELS["old"].debug_exit(LE, odd),
}


@pytest.mark.parametrize("name", CALLS)
def test_an_odd_value_is_taken_or_refused_in_one_short_line(name: str) -> None:
    refused = 0
    for odd in ODD:
        try:
            CALLS[name](odd)
        except KvmvizError as error:
            refused += 1
            message = str(error)
            assert len(message) < 500
            assert message.isprintable(), message
    assert refused > 10


# --- what is new -----------------------------------------------------------------------------


@dataclass(frozen=True)
class FailEntry(Exit):
    """KVM_EXIT_FAIL_ENTRY, which the package does not have, as if it filled in arm_nisv."""

    low: int
    high: int
    reason: ClassVar[str] = "FAIL_ENTRY"
    member: ClassVar[str] = "arm_nisv"

    def values(self, kernel: Kernel, abi: str | Abi) -> Values:
        return {"esr_iss": self.low, "fault_ipa": self.high}


OTHER = FailEntry(0x47, 0x8000001000)
OWN = Scenario("own", "An exit of a new kind", "", (OTHER, BRK, OTHER, UserWrite(36, b"\1")))


@pytest.mark.parametrize(("abi", "hole"), [(LE, "00000000"), (BE, "00000047")])
def test_an_exit_of_a_new_kind(abi: str, hole: str) -> None:
    vcpu = OWN.play("old", abi)
    assert vcpu.history[1].page.data[36:40].hex() == hole
    first = vcpu.history[0]
    assert (first.reason, first.returned, first.exit) == (9, 0, OTHER)
    assert first.written == (*range(8, 12), *range(32, 48))
    assert first.image("arm_nisv").layout.unpack(first.page.data, 32) == {
        "esr_iss": 0x47, "fault_ipa": 0x8000001000,
    }  # fmt: skip
    for shown in (vcpu, first, OWN, scenario.scene(OWN, "old", abi)):
        assert "exit KVM_EXIT_FAIL_ENTRY" in repr(shown)
        assert "signal" not in repr(shown)
    assert [seen.right for seen in conclusions(vcpu, "hsr_high, flag ignored")] == [
        True,
        False,
        True,
        True,
    ]
    assert "arm_nisv.esr_iss" in repr(conclude(vcpu.history[1], "hsr_high, flag ignored"))
    merged = OWN.play("v2_other_exits", abi)
    assert [step.flags for step in merged.history] == [0, 1, 0, 0]


def odd_exit(**parts: Any) -> Exit:
    """An exit of a class of its own, with some attributes."""
    made: Exit = type("Odd", (Exit,), {"reason": "IO", **parts})()
    return made


ODD_EXITS: list[tuple[Exit, tuple[str, ...]]] = [
    (odd_exit(reason="ARM_SEA"), ("reason of exit Odd", "'ARM_SEA'", "ARM_NISV")),
    (odd_exit(reason=4), ("reason of exit Odd", "4", "ARM_NISV")),
    (odd_exit(reason="DEBUG"), ("Odd", "KVM_EXIT_DEBUG", "DebugExit")),
    (odd_exit(reason="MMIO"), ("Odd", "KVM_EXIT_MMIO", "MmioExit")),
    (odd_exit(returned=None), ("Odd", "returned", "None")),
    (odd_exit(returned=38), ("Odd", "returned", "38", "negated")),
    (odd_exit(values=lambda *_: None), ("Odd", "values", "None")),
    (odd_exit(values=lambda *_: {"a": 1}), ("struct kvm_run", "debug, mmio")),
    (odd_exit(values=lambda *_: {"a": 1}, member="io"), ("'io'", "debug, mmio")),
    (odd_exit(values=lambda *_: {"a": 1}, member="mmio"), ("mmio", "'a'", "phys_addr")),
    (odd_exit(values=lambda *_: {"len": 1 << 32}, member="mmio"), ("len", "32 bits")),
]


@pytest.mark.parametrize(("exit", "words"), ODD_EXITS)
def test_an_exit_that_cannot_be_is_refused(exit: Exit, words: tuple[str, ...]) -> None:
    vcpu = play("merged", BE, [UART])
    for act in (vcpu.run, vcpu.apply):
        with pytest.raises(KvmvizError) as caught:
            act(exit)
        for word in words:
            assert word in str(caught.value)
    assert len(vcpu.history) == 1


def test_an_exit_may_return_any_error() -> None:
    assert play("old", LE, [BRK]).run(odd_exit(returned=-14)) == -14
    assert play("old", LE, [odd_exit(reason="UNKNOWN", returned=-ENOSYS)]).history[0].reason == 0


FIFTH = replace(KERNELS["merged"], name="fifth", when="never", debug=WIDENED)
FORGETFUL = replace(POLICIES["v2_entry"], name="forgetful", clears=frozenset({"MMIO"}))
HOPEFUL = Vmm("hopeful", "of one's own", WIDENED, checks=("flag",))


@pytest.mark.parametrize("own", [FIFTH, FORGETFUL])
def test_a_kernel_of_ones_own_in_every_table(own: Kernel) -> None:
    shown = matrix(0xF2001234, kernels=[*KERNELS, own], vmms=[*VMMS, HOPEFUL])
    assert len(shown.readings) == 2 * 5 * 5
    assert sum(own.name in line for line in repr(shown).splitlines()) == 2 * 5
    table = handshake(kernels=["old", own], vmms=["hsr_high if flag set", HOPEFUL])
    assert len(table.cells) == 2 * 2 * 2 * 2
    assert {cell.kernel.name for cell in table.cells} == {"old", own.name}
    assert f"{own.name} kernel" in repr(scenario.scene(OWN, own, BE, HOPEFUL, "old"))
    with pytest.raises(KvmvizError, match="twice"):
        matrix(0xF2001234, kernels=[*KERNELS, replace(own, name="old")])


def test_a_policy_of_ones_own_clears_where_it_says() -> None:
    history = play(FORGETFUL, BE, [BRK, OTHER, UART]).history
    assert [step.flags for step in history] == [1, 1, 0]


def test_a_program_of_ones_own_is_judged_by_the_bytes_that_it_takes() -> None:
    assert read(FIFTH, HOPEFUL, BE, 0x12_F2001234).right
    assert not read("merged", HOPEFUL, BE, 0x12_F2001234).right
    assert conclude(play(FIFTH, BE, [BRK]).history[0], HOPEFUL).right


ODD_PROGRAMS: list[tuple[Any, str]] = [
    # members of a program's struct, and why it is refused
    ({"hsr": "float"}, "hsr is no integer"),
    ({"hsr": "u32[2]"}, "hsr is no integer"),
    ({"hsr": Struct("", {"a": "u32"})}, "hsr is no integer"),
    ({"hsr": "u32", "far": "u8[8]"}, "far is no integer"),
    ([Member("hsr", SCALARS["u32"], 20)], "hsr is a bit-field"),
    ([("hsr", "u32"), Member("hsr_high", SCALARS["u32"], 20)], "hsr_high is a bit-field"),
    ({"hsr": "u16"}, "hsr has 16 bits; EC is ESR[31:26]: legal are 32 and more"),
]


@pytest.mark.parametrize(("members", "why"), ODD_PROGRAMS)
def test_a_program_that_cannot_read_esr_is_refused(members: Any, why: str) -> None:
    with pytest.raises(KvmvizError, match=re.escape(f"VMM odd: struct s, {why}")):
        Vmm("odd", "", Struct("s", members))


@pytest.mark.parametrize("members", [{"hsr": "float"}, {"hsr": "u32[2]"}, {"far": "double"}])
def test_a_kernel_that_cannot_write_esr_is_refused(members: Any) -> None:
    with pytest.raises(KvmvizError, match=r"kernel odd: struct s, (hsr|far) is no"):
        Kernel("odd", "", Struct("s", members))


def test_members_wider_or_narrower_than_half_of_esr() -> None:
    """Combined as C does, ``(hsr_high << 32) | hsr``, where bits 63:32 come from both."""
    wide = Vmm("wide", "", Struct("s", {"hsr": "u64", "hsr_high": "u64"}))
    seen = read("widened", wide, BE, 0x12_F2001234, fill=0xAA)
    assert (seen.value, seen.bits, seen.right) == (0xAAAAAABA_F2001234, 64, False)
    narrow = Vmm("narrow", "", Struct("s", {"hsr": "u32", "hsr_high": "u8"}))
    seen = read("merged", narrow, LE, 0x12_F2001234)
    assert (seen.value, seen.bits, seen.right) == (0x12_F2001234, 40, True)
    assert "reads ESR bits 39:0" in seen.effect


def test_a_member_of_a_fixed_byte_order_is_read_in_its_own() -> None:
    turned = Vmm("turned", "", Struct("s", {"hsr": "__be32", "far": "u64"}))
    for abi, value, right in ((LE, 0x341200F2, False), (BE, 0xF2001234, True)):
        seen = read("old", turned, abi, 0xF2001234)
        assert (seen.value, seen.right) == (value, right)


def test_the_memory_behind_a_struct_holds_what_it_was_filled_with() -> None:
    behind = Vmm("behind", "", Struct("s", {"pad": "u64[2]", "hsr": "u32"}))
    for fill in (0xAA, np.uint8(0xAA)):
        assert read("old", behind, LE, 0xF2001234, fill=fill).value == 0xAAAAAAAA  # type: ignore[arg-type]


def test_behind_the_kernels_struct_lies_what_the_page_has_there() -> None:
    members = {"hsr": "__u32", "pad": "__u32", "far": "__u64", "hsr_high": "__u32"}
    vmm = Vmm("big", "", Struct("s", members))
    for order, lies in (("little", "04 00 00 00"), ("big", "00 00 00 04")):
        dump = captures.find("old", order, "mmio_then_brk", 1)
        computed = conclude(dump.play().history[-1], vmm).reading
        for seen in (dump.reading(vmm), computed):
            assert seen is not None
            assert (seen.value, seen.right) == (0x4_F2001234, False)
            assert f"bytes 16..19 (past the struct: {lies})" in repr(seen)
            cells = board.reading(seen).strips[0].cells[16:]
            assert " ".join(cell.value for cell in cells) == lies
    huge = Vmm("huge", "", Struct("s", {**members, "more": "__u8[240]"}))
    with pytest.raises(KvmvizError, match=r"VMM huge: struct s takes 264 bytes.*holds 256"):
        dump.reading(huge).value  # noqa: B018

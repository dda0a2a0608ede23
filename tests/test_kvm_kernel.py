"""Kernels: what each writes on a debug exit, from the facts and from real dumps."""

from __future__ import annotations

import struct as pystruct
from dataclasses import replace
from typing import Any

import pytest

from kvmviz import ABIS, Image, KvmvizError, Member, Struct
from kvmviz.ctype import SCALARS
from kvmviz.kvm.kernel import (
    ALL_KERNELS,
    EXIT_REASONS,
    KERNELS,
    MERGED,
    MMIO,
    OLD,
    POLICIES,
    WIDENED,
    Kernel,
)
from tests.compilers import ABI_NAMES
from tests.proof_page import BE, DEBUG, HIGH, LE, RAW, Raw
from tests.strategies import ORDER

ESR, FAR = 0x123456789A, 0x1122334455667788
WATCH = 0x12_D2000062
BRK = 0xF2001234


def hexed(image: Image) -> str:
    return bytes(image).hex(" ", 4)


FACTS = [
    # kernel, on LE, on BE, of ESR 0x123456789a where the memory held 0xaa; its class writes no far
    ("old", "9a785634 aaaaaaaa aaaaaaaa aaaaaaaa", "3456789a aaaaaaaa aaaaaaaa aaaaaaaa"),
    ("widened", "9a785634 12000000 aaaaaaaa aaaaaaaa", "00000012 3456789a aaaaaaaa aaaaaaaa"),
    ("v2", "9a785634 12000000 aaaaaaaa aaaaaaaa", "3456789a 00000012 aaaaaaaa aaaaaaaa"),
    ("merged", "9a785634 12000000 aaaaaaaa aaaaaaaa", "3456789a 00000012 aaaaaaaa aaaaaaaa"),
]
WATCHED = [
    # the same for a watchpoint, whose ESR has 0x12 in the upper half, at 0x1122334455667788
    ("old", "620000d2 aaaaaaaa 88776655 44332211", "d2000062 aaaaaaaa 11223344 55667788"),
    ("widened", "620000d2 12000000 88776655 44332211", "00000012 d2000062 11223344 55667788"),
    ("v2", "620000d2 12000000 88776655 44332211", "d2000062 00000012 11223344 55667788"),
    ("merged", "620000d2 12000000 88776655 44332211", "d2000062 00000012 11223344 55667788"),
]


@pytest.mark.parametrize("abi", ABI_NAMES)
@pytest.mark.parametrize(
    ("esr", "kernel", "little", "big"),
    [(ESR, *row) for row in FACTS] + [(WATCH, *row) for row in WATCHED],
)
def test_bytes_of_the_facts(esr: int, kernel: str, little: str, big: str, abi: str) -> None:
    expected = little if ORDER[abi] == "little" else big
    if kernel == "old" and abi in ("i386", "m68k"):  # no hole there
        expected = expected.replace(" aaaaaaaa", "", 1)
    assert hexed(KERNELS[kernel].debug_exit(abi, esr, FAR, 0xAA)) == expected


@pytest.mark.parametrize("ec", [0x00, 0x30, 0x31, 0x32, 0x33, 0x35, 0x38, 0x3C, 0x3F])
def test_far_is_written_for_watchpoints_alone(ec: int) -> None:
    for kernel in KERNELS.values():
        image = kernel.debug_exit("aarch64", ec << 26, FAR, 0xAA)
        assert image.unwritten[-8:] == tuple(range(8, 16))
        assert image == kernel.debug_exit("aarch64", ec << 26, None, 0xAA)
        assert len(kernel.debug_exit("aarch64", 0x34 << 26, FAR).unwritten) == (
            4 if kernel.name == "old" else 0
        )


@pytest.mark.parametrize("far", [0, 1, 2**64 - 1])
def test_any_address_of_64_bits_is_one(far: int) -> None:
    image = KERNELS["old"].debug_exit("aarch64_be", WATCH, far, 0xAA)
    assert bytes(image)[8:] == far.to_bytes(8, "big")


def test_who_wrote_the_halves() -> None:
    labels = {
        name: " ".join(
            source.label if source else "-"
            for source in kernel.debug_exit("aarch64_be", BRK).sources[3:5]
        )
        for name, kernel in KERNELS.items()
    }
    assert labels == {
        "old": "hsr[7:0] -",
        "widened": "hsr[39:32] hsr[31:24]",
        "v2": "hsr[7:0] hsr_high[31:24]",
        "merged": "hsr[7:0] hsr_high[31:24]",
    }


def name_of(raw: Raw) -> str:
    synthetic = "-synthetic" if raw.synthetic else ""
    return f"{raw.kernel}-{raw.order}-{raw.scenario}-{raw.step}{synthetic}"


@pytest.mark.parametrize("raw", DEBUG, ids=name_of)
def test_a_debug_exit_is_as_the_real_kernel_left_it(raw: Raw) -> None:
    abi = "aarch64" if raw.order == "little" else "aarch64_be"
    esr, far = int(raw.event["esr"], 16), int(raw.event.get("far", "0"), 16)
    image = KERNELS[raw.kernel].debug_exit(abi, esr, far, raw.held[32:48])
    assert hexed(image) == raw.page[32:48].hex(" ", 4)
    assert esr >> 32 == (HIGH if raw.synthetic else 0)


def test_the_real_kernels_set_the_flag_as_said() -> None:
    """flags, a u16 at 14: 1 in merged and OR-ed in v2; the others leave it as it was."""
    for raw in DEBUG:
        mark = "<H" if raw.order == "little" else ">H"
        (held,), (flags,) = (pystruct.unpack_from(mark, page, 14) for page in (raw.held, raw.page))
        expected = {"old": held, "widened": held, "v2": held | 1, "merged": 1}[raw.kernel]
        assert flags == expected
        assert bool(KERNELS[raw.kernel].flag) == (raw.kernel in ("v2", "merged"))


def test_an_mmio_exit_is_as_the_real_kernel_left_it() -> None:
    exits = [raw for raw in RAW if "esr" not in raw.event]
    assert len(exits) == 224
    for raw in exits:
        layout = MMIO.layout("aarch64" if raw.order == "little" else "aarch64_be")
        found = layout.unpack(raw.page, 32)
        assert found["phys_addr"] == int(raw.event["phys_addr"], 16)
        assert found["len"] == raw.event["len"]
        assert found["is_write"] == ("data" in raw.event)
        if "data" in raw.event:
            assert bytes(found["data"][: raw.event["len"]]).hex() == raw.event["data"]


LEFT_BEHIND: list[Any] = [
    # what the union held before, as a struct and values; read as hsr_high on LE, on BE
    (MMIO, {"phys_addr": 0x09000000}, 0, 0x09000000),
    (MMIO, {"phys_addr": 0x8000001000}, 0x80, 0x1000),
    (Struct("system_event", {"type": "u32", "ndata": "u32", "data": "u64[16]"}),
     {"type": 1, "ndata": 1}, 1, 1),
    (Struct("arm_nisv", {"esr_iss": "u64", "fault_ipa": "u64"}), {"esr_iss": 0x47}, 0, 0x47),
    # suspend and wakeup: zeroed, then the type alone; before v5.18 every event: flags at byte 8
    (Struct("system_event", {"type": "u32", "ndata": "u32", "data": "u64[16]"}),
     {"type": 5, "ndata": 0}, 0, 0),
    (Struct("system_event", {"type": "u32", "flags": "u64"}), {"type": 2, "flags": 1}, 0, 0),
]  # fmt: skip


@pytest.mark.parametrize(("struct", "values", "little", "big"), LEFT_BEHIND)
def test_the_old_kernels_hole_shows_the_exit_before(
    struct: Struct, values: dict[str, int], little: int, big: int
) -> None:
    for abi, expected in (("aarch64", little), ("aarch64_be", big)):
        before = bytes(struct.layout(abi).pack(values)).ljust(16, b"\0")[:16]
        left = KERNELS["old"].debug_exit(abi, BRK, fill=before)
        assert MERGED.layout(abi).unpack(left)["hsr_high"] == expected
        now = KERNELS["merged"].debug_exit(abi, BRK, fill=before)
        assert MERGED.layout(abi).unpack(now)["hsr_high"] == 0


OTHERS = [
    # hsr's and far's widths, bytes of ESR 0x12d2000062 and the facts' far on BE
    (8, 64, "62aaaaaa aaaaaaaa 11223344 55667788"),
    (16, 64, "0062aaaa aaaaaaaa 11223344 55667788"),
    (32, 32, "d2000062 55667788"),
    (64, 16, "00000012 d2000062 7788aaaa aaaaaaaa"),
]


@pytest.mark.parametrize(("hsr", "far", "expected"), OTHERS)
def test_a_value_is_cut_to_its_members_width_as_in_c(hsr: int, far: int, expected: str) -> None:
    struct = OLD.widen("hsr", hsr).widen("far", far)
    kernel = replace(KERNELS["old"], debug=struct)
    assert hexed(kernel.debug_exit("aarch64_be", WATCH, FAR, 0xAA)) == expected
    assert ALL_KERNELS.find(kernel) is kernel


CUT = [
    # as C assigns 0x12f2001234 from the register: signed, bit-fields, a bool
    ({"hsr": "s32", "far": "u64"}, {"hsr": -0x0DFFEDCC}),
    ([Member("hsr", SCALARS["u32"], 20), Member("hsr_high", SCALARS["u32"], 12)],
     {"hsr": 0x01234, "hsr_high": 0x12}),
    ({"hsr": "bool"}, {"hsr": 1}),
    ({"hsr": "long"}, {"hsr": 0x12F2001234}),
]  # fmt: skip


@pytest.mark.parametrize(("members", "expected"), CUT)
def test_a_value_is_cut_to_any_integer_member(members: Any, expected: dict[str, int]) -> None:
    kernel = replace(KERNELS["old"], debug=Struct("s", members))
    image = kernel.debug_exit("aarch64_be", 0x12F2001234)
    read = image.layout.unpack(image)
    assert {name: read[name] for name in expected} == expected


def test_members_that_are_not_esrs_are_left_alone() -> None:
    struct = Struct("s", {"other": "u32", "hsr_high": "u32"})
    kernel = replace(KERNELS["old"], debug=struct)
    assert hexed(kernel.debug_exit("aarch64_be", ESR, fill=0xAA)) == "aaaaaaaa 00000012"


def test_names() -> None:
    assert list(KERNELS) == ["old", "widened", "v2", "merged"]
    assert [kernel.debug for kernel in KERNELS.values()] == [OLD, WIDENED, MERGED, MERGED]
    assert all(ALL_KERNELS.find(name) is kernel for name, kernel in KERNELS.items())
    assert all(kernel.name == name and kernel.when for name, kernel in KERNELS.items())


PLACES = [
    # member of kvm_run on arm64, its offset and size in bytes
    ("request_interrupt_window", 0, 1), ("immediate_exit", 1, 1), ("padding1", 2, 6),
    ("exit_reason", 8, 4), ("ready_for_interrupt_injection", 12, 1), ("if_flag", 13, 1),
    ("flags", 14, 2), ("cr8", 16, 8), ("apic_base", 24, 8), ("padding", 32, 256),
    ("kvm_valid_regs", 288, 8), ("kvm_dirty_regs", 296, 8), ("s", 304, 2048),
    ("debug", 32, 16), ("mmio", 32, 24), ("system_event", 32, 136),
    ("arm_nisv", 32, 16),
]  # fmt: skip


@pytest.mark.parametrize("abi", [LE, BE])
@pytest.mark.parametrize("kernel", [*KERNELS, *POLICIES])
def test_the_page_is_laid_out_as_on_arm64(kernel: str, abi: str) -> None:
    layout = ALL_KERNELS.find(kernel).page(abi)
    assert (layout.size, layout.align) == (2352, 8)
    for name, offset, size in PLACES:
        assert (layout.offsets[name], layout.named[name].extent // 8) == (offset, size), name
    leaves = {slot.path: (slot.offset, slot.size) for slot in layout.slots}
    assert leaves["debug.arch.far"] == (40, 8)
    assert leaves["debug.arch.hsr"] == (32, 8 if kernel == "widened" else 4)
    assert leaves.get("debug.arch.hsr_high") == (None if kernel in ("old", "widened") else (36, 4))
    assert leaves["mmio.data"] == (40, 8)
    assert (leaves["mmio.len"], leaves["mmio.is_write"]) == ((48, 4), (52, 1))


@pytest.mark.parametrize("abi", ABI_NAMES)
def test_the_page_has_one_size_everywhere(abi: str) -> None:
    for kernel in KERNELS.values():
        layout = kernel.page(abi)
        assert (layout.size, layout.offsets["flags"], layout.offsets["debug"]) == (2352, 14, 32)
        assert layout.offsets["kvm_valid_regs"] == 288


# --- text ------------------------------------------------------------------------------------


KERNEL_WORDS = {
    "old": ("hsr, __u64 far", "flags untouched", "cleared: never"),
    "widened": ("__u64 hsr, __u64 far", "flags untouched", "cleared: never"),
    "v2": ("__u32 hsr_high", "flags |= 1", "cleared: never"),
    "merged": ("__u32 hsr_high", "flags = 1", "cleared: entry"),
    "v2_entry": ("flags |= 1", "cleared: entry"),
    "v2_other_exits": ("flags |= 1", "cleared: UNKNOWN, MMIO, FAIL_ENTRY"),
    "v2_not_unknown": ("flags |= 1", "cleared: DEBUG, MMIO, FAIL_ENTRY"),
}


def test_a_kernel_is_told_in_a_line() -> None:
    for name, kernel in {**KERNELS, **POLICIES}.items():
        assert repr(kernel).startswith(f"{name} kernel ({kernel.when})")
        assert "\n" not in repr(kernel)
        for word in KERNEL_WORDS[name]:
            assert word in repr(kernel)
    own = replace(KERNELS["old"], clears=frozenset({"entry", "MMIO", "INTR"}))
    assert "cleared: entry, MMIO, INTR" in repr(own)


# KVM_EXIT_ that arch/arm64/kvm sets in Linux 6.1: kvm_arch_vcpu_ioctl_run, handle_exit.c, mmio.c,
# psci.c, and where a vCPU cannot run (FAIL_ENTRY, INTERNAL_ERROR).
ARM64 = {
    "UNKNOWN",
    "DEBUG",
    "MMIO",
    "FAIL_ENTRY",
    "INTR",
    "INTERNAL_ERROR",
    "SYSTEM_EVENT",
    "ARM_NISV",
}


@pytest.mark.parametrize("reason", sorted(EXIT_REASONS))
def test_flags_are_cleared_where_arm64_has_a_line(reason: str) -> None:
    if reason in ARM64:
        own = Kernel("own", "", MERGED, "=", frozenset({reason}))
        assert own.flags_at(reason, 0xFF) is not None
        return
    with pytest.raises(KvmvizError) as caught:
        Kernel("own", "", MERGED, "=", frozenset({reason}))
    legal = str(caught.value).split("legal is a set of ")[1]
    assert set(legal.split(", ")) == {"entry", *ARM64}


def test_the_policies_clear_on_all_of_arm64s_exits_but_one() -> None:
    assert POLICIES["v2_other_exits"].clears == ARM64 - {"DEBUG"}
    assert POLICIES["v2_not_unknown"].clears == ARM64 - {"UNKNOWN"}
    assert POLICIES["v2_entry"].clears == {"entry"}


ERRORS: list[Any] = [
    (lambda: ALL_KERNELS.find("new"), ("'new'", "old, widened, v2, merged")),
    (lambda: ALL_KERNELS.find(["old"]), ("'old'", "legal")),  # type: ignore[arg-type]
    (
        lambda: KERNELS["old"].debug_exit("aarch64", WATCH),
        ("0x12d2000062", "watchpoint", "far"),
    ),
    (
        lambda: KERNELS["old"].debug_exit("aarch64", WATCH, -1),
        ("far", "-0x1", "ffffffffffffffff"),
    ),
    (lambda: KERNELS["old"].debug_exit("aarch64", WATCH, 1 << 64), ("far", "ffffffffffffffff")),
    (lambda: KERNELS["old"].debug_exit("aarch64", -1), ("ESR", "-0x1", "64 bits")),
    (lambda: KERNELS["old"].debug_exit("aarch64", 1 << 64), ("ESR", "64 bits")),
    (lambda: KERNELS["old"].debug_exit("vax", BRK), ("'vax'", *ABIS)),
    (lambda: KERNELS["old"].debug_exit("aarch64", BRK, fill=256), ("fill", "0x100")),
    (lambda: KERNELS["old"].debug_exit("aarch64", BRK, fill=bytes(12)), ("fill", "12", "16")),
    (lambda: Kernel("own", "", MERGED, "+="), ("own", "'+='", "'|='")),  # type: ignore[arg-type]
    (lambda: Kernel("own", "", MERGED, "=", frozenset({"exit"})), ("own", "exit", "MMIO")),
    (lambda: Kernel("own", "", MERGED, "=", "entry"), ("own", "entry")),  # type: ignore[arg-type]
    (lambda: Kernel("own", "", Struct("s", {"a": "u8[257]"})).page("arm"), ("own", "257", "256")),
    (lambda: Kernel("own", "", Struct("s", {"hsr": "float"})).page("arm"), ("own", "no integer")),
    (lambda: Kernel("own", "", Struct("s", {"a": "u8"}, align=64)).page("arm"), ("own", "64")),
    (lambda: Kernel("own", "", "u32 hsr"), ("own", "Struct")),  # type: ignore[arg-type]
    (lambda: Kernel("own", "", MERGED, "=", ["MMIO"]), ("own", "MMIO")),  # type: ignore[arg-type]
    (lambda: Kernel("own", "", MERGED, "=", None), ("own", "None")),  # type: ignore[arg-type]
    (lambda: Kernel(5, "", MERGED), ("5", "text")),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("row", ERRORS)
def test_bad_input_is_named(row: Any) -> None:
    act, words = row
    with pytest.raises(KvmvizError) as caught:
        act()
    for word in words:
        assert word in str(caught.value)

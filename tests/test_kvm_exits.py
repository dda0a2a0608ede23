"""Exits and writes by userspace: what they say, and what cannot be."""

from __future__ import annotations

from typing import Any

import pytest

from kvmviz import DebugExit, Interrupted, KvmvizError, MmioExit, SystemEvent, Unhandled
from kvmviz.kvm.exits import ArmNisv, Event, Served, UserWrite

WORDS: list[tuple[Event, str]] = [
    (UserWrite(36, b"\1\2"), "userspace writes bytes 36..37: 01 02"),
    (UserWrite(36, b"\1"), "userspace writes byte 36: 01"),
    (UserWrite(36, b""), "userspace writes nothing at 36"),
    (UserWrite(32, b"\xaa" * 9), "userspace writes bytes 32..40: 9 times aa"),
    (UserWrite(32, bytes(range(9))),
     "userspace writes bytes 32..40: 00 01 02 03 04 05 06 07 ... (9 bytes)"),
    (DebugExit(0xF2001234), "debug exit, BRK, ESR 0x00000000f2001234"),
    (DebugExit(0x1_D2000062, 0x10),
     "debug exit, watchpoint, ESR 0x00000001d2000062, bits 63:32 synthetic, far 0x10"),
    (DebugExit(0x100_D2000062, 0x10),
     "debug exit, watchpoint, ESR 0x00000100d2000062, GCS set, far 0x10"),
    (MmioExit(0x1000, 2, b"ab"), "MMIO exit, guest writes 61 62 at 0x1000"),
    (MmioExit(0x1000, 2), "MMIO exit, guest reads 2 bytes at 0x1000"),
    (MmioExit(1, 1), "MMIO exit, guest reads 1 byte at 0x1"),
    (SystemEvent(2, 0xFF), "system event, type 2, data 0xff"),
    (SystemEvent(5), "system event, type 5, no data"),
    (Served(0x8000100, 4), "no exit, KVM serves it: guest writes 4 bytes at 0x8000100"),
    (Served(0x8000004, 1, b"a"),
     "no exit, KVM serves it: guest reads 1 byte at 0x8000004, gets 61"),
    (ArmNisv(0x47, 0x1000),
     "ARM_NISV exit, guest writes at 0x1000, ISS 0x47, which has no size and no register"),
    (ArmNisv(7, 8),
     "ARM_NISV exit, guest reads at 0x8, ISS 0x7, which has no size and no register"),
    (Interrupted(), "signal pending"),
    (Unhandled(), "run fails after entry"),
]  # fmt: skip


@pytest.mark.parametrize(("event", "words"), WORDS)
def test_an_event_in_words(event: Event, words: str) -> None:
    assert event.words == words


BAD: list[Any] = [
    (lambda: DebugExit(1 << 64), ("ESR", "64 bits")),
    (lambda: DebugExit(-1), ("ESR", "64 bits")),
    (lambda: DebugExit(0xF2000000, -1), ("far", "64 bits")),
    (lambda: MmioExit(0, 3), ("mmio.len", "3", "1, 2, 4, 8")),
    (lambda: MmioExit(0, 0), ("mmio.len", "0", "1, 2, 4, 8")),
    (lambda: MmioExit(0, 16, bytes(16)), ("mmio.len", "16", "1, 2, 4, 8")),
    (lambda: MmioExit(0, 4, b"abc"), ("mmio.data", "40..47", "3 bytes", "access of 4")),
    (lambda: MmioExit(0, 8, bytes(257)), ("mmio.data", "40..47", "257", "access of 8")),
    (lambda: MmioExit(1 << 64, 4), ("mmio.phys_addr", "64 bits")),
    (lambda: MmioExit(-1, 4), ("mmio.phys_addr", "64 bits")),
    (lambda: Served(0, 4, b"abc"), ("mmio.data", "40..47", "3 bytes", "access of 4")),
    (lambda: Served(0, 5), ("mmio.len", "5", "1, 2, 4, 8")),
    (lambda: ArmNisv(1 << 24, 0), ("esr_iss", "0x1000000", "0x17f")),
    (lambda: ArmNisv(0, 1 << 64), ("fault_ipa", "64 bits")),
    (lambda: SystemEvent(1 << 32), ("system_event.type", "32 bits")),
    (lambda: SystemEvent(1, 1 << 64), ("system_event.data", "64 bits")),
    (lambda: SystemEvent(4, 1), ("type 4", "wakeup", "no data", "0x1")),
    (lambda: SystemEvent(5, 1), ("type 5", "suspend", "no data", "0x1")),
]


@pytest.mark.parametrize("row", BAD)
def test_what_cannot_be_is_refused(row: Any) -> None:
    act, words = row
    with pytest.raises(KvmvizError) as caught:
        act()
    for word in words:
        assert word in str(caught.value)


# arm_exit_handlers[] of Linux 6.1's arch/arm64/kvm/handle_exit.c: those that stand beside
# kvm_handle_guest_debug, by ESR_ELx_EC_ symbol.
HANDLER = {
    "BREAKPT_LOW": (0x30, "breakpoint"),
    "SOFTSTP_LOW": (0x32, "software step"),
    "WATCHPT_LOW": (0x34, "watchpoint"),
    "BKPT32": (0x38, "BKPT"),
    "BRK64": (0x3C, "BRK"),
}


@pytest.mark.parametrize("ec", range(64))
def test_five_classes_reach_the_handler(ec: int) -> None:
    taken = dict(HANDLER.values())
    esr = 0x100 << 32 | ec << 26 | 1 << 25
    if ec in taken:
        assert DebugExit(esr, 5).words.startswith(f"debug exit, {taken[ec]}")
        return
    with pytest.raises(KvmvizError) as caught:
        DebugExit(esr, 5)
    said = str(caught.value)
    assert f"EC {ec:#04x} (" in said
    assert all(f"{number:#04x} ({word}" in said for number, word in taken.items())

"""Exits and writes by userspace: what they say, and what cannot be."""

from __future__ import annotations

from typing import Any

import pytest

from kvmviz import DebugExit, Interrupted, KvmvizError, MmioExit, SystemEvent, Unhandled
from kvmviz.kvm.exits import Event, UserWrite

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
    (MmioExit(0x1000, 2, b"ab"), "MMIO exit, guest writes 61 62 at 0x1000"),
    (MmioExit(0x1000, 2), "MMIO exit, guest reads 2 bytes at 0x1000"),
    (SystemEvent(2, 0xFF), "system event, type 2, data 0xff"),
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
    (lambda: MmioExit(0, 4, b"abc"), ("mmio.data", "40..47", "3 bytes", "exactly 4")),
    (lambda: MmioExit(0, 8, bytes(257)), ("mmio.data", "40..47", "257", "exactly 8")),
    (lambda: MmioExit(1 << 64, 4), ("mmio.phys_addr", "64 bits")),
    (lambda: MmioExit(-1, 4), ("mmio.phys_addr", "64 bits")),
    (lambda: SystemEvent(1 << 32), ("system_event.type", "32 bits")),
    (lambda: SystemEvent(1, 1 << 64), ("system_event.data[0]", "64 bits")),
]


@pytest.mark.parametrize("row", BAD)
def test_what_cannot_be_is_refused(row: Any) -> None:
    act, words = row
    with pytest.raises(KvmvizError) as caught:
        act()
    for word in words:
        assert word in str(caught.value)

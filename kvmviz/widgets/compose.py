"""A sequence of one's own, step by step out of what somebody typed."""

from __future__ import annotations

from binascii import unhexlify
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from kvmviz._base import KvmvizError
from kvmviz.kvm import SIZE, WATCHPOINT_LOW
from kvmviz.kvm.exits import (
    DebugExit,
    Event,
    Interrupted,
    MmioExit,
    SystemEvent,
    Unhandled,
    UserWrite,
)
from kvmviz.kvm.scenario import Scenario
from kvmviz.widgets import number

OWN = "own"
"""Name of a sequence of one's own."""


def own(events: tuple[Event, ...]) -> Scenario:
    """Events as a scenario; :class:`KvmvizError` for what is no event."""
    return Scenario(OWN, "A sequence of one's own", "", events)


class Kind(NamedTuple):
    """A kind of step: its entries, each with a value to start from, and what they make."""

    entries: tuple[tuple[str, str], ...]
    make: Callable[..., Event]


def _debug(esr: str, far: str) -> Event:
    value = number("esr", esr, 64)
    given = number("far", far, 64) if far.strip() else None
    if given is None and value >> 26 & 0x3F == WATCHPOINT_LOW:
        raise KvmvizError(f"far: {value:#x} is a watchpoint, the kernel writes far; give far")
    return DebugExit(value, given)


def _mmio_write(phys_addr: str, data: str) -> Event:
    held = octets("data", data)
    return MmioExit(number("phys_addr", phys_addr, 64), len(held), held)


def _mmio_read(phys_addr: str, length: str) -> Event:
    return MmioExit(number("phys_addr", phys_addr, 64), number("len", length, 8))


def _system_event(type_: str, data: str) -> Event:
    return SystemEvent(number("type", type_, 32), number("data", data, 64))


def _user_write(offset: str, data: str) -> Event:
    try:
        at = int(offset, 0)
    except ValueError:
        raise KvmvizError(
            f"offset: {offset!r} is no number; legal are 0 .. {SIZE - 1}, or 0x0 .. {SIZE - 1:#x}"
        ) from None
    return UserWrite(at, octets("bytes", data))


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "debug exit": Kind((("esr", "0xf2001234"), ("far", "")), _debug),
        "MMIO write": Kind((("phys_addr", "0x09000000"), ("data", "5a 5a 00 00")), _mmio_write),
        "MMIO read": Kind((("phys_addr", "0x8000001000"), ("len", "4")), _mmio_read),
        "system event": Kind((("type", "0x2"), ("data", "0x0")), _system_event),
        "signal pending": Kind((), Interrupted),
        "run fails after entry": Kind((), Unhandled),
        "userspace writes": Kind((("offset", "1"), ("bytes", "01")), _user_write),
    }
)
"""The kinds of steps by name. Numbers and bytes are hex; the offset is decimal, or hex with 0x."""


def event_from(kind: str, *typed: str) -> Event:
    """The step that entries make; :class:`KvmvizError` names the entry that is wrong."""
    if kind not in KINDS:
        raise KvmvizError(f"unknown step {kind!r}; legal are {', '.join(KINDS)}")
    asked = KINDS[kind]
    return asked.make(*typed[: len(asked.entries)])


def octets(name: str, typed: str) -> bytes:
    """Bytes out of hex digits, with or without spaces between the bytes."""
    digits = "".join(typed.split()).removeprefix("0x")
    try:
        return unhexlify(digits)
    except ValueError:
        raise KvmvizError(
            f"{name}: {typed!r} is not bytes in hex; legal are pairs of digits, as 5a 5a 00 00"
        ) from None

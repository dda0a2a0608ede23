"""A sequence of one's own, step by step out of what somebody typed."""

from __future__ import annotations

from binascii import unhexlify
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from kvmviz._base import KvmvizError
from kvmviz.kvm.exits import (
    DebugExit,
    Event,
    Interrupted,
    MmioExit,
    SystemEvent,
    Unhandled,
    UserWrite,
)
from kvmviz.kvm.kernel import KERNELS, MMIO, WATCHPOINT_LOW
from kvmviz.kvm.scenario import Scenario
from kvmviz.widgets.controls import number

OWN = "own"
"""Name of a sequence of one's own."""


def own(events: Iterable[Event]) -> Scenario:
    """Events as a scenario; :class:`KvmvizError` for what is no event."""
    return Scenario(OWN, "A sequence of one's own", "", events)  # type: ignore[arg-type]


class Kind(NamedTuple):
    """A kind of step: its entries, each with a value to start from, and what they make."""

    entries: tuple[tuple[str, str], ...]
    make: Callable[..., Event]


def _debug(esr: str, far: str) -> Event:
    value = number("esr", esr, 64)
    given = number("far", far, 64) if far.strip() else None
    if given is None and value >> 26 & 0x3F == WATCHPOINT_LOW:
        raise KvmvizError(f"esr {value:#x} is a watchpoint: the kernel writes far; give far")
    return DebugExit(value, given)


def _mmio_write(phys_addr: str, data: str) -> Event:
    held = octets("data", data)
    return MmioExit(number("phys_addr", phys_addr, 64), len(held), held)


def _mmio_read(phys_addr: str, length: str) -> Event:
    return MmioExit(number("phys_addr", phys_addr, 64), decimal("len", length))


def _system_event(type_: str, data: str) -> Event:
    return SystemEvent(decimal("type", type_), number("data", data, 64))


def _user_write(offset: str, data: str) -> Event:
    return UserWrite(decimal("offset", offset), octets("bytes", data))


def _member(name: str, inner: int = 0) -> int:
    """Where userspace finds a member of struct kvm_run."""
    return KERNELS["merged"].page("aarch64").offsets[name] + inner


def _immediate_exit(value: int) -> Event:
    return UserWrite(_member("immediate_exit"), bytes([value]))


def _answer(data: str) -> Event:
    at = _member("mmio", MMIO.layout("aarch64").offsets["data"])
    return UserWrite(at, octets("data", data))


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "debug exit": Kind((("esr, hex", "0xf2001234"), ("far, hex", "")), _debug),
        "MMIO write": Kind(
            (("phys_addr, hex", "0x09000000"), ("data, hex", "5a 5a 00 00")), _mmio_write
        ),
        "MMIO read": Kind((("phys_addr, hex", "0x8000001000"), ("len", "4")), _mmio_read),
        "answer the read": Kind((("data, hex", "01 02 03 04"),), _answer),
        "system event": Kind((("type", "2"), ("data, hex", "0x0")), _system_event),
        "signal pending": Kind((), Interrupted),
        "run fails after entry": Kind((), Unhandled),
        "set immediate_exit": Kind((), lambda: _immediate_exit(1)),
        "clear immediate_exit": Kind((), lambda: _immediate_exit(0)),
        "userspace writes": Kind((("offset", "36"), ("bytes, hex", "aa aa aa aa")), _user_write),
    }
)
"""The kinds of steps by name, with what is asked for; what is not said to be hex is decimal."""


def event_from(kind: str, *typed: str) -> Event:
    """The step that entries make; :class:`KvmvizError` names the entry that is wrong."""
    if kind not in KINDS:
        raise KvmvizError(f"unknown step {kind!r}; legal are {', '.join(KINDS)}")
    asked = KINDS[kind]
    return asked.make(*typed[: len(asked.entries)])


def decimal(name: str, typed: str) -> int:
    """A number as C writes it: decimal, or hex with 0x."""
    try:
        return int(typed, 0)
    except ValueError:
        raise KvmvizError(
            f"{name}: {typed!r} is no number; legal are such as 36 and 0x24"
        ) from None


def octets(name: str, typed: str) -> bytes:
    """Bytes out of hex digits, with or without spaces between the bytes."""
    digits = "".join(typed.split()).removeprefix("0x")
    try:
        if found := unhexlify(digits):
            return found
        raise ValueError
    except ValueError:
        raise KvmvizError(
            f"{name}: {typed!r} is not bytes in hex; legal are pairs of digits, as 5a 5a 00 00"
        ) from None

"""Scenarios: what happens to a page, as data, to be played on any kernel and ABI.

Those that real kernels went through are in :func:`kvmviz.captures.scenarios`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib import resources

from kvmviz._base import KvmvizError, by_name, check_texts, shown
from kvmviz.abi import Abi
from kvmviz.kvm.exits import (
    CLEAR,
    SET,
    DebugExit,
    Event,
    Interrupted,
    MmioExit,
    Served,
    SystemEvent,
    Unhandled,
    UserWrite,
)
from kvmviz.kvm.kernel import Kernel
from kvmviz.kvm.page import Vcpu, play
from kvmviz.text import table


@dataclass(frozen=True)
class Scenario:
    """A sequence of events on one page: ``title`` in a few words, ``note`` what to look at.

    ``events`` are in order: writes by userspace, exits, accesses that KVM serves. ``synthetic``:
    bits 63:32 of an ESR in it are made up. Raises :class:`KvmvizError` for what is no event, and
    for what is no text.
    """

    name: str
    title: str
    note: str
    events: tuple[Event, ...]
    synthetic: bool = False

    def __post_init__(self) -> None:
        who = check_texts("scenario", self.name, self.title, self.note)
        if not isinstance(self.events, Iterable):
            raise KvmvizError(f"{who}: {shown(self.events)} are no events")
        object.__setattr__(self, "events", tuple(self.events))
        for at, event in enumerate(self.events):
            if not isinstance(event, Event):
                raise KvmvizError(f"{who}, step {at}: {shown(event)} is no event")

    def __repr__(self) -> str:
        mark = " (bits 63:32 of ESR synthetic)" if self.synthetic else ""
        steps = [(f"step {at}", event.words) for at, event in enumerate(self.events)]
        lines = [f"{self.title}{mark}", *([f"  {self.note}"] if self.note else [])]
        return "\n".join((*lines, *([table(steps)] if steps else [])))

    def play(self, kernel: str | Kernel, abi: str | Abi) -> Vcpu:
        """A new vCPU of that kernel on which it all has happened; one step an event."""
        return play(kernel, abi, self.events)


BRK, WATCH, STEP = DebugExit(0xF2001234), DebugExit(0xD2000062, 0x40000800), DebugExit(0xCB000022)
_UART = MmioExit(0x0900_0000, 4, b"\x5a\x5a\x00\x00")
_ABOVE_4G = replace(_UART, phys_addr=0x80_0000_1000)

_EVENTS: Mapping[str, tuple[Event, ...]] = {
    "stale_flag": (BRK, _UART, SystemEvent(2), Interrupted(), Unhandled(), BRK),
    "failed_run": (BRK, Unhandled(), _UART),
    "mmio_low": (_UART, BRK),
    "mmio_high": (_ABOVE_4G, BRK),
    "stale_far": (WATCH, BRK),
    "immediate_exit": (BRK, SET, _UART, CLEAR, _UART),
    "served": (Served(0x0800_0004, 4, b"\x03\0\x20\0"), Served(0x0800_0100, 4), BRK),
    "ndata": (SystemEvent(2), BRK),
    "poison": (UserWrite(32, b"\xaa" * 256), BRK),
    "poison_flags": (UserWrite(14, b"\xff\xff"), UserWrite(36, b"\xaa" * 4), BRK, _UART),
    "mmio_read": (MmioExit(0x0900_0000, 8), UserWrite(40, bytes(range(1, 9))), STEP),
}


def _load() -> Mapping[str, Scenario]:
    text = resources.files("kvmviz").joinpath("data", "scenarios.toml").read_text("utf-8")
    words = tomllib.loads(text)
    return by_name(*(Scenario(name, **words[name], events=_EVENTS[name]) for name in words))


SCENARIOS = _load()
"""Made by hand, by name; none has happened on a real kernel in just this form. Their words are in
``data/scenarios.toml``."""

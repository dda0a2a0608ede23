"""Scenarios: what happens to a page, as data, to be played on any kernel and ABI.

Those that real kernels went through are in :func:`kvmviz.captures.scenarios`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

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

SCENARIOS = by_name(
    Scenario(
        "stale_flag",
        "A debug exit, then five more runs",
        "The debug exit sets the flag. On v2 every later exit still shows it.",
        (BRK, _UART, SystemEvent(2), Interrupted(), Unhandled(), BRK),
    ),
    Scenario(
        "failed_run",
        "A debug exit, then a run that fails",
        "exit_reason is UNKNOWN. A kernel that clears on all exits but this one leaves the flag "
        "set.",
        (BRK, Unhandled(), _UART),
    ),
    Scenario(
        "mmio_low",
        "MMIO at 0x09000000, then a debug exit",
        "An old kernel leaves half of the address in the hole: 0 on little-endian, 0x09000000 on "
        "big-endian.",
        (_UART, BRK),
    ),
    Scenario(
        "mmio_high",
        "MMIO at 0x8000001000, then a debug exit",
        "An old kernel leaves half of the address in the hole: 0x80 on little-endian, 0x1000 on "
        "big-endian.",
        (_ABOVE_4G, BRK),
    ),
    Scenario(
        "stale_far",
        "A watchpoint, then a breakpoint instruction",
        "far is written for watchpoints alone: the second exit still shows the first's.",
        (WATCH, BRK),
    ),
    Scenario(
        "immediate_exit",
        "immediate_exit keeps the old exit",
        "KVM_RUN returns -EINTR and writes nothing: exit_reason and flag stay.",
        (BRK, SET, _UART, CLEAR, _UART),
    ),
    Scenario(
        "served",
        "KVM serves two accesses itself, then a debug exit",
        "No exit tells of them. An old kernel leaves half of the last address in the hole: 0 on "
        "little-endian, 0x08000100 on big-endian.",
        (Served(0x0800_0004, 4, b"\x03\0\x20\0"), Served(0x0800_0100, 4), BRK),
    ),
    Scenario(
        "ndata",
        "A system event, then a debug exit",
        "An old kernel leaves ndata in the hole: 1 in both byte orders; before v5.18 0, since "
        "ndata is of v5.18.",
        (SystemEvent(2), BRK),
    ),
    Scenario(
        "poison",
        "Userspace fills the exit union, then a debug exit",
        "What userspace wrote stays where no kernel writes: in an old kernel's hole, and in far.",
        (UserWrite(32, b"\xaa" * 256), BRK),
    ),
    Scenario(
        "poison_flags",
        "Userspace sets all flags, then a debug exit",
        "An old kernel leaves flags alone: whoever trusts them must not have written them.",
        (UserWrite(14, b"\xff\xff"), UserWrite(36, b"\xaa" * 4), BRK, _UART),
    ),
    Scenario(
        "mmio_read",
        "A read that userspace answers, then a single step",
        "The answer lies where far does, and stays there.",
        (MmioExit(0x0900_0000, 8), UserWrite(40, bytes(range(1, 9))), STEP),
    ),
)
"""Made by hand, by name; none has happened on a real kernel in just this form."""

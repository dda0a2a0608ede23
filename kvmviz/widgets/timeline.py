"""The timeline as a widget: choose what happens, on which kernel, who reads, and scrub through it.

What it shows is decided in :mod:`kvmviz.kvm.scenario` and in :mod:`kvmviz.board`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple

import ipywidgets as ipw

from kvmviz import _base, board
from kvmviz._base import KvmvizError, chosen, counted, hexadecimal, shown
from kvmviz.abi import BYTE_ORDERS, ByteOrder
from kvmviz.draw import timeline
from kvmviz.draw.canvas import Picture
from kvmviz.kvm.captures import ABI_OF
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
from kvmviz.kvm.kernel import ALL_KERNELS, KERNELS, MMIO, Kernel
from kvmviz.kvm.page import Vcpu
from kvmviz.kvm.program import READERS, Vmm
from kvmviz.kvm.scenario import SCENARIOS, Scenario, Scene, check_step, find, real, scene
from kvmviz.widgets import panel

ROWS = 4
"""How many steps the widget shows at once; half as many where two pages are compared."""

MOST_EVENTS = 1000
"""How many events a sequence of one's own may have: each change plays all of them."""

NONE = "no other"
"""What the control for a second kernel says where there is none."""

OWN = "own"
"""Name of a sequence of one's own."""


@dataclass(frozen=True)
class State:
    """All that a timeline shows follows from this; ``own`` is a sequence to come back to."""

    scenario: Scenario = SCENARIOS["stale_flag"]
    kernel: Kernel = KERNELS["v2"]
    beside: Kernel | None = None
    byte_order: ByteOrder = "big"
    reader: Vmm = READERS["exit_reason forgotten"]
    full: bool = False
    step: int = 1
    own: Scenario | None = None

    @property
    def scene(self) -> Scene:
        """The steps that are shown; :class:`KvmvizError` if there is no such step."""
        limit = ROWS // 2 if self.beside or self.full else ROWS
        return scene(
            self.scenario, self.kernel, ABI_OF[self.byte_order], self.reader, self.beside,
            self.step, limit,
        )  # fmt: skip

    @property
    def picture(self) -> Picture:
        """The picture of them."""
        return timeline.draw(self.scene, self.full)


@lru_cache(maxsize=panel.FRAMES)
def frame(state: State) -> panel.Frame:
    """What a timeline shows in a state."""
    shown = state.scene
    spoken = shown.rows[-1][0].sentence if shown.rows else ""
    return panel.figure(board.history(shown, state.full), spoken)


def own(events: Iterable[Event]) -> Scenario:
    """Events as a scenario; :class:`KvmvizError` for what is no event, and for too many."""
    if not isinstance(events, Iterable):
        raise KvmvizError(f"events {shown(events)}: give a sequence of events")
    held = tuple(islice(events, MOST_EVENTS + 1))
    if len(held) > MOST_EVENTS:
        raise KvmvizError(f"events: more than {MOST_EVENTS}; a timeline plays up to so many")
    return Scenario(OWN, "A sequence of one's own", "", held)


def entered(label: str, typed: str) -> Any:
    """What was typed into an entry: its label says the form; :class:`KvmvizError` for another."""
    name, _, form = label.partition(", ")
    if form == "hex or empty" and not typed.strip():
        return None
    if form.startswith("hex"):
        return hexadecimal(typed, name, 64)
    try:
        if form == "bytes":
            return bytes.fromhex("".join(typed.split()).removeprefix("0x") or "none")
        return int(typed, 0) if len(typed) <= 40 else int("")
    except ValueError:
        kind, legal = "number", "such as 36 and 0x24"
        if form == "bytes":
            kind, legal = "row of bytes in hex", "pairs of digits, as 5a 5a 00 00"
        raise KvmvizError(f"{name}: {shown(typed)} is no {kind}; legal are {legal}") from None


class Kind(NamedTuple):
    """A kind of step: what makes it of its entries, and those with values to start from."""

    make: Callable[..., Event]
    entries: tuple[tuple[str, str], ...] = ()


AT, SERVED_AT = ("phys_addr, hex", "0x09000000"), ("phys_addr, hex", "0x08000100")
ANSWER_AT = (
    KERNELS["merged"].page("aarch64").offsets["mmio"] + MMIO.layout("aarch64").offsets["data"]
)
"""Offset in the page of what a read is to get."""

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "debug exit": Kind(DebugExit, (("esr, hex", "0xf2001234"), ("far, hex or empty", ""))),
        "MMIO write": Kind(
            lambda at, data: MmioExit(at, len(data), data), (AT, ("data, bytes", "5a 5a 00 00"))
        ),
        "MMIO read": Kind(MmioExit, (("phys_addr, hex", "0x8000001000"), ("len", "4"))),
        "answer the read": Kind(
            lambda data: UserWrite(ANSWER_AT, data), (("data, bytes", "01 02 03 04"),)
        ),
        "system event": Kind(SystemEvent, (("type", "2"), ("data, hex", "0x0"))),
        "signal pending": Kind(Interrupted),
        "run fails after entry": Kind(Unhandled),
        "KVM serves a write": Kind(Served, (SERVED_AT, ("len", "4"))),
        "KVM serves a read": Kind(
            lambda at, data: Served(at, len(data), data),
            (SERVED_AT, ("data, bytes", "01 00 00 00")),
        ),
        "set immediate_exit": Kind(lambda: SET),
        "clear immediate_exit": Kind(lambda: CLEAR),
        "userspace writes": Kind(UserWrite, (("offset", "36"), ("data, bytes", "aa aa aa aa"))),
    }
)
"""The kinds of steps by name, with what is asked for; what is not said to be hex is decimal."""


def event_from(kind: str, *typed: str) -> Event:
    """The step that entries make; :class:`KvmvizError` names the entry that is wrong."""
    make, entries = _base.find(KINDS, kind, "kind of step")
    return make(*(entered(label, words) for (label, _), words in zip(entries, typed, strict=False)))


def _chosen(_: Timeline, state: State, scenario: str | Scenario) -> State:
    """A scenario goes to its last step."""
    is_own = isinstance(scenario, str) and scenario == OWN
    found = state.own if is_own and state.own else find(scenario)
    return replace(state, scenario=found, step=len(found.events) - 1)


def _built(timeline: Timeline, state: State, events: Iterable[Event]) -> State:
    made = own(events)
    return _chosen(timeline, replace(state, own=made), made)


class Timeline(panel.Panel):
    """The kvm_run page over time: scrub through the steps of a scenario, or build one's own.

    ``scenario`` may also be a Scenario, ``kernel`` and ``beside`` a Kernel, ``reader`` a Vmm of
    one's own. :attr:`events` that are set and :meth:`add` make a sequence of one's own.
    """

    scenario = panel.Setting[str, "str | Scenario"](
        "Name of what happens; `own` where a sequence of one's own is shown.",
        reads=lambda state: state.scenario.name,
        turns=_chosen,
        by=panel.choice("scenario", width="470px", before=panel.LABEL),
    )
    events = panel.Setting[tuple[Event, ...], Iterable[Event]](
        "All that happens, in order; set some to make a sequence of one's own.",
        reads=lambda state: state.scenario.events,
        turns=_built,
    )
    kernel = panel.Setting[str, "str | Kernel"](
        "Name of the kernel that writes the page.",
        ALL_KERNELS.find,
        reads=lambda state: state.kernel.name,
        by=panel.choice("kernel", width="250px", before=panel.LABEL),
    )
    beside = panel.Setting["str | None", "str | Kernel | None"](
        "Name of the second kernel, on which the same happens; None where there is none.",
        lambda kernel: None if kernel is None else ALL_KERNELS.find(kernel),
        reads=lambda state: state.beside and state.beside.name,
        by=replace(
            panel.choice("beside it", width="210px"),
            shows=lambda state: state.beside.name if state.beside else NONE,
            means=lambda _, name: None if name == NONE else name,
        ),
    )
    byte_order = panel.Setting[ByteOrder, str](
        "`little` or `big`, of kernel and VMM.",
        lambda order: chosen(order, BYTE_ORDERS, "unknown byte order"),
        by=panel.orders("", "byte order of kernel and VMM"),
    )
    reader = panel.Setting[str, "str | Vmm"](
        "The VMM that reads: a name of kvmviz.kvm.program.READERS.",
        READERS.find,
        reads=lambda state: state.reader.name,
        by=panel.choice("VMM", width="260px"),
    )
    full = panel.Setting[bool, bool](
        "All of the first 64 bytes are drawn as cells.",
        lambda value: chosen(value, (True, False), "full", "True and False"),
        by=panel.Control(
            ipw.Checkbox,
            {"description": "all 64 bytes", "indent": False, "layout": {"width": "120px"}},
        ),
    )
    step = panel.Setting[int, int](
        "Where time stands: the last step that is shown; -1 where there is none.",
        turns=lambda _, state, step: replace(state, step=check_step(state.scenario, step)),
        by=panel.Control(
            ipw.IntSlider,
            {"description": "step", "min": 0, "max": 1, "style": {"description_width": panel.LABEL},
             "layout": {"width": "430px"}},
            shows=lambda state: max(state.step, 0),
        ),
    )  # fmt: skip

    _home, _frame = State(), staticmethod(frame)

    def _arrange(self) -> list[Any]:
        part = self._controls
        # The kernel knows what was typed before Add is clicked: messages of two controls that come
        # at once may be handled in either order.
        part["kind"] = ipw.Dropdown(
            description="add", options=list(KINDS), style={"description_width": panel.LABEL},
            layout={"width": "270px"},
        )  # fmt: skip
        for name in ("first", "second"):
            part[name] = ipw.Text(style={"description_width": "initial"}, layout={"width": "250px"})
        part["kind"].observe(lambda _: self._ask(), "value")
        self._ask()
        self._button("previous", "◀ Back", "One step back in time", lambda: self._go(-1))
        self._button("next", "Next ▶", "One step on in time", lambda: self._go(1))
        self._button("add", "Add", "Let this happen after the last step", self._add_typed)
        self._button(
            "remove", "Remove last", "Take the last step away",
            lambda: self.set(events=self.events[:-1]),
        )  # fmt: skip
        self._button("clear", "Clear", "Start from a page of zeros", lambda: self.set(events=()))
        return [
            self._row("scenario", "byte_order", "full"),
            self._row("kernel", "beside", "reader"),
            self._row("step", "previous", "next", "reset"),
            self._view,
            self._row("kind", "first", "second", "add", "remove", "clear"),
            self._error,
        ]

    def _ask(self) -> None:
        """Entries that the chosen kind of step has, with values to start from."""
        asked = KINDS[self._controls["kind"].value].entries
        for at, name in enumerate(("first", "second")):
            control = self._controls[name]
            control.layout.display = None if at < len(asked) else "none"
            if at < len(asked):
                control.description, control.value = asked[at]

    def _adapt(self) -> None:
        part, held = self._controls, self._state
        panel.choose(part["scenario"], _titles(held), held.scenario.name)
        panel.choose(part["kernel"], ALL_KERNELS, held.kernel.name)
        panel.choose(
            part["beside"], [NONE, *ALL_KERNELS], held.beside.name if held.beside else NONE
        )
        panel.choose(part["reader"], READERS, held.reader.name)
        last = len(held.scenario.events) - 1
        # A slider needs two ends.
        part["step"].max, part["step"].disabled = max(last, 1), last < 1
        part["previous"].disabled, part["next"].disabled = held.step < 1, held.step >= last
        part["remove"].disabled = part["clear"].disabled = last < 0

    def _go(self, by: int) -> None:
        with panel.LOCK:
            if 0 <= self.step + by < len(self.events):
                self.step += by

    def _add_typed(self) -> None:
        typed = (self._controls["first"].value, self._controls["second"].value)
        self.add(event_from(self._controls["kind"].value, *typed))

    def add(self, event: Event) -> None:
        """Let one more event happen after the last step, and go there."""
        with panel.LOCK:
            self.events = (*self.events, event)

    @property
    def vcpu(self) -> Vcpu:
        """The page on the first kernel, all of the scenario having happened."""
        found: Vcpu = self._state.scene.pages[0]
        return found


def _titles(held: State) -> list[tuple[str, str]]:
    """The scenarios to choose, those that are held among them."""
    more = {row.name: row for row in (held.scenario, held.own) if row}
    found = []
    for name, row in {**SCENARIOS, **real(), **more}.items():
        mark = ", synthetic ESR[63:32]" if row.synthetic else ""
        found.append((f"{row.title}{mark} ({counted(len(row.events), 'step')})", name))
    return found

"""The timeline as a widget: choose what happens, on which kernel, who reads, and scrub through it.

What it shows is decided in :mod:`kvmviz.kvm.scenario` and in :mod:`kvmviz.board`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import islice
from types import MappingProxyType
from typing import Any

import ipywidgets as ipw

from kvmviz import _base, draw
from kvmviz._base import KvmvizError, chosen, counted, shown
from kvmviz.abi import BYTE_ORDERS, ByteOrder
from kvmviz.board import Board, history
from kvmviz.draw.canvas import Picture
from kvmviz.kvm import captures
from kvmviz.kvm.captures import ABI_OF
from kvmviz.kvm.exits import Event
from kvmviz.kvm.kernel import ALL_KERNELS, KERNELS, Kernel
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
        return draw.timeline(self.scene, self.full)

    @property
    def board(self) -> Board:
        """The page as it stands then."""
        return history(self.scene, self.full)


def own(events: Iterable[Event]) -> Scenario:
    """Events as a scenario; :class:`KvmvizError` for what is no event, and for too many."""
    if not isinstance(events, Iterable):
        raise KvmvizError(f"events {shown(events)}: give a sequence of events")
    held = tuple(islice(events, MOST_EVENTS + 1))
    if len(held) > MOST_EVENTS:
        raise KvmvizError(f"events: more than {MOST_EVENTS}; a timeline plays up to so many")
    return Scenario(OWN, "A sequence of one's own", "", held)


KINDS: Mapping[str, Any] = MappingProxyType(
    tomllib.loads(files(__package__).joinpath("steps.toml").read_text("utf-8"))
)
"""The kinds of steps by name, with what is asked for."""


def event_from(kind: str, *typed: str) -> Event:
    """The step that entries make; :class:`KvmvizError` names the entry that is wrong.

    Of a kind with fewer entries than there are texts, the last are not read.
    """
    row = _base.find(KINDS, kind, "kind of step")
    given, entries = {"kind": row["kind"], **row.get("fixed", {})}, row.get("entries", ())
    if len(typed) < len(entries) or not all(isinstance(words, str) for words in typed):
        told = "; ".join(label for _, label, _ in entries) or "none"
        raise KvmvizError(f"{kind}: {shown(typed)} are no texts of its entries, which are {told}")
    for (key, label, _), words in zip(entries, typed, strict=False):
        if key == "data":
            given[key] = "".join(words.split()).removeprefix("0x")
            if not given[key]:
                raise KvmvizError("data: no bytes; legal are pairs of hex digits, such as 5a 00")
        elif "hex" not in label:
            given[key] = _number(key, words)
        elif words.strip() or "or empty" not in label:
            given[key] = words
    if row["kind"] in ("mmio_write", "served_read"):
        given["len"] = len(given["data"]) // 2
    return captures.event(given)


def _number(name: str, typed: str) -> int:
    with suppress(ValueError):
        if typed.isascii() and len(typed) <= 40:  # int() also reads digits of other scripts
            return int(typed, 0)
    raise KvmvizError(f"{name}: {shown(typed)} is no number; legal are such as 36 and 0x24")


def _chosen(_: Timeline, state: State, scenario: str | Scenario) -> State:
    """A scenario goes to its last step."""
    held = {row.name: row for row in (state.own, state.scenario) if row}
    try:
        found = find(scenario)
    except KvmvizError:
        if not isinstance(scenario, str) or scenario not in held:
            raise
        found = held[scenario]
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
        by=panel.choice("scenario"),
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
        by=panel.choice("kernel"),
    )
    beside = panel.Setting["str | None", "str | Kernel | None"](
        "Name of the second kernel, on which the same happens; None where there is none.",
        lambda kernel: None if kernel is None else ALL_KERNELS.find(kernel),
        reads=lambda state: state.beside and state.beside.name,
        by=replace(
            panel.choice("beside it"),
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
        by=panel.choice("VMM"),
    )
    full = panel.Setting[bool, bool](
        "All of the first 64 bytes are drawn as cells.",
        lambda value: chosen(value, (True, False), "full", "True and False"),
        by=panel.Control(ipw.Checkbox, {"description": "all 64 bytes", "indent": False}),
    )
    step = panel.Setting[int, int](
        "Where time stands: the last step that is shown; -1 where there is none.",
        turns=lambda _, state, step: replace(state, step=check_step(state.scenario, step)),
        by=panel.Control(
            ipw.IntSlider,
            {"description": "step", "min": 0, "max": 1},
            shows=lambda state: max(state.step, 0),
        ),
    )

    _home = State()

    def _arrange(self) -> list[Any]:
        part = self._controls
        # The kernel knows what was typed before Add is clicked: messages of two controls that come
        # at once may be handled in either order.
        part["kind"] = ipw.Dropdown(description="add", options=list(KINDS))
        part["first"], part["second"] = ipw.Text(), ipw.Text()
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
        asked = KINDS[self._controls["kind"].value].get("entries", ())
        for at, name in enumerate(("first", "second")):
            control = self._controls[name]
            control.layout.display = None if at < len(asked) else "none"
            if at < len(asked):
                _, control.description, control.value = asked[at]

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

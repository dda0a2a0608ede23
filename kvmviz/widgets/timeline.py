"""The timeline as a widget: choose what happens, on which kernel, who reads, and scrub through it.

What it shows is decided and drawn in :mod:`kvmviz.draw.timeline`.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import ipywidgets as ipw

from kvmviz._base import KvmvizError, counted
from kvmviz.abi import BYTE_ORDERS, ByteOrder
from kvmviz.draw import timeline
from kvmviz.draw.canvas import Picture
from kvmviz.draw.timeline import Scene, check_step, scene
from kvmviz.kvm.captures import ABI_OF, scenarios
from kvmviz.kvm.exits import Event
from kvmviz.kvm.kernel import KERNELS, POLICIES, Kernel
from kvmviz.kvm.kernel import find as find_kernel
from kvmviz.kvm.page import Step, Vcpu
from kvmviz.kvm.program import READERS, Conclusion, Vmm, conclude
from kvmviz.kvm.program import find as find_vmm
from kvmviz.kvm.scenario import SCENARIOS, Scenario
from kvmviz.kvm.words import sentence
from kvmviz.widgets.compose import KINDS, OWN, event_from, own
from kvmviz.widgets.controls import (
    LABEL,
    ONE_AT_A_TIME,
    ROW,
    Live,
    Settable,
    alert,
    finish,
    img,
    spoken,
)

SETTINGS = ("scenario", "events", "kernel", "beside", "byte_order", "reader", "full", "step")
"""What can be set on a timeline; a new scenario goes to its last step."""

ROWS = 4
"""How many steps the widget shows at once; half as many where two pages are compared."""

NONE = "no other"
"""What the control for a second kernel says where there is none."""


@dataclass(frozen=True)
class State:
    """All that a timeline shows follows from this."""

    scenario: Scenario = SCENARIOS["stale_flag"]
    kernel: Kernel = KERNELS["v2"]
    beside: Kernel | None = None
    byte_order: ByteOrder = "big"
    reader: Vmm = READERS["no_reason"]
    full: bool = False
    step: int = 1

    @property
    def scene(self) -> Scene:
        """The steps that are shown; :class:`KvmvizError` if there is no such step."""
        limit = ROWS // 2 if self.beside or self.full else ROWS
        return scene(
            self.scenario, self.kernel, ABI_OF[self.byte_order], self.reader, self.beside,
            self.step, limit,
        )  # fmt: skip


@lru_cache(maxsize=512)
def frame(state: State) -> tuple[str, str, str, int]:
    """What a timeline shows in a state: picture and words as HTML, the text twin, its height."""
    picture = timeline.draw(state.scene, state.full)
    words = f"<pre>{html.escape(picture.text)}</pre>"
    return img(picture), words, picture.text, picture.height


class Timeline(Settable, Live):
    """The kvm_run page over time: scrub through the steps of a scenario, or build one's own.

    Everything can be set from code as from the controls: ``scenario`` (a name of
    :data:`kvmviz.kvm.scenario.SCENARIOS` or :func:`kvmviz.kvm.captures.scenarios`, or a Scenario),
    ``events`` (a sequence of one's own), ``step``, ``kernel`` and ``beside`` (a name, or a
    :class:`~.kernel.Kernel` of one's own; ``beside`` may be None), ``byte_order``, ``reader`` (a
    name of :data:`kvmviz.kvm.program.READERS`, or a Vmm), ``full`` (all of the first 64 bytes as
    cells). :meth:`add`, :meth:`remove_last` and :meth:`clear` make a sequence of one's own out of
    the one shown. What is not legal raises :class:`KvmvizError` and changes nothing; from the
    controls, the message stands beside them.
    """

    def __init__(self, **start: Any) -> None:
        self._state = self._home = State()
        self._syncing = False
        self._tallest = 0
        # One's own are kept, to come back to after a look at others.
        self._own: Scenario | None = None
        self._kernels: dict[str, Kernel] = {}
        self._readers: dict[str, Vmm] = {}
        self._part = self._make_controls()
        self._view, self._words, self._spoken = ipw.HTML(), ipw.HTML(), spoken()
        self._error = ipw.HTML()
        self.box = self._arrange()
        for name in start:
            if name not in SETTINGS:
                raise KvmvizError(f"a timeline has no {name!r}; legal are {', '.join(SETTINGS)}")
        for name in SETTINGS:  # the step comes last: which are legal depends on the scenario
            if name in start:
                setattr(self, name, start[name])
        self._home = self._state
        self._show(self._state)

    def _make_controls(self) -> dict[str, Any]:
        kernels = [*KERNELS, *POLICIES]
        choices: dict[str, tuple[str, Iterable[Any], str]] = {
            "scenario": ("scenario", _titles(), "470px"),
            "kernel": ("kernel", kernels, "250px"),
            "beside": ("beside it", [NONE, *kernels], "210px"),
            "reader": ("VMM", [(vmm.title, vmm.name) for vmm in READERS.values()], "260px"),
            "kind": ("add", list(KINDS), "270px"),
        }
        made: dict[str, Any] = {
            name: ipw.Dropdown(
                description=words,
                options=options,
                style={"description_width": _label(name)},
                layout={"width": width},
            )
            for name, (words, options, width) in choices.items()
        }
        made["byte_order"] = ipw.ToggleButtons(
            options=[(f"{order}-endian", order) for order in BYTE_ORDERS],
            tooltip="byte order of kernel and VMM",
            style={"button_width": "auto"},
        )
        made["full"] = ipw.Checkbox(
            description="all 64 bytes", indent=False, layout={"width": "120px"}
        )
        made["step"] = ipw.IntSlider(
            description="step", min=0, max=1, style={"description_width": LABEL},
            layout={"width": "430px"},
        )  # fmt: skip
        # The kernel knows what was typed before Add is clicked: messages of two controls that come
        # at once may be handled in either order.
        for name in ("first", "second"):
            made[name] = ipw.Text(
                style={"description_width": "initial"},
                layout={"width": "250px"},
            )  # fmt: skip
        for name, control in made.items():
            if name in SETTINGS:
                control.observe(self._turned(name), "value")
        made["kind"].observe(lambda _: self._ask(), "value")
        for name, (words, hint, act) in {
            "previous": ("◀ Back", "One step back in time", lambda: self._go(-1)),
            "next": ("Next ▶", "One step on in time", lambda: self._go(1)),
            "reset": ("Reset", "Back to the state at the start", self.reset),
            "add": ("Add", "Let this happen after the last step", self._add_typed),
            "remove": ("Remove last", "Take the last step away", self.remove_last),
            "clear": ("Clear", "Start from a page of zeros", self.clear),
        }.items():
            made[name] = ipw.Button(description=words, tooltip=hint, layout={"width": "auto"})
            made[name].on_click(self._clicked(act))
        return made

    def _arrange(self) -> Any:
        part = self._part
        above = (
            ("scenario", "byte_order", "full"),
            ("kernel", "beside", "reader"),
            ("step", "previous", "next", "reset"),
        )
        below = ("kind", "first", "second", "add", "remove", "clear")
        rows = [ipw.Box([part[name] for name in names], layout=ROW) for names in above]
        builder = ipw.Box([*(part[name] for name in below), self._error], layout=ROW)
        parts = [*rows, self._view, builder, self._words, self._spoken, finish()]
        return ipw.VBox(parts).add_class("kvmviz")

    def _turned(self, name: str) -> Callable[[Any], None]:
        def turned(change: Any) -> None:
            value = None if change["new"] == NONE else change["new"]
            if name == "scenario" and value == OWN:
                self._guard(self._to_own)
            else:
                self._guard(lambda: setattr(self, name, value))

        return turned

    def _to_own(self) -> None:
        """Back to the sequence of one's own; if there is none yet, what is shown becomes it."""
        if self._own is None:
            self._own = own(self.events)
            self._set(scenario=self._own)
        else:
            self.scenario = self._own

    def _clicked(self, act: Callable[[], None]) -> Callable[[Any], None]:
        return lambda _: self._guard(act)

    def _guard(self, act: Callable[[], None]) -> None:
        """Do what a control asks for; say beside the controls what is wrong with it."""
        with ONE_AT_A_TIME:
            if self._syncing:
                return
            try:
                act()
            except KvmvizError as error:
                self._sync()
                self._error.value = alert(str(error))

    def _go(self, by: int) -> None:
        if 0 <= self.step + by < len(self.events):
            self.step += by

    def _add_typed(self) -> None:
        typed = (self._part["first"].value, self._part["second"].value)
        self.add(event_from(self._part["kind"].value, *typed))

    def _ask(self) -> None:
        """Entries that the chosen kind of step has, with values to start from."""
        asked = KINDS[self._part["kind"].value].entries
        for at, name in enumerate(("first", "second")):
            control = self._part[name]
            control.layout.display = None if at < len(asked) else "none"
            if at < len(asked):
                control.description, control.value = asked[at]

    def _set(self, **changes: Any) -> None:
        with ONE_AT_A_TIME:
            self._show(replace(self._state, **changes))

    def _show(self, state: State) -> None:
        """Draw first: what cannot be drawn raises before anything has changed."""
        shown, words, _, height = frame(state)
        self._state = state
        # What could be drawn can be come back to.
        for kernel in filter(None, (state.kernel, state.beside)):
            if kernel.name not in (*KERNELS, *POLICIES):
                self._kernels[kernel.name] = kernel
        if state.reader.name not in READERS:
            self._readers[state.reader.name] = state.reader
        self._view.value, self._words.value = shown, words
        # The controls below stay where they are, however little there is to see.
        self._tallest = max(self._tallest, height)
        self._view.layout.min_height = f"{self._tallest}px"
        last = state.scene.rows[-1][0] if state.scene.rows else None
        self._spoken.value = html.escape(sentence(last)) if last else ""
        self._error.value = ""
        self._sync()

    def _sync(self) -> None:
        """Bring every control to the state."""
        part, held, self._syncing = self._part, self._state, True
        try:
            _choose(part["scenario"], _titles(held.scenario), held.scenario.name)
            names = [*KERNELS, *POLICIES, *self._kernels]
            _choose(part["kernel"], names, held.kernel.name)
            _choose(part["beside"], [NONE, *names], held.beside.name if held.beside else NONE)
            vmms = [(r.title, r.name) for r in (*READERS.values(), *self._readers.values())]
            _choose(part["reader"], vmms, held.reader.name)
            part["byte_order"].value, part["full"].value = held.byte_order, held.full
            last = len(self.events) - 1
            # A slider needs two ends.
            part["step"].max = max(last, 1)
            part["step"].value, part["step"].disabled = max(held.step, 0), last < 1
            part["previous"].disabled, part["next"].disabled = held.step < 1, held.step >= last
            part["remove"].disabled = part["clear"].disabled = last < 0
            if not part["first"].description:
                self._ask()
        finally:
            self._syncing = False

    def reset(self) -> None:
        """Back to the state that it was made with."""
        self._set(**vars(self._home))

    @property
    def scenario(self) -> str:
        """Name of what happens; ``own`` for a sequence of one's own."""
        return self._state.scenario.name

    @scenario.setter
    def scenario(self, what: str | Scenario) -> None:
        found = timeline.find(what)
        self._set(scenario=found, step=len(found.events) - 1)

    @property
    def events(self) -> tuple[Event, ...]:
        """All that happens, in order; set some to make a sequence of one's own."""
        return self._state.scenario.events

    @events.setter
    def events(self, events: Iterable[Event]) -> None:
        made = own(events)
        self.scenario = made
        self._own = made

    def add(self, event: Event) -> None:
        """Let one more event happen after the last step, and go there."""
        self.events = (*self.events, event)

    def remove_last(self) -> None:
        """Take the last step away; nothing happens where there is none."""
        self.events = self.events[:-1]

    def clear(self) -> None:
        """Start from a page of zeros, to build a sequence of one's own."""
        self.events = ()

    @property
    def step(self) -> int:
        """Where time stands: the last step that is shown; -1 where there is none."""
        return self._state.step

    @step.setter
    def step(self, number: int) -> None:
        self._set(step=check_step(self._state.scenario, number))

    @property
    def kernel(self) -> str:
        """Name of the kernel that writes the page."""
        return self._state.kernel.name

    @kernel.setter
    def kernel(self, kernel: str | Kernel) -> None:
        self._set(kernel=self._kernel(kernel))

    def _kernel(self, kernel: str | Kernel) -> Kernel:
        return find_kernel(self._kernels.get(str(kernel), kernel))

    @property
    def beside(self) -> str | None:
        """Name of the second kernel, on which the same happens; None where there is none."""
        return self._state.beside.name if self._state.beside else None

    @beside.setter
    def beside(self, kernel: str | Kernel | None) -> None:
        self._set(beside=None if kernel is None else self._kernel(kernel))

    @property
    def byte_order(self) -> ByteOrder:
        """``little`` or ``big``, of kernel and VMM."""
        return self._state.byte_order

    @byte_order.setter
    def byte_order(self, order: ByteOrder) -> None:
        if order not in BYTE_ORDERS:
            raise KvmvizError(f"unknown byte order {order!r}; legal are little and big")
        self._set(byte_order=order)

    @property
    def reader(self) -> str:
        """The VMM that reads: a name of :data:`kvmviz.kvm.program.READERS`."""
        return self._state.reader.name

    @reader.setter
    def reader(self, vmm: str | Vmm) -> None:
        found = find_vmm(vmm, {**READERS, **self._readers})
        self._set(reader=found)

    @property
    def full(self) -> bool:
        """All of the first 64 bytes are drawn as cells."""
        return self._state.full

    @full.setter
    def full(self, full: bool) -> None:
        self._set(full=bool(full))

    @property
    def vcpu(self) -> Vcpu:
        """The page on the first kernel, all of the scenario having happened."""
        return self._state.scene.pages[0]

    @property
    def now(self) -> Step | None:
        """The step where time stands, on the first kernel."""
        return self.vcpu.history[self.step] if self.events else None

    @property
    def conclusion(self) -> Conclusion | None:
        """What the VMM makes of that step."""
        return conclude(self.now, self._state.reader) if self.now else None

    @property
    def picture(self) -> Picture:
        """The picture that it shows now."""
        return timeline.draw(self._state.scene, self.full)

    @property
    def text(self) -> str:
        """The text twin of what it shows now."""
        return frame(self._state)[2]

    def __repr__(self) -> str:
        return self.text


def _titles(held: Scenario | None = None) -> list[tuple[str, str]]:
    """The scenarios to choose, the one that is held among them."""
    known = {**SCENARIOS, **scenarios()}
    found = [(_title(row), name) for name, row in known.items()]
    if held is not None and held.name not in (*known, OWN):
        found.append((held.title, held.name))
    return [*found, ("A sequence of one's own", OWN)]


def _title(scenario: Scenario) -> str:
    mark = ", synthetic ESR[63:32]" if scenario.synthetic else ""
    return f"{scenario.title}{mark} ({counted(len(scenario.events), 'step')})"


def _choose(control: Any, options: list[Any], name: str) -> None:
    """Set a drop-down; what is chosen is added to its options if it is not among them."""
    names = [option[1] if isinstance(option, tuple) else option for option in options]
    wanted = tuple(options if name in names else [*options, name])
    if tuple(control.options) != wanted:
        control.options = wanted
    control.value = name


def _label(name: str) -> str:
    """Width of the label of a control: the first one in its row lies under those above it."""
    return LABEL if name in ("scenario", "kernel", "kind") else "initial"

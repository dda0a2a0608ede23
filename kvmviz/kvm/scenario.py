"""Scenarios: what happens to a page, as data, and the steps of one that are shown at once.

A scene is a scenario on one kernel, or the same events on two beside each other, as one program
reads the page.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from importlib import resources

from kvmviz._base import KvmvizError, Table, check_texts, chosen, shown, span
from kvmviz.abi import ABIS, Abi
from kvmviz.kvm import captures
from kvmviz.kvm.conclusion import Conclusion, conclude
from kvmviz.kvm.exits import Event
from kvmviz.kvm.kernel import ALL_KERNELS, KERNELS, Kernel
from kvmviz.kvm.page import Vcpu, differ, differing, play
from kvmviz.kvm.program import READERS, Vmm
from kvmviz.text import spans, table, where

MOST = 256
"""Steps that are shown at once."""


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
        note, told = f"  {self.note}" if self.note else "", table(steps) if steps else ""
        return "\n".join(filter(None, (f"{self.title}{mark}", note, told)))

    def play(self, kernel: str | Kernel, abi: str | Abi) -> Vcpu:
        """A new vCPU of that kernel on which it all has happened; one step an event."""
        return play(kernel, abi, self.events)


def _load() -> Iterator[Scenario]:
    text = resources.files("kvmviz").joinpath("data", "scenarios.toml").read_text("utf-8")
    for name, row in tomllib.loads(text).items():
        events = tuple(captures.event(one) for one in row["events"])
        yield Scenario(name, row["title"], row["note"], events)


SCENARIOS = Table("scenario", *_load())
"""Made by hand, by name, in ``data/scenarios.toml``; none has happened on a real kernel in just
this form."""


@cache
def real() -> Mapping[str, Scenario]:
    """What the real kernels went through, by name; those with a synthetic ESR end in that word.

    The events were the same on all kernels and in both byte orders.
    """
    note = f"Real kernels ({', '.join(KERNELS)}) went through this, dumped after each exit."
    found = {}
    for dump in captures.load():  # the last step of a sequence has all of it behind it
        name = f"{dump.scenario}_synthetic" if dump.synthetic else dump.scenario
        events = tuple(event for one in dump.path for event in one.events)
        found[name] = Scenario(name, f"Real: {dump.scenario}", note, events, dump.synthetic)
    return Table("scenario", *found.values())


def find(scenario: str | Scenario) -> Scenario:
    """The scenario itself, or one by name: made by hand, or of the real dumps."""
    if isinstance(scenario, Scenario):
        return scenario
    return Table("scenario", *SCENARIOS.values(), *real().values()).find(scenario)


@dataclass(frozen=True)
class Scene:
    """The steps ``first`` to ``step`` of a scenario, on one page or the same events on two.

    ``pages`` are the one or two vCPUs on which all of the scenario has happened. ``step`` is the
    last step that is shown, and ``limit`` how many are at most; -1 is the page before any step.
    """

    scenario: Scenario
    pages: tuple[Vcpu, ...]
    vmm: Vmm
    step: int
    limit: int

    @property
    def first(self) -> int:
        """The first step that is shown."""
        return max(0, self.step + 1 - self.limit)

    @property
    def count(self) -> int:
        """How many steps the scenario has."""
        return len(self.scenario.events)

    @cached_property
    def rows(self) -> tuple[tuple[Conclusion, ...], ...]:
        """What the program concludes, for each step that is shown, on each page."""
        return tuple(
            tuple(conclude(page.history[number], self.vmm) for page in self.pages)
            for number in range(self.first, self.step + 1)
        )

    @cached_property
    def differing(self) -> tuple[tuple[int, ...], ...]:
        """For each step that is shown, the offsets at which the two pages differ."""
        return tuple(
            differing(seen[0].step.page.data, seen[-1].step.page.data) for seen in self.rows
        )

    @property
    def left_out(self) -> str:
        """Which steps are not shown, in words; empty if all are."""
        rest = (0, self.first - 1, "before"), (self.step + 1, self.count - 1, "after")
        told = [f"{span(a, b).replace('byte', 'step')} {when}" for a, b, when in rest if a <= b]
        return f"not shown: {' and '.join(told)}" if told else ""

    @property
    def subtitle(self) -> str:
        """Kernels, byte order and program."""
        names = " and ".join(page.kernel.name for page in self.pages)
        kernels = "kernels" if len(self.pages) > 1 else "kernel"
        return f"{names} {kernels} · {where(self.pages[0].page.layout)} · VMM: {self.vmm.name}"

    @property
    def notes(self) -> list[str]:
        """What there is to say of the scenario."""
        synthetic = ["bits 63:32 of ESR are synthetic"] * self.scenario.synthetic
        return [*filter(None, [self.scenario.note]), *synthetic]

    def __repr__(self) -> str:
        lines = [self.scenario.title, *self.notes, self.subtitle]
        if not self.rows:
            lines.append("before any step: every byte is 0, and nobody has written any")
        for seen, offsets in zip(self.rows, self.differing, strict=True):
            lines.append(seen[0].step.title)
            for one in seen:
                lines += [f"  {one.step.kernel.name} kernel"] if len(seen) > 1 else []
                lines += [f"  {line}" for line in (*one.step.lines, f"{one.mark}{one.sentence}")]
            lines += [f"  {difference(offsets)}"] if len(seen) > 1 else []
        return "\n".join(filter(None, (*lines, self.left_out)))


def difference(offsets: tuple[int, ...]) -> str:
    """At which bytes two pages differ, in words."""
    if not offsets:
        return "the two pages are the same"
    return f"≠ {differ(len(offsets))}: {spans(offsets)}"


def check_step(scenario: Scenario, step: object) -> int:
    """A step that the scenario has, -1 if it has none; else :class:`KvmvizError`."""
    count = len(scenario.events)
    legal = f"0 .. {count - 1}" if count else "none: it has no steps"
    return chosen(step, range(count) or (-1,), "step", legal, f"of scenario {scenario.name}")


_played = lru_cache(maxsize=8)(Scenario.play)
"""Pages on which a scenario has happened: each step of a widget looks at the same ones."""


def scene(
    scenario: str | Scenario = "stale_flag",
    kernel: str | Kernel = "v2",
    abi: str | Abi = "aarch64_be",
    reader: str | Vmm = "exit_reason forgotten",
    beside: str | Kernel | None = None,
    step: int | None = None,
    limit: int = 6,
) -> Scene:
    """A scenario on one kernel, or ``beside`` it on a second one, as one program reads it.

    Raises :class:`KvmvizError` for unknown names, for a step that the scenario does not have, and
    for more than :data:`MOST` steps to be shown.
    """
    what, kernels = find(scenario), [ALL_KERNELS.find(kernel)]
    kernels += [ALL_KERNELS.find(beside)] if beside is not None else []
    at = len(what.events) - 1 if step is None else check_step(what, step)
    limit = chosen(limit, range(1, MOST + 1), "limit", f"1 .. {MOST}")
    pages = tuple(_played(what, one, ABIS.find(abi)) for one in kernels)
    return Scene(what, pages, READERS.find(reader), at, limit)

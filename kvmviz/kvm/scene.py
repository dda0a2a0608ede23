"""The steps of a history that are shown at once, of one page or of two beside each other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

from kvmviz import _base
from kvmviz import abi as abis
from kvmviz._base import chosen, counted, span
from kvmviz.abi import Abi
from kvmviz.kvm.captures import scenarios as real
from kvmviz.kvm.conclusion import Conclusion, conclude
from kvmviz.kvm.kernel import Kernel
from kvmviz.kvm.kernel import find as find_kernel
from kvmviz.kvm.page import Vcpu, differing
from kvmviz.kvm.program import READERS, Vmm
from kvmviz.kvm.program import find as find_vmm
from kvmviz.kvm.scenario import SCENARIOS, Scenario
from kvmviz.text import spans, where

MOST = 256
"""Steps that are shown at once."""


@dataclass(frozen=True, repr=False)
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
            for lane in seen:
                lines += [f"  {lane.step.kernel.name} kernel"] if len(seen) > 1 else []
                told = [*lane.step.lines, f"{lane.mark}{lane.sentence}"]
                lines += [f"  {line}" for line in told]
            if len(seen) > 1:
                lines.append(f"  {difference(offsets)}")
        return "\n".join(filter(None, (*lines, self.left_out)))


def difference(offsets: tuple[int, ...]) -> str:
    """At which bytes two pages differ, in words."""
    if not offsets:
        return "the two pages are the same"
    verb = "differs" if len(offsets) == 1 else "differ"
    return f"≠ {counted(len(offsets), 'byte')} {verb}: {spans(offsets)}"


def check_step(scenario: Scenario, step: object) -> int:
    """A step that the scenario has, -1 if it has none; else :class:`KvmvizError`."""
    count = len(scenario.events)
    legal = f"0 .. {count - 1}" if count else "none: it has no steps"
    return chosen(step, range(count) or (-1,), "step", legal, f"of scenario {scenario.name}")


_played = lru_cache(maxsize=8)(Scenario.play)
"""Pages on which a scenario has happened: each step of a widget looks at the same ones."""


def scene(
    scenario: Scenario,
    kernel: str | Kernel,
    abi: str | Abi,
    reader: str | Vmm,
    beside: str | Kernel | None = None,
    step: int | None = None,
    limit: int = 6,
) -> Scene:
    """A scenario on one kernel, or ``beside`` it on a second one, as one program reads it.

    Raises :class:`KvmvizError` for unknown names, for a step that the scenario does not have, and
    for more than :data:`MOST` steps to be shown.
    """
    kernels = [find_kernel(kernel), *([find_kernel(beside)] if beside is not None else [])]
    at = len(scenario.events) - 1 if step is None else check_step(scenario, step)
    limit = chosen(limit, range(1, MOST + 1), "limit", f"1 .. {MOST}")
    found = abis.find(abi)
    pages = tuple(_played(scenario, one, found) for one in kernels)
    return Scene(scenario, pages, find_vmm(reader, READERS), at, limit)


def find(scenario: str | Scenario) -> Scenario:
    """The scenario itself, or one by name: made by hand, or of the real dumps."""
    return _base.find({**SCENARIOS, **real()}, scenario, "scenario")

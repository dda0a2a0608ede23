"""The real dumps: what arm64 kernels left in struct kvm_run, held against the prediction.

``data/kvm_run.jsonl`` has one dump a line; ``data/README.md`` says how they were made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType

from kvmviz._base import KvmvizError, Twin
from kvmviz.abi import BYTE_ORDERS
from kvmviz.kvm import KERNELS
from kvmviz.kvm.dump import ABI_OF, PAGE, Compared, Dump, Overlay, differing, parse
from kvmviz.kvm.scenario import Scenario
from kvmviz.kvm.vcpu import Step, Vcpu
from kvmviz.kvm.vmm import Reading

__all__ = [
    "ABI_OF", "PAGE", "Compared", "Dump", "Overlay", "Rerun", "find", "load", "parse", "readings",
    "replay", "scenarios", "sequences",
]  # fmt: skip


@cache
def load() -> tuple[Dump, ...]:
    """All dumps, in order: sequences of steps that share one page."""
    text = resources.files("kvmviz").joinpath("data/kvm_run.jsonl").read_text("ascii")
    return tuple(parse(text))


@dataclass(frozen=True, repr=False)
class Rerun(Twin):
    """One real sequence, and a vCPU from which only its first page and its events were taken.

    The dumps share one page, all zero before the first. ``steps`` are those of ``vcpu.history``
    after which they were taken, one each.
    """

    dumps: tuple[Dump, ...]
    vcpu: Vcpu
    steps: tuple[Step, ...]

    @property
    def differing(self) -> tuple[tuple[int, ...], ...]:
        """For each dump the offsets, of 0 to 287, at which the vCPU's page differs from it."""
        pairs = zip(self.steps, self.dumps, strict=True)
        return tuple(differing(bytes(step.page)[:PAGE], dump.data) for step, dump in pairs)

    @property
    def compared(self) -> tuple[Compared, ...]:
        """All 288 bytes of each dump, beside the vCPU's page."""
        return tuple(
            Compared(dump, dump.data, wrong)
            for dump, wrong in zip(self.dumps, self.differing, strict=True)
        )

    @property
    def count(self) -> int:
        """How many bytes differ in all dumps of the sequence."""
        return sum(map(len, self.differing))


def replay(dumps: tuple[Dump, ...] | None = None) -> tuple[Rerun, ...]:
    """Every sequence of the dumps (by default all) played again, from a zeroed page on.

    Nothing of a dump's bytes goes in: only kernel, byte order, and what happened.
    """
    found = []
    for some in sequences(load() if dumps is None else dumps):
        vcpu = Vcpu(some[0].kernel, ABI_OF[some[0].byte_order])
        steps = tuple([vcpu.apply(event) for event in dump.events][-1] for dump in some)
        found.append(Rerun(some, vcpu, steps))
    return tuple(found)


@cache
def scenarios() -> Mapping[str, Scenario]:
    """What the real kernels went through, by name; those with a synthetic ESR end in that word.

    The events were the same on all kernels and in both byte orders.
    """
    found: dict[str, Scenario] = {}
    for some in sequences(load()):
        first = some[0]
        name = first.scenario + ("_synthetic" if first.synthetic else "")
        events = tuple(event for dump in some for event in dump.events)
        note = f"Real kernels ({', '.join(KERNELS)}) went through this, dumped after each exit."
        found.setdefault(
            name, Scenario(name, f"Real: {first.scenario}", note, events, first.synthetic)
        )
    return MappingProxyType(found)


def sequences(dumps: Iterable[Dump]) -> tuple[tuple[Dump, ...], ...]:
    """Dumps grouped into the sequences that share one page."""
    groups: list[list[Dump]] = []
    for dump in dumps:
        if groups and dump.follows(groups[-1][-1]):
            groups[-1].append(dump)
        else:
            groups.append([dump])
    return tuple(map(tuple, groups))


def find(
    kernel: str, byte_order: str, scenario: str, step: int = 0, synthetic: bool = False
) -> Dump:
    """The dump of that kernel, byte order, scenario and step.

    Raises :class:`KvmvizError` that names what there is.
    """
    wanted = (kernel, byte_order, scenario, step, synthetic)
    for dump in load():
        if wanted == (
            dump.kernel.name,
            dump.byte_order,
            dump.scenario,
            dump.step,
            dump.synthetic,
        ):
            return dump
    names = ", ".join(sorted({dump.scenario for dump in load()}))
    raise KvmvizError(
        f"no dump {wanted!r}; kernels are {', '.join(KERNELS)}; byte orders little, big; "
        f"scenarios {names}; steps count from 0, up to 2"
    )


def readings(
    scenario: str = "brk", vmm: str = "old", synthetic: bool = False
) -> tuple[Reading, ...]:
    """What one program makes of the first dump of a scenario.

    Row by row for the kernels old, widened and merged, each little-endian and big-endian.
    """
    return tuple(
        find(kernel, order, scenario, 0, synthetic).reading(vmm)
        for kernel in ("old", "widened", "merged")
        for order in BYTE_ORDERS
    )

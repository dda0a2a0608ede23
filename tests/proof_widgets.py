"""Every state of the explorer and of the timeline's scenarios, walked: ``make proof``.

What a state shows is held against the rules by hand in :mod:`tests.proof_page`; here each state
that a reader can turn to is shown, its board holds its words, and its words say what was turned.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from kvmviz import ABIS, Explorer, KvmvizError
from kvmviz.kvm.kernel import KERNELS, POLICIES
from kvmviz.kvm.program import READERS, VMMS
from kvmviz.kvm.scenario import SCENARIOS, real
from kvmviz.widgets.timeline import Timeline
from tests import panels

LAYOUTS = {"old": ("hsr", "far"), "widened": ("hsr", "far"), "merged": ("hsr", "hsr_high", "far")}
ESRS = (0xD2000062, 0x00A5C3E1F2001234)
WIDTHS = (8, 16, 32, 64)


def explorers() -> Iterator[dict[str, object]]:
    """What an explorer can be turned to: each width alone, all else with each other."""
    for abi, layout, reader, esr in itertools.product(ABIS, LAYOUTS, VMMS, ESRS):
        yield {"abi": abi, "layout": layout, "reader": reader, "esr": esr}
    for abi, layout in itertools.product(("m68k", "aarch64"), LAYOUTS):
        for member, bits in itertools.product(LAYOUTS[layout], WIDTHS):
            yield {"abi": abi, "layout": layout, "widths": {member: bits}}


def timelines() -> Iterator[dict[str, object]]:
    """Each scenario at its last step, each kernel with each reader; with and without a second."""
    for name, order in itertools.product((*SCENARIOS, *real()), ("little", "big")):
        yield {"scenario": name, "byte_order": order}
    for kernel, reader in itertools.product((*KERNELS, *POLICIES), READERS):
        yield {"scenario": "stale_flag", "kernel": kernel, "reader": reader, "full": False}
        yield {"scenario": "stale_flag", "kernel": kernel, "reader": reader, "beside": "old"}


def wrong(explorer: Explorer, asked: dict[str, object]) -> list[str]:
    """What an explorer says that is not so in a state."""
    explorer.reset()
    explorer.set(**asked)
    reading, words = explorer.reading, explorer.words
    sign = "✓" if reading.sound else "✗"
    digits = f"{reading.value:#0{2 + reading.bits // 4}x}"
    said = [f"{sign} reads {digits}", f"{explorer.abi} ({explorer.byte_order}-endian)"]
    said += [f"u{bits} {name}" for name, bits in explorer.widths.items()]
    held = {name: explorer.controls[name].value for name in ("abi", "layout", "reader")}
    missing = [word for word in said if word not in words]
    missing += [name for name, value in held.items() if value != getattr(explorer, name)]
    if panels.twin(explorer) != words:
        missing.append("words in the board")
    return [f"explorer {asked}: {one}" for one in missing]


def told(timeline: Timeline, asked: dict[str, object]) -> list[str]:
    """What a timeline does not say, in each of its steps."""
    timeline.reset()
    timeline.set(**asked)
    missing = []
    for step in range(len(timeline.events)):
        timeline.step = step
        said = [f"step {step}: ", f"{timeline.kernel}", f"VMM: {timeline.reader}"]
        missing += [f"step {step}: {word}" for word in said if word not in timeline.words]
        if panels.twin(timeline) != timeline.words:
            missing.append(f"step {step}: words in the board")
    return [f"timeline {asked}: {one}" for one in missing]


def walk(count: int) -> list[str]:
    """Walk ``count`` states of each, evenly spread; all of them where it is 0."""
    bad: list[str] = []
    explorer, timeline = Explorer(), Timeline()
    turns, plays = list(explorers()), list(timelines())
    for asked in _sample(turns, count):
        bad += wrong(explorer, asked)
    for asked in _sample(plays, count):
        try:
            bad += told(timeline, asked)
        except KvmvizError as error:
            bad.append(f"timeline {asked}: {error}")
    print(*bad, sep="\n", end="\n" if bad else "")
    print(f"{len(turns)} states of the explorer, {len(plays)} of the timeline: {len(bad)} wrong")
    return bad


def _sample(rows: Sequence[dict[str, object]], count: int) -> Sequence[dict[str, object]]:
    return rows[:: max(1, len(rows) // count)] if count else rows

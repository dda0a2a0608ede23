"""The figures of the story: what each chooses from, and the state that belongs to a choice.

Every state comes from the same objects as the pictures in the notebooks. The prose around them is
in ``page.html``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

from kvmviz.kvm.conclusion import conclude
from kvmviz.kvm.kernel import MERGED, OLD, WIDENED
from kvmviz.kvm.page import play
from kvmviz.kvm.program import VMMS, matrix, read
from kvmviz.kvm.scenario import SCENARIOS
from kvmviz.web import board
from kvmviz.web.board import Board

BRK, WATCHPOINT, GCS = 0xF2001234, 0xD2000062, 0x100_D2000062
FAR = 0x4000_0800
FILL = 0xAA
"""What lies where nobody wrote, so that it is seen."""
ABI = {"little": "aarch64", "big": "aarch64_be"}
SIZED = ("aarch64", "aarch64_be", "x86_64", "ppc64", "s390x", "arm", "i386", "m68k")


@dataclass(frozen=True)
class Control:
    """One row of choices; ``options`` are values and their words, the ``start`` is chosen."""

    title: str
    options: Mapping[str, str]
    start: str


ORDER = Control("byte order", {"little": "little-endian", "big": "big-endian"}, "big")


@dataclass(frozen=True)
class Figure:
    """``shows`` makes the state that belongs to a choice out of its ``controls``."""

    shows: Callable[..., Board]
    controls: tuple[Control, ...] = (ORDER,)

    @cached_property
    def states(self) -> Mapping[tuple[str, ...], Board]:
        """Every state by the values that choose it."""
        choices = product(*(control.options for control in self.controls))
        return {chosen: self.shows(*chosen) for chosen in choices}


def _slug(name: str) -> str:
    """A name as a link may have it."""
    return name.replace(",", "").replace(" ", "-")


def _seen(kernel: str, vmm: str, abi: str, esr: int = BRK, fill: int = 0) -> Board:
    """What a program reads on an ABI of arm64 by its byte order, or on any by its name."""
    return board.reading(read(kernel, vmm, ABI.get(abi, abi), esr, FAR, fill))


def _concluded(kernel: str, vmm: str, order: str, scenario: str, at: int) -> Board:
    """The page at a step of a scenario, and what a program concludes from it."""
    events = SCENARIOS[scenario].events
    return board.step(conclude(play(kernel, ABI[order], events).history[at], vmm))


def figures() -> Mapping[str, Figure]:
    """All of them by the name of their scene, in order."""
    exits = {"brk": "BRK", "gcs": "watchpoint, a defined upper half"}
    abis = {"aarch64_be": "aarch64_be", "i386": "i386", "m68k": "m68k"}
    vmms = {f"v-{_slug(name)}": name for name in ("u32 hsr", "hsr_high if flag set")}
    walked = {"step-0": "0 debug exit", "step-1": "1 MMIO exit", "step-2": "2 system event"}
    writes = {"old": "u32 hsr (old)", "widened": "u64 hsr (widened)", "merged": "hsr_high (merged)"}
    reads = {f"r-{_slug(name)}": name for name in VMMS}
    esrs = {"brk": BRK, "gcs": GCS, "e-brk": BRK, "e-watch": WATCHPOINT, "e-gcs": GCS}
    held = {"e-brk": "BRK", "e-watch": "watchpoint", "e-gcs": "watchpoint, GCS bit"}
    return {
        "start": Figure(
            lambda order: _seen("widened", "u32 hsr", order), (replace(ORDER, start="little"),)
        ),
        "before": Figure(lambda order: _seen("old", "u32 hsr", order)),
        "widened": Figure(
            lambda order, name: _seen("widened", "u32 hsr", order, esrs[name]),
            (ORDER, Control("exit", exits, "brk")),
        ),
        "rebuild": Figure(
            lambda order, kernel: _seen(kernel, "u64 hsr", order, fill=FILL),
            (ORDER, Control("kernel", {"old": "old", "widened": "widened"}, "old")),
        ),
        "hole": Figure(lambda order: _seen("old", "u32 hsr", order, WATCHPOINT)),
        "elsewhere": Figure(
            lambda abi: _seen("merged", "u32 hsr", abi, WATCHPOINT),
            (Control("laid out as on", abis, "aarch64_be"),),
        ),
        "high": Figure(
            lambda order, vmm: _seen("merged", vmms[vmm], order, GCS),
            (ORDER, Control("VMM", vmms, "v-u32-hsr")),
        ),
        "unwritten": Figure(
            lambda order: _concluded("old", "hsr_high, flag ignored", order, "mmio_low", 1)
        ),
        "stale": Figure(
            lambda kernel, at: _concluded(
                kernel, "debug exit if flag set", "big", "stale_flag", int(at[-1])
            ),
            (
                Control("kernel", {"v2": "patch v2", "merged": "merged"}, "v2"),
                Control("step", walked, "step-0"),
            ),
        ),
        "turn": Figure(
            lambda order, kernel, vmm, name: _seen(kernel, reads[vmm], order, esrs[name], FILL),
            (
                ORDER,
                Control("kernel writes", writes, "widened"),
                Control("VMM reads", reads, "r-u32-hsr"),
                Control("exit", held, "e-watch"),
            ),
        ),
    }


Row = Sequence[tuple[str, str]]
"""Cells of a table: words, and the link of the state that they open, if there is one."""


def sizes() -> list[Row]:
    """The size of the struct and the offset of far by ABI: what a check at build time sees."""
    rows = [[("ABI", ""), ("old", ""), ("widened", ""), ("with hsr_high", "")]]
    for abi in SIZED:
        made = [kind.layout(abi) for kind in (OLD, WIDENED, MERGED)]
        cells = [(f"{one.size} bytes, far at {one.offsets['far']}", "") for one in made]
        rows.append([(abi, ""), *cells])
    return [*rows]


def tiles() -> list[Row]:
    """Every kernel with every program in both byte orders, each with the link of its state."""
    found = {
        (shown.kernel.name, shown.vmm.name, shown.image.layout.abi.byte_order): shown
        for shown in matrix(GCS, FAR, FILL).readings
    }
    heads = ("kernel", "byte order", *VMMS)
    rows = [[(words, "") for words in heads]]
    for kernel, order in product(("old", "widened", "merged"), ABI):
        cells = [(kernel, ""), (str(order), "")]
        for vmm in VMMS:
            shown = found[kernel, vmm, order]  # type: ignore[index]
            mark = "✓" if shown.sound else "✗"
            cells.append((f"{mark} {shown.digits}", f"turn,{order},{kernel},r-{_slug(vmm)},e-gcs"))
        rows.append(cells)
    return [*rows]

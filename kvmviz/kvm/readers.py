"""What userspace programs conclude at every step of a page's history, and on what they are fooled.

Whether a conclusion is right is decided by who wrote the bytes that it rests on, never by their
values: a stale byte is wrong also on the day when it happens to fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from kvmviz._base import Twin
from kvmviz.compat import judge
from kvmviz.esr import Esr
from kvmviz.image import Image
from kvmviz.kvm import EXIT_REASONS, FLAG_VALUE, WATCHPOINT_LOW, check_integers
from kvmviz.kvm.exits import DebugExit
from kvmviz.kvm.vcpu import Step, Vcpu
from kvmviz.kvm.vmm import READERS, Reading, Vmm
from kvmviz.kvm.vmm import find as find_vmm
from kvmviz.layout import Layout
from kvmviz.place import up
from kvmviz.slot import Source


@dataclass(frozen=True)
class Fooled:
    """A byte of the page that a program took for what it is not.

    ``taken_for`` is that, in words: ``ESR[31:0]``, ``ESR[63:32]``, ``far``, ``this run's
    exit_reason``, ``this exit's flag``, ``the sign of a debug exit``. ``source`` is who wrote the
    byte last and what it holds, None where nobody has since the page was zeroed. ``stale``: the
    step that the program looks at did not write it. A byte that is not stale holds other bits than
    those that it was taken for.
    """

    offset: int
    taken_for: str
    source: Source | None
    stale: bool


@dataclass(frozen=True, repr=False)
class Conclusion(Twin):
    """What one program makes of the page at one step.

    ``looks``: KVM_RUN has returned; after a write by userspace there is nothing to conclude.
    ``happened``: this step did end with a debug exit. ``takes``: the program takes it for one,
    and reads ``value`` for ESR_EL2 (``bits`` of it, 32 or 64) and ``far``, each None if not read.
    ``fooled`` are the bytes that misled it, in order of offset; ``right`` that there are none.
    """

    step: Step
    vmm: Vmm

    @property
    def looks(self) -> bool:
        """The step is a KVM_RUN."""
        return self.step.is_run

    @property
    def happened(self) -> bool:
        """The step ended with a debug exit."""
        return isinstance(self.step.exit, DebugExit)

    @property
    def flag(self) -> bool:
        """What the program finds in bit 0 of run->flags."""
        return bool(self.step.flags & FLAG_VALUE)

    @property
    def takes(self) -> bool:
        """All that the program looks at says that this is a debug exit."""
        found = {
            "return": self.step.returned == 0,
            "reason": self.step.reason == EXIT_REASONS["DEBUG"],
            "flag": self.flag,
        }
        return self.looks and all(found[check] for check in self.vmm.checks)

    @cached_property
    def reading(self) -> Reading | None:
        """The debug struct as the program reads it; None if it takes this for no debug exit."""
        if not self.takes:
            return None
        kernel, page = self.step.kernel, self.step.page
        layout = kernel.debug.layout(page.layout.abi)
        data = page.data[self._union : self._union + layout.size]
        image = Image(layout, data, (None,) * layout.size)
        esr = 0
        if isinstance(self.step.exit, DebugExit):
            esr = self.step.exit.esr
            image = kernel.debug_exit(layout.abi, esr, self.step.exit.far, data)
        return Reading(kernel, self.vmm, image, esr, self.flag)

    @property
    def value(self) -> int | None:
        """What it reads for ESR_EL2."""
        return self.reading.value if self.reading else None

    @property
    def bits(self) -> int | None:
        """How many bits of ESR_EL2 it claims to know."""
        return self.reading.bits if self.reading else None

    @property
    def far(self) -> int | None:
        """What it takes for the address of a watchpoint."""
        if self.value is None or not self._far:
            return None
        if not (self.vmm.trusts_far or Esr(self.value).ec == WATCHPOINT_LOW):
            return None
        data = self.step.page.data[self._union : self._union + self._debug.size]
        found: int = self._debug.unpack(data)["far"]
        return found & (1 << 64) - 1  # also where a program's far is signed

    @cached_property
    def fooled(self) -> tuple[Fooled, ...]:
        """The bytes that misled it, in order of offset; of some the value may fit by chance."""
        return tuple(sorted(set(self._fooled()), key=lambda row: (row.offset, row.taken_for)))

    @property
    def right(self) -> bool:
        """It sees a debug exit where there is one alone, and reads bytes that are what it thinks.

        A program that takes bits 31:0 alone, or knows without the flag that it has no others, is
        right.
        """
        return not self.fooled

    def _fooled(self) -> Iterator[Fooled]:
        if not self.looks or not (self.takes or self.happened):
            return
        layout = self.step.page.layout
        if self.reading is None:  # missed: of a program's checks the flag alone can fail here
            yield self._byte(self._flag_at, "the sign of a debug exit")
            return
        if not self.happened and "reason" in self.vmm.checks:
            start = layout.offsets["exit_reason"]
            for at in range(start, start + 4):
                yield self._byte(at, "this run's exit_reason")
        for row in self.reading.taken:
            if not row.right or not self.happened:
                half = "ESR[31:0]" if row.wanted[0] < 32 else "ESR[63:32]"
                yield self._byte(self._union + row.first, half)
        own = self.step.state(self._flag_at) == "fresh"
        if "flag" in self.vmm.checks:
            if not (self.happened and own):
                yield self._byte(self._flag_at, "the sign of a debug exit")
        elif self.flag and self.vmm.needs_flag and not own:
            yield self._byte(self._flag_at, "this exit's flag")
        if self.far is not None:
            yield from self._far_fooled()

    def _far_fooled(self) -> Iterator[Fooled]:
        assert self.reading is not None
        wanted = self._debug.holders
        found = self.reading.image.sources
        for at in self._far:
            offset = at - self._union
            source = found[offset] if offset < len(found) else None
            written = (source,) if source else ()
            if all(judge(one, written)[0] != "intact" for one in wanted[offset]):
                yield self._byte(at, "far")

    @property
    def _far(self) -> range:
        """The page's bytes that the program knows as far."""
        if "far" not in self._debug.named:
            return range(0)
        field, start = self._debug.named["far"], self._union
        return range(start + field.offset, start + up(field.stop, 8) // 8)

    @cached_property
    def _debug(self) -> Layout:
        """The struct that the program was built with."""
        layout = self.vmm.debug.layout(self.step.page.layout.abi)
        check_integers(f"VMM {self.vmm.name}", layout)
        return layout

    @property
    def _union(self) -> int:
        return self.step.page.layout.offsets["debug"]

    @property
    def _flag_at(self) -> int:
        """The byte of flags that holds the flag: the least significant."""
        start = self.step.page.layout.offsets["flags"]
        return start if self.step.page.layout.abi.byte_order == "little" else start + 1

    def _byte(self, at: int, taken_for: str) -> Fooled:
        stale = self.step.state(at) != "fresh"
        return Fooled(at, taken_for, self.step.page.sources[at], stale)


def conclude(step: Step, vmm: str | Vmm) -> Conclusion:
    """What a program (a name of :data:`kvmviz.kvm.vmm.READERS`, or one's own) makes of one step."""
    return Conclusion(step, find_vmm(vmm, READERS))


def conclusions(vcpu: Vcpu, vmm: str | Vmm) -> tuple[Conclusion, ...]:
    """What a program makes of every step of a history, in order."""
    return tuple(conclude(step, vmm) for step in vcpu.history)

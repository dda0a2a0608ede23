"""The handshake: old and new kernels with old and new userspace, on fresh and on used pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from kvmviz._base import KvmvizError, Twin
from kvmviz.abi import Abi
from kvmviz.kvm import WITH_HIGH, Kernel
from kvmviz.kvm.exits import DebugExit, Event, MmioExit
from kvmviz.kvm.readers import Conclusion, conclude
from kvmviz.kvm.vcpu import Vcpu, play
from kvmviz.kvm.vmm import ARM64, Vmm
from kvmviz.slot import Source

Before = Literal["fresh", "after MMIO"]
BEFORE: tuple[Before, ...] = ("fresh", "after MMIO")
"""What the page held before the debug exit: zeros, or the address of an MMIO exit."""

ADDRESS = 0x80_0000_1000
"""Where that MMIO exit was: an address both halves of which are not zero."""


@dataclass(frozen=True)
class Cell:
    """One kernel with one program: a debug exit, then an MMIO exit, on the same page.

    ``debug`` is what the program concludes at the debug exit, ``later`` at the MMIO exit after it.
    """

    before: Before
    vcpu: Vcpu
    debug: Conclusion
    later: Conclusion

    @property
    def kernel(self) -> Kernel:
        """The kernel that wrote the page."""
        return self.vcpu.kernel

    @property
    def vmm(self) -> Vmm:
        """The program that reads it."""
        return self.debug.vmm

    @property
    def hole(self) -> int:
        """What lies where hsr_high is, or would be, at the debug exit: four bytes as a u32."""
        page, start = self.debug.step.page, self._hole_at
        return int.from_bytes(page.data[start : start + 4], page.layout.abi.byte_order)

    @property
    def hole_source(self) -> Source | None:
        """Who wrote the first of these bytes; None where nobody has."""
        return self.debug.step.page.sources[self._hole_at]

    @property
    def _hole_at(self) -> int:
        layout = self.debug.step.page.layout
        return layout.offsets["debug"] + WITH_HIGH.layout(layout.abi).offsets["hsr_high"]

    @property
    def knows(self) -> int:
        """How many bits of ESR_EL2 the program gets, and rightly takes for valid: 0, 32 or 64."""
        return self.debug.bits or 0 if self.debug.right else 0

    @property
    def stale_flag(self) -> bool:
        """The flag is still set at the exit after, which is no debug exit."""
        return self.later.flag

    @property
    def right(self) -> bool:
        """The program is right at both exits."""
        return self.debug.right and self.later.right


@dataclass(frozen=True, repr=False)
class Handshake(Twin):
    """Every kernel with every program, on a fresh page and after MMIO, on each ABI."""

    cells: tuple[Cell, ...]


def handshake(
    esr: int = 0x00A5C3E1_F2001234,
    kernels: Sequence[str | Kernel] = ("old", "v2", "merged"),
    vmms: Sequence[str | Vmm] = ("old", "flag", "blind"),
    abis: Sequence[str | Abi] = ARM64,
) -> Handshake:
    """The matrix: by default three kernels, three programs, both byte orders of arm64.

    The programs are old userspace, new userspace that keeps to the handshake, and new userspace
    that does not.
    The default ``esr`` is a BRK whose bits 63:32 are made up, since they are zero today. Raises
    :class:`KvmvizError` for unknown names, and for nothing to show.
    """
    if not (kernels and vmms and abis):
        raise KvmvizError("a handshake needs a kernel, a program and an ABI at least")
    return Handshake(
        tuple(
            _cell(before, kernel, vmm, abi, esr)
            for abi in abis
            for before in BEFORE
            for kernel in kernels
            for vmm in vmms
        )
    )


def _cell(before: Before, kernel: str | Kernel, vmm: str | Vmm, abi: str | Abi, esr: int) -> Cell:
    mmio = MmioExit(ADDRESS, 4, b"\x5a\x5a\x00\x00")
    events: list[Event] = [DebugExit(esr), mmio]
    vcpu = play(kernel, abi, events if before == "fresh" else [mmio, *events])
    debug, later = vcpu.history[-2:]
    return Cell(before, vcpu, conclude(debug, vmm), conclude(later, vmm))

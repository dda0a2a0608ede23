"""The kernel's side: struct kvm_debug_exit_arch and the four kernels that write it.

old, v2 and merged are states of the patch (v1 had no flag and is left out); widened is the change
that its message argues against. Sources: Linux, ``arch/arm64/include/uapi/asm/kvm.h`` and
``kvm_handle_guest_debug()`` in ``arch/arm64/kvm/handle_exit.c``; patch v2 5/5 of the series
"arm64: Treat ESR_ELx as a 64-bit register".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from kvmviz._base import KvmvizError
from kvmviz.abi import Abi
from kvmviz.codec import integer
from kvmviz.ctype import Struct
from kvmviz.esr import Esr
from kvmviz.image import Image

if TYPE_CHECKING:
    from typing_extensions import Buffer

OLD = Struct("kvm_debug_exit_arch", {"hsr": "__u32", "far": "__u64"})
WIDENED = OLD.widen("hsr", 64)
WITH_HIGH = Struct("kvm_debug_exit_arch", {"hsr": "__u32", "hsr_high": "__u32", "far": "__u64"})
MMIO = Struct("mmio", {"phys_addr": "__u64", "data": "__u8[8]", "len": "__u32", "is_write": "__u8"})

EXIT_UNION = 32
"""Byte offset, in struct kvm_run, of the union that holds the exit's own data."""

ESR_BIT: Mapping[str, int] = MappingProxyType({"hsr": 0, "hsr_high": 32})
"""The bit of ESR_EL2 that bit 0 of a member holds."""

FLAG = "KVM_DEBUG_ARCH_HSR_HIGH_VALID"
WATCHPOINT_LOW = 0x34
"""The one exception class for which the kernel writes far (ESR_ELx_EC_WATCHPT_LOW)."""


@dataclass(frozen=True)
class Kernel:
    """What one kernel does on a debug exit: the struct it writes, and whether it sets the flag."""

    name: str
    when: str
    debug: Struct
    sets_flag: bool

    def debug_exit(
        self, abi: str | Abi, esr: int, far: int | None = None, fill: int | Buffer = 0
    ) -> Image:
        """The struct as this kernel leaves it; ``fill`` is what the memory held before.

        Each member takes the bits of ``esr`` from its :data:`ESR_BIT` on, and ``far`` is written
        for watchpoints only; both are cut to the member's width, as a C assignment does. Raises
        :class:`KvmvizError` for a watchpoint without ``far``, and for values that are not of 64
        bits.
        """
        syndrome = Esr(esr)
        held = {name: syndrome.value >> bit for name, bit in ESR_BIT.items()}
        if far is not None and not 0 <= integer(far, "far") < 1 << 64:
            raise KvmvizError(
                f"far: {far:#x} does not fit 64 bits; legal are 0 .. {(1 << 64) - 1:#x}"
            )
        if syndrome.ec == WATCHPOINT_LOW:
            if far is None:
                raise KvmvizError(f"ESR {esr:#x} is a watchpoint: the kernel writes far; give far")
            held["far"] = far
        layout = self.debug.layout(abi)
        return layout.pack(
            {
                slot.path: held[slot.path] & (1 << 8 * slot.size) - 1
                for slot in layout.slots
                if slot.path in held
            },
            fill,
        )


KERNELS: Mapping[str, Kernel] = MappingProxyType(
    {
        row.name: row
        for row in (
            Kernel("old", "as up to v5.18", OLD, sets_flag=False),
            Kernel("widened", "never merged", WIDENED, sets_flag=False),
            Kernel("v2", "patch v2", WITH_HIGH, sets_flag=True),
            Kernel("merged", "as since v5.19", WITH_HIGH, sets_flag=True),
        )
    }
)
"""The four kernels, by name."""


def find(kernel: str | Kernel) -> Kernel:
    """The kernel itself, or the one of that name; :class:`KvmvizError` if there is none."""
    if isinstance(kernel, Kernel):
        return kernel
    try:
        return KERNELS[kernel]
    except (KeyError, TypeError):
        raise KvmvizError(f"unknown kernel {kernel!r}; known are {', '.join(KERNELS)}") from None

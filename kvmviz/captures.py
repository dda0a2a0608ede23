"""The real dumps: what arm64 kernels left in struct kvm_run, held against the prediction.

``data/kvm_run.jsonl`` has one dump a line; ``data/README.md`` says how they were made.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

from kvmviz import vmm as vmms
from kvmviz._base import KvmvizError, Twin
from kvmviz.abi import BYTE_ORDERS, ByteOrder
from kvmviz.image import Image
from kvmviz.kvm import EXIT_UNION, KERNELS, MMIO, Kernel
from kvmviz.vmm import Reading, Vmm

ABI_OF: Mapping[str, str] = {"little": "aarch64", "big": "aarch64_be"}
"""The ABI of the kernels that were dumped, by byte order."""

FLAGS = 14
"""Byte offset of the u16 flags in struct kvm_run."""

PAGE = 288
"""How many bytes of struct kvm_run a dump holds, from offset 0 on."""


@dataclass(frozen=True, repr=False)
class Dump(Twin):
    """struct kvm_run[0..287] after one exit of a real kernel.

    ``data`` are its bytes in memory order; ``held`` what the page held when KVM_RUN was called:
    the dump before it, with userspace's writes applied. ``event`` is the exit: its ``kind``, and
    integers or bytes. ``synthetic``: ESR bits 63:32 were put there by a debugger.
    """

    kernel: Kernel
    byte_order: ByteOrder
    scenario: str
    step: int
    synthetic: bool
    event: Mapping[str, Any]
    held: bytes
    data: bytes

    @property
    def is_debug(self) -> bool:
        """The exit is KVM_EXIT_DEBUG."""
        return "esr" in self.event

    @property
    def title(self) -> str:
        """Kernel, byte order, scenario and step."""
        mark = ", upper half of ESR synthetic" if self.synthetic else ""
        return (
            f"{self.kernel.name} kernel, {self.byte_order}-endian, "
            f"{self.scenario} step {self.step}{mark}"
        )

    def overlay(self) -> Overlay:
        """The exit's own struct as predicted, beside the bytes of the dump."""
        abi = ABI_OF[self.byte_order]
        if self.is_debug:
            size = self.kernel.debug.layout(abi).size
            fill = self.held[EXIT_UNION : EXIT_UNION + size]
            image = self.kernel.debug_exit(abi, self.event["esr"], self.event.get("far"), fill)
        else:
            layout = MMIO.layout(abi)
            fill = self.held[EXIT_UNION : EXIT_UNION + layout.size]
            image = layout.pack(_mmio(self.event), fill)
        return Overlay(self, image, self.data[EXIT_UNION : EXIT_UNION + len(image)])

    def reading(self, vmm: str | Vmm) -> Reading:
        """What a program makes of this dump. Raises :class:`KvmvizError` if it is no debug exit."""
        if not self.is_debug:
            raise KvmvizError(f"{self.title}: not a debug exit but {self.event['kind']}")
        flags = int.from_bytes(self.data[FLAGS : FLAGS + 2], self.byte_order)
        image = self.overlay().image
        return Reading(self.kernel, vmms.find(vmm), image, self.event["esr"], bool(flags & 1))


def _mmio(event: Mapping[str, Any]) -> dict[str, Any]:
    """What the kernel writes: of data only the bytes that the guest wrote, none for a read."""
    values = {key: event[key] for key in ("phys_addr", "len")}
    data = dict(enumerate(event.get("data", b"")))
    return values | {"data": data, "is_write": int("data" in event)}


@dataclass(frozen=True, repr=False)
class Overlay(Twin):
    """A prediction over the bytes of a real dump, from the start of the exit union on.

    It follows from the exit and from what the page held before it.
    """

    dump: Dump
    predicted: Image
    real: bytes

    @property
    def image(self) -> Image:
        """The dump's own bytes, with the sources that the prediction knows."""
        return replace(self.predicted, data=self.real)

    @property
    def differing(self) -> tuple[int, ...]:
        """Offsets, in the struct, of the bytes in which dump and prediction differ."""
        pairs = zip(bytes(self.predicted), self.real, strict=True)
        return tuple(at for at, (one, other) in enumerate(pairs) if one != other)


@cache
def load() -> tuple[Dump, ...]:
    """All dumps, in order: sequences of steps that share one page."""
    text = resources.files("kvmviz").joinpath("data/kvm_run.jsonl").read_text("ascii")
    return tuple(parse(text))


def parse(text: str) -> Iterator[Dump]:
    """Dumps out of JSON lines; :class:`KvmvizError` with the line number for what is none."""
    held, last = bytes(PAGE), None
    for number, line in enumerate(text.splitlines(), 1):
        try:
            row = json.loads(line)
            if row["byte_order"] not in ABI_OF:
                raise KvmvizError(f"byte order {row['byte_order']!r}; legal are little and big")
            sequence = (row["kernel"], row["byte_order"], row["scenario"], row["esr_high_injected"])
            if (*sequence, row["step"] - 1) != last:
                held = bytes(PAGE)
            last = (*sequence, row["step"])
            page = bytearray(held)
            for offset, data in row["user_writes"]:
                written = bytes.fromhex(data)
                if not 0 <= offset <= PAGE - len(written):
                    stop = offset + len(written)
                    raise KvmvizError(f"a write to bytes {offset}..{stop}; legal are 0..{PAGE}")
                page[offset : offset + len(written)] = written
            dump = Dump(
                KERNELS[row["kernel"]],
                row["byte_order"],
                row["scenario"],
                row["step"],
                row["esr_high_injected"],
                {key: _plain(key, value) for key, value in row["event"].items()},
                bytes(page),
                bytes.fromhex(row["bytes"]),
            )
        except KvmvizError as error:
            raise KvmvizError(f"dumps, line {number}: {error}") from None
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise KvmvizError(f"dumps, line {number}: {error!r}") from None
        if not len(dump.data) == len(dump.held) == PAGE:
            raise KvmvizError(f"dumps, line {number}: {len(dump.data)} bytes; legal are {PAGE}")
        held = dump.data
        yield dump


def _plain(key: str, value: Any) -> Any:
    if key == "data":
        return bytes.fromhex(value)
    return int(value, 16) if key in ("esr", "far", "phys_addr") else value


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

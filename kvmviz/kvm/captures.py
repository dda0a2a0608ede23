"""The real dumps: what arm64 kernels left in struct kvm_run, held against the prediction.

``data/kvm_run.jsonl`` has one dump a line; ``data/README.md`` says how they were made.
"""

from __future__ import annotations

import json
from binascii import unhexlify
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from kvmviz import _base
from kvmviz._base import KvmvizError, chosen, hexadecimal, integer, listed, shown, unsigned
from kvmviz.abi import BYTE_ORDERS, ByteOrder
from kvmviz.esr import Esr
from kvmviz.image import Image, pieces, unwritten
from kvmviz.kvm import program
from kvmviz.kvm.exits import CLEAR, SET, DebugExit, Event, Exit, Interrupted, MmioExit, UserWrite
from kvmviz.kvm.kernel import FLAG_VALUE, KERNELS, Kernel
from kvmviz.kvm.page import Step, Vcpu, differing
from kvmviz.kvm.program import Reading, Vmm
from kvmviz.kvm.scenario import Scenario
from kvmviz.text import spans, table

ABI_OF: Mapping[str, str] = {"little": "aarch64", "big": "aarch64_be"}
"""The ABI of the kernels that were dumped, by byte order."""

PAGE = 288
"""How many bytes of struct kvm_run a dump holds, from offset 0 on: head and exit union."""


@dataclass(frozen=True)
class Dump:
    """struct kvm_run[0..287] after one exit of a real kernel.

    ``data`` are its bytes in memory order; ``held`` what the page held when KVM_RUN was called:
    the dump before it, with userspace's writes applied. ``event`` is the exit as the file has it:
    its ``kind``, and integers or bytes. ``events`` are all steps since the dump before, the exit
    last. ``synthetic``: ESR bits 63:32 were put there by a debugger.
    """

    kernel: Kernel
    byte_order: ByteOrder
    scenario: str
    step: int
    synthetic: bool
    event: Mapping[str, Any]
    events: tuple[Event, ...]
    held: bytes
    data: bytes

    @property
    def abi(self) -> str:
        """The ABI's name."""
        return ABI_OF[self.byte_order]

    @property
    def exit(self) -> Exit:
        """The exit that the dump was taken after."""
        last = self.events[-1]
        assert isinstance(last, Exit)
        return last

    @property
    def is_debug(self) -> bool:
        """The exit is KVM_EXIT_DEBUG."""
        return isinstance(self.exit, DebugExit)

    @property
    def title(self) -> str:
        """Kernel, byte order, scenario and step."""
        return self.titled(f" step {self.step}")

    def titled(self, step: str = "") -> str:
        """The same of another step, or of all of the sequence."""
        mark = ", upper half of ESR synthetic" if self.synthetic else ""
        return f"{self.kernel.name} kernel, {self.byte_order}-endian, {self.scenario}{step}{mark}"

    @property
    def sequence(self) -> tuple[str, str, str, bool]:
        """What dumps of one sequence have in common."""
        return self.kernel.name, self.byte_order, self.scenario, self.synthetic

    def follows(self, other: Dump) -> bool:
        """It is the next step of the same sequence, on the same page."""
        return (self.sequence, self.step) == (other.sequence, other.step + 1)

    def overlay(self) -> Overlay:
        """The exit's own struct as a vCPU leaves it on the page that was there, beside the dump."""
        vcpu = Vcpu(self.kernel, self.abi)
        vcpu.user_write(0, self.held)
        step = vcpu.apply(self.exit)
        image = step.page.part(self.exit.member, step.number)
        start = step.page.layout.offsets["padding"]
        return Overlay(self, image, self.data[start : start + len(image)])

    def reading(self, vmm: str | Vmm) -> Reading:
        """What a program makes of this dump. Raises :class:`KvmvizError` if it is no debug exit."""
        if not self.is_debug:
            raise KvmvizError(f"{self.title}: not a debug exit but {self.event['kind']}")
        image, esr, page = self.overlay().image, self.event["esr"], self.kernel.page(self.abi)
        flag = page.unpack(self.data.ljust(page.size, b"\0"))["flags"] & FLAG_VALUE
        return Reading(self.kernel, program.find(vmm), image, esr, bool(flag), is_dumped=True)

    def __repr__(self) -> str:
        rows = [
            (f"+{at}", self.data[at : at + 16].hex(" "))
            for at in range(0, len(self.data), 16)
            if any(self.data[at : at + 16])
        ]
        event = ", ".join(f"{key} {_words(value)}" for key, value in self.event.items())
        head = f"real dump: {self.title}\n  exit: {event}"
        return f"{head}\n{table(rows, right=(0,))}\n  other bytes: 00"


def _words(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex(" ")
    return f"{value:#x}" if isinstance(value, int) else str(value)


@dataclass(frozen=True)
class Overlay:
    """A prediction over the bytes of a real dump: of the exit's own struct, or of all that it has.

    It follows from the exit and from what the page held before it.
    """

    dump: Dump
    predicted: Image
    real: bytes

    @property
    def image(self) -> Image:
        """The dump's own bytes, with the sources that the prediction knows."""
        return replace(self.predicted, data=self.real + self.predicted.data[len(self.real) :])

    @property
    def differing(self) -> tuple[int, ...]:
        """Offsets in the struct at which prediction and dump differ."""
        return differing(self.predicted.data[: len(self.real)], self.real)

    def __repr__(self) -> str:
        image = self.predicted
        rows = [("", "predicted", "real dump", "", "")]
        for first, last in pieces(image.sources[: len(self.real)], image.layout):
            ours, real = image.data[first : last + 1], self.real[first : last + 1]
            source = image.sources[first]
            who = source.path if source else f"nobody wrote {unwritten(image.layout, first)}"
            mark = "=" if ours == real else "≠"
            rows.append((f"+{first}", ours.hex(" "), real.hex(" "), mark, who))
        head = f"{self.dump.title}: {len(self.differing)} bytes differ"
        return f"{head}\n{table(rows, right=(0,))}"


def parse(text: str) -> Iterator[Dump]:
    """Dumps out of JSON lines; :class:`KvmvizError` with the line number for what is none."""
    if not isinstance(text, str):
        raise KvmvizError(f"dumps: {shown(text)} is no text of JSON lines")
    last: Dump | None = None
    for number, line in enumerate(text.splitlines(), 1):
        try:
            last = _dump(json.loads(line), last)
        except (ValueError, RecursionError) as error:
            kind = "" if isinstance(error, KvmvizError) else "no JSON: "
            raise KvmvizError(f"dumps, line {number}: {kind}{error}") from None
        yield last


_KEYS: Mapping[str, type] = {
    "kernel": str, "byte_order": str, "scenario": str, "step": int, "esr_high_injected": bool,
    "before": list, "user_writes": list, "event": dict, "bytes": str,
}  # fmt: skip
_DEBUG_KINDS: Mapping[str, int] = {
    "brk": 0x3C, "singlestep": 0x32, "hw_breakpoint": 0x30, "watchpoint": 0x34,
}  # fmt: skip
"""The exception class of each kind of debug exit."""
_KINDS = (*_DEBUG_KINDS, "mmio_write", "mmio_read")
_EVENT_KEYS = ("kind", "esr", "far", "phys_addr", "len", "data")
_IMMEDIATE = (SET, Interrupted(), CLEAR)
"""KVM_RUN with immediate_exit set, which is 0 again afterwards."""


def _dump(row: Any, last: Dump | None) -> Dump:
    for key, kind in _KEYS.items():
        if type(_get(row, key, "the dump")) is not kind:
            raise KvmvizError(f"{key}: {shown(row[key])} is no {kind.__name__}")
    if not row["scenario"].isidentifier():
        raise KvmvizError(f"scenario {shown(row['scenario'])}; legal are names such as brk_poison")
    for name in row["before"]:
        chosen(name, ("immediate_exit",), "before:")
    writes = [_user_write(at, given) for at, given in enumerate(row["user_writes"])]
    event = {key: _plain(key, value) for key, value in row["event"].items()}
    dump = Dump(
        _base.find(KERNELS, row["kernel"], "kernel"),
        chosen(row["byte_order"], BYTE_ORDERS, "byte order"),
        row["scenario"],
        unsigned(row["step"], "step", 16),
        row["esr_high_injected"],
        event,
        (*_IMMEDIATE * len(row["before"]), *writes, _exit(event)),
        bytes(PAGE),
        _hex("bytes", row["bytes"]),
    )
    if len(dump.data) != PAGE:
        raise KvmvizError(f"bytes: {len(dump.data)} bytes; legal are {PAGE}")
    held = bytearray(last.data if last and dump.follows(last) else PAGE)
    for write in writes:
        held[write.offset : write.offset + len(bytes(write))] = bytes(write)
    return replace(dump, held=bytes(held))


def _get(row: Any, key: str, where: str) -> Any:
    if not isinstance(row, dict):
        raise KvmvizError(f"{where}: {shown(row)} is no object")
    if key not in row:
        keys = listed(shown(key)[1:-1] for key in row) or "none"
        raise KvmvizError(f"{where} has no key {key!r}; it has {keys}")
    return row[key]


def _hex(key: str, text: object) -> bytes:
    try:
        return unhexlify(text)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise KvmvizError(f"{key}: {shown(text)} is no hex of whole bytes: {error}") from None


def _user_write(at: int, given: Any) -> UserWrite:
    where = f"user_writes[{at}]"
    if not isinstance(given, list) or len(given) != 2:
        raise KvmvizError(f"{where}: {shown(given)} is no [offset, hex]")
    start, data = integer(given[0], f"{where}, offset"), _hex(where, given[1])
    if not 0 <= start <= PAGE - len(data):
        told = f"{where}: {len(data)} bytes at {shown(start)}"
        raise KvmvizError(f"{told}; legal are bytes 0..{PAGE - 1}")
    return UserWrite(start, data)


def _exit(event: Mapping[str, Any]) -> Exit:
    kind = chosen(_get(event, "kind", "event"), _KINDS, "event: kind")
    if kind not in _DEBUG_KINDS:
        data = _get(event, "data", "event") if kind == "mmio_write" else None
        return MmioExit(_get(event, "phys_addr", "event"), _get(event, "len", "event"), data)
    exit = DebugExit(_get(event, "esr", "event"), event.get("far"))
    if (ec := Esr(exit.esr).ec) != _DEBUG_KINDS[kind]:
        wanted = f"a {kind} has {_DEBUG_KINDS[kind]:#x}"
        raise KvmvizError(f"event, esr: {exit.esr:#x} has EC {ec:#x}; {wanted}")
    return exit


def _plain(key: str, value: Any) -> Any:
    """What is written in hex as bytes or a number, and the rest as it is."""
    if chosen(key, _EVENT_KEYS, "event: unknown key") == "data":
        return _hex("event, data", value)
    return value if key in ("kind", "len") else hexadecimal(value, f"event, {key}", 64)


@cache
def load() -> tuple[Dump, ...]:
    """All dumps, in order: sequences of steps that share one page."""
    text = resources.files("kvmviz").joinpath("data/kvm_run.jsonl").read_text("ascii")
    return tuple(parse(text))


@dataclass(frozen=True)
class Rerun:
    """One real sequence, and a vCPU from which only its first page and its events were taken.

    The dumps share one page, all zero before the first. ``steps`` are those of ``vcpu.history``
    after which they were taken, one each.
    """

    dumps: tuple[Dump, ...]
    vcpu: Vcpu
    steps: tuple[Step, ...]

    @property
    def compared(self) -> tuple[Overlay, ...]:
        """All 288 bytes of each dump, beside the vCPU's page."""
        pairs = zip(self.dumps, self.steps, strict=True)
        return tuple(Overlay(dump, step.page, dump.data) for dump, step in pairs)

    @property
    def differing(self) -> tuple[tuple[int, ...], ...]:
        """For each dump the offsets, of 0 to 287, at which the vCPU's page differs from it."""
        return tuple(overlay.differing for overlay in self.compared)

    @property
    def count(self) -> int:
        """How many bytes differ in all dumps of the sequence."""
        return sum(map(len, self.differing))

    def __repr__(self) -> str:
        rows: list[tuple[object, ...]] = [("dump", "what happens", "bytes", "differ", "")]
        for dump, step, wrong in zip(self.dumps, self.steps, self.differing, strict=True):
            place = f"at {spans(wrong)}" if wrong else ""
            rows.append((dump.step, step.event.words, PAGE, len(wrong), place))
        head = f"{self.dumps[0].titled()}: {self.count} bytes differ"
        return f"{head}\n{table(rows, right=(0, 2, 3))}"


def replay(dumps: Iterable[Dump] | None = None) -> tuple[Rerun, ...]:
    """Every sequence of the dumps (by default all) played again, from a zeroed page on.

    Nothing of a dump's bytes goes in: only kernel, byte order, and what happened.
    """
    found = []
    for some in sequences(load() if dumps is None else dumps):
        vcpu = Vcpu(some[0].kernel, some[0].abi)
        steps = tuple([vcpu.apply(event) for event in dump.events][-1] for dump in some)
        found.append(Rerun(some, vcpu, steps))
    return tuple(found)


@cache
def scenarios() -> Mapping[str, Scenario]:
    """What the real kernels went through, by name; those with a synthetic ESR end in that word.

    The events were the same on all kernels and in both byte orders.
    """
    found: dict[str, Scenario] = {}
    note = f"Real kernels ({', '.join(KERNELS)}) went through this, dumped after each exit."
    for some in sequences(load()):
        name, synthetic = some[0].scenario, some[0].synthetic
        events = tuple(event for dump in some for event in dump.events)
        told = Scenario(
            f"{name}{'_synthetic' * synthetic}", f"Real: {name}", note, events, synthetic
        )
        found.setdefault(told.name, told)
    return MappingProxyType(found)


def sequences(dumps: Iterable[Dump]) -> tuple[tuple[Dump, ...], ...]:
    """Dumps grouped into the sequences that share one page."""
    groups: list[list[Dump]] = []
    if not isinstance(dumps, Iterable):
        raise KvmvizError(f"{shown(dumps)} are no dumps")
    for dump in dumps:
        if not isinstance(dump, Dump):
            raise KvmvizError(f"{shown(dump)} is no dump")
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
    if all(isinstance(key, str | int) for key in wanted):
        for dump in load():
            if (*dump.sequence[:3], dump.step, dump.synthetic) == wanted:
                return dump
    names = ", ".join(sorted({dump.scenario for dump in load()}))
    raise KvmvizError(
        f"no dump ({', '.join(map(shown, wanted))}); kernels are {', '.join(KERNELS)}; byte orders "
        f"little, big; scenarios {names}; steps count from 0, up to 2"
    )


def readings(
    scenario: str = "brk", vmm: str = "u32 hsr", synthetic: bool = False
) -> tuple[Reading, ...]:
    """What one program makes of the first dump of a scenario.

    Row by row for the kernels old, widened and merged, each little-endian and big-endian.
    """
    return tuple(
        find(kernel, order, scenario, 0, synthetic).reading(vmm)
        for kernel in ("old", "widened", "merged")
        for order in BYTE_ORDERS
    )

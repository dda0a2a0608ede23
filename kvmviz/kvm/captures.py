"""The real dumps: what arm64 kernels left in struct kvm_run, held against the prediction.

``data/kvm_run.jsonl`` and ``data/kvm_run_more.jsonl`` have one dump a line; ``data/README.md`` says
how they were made.
"""

from __future__ import annotations

import json
from binascii import unhexlify
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from kvmviz import _base
from kvmviz._base import KvmvizError, chosen, counted, hexadecimal, integer, listed, shown, unsigned
from kvmviz.abi import BYTE_ORDERS, ByteOrder
from kvmviz.esr import Esr
from kvmviz.image import Image, pieces, unwritten
from kvmviz.kvm import program
from kvmviz.kvm.exits import (
    CLEAR,
    SET,
    ArmNisv,
    DebugExit,
    Event,
    Exit,
    Interrupted,
    MmioExit,
    Served,
    SystemEvent,
    Unhandled,
    UserWrite,
)
from kvmviz.kvm.kernel import FLAG_VALUE, KERNELS, Kernel
from kvmviz.kvm.page import Step, Vcpu, differing
from kvmviz.kvm.program import Reading, Vmm
from kvmviz.kvm.scenario import Scenario
from kvmviz.text import spans, table

ABI_OF: Mapping[str, str] = {"little": "aarch64", "big": "aarch64_be"}
"""The ABI of the kernels that were dumped, by byte order."""

PAGE = 288
"""How many bytes of struct kvm_run a dump holds, from offset 0 on: head and exit union."""

PAGE_WITH_REGS = 312
"""How many where s.regs.device_irq_level is told too."""

LINUX = "6.1.192"
"""The kernel's release where a dump does not name it."""


@dataclass(frozen=True)
class Dump:
    """struct kvm_run[0..287], or [0..311], after one exit of a real kernel.

    ``data`` are its bytes in memory order; ``held`` what the page held when KVM_RUN was called:
    the dump before it, with userspace's writes applied. ``event`` is the exit as the file has it:
    its ``kind``, and integers or bytes. ``events`` are all steps since the dump before, the exit
    last. ``synthetic``: ESR bits 63:32 were put there by a debugger. ``linux`` is the kernel's
    release, ``returned`` what KVM_RUN returned, None where that was not kept.
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
    linux: str = LINUX
    returned: int | None = None

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
    def origin(self) -> str:
        """The kernel, with its release where that is not the common one."""
        return f"{self.kernel.name} kernel" + f" {self.linux}" * (self.linux != LINUX)

    @property
    def title(self) -> str:
        """Kernel, byte order, scenario and step."""
        return self.titled(f" step {self.step}")

    def titled(self, step: str = "") -> str:
        """The same of another step, or of all of the sequence."""
        mark = ", upper half of ESR synthetic" if self.synthetic else ""
        return f"{self.origin}, {self.byte_order}-endian, {self.scenario}{step}{mark}"

    @property
    def sequence(self) -> tuple[str, str, str, bool]:
        """What dumps of one sequence have in common."""
        return self.kernel.name, self.byte_order, self.scenario, self.synthetic

    def follows(self, other: Dump) -> bool:
        """It is the next step of the same sequence, on the same page."""
        mine, others = (self.sequence, self.linux), (other.sequence, other.linux)
        return (mine, self.step) == (others, other.step + 1)

    def overlay(self) -> Overlay:
        """The exit's own struct as a vCPU leaves it on the page that was there, beside the dump."""
        vcpu = Vcpu(self.kernel, self.abi)
        vcpu.user_write(0, self.held)
        for event in self.events:
            if isinstance(event, Served):
                vcpu.apply(event)
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
            who = source.path if source else f"not written {unwritten(image.layout, first)}"
            mark = "=" if ours == real else "≠"
            rows.append((f"+{first}", ours.hex(" "), real.hex(" "), mark, who))
        head = f"{self.dump.title}: {len(self.differing)} bytes differ"
        return f"{head}\n{table(rows, right=(0,))}"


def parse(text: str, kernel: str | None = None) -> Iterator[Dump]:
    """Dumps out of JSON lines; :class:`KvmvizError` with the line number for what is none.

    ``kernel``: all are taken for that kernel's, whatever they say; lines that came straight from
    the program that takes the dumps say nothing.
    """
    if not isinstance(text, str):
        raise KvmvizError(f"dumps: {shown(text)} is no text of JSON lines")
    last: Dump | None = None
    for number, line in enumerate(text.splitlines(), 1):
        try:
            row = json.loads(line)
            if kernel is not None and isinstance(row, dict):
                row = {"esr_high_injected": False} | row | {"kernel": kernel}
            last = _dump(row, last)
        except (ValueError, RecursionError) as error:
            kind = "" if isinstance(error, KvmvizError) else "no JSON: "
            raise KvmvizError(f"dumps, line {number}: {kind}{error}") from None
        yield last


_KEYS: dict[str, type] = {
    "kernel": str, "byte_order": str, "scenario": str, "step": int, "esr_high_injected": bool,
    "before": list, "user_writes": list, "event": dict, "bytes": str,
}  # fmt: skip
_MORE_KEYS: dict[str, type] = {"linux": str, "returned": int}
_DEBUG_KINDS: Mapping[str, int] = {
    "brk": 0x3C, "singlestep": 0x32, "hw_breakpoint": 0x30, "watchpoint": 0x34,
}  # fmt: skip
"""The exception class of each kind of debug exit."""
_EXITS: Mapping[str, tuple[Callable[..., Event], tuple[str, ...]]] = {
    **dict.fromkeys(_DEBUG_KINDS, (DebugExit, ("esr",))),
    "mmio_write": (MmioExit, ("phys_addr", "len", "data")),
    "mmio_read": (MmioExit, ("phys_addr", "len")),
    "system_event": (SystemEvent, ("type", "flags")),
    "arm_nisv": (ArmNisv, ("esr_iss", "fault_ipa")),
    "signal": (Interrupted, ()),
    "immediate_exit": (Interrupted, ()),
    "unhandled": (Unhandled, ()),
    "timer": (Interrupted, ()),
}
"""The event of each kind, and the keys of what it is made of."""
_SERVED: Mapping[str, tuple[Callable[..., Event], tuple[str, ...]]] = {
    "served_write": (Served, ("phys_addr", "len")),
    "served_read": (Served, ("phys_addr", "len", "data")),
}
_PLAIN_KEYS = ("kind", "len", "type")
_HEX_KEYS = ("data", "esr", "far", "phys_addr", "flags", "esr_iss", "fault_ipa", "device_irq_level")
_IMMEDIATE = (SET, Interrupted(), CLEAR)
"""KVM_RUN with immediate_exit set, which is 0 again afterwards."""


def _dump(row: Any, last: Dump | None) -> Dump:
    for key, kind in (_KEYS | _MORE_KEYS).items():
        if key in _MORE_KEYS and isinstance(row, dict) and key not in row:
            continue
        if type(_get(row, key, "the dump")) is not kind:
            raise KvmvizError(f"{key}: {shown(row[key])} is no {kind.__name__}")
    if not row["scenario"].isidentifier():
        raise KvmvizError(f"scenario {shown(row['scenario'])}; legal are names such as brk_poison")
    immediate = [name for name in row["before"] if not isinstance(name, dict)]
    for name in immediate:
        chosen(name, ("immediate_exit",), "before:")
    served = [_event(_plain(it), _SERVED) for it in row["before"] if isinstance(it, dict)]
    writes = [_user_write(at, given) for at, given in enumerate(row["user_writes"])]
    event = _plain(row["event"])
    dump = Dump(
        _base.find(KERNELS, row["kernel"], "kernel"),
        chosen(row["byte_order"], BYTE_ORDERS, "byte order"),
        row["scenario"],
        unsigned(row["step"], "step", 16),
        row["esr_high_injected"],
        event,
        (*_IMMEDIATE * len(immediate), *writes, *served, _event(event, _EXITS)),
        bytes(PAGE),
        _hex("bytes", row["bytes"]),
        row.get("linux", LINUX),
        row.get("returned"),
    )
    if len(dump.data) not in (PAGE, PAGE_WITH_REGS):
        raise KvmvizError(
            f"bytes: {len(dump.data)} bytes; legal are {PAGE}, and {PAGE_WITH_REGS} with s.regs"
        )
    held = bytearray(last.data[:PAGE] if last and dump.follows(last) else PAGE)
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


def _event(
    event: Mapping[str, Any], kinds: Mapping[str, tuple[Callable[..., Event], tuple[str, ...]]]
) -> Event:
    kind = chosen(_get(event, "kind", "event"), tuple(kinds), "event: kind")
    make, keys = kinds[kind]
    values = [_get(event, key, "event") for key in keys]
    if kind not in _DEBUG_KINDS:
        return make(*values)
    exit = DebugExit(values[0], event.get("far"))
    if (ec := Esr(exit.esr).ec) != _DEBUG_KINDS[kind]:
        wanted = f"a {kind} has {_DEBUG_KINDS[kind]:#x}"
        raise KvmvizError(f"event, esr: {exit.esr:#x} has EC {ec:#x}; {wanted}")
    return exit


def _plain(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is written in hex as bytes or a number, and the rest as it is."""
    found = dict(event)
    for key, value in event.items():
        chosen(key, _PLAIN_KEYS + _HEX_KEYS, "event: unknown key")
        if key == "data":
            found[key] = _hex("event, data", value)
        elif key in _HEX_KEYS:
            found[key] = hexadecimal(value, f"event, {key}", 64)
    return found


@cache
def load() -> tuple[Dump, ...]:
    """The 400 dumps of debug and MMIO exits in order: sequences of steps that share one page."""
    return _stored("kvm_run.jsonl")


@cache
def more() -> tuple[Dump, ...]:
    """The dumps of a newer kernel, and those of whatever else KVM writes into the page."""
    return _stored("kvm_run_more.jsonl")


def _stored(name: str) -> tuple[Dump, ...]:
    return tuple(parse(resources.files("kvmviz").joinpath("data", name).read_text("ascii")))


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
        """All bytes of each dump, beside the vCPU's page."""
        pairs = zip(self.dumps, self.steps, strict=True)
        return tuple(Overlay(dump, step.page, dump.data) for dump, step in pairs)

    @property
    def differing(self) -> tuple[tuple[int, ...], ...]:
        """For each dump the offsets at which the vCPU's page differs from it."""
        return tuple(overlay.differing for overlay in self.compared)

    @property
    def count(self) -> int:
        """How many bytes differ in all dumps of the sequence."""
        return sum(map(len, self.differing))

    def __repr__(self) -> str:
        rows: list[tuple[object, ...]] = [("dump", "what happens", "bytes", "differ", "")]
        for dump, step, wrong in zip(self.dumps, self.steps, self.differing, strict=True):
            place = f"at {spans(wrong)}" if wrong else ""
            rows.append((dump.step, step.event.words, len(dump.data), len(wrong), place))
        head = f"{self.dumps[0].titled()}: {self.count} bytes differ"
        return f"{head}\n{table(rows, right=(0, 2, 3))}"


def replay(dumps: Iterable[Dump] | None = None) -> tuple[Rerun, ...]:
    """Every sequence of the dumps (by default all) played again, from a zeroed page on.

    Nothing of a dump's bytes goes in: only kernel, byte order, and what happened.
    """
    found = []
    for some in sequences(load() if dumps is None else dumps):
        first = some[0]
        vcpu = Vcpu(first.kernel, first.abi, first.event.get("device_irq_level"))
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
        for dump in (*load(), *more()):
            if (*dump.sequence[:3], dump.step, dump.synthetic) == wanted:
                return dump
    names = listed(sorted({dump.scenario for dump in (*load(), *more())}), 12)
    raise KvmvizError(
        f"no dump ({', '.join(map(shown, wanted))}); kernels are {', '.join(KERNELS)}; byte orders "
        f"little, big; scenarios {names}; steps count from 0, up to 2"
    )


class Matches(dict[str, tuple[Rerun, ...]]):
    """Dumps of a kernel that is not known, played again as each kernel of the table."""

    def __repr__(self) -> str:
        dumps = [dump for rerun in next(iter(self.values())) for dump in rerun.dumps]
        kinds = listed(sorted({f"Linux {dump.linux}, {dump.byte_order}-endian" for dump in dumps}))
        rows: list[tuple[object, ...]] = [("kernel", "bytes that differ", "at")]
        for name, reruns in self.items():
            places = {at for rerun in reruns for row in rerun.differing for at in row}
            rows.append((name, sum(rerun.count for rerun in reruns), spans(sorted(places))))
        same = [f"{row[0]}: 0 bytes differ" for row in rows if row[1] == 0]
        told = ", ".join(same) or "none of these kernels"
        return f"{kinds}: {counted(len(dumps), 'dump')}\n{table(rows, right=(1,))}\n{told}"


def match(text: str) -> Matches:
    """Dumps that one's own kernel left, beside what each kernel of the table would have left.

    ``text`` is what the program printed that takes the dumps (tests/evidence/README.md). Raises
    :class:`KvmvizError` with the line number for what is no dump, and where there is none.
    """
    found = Matches({name: replay(parse(text, name)) for name in KERNELS})
    if not found["merged"]:
        raise KvmvizError("no dumps: there is no line")
    return found


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

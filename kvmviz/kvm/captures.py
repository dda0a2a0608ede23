"""The real dumps: what arm64 kernels left in struct kvm_run, held against the prediction.

``data/kvm_run.jsonl`` and ``data/kvm_run_more.jsonl`` have one dump a line; ``data/README.md`` says
how they were made.
"""

from __future__ import annotations

import json
from binascii import unhexlify
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from typing import Any

from kvmviz._base import KvmvizError, chosen, counted, grouped, hexadecimal, listed, shown, unsigned
from kvmviz.abi import BYTE_ORDERS, ByteOrder
from kvmviz.image import Image, pieces, unwritten
from kvmviz.kvm import exits
from kvmviz.kvm.exits import DebugExit, Event, Exit, UserWrite
from kvmviz.kvm.kernel import FLAG_VALUE, IRQ_LEVELS, KERNELS, Kernel
from kvmviz.kvm.page import Vcpu, differ, differing
from kvmviz.kvm.program import READERS, Reading, Vmm
from kvmviz.text import spans, table

ABI_OF: Mapping[str, str] = {"little": "aarch64", "big": "aarch64_be"}
"""The ABI of the kernels that were dumped, by byte order."""

SIZES = (288, 312)
"""How many bytes of struct kvm_run a dump holds: head and exit union, or s.regs' levels too."""

LINUX = "6.1.192"
"""The kernel's release where a dump does not name it."""


@dataclass(frozen=True)
class Dump:
    """struct kvm_run[0..287], or [0..311], after one exit of a real kernel.

    ``data`` are its bytes in memory order; ``earlier`` is the dump before it, if that is of the
    same page. ``events`` are all steps since then, the exit last; ``kind`` is what the file calls
    that. ``synthetic``: ESR bits 63:32 were put there by a debugger. ``irq_level`` is what the
    VM's timers signalled, ``returned`` what KVM_RUN returned, None where that is not told;
    ``linux`` is the kernel's release.
    """

    kernel: Kernel
    byte_order: ByteOrder
    scenario: str
    step: int
    synthetic: bool
    kind: str
    events: tuple[Event, ...]
    data: bytes
    irq_level: int | None = None
    linux: str = LINUX
    returned: int | None = None
    earlier: Dump | None = field(default=None, compare=False)

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
    def writer(self) -> str:
        """The kernel, with its release where that is not the common one, and its byte order."""
        release = f" {self.linux}" if self.linux != LINUX else ""
        return f"{self.kernel.name} kernel{release}, {self.byte_order}-endian"

    @property
    def title(self) -> str:
        """Kernel, byte order, scenario and step."""
        mark = ", upper half of ESR synthetic" if self.synthetic else ""
        return f"{self.writer}, {self.scenario} step {self.step}{mark}"

    @property
    def sequence(self) -> tuple[str, str, str, bool]:
        """What dumps of one sequence have in common, but for the release."""
        return self.kernel.name, self.byte_order, self.scenario, self.synthetic

    def follows(self, other: Dump) -> bool:
        """It is the next step of the same sequence, on the same page."""
        mine, others = (self.sequence, self.linux), (other.sequence, other.linux)
        return (mine, self.step) == (others, other.step + 1)

    @property
    def path(self) -> tuple[Dump, ...]:
        """The dumps of its page since that was zeroed, itself the last."""
        found = [self]
        while (earlier := found[-1].earlier) is not None:
            found.append(earlier)
        return tuple(reversed(found))

    def play(self) -> Vcpu:
        """A vCPU to which the same has happened; it gets no byte of any dump."""
        vcpu = Vcpu(self.kernel, self.abi)
        for dump in self.path:
            dump.happen(vcpu)
        return vcpu

    def happen(self, vcpu: Vcpu) -> None:
        """Let happen to a vCPU what happened since the dump before."""
        if self.irq_level is not None:
            vcpu.irq_level = self.irq_level
        for event in self.events:
            vcpu.apply(event)

    def overlay(self) -> Overlay:
        """The exit's own struct as predicted, beside the dump's bytes."""
        if not self.exit.member:
            raise KvmvizError(f"{self.title}: {self.kind} fills in no struct")
        step = self.play().history[-1]
        image, start = step.image(self.exit.member), step.page.layout.offsets["padding"]
        return Overlay(self, image, self.data[start : start + len(image)])

    def reading(self, vmm: str | Vmm) -> Reading:
        """What a program makes of this dump. Raises :class:`KvmvizError` if it is no debug exit."""
        if not isinstance(self.exit, DebugExit):
            raise KvmvizError(f"{self.title}: not a debug exit but {self.kind}")
        offsets, image = self.kernel.page(self.abi).offsets, self.overlay().image
        flags = self.data[offsets["flags"] : offsets["flags"] + 2]
        flag = bool(int.from_bytes(flags, self.byte_order) & FLAG_VALUE)
        beyond = self.data[offsets["debug"] + len(image) :]
        return Reading(
            self.kernel, READERS.find(vmm), image, self.exit.esr, flag, beyond, is_dumped=True
        )

    def __repr__(self) -> str:
        data = self.data
        level = "" if self.irq_level is None else f", device_irq_level {self.irq_level:#x}"
        starts = [at for at in range(0, len(data), 16) if any(data[at : at + 16])]
        rows = table([(f"+{at}", data[at : at + 16].hex(" ")) for at in starts], right=(0,))
        head = f"real dump: {self.title}\n  {self.kind}: {self.exit.words}{level}"
        return f"{head}\n{rows}\n  other bytes: 00"


@dataclass(frozen=True)
class Overlay:
    """A prediction over the bytes of a real dump: of the exit's own struct, or of all that it has.

    It follows from what happened to the page.
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
        head = f"{self.dump.title}: {differ(len(self.differing))}"
        return f"{head}\n{table(rows, right=(0,))}"


@dataclass(frozen=True)
class Evidence:
    """Real dumps beside what was predicted, by the kernel that left them."""

    overlays: tuple[Overlay, ...]

    @property
    def groups(self) -> Mapping[str, list[Overlay]]:
        """Those of each kernel and byte order."""
        return grouped(self.overlays, lambda overlay: overlay.dump.writer)

    @property
    def head(self) -> str:
        """How many dumps and bytes were compared, and how many differ."""
        size = sum(len(overlay.real) for overlay in self.overlays)
        count = sum(len(overlay.differing) for overlay in self.overlays)
        what = f"{counted(len(self.overlays), 'real dump')}, {counted(size, 'byte')} compared"
        return f"{what}: {count} differ{'s' * (count == 1)}"

    @property
    def note(self) -> str:
        """Of how many dumps the ESR is not the CPU's."""
        made_up = sum(overlay.dump.synthetic for overlay in self.overlays)
        return f"In the runs of {made_up} a debugger put bits 63:32 of ESR into the vCPU."

    def __repr__(self) -> str:
        heads = ("", "debug exits", "other exits", "bytes", "differ", "synthetic")
        rows: list[tuple[object, ...]] = [heads]
        for writer, some in self.groups.items():
            debug, made_up = sum(o.dump.is_debug for o in some), sum(o.dump.synthetic for o in some)
            size, count = sum(len(o.real) for o in some), sum(len(o.differing) for o in some)
            rows.append((writer, debug, len(some) - debug, size, count, made_up))
        return f"{self.head}\n{table(rows, right=(1, 2, 3, 4, 5))}\n  {self.note}"


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
            dump = _dump(row)
        except (ValueError, RecursionError) as error:
            kind = "" if isinstance(error, KvmvizError) else "no JSON: "
            raise KvmvizError(f"dumps, line {number}: {kind}{error}") from None
        last = replace(dump, earlier=last) if last and dump.follows(last) else dump
        yield last


_KEYS: dict[str, type] = {
    "kernel": str, "byte_order": str, "scenario": str, "step": int, "esr_high_injected": bool,
    "before": list, "user_writes": list, "event": dict, "bytes": str, "linux": str, "returned": int,
}  # fmt: skip
_DEBUG = (DebugExit, ("esr", "far"))
_KINDS: Mapping[str, tuple[Any, tuple[str, ...]]] = {
    **dict.fromkeys(("brk", "singlestep", "hw_breakpoint", "watchpoint"), _DEBUG),
    "mmio_write": (exits.MmioExit, ("phys_addr", "len", "data")),
    "mmio_read": (exits.MmioExit, ("phys_addr", "len")),
    "system_event": (exits.SystemEvent, ("type", "flags")),
    "arm_nisv": (exits.ArmNisv, ("esr_iss", "fault_ipa")),
    **dict.fromkeys(("signal", "immediate_exit", "timer"), (exits.Interrupted, ())),
    "unhandled": (exits.Unhandled, ()),
    "served_write": (exits.Served, ("phys_addr", "len")),
    "served_read": (exits.Served, ("phys_addr", "len", "data")),
    "user_write": (UserWrite, ("offset", "data")),
}
"""The event of each kind, and the keys of what it is made of."""
_HEX_KEYS = ("esr", "far", "phys_addr", "flags", "esr_iss", "fault_ipa")


def event(given: object, *of: type[Event]) -> Event:
    """What happened, as dumps and scenarios write it: of any kind, or one of some classes.

    ``kind`` says what, ``data`` are hex digits of whole bytes; addresses and registers are hex with
    or without ``0x``, or numbers. Raises :class:`KvmvizError` for what cannot be.
    """
    if not isinstance(given, Mapping):
        raise KvmvizError(f"event: {shown(given)} is no object")
    kinds = [name for name, (made, _) in _KINDS.items() if issubclass(made, of or object)]
    kind = chosen(given.get("kind"), kinds, "event: kind")
    make, keys = _KINDS[kind]
    # Of a write that KVM served the dumps have the data too, which reach no page.
    legal = (*keys, "data") if kind == "served_write" else keys
    values: dict[str, Any] = {"far": None}
    for key, value in given.items():
        if chosen(key, ("kind", *legal), f"event, {kind}: unknown key") == "data":
            values[key] = _hex(f"event, {kind}: data", value)
        elif key in _HEX_KEYS:
            values[key] = hexadecimal(value, f"event, {kind}: {key}", 64)
        else:
            values[key] = value
    for key in keys:
        if key not in values:
            raise KvmvizError(f"event, {kind}: no key {key!r}; legal are {listed(legal)}")
    made: Event = make(*(values[key] for key in keys))
    return made


def _dump(row: Any) -> Dump:
    """One dump; :class:`KvmvizError` for a bad value, and for one that is not there."""
    if not isinstance(row, dict):
        raise KvmvizError(f"the dump: {shown(row)} is no object")
    given: dict[str, Any] = {"linux": LINUX, "returned": 0} | row
    for key, kind in _KEYS.items():
        if key not in given:
            raise KvmvizError(f"no key {key!r}")
        if type(given[key]) is not kind:
            raise KvmvizError(f"{key}: {shown(given[key])} is no {kind.__name__}")
        if kind is str and not given[key].isprintable():
            raise KvmvizError(f"{key}: {shown(given[key])} is no plain text")
    events: list[Event] = []
    served = [one for one in row["before"] if isinstance(one, dict)]
    for name in (one for one in row["before"] if not isinstance(one, dict)):
        chosen(name, ("immediate_exit",), "before:")
        events += [exits.SET, exits.Interrupted(), exits.CLEAR]
    for at, write in enumerate(row["user_writes"]):
        where = f"user_writes[{at}]"
        if not isinstance(write, list) or len(write) != 2:
            raise KvmvizError(f"{where}: {shown(write)} is no [offset, hex]")
        events.append(UserWrite(write[0], _hex(where, write[1])))
    data, last, level = _hex("bytes", row["bytes"]), dict(row["event"]), None
    if last.get("kind") == "timer" and "device_irq_level" in last:
        told = last.pop("device_irq_level")
        level = hexadecimal(told, "event, device_irq_level", IRQ_LEVELS.bit_length())
    events += [event(one, exits.Served) for one in served]
    events.append(event(last, Exit))
    if len(data) not in SIZES:
        legal = f"legal are {SIZES[0]}, and {SIZES[1]} with s.regs"
        raise KvmvizError(f"bytes: {counted(len(data), 'byte')}; {legal}")
    return Dump(
        KERNELS.find(row["kernel"]),
        chosen(row["byte_order"], BYTE_ORDERS, "byte order"),
        row["scenario"],
        unsigned(row["step"], "step", 16),
        row["esr_high_injected"],
        last["kind"],
        tuple(events),
        data,
        level,
        given["linux"],
        row.get("returned"),
    )


def _hex(key: str, text: object) -> bytes:
    try:
        return unhexlify(text)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise KvmvizError(f"{key}: {shown(text)} is no hex of whole bytes: {error}") from None


def load() -> tuple[Dump, ...]:
    """The 400 dumps of debug and MMIO exits in order: sequences of steps that share one page."""
    return _stored("kvm_run.jsonl")


def more() -> tuple[Dump, ...]:
    """The dumps of a newer kernel, and those of whatever else KVM writes into the page."""
    return _stored("kvm_run_more.jsonl")


@cache
def _stored(name: str) -> tuple[Dump, ...]:
    return tuple(parse(resources.files("kvmviz").joinpath("data", name).read_text("ascii")))


def replay(dumps: Iterable[Dump] | None = None) -> tuple[Overlay, ...]:
    """All bytes of each dump (by default of all 400) beside the page that is predicted."""
    found: list[Overlay] = []
    vcpu: Vcpu | None = None
    given = load() if dumps is None else dumps
    for dump in given if isinstance(given, Iterable) else [given]:
        if not isinstance(dump, Dump):
            raise KvmvizError(f"{shown(dump)} is no dump")
        if vcpu and dump.follows(found[-1].dump):
            dump.happen(vcpu)
        else:
            vcpu = dump.play()
        found.append(Overlay(dump, vcpu.page, dump.data))
    return tuple(found)


def find(
    kernel: str, byte_order: str, scenario: str, step: int = 0, synthetic: bool = False
) -> Dump:
    """The dump of that kernel, byte order, scenario and step.

    Raises :class:`KvmvizError` that names what there is.
    """
    wanted, dumps = (kernel, byte_order, scenario, step, synthetic), (*load(), *more())
    if all(isinstance(key, str | int) for key in wanted):
        for dump in dumps:
            if (*dump.sequence[:3], dump.step, dump.synthetic) == wanted:
                return dump
    names = listed(sorted({dump.scenario for dump in dumps}), 12)
    raise KvmvizError(
        f"no dump ({', '.join(map(shown, wanted))}); kernels are {', '.join(KERNELS)}; byte orders "
        f"little, big; scenarios {names}; steps count from 0, up to 2"
    )


class Matches(dict[str, tuple[Overlay, ...]]):
    """Dumps of a kernel that is not known, beside what each kernel of the table leaves."""

    def __repr__(self) -> str:
        dumps = [overlay.dump for overlay in next(iter(self.values()))]
        kinds = listed(sorted({f"Linux {dump.linux}, {dump.byte_order}-endian" for dump in dumps}))
        rows: list[tuple[object, ...]] = [("kernel", "bytes that differ", "at")]
        for name, overlays in self.items():
            places = [at for overlay in overlays for at in overlay.differing]
            rows.append((name, len(places), spans(sorted({*places}))))
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

"""The kvm_run page against oracles that use nothing of kvmviz: ``make proof``, random histories.

One oracle pokes single bytes by the rules as they were measured, the other reads the page as each
program does; the real dumps are read here out of the file itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import kvmviz
from kvmviz import DebugExit, Interrupted, MmioExit, SystemEvent, Unhandled, Vcpu
from kvmviz.kvm.conclusion import Conclusion, conclusions
from kvmviz.kvm.exits import ArmNisv, Event, Exit, Served, UserWrite
from kvmviz.kvm.kernel import KERNELS, POLICIES
from kvmviz.kvm.page import Step
from kvmviz.kvm.program import READERS

U32, U64, FLAG, BLIND, FLAG_ALONE, NO_REASON, NO_RETURN, NO_EC = READERS
LE, BE = "aarch64", "aarch64_be"
BRK, WATCH = DebugExit(0xF2001234), DebugExit(0xD2000062, 0x40000800)
UART = MmioExit(0x09000000, 4, b"\x5a\x5a\0\0")
SET, CLEAR = UserWrite(1, b"\1"), UserWrite(1, b"\0")
WRITERS = (*KERNELS, *POLICIES)

# --- the real dumps --------------------------------------------------------------------------

DATA = Path(kvmviz.__file__).parent / "data" / "kvm_run.jsonl"
HIGH = 0x00A5C3E1
"""What a debugger put into ESR bits 63:32, where a dump says so."""


@dataclass(frozen=True)
class Raw:
    """One line of the data file, read here and not by kvmviz."""

    kernel: str
    order: str
    scenario: str
    step: int
    synthetic: bool
    event: dict[str, Any]
    held: bytes
    page: bytes


def raw_dumps() -> list[Raw]:
    """All dumps; ``held`` is the page before, with what userspace wrote into it."""
    found: list[Raw] = []
    for line in DATA.read_text("ascii").splitlines():
        row = json.loads(line)
        held = bytearray(found[-1].page if row["step"] else 288)
        for offset, data in row["user_writes"]:
            held[offset : offset + len(data) // 2] = bytes.fromhex(data)
        page = bytes.fromhex(row["bytes"])
        at = (row["kernel"], row["byte_order"], row["scenario"], row["step"])
        found.append(Raw(*at, row["esr_high_injected"], row["event"], bytes(held), page))
    return found


RAW = raw_dumps()
DEBUG = [raw for raw in RAW if "esr" in raw.event]


# --- what the kernel writes ------------------------------------------------------------------


@dataclass
class Poked:
    """The page, byte by byte, by the rules as they were measured; nothing of kvmviz is used."""

    kernel: str
    big: bool
    levels: int | None = None
    page: bytearray = field(default_factory=lambda: bytearray(2352))
    inside: bool = False

    def put(self, at: int, value: int, count: int) -> None:
        for index in range(count):
            place = count - 1 - index if self.big else index
            self.page[at + place] = value >> 8 * index & 0xFF

    def write(self, at: int, data: bytes) -> None:
        for index, value in enumerate(data):
            self.page[at + index] = value

    def enter(self) -> bool:
        """Into the guest, unless immediate_exit is set; a run that is in the guest is not asked."""
        if self.inside:
            return True
        if self.page[1]:
            return False
        self.put(8, 0, 4)
        if self.kernel in ("merged", "v2_entry"):
            self.put(14, 0, 2)
        return True

    def served(self, event: Served) -> int | None:
        """As in mmio.c: data reach the page where a read was served."""
        if not self.enter():
            return -4
        self.inside = True
        self.page[52] = 1 if event.data is None else 0
        self.put(32, event.phys_addr, 8)
        self.put(48, event.length, 4)
        if event.data is not None:
            self.write(40, bytes(event.data))
        return None

    def run(self, event: Exit) -> int:
        if not self.enter():
            return -4
        self.inside = False
        returned = self.left(event)
        if self.levels is not None:  # s.regs.device_irq_level: three bits of a u64
            at = 311 if self.big else 304
            self.page[at] = self.page[at] & 0xF8 | self.levels
        return returned

    def left(self, event: Exit) -> int:
        if isinstance(event, DebugExit):
            self.debug(event.esr, event.far or 0)
            return 0
        if self.kernel == "v2_other_exits":
            self.put(14, 0, 2)
        if self.kernel == "v2_not_unknown" and not isinstance(event, Unhandled):
            self.put(14, 0, 2)
        if isinstance(event, MmioExit):
            self.put(8, 6, 4)
            self.put(32, event.phys_addr, 8)
            self.put(48, event.length, 4)
            self.page[52] = 0 if event.data is None else 1
            self.write(40, bytes(event.data or b""))
        elif isinstance(event, SystemEvent):
            self.write(32, bytes(136))
            self.put(8, 24, 4)
            self.put(32, event.type, 4)
            self.put(36, 0 if event.type in (4, 5) else 1, 4)  # wakeup and suspend have no data
            self.put(40, event.data, 8)
        elif isinstance(event, ArmNisv):
            self.put(8, 28, 4)
            self.put(32, event.esr_iss, 8)
            self.put(40, event.fault_ipa, 8)
        elif isinstance(event, Interrupted):
            self.put(8, 10, 4)
            return -4
        else:
            return -38
        return 0

    def debug(self, esr: int, far: int) -> None:
        self.put(8, 4, 4)
        if self.kernel == "widened":
            self.put(32, esr, 8)
        else:
            self.put(32, esr & 0xFFFFFFFF, 4)
            if self.kernel != "old":
                self.put(36, esr >> 32, 4)
        if self.kernel == "merged":
            self.put(14, 1, 2)
        elif self.kernel.startswith("v2"):
            if self.kernel == "v2_not_unknown":  # a debug exit is one of those that clear
                self.put(14, 0, 2)
            self.page[15 if self.big else 14] |= 1
        if esr >> 26 & 0x3F == 0x34:
            self.put(40, far, 8)


# --- what a program reads --------------------------------------------------------------------

# program: looks at what KVM_RUN returned, at exit_reason, at the flag before all else; how it
# reads hsr: as u64, or with hsr_high never, if the flag is set, always
PLAIN = {
    U32: (True, True, False, "never"),
    U64: (True, True, False, "u64"),
    FLAG: (True, True, False, "flag"),
    BLIND: (True, True, False, "always"),
    FLAG_ALONE: (False, False, True, "flag"),
    NO_REASON: (True, False, False, "flag"),
    NO_RETURN: (False, True, False, "flag"),
    NO_EC: (True, True, False, "flag"),
}


def plainly(page: bytes, returned: int, big: bool, reader: str) -> int | None:
    """What the program reads for ESR out of the page's bytes, None if it sees no debug exit."""

    def number(at: int, size: int) -> int:
        return int.from_bytes(page[at : at + size], "big" if big else "little")

    on_return, on_reason, on_flag, high = PLAIN[reader]
    flag = bool(number(14, 2) & 1)
    if (on_return and returned) or (on_reason and number(8, 4) != 4) or (on_flag and not flag):
        return None
    if high == "u64":
        return number(32, 8)
    if high == "always" or (high == "flag" and flag):
        return number(36, 4) << 32 | number(32, 4)
    return number(32, 4)


def plain_far(page: bytes, esr: int, big: bool, reader: str) -> int | None:
    """What the program takes for far, having read that ESR: only a valid one, but for no_ec."""
    if reader != NO_EC and (esr >> 26 & 0x3F != 0x34 or esr >> 10 & 1):
        return None
    return int.from_bytes(page[40:48], "big" if big else "little")


# --- histories -------------------------------------------------------------------------------

CLASSES = (0x30, 0x32, 0x34, 0x34, 0x38, 0x3C)
PLACES = (1, 8, 14, 32, 36, 40, 287, 304, 311, 2351)


def history(random: Random, most: int = 12) -> list[Event]:
    """What happens to a page: exits of every kind, accesses without one, writes anywhere."""
    return [_event(random) for _ in range(random.randint(0, most))]


def _event(random: Random) -> Event:
    match random.randrange(10):
        case 0 | 1:
            esr = random.getrandbits(64) & ~(0x3F << 26) | random.choice(CLASSES) << 26
            return DebugExit(esr, random.getrandbits(64))
        case 2 | 3:
            length = random.choice((1, 2, 4, 8))
            data = random.randbytes(length) if random.random() < 0.5 else None
            return MmioExit(random.getrandbits(64), length, data)
        case 4:
            kind = random.choice((1, 2, 4, 5, random.getrandbits(32)))
            return SystemEvent(kind, 0 if kind in (4, 5) else random.getrandbits(64))
        case 5:
            return random.choice((Interrupted(), Unhandled()))
        case 6:
            length = random.choice((1, 2, 4, 8))
            data = random.randbytes(length) if random.random() < 0.5 else None
            return Served(random.getrandbits(64), length, data)
        case 7:
            iss = random.getrandbits(6) | random.getrandbits(1) << 6 | random.getrandbits(1) << 8
            return ArmNisv(iss, random.getrandbits(64))
        case 8:
            at = random.choice((random.randrange(2352), random.randrange(65), *PLACES))
            return UserWrite(at, random.randbytes(random.randint(0, min(40, 2352 - at))))
    return random.choice((SET, CLEAR, CLEAR))


def differences(kernel: str, big: bool, levels: int | None, events: list[Event]) -> list[str]:
    """Every way in which page and programs are not as the oracles say, after some events."""
    vcpu, oracle = Vcpu(kernel, BE if big else LE, levels), Poked(kernel, big, levels)
    found = []
    for event in events:
        before = bytes(oracle.page)
        if isinstance(event, UserWrite):
            vcpu.user_write(event.offset, event.data)
            oracle.write(event.offset, bytes(event))
        elif isinstance(event, Served):
            if vcpu.apply(event).returned != oracle.served(event):
                found.append("what an access that KVM serves returns")
        elif vcpu.run(event) != oracle.run(event):
            found.append("what KVM_RUN returns")
        found += _page_differs(vcpu.history[-1], before, bytes(oracle.page))
    # Who wrote a byte last: nothing after that step has touched it.
    for at, source in enumerate(vcpu.page.sources):
        last = max((step.number for step in vcpu.history if at in step.written), default=None)
        if (source and source.write and source.write.step) != last:
            found.append(f"who wrote byte {at}")
        if source is None and vcpu.page.data[at]:
            found.append(f"byte {at}, which nobody wrote")
    for reader in READERS:
        for seen in conclusions(vcpu, reader):
            found += [f"{reader}, step {seen.step.number}: {said}" for said in _misread(seen, big)]
    return found


def _page_differs(step: Step, before: bytes, after: bytes) -> Iterator[str]:
    if (step.before.data, step.page.data) != (before, after):
        yield f"the page after step {step.number}"
    if list(step.changed) != [at for at in range(2352) if before[at] != after[at]]:
        yield f"what step {step.number} changed"


_ESR, _FLAG = range(32, 48), range(14, 16)
MISTAKABLE = {
    "ESR[31:0]": _ESR, "ESR[63:32]": _ESR, "far": _ESR, "a valid far": _ESR,
    "this run's exit_reason": range(8, 12), "this exit's flag": _FLAG,
    "the sign of a debug exit": _FLAG,
}  # fmt: skip
"""What a program takes bytes for, and where on the page those lie."""


def _misread(seen: Conclusion, big: bool) -> Iterator[str]:
    step = seen.step
    if step.returned is None:
        if (seen.takes, seen.right, seen.value) != (False, True, None):
            yield "concludes something though nothing returned"
        return
    value = plainly(step.page.data, step.returned, big, seen.vmm.name)
    debug = isinstance(step.event, DebugExit) and not step.immediate
    if (seen.value, seen.takes) != (value, value is not None):
        yield f"reads {seen.value}, not {value}"
    if value is not None and seen.far != plain_far(step.page.data, value, big, seen.vmm.name):
        yield f"takes {seen.far} for far"
    if seen.happened is not debug or (seen.takes is not debug and seen.right):
        yield "takes another exit for a debug exit, or misses one, and is called right"
    if seen.right and seen.takes and isinstance(step.event, DebugExit):
        if seen.reading and value != step.event.esr % (1 << seen.reading.bits):
            yield "is called right with another value"
        if seen.far not in (None, step.event.far):
            yield "is called right with another far"
        if seen.far is not None and step.event.esr >> 10 & 1:
            yield "is called right with a far that is not valid"
    if seen.right is bool(seen.fooled):
        yield "is right though something fooled it, or wrong though nothing did"
    for at, taken_for in seen.fooled:
        if at not in MISTAKABLE[taken_for]:
            yield f"takes byte {at} for {taken_for}"
    if ("WRONG" in seen.sentence) is seen.right:
        yield "its sentence"
    # Whatever userspace poisons: a merged kernel writes all that these two read.
    if step.kernel.name == "merged" and seen.vmm.name in (FLAG, U32) and not seen.right:
        yield "is fooled though it keeps to the handshake"


Case = tuple[str, bool, int | None, list[Event]]


def case(random: Random) -> Case:
    """A kernel or policy, big-endian or not, levels of a VM's timers, and what happens."""
    levels = random.choice((None, None, random.getrandbits(3)))
    return random.choice(WRITERS), random.random() < 0.5, levels, history(random)


def walk(count: int) -> list[str]:
    """So many histories on kernels and policies, read by every program; says what differs."""
    found = []
    for number in range(count):
        kernel, big, levels, events = case(Random(number))
        told = f"history {number}, {kernel}, {'big' if big else 'little'}-endian: "
        found += [told + said for said in differences(kernel, big, levels, events)]
    print(*found, sep="\n", end="\n" if found else "")
    print(f"{count} histories of the kvm_run page, {len(READERS)} programs: {len(found)} wrong")
    return found

"""The patch: its message's tables, the merged change line by line, and what tools say of it.

The lines are those of Linux's commit 18f3976fdb5d, in another order: from what is declared to what
is written. Which bytes a line changes is no table: the pages of a kernel with the line and of one
without it are compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from itertools import chain
from types import MappingProxyType
from typing import NamedTuple

from kvmviz._base import chosen, span
from kvmviz.abi import Abi
from kvmviz.ctype import Struct
from kvmviz.kvm.captures import ABI_OF, Overlay
from kvmviz.kvm.exits import DebugExit, Exit, MmioExit
from kvmviz.kvm.kernel import ENTRY, KERNELS, OLD, Kernel
from kvmviz.kvm.page import differing, play
from kvmviz.slot import Slot
from kvmviz.text import table

COMMIT = "18f3976fdb5d"
"""The commit's name in Linux, first in v5.19."""

EXITS: tuple[Exit, ...] = (
    MmioExit(0x9000000, 4, b"ZZ\0\0"),
    DebugExit(0x100_D200_0062, far=0x4000_0800),
    MmioExit(0x9000000, 4, b"ZZ\0\0"),
)
"""What happens on both pages. The debug exit is a watchpoint's with ESR bit 40, GCS, set."""


class Change(NamedTuple):
    """A member of struct kvm_run that holds another value after one exit, because of one line.

    ``exit`` counts from 1. ``without`` and ``held`` are its bytes in memory order, on a kernel
    without the line and on one with it.
    """

    exit: int
    slot: Slot
    without: bytes
    held: bytes


@dataclass(frozen=True)
class Line:
    """One line that the commit adds: ``text`` in ``file``, and ``function`` if it is in one.

    ``kernel`` has the lines up to this one, ``before`` those before it. They are the same where a
    line only gives a name: no kernel writes anything else for that.
    """

    file: str
    function: str
    text: str
    before: Kernel
    kernel: Kernel

    def changes(self, abi: str | Abi) -> tuple[Change, ...]:
        """What it changes in the page, exit by exit of :data:`EXITS`, members in their order."""
        return tuple(_changes(self.before, self.kernel, abi))

    def __repr__(self) -> str:
        where = ", ".join(filter(None, (self.file, self.function)))
        told = "    no byte: a name or a word for who writes code"
        if rows := list(_rows(self.before, self.kernel)):
            told = table(rows, indent=4)
        elif self.before.debug != self.kernel.debug:
            told = "    bytes 36..39: a member where a hole was; no byte changes"
        return f"{where}\n  + {self.text}\n{told}"


@dataclass(frozen=True)
class Edit:
    """A patch of ours that makes another kernel of the source as released, which is merged.

    With these the kernels were built that were dumped; ``text`` is a unified diff.
    """

    kernel: Kernel
    text: str

    def __repr__(self) -> str:
        lines = "\n".join(f"  {line}".rstrip() for line in self.text.splitlines())
        rows = table(list(_rows(self.kernel, KERNELS["merged"])), indent=4)
        return (
            f"Linux 6.1 as released, made the {self.kernel.name} kernel\n{lines}\n"
            f"  The page of the {self.kernel.name} kernel -> of 6.1 as released\n{rows}"
        )


def edit(name: str) -> Edit:
    """The patch that makes ``old``, ``widened`` or ``v2``; else :class:`KvmvizError`."""
    chosen(name, ("old", "widened", "v2"), "patch")
    text = resources.files("kvmviz").joinpath("data", f"{name}.patch").read_text("ascii")
    return Edit(KERNELS[name], text)


def _changes(before: Kernel, after: Kernel, abi: str | Abi) -> Iterator[Change]:
    histories = (play(kernel, abi, EXITS).history for kernel in (before, after))
    for number, pages in enumerate(zip(*histories, strict=True), 1):
        old, new = (step.page for step in pages)
        sources = (new.sources[at] for at in differing(old.data, new.data))
        for slot in dict.fromkeys(source.slot for source in sources if source):
            held = slice(slot.offset, slot.offset + slot.size)
            yield Change(number, slot, old.data[held], new.data[held])


def _rows(before: Kernel, after: Kernel) -> Iterator[tuple[str, ...]]:
    """A row for each exit and member, with what changes in either byte order."""
    found: dict[tuple[int, int, int, str], dict[str, str]] = {}
    for order, abi in ABI_OF.items():
        for one in _changes(before, after, abi):
            key = one.exit, one.slot.offset, one.slot.size, one.slot.path
            both = found.setdefault(key, {name: f"{name} the same" for name in ABI_OF})
            both[order] = f"{order} {one.without.hex()} -> {one.held.hex()}"
    for (exit, start, size, path), both in sorted(found.items()):
        yield span(start, start + size - 1), path, f"after exit {exit}:", *both.values()


class Patch(tuple[Line, ...]):
    """The lines of a change, in order."""

    __slots__ = ()

    def __repr__(self) -> str:
        head = f"Linux {COMMIT}, since v5.19: {len(self)} lines, and the bytes that they change"
        exits = [(f"exit {number}", exit.words) for number, exit in enumerate(EXITS, 1)]
        return "\n".join([head, table(exits), *map(repr, self)])


def _lines() -> Iterator[Line]:
    header, handler = "arch/arm64/include/uapi/asm/kvm.h", "arch/arm64/kvm/handle_exit.c"
    debug, run = "kvm_handle_guest_debug()", "kvm_arch_vcpu_ioctl_run()"
    book = "Documentation/virt/kvm/api.rst"
    old = KERNELS["old"]
    # Declared, and nobody stores into it yet: kernels fill what bears the name hsr_high.
    declared = replace(
        old, debug=Struct(OLD.tag, {"hsr": "__u32", "unset": "__u32", "far": "__u64"})
    )
    stored = replace(old, debug=KERNELS["merged"].debug)
    flagged = replace(stored, flag="=")
    cleared = replace(flagged, clears=frozenset({ENTRY}))
    rows = (
        (header, "", "__u32 hsr_high;  /* ESR_EL2[61:32] */", declared),
        (handler, debug, "run->debug.arch.hsr_high = upper_32_bits(esr);", stored),
        (header, "", "#define KVM_DEBUG_ARCH_HSR_HIGH_VALID (1 << 0)", stored),
        (handler, debug, "run->flags = KVM_DEBUG_ARCH_HSR_HIGH_VALID;", flagged),
        ("arch/arm64/kvm/arm.c", run, "run->flags = 0;", cleared),
        (book, "", "/* arm64, set for KVM_EXIT_DEBUG */", cleared),
        (book, "", "#define KVM_DEBUG_ARCH_HSR_HIGH_VALID (1 << 0)", cleared),
    )
    before = old
    for file, function, text, kernel in rows:
        yield Line(file, function, text, before, kernel)
        before = kernel


MERGED = Patch(_lines())
"""The change as it was merged."""

TITLES = ("Current layout", '"hsr" extended to 64 bits', 'New field "hsr_high"')
TABLES = (
    (0, "ESR_EL2[31:0] (hsr)", "ESR_EL2[61:32] (hsr[61:32])", "ESR_EL2[31:0] (hsr)"),
    (4, "padding", "ESR_EL2[31:0] (hsr[31:0])", "ESR_EL2[61:32] (hsr_high)"),
    (8, "FAR_EL2[61:0] (far)", "FAR_EL2[61:0] (far)", "FAR_EL2[61:0] (far)"),
)
"""The tables of patch v2's message: offset, current layout, hsr widened, hsr_high added."""

NOTES = (
    "[61:32] and [61:0] are slips for [63:32] and [63:0]: the patch stores upper_32_bits(esr), "
    "and far takes all of FAR_EL2.",
    "The message calls far the instruction's address; the code stores the data address, and for "
    "watchpoints only.",
    "The second layout is big-endian's: little-endian has hsr[31:0] at offset 0 in all three.",
    "Real dumps, big-endian; bits 63:32 of ESR, where not 0, are synthetic: a debugger's.",
)


def tables(overlays: Sequence[Overlay]) -> str:
    """The message's tables, each line with the bytes that lie there in a dump of each layout."""
    images = [overlay.image for overlay in overlays]
    rows = [["", *chain.from_iterable((title, "bytes") for title in TITLES)]]
    for offset, *words in TABLES:
        held = slice(offset, offset + 4 if offset < 8 else 16)
        pairs = zip(words, (image.data[held].hex(" ") for image in images), strict=True)
        rows.append([f"offset {offset}", *chain.from_iterable(pairs)])
    parts = [f"{title}: {image!r}" for title, image in zip(TITLES, images, strict=True)]
    return "\n".join((*parts, table(rows), *map("  {}".format, NOTES)))


@dataclass(frozen=True)
class Answer:
    """What one tool printed when it was asked of the patch's layouts.

    ``asked`` names the layout, or the layouts before and after a change, and the byte order:
    ``"widened, big"``, ``"old to widened, big"``. ``command`` is what was run, ``output`` what it
    printed, ``status`` its exit status.
    """

    tool: str
    version: str
    asked: str
    command: str
    status: int
    output: str

    def __repr__(self) -> str:
        lines = [f"{self.tool} {self.version}: {self.asked}-endian", f"$ {self.command}"]
        said = self.output.strip("\n").expandtabs(8)
        return "\n".join([*lines, said or "(nothing)", f"exit status {self.status}"])


@cache
def answers() -> Mapping[str, Answer]:
    """All of ``data/tools.jsonl``, by tool and what was asked: ``"pahole, widened, big"``.

    ``data/README.md`` says how they were made.
    """
    text = resources.files("kvmviz").joinpath("data/tools.jsonl").read_text("utf-8")
    found = (Answer(**json.loads(line)) for line in text.splitlines())
    return MappingProxyType({f"{one.tool}, {one.asked}": one for one in found})

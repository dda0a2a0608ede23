"""Questions to guess at before the answer is seen: options, what is said to each, a figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from kvmviz import draw
from kvmviz._base import KvmvizError, find
from kvmviz.kvm import captures


@dataclass(frozen=True)
class Question:
    """What is asked, its options with what is said to each, and which of them is ``right``.

    ``shows`` makes the figure that belongs to the answer: anything with a text twin, or None. It
    is called when somebody has answered.
    """

    words: str
    options: Mapping[str, str]
    right: str
    shows: Callable[[], object] = lambda: None

    def __post_init__(self) -> None:
        if not self.options:
            raise KvmvizError(f"the question {self.words!r} has no options")
        find(self.options, self.right, "option")

    def told(self, option: str) -> str:
        """What is said to who has chosen an option."""
        mark = "✓ right" if option == self.right else "✗ not so"
        return f"{mark}: {find(self.options, option, 'option')}"


QUESTIONS: Mapping[str, Question] = MappingProxyType(
    {
        "widened": Question(
            "The kernel now writes a __u64 hsr; the VMM is not compiled again. Where does it still "
            "find the breakpoint?",
            {
                "on both byte orders: size and offsets are the same": "size and offsets are the "
                "same, and on big-endian it reads zero all the same.",
                "on little-endian only": "there the low half of a number comes first, where the "
                "VMM looks. On big-endian the high half does, and it is zero.",
                "on big-endian only": "it is the other way round. Big-endian puts the high half "
                "first, where the VMM looks, and that half is zero.",
                "on neither: the type has changed": "a compiled program knows no types, it takes "
                "four bytes from an offset. On little-endian they are the same four.",
            },
            "on little-endian only",
            lambda: draw.story(captures.readings("brk")),
        ),
        "rebuilt": Question(
            "The VMM is built again with the widened header, hsr as a __u64. Is it right then, on "
            "the widened kernel and on the merged one?",
            {
                "on both kernels, on both byte orders": "on the merged kernel a big-endian VMM "
                "takes hsr for the high half and hsr_high for the low one: the halves are swapped.",
                "on the widened kernel always, on the merged one on little-endian only": "there "
                "hsr_high follows hsr as the high half follows the low one. On big-endian the "
                "halves are swapped, as below.",
                "on the widened kernel only": "on little-endian the merged kernel's two halves lie "
                "where those of a __u64 would, and nobody notices. On big-endian they do not.",
            },
            "on the widened kernel always, on the merged one on little-endian only",
            lambda: draw.reading(
                captures.find("merged", "big", "watch", 0, True).reading("u64 hsr")
            ),
        ),
        "hole": Question(
            "A new VMM runs on an old kernel, which writes no hsr_high. It takes the four bytes "
            "for hsr_high all the same. What does it find, if the guest accessed a device before?",
            {
                "zero: the page starts as zeros": "it starts as zeros, but nothing zeroes it "
                "again; the exit before lies in the same bytes.",
                "random bytes of the kernel": "the page is allocated as zeros and holds nothing of "
                "the kernel's own memory; the bytes are stale, not secret.",
                "what was there before: part of the device's address": "all exits share these "
                "bytes and nothing clears them. Below is a real dump: a device at 0x09000000.",
            },
            "what was there before: part of the device's address",
            lambda: draw.reading(
                captures.find("old", "big", "mmio_then_brk", 1).reading("hsr_high, flag ignored")
            ),
        ),
    }
)
"""The questions of the notebooks, by name."""

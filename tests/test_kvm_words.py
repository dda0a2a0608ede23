"""Words that several text twins and pictures share: few words, evidence, commit, story."""

from __future__ import annotations

from typing import Any

import pytest

from kvmviz import captures
from kvmviz.kvm.program import READERS, read
from kvmviz.kvm.words import cause, commit_table, evidence, gist, story
from tests.proof_page import BE, LE

U32, U64, FLAG, BLIND, _, _, _, _ = READERS
ESR = 0x00A5C3E1_F2001234


FEW_WORDS: list[Any] = [
    # kernel, program, ABI, fill, words for what was taken, words for what comes of it
    ("merged", FLAG, BE, 0, ("[63:0]",), ("EC 0x3c", "BRK")),
    ("old", U32, LE, 0, ("[31:0]",), ("EC 0x3c", "BRK")),
    ("widened", U32, BE, 0, ("other half",), ("EC 0x00", "unhandled exit")),
    ("merged", U64, BE, 0, ("swapped",), ("EC 0x00", "unhandled exit")),
    ("widened", BLIND, BE, 0, ("swapped",), ("EC 0x00", "unhandled exit")),
    ("old", BLIND, LE, 0, ("unwritten",), ("EC", "right", "63:32")),
    ("old", U64, BE, 0xF2, ("unwritten",), ("EC", "chance")),
    ("old", U64, BE, 0xAA, ("unwritten",), ("EC 0x2a", "unhandled exit")),
    ("old", U64, BE, 0xC0, ("unwritten",), ("EC 0x30", "breakpoint")),
]


@pytest.mark.parametrize(("kernel", "program", "abi", "fill", "taken", "comes"), FEW_WORDS)
def test_a_reading_in_few_words(
    kernel: str, program: str, abi: str, fill: int, taken: Any, comes: Any
) -> None:
    reading = read(kernel, program, abi, ESR, fill=fill)
    for word in taken:
        assert word in cause(reading)
    for word in comes:
        assert word in gist(reading)


def test_the_evidence_counts_every_dump_and_byte() -> None:
    """22 debug exits of 16 bytes and 28 MMIO exits of 24 for each kernel and byte order."""
    overlays = [dump.overlay() for dump in captures.load()]
    lines = [" ".join(line.split()) for line in evidence(overlays).splitlines()]
    for word in ("400", "8192", "0 differ"):
        assert word in lines[0]
    assert lines[2:10] == [
        f"{kernel} {order} 22 28 1024 0 25"
        for kernel in ("old", "widened", "v2", "merged")
        for order in ("little", "big")
    ]


def test_the_commits_tables_stand_beside_the_bytes() -> None:
    some = [captures.find(k, "big", "watch", 0, True) for k in ("old", "widened", "merged")]
    overlays = [dump.overlay() for dump in some]
    lines = [" ".join(line.split()) for line in commit_table(overlays).splitlines()]
    rows = [line for line in lines if line.startswith("offset")]
    low, high, far = "d2 00 00 62", "00 a5 c3 e1", "00 00 00 00 40 00 08 00"
    assert rows == [
        f"offset 0 ESR_EL2[31:0] (hsr) {low} ESR_EL2[61:32] (hsr[61:32]) {high} "
        f"ESR_EL2[31:0] (hsr) {low}",
        f"offset 4 padding 00 00 00 00 ESR_EL2[31:0] (hsr[31:0]) {low} "
        f"ESR_EL2[61:32] (hsr_high) {high}",
        "offset 8" + 3 * f" FAR_EL2[61:0] (far) {far}",
    ]
    notes = " ".join(lines[lines.index(rows[-1]) + 1 :])
    for word in ("[61:32]", "63:32", "upper_32_bits", "watchpoint", "little-endian", "synthetic"):
        assert word in notes


@pytest.mark.parametrize(
    ("kernels", "abis", "words"),
    [(("old", "widened", "merged"), (LE, BE), ("big-endian breaks",)),
     (("old", "merged"), (LE, BE), ("nothing breaks",)),
     (("old", "widened", "merged"), (LE,), ("nothing breaks",))],
)  # fmt: skip
def test_a_storys_title(kernels: Any, abis: Any, words: Any) -> None:
    readings = [read(kernel, U32, abi, ESR) for kernel in kernels for abi in abis]
    title = story(readings).splitlines()[0]
    for word in words:
        assert word in title
    for reading in readings:
        assert repr(reading) in story(readings)

"""The merged change, line by line: what is said to change is what real kernels' dumps change."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import pytest

import kvmviz
from kvmviz import captures
from kvmviz.kvm.captures import ABI_OF
from kvmviz.kvm.kernel import KERNELS, OLD
from kvmviz.kvm.patch import MERGED, edit, tables
from tests.proof_page import RAW

CHANGES = [
    # line, exit, offset, little without and with, big without and with
    (1, 2, 36, "00000000", "00010000", "09000000", "00000100"),
    (3, 2, 14, "0000", "0100", "0000", "0001"),
    (3, 3, 14, "0000", "0100", "0000", "0001"),
    (4, 3, 14, "0100", "0000", "0001", "0000"),
]


def test_the_lines_lead_from_the_old_kernel_to_the_merged_one() -> None:
    assert len(MERGED) == 7
    assert MERGED[0].before == KERNELS["old"]
    for before, line in itertools.pairwise(MERGED):
        assert line.before == before.kernel
    merged = KERNELS["merged"]
    assert replace(MERGED[-1].kernel, name=merged.name, when=merged.when) == merged


def test_the_declared_member_makes_the_new_struct() -> None:
    text = f"struct {OLD.tag} {{ __u32 hsr; {MERGED[0].text} __u64 far; }};"
    assert kvmviz.parse(text)[OLD.tag] == KERNELS["merged"].debug
    assert ["a member where a hole was" in repr(line) for line in MERGED] == [True, *[False] * 6]
    assert not any(MERGED[0].changes(abi) for abi in ABI_OF.values())


@pytest.mark.parametrize("order", ABI_OF)
def test_what_each_line_changes(order: str) -> None:
    column = {"little": 3, "big": 5}[order]
    found = [
        (at, one.exit, one.slot.offset, one.without.hex(), one.held.hex())
        for at, line in enumerate(MERGED)
        for one in line.changes(ABI_OF[order])
    ]
    assert found == [(*row[:3], *row[column : column + 2]) for row in CHANGES]


@pytest.mark.parametrize("order", ABI_OF)
def test_dumps_of_old_and_merged_kernels_differ_in_no_other_byte(order: str) -> None:
    """Which read no kvmviz: kernels without and with all seven lines, exit by exit."""
    pages = {
        kernel: {
            (raw.scenario, raw.synthetic, raw.step): raw.page
            for raw in RAW
            if (raw.kernel, raw.order) == (kernel, order)
        }
        for kernel in ("old", "merged")
    }
    assert pages["old"].keys() == pages["merged"].keys()
    differing = {
        at
        for key, page in pages["old"].items()
        for at, (one, other) in enumerate(zip(page, pages["merged"][key], strict=True))
        if one != other
    }
    named = {
        one.slot.offset + at
        for line in MERGED
        for one in line.changes(ABI_OF[order])
        for at in range(len(one.held))
    }
    assert differing == named == {14, 15, 36, 37, 38, 39}


def test_in_words() -> None:
    lines = repr(MERGED).splitlines()
    assert lines[0].startswith("Linux 18f3976fdb5d, since v5.19: 7 lines")
    assert sum(line.startswith("  + ") for line in lines) == 7
    assert sum("no byte" in line for line in lines) == 4
    assert len(re.findall(r"little \w+ -> \w+ +big \w+ -> \w+", repr(MERGED))) == len(CHANGES)


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("old", [
            "14..15  flags  2: little 0000 -> 0100  big 0000 -> 0001",
            "36..39  debug.arch.hsr_high  2: little 00000000 -> 00010000  big 09000000 -> 00000100",
        ]),
        ("widened", [
            "14..15  flags  2: little 0000 -> 0100  big 0000 -> 0001",
            "32..35  debug.arch.hsr  2: little the same  big 00000100 -> d2000062",
            "36..39  debug.arch.hsr_high  2: little the same  big d2000062 -> 00000100",
        ]),
        ("v2", ["14..15  flags  3: little 0100 -> 0000  big 0001 -> 0000"]),
    ],
)  # fmt: skip
def test_a_patch_of_ours_is_shown_with_the_bytes_that_it_changes(
    name: str, rows: list[str]
) -> None:
    lines = repr(edit(name)).splitlines()
    patched = [line[2:] for line in lines if line[2:3] in ("-", "+")]
    assert patched == [line for line in edit(name).text.splitlines() if line[0] in "-+"]
    told = lines[lines.index(f"  The page of the {name} kernel -> of 6.1 as released") + 1 :]
    wanted = [re.sub(r"(\d:)", r"after exit \1", f"bytes {row}").split() for row in rows]
    assert [line.split() for line in told] == wanted


def test_the_commits_tables_stand_beside_the_bytes() -> None:
    some = [captures.find(k, "big", "watch", 0, True) for k in ("old", "widened", "merged")]
    overlays = [dump.overlay() for dump in some]
    lines = [" ".join(line.split()) for line in tables(overlays).splitlines()]
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


@pytest.mark.parametrize("name", ["merged", "", None, "../old"])
def test_a_patch_that_is_none(name: str) -> None:
    with pytest.raises(kvmviz.KvmvizError, match=r"legal are 'old', 'widened', 'v2'"):
        edit(name)

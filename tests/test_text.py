"""The text twins: what a picture says, in words and aligned hex."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmviz import Array, Esr, Struct, captures, compare, text
from kvmviz._base import Twin, twin
from kvmviz.kvm import program as vmm
from kvmviz.kvm import words as told
from kvmviz.kvm.kernel import MMIO, OLD, WIDENED, WITH_HIGH
from kvmviz.text import plain
from tests import strategies
from tests.strategies import steady

ROOT = Path(__file__).resolve().parent.parent
LOW, HIGH, FAR = 0x3456789A, 0x12, 0x1122334455667788
ESR = 0x00A5C3E1_F2001234
LE, BE = "aarch64", "aarch64_be"


def squeezed(shown: object) -> list[str]:
    """A text twin's lines with runs of spaces made one: what it says, not how it is aligned."""
    return [" ".join(line.split()) for line in repr(shown).splitlines()]


def line_with(shown: object, word: str) -> str:
    """The one line of a text twin that has a word in it."""
    (line,) = [line for line in squeezed(shown) if word in line]
    return line


# --- exactly ---------------------------------------------------------------------------------

EXACT: list[tuple[object, str]] = [
    (OLD, "struct kvm_debug_exit_arch {\n    __u32 hsr;\n    __u64 far;\n};"),
    (
        Struct("u", [("a", "u8[2][3]"), (None, Struct("", {"b": "int", "c": "uint16_t"})),
                     ("d", OLD), ("e", Array(OLD, 2))], union=True),
        """\
union u {
    u8 a[2][3];
    struct {
        int b;
        uint16_t c;
    };
    struct kvm_debug_exit_arch d;
    struct kvm_debug_exit_arch e[2];
};""",
    ),
    (
        OLD.layout(LE).pack({"hsr": LOW, "far": FAR}),
        """\
struct kvm_debug_exit_arch on aarch64 (little-endian), 16 bytes
  +0  9a 78 56 34              A  hsr  bits 7:0 15:8 23:16 31:24
  +4  00 00 00 00              -  not written (hole after hsr)
  +8  88 77 66 55 44 33 22 11  C  far  bits 7:0 15:8 23:16 31:24 39:32 47:40 55:48 63:56""",
    ),
    (
        WITH_HIGH.layout(BE).pack({"hsr": LOW, "hsr_high": HIGH}, 0xAA),
        """\
struct kvm_debug_exit_arch on aarch64_be (big-endian), 16 bytes
  +0  34 56 78 9a              A  hsr  bits 31:24 23:16 15:8 7:0
  +4  00 00 00 12              B  hsr_high  bits 31:24 23:16 15:8 7:0
  +8  aa aa aa aa aa aa aa aa  -  not written (far, left as it was)""",
    ),
    (
        WIDENED.layout(BE).pack({"hsr": HIGH << 32 | LOW}),
        """\
struct kvm_debug_exit_arch on aarch64_be (big-endian), 16 bytes
  +0  00 00 00 12 34 56 78 9a  A  hsr  bits 63:56 55:48 47:40 39:32 31:24 23:16 15:8 7:0
  +8  00 00 00 00 00 00 00 00  -  not written (far, left as it was)""",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("shown", "expected"), EXACT)
def test_exact_text(shown: object, expected: str) -> None:
    assert repr(shown) == expected


def test_a_nested_struct_without_a_tag_is_shown_in_full() -> None:
    struct = Struct("s", [("in", Struct("", {"a": "u8"})), ("b", "u8")])
    assert squeezed(struct) == ["struct s {", "struct {", "u8 a;", "} in;", "u8 b;", "};"]


# --- what each has to say --------------------------------------------------------------------


def test_a_layout() -> None:
    shown = OLD.layout(LE)
    lines = squeezed(shown)
    assert lines[0] == ("struct kvm_debug_exit_arch on aarch64 (little-endian): size 16, align 8")
    assert line_with(shown, "hsr __u32") == "0 4 A hsr __u32"
    assert line_with(shown, "far __u64") == "8 8 C far __u64"
    assert line_with(shown, "hole after hsr").startswith("4 4 ")
    assert "holes: 1, 4 bytes" in lines[-1]
    assert "tail padding: 0 bytes" in lines[-1]


def test_a_layout_with_a_tail_and_arrays() -> None:
    lines = squeezed(Struct("s", {"a": "u64", "b": "u8[2][3]"}).layout("ppc64"))
    assert "8 6 B b u8[2][3]" in lines
    assert any(line.startswith("14 2 ") and "tail padding" in line for line in lines)
    assert "holes: 0, 0 bytes" in lines[-1]
    assert "tail padding: 2 bytes" in lines[-1]


def test_rules_are_numbered_and_name_their_source() -> None:
    lines = squeezed(OLD.layout("m68k").rules)
    assert "m68k (big-endian)" in lines[0]
    assert [line.split(".")[0] for line in lines[1:5]] == ["1", "2", "3", "4"]
    assert "Motorola 68000" in lines[5]
    assert len(lines) == 6


IMAGES: list[Any] = [
    # struct, values, ABI, lines but for the first
    (Struct("s", {"a": "u8", "d": "u8[10]"}), {"a": 1, "d": list(range(10))}, BE,
     ["+0 01 A a bits 7:0", "+1 00 01 02 03 04 05 06 07 D d[0..7]",
      "+9 08 09 D d[8..9]"]),
    (Struct("s", {"d": "u16[2]"}), {"d": [1, 2]}, BE,
     ["+0 00 01 00 02 D d[0] bits 15:8 7:0 15:8 7:0"]),
    (MMIO, {"len": 4, "data": {0: 0x5A}}, LE,
     ["+0 00 00 00 00 00 00 00 00 - not written (phys_addr, left as it was)",
      "+8 5a D data[0]",
      "+9 00 00 00 00 00 00 00 - not written (data, left as it was)",
      "+16 04 00 00 00 L len bits 7:0 15:8 23:16 31:24",
      "+20 00 - not written (is_write, left as it was)",
      "+21 00 00 00 - not written (tail padding)"]),
]  # fmt: skip


@pytest.mark.parametrize(("struct", "values", "abi", "lines"), IMAGES)
def test_an_image(struct: Struct, values: Any, abi: str, lines: list[str]) -> None:
    assert squeezed(struct.layout(abi).pack(values))[1:] == lines


def test_an_image_of_words_on_little_endian() -> None:
    image = Struct("s", {"d": "u16[2]"}).layout(LE).pack({"d": [1, 2]})
    assert squeezed(image)[1:] == ["+0 01 00 02 00 D d[0] bits 7:0 15:8 7:0 15:8"]


@steady
@given(strategies.filled(partial=True), strategies.abis)
def test_an_image_shows_every_byte(drawn: tuple[Struct, dict[str, Any]], abi: str) -> None:
    struct, values = drawn
    image = struct.layout(abi).pack(values, 0x5A)
    rows = re.findall(r"^ +\+(\d+)  ((?:[0-9a-f]{2} ?)+) ", repr(image), re.MULTILINE)
    assert bytes.fromhex("".join(data for _, data in rows)) == bytes(image)
    starts = [int(at) for at, _ in rows]
    sizes = [len(bytes.fromhex(data)) for _, data in rows]
    assert starts == [sum(sizes[:n]) for n in range(len(sizes))]


def test_a_verdict_that_breaks_and_no_size_check_sees() -> None:
    shown = compare(WIDENED.layout(BE), OLD.layout(BE))
    lines = squeezed(shown)
    assert "BREAKS" in lines[0]
    assert "aarch64_be (big-endian)" in lines[0]
    assert line_with(shown, "moved") == "hsr moved bytes 0..3 hold hsr[63:32]"
    assert line_with(shown, "intact") == "far intact"
    assert "16 written, 16 read" in lines[-1]
    assert "size check" in lines[-1]


def test_other_verdicts() -> None:
    none = squeezed(compare(WIDENED.layout(LE), OLD.layout(LE)))
    assert "BREAKS" not in none[0]
    assert "intact" in none[0]
    assert "size check" not in none[-1]
    i386 = compare(OLD.layout("i386"), WITH_HIGH.layout("i386"))
    assert line_with(i386, "foreign") == "hsr_high foreign bytes 4..7 hold far[31:0]"
    far = line_with(i386, "unwritten")
    assert "12..15" in far
    assert "8..11 hold far[63:32]" in far
    assert "12 written, 16 read" in squeezed(i386)[-1]
    assert "size check" not in squeezed(i386)[-1]
    across = squeezed(compare(OLD.layout(LE), OLD.layout(BE)))[0]
    assert across.index("aarch64 (little-endian)") < across.index("aarch64_be (big-endian)")
    one = compare(Struct("s", {"a": "u8"}).layout(LE), Struct("s", {"b": "u8"}).layout(LE))
    assert line_with(one, "foreign").startswith("b foreign byte 0 ")


def test_a_verdict_names_bytes_that_are_apart_apart() -> None:
    inner = Struct("", {"a": "u8", "b": "u32"})
    shown = compare(Struct("s", [("n", inner)]).layout(LE), Struct("s", {"n": "u64"}).layout(LE))
    line = line_with(shown, "n unwritten")
    assert "1..3" in line
    assert "0..7" not in line


def test_a_reading_that_is_wrong() -> None:
    shown = vmm.read("widened", "old", BE, ESR)
    said = repr(shown)
    assert "aarch64_be (big-endian)" in said
    assert "kernel: widened" in said
    assert "flag" not in said.splitlines()[0]  # this program does not look at it
    assert line_with(shown, "+0").startswith("+0 00 a5 c3 e1 f2 00 12 34 A hsr bits 63:56")
    taken = line_with(shown, "taken for")
    for word in ("bytes 0..3", "ESR[31:0]", "ESR[63:32]", "WRONG"):
        assert word in taken
    assert "✗" in said
    assert "✓" not in said
    assert "reads 0x00a5c3e1" in said
    assert "0x00a5c3e1f2001234" in said
    assert "hsr moved" in said
    assert shown.effect in said


def test_a_reading_that_is_right() -> None:
    shown = vmm.read("merged", "flag", BE, ESR)
    said = repr(shown)
    assert "flag set" in said
    assert "✓" in said
    assert "✗" not in said
    assert "WRONG" not in said
    assert "reads 0x00a5c3e1f2001234" in said
    assert "hsr intact, hsr_high intact, far not written by this exit" in said


def test_a_reading_of_what_nobody_wrote() -> None:
    shown = vmm.read("old", "blind", LE, ESR)
    assert "no ESR bits" in line_with(shown, "bytes 4..7: taken")
    assert "not written (hole after hsr)" in repr(shown)
    assert "hsr_high unwritten" in repr(shown)


def test_a_matrix() -> None:
    shown = vmm.matrix(ESR)
    said = repr(shown)
    rows = [line for line in squeezed(shown) if line.startswith("aarch64")]
    assert len(rows) == 32
    assert sum("✗" in row for row in rows) == 2 + 7
    assert sum("✓" in row for row in rows) == 23
    assert said.splitlines()[0].count("0x00a5c3e1f2001234") == 1
    assert [row.split()[:2] for row in rows[::4]] == [
        [abi, kernel] for abi in (LE, BE) for kernel in ("old", "widened", "v2", "merged")
    ]
    old_reader = [row for row in rows if row.startswith("aarch64_be widened u32")]
    assert len(old_reader) == 1
    assert "✗ 0x00a5c3e1 " in old_reader[0]
    assert "re-inject" in old_reader[0]


def test_a_matrix_marks_what_a_reading_marks() -> None:
    shown = vmm.matrix(0xD2000062, FAR, abis=["i386"])
    rows = [line for line in squeezed(shown) if line.startswith("i386")]
    for row, reading in zip(rows, shown.readings, strict=True):
        assert ("✓" in row) is ("✓" in repr(reading)), row


def test_a_dump_and_its_overlay() -> None:
    dump = captures.find("widened", "big", "brk", synthetic=True)
    lines = squeezed(dump)
    assert dump.title in lines[0]
    assert "synthetic" in lines[0]
    assert "0xa5c3e1f2001234" in lines[1]
    assert lines[2] == "+0 00 00 00 00 00 00 00 00 00 00 00 04 00 00 00 00"
    assert lines[3] == "+32 00 a5 c3 e1 f2 00 12 34 00 00 00 00 00 00 00 00"
    overlay = squeezed(dump.overlay())
    assert "0 bytes differ" in overlay[0]
    assert overlay[2] == "+0 00 a5 c3 e1 f2 00 12 34 00 a5 c3 e1 f2 00 12 34 = hsr"
    assert overlay[3].startswith("+8 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 = nobody")


def test_an_overlay_that_differs() -> None:
    dump = captures.find("merged", "little", "mmio_then_brk")
    overlay = dump.overlay()
    other = captures.Overlay(dump, overlay.predicted, b"\xff" + overlay.real[1:])
    assert "1 bytes differ" in squeezed(other)[0]
    assert "≠ phys_addr" in squeezed(other)[2]
    assert "data 5a 5a 00 00" in squeezed(dump)[1]
    assert "≠" not in repr(overlay)


def test_an_esr_says_each_field_and_the_half_that_has_it() -> None:
    shown = Esr(0xD2000062)
    assert "0x00000000d2000062" in squeezed(shown)[0]
    assert "watchpoint" in squeezed(shown)[0]
    for words in ("EC 0x34 hsr[31:26]", "ISS2 0x0 hsr_high[23:0]", "WnR 0x1 hsr[6] write",
                  "DFSC 0x22 hsr[5:0]"):  # fmt: skip
        assert words in "\n".join(squeezed(shown))


FEW_WORDS: list[Any] = [
    # kernel, program, ABI, fill, words for what was taken, words for what comes of it
    ("merged", "flag", BE, 0, ("[63:0]",), ("EC 0x3c", "BRK")),
    ("old", "old", LE, 0, ("[31:0]",), ("EC 0x3c", "BRK")),
    ("widened", "old", BE, 0, ("other half",), ("EC 0x00", "unhandled exit")),
    ("merged", "u64", BE, 0, ("swapped",), ("EC 0x00", "unhandled exit")),
    ("widened", "blind", BE, 0, ("swapped",), ("EC 0x00", "unhandled exit")),
    ("old", "blind", LE, 0, ("unwritten",), ("EC", "right", "63:32")),
    ("old", "u64", BE, 0xF2, ("unwritten",), ("EC", "chance")),
    ("old", "u64", BE, 0xAA, ("unwritten",), ("EC 0x2a", "unhandled exit")),
    ("old", "u64", BE, 0xC0, ("unwritten",), ("EC 0x30", "breakpoint")),
]


@pytest.mark.parametrize(("kernel", "program", "abi", "fill", "taken", "comes"), FEW_WORDS)
def test_a_reading_in_few_words(
    kernel: str, program: str, abi: str, fill: int, taken: Any, comes: Any
) -> None:
    reading = vmm.read(kernel, program, abi, ESR, fill=fill)
    for word in taken:
        assert word in told.cause(reading)
    for word in comes:
        assert word in told.gist(reading)


def test_the_evidence_counts_every_dump_and_byte() -> None:
    """22 debug exits of 16 bytes and 28 MMIO exits of 24 for each kernel and byte order."""
    overlays = [dump.overlay() for dump in captures.load()]
    lines = [" ".join(line.split()) for line in told.evidence(overlays).splitlines()]
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
    lines = [" ".join(line.split()) for line in told.commit_table(overlays).splitlines()]
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
    readings = [vmm.read(kernel, "old", abi, ESR) for kernel in kernels for abi in abis]
    title = told.story(readings).splitlines()[0]
    for word in words:
        assert word in title
    for reading in readings:
        assert repr(reading) in told.story(readings)


# --- all of them -----------------------------------------------------------------------------


def test_every_twin_has_its_text() -> None:
    kinds = [kind for kind in Twin.__subclasses__() if kind.__repr__ is Twin.__repr__]
    nobody = twin.dispatch(object)
    assert [kind for kind in kinds if twin.dispatch(kind) is nobody] == []


def test_a_table_aligns_its_columns() -> None:
    rows = [("a", "bb", "c"), ("aaa", "b", "")]
    assert text.table(rows) == "  a    bb  c\n  aaa  b"
    assert text.table(rows, right=(0, 1), indent=0) == "  a  bb  c\naaa   b"


@pytest.mark.parametrize(("first", "last", "said"), [(3, 3, "byte 3"), (4, 7, "bytes 4..7")])
def test_bytes_in_words(first: int, last: int, said: str) -> None:
    assert text.span(first, last) == said


EVERYTHING = """
from kvmviz import Esr, Struct, captures, compare
from kvmviz.kvm import program as vmm
from kvmviz.kvm.kernel import MMIO, OLD, WIDENED, WITH_HIGH
for abi in ("aarch64", "aarch64_be", "i386", "m68k"):
    for struct in (OLD, WIDENED, WITH_HIGH, MMIO):
        layout = struct.layout(abi)
        print(ascii([struct, layout, layout.rules, layout.dtype, layout.pack({}, 0x5A)]))
        print(ascii([compare(layout, OLD.layout(abi)), compare(OLD.layout(abi), layout)]))
    print(ascii(vmm.matrix(0xD2000062, 0x40000800, 0xAA, [abi])))
print(ascii([(dump, dump.overlay()) for dump in captures.load()[::20]]))
print(ascii(Esr(0x92000050)))
try:
    OLD.layout("aarch64").pack({"esr": 1})
except ValueError as error:
    print(ascii(error))
"""


def test_no_text_depends_on_the_run() -> None:
    """Neither hash seed nor locale nor time zone shows in any text."""
    runs = []
    for seed, place, zone in (("0", "C", "UTC"), ("1", "C.UTF-8", "Asia/Tokyo")):
        env = {**os.environ, "PYTHONHASHSEED": seed, "LC_ALL": place, "TZ": zone}
        done = subprocess.run(
            [sys.executable, "-c", EVERYTHING],
            env=env | {"PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        runs.append(done.stdout)
    assert len(runs[0]) > 50_000
    assert runs[0] == runs[1]
    assert " at 0x7" not in runs[0], "a bare object's repr has its address"


# --- what a header says -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("hsr moves from offset 0 to offset 4", "hsr moves from offset 0 to offset 4"),
        ("é \\x1b", "é \\x1b"),
        ("a\x1b[31mb\x07", "a\\x1b[31mb\\x07"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\x9b31m\x7f", "\\x9b31m\\x7f"),
        ("\u202eabc\u2028\ud800", "\\u202eabc\\u2028\\ud800"),
        ("::error::x", ":\\x3aerror:\\x3ax"),
        ("x ::add-mask::y", "x :\\x3aadd-mask:\\x3ay"),
        ("std::byte, :::", "std:\\x3abyte, :\\x3a:"),
        ("a##[error]b", "a#\\x23[error]b"),
        ("\n::error::x", "\\n:\\x3aerror:\\x3ax"),
    ],
)
def test_what_is_not_shown_as_it_is(words: str, told: str) -> None:
    assert plain(words) == told
    assert plain(told) == told


@steady
@given(st.text())
def test_nothing_is_left_that_is_obeyed(words: str) -> None:
    told = plain(words)
    assert told.isprintable()
    assert plain(told) == told
    assert "::" not in told
    assert "##[" not in told

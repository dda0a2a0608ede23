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

from kvmviz import Array, Esr, Struct, compare, text
from kvmviz._base import span
from kvmviz.kvm.kernel import MERGED, MMIO, OLD, WIDENED
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
        MERGED.layout(BE).pack({"hsr": LOW, "hsr_high": HIGH}, 0xAA),
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
    assert line_with(shown, "__u32 hsr") == "0 4 A __u32 hsr 7:0 15:8 23:16 31:24"
    assert line_with(shown, "__u64 far").startswith("8 8 C __u64 far 7:0 15:8 ")
    assert line_with(shown, "hole after hsr").startswith("4 4 ")
    assert "holes: 1, 4 bytes" in lines[-1]
    assert "tail padding: 0 bytes" in lines[-1]


def test_a_layout_with_a_tail_and_arrays() -> None:
    lines = squeezed(Struct("s", {"a": "u64", "b": "u8[2][3]"}).layout("ppc64"))
    assert "8 6 B u8 b[2][3] each: 7:0" in lines
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
     ["+0 00 01 00 02 D d[0..1] bits 15:8 7:0 15:8 7:0"]),
    (Struct("s", {"d": "u8[2][3]"}), {"d": [[1, 2, 3], [4, 5, 6]]}, BE,
     ["+0 01 02 03 04 05 06 D d[0][0]..[1][2]"]),
    (Struct("s", {"d": "u8[2][3]"}), {"d": {1: {1: 5}}}, BE,
     ["+0 00 00 00 00 - not written (d, left as it was)", "+4 05 D d[1][1]",
      "+5 00 - not written (d, left as it was)"]),
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
    assert squeezed(image)[1:] == ["+0 01 00 02 00 D d[0..1] bits 7:0 15:8 7:0 15:8"]


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
    i386 = compare(OLD.layout("i386"), MERGED.layout("i386"))
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


def test_an_esr_says_each_field_and_the_half_that_has_it() -> None:
    shown = Esr(0xD2000062)
    assert "0x00000000d2000062" in squeezed(shown)[0]
    assert "watchpoint" in squeezed(shown)[0]
    for words in ("EC 0x34 hsr[31:26]", "ISS2 0x0 hsr_high[23:0]", "WnR 0x1 hsr[6] write",
                  "DFSC 0x22 hsr[5:0]"):  # fmt: skip
        assert words in "\n".join(squeezed(shown))


# --- all of them -----------------------------------------------------------------------------


def test_a_table_aligns_its_columns() -> None:
    rows = [("a", "bb", "c"), ("aaa", "b", "")]
    assert text.table(rows) == "  a    bb  c\n  aaa  b"
    assert text.table(rows, right=(0, 1), indent=0) == "  a  bb  c\naaa   b"


@pytest.mark.parametrize(("first", "last", "said"), [(3, 3, "byte 3"), (4, 7, "bytes 4..7")])
def test_bytes_in_words(first: int, last: int, said: str) -> None:
    assert span(first, last) == said


EVERYTHING = """
from kvmviz import Esr, Struct, captures, compare
from kvmviz.kvm import program as vmm
from kvmviz.kvm.kernel import MMIO, OLD, WIDENED, MERGED
for abi in ("aarch64", "aarch64_be", "i386", "m68k"):
    for struct in (OLD, WIDENED, MERGED, MMIO):
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

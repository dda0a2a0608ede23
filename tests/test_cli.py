"""The command line as a user meets it: in process where that is enough, else as a program."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import kvmviz
from kvmviz import ABIS, KvmvizError
from kvmviz.__main__ import main
from kvmviz.cli import dump
from kvmviz.kvm.kernel import MERGED, OLD, WIDENED
from kvmviz.web.page import page
from tests.strategies import c_text, steady

OLD_H = """#include <linux/types.h>
struct kvm_debug_exit_arch {
	__u32 hsr;
	__u64 far;	/* used for watchpoints */
};
"""
WIDE_H = OLD_H.replace("__u32 hsr;", "__u64 hsr;")
HIGH_H = OLD_H.replace("\t__u64", "\t__u32 hsr_high;\n\t__u64")
SAMPLE = bytes.fromhex("3456789a 00000012 1122334455667788")
"""facts of the patch: ESR 0x123456789A, far 0x1122334455667788, big-endian with hsr_high."""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """A command line in a folder with three headers: exit status, output, errors."""
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, text in (("old.h", OLD_H), ("wide.h", WIDE_H), ("high.h", HIGH_H)):
        Path(name).write_text(text)

    def call(*arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        try:
            status = main(arguments)
        except SystemExit as stop:
            status = stop.code  # type: ignore[assignment]
        out, err = capsys.readouterr()
        return status, out, err

    return call


def program(*arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """The same as a process of its own."""
    environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    root = str(Path(kvmviz.__file__).parent.parent)
    environment |= {"PYTHONPATH": root} | more.pop("env", {})
    command = [sys.executable, "-W", "error", "-m", "kvmviz", *arguments]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, **more
    )


# --- compare ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("new", "more", "status"),
    [
        ("old.h", [], 0),
        ("wide.h", [], 1),
        ("wide.h", ["--abi", "aarch64_be"], 1),
        ("wide.h", ["--abi", "aarch64"], 1),  # a new program on an old kernel
        ("high.h", ["--abi", "arm64"], 0),
        ("high.h", ["--abi", "aarch64", "--abi", "aarch64_be", "--strict"], 1),
        ("old.h", ["--strict"], 0),
        ("high.h", ["--abi", "i386"], 1),
        ("high.h", ["--abi", "m68k"], 1),
        ("high.h", [], 1),  # i386 and m68k are among all
        ("wide.h", ["--json"], 1),
    ],
)
def test_exit_status_of_compare(run: Run, new: str, more: list[str], status: int) -> None:
    found, out, err = run("compare", "old.h", new, *more)
    assert (found, err) == (status, "")
    assert out


def test_compare_names_big_endian_and_the_bytes(run: Run) -> None:
    _, out, _ = run("compare", "old.h", "wide.h")
    told = " ".join(out.split())
    assert "[big-endian except m68k] an old reader of a new writer finds hsr[63:32] in" in told
    assert "a size check sees nothing: sizeof 16 before and after" in told
    assert "\x1b" not in out
    assert all(len(line) <= 76 for line in out.split("\n"))


def test_compare_says_what_only_one_file_has(run: Run) -> None:
    Path("more.h").write_text(OLD_H + "struct fresh { int a; };")
    assert run("compare", "old.h", "more.h")[:2] == (
        0, "unchanged: struct kvm_debug_exit_arch\n\nonly in the new header: fresh\n",
    )  # fmt: skip
    assert run("compare", "more.h", "old.h", "--strict")[0] == 1
    assert run("compare", "more.h", "old.h", "--struct", "struct fresh")[:2] == (
        1, "BREAKS: gone, only in the old header: fresh\n",
    )  # fmt: skip
    status, _, err = run("compare", "more.h", "old.h", "--struct", "nix")
    assert (status, err) == (
        2, "kvmviz: error: old.h: no struct 'nix'; there are kvm_debug_exit_arch; one with a tag "
        "goes by its tag, not by a typedef\n",
    )  # fmt: skip


OUTER = '#include "in.h"\nstruct outer { __u32 a; struct in i; __u32 z; };\n'
IN = {"o": "struct in { __u32 x; };", "n": "struct in { __u32 x, y; };"}


FOLDERS = [
    # old and new headers by path, the exit status, and what is said
    ({"a.h": "struct a { int x; };"}, {"a.h": "struct a { int x; };"}, 0, "unchanged: struct a\n"),
    ({"a.h": "struct a { int x; };"}, {"b.h": "struct b { int x; };"}, 1,
     "BREAKS: gone, only in the old header: a\n\nonly in the new header: b\n"),
    ({"a.h": "struct a { int x; };", "s/b.h": "struct b { int x; };"},
     {"a.h": "struct a { int x; };", "s/b.h": "struct b { long long x; };"}, 1, "struct b: BREAKS"),
    ({"a.h": "struct a { int x; };", "s/b.h": "struct a { int x; };"},  # one tag in two headers
     {"a.h": "struct a { int x; };", "s/b.h": "struct a { float x; };"}, 1, "struct a: BREAKS"),
    # Each side takes headers from its own.
    ({"in.h": IN["o"], "outer.h": OUTER}, {"in.h": IN["n"], "outer.h": OUTER}, 1,
     "struct in: BREAKS on all 14 ABIs\nstruct outer: BREAKS"),
    ({"a.h": "#define A 1"}, {"a.h": "#define A 2"}, 1, "constants: BREAKS"),
    ({}, {}, 0, "nothing to compare"),
    ({"a.h": "struct a {"}, {"a.h": "struct a { int x; };"}, 2, ""),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "status", "told"), FOLDERS)
def test_two_directories(
    run: Run, old: dict[str, str], new: dict[str, str], status: int, told: str
) -> None:
    for side, files in (("one", old), ("two", new)):
        Path(side).mkdir()
        for name, text in files.items():
            Path(side, name).parent.mkdir(exist_ok=True)
            Path(side, name).write_text(text)
    found, out, err = run("compare", "one", "two")
    assert found == status, err
    assert out.startswith(told)


def test_a_link_out_of_a_directory_is_not_compared(run: Run) -> None:
    for side in ("one", "two"):
        Path(side).mkdir()
    Path("two/a.h").symlink_to("../old.h")
    told = "kvmviz: error: two: a.h is a link that leads out of the directory\n"
    assert run("compare", "one", "two") == (2, "", told)
    Path("two/a.h").unlink()
    assert "two directories are compared" in run("compare", "one", "two", "--struct", "s")[2]


def test_compare_reads_standard_input(run: Run) -> None:
    found = run("compare", "-", "wide.h", "--abi", "s390x", stdin=OLD_H.encode())
    assert found == run("compare", "old.h", "wide.h", "--abi", "s390x")
    status, _, err = run("compare", "-", "-", stdin=OLD_H.encode())
    assert status == 2
    assert "both standard input" in err


# --- headers of each side --------------------------------------------------------------------


@pytest.fixture
def tree(run: Run) -> Run:
    """A header of two sides that differ in what they include, alone and in directories."""
    Path("outer.h").write_text(OUTER)
    for side, text in IN.items():
        Path(side).mkdir()
        Path(f"{side}/in.h").write_text(text)
    return run


EACH = [
    (["--old-include", "in.h=o/in.h", "--new-include", "in.h=n/in.h"], 1),
    (["--old-include", "o/in.h", "--new-include", "n/in.h"], 1),
    (["--old-dir", "o", "--new-dir", "n"], 1),
    (["--old-dir", "o", "-I", "n"], 1),
    (["--new-dir", "n", "-I", "o"], 1),
    (["--new-include", "in.h=o/in.h", "-I", "o"], 0),
    (["-I", "o"], 0),
    (["-I", "o", "-I", "n"], 0),
    (["--include", "n/in.h"], 0),
    (["--old-dir", "o"], 2),
    (["--include", "o/in.h", "--new-include", "n/in.h"], 2),  # one name twice on one side
    (["--include", "in.h=o/in.h", "--include", "in.h=n/in.h"], 2),
]


@pytest.mark.parametrize(("arguments", "status"), EACH)
def test_each_side_has_its_own_headers(tree: Run, arguments: list[str], status: int) -> None:
    found, out, err = tree("compare", "outer.h", "outer.h", "--abi", "s390x", *arguments)
    assert found == status, err
    assert ("struct outer: BREAKS" in out) == (status == 1)


@pytest.mark.parametrize(
    ("name", "target", "status"),
    [
        ("in.h", "real.h", 0),
        ("in.h", "../n/in.h", 2),
        ("in.h", "/dev/zero", 2),
        ("in.h", "in.h", 2),  # a link in a circle
        ("../n/in.h", None, 2),
        ("sub/../in.h", None, 0),
        ("{}/n/in.h", None, 2),  # absolute
    ],
)
def test_a_directory_is_not_left(tree: Run, name: str, target: str | None, status: int) -> None:
    Path("o/in.h").rename("o/real.h")
    Path("o/in.h").symlink_to(target or "real.h")
    Path("o/sub").mkdir()
    text = OUTER.replace("in.h", name.format(Path.cwd()))
    Path("outer.h").write_text(text)
    assert tree("layout", "outer.h", "-I", "o", "--abi", "arm")[0] == status


def test_what_is_no_file_of_a_directory_is_not_opened(tree: Run) -> None:
    Path("o/in.h").unlink()
    os.mkfifo("o/in.h")
    assert tree("layout", "outer.h", "-I", "o", "--abi", "arm")[0] == 2


def test_macros_of_the_command_line(run: Run) -> None:
    two = "struct s { char a[A]; };", "struct s { long a; };"
    Path("m.h").write_text("#ifdef A\n{}\n#else\n{}\n#endif".format(*two))
    for size, more in ((1, ["-D", "A"]), (3, ["-D", "A=3"]), (4, ["-U", "A"]), (7, ["-DA=7"])):
        record = json.loads(run("layout", "m.h", "--json", "--abi", "arm", *more)[1])
        assert [row["size"] for row in record["layouts"]] == [size]


NONE = [
    # old, new, exit status and what is said
    ("#define A 1\n", "#define A 1\n", 0, "nothing to compare: no struct in either header\n"),
    ("", "struct s { int a; };", 0, "only in the new header: s\n"),
    ("struct s { int a; };", "", 1, "BREAKS: gone, only in the old header: s\n"),
    ("struct s { int a; };", "#define A\n", 1, "BREAKS: gone, only in the old header: s\n"),
    ("#define A 1\n", "#define A 2\n", 1, "constants: BREAKS: 1 changed or gone\n"),
    ("enum { A, B };", "enum { A, N, B };", 1, "constants: BREAKS: 2 changed or gone\n"),
    ("enum { A, B };", "enum { A, B, C };", 0, "constants: 1 new\n\n  1. note: C: new\n"),
    ("struct s { int a; };", "struct s { X int a; };", 2, ""),
    ("struct s { X int a; };", "struct s { X int a; };", 2, ""),
    ("struct s { X int a; }; struct t { int a; };", "struct s { X int a; }; struct t { int a; };",
     0, "unchanged: struct t\n"),
    ("struct s { X int a; }; struct t { int a; };", "struct s { int a; }; struct t { int a; };",
     2, ""),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "status", "told"), NONE)
def test_a_header_without_structs(run: Run, old: str, new: str, status: int, told: str) -> None:
    Path("a.h").write_text(old)
    Path("b.h").write_text(new)
    found, out, err = run("compare", "a.h", "b.h")
    assert found == status
    assert out.startswith(told)
    assert bool(err) == ("X" in old + new)


# --- JSON ------------------------------------------------------------------------------------

Schema = Any


def check(value: Any, schema: Schema, where: str = "$") -> None:
    """A value has just the keys and types of a schema; a list's schema is that of each item."""
    if isinstance(schema, dict):
        assert isinstance(value, dict), where
        assert list(value) == list(schema), where
        for key, inner in schema.items():
            check(value[key], inner, f"{where}.{key}")
    elif isinstance(schema, list):
        assert isinstance(value, list), where
        for number, item in enumerate(value):
            check(item, schema[0], f"{where}[{number}]")
    else:
        assert isinstance(value, schema), f"{where}: {value!r}"


SIZES = {"size": int, "align": int}
COMPARE: Schema = {
    "breaks": bool, "warns": bool,
    "structs": [{
        "struct": str, "breaks": bool, "warnings": int,
        "abis": [{
            "abi": str, "byte_order": str, "old": SIZES, "new": SIZES,
            "forward": dict, "backward": dict,
        }],
        "findings": [{
            "kind": str, "member": str | None, "severity": str, "change": str, "effect": str,
            "remedy": str, "abis": [str], "also": [str],
        }],
    }],
    "added": [str], "removed": [str], "constants": [dict],
}  # fmt: skip
MEMBER = {"name": str, "offset": int, "size": int, "type": str, "count": [int], "byte_order": str}
LAYOUT: Schema = {
    "layouts": [{
        "struct": str, "abi": str, "byte_order": str, "size": int, "align": int,
        "members": [MEMBER | {
            "bits": int, "bytes": [{"offset": int, "bits": [int], "in": [int]}],
        }],
        "holes": [{"what": str, "offset": int, "size": int}],
    }],
    "missing": [{"struct": str, "abi": str, "why": str}],
}  # fmt: skip
HELD = {"offset": int, "bytes": str}
DECODE: Schema = {
    "decoded": [{
        "struct": str, "abi": str, "byte_order": str, "offset": int, "size": int,
        "members": [{"name": str} | HELD | {"bits": str, "value": int}],
        "holes": [{"what": str} | HELD],
    }],
    "missing": [{"struct": str, "abi": str, "why": str}],
}  # fmt: skip


def test_json_of_compare(run: Run) -> None:
    record = json.loads(run("compare", "old.h", "wide.h", "--json")[1])
    check(record, COMPARE)
    (struct,) = record["structs"]
    assert {row["abi"] for row in struct["abis"]} == set(ABIS)
    big = next(row for row in struct["abis"] if row["abi"] == "aarch64_be")
    assert big["forward"] == {"hsr": "moved", "far": "intact"}
    assert big["backward"] == {"hsr": "unwritten", "far": "intact"}
    assert big["old"] == big["new"] == {"size": 16, "align": 8}
    assert record["breaks"] is True


def test_json_of_layout(run: Run) -> None:
    record = json.loads(run("layout", "old.h", "--abi", "ppc64", "--json")[1])
    check(record, LAYOUT)
    (row,) = record["layouts"]
    assert row["members"][0]["bytes"] == [
        {"offset": at, "bits": [31 - 8 * at, 24 - 8 * at], "in": [7, 0]} for at in range(4)
    ]
    assert row["holes"] == [{"what": "hole after hsr", "offset": 4, "size": 4}]


def test_json_of_decode(run: Run) -> None:
    arguments = ["decode", SAMPLE.hex(), "--struct", "kvm_debug_exit_arch.old"]
    record = json.loads(run(*arguments, "--abi", "aarch64_be", "--json")[1])
    check(record, DECODE)
    values = {row["name"]: row["value"] for row in record["decoded"][0]["members"]}
    assert values == {"hsr": 0x3456789A, "far": 0x1122334455667788}
    assert record["decoded"][0]["holes"] == [
        {"what": "hole after hsr", "offset": 4, "bytes": "00000012"}
    ]


# --- layout ----------------------------------------------------------------------------------


def test_layout_says_offsets_holes_and_bits(run: Run) -> None:
    status, out, _ = run("layout", "old.h")
    assert status == 0
    little, big = out.split("\n\n")
    assert re.search(r"^ +0 +4  A  __u32  hsr +7:0 15:8 23:16 31:24$", little, re.MULTILINE)
    assert re.search(r"^ +0 +4  A  __u32  hsr +31:24 23:16 15:8 7:0$", big, re.MULTILINE)
    assert re.search(r"^ +4 +4  - +hole after hsr  no member$", big, re.MULTILINE)
    assert "aarch64_be (big-endian): size 16, align 8" in big


def test_layout_of_bit_fields_and_flexible_arrays(run: Run) -> None:
    text = b"struct s { __u8 a:3; __u8 b:2; __u16 c[2]; __u8 d[]; };"
    _, out, _ = run("layout", "-", "--abi", "s390x", stdin=text)
    assert "2:0 in +0[7:5]" in out
    assert "1:0 in +0[4:3]" in out
    assert re.search(r" 3 bits +- +unused bits after b ", out)
    assert re.search(r"c\[2\] +each: 15:8 7:0", out)
    assert re.search(r" 0  \w  __u8 +d\[\] +flexible", out)


@pytest.mark.parametrize(
    ("names", "abis"),
    [
        ([], ["aarch64", "aarch64_be"]),
        (["arm64"], ["aarch64", "aarch64_be"]),
        (["arm"], ["arm"]),
        (["i386", "m68k", "i386"], ["i386", "m68k"]),
        (["all"], list(ABIS)),
    ],
)
def test_abis(run: Run, names: list[str], abis: list[str]) -> None:
    asked = [word for name in names for word in ("--abi", name)]
    record = json.loads(run("layout", "old.h", "--json", *asked)[1])
    assert [row["abi"] for row in record["layouts"]] == abis


# --- decode ----------------------------------------------------------------------------------

XXD = '00000000: 3456 789a 0000 0012 1122 3344 5566 7788  4Vx......"3DUfw.'
HEXDUMP = '00000000  34 56 78 9a 00 00 00 12  11 22 33 44 55 66 77 88  |4Vx......"3DUfw.|\n00000010'


@pytest.mark.parametrize(
    "dump",
    [SAMPLE, SAMPLE.hex().encode(), SAMPLE.hex(" ").encode(), SAMPLE.hex(" ", 4).encode(),
     SAMPLE[:8].hex().encode() + b"\n" + SAMPLE[8:].hex().encode() + b"\n"],
)  # fmt: skip
def test_every_kind_of_dump_says_the_same(run: Run, dump: bytes) -> None:
    arguments = ["--struct", "kvm_debug_exit_arch", "--abi", "aarch64_be"]
    status, out, err = run("decode", "-", *arguments, stdin=dump)
    assert (status, err) == (0, "")
    told = " ".join(out.split("\n")[2].split())
    assert told == "+0 34 56 78 9a A hsr 31:24 23:16 15:8 7:0 0x3456789a = 878082202"
    Path("dump").write_bytes(dump)
    assert run("decode", "dump", *arguments)[1] == out
    Path("s.h").write_text(HIGH_H)
    assert run("decode", "dump", "--header", "s.h", *arguments[2:])[1] == out


def test_decode_from_an_offset_on(run: Run) -> None:
    Path("page").write_bytes(bytes(32) + SAMPLE + bytes(7))
    _, out, _ = run(
        "decode", "page", "--struct", "kvm_debug_exit_arch", "--offset", "0x20", "--abi", "armeb"
    )
    assert out.startswith(
        "struct kvm_debug_exit_arch on armeb (big-endian), 16 bytes, from byte 32 on\n"
    )
    assert "0x00000012 = 18" in out
    assert out.endswith("bytes behind it, not looked at: 7\n")


def test_decode_of_every_kind_of_member(run: Run) -> None:
    Path("s.h").write_text(
        "struct s { __u8 a:3; __s8 b:2; __be16 c; float d; __s16 e[2]; __u8 f[3]; "
        "struct { _Bool g; } h[2]; __uint128_t i; };"
    )
    data = "57 00 1234 0000c03f feff 0100 0a0b0c 01 00" + 15 * "00"
    data += "01000000000000000000000000000080"
    status, out, err = run("decode", data, "--header", "s.h", "--abi", "x86_64", "--json")
    assert (status, err) == (0, "")
    members = json.loads(out)["decoded"][0]["members"]
    assert {row["name"]: row["value"] for row in members} == {
        "a": 7, "b": -2, "c": 0x1234, "d": 1.5, "e[0]": -2, "e[1]": 1, "f[0]": 10, "f[1]": 11,
        "f[2]": 12, "h[0].g": 1, "h[1].g": 0, "i": (1 << 127) + 1,
    }  # fmt: skip
    text = run("decode", data, "--header", "s.h", "--abi", "x86_64")[1]
    assert re.search(r"f\[0\]\.\.\[2\]", text)
    assert "0xfffe = -2" in text


def test_decode_on_abis_some_of_which_have_no_such_struct(run: Run) -> None:
    Path("s.h").write_text(
        "#ifdef __x86_64__\nstruct s { __u16 a; };\n#endif\nstruct t { int a; };"
    )
    asked = ["--header", "s.h", "--struct", "s", "--abi", "x86_64", "--abi", "s390x"]
    status, out, err = run("decode", "0100", *asked)
    assert (status, err) == (0, "")
    assert "struct s on x86_64 (little-endian), 2 bytes\n" in out
    assert (
        "\n\nstruct s on s390x: not there: struct s is not defined on s390x, only on x86_64" in out
    )
    record = json.loads(run("decode", "0100", *asked, "--json")[1])
    assert [row["abi"] for row in record["decoded"]] == ["x86_64"]
    assert [row["abi"] for row in record["missing"]] == ["s390x"]
    status, _, err = run("decode", "0100", *asked[:4], "--abi", "s390x")
    assert (status, err.startswith("kvmviz: error: s.h: struct s is not defined")) == (2, True)


def test_json_of_a_float_that_is_no_number(run: Run) -> None:
    """JSON has no infinity and no NaN: null, and the bytes say which it is."""
    Path("s.h").write_text("struct s { float a, b, c, d; };")
    data = "0000807f 000080ff 0000c07f 0000803f"  # infinity, -infinity, NaN and 1 on little-endian

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    out = run("decode", data, "--header", "s.h", "--abi", "x86_64", "--json")[1]
    record = json.loads(out, parse_constant=refuse)
    members = record["decoded"][0]["members"]
    assert [row["value"] for row in members] == [None, None, None, 1.0]
    assert " ".join(row["bytes"] for row in members) == data


OFFSET = "may be an offset, as xxd, od and hexdump print it; give bytes only (xxd -r"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (XXD, OFFSET),
        (HEXDUMP, OFFSET),
        ("00000000: 3456789a 00000012\n", OFFSET),  # xxd -g 4, its characters cut off
        ("00000000: 00110100 01010110  4V\n", OFFSET),  # xxd -b
        ("000000 34 56 78 9a 00 00 00 12\n000008\n", OFFSET),  # od -A x -t x1
        ("000000 9a785634 00000012\n", OFFSET),  # od -A x -t x4
        ("000000 000000129a785634\n", OFFSET),  # od -A x -t x8
        ("0000000 053064 115170\n", OFFSET),  # od
        ("0000000 5634 9a78 0000 1200\n", OFFSET),  # hexdump
        ("12 34\n00000000 34 56", "line 2, column 1: '00000000'"),
        ("123", "line 1, column 1: '123' is not hex: two digits for each byte"),
        ("12 zz", "line 1, column 4: 'zz' is not hex"),
        ("0x1234", "'0x1234' is not hex"),
        ("34:56", "'34:56' is not hex"),
        ("\n", "no bytes"),
        ("00 12\n*\n34", "line 2, column 1: '*' is not hex"),
    ],
)
def test_dumps_that_are_none(text: str, words: str) -> None:
    with pytest.raises(KvmvizError, match=re.escape(words)):
        dump.read(text)


@steady
@given(st.binary(min_size=1, max_size=100))
def test_hex_round_trip(data: bytes) -> None:
    for sep in (" ", "\t", "\n"):
        assert dump.read(data.hex(" ").replace(" ", sep)) == data
    assert dump.read(data.hex()) == data


@pytest.mark.parametrize("make", ["xxd -p", "xxd | xxd -r", "xxd -g 8 | xxd -r"])
def test_what_xxd_makes(run: Run, make: str) -> None:
    if shutil.which("xxd") is None:
        pytest.skip("no xxd here")
    arguments = ["decode", "-", "--struct", "kvm_debug_exit_arch", "--abi", "armeb"]
    data = subprocess.run(make, shell=True, input=SAMPLE, capture_output=True, check=True).stdout
    assert run(*arguments, stdin=data) == run(*arguments, stdin=SAMPLE)


@steady
@given(st.text(st.sampled_from("0123456789abcdef xX:*|,\n"), max_size=80))
def test_no_text_crashes_the_reader(text: str) -> None:
    try:
        told = f"line 1, column 1: {len(dump.read(text))} bytes"
    except KvmvizError as error:
        told = str(error)
    assert re.match(r"line \d+, column \d+: ", told)


# --- figures ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "start"), [("a.svg", b"<?xml"), ("a.png", b"\x89PNG"), ("a.pdf", b"%PDF")]
)
def test_figures(run: Run, name: str, start: bytes) -> None:
    assert run("figure", "compare", "old.h", "wide.h", "-o", name) == (0, "", "")
    compared = Path(name).read_bytes()
    assert compared.startswith(start)
    assert run("figure", "layout", "old.h", "--abi", "m68k", "-o", name) == (0, "", "")
    assert Path(name).read_bytes().startswith(start)
    assert Path(name).read_bytes() != compared


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["layout", "old.h", "-o", "a.gif"], "no format 'gif'; legal are png, svg, pdf"),
        (["layout", "old.h", "-o", "nowhere/a.svg"], "'nowhere/a.svg': No such file or directory"),
        (["layout", "two.h", "-o", "a.svg"], "more than one struct"),
        (["compare", "old.h", "two.h", "-o", "a.svg"], "no struct in common"),
    ],
)
def test_figures_that_cannot_be(run: Run, arguments: list[str], words: str) -> None:
    Path("two.h").write_text("struct a { int x; }; struct b { int x; };")
    status, out, err = run("figure", *arguments)
    assert (status, out) == (2, "")
    assert re.fullmatch(rf"kvmviz: error: .*{re.escape(words)}.*\n", err)
    assert not list(Path().glob("a.*"))


def test_only_figures_load_matplotlib(tmp_path: Path) -> None:
    (tmp_path / "a.h").write_text(OLD_H)
    code = (
        "import sys; from kvmviz.__main__ import main; "
        "main(['compare', 'a.h', 'a.h']); main(['layout', 'a.h']); "
        "main(['decode', '00' * 24, '--struct', 'mmio']); "
        "print([name for name in ('matplotlib', 'ipywidgets', 'IPython') if name in sys.modules])"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(kvmviz.__file__).parent.parent)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment,
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout.endswith("\n[]\n")


def test_dumps_of_ones_own_kernel(run: Run) -> None:
    row = json.loads(
        (Path(kvmviz.__file__).parent / "data" / "kvm_run.jsonl").read_text().splitlines()[0]
    )
    mine = json.dumps({key: row[key] for key in row if key not in ("kernel", "esr_high_injected")})
    Path("mine.jsonl").write_text(f"{mine}\n")
    status, out, err = run("dumps", "mine.jsonl")
    assert (status, err) == (0, "")
    assert out.startswith("Linux 6.1.192, little-endian: 1 dump\n")
    assert out.endswith("old: 0 bytes differ, widened: 0 bytes differ\n")
    Path("mine.jsonl").write_text(f"{mine}\n{{}}\n")
    status, out, err = run("dumps", "mine.jsonl")
    assert (status, out) == (2, "")
    assert err.startswith("kvmviz: error: mine.jsonl: dumps, line 2: no key ")


def test_the_page_is_written(run: Run) -> None:
    status, out, err = run("page", "story.html")
    assert (status, err) == (0, "")
    assert "story.html" in out
    assert Path("story.html").read_text("utf-8") == page()
    status, out, err = run("page", "nowhere/story.html")
    assert (status, out) == (2, "")
    assert "nowhere/story.html: No such file" in err


# --- errors ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["layout", "bad.h"], "bad.h:2:10: expected ';' after 'a'"),
        (["layout", "none.h"], "none.h: No such file or directory"),
        (["layout", "."], r"\.: Is a directory"),
        (["layout", "latin.h"], r"latin.h:1:\d+: .*udce9.*"),
        (["layout", "binary"], "binary.*"),
        (["layout", "empty.h"], "empty.h:1:1: .*"),
        (["layout", "/dev/zero"], "/dev/zero: more than 16 MiB"),
        (["layout", "a\0b"], r"a\\x00b: embedded null byte"),
        (["layout", "old.h", "--abi", "vax"], "unknown ABI 'vax'; legal are .*"),
        (["layout", "old.h", "--struct", "x"], "old.h: no struct 'x'; there are .*"),
        (
            ["layout", "old.h", "--struct", "union kvm_debug_exit_arch"],
            "'kvm_debug_exit_arch' is a struct, not 'union'",
        ),
        (
            ["compare", "old.h", "old.h", "--struct", "union kvm_debug_exit_arch"],
            "'kvm_debug_exit_arch' is a struct, not 'union'",
        ),
        (
            ["layout", "typedef.h", "--struct", "foo_t"],
            "typedef.h: no struct 'foo_t'; there are "
            "foo; one with a tag goes by its tag, not by a typedef",
        ),
        (
            ["layout", "needs.h"],
            r"needs.h:3:\d+: .*it may be in <linux/const.h>, <a.h>: give the one .*--include .*",
        ),
        (["layout", "old.h", "--include", "none.h"], "none.h: No such file or directory"),
        (["layout", "old.h", "--include", "=old.h"], "--include '=old.h': give NAME=FILE or FILE"),
        (["layout", "old.h", "--include", "a.h="], "--include 'a.h=': give NAME=FILE or FILE"),
        (
            ["compare", "old.h", "old.h", "--include", "a.h=old.h", "--old-include", "a.h=wide.h"],
            "--include a.h: two files for one name, old.h and wide.h; .*--old-include.*",
        ),
        (["layout", "old.h", "-I", "old.h"], "old.h: no such directory"),
        (["layout", "old.h", "-D", "1"], "old.h:1:1: .*'#define 1 1' names no macro.*"),
        (
            ["compare", "old.h", "old.h", "--reserved", "("],
            "reserved '.* is no regular .*",
        ),
        (["compare", "old.h", "old.h", "--written-by", "x"], ".*choose from.*kernel.*"),
        (["compare", "old.h", "bad.h"], "bad.h:2:10: expected ';' after 'a'"),
        (["decode", "old.h", "--struct", "mmio"], "old.h:1:1: .*--raw.*"),
        (["decode", "nix", "--struct", "mmio"], "'nix': no such file, and as hex: .*"),
        (["decode", "1234", "--struct", "mmio"], "struct mmio takes 24 bytes; .*"),
        (["decode", "00", "--struct", "x"], "structs known without --header: no struct 'x'; .*"),
        (["decode", "00"], "structs known without --header: more than one struct, .*"),
        (["decode", "00", "--struct", "mmio", "--offset", "x"], ".*'x' is no number of bytes.*"),
        (["decode", "00", "--header", "", "--struct", "s"], ": Is a directory"),
        (["dumps", "none.jsonl"], "none.jsonl: No such file or directory"),
        (["decode", "-", "--header", "-", "--struct", "s"], ".*both standard input.*"),
        (["compare", "old.h"], ".*required: NEW; see kvmviz compare --help"),
        (["frobnicate"], ".*invalid choice: 'frobnicate'.*"),
        ([], ".*required: COMMAND.*"),
    ],
)
def test_unusable_input_is_one_line_and_status_2(
    run: Run, arguments: list[str], error: str
) -> None:
    Path("bad.h").write_text("struct x {\n  __u32 a\n  __u64;\n};")
    Path("latin.h").write_bytes(b"/* \xe9 */ struct s\xe9 { int a; };")
    Path("binary").write_bytes(bytes(range(256)))
    Path("empty.h").write_text("")
    Path("typedef.h").write_text("typedef struct foo { int x; } foo_t;")
    Path("needs.h").write_text(
        "#include <linux/const.h>\n#include <a.h>\nstruct s { missing_t a; };\n"
    )
    status, out, err = run(*arguments, stdin=b"struct s { int a; };")
    assert (status, out) == (2, "")
    assert re.fullmatch(f"kvmviz: error: {error}\n", err), err
    assert err.count("\n") == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read(run: Run) -> None:
    Path("old.h").chmod(0)
    assert run("layout", "old.h")[2] == "kvmviz: error: old.h: Permission denied\n"


# --- as a program ----------------------------------------------------------------------------


def test_help_and_version() -> None:
    told = program("--help")
    assert told.returncode == 0
    for words in ("examples:", "exit status:", "layout", "compare", "decode", "figure"):
        assert words in told.stdout
    for command in (["layout"], ["compare"], ["decode"], ["figure", "layout"], ["page"], ["dumps"]):
        done = program(*command, "--help")
        assert done.returncode == 0
        assert f"kvmviz {' '.join(command)} " in done.stdout.split("examples:")[1]
        assert ("exit status:" in done.stdout) == (command[0] not in ("page", "dumps"))
    assert program("--version").stdout == f"kvmviz {kvmviz.__version__}\n"


def test_the_console_script_is_this_program() -> None:
    import tomllib

    root = Path(kvmviz.__file__).parent.parent
    scripts = tomllib.loads((root / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"kvmviz": "kvmviz.__main__:main"}


def test_colour_is_for_terminals_and_can_be_switched(tmp_path: Path) -> None:
    (tmp_path / "o.h").write_text(OLD_H)
    (tmp_path / "w.h").write_text(WIDE_H)
    arguments = ("compare", "o.h", "w.h")
    plain = program(*arguments, cwd=tmp_path).stdout
    assert "\x1b" not in plain
    forced = program(*arguments, cwd=tmp_path, env={"FORCE_COLOR": "1"}).stdout
    assert "\x1b[1;31mBREAKS\x1b[0m" in forced
    assert re.sub(r"\x1b\[[\d;]*m", "", forced) == plain
    off = program(*arguments, cwd=tmp_path, env={"FORCE_COLOR": "1", "NO_COLOR": "1"}).stdout
    assert off == plain


DIGITS = 5000 * "9"
ONE_LINE = r"kvmviz: error: [^\n]+\n"
NO_NUMBER = "kvmviz: error: argument --offset: '%s' is no number of bytes; .*\n"
NO_FILE = "kvmviz: error: %s: No such file or directory\n"
FULL = "kvmviz: error: No space left on device\n"


@pytest.mark.parametrize(
    ("line", "status", "error"),
    [
        ("layout o.h >&-", 2, "kvmviz: error: standard output is closed\n"),
        ("--help >&-", 2, "kvmviz: error: standard output is closed\n"),
        ("layout o.h >&- 2>&-", 2, ""),
        ("layout - <&-", 2, "kvmviz: error: <stdin>: standard input is closed\n"),
        ("decode - --struct mmio <&-", 2, "kvmviz: error: <stdin>: standard input is closed\n"),
        ("figure layout o.h -o a.svg <&- 2>&-", 0, ""),
        ("layout none.h 2>&-", 2, ""),
        ("layout none.h 2>/dev/full", 2, ""),
        ("layout --frob 2>/dev/full", 2, ""),
        ("layout o.h >/dev/full", 2, FULL),
        ("--help >/dev/full", 2, FULL),
        ("layout o.h >/dev/full 2>/dev/full", 2, ""),
        ("layout o.h 1</dev/null", 2, "kvmviz: error: Bad file descriptor\n"),
        ("layout \"$(printf '\\377')\"", 2, NO_FILE % r"\\udcff"),
    ],
)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_streams_that_are_closed_or_full(
    tmp_path: Path, line: str, status: int, error: str, unbuffered: str
) -> None:
    (tmp_path / "o.h").write_text(OLD_H)
    done = shell(line, tmp_path, PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == status, done.stderr
    assert re.fullmatch(error, done.stderr), done.stderr
    assert not done.stdout


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["decode", "00", "--struct", "mmio", "--offset", "0x" + DIGITS], NO_NUMBER % "0x9{18}"),
        (["decode", "00", "--struct", "mmio", "--offset", DIGITS], NO_NUMBER % "9{20}"),
        (["decode", "00", "--struct", "mmio", "--offset", 20 * "9"], ONE_LINE),
        (["decode", "00", "--struct", "mmio", "--offset", "-1"], ONE_LINE),
        (["decode", "zz\x1b", "--struct", "mmio"], r".*'zz\\x1b': no such file, and as hex: .*\n"),
        (["layout", "a\x1b[31m\x07"], NO_FILE % r"a\\x1b\[31m\\x07"),
        (["layout", "old.h", "--\x1b[31m"], r".*--\\x1b\[31m.*\n"),
        (["layout", "old.h", "--include", "\x1b=none.h"], ONE_LINE),
        (["layout", "old.h", "--struct", "\x1b]0;owned\x07"], r".*\\x1b\]0;owned\\x07.*\n"),
        (["layout", "escapes.h"], r".*\\x1b\]0;owned\\x07\\x1b\[2J\\u202e.*\n"),
        (["layout", "old.h", "--abi", 9 * DIGITS], r"kvmviz: error: .{,4100}\n"),
        ([9 * DIGITS], r"kvmviz: error: .{,4100}\n"),
        (["layout", 9 * DIGITS], r"kvmviz: error: .{,4100}\n"),
        (["figure", "layout", "old.h", "-o", "nowhere/a.svg"], NO_FILE % "save: 'nowhere/a.svg'"),
        (["figure", "layout", "old.h", "-o", "."], ONE_LINE),
        (["figure", "layout", "old.h", "-o", ""], ONE_LINE),
    ],
)  # fmt: skip
def test_hostile_words(run: Run, arguments: list[str], error: str) -> None:
    escapes = '#error "\x1b]0;owned\x07\x1b[2J\u202e"\nstruct s { int a; };\n'
    Path("escapes.h").write_text(escapes, "utf-8")
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert re.fullmatch(error, err), err


def test_what_a_header_says_is_printed_escaped(run: Run) -> None:
    text = "#ifdef __x86_64__\nstruct s { int a; };\n#else\n#include <\x1b[2J.h>\n#endif\n"
    Path("s.h").write_text(text + "struct t { int a; };")
    out = run("layout", "s.h", "--struct", "s", "--abi", "x86_64", "--abi", "arm")[1]
    assert "struct s on arm: not there: " in out
    assert all(c.isprintable() or c == "\n" for c in out)


def shell(line: str, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """A command line with its redirections."""
    environment = os.environ | {"PYTHONPATH": str(Path(kvmviz.__file__).parent.parent)} | more
    return subprocess.run(
        ["sh", "-c", f'"$0" -m kvmviz {line}', sys.executable], cwd=folder, env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("more", [{"LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"}])
def test_json_is_json_whatever_the_locale(tmp_path: Path, more: dict[str, str]) -> None:
    text = "#ifdef __x86_64__\nstruct s { int a; };\n#else\n#include <é.h>\nstruct s { foo a; };\n"
    (tmp_path / "s.h").write_text(text + "#endif\n", "utf-8")
    line = "layout s.h --struct s --abi x86_64 --abi arm --json"
    record = json.loads(shell(line, tmp_path, **more).stdout)
    assert record["layouts"][0]["struct"] == "struct s"
    assert "é.h" in record["missing"][0]["why"]


@pytest.mark.parametrize(
    "line",
    [
        "layout in.svg -o in.svg",
        "layout in.svg -o ./x/../in.svg",
        "layout in.svg -o soft.svg",
        "layout soft.svg -o in.svg",
        "layout in.svg -o hard.svg",
        "layout - -o in.svg < in.svg",
        "layout o.h --include in.svg -o in.svg",
        "layout o.h --include a.h=in.svg -o in.svg",
        "compare in.svg o.h -o in.svg",
        "compare o.h in.svg -o in.svg",
        "layout o.h -o in.svg",  # what is no input may be somebody's work, too
        "layout o.h -o domain.svg",
    ],
)
def test_output_onto_what_is_no_picture_is_refused(tmp_path: Path, line: str) -> None:
    for name in ("o.h", "in.svg"):
        (tmp_path / name).write_text(OLD_H)
    (tmp_path / "domain.svg").write_text("<?xml version='1.0'?>\n<domain type='kvm'/>")
    (tmp_path / "x").mkdir()
    (tmp_path / "soft.svg").symlink_to("in.svg")
    (tmp_path / "hard.svg").hardlink_to(tmp_path / "in.svg")
    done = shell(f"figure {line}", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    output = line.partition("-o ")[2].split()[0]
    told = f"kvmviz: error: {output} holds no picture; it is not overwritten\n"
    assert done.stderr == told
    assert (tmp_path / "in.svg").read_text() == OLD_H


@pytest.mark.parametrize("name", ["a.svg", "a.png", "a.pdf"])
def test_a_picture_takes_the_place_of_a_picture_and_of_nothing(
    run: Run, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).touch()
    for line in (("old.h",), ("wide.h", "--abi", "i386")):
        assert run("figure", "layout", *line, "-o", name) == (0, "", "")
    assert run("figure", "layout", "wide.h", "--abi", "i386", "-o", f"again{name}") == (0, "", "")
    assert (tmp_path / name).read_bytes() == (tmp_path / f"again{name}").read_bytes()


@pytest.mark.parametrize(
    "module", ["argparse", "json", "kvmviz.cli", "kvmviz.abi", "kvmviz.cli.inputs", "matplotlib"]
)
def test_an_interrupt_while_modules_load_is_quiet(tmp_path: Path, module: str) -> None:
    """Importing that module is when the signal comes."""
    (tmp_path / "o.h").write_text(OLD_H)
    code = f"""
import os, runpy, signal, sys
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv[1:] = ["figure", "layout", "o.h", "-o", "a.svg"]
runpy.run_module("kvmviz", run_name="__main__")
"""
    environment = os.environ | {"PYTHONPATH": str(Path(kvmviz.__file__).parent.parent)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment,
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
    assert not (tmp_path / "a.svg").exists()


def test_a_fault_of_the_program_is_no_verdict(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Status 1 would say that the change breaks readers."""
    monkeypatch.setattr("kvmviz.cli.commands.review_all", lambda *_: 1 // 0)
    status, out, err = run("compare", "old.h", "wide.h")
    assert (status, out) == (2, "")
    assert "ZeroDivisionError" in err


def test_a_closed_pipe_is_quiet(tmp_path: Path) -> None:
    (tmp_path / "o.h").write_text(OLD_H * 1)
    members = " ".join(f"int m{n};" for n in range(3000))
    (tmp_path / "o.h").write_text(f"struct s {{ {members} }};")
    root = str(Path(kvmviz.__file__).parent.parent)
    with subprocess.Popen(
        [sys.executable, "-m", "kvmviz", "layout", "o.h"], cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": root}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as running:  # fmt: skip
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.readline()
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait() == 141


def test_an_interrupt_is_quiet(tmp_path: Path) -> None:
    root = str(Path(kvmviz.__file__).parent.parent)
    # It waits for standard input, which never ends.
    code = (
        "import sys, signal; from kvmviz.__main__ import main; "
        "signal.signal(signal.SIGINT, signal.default_int_handler); "
        "print('up', flush=True); sys.exit(main(['layout', '-']))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": root},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as running:  # fmt: skip
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline() == b"up\n"
        import time

        time.sleep(0.5)
        running.send_signal(signal.SIGINT)
        assert running.wait() == 130
        assert running.stderr.read() == b""


def test_output_of_a_terminal_that_knows_ascii_only(tmp_path: Path) -> None:
    (tmp_path / "o.h").write_text("struct s { int a; }; // é", encoding="utf-8")
    done = program("layout", "o.h", cwd=tmp_path, env={"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")


def test_the_headers_of_the_story_are_the_structs_of_the_package(run: Run) -> None:
    for text, struct in ((OLD_H, OLD), (WIDE_H, WIDENED), (HIGH_H, MERGED)):
        assert kvmviz.parse(text)["kvm_debug_exit_arch"] == struct
        assert kvmviz.parse(c_text(struct) + ";")["kvm_debug_exit_arch"] == struct


# --- the README's gate -----------------------------------------------------------------------


def gate() -> dict[str, Any]:
    """The step of the README's workflow that compares."""
    text = (Path(kvmviz.__file__).parent.parent / "README.md").read_text("utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    workflow = yaml.safe_load(block)
    (job,) = workflow["jobs"].values()
    step: dict[str, Any] = job["steps"][-1]
    return step


@pytest.mark.parametrize(
    ("new", "regs", "main", "status"),
    [
        (WIDE_H, 31, "main", 1),
        (HIGH_H, 31, "main", 0),
        (OLD_H, 30, "main", 1),  # in what it includes
        ("struct {", 31, "main", 2),
        (WIDE_H, 31, "no-such-branch", 128),  # git's; a gate that compares nothing must not pass
        (Path("/etc/passwd"), 31, "main", 2),  # a symbolic link is read as the name that it holds
    ],
)
def test_the_gate_of_the_readme(
    tmp_path: Path, new: str | Path, regs: int, main: str, status: int
) -> None:
    step = gate()
    if shutil.which("git") is None or shutil.which("bash") is None:
        pytest.skip("no git or no bash here")
    assert step["shell"] == "bash"
    header = tmp_path / step["env"]["HEADER"]
    header.parent.mkdir(parents=True)
    needs = "#include <asm/ptrace.h>\nstruct kvm_regs { struct user_pt_regs regs; };\n"
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "kvmviz").write_text(f'#!/bin/sh\nexec {sys.executable} -m kvmviz "$@"\n')
    (tools / "kvmviz").chmod(0o755)
    user = ["-c", "user.name=t", "-c", "user.email=t@example.org"]

    def git(*arguments: str) -> None:
        subprocess.run(["git", *user, *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-q", "-b", "change")
    for text, count in ((OLD_H, 31), (new, regs)):
        (tmp_path / step["env"]["NEEDS"]).write_text(
            f"struct user_pt_regs {{ __u64 regs[{count}]; }};\n"
        )
        header.unlink(missing_ok=True)
        if isinstance(text, str):
            header.write_text(needs + text)
        else:
            header.symlink_to(text)
        git("add", "arch")
        git("commit", "-qm", "header")
    git("update-ref", "refs/remotes/origin/main", "HEAD~")
    environment = os.environ | {
        "BASE": step["env"]["BASE"].replace("${{ github.base_ref }}", main),
        "HEADER": step["env"]["HEADER"],
        "NEEDS": step["env"]["NEEDS"],
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
        "GITHUB_WORKSPACE": str(tmp_path),
        "RUNNER_TEMP": str(tools),
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(Path(kvmviz.__file__).parent.parent),
    }
    # As GitHub runs a step whose shell is bash.
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert done.returncode == status, done.stderr
    assert "root:" not in done.stderr
    told = tmp_path / "summary"
    assert (told.read_text() if told.exists() else "") == done.stdout
    assert bool(done.stdout) == (status < 2)
    if done.stdout:
        first, *_, last, end = done.stdout.split("\n")
        assert (first, last, end) == ("```text", "```", "")

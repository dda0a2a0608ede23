"""Grades: only what is safe is right, and a wrong answer is told why."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvmviz import ABIS, parse
from kvmviz.learn.exercises import BUFFER, BUFFER_BAD, CONTROL, EPOLL, EXERCISES, MEM, WATCH
from kvmviz.learn.grading import safe
from kvmviz.review import review
from tests.strategies import c_text, changed, steady

SAFE = [
    ("sixteen", WATCH.replace("flags;\n", "flags;\n__u16 a;\n__u16 b;\n")),
    ("sixteen", WATCH.replace("flags;\n", "flags;\n__u8 pad[2];\n__s16 extra;\n")),
    ("sixteen", WATCH.replace("flags;\n", "flags;\n__be16 extra;\n")),
    ("repair", BUFFER.replace("kind;\n", "kind;\n__u8 pad[3];\n__u32 more;\n")),
    ("repair", BUFFER.replace("kind;\n", "kind;\n__u8 a;\n__u16 b;\n__u32 c;\n")),
    ("epoll", EPOLL.replace("data;", "data __attribute__((packed));")),
    ("epoll", f"#pragma pack(4)\n{EPOLL}"),
    ("pad", CONTROL.replace("    char __pad3[4];\n", "")),
    ("pad", CONTROL.replace("__pad2[4]", "__pad2[0]")),
    ("hole", "1 2 3 10..15 25-31"),
    ("i386", "offset of far before: 4\noffset of far after: 0x8\nalign: 4\nfar: Foreign"),
    ("event", "m68k, i386"),
    ("leak", "0x24"),
    *(("leak", answer) for answer in ("36 bytes", "36.", "+36", "bytes: 36")),
    *(("i386", answer) for answer in (
        "4, 8, 4, foreign", "4 8 4 FOREIGN.", "4 bytes\n8 bytes\n4 bytes\nforeign",
        "\n4\n\n8\n4\n foreign \n")),
    *(("event", answer) for answer in ("i386 and m68k", "I386, M68K", "m68k i386.")),
    *(("hole", answer) for answer in (
        "bytes 1..3, bytes 10..15, bytes 25..31", "1\u20133, 10 - 15 and 25..31.",
        "1...3; 10-15\n25..31")),
    *(("sixteen", WATCH.replace("flags;\n", f"flags;\n{member}\n")) for member in (
        "__u32 extra : 16;", "__u16 extra : 16;", "struct { __u16 extra; };", "__u16 extra[1];",
        "struct { __u16 extra; } more;")),
    *(("repair", BUFFER.replace("kind;\n", f"kind;\n{member}\n")) for member in (
        "__u16 a; __u16 b;", "__u32 high : 32;", "union { __u32 a; __u32 b; } high;")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "answer"), SAFE)
def test_whatever_is_safe_is_right(name: str, answer: str) -> None:
    grade = EXERCISES[name].judge(answer)
    assert grade.right, grade


WRONG = [
    ("sixteen", WATCH.replace("id;\n", "id;\n__u16 x;\n"),
     ["on i386, address: moves from offset 4 to offset 8", "bytes 4..5"]),
    ("sixteen", WATCH.replace("length;\n", "length;\n__u16 x;\n"), ["flags"]),
    ("sixteen", WATCH.replace("__u32 id;", "union { __u32 id; __u16 x; };"),
     ["on little-endian, x: added to a union, bytes 0..1", "finds id[15:0]"]),
    ("sixteen", WATCH.replace("    __u32 id;\n", "__u32 x;\n"),
     ["on all 14 ABIs, x: a new name of id; "]),
    ("sixteen", WATCH.replace("flags;\n", "flags;\n__u32 x;\n"),
     ["no new integer has 16 bits: x has 32"]),
    ("sixteen", WATCH.replace("flags;\n", "flags;\n__u8 x[2];\n"),
     ["no new integer has 16 bits: x has 8"]),
    ("sixteen", WATCH.replace("__u32 id", "float id"),
     ["on all 14 ABIs, id: type __u32 becomes float"]),
    ("sixteen", WATCH.replace("flags;\n", "flags;\n__u8 x[5000];\n"), ["has 5032 bytes"]),
    ("sixteen", WATCH.replace("flags;\n", "flags;\n__u32 x;\n__u16 y;\n"), ["sizeof", "32"]),
    ("sixteen", WATCH.replace("flags;\n", "flags\n"), ["line 5", "^"]),
    ("repair", BUFFER, ["on aarch64, new integers wider than a byte hold 0 bits; 32 are needed"]),
    *(("repair", BUFFER.replace("kind;\n", f"kind;\n{member}\n"), [f"hold {bits} bits"])
      for member, bits in (
          ("union { __u16 a; __u16 b; } high;", 16), ("__u8 pad[4];", 0),
          ("char a; char b; char c; char d;", 0), ("float high;", 0))),
    ("repair", BUFFER.replace("kind;\n", "kind;\n__u16 more;\n"), ["16 bits; 32 are needed"]),
    ("repair", BUFFER.replace("length;\n", "length;\n__u32 more;\n"), ["flags", "bytes 12..15"]),
    ("epoll", EPOLL.replace("__u64", "__u32"), ["8 on x86_64", "12 bytes on i386"]),
    ("epoll", EPOLL.replace("    __u32 events;\n", ""), ["events: gone"]),
    ("mem", MEM.replace("mem_op:5,", "mem_op:4,"), ["mem_op holds bits 63:60 of val"]),
    ("mem", MEM.replace("mem_lock:2,", ""), ["mem_"]),
    ("mem", EXERCISES["mem"].solution.replace("__u64 val", "__u32 val"), ["val is "]),
    ("mem", EXERCISES["mem"].solution.replace("__u64 val", "double val"), ["val: type __u64 be"]),
    ("mem", MEM.replace("mem_op:5,", "mem_op;\nunion { __u64 x; };\n__u64"), ["mem_op"]),
    ("mem", MEM.replace("__u64 val;", ""), ["val: gone; programs use it"]),
    ("epoll", EPOLL.replace("__u64", "double"), ["data: type __u64 becomes double"]),
    ("epoll", EPOLL.replace("__u32", "float"), ["events: type __u32 becomes float"]),
    ("pad", CONTROL.replace("unsigned long appl_ptr", "double appl_ptr"),
     ["appl_ptr: type unsigned long becomes double"]),
    ("pad", CONTROL.replace("    char __pad1[4];\n", ""), ["appl_ptr", "armeb", "bytes 0..3"]),
    *(("epoll", f"#pragma pack(4)\n{EPOLL.replace(old, new)}", [f"{old[6:-1]}: narrowed from"])
      for old, new in (
        ("__u64 data;", "__u32 data; __u32 d;"), ("__u64 data;", "__u8 data; __u8 d[7];"),
        ("__u64 data;", "union { __u32 data; __u8 d[8]; };"),
        ("__u64 data;", "__u64 data : 40; __u64 d : 24;"),
        ("__u32 events;", "__u16 events; __u16 x;"), ("__u32 events;", "__u32 events : 31;"))),
    *(("pad", CONTROL.replace("    char __pad3[4];\n", "").replace(
        f"char {pad}[4];\n    unsigned long {name}", f"char {pad}[7];\n    unsigned char {name}"),
       [f"{name}: narrowed from 32 to 8 bits"])
      for pad, name in (("__pad1", "appl_ptr"), ("__pad2", "avail_min"))),
    ("hole", "1..3 10..15 25..30", ["free, and 1 more byte."]),
    ("hole", "4..7", ["on aarch64, byte 4 belongs to id (bytes 4..7)"]),
    ("hole", "1..3", ["13 more bytes"]),
    ("hole", "40", ["bytes 0..31 on aarch64"]),
    ("hole", "lots", ["'lots' is no offset"]),
    ("hole", "3..1", ["3..1 runs backwards; write 1..3"]),
    ("hole", "-1", ["'-1' is no offset"]),
    ("i386", "8 8 4 foreign", ["offset of far before: on i386 it is not 8"]),
    ("i386", "4 8", ["alignment of __u64: no answer yet"]),
    ("i386", "4 8 4 foreign 1", ["5 answers to 4 questions"]),
    ("event", "i386", ["one ABI more loses flags"]),
    ("event", "i386 m68k arm", ["on arm, flags is at offset 8 before and after: intact"]),
    ("event", "vax", ["unknown ABI 'vax'; legal are aarch64"]),
    ("leak", "40", ["bytes: on x86_64 it is not 40"]),
    ("leak", "-36", ["it is not -36"]),
    *(("leak", answer, [f"bytes: '{answer}' is no number; write a number of bytes, as in 4"])
      for answer in ("thirty-six", "3.6", "u36", "It is 36 bytes.")),
    ("i386", "four\n8\n4\nforeign",
     ["offset of far before: 'four' is no number; write a number of bytes, as in 4"]),
    ("i386", "4 8 4 lost",
     ["'lost' is no status; write intact, moved, foreign or unwritten"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "answer", "words"), WRONG)
def test_a_wrong_answer_is_told_abi_member_and_bytes(
    name: str, answer: str, words: list[str]
) -> None:
    grade = EXERCISES[name].judge(answer)
    assert not grade.right
    for word in words:
        assert word in grade.feedback
    assert "Remedy" not in grade.feedback


def test_a_break_is_told_of_what_programs_read_first() -> None:
    grade = EXERCISES["sixteen"].judge(WATCH.replace("id;\n", "id;\n__u16 x;\n"))
    assert grade.feedback.startswith(
        "it breaks: on i386, address: moves from offset 4 to offset 8; an old reader of a new "
        "writer finds what was there before in bytes 6..7 and x[15:0] in bytes 4..5 and "
    )
    assert grade.feedback.endswith(". 3 more findings.")
    grade = EXERCISES["repair"].judge(BUFFER_BAD)
    assert grade.feedback.startswith(
        "it breaks: on big-endian, length: widened from 32 to 64 bits; it moves flags from offset "
        "12 to offset 16; an old reader of a new writer finds length[63:32] in bytes 8..11; "
    )
    grade = EXERCISES["sixteen"].judge(WATCH.replace("flags;\n", "flags;\n__u32 x;\n__u16 y;\n"))
    assert grade.feedback.startswith("it breaks: on all 14 ABIs, sizeof 32 before, 40 after; ")


def test_what_still_needs_a_flag_is_told_of_the_widest_member_first() -> None:
    grade = EXERCISES["repair"].judge(
        BUFFER.replace("kind;\n", "kind;\n__u8 rest[3];\n__u32 length_high;\n")
    )
    _, first, second = grade.feedback.split("\n")
    assert first == (
        "Still: length_high: needs a validity flag: an old writer never writes bytes 20..23."
    )
    assert second.startswith("Still: rest: ")


@settings(steady, max_examples=60)
@given(data=st.data())
def test_right_is_what_the_review_finds_safe(data: st.DataObject) -> None:
    old = parse(WATCH)["watch"]
    new = data.draw(changed(old))
    grade = safe(c_text(new, "watch") + ";", WATCH, tuple(ABIS), lambda *_: "")
    found = review(old, new)
    taken = {"removed", "renamed", "replaced", "taken", "added-in-union"} & {
        row.kind for row in found.findings
    }
    retyped = [row for row in found.findings if row.kind == "retyped" and row.severity != "note"]
    assert grade.right is not (found.breaks or bool(taken) or bool(retyped))

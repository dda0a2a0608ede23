"""Exercises: they can be solved, only what is safe is right, and a wrong answer is told why."""

import base64
import html
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvmviz import ABIS, KvmvizError, parse
from kvmviz.learn.exercises import (
    BUFFER,
    BUFFER_BAD,
    CLOCK,
    CONTROL,
    CONTROL_64,
    DEBUG,
    DEBUG_HIGH,
    EPOLL,
    EVENT,
    EVENT_NDATA,
    EXERCISES,
    JOB,
    MEM,
    WATCH,
)
from kvmviz.learn.grading import keeps, safe
from kvmviz.learn.session import Session
from kvmviz.review import review
from kvmviz.verdict import compare
from kvmviz.widgets.desk import Desk, Scores
from tests import compilers
from tests.strategies import c_text, changed, steady

NAMES = tuple(EXERCISES)


@pytest.fixture
def session() -> Session:
    return Session()


@pytest.mark.parametrize("name", NAMES)
class TestExercise:
    def test_its_solution_is_right_and_its_start_is_not(self, name: str) -> None:
        row = EXERCISES[name]
        assert row.judge(row.solution).right
        assert not row.judge(row.start).right

    def test_hints_come_one_at_a_time_and_the_last_stays(self, name: str, session: Session) -> None:
        hints = EXERCISES[name].hints
        assert len(hints) >= 2
        assert [session.hint(name) for _ in range(len(hints) + 1)] == [
            f"Hint {min(n, len(hints))} of {len(hints)}: {hints[min(n, len(hints)) - 1]}"
            for n in range(1, len(hints) + 2)
        ]

    def test_neither_hint_nor_feedback_holds_the_answer(self, name: str) -> None:
        row = EXERCISES[name]
        told = " ".join(
            (row.task, *row.hints, row.judge(row.start).feedback, row.judge("7").feedback)
        )
        assert _spaceless(row.solution) not in _spaceless(told)

    def test_nonsense_is_told_and_never_raises(self, name: str) -> None:
        for answer in ("?", "struct {", "struct a { int x[1000000]; };", "\0", "-1", "9" * 400):
            grade = EXERCISES[name].judge(answer)
            assert not grade.right
            assert grade.feedback


def _spaceless(text: str) -> str:
    return re.sub(r"\s+", "", text)


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
    ("hole", "+25..+31, +1..+3, +10..+15"),
    ("i386", "offset of far before: 4\noffset of far after: 0x8\nalign: 4\nfar: Foreign"),
    ("event", "m68k, i386"),
    ("leak", "0x24"),
    *(("leak", answer) for answer in ("36 bytes", "36.", "It is 36 bytes.", "bytes: 36")),
    *(("i386", answer) for answer in (
        "4, 8, 4, foreign", "4 8 4 FOREIGN.", "4 bytes\n8 bytes\n4 bytes\nforeign",
        "4\n8\n4\nforeign (it takes hsr_high for far)", "4\n8\n4\nforeign: not intact",
        "4, 8, 4, foreign (it takes hsr_high, and half)", "before 4, after 8, align 4, foreign")),
    *(("event", answer) for answer in ("i386 and m68k", "I386, M68K", "on m68k, i386.")),
    *(("hole", answer) for answer in (
        "bytes 1..3, bytes 10..15, bytes 25..31", "1\u20133, 10 - 15 and 25 to 31.",
        "1...3; 10\u201415; 25\u221231")),
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
     ["On i386, address: moves from offset 4 to offset 8", "m68k", "bytes 4..5"]),
    ("sixteen", WATCH.replace("length;\n", "length;\n__u16 x;\n"), ["flags"]),
    ("sixteen", WATCH.replace("__u32 id;", "union { __u32 id; __u16 x; };"),
     ["on aarch64, x shares byte 0 with id"]),
    ("sixteen", WATCH.replace("    __u32 id;\n", "__u32 x;\n"), ["id: gone on aarch64"]),
    ("sixteen", WATCH.replace("flags;\n", "flags;\n__u32 x;\n"),
     ["no new integer has 16 bits: x has 32"]),
    ("sixteen", WATCH.replace("flags;\n", "flags;\n__u8 x[2];\n"),
     ["no new integer has 16 bits: x has 8"]),
    ("sixteen", WATCH.replace("__u32 id", "float id"),
     ["id was an integer and is floating point on aarch64"]),
    ("sixteen", WATCH.replace("flags;\n", "flags;\n__u8 x[5000];\n"), ["line 1, column 1", "^"]),
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
    ("mem", MEM.replace("__u64 val;", ""), ["val is gone; programs read it"]),
    ("epoll", EPOLL.replace("__u64", "double"), ["data was an integer and is floating point"]),
    ("epoll", EPOLL.replace("__u32", "float"), ["events was an integer"]),
    ("pad", CONTROL.replace("unsigned long appl_ptr", "double appl_ptr"), ["appl_ptr was an int"]),
    ("pad", CONTROL.replace("    char __pad1[4];\n", ""), ["appl_ptr", "armeb", "bytes 0..3"]),
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
    ("event", "vax", ["'vax' is no ABI"]),
    ("leak", "40", ["bytes: on x86_64 it is not 40"]),
    ("leak", "-36", ["it is not -36"]),
    *(("leak", answer, [f"bytes: '{answer}' is no number; write a number of bytes, as in 4"])
      for answer in ("thirty-six", "3.6", "u36")),
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


def test_a_break_is_told_in_two_lines() -> None:
    grade = EXERCISES["sixteen"].judge(WATCH.replace("id;\n", "id;\n__u16 x;\n"))
    assert grade.feedback == (
        "it breaks.\nOn i386, address: moves from offset 4 to offset 8; an old program finds "
        "x[15:0] in bytes 4..5. Likewise on m68k; 1 more finding."
    )
    grade = EXERCISES["repair"].judge(BUFFER_BAD)
    assert grade.feedback == (
        "it breaks.\nOn aarch64_be, length: widened from 32 to 64 bits; an old program finds "
        "length[63:32] in bytes 8..11. Likewise on s390x; 2 more findings."
    )
    grade = EXERCISES["sixteen"].judge(WATCH.replace("flags;\n", "flags;\n__u32 x;\n__u16 y;\n"))
    assert grade.feedback.startswith("it breaks.\nOn aarch64, sizeof 32 before, 40 after. Likewise")


def test_what_still_needs_a_flag_is_told_of_the_widest_member_first() -> None:
    grade = EXERCISES["repair"].judge(
        BUFFER.replace("kind;\n", "kind;\n__u8 pad[3];\n__u32 length_high;\n")
    )
    _, first, second = grade.feedback.split("\n")
    assert first == (
        "Still: length_high: needs a validity flag: an old writer never writes bytes 20..23."
    )
    assert second.startswith("Still: pad: ")


@settings(steady, max_examples=60)
@given(data=st.data())
def test_right_is_what_the_review_finds_safe(data: st.DataObject) -> None:
    old = parse(WATCH)["watch"]
    new = data.draw(changed(old))
    grade = safe(WATCH, tuple(ABIS), lambda *_: "")(c_text(new, "watch") + ";")
    unsafe = review(old, new).breaks or bool(keeps(old, new, tuple(ABIS)))
    assert grade.right is not unsafe


class TestSession:
    def test_solving_scores_once(self, session: Session) -> None:
        for _ in range(2):
            session.answer("leak", "36")
        assert session.score == "1 of 9 solved, 0 hints taken"
        assert session.state("leak") == "solved"

    def test_what_is_revealed_does_not_count(self, session: Session) -> None:
        assert EXERCISES["leak"].solution in session.reveal("leak")
        assert session.answer("leak", "36").right
        assert session.score == "0 of 9 solved, 0 hints taken"
        assert session.state("leak") == "revealed"

    def test_solved_stays_solved_when_revealed(self, session: Session) -> None:
        session.answer("leak", "36")
        session.reveal("leak")
        assert session.state("leak") == "solved"

    def test_reset_forgets_everything(self, session: Session) -> None:
        start = repr(session)
        session.answer("leak", "36")
        session.hint("hole")
        session.reveal("pad")
        assert repr(session) != start
        session.reset()
        assert repr(session) == start

    def test_one_exercise_begins_anew(self, session: Session) -> None:
        session.answer("leak", "36")
        start = repr(session)
        session.answer("hole", EXERCISES["hole"].solution)
        session.hint("hole")
        session.reveal("hole")
        session.restart("hole")
        assert repr(session) == start

    @pytest.mark.parametrize("name", NAMES)
    def test_who_solves_an_exercise_is_told_why(self, name: str, session: Session) -> None:
        row = EXERCISES[name]
        assert row.why in session.answer(name, row.solution).feedback
        assert row.why not in session.answer(name, row.start or "?").feedback

    def test_an_empty_answer_is_no_answer(self, session: Session) -> None:
        assert repr(session.answer("leak", "  \n")) == "✗ not yet: no answer yet."

    @pytest.mark.parametrize(
        ("name", "answer", "message"),
        [("no", "1", "no exercise 'no'; there are hole"), ("leak", 36, "is text, not int")],
    )
    def test_bad_calls_are_errors(
        self, session: Session, name: str, answer: Any, message: str
    ) -> None:
        with pytest.raises(KvmvizError, match=message):
            session.answer(name, answer)


class TestDesk:
    def press(self, desk: Desk, name: str) -> None:
        row = desk.box.children[0].children[1].children[1]
        next(b for b in row.children if getattr(b, "description", "") == name).click()

    def test_the_buttons_grade_hint_reveal_and_reset(self) -> None:
        desk = Desk("sixteen")
        desk.answer = WATCH.replace("id;\n", "id;\n__u16 x;\n")
        self.press(desk, "Check")
        assert desk.said.startswith("✗ not yet: it breaks.\nOn i386")
        assert "class='wrong'" in desk._said.value
        assert desk.picture
        assert html.escape(desk.picture.text, quote=True) in desk._view.value
        assert "i386 (little-endian)" in repr(desk)
        feedback, view = desk.said, desk._view.value
        for number in (1, 2):
            self.press(desk, "Hint")
            hints = EXERCISES["sixteen"].hints[:number]
            assert desk.said.startswith(feedback)
            assert re.findall(r"Hint \d of 3: (.*)", desk.said) == list(hints)
            assert all(html.escape(hint) in desk._said.value for hint in hints)
            assert desk._view.value == view
        desk.answer = EXERCISES["sixteen"].solution
        self.press(desk, "Check")
        assert "class='right'" in desk._said.value
        assert EXERCISES["sixteen"].why in desk.said
        assert "solved · 1 of 9 solved, 2 hints taken" in desk._score.value
        self.press(desk, "Reveal")
        assert "__aligned_u64" in desk.said
        self.press(desk, "Start over")
        assert (desk.answer, desk.said) == (WATCH, "")
        assert "open · 0 of 9 solved, 0 hints taken" in desk._score.value

    def test_desks_share_a_session(self) -> None:
        session = Session()
        first, second = Desk("hole", session), Desk("leak", session)
        second.answer = "36"
        second.check()
        assert "1 of 9 solved" in first._score.value
        first.restart()
        assert "solved · 1 of 9 solved" in second._score.value
        assert second.said

    def test_to_reset_all_clears_what_every_desk_says(self) -> None:
        session = Session()
        first, second, scores = Desk("hole", session), Desk("leak", session), Scores(session)
        second.answer = "36"
        second.check()
        first.hint()
        assert "solved" in scores.box.value
        self.press(first, "Reset all")
        assert (first.said, second.said) == ("", "")
        assert "open · 0 of 9 solved, 0 hints taken" in second._score.value
        assert second.answer == "36"  # nobody's typing is taken away
        assert html.unescape(re.sub("<[^>]*>", "", scores.box.value)) == repr(session)
        assert scores._repr_mimebundle_()[0]["text/plain"] == repr(session)

    def test_without_a_name_all_exercises_are_there(self) -> None:
        desk = Desk()
        desk._choice.value = "leak"
        assert desk.exercise.name == "leak"
        assert "kvm_clock_data" in desk._task.value
        with pytest.raises(KvmvizError, match="no exercise 'x'"):
            desk.choose("x")

    def test_what_is_typed_is_text_not_markup(self) -> None:
        desk = Desk("event")
        desk.answer = "<img>"
        desk.check()
        assert "<img" not in desk._said.value

    def test_a_viewer_gets_the_words_and_a_picture_if_there_is_one(self) -> None:
        desk = Desk("leak")
        assert "image/png" not in desk._repr_mimebundle_()[0]
        desk.choose("hole")
        desk.answer = EXERCISES["hole"].solution
        desk.check()
        bundle, about = desk._repr_mimebundle_()
        assert bundle["text/plain"] == repr(desk)
        assert desk.picture
        assert about["image/png"]["alt"] == desk.picture.text
        assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")


# What the exercises and the notebook say of real structs, held against compilers.

ALSA = """
typedef unsigned long snd_pcm_uframes_t;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
typedef char __pad_before_uframe[sizeof(__u64) - sizeof(snd_pcm_uframes_t)];
typedef char __pad_after_uframe[0];
#else
typedef char __pad_before_uframe[0];
typedef char __pad_after_uframe[sizeof(__u64) - sizeof(snd_pcm_uframes_t)];
#endif
struct __snd_pcm_mmap_control64 {
    __pad_before_uframe __pad1;
    snd_pcm_uframes_t appl_ptr;
    __pad_before_uframe __pad2;
    __pad_before_uframe __pad3;
    snd_pcm_uframes_t avail_min;
    __pad_after_uframe __pad4;
};
"""
NUMBERS = ("appl_ptr", "avail_min")


def measured(abi: str, text: str, name: str, *members: str) -> compilers.Measured:
    prelude = "typedef __u64 __aligned_u64 __attribute__((aligned(8)));\n" + text
    return compilers.measure(abi, prelude, [(name, members)])[name]


@pytest.mark.parametrize("abi", compilers.every_abi())
def test_compilers_agree_about_the_structs_and_the_answers(abi: str) -> None:
    solution = EXERCISES["sixteen"].solution
    before, after = (
        measured(abi, text, "struct watch", "id", "address", "length", "flags")
        for text in (WATCH, solution)
    )
    assert before == after
    lost = measured(abi, EVENT, "struct system_event", "flags").offsets != (
        measured(abi, EVENT_NDATA, "struct system_event", "flags").offsets
    )
    assert lost == (abi in EXERCISES["event"].solution.split())
    for text, name in ((EPOLL, "epoll_event"), (BUFFER, "buffer"), (CLOCK, "kvm_clock_data"),
                       (DEBUG, "kvm_debug_exit_arch"), (DEBUG_HIGH, "kvm_debug_exit_arch"),
                       (JOB, "job")):  # fmt: skip
        layout = parse(text)[name].layout(abi)
        found = measured(abi, text, f"struct {name}", *layout.offsets)
        assert (layout.size, layout.align, layout.offsets) == (
            found.size, found.align, dict(found.offsets),
        )  # fmt: skip


@pytest.mark.skipif("x86_64" not in compilers.targets(), reason="needs ziglang")
def test_epoll_event_is_12_bytes_on_x86_64_and_16_on_arm64() -> None:
    packed = EXERCISES["epoll"].solution
    assert measured("x86_64", packed, "struct epoll_event", "data") == (
        compilers.Measured(12, 1, {"data": 4})
    )
    assert measured("i386", EPOLL, "struct epoll_event", "data").size == 12
    assert measured("aarch64", EPOLL, "struct epoll_event", "data").size == 16


@pytest.mark.skipif("armeb" not in compilers.targets(), reason="needs ziglang")
@pytest.mark.parametrize(
    ("abi", "size", "offsets"),
    [
        ("aarch64", 16, (0, 8)),
        ("aarch64_be", 16, (0, 8)),
        ("arm", 12, (0, 4)),
        ("armeb", 20, (4, 16)),
    ],
)
def test_alsas_control_as_the_header_declares_it(
    abi: str, size: int, offsets: tuple[int, int]
) -> None:
    found = measured(abi, ALSA, "struct __snd_pcm_mmap_control64", *NUMBERS)
    assert (found.size, tuple(found.offsets.values())) == (size, offsets)
    read = parse(f"#include <endian.h>\n{ALSA}")["__snd_pcm_mmap_control64"].layout(abi)
    assert (read.size, *(read.offsets[name] for name in NUMBERS)) == (size, *offsets)
    if abi in ("armeb", "aarch64_be"):
        text = CONTROL if abi == "armeb" else CONTROL_64
        layout = parse(text)["__snd_pcm_mmap_control64"].layout(abi)
        assert (layout.size, *(layout.offsets[name] for name in NUMBERS)) == (size, *offsets)


@pytest.mark.skipif("aarch64_be" not in compilers.targets(), reason="needs ziglang")
@pytest.mark.parametrize(
    ("abi", "text", "held"),
    [
        ("aarch64", MEM, "1f00000000000000"),
        ("aarch64_be", MEM, "f800000000000000"),
        ("aarch64_be", EXERCISES["mem"].solution, "000000000000001f"),
    ],
)
def test_mem_op_as_compilers_place_it(abi: str, text: str, held: str) -> None:
    objects = [("union perf_mem_data_src", "{ .mem_op = 0x1f }")]
    image = compilers.probe(abi, text, [], objects).images[0]
    assert image.hex() == held
    layout = parse(text)["perf_mem_data_src"].layout(abi)
    assert bytes(layout.pack({"mem_op": 0x1F})).hex() == held


def test_the_program_finds_the_low_half_where_its_pad_is_on_the_right_side() -> None:
    kernel = parse(CONTROL_64)["__snd_pcm_mmap_control64"].layout("aarch64_be")
    program = parse(EXERCISES["pad"].solution)["__snd_pcm_mmap_control64"].layout("armeb")
    image = kernel.pack({"appl_ptr": 0x1111, "avail_min": 0x2222})
    assert [program.unpack(image)[name] for name in NUMBERS] == [0x1111, 0x2222]
    assert compare(kernel, program).fields["avail_min"] == "intact"

"""Exercises: they can be solved, no hint tells the answer, compilers agree; and the score."""

from __future__ import annotations

import re
from typing import Any

import pytest

from kvmviz import KvmvizError, parse
from kvmviz.learn.exercises import (
    BUFFER,
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
    Session,
)
from kvmviz.verdict import compare
from tests import compilers

NAMES = tuple(EXERCISES)


@pytest.mark.parametrize("name", NAMES)
class TestExercise:
    def test_its_solution_is_right_and_its_start_is_not(self, name: str) -> None:
        row = EXERCISES[name]
        assert row.judge(row.solution).right
        assert not row.judge(row.start).right

    def test_hints_come_one_at_a_time_and_the_last_stays(self, name: str) -> None:
        session, hints = Session(), EXERCISES[name].hints
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
        for odd in (None, 5, b"4", ["4"]):
            with pytest.raises(KvmvizError, match="an answer is text, not "):
                EXERCISES[name].judge(odd)  # type: ignore[arg-type]


def _spaceless(text: str) -> str:
    return re.sub(r"\s+", "", text)


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


# --- the session ----------------------------------------------------------------------------


@pytest.fixture
def session() -> Session:
    return Session()


def test_solving_scores_once(session: Session) -> None:
    for _ in range(2):
        session.answer("leak", "36")
    assert session.score == "1 of 9 solved, 0 hints taken"
    assert session.state("leak") == "solved"


def test_what_is_revealed_does_not_count(session: Session) -> None:
    assert EXERCISES["leak"].solution in session.reveal("leak")
    assert session.answer("leak", "36").right
    assert session.score == "0 of 9 solved, 0 hints taken"
    assert session.state("leak") == "revealed"


def test_solved_stays_solved_when_revealed(session: Session) -> None:
    session.answer("leak", "36")
    session.reveal("leak")
    assert session.state("leak") == "solved"


def test_reset_forgets_everything(session: Session) -> None:
    start = repr(session)
    session.answer("leak", "36")
    session.hint("hole")
    session.reveal("pad")
    assert repr(session) != start
    session.reset()
    assert repr(session) == start


def test_one_exercise_begins_anew(session: Session) -> None:
    session.answer("leak", "36")
    start = repr(session)
    session.answer("hole", EXERCISES["hole"].solution)
    session.hint("hole")
    session.reveal("hole")
    session.restart("hole")
    assert repr(session) == start


@pytest.mark.parametrize("name", EXERCISES)
def test_who_solves_an_exercise_is_told_why(name: str, session: Session) -> None:
    row = EXERCISES[name]
    assert row.why in session.answer(name, row.solution).feedback
    assert row.why not in session.answer(name, row.start or "?").feedback


def test_an_empty_answer_is_no_answer(session: Session) -> None:
    assert repr(session.answer("leak", "  \n")) == "✗ not yet: no answer yet."


@pytest.mark.parametrize(
    ("name", "answer", "message"),
    [("no", "1", "unknown exercise 'no'; legal are hole"), ("leak", 36, "is text, not int")],
)
def test_bad_calls_are_errors(session: Session, name: str, answer: Any, message: str) -> None:
    with pytest.raises(KvmvizError, match=message):
        session.answer(name, answer)


NO_NAMES: dict[str, Any] = {
    "None": None, "5": 5, "huge": 10**5000, "list": [], "dict": {}, "object": object(),
    "long": "x" * 10**6, "surrogate": "\ud800",
}  # fmt: skip
ANSWERS = {
    "digits": "9" * 5000, "numbers": "1 " * 10**4, "labels": "x: " * 10**4, "lines": "1\n" * 10**4,
    "ranges": "1..9" * 10**4,
    "escape": "\x1b[31m\0",
}  # fmt: skip


@pytest.mark.parametrize("name", NO_NAMES.values(), ids=NO_NAMES)
def test_an_exercise_that_is_none_is_one_bounded_error(session: Session, name: Any) -> None:
    before = repr(session)
    calls = (session.exercises.find, session.hint, session.hinted, session.reveal, session.restart,
             session.state, lambda name: session.answer(name, "1"))  # fmt: skip
    for call in calls:
        with pytest.raises(KvmvizError, match="unknown exercise ") as caught:
            call(name)
        assert len(str(caught.value)) < 400
    assert repr(session) == before


@pytest.mark.parametrize("name", EXERCISES)
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_a_hostile_answer_is_graded_in_bounded_words(name: str, answer: str) -> None:
    grade = Session().answer(name, answer)
    assert not grade.right
    assert len(grade.feedback) < 1500
    assert "\x1b" not in grade.feedback

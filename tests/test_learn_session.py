"""A session: hints, what counts, and the score."""

from __future__ import annotations

from typing import Any

import pytest

from kvmviz import KvmvizError
from kvmviz.learn.exercises import EXERCISES
from kvmviz.learn.session import Session


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
    calls = (session.find, session.hint, session.hinted, session.reveal, session.restart,
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

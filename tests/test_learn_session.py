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

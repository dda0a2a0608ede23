"""The desk, driven from code and through its controls; no browser is needed."""

from __future__ import annotations

import html
import re

import pytest

from kvmviz import KvmvizError
from kvmviz.learn.exercises import EXERCISES, MOST_LISTENERS, WATCH, Session
from kvmviz.widgets.desk import Desk, Scores
from tests.panels import part, plain, shown

UNSAFE = WATCH.replace("id;\n", "id;\n__u16 x;\n")
NAMES = {"Check": "check", "Hint": "hint", "Reveal": "reveal", "Start over": "restart",
         "Reset all": "reset"}  # fmt: skip


def press(desk: Desk, name: str) -> None:
    button = desk.controls[NAMES[name]]
    assert button.description == name
    button.click()


def said(desk: Desk) -> str:
    """What is said of the answer, as HTML."""
    return next((words for words in shown(desk) if "role='status'" in words), "")


def test_the_buttons_grade_hint_reveal_and_reset() -> None:
    desk = Desk("sixteen")
    desk.answer = WATCH.replace("id;\n", "id;\n__u16 x;\n")
    press(desk, "Check")
    assert desk.said.startswith("✗ not yet: it breaks: on i386")
    assert "class='wrong'" in said(desk)
    assert desk.picture
    assert html.escape(desk.picture.text, quote=True) in part(desk, "view").value
    assert "i386 (little-endian)" in repr(desk)
    feedback, view = desk.said, part(desk, "view").value
    for number in (1, 2):
        press(desk, "Hint")
        hints = EXERCISES["sixteen"].hints[:number]
        assert desk.said.startswith(feedback)
        assert re.findall(r"Hint \d of 3: (.*)", desk.said) == list(hints)
        assert all(html.escape(hint) in said(desk) for hint in hints)
        assert part(desk, "view").value == view
    desk.answer = EXERCISES["sixteen"].solution
    press(desk, "Check")
    assert "class='right'" in said(desk)
    assert EXERCISES["sixteen"].why in desk.said
    assert "solved · 1 of 9 solved, 2 hints taken" in " ".join(shown(desk))
    press(desk, "Reveal")
    assert "__aligned_u64" in desk.said
    press(desk, "Start over")
    assert (desk.answer, desk.said) == (WATCH, "")
    assert "open · 0 of 9 solved, 0 hints taken" in " ".join(shown(desk))


def test_desks_share_a_session() -> None:
    session = Session()
    first, second = Desk("hole", session), Desk("leak", session)
    second.answer = "36"
    second.check()
    assert "1 of 9 solved" in " ".join(shown(first))
    first.restart()
    assert "solved · 1 of 9 solved" in " ".join(shown(second))
    assert second.said


def test_cells_that_run_anew_leave_a_bounded_number_of_desks_that_hear() -> None:
    session = Session()
    desks = [Desk("hole", session) for _ in range(MOST_LISTENERS + 9)]
    assert len(session.listeners) == MOST_LISTENERS
    desks[-1].name = "leak"
    desks.append(Desk("hole", session))
    desks[-1].check()
    assert desks[-1].said == desks[-3].said == "✗ not yet: no answer yet."
    assert desks[-1].name == "hole"
    session.listeners.append(lambda: session.listeners.append(session.reset))
    desks[-1].check()
    with pytest.raises(KvmvizError, match="unknown exercise 5"):
        Desk(5, session)  # type: ignore[arg-type]


def test_what_is_said_of_an_exercise_is_said_on_all_desks() -> None:
    session = Session()
    one, all_of_them = Desk("hole", session), Desk(session=session)
    one.check()
    assert all_of_them.said == one.said == "✗ not yet: no answer yet."
    all_of_them.restart()
    assert (one.said, said(one)) == ("", "")


def test_to_reset_all_clears_what_every_desk_says() -> None:
    session = Session()
    first, second, scores = Desk("hole", session), Desk("leak", session), Scores(session)
    second.answer = "36"
    second.check()
    first.hint()
    assert "solved" in scores.box.value
    press(first, "Reset all")
    assert (first.said, second.said) == ("", "")
    assert "open · 0 of 9 solved, 0 hints taken" in " ".join(shown(second))
    assert second.answer == "36"  # nobody's typing is taken away
    assert plain(scores.box.value) == repr(session)
    assert scores._repr_mimebundle_()["text/plain"] == repr(session)


def test_without_a_name_all_exercises_are_there() -> None:
    desk = Desk()
    desk.controls["name"].value = "leak"
    assert desk.exercise.name == "leak"
    assert "kvm_clock_data" in " ".join(shown(desk))
    with pytest.raises(KvmvizError, match="unknown exercise 'x'; legal are hole"):
        desk.name = "x"


def test_what_is_typed_is_text_not_markup() -> None:
    desk = Desk("event")
    desk.answer = "<img>"
    desk.check()
    assert "<img" not in said(desk)


def test_the_picture_of_a_grade_is_in_the_bundle() -> None:
    desk = Desk("hole")
    assert desk.picture is None
    desk.answer = EXERCISES["hole"].solution
    desk.check()
    assert desk.picture
    bundle = desk._repr_mimebundle_()
    assert f'<img alt="{html.escape(desk.picture.text)}"' in bundle["text/html"]
    assert bundle["text/plain"] == repr(desk)
    assert desk.picture.text in repr(desk)


def test_typing_takes_nothing_away_that_was_said() -> None:
    desk = Desk("leak")
    desk.check()
    desk.controls["answer"].value = "3"
    assert desk.said == "✗ not yet: no answer yet."
    desk.controls["answer"].value = "36"
    assert (desk.answer, desk.check().right) == ("36", True)

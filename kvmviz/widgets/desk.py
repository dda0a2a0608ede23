"""The desk: an exercise on the left, an answer on the right, graded at a key; and the score."""

from __future__ import annotations

import html
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import ipywidgets as ipw

from kvmviz import board, draw
from kvmviz._base import KvmvizError, shown
from kvmviz.draw.canvas import Picture
from kvmviz.learn.exercises import Exercise, Session
from kvmviz.learn.grading import Grade
from kvmviz.review.versions import Versions
from kvmviz.widgets import panel


@dataclass(frozen=True)
class State:
    """What lies on a desk: an exercise, an answer, and what was last said of it.

    ``grade`` is None where nothing is graded, or the answer was revealed.
    """

    name: str
    answer: str
    said: str = ""
    grade: Grade | None = None


@lru_cache(maxsize=16)
def frame(seen: tuple[Versions, ...]) -> panel.Frame:
    """What there is to look at in a grade."""
    return panel.figure(board.versions(seen))


def _chosen(desk: Desk, state: State, name: str) -> State:
    """Another exercise, its answer as it is at the start."""
    return State(name, desk._session.exercises.find(name).start)


class Desk(panel.Panel):
    """One exercise of a session, or all of them to choose from where no ``name`` is given.

    ``name`` (an exercise of the session) and ``answer`` can be set from code as from the controls;
    ``check()``, ``hint()``, ``reveal()``, ``restart()`` and ``reset()`` are the buttons. What they
    say is in :attr:`said`, and with the task in the text twin.
    """

    name = panel.Setting[str, str](
        "The exercise on the desk.", turns=_chosen, by=panel.choice("exercise")
    )
    answer = panel.Setting[str, str](
        "What stands in the answer field.",
        partial(panel.letters, "an answer"),
        by=panel.area("your answer", 8),
    )

    def __init__(self, name: str | None = None, session: Session | None = None) -> None:
        self._session = Session() if session is None else _session(session)
        self._round, self._alone = self._session.rounds, bool(name)
        self._task, self._said, self._score = (ipw.HTML() for _ in range(3))
        first = next(iter(self._session.exercises.values()))
        self._home = State(first.name, first.start)
        super().__init__(**({"name": name} if name else {}))
        self._box.add_class("kvmviz-desk")
        self._session.listeners.append(self._heard)

    def _arrange(self) -> list[Any]:
        part, count = self._controls, len(self._session.exercises)
        self._button("check", "Check", "Grade the answer", self.check)
        self._button("hint", "Hint", "The next hint", self.hint)
        told = "Show an answer; if not yet solved, it will not count"
        self._button("reveal", "Reveal", told, self.reveal)
        told = "This exercise anew: its answer, hints and score"
        self._button("restart", "Start over", told, self.restart)
        self._button("reset", "Reset all", f"Empty the score of all {count} exercises", self.reset)
        row = self._row("check", "hint", "reveal", "restart", "reset")
        row.children += (self._score,)
        above = [] if self._alone else [part["name"]]
        left = ipw.VBox([*above, self._task], layout={"width": "44%", "flex": "0 0 auto"})
        right = ipw.VBox(
            [part["answer"], row, self._said], layout={"flex": "1 1 0", "min_width": "0"}
        )
        both = ipw.HBox([left, right], layout={"grid_gap": "20px", "overflow": "visible"})
        return [both, self._error, self._view]

    def _frame(self, state: State) -> panel.Frame:
        row = self._session.exercises.find(state.name)
        graded = state.grade.shown if state.grade else ()
        seen = frame(graded) if graded else panel.Frame("", "")
        told = [row.title, row.task, row.given.rstrip(), self._standing(state)]
        told += [state.said, *self._session.hinted(state.name), seen.words]
        return panel.Frame(seen.html, "\n".join(filter(None, told)))

    def _standing(self, state: State) -> str:
        return f"{self._session.state(state.name)} · {self._session.score}"

    def _put(self, frame: panel.Frame) -> None:
        held = self._state
        row, hints = self._session.exercises.find(held.name), self._session.hinted(held.name)
        kind = "" if held.grade is None else "right" if held.grade.right else "wrong"
        told = ((kind, held.said), ("hint", "\n".join(hints)))
        parts = [f"<pre class='{kind}'>{html.escape(words)}</pre>" for kind, words in told if words]
        self._task.value = (
            f"<p class=title>{html.escape(row.title)}</p><p>{html.escape(row.task)}</p>"
            f"<pre>{html.escape(row.given)}</pre>"
        )
        self._said.value = f"<div role='status'>{''.join(parts)}</div>" if parts else ""
        self._score.value = f"<span>{html.escape(self._standing(held))}</span>"
        self._view.value = frame.html

    def _adapt(self) -> None:
        rows = self._session.exercises.items()
        panel.choose(
            self._controls["name"], [(row.title, name) for name, row in rows], self._state.name
        )
        self._controls["answer"].rows = min(max(self.exercise.start.count("\n") + 2, 3), 14)

    def _heard(self) -> None:
        """The session has changed, on this desk or on another one."""
        with panel.LOCK:
            if self._round != self._session.rounds:
                self._round = self._session.rounds
                self._state = replace(self._state, said="", grade=None)
            self._show(self._state)

    @property
    def exercise(self) -> Exercise:
        """The exercise on the desk."""
        return self._session.exercises.find(self._state.name)

    def check(self) -> Grade:
        """Grade what stands in the field."""
        with panel.LOCK:
            grade = self._session.answer(self.name, self.answer)
            self._show(replace(self._state, said=repr(grade), grade=grade))
            return grade

    def hint(self) -> None:
        """Say the next hint, below what was said of the answer."""
        with panel.LOCK:
            self._session.hint(self.name)

    def reveal(self) -> None:
        """Say a right answer, and why it is one."""
        with panel.LOCK:
            said = self._session.reveal(self.name)
            self._show(replace(self._state, said=said, grade=None))

    def restart(self) -> None:
        """This exercise anew; the score of the others stays."""
        with panel.LOCK:
            self._session.restart(self.name)
            self.name = self.name

    def reset(self) -> None:
        """Empty the score of the whole session, and what its desks say; answers stay."""
        with panel.LOCK:
            self._session.reset()

    @property
    def said(self) -> str:
        """What was said of the last answer, and every hint that was taken."""
        hints = self._session.hinted(self._state.name)
        return "\n".join(filter(None, (self._state.said, *hints)))

    @property
    def picture(self) -> Picture | None:
        """What there is to look at in the last grade, if anything."""
        grade = self._state.grade
        return draw.versions(*grade.shown) if grade and grade.shown else None


def _session(given: object) -> Session:
    if not isinstance(given, Session):
        raise KvmvizError(f"{shown(given)} is no Session")
    return given


class Scores(panel.Live):
    """The exercises of a session and how each stands, live."""

    def __init__(self, session: Session) -> None:
        self._session = _session(session)
        self._box = ipw.HTML()
        self._session.listeners.append(self._show)
        self._show()

    def _show(self) -> None:
        with panel.LOCK:
            words = html.escape(repr(self._session))
            self._box.value = f"<pre style='line-height:1.4'>{words}</pre>"

    def __repr__(self) -> str:
        return repr(self._session)

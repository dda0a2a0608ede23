"""The desk: an exercise on the left, an answer on the right, graded at a key; and the score."""

from __future__ import annotations

import html
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import ipywidgets as ipw

from kvmviz import board, draw
from kvmviz._base import KvmvizError, shown
from kvmviz.board import Board
from kvmviz.draw.canvas import Picture
from kvmviz.learn.exercises import Exercise, Session
from kvmviz.learn.grading import Grade
from kvmviz.widgets import panel


@dataclass(frozen=True)
class State:
    """What lies on a desk: an exercise and an answer; and the last ``grade``, if there is one.

    What there is to look at follows from the grade alone.
    """

    name: str = field(compare=False)
    answer: str = field(compare=False)
    grade: Grade | None = None

    @property
    def board(self) -> Board | None:
        """What there is to look at, if anything."""
        return board.versions(self.grade.shown) if self.grade and self.grade.shown else None

    @property
    def picture(self) -> Picture | None:
        """The same as a picture."""
        return draw.versions(*self.grade.shown) if self.grade and self.grade.shown else None


def _chosen(desk: Desk, state: State, name: str) -> State:
    """Another exercise, its answer as it is at the start."""
    return State(name, desk._session.exercises.find(name).start)


class Desk(panel.Panel):
    """One exercise of a session, or all of them to choose from where no ``name`` is given.

    ``name`` (an exercise of the session) and ``answer`` can be set from code as from the controls;
    ``check()``, ``hint()``, ``reveal()``, ``restart()`` and ``reset()`` are the buttons. What they
    say is in :attr:`said`, and with the task in the text twin; all desks of a session know of it.
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
        self._alone = bool(name)
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
        both = panel.columns([*above, self._task], [part["answer"], row, self._said])
        return [both, self._error, self._view]

    def _settled(self, state: State, asked: object) -> State:
        return replace(state, grade=self._session.said(state.name)[1])

    @property
    def words(self) -> str:
        """The task, how it stands, and what was said of the answer."""
        row, (seen, _) = self.exercise, panel.drawn(self._state)
        told = [row.title, row.task, row.given.rstrip(), self._standing, self.said]
        return "\n".join(filter(None, (*told, repr(seen) if seen else "")))

    @property
    def _standing(self) -> str:
        return f"{self._session.state(self.name)} · {self._session.score}"

    def _put(self) -> None:
        super()._put()
        row, hints, held = self.exercise, self._session.hinted(self.name), self._state
        kind = "" if held.grade is None else "right" if held.grade.right else "wrong"
        told = ((kind, self._session.said(self.name)[0]), ("hint", "\n".join(hints)))
        parts = [f"<pre class='{kind}'>{html.escape(words)}</pre>" for kind, words in told if words]
        self._task.value = (
            f"<p class=title>{html.escape(row.title)}</p><p>{html.escape(row.task)}</p>"
            f"<pre>{html.escape(row.given)}</pre>"
        )
        self._said.value = f"<div role='status'>{''.join(parts)}</div>" if parts else ""
        self._score.value = f"<span>{html.escape(self._standing)}</span>"

    def _adapt(self) -> None:
        rows = self._session.exercises.items()
        panel.choose(
            self._controls["name"], [(row.title, name) for name, row in rows], self._state.name
        )
        self._controls["answer"].rows = min(max(self.exercise.start.count("\n") + 2, 3), 14)

    def _heard(self) -> None:
        """The session has changed, on this desk or on another one."""
        self.set()

    @property
    def exercise(self) -> Exercise:
        """The exercise on the desk."""
        return self._session.exercises.find(self._state.name)

    def check(self) -> Grade:
        """Grade what stands in the field."""
        with panel.LOCK:
            return self._session.answer(self.name, self.answer)

    def hint(self) -> None:
        """Say the next hint, below what was said of the answer."""
        with panel.LOCK:
            self._session.hint(self.name)

    def reveal(self) -> None:
        """Say a right answer, and why it is one."""
        with panel.LOCK:
            self._session.reveal(self.name)

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
        words, _ = self._session.said(self.name)
        return "\n".join(filter(None, (words, *self._session.hinted(self.name))))


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

"""The desk: an exercise on the left, an answer on the right, graded at a key; and the score."""

from __future__ import annotations

import html
from typing import Any

import ipywidgets as ipw

from kvmviz import draw
from kvmviz.draw.canvas import Picture
from kvmviz.learn.exercises import Exercise
from kvmviz.learn.grading import Grade
from kvmviz.learn.session import Session
from kvmviz.widgets.controls import ONE_AT_A_TIME, ROW, Live, finish, img

_LOOK = """<style>
.kvmviz-desk .widget-textarea { flex-direction: column; align-items: stretch; width: 100%;
  height: auto; overflow: visible }
.kvmviz-desk .widget-textarea > label { width: auto; height: 22px; line-height: 22px;
  font-weight: bold }
.kvmviz-desk textarea { font-family: var(--jp-code-font-family, monospace); font-size: 13px;
  line-height: 18px; padding: 4px 6px; white-space: pre; overflow: auto; height: auto; flex: none }
.kvmviz-desk h4 { margin: 0 0 4px 0; font-size: 16px }
.kvmviz-desk p { margin: 0 0 6px 0; line-height: 1.4 }
.kvmviz-desk pre { white-space: pre-wrap; word-break: normal; overflow-wrap: anywhere; margin: 0 }
.kvmviz-desk .hint { margin-top: 6px }
.kvmviz-desk .right { color: #146c2e; background: #fff }
.kvmviz-desk .wrong { color: #b3122b; background: #fff }
</style>"""


class Desk(Live):
    """One exercise of a session, or all of them to choose from where no ``name`` is given.

    ``answer``, ``check()``, ``hint()``, ``reveal()``, ``restart()`` and ``reset()`` are the
    controls, for code. What they say is in :attr:`said`, and with the task in the text twin.
    """

    def __init__(self, name: str = "", session: Session | None = None) -> None:
        self.session = session or Session()
        self._only = name
        self._exercise = self.session.find(name or next(iter(self.session.exercises)))
        self._result, self._kind = "", ""
        self._round = self.session.rounds
        self._grade: Grade | None = None
        self._choice = self._chooser()
        self._task, self._said, self._view, self._score = (ipw.HTML() for _ in range(4))
        self._field = ipw.Textarea(description="your answer", rows=8)
        self.box = self._arrange()
        self.session.listeners.append(self._heard)
        self.choose(self._exercise.name)

    def _chooser(self) -> Any:
        made = ipw.Dropdown(
            description="exercise",
            options=[(row.title, name) for name, row in self.session.exercises.items()],
            style={"description_width": "auto"},
            layout={"width": "auto"},
        )
        made.observe(lambda change: self._chosen(change["new"]), "value")
        return made

    def _arrange(self) -> Any:
        count = len(self.session.exercises)
        rows = (
            ("Check", "Grade the answer", self.check),
            ("Hint", "The next hint", self.hint),
            ("Reveal", "Show an answer; if not yet solved, it will not count", self.reveal),
            ("Start over", "This exercise anew: its answer, hints and score", self.restart),
            ("Reset all", f"Empty the score of all {count} exercises", self.reset),
        )
        buttons = []
        for words, hint, act in rows:
            made = ipw.Button(description=words, tooltip=hint, layout={"width": "auto"})
            made.on_click(lambda _, act=act: act())
            buttons.append(made)
        choice = () if self._only else (self._choice,)
        left = ipw.VBox([*choice, self._task], layout={"width": "44%", "flex": "0 0 auto"})
        row = ipw.Box([*buttons, self._score], layout=ROW)
        right = ipw.VBox([self._field, row, self._said], layout={"flex": "1 1 0", "min_width": "0"})
        box = ipw.VBox(
            [
                ipw.HBox([left, right], layout={"grid_gap": "20px", "overflow": "visible"}),
                self._view,
                finish(_LOOK),
            ]
        )
        box.add_class("kvmviz")
        return box.add_class("kvmviz-desk")

    @property
    def exercise(self) -> Exercise:
        """The exercise on the desk."""
        return self._exercise

    def _chosen(self, name: str) -> None:
        with ONE_AT_A_TIME:
            if name != self._exercise.name:
                self.choose(name)

    def choose(self, name: str) -> None:
        """Put another exercise on the desk, its answer as it is at the start."""
        with ONE_AT_A_TIME:
            exercise = self._exercise = self.session.find(name)
            self._choice.value = name
            given = html.escape(exercise.given)
            self._task.value = (
                f"<h4>{html.escape(exercise.title)}</h4><p>{html.escape(exercise.task)}</p>"
                f"<pre>{given}</pre>"
            )
            self._field.value = exercise.start
            self._field.rows = min(max(exercise.start.count("\n") + 2, 3), 14)
            self._say("")

    @property
    def answer(self) -> str:
        """What stands in the answer field."""
        return str(self._field.value)

    @answer.setter
    def answer(self, text: str) -> None:
        self._field.value = text

    def check(self) -> Grade:
        """Grade what stands in the field."""
        with ONE_AT_A_TIME:
            grade = self.session.answer(self._exercise.name, self.answer)
            self._say(repr(grade), "right" if grade.right else "wrong", grade)
            return grade

    def hint(self) -> None:
        """Say the next hint, below what was said of the answer."""
        with ONE_AT_A_TIME:
            self.session.hint(self._exercise.name)

    def reveal(self) -> None:
        """Say a right answer, and why it is one."""
        with ONE_AT_A_TIME:
            self._say(self.session.reveal(self._exercise.name))

    def restart(self) -> None:
        """This exercise anew; the score of the others stays."""
        with ONE_AT_A_TIME:
            self.session.restart(self._exercise.name)
            self.choose(self._exercise.name)

    def reset(self) -> None:
        """Empty the score of the whole session, and what its desks say; answers stay."""
        with ONE_AT_A_TIME:
            self.session.reset()

    @property
    def said(self) -> str:
        """What was said of the last answer, and every hint that was taken."""
        hints = self.session.hinted(self._exercise.name)
        return "\n".join(filter(None, (self._result, *hints)))

    def _say(self, words: str, kind: str = "", grade: Grade | None = None) -> None:
        self._result, self._kind, self._grade = words, kind, grade
        # Drawn first: words and picture change together.
        picture = self.picture
        view = img(picture) if picture else ""
        self._show()
        self._view.value = view

    def _heard(self) -> None:
        """The session has changed, on this desk or on another one."""
        with ONE_AT_A_TIME:
            if self._round != self.session.rounds:
                self._round = self.session.rounds
                self._say("")
            self._show()

    def _show(self) -> None:
        """What is said, and the score."""
        hints = "\n".join(self.session.hinted(self._exercise.name))
        told = ((self._kind, self._result), ("hint", hints))
        parts = [f"<pre class='{kind}'>{html.escape(words)}</pre>" for kind, words in told if words]
        self._said.value = f"<div role='status'>{''.join(parts)}</div>" if parts else ""
        self._score.value = f"<span>{html.escape(self._standing)}</span>"

    @property
    def _standing(self) -> str:
        return f"{self.session.state(self._exercise.name)} · {self.session.score}"

    @property
    def picture(self) -> Picture | None:
        """What there is to look at in the last grade, if anything."""
        shown = self._grade.shown if self._grade else ()
        return draw.versions(*shown) if shown else None

    def __repr__(self) -> str:
        row = self._exercise
        lines = [row.title, row.task, row.given.rstrip(), self._standing, self.said]
        if picture := self.picture:
            lines.append(picture.text)
        return "\n".join(filter(None, lines))


class Scores(Live):
    """The exercises of a session and how each stands, live."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.box = ipw.HTML()
        session.listeners.append(self._show)
        self._show()

    def _show(self) -> None:
        with ONE_AT_A_TIME:
            self.box.value = f"<pre style='line-height:1.4'>{html.escape(repr(self.session))}</pre>"

    def __repr__(self) -> str:
        return repr(self.session)

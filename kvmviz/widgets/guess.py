"""A guess: a question and its options first; verdict and figure only after an answer."""

from __future__ import annotations

import html
from typing import Any

import ipywidgets as ipw

from kvmviz._base import find
from kvmviz.learn.fold import element, folded, words
from kvmviz.learn.question import QUESTIONS, Question
from kvmviz.widgets.panel import LOCK, Live, wired


class Guess(Live):
    """A question that is answered before anything is told: ``Guess("widened", picture)``.

    A question of the notebooks goes by its name. What is ``seen`` belongs to the answer: pictures,
    or anything with a text twin. :attr:`answer` can be set from code as by the buttons; None asks
    anew. Where no kernel runs, the answer is folded away.
    """

    def __init__(self, question: str | Question, *seen: object) -> None:
        self._question, self._seen = find(QUESTIONS, question, "question"), seen
        self._answer: str | None = None
        self._asked = ipw.RadioButtons(
            description=self._question.words, options=list(self._question.options), index=None
        )
        self._said, self._view = ipw.HTML(), ipw.HTML().add_class("kvmviz-view")
        again = ipw.Button(description="Ask again", tooltip="Hide the answer and ask anew")
        again.on_click(lambda _: setattr(self, "answer", None))
        self._asked.observe(lambda change: self._show(change["new"]), "value")
        self._again = ipw.HBox([again], layout={"display": "none"})
        parts = [self._asked, self._said, self._view, self._again, wired()]
        self._box = ipw.VBox(parts).add_class("kvmviz").add_class("kvmviz-guess")

    @property
    def answer(self) -> str | None:
        """The option that is chosen; None where nobody has answered yet."""
        return self._answer

    @answer.setter
    def answer(self, option: str | None) -> None:
        if option is not None:
            find(self._question.options, option, "option")
        self._asked.value = option

    def _show(self, option: str | None) -> None:
        with LOCK:
            self._answer = option
            told = "" if option is None else self._question.feedback(option)
            kind = "right" if option == self._question.right else "wrong"
            self._said.value = f"<p role='status' class='{kind}'>{html.escape(told)}</p>"
            self._view.value = "" if option is None else "".join(map(element, self._seen))
            self._again.layout.display = "none" if option is None else None

    def __repr__(self) -> str:
        asked = self._question
        rows = [f"  {'(x)' if one == self._answer else '( )'} {one}" for one in asked.options]
        if self._answer is not None:
            rows += [asked.feedback(self._answer), *map(words, self._seen)]
        return "\n".join([asked.words, *rows])

    def _repr_mimebundle_(self, **options: object) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_(**options)
        asked = self._question
        rows = "".join(f"<li>{html.escape(one)}</li>" for one in asked.options)
        told = "".join(
            f"<li>{html.escape(one)}<br>{html.escape(asked.feedback(one))}</li>"
            for one in asked.options
        )
        answer = folded("Show the answer", f"<ul>{told}</ul>{''.join(map(element, self._seen))}")
        bundle["text/html"] = f"<p><b>{html.escape(asked.words)}</b></p><ul>{rows}</ul>{answer}"
        return bundle

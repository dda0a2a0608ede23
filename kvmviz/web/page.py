"""The page and the talk: one HTML file that needs no kernel, no network and no build step.

Radio buttons and CSS choose among the states that Python wrote; ``page.js`` adds motion, links,
the talk and its notes. The same inputs give the same bytes.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from functools import cache
from importlib import resources

from kvmviz.web import board
from kvmviz.web.board import Board
from kvmviz.web.scenes import Control, Guess, Scene, scenes

TITLE = "One field, 32 bits wider"


@cache
def page() -> str:
    """The whole file as text."""
    told = tuple(scenes())
    return "".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width,initial-scale=1">',
            f"<title>{TITLE}</title><style>{board.css()}{_asset('page.css')}",
            *_choosing(told),
            "</style>",
            "<noscript><style>",
            *_targets(told),
            "</style></noscript></head><body>",
            f'<header class="top"><h1>{TITLE}</h1>'
            '<button id="talk" hidden>talk (t)</button></header>',
            '<main class="kv-auto">',
            *map(_section, told),
            '</main><p id="live" aria-live="polite"></p>',
            f"<script>{board.script()}</script><script>{_asset('page.js')}</script></body></html>\n",
        )
    )


def _section(scene: Scene) -> str:
    prose = "".join(part if part.startswith("<pre") else f"<p>{part}</p>" for part in scene.prose)
    after = "".join(f"<p>{part}</p>" for part in scene.after)
    parts = (
        f'<div class="prose">{prose}</div>',
        _guess(scene.name, scene.guess) if scene.guess else "",
        '<div class="told">',
        f"<ol>{''.join(f'<li>{rule}</li>' for rule in scene.rules)}</ol>" if scene.rules else "",
        _figure(scene) if scene.states else "",
        _table(scene) if scene.table else "",
        f'<div class="prose">{after}</div>' if after else "",
        "</div>",
        f"<aside><p>{scene.notes}</p></aside>",
    )
    steps = f' data-steps="{" ".join(scene.steps)}"' if scene.steps else ""
    return (
        f'<section id="{scene.name}" data-minutes="{scene.minutes:g}"{steps}>'
        f'<h2><a href="#{scene.name}">{scene.title}</a></h2>{"".join(parts)}</section>'
    )


def _guess(name: str, guess: Guess) -> str:
    options = "".join(
        f'<label><input type="radio" name="{name}-guess" value="{value}">'
        f"<span>{html.escape(words)}</span></label>"
        for value, (words, _) in guess.options.items()
    )
    said = "".join(
        f'<p class="said-{value}">{"✓" if value == guess.right else "✗"} {html.escape(words)}</p>'
        for value, (_, words) in guess.options.items()
    )
    return (
        f'<fieldset class="guess"><legend>{guess.question}</legend>{options}</fieldset>'
        f'<div class="answer">{said}</div>'
    )


def _figure(scene: Scene) -> str:
    rows = "".join(_control(scene.name, number, one) for number, one in enumerate(scene.controls))
    states = "".join(_state(scene.name, values, shown) for values, shown in scene.states.items())
    return f'<div class="kv-figure"><div class="controls">{rows}</div>{states}</div>'


def _control(name: str, number: int, control: Control) -> str:
    options = "".join(
        f'<label><input type="radio" name="{name}-{number}" value="{value}"'
        f"{' checked' if value == control.start else ''}><span>{html.escape(words)}</span></label>"
        for value, words in control.options.items()
    )
    return f"<fieldset><legend>{control.title}</legend>{options}</fieldset>"


def _state(name: str, values: tuple[str, ...], shown: Board) -> str:
    made = shown.html(" ".join(values))
    return made.replace("<article", f'<article id="{",".join((name, *values))}"', 1)


def _table(scene: Scene) -> str:
    def cell(tag: str, words: str, link: str) -> str:
        verdict = {"✓": ' class="right"', "✗": ' class="wrong"'}.get(words[:1], "")
        shown = html.escape(words)
        return f"<{tag}{verdict}>{f'<a href=#{link}>{shown}</a>' if link else shown}</{tag}>"

    head, *rows = scene.table
    top = "".join(f'<th scope="col">{html.escape(words)}</th>' for words, _ in head)
    body = "".join(
        f'<tr><th scope="row">{html.escape(row[0][0])}</th>'
        f"{''.join(cell('td', *one) for one in row[1:])}</tr>"
        for row in rows
    )
    return (
        f'<div class="wide" tabindex="0" role="group" aria-label="table"><table><thead>'
        f"<tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _choosing(told: tuple[Scene, ...]) -> Iterator[str]:
    """CSS: a state is hidden where it is not what is chosen; a guess hides what follows it."""
    for scene in told:
        for control in scene.controls:
            for value in control.options:
                chosen = f'#{scene.name}:has([value="{value}"]:checked)'
                yield f"{chosen} .kv-board:not(.{value}){{display:none}}"
        if scene.guess:
            yield f"#{scene.name}:not(:has(.guess :checked)) .told{{display:none}}"
            for value in scene.guess.options:
                unsaid = f'#{scene.name}:not(:has([value="{value}"]:checked))'
                yield f"{unsaid} .said-{value}{{display:none}}"


def _targets(told: tuple[Scene, ...]) -> Iterator[str]:
    """CSS for links without a script: the state that is the target, and no controls that lie."""
    yield ".kv-board:target{display:block!important}"
    for scene in told:
        if scene.states:
            yield f"#{scene.name}:has(.kv-board:target) .kv-board:not(:target){{display:none}}"
            yield f"#{scene.name}:has(.kv-board:target) .told{{display:block!important}}"
            yield f"#{scene.name}:has(.kv-board:target) .controls{{display:none}}"


def _asset(name: str) -> str:
    return resources.files("kvmviz.web").joinpath(name).read_text("utf-8")

"""The page and the talk: one HTML file that needs no kernel, no network and no build step.

``page.html`` tells the story; what it leaves open is written here. Radio buttons and CSS choose
among the states; ``page.js`` adds motion, links, the talk and its notes. The same inputs give the
same bytes.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from functools import cache

from kvmviz.kvm.kernel import OLD
from kvmviz.web import board
from kvmviz.web.figures import Control, Figure, Row, figures, sizes, tiles


@cache
def page() -> str:
    """The whole file as text."""
    shown = figures()
    parts = {
        "style": f"{board.css()}{board.asset('page.css')}{''.join(_choosing(shown))}",
        "targets": "".join(_targets(shown)),
        "board script": board.script(),
        "page script": board.asset("page.js"),
        "rules hole": "".join(f"<li>{rule}</li>" for rule in OLD.layout("aarch64").rules.steps),
        "table sizeof": _table(sizes()),
        "table matrix": _table(tiles()),
        **{f"figure {name}": _figure(name, one) for name, one in shown.items()},
    }
    return re.sub("<!--(.*?)-->", lambda found: parts[found[1]], board.asset("page.html"))


def _figure(name: str, figure: Figure) -> str:
    rows = "".join(_control(f"{name}-{at}", one) for at, one in enumerate(figure.controls))
    states = "".join(
        shown.html(" ".join(values), ",".join((name, *values)))
        for values, shown in figure.states.items()
    )
    return f'<div class="kv-figure"><div class="controls">{rows}</div>{states}</div>'


def _control(name: str, control: Control) -> str:
    """A row of radio buttons: what a browser chooses among without a script."""
    labels = "".join(
        f'<label><input type="radio" name="{name}" value="{value}"'
        f"{' checked' if value == control.start else ''}><span>{html.escape(words)}</span></label>"
        for value, words in control.options.items()
    )
    return f"<fieldset><legend>{control.title}</legend>{labels}</fieldset>"


def _table(rows: list[Row]) -> str:
    def cell(tag: str, words: str, link: str) -> str:
        verdict = {"✓": ' class="right"', "✗": ' class="wrong"'}.get(words[:1], "")
        shown = html.escape(words)
        return f"<{tag}{verdict}>{f'<a href=#{link}>{shown}</a>' if link else shown}</{tag}>"

    head, *body = rows
    top = "".join(f'<th scope="col">{html.escape(words)}</th>' for words, _ in head)
    lines = "".join(
        f'<tr><th scope="row">{html.escape(row[0][0])}</th>'
        f"{''.join(cell('td', *one) for one in row[1:])}</tr>"
        for row in body
    )
    return (
        f'<div class="wide" tabindex="0" role="group" aria-label="table"><table><thead>'
        f"<tr>{top}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def _choosing(shown: Mapping[str, Figure]) -> Iterator[str]:
    """CSS: a state is hidden where it is not what is chosen."""
    for name, figure in shown.items():
        for value in (value for control in figure.controls for value in control.options):
            chosen = f'#{name}:has([value="{value}"]:checked)'
            yield f"{chosen} .kv-board:not(.{value}){{display:none}}"


def _targets(shown: Mapping[str, Figure]) -> Iterator[str]:
    """CSS for links without a script: the state that is the target, and no controls that lie."""
    yield ".kv-board:target{display:block!important}"
    for name in shown:
        there = f"#{name}:has(.kv-board:target)"
        yield f"{there} :is(.kv-board:not(:target),.controls){{display:none}}"
        yield f"{there} .told{{display:block!important}}"

"""The scenes of the story as its page has them: prose, what a speaker has in mind, the figure."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from functools import cache

from kvmviz.web import html as web
from kvmviz.web.page import Figure, figures, page


@dataclass(frozen=True)
class Scene:
    """One section: ``steps`` are the values that a talk's presses choose, ``guesses`` answers."""

    name: str
    title: str
    minutes: float
    steps: tuple[str, ...]
    guesses: tuple[str, ...]
    notes: str
    prose: str
    figure: Figure | None


@cache
def scenes() -> tuple[Scene, ...]:
    """All of them, in order."""
    shown = figures()
    sections = re.findall(
        r'<section id="(\w+)" data-minutes="([\d.]+)"(?: data-steps="(.*?)")?>(.*?)</section>',
        web.asset("page.html"),
        re.DOTALL,
    )
    return tuple(
        Scene(
            name,
            plain(re.findall("<h2>(.*?)</h2>", told)[0]),
            float(minutes),
            tuple(steps.split()),
            tuple(re.findall(rf'name="{name}-guess" value="(.*?)"', page())),
            plain(re.findall("<aside>(.*?)</aside>", told, re.DOTALL)[0]),
            plain(re.sub("<aside>.*?</aside>", "", told, flags=re.DOTALL)),
            shown.get(name),
        )
        for name, minutes, steps, told in sections
    )


def plain(markup: str) -> str:
    """The words of some HTML."""
    return " ".join(html.unescape(re.sub("<[^>]*>", "", markup)).split())

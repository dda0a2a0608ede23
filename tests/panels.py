"""What a panel shows, found in its box as a page would find it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

from kvmviz.widgets.panel import Panel


def inside(box: Any) -> Iterator[Any]:
    """A box and all that is in it."""
    yield box
    for child in getattr(box, "children", ()):
        yield from inside(child)


def part(panel: Panel, kind: str) -> Any:
    """The HTML element of a kind: view, error or spoken."""
    return next(one for one in inside(panel.box) if f"kvmviz-{kind}" in one._dom_classes)


def shown(panel: Panel) -> tuple[str, ...]:
    """All that a page shows of a panel beside its controls."""
    return tuple(one.value for one in inside(panel.box) if type(one).__name__ == "HTML")


def error(panel: Panel) -> str:
    """The error beside the controls, as one reads it."""
    return plain(part(panel, "error").value)


def plain(markup: str) -> str:
    """The words of some HTML."""
    return html.unescape(re.sub("<[^>]*>", "", markup))


def twin(panel: Panel) -> str:
    """The words that are folded in the board."""
    found = re.search(r"<pre tabindex=0>(.*?)</pre>", part(panel, "view").value, re.DOTALL)
    assert found
    return html.unescape(found[1])

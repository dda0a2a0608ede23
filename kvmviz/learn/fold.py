"""What is shown on demand: one line, and behind it pictures and words."""

from __future__ import annotations

import html
import pprint

from kvmviz.draw.canvas import Picture


class Fold:
    """One ``line``, and behind it what is ``held``: pictures, and what has a text twin.

    A notebook shows it as an element that opens without a running kernel; as text it is all there.
    """

    def __init__(self, line: str, *held: object) -> None:
        self._line, self._held = line, held

    def __repr__(self) -> str:
        return "\n".join([self._line, *map(words, self._held)])

    def _repr_html_(self) -> str:
        return folded(self._line, "".join(map(element, self._held)))


def words(seen: object) -> str:
    """A thing in words: text as it is, anything else as its ``repr``, containers over lines."""
    return seen if isinstance(seen, str) else pprint.pformat(seen, width=88, sort_dicts=False)


def element(seen: object) -> str:
    """A thing in HTML: a picture with its words as alt text, or words whose lines never wrap."""
    if isinstance(seen, Picture):
        return seen.html
    look = "white-space: pre; overflow-x: auto; font-family: monospace"
    return f'<pre style="{look}" tabindex="0">{html.escape(words(seen))}</pre>'


def folded(line: str, content: str) -> str:
    """HTML behind one line, closed until a reader opens it."""
    return f"<details><summary>{html.escape(line)}</summary>{content}</details>"

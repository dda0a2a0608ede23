"""Questions to guess at before the answer is seen: options, and what is said to each."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType

from kvmviz._base import find


@dataclass(frozen=True)
class Question:
    """What is asked, its options with what is said to each, and which of them is ``right``.

    Raises :class:`KvmvizError` where the right one is none of the options.
    """

    words: str
    options: Mapping[str, str]
    right: str

    def __post_init__(self) -> None:
        find(self.options, self.right, f"option of {self.words!r}")

    def feedback(self, option: str) -> str:
        """What is said to who has chosen an option."""
        mark = "✓ right" if option == self.right else "✗ not so"
        return f"{mark}: {find(self.options, option, 'option')}"


_ROWS = tomllib.loads(files(__package__).joinpath("questions.toml").read_text("utf-8"))
QUESTIONS: Mapping[str, Question] = MappingProxyType(
    {name: Question(row["asks"], row["options"], row["right"]) for name, row in _ROWS.items()}
)
"""The questions of the notebooks, by name: their words are in ``questions.toml``."""

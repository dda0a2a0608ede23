"""What every other module stands on: one error class, and the promise of a text twin."""

from __future__ import annotations

from functools import cache, singledispatch
from importlib import import_module


class KvmvizError(ValueError):
    """Bad input. The message names the struct, member, offset and legal values that matter."""


def counted(number: int, unit: str) -> str:
    """A number of things in words: ``1 byte``, ``2 bytes``."""
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def span(first: int, last: int) -> str:
    """Bytes in words: ``byte 3`` or ``bytes 4..7``."""
    return f"byte {first}" if first == last else f"bytes {first}..{last}"


@cache
def _load_words() -> None:
    """The modules that know the words, all of them: one alone would not know a subclass's."""
    for words in ("text", "kvm.words", "review.report"):
        import_module(f"kvmviz.{words}")


@singledispatch
def twin(shown: object) -> str:
    """The text twin of a result: the modules that know the words register them here."""
    raise TypeError(f"{type(shown).__name__} has no text twin")


class Twin:
    """Something a reader sees: its ``repr`` is its text twin, all that its picture says.

    The words are in :mod:`kvmviz.text`, and loaded when the first of them is asked for.
    """

    def __repr__(self) -> str:
        _load_words()
        return twin(self)

"""Conditions: whether an ``#if`` or its like is true (C11 6.10.1)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from kvmviz._base import KvmvizError
from kvmviz.c import arithmetic, library
from kvmviz.c.expand import Expander, Macro
from kvmviz.c.files import Files
from kvmviz.c.flat import IDLE
from kvmviz.c.source import Token, shortened

_HAS = frozenset(
    (
        "__has_attribute",
        "__has_builtin",
        "__has_c_attribute",
        "__has_cpp_attribute",
        "__has_include",
        "__has_include_next",
    )
)
"""What gcc and clang answer of themselves; for ``#ifdef``, macros."""
_ASKS = _HAS | {"defined"}
_LAID = ("packed", "aligned", "mode", "vector_size", "transparent_union")
_APART = ("scalar_storage_order", "ms_struct", "gcc_struct", "designated_init")
"""Attributes that one of gcc and clang has on some target, and the other has not."""


class Conditions:
    """Computes conditions; ``find`` tells what a name stands for."""

    def __init__(
        self, files: Files, expander: Expander, find: Callable[[str], Macro | None]
    ) -> None:
        self.files, self.source = files, files.main
        self.expander, self.find = expander, find

    def holds(self, word: str, tokens: list[Token], at: int) -> bool:
        """Whether the condition of an ``#if`` or its like is true."""
        if word in ("ifdef", "ifndef", "def", "ndef"):
            name = tokens[0][0] if tokens else ""
            return self._is_macro(name, at) == (word in ("ifdef", "def"))
        words = [word for word, _, _ in self.expander.expand(tokens, raw=_ASKS)]
        words_of = shortened(" ".join(words[:40]))
        try:
            words = self._answered(words, at)
            found = self._value(words, 0)
            unknown = next((one for one in words if one in library.ORDERS), "")
            if unknown and found != self._value(words, 1):
                self.source.fail(at, f"{unknown!r} is no macro here; <endian.h> defines it")
            return found
        except (ValueError, ArithmeticError, IndexError, RecursionError) as error:
            if isinstance(error, KvmvizError):
                raise
            self.source.fail(at, f"this condition cannot be computed: {words_of!r}")

    def _is_macro(self, name: str, at: int) -> bool:
        if not name.isidentifier():
            self.source.fail(at, f"{self.source.snippet(at)!r} names no macro")
        return name in _HAS or self.find(name) is not None

    def _answered(self, words: list[str], at: int) -> list[str]:
        """The words, with numbers for what ``defined`` and its like ask."""
        if len(words) > 4 * arithmetic.MAX_WORDS:
            raise ValueError
        made: list[str] = []
        number = 0
        while number < len(words):
            word, number = words[number], number + 1
            if word in _ASKS:
                bracket = words[number : number + 1] == ["("]
                end = number
                if bracket:
                    with suppress(ValueError):
                        end = words.index(")", number)
                inner = words[number + bracket : end if bracket else number + 1]
                if word == "defined":
                    name = inner[0] if len(inner) == 1 and (end > number or not bracket) else ""
                    made.append(f"{int(self._is_macro(name, at))}")
                else:
                    made.append(f"{int(self._has(word, inner, at))}")
                number = end + 1
            else:
                made.append(word)
        return made

    def _has(self, word: str, words: list[str], at: int) -> bool:
        """Whether there is an attribute, a builtin or a header of that name."""
        if not words:
            raise ValueError(word)
        name = words[-1].strip("_")
        if "include" in word:
            beside = words[0][0] == '"'
            title = words[0].strip('"') if beside else "".join(words[1:-1])
            return self.files.has(title, at, beside)
        if word == "__has_builtin":
            return words[0].startswith("__builtin_")
        if name in _APART:
            self.source.fail(at, f"gcc and clang answer otherwise: {word}({words[-1]})")
        return word == "__has_attribute" and (name in _LAID or name in IDLE)

    def _value(self, words: list[str], order: int) -> bool:
        """The value of a condition; byte orders that nobody defined are taken for 0, or differ."""
        numbers = [one for word in words for one in self._number(word, order)]
        if len(numbers) > arithmetic.MAX_WORDS:
            raise ValueError
        return bool(arithmetic.compute(numbers, {}, arithmetic.CONDITION))

    def _number(self, word: str, order: int) -> list[str]:
        """A word of a condition as a number: a name that is no macro is 0."""
        if word in library.ORDERS and order:
            return [f"{library.ORDERS.index(word)}"]
        if word.isidentifier():
            return ["0"]
        if word[-1] != "'":
            return [word]
        wide = word[0] == "L"
        unsigned = self.find("__WCHAR_UNSIGNED__" if wide else "__CHAR_UNSIGNED__")
        value = arithmetic.character(word)
        if wide or value <= 0x7F or unsigned:
            return [f"{value}{'u' if wide and unsigned else ''}"]
        return ["(", "-", f"{256 - value}", ")"]

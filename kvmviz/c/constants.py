"""What the text's constant expressions are worth: array sizes, widths, alignments, enums."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from kvmviz.abi import Abi
from kvmviz.c import arithmetic
from kvmviz.c.source import shortened
from kvmviz.c.syntax import Syntax
from kvmviz.c.target import Facts
from kvmviz.ctype import Struct, Type

if TYPE_CHECKING:
    from tree_sitter import Node

_NAME = re.compile(r"[A-Za-z_]\w*")
_LONG = re.compile(r"[0-9][0-9a-fA-FxXbB]*[uU]?[lL][uU]?")
_ASKS = {
    "sizeof": "sizeof",
    **dict.fromkeys(("_Alignof", "__alignof__", "__alignof"), "_Alignof"),
}


class Constants:
    """The text's integer constants, by name; ``find`` gives the type that words stand for."""

    def __init__(
        self, syntax: Syntax, abi: Abi, facts: Facts, find: Callable[[list[str]], Type | None]
    ) -> None:
        self.syntax, self.abi, self.facts, self.find = syntax, abi, facts, find
        self.values: dict[str, int] = {}
        self.missing: Callable[[str], str] = str

    def value(self, at: Node | int, words: list[str] | None = None) -> int:
        """The value of an expression: the node's, or that of the words."""
        if words is None:
            assert not isinstance(at, int)
            words = self.syntax.words(at)
        if len(words) == 1 and words[0].isdigit() and words[0][0] != "0":
            return int(words[0]) if len(words[0]) < 10 else self._computed(words, at)
        if len(words) > arithmetic.MAX_WORDS:
            most = f"{arithmetic.MAX_WORDS} words and signs, macros put in"
            self.syntax.fail(at, f"an expression of more than {most}")
        return self._computed(words, at)

    def _computed(self, words: list[str], at: Node | int) -> int:
        told = " ".join(words)
        words = self._asked(words, at)
        for number, word in enumerate(words):
            if _NAME.fullmatch(word) and word not in self.values and not _cast(words, number):
                missing = self.missing(word)
                self.syntax.fail(at, f"{word!r} is no integer constant of this text{missing}")
        found = self._sum(words, self.abi.word_bits)
        if any(map(_LONG.fullmatch, words)) and found != self._sum(words, 96 - self.abi.word_bits):
            self.facts.macros["__SIZEOF_LONG__"] = str(self.abi.word_bits // 8)
        if found is None:
            legal = f"integers of up to 64 bits with {arithmetic.SIGNS}"
            self.syntax.fail(at, f"{shortened(told)!r} cannot be computed; legal are {legal}")
        return found

    def _sum(self, words: list[str], long: int) -> int | None:
        try:
            return arithmetic.compute(words, self.values, long)
        except (ValueError, ArithmeticError, IndexError, RecursionError):
            return None

    def _asked(self, words: list[str], at: Node | int) -> list[str]:
        """The words, with numbers for sizes, alignments and offsets."""
        made: list[str] = []
        number = 0
        while number < len(words):
            word = words[number]
            end = _closing(words, number + 1)
            if word in _ASKS and end:
                kind = self._type(words[number + 2 : end], at)
                made.append(f"{self.facts.ask(kind, _ASKS[word], self.abi)}UL")
                number = end
            elif word == "offsetof" and end and "," in words[number:end]:
                comma = words.index(",", number)
                kind = self._type(words[number + 2 : comma], at)
                name = "".join(words[comma + 1 : end])
                if not isinstance(kind, Struct) or name not in kind.layout(self.abi).offsets:
                    self._unknown(words[number : end + 1], at)
                made.append(f"{self.facts.ask(kind, name, self.abi)}UL")
                number = end
            else:
                made.append(word)
            number += 1
        return made

    def _type(self, words: list[str], at: Node | int) -> Type:
        return self.find(words) or self._unknown(words, at)

    def _unknown(self, words: list[str], at: Node | int) -> NoReturn:
        told = " ".join(words)[:60]
        self.syntax.fail(at, f"{told!r} has no known size here{self.missing(told)}")


def _cast(words: list[str], number: int) -> bool:
    """Whether a name is part of ``(type)``: arithmetic knows which types there are."""
    first = number
    while first and _NAME.fullmatch(words[first - 1]):
        first -= 1
    while number + 1 < len(words) and _NAME.fullmatch(words[number + 1]):
        number += 1
    known = arithmetic.cast(" ".join(words[first : number + 1]), 64) is not None
    return known and words[first - 1 : first] == ["("] and words[number + 1 : number + 2] == [")"]


def _closing(words: list[str], at: int) -> int:
    """Where the bracket closes that opens at this place; 0 if none opens."""
    if words[at : at + 1] != ["("]:
        return 0
    depth = 0
    for number in range(at, len(words)):
        depth += (words[number] == "(") - (words[number] == ")")
        if not depth:
            return number
    return 0

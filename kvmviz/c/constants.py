"""What the text's constant expressions are worth: array sizes, widths, alignments, enums."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from kvmviz.abi import Abi
from kvmviz.c import arithmetic, sizes, target
from kvmviz.c.arithmetic import Machine
from kvmviz.c.source import shortened
from kvmviz.c.syntax import Syntax
from kvmviz.ctype import Scalar, Type

if TYPE_CHECKING:
    from tree_sitter import Node

_NAME = re.compile(r"[A-Za-z_]\w*")
_ALIGN = ("_Alignof", "__alignof__", "__alignof")


class Constants:
    """The text's integer constants, by name; ``find`` gives the type that words stand for."""

    def __init__(
        self,
        syntax: Syntax,
        abi: Abi,
        facts: target.Facts,
        find: Callable[[list[str]], Type | None],
    ) -> None:
        self.syntax, self.abi, self.facts, self.find = syntax, abi, facts, find
        self.values: dict[str, int] = {}
        self.missing: Callable[[str], str] = str

    def value(self, at: Node | int, words: list[str] | None = None) -> int:
        """The value of an expression: the node's, or that of the words."""
        if words is None:
            assert not isinstance(at, int)
            words = self.syntax.opened(self.syntax.words(at))
        if len(words) == 1 and words[0].isdigit() and words[0][0] != "0" and len(words[0]) < 10:
            return int(words[0])
        if len(words) > arithmetic.MAX_WORDS:
            most = f"{arithmetic.MAX_WORDS} words and signs, macros put in"
            self.syntax.fail(at, f"an expression of more than {most}")
        told = " ".join(words)
        found = self._sum(self._known(words, at))
        if found is None:
            legal = f"integers of up to 64 bits with {arithmetic.SIGNS}"
            self.syntax.fail(at, f"{shortened(told)!r} cannot be computed; legal are {legal}")
        return found

    def biggest(self, at: int) -> int:
        """The alignment of ``aligned`` without a number (gcc manual, Common Type Attributes)."""
        name = "__BIGGEST_ALIGNMENT__"
        found = self.facts.macros[name] = target.macros(self.abi)[name]
        self.facts.macros["__mips"] = target.macros(self.abi).get("__mips")
        if self.abi.family == "mips":
            self.syntax.fail(at, f"'aligned' without a number: gcc has {found} here, clang 16")
        return int(found)

    def _known(self, words: list[str], at: Node | int) -> list[str]:
        """The words, with numbers for sizes, alignments and offsets; names are constants."""
        words = self._asked(words, at)
        for word in words:
            if _NAME.fullmatch(word) and word not in self.values:
                missing = self.missing(word)
                told = f"{word!r} is no integer constant of this text{missing}"
                self.syntax.source.fail(self.syntax.operand(at, word), told)
        return words

    def _sum(self, words: list[str]) -> int | None:
        """The value here; what it owes to the ABI becomes a fact."""
        macros = target.macros(self.abi)
        signed = [name not in macros for name in ("__CHAR_UNSIGNED__", "__WCHAR_UNSIGNED__")]
        here = Machine(self.abi.word_bits, *signed)
        found = self._on(words, here)
        for name, other in here.others().items():
            if self._on(words, other) != found:
                self.facts.macros[name] = macros.get(name)
        return found

    def _on(self, words: list[str], machine: Machine) -> int | None:
        try:
            return arithmetic.compute(words, self.values, machine)
        except (ValueError, ArithmeticError, IndexError, RecursionError):
            return None

    def _asked(self, words: list[str], at: Node | int) -> list[str]:
        """The words, with numbers for sizes, alignments and offsets, and casts as one word."""
        made: list[str] = []
        number = 0
        while number < len(words):
            word = words[number]
            end = sizes.closing(words, number + 1) if number + 1 < len(words) else 0
            if word in ("sizeof", "offsetof", *_ALIGN) and end:
                made.append(f"{self._answer(word, words[number + 2 : end], at)}UL")
                number = end
            elif word in ("sizeof", *_ALIGN):
                self.syntax.fail(at, f"{word!r} without brackets is not supported")
            elif word == "(" and (cast := self._cast(words, number)):
                made.append(cast)
                number = sizes.closing(words, number)
            else:
                made.append(word)
            number += 1
        return made

    def _answer(self, word: str, words: list[str], at: Node | int) -> int:
        """What one ``sizeof`` or its like says of the words in its brackets."""

        def value(inner: list[str]) -> int:
            return self.value(at, inner)

        if "{" in words:
            self.syntax.fail(at, f"a definition in {word!r} is not supported")
        if word == "offsetof" and "," in words:
            comma = words.index(",")
            whole = sizes.named(words[:comma], self.find, value)
            path = tuple(sizes.steps(words[comma + 1 :], value))
            if whole is None or not path or sizes.member(whole, path, self.abi) is None:
                self._unknown([word, "(", *words, ")"], at)
            return self.facts.ask(whole, path, self.abi)
        kind = sizes.sized(words, self.find, value, self.abi)
        if kind is None and word == "sizeof" and any(one[0].isdigit() for one in words):
            return self._width(words, at)
        kind = kind or self._unknown(words, at)
        what = word if word in ("sizeof", "_Alignof") else "__alignof__"
        return self.facts.ask(kind, what, self.abi)

    def _width(self, words: list[str], at: Node | int) -> int:
        """The size of an integer expression in bytes."""
        words = self._known(words, at)
        macros, long = target.macros(self.abi), self.abi.word_bits
        try:
            here, there = (
                arithmetic.width(words, self.values, Machine(n)) for n in (long, 96 - long)
            )
        except (ValueError, ArithmeticError, IndexError, RecursionError):
            self._unknown(words, at)
        if here != there:
            self.facts.macros["__SIZEOF_LONG__"] = macros["__SIZEOF_LONG__"]
        return here // 8

    def _cast(self, words: list[str], at: int) -> str:
        """A cast to an integer type as one word of :mod:`kvmviz.c.arithmetic`; else nothing."""
        end = sizes.is_cast(words, at)
        inner = words[at + 1 : end]
        kind = self.find(inner) if end and inner[0] not in self.values else None
        return arithmetic.cast(kind) if isinstance(kind, Scalar) else ""

    def _unknown(self, words: list[str], at: Node | int) -> NoReturn:
        told = " ".join(words)
        self.syntax.fail(at, f"{shortened(told)!r} has no known size here{self.missing(told)}")

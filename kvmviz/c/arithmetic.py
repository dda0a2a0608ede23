"""Constant expressions as C computes them: every value has a width and a sign."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from kvmviz.ctype import Scalar

Number = tuple[int, int, bool]
"""A value, its width, whether it is signed."""

MAX_WORDS = 4096
"""Words and signs in one expression."""
SIGNS = "( ) + - * / % << >> & ^ | ~ ! ?: and comparisons"
_LITERAL = re.compile(
    r"(0[xX][0-9a-fA-F]+|0[bB][01]+|0[0-7]*|[1-9][0-9]*)([uU](l|L|ll|LL)?|(l|L|ll|LL)[uU]?)?"
)
_CHARACTER = re.compile(r"L?'(?:([ -\[\]-~])|\\([0-7]{1,3})|\\x([0-9a-fA-F]{1,2})|\\(.))'")
_ESCAPES = dict(zip("nrtabfve\\'\"?", b"\n\r\t\a\b\f\v\x1b\\'\"?", strict=True))
_RANKS = ("||", "&&", "|", "^", "&", "== !=", "< > <= >=", "<< >>", "+ -", "* / %")
_RANK = {sign: rank for rank, signs in enumerate(_RANKS, 1) for sign in signs.split()}
_OPERATORS: Mapping[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "<<": operator.lshift,
    ">>": operator.rshift,
    "&": operator.and_,
    "|": operator.or_,
    "^": operator.xor,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
    "&&": lambda left, right: bool(left) and bool(right),
    "||": lambda left, right: bool(left) or bool(right),
}


@dataclass(frozen=True)
class Machine:
    """What the target decides: the width of ``long``, the signs of ``char`` and ``wchar_t``.

    ``least`` is the width of a plain number: 32 in C, 64 in a condition of the preprocessor.
    """

    long: int
    char_signed: bool = True
    wide_signed: bool = True
    least: int = 32

    def others(self) -> dict[str, Machine]:
        """Machines that differ in one thing, by the macro which tells C of it."""
        return {
            "__SIZEOF_LONG__": replace(self, long=96 - self.long),
            "__CHAR_UNSIGNED__": replace(self, char_signed=not self.char_signed),
            "__WCHAR_UNSIGNED__": replace(self, wide_signed=not self.wide_signed),
        }


CONDITION = Machine(64, least=64)
"""Where conditions of the preprocessor are computed."""


def compute(words: Sequence[str], constants: Mapping[str, int], machine: Machine) -> int:
    """The value of an expression, given the words of it; a cast is one word, as of :func:`cast`.

    Raises ValueError, ArithmeticError or IndexError for what is no expression or has no value.
    """
    return _Sum([*words, ""], constants, machine).whole()[0]


def width(words: Sequence[str], constants: Mapping[str, int], machine: Machine) -> int:
    """The width of an expression's value in bits; raises as :func:`compute` does."""
    return _Sum([*words, ""], constants, machine).whole()[1]


def cast(kind: Scalar) -> str:
    """A cast to this type as a word of :func:`compute`; empty for a type that it does not know."""
    if kind.kind == "bool":
        return "(bool)"
    if kind.kind != "integer" or kind.bits > 64:
        return ""
    return f"({'?' if kind.signed is None else 'us'[kind.signed]}{kind.bits})"


class _Sum:
    def __init__(self, words: list[str], constants: Mapping[str, int], machine: Machine) -> None:
        self.words, self.constants, self.machine = words, constants, machine
        self.at = self.idle = 0

    def whole(self) -> Number:
        found = self.choice()
        if self.words[self.at]:
            raise ValueError(self.words[self.at])
        return found

    def next(self) -> str:
        self.at += 1
        return self.words[self.at - 1]

    def expect(self, word: str) -> None:
        if self.next() != word:
            raise ValueError(word)

    def aside(self, known: bool, part: Callable[[], Number]) -> Number:
        """A part which C does not evaluate where the value is known without it."""
        self.idle += known
        found = part()
        self.idle -= known
        return found

    def choice(self) -> Number:
        """``a ? b : c``, or what has no ``?``."""
        left = self.binary(1)
        if self.words[self.at] != "?":
            return left
        self.at += 1
        # GNU C: what is left out is the condition itself.
        short = self.words[self.at] == ":"
        yes = left if short else self.aside(not left[0], self.choice)
        self.expect(":")
        no = self.aside(bool(left[0]), self.choice)
        _, bits, signed = _common(yes, no)
        return _fit(yes[0] if left[0] else no[0], bits, signed)

    def binary(self, rank: int) -> Number:
        """Operators of that rank and above."""
        left = self.unary()
        while (mine := _RANK.get(self.words[self.at], 0)) >= rank:
            sign = self.next()
            known = (sign == "&&" and not left[0]) or (sign == "||" and bool(left[0]))
            right = self.aside(known, lambda mine=mine: self.binary(mine + 1))  # type: ignore[misc]
            try:
                left = _apply(sign, left, right, self.machine.least)
            except (ValueError, ArithmeticError):
                if not self.idle:
                    raise
                left = 0, 64, True
        return left

    def unary(self) -> Number:
        word = self.next()
        if word == "(":
            value = self.choice()
            self.expect(")")
            return value
        if word in ("-", "+", "~", "!"):
            number, bits, signed = self.unary()
            if word == "!":
                return int(not number), self.machine.least, True
            return _fit({"-": -number, "+": number, "~": ~number}[word], bits, signed)
        if word[:1] == "(":
            return self.converted(word[1:-1])
        if word in self.constants:
            return _typed(self.constants[word], True, self.machine.least)
        if word[:1] in ("'", "L") and word[-1] == "'":
            number = character(word)
            if word[0] == "L":
                return number, 32, self.machine.wide_signed
            negative = self.machine.char_signed and number > 0x7F
            return number - 256 if negative else number, 32, True
        match = _LITERAL.fullmatch(word)
        if match is None:
            raise ValueError(word)
        octal = match[1].isdigit() and match[1][0] == "0"
        number, suffix = int(match[1], 8 if octal else 0), word[match.end(1) :].lower()
        least = self.machine.long if "l" in suffix else self.machine.least
        least = 64 if "ll" in suffix else least
        return _typed(number, octal or not match[1].isdigit(), least, "u" in suffix)

    def converted(self, name: str) -> Number:
        """What follows, as a type of that name holds it; narrow ones are promoted to int."""
        number = self.unary()[0]
        if name == "bool":
            return int(bool(number)), 32, True
        bits = int(name[1:]) or self.machine.long
        signed = self.machine.char_signed if name[0] == "?" else name[0] == "s"
        number %= 1 << bits
        number -= (1 << bits) if signed and number >> bits - 1 else 0
        return number, max(bits, 32), signed or bits < 32


def character(word: str) -> int:
    """The byte that a character constant stands for; ValueError for what is none."""
    match = _CHARACTER.fullmatch(word)
    if match is None or (match[4] and match[4] not in _ESCAPES):
        raise ValueError(word)
    if match[1]:
        return ord(match[1])
    return (
        int(match[2], 8) & 0xFF
        if match[2]
        else int(match[3] or "0", 16) or _ESCAPES.get(match[4], 0)
    )


def _typed(number: int, unsigned: bool, least: int = 32, only: bool = False) -> Number:
    """The first type of C that holds a literal; ``unsigned`` ones too where they may."""
    for bits in (32, 64):
        for signed in (True, False):
            legal = not only if signed else unsigned or only
            if bits >= least and legal and _fits(number, bits, signed):
                return number, bits, signed
    raise ValueError(number)


def _fits(number: int, bits: int, signed: bool) -> bool:
    return -(1 << bits - 1) <= number < 1 << bits - 1 if signed else 0 <= number < 1 << bits


def _fit(number: int, bits: int, signed: bool) -> Number:
    """A result: unsigned ones wrap around, signed ones must not."""
    if not signed:
        number %= 1 << bits
    if not _fits(number, bits, signed):
        raise ValueError(number)
    return number, bits, signed


def _common(left: Number, right: Number) -> Number:
    """Width and sign in which C computes with two values."""
    bits = max(left[1], right[1])
    return 0, bits, all(signed for _, wide, signed in (left, right) if wide == bits)


def _apply(sign: str, left: Number, right: Number, least: int) -> Number:
    _, bits, signed = _common(left, right)
    if sign in ("<<", ">>"):
        _, bits, signed = left
        if not 0 <= right[0] < bits:
            raise ValueError(right[0])
        number = _OPERATORS[sign](left[0], right[0])
        if sign == "<<" and signed:
            # gcc and clang let a bit reach the sign: 1 << 31 is the smallest int.
            if left[0] < 0 or number >> bits:
                raise ValueError(number)
            number = (number ^ 1 << bits - 1) - (1 << bits - 1)
        return _fit(number, bits, signed)
    if sign in ("&&", "||"):
        return int(_OPERATORS[sign](left[0], right[0])), least, True
    first, second = _fit(left[0], bits, signed)[0], _fit(right[0], bits, signed)[0]
    if sign in ("/", "%"):
        number = abs(first) // abs(second) * (-1 if (first < 0) != (second < 0) else 1)
        return _fit(number if sign == "/" else first - number * second, bits, signed)
    number = int(_OPERATORS[sign](first, second))
    return (number, least, True) if _RANK[sign] in (6, 7) else _fit(number, bits, signed)

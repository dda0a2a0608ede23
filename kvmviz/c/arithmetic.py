"""Constant expressions as C computes them: every value has a width and a sign.

What a value owes to its target shows when its expression is read again with other answers.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple, NoReturn

from kvmviz.c.source import MAX_DEPTH, Cursor, Source, Token
from kvmviz.ctype import Scalar

MAX_WORDS = 4096
"""Words and signs in one expression."""
SIGNS = "( ) + - * / % << >> & ^ | ~ ! ?: and comparisons"
_LITERAL = re.compile(
    r"(0[xX][0-9a-fA-F]+|0[bB][01]+|0[0-7]*|[1-9][0-9]*)([uU](l|L|ll|LL)?|(l|L|ll|LL)[uU]?)?"
)
SIGN = re.compile(r"\\([0-7]{1,3})|\\x([0-9a-fA-F]+)|\\([nrtabfve\\'\"?])|([ -\[\]-~])")
"""A character between quotes: in octal, in hexadecimal, by its letter, plain."""
_ESCAPES = dict(zip("nrtabfve\\'\"?", b"\n\r\t\a\b\f\v\x1b\\'\"?", strict=True))
_CHARACTERS = {"": 8, "u": 16, "U": 32, "L": 32}
"""Bits of a character by what stands in front of its quote: char16_t, char32_t, wchar_t."""
_RANKS = ("||", "&&", "|", "^", "&", "== !=", "< > <= >=", "<< >>", "+ -", "* / %")
_RANK = {sign: rank for rank, signs in enumerate(_RANKS, 1) for sign in signs.split()}
OTHERS: Mapping[str, tuple[int, int]] = {
    "long": (32, 64), "char": (0, 1), "wide": (0, 1), "enum": (0, 1),
}  # fmt: skip
"""What an expression may ask of its target, and the answers that there are.

The width of ``long`` in bits; whether ``char`` and ``wchar_t`` are signed; whether a constant that
fits an int has the type of its enum where others do not fit (clang) or is an int (gcc).
"""


class Number(NamedTuple):
    """A value, its width in bits, whether it is signed; the value is None where C has none."""

    value: int | None
    bits: int
    signed: bool


class Expressions(Cursor):
    """Reads constant expressions; names and what only C knows are a subclass's.

    ``answers`` are what the target says to the questions of :data:`OTHERS`, ``asked`` those that
    were put. ``least`` is the width of a plain number: 32 in C, 64 in a condition.
    """

    least = 32

    def __init__(self, source: Source, tokens: Sequence[Token], answers: Mapping[str, int]) -> None:
        super().__init__(source, tokens)
        self.answers, self.asked = answers, set[str]()
        self.depth = self.begun = 0

    def ask(self, what: str) -> int:
        """One of the answers."""
        self.asked.add(what)
        return self.answers[what]

    def again(self, start: int, answers: Mapping[str, int]) -> Number:
        """The value of the expression that begins at a word, on a target with these answers."""
        self.n, self.answers = start, answers
        return self.expression()

    def depends(
        self,
        start: int,
        names: Collection[str],
        key: Callable[[Number], Any] = lambda number: number.value,
    ) -> set[str]:
        """Those of the names on whose answers, taken together, the value just read depends."""
        own, stop, known, found = self.answers, self.n, set[str](), set[Any]()
        while len(found) < 2 and (new := (self.asked & set(names)) - known):
            known |= new
            for some in product(*(OTHERS[name] for name in sorted(known))):
                answers = {**own, **dict(zip(sorted(known), some, strict=True))}
                found.add(key(self.again(start, answers)))
        self.n, self.answers = stop, own
        return known if len(found) > 1 else set()

    def expression(self) -> Number:
        """``a ? b : c``, or what has no ``?``."""
        if not self.depth:
            self.begun = self.n
        self.depth += 1
        if self.depth > MAX_DEPTH + 1:
            self.fail(f"more than {MAX_DEPTH} expressions inside each other")
        made, rows = self.binary(), list[tuple[Number, Number]]()
        while self.take("?"):
            # GNU C: what is left out is the condition itself.
            rows.append((made, made if self.word == ":" else self.expression()))
            self.expect(":")
            made = self.binary()
        for condition, yes in reversed(rows):
            value = (yes if condition.value else made).value
            made = _fit(None if condition.value is None else value, *_common(yes, made))
        self.depth -= 1
        return made

    def binary(self) -> Number:
        """Operands with operators between them, which bind by their rank."""
        operands: list[Number] = []
        waiting: list[str] = []
        while True:
            operands.append(self.unary())
            rank = _RANK.get(self.word, 0)
            while waiting and _RANK[waiting[-1]] >= rank:
                right, left = operands.pop(), operands.pop()
                operands.append(self.applied(waiting.pop(), left, right))
            if not rank:
                return operands[0]
            waiting.append(self.next())

    def unary(self) -> Number:
        """An operand behind signs and casts."""
        signs: list[str | Scalar] = []
        made: Number | None = None
        while made is None:
            if self.n - self.begun > MAX_WORDS:
                most = f"{MAX_WORDS} words and signs, macros put in"
                self.fail(f"an expression of more than {most}", self.begun)
            if self.word in ("-", "+", "~", "!"):
                signs.append(self.next())
            elif kind := self.converted():
                signs.append(kind)
            elif (made := self.operand()) is None:
                signs.append("sizeof")
        for sign in reversed(signs):
            made = self.signed(sign, made) if isinstance(sign, str) else self.cast(sign, made)
        return made

    def converted(self) -> Scalar | None:
        """The integer type of a cast, if one stands here."""
        return None

    def operand(self) -> Number | None:
        """A number, a name, or an expression in brackets; None as :meth:`name`."""
        word = self.word
        if self.take("("):
            made = self.expression()
            self.expect(")")
            return made
        if word[:1].isdigit() or word[:1] == ".":
            return self.literal(self.next())
        if word[-1:] == "'":
            return self.character(self.next())
        if word.isidentifier():
            return self.name()
        self.expected("an expression")

    def name(self) -> Number | None:
        """What a name is worth; None for a ``sizeof``, which is read, of an operand behind it."""
        raise NotImplementedError

    def literal(self, word: str) -> Number:
        """A number as C writes it: the first type that holds it, unsigned ones where they may."""
        match = _LITERAL.fullmatch(word)
        if match is None:
            self.uncomputed(word)
        octal = match[1].isdigit() and match[1][0] == "0"
        value, suffix = int(match[1], 8 if octal else 0), (match[2] or "").lower()
        unsigned, only = octal or not match[1].isdigit(), "u" in suffix
        least = 64 if "ll" in suffix else self.ask("long") if "l" in suffix else 32
        for bits in (32, 64):
            for signed in (True, False):
                legal = not only if signed else unsigned or only
                if max(least, self.least) <= bits and legal and fits(value, bits, signed):
                    return Number(value, bits, signed)
        return Number(None, 64, False)

    def character(self, word: str) -> Number:
        """A character constant: of its own type or an int; in a condition, with the type's sign."""
        prefix, _, text = word[:-1].partition("'")
        match, bits = SIGN.fullmatch(text), _CHARACTERS[prefix]
        value = _code(match) if match else 1 << bits
        if value >> bits:
            self.uncomputed(word)
        signed = prefix in ("", "L") and bool(self.ask("wide" if prefix else "char"))
        value = _wrapped(value, bits, signed)
        if self.least > 32:
            return Number(value, self.least, signed)
        return Number(value, bits, signed) if prefix else Number(value, 32, True)

    def uncomputed(self, told: str, n: int | None = None) -> NoReturn:
        """Raise for what has no value."""
        legal = f"integers of up to 64 bits with {SIGNS}"
        self.fail(f"{told!r} cannot be computed; legal are {legal}", self.n - 1 if n is None else n)

    # --- what operators make -----------------------------------------------------------------

    def size(self, value: int) -> Number:
        """What ``sizeof`` and its like say: a ``size_t``."""
        return Number(value, self.ask("long"), False)

    def cast(self, kind: Scalar, number: Number) -> Number:
        """A value as an integer of that type."""
        value, is_bool = number.value, kind.kind == "bool"
        bits = kind.bits or self.ask("long")
        signed = bool(self.ask("char")) if kind.signed is None else kind.signed
        if value is not None:
            value = int(value != 0) if is_bool else _wrapped(value, bits, signed)
        return Number(value, bits, signed)

    def truth(self, value: object) -> Number:
        """What is true or false; None stays what has no value."""
        return Number(None if value is None else int(bool(value)), self.least, True)

    def signed(self, sign: str, number: Number) -> Number:
        """A value behind a sign, or behind ``sizeof``."""
        if sign == "sizeof":
            return self.size(number.bits // 8)
        value, bits, signed = _promoted(number)
        if sign == "!":
            return self.truth(None if value is None else not value)
        if value is not None:
            value = -value if sign == "-" else ~value if sign == "~" else value
        return _fit(value, bits, signed)

    def applied(self, sign: str, left: Number, right: Number) -> Number:
        """What an operator makes of two values."""
        if sign in ("&&", "||"):
            # What one side settles needs no other one.
            for one in (left, right):
                if one.value is not None and bool(one.value) == (sign == "||"):
                    return self.truth(one.value)
            return self.truth(None if left.value is None else right.value)
        shifts = sign in ("<<", ">>")
        bits, signed = _promoted(left)[1:] if shifts else _common(left, right)
        first = _fit(left.value, bits, signed).value
        second = right.value if shifts else _fit(right.value, bits, signed).value
        value: int | None = None
        if first is not None and second is not None and sign in _BOUNDED:
            value = _BOUNDED[sign](first, second, bits, signed)
        elif first is not None and second is not None:
            value = _PLAIN[sign](first, second)
        return self.truth(value) if sign in _COMPARISONS else _fit(value, bits, signed)


def _code(sign: re.Match[str]) -> int:
    """The value of a character between quotes."""
    octal, digits, letter, plain = sign.groups()
    if octal or digits:
        return int(octal or digits, 8 if octal else 16)
    return _ESCAPES[letter] if letter else ord(plain)


def fits(value: int, bits: int, signed: bool) -> bool:
    """Whether an integer of that width and sign holds the value."""
    return -(1 << bits - 1) <= value < 1 << bits - 1 if signed else 0 <= value < 1 << bits


def _fit(value: int | None, bits: int, signed: bool) -> Number:
    """A result: unsigned ones wrap around, signed ones must not."""
    if value is not None and not signed:
        value %= 1 << bits
    return Number(value if value is not None and fits(value, bits, signed) else None, bits, signed)


def _promoted(number: Number) -> Number:
    """What is narrower than an int is one in whatever it is used for."""
    return number if number.bits >= 32 else Number(number.value, 32, True)


def _common(left: Number, right: Number) -> tuple[int, bool]:
    """Width and sign in which C computes with two values."""
    left, right = _promoted(left), _promoted(right)
    bits = max(left.bits, right.bits)
    return bits, all(one.signed for one in (left, right) if one.bits == bits)


def _raised(value: int, by: int, bits: int, signed: bool) -> int | None:
    """``<<``, whatever bits fall out or reach the sign, as gcc and clang have it in enumerators.

    To gcc, by the width or more leaves nothing; clang shifts by the width less 1.
    """
    most = _wrapped(value << min(by, bits - 1), bits, signed) if by >= 0 else None
    return most if by < bits or most == 0 else None


def _lowered(value: int, by: int, bits: int, signed: bool) -> int | None:
    most = value >> min(by, bits - 1) if by >= 0 else None
    return most if by < bits or most != 1 else None


def _wrapped(value: int, bits: int, signed: bool) -> int:
    """A value cut to its lowest bits."""
    value %= 1 << bits
    return value - (1 << bits) if signed and value >> bits - 1 else value


def _divided(first: int, second: int, bits: int, signed: bool) -> int | None:
    """``/``, rounded towards 0."""
    if not second:
        return None
    value = abs(first) // abs(second) * (-1 if (first < 0) != (second < 0) else 1)
    return value if fits(value, bits, signed) else None


def _rest(first: int, second: int, bits: int, signed: bool) -> int | None:
    value = _divided(first, second, bits, signed)
    return None if value is None else first - value * second


_COMPARISONS = {
    "==": operator.eq, "!=": operator.ne,
    "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge,
}  # fmt: skip
_PLAIN: Mapping[str, Callable[[int, int], int]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul,
    "&": operator.and_, "|": operator.or_, "^": operator.xor, **_COMPARISONS,
}  # fmt: skip
_BOUNDED: Mapping[str, Callable[[int, int, int, bool], int | None]] = {
    "<<": _raised, ">>": _lowered, "/": _divided, "%": _rest,
}  # fmt: skip
"""Operators that have no value for some operands, by the width in bits and the sign."""

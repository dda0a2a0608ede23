"""Constant expressions as C computes them: every value has a width and a sign.

An expression is read once and kept as steps for a stack, since its value may differ by ABI:
:func:`run` computes it on one machine, :func:`depends` says which of its answers matter.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple, NoReturn

from kvmviz.c.source import MAX_DEPTH, Cursor

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


class Machine:
    """What the target answers, and what it was ``asked``.

    ``least`` is the width of a plain number: 32 in C, 64 in a condition of the preprocessor.
    ``unknown`` is the value of a name that nobody knows there.
    """

    def __init__(
        self, answers: Mapping[str, int], least: int = 32, unknown: int | None = 0
    ) -> None:
        self.answers, self.least, self.unknown = answers, least, unknown
        self.asked: set[str] = set()

    def ask(self, what: str) -> int:
        """One of the answers."""
        self.asked.add(what)
        return self.answers[what]


Step = tuple[int, Callable[..., Number]]
"""How many numbers it takes from the stack, and what it makes of them and the machine."""


def run(steps: Sequence[Step], machine: Machine) -> Number:
    """What the steps come to."""
    stack: list[Number] = []
    for count, made in steps:
        at = len(stack) - count
        stack[at:] = [made(machine, *stack[at:])]
    return stack[0]


def depends(
    steps: Sequence[Step],
    answers: Mapping[str, int],
    names: Collection[str],
    least: int = 32,
    key: Callable[[Number], Any] = lambda number: number.value,
) -> set[str]:
    """Those of the names of :data:`OTHERS` on whose answers, taken together, the value depends."""
    machine = Machine(answers, least)
    first = key(run(steps, machine))
    asked: set[str] = set()
    while new := (machine.asked & set(names)) - asked:
        asked |= new
        rows = sorted(asked)
        found = []
        for some in product(*(OTHERS[name] for name in rows)):
            machine.answers = {**answers, **dict(zip(rows, some, strict=True))}
            found.append(key(run(steps, machine)))
        if any(one != first for one in found):
            return asked
    return set()


def constant(number: Number) -> Step:
    """A number that is the same on every machine."""
    return 0, lambda machine: number


def size(value: int) -> Step:
    """What ``sizeof`` and its like say: a ``size_t``."""
    return 0, lambda machine: Number(value, machine.ask("long"), False)


def width(steps: Sequence[Step]) -> Step:
    """The size of an expression's value in bytes."""
    return 0, lambda machine: Number(run(steps, machine).bits // 8, machine.ask("long"), False)


def enumerator(value: int, bits: int, signed: bool) -> Step:
    """A constant of an enum whose type has that width and sign, once the enum is complete."""
    own, plain = Number(value, bits, signed), Number(value, 32, True)
    if own == plain or not fits(value, 32, True):
        return constant(own)
    return 0, lambda machine: own if machine.ask("enum") else plain


def cast(bits: int, signed: bool | None, is_bool: bool) -> Step:
    """A cast to an integer type; no bits are those of ``long``, no sign is that of ``char``."""

    def made(machine: Machine, number: Number) -> Number:
        if is_bool:
            return Number(None if number.value is None else int(bool(number.value)), 8, False)
        wide = bits or machine.ask("long")
        sign = bool(machine.ask("char")) if signed is None else signed
        value = number.value
        return Number(None if value is None else _wrapped(value, wide, sign), wide, sign)

    return 1, made


class Expressions(Cursor):
    """Reads constant expressions; names and what only C knows are a subclass's."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.depth = self.begun = 0

    def expression(self) -> list[Step]:
        """``a ? b : c``, or what has no ``?``."""
        if not self.depth:
            self.begun = self.n
        self.depth += 1
        if self.depth > MAX_DEPTH + 1:
            self.fail(f"more than {MAX_DEPTH} expressions inside each other")
        parts = [self.binary()]
        while self.take("?"):
            # GNU C: what is left out is the condition itself.
            parts.append([] if self.word == ":" else self.expression())
            self.expect(":")
            parts.append(self.binary())
        made = parts.pop()
        while parts:
            yes, condition = parts.pop(), parts.pop()
            made = [*condition, *yes, *made, _CHOICE if yes else _SHORT]
        self.depth -= 1
        return made

    def binary(self) -> list[Step]:
        """Operands with operators between them, which bind by their rank."""
        made: list[Step] = []
        waiting: list[str] = []
        while True:
            made += self.unary()
            rank = _RANK.get(self.word, 0)
            while waiting and _RANK[waiting[-1]] >= rank:
                made.append(_BINARY[waiting.pop()])
            if not rank:
                return made
            waiting.append(self.next())

    def unary(self) -> list[Step]:
        """An operand behind signs and casts."""
        signs: list[Step] = []
        while True:
            if self.n - self.begun > MAX_WORDS:
                most = f"{MAX_WORDS} words and signs, macros put in"
                self.fail(f"an expression of more than {most}", self.begun)
            if self.word in _UNARY:
                signs.append(_UNARY[self.next()])
            elif made := self.converted():
                signs.append(made)
            else:
                return [*self.operand(), *reversed(signs)]

    def converted(self) -> Step | None:
        """A cast, if one stands here."""
        return None

    def operand(self) -> list[Step]:
        """A number, a name, or an expression in brackets."""
        word = self.word
        if self.take("("):
            made = self.expression()
            self.expect(")")
            return made
        if word[:1].isdigit() or word[:1] == ".":
            return [self.literal(self.next())]
        if word[-1:] == "'":
            return [self.character(self.next())]
        if word.isidentifier():
            return self.name()
        self.expected("an expression")

    def name(self) -> list[Step]:
        """What a name is worth."""
        raise NotImplementedError

    def literal(self, word: str) -> Step:
        """A number as C writes it: the first type that holds it, unsigned ones where they may."""
        match = _LITERAL.fullmatch(word)
        if match is None:
            self.uncomputed(word)
        octal = match[1].isdigit() and match[1][0] == "0"
        value, suffix = int(match[1], 8 if octal else 0), (match[2] or "").lower()
        unsigned, only = octal or not match[1].isdigit(), "u" in suffix

        def made(machine: Machine) -> Number:
            least = 64 if "ll" in suffix else machine.ask("long") if "l" in suffix else 32
            for bits in (32, 64):
                for signed in (True, False):
                    legal = not only if signed else unsigned or only
                    wide = max(least, machine.least) <= bits
                    if wide and legal and fits(value, bits, signed):
                        return Number(value, bits, signed)
            return Number(None, 64, False)

        return 0, made

    def character(self, word: str) -> Step:
        """A character constant: an int, or in a condition a number with the sign of char."""
        match = _CHARACTER.fullmatch(word)
        if match is None or (match[4] and match[4] not in _ESCAPES):
            self.uncomputed(word)
        byte = ord(match[1]) if match[1] else int(match[2], 8) & 0xFF if match[2] else -1
        byte = byte if byte >= 0 else int(match[3] or "0", 16) or _ESCAPES.get(match[4], 0)

        def made(machine: Machine) -> Number:
            signed = bool(machine.ask("wide" if word[0] == "L" else "char"))
            value = byte - 256 if signed and byte > 0x7F and word[0] != "L" else byte
            if word[0] == "L" or machine.least > 32:
                return Number(value, machine.least, signed)
            return Number(value, 32, True)

        return 0, made

    def uncomputed(self, told: str, n: int | None = None) -> NoReturn:
        """Raise for what has no value."""
        legal = f"integers of up to 64 bits with {SIGNS}"
        self.fail(f"{told!r} cannot be computed; legal are {legal}", self.n - 1 if n is None else n)


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


def _negated(sign: str) -> Step:
    def made(machine: Machine, number: Number) -> Number:
        value, bits, signed = _promoted(number)
        if sign == "!":
            return _truth(value if value is None else not value, machine)
        return _fit(None if value is None else _SIGNS[sign](value), bits, signed)

    return 1, made


def _truth(value: object, machine: Machine) -> Number:
    """What is true or false; None stays what has no value."""
    return Number(None if value is None else int(bool(value)), machine.least, True)


def _chosen(machine: Machine, condition: Number, yes: Number, no: Number) -> Number:
    value = (yes if condition.value else no).value
    return _fit(None if condition.value is None else value, *_common(yes, no))


def _applied(sign: str) -> Step:
    def made(machine: Machine, left: Number, right: Number) -> Number:
        if sign in ("&&", "||"):
            # What one side settles needs no other one.
            for one in (left, right):
                if one.value is not None and bool(one.value) == (sign == "||"):
                    return _truth(one.value, machine)
            return _truth(None if left.value is None else right.value, machine)
        shifts = sign in ("<<", ">>")
        bits, signed = _promoted(left)[1:] if shifts else _common(left, right)
        first = _fit(left.value, bits, signed).value
        second = right.value if shifts else _fit(right.value, bits, signed).value
        value: int | None = None
        if first is not None and second is not None and sign in _BOUNDED:
            value = _BOUNDED[sign](first, second, bits, signed)
        elif first is not None and second is not None:
            value = _PLAIN[sign](first, second)
        return _truth(value, machine) if sign in _COMPARISONS else _fit(value, bits, signed)

    return 2, made


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


_SIGNS: Mapping[str, Callable[[int], int]] = {
    "-": operator.neg, "+": operator.pos, "~": operator.invert,
}  # fmt: skip
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
_UNARY = {sign: _negated(sign) for sign in "-+~!"}
_BINARY = {sign: _applied(sign) for sign in _RANK}
_CHOICE: Step = (3, _chosen)
_SHORT: Step = (2, lambda machine, left, right: _chosen(machine, left, left, right))

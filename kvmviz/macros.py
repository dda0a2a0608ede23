"""What the preprocessor has to say: constants, guards, headers, ``#pragma pack``."""

from __future__ import annotations

import operator
import re
from bisect import bisect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from kvmviz.scalar import SCALARS
from kvmviz.syntax import MAX_DEPTH, MEANT, Syntax

if TYPE_CHECKING:
    from tree_sitter import Node

HEADERS = ("linux/types.h", "asm/types.h", "stdint.h", "inttypes.h")
"""Headers that may be included: of what they say, the types are built in."""
MAX_EXPRESSION = 256
"""Characters in one expression, its macros expanded."""

KEYWORDS = frozenset(
    re.findall(
        r"\w+",
        """
        auto break case char const continue default do double else enum extern float for goto if
        inline int long register restrict return short signed sizeof static struct switch typedef
        typeof union unsigned void volatile while __extension__ _Alignas _Alignof _Atomic _Bool
        _Complex _Generic _Imaginary _Noreturn _Static_assert _Thread_local asm
        """,
    )
)
"""What C reserves: none is a name, and none may be a macro."""

_ATTRIBUTE = re.compile(r"_+packed_*|PACKED|_\w*aligned\w*|_\w*randomize_layout|__attribute\w*")
_DIRECTIVE = re.compile(r"# ?(\w*) ?(.*)")
_DEFINE = re.compile(r"([A-Za-z_]\w*)(\(| |$)(.*)")
_CONDITIONS = ("if", "ifdef", "ifndef", "elif", "else", "endif")
_NAME = re.compile(r"(?<!\w)[A-Za-z_]\w*")
_LITERAL = re.compile(
    r"(0[xX][0-9a-fA-F]+|0[bB][01]+|0[0-7]*|[1-9][0-9]*)([uU](l|L|ll|LL)?|(l|L|ll|LL)[uU]?)?"
)
_TOKENS = re.compile(r"\w+|<<|>>|<=|>=|==|!=|&&|\|\||\S")
_RANKS = ("||", "&&", "|", "^", "&", "== !=", "< > <= >=", "<< >>", "+ -", "* / %")
_RANK = {sign: rank for rank, signs in enumerate(_RANKS, 1) for sign in signs.split()}
_SIGNS = "( ) + - * / % << >> & ^ | ~ ! ?: and comparisons"
_OPERATORS: Mapping[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "<<": operator.lshift,
    ">>": operator.rshift,
    "&": operator.and_,
    "^": operator.xor,
    "|": operator.or_,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
    "&&": lambda left, right: bool(left) and bool(right),
    "||": lambda left, right: bool(left) or bool(right),
}
_SIZEOF = re.compile(r"\bsizeof *\( *(\w+(?: \w+)*) *\)")
_PACK = re.compile(r"pack ?\( ?(?:(push|pop)|(?:(push) ?, ?)?(1|2|4|8|16))? ?\)")


class Macros:
    """The macros of a text; each stands for text, which may hold other macros."""

    def __init__(self, syntax: Syntax) -> None:
        self.syntax = syntax
        self.bodies: dict[str, str] = {}
        self.offsets: dict[str, int] = {}
        self.texts: dict[str, str] = {}
        self.values: dict[str, int] = {}
        self.constants: dict[str, int] = {}
        self.packs: list[tuple[int, int]] = [(-1, 0)]
        stack: list[int] = []
        opened: list[int] = []
        lines = [(at, *_words(line)) for at, line in syntax.directives.items()]
        for number, (at, word, rest) in enumerate(lines, 1):
            after = " ".join(lines[number][1:]) if number < len(lines) else ""
            if word == "define":
                self.define(at, rest)
            elif word == "include":
                self.include(at, rest)
            elif word == "ifndef" and self.is_guard(rest, after):
                opened.append(at)
            elif word == "endif" and opened:
                opened.pop()
            elif word == "pragma" and rest.startswith("pack"):
                self.packs.append((at, self.pack(at, rest, stack)))
            elif (word, rest) not in (("pragma", "once"), ("", "")):
                title = "conditional compilation" if word in _CONDITIONS else "this directive"
                syntax.fail(at, f"{title} is not supported: {syntax.snippet(at)!r}")
        if opened:
            syntax.fail(opened[-1], "'#ifndef' is never closed")

    def pack(self, at: int, text: str, stack: list[int]) -> int:
        """What ``#pragma pack`` says from there on, 0 for nothing."""
        match = _PACK.fullmatch(text)
        if match is None:
            self.syntax.fail(at, f"this directive is not supported: {self.syntax.snippet(at)!r}")
        if at in self.syntax.inside:
            self.syntax.fail(at, "'#pragma pack' inside a declaration")
        now = self.packs[-1][1]
        if match[1] == "pop":
            if not stack:
                self.syntax.fail(at, "'#pragma pack(pop)' without a push")
            return stack.pop()
        if match[1] or match[2]:
            stack.append(now)
        return int(match[3]) if match[3] else now if match[1] else 0

    def pack_at(self, at: int) -> int:
        """What ``#pragma pack`` says at an offset, 0 for nothing."""
        return self.packs[bisect(self.packs, (at, 0)) - 1][1]

    def is_guard(self, name: str, after: str) -> bool:
        """Whether what ``#ifndef`` asks for is not there yet, and is the next to be defined."""
        return name not in self.bodies and f"{after} ".startswith(f"define {name} ")

    def include(self, at: int, header: str) -> None:
        """Pass over a header that says nothing new."""
        if header[1:-1] not in HEADERS or header[0] + header[-1] not in ("<>", '""'):
            legal = f"legal headers are {', '.join(HEADERS)}"
            self.syntax.fail(at, f"{self.syntax.snippet(at)!r} is not supported; {legal}")

    def define(self, at: int, text: str) -> None:
        """Keep a macro. One with arguments stands for nothing where there are none."""
        match = _DEFINE.fullmatch(text)
        if match is None or match[1] in KEYWORDS:
            self.syntax.fail(at, f"{self.syntax.snippet(at)!r} gives no legal name to a macro")
        name, arguments, body = match[1], match[2] == "(", match[3].strip()
        if name in MEANT and not (arguments or _spaceless(body) in MEANT[name]):
            self.syntax.fail(at, f"{self.syntax.snippet(at)!r}: {name} has another meaning here")
        if not arguments and self.bodies.setdefault(name, body) != body:
            self.syntax.fail(at, f"macro {name!r} is defined twice, with two values")
        self.offsets.setdefault(name, at)

    def stands(self, name: str, at: int) -> bool:
        """Whether the name stands for other text in this place."""
        return self.bodies.get(name, name) != name and self.offsets[name] < at

    def word(self, node: Node) -> str:
        """A word of C that is no macro."""
        word = self.syntax.text(node)
        if self.stands(word, node.start_byte):
            self.syntax.fail(node, f"{word!r} is a macro; only a number may be one")
        return word

    def name(self, node: Node) -> str:
        """A name that is given: no macro, no keyword, and not ``struct { ... } __packed;``."""
        name = self.word(node)
        if name in KEYWORDS:
            self.syntax.fail(node, f"{name!r} is a keyword and can be no name")
        if _ATTRIBUTE.fullmatch(name):
            self.syntax.refuse(node, "what looks like an attribute macro")
        return name

    def value(self, at: Node | int, written: str | None = None) -> int:
        """The value of a constant expression, macros put in as text, as C does it."""
        if written is None:
            assert not isinstance(at, int)
            written = self.syntax.text(at)
        if written not in self.values:
            self.values[written] = self._computed(written, at)
        return self.values[written]

    def _computed(self, written: str, at: Node | int) -> int:
        text = " ".join(self._expanded(written, at, 0).split())
        words = _TOKENS.findall(_SIZEOF.sub(_sizeof, text))
        for word in words:
            if _NAME.fullmatch(word) and word not in self.constants:
                self.syntax.fail(at, f"{word!r} is no integer constant of this text")
        try:
            found = {_Sum(words, self.constants, long).value() for long in (32, 64)}
        except (ValueError, ArithmeticError, IndexError, RecursionError):
            legal = f"integers of up to 64 bits with {_SIGNS}"
            self.syntax.fail(at, f"{text!r} cannot be computed; legal are {legal}")
        if len(found) > 1:
            self.syntax.fail(at, f"{text!r} is not the same where long has 32 bits and 64")
        return found.pop()

    def _expanded(self, text: str, node: Node | int, depth: int) -> str:
        """The text with every macro replaced; what a macro stands for is found only once."""
        at = node if isinstance(node, int) else node.start_byte

        def body(name: re.Match[str]) -> str:
            if self.stands(name[0], at) and name[0] not in self.texts:
                # In its own text, a macro's name stands for nothing but itself.
                self.texts[name[0]] = name[0]
                inner = self._expanded(self.bodies[name[0]], node, depth + 1)
                self.texts[name[0]] = f" {inner} "
            return self.texts.get(name[0], name[0])

        if len(text) <= MAX_EXPRESSION and depth <= MAX_DEPTH:
            text = _NAME.sub(body, text)
            if len(text) <= MAX_EXPRESSION:
                return text
        limits = f"{MAX_EXPRESSION} characters, macros expanded, or {MAX_DEPTH} macros in a row"
        self.syntax.fail(node, f"an expression of more than {limits}")


def _words(line: str) -> tuple[str, str]:
    """A directive's name and the rest of its line."""
    match = _DIRECTIVE.fullmatch(" ".join(line.split()))
    return (match[1], match[2]) if match else ("", line)


def _spaceless(text: str) -> str:
    return "".join(text.split())


def _sizeof(match: re.Match[str]) -> str:
    """The size of a type that has the same on every ABI."""
    found = SCALARS.get(match[1])
    return f"{found.size}UL" if found and found.bits else match[0]


class _Sum:
    """Computes words of C as C does it: every value has a width and a sign."""

    def __init__(self, words: list[str], constants: Mapping[str, int], long: int) -> None:
        self.words = [*words, ""]
        self.constants = constants
        self.long = long
        self.at = 0

    def value(self) -> int:
        """The value of all words."""
        value = self.choice()[0]
        if self.words[self.at]:
            raise ValueError(self.words[self.at])
        return value

    def next(self) -> str:
        self.at += 1
        return self.words[self.at - 1]

    def expect(self, word: str) -> None:
        if self.next() != word:
            raise ValueError(word)

    def choice(self) -> _Number:
        """``a ? b : c``, or what has no ``?``."""
        left = self.binary(1)
        if self.words[self.at] != "?":
            return left
        self.at += 1
        yes = self.choice()
        self.expect(":")
        no = self.choice()
        _, bits, signed = _common(yes, no)
        return _fit(yes[0] if left[0] else no[0], bits, signed)

    def binary(self, rank: int) -> _Number:
        """Operators of that rank and above."""
        left = self.unary()
        while (mine := _RANK.get(self.words[self.at], 0)) >= rank:
            sign = self.next()
            left = _apply(sign, left, self.binary(mine + 1))
        return left

    def unary(self) -> _Number:
        word = self.next()
        if word == "(":
            value = self.choice()
            self.expect(")")
            return value
        if word in ("-", "+", "~", "!"):
            number, bits, signed = self.unary()
            if word == "!":
                return int(not number), 32, True
            return _fit({"-": -number, "+": number, "~": ~number}[word], bits, signed)
        if word in self.constants:
            return _typed(self.constants[word], True)
        match = _LITERAL.fullmatch(word)
        if match is None:
            raise ValueError(word)
        octal = match[1].isdigit() and match[1][0] == "0"
        number, suffix = int(match[1], 8 if octal else 0), word[match.end(1) :].lower()
        least = 64 if "ll" in suffix else self.long if "l" in suffix else 32
        return _typed(number, octal or not match[1].isdigit(), least, "u" in suffix)


_Number = tuple[int, int, bool]
"""A value, its width, whether it is signed."""


def _typed(number: int, unsigned: bool, least: int = 32, only: bool = False) -> _Number:
    """The first type of C that holds a literal; ``unsigned`` ones too where they may."""
    for bits in (32, 64):
        for signed in (True, False):
            legal = not only if signed else unsigned or only
            if bits >= least and legal and _fits(number, bits, signed):
                return number, bits, signed
    raise ValueError(number)


def _fits(number: int, bits: int, signed: bool) -> bool:
    return -(1 << bits - 1) <= number < 1 << bits - 1 if signed else 0 <= number < 1 << bits


def _fit(number: int, bits: int, signed: bool) -> _Number:
    """A result: unsigned ones wrap around, signed ones must not."""
    if not signed:
        number %= 1 << bits
    if not _fits(number, bits, signed):
        raise ValueError(number)
    return number, bits, signed


def _common(left: _Number, right: _Number) -> _Number:
    """Width and sign in which C computes with two values."""
    bits = max(left[1], right[1])
    return 0, bits, all(signed for _, wide, signed in (left, right) if wide == bits)


def _apply(sign: str, left: _Number, right: _Number) -> _Number:
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
    first, second = _fit(left[0], bits, signed)[0], _fit(right[0], bits, signed)[0]
    if sign in ("/", "%"):
        number = abs(first) // abs(second) * (-1 if (first < 0) != (second < 0) else 1)
        return _fit(number if sign == "/" else first - number * second, bits, signed)
    number = int(_OPERATORS[sign](first, second))
    if _RANK[sign] in (1, 2, 6, 7):
        return number, 32, True
    return _fit(number, bits, signed)

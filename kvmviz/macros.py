"""What the preprocessor has to say: constants for the sizes of arrays, guards, headers."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from kvmviz.syntax import MAX_DEPTH, Syntax

if TYPE_CHECKING:
    from tree_sitter import Node

HEADERS = ("linux/types.h", "asm/types.h", "stdint.h", "inttypes.h")
"""Headers that may be included: of what they say, the types are built in."""
MAX_EXPRESSION = 256
"""Characters in one expression, its macros expanded."""
MAX_INT = (1 << 31) - 1
"""Values lie between 0 and this, where all integer types of C, signed or not, agree."""

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
_OPERATORS: Mapping[type[ast.operator], tuple[str, Callable[[int, int], int]]] = {
    ast.Add: ("+", operator.add),
    ast.Sub: ("-", operator.sub),
    ast.Mult: ("*", operator.mul),
    ast.FloorDiv: ("/", operator.floordiv),
    ast.Mod: ("%", operator.mod),
    ast.LShift: ("<<", operator.lshift),
    ast.RShift: (">>", operator.rshift),
    ast.BitAnd: ("&", operator.and_),
    ast.BitXor: ("^", operator.xor),
    ast.BitOr: ("|", operator.or_),
}
"""C and Python rank these alike."""
_SIGNS = ("(", ")", *(sign for sign, _ in _OPERATORS.values()))


class Macros:
    """The macros of a text; each stands for text, which may hold other macros."""

    def __init__(self, syntax: Syntax) -> None:
        self.syntax = syntax
        self.bodies: dict[str, str] = {}
        self.offsets: dict[str, int] = {}
        self.texts: dict[str, str] = {}
        self.values: dict[str, int] = {}
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
            elif (word, rest) not in (("pragma", "once"), ("", "")):
                title = "conditional compilation" if word in _CONDITIONS else "this directive"
                syntax.fail(at, f"{title} is not supported: {syntax.snippet(at)!r}")
        if opened:
            syntax.fail(opened[-1], "'#ifndef' is never closed")

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
        if not arguments and self.bodies.setdefault(name, body) != body:
            self.syntax.fail(at, f"macro {name!r} is defined twice, with two values")
        self.offsets.setdefault(name, at)

    def stands(self, name: str, node: Node) -> bool:
        """Whether the name stands for other text in this place."""
        return self.bodies.get(name, name) != name and self.offsets[name] < node.start_byte

    def word(self, node: Node) -> str:
        """A word of C that is no macro."""
        word = self.syntax.text(node)
        if self.stands(word, node):
            self.syntax.fail(node, f"{word!r} is a macro; only the size of an array may be one")
        return word

    def name(self, node: Node) -> str:
        """A name that is given: no macro, no keyword, and not ``struct { ... } __packed;``."""
        name = self.word(node)
        if name in KEYWORDS:
            self.syntax.fail(node, f"{name!r} is a keyword and can be no name")
        if _ATTRIBUTE.fullmatch(name):
            self.syntax.refuse(node, "what looks like an attribute macro")
        return name

    def value(self, node: Node) -> int:
        """The value of a constant expression, macros put in as text, as C does it."""
        written = self.syntax.text(node)
        if written not in self.values:
            self.values[written] = self._computed(written, node)
        return self.values[written]

    def _computed(self, written: str, node: Node) -> int:
        text = " ".join(self._expanded(written, node, 0).split())
        if unknown := _NAME.search(text):
            self.syntax.fail(node, f"{unknown[0]!r} is no integer constant of this text")
        try:
            words = [_word(word) for word in re.findall(r"\w+|<<|>>|\S", text)]
            return _value(ast.parse(" ".join(words), mode="eval").body)
        except (SyntaxError, ValueError, ArithmeticError):
            legal = f"integers of 0 .. {MAX_INT} with {' '.join(_SIGNS)}"
            self.syntax.fail(node, f"{text!r} cannot be computed; legal are {legal}")

    def _expanded(self, text: str, node: Node, depth: int) -> str:
        """The text with every macro replaced; what a macro stands for is found only once."""

        def body(name: re.Match[str]) -> str:
            if self.stands(name[0], node) and name[0] not in self.texts:
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


def _word(word: str) -> str:
    """A word of a C expression, as Python writes it."""
    if word in _SIGNS:
        return "//" if word == "/" else word
    if match := _LITERAL.fullmatch(word):
        digits = match[1]
        return str(int(digits, 8 if digits.isdigit() and digits[0] == "0" else 0))
    raise ValueError(word)


def _value(node: ast.expr) -> int:
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left, right = _value(node.left), _value(node.right)
        if isinstance(node.op, ast.LShift | ast.RShift) and right > 30:
            raise ValueError(right)
        value = _OPERATORS[type(node.op)][1](left, right)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        value = node.value
    else:
        raise ValueError(node)
    if not 0 <= value <= MAX_INT:
        raise ValueError(value)
    return value

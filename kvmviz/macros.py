"""What the preprocessor has to say: constants for the sizes of arrays, guards, headers."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from kvmviz.syntax import MAX_DEPTH, Syntax, parts

if TYPE_CHECKING:
    from tree_sitter import Node

HEADERS = ("linux/types.h", "asm/types.h", "stdint.h", "inttypes.h")
"""Headers that may be included: of what they say, the types are built in."""
MAX_EXPRESSION = 256
"""Characters in one expression, its macros expanded."""
MAX_INT = (1 << 31) - 1
"""Values lie between 0 and this, where all integer types of C, signed or not, agree."""

_SIZES = ("unsigned", "signed", "char", "short", "int", "long")
_KEYWORDS = ("struct", "union", "enum", "typedef", "const", "volatile", "__extension__", *_SIZES)
_SPACE = re.compile(r"/\*.*?\*/|\\\r?\n|\s+", re.DOTALL)
_SWALLOWED = re.compile(r"(?<!\\)(?<!\\\r)\n")
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
        self.texts: dict[str, str] = {}
        self.values: dict[str, int] = {}

    def read(self, node: Node) -> None:
        """Keep a macro, pass over what changes no layout, refuse all else."""
        found = {field: self.syntax.text(child) for field, child in parts(node)}
        if _SWALLOWED.search(found.get("value", found.get("argument", ""))):
            self.syntax.refuse(node, "a directive that ends in '/'")
        if node.type in ("preproc_def", "preproc_function_def"):
            name, body = found["name"], _SPACE.sub(" ", found.get("value", "")).strip()
            if name in _KEYWORDS:
                self.syntax.fail(node, f"macro {name!r} has the name of a keyword")
            # One with arguments stands for nothing where there are none.
            if node.type == "preproc_def" and self.bodies.setdefault(name, body) != body:
                self.syntax.fail(node, f"macro {name!r} is defined twice, with two values")
        elif node.type == "preproc_include":
            if found["path"].strip('<>"') not in HEADERS:
                legal = ", ".join(HEADERS)
                self.syntax.fail(node, f"{found['path']} is not included; legal are {legal}")
        elif _SPACE.sub(" ", self.syntax.text(node)).strip() != "#pragma once":
            self.syntax.refuse(node)

    def guarded(self, node: Node) -> list[Node]:
        """What an include guard guards; nothing if the node is no such guard."""
        word, name, *inner = (child for _, child in parts(node) if child.type != "#endif")
        if word.type != "#ifndef" or not inner or inner[0].type != "preproc_def":
            return []
        defined = inner[0].child_by_field_name("name")
        guard = self.syntax.text(name)
        same = defined is not None and self.syntax.text(defined) == guard
        return inner if same and guard not in self.bodies else []

    def name(self, node: Node) -> str:
        """A name that C code gives or uses; one that stands for other text is refused."""
        name = self.syntax.text(node)
        if self.bodies.get(name, name) != name:
            self.syntax.fail(node, f"{name!r} is a macro; only the size of an array may be one")
        return name

    def value(self, node: Node) -> int:
        """The value of a constant expression, macros put in as text, as C does it."""
        written = self.syntax.text(node)
        if written not in self.values:
            self.values[written] = self._computed(written, node)
        return self.values[written]

    def _computed(self, written: str, node: Node) -> int:
        text = " ".join(self._expanded(_SPACE.sub(" ", written), node, 0).split())
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
            if name[0] in self.bodies and name[0] not in self.texts:
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

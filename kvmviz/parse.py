"""C declarations into structs: what a header says, before any ABI has spoken.

Every node of the syntax tree is either understood or refused by name, so that nothing which
could change a layout is skipped.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kvmviz._base import KvmvizError
from kvmviz.ctype import SCALARS, Array, Member, Scalar, Struct, Type, scalar
from kvmviz.syntax import MAX_DEPTH, Syntax, parts, place

if TYPE_CHECKING:
    from tree_sitter import Node

MAX_BYTES = 1 << 20
"""Bytes of all members of a type, those of a union side by side."""
MAX_EXPRESSION = 256
"""Characters in the size of an array, its macros expanded."""
MAX_INT = (1 << 31) - 1
"""Sizes are computed between 0 and this, where all integer types of C agree."""

HEADERS = ("linux/types.h", "asm/types.h", "stdint.h", "inttypes.h")
"""Headers that may be included: of what they say, the types are built in."""

_SPACE = re.compile(r"//.*|/\*.*?\*/|\\\r?\n|\s+", re.DOTALL)
_NAME = re.compile(r"(?<!\w)[A-Za-z_]\w*")
_LITERAL = re.compile(
    r"(0[xX][0-9a-fA-F]+|0[bB][01]+|0[0-7]*|[1-9][0-9]*)([uU](l|L|ll|LL)?|(l|L|ll|LL)[uU]?)?"
)
_KEYWORDS = frozenset(
    "struct union enum typedef const volatile unsigned signed char short int long".split()
)
_HARMLESS = frozenset((",", ";", "typedef", "__extension__", "const", "volatile"))
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
_SIGNS = frozenset(("(", ")", *(sign for sign, _ in _OPERATORS.values())))


def _spellings() -> Iterator[tuple[tuple[str, ...], Scalar]]:
    for sign in ("", "signed", "unsigned"):
        for base in ("char", "short", "short int", "int", "", "long long", "long long int"):
            short = base.removesuffix(" int") or "int"
            if (sign or base) and (found := SCALARS.get(f"{sign} {short}".strip())):
                yield tuple(sorted(f"{sign} {base}".split())), found


_SPELLINGS: Mapping[tuple[str, ...], Scalar] = dict(_spellings())
"""C takes the words of a type in any order: types by their words, sorted."""


@dataclass
class _Kind:
    """A type of the text; ``type`` is None until its definition is complete.

    ``weight`` counts the bytes of all its members, ``depth`` the types that lie in each other.
    """

    name: str
    type: Type | None = None
    weight: int = 0
    depth: int = 0
    line: int = 0


def parse(text: str) -> dict[str, Struct]:
    """Every struct and union defined in the C text, by tag, or typedef name where there is none.

    They stand in the order in which the text opens them. Read are fixed-width integers, arrays,
    structs and unions, nested and anonymous too, typedefs, and ``#define`` constants as sizes;
    an include guard, ``#pragma once`` and the headers of :data:`HEADERS` are passed over. All
    else raises :class:`KvmvizError`: ``line 3, column 5: ...``, in characters, from 1 on.
    """
    reader = _Reader(Syntax(text))
    reader.read()
    if not reader.lines:
        raise KvmvizError("line 1, column 1: the text defines no struct and no union")
    return {name: reader.structs[name] for name in reader.lines}


class _Reader:
    """Reads one declaration after the other; what it has read is known to those that follow."""

    def __init__(self, syntax: Syntax) -> None:
        self.syntax = syntax
        self.structs: dict[str, Struct] = {}
        self.lines: dict[str, int] = {}
        self.tags: dict[str, _Kind] = {}
        self.typedefs: dict[str, _Kind] = {}
        self.macros: dict[str, str] = {}

    def read(self) -> None:
        """All that stands at file scope; an include guard is opened up."""
        todo = [child for _, child in parts(self.syntax.root)][::-1]
        while todo:
            node = todo.pop()
            if node.type in ("struct_specifier", "union_specifier"):
                if node.child_by_field_name("name") is None:
                    self.syntax.refuse(node, "a definition with neither tag nor typedef name")
                self.struct(node)
            elif node.type == "type_definition":
                self.typedef(node)
            elif node.type == "preproc_ifdef" and (inner := self.guarded(node)):
                todo.extend(reversed(inner))
            elif node.type != ";" and self.syntax.snippet(node) != ";":
                self.directive(node)

    def guarded(self, node: Node) -> list[Node]:
        """What an include guard guards; nothing if it is another condition."""
        word, name, *inner, _ = (child for _, child in parts(node))
        if word.type != "#ifndef" or not inner or inner[0].type != "preproc_def":
            return []
        defined = inner[0].child_by_field_name("name")
        text = self.syntax.text(name)
        same = defined is not None and self.syntax.text(defined) == text
        return inner if same and text not in self.macros else []

    def directive(self, node: Node) -> None:
        """A constant is kept, what changes no layout is passed over, the rest is refused."""
        found = {field: self.syntax.text(child) for field, child in parts(node)}
        if node.type in ("preproc_def", "preproc_function_def"):
            name, value = found["name"], _SPACE.sub(" ", found.get("value", "")).strip()
            if name in _KEYWORDS:
                self.syntax.fail(node, f"macro {name!r} has the name of a keyword")
            if node.type == "preproc_def":
                if self.macros.setdefault(name, value) != value:
                    self.syntax.fail(node, f"macro {name!r} is defined twice, with two values")
        elif node.type == "preproc_include":
            if found["path"].strip('<>"') not in HEADERS:
                legal = ", ".join(HEADERS)
                self.syntax.fail(node, f"{found['path']} is not included; legal are {legal}")
        elif (found.get("directive"), found.get("argument")) != ("#pragma", "once"):
            self.syntax.refuse(node)

    def name(self, node: Node) -> str:
        """A name that the text gives or uses; a macro's stands for other text and is refused."""
        text = self.syntax.text(node)
        if self.macros.get(text, text) != text:
            self.syntax.fail(node, f"{text!r} is a macro here: {self.macros[text]!r}")
        return text

    def typedef(self, node: Node) -> None:
        """Other names for a type; a struct with no tag is called by the first of them."""
        names = [self.syntax.text(child) for child in node.children_by_field_name("declarator")]
        for child, name, kind in self.declared(node, names[0] if names else ""):
            old = self.typedefs.setdefault(name, kind)
            if name in SCALARS:
                old = _Kind(name, SCALARS[name])
            if old is not kind and _range(old) != _range(kind):
                self.syntax.fail(child, f"{name!r} is already the name of another type")

    def declared(self, node: Node, name: str = "") -> list[tuple[Node, str, _Kind]]:
        """What a declaration declares: place, name (none if it is anonymous) and type."""
        found: list[tuple[Node, str, _Kind]] = []
        base = _Kind("")
        for field, child in parts(node):
            if field == "type":
                base = self.base(child, name)
            elif field == "declarator":
                found.append(self.declarator(child, base))
            elif self.syntax.text(child) not in _HARMLESS:
                self.syntax.refuse(child)
        if not found and (base.name or base.type is None):
            self.syntax.fail(node, f"this declares nothing: {self.syntax.snippet(node)!r}")
        return found or [(node, "", base)]

    def declarator(self, node: Node, kind: _Kind) -> tuple[Node, str, _Kind]:
        """A name, and its type: from the outside in, each pair of brackets makes an array."""
        while not node.type.endswith(("_identifier", "primitive_type")):
            inner, size = node, None
            for field, child in parts(node):
                if field == "size":
                    size = child
                elif field == "declarator" or child.type.endswith(("declarator", "_identifier")):
                    inner = child
                elif child.type not in ("(", ")", "[", "]"):
                    self.syntax.refuse(node)
            if node.type == "array_declarator":
                if size is None:
                    self.syntax.refuse(node, "an array with no size")
                kind = self.array(kind, size)
            elif node.type != "parenthesized_declarator":
                self.syntax.refuse(node)
            node = inner
        return node, self.name(node), kind

    def array(self, kind: _Kind, size: Node) -> _Kind:
        """An array type, if it keeps to the limits."""
        if kind.type is None:
            self.syntax.fail(size, f"{kind.name!r} is not defined before this line")
        count, depth = self.constant(size), kind.depth + 1
        if not 1 <= count * kind.weight <= MAX_BYTES:
            most = f"arrays have at least one element and at most {MAX_BYTES} bytes"
            self.syntax.fail(size, f"an array of {count} elements; {most}")
        if depth > MAX_DEPTH:
            self.syntax.fail(size, f"more than {MAX_DEPTH} types inside each other")
        return _Kind(kind.name, Array(kind.type, count), count * kind.weight, depth)

    def base(self, node: Node, name: str) -> _Kind:
        """The type in front of the names that a declaration declares."""
        if node.type in ("struct_specifier", "union_specifier"):
            return self.struct(node, name)
        if node.type not in ("type_identifier", "primitive_type", "sized_type_specifier"):
            self.syntax.refuse(node)
        words = [child for _, child in parts(node)] or [node]
        names = [word for word in map(self.name, words) if word not in _HARMLESS]
        title = " ".join(names)
        if title in self.typedefs and title not in SCALARS:
            return self.typedefs[title]
        found = SCALARS.get(title) or _SPELLINGS.get(tuple(sorted(names)))
        if found is None and node.type != "type_identifier":
            self.syntax.fail(node, f"type {title!r} is not supported; its width is no fixed one")
        found = found or scalar(title, place(node))
        return _Kind(title, found, found.size)

    def struct(self, node: Node, name: str = "") -> _Kind:
        """The struct or union of that tag; defined here if its members stand here."""
        word = node.type.removesuffix("_specifier")
        tag = body = None
        for field, child in parts(node):
            if field == "name":
                tag, name = child, f"{word} {self.name(child)}"
            elif field == "body":
                body = child
            elif child.type != word:
                self.syntax.refuse(child)
        called = self.syntax.text(tag) if tag else name
        kind = self.tags.setdefault(name, _Kind(name)) if tag else _Kind(name)
        if body is None:
            return kind
        if called in self.lines:
            line = self.lines[called]
            self.syntax.fail(tag or node, f"{called!r} is defined twice, first on line {line}")
        if called:
            self.lines[called] = node.start_point.row + 1
        members: dict[str | int, Member] = {}
        for field in (child for _, child in parts(body) if child.type not in ("{", "}")):
            if field.type != "field_declaration":
                self.directive(field)
                continue
            for child, title, inner in self.declared(field):
                if inner.type is None:
                    self.syntax.fail(child, f"{inner.name!r} is not defined before this line")
                for key in [title] if title else inner.type.leaf.names():
                
"""C declarations into structs: what a header says, before any ABI has spoken.

Every node of the syntax tree is either understood or refused by name, so that nothing which
could change a layout is skipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kvmviz._base import KvmvizError
from kvmviz.ctype import SCALARS, Array, Member, Scalar, Struct, Type, scalar
from kvmviz.macros import Macros
from kvmviz.syntax import MAX_DEPTH, Syntax, parts

if TYPE_CHECKING:
    from tree_sitter import Node

MAX_BYTES = 1 << 20
"""Bytes of all members of one type, those of a union side by side."""

_HARMLESS = frozenset((",", ";", "typedef", "__extension__"))
_QUALIFIERS = frozenset(("const", "volatile", "__extension__"))


@dataclass
class _Kind:
    """A type of the text; ``type`` is None until its definition is complete.

    ``weight`` counts the bytes of all its members, ``depth`` the types that lie in each other.
    """

    name: str
    type: Type | None = None
    weight: int = 0
    depth: int = 0

    def stands_for(self, other: _Kind) -> bool:
        """Whether both are one type: a name may be given to it twice."""
        if isinstance(self.type, Scalar) and isinstance(other.type, Scalar):
            return self.type.limits == other.type.limits
        return self is other


def _spelled(words: list[str]) -> Scalar | None:
    """The type of these words, which C takes in any order."""
    sign = [word for word in words if word in ("signed", "unsigned")]
    size = sorted(word for word in words if word not in sign)
    if size[0:1] == ["int"] and size[1:2] in (["short"], ["long"]):
        del size[0]
    return SCALARS.get(" ".join(sign + (size or ["int"])) if words else "")


def parse(text: str) -> dict[str, Struct]:
    """Every struct and union defined in the C text, by tag, or typedef name where there is none.

    They stand in the order in which the text opens them. Read are fixed-width integers, arrays,
    structs and unions, nested and anonymous too, typedefs, and ``#define`` constants as sizes;
    an include guard, ``#pragma once`` and ``kvmviz.macros.HEADERS`` are passed over. All else
    raises :class:`KvmvizError`: ``line 3, column 5: ...``, counted in characters from 1 on.
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
        self.macros = Macros(syntax)

    def read(self) -> None:
        """All that stands at file scope."""
        for _, node in parts(self.syntax.root):
            if node.type in ("struct_specifier", "union_specifier"):
                if node.child_by_field_name("name") is None:
                    self.syntax.refuse(node, "a definition with neither tag nor typedef name")
                self.struct(node)
            elif node.type == "type_definition":
                self.typedef(node)
            elif self.syntax.text(node) != ";":
                self.syntax.refuse(node)

    def typedef(self, node: Node) -> None:
        """Other names for a type; a struct with no tag is called by the first of them."""
        plain = [d for d in node.children_by_field_name("declarator") if not d.child_count]
        for child, name, kind in self.declared(node, self.syntax.text(plain[0]) if plain else ""):
            built_in = SCALARS.get(name)
            old = _Kind(name, built_in) if built_in else self.typedefs.setdefault(name, kind)
            if not old.stands_for(kind):
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
            elif child.type not in _HARMLESS and self.syntax.text(child) not in _QUALIFIERS:
                self.syntax.refuse(child)
        if not found and (base.name or not isinstance(base.type, Struct)):
            self.syntax.fail(node, f"this declares nothing: {self.syntax.snippet(node)!r}")
        return found or [(node, "", base)]

    def declarator(self, node: Node, kind: _Kind) -> tuple[Node, str, _Kind]:
        """A name, and its type: from the outside in, each pair of brackets makes an array."""
        while not node.type.endswith(("_identifier", "primitive_type")):
            if node.type not in ("array_declarator", "parenthesized_declarator"):
                self.syntax.refuse(node)
            inner = size = None
            for field, child in parts(node):
                if field == "size":
                    size = child
                elif child.type.endswith(("declarator", "_identifier", "primitive_type")):
                    inner = child
                elif child.type not in ("(", ")", "[", "]"):
                    self.syntax.refuse(node)
            if node.type == "array_declarator":
                if size is None:
                    self.syntax.refuse(node, "an array without a size")
                kind = self.array(kind, size)
            node = inner or self.syntax.refuse(node)
        return node, self.macros.name(node), kind

    def array(self, kind: _Kind, size: Node) -> _Kind:
        """An array type, if its size is legal."""
        element = self.complete(kind, size)
        count = self.macros.value(size)
        if not 1 <= count * kind.weight <= MAX_BYTES:
            most = MAX_BYTES // kind.weight
            self.syntax.fail(size, f"an array of {count} elements; legal are 1 .. {most}")
        return _Kind(kind.name, Array(element, count), count * kind.weight, kind.depth + 1)

    def complete(self, kind: _Kind, node: Node) -> Type:
        """The type, if it is known here and within the limits."""
        if kind.type is None:
            self.syntax.fail(node, f"{kind.name!r} is not defined before this place")
        if kind.depth > MAX_DEPTH:
            self.syntax.fail(node, f"more than {MAX_DEPTH} types inside each other")
        return kind.type

    def base(self, node: Node, name: str) -> _Kind:
        """The type in front of the names that a declaration declares."""
        if node.type in ("struct_specifier", "union_specifier"):
            return self.struct(node, name)
        if node.type not in ("type_identifier", "primitive_type", "sized_type_specifier"):
            self.syntax.refuse(node)
        words = map(self.macros.word, [child for _, child in parts(node)] or [node])
        names = [word for word in words if word not in _QUALIFIERS]
        title = " ".join(names)
        if title in self.typedefs:
            return self.typedefs[title]
        found = _spelled(names)
        if found is None and node.type != "type_identifier":
            self.syntax.refuse(node, "a type that is no integer of fixed width and sign")
        found = found or scalar(title, self.syntax.place(node))
        return _Kind(title, found, found.size)

    def struct(self, node: Node, name: str = "") -> _Kind:
        """The struct or union of that tag; defined here if its members stand here."""
        word = node.type.removesuffix("_specifier")
        tag = body = None
        for field, child in parts(node):
            if field == "name":
                tag, name = child, self.macros.name(child)
            elif field == "body":
                body = child
            elif child.type != word:
                self.syntax.refuse(child)
        title = f"{word} {name}" if tag else name
        kind = self.tags.setdefault(title, _Kind(title)) if tag else _Kind(title)
        if body is None:
            return kind
        if name in self.lines:
            self.syntax.fail(tag or node, f"{name!r} is defined twice; see line {self.lines[name]}")
        if name:
            self.lines[name] = node.start_point.row + 1
        made = Struct(name, self.members(body, kind), union=word == "union")
        kind.type = self.structs[name] = made
        return kind

    def members(self, body: Node, kind: _Kind) -> list[Member]:
        """What stands between the braces; ``kind`` grows with it."""
        found: list[Member] = []
        seen: set[str] = set()
        for field in (child for _, child in parts(body) if child.type not in ("{", "}")):
            if field.type != "field_declaration":
                self.syntax.refuse(field)
            for node, name, inner in self.declared(field):
                made = self.complete(inner, node)
                for used in made.names() if isinstance(made, Struct) and not name else [name]:
                    if used in seen:
                        self.syntax.fail(node, f"member {used!r} stands twice")
                    seen.add(used)
                found.append(Member(name or None, made))
                kind.weight += inner.weight
                kind.depth = max(kind.depth, inner.depth + 1)
                if kind.weight > MAX_BYTES:
                    self.syntax.fail(node, f"more than {MAX_BYTES} bytes of members")
        if not found:
            self.syntax.fail(body, "no members here; a struct or union needs at least one")
        return found

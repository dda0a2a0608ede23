"""C declarations into structs: what a header says, before any ABI has spoken.

Every node of the syntax tree is either understood or refused by name, so that nothing which
could change a layout is skipped.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kvmviz._base import KvmvizError
from kvmviz.ctype import ALIGNMENTS, Array, Member, Struct, Type
from kvmviz.macros import Macros
from kvmviz.scalar import POINTER, SCALARS, Scalar, scalar
from kvmviz.syntax import MAX_DEPTH, Attribute, Syntax, parts

if TYPE_CHECKING:
    from tree_sitter import Node

MAX_BYTES = 1 << 20
"""Bytes of all members of one type, those of a union side by side."""

_HARMLESS = frozenset((",", ";", "typedef"))
_QUALIFIERS = frozenset(("const", "volatile"))
_POINTS = frozenset(("const", "volatile", "restrict", "__restrict", "__restrict__"))
_NAMED = ("_identifier", "primitive_type")
_SPECIFIERS = ("struct_specifier", "union_specifier", "enum_specifier")


@dataclass(frozen=True)
class _Wish:
    """What attributes ask for: ``align`` in bytes, 0 for none; where, None for nowhere."""

    packed: bool = False
    align: int = 0
    at: int | None = None

    def __or__(self, other: _Wish) -> _Wish:
        at = self.at if other.at is None else other.at
        return _Wish(self.packed or other.packed, max(self.align, other.align), at)


@dataclass(frozen=True)
class _Declared:
    """A name, its place and its type; the width of a bit-field; its attributes."""

    node: Node
    name: str
    kind: _Kind
    bits: Node | None = None
    wish: _Wish = _Wish()


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
            first, second = self.type, other.type
            return (first.bits, first.signed, first.kind, first.align) == (
                second.bits,
                second.signed,
                second.kind,
                second.align,
            )
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

    They stand in the order in which the text opens them. Read are scalars, pointers, enums,
    arrays, flexible ones too, bit-fields, structs and unions, nested and anonymous too, typedefs,
    ``#define`` and ``enum`` constants, ``packed``, ``aligned(N)``, ``#pragma pack``,
    ``__DECLARE_FLEX_ARRAY`` and ``__struct_group``; an include guard, ``#pragma once`` and
    ``kvmviz.macros.HEADERS`` are passed over. All else raises :class:`KvmvizError`:
    ``line 3, column 5: ...``, counted in characters from 1 on.
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
        attributes = sorted(syntax.attributes, key=lambda one: one.at)
        self.attributes: list[Attribute | None] = [*attributes]
        self.places = [one.at for one in attributes]
        self.flexible = set(syntax.flexible)

    def read(self) -> None:
        """All that stands at file scope."""
        for _, node in parts(self.syntax.root):
            if node.type in ("struct_specifier", "union_specifier"):
                if node.child_by_field_name("name") is None:
                    self.syntax.refuse(node, "a definition with neither tag nor typedef name")
                self.struct(node)
                if node.start_byte in self.syntax.groups:
                    self.syntax.fail(node, "'__struct_group' outside of a struct")
            elif node.type == "enum_specifier":
                self.enum(node)
            elif node.type == "type_definition":
                self.typedef(node)
            elif self.syntax.text(node) != ";":
                self.syntax.refuse(node)
        for left in self.attributes:
            if left:
                self.syntax.fail(left.at, f"attribute {left.name!r} is not supported here")
        if self.flexible:
            self.syntax.fail(min(self.flexible), "this macro is not supported here")

    def wish(self, start: int, end: int) -> _Wish:
        """What the attributes between two offsets ask for, those that nobody has read yet."""
        first, last = bisect_left(self.places, start), bisect_left(self.places, end)
        found = [one for one in self.attributes[first:last] if one]
        self.attributes[first:last] = [None] * (last - first)
        return self.wished(found)

    def wished(self, attributes: Iterable[Attribute]) -> _Wish:
        """What these attributes ask for."""
        made = _Wish()
        for one in attributes:
            align = 0
            if one.name == "packed" and one.argument is not None:
                self.syntax.fail(one.at, "attribute 'packed' takes no argument")
            if one.name == "aligned":
                if one.argument is None:
                    self.syntax.fail(one.at, "attribute 'aligned' without a number differs by ABI")
                align = self.macros.value(one.at, one.argument)
                if align not in ALIGNMENTS:
                    most = ALIGNMENTS[-1]
                    self.syntax.fail(one.at, f"aligned({align}); legal are powers of 2 to {most}")
            made |= _Wish(one.name == "packed", align, one.at)
        return made

    def typedef(self, node: Node) -> None:
        """Other names for a type; a struct with no tag is called by the first of them."""
        plain = [d for d in node.children_by_field_name("declarator") if not d.child_count]
        for row in self.declared(node, self.syntax.text(plain[0]) if plain else ""):
            name, kind, wish = row.name, row.kind, row.wish
            if _is_open(row.node):
                self.syntax.refuse(row.node, "a typedef of an array without a size")
            if wish.at is not None:
                if wish.packed or not isinstance(kind.type, Scalar):
                    self.syntax.fail(wish.at, "only 'aligned' on a scalar is read in a typedef")
                kind = replace(kind, type=replace(kind.type, align=wish.align))
            built_in = SCALARS.get(name)
            old = _Kind(name, built_in) if built_in else self.typedefs.setdefault(name, kind)
            if not old.stands_for(kind):
                self.syntax.fail(row.node, f"{name!r} is already the name of another type")

    def declared(self, node: Node, name: str = "") -> list[_Declared]:
        """What a declaration declares; with no name, an anonymous struct, or nothing."""
        before = node.prev_sibling
        start = before.end_byte if before else node.parent.start_byte if node.parent else 0
        found: list[_Declared] = []
        base, common, specifier = _Kind(""), _Wish(), node
        for field, child in parts(node):
            if field == "type":
                base, specifier = self.base(child, name), child
            elif field == "declarator":
                wish = self.wish(start, child.start_byte)
                common = common if found else wish
                found.append(self.declarator(child, base, common | wish))
                start = child.end_byte
            elif child.type == "bitfield_clause" and found:
                found[-1] = replace(found[-1], bits=child.child(1))
                start = child.end_byte
            elif child.type in (",", ";") and found:
                found[-1] = replace(
                    found[-1], wish=found[-1].wish | self.wish(start, child.start_byte)
                )
                start = child.end_byte
            elif child.type not in _HARMLESS and self.syntax.text(child) not in _QUALIFIERS:
                self.syntax.refuse(child)
        if found:
            return found
        if node.type == "field_declaration" and specifier.type == "enum_specifier":
            return []
        if specifier.start_byte in self.syntax.groups:
            base = self.group(specifier, base)
        elif base.name or not isinstance(base.type, Struct):
            self.syntax.fail(node, f"this declares nothing: {self.syntax.snippet(node)!r}")
        return [_Declared(node, "", base)]

    def group(self, node: Node, kind: _Kind) -> _Kind:
        """``__struct_group``: its members twice, in an anonymous struct and in a named one."""
        told, named = self.syntax.groups[node.start_byte], kind.type
        assert isinstance(named, Struct)
        wish = self.wished(told.attributes)
        if wish.at is not None:
            named = replace_struct(named, wish)
            kind.type = named
            if named.tag:
                self.structs[named.tag] = named
        plain = Struct("", named.members, packed=named.packed, align=named.align, pack=named.pack)
        if told.name in plain.names():
            self.syntax.fail(told.at, f"member {told.name!r} stands twice")
        made = Struct(
            "",
            [Member(None, plain), Member(told.name, named)],
            union=True,
            packed=wish.packed,
            align=wish.align,
            pack=named.pack,
        )
        return _Kind("", made, 2 * kind.weight, kind.depth + 2)

    def declarator(self, node: Node, kind: _Kind, wish: _Wish) -> _Declared:
        """A name, and its type: from the outside in, brackets make arrays, stars pointers."""
        outer = node
        while not node.type.endswith(_NAMED):
            if node.type not in (
                "array_declarator",
                "parenthesized_declarator",
                "pointer_declarator",
                "function_declarator",
            ):
                self.syntax.refuse(node)
            inner = size = None
            for field, child in parts(node):
                if field == "size":
                    size = child
                elif child.type == "parameter_list":
                    if "{" in self.syntax.text(child):
                        self.syntax.refuse(child, "a definition in an argument list")
                elif child.type.endswith(("declarator", *_NAMED)):
                    inner = child
                elif node.type == "pointer_declarator" and self.syntax.text(child) in _POINTS:
                    pass
                elif child.type not in ("(", ")", "[", "]", "*"):
                    self.syntax.refuse(node)
            if node.type == "array_declarator":
                if size is None and inner is not None and inner.type == "array_declarator":
                    self.syntax.refuse(node, "an array without a size in an array")
                kind = self.array(kind, node, size)
            elif node.type == "pointer_declarator":
                kind = _Kind("", POINTER, 8)
            elif node.type == "function_declarator":
                kind = _Kind("function")
            node = inner or self.syntax.refuse(node)
        if node.is_missing:
            return _Declared(node, "", kind, wish=wish)
        if kind.name == "function" and kind.type is None and outer.type == "function_declarator":
            self.syntax.refuse(outer)
        name = self.macros.name(node)
        if node.start_byte in self.flexible:
            self.flexible.discard(node.start_byte)
            element = self.complete(kind, node)
            made = Struct(
                "", [Member(name, Array(element, 0))], pack=self.macros.pack_at(node.start_byte)
            )
            return _Declared(node, "", _Kind("", made, 0, kind.depth + 2), wish=wish)
        return _Declared(node, name, kind, wish=wish)

    def array(self, kind: _Kind, node: Node, size: Node | None) -> _Kind:
        """An array type, if its size is legal."""
        at = size or node
        element = self.complete(kind, at)
        leaf = element.leaf
        if isinstance(leaf, Scalar) and leaf.align > (leaf.size or 4):
            self.syntax.fail(at, f"an array of elements smaller than their alignment, {leaf.align}")
        count = self.macros.value(size) if size else 0
        if not 0 <= count * max(kind.weight, 1) <= MAX_BYTES:
            most = MAX_BYTES // max(kind.weight, 1)
            self.syntax.fail(at, f"an array of {count} elements; legal are 0 .. {most}")
        return _Kind("", Array(element, count), count * kind.weight, kind.depth + 1)

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
        if node.type == "enum_specifier":
            return self.enum(node)
        if node.type not in ("type_identifier", "primitive_type", "sized_type_specifier"):
            self.syntax.refuse(node)
        words = map(self.macros.word, [child for _, child in parts(node)] or [node])
        names = [word for word in words if word not in _QUALIFIERS]
        title = " ".join(names)
        if title in self.typedefs:
            return self.typedefs[title]
        if title == "void":
            return _Kind(title)
        found = _spelled(names)
        if found is None and node.type != "type_identifier":
            self.syntax.refuse(node, "this type")
        found = found or scalar(title, self.syntax.place(node))
        return _Kind(title, found, found.size or 8)

    def enum(self, node: Node) -> _Kind:
        """An enum: its constants, and the type that holds them all."""
        tag = body = None
        for field, child in parts(node):
            if field == "name":
                tag = child
            elif field == "body":
                body = child
            elif child.type != "enum":
                self.syntax.refuse(child)
        title = f"enum {self.macros.name(tag)}" if tag else "enum"
        kind = self.tags.setdefault(title, _Kind(title)) if tag else _Kind(title)
        if body is None:
            return kind
        if kind.type is not None:
            self.syntax.fail(tag or node, f"{title!r} is defined twice")
        values = self.constants(body)
        low, high = min(values), max(values)
        if low < 0 and high >= 1 << 63:
            self.syntax.fail(body, "no type holds all values of this enum")
        wide = low < -(1 << 31) or high >= 1 << (31 if low < 0 else 32)
        plain = SCALARS[("" if low < 0 else "unsigned ") + ("long long" if wide else "int")]
        kind.type = replace(plain, name=title) if tag else plain
        kind.weight = plain.size
        return kind

    def constants(self, body: Node) -> list[int]:
        """The values of an enum's constants, which the text may use from there on."""
        found: list[int] = []
        for _, child in parts(body):
            if child.type in ("{", "}", ","):
                continue
            if child.type != "enumerator":
                self.syntax.refuse(child)
            value, at, name = (found[-1] + 1 if found else 0), child, ""
            for field, part in parts(child):
                if field == "name":
                    at, name = part, self.macros.name(part)
                elif field == "value":
                    value = self.macros.value(part)
                elif part.type != "=":
                    self.syntax.refuse(part)
            if name in self.macros.constants:
                self.syntax.fail(at, f"{name!r} is already a constant")
            if value >= 1 << 64:
                self.syntax.fail(at, f"{name!r} would be {value}")
            self.macros.constants[name] = value
            found.append(value)
        if not found:
            self.syntax.fail(body, "an enum without constants")
        return found

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
        wish = self.struct_wish(node, tag, body) if body else _Wish()
        title = f"{word} {name}" if tag else name
        kind = self.tags.setdefault(title, _Kind(title)) if tag else _Kind(title)
        if body is None:
            return kind
        if name in self.lines:
            self.syntax.fail(tag or node, f"{name!r} is defined twice; see line {self.lines[name]}")
        if name:
            self.lines[name] = node.start_point.row + 1
        members = self.members(body, kind, word == "union")
        pack = self.macros.pack_at(node.start_byte)
        made = Struct(
            name,
            members,
            union=word == "union",
            packed=wish.packed,
            align=wish.align,
            pack=pack,
        )
        kind.type = made
        if name:
            self.structs[name] = made
        return kind

    def struct_wish(self, node: Node, tag: Node | None, body: Node) -> _Wish:
        """The attributes of a definition: behind its keyword, or right behind its brace."""
        data, end = self.syntax.data, body.end_byte
        while end < len(data) and data[end : end + 1].isspace():
            end += 1
        front = self.wish(node.start_byte, (tag or body).start_byte)
        if tag:
            front |= self.wish(tag.end_byte, body.start_byte)
        return front | self.wish(body.end_byte, end)

    def members(self, body: Node, kind: _Kind, union: bool) -> list[Member]:
        """What stands between the braces; ``kind`` grows with it."""
        found: list[Member] = []
        seen: set[str] = set()
        open_end: Node | None = None
        for field in (child for _, child in parts(body) if child.type not in ("{", "}")):
            if field.type != "field_declaration":
                self.syntax.refuse(field)
            for row in self.declared(field):
                node, name, inner = row.node, row.name, row.kind
                if open_end is not None:
                    self.syntax.fail(open_end, "an array without a size is legal only at the end")
                made = self.complete(inner, node)
                names = [name] if name else made.names() if isinstance(made, Struct) else []
                for used in names:
                    if used in seen:
                        self.syntax.fail(node, f"member {used!r} stands twice")
                    seen.add(used)
                if _is_open(node):
                    if union or not seen - {name}:
                        self.syntax.fail(node, "an array without a size needs members before it")
                    open_end = node
                found.append(self.member(row, made))
                kind.weight += inner.weight
                kind.depth = max(kind.depth, inner.depth + 1)
                if kind.weight > MAX_BYTES:
                    self.syntax.fail(node, f"more than {MAX_BYTES} bytes of members")
        if not seen:
            self.syntax.fail(body, "no members here; a struct or union needs at least one")
        return found

    def member(self, row: _Declared, made: Type) -> Member:
        """A member with its bits and attributes, if they are legal."""
        bits, wish = None, row.wish
        if row.bits is not None:
            if not isinstance(made, Scalar) or made.kind not in ("integer", "bool") or made.order:
                self.syntax.fail(row.bits, "only an integer can be a bit-field")
            bits = self.macros.value(row.bits)
            least, most = int(bool(row.name)), 1 if made.kind == "bool" else made.bits or 64
            if not least <= bits <= most:
                self.syntax.fail(row.bits, f"a bit-field of {bits} bits; legal: {least} .. {most}")
        if wish.at is not None and not row.name:
            self.syntax.fail(wish.at, "an attribute on a member without a name is not supported")
        return Member(row.name or None, made, bits, wish.align, wish.packed)


def _is_open(node: Node) -> bool:
    """Whether the name declares an array whose outermost brackets are empty."""
    outer = node.parent
    while outer is not None and outer.type == "parenthesized_declarator":
        outer = outer.parent
    return (
        outer is not None
        and outer.type == "array_declarator"
        and outer.child_by_field_name("size") is None
    )


def replace_struct(struct: Struct, wish: _Wish) -> Struct:
    """The struct with attributes added."""
    return Struct(
        struct.tag,
        struct.members,
        union=struct.union,
        packed=struct.packed or wish.packed,
        align=max(struct.align, wish.align),
        pack=struct.pack,
    )

"""Declarations of C: what names stand for, one after the other, for one ABI.

Every node of the syntax tree is either understood or refused by name, so that nothing which
could change a layout is skipped. Functions and variables, which change none, are passed over.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from kvmviz._base import KvmvizError
from kvmviz.abi import Abi
from kvmviz.c import definitions, known
from kvmviz.c.attributes import Wish, Wishes
from kvmviz.c.constants import Constants
from kvmviz.c.directives import KEYWORDS, Preprocessor
from kvmviz.c.expand import MAX_DEPTH
from kvmviz.c.flat import NAMELESS
from kvmviz.c.names import FLOATS, MAX_BYTES, Declared, Kind, Names, stands_for
from kvmviz.c.syntax import Syntax, is_open, parts
from kvmviz.ctype import POINTER, Array, Scalar, Struct, Type

if TYPE_CHECKING:
    from tree_sitter import Node

_HARMLESS = frozenset((",", ";", "typedef"))
_QUALIFIERS = frozenset(("const", "volatile"))
_POINTS = frozenset(("const", "volatile", "restrict"))
_NAMED = ("_identifier", "primitive_type")
_ATTRIBUTE = re.compile(r"_+packed_*|PACKED|_\w*aligned\w*|_\w*randomize_layout|__attribute\w*")

_LAID = re.compile("pack|align|attr", re.IGNORECASE)


class Reader(Names):
    """Reads one declaration after the other; what it has read is known to those that follow.

    ``structs`` are those of the text by name, ``places`` where each begins.
    """

    def __init__(self, reader: Preprocessor, abi: Abi) -> None:
        super().__init__(reader.files)
        self.syntax = Syntax(reader.source, reader.tokens())
        self.structs: dict[str, Struct] = {}
        self.places: dict[str, int] = {}
        self.own: set[str] = set()
        self.constants = Constants(self.syntax, abi, reader.facts, self.named_by)
        self.constants.missing = self.missing
        self.wishes = Wishes(self.syntax, self.constants, reader.pragmas)

    def read(self) -> None:
        """All that stands at file scope."""
        for _, node in parts(self.syntax.root):
            try:
                self.declaration(node)
            except KvmvizError as error:
                if self.syntax.is_own(node):
                    raise
                # Of a header, only what the text uses need be understood.
                self.wishes.drop(node.start_byte, node.end_byte)
                self.spoil(self.syntax.words(node), f"{error}")
        self.wishes.finish()

    def declaration(self, node: Node) -> None:
        """One declaration at file scope."""
        if node.type in ("struct_specifier", "union_specifier"):
            if node.child_by_field_name("name") is None:
                self.syntax.refuse(node, "a definition with neither tag nor typedef name")
            definitions.struct(self, node)
        elif node.type == "enum_specifier":
            definitions.enum(self, node)
        elif node.type == "type_definition":
            self.typedef(node)
        elif node.type == "declaration":
            self.passed(node)
        elif self.syntax.text(node) != ";":
            self.syntax.refuse(node)

    def passed(self, node: Node) -> None:
        """A function or a variable that others define: only a type in it is of interest."""
        words = {self.syntax.text(child) for _, child in parts(node)}
        outer = node.child_by_field_name("declarator") or node
        function = outer
        while function.type in ("pointer_declarator", "parenthesized_declarator"):
            function = function.child_by_field_name("declarator") or function.children[1]
        kind = node.child_by_field_name("type")
        if kind is not None and self.syntax.text(kind).startswith(("__typeof__", "typeof")):
            return
        if function.type != "function_declarator" and not words & {"extern", "static"}:
            self.variable(node, outer)
        if kind is not None and kind.type.endswith("_specifier"):
            if outer.type == "function_declarator" and node.end_byte - 1 in self.syntax.bodies:
                if kind.type in ("struct_specifier", "union_specifier"):
                    self.syntax.refuse(node, "a function that returns a struct")
            elif kind.child_by_field_name("body") is not None:
                self.base(kind, "")
        before = node.prev_sibling
        self.wishes.drop(before.end_byte if before else 0, node.end_byte)

    def variable(self, node: Node, declarator: Node) -> None:
        """Pass over a variable, if it is one: a macro that nobody defined may stand there."""
        name = self.syntax.text(declarator)
        plain = not declarator.child_count or declarator is node
        if plain and (name[0] == "_" or name == name.upper() or _LAID.search(name)):
            self.syntax.refuse(node)
        kind = node.child_by_field_name("type")
        if kind is not None and not kind.type.endswith("_specifier"):
            self.base(kind, "")

    def typedef(self, node: Node) -> None:
        """Other names for a type; a struct with no tag is called by the first of them."""
        plain = [d for d in node.children_by_field_name("declarator") if not d.child_count]
        for row in self.declared(node, self.syntax.text(plain[0]) if plain else ""):
            name, kind, wish = row.name, row.kind, row.wish
            if is_open(row.node):
                self.syntax.refuse(row.node, "a typedef of an array without a size")
            if wish.at is not None:
                kind = self.aligned(kind, wish, name)
            known_as = self.built_in(name)
            if known_as and stands_for(known_as, kind):
                # Its name says more: __be32 is __u32 with a byte order.
                continue
            old = self.typedefs.setdefault(name, kind)
            if not stands_for(old, kind):
                self.syntax.fail(row.node, f"{name!r} is already the name of another type")

    def aligned(self, kind: Kind, wish: Wish, name: str) -> Kind:
        """A type with the alignment that a typedef of that name gives it."""
        at = wish.at or 0
        if isinstance(kind.type, Scalar) and not wish.packed:
            return replace(kind, type=replace(kind.type, align=wish.align))
        if not isinstance(kind.type, Struct) or wish.packed:
            self.syntax.fail(at, "only 'aligned' on a scalar or a struct is read in a typedef")
        facts, abi = self.constants.facts, self.constants.abi
        if wish.align < facts.ask(kind.type, "_Alignof", abi):
            self.syntax.fail(at, f"aligned({wish.align}) on a struct that is aligned to more")
        if kind.name != name:
            return replace(kind, align=wish.align)
        # With no tag, the struct is known by this name only.
        size = facts.ask(kind.type, "sizeof", abi)
        if size % wish.align:
            self.syntax.fail(at, f"aligned({wish.align}) on a struct of {size} bytes")
        made = self.structs[name] = kind.type.changed(align=wish.align)
        return replace(kind, type=made)

    def declared(self, node: Node, name: str = "") -> list[Declared]:
        """What a declaration declares; with no name, an anonymous struct, or nothing."""
        before = node.prev_sibling
        start = before.end_byte if before else node.parent.start_byte if node.parent else 0
        found: list[Declared] = []
        base, common, specifier = Kind(""), Wish(), node
        for field, child in parts(node):
            if field == "type":
                base, specifier = self.base(child, name), child
            elif field == "declarator":
                wish = self.wishes.take(start, child.start_byte)
                common = common if found else wish
                found.append(self.declarator(child, base, common | wish))
                start = child.end_byte
            elif child.type == "bitfield_clause" and found:
                found[-1] = replace(found[-1], bits=child.child(1))
                start = child.end_byte
            elif child.type in (",", ";") and found:
                wish = found[-1].wish | self.wishes.take(start, child.start_byte)
                found[-1] = replace(found[-1], wish=wish)
                start = child.end_byte
            elif child.type not in _HARMLESS and self.syntax.text(child) not in _QUALIFIERS:
                self.syntax.refuse(child)
        if found:
            return found
        if node.type == "field_declaration" and specifier.type == "enum_specifier":
            return []
        if base.name or not isinstance(base.type, Struct):
            self.syntax.fail(node, f"this declares nothing: {self.syntax.snippet(node)!r}")
        return [Declared(node, "", base)]

    def declarator(self, node: Node, kind: Kind, wish: Wish) -> Declared:
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
                kind = Kind("", POINTER, 8)
            elif node.type == "function_declarator":
                kind = Kind("function")
            node = inner or self.syntax.refuse(node)
        if node.is_missing or self.syntax.text(node) == NAMELESS:
            return Declared(node, "", kind, wish=wish)
        is_type = outer.parent is not None and outer.parent.type == "type_definition"
        if kind.name == "function" and kind.type is None and not is_type:
            self.syntax.refuse(outer)
        return Declared(node, self.name(node), kind, wish=wish | Wish(align=kind.align))

    def name(self, node: Node) -> str:
        """A name that is given: no keyword, and not ``struct { ... } __packed;``."""
        name = self.syntax.text(node)
        if name in KEYWORDS or not name.isidentifier():
            said = self.syntax.snippet(node)
            self.syntax.fail(node, f"{said!r} is a keyword and can be no name")
        if _ATTRIBUTE.fullmatch(name):
            self.syntax.refuse(node, "what looks like an attribute macro")
        return name

    def array(self, kind: Kind, node: Node, size: Node | None) -> Kind:
        """An array type, if its size is legal."""
        at = size or node
        element = self.complete(kind, at)
        leaf = element.leaf
        facts, abi = self.constants.facts, self.constants.abi
        if isinstance(leaf, Scalar) and leaf.align > facts.ask(leaf, "sizeof", abi):
            self.syntax.fail(at, f"an array of elements smaller than their alignment, {leaf.align}")
        count = self.constants.value(size) if size else 0
        weight = max(kind.weight, 1)
        if not 0 <= count * weight <= MAX_BYTES:
            most = MAX_BYTES // weight
            self.syntax.fail(at, f"an array of {count} elements; legal are 0 .. {most}")
        made = Kind("", Array(element, count), count * weight, kind.depth + 1, kind.align)
        if kind.align and facts.ask(element, "sizeof", abi) % kind.align:
            self.syntax.fail(at, f"an array of elements smaller than their alignment, {kind.align}")
        return made

    def complete(self, kind: Kind, node: Node) -> Type:
        """The type, if it is known here and within the limits."""
        if kind.type is None and kind.name in known.structs():
            kind.type = known.structs()[kind.name]
            kind.weight, kind.depth = 128, 3
        if kind.name in FLOATS:
            self.syntax.fail(node, f"{kind.name!r} differs by ABI and C library; not supported")
        if kind.is_open and kind.name not in self.spoilt:
            self.syntax.fail(node, f"{kind.name} cannot hold itself")
        if kind.type is None:
            missing = self.missing(kind.name) if " " in kind.name else ""
            self.syntax.fail(node, f"{kind.name!r} is not defined before this place{missing}")
        if kind.depth > MAX_DEPTH:
            self.syntax.fail(node, f"more than {MAX_DEPTH} types inside each other")
        return kind.type

    def base(self, node: Node, name: str) -> Kind:
        """The type in front of the names that a declaration declares."""
        if node.type in ("struct_specifier", "union_specifier"):
            return definitions.struct(self, node, name)
        if node.type == "enum_specifier":
            return definitions.enum(self, node)
        if node.type not in ("type_identifier", "primitive_type", "sized_type_specifier"):
            self.syntax.refuse(node)
        names = [word for word in self.syntax.words(node) if word not in _QUALIFIERS]
        found = self.named(names)
        if found is None and node.type != "type_identifier":
            self.syntax.refuse(node, "this type")
        if found is None:
            title = " ".join(names)
            self.syntax.fail(node, f"unknown type {title!r}{self.missing(title)}")
        return found

"""What the preprocessor leaves, as a syntax tree: or the place of the first thing that is no C.

The grammar is tree-sitter-c. With a preprocessor in front it reads 152 of 153 headers of Linux's
UAPI, where pycparser reads 128 with attributes cut out, and pycparserext 20. It has no place for
all of GNU C's attributes, which :mod:`kvmviz.c.flat` takes out first. It mends what is wrong and
goes on; here the first mend is an error, and a text whose mending would take long is given up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import zip_longest
from typing import TYPE_CHECKING, NoReturn

from kvmviz.c.flat import NAMELESS, Flat
from kvmviz.c.source import Source, Token

if TYPE_CHECKING:
    from tree_sitter import Language, Node

MAX_CALLS = 20_000
"""Steps of the grammar, in the hundreds after which tree-sitter reports them.

The largest text of plain members takes half of it, the largest of Linux's headers 340; junk, whose
mending branches, could take millions.
"""
CHUNK = 1 << 16

_RENAMED = re.compile(r"\$(?=[a-z])")
_TITLES = {
    "attribute_specifier": "an attribute",
    "bitfield_clause": "a bit-field",
    "enum_specifier": "an enum",
    "expression_statement": "a statement or an attribute macro",
    "function_declarator": "a function",
    "function_definition": "a function, or an attribute macro in front of a tag,",
    "identifier": "a variable or an attribute macro",
    "init_declarator": "a variable",
    "macro_type_specifier": "a macro with arguments",
    "pointer_declarator": "a pointer",
    "storage_class_specifier": "a storage class",
    "type_qualifier": "this qualifier",
}
"""What a node that nobody reads is called in a message; else its name in the grammar."""


class Syntax(Flat):
    """The tree of what the tokens say; offsets count characters of :attr:`data`.

    Raises :class:`KvmvizError` with the place of the first error in the text.
    """

    def __init__(self, source: Source, tokens: Iterable[Token]) -> None:
        super().__init__(source, tokens)
        self.root = self._tree()
        self._check()

    def text(self, node: Node) -> str:
        """The node's words, with one blank between two."""
        found = self.data[node.start_byte : node.end_byte].decode()
        return _RENAMED.sub("", found) if NAMELESS in found else found

    def words(self, node: Node) -> list[str]:
        """The node's words."""
        return self.text(node).split()

    def snippet(self, node: Node) -> str:
        """A node as it was written, for a message: the start of its first line."""
        end = self.source.stop(*self.before(max(node.start_byte + 1, node.end_byte)))
        start = self.at(node)
        return self.source.snippet(start, end if end > start else None)

    def is_own(self, node: Node) -> bool:
        """Whether it stands in the text itself, and in no header."""
        return self.source.at(self.at(node)) is self.source

    def fail(self, at: Node | int, words: str) -> NoReturn:
        """Raise :class:`KvmvizError` that points at a node or an offset."""
        self.source.fail(self.at(at), words)

    def refuse(self, node: Node, title: str | None = None) -> NoReturn:
        """Raise for a node that C knows and that is not read here."""
        if node.type == "declaration":
            node = node.child_by_field_name("declarator") or node
        title = title or _TITLES.get(node.type, node.type.replace("_", " "))
        self.fail(node, f"{title} is not supported: {self.snippet(node)!r}")

    def _tree(self) -> Node:
        from tree_sitter import Parser

        calls = reached = 0

        def late(offset: int, _: bool) -> bool:
            nonlocal calls, reached
            calls, reached = calls + 1, offset
            return calls > MAX_CALLS

        try:
            # Only a callback that gives bytes, and nothing else, can be stopped.
            tree = Parser(_language()).parse(
                lambda offset, _: self.data[offset : offset + CHUNK], progress_callback=late
            )
        except ValueError:
            self.fail(reached, f"syntax error: no C found in {MAX_CALLS * 100} steps up to here")
        return tree.root_node

    def _check(self) -> None:
        # With its parent and what follows it: asked for those of an empty node, a deep tree makes
        # tree-sitter overflow its stack.
        todo: list[tuple[Node, Node | None, Node | None]] = [(self.root, None, None)]
        while todo:
            node, whole, after = todo.pop()
            if node.is_error:
                self.fail(node, f"syntax error at {self.snippet(node)!r}{self._context(whole)}")
            # The name of a bit-field may be missing.
            if node.is_missing and not (after and after.type == "bitfield_clause"):
                self.source.missing(node.type, *self.before(node.start_byte))
            rows = list(zip_longest(node.children, node.children[1:]))
            todo.extend((one, node, after) for one, after in reversed(rows) if one.has_error)

    def _context(self, whole: Node | None) -> str:
        if whole is None or not whole.type.endswith(("declaration", "definition")):
            return ""
        return f" in {self.snippet(whole)!r}"


def parts(node: Node) -> Iterator[tuple[str | None, Node]]:
    """A node's children with the names of their fields."""
    cursor = node.walk()
    more = cursor.goto_first_child()
    while more:
        if child := cursor.node:
            yield cursor.field_name, child
        more = cursor.goto_next_sibling()


def is_open(node: Node) -> bool:
    """Whether the name declares an array whose outermost brackets are empty."""
    outer = node.parent
    while outer is not None and outer.type == "parenthesized_declarator":
        outer = outer.parent
    return (
        outer is not None
        and outer.type == "array_declarator"
        and outer.child_by_field_name("size") is None
    )


@cache
def _language() -> Language:
    import tree_sitter
    import tree_sitter_c

    return tree_sitter.Language(tree_sitter_c.language())

"""What the preprocessor leaves, as a syntax tree: or the place of the first thing that is no C.

The grammar is tree-sitter-c. With a preprocessor in front it reads 152 of 153 headers of Linux's
UAPI, where pycparser reads 128 with attributes cut out, and pycparserext 20. It has no place for
all of GNU C's attributes, which :mod:`kvmviz.c.flat` takes out first. It mends what is wrong and
goes on; here the first mend is an error, and a text whose mending would take long is given up.
"""

from __future__ import annotations

import time
from bisect import bisect
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, NoReturn

from kvmviz.c.flat import Flat
from kvmviz.c.source import Source, Token

if TYPE_CHECKING:
    from tree_sitter import Language, Node

MAX_SECONDS = 0.5
"""Of processor time, for the grammar. A megabyte of C takes a tenth; junk could take hours."""
CHUNK = 1 << 16

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
        return self.data[node.start_byte : node.end_byte].decode()

    def words(self, node: Node) -> list[str]:
        """The node's words."""
        return self.text(node).split()

    def snippet(self, node: Node) -> str:
        """A node as it was written, for a message: the start of its first line."""
        last = bisect(self._starts, max(node.start_byte, node.end_byte - 1)) - 1
        end = self._stop(last) if last >= 0 else 0
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

        end, reached = time.thread_time() + MAX_SECONDS, 0

        def late(offset: int, _: bool) -> bool:
            nonlocal reached
            reached = offset
            return time.thread_time() > end

        try:
            # Only a callback that gives bytes, and nothing else, can be stopped.
            tree = Parser(_language()).parse(
                lambda offset, _: self.data[offset : offset + CHUNK], progress_callback=late
            )
        except ValueError:
            self.fail(reached, f"syntax error: no C found in {MAX_SECONDS} seconds up to here")
        return tree.root_node

    def _check(self) -> None:
        todo = [self.root]
        while todo:
            node = todo.pop()
            if node.is_error:
                self.fail(node, f"syntax error at {self.snippet(node)!r}{self._context(node)}")
            # The name of a bit-field may be missing.
            after = node.next_sibling if node.is_missing else None
            if node.is_missing and not (after and after.type == "bitfield_clause"):
                at = max(0, node.start_byte - 1)
                found = bisect(self._starts, at) - 1
                place = self._stop(found) if found >= 0 else 0
                context = self._context(node)
                self.source.fail(place, f"syntax error: {node.type!r} is missing{context}")
            todo.extend(child for child in reversed(node.children) if child.has_error)

    def _context(self, node: Node) -> str:
        whole = node.parent
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

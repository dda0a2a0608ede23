"""What the preprocessor leaves, as a syntax tree: or the place of the first thing that is no C.

The grammar is tree-sitter-c. With a preprocessor in front it reads 152 of 153 headers of Linux's
UAPI, where pycparser reads 128 with attributes cut out, and pycparserext 20. It has no place for
all of GNU C's attributes, which :mod:`kvmviz.c.flat` takes out first. It mends what is wrong and
goes on; here the first mend is an error, and a text whose mending would take long is given up.
"""

from __future__ import annotations

import re
import time
from bisect import bisect
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, NoReturn

from kvmviz.c.flat import NAMELESS, Flat
from kvmviz.c.source import Source, Token

if TYPE_CHECKING:
    from tree_sitter import Language, Node, TreeCursor

MAX_SECONDS = 0.5
"""Of processor time, for the grammar. A megabyte of C takes a tenth; junk could take hours."""
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
        # By cursor: a node finds its neighbours from the root on, which in a deep tree takes long
        # and, by recursion, more stack than there is.
        cursor = self.root.walk()
        while True:
            node = _node(cursor)
            if node.is_error:
                self.fail(node, f"syntax error at {self.snippet(node)!r}{self._context(cursor)}")
            if node.is_missing:
                # The name of a bit-field may be.
                if cursor.goto_next_sibling() and _node(cursor).type == "bitfield_clause":
                    continue
                at = max(0, node.start_byte - 1)
                found = bisect(self._starts, at) - 1
                place = self._stop(found) if found >= 0 else 0
                context = self._context(cursor)
                self.source.fail(place, f"syntax error: {node.type!r} is missing{context}")
            if node.has_error and cursor.goto_first_child():
                continue
            while not cursor.goto_next_sibling():
                if not cursor.goto_parent():
                    return

    def _context(self, cursor: TreeCursor) -> str:
        whole = _node(cursor) if cursor.goto_parent() else None
        if whole is None or not whole.type.endswith(("declaration", "definition")):
            return ""
        return f" in {self.snippet(whole)!r}"


def _node(cursor: TreeCursor) -> Node:
    node = cursor.node
    assert node is not None
    return node


def parts(node: Node) -> Iterator[tuple[str | None, Node]]:
    """A node's children with the names of their fields."""
    cursor = node.walk()
    more = cursor.goto_first_child()
    while more:
        if child := cursor.node:
            yield cursor.field_name, child
        more = cursor.goto_next_sibling()


@cache
def _language() -> Language:
    import tree_sitter
    import tree_sitter_c

    return tree_sitter.Language(tree_sitter_c.language())

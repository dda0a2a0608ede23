"""C text into a syntax tree, or the line and column of the first thing that is no C.

tree-sitter-c knows the grammar. It mends what is wrong and goes on; here the first mend is an
error, and texts whose mending would take long are stopped.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, NoReturn

from kvmviz._base import KvmvizError

if TYPE_CHECKING:
    from tree_sitter import Language, Node

MAX_TEXT = 1 << 20
"""Characters in one text."""
MAX_DEPTH = 63
"""Brackets or types inside each other, macros in a row: C11 5.2.4.1 asks as much of compilers."""
MAX_SECONDS = 2.0
"""For the grammar. A megabyte of C takes a tenth of it; what is no C could take hours."""
CHUNK = 1 << 16

_TOKEN = re.compile(
    r"//(?:\\[ \t]*\r?\n|[^\n])*+|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*+\"|'(?:\\.|[^'\\\n])*+'"
    r"|/\*|[\"'\[\](){}\0]|\\[ \t]+\r?\n|[^\0-\x7f]",
    re.DOTALL,
)
_BLANK = re.compile(rb"[^\n]")
_CLOSING = {"(": ")", "[": "]", "{": "}"}
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
    "preproc_call": "this directive",
    "preproc_else": "conditional compilation",
    "preproc_if": "conditional compilation",
    "preproc_ifdef": "conditional compilation",
    "storage_class_specifier": "a storage class",
    "type_qualifier": "this qualifier",
}
"""What a node that nobody reads is called in a message; else its name in the grammar."""


class Syntax:
    """A text and its tree. Raises :class:`KvmvizError` with the place of the first error."""

    def __init__(self, text: str) -> None:
        self.data = _checked(text)
        self.root = _tree(self.data)
        todo = [self.root]
        while todo:
            node = todo.pop()
            mended = [child for child in node.children if child.has_error]
            if node.is_error:
                self.fail(node, f"syntax error at {self.snippet(node)!r}{self.within(node)}")
            if node.is_missing and not _is_unnamed(node):
                self.fail(node, f"syntax error: {node.type!r} is missing{self.within(node)}")
            if node.has_error and not mended and not node.is_missing:
                # Of all that can be missing, only this has no node.
                self.fail(node, f"syntax error: after {self.snippet(node)!r} a line must end")
            todo.extend(reversed(mended))

    def text(self, node: Node) -> str:
        """The node as it was written."""
        # A tree that was read in chunks has a text of its own, but is slow to give it.
        return self.data[node.start_byte : node.end_byte].decode()

    def snippet(self, node: Node) -> str:
        """The node's text for a message: the start of its first line."""
        line = self.text(node).split("\n", 1)[0].rstrip()
        return line if len(line) <= 40 else f"{line[:37]}..."

    def within(self, node: Node) -> str:
        """The declaration that a node stands in, for a message."""
        whole = node.parent
        if whole is None or not whole.type.endswith(("declaration", "definition")):
            return ""
        return f" in {self.snippet(whole)!r}"

    def fail(self, node: Node, words: str) -> NoReturn:
        """Raise :class:`KvmvizError` that points at a node."""
        raise KvmvizError(f"{place(node)}: {words}")

    def refuse(self, node: Node, title: str | None = None) -> NoReturn:
        """Raise for a node that C knows and that is not read here."""
        if node.type == "declaration":
            node = node.child_by_field_name("declarator") or node
        title = title or _TITLES.get(node.type, node.type.replace("_", " "))
        self.fail(node, f"{title} is not supported: {self.snippet(node)!r}")


def place(node: Node) -> str:
    """Where a node starts, as messages begin."""
    return _at(node.start_point.row, node.start_point.column)


def parts(node: Node) -> Iterator[tuple[str | None, Node]]:
    """A node's children with the names of their fields, without comments."""
    cursor = node.walk()
    more = cursor.goto_first_child()
    while more:
        if (child := cursor.node) and child.type != "comment":
            yield cursor.field_name, child
        more = cursor.goto_next_sibling()


def _is_unnamed(node: Node) -> bool:
    """A missing name is right where it is that of a bit-field."""
    after = node.next_sibling
    return after is not None and after.type == "bitfield_clause"


def _at(row: int, column: int) -> str:
    return f"line {row + 1}, column {column + 1}"


def _fail(text: str, offset: int, words: str) -> NoReturn:
    row, start = text.count("\n", 0, offset), text.rfind("\n", 0, offset) + 1
    raise KvmvizError(f"{_at(row, offset - start)}: {words}")


def _checked(text: str) -> bytes:
    """The text in ASCII, a byte a character, with comments, quotes and brackets in pairs.

    One comment that is never closed would cost tree-sitter minutes and gigabytes; one that starts
    with ``//`` behind a macro and ends in ``/`` would swallow the next line, so those are blanked.
    """
    if not isinstance(text, str):
        raise KvmvizError(f"C text is a str, not {type(text).__name__}")
    if len(text) > MAX_TEXT:
        _fail(text, MAX_TEXT, f"the text goes on here; legal are {MAX_TEXT} characters")
    data = bytearray(text.encode("ascii", "replace"))
    opened: list[re.Match[str]] = []
    for match in _TOKEN.finditer(text):
        token, words = match[0], ""
        if token.startswith("//"):
            data[match.start() : match.end()] = _BLANK.sub(b" ", data[match.start() : match.end()])
        elif token in _CLOSING:
            opened.append(match)
            if len(opened) > MAX_DEPTH:
                words = f"more than {MAX_DEPTH} brackets inside each other"
        elif token in (")", "]", "}"):
            if not opened:
                words = f"{token!r} closes nothing"
            elif _CLOSING[opened.pop()[0]] != token:
                words = f"{token!r} closes another kind of bracket"
        elif token in ("/*", '"', "'"):
            words = f"{token} is never closed"
        elif token.startswith("\\"):
            words = "blanks stand between a backslash and the end of its line"
        elif len(token) == 1:
            words = f"character {token!r} is legal in comments only"
        if words:
            _fail(text, match.start(), words)
    if opened:
        _fail(text, opened[-1].start(), f"{opened[-1][0]!r} is never closed")
    return bytes(data) + b"\n"


@cache
def _language() -> Language:
    import tree_sitter
    import tree_sitter_c

    return tree_sitter.Language(tree_sitter_c.language())


def _tree(data: bytes) -> Node:
    from tree_sitter import Parser

    end, reached = time.monotonic() + MAX_SECONDS, 0

    def late(offset: int, _: bool) -> bool:
        nonlocal reached
        reached = offset
        return time.monotonic() > end

    try:
        # Only a callback that gives bytes, and nothing else, can be stopped.
        tree = Parser(_language()).parse(
            lambda offset, _: data[offset : offset + CHUNK], progress_callback=late
        )
    except ValueError:
        words = f"syntax error: no C could be made of the text up to here in {MAX_SECONDS} seconds"
        _fail(data.decode(), reached, words)
    return tree.root_node

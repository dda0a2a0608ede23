"""What the preprocessor leaves, as a syntax tree: or the place of the first thing that is no C.

The grammar is tree-sitter-c: with the preprocessor in front it reads 152 of 153 headers of
Linux's UAPI, where pycparser reads 128 with attributes cut out, and pycparserext 20. It has no
place for all of GNU C's attributes, so they are taken out first and kept by offset; so are the
bodies of functions. It mends what is wrong and goes on; here the first mend is an error, and a
text whose mending would take long is given up.
"""

from __future__ import annotations

import re
import time
from bisect import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NoReturn

from kvmviz.expand import MARK, MAX_DEPTH
from kvmviz.source import Source, Token

if TYPE_CHECKING:
    from tree_sitter import Language, Node

MAX_SECONDS = 0.5
"""Of processor time, for the grammar. A megabyte of C takes a tenth; junk could take hours."""
CHUNK = 1 << 16

_SPELLED = {"__signed__": "signed", "__signed": "signed", "__const": "const", "__const__": "const"}
_SPELLED |= {"__volatile__": "volatile", "__volatile": "volatile", "__inline__": "inline"}
_SPELLED |= {"__inline": "inline", "__restrict": "restrict", "__restrict__": "restrict"}
_SPELLED |= {"__builtin_offsetof": "offsetof", "__extension__": "", "__always_inline": "inline"}
_IDLE = frozenset(
    re.findall(
        r"\w+",
        """
        deprecated unused may_alias counted_by nonstring always_inline const pure format
        noreturn warn_unused_result visibility gnu_inline designated_init used nothrow error
        warning bitwise noderef address_space user section no_instrument_function malloc
        alloc_size
        """,
    )
)
"""Attributes that say nothing about a layout."""
_PAIRS = ("[]", "()", "{}")
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


@dataclass(frozen=True)
class Attribute:
    """An attribute: its offset, its name without underscores, the words in its brackets."""

    at: int
    name: str
    argument: list[str] | None


class Syntax:
    """The tree of what the tokens say; offsets count characters of :attr:`data`.

    Raises :class:`KvmvizError` with the place of the first error in the text.
    """

    def __init__(self, source: Source, tokens: Iterable[Token]) -> None:
        self.source = source
        self.attributes: list[Attribute] = []
        self.marks: list[tuple[int, int, bool]] = []
        self.bodies: set[int] = set()
        self._starts: list[int] = []
        self._places: list[int] = []
        self._pieces: list[str] = []
        self._end = 0
        self._tokens = iter(tokens)
        self._write()
        self.data = "".join(self._pieces).encode("ascii", "replace")
        self.root = self._tree()
        self._check()

    def text(self, node: Node) -> str:
        """The node's words, with one blank between two."""
        return self.data[node.start_byte : node.end_byte].decode()

    def words(self, node: Node) -> list[str]:
        """The node's words."""
        return self.text(node).split()

    def at(self, node: Node | int) -> int:
        """The place in the text of a node, or of an offset."""
        offset = node if isinstance(node, int) else node.start_byte
        found = bisect(self._starts, offset) - 1
        return self._places[found] if found >= 0 else 0

    def snippet(self, node: Node) -> str:
        """A node as it was written, for a message: the start of its first line."""
        last = bisect(self._starts, max(node.start_byte, node.end_byte - 1)) - 1
        end = self._stop(last) if last >= 0 else 0
        start = self.at(node)
        return self.source.snippet(start, end if end > start else None)

    def _stop(self, number: int) -> int:
        """Behind a token in the text; of one out of a macro, behind the macro's name."""
        place, word = self._places[number], self._pieces[number].strip()
        return self.source.at(place).stop(place, word)

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

    def _put(self, word: str, place: int) -> None:
        self._starts.append(self._end)
        self._places.append(place)
        self._pieces.append(f"{word} ")
        self._end += len(word) + 1

    def _write(self) -> None:
        """The tokens as a text for the grammar.

        Brackets are in pairs: tree-sitter would take long to mend them.
        """
        opened: list[tuple[str, int]] = []
        last = ""
        for word, place, _ in self._tokens:
            word = _SPELLED.get(word, word)
            if word == MARK:
                self.marks.append((self._end, place, bool(opened)))
                continue
            if word in ("__attribute__", "__attribute"):
                self._attribute(place)
                continue
            if word in ("__asm__", "asm", "_Static_assert", "static_assert") and (
                last in ("", ";", "}", ")", "{") or word.endswith("asm__")
            ):
                self._bracket(place, word)
                if word.endswith("assert"):
                    semicolon = next(self._tokens, None)
                    if semicolon is None or semicolon[0] != ";":
                        self.source.fail(place, f"';' is missing behind {word!r}")
                continue
            if word == "{" and not opened and last == ")":
                self._body(place)
                word = ";"
            elif word in ("(", "[", "{"):
                opened.append((word, place))
                if len(opened) > MAX_DEPTH:
                    self.source.fail(place, f"more than {MAX_DEPTH} brackets inside each other")
            elif word in (")", "]", "}"):
                if not opened:
                    self.source.fail(place, f"{word!r} closes nothing")
                if opened.pop()[0] + word not in _PAIRS:
                    self.source.fail(place, f"{word!r} closes another kind of bracket")
            elif word in ("#", "##"):
                self.source.fail(place, f"{word!r} is legal at the start of a line only")
            elif word in ('"', "'"):
                self.source.fail(place, f"{word} is never closed")
            elif not word.isascii() and word[0] not in "\"'L":
                bad = next(sign for sign in word if not sign.isascii())
                place += word.index(bad)
                self.source.fail(place, f"character {bad!r} is legal in comments only")
            elif word == "\0":
                self.source.fail(place, f"character {word!r} is legal in comments only")
            if word and not (word == ";" and opened and last in (";", "{")):
                self._put(word, place)
                last = word
        if opened:
            self.source.fail(opened[-1][1], f"{opened[-1][0]!r} is never closed")

    def _bracket(self, at: int, word: str) -> list[Token]:
        """The tokens between the brackets that follow a word."""
        found, depth = list[Token](), 0
        for token in self._tokens:
            depth += (token[0] == "(") - (token[0] == ")")
            if token[0] == MARK or (not depth and not found and token[0] != ")"):
                break
            found.append(token)
            if not depth:
                return found[1:-1]
        self.source.fail(at, f"{word!r} without a bracket behind it")

    def _body(self, at: int) -> None:
        """Pass over a function's body."""
        depth = 1
        self.bodies.add(self._end)
        for word, place, _ in self._tokens:
            if word == MARK:
                self.marks.append((self._end, place, True))
            depth += (word == "{") - (word == "}")
            if not depth:
                return
        self.source.fail(at, "'{' is never closed")

    def _attribute(self, at: int) -> None:
        """What ``__attribute__((...))`` lists; harmless ones are left out."""
        tokens = self._bracket(at, "__attribute__")
        words = [word for word, _, _ in tokens]
        if words[:1] != ["("] or words[-1:] != [")"]:
            self.source.fail(at, f"no list of attributes: {self.source.snippet(at)!r}")
        for one in _listed(words[1:-1]):
            name = one[0].strip("_")
            argument = one[2:-1] if one[1:2] == ["("] and one[-1] == ")" else None
            if name in ("packed", "aligned") and (len(one) == 1 or argument is not None):
                self.attributes.append(Attribute(self._end, name, argument))
                self._put("", at)
            elif name not in _IDLE:
                words_of = " ".join(one)[:40]
                self.source.fail(at, f"an attribute is not supported: {words_of!r}")

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


def _listed(words: list[str]) -> Iterator[list[str]]:
    """What stands between commas."""
    depth, found = 0, list[str]()
    for word in [*words, ","]:
        depth += (word == "(") - (word == ")")
        if word == "," and not depth:
            if found:
                yield found
            found = []
        else:
            found.append(word)


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

"""C text into a syntax tree, or the line and column of the first thing that is no C.

Comments and directives, which C knows by line and not by grammar, are taken out first. So are
attributes and the macros of the UAPI, for which the grammar has no place; they are kept by
offset. What is left goes to tree-sitter-c. It mends what is wrong and goes on; here the first
mend is an error, and a text whose mending would take long is given up.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, NoReturn

from kvmviz._base import KvmvizError

if TYPE_CHECKING:
    from tree_sitter import Language, Node

MAX_TEXT = 1 << 20
"""Characters in one text."""
MAX_DEPTH = 63
"""Brackets or types inside each other, macros in a row: C11 5.2.4.1 asks as much of compilers."""
MAX_SECONDS = 2.0
"""Of processor time, for the grammar. A megabyte of C takes a tenth; junk could take hours."""
CHUNK = 1 << 16

_JOINT = r"\\[ \t]*\r?\n"
_COMMENT = rf"/\*.*?\*/|//(?:{_JOINT}|[^\n])*+"
_QUOTED = r"\"(?:\\.|[^\"\\\n])*+\"|'(?:\\.|[^'\\\n])*+'"
_TOKEN = re.compile(
    rf"(?P<directive>^[ \t]*\#(?:{_JOINT}|{_COMMENT}|{_QUOTED}|(?!/\*)[^\n])*+)"
    rf"|(?P<comment>{_COMMENT})|(?P<joint>{_JOINT})|(?P<quoted>{_QUOTED})"
    r"|(?P<open>[\[({])|(?P<close>[\])}])|(?P<other>/\*|[\"'\0]|[^\0-\x7f])",
    re.DOTALL | re.MULTILINE,
)
_KEPT = re.compile(rf"({_QUOTED})|({_COMMENT})|{_JOINT}", re.DOTALL)
_SPLIT = re.compile(rf"\w{_JOINT}\w")
_BLANK = re.compile(rb"[^\n]")
_ATTRIBUTES = ("__attribute__", "__attribute", "__packed", "__aligned")
_HARMLESS = (
    *("__extension__", "__user", "__kernel", "__force", "__bitwise", "__bitwise__", "__iomem"),
    *("__rcu", "__nonstring", "__counted_by", "__counted_by_le", "__counted_by_be"),
)
"""Words that say nothing about a layout."""
FLEX, GROUP = ("__DECLARE_FLEX_ARRAY", "DECLARE_FLEX_ARRAY"), "__struct_group"
MEANT = dict.fromkeys(_HARMLESS, ("", "__extension__")) | {
    "__packed": ("__attribute__((packed))", "__attribute__((__packed__))"),
    "__aligned": (),
}
"""What these words may stand for if a text defines them."""
_WORDS = re.compile(
    rf"{_QUOTED}|(?<!\w)(?P<word>{'|'.join((*_ATTRIBUTES, *_HARMLESS, *FLEX, GROUP))})(?!\w)"
    r"\s*(?P<open>\()?"
)
_ONE = re.compile(r"\s*(?P<name>\w+)\s*(?:\((?P<argument>.*)\)\s*)?", re.DOTALL)
_IDLE = ("deprecated", "unused", "may_alias", "counted_by", "nonstring")
_BRACKET = re.compile(rf"{_QUOTED}|[(){{}}\[\],]")
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
    """An attribute: its place, its name without underscores, what stands in its brackets."""

    at: int
    name: str
    argument: str | None


@dataclass(frozen=True)
class Group:
    """What ``__struct_group`` says beside the members: a name, its place, attributes."""

    name: str
    at: int
    attributes: tuple[Attribute, ...]


class Syntax:
    """A text, its directives by offset, and its tree; offsets count characters.

    Raises :class:`KvmvizError` with the place of the first error.
    """

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise KvmvizError(f"C text is a str, not {type(text).__name__}")
        self.source = text
        self.directives: dict[int, str] = {}
        self.inside: set[int] = set()
        self.attributes: list[Attribute] = []
        self.flexible: set[int] = set()
        self.groups: dict[int, Group] = {}
        if len(text) > MAX_TEXT:
            self.fail(MAX_TEXT, f"the text goes on here; legal are {MAX_TEXT} characters")
        self.data = self._scanned()
        self.data = self._plain()
        self.root = self._tree()
        self._check()

    def text(self, node: Node) -> str:
        """The node as it was written, with comments blanked."""
        return self.data[node.start_byte : node.end_byte].decode()

    def snippet(self, at: Node | int) -> str:
        """The text of a node, or from an offset on, for a message: the start of its first line."""
        start, end = (at, None) if isinstance(at, int) else (at.start_byte, at.end_byte)
        line = self.source[start:end].split("\n", 1)[0].rstrip()
        return line if len(line) <= 40 else f"{line[:37]}..."

    def place(self, at: Node | int) -> str:
        """Where a node starts, or what lies at an offset, as messages begin."""
        offset = at if isinstance(at, int) else at.start_byte
        line = self.source.count("\n", 0, offset) + 1
        return f"line {line}, column {offset - self.source.rfind(chr(10), 0, offset)}"

    def fail(self, at: Node | int, words: str) -> NoReturn:
        """Raise :class:`KvmvizError` that points at a node or an offset."""
        raise KvmvizError(f"{self.place(at)}: {words}")

    def refuse(self, node: Node, title: str | None = None) -> NoReturn:
        """Raise for a node that C knows and that is not read here."""
        if node.type == "declaration":
            node = node.child_by_field_name("declarator") or node
        title = title or _TITLES.get(node.type, node.type.replace("_", " "))
        self.fail(node, f"{title} is not supported: {self.snippet(node)!r}")

    def _scanned(self) -> bytes:
        """The text in ASCII, a byte a character, comments and directives blanked.

        Quotes and brackets are in pairs: tree-sitter would take long to mend them.
        """
        data = bytearray(self.source.encode("ascii", "replace"))
        opened: list[re.Match[str]] = []
        for match in _TOKEN.finditer(self.source):
            token, kind, (start, end) = match[0], match.lastgroup, match.span()
            if kind in ("directive", "comment", "joint"):
                data[start:end] = _BLANK.sub(b" ", data[start:end])
            if kind == "directive":
                clean = _KEPT.sub(lambda part: part[1] or (" " if part[2] else ""), token)
                at = end - len(token.lstrip())
                self.directives[at] = clean.strip()
                if opened:
                    self.inside.add(at)
            elif kind == "joint" and _SPLIT.match(self.source, max(start - 1, 0)):
                self.fail(start, "a word goes on in the next line")
            elif kind == "open":
                opened.append(match)
                if len(opened) > MAX_DEPTH:
                    self.fail(start, f"more than {MAX_DEPTH} brackets inside each other")
            elif kind == "close" and not opened:
                self.fail(start, f"{token!r} closes nothing")
            elif kind == "close" and opened.pop()[0] + token not in _PAIRS:
                self.fail(start, f"{token!r} closes another kind of bracket")
            elif kind == "other" and token in ("/*", '"', "'"):
                self.fail(start, f"{token} is never closed")
            elif kind == "other":
                self.fail(start, f"character {token!r} is legal in comments only")
        if opened:
            self.fail(opened[-1].start(), f"{opened[-1][0]!r} is never closed")
        return bytes(data)

    def _plain(self) -> bytes:
        """The text without attributes and the macros of the UAPI: they are kept by offset."""
        text, data, at, grouped = self.data.decode(), bytearray(self.data), 0, 0
        while match := _WORDS.search(text, at):
            word, start, at = match["word"], match.start(), match.end()
            if word is None:
                continue
            end = at
            commas: list[int] = []
            if match["open"]:
                end, commas = self._arguments(text, at)
            if word in FLEX and len(commas) == 1:
                for first, last in ((start, at), (commas[0], commas[0] + 1), (end - 1, end)):
                    data[first:last] = _BLANK.sub(b" ", data[first:last])
                name = text[commas[0] + 1 : end - 1]
                self.flexible.add(end - 1 - len(name.lstrip()))
                at = end
            elif word == GROUP and len(commas) >= 3:
                if start < grouped:
                    self.fail(start, f"{GROUP} inside {GROUP} is not supported")
                grouped = end
                self._group(text, data, start, at, commas[:3], end)
                at = commas[2] + 1
            elif word in (*FLEX, GROUP):
                self.fail(start, f"{self.snippet(start)!r} has not the arguments of {word}")
            elif word in _ATTRIBUTES or word in _HARMLESS:
                if word in _HARMLESS and not word.startswith("__counted_by"):
                    end = start + len(word)
                elif word == "__packed":
                    end = start + len(word)
                    self.attributes.append(Attribute(start, "packed", None))
                elif word == "__aligned":
                    if not match["open"]:
                        self.fail(start, "'__aligned' without a number")
                    self.attributes.append(Attribute(start, "aligned", text[at : end - 1]))
                elif word.startswith("__attribute"):
                    self.attributes += self._listed(text, start, at, end)
                data[start:end] = _BLANK.sub(b" ", data[start:end])
                at = end
        return bytes(data)

    def _arguments(self, text: str, at: int) -> tuple[int, list[int]]:
        """Behind the bracket that closes what was opened before ``at``; the commas in it."""
        depth, commas = 1, []
        for match in _BRACKET.finditer(text, at):
            if match[0] in "([{":
                depth += 1
            elif match[0] in ")]}":
                depth -= 1
            elif match[0] == "," and depth == 1:
                commas.append(match.start())
            if not depth:
                return match.end(), commas
        self.fail(at, "this bracket is never closed")

    def _listed(self, text: str, start: int, at: int, end: int) -> list[Attribute]:
        """What ``__attribute__((...))`` lists; harmless ones are left out."""
        match = re.compile(r"\s*\((.*)\)\s*", re.DOTALL).fullmatch(text, at, end - 1)
        if match is None or self._arguments(text, match.start(1))[0] != match.end(1) + 1:
            self.fail(start, f"no list of attributes: {self.snippet(start)!r}")
        edges = [match.start(1) - 1, *self._arguments(text, match.start(1))[1], match.end(1)]
        found = []
        for first, last in pairwise(edges):
            one = text[first + 1 : last]
            if not one.strip():
                continue
            spelled = _ONE.fullmatch(one)
            name = spelled["name"].strip("_") if spelled else ""
            if spelled and name in ("packed", "aligned"):
                found.append(Attribute(start, name, spelled["argument"]))
            elif name not in _IDLE:
                self.fail(start, f"an attribute is not supported: {one.strip()[:40]!r}")
        return found

    def _group(
        self, text: str, data: bytearray, start: int, at: int, commas: list[int], end: int
    ) -> None:
        """``__struct_group(TAG, NAME, ATTRS, MEMBERS)`` becomes ``struct TAG { MEMBERS }``."""
        data[start:at] = _BLANK.sub(b" ", data[start:at])
        data[start : start + 6] = b"struct"
        data[commas[0] : commas[2] + 1] = _BLANK.sub(b" ", data[commas[0] : commas[2] + 1])
        data[commas[0]] = ord("{")
        data[end - 1] = ord("}")
        name = text[commas[0] + 1 : commas[1]]
        before = len(self.attributes)
        attributes: list[Attribute] = []
        place = commas[1] + 1
        while (match := _WORDS.search(text, place, commas[2])) and match["word"]:
            word, place = match["word"], match.end()
            if match["open"]:
                place = self._arguments(text, match.end())[0]
            if word == "__packed":
                place = match.start() + len(word)
                attributes.append(Attribute(match.start(), "packed", None))
            elif word == "__aligned" and match["open"]:
                attributes.append(
                    Attribute(match.start(), "aligned", text[match.end() : place - 1])
                )
            elif word.startswith("__attribute"):
                attributes += self._listed(text, match.start(), match.end(), place)
            else:
                break
        del self.attributes[before:]
        left = text[place : commas[2]].strip()
        if left or not name.strip().isidentifier():
            self.fail(start, f"{self.snippet(start)!r} has not the arguments of {GROUP}")
        where = commas[0] + 1 + len(name) - len(name.lstrip())
        self.groups[start] = Group(name.strip(), where, tuple(attributes))

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
                self.fail(node, f"syntax error: {node.type!r} is missing{self._context(node)}")
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


@cache
def _language() -> Language:
    import tree_sitter
    import tree_sitter_c

    return tree_sitter.Language(tree_sitter_c.language())
